//! Entries on their way from the keyspace to the thread that writes them.
//!
//! A snapshot's walk copies small values into one vector per chunk and shares big ones, so that the actor spends some
//! hundred nanoseconds per key and allocates once per chunk.

use super::encode::Encoder;
use super::rdb::{Packed, pack};
use std::io::{self, Write};
use store::{Object, SharedBytes, SnapshotSink, SnapshotValue};

/// Bytes from which on a chunk is sent.
const FULL_BYTES: usize = 64 << 10;

/// Entries from which on a chunk is sent.
const FULL_ENTRIES: usize = 1024;

#[derive(Debug)]
enum Held {
    Int(i64),
    /// So many bytes of the chunk's vector, behind the key.
    Bytes(u32),
    /// Likewise; they are a small object.
    Packed(Packed, u32),
    Shared(SharedBytes),
    Object(Object),
}

#[derive(Debug)]
struct Record {
    db: u32,
    key_len: u32,
    expire: Option<i64>,
    value: Held,
}

/// Some entries.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl Chunk {
    /// Whether it should be sent.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES || self.records.len() >= FULL_ENTRIES
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Writes all entries; `after_each` may stop that.
    ///
    /// # Errors
    /// The output's, and what `after_each` gives.
    pub fn encode<W: Write>(
        self,
        encoder: &mut Encoder<W>,
        mut after_each: impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rest = self.bytes.as_slice();
        let mut take = |len: u32| {
            let (taken, left) = rest.split_at(len as usize);
            rest = left;
            taken
        };
        for Record { db, key_len, expire, value } in self.records {
            let key = take(key_len);
            match value {
                Held::Int(n) => encoder.integer(db as usize, key, expire, n)?,
                Held::Bytes(len) => encoder.string(db as usize, key, expire, take(len))?,
                Held::Packed(form, len) => encoder.packed(db as usize, key, expire, (form, take(len)))?,
                Held::Shared(bytes) => encoder.string(db as usize, key, expire, &bytes)?,
                Held::Object(object) => encoder.object(db as usize, key, expire, &object)?,
            }
            after_each()?;
        }
        Ok(())
    }
}

impl SnapshotSink for Chunk {
    fn entry(&mut self, db: usize, key: &[u8], expire: Option<i64>, _access: u32, value: SnapshotValue<'_>) {
        self.bytes.extend_from_slice(key);
        let value = match value {
            SnapshotValue::Int(n) => Held::Int(n),
            SnapshotValue::Bytes(bytes) => {
                self.bytes.extend_from_slice(bytes);
                Held::Bytes(bytes.len() as u32)
            }
            SnapshotValue::Shared(bytes) => Held::Shared(bytes.clone()),
            SnapshotValue::Object(object) => {
                let before = self.bytes.len();
                match pack(object, &mut self.bytes) {
                    Some(form) => Held::Packed(form, (self.bytes.len() - before) as u32),
                    None => Held::Object(object.clone()),
                }
            }
        };
        self.records.push(Record { db: db as u32, key_len: key.len() as u32, expire, value });
    }
}
