//! Counting, finding and combining bits, a word of 64 at a time.

use common::command::CommandError;

/// The mask of a byte's bits from `from` to `to`, counted from the highest.
fn byte_mask(from: u64, to: u64) -> u8 {
    (0xff >> from) & (0xff << (7 - to))
}

/// Counts the set bits from `first` to `last`, which lie inside.
pub(super) fn count_bits(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (from, to) = ((first >> 3) as usize, (last >> 3) as usize);
    if from == to {
        return u64::from((bytes[from] & byte_mask(first & 7, last & 7)).count_ones());
    }
    let head = bytes[from] & byte_mask(first & 7, 7);
    let tail = bytes[to] & byte_mask(0, last & 7);
    u64::from(head.count_ones() + tail.count_ones()) + count_bytes(&bytes[from + 1..to])
}

fn count_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // Four sums, which the compiler turns into vector instructions.
    let mut sums = [0u64; 4];
    let (blocks, few) = words.as_chunks::<4>();
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum += u64::from(u64::from_ne_bytes(*word).count_ones());
        }
    }
    let few: u64 = few.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    let rest: u64 = rest.iter().map(|byte| u64::from(byte.count_ones())).sum();
    sums.iter().sum::<u64>() + few + rest
}

/// The first bit from `first` to `last` (which lie inside) that is as `wanted`.
pub(super) fn find_bit(bytes: &[u8], first: u64, last: u64, wanted: bool) -> Option<u64> {
    let flip = if wanted { 0 } else { 0xff };
    let (from, to) = ((first >> 3) as usize, (last >> 3) as usize);
    let at = |index: usize, byte: u8| index as u64 * 8 + u64::from(byte.leading_zeros());
    let head = (bytes[from] ^ flip) & byte_mask(first & 7, if from == to { last & 7 } else { 7 });
    if head != 0 {
        return Some(at(from, head));
    }
    if from == to {
        return None;
    }
    let inner = &bytes[from + 1..to];
    if let Some(index) = find_byte(inner, flip) {
        return Some(at(from + 1 + index, inner[index] ^ flip));
    }
    let tail = (bytes[to] ^ flip) & byte_mask(0, last & 7);
    (tail != 0).then(|| at(to, tail))
}

/// The first byte other than `dull`.
fn find_byte(bytes: &[u8], dull: u8) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let all_dull = [dull; 8];
    let start = match words.iter().position(|word| *word != all_dull) {
        Some(word) => return bytes[word * 8..].iter().position(|byte| *byte != dull).map(|at| word * 8 + at),
        None => bytes.len() - rest.len(),
    };
    rest.iter().position(|byte| *byte != dull).map(|at| start + at)
}

/// What BITOP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Bits in all sources.
    And,
    /// Bits in any source.
    Or,
    /// Bits in an odd number of sources.
    Xor,
    /// Bits that the source lacks.
    Not,
    /// Bits in the first source and in no other.
    Diff,
    /// Bits in another source and not in the first.
    Diff1,
    /// Bits in the first source and in another.
    AndOr,
    /// Bits in just one source.
    One,
}

impl Operation {
    pub(super) fn from_word(word: &[u8]) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_slice() {
            b"AND" => Self::And,
            b"OR" => Self::Or,
            b"XOR" => Self::Xor,
            b"NOT" => Self::Not,
            b"DIFF" => Self::Diff,
            b"DIFF1" => Self::Diff1,
            b"ANDOR" => Self::AndOr,
            b"ONE" => Self::One,
            _ => return None,
        })
    }

    pub(super) fn check_sources(self, count: usize) -> Result<(), CommandError> {
        let text = match self {
            Self::Not if count != 1 => "ERR BITOP NOT must be called with a single source key.",
            Self::Diff if count < 2 => "ERR BITOP DIFF must be called with at least two source keys.",
            Self::Diff1 if count < 2 => "ERR BITOP DIFF1 must be called with at least two source keys.",
            Self::AndOr if count < 2 => "ERR BITOP ANDOR must be called with at least two source keys.",
            _ => return Ok(()),
        };
        Err(text.into())
    }
}

/// Bytes that are combined at a time: a block of each source stays in the cache.
const BLOCK: usize = 4096;

/// Combines the sources; shorter ones count as followed by zeros. There is at least one.
pub(super) fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    // What was seen in several sources, for ONE; what the other sources have, for those that treat the first apart.
    let mut beside = [0; BLOCK];
    for (number, block) in result.chunks_mut(BLOCK).enumerate() {
        let part = |source: &&'_ [u8]| -> (usize, usize) {
            let from = (number * BLOCK).min(source.len());
            (from, (from + block.len()).min(source.len()))
        };
        let parts: Vec<&[u8]> = sources
            .iter()
            .map(|source| {
                let (from, to) = part(source);
                &source[from..to]
            })
            .collect();
        combine_block(operation, &parts, block, &mut beside[..]);
    }
    result
}

