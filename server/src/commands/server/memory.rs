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
/// Above these DOCTOR warns: peak to present, fragmentation within the allocator, resident to allocated.
const HIGH_PEAK: f64 = 1.5;
const HIGH_FRAGMENTATION: f64 = 1.1;
const HIGH_RSS: f64 = 1.4;
/// Fragmentation below so many bytes is no trouble, whatever the ratio.
const TOLERABLE: u64 = 10 << 20;
/// Average output per client above which DOCTOR warns, bytes.
const BIG_OUTPUT: u64 = 200 << 10;

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

fn doctor(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let shares = Shares::of(cx.server);
    let clients = cx.server.clients.len() as u64;
    cx.reply.verbatim(diagnosis(&shares, clients).as_bytes());
    Ok(Outcome::Done)
}

fn diagnosis(shares: &Shares, clients: u64) -> String {
    if shares.used < LITTLE {
        return "This instance is empty or uses very little memory: there is nothing to diagnose yet.\n"
            .to_owned();
    }
    let memory::Allocator { allocated, active, resident } = shares.allocator;
    let exceeds =
        |large: u64, small: u64, limit: f64| ratio(large, small) > limit && large - small > TOLERABLE;
    let mut findings = Vec::new();
    if ratio(shares.peak, shares.used) > HIGH_PEAK {
        findings.push(
            "Peak memory: in the past this instance used more than 150 % of what it uses now. The allocator may keep pages \
             from then, so that resident memory looks large; later data will reuse them.",
        );
    }
    if exceeds(active, allocated, HIGH_FRAGMENTATION) {
        findings.push(
            "Fragmentation: the allocator's pages hold much free space between values in use, as after many deletions or \
             changes of size.",
        );
    }
    if exceeds(resident, active, HIGH_RSS) {
        findings.push(
            "Retained pages: the allocator keeps pages that it does not use. MEMORY PURGE makes it give them back.",
        );
    }
    if exceeds(shares.resident, resident, HIGH_RSS) {
        findings.push("Process overhead: much of the process's memory does not come from the allocator.");
    }
    if shares.clients / clients.max(1) > BIG_OUTPUT {
        findings.push("Client buffers: on average they exceed 200 KB. CLIENT LIST shows whose output is not being read.");
    }
    if findings.is_empty() {
        return "No memory problem was found in this instance.\n".to_owned();
    }
    let list: String = findings.iter().map(|finding| format!(" * {finding}\n\n")).collect();
    format!("Memory problems were found in this instance:\n\n{list}")
}
