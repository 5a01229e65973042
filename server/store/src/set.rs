//! Sets: an integer set or a listpack while small, a dictionary beyond that.
//!
//! ```text
//!  Set ─┬─ Intset      all members are integers              "intset"
//!       ├─ Listpack                                          "listpack"
//!       └─ Dict                                              "hashtable"
//! ```
//!
//! Which one, and when it changes, is Redis 7.2's rule: `set-max-intset-entries`, `set-max-listpack-entries` and
//! `set-max-listpack-value`; a set never goes back to a smaller form by losing members.

use std::fmt;

use crate::dict::{self, Dict, Near, dict_hash};
use crate::hash::Hash;
use crate::intset::Intset;
use crate::listpack::{self, Element, Listpack};
use crate::number::parse_i64;
use crate::raw::word::{Tag, Word};
use crate::relocate::Mover;

/// More integers than that are never one block, whatever the configuration says.
const MOST_INTS: usize = 1 << 30;
/// A listpack does not grow beyond this, bytes.
const MOST_PACKED: usize = 1 << 30;

/// How much the small forms may hold.
#[derive(Clone, Copy, Debug)]
pub struct SetLimit {
    /// `set-max-intset-entries`.
    pub ints: usize,
    /// `set-max-listpack-entries`.
    pub entries: usize,
    /// `set-max-listpack-value`, bytes.
    pub value: usize,
}

impl Default for SetLimit {
    fn default() -> Self {
        Self { ints: 512, entries: 128, value: 64 }
    }
}

impl SetLimit {
    fn most_ints(&self) -> usize {
        self.ints.min(MOST_INTS)
    }

    fn takes(&self, pack: &Listpack, member: usize) -> bool {
        pack.len() < self.entries && member <= self.value && pack.total_bytes() + member <= MOST_PACKED
    }
}

enum Repr<'a> {
    Ints(&'a Intset),
    Packed(&'a Listpack),
    Table(&'a Dict<0>),
}

enum ReprMut<'a> {
    Ints(&'a mut Intset),
    Packed(&'a mut Listpack),
    Table(&'a mut Dict<0>),
}

/// A set of byte strings.
#[derive(Clone)]
#[repr(transparent)]
pub struct Set {
    word: Word,
}

/// A set that is asked about many members.
pub struct Probe<'s> {
    set: &'s Set,
    near: Option<Near<'s, 0>>,
}

impl Probe<'_> {
    /// Whether `member` is in the set. Members in the order of their hashes seldom cost a search from the root.
    #[inline]
    pub fn has(&mut self, member: &mut Member<'_>) -> bool {
        match self.set.repr() {
            Repr::Table(dict) => {
                member.hashed(|hash, bytes| dict.get_near(&mut self.near, hash, bytes).is_some())
            }
            _ => self.set.has(member),
        }
    }
}

impl Set {
    fn of_ints(ints: Intset) -> Self {
        Self { word: Word::small(ints, Tag::SetInts) }
    }

    fn of_pack(pack: Listpack) -> Self {
        Self { word: Word::small(pack, Tag::SetPacked) }
    }

    fn of_table(dict: Dict<0>) -> Self {
        Self { word: Word::large(dict) }
    }

    #[inline]
    fn repr(&self) -> Repr<'_> {
        match self.word.tag() {
            Tag::SetInts => Repr::Ints(self.word.pack()),
            Tag::SetPacked => Repr::Packed(self.word.pack()),
            _ => Repr::Table(self.word.get()),
        }
    }

    #[inline]
    fn repr_mut(&mut self) -> ReprMut<'_> {
        match self.word.tag() {
            Tag::SetInts => ReprMut::Ints(self.word.pack_mut()),
            Tag::SetPacked => ReprMut::Packed(self.word.pack_mut()),
            _ => ReprMut::Table(self.word.get_mut()),
        }
    }

    /// Moves a piece as the mover says; where to go on.
    pub(crate) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        match self.repr_mut() {
            ReprMut::Ints(ints) => ints.relocate(mover),
            ReprMut::Packed(pack) => pack.relocate(mover),
            ReprMut::Table(_) => return self.word.relocate::<Dict<0>>(from, mover).relocate(from, mover),
        }
        None
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::of_ints(Intset::new())
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Set({}, {} members)", self.encoding(), self.len())
    }
}

/// A set's form, for those who write it down.
#[derive(Clone, Copy, Debug)]
pub enum SetView<'a> {
    /// All members are integers.
    Ints(&'a Intset),
    /// Members one behind the other.
    Packed(&'a Listpack),
    /// A dictionary; [`Set::iter`] gives the members.
    Table,
}

/// A member to look for in several sets: its hash is found once, when the first of them needs it.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    element: Element<'a>,
    hash: Option<Hash>,
}

