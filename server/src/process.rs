//! What the process asks of the operating system.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that are not clients: listeners, files, runtimes. As many as Redis reserves.
const RESERVED_FILES: u64 = 32;

/// Raises the limit of open files so that `clients` fit.
///
/// # Errors
/// The number of clients that the hard limit allows.
pub fn raise_file_limit(clients: u32) -> Result<(), u64> {
    let wanted = u64::from(clients) + RESERVED_FILES;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(wanted), maximum: now.maximum.map(|maximum| maximum.max(wanted)) };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    let most = now.maximum.unwrap_or(u64::MAX).min(wanted);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum });
    Err(most.saturating_sub(RESERVED_FILES))
}

/// Resident memory of this process in bytes; 0 when the kernel does not tell.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Memory of the machine in bytes; 0 when the kernel does not tell.
pub fn system_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

/// Processor time used by this process: user and system, seconds.
pub fn cpu_seconds() -> (f64, f64) {
    cpu_seconds_in("/proc/self/stat")
}

/// Processor time used by this thread: user and system, seconds.
pub fn thread_cpu_seconds() -> (f64, f64) {
    cpu_seconds_in("/proc/thread-self/stat")
}

fn cpu_seconds_in(file: &str) -> (f64, f64) {
    let stat = std::fs::read_to_string(file).unwrap_or_default();
    // Fields 14 and 15, counted behind the program's name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let seconds = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0) / ticks;
    (seconds(11), seconds(12))
}
