//! Every connected client, as the actor sees it.
//!
//! A client's output collects here and is handed to its connection at the end of a turn; nothing else writes to a
//! socket. Pushes to the client whose command is running wait until its reply is complete, so that a message never
//! lands inside a reply.

use crate::net::{Batch, Close, Link, Session};
use crate::pubsub::Target;
use crate::resp::{Mark, ProtocolError, Reply, Resp};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

/// Index of a client in the registry; reused after it left, unlike its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// What `CLIENT REPLY` chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// No replies until ON.
    Off,
    /// This command asked to skip the next reply.
    SkipNext,
    /// The reply of the command that runs is skipped.
    Skip,
}

/// Class of a client for `client-output-buffer-limit` and `CLIENT LIST TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Everyone else.
    Normal,
    /// A replica that we feed.
    Replica,
    /// A client with subscriptions.
    PubSub,
    /// Our master.
    Master,
}

/// What a command of a client holds on to while it runs or waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Bytes in the buffer of its requests, and free bytes behind them.
    pub query: (usize, usize),
    /// Bytes of its words.
    pub arguments: usize,
}

/// The running client's figures, which are not the registry's while its command runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The protocol version, which the command may just have changed.
    pub resp: Resp,
    /// Bytes of its reply so far, and bytes that are reserved for more.
    pub reply: (usize, usize),
    /// Its requests.
    pub held: Held,
}

/// What a daemon keeps per client.
pub trait Extension: Default {
    /// Commands queued by MULTI, or -1.
    fn queued(&self) -> i64 {
        -1
    }
    /// Bytes held by queued commands.
    fn queued_bytes(&self) -> usize {
        0
    }
    /// Bytes of what else the daemon keeps for the client.
    fn kept_bytes(&self) -> usize {
        0
    }
    /// What a command that waits holds on to.
    fn held(&self) -> Held {
        Held::default()
    }
    /// Keys watched.
    fn watched(&self) -> usize {
        0
    }
    /// Letters for the `flags` field of CLIENT LIST, in Redis's order.
    fn flags(&self, out: &mut String, is_subscribed: bool) {
        if is_subscribed {
            out.push('P');
        }
    }
    /// The client that is told of changed keys in its place; 0 = itself, -1 = nobody is.
    fn redirect(&self) -> i64 {
        -1
    }
    /// Whether the client waits in a blocking command.
    fn is_blocked(&self) -> bool {
        false
    }
    /// Letters of what it said that it can do, for the `capa` field of CLIENT LIST.
    fn capabilities(&self) -> &'static str {
        ""
    }
    /// Whether the client sees keys whose time is up, because data is imported through it.
    fn is_import_source(&self) -> bool {
        false
    }
    /// Whether the client is a replica or master link.
    fn replication_class(&self) -> Option<ClientClass> {
        None
    }
}

/// One client.
pub struct Client<X> {
    /// Never reused; what CLIENT ID says.
    pub id: u64,
    /// Its place in the registry.
    pub slot: Slot,
    /// The way to its connection; a client without one (a script's, a loader's) has none.
    link: Option<Arc<Link>>,
    /// Output that waits for the end of the turn. While a batch of this client runs, the running context holds it.
    pub output: Reply,
    /// The batch to give back with the next delivery.
    returned: Option<Box<Batch>>,
    /// Whether the slot stands in the registry's list of clients to flush.
    dirty: bool,
    close: Close,
    /// Whether the session may run commands.
    pub authenticated: bool,
    /// Facts for the connection changed (it learns of authentication with the next delivery).
    announce: bool,
    /// Selected database.
    pub db: u32,
    /// `CLIENT SETNAME`.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME` and `LIB-VER`.
    pub library: Option<Box<(Vec<u8>, Vec<u8>)>>,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// What it is subscribed to, by [`Target`].
    subscribed: [BTreeSet<Bytes>; Target::ALL.len()],
    /// Bytes that subscriptions take, on both sides.
    subscribed_bytes: usize,
    /// Unix ms when it connected.
    pub created_ms: i64,
    /// Unix ms of its last command.
    pub active_ms: i64,
    /// Since when the output is over the soft limit.
    pub soft_limit_since_ms: Option<i64>,
    /// Lower-case full name of its last command.
    pub last_command: Option<&'static str>,
    /// `NO-EVICT` and `NO-TOUCH`.
    pub no_evict: bool,
    /// Reads don't change a key's access time.
    pub no_touch: bool,
    /// What the daemon keeps.
    pub ext: X,
}

