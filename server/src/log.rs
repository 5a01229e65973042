//! The server's log: the shared one, at the level of its configuration.

pub use common::log::{Level, os_text, start};

use crate::config::LogLevel;
use common::log::Threshold;

/// The threshold that a value of `loglevel` stands for.
pub fn threshold(level: LogLevel) -> Threshold {
    match level {
        LogLevel::Debug => Threshold::Debug,
        LogLevel::Verbose => Threshold::Verbose,
        LogLevel::Notice => Threshold::Notice,
        LogLevel::Warning => Threshold::Warning,
        LogLevel::Nothing => Threshold::Nothing,
    }
}
