//! An entry: key, optional expiry and value (or the pointer to a big one) in one allocation.
//!
//! ```text
//!  0      1      2        5      5+k       5+k+v    [8 bytes]
//!  ├ flags ┼ stamp ┼ access ┼ key ┼ value ──┼ expiry? ┼ key … ┼ value … ┤
//!                   24 bits  length length    i64, ms
//!
//!  flags: 0..2 kind (Raw is Bytes that were changed after they were made) · 3 has an expiry · 4..5 width of the key length (0: 1 byte, 1: 2, 2: 4) ·
//!         6 width of the value length (0: 1 byte, 1: 2)
//!  value: Int: i64 · Bytes: the bytes, up to 1024 · Shared: a pointer, Object: its words, aligned to 8 bytes
//! ```
//!
//! A 16-byte key with a 32-byte value takes 55 bytes, 63 with an expiry: one 64-byte size class either way. Sizes are
//! rounded up to the allocator's classes, so that a value is overwritten in place whenever it fits its class, and the
//! size to free follows from the header. Fields are unaligned; all are read and written through the pointer.
//!
//! Invariants: the header describes an allocation of `class_size(total)` bytes; the key's and value's bytes are
//! initialised; a `Shared` or `Object` value is owned by the entry
//! and lies where it is as a Rust value would; moving its bytes moves it. `stamp` and `access` may be written through
//! a shared borrow: no reference ever covers them, and an entry is not `Sync`.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::directory::{At, Directory};
use super::item::{Item, Ref};
use crate::object::Object;
use crate::relocate::Mover;
use crate::value::{NewValue, SharedBytes, Value};

/// The longest string that is kept inside its entry, bytes: beyond it a copy for a reply or snapshot costs more than
/// a reference count.
pub(crate) const LONGEST_INLINE: usize = 1024;

const STAMP: usize = 1;
const ACCESS: usize = 2;
const LENGTHS: usize = 5;
const EXPIRY_SIZE: usize = 8;
/// Size of an integer or pointer in the value's place.
const WORD: usize = 8;
const ALIGN: usize = 8;
const _: () = assert!(align_of::<Object>() == ALIGN && size_of::<Object>() <= 64);
const HAS_EXPIRY: u8 = 1 << 3;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Form {
    Int = 0,
    Bytes = 1,
    Shared = 2,
    Object = 3,
    Raw = 4,
}

/// Where things are in an entry: everything that follows from its first bytes.
#[derive(Clone, Copy)]
struct Shape {
    form: Form,
    has_expiry: bool,
    key_width: u8,
    value_width: u8,
    key_len: usize,
    value_len: usize,
}

impl Shape {
    fn new(form: Form, has_expiry: bool, key_len: usize, value_len: usize) -> Self {
        let key_width = match key_len {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            _ => 4,
        };
        assert!(u32::try_from(key_len).is_ok(), "a key of {key_len} bytes");
        let value_width = if value_len <= 0xff { 1 } else { 2 };
        Self { form, has_expiry, key_width, value_width, key_len, value_len }
    }

    fn flags(&self) -> u8 {
        let expiry = if self.has_expiry { HAS_EXPIRY } else { 0 };
        self.form as u8 | expiry | (self.key_width >> 1) << 4 | (self.value_width - 1) << 6
    }

    #[inline(always)]
    fn expiry_at(&self) -> usize {
        LENGTHS + usize::from(self.key_width) + usize::from(self.value_width)
    }

    #[inline(always)]
    fn key_at(&self) -> usize {
        self.expiry_at() + if self.has_expiry { EXPIRY_SIZE } else { 0 }
    }

    #[inline(always)]
    fn value_at(&self) -> usize {
        let after_key = self.key_at() + self.key_len;
        match self.form {
            Form::Int | Form::Bytes | Form::Raw => after_key,
            // Owners are aligned, so that they can be borrowed where they are.
            Form::Shared | Form::Object => after_key.next_multiple_of(ALIGN),
        }
    }

