//! How much a listpack or a quicklist's node may hold.

/// Size in bytes that a node limited by count must not exceed either.
const SAFETY_LIMIT: usize = 8192;
/// Sizes in bytes for `list-max-listpack-size` -1 to -5.
const SIZE_LEVELS: [usize; 5] = [4096, 8192, 16384, 32768, 65536];

/// How much a listpack or a quicklist's node may hold.
#[derive(Clone, Copy, Debug)]
pub struct ListLimit {
    /// As `list-max-listpack-size`: -1 to -5 for 4 to 64 KB, else a number of elements.
    fill: i32,
    /// Elements of so many bytes get a node of their own; 0 derives it from `fill`.
    packed_threshold: usize,
    /// Nodes at each end that are never compressed; 0 compresses none.
    compress_depth: usize,
}

impl Default for ListLimit {
    /// 8 KB.
    fn default() -> Self {
        Self::new(-2)
    }
}

impl ListLimit {
    /// The limits that `list-max-listpack-size` stands for. Values below -5 count as -5.
    pub fn new(fill: i32) -> Self {
        Self { fill, packed_threshold: 0, compress_depth: 0 }
    }

    /// Elements of at least `bytes` bytes get a node of their own (DEBUG QUICKLIST-PACKED-THRESHOLD); 0 for the rule.
    pub fn with_packed_threshold(self, bytes: usize) -> Self {
        Self { packed_threshold: bytes, ..self }
    }

    /// Compresses nodes that have at least `depth` others on either side (`list-compress-depth`); 0 compresses none.
    pub fn with_compress_depth(self, depth: usize) -> Self {
        Self { compress_depth: depth, ..self }
    }

    #[inline]
    pub(super) fn compress_depth(&self) -> usize {
        self.compress_depth
    }

    pub(super) fn size_limit(&self) -> usize {
        match self.fill {
            0.. => usize::MAX,
            level => SIZE_LEVELS[level.unsigned_abs().min(5) as usize - 1],
        }
    }

    pub(super) fn count_limit(&self) -> usize {
        if self.fill < 0 { usize::MAX } else { self.fill.max(1) as usize }
    }

    pub(super) fn is_large(&self, bytes: usize) -> bool {
        match self.packed_threshold {
            0 => bytes > self.size_limit().min(if self.fill < 0 { usize::MAX } else { SAFETY_LIMIT }),
            threshold => bytes >= threshold,
        }
    }

    pub(super) fn exceeded_by(&self, bytes: usize, count: usize) -> bool {
        match self.fill {
            0.. => bytes > SAFETY_LIMIT || count > self.count_limit(),
            _ => bytes > self.size_limit(),
        }
    }

    /// A quicklist of one such node may become a listpack, with half the limit as a margin when it `shrinks`.
    pub(super) fn fits_listpack(&self, bytes: usize, count: usize, shrinks: bool) -> bool {
        let share = if shrinks { 2 } else { 1 };
        bytes <= self.size_limit() / share && count <= self.count_limit() / share
    }
}
