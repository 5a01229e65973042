//! Streams against `BTreeMap`, with clones that must stay as they were, and bytes from outside.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
type Model = BTreeMap<StreamId, Fields>;

fn entry_of(entry: &StreamEntry<'_>) -> (StreamId, Fields) {
    (entry.id, entry.fields().map(|(field, value)| (field.to_vec(), value.to_vec())).collect())
}

fn contents(stream: &Stream) -> Model {
    stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry_of(&entry)).collect()
}

fn append(stream: &mut Stream, id: StreamId, pairs: &[(Vec<u8>, Vec<u8>)], limits: &StreamLimits) {
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(f, v)| (f.as_slice(), v.as_slice())).collect();
    stream.append(id, &pairs, limits);
}

/// What files carry, and back.
fn through_bytes(stream: &Stream) -> Stream {
    let mut read = Stream::default();
    for (master, node) in stream.nodes() {
        let mut bytes = Vec::new();
        node.write_to(&mut bytes);
        read.push_node(master, Listpack::from_bytes(&bytes).expect("ours")).expect("ours");
    }
    read.settle(stream.facts()).expect("ours");
    read
}

#[test]
fn a_node_has_the_layout_of_redis() {
    let mut stream = Stream::default();
    let limits = StreamLimits::default();
    stream.append(StreamId::new(5, 1), &[(b"a", b"1"), (b"b", b"x")], &limits);
    stream.append(StreamId::new(7, 0), &[(b"a", b"2"), (b"b", b"y")], &limits);
    stream.append(StreamId::new(7, 1), &[(b"c", b"3")], &limits);
    stream.delete(StreamId::new(7, 0));
    let (master, node) = stream.nodes().next().expect("one node");
    assert_eq!(master, StreamId::new(5, 1));
    let mut bytes = Vec::new();
    node.write_to(&mut bytes);
    let pack = Listpack::from_bytes(&bytes).expect("ours");
    let shown: Vec<String> = pack.iter().map(|e| String::from_utf8_lossy(&e.to_vec()).into_owned()).collect();
    let expected = "2 1 2 a b 0 2 0 0 1 x 5 3 2 -1 2 y 5 0 2 0 1 c 3 6";
    assert_eq!(shown.join(" "), expected);
}

/// An entry's flags and how far the two parts of its ID lie behind its node's.
type ForeignEntry = (i64, i64, i64);

/// A node of entries without fields.
fn foreign(entries: &[ForeignEntry]) -> Listpack {
    let live = entries.iter().filter(|(flags, ..)| flags & 1 == 0).count() as i64;
    let mut numbers = vec![live, entries.len() as i64 - live, 0, 0];
    numbers.extend(entries.iter().flat_map(|(flags, ms, seq)| [flags | 2, *ms, *seq, 3]));
    let mut pack = Listpack::new();
    numbers.into_iter().for_each(|n| pack.push_back(crate::listpack::Element::Int(n)));
    pack
}

#[test]
fn foreign_nodes_are_in_order() {
    let check = |nodes: &[(u64, &[ForeignEntry])], last: u64, expected: Result<usize, &str>| {
        let mut stream = Stream::default();
        let pushed = nodes
            .iter()
            .try_for_each(|(ms, entries)| stream.push_node(StreamId::new(*ms, 5), foreign(entries)));
        let len = stream.body().nodes.iter().map(|shelved| shelved.node.live()).sum();
        let facts = StreamFacts {
            len,
            entries_added: len,
            last_id: StreamId::new(last, 0),
            ..StreamFacts::default()
        };
        let result = pushed.and_then(|()| stream.settle(facts)).map(|()| stream.len());
        assert_eq!(result.map_err(|error| error.0), expected, "{nodes:?}");
    };
    let order = Err("stream entries out of order");
    check(&[(10, &[(0, 0, 0), (0, 1, -5), (0, 1, 7)])], 20, Ok(3));
    check(&[(10, &[(0, 0, 0), (0, 0, 0)])], 20, order);
    check(&[(10, &[(0, 2, 0), (0, 1, 0)])], 20, order);
    check(&[(10, &[(0, 0, -1)])], 20, order);
    check(&[(10, &[(0, -1, 0)])], 20, order);
    check(&[(10, &[(1, -1, 0), (0, 1, 0)])], 20, order);
    check(&[(10, &[(0, 2, 0), (1, 1, 0)])], 20, order);
    check(&[(10, &[(0, 0, 0), (1, 9, 0), (0, 1, 0)])], 20, Ok(2));
    check(&[(10, &[(0, -11, -6), (0, 0, 0)])], u64::MAX, order);
    check(&[(10, &[(0, 0, 0)]), (11, &[(0, 0, 0)])], 20, Ok(2));
    check(&[(10, &[(0, 0, 0), (0, 2, 0)]), (11, &[(0, 0, 0)])], 20, Err("stream nodes out of order"));
    check(&[(10, &[(0, 0, 0)]), (10, &[(0, 0, 0)])], 20, Err("stream nodes out of order"));
    check(&[(10, &[(0, 0, 0), (1, 2, 0)]), (11, &[(0, 0, 0)])], 20, Ok(2));
    check(&[(10, &[(0, 0, 0), (0, 10, 0)])], 20, Err("stream: an entry above the last ID"));
}