    #[inline(always)]
    fn total(&self) -> usize {
        self.value_at() + self.value_len
    }

    fn class(&self) -> usize {
        class_size(self.total())
    }
}

/// Rounds a size up to the allocator's classes: multiples of 16 up to 128, then four steps per doubling.
pub(crate) fn class_size(size: usize) -> usize {
    if size <= 128 {
        return size.next_multiple_of(16);
    }
    let step = 1usize << (usize::BITS - (size - 1).leading_zeros() - 3);
    size.next_multiple_of(step)
}

fn layout(class: usize) -> Layout {
    Layout::from_size_align(class, ALIGN).expect("an entry is smaller than the address space")
}

/// The owner of one entry.
pub struct EntryBox(NonNull<u8>);

// SAFETY: an entry owns its allocation and value (an object or a counted string), which are all Send.
unsafe impl Send for EntryBox {}

// SAFETY: an entry is nothing but its pointer; the key is written once, when the entry is made.
unsafe impl Item for EntryBox {
    #[inline(always)]
    fn key(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the header says where the key's bytes are; they are initialised and never written while borrowed.
        unsafe { std::slice::from_raw_parts(self.at(shape.key_at()), shape.key_len) }
    }

    #[inline(always)]
    fn has_key(&self, key: &[u8]) -> bool {
        same(self.key(), key)
    }

    #[inline(always)]
    fn into_raw(self) -> NonNull<u8> {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    #[inline(always)]
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }
}

/// `a == b` without a call for the lengths that keys mostly have: two loads that overlap cover 8 to 16 bytes, four
/// cover up to 32.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    }
    let len = a.len();
    if len != b.len() {
        return false;
    }
    let differs = |at| word(a, at) ^ word(b, at);
    match len {
        8..=16 => differs(0) | differs(len - 8) == 0,
        17..=32 => differs(0) | differs(8) | differs(len - 16) | differs(len - 8) == 0,
        _ => a == b,
    }
}

impl EntryBox {
    /// Makes an entry. Copies the key, and the value's bytes up to 1024 of them; a longer string is copied into a
    /// shared buffer.
    pub fn new(key: &[u8], value: NewValue<'_>, expire: Option<i64>) -> Self {
        let value = Stored::new(value);
        let shape = Shape::new(value.form(), expire.is_some(), key.len(), value.len());
        let entry = Self::allocate(&shape);
        entry.set_stamp(0);
        entry.set_access(0);
        if let Some(at) = expire {
            entry.write(shape.expiry_at(), &at.to_ne_bytes());
        }
        entry.write(shape.key_at(), key);
        entry.put_value(&shape, value);
        entry
    }

