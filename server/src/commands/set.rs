//! The set group. Commands on one set are here, those that combine several in `combine`.

mod combine;

use super::scan_options::{ScanOptions, write_empty, write_frame};
use super::{NONDETERMINISTIC, NONDETERMINISTIC_ORDER, doc, entry, integer, random, write_element};
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome};
use store::{Element, Member, Set};

use crate::server::Ochre;

const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const META: &[KeySpec] = &[KeySpec::one(1, Access::Meta)];
const READ: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const READ_ALL: &[KeySpec] = &[KeySpec::until(1, -1, 1, Access::Read)];
const COUNTED: &[KeySpec] = &[KeySpec::counted(1, Access::Read)];
const STORE: &[KeySpec] = &[KeySpec::one(1, Access::Overwrite), KeySpec::until(2, -1, 1, Access::Read)];

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("sadd", Arity::AtLeast(3), WRITE_FAST.and(Flags::DENYOOM), &[KeySpec::one(1, Access::RwInsert)],
        doc("set", "1.0.0", "O(1) per member", "key member [member ...]", "Adds members, making the set if it is missing."), sadd),
    entry("srem", Arity::AtLeast(3), WRITE_FAST, &[KeySpec::one(1, Access::Delete)],
        doc("set", "1.0.0", "O(1) per member", "key member [member ...]", "Takes members out."), srem),
    entry("smove", Arity::Exactly(4), WRITE_FAST, &[KeySpec::one(1, Access::RwDelete), KeySpec::one(2, Access::RwInsert)],
        doc("set", "1.0.0", "O(1)", "source destination member", "Moves a member from one set to another."), smove),
    entry("sismember", Arity::Exactly(3), READ_FAST, META,
        doc("set", "1.0.0", "O(1)", "key member", "Tells whether a member is in a set."), sismember),
    entry("smismember", Arity::AtLeast(3), READ_FAST, READ,
        doc("set", "6.2.0", "O(1) per member", "key member [member ...]", "Tells of each member whether it is in a set."), smismember),
    entry("scard", Arity::Exactly(2), READ_FAST, META,
        doc("set", "1.0.0", "O(1)", "key", "Counts the members."), scard),
    Command { tips: NONDETERMINISTIC_ORDER, ..entry("smembers", Arity::Exactly(2), Flags::READONLY, READ,
        doc("set", "1.0.0", "O(N), N members", "key", "Lists the members."), smembers) },
    Command { tips: NONDETERMINISTIC, ..entry("spop", Arity::AtLeast(2), WRITE_FAST, &[KeySpec::one(1, Access::RwDelete)],
        doc("set", "1.0.0", "O(1) per member", "key [count]", "Takes members at random."), spop) },
    Command { tips: NONDETERMINISTIC, ..entry("srandmember", Arity::AtLeast(2), Flags::READONLY, READ,
        doc("set", "1.0.0", "O(1) per member", "key [count]", "Shows members at random."), srandmember) },
    Command { tips: NONDETERMINISTIC, ..entry("sscan", Arity::AtLeast(3), Flags::READONLY, READ,
        doc("set", "2.8.0", "O(1) per call, O(N) for a whole iteration", "key cursor [MATCH pattern] [COUNT count]", "Iterates over the members."), sscan) },
    Command { tips: NONDETERMINISTIC_ORDER, ..entry("sinter", Arity::AtLeast(2), Flags::READONLY, READ_ALL,
        doc("set", "1.0.0", "O(N*M), N members of the smallest of M sets", "key [key ...]", "Lists the members that all sets have."), combine::sinter) },
    entry("sintercard", Arity::AtLeast(3), Flags::READONLY.and(Flags::MOVABLE_KEYS), COUNTED,
        doc("set", "7.0.0", "O(N*M), N members of the smallest of M sets", "numkeys key [key ...] [LIMIT limit]", "Counts the members that all sets have."), combine::sintercard),
    entry("sinterstore", Arity::AtLeast(3), Flags::WRITE.and(Flags::DENYOOM), STORE,
        doc("set", "1.0.0", "O(N*M), N members of the smallest of M sets", "destination key [key ...]", "Stores the members that all sets have."), combine::sinterstore),
    Command { tips: NONDETERMINISTIC_ORDER, ..entry("sunion", Arity::AtLeast(2), Flags::READONLY, READ_ALL,
        doc("set", "1.0.0", "O(N), N members of all sets", "key [key ...]", "Lists the members that any set has."), combine::sunion) },
    entry("sunioncard", Arity::AtLeast(3), Flags::READONLY.and(Flags::MOVABLE_KEYS), COUNTED,
        doc("set", "8.10.0", "O(N), N members of all sets", "numkeys key [key ...] [APPROX] [LIMIT limit]", "Counts the members that any set has."), combine::sunioncard),
    entry("sunionstore", Arity::AtLeast(3), Flags::WRITE.and(Flags::DENYOOM), STORE,
        doc("set", "1.0.0", "O(N), N members of all sets", "destination key [key ...]", "Stores the members that any set has."), combine::sunionstore),
    Command { tips: NONDETERMINISTIC_ORDER, ..entry("sdiff", Arity::AtLeast(2), Flags::READONLY, READ_ALL,
        doc("set", "1.0.0", "O(N*M), N members of the first of M sets", "key [key ...]", "Lists the members that only the first set has."), combine::sdiff) },
    entry("sdiffcard", Arity::AtLeast(3), Flags::READONLY.and(Flags::MOVABLE_KEYS), COUNTED,
        doc("set", "8.10.0", "O(N*M), N members of the first of M sets", "numkeys key [key ...] [LIMIT limit]", "Counts the members that only the first set has."), combine::sdiffcard),
    entry("sdiffstore", Arity::AtLeast(3), Flags::WRITE.and(Flags::DENYOOM), STORE,
        doc("set", "1.0.0", "O(N*M), N members of the first of M sets", "destination key [key ...]", "Stores the members that only the first set has."), combine::sdiffstore),
];