impl<'a> Member<'a> {
    /// A member by its bytes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { element: Element::from_bytes(bytes), hash: None }
    }

    /// Another set's member.
    #[inline]
    pub fn of(element: Element<'a>) -> Self {
        match element {
            Element::Int(_) => Self { element, hash: None },
            Element::Bytes(bytes) => Self::new(bytes),
        }
    }

    /// Lends out the bytes and their hash, which is computed once.
    #[inline]
    fn hashed<R>(&mut self, ask: impl FnOnce(Hash, &[u8]) -> R) -> R {
        let mut buffer = itoa::Buffer::new();
        let bytes = self.element.as_bytes(&mut buffer);
        ask(*self.hash.get_or_insert_with(|| dict_hash(bytes)), bytes)
    }
}

impl Set {
    /// An empty set; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty listpack, for a result that is put together from others' members; [`Self::settle`] afterwards.
    pub fn packed() -> Self {
        Self::of_pack(Listpack::new())
    }

    /// An empty dictionary, for a result whose members come in any number and form.
    pub fn hashed() -> Self {
        Self::of_table(Dict::default())
    }

    /// An empty set for `count` members, of which `first` is one.
    pub fn for_members(first: &[u8], count: usize, limit: &SetLimit) -> Self {
        if parse_i64(first).is_some() && count <= limit.ints {
            Self::new()
        } else if count <= limit.entries {
            Self::packed()
        } else {
            Self::hashed()
        }
    }

    /// Becomes what `count` more members will make of it, at once instead of on the way.
    pub fn prepare(&mut self, count: usize, limit: &SetLimit) {
        let exceeded = match self.repr() {
            Repr::Ints(_) => count > limit.ints,
            Repr::Packed(_) => count > limit.entries,
            Repr::Table(_) => false,
        };
        if exceeded {
            self.table();
        }
    }

    /// A set of an integer set's members.
    pub fn from_ints(ints: Intset, limit: &SetLimit) -> Self {
        let mut set = Self::of_ints(ints);
        set.check_ints(limit);
        set
    }

    /// A set of a listpack's members; `None` when two are alike.
    pub fn from_listpack(pack: Listpack, limit: &SetLimit) -> Option<Self> {
        let len = pack.len();
        let mut set = Self::of_pack(pack.clone());
        // Putting them all into a dictionary shows whether any comes twice.
        if set.table().len() != len {
            return None;
        }
        Some(if len > limit.entries { set } else { Self::of_pack(pack) })
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.repr() {
            Repr::Ints(ints) => ints.len(),
            Repr::Packed(pack) => pack.len(),
            Repr::Table(dict) => dict.len(),
        }
    }

    /// No members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        match self.repr() {
            Repr::Ints(_) => "intset",
            Repr::Packed(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    /// Bytes on the heap, estimated for a dictionary.
    pub fn memory_usage(&self) -> usize {
        match self.repr() {
            Repr::Ints(ints) => ints.memory_usage(),
            Repr::Packed(pack) => pack.memory_usage(),
            Repr::Table(dict) => size_of::<Dict<0>>() + dict.memory_usage(),
        }
    }

    /// About how many allocations a drop frees.
    pub fn free_effort(&self) -> usize {
        match self.repr() {
            Repr::Ints(_) | Repr::Packed(_) => 1,
            Repr::Table(dict) => dict.free_effort(),
        }
    }

    /// The form that the set is in.
    pub fn view(&self) -> SetView<'_> {
        match self.repr() {
            Repr::Ints(ints) => SetView::Ints(ints),
            Repr::Packed(pack) => SetView::Packed(pack),
            Repr::Table(_) => SetView::Table,
        }
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /// Whether `member` is there. O(log n), O(n) in a listpack.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        self.has(&mut Member::new(member))
    }

    /// As [`Self::contains`], for a member that is looked for in several sets.
    #[inline]
    pub fn has(&self, member: &mut Member<'_>) -> bool {
        match (self.repr(), member.element) {
            (Repr::Ints(ints), Element::Int(n)) => ints.contains(n),
            (Repr::Ints(_), _) => false,
            (Repr::Packed(pack), element) => pack.iter().any(|other| other == element),
            (Repr::Table(dict), _) => member.hashed(|hash, bytes| dict.get_hashed(hash, bytes).is_some()),
        }
    }

