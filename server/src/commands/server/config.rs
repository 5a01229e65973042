//! CONFIG.

use super::{doc, sub};
use crate::config::SetBy;
use crate::config::rewrite::{Extent, rewrite_file};
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{Args, Arity, Command, CommandError, CommandResult, Flags, Outcome, write_help};

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);

/// Subcommands of CONFIG.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("get", Arity::AtLeast(3), FLAGS, &[], doc("server", "2.0.0", "O(N) with the number of directives", "parameter [parameter ...]", "Reads directives."), get),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], doc("server", "5.0.0", "O(N) with the number of directives", "", "Lists the subcommands of CONFIG."), help),
    sub("resetstat", Arity::Exactly(2), FLAGS, &["request_policy:all_nodes", "response_policy:all_succeeded"], doc("server", "2.0.0", "O(N) with the number of directives", "", "Sets the counters of INFO to zero."), resetstat),
    sub("rewrite", Arity::Exactly(2), FLAGS, &["request_policy:all_nodes", "response_policy:all_succeeded"], doc("server", "2.8.0", "O(N) with the number of directives", "", "Brings the configuration file up to date."), rewrite),
    sub("set", Arity::AtLeast(4), FLAGS, &["request_policy:all_nodes", "response_policy:all_succeeded"], doc("server", "2.0.0", "O(N) with the number of directives", "parameter value [parameter value ...]", "Changes directives, all or none."), set),
];

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "CONFIG", LINES);
    Ok(Outcome::Done)
}

fn get(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let patterns: Vec<&[u8]> = args.rest().collect();
    let found = cx.server.config.get(&patterns);
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(&value);
    }
    Ok(Outcome::Done)
}

fn set(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    if !args.left().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let words: Vec<&[u8]> = args.rest().collect();
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let slot = cx.slot;
    let is_local = cx.server.clients.get(slot).and_then(|c| c.link()).is_none_or(|link| link.is_loopback());
    let by = SetBy { is_local, is_loading: cx.server.lifecycle.loading };
    let change = cx.server.config.set(&pairs, by).map_err(|error| error.to_reply())?;
    cx.server.apply(change).map_err(|error| error.to_reply())?;
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn rewrite(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    write_config(cx, Extent::Changes)
}

/// Brings the configuration file up to date.
pub(super) fn write_config(cx: &mut Cx<'_>, extent: Extent) -> CommandResult {
    let Some(file) = &cx.server.lifecycle.config_file else {
        return Err("ERR The server is running without a config file".into());
    };
    match rewrite_file(file, &cx.server.config, extent) {
        Ok(()) => {
            tracing::warn!("CONFIG REWRITE executed with success.");
            cx.reply.ok();
            Ok(Outcome::Done)
        }
        Err(error) => {
            let reason = crate::log::os_text(&error);
            tracing::warn!("CONFIG REWRITE failed: {reason}");
            Err(CommandError::Raw(format!("ERR Rewriting config file: {reason}").into_bytes()))
        }
    }
}

fn resetstat(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.server.reset_stats();
    cx.reply.ok();
    Ok(Outcome::Done)
}
