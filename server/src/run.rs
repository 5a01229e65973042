//! Start and main loop: configuration, sockets and the actor put together.

use crate::actor::Actor;
use crate::apply::Outside;
use crate::config::Config;
use crate::cron;
use crate::dispatch::{command_table, wake_overdue};
use crate::lifecycle::{Shutdown, fill_random};
use crate::scripting::ScriptHost;
use crate::server::Server;
use crate::wiring::Listeners;
use common::clients::Slot;
use common::net::{Hub, Mailbox, NetEvent, NetLimits};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;

/// What main found out.
pub struct Start {
    /// Directives.
    pub config: Config,
    /// The configuration file, absolute.
    pub file: Option<PathBuf>,
    /// The running log.
    pub log: crate::log::Level,
}

/// Runs the server until it ends; the process's exit code.
pub fn run(start: Start) -> i32 {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    match builder.build_local(LocalOptions::default()) {
        Ok(runtime) => runtime.block_on(serve(start)),
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
    let mut listeners = Listeners::new(hub);
    let mut server = Box::new(new_server(start));
    let (wiring, wishes) = unbounded_channel();
    server.outside.limits = Some(limits);
    server.outside.wiring = Some(wiring);
    if let Err(error) = listeners.listen(&config) {
        tracing::warn!("Failed listening on port {} (TCP), aborting.", config.port);
        tracing::debug!("{error}");
        return 1;
    }
    tokio::task::spawn_local(listeners.follow(wishes));
    tracing::info!("Server initialized");
    // Clients can connect from now on; most of their commands are refused until everything is loaded.
    if let Err(error) = crate::persistence::begin_loading(&mut server) {
        tracing::error!("Fatal error loading the DB: {error}. Exiting.");
        return 1;
    }
    let host = Rc::new(ScriptHost::default());
    main_loop(Actor::new(server, host, homes), mailbox).await
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
    let table = Box::leak(Box::new(command_table()));
    let mut server = Server::new(start.config, table, [word(low), word(high)]);
    server.lifecycle.config_file = start.file;
    server.lifecycle.ports = (server.config.port, server.config.tls_port);
    server.outside = Outside { log: Some(start.log), ..Outside::default() };
    server
}

/// Says that all data is there, in the words that scripts wait for.
fn announce_ready(config: &Config) {
    let how = if config.port != 0 {
        "tcp"
    } else if config.tls_port != 0 {
        "tls"
    } else {
        "unix"
    };
    tracing::info!("Ready to accept connections {how}");
}

/// What the loop woke up for.
enum Wake {
    Events,
    /// Connections had their turn, background work goes on.
    Work,
    Tick,
    Deadline,
    Expire,
    Internal,
    Terminate(&'static str),
}

async fn main_loop(mut actor: Actor, mailbox: Mailbox<NetEvent>) -> i32 {
    let mut events: Vec<NetEvent> = Vec::new();
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened to");
    // Kept between rounds: registering a timer anew with every turn would cost more than a small turn itself.
    let tick = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(tick);
    let mut next_expire = None;
    let mut asked_to_end = None;
    let mut messages = Vec::new();
    let internal = actor.server().internal.clone();
    let mut is_ready = false;
    loop {
        if let Some(code) = exit_code(&mut actor) {
            return code;
        }
        if actor.has_script() {
            tokio::select! {
                biased;
                _ = terminate.recv() => asked_to_end = Some("SIGTERM"),
                _ = interrupt.recv() => asked_to_end = Some("SIGINT"),
                () = tokio::task::yield_now() => {}
            }
            // A script that wrote is all or nothing: the process ends behind it.
            if !actor.server().scripts.wrote
                && let Some(name) = asked_to_end.take()
            {
                terminate_by_signal(actor.server(), name);
                continue;
            }
            if mailbox.drain(&mut events) {
                actor.turn(&mut events);
            }
            actor.resume_script();
            continue;
        }
        if let Some(name) = asked_to_end.take() {
            terminate_by_signal(actor.server(), name);
            continue;
        }
        let has_work = background_work(&mut actor);
        if !is_ready && !actor.server().lifecycle.loading {
            is_ready = true;
            announce_ready(&actor.server().config);
        }
        let deadline = actor.server().blocked.next_deadline();
        let wait_ms = deadline.map(|at| (at - common::clock::now_ms()).max(0) as u64);
        let until_deadline = async {
            match wait_ms {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        let until_expire = async {
            match next_expire {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut wake = tokio::select! {
            biased;
            () = std::future::poll_fn(|cx| mailbox.poll_drain(cx, &mut events)) => Wake::Events,
            () = std::future::poll_fn(|cx| internal.poll_drain(cx, &mut messages)) => Wake::Internal,
            () = &mut tick => Wake::Tick,
            () = until_deadline => Wake::Deadline,
            () = until_expire => Wake::Expire,
            // Everyone else on this thread, connections first of all, runs between two slices of background work.
            () = tokio::task::yield_now(), if has_work => Wake::Work,
            _ = terminate.recv() => Wake::Terminate("SIGTERM"),
            _ = interrupt.recv() => Wake::Terminate("SIGINT"),
        };
        if let Wake::Events = wake {
            actor.turn(&mut events);
            // With I/O threads the mailbox may never be found empty: what the clock asks for must not wait for that.
            let now = actor.server().time.instant();
            wake = if now >= tick.deadline().into_std() {
                Wake::Tick
            } else if actor
                .server()
                .blocked
                .next_deadline()
                .is_some_and(|at| at <= actor.server().time.now_ms())
            {
                Wake::Deadline
            } else {
                continue;
            };
        }
        match wake {
            Wake::Events => {}
            Wake::Work => {}
            Wake::Internal => {
                for message in messages.drain(..) {
                    actor.server().receive(message);
                }
                actor.finish_turn();
            }
            Wake::Tick => {
                let more = cron::tick(actor.server());
                next_expire = more.then(|| tokio::time::Instant::now() + cron::EXPIRE_PAUSE);
                actor.finish_turn();
                let hz = u64::from(actor.server().config.hz.max(1));
                tick.as_mut().reset(tokio::time::Instant::now() + Duration::from_millis(1000 / hz));
            }
            Wake::Expire => {
                actor.server().time.sample();
                let more = cron::expire_cycle(actor.server());
                next_expire = more.then(|| tokio::time::Instant::now() + cron::EXPIRE_PAUSE);
                actor.finish_turn();
            }
            Wake::Deadline => {
                let server = actor.server();
                server.time.sample();
                wake_overdue(server);
                actor.finish_turn();
            }
            Wake::Terminate(name) => terminate_by_signal(actor.server(), name),
        }
    }
}

fn terminate_by_signal(server: &mut Server, name: &str) {
    tracing::warn!("Received {name} scheduling shutdown...");
    let flags =
        if name == "SIGTERM" { server.config.shutdown_on_sigterm } else { server.config.shutdown_on_sigint };
    let save = match (flags.save(), flags.nosave()) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let wish = Shutdown { save, now: flags.now(), force: flags.force() };
    if server.begin_shutdown(wish, Slot(u32::MAX)).is_err() {
        tracing::warn!("Errors trying to shut down the server. Check the logs for more information.");
    }
}

/// Gives snapshots and loading a slice of time; true when they could go on at once.
fn background_work(actor: &mut Actor) -> bool {
    let server = actor.server();
    if !server.persistence.is_working() && !server.keyspace.needs_restamp() {
        return false;
    }
    server.time.sample();
    let more = crate::persistence::advance(server);
    actor.finish_turn();
    more
}

fn exit_code(actor: &mut Actor) -> Option<i32> {
    if actor.server().persistence.is_fatal() {
        return Some(1);
    }
    actor.server().lifecycle.shutdown?;
    actor.finish_turn();
    tracing::warn!("Redis is now ready to exit, bye bye...");
    Some(0)
}
