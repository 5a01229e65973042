//! The daemon's state, owned by its actor.

use crate::config::Config;
use crate::context::Cx;
use common::clients::{Client, Clients, Extension, Slot};
use common::command::{Args, CommandError, Daemon, Flags, Table};
use common::net::{Batch, Link, NetEvent};
use common::pubsub::{PubSub, Target};
use common::resp::Resp;
use std::sync::Arc;

/// The daemon as the command type sees it.
pub struct Watchman;

impl Daemon for Watchman {
    type Cx<'a> = Cx<'a>;
}

/// What a sentinel keeps per client: nothing beyond the shared part.
#[derive(Debug, Default)]
pub struct Session;

impl Extension for Session {}

/// All state.
pub struct Sentinel {
    /// Directives in force.
    pub config: Config,
    /// Every client.
    pub clients: Clients<Session>,
    /// Every subscription.
    pub pubsub: PubSub,
    /// Every command.
    pub table: &'static Table<Watchman>,
    /// Unix ms of this turn.
    pub now_ms: i64,
    /// Unix ms when it started.
    pub started_ms: i64,
    /// Commands run.
    pub commands: u64,
    /// Connections accepted.
    pub connections: u64,
    /// SHUTDOWN was asked for.
    pub shutdown: bool,
}

impl Sentinel {
    /// A sentinel without clients.
    pub fn new(config: Config, table: &'static Table<Watchman>) -> Self {
        let now_ms = common::clock::now_ms();
        Self {
            config,
            clients: Clients::default(),
            pubsub: PubSub::default(),
            table,
            now_ms,
            started_ms: now_ms,
            commands: 0,
            connections: 0,
            shutdown: false,
        }
    }

    /// Handles everything that waited in the mailbox and hands the output over.
    pub fn turn(&mut self, events: &mut Vec<NetEvent>) {
        self.now_ms = common::clock::now_ms();
        for event in events.drain(..) {
            match event {
                NetEvent::Opened(link) => self.open(link),
                NetEvent::Batch(batch) => self.run_batch(batch),
                NetEvent::Drained | NetEvent::Refused => {} // only a replica asks for the one, only TLS brings the other
                NetEvent::Closed { slot, id, last, .. } => {
                    if let Some(batch) = last {
                        self.run_batch(batch);
                    }
                    if self.clients.verify(slot, id).is_some() {
                        self.clients.close_after_reply(slot);
                        self.free_client(slot);
                    }
                }
            }
        }
        let mut attention = Vec::new();
        self.clients.flush(&mut attention);
        for slot in attention {
            if self.clients.get(slot).is_some_and(Client::is_closing) {
                self.free_client(slot);
            }
        }
    }

    fn open(&mut self, link: Arc<Link>) {
        let refused = if self.clients.len() >= self.config.max_clients as usize {
            Some("ERR max number of clients reached")
        } else if self.config.protected_mode && self.config.requirepass.is_empty() && !link.is_loopback() {
            Some(
                "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.",
            )
        } else {
            None
        };
        self.connections += 1;
        let slot = self.clients.add(Some(link), self.config.requirepass.is_empty(), self.now_ms);
        if let Some(text) = refused {
            if let Some(client) = self.clients.get_mut(slot) {
                client.output.error(text.as_bytes());
            }
            self.clients.close_after_reply(slot);
            self.free_client(slot);
        }
    }

    fn run_batch(&mut self, mut batch: Box<Batch>) {
        let slot = Slot(batch.slot);
        if self.clients.verify(slot, batch.id).is_none() {
            return;
        }
        let mut cx = Cx::begin(self, slot);
        cx.query_buffer = batch.buffered();
        while batch.next < batch.requests.len()
            && cx.sentinel.clients.get(slot).is_some_and(|c| !c.is_closing())
        {
            let args = Args::over(&batch.buf, batch.requests.get(batch.next));
            process(&mut cx, &args);
            batch.next += 1;
        }
        cx.finish();
        if let Some(error) = batch.error {
            self.clients.protocol_error(slot, error);
        }
        self.clients.finish_batch(slot, batch);
    }

    /// Frees a client and what hangs on it.
    pub fn free_client(&mut self, slot: Slot) {
        let Some(mut client) = self.clients.remove(slot) else { return };
        for target in Target::ALL {
            for name in client.unsubscribe_all(target) {
                self.pubsub.unsubscribe(target, &name, slot);
            }
        }
    }
}

/// Runs one request.
fn process(cx: &mut Cx<'_>, args: &Args<'_>) {
    let mark = cx.reply.mark();
    let (slot, now_ms) = (cx.slot, cx.sentinel.now_ms);
    let result = admit(cx, args).and_then(|id| {
        if let Some(client) = cx.sentinel.clients.get_mut(slot) {
            client.active_ms = now_ms;
            client.last_command = Some(cx.sentinel.table.full_name(id));
        }
        cx.sentinel.commands += 1;
        (cx.sentinel.table.command(id).run)(cx, &mut args.clone())
    });
    if let Err(error) = result {
        cx.reply.truncate(mark);
        cx.reply.error(&error.wire());
    }
    cx.sentinel.clients.settle_reply(slot, &mut cx.reply, mark);
}

fn admit(cx: &Cx<'_>, args: &Args<'_>) -> Result<common::command::CommandId, CommandError> {
    let id = cx.sentinel.table.resolve(args)?;
    let flags = cx.sentinel.table.command(id).flags;
    let client = cx.sentinel.clients.get(cx.slot);
    if !flags.has(Flags::NO_AUTH) && !client.is_some_and(|client| client.authenticated) {
        return Err(CommandError::NoAuth);
    }
    let subscribed = cx.reply.resp == Resp::V2 && client.is_some_and(|client| client.subscriptions() > 0);
    if subscribed && !flags.has(Flags::SUBSCRIBED) {
        return Err(CommandError::only_in_subscribed_mode(cx.sentinel.table.full_name(id)));
    }
    Ok(id)
}