/// Members whose SREM is propagated as one command.
const REMOVED_AT_ONCE: usize = 1024;

/// A SPOP that leaves less than a fifth of what it takes puts the rest together anew.
const REBUILD_SHARE: usize = 5;

fn sadd(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let limit = cx.server.limits().set;
    let set: &mut Set = cx.server.edit_or_create(cx.db, key)?;
    let members = args.rest();
    if set.is_empty() {
        *set = Set::for_members(args.next(), members.len(), &limit);
    } else {
        set.prepare(members.len(), &limit);
    }
    let added = members.filter(|member| set.add(member, &limit)).count();
    cx.reply.integer(added as i64);
    if added > 0 {
        cx.changed_by(added as u64, key, Event::SADD);
    }
    Ok(Outcome::Done)
}

fn srem(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let Some(set) = cx.server.edit::<Set>(cx.db, key)? else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    let removed = args.rest().filter(|member| set.remove(member)).count();
    cx.reply.integer(removed as i64);
    if removed > 0 {
        let emptied = cx.server.remove_emptied::<Set>(cx.db, key);
        cx.changed_by(removed as u64, key, Event::SREM);
        if emptied {
            cx.server.notify(cx.db, key.bytes, Event::DEL);
        }
    }
    Ok(Outcome::Done)
}

