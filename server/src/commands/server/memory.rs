//! MEMORY.

use super::doc;
use crate::context::Cx;
use crate::memory;
use crate::server::{Ochre, Server};
use common::command::{
    Access, Args, Arity, Command, CommandError, CommandResult, Flags, Handler, KeySpec, Outcome, write_help,
};
use common::resp::Reply;
use store::DbIndex;

const REPORT: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// Below this DOCTOR has nothing to say, bytes.
const LITTLE: u64 = 5 << 20;
/// Above these DOCTOR warns: peak to present, resident to present, fragmentation within the allocator, pages of the
/// allocator and of the process to what is in use of them.
const HIGH_PEAK: f64 = 1.5;
const HIGH_TOTAL: f64 = 1.4;
const HIGH_FRAGMENTATION: f64 = 1.1;
const HIGH_RSS: f64 = 1.1;
/// Fragmentation below so many bytes is no trouble, whatever the ratio.
const TOLERABLE: u64 = 10 << 20;
/// Average output per client above which DOCTOR warns, bytes.
const BIG_OUTPUT: u64 = 200 << 10;
/// Output for all replicas above which it does, bytes.
const BIG_REPLICAS: u64 = 10 << 20;
/// Cached scripts above which it does.
const MANY_SCRIPTS: u64 = 1000;

/// Subcommands of MEMORY.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("doctor", Arity::Exactly(2), Flags::NONE, REPORT, "", "Reports on memory in words.", doctor),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], "", "Lists the subcommands of MEMORY.", help),
    sub("malloc-stats", Arity::Exactly(2), Flags::NONE, REPORT, "", "Prints what the allocator counts.", malloc_stats),
    sub("purge", Arity::Exactly(2), Flags::NONE, &["request_policy:all_shards", "response_policy:all_succeeded"], "", "Makes the allocator give unused pages back.", purge),
    sub("stats", Arity::Exactly(2), Flags::NONE, REPORT, "", "Tells where memory goes.", stats),
    Command {
        keys: &[KeySpec::one(2, Access::Meta)],
        ..sub("usage", Arity::AtLeast(3), Flags::READONLY, &[], "key [SAMPLES count]", "Tells the bytes that a key and its value take.", usage)
    },
];

const fn sub(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    tips: &'static [&'static str],
    syntax: &'static str,
    summary: &'static str,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    let doc = doc("server", "4.0.0", "O(N), N nodes of a value, or O(1)", syntax, summary);
    Command { name, arity, flags, acl: &[], keys: &[], tips, doc, subcommands: &[], run }
}

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "MEMORY", LINES);
    Ok(Outcome::Done)
}

