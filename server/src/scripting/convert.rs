//! Between Lua and RESP: calls of commands, and what a script returns.

use super::ScriptHost;
use super::api::{Outcome, refusal};
use crate::context::{Caller, Cx};
use crate::sys::script::{Field, MAX_DEPTH, Seen, TableView};
use common::command::{Args, CommandError, Flags};
use common::number::format_17g;
use common::resp::{Reply, Resp};
use mlua::{Lua, MultiValue, Value};
use std::rc::Rc;

/// `redis.call` and `redis.pcall`: runs a command and leaves its reply in `out`, in the protocol that the script chose.
pub(super) fn call(host: &Rc<ScriptHost>, words: &[&[u8]], out: &mut Vec<u8>) {
    host.with_server(|server| {
        let mut reply = Reply::new(if host.resp3() { Resp::V3 } else { Resp::V2 });
        reply.recycle(std::mem::take(out));
        let mut cx = Cx::with_reply(server, host, host.slot(), reply, Caller::Script);
        cx.db = host.db();
        if let Err(error) = run(&mut cx, host, words) {
            cx.server.stats.count_error(&error);
            if let Ok(id) = cx.server.table.named(&Args::slices(words)) {
                cx.server.stats.commands[id.index()].rejected += 1;
            }
            cx.reply.error(&error.wire());
        }
        host.set_db(cx.db);
        let (segments, tail) = cx.reply.take();
        if segments.is_empty() {
            *out = tail;
        } else {
            segments.iter().for_each(|segment| out.extend_from_slice(segment.as_slice()));
            out.extend_from_slice(&tail);
        }
    });
}

/// The words of a command, or what to raise.
pub(super) fn words(lua: &Lua, args: &MultiValue) -> mlua::Result<Result<Vec<Vec<u8>>, Outcome>> {
    let refused = |text| Ok(Err(refusal(lua, text)?));
    let mut words = Vec::with_capacity(args.len());
    for arg in args {
        match arg {
            Value::String(text) => words.push(text.as_bytes().to_vec()),
            Value::Integer(number) => words.push(number.to_string().into_bytes()),
            Value::Number(number) => words.push(format_17g(*number).into_bytes()),
            _ => {
                return refused("ERR Lua redis lib command arguments must be strings or integers");
            }
        }
    }
    if words.is_empty() {
        return refused("ERR Please specify at least one argument for this redis lib call");
    }
    Ok(Ok(words))
}

/// Runs one command of a script.
fn run(cx: &mut Cx<'_>, host: &ScriptHost, words: &[&[u8]]) -> Result<(), CommandError> {
    let args = Args::slices(words);
    let table = cx.server.table;
    let id = table.resolve(&args).map_err(|error| match error {
        CommandError::Arity(_) => "ERR Wrong number of args calling Redis command from script".into(),
        _ => CommandError::Text("ERR Unknown Redis command called from script"),
    })?;
    let command = table.command(id);
    let is_denied = command.flags.has(Flags::NOSCRIPT) && !cx.server.scripts.allows_denied
        || command.flags.any(Flags::SCRIPT_RUNNER.and(Flags::UNQUEUED));
    if is_denied {
        return Err("ERR This Redis command is not allowed from script".into());
    }
    if host.is_read_only() && command.flags.any(Flags::WRITE.and(Flags::MAY_REPLICATE)) {
        return Err("ERR Write commands are not allowed from read-only scripts.".into());
    }
    let scripts = &cx.server.scripts;
    if scripts.lacks_memory && !scripts.wrote && command.flags.has(Flags::DENYOOM) {
        return Err(CommandError::OutOfMemory);
    }
    let writes = command.flags.has(Flags::WRITE);
    if writes && !scripts.wrote {
        // Once it has written it goes on to its end.
        if cx.server.persistence.refuses_writes(&cx.server.config) {
            return Err(crate::persistence::MISCONF.into());
        }
        if crate::replication::lacks_replicas(cx.server) {
            return Err(crate::replication::NO_REPLICAS.into());
        }
    }
    cx.server.scripts.wrote |= writes;
    crate::dispatch::call_nested(cx, id, command, &args);
    Ok(())
}

/// The errors in a reply.
#[derive(Default)]
pub(super) struct Failures {
    /// There is one.
    pub(super) any: bool,
    /// Those that statistics don't know yet.
    pub(super) uncounted: Vec<CommandError>,
}

impl Failures {
    /// Writes an error and takes note of it.
    pub(super) fn write(&mut self, reply: &mut Reply, text: &[u8], is_counted: bool) {
        reply.error(text);
        self.any = true;
        if !is_counted {
            self.uncounted.push(CommandError::Raw(text.to_vec()));
        }
    }
}

/// What ended a script.
pub(super) struct Failure {
    /// The code and what follows it.
    text: Vec<u8>,
    /// Chunk and line, if it is known.
    place: Option<(String, i64)>,
    /// Statistics know it from the command that failed.
    is_counted: bool,
}

impl Failure {
    /// One that statistics don't know yet.
    pub(super) fn at(text: Vec<u8>, place: Option<(String, i64)>) -> Self {
        Self { text, place, is_counted: false }
    }

