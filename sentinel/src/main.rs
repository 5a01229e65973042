//! `ochre-sentinel`: arguments, configuration, exit code.
//!
//! This daemon speaks the protocol with the same machinery as the server (connections, clients, pub/sub, COMMAND) and
//! never imports the server. Monitoring is not here yet: a configuration that asks for it is refused.

mod commands;
mod config;
mod context;
mod run;
mod sentinel;

use common::config::FatalError;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

fn main() {
    let args: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    let code = match args.first().map(Vec::as_slice) {
        Some(b"-v" | b"--version") => print(&format!(
            "Redis sentinel v={} ochre={}\n",
            common::REDIS_VERSION,
            env!("CARGO_PKG_VERSION")
        )),
        Some(b"-h" | b"--help") => print("Usage: ochre-sentinel /path/to/sentinel.conf [options]\n"),
        _ => start(&args),
    };
    std::process::exit(code);
}

fn print(text: &str) -> i32 {
    i32::from(std::io::stdout().write_all(text.as_bytes()).is_err())
}

fn start(args: &[Vec<u8>]) -> i32 {
    let loaded = config::load(args);
    let defaults = config::Config::default();
    let config = loaded.as_ref().unwrap_or(&defaults);
    common::log::start(config.log_threshold, config.log_file.as_deref(), common::log::Role::Sentinel);
    let config = match loaded {
        Ok(config) => config,
        Err(error @ FatalError::Open { .. }) => {
            tracing::warn!("{error}");
            return 1;
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            return 1;
        }
    };
    if let Err(reason) = config.check_file() {
        tracing::warn!("{reason}");
        return 1;
    }
    tracing::warn!(
        "Ochre sentinel version={}, pid={}, just started",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    run::run(config)
}
