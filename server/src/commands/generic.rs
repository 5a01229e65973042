//! The generic group: commands on keys of any type.

mod dump;
mod expire;
mod place;
mod scan;

use super::doc;
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Flags, Handler, KeySpec, Outcome,
};

const ACL: &[Acl] = &[Acl::Keyspace];
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const META: &[KeySpec] = &[KeySpec::one(1, Access::Meta)];
const READ: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::Update)];
const OVERWRITE: &[KeySpec] = &[KeySpec::one(1, Access::Overwrite)];
const RESTORE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const RESTORE_SYNTAX: &str =
    "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]";
const KEYS_META: &[KeySpec] = &[KeySpec::until(1, -1, 1, Access::Meta)];
const KEYS_REMOVED: &[KeySpec] = &[KeySpec::until(1, -1, 1, Access::Remove)];

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    keys: &'static [KeySpec],
    doc: common::command::Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    let tips: &[&str] = match name.as_bytes() {
        b"del" | b"unlink" | b"exists" | b"touch" => {
            &["request_policy:multi_shard", "response_policy:agg_sum"]
        }
        b"keys" => &["request_policy:all_shards", "nondeterministic_output_order"],
        b"scan" => &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        b"randomkey" => &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        b"dump" | b"ttl" | b"pttl" => &["nondeterministic_output"],
        b"wait" => &["request_policy:all_shards", "response_policy:agg_min"],
        _ => &[],
    };
    let dangerous = matches!(name.as_bytes(), b"keys" | b"restore" | b"restore-asking");
    let acl = if dangerous { &[Acl::Keyspace, Acl::Dangerous] } else { ACL };
    Command { name, arity, flags, acl, keys, tips, doc, subcommands: &[], run }
}

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("copy", Arity::AtLeast(3), Flags::WRITE.and(Flags::DENYOOM), &[KeySpec::one(1, Access::Read), KeySpec::one(2, Access::Overwrite)],
        doc("generic", "6.2.0", "O(1) for a big value, which is shared; O(N) for a small one of N bytes", "source destination [DB destination-db] [REPLACE]", "Copies a value to another key."), place::copy),
    entry("del", Arity::AtLeast(2), Flags::WRITE, KEYS_REMOVED,
        doc("generic", "1.0.0", "O(N), N keys, plus their elements", "key [key ...]", "Deletes keys."), |cx, args| { let lazily = cx.server.config.lazyfree_lazy_user_del; del(cx, args, lazily) }),
    entry("dump", Arity::Exactly(2), Flags::READONLY, READ,
        doc("generic", "2.6.0", "O(bytes)", "key", "Gives a key's value in a form that RESTORE takes."), dump::dump),
    entry("exists", Arity::AtLeast(2), READ_FAST, KEYS_META,
        doc("generic", "1.0.0", "O(N), N keys", "key [key ...]", "Counts keys that exist; one named twice counts twice."), exists),
    entry("expire", Arity::AtLeast(3), WRITE_FAST, UPDATE,
        doc("generic", "1.0.0", "O(1)", "key seconds [NX | XX | GT | LT]", "Lets a key expire after seconds."), |cx, args| expire::expire(cx, args, 1000, false)),
    entry("expireat", Arity::AtLeast(3), WRITE_FAST, UPDATE,
        doc("generic", "1.2.0", "O(1)", "key unix-time-seconds [NX | XX | GT | LT]", "Lets a key expire at a time in seconds."), |cx, args| expire::expire(cx, args, 1000, true)),
    entry("expiretime", Arity::Exactly(2), READ_FAST, READ,
        doc("generic", "7.0.0", "O(1)", "key", "Tells when a key expires, in seconds."), |cx, args| expire::ttl(cx, args, 1000, true)),
    entry("keys", Arity::Exactly(2), Flags::READONLY, &[],
        doc("generic", "1.0.0", "O(N), N keys of the database", "pattern", "Lists keys that match a pattern."), scan::keys),
    entry("move", Arity::Exactly(3), WRITE_FAST, &[KeySpec::one(1, Access::RwUpdate)],
        doc("generic", "1.0.0", "O(1)", "key db", "Moves a key to another database."), place::move_key),
    entry("persist", Arity::Exactly(2), WRITE_FAST, UPDATE,
        doc("generic", "2.2.0", "O(1)", "key", "Removes a key's expiry."), expire::persist),
    entry("pexpire", Arity::AtLeast(3), WRITE_FAST, UPDATE,
        doc("generic", "2.6.0", "O(1)", "key milliseconds [NX | XX | GT | LT]", "Lets a key expire after milliseconds."), |cx, args| expire::expire(cx, args, 1, false)),
    entry("pexpireat", Arity::AtLeast(3), WRITE_FAST, UPDATE,
        doc("generic", "2.6.0", "O(1)", "key unix-time-milliseconds [NX | XX | GT | LT]", "Lets a key expire at a time in milliseconds."), |cx, args| expire::expire(cx, args, 1, true)),
    entry("pexpiretime", Arity::Exactly(2), READ_FAST, READ,
        doc("generic", "7.0.0", "O(1)", "key", "Tells when a key expires, in milliseconds."), |cx, args| expire::ttl(cx, args, 1, true)),
    entry("pttl", Arity::Exactly(2), READ_FAST, READ,
        doc("generic", "2.6.0", "O(1)", "key", "Tells how long a key will live, in milliseconds."), |cx, args| expire::ttl(cx, args, 1, false)),
    entry("randomkey", Arity::Exactly(1), Flags::READONLY, &[],
        doc("generic", "1.0.0", "O(1)", "", "Picks a key."), scan::randomkey),
    entry("rename", Arity::Exactly(3), Flags::WRITE, &[KeySpec::one(1, Access::RwDelete), KeySpec::one(2, Access::Overwrite)],
        doc("generic", "1.0.0", "O(1), plus the cost of deleting what is overwritten", "key newkey", "Gives a key another name, whatever that held before."), |cx, args| place::rename(cx, args, false)),
    entry("renamenx", Arity::Exactly(3), WRITE_FAST, &[KeySpec::one(1, Access::RwDelete), KeySpec::one(2, Access::Create)],
        doc("generic", "1.0.0", "O(1)", "key newkey", "Gives a key another name if that is free."), |cx, args| place::rename(cx, args, true)),
    entry("restore", Arity::AtLeast(4), RESTORE, OVERWRITE,
        doc("generic", "2.6.0", "O(bytes)", RESTORE_SYNTAX, "Makes a key from what DUMP gave."), dump::restore),
    entry("restore-asking", Arity::AtLeast(4), RESTORE.and(Flags::ASKING), OVERWRITE,
        doc("server", "3.0.0", "O(bytes)", RESTORE_SYNTAX, "As RESTORE, for keys that move between nodes of a cluster."), dump::restore),
    entry("scan", Arity::AtLeast(2), Flags::READONLY, &[],
        doc("generic", "2.8.0", "O(1) per call, O(N) for a whole iteration", "cursor [MATCH pattern] [COUNT count] [TYPE type]", "Iterates over the keys."), scan::scan),
    entry("touch", Arity::AtLeast(2), READ_FAST, KEYS_META,
        doc("generic", "3.2.1", "O(N), N keys", "key [key ...]", "Renews the access time of keys."), touch),
    entry("ttl", Arity::Exactly(2), READ_FAST, READ,
        doc("generic", "1.0.0", "O(1)", "key", "Tells how long a key will live, in seconds."), |cx, args| expire::ttl(cx, args, 1000, false)),
    entry("type", Arity::Exactly(2), READ_FAST, META,
        doc("generic", "1.0.0", "O(1)", "key", "Tells the type of a key."), type_of),
    entry("unlink", Arity::AtLeast(2), WRITE_FAST, KEYS_REMOVED,
        doc("generic", "4.0.0", "O(1) per key; the rest is done elsewhere", "key [key ...]", "Deletes keys and frees big ones in the background."), |cx, args| del(cx, args, true)),
    Command { subcommands: OBJECT, acl: &[], ..entry("object", Arity::AtLeast(2), Flags::NONE, &[],
        doc("generic", "2.2.3", "Depends on the subcommand.", "", "Looks into a key's value."), object_help) },
];

