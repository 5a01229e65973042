//! A stream's node: some entries in one listpack, in Redis's layout, since files carry it.
//!
//! ```text
//!  ├ live ┼ deleted ┼ n ┼ field 1 … field n ┼ 0 ┼ entry ┼ entry ┼ … ┤           the first entry's fields
//!  entry: ├ flags ┼ ms ┼ seq ┼ value 1 … value n ┼ pieces ┤                     flags 2: it has those fields
//!         ├ flags ┼ ms ┼ seq ┼ n ┼ field 1 ┼ value 1 … ┼ pieces ┤               flags 0: it has fields of its own
//!  flags 1: deleted · ms, seq: behind those of the first entry · pieces: elements of the entry before this one
//! ```
//!
//! In memory the two counts at the front are kept beside the listpack: they change with every entry. A node behind which
//! another one begins takes less room in a form of its own ([`super::sealed`]).

use super::StreamId;
use super::sealed::{Elements, Unsealed, mark, seal};
use std::borrow::Cow;

use crate::listpack::{Element, Iter, Listpack};
use crate::raw::room::Room;
use crate::relocate::Mover;

const DELETED: i64 = 1;
pub(super) const SAME_FIELDS: i64 = 2;
/// Elements of an entry beside fields and values: flags and the two parts of the ID.
const ENTRY_HEAD: usize = 3;
/// Bytes up to which a node may grow, whatever the configuration says.
const MOST_BYTES: usize = 1 << 30;

/// How large a node may become.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// `stream-node-max-bytes`; 0 for no limit.
    pub node_bytes: u64,
    /// `stream-node-max-entries`; 0 for no limit.
    pub node_entries: u64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { node_bytes: 4096, node_entries: 100 }
    }
}

/// What the elements of a sealed node are: they came from a listpack that was.
const WHOLE: &str = "a sealed node is whole";

/// Up to so many entries are marked one by one, each of which searches for its place.
const FEW: usize = 4;

#[derive(Clone)]
enum Form {
    /// What follows the two counts.
    Open(Listpack),
    Sealed(Room),
}

#[derive(Clone)]
pub(super) struct Node {
    form: Form,
    live: u32,
    deleted: u32,
}

/// Fields and values to be added.
pub type Pairs<'a> = [(&'a [u8], &'a [u8])];

impl Node {
    /// Moves the entries as the mover says.
    pub(super) fn relocate(&mut self, mover: &mut Mover<'_>) {
        match &mut self.form {
            Form::Open(pack) => pack.relocate(mover),
            Form::Sealed(room) => room.relocate(mover),
        }
    }

    /// A node of one entry, whose ID is the node's.
    pub(super) fn new(pairs: &Pairs<'_>) -> Self {
        let mut pack = Listpack::new();
        pack.push_back(Element::Int(pairs.len() as i64));
        pairs.iter().for_each(|(field, _)| pack.push_back(Element::from_bytes(field)));
        pack.push_back(Element::Int(0));
        let mut node = Self { form: Form::Open(pack), live: 0, deleted: 0 };
        node.append(StreamId::MIN, StreamId::MIN, pairs);
        node
    }

    /// Reads a listpack of which only the elements have been checked.
    pub(super) fn from_listpack(mut pack: Listpack) -> Option<Self> {
        let mut count = || match pack.pop_front()? {
            Element::Int(count) => u32::try_from(count).ok(),
            Element::Bytes(_) => None,
        };
        let (live, deleted) = (count()?, count()?);
        pack.shrink_to_fit();
        let node = Self { form: Form::Open(pack), live, deleted };
        node.is_whole().then_some(node)
    }

