//! HyperLogLog: how many different elements were seen, within about 0.8 %, in Redis's bytes, since GET, DUMP and files
//! show them.
//!
//! ```text
//!  ├ "HYLL" ┼ encoding u8 ┼ 3 unused ┼ cardinality u64 LE, top bit: stale ┼ registers ┤
//!
//!  encoding 0, dense: 16384 registers of 6 bits, the lowest bit first, 12288 bytes
//!  encoding 1, sparse: runs of equal registers
//!     00xxxxxx            x+1 zeros               01xxxxxx xxxxxxxx   x+1 zeros
//!     1vvvvvxx            x+1 registers of v+1
//! ```
//!
//! An element's hash names a register by its lower 14 bits; the register keeps the largest number of zeros (and one)
//! that the other bits began with. Everything here works on bytes that a client may have written with SET: only
//! [`is_hyperloglog`] has been asked before, and sparse runs are checked wherever they are walked.

/// Bits of a hash that name the register.
const INDEX_BITS: u32 = 14;
/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of a hash that are counted.
const COUNTED_BITS: usize = 64 - INDEX_BITS as usize;
const REGISTER_BITS: usize = 6;
const HEADER: usize = 16;
const ENCODING: usize = 4;
const CARDINALITY: usize = 8;
const STALE: usize = 15;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const DENSE_SIZE: usize = HEADER + REGISTERS * REGISTER_BITS / 8;
/// The longest run that one byte of zeros can tell.
const SHORT_ZEROS: usize = 64;
/// The longest run of equal registers that are not zero.
const LONGEST_VALUE: usize = 4;
/// The largest register that a sparse run can tell.
const LARGEST_SPARSE: u8 = 32;
/// Redis's seed of the hash.
const SEED: u64 = 0xadc8_3b19;

/// The sparse runs contradict each other or the number of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// The bytes of one that has seen nothing.
pub fn new_hyperloglog() -> Vec<u8> {
    let mut bytes = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    Run { value: 0, len: REGISTERS }.write(&mut bytes);
    bytes
}

/// Whether a string is one as far as its header goes. The other functions ask for that.
pub fn is_hyperloglog(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && bytes.starts_with(b"HYLL")
        && match bytes[ENCODING] {
            DENSE => bytes.len() == DENSE_SIZE,
            SPARSE => true,
            _ => false,
        }
}

/// Whether it is in the sparse encoding.
pub fn is_sparse(bytes: &[u8]) -> bool {
    bytes[ENCODING] == SPARSE
}

/// The number that was kept when it was last counted, unless it has changed since.
pub fn cached_count(bytes: &[u8]) -> Option<u64> {
    let word = bytes[CARDINALITY..HEADER].try_into().expect("eight bytes");
    (bytes[STALE] & 0x80 == 0).then(|| u64::from_le_bytes(word))
}

/// Keeps the number for the next time.
pub fn cache_count(bytes: &mut [u8], count: u64) {
    bytes[CARDINALITY..HEADER].copy_from_slice(&count.to_le_bytes());
}

/// Makes the number that was kept count no more.
pub fn mark_stale(bytes: &mut [u8]) {
    bytes[STALE] |= 0x80;
}

/// Adds an element; true when a register changed. The number that was kept is stale then. Beyond `sparse_max` bytes
/// the encoding becomes dense.
///
/// # Errors
/// When its runs don't cover the register, or can't be made dense.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_max: usize) -> Result<bool, Corrupt> {
    let hash = murmur_hash_64a(element, SEED);
    let index = hash as usize & (REGISTERS - 1);
    // A bit behind the counted ones ends the count.
    let rest = hash >> INDEX_BITS | 1 << COUNTED_BITS;
    raise(bytes, index, rest.trailing_zeros() as u8 + 1, sparse_max)
}

/// Makes a register at least `value`; true when it was less.
fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> Result<bool, Corrupt> {
    if bytes[ENCODING] == SPARSE {
        return raise_sparse(bytes, index, value, sparse_max);
    }
    let grows = dense_register(&bytes[HEADER..], index) < value;
    if grows {
        set_dense_register(&mut bytes[HEADER..], index, value);
        mark_stale(bytes);
    }
    Ok(grows)
}

