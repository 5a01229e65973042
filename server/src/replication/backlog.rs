//! The last part of the stream, kept once for everyone: replicas that are being fed and replicas that come back.
//!
//! ```text
//! start                                                    end
//!   │ sealed block │ sealed block │ … │ sealed block │ open ─┤
//!                        ▲ cursor of a slow replica        ▲ cursor of a replica that keeps up
//! ```
//!
//! A replica is a cursor. What it is given of a sealed block is shared, so a slow replica costs no copy; the open block
//! still grows, and its few kilobytes are copied.

use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Sizes at which the open block is sealed, bytes: large enough to be sent by reference, small against the backlog.
const BLOCK: RangeInclusive<u64> = 16 << 10..=64 << 10;

/// A window of the stream. Positions count bytes since the stream's start.
#[derive(Debug)]
pub struct Backlog {
    sealed: VecDeque<Bytes>,
    open: Vec<u8>,
    /// Position of the first byte kept.
    start: i64,
    /// Position of the open block.
    open_at: i64,
    /// Bytes to keep for replicas that come back.
    size: u64,
}

impl Backlog {
    /// An empty window at position `at`.
    pub fn new(size: u64, at: i64) -> Self {
        Self { sealed: VecDeque::new(), open: Vec::new(), start: at, open_at: at, size }
    }

    /// Position of the first byte kept.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Position behind the last byte.
    pub fn end(&self) -> i64 {
        self.open_at + self.open.len() as i64
    }

    /// `repl-backlog-size`.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Another size, for [`Self::trim`].
    pub fn resize(&mut self, size: u64) {
        self.size = size;
    }

    /// Appends to the stream.
    pub fn append(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
        let block = (self.size / 16).clamp(*BLOCK.start(), *BLOCK.end());
        if self.open.len() as u64 >= block {
            self.open_at += self.open.len() as i64;
            let mut block = std::mem::take(&mut self.open);
            block.shrink_to_fit();
            self.sealed.push_back(block.into());
        }
    }

    /// Drops blocks that lie beyond the size and before `needed`, the oldest cursor.
    pub fn trim(&mut self, needed: i64) {
        let keep_from = (self.end() - self.size as i64).min(needed);
        while let Some(first) = self.sealed.front()
            && self.start + first.len() as i64 <= keep_from
        {
            self.start += first.len() as i64;
            self.sealed.pop_front();
        }
    }

    /// Whether the stream can be continued at `position`.
    pub fn holds(&self, position: i64) -> bool {
        (self.start..=self.end()).contains(&position)
    }

    /// A stretch from `position` on: the rest of its block. Empty at the end. O(blocks) for a position far back.
    pub fn read(&self, position: i64) -> Stretch<'_> {
        assert!(self.holds(position), "{position} is outside of {}..={}", self.start, self.end());
        if position >= self.open_at {
            return Stretch::Open(&self.open[(position - self.open_at) as usize..]);
        }
        let mut at = self.open_at;
        for block in self.sealed.iter().rev() {
            at -= block.len() as i64;
            if position >= at {
                return Stretch::Sealed(block.slice((position - at) as usize..));
            }
        }
        unreachable!("blocks reach from start to the open one")
    }
}

/// A stretch of the stream.
#[derive(Debug)]
pub enum Stretch<'b> {
    /// It can be shared.
    Sealed(Bytes),
    /// It has to be copied.
    Open(&'b [u8]),
}

impl Stretch<'_> {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Sealed(bytes) => bytes.len(),
            Self::Open(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(backlog: &Backlog, mut from: i64) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let stretch = backlog.read(from);
            match &stretch {
                Stretch::Sealed(bytes) => out.extend_from_slice(bytes),
                Stretch::Open(bytes) => out.extend_from_slice(bytes),
            }
            if stretch.len() == 0 {
                return out;
            }
            from += stretch.len() as i64;
        }
    }

    #[test]
    fn every_kept_position_gives_the_rest_of_the_stream() {
        let mut backlog = Backlog::new(100_000, 1000);
        let mut stream = Vec::new();
        for n in 0..60_000u32 {
            let piece = n.to_string().into_bytes();
            stream.extend_from_slice(&piece);
            backlog.append(&piece);
            if n % 5000 == 0 {
                backlog.trim(i64::MAX);
            }
        }
        assert_eq!(backlog.end(), 1000 + stream.len() as i64);
        assert!(backlog.end() - backlog.start() >= 100_000);
        assert!(backlog.end() - backlog.start() < 100_000 + 2 * (16 << 10));
        for position in (backlog.start()..=backlog.end()).step_by(997) {
            assert_eq!(read_all(&backlog, position), stream[(position - 1000) as usize..]);
        }
        assert!(!backlog.holds(backlog.start() - 1) && !backlog.holds(backlog.end() + 1));
    }

    #[test]
    fn a_cursor_keeps_what_it_needs() {
        let mut backlog = Backlog::new(1, 0);
        (0..10).for_each(|_| backlog.append(&[b'x'; 16 << 10]));
        backlog.trim(3 << 14);
        assert_eq!(backlog.start(), 3 << 14);
        backlog.trim(i64::MAX);
        assert_eq!(backlog.start(), 9 << 14);
    }
}
