//! How well eviction guesses: a cache that has room for half of its data, beside Redis with the same keys asked for.
//!
//! Some keys are asked for far more often than others (Zipf's law); what is missing is stored. Both servers get the same
//! sequence in the same steps from the first key on, so that neither has more time than the other: what counts as recent, and
//! when frequencies decay, goes by the clock. Each server's `maxmemory` is what it uses with half of the keys, so that a
//! smaller footprint buys no hits. The first third of the requests warms up and does not count.

use crate::client::{Client, Reply, encode, key, mix, value};
use crate::memory::launch;
use crate::process::Server;
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result};

/// Millions of keys unless told otherwise.
const KEYS: f64 = 0.5;
/// Requests per key that count.
const REQUESTS: u64 = 8;
/// Requests that are sent at once to each server in turn.
const STEP: u64 = 100;
/// Exponent of Zipf's law: that of YCSB's workloads.
const EXPONENT: f64 = 0.99;
/// A rate may lie so far below Redis's, percentage points: chance alone, since both choose victims from random samples.
const TOLERANCE: f64 = 0.15;
/// Policies, and whether keys need an expiry for them.
const POLICIES: &[(&str, bool)] =
    &[("allkeys-lru", false), ("allkeys-lfu", false), ("volatile-lru", true), ("volatile-lfu", true)];

/// Runs both servers with every policy. Returns whether every target was met.
pub fn run(options: &Options) -> Result<bool> {
    let keys = options.keys.first().copied().unwrap_or(if options.quick { KEYS / 5.0 } else { KEYS });
    let keys = (keys * 1e6) as u64;
    println!("{keys} keys, {} requests by Zipf's law ({EXPONENT}); seed {}\n", REQUESTS * keys, options.seed);
    let zipf = Zipf::new(keys);
    let mut table =
        Table::new(&["policy", "server", "maxmemory MB", "keys kept", "evicted", "hits", "verdict"]);
    let mut good = true;
    for (policy, expires) in POLICIES.iter().filter(|(policy, _)| options.wants(policy)) {
        good &= measure(policy, *expires, &zipf, options, &mut table)?;
    }
    table.print();
    Ok(good)
}

/// Numbers below a bound, the smaller the likelier.
struct Zipf {
    /// The share of each number and all below it.
    upto: Vec<f64>,
}

impl Zipf {
    fn new(bound: u64) -> Zipf {
        let mut sum = 0.0;
        let mut upto: Vec<f64> = (1..=bound)
            .map(|rank| {
                sum += (rank as f64).powf(-EXPONENT);
                sum
            })
            .collect();
        upto.iter_mut().for_each(|share| *share /= sum);
        Zipf { upto }
    }

    /// The `n`-th number of the sequence that a seed makes.
    fn number(&self, seed: u64, n: u64) -> u64 {
        let share = (mix(seed ^ mix(n)) >> 11) as f64 / (1u64 << 53) as f64;
        self.upto.partition_point(|upto| *upto <= share).min(self.upto.len() - 1) as u64
    }
}

/// A server with its part of the run.
struct Cache {
    server: Server,
    client: Client,
    expires: bool,
    limit: u64,
    hits: u64,
}

impl Cache {
    /// An empty one that has room for half of so many keys.
    fn empty(kind: Kind, policy: &str, expires: bool, keys: u64, options: &Options) -> Result<Cache> {
        let server = launch(kind, options, &["--maxmemory-policy", policy])?;
        let mut client = server.client()?;
        client.load(keys / 2, |n, out| store(n, expires, out))?;
        let limit = figure(&server, "used_memory")?;
        client.call(&[b"FLUSHALL", b"SYNC"])?;
        client.call(&[b"CONFIG", b"SET", b"maxmemory", limit.to_string().as_bytes()])?;
        Ok(Cache { server, client, expires, limit, hits: 0 })
    }

