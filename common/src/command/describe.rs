//! The COMMAND command: what the table says about itself, as clients and proxies read it.

use super::syntax::{self, Argument, Kind};
use super::{
    Access, Acl, Args, Arity, Command, CommandError, CommandId, CommandResult, Daemon, Doc, Find, Flags,
    KeySpec, Outcome, Search, Table, Unknown,
};
use crate::context::Context;
use crate::glob::glob_match;
use crate::resp::Reply;

/// Text of COMMAND HELP.
pub const COMMAND_HELP: &[&str] = &[
    "(no subcommand)",
    "    Return details about all commands.",
    "COUNT",
    "    Return the total number of commands in this server.",
    "LIST",
    "    Return a list of all commands in this server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full command.",
    "HELP",
    "    Prints this help.",
];

const FLAGS: Flags = Flags::LOADING.and(Flags::STALE);
const ACL: &[Acl] = &[Acl::Connection];

struct Entries<D>(std::marker::PhantomData<D>);

impl<D: Daemon> Entries<D> {
    const SUBCOMMANDS: &'static [Command<D>] = &[
        sub("count", Arity::Exactly(2), "", "2.8.13", "Counts the commands of this server.", count::<D>),
        sub(
            "docs",
            Arity::AtLeast(2),
            "[command-name [command-name ...]]",
            "7.0.0",
            "Documents commands.",
            docs::<D>,
        ),
        sub(
            "getkeys",
            Arity::AtLeast(3),
            "command [arg ...]",
            "2.8.13",
            "Finds the keys of a command line.",
            getkeys::<D>,
        ),
        sub(
            "getkeysandflags",
            Arity::AtLeast(3),
            "command [arg ...]",
            "7.0.0",
            "Finds the keys of a command line, with what happens to each.",
            getkeysandflags::<D>,
        ),
        sub("help", Arity::Exactly(2), "", "5.0.0", "Lists the subcommands of COMMAND.", help::<D>),
        sub(
            "info",
            Arity::AtLeast(2),
            "[command-name [command-name ...]]",
            "2.8.13",
            "Describes commands for machines.",
            info::<D>,
        ),
        sub(
            "list",
            Arity::AtLeast(2),
            "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
            "7.0.0",
            "Lists command names.",
            list::<D>,
        ),
    ];
    const COMMAND: Command<D> = Command {
        name: "command",
        arity: Arity::AtLeast(1),
        flags: FLAGS,
        acl: ACL,
        keys: &[],
        tips: &["nondeterministic_output_order"],
        doc: Doc {
            group: "server",
            summary: "Describes all commands for machines.",
            since: "2.8.13",
            complexity: "O(N) with the number of commands",
            syntax: "",
            deprecated: None,
        },
        subcommands: Self::SUBCOMMANDS,
        run: info::<D>,
    };
    const ALL: &'static [Command<D>] = &[Self::COMMAND];
}

const fn sub<D: Daemon>(
    name: &'static str,
    arity: Arity,
    syntax: &'static str,
    since: &'static str,
    summary: &'static str,
    run: super::Handler<D>,
) -> Command<D> {
    let doc = Doc {
        group: "server",
        summary,
        since,
        complexity: "O(N) with the number of commands",
        syntax,
        deprecated: None,
    };
    let tips: &[&str] = match name.as_bytes() {
        b"docs" | b"list" | b"info" => &["nondeterministic_output_order"],
        _ => &[],
    };
    Command { name, arity, flags: FLAGS, acl: ACL, keys: &[], tips, doc, subcommands: &[], run }
}

/// COMMAND with its subcommands, for any daemon's table.
pub fn commands<D: Daemon>() -> &'static [Command<D>] {
    Entries::<D>::ALL
}

fn count<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let count = cx.table().top().len() as i64;
    cx.reply().integer(count);
    Ok(Outcome::Done)
}

fn help<D: Daemon>(cx: &mut D::Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    write_help(cx.reply(), "COMMAND", COMMAND_HELP);
    Ok(Outcome::Done)
}

/// Writes a HELP reply: a headline and lines, all as status replies.
pub fn write_help(reply: &mut Reply, command: &str, lines: &[&str]) {
    reply.array(lines.len() + 1);
    reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        reply.simple(line);
    }
}

fn info<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let table = cx.table();
    if args.count() <= 2 {
        cx.reply().array(table.top().len());
        for id in table.top() {
            describe(cx.reply(), table, id);
        }
        return Ok(Outcome::Done);
    }
    args.skip(1);
    cx.reply().array(args.left());
    for name in args.rest() {
        match table.find_full(name) {
            Some(id) => describe(cx.reply(), table, id),
            None => cx.reply().null(),
        }
    }
    Ok(Outcome::Done)
}

