//! Hashes: fields and values in a listpack while small, in a dictionary beyond that; each field may have an expiry.
//!
//! ```text
//!  HashValue ─┬─ Listpack: field, value, …             no field expires                    "listpack"
//!             ├─ Listpack: field, value, expiry, …     0 for none                          "listpackex"
//!             └─ Dict: field → value, and a Dict: field → expiry for those that expire     "hashtable"
//! ```
//!
//! The thresholds are Redis's `hash-max-listpack-entries` and `hash-max-listpack-value`; a hash never goes back to a
//! smaller form. A field whose time is up is gone for every reader (`now_ms` says when that is) and is taken out by whoever
//! comes across it: [`HashValue::due`] names such fields. [`HashValue::next_due`] says when to look again. A dictionary is
//! looked through in slices, since its expiries are in no order, and not again before a millisecond per thousand of them
//! has passed: a field may be kept that much longer than it is seen.

use std::fmt;

use crate::dict::{self, Dict, VARIABLE};
use crate::listpack::{self, Element, Listpack};
use crate::raw::word::{Tag, Word};
use crate::relocate::Mover;

/// A listpack does not grow beyond this, bytes.
const MOST_PACKED: usize = 1 << 30;

/// How much the small form may hold.
#[derive(Clone, Copy, Debug)]
pub struct HashLimit {
    /// `hash-max-listpack-entries`.
    pub entries: usize,
    /// `hash-max-listpack-value`, bytes of a field or value.
    pub value: usize,
}

impl Default for HashLimit {
    fn default() -> Self {
        Self { entries: 512, value: 64 }
    }
}

/// Fields in a listpack that may expire.
#[derive(Clone, Default)]
pub(crate) struct Expiring {
    pack: Listpack,
    next_due: i64,
}

/// The expiries of a dictionary's fields.
#[derive(Clone, Default)]
struct Expiries {
    at: Dict<8>,
    next_due: i64,
    /// Where the search for fields that are due goes on.
    cursor: u64,
    /// The earliest expiry that this search has come across, those set meanwhile among them.
    found: i64,
}

/// Expiries looked at in one go.
const SLICE: usize = if cfg!(test) { 4 } else { 2048 };
/// Expiries per millisecond that passes between two searches.
const PER_MS: usize = 1000;

#[derive(Clone, Default)]
pub(crate) struct HashTable {
    fields: Dict<VARIABLE>,
    expiries: Option<Box<Expiries>>,
}

enum Repr<'a> {
    Packed(&'a Listpack),
    Expiring(&'a Expiring),
    Table(&'a HashTable),
}

enum ReprMut<'a> {
    Packed(&'a mut Listpack),
    Expiring(&'a mut Expiring),
    Table(&'a mut HashTable),
}

/// A hash.
#[derive(Clone)]
#[repr(transparent)]
pub struct HashValue {
    word: Word,
}

/// In the place of a walk over a hash: it has reached the expiries.
const IN_EXPIRIES: u64 = 1 << 63;

impl HashValue {
    fn of_pack(pack: Listpack) -> Self {
        Self { word: Word::small(pack, Tag::HashPacked) }
    }

    #[inline]
    fn repr(&self) -> Repr<'_> {
        match self.word.tag() {
            Tag::HashPacked => Repr::Packed(self.word.pack()),
            Tag::HashExpiring => Repr::Expiring(self.word.get()),
            _ => Repr::Table(self.word.get()),
        }
    }

    #[inline]
    fn repr_mut(&mut self) -> ReprMut<'_> {
        match self.word.tag() {
            Tag::HashPacked => ReprMut::Packed(self.word.pack_mut()),
            Tag::HashExpiring => ReprMut::Expiring(self.word.get_mut()),
            _ => ReprMut::Table(self.word.get_mut()),
        }
    }

    /// Moves a piece as the mover says; where to go on.
    pub(crate) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        match self.repr_mut() {
            ReprMut::Packed(pack) => pack.relocate(mover),
            ReprMut::Expiring(_) => self.word.relocate::<Expiring>(from, mover).pack.relocate(mover),
            ReprMut::Table(_) => {
                let table = self.word.relocate::<HashTable>(from, mover);
                if from & IN_EXPIRIES == 0
                    && let Some(next) = table.fields.relocate(from, mover)
                {
                    return Some(next);
                }
                let expiries = table.expiries.as_mut()?;
                if from & IN_EXPIRIES == 0 {
                    mover.boxed(expiries);
                    return Some(IN_EXPIRIES);
                }
                return expiries.at.relocate(from & !IN_EXPIRIES, mover).map(|next| next | IN_EXPIRIES);
            }
        }
        None
    }
}

impl Default for HashValue {
    fn default() -> Self {
        Self::of_pack(Listpack::new())
    }
}

impl fmt::Debug for HashValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashValue({}, {} fields)", self.encoding(), self.len())
    }
}