    /// The number of keys.
    fn kept(&mut self) -> Result<f64> {
        Ok(self.client.call(&[b"DBSIZE"])?.integer()? as f64)
    }

    fn ask(&mut self, numbers: &[u64]) -> Result<()> {
        let mut requests = Vec::new();
        numbers.iter().for_each(|number| encode(&mut requests, &[b"GET", &key(*number)]));
        self.client.send(&requests)
    }

    /// Reads what was asked for and stores what is missing.
    fn answer(&mut self, numbers: &[u64]) -> Result<()> {
        let mut requests = Vec::new();
        let mut missing = 0;
        for number in numbers {
            if self.client.read()? == Reply::Bulk(None) {
                store(*number, self.expires, &mut requests);
                missing += 1;
            } else {
                self.hits += 1;
            }
        }
        self.client.send(&requests)?;
        (0..missing).try_for_each(|_| self.client.read().map(drop))
    }
}

fn figure(server: &Server, field: &str) -> Result<u64> {
    Ok(server.info(field)?.ok_or_else(|| format!("INFO without {field}"))?.parse()?)
}

fn store(number: u64, expires: bool, out: &mut Vec<u8>) {
    let (key, value) = (key(number), value(number));
    if expires {
        encode(out, &[b"SET", &key, &value, b"EX", b"100000"]);
    } else {
        encode(out, &[b"SET", &key, &value]);
    }
}

fn measure(policy: &str, expires: bool, zipf: &Zipf, options: &Options, table: &mut Table) -> Result<bool> {
    let keys = zipf.upto.len() as u64;
    let mut caches = [
        Cache::empty(Kind::Ochre, policy, expires, keys, options)?,
        Cache::empty(Kind::Redis, policy, expires, keys, options)?,
    ];
    let counting = REQUESTS * keys / STEP;
    let warm_up = counting / 2;
    for step in 0..warm_up + counting {
        if step == warm_up {
            caches.iter_mut().for_each(|cache| cache.hits = 0);
        }
        let numbers: Vec<u64> = (0..STEP).map(|n| zipf.number(options.seed, step * STEP + n)).collect();
        caches.iter_mut().try_for_each(|cache| cache.ask(&numbers))?;
        caches.iter_mut().try_for_each(|cache| cache.answer(&numbers))?;
    }
    let rates = [0, 1].map(|at| 100.0 * caches[at].hits as f64 / (counting * STEP) as f64);
    let met = rates[0] >= rates[1] - TOLERANCE;
    for (cache, rate) in caches.iter_mut().zip(rates) {
        let kept = cache.kept()?;
        table.row([
            policy.to_owned(),
            cache.server.kind.name().to_owned(),
            format!("{:.1}", cache.limit as f64 / 1e6),
            format!("{} ({:.1} %)", thousands(kept), 100.0 * kept / keys as f64),
            thousands(figure(&cache.server, "evicted_keys")? as f64),
            format!("{rate:.2} %"),
            match (cache.server.kind, met) {
                (Kind::Ochre, true) => format!("PASS (>= {:.2} %)", rates[1] - TOLERANCE),
                (Kind::Ochre, false) => format!("FAIL (>= {:.2} %)", rates[1] - TOLERANCE),
                _ => "-".to_owned(),
            },
        ]);
    }
    Ok(met)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_numbers_make_most_of_the_sequence() {
        let zipf = Zipf::new(10_000);
        let numbers: Vec<u64> = (0..100_000).map(|n| zipf.number(1, n)).collect();
        assert!(numbers.iter().all(|number| *number < 10_000));
        let share = |below: u64| numbers.iter().filter(|number| **number < below).count() as f64 / 1e5;
        // The first of them has a share of one in the sum of all: 10.2 for ten thousand numbers.
        assert!((0.09..0.11).contains(&share(1)), "{}", share(1));
        assert!((0.73..0.80).contains(&share(1000)), "{}", share(1000));
    }
}