    fn allocate(shape: &Shape) -> Self {
        let layout = layout(shape.class());
        // SAFETY: the size is not zero: a header has at least seven bytes.
        let raw = unsafe { alloc(layout) };
        let entry = Self(NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout)));
        entry.write_header(shape);
        entry
    }

    /// The address `offset` bytes in.
    #[inline(always)]
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.as_ptr().wrapping_add(offset)
    }

    #[inline(always)]
    fn byte(&self, offset: usize) -> u8 {
        // SAFETY: callers read header bytes only, which every entry has.
        unsafe { self.at(offset).read() }
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        // SAFETY: callers read fields that the header says are there.
        unsafe { self.at(offset).cast::<[u8; N]>().read_unaligned() }
    }

    /// Writes bytes that the entry's class has room for. Not for parts that someone may have borrowed.
    #[inline(always)]
    fn write(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: callers keep within the class; `bytes` is borrowed from elsewhere, so the two cannot overlap.
        unsafe { self.at(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    fn write_header(&self, shape: &Shape) {
        self.write(0, &[shape.flags()]);
        let key_len = (shape.key_len as u32).to_le_bytes();
        self.write(LENGTHS, &key_len[..usize::from(shape.key_width)]);
        let value_len = (shape.value_len as u16).to_le_bytes();
        self.write(LENGTHS + usize::from(shape.key_width), &value_len[..usize::from(shape.value_width)]);
    }

    #[inline(always)]
    fn shape(&self) -> Shape {
        let flags = self.byte(0);
        let form = match flags & 7 {
            0 => Form::Int,
            1 => Form::Bytes,
            2 => Form::Shared,
            4 => Form::Raw,
            _ => Form::Object,
        };
        let (key_width, key_len) = match flags >> 4 & 3 {
            0 => (1, usize::from(self.byte(LENGTHS))),
            1 => (2, usize::from(u16::from_le_bytes(self.bytes(LENGTHS)))),
            _ => (4, u32::from_le_bytes(self.bytes(LENGTHS)) as usize),
        };
        let value_at = LENGTHS + usize::from(key_width);
        let (value_width, value_len) = match flags >> 6 & 1 {
            0 => (1, usize::from(self.byte(value_at))),
            _ => (2, usize::from(u16::from_le_bytes(self.bytes(value_at)))),
        };
        Shape { form, has_expiry: flags & HAS_EXPIRY != 0, key_width, value_width, key_len, value_len }
    }

    // --- stamp, access, expiry -----------------------------------------------------------------------------------

    /// The snapshot stamp.
    #[inline(always)]
    pub fn stamp(&self) -> u8 {
        self.byte(STAMP)
    }

    /// Sets the snapshot stamp.
    #[inline(always)]
    pub fn set_stamp(&self, stamp: u8) {
        self.write(STAMP, &[stamp]);
    }

    /// The 24 access bits (LRU clock or LFU counter).
    #[inline(always)]
    pub fn access(&self) -> u32 {
        let [a, b, c] = self.bytes(ACCESS);
        u32::from_le_bytes([a, b, c, 0])
    }

    /// Sets the access bits; the upper eight of `access` are dropped.
    #[inline(always)]
    pub fn set_access(&self, access: u32) {
        self.write(ACCESS, &access.to_le_bytes()[..3]);
    }

    /// When the entry expires, unix time in ms.
    #[inline(always)]
    pub fn expire(&self) -> Option<i64> {
        let shape = self.shape();
        shape.has_expiry.then(|| i64::from_ne_bytes(self.bytes(shape.expiry_at())))
    }

    /// Sets or removes the expiry. Moves the entry only when its size class changes.
    pub fn set_expire(&mut self, expire: Option<i64>) {
        let old = self.shape();
        if old.has_expiry != expire.is_some() {
            let new = Shape { has_expiry: expire.is_some(), ..old };
            if new.class() == old.class() {
                // SAFETY: both ranges lie in the class, which holds either shape.
                unsafe { self.at(old.key_at()).copy_to(self.at(new.key_at()), old.total() - old.key_at()) };
                self.write_header(&new);
            } else {
                self.move_to(&old, &new);
            }
        }
        if let Some(at) = expire {
            self.write(self.shape().expiry_at(), &at.to_ne_bytes());
        }
    }

    /// Moves key and value, whose lengths stay, to an allocation of another class.
    fn move_to(&mut self, old: &Shape, new: &Shape) {
        let moved = Self::allocate(new);
        moved.write(STAMP, &[self.stamp()]);
        moved.set_access(self.access());
        // The padding before a pointer stays as it is: an expiry's eight bytes do not change the alignment.
        let len = old.total() - old.key_at();
        // SAFETY: two allocations; each shape has that many bytes from its key on.
        unsafe { self.at(old.key_at()).copy_to_nonoverlapping(moved.at(new.key_at()), len) };
        let emptied = std::mem::replace(self, moved);
        emptied.free(old);
    }

    /// Moves the entry, and the parts of its value, as the mover says. An object of more than `most` elements stays as it
    /// is, to be done piece by piece: true.
    pub(crate) fn relocate(&mut self, mover: &mut Mover<'_>, most: usize) -> bool {
        let shape = self.shape();
        if mover.wants(self.0.as_ptr()) {
            let moved = Self::allocate(&shape);
            // SAFETY: two allocations of this class; an owner's bytes may be moved, and only the copy is used after.
            unsafe { self.0.copy_to_nonoverlapping(moved.0, shape.total()) };
            std::mem::replace(self, moved).free(&shape);
        }
        match shape.form {
            Form::Int | Form::Bytes | Form::Raw => false,
            Form::Shared => {
                // SAFETY: the place holds a `SharedBytes`, and the entry is borrowed mutably.
                let bytes = unsafe { &mut *self.at(shape.value_at()).cast::<SharedBytes>() };
                bytes.relocate(mover);
                false
            }
            Form::Object => {
                // SAFETY: the place holds an `Object`, and the entry is borrowed mutably.
                let object = unsafe { &mut *self.at(shape.value_at()).cast::<Object>() };
                let is_big = object.len() > most;
                if !is_big {
                    object.relocate(mover);
                }
                is_big
            }
        }
    }

    /// Frees the allocation but not the value.
    fn free(self, shape: &Shape) {
        let layout = layout(shape.class());
        let raw = self.into_raw();
        // SAFETY: allocated with the same layout, which the header describes; nobody owns it any more.
        unsafe { dealloc(raw.as_ptr(), layout) }
    }

    // --- value ---------------------------------------------------------------------------------------------------

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'_> {
        let shape = self.shape();
        let at = shape.value_at();
        match shape.form {
            Form::Int => Value::Int(i64::from_ne_bytes(self.bytes(at))),
            Form::Bytes | Form::Raw => {
                // SAFETY: the header says where the value's bytes are; they are written only through `&mut self`.
                Value::Bytes(unsafe { std::slice::from_raw_parts(self.at(at), shape.value_len) })
            }
            Form::Shared => {
                // SAFETY: the place holds a `SharedBytes`, aligned, borrowed with the entry.
                Value::Shared(unsafe { &*self.at(at).cast::<SharedBytes>() })
            }
            Form::Object => {
                // SAFETY: the place holds an `Object`, aligned, borrowed with the entry.
                Value::Object(unsafe { &*self.at(at).cast::<Object>() })
            }
        }
    }

    /// Where the object is, for whoever has the entry's table to himself.
    pub(crate) fn object_place(&self) -> Option<NonNull<Object>> {
        let shape = self.shape();
        let place = NonNull::new(self.at(shape.value_at()).cast::<Object>());
        place.filter(|_| shape.form == Form::Object)
    }

    /// Where the long string is, for whoever has the entry's table to himself.
    pub(crate) fn shared_place(&self) -> Option<NonNull<SharedBytes>> {
        let shape = self.shape();
        let place = NonNull::new(self.at(shape.value_at()).cast::<SharedBytes>());
        place.filter(|_| shape.form == Form::Shared)
    }

    /// Overwrites an integer with another; false when the value is not an integer.
    pub fn set_int(&mut self, value: i64) -> bool {
        let shape = self.shape();
        if shape.form == Form::Int {
            self.write(shape.value_at(), &value.to_ne_bytes());
        }
        shape.form == Form::Int
    }

    /// Adds to an integer where it stands.
    #[inline(always)]
    pub fn add_int(&mut self, by: i64) -> Added {
        let shape = self.shape();
        if shape.form != Form::Int {
            return Added::NotInt;
        }
        let at = shape.value_at();
        let sum = i64::from_ne_bytes(self.bytes(at)).checked_add(by);
        sum.map_or(Added::Overflow, |sum| {
            self.write(at, &sum.to_ne_bytes());
            Added::Sum(sum)
        })
    }

    /// Whether the value is a short string that was changed after it was made.
    pub fn is_raw(&self) -> bool {
        self.shape().form == Form::Raw
    }

    /// Remembers that a short string is being changed where it is.
    fn mark_raw(&self) {
        let shape = self.shape();
        if shape.form == Form::Bytes {
            self.write(0, &[Shape { form: Form::Raw, ..shape }.flags()]);
        }
    }

    /// The value as one to be stored elsewhere: bytes stay borrowed, big values are shared.
    pub fn to_new(&self) -> NewValue<'_> {
        match self.value() {
            Value::Bytes(bytes) if self.is_raw() => NewValue::Raw(bytes),
            value => value.to_new(),
        }
    }

    /// Where the bytes of a string inside the entry are, for whoever has the entry's table to himself.
    pub(crate) fn inline_place(&self) -> Option<NonNull<[u8]>> {
        let shape = self.shape();
        let place =
            NonNull::new(std::ptr::slice_from_raw_parts_mut(self.at(shape.value_at()), shape.value_len));
        place.filter(|_| matches!(shape.form, Form::Bytes | Form::Raw))
    }

    /// Replaces the value and sets or removes the expiry, keeping key and access bits; in place when the size class
    /// stays. Returns the old value when it was big.
    pub fn replace(&mut self, value: NewValue<'_>, expire: Option<i64>) -> Option<BigValue> {
        let value = Stored::new(value);
        let old = self.shape();
        let new = Shape::new(value.form(), expire.is_some(), old.key_len, value.len());
        let big = self.take_big(&old);
        if new.class() == old.class() {
            if new.key_at() != old.key_at() {
                // SAFETY: both ranges lie in the class, which holds either shape.
                unsafe { self.at(old.key_at()).copy_to(self.at(new.key_at()), old.key_len) };
            }
            self.write_header(&new);
        } else {
            let moved = Self::allocate(&new);
            moved.set_stamp(self.stamp());
            moved.set_access(self.access());
            // SAFETY: two allocations, each with the key's bytes at its own place.
            unsafe { self.at(old.key_at()).copy_to_nonoverlapping(moved.at(new.key_at()), old.key_len) };
            std::mem::replace(self, moved).free(&old);
        }
        if let Some(at) = expire {
            self.write(new.expiry_at(), &at.to_ne_bytes());
        }
        self.put_value(&new, value);
        big
    }

    /// Writes a value into an entry of its shape.
    #[inline]
    fn put_value(&self, shape: &Shape, value: Stored<'_>) {
        let at = shape.value_at();
        match value {
            Stored::Int(n) => self.write(at, &n.to_ne_bytes()),
            Stored::Bytes(bytes) | Stored::Raw(bytes) => self.write(at, bytes),
            // SAFETY: the shape has an aligned place for one there, whose old content was taken out.
            Stored::Shared(bytes) => unsafe { self.at(at).cast::<SharedBytes>().write(bytes) },
            // SAFETY: as above.
            Stored::Object(object) => unsafe { self.at(at).cast::<Object>().write(object) },
        }
    }

    /// Takes a big value out, leaving its bytes behind, which the caller overwrites or frees.
    fn take_big(&self, shape: &Shape) -> Option<BigValue> {
        let at = shape.value_at();
        match shape.form {
            Form::Int | Form::Bytes | Form::Raw => None,
            Form::Shared => {
                // SAFETY: the place holds one; the caller overwrites or frees the place without dropping it again.
                Some(BigValue::Shared(unsafe { self.at(at).cast::<SharedBytes>().read() }))
            }
            Form::Object => {
                // SAFETY: as above.
                Some(BigValue::Object(unsafe { self.at(at).cast::<Object>().read() }))
            }
        }
    }

    /// Bytes of the entry's own allocation.
    pub fn allocated(&self) -> usize {
        self.shape().class()
    }
}