/// After XSETID an ID may be given out that lies before a deleted one.
#[test]
fn entries_behind_deleted_ones_are_found() {
    let (limits, id) = (StreamLimits::default(), |ms| StreamId::new(ms, 0));
    let mut stream = Stream::default();
    [5, 9].iter().for_each(|ms| stream.append(id(*ms), &[(b"f", b"v")], &limits));
    assert!(stream.delete(id(9)));
    stream.set_facts(id(5), None, None);
    [6, 9, 12].iter().for_each(|ms| stream.append(id(*ms), &[(b"f", b"v")], &limits));
    let ids =
        |stream: &Stream, start, end| stream.range(id(start), id(end)).map(|e| e.id.ms).collect::<Vec<_>>();
    assert_eq!((ids(&stream, 0, 7), ids(&stream, 6, 9)), (vec![5, 6], vec![6, 9]));
    assert!(stream.range_back(id(0), id(9)).map(|e| e.id.ms).eq([9, 6, 5]));
    assert!(through_bytes(&stream).range(id(0), id(20)).map(|e| e.id.ms).eq([5, 6, 9, 12]));
    assert_eq!(stream.trim(Trim::MinId(id(9)), false, 0), 2);
    assert!(stream.delete(id(9)) && !stream.delete(id(9)));
    assert_eq!(ids(&stream, 0, 20), [12]);
}

#[test]
fn a_node_without_entries_gives_way_to_lower_ids() {
    let (limits, id) = (StreamLimits::default(), |ms| StreamId::new(ms, 0));
    let mut stream = Stream::default();
    [5, 9].iter().for_each(|ms| stream.append(id(*ms), &[(b"f", b"v")], &limits));
    assert!(stream.delete(id(9)));
    assert_eq!(stream.trim(Trim::MinId(id(6)), false, 0), 1);
    assert_eq!((stream.len(), stream.node_count()), (0, 1));
    stream.set_facts(id(3), None, None);
    stream.append(id(4), &[(b"f", b"v")], &limits);
    assert_eq!(contents(&through_bytes(&stream)).into_keys().collect::<Vec<_>>(), [id(4)]);
}

#[test]
fn a_sealed_node_is_the_same_to_everybody() {
    let id = |n: u64| StreamId::new(5 + n * n % 300, if n.is_multiple_of(3) { 9 } else { n });
    let long = vec![b'v'; 300];
    let mut open = Stream::default();
    for n in 0..40 {
        let text = n.to_string().into_bytes();
        let value = if n % 7 == 0 { &long } else { &text };
        let pairs: &Pairs<'_> = match n % 4 {
            0 => &[(b"a", value), (b"1", b"-70000")],
            1 => &[(b"other", value)],
            _ => &[(b"a", b""), (b"1", value)],
        };
        let last = open.facts().last_id;
        let next = id(n).max(last.next().expect("far from the end"));
        open.append(next, pairs, &StreamLimits { node_bytes: 0, node_entries: 0 });
    }
    let ids: Vec<StreamId> = open.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    let written = |stream: &Stream| {
        let mut out = Vec::new();
        stream.nodes().for_each(|(_, node)| node.write_to(&mut out));
        out
    };
    let seal = |stream: &Stream| {
        let mut sealed = stream.clone();
        let nodes = &mut sealed.body_mut().nodes;
        let place = nodes.first().expect("a node");
        Arc::make_mut(&mut nodes.get_mut(place).node).seal();
        sealed
    };
    let check = |open: &Stream, sealed: &Stream| {
        assert_eq!(written(open), written(sealed));
        assert_eq!(contents(open), contents(sealed));
        for (start, end) in [(0, 39), (3, 3), (10, 30)] {
            let back = |stream: &Stream| {
                stream.range_back(ids[start], ids[end]).map(|entry| entry_of(&entry)).collect::<Vec<_>>()
            };
            assert_eq!(back(open), back(sealed));
        }
    };
    let mut sealed = seal(&open);
    assert!(sealed.memory_usage() < open.memory_usage());
    check(&open, &sealed);
    for at in [0, 1, 17, 39] {
        assert!(open.delete(ids[at]) && sealed.delete(ids[at]) && !sealed.delete(ids[at]));
        check(&open, &sealed);
    }
    assert_eq!([&mut open, &mut sealed].map(|stream| stream.trim(Trim::MaxLen(20), false, 0)), [16, 16]);
    check(&open, &sealed);
    check(&open, &seal(&open));
    let last = ids[39].next().expect("far from the end");
    let limits = StreamLimits { node_bytes: 0, node_entries: 0 };
    for stream in [&mut open, &mut sealed] {
        stream.append(last, &[(b"a", b"b"), (b"1", b"2")], &limits);
    }
    assert_eq!(sealed.node_count(), 1);
    check(&open, &sealed);
}

