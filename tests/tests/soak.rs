//! Many clients that do everything at once and leave at any moment: afterwards nothing of them may be left.
//!
//! The short form runs with the other tests; `make soak` sets `SOAK_SECONDS` and `SOAK_CLIENTS` for the long one. Each
//! thread owns some connections and picks one at random for every step, so that a step may find its connection idle,
//! subscribed, or waiting in a pop that was sent many steps before.
//!
//! Where a client leaves while it waits, a message may be popped for nobody, in Redis too. So those who leave move
//! messages to another list, which keeps them for the count; those who pop stay for the reply.

use ochre_tests::{Client, Random, Reply, Server, Settings, wait_until};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 8;
const QUEUES: [&str; 3] = ["q:a", "q:b", "q:c"];
const CHANNELS: [&str; 3] = ["news", "weather", "sports"];
/// Counters that transactions race for.
const COUNTERS: [&str; 2] = ["c:1", "c:2"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Subscribed,
    /// In BLPOP, whose reply has to be read.
    Popping,
    /// In BLMOVE, which may be left.
    Moving,
}

struct Connection {
    client: Client,
    state: State,
}

impl Connection {
    fn open(port: u16, random: &mut Random) -> Self {
        let mut client = Client::connect(port);
        if random.below(2) == 0 {
            client.run("HELLO 3");
        }
        Self { client, state: State::Idle }
    }

    /// The next reply that is no message to a subscriber and tells nothing of a key that changed.
    fn read(&mut self) -> Reply {
        loop {
            let reply = self.client.read();
            let text = String::from_utf8_lossy(&reply.0);
            let is_message = ["$7\r\nmessage", "$8\r\npmessage", "$10\r\ninvalidate"]
                .iter()
                .any(|kind| text.get(4..).is_some_and(|rest| rest.starts_with(kind)));
            if !is_message {
                return reply;
            }
        }
    }

    fn run(&mut self, line: &str) -> Reply {
        self.client.send(&line.split(' ').collect::<Vec<_>>());
        self.read()
    }
}

/// What a thread has done.
#[derive(Default)]
struct Account {
    pushed: Vec<String>,
    popped: Vec<String>,
    added: HashMap<&'static str, u64>,
}

/// The message in the reply to BLPOP; `None` when its time was over.
fn message(reply: &Reply) -> Option<String> {
    let text = String::from_utf8_lossy(&reply.0);
    text.starts_with("*2").then(|| text.split("\r\n").nth(4).expect("a key and a message").to_owned())
}

struct Worker<'a> {
    port: u16,
    random: Random,
    connections: Vec<Connection>,
    account: Account,
    next: &'a AtomicU64,
}

impl Worker<'_> {
    fn work(mut self, until: Instant) -> Account {
        while Instant::now() < until {
            let index = self.random.below(self.connections.len());
            match self.connections[index].state {
                State::Idle => self.act(index),
                State::Subscribed => self.leave_channels(index),
                State::Popping => self.fetch(index, Duration::from_millis(1)),
                State::Moving if self.random.below(3) == 0 => self.reconnect(index),
                State::Moving => {
                    let connection = &mut self.connections[index];
                    if !connection.client.is_silent(Duration::from_millis(1)) {
                        connection.read();
                        connection.state = State::Idle;
                    }
                }
            }
        }
        for index in 0..self.connections.len() {
            if self.connections[index].state == State::Popping {
                self.fetch(index, Duration::from_secs(10));
            }
        }
        self.account
    }

    fn act(&mut self, index: usize) {
        match self.random.below(10) {
            0..3 => self.push(index),
            3 => self.begin(index, "BLPOP q:a q:b q:c 0.3", State::Popping),
            4 => self.begin(index, "BLMOVE q:b done LEFT RIGHT 0.3", State::Moving),
            5 => self.race(index),
            6 => self.join_channels(index),
            7 => {
                let channel = self.random.pick(&CHANNELS);
                self.connections[index].run(&format!("PUBLISH {channel} something"));
            }
            8 => self.half_done(index),
            _ => self.reconnect(index),
        }
    }

    fn push(&mut self, index: usize) {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let queue = self.random.pick(&QUEUES);
        let in_transaction = self.random.below(2) == 0;
        let connection = &mut self.connections[index];
        if in_transaction {
            assert_eq!(connection.run("MULTI"), "+OK\r\n");
            connection.run(&format!("RPUSH {queue} {name}"));
            connection.run("INCR pushes");
            assert_eq!(connection.run("EXEC").len(), 2);
        } else {
            connection.run(&format!("RPUSH {queue} {name}")).integer();
        }
        self.account.pushed.push(name);
    }

    fn begin(&mut self, index: usize, line: &str, state: State) {
        let connection = &mut self.connections[index];
        connection.client.send(&line.split(' ').collect::<Vec<_>>());
        connection.state = state;
    }

    fn fetch(&mut self, index: usize, wait: Duration) {
        let connection = &mut self.connections[index];
        if connection.client.is_silent(wait) {
            return;
        }
        let reply = connection.read();
        connection.state = State::Idle;
        self.account.popped.extend(message(&reply));
    }

    fn race(&mut self, index: usize) {
        let counter = COUNTERS[self.random.below(COUNTERS.len())];
        let connection = &mut self.connections[index];
        connection.run(&format!("WATCH {counter}"));
        let seen: u64 = connection.run(&format!("GET {counter}")).text().parse().expect("a number");
        connection.run("MULTI");
        connection.run(&format!("SET {counter} {}", seen + 1));
        let reply = connection.run("EXEC");
        if reply == "*1\r\n+OK\r\n" {
            *self.account.added.entry(counter).or_default() += 1;
        } else {
            assert!(reply == "*-1\r\n" || reply == "_\r\n", "{reply:?}");
        }
    }

    fn join_channels(&mut self, index: usize) {
        let channel = self.random.pick(&CHANNELS);
        let connection = &mut self.connections[index];
        connection.run(&format!("SUBSCRIBE {channel}"));
        connection.run("PSUBSCRIBE w*");
        connection.state = State::Subscribed;
    }

    fn leave_channels(&mut self, index: usize) {
        if self.random.below(2) == 0 {
            return self.reconnect(index);
        }
        let connection = &mut self.connections[index];
        connection.run("UNSUBSCRIBE");
        connection.run("PUNSUBSCRIBE");
        connection.state = State::Idle;
    }

    /// Leaves with a transaction open, keys watched and keys tracked.
    fn half_done(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.run("CLIENT TRACKING ON");
        connection.run("GET c:1");
        connection.run("WATCH c:1 c:2 q:a never");
        connection.run("MULTI");
        connection.run("SET never set");
        self.reconnect(index);
    }

    fn reconnect(&mut self, index: usize) {
        self.connections[index] = Connection::open(self.port, &mut self.random);
    }
}