impl<'a> Ref<'a, EntryBox> {
    /// The key, for as long as the table is borrowed.
    #[inline(always)]
    pub(crate) fn long_key(&self) -> &'a [u8] {
        // SAFETY: the bytes lie in the entry's allocation, which the table keeps as it is while borrowed for 'a.
        unsafe { std::mem::transmute::<&[u8], &'a [u8]>(self.item().key()) }
    }

    /// The value, for as long as the table is borrowed.
    #[inline(always)]
    pub(crate) fn long_value(&self) -> Value<'a> {
        // SAFETY: as above: a value borrows from the entry's allocation only, never from this handle.
        unsafe { std::mem::transmute::<Value<'_>, Value<'a>>(self.item().value()) }
    }
}

/// Changes to values in place, for the table's owner.
impl Directory<EntryBox> {
    /// The object at a place.
    pub(crate) fn object_mut(&mut self, at: At) -> Option<&mut Object> {
        let place = self.item(at).object_place()?;
        // SAFETY: the place holds an `Object`, and the directory, which owns the entry, is borrowed mutably.
        Some(unsafe { &mut *place.as_ptr() })
    }

    /// The long string at a place.
    pub(crate) fn shared_mut(&mut self, at: At) -> Option<&mut SharedBytes> {
        let place = self.item(at).shared_place()?;
        // SAFETY: the place holds a `SharedBytes`, and the directory is borrowed mutably.
        Some(unsafe { &mut *place.as_ptr() })
    }

