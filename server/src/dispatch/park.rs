//! Blocked clients: parking their batch, waking them, running their command again.

use super::Flow;
use super::call::call_alone;
use crate::context::Cx;
use crate::scripting::ScriptHost;
use crate::server::{Key, Server};
use crate::session::{Parked, TimeoutReply, Wait};
use common::clients::Slot;
use common::command::{Args, CommandError};
use common::net::Batch;
use common::resp::Reply;
use std::rc::Rc;
use store::DbIndex;

/// What a parked client waits for and until when.
pub type Parking = (Wait, Option<i64>);

/// Lets a client wait, its batch with it.
pub fn park(server: &mut Server, slot: Slot, batch: Box<Batch>, (wait, deadline_ms): Parking) {
    server.blocked.park(&mut server.clients, slot, Box::new(Parked { batch, wait, deadline_ms }));
}

/// Serves those who wait for keys that changed, first come first.
///
/// Their commands run here, between two commands of whoever made the change; the rest of their batches follows at
/// the end of the turn. Keys that those commands change in turn join the end of the queue: to serve them at once would
/// nest as deep as there are clients, and let the rest of their batches run in reverse.
pub fn serve_ready(server: &mut Box<Server>, host: &Rc<ScriptHost>) {
    while let Some(place) = server.blocked.next_ready() {
        let (db, key) = &place;
        let key = Key::new(key, server.keyspace.hash(key));
        if server.find(*db, key).is_none() && !server.blocked.any_until_gone() {
            continue; // nobody can be served, however many wait
        }
        for slot in server.blocked.waiting_for(&place) {
            if server.find(*db, key).is_some() {
                retry(server, host, slot, *db);
            } else if !server.blocked.any_until_gone() {
                break;
            } else if waits_until_gone(server, slot) {
                retry(server, host, slot, *db);
            }
        }
        server.replication.commit();
    }
}

/// Whether a client wants to hear that a key is gone.
fn waits_until_gone(server: &Server, slot: Slot) -> bool {
    let parked = server.clients.get(slot).and_then(|client| client.ext.parked.as_deref());
    matches!(parked, Some(Parked { wait: Wait::Keys { until_gone: true, .. }, .. }))
}

/// Runs a blocked client's command again. The caller serves those who wait for what that changes.
fn retry(server: &mut Box<Server>, host: &Rc<ScriptHost>, slot: Slot, db: DbIndex) {
    let Some(parked) = server.clients.get_mut(slot).and_then(|client| client.ext.parked.take()) else {
        return;
    };
    let args = Args::over(&parked.batch.buf, parked.batch.requests.get(parked.batch.next));
    let resolved = server.table.resolve(&args);
    let mut cx = Cx::begin(server, host, slot);
    cx.db = db;
    cx.resumed = Some(parked.deadline_ms);
    if let Wait::Keys { ids, .. } = &parked.wait {
        cx.waited_ids.clone_from(ids);
    }
    let mark = cx.reply.mark();
    let flow = match resolved {
        Ok(id) => {
            let command = cx.server.table.command(id);
            call_alone(&mut cx, id, command, &args)
        }
        Err(error) => {
            cx.reply.error(&error.wire());
            Flow::Next
        }
    };
    if flow == Flow::Next {
        cx.server.clients.settle_reply(slot, &mut cx.reply, mark);
    }
    cx.finish();
    if let Some(client) = server.clients.get_mut(slot) {
        client.ext.parked = Some(parked);
    }
    if flow == Flow::Next {
        release(server, slot);
    }
}

/// Ends a client's wait, whose reply is written: the turn goes on with its batch.
fn release(server: &mut Server, slot: Slot) {
    let Some(parked) = server.blocked.unpark(&mut server.clients, slot) else { return };
    let mut batch = parked.batch;
    batch.next += 1;
    server.resumed.push_back((slot, batch));
    server.clients.mark(slot);
}

