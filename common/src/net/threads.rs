//! Which thread a connection lives on.

use super::duplex::Duplex;
use super::link::{Home, Peer};
use super::listen::Socket;
use super::{Batch, Connection, Link, Mailbox, NetEvent};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Limits of all connections, changed by CONFIG SET while they run.
#[derive(Debug)]
pub struct NetLimits {
    max_bulk: AtomicU64,
    query_buffer: AtomicUsize,
}

/// Offsets in a query buffer are 32 bits wide.
const MAX_QUERY_BUFFER: usize = u32::MAX as usize;

impl NetLimits {
    /// `proto-max-bulk-len` and `client-query-buffer-limit`, bytes.
    pub fn new(max_bulk: u64, query_buffer: u64) -> Self {
        let limits = Self { max_bulk: AtomicU64::new(0), query_buffer: AtomicUsize::new(0) };
        limits.set(max_bulk, query_buffer);
        limits
    }

    /// Changes both.
    pub fn set(&self, max_bulk: u64, query_buffer: u64) {
        self.max_bulk.store(max_bulk, Ordering::Relaxed);
        let bounded = usize::try_from(query_buffer).unwrap_or(MAX_QUERY_BUFFER).min(MAX_QUERY_BUFFER);
        self.query_buffer.store(bounded, Ordering::Relaxed);
    }

    pub(super) fn max_bulk(&self) -> u64 {
        self.max_bulk.load(Ordering::Relaxed)
    }

    pub(super) fn query_buffer(&self) -> usize {
        self.query_buffer.load(Ordering::Relaxed)
    }
}

/// What the connections of one thread share.
pub struct Local {
    pub(super) mailbox: Mailbox<NetEvent>,
    pub(super) limits: Arc<NetLimits>,
    pub(super) home: Arc<Home>,
    /// An empty batch at hand: a connection that finds its socket dry leaves it here for the next one, instead of in the
    /// pool, which is locked.
    spare: Cell<Option<Box<Batch>>>,
}

impl Local {
    fn new(mailbox: Mailbox<NetEvent>, limits: Arc<NetLimits>, home: Arc<Home>) -> Self {
        Self { mailbox, limits, home, spare: Cell::default() }
    }

    /// An empty batch with room for one read.
    pub(super) fn batch(&self) -> Box<Batch> {
        self.spare.take().unwrap_or_else(|| self.home.batch())
    }

    /// Takes an empty batch back that was not used.
    pub(super) fn give_back(&self, batch: Box<Batch>) {
        if let Some(other) = self.spare.replace(Some(batch)) {
            self.home.recycle(other);
        }
    }
}

/// A socket and where it came from, on its way to its thread.
struct Arrival {
    socket: Socket,
    link: Arc<Link>,
}

enum Place {
    Local(Rc<Local>),
    Thread { sender: UnboundedSender<Arrival>, home: Arc<Home>, load: Arc<AtomicUsize> },
}

/// All threads that connections may live on. Lives on the thread that accepts.
pub struct Hub {
    places: Vec<Place>,
    /// The way to the actor.
    pub mailbox: Mailbox<NetEvent>,
}

impl Hub {
    /// Connections live on the calling thread, which runs the actor too.
    pub fn local(mailbox: Mailbox<NetEvent>, limits: Arc<NetLimits>) -> Self {
        let home = Arc::new(Home::local());
        let local = Rc::new(Local::new(mailbox.clone(), limits, home));
        Self { places: vec![Place::Local(local)], mailbox }
    }

    /// Starts `threads` I/O threads for connections.
    ///
    /// # Errors
    /// When a thread or its runtime can't be had.
    pub fn threads(threads: usize, mailbox: Mailbox<NetEvent>, limits: &Arc<NetLimits>) -> io::Result<Self> {
        let mut places = Vec::new();
        for index in 0..threads {
            let (sender, receiver) = unbounded_channel();
            let home = Arc::new(Home::remote());
            let load = Arc::new(AtomicUsize::new(0));
            let (mailbox, limits) = (mailbox.clone(), limits.clone());
            let its_load = load.clone();
            let local_home = home.clone();
            let mut builder = Builder::new_current_thread();
            builder.enable_io();
            std::thread::Builder::new().name(format!("ochre-io-{}", index + 1)).spawn(move || {
                let runtime =
                    builder.build_local(LocalOptions::default()).expect("an I/O thread needs a runtime");
                runtime.block_on(run(receiver, its_load, Local::new(mailbox, limits, local_home)));
            })?;
            places.push(Place::Thread { sender, home, load });
        }
        Ok(Self { places, mailbox })
    }