    /// For asking about many members, best in the order in which another set lists its own.
    pub fn probe(&self) -> Probe<'_> {
        Probe { set: self, near: None }
    }

    /// All members; integers in ascending order from an integer set.
    pub fn iter(&self) -> Iter<'_> {
        match self.repr() {
            Repr::Ints(ints) => Iter::Ints(ints, 0),
            Repr::Packed(pack) => Iter::Packed(pack.iter()),
            Repr::Table(dict) => Iter::Table(dict.iter()),
        }
    }

    /// The member at `rank` in an order of no meaning. O(log n), O(n) in a listpack.
    pub fn nth(&self, rank: usize) -> Option<Element<'_>> {
        match self.repr() {
            Repr::Ints(ints) => ints.get(rank).map(Element::Int),
            Repr::Packed(pack) => pack.get(rank),
            Repr::Table(dict) => dict.nth(rank).map(|(member, _)| Element::Bytes(member)),
        }
    }

    /// Emits members from `cursor` on, about `count` of them, and returns the next cursor; 0 starts and ends a walk. Small
    /// forms come as a whole.
    pub fn scan(&self, cursor: u64, count: usize, mut emit: impl FnMut(Element<'_>)) -> u64 {
        match self.repr() {
            Repr::Table(dict) => dict.scan(cursor, count, |member, _| emit(Element::Bytes(member))),
            _ => {
                self.iter().for_each(emit);
                0
            }
        }
    }

    // --- changing ----------------------------------------------------------------------------------------------------

    /// Adds a member; true when it is new.
    #[inline]
    pub fn add(&mut self, member: &[u8], limit: &SetLimit) -> bool {
        if let ReprMut::Table(dict) = self.repr_mut() {
            return dict.insert(member, b"");
        }
        self.add_to_small(Element::from_bytes(member), member.len(), limit)
    }

    /// Adds another set's member; true when it is new.
    pub fn add_element(&mut self, element: &Element<'_>, limit: &SetLimit) -> bool {
        self.add(element.as_bytes(&mut itoa::Buffer::new()), limit)
    }

    fn add_to_small(&mut self, element: Element<'_>, len: usize, limit: &SetLimit) -> bool {
        match self.repr_mut() {
            ReprMut::Ints(ints) => {
                if let Element::Int(n) = element {
                    let added = ints.insert(n);
                    if added {
                        self.check_ints(limit);
                    }
                    return added;
                }
                self.add_to_ints(element, len, limit);
                true
            }
            ReprMut::Packed(pack) => {
                if pack.iter().any(|other| other == element) {
                    return false;
                }
                if limit.takes(pack, len) {
                    pack.push_back(element);
                } else {
                    self.table().insert(element.as_bytes(&mut itoa::Buffer::new()), b"");
                }
                true
            }
            ReprMut::Table(dict) => dict.insert(element.as_bytes(&mut itoa::Buffer::new()), b""),
        }
    }

    /// Adds the first member that is not an integer.
    fn add_to_ints(&mut self, element: Element<'_>, len: usize, limit: &SetLimit) {
        let Repr::Ints(ints) = self.repr() else { unreachable!("the caller saw integers") };
        let longest = [ints.get(0), ints.get(ints.len().wrapping_sub(1))].into_iter().flatten();
        let longest = longest.map(|n| itoa::Buffer::new().format(n).len()).max().unwrap_or(0);
        if ints.len() < limit.entries && len <= limit.value && longest <= limit.value {
            let mut pack = Listpack::new();
            ints.iter().for_each(|n| pack.push_back(Element::Int(n)));
            pack.push_back(element);
            *self = Self::of_pack(pack);
        } else {
            self.table().insert(element.as_bytes(&mut itoa::Buffer::new()), b"");
        }
    }

    fn check_ints(&mut self, limit: &SetLimit) {
        if let Repr::Ints(ints) = self.repr()
            && ints.len() > limit.most_ints()
        {
            self.table();
        }
    }

    /// The dictionary, made of the members if there is none.
    fn table(&mut self) -> &mut Dict<0> {
        if !matches!(self.repr(), Repr::Table(_)) {
            let mut dict = Dict::<0>::default();
            for element in self.iter() {
                dict.insert(element.as_bytes(&mut itoa::Buffer::new()), b"");
            }
            *self = Self::of_table(dict);
        }
        self.word.get_mut()
    }

    /// Takes a member out; true when it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self.repr_mut() {
            ReprMut::Ints(ints) => parse_i64(member).is_some_and(|n| ints.remove(n)),
            ReprMut::Packed(pack) => {
                let element = Element::from_bytes(member);
                let Some(index) = pack.iter().position(|other| other == element) else { return false };
                pack.remove_range(index, 1);
                pack.trim_room();
                true
            }
            ReprMut::Table(dict) => dict.remove(member),
        }
    }

    /// Ends putting together a set that began [`Self::packed`]: integers alone become an integer set.
    pub fn settle(&mut self, limit: &SetLimit) {
        let ReprMut::Packed(pack) = self.repr_mut() else { return };
        let all_ints = pack.iter().all(|element| matches!(element, Element::Int(_)));
        if !all_ints || pack.len() > limit.most_ints() {
            pack.shrink_to_fit();
            return;
        }
        let mut ints = Intset::new();
        for element in pack.iter() {
            if let Element::Int(n) = element {
                ints.insert(n);
            }
        }
        *self = Self::of_ints(ints);
    }
}

