//! The way to the actor: the one place that decides how a batch gets there.
//!
//! A queue that is drained whole: all that waits forms one turn. Its lock is held for a push or a swap only, so on
//! one thread it costs some ten nanoseconds, and between threads the owner is woken once per turn, not per message.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// The sending and receiving end; clones share the queue.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Mutex<Inner<T>>>);

#[derive(Debug)]
struct Inner<T> {
    queue: Vec<T>,
    /// Set while the owner sleeps.
    owner: Option<Waker>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner { queue: Vec::new(), owner: None })))
    }
}

impl<T> Mailbox<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().expect("nothing panics with the mailbox locked")
    }

    /// Leaves a message and wakes the owner if it sleeps.
    pub fn push(&self, message: T) {
        let mut inner = self.lock();
        inner.queue.push(message);
        let owner = inner.owner.take();
        drop(inner);
        if let Some(owner) = owner {
            owner.wake();
        }
    }

    /// Swaps all waiting messages with `out`, which is empty; false when there were none.
    pub fn drain(&self, out: &mut Vec<T>) -> bool {
        let mut inner = self.lock();
        std::mem::swap(&mut inner.queue, out);
        !out.is_empty()
    }

    /// As [`Self::drain`]; goes to sleep when nothing waits.
    pub fn poll_drain(&self, cx: &mut Context<'_>, out: &mut Vec<T>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.queue.is_empty() {
            inner.owner = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut inner.queue, out);
        Poll::Ready(())
    }
}