impl<X: Extension> Client<X> {
    /// The protocol version of the session.
    pub fn resp(&self) -> Resp {
        self.output.resp
    }

    /// Number of subscriptions of all kinds.
    pub fn subscriptions(&self) -> usize {
        self.subscribed.iter().map(BTreeSet::len).sum()
    }

    /// The names of one kind that it is subscribed to.
    pub fn subscribed(&self, target: Target) -> &BTreeSet<Bytes> {
        &self.subscribed[target as usize]
    }

    /// Adds a subscription; the other side of it is in [`crate::pubsub::PubSub`]. False when it was there.
    pub fn subscribe(&mut self, target: Target, name: Bytes) -> bool {
        let bytes = subscription_bytes(&name);
        let is_new = self.subscribed[target as usize].insert(name);
        self.subscribed_bytes += if is_new { bytes } else { 0 };
        is_new
    }

    /// Takes a subscription out; false when there was none.
    pub fn unsubscribe(&mut self, target: Target, name: &[u8]) -> bool {
        let existed = self.subscribed[target as usize].remove(name);
        self.subscribed_bytes -= if existed { subscription_bytes(name) } else { 0 };
        existed
    }

    /// Takes all subscriptions of a kind out.
    pub fn unsubscribe_all(&mut self, target: Target) -> BTreeSet<Bytes> {
        let names = std::mem::take(&mut self.subscribed[target as usize]);
        self.subscribed_bytes -= names.iter().map(|name| subscription_bytes(name)).sum::<usize>();
        names
    }

    /// The class whose output limits hold.
    pub fn class(&self) -> ClientClass {
        self.ext.replication_class().unwrap_or(if self.subscriptions() > 0 {
            ClientClass::PubSub
        } else {
            ClientClass::Normal
        })
    }

    /// Output bytes that were made and not yet written to the socket.
    pub fn unsent(&self) -> usize {
        self.output.len() + self.link.as_ref().map_or(0, |link| link.unsent())
    }

    /// The other side's address.
    pub fn address(&self) -> &str {
        self.link.as_ref().map_or("", |link| link.peer())
    }

    /// Our address on the connection.
    pub fn local_address(&self) -> &str {
        self.link.as_ref().map_or("", |link| link.local())
    }

    /// Whether the connection will be closed.
    pub fn is_closing(&self) -> bool {
        self.close != Close::No
    }

    /// The connection, for those that take it over (replica links).
    pub fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// Bytes that the client holds: itself, its buffers, unsent output, queued commands, and what it asked to be told of.
    pub fn memory(&self) -> usize {
        let (queries, spare) = self.query_buffer(self.ext.held());
        size_of::<Self>()
            + queries
            + spare
            + self.unsent()
            + self.ext.queued_bytes()
            + self.ext.kept_bytes()
            + self.name.len()
            + self.subscribed_bytes
    }

    /// Bytes of the buffers of its requests, free ones among them.
    pub fn input_bytes(&self) -> usize {
        let (used, free) = self.query_buffer(self.ext.held());
        used + free
    }

    /// Bytes in the buffers of its requests, and free bytes behind them: those on the connection's side, and those that
    /// a command holds. A connection that waits holds none, so that for most clients both are 0.
    fn query_buffer(&self, held: Held) -> (usize, usize) {
        let (used, free) = self.link.as_ref().map_or((0, 0), |link| link.query_buffer());
        (used + held.query.0, free + held.query.1)
    }

