//! DEBUG's looks into one value: how it is laid out, and what it takes.

use crate::context::Cx;
use common::command::{Args, CommandError, CommandResult, Outcome};
use std::io::Write;
use store::{Entry, HashValue, List, Listpack, NodeView, Object, ObjectView, Set, SetView, SortedSet, Value};

const NO_KEY: CommandError = CommandError::Text("ERR no such key");

fn entry<'c>(cx: &'c mut Cx<'_>, args: &mut Args<'_>) -> Result<Entry<'c>, CommandError> {
    let key = cx.key(args.next());
    cx.server.inspect(cx.db, key).ok_or(NO_KEY)
}

// --- listpacks and quicklists ----------------------------------------------------------------------------------------

/// The listpack that a value is kept in, if it is one.
fn listpack_of(object: &Object) -> Option<&Listpack> {
    match object.view() {
        ObjectView::List(list) if list.encoding() == "listpack" => match list.nodes().next() {
            Some(NodeView::Packed(pack)) => Some(pack),
            _ => None,
        },
        ObjectView::Set(set) => match set.view() {
            SetView::Packed(pack) => Some(pack),
            SetView::Ints(_) | SetView::Table => None,
        },
        ObjectView::SortedSet(set) => set.listpack(),
        ObjectView::Hash(hash) => hash.as_listpack(),
        ObjectView::List(_) | ObjectView::Stream(_) => None,
    }
}

fn show_listpack(out: &mut String, pack: &Listpack) {
    out.push_str(&format!("{{listpack: {} bytes, {} elements}}\n", pack.total_bytes(), pack.len()));
    let mut buffer = itoa::Buffer::new();
    for (index, element) in pack.iter().enumerate() {
        let text = element.as_bytes(&mut buffer);
        out.push_str(&format!("  {index}: {} bytes, {}\n", text.len(), text.escape_ascii()));
    }
}

/// As Redis does, shows it where the operator looks, not the client. A closed output is no reason to fail.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

pub(super) fn listpack(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let entry = entry(cx, args)?;
    let pack = match entry.value() {
        Value::Object(object) => listpack_of(object),
        _ => None,
    };
    let pack = pack.ok_or(CommandError::Text("ERR Not a listpack encoded object."))?;
    let mut text = String::new();
    show_listpack(&mut text, pack);
    print(&text);
    cx.reply.simple("Listpack structure printed on stdout");
    Ok(Outcome::Done)
}

/// Shows a quicklist's nodes, their elements too if a second word is a number other than 0.
pub(super) fn quicklist(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let in_full = args.left() > 1 && common::number::parse_i64(args.get(3)).is_some_and(|full| full != 0);
    let entry = entry(cx, args)?;
    let list = entry.typed::<List>().filter(|list| list.encoding() == "quicklist");
    let list = list.ok_or(CommandError::Text("ERR Not a quicklist encoded object."))?;
    let mut text = format!("{{quicklist: {} elements, {} nodes}}\n", list.len(), list.node_count());
    let expanded = in_full.then(|| list.expanded());
    let mut show = |node: NodeView<'_>| match node {
        NodeView::Packed(pack) if in_full => show_listpack(&mut text, pack),
        NodeView::Packed(pack) => {
            text.push_str(&format!("{{packed: {} bytes, {} elements}}\n", pack.total_bytes(), pack.len()));
        }
        NodeView::Plain(bytes) => text.push_str(&format!("{{plain: {} bytes}}\n", bytes.len())),
        NodeView::Lzf(lzf) => {
            let (short, long) = (lzf.compressed().len(), lzf.expanded_len());
            text.push_str(&format!("{{compressed: {short} bytes for {long}}}\n"));
        }
    };
    match &expanded {
        Some(list) => list.nodes().for_each(&mut show),
        None => list.nodes().for_each(&mut show),
    }
    print(&text);
    cx.reply.simple("Quicklist structure printed on stdout");
    Ok(Outcome::Done)
}

// --- strings and tables ----------------------------------------------------------------------------------------------

/// Lengths, spare room and memory of a key and its string. A key and a short string lie in the entry and have no room
/// to spare; the entry's memory is counted for the key.
pub(super) fn sds_len(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let entry = entry(cx, args)?;
    let (len, used) = match entry.value() {
        Value::Bytes(bytes) => (bytes.len(), bytes.len()),
        Value::Shared(bytes) => (bytes.len(), bytes.memory_usage()),
        Value::Int(_) | Value::Object(_) => return Err("ERR Not an sds encoded string.".into()),
    };
    let spare = match entry.value() {
        Value::Shared(bytes) => bytes.capacity() - len,
        _ => 0,
    };
    let text = format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{len}, val_sds_avail:{spare}, val_zmalloc: {used}",
        entry.key().len(),
        entry.memory_usage() - entry.value().memory_usage(),
    );
    cx.reply.simple(&text);
    Ok(Outcome::Done)
}

/// How full the table of a big set, hash or sorted set is. Tables grow and shrink leaf by leaf, so there is never a second
/// one that elements move to.
pub(super) fn table_stats(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let entry = entry(cx, args)?;
    let len = match entry.encoding() {
        "hashtable" => {
            entry.typed::<Set>().map(Set::len).or_else(|| entry.typed::<HashValue>().map(HashValue::len))
        }
        "skiplist" => entry.typed::<SortedSet>().map(SortedSet::len),
        _ => None,
    };
    let len = len.ok_or(CommandError::Text(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    let bytes = entry.value().memory_usage();
    let text = format!("[Dictionary HT]\n number of elements: {len}\n table size in bytes: {bytes}\n");
    cx.reply.verbatim(text.as_bytes());
    Ok(Outcome::Done)
}
