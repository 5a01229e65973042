//! Reading ziplists, the packed lists of Redis before 7.0.
//!
//! ```text
//! total bytes u32 LE | offset of the last entry u32 LE | count u16 LE (65535: unknown) | entries | 0xFF
//! entry: length of the entry before, 1 byte, or 0xFE + u32 LE
//!        00llllll | 01llllll llllllll | 0x80 + u32 BE      string of that length
//!        0xC0 i16 | 0xD0 i32 | 0xE0 i64 | 0xF0 i24 | 0xFE i8 (LE) | 0xF1..=0xFD: 0..=12
//! ```
//!
//! They are only ever taken apart, never kept, so one pass in order is enough.

const HEADER: usize = 10;
const END: u8 = 0xff;
const BIG_PREVIOUS: u8 = 0xfe;

/// The elements in order; the error says what the bytes are not.
pub fn elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    read(bytes).ok_or("ziplist")
}

fn read(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let total = u32::from_le_bytes(header[0..4].try_into().ok()?);
    let last = u32::from_le_bytes(header[4..8].try_into().ok()?);
    let count = u16::from_le_bytes(header[8..10].try_into().ok()?);
    let (&end, mut rest) = body.split_last()?;
    if total as usize != bytes.len() || end != END {
        return None;
    }
    let mut found = Vec::new();
    let (mut previous, mut last_at) = (0, HEADER);
    while !rest.is_empty() {
        last_at = bytes.len() - 1 - rest.len();
        let (element, tail) = entry(rest, previous)?;
        found.push(element);
        previous = rest.len() - tail.len();
        rest = tail;
    }
    let count_agrees = count == u16::MAX || usize::from(count) == found.len();
    (count_agrees && last as usize == last_at).then_some(found)
}

/// One entry, whose predecessor took `previous` bytes, and what follows it.
fn entry(bytes: &[u8], previous: usize) -> Option<(Vec<u8>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (claimed, rest) = match first {
        BIG_PREVIOUS => {
            let (size, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*size) as usize, rest)
        }
        END => return None,
        small => (usize::from(small), rest),
    };
    if claimed != previous {
        return None;
    }
    let (&encoding, rest) = rest.split_first()?;
    match encoding >> 6 {
        0 => string(rest, usize::from(encoding & 0x3f)),
        1 => {
            let (&low, rest) = rest.split_first()?;
            string(rest, usize::from(encoding & 0x3f) << 8 | usize::from(low))
        }
        2 => {
            let (size, rest) = rest.split_first_chunk::<4>()?;
            string(rest, u32::from_be_bytes(*size) as usize)
        }
        _ => {
            let (value, rest) = integer(encoding, rest)?;
            Some((value.to_string().into_bytes(), rest))
        }
    }
}

fn string(bytes: &[u8], len: usize) -> Option<(Vec<u8>, &[u8])> {
    let (text, rest) = bytes.split_at_checked(len)?;
    Some((text.to_vec(), rest))
}

fn integer(encoding: u8, bytes: &[u8]) -> Option<(i64, &[u8])> {
    let width = match encoding {
        0xc0 => 2,
        0xd0 => 4,
        0xe0 => 8,
        0xf0 => 3,
        0xfe => 1,
        0xf1..=0xfd => return Some((i64::from(encoding & 0x0f) - 1, bytes)),
        _ => return None,
    };
    let (number, rest) = bytes.split_at_checked(width)?;
    // Into the top bytes, then an arithmetic shift down: the sign comes along.
    let mut wide = [0; 8];
    wide[8 - width..].copy_from_slice(number);
    Some((i64::from_le_bytes(wide) >> (64 - 8 * width), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ziplist of entries given without their first field.
    fn build(entries: &[&[u8]]) -> Vec<u8> {
        let mut body = Vec::new();
        let (mut previous, mut last) = (0usize, HEADER);
        for entry in entries {
            let start = body.len();
            last = HEADER + start;
            if previous < 254 {
                body.push(previous as u8);
            } else {
                body.push(BIG_PREVIOUS);
                body.extend((previous as u32).to_le_bytes());
            }
            body.extend(*entry);
            previous = body.len() - start;
        }
        let mut bytes = ((HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        bytes.extend((last as u32).to_le_bytes());
        bytes.extend((entries.len() as u16).to_le_bytes());
        bytes.extend(body);
        bytes.push(END);
        bytes
    }

    #[test]
    fn every_encoding() {
        let long = [&[0x41, 0x2c][..], &[b'x'; 300]].concat();
        let longer = [&[0x80, 0, 0, 0, 2][..], b"yz"].concat();
        let check = |entry: &[u8], want: &[u8]| {
            let bytes = build(&[&long, entry, &[0x00]]);
            assert_eq!(elements(&bytes).unwrap(), [&[b'x'; 300][..], want, b""], "{entry:?}");
        };
        check(&[0x03, b'a', b'b', b'c'], b"abc");
        check(&longer, b"yz");
        check(&[0xc0, 0xfe, 0xff], b"-2");
        check(&[0xd0, 1, 0, 0, 0x80], b"-2147483647");
        check(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], b"-9223372036854775808");
        check(&[0xf0, 0xff, 0xff, 0xff], b"-1");
        check(&[0xf0, 0xff, 0xff, 0x7f], b"8388607");
        check(&[0xfe, 0x80], b"-128");
        check(&[0xf1], b"0");
        check(&[0xfd], b"12");
        assert_eq!(elements(&build(&[])).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn damage_is_noticed() {
        let good = build(&[&[0x03, b'a', b'b', b'c'], &[0xf5]]);
        for at in 0..good.len() {
            if (12..15).contains(&at) || at == good.len() - 2 {
                continue; // the elements' own bytes
            }
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(elements(&bad).is_err(), "byte {at}");
            assert!(elements(&good[..at]).is_err(), "cut at {at}");
        }
    }
}
