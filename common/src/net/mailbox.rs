//! The way to the actor: the one place that decides how a batch gets there.
//!
//! A queue that is drained whole: all that waits forms one turn. Its lock is held for a push or a swap only, so on
//! one thread it costs some ten nanoseconds, and between threads the owner is woken once per turn, not per message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};

/// The sending and receiving end; clones share the queue.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Vec<T>>,
    /// The task that polls, always the same.
    owner: OnceLock<Waker>,
    /// The owner found nothing, and nothing came since: it need not look.
    asleep: AtomicBool,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let (queue, asleep) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        Self(Arc::new(Shared { queue, owner: OnceLock::new(), asleep }))
    }
}

impl<T> Mailbox<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.queue.lock().expect("nothing panics with the mailbox locked")
    }

    /// Leaves a message and wakes the owner if it sleeps.
    pub fn push(&self, message: T) {
        let mut queue = self.lock();
        queue.push(message);
        // Under the lock, so that of two who push at once one wakes.
        let wakes = self.0.asleep.load(Ordering::Relaxed);
        if wakes {
            self.0.asleep.store(false, Ordering::Release);
        }
        drop(queue);
        if wakes && let Some(owner) = self.0.owner.get() {
            owner.wake_by_ref();
        }
    }

    /// Swaps all waiting messages with `out`, which is empty; false when there were none.
    pub fn drain(&self, out: &mut Vec<T>) -> bool {
        std::mem::swap(&mut *self.lock(), out);
        !out.is_empty()
    }

    /// As [`Self::drain`]; goes to sleep when nothing waits. Always polled by the same task.
    pub fn poll_drain(&self, cx: &Context<'_>, out: &mut Vec<T>) -> Poll<()> {
        if self.0.asleep.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let mut queue = self.lock();
        if queue.is_empty() {
            let owner = self.0.owner.get_or_init(|| cx.waker().clone());
            debug_assert!(owner.will_wake(cx.waker()), "a mailbox has one owner");
            self.0.asleep.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        std::mem::swap(&mut *queue, out);
        Poll::Ready(())
    }
}
