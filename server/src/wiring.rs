//! Sockets and certificates as the configuration asks for them.

use crate::apply::Wiring;
use crate::config::{Config, TlsAuthClients};
use common::alarm::Alarm;
use common::net::{
    Accepting, BindError, BindOptions, Handshakes, Hub, Listener, Tls, TlsError, TlsFiles, bind_tcp,
    bind_unix,
};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

/// Reads certificates and keys.
///
/// # Errors
/// Names the file that can't be used.
pub fn tls(config: &Config) -> Result<Tls, TlsError> {
    Tls::load(&tls_files(config))
}

fn tls_files(config: &Config) -> TlsFiles {
    let path = |text: &crate::config::Text| (!text.is_empty()).then(|| text.as_path().to_owned());
    let protocols = String::from_utf8_lossy(config.tls_protocols.as_bytes()).to_lowercase();
    let protocols = if protocols.is_empty() {
        (true, true)
    } else {
        (protocols.contains("tlsv1.2"), protocols.contains("tlsv1.3"))
    };
    TlsFiles {
        certificate: config.tls_cert_file.as_path().to_owned(),
        key: config.tls_key_file.as_path().to_owned(),
        authorities: path(&config.tls_ca_cert_file),
        authorities_dir: path(&config.tls_ca_cert_dir),
        client_certificate: match config.tls_auth_clients {
            TlsAuthClients::No => None,
            TlsAuthClients::Yes => Some(true),
            TlsAuthClients::Optional => Some(false),
        },
        protocols,
    }
}

/// Checks that a port can be had on all addresses, without keeping it.
///
/// # Errors
/// Redis's text for CONFIG SET.
pub fn probe(addresses: &[String], port: u16) -> Result<(), String> {
    bind_tcp(addresses, port, PROBE)
        .map(drop)
        .map_err(|_| "Unable to listen on this port. Check server logs.".to_owned())
}

/// Checks that addresses can be had, on whatever port: the one in question may be ours already.
///
/// # Errors
/// Redis's text for CONFIG SET.
pub fn probe_addresses(addresses: &[String]) -> Result<(), String> {
    bind_tcp(addresses, 0, PROBE).map(drop).map_err(|_| "Failed to bind to specified addresses.".to_owned())
}

const PROBE: BindOptions = BindOptions { backlog: 1, mark: 0 };

/// How listeners treat new connections, as configured.
pub fn accepting(config: &Config) -> Accepting {
    Accepting::new(
        config.tcp_keepalive,
        config.accepts_per_cycle,
        config.tls_accepts_per_cycle,
        config.max_clients,
    )
}

/// Likewise, while they listen.
pub fn set_accepting(accepting: &Accepting, config: &Config) {
    accepting.set(
        config.tcp_keepalive,
        config.accepts_per_cycle,
        config.tls_accepts_per_cycle,
        config.max_clients,
    );
}

/// What listens, as tasks of the accepting thread.
pub struct Listeners {
    hub: Rc<Hub>,
    accepting: Arc<Accepting>,
    tasks: Vec<JoinHandle<()>>,
    tls: Option<(Tls, Rc<Handshakes>)>,
}

impl Listeners {
    /// Nothing listens yet.
    pub fn new(hub: Rc<Hub>, accepting: Arc<Accepting>) -> Self {
        Self { hub, accepting, tasks: Vec::new(), tls: None }
    }

    /// Whether there is nothing that a client could connect to.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Listens as configured, instead of as before.
    ///
    /// # Errors
    /// The address or the certificate that can't be used.
    pub async fn listen(&mut self, config: &Config) -> Result<(), Box<dyn std::error::Error>> {
        for task in self.tasks.drain(..) {
            task.abort();
            // Its socket must be closed before the same address can be had again.
            let _ = task.await;
        }
        if config.tls_port != 0 && self.tls.is_none() {
            let tls = tls(config)?;
            let handshakes = Rc::new(Handshakes::start(tls.clone(), self.hub.clone())?);
            self.tls = Some((tls, handshakes));
        }
        let handshakes = self.tls.as_ref().map(|(_, handshakes)| handshakes.clone());
        for listener in bind_all(config)? {
            let handshakes = handshakes.clone();
            self.tasks.push(tokio::task::spawn_local(listener.serve(
                self.hub.clone(),
                self.accepting.clone(),
                handshakes,
                Alarm::new()?,
            )));
        }
        Ok(())
    }

    /// Follows CONFIG SET for ever.
    pub async fn follow(mut self, mut wishes: UnboundedReceiver<Wiring>) {
        while let Some(wish) = wishes.recv().await {
            let result = match &wish {
                Wiring::Listen(config) => self.listen(config).await,
                Wiring::Tls(config) => match &self.tls {
                    Some((tls, _)) => tls.reload(&tls_files(config)).map_err(Into::into),
                    None => Ok(()),
                },
            };
            if let Err(error) = result {
                tracing::warn!("Failed to apply a change of listeners: {error}");
            }
        }
    }
}

fn bind_all(config: &Config) -> Result<Vec<Listener>, BindError> {
    let options = BindOptions { backlog: config.tcp_backlog, mark: config.socket_mark_id };
    let mut listeners = Vec::new();
    if config.port != 0 {
        listeners.extend(bind_tcp(&config.bind, config.port, options)?.into_iter().map(Listener::Tcp));
    }
    if config.tls_port != 0 {
        listeners.extend(bind_tcp(&config.bind, config.tls_port, options)?.into_iter().map(Listener::Tls));
    }
    if !config.unix_socket.is_empty() {
        let path: PathBuf = config.unix_socket.as_path().to_owned();
        let mode = (config.unix_socket_perm != 0).then_some(config.unix_socket_perm);
        listeners.push(Listener::Unix(bind_unix(&path, mode)?, path));
    }
    Ok(listeners)
}
