//! Any bytes as the content of a payload for RESTORE: what comes of it must bear being read, changed and dumped, and the
//! dump must give the same value again.
//!
//! The first byte chooses the thresholds and whether the payload is Valkey's; the footer is made here, since no fuzzer
//! finds a checksum.

#![no_main]
// The writer of whole snapshots comes along with the modules, and nothing here uses it.
#![allow(dead_code, unused_imports)]

#[path = "../../src/persistence/rdb/mod.rs"]
mod rdb;

use libfuzzer_sys::fuzz_target;
use rdb::RdbValue;
use store::stream::StreamId;
use store::{End, HashLimit, Limits, ListLimit, Object, ObjectMut, ObjectView, SetLimit, SortedSetLimits, Value};

/// Elements that are changed or taken out, so that one run stays short.
const CHANGES: usize = 64;

fn limits(choice: u8) -> Limits {
    if choice & 1 == 0 {
        let list = ListLimit::default().with_compress_depth(usize::from(choice >> 2 & 3));
        return Limits { list, ..Limits::default() };
    }
    Limits {
        list: ListLimit::new(2).with_compress_depth(usize::from(choice >> 2 & 3)),
        set: SetLimit { ints: 2, entries: 2, value: 4 },
        sorted_set: SortedSetLimits { entries: 2, value: 4 },
        hash: HashLimit { entries: 2, value: 4 },
        ..Limits::default()
    }
}

fn restored(content: &[u8], version: u16, limits: &Limits) -> Option<RdbValue> {
    let payload = [content, &version.to_le_bytes(), &[0; 8]].concat();
    rdb::restore(&payload, false, limits).ok()
}

fn dumped(value: &RdbValue) -> Vec<u8> {
    match value {
        RdbValue::String(bytes) => rdb::dump(Value::Bytes(bytes), true),
        RdbValue::Object(object) => rdb::dump(Value::Object(object), true),
    }
}

/// Integers in a set that is no integer set, since it held something else once, are one after a dump, as in Redis.
fn are_same_integers(one: &RdbValue, other: &RdbValue) -> bool {
    let members = |value: &RdbValue| -> Option<Vec<Vec<u8>>> {
        let RdbValue::Object(object) = value else { return None };
        let ObjectView::Set(set) = object.view() else { return None };
        let mut members: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
        members.sort();
        Some(members)
    };
    members(one).is_some_and(|own| Some(own) == members(other))
}

/// Everything can be read, each way that commands read it.
fn read(object: &Object) {
    assert!(!object.is_empty());
    assert!(object.memory_usage() > 0);
    let len = object.len();
    match object.view() {
        ObjectView::List(list) => {
            let mut seen = 0;
            list.for_each(|_| seen += 1);
            assert_eq!(seen, len);
            assert_eq!(list.expanded().iter_back_from(len - 1).count(), len);
            assert!(list.get(len / 2, |_| ()).is_some() && list.get(len, |_| ()).is_none());
        }
        ObjectView::Set(set) => {
            assert_eq!(set.iter().count(), len);
            assert!(set.iter().take(CHANGES).all(|member| set.contains(&member.to_vec())));
            assert!(set.nth(len - 1).is_some());
        }
        ObjectView::SortedSet(set) => {
            assert_eq!(set.iter(0, false).count(), len);
            assert_eq!(set.iter(len - 1, true).count(), len);
            for (rank, (member, score)) in set.iter(0, false).enumerate().take(CHANGES) {
                assert_eq!(set.rank(&member.to_vec()), Some((rank, score)));
            }
        }
        ObjectView::Hash(hash) => {
            assert_eq!(hash.iter().count(), len);
            assert!(hash.iter().take(CHANGES).all(|field| hash.find(&field.name.to_vec()).is_some()));
            assert!(hash.nth(len - 1).is_some());
        }
        ObjectView::Stream(stream) => {
            assert_eq!(stream.range(StreamId::MIN, StreamId::MAX).count(), len);
            assert_eq!(stream.range_back(StreamId::MIN, StreamId::MAX).count(), len);
            for (_, group) in stream.groups() {
                let _ = stream.lag(group);
                assert_eq!(group.pending().iter().count(), group.pending().len());
            }
        }
    }
}

/// Some of it is taken out and something put in.
fn change(object: &mut Object, limits: &Limits) {
    let len = object.len();
    match object.view_mut() {
        ObjectMut::List(list) => {
            for _ in 0..CHANGES {
                list.pop(End::Head, &limits.list, |_| ());
                list.push(End::Tail, b"pushed", &limits.list);
                list.pop(End::Tail, &limits.list, |_| ());
            }
        }
        ObjectMut::Set(set) => {
            let some: Vec<Vec<u8>> = set.iter().take(CHANGES).map(|member| member.to_vec()).collect();
            assert!(some.iter().all(|member| set.remove(member)));
            set.add(b"some new member", &limits.set);
        }
        ObjectMut::SortedSet(set) => {
            let some: Vec<Vec<u8>> = set.iter(0, false).take(CHANGES).map(|(m, _)| m.to_vec()).collect();
            assert!(some.iter().all(|member| set.remove(member).is_some()));
            set.insert(b"some new member", 1.5, &limits.sorted_set);
        }
        ObjectMut::Hash(hash) => {
            let some: Vec<Vec<u8>> = hash.iter().take(CHANGES).map(|field| field.name.to_vec()).collect();
            assert!(some.iter().all(|field| hash.remove(field)));
            hash.set(b"some new field", b"and its value", &limits.hash);
        }
        ObjectMut::Stream(stream) => {
            let ids: Vec<StreamId> =
                stream.range(StreamId::MIN, StreamId::MAX).take(CHANGES).map(|entry| entry.id).collect();
            assert!(ids.iter().all(|id| stream.delete(*id)));
            assert_eq!(stream.range(StreamId::MIN, StreamId::MAX).count() + ids.len(), len);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, content)) = data.split_first() else { return };
    let limits = limits(*choice);
    let Some(value) = restored(content, if choice & 2 == 0 { 12 } else { 80 }, &limits) else { return };
    let first = dumped(&value);
    let again = rdb::restore(&first, true, &limits).expect("what was dumped here is taken back");
    assert!(dumped(&again) == first || are_same_integers(&value, &again));
    if let RdbValue::Object(mut object) = value {
        read(&object);
        let before = object.clone();
        change(&mut object, &limits);
        read(&before);
        drop(object);
        assert!(rdb::dump(Value::Object(&before), true) == first);
    }
});
