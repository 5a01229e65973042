//! The dictionary against a model, with small nodes.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

type Model = HashMap<Vec<u8>, Vec<u8>>;

fn check_same<const V: usize>(dict: &Dict<V>, model: &Model) {
    assert_eq!(dict.len(), model.len());
    let found: Model = dict.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert_eq!(&found, model);
    check_shape(&dict.root, 0, u64::MAX);
    for rank in 0..dict.len() {
        assert!(model.contains_key(dict.nth(rank).expect("in range").0));
    }
    assert!(dict.nth(dict.len()).is_none());
}

/// Depth of a subtree, after looking at its bounds and counts.
fn check_shape<const V: usize>(node: &Node<V>, first: u64, end: u64) -> (usize, usize) {
    match node {
        Node::Leaf(leaf) => {
            for slot in 0..leaf.len() {
                let at = dict_hash(leaf.item(slot).0).prefix();
                assert!(first <= at && at < end);
            }
            let sizes: usize = (0..leaf.len()).map(|slot| leaf.entry_size(slot)).sum();
            assert_eq!(sizes, leaf.byte_len());
            (0, leaf.len())
        }
        Node::Inner(kids) => {
            assert!(!kids.is_empty() && kids.len() <= KIDS);
            let mut depth = None;
            for (at, kid) in kids.iter().enumerate() {
                let end = kids.get(at + 1).map_or(end, |next| next.first);
                assert!(kid.first < end && (at == 0 || kid.first >= first));
                let (below, count) = check_shape(&kid.node, if at == 0 { first } else { kid.first }, end);
                assert_eq!((count, *depth.get_or_insert(below)), (kid.count, below));
            }
            (depth.expect("not empty") + 1, kids.iter().map(|kid| kid.count).sum())
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u16, u16),
    Remove(u16),
    Clone,
    Scan(u8),
}

fn key(n: u16) -> Vec<u8> {
    let len = if n.is_multiple_of(13) { 300 } else { usize::from(n % 5) };
    [&n.to_le_bytes()[..], &vec![b'k'; len]].concat()
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0u16..400, 0u16..400).prop_map(|(key, len)| Op::Insert(key, len)),
        6 => (0u16..400).prop_map(Op::Remove),
        1 => Just(Op::Clone),
        1 => (1u8..20).prop_map(Op::Scan),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]

    #[test]
    fn behaves_like_a_map_and_clones_stay(ops in proptest::collection::vec(op(), 0..600)) {
        let (mut dict, mut model) = (Dict::<VARIABLE>::default(), Model::new());
        let mut clones = Vec::new();
        let (mut cursor, mut throughout, mut emitted) = (0, HashSet::new(), Vec::new());
        for op in ops {
            match op {
                Op::Insert(n, len) => {
                    let value = vec![n as u8; usize::from(len)];
                    prop_assert_eq!(dict.insert(&key(n), &value), model.insert(key(n), value).is_none());
                }
                Op::Remove(n) => {
                    throughout.remove(&key(n));
                    prop_assert_eq!(dict.remove(&key(n)), model.remove(&key(n)).is_some());
                }
                Op::Clone => clones.push((dict.clone(), model.clone())),
                Op::Scan(count) => {
                    if cursor == 0 {
                        throughout = model.keys().cloned().collect();
                    }
                    cursor = dict.scan(cursor, usize::from(count), |key, _| emitted.push(key.to_vec()));
                    if cursor == 0 {
                        let distinct: HashSet<_> = emitted.drain(..).collect();
                        prop_assert!(throughout.is_subset(&distinct));
                    }
                }
            }
        }
        check_same(&dict, &model);
        for (clone, model) in &clones {
            check_same(clone, model);
        }
        for n in 0..400 {
            prop_assert_eq!(dict.get(&key(n)), model.get(&key(n)).map(Vec::as_slice));
        }
        for n in 0..400 {
            dict.remove(&key(n));
        }
        check_same(&dict, &Model::new());
        prop_assert!(matches!(&*dict.root, Node::Leaf(_)));
    }
}

#[test]
fn a_scan_emits_each_item_once_if_nothing_changes() {
    let mut dict = Dict::<0>::default();
    (0..5000u32).for_each(|n| assert!(dict.insert(&n.to_le_bytes(), b"")));
    let mut emitted = HashSet::new();
    let mut cursor = 0;
    loop {
        cursor = dict.scan(cursor, 10, |key, _| assert!(emitted.insert(key.to_vec())));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(emitted.len(), 5000);
    dict.scan(u64::MAX, 10, |_, _| {});
}

#[test]
fn fixed_values_are_overwritten_in_place() {
    let mut dict = Dict::<8>::default();
    (0..1000u64).for_each(|n| assert!(dict.insert(&n.to_be_bytes(), &n.to_le_bytes())));
    (0..1000u64).for_each(|n| assert!(!dict.insert(&n.to_be_bytes(), &(n + 1).to_le_bytes())));
    assert_eq!(dict.get(&7u64.to_be_bytes()), Some(&8u64.to_le_bytes()[..]));
}

#[test]
fn a_clone_shares_all_but_one_path() {
    let mut dict = Dict::<0>::default();
    (0..10_000u32).for_each(|n| assert!(dict.insert(&n.to_le_bytes(), b"")));
    let clone = dict.clone();
    dict.insert(b"another", b"");
    fn shared<const V: usize>(one: &Arc<Node<V>>, other: &Arc<Node<V>>) -> usize {
        match (&**one, &**other) {
            _ if Arc::ptr_eq(one, other) => 0,
            (Node::Inner(a), Node::Inner(b)) => {
                let differing = a.iter().filter(|kid| !b.iter().any(|o| Arc::ptr_eq(&o.node, &kid.node)));
                1 + differing.count()
            }
            _ => 1,
        }
    }
    assert!(shared(&dict.root, &clone.root) <= 3);
    assert_eq!((dict.len(), clone.len()), (10_001, 10_000));
    assert!(!clone.contains(b"another"));
}

#[test]
fn the_estimate_of_memory_is_close() {
    let mut dict = Dict::<0>::default();
    (0..50_000u64).for_each(|n| assert!(dict.insert(format!("member:{n:09}").as_bytes(), b"")));
    let mut exact = 0;
    let mut from = Some(0);
    while let Some(at) = from {
        let (leaf, _, next) = dict.leaf_from(at);
        exact += leaf.memory_usage();
        from = next;
    }
    let estimate = dict.memory_usage();
    assert!(estimate > exact * 8 / 10 && estimate < exact * 15 / 10, "{estimate} {exact}");
}
