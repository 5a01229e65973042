//! Bringing about what CONFIG SET changed.

use crate::config::{Apply, Change, SetError};
use crate::server::Server;
use crate::wiring::Sockets;
use common::net::{Accepting, Home, Listener, NetLimits, TrafficCounts};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// What only the tasks that accept connections can do.
pub enum Wiring {
    /// Accept from these listeners too, as configured, and end what waits at closed ones.
    Accept(Vec<Listener>, Box<crate::config::Config>),
    /// Read TLS files anew.
    Tls(Box<crate::config::Config>),
}

/// What the server tells the outside world of its configuration.
#[derive(Default)]
pub struct Outside {
    /// Limits that connection tasks read.
    pub limits: Option<Arc<NetLimits>>,
    /// The threads that connections live on.
    pub homes: Vec<Arc<Home>>,
    /// What listens.
    pub sockets: Sockets,
    /// The way to those who accept.
    pub wiring: Option<UnboundedSender<Wiring>>,
    /// How listeners treat new connections.
    pub accepting: Option<Arc<Accepting>>,
    /// The log's filter.
    pub log: Option<crate::log::Level>,
}

impl Outside {
    /// What all connections read and wrote since the start.
    pub fn traffic(&self) -> TrafficCounts {
        self.homes.iter().map(|home| home.traffic().counts()).sum()
    }
}

impl Server {
    /// Applies a change, or puts everything back.
    ///
    /// # Errors
    /// The directive that could not be brought about.
    pub fn apply(&mut self, change: Change) -> Result<(), SetError> {
        for name in &change.warnings {
            tracing::warn!("The directive '{name}' is known but not honoured yet: it has no effect.");
        }
        for (index, (apply, name)) in change.apply.iter().enumerate() {
            if let Err(reason) = self.bring_about(*apply, &change.previous) {
                self.config = *change.previous;
                for (apply, _) in &change.apply[..index] {
                    let config = self.config.clone();
                    // It worked before with these values.
                    let _ = self.bring_about(*apply, &config);
                }
                return Err(SetError::Refused { name, reason });
            }
        }
        self.slow.follow(&self.config);
        Ok(())
    }

    fn bring_about(&mut self, apply: Apply, before: &crate::config::Config) -> Result<(), String> {
        match apply {
            Apply::Nothing | Apply::Hz | Apply::GoodReplicas => {}
            Apply::MaxMemory => self.apply_memory_limit(before),
            Apply::ConnectionLimits => self.push_limits(),
            Apply::OutputLimits => {
                for slot in self.clients.slots() {
                    self.clients.mark(slot);
                }
            }
            Apply::LogLevel => {
                if let Some(level) = &self.outside.log {
                    level.set(crate::log::threshold(self.config.log_level));
                    level.set_form(crate::log::format(&self.config), crate::log::times(&self.config));
                }
            }
            Apply::Accepting => {
                if let Some(accepting) = &self.outside.accepting {
                    crate::wiring::set_accepting(accepting, &self.config);
                }
            }
            Apply::ProcTitle => crate::process::title::show(&self.config),
            Apply::AllocatorThreads => crate::memory::purge_in_background(self.config.jemalloc_bg_thread),
            Apply::OomScore => crate::process::kernel::set_oom_score(&self.config, false)?,
            Apply::Crash => {
                crate::crash::set_manners(crate::crash::Manners::of(&self.config));
                crate::crash::wind_watchdog(self.config.watchdog_period, self.config.hz);
            }
            Apply::Dir => {
                std::env::set_current_dir(self.config.dir.as_path()).map_err(|e| crate::log::os_text(&e))?
            }
            Apply::RequirePass => self.open_sessions(before),
            Apply::ReplBacklog => self.replication.resize_backlog(self.config.repl_backlog_size),
            Apply::MaxClients => {
                if let Some(accepting) = &self.outside.accepting {
                    crate::wiring::set_accepting(accepting, &self.config);
                }
                let limit = crate::process::raise_file_limit(self.config.max_clients)?;
                if limit < self.config.max_clients {
                    return Err(format!(
                        "The operating system is not able to handle the specified number of clients, try with {limit}"
                    ));
                }
            }
            Apply::Port | Apply::TlsPort => {
                self.listen_anew("Unable to listen on this port. Check server logs.")?
            }
            Apply::Bind => self.listen_anew("Failed to bind to specified addresses.")?,
            // Files are looked at as soon as they matter, so that they can be set one by one before.
            Apply::Tls if self.config.needs_tls() => {
                crate::wiring::tls(&self.config).map_err(|error| {
                    tracing::warn!("{error}");
                    "Unable to update TLS configuration. Check server logs.".to_owned()
                })?;
                self.wire(Wiring::Tls(Box::new(self.config.clone())));
            }
            Apply::Tls => {}
        }
        Ok(())
    }

    /// Follows a new limit or policy; what is too much goes between turns.
    fn apply_memory_limit(&mut self, before: &crate::config::Config) {
        self.access.configure(&self.config);
        self.renew_access();
        let (limit, used) = (self.config.max_memory, crate::memory::used_bytes());
        if limit != before.max_memory && limit > 0 && used > limit {
            tracing::warn!(
                "WARNING: the new maxmemory value set via CONFIG SET ({limit}) is smaller than the current memory usage \
                 ({used}). This will result in key eviction and/or the inability to accept new write commands depending \
                 on the maxmemory-policy."
            );
        }
        self.eviction.goes_on = limit > 0 && used > limit;
    }

    /// Tells connection tasks their limits.
    pub fn push_limits(&self) {
        if let Some(limits) = &self.outside.limits {
            limits.set(self.config.proto_max_bulk_len, self.config.client_query_buffer_limit);
        }
    }

    /// Without a password everyone is in; with a new one those who are in stay.
    fn open_sessions(&mut self, _before: &crate::config::Config) {
        if self.config.requirepass.is_empty() {
            for slot in self.clients.slots() {
                self.clients.set_authenticated(slot, true);
                self.clients.mark(slot);
            }
        }
    }

    fn listen_anew(&mut self, on_failure: &str) -> Result<(), String> {
        if self.config.tls_port != 0 {
            crate::wiring::tls(&self.config).map_err(|error| {
                tracing::warn!("{error}");
                "Unable to update TLS configuration. Check server logs.".to_owned()
            })?;
        }
        let (listeners, result) = self.outside.sockets.follow(&self.config);
        self.wire(Wiring::Accept(listeners, Box::new(self.config.clone())));
        result.map_err(|_| on_failure.to_owned())?;
        crate::process::title::show(&self.config);
        self.lifecycle.ports = (self.config.port, self.config.tls_port);
        Ok(())
    }

    fn wire(&self, message: Wiring) {
        if let Some(wiring) = &self.outside.wiring {
            // The receiver lives as long as the process.
            let _ = wiring.send(message);
        }
    }
}
