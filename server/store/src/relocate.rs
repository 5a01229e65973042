//! Moving live allocations out of pages that are mostly empty, so that these can be given back.
//!
//! An allocator for small sizes cannot move what it handed out: after many deletions each page keeps a few survivors.
//! Here whoever asks for it names the allocations that are worth moving (he knows how full their pages are), and each
//! structure replaces those by copies of themselves. Where the copies go is the allocator's affair.
//!
//! What somebody else holds as well (a snapshot, a reply on its way) stays where it is: a copy would only be one more.

use std::collections::VecDeque;

use triomphe::Arc;

/// Asks about allocations, counts the answers, and replaces single ones.
pub struct Mover<'j> {
    is_worth_moving: &'j mut dyn FnMut(*const u8) -> bool,
    /// Allocations moved.
    pub moved: u64,
    /// Allocations left where they were.
    pub kept: u64,
    /// Keys of which something was moved.
    pub items_moved: u64,
    /// Keys of which nothing was.
    pub items_kept: u64,
}

impl<'j> Mover<'j> {
    /// A mover that moves what `is_worth_moving` says yes to; it is called with addresses of live allocations only.
    pub fn new(is_worth_moving: &'j mut dyn FnMut(*const u8) -> bool) -> Self {
        Self { is_worth_moving, moved: 0, kept: 0, items_moved: 0, items_kept: 0 }
    }

    /// Whether the allocation at `address` is to be moved: the caller does so if told.
    pub(crate) fn wants<T>(&mut self, address: *const T) -> bool {
        let wants = (self.is_worth_moving)(address.cast());
        *if wants { &mut self.moved } else { &mut self.kept } += 1;
        wants
    }

