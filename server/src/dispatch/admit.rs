//! The guards in front of every command, in the order that clients can observe.

use crate::commands::scripting::declared;
use crate::context::Cx;
use crate::eviction::Room;
use crate::replication;
use crate::server::{Ochre, Server};
use common::clients::ReplyMode;
use common::command::{Args, Command, CommandError, CommandId, Flags};
use common::resp::Resp;

/// Runs all guards.
pub(super) fn guards(
    cx: &mut Cx<'_>,
    id: CommandId,
    command: &Command<Ochre>,
    args: &Args<'_>,
) -> Result<(), CommandError> {
    let flags = flags_of_request(cx.server, command.flags, args);
    protected(cx, command)?;
    authenticated(cx, command)?;
    allowed_in_multi(cx, command)?;
    memory(cx, flags)?;
    disk_is_well(cx, flags)?;
    enough_replicas(cx, flags)?;
    subscribed_mode(cx, id, command)?;
    loading(cx, command)?;
    busy_script(cx, command)?;
    replica_keeps_out(cx, command)?;
    Ok(())
}

/// Whether each guard but that of memory would let every plain command ([`Flags::is_plain`]) of this client pass, none
/// would be queued, and replies go out as they are written. Nearly all requests find it so; asking once for a batch
/// instead of guard by guard saves them an eighth of their instructions.
pub(super) fn is_at_ease(cx: &Cx<'_>) -> bool {
    let server = &cx.server;
    let is_healthy = !server.persistence.refuses_writes(&server.config)
        && server.config.min_replicas_to_write == 0
        && !server.lifecycle.loading
        && !server.pause.is_active()
        && !server.scripts.is_busy();
    is_healthy
        && server.clients.get(cx.slot).is_some_and(|client| {
            client.authenticated
                && client.reply_mode == ReplyMode::On
                && client.ext.multi.is_none()
                && !client.ext.is_shown_changes()
                && (cx.reply.resp == Resp::V3 || client.subscriptions() == 0)
                && !client.is_closing()
        })
}

/// DEBUG and MODULE may be limited to this machine or switched off, before anything else can be learnt.
fn protected(cx: &Cx<'_>, command: &Command<Ochre>) -> Result<(), CommandError> {
    if !command.flags.any(Flags::PROTECTED.and(Flags::PROTECTED_MODULE)) {
        return Ok(());
    }
    let config = &cx.server.config;
    let (name, directive, protection) = if command.flags.has(Flags::PROTECTED) {
        ("DEBUG", "enable-debug-command", config.enable_debug_command)
    } else {
        ("MODULE", "enable-module-command", config.enable_module_command)
    };
    let slot = cx.slot;
    let is_local = cx.server.clients.get(slot).and_then(|c| c.link()).is_none_or(|link| link.is_loopback());
    if protection.allows(is_local) {
        return Ok(());
    }
    Err(CommandError::Message(format!(
        "ERR {name} command not allowed. If the {directive} option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
    )))
}

fn authenticated(cx: &Cx<'_>, command: &Command<Ochre>) -> Result<(), CommandError> {
    let slot = cx.slot;
    if command.flags.has(Flags::NO_AUTH)
        || cx.server.clients.get(slot).is_some_and(|client| client.authenticated)
    {
        return Ok(());
    }
    Err(CommandError::NoAuth)
}

fn allowed_in_multi(cx: &mut Cx<'_>, command: &Command<Ochre>) -> Result<(), CommandError> {
    if command.flags.has(Flags::NO_MULTI) && cx.session().multi.is_some() {
        return Err("ERR Command not allowed inside a transaction".into());
    }
    Ok(())
}

/// Makes room at `maxmemory`; where none is to be had, what may need memory is refused. So is queueing it: a
/// transaction could grow without end.
#[inline]
pub(super) fn memory(cx: &mut Cx<'_>, flags: Flags) -> Result<(), CommandError> {
    if cx.server.config.max_memory == 0 {
        cx.server.scripts.lacks_memory = false;
        return Ok(());
    }
    refuse_at_limit(cx, flags)
}

