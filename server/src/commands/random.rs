//! Picking elements at random, each as likely as another.

use fastrand::Rng;
use std::collections::HashSet;

/// Elements up to which all are looked at instead of picking ranks: finding one by its rank may cost as much.
const FEW: usize = 512;

/// Shows `count` of the `len` items, none twice, in their order, after one pass over them.
fn choose<T>(
    rng: &mut Rng,
    items: impl Iterator<Item = T>,
    len: usize,
    count: usize,
    mut show: impl FnMut(T),
) {
    let mut wanted = count;
    for (item, left) in items.zip((1..=len).rev()) {
        // `wanted` of the `left` items that are still to come have to be taken.
        if rng.usize(..left) < wanted {
            wanted -= 1;
            show(item);
        }
    }
}

/// `count` different numbers below `len`: each step adds one, by Floyd's method.
fn ranks(rng: &mut Rng, len: usize, count: usize) -> HashSet<usize> {
    let mut chosen = HashSet::with_capacity(count);
    for most in len - count..len {
        let rank = rng.usize(..=most);
        if !chosen.insert(rank) {
            chosen.insert(most);
        }
    }
    chosen
}

/// Shows `count` of the `len` items, none twice: by their ranks if these are few among many, else by a pass over all.
pub(super) fn distinct<T>(
    rng: &mut Rng,
    (len, count): (usize, usize),
    items: impl Iterator<Item = T>,
    nth: impl Fn(usize) -> Option<T>,
    mut show: impl FnMut(T),
) {
    if len <= FEW || count >= len / 3 {
        choose(rng, items, len, count, show);
    } else {
        ranks(rng, len, count).into_iter().filter_map(nth).for_each(&mut show);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_as_likely_as_another() {
        let mut rng = Rng::with_seed(7);
        for len in [20usize, 2000] {
            let mut hits = vec![0u32; len];
            for _ in 0..4000 {
                let mut seen = HashSet::new();
                distinct(&mut rng, (len, len / 10), 0..len, Some, |n| {
                    assert!(seen.insert(n));
                    hits[n] += 1;
                });
                assert_eq!(seen.len(), len / 10);
            }
            assert!(hits.iter().all(|hits| (300..500).contains(hits)), "{hits:?}");
        }
    }
}
