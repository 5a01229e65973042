//! Which thread a connection lives on.

use super::link::{Home, Peer};
use super::listen::Socket;
use super::{Batch, Connection, Link, Mailbox, NetEvent};
use std::cell::RefCell;
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

/// Batches kept per thread for connections that wake up.
const POOLED: usize = 256;

/// What the connections of one thread share.
pub struct Local {
    pub(super) mailbox: Mailbox<NetEvent>,
    pub(super) limits: Arc<NetLimits>,
    #[expect(clippy::vec_box, reason = "batches travel boxed: through the pool, the mailbox and back")]
    pool: RefCell<Vec<Box<Batch>>>,
}

impl Local {
    fn new(mailbox: Mailbox<NetEvent>, limits: Arc<NetLimits>) -> Self {
        Self { mailbox, limits, pool: RefCell::default() }
    }

    /// An empty batch with room for one read.
    pub(super) fn batch(&self) -> Box<Batch> {
        self.pool.borrow_mut().pop().unwrap_or_else(|| {
            Box::new(Batch { buf: Vec::with_capacity(super::connection::READ_SIZE), ..Batch::default() })
        })
    }

    pub(super) fn recycle(&self, batch: Box<Batch>) {
        let mut pool = self.pool.borrow_mut();
        if pool.len() < POOLED {
            pool.push(batch);
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
        let local = Rc::new(Local::new(mailbox.clone(), limits));
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
            let (its_home, its_load) = (home.clone(), load.clone());
            let mut builder = Builder::new_current_thread();
            builder.enable_all();
            std::thread::Builder::new().name(format!("ochre-io-{}", index + 1)).spawn(move || {
                let runtime =
                    builder.build_local(LocalOptions::default()).expect("an I/O thread needs a runtime");
                runtime.block_on(run(receiver, its_home, its_load, Local::new(mailbox, limits)));
            })?;
            places.push(Place::Thread { sender, home, load });
        }
        Ok(Self { places, mailbox })
    }

    /// Wake-up points of the I/O threads, which the actor kicks after each turn; empty when there are none.
    pub fn homes(&self) -> Vec<Arc<Home>> {
        let home = |place: &Place| match place {
            Place::Local(_) => None,
            Place::Thread { home, .. } => Some(home.clone()),
        };
        self.places.iter().filter_map(home).collect()
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
                spawn(
                    socket.attach()?,
                    Arc::new(Link::new(peer, Arc::new(Home::local()))),
                    local.clone(),
                    None,
                );
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

async fn run(
    mut arrivals: UnboundedReceiver<Arrival>,
    home: Arc<Home>,
    load: Arc<AtomicUsize>,
    local: Local,
) {
    let local = Rc::new(local);
    tokio::task::spawn_local(async move { home.dispatch().await });
    while let Some(Arrival { socket, link }) = arrivals.recv().await {
        match socket.attach() {
            Ok(socket) => spawn(socket, link, local.clone(), Some(load.clone())),
            Err(error) => {
                load.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!("Error accepting a client connection: {error}");
            }
        }
    }
}

fn spawn(socket: Socket, link: Arc<Link>, local: Rc<Local>, load: Option<Arc<AtomicUsize>>) {
    match socket {
        Socket::Tcp(stream) => spawn_on(Connection::new(stream, link, local), load),
        Socket::Unix(stream) => spawn_on(Connection::new(stream, link, local), load),
        Socket::Tls(stream) => spawn_on(Connection::new(stream, link, local), load),
        Socket::Detached(_) => unreachable!("a socket is attached before it is spawned"),
    }
}

fn spawn_on(connection: impl Future<Output = ()> + 'static, load: Option<Arc<AtomicUsize>>) {
    match load {
        None => drop(tokio::task::spawn_local(connection)),
        Some(load) => drop(tokio::task::spawn_local(async move {
            connection.await;
            load.fetch_sub(1, Ordering::Relaxed);
        })),
    }
}
