//! Reading snapshots.
//!
//! One pass over any reader, a file or a replication link; what a value's bytes mean is `values/`'s affair.

use std::io::Read;

use super::input::Input;
use super::values::Source;
use super::{
    Access, CHECKSUM_VERSION, REDIS_VERSION_MAX, RdbCause, RdbError, RdbSink, Record, VALKEY_VERSION, opcode,
};
use store::Limits;

/// Bytes between two reports of progress.
const REPORTED: u64 = 64 << 10;

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// The file's version.
    pub version: u32,
    /// Keys handed to the sink.
    pub keys: u64,
    /// Keys whose value was empty, which cannot exist: passed over, as in Redis.
    pub empty_keys: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Reads one snapshot.
pub struct Loader<R: Read> {
    input: Input<R>,
    path: String,
    limits: Limits,
    is_valkey: bool,
    summary: Summary,
}

impl<R: Read> Loader<R> {
    /// A loader; `path` names the source in errors, `checksum` says whether to verify the content, `limits` which
    /// encodings values get.
    pub fn new(reader: R, path: impl Into<String>, checksum: bool, limits: Limits) -> Self {
        Loader {
            input: Input::new(reader, checksum),
            path: path.into(),
            limits,
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
        self.input.into_rest()
    }

    fn offset(&self) -> u64 {
        self.input.offset()
    }

    fn read_header(&mut self) -> Result<(), RdbCause> {
        let magic: [u8; 9] = self.input.array()?;
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
            if self.offset() - reported >= REPORTED {
                reported = self.offset();
                sink.progress(reported);
            }
            match self.input.byte()? {
                opcode::EOF => return self.check_sum(),
                opcode::SELECT_DB => {
                    db = self.input.size()?;
                    sink.select_db(db).map_err(RdbCause::Refused)?;
                }
                opcode::RESIZE_DB => {
                    let (keys, expires) = (self.input.len()?, self.input.len()?);
                    sink.resize_db(db, keys, expires);
                }
                opcode::AUX => {
                    let (name, value) = (self.input.string()?, self.input.string()?);
                    sink.aux(&name, &value).map_err(RdbCause::Refused)?;
                }
                opcode::EXPIRE_TIME_MS => expire_ms = Some(i64::from_le_bytes(self.input.array()?)),
                opcode::EXPIRE_TIME => {
                    expire_ms = Some(i64::from(i32::from_le_bytes(self.input.array()?)) * 1000);
                }
                opcode::IDLE => access = Some(Access::Idle(self.input.len()?)),
                opcode::FREQ => access = Some(Access::Freq(self.input.byte()?)),
                kind @ (opcode::FUNCTION2 | opcode::FUNCTION_PRE_GA) => {
                    let code = read_library(&mut self.input, kind)?;
                    sink.library(&code).map_err(RdbCause::Refused)?;
                }
                // Sizes of a cluster slot: a hint for making room, nothing to keep.
                opcode::SLOT_INFO => drop((self.input.len()?, self.input.len()?, self.input.len()?)),
                other if other < opcode::SLOT_IMPORT => {
                    self.read_key(other, db, (expire_ms.take(), access.take()), sink)?;
                }
                unsupported => return Err(self.refuse_opcode(unsupported)),
            }
        }
    }

    #[cold]
    fn refuse_opcode(&mut self, opcode: u8) -> RdbCause {
        let what = match opcode {
            opcode::SLOT_IMPORT => "a cluster slot that is being imported".to_owned(),
            opcode::MODULE_AUX => match self.input.len() {
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
        (expire_ms, access): (Option<i64>, Option<Access>),
        sink: &mut dyn RdbSink,
    ) -> Result<(), RdbCause> {
        let source = Source { kind, is_valkey: self.is_valkey, limits: &self.limits };
        source.check()?;
        let key = self.input.string()?;
        match source.read(&mut self.input)? {
            None => self.summary.empty_keys += 1,
            Some(value) => {
                self.summary.keys += 1;
                sink.key(Record { db, key, expire_ms, access, value }).map_err(RdbCause::Refused)?;
            }
        }
        Ok(())
    }

    fn check_sum(&mut self) -> Result<(), RdbCause> {
        if self.summary.version < CHECKSUM_VERSION {
            return Ok(());
        }
        let computed = self.input.finish_digest();
        let stored = u64::from_le_bytes(self.input.array()?);
        match computed {
            Some(computed) if stored != 0 && stored != computed => {
                Err(RdbCause::Checksum { stored, computed })
            }
            _ => Ok(()),
        }
    }
}

/// A library's text. The release candidates of Redis 7.0 kept the first line's words apart from it, and a description.
pub(super) fn read_library<R: Read>(input: &mut Input<R>, kind: u8) -> Result<Vec<u8>, RdbCause> {
    if kind == opcode::FUNCTION2 {
        return input.string();
    }
    let (name, engine) = (input.string()?, input.string()?);
    if input.len()? != 0 {
        input.string()?;
    }
    let code = input.string()?;
    Ok([b"#!", &engine[..], b" name=", &name, b"\n", &code].concat())
}

/// The nine characters of a module type, which its number holds in six bits each.
fn module_name(id: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|place| char::from(ALPHABET[(id >> (10 + 6 * place)) as usize & 63])).collect()
}
