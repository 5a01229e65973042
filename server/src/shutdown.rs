//! The end of the process: waiting for replicas, the last save, tidying up.
//!
//! ```text
//! begin ──▶ replicas lag ──▶ wait, looked at with each tick ──▶ finish ──▶ the main loop ends
//!   └───────────── none, or NOW ────────────────────────────────▶ ┘ └──▶ saving failed: go on, unless forced
//! ```
//!
//! A client that asked for it waits as blocked clients do; it gets a reply only if the process does not end after all.

use crate::context::Cx;
use crate::lifecycle::{Shutdown, Waiting};
use crate::pause::{Held, Reason};
use crate::process::{daemon, supervise};
use crate::server::Server;
use crate::session::{TimeoutReply, Wait};
use common::clients::Slot;
use common::command::{CommandError, Outcome};

/// What clients read whose wish could not be fulfilled.
const FAILED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

impl Server {
    /// Begins the end that a signal asks for. False when it is to be at once, without waiting for anything: someone
    /// interrupts a process again that an earlier signal has told to end.
    pub fn shut_down_by_signal(&mut self, wish: Shutdown, is_interrupt: bool) -> bool {
        match &mut self.lifecycle.waiting {
            Some(waiting) => !(waiting.by_signal && is_interrupt),
            None => {
                self.begin(wish);
                if let Some(waiting) = &mut self.lifecycle.waiting {
                    waiting.by_signal = true;
                }
                true
            }
        }
    }

    /// Ends as a shutdown does, so far that a new process can take this one's place. False if the last save failed.
    pub fn prepare_restart(&mut self) -> bool {
        self.begin(Shutdown { save: None, now: true, force: false });
        self.lifecycle.shutdown.is_some()
    }

    fn begin(&mut self, mut wish: Shutdown) {
        tracing::warn!("User requested shutdown...");
        supervise::tell(self.lifecycle.supervisor, "STOPPING=1\n");
        if self.lifecycle.loading {
            // Half a data set must not replace the file that it is being loaded from.
            wish.save = Some(false);
        }
        let timeout_ms = i64::from(self.config.shutdown_timeout) * 1000;
        if !wish.now && timeout_ms > 0 && self.lagging_replicas() > 0 {
            tracing::info!("Waiting for replicas before shutting down.");
            self.replication.request_acknowledgements();
            let deadline_ms = self.time.now_ms() + timeout_ms;
            self.lifecycle.waiting = Some(Waiting { wish, deadline_ms, by_signal: false });
            // Replicas can't catch up with a master that is written to.
            self.pause.begin(Reason::Shutdown, Held::Writes, i64::MAX);
            return;
        }
        self.finish_shutdown(wish);
    }

    /// Goes on with a shutdown that waits for replicas, if there is one; called with each tick.
    pub fn follow_shutdown(&mut self) {
        let Some(Waiting { wish, deadline_ms, .. }) = self.lifecycle.waiting else { return };
        if self.time.now_ms() >= deadline_ms || self.lagging_replicas() == 0 {
            self.lifecycle.waiting = None;
            self.finish_shutdown(wish);
        }
    }

    fn lagging_replicas(&self) -> usize {
        let (online, synced) = self.replicas_in_sync();
        online - synced
    }

    /// Replicas that get the stream, and those of them that have all of it.
    fn replicas_in_sync(&self) -> (usize, usize) {
        let count = |offset| self.replication.acknowledged(&self.clients, offset);
        (count(i64::MIN), count(self.replication.offset()))
    }

    fn finish_shutdown(&mut self, wish: Shutdown) {
        let (online, synced) = self.replicas_in_sync();
        if online > 0 {
            self.log_lag();
            tracing::info!("{synced} of {online} replicas are in sync when shutting down.");
        }
        crate::persistence::give_up(self);
        if wish.save.unwrap_or(!self.config.save.is_empty()) && !self.save_last(wish.force) {
            tracing::warn!("Errors trying to shut down the server. Check the logs for more information.");
            self.end_pause(Reason::Shutdown);
            self.refuse_waiting_clients();
            return;
        }
        daemon::clean_up(&self.config);
        // Whoever sees its connection end finds nobody to connect to.
        self.outside.sockets.close();
        self.lifecycle.shutdown = Some(wish);
    }

