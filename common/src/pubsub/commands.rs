//! SUBSCRIBE and its kin, PUBLISH, PUBSUB; those of shard channels are a family of their own, which the sentinel lacks.

use super::Target;
use crate::clients::ReplyMode;
use crate::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Daemon, Doc, Flags, KeySpec, Outcome,
    write_help,
};
use crate::context::Context;
use crate::glob::glob_match;
use crate::resp::Reply;
use bytes::Bytes;

const FLAGS: Flags =
    Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE).and(Flags::SUBSCRIBED);
const ASKING: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);

struct Entries<D>(std::marker::PhantomData<D>);

impl<D: Daemon> Entries<D> {
    const ALL: &'static [Command<D>] = &[
        entry(
            "subscribe",
            Arity::AtLeast(2),
            "2.0.0",
            "channel [channel ...]",
            "Listens to channels.",
            subscribe::<D>,
        ),
        entry(
            "unsubscribe",
            Arity::AtLeast(1),
            "2.0.0",
            "[channel [channel ...]]",
            "Stops listening to channels, or to all of them.",
            unsubscribe::<D>,
        ),
        entry(
            "psubscribe",
            Arity::AtLeast(2),
            "2.0.0",
            "pattern [pattern ...]",
            "Listens to channels that match patterns.",
            psubscribe::<D>,
        ),
        entry(
            "punsubscribe",
            Arity::AtLeast(1),
            "2.0.0",
            "[pattern [pattern ...]]",
            "Stops listening to patterns, or to all of them.",
            punsubscribe::<D>,
        ),
        Command {
            name: "publish",
            arity: Arity::Exactly(3),
            flags: Flags::PUBSUB
                .and(Flags::LOADING)
                .and(Flags::STALE)
                .and(Flags::FAST)
                .and(Flags::MAY_REPLICATE),
            acl: &[],
            keys: &[],
            tips: &[],
            doc: Doc {
                group: "pubsub",
                summary: "Sends a message to a channel.",
                since: "2.0.0",
                complexity: "O(N+M), N subscribers of the channel, M patterns",
                syntax: "channel message",
                deprecated: None,
            },
            subcommands: &[],
            run: publish::<D>,
        },
        Command {
            name: "pubsub",
            arity: Arity::AtLeast(2),
            flags: Flags::NONE,
            acl: &[],
            keys: &[],
            tips: &[],
            doc: Doc {
                group: "pubsub",
                summary: "Looks into pub/sub.",
                since: "2.8.0",
                complexity: "Depends on the subcommand.",
                syntax: "",
                deprecated: None,
            },
            subcommands: &[
                look(
                    "channels",
                    Arity::AtLeast(2),
                    "[pattern]",
                    "Lists the channels that somebody listens to.",
                    channels::<D>,
                ),
                look("help", Arity::Exactly(2), "", "Lists the subcommands of PUBSUB.", help::<D>),
                look(
                    "numpat",
                    Arity::Exactly(2),
                    "",
                    "Counts the patterns that somebody listens to.",
                    numpat::<D>,
                ),
                look(
                    "numsub",
                    Arity::AtLeast(2),
                    "[channel [channel ...]]",
                    "Counts the listeners of channels.",
                    numsub::<D>,
                ),
                look(
                    "shardchannels",
                    Arity::AtLeast(2),
                    "[pattern]",
                    "Lists the shard channels that somebody listens to.",
                    shardchannels::<D>,
                ),
                look(
                    "shardnumsub",
                    Arity::AtLeast(2),
                    "[shardchannel [shardchannel ...]]",
                    "Counts the listeners of shard channels.",
                    shardnumsub::<D>,
                ),
            ],
            run: help::<D>,
        },
    ];

    const SHARD: &'static [Command<D>] = &[
        Command {
            keys: &[KeySpec::until(1, -1, 1, Access::NotKey)],
            ..entry(
                "ssubscribe",
                Arity::AtLeast(2),
                "7.0.0",
                "shardchannel [shardchannel ...]",
                "Listens to channels of this shard.",
                ssubscribe::<D>,
            )
        },
        Command {
            keys: &[KeySpec::until(1, -1, 1, Access::NotKey)],
            ..entry(
                "sunsubscribe",
                Arity::AtLeast(1),
                "7.0.0",
                "[shardchannel [shardchannel ...]]",
                "Stops listening to channels of this shard, or to all of them.",
                sunsubscribe::<D>,
            )
        },
        Command {
            name: "spublish",
            arity: Arity::Exactly(3),
            flags: Flags::PUBSUB
                .and(Flags::LOADING)
                .and(Flags::STALE)
                .and(Flags::FAST)
                .and(Flags::MAY_REPLICATE),
            acl: &[],
            keys: &[KeySpec::one(1, Access::NotKey)],
            tips: &[],
            doc: Doc {
                group: "pubsub",
                summary: "Sends a message to a channel of this shard.",
                since: "7.0.0",
                complexity: "O(N), N subscribers of the channel",
                syntax: "shardchannel message",
                deprecated: None,
            },
            subcommands: &[],
            run: spublish::<D>,
        },
    ];
}

