//! Leaving the terminal, and the file with the process id.

use crate::config::Config;
use std::io;
use std::path::Path;

/// Where the process id of a daemon goes if nothing is said.
const DEFAULT_PIDFILE: &str = "/var/run/redis.pid";

/// Goes on in the background: the caller's process ends here, successfully. Must be called before there are threads.
///
/// # Errors
/// When there is no process to be had.
pub fn detach() -> io::Result<()> {
    if crate::sys::fork()? {
        std::process::exit(0);
    }
    rustix::process::setsid()?;
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// The file for the process id, if one is wanted.
pub fn pidfile(config: &Config) -> Option<&Path> {
    match (config.pidfile.is_empty(), config.daemonize) {
        (false, _) => Some(config.pidfile.as_path()),
        (true, true) => Some(Path::new(DEFAULT_PIDFILE)),
        (true, false) => None,
    }
}

/// Writes the process id; a failure is worth a line in the log, no more.
pub fn write_pidfile(config: &Config) {
    if let Some(path) = pidfile(config)
        && let Err(error) = std::fs::write(path, format!("{}\n", std::process::id()))
    {
        tracing::info!("Failed to write PID file: {}", crate::log::os_text(&error));
    }
}

/// Removes files that only a running process should have: the process id and the Unix socket.
pub fn clean_up(config: &Config) {
    if let Some(path) = pidfile(config) {
        tracing::info!("Removing the pid file.");
        let _ = std::fs::remove_file(path);
    }
    if !config.unix_socket.is_empty() {
        tracing::info!("Removing the unix socket file.");
        let _ = std::fs::remove_file(config.unix_socket.as_path());
    }
}
