//! The rows of the speed table: what redis-benchmark sends, at which data, and what it may cost.
//!
//! Rows are ordered by data set, since neighbours share theirs. Redis-benchmark's own tests are used where there is
//! one; the other commands say what it says there: the same names of keys and members, values of the same length.
//! What takes milliseconds goes without a pipeline: eight hundred such requests in flight would wait for longer than
//! redis-benchmark's histogram reaches.

use crate::Options;
use crate::datasets::{self as data, Dataset};
use crate::load::{KEYS, Load, Traffic};

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Workload {
    /// What the filter matches.
    pub name: &'static str,
    traffic: Traffic,
    /// Requests in flight per connection.
    pub pipeline: u32,
    /// Connections.
    pub clients: u32,
    value_bytes: u32,
    /// Random numbers are below this.
    random_below: u64,
    /// Requests per run unless told: a second or two of Redis.
    requests: u64,
    /// Processor time per request may be at most this share of Redis's; None: for information.
    pub max_cpu_ratio: Option<f64>,
    /// What the database holds before each run.
    pub data: &'static Dataset,
}

/// Connections unless the row says otherwise.
pub const CLIENTS: u32 = 50;
/// Requests in flight unless the row says otherwise.
pub const PIPELINE: u32 = 16;
/// Bytes of a value unless the row says otherwise.
pub const VALUE_BYTES: u32 = 32;

const LRANGE_100: &[&str] = &["LRANGE", "mylist", "0", "99"];
const LRANGE_300: &[&str] = &["LRANGE", "mylist", "0", "299"];
const LRANGE_600: &[&str] = &["LRANGE", "mylist", "0", "599"];
const HGET: &[&str] = &["HGET", "myhash", "element:__rand_int__"];
const ZRANGE: &[&str] = &["ZRANGE", "myzset", "0", "99"];
const ZRANGE_BY_SCORE: &[&str] = &["ZRANGE", "myzset", "__rand_int__", "+inf", "BYSCORE", "LIMIT", "0", "10"];
const ZRANK: &[&str] = &["ZRANK", "myzset", "element:__rand_int__"];
const ZUNIONSTORE: &[&str] = &["ZUNIONSTORE", "zset:3", "2", "zset:1", "zset:2"];
const XADD: &[&str] = &["XADD", "mystream", "*", "myfield", "0123456789abcdef0123456789abcdef"];
const EVALSHA: &[&str] = &["EVALSHA", data::INCR_SHA, "1", "counter:__rand_int__"];
const GEOSEARCH: &[&str] =
    &["GEOSEARCH", "mygeo", "FROMMEMBER", "element:__rand_int__", "BYRADIUS", "50", "km"];

/// All of them.
pub const WORKLOADS: &[Workload] = &[
    test("ping", "ping_mbulk", &data::STRINGS).pipeline(1).cpu(0.95),
    test("get", "get", &data::STRINGS).pipeline(1).cpu(0.93),
    test("set", "set", &data::STRINGS).pipeline(1).cpu(0.93),
    test("set-c1000", "set", &data::STRINGS).pipeline(1).clients(1000).cpu(0.93),
    test("get-p16", "get", &data::STRINGS).cpu(0.52),
    test("set-p16", "set", &data::STRINGS).cpu(0.56),
    test("mset-p16", "mset", &data::STRINGS).requests(200_000).cpu(0.36),
    test("get-p100", "get", &data::STRINGS).pipeline(100).requests(4_000_000).cpu(0.38),
    test("incr-p16", "incr", &data::COUNTERS).cpu(0.60),
    command("evalsha-p16", EVALSHA, &data::SCRIPTED_COUNTERS).requests(800_000).cpu(0.80),
    test("get-1k-p16", "get", &data::STRINGS_1K).values(1024).requests(1_000_000).cpu(0.52),
    test("set-1k-p16", "set", &data::STRINGS_1K).values(1024).requests(800_000).cpu(0.50),
    test("lpush-p16", "lpush", &data::NO_LIST).cpu(0.88),
    test("rpush-p16", "rpush", &data::NO_LIST).cpu(0.88),
    test("lpop-p16", "lpop", &data::LONG_LIST).cpu(0.80),
    test("rpop-p16", "rpop", &data::LONG_LIST),
    command("lrange-100-p16", LRANGE_100, &data::LIST).requests(100_000).cpu(0.65),
    command("lrange-300-p16", LRANGE_300, &data::LIST).requests(40_000).cpu(0.80),
    command("lrange-600-p16", LRANGE_600, &data::LIST).requests(20_000).cpu(0.80),
    test("sadd-p16", "sadd", &data::NO_SET).cpu(0.80),
    test("spop-p16", "spop", &data::BIG_SET).requests(1_000_000).cpu(0.80),
    command("smembers-100-p16", &["SMEMBERS", "myset"], &data::SET).requests(100_000).cpu(0.80),
    command("sinter", &["SINTER", "set:1", "set:2"], &data::TWO_SETS).pipeline(1).requests(1_000).cpu(0.80),
    test("hset-p16", "hset", &data::NO_HASH).requests(1_000_000).cpu(0.75),
    command("hget-p16", HGET, &data::BIG_HASH).requests(1_000_000).cpu(0.80),
    command("hgetall-100-p16", &["HGETALL", "myhash"], &data::HASH).requests(50_000).cpu(0.80),
    test("zadd-p16", "zadd", &data::BIG_SORTED_SET).requests(500_000).cpu(0.50),
    command("zrange-100-p16", ZRANGE, &data::BIG_SORTED_SET).requests(100_000).cpu(0.80),
    command("zrange-byscore-10-p16", ZRANGE_BY_SCORE, &data::BIG_SORTED_SET).requests(300_000).cpu(0.80),
    command("zrank-p16", ZRANK, &data::BIG_SORTED_SET).requests(500_000).cpu(0.80),
    test("zpopmin-p16", "zpopmin", &data::POPPED_SORTED_SET).requests(500_000).cpu(0.90),
    command("zunionstore", ZUNIONSTORE, &data::TWO_SORTED_SETS).pipeline(1).requests(200).cpu(0.80),
    command("xadd-p16", XADD, &data::NO_STREAM).requests(800_000).cpu(0.80),
    command("xrange-100-p16", &["XRANGE", "mystream", "-", "+"], &data::STREAM).requests(40_000).cpu(0.80),
    command("bitcount-1m-p16", &["BITCOUNT", "mybitmap"], &data::BITMAP).requests(5_000).cpu(0.80),
    command("pfadd-p16", &["PFADD", "myhll", "element:__rand_int__"], &data::NO_LOG).cpu(0.80),
    command("geosearch-p16", GEOSEARCH, &data::GEO).random_below(data::PLACES).requests(20_000).cpu(0.80),
];