    /// The bytes of a short string at a place.
    pub(crate) fn inline_mut(&mut self, at: At) -> Option<&mut [u8]> {
        let place = self.item(at).inline_place()?;
        self.item(at).mark_raw();
        // SAFETY: the value's bytes are initialised, and the directory is borrowed mutably.
        Some(unsafe { &mut *place.as_ptr() })
    }
}

impl Clone for EntryBox {
    /// A copy of everything, with big values shared.
    fn clone(&self) -> Self {
        let copy = Self::new(self.key(), self.to_new(), self.expire());
        copy.set_stamp(self.stamp());
        copy.set_access(self.access());
        copy
    }
}

impl Drop for EntryBox {
    fn drop(&mut self) {
        let shape = self.shape();
        drop(self.take_big(&shape));
        // SAFETY: allocated with the layout that the header describes; this was its owner.
        unsafe { dealloc(self.0.as_ptr(), layout(shape.class())) }
    }
}

/// What became of an addition in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The value now.
    Sum(i64),
    /// The sum does not fit; the value stays.
    Overflow,
    /// The value is kept in another form than an integer's.
    NotInt,
}

/// A value that an entry let go of and that may take long to free.
#[derive(Debug)]
pub enum BigValue {
    /// A long string.
    Shared(SharedBytes),
    /// A value of many elements.
    Object(Object),
}

