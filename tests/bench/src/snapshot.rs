//! BGSAVE under writes: does the file hold exactly the dataset of the moment when BGSAVE was executed?
//!
//! Every key's content follows from its number and the seed, so the expected dataset needs no memory: only keys that
//! the writes touched are kept in a map. BGSAVE travels in the middle of a pipeline of writes, and since a server
//! executes one connection's requests in order, the model at that place in the stream is the expected file. The
//! file is loaded into Debian's redis-server and every key is compared: value, type, expiry, and that nothing else
//! is there.

use crate::client::{Client, Reply, encode, key, mix, value};
use crate::memory::launch;
use crate::process::{Kind, Launch, Server, free_port, scratch_folder};
use crate::table::thousands;
use crate::{Options, Result};
use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Longest turn of the actor, microseconds.
const MAX_TURN_US: u64 = 5000;
/// Resident memory at its peak during the save, above what it was before.
const MAX_EXTRA_MEMORY: f64 = 0.05;

/// Millions of keys unless told otherwise.
const KEYS: f64 = 5.0;

/// Writes go out in bursts at this distance.
const BURST: Duration = Duration::from_millis(5);

/// Writing before BGSAVE, so that it finds keys of every history.
const WARM_UP: Duration = Duration::from_secs(1);

/// Elements of a list as loaded.
const LIST_ELEMENTS: u64 = 5;

/// Expiries lie at least this far ahead: none may come due during the run.
const EXPIRY_AHEAD_MS: u64 = 86_400_000;

/// Differences that are printed before only counting.
const SHOWN: usize = 10;

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Text(Vec<u8>),
    Number(i64),
    List(Vec<Vec<u8>>),
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    content: Content,
    /// Milliseconds since 1970.
    expires_at: Option<u64>,
}

/// The dataset: what numbers 0..keys were loaded with, and what became of those that writes touched.
#[derive(Clone)]
struct Model {
    keys: u64,
    seed: u64,
    /// Start of the range of expiries, milliseconds since 1970.
    expiry_base: u64,
    /// None: deleted.
    touched: HashMap<u64, Option<Entry>>,
    /// The next number that was never a key.
    next_new: u64,
}

