//! Machinery that both daemons share.

pub mod glob;
pub mod number;
