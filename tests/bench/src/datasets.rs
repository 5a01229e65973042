//! What a database holds when a run of redis-benchmark begins.
//!
//! A database holds one data set at a time: the next one begins with an empty database, so that no row pays for what
//! the rows before it needed. Neighbouring workloads that name the same set share it. Runs of a *lasting* set leave it
//! as it was in every way that costs time; what pushes and pops change is made anew for each run.

use crate::Result;
use crate::client::{Client, encode, key, mix, value};
use crate::load::KEYS;
use crate::process::{Kind, Server};
use std::time::{Duration, Instant};

/// Keys and how they come about.
pub struct Dataset {
    /// Tells data sets apart.
    pub name: &'static str,
    /// The key that runs grow or use up, deleted and filled again before each; None when the set is lasting.
    pub spent: Option<&'static str>,
    /// Fills an empty database for a run of so many requests.
    pub fill: fn(&mut Client, u64) -> Result<()>,
}

/// Members of each of the two sets that are combined.
const COMBINED: u64 = 10_000;

/// Points of the geographical index.
pub const PLACES: u64 = 10_000;

/// Elements of the list that is read: as many as the longest range.
const LIST_LENGTH: u64 = 600;

/// Members, fields or entries of what is read as a whole.
const SMALL: u64 = 100;

/// Bytes of the bitmap.
const BITMAP_BYTES: usize = 1 << 20;

/// Items added by one request: enough to load quickly, below a read of the server's.
const BATCH: u64 = 50;

/// How long a server may take to free in the background what a run left.
const FREE_LIMIT: Duration = Duration::from_secs(60);

/// Keys of redis-benchmark with 32-byte values.
pub const STRINGS: Dataset =
    lasting("strings", |client, _| client.load(KEYS, |n, out| encode(out, &[b"SET", &key(n), &value(n)])));

/// The same with values of 1,024 bytes.
pub const STRINGS_1K: Dataset = lasting("strings-1k", |client, _| {
    client.load(KEYS, |n, out| encode(out, &[b"SET", &key(n), &value(n).repeat(32)]))
});

/// As many counters of redis-benchmark.
pub const COUNTERS: Dataset = lasting("counters", |client, _| {
    client.load(KEYS, |n, out| encode(out, &[b"SET", format!("counter:{n:012}").as_bytes(), b"0"]))
});

/// What [`INCR_SHA`] names.
const INCR_SCRIPT: &str = "return redis.call('incr',KEYS[1])";

/// The digest of a script that increments a counter.
pub const INCR_SHA: &str = "6f5ade10a69975e903c6d07b10ea44c6382381a5";

/// The counters, and a script for them.
pub const SCRIPTED_COUNTERS: Dataset = lasting("scripted-counters", |client, requests| {
    let sha = client.call(&[b"SCRIPT", b"LOAD", INCR_SCRIPT.as_bytes()])?.text();
    if sha != INCR_SHA {
        return Err(format!("the script has the digest {sha}").into());
    }
    (COUNTERS.fill)(client, requests)
});

/// A list that pushes make.
pub const NO_LIST: Dataset = spent("no-list", "mylist", |_, _| Ok(()));

/// A list of exactly as many elements as there are pops.
pub const LONG_LIST: Dataset = spent("long-list", "mylist", |client, requests| {
    grow(client, &["RPUSH", "mylist"], requests, |n| [value(n)])
});

/// A list to read ranges of.
pub const LIST: Dataset =
    lasting("list", |client, _| grow(client, &["RPUSH", "mylist"], LIST_LENGTH, |n| [value(n)]));

/// A set that additions make.
pub const NO_SET: Dataset = spent("no-set", "myset", |_, _| Ok(()));

/// A set that is still half full after the last pop.
pub const BIG_SET: Dataset = spent("big-set", "myset", |client, requests| {
    grow(client, &["SADD", "myset"], 2 * requests, |n| [element(n)])
});

/// A set that is read as a whole.
pub const SET: Dataset =
    lasting("set", |client, _| grow(client, &["SADD", "myset"], SMALL, |n| [element(n)]));

/// Two sets that have half of their members in common.
pub const TWO_SETS: Dataset = lasting("two-sets", |client, _| {
    grow(client, &["SADD", "set:1"], COMBINED, |n| [element(n)])?;
    grow(client, &["SADD", "set:2"], COMBINED, |n| [element(n + COMBINED / 2)])
});

/// A hash that HSETs make.
pub const NO_HASH: Dataset = spent("no-hash", "myhash", |_, _| Ok(()));

/// A hash of a million fields.
pub const BIG_HASH: Dataset =
    lasting("big-hash", |client, _| grow(client, &["HSET", "myhash"], KEYS, |n| [element(n), value(n)]));

/// A hash that is read as a whole.
pub const HASH: Dataset =
    lasting("hash", |client, _| grow(client, &["HSET", "myhash"], SMALL, |n| [element(n), value(n)]));

/// A sorted set of a million members; a ZADD changes scores only.
pub const BIG_SORTED_SET: Dataset = lasting("big-sorted-set", |client, _| {
    grow(client, &["ZADD", "myzset"], KEYS, |n| [score(n), element(n)])
});