fn smove(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (from, to, member) = (cx.key(args.next()), cx.key(args.next()), args.next());
    let limit = cx.server.limits().set;
    let source = cx.server.find_typed::<Set>(cx.db, from).map(|set| set.map(|set| set.contains(member)));
    let Some(found) = source.clone().unwrap_or(Some(false)) else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    source?;
    cx.server.find_typed::<Set>(cx.db, to)?;
    cx.reply.integer(i64::from(found));
    if !found || from.bytes == to.bytes {
        return Ok(Outcome::Done);
    }
    if let Some(set) = cx.server.edit::<Set>(cx.db, from)? {
        set.remove(member);
    }
    let emptied = cx.server.remove_emptied::<Set>(cx.db, from);
    cx.changed(from, Event::SREM);
    if emptied {
        cx.server.notify(cx.db, from.bytes, Event::DEL);
    }
    let set: &mut Set = cx.server.edit_or_create(cx.db, to)?;
    if set.is_empty() {
        *set = Set::for_members(member, 1, &limit);
    }
    if set.add(member, &limit) {
        cx.changed(to, Event::SADD);
    }
    Ok(Outcome::Done)
}

fn sismember(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, member) = (cx.key(args.next()), args.next());
    let found = cx.server.read_typed::<Set>(cx.db, key)?.is_some_and(|set| set.contains(member));
    cx.reply.integer(i64::from(found));
    Ok(Outcome::Done)
}

fn smismember(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let set = cx.server.read_typed::<Set>(cx.db, key)?;
    cx.reply.array(args.left());
    for member in args.rest() {
        let found = set.is_some_and(|set| set.has(&mut Member::new(member)));
        cx.reply.integer(i64::from(found));
    }
    Ok(Outcome::Done)
}

