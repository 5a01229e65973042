//! The way to a connection: output, the finished batch and the facts of its session.

use super::Batch;
use super::Traffic;
use super::duplex::Writer;
use crate::clients::Slot;
use crate::resp::Segment;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Whether and how a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum Close {
    /// It goes on.
    #[default]
    No,
    /// Once its output is written.
    AfterFlush,
    /// At once; output is dropped.
    Now,
}

/// What the connection must know of its session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Place in the registry.
    pub slot: Slot,
    /// Client id.
    pub id: u64,
    /// Whether the tighter limits of a client that has to authenticate are off.
    pub authenticated: bool,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `ip:port`, `[ip6]:port` or `path:0`.
    pub address: Box<str>,
    /// Our side, likewise.
    pub local: Box<str>,
    /// File descriptor, for CLIENT LIST.
    pub fd: i32,
    /// Whether it is a Unix socket.
    pub unix: bool,
    /// Whether the other end is on this machine (loopback or Unix), for protected mode.
    pub loopback: bool,
}

/// What waits for a connection.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Output in order.
    pub segments: Vec<Segment>,
    /// Output behind `segments`.
    pub tail: Vec<u8>,
    pub batch: Option<Box<Batch>>,
    pub session: Option<Session>,
    pub close: Close,
}

#[derive(Debug, Default)]
struct Inner {
    delivery: Option<Delivery>,
    waker: Option<Waker>,
    /// The socket, where the actor may write to it; gone when the connection is.
    writer: Option<Writer>,
}

/// Largest reply that the actor writes itself, bytes; copying more into the kernel would keep the others waiting.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// Shared by a client in the registry and its connection task.
#[derive(Debug)]
pub struct Link {
    inner: Mutex<Inner>,
    /// `inner` holds a delivery.
    waiting: AtomicBool,
    /// The connection has nothing to do but to read, and is set to do that: it needs no wake-up to get its batch back.
    resting: AtomicBool,
    /// Its batch came back while it rested.
    returned: AtomicBool,
    /// Output bytes handed over and not yet written.
    unsent: AtomicUsize,
    /// Bytes in the query buffer, and free bytes behind them.
    query: [AtomicU32; 2],
    /// The client waits in a blocking command: its connection reads on, to see a disconnect.
    parked: AtomicBool,
    /// The actor waits for the output to be written: it has more.
    drain_awaited: AtomicBool,
    /// The peer is a replica: what it gets is counted apart.
    to_replica: AtomicBool,
    peer: Peer,
    home: Arc<Home>,
}

impl Link {
    /// A link for a connection that lives on `home`.
    pub fn new(peer: Peer, home: Arc<Home>) -> Self {
        home.open.fetch_add(1, Ordering::Relaxed);
        Self {
            inner: Mutex::default(),
            waiting: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            returned: AtomicBool::new(false),
            unsent: AtomicUsize::new(0),
            query: Default::default(),
            parked: AtomicBool::new(false),
            drain_awaited: AtomicBool::new(false),
            to_replica: AtomicBool::new(false),
            peer,
            home,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics with a link locked")
    }

    /// The other side's address.
    pub fn peer(&self) -> &str {
        &self.peer.address
    }

    /// Our address.
    pub fn local(&self) -> &str {
        &self.peer.local
    }

    /// File descriptor.
    pub fn fd(&self) -> i32 {
        self.peer.fd
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        self.peer.unix
    }

    /// Whether the other end is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.peer.loopback
    }

    /// Output bytes handed over and not yet written.
    pub fn unsent(&self) -> usize {
        self.unsent.load(Ordering::Relaxed)
    }

    /// Bytes in the query buffer and free bytes behind them.
    pub fn query_buffer(&self) -> (usize, usize) {
        let [used, free] = &self.query;
        (used.load(Ordering::Relaxed) as usize, free.load(Ordering::Relaxed) as usize)
    }

    /// Whether the client waits in a blocking command.
    pub fn set_parked(&self, parked: bool) {
        self.parked.store(parked, Ordering::Relaxed);
    }