const OBJECT: &[Command<Ochre>] = &[
    object("encoding", "Tells how a value is kept.", object_encoding),
    object("freq", "Tells how often a key is used, under an LFU policy.", object_freq),
    Command {
        arity: Arity::Exactly(2),
        keys: &[],
        tips: &[],
        flags: Flags::LOADING.and(Flags::STALE),
        ..object("help", "Lists the subcommands of OBJECT.", object_help)
    },
    object("idletime", "Tells the seconds since a key was used.", object_idletime),
    object("refcount", "Tells how many places share a value.", object_refcount),
];

const OBJECT_KEY: &[KeySpec] = &[KeySpec::one(2, Access::Meta)];

const fn object(name: &'static str, summary: &'static str, run: Handler<Ochre>) -> Command<Ochre> {
    let since = match name.as_bytes() {
        b"freq" => "4.0.0",
        b"help" => "6.2.0",
        _ => "2.2.3",
    };
    Command {
        name,
        arity: Arity::Exactly(3),
        flags: Flags::READONLY,
        acl: ACL,
        keys: OBJECT_KEY,
        tips: &["nondeterministic_output"],
        doc: doc("generic", since, "O(1)", "key", summary),
        subcommands: &[],
        run,
    }
}

fn del(cx: &mut Cx<'_>, args: &Args<'_>, lazily: bool) -> CommandResult {
    let mut deleted = 0;
    cx.each_key(args.rest(), |cx, key| deleted += i64::from(cx.delete(key, lazily)));
    cx.reply.integer(deleted);
    Ok(Outcome::Done)
}

