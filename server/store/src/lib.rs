//! The data model: the table that holds a database, its entries, the databases themselves and the value types.
//!
//! Nothing here knows a client, a socket, a reply, a configuration file or a clock: limits, time and randomness
//! arrive as arguments. A caller's path through the crate is
//! [`Keyspace`] → [`Db`] → [`Entry`] or [`EntryMut`] → a value ([`Object`], [`SharedBytes`], an integer).
//!
//! Byte layouts and every `unsafe` operation live in the private module `raw`, behind safe functions.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("table words keep 16 hash bits above a 48-bit address: a 64-bit target is needed");

mod db;
mod dict;
mod entry;
mod grow;
mod hash;
mod hash_value;
pub mod hyperloglog;
mod intset;
mod keyspace;
mod list;
mod listpack;
pub mod lzf;
mod number;
mod object;
mod raw;
mod relocate;
mod set;
mod snapshot;
mod sorted_set;
pub mod stream;
mod table;
mod value;

pub use db::{Db, Due, EntryMut, Expire, Garbage, Removed, SetOutcome};
pub use dict::{Dict, Iter as DictIter, VARIABLE, dict_hash};
pub use entry::Entry;
pub use hash::{Hash, Seed};
pub use hash_value::{Field, Fields, HashLimit, HashValue};
pub use intset::{Intset, IntsetError};
pub use keyspace::{DbIndex, Keyspace};
pub use list::{End, Expanded, List, ListLimit, Lzf, NodeView, Range, Wanted};
pub use listpack::{Element, Iter as ListpackIter, Listpack, ListpackError};
pub use number::{format_i64, parse_i64};
pub use object::{Limits, Object, ObjectMut, ObjectView, Typed};
pub use raw::item::{Item, Ref};
pub use relocate::Mover;
pub use set::{Iter as SetIter, Member, Probe, Set, SetLimit, SetView};
pub use snapshot::{SnapshotError, SnapshotSink, SnapshotValue};
pub use sorted_set::{Members, Placed, Side, SortedSet, SortedSetBuilder, SortedSetLimits};
pub use table::{Ahead, At, Table};
pub use value::{Kind, NewValue, SharedBytes, Value};

pub use raw::entry::Added;

/// Byte layouts of entries, exposed for measurements and for fuzzing only.
pub use raw::entry::EntryBox;
