//! Commands of the sentinel that are not shared with the server.

use crate::context::Cx;
use crate::sentinel::Watchman;
use common::command::{
    Acl, Args, Arity, Command, CommandError, CommandResult, Doc, Flags, Handler, Outcome, Table,
};
use common::pubsub::Target;
use std::fmt::Write;

/// Builds the table.
pub fn command_table() -> Table<Watchman> {
    Table::new(&[
        common::clients::connection_commands(),
        common::command::command_commands(),
        common::pubsub::pubsub_commands(),
        COMMANDS,
    ])
}

const COMMANDS: &[Command<Watchman>] = &[
    entry(
        "info",
        Arity::AtLeast(1),
        Flags::LOADING.and(Flags::STALE),
        &[Acl::Dangerous],
        "[section [section ...]]",
        "Describes the sentinel's state.",
        info,
    ),
    entry(
        "shutdown",
        Arity::AtLeast(1),
        Flags::ADMIN
            .and(Flags::NOSCRIPT)
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::NO_MULTI)
            .and(Flags::ALLOW_BUSY),
        &[],
        "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        "Ends the process.",
        shutdown,
    ),
];

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    acl: &'static [Acl],
    syntax: &'static str,
    summary: &'static str,
    run: Handler<Watchman>,
) -> Command<Watchman> {
    let doc = Doc { group: "server", summary, since: "1.0.0", complexity: "O(1)", syntax, deprecated: None };
    let tips: &[&str] = match name.as_bytes() {
        b"info" => &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        _ => &[],
    };
    Command { name, arity, flags, acl, keys: &[], tips, doc, subcommands: &[], run }
}

fn info(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let wanted: Vec<String> =
        args.rest().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect();
    let shows = |name: &str| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|word| word == name || matches!(word.as_str(), "all" | "default" | "everything"))
    };
    let sentinel = &*cx.sentinel;
    let uptime_s = (sentinel.now_ms - sentinel.started_ms) / 1000;
    let mut sections: Vec<String> = Vec::new();
    if shows("server") {
        sections.push(format!(
            "# Server\r\nredis_version:{}\r\nredis_mode:sentinel\r\nserver_name:ochre\r\nochre_version:{}\r\nprocess_id:{}\r\ntcp_port:{}\r\nuptime_in_seconds:{uptime_s}\r\n",
            common::REDIS_VERSION,
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            sentinel.config.port,
        ));
    }
    if shows("clients") {
        sections.push(format!(
            "# Clients\r\nconnected_clients:{}\r\nmaxclients:{}\r\n",
            sentinel.clients.len(),
            sentinel.config.max_clients
        ));
    }
    if shows("stats") {
        let mut text = String::from("# Stats\r\n");
        let _ = write!(
            text,
            "total_connections_received:{}\r\ntotal_commands_processed:{}\r\n",
            sentinel.connections, sentinel.commands
        );
        let _ = write!(
            text,
            "pubsub_channels:{}\r\npubsub_patterns:{}\r\n",
            sentinel.pubsub.channels(Target::Channel).count(),
            sentinel.pubsub.patterns()
        );
        sections.push(text);
    }
    if shows("sentinel") {
        sections.push("# Sentinel\r\nsentinel_masters:0\r\nsentinel_tilt:0\r\nsentinel_running_scripts:0\r\nsentinel_scripts_queue_length:0\r\n".to_owned());
    }
    cx.reply.verbatim(sections.join("\r\n").as_bytes());
    Ok(Outcome::Done)
}

fn shutdown(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    for word in args.rest() {
        if !["save", "nosave", "now", "force"].iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
        {
            return Err(CommandError::Syntax);
        }
    }
    cx.sentinel.shutdown = true;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_holds_together() {
        common::command::check_table(&super::command_table());
    }
}
