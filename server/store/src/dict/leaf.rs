//! A leaf of the dictionary: items one behind the other, with a byte of each one's hash to search by.

use triomphe::Arc;

use super::{New, Node, VARIABLE, dict_hash};
use crate::hash::Hash;
use crate::raw::entry::class_size;
use crate::relocate::Mover;
use crate::value::SharedBytes;

/// Items of a leaf at most.
pub(super) const SLOTS: usize = if cfg!(test) { 8 } else { 48 };
/// Longest item that lies in its leaf, key and value, bytes.
const NEAR: usize = 250;
/// Stands for the length of an item that lies elsewhere.
const FAR: u8 = 0xff;
/// Size of the entry of an item that lies elsewhere: mark and index.
const FAR_ENTRY: usize = 3;

/// An item too long for its leaf.
#[derive(Clone)]
pub(super) struct Far {
    key: Box<[u8]>,
    pub(super) value: SharedBytes,
}

#[derive(Clone)]
pub(super) struct Leaf<const V: usize> {
    tags: [u8; SLOTS],
    places: [u16; SLOTS],
    len: u8,
    bytes: Vec<u8>,
    /// Rarely there, so it takes one word instead of three.
    #[expect(clippy::box_collection, reason = "a leaf is to stay small")]
    far: Option<Box<Vec<Arc<Far>>>>,
}

impl<const V: usize> Leaf<V> {
    /// Moves what the leaf holds as the mover says.
    pub(super) fn relocate(&mut self, mover: &mut Mover<'_>) {
        mover.vec(&mut self.bytes);
        let Some(far) = &mut self.far else { return };
        mover.boxed(far);
        mover.vec(far);
        for far in far.iter_mut() {
            if let Some(far) = mover.arc(far) {
                mover.slice(&mut far.key);
                far.value.relocate(mover);
            }
        }
    }

    pub(super) fn new() -> Self {
        Self { tags: [0; SLOTS], places: [0; SLOTS], len: 0, bytes: Vec::new(), far: None }
    }

    /// Bytes of the items that lie in it.
    pub(super) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Slots whose tag is `tag`, as bits. Eight tags per step.
    #[inline]
    fn candidates(&self, tag: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        /// Moves bit 8n to bit 56 + n.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let pattern = u64::from_le_bytes([tag; 8]);
        let mut found = 0;
        for (at, eight) in self.tags.chunks_exact(8).enumerate() {
            let differs = u64::from_le_bytes(eight.try_into().expect("eight of them")) ^ pattern;
            let equal = !(((differs & LOW) + LOW) | differs | LOW);
            found |= ((equal >> 7).wrapping_mul(GATHER) >> 56) << (8 * at);
        }
        found & ((1 << self.len) - 1)
    }

    #[inline]
    pub(super) fn find(&self, hash: Hash, key: &[u8]) -> Option<usize> {
        let mut candidates = self.candidates(hash.tag());
        while candidates != 0 {
            let slot = candidates.trailing_zeros() as usize;
            if self.item(slot).0 == key {
                return Some(slot);
            }
            candidates &= candidates - 1;
        }
        None
    }

    #[inline]
    pub(super) fn item(&self, slot: usize) -> (&[u8], &[u8]) {
        let entry = &self.bytes[usize::from(self.places[slot])..];
        if entry[0] == FAR {
            let far = &self.far_items()[far_index(entry)];
            return (&far.key, &far.value);
        }
        let key_len = usize::from(entry[0]);
        match V {
            VARIABLE => {
                let (key, rest) = entry[2..].split_at(key_len);
                (key, &rest[..usize::from(entry[1])])
            }
            _ => {
                let (key, rest) = entry[1..].split_at(key_len);
                (key, &rest[..V])
            }
        }
    }

    fn far_items(&self) -> &[Arc<Far>] {
        self.far.as_ref().map_or(&[], |far| far.as_slice())
    }

    pub(super) fn far(&self, slot: usize) -> Option<&Far> {
        let entry = &self.bytes[usize::from(self.places[slot])..];
        (entry[0] == FAR).then(|| &*self.far_items()[far_index(entry)])
    }

    pub(super) fn entry_size(&self, slot: usize) -> usize {
        match self.far(slot) {
            Some(_) => FAR_ENTRY,
            None => {
                let (key, value) = self.item(slot);
                near_size::<V>(key.len(), value.len())
            }
        }
    }

    /// Adds an item whose key is not there. There is a slot for it.
    pub(super) fn add(&mut self, new: New<'_>) {
        let New { hash, key, value } = new;
        let near = key.len() + value.len() <= NEAR;
        let size = if near { near_size::<V>(key.len(), value.len()) } else { FAR_ENTRY };
        self.reserve(size);
        let slot = self.take_slot(hash.tag());
        self.places[slot] = u16::try_from(self.bytes.len()).expect("a leaf stays small");
        if near {
            self.bytes.push(key.len() as u8);
            if V == VARIABLE {
                self.bytes.push(value.len() as u8);
            }
            self.bytes.extend_from_slice(key);
            self.bytes.extend_from_slice(value);
        } else {
            self.push_far(Arc::new(Far { key: key.into(), value: SharedBytes::new(value.to_vec()) }));
        }
    }

