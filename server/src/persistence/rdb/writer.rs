//! Writing snapshots.
//!
//! Bytes are gathered in a buffer; the checksum is taken over whole buffers, so that it runs at memory speed. Calls
//! come in the file's order: [`Writer::header`], then for each database [`Writer::select_db`], [`Writer::resize_db`] and
//! its keys, then [`Writer::finish`]. Whether the data can be expressed in version 10 is the caller's to know before.

use std::io::{self, Write};

use common::number::parse_i64;

use super::{Access, CRC64, VERSION, VERSION_WITH_EXPIRING_FIELDS, VERSION_WITH_PRODUCERS, opcode};
use store::lzf::Compressor;

/// The type of a string.
const STRING: u8 = 0;

/// Bytes gathered before they are written.
const BUFFER: usize = 64 << 10;

/// Strings up to this length are not worth compressing, bytes.
const COMPRESS_MIN: usize = 20;

/// What a compressed string must save to be taken, bytes.
const COMPRESS_GAIN: usize = 4;

/// Longest text that may be stored as an integer, bytes.
const INTEGER_TEXT_MAX: usize = 11;

/// Facts about the writer that the file begins with.
#[derive(Debug, Clone)]
pub struct Info<'a> {
    /// The version of Redis that the file is for.
    pub redis_version: &'a str,
    /// Now, Unix time in seconds.
    pub ctime: i64,
    /// Memory in use, bytes.
    pub used_memory: u64,
    /// Where the replication stream stands, for a file that a replica can continue from.
    pub replication: Option<ReplicationInfo<'a>>,
    /// Whether an append-only file continues this one.
    pub aof_base: bool,
    /// Whether a hash has fields that expire: then the file cannot be one for Redis 7.0.
    pub has_expiring_fields: bool,
    /// Whether a stream knows its producers: then it has to be one for Redis 8.6.
    pub has_producers: bool,
}

/// A place in a replication stream.
#[derive(Debug, Clone, Copy)]
pub struct ReplicationInfo<'a> {
    /// The database that the stream has selected.
    pub stream_db: u32,
    /// The stream's name, 40 hexadecimal digits.
    pub id: &'a str,
    /// Bytes since its start.
    pub offset: i64,
}

/// Writes one snapshot.
pub struct Writer<W: Write> {
    out: W,
    buffer: Vec<u8>,
    written: u64,
    digest: Option<crc::Digest<'static, u64, crc::Table<16>>>,
    compresses: bool,
    /// Made for the first string that is worth it.
    compressor: Option<Compressor>,
}

impl<W: Write> Writer<W> {
    /// A writer to `out`, which needs no buffer of its own.
    pub fn new(out: W, compression: bool, checksum: bool) -> Self {
        Writer {
            out,
            buffer: Vec::with_capacity(2 * BUFFER),
            written: 0,
            digest: checksum.then(|| CRC64.digest()),
            compresses: compression,
            compressor: None,
        }
    }

    /// Begins the file.
    pub fn header(&mut self, info: &Info<'_>) -> io::Result<()> {
        let version = match info {
            Info { has_producers: true, .. } => VERSION_WITH_PRODUCERS,
            Info { has_expiring_fields: true, .. } => VERSION_WITH_EXPIRING_FIELDS,
            _ => VERSION,
        };
        self.buffer.extend(format!("REDIS{version:04}").as_bytes());
        self.aux(b"redis-ver", info.redis_version.as_bytes())?;
        self.aux(b"redis-bits", usize::BITS.to_string().as_bytes())?;
        self.aux(b"ctime", info.ctime.to_string().as_bytes())?;
        self.aux(b"used-mem", info.used_memory.to_string().as_bytes())?;
        if let Some(at) = info.replication {
            self.aux(b"repl-stream-db", at.stream_db.to_string().as_bytes())?;
            self.aux(b"repl-id", at.id.as_bytes())?;
            self.aux(b"repl-offset", at.offset.to_string().as_bytes())?;
        }
        self.aux(b"aof-base", if info.aof_base { b"1" } else { b"0" })
    }