/// Exact whatever SAMPLES says: a value knows the size of its nodes.
fn usage(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let key = cx.key(args.next());
    while args.left() > 0 {
        if args.left() < 2 || !args.take("SAMPLES") {
            return Err(CommandError::Syntax);
        }
        if args.integer()? < 0 {
            return Err(CommandError::Syntax);
        }
    }
    // A key past its expiry takes memory, too; and asking is no use of a key.
    match cx.server.keyspace.db(cx.db).get(key.hash, key.bytes).map(|entry| entry.memory_usage()) {
        Some(bytes) => cx.reply.integer(bytes as i64),
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn malloc_stats(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.reply.verbatim(&memory::report());
    Ok(Outcome::Done)
}

fn purge(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    if !crate::sys::purge_memory() {
        return Err("ERR Error purging dirty pages".into());
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// Where memory goes, bytes.
struct Shares {
    used: u64,
    peak: u64,
    startup: u64,
    backlog: u64,
    replicas: u64,
    clients: u64,
    /// Cached scripts and their machine.
    scripts: u64,
    /// Libraries of functions and their machine.
    functions: u64,
    resident: u64,
    /// Of each database that has keys.
    tables: Vec<(usize, u64)>,
    keys: u64,
    allocator: memory::Allocator,
}

impl Shares {
    fn of(server: &mut Server) -> Self {
        let allocator = memory::allocator();
        let used = allocator.allocated;
        server.stats.peak_memory = server.stats.peak_memory.max(used);
        let (mut clients, mut replicas) = (0, 0);
        for client in server.clients.iter() {
            let query = client.link().map_or(0, |link| link.query_buffer().0) as u64;
            let share = if client.ext.replica.is_some() { &mut replicas } else { &mut clients };
            *share += query + client.unsent() as u64;
        }
        let dbs = (0..server.keyspace.count()).map(|index| (index, server.keyspace.db(DbIndex(index))));
        let dbs: Vec<_> = dbs.filter(|(_, db)| !db.is_empty()).collect();
        Self {
            used,
            peak: server.stats.peak_memory,
            startup: server.lifecycle.startup_bytes,
            backlog: if server.replication.is_active() { server.config.repl_backlog_size } else { 0 },
            replicas,
            clients,
            scripts: server.scripts.cache.memory_bytes() + server.scripts.vm_bytes,
            functions: server.scripts.functions.memory_bytes() + server.scripts.functions_vm_bytes,
            resident: crate::process::resident_bytes(),
            tables: dbs.iter().map(|(index, db)| (*index, db.table_bytes() as u64)).collect(),
            keys: dbs.iter().map(|(_, db)| db.len() as u64).sum(),
            allocator,
        }
    }

    fn overhead(&self) -> u64 {
        let tables: u64 = self.tables.iter().map(|(_, bytes)| bytes).sum();
        self.startup + self.backlog + self.replicas + self.clients + self.scripts + self.functions + tables
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn stats(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let shares = Shares::of(cx.server);
    let reply = &mut cx.reply;
    let integer = |reply: &mut Reply, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    let difference = |reply: &mut Reply, name: &str, value: u64, other: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64 - other as i64);
    };
    let double = |reply: &mut Reply, name: &str, value: f64| {
        reply.bulk(name.as_bytes());
        reply.double(value);
    };
    let overhead = shares.overhead();
    let dataset = shares.used.saturating_sub(overhead);
    let net = shares.used.saturating_sub(shares.startup);
    let memory::Allocator { allocated, active, resident } = shares.allocator;
    reply.map(27 + shares.tables.len());
    integer(reply, "peak.allocated", shares.peak);
    integer(reply, "total.allocated", shares.used);
    integer(reply, "startup.allocated", shares.startup);
    integer(reply, "replication.backlog", shares.backlog);
    integer(reply, "clients.slaves", shares.replicas);
    integer(reply, "clients.normal", shares.clients);
    integer(reply, "cluster.links", 0);
    integer(reply, "aof.buffer", 0);
    integer(reply, "lua.caches", shares.scripts);
    integer(reply, "functions.caches", shares.functions);
    for (index, bytes) in &shares.tables {
        reply.bulk(format!("db.{index}").as_bytes());
        reply.map(3);
        integer(reply, "overhead.hashtable.main", *bytes);
        integer(reply, "overhead.hashtable.expires", 0);
        integer(reply, "overhead.hashtable.slot-to-keys", 0);
    }
    integer(reply, "overhead.total", overhead);
    integer(reply, "keys.count", shares.keys);
    integer(reply, "keys.bytes-per-key", net.checked_div(shares.keys).unwrap_or(0));
    integer(reply, "dataset.bytes", dataset);
    double(reply, "dataset.percentage", 100.0 * ratio(dataset, net));
    double(reply, "peak.percentage", 100.0 * ratio(shares.used, shares.peak));
    integer(reply, "allocator.allocated", allocated);
    integer(reply, "allocator.active", active);
    integer(reply, "allocator.resident", resident);
    double(reply, "allocator-fragmentation.ratio", ratio(active, allocated));
    difference(reply, "allocator-fragmentation.bytes", active, allocated);
    double(reply, "allocator-rss.ratio", ratio(resident, active));
    difference(reply, "allocator-rss.bytes", resident, active);
    double(reply, "rss-overhead.ratio", ratio(shares.resident, resident));
    difference(reply, "rss-overhead.bytes", shares.resident, resident);
    double(reply, "fragmentation", ratio(shares.resident, shares.used));
    difference(reply, "fragmentation.bytes", shares.resident, shares.used);
    Ok(Outcome::Done)
}

/// What Redis says, word for word.
mod words {
    pub(super) const NOTHING: &str = "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n";
    pub(super) const EMPTY: &str = "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be back to our programming as soon as I finished rebooting.\n";
    pub(super) const HEAD: &str = "Sam, I detected a few issues in this Redis instance memory implants:\n\n";
    pub(super) const PEAK: &str = " * Peak memory: In the past this instance used more than 150% the memory that is currently using. The allocator is normally not able to release memory after a peak, so you can expect to see a big fragmentation ratio, however this is actually harmless and is only due to the memory peak, and if the Redis instance Resident Set Size (RSS) is currently bigger than expected, the memory will be used as soon as you fill the Redis instance with more data. If the memory peak was only occasional and you want to try to reclaim memory, please try the MEMORY PURGE command, otherwise the only other option is to shutdown and restart the instance.\n\n";
    pub(super) const TOTAL_RSS: &str = " * High total RSS: This instance has a memory fragmentation and RSS overhead greater than 1.4 (this means that the Resident Set Size of the Redis process is much larger than the sum of the logical allocations Redis performed). This problem is usually due either to a large peak memory (check if there is a peak memory entry above in the report) or may result from a workload that causes the allocator to fragment memory a lot. If the problem is a large peak memory, then there is no issue. Otherwise, make sure you are using the Jemalloc allocator and not the default libc malloc. Note: The currently used allocator is \"jemalloc-5.3.1\".\n\n";
    pub(super) const FRAGMENTATION: &str = " * High allocator fragmentation: This instance has an allocator external fragmentation greater than 1.1. This problem is usually due either to a large peak memory (check if there is a peak memory entry above in the report) or may result from a workload that causes the allocator to fragment memory a lot. You can try enabling 'activedefrag' config option.\n\n";
    pub(super) const ALLOCATOR_RSS: &str = " * High allocator RSS overhead: This instance has an RSS memory overhead is greater than 1.1 (this means that the Resident Set Size of the allocator is much larger than the sum what the allocator actually holds). This problem is usually due to a large peak memory (check if there is a peak memory entry above in the report), you can try the MEMORY PURGE command to reclaim it.\n\n";
    pub(super) const PROCESS_RSS: &str = " * High process RSS overhead: This instance has non-allocator RSS memory overhead is greater than 1.1 (this means that the Resident Set Size of the Redis process is much larger than the RSS the allocator holds). This problem may be due to Lua scripts or Modules.\n\n";
    pub(super) const REPLICAS: &str = " * Big replica buffers: The replica output buffers in this instance are greater than 10MB for each replica (on average). This likely means that there is some replica instance that is struggling receiving data, either because it is too slow or because of networking issues. As a result, data piles on the master output buffers. Please try to identify what replica is not receiving data correctly and why. You can use the INFO output in order to check the replicas delays and the CLIENT LIST command to check the output buffers of each replica.\n\n";
    pub(super) const CLIENTS: &str = " * Big client buffers: The clients output buffers in this instance are greater than 200K per client (on average). This may result from different causes, like Pub/Sub clients subscribed to channels bot not receiving data fast enough, so that data piles on the Redis instance output buffer, or clients sending commands with large replies or very large sequences of commands in the same pipeline. Please use the CLIENT LIST command in order to investigate the issue if it causes problems in your instance, or to understand better why certain clients are using a big amount of memory.\n\n";
    pub(super) const SCRIPTS: &str = " * Many scripts: There seem to be many cached scripts in this instance (more than 1000). This may be because scripts are generated and `EVAL`ed, instead of being parameterized (with KEYS and ARGV), `SCRIPT LOAD`ed and `EVALSHA`ed. Unless `SCRIPT FLUSH` is called periodically, the scripts' caches may end up consuming most of your memory.\n\n";
    pub(super) const END: &str = "I'm here to keep you safe, Sam. I want to help you.\n";
}

fn doctor(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let shares = Shares::of(cx.server);
    let replicas = cx.server.replication.replica_count() as u64;
    let counts = Counts {
        clients: (cx.server.clients.len() as u64).saturating_sub(replicas),
        scripts: cx.server.scripts.cache.count() as u64,
    };
    cx.reply.verbatim(diagnosis(&shares, counts).as_bytes());
    Ok(Outcome::Done)
}

/// How many there are of what takes memory.
#[derive(Clone, Copy)]
struct Counts {
    clients: u64,
    scripts: u64,
}

fn diagnosis(shares: &Shares, counts: Counts) -> String {
    if shares.used < LITTLE {
        return words::EMPTY.to_owned();
    }
    let memory::Allocator { allocated, active, resident } = shares.allocator;
    let exceeds =
        |large: u64, small: u64, limit: f64| ratio(large, small) > limit && large - small > TOLERABLE;
    let findings = [
        (ratio(shares.peak, shares.used) > HIGH_PEAK, words::PEAK),
        (exceeds(shares.resident, shares.used, HIGH_TOTAL), words::TOTAL_RSS),
        (exceeds(active, allocated, HIGH_FRAGMENTATION), words::FRAGMENTATION),
        (exceeds(resident, active, HIGH_RSS), words::ALLOCATOR_RSS),
        (exceeds(shares.resident, resident, HIGH_RSS), words::PROCESS_RSS),
        (shares.replicas > BIG_REPLICAS, words::REPLICAS),
        (shares.clients / counts.clients.max(1) > BIG_OUTPUT, words::CLIENTS),
        (counts.scripts > MANY_SCRIPTS, words::SCRIPTS),
    ];
    let list: String = findings.iter().filter(|(holds, _)| *holds).map(|(_, words)| *words).collect();
    if list.is_empty() { words::NOTHING.to_owned() } else { [words::HEAD, &list, words::END].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    /// What is well in a server that uses 100 MB.
    fn well() -> (Shares, Counts) {
        let allocator = memory::Allocator { allocated: 100 * MB, active: 101 * MB, resident: 102 * MB };
        let shares = Shares {
            used: 100 * MB,
            peak: 110 * MB,
            startup: MB,
            backlog: 0,
            replicas: 0,
            clients: 0,
            scripts: 0,
            functions: 0,
            resident: 103 * MB,
            tables: Vec::new(),
            keys: 0,
            allocator,
        };
        (shares, Counts { clients: 2, scripts: 3 })
    }

    #[test]
    fn the_doctor_finds_what_is_wrong() {
        let check = |change: fn(&mut Shares, &mut Counts), expected: &[&str]| {
            let (mut shares, mut counts) = well();
            change(&mut shares, &mut counts);
            let found = diagnosis(&shares, counts);
            let list = expected.concat();
            let wanted = if list.is_empty() {
                words::NOTHING.to_owned()
            } else {
                words::HEAD.to_owned() + &list + words::END
            };
            assert_eq!(found, wanted);
        };
        check(|_, _| {}, &[]);
        check(|shares, _| shares.peak = 151 * MB, &[words::PEAK]);
        check(|shares, _| shares.allocator.active = 150 * MB, &[words::FRAGMENTATION]);
        check(|shares, _| shares.resident = 141 * MB, &[words::TOTAL_RSS, words::PROCESS_RSS]);
        check(|shares, _| shares.allocator.resident = 120 * MB, &[words::ALLOCATOR_RSS]);
        check(|shares, _| shares.replicas = 11 * MB, &[words::REPLICAS]);
        check(|shares, _| shares.clients = MB, &[words::CLIENTS]);
        check(|_, counts| counts.scripts = 1001, &[words::SCRIPTS]);
        let (mut shares, counts) = well();
        shares.used = MB;
        assert_eq!(diagnosis(&shares, counts), words::EMPTY);
    }
}
