//! Listeners and accepted sockets.
//!
//! A [`Listener`] is shared by the task that accepts from it and by whoever may close it: CONFIG SET must be able to give
//! an address up and have it again within one turn. The task looks into it each time it is woken.

use super::NetEvent;
use super::link::Peer;
use super::threads::Hub;
use super::tls::{Handshakes, Movable};
use crate::alarm::Alarm;
use crate::log::os_text;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

/// How listeners treat new connections; shared, so that it can change while they listen.
#[derive(Debug)]
pub struct Accepting {
    keepalive_s: AtomicU32,
    per_cycle: AtomicU32,
    tls_per_cycle: AtomicU32,
    max_clients: AtomicU32,
}

impl Accepting {
    /// See [`Self::set`].
    pub fn new(keepalive_s: u32, per_cycle: u32, tls_per_cycle: u32, max_clients: u32) -> Self {
        Self {
            max_clients: max_clients.into(),
            keepalive_s: keepalive_s.into(),
            per_cycle: per_cycle.into(),
            tls_per_cycle: tls_per_cycle.into(),
        }
    }

    /// After how many silent seconds peers are probed (0 = never), and how many connections of each kind a listener
    /// accepts before others have their turn, and with how many connections no TLS handshake is begun any more.
    pub fn set(&self, keepalive_s: u32, per_cycle: u32, tls_per_cycle: u32, max_clients: u32) {
        self.max_clients.store(max_clients, Ordering::Relaxed);
        self.keepalive_s.store(keepalive_s, Ordering::Relaxed);
        self.per_cycle.store(per_cycle, Ordering::Relaxed);
        self.tls_per_cycle.store(tls_per_cycle, Ordering::Relaxed);
    }

    fn keepalive(&self) -> Duration {
        Duration::from_secs(u64::from(self.keepalive_s.load(Ordering::Relaxed)))
    }
}

/// A listening socket, until it is closed.
#[derive(Clone)]
pub struct Listener(Arc<Mutex<Option<Listening>>>);

/// A listening socket.
pub enum Listening {
    /// Plain TCP.
    Tcp(TcpListener),
    /// TCP with TLS.
    Tls(TcpListener),
    /// A Unix socket at this path.
    Unix(UnixListener, PathBuf),
    /// Anything else that connections come from: a simulated network.
    Other(Box<dyn Accept>),
}

/// A source of connections of whatever kind.
pub trait Accept: Send {
    /// The next connection, and what it says about its peer.
    ///
    /// # Errors
    /// When none can be had for now.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Stream>, Peer)>>;
}

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An accepted socket, registered with the runtime of this thread unless detached.
pub enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
    /// TLS whose handshake is done.
    Tls(Box<TlsStream<Movable>>),
    /// Any other stream; it belongs to no runtime.
    Other(Box<dyn Stream>),
    /// Between two threads.
    Detached(Detached),
}

/// A socket that no runtime watches.
pub enum Detached {
    /// Plain TCP.
    Tcp(std::net::TcpStream),
    /// Unix.
    Unix(std::os::unix::net::UnixStream),
    /// TLS: the session, with its stream taken out.
    Tls(Box<TlsStream<Movable>>, std::net::TcpStream),
    /// Any other stream.
    Other(Box<dyn Stream>),
}

impl Socket {
    /// Takes it off this thread's runtime.
    pub fn detach(self) -> io::Result<Self> {
        Ok(Self::Detached(match self {
            Self::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Self::Unix(stream) => Detached::Unix(stream.into_std()?),
            Self::Tls(mut stream) => {
                let socket = stream.get_mut().0.detach()?;
                Detached::Tls(stream, socket)
            }
            Self::Other(stream) => Detached::Other(stream),
            Self::Detached(detached) => detached,
        }))
    }

    /// Registers it with this thread's runtime.
    pub fn attach(self) -> io::Result<Self> {
        let Self::Detached(detached) = self else { return Ok(self) };
        Ok(match detached {
            Detached::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream)?),
            Detached::Unix(stream) => Self::Unix(UnixStream::from_std(stream)?),
            Detached::Tls(mut stream, socket) => {
                stream.get_mut().0.attach(TcpStream::from_std(socket)?);
                Self::Tls(stream)
            }
            Detached::Other(stream) => Self::Other(stream),
        })
    }
}

