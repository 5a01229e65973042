//! What a table can hold: an owning thin pointer. The table keeps the address with 16 hash bits above it and gives
//! the pointer back unchanged.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

/// An owner of one allocation that a table can hold as a bare address.
///
/// # Safety
/// `into_raw` gives up ownership, and `from_raw` of that pointer takes it up again; the address fits in 48 bits; `key`
/// returns the same bytes for as long as the item is in a table; methods on `&self` work on an item that was made by
/// `from_raw` while the table keeps the ownership (so an item holds nothing but that pointer).
pub unsafe trait Item: Sized {
    /// The bytes that the item is found by.
    fn key(&self) -> &[u8];
    /// Whether these are the bytes that the item is found by.
    #[inline(always)]
    fn has_key(&self, key: &[u8]) -> bool {
        self.key() == key
    }
    /// Gives up the allocation.
    fn into_raw(self) -> NonNull<u8>;
    /// Takes up the allocation.
    ///
    /// # Safety
    /// `raw` came from `into_raw` of the same type, and no other owner of it is alive.
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;
}

/// A borrowed item of a table.
pub struct Ref<'a, T: Item> {
    item: ManuallyDrop<T>,
    table: PhantomData<&'a T>,
}

impl<'a, T: Item> Ref<'a, T> {
    /// Borrows the item at `raw`.
    ///
    /// # Safety
    /// `raw` came from `into_raw` and is owned by something that is borrowed for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn new(raw: NonNull<u8>) -> Self {
        // SAFETY: by this function's contract; ManuallyDrop keeps the second owner from freeing it.
        let item = unsafe { T::from_raw(raw) };
        Self { item: ManuallyDrop::new(item), table: PhantomData }
    }

    /// The item, for as long as its table is borrowed.
    #[inline(always)]
    pub(crate) fn item(&self) -> &T {
        &self.item
    }
}

impl<T: Item> Deref for Ref<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.item()
    }
}