    /// Whether the elements are what the counts and flags among them say.
    fn is_whole(&self) -> bool {
        let check = || {
            let mut iter = self.elements();
            let fields = usize::try_from(iter.int()?).ok()?;
            iter.pass(fields)?;
            if iter.int()? != 0 {
                return None;
            }
            let (mut live, mut deleted) = (0u32, 0u32);
            while !iter.is_empty() {
                let flags = iter.int()?;
                iter.int()?;
                iter.int()?;
                let pieces = if flags & SAME_FIELDS != 0 {
                    iter.pass(fields)?;
                    fields + ENTRY_HEAD
                } else {
                    let own = usize::try_from(iter.int()?).ok()?;
                    iter.pass(own.checked_mul(2)?)?;
                    2 * own + ENTRY_HEAD + 1
                };
                if iter.int()? != pieces as i64 {
                    return None;
                }
                match flags & DELETED {
                    0 => live += 1,
                    _ => deleted += 1,
                }
            }
            Some((live, deleted))
        };
        check() == Some((self.live, self.deleted))
    }

    /// Whether each entry's ID is above those of the entries before it, of which deleted ones do not count: after XSETID
    /// the stream may give out an ID again that one of them had. The first is at or above `master`.
    pub(super) fn is_in_order(&self, master: StreamId) -> bool {
        let mut least = Some(master);
        self.walk(master).all(|entry| {
            let fits = least.is_some_and(|least| entry.id >= least);
            if !entry.is_deleted() {
                least = entry.id.next();
            }
            fits
        })
    }

    /// The last entry's ID that is not deleted.
    pub(super) fn last_live_id(&self, master: StreamId) -> Option<StreamId> {
        self.walk(master).rev().find(|entry| !entry.is_deleted()).map(|entry| entry.id)
    }