/// Why an address can't be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address as configured.
    pub address: String,
    /// The port; 0 for a Unix socket.
    pub port: u16,
    /// The cause.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to listen on {}:{}: {}", self.address, self.port, self.source)
    }
}

impl std::error::Error for BindError {}

impl BindError {
    /// As a start that fails because of it puts it.
    pub fn at_start(&self, tls_port: u16) -> String {
        match self.port {
            0 => format!("Failed opening Unix socket: {}", reason(&self.source)),
            port if port == tls_port => format!("Failed listening on port {port} (TLS), aborting."),
            port => format!("Failed listening on port {port} (TCP), aborting."),
        }
    }
}

/// What all listening sockets have in common.
#[derive(Clone, Copy, Debug)]
pub struct BindOptions {
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// Mark of their packets for firewalls; 0 = none.
    pub mark: u32,
}

/// Listens on `port` of each address. `*` and `::*` mean all of IPv4 and IPv6; a leading `-` makes an address that
/// does not exist here no error, and a protocol that the machine lacks never is one. Each failure is logged. Must be
/// called on a runtime.
///
/// # Errors
/// The first address that can't be had.
pub fn bind_tcp(
    addresses: &[String],
    port: u16,
    options: BindOptions,
) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let (optional, name) = match address.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, address.as_str()),
        };
        let source = match bind_one(name, port, options) {
            Ok(listener) => {
                listeners.push(listener);
                continue;
            }
            Err(error) => error,
        };
        let reason = reason(&source);
        tracing::warn!("Warning: Could not create server TCP listening socket {name}:{port}: {reason}");
        if !(lacks_protocol(&source) || optional && lacks_address(&source)) {
            return Err(BindError { address: name.to_owned(), port, source });
        }
    }
    Ok(listeners)
}

/// As Redis words it: with the call that failed, unless no address was found for a name.
fn reason(error: &io::Error) -> String {
    let text = os_text(error);
    match text.strip_prefix("failed to lookup address information: ") {
        Some(reason) => reason.to_owned(),
        None => format!("bind: {text}"),
    }
}

fn lacks_address(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::ADDRNOTAVAIL.raw_os_error())
}

fn lacks_protocol(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let absent = [
        Errno::NOPROTOOPT,
        Errno::PROTONOSUPPORT,
        Errno::SOCKTNOSUPPORT,
        Errno::AFNOSUPPORT,
        Errno::PFNOSUPPORT,
    ];
    error.raw_os_error().is_some_and(|code| absent.iter().any(|errno| errno.raw_os_error() == code))
}

fn bind_one(name: &str, port: u16, options: BindOptions) -> io::Result<TcpListener> {
    let ip = match name {
        "*" => [0, 0, 0, 0].into(),
        "::*" => std::net::Ipv6Addr::UNSPECIFIED.into(),
        name => match name.parse() {
            Ok(ip) => ip,
            Err(_) => resolve(name)?,
        },
    };
    let address = SocketAddr::new(ip, port);
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    if options.mark != 0 {
        socket2::SockRef::from(&socket).set_mark(options.mark)?;
    }
    socket.bind(address)?;
    socket.listen(options.backlog)
}

fn resolve(name: &str) -> io::Result<std::net::IpAddr> {
    use std::net::ToSocketAddrs;
    let mut found = (name, 0).to_socket_addrs()?;
    found.next().map(|address| address.ip()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Listens on a Unix socket, replacing a stale file, and gives it permissions and a group.
///
/// # Errors
/// When the socket can't be made, or its permissions or its group not set.
pub fn bind_unix(
    path: &Path,
    permissions: Option<u32>,
    group: Option<u32>,
) -> Result<UnixListener, BindError> {
    let fail = |source| BindError { address: path.display().to_string(), port: 0, source };
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(fail)?;
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group)).map_err(fail)?;
    }
    if let Some(mode) = permissions {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    Ok(listener)
}

impl Listener {
    /// A listener that can be shared.
    pub fn new(listening: Listening) -> Self {
        Self(Arc::new(Mutex::new(Some(listening))))
    }

    /// Closes the socket: its address is free when this returns. Its task accepts nothing more.
    pub fn close(&self) {
        *self.0.lock().expect("nothing panics with a listener locked") = None;
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.lock().expect("nothing panics with a listener locked").is_none()
    }

