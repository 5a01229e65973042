//! LZF, the compression of strings in snapshots and of list nodes far from the ends.
//!
//! ```text
//! 000lllll  l+1 literal bytes follow
//! lllooooo oooooooo           copy l+2 bytes (l in 1..=6) from o+1 bytes back
//! 111ooooo llllllll oooooooo  copy l+9 bytes from o+1 bytes back
//! ```
//!
//! Written here, not taken from a crate: the expansion must not allocate what a file merely claims, and the
//! compressor keeps its table from one string to the next, where clearing it would cost more than a short string.

/// Literal bytes that one control byte announces, at most.
const LITERALS_MAX: usize = 32;

/// Bytes that one copy gives, at most.
const COPY_MAX: usize = 264;

/// How far back a copy reaches, bytes.
const DISTANCE_MAX: usize = 1 << 13;

/// Bits of the compressor's table index: 64 KB, which stays in the second-level cache.
const TABLE_BITS: u32 = 14;

/// Expands `input`, which must give exactly `len` bytes; `None` when it does not.
///
/// Memory grows with the output, which is at most 88 times the input.
pub fn decompress(input: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > input.len().saturating_mul(COPY_MAX / 3) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let [control, tail @ ..] = rest {
        if *control < LITERALS_MAX as u8 {
            let (literals, tail) = tail.split_at_checked(usize::from(*control) + 1)?;
            out.extend_from_slice(literals);
            rest = tail;
        } else {
            rest = expand_copy(*control, tail, &mut out)?;
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

fn expand_copy<'a>(control: u8, input: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (more, rest) = match control >> 5 {
        7 => input.split_first().map(|(more, rest)| (usize::from(*more), rest))?,
        _ => (0, input),
    };
    let (low, rest) = rest.split_first()?;
    let count = usize::from(control >> 5) + more + 2;
    let distance = (usize::from(control & 0x1f) << 8 | usize::from(*low)) + 1;
    let start = out.len().checked_sub(distance)?;
    if distance >= count {
        out.extend_from_within(start..start + count);
    } else {
        // The copy reads bytes that it writes itself: a repeating pattern.
        for from in start..start + count {
            out.push(out[from]);
        }
    }
    Some(rest)
}

/// Compresses strings one after another.
pub struct Compressor {
    /// By hash of three bytes, where they were last seen, counted from the first byte ever compressed; what lies
    /// before `base` belongs to earlier strings and counts as never seen.
    table: Box<[u32]>,
    base: u32,
    out: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressor {
    /// A compressor; allocates 64 KB.
    pub fn new() -> Self {
        Compressor { table: vec![0; 1 << TABLE_BITS].into_boxed_slice(), base: 1, out: Vec::new() }
    }

    /// The compressed form of `input` if it takes at most `limit` bytes. Cost: linear, gives up at the limit.
    pub fn compress(&mut self, input: &[u8], limit: usize) -> Option<&[u8]> {
        let len = u32::try_from(input.len()).ok().filter(|len| *len < u32::MAX / 2)?;
        if self.base > u32::MAX - len {
            self.table.fill(0);
            self.base = 1;
        }
        self.out.clear();
        let fits = self.run(input, limit);
        self.base += len;
        (fits && self.out.len() <= limit).then_some(self.out.as_slice())
    }

    fn run(&mut self, input: &[u8], limit: usize) -> bool {
        let (mut at, mut literals_from) = (0, 0);
        while at + 3 <= input.len() {
            match self.find(input, at) {
                Some((distance, count)) => {
                    self.put_literals(&input[literals_from..at]);
                    self.put_copy(distance, count);
                    // Remember the end of the copy too: what comes next often continues it.
                    for inside in at + count - 2..at + count {
                        self.remember(input, inside);
                    }
                    at += count;
                    literals_from = at;
                }
                None => at += 1,
            }
            if self.out.len() + (at - literals_from) > limit {
                return false;
            }
        }
        self.put_literals(&input[literals_from..]);
        true
    }

    /// The distance and length of an earlier occurrence of what stands at `at`, if there is one within reach.
    fn find(&mut self, input: &[u8], at: usize) -> Option<(usize, usize)> {
        let seen = self.remember(input, at)?;
        let distance = at - seen;
        if distance > DISTANCE_MAX || input[seen..seen + 3] != input[at..at + 3] {
            return None;
        }
        let most = (input.len() - at).min(COPY_MAX);
        let more =
            input[seen + 3..].iter().zip(&input[at + 3..at + most]).take_while(|(a, b)| a == b).count();
        Some((distance, 3 + more))
    }

    /// Notes the three bytes at `at`; gives where bytes with their hash were before in this string.
    fn remember(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let [a, b, c] = *input.get(at..at + 3)? else { return None };
        let hash = u32::from_le_bytes([a, b, c, 0]).wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS);
        let before = std::mem::replace(&mut self.table[hash as usize], self.base + at as u32);
        before.checked_sub(self.base).map(|seen| seen as usize)
    }

    fn put_literals(&mut self, literals: &[u8]) {
        for run in literals.chunks(LITERALS_MAX) {
            self.out.push(run.len() as u8 - 1);
            self.out.extend_from_slice(run);
        }
    }

    fn put_copy(&mut self, distance: usize, count: usize) {
        let (offset, len) = (distance - 1, count - 2);
        if len < 7 {
            self.out.push((len << 5 | offset >> 8) as u8);
        } else {
            self.out.push((7 << 5 | offset >> 8) as u8);
            self.out.push((len - 7) as u8);
        }
        self.out.push(offset as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u64) -> impl FnMut(usize) -> usize {
        let mut state = seed;
        move |below| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        }
    }

    #[test]
    fn round_trips_and_agrees_with_another_implementation() {
        let mut compressor = Compressor::new();
        let mut next = random(1);
        for round in 0..2000 {
            let symbols = 1 + next(if round % 2 == 0 { 4 } else { 200 });
            let len = next(3000);
            let input: Vec<u8> = (0..len).map(|_| next(symbols) as u8).collect();
            if let Some(packed) = compressor.compress(&input, usize::MAX) {
                assert_eq!(decompress(packed, len).as_deref(), Some(&input[..]), "round {round}");
                if len > 0 {
                    assert_eq!(lzf::decompress(packed, len).unwrap(), input, "round {round}");
                }
            }
            if let Ok(packed) = lzf::compress(&input) {
                assert_eq!(decompress(&packed, len).as_deref(), Some(&input[..]), "round {round}");
            }
        }
    }

    #[test]
    fn repetition_shrinks_and_noise_gives_up() {
        let mut compressor = Compressor::new();
        assert!(compressor.compress(&[b'a'; 10_000], 200).is_some());
        let mut next = random(2);
        let noise: Vec<u8> = (0..10_000).map(|_| next(256) as u8).collect();
        assert!(compressor.compress(&noise, noise.len() - 4).is_none());
    }

    #[test]
    fn the_table_survives_a_wrap_of_its_positions() {
        let mut compressor = Compressor::new();
        compressor.base = u32::MAX - 50;
        let input = b"abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc";
        let packed = compressor.compress(input, 59).unwrap().to_vec();
        assert_eq!(decompress(&packed, input.len()).as_deref(), Some(&input[..]));
        assert!(compressor.base < 100);
    }

    #[test]
    fn damaged_input_is_refused() {
        let check = |input: &[u8], len: usize| assert_eq!(decompress(input, len), None, "{input:?} {len}");
        check(&[5, b'a'], 6); // literals are missing
        check(&[0, b'a', 0x20], 3); // a copy without its offset
        check(&[0, b'a', 0xe0, 1], 10); // a long copy without its offset
        check(&[0, b'a', 0x20, 1], 4); // from before the start
        check(&[0, b'a'], 2); // too short
        check(&[1, b'a', b'b'], 1); // too long
        check(&[0, b'a', 0x20, 0], usize::MAX); // more than can be
        check(&[], 1);
        let mut next = random(3);
        for _ in 0..100_000 {
            let input: Vec<u8> = (0..next(20)).map(|_| next(256) as u8).collect();
            decompress(&input, next(600));
        }
    }
}
