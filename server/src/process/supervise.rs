//! Init systems: who started us, and telling them how far we are.

use crate::config::Supervised;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who watches over the process, found out once at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// Nobody.
    None,
    /// Upstart.
    Upstart,
    /// systemd.
    Systemd,
}

impl Supervisor {
    /// As INFO shows it.
    pub fn name(self) -> &'static str {
        match self {
            Supervisor::None => "no",
            Supervisor::Upstart => "upstart",
            Supervisor::Systemd => "systemd",
        }
    }
}

/// Finds the supervisor that the directive allows; for upstart the process is stopped here, which tells it that we
/// are up. What there is to say goes to `notes`, since the log does not run yet.
pub fn detect(mode: Supervised, notes: &mut Vec<String>) -> Supervisor {
    let has = |name| std::env::var_os(name).is_some();
    let mode = match mode {
        Supervised::Auto if has("UPSTART_JOB") => Supervised::Upstart,
        Supervised::Auto if has("NOTIFY_SOCKET") => Supervised::Systemd,
        mode => mode,
    };
    match mode {
        Supervised::Systemd => {
            if !has("NOTIFY_SOCKET") {
                notes.push("systemd supervision error: NOTIFY_SOCKET not found!".to_owned());
                return Supervisor::None;
            }
            notes.push(
                "Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and \
                 TimeoutStopSec in your service unit."
                    .to_owned(),
            );
            Supervisor::Systemd
        }
        Supervised::Upstart => {
            if !has("UPSTART_JOB") {
                notes.push("upstart supervision requested, but UPSTART_JOB not found!".to_owned());
                return Supervisor::None;
            }
            notes.push("Supervised by upstart, will stop to signal readiness.".to_owned());
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::STOP);
            Supervisor::Upstart
        }
        Supervised::Auto | Supervised::No => Supervisor::None,
    }
}

/// Tells systemd, if it listens.
pub fn tell(supervisor: Supervisor, message: &str) {
    if supervisor != Supervisor::Systemd {
        return;
    }
    if let Err(error) = send(message) {
        tracing::warn!("systemd supervision error: sd_notify: {}", crate::log::os_text(&error));
    }
}

fn send(message: &str) -> std::io::Result<()> {
    let path = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    let address = match path.as_bytes() {
        // A name in the kernel's own space instead of the file system.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}
