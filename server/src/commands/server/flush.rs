//! FLUSHALL, FLUSHDB, SWAPDB.

use crate::context::Cx;
use crate::replication::Propagate;
use crate::server::Server;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::DbIndex;

/// Whether to free in the background: as asked for, else as configured.
fn lazily(cx: &Cx<'_>, args: &mut Args<'_>) -> Result<bool, CommandError> {
    match args.left() {
        0 => Ok(cx.server.config.lazyfree_lazy_user_flush),
        1 if args.take("ASYNC") => Ok(true),
        1 if args.take("SYNC") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

impl Server {
    /// Empties a database; the number of keys deleted.
    pub fn empty_db(&mut self, db: DbIndex, lazily: bool) -> u64 {
        let keyspace = &self.keyspace;
        let exists = |key: &[u8]| keyspace.db(db).get(keyspace.hash(key), key).is_some();
        self.watches.touch_all(&mut self.clients, db, exists, |_| None);
        let deleted = self.keyspace.db(db).len() as u64;
        let garbage = self.keyspace.db_mut(db).clear();
        if lazily {
            self.garbage.release(garbage, true);
        } else {
            drop(garbage); // SYNC promises that the memory is free when the reply comes
        }
        self.blocked.signal_database(db);
        deleted
    }
}

pub(super) fn flushdb(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let lazily = lazily(cx, args)?;
    let db = cx.db;
    let deleted = cx.server.empty_db(db, lazily);
    cx.server.invalidate_all(); // keys are cached by name, whatever their database
    cx.server.dirty += deleted;
    cx.propagate = Propagate::Forced; // replicas may hold what we don't
    cx.reply.ok();
    Ok(Outcome::Done)
}

pub(super) fn flushall(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let lazily = lazily(cx, args)?;
    cx.server.abort_snapshot_for_flush();
    let mut deleted = 0;
    for index in 0..cx.server.keyspace.count() {
        deleted += cx.server.empty_db(DbIndex(index), lazily);
    }
    cx.server.invalidate_all();
    // One more, so that even an empty database is worth saving: the file may still hold what was deleted.
    cx.server.dirty += deleted + 1;
    cx.server.save_after_flush();
    cx.propagate = Propagate::Forced;
    cx.reply.ok();
    Ok(Outcome::Done)
}

pub(super) fn swapdb(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let index =
        |word, error| parse_i64(word).filter(|n| i32::try_from(*n).is_ok()).ok_or(CommandError::Text(error));
    let first = index(args.next(), "ERR invalid first DB index")?;
    let second = index(args.next(), "ERR invalid second DB index")?;
    let (one, other) = (cx.database(first)?, cx.database(second)?);
    if one != other {
        let server = &mut *cx.server;
        let keyspace = &server.keyspace;
        let now_ms = server.time.now_ms();
        let find = |db: DbIndex, key: &[u8]| keyspace.db(db).get(keyspace.hash(key), key);
        let expired =
            |db, key: &[u8]| find(db, key).map(|entry| entry.expire().is_some_and(|at| at <= now_ms));
        for (from, to) in [(one, other), (other, one)] {
            let exists = |key: &[u8]| find(from, key).is_some();
            server.watches.touch_all(&mut server.clients, from, exists, |key| expired(to, key));
        }
        server.keyspace.swap(one, other);
        server.blocked.signal_database(one);
        server.blocked.signal_database(other);
    }
    cx.server.dirty += 1;
    cx.reply.ok();
    Ok(Outcome::Done)
}
