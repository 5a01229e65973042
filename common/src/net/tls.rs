//! TLS towards clients: configuration from PEM files, and handshakes on a thread of their own.
//!
//! A handshake costs about a millisecond of computation. It runs on a helper thread, so that neither the actor nor
//! an I/O thread stands still for it; then the session moves to its connection's thread. A tokio stream belongs to
//! one runtime: [`Movable`] lets it be taken out and put back on the other side.

use super::link::Peer;
use super::listen::{Detached, Socket};
use super::threads::Hub;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the `tls-*` directives name.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// `tls-cert-file`: the server's certificate chain.
    pub certificate: PathBuf,
    /// `tls-key-file`.
    pub key: PathBuf,
    /// `tls-ca-cert-file`, for client certificates.
    pub authorities: Option<PathBuf>,
    /// `tls-ca-cert-dir`, likewise.
    pub authorities_dir: Option<PathBuf>,
    /// `tls-auth-clients`: `Some(true)` = required, `Some(false)` = optional, `None` = not asked for.
    pub client_certificate: Option<bool>,
    /// `tls-protocols`: whether TLS 1.2 and 1.3 are on.
    pub protocols: (bool, bool),
}

/// Why TLS can't be set up.
#[derive(Debug)]
pub enum TlsError {
    /// A directive that names a file is needed and not set.
    NotConfigured(&'static str),
    /// Clients must show certificates that nothing could vouch for.
    NoAuthorities,
    /// A file can't be used.
    File {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured(directive) => write!(f, "No {directive} configured!"),
            Self::NoAuthorities => f.write_str(
                "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-auth-clients is enabled!",
            ),
            Self::File { what, path, cause } => write!(f, "Failed to load {what} {}: {cause}", path.display()),
        }
    }
}

impl std::error::Error for TlsError {}

fn fail(what: &'static str, path: &Path, cause: impl fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), cause: cause.to_string() }
}

/// The TLS configuration in force; replaced as a whole when files or directives change.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file that can't be used.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(server_config(files)?)))))
    }

    /// Reads the files anew for connections to come; on failure the old configuration stays.
    ///
    /// # Errors
    /// Names the file that can't be used.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let config = Arc::new(server_config(files)?);
        *self.0.write().expect("nothing panics here") = config;
        Ok(())
    }

    fn current(&self) -> Arc<ServerConfig> {
        self.0.read().expect("nothing panics here").clone()
    }
}

/// Refuses what no file is named for, so that the log speaks of the directive and not of a file without a name.
fn check_configured(files: &TlsFiles) -> Result<(), TlsError> {
    for (directive, path) in [("tls-cert-file", &files.certificate), ("tls-key-file", &files.key)] {
        if path.as_os_str().is_empty() {
            return Err(TlsError::NotConfigured(directive));
        }
    }
    let has_authorities = files.authorities.is_some() || files.authorities_dir.is_some();
    if files.client_certificate.is_some() && !has_authorities {
        return Err(TlsError::NoAuthorities);
    }
    Ok(())
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    check_configured(files)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: Vec<&SupportedProtocolVersion> =
        [(files.protocols.0, &rustls::version::TLS12), (files.protocols.1, &rustls::version::TLS13)]
            .into_iter()
            .filter_map(|(on, version)| on.then_some(version))
            .collect();
    let certificates: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|e| fail("certificate", &files.certificate, e))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| fail("private key", &files.key, e))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|e| fail("TLS protocols", &files.certificate, e))?;
    let builder = match files.client_certificate {
        None => builder.with_no_client_auth(),
        Some(required) => {
            let path = files.authorities.clone().or(files.authorities_dir.clone()).unwrap_or_default();
            let roots = Arc::new(authorities(files)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
            builder
                .with_client_cert_verifier(verifier.build().map_err(|e| fail("CA certificates", &path, e))?)
        }
    };
    builder.with_single_cert(certificates, key).map_err(|e| fail("certificate", &files.certificate, e))
}