/// A sorted set that is still half full after the last pop.
pub const POPPED_SORTED_SET: Dataset = spent("popped-sorted-set", "myzset", |client, requests| {
    grow(client, &["ZADD", "myzset"], 2 * requests, |n| [score(n), element(n)])
});

/// Two sorted sets that have half of their members in common.
pub const TWO_SORTED_SETS: Dataset = lasting("two-sorted-sets", |client, _| {
    grow(client, &["ZADD", "zset:1"], COMBINED, |n| [score(n), element(n)])?;
    grow(client, &["ZADD", "zset:2"], COMBINED, |n| [score(!n), element(n + COMBINED / 2)])
});

/// A stream that XADDs make.
pub const NO_STREAM: Dataset = spent("no-stream", "mystream", |_, _| Ok(()));

/// A stream that is read as a whole.
pub const STREAM: Dataset = lasting("stream", |client, _| {
    client.load(SMALL, |n, out| encode(out, &[b"XADD", b"mystream", b"*", b"myfield", &value(n)]))
});

/// A bitmap with every second bit set, in no order.
pub const BITMAP: Dataset = lasting("bitmap", |client, _| {
    let bytes: Vec<u8> = (0..BITMAP_BYTES as u64 / 8).flat_map(|n| mix(n).to_le_bytes()).collect();
    client.call(&[b"SET", b"mybitmap", &bytes]).map(drop)
});

/// A HyperLogLog that PFADDs make.
pub const NO_LOG: Dataset = spent("no-log", "myhll", |_, _| Ok(()));

/// Points strewn over ten degrees by ten: some ninety within 50 km of each.
pub const GEO: Dataset = lasting("geo", |client, _| {
    let degrees = |seed: u64| (mix(seed) % 1_000_000) as f64 / 100_000.0;
    grow(client, &["GEOADD", "mygeo"], PLACES, |n| {
        let (longitude, latitude) = (10.0 + degrees(n), 40.0 + degrees(!n));
        [longitude.to_string().into_bytes(), latitude.to_string().into_bytes(), element(n)]
    })
});

const fn lasting(name: &'static str, fill: fn(&mut Client, u64) -> Result<()>) -> Dataset {
    Dataset { name, spent: None, fill }
}

const fn spent(name: &'static str, key: &'static str, fill: fn(&mut Client, u64) -> Result<()>) -> Dataset {
    Dataset { name, spent: Some(key), fill }
}

/// Members and fields as redis-benchmark names them.
fn element(number: u64) -> Vec<u8> {
    format!("element:{number:012}").into_bytes()
}

/// A score such as redis-benchmark sends.
fn score(seed: u64) -> Vec<u8> {
    format!("{:012}", mix(seed) % KEYS).into_bytes()
}

/// Adds `count` items to one key, many to a request; `item` makes the words of one.
fn grow<const WORDS: usize>(
    client: &mut Client,
    command: &[&str],
    count: u64,
    item: impl Fn(u64) -> [Vec<u8>; WORDS],
) -> Result<()> {
    client.load(count.div_ceil(BATCH), |batch, out| {
        let items = batch * BATCH..count.min((batch + 1) * BATCH);
        let words: Vec<Vec<u8>> = items.flat_map(&item).collect();
        let request: Vec<&[u8]> =
            command.iter().map(|w| w.as_bytes()).chain(words.iter().map(Vec::as_slice)).collect();
        encode(out, &request);
    })
}

/// A server, and the data set that its database holds.
pub struct Stand {
    /// The server.
    pub server: Server,
    holds: Option<&'static str>,
}

impl Stand {
    /// One with an empty database.
    pub fn new(server: Server) -> Stand {
        Stand { server, holds: None }
    }

    /// Makes the database ready for a run of so many requests.
    pub fn prepare(&mut self, data: &'static Dataset, requests: u64) -> Result<()> {
        let held = self.holds == Some(data.name);
        if self.server.kind == Kind::Floor || (held && data.spent.is_none()) {
            return Ok(());
        }
        let mut client = self.server.client()?;
        match data.spent {
            // The allocator keeps the pages: the next run is not to pay for getting them once more.
            Some(key) if held => self.call_and_wait(&mut client, &[b"DEL", key.as_bytes()])?,
            _ => {
                self.holds = None;
                self.call_and_wait(&mut client, &[b"FLUSHALL", b"SYNC"])?;
                // Else its threads give pages back during the next run, which would count as that run's time.
                client.call(&[b"MEMORY", b"PURGE"])?;
            }
        }
        (data.fill)(&mut client, requests)?;
        self.holds = Some(data.name);
        Ok(())
    }

    /// Calls, and waits until nothing is being freed in the background.
    fn call_and_wait(&self, client: &mut Client, words: &[&[u8]]) -> Result<()> {
        client.call(words)?;
        let start = Instant::now();
        while self.server.info("lazyfree_pending_objects")?.is_some_and(|pending| pending != "0") {
            if start.elapsed() > FREE_LIMIT {
                return Err("the server does not come to an end with freeing".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