impl Model {
    fn new(keys: u64, seed: u64) -> Result<Model> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
        Ok(Model { keys, seed, expiry_base: now + EXPIRY_AHEAD_MS, touched: HashMap::new(), next_new: keys })
    }

    fn original(&self, number: u64) -> Entry {
        let random = mix(self.seed ^ mix(number));
        let (content, expires_at) = match number % 20 {
            0 => (Content::Number((random % 1_000_000) as i64), None),
            1 => (Content::List((0..LIST_ELEMENTS).map(|n| value(random ^ n)).collect()), None),
            2 => (Content::Text(value(random)), Some(self.expiry_base + random % EXPIRY_AHEAD_MS)),
            _ => (Content::Text(value(random)), None),
        };
        Entry { content, expires_at }
    }

    fn entry(&self, number: u64) -> Option<Entry> {
        match self.touched.get(&number) {
            Some(entry) => entry.clone(),
            None => (number < self.keys).then(|| self.original(number)),
        }
    }

    fn set(&mut self, number: u64, entry: Option<Entry>) {
        self.touched.insert(number, entry);
    }

    /// How many keys it holds, and how many of them have an expiry.
    fn counts(&self) -> (u64, u64) {
        let untouched_expiring =
            (0..self.keys).filter(|n| n % 20 == 2 && !self.touched.contains_key(n)).count();
        let untouched = self.keys - self.touched.keys().filter(|&&n| n < self.keys).count() as u64;
        let live: Vec<&Entry> = self.touched.values().flatten().collect();
        let expiring = live.iter().filter(|e| e.expires_at.is_some()).count();
        (untouched + live.len() as u64, (untouched_expiring + expiring) as u64)
    }

    /// Picks a write, appends its request and does the same to the model.
    fn write(&mut self, random: &mut Random, out: &mut Vec<u8>) {
        // One in ten is a new key; the others hit any number that is or was a key.
        if random.below(10) == 0 {
            let number = self.next_new;
            self.next_new += 1;
            return self.overwrite(number, random, out);
        }
        let number = random.below(self.next_new);
        let name = key(number);
        let Some(mut entry) = self.entry(number) else { return self.overwrite(number, random, out) };
        match (random.below(10), &mut entry.content) {
            (0 | 1, _) => return self.overwrite(number, random, out),
            (2, _) => {
                encode(out, &[b"DEL", &name]);
                return self.set(number, None);
            }
            (3, _) => {
                let at = self.expiry_base + random.below(EXPIRY_AHEAD_MS);
                encode(out, &[b"PEXPIREAT", &name, at.to_string().as_bytes()]);
                entry.expires_at = Some(at);
            }
            (4, _) => {
                encode(out, &[b"PERSIST", &name]);
                entry.expires_at = None;
            }
            (_, Content::Text(text)) => {
                encode(out, &[b"APPEND", &name, b"+more"]);
                text.extend_from_slice(b"+more");
            }
            (_, Content::Number(number)) => {
                encode(out, &[b"INCR", &name]);
                *number += 1;
            }
            (choice, Content::List(list)) if choice < 8 || list.len() < 2 => {
                let element = value(random.next());
                encode(out, &[b"LPUSH", &name, &element]);
                list.insert(0, element);
            }
            (_, Content::List(list)) => {
                encode(out, &[b"RPOP", &name]);
                list.pop();
            }
        }
        self.set(number, Some(entry));
    }

    fn overwrite(&mut self, number: u64, random: &mut Random, out: &mut Vec<u8>) {
        let text = value(random.next());
        encode(out, &[b"SET", &key(number), &text]);
        self.set(number, Some(Entry { content: Content::Text(text), expires_at: None }));
    }

    /// Appends the request that creates key `number` as loaded.
    fn load(&self, number: u64, out: &mut Vec<u8>) {
        let entry = self.original(number);
        let name = key(number);
        match (&entry.content, entry.expires_at) {
            (Content::Text(text), None) => encode(out, &[b"SET", &name, text]),
            (Content::Text(text), Some(at)) => {
                encode(out, &[b"SET", &name, text, b"PXAT", at.to_string().as_bytes()])
            }
            (Content::Number(n), _) => encode(out, &[b"SET", &name, n.to_string().as_bytes()]),
            (Content::List(list), _) => {
                let mut words: Vec<&[u8]> = vec![b"RPUSH", &name];
                words.extend(list.iter().map(Vec::as_slice));
                encode(out, &words);
            }
        }
    }
}

/// Random numbers from a printed seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What was seen while the save ran.
struct Save {
    took: Duration,
    writes: u64,
    rss_before: u64,
    rss_peak: u64,
    longest_ping: Duration,
    longest_turn_us: Option<u64>,
}

/// Loads, saves under writes, compares. Returns whether file, turn and memory are as they should be.
pub fn run(options: &Options) -> Result<bool> {
    let millions = options.keys.first().copied().unwrap_or(if options.quick { KEYS / 10.0 } else { KEYS });
    let mut model = Model::new((millions * 1e6) as u64, options.seed)?;
    println!(
        "BGSAVE of {} keys at {} writes a second, seed {}",
        thousands(model.keys as f64),
        options.rate,
        options.seed
    );
    let server = launch(Kind::Ochre, options, &[])?;
    server.client()?.load(model.keys, |n, out| model.load(n, out))?;
    let (save, frozen) = save_under_writes(&server, &mut model, options)?;

    let folder = scratch_folder("compare", 0)?;
    fs::copy(server.folder.join("dump.rdb"), folder.join("dump.rdb"))?;
    let file_bytes = fs::metadata(folder.join("dump.rdb"))?.len();
    drop(server);
    let oracle = Server::start_in(Launch::new(Kind::Redis, &options.redis), free_port()?, folder)?;
    let differences = compare(&oracle, &frozen, &model)?;

    let extra = save.rss_peak.saturating_sub(save.rss_before) as f64 / save.rss_before as f64;
    let seconds = save.took.as_secs_f64();
    println!("  save took           {seconds:.2} s, {} MB file", file_bytes / 1_000_000);
    println!("  writes meanwhile    {} ({:.0}/s)", save.writes, save.writes as f64 / seconds);
    println!(
        "  slowest PING        {:.2} ms, asked every millisecond on another connection",
        millis(save.longest_ping)
    );
    let exact = report("file", &format!("{differences} differences"), "0 differences", differences == 0);
    let turn = save.longest_turn_us.map_or("not reported".to_owned(), |t| format!("{t} us"));
    let short =
        report("longest turn", &turn, "< 5000 us", save.longest_turn_us.is_some_and(|t| t < MAX_TURN_US));
    let memory = format!("{:.1} % of {} MB", extra * 100.0, save.rss_before / 1_000_000);
    let small = report("extra memory", &memory, "< 5 %", extra < MAX_EXTRA_MEMORY);
    println!();
    Ok(exact && short && small)
}

