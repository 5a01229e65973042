//! Keys that get another name or database: RENAME, RENAMENX, MOVE, COPY.
//!
//! A value moves as it is, and a copy of a big one shares its nodes with the original until one of them changes: none of
//! these commands costs more for a large value than for a small one.

use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::{DbIndex, Expire, Kind};

const SAME: CommandError = CommandError::Text("ERR source and destination objects are the same");

fn kept(expire: Option<i64>) -> Expire {
    expire.map_or(Expire::None, Expire::At)
}

/// The type of what is at a place.
fn kind_at(cx: &mut Cx<'_>, (db, key): (DbIndex, Key<'_>)) -> Option<Kind> {
    cx.server.find(db, key).map(|entry| entry.kind())
}

/// Takes a key out and puts its value elsewhere, where nothing is. The key is there.
fn carry(cx: &mut Cx<'_>, from: (DbIndex, Key<'_>), to: (DbIndex, Key<'_>)) {
    let (db, key) = from;
    let removed = cx.server.keyspace.db_mut(db).remove(key.hash, key.bytes).expect("it was just found");
    let (db, key) = to;
    let (value, expire) = (removed.to_new(), kept(removed.expire()));
    let target = cx.server.keyspace.db_mut(db);
    target.set(key.hash, key.bytes, value, expire);
    target.touch(key.hash, key.bytes, removed.access());
    cx.server.notify_new(db, key.bytes);
}

pub(super) fn rename(cx: &mut Cx<'_>, args: &mut Args<'_>, only_if_free: bool) -> CommandResult {
    let (from, to) = (cx.key(args.next()), cx.key(args.next()));
    let Some(new) = kind_at(cx, (cx.db, from)) else {
        return Err("ERR no such key".into());
    };
    let same = from.bytes == to.bytes;
    let old = if same { None } else { kind_at(cx, (cx.db, to)) };
    if same || old.is_some() && only_if_free {
        if only_if_free {
            cx.reply.integer(0);
        } else {
            cx.reply.ok();
        }
        return Ok(Outcome::Done);
    }
    if old.is_some() {
        let lazily = cx.server.config.lazyfree_lazy_server_del;
        cx.server.remove(cx.db, to, lazily);
    }
    carry(cx, (cx.db, from), (cx.db, to));
    cx.changed_by(0, from, Event::RENAME_FROM);
    cx.changed(to, Event::RENAME_TO);
    if let Some(old) = old {
        cx.server.notify_overwritten(cx.db, to.bytes, (old, new));
    }
    if only_if_free {
        cx.reply.integer(1);
    } else {
        cx.reply.ok();
    }
    Ok(Outcome::Done)
}

pub(super) fn move_key(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let target = cx.database_named(args.next())?;
    if target == cx.db {
        return Err(SAME);
    }
    let source = cx.db;
    if cx.server.find(source, key).is_none() || cx.server.find(target, key).is_some() {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    }
    carry(cx, (source, key), (target, key));
    cx.server.changed(source, key.bytes, Event::MOVE_FROM, 0);
    cx.server.changed(target, key.bytes, Event::MOVE_TO, 1);
    cx.reply.integer(1);
    Ok(Outcome::Done)
}

pub(super) fn copy(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (from, to) = (cx.key(args.next()), cx.key(args.next()));
    let (source, mut target, mut replaces) = (cx.db, cx.db, false);
    while args.left() > 0 {
        if args.take("REPLACE") {
            replaces = true;
        } else if args.left() > 1 && args.take("DB") {
            target = cx.database_named(args.next())?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if source == target && from.bytes == to.bytes {
        return Err(SAME);
    }
    let new = cx.server.read(source, from).map(|entry| entry.kind());
    let old = new.and_then(|_| kind_at(cx, (target, to)));
    let Some(new) = new.filter(|_| old.is_none() || replaces) else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    if old.is_some() {
        let lazily = cx.server.config.lazyfree_lazy_server_del;
        cx.server.remove(target, to, lazily);
    }
    cx.server.keyspace.copy((source, from.hash, from.bytes), (target, to.hash, to.bytes));
    cx.server.notify_new(target, to.bytes);
    cx.server.changed(target, to.bytes, Event::COPY_TO, 1);
    if let Some(old) = old {
        cx.server.notify_overwritten(target, to.bytes, (old, new));
    }
    cx.reply.integer(1);
    Ok(Outcome::Done)
}