fn exists(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let mut found = 0;
    cx.each_key(args.rest(), |cx, key| found += i64::from(cx.server.peek(cx.db, key).is_some()));
    cx.reply.integer(found);
    Ok(Outcome::Done)
}

fn touch(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    cx.server.access.is_paused = false; // what CLIENT NO-TOUCH leaves out can still be asked for
    let mut found = 0;
    cx.each_key(args.rest(), |cx, key| found += i64::from(cx.server.read(cx.db, key).is_some()));
    cx.reply.integer(found);
    Ok(Outcome::Done)
}

fn type_of(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let name = cx.server.peek(cx.db, key).map_or("none", |entry| entry.kind().name());
    cx.reply.simple(name);
    Ok(Outcome::Done)
}

fn object_encoding(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.get(2));
    match cx.server.inspect(cx.db, key) {
        Some(entry) => cx.reply.bulk(entry.encoding().as_bytes()),
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

/// Integers below this are one shared object in Redis, and have its reference count.
const SHARED_INTEGERS: i64 = 10_000;

fn object_refcount(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.get(2));
    // Each key needs access bits of its own where these choose what is evicted: then Redis shares nothing.
    let shares = cx.server.config.max_memory == 0 || !cx.server.config.max_memory_policy.uses_access();
    match cx.server.inspect(cx.db, key).map(|entry| entry.value()) {
        Some(store::Value::Int(0..SHARED_INTEGERS)) if shares => cx.reply.integer(i64::from(i32::MAX)),
        Some(_) => cx.reply.integer(1),
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn object_idletime(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.get(2));
    match cx.server.inspect(cx.db, key).map(|entry| entry.access()) {
        None => cx.reply.null(),
        Some(_) if cx.server.access.counts() => {
            return Err("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.".into());
        }
        Some(bits) => cx.reply.integer(cx.server.access.idle_s(bits).into()),
    }
    Ok(Outcome::Done)
}

fn object_freq(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.get(2));
    match cx.server.inspect(cx.db, key).map(|entry| entry.access()) {
        None => cx.reply.null(),
        Some(bits) if cx.server.access.counts() => cx.reply.integer(cx.server.access.frequency(bits).into()),
        Some(_) => {
            return Err("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.".into());
        }
    }
    Ok(Outcome::Done)
}

fn object_help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        "HELP",
        "    Prints this help.",
    ];
    common::command::write_help(&mut cx.reply, "OBJECT", LINES);
    Ok(Outcome::Done)
}

/// A cursor as C's `strtoul` reads it, which is what Redis does: a sign may stand in front, and nothing means 0.
pub(super) fn cursor(word: &[u8]) -> Result<u64, CommandError> {
    let (negative, digits) = match word.first() {
        Some(b'-') => (true, &word[1..]),
        Some(b'+') => (false, &word[1..]),
        _ => (false, word),
    };
    let value = match digits {
        [] if word.is_empty() => Some(0),
        [] => None,
        digits => digits.iter().try_fold(0u64, |value, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            value.checked_mul(10)?.checked_add(digit)
        }),
    };
    let value = value.ok_or(CommandError::Text("ERR invalid cursor"))?;
    Ok(if negative { value.wrapping_neg() } else { value })
}
