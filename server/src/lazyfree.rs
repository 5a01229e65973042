//! Freeing big values on a thread of its own.

use crate::process::kernel::{Work, settle};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use store::Garbage;

/// Allocations from which on freeing is handed over; below that it costs less than the message. As in Redis.
const THRESHOLD: usize = 64;

/// Allocations from which on freeing is handed over whatever the configuration says: it would take the actor about a
/// millisecond.
const BIG: usize = 16 * 1024;

/// The way to the thread that frees; it starts with the first value.
#[derive(Debug, Default)]
pub struct LazyFree {
    thread: std::sync::OnceLock<Sender<Garbage>>,
    pending: Arc<AtomicUsize>,
    freed: Arc<AtomicUsize>,
}

impl LazyFree {
    /// Frees a value, elsewhere if it is big: sooner if `lazily`.
    pub fn release(&self, garbage: Garbage, lazily: bool) {
        let most = if lazily { THRESHOLD } else { BIG };
        if garbage.free_effort() <= most {
            drop(garbage);
            return;
        }
        let sender = self.thread.get_or_init(|| start(self.pending.clone(), self.freed.clone()));
        self.pending.fetch_add(1, Ordering::Relaxed);
        // If the thread could not start, the value comes back in the error and is freed here.
        drop(sender.send(garbage));
    }

    /// Values waiting to be freed.
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Values freed so far.
    pub fn freed(&self) -> usize {
        self.freed.load(Ordering::Relaxed)
    }

    /// Forgets how many were freed (CONFIG RESETSTAT).
    pub fn reset_freed(&self) {
        self.freed.store(0, Ordering::Relaxed);
    }
}

fn start(pending: Arc<AtomicUsize>, freed: Arc<AtomicUsize>) -> Sender<Garbage> {
    let (sender, receiver) = channel::<Garbage>();
    let run = move || {
        settle(Work::Background);
        while let Ok(garbage) = receiver.recv() {
            drop(garbage);
            pending.fetch_sub(1, Ordering::Relaxed);
            freed.fetch_add(1, Ordering::Relaxed);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("ochre-free".into()).spawn(run) {
        tracing::warn!("Can't start the thread that frees big values, they are freed in place: {error}");
    }
    sender
}
