//! The commands, a file per group of the documentation.

pub mod bitmap;
pub mod cluster;
pub mod connection;
pub mod generic;
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
pub mod sorted_set;
pub mod stream;
pub mod string;
pub mod transactions;

use crate::server::Ochre;
use common::command::{Arity, Command, CommandError, Doc, Flags, Handler};
use common::number::parse_i64;
use common::resp::Reply;
use store::Element;

/// The `doc` of an entry, in one line.
const fn doc(
    group: &'static str,
    since: &'static str,
    complexity: &'static str,
    syntax: &'static str,
    summary: &'static str,
) -> Doc {
    Doc { group, summary, since, complexity, syntax }
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