/// Walks over a set's members.
pub enum Iter<'a> {
    /// Those of an integer set, from an index on.
    Ints(&'a Intset, usize),
    /// Those of a listpack.
    Packed(listpack::Iter<'a>),
    /// Those of a dictionary.
    Table(dict::Iter<'a, 0>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Iter::Ints(ints, index) => {
                *index += 1;
                ints.get(*index - 1).map(Element::Int)
            }
            Iter::Packed(elements) => elements.next(),
            Iter::Table(items) => items.next().map(|(member, _)| Element::Bytes(member)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LIMIT: SetLimit = SetLimit { ints: 5, entries: 4, value: 6 };

    fn check(members: &[&str], encoding: &str) {
        let mut set = Set::new();
        members.iter().for_each(|member| assert!(set.add(member.as_bytes(), &LIMIT), "{member}"));
        assert_eq!(set.encoding(), encoding, "{members:?}");
    }

    #[test]
    fn a_probe_knows_what_the_set_knows() {
        let filled = |numbers: std::ops::Range<usize>| {
            let mut set = Set::hashed();
            for n in numbers {
                set.add(format!("member:{n}").as_bytes(), &SetLimit::default());
            }
            set
        };
        let (one, two) = (filled(0..700), filled(300..1000));
        let mut probe = two.probe();
        // In the order of hashes, then against it.
        let in_order: Vec<_> = one.iter().collect();
        for element in in_order.iter().chain(in_order.iter().rev()) {
            let mut member = Member::of(*element);
            assert_eq!(probe.has(&mut member), two.has(&mut Member::of(*element)));
        }
        let mut probe = two.probe();
        assert_eq!(one.iter().filter(|element| probe.has(&mut Member::of(*element))).count(), 400);
    }

    #[test]
    fn limits_decide_on_the_encoding() {
        check(&["1", "2", "3", "4", "5"], "intset");
        check(&["1", "2", "3", "4", "5", "6"], "hashtable");
        check(&["1", "2", "3", "x"], "listpack");
        check(&["1", "2", "3", "4", "x"], "hashtable");
        check(&["1", "1234567", "x"], "hashtable");
        check(&["a", "b", "c", "1"], "listpack");
        check(&["a", "b", "c", "d", "e"], "hashtable");
        check(&["a", "abcdefg"], "hashtable");
        assert_eq!(Set::for_members(b"1", 5, &LIMIT).encoding(), "intset");
        assert_eq!(Set::for_members(b"1", 6, &LIMIT).encoding(), "hashtable");
        assert_eq!(Set::for_members(b"x", 4, &LIMIT).encoding(), "listpack");
    }

    #[test]
    fn members_that_come_twice_are_noticed() {
        let mut pack = Listpack::new();
        ["a", "b", "1"].iter().for_each(|m| pack.push_back(Element::from_bytes(m.as_bytes())));
        assert!(Set::from_listpack(pack.clone(), &LIMIT).is_some());
        pack.push_back(Element::Int(1));
        assert!(Set::from_listpack(pack, &LIMIT).is_none());
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(
            ops in proptest::collection::vec((0u8..4, 0u32..30, any::<bool>()), 0..100),
            ints in 0usize..20, entries in 0usize..20, value in 0usize..8,
        ) {
            let limit = SetLimit { ints, entries, value };
            let (mut set, mut model) = (Set::new(), BTreeSet::new());
            for (what, n, is_text) in ops {
                let member = if is_text { format!("m{n}") } else { (n * n * n).to_string() };
                if what > 0 {
                    prop_assert_eq!(set.add(member.as_bytes(), &limit), model.insert(member));
                } else {
                    prop_assert_eq!(set.remove(member.as_bytes()), model.remove(&member));
                }
                let text = |e: Element<'_>| String::from_utf8(e.to_vec()).expect("text");
                prop_assert_eq!(&set.iter().map(text).collect::<BTreeSet<_>>(), &model);
                prop_assert_eq!(set.len(), model.len());
                let mut scanned = BTreeSet::new();
                prop_assert_eq!(set.scan(0, 1000, |e| assert!(scanned.insert(text(e)))), 0);
                prop_assert_eq!(&scanned, &model);
                for member in &model {
                    prop_assert!(set.contains(member.as_bytes()));
                    prop_assert!(set.has(&mut Member::of(Element::from_bytes(member.as_bytes()))));
                    prop_assert!(set.has(&mut Member::of(Element::Bytes(member.as_bytes()))));
                }
                prop_assert!(!set.contains(b"nothing") && set.nth(set.len()).is_none());
            }
        }
    }
}