/// A field with its value and expiry (unix ms).
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: Element<'a>,
    /// Its value.
    pub value: Element<'a>,
    /// When it expires.
    pub expire: Option<i64>,
}

impl Field<'_> {
    /// Whether its time is not up.
    pub fn is_alive(&self, now_ms: i64) -> bool {
        self.expire.is_none_or(|at| at > now_ms)
    }
}

/// Elements per field of a listpack.
const PLAIN: usize = 2;
const WITH_EXPIRY: usize = 3;

/// The index of a field's name among a listpack's elements.
#[inline]
fn position(pack: &Listpack, stride: usize, field: &[u8]) -> Option<usize> {
    let wanted = Element::from_bytes(field);
    let mut elements = pack.iter();
    let mut index = 0;
    loop {
        if elements.next()? == wanted {
            return Some(index);
        }
        for _ in 1..stride {
            elements.next();
        }
        index += stride;
    }
}

fn expiry_of(element: Option<Element<'_>>) -> Option<i64> {
    match element {
        Some(Element::Int(0)) | None => None,
        Some(Element::Int(at)) => Some(at),
        Some(Element::Bytes(_)) => None,
    }
}

fn decode(expiry: &[u8]) -> i64 {
    i64::from_le_bytes(expiry.try_into().expect("eight bytes"))
}

/// Walks over packed fields.
#[derive(Clone)]
pub struct PackedFields<'a> {
    elements: listpack::Iter<'a>,
    stride: usize,
}

impl<'a> Iterator for PackedFields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let (name, value) = (self.elements.next()?, self.elements.next()?);
        let expire = if self.stride == WITH_EXPIRY { expiry_of(self.elements.next()) } else { None };
        Some(Field { name, value, expire })
    }
}

/// Walks over all fields.
pub enum Fields<'a> {
    /// Those of a listpack.
    Packed(PackedFields<'a>),
    /// Those of a dictionary, and where their expiries are.
    Table(dict::Iter<'a, VARIABLE>, Option<&'a Dict<8>>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Fields::Packed(fields) => fields.next(),
            Fields::Table(items, expiries) => items.next().map(|item| with_expiry(item, *expiries)),
        }
    }
}

fn with_expiry<'a>((name, value): (&'a [u8], &'a [u8]), expiries: Option<&Dict<8>>) -> Field<'a> {
    let expire = expiries.and_then(|expiries| expiries.get(name)).map(decode);
    Field { name: Element::Bytes(name), value: Element::Bytes(value), expire }
}

impl HashTable {
    fn expiries(&self) -> Option<&Dict<8>> {
        self.expiries.as_ref().map(|expiries| &expiries.at)
    }

    fn expiry(&self, field: &[u8]) -> Option<i64> {
        self.expiries()?.get(field).map(decode)
    }

    fn set_expiry(&mut self, field: &[u8], expire: Option<i64>) {
        match expire {
            Some(at) => {
                let new = || {
                    Box::new(Expiries { at: Dict::default(), next_due: i64::MAX, cursor: 0, found: i64::MAX })
                };
                let expiries = self.expiries.get_or_insert_with(new);
                expiries.at.insert(field, &at.to_le_bytes());
                expiries.next_due = expiries.next_due.min(at);
                expiries.found = expiries.found.min(at);
            }
            None => {
                if let Some(expiries) = &mut self.expiries {
                    expiries.at.remove(field);
                    if expiries.at.is_empty() {
                        self.expiries = None;
                    }
                }
            }
        }
    }
}