fn refuse_at_limit(cx: &mut Cx<'_>, flags: Flags) -> Result<(), CommandError> {
    let lacks_memory = cx.server.make_room() == Room::Lacking;
    cx.server.scripts.lacks_memory = lacks_memory;
    if cx.server.is_observed {
        // A client hears of what was evicted for its command before the reply, as from Redis.
        cx.server.clients.flush_deferred(cx.slot, &mut cx.reply);
        cx.silent_from = Some(cx.reply.mark()).filter(|_| !cx.at_ease);
    }
    if !lacks_memory {
        return Ok(());
    }
    let needs_memory = match &cx.session().multi {
        None => flags.has(Flags::DENYOOM),
        Some(multi) if flags.has(Flags::RUNS_QUEUED) => multi.needs_memory,
        Some(_) => !flags.has(Flags::UNQUEUED),
    };
    if needs_memory { Err(CommandError::OutOfMemory) } else { Ok(()) }
}

/// What a transaction's commands amount to is judged when EXEC comes.
fn writes(cx: &mut Cx<'_>, flags: Flags) -> bool {
    flags.has(Flags::WRITE)
        || flags.has(Flags::RUNS_QUEUED) && cx.session().multi.as_ref().is_some_and(|multi| multi.writes)
}

fn disk_is_well(cx: &mut Cx<'_>, flags: Flags) -> Result<(), CommandError> {
    if cx.server.persistence.refuses_writes(&cx.server.config)
        && (writes(cx, flags) || flags.has(Flags::TELLS_DISK))
    {
        return Err(crate::persistence::MISCONF.into());
    }
    Ok(())
}

fn enough_replicas(cx: &mut Cx<'_>, flags: Flags) -> Result<(), CommandError> {
    let is_asked = cx.server.config.min_replicas_to_write > 0 && writes(cx, flags);
    if is_asked && replication::lacks_replicas(cx.server) {
        return Err(replication::NO_REPLICAS.into());
    }
    Ok(())
}

/// The flags of a command, or what the script or function that it runs declares instead.
pub fn flags_of_request(server: &Server, flags: Flags, args: &Args<'_>) -> Flags {
    if !flags.has(Flags::SCRIPT_RUNNER) {
        return flags;
    }
    declared(server, args).map_or(flags, |declared| declared.of_command(flags))
}

/// In RESP2 a subscribed client can't tell replies from messages: only what pub/sub needs is served.
fn subscribed_mode(cx: &Cx<'_>, id: CommandId, command: &Command<Ochre>) -> Result<(), CommandError> {
    if cx.reply.resp == Resp::V3 || command.flags.has(Flags::SUBSCRIBED) {
        return Ok(());
    }
    let slot = cx.slot;
    if cx.server.clients.get(slot).is_none_or(|client| client.subscriptions() == 0) {
        return Ok(());
    }
    let name = cx.server.table.full_name(id);
    Err(CommandError::only_in_subscribed_mode(name))
}

fn loading(cx: &Cx<'_>, command: &Command<Ochre>) -> Result<(), CommandError> {
    if cx.server.lifecycle.loading && !command.flags.has(Flags::LOADING) {
        return Err("LOADING Redis is loading the dataset in memory".into());
    }
    Ok(())
}

fn busy_script(cx: &Cx<'_>, command: &Command<Ochre>) -> Result<(), CommandError> {
    if !cx.server.scripts.is_busy() || command.flags.has(Flags::ALLOW_BUSY) {
        return Ok(());
    }
    Err(cx.server.scripts.busy_error())
}

fn replica_keeps_out(cx: &mut Cx<'_>, command: &Command<Ochre>) -> Result<(), CommandError> {
    let uses_keys = Flags::WRITE.and(Flags::READONLY).and(Flags::MAY_REPLICATE);
    if command.flags.any(uses_keys) && cx.session().is_shown_changes() {
        return Err("ERR Replica can't interact with the keyspace".into());
    }
    Ok(())
}
