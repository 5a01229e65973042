//! Reading snapshots.
//!
//! One pass over any reader, a file or a replication link, through a buffer of its own. Every length is only believed
//! as far as bytes have come: memory grows with what was read, never with what was announced.

use std::io::{self, Read};

use super::{
    Access, CHECKSUM_VERSION, CRC64, ListNode, REDIS_VERSION_MAX, RdbCause, RdbError, RdbSink, RdbValue,
    Record, VALKEY_VERSION, container, lzf, opcode, type_name, value_type, ziplist,
};

/// Bytes read at a time, and the most memory that a mere announcement can reserve.
const CHUNK: usize = 64 << 10;

/// List nodes that a mere announcement can reserve.
const NODES_RESERVED: usize = 1024;

/// Listpack frame: total bytes u32 LE, count u16 LE, elements, 0xFF.
const LISTPACK_FRAME: usize = 7;

type Digest = crc::Digest<'static, u64, crc::Table<16>>;

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// The file's version.
    pub version: u32,
    /// Keys handed to the sink.
    pub keys: u64,
    /// Keys whose value was an empty list, which cannot exist: passed over, as in Redis.
    pub empty_keys: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Reads one snapshot.
pub struct Loader<R: Read> {
    reader: R,
    path: String,
    buffer: Box<[u8]>,
    /// What is in the buffer and not yet consumed: from `at` to `end`.
    at: usize,
    end: usize,
    /// Where the bytes begin that the digest has not seen.
    digested: usize,
    /// Bytes of the file before the buffer.
    before: u64,
    digest: Option<Digest>,
    is_valkey: bool,
    summary: Summary,
}

impl<R: Read> Loader<R> {
    /// A loader; `path` names the source in errors, `checksum` says whether to verify the content.
    pub fn new(reader: R, path: impl Into<String>, checksum: bool) -> Self {
        Loader {
            reader,
            path: path.into(),
            buffer: vec![0; CHUNK].into_boxed_slice(),
            at: 0,
            end: 0,
            digested: 0,
            before: 0,
            digest: checksum.then(|| CRC64.digest()),
            is_valkey: false,
            summary: Summary::default(),
        }
    }

    /// Reads to the end of the snapshot, not of the reader: see [`Loader::into_rest`].
    pub fn load(&mut self, sink: &mut dyn RdbSink) -> Result<Summary, RdbError> {
        let result = self.read_header().and_then(|()| self.read_body(sink));
        result.map_err(|cause| RdbError { path: self.path.clone(), offset: self.offset(), cause })?;
        self.summary.bytes = self.offset();
        Ok(self.summary)
    }

    /// The reader, and bytes behind the snapshot that were read already (an append-only file, a replication link).
    pub fn into_rest(self) -> (Vec<u8>, R) {
        (self.buffer[self.at..self.end].to_vec(), self.reader)
    }

    fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    fn read_header(&mut self) -> Result<(), RdbCause> {
        let magic: [u8; 9] = self.array()?;
        let (digits, is_valkey) = match (magic.strip_prefix(b"REDIS"), magic.strip_prefix(b"VALKEY")) {
            (Some(digits), _) => (digits, false),
            (_, Some(digits)) => (digits, true),
            _ => return Err(RdbCause::Signature),
        };
        let text = String::from_utf8_lossy(digits).into_owned();
        let version = match text.parse() {
            Ok(version @ 1..=REDIS_VERSION_MAX) if !is_valkey => version,
            Ok(VALKEY_VERSION) if is_valkey => VALKEY_VERSION,
            _ => return Err(RdbCause::Version(text)),
        };
        self.summary.version = version;
        self.is_valkey = is_valkey;
        Ok(())
    }

    fn read_body(&mut self, sink: &mut dyn RdbSink) -> Result<(), RdbCause> {
        let mut db = 0;
        let (mut expire_ms, mut access) = (None, None);
        let mut reported = 0;
        loop {
            if self.offset() - reported >= CHUNK as u64 {
                reported = self.offset();
                sink.progress(reported);
            }
            match self.byte()? {
                opcode::EOF => return self.check_sum(),
                opcode::SELECT_DB => {
                    db = self.size()?;
                    sink.select_db(db).map_err(RdbCause::Refused)?;
                }
                opcode::RESIZE_DB => {
                    let (keys, expires) = (self.len()?, self.len()?);
                    sink.resize_db(db, keys, expires);
                }
                opcode::AUX => {
                    let (name, value) = (self.string()?, self.string()?);
                    sink.aux(&name, &value).map_err(RdbCause::Refused)?;
                }
                opcode::EXPIRE_TIME_MS => expire_ms = Some(i64::from_le_bytes(self.array()?)),
                opcode::EXPIRE_TIME => {
                    expire_ms = Some(i64::from(i32::from_le_bytes(self.array()?)) * 1000);
                }
                opcode::IDLE => access = Some(Access::Idle(self.len()?)),
                opcode::FREQ => access = Some(Access::Freq(self.byte()?)),
                // Sizes of a cluster slot: a hint for making room, nothing to keep.
                opcode::SLOT_INFO => drop((self.len()?, self.len()?, self.len()?)),
                other if other < opcode::SLOT_IMPORT => {
                    let record = self.read_key(other, db, expire_ms.take(), access.take())?;
                    match &record.value {
                        RdbValue::List(nodes) if nodes.is_empty() => self.summary.empty_keys += 1,
                        _ => {
                            self.summary.keys += 1;
                            sink.key(record).map_err(RdbCause::Refused)?;
                        }
                    }
                }
                unsupported => return Err(self.refuse_opcode(unsupported)),
            }
        }
    }

