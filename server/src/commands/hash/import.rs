//! HIMPORT: hashes whose field names were said before, on the same connection.

use crate::commands::{doc, sub};
use crate::context::Cx;
use crate::events::Event;
use crate::server::Ochre;
use common::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Doc, Flags, Handler, KeySpec, Outcome,
};
use std::collections::HashSet;
use store::HashValue;

/// Fieldsets of one connection at most.
const MOST_FIELDSETS: usize = 1024;

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    doc: Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    Command { acl: &[Acl::Hash], ..sub(name, arity, flags, &[], doc, run) }
}

/// The subcommands.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    entry("prepare", Arity::AtLeast(4), Flags::DENYOOM,
        doc("hash", "8.10.0", "O(N), N fields", "fieldset-name field [field ...]", "Says which fields the hashes to come have."), prepare),
    Command { keys: &[KeySpec::one(2, Access::Overwrite)], ..entry("set", Arity::AtLeast(5), Flags::WRITE.and(Flags::DENYOOM),
        doc("hash", "8.10.0", "O(N), N fields", "key fieldset-name value [value ...]", "Makes a hash of prepared fields and these values."), set) },
    entry("discard", Arity::Exactly(3), Flags::NONE,
        doc("hash", "8.10.0", "O(N), N fields", "fieldset-name", "Forgets a fieldset."), discard),
    entry("discardall", Arity::Exactly(2), Flags::NONE,
        doc("hash", "8.10.0", "O(N), N fieldsets", "", "Forgets all fieldsets."), discard_all),
];

/// Without a subcommand there is nothing to do; the dispatcher has refused such a request by its arity.
pub(super) fn himport(_: &mut Cx<'_>, _: &mut Args<'_>) -> CommandResult {
    Err(CommandError::Syntax)
}

fn prepare(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let name = args.get(2).to_vec();
    let fields: Vec<Vec<u8>> = args.all().skip(3).map(<[u8]>::to_vec).collect();
    if fields.iter().collect::<HashSet<_>>().len() < fields.len() {
        return Err("ERR duplicate field names in fieldset".into());
    }
    let fieldsets = &mut cx.session().fieldsets;
    if fieldsets.len() >= MOST_FIELDSETS && !fieldsets.contains_key(&name) {
        return Err("ERR too many fieldsets".into());
    }
    fieldsets.insert(name, fields);
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn set(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.get(2));
    let values: Vec<&[u8]> = args.all().skip(4).collect();
    let limit = cx.server.limits().hash;
    let Some(fields) = cx.session().fieldsets.get(args.get(3)) else {
        return Err("ERR fieldset not found".into());
    };
    if fields.len() != values.len() {
        return Err("ERR wrong number of values for fieldset".into());
    }
    let mut words: Vec<Vec<u8>> = vec![b"HSET".to_vec(), key.bytes.to_vec()];
    for (field, value) in fields.iter().zip(&values) {
        words.extend([field.clone(), value.to_vec()]);
    }
    let pairs: Vec<&[u8]> = words[2..].iter().map(Vec::as_slice).collect();
    let mut hash = HashValue::new();
    hash.prepare(pairs.iter().copied(), &limit);
    for pair in pairs.chunks_exact(2) {
        hash.set(pair[0], pair[1], &limit);
    }
    let existed = cx.server.find(cx.db, key).is_some();
    cx.server.store_object(cx.db, key, hash.into());
    if existed {
        cx.propagate_as(&[b"DEL", key.bytes]);
    }
    cx.propagate_as(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
    cx.reply.ok();
    cx.changed(key, Event::HSET);
    Ok(Outcome::Done)
}

fn discard(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let name = args.get(2).to_vec();
    let existed = cx.session().fieldsets.remove(&name).is_some();
    cx.reply.integer(i64::from(existed));
    Ok(Outcome::Done)
}

fn discard_all(cx: &mut Cx<'_>, _: &mut Args<'_>) -> CommandResult {
    let count = cx.session().fieldsets.len();
    cx.session().fieldsets.clear();
    cx.reply.integer(count as i64);
    Ok(Outcome::Done)
}