    /// Does what belongs to one key, to count it.
    pub(crate) fn item<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.moved;
        let result = work(self);
        *if self.moved > before { &mut self.items_moved } else { &mut self.items_kept } += 1;
        result
    }

    pub(crate) fn vec<T>(&mut self, vec: &mut Vec<T>) {
        if vec.capacity() > 0 && size_of::<T>() > 0 && self.wants(vec.as_ptr()) {
            let mut copy = Vec::with_capacity(vec.capacity());
            copy.append(vec);
            *vec = copy;
        }
    }

    pub(crate) fn deque<T>(&mut self, deque: &mut VecDeque<T>) {
        if deque.capacity() > 0 && self.wants(deque.as_slices().0.as_ptr()) {
            let mut copy = VecDeque::with_capacity(deque.capacity());
            copy.append(deque);
            *deque = copy;
        }
    }

    pub(crate) fn slice(&mut self, bytes: &mut Box<[u8]>) {
        if !bytes.is_empty() && self.wants(bytes.as_ptr()) {
            *bytes = Box::from(&bytes[..]);
        }
    }

    #[expect(clippy::replace_box, reason = "the allocation is what is replaced")]
    pub(crate) fn boxed<T: Default>(&mut self, value: &mut Box<T>) {
        if self.wants(&raw const **value) {
            *value = Box::new(std::mem::take(&mut **value));
        }
    }

    /// Moves a node, then lends it out so that what it holds can be moved as well; `None` when others hold it, too.
    pub(crate) fn arc<'a, T: Clone>(&mut self, arc: &'a mut Arc<T>) -> Option<&'a mut T> {
        if arc.is_unique() && self.wants(arc.as_ptr()) {
            *arc = Arc::new(T::clone(arc));
        }
        Arc::get_mut(arc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Group, Stream, StreamId, StreamLimits};
    use crate::{
        DbIndex, End, Expire, HashLimit, HashValue, Keyspace, List, ListLimit, NewValue, Object, ObjectView,
        Set, SetLimit, SortedSet, SortedSetLimits, Value,
    };
    use std::collections::BTreeMap;

    /// Moves everything, or every other allocation.
    fn moving<R>(all: bool, work: impl FnOnce(&mut Mover<'_>) -> R) -> R {
        let mut count = 0;
        let mut judge = |address: *const u8| {
            assert!(!address.is_null());
            count += 1;
            all || count % 2 == 0
        };
        work(&mut Mover::new(&mut judge))
    }

    #[test]
    fn single_allocations_keep_their_content() {
        let (mut vec, mut deque) = (vec![1, 2, 3], VecDeque::from([4, 5, 6]));
        deque.rotate_left(1);
        deque.push_front(9);
        let mut bytes: Box<[u8]> = Box::from(&b"abc"[..]);
        let mut node = Arc::new(vec![7]);
        let mut boxed = Box::new(3);
        let held = Arc::new(vec![8]);
        let mut shared = held.clone();
        let (at, shared_at) = (vec.as_ptr(), shared.as_ptr());
        moving(true, |mover| {
            mover.vec(&mut vec);
            mover.vec(&mut Vec::<u8>::new());
            mover.deque(&mut deque);
            mover.slice(&mut bytes);
            mover.slice(&mut Box::default());
            mover.boxed(&mut boxed);
            assert_eq!(mover.arc(&mut node), Some(&mut vec![7]));
            assert_eq!(mover.arc(&mut shared), None);
            assert_eq!((mover.moved, mover.kept), (5, 0));
        });
        assert_eq!((&vec[..], &bytes[..]), (&[1, 2, 3][..], &b"abc"[..]));
        assert_eq!(*boxed, 3);
        assert_eq!(deque, [9, 5, 6, 4]);
        assert!(at != vec.as_ptr() && shared_at == shared.as_ptr());
        assert!(Arc::ptr_eq(&held, &shared));
    }

    /// Everything that a keyspace's first database holds, in a form that shares nothing with it.
    fn content(keyspace: &Keyspace) -> BTreeMap<Vec<u8>, String> {
        let entries = keyspace.db(DbIndex(0)).iter();
        entries.map(|entry| (entry.key().to_vec(), described(entry.value(), entry.expire()))).collect()
    }

    fn described(value: Value<'_>, expire: Option<i64>) -> String {
        let inside = match value {
            Value::Int(n) => n.to_string(),
            Value::Bytes(bytes) => format!("{bytes:?}"),
            Value::Shared(bytes) => format!("{:?}", &bytes[..]),
            Value::Object(object) => match object.view() {
                ObjectView::List(list) => format!("{:?}", list.expanded().iter().collect::<Vec<_>>()),
                ObjectView::Set(set) => format!("{:?}", set.iter().collect::<Vec<_>>()),
                ObjectView::SortedSet(set) => {
                    let in_order: Vec<_> = set.iter(0, false).collect();
                    let each: Vec<_> =
                        in_order.iter().map(|(member, _)| set.score(&member.to_vec())).collect();
                    format!("{in_order:?} {each:?}")
                }
                ObjectView::Hash(hash) => format!("{:?}", hash.iter().collect::<Vec<_>>()),
                ObjectView::Stream(stream) => {
                    let entries: Vec<_> =
                        stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
                    let pending: Vec<_> = stream
                        .groups()
                        .map(|(name, group)| {
                            let consumers: Vec<_> = group
                                .consumers()
                                .map(|(name, c)| (name.clone(), c.pending().len()))
                                .collect();
                            (name.to_vec(), group.pending().iter().count(), consumers)
                        })
                        .collect();
                    format!("{entries:?} {pending:?} {:?}", stream.facts())
                }
            },
        };
        format!("{inside} {expire:?}")
    }

    fn element(n: usize) -> Vec<u8> {
        format!("element-{n}").repeat(1 + n % 3 * (n % 40)).into_bytes()
    }

    fn object(kind: usize, len: usize) -> Object {
        let id = |n: usize| StreamId { ms: n as u64 + 1, seq: 0 };
        match kind {
            0 => {
                let mut list = List::new();
                let limit = ListLimit::new(-1).with_compress_depth(1);
                (0..len).for_each(|n| list.push(End::Tail, &element(n), &limit));
                list.into()
            }
            1 => {
                let mut set = Set::new();
                for n in 0..len {
                    set.add(&element(n), &SetLimit::default());
                }
                set.into()
            }
            2 => {
                let mut set = Set::new();
                for n in 0..len {
                    set.add(n.to_string().as_bytes(), &SetLimit::default());
                }
                set.into()
            }
            3 => {
                let mut set = SortedSet::default();
                for n in 0..len {
                    set.insert(&element(n), (n * 7 % 100) as f64, &SortedSetLimits::default());
                }
                set.into()
            }
            4 => {
                let mut hash = HashValue::new();
                for n in 0..len {
                    hash.set(&element(n), &element(n + 1), &HashLimit::default());
                    if n % 2 == 0 {
                        hash.set_expiry(&element(n), Some(1000 + n as i64));
                    }
                }
                hash.into()
            }
            _ => {
                let mut stream = Stream::default();
                let mut group = Group::new(StreamId::MIN, None);
                for n in 0..len {
                    stream.append(id(n), &[(b"field", &element(n))], &StreamLimits::default());
                    group.assign(id(n), format!("consumer-{}", n % 3).as_bytes(), 5, 1);
                }
                stream.create_group(b"one", group.clone());
                stream.create_group(b"two", group);
                stream.into()
            }
        }
    }

    fn filled() -> Keyspace {
        let mut keyspace = Keyspace::new(1, [3, 4]);
        let mut set = |key: String, value: NewValue<'_>, expire: Expire| {
            let hash = keyspace.hash(key.as_bytes());
            keyspace.db_mut(DbIndex(0)).set(hash, key.as_bytes(), value, expire);
        };
        for n in 0..500 {
            let expire = if n % 3 == 0 { Expire::At(1 << 41) } else { Expire::None };
            set(format!("int:{n}"), NewValue::Int(n), expire);
            set(format!("bytes:{n}"), NewValue::Bytes(&element(n as usize)), expire);
            set(format!("raw:{n}"), NewValue::Raw(b"raw"), expire);
            set(format!("shared:{n}"), NewValue::Bytes(&vec![b'x'; 1100 + n as usize]), expire);
        }
        for kind in 0..6 {
            for len in [1, 10, 700] {
                set(format!("object:{kind}:{len}"), NewValue::Object(object(kind, len)), Expire::None);
            }
        }
        keyspace
    }

    fn relocate(keyspace: &mut Keyspace, most: usize, mover: &mut Mover<'_>) -> usize {
        let mut big = Vec::new();
        let mut from = Some(0);
        while let Some(place) = from {
            from = keyspace.db_mut(DbIndex(0)).relocate(place, mover, most, &mut big);
        }
        for key in &big {
            let hash = keyspace.hash(key);
            let mut from = Some(0);
            while let Some(place) = from {
                from = keyspace.db_mut(DbIndex(0)).relocate_object(hash, key, place, mover);
            }
        }
        big.len()
    }

    #[test]
    fn a_keyspace_holds_the_same_afterwards() {
        for (all, most) in [(true, 0), (true, 100), (false, usize::MAX), (false, 100)] {
            let mut keyspace = filled();
            let before = content(&keyspace);
            let (big, moved, kept) = moving(all, |mover| {
                let big = relocate(&mut keyspace, most, mover);
                (big, mover.moved, mover.kept)
            });
            assert_eq!(
                big,
                [18, 6, 0][[0, 100, usize::MAX].iter().position(|m| *m == most).expect("listed")]
            );
            assert!(moved > 2000 && (kept == 0) == all, "{moved} and {kept}");
            assert_eq!(content(&keyspace), before);
        }
    }

    #[test]
    fn a_place_in_another_value_does_no_harm() {
        for kind in 0..6 {
            for len in [1, 700] {
                for from in [1, 77, 1 << 32, 3 << 40, 1 << 63, (1 << 63) + (5 << 32), u64::MAX] {
                    let mut object = object(kind, len);
                    let before = described(Value::Object(&object), None);
                    moving(true, |mover| object.relocate_piece(from, mover));
                    assert_eq!(described(Value::Object(&object), None), before);
                }
            }
        }
    }

    #[test]
    fn what_a_snapshot_holds_stays() {
        for kind in 0..6 {
            let mut object = object(kind, 700);
            let clone = object.clone();
            let before = described(Value::Object(&clone), None);
            moving(true, |mover| object.relocate(mover));
            assert_eq!(described(Value::Object(&clone), None), before);
            assert_eq!(described(Value::Object(&object), None), before);
        }
    }
}