    /// The whole in Redis's format.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        match &self.form {
            Form::Open(pack) => {
                let mut whole = pack.clone();
                whole.push_front(Element::Int(i64::from(self.deleted)));
                whole.push_front(Element::Int(i64::from(self.live)));
                whole.write_to(out);
            }
            Form::Sealed(room) => {
                let mut whole = Unsealed::default();
                whole.int(i64::from(self.live));
                whole.int(i64::from(self.deleted));
                whole.add(room).expect(WHOLE);
                Listpack::write_entries(&whole.entries, whole.count, out);
            }
        }
    }

    /// Entries that are not deleted.
    pub(super) fn live(&self) -> u64 {
        u64::from(self.live)
    }

    /// Whether an entry of so many bytes of fields and values needs another node.
    pub(super) fn is_full(&self, bytes: usize, limits: &StreamLimits) -> bool {
        let most = match usize::try_from(limits.node_bytes) {
            Ok(1..=MOST_BYTES) => limits.node_bytes as usize,
            _ => MOST_BYTES,
        };
        let size = self.opened().total_bytes() + count_size(self.live) + count_size(self.deleted);
        let entries = u64::from(self.live) + u64::from(self.deleted);
        size + bytes >= most || limits.node_entries > 0 && entries >= limits.node_entries
    }

    /// Takes as little memory as it can, when the node will not grow any more.
    pub(super) fn seal(&mut self) {
        if let Form::Open(pack) = &mut self.form {
            match seal(pack) {
                Some(room) => self.form = Form::Sealed(room),
                None => pack.shrink_to_fit(),
            }
        }
    }

    /// The listpack, made if it is not there.
    fn opened(&self) -> Cow<'_, Listpack> {
        match &self.form {
            Form::Open(pack) => Cow::Borrowed(pack),
            Form::Sealed(room) => {
                let mut whole = Unsealed::default();
                whole.add(room).expect(WHOLE);
                Cow::Owned(Listpack::of_entries(&whole.entries, whole.count))
            }
        }
    }

    /// The listpack for a change.
    fn open(&mut self) -> &mut Listpack {
        if let Form::Sealed(_) = self.form {
            self.form = Form::Open(self.opened().into_owned());
        }
        let Form::Open(pack) = &mut self.form else { unreachable!("it has just been opened") };
        pack
    }

    fn elements(&self) -> Elements<'_> {
        match &self.form {
            Form::Open(pack) => Elements { left: pack.entries(), is_sealed: false },
            Form::Sealed(room) => Elements { left: room.used(), is_sealed: true },
        }
    }

    /// Adds an entry; `master` is the node's ID.
    pub(super) fn append(&mut self, master: StreamId, id: StreamId, pairs: &Pairs<'_>) {
        let same = self.has_fields(pairs);
        let pack = self.open();
        pack.push_back(Element::Int(if same { SAME_FIELDS } else { 0 }));
        pack.push_back(Element::Int(id.ms.wrapping_sub(master.ms).cast_signed()));
        pack.push_back(Element::Int(id.seq.wrapping_sub(master.seq).cast_signed()));
        if !same {
            pack.push_back(Element::Int(pairs.len() as i64));
        }
        for (field, value) in pairs {
            if !same {
                pack.push_back(Element::from_bytes(field));
            }
            pack.push_back(Element::from_bytes(value));
        }
        let pieces = ENTRY_HEAD + if same { pairs.len() } else { 2 * pairs.len() + 1 };
        pack.push_back(Element::Int(pieces as i64));
        self.live += 1;
    }

    /// Whether the node's fields are those of `pairs`.
    fn has_fields(&self, pairs: &Pairs<'_>) -> bool {
        let mut iter = self.elements();
        iter.int() == Some(pairs.len() as i64)
            && iter.zip(pairs).all(|(own, (field, _))| own == Element::from_bytes(field))
    }

    /// The entries, deleted ones as well, from the first.
    pub(super) fn walk(&self, master: StreamId) -> Walk<'_> {
        let mut left = self.elements();
        let fields = left.int().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let names = left.clone();
        // The names and the zero behind them.
        let _ = left.pass(if left.is_sealed { fields } else { fields + 1 });
        Walk { master, names, fields, left, starts: None }
    }

    /// The ID of the last entry, deleted or not.
    pub(super) fn last_id(&self, master: StreamId) -> StreamId {
        self.walk(master).next_back().map_or(master, |entry| entry.id)
    }

    /// Marks entries as deleted where `which` says so; stops where it gives `None`. It is not asked about deleted ones,
    /// whose IDs need not be in order. Tells how many were marked.
    pub(super) fn delete(
        &mut self,
        master: StreamId,
        mut which: impl FnMut(StreamId) -> Option<bool>,
    ) -> u64 {
        let mut marked = Vec::new();
        let mut walk = self.walk(master);
        let (whole, names) = (self.elements().left.len(), walk.fields + 2);
        let mut index = names;
        loop {
            let start = whole - walk.left.left.len();
            let Some(entry) = walk.next() else { break };
            match (!entry.is_deleted()).then(|| which(entry.id)) {
                Some(None) => break,
                Some(Some(true)) => marked.push(Marked { index, start, flags: entry.flags | DELETED }),
                Some(Some(false)) | None => {}
            }
            index += entry.pieces() + 1;
        }
        match &mut self.form {
            Form::Sealed(room) => mark(room, marked.iter().map(|entry| entry.start), DELETED as u8),
            Form::Open(pack) if marked.len() > FEW => {
                let mut new = Listpack::new();
                let mut next = marked.iter().peekable();
                for (index, element) in pack.iter().enumerate() {
                    let flags = next.next_if(|entry| entry.index == index).map(|entry| entry.flags);
                    new.push_back(flags.map_or(element, Element::Int));
                }
                *pack = new;
            }
            Form::Open(pack) => {
                marked.iter().for_each(|entry| pack.replace(entry.index, Element::Int(entry.flags)));
            }
        }
        let count = marked.len() as u32;
        (self.live, self.deleted) = (self.live - count, self.deleted + count);
        u64::from(count)
    }

    pub(super) fn memory_usage(&self) -> usize {
        let bytes = match &self.form {
            Form::Open(pack) => pack.memory_usage(),
            Form::Sealed(room) => room.allocated(),
        };
        size_of::<Self>() + size_of::<usize>() + bytes
    }
}

