//! The commands, a file per group of the documentation.

pub mod bitmap;
pub mod client;
pub mod cluster;
pub mod connection;
pub mod functions;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod list;
pub mod module;
pub mod persistence;
mod random;
pub mod replication;
mod scan_options;
pub mod scripting;
pub mod server;
pub mod set;
pub mod sort;
pub mod sorted_set;
pub mod stream;
pub mod string;
pub mod transactions;

use crate::context::{Caller, Cx};
use crate::events::Event;
use crate::server::{Key, Ochre};
use crate::session::TimeoutReply;
use common::command::{
    Acl, Arity, Command, CommandError, CommandResult, Doc, Flags, Handler, KeySpec, Outcome,
};
use common::number::parse_i64;
use common::resp::Reply;
use std::ops::Range;
use store::{Element, Object, Typed};

/// The `doc` of an entry, in one line.
const fn doc(
    group: &'static str,
    since: &'static str,
    complexity: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Doc {
    Doc { group, summary, since, complexity, syntax, deprecated: None }
}

/// Hints of commands whose replies differ from call to call, in order or altogether.
const NONDETERMINISTIC: &[&str] = &["nondeterministic_output"];
const NONDETERMINISTIC_ORDER: &[&str] = &["nondeterministic_output_order"];

/// An entry of a group that has a category of its own; `Command { tips, ..entry(…) }` for one with hints.
const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    keys: &'static [KeySpec],
    doc: Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    let acl: &[Acl] = match doc.group.as_bytes() {
        b"bitmap" => &[Acl::Bitmap],
        b"geo" => &[Acl::Geo],
        b"hash" => &[Acl::Hash],
        b"hyperloglog" => &[Acl::HyperLogLog],
        b"list" => &[Acl::List],
        b"set" => &[Acl::Set],
        b"sorted-set" => &[Acl::SortedSet],
        b"stream" => &[Acl::Stream],
        b"string" => &[Acl::String],
        _ => panic!("this group's commands have no category in common"),
    };
    Command { name, arity, flags, acl, keys, tips: &[], doc, subcommands: &[], run }
}

/// A subcommand without keys or categories.
const fn sub(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    tips: &'static [&'static str],
    doc: Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    Command { name, arity, flags, acl: &[], keys: &[], tips, doc, subcommands: &[], run }
}

/// A timeout in seconds, fractions allowed, as milliseconds.
fn timeout_ms(word: &[u8], now_ms: i64) -> Result<i64, CommandError> {
    let seconds = common::number::parse_f64(word)
        .filter(|s| !s.is_nan())
        .ok_or(CommandError::Text("ERR timeout is not a float or out of range"))?;
    if seconds < 0.0 {
        return Err("ERR timeout is negative".into());
    }
    let ms = (seconds * 1000.0).ceil();
    if ms > (i64::MAX - now_ms) as f64 {
        return Err("ERR timeout is out of range".into());
    }
    Ok(ms as i64)
}

/// Waits until one of several keys has something; who may not wait gets the reply of a time that is up.
fn wait_for<'k>(cx: &mut Cx<'_>, keys: impl Iterator<Item = &'k [u8]>, timeout_ms: i64) -> CommandResult {
    if cx.caller != Caller::Client {
        cx.reply.null_array();
        return Ok(Outcome::Done);
    }
    let deadline = cx.deadline(timeout_ms);
    cx.wait_for_keys(keys, deadline, TimeoutReply::NullArray);
    Ok(Outcome::Block)
}

/// The first of several keys that holds a `T`, and what `read` says of that. A client that was woken passes over keys that
/// turned into something else.
fn first_typed<'k, T: Typed, R>(
    cx: &mut Cx<'_>,
    keys: impl Iterator<Item = &'k [u8]>,
    read: impl Fn(&T) -> R,
) -> Result<Option<(Key<'k>, R)>, CommandError> {
    for key in keys {
        let key = cx.key(key);
        match cx.server.find_typed::<T>(cx.db, key) {
            Ok(Some(object)) => return Ok(Some((key, read(object)))),
            Ok(None) => {}
            Err(_) if cx.resumed.is_some() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Stores what a command made under `target` and replies with the number of its elements; nothing made deletes the key.
fn store_result<T: Typed>(cx: &mut Cx<'_>, target: Key<'_>, result: T, event: Event) {
    let result: Object = result.into();
    cx.reply.integer(result.len() as i64);
    if result.is_empty() {
        let lazily = cx.server.config.lazyfree_lazy_server_del;
        cx.delete_target(target, lazily);
    } else {
        cx.server.store_object(cx.db, target, result);
        cx.changed(target, event);
    }
}

/// The elements that a range from `start` to `stop` takes of `len`: both count, negative ones from the end.
fn index_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let size = len as i64;
    let from_end = |index: i64| if index < 0 { index + size } else { index };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(size - 1));
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// Writes an element of a collection as a bulk string.
#[inline]
fn write_element(reply: &mut Reply, element: &Element<'_>) {
    match element {
        Element::Int(value) => reply.bulk_integer(*value),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// An index or count as `i64`.
fn integer(word: &[u8]) -> Result<i64, CommandError> {
    parse_i64(word).ok_or(CommandError::NotAnInteger)
}
