//! DEBUG, as far as tests and operators use it.

use super::{buffers, digest, inspect, restart};
use crate::config::rewrite::Extent;
use crate::context::Cx;
use crate::replication::Propagate;
use crate::server::{Key, Server};
use crate::session::Session;
use common::command::{Args, CommandError, CommandResult, Outcome, write_help};
use common::number::{parse_f64, parse_i64};
use common::resp::Resp;
use std::ffi::CString;
use std::time::Duration;
use store::{Expire, List, NewValue, NodeView, Object, Value};

/// Keys that one POPULATE adds at most.
const POPULATE_MOST: i64 = 1 << 32;

pub(super) fn debug(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let subcommand = args.next().to_ascii_lowercase();
    cx.propagate = Propagate::Nothing;
    match (subcommand.as_slice(), args.left()) {
        (b"help", 0) => help(cx),
        (b"digest", 0) => digest::digest(cx),
        (b"digest-value", 1..) => digest::digest_value(cx, args),
        (b"assert", 0) => {
            assert_eq!(1, 2, "called by DEBUG ASSERT");
            Ok(Outcome::Done)
        }
        (b"change-repl-id", 0) => {
            tracing::warn!("Changing replication IDs after receiving DEBUG change-repl-id");
            cx.server.replication.change_id();
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"error", 1) => {
            // A reply like any other: no failure is counted.
            cx.reply.error(args.next());
            Ok(Outcome::Done)
        }
        (b"client-eviction", 0) => buffers::eviction(cx),
        (b"replybuffer", 2) => buffers::reply_buffers(cx, args),
        (b"restart", _) => restart::restart(cx, args, true),
        (b"crash-and-recover", _) => restart::restart(cx, args, false),
        (b"htstats", 1) => table_stats(cx, args),
        (b"htstats-key", 1) => inspect::table_stats(cx, args),
        (b"listpack", 1) => inspect::listpack(cx, args),
        (b"quicklist", 1..=2) => inspect::quicklist(cx, args),
        (b"sdslen", 1) => inspect::sds_len(cx, args),
        (b"set-skip-checksum-validation", 1) => {
            cx.server.verifies_checksums = parse_i64(args.next()).is_none_or(|on| on == 0);
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"sleep", 1) => sleep(cx, args),
        (b"populate", 1..=3) => populate(cx, args),
        (b"object", 1..=2) => object(cx, args),
        (b"set-active-expire", 1) => {
            cx.server.active_expire = args.next() == b"1";
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"set-disable-deny-scripts", 1) => {
            cx.server.scripts.allows_denied = parse_i64(args.next()).is_some_and(|on| on != 0);
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"pause-cron", 1) => {
            cx.server.lifecycle.is_paused = parse_i64(args.next()).is_some_and(|on| on != 0);
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"leak", 1) => {
            Box::leak(args.next().to_vec().into_boxed_slice());
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"oom", 0) => {
            // More than any machine has: the allocator's refusal ends the process.
            drop(Vec::<u8>::with_capacity(isize::MAX as usize));
            Ok(Outcome::Done)
        }
        (b"replicate", 1..) => {
            let words: Vec<&[u8]> = args.rest().collect();
            cx.propagate_as(&words);
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"stringmatch-test", 0) => match_at_random(cx),
        (b"structsize", 0) => struct_sizes(cx),
        (b"mallctl", 1) => allocator_number(cx, args),
        (b"mallctl-str", 2) => allocator_action(cx, args),
        (b"quicklist-packed-threshold", 1) => packed_threshold(cx, args),
        (b"protocol", 1) => protocol(cx, args),
        (b"log", 1) => {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.next()));
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        (b"config-rewrite-force-all", 0) => super::config::write_config(cx, Extent::Everything),
        (b"reload", _) => reload(cx, args),
        (b"panic", 0) => panic!("called by DEBUG PANIC"),
        (b"segfault", 0) => {
            crate::sys::raise_signal(crate::sys::SIGSEGV);
            // Without reports the first one meets the runtime's guard against overflows of the stack, which takes itself
            // away and waits for the same fault again.
            crate::sys::raise_signal(crate::sys::SIGSEGV);
            Ok(Outcome::Done)
        }
        _ => Err(CommandError::quoting(
            "ERR unknown subcommand or wrong number of arguments for '",
            args.get(1),
            "'. Try DEBUG HELP.",
        )),
    }
}

