//! The HyperLogLog group: strings that count different elements approximately. Their bytes are the store's affair.

use super::string::{put_string, string_bytes};
use super::{doc, entry};
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Ochre};
use common::command::{Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome};
use store::hyperloglog::{self as hll, Corrupt, Registers};
use store::{Expire, Value};

const WRITE: Flags = Flags::WRITE.and(Flags::DENYOOM);

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("pfadd", Arity::AtLeast(2), WRITE.and(Flags::FAST), &[KeySpec::one(1, Access::RwInsert)],
        doc("hyperloglog", "2.8.9", "O(1) per element", "key [element [element ...]]", "Lets a HyperLogLog see elements, making it if it is missing."), pfadd),
    entry("pfcount", Arity::AtLeast(2), Flags::READONLY.and(Flags::MAY_REPLICATE), &[KeySpec::until(1, -1, 1, Access::ReadWrite)],
        doc("hyperloglog", "2.8.9", "O(1) with one key, O(N) with N keys", "key [key ...]", "Tells how many different elements were seen."), pfcount),
    entry("pfdebug", Arity::Exactly(3), WRITE.and(Flags::ADMIN), &[KeySpec::one(2, Access::ReadWrite)],
        doc("hyperloglog", "2.8.9", "O(1)", "subcommand key", "Shows the inside of a HyperLogLog."), pfdebug),
    entry("pfmerge", Arity::AtLeast(2), WRITE, &[KeySpec::one(1, Access::RwMerge), KeySpec::until(2, -1, 1, Access::Read)],
        doc("hyperloglog", "2.8.9", "O(N), N keys", "destkey [sourcekey [sourcekey ...]]", "Lets a HyperLogLog see all that others have seen."), pfmerge),
    entry("pfselftest", Arity::Exactly(1), Flags::ADMIN, &[],
        doc("hyperloglog", "2.8.9", "O(1)", "", "Checks the HyperLogLog machinery on itself."), pfselftest),
];

fn corrupt(_: Corrupt) -> CommandError {
    "INVALIDOBJ Corrupted HLL object detected".into()
}

/// The bytes of a HyperLogLog.
fn checked<'v>(value: Value<'v>, buffer: &'v mut itoa::Buffer) -> Result<&'v [u8], CommandError> {
    let bytes = string_bytes(value, buffer)?;
    if hll::is_hyperloglog(bytes) {
        return Ok(bytes);
    }
    Err("WRONGTYPE Key is not a valid HyperLogLog string value.".into())
}

/// Lends `change` the bytes of a HyperLogLog, of a new one if there is none; says whether it is new. Bytes that were not
/// changed are not written.
fn change_bytes<R>(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    change: impl FnOnce(&mut Vec<u8>) -> R,
) -> Result<(R, bool), CommandError> {
    let mut buffer = itoa::Buffer::new();
    let value = cx.server.find(cx.db, key).map(|entry| entry.value());
    let old = value.map(|value| checked(value, &mut buffer)).transpose()?;
    if let Some(Value::Shared(_)) = value {
        let mut entry = cx.server.keyspace.db_mut(cx.db).get_mut(key.hash, key.bytes).expect("just found");
        return Ok((change(entry.shared_mut().expect("it is shared").make_mut()), false));
    }
    let is_new = old.is_none();
    let mut bytes = old.map_or_else(hll::new_hyperloglog, <[u8]>::to_vec);
    let result = change(&mut bytes);
    if old != Some(bytes.as_slice()) {
        put_string(cx, key, bytes, Expire::Keep);
        if is_new {
            cx.server.notify_new(cx.db, key.bytes);
        }
    }
    Ok((result, is_new))
}

fn pfadd(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let elements = args.rest();
    let sparse_max = cx.server.config.hll_sparse_max_bytes as usize;
    let (result, is_new) = change_bytes(cx, key, |bytes| {
        let mut grown = 0;
        for element in elements {
            grown += u64::from(hll::add(bytes, element, sparse_max)?);
        }
        Ok(grown)
    })?;
    let changes = result.map_err(corrupt)? + u64::from(is_new);
    if changes > 0 {
        if is_new {
            // A new one counts as not counted yet, as Redis writes it.
            change_bytes(cx, key, |bytes| hll::mark_stale(bytes))?;
        }
        cx.changed_by(changes, key, Event::PFADD);
    }
    cx.reply.integer(i64::from(changes > 0));
    Ok(Outcome::Done)
}

