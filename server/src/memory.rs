//! What the allocator says.

use tikv_jemalloc_ctl::{epoch, stats, stats_print};

/// Bytes allocated, exactly: all live allocations at their size class. Costs some microseconds.
pub fn used_bytes() -> u64 {
    // Statistics are cached until the epoch advances.
    if epoch::advance().is_err() {
        return 0;
    }
    stats::allocated::read().unwrap_or(0) as u64
}

/// The allocator's own view, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator {
    /// Handed out and not given back.
    pub allocated: u64,
    /// In pages that hold something.
    pub active: u64,
    /// In memory.
    pub resident: u64,
}

/// What the allocator counts.
pub fn allocator() -> Allocator {
    let allocated = used_bytes();
    Allocator {
        allocated,
        active: stats::active::read().unwrap_or(0) as u64,
        resident: stats::resident::read().unwrap_or(0) as u64,
    }
}

/// All that the allocator counts, as text.
pub fn report() -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = stats_print::stats_print(&mut text, stats_print::Options::default());
    text
}