    /// All threads that connections live on; the actor kicks them after each turn.
    pub fn homes(&self) -> Vec<Arc<Home>> {
        let home = |place: &Place| match place {
            Place::Local(local) => local.home.clone(),
            Place::Thread { home, .. } => home.clone(),
        };
        self.places.iter().map(home).collect()
    }

    /// Connections on all threads.
    pub fn open(&self) -> usize {
        let open = |place: &Place| match place {
            Place::Local(local) => local.home.open(),
            Place::Thread { home, .. } => home.open(),
        };
        self.places.iter().map(open).sum()
    }

    /// Gives an accepted socket to the thread with the fewest connections.
    ///
    /// # Errors
    /// When the socket cannot be handed over.
    pub fn adopt(&self, socket: Socket, peer: Peer) -> io::Result<()> {
        let load_of = |place: &&Place| match place {
            Place::Local(_) => 0,
            Place::Thread { load, .. } => load.load(Ordering::Relaxed),
        };
        match self.places.iter().min_by_key(load_of).expect("there is a place for connections") {
            Place::Local(local) => {
                let link = Arc::new(Link::new(peer, local.home.clone()));
                spawn_beside_actor(socket.attach()?, link, local.clone());
                Ok(())
            }
            Place::Thread { sender, home, load } => {
                load.fetch_add(1, Ordering::Relaxed);
                let arrival =
                    Arrival { socket: socket.detach()?, link: Arc::new(Link::new(peer, home.clone())) };
                sender.send(arrival).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
        }
    }
}

async fn run(mut arrivals: UnboundedReceiver<Arrival>, load: Arc<AtomicUsize>, local: Local) {
    let local = Rc::new(local);
    let home = local.home.clone();
    tokio::task::spawn_local(async move { home.dispatch().await });
    while let Some(Arrival { socket, link }) = arrivals.recv().await {
        match socket.attach() {
            Ok(socket) => spawn(socket, link, local.clone(), load.clone()),
            Err(error) => {
                load.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!("Error accepting a client connection: {error}");
            }
        }
    }
}

/// On the actor's thread: it may write to plain sockets itself.
fn spawn_beside_actor(socket: Socket, link: Arc<Link>, local: Rc<Local>) {
    match socket {
        Socket::Tcp(stream) => {
            let stream = Duplex::tcp(stream);
            link.lend(stream.writer());
            tokio::task::spawn_local(Connection::new(stream, link, local));
        }
        Socket::Unix(stream) => {
            let stream = Duplex::unix(stream);
            link.lend(stream.writer());
            tokio::task::spawn_local(Connection::new(stream, link, local));
        }
        Socket::Tls(stream) => drop(tokio::task::spawn_local(Connection::new(stream, link, local))),
        Socket::Other(stream) => drop(tokio::task::spawn_local(Connection::new(stream, link, local))),
        Socket::Detached(_) => unreachable!("a socket is attached before it is spawned"),
    }
}

fn spawn(socket: Socket, link: Arc<Link>, local: Rc<Local>, load: Arc<AtomicUsize>) {
    match socket {
        Socket::Tcp(stream) => spawn_counted(Connection::new(stream, link, local), load),
        Socket::Unix(stream) => spawn_counted(Connection::new(stream, link, local), load),
        Socket::Tls(stream) => spawn_counted(Connection::new(stream, link, local), load),
        Socket::Other(stream) => spawn_counted(Connection::new(stream, link, local), load),
        Socket::Detached(_) => unreachable!("a socket is attached before it is spawned"),
    }
}

fn spawn_counted(connection: impl Future<Output = ()> + 'static, load: Arc<AtomicUsize>) {
    tokio::task::spawn_local(async move {
        connection.await;
        load.fetch_sub(1, Ordering::Relaxed);
    });
}