    #[cold]
    fn refuse_opcode(&mut self, opcode: u8) -> RdbCause {
        let what = match opcode {
            opcode::SLOT_IMPORT => "a cluster slot that is being imported".to_owned(),
            opcode::FUNCTION2 => "a function library".to_owned(),
            opcode::FUNCTION_PRE_GA => "a function library of a release candidate".to_owned(),
            opcode::MODULE_AUX => match self.len() {
                Ok(id) => format!("data of the module type {}", module_name(id)),
                Err(cause) => return cause,
            },
            _ => "unknown".to_owned(),
        };
        RdbCause::UnsupportedOpcode { opcode, what }
    }

    fn read_key(
        &mut self,
        kind: u8,
        db: usize,
        expire_ms: Option<i64>,
        access: Option<Access>,
    ) -> Result<Record, RdbCause> {
        use value_type::{LIST, LIST_QUICKLIST, LIST_QUICKLIST_2, LIST_ZIPLIST, STRING};
        if !matches!(kind, STRING | LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_QUICKLIST_2) {
            return Err(match type_name(kind, self.is_valkey) {
                Some(name) => RdbCause::UnsupportedType { number: kind, name },
                None => RdbCause::UnsupportedType { number: kind, name: "unknown" },
            });
        }
        let key = self.string()?;
        let value = match kind {
            STRING => RdbValue::String(self.string()?),
            LIST => RdbValue::List(self.plain_list()?),
            LIST_ZIPLIST => {
                let mut nodes = Vec::new();
                self.ziplist(&mut nodes)?;
                RdbValue::List(nodes)
            }
            LIST_QUICKLIST => {
                let mut nodes = Vec::new();
                for _ in 0..self.len()? {
                    self.ziplist(&mut nodes)?;
                }
                RdbValue::List(nodes)
            }
            _ => RdbValue::List(self.quicklist()?),
        };
        Ok(Record { db, key, expire_ms, access, value })
    }

    fn plain_list(&mut self) -> Result<Vec<ListNode>, RdbCause> {
        let count = self.len()?;
        let mut nodes = Vec::with_capacity(count.min(NODES_RESERVED as u64) as usize);
        for _ in 0..count {
            nodes.push(ListNode::Element(self.string()?));
        }
        Ok(nodes)
    }

    fn ziplist(&mut self, nodes: &mut Vec<ListNode>) -> Result<(), RdbCause> {
        let bytes = self.string()?;
        nodes.extend(ziplist::elements(&bytes).map_err(RdbCause::Node)?.into_iter().map(ListNode::Element));
        Ok(())
    }

    fn quicklist(&mut self) -> Result<Vec<ListNode>, RdbCause> {
        let count = self.len()?;
        let mut nodes = Vec::with_capacity(count.min(NODES_RESERVED as u64) as usize);
        for _ in 0..count {
            match self.len()? {
                container::PLAIN => nodes.push(ListNode::Plain(self.string()?)),
                container::PACKED => {
                    let bytes = self.string()?;
                    if !has_listpack_frame(&bytes) {
                        return Err(RdbCause::Node("listpack"));
                    }
                    if bytes.len() > LISTPACK_FRAME {
                        nodes.push(ListNode::Packed(bytes)); // Redis drops empty nodes too
                    }
                }
                other => return Err(RdbCause::Container(other)),
            }
        }
        Ok(nodes)
    }

    fn check_sum(&mut self) -> Result<(), RdbCause> {
        if self.summary.version < CHECKSUM_VERSION {
            return Ok(());
        }
        self.update_digest();
        let computed = self.digest.take().map(|digest| digest.finalize());
        let stored = u64::from_le_bytes(self.array()?);
        match computed {
            Some(computed) if stored != 0 && stored != computed => {
                Err(RdbCause::Checksum { stored, computed })
            }
            _ => Ok(()),
        }
    }

    /// A string in any of its encodings.
    fn string(&mut self) -> Result<Vec<u8>, RdbCause> {
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

    fn len(&mut self) -> Result<u64, RdbCause> {
        let first = self.byte()?;
        self.len_from(first)
    }

    /// A length that counts things in memory.
    fn size(&mut self) -> Result<usize, RdbCause> {
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
    fn bytes(&mut self, len: usize) -> Result<Vec<u8>, RdbCause> {
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

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbCause> {
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

    fn byte(&mut self) -> Result<u8, RdbCause> {
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

fn has_listpack_frame(bytes: &[u8]) -> bool {
    let total = bytes.first_chunk::<4>().map(|total| u32::from_le_bytes(*total) as usize);
    bytes.len() >= LISTPACK_FRAME && total == Some(bytes.len()) && bytes.last() == Some(&0xff)
}

/// The nine characters of a module type, which its number holds in six bits each.
fn module_name(id: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|place| char::from(ALPHABET[(id >> (10 + 6 * place)) as usize & 63])).collect()
}
