//! The actor: owns the server, takes what connections bring, turn by turn.
//!
//! A turn drains the mailbox whole: it looks up all commands and hashes their keys, prefetches where these live, then
//! executes in order of arrival, goes on with clients that were woken meanwhile, and hands all output to the
//! connections at its end. It never waits to gather more.

use crate::context::Cx;
use crate::dispatch::{self, Flow, Parking};
use crate::scripting::{Progress, ScriptHost, Suspended};
use crate::server::Server;
use common::clients::{ClientClass, Slot};
use common::command::{Args, Find, KeySpec, Search};
use common::net::{Batch, CloseReason, Hint, Home, Link, NetEvent};
use common::resp::ProtocolError;
use std::rc::Rc;
use std::sync::Arc;
use store::{Ahead, Db, DbIndex, Hash};

/// Requests whose keys are prefetched together: enough to hide the latency of memory, few enough to stay in cache.
const WINDOW: usize = 64;

/// Bytes of requests that are looked at when clients hold too much, before they are executed.
const BIG_BATCH: usize = 32 * 1024;

/// The actor.
pub struct Actor {
    /// Absent only while a script's coroutine holds it.
    server: Option<Box<Server>>,
    host: Rc<ScriptHost>,
    /// A script that has run longer than `busy-reply-threshold` and lets others have a word.
    suspended: Option<Suspended>,
    /// I/O threads to wake at the end of a turn.
    homes: Vec<Arc<Home>>,
    /// Clients to look at after output was handed over.
    attention: Vec<Slot>,
}

/// What a request run on a coroutine came to.
pub struct Ran {
    /// The server, back from the coroutine.
    pub server: Box<Server>,
    /// The batch whose next request ran.
    pub batch: Box<Batch>,
    /// What comes next.
    pub flow: Flow,
    /// When the client waits: for what.
    pub parking: Option<Parking>,
}

impl Actor {
    /// An actor over `server`.
    pub fn new(server: Box<Server>, host: Rc<ScriptHost>, homes: Vec<Arc<Home>>) -> Self {
        Self { server: Some(server), host, suspended: None, homes, attention: Vec::new() }
    }

    /// The state.
    pub fn server(&mut self) -> &mut Box<Server> {
        self.server.as_mut().expect("the server is here between two resumptions of a script")
    }

    /// The Lua side.
    pub fn host(&self) -> &Rc<ScriptHost> {
        &self.host
    }

    /// Ends waits whose time is up, and tries again where a client asked for that.
    pub fn wake_overdue(&mut self) {
        let host = Rc::clone(&self.host);
        crate::dispatch::wake_overdue(self.server(), &host);
    }

    /// Whether a script waits to be resumed: the caller lets others run, then calls [`Self::resume_script`].
    pub fn has_script(&self) -> bool {
        self.suspended.is_some()
    }

    /// Handles everything that waited in the mailbox.
    pub fn turn(&mut self, events: &mut Vec<NetEvent>) {
        self.server().time.sample();
        let started = self.server().time.now_ns();
        self.evict_clients();
        let mut from = 0;
        let mut only_requests = true;
        while from < events.len() {
            let to = self.prepare(events, from);
            for event in &mut events[from..to] {
                let event = std::mem::replace(event, NetEvent::Drained);
                only_requests &= matches!(event, NetEvent::Batch(_));
                self.handle(event);
            }
            from = to;
        }
        events.clear();
        self.run_resumed();
        let server = self.server();
        if !only_requests {
            server.time.sample(); // after a request the clock has been read already
        }
        let lasted_ns = server.time.now_ns() - started;
        server.stats.note_turn(lasted_ns);
        self.hand_over();
    }

    /// Goes on with woken clients, then hands all output over.
    pub fn finish_turn(&mut self) {
        self.run_resumed();
        self.hand_over();
    }

    fn run_resumed(&mut self) {
        while let Some((slot, batch)) = self.server().resumed.pop_front() {
            self.run_batch(slot, batch);
        }
    }

    /// Hands all output over.
    fn hand_over(&mut self) {
        let mut attention = std::mem::take(&mut self.attention);
        let server = self.server();
        server.tell_prefixes();
        server.replication.feed_replicas(&mut server.clients);
        server.clients.flush(&mut attention);
        for slot in attention.drain(..) {
            self.attend(slot);
        }
        self.attention = attention;
        self.evict_clients();
        self.homes.iter().for_each(|home| home.kick());
    }