const fn entry<D: Daemon>(
    name: &'static str,
    arity: Arity,
    since: &'static str,
    syntax: &'static str,
    summary: &'static str,
    run: crate::command::Handler<D>,
) -> Command<D> {
    let doc = Doc {
        group: "pubsub",
        summary,
        since,
        complexity: "O(N) with the number of names",
        syntax,
        deprecated: None,
    };
    // A subscription takes memory, its end gives some back.
    let flags = match name.as_bytes() {
        b"subscribe" | b"psubscribe" | b"ssubscribe" => FLAGS.and(Flags::DENYOOM),
        _ => FLAGS,
    };
    Command { name, arity, flags, acl: &[], keys: &[], tips: &[], doc, subcommands: &[], run }
}

const fn look<D: Daemon>(
    name: &'static str,
    arity: Arity,
    syntax: &'static str,
    summary: &'static str,
    run: crate::command::Handler<D>,
) -> Command<D> {
    let help = matches!(name.as_bytes(), b"help");
    let flags = if help { Flags::LOADING.and(Flags::STALE) } else { ASKING };
    let since = match name.as_bytes() {
        b"help" => "6.2.0",
        b"shardchannels" | b"shardnumsub" => "7.0.0",
        _ => "2.8.0",
    };
    let doc = Doc { group: "pubsub", summary, since, complexity: "O(N)", syntax, deprecated: None };
    let acl: &[Acl] = &[];
    Command { name, arity, flags, acl, keys: &[], tips: &[], doc, subcommands: &[], run }
}

/// The pub/sub family.
pub fn pubsub_commands<D: Daemon>() -> &'static [Command<D>] {
    Entries::<D>::ALL
}

/// The family of shard channels, for a daemon that can be part of a cluster.
pub fn shard_commands<D: Daemon>() -> &'static [Command<D>] {
    Entries::<D>::SHARD
}

