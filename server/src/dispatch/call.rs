//! Running a command: its code, its statistics, its propagation.

use super::{Flow, park};
use crate::context::{Caller, Cx};
use crate::replication::Propagate;
use crate::server::Ochre;
use crate::stats::LogKind;
use crate::{hotkeys, monitor, tracking};
use common::command::{Args, Command, CommandError, CommandId, Flags, Outcome};

/// Runs a command of a client that passed all guards, and all that follows from it at once.
pub fn call(cx: &mut Cx<'_>, id: CommandId, command: &'static Command<Ochre>, args: &Args<'_>) -> Flow {
    let flow = call_alone(cx, id, command, args);
    if cx.server.blocked.any_ready() {
        park::serve_ready(cx.server, cx.host);
    }
    flow
}

/// As [`call`], but those who wait for keys that it changed are left to the caller.
pub(super) fn call_alone(
    cx: &mut Cx<'_>,
    id: CommandId,
    command: &'static Command<Ochre>,
    args: &Args<'_>,
) -> Flow {
    let slot = cx.slot;
    if let Some(client) = cx.server.clients.get_mut(slot) {
        client.last_command = Some(cx.server.table.full_name(id));
        cx.server.access.is_paused = client.no_touch;
        cx.server.time.set_sight(client.ext.is_import_source && cx.server.config.import_mode);
        crate::crash::note(client.id, cx.server.table.full_name(id));
    }
    let outcome = perform(cx, id, command, args);
    if cx.server.replication.commit() {
        let offset = cx.server.replication.offset();
        if let Some(client) = cx.server.clients.get_mut(slot) {
            client.ext.written_offset = offset;
        }
    }
    match outcome {
        Some(Outcome::Block) => Flow::Park,
        _ => Flow::Next,
    }
}

/// Runs a command within EXEC or a script: what it propagates joins what they propagate.
pub fn call_nested(cx: &mut Cx<'_>, id: CommandId, command: &'static Command<Ochre>, args: &Args<'_>) {
    perform(cx, id, command, args);
}

/// Runs the handler; `None` when it failed.
fn perform(
    cx: &mut Cx<'_>,
    id: CommandId,
    command: &'static Command<Ochre>,
    args: &Args<'_>,
) -> Option<Outcome> {
    let (mark, written, dirty) = (cx.reply.mark(), cx.reply.len(), cx.server.dirty);
    // Only a call within another finds something here.
    let outer = (cx.caller != Caller::Client).then(|| std::mem::take(&mut cx.propagate));
    let db = cx.db;
    let mut args = args.clone();
    // The last sample was taken when the command before this one ended. What EXEC and scripts call takes samples of its
    // own, hence a difference.
    let started_ns = cx.server.time.now_ns();
    let result = (command.run)(cx, &mut args);
    let blocked = matches!(result, Ok(Outcome::Block));
    cx.server.time.sample();
    let elapsed = cx.server.time.now_ns() - started_ns;
    let stats = &mut cx.server.stats;
    if !blocked {
        stats.total_commands += 1;
        let counts = &mut stats.commands[id.index()];
        counts.calls += 1;
        counts.nanoseconds += elapsed;
        if cx.server.config.latency_tracking {
            counts.latency.record(elapsed);
        }
    }
    if cx.server.is_observed {
        if cx.resumed.is_none() {
            monitor::show(cx, command, &args);
        }
        tracking::remember(cx, id, command, &args);
    }
    match &result {
        Ok(Outcome::Done | Outcome::Block) => {}
        Ok(Outcome::Failed) => cx.server.stats.commands[id.index()].failed += 1,
        Err(error) => fail(cx, id, mark, error),
    }
    // What was written before may have gone out meanwhile.
    let replied = cx.reply.len().saturating_sub(written);
    if cx.server.is_observed && !blocked {
        hotkeys::note(cx, id, &args, elapsed, (request_bytes(&args) + replied) as u64);
    }
    let slow = &cx.server.slow;
    let is_large = replied >= slow.large_reply || cx.query_buffer.0 >= slow.large_request;
    if (elapsed >= slow.noteworthy_ns || is_large) && !blocked {
        note(cx, command, &args, elapsed, replied);
    }
    let propagate = std::mem::take(&mut cx.propagate);
    if let Some(outer) = outer {
        cx.propagate = outer;
    }
    if cx.server.replication.is_active() {
        propagate_call(cx, db, propagate, dirty, &args);
    }
    result.ok()
}

/// Tells the logs and the latency monitor of a command that took long or may have been large.
#[cold]
fn note(cx: &mut Cx<'_>, command: &Command<Ochre>, args: &Args<'_>, elapsed_ns: u64, replied: usize) {
    let at_s = cx.server.time.now_ms() / 1000;
    let event = if command.flags.has(Flags::FAST) { "fast-command" } else { "command" };
    cx.server.slow.sample(event, at_s, elapsed_ns);
    if command.flags.has(Flags::SKIP_SLOWLOG) {
        return;
    }
    // What a script calls did not come as a request.
    let asked = if cx.query_buffer.0 > 0 { request_bytes(args) } else { 0 };
    let values = [
        (LogKind::Slow, elapsed_ns / 1000),
        (LogKind::LargeRequest, asked as u64),
        (LogKind::LargeReply, replied as u64),
    ];
    for (kind, value) in values {
        if !cx.server.slow.logs(kind, value) {
            continue;
        }
        // A script's commands are nobody's, as in Redis.
        let client = cx.server.clients.get(cx.slot).filter(|_| cx.caller != Caller::Script);
        let (peer, name) = client.map_or_else(
            || ("?:0".to_owned(), Vec::new()),
            |client| (client.address().to_owned(), client.name.clone()),
        );
        cx.server.slow.log(kind, at_s, value, args, peer, name);
    }
}

/// Bytes that the words take as a request.
fn request_bytes(args: &Args<'_>) -> usize {
    let head = |number: usize| 3 + number.checked_ilog10().unwrap_or(0) as usize + 1;
    head(args.count()) + args.all().map(|word| head(word.len()) + word.len() + 2).sum::<usize>()
}

#[cold]
fn fail(cx: &mut Cx<'_>, id: CommandId, mark: common::resp::Mark, error: &CommandError) {
    cx.reply.truncate(mark);
    cx.reply.error(&error.wire());
    cx.server.stats.commands[id.index()].failed += 1;
    cx.server.stats.count_error(error);
}

fn propagate_call(cx: &mut Cx<'_>, db: store::DbIndex, propagate: Propagate, dirty: u64, args: &Args<'_>) {
    let changed = cx.server.dirty != dirty;
    match propagate {
        Propagate::AsIs if !changed => {}
        Propagate::Nothing => {}
        _ if cx.caller == Caller::Script && cx.server.scripts.is_muted => {}
        Propagate::AsIs | Propagate::Forced => {
            let words: Vec<&[u8]> = args.all().collect();
            cx.server.replication.propagate(db, &words);
        }
        Propagate::Instead(commands) => {
            for words in commands {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                cx.server.replication.propagate(db, &words);
            }
        }
    }
}