    /// Cuts off clients that hold too much: before a turn, as buffers grow between two, and behind it.
    #[inline]
    fn evict_clients(&mut self) {
        if self.server().config.max_memory_clients != 0 {
            self.server().evict_clients(None);
        }
    }

    /// Looks ahead: resolves commands, hashes first keys, prefetches. Returns where the window ends.
    fn prepare(&self, events: &mut [NetEvent], from: usize) -> usize {
        let server = self.server.as_deref().expect("the server is here");
        let mut requests = 0;
        let mut to = from;
        while to < events.len() && requests < WINDOW {
            if let NetEvent::Batch(batch) = &mut events[to] {
                requests += look_ahead(server, batch);
            }
            to += 1;
        }
        if requests > 1 {
            for stage in Db::PREFETCH_STAGES {
                for event in &mut events[from..to] {
                    if let NetEvent::Batch(batch) = event {
                        prefetch(server, batch, stage);
                    }
                }
            }
        }
        to
    }

    fn handle(&mut self, event: NetEvent) {
        match event {
            NetEvent::Batch(batch) => {
                let slot = Slot(batch.slot);
                let server = self.server();
                if server.config.max_memory_clients != 0 && batch.buf.len() > BIG_BATCH {
                    // As its bytes are with the batch now, no look at the client would find them.
                    server.evict_clients(Some((slot, batch.buf.capacity())));
                }
                if server.clients.verify(slot, batch.id).is_some() {
                    self.run_batch(slot, batch);
                }
            }
            NetEvent::Opened(link) => self.open(link),
            NetEvent::Refused => self.server().stats.rejected_connections += 1,
            NetEvent::Drained => {} // the end of the turn feeds the replicas that have caught up
            NetEvent::Closed { slot, id, last, reason } => self.closed(slot, id, last, reason),
        }
    }

    fn open(&mut self, link: Arc<Link>) {
        let server = self.server();
        let now_ms = server.time.now_ms();
        let refused = if server.clients.len() >= server.config.max_clients as usize {
            server.stats.rejected_connections += 1;
            Some("ERR max number of clients reached")
        } else if server.config.protected_mode && server.config.requirepass.is_empty() && !link.is_loopback()
        {
            server.stats.rejected_connections += 1;
            Some(PROTECTED)
        } else {
            server.stats.connections += 1;
            None
        };
        let authenticated = server.config.requirepass.is_empty();
        if link.is_unix() {
            tracing::debug!("Accepted connection to {}", link.local().trim_end_matches(":0"));
        } else {
            tracing::debug!("Accepted {}", link.peer());
        }
        let slot = server.clients.add(Some(link), authenticated, now_ms);
        if let Some(text) = refused {
            if let Some(client) = server.clients.get_mut(slot) {
                client.output.error(text.as_bytes());
            }
            server.clients.close_after_reply(slot);
            server.free_client(slot);
        }
    }

    fn closed(&mut self, slot: Slot, id: u64, last: Option<Box<Batch>>, reason: Option<CloseReason>) {
        let server = self.server();
        let Some(client) = server.clients.verify(slot, id) else { return };
        if reason == Some(CloseReason::QueryBuffer) {
            tracing::warn!(
                "Closing client that reached max query buffer length: id={id} addr={}",
                client.address()
            );
            server.stats.query_buffer_disconnections += 1;
        } else {
            tracing::debug!(
                "Client closed connection {}",
                client.describe_for_log(server.time.now_ms(), server.config.hide_user_data)
            );
        }
        let is_parked = server.clients.get(slot).is_some_and(|client| client.ext.parked.is_some());
        if let Some(batch) = last.filter(|_| !is_parked) {
            self.run_batch(slot, batch);
        }
        let server = self.server();
        if server.clients.verify(slot, id).is_some() && !server.clients.is_running(slot) {
            server.clients.close_after_reply(slot);
            server.free_client(slot);
        } else {
            // Its script still runs: the client goes when that ends.
            server.clients.close_after_reply(slot);
        }
    }