/// Size of a count's entry in a listpack.
fn count_size(count: u32) -> usize {
    match count {
        0..=127 => 2,
        128..=4095 => 3,
        4096..=32_767 => 4,
        32_768..=8_388_607 => 5,
        _ => 6,
    }
}

/// An entry to be deleted: which element its flags are, where they lie, and what becomes of them.
struct Marked {
    index: usize,
    start: usize,
    flags: i64,
}

/// An entry.
#[derive(Clone)]
pub struct StreamEntry<'a> {
    /// Its ID.
    pub id: StreamId,
    flags: i64,
    /// Number of fields.
    fields: usize,
    /// The node's field names, for an entry that has the same.
    names: Elements<'a>,
    /// Values, or fields and values.
    body: Elements<'a>,
}

impl<'a> StreamEntry<'a> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// No fields: never so.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// Fields and their values, without allocating.
    pub fn fields(&self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> + use<'a> {
        let (mut names, mut body, same) =
            (self.names.clone(), self.body.clone(), self.flags & SAME_FIELDS != 0);
        (0..self.fields).map_while(move |_| {
            let name = if same { names.next()? } else { body.next()? };
            Some((name, body.next()?))
        })
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Elements before the last one, which counts them.
    fn pieces(&self) -> usize {
        ENTRY_HEAD + if self.flags & SAME_FIELDS != 0 { self.fields } else { 2 * self.fields + 1 }
    }
}

/// Walks a node's entries from either end.
#[derive(Clone)]
pub(super) struct Walk<'a> {
    master: StreamId,
    names: Elements<'a>,
    fields: usize,
    left: Elements<'a>,
    /// Where the entries left begin, once a sealed node is walked from its end.
    starts: Option<Vec<usize>>,
}

impl<'a> Walk<'a> {
    /// The entry that `iter` begins with, whose body is left in it.
    #[inline(always)]
    fn entry(&self, iter: &mut Elements<'a>) -> Option<StreamEntry<'a>> {
        let (flags, ms, seq) = iter.head()?;
        let id = StreamId {
            ms: self.master.ms.wrapping_add(ms.cast_unsigned()),
            seq: self.master.seq.wrapping_add(seq.cast_unsigned()),
        };
        let fields = match flags & SAME_FIELDS {
            0 => usize::try_from(iter.int()?).ok()?,
            _ => self.fields,
        };
        Some(StreamEntry { id, flags, fields, names: self.names.clone(), body: iter.clone() })
    }
}

impl Walk<'_> {
    /// Where the last entry of a sealed node begins, which is then left out.
    fn last_start(&mut self) -> Option<usize> {
        if self.starts.is_none() {
            let (mut left, mut starts) = (self.left.clone(), Vec::with_capacity(self.left.left.len() / 16));
            while !left.is_empty() {
                starts.push(self.left.left.len() - left.left.len());
                left.pass_entry(self.fields)?;
            }
            self.starts = Some(starts);
        }
        self.starts.as_mut()?.pop()
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = StreamEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<StreamEntry<'a>> {
        let mut left = self.left.clone();
        let entry = self.entry(&mut left)?;
        let body = if entry.flags & SAME_FIELDS != 0 { entry.fields } else { 2 * entry.fields };
        left.pass(if left.is_sealed { body } else { body + 1 })?;
        self.left = left;
        if self.starts.is_some() {
            self.starts = None;
        }
        Some(entry)
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let start = if self.left.is_sealed { self.last_start()? } else { last_start(self.left.left)? };
        let (front, back) = self.left.left.split_at(start);
        let entry = self.entry(&mut Elements { left: back, ..self.left })?;
        self.left.left = front;
        Some(entry)
    }
}

/// Where the last entry of a listpack begins.
fn last_start(entries: &[u8]) -> Option<usize> {
    let mut front = Iter::over(entries);
    let Element::Int(pieces) = front.next_back()? else { return None };
    for _ in 0..pieces {
        front.next_back()?;
    }
    Some(front.left().len())
}
