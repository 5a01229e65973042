//! Byte layouts: the only place of this crate where `unsafe` is allowed. Each file offers safe functions to the rest
//! of the crate and says in its head which invariant makes them safe.
#![expect(
    unsafe_code,
    reason = "tagged pointers, one-allocation entries and prefetch cannot be written without"
)]
#![expect(
    clippy::needless_pass_by_ref_mut,
    reason = "writes go through pointers; `&mut` is what makes them sound"
)]

pub(crate) mod directory;
pub(crate) mod entry;
pub(crate) mod item;
pub(crate) mod line;
pub(crate) mod prefetch;
pub(crate) mod room;
pub(crate) mod word;
