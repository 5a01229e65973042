//! Foreign bytes as an integer set: reading them never panics, and what is accepted is in order, can be changed and is
//! written as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::Intset;

fuzz_target!(|data: &[u8]| {
    check(data);
    // Most inputs die at the header; give the same bytes right ones as well.
    for width in [2u32, 4, 8] {
        let count = (data.len() as u32) / width;
        let numbers = &data[..(count * width) as usize];
        check(&[&width.to_le_bytes(), &count.to_le_bytes(), numbers].concat());
    }
});

fn check(bytes: &[u8]) {
    let Ok(mut ints) = Intset::from_bytes(bytes) else { return };
    let mut written = Vec::new();
    ints.write_to(&mut written);
    // An empty one has the narrowest width, whatever came.
    assert!(ints.is_empty() || written == bytes);
    let all: Vec<i64> = ints.iter().collect();
    assert_eq!(all.len(), ints.len());
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(all.iter().all(|n| ints.contains(*n)));
    let added: Vec<i64> = [0, i64::MIN, i64::MAX, 70_000].into_iter().filter(|n| ints.insert(*n)).collect();
    assert_eq!(ints.len(), all.len() + added.len());
    assert!(added.iter().chain(&all).all(|n| ints.remove(*n)));
    assert!(ints.is_empty());
}