    /// Accepts until the task is dropped, with a `pause` when that fails. Must run on the hub's thread.
    pub async fn serve(
        self,
        hub: Rc<Hub>,
        accepting: Arc<Accepting>,
        handshakes: Option<Rc<Handshakes>>,
        pause: Alarm,
    ) {
        let mut in_a_row = 0;
        loop {
            if let Err(error) = self.accept(&hub, &accepting, handshakes.as_deref()).await {
                tracing::warn!("Accepting client connection: accept: {}", os_text(&error));
                // Out of file descriptors, most likely: trying again at once would spin.
                pause.set(Duration::from_millis(100));
                pause.ring().await;
            }
            in_a_row += 1;
            if in_a_row >= self.most_in_a_row(&accepting) {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn most_in_a_row(&self, accepting: &Accepting) -> u32 {
        let listening = self.0.lock().expect("nothing panics with a listener locked");
        let most = match &*listening {
            Some(Listening::Tls(_)) => &accepting.tls_per_cycle,
            _ => &accepting.per_cycle,
        };
        most.load(Ordering::Relaxed)
    }

    async fn accept(
        &self,
        hub: &Rc<Hub>,
        accepting: &Accepting,
        handshakes: Option<&Handshakes>,
    ) -> io::Result<()> {
        let accepted = std::future::poll_fn(|cx| {
            match &mut *self.0.lock().expect("nothing panics with a listener locked") {
                Some(listening) => listening.poll_accept(cx),
                None => Poll::Pending, // for ever
            }
        });
        accepted.await?.welcome(hub, accepting, handshakes)
    }
}

/// A connection that was just accepted.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr),
    /// With the listener's path.
    Unix(UnixStream, PathBuf),
    Other(Box<dyn Stream>, Peer),
}

impl Listening {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Accepted::Tcp(stream, peer)
            }
            Self::Tls(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Accepted::Tls(stream, peer)
            }
            Self::Unix(listener, path) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                Accepted::Unix(stream, path.clone())
            }
            Self::Other(source) => {
                let (stream, peer) = ready!(source.poll_accept(cx))?;
                Accepted::Other(stream, peer)
            }
        }))
    }
}

impl Accepted {
    /// Brings it to where it is served.
    fn welcome(
        self,
        hub: &Rc<Hub>,
        accepting: &Accepting,
        handshakes: Option<&Handshakes>,
    ) -> io::Result<()> {
        let keepalive = accepting.keepalive();
        match self {
            Self::Tcp(stream, peer) => {
                let peer = tcp_peer(&stream, peer)?;
                tune(&stream, keepalive)?;
                hub.adopt(Socket::Tcp(stream), peer)
            }
            Self::Tls(stream, peer) => {
                let handshakes = handshakes.expect("a TLS listener has a handshake thread");
                // A handshake that nobody goes on with holds a file descriptor for a minute: they count as clients.
                let taken = hub.open() + handshakes.under_way();
                if taken >= accepting.max_clients.load(Ordering::Relaxed) as usize {
                    hub.mailbox.push(NetEvent::Refused);
                    return Ok(());
                }
                let peer = tcp_peer(&stream, peer)?;
                tune(&stream, keepalive)?;
                handshakes.begin(stream, peer)
            }
            Self::Other(stream, peer) => hub.adopt(Socket::Other(stream), peer),
            Self::Unix(stream, path) => {
                let name: Box<str> = format!("{}:0", path.display()).into();
                let fd = stream.as_raw_fd();
                let peer = Peer { address: name.clone(), local: name, fd, unix: true, loopback: true };
                hub.adopt(Socket::Unix(stream), peer)
            }
        }
    }
}

fn tcp_peer(stream: &TcpStream, peer: SocketAddr) -> io::Result<Peer> {
    Ok(Peer {
        address: peer.to_string().into(),
        local: stream.local_addr()?.to_string().into(),
        fd: stream.as_raw_fd(),
        unix: false,
        loopback: peer.ip().to_canonical().is_loopback(),
    })
}

