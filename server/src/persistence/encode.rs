//! The keyspace's values in the snapshot format: what both SAVE on the actor and the writer thread use.

use super::rdb::{Info, Packed, ReplicationInfo, Writer};
use std::io::{self, Write};
use std::sync::Arc;
use store::{DbIndex, Keyspace, Object, SnapshotSink, SnapshotValue};

/// What a snapshot says about itself and how it is written; taken when it begins.
#[derive(Clone, Debug)]
pub struct Header {
    /// Unix time, seconds.
    pub ctime: i64,
    /// Memory in use, bytes.
    pub used_memory: u64,
    /// Name of the replication stream, its offset and the database it has selected, if there is a stream.
    pub replication: Option<(String, i64, u32)>,
    /// The texts of libraries of functions.
    pub libraries: Vec<Arc<[u8]>>,
    /// Keys and keys with an expiry per database.
    pub sizes: Vec<(u64, u64)>,
    /// Keys in which something expires.
    pub volatile: u64,
    /// Streams know their producers.
    pub with_producers: bool,
    /// `rdbcompression`.
    pub compression: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
}

impl Header {
    /// The facts about a keyspace; the caller fills in the rest.
    pub fn new(keyspace: &Keyspace, compression: bool, checksum: bool) -> Self {
        let size = |index| {
            let db = keyspace.db(DbIndex(index));
            (db.len() as u64, db.expires() as u64)
        };
        Self {
            ctime: common::clock::now_ms() / 1000,
            used_memory: crate::memory::used_bytes(),
            replication: None,
            libraries: Vec::new(),
            sizes: (0..keyspace.count()).map(size).collect(),
            volatile: (0..keyspace.count()).map(|db| keyspace.db(DbIndex(db)).volatile() as u64).sum(),
            with_producers: (0..keyspace.count()).any(|db| keyspace.db(DbIndex(db)).with_producers() > 0),
            compression,
            checksum,
        }
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.sizes.iter().map(|(keys, _)| keys).sum()
    }
}

/// Writes entries in any order of databases.
pub struct Encoder<W: Write> {
    writer: Writer<W>,
    /// The database whose number was written last.
    selected: Option<usize>,
    /// Sizes that were not written yet; each is written with the first mention of its database.
    sizes: Vec<Option<(u64, u64)>>,
}

impl<W: Write> Encoder<W> {
    /// Begins a snapshot.
    ///
    /// # Errors
    /// The output's.
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Writer::new(out, header.compression, header.checksum);
        let replication = header.replication.as_ref();
        writer.header(&Info {
            redis_version: common::REDIS_VERSION,
            ctime: header.ctime,
            used_memory: header.used_memory,
            replication: replication.map(|(id, offset, db)| ReplicationInfo {
                stream_db: *db,
                id,
                offset: *offset,
            }),
            aof_base: false,
            has_expiring_fields: header.volatile > 0,
            has_producers: header.with_producers,
        })?;
        for code in &header.libraries {
            writer.library(code)?;
        }
        let sizes = header.sizes.iter().map(|sizes| Some(*sizes)).collect();
        Ok(Self { writer, selected: None, sizes })
    }

    fn select(&mut self, db: usize) -> io::Result<()> {
        if self.selected == Some(db) {
            return Ok(());
        }
        self.selected = Some(db);
        self.writer.select_db(db)?;
        match self.sizes.get_mut(db).and_then(Option::take) {
            Some((keys, expires)) => self.writer.resize_db(keys, expires),
            None => Ok(()),
        }
    }

    pub(super) fn integer(&mut self, db: usize, key: &[u8], expire: Option<i64>, n: i64) -> io::Result<()> {
        self.select(db)?;
        self.writer.integer(key, expire, None, n)
    }

    pub(super) fn string(
        &mut self,
        db: usize,
        key: &[u8],
        expire: Option<i64>,
        value: &[u8],
    ) -> io::Result<()> {
        self.select(db)?;
        self.writer.string(key, expire, None, value)
    }

    pub(super) fn packed(
        &mut self,
        db: usize,
        key: &[u8],
        expire: Option<i64>,
        packed: (Packed, &[u8]),
    ) -> io::Result<()> {
        self.select(db)?;
        self.writer.packed(key, expire, None, packed)
    }

    pub(super) fn object(
        &mut self,
        db: usize,
        key: &[u8],
        expire: Option<i64>,
        object: &Object,
    ) -> io::Result<()> {
        self.select(db)?;
        self.writer.object(key, expire, None, object)
    }

    /// Ends the snapshot; the output, flushed, and the number of bytes.
    ///
    /// # Errors
    /// The output's.
    pub fn finish(self) -> io::Result<(W, u64)> {
        self.writer.finish()
    }
}

/// An encoder as a snapshot's sink; the first error is kept and ends all writing.
pub struct Direct<W: Write> {
    /// Where to.
    pub encoder: Encoder<W>,
    /// The first error.
    pub result: io::Result<()>,
    /// Called after each key.
    pub pause: Pause,
}

impl<W: Write> SnapshotSink for Direct<W> {
    fn entry(&mut self, db: usize, key: &[u8], expire: Option<i64>, _access: u32, value: SnapshotValue<'_>) {
        if self.result.is_err() {
            return;
        }
        self.result = match value {
            SnapshotValue::Int(n) => self.encoder.integer(db, key, expire, n),
            SnapshotValue::Bytes(bytes) => self.encoder.string(db, key, expire, bytes),
            SnapshotValue::Shared(bytes) => self.encoder.string(db, key, expire, bytes),
            SnapshotValue::Object(object) => self.encoder.object(db, key, expire, object),
        };
        self.pause.after_key(|| false);
    }
}

/// The delay per key that tests ask for: microseconds, or if negative one microsecond per that many keys.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    delay: i32,
    keys: u32,
}

/// Longest sleep between two looks at whether the work is still wanted.
const LONGEST_NAP: std::time::Duration = std::time::Duration::from_millis(10);

impl Pause {
    /// A delay of `delay`.
    pub fn new(delay: i32) -> Self {
        Self { delay, keys: 0 }
    }

    /// Sleeps as long as the delay says, or until `stop`.
    pub fn after_key(&mut self, stop: impl Fn() -> bool) {
        let micros = match self.delay {
            0 => return,
            1.. => self.delay as u64,
            _ => {
                self.keys += 1;
                let due = self.keys >= self.delay.unsigned_abs();
                if due {
                    self.keys = 0;
                }
                u64::from(due)
            }
        };
        let mut left = std::time::Duration::from_micros(micros);
        while !left.is_zero() && !stop() {
            let nap = left.min(LONGEST_NAP);
            std::thread::sleep(nap);
            left -= nap;
        }
    }
}
