//! Foreign bytes as a listpack: reading them never panics, and what is accepted can be walked both ways, changed and
//! written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{Element, End, List, ListLimit, Listpack};

fuzz_target!(|data: &[u8]| {
    check(data);
    // Most inputs die at the header; give the same bytes a right one as well.
    let mut framed = Vec::with_capacity(data.len() + 7);
    framed.extend_from_slice(&(data.len() as u32 + 7).to_le_bytes());
    framed.extend_from_slice(&[0xff, 0xff]);
    framed.extend_from_slice(data);
    framed.push(0xff);
    check(&framed);
});

fn check(bytes: &[u8]) {
    let Ok(mut pack) = Listpack::from_bytes(bytes) else { return };
    let forward: Vec<Vec<u8>> = pack.iter().map(|e| e.to_vec()).collect();
    let mut backward: Vec<Vec<u8>> = pack.iter().rev().map(|e| e.to_vec()).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), pack.len());
    // Digits may become an integer; what was written here stays as it is.
    let written = pack.to_bytes();
    assert_eq!(Listpack::from_bytes(&written).expect("written here").to_bytes(), written);
    let limit = ListLimit::default();
    let mut list = List::from_listpack(pack.clone(), &limit);
    list.push(End::Head, b"-129", &limit);
    list.push(End::Tail, b"tail", &limit);
    assert_eq!(list.pop(End::Head, &limit, |e| e.to_vec()).as_deref(), Some(&b"-129"[..]));
    assert!(list.expanded().iter().map(|e| e.to_vec()).take(forward.len()).eq(forward.iter().cloned()));
    pack.insert(forward.len() / 2, Element::from_bytes(b"12345678901"));
    pack.remove_range(forward.len() / 2, 1);
    assert!(pack.iter().map(|e| e.to_vec()).eq(forward));
    while pack.pop_back().is_some() {}
    assert!(pack.is_empty());
}