/// A value in the form that an entry keeps it in.
enum Stored<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Raw(&'a [u8]),
    Shared(SharedBytes),
    Object(Object),
}

impl<'a> Stored<'a> {
    #[inline]
    fn new(value: NewValue<'a>) -> Self {
        match value {
            NewValue::Int(n) => Stored::Int(n),
            NewValue::Bytes(bytes) if bytes.len() <= LONGEST_INLINE => Stored::Bytes(bytes),
            NewValue::Raw(bytes) if bytes.len() <= LONGEST_INLINE => Stored::Raw(bytes),
            NewValue::Bytes(bytes) | NewValue::Raw(bytes) => Stored::Shared(SharedBytes::new(bytes.to_vec())),
            NewValue::Shared(bytes) => Stored::Shared(bytes),
            NewValue::Object(object) => Stored::Object(object),
        }
    }

    fn form(&self) -> Form {
        match self {
            Stored::Int(_) => Form::Int,
            Stored::Bytes(_) => Form::Bytes,
            Stored::Raw(_) => Form::Raw,
            Stored::Shared(_) => Form::Shared,
            Stored::Object(_) => Form::Object,
        }
    }

    fn len(&self) -> usize {
        match self {
            Stored::Bytes(bytes) | Stored::Raw(bytes) => bytes.len(),
            Stored::Object(_) => size_of::<Object>(),
            _ => WORD,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::list::{End, List, ListLimit};

    /// What an entry of these lengths allocates.
    fn check(key: usize, value: usize, expires: bool, expected: usize) {
        let entry =
            EntryBox::new(&vec![b'k'; key], NewValue::Bytes(&vec![b'v'; value]), expires.then_some(5));
        assert_eq!(entry.allocated(), expected, "{key} + {value} bytes");
        assert_eq!(entry.key().len(), key);
        assert!(matches!(entry.value(), Value::Bytes(bytes) if bytes == vec![b'v'; value]));
        assert_eq!(entry.expire(), expires.then_some(5));
    }

    #[test]
    fn small_entries_fit_their_size_class() {
        check(16, 32, false, 64);
        check(16, 32, true, 64);
        check(16, 41, false, 64);
        check(16, 42, false, 80);
        check(0, 0, false, 16);
        check(255, 255, true, 640);
        check(256, 256, true, 640);
        check(70_000, 1024, true, 81_920);
    }

    #[test]
    fn classes_are_the_allocators() {
        let classes = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768];
        for pair in classes.windows(2) {
            assert_eq!(class_size(pair[0] + 1), pair[1]);
            assert_eq!(class_size(pair[1]), pair[1]);
        }
    }

    #[test]
    fn the_header_fields_are_apart() {
        let entry = EntryBox::new(b"key", NewValue::Int(-5), Some(i64::MIN));
        entry.set_stamp(0xa5);
        entry.set_access(0xffed_cba9);
        assert_eq!((entry.stamp(), entry.access(), entry.expire()), (0xa5, 0x00ed_cba9, Some(i64::MIN)));
        assert_eq!(entry.key(), b"key");
        assert!(matches!(entry.value(), Value::Int(-5)));
    }

    #[derive(Clone, Debug)]
    enum Content {
        Int(i64),
        Bytes(Vec<u8>),
        List(u8),
    }

    impl Content {
        fn to_new(&self) -> NewValue<'_> {
            match self {
                Content::Int(n) => NewValue::Int(*n),
                Content::Bytes(bytes) => NewValue::Bytes(bytes),
                Content::List(len) => {
                    let mut list = List::new();
                    (0..*len).for_each(|n| list.push(End::Tail, &[n], &ListLimit::default()));
                    list.into()
                }
            }
        }

        fn same(&self, value: Value<'_>) -> bool {
            match (self, value) {
                (Content::Int(n), Value::Int(v)) => *n == v,
                (Content::Bytes(bytes), Value::Bytes(v)) => bytes == v && v.len() <= LONGEST_INLINE,
                (Content::Bytes(bytes), Value::Shared(v)) => bytes[..] == v[..] && v.len() > LONGEST_INLINE,
                (Content::List(len), Value::Object(v)) => usize::from(*len) == v.len(),
                _ => false,
            }
        }
    }

