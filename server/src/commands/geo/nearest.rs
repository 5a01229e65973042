//! Sorting no further than is asked for: the first `wanted` in order, the rest anyhow.
//!
//! Which of several equally distant members a COUNT keeps is up to the algorithm, clients see it, and a replica that runs
//! the same command must come to the same. So this is the algorithm that Redis uses: quicksort with three-way partitions
//! as Bentley and McIlroy described it ("Engineering a sort function", 1993), which drops the parts that nobody looks at.

use std::cmp::Ordering;

/// Length from which a partition is worth its while.
const SMALL: usize = 7;

/// Brings the first `wanted` of `items` into order.
pub(super) fn sort_first<T>(items: &mut [T], wanted: usize, compare: impl Fn(&T, &T) -> Ordering) {
    // Bad luck doubles the depth; who arranges for more gets a sort that cannot be tricked.
    let depth = 4 * (items.len().max(2).ilog2() as usize);
    let mut parts = vec![(0, items.len(), depth)];
    while let Some((start, end, depth)) = parts.pop() {
        if end - start < 2 || start >= wanted {
            continue;
        }
        let part = &mut items[start..end];
        if part.len() < SMALL {
            insertion_sort(part, &compare);
        } else if depth == 0 {
            part.sort_by(&compare);
        } else {
            let (less, greater) = partition(part, &compare);
            parts.push((start, start + less, depth - 1));
            parts.push((end - greater, end, depth - 1));
        }
    }
}

fn insertion_sort<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for next in 1..items.len() {
        let mut at = next;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

fn median<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering, [a, b, c]: [usize; 3]) -> usize {
    let is_less = |a: usize, b: usize| compare(&items[a], &items[b]).is_lt();
    let is_greater = |a: usize, b: usize| compare(&items[a], &items[b]).is_gt();
    if is_less(a, b) {
        if is_less(b, c) {
            b
        } else if is_less(a, c) {
            c
        } else {
            a
        }
    } else if is_greater(b, c) {
        b
    } else if is_less(a, c) {
        a
    } else {
        c
    }
}

fn pivot<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let (len, middle) = (items.len(), items.len() / 2);
    if len <= 7 {
        return middle;
    }
    let last = len - 1;
    if len <= 40 {
        return median(items, compare, [0, middle, last]);
    }
    let apart = len / 8;
    let low = median(items, compare, [0, apart, 2 * apart]);
    let mid = median(items, compare, [middle - apart, middle, middle + apart]);
    let high = median(items, compare, [last - 2 * apart, last - apart, last]);
    median(items, compare, [low, mid, high])
}

/// Puts those below a pivot first and those above it last; how many these are.
///
/// ```text
///  equal │ less │ not yet seen │ greater │ equal      equal ones gather at both ends
///        a      b              c         d            and move to the middle in the end
/// ```
fn partition<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    items.swap(0, pivot(items, compare));
    let (mut a, mut b, mut c, mut d) = (1, 1, len, len);
    loop {
        while b < c {
            match compare(&items[b], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(a, b);
                    a += 1;
                }
                Ordering::Less => {}
            }
            b += 1;
        }
        while b < c {
            match compare(&items[c - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    d -= 1;
                    items.swap(c - 1, d);
                }
                Ordering::Greater => {}
            }
            c -= 1;
        }
        if b >= c {
            break;
        }
        items.swap(b, c - 1);
        b += 1;
        c -= 1;
    }
    swap_ranges(items, 0, b, a.min(b - a));
    swap_ranges(items, b, len, (d - c).min(len - d));
    (b - a, d - c)
}

/// Exchanges the `count` items from `start` on with those before `end`.
fn swap_ranges<T>(items: &mut [T], start: usize, end: usize, count: usize) {
    (0..count).for_each(|i| items.swap(start + i, end - count + i));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_are_in_order(items in prop::collection::vec(0..60_u8, 0..300), wanted in 0..300_usize) {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let mut partly = items;
            sort_first(&mut partly, wanted, u8::cmp);
            let wanted = wanted.min(sorted.len());
            prop_assert_eq!(&partly[..wanted], &sorted[..wanted]);
            partly.sort_unstable();
            prop_assert_eq!(partly, sorted);
        }
    }

    #[test]
    fn depth_is_bounded() {
        // What a fixed choice of pivots dislikes: all parts in one.
        let mut items: Vec<u32> = (0..100_000).map(|i| if i % 2 == 0 { i } else { 100_000 - i }).collect();
        sort_first(&mut items, 100_000, u32::cmp);
        assert!(items.is_sorted());
    }
}
