//! Lists against `VecDeque`, with clones that must stay as they were.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn contents(list: &List) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    list.for_each(|e| elements.push(e.to_vec()));
    elements
}

fn seen(list: &List, index: usize, towards: End) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    list.visit(index, towards, |e| {
        elements.push(e.to_vec());
        ControlFlow::Continue(())
    });
    elements
}

/// Which nodes are compressed, from head to tail.
fn compressed(list: &List) -> Vec<bool> {
    list.nodes().map(|node| matches!(node, NodeView::Lzf(_))).collect()
}

fn pushed(count: usize, limit: &ListLimit) -> List {
    let mut list = List::new();
    (0..count).for_each(|n| list.push(End::Tail, format!("element {n}").as_bytes(), limit));
    list
}

/// After so many pushes of 10 bytes, the encoding is this.
fn check(fill: i32, pushes: usize, expected: &str) {
    let limit = ListLimit::new(fill);
    let mut list = List::new();
    (0..pushes).for_each(|_| list.push(End::Tail, b"0123456789", &limit));
    assert_eq!(list.encoding(), expected, "{pushes} pushes at {fill}");
}

#[test]
fn the_limit_decides_on_the_encoding() {
    check(3, 3, "listpack");
    check(3, 4, "quicklist");
    check(0, 1, "listpack");
    check(0, 2, "quicklist");
    check(-1, 340, "listpack"); // 340 × 12 + 7 = 4087
    check(-1, 341, "quicklist");
    check(-2, 681, "listpack"); // 681 × 12 + 7 = 8179
    check(-2, 683, "quicklist");
    check(10_000, 682, "listpack");
    check(10_000, 683, "quicklist");
}

#[test]
fn a_quicklist_shrinks_at_half_the_limit() {
    let limit = ListLimit::new(8);
    let mut list = pushed(9, &limit);
    for left in (0..9).rev() {
        list.pop(End::Tail, &limit, |_| ());
        assert_eq!(list.encoding(), if left > 4 { "quicklist" } else { "listpack" }, "{left} left");
    }
    assert!(list.is_empty());
}

#[test]
fn a_large_element_gets_a_node_of_its_own() {
    let limit = ListLimit::default();
    let mut list = List::new();
    let large = vec![b'x'; 9000];
    list.push(End::Tail, b"a", &limit);
    list.push(End::Tail, &large, &limit);
    list.push(End::Head, b"12", &limit);
    list.push(End::Tail, b"c", &limit);
    let nodes: Vec<_> = list.nodes().map(|n| matches!(n, NodeView::Plain(_))).collect();
    assert_eq!(nodes, [false, true, false]);
    assert_eq!(contents(&list), [&b"12"[..], b"a", &large, b"c"]);
    let mut copy = List::new();
    for node in list.nodes() {
        match node {
            NodeView::Packed(pack) => {
                copy.append_listpack(Listpack::from_bytes(&pack.to_bytes()).expect("ours"))
            }
            NodeView::Plain(bytes) => copy.append_plain(bytes),
            NodeView::Lzf(_) => unreachable!("nothing is compressed unless asked for"),
        }
    }
    copy.settle(&limit);
    assert_eq!(contents(&copy), contents(&list));
}

#[test]
fn nodes_far_from_the_ends_are_compressed() {
    let limit = ListLimit::new(10).with_compress_depth(2);
    let mut list = pushed(100, &limit);
    let inner = |nodes: usize| (0..nodes).map(|at| (2..nodes - 2).contains(&at)).collect::<Vec<_>>();
    assert_eq!(compressed(&list), inner(10));
    let plain = pushed(100, &ListLimit::new(10));
    assert_eq!(contents(&list), contents(&plain));
    assert!(list.memory_usage() < plain.memory_usage());

    // Pushing and popping move the borders, a change inside leaves them.
    (0..10).for_each(|_| list.push(End::Head, b"new", &limit));
    assert_eq!(compressed(&list), inner(11));
    assert!(list.replace(50, b"another", &limit));
    assert_eq!(list.get(50, |e| e.to_vec()).as_deref(), Some(&b"another"[..]));
    assert_eq!(list.position(b"another"), Some(50));
    assert_eq!(compressed(&list), inner(11));
    (0..30).for_each(|_| assert!(list.pop(End::Tail, &limit, |_| ()).is_some()));
    assert_eq!(compressed(&list), inner(8));
    list.remove_range(0, 25, &limit);
    assert_eq!(compressed(&list)[..2], [false, false]);

    // A list from a file is compressed at once; without the directive nodes open as they are touched.
    let mut loaded = List::new();
    plain.nodes().for_each(|node| match node {
        NodeView::Packed(pack) => loaded.append_listpack(pack.clone()),
        other => panic!("{other:?}"),
    });
    loaded.settle(&limit);
    assert_eq!(compressed(&loaded), inner(10));
    let other = ListLimit::new(10);
    let mut left = contents(&plain);
    while let Some(element) = loaded.pop(End::Tail, &other, |e| e.to_vec()) {
        assert_eq!(Some(element), left.pop());
    }
    assert!(left.is_empty());
}