fn pfcount(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if args.left() > 1 {
        return count_union(cx, args);
    }
    let key = cx.key(args.next());
    let mut buffer = itoa::Buffer::new();
    let Some(entry) = cx.server.read(cx.db, key) else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    let bytes = checked(entry.value(), &mut buffer)?;
    let cached = hll::cached_count(bytes);
    let count = cached.map_or_else(|| hll::count(bytes), Ok).map_err(corrupt)?;
    if cached.is_none() {
        // The count is kept inside the string, which replicas should do as well. No event tells of it.
        change_bytes(cx, key, |bytes| hll::cache_count(bytes, count))?;
        cx.server.dirty += 1;
        cx.server.touch(cx.db, key.bytes);
    }
    cx.reply.integer(count.cast_signed());
    Ok(Outcome::Done)
}

fn count_union(cx: &mut Cx<'_>, args: &Args<'_>) -> CommandResult {
    let mut registers = Registers::default();
    for key in args.rest() {
        let key = cx.key(key);
        let mut buffer = itoa::Buffer::new();
        let Some(entry) = cx.server.read(cx.db, key) else { continue };
        registers.merge(checked(entry.value(), &mut buffer)?).map_err(corrupt)?;
    }
    cx.reply.integer(registers.count().cast_signed());
    Ok(Outcome::Done)
}

fn pfmerge(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let mut registers = Registers::default();
    let mut dense = false;
    for key in args.rest() {
        let key = cx.key(key);
        let mut buffer = itoa::Buffer::new();
        let Some(entry) = cx.server.read(cx.db, key) else { continue };
        let bytes = checked(entry.value(), &mut buffer)?;
        dense |= !hll::is_sparse(bytes);
        registers.merge(bytes).map_err(corrupt)?;
    }
    let target = cx.key(args.next());
    let sparse_max = cx.server.config.hll_sparse_max_bytes as usize;
    let (result, _) = change_bytes(cx, target, |bytes| {
        if dense {
            hll::make_dense(bytes)?;
        }
        registers.write_to(bytes, sparse_max)
    })?;
    result.map_err(corrupt)?;
    cx.changed(target, Event::PFADD);
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn pfdebug(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let subcommand = args.next();
    let key = cx.key(args.next());
    let mut buffer = itoa::Buffer::new();
    let Some(entry) = cx.server.find(cx.db, key) else {
        return Err("ERR The specified key does not exist".into());
    };
    let bytes = checked(entry.value(), &mut buffer)?;
    match subcommand.to_ascii_lowercase().as_slice() {
        b"getreg" => {
            let mut registers = Registers::default();
            registers.merge(bytes).map_err(corrupt)?;
            make_dense(cx, key)?;
            cx.reply.array(hll::REGISTERS);
            registers.iter().for_each(|register| cx.reply.integer(i64::from(register)));
        }
        b"decode" if !hll::is_sparse(bytes) => return Err("ERR HLL encoding is not sparse".into()),
        b"decode" => {
            let runs = hll::spell_runs(bytes);
            cx.reply.bulk(runs.as_bytes());
        }
        b"encoding" => cx.reply.simple(if hll::is_sparse(bytes) { "sparse" } else { "dense" }),
        b"todense" => {
            let changed = make_dense(cx, key)?;
            cx.reply.integer(i64::from(changed));
        }
        _ => {
            let text = [b"ERR Unknown PFDEBUG subcommand '", subcommand, b"'"].concat();
            return Err(CommandError::Raw(text));
        }
    }
    Ok(Outcome::Done)
}

/// Changes the encoding to dense, which replicas do as well; false when it was.
fn make_dense(cx: &mut Cx<'_>, key: Key<'_>) -> Result<bool, CommandError> {
    let (result, _) = change_bytes(cx, key, |bytes| {
        let changes = hll::is_sparse(bytes);
        hll::make_dense(bytes).map(|()| changes)
    })?;
    let changed = result.map_err(corrupt)?;
    cx.server.dirty += u64::from(changed);
    Ok(changed)
}

fn pfselftest(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    hll::self_test().map_err(|text| CommandError::Message(format!("TESTFAILED {text}")))?;
    cx.reply.ok();
    Ok(Outcome::Done)
}
