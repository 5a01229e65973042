//! Listeners and accepted sockets.

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
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
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

/// A listening socket.
pub enum Listener {
    /// Plain TCP.
    Tcp(TcpListener),
    /// TCP with TLS.
    Tls(TcpListener),
    /// A Unix socket at this path.
    Unix(UnixListener, PathBuf),
}

/// An accepted socket, registered with the runtime of this thread unless detached.
pub enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
    /// TLS whose handshake is done.
    Tls(Box<TlsStream<Movable>>),
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
        let reason = os_text(&source);
        tracing::warn!("Warning: Could not create server TCP listening socket {name}:{port}: {reason}");
        if !(lacks_protocol(&source) || optional && lacks_address(&source)) {
            return Err(BindError { address: name.to_owned(), port, source });
        }
    }
    Ok(listeners)
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

/// Listens on a Unix socket, replacing a stale file.
///
/// # Errors
/// When the socket can't be made or its permissions not set.
pub fn bind_unix(path: &Path, permissions: Option<u32>) -> Result<UnixListener, BindError> {
    let fail = |source| BindError { address: path.display().to_string(), port: 0, source };
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(fail)?;
    if let Some(mode) = permissions {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    Ok(listener)
}

impl Listener {
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
            let most = match self {
                Self::Tls(_) => &accepting.tls_per_cycle,
                _ => &accepting.per_cycle,
            };
            if in_a_row >= most.load(Ordering::Relaxed) {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    async fn accept(
        &self,
        hub: &Rc<Hub>,
        accepting: &Accepting,
        handshakes: Option<&Handshakes>,
    ) -> io::Result<()> {
        let keepalive = accepting.keepalive();
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let peer = tcp_peer(&stream, peer)?;
                tune(&stream, keepalive)?;
                hub.adopt(Socket::Tcp(stream), peer)
            }
            Self::Tls(listener) => {
                let (stream, peer) = listener.accept().await?;
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
            Self::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
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
