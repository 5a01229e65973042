//! A value of many elements as one word: the address of a block whose second byte says what it is.
//!
//! ```text
//!  Word ─┬─ a room (room.rs): a listpack or an integer set      ├ class ┼ tag ┼ … ┤
//!        └─ a block: anything larger                            ├  0    ┼ tag ┼ 0 u48 ┼ the value … ┤
//! ```
//!
//! An entry keeps the word as it is: with a key of 16 bytes it takes 32 bytes, where a second word for the type would make
//! it 48. Small collections are many, and cost little besides.
//!
//! Invariants: the tag says what the address leads to. Tags of rooms belong to one type of the two; tags of blocks to one
//! type each, which [`Large`] ties together. The block is the word's own. A room's owner that takes another allocation keeps
//! the tag ([`super::room::Room::another`]). One that is itself replaced through a borrow, as by `mem::take`, loses it:
//! the word is then of no type, which the next look at it ends with a panic. [`Word::into_pack`] takes a room out instead.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::room::{Room, TAGS};
use crate::dict::Dict;
use crate::hash_value::{Expiring, HashTable, HashValue};
use crate::intset::Intset;
use crate::list::{List, Quicklist};
use crate::listpack::Listpack;
use crate::relocate::Mover;
use crate::set::Set;
use crate::sorted_set::{SortedSet, Tree};
use crate::stream::{Stream, StreamBody};
use crate::value::Kind;

/// What a word leads to: a type and its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tag {
    ListPacked = 1,
    ListQuick,
    SetInts,
    SetPacked,
    SetTable,
    SortedPacked,
    SortedTree,
    HashPacked,
    HashExpiring,
    HashTable,
    Stream,
}

/// All tags in the order of their numbers, from 1 on: 0 is a room's that belongs to no word.
const ALL: [Tag; 11] = [
    Tag::ListPacked,
    Tag::ListQuick,
    Tag::SetInts,
    Tag::SetPacked,
    Tag::SetTable,
    Tag::SortedPacked,
    Tag::SortedTree,
    Tag::HashPacked,
    Tag::HashExpiring,
    Tag::HashTable,
    Tag::Stream,
];
const _: () = assert!(ALL.len() < TAGS);

impl Tag {
    /// The type.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        match self {
            Tag::ListPacked | Tag::ListQuick => Kind::List,
            Tag::SetInts | Tag::SetPacked | Tag::SetTable => Kind::Set,
            Tag::SortedPacked | Tag::SortedTree => Kind::SortedSet,
            Tag::HashPacked | Tag::HashExpiring | Tag::HashTable => Kind::Hash,
            Tag::Stream => Kind::Stream,
        }
    }
}

/// An owner of a room that can be all there is to a value.
///
/// # Safety
/// It is a [`Room`] and nothing else, `repr(transparent)`; no two types take the same tag.
pub(crate) unsafe trait Small: Clone + Send + Sync {
    /// Whether a word with this tag leads to this type.
    fn takes(tag: Tag) -> bool;
}

// SAFETY: repr(transparent) over its room; the tags are its own.
unsafe impl Small for Listpack {
    #[inline(always)]
    fn takes(tag: Tag) -> bool {
        matches!(tag, Tag::ListPacked | Tag::SetPacked | Tag::SortedPacked | Tag::HashPacked)
    }
}

// SAFETY: repr(transparent) over its room; the tag is its own.
unsafe impl Small for Intset {
    #[inline(always)]
    fn takes(tag: Tag) -> bool {
        tag == Tag::SetInts
    }
}

/// The large form of a type.
///
/// # Safety
/// No other type has this tag, no [`Small`] takes it, and its alignment is a word's at most.
pub(crate) unsafe trait Large: Clone + Send + Sync {
    /// What says that a block holds this type.
    const TAG: Tag;
}

macro_rules! large {
    ($($type:ty: $tag:ident),*) => {$(
        // SAFETY: one line for each tag.
        unsafe impl Large for $type {
            const TAG: Tag = Tag::$tag;
        }
    )*};
}

large!(
    Quicklist: ListQuick, Dict<0>: SetTable, Tree: SortedTree, Expiring: HashExpiring, HashTable: HashTable,
    StreamBody: Stream
);

/// A type of value: a word with some of the tags.
///
/// # Safety
/// It is a [`Word`] and nothing else, `repr(transparent)`, with tags of this kind only.
pub(crate) unsafe trait Wrapper: Sized {
    /// The type's name.
    const KIND: Kind;
}