    /// The line of CLIENT LIST for the log, where the name that the client gave itself may have no place.
    pub fn describe_for_log(&self, now_ms: i64, hides_name: bool) -> String {
        let line = self.describe(now_ms, None);
        if !hides_name || self.name.is_empty() {
            return line;
        }
        // A name has no spaces, so that it can be found.
        let (before, after) = line.split_once(" name=").unwrap_or((&line, ""));
        let (_, after) = after.split_once(' ').unwrap_or_default();
        format!("{before} name=*redacted* {after}")
    }

    /// The letters of the `flags` field.
    pub fn flags(&self) -> String {
        let mut flags = String::new();
        self.ext.flags(&mut flags, self.subscriptions() > 0);
        let letters = [
            (self.close == Close::AfterFlush, 'c'),
            (self.link.as_ref().is_some_and(|link| link.is_unix()), 'U'),
            (self.no_evict, 'e'),
            (self.no_touch, 'T'),
            (self.ext.is_import_source(), 'I'),
        ];
        flags.extend(letters.iter().filter(|(on, _)| *on).map(|(_, letter)| letter));
        if flags.is_empty() {
            flags.push('N');
        }
        flags
    }

    /// The line of CLIENT LIST and CLIENT INFO, without line end.
    ///
    /// There is no reply buffer for life as in Redis: `rbs` and `rbp` are what is reserved for the reply and what it takes
    /// now, `obl` is what was not handed to the connection, `omem` what the connection has not written, as one entry of
    /// `oll`.
    pub fn describe(&self, now_ms: i64, running: Option<Running>) -> String {
        // A field of Valkey, for those who asked for it: to others the line stays Redis's.
        let capabilities = match self.ext.capabilities() {
            "" => String::new(),
            letters => format!(" capa={letters}"),
        };
        let own = (self.output.len(), self.output.capacity());
        let (reply, reserved) = running.map_or(own, |running| running.reply);
        let held = running.map_or_else(|| self.ext.held(), |running| running.held);
        let resp = running.map_or(self.resp(), |running| running.resp);
        let (queries, spare) = self.query_buffer(held);
        let unsent = self.link.as_ref().map_or(0, |link| link.unsent());
        // The figures of the running command are nowhere else, so nothing is counted twice.
        let lent = running.map_or(0, |_| held.query.0 + held.query.1 + reserved.max(reply));
        let memory = self.memory() + lent;
        let (lib, version) =
            self.library.as_deref().map_or((&b""[..], &b""[..]), |(lib, version)| (lib, version));
        let mut line = String::new();
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={}{} db={} sub={} psub={} ssub={} multi={} watch={} \
             qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} \
             cmd={} user=default redir={} resp={} lib-name={} lib-ver={}",
            self.id,
            self.address(),
            self.local_address(),
            self.link.as_ref().map_or(-1, |link| link.fd()),
            String::from_utf8_lossy(&self.name),
            (now_ms - self.created_ms).max(0) / 1000,
            (now_ms - self.active_ms).max(0) / 1000,
            self.flags(),
            capabilities,
            self.db,
            self.subscribed(Target::Channel).len(),
            self.subscribed(Target::Pattern).len(),
            self.subscribed(Target::Shard).len(),
            self.ext.queued(),
            self.ext.watched(),
            queries,
            spare,
            held.arguments,
            self.ext.queued_bytes(),
            reserved,
            reply,
            reply,
            usize::from(unsent > 0),
            unsent,
            memory,
            if unsent > 0 { "rw" } else { "r" },
            self.last_command.unwrap_or("NULL"),
            self.ext.redirect(),
            if resp == Resp::V3 { 3 } else { 2 },
            String::from_utf8_lossy(lib),
            String::from_utf8_lossy(version),
        );
        line
    }
}

/// What a subscription takes: the name, and a handle to it with the client and in the table of names each.
fn subscription_bytes(name: &[u8]) -> usize {
    name.len() + 4 * size_of::<Bytes>()
}