fn describe<D: Daemon>(reply: &mut Reply, table: &Table<D>, id: CommandId) {
    let command = table.command(id);
    reply.array(10);
    reply.bulk(table.full_name(id).as_bytes());
    reply.integer(command.arity.on_the_wire());
    let flags: Vec<&str> = command.flags.names().collect();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    let (first, last, step) = legacy_range(command.keys);
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    let categories: Vec<Acl> = command.categories().collect();
    reply.set(categories.len());
    categories.iter().for_each(|category| reply.simple(&format!("@{}", category.name())));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| describe_keys(reply, spec));
    let subcommands = table.subcommands(id);
    reply.set(subcommands.len());
    subcommands.for_each(|sub| describe(reply, table, sub));
}

/// First key, last key and step of the time before key specs: the span of all rules that are plain ranges.
fn legacy_range(keys: &[KeySpec]) -> (i64, i64, i64) {
    let mut range: Option<(i64, i64, i64)> = None;
    for spec in keys {
        let (Search::Index(first), Find::Range(last, step, 0)) = (spec.search, spec.find) else { continue };
        let first = first as i64;
        let last = if last >= 0 { first + last } else { last };
        range = Some(match range {
            None => (first, last, step as i64),
            Some((f, l, s)) => (f.min(first), if l < 0 || last < 0 { l.min(last) } else { l.max(last) }, s),
        });
    }
    range.unwrap_or((0, 0, 0))
}

fn describe_keys(reply: &mut Reply, spec: &KeySpec) {
    if let Search::Unknown(why) = spec.search {
        reply.map(4);
        reply.bulk(b"notes");
        reply.bulk(why.note().as_bytes());
    } else {
        reply.map(3);
    }
    reply.bulk(b"flags");
    let flags = spec.access.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    let pairs = |reply: &mut Reply, kind: &str, pairs: &[(&str, i64)]| {
        reply.map(2);
        reply.bulk(b"type");
        reply.bulk(kind.as_bytes());
        reply.bulk(b"spec");
        reply.map(pairs.len());
        for (name, value) in pairs {
            reply.bulk(name.as_bytes());
            reply.integer(*value);
        }
    };
    reply.bulk(b"begin_search");
    match spec.search {
        Search::Index(index) => pairs(reply, "index", &[("index", index as i64)]),
        Search::Unknown(_) => pairs(reply, "unknown", &[]),
        Search::Keyword(word, from) => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(from as i64);
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Unknown => pairs(reply, "unknown", &[]),
        Find::Range(last, step, limit) => {
            pairs(reply, "range", &[("lastkey", last), ("keystep", step as i64), ("limit", limit as i64)]);
        }
        Find::Count(count, first, step) => {
            pairs(
                reply,
                "keynum",
                &[("keynumidx", count as i64), ("firstkey", first as i64), ("keystep", step as i64)],
            );
        }
    }
}

fn docs<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let table = cx.table();
    args.skip(1);
    let ids: Vec<CommandId> = if args.left() == 0 {
        table.top().collect()
    } else {
        args.rest().filter_map(|name| table.find_full(name)).collect()
    };
    cx.reply().map(ids.len());
    for id in ids {
        document(cx.reply(), table, id);
    }
    Ok(Outcome::Done)
}

