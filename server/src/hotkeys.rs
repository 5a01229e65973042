//! HOTKEYS: which keys cost the most processor time and traffic, over a span of time that somebody asked for.
//!
//! A key's share is kept while it is among the heaviest. Each list ([`Heaviest`]) holds a bounded number of keys; when it is
//! full, the lighter half of them goes at once, and whoever comes later is taken to weigh as much as what went. So a key
//! that weighs more than a small part of all is never missing, whatever the stream, and what is told of a key never exceeds
//! its true share. Commands pay for it only while a session runs ([`crate::server::Server::is_observed`]).

use crate::context::{Caller, Cx};
use crate::server::Server;
use common::command::{Args, CommandId};
use std::collections::HashMap;

/// Keys that a list holds for each one that it is to tell: the error is at most a sixteenth of the total, divided by the
/// number of keys told.
const HELD_PER_TOLD: usize = 32;

/// What a session is to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Processor time by key.
    pub cpu: bool,
    /// Bytes of requests and replies by key.
    pub net: bool,
    /// How many keys to tell of.
    pub count: usize,
    /// The session ends by itself after so many seconds; 0 = it does not.
    pub duration_s: i64,
    /// One in so many uses of a key is looked at.
    pub sample: u32,
}

/// The heaviest keys of a stream of weighted ones, in bounded memory.
#[derive(Debug)]
pub struct Heaviest {
    held: HashMap<Box<[u8]>, Weight>,
    /// Keys to tell of.
    told: usize,
    /// The most that a key weighs which was let go, or never held.
    missed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Weight {
    /// Since the key is held.
    seen: u64,
    /// What it may have weighed before.
    before: u64,
}

impl Weight {
    fn most(self) -> u64 {
        self.seen + self.before
    }
}

impl Heaviest {
    fn new(told: usize) -> Self {
        Self { held: HashMap::new(), told, missed: 0 }
    }

    /// Adds to a key's weight.
    fn add(&mut self, key: &[u8], weight: u64) {
        if let Some(held) = self.held.get_mut(key) {
            held.seen += weight;
            return;
        }
        if self.held.len() == self.told * HELD_PER_TOLD {
            self.let_go();
        }
        self.held.insert(key.into(), Weight { seen: weight, before: self.missed });
    }

    /// Lets the lighter half go: what that costs is made up for by as many keys to come.
    #[cold]
    fn let_go(&mut self) {
        let mut weights: Vec<u64> = self.held.values().map(|weight| weight.most()).collect();
        let middle = weights.len() / 2;
        let (_, median, _) = weights.select_nth_unstable(middle);
        self.missed = *median;
        self.held.retain(|_, weight| weight.most() > self.missed);
    }

    /// The heaviest keys and what is known of their weight, the heaviest first.
    pub fn list(&self) -> Vec<(&[u8], u64)> {
        let mut all: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.seen > 0)
            .map(|(key, held)| (&**key, held.seen))
            .collect();
        all.sort_unstable_by(|(a_key, a), (b_key, b)| b.cmp(a).then_with(|| a_key.cmp(b_key)));
        all.truncate(self.told);
        all
    }
}

/// What the process had used at some time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Processor time in user mode and in the kernel, ms.
    pub cpu_ms: (u64, u64),
    /// Bytes that connections read and wrote.
    pub net_bytes: u64,
}

impl Used {
    fn now(server: &Server) -> Self {
        let (user_s, system_s) = crate::process::cpu_seconds();
        let ms = |seconds: f64| (seconds * 1000.0) as u64;
        let traffic = server.outside.traffic();
        Self { cpu_ms: (ms(user_s), ms(system_s)), net_bytes: traffic.input + traffic.output }
    }

    fn since(self, before: Self) -> Self {
        Self {
            cpu_ms: (
                self.cpu_ms.0.saturating_sub(before.cpu_ms.0),
                self.cpu_ms.1.saturating_sub(before.cpu_ms.1),
            ),
            net_bytes: self.net_bytes.saturating_sub(before.net_bytes),
        }
    }
}

/// A session, from its start until it is forgotten.
#[derive(Debug)]
pub struct Session {
    /// What it was to find out.
    pub wish: Wish,
    /// Unix ms of its start.
    pub started_ms: i64,
    /// Unix ms of its end, when it is over.
    ended_ms: Option<i64>,
    /// What the process used: before, or, when it is over, in between.
    used: Used,
    /// Processor time of commands that name keys, nanoseconds, and the bytes of their requests and replies.
    pub all: (u64, u64),
    /// Keys by processor time, nanoseconds.
    pub by_cpu: Option<Heaviest>,
    /// Keys by bytes of requests and replies.
    pub by_net: Option<Heaviest>,
}

impl Session {
    /// Whether it still looks at commands.
    pub fn is_active(&self) -> bool {
        self.ended_ms.is_none()
    }

    /// When it is to end by itself, Unix ms.
    fn end_ms(&self) -> Option<i64> {
        let duration_ms = self.wish.duration_s.saturating_mul(1000);
        (duration_ms > 0).then(|| self.started_ms.saturating_add(duration_ms))
    }

    /// How long it lasted so far, ms.
    pub fn lasted_ms(&self, now_ms: i64) -> i64 {
        (self.ended_ms.unwrap_or(now_ms) - self.started_ms).max(0)
    }
}

/// The session that runs, or the one before.
#[derive(Debug, Default)]
pub struct Hotkeys(Option<Box<Session>>);

impl Hotkeys {
    /// The session that runs or is over.
    pub fn session(&self) -> Option<&Session> {
        self.0.as_deref()
    }