/// Changes the encoding to dense.
///
/// # Errors
/// When the runs don't give all registers.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    if bytes[ENCODING] == DENSE {
        return Ok(());
    }
    let mut dense = bytes[..HEADER].to_vec();
    dense[ENCODING] = DENSE;
    dense.resize(DENSE_SIZE, 0);
    walk(&bytes[HEADER..], |first, run| {
        if run.value > 0 {
            (first..first + run.len).for_each(|at| set_dense_register(&mut dense[HEADER..], at, run.value));
        }
    })?;
    *bytes = dense;
    Ok(())
}

/// Counts.
///
/// # Errors
/// When the runs don't give all registers.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = [0u32; 64];
    if bytes[ENCODING] == SPARSE {
        walk(&bytes[HEADER..], |_, run| histogram[usize::from(run.value)] += run.len as u32)?;
    } else {
        (0..REGISTERS).for_each(|at| histogram[usize::from(dense_register(&bytes[HEADER..], at))] += 1);
    }
    Ok(estimate(&histogram))
}

/// All registers, a byte each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    /// Raises each register to that of another HyperLogLog.
    ///
    /// # Errors
    /// When its runs don't give all registers; some may have been raised then.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        let own = &mut self.0;
        if bytes[ENCODING] == SPARSE {
            return walk(&bytes[HEADER..], |first, run| {
                own[first..first + run.len]
                    .iter_mut()
                    .for_each(|register| *register = (*register).max(run.value));
            });
        }
        let registers = &bytes[HEADER..];
        own.iter_mut().enumerate().for_each(|(at, own)| *own = (*own).max(dense_register(registers, at)));
        Ok(())
    }

    /// Counts.
    pub fn count(&self) -> u64 {
        let mut histogram = [0u32; 64];
        self.0.iter().for_each(|register| histogram[usize::from(*register)] += 1);
        estimate(&histogram)
    }

    /// Raises the registers of `bytes` to these. The number that it kept is stale then.
    ///
    /// # Errors
    /// When its runs don't give all registers.
    pub fn write_to(&self, bytes: &mut Vec<u8>, sparse_max: usize) -> Result<(), Corrupt> {
        for (index, value) in self.0.iter().enumerate().filter(|(_, value)| **value > 0) {
            raise(bytes, index, *value, sparse_max)?;
        }
        mark_stale(bytes);
        Ok(())
    }

    /// Each register.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u8> + '_ {
        self.0.iter().copied()
    }
}

/// The sparse runs as PFDEBUG DECODE spells them.
pub fn spell_runs(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = &bytes[HEADER..];
    while let Some((run, size)) = Run::read(rest) {
        let word = match (run.value, size) {
            (0, 1) => format!("z:{} ", run.len),
            (0, _) => format!("Z:{} ", run.len),
            (value, _) => format!("v:{value},{} ", run.len),
        };
        text.push_str(&word);
        rest = &rest[size..];
    }
    text.truncate(text.trim_end().len());
    text
}

// --- dense -----------------------------------------------------------------------------------------------------------

#[inline]
fn dense_register(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let low = u16::from(registers[at]);
    let high = u16::from(registers.get(at + 1).copied().unwrap_or(0));
    ((low | high << 8) >> shift) as u8 & 0x3f
}

#[inline]
fn set_dense_register(registers: &mut [u8], index: usize, value: u8) {
    let (at, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let (mask, bits) = (0x3fu16 << shift, u16::from(value) << shift);
    registers[at] = registers[at] & !(mask as u8) | bits as u8;
    // A register that ends with its byte has no part in the next one.
    if let Some(next) = registers.get_mut(at + 1) {
        *next = *next & !((mask >> 8) as u8) | (bits >> 8) as u8;
    }
}

// --- sparse ----------------------------------------------------------------------------------------------------------

/// Equal registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    value: u8,
    len: usize,
}

