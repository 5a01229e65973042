//! The start: configuration, sockets and the actor put together.

use crate::actor::Actor;
use crate::apply::Outside;
use crate::config::Config;
use crate::dispatch::command_table;
use crate::lifecycle::fill_random;
use crate::main_loop::MainLoop;
use crate::process::supervise::{self, Supervisor};
use crate::scripting::ScriptHost;
use crate::server::Server;
use crate::wiring::Acceptor;
use common::net::{Hub, Mailbox, NetEvent, NetLimits};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::unbounded_channel;

/// What main found out.
pub struct Start {
    /// Directives.
    pub config: Config,
    /// The running log.
    pub log: crate::log::Level,
    /// Who watches over the process.
    pub supervisor: Supervisor,
}

/// Runs the server until it ends; the process's exit code.
pub fn run(start: Start) -> i32 {
    let mut builder = Builder::new_current_thread();
    builder.enable_io();
    match builder.build_local(LocalOptions::default()) {
        // As a task of its own: tokio asks the kernel for events before it polls the future that it blocks on, a
        // system call for every turn.
        Ok(runtime) => runtime
            .block_on(async { tokio::task::spawn_local(serve(start)).await })
            .unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic())),
        Err(error) => {
            tracing::error!("Failed to start: {error}");
            1
        }
    }
}

async fn serve(start: Start) -> i32 {
    let config = start.config.clone();
    let mailbox: Mailbox<NetEvent> = Mailbox::default();
    let limits = Arc::new(NetLimits::new(config.proto_max_bulk_len, config.client_query_buffer_limit));
    let hub = match open_hub(&config, mailbox.clone(), &limits) {
        Ok(hub) => Rc::new(hub),
        Err(error) => {
            tracing::error!("Failed to start I/O threads: {error}");
            return 1;
        }
    };
    let homes = hub.homes();
    let accepting = Arc::new(crate::wiring::accepting(&config));
    let mut acceptor = Acceptor::new(hub, accepting.clone());
    let mut server = Box::new(new_server(start));
    let (wiring, wishes) = unbounded_channel();
    server.outside.homes.clone_from(&homes);
    server.outside.limits = Some(limits);
    server.outside.accepting = Some(accepting);
    server.outside.wiring = Some(wiring);
    let (listeners, result) = server.outside.sockets.follow(&config);
    if let Err(error) = result {
        tracing::warn!("{}", error.at_start(config.tls_port));
        return 1;
    }
    if server.outside.sockets.is_empty() {
        tracing::warn!("Configured to not listen anywhere, exiting.");
        return 1;
    }
    if let Err(error) = acceptor.accept(listeners, &config) {
        tracing::warn!("{error}");
        return 1;
    }
    tokio::task::spawn_local(acceptor.follow(wishes));
    tracing::info!("Server initialized");
    supervise::tell(server.lifecycle.supervisor, "STATUS=Redis is loading...\n");
    // Clients can connect from now on; most of their commands are refused until everything is loaded.
    if let Err(error) = crate::persistence::begin_loading(&mut server) {
        tracing::error!("Fatal error loading the DB: {error}. Exiting.");
        return 1;
    }
    let host = Rc::new(ScriptHost::new(server.config.lua_enable_deprecated_api));
    match MainLoop::new(Actor::new(server, host, homes), mailbox) {
        Ok(main_loop) => main_loop.run().await,
        Err(error) => {
            tracing::error!("Failed to start: {error}");
            1
        }
    }
}

/// `io-threads 1`: connections live with the actor; `N`: the actor alone here, connections on N-1 threads.
fn open_hub(config: &Config, mailbox: Mailbox<NetEvent>, limits: &Arc<NetLimits>) -> io::Result<Hub> {
    match config.io_threads {
        0 | 1 => Ok(Hub::local(mailbox, limits.clone())),
        threads => Hub::threads(usize::from(threads) - 1, mailbox, limits),
    }
}

fn new_server(start: Start) -> Server {
    let mut seed = [0; 16];
    fill_random(&mut seed);
    let (low, high) = seed.split_at(8);
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let mut table = command_table();
    for (from, to) in &start.config.renamed_commands {
        table.rename(from, to);
    }
    let table = Box::leak(Box::new(table));
    let mut server = Server::new(start.config, table, [word(low), word(high)]);
    server.lifecycle.config_file = server.config.file.clone();
    server.lifecycle.startup_bytes = crate::memory::used_bytes();
    server.lifecycle.supervisor = start.supervisor;
    server.lifecycle.ports = (server.config.port, server.config.tls_port);
    server.outside = Outside { log: Some(start.log), ..Outside::default() };
    server
}
