//! Listeners and accepted sockets.

use super::link::Peer;
use super::threads::Hub;
use super::tls::{Handshakes, Movable};
use crate::alarm::Alarm;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

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

/// Listens on `port` of each address. `*` and `::*` mean all of IPv4 and IPv6; a leading `-` makes an address that
/// does not exist here no error. Must be called on a runtime.
///
/// # Errors
/// The first address that can't be had.
pub fn bind_tcp(addresses: &[String], port: u16, backlog: u32) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let (optional, name) = match address.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, address.as_str()),
        };
        match bind_one(name, port, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if optional && is_absent(&error) => {}
            Err(source) => return Err(BindError { address: name.to_owned(), port, source }),
        }
    }
    Ok(listeners)
}

/// Whether the machine simply lacks this address or its protocol.
fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let absent = [
        Errno::ADDRNOTAVAIL,
        Errno::NOPROTOOPT,
        Errno::PROTONOSUPPORT,
        Errno::AFNOSUPPORT,
        Errno::PFNOSUPPORT,
    ];
    error.raw_os_error().is_some_and(|code| absent.iter().any(|errno| errno.raw_os_error() == code))
}

fn bind_one(name: &str, port: u16, backlog: u32) -> io::Result<TcpListener> {
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
    socket.bind(address)?;
    socket.listen(backlog)
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
        keepalive: Duration,
        handshakes: Option<Rc<Handshakes>>,
        pause: Alarm,
    ) {
        loop {
            if let Err(error) = self.accept(&hub, keepalive, handshakes.as_deref()).await {
                tracing::warn!("Accepting client connection: accept: {error}");
                // Out of file descriptors, most likely: trying again at once would spin.
                pause.set(Duration::from_millis(100));
                pause.ring().await;
            }
        }
    }

    async fn accept(
        &self,
        hub: &Rc<Hub>,
        keepalive: Duration,
        handshakes: Option<&Handshakes>,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let peer = tcp_peer(&stream, peer)?;
                tune(&stream, keepalive)?;
                hub.adopt(Socket::Tcp(stream), peer)
            }
            Self::Tls(listener) => {
                let (stream, peer) = listener.accept().await?;
                let peer = tcp_peer(&stream, peer)?;
                tune(&stream, keepalive)?;
                handshakes.expect("a TLS listener has a handshake thread").begin(stream, peer)
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
