//! Any bytes as a stream, then any commands on it, beside a model: nothing panics, every reading agrees with the model
//! after every step, and what is written is read again as the same.
//!
//! ```text
//!  ├ choice ┼ n ┼ n operations of 3 bytes ┼ content of a payload for RESTORE ┤
//! ```
//!
//! Bytes that are no stream leave the operations an empty one.

#![no_main]
// The writer of whole snapshots comes along with the modules, and nothing here uses it.
#![allow(dead_code, unused_imports)]

#[path = "../../src/persistence/rdb/mod.rs"]
mod rdb;

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use rdb::RdbValue;
use store::stream::{Group, Stream, StreamEntry, StreamId, StreamLimits, Trim};
use store::{Limits, Object, ObjectView, Value};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
type Model = BTreeMap<StreamId, Fields>;

/// Bytes of an operation.
const OP: usize = 3;
/// Entries that one reading takes.
const READ: usize = 8;
/// A length above which comparing everything after each step is too slow.
const LONG: usize = 300;

const GROUPS: [&[u8]; 2] = [b"g", b"other"];
const CONSUMERS: [&[u8]; 3] = [b"alice", b"bob", b""];
const NAMES: [&[u8]; 3] = [b"field", b"7", b""];

fn entry_of(entry: &StreamEntry<'_>) -> (StreamId, Fields) {
    (entry.id, entry.fields().map(|(field, value)| (field.to_vec(), value.to_vec())).collect())
}

fn contents(stream: &Stream) -> Model {
    stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry_of(&entry)).collect()
}

fn stream_of(object: &Object) -> Option<Stream> {
    match object.view() {
        ObjectView::Stream(stream) => Some(stream.clone()),
        _ => None,
    }
}

fn restored(content: &[u8]) -> Option<Stream> {
    let payload = [content, &12u16.to_le_bytes(), &[0; 8]].concat();
    match rdb::restore(&payload, false, &Limits::default()).ok()? {
        RdbValue::Object(object) => stream_of(&object),
        RdbValue::String(_) => None,
    }
}

/// Writes the stream and reads it again.
fn through_bytes(stream: &Stream) -> Stream {
    let object = Object::from(stream.clone());
    let dump = rdb::dump(Value::Object(&object), true);
    let Ok(RdbValue::Object(again)) = rdb::restore(&dump, true, &Limits::default()) else {
        panic!("what was written is not taken back: {stream:?}");
    };
    assert!(rdb::dump(Value::Object(&again), true) == dump);
    stream_of(&again).expect("a stream again")
}

/// The stream, what must be in it, and clones that must stay as they were.
struct Bench {
    stream: Stream,
    model: Model,
    limits: StreamLimits,
    clones: Vec<(Stream, Model)>,
}

impl Bench {
    /// One of the IDs that are there, or one near it.
    fn id(&self, which: u8) -> StreamId {
        let at = usize::from(which >> 2) % self.model.len().max(1);
        let id = self.model.keys().nth(at).copied().unwrap_or(self.stream.facts().last_id);
        match which & 3 {
            0 | 1 => id,
            2 => id.next().unwrap_or(id),
            _ => StreamId::new(id.ms.saturating_sub(1), 0),
        }
    }

    fn step(&mut self, [what, which, more]: [u8; OP]) {
        match what % 13 {
            0 | 1 => self.add(which, more),
            2 => {
                let id = self.id(which);
                assert_eq!(self.stream.delete(id), self.model.remove(&id).is_some());
            }
            3 => self.trim(Trim::MaxLen(u64::from(which)), more),
            4 => self.trim(Trim::MinId(self.id(which)), more),
            5 => self.range(self.id(which), self.id(more)),
            6 => self.set_id(which, more),
            7 => {
                let group = Group::new(self.id(which), (more & 1 == 0).then_some(more.into()));
                self.stream.create_group(GROUPS[usize::from(more >> 1) % 2], group);
            }
            8 => self.read_group(which, more),
            9 => self.claim(which, more),
            10 => self.acknowledge(which, more),
            11 => self.stream = through_bytes(&self.stream),
            _ if self.model.len() < LONG => self.clones.push((self.stream.clone(), self.model.clone())),
            _ => self.clones.clear(),
        }
    }

