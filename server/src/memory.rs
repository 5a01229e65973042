//! What the allocator says.

use std::cell::Cell;
use tikv_jemalloc_ctl::thread::{ThreadLocal, allocatedp, deallocatedp};
use tikv_jemalloc_ctl::{background_thread, epoch, stats, stats_print};

/// This thread's view: the exact figure when it was last asked for, and what the thread allocated and freed itself,
/// which the allocator counts where it costs two loads to read.
struct View {
    allocated: ThreadLocal<u64>,
    deallocated: ThreadLocal<u64>,
    /// Exact figure, less the thread's own balance at that moment.
    base: Cell<u64>,
}

impl View {
    fn open() -> Option<Self> {
        let (allocated, deallocated) = (allocatedp::read().ok()?, deallocatedp::read().ok()?);
        let view = Self { allocated, deallocated, base: Cell::new(0) };
        view.base.set(exact().wrapping_sub(view.balance()));
        Some(view)
    }

    fn balance(&self) -> u64 {
        self.allocated.get().wrapping_sub(self.deallocated.get())
    }
}

thread_local! {
    static VIEW: Option<View> = View::open();
}

/// What the allocator handed out, less what threads gave back to their caches: those bytes are nobody's, and leave the
/// caches by and by, so that memory in use would seem to fall by itself.
fn exact() -> u64 {
    handed_out().saturating_sub(crate::sys::thread_cache_bytes())
}

fn handed_out() -> u64 {
    // Statistics are cached until the epoch advances.
    if epoch::advance().is_err() {
        return 0;
    }
    stats::allocated::read().unwrap_or(0) as u64
}

/// Bytes allocated, exactly: all live allocations at their size class. Costs some microseconds.
pub fn used_bytes() -> u64 {
    refresh();
    used_about()
}

/// Bytes allocated: exact for this thread's allocations, and as of the last [`refresh`] for those of the others. Costs
/// some nanoseconds.
#[inline]
pub fn used_about() -> u64 {
    VIEW.with(|view| view.as_ref().map_or_else(exact, |view| view.base.get().wrapping_add(view.balance())))
}

/// What the allocator holds, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator {
    /// Live allocations, and what threads keep in their caches.
    pub allocated: u64,
    /// Pages that hold some.
    pub active: u64,
    /// Pages that the kernel gave it.
    pub resident: u64,
}

/// The allocator's own figures.
pub fn allocator() -> Allocator {
    let allocated = handed_out();
    let figure = |read: Result<usize, _>| read.map_or(0, |bytes| bytes as u64);
    Allocator { allocated, active: figure(stats::active::read()), resident: figure(stats::resident::read()) }
}

/// Has threads of the allocator's own give unused pages back, or whoever happens to free something: a purge takes
/// milliseconds, which must not be a turn's. After the process has gone into the background only: threads don't follow.
pub fn purge_in_background(on: bool) {
    if let Err(error) = background_thread::write(on) {
        tracing::warn!("The allocator can't purge in the background: {error}");
    }
}

/// Takes in what other threads allocated and freed.
pub fn refresh() {
    VIEW.with(|view| {
        if let Some(view) = view {
            view.base.set(exact().wrapping_sub(view.balance()));
        }
    });
}

/// All that the allocator counts, as text.
pub fn report() -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = stats_print::stats_print(&mut text, stats_print::Options::default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set in the process that runs one test alone.
    const ALONE: &str = "TEST_RUNS_ALONE";

    /// The counters are the process's, and other tests allocate as well: this one gets a process of its own.
    #[test]
    fn own_allocations_show_at_once_and_others_after_a_refresh() {
        if std::env::var_os(ALONE).is_some() {
            return count_allocations();
        }
        let name = "memory::tests::own_allocations_show_at_once_and_others_after_a_refresh";
        let program = std::env::current_exe().expect("the path of this test");
        let run = std::process::Command::new(program).args([name, "--exact"]).env(ALONE, "yes").output();
        let run = run.expect("it can be started");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
    }

    fn count_allocations() {
        let before = used_bytes();
        let own = vec![1u8; 1 << 20];
        assert!(used_about() >= before + (1 << 20));
        let other = std::thread::spawn(|| vec![1u8; 8 << 20]).join().expect("no panic");
        assert!(used_bytes() >= before + (9 << 20));
        let mut small: Vec<Vec<u8>> = (0..1000).map(|_| vec![1; 100]).collect();
        let with_small = used_bytes();
        small.clear();
        assert!(used_bytes() + 100_000 <= with_small, "what lies in a thread's cache is not in use");
        drop((own, other));
        assert!(used_about() < before + (5 << 20));
    }
}