#[derive(Clone, Debug)]
enum Op {
    Add(u64, u8, usize),
    Delete(usize),
    Trim(u64, bool, u64),
    TrimId(usize, bool),
    Share,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0u64..3, 0u8..4, 0usize..40).prop_map(|(ms, fields, len)| Op::Add(ms, fields, len)),
        3 => (0usize..50).prop_map(Op::Delete),
        1 => (0u64..40, any::<bool>(), 0u64..10).prop_map(|(len, approx, most)| Op::Trim(len, approx, most)),
        1 => (0usize..50, any::<bool>()).prop_map(|(at, approx)| Op::TrimId(at, approx)),
        1 => Just(Op::Share),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    #[test]
    fn behaves_like_a_tree(ops in proptest::collection::vec(op(), 0..200), node_entries in 1u64..8) {
        let limits = StreamLimits { node_bytes: 200, node_entries };
        let (mut stream, mut model) = (Stream::default(), Model::new());
        let mut clones = Vec::new();
        let mut last = StreamId::MIN;
        for op in ops {
            match op {
                Op::Add(ms, fields, len) => {
                    last = if ms == 0 { last.next().expect("far from the end") } else { StreamId::new(last.ms + ms, 0) };
                    let pairs: Vec<_> = (0..=fields)
                        .map(|n| (vec![b'a' + n + fields / 2], vec![b'0' + n; len]))
                        .collect();
                    append(&mut stream, last, &pairs, &limits);
                    model.insert(last, pairs);
                }
                Op::Delete(at) => {
                    let id = model.keys().nth(at).copied().unwrap_or(StreamId::new(1, 999));
                    prop_assert_eq!(stream.delete(id), model.remove(&id).is_some());
                }
                Op::Trim(len, approximate, most) => {
                    let before = model.len() as u64;
                    let deleted = stream.trim(Trim::MaxLen(len), approximate, if approximate { most } else { 0 });
                    if !approximate {
                        prop_assert_eq!(deleted, before.saturating_sub(len));
                    }
                    prop_assert!(most == 0 || !approximate || deleted <= most);
                    (0..deleted).for_each(|_| drop(model.pop_first()));
                }
                Op::TrimId(at, approximate) => {
                    let Some(id) = model.keys().nth(at).copied() else { continue };
                    let deleted = stream.trim(Trim::MinId(id), approximate, 0);
                    prop_assert!(deleted <= at as u64 && (approximate || deleted == at as u64));
                    (0..deleted).for_each(|_| drop(model.pop_first()));
                }
                Op::Share => clones.push((stream.clone(), model.clone())),
            }
            prop_assert_eq!(stream.len(), model.len());
            prop_assert_eq!(stream.facts().first_id, model.keys().next().copied().unwrap_or_default());
            prop_assert_eq!(stream.last_entry_id(), model.keys().last().copied());
        }
        clones.push((through_bytes(&stream), model.clone()));
        clones.push((stream, model));
        for (stream, model) in clones {
            prop_assert_eq!(&contents(&stream), &model);
            let ids: Vec<StreamId> = model.keys().copied().collect();
            for start in ids.iter().step_by(5) {
                for end in ids.iter().step_by(3).filter(|end| *end >= start) {
                    let forward: Vec<_> = stream.range(*start, *end).map(|e| entry_of(&e)).collect();
                    prop_assert!(forward.iter().map(|(id, _)| id).eq(model.range(start..=end).map(|(id, _)| id)));
                    let mut back: Vec<_> = stream.range_back(*start, *end).map(|e| entry_of(&e)).collect();
                    back.reverse();
                    prop_assert_eq!(forward, back);
                }
            }
        }
    }

    #[test]
    fn foreign_nodes_never_panic(
        mut elements in proptest::collection::vec(prop_oneof![6 => (0i64..5).prop_map(Some), 1 => any::<i64>().prop_map(Some), 1 => Just(None)], 0..30),
        whole in any::<bool>(),
    ) {
        if whole {
            // The frame of a node of one field, so that more of them pass.
            elements.splice(0..0, [Some(1), Some(0), Some(1), None, Some(0)]);
        }
        let mut pack = Listpack::new();
        for element in &elements {
            pack.push_back(element.map_or(crate::listpack::Element::Bytes(b"x"), crate::listpack::Element::Int));
        }
        let mut stream = Stream::default();
        if stream.push_node(StreamId::new(1, 1), pack).is_ok() {
            let len = stream.range(StreamId::MIN, StreamId::MAX).count() as u64;
            let facts = StreamFacts { len, last_id: StreamId::new(1 << 40, 0), ..StreamFacts::default() };
            let _ = stream.settle(facts);
            stream.range_back(StreamId::MIN, StreamId::MAX).for_each(|entry| assert!(entry.fields().count() <= entry.len()));
            stream.append(StreamId::new(1 << 41, 0), &[(b"a", b"b")], &StreamLimits::default());
            stream.trim(Trim::MaxLen(1), false, 0);
        }
    }
}