/// A row that sends one of redis-benchmark's own tests.
const fn test(name: &'static str, test: &'static str, data: &'static Dataset) -> Workload {
    row(name, Traffic::Test(test), data)
}

/// A row that sends a command of ours.
const fn command(name: &'static str, words: &'static [&'static str], data: &'static Dataset) -> Workload {
    row(name, Traffic::Command(words), data)
}

const fn row(name: &'static str, traffic: Traffic, data: &'static Dataset) -> Workload {
    Workload {
        name,
        traffic,
        pipeline: PIPELINE,
        clients: CLIENTS,
        value_bytes: VALUE_BYTES,
        random_below: KEYS,
        requests: 1_500_000,
        max_cpu_ratio: None,
        data,
    }
}

impl Workload {
    /// Without a pipeline a run has fewer requests as well.
    const fn pipeline(mut self, pipeline: u32) -> Workload {
        self.pipeline = pipeline;
        if pipeline == 1 {
            self.requests = 300_000;
        }
        self
    }

    const fn clients(mut self, clients: u32) -> Workload {
        self.clients = clients;
        self
    }

    const fn values(mut self, bytes: u32) -> Workload {
        self.value_bytes = bytes;
        self
    }

    const fn random_below(mut self, limit: u64) -> Workload {
        self.random_below = limit;
        self
    }

    const fn requests(mut self, requests: u64) -> Workload {
        self.requests = requests;
        self
    }

    const fn cpu(mut self, ratio: f64) -> Workload {
        self.max_cpu_ratio = Some(ratio);
        self
    }

    /// One run of redis-benchmark from this core.
    pub fn load(&self, options: &Options, core: Option<usize>) -> Load {
        let requests = if options.quick { self.requests / 6 } else { self.requests };
        Load {
            traffic: self.traffic,
            pipeline: self.pipeline,
            requests: options.requests.unwrap_or(requests),
            clients: self.clients,
            value_bytes: self.value_bytes,
            random_below: self.random_below,
            core,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (at, workload) in WORKLOADS.iter().enumerate() {
            assert!(WORKLOADS[..at].iter().all(|w| w.name != workload.name), "{}", workload.name);
        }
    }

    #[test]
    fn names_tell_the_pipeline() {
        for w in WORKLOADS {
            let told = w.name.rsplit_once("-p").map_or("1", |(_, pipeline)| pipeline);
            assert_eq!(w.pipeline.to_string(), told, "{}", w.name);
        }
    }

    #[test]
    fn rows_with_the_same_data_are_neighbours() {
        let mut names: Vec<_> = WORKLOADS.iter().map(|w| w.data.name).collect();
        names.dedup();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{name} would be filled twice");
        }
    }

    #[test]
    fn a_run_is_a_sixth_when_quick_and_any_length_when_told() -> crate::Result<()> {
        let row = &WORKLOADS[0];
        let requests = |words: &[&str]| -> crate::Result<u64> {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            Ok(row.load(&Options::parse(&words)?, None).requests)
        };
        assert_eq!(requests(&[])?, row.requests);
        assert_eq!(requests(&["--quick"])?, row.requests / 6);
        assert_eq!(requests(&["--quick", "--requests", "7"])?, 7);
        Ok(())
    }
}
