//! The bytes of a snapshot, of a replication link or of one dumped value, and the things that they are made of.
//!
//! Every length is only believed as far as bytes have come: memory grows with what was read, never with what was
//! announced.

use std::io::{self, Read};

use super::{CRC64, RdbCause};
use store::lzf;

/// Bytes read at a time, and the most memory that a mere announcement can reserve.
const CHUNK: usize = 64 << 10;

type Digest = crc::Digest<'static, u64, crc::Table<16>>;

/// A reader with a buffer, which sums up what it gives out.
pub struct Input<R: Read> {
    reader: R,
    buffer: Box<[u8]>,
    /// What is in the buffer and not yet consumed: from `at` to `end`.
    at: usize,
    end: usize,
    /// Where the bytes begin that the digest has not seen.
    digested: usize,
    /// Bytes given out before the buffer.
    before: u64,
    digest: Option<Digest>,
}

impl<R: Read> Input<R> {
    /// Reads from `reader`; `checksum` says whether to sum up.
    pub fn new(reader: R, checksum: bool) -> Self {
        Self::with_buffer(reader, checksum, CHUNK)
    }

    /// As [`Self::new`], with a buffer of `bytes` bytes, at least one.
    pub fn with_buffer(reader: R, checksum: bool, bytes: usize) -> Self {
        Self {
            reader,
            buffer: vec![0; bytes].into_boxed_slice(),
            at: 0,
            end: 0,
            digested: 0,
            before: 0,
            digest: checksum.then(|| CRC64.digest()),
        }
    }

    /// Bytes given out so far.
    pub fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// What was read and not given out, and the reader.
    pub fn into_rest(self) -> (Vec<u8>, R) {
        (self.buffer[self.at..self.end].to_vec(), self.reader)
    }

    /// The checksum of what was given out so far, if one is taken; no more is taken afterwards.
    pub fn finish_digest(&mut self) -> Option<u64> {
        self.update_digest();
        self.digest.take().map(|digest| digest.finalize())
    }

    /// A string in any of its encodings.
    pub fn string(&mut self) -> Result<Vec<u8>, RdbCause> {
        let first = self.byte()?;
        let value = match first {
            0xc0 => i64::from(i8::from_le_bytes(self.array()?)),
            0xc1 => i64::from(i16::from_le_bytes(self.array()?)),
            0xc2 => i64::from(i32::from_le_bytes(self.array()?)),
            0xc3 => {
                let (packed, len) = (self.size()?, self.size()?);
                let packed = self.bytes(packed)?;
                return lzf::decompress(&packed, len).ok_or(RdbCause::Compression);
            }
            0xc4.. => return Err(RdbCause::StringEncoding(first & 0x3f)),
            _ => {
                let len = self.len_from(first)?;
                let len = usize::try_from(len).map_err(|_| RdbCause::Length(first))?;
                return self.bytes(len);
            }
        };
        Ok(itoa::Buffer::new().format(value).as_bytes().to_vec())
    }

    /// A length.
    pub fn len(&mut self) -> Result<u64, RdbCause> {
        let first = self.byte()?;
        self.len_from(first)
    }

    /// A length that counts things in memory.
    pub fn size(&mut self) -> Result<usize, RdbCause> {
        let first = self.byte()?;
        usize::try_from(self.len_from(first)?).map_err(|_| RdbCause::Length(first))
    }

    fn len_from(&mut self, first: u8) -> Result<u64, RdbCause> {
        match first {
            0..0x40 => Ok(u64::from(first)),
            0x40..0x80 => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            0x80 => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            0x81 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(RdbCause::Length(first)),
        }
    }

    /// So many bytes; memory is reserved for those that the buffer holds, then doubles with what arrives.
    pub fn bytes(&mut self, len: usize) -> Result<Vec<u8>, RdbCause> {
        let mut bytes = Vec::with_capacity(len.min(CHUNK));
        while bytes.len() < len {
            if self.at == self.end {
                self.fill()?;
            }
            let part = (len - bytes.len()).min(self.end - self.at);
            bytes.extend_from_slice(&self.buffer[self.at..self.at + part]);
            self.at += part;
        }
        Ok(bytes)
    }

    /// The next bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbCause> {
        if let Some(bytes) = self.buffer[self.at..self.end].first_chunk::<N>() {
            self.at += N;
            return Ok(*bytes);
        }
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, RdbCause> {
        if self.at == self.end {
            self.fill()?;
        }
        self.at += 1;
        Ok(self.buffer[self.at - 1])
    }

    /// Replaces the consumed buffer by the next bytes of the reader, at least one.
    #[cold]
    fn fill(&mut self) -> Result<(), RdbCause> {
        self.update_digest();
        self.before += self.end as u64;
        (self.at, self.end, self.digested) = (0, 0, 0);
        self.end = loop {
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return Err(RdbCause::UnexpectedEof),
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RdbCause::Io(error)),
            }
        };
        Ok(())
    }

    fn update_digest(&mut self) {
        if let Some(digest) = &mut self.digest {
            digest.update(&self.buffer[self.digested..self.at]);
        }
        self.digested = self.at;
    }
}
