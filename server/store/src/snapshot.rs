//! One database's part in a snapshot: what is still to be walked, and what writes have pushed out of the way.
//!
//! A snapshot hands out every key that was there when it began, exactly once, as it was then. Each entry carries a
//! one-byte stamp; a snapshot takes a new stamp value, new entries get it, and an entry with any other stamp is still
//! to be handed out: by the walk, or before its first change by the write that changes it (its *pre-image*, a copy
//! for small values, a clone of the nodes for big ones).
//!
//! FLUSHDB in the middle moves the whole table aside; the walk goes on over that one.

use std::fmt;

use crate::db::Garbage;
use crate::raw::entry::EntryBox;
use crate::raw::item::{Item, Ref};
use crate::table::Table;
use crate::value::Value;

/// A value as a snapshot hands it out. Shared strings and objects can be cloned cheaply.
pub type SnapshotValue<'a> = Value<'a>;

/// Receives a snapshot's entries.
pub trait SnapshotSink {
    /// One entry of the database that had the number `db` when the snapshot began.
    fn entry(&mut self, db: usize, key: &[u8], expire: Option<i64>, access: u32, value: SnapshotValue<'_>);
}

/// Why a snapshot did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// There is one at a time.
    AlreadyRunning,
    /// So many snapshots were aborted in a row that no stamp is free: finish `restamp_step` first.
    StampsUsedUp,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SnapshotError::AlreadyRunning => "a snapshot is already in progress",
            SnapshotError::StampsUsedUp => {
                "too many snapshots were aborted, entries must be stamped anew first"
            }
        })
    }
}

impl std::error::Error for SnapshotError {}

/// A walk over a table, by hash prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    At(u64),
    Done,
}

impl Walk {
    /// Visits segments until `budget` entries were visited or the end is reached.
    pub(crate) fn step(
        &mut self,
        table: &Table<EntryBox>,
        budget: &mut usize,
        mut visit: impl FnMut(&EntryBox),
    ) {
        while let Walk::At(from) = *self
            && *budget > 0
        {
            let mut visited = 1;
            let next = table.visit_segment(from, |entry: Ref<'_, EntryBox>| {
                visited += 1;
                visit(&entry);
            });
            *budget = budget.saturating_sub(visited);
            *self = next.map_or(Walk::Done, Walk::At);
        }
    }
}

/// A running snapshot's state in one database.
pub(crate) struct DbSnapshot {
    /// The database's number when the snapshot began.
    index: usize,
    stamp: u8,
    walk: Walk,
    /// A table that was flushed before the walk had passed.
    flushed: Option<(Table<EntryBox>, Walk)>,
    /// Each with the bytes that it was reckoned at.
    preimages: Vec<(EntryBox, usize)>,
    preimage_bytes: usize,
}

impl DbSnapshot {
    pub(crate) fn new(index: usize, stamp: u8) -> Self {
        Self { index, stamp, walk: Walk::At(0), flushed: None, preimages: Vec::new(), preimage_bytes: 0 }
    }

    /// To be called before `entry` changes or goes (`goes`: its whole value is then kept alive by this).
    #[inline]
    pub(crate) fn before_change(&mut self, entry: &EntryBox, goes: bool) {
        if entry.stamp() != self.stamp {
            self.keep(entry, goes);
        }
    }

    #[cold]
    fn keep(&mut self, entry: &EntryBox, goes: bool) {
        let value = match entry.value() {
            Value::Object(object) if !goes => object.clone_bytes(),
            value => value.memory_usage(),
        };
        let bytes = entry.allocated() + value;
        self.preimage_bytes += bytes;
        self.preimages.push((entry.clone(), bytes));
        entry.set_stamp(self.stamp);
    }

    pub(crate) fn preimage_bytes(&self) -> usize {
        self.preimage_bytes
    }

    /// Hands out and forgets pre-images, `budget` of them at most: many can gather while the walk has to wait.
    pub(crate) fn take_preimages(&mut self, budget: &mut usize, sink: &mut dyn SnapshotSink) {
        while *budget > 0
            && let Some((entry, bytes)) = self.preimages.pop()
        {
            *budget -= 1;
            self.preimage_bytes -= bytes;
            hand_out(sink, self.index, &entry);
        }
        if self.preimages.is_empty() {
            self.preimages = Vec::new();
        }
    }

    /// Keeps a flushed table if the walk still needs it, else gives it back.
    pub(crate) fn flush(&mut self, table: Table<EntryBox>) -> Option<Table<EntryBox>> {
        let walk = std::mem::replace(&mut self.walk, Walk::Done);
        if walk == Walk::Done || table.is_empty() {
            return Some(table);
        }
        // A second flush cannot come here: the first ended the walk of all tables that follow.
        self.flushed = Some((table, walk));
        None
    }

    /// Walks on; true when everything of this database was handed out, pre-images aside.
    pub(crate) fn step(
        &mut self,
        table: &Table<EntryBox>,
        budget: &mut usize,
        sink: &mut dyn SnapshotSink,
        garbage: &mut Vec<Garbage>,
    ) -> bool {
        let (index, stamp) = (self.index, self.stamp);
        let mut visit = |entry: &EntryBox| {
            if entry.stamp() != stamp {
                hand_out(sink, index, entry);
                entry.set_stamp(stamp);
            }
        };
        if let Some((flushed, walk)) = &mut self.flushed {
            walk.step(flushed, budget, &mut visit);
            if *walk == Walk::Done {
                garbage.extend(self.flushed.take().map(|(table, _)| Garbage::from(table)));
            }
        }
        self.walk.step(table, budget, &mut visit);
        self.flushed.is_none() && self.walk == Walk::Done
    }

    /// Lets go of everything.
    pub(crate) fn into_garbage(self) -> impl Iterator<Item = Garbage> {
        let preimages = self.preimages.into_iter().map(|(entry, _)| Garbage::from(entry));
        preimages.chain(self.flushed.map(|(table, _)| Garbage::from(table)))
    }
}

fn hand_out(sink: &mut dyn SnapshotSink, db: usize, entry: &EntryBox) {
    sink.entry(db, entry.key(), entry.expire(), entry.access(), entry.value());
}