    /// Whether commands are looked at.
    pub fn is_active(&self) -> bool {
        self.session().is_some_and(Session::is_active)
    }

    /// Forgets the session.
    pub fn reset(&mut self) {
        self.0 = None;
    }
}

/// Takes note of a command that ran. What a script calls is the script's, which names its keys.
pub fn note(cx: &mut Cx<'_>, id: CommandId, args: &Args<'_>, elapsed_ns: u64, bytes: u64) {
    if !cx.server.hotkeys.is_active() || cx.caller == Caller::Script {
        return;
    }
    cx.server.end_overdue_hotkeys();
    let keys = cx.server.table.keys(id, args).unwrap_or_default();
    let Server { hotkeys, rng, .. } = &mut **cx.server;
    let Some(session) = hotkeys.0.as_deref_mut().filter(|session| session.is_active()) else { return };
    if keys.is_empty() {
        return;
    }
    session.all.0 += elapsed_ns;
    session.all.1 += bytes;
    // Several keys share what the command took.
    let share = |whole: u64| whole.div_ceil(keys.len() as u64);
    for key in &keys {
        if session.wish.sample > 1 && rng.u32(..session.wish.sample) != 0 {
            continue;
        }
        let name = args.get(key.index);
        if let Some(list) = &mut session.by_cpu {
            list.add(name, share(elapsed_ns));
        }
        if let Some(list) = &mut session.by_net {
            list.add(name, share(bytes));
        }
    }
}

impl Server {
    /// Begins a session; what one before found is forgotten. False when one runs.
    pub fn start_hotkeys(&mut self, wish: Wish) -> bool {
        self.end_overdue_hotkeys();
        if self.hotkeys.is_active() {
            return false;
        }
        let list = |wanted: bool| wanted.then(|| Heaviest::new(wish.count));
        let session = Session {
            wish,
            started_ms: self.time.now_ms(),
            ended_ms: None,
            used: Used::now(self),
            all: (0, 0),
            by_cpu: list(wish.cpu),
            by_net: list(wish.net),
        };
        self.hotkeys.0 = Some(Box::new(session));
        self.follow_observers();
        true
    }

    /// Ends the session that runs; false when none does.
    pub fn stop_hotkeys(&mut self) -> bool {
        self.end_overdue_hotkeys();
        let now_ms = self.time.now_ms();
        self.hotkeys.is_active() && self.end_hotkeys(now_ms)
    }

    /// Ends a session whose time is up.
    pub fn end_overdue_hotkeys(&mut self) {
        let end_ms = self.hotkeys.session().filter(|session| session.is_active()).and_then(Session::end_ms);
        if let Some(end_ms) = end_ms.filter(|end_ms| *end_ms <= self.time.now_ms()) {
            self.end_hotkeys(end_ms);
        }
    }

    fn end_hotkeys(&mut self, at_ms: i64) -> bool {
        let used = Used::now(self);
        if let Some(session) = &mut self.hotkeys.0 {
            session.ended_ms = Some(at_ms);
            session.used = used.since(session.used);
        }
        self.follow_observers();
        true
    }

    /// What the process used during the session.
    pub fn used_by_hotkeys(&self) -> Used {
        match self.hotkeys.session() {
            Some(session) if session.is_active() => Used::now(self).since(session.used),
            Some(session) => session.used,
            None => Used::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of keys, some much heavier than others, and what each weighs in truth.
    fn stream(seed: u64, mut add: impl FnMut(&[u8], u64)) -> HashMap<Vec<u8>, u64> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut truth = HashMap::new();
        for _ in 0..200_000 {
            // Half of the weight falls on a few keys, the rest on so many that nearly each is new.
            let key = if rng.bool() { rng.u32(..8) } else { rng.u32(100..2_000_000) };
            let (key, weight) = (format!("key:{key}").into_bytes(), rng.u64(1..100));
            add(&key, weight);
            *truth.entry(key).or_default() += weight;
        }
        truth
    }

    #[test]
    fn what_weighs_much_is_found_in_bounded_memory() {
        for seed in 0..4 {
            let mut heaviest = Heaviest::new(10);
            let mut most = 0;
            let truth = stream(seed, |key, weight| {
                heaviest.add(key, weight);
                most = most.max(heaviest.held.len());
            });
            assert_eq!(most, 10 * HELD_PER_TOLD, "seed {seed}");
            let total: u64 = truth.values().sum();
            let error = total / (10 * HELD_PER_TOLD as u64 / 2);
            assert!(heaviest.missed <= error, "seed {seed}: {} of at most {error}", heaviest.missed);
            let list = heaviest.list();
            assert!(list.is_sorted_by(|a, b| a.1 >= b.1) && list.len() == 10, "seed {seed}");
            for (key, weight) in &list {
                assert!(*weight <= truth[*key] && truth[*key] <= weight + heaviest.missed, "seed {seed}");
            }
            let mut expected: Vec<_> = truth.iter().filter(|(_, weight)| **weight > error).collect();
            expected.sort_unstable_by(|a, b| b.1.cmp(a.1));
            assert_eq!(expected.len(), 8, "seed {seed}");
            // These were heavy from the beginning: of them all is known.
            for ((key, weight), told) in expected.into_iter().zip(list) {
                assert_eq!((&key[..], *weight), told, "seed {seed}");
            }
        }
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut heaviest = Heaviest::new(2);
        for (key, weight) in [("a", 1), ("b", 5), ("c", 3), ("a", 3), ("d", 0)] {
            heaviest.add(key.as_bytes(), weight);
        }
        assert_eq!(heaviest.list(), [(&b"b"[..], 5), (&b"a"[..], 4)]);
    }
}