impl HashValue {
    /// An empty hash; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A hash of a listpack's fields and values; `None` when their number is odd or two fields are alike.
    pub fn from_listpack(pack: Listpack, limit: &HashLimit) -> Option<Self> {
        if !pack.len().is_multiple_of(PLAIN) {
            return None;
        }
        let fields = pack.len() / PLAIN;
        let mut hash = Self::of_pack(pack.clone());
        if hash.table().fields.len() != fields {
            return None;
        }
        let fits = PackedFields { elements: pack.iter(), stride: PLAIN }.all(|field| {
            let fits = |element: Element<'_>| match element {
                Element::Int(_) => true,
                Element::Bytes(bytes) => bytes.len() <= limit.value,
            };
            fits(field.name) && fits(field.value)
        });
        Some(if fields > limit.entries || !fits { hash } else { Self::of_pack(pack) })
    }

    fn stride(&self) -> usize {
        if matches!(self.repr(), Repr::Packed(_)) { PLAIN } else { WITH_EXPIRY }
    }

    /// The listpack, unless the hash is a dictionary.
    fn pack(&self) -> Option<&Listpack> {
        match self.repr() {
            Repr::Packed(pack) => Some(pack),
            Repr::Expiring(small) => Some(&small.pack),
            Repr::Table(_) => None,
        }
    }

    /// Number of fields, those whose time is up among them.
    #[inline]
    pub fn len(&self) -> usize {
        match self.repr() {
            Repr::Packed(pack) => pack.len() / PLAIN,
            Repr::Expiring(small) => small.pack.len() / WITH_EXPIRY,
            Repr::Table(table) => table.fields.len(),
        }
    }

    /// No fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        match self.repr() {
            Repr::Packed(_) => "listpack",
            Repr::Expiring(_) => "listpackex",
            Repr::Table(_) => "hashtable",
        }
    }

    /// Bytes on the heap, estimated for a dictionary.
    pub fn memory_usage(&self) -> usize {
        match self.repr() {
            Repr::Packed(pack) => pack.memory_usage(),
            Repr::Expiring(small) => size_of::<Expiring>() + small.pack.memory_usage(),
            Repr::Table(table) => {
                let expiries = table.expiries().map_or(0, |at| size_of::<Expiries>() + at.memory_usage());
                size_of::<HashTable>() + table.fields.memory_usage() + expiries
            }
        }
    }

    /// About how many allocations a drop frees.
    pub fn free_effort(&self) -> usize {
        match self.repr() {
            Repr::Packed(_) | Repr::Expiring(_) => 1,
            Repr::Table(table) => table.fields.free_effort() + table.expiries().map_or(0, Dict::free_effort),
        }
    }

    /// The listpack of a hash that is nothing else: fields and values.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match self.repr() {
            Repr::Packed(pack) => Some(pack),
            _ => None,
        }
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /// A field's value, unless its time is up. O(log n), O(n) in a listpack.
    #[inline]
    pub fn get(&self, field: &[u8], now_ms: i64) -> Option<Element<'_>> {
        self.find(field).filter(|found| found.is_alive(now_ms)).map(|found| found.value)
    }

    /// A field, also when its time is up.
    #[inline]
    pub fn find(&self, field: &[u8]) -> Option<Field<'_>> {
        match self.repr() {
            Repr::Table(table) => {
                let value = Element::Bytes(table.fields.get(field)?);
                Some(Field { name: Element::Bytes(b""), value, expire: table.expiry(field) })
            }
            _ => {
                let (pack, stride) = (self.pack()?, self.stride());
                let index = position(pack, stride, field)?;
                PackedFields { elements: pack.iter_from(index), stride }.next()
            }
        }
    }

    /// All fields, those whose time is up among them.
    pub fn iter(&self) -> Fields<'_> {
        match self.repr() {
            Repr::Packed(pack) => Fields::Packed(PackedFields { elements: pack.iter(), stride: PLAIN }),
            Repr::Expiring(small) => {
                Fields::Packed(PackedFields { elements: small.pack.iter(), stride: WITH_EXPIRY })
            }
            Repr::Table(table) => Fields::Table(table.fields.iter(), table.expiries()),
        }
    }

    /// The field at `rank` in an order of no meaning. O(log n), O(n) in a listpack.
    pub fn nth(&self, rank: usize) -> Option<Field<'_>> {
        match self.repr() {
            Repr::Table(table) => table.fields.nth(rank).map(|item| with_expiry(item, table.expiries())),
            _ => {
                let (pack, stride) = (self.pack()?, self.stride());
                PackedFields { elements: pack.iter_from(rank.checked_mul(stride)?), stride }.next()
            }
        }
    }

    /// Emits fields from `cursor` on, about `count` of them, and returns the next cursor; 0 starts and ends a walk. The
    /// small forms come as a whole.
    pub fn scan(&self, cursor: u64, count: usize, mut emit: impl FnMut(Field<'_>)) -> u64 {
        match self.repr() {
            Repr::Table(table) => table
                .fields
                .scan(cursor, count, |name, value| emit(with_expiry((name, value), table.expiries()))),
            _ => {
                self.iter().for_each(emit);
                0
            }
        }
    }

    // --- changing ----------------------------------------------------------------------------------------------------

    /// Becomes a dictionary if these words, fields and values about to be set, are too long or too many for a listpack.
    pub fn prepare<'w>(&mut self, words: impl ExactSizeIterator<Item = &'w [u8]>, limit: &HashLimit) {
        let Some(pack) = self.pack() else { return };
        let (mut bytes, too_many) = (pack.total_bytes(), words.len() / PLAIN > limit.entries);
        let too_long = words.into_iter().any(|word| {
            bytes += word.len();
            word.len() > limit.value
        });
        if too_many || too_long || bytes > MOST_PACKED {
            self.table();
        }
    }

    /// Sets a field, which loses its expiry if it had one; true when the field is new.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8], limit: &HashLimit) -> bool {
        if let ReprMut::Table(table) = self.repr_mut() {
            table.set_expiry(field, None);
            return table.fields.insert(field, value);
        }
        let added = self.set_keeping(field, value, limit);
        // A value that is too long for a listpack has made a dictionary of it, which keeps the expiry as well.
        if !added && !matches!(self.repr(), Repr::Packed(_)) {
            self.set_expiry(field, None);
        }
        added
    }

    /// As [`Self::set`]; an expiry stays.
    pub fn set_keeping(&mut self, field: &[u8], value: &[u8], limit: &HashLimit) -> bool {
        let stride = self.stride();
        let fits = |pack: &Listpack| {
            field.len() <= limit.value
                && value.len() <= limit.value
                && pack.total_bytes() + field.len() + value.len() <= MOST_PACKED
        };
        let pack = match self.repr_mut() {
            ReprMut::Packed(pack) if fits(pack) => pack,
            ReprMut::Expiring(small) if fits(&small.pack) => &mut small.pack,
            _ => return self.table().fields.insert(field, value),
        };
        if let Some(index) = position(pack, stride, field) {
            pack.replace(index + 1, Element::from_bytes(value));
            return false;
        }
        pack.push_back(Element::from_bytes(field));
        pack.push_back(Element::from_bytes(value));
        if stride == WITH_EXPIRY {
            pack.push_back(Element::Int(0));
        }
        if pack.len() / stride > limit.entries {
            self.table();
        }
        true
    }

    /// Takes a field out; true when it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let stride = self.stride();
        let pack = match self.repr_mut() {
            ReprMut::Table(table) => {
                table.set_expiry(field, None);
                return table.fields.remove(field);
            }
            ReprMut::Packed(pack) => pack,
            ReprMut::Expiring(small) => &mut small.pack,
        };
        let Some(index) = position(pack, stride, field) else { return false };
        pack.remove_range(index, stride);
        pack.trim_room();
        true
    }

    /// The dictionary, made of the fields if there is none.
    fn table(&mut self) -> &mut HashTable {
        if !matches!(self.repr(), Repr::Table(_)) {
            let mut table = HashTable::default();
            let (mut names, mut values) = (itoa::Buffer::new(), itoa::Buffer::new());
            for field in self.iter() {
                let name = field.name.as_bytes(&mut names);
                table.fields.insert(name, field.value.as_bytes(&mut values));
                table.set_expiry(name, field.expire);
            }
            self.word = Word::large(table);
        }
        self.word.get_mut()
    }

    // --- expiry ------------------------------------------------------------------------------------------------------

    /// No field falls due before this time, unix ms; `None` when no field has an expiry.
    #[inline]
    pub fn next_due(&self) -> Option<i64> {
        match self.repr() {
            Repr::Packed(_) => None,
            Repr::Expiring(small) => Some(small.next_due).filter(|at| *at < i64::MAX),
            Repr::Table(table) => table.expiries.as_ref().map(|expiries| expiries.next_due),
        }
    }

    /// Sets or removes the expiry (unix ms, positive) of a field that is there.
    pub fn set_expiry(&mut self, field: &[u8], expire: Option<i64>) {
        if let Repr::Packed(pack) = self.repr() {
            if expire.is_none() {
                return;
            }
            let mut wider = Listpack::new();
            for Field { name, value, .. } in (PackedFields { elements: pack.iter(), stride: PLAIN }) {
                [name, value, Element::Int(0)].into_iter().for_each(|element| wider.push_back(element));
            }
            self.word = Word::large(Expiring { pack: wider, next_due: i64::MAX });
        }
        match self.repr_mut() {
            ReprMut::Table(table) => table.set_expiry(field, expire),
            ReprMut::Expiring(small) => {
                if let Some(index) = position(&small.pack, WITH_EXPIRY, field) {
                    small.pack.replace(index + 2, Element::Int(expire.unwrap_or(0)));
                    small.next_due = small.next_due.min(expire.unwrap_or(i64::MAX));
                }
            }
            ReprMut::Packed(_) => unreachable!("widened above"),
        }
    }

    /// Names of some fields whose time is up, for the caller to take them out; there may be more as long as
    /// [`Self::next_due`] says so. O(1) if it is in the future, else a slice of the fields is looked at.
    pub fn due(&mut self, now_ms: i64) -> Vec<Vec<u8>> {
        if self.next_due().is_none_or(|at| at > now_ms) {
            return Vec::new();
        }
        match self.repr_mut() {
            ReprMut::Packed(_) => Vec::new(),
            ReprMut::Expiring(small) => small.due(now_ms),
            ReprMut::Table(table) => {
                table.expiries.as_mut().map_or(Vec::new(), |expiries| expiries.due(now_ms))
            }
        }
    }

    /// Whether [`Self::due`] looks at all fields at once, so that a reader may as well call it.
    pub fn is_small(&self) -> bool {
        !matches!(self.repr(), Repr::Table(_))
    }
}