impl Run {
    /// The run that `runs` begins with, and its size; `None` at the end and for one that is cut off.
    #[inline]
    fn read(runs: &[u8]) -> Option<(Self, usize)> {
        let first = *runs.first()?;
        Some(match first >> 6 {
            0 => (Self { value: 0, len: usize::from(first & 0x3f) + 1 }, 1),
            1 => {
                let len = usize::from(first & 0x3f) << 8 | usize::from(*runs.get(1)?);
                (Self { value: 0, len: len + 1 }, 2)
            }
            _ => (Self { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1 }, 1),
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        let len = self.len - 1;
        match self.value {
            0 if self.len <= SHORT_ZEROS => out.push(len as u8),
            0 => out.extend([0x40 | (len >> 8) as u8, len as u8]),
            value => out.push(0x80 | (value - 1) << 2 | len as u8),
        }
    }
}

/// Shows each run and its first register; an error when they are not [`REGISTERS`] in all.
fn walk(mut runs: &[u8], mut show: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    let mut first = 0;
    while !runs.is_empty() {
        let (run, size) = Run::read(runs).ok_or(Corrupt)?;
        if first + run.len > REGISTERS {
            return Err(Corrupt);
        }
        show(first, run);
        first += run.len;
        runs = &runs[size..];
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// Where the run of a register is.
struct Place {
    at: usize,
    size: usize,
    /// Where the run before it is.
    before: Option<usize>,
    first: usize,
    run: Run,
}

fn find_run(bytes: &[u8], index: usize) -> Result<Place, Corrupt> {
    let (mut at, mut before, mut first) = (HEADER, None, 0);
    loop {
        let (run, size) = Run::read(&bytes[at..]).ok_or(Corrupt)?;
        if index < first + run.len {
            return Ok(Place { at, size, before, first, run });
        }
        (before, at, first) = (Some(at), at + size, first + run.len);
    }
}

/// [`raise`] for the sparse encoding. What comes out is what Redis would write, byte for byte.
fn raise_sparse(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> Result<bool, Corrupt> {
    if value > LARGEST_SPARSE {
        make_dense(bytes)?;
        return raise(bytes, index, value, sparse_max);
    }
    let Place { at, size, before, first, run } = find_run(bytes, index)?;
    if run.value >= value {
        return Ok(false);
    }
    let mut runs = Vec::with_capacity(5);
    let last = first + run.len - 1;
    let pieces = [
        Run { value: run.value, len: index - first },
        Run { value, len: 1 },
        Run { value: run.value, len: last - index },
    ];
    pieces.iter().filter(|piece| piece.len > 0).for_each(|piece| piece.write(&mut runs));
    if runs.len() > size && bytes.len() + runs.len() - size > sparse_max {
        make_dense(bytes)?;
        return raise(bytes, index, value, sparse_max);
    }
    bytes.splice(at..at + size, runs);
    join_runs(bytes, before.unwrap_or(HEADER));
    mark_stale(bytes);
    Ok(true)
}

/// Runs that are looked at, from the one before the change.
const JOINED: usize = 5;

/// Joins neighbours of one value that fit a run.
fn join_runs(bytes: &mut Vec<u8>, from: usize) {
    let mut at = from;
    for _ in 0..JOINED {
        let Some((run, size)) = Run::read(&bytes[at..]) else { return };
        let next = bytes.get(at + 1..).and_then(Run::read);
        match next {
            Some((next, _))
                if run.value > 0 && next.value == run.value && run.len + next.len <= LONGEST_VALUE =>
            {
                let mut joined = Vec::with_capacity(1);
                Run { value: run.value, len: run.len + next.len }.write(&mut joined);
                bytes.splice(at..at + 2, joined);
            }
            _ => at += size,
        }
        if at >= bytes.len() {
            return;
        }
    }
}

// --- the estimate ----------------------------------------------------------------------------------------------------

/// The number of elements behind so many registers of each value: Otmar Ertl's improved estimator, as Redis computes it.
fn estimate(histogram: &[u32; 64]) -> u64 {
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(histogram[COUNTED_BITS + 1])) / m);
    for j in (1..=COUNTED_BITS).rev() {
        z += f64::from(histogram[j]);
        z *= 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (ALPHA * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}

/// Austin Appleby's MurmurHash2 in its 64-bit form, on little-endian words.
fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = (hash ^ k.wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> R;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> R
}

/// Checks the machinery on itself (PFSELFTEST): what both encodings keep and how far estimates are off.
///
/// # Errors
/// What was found.
pub fn self_test() -> Result<(), String> {
    let mut dense = new_hyperloglog();
    make_dense(&mut dense).map_err(|Corrupt| "a new one is corrupt".to_owned())?;
    for index in 0..REGISTERS {
        set_dense_register(&mut dense[HEADER..], index, (index * 7 % 64) as u8);
    }
    if let Some(index) =
        (0..REGISTERS).find(|&at| dense_register(&dense[HEADER..], at) != (at * 7 % 64) as u8)
    {
        return Err(format!("register {index} does not hold what was written"));
    }
    let (mut dense, mut sparse) = (new_hyperloglog(), new_hyperloglog());
    let corrupt = |Corrupt| "runs that were written are corrupt".to_owned();
    make_dense(&mut dense).map_err(corrupt)?;
    let mut checked = 1;
    for number in 1..=1_000_000u64 {
        // Spread over all numbers, so that the hash is not asked about neighbours only.
        let element = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        add(&mut dense, &element, 0).map_err(corrupt)?;
        if number <= 1000 {
            add(&mut sparse, &element, usize::MAX).map_err(corrupt)?;
        }
        if number != checked {
            continue;
        }
        checked *= 10;
        let counted = count(&dense).map_err(corrupt)?;
        if number <= 1000 && count(&sparse).map_err(corrupt)? != counted {
            return Err(format!("dense and sparse disagree after {number} elements"));
        }
        // Six times the standard error, and small numbers by one or two.
        let most = number as f64 * 6.0 * 1.04 / (REGISTERS as f64).sqrt() + 2.0;
        if (counted as f64 - number as f64).abs() > most {
            return Err(format!("{counted} counted of {number} elements"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_are_those_of_redis() {
        // The registers that PFADD of these elements sets in redis-server 7.0 (PFDEBUG DECODE).
        for (element, runs) in [("a", "Z:12711 v:2,1 Z:3672"), ("foo", "Z:7348 v:5,1 Z:9035")] {
            let mut bytes = new_hyperloglog();
            assert_eq!(add(&mut bytes, element.as_bytes(), 3000), Ok(true));
            assert_eq!(spell_runs(&bytes), runs, "{element}");
        }
    }

    #[test]
    fn encodings_agree() {
        let (mut dense, mut sparse) = (new_hyperloglog(), new_hyperloglog());
        make_dense(&mut dense).expect("new");
        for n in 0..5000u32 {
            let grew = add(&mut dense, &n.to_le_bytes(), 3000);
            assert_eq!(add(&mut sparse, &n.to_le_bytes(), usize::MAX), grew);
            if n % 500 == 0 {
                assert_eq!(count(&dense), count(&sparse));
            }
        }
        assert!(is_sparse(&sparse) && !is_sparse(&dense));
        let mut registers = [Registers::default(), Registers::default()];
        registers[0].merge(&dense).expect("ours");
        registers[1].merge(&sparse).expect("ours");
        assert_eq!(registers[0], registers[1]);
        assert_eq!(Ok(registers[0].count()), count(&dense));
        make_dense(&mut sparse).expect("ours");
        assert_eq!(sparse, dense);
    }

    #[test]
    fn the_self_test_passes() {
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn a_count_is_kept_until_a_register_grows() {
        let mut bytes = new_hyperloglog();
        assert_eq!(cached_count(&bytes), Some(0));
        add(&mut bytes, b"a", 3000).expect("new");
        assert_eq!(cached_count(&bytes), None);
        cache_count(&mut bytes, 1);
        assert_eq!(add(&mut bytes, b"a", 3000), Ok(false));
        assert_eq!(cached_count(&bytes), Some(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2000 }))]

        #[test]
        fn foreign_runs_never_panic(
            runs in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x7f), Just(0xff)], 0..40),
            whole in any::<bool>(),
            index in 0..REGISTERS,
            value in 1u8..52,
            sparse_max in 0usize..200,
        ) {
            let mut bytes = new_hyperloglog();
            bytes.truncate(HEADER);
            bytes.extend(runs);
            if whole {
                // What is missing to all registers.
                let mut rest = REGISTERS;
                let mut at = HEADER;
                while let Some((run, size)) = Run::read(&bytes[at..]) {
                    if run.len > rest { break }
                    rest -= run.len;
                    at += size;
                }
                bytes.truncate(at);
                if rest > 0 { Run { value: 0, len: rest }.write(&mut bytes); }
                prop_assert!(count(&bytes).is_ok());
            }
            let _ = (count(&bytes), spell_runs(&bytes), make_dense(&mut bytes.clone()));
            let mut registers = Registers::default();
            let merged = registers.merge(&bytes);
            prop_assert_eq!(merged.is_ok(), count(&bytes).is_ok());
            let mut changed = bytes.clone();
            let raised = raise(&mut changed, index, value, sparse_max);
            if merged.is_ok() {
                prop_assert!(raised.is_ok());
                let mut after = Registers::default();
                after.merge(&changed).expect("still whole");
                for (at, (old, new)) in registers.iter().zip(after.iter()).enumerate() {
                    prop_assert_eq!(new, if at == index { old.max(value) } else { old });
                }
            }
        }
    }
}
