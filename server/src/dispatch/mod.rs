//! From a request to its command: guards, queueing, the call, what follows from it.

mod admit;
mod call;
mod park;
mod table;

pub use admit::flags_of_request;
pub use call::{call, call_nested};
pub use park::{Parking, park, serve_ready, unblock, wake_overdue, wake_replica_waits};
pub use table::{command_table, is_script_runner};

use crate::context::Cx;
use crate::pause;
use crate::session::{Queued, Wait};
use common::command::{Args, Command, CommandError, CommandId, Flags};
use common::net::Hint;

use crate::server::Ochre;

/// What comes after a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next request.
    Next,
    /// The client waits, and with it the rest of its batch.
    Park,
}

/// Runs one request of a client.
pub fn process(cx: &mut Cx<'_>, args: &Args<'_>, hint: Hint) -> Flow {
    if cx.at_ease
        && let Some(id) = cx.server.table.by_hint(hint.command)
    {
        let command = cx.server.table.command(id);
        if command.flags.is_plain()
            && command.arity.accepts(args.count())
            && admit::memory(cx, command.flags).is_ok()
        {
            cx.set_hint(hint.hashed.then(|| args.get(1)), hint);
            let flow = call(cx, id, command, args);
            if cx.server.is_observed {
                crate::tracking::end_request(cx, args);
            }
            cx.server.clients.flush_deferred(cx.slot, &mut cx.reply);
            return flow;
        }
    }
    let flow = process_with_guards(cx, args, hint);
    if cx.server.is_observed {
        crate::tracking::end_request(cx, args);
    }
    take_ease(cx);
    flow
}

/// Finds out whether plain commands need no guards from here on. They can't change that themselves; after any other
/// command it is to be asked anew.
pub fn take_ease(cx: &mut Cx<'_>) {
    cx.at_ease = admit::is_at_ease(cx);
    cx.output_room = cx.server.output_room(cx.slot);
}

fn process_with_guards(cx: &mut Cx<'_>, args: &Args<'_>, hint: Hint) -> Flow {
    let mark = cx.reply.mark();
    let flow = match admit(cx, args, hint) {
        Ok((id, command)) => run(cx, id, command, args, hint),
        Err(error) => {
            cx.server.stats.count_error(&error);
            cx.reply.error(&error.wire());
            Flow::Next
        }
    };
    let mark = cx.silent_from.take().unwrap_or(mark);
    if flow == Flow::Park {
        // What is to become of the reply is settled when there is one.
        cx.server.clients.flush_deferred(cx.slot, &mut cx.reply);
    } else {
        cx.server.clients.settle_reply(cx.slot, &mut cx.reply, mark);
    }
    flow
}

fn admit(
    cx: &mut Cx<'_>,
    args: &Args<'_>,
    hint: Hint,
) -> Result<(CommandId, &'static Command<Ochre>), CommandError> {
    let resolved = match cx.server.table.by_hint(hint.command) {
        Some(id) if cx.server.table.command(id).arity.accepts(args.count()) => Ok(id),
        _ => cx.server.table.resolve(args),
    };
    let id = match resolved {
        Ok(id) => id,
        Err(error) => {
            close_other_protocol(cx, args);
            let named = cx.server.table.named(args);
            note_command(cx, named.as_ref().ok().copied());
            if let Ok(id) = named {
                let command = cx.server.table.command(id);
                cx.server.stats.commands[id.index()].rejected += 1; // a known one with too few or too many words
                return Err(reject(cx, command, error));
            }
            fail_transaction(cx);
            return Err(error);
        }
    };
    let command = cx.server.table.command(id);
    if let Err(error) = admit::guards(cx, id, command, args) {
        note_command(cx, Some(id));
        cx.server.stats.commands[id.index()].rejected += 1;
        return Err(reject(cx, command, error));
    }
    Ok((id, command))
}

/// What CLIENT LIST shows of a client is the command that came last, also if it does not run, or not yet.
#[cold]
fn note_command(cx: &mut Cx<'_>, id: Option<CommandId>) {
    if let Some(client) = cx.server.clients.get_mut(cx.slot) {
        client.last_command = id.map(|id| cx.server.table.full_name(id));
    }
}

/// A browser that is made to send a request here sends lines that are no commands, then a body that may hold some: the
/// connection ends before that.
#[cold]
fn close_other_protocol(cx: &mut Cx<'_>, args: &Args<'_>) {
    let name = args.get(0);
    if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
        tracing::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This \
             is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. \
             Connection aborted."
        );
        cx.server.clients.close_now(cx.slot);
    }
}

/// A refused command breaks the transaction that it was meant for; a refused EXEC says so.
#[cold]
fn reject(cx: &mut Cx<'_>, command: &'static Command<Ochre>, error: CommandError) -> CommandError {
    if command.flags.has(Flags::RUNS_QUEUED) {
        let slot = cx.slot;
        cx.session().multi = None;
        crate::watch::unwatch_all(cx.server, slot);
        let mut text = b"EXECABORT Transaction discarded because of: ".to_vec();
        let wire = error.wire();
        // The reason is quoted without its code when that is the generic one.
        text.extend_from_slice(wire.strip_prefix(b"ERR ").unwrap_or(&wire));
        return CommandError::Raw(text);
    }
    fail_transaction(cx);
    error
}

fn fail_transaction(cx: &mut Cx<'_>) {
    if let Some(multi) = &mut cx.session().multi {
        multi.failed = true;
    }
}

fn run(
    cx: &mut Cx<'_>,
    id: CommandId,
    command: &'static Command<Ochre>,
    args: &Args<'_>,
    hint: Hint,
) -> Flow {
    if pause::holds(cx, command.flags, args) {
        note_command(cx, Some(id));
        cx.server.pause.add(cx.slot);
        cx.wait = Some((Wait::Pause, None));
        return Flow::Park;
    }
    if !command.flags.has(Flags::UNQUEUED) && cx.session().multi.is_some() {
        queue(cx, id, command, args);
        return Flow::Next;
    }
    cx.set_hint(hint.hashed.then(|| args.get(1)), hint);
    call(cx, id, command, args)
}

fn queue(cx: &mut Cx<'_>, id: CommandId, command: &Command<Ochre>, args: &Args<'_>) {
    note_command(cx, Some(id));
    let words = args.to_words();
    let changes = pause::may_change(cx.server, command.flags, args);
    let session = cx.session();
    let multi = session.multi.as_mut().expect("a transaction is open");
    // What will not run is not kept.
    if !multi.failed && !session.watch_broken {
        multi.bytes += words.iter().map(|word| word.len() + size_of::<Vec<u8>>()).sum::<usize>();
        multi.runs_script |= command.flags.has(Flags::SCRIPT_RUNNER);
        multi.writes |= command.flags.has(Flags::WRITE);
        multi.changes |= changes;
        multi.needs_memory |= command.flags.has(Flags::DENYOOM);
        multi.commands.push(Queued { id, words });
    }
    cx.reply.raw(b"+QUEUED\r\n");
}
