//! Streams: entries in the order of their IDs, and groups of consumers that share the reading of them.
//!
//! ```text
//!  Stream ─▶ ┬ shelf of nodes (shelf.rs) ─▶ Arc<Node>: some entries in a listpack of Redis's layout (node.rs)
//!            ├ producers and what they sent last (producers.rs)
//!            └ groups by name ─▶ Arc<Group> (group.rs) ─▶ pending entries by ID, in shared blocks (pending.rs)
//! ```
//!
//! A clone copies one pointer per row of nodes and per group; a write after that copies the path that it touches.
//! Entries are deleted by a flag; a node goes when it has no other entries. A node behind which another begins is sealed:
//! it takes less room (sealed.rs) until something is added to it.

mod group;
mod id;
mod node;
mod pending;
mod producers;
mod sealed;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use triomphe::Arc;

pub use group::{Consumer, ConsumerName, Group, Nack};
pub use id::StreamId;
use node::{Node, Walk};
pub use node::{Pairs, StreamEntry, StreamLimits};
pub use pending::IdMap;
pub use producers::{ProducerLimits, Producers};
use shelf::{Keyed, Place, Shelf};

use crate::listpack::Listpack;
use crate::raw::word::Word;
use crate::relocate::Mover;

/// A node and the ID of its first entry.
#[derive(Clone)]
struct Shelved {
    master: StreamId,
    node: Arc<Node>,
}

impl Keyed for Shelved {
    fn key(&self) -> StreamId {
        self.master
    }
}

/// What a stream says about itself besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// Number of entries.
    pub len: u64,
    /// The last ID that was given out.
    pub last_id: StreamId,
    /// The ID of the first entry; 0-0 if there is none.
    pub first_id: StreamId,
    /// The greatest ID that was deleted from between others.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
}

#[derive(Clone, Default)]
pub(crate) struct StreamBody {
    nodes: Shelf<Shelved>,
    facts: StreamFacts,
    groups: BTreeMap<Box<[u8]>, Arc<Group>>,
    producers: Option<Arc<Producers>>,
}

/// A stream. An empty one may be kept: it knows the IDs that were given out.
#[derive(Clone)]
#[repr(transparent)]
pub struct Stream(Word);

impl Default for Stream {
    fn default() -> Self {
        Self(Word::large(StreamBody::default()))
    }
}

/// Why a stream's bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadStream(pub &'static str);

/// Up to where to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Until there are no more than so many entries.
    MaxLen(u64),
    /// Until no entry has a lower ID.
    MinId(StreamId),
}

/// In the place of a walk over a stream: the number of a group lies above, the row of its pending entries below.
const IN_GROUPS: u64 = 1 << 63;
const GROUP_BITS: u32 = 32;

impl Stream {
    #[inline]
    fn body(&self) -> &StreamBody {
        self.0.get()
    }

    #[inline]
    fn body_mut(&mut self) -> &mut StreamBody {
        self.0.get_mut()
    }

