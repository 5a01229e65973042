//! The server's log: the shared one, at the level of its configuration.

pub use common::log::{Level, Role, os_text, raw};

use crate::config::{Config, LogFormat, LogLevel, LogTimes};
use common::log::{Format, Settings, Threshold, Times};

/// Starts it as configured.
pub fn start(config: &Config) -> Level {
    common::log::start_with(Settings {
        threshold: threshold(config.log_level),
        file: (!config.log_file.is_empty()).then(|| config.dir.as_path().join(config.log_file.as_path())),
        role: Role::Starting,
        format: format(config),
        times: times(config),
        syslog: config.syslog_enabled.then(|| (config.syslog_ident.to_string(), config.syslog_facility)),
    })
}

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

/// How messages are written.
pub fn format(config: &Config) -> Format {
    match config.log_format {
        LogFormat::Legacy => Format::Legacy,
        LogFormat::Logfmt => Format::Logfmt,
        LogFormat::Json => Format::Json,
    }
}

/// How times are written.
pub fn times(config: &Config) -> Times {
    match config.log_times {
        LogTimes::Legacy => Times::Legacy,
        LogTimes::Iso8601 => Times::Iso8601,
        LogTimes::Milliseconds => Times::Milliseconds,
    }
}
