//! What the allocator says.

use tikv_jemalloc_ctl::{epoch, stats};

/// Bytes allocated, exactly: all live allocations at their size class. Costs some microseconds.
pub fn used_bytes() -> u64 {
    // Statistics are cached until the epoch advances.
    if epoch::advance().is_err() {
        return 0;
    }
    stats::allocated::read().unwrap_or(0) as u64
}
