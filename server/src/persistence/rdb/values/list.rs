//! Lists.
//!
//! ```text
//! 1    length, { string }                               before 3.2
//! 10   string holding a ziplist                         before 3.2
//! 14   length, { string holding a ziplist }             3.2 to 6.2
//! 18   length, { 2, string holding a listpack | 1, string holding one big element }        written
//! ```

use std::io::{self, Read, Write};

use super::super::RdbCause;
use super::super::input::Input;
use super::super::writer::Writer;
use super::super::ziplist;
use store::{End, List, ListLimit, Listpack, NodeView};

const PLAIN: u8 = 1;
const ZIPLIST: u8 = 10;
const QUICKLIST: u8 = 14;
const QUICKLIST_2: u8 = 18;

/// The numbers that are read.
pub const KINDS: [u8; 4] = [PLAIN, ZIPLIST, QUICKLIST, QUICKLIST_2];

/// The number that is written.
pub const WRITTEN: u8 = QUICKLIST_2;

/// How a node of a list of type 18 is stored.
mod container {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

/// Reads a list.
pub fn read<R: Read>(kind: u8, input: &mut Input<R>, limit: &ListLimit) -> Result<List, RdbCause> {
    let mut list = List::new();
    let nodes = if kind == ZIPLIST { 1 } else { input.len()? };
    for _ in 0..nodes {
        match kind {
            PLAIN => list.push(End::Tail, &input.string()?, limit),
            ZIPLIST | QUICKLIST => {
                let elements = ziplist::elements(&input.string()?).map_err(RdbCause::Node)?;
                elements.iter().for_each(|element| list.push(End::Tail, element, limit));
            }
            _ => match input.len()? {
                container::PLAIN => list.append_plain(&input.string()?),
                container::PACKED => list.append_listpack(super::listpack(input)?),
                other => return Err(RdbCause::Container(other)),
            },
        }
    }
    list.settle(limit);
    Ok(list)
}

/// Writes a list.
pub fn write<W: Write>(writer: &mut Writer<W>, list: &List) -> io::Result<()> {
    writer.put_len(list.node_count() as u64);
    let mut scratch = Vec::new();
    for node in list.nodes() {
        match node {
            NodeView::Packed(pack) => {
                scratch.clear();
                pack.write_to(&mut scratch);
                writer.put_len(container::PACKED);
                writer.put_string(&scratch)?;
            }
            NodeView::Plain(bytes) => {
                writer.put_len(container::PLAIN);
                writer.put_string(bytes)?;
            }
            NodeView::Lzf(lzf) => {
                writer.put_len(if lzf.is_plain() { container::PLAIN } else { container::PACKED });
                writer.put_lzf(lzf.compressed(), lzf.expanded_len())?;
            }
        }
    }
    Ok(())
}

/// Writes a list of one listpack, given in Redis's form.
pub fn write_packed<W: Write>(writer: &mut Writer<W>, pack: &[u8]) -> io::Result<()> {
    writer.put_len(1);
    writer.put_len(container::PACKED);
    writer.put_string(pack)
}

/// The listpack of a list that is nothing else.
pub fn only_node(list: &List) -> Option<&Listpack> {
    let mut nodes = list.nodes();
    match (nodes.next(), nodes.next()) {
        (Some(NodeView::Packed(pack)), None) => Some(pack),
        _ => None,
    }
}
