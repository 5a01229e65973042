//! Between Lua and RESP: arguments of `redis.call`, its replies, and what a script returns.

use super::ScriptHost;
use super::api::{Outcome, refusal};
use super::libraries::number_of;
use super::lua::{MAX_DEPTH, Roomy};
use crate::context::{Caller, Cx};
use common::command::{Args, CommandError, Flags};
use common::number::{format_17g, parse_f64, parse_i64};
use common::resp::{Reply, Resp};
use mlua::{Lua, MultiValue, Table, Value};
use std::borrow::Borrow;
use std::rc::Rc;

/// `redis.call` and `redis.pcall`: whether it failed, and the reply (a table with `err` if so).
pub(super) fn call(lua: &Lua, host: &Rc<ScriptHost>, args: MultiValue) -> mlua::Result<Outcome> {
    let _roomy = Roomy::new(lua);
    match words(lua, args.iter().map(Ok))? {
        Ok(words) => call_words(lua, host, &words),
        Err(refused) => Ok(refused),
    }
}

/// The same with the arguments in a list, and their number. They are read one by one: the crate has room for no more than
/// 8,000 values at a time.
pub(super) fn call_list(lua: &Lua, host: &Rc<ScriptHost>, args: MultiValue) -> mlua::Result<Outcome> {
    let _roomy = Roomy::new(lua);
    let (Some(Value::Table(list)), Some(count)) = (args.front(), args.get(1).and_then(number_of)) else {
        return Err(mlua::Error::runtime("a list and its length are needed"));
    };
    match words(lua, (1..=count as i64).map(|at| list.raw_get::<Value>(at)))? {
        Ok(words) => call_words(lua, host, &words),
        Err(refused) => Ok(refused),
    }
}

fn call_words(lua: &Lua, host: &Rc<ScriptHost>, words: &[Vec<u8>]) -> mlua::Result<Outcome> {
    let bytes = host.with_server(|server| {
        let resp = if host.resp3() { Resp::V3 } else { Resp::V2 };
        let mut cx = Cx::with_reply(server, host, host.slot(), Reply::new(resp), Caller::Script);
        cx.db = host.db();
        let mark = cx.reply.mark();
        if let Err(error) = run(&mut cx, host, words) {
            cx.server.stats.count_error(&error);
            if let Ok(id) = cx.server.table.named(&Args::of(words)) {
                cx.server.stats.commands[id.index()].rejected += 1;
            }
            cx.reply.error(&error.wire());
        }
        host.set_db(cx.db);
        cx.reply.since(mark)
    });
    let mut at = 0;
    let value = to_lua(lua, &bytes, &mut at)?;
    Ok((bytes.first() == Some(&b'-'), value))
}