fn tune(stream: &TcpStream, keepalive: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if !keepalive.is_zero() {
        // As Redis: probes at a third of the interval, three of them.
        let third = (keepalive / 3).max(Duration::from_secs(1));
        let options = socket2::TcpKeepalive::new().with_time(keepalive).with_interval(third).with_retries(3);
        socket2::SockRef::from(stream).set_tcp_keepalive(&options)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Slot;
    use crate::net::{Close, Mailbox, NetEvent, NetLimits, Session};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    /// A network that consists of pipes.
    struct Pipes(UnboundedReceiver<DuplexStream>);

    impl Accept for Pipes {
        fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Stream>, Peer)>> {
            let stream = ready!(self.0.poll_recv(cx)).ok_or(io::ErrorKind::NotConnected)?;
            let peer =
                Peer { address: "pipe".into(), local: "pipe".into(), fd: -1, unix: false, loopback: true };
            Poll::Ready(Ok((Box::new(stream), peer)))
        }
    }

    async fn next(mailbox: &Mailbox<NetEvent>) -> NetEvent {
        let mut events = Vec::new();
        std::future::poll_fn(|cx| mailbox.poll_drain(cx, &mut events)).await;
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Accepts a pipe and answers one request on it, with connections on this thread or on another.
    async fn converse(hub: Hub, mailbox: Mailbox<NetEvent>) {
        let homes = hub.homes();
        let (connect, pipes) = unbounded_channel();
        let listener = Listener::new(Listening::Other(Box::new(Pipes(pipes))));
        let accepting = Arc::new(Accepting::new(0, 10, 10, 10));
        let pause = Alarm::new().expect("timers");
        tokio::task::spawn_local(listener.serve(Rc::new(hub), accepting, None, pause));
        let (mut client, server) = tokio::io::duplex(5);
        connect.send(server).expect("the listener lives");
        let NetEvent::Opened(link) = next(&mailbox).await else { panic!("it opens") };
        assert_eq!(link.peer(), "pipe");
        let session = Session { slot: Slot(3), id: 4, authenticated: true };
        link.deliver(Vec::new(), Vec::new(), None, Some(session), Close::No);
        homes.iter().for_each(|home| home.kick());
        let (_, event) =
            tokio::join!(client.write_all(b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n"), next(&mailbox));
        let NetEvent::Batch(mut batch) = event else { panic!("a request comes: {event:?}") };
        assert_eq!((batch.slot, batch.id, batch.requests.len()), (3, 4, 1));
        let reply = b"$5\r\nhello\r\n".to_vec();
        batch.finish();
        link.deliver(Vec::new(), reply.clone(), Some(batch), None, Close::No);
        homes.iter().for_each(|home| home.kick());
        let mut read = vec![0; reply.len()];
        client.read_exact(&mut read).await.expect("the reply comes");
        assert_eq!(read, reply);
        drop(client);
        assert!(matches!(next(&mailbox).await, NetEvent::Closed { id: 4, .. }));
    }

    #[test]
    fn connections_need_no_sockets() {
        for threads in [0, 1] {
            let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default());
            runtime.expect("a runtime").block_on(async {
                let mailbox: Mailbox<NetEvent> = Mailbox::default();
                let limits = Arc::new(NetLimits::new(1 << 20, 1 << 20));
                let hub = match threads {
                    0 => Hub::local(mailbox.clone(), limits),
                    threads => Hub::threads(threads, mailbox.clone(), &limits).expect("threads"),
                };
                // A mailbox has one owner, which is a task of its own.
                tokio::task::spawn_local(converse(hub, mailbox)).await.expect("it comes to its end");
            });
        }
    }

    #[test]
    fn a_closed_listener_gives_its_address_up_at_once() {
        let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(async {
            let options = BindOptions { backlog: 5, mark: 0 };
            let first = bind_tcp(&["127.0.0.1".to_owned()], 0, options).expect("an address").remove(0);
            let port = first.local_addr().expect("it is bound").port();
            let listener = Listener::new(Listening::Tcp(first));
            let hub = Rc::new(Hub::local(Mailbox::default(), Arc::new(NetLimits::new(1, 1))));
            let accepting = Arc::new(Accepting::new(0, 10, 10, 10));
            let task = listener.clone().serve(hub, accepting, None, Alarm::new().expect("timers"));
            tokio::task::spawn_local(task);
            tokio::task::yield_now().await;
            assert!(bind_tcp(&["127.0.0.1".to_owned()], port, options).is_err());
            listener.close();
            assert!(bind_tcp(&["127.0.0.1".to_owned()], port, options).is_ok());
        });
    }
}