    fn take_slot(&mut self, tag: u8) -> usize {
        let slot = self.len();
        assert!(slot < SLOTS, "over {SLOTS} items have the same {} bits of hash", Hash::PREFIX_BITS);
        self.tags[slot] = tag;
        self.len += 1;
        slot
    }

    fn push_far(&mut self, item: Arc<Far>) {
        let far = self.far.get_or_insert_default();
        self.bytes.push(FAR);
        self.bytes.extend_from_slice(&(far.len() as u16).to_le_bytes());
        far.push(item);
    }

    /// Room for so many bytes more, in a size that the allocator has.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(class_size(needed) - self.bytes.len());
        }
    }

    /// Sets a value where it lies if its length stays; false when it does not.
    pub(super) fn overwrite(&mut self, slot: usize, value: &[u8]) -> bool {
        let old = self.item(slot).1;
        if old.len() != value.len() || self.far(slot).is_some() {
            return false;
        }
        let end = usize::from(self.places[slot]) + self.entry_size(slot);
        self.bytes[end - value.len()..end].copy_from_slice(value);
        true
    }

    pub(super) fn remove(&mut self, slot: usize) {
        let (place, size) = (self.places[slot], self.entry_size(slot));
        if self.far(slot).is_some() {
            self.remove_far(far_index(&self.bytes[usize::from(place)..]));
        }
        self.bytes.drain(usize::from(place)..usize::from(place) + size);
        let last = self.len() - 1;
        self.tags[slot] = self.tags[last];
        self.places[slot] = self.places[last];
        self.len -= 1;
        for other in &mut self.places[..last] {
            if *other > place {
                *other -= size as u16;
            }
        }
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(class_size(self.bytes.len() + 1));
        }
    }

    /// Takes a long item out and gives its index to the last one.
    fn remove_far(&mut self, index: usize) {
        let far = self.far.as_mut().expect("it has long items");
        far.swap_remove(index);
        let moved = far.len();
        if far.is_empty() {
            self.far = None;
        }
        for slot in 0..self.len() {
            let at = usize::from(self.places[slot]);
            if moved != index && self.bytes[at] == FAR && far_index(&self.bytes[at..]) == moved {
                self.bytes[at + 1..at + FAR_ENTRY].copy_from_slice(&(index as u16).to_le_bytes());
            }
        }
    }

    /// Moves the items with the greater hashes to a leaf of their own, which begins at the position that is returned.
    /// `None` when all hashes are the same.
    pub(super) fn split(&mut self) -> Option<(u64, Self)> {
        let mut hashes = [Hash(0); SLOTS];
        let mut sorted = [0; SLOTS];
        let len = self.len();
        for slot in 0..len {
            hashes[slot] = dict_hash(self.item(slot).0);
            sorted[slot] = hashes[slot].prefix();
        }
        let sorted = &mut sorted[..len];
        sorted.sort_unstable();
        let middle = sorted[len / 2];
        let first = if middle > sorted[0] { middle } else { *sorted.iter().find(|at| **at > middle)? };
        let (mut left, mut right) = (Self::new(), Self::new());
        for (slot, hash) in hashes[..len].iter().enumerate() {
            let half = if hash.prefix() < first { &mut left } else { &mut right };
            half.add_from(self, slot);
        }
        *self = left;
        Some((first, right))
    }

    /// Adds a copy of another leaf's item.
    fn add_from(&mut self, other: &Self, slot: usize) {
        let own = self.take_slot(other.tags[slot]);
        let size = other.entry_size(slot);
        self.reserve(size);
        self.places[own] = self.bytes.len() as u16;
        if other.far(slot).is_some() {
            let index = far_index(&other.bytes[usize::from(other.places[slot])..]);
            self.push_far(other.far_items()[index].clone());
        } else {
            let place = usize::from(other.places[slot]);
            self.bytes.extend_from_slice(&other.bytes[place..place + size]);
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.reserve(other.bytes.len());
        (0..other.len()).for_each(|slot| self.add_from(other, slot));
    }

    pub(super) fn memory_usage(&self) -> usize {
        let far = |far: &Arc<Far>| size_of::<Far>() + 16 + far.key.len() + far.value.memory_usage();
        let far: usize = self.far_items().iter().map(far).sum();
        size_of::<Node<V>>() + 8 + self.bytes.capacity() + far
    }
}

/// Size of the entry of an item that lies in its leaf.
#[inline]
fn near_size<const V: usize>(key_len: usize, value_len: usize) -> usize {
    key_len + value_len + if V == VARIABLE { 2 } else { 1 }
}

fn far_index(entry: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([entry[1], entry[2]]))
}