fn authorities(files: &TlsFiles) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut paths: Vec<PathBuf> = files.authorities.iter().cloned().collect();
    if let Some(dir) = &files.authorities_dir {
        let entries = std::fs::read_dir(dir).map_err(|e| fail("CA directory", dir, e))?;
        paths.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
    }
    for path in paths {
        let certificates =
            CertificateDer::pem_file_iter(&path).map_err(|e| fail("CA certificate", &path, e))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| fail("CA certificate", &path, e))?;
            roots.add(certificate).map_err(|e| fail("CA certificate", &path, e))?;
        }
    }
    Ok(roots)
}

/// The helper thread that does handshakes.
pub struct Handshakes {
    sender: UnboundedSender<Begun>,
    under_way: Arc<AtomicUsize>,
}

/// A connection whose handshake is under way.
struct Begun {
    stream: std::net::TcpStream,
    peer: Peer,
    counted: Counted,
}

/// Counts a handshake for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handshakes {
    /// Starts the thread. Must be called on the hub's thread, where finished sessions are handed to `hub`.
    ///
    /// # Errors
    /// When the thread can't be had.
    pub fn start(tls: Tls, hub: Rc<Hub>) -> io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        let (finished, mut arrivals) = unbounded_channel::<(Socket, Peer)>();
        std::thread::Builder::new().name("ochre-tls".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("the TLS thread needs a runtime").block_on(run(tls, receiver, finished));
        })?;
        tokio::task::spawn_local(async move {
            while let Some((socket, peer)) = arrivals.recv().await {
                if let Err(error) = socket.attach().and_then(|socket| hub.adopt(socket, peer)) {
                    tracing::warn!("Error accepting a client connection: {error}");
                }
            }
        });
        Ok(Self { sender, under_way: Arc::default() })
    }

    pub(super) fn begin(&self, stream: TcpStream, peer: Peer) -> io::Result<()> {
        let begun = Begun { stream: stream.into_std()?, peer, counted: Counted::new(&self.under_way) };
        self.sender.send(begun).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

async fn run(tls: Tls, mut receiver: UnboundedReceiver<Begun>, finished: UnboundedSender<(Socket, Peer)>) {
    while let Some(Begun { stream, peer, counted }) = receiver.recv().await {
        let (acceptor, finished) = (TlsAcceptor::from(tls.current()), finished.clone());
        tokio::spawn(async move {
            let _counted = counted; // until the hub has it, or it is over
            let handshake = async {
                let stream = Movable(Some(TcpStream::from_std(stream)?));
                let mut stream: TlsStream<Movable> = acceptor.accept(stream).await?;
                let socket = stream.get_mut().0.detach()?;
                Ok::<_, io::Error>(Socket::Detached(Detached::Tls(Box::new(stream), socket)))
            };
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(socket)) => drop(finished.send((socket, peer))),
                Ok(Err(error)) => {
                    tracing::debug!("Error accepting a client connection: {error} (addr={})", peer.address)
                }
                Err(_) => tracing::debug!(
                    "Error accepting a client connection: handshake timeout (addr={})",
                    peer.address
                ),
            }
        });
    }
}

/// A TCP stream that can move between runtimes while a TLS session wraps it.
pub struct Movable(Option<TcpStream>);

impl Movable {
    /// Takes the socket out, off its runtime.
    pub fn detach(&mut self) -> io::Result<std::net::TcpStream> {
        self.0.take().ok_or(io::ErrorKind::NotConnected)?.into_std()
    }

    /// Puts a socket of this runtime in.
    pub fn attach(&mut self, stream: TcpStream) {
        self.0 = Some(stream);
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.0.as_mut().expect("a TLS stream is used only while attached"))
    }
}

impl AsyncRead for Movable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Movable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_configured_is_named() {
        let check = |files: &TlsFiles, expected: &str| {
            assert_eq!(server_config(files).unwrap_err().to_string(), expected);
        };
        let mut files = TlsFiles { client_certificate: Some(true), ..TlsFiles::default() };
        check(&files, "No tls-cert-file configured!");
        files.certificate = "/nonexistent.crt".into();
        check(&files, "No tls-key-file configured!");
        files.key = "/nonexistent.key".into();
        let authorities =
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-auth-clients is enabled!";
        check(&files, authorities);
        files.client_certificate = None;
        let error = server_config(&files).unwrap_err().to_string();
        assert!(error.starts_with("Failed to load certificate /nonexistent.crt: "), "{error}");
    }
}
