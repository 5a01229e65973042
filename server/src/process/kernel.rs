//! What the kernel should do with the process: whom to kill first, on which processors to run, how big its pages are.

use crate::config::{Config, OomScore};
use rustix::thread::CpuSet;
use std::sync::{Mutex, OnceLock, PoisonError};

const OOM_SCORE_FILE: &str = "/proc/self/oom_score_adj";
const HUGE_PAGES_FILE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const BACKLOG_FILE: &str = "/proc/sys/net/core/somaxconn";

/// The score that the process had before we changed it, while it is changed.
static OOM_SCORE_BASE: Mutex<Option<i64>> = Mutex::new(None);

/// Sets the score of `oom-score-adj`, or puts back what was there before.
///
/// # Errors
/// Redis's text for CONFIG SET; the cause is in the log.
pub fn set_oom_score(config: &Config, is_replica: bool) -> Result<(), String> {
    let wanted = config.oom_score_adj_values[usize::from(is_replica)];
    let mut base = OOM_SCORE_BASE.lock().unwrap_or_else(PoisonError::into_inner);
    let score = match config.oom_score_adj {
        OomScore::No => match base.take() {
            Some(before) => before,
            None => return Ok(()),
        },
        mode => {
            let before = *base.get_or_insert_with(|| {
                let text = std::fs::read_to_string(OOM_SCORE_FILE).unwrap_or_default();
                text.trim().parse().unwrap_or(0)
            });
            (if mode == OomScore::Absolute { wanted } else { before + wanted }).clamp(-1000, 1000)
        }
    };
    std::fs::write(OOM_SCORE_FILE, score.to_string()).map_err(|error| {
        tracing::warn!("Unable to write oom_score_adj: {}", crate::log::os_text(&error));
        "Failed to apply new oom_score_adj configuration, check server logs.".to_owned()
    })
}

/// Keeps huge pages away if they would be used without being asked for: they make memory grow in big steps.
pub fn disable_huge_pages() {
    if huge_pages_are_on()
        && let Err(error) = rustix::thread::disable_transparent_huge_pages(true)
    {
        tracing::warn!(
            "WARNING Transparent huge pages are on and can't be switched off for this process: {}. They cost memory and \
             latency; as root: 'echo madvise > {HUGE_PAGES_FILE}'.",
            crate::log::os_text(&error.into())
        );
    }
}

/// Whether the kernel uses huge pages wherever it can.
pub fn huge_pages_are_on() -> bool {
    std::fs::read_to_string(HUGE_PAGES_FILE).is_ok_and(|text| text.contains("[always]"))
}

/// Says so when the kernel lets fewer connections wait than `tcp-backlog` asks for.
pub fn check_backlog(backlog: u32) {
    let limit = std::fs::read_to_string(BACKLOG_FILE).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(limit) = limit.filter(|limit| *limit > 0 && *limit < backlog) {
        tracing::warn!(
            "WARNING: The TCP backlog setting of {backlog} cannot be enforced because {BACKLOG_FILE} is set to the \
             lower value of {limit}."
        );
    }
}

/// Keeps the calling thread, and those that it starts from now on, on the processors of a list such as `0-3,8,10-15:2`.
/// A list that makes no sense leaves everything as it is, as in Redis.
pub fn pin(list: &[u8]) {
    let Some(cpus) = std::str::from_utf8(list).ok().and_then(parse_cpus) else { return };
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(
            "Unable to set the processors to '{}': {}",
            String::from_utf8_lossy(list),
            crate::log::os_text(&error.into())
        );
    }
}

/// Work that may be kept on processors of its own.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Freeing big values.
    Background,
    /// Writing snapshots.
    Snapshot,
}

/// Lists for [`Work::Background`] and [`Work::Snapshot`]; threads that start later have no configuration at hand.
static LISTS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();

/// Keeps the lists of the configuration for threads to come.
pub fn set_background_lists(config: &Config) {
    let lists = [&config.bio_cpulist, &config.bgsave_cpulist].map(|list| list.as_bytes().to_vec());
    let _ = LISTS.set(lists);
}

/// How much the writer of a snapshot gives way to the actor where they share a processor, as `nice` counts.
const SNAPSHOT_NICENESS: i32 = 10;

/// Lets other threads of the process go before the calling one. No privilege is needed to step back; should it fail, the
/// thread only competes as before.
fn step_back(niceness: i32) {
    // Linux keeps the niceness of each thread, and takes a thread's number for a process's.
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), niceness) {
        tracing::debug!("Can't lower a thread's priority: {}", crate::log::os_text(&error.into()));
    }
}

/// Keeps the calling thread on the processors for its work. A snapshot's writer has time: it also lets others go first.
pub fn settle(work: Work) {
    if matches!(work, Work::Snapshot) {
        step_back(SNAPSHOT_NICENESS);
    }
    let list = LISTS.get().map(|lists| lists[work as usize].as_slice());
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        pin(list);
    }
}

/// Numbers, ranges `a-b` and ranges with a step `a-b:n`, separated by commas; `None` for anything else or nothing.
fn parse_cpus(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (range, step) = match part.split_once(':') {
            Some((range, step)) => (range, step.trim().parse().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= CpuSet::MAX_CPU {
            return None;
        }
        cpus.extend((first.min(last)..=first.max(last)).step_by(step));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        let check =
            |list: &str, want: Option<&[usize]>| assert_eq!(parse_cpus(list).as_deref(), want, "{list}");
        check("0", Some(&[0]));
        check("0,2-3", Some(&[0, 2, 3]));
        check("8-2:3", Some(&[2, 5, 8]));
        check(" 1 , 4-5", Some(&[1, 4, 5]));
        check("", None);
        check("1-", None);
        check("1-3:0", None);
        check("0-99999999", None);
    }
}
