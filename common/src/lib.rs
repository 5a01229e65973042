//! Machinery that both daemons share.

pub mod clients;
pub mod clock;
pub mod command;
pub mod context;
pub mod glob;
pub mod net;
pub mod number;
pub mod pubsub;
pub mod resp;

/// The version of Redis that Ochre is compatible with: what `INFO` and `HELLO` call `version`.
pub const REDIS_VERSION: &str = "7.4.0";