#[test]
fn what_does_not_shrink_stays_as_it_is() {
    let limit = ListLimit::new(1).with_compress_depth(1).with_packed_threshold(100);
    let mut list = List::new();
    let noise: Vec<u8> = (0..200u8).map(|n| n.wrapping_mul(167) ^ n >> 3).collect();
    for element in [&b"a"[..], b"short", &noise, &[b'x'; 200], b"z"] {
        list.push(End::Tail, element, &limit);
    }
    assert_eq!(compressed(&list), [false, false, false, true, false]);
    assert_eq!(list.get(3, |e| e.to_vec()).as_deref(), Some(&[b'x'; 200][..]));
    assert_eq!(list.remove_equal(End::Head, &[b'x'; 200], 1, &limit), 1);
}

#[test]
fn a_clone_stays_as_it_was() {
    let limit = ListLimit::new(4);
    let mut list = pushed(100, &limit);
    let (copy, before) = (list.clone(), contents(&list));
    for n in 0..60u8 {
        list.push(End::Head, &[n], &limit);
        list.pop(End::Tail, &limit, |_| ());
    }
    assert_eq!(contents(&copy), before);
    assert_ne!(contents(&list), before);
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<u8>),
    Pop(bool),
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    RemoveEqual(bool, usize, usize),
    Share,
}

fn op() -> impl Strategy<Value = Op> {
    let text = prop_oneof![
        3 => (0i32..5).prop_map(|n| n.to_string().into_bytes()),
        3 => any::<i32>().prop_map(|n| n.to_string().into_bytes()),
        3 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (30usize..300).prop_map(|n| vec![b'z'; n]),
    ];
    prop_oneof![
        5 => (any::<bool>(), text.clone()).prop_map(|(head, text)| Op::Push(head, text)),
        3 => any::<bool>().prop_map(Op::Pop),
        3 => (0usize..100, text.clone()).prop_map(|(at, text)| Op::Insert(at, text)),
        2 => (0usize..100, text).prop_map(|(at, text)| Op::Replace(at, text)),
        1 => (0usize..100, 0usize..9).prop_map(|(at, count)| Op::Remove(at, count)),
        1 => (any::<bool>(), 0usize..100, 0usize..4).prop_map(|(head, at, most)| Op::RemoveEqual(head, at, most)),
        1 => Just(Op::Share),
    ]
}

fn end(head: bool) -> End {
    if head { End::Head } else { End::Tail }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    #[test]
    fn behaves_like_a_deque(fill in -2..6i32, depth in 0..3usize, ops in proptest::collection::vec(op(), 0..200)) {
        let limit = ListLimit::new(fill).with_packed_threshold(200).with_compress_depth(depth);
        let (mut list, mut model) = (List::new(), VecDeque::<Vec<u8>>::new());
        let mut shared = Vec::new();
        for op in ops {
            match op {
                Op::Push(head, text) => {
                    list.push(end(head), &text, &limit);
                    if head { model.push_front(text) } else { model.push_back(text) }
                }
                Op::Pop(head) => {
                    let expected = if head { model.pop_front() } else { model.pop_back() };
                    prop_assert_eq!(list.pop(end(head), &limit, |e| e.to_vec()), expected);
                }
                Op::Insert(at, text) => {
                    list.insert(at, &text, &limit);
                    model.insert(at.min(model.len()), text);
                }
                Op::Replace(at, text) => {
                    prop_assert_eq!(list.replace(at, &text, &limit), at < model.len());
                    if let Some(old) = model.get_mut(at) { *old = text }
                }
                Op::Remove(at, count) => {
                    list.remove_range(at, count, &limit);
                    let end = (at + count).min(model.len());
                    if at < end { model.drain(at..end); }
                }
                Op::RemoveEqual(head, at, most) => {
                    let Some(wanted) = model.get(at).cloned() else { continue };
                    let removed = list.remove_equal(end(head), &wanted, most, &limit);
                    let mut expected = 0;
                    while expected < most {
                        let found = match head {
                            true => model.iter().position(|text| *text == wanted),
                            false => model.iter().rposition(|text| *text == wanted),
                        };
                        let Some(found) = found else { break };
                        model.remove(found);
                        expected += 1;
                    }
                    prop_assert_eq!(removed, expected);
                }
                Op::Share => shared.push((list.clone(), contents(&list))),
            }
            prop_assert_eq!(list.len(), model.len());
        }
        prop_assert!(contents(&list).iter().eq(model.iter()));
        for index in 0..=model.len() {
            let one = list.get(index, |e| e.to_vec());
            prop_assert_eq!(one.as_ref(), model.get(index));
            let expanded = list.expanded();
            let forward: Vec<_> = expanded.iter_from(index).map(|e| e.to_vec()).collect();
            prop_assert!(forward.iter().eq(model.iter().skip(index)));
            prop_assert_eq!(seen(&list, index, End::Tail), forward);
            if index < model.len() {
                let back: Vec<_> = expanded.iter_back_from(index).map(|e| e.to_vec()).collect();
                prop_assert!(back.iter().eq(model.iter().rev().skip(model.len() - 1 - index)));
                prop_assert_eq!(seen(&list, index, End::Head), back);
            }
        }
        for (copy, before) in shared {
            prop_assert_eq!(contents(&copy), before);
        }
    }
}