    /// Moves a piece as the mover says; where to go on.
    pub(crate) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        let body = self.0.relocate::<StreamBody>(from, mover);
        if from & IN_GROUPS == 0 {
            let next = body.nodes.relocate(from as usize, mover, |shelved, mover| {
                if let Some(node) = mover.arc(&mut shelved.node) {
                    node.relocate(mover);
                }
            });
            return Some(next.map_or(IN_GROUPS, |row| row as u64));
        }
        let (number, row) = ((from & !IN_GROUPS) >> GROUP_BITS, from & ((1 << GROUP_BITS) - 1));
        let group = body.groups.values_mut().nth(number as usize)?;
        let next_group = IN_GROUPS | (number + 1) << GROUP_BITS;
        let group = if row == 0 { mover.arc(group) } else { Arc::get_mut(group) };
        let next = group.and_then(|group| group.relocate(row as usize, mover));
        Some(next.map_or(next_group, |row| IN_GROUPS | number << GROUP_BITS | row as u64))
    }

    /// Length, IDs and counts.
    pub fn facts(&self) -> StreamFacts {
        self.body().facts
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.body().facts.len as usize
    }

    /// No entries; the stream itself may matter all the same.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.body().nodes.len()
    }

    /// About how many allocations a drop frees. O(groups).
    pub fn free_effort(&self) -> usize {
        self.node_count() + self.body().groups.values().map(|group| 1 + group.free_effort()).sum::<usize>()
    }

    /// Bytes on the heap; shared nodes count in full. O(nodes).
    pub fn memory_usage(&self) -> usize {
        let nodes: usize = self.body().nodes.iter().map(|shelved| shelved.node.memory_usage()).sum();
        let groups: usize =
            self.body().groups.iter().map(|(name, group)| name.len() + 32 + group.memory_usage()).sum();
        let producers = self.body().producers.as_ref().map_or(0, |producers| producers.memory_usage());
        size_of::<StreamBody>() + self.body().nodes.memory_usage() + nodes + groups + producers
    }

    // --- coming and going ------------------------------------------------------------------------------------------

    /// The nodes as files hold them: each one's ID, and its listpack through `show`.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, NodeBytes<'_>)> {
        self.body().nodes.iter().map(|shelved| (shelved.master, NodeBytes(&shelved.node)))
    }

    /// Adds a node as files hold them, behind all others. [`Self::settle`] after the last one.
    ///
    /// # Errors
    /// When it is not in order, its entries are not, or its elements contradict each other.
    pub fn push_node(&mut self, master: StreamId, pack: Listpack) -> Result<(), BadStream> {
        let nodes = &mut self.body_mut().nodes;
        let last = nodes.last().map(|place| nodes.get(place));
        // A node's own ID bounds it where no entry is left.
        let top = |last: &Shelved| last.node.last_live_id(last.master).unwrap_or(last.master);
        if last.is_some_and(|last| last.master >= master || top(last) >= master) {
            return Err(BadStream("stream nodes out of order"));
        }
        let node = Node::from_listpack(pack).ok_or(BadStream("stream node"))?;
        if !node.is_in_order(master) {
            return Err(BadStream("stream entries out of order"));
        }
        if let Some(last) = nodes.last()
            && let Some(last) = Arc::get_mut(&mut nodes.get_mut(last).node)
        {
            last.seal();
        }
        nodes.push(Shelved { master, node: Arc::new(node) });
        Ok(())
    }

    /// Sets what a file tells of a stream whose nodes have all been added.
    ///
    /// # Errors
    /// When the nodes hold another number of entries, or entries that the facts say were never added.
    pub fn settle(&mut self, facts: StreamFacts) -> Result<(), BadStream> {
        let len: u64 = self.body().nodes.iter().map(|shelved| shelved.node.live()).sum();
        if len != facts.len {
            return Err(BadStream("stream length"));
        }
        if facts.entries_added < len {
            return Err(BadStream("stream: fewer entries added than there are"));
        }
        if self.last_entry_id().is_some_and(|last| last > facts.last_id) {
            return Err(BadStream("stream: an entry above the last ID"));
        }
        self.body_mut().facts = facts;
        if len > 0 {
            self.renew_first_id();
        }
        Ok(())
    }

    /// The ID of the first entry, found by looking.
    pub fn find_first_id(&self) -> StreamId {
        self.range(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id)
    }

    // --- entries -----------------------------------------------------------------------------------------------------

    /// Adds an entry whose ID is above [`StreamFacts::last_id`]. O(bytes of the entry and of the node's fields).
    ///
    /// # Panics
    /// When the ID is not above.
    pub fn append(&mut self, id: StreamId, pairs: &Pairs<'_>, limits: &StreamLimits) {
        let StreamBody { nodes, facts, .. } = self.body_mut();
        assert!(id > facts.last_id, "{id} is not above {}", facts.last_id);
        let bytes = pairs.iter().map(|(field, value)| field.len() + value.len()).sum();
        facts.len += 1;
        // At the greatest count, which only a file can claim, it stays.
        facts.entries_added = facts.entries_added.saturating_add(1);
        facts.last_id = id;
        if facts.len == 1 {
            facts.first_id = id;
        }
        // Trimming may leave a node of deleted entries alone, and XSETID may then go back before it.
        if facts.len == 1 && nodes.last().is_some_and(|last| nodes.get(last).master >= id) {
            *nodes = Shelf::default();
        }
        if let Some(last) = nodes.last() {
            let full = nodes.get(last).node.is_full(bytes, limits);
            let shelved = nodes.get_mut(last);
            if !full {
                return Arc::make_mut(&mut shelved.node).append(shelved.master, id, pairs);
            }
            if let Some(node) = Arc::get_mut(&mut shelved.node) {
                node.seal();
            }
        }
        nodes.push(Shelved { master: id, node: Arc::new(Node::new(pairs)) });
    }

    /// The entries from `start` to `end`, both included.
    pub fn range(&self, start: StreamId, end: StreamId) -> StreamRange<'_> {
        let place = self.body().nodes.floor(start).or_else(|| self.body().nodes.first());
        StreamRange::new(self, place, (start, end), false)
    }

    /// The same entries from the last to the first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> StreamRange<'_> {
        StreamRange::new(self, self.body().nodes.floor(end), (start, end), true)
    }

    /// The last entry's ID.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// Whether there is an entry of this ID.
    pub fn contains(&self, id: StreamId) -> bool {
        self.range(id, id).next().is_some()
    }

    /// Deletes an entry; false when there is none of this ID.
    pub fn delete(&mut self, id: StreamId) -> bool {
        if !self.contains(id) {
            return false;
        }
        let Some(place) = self.body().nodes.floor(id) else { return false };
        self.delete_in(place, |other| match other.cmp(&id) {
            std::cmp::Ordering::Greater => None,
            order => Some(order.is_eq()),
        });
        let facts = &mut self.body_mut().facts;
        facts.max_deleted_id = facts.max_deleted_id.max(id);
        if facts.first_id == id || facts.len == 0 {
            self.renew_first_id();
        }
        true
    }

    /// Deletes entries of one node, and the node when none is left.
    fn delete_in(&mut self, place: Place, which: impl FnMut(StreamId) -> Option<bool>) -> u64 {
        let StreamBody { nodes, facts, .. } = self.body_mut();
        let shelved = nodes.get_mut(place);
        let deleted = Arc::make_mut(&mut shelved.node).delete(shelved.master, which);
        facts.len -= deleted;
        if deleted > 0 && shelved.node.live() == 0 {
            nodes.remove(place);
        }
        deleted
    }

    fn renew_first_id(&mut self) {
        self.body_mut().facts.first_id = if self.is_empty() { StreamId::MIN } else { self.find_first_id() };
    }

    /// Deletes entries from the start and tells how many: whole nodes where that is `approximate`, and (unless it is 0)
    /// no more than `most`.
    pub fn trim(&mut self, trim: Trim, approximate: bool, most: u64) -> u64 {
        let mut deleted = 0;
        while let Some(place) = self.body().nodes.first() {
            let StreamBody { nodes, facts, .. } = self.body_mut();
            let shelved = nodes.get(place);
            let live = shelved.node.live();
            if matches!(trim, Trim::MaxLen(len) if facts.len <= len) || most > 0 && deleted + live > most {
                break;
            }
            let goes_whole = match trim {
                Trim::MaxLen(len) => facts.len - live >= len,
                Trim::MinId(id) => shelved.node.last_id(shelved.master) < id,
            };
            if goes_whole {
                nodes.remove(place);
                facts.len -= live;
                deleted += live;
                continue;
            }
            if !approximate {
                deleted += self.trim_node(place, trim);
            }
            break;
        }
        if deleted > 0 {
            self.renew_first_id();
        }
        deleted
    }

    /// Marks entries of the first node as deleted. The node stays, even if none of them is left: its last ones may be
    /// beyond the limit, though deleted before.
    fn trim_node(&mut self, place: Place, trim: Trim) -> u64 {
        let StreamBody { nodes, facts, .. } = self.body_mut();
        let shelved = nodes.get_mut(place);
        let master = shelved.master;
        let kept: std::collections::BTreeSet<StreamId> = match trim {
            // Those behind the ones to go, as a first ID.
            Trim::MaxLen(len) => {
                let goes = (facts.len - len) as usize;
                let live = shelved.node.walk(master).filter(|entry| !entry.is_deleted());
                live.skip(goes).take(1).map(|entry| entry.id).collect()
            }
            Trim::MinId(id) => [id].into(),
        };
        let Some(first_kept) = kept.first().copied() else { return 0 };
        let node = Arc::make_mut(&mut shelved.node);
        let deleted = node.delete(master, |id| (id < first_kept).then_some(true));
        facts.len -= deleted;
        deleted
    }

    /// Sets the last ID that was given out, and counts where given (XSETID).
    pub fn set_facts(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted_id: Option<StreamId>,
    ) {
        let facts = &mut self.body_mut().facts;
        facts.last_id = last_id;
        facts.entries_added = entries_added.unwrap_or(facts.entries_added);
        facts.max_deleted_id = max_deleted_id.unwrap_or(facts.max_deleted_id);
    }

    // --- producers -------------------------------------------------------------------------------------------------

    /// The producers, where entries are looked for that were sent twice.
    pub fn producers(&self) -> Option<&Producers> {
        self.body().producers.as_deref()
    }

    /// The same for a change; begun with `limits` if there were none. A database counts the streams that have some, so
    /// this belongs into `EntryMut::change`.
    pub fn producers_mut(&mut self, limits: ProducerLimits) -> &mut Producers {
        Arc::make_mut(self.body_mut().producers.get_or_insert_with(|| Arc::new(Producers::new(limits))))
    }

    // --- groups ------------------------------------------------------------------------------------------------------

    /// The groups by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.body().groups.iter().map(|(name, group)| (&**name, &**group))
    }

    /// A group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.body().groups.get(name).map(|group| &**group)
    }

    /// A group for a change.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.body_mut().groups.get_mut(name).map(Arc::make_mut)
    }

    /// All groups for a change.
    pub fn groups_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.body_mut().groups.values_mut().map(Arc::make_mut)
    }

    /// Adds a group; false when there is one of this name.
    pub fn create_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.body().groups.contains_key(name) {
            return false;
        }
        self.body_mut().groups.insert(name.into(), Arc::new(group));
        true
    }

    /// Removes a group; false when there is none of this name.
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        self.body_mut().groups.remove(name).is_some()
    }

    /// Whether an entry is pending in some group.
    pub fn is_pending(&self, id: StreamId) -> bool {
        self.body().groups.values().any(|group| group.pending().get(id).is_some())
    }

    /// Whether every group was given an entry and has acknowledged it.
    pub fn is_done_with(&self, id: StreamId) -> bool {
        self.body().groups.values().all(|group| group.last_id >= id && group.pending().get(id).is_none())
    }

    /// Whether entries from `start` on may have been deleted from between others.
    pub fn has_gaps_from(&self, start: StreamId) -> bool {
        let facts = &self.body().facts;
        facts.len > 0
            && facts.max_deleted_id != StreamId::MIN
            && facts.first_id <= facts.max_deleted_id
            && start <= facts.max_deleted_id
    }

    /// How many entries were added up to an ID, where that can be told.
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        let facts = &self.body().facts;
        if facts.entries_added == 0 {
            return Some(0);
        }
        if facts.len == 0 && id <= facts.last_id || id == facts.last_id {
            return Some(facts.entries_added);
        }
        if id > facts.last_id
            || facts.max_deleted_id != StreamId::MIN && facts.max_deleted_id >= facts.first_id
        {
            return None;
        }
        let before = facts.entries_added.wrapping_sub(facts.len);
        match id.cmp(&facts.first_id) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group has still to be given, where that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.body().facts.entries_added;
        if added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_gaps_from(group.last_id) => Some(read),
            _ => self.entries_up_to(group.last_id),
        };
        read.map(|read| added.wrapping_sub(read).cast_signed())
    }

    /// How far a group that has read so much is once it was given the entry `id`.
    pub fn entries_read_at(&self, read: Option<u64>, id: StreamId) -> Option<u64> {
        match read {
            Some(read) if !self.has_gaps_from(id) => Some(read.saturating_add(1)),
            _ if self.body().facts.entries_added > 0 => self.entries_up_to(id),
            read => read,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({:?}, {} nodes)", self.body().facts, self.node_count())
    }
}

