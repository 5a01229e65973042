//! The keyed hash of a key. One seed serves a whole keyspace, so that a request is hashed once and the result used
//! in whichever database it runs.
//!
//! SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed function whose collisions cannot
//! be found without the seed, also by someone who sees timing and SCAN's order. A faster hash without that promise would
//! not repay its price. Written out here for a slice that is there as a whole: a hasher that takes its input in pieces, as
//! libraries have it, needs twice the instructions for a key of 16 bytes, and every request pays them.

/// The secret of a process that hashes are keyed with.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    k0: u64,
    k1: u64,
}

impl Seed {
    /// In tests: a key's first eight bytes are its hash, so that a test can place keys.
    #[cfg(test)]
    pub(crate) const FORGED: Self = Self { k0: u64::MAX, k1: 0 };

    /// Makes a seed from 128 random bits.
    pub fn new(key: [u64; 2]) -> Self {
        Self { k0: key[0], k1: key[1] }
    }

    /// Hashes `key`.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> Hash {
        #[cfg(test)]
        if self.k0 == Self::FORGED.k0 {
            let mut leading = [0; 8];
            leading[..key.len().min(8)].copy_from_slice(&key[..key.len().min(8)]);
            return Hash(u64::from_be_bytes(leading));
        }
        Hash(spread(sip13(self.k0, self.k1, key)))
    }
}

/// SipHash with one round per word of the input and three at the end.
#[inline]
fn sip13(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut state = Sip {
        a: k0 ^ 0x736f_6d65_7073_6575,
        b: k1 ^ 0x646f_7261_6e64_6f6d,
        c: k0 ^ 0x6c79_6765_6e65_7261,
        d: k1 ^ 0x7465_6462_7974_6573,
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state.absorb(u64::from_le_bytes(*word));
    }
    state.absorb((bytes.len() as u64) << 56 | short_word(rest));
    state.c ^= 0xff;
    state.round();
    state.round();
    state.round();
    state.a ^ state.b ^ state.c ^ state.d
}

/// Up to seven bytes as a number, the first one lowest: two loads that may overlap, or three bytes that may be the same.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    let half = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")));
    match bytes.len() {
        0 => 0,
        len @ 4.. => half(0) | half(len - 4) << (8 * (len - 4)),
        len => {
            let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
            byte(0) | byte(len / 2) | byte(len - 1)
        }
    }
}

/// The four words of SipHash's state.
struct Sip {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
}

impl Sip {
    #[inline(always)]
    fn absorb(&mut self, word: u64) {
        self.d ^= word;
        self.round();
        self.a ^= word;
    }

    #[inline(always)]
    fn round(&mut self) {
        self.a = self.a.wrapping_add(self.b);
        self.c = self.c.wrapping_add(self.d);
        self.b = self.b.rotate_left(13) ^ self.a;
        self.d = self.d.rotate_left(16) ^ self.c;
        self.a = self.a.rotate_left(32).wrapping_add(self.d);
        self.c = self.c.wrapping_add(self.b);
        self.d = self.d.rotate_left(21) ^ self.a;
        self.b = self.b.rotate_left(17) ^ self.c;
        self.c = self.c.rotate_left(32);
    }
}

/// Bends evenly spread hashes (as fractions, u → u (2 + u) / 3) so that they lie twice as dense at one end of the
/// range as at the other.
///
/// With evenly dense hashes all segments of a table fill up and split in the same phase of its growth: then most are
/// hashed again at the same time, and the allocator's pages for each segment size empty out in turn and stay behind
/// as holes (4 bytes per key were measured). Bent, the segments' phases are spread over a whole doubling at any time,
/// and the number of segments of each size only grows as the table does. Two multiplications, 2 ns.
#[inline]
fn spread(hash: u64) -> u64 {
    const THIRD: u64 = u64::MAX / 3 + 1;
    const TWO_THIRDS: u64 = u64::MAX / 3 * 2;
    let factor = TWO_THIRDS + high_half(hash, THIRD);
    high_half(hash, factor)
}

#[inline]
fn high_half(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

/// The hash of one key under the keyspace's seed. Never stored on disk and never sent to anyone.
///
/// ```text
///  63          63-base        63-depth                                        7      0
///  ├─ directory ┼─ used window ─┼─ 8 bits: home line ─┼ … ─┼─ below SCAN's 48 ─┼─ tag ─┤
///               └───────── 16 bits kept beside the pointer ──┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(pub u64);

impl Hash {
    /// How many leading bits order a SCAN: a cursor stays below 2^53, which JavaScript's numbers hold exactly.
    pub const PREFIX_BITS: u32 = 48;

    /// The leading bits that order a SCAN.
    #[inline]
    pub fn prefix(self) -> u64 {
        self.0 >> (64 - Self::PREFIX_BITS)
    }

    /// The smallest hash that has this prefix.
    #[inline]
    pub(crate) fn from_prefix(prefix: u64) -> Self {
        Self(prefix << (64 - Self::PREFIX_BITS))
    }

    /// The byte that is compared first, from bits that neither directory nor home line use.
    #[inline]
    pub(crate) fn tag(self) -> u8 {
        self.0 as u8
    }

    /// The 16 bits that follow the leading `base` bits.
    #[inline]
    pub(crate) fn window(self, base: u8) -> u16 {
        ((self.0 << base) >> 48) as u16
    }

    /// The leading `bits` bits as a number; 0 for `bits` 0.
    #[inline]
    pub(crate) fn leading(self, bits: u8) -> usize {
        ((self.0 >> 1) >> (63 - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_hash() {
        let h = Hash(0x0123_4567_89ab_cdef);
        assert_eq!(h.prefix(), 0x0123_4567_89ab);
        assert_eq!(Hash::from_prefix(h.prefix()).0, 0x0123_4567_89ab_0000);
        assert_eq!(h.tag(), 0xef);
        assert_eq!(h.window(0), 0x0123);
        assert_eq!(h.window(8), 0x2345);
        assert_eq!(h.leading(0), 0);
        assert_eq!(h.leading(12), 0x012);
    }

    #[test]
    fn it_is_siphash() {
        let bytes: Vec<u8> = (0..100).map(|n: u8| n.wrapping_mul(37) ^ 0xa5).collect();
        for len in 0..=bytes.len() {
            let (k0, k1) = (0x0706_0504_0302_0100 + len as u64, 0x0f0e_0d0c_0b0a_0908);
            let expected = siphasher::sip::SipHasher13::new_with_keys(k0, k1).hash(&bytes[..len]);
            assert_eq!(sip13(k0, k1, &bytes[..len]), expected, "{len} bytes");
        }
    }

    #[test]
    fn spreading_keeps_order_and_range() {
        assert_eq!(spread(0), 0);
        assert!(spread(u64::MAX) > u64::MAX - 16);
        let at = |eighths: u64| spread(eighths << 61) >> 32;
        assert!((0..7).all(|n| at(n) < at(n + 1)));
        let (first, last) = (at(1), (1 << 32) - at(7));
        assert!(last > first * 17 / 10 && last < first * 2, "{first} {last}");
    }

    #[test]
    fn the_seed_matters() {
        let (a, b) = (Seed::new([1, 2]), Seed::new([1, 3]));
        assert_ne!(a.hash(b"key"), b.hash(b"key"));
        assert_eq!(a.hash(b"key"), Seed::new([1, 2]).hash(b"key"));
    }
}
