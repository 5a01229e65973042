//! The session: HELLO, AUTH, RESET, QUIT, PING, ECHO.

use super::commands::{client_subcommands, valid_name};
use crate::command::{
    Acl, Args, Arity, Command, CommandError, CommandResult, Daemon, Doc, Flags, Handler, Outcome,
};
use crate::context::Context;
use crate::number::parse_i64;
use crate::resp::Resp;

const ACL: &[Acl] = &[Acl::Connection];
const OPEN: Flags = Flags::NOSCRIPT
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::FAST)
    .and(Flags::NO_AUTH)
    .and(Flags::ALLOW_BUSY);

struct Entries<D>(std::marker::PhantomData<D>);

impl<D: Daemon> Entries<D> {
    const ALL: &'static [Command<D>] = &[
        entry(
            "auth",
            Arity::AtLeast(2),
            OPEN,
            "1.0.0",
            "[username] password",
            "Authenticates the connection.",
            auth::<D>,
        ),
        Command {
            subcommands: client_subcommands::<D>(),
            acl: &[],
            ..entry(
                "client",
                Arity::AtLeast(2),
                Flags::NONE,
                "2.4.0",
                "",
                "Looks after connections.",
                unreachable::<D>,
            )
        },
        entry(
            "echo",
            Arity::Exactly(2),
            Flags::LOADING.and(Flags::STALE).and(Flags::FAST).and(Flags::PURE),
            "1.0.0",
            "message",
            "Replies its argument.",
            echo::<D>,
        ),
        entry(
            "hello",
            Arity::AtLeast(1),
            OPEN,
            "6.0.0",
            "[protover [AUTH username password] [SETNAME clientname]]",
            "Chooses the protocol version and describes the server.",
            hello::<D>,
        ),
        entry(
            "ping",
            Arity::AtLeast(1),
            Flags::FAST.and(Flags::SUBSCRIBED).and(Flags::TELLS_DISK).and(Flags::PURE),
            "1.0.0",
            "[message]",
            "Replies PONG or its argument.",
            ping::<D>,
        ),
        entry(
            "quit",
            Arity::AtLeast(1),
            OPEN.and(Flags::UNQUEUED).and(Flags::SUBSCRIBED),
            "1.0.0",
            "",
            "Closes the connection.",
            quit::<D>,
        )
        .deprecated("7.2.0", "closing the connection"),
        entry(
            "reset",
            Arity::Exactly(1),
            OPEN.and(Flags::UNQUEUED).and(Flags::SUBSCRIBED),
            "6.2.0",
            "",
            "Makes the session as new.",
            reset::<D>,
        ),
    ];
}

const fn entry<D: Daemon>(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    since: &'static str,
    syntax: &'static str,
    summary: &'static str,
    run: Handler<D>,
) -> Command<D> {
    let doc = Doc { group: "connection", summary, since, complexity: "O(1)", syntax, deprecated: None };
    let tips: &[&str] = match name.as_bytes() {
        b"ping" => &["request_policy:all_shards", "response_policy:all_succeeded"],
        _ => &[],
    };
    Command { name, arity, flags, acl: ACL, keys: &[], tips, doc, subcommands: &[], run }
}

/// The connection family, but for SELECT, which only a daemon with databases has.
pub fn connection_commands<D: Daemon>() -> &'static [Command<D>] {
    Entries::<D>::ALL
}

/// A container's own handler is never called: its subcommands are.
pub(super) fn unreachable<D: Daemon>(_cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    Err(crate::pubsub::wrong_subcommand(args))
}

fn ping<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if args.count() > 2 {
        return Err(CommandError::Arity("ping".into()));
    }
    let message = args.try_next();
    let slot = cx.slot();
    let subscribed =
        cx.reply().resp == Resp::V2 && cx.clients().get(slot).is_some_and(|c| c.subscriptions() > 0);
    let reply = cx.reply();
    match message {
        _ if subscribed => {
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(message.unwrap_or_default());
        }
        Some(message) => reply.bulk(message),
        None => reply.raw(b"+PONG\r\n"),
    }
    Ok(Outcome::Done)
}