fn control_name(name: &[u8]) -> Result<CString, CommandError> {
    CString::new(name).map_err(|_| CommandError::Text("ERR No such file or directory"))
}

/// The system's words for an error, without its number.
fn system_error(error: &std::io::Error) -> CommandError {
    let text = error.to_string();
    CommandError::Message(format!("ERR {}", text.split(" (os error").next().unwrap_or_default()))
}

/// MALLCTL: reads only. Redis writes as well, and as whatever type the caller means; a wrong one corrupts memory.
fn allocator_number(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let name = control_name(args.next())?;
    cx.reply.integer(crate::sys::allocator_number(&name).map_err(|error| system_error(&error))?);
    Ok(Outcome::Done)
}

/// MALLCTL-STR with VOID for the value: what flushes or purges.
fn allocator_action(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let name = control_name(args.next())?;
    if args.next() != b"VOID" {
        return Err("ERR Operation not permitted".into());
    }
    crate::sys::allocator_action(&name).map_err(|error| system_error(&error))?;
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn help(cx: &mut Cx<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "ASSERT",
        "    Crash by assertion failed.",
        "CHANGE-REPL-ID",
        "    Change the replication IDs of the instance.",
        "    Dangerous: should be used only for testing the replication subsystem.",
        "CLIENT-EVICTION",
        "    Show low level client eviction pools info (maxmemory-clients).",
        "CONFIG-REWRITE-FORCE-ALL",
        "    Like CONFIG REWRITE but writes all configuration options, including",
        "    keywords not listed in original configuration file or default values.",
        "CRASH-AND-RECOVER [<milliseconds>]",
        "    Hard crash and restart after a <milliseconds> delay (default 0).",
        "DIGEST",
        "    Output a hex signature representing the current DB content.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Output a hex signature of the values of all the specified keys.",
        "ERROR <string>",
        "    Return a Redis protocol error with <string> as message. Useful for clients",
        "    unit tests to simulate Redis errors.",
        "HTSTATS <dbid>",
        "    Return hash table statistics of the specified Redis database.",
        "HTSTATS-KEY <key>",
        "    Like HTSTATS but for the hash table stored at <key>'s value.",
        "LEAK <string>",
        "    Create a memory leak of the input string.",
        "LISTPACK <key>",
        "    Show low level info about the listpack encoding of <key>.",
        "LOG <message>",
        "    Write <message> to the server log.",
        "MALLCTL <key>",
        "    Get the number of a malloc tuning option.",
        "MALLCTL-STR <key> VOID",
        "    Have the allocator flush or purge.",
        "OBJECT <key>",
        "    Show low level info about `key` and associated value.",
        "OOM",
        "    Crash the server simulating an out-of-memory error.",
        "PANIC",
        "    Crash the server simulating a panic.",
        "PAUSE-CRON <0|1>",
        "    Stop periodic cron job processing.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Create <count> string keys named key:<num>. If <prefix> is specified then",
        "    it is used instead of the 'key' prefix. These are not propagated to",
        "    replicas. Cluster slots are not respected so keys not belonging to the",
        "    current node can be created in cluster mode.",
        "PROTOCOL <type>",
        "    Reply with a test value of the specified type. <type> can be: string,",
        "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
        "    true, false.",
        "QUICKLIST <key> [<0|1>]",
        "    Show low level info about the quicklist encoding of <key>.",
        "    The optional argument (0 by default) sets the level of detail",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Sets the threshold for elements to be inserted as plain vs packed nodes",
        "RELOAD [option ...]",
        "    Save the RDB on disk and reload it back to memory. Valid <option> values:",
        "    * MERGE: conflicting keys will be loaded from RDB.",
        "    * NOFLUSH: the existing database will not be removed before load, but",
        "      conflicting keys will generate an exception and kill the server.",
        "    * NOSAVE: the database will be loaded from an existing RDB file.",
        "REPLICATE <string>",
        "    Replicates the provided string to replicas, allowing data divergence.",
        "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|time>",
        "    Time in milliseconds after which buffers that no connection needed are freed.",
        "REPLYBUFFER RESIZING <0|1>",
        "    Enable or disable freeing buffers that no connection needs.",
        "RESTART [<milliseconds>]",
        "    Graceful restart: save config, db, restart after a <milliseconds> delay (default 0).",
        "SDSLEN <key>",
        "    Show low level SDS string info representing `key` and value.",
        "SEGFAULT",
        "    Crash the server with sigsegv.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Setting it to 0 disables expiring keys (and hash-fields) in background ",
        "SET-DISABLE-DENY-SCRIPTS <0|1>",
        "    Let scripts call commands that are denied to them, for tests.",
        "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        "    Enables or disables checksum checks for RDB files and RESTORE's payload.",
        "SLEEP <seconds>",
        "    Stop the server for <seconds>. Decimals allowed.",
        "STRINGMATCH-TEST",
        "    Match random patterns with random strings.",
        "STRUCTSIZE",
        "    Return the size of different core structures.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "DEBUG", LINES);
    Ok(Outcome::Done)
}

fn sleep(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let seconds = parse_f64(args.next()).filter(|s| s.is_finite()).unwrap_or(0.0).clamp(0.0, 1e9);
    std::thread::sleep(Duration::from_secs_f64(seconds));
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// Matches patterns with strings at random, of the bytes that mean something in patterns.
fn match_at_random(cx: &mut Cx<'_>) -> CommandResult {
    const ROUNDS: usize = 1_000_000;
    const BYTES: &[u8] = b"ab*?[]^-\\\xff";
    let rng = &mut cx.server.rng;
    let (mut pattern, mut text) = ([0; 32], [0; 32]);
    for _ in 0..ROUNDS {
        let (pattern, text) = (&mut pattern[..rng.usize(0..32)], &mut text[..rng.usize(0..32)]);
        pattern.iter_mut().chain(text.iter_mut()).for_each(|byte| *byte = BYTES[rng.usize(0..BYTES.len())]);
        std::hint::black_box(common::glob::glob_match(pattern, text, rng.bool()));
    }
    cx.reply.simple("Apparently Redis did not crash: test passed");
    Ok(Outcome::Done)
}

fn struct_sizes(cx: &mut Cx<'_>) -> CommandResult {
    let text = format!(
        "bits:{} object:{} client:{} session:{} batch:{} server:{}",
        usize::BITS,
        size_of::<Object>(),
        size_of::<common::clients::Client<Session>>(),
        size_of::<Session>(),
        size_of::<common::net::Batch>(),
        size_of::<Server>(),
    );
    cx.reply.bulk(text.as_bytes());
    Ok(Outcome::Done)
}

/// How full the table of a database is.
fn table_stats(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let index = crate::commands::integer(args.next())?;
    let db = cx.database(index).map_err(|_| CommandError::Text("ERR Out of range database"))?;
    let db = cx.server.keyspace.db(db);
    let text = format!(
        "[Dictionary HT]\n number of elements: {}\n table size in bytes: {}\n[Expires HT]\n number of elements: {}\n",
        db.len(),
        db.table_bytes(),
        db.expires(),
    );
    cx.reply.verbatim(text.as_bytes());
    Ok(Outcome::Done)
}

fn populate(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let positive = |word: &[u8]| {
        parse_i64(word)
            .filter(|n| *n >= 0)
            .ok_or(CommandError::Text("ERR value is out of range, must be positive"))
    };
    let count = positive(args.next())?.min(POPULATE_MOST);
    let prefix = args.try_next().unwrap_or(b"key");
    let size = args.try_next().map(positive).transpose()?;
    for index in 0..count {
        let name = [prefix, b":", index.to_string().as_bytes()].concat();
        let key = Key::new(&name, cx.server.keyspace.hash(&name));
        if cx.server.find(cx.db, key).is_some() {
            continue;
        }
        let mut value = format!("value:{index}").into_bytes();
        if let Some(size) = size.filter(|size| *size > 0) {
            value.resize(size as usize, 0);
        }
        let db = cx.server.keyspace.db_mut(cx.db);
        db.set(key.hash, key.bytes, NewValue::from_bytes(&value), Expire::None);
        cx.server.dirty += 1;
        cx.server.touch(cx.db, &name);
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// What DEBUG OBJECT says about a list.
fn quicklist_facts(list: &List, fill: i32, depth: u32) -> String {
    let (mut nodes, mut bytes) = (0usize, 0);
    for node in list.nodes() {
        nodes += 1;
        bytes += match node {
            NodeView::Packed(pack) => pack.total_bytes(),
            NodeView::Plain(bytes) => bytes.len(),
            NodeView::Lzf(lzf) => lzf.expanded_len(),
        };
    }
    let compressed = u8::from(depth != 0);
    let average = list.len() as f64 / nodes.max(1) as f64;
    format!(
        " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{fill} ql_compressed:{compressed} ql_uncompressed_size:{bytes}"
    )
}

fn object(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let (fill, depth) = (cx.server.config.list_max_listpack_size, cx.server.config.list_compress_depth);
    // A key that has expired but is still there is shown.
    let Some(entry) = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes) else {
        return Err("ERR no such key".into());
    };
    let idle = cx.server.access.idle_s(entry.access());
    let serialized = entry.memory_usage();
    let list = entry.value().typed::<List>();
    let extra = list.map_or_else(String::new, |list| quicklist_facts(list, fill, depth));
    // Redis shares the integers below ten thousand.
    let refcount = if matches!(entry.value(), Value::Int(0..10_000)) { i32::MAX } else { 1 };
    let text = format!(
        "Value at:0x{:x} refcount:{refcount} encoding:{} serializedlength:{serialized} lru:{} lru_seconds_idle:{idle}{extra}",
        entry.key().as_ptr().addr(),
        entry.encoding(),
        entry.access(),
    );
    cx.reply.simple(&text);
    Ok(Outcome::Done)
}

fn reload(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let mut how = crate::persistence::Reload::default();
    while let Some(word) = args.try_next() {
        match word.to_ascii_uppercase().as_slice() {
            b"MERGE" => how.merge = true,
            b"NOFLUSH" => how.noflush = true,
            b"NOSAVE" => how.nosave = true,
            _ => {
                return Err("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.".into());
            }
        }
    }
    if cx.server.lifecycle.loading {
        return Err("LOADING Redis is loading the dataset in memory".into());
    }
    let host = cx.host.clone();
    if let Err(error) = crate::persistence::reload(cx.server, &host, how) {
        tracing::error!("DEBUG RELOAD: {error}");
        return Err("ERR Error trying to load the RDB dump".into());
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn packed_threshold(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let text = String::from_utf8_lossy(args.next()).into_owned();
    let bytes = common::number::parse_memory(&text).ok().filter(|bytes| *bytes <= 1 << 32);
    let Some(bytes) = bytes else {
        return Err("ERR argument must be a memory value bigger than 1 and smaller than 4gb".into());
    };
    cx.server.packed_threshold = bytes as usize;
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// One reply of each kind.
fn protocol(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let reply = &mut cx.reply;
    let resp3 = reply.resp == Resp::V3;
    match args.next().to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" if resp3 => reply.raw(b",3.141\r\n"),
        b"double" => reply.bulk(b"3.141"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if resp3 {
                reply.raw(b"|1\r\n");
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if resp3 => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"push" => return Err("ERR RESP2 is not supported by this command".into()),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim(b"This is a verbatim\nstring"),
        b"bignum" if resp3 => reply.raw(b"(1234567999999999999999999999999999999\r\n"),
        b"bignum" => reply.bulk(b"1234567999999999999999999999999999999"),
        _ => {
            return Err("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false".into());
        }
    }
    Ok(Outcome::Done)
}