fn report(what: &str, found: &str, target: &str, good: bool) -> bool {
    println!("  {what:18}  {found} (target {target}): {}", if good { "PASS" } else { "FAIL" });
    good
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Writes at the asked rate before and during the save; the second value is the model as BGSAVE met it.
fn save_under_writes(server: &Server, model: &mut Model, options: &Options) -> Result<(Save, Model)> {
    let mut writer =
        Writer { client: server.client()?, random: Random(mix(options.seed)), rate: options.rate };
    writer.keep_on(model, |elapsed| Ok(elapsed < WARM_UP))?;
    server.client()?.call(&[b"CONFIG", b"RESETSTAT"])?;
    let rss_before = server.rss()?;

    let stop = AtomicBool::new(false);
    let (peak, slowest) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    let mut control = server.client()?;
    let written = std::thread::scope(|scope| {
        let watchers = scope.spawn(|| watch_memory(server, &stop, &peak));
        let pings = scope.spawn(|| watch_latency(server, &stop, &slowest));
        let written = writer.bgsave(model).and_then(|frozen| {
            let writes = writer.keep_on(model, |_| in_progress(&mut control))?;
            Ok((frozen, writes))
        });
        stop.store(true, Ordering::Relaxed);
        watchers.join().map_err(|_| "the memory watcher panicked")??;
        pings.join().map_err(|_| "the latency watcher panicked")??;
        written
    });
    let (frozen, writes) = written?;
    let took = started.elapsed();
    let status = server.info("rdb_last_bgsave_status")?;
    if status.as_deref() != Some("ok") {
        return Err(format!("the save failed: rdb_last_bgsave_status is {status:?}").into());
    }
    let save = Save {
        took,
        writes,
        rss_before,
        rss_peak: peak.into_inner(),
        longest_ping: Duration::from_nanos(slowest.into_inner()),
        longest_turn_us: server.info("actor_longest_turn_usec")?.and_then(|t| t.parse().ok()),
    };
    Ok((save, frozen))
}

fn in_progress(control: &mut Client) -> Result<bool> {
    let info = control.call(&[b"INFO", b"persistence"])?.text();
    Ok(info.lines().any(|line| line == "rdb_bgsave_in_progress:1"))
}

fn watch_memory(server: &Server, stop: &AtomicBool, peak: &AtomicU64) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        peak.fetch_max(server.rss_quick()?, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn watch_latency(server: &Server, stop: &AtomicBool, slowest: &AtomicU64) -> Result<()> {
    let mut client = server.client()?;
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        client.call(&[b"PING"])?;
        slowest.fetch_max(asked.elapsed().as_nanos() as u64, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// One connection that writes at a steady rate.
struct Writer {
    client: Client,
    random: Random,
    rate: u64,
}

impl Writer {
    fn burst_size(&self) -> u64 {
        (self.rate * BURST.as_millis() as u64 / 1000).max(1)
    }

    /// Writes until `more` says no (asked every 20 bursts). Returns the number of writes.
    fn keep_on(&mut self, model: &mut Model, mut more: impl FnMut(Duration) -> Result<bool>) -> Result<u64> {
        let started = Instant::now();
        let mut requests = Vec::new();
        let mut bursts = 0;
        while bursts % 20 != 0 || more(started.elapsed())? {
            requests.clear();
            for _ in 0..self.burst_size() {
                model.write(&mut self.random, &mut requests);
            }
            self.client.send(&requests)?;
            for _ in 0..self.burst_size() {
                self.client.read()?;
            }
            bursts += 1;
            std::thread::sleep((started + BURST * bursts).saturating_duration_since(Instant::now()));
        }
        Ok(u64::from(bursts) * self.burst_size())
    }

    /// One burst with BGSAVE in its middle. Returns the model at that place.
    fn bgsave(&mut self, model: &mut Model) -> Result<Model> {
        let mut requests = Vec::new();
        for _ in 0..self.burst_size() {
            model.write(&mut self.random, &mut requests);
        }
        let frozen = model.clone();
        encode(&mut requests, &[b"BGSAVE"]);
        for _ in 0..self.burst_size() {
            model.write(&mut self.random, &mut requests);
        }
        self.client.send(&requests)?;
        for _ in 0..2 * self.burst_size() + 1 {
            self.client.read()?;
        }
        Ok(frozen)
    }
}

/// Counts how the oracle's dataset differs from `frozen`; `later` names every key that existed at any time.
fn compare(oracle: &Server, frozen: &Model, later: &Model) -> Result<usize> {
    let mut client = oracle.client()?;
    let mut differences = Differences(0);
    let (keys, expiring) = frozen.counts();
    differences
        .note(client.call(&[b"DBSIZE"])? == Reply::Integer(keys as i64), || format!("DBSIZE is not {keys}"));
    let space = oracle.info("db0")?.unwrap_or_default();
    let found = space.split(',').find_map(|part| part.strip_prefix("expires="));
    differences.note(found == Some(&expiring.to_string()), || format!("{space}, wanted expires={expiring}"));

    client.pipeline(
        later.next_new,
        |n, out| match frozen.entry(n).map(|e| e.content) {
            Some(Content::List(_)) => encode(out, &[b"LRANGE", &key(n), b"0", b"-1"]),
            Some(_) => encode(out, &[b"GET", &key(n)]),
            None => encode(out, &[b"EXISTS", &key(n)]),
        },
        |n, reply| {
            let expected = match frozen.entry(n).map(|e| e.content) {
                Some(Content::Text(text)) => Reply::Bulk(Some(text)),
                Some(Content::Number(number)) => Reply::Bulk(Some(number.to_string().into_bytes())),
                Some(Content::List(list)) => {
                    Reply::Array(list.into_iter().map(|e| Reply::Bulk(Some(e))).collect())
                }
                None => Reply::Integer(0),
            };
            differences.note(reply == expected, || format!("key {n}: {reply} instead of {expected}"));
            Ok(())
        },
    )?;

    // Expiries of every key that may have one; the total above shows that no other has.
    let suspects: Vec<u64> =
        (0..later.next_new).filter(|n| n % 20 == 2 || later.touched.contains_key(n)).collect();
    client.pipeline(
        suspects.len() as u64,
        |at, out| encode(out, &[b"PEXPIRETIME", &key(suspects[at as usize])]),
        |at, reply| {
            let n = suspects[at as usize];
            let expected = match frozen.entry(n) {
                None => -2,
                Some(entry) => entry.expires_at.map_or(-1, |at| at as i64),
            };
            differences.note(reply == Reply::Integer(expected), || {
                format!("expiry of key {n}: {reply} instead of {expected}")
            });
            Ok(())
        },
    )?;
    Ok(differences.0)
}

/// A count that prints its first few.
struct Differences(usize);

impl Differences {
    fn note(&mut self, equal: bool, describe: impl FnOnce() -> String) {
        if !equal {
            self.0 += 1;
            if self.0 <= SHOWN {
                println!("  DIFFERENT: {}", describe());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The model against itself: counts by formula and by looking at every number.
    #[test]
    fn counts_follow_the_writes() -> Result<()> {
        let mut model = Model::new(1000, 7)?;
        let mut random = Random(3);
        let mut requests = Vec::new();
        for _ in 0..5000 {
            model.write(&mut random, &mut requests);
        }
        let entries: Vec<Entry> = (0..model.next_new).filter_map(|n| model.entry(n)).collect();
        let expiring = entries.iter().filter(|e| e.expires_at.is_some()).count();
        assert_eq!(model.counts(), (entries.len() as u64, expiring as u64));
        assert!(model.next_new > 1000 && expiring > 0);
        assert_eq!(requests.iter().filter(|&&b| b == b'*').count(), 5000);
        Ok(())
    }
}