    fn content() -> impl Strategy<Value = Content> {
        prop_oneof![
            2 => any::<i64>().prop_map(Content::Int),
            3 => proptest::collection::vec(any::<u8>(), 0..70).prop_map(Content::Bytes),
            2 => (200usize..1300).prop_map(|n| Content::Bytes(vec![b'v'; n])),
            1 => any::<u8>().prop_map(Content::List),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 512 }))]

        #[test]
        fn values_and_expiries_can_be_replaced_in_any_order(
            key in proptest::collection::vec(any::<u8>(), 0..300),
            steps in proptest::collection::vec((content(), any::<Option<i64>>(), any::<bool>()), 1..12),
        ) {
            let mut entry = EntryBox::new(&key, NewValue::Int(0), None);
            entry.set_stamp(9);
            entry.set_access(77);
            let mut copies = Vec::new();
            for (content, expire, only_expiry) in &steps {
                if *only_expiry {
                    let before = format!("{:?}", entry.value());
                    entry.set_expire(*expire);
                    prop_assert_eq!(format!("{:?}", entry.value()), before);
                } else {
                    drop(entry.replace(content.to_new(), *expire));
                    prop_assert!(content.same(entry.value()));
                    copies.push((content, entry.clone()));
                }
                prop_assert_eq!(entry.key(), &key[..]);
                prop_assert_eq!(entry.expire(), *expire);
                prop_assert_eq!((entry.stamp(), entry.access()), (9, 77));
            }
            prop_assert!(copies.iter().all(|(content, copy)| content.same(copy.value())));
        }
    }
}
