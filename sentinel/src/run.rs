//! Sockets and the actor put together.

use crate::commands::command_table;
use crate::config::Config;
use crate::sentinel::Sentinel;
use common::alarm::Alarm;
use common::net::{Accepting, BindOptions, Hub, Listener, Listening, Mailbox, NetEvent, NetLimits, bind_tcp};
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 511;
/// Keep-alive of connections.
const KEEPALIVE_S: u32 = 300;

/// Connections accepted in a row.
const ACCEPTS_PER_CYCLE: u32 = 10;
/// Connections beyond which no TLS handshake is begun.
const MAX_CLIENTS: u32 = 10_000;
/// A sentinel's requests are small: bytes of one argument, and of a query buffer.
const MAX_BULK: u64 = 512 << 20;
const MAX_QUERY: u64 = 1 << 30;

/// Runs until it is told to end; the process's exit code.
pub fn run(config: Config) -> i32 {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    match builder.build_local(LocalOptions::default()) {
        // As a task of its own: a mailbox wants to be polled by one, and tokio asks the kernel for events before each
        // poll of the future that it blocks on.
        Ok(runtime) => runtime
            .block_on(async { tokio::task::spawn_local(serve(config)).await })
            .unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic())),
        Err(error) => {
            tracing::error!("Failed to start: {error}");
            1
        }
    }
}

async fn serve(config: Config) -> i32 {
    let mailbox: Mailbox<NetEvent> = Mailbox::default();
    let hub = Rc::new(Hub::local(mailbox.clone(), Arc::new(NetLimits::new(MAX_BULK, MAX_QUERY))));
    let listeners = match bind_tcp(&config.bind, config.port, BindOptions { backlog: BACKLOG, mark: 0 }) {
        Ok(listeners) => listeners,
        Err(error) => {
            tracing::warn!("Failed listening on port {} (TCP), aborting.", config.port);
            tracing::debug!("{error}");
            return 1;
        }
    };
    let accepting = Arc::new(Accepting::new(KEEPALIVE_S, ACCEPTS_PER_CYCLE, ACCEPTS_PER_CYCLE, MAX_CLIENTS));
    for listener in listeners {
        let pause = match Alarm::new() {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!("Failed to start: {error}");
                return 1;
            }
        };
        let listener = Listener::new(Listening::Tcp(listener));
        tokio::task::spawn_local(listener.serve(hub.clone(), accepting.clone(), None, pause));
    }
    tracing::info!("Ready to accept connections tcp");
    let mut sentinel = Sentinel::new(config, Box::leak(Box::new(command_table())));
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened to");
    // Who listens without hearing: a terminal that goes away must not end what was started from it.
    let _hangup = signal(SignalKind::hangup()).expect("signals can be listened to");
    let mut events = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = std::future::poll_fn(|cx| mailbox.poll_drain(cx, &mut events)) => sentinel.turn(&mut events),
            _ = terminate.recv() => end_by(&mut sentinel, "SIGTERM"),
            _ = interrupt.recv() => end_by(&mut sentinel, "SIGINT"),
        }
        if sentinel.shutdown {
            tracing::warn!("User requested shutdown...");
            tracing::warn!("Sentinel is now ready to exit, bye bye...");
            return 0;
        }
    }
}

fn end_by(sentinel: &mut Sentinel, signal: &str) {
    tracing::warn!("Received {signal} scheduling shutdown...");
    sentinel.shutdown = true;
}