/// A node's bytes.
#[derive(Clone, Copy)]
pub struct NodeBytes<'a>(&'a Node);

impl NodeBytes<'_> {
    /// Appends the listpack in Redis's format.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.0.write_to(out);
    }
}

/// Entries within a range of IDs, in either direction.
#[derive(Clone)]
pub struct StreamRange<'a> {
    stream: &'a Stream,
    /// The node of `walk`.
    place: Option<Place>,
    walk: Option<Walk<'a>>,
    bounds: (StreamId, StreamId),
    back: bool,
}

impl<'a> StreamRange<'a> {
    fn new(stream: &'a Stream, place: Option<Place>, bounds: (StreamId, StreamId), back: bool) -> Self {
        let place = place.filter(|_| bounds.0 <= bounds.1);
        let mut range = Self { stream, place, walk: None, bounds, back };
        range.enter();
        range
    }

    fn enter(&mut self) {
        let nodes = &self.stream.body().nodes;
        self.walk = self.place.map(|place| {
            let shelved = nodes.get(place);
            shelved.node.walk(shelved.master)
        });
    }

    /// Goes on to the next node.
    fn advance(&mut self) {
        let nodes = &self.stream.body().nodes;
        self.place =
            self.place.and_then(|place| if self.back { nodes.previous(place) } else { nodes.next(place) });
        self.enter();
    }
}

impl<'a> Iterator for StreamRange<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let walk = self.walk.as_mut()?;
            let entry = if self.back { walk.next_back() } else { walk.next() };
            let Some(entry) = entry else {
                self.advance();
                continue;
            };
            // Whose ID tells nothing of what follows: see `Node::is_in_order`.
            if entry.is_deleted() {
                continue;
            }
            let (start, end) = self.bounds;
            let passed = if self.back { entry.id < start } else { entry.id > end };
            if passed {
                self.walk = None;
                return None;
            }
            if (start..=end).contains(&entry.id) {
                return Some(entry);
            }
        }
    }
}
