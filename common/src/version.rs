//! The level of Redis that both daemons claim to be compatible with.

/// Shown by `INFO`, `HELLO`, `--version` and fatal configuration errors, where tools look for it.
pub const REDIS_VERSION: &str = "7.0.15";