/// One round of all clients; checks the count of messages and counters and leaves no key.
fn round(server: &Server, clients: usize, lasting: Duration, seed: u64) {
    let mut control = server.client();
    for counter in COUNTERS {
        control.run(&format!("SET {counter} 0"));
    }
    let next = AtomicU64::new(0);
    let accounts: Vec<Account> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS as u64)
            .map(|thread| {
                let mut random = Random::new(seed.wrapping_add(thread * 0x9E37_79B9));
                let next = &next;
                scope.spawn(move || {
                    let open = |_| Connection::open(server.port, &mut random);
                    let connections = (0..clients / THREADS).map(open).collect();
                    let account = Account::default();
                    let worker = Worker { port: server.port, random, connections, account, next };
                    worker.work(Instant::now() + lasting)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that ends well")).collect()
    });
    nothing_is_left(server);
    let mut seen: HashMap<String, i64> = HashMap::new();
    for account in &accounts {
        account.pushed.iter().for_each(|name| *seen.entry(name.clone()).or_default() -= 1);
        account.popped.iter().for_each(|name| *seen.entry(name.clone()).or_default() += 1);
    }
    let popped: usize = accounts.iter().map(|account| account.popped.len()).sum();
    for list in QUEUES.into_iter().chain(["done"]) {
        while let Some(name) = message(&control.run(&format!("BLPOP {list} 0.001"))) {
            *seen.entry(name).or_default() += 1;
        }
    }
    assert!(!seen.is_empty(), "no message was pushed");
    println!("{} messages, {} of them popped at once", seen.len(), popped);
    seen.retain(|_, times| *times != 0);
    assert!(seen.is_empty(), "lost (-1) or doubled: {seen:?}");
    for counter in COUNTERS {
        let expected: u64 = accounts.iter().filter_map(|account| account.added.get(counter)).sum();
        assert_eq!(control.run(&format!("GET {counter}")).text(), expected.to_string());
    }
    assert_eq!(control.run("EXISTS never"), ":0\r\n");
    control.run("FLUSHALL");
}

fn nothing_is_left(server: &Server) {
    // The one who asks and the one who controls.
    wait_until("clients are gone", || server.info("connected_clients") == "2");
    let fields = [
        "blocked_clients",
        "pubsub_clients",
        "watching_clients",
        "tracking_clients",
        "total_watched_keys",
        "total_blocking_keys",
        "pubsub_channels",
        "pubsub_patterns",
    ];
    for field in fields {
        assert_eq!(server.info(field), "0", "{field}");
    }
}

fn used_memory(server: &Server) -> u64 {
    server.info("used_memory").parse().expect("a number")
}

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_is_left_of_clients_that_come_and_go() {
    let seconds = from_environment("SOAK_SECONDS", 4) as f64;
    let clients = from_environment("SOAK_CLIENTS", 200);
    let seed = Random::seed();
    println!("seed {seed}");
    for io_threads in ["1", "2"] {
        let server = Settings::new().set("io-threads", io_threads).set("maxclients", "8000").start();
        // What tables and buffers grow to, they do in the first part: the second must add nothing.
        round(&server, clients, Duration::from_secs_f64(seconds / 8.0), seed);
        let before = used_memory(&server);
        round(&server, clients, Duration::from_secs_f64(seconds / 2.0), seed + 1);
        let mut after = 0;
        wait_until("memory is back within a twentieth", || {
            let now = used_memory(&server);
            if now != after {
                println!("memory: {before} bytes before, {now} now");
            }
            after = now;
            after <= before + before / 20
        });
    }
}