fn document<D: Daemon>(reply: &mut Reply, table: &Table<D>, id: CommandId) {
    let command = table.command(id);
    let doc = &command.doc;
    let arguments = syntax::parse(doc.syntax);
    let subcommands = table.subcommands(id);
    reply.bulk(table.full_name(id).as_bytes());
    let fields = [
        ("summary", doc.summary),
        ("since", doc.since),
        ("group", doc.group),
        ("complexity", doc.complexity),
    ];
    let deprecated = if doc.deprecated.is_some() { 3 } else { 0 };
    let parts = usize::from(!arguments.is_empty()) + usize::from(subcommands.len() > 0);
    reply.map(fields.len() + deprecated + parts);
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if let Some(deprecated) = doc.deprecated {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple("deprecated");
        reply.bulk(b"deprecated_since");
        reply.bulk(deprecated.since.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(deprecated.instead.as_bytes());
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        document_arguments(reply, &arguments, &mut KeyArguments { specs: command.keys, met: 0 });
    }
    if subcommands.len() > 0 {
        reply.bulk(b"subcommands");
        reply.map(subcommands.len());
        subcommands.for_each(|sub| document(reply, table, sub));
    }
}

/// Tells which of a command's key specs finds an argument: arguments that are keys come in the order of their specs, and
/// the last spec finds all that are left, as it does both keys of LCS.
struct KeyArguments {
    specs: &'static [KeySpec],
    met: usize,
}

impl KeyArguments {
    fn spec_of(&mut self, kind: &Kind) -> Option<usize> {
        let of_patterns = |spec: &KeySpec| spec.search == Search::Unknown(Unknown::SortPatterns);
        let numbered = || self.specs.iter().enumerate();
        match kind {
            Kind::Key => {
                let mut left = numbered().filter(|(_, spec)| !of_patterns(spec)).map(|(at, _)| at);
                let found = left.nth(self.met).or(self.specs.len().checked_sub(1));
                self.met += 1;
                found
            }
            Kind::Pattern => numbered().find(|(_, spec)| of_patterns(spec)).map(|(at, _)| at),
            _ => None,
        }
    }
}

fn document_arguments(reply: &mut Reply, arguments: &[Argument], keys: &mut KeyArguments) {
    reply.array(arguments.len());
    for argument in arguments {
        let flags: Vec<&str> = [(argument.optional, "optional"), (argument.multiple, "multiple")]
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, n)| *n)
            .collect();
        let inner = match &argument.kind {
            Kind::OneOf(inner) | Kind::Block(inner) => Some(inner),
            _ => None,
        };
        let key_spec = keys.spec_of(&argument.kind);
        let shown = inner.is_none() && argument.kind != Kind::PureToken;
        let extra = [key_spec.is_some(), shown, argument.token.is_some(), !flags.is_empty(), inner.is_some()];
        reply.map(2 + extra.iter().filter(|on| **on).count());
        let mut field = |name: &str, value: &str| {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        };
        field("name", &argument.name);
        field("type", argument.kind.name());
        if shown {
            field("display_text", &argument.name);
        }
        if let Some(token) = &argument.token {
            field("token", token);
        }
        if let Some(index) = key_spec {
            reply.bulk(b"key_spec_index");
            reply.integer(index as i64);
        }
        if !flags.is_empty() {
            reply.bulk(b"flags");
            reply.array(flags.len());
            flags.iter().for_each(|flag| reply.simple(flag));
        }
        if let Some(inner) = inner {
            reply.bulk(b"arguments");
            document_arguments(reply, inner, keys);
        }
    }
}

fn list<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let table = cx.table();
    args.skip(1);
    let mut names: Vec<&str> = Vec::new();
    match args.left() {
        0 => names.extend(table.callable().map(|id| table.full_name(id))),
        3 if args.take("FILTERBY") => {
            let (kind, value) = (args.next().to_ascii_lowercase(), args.next());
            match kind.as_slice() {
                b"module" => {} // no command comes from a module
                b"aclcat" => {
                    let category =
                        Acl::ALL.into_iter().find(|c| c.name().as_bytes().eq_ignore_ascii_case(value));
                    let belongs = |id: &CommandId| {
                        category.is_some_and(|c| table.command(*id).categories().any(|has| has == c))
                    };
                    names.extend(table.callable().filter(belongs).map(|id| table.full_name(id)));
                }
                b"pattern" => {
                    let fits = |id: &CommandId| glob_match(value, table.full_name(*id).as_bytes(), true);
                    names.extend(table.callable().filter(fits).map(|id| table.full_name(id)));
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    cx.reply().set(names.len());
    for name in names {
        cx.reply().bulk(name.as_bytes());
    }
    Ok(Outcome::Done)
}

fn getkeys<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    for_keys::<D>(cx, args, false)
}

fn getkeysandflags<D: Daemon>(cx: &mut D::Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    for_keys::<D>(cx, args, true)
}

fn for_keys<D: Daemon>(cx: &mut D::Cx<'_>, args: &Args<'_>, with_flags: bool) -> CommandResult {
    let table = cx.table();
    let words: Vec<Vec<u8>> = args.all().skip(2).map(<[u8]>::to_vec).collect();
    let line = Args::of(&words);
    let Some(container) = table.find(line.get(0)) else { return Err("ERR Invalid command specified".into()) };
    let id = if line.count() > 1 {
        table.subcommand(container, line.get(1)).unwrap_or(container)
    } else {
        container
    };
    let command = table.command(id);
    if command.keys.iter().all(|spec| spec.access == Access::NotKey) {
        return Err("ERR The command has no key arguments".into());
    }
    if !command.arity.accepts(line.count()) {
        return Err("ERR Invalid number of arguments specified for command".into());
    }
    let keys = table.keys(id, &line).unwrap_or_default();
    if keys.is_empty() && !command.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err("ERR Invalid arguments specified for command".into());
    }
    let reply = cx.reply();
    reply.array(keys.len());
    for key in keys {
        if with_flags {
            reply.array(2);
        }
        reply.bulk(line.get(key.index));
        if with_flags {
            let flags = key.access.flags();
            reply.set(flags.len());
            flags.iter().for_each(|flag| reply.simple(flag));
        }
    }
    Ok(Outcome::Done)
}