impl Expiring {
    fn due(&mut self, now_ms: i64) -> Vec<Vec<u8>> {
        let mut due = Vec::new();
        self.next_due = i64::MAX;
        for field in (PackedFields { elements: self.pack.iter(), stride: WITH_EXPIRY }) {
            match field.expire {
                Some(at) if at <= now_ms => due.push(field.name.to_vec()),
                Some(at) => self.next_due = self.next_due.min(at),
                None => {}
            }
        }
        due
    }
}

impl Expiries {
    fn due(&mut self, now_ms: i64) -> Vec<Vec<u8>> {
        let (mut due, mut found) = (Vec::new(), self.found);
        self.cursor = self.at.scan(self.cursor, SLICE, |name, at| match decode(at) {
            at if at <= now_ms => due.push(name.to_vec()),
            at => found = found.min(at),
        });
        self.found = found;
        if self.cursor == 0 {
            self.next_due = found.max(now_ms + (self.at.len() / PER_MS) as i64);
            self.found = i64::MAX;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_decide_on_the_encoding() {
        let limit = HashLimit { entries: 2, value: 3 };
        let check = |fields: &[(&str, &str)], encoding: &str| {
            let mut hash = HashValue::new();
            for (field, value) in fields {
                assert!(hash.set(field.as_bytes(), value.as_bytes(), &limit));
            }
            assert_eq!(hash.encoding(), encoding, "{fields:?}");
        };
        check(&[("a", "1"), ("b", "2")], "listpack");
        check(&[("a", "1"), ("b", "2"), ("c", "3")], "hashtable");
        check(&[("abcd", "1")], "hashtable");
        check(&[("a", "1234")], "hashtable");
        let mut hash = HashValue::new();
        hash.prepare([&b"a"[..], b"abcd"].into_iter(), &limit);
        assert_eq!(hash.encoding(), "hashtable");
    }

    #[test]
    fn a_new_value_ends_the_expiry_also_when_it_changes_the_encoding() {
        let limit = HashLimit { entries: 10, value: 3 };
        let mut hash = HashValue::new();
        hash.set(b"a", b"1", &limit);
        hash.set_expiry(b"a", Some(2000));
        assert!(!hash.set(b"a", b"1234", &limit));
        assert_eq!(hash.encoding(), "hashtable");
        assert!(hash.iter().all(|field| field.expire.is_none()));
        assert_eq!(hash.get(b"a", 3000).map(|value| value.to_vec()), Some(b"1234".to_vec()));
    }

    #[test]
    fn fields_that_come_twice_are_noticed() {
        let limit = HashLimit::default();
        let check = |elements: &[&str], good: bool| {
            let mut pack = Listpack::new();
            elements.iter().for_each(|e| pack.push_back(Element::from_bytes(e.as_bytes())));
            assert_eq!(HashValue::from_listpack(pack, &limit).is_some(), good, "{elements:?}");
        };
        check(&["a", "1", "b", "1"], true);
        check(&["a", "1", "b"], false);
        check(&["a", "1", "a", "2"], false);
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(
            ops in proptest::collection::vec((0u8..10, 0u32..25, 0u32..40), 0..150),
            entries in 0usize..30, value in 0usize..6,
        ) {
            let limit = HashLimit { entries, value };
            let mut hash = HashValue::new();
            let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)> = BTreeMap::new();
            let mut now = 1000i64;
            for (what, n, m) in ops {
                let field = if n % 2 == 0 { n.to_string() } else { format!("f{n}") }.into_bytes();
                let text = "7".repeat(m as usize).into_bytes();
                match what {
                    0..4 => {
                        let old = model.insert(field.clone(), (text.clone(), None));
                        prop_assert_eq!(hash.set(&field, &text, &limit), old.is_none());
                    }
                    4 => {
                        let expire = model.get(&field).and_then(|(_, expire)| *expire);
                        let old = model.insert(field.clone(), (text.clone(), expire));
                        prop_assert_eq!(hash.set_keeping(&field, &text, &limit), old.is_none());
                    }
                    5 => prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                    6 | 7 => {
                        let expire = (m > 5).then_some(now + i64::from(m));
                        if let Some((_, at)) = model.get_mut(&field) {
                            *at = expire;
                            hash.set_expiry(&field, expire);
                        }
                    }
                    8 => now += i64::from(m),
                    _ => {
                        for field in hash.due(now) {
                            let (_, expire) = model.remove(&field).expect("it is there");
                            prop_assert!(expire.is_some_and(|at| at <= now));
                            prop_assert!(hash.remove(&field));
                        }
                    }
                }
                let found: BTreeMap<_, _> =
                    hash.iter().map(|f| (f.name.to_vec(), (f.value.to_vec(), f.expire))).collect();
                prop_assert_eq!(&found, &model);
                prop_assert_eq!(hash.len(), model.len());
                let first = model.values().filter_map(|(_, expire)| *expire).min();
                prop_assert!(first.is_none_or(|first| hash.next_due().is_some_and(|due| due <= first.max(now))));
                for (field, (value, expire)) in &model {
                    let alive = expire.is_none_or(|at| at > now);
                    prop_assert_eq!(hash.get(field, now).map(|v| v.to_vec()), alive.then(|| value.clone()));
                }
                prop_assert!(hash.nth(hash.len()).is_none());
            }
        }
    }
}
