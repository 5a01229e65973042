//! The main loop: turns of the actor, background work between them, and what happens by the clock.

use crate::actor::Actor;
use crate::cron;
use crate::gather;
use crate::lifecycle::Shutdown;
use crate::process::supervise::tell;
use crate::server::{Internal, Server};
use common::alarm::Alarm;
use common::clock::monotonic_ns;
use common::net::{Mailbox, NetEvent};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The loop's own state. Whatever can wake it comes through one of two mailboxes, so that an idle round polls little.
pub struct MainLoop {
    actor: Actor,
    mailbox: Mailbox<NetEvent>,
    internal: Mailbox<Internal>,
    events: Vec<NetEvent>,
    messages: Vec<Internal>,
    alarm: Rc<Alarm>,
    /// What the alarm is set to; moments are in nanoseconds on the monotonic clock.
    alarm_at: Option<u64>,
    tick_at: u64,
    /// The next round of an expire cycle that has more to do.
    expire_at: Option<u64>,
    /// The process shall end now, with this code.
    ended: Option<i32>,
    is_ready: bool,
    /// Connections live on this thread, which may wait for several of them.
    gathers: bool,
}

impl MainLoop {
    /// A loop around `actor`. Must be called on the runtime that runs it.
    ///
    /// # Errors
    /// When there is no timer, or signals can't be listened to.
    pub fn new(mut actor: Actor, mailbox: Mailbox<NetEvent>) -> io::Result<Self> {
        let internal = actor.server().internal.clone();
        listen_to(SignalKind::terminate(), "SIGTERM", internal.clone())?;
        listen_to(SignalKind::interrupt(), "SIGINT", internal.clone())?;
        let alarm = Rc::new(Alarm::new()?);
        let (rings, to) = (alarm.clone(), internal.clone());
        tokio::task::spawn_local(async move {
            loop {
                rings.ring().await;
                to.push(Internal::Due);
            }
        });
        let gathers = actor.server().config.io_threads <= 1;
        if gathers {
            gather::be_punctual();
        }
        Ok(Self {
            actor,
            mailbox,
            internal,
            events: Vec::new(),
            messages: Vec::new(),
            alarm,
            alarm_at: None,
            tick_at: monotonic_ns(),
            expire_at: None,
            ended: None,
            is_ready: false,
            gathers,
        })
    }

    /// Runs until the server ends; the process's exit code.
    pub async fn run(mut self) -> i32 {
        loop {
            if let Some(code) = self.exit_code() {
                return code;
            }
            if self.actor.has_script() {
                self.script_round().await;
                continue;
            }
            if self.obey_signal() {
                continue;
            }
            let has_work = self.background_work();
            if !self.is_ready && !self.actor.server().lifecycle.loading {
                self.is_ready = true;
                announce_ready(self.actor.server());
            }
            if has_work {
                // Everyone else on this thread, connections first of all, runs between two slices of the work.
                tokio::task::yield_now().await;
                self.mailbox.drain(&mut self.events);
                self.internal.drain(&mut self.messages);
            } else {
                self.set_alarm();
                self.wait().await;
            }
            if !self.events.is_empty() {
                self.actor.turn(&mut self.events);
            }
            // A script that the turn began holds everything back but signals, until it ends.
            if !self.messages.is_empty() && !self.actor.has_script() {
                self.receive();
            }
            self.follow_clock();
        }
    }

    /// Waits for requests or messages. Among many connections that keep asking it first sees whether some are there already,
    /// and where none are, it gives them a moment to gather.
    async fn wait(&mut self) {
        if let Some(pause) = self.pause() {
            tokio::task::yield_now().await;
            let requests = self.mailbox.drain(&mut self.events);
            if self.internal.drain(&mut self.messages) || requests {
                return;
            }
            std::thread::sleep(pause); // by the clock: no request ends it
        }
        std::future::poll_fn(|cx| self.poll_wake(cx)).await;
    }

    fn pause(&mut self) -> Option<Duration> {
        if !self.gathers {
            return None;
        }
        let server = self.actor.server();
        server.gather.pause(server.time.now_ms(), server.time.now_ns())
    }