    /// Executes a batch from where it stands.
    fn run_batch(&mut self, slot: Slot, mut batch: Box<Batch>) {
        if batch.spare.capacity() > 0 {
            let spare = std::mem::take(&mut batch.spare);
            if let Some(client) = self.server().clients.get_mut(slot) {
                client.output.recycle(spare);
            }
        }
        loop {
            let stopped = self.run_plain(slot, &mut batch);
            match stopped {
                Stop::Done => break,
                Stop::Parked(parking) => return dispatch::park(self.server(), slot, batch, parking),
                Stop::Script => match self.run_script(slot, batch) {
                    None => return, // suspended: it goes on in `resume_script`
                    Some(Ok(back)) => batch = back,
                    Some(Err((back, parking))) => return dispatch::park(self.server(), slot, back, parking),
                },
            }
        }
        self.end_batch(slot, batch);
    }

    fn end_batch(&mut self, slot: Slot, batch: Box<Batch>) {
        let server = self.server();
        if let Some(error) = batch.error
            && server.clients.get(slot).is_some_and(|client| !client.is_closing())
        {
            server.stats.protocol_errors += 1;
            log_protocol_error(server, slot, &batch, error);
            server.clients.protocol_error(slot, error);
        }
        server.clients.finish_batch(slot, batch);
    }

    /// Executes requests until the batch ends, the client waits, or a request needs a coroutine.
    fn run_plain(&mut self, slot: Slot, batch: &mut Batch) -> Stop {
        let server = self.server.as_mut().expect("the server is here");
        let now_ms = server.time.now_ms();
        let Some(client) = server.clients.get_mut(slot).filter(|client| !client.is_closing()) else {
            return Stop::Done;
        };
        server.gather.note(now_ms, client.active_ms);
        client.active_ms = now_ms;
        let mut cx = Cx::begin(server, &self.host, slot);
        cx.query_buffer = batch.buffered();
        dispatch::take_ease(&mut cx);
        let mut stop = Stop::Done;
        while batch.next < batch.requests.len() {
            let args = Args::over(&batch.buf, batch.requests.get(batch.next));
            let hint = batch.hints.get(batch.next).copied().unwrap_or_default();
            if (hint.command == 0 || hint.is_special)
                && !cx.server.scripts.is_busy()
                && dispatch::is_script_runner(cx.server, slot, &args, hint)
            {
                stop = Stop::Script;
                break;
            }
            match dispatch::process(&mut cx, &args, hint) {
                Flow::Next => batch.next += 1,
                Flow::Park => {
                    let parking = cx.wait.take().expect("a command that blocks says what for");
                    stop = Stop::Parked(parking);
                    break;
                }
            }
            let is_fine = cx.at_ease && cx.reply.len() <= cx.output_room;
            if !is_fine && !cx.server.may_go_on(slot, cx.reply.len()) {
                batch.next = batch.requests.len();
                break;
            }
        }
        cx.finish();
        stop
    }

    /// Runs the next request of a batch on a coroutine. `None`: it was suspended; `Ok`: go on with the batch;
    /// `Err`: the client waits.
    fn run_script(&mut self, slot: Slot, batch: Box<Batch>) -> Option<AfterScript> {
        let server = self.server.take().expect("the server is here");
        let progress = ScriptHost::start(&self.host, server, slot, batch);
        self.settle(progress)
    }

    fn settle(&mut self, progress: Progress) -> Option<AfterScript> {
        match progress {
            Progress::Suspended(server, suspended) => {
                self.server = Some(server);
                self.suspended = Some(suspended);
                None
            }
            Progress::Ran(Ran { server, mut batch, flow, parking }) => {
                self.server = Some(server);
                match (flow, parking) {
                    (Flow::Park, Some(parking)) => Some(Err((batch, parking))),
                    _ => {
                        batch.next += 1;
                        Some(Ok(batch))
                    }
                }
            }
        }
    }

    /// Lets a suspended script run on for a while.
    pub fn resume_script(&mut self) {
        let Some(suspended) = self.suspended.take() else { return };
        let slot = suspended.slot();
        let server = self.server.take().expect("the server is here");
        match self.settle(suspended.resume(server)) {
            None => {}
            Some(Ok(batch)) => self.run_batch(slot, batch),
            Some(Err((batch, parking))) => dispatch::park(self.server(), slot, batch, parking),
        }
        self.finish_turn();
    }