/// The words of a command, or what to raise.
pub(super) fn words<V: Borrow<Value>>(
    lua: &Lua,
    args: impl Iterator<Item = mlua::Result<V>>,
) -> mlua::Result<Result<Vec<Vec<u8>>, Outcome>> {
    let refused = |text| Ok(Err(refusal(lua, text)?));
    let mut words = Vec::with_capacity(args.size_hint().0);
    for arg in args {
        match arg?.borrow() {
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
fn run(cx: &mut Cx<'_>, host: &ScriptHost, words: &[Vec<u8>]) -> Result<(), CommandError> {
    let args = Args::of(words);
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

/// One reply at `at` as a Lua value.
fn to_lua(lua: &Lua, bytes: &[u8], at: &mut usize) -> mlua::Result<Value> {
    while bytes[*at] == b'|' {
        skip_attribute(lua, bytes, at)?;
    }
    let end = bytes[*at..].windows(2).position(|pair| pair == b"\r\n").map_or(bytes.len(), |n| *at + n);
    let (kind, line) = (bytes[*at], &bytes[*at + 1..end]);
    *at = end + 2;
    let single = |field: &str, text: &[u8]| -> mlua::Result<Value> {
        let table = lua.create_table()?;
        table.raw_set(field, lua.create_string(text)?)?;
        Ok(Value::Table(table))
    };
    let len = || parse_i64(line).unwrap_or(0);
    Ok(match kind {
        b'+' => single("ok", line)?,
        b'-' => {
            let table = lua.create_table()?;
            table.raw_set("err", lua.create_string(line)?)?;
            table.raw_set(COUNTED, true)?;
            Value::Table(table)
        }
        b':' => Value::Number(len() as f64),
        b'_' => Value::Nil,
        b'#' => Value::Boolean(line == b"t"),
        b'(' => single("big_number", line)?,
        b',' => {
            let table = lua.create_table()?;
            table.raw_set("double", parse_f64(line).unwrap_or(0.0))?;
            Value::Table(table)
        }
        b'$' | b'=' if len() < 0 => Value::Boolean(false),
        b'$' => Value::String(lua.create_string(payload(bytes, at, len() as usize))?),
        b'=' => {
            let text = payload(bytes, at, len() as usize);
            let inner = lua.create_table()?;
            inner.raw_set("format", lua.create_string(&text[..3])?)?;
            inner.raw_set("string", lua.create_string(&text[4..])?)?;
            let table = lua.create_table()?;
            table.raw_set("verbatim_string", inner)?;
            Value::Table(table)
        }
        b'*' if len() < 0 => Value::Boolean(false),
        b'%' => {
            let map = lua.create_table()?;
            for _ in 0..len() {
                let key = to_lua(lua, bytes, at)?;
                let value = to_lua(lua, bytes, at)?;
                map.raw_set(key, value)?;
            }
            let table = lua.create_table()?;
            table.raw_set("map", map)?;
            Value::Table(table)
        }
        b'~' => {
            let set = lua.create_table()?;
            for _ in 0..len() {
                set.raw_set(to_lua(lua, bytes, at)?, true)?;
            }
            let table = lua.create_table()?;
            table.raw_set("set", set)?;
            Value::Table(table)
        }
        _ => {
            let list = lua.create_table_with_capacity(len().max(0) as usize, 0)?;
            for index in 1..=len() {
                list.raw_set(index, to_lua(lua, bytes, at)?)?;
            }
            Value::Table(list)
        }
    })
}

/// Scripts see no attributes, as in Redis.
fn skip_attribute(lua: &Lua, bytes: &[u8], at: &mut usize) -> mlua::Result<()> {
    let len = 1 + bytes[*at..].iter().position(|b| *b == b'\r').unwrap_or(0);
    let pairs = parse_i64(&bytes[*at + 1..*at + len - 1]).unwrap_or(0);
    *at += len + 1;
    for _ in 0..2 * pairs {
        to_lua(lua, bytes, at)?;
    }
    Ok(())
}

fn payload<'b>(bytes: &'b [u8], at: &mut usize, len: usize) -> &'b [u8] {
    let text = &bytes[*at..*at + len];
    *at += len + 2;
    text
}

/// In an error's table: statistics know it from the command that failed. Redis's name, since scripts see it.
pub(super) const COUNTED: &str = "ignore_error_stats_update";

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

/// Writes what a script returned. `resp3` is the script's own choice by `redis.setresp`.
pub(super) fn write(reply: &mut Reply, value: &Value, resp3: bool, depth: usize, failures: &mut Failures) {
    match value {
        _ if depth > MAX_DEPTH => failures.write(reply, b"ERR reached lua stack limit", false),
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Boolean(value) if resp3 => reply.boolean(*value),
        Value::Boolean(true) => reply.integer(1),
        Value::Integer(number) => reply.integer(*number),
        Value::Number(number) => reply.integer(truncated(*number)),
        Value::Table(table) => write_table(reply, table, resp3, depth, failures),
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

/// What a table holds, one by one: the crate has room for no more than 8,000 values at a time. Nobody changes the table
/// meanwhile, so that each walk finds the same and none ends early.
fn entries(table: &Table) -> impl Iterator<Item = (Value, Value)> {
    table.pairs().map_while(Result::ok)
}

fn write_table(reply: &mut Reply, table: &Table, resp3: bool, depth: usize, failures: &mut Failures) {
    let field = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
    if let Value::String(text) = field("err") {
        let is_counted = matches!(field(COUNTED), Value::Boolean(true));
        return failures.write(reply, as_text(&text.as_bytes()), is_counted);
    }
    if let Value::String(text) = field("ok") {
        return reply.status(as_text(&text.as_bytes()));
    }
    if let Some(value) = number_of(&field("double")) {
        return reply.double(value);
    }
    if let Value::Table(map) = field("map") {
        reply.map(entries(&map).count());
        for (key, value) in entries(&map) {
            write(reply, &key, resp3, depth + 1, failures);
            write(reply, &value, resp3, depth + 1, failures);
        }
        return;
    }
    if let Value::Table(set) = field("set") {
        reply.set(entries(&set).count());
        entries(&set).for_each(|(member, _)| write(reply, &member, resp3, depth + 1, failures));
        return;
    }
    if let Value::String(digits) = field("big_number") {
        return reply.big_number(&digits.as_bytes());
    }
    if let Value::Table(verbatim) = field("verbatim_string")
        && let (Ok(Value::String(format)), Ok(Value::String(text))) =
            (verbatim.raw_get("format"), verbatim.raw_get("string"))
    {
        return reply.verbatim_as(&format.as_bytes(), &text.as_bytes());
    }
    let mark = reply.mark();
    let mut count = 0;
    loop {
        let element: Value = table.raw_get(count + 1).unwrap_or(Value::Nil);
        if element.is_nil() {
            break;
        }
        write(reply, &element, resp3, depth + 1, failures);
        count += 1;
    }
    reply.array_at(mark, count);
}
