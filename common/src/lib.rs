//! Machinery that both daemons share.

pub mod alarm;
pub mod clients;
pub mod clock;
pub mod command;
pub mod config;
pub mod context;
pub mod glob;
pub mod log;
pub mod net;
pub mod number;
pub mod pubsub;
pub mod resp;
pub mod version;

pub use version::REDIS_VERSION;