    /// What was raised.
    pub(super) fn of(raised: &Seen<'_>) -> Self {
        let unknown = || b"ERR unknown error".to_vec();
        let table = match raised {
            Seen::Table(table) => table,
            // No memory is left for a table that explains.
            Seen::Text(text) => return Self::at([b"ERR ", *text].concat(), None),
            _ => return Self::at(unknown(), None),
        };
        let text = table.field(Field::Err, |seen| match seen {
            Seen::Text(text) => as_text(text).to_vec(),
            _ => unknown(),
        });
        let source = table.field(Field::Source, |seen| match seen {
            Seen::Text(source) => Some(String::from_utf8_lossy(source).into_owned()),
            _ => None,
        });
        let line = table.field(Field::Line, |seen| match seen {
            Seen::Number(line) => Some(truncated(line)),
            _ => None,
        });
        let is_counted = table.field(Field::IsCounted, |seen| matches!(seen, Seen::Boolean(true)));
        Self { text, place: source.zip(line), is_counted }
    }

    /// Writes it as the reply of the script or function of this name.
    pub(super) fn write(mut self, reply: &mut Reply, name: &[u8], failures: &mut Failures) {
        if let Some((source, line)) = self.place {
            self.text.extend_from_slice(b" script: ");
            self.text.extend_from_slice(name);
            self.text.extend_from_slice(format!(", on {source}:{line}.").as_bytes());
        }
        failures.write(reply, &self.text, self.is_counted);
    }
}

/// Writes what a script returned. `resp3` is the script's own choice by `redis.setresp`.
pub(super) fn write(reply: &mut Reply, value: &Seen<'_>, resp3: bool, depth: usize, failures: &mut Failures) {
    match value {
        _ if depth > MAX_DEPTH => failures.write(reply, b"ERR reached lua stack limit", false),
        Seen::Text(text) => reply.bulk(text),
        Seen::Boolean(value) if resp3 => reply.boolean(*value),
        Seen::Boolean(true) => reply.integer(1),
        Seen::Number(number) => reply.integer(truncated(*number)),
        Seen::Table(table) => write_table(reply, table, resp3, depth, failures),
        _ => reply.null(),
    }
}

/// What statuses and errors show of a string: as in Redis, where they are C's, it ends at the first zero byte.
pub(super) fn as_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// C's conversion, towards zero; what does not fit becomes what the x86 processor makes of it, as in Redis there.
fn truncated(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

fn write_table(reply: &mut Reply, table: &TableView<'_>, resp3: bool, depth: usize, failures: &mut Failures) {
    if !write_marked(reply, table, resp3, depth, failures) {
        write_list(reply, table, resp3, depth, failures);
    }
}

/// Writes a table that a field marks as something else than a list; false when none does.
fn write_marked(
    reply: &mut Reply,
    table: &TableView<'_>,
    resp3: bool,
    depth: usize,
    failures: &mut Failures,
) -> bool {
    let is_error = table.field(Field::Err, |seen| {
        let Seen::Text(text) = seen else { return false };
        let is_counted = table.field(Field::IsCounted, |seen| matches!(seen, Seen::Boolean(true)));
        failures.write(reply, as_text(text), is_counted);
        true
    });
    is_error
        || table.field(Field::Ok, |seen| {
            let Seen::Text(text) = seen else { return false };
            reply.status(as_text(text));
            true
        })
        || table.field(Field::Double, |seen| {
            let Seen::Number(value) = seen else { return false };
            reply.double(value);
            true
        })
        || table.field(Field::Map, |seen| {
            let Seen::Table(map) = seen else { return false };
            reply.map(count(&map));
            map.each(|key, value| {
                write(reply, &key, resp3, depth + 1, failures);
                write(reply, &value, resp3, depth + 1, failures);
            });
            true
        })
        || table.field(Field::Set, |seen| {
            let Seen::Table(set) = seen else { return false };
            reply.set(count(&set));
            set.each(|member, _| write(reply, &member, resp3, depth + 1, failures));
            true
        })
        || table.field(Field::BigNumber, |seen| {
            let Seen::Text(digits) = seen else { return false };
            reply.big_number(digits);
            true
        })
        || table.field(Field::Verbatim, |seen| {
            let Seen::Table(verbatim) = seen else { return false };
            verbatim.field(Field::Format, |format| {
                verbatim.field(Field::String, |text| {
                    let (Seen::Text(format), Seen::Text(text)) = (format, text) else { return false };
                    reply.verbatim_as(format, text);
                    true
                })
            })
        })
}

fn count(table: &TableView<'_>) -> usize {
    let mut count = 0;
    table.each(|_, _| count += 1);
    count
}

/// Writes the elements up to the first that is nil.
fn write_list(reply: &mut Reply, table: &TableView<'_>, resp3: bool, depth: usize, failures: &mut Failures) {
    let mark = reply.mark();
    let mut count = 0;
    while table.index(count + 1, |seen| {
        let is_there = !matches!(seen, Seen::Nil);
        if is_there {
            write(reply, &seen, resp3, depth + 1, failures);
        }
        is_there
    }) {
        count += 1;
    }
    reply.array_at(mark, count as usize);
}