    /// The peer turned out to be a replica.
    pub fn set_to_replica(&self) {
        self.to_replica.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_write(&self, bytes: usize) {
        self.home.traffic.note_write(bytes, self.to_replica.load(Ordering::Relaxed));
    }

    /// Asks for [`super::NetEvent::Drained`] once all output is written. True when there is none left to write, so
    /// that no event will come.
    pub fn await_drain(&self) -> bool {
        self.drain_awaited.store(true, Ordering::Relaxed);
        // Both sides write their word, then read the other's: one of them sees that it has to act.
        fence(Ordering::SeqCst);
        self.unsent() == 0
    }

    /// Whether the actor waits for the output that was just written.
    pub(super) fn take_drain_wish(&self) -> bool {
        fence(Ordering::SeqCst);
        self.drain_awaited.load(Ordering::Relaxed) && self.drain_awaited.swap(false, Ordering::Relaxed)
    }

    /// Lets the actor, on the same thread, write to the socket.
    pub(super) fn lend(&self, writer: Writer) {
        self.lock().writer = Some(writer);
    }

    /// The connection is over.
    pub(super) fn hang_up(&self) {
        self.lock().writer = None;
    }

    /// Hands over what a turn made for this connection.
    pub fn deliver(
        &self,
        segments: Vec<Segment>,
        mut tail: Vec<u8>,
        mut batch: Option<Box<Batch>>,
        session: Option<Session>,
        close: Close,
    ) {
        if segments.is_empty()
            && tail.len() <= WRITTEN_AT_ONCE
            && session.is_none()
            && close == Close::No
            && self.resting.load(Ordering::Relaxed)
            && !self.drain_awaited.load(Ordering::Relaxed)
        {
            let written = self.write_now(&tail);
            if written == tail.len() {
                return self.give_back(batch, tail);
            }
            tail.drain(..written);
        }
        self.resting.store(false, Ordering::Relaxed);
        self.leave(Delivery { segments, tail, batch: batch.take(), session, close });
    }

    /// Writes to the socket what it takes at once, if that is ours to do.
    fn write_now(&self, bytes: &[u8]) -> usize {
        let inner = self.lock();
        match &inner.writer {
            Some(writer) if !bytes.is_empty() => {
                let written = writer.write_now(bytes);
                self.note_write(written);
                written
            }
            _ => 0,
        }
    }

    /// Ends a batch whose connection rests: its buffers are free for any connection.
    fn give_back(&self, batch: Option<Box<Batch>>, mut output: Vec<u8>) {
        if let Some(mut batch) = batch {
            if batch.spare.capacity() == 0 {
                output.clear();
                batch.spare = output;
            }
            self.home.recycle(batch);
            self.returned.store(true, Ordering::Relaxed);
        }
    }

    /// Leaves a delivery for the connection and wakes it.
    fn leave(&self, delivery: Delivery) {
        let Delivery { mut segments, tail, batch, session, close } = delivery;
        let bytes = tail.len() + segments.iter().map(|s| s.as_slice().len()).sum::<usize>();
        if bytes > 0 {
            self.unsent.fetch_add(bytes, Ordering::Relaxed);
        }
        let mut inner = self.lock();
        match &mut inner.delivery {
            None => inner.delivery = Some(Delivery { segments, tail, batch, session, close }),
            Some(waiting) => {
                if segments.is_empty() && waiting.tail.is_empty() {
                    waiting.tail = tail;
                } else if segments.is_empty() {
                    waiting.tail.extend_from_slice(&tail);
                } else {
                    waiting.segments.push(Segment::Own(std::mem::replace(&mut waiting.tail, tail)));
                    waiting.segments.append(&mut segments);
                }
                waiting.batch = batch.or(waiting.batch.take());
                waiting.session = session.or(waiting.session);
                waiting.close = waiting.close.max(close);
            }
        }
        self.waiting.store(true, Ordering::Release);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            self.home.wake(waker);
        }
    }