/// All clients.
pub struct Clients<X> {
    slots: Vec<Option<Box<Client<X>>>>,
    free: Vec<Slot>,
    by_id: HashMap<u64, Slot>,
    next_id: u64,
    dirty: Vec<Slot>,
    /// Clients whose commands run, innermost last: their output is lent out. A blocked client's command can run
    /// between two commands of another.
    running: Vec<Slot>,
    /// Pushes to running clients.
    deferred: Vec<(Slot, Bytes)>,
}

impl<X> Default for Clients<X> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            next_id: 1,
            dirty: Vec::new(),
            running: Vec::new(),
            deferred: Vec::new(),
        }
    }
}

impl<X: Extension> Clients<X> {
    /// Number of clients.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Registers a client; the connection learns of its slot with the first delivery.
    pub fn add(&mut self, link: Option<Arc<Link>>, authenticated: bool, now_ms: i64) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot(self.slots.len() as u32 - 1)
        });
        let id = self.next_id;
        self.next_id += 1;
        let client = Client {
            id,
            slot,
            link,
            output: Reply::default(),
            returned: None,
            dirty: false,
            close: Close::No,
            authenticated,
            announce: true,
            db: 0,
            name: Vec::new(),
            library: None,
            reply_mode: ReplyMode::On,
            subscribed: Default::default(),
            subscribed_bytes: 0,
            created_ms: now_ms,
            active_ms: now_ms,
            soft_limit_since_ms: None,
            last_command: None,
            no_evict: false,
            no_touch: false,
            ext: X::default(),
        };
        self.slots[slot.0 as usize] = Some(Box::new(client));
        self.by_id.insert(id, slot);
        self.mark(slot);
        slot
    }

    /// Takes a client out, delivering what it still has to read first when it closes after its reply.
    pub fn remove(&mut self, slot: Slot) -> Option<Box<Client<X>>> {
        let mut client = self.slots.get_mut(slot.0 as usize)?.take()?;
        self.by_id.remove(&client.id);
        self.free.push(slot);
        if client.close == Close::No {
            client.close = Close::Now;
        }
        deliver(&mut client);
        Some(client)
    }

    /// The client at `slot`, unless it left.
    pub fn get(&self, slot: Slot) -> Option<&Client<X>> {
        self.slots.get(slot.0 as usize)?.as_deref()
    }

    /// The client at `slot`, unless it left.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Client<X>> {
        self.slots.get_mut(slot.0 as usize)?.as_deref_mut()
    }

    /// The client at `slot` if it is still the one with `id`.
    pub fn verify(&mut self, slot: Slot, id: u64) -> Option<&mut Client<X>> {
        self.get_mut(slot).filter(|client| client.id == id)
    }

    /// The client with `id`.
    pub fn by_id(&self, id: u64) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// Slots of all clients, oldest connection first.
    pub fn slots(&self) -> Vec<Slot> {
        let mut all: Vec<_> = self.iter().map(|client| (client.id, client.slot)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, slot)| slot).collect()
    }

    /// All clients in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Client<X>> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    /// The id that the next client gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Lends the output of `slot` to a context that runs its commands.
    pub fn begin(&mut self, slot: Slot) -> Reply {
        self.running.push(slot);
        let client = self.get_mut(slot).expect("the running client is registered");
        let resp = client.output.resp;
        std::mem::replace(&mut client.output, Reply::new(resp))
    }

    /// Takes the lent output back.
    pub fn end(&mut self, slot: Slot, mut output: Reply) {
        self.flush_deferred(slot, &mut output);
        self.running.retain(|running| *running != slot);
        if let Some(client) = self.get_mut(slot) {
            client.output = output;
            self.mark(slot);
        }
    }

    /// Appends the pushes that came for the running client during its command.
    #[inline]
    pub fn flush_deferred(&mut self, slot: Slot, output: &mut Reply) {
        if !self.deferred.is_empty() {
            for (_, push) in self.deferred.extract_if(.., |(to, _)| *to == slot) {
                output.raw_shared(&push);
            }
        }
    }

    /// After a command: takes back what CLIENT REPLY says must not be sent, then lets deferred pushes through.
    #[inline]
    pub fn settle_reply(&mut self, slot: Slot, output: &mut Reply, mark: Mark) {
        if let Some(client) = self.get_mut(slot) {
            match client.reply_mode {
                ReplyMode::On => {}
                ReplyMode::Off => output.truncate(mark),
                ReplyMode::SkipNext => client.reply_mode = ReplyMode::Skip,
                ReplyMode::Skip => {
                    client.reply_mode = ReplyMode::On;
                    output.truncate(mark);
                }
            }
        }
        self.flush_deferred(slot, output);
    }

    /// The client whose command runs.
    pub fn current(&self) -> Option<Slot> {
        self.running.last().copied()
    }

    /// Whether a command of this client runs (a script's may have been suspended).
    pub fn is_running(&self, slot: Slot) -> bool {
        self.running.contains(&slot)
    }

    /// Closes without sending what is left.
    pub fn close_now(&mut self, slot: Slot) {
        if let Some(client) = self.get_mut(slot) {
            client.close = Close::Now;
            self.mark(slot);
        }
    }

    /// Sends bytes that are RESP already to a client outside its replies.
    pub fn push(&mut self, slot: Slot, bytes: &Bytes) {
        if self.is_running(slot) {
            self.deferred.push((slot, bytes.clone()));
            return;
        }
        if let Some(client) = self.get_mut(slot)
            && client.close == Close::No
        {
            client.output.raw_shared(bytes);
            self.mark(slot);
        }
    }

    /// The protocol version of a client; that of the running one is with its lent output, see [`Self::begin`].
    pub fn resp_of(&self, slot: Slot) -> Option<Resp> {
        self.get(slot).map(Client::resp)
    }

    /// Gives a finished batch back to the connection and, at its end, answers a protocol error.
    pub fn finish_batch(&mut self, slot: Slot, mut batch: Box<Batch>) {
        let Some(client) = self.get_mut(slot) else { return };
        batch.finish();
        client.returned = Some(batch);
        self.mark(slot);
    }

    /// Answers a broken request stream, unless its client wants no replies, and closes after that.
    pub fn protocol_error(&mut self, slot: Slot, error: ProtocolError) {
        let Some(client) = self.get_mut(slot) else { return };
        if client.reply_mode == ReplyMode::On {
            client.output.error(format!("ERR {error}").as_bytes());
        }
        self.close_after_reply(slot);
    }

    /// Sends what is left, then closes.
    pub fn close_after_reply(&mut self, slot: Slot) {
        if let Some(client) = self.get_mut(slot)
            && client.close == Close::No
        {
            client.close = Close::AfterFlush;
            self.mark(slot);
        }
    }

    /// The session may run commands now; its connection learns of it.
    pub fn set_authenticated(&mut self, slot: Slot, authenticated: bool) {
        if let Some(client) = self.get_mut(slot)
            && client.authenticated != authenticated
        {
            client.authenticated = authenticated;
            client.announce = true;
        }
    }

    /// Marks a client for the next [`Self::flush`].
    pub fn mark(&mut self, slot: Slot) {
        if let Some(client) = self.slots.get_mut(slot.0 as usize).and_then(Option::as_deref_mut)
            && !client.dirty
        {
            client.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Hands all output of the turn to the connections. Slots of clients that are to be freed now (closed after
    /// their reply) or that hold unsent output (for the limits) go to `attention`.
    pub fn flush(&mut self, attention: &mut Vec<Slot>) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            let Some(client) = self.get_mut(slot) else { continue };
            client.dirty = false;
            deliver(client);
            if client.close != Close::No || client.unsent() > 0 {
                attention.push(slot);
            }
        }
        self.dirty = dirty; // keeps its allocation; delivering marks nobody
    }
}

fn deliver<X>(client: &mut Client<X>) {
    let Some(link) = &client.link else { return };
    let session = client.announce.then_some(Session {
        slot: client.slot,
        id: client.id,
        authenticated: client.authenticated,
    });
    client.announce = false;
    let (segments, tail) = client.output.take();
    link.deliver(segments, tail, client.returned.take(), session, client.close);
}
