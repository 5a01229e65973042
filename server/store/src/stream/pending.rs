//! Maps from IDs to something, in shared blocks: pending lists.

use triomphe::Arc;

use super::StreamId;
use super::shelf::{Keyed, Place, Shelf};
use crate::relocate::Mover;

/// Entries in a block at most.
const BLOCK: usize = if cfg!(test) { 4 } else { 64 };

#[derive(Clone)]
struct Block<V>(Arc<Vec<(StreamId, V)>>);

impl<V: Clone> Keyed for Block<V> {
    fn key(&self) -> StreamId {
        self.0[0].0
    }
}

/// A sorted map whose clone is cheap; a change copies what others still hold of one block and one row of blocks.
#[derive(Clone)]
pub struct IdMap<V> {
    blocks: Shelf<Block<V>>,
    len: usize,
}

impl<V: Clone> Default for IdMap<V> {
    fn default() -> Self {
        Self { blocks: Shelf::default(), len: 0 }
    }
}

impl<V: Clone> IdMap<V> {
    /// Moves a row of blocks as the mover says; where to go on.
    pub(super) fn relocate(&mut self, row: usize, mover: &mut Mover<'_>) -> Option<usize> {
        self.blocks.relocate(row, mover, |Block(entries), mover| {
            if let Some(entries) = mover.arc(entries) {
                mover.vec(entries);
            }
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn find(&self, id: StreamId) -> Option<(Place, Result<usize, usize>)> {
        let place = self.blocks.floor(id)?;
        Some((place, self.blocks.get(place).0.binary_search_by_key(&id, |(id, _)| *id)))
    }

    /// What an ID maps to. O(log n).
    pub fn get(&self, id: StreamId) -> Option<&V> {
        let (place, Ok(at)) = self.find(id)? else { return None };
        Some(&self.blocks.get(place).0[at].1)
    }

    /// As [`Self::get`], for a change.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut V> {
        let (place, Ok(at)) = self.find(id)? else { return None };
        Some(&mut Arc::make_mut(&mut self.blocks.get_mut(place).0)[at].1)
    }

    /// Adds or replaces an entry; gives what was replaced. O(log n).
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let (place, at) = match self.find(id) {
            Some((place, Ok(at))) => {
                let block = Arc::make_mut(&mut self.blocks.get_mut(place).0);
                return Some(std::mem::replace(&mut block[at].1, value));
            }
            Some((place, Err(at))) => (place, at),
            None => match self.blocks.first() {
                Some(first) => (first, 0),
                None => {
                    self.len = 1;
                    self.blocks.push(Block(Arc::new(vec![(id, value)])));
                    return None;
                }
            },
        };
        self.len += 1;
        let is_last = Some(place) == self.blocks.last();
        let block = Arc::make_mut(&mut self.blocks.get_mut(place).0);
        if block.len() < BLOCK {
            block.insert(at, (id, value));
        } else if is_last && at == block.len() {
            // New entries mostly come at the end: their blocks stay full.
            self.blocks.push(Block(Arc::new(vec![(id, value)])));
        } else {
            block.insert(at, (id, value));
            let rest = block.split_off(BLOCK / 2);
            self.blocks.insert_behind(Some(place), Block(Arc::new(rest)));
        }
        None
    }

    /// Takes an entry out. O(log n).
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let (place, Ok(at)) = self.find(id)? else { return None };
        self.len -= 1;
        if self.blocks.get(place).0.len() == 1 {
            let value = self.blocks.get(place).0[0].1.clone();
            self.blocks.remove(place);
            return Some(value);
        }
        Some(Arc::make_mut(&mut self.blocks.get_mut(place).0).remove(at).1)
    }

    /// The entries from an ID on.
    pub fn iter_from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, &V)> {
        let (mut place, mut at) = match self.find(start) {
            Some((place, at)) => (Some(place), at.unwrap_or_else(|at| at)),
            None => (self.blocks.first(), 0),
        };
        std::iter::from_fn(move || {
            loop {
                let block = &self.blocks.get(place?).0;
                if let Some((id, value)) = block.get(at) {
                    at += 1;
                    return Some((*id, value));
                }
                (place, at) = (self.blocks.next(place?), 0);
            }
        })
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &V)> {
        self.iter_from(StreamId::MIN)
    }

    /// The least ID.
    pub fn first(&self) -> Option<StreamId> {
        self.blocks.first().map(|place| self.blocks.get(place).key())
    }

    /// The greatest ID.
    pub fn last(&self) -> Option<StreamId> {
        let place = self.blocks.last()?;
        self.blocks.get(place).0.last().map(|(id, _)| *id)
    }

    /// About how many allocations a drop frees.
    pub(super) fn free_effort(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes on the heap. O(blocks).
    pub fn memory_usage(&self) -> usize {
        let blocks: usize =
            self.blocks.iter().map(|block| block.0.capacity() * size_of::<(StreamId, V)>() + 32).sum();
        self.blocks.memory_usage() + blocks
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn behaves_like_a_tree(ops in proptest::collection::vec((0u8..5, 0u64..60), 0..300)) {
            let (mut map, mut model) = (IdMap::default(), BTreeMap::new());
            let mut clones = Vec::new();
            for (step, (op, n)) in ops.into_iter().enumerate() {
                let id = StreamId::new(n / 10, n % 10);
                match op {
                    0..=2 => prop_assert_eq!(map.insert(id, step), model.insert(id, step)),
                    3 => prop_assert_eq!(map.remove(id), model.remove(&id)),
                    _ => clones.push((map.clone(), model.clone())),
                }
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.get(id), model.get(&id));
                prop_assert_eq!((map.first(), map.last()), (model.keys().next().copied(), model.keys().last().copied()));
            }
            clones.push((map, model));
            for (map, model) in clones {
                for n in 0..60 {
                    let id = StreamId::new(n / 10, n % 10);
                    prop_assert!(map.iter_from(id).eq(model.range(id..).map(|(id, value)| (*id, value))));
                }
            }
        }
    }
}
