//! Sockets and certificates as the configuration asks for them.

use crate::apply::Wiring;
use crate::config::{Config, TlsAuthClients};
use common::alarm::Alarm;
use common::net::{
    Accepting, BindError, BindOptions, Handshakes, Hub, Listener, Listening, Tls, TlsError, TlsFiles,
    bind_tcp, bind_unix,
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

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// An address as configured, a port, and whether it speaks TLS.
    Tcp(String, u16, bool),
    /// The Unix socket, which never changes.
    Unix,
}

impl Place {
    /// All that a configuration asks for.
    fn all(config: &Config) -> Vec<Self> {
        let ports = [(config.port, false), (config.tls_port, true)];
        let mut places = Vec::new();
        for (port, tls) in ports.into_iter().filter(|(port, _)| *port != 0) {
            places.extend(config.bind.iter().map(|address| Place::Tcp(address.clone(), port, tls)));
        }
        if !config.unix_socket.is_empty() {
            places.push(Place::Unix);
        }
        places
    }

    /// Whether the kernel may refuse one because the other listens.
    fn may_collide(&self, other: &Self) -> bool {
        let (Place::Tcp(one, port, _), Place::Tcp(two, other_port, _)) = (self, other) else { return false };
        let name = |address: &str| address.trim_start_matches('-').to_owned();
        let is_all = |address: &str| ["*", "::*", "0.0.0.0", "::"].contains(&name(address).as_str());
        port == other_port && (name(one) == name(two) || is_all(one) || is_all(two))
    }

    /// Listens there; none where an optional address does not exist.
    fn open(&self, config: &Config) -> Result<Vec<Listener>, BindError> {
        let options = BindOptions { backlog: config.tcp_backlog, mark: config.socket_mark_id };
        match self {
            Place::Tcp(address, port, tls) => {
                let bound = bind_tcp(std::slice::from_ref(address), *port, options)?;
                let listening = if *tls { Listening::Tls } else { Listening::Tcp };
                Ok(bound.into_iter().map(|listener| Listener::new(listening(listener))).collect())
            }
            Place::Unix => {
                let path: PathBuf = config.unix_socket.as_path().to_owned();
                let mode = (config.unix_socket_perm != 0).then_some(config.unix_socket_perm);
                let group = unix_socket_group(config)?;
                Ok(vec![Listener::new(Listening::Unix(bind_unix(&path, mode, group)?, path))])
            }
        }
    }
}

fn unix_socket_group(config: &Config) -> Result<Option<u32>, BindError> {
    if config.unix_socket_group.is_empty() {
        return Ok(None);
    }
    let name = config.unix_socket_group.to_string();
    match crate::sys::group_id(config.unix_socket_group.as_bytes()) {
        Some(group) => Ok(Some(group)),
        None => {
            let source = std::io::Error::other(format!("there is no group '{name}'"));
            Err(BindError { address: config.unix_socket.to_string(), port: 0, source })
        }
    }
}

/// What listens. The server owns it, so that CONFIG SET knows before it answers whether a change came about.
#[derive(Default)]
pub struct Sockets {
    open: Vec<(Place, Vec<Listener>)>,
}

impl Sockets {
    /// Listens as configured instead of as before. What stays the same is not touched; where something fails, all is as
    /// it was. The listeners that are new, also after a failure, and the place that can't be had. Must be called on the
    /// runtime of the thread that accepts.
    pub fn follow(&mut self, config: &Config) -> (Vec<Listener>, Result<(), BindError>) {
        let wanted = Place::all(config);
        let (kept, leaving): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|(place, _)| wanted.contains(place));
        self.open = kept;
        let missing: Vec<&Place> =
            wanted.iter().filter(|place| !self.open.iter().any(|(open, _)| open == *place)).collect();
        // Only what stands in the way is closed first; it can be had again if the rest fails.
        let collides = |old: &Place| missing.iter().any(|new| new.may_collide(old));
        let (in_the_way, beside): (Vec<_>, Vec<_>) = leaving.into_iter().partition(|(old, _)| collides(old));
        in_the_way.iter().flat_map(|(_, listeners)| listeners).for_each(Listener::close);
        let opened: Result<Vec<_>, BindError> =
            missing.iter().map(|place| Ok(((*place).clone(), place.open(config)?))).collect();
        let (opened, result) = match opened {
            Ok(opened) => {
                beside.iter().flat_map(|(_, listeners)| listeners).for_each(Listener::close);
                (opened, Ok(()))
            }
            Err(error) => {
                self.open.extend(beside);
                let again = |(place, _): (Place, _)| place.open(config).ok().map(|open| (place, open));
                (in_the_way.into_iter().filter_map(again).collect(), Err(error))
            }
        };
        let new = opened.iter().flat_map(|(_, listeners)| listeners.clone()).collect();
        self.open.extend(opened);
        (new, result)
    }

    /// Listens nowhere any more.
    pub fn close(&mut self) {
        self.open.drain(..).flat_map(|(_, listeners)| listeners).for_each(|listener| listener.close());
    }

    /// Whether there is nothing that a client could connect to.
    pub fn is_empty(&self) -> bool {
        self.open.iter().all(|(_, listeners)| listeners.is_empty())
    }
}

/// Accepts from listeners, as tasks of the accepting thread.
pub struct Acceptor {
    hub: Rc<Hub>,
    accepting: Arc<Accepting>,
    tasks: Vec<(Listener, JoinHandle<()>)>,
    tls: Option<(Tls, Rc<Handshakes>)>,
}

impl Acceptor {
    /// Nothing is accepted yet.
    pub fn new(hub: Rc<Hub>, accepting: Arc<Accepting>) -> Self {
        Self { hub, accepting, tasks: Vec::new(), tls: None }
    }

    /// Accepts from more listeners, and ends what waited at closed ones.
    ///
    /// # Errors
    /// The certificate that can't be used, or a thread or timer that can't be had.
    pub fn accept(
        &mut self,
        listeners: Vec<Listener>,
        config: &Config,
    ) -> Result<(), Box<dyn std::error::Error>> {
        if config.tls_port != 0 && self.tls.is_none() {
            let tls = tls(config)?;
            let handshakes = Rc::new(Handshakes::start(tls.clone(), self.hub.clone())?);
            self.tls = Some((tls, handshakes));
        }
        let closed = self.tasks.extract_if(.., |(listener, _)| listener.is_closed());
        closed.for_each(|(_, task)| task.abort());
        let handshakes = self.tls.as_ref().map(|(_, handshakes)| handshakes.clone());
        for listener in listeners {
            let (hub, accepting) = (self.hub.clone(), self.accepting.clone());
            let task = listener.clone().serve(hub, accepting, handshakes.clone(), Alarm::new()?);
            self.tasks.push((listener, tokio::task::spawn_local(task)));
        }
        Ok(())
    }

    /// Follows CONFIG SET for ever.
    pub async fn follow(mut self, mut wishes: UnboundedReceiver<Wiring>) {
        while let Some(wish) = wishes.recv().await {
            let result = match wish {
                Wiring::Accept(listeners, config) => self.accept(listeners, &config),
                Wiring::Tls(config) => match &self.tls {
                    Some((tls, _)) => tls.reload(&tls_files(&config)).map_err(Into::into),
                    None => Ok(()),
                },
            };
            if let Err(error) = result {
                tracing::warn!("Failed to apply a change of listeners: {error}");
            }
        }
    }
}
