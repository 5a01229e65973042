//! What the process asks of the operating system.

pub mod check;
pub mod daemon;
pub mod kernel;
pub mod restart;
pub mod supervise;
pub mod title;

pub use crate::sys::ignore_hangups;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that are not clients: listeners, files, runtimes. As many as Redis reserves.
const RESERVED_FILES: u64 = 32;

/// Raises the limit of open files so that `clients` fit; how many do fit.
///
/// # Errors
/// When there is no room for any client.
pub fn raise_file_limit(clients: u32) -> Result<u32, String> {
    let wanted = u64::from(clients) + RESERVED_FILES;
    let now = getrlimit(Resource::Nofile);
    let Some(current) = now.current.filter(|current| *current < wanted) else { return Ok(clients) };
    // The highest limit that can be had; a privileged process may exceed the hard limit.
    let hard = now.maximum.unwrap_or(u64::MAX).min(wanted);
    let mut denied = None;
    let reached = [wanted, hard].into_iter().filter(|limit| *limit > current).find(|limit| {
        let maximum = now.maximum.map(|maximum| maximum.max(*limit));
        let result = setrlimit(Resource::Nofile, Rlimit { current: Some(*limit), maximum });
        denied = denied.or(result.err());
        result.is_ok()
    });
    let reached = reached.unwrap_or(current);
    if reached == wanted {
        tracing::info!(
            "Increased maximum number of open files to {wanted} (it was originally set to {current})."
        );
        return Ok(clients);
    }
    if reached <= RESERVED_FILES {
        return Err(format!(
            "Your current 'ulimit -n' of {current} is not enough for the server to start. Please increase your open \
             file limit to at least {wanted}. Exiting."
        ));
    }
    let fitting = u32::try_from(reached - RESERVED_FILES).unwrap_or(clients);
    let reason = denied.map_or(String::new(), |errno| crate::log::os_text(&errno.into()));
    tracing::warn!("You requested maxclients of {clients} requiring at least {wanted} max file descriptors.");
    tracing::warn!("Server can't set maximum open files to {wanted} because of OS error: {reason}.");
    tracing::warn!(
        "Current maximum open files is {reached}. maxclients has been reduced to {fitting} to compensate for low \
         ulimit. If you need higher maxclients increase 'ulimit -n'."
    );
    Ok(fitting)
}

/// Resident memory of this process in bytes; 0 when the kernel does not tell.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Memory of this process in huge pages that it did not ask for, bytes; 0 when the kernel does not tell.
pub fn huge_page_bytes() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = maps.lines().find_map(|line| line.strip_prefix("AnonHugePages:"));
    let kb: u64 = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0);
    kb * 1024
}

/// Memory of the machine in bytes; 0 when the kernel does not tell.
pub fn system_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

/// Processor time used by this process: user and system, seconds.
pub fn cpu_seconds() -> (f64, f64) {
    crate::sys::cpu_seconds(false)
}

/// Processor time used by this thread: user and system, seconds.
pub fn thread_cpu_seconds() -> (f64, f64) {
    crate::sys::cpu_seconds(true)
}

/// The permissions that new files do not get. Read from the kernel's own listing: the system call could only be asked
/// by changing it for a moment, for all threads.
pub fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    field.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o022)
}