macro_rules! wrapper {
    ($($type:ident: $kind:ident),*) => {$(
        // SAFETY: repr(transparent), and its constructors take its own tags.
        unsafe impl Wrapper for $type {
            const KIND: Kind = Kind::$kind;
        }
    )*};
}

wrapper!(List: List, Set: Set, SortedSet: SortedSet, HashValue: Hash, Stream: Stream);

/// What the address of a large form leads to.
#[repr(C, align(8))]
struct Block<T> {
    /// As a room's class, 0: an empty room is never mistaken for one, since its tag differs.
    class: u8,
    tag: Tag,
    value: T,
}

/// The owner of a value's block.
#[repr(transparent)]
pub(crate) struct Word(NonNull<u8>);

// SAFETY: it owns what it leads to, and all forms are Send: see `large` and the room.
unsafe impl Send for Word {}
// SAFETY: as above, and `&self` reads only.
unsafe impl Sync for Word {}

impl Word {
    /// A small form.
    #[inline]
    pub(crate) fn small<T: Small>(value: T, tag: Tag) -> Self {
        assert!(T::takes(tag), "{tag:?} leads to another type");
        let value = ManuallyDrop::new(value);
        // SAFETY: `Small` says that it is a room; `value` is not dropped, so the room has one owner.
        let room: Room = unsafe { std::mem::transmute_copy(&value) };
        let room = ManuallyDrop::new(room.tagged(tag as u8));
        // SAFETY: a room is an address, as a word is.
        unsafe { std::mem::transmute_copy(&room) }
    }

    /// A large form.
    pub(crate) fn large<T: Large>(value: T) -> Self {
        const { assert!(align_of::<T>() <= align_of::<u64>()) };
        let block = Box::new(Block { class: 0, tag: T::TAG, value });
        Self(NonNull::from(Box::leak(block)).cast())
    }

    /// What it leads to.
    ///
    /// # Panics
    /// When a small form's owner was replaced by another one.
    #[inline(always)]
    pub(crate) fn tag(&self) -> Tag {
        let second = self.0.as_ptr().wrapping_add(1);
        // SAFETY: rooms and blocks have a second byte, which is initialised and written through `&mut` only.
        let number = unsafe { second.read() };
        *ALL.get(usize::from(number).wrapping_sub(1)).expect("a value's tag goes with it")
    }

    /// The small form.
    ///
    /// # Panics
    /// When it is not of this type.
    #[inline(always)]
    pub(crate) fn pack<T: Small>(&self) -> &T {
        assert!(T::takes(self.tag()), "{:?} is another type", self.tag());
        // SAFETY: the tag says that the word is such a room's address, and both types are an address and nothing else.
        unsafe { &*(&raw const *self).cast() }
    }

    /// As [`Self::pack`], for a change.
    #[inline(always)]
    pub(crate) fn pack_mut<T: Small>(&mut self) -> &mut T {
        assert!(T::takes(self.tag()), "{:?} is another type", self.tag());
        // SAFETY: as above.
        unsafe { &mut *(&raw mut *self).cast() }
    }

    /// The small form itself.
    ///
    /// # Panics
    /// When it is not of this type.
    pub(crate) fn into_pack<T: Small>(self) -> T {
        assert!(T::takes(self.tag()), "{:?} is another type", self.tag());
        let this = ManuallyDrop::new(self);
        // SAFETY: as above; `this` is not dropped, so the room has one owner.
        unsafe { std::mem::transmute_copy(&this) }
    }

    /// The large form.
    ///
    /// # Panics
    /// When it is not of this type.
    #[inline(always)]
    pub(crate) fn get<T: Large>(&self) -> &T {
        // SAFETY: `block` has seen that it is one of this type; it is written through `&mut` only.
        unsafe { &self.block::<T>().as_ref().value }
    }

