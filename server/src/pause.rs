//! CLIENT PAUSE: for a while nobody may write, or nobody may do anything.
//!
//! Who comes across it waits like a blocked client, its batch with it, and tries again when the pause is over. So that
//! the data stands still meanwhile, nothing expires and nothing is evicted; replicas are never held up.

use crate::context::{Caller, Cx};
use crate::server::Server;
use common::clients::Slot;
use common::command::{Args, Flags};

/// What is held up; the later holds more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// What may change data, or reach replicas by other means.
    Writes,
    /// Every command.
    All,
}

/// Who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// CLIENT PAUSE.
    Client,
    /// A shutdown that waits for replicas.
    Shutdown,
}

/// A pause and its end, Unix ms.
type Span = (Held, i64);

/// All pauses.
#[derive(Debug, Default)]
pub struct Pause {
    /// By [`Reason`].
    spans: [Option<Span>; 2],
    /// It began within the transaction that runs, whose commands go on as before.
    in_transaction: bool,
    /// Who waits, first come first.
    waiting: Vec<Slot>,
}

impl Pause {
    /// Whether anything may be held up.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.spans[0].is_some() || self.spans[1].is_some()
    }

    /// Whether data stands still: keys neither expire nor are evicted.
    #[inline]
    pub fn is_still(&self) -> bool {
        self.is_active() && !self.in_transaction
    }

    /// Begins a pause, or makes it longer and stricter.
    pub fn begin(&mut self, reason: Reason, held: Held, until_ms: i64) {
        let span = self.spans[reason as usize].get_or_insert((held, until_ms));
        *span = (span.0.max(held), span.1.max(until_ms));
    }

    /// The strictest of what holds and the latest end, as INFO tells.
    pub fn current(&self) -> Option<(Reason, Held, i64)> {
        let [client, shutdown] = self.spans;
        let (held, until_ms) =
            client.into_iter().chain(shutdown).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))?;
        let reason = if shutdown.is_some() { Reason::Shutdown } else { Reason::Client };
        Some((reason, held, until_ms))
    }

    /// When the next of them ends, Unix ms.
    pub fn next_end(&self) -> Option<i64> {
        self.spans.iter().flatten().map(|(_, until_ms)| *until_ms).min()
    }

    /// Takes note of a client that waits.
    pub fn add(&mut self, slot: Slot) {
        self.waiting.push(slot);
    }

    /// A client waits no more.
    pub fn forget(&mut self, slot: Slot) {
        self.waiting.retain(|waiting| *waiting != slot);
    }
}

/// Whether a command may change data, or reach replicas by other means.
pub fn may_change(server: &Server, flags: Flags, args: &Args<'_>) -> bool {
    crate::dispatch::flags_of_request(server, flags, args).any(Flags::WRITE.and(Flags::MAY_REPLICATE))
}

/// Whether the command at hand has to wait for the end of a pause.
pub fn holds(cx: &mut Cx<'_>, flags: Flags, args: &Args<'_>) -> bool {
    if !cx.server.pause.is_active() || cx.session().is_shown_changes() {
        return false;
    }
    match cx.server.pause.current() {
        Some((_, Held::All, _)) => true,
        Some((_, Held::Writes, _)) => {
            let queued = cx.session().multi.as_ref().filter(|_| flags.has(Flags::RUNS_QUEUED));
            queued.is_some_and(|multi| multi.changes) || may_change(cx.server, flags, args)
        }
        None => false,
    }
}

/// Begins a pause for a client's command.
pub fn begin(cx: &mut Cx<'_>, held: Held, until_ms: i64) {
    cx.server.pause.begin(Reason::Client, held, until_ms);
    // What the transaction does besides must be whole, whatever has expired meanwhile.
    cx.server.pause.in_transaction |= cx.caller == Caller::Exec;
}

impl Server {
    /// Ends a pause before its time.
    pub fn end_pause(&mut self, reason: Reason) {
        self.pause.spans[reason as usize] = None;
        self.release_paused();
    }

    /// Ends pauses whose time is up.
    pub fn end_overdue_pauses(&mut self) {
        if !self.pause.is_active() {
            return;
        }
        let now_ms = self.time.now_ms();
        for span in &mut self.pause.spans {
            *span = span.filter(|(_, until_ms)| *until_ms > now_ms);
        }
        self.release_paused();
    }

    /// A transaction is over, which may have begun a pause.
    pub fn end_transaction_in_pause(&mut self) {
        self.pause.in_transaction = false;
    }

    /// Lets those who waited try again, also if another pause goes on: it may hold up less.
    fn release_paused(&mut self) {
        for slot in std::mem::take(&mut self.pause.waiting) {
            if let Some(parked) = self.blocked.unpark(&mut self.clients, slot) {
                self.resumed.push_back((slot, parked.batch));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_longer_and_stricter() {
        let mut pause = Pause::default();
        assert!(!pause.is_active());
        pause.begin(Reason::Client, Held::All, 100);
        pause.begin(Reason::Client, Held::Writes, 300);
        assert_eq!((pause.current(), pause.next_end()), (Some((Reason::Client, Held::All, 300)), Some(300)));
        pause.begin(Reason::Shutdown, Held::Writes, i64::MAX);
        assert_eq!(pause.current(), Some((Reason::Shutdown, Held::All, i64::MAX)));
        assert_eq!(pause.next_end(), Some(300));
    }
}