/// Combines one block into `out`, which is zero.
fn combine_block(operation: Operation, parts: &[&[u8]], out: &mut [u8], beside: &mut [u8]) {
    let beside = &mut beside[..out.len()];
    let (first, others) = parts.split_first().expect("BITOP has a source");
    match operation {
        Operation::Or => parts.iter().for_each(|part| each(out, part, |a, b| a | b)),
        Operation::Xor => parts.iter().for_each(|part| each(out, part, |a, b| a ^ b)),
        Operation::And => {
            out[..first.len()].copy_from_slice(first);
            for part in others {
                each(out, part, |a, b| a & b);
                out[part.len()..].fill(0);
            }
        }
        Operation::Not => {
            out[..first.len()].copy_from_slice(first);
            out.iter_mut().for_each(|byte| *byte = !*byte);
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr => {
            others.iter().for_each(|part| each(out, part, |a, b| a | b));
            match operation {
                Operation::Diff1 => each(out, first, |others, first| others & !first),
                Operation::Diff => {
                    each(out, first, |others, first| first & !others);
                    out[first.len()..].fill(0);
                }
                _ => {
                    each(out, first, |others, first| first & others);
                    out[first.len()..].fill(0);
                }
            }
        }
        Operation::One => {
            beside.fill(0);
            for part in parts {
                let repeated = out.iter().zip(*part).map(|(a, b)| a & b);
                beside.iter_mut().zip(repeated).for_each(|(seen, again)| *seen |= again);
                each(out, part, |a, b| a | b);
            }
            each(out, beside, |once, again| once & !again);
        }
    }
}

/// `out = f(out, part)` for as long as `part` is, in words.
#[inline]
fn each(out: &mut [u8], part: &[u8], f: impl Fn(u64, u64) -> u64) {
    let (out_words, out_rest) = out[..part.len()].as_chunks_mut::<8>();
    let (words, rest) = part.as_chunks::<8>();
    for (a, b) in out_words.iter_mut().zip(words) {
        *a = f(u64::from_ne_bytes(*a), u64::from_ne_bytes(*b)).to_ne_bytes();
    }
    for (a, b) in out_rest.iter_mut().zip(rest) {
        *a = f(u64::from(*a), u64::from(*b)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes.get((at / 8) as usize).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
    }

    /// Reproducible bytes, with long runs of zeros and ones.
    fn sample(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match state >> 60 {
                0..=6 => 0,
                7..=11 => 0xff,
                _ => (state >> 20) as u8,
            }
        };
        (0..len).map(|_| byte()).collect()
    }

    #[test]
    fn ranges_are_counted_and_searched_as_bit_by_bit() {
        for (len, seed) in [(1, 3), (9, 5), (40, 7), (100, 11)] {
            let bytes = sample(len, seed);
            let bits = len as u64 * 8;
            for first in (0..bits).step_by(3) {
                for last in (first..bits).step_by(7).chain([first, bits - 1]) {
                    let count = (first..=last).filter(|at| bit(&bytes, *at)).count() as u64;
                    assert_eq!(count_bits(&bytes, first, last), count, "{len} {first} {last}");
                    for wanted in [false, true] {
                        let expected = (first..=last).find(|at| bit(&bytes, *at) == wanted);
                        assert_eq!(find_bit(&bytes, first, last, wanted), expected, "{len} {first} {last}");
                    }
                }
            }
        }
    }

    #[test]
    fn operations_are_what_they_say() {
        use Operation::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
        let sources = [sample(BLOCK + 77, 1), sample(BLOCK * 2 + 3, 2), sample(11, 3), Vec::new()];
        for count in 1..=4 {
            let all: Vec<&[u8]> = sources.iter().take(count).map(Vec::as_slice).rev().collect();
            for operation in [And, Or, Xor, Not, Diff, Diff1, AndOr, One] {
                if operation.check_sources(count).is_err() {
                    continue;
                }
                let result = combine(operation, &all);
                assert_eq!(result.len(), all.iter().map(|s| s.len()).max().unwrap_or(0));
                for at in 0..result.len() as u64 * 8 {
                    let on: Vec<bool> = all.iter().map(|source| bit(source, at)).collect();
                    let others = on[1..].iter().any(|on| *on);
                    let expected = match operation {
                        And => on.iter().all(|on| *on),
                        Or => on.iter().any(|on| *on),
                        Xor => on.iter().filter(|on| **on).count() % 2 == 1,
                        Not => !on[0],
                        Diff => on[0] && !others,
                        Diff1 => others && !on[0],
                        AndOr => on[0] && others,
                        One => on.iter().filter(|on| **on).count() == 1,
                    };
                    assert_eq!(bit(&result, at), expected, "{operation:?} of {count} at {at}");
                }
            }
        }
    }
}