fn echo<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    cx.reply().bulk(args.next());
    Ok(Outcome::Done)
}

fn quit<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.reply().ok();
    let slot = cx.slot();
    cx.clients().close_after_reply(slot);
    Ok(Outcome::Done)
}

fn auth<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (user, password) = match args.left() {
        1 => (None, args.next()),
        2 => (Some(args.next()), args.next()),
        _ => return Err(CommandError::Syntax),
    };
    cx.authenticate(user, password)?;
    let slot = cx.slot();
    cx.clients().set_authenticated(slot, true);
    cx.reply().ok();
    Ok(Outcome::Done)
}

/// Checks the password of the default user, the only one without ACLs.
///
/// # Errors
/// Redis's texts for a wrong pair, and for a password where none is set.
pub fn check_default_user(expected: &[u8], user: Option<&[u8]>, password: &[u8]) -> Result<(), CommandError> {
    if user.is_none() && expected.is_empty() {
        return Err("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?".into());
    }
    let is_default = user.is_none_or(|user| user == b"default");
    if is_default && (expected.is_empty() || same(expected, password)) {
        Ok(())
    } else {
        Err(CommandError::WrongPass)
    }
}

/// Compares without revealing by its time where two passwords differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(a.len() ^ b.len(), |acc, (x, y)| acc | usize::from(x ^ y));
    differing == 0
}

fn hello<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let mut resp = None;
    if let Some(version) = args.try_next() {
        let version = parse_i64(version)
            .ok_or(CommandError::Text("ERR Protocol version is not an integer or out of range"))?;
        resp = Some(match version {
            2 => Resp::V2,
            3 => Resp::V3,
            _ => return Err("NOPROTO unsupported protocol version".into()),
        });
    }
    let slot = cx.slot();
    let mut name = None;
    while args.left() > 0 {
        if args.left() >= 3 && args.take("AUTH") {
            let (user, password) = (args.next(), args.next());
            cx.authenticate(Some(user), password)?;
            cx.clients().set_authenticated(slot, true);
        } else if args.left() >= 2 && args.take("SETNAME") {
            name = Some(args.next());
            valid_name(name.unwrap_or_default(), "Client names")?;
        } else {
            return Err(CommandError::quoting("ERR Syntax error in HELLO option '", args.next(), "'"));
        }
    }
    let (mode, role) = cx.identity();
    let client = cx.clients().get_mut(slot).expect("the running client is registered");
    if !client.authenticated {
        return Err("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time".into());
    }
    if let Some(name) = name {
        client.name = name.to_vec();
    }
    let id = client.id;
    let reply = cx.reply();
    reply.resp = resp.unwrap_or(reply.resp);
    reply.map(6 + usize::from(role.is_some()));
    let mut field = |name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    field("server", "redis");
    field("version", crate::REDIS_VERSION);
    reply.bulk(b"proto");
    reply.integer(if reply.resp == Resp::V3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id.cast_signed());
    reply.bulk(b"mode");
    reply.bulk(mode.as_bytes());
    if let Some(role) = role {
        reply.bulk(b"role");
        reply.bulk(role.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(Outcome::Done)
}

fn reset<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let slot = cx.slot();
    cx.reset_session();
    super::commands::unsubscribe_all(cx, slot);
    let authenticated = cx.open_to_all();
    let clients = cx.clients();
    clients.set_authenticated(slot, authenticated);
    let client = clients.get_mut(slot).expect("the running client is registered");
    client.name.clear();
    client.db = 0;
    if client.reply_mode != super::ReplyMode::Skip {
        client.reply_mode = super::ReplyMode::On; // a reply that is to be skipped is this one, as any other
    }
    client.no_evict = false;
    client.no_touch = false;
    cx.reply().resp = Resp::V2;
    cx.reply().simple("RESET");
    Ok(Outcome::Done)
}