/// Writes the reply of a client that waits, unless CLIENT REPLY says that there shall be none.
fn answer(server: &mut Server, slot: Slot, write: impl FnOnce(&mut Reply)) {
    let Some(client) = server.clients.get_mut(slot) else { return };
    let unused = Reply::new(client.output.resp);
    let mut output = std::mem::replace(&mut client.output, unused);
    let mark = output.mark();
    write(&mut output);
    server.clients.settle_reply(slot, &mut output, mark);
    if let Some(client) = server.clients.get_mut(slot) {
        client.output = output;
    }
}

/// CLIENT UNBLOCK: ends a wait as by its timeout, or with an error.
pub fn unblock(server: &mut Server, slot: Slot, with_error: bool) -> bool {
    let Some(client) = server.clients.get(slot) else { return false };
    if client.ext.parked.as_deref().is_none_or(|parked| matches!(parked.wait, Wait::Pause)) {
        return false; // a pause ends for all at once
    }
    if !with_error {
        time_out(server, slot);
        return true;
    }
    let error = CommandError::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    answer(server, slot, |output| output.error(&error.wire()));
    server.stats.count_error(&error);
    count_call(server, slot, true);
    release(server, slot);
    true
}

/// Counts the call of a client whose wait ends without its command running again.
fn count_call(server: &mut Server, slot: Slot, failed: bool) {
    let parked = server.clients.get(slot).and_then(|client| client.ext.parked.as_deref());
    let Some(Parked { batch, .. }) = parked else { return };
    let args = Args::over(&batch.buf, batch.requests.get(batch.next));
    if let Ok(id) = server.table.resolve(&args) {
        let counts = &mut server.stats.commands[id.index()];
        counts.calls += 1;
        counts.failed += u64::from(failed);
        server.stats.total_commands += 1;
    }
}

/// Ends the waits whose time is up, and has those try again whose alarm rings.
pub fn wake_overdue(server: &mut Box<Server>, host: &Rc<ScriptHost>) {
    server.end_overdue_pauses();
    let now_ms = server.time.now_ms();
    while let Some(slot) = server.blocked.overdue(now_ms) {
        time_out(server, slot);
    }
    while let Some(slot) = server.blocked.next_alarm(now_ms) {
        let parked = server.clients.get(slot).and_then(|client| client.ext.parked.as_deref());
        let Some(Parked { wait: Wait::Keys { keys, .. }, .. }) = parked else { continue };
        if let Some((db, _)) = keys.first() {
            retry(server, host, slot, *db);
        }
    }
    serve_ready(server, host);
}

fn time_out(server: &mut Server, slot: Slot) {
    let acknowledged = |server: &Server, offset| server.replication.acknowledged(&server.clients, offset);
    let Some(parked) = server.clients.get(slot).and_then(|client| client.ext.parked.as_deref()) else {
        return;
    };
    let reply = match parked.wait {
        Wait::Keys { on_timeout, .. } => Err(on_timeout),
        Wait::Replicas { offset, .. } => Ok(acknowledged(server, offset)),
        Wait::Pause => return,
    };
    answer(server, slot, |output| match reply {
        Err(TimeoutReply::NullArray) => output.null_array(),
        Err(TimeoutReply::Null) => output.null(),
        Ok(replicas) => output.integer(replicas as i64),
    });
    count_call(server, slot, false);
    release(server, slot);
}

/// Ends the waits for replicas that have acknowledged enough.
pub fn wake_replica_waits(server: &mut Server) {
    for slot in server.blocked.waiting_for_replicas() {
        let Some(parked) = server.clients.get(slot).and_then(|client| client.ext.parked.as_deref()) else {
            continue;
        };
        let Wait::Replicas { offset, count } = parked.wait else { continue };
        let replicas = server.replication.acknowledged(&server.clients, offset) as i64;
        if replicas >= count {
            answer(server, slot, |output| output.integer(replicas));
            count_call(server, slot, false);
            release(server, slot);
        }
    }
}
