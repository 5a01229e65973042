//! The replication group: SYNC, PSYNC, REPLCONF, ROLE, WAIT.

use super::{doc, integer};
use crate::context::{Caller, Cx};
use crate::replication::{self, Filter, Handshake};
use crate::server::Ochre;
use crate::session::Wait;
use common::command::{Acl, Args, Arity, Command, CommandError, CommandResult, Doc, Flags, Handler, Outcome};
use common::number::parse_i64;

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);
const SYNC: Flags = ADMIN.and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI);

/// Longest address that REPLCONF takes, bytes.
const ADDRESS_MAX: usize = 256;

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    acl: &'static [Acl],
    tips: &'static [&'static str],
    doc: Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    Command { name, arity, flags, acl, keys: &[], tips, doc, subcommands: &[], run }
}

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("psync", Arity::AtLeast(3), SYNC, &[], &[],
        doc("server", "2.8.0", "O(1), then a snapshot or the rest of the stream", "replicationid offset", "Makes the connection a replica's, which continues a stream if it can."), psync),
    entry("replconf", Arity::AtLeast(1), ADMIN.and(Flags::LOADING).and(Flags::STALE).and(Flags::ALLOW_BUSY), &[], &[],
        doc("server", "3.0.0", "O(1)", "", "Tells a master about a replica."), replconf),
    entry("role", Arity::Exactly(1), Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST), &[Acl::Admin, Acl::Dangerous], &[],
        doc("server", "2.8.12", "O(1)", "", "Tells the part that the server plays in replication."), role),
    entry("sync", Arity::Exactly(1), SYNC, &[], &[],
        doc("server", "1.0.0", "O(1), then a snapshot", "", "Makes the connection a replica's."), sync),
    entry("wait", Arity::Exactly(3), Flags::BLOCKING, &[Acl::Connection], &["request_policy:all_shards", "response_policy:agg_min"],
        doc("generic", "3.0.0", "O(1)", "numreplicas timeout", "Waits until replicas have the connection's last write."), wait),
];

fn sync(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    become_replica(cx, None)
}

fn psync(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if args.count() > 3 && args.get(3).eq_ignore_ascii_case(b"failover") {
        return Err("ERR PSYNC FAILOVER can't be sent to a master.".into());
    }
    let id = args.next();
    become_replica(cx, Some((id, integer(args.next())?)))
}

fn become_replica(cx: &mut Cx<'_>, wish: Option<(&[u8], i64)>) -> CommandResult {
    if cx.session().replica.is_some() {
        return Ok(Outcome::Done);
    }
    let slot = cx.slot;
    let unsent = cx.server.clients.get(slot).map_or(0, |client| client.unsent());
    if !cx.reply.is_empty() || unsent > 0 {
        return Err("ERR SYNC and PSYNC are invalid with pending output".into());
    }
    let handshake = cx.session().handshake.as_deref();
    if handshake.is_some_and(|handshake| handshake.filter.is_some() && !handshake.eof) {
        return Err("ERR Filtered replica requires EOF capability".into());
    }
    replication::sync(cx.server, slot, wish);
    Ok(Outcome::Done)
}

fn replconf(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if !args.left().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    while let Some(option) = args.try_next() {
        let option = option.to_ascii_lowercase();
        let value = args.next();
        match option.as_slice() {
            b"listening-port" => handshake(cx).listening_port = integer(value)?,
            b"ip-address" if value.len() < ADDRESS_MAX => handshake(cx).address = Some(value.to_vec()),
            b"ip-address" => {
                return Err(CommandError::Message(format!(
                    "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    value.len()
                )));
            }
            // Capabilities that this master does not know are none of its business.
            b"capa" if value.eq_ignore_ascii_case(b"eof") => handshake(cx).eof = true,
            b"capa" if value.eq_ignore_ascii_case(b"psync2") => handshake(cx).psync2 = true,
            b"capa" => {}
            b"rdb-only" => handshake(cx).rdb_only = rdb_only(value)?,
            b"rdb-filter-only" => filter(cx, value)?,
            // These two are never answered.
            b"ack" => {
                acknowledge(cx, value);
                return Ok(Outcome::Done);
            }
            b"getack" => return Ok(Outcome::Done),
            _ => {
                let option = args.get(args.count() - args.left() - 2);
                return Err(CommandError::quoting("ERR Unrecognized REPLCONF option: ", option, ""));
            }
        }
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn handshake<'c>(cx: &'c mut Cx<'_>) -> &'c mut Handshake {
    cx.session().handshake.get_or_insert_default()
}

/// What the snapshot shall hold: nothing but what is named, so in any case no keys.
fn filter(cx: &mut Cx<'_>, value: &[u8]) -> Result<(), CommandError> {
    let mut names = value.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()).peekable();
    handshake(cx).filter = Some(if names.peek().is_some() { Filter::Functions } else { Filter::Nothing });
    match names.find(|name| !name.eq_ignore_ascii_case(b"functions")) {
        None => Ok(()),
        Some(name) => Err(CommandError::quoting("ERR Unsupported rdb-filter-only option: ", name, "")),
    }
}

fn rdb_only(value: &[u8]) -> Result<bool, CommandError> {
    match integer(value)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("ERR value is out of range, value must between 0 and 1".into()),
    }
}

fn acknowledge(cx: &mut Cx<'_>, offset: &[u8]) {
    let Some(offset) = parse_i64(offset) else { return };
    let slot = cx.slot;
    if replication::acknowledge(cx.server, slot, offset) {
        crate::dispatch::wake_replica_waits(cx.server);
    }
}

fn role(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    replication::role(cx.server, &mut cx.reply);
    Ok(Outcome::Done)
}

fn wait(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let count = integer(args.next())?;
    let timeout_ms =
        parse_i64(args.next()).ok_or(CommandError::Text("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err("ERR timeout is negative".into());
    }
    if timeout_ms.checked_add(cx.server.time.now_ms()).is_none() {
        return Err("ERR timeout is out of range".into());
    }
    let offset = cx.session().written_offset;
    let acknowledged = cx.server.replication.acknowledged(&cx.server.clients, offset) as i64;
    if acknowledged >= count || cx.caller != Caller::Client {
        cx.reply.integer(acknowledged);
        return Ok(Outcome::Done);
    }
    let deadline = cx.deadline(timeout_ms);
    cx.wait = Some((Wait::Replicas { offset, count }, deadline));
    cx.server.replication.request_acknowledgements();
    Ok(Outcome::Block)
}