    /// Takes what waits, or leaves the waker. Always polled by the same task, so a waker that was left stays good.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Option<Delivery> {
        if self.resting.load(Ordering::Relaxed) && !self.waiting.load(Ordering::Acquire) {
            return None;
        }
        let mut inner = self.lock();
        self.waiting.store(false, Ordering::Relaxed);
        let delivery = inner.delivery.take();
        match &inner.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => inner.waker = Some(cx.waker().clone()),
        }
        delivery
    }

    /// Says whether the connection rests (see the field) from now on; on another thread than the actor's it never does.
    pub(super) fn set_resting(&self, resting: bool) {
        if !self.home.remote {
            self.resting.store(resting, Ordering::Relaxed);
        }
    }

    /// Whether the batch came back without a delivery.
    pub(super) fn take_returned(&self) -> bool {
        self.returned.load(Ordering::Relaxed) && self.returned.swap(false, Ordering::Relaxed)
    }

    pub(super) fn written(&self, bytes: usize) {
        self.unsent.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn note_query_buffer(&self, used: usize, free: usize) {
        self.query[0].store(used.min(u32::MAX as usize) as u32, Ordering::Relaxed);
        self.query[1].store(free.min(u32::MAX as usize) as u32, Ordering::Relaxed);
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.home.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The thread that connections live on, as seen by the actor.
///
/// Waking a task of another runtime costs a system call each. So wake-ups for another thread are gathered and that
/// thread is woken once a turn; on its own thread a task is woken directly.
#[derive(Debug, Default)]
pub struct Home {
    remote: bool,
    waiting: Mutex<(Vec<Waker>, Option<Waker>)>,
    /// Batches to be used again by any connection of the thread.
    pool: Mutex<Pool>,
    traffic: Traffic,
    /// Connections that live there.
    open: AtomicUsize,
}

#[derive(Debug, Default)]
struct Pool {
    #[expect(clippy::vec_box, reason = "batches travel boxed: through the pool, the mailbox and back")]
    batches: Vec<Box<Batch>>,
    /// The fewest that were there since [`Home::trim`] looked: so many nobody needed.
    unused: usize,
}

/// Batches kept per thread for connections that wake up.
const POOLED: usize = 256;

impl Home {
    /// The actor's own thread.
    pub fn local() -> Self {
        Self::default()
    }

    /// Another thread, which runs [`Self::dispatch`].
    pub fn remote() -> Self {
        Self { remote: true, ..Self::default() }
    }

    /// Connections that live there.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// What the thread's connections read and wrote.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// An empty batch with room for one read.
    pub(super) fn batch(&self) -> Box<Batch> {
        let mut pool = self.pool.lock().expect("nothing panics here");
        let pooled = pool.batches.pop();
        pool.unused = pool.unused.min(pool.batches.len());
        drop(pool);
        pooled.unwrap_or_else(|| {
            Box::new(Batch { buf: Vec::with_capacity(super::connection::READ_SIZE), ..Batch::default() })
        })
    }

    /// Takes a batch back that was finished.
    pub(super) fn recycle(&self, batch: Box<Batch>) {
        let mut pool = self.pool.lock().expect("nothing panics here");
        if pool.batches.len() < POOLED {
            pool.batches.push(batch);
        }
    }

    /// Frees an eighth of the batches that nobody needed since the last call: what a crowd has left goes within seconds.
    pub fn trim(&self) {
        let mut pool = self.pool.lock().expect("nothing panics here");
        let kept = pool.batches.len() - pool.unused.div_ceil(8);
        let surplus = pool.batches.split_off(kept);
        pool.unused = pool.batches.len();
        drop(pool);
        drop(surplus);
    }

    fn wake(&self, waker: Waker) {
        if self.remote {
            self.waiting.lock().expect("nothing panics here").0.push(waker);
        } else {
            waker.wake();
        }
    }

    /// Wakes the other thread if something waits for it; the actor calls it at the end of a turn.
    pub fn kick(&self) {
        if !self.remote {
            return;
        }
        let mut waiting = self.waiting.lock().expect("nothing panics here");
        if !waiting.0.is_empty()
            && let Some(dispatcher) = waiting.1.take()
        {
            drop(waiting);
            dispatcher.wake();
        }
    }

    /// Wakes the connections that the actor has something for, for ever.
    pub async fn dispatch(&self) {
        let mut wakers = Vec::new();
        std::future::poll_fn::<(), _>(|cx| {
            let mut waiting = self.waiting.lock().expect("nothing panics here");
            std::mem::swap(&mut waiting.0, &mut wakers);
            match &waiting.1 {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => waiting.1 = Some(cx.waker().clone()),
            }
            drop(waiting);
            wakers.drain(..).for_each(Waker::wake);
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_what_is_needed() {
        let home = Home::local();
        let held = |count: usize| (0..count).map(|_| home.batch()).collect::<Vec<_>>();
        let pooled = || home.pool.lock().expect("a pool").batches.len();
        held(100).into_iter().for_each(|batch| home.recycle(batch));
        home.trim();
        for _ in 0..200 {
            held(3).into_iter().for_each(|batch| home.recycle(batch));
            home.trim();
        }
        assert_eq!(pooled(), 3);
        (0..20).for_each(|_| home.trim());
        assert_eq!(pooled(), 0);
        held(POOLED + 9).into_iter().for_each(|batch| home.recycle(batch));
        assert_eq!(pooled(), POOLED);
    }
}