/// Writes a confirmation, with the number of subscriptions: those to shard channels are counted apart. It is a push: it
/// flows even while replies are switched off.
fn confirm<C: Context>(cx: &mut C, target: Target, kind: &str, name: Option<&[u8]>) {
    let slot = cx.slot();
    let client = cx.clients().get_mut(slot).expect("the running client is registered");
    let shards = client.subscribed(Target::Shard).len();
    let count = if target == Target::Shard { shards } else { client.subscriptions() - shards } as i64;
    let mode = client.reply_mode;
    let write = |reply: &mut Reply| {
        reply.push(3);
        reply.bulk(kind.as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.integer(count);
    };
    if matches!(mode, ReplyMode::On | ReplyMode::SkipNext) {
        write(cx.reply());
        return;
    }
    let mut reply = Reply::new(cx.reply().resp);
    write(&mut reply);
    let bytes = Bytes::from(reply.take().1);
    cx.clients().push(slot, &bytes);
}

fn join<C: Context>(cx: &mut C, args: &Args<'_>, target: Target, kind: &str) -> CommandResult {
    let resp3 = cx.reply().resp == crate::resp::Resp::V3;
    // What is old may still subscribe in a transaction; shard channels came later.
    if cx.deny_blocking() && !resp3 || target == Target::Shard && cx.in_transaction() {
        return Err(CommandError::Message(format!(
            "ERR {} isn't allowed for a DENY BLOCKING client",
            kind.to_uppercase()
        )));
    }
    for name in args.rest() {
        let slot = cx.slot();
        let client = cx.clients().get_mut(slot).expect("the running client is registered");
        if !client.subscribed(target).contains(name) {
            let name = Bytes::copy_from_slice(name);
            client.subscribe(target, name.clone());
            cx.pubsub().subscribe(target, name, slot);
        }
        confirm(cx, target, kind, Some(name));
    }
    Ok(Outcome::Done)
}

fn leave<C: Context>(cx: &mut C, args: &Args<'_>, target: Target, kind: &str) -> CommandResult {
    let slot = cx.slot();
    let names: Vec<Bytes> = if args.left() > 0 {
        args.rest().map(Bytes::copy_from_slice).collect()
    } else {
        let client = cx.clients().get_mut(slot).expect("the running client is registered");
        client.subscribed(target).iter().cloned().collect()
    };
    if names.is_empty() {
        confirm(cx, target, kind, None);
    }
    for name in names {
        let client = cx.clients().get_mut(slot).expect("the running client is registered");
        if client.unsubscribe(target, &name) {
            cx.pubsub().unsubscribe(target, &name, slot);
        }
        confirm(cx, target, kind, Some(&name));
    }
    Ok(Outcome::Done)
}

fn subscribe<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    join(cx, args, Target::Channel, "subscribe")
}

fn psubscribe<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    join(cx, args, Target::Pattern, "psubscribe")
}

fn unsubscribe<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    leave(cx, args, Target::Channel, "unsubscribe")
}

fn punsubscribe<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    leave(cx, args, Target::Pattern, "punsubscribe")
}

fn ssubscribe<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    join(cx, args, Target::Shard, "ssubscribe")
}

fn sunsubscribe<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    leave(cx, args, Target::Shard, "sunsubscribe")
}

fn spublish<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (channel, message) = (args.next(), args.next());
    let receivers = cx.publish_to_shard(channel, message);
    cx.reply().integer(receivers as i64);
    Ok(Outcome::Done)
}

fn publish<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (channel, message) = (args.next(), args.next());
    let receivers = cx.publish(channel, message);
    cx.reply().integer(receivers as i64);
    Ok(Outcome::Done)
}

fn channels<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    list(cx, args, Target::Channel)
}

fn shardchannels<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    list(cx, args, Target::Shard)
}

fn list<C: Context>(cx: &mut C, args: &mut Args<'_>, target: Target) -> CommandResult {
    args.skip(1);
    let pattern = args.try_next();
    if args.left() > 0 {
        return Err(wrong_subcommand(args));
    }
    let fits = |name: &&Bytes| pattern.is_none_or(|pattern| glob_match(pattern, name, false));
    let names: Vec<Bytes> = cx.pubsub().channels(target).filter(fits).cloned().collect();
    cx.reply().array(names.len());
    for name in names {
        cx.reply().bulk(&name);
    }
    Ok(Outcome::Done)
}

fn numsub<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    count(cx, args, Target::Channel)
}

fn shardnumsub<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    count(cx, args, Target::Shard)
}

fn count<C: Context>(cx: &mut C, args: &mut Args<'_>, target: Target) -> CommandResult {
    args.skip(1);
    cx.reply().array(args.left() * 2);
    for name in args.rest() {
        let count = cx.pubsub().subscribers(target, name) as i64;
        cx.reply().bulk(name);
        cx.reply().integer(count);
    }
    Ok(Outcome::Done)
}

fn numpat<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let count = cx.pubsub().patterns() as i64;
    cx.reply().integer(count);
    Ok(Outcome::Done)
}

fn help<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        "HELP",
        "    Prints this help.",
    ];
    write_help(cx.reply(), "PUBSUB", LINES);
    Ok(Outcome::Done)
}

/// The reply for a subcommand with words that do not fit it.
pub fn wrong_subcommand(args: &Args<'_>) -> CommandError {
    let name = args.get(1);
    let behind = format!("'. Try {} HELP.", String::from_utf8_lossy(args.get(0)).to_ascii_uppercase());
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, &name[..name.len().min(128)], &behind)
}
