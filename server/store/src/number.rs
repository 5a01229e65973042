//! Integers as Redis reads and writes them in values: one canonical spelling per number, so that a string which
//! looks like an integer can be kept as one and still be returned byte for byte.

/// The longest canonical spelling, that of `i64::MIN`.
const LONGEST: usize = 20;

/// Parses the canonical decimal spelling of an `i64`: no sign but one leading `-`, no leading zeros, no `-0`, no
/// space. Everything else is `None`, also numbers out of range.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let (negative, digits) = match text[0] {
        b'-' => (true, &text[1..]),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Writes `value` in its canonical spelling into `buffer` and returns the part that was written.
#[inline]
pub fn format_i64(value: i64, buffer: &mut itoa::Buffer) -> &[u8] {
    buffer.format(value).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(parse_i64(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn only_canonical_spellings_are_integers() {
        check("0", Some(0));
        check("7", Some(7));
        check("-1", Some(-1));
        check("1234567890", Some(1_234_567_890));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        check("9223372036854775808", None);
        check("-9223372036854775809", None);
        check("99999999999999999999", None);
        check("", None);
        check("-", None);
        check("-0", None);
        check("00", None);
        check("01", None);
        check("+1", None);
        check(" 1", None);
        check("1 ", None);
        check("1a", None);
        check("--1", None);
    }

    #[test]
    fn numbers_survive_a_round_trip() {
        for value in [0, 1, -1, 10, 99, 100, i64::MAX, i64::MIN, 1 << 40] {
            assert_eq!(parse_i64(format_i64(value, &mut itoa::Buffer::new())), Some(value));
        }
    }
}