    fn add(&mut self, which: u8, more: u8) {
        let last = self.stream.facts().last_id;
        let id = match which & 1 {
            0 => last.next(),
            _ => last.ms.checked_add(u64::from(which)).map(|ms| StreamId::new(ms, 0)).filter(|id| *id > last),
        };
        let Some(id) = id else { return };
        let value = vec![b'0' + (more & 7); usize::from(more >> 3)];
        let fields: Fields =
            (0..=which >> 6).map(|n| (NAMES[usize::from(n ^ more) % 3].to_vec(), value.clone())).collect();
        let pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|(f, v)| (f.as_slice(), v.as_slice())).collect();
        self.stream.append(id, &pairs, &self.limits);
        self.model.insert(id, fields);
    }

    fn trim(&mut self, trim: Trim, how: u8) {
        let approximate = how & 1 == 1;
        let deleted = self.stream.trim(trim, approximate, if approximate { u64::from(how >> 1) } else { 0 });
        let beyond = match trim {
            Trim::MaxLen(len) => (self.model.len() as u64).saturating_sub(len),
            Trim::MinId(id) => self.model.range(..id).count() as u64,
        };
        assert!(if approximate { deleted <= beyond } else { deleted == beyond });
        (0..deleted).for_each(|_| drop(self.model.pop_first()));
    }

    fn range(&self, start: StreamId, end: StreamId) {
        let mut expected: Vec<StreamId> =
            if start > end { Vec::new() } else { self.model.range(start..=end).map(|(id, _)| *id).collect() };
        assert!(self.stream.range(start, end).map(|entry| entry.id).eq(expected.iter().copied()));
        expected.reverse();
        assert!(self.stream.range_back(start, end).map(|entry| entry.id).eq(expected));
        assert_eq!(self.stream.contains(start), self.model.contains_key(&start));
    }

    /// XSETID's conditions are its command's to check.
    fn set_id(&mut self, which: u8, more: u8) {
        let top = self.stream.last_entry_id().unwrap_or(StreamId::MIN);
        let id = self.id(which).max(top);
        let added = (more & 1 == 0).then(|| self.model.len() as u64 + u64::from(more));
        self.stream.set_facts(id, added, (more & 2 == 0).then_some(id));
    }

    /// XREADGROUP, of new entries.
    fn read_group(&mut self, which: u8, more: u8) {
        let (name, consumer) = (GROUPS[usize::from(which) % 2], CONSUMERS[usize::from(more) % 3]);
        let Some(group) = self.stream.group(name) else { return };
        let (last_id, mut read) = (group.last_id, group.entries_read);
        let Some(from) = last_id.next() else { return };
        let ids: Vec<StreamId> =
            self.stream.range(from, StreamId::MAX).take(READ).map(|entry| entry.id).collect();
        assert!(ids.iter().eq(self.model.range(from..).take(READ).map(|(id, _)| id)));
        ids.iter().for_each(|id| read = self.stream.entries_read_at(read, *id));
        let Some(group) = self.stream.group_mut(name) else { return };
        group.create_consumer(consumer, 1);
        group.touch_consumer(consumer, 2, Some(2));
        ids.iter().for_each(|id| group.assign(*id, consumer, 3, 1));
        (group.last_id, group.entries_read) = (ids.last().copied().unwrap_or(last_id), read);
    }

    fn claim(&mut self, which: u8, more: u8) {
        let (id, consumer) = (self.id(which), CONSUMERS[usize::from(more) % 3]);
        let exists = self.model.contains_key(&id);
        let Some(group) = self.stream.group_mut(GROUPS[usize::from(more >> 2) % 2]) else { return };
        match more >> 4 {
            0 => group.release(id, 5),
            1 => drop(group.delete_consumer(consumer)),
            2 => group.redeliver(id, 9),
            _ => {
                group.create_consumer(consumer, 4);
                if exists {
                    group.assign(id, consumer, i64::from(more), 2);
                }
            }
        }
    }

    fn acknowledge(&mut self, which: u8, more: u8) {
        let name = GROUPS[usize::from(more) % 2];
        let Some(group) = self.stream.group_mut(name) else { return };
        // Also what a file says is pending, whose entry may be gone.
        let id = match which & 1 {
            0 => group.pending().first(),
            _ => group.pending().last(),
        };
        let Some(id) = id else { return };
        assert!(group.acknowledge(id) && !group.acknowledge(id));
        if more == u8::MAX {
            assert!(self.stream.destroy_group(name));
        }
    }

    /// What must hold at any time.
    fn check(&self) {
        let facts = self.stream.facts();
        assert_eq!(facts.len, self.model.len() as u64);
        assert!(facts.entries_added >= facts.len);
        let edges = [self.model.keys().next(), self.model.keys().last()].map(Option::<&_>::copied);
        assert_eq!(self.stream.last_entry_id(), edges[1]);
        if let [Some(first), Some(last)] = edges {
            assert_eq!(facts.first_id, first);
            assert!(facts.last_id >= last);
        }
        for (_, group) in self.stream.groups() {
            let _ = self.stream.lag(group);
            assert_eq!(group.pending().iter().count(), group.pending().len());
            let owned: usize = group.consumers().map(|(_, consumer)| consumer.pending().len()).sum();
            assert_eq!(owned + group.released(), group.pending().len());
        }
        if self.model.len() < LONG {
            assert!(contents(&self.stream) == self.model);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [choice, count, rest @ ..] = data else { return };
    let (ops, content) = rest.split_at(rest.len().min(usize::from(*count) * OP));
    let stream = restored(content).unwrap_or_default();
    let model = contents(&stream);
    let limits = match choice & 3 {
        0 => StreamLimits::default(),
        n => StreamLimits { node_bytes: 40 << n, node_entries: u64::from(choice >> 2) },
    };
    let mut bench = Bench { stream, model, limits, clones: Vec::new() };
    bench.check();
    for op in ops.as_chunks::<OP>().0 {
        bench.step(*op);
        bench.check();
    }
    assert!(contents(&through_bytes(&bench.stream)) == bench.model);
    bench.clones.iter().for_each(|(stream, model)| assert!(contents(stream) == *model));
});
