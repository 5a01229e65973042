//! Any bytes as a snapshot: the loader must not panic, hang or allocate beyond what it was given; what it accepts, the
//! writer must be able to write so that it reads back the same.
//!
//! The modules are taken by path instead of from the server's crate, which would bring its allocator and Lua along.

#![no_main]

#[path = "../../src/persistence/rdb/mod.rs"]
mod rdb;

use libfuzzer_sys::fuzz_target;
use rdb::{Info, Loader, RdbSink, RdbValue, Record, ReplicationInfo, Summary, Writer};
use store::Limits;

#[derive(Default)]
struct Kept(Vec<Record>);

impl RdbSink for Kept {
    fn library(&mut self, _code: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn key(&mut self, record: Record) -> Result<(), String> {
        self.0.push(record);
        Ok(())
    }
}

fn write(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), true, true);
    let replication = Some(ReplicationInfo { stream_db: 0, id: "x", offset: 1 });
    let info = Info {
        redis_version: "7.0.15",
        ctime: 1,
        used_memory: 1,
        replication,
        aof_base: true,
        has_expiring_fields: true,
        has_producers: true,
    };
    writer.header(&info).unwrap();
    for record in records {
        writer.select_db(record.db).unwrap();
        writer.resize_db(1, 1).unwrap();
        match &record.value {
            RdbValue::String(text) => {
                writer.string(&record.key, record.expire_ms, record.access, text).unwrap();
            }
            RdbValue::Object(object) => {
                writer.object(&record.key, record.expire_ms, record.access, object).unwrap();
            }
        }
    }
    writer.integer(b"last", None, None, 1).unwrap();
    assert!(!writer.is_empty());
    writer.finish().unwrap().0
}

fuzz_target!(|data: &[u8]| {
    let mut kept = Kept::default();
    let mut loader = Loader::new(data, "fuzz", false, Limits::default());
    let loaded = loader.load(&mut kept);
    let _ = loader.into_rest();
    let Summary { keys, .. } = match loaded {
        Ok(summary) => summary,
        Err(error) => return assert!(error.to_string().starts_with("fuzz, at byte ")),
    };
    assert_eq!(keys, kept.0.len() as u64);
    let again = write(&kept.0);
    let mut second = Kept::default();
    Loader::new(&again[..], "again", true, Limits::default()).load(&mut second).unwrap();
    second.0.pop();
    assert!(write(&second.0) == again);
});
