//! The snapshot file format (RDB), as Redis 7.0 writes it and as every release up to 8.x is read.
//!
//! ```text
//! file      "REDIS" 4 digits | "VALKEY" 3 digits     version: 10 is written; 1 to 13, and Valkey's 80, are read
//!           { AUX string string }                    facts about the writer, unknown ones are skipped
//!           { FUNCTION2 string }                     libraries of functions: their texts
//!           { SELECTDB length
//!             [ RESIZEDB length length ]             keys, keys with an expiry: a hint
//!             { [ EXPIRETIME_MS 8 bytes LE | EXPIRETIME 4 bytes LE ] [ IDLE length | FREQ byte ]
//!               type byte, key string, value } }
//!           EOF, CRC-64 of everything before, 8 bytes LE (version 5 and later; 0 means not computed)
//!
//! length    00xxxxxx | 01xxxxxx + 1 byte | 0x80 + 4 bytes BE | 0x81 + 8 bytes BE
//! string    length, bytes | 0xC0 i8 | 0xC1 i16 LE | 0xC2 i32 LE | 0xC3 length (compressed) length LZF
//! ```
//!
//! [`Writer`] and [`Loader`] know the file, [`dump`] and [`restore`] a value by itself; the bytes of each type of value are
//! in `values/`, a file per type. What a snapshot contains, and where loaded keys go, is the caller's affair.
//! Bytes from a file are never trusted: lengths reserve no more memory than has arrived, nothing recurses, and what
//! this build cannot keep (another type, a module's data) stops the load with an error that says
//! so, instead of being dropped.

mod input;
mod loader;
mod payload;
mod values;
mod writer;
mod ziplist;

use std::fmt;
use std::io;

use store::Object;

pub use loader::{Loader, Summary};
pub use payload::{PayloadError, dump, dump_libraries, restore, restore_libraries};
pub use values::{Packed, pack};
pub use writer::{Info, ReplicationInfo, Writer};

/// The version that is written: what Redis 7.0 reads and writes.
pub const VERSION: u32 = 10;

/// The version that is written if fields of hashes expire: that of Redis 7.4, the first that knows them.
pub const VERSION_WITH_EXPIRING_FIELDS: u32 = 12;

/// The version that is written if streams know their producers: that of Redis 8.6.
pub const VERSION_WITH_PRODUCERS: u32 = 13;

/// The newest version of Redis's own line that is read.
const REDIS_VERSION_MAX: u32 = 13;

/// Valkey left Redis's numbers with this one.
const VALKEY_VERSION: u32 = 80;

/// The first version that ends with a checksum.
const CHECKSUM_VERSION: u32 = 5;

static CRC64: crc::Crc<u64, crc::Table<16>> = crc::Crc::<u64, crc::Table<16>>::new(&crc::CRC_64_REDIS);

/// Bytes that say what follows.
mod opcode {
    pub const SLOT_IMPORT: u8 = 243;
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION2: u8 = 245;
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_TIME_MS: u8 = 252;
    pub const EXPIRE_TIME: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// What an entry knows about its last uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Seconds since the last use (LRU policies).
    Idle(u64),
    /// Logarithmic counter of uses (LFU policies).
    Freq(u8),
}

/// A loaded value.
#[derive(Debug, Clone)]
pub enum RdbValue {
    /// A string; canonical integers arrive as their text.
    String(Vec<u8>),
    /// A value of many elements, at least one.
    Object(Object),
}

/// One loaded key.
#[derive(Debug, Clone)]
pub struct Record {
    /// Number of the database.
    pub db: usize,
    /// The key.
    pub key: Vec<u8>,
    /// When it expires, Unix time in milliseconds. It may be past: whether such a key is kept is the sink's decision.
    pub expire_ms: Option<i64>,
    /// Last use, if the writer had an eviction policy that needs it.
    pub access: Option<Access>,
    /// The value.
    pub value: RdbValue,
}

/// Where a [`Loader`] delivers to. An error stops the load; its text completes "failed to load".
pub trait RdbSink {
    /// A fact about the writer, such as `redis-ver` or `repl-id`.
    fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<(), String> {
        let _ = (name, value);
        Ok(())
    }

    /// The following keys belong to this database.
    fn select_db(&mut self, db: usize) -> Result<(), String> {
        let _ = db;
        Ok(())
    }

    /// How many keys, and keys with an expiry, the database will hold: a hint from the file, not to be trusted.
    fn resize_db(&mut self, db: usize, keys: u64, expires: u64) {
        let _ = (db, keys, expires);
    }

    /// A library of functions: its text.
    fn library(&mut self, code: &[u8]) -> Result<(), String>;

    /// A key with its value.
    fn key(&mut self, record: Record) -> Result<(), String>;

    /// Called about every 64 KB with the number of bytes read so far, so that the server can look after its clients.
    fn progress(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

/// Why a file could not be loaded; `Display` names file, place and cause.
#[derive(Debug)]
pub struct RdbError {
    /// What was being read.
    pub path: String,
    /// Bytes from the start of the file to the place that was being read.
    pub offset: u64,
    /// What is wrong there.
    pub cause: RdbCause,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum RdbCause {
    /// The system could not read.
    #[error("{0}")]
    Io(io::Error),
    /// The file is cut off.
    #[error("unexpected end of file")]
    UnexpectedEof,
    /// It does not begin as a snapshot does.
    #[error("wrong signature: not a snapshot file")]
    Signature,
    /// Another version of the format.
    #[error("can't handle RDB format version {0}")]
    Version(String),
    /// A type of value that this build does not have.
    #[error("type {number} ({name}) is not supported by this build")]
    UnsupportedType {
        /// As stored.
        number: u8,
        /// Type and encoding.
        name: &'static str,
    },
    /// Something else that this build cannot keep.
    #[error("opcode {opcode} ({what}) is not supported by this build")]
    UnsupportedOpcode {
        /// As stored.
        opcode: u8,
        /// What it stands for.
        what: String,
    },
    /// A length that is none, or larger than can be addressed.
    #[error("invalid length (first byte {0:#04x})")]
    Length(u8),
    /// A string with an unknown encoding.
    #[error("unknown string encoding {0}")]
    StringEncoding(u8),
    /// A compressed string that does not expand to what it says.
    #[error("invalid compressed string")]
    Compression,
    /// A list node that is neither packed nor plain.
    #[error("unknown list container {0}")]
    Container(u64),
    /// A node whose bytes contradict each other.
    #[error("invalid {0}")]
    Node(&'static str),
    /// The content does not have the checksum that it ends with.
    #[error("wrong checksum: the file says {stored:016x}, its content gives {computed:016x}")]
    Checksum {
        /// As stored.
        stored: u64,
        /// Of the content.
        computed: u64,
    },
    /// The sink did not take it.
    #[error("{0}")]
    Refused(String),
}

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}: {}", self.path, self.offset, self.cause)
    }
}

impl std::error::Error for RdbError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            RdbCause::Io(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
