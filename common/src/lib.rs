//! Machinery that both daemons share.

pub mod config;
pub mod glob;
pub mod number;
pub mod version;
