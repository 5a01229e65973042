//! CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR: asking to be told when keys change.

use crate::context::Cx;
use crate::tracking::{Wish, overlap};
use bytes::Bytes;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use std::collections::BTreeSet;

const SWITCHED_BROADCAST: CommandError = CommandError::Text(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
);
const SWITCHED_OPT: CommandError = CommandError::Text(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
);

/// Options as they came: prefixes may still overlap.
#[derive(Default)]
struct Options<'b> {
    wish: Wish,
    prefixes: Vec<&'b [u8]>,
}

pub(super) fn tracking(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let switch = args.next();
    let options = parse(cx, args)?;
    match switch.to_ascii_lowercase().as_slice() {
        b"on" => {
            check(cx, &options)?;
            let Options { mut wish, prefixes } = options;
            wish.prefixes = prefixes.into_iter().map(Bytes::copy_from_slice).collect();
            cx.server.track(cx.slot, wish);
        }
        b"off" => cx.server.untrack(cx.slot),
        _ => return Err(CommandError::Syntax),
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn parse<'b>(cx: &Cx<'_>, args: &mut Args<'b>) -> Result<Options<'b>, CommandError> {
    let mut options = Options::default();
    let wish = &mut options.wish;
    while let Some(word) = args.try_next() {
        match word.to_ascii_lowercase().as_slice() {
            b"redirect" if args.left() > 0 => {
                if wish.redirect != 0 {
                    return Err("ERR A client can only redirect to a single other client".into());
                }
                let id = parse_i64(args.next()).ok_or(CommandError::NotAnInteger)?;
                if cx.server.clients.by_id(id.cast_unsigned()).is_none() {
                    return Err("ERR The client ID you want redirect to does not exist".into());
                }
                wish.redirect = id.cast_unsigned();
            }
            b"prefix" if args.left() > 0 => options.prefixes.push(args.next()),
            b"bcast" => wish.broadcast = true,
            b"optin" => wish.opt_in = true,
            b"optout" => wish.opt_out = true,
            b"noloop" => wish.no_loop = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(options)
}

/// Whether options fit each other and what the client asked for before.
fn check(cx: &mut Cx<'_>, Options { wish, prefixes }: &Options<'_>) -> Result<(), CommandError> {
    if !wish.broadcast && !prefixes.is_empty() {
        return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
    }
    let old = cx.session().tracking.as_deref();
    if old.is_some_and(|old| old.broadcast != wish.broadcast) {
        return Err(SWITCHED_BROADCAST);
    }
    if wish.broadcast && (wish.opt_in || wish.opt_out) {
        return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
    }
    if wish.opt_in && wish.opt_out {
        return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
    }
    if old.is_some_and(|old| wish.opt_in && old.opt_out || wish.opt_out && old.opt_in) {
        return Err(SWITCHED_OPT);
    }
    if wish.broadcast {
        let none = BTreeSet::new();
        check_prefixes(prefixes, old.map_or(&none, |old| &old.prefixes))?;
    }
    Ok(())
}

fn check_prefixes(prefixes: &[&[u8]], existing: &BTreeSet<Bytes>) -> Result<(), CommandError> {
    let clash = |prefix: &[u8], kind: &str, other: &[u8]| {
        let text = [
            b"ERR Prefix '",
            prefix,
            b"' overlaps with ",
            kind.as_bytes(),
            b" prefix '",
            other,
            b"'. Prefixes for a single client must not overlap.",
        ];
        Err(CommandError::Raw(text.concat()))
    };
    for (index, prefix) in prefixes.iter().enumerate() {
        if let Some(other) = existing.iter().find(|other| overlap(prefix, other)) {
            return clash(prefix, "an existing", other);
        }
        if let Some(other) = prefixes[index + 1..].iter().find(|other| overlap(prefix, other)) {
            return clash(prefix, "another provided", other);
        }
    }
    Ok(())
}

pub(super) fn caching(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let Some(wish) = cx.session().tracking.as_deref_mut() else {
        return Err("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled".into());
    };
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"yes" if wish.opt_in => wish.caching = true,
        b"yes" => {
            return Err("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.".into());
        }
        b"no" if wish.opt_out => wish.caching = true,
        b"no" => {
            return Err("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.".into());
        }
        _ => return Err(CommandError::Syntax),
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn redirect(cx: &mut Cx<'_>) -> i64 {
    cx.session().tracking.as_deref().map_or(-1, |wish| wish.redirect.cast_signed())
}

pub(super) fn getredir(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let id = redirect(cx);
    cx.reply.integer(id);
    Ok(Outcome::Done)
}

pub(super) fn trackinginfo(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let redirect = redirect(cx);
    let mut flags = Vec::new();
    let mut prefixes = BTreeSet::new();
    match cx.session().tracking.as_deref() {
        None => flags.push("off"),
        Some(wish) => {
            flags.push("on");
            let words = [
                (wish.broadcast, "bcast"),
                (wish.opt_in, "optin"),
                (wish.opt_in && wish.caching, "caching-yes"),
                (wish.opt_out, "optout"),
                (wish.opt_out && wish.caching, "caching-no"),
                (wish.no_loop, "noloop"),
                (wish.broken, "broken_redirect"),
            ];
            flags.extend(words.iter().filter(|(on, _)| *on).map(|(_, word)| *word));
            prefixes.clone_from(&wish.prefixes);
        }
    }
    let reply = &mut cx.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(Outcome::Done)
}