    /// A fact of any name; readers skip names that they do not know.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.buffer.push(opcode::AUX);
        self.put_string(name)?;
        self.put_string(value)
    }

    /// A library of functions: its text. They come before all keys.
    pub fn library(&mut self, code: &[u8]) -> io::Result<()> {
        self.buffer.push(opcode::FUNCTION2);
        self.put_string(code)
    }

    /// The following keys belong to this database.
    pub fn select_db(&mut self, db: usize) -> io::Result<()> {
        self.buffer.push(opcode::SELECT_DB);
        self.put_len(db as u64);
        self.flush_if_full()
    }

    /// How many keys, and keys with an expiry, the selected database has.
    pub fn resize_db(&mut self, keys: u64, expires: u64) -> io::Result<()> {
        self.buffer.push(opcode::RESIZE_DB);
        self.put_len(keys);
        self.put_len(expires);
        self.flush_if_full()
    }

    /// A key with a string value.
    pub fn string(
        &mut self,
        key: &[u8],
        expire_ms: Option<i64>,
        access: Option<Access>,
        value: &[u8],
    ) -> io::Result<()> {
        self.begin_key(STRING, key, expire_ms, access)?;
        self.put_string(value)
    }

    /// A key whose string value is an integer's text.
    pub fn integer(
        &mut self,
        key: &[u8],
        expire_ms: Option<i64>,
        access: Option<Access>,
        value: i64,
    ) -> io::Result<()> {
        self.begin_key(STRING, key, expire_ms, access)?;
        self.put_number(value)
    }

    /// Ends the file; gives back the output, flushed, and the file's size in bytes.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.buffer.push(opcode::EOF);
        self.flush()?;
        let checksum = self.digest.take().map_or(0, |digest| digest.finalize());
        self.buffer.extend(checksum.to_le_bytes());
        self.flush()?;
        self.out.flush()?;
        Ok((self.out, self.written))
    }

    /// Bytes so far, those not yet written included.
    pub fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What comes before a value; its bytes follow.
    pub(super) fn begin_key(
        &mut self,
        kind: u8,
        key: &[u8],
        expire_ms: Option<i64>,
        access: Option<Access>,
    ) -> io::Result<()> {
        if let Some(at) = expire_ms {
            self.buffer.push(opcode::EXPIRE_TIME_MS);
            self.buffer.extend(at.to_le_bytes());
        }
        match access {
            Some(Access::Idle(seconds)) => {
                self.buffer.push(opcode::IDLE);
                self.put_len(seconds);
            }
            Some(Access::Freq(counter)) => self.buffer.extend([opcode::FREQ, counter]),
            None => {}
        }
        self.buffer.push(kind);
        self.put_string(key)
    }

    /// A length.
    pub(super) fn put_len(&mut self, len: u64) {
        match len {
            0..0x40 => self.buffer.push(len as u8),
            0x40..0x4000 => self.buffer.extend((len as u16 | 0x4000).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.buffer.push(0x80);
                self.buffer.extend((len as u32).to_be_bytes());
            }
            _ => {
                self.buffer.push(0x81);
                self.buffer.extend(len.to_be_bytes());
            }
        }
    }

    /// The shortest form of a string: integer, compressed, or as it is.
    pub(super) fn put_string(&mut self, text: &[u8]) -> io::Result<()> {
        if text.len() <= INTEGER_TEXT_MAX && parse_i64(text).is_some_and(|value| self.put_integer(value)) {
            return self.flush_if_full();
        }
        if text.len() > COMPRESS_MIN && self.put_compressed(text)? {
            return Ok(());
        }
        self.put_raw(text)
    }

    /// An integer's text.
    pub(super) fn put_number(&mut self, value: i64) -> io::Result<()> {
        if !self.put_integer(value) {
            self.put_raw(itoa::Buffer::new().format(value).as_bytes())?;
        }
        self.flush_if_full()
    }

    /// Whether the integer was small enough to be stored as one.
    fn put_integer(&mut self, value: i64) -> bool {
        if let Ok(value) = i8::try_from(value) {
            self.buffer.extend([0xc0, value as u8]);
        } else if let Ok(value) = i16::try_from(value) {
            self.buffer.push(0xc1);
            self.buffer.extend(value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.buffer.push(0xc2);
            self.buffer.extend(value.to_le_bytes());
        } else {
            return false;
        }
        true
    }

    fn put_compressed(&mut self, text: &[u8]) -> io::Result<bool> {
        if !self.compresses {
            return Ok(false);
        }
        let mut compressor = self.compressor.take().unwrap_or_default();
        let packed = compressor.compress(text, text.len() - COMPRESS_GAIN);
        let result = match packed {
            Some(packed) => self.put_lzf(packed, text.len()).map(|()| true),
            None => Ok(false),
        };
        self.compressor = Some(compressor);
        result
    }

    /// A string of `len` bytes that is compressed already.
    pub(super) fn put_lzf(&mut self, packed: &[u8], len: usize) -> io::Result<()> {
        self.buffer.push(0xc3);
        self.put_len(packed.len() as u64);
        self.put_len(len as u64);
        self.put_bytes(packed)
    }

    fn put_raw(&mut self, text: &[u8]) -> io::Result<()> {
        self.put_len(text.len() as u64);
        self.put_bytes(text)
    }

    /// Long bytes go out directly instead of through the buffer.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < BUFFER {
            self.buffer.extend_from_slice(bytes);
            return self.flush_if_full();
        }
        self.flush()?;
        self.send(bytes)
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.send(&buffer);
        buffer.clear();
        self.buffer = buffer;
        result
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl Writer<Vec<u8>> {
    /// A writer of one value, into memory: allocates no more than that needs.
    pub(super) fn of_value(compression: bool) -> Self {
        Writer {
            out: Vec::new(),
            buffer: Vec::new(),
            written: 0,
            digest: None,
            compresses: compression,
            compressor: None,
        }
    }

    /// What was written.
    pub(super) fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        if self.out.is_empty() {
            return Ok(self.buffer);
        }
        self.flush()?;
        Ok(self.out)
    }
}