    /// After output was handed over: frees clients that are done, cuts those over their limit.
    fn attend(&mut self, slot: Slot) {
        let server = self.server();
        let Some(client) = server.clients.get(slot) else { return };
        if client.is_closing() {
            if !server.clients.is_running(slot) {
                server.free_client(slot);
            }
            return;
        }
        if server.over_output_limit(slot) {
            server.cut_for_output(slot, AT_ONCE);
        }
    }
}

/// A batch whose request ran on a coroutine: it goes on, or waits for this.
type AfterScript = Result<Box<Batch>, (Box<Batch>, Parking)>;

/// Why executing a batch stopped.
enum Stop {
    Done,
    Parked(Parking),
    Script,
}

/// The reply to a client from afar when nobody chose to let it in.
const PROTECTED: &str = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.";

#[cold]
fn log_protocol_error(server: &Server, slot: Slot, batch: &Batch, error: ProtocolError) {
    /// Bytes that are shown of what could not be read.
    const SHOWN: usize = 128;
    let Some(client) = server.clients.get(slot) else { return };
    let requests = &batch.requests;
    let last = requests.len().checked_sub(1).and_then(|last| requests.get(last).last());
    let rest = &batch.buf[last.map_or(0, |(_, end)| *end as usize)..];
    let rest = rest[..rest.len().min(SHOWN)].escape_ascii().to_string();
    tracing::debug!(
        "{error} from client: {}. Query buffer: '{}'",
        client.describe_for_log(server.time.now_ms(), server.config.hide_user_data),
        server.config.shown_in_log(&rest)
    );
}

/// Finds commands and hashes of a batch's requests ahead, and starts to fetch what the keys lead to; the number of requests.
fn look_ahead(server: &Server, batch: &mut Batch) -> usize {
    batch.hints.clear();
    let db = server.keyspace.db(selected_db(server, batch));
    let mut last: (&[u8], Hint) = (b"", Hint::default());
    let mut first_key = None;
    for index in 0..batch.requests.len() {
        let args = Args::over(&batch.buf, batch.requests.get(index));
        // Pipelines repeat themselves: the next request's command is often the last one's.
        if args.get(0) != last.0 {
            (last, first_key) = ((args.get(0), Hint::default()), None);
            if let Some(id) = server.table.find(args.get(0)) {
                let command = server.table.command(id);
                last.1.is_special = server.table.is_special(id);
                if command.subcommands.is_empty() {
                    last.1.command = id.index() as u16 + 1;
                    first_key = command.keys.first();
                }
            }
        }
        let mut hint = last.1;
        if let Some(at) = first_key.and_then(|spec| first_key_at(spec, &args)) {
            let hash = server.keyspace.hash(args.get(at));
            let ahead = db.prefetch_slot(hash);
            (hint.hash, hint.place) = (hash.0, ahead.unwrap_or(Ahead::NONE).bits());
            (hint.hashed, hint.is_far) = (at == 1, ahead.is_some());
        }
        batch.hints.push(hint);
    }
    batch.requests.len()
}

/// Where a request's first key stands: behind its name, or behind the number of keys, as in requests that run scripts.
fn first_key_at(spec: &KeySpec, args: &Args<'_>) -> Option<usize> {
    let Search::Index(at) = spec.search else { return None };
    let at = match spec.find {
        Find::Range(..) => (at == 1).then_some(1),
        Find::Count(0, first, _) => (args.count() > at && args.get(at) != b"0").then_some(at + first),
        _ => None,
    };
    at.filter(|at| *at < args.count())
}

/// The database that a batch begins in.
fn selected_db(server: &Server, batch: &Batch) -> DbIndex {
    DbIndex(server.clients.get(Slot(batch.slot)).map_or(0, |client| client.db as usize))
}

/// Runs one stage of prefetching over a batch.
fn prefetch(server: &Server, batch: &mut Batch, stage: impl Fn(&Db, Hash, &mut Ahead) -> bool) {
    let db = server.keyspace.db(selected_db(server, batch));
    for hint in batch.hints.iter_mut().filter(|hint| hint.is_far) {
        let mut ahead = Ahead::from_bits(hint.place);
        hint.is_far = stage(db, Hash(hint.hash), &mut ahead);
        hint.place = ahead.bits();
    }
}