    /// As [`Self::get`], for a change.
    #[inline(always)]
    pub(crate) fn get_mut<T: Large>(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut self.block::<T>().as_mut().value }
    }

    #[inline(always)]
    fn block<T: Large>(&self) -> NonNull<Block<T>> {
        assert!(self.tag() == T::TAG, "{:?} is another type", self.tag());
        self.0.cast()
    }

    /// The large form for a walk that moves what it leads to. At the walk's start, 0, its block is moved if the mover says so.
    pub(crate) fn relocate<T: Large + Default>(&mut self, from: u64, mover: &mut Mover<'_>) -> &mut T {
        if from == 0 && mover.wants(self.block::<T>().as_ptr()) {
            *self = Self::large(std::mem::take(self.get_mut::<T>()));
        }
        self.get_mut()
    }

    /// The value as its type, if it is of that.
    #[inline(always)]
    pub(crate) fn as_type<T: Wrapper>(&self) -> Option<&T> {
        // SAFETY: a wrapper is a word, and this one has a tag of its kind.
        (self.tag().kind() == T::KIND).then(|| unsafe { &*(&raw const *self).cast() })
    }

    /// As [`Self::as_type`], for a change.
    #[inline(always)]
    pub(crate) fn as_type_mut<T: Wrapper>(&mut self) -> Option<&mut T> {
        // SAFETY: as above; a wrapper's methods leave it with a tag of its kind.
        (self.tag().kind() == T::KIND).then(|| unsafe { &mut *(&raw mut *self).cast() })
    }

    /// The word that a value is.
    #[inline]
    pub(crate) fn of_type<T: Wrapper>(value: T) -> Self {
        let value = ManuallyDrop::new(value);
        // SAFETY: a wrapper is a word; `value` is not dropped, so there is one owner.
        unsafe { std::mem::transmute_copy(&value) }
    }

    /// Frees a large form.
    fn free<T: Large>(&mut self) {
        // SAFETY: `large` made it from a box of this type; the word is being dropped.
        drop(unsafe { Box::from_raw(self.block::<T>().as_ptr()) });
    }
}

impl Clone for Word {
    fn clone(&self) -> Self {
        match self.tag() {
            tag @ Tag::SetInts => Self::small(self.pack::<Intset>().clone(), tag),
            tag @ (Tag::ListPacked | Tag::SetPacked | Tag::SortedPacked | Tag::HashPacked) => {
                Self::small(self.pack::<Listpack>().clone(), tag)
            }
            Tag::ListQuick => Self::large(self.get::<Quicklist>().clone()),
            Tag::SetTable => Self::large(self.get::<Dict<0>>().clone()),
            Tag::SortedTree => Self::large(self.get::<Tree>().clone()),
            Tag::HashExpiring => Self::large(self.get::<Expiring>().clone()),
            Tag::HashTable => Self::large(self.get::<HashTable>().clone()),
            Tag::Stream => Self::large(self.get::<StreamBody>().clone()),
        }
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        match self.tag() {
            Tag::SetInts | Tag::ListPacked | Tag::SetPacked | Tag::SortedPacked | Tag::HashPacked => {
                // SAFETY: the tag says that it is a room's address; the word is being dropped.
                drop(unsafe { std::mem::transmute_copy::<Self, Room>(self) });
            }
            Tag::ListQuick => self.free::<Quicklist>(),
            Tag::SetTable => self.free::<Dict<0>>(),
            Tag::SortedTree => self.free::<Tree>(),
            Tag::HashExpiring => self.free::<Expiring>(),
            Tag::HashTable => self.free::<HashTable>(),
            Tag::Stream => self.free::<StreamBody>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listpack::Element;

    #[test]
    fn tags_have_their_numbers() {
        for (number, tag) in (1..).zip(ALL) {
            assert_eq!(tag as usize, number);
        }
    }

    #[test]
    fn a_small_form_keeps_its_tag_while_it_grows() {
        let mut word = Word::small(Listpack::new(), Tag::HashPacked);
        for n in 0..10_000 {
            word.pack_mut::<Listpack>().push_back(Element::Int(n));
            assert_eq!(word.tag(), Tag::HashPacked);
        }
        let copy = word.clone();
        assert_eq!((copy.tag(), copy.pack::<Listpack>().len()), (Tag::HashPacked, 10_000));
        let pack: Listpack = copy.into_pack();
        assert_eq!((pack.len(), word.pack::<Listpack>().len()), (10_000, 10_000));
    }

    #[test]
    fn a_word_is_of_one_type_only() {
        let word = Word::small(Intset::new(), Tag::SetInts);
        assert!(word.as_type::<Set>().is_some() && word.as_type::<List>().is_none());
        assert!(
            std::panic::catch_unwind(|| Word::small(Intset::new(), Tag::SetInts).pack::<Listpack>().len())
                .is_err()
        );
        assert!(
            std::panic::catch_unwind(|| Word::small(Intset::new(), Tag::SetInts).get::<Dict<0>>().len())
                .is_err()
        );
    }
}