    fn log_lag(&self) {
        let offset = self.replication.offset();
        let now_ms = self.time.now_ms();
        for client in self.clients.iter() {
            let Some(replica) = client.ext.replica.as_deref() else { continue };
            if replica.is_online() && replica.acknowledged < offset {
                tracing::warn!(
                    "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
                    crate::replication::name(client),
                    offset - replica.acknowledged,
                    (now_ms - replica.seen_ms) / 1000,
                    replica.state.name()
                );
            }
        }
    }

    /// The last save; true when the process may end.
    fn save_last(&mut self, force: bool) -> bool {
        tracing::info!("Saving the final RDB snapshot before exiting.");
        supervise::tell(self.lifecycle.supervisor, "STATUS=Saving the final RDB snapshot\n");
        match crate::persistence::save_last(self) {
            Ok(()) => true,
            Err(error) if force => {
                tracing::warn!("Error trying to save the DB. Exit anyway. ({error})");
                true
            }
            Err(error) => {
                tracing::warn!("Error trying to save the DB, can't exit. ({error})");
                let status = "STATUS=Error trying to save the DB, can't exit.\n";
                supervise::tell(self.lifecycle.supervisor, status);
                false
            }
        }
    }

    /// SHUTDOWN ABORT: the server goes on, unless it is too late.
    ///
    /// # Errors
    /// When no shutdown waits.
    pub fn abort_shutdown(&mut self) -> Result<(), CommandError> {
        let signal = self.lifecycle.signal.take();
        if self.lifecycle.waiting.take().is_none() && signal.is_none() {
            return Err("ERR No shutdown in progress.".into());
        }
        tracing::info!("Shutdown manually aborted.");
        self.end_pause(Reason::Shutdown);
        self.refuse_waiting_clients();
        Ok(())
    }

    fn refuse_waiting_clients(&mut self) {
        for slot in std::mem::take(&mut self.lifecycle.asked_by) {
            // It may have left, and another client taken its place.
            let waits_for_the_end = |wait: &Wait| matches!(wait, Wait::Keys { keys, .. } if keys.is_empty());
            let parked = self.clients.get(slot).and_then(|client| client.ext.parked.as_deref());
            if !parked.is_some_and(|parked| waits_for_the_end(&parked.wait)) {
                continue;
            }
            let Some(mut parked) = self.blocked.unpark(&mut self.clients, slot) else { continue };
            if let Some(client) = self.clients.get_mut(slot) {
                client.output.error(FAILED.as_bytes());
            }
            parked.batch.next += 1;
            self.resumed.push_back((slot, parked.batch));
            self.clients.mark(slot);
        }
    }
}

/// SHUTDOWN by a client: it gets no reply if all goes well.
///
/// # Errors
/// When saving fails at once.
pub fn shut_down_by_client(cx: &mut Cx<'_>, wish: Shutdown) -> Result<Outcome, CommandError> {
    let is_second = cx.server.lifecycle.waiting.is_some();
    if !is_second {
        cx.server.begin(wish);
    }
    if cx.server.lifecycle.shutdown.is_some() {
        return Ok(Outcome::Done);
    }
    if cx.server.lifecycle.waiting.is_none() {
        return Err(FAILED.into());
    }
    let slot: Slot = cx.slot;
    cx.server.lifecycle.asked_by.push(slot);
    cx.wait = Some((
        Wait::Keys {
            keys: Vec::new(),
            on_timeout: TimeoutReply::NullArray,
            ids: Vec::new(),
            until_gone: false,
        },
        None,
    ));
    Ok(Outcome::Block)
}