fn scard(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let len = cx.server.read_typed::<Set>(cx.db, key)?.map_or(0, Set::len);
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn smembers(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let set = cx.server.read_typed::<Set>(cx.db, key)?;
    cx.reply.set(set.map_or(0, Set::len));
    for member in set.into_iter().flat_map(Set::iter) {
        write_element(&mut cx.reply, &member);
    }
    Ok(Outcome::Done)
}

fn sscan(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let cursor = super::generic::cursor(args.next())?;
    let Some(set) = cx.server.read_typed::<Set>(cx.db, key)? else {
        write_empty(&mut cx.reply);
        return Ok(Outcome::Done);
    };
    let options = ScanOptions::parse(args, None)?;
    let (mark, mut found) = (cx.reply.mark(), 0);
    let next = set.scan(cursor, options.count, |member| {
        if options.wants(member.as_bytes(&mut itoa::Buffer::new())) {
            write_element(&mut cx.reply, &member);
            found += 1;
        }
    });
    write_frame(&mut cx.reply, Some(mark), next, found);
    Ok(Outcome::Done)
}

// --- at random -------------------------------------------------------------------------------------------------------

fn srandmember(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let Some(word) = args.try_next() else { return one_at_random(cx, key) };
    if args.left() > 0 {
        return Err(CommandError::Syntax);
    }
    let count = random_count(word)?;
    let (mut rng, room) = (cx.server.rng.fork(), cx.reply_room());
    let Some(set) = cx.server.read_typed::<Set>(cx.db, key)? else {
        cx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let len = set.len();
    if count < 0 {
        cx.reply.array(count.unsigned_abs() as usize);
        for _ in 0..count.unsigned_abs() {
            let member = set.nth(rng.usize(..len)).expect("a rank below the length");
            write_element(&mut cx.reply, &member);
            if cx.reply.len() > room {
                break;
            }
        }
        return Ok(Outcome::Done);
    }
    let count = (count as usize).min(len);
    cx.reply.array(count);
    let show = |member: Element<'_>| write_element(&mut cx.reply, &member);
    random::distinct(&mut rng, (len, count), set.iter(), |rank| set.nth(rank), show);
    Ok(Outcome::Done)
}

/// A count whose sign says whether elements may come twice.
pub(super) fn random_count(word: &[u8]) -> Result<i64, CommandError> {
    match integer(word)? {
        i64::MIN => Err(CommandError::Text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        count => Ok(count),
    }
}

fn one_at_random(cx: &mut Cx<'_>, key: Key<'_>) -> CommandResult {
    let mut rng = cx.server.rng.fork();
    match cx.server.read_typed::<Set>(cx.db, key)? {
        Some(set) => {
            let member = set.nth(rng.usize(..set.len())).expect("a rank below the length");
            write_element(&mut cx.reply, &member);
        }
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn spop(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    match args.try_next() {
        None => pop_one(cx, key),
        Some(_) if args.left() > 0 => Err(CommandError::Syntax),
        Some(word) => {
            let count = integer(word).ok().filter(|count| *count >= 0);
            let count = count.ok_or(CommandError::Text("ERR value is out of range, must be positive"))?;
            pop_many(cx, key, count as usize)
        }
    }
}

fn pop_one(cx: &mut Cx<'_>, key: Key<'_>) -> CommandResult {
    let mut rng = cx.server.rng.fork();
    let Some(set) = cx.server.edit::<Set>(cx.db, key)? else {
        cx.reply.null();
        return Ok(Outcome::Done);
    };
    let member = set.nth(rng.usize(..set.len())).expect("a rank below the length").to_vec();
    set.remove(&member);
    cx.reply.bulk(&member);
    cx.propagate_as(&[b"SREM", key.bytes, &member]);
    let emptied = cx.server.remove_emptied::<Set>(cx.db, key);
    cx.changed(key, Event::SPOP);
    if emptied {
        cx.server.notify(cx.db, key.bytes, Event::DEL);
    }
    Ok(Outcome::Done)
}

fn pop_many(cx: &mut Cx<'_>, key: Key<'_>, count: usize) -> CommandResult {
    let (limit, mut rng) = (cx.server.limits().set, cx.server.rng.fork());
    let len = cx.server.find_typed::<Set>(cx.db, key)?.map_or(0, Set::len);
    if count == 0 || len == 0 {
        cx.reply.set(0);
        return Ok(Outcome::Done);
    }
    if count >= len {
        return pop_all(cx, key);
    }
    let set = cx.server.edit::<Set>(cx.db, key)?.expect("it was just seen");
    let (left, mut taken) = (len - count, Vec::with_capacity(count));
    if left * REBUILD_SHARE > count {
        let take = |member: Element<'_>| taken.push(member.to_vec());
        random::distinct(&mut rng, (len, count), set.iter(), |rank| set.nth(rank), take);
        for member in &taken {
            set.remove(member);
        }
    } else {
        let mut kept = Set::new();
        random::distinct(
            &mut rng,
            (len, left),
            set.iter(),
            |rank| set.nth(rank),
            |member| {
                kept.add_element(&member, &limit);
            },
        );
        let all = set.iter().filter(|member| !kept.has(&mut Member::of(*member)));
        taken.extend(all.map(|member| member.to_vec()));
        *set = kept;
    }
    cx.reply.set(taken.len());
    taken.iter().for_each(|member| cx.reply.bulk(member));
    if cx.is_propagating() {
        for some in taken.chunks(REMOVED_AT_ONCE) {
            let words = [&b"SREM"[..], key.bytes].into_iter().chain(some.iter().map(Vec::as_slice));
            cx.propagate_as(&words.collect::<Vec<_>>());
        }
    }
    cx.changed_by(count as u64, key, Event::SPOP);
    Ok(Outcome::Done)
}

fn pop_all(cx: &mut Cx<'_>, key: Key<'_>) -> CommandResult {
    let set = cx.server.find_typed::<Set>(cx.db, key)?.expect("it was just seen");
    let len = set.len();
    cx.reply.set(len);
    for member in set.iter() {
        write_element(&mut cx.reply, &member);
    }
    let lazily = cx.server.config.lazyfree_lazy_server_del;
    cx.server.remove(cx.db, key, lazily);
    cx.propagate_as(&[if lazily { b"UNLINK" } else { b"DEL" }, key.bytes]);
    cx.changed_by(len as u64, key, Event::SPOP);
    cx.server.notify(cx.db, key.bytes, Event::DEL);
    Ok(Outcome::Done)
}