    fn poll_wake(&mut self, cx: &Context<'_>) -> Poll<()> {
        let events = self.mailbox.poll_drain(cx, &mut self.events);
        let messages = self.internal.poll_drain(cx, &mut self.messages);
        if events.is_ready() || messages.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Others have a word while a script runs, then it runs on.
    async fn script_round(&mut self) {
        tokio::task::yield_now().await;
        if self.mailbox.drain(&mut self.events) {
            self.actor.turn(&mut self.events);
        }
        let mut messages = Vec::new();
        if self.internal.drain(&mut messages) {
            for message in messages {
                match message {
                    Internal::Signal(name) => self.actor.server().lifecycle.signal = Some(name),
                    other => self.messages.push(other), // waits for the script's end
                }
            }
        }
        // A script that wrote is all or nothing: the process ends behind it.
        if !self.actor.server().scripts.wrote && self.obey_signal() {
            return;
        }
        self.actor.resume_script();
        if !self.actor.has_script() && !self.messages.is_empty() {
            self.receive();
        }
    }

    fn receive(&mut self) {
        for message in self.messages.drain(..) {
            match message {
                Internal::Due => {
                    self.alarm_at = None;
                    self.actor.server().time.sample();
                }
                Internal::Signal(name) => self.actor.server().lifecycle.signal = Some(name),
                other => self.actor.server().receive(other),
            }
        }
        self.actor.finish_turn();
    }

    /// Has the alarm ring for whatever the clock asks for first. One that is set too early does no harm: setting it
    /// anew with every change would cost more than a round for nothing.
    fn set_alarm(&mut self) {
        let server = self.actor.server();
        let deadline = server.next_deadline().map(|at| {
            let left_ms = at.saturating_sub(server.time.now_ms()).max(0).cast_unsigned();
            server.time.now_ns().saturating_add(left_ms.saturating_mul(1_000_000))
        });
        let first = [self.expire_at, deadline, server.defrag.due_at()]
            .into_iter()
            .flatten()
            .fold(self.tick_at, u64::min);
        if self.alarm_at.is_none_or(|at| first < at) {
            self.alarm.set(Duration::from_nanos(first.saturating_sub(monotonic_ns())));
            self.alarm_at = Some(first);
        }
    }

    /// Does what is due by the actor's clock. With I/O threads the mailbox may never be found empty, so this can't wait
    /// for the alarm.
    fn follow_clock(&mut self) {
        if self.actor.has_script() {
            return; // the server stands still until it ends
        }
        let server = self.actor.server();
        let now = server.time.now_ns();
        let wakes = server.next_deadline().is_some_and(|at| at <= server.time.now_ms());
        let ticks = now >= self.tick_at;
        let expires = !ticks && self.expire_at.is_some_and(|at| at <= now);
        if !wakes && !ticks && !expires {
            return;
        }
        server.time.sample();
        let started = server.time.now_ns();
        if wakes {
            self.actor.wake_overdue();
        }
        let server = self.actor.server();
        if ticks || expires {
            let busy_ns = server.stats.take_busy_ns();
            let effort = server.config.active_expire_effort;
            let more = if ticks { cron::tick(server) } else { cron::expire_cycle(server) };
            let now = monotonic_ns();
            self.expire_at = more.then(|| now + cron::expire_pause_ns(busy_ns, effort));
            if ticks {
                self.tick_at = now + 1_000_000_000 / u64::from(server.config.hz.max(1));
            }
        }
        self.end_step(started);
    }

    /// Gives eviction, snapshots and loading a slice of time; true when they could go on at once.
    fn background_work(&mut self) -> bool {
        let host = Rc::clone(self.actor.host());
        let server = self.actor.server();
        let saves = server.persistence.is_working() || server.keyspace.needs_restamp();
        let moves = server.defrag.due_at().is_some_and(|at| at <= monotonic_ns());
        if !saves && !server.eviction.goes_on && !moves {
            return false;
        }
        server.time.sample();
        let started = server.time.now_ns();
        let mut more = false;
        if moves {
            server.defrag_slice();
        }
        if server.eviction.goes_on {
            server.eviction.goes_on = false;
            server.make_room();
            more |= server.eviction.goes_on;
        }
        if saves {
            more |= crate::persistence::advance(server, &host);
        }
        self.end_step(started);
        more
    }

    /// Ends a step that began at `started`, nanoseconds on the monotonic clock.
    fn end_step(&mut self, started: u64) {
        let server = self.actor.server();
        server.time.sample();
        let lasted_ns = server.time.now_ns() - started;
        server.stats.note_step(lasted_ns);
        self.actor.finish_turn();
    }

    /// Ends the process as a signal asks for; false when there was none, or it has to wait.
    fn obey_signal(&mut self) -> bool {
        let server = self.actor.server();
        if server.lifecycle.is_paused {
            return false;
        }
        let Some(name) = server.lifecycle.signal.take() else { return false };
        if !terminate_by_signal(server, name) {
            tracing::warn!("You insist... exiting now.");
            self.ended = Some(1);
        }
        true
    }

    fn exit_code(&mut self) -> Option<i32> {
        if self.ended.is_some() {
            return self.ended;
        }
        if self.actor.server().persistence.is_fatal() {
            return Some(1);
        }
        self.actor.server().lifecycle.shutdown?;
        self.actor.finish_turn();
        tracing::warn!("Redis is now ready to exit, bye bye...");
        Some(0)
    }
}

/// Turns a signal into a message.
fn listen_to(kind: SignalKind, name: &'static str, mailbox: Mailbox<Internal>) -> io::Result<()> {
    let mut signal = signal(kind)?;
    tokio::task::spawn_local(async move {
        while signal.recv().await.is_some() {
            mailbox.push(Internal::Signal(name));
        }
    });
    Ok(())
}

/// Says that all data is there, in the words that scripts wait for.
fn announce_ready(server: &Server) {
    let config = &server.config;
    let ways =
        [("tcp", config.port != 0), ("unix", !config.unix_socket.is_empty()), ("tls", config.tls_port != 0)];
    for (way, _) in ways.iter().filter(|(_, is_open)| *is_open) {
        tracing::info!("Ready to accept connections {way}");
    }
    tell(server.lifecycle.supervisor, "STATUS=Ready to accept connections\nREADY=1\n");
}

fn terminate_by_signal(server: &mut Server, name: &str) -> bool {
    tracing::warn!("Received {name} scheduling shutdown...");
    let flags =
        if name == "SIGTERM" { server.config.shutdown_on_sigterm } else { server.config.shutdown_on_sigint };
    let save = match (flags.save(), flags.nosave()) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let wish = Shutdown { save, now: flags.now(), force: flags.force() };
    server.shut_down_by_signal(wish, name == "SIGINT")
}