/// Bytes of output that no limit counts, but for replicas: Redis has a buffer of that size for each client, and what fits
/// into it is no backlog, so that a limit of a few bytes leaves room for short replies.
const UNCOUNTED: usize = 16 * 1024;

/// What follows is counted in blocks, as Redis takes them from the allocator.
const BLOCK: usize = 20 * 1024;

/// How the log says that a client that a turn has just found over its limit is closed.
const AT_ONCE: &str = "scheduled to be closed ASAP";

/// What limits see of so many bytes of output.
fn counted(bytes: usize) -> u64 {
    bytes.saturating_sub(UNCOUNTED).next_multiple_of(BLOCK) as u64
}

/// Bytes of output of which limits see no more than so many.
fn fitting(limit: u64) -> usize {
    usize::try_from(limit / BLOCK as u64)
        .unwrap_or(usize::MAX)
        .saturating_mul(BLOCK)
        .saturating_add(UNCOUNTED)
}

impl Server {
    /// Bytes that a client may be sent beyond those on their way, before its class's hard limit is reached.
    pub fn output_room(&self, slot: Slot) -> usize {
        let Some(client) = self.clients.get(slot) else { return 0 };
        match self.config.output_limit(output_class(client.class())).hard_bytes {
            0 => usize::MAX,
            limit => fitting(limit).saturating_sub(client.unsent()),
        }
    }

    /// Whether a client's batch goes on after a command.
    fn may_go_on(&mut self, slot: Slot, reply_len: usize) -> bool {
        let Some(client) = self.clients.get(slot) else { return false };
        if client.is_closing() {
            return false;
        }
        let class = output_class(client.class());
        let limit = self.config.output_limit(class).hard_bytes;
        if limit > 0 && counted(reply_len + client.unsent()) > limit {
            self.cut_for_output(slot, AT_ONCE);
            return false;
        }
        true
    }

    /// Whether a client's unread output is over its class's limits, now or for too long.
    pub fn over_output_limit(&mut self, slot: Slot) -> bool {
        let now_ms = self.time.now_ms();
        let Some(client) = self.clients.get_mut(slot) else { return false };
        let mut limit = self.config.output_limit(output_class(client.class()));
        let mut unsent = counted(client.unsent());
        if let Some(replica) = client.ext.replica.as_deref() {
            unsent = client.unsent() as u64 + self.replication.lag_bytes(replica);
            if limit.hard_bytes > 0 {
                // A limit below the backlog would cut off replicas that the backlog has just helped back.
                limit.hard_bytes = limit.hard_bytes.max(self.config.repl_backlog_size);
            }
        }
        if limit.hard_bytes > 0 && unsent > limit.hard_bytes {
            return true;
        }
        if limit.soft_bytes == 0 || unsent <= limit.soft_bytes {
            client.soft_limit_since_ms = None;
            return false;
        }
        let since = *client.soft_limit_since_ms.get_or_insert(now_ms);
        now_ms - since > limit.soft_seconds as i64 * 1000
    }

    /// Closes a client that does not read what it asked for; the log says `when`, in Redis's words.
    pub fn cut_for_output(&mut self, slot: Slot, when: &str) {
        let now_ms = self.time.now_ms();
        let Some(client) = self.clients.get(slot).filter(|client| !client.is_closing()) else { return };
        tracing::warn!(
            "Client {} {when} for overcoming of output buffer limits.",
            client.describe_for_log(now_ms, self.config.hide_user_data)
        );
        self.stats.output_buffer_disconnections += 1;
        self.clients.close_now(slot);
        if !self.clients.is_running(slot) {
            self.free_client(slot);
        }
    }
}

fn output_class(class: ClientClass) -> crate::config::ClientClass {
    match class {
        ClientClass::Normal => crate::config::ClientClass::Normal,
        ClientClass::Replica | ClientClass::Master => crate::config::ClientClass::Replica,
        ClientClass::PubSub => crate::config::ClientClass::PubSub,
    }
}
