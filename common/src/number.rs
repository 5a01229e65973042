//! Numbers as Redis reads them.
//!
//! The standard library's parsers accept `+5`, `007` and `-0`, which Redis refuses wherever a value could be stored
//! as an integer, and refuse hexadecimal floats, which Redis accepts. These functions follow Redis to the letter,
//! because clients see the difference: `INCR` on `"007"` is an error, `OBJECT ENCODING` of `"+5"` is not `int`.
//!
//! Everything here is a pure function over bytes that came from a client or a file: nothing panics or allocates.

/// Longest canonical text of an `i64`, bytes (`-9223372036854775808`).
const I64_TEXT_MAX: usize = 20;

/// Why a memory amount such as `64mb` could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Not digits followed by one of the known units.
    #[error("argument must be a memory value")]
    Syntax,
    /// More bytes than a `u64` can count.
    #[error("argument must be a memory value")]
    Overflow,
}

/// Reads a canonical decimal integer: the exact text that printing the number would give.
///
/// `None` for an empty text, a `+`, a leading zero, `-0`, spaces, or a number outside `i64`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.len() > I64_TEXT_MAX {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // 19 digits always fit a u64, 20 (only possible without a sign) can overflow it.
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

/// Reads an unsigned decimal integer the lenient way that stream ids and unsigned directives are read: leading
/// white space, one `+` and leading zeros are accepted, since Redis falls back on C's `strtoull` there.
///
/// `None` for an empty text, anything after the digits, or a number outside `u64`. Unlike `strtoull` a negative
/// number never wraps round.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Reads a double as `ZADD`, `INCRBYFLOAT`-like options and sorted-set ranges do: decimal with optional exponent,
/// C's hexadecimal form, and `inf` or `infinity` in any case with an optional sign.
///
/// `None` for an empty text, white space around the number, `nan`, and numbers that overflow to infinity or
/// underflow to zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = match body {
        [b'0', b'x' | b'X', hex @ ..] => parse_hex_f64(hex)?,
        [b'0'..=b'9' | b'.', ..] => parse_decimal_f64(body)?,
        _ if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") => f64::INFINITY,
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// A number as C's `%.17g` spells it: 17 significant digits, less the zeros at the end.
pub fn format_17g(value: f64) -> String {
    format_g(value, 17)
}

/// Formats a value as C's `%.*g` does with this precision, which is at least 1.
pub fn format_g(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return (if value.is_sign_negative() { "-nan" } else { "nan" }).to_owned();
    }
    if value.is_infinite() {
        return (if value > 0.0 { "inf" } else { "-inf" }).to_owned();
    }
    let last = precision as i32 - 1; // the place of the last digit, counted from the first
    let scientific = format!("{value:.*e}", last as usize);
    let (mantissa, exponent) = scientific.split_once('e').expect("that format has an exponent");
    let exponent: i32 = exponent.parse().expect("digits");
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..=last).contains(&exponent) {
        return without_zeros(&format!("{value:.*}", (last - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
}

/// Unsigned decimal, already known to begin with a digit or a dot.
fn parse_decimal_f64(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let mantissa = text.split(|b| matches!(b, b'e' | b'E')).next().unwrap_or(text);
    let underflowed = value == 0.0 && mantissa.iter().any(|b| matches!(b, b'1'..=b'9'));
    (value.is_finite() && !underflowed).then_some(value)
}

/// What follows `0x`: hexadecimal digits with at most one dot, then optionally `p` and a decimal exponent of two.
fn parse_hex_f64(text: &[u8]) -> Option<f64> {
    let mut mantissa: u64 = 0; // the leading digits, until 60 bits are in use
    let mut sticky = false; // something non-zero lies below the mantissa
    let mut exponent: i64 = 0; // of two, by which the mantissa is scaled
    let (mut digits, mut seen_dot, mut at) = (0usize, false, 0usize);
    while let Some(&byte) = text.get(at) {
        if byte == b'.' && !seen_dot {
            seen_dot = true;
        } else if let Some(digit) = char::from(byte).to_digit(16) {
            digits += 1;
            if mantissa >> 56 == 0 {
                mantissa = mantissa << 4 | u64::from(digit);
                exponent -= if seen_dot { 4 } else { 0 };
            } else {
                sticky |= digit != 0;
                exponent += if seen_dot { 0 } else { 4 };
            }
        } else {
            break;
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    exponent = exponent.saturating_add(binary_exponent(&text[at..])?);
    if mantissa == 0 {
        return Some(0.0);
    }
    let value = scale_by_two(mantissa | u64::from(sticky), exponent);
    (value.is_finite() && value != 0.0).then_some(value)
}

/// The part after the hexadecimal digits: nothing, or `p` with a decimal exponent (clamped, far beyond any double).
fn binary_exponent(text: &[u8]) -> Option<i64> {
    let [b'p' | b'P', rest @ ..] = text else { return text.is_empty().then_some(0) };
    let (negative, digits) = match rest {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i64, |n, b| (n * 10 + i64::from(b - b'0')).min(1 << 40));
    Some(if negative { -size } else { size })
}

/// `mantissa * 2^exponent`, rounded once to the nearest even double.
///
/// The lowest bit of the mantissa may be a sticky bit, so the rounding is done on the integer: a `u64 as f64`
/// followed by a scaling would round twice for subnormal results.
fn scale_by_two(mantissa: u64, exponent: i64) -> f64 {
    let top = 63 - i64::from(mantissa.leading_zeros());
    // Exponent of the last bit that the result can hold: 52 below the leading one, but never below 2^-1074.
    let last = (top + exponent - 52).max(-1074);
    let drop = last - exponent;
    if drop <= 0 {
        // At most 53 significant bits: exact; what is too big becomes infinite on the way.
        return power_of_two_product(mantissa as f64, exponent);
    }
    if drop > 63 {
        return 0.0;
    }
    let (kept, rest, half) = (mantissa >> drop, mantissa & ((1 << drop) - 1), 1u64 << (drop - 1));
    let rounded = kept + u64::from(rest > half || (rest == half && kept & 1 == 1));
    power_of_two_product(rounded as f64, last)
}

/// `value * 2^exponent` by exact steps; the caller made sure that the result needs no rounding.
fn power_of_two_product(mut value: f64, exponent: i64) -> f64 {
    let mut left = exponent.clamp(-2200, 2200);
    while left != 0 && value != 0.0 && value.is_finite() {
        let step = left.clamp(-512, 512);
        value *= f64::from_bits(((1023 + step) as u64) << 52);
        left -= step;
    }
    value
}

/// Reads a memory amount in bytes: digits and one of `b`, `k`, `m`, `g` (powers of 1000) or `kb`, `mb`, `gb`
/// (powers of 1024), in any case. No digits at all count as zero, as in Redis.
pub fn parse_memory(text: &str) -> Result<u64, MemoryError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return Err(MemoryError::Syntax),
    };
    let amount = if number.is_empty() { 0 } else { number.parse().map_err(|_| MemoryError::Overflow)? };
    scale.checked_mul(amount).ok_or(MemoryError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventeen_digits() {
        let check = |value: f64, expected: &str| assert_eq!(format_17g(value), expected);
        check(0.1, "0.10000000000000001");
        check(-0.0, "-0");
        check(3.0, "3");
        check(1e16, "10000000000000000");
        check(1e17, "1e+17");
        check(1.5e-5, "1.5e-05");
        check(123456789.125, "123456789.125");
        check(f64::NEG_INFINITY, "-inf");
        check(1.0 / 3.0, "0.33333333333333331");
        check(2e-300, "2.0000000000000001e-300");
    }

    #[test]
    fn integers_are_canonical() {
        let check = |text: &str, want: Option<i64>| assert_eq!(parse_i64(text.as_bytes()), want, "{text:?}");
        check("0", Some(0));
        check("7", Some(7));
        check("-7", Some(-7));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        check("9223372036854775808", None);
        check("-9223372036854775809", None);
        check("18446744073709551616", None);
        check("99999999999999999999", None);
        check("100000000000000000000", None);
        for text in ["", "-", "+5", "007", "-0", "-01", " 1", "1 ", "1a", "a", "--1", "1.0", "0x1"] {
            check(text, None);
        }
    }

    #[test]
    fn every_printed_integer_is_read_back() {
        let mut value: i64 = 1;
        for _ in 0..1000 {
            for n in [value, -value, value / 1000] {
                assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
            }
            value = value.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        }
    }

    #[test]
    fn unsigned_integers_are_lenient() {
        let check = |text: &str, want: Option<u64>| assert_eq!(parse_u64(text.as_bytes()), want, "{text:?}");
        check("0", Some(0));
        check("007", Some(7));
        check(" +7", Some(7));
        check("18446744073709551615", Some(u64::MAX));
        for text in ["18446744073709551616", "", "+", "-1", "1 ", "++1", "a"] {
            check(text, None);
        }
    }

    #[test]
    fn doubles() {
        let check = |text: &str, want: Option<f64>| {
            assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), want.map(f64::to_bits), "{text:?}");
        };
        check("3", Some(3.0));
        check("+3.25", Some(3.25));
        check("-.5", Some(-0.5));
        check("5.", Some(5.0));
        check("-0", Some(-0.0));
        check("1e3", Some(1000.0));
        check("0e999", Some(0.0));
        check("inf", Some(f64::INFINITY));
        check("-Infinity", Some(f64::NEG_INFINITY));
        check("1e308", Some(1e308));
        check("5e-324", Some(5e-324));
        for text in ["", " 1", "1 ", "nan", "-nan", "1e400", "1e-400", ".", "e5", "1e", "1_0", "infin", "--1"]
        {
            check(text, None);
        }
    }

    #[test]
    fn hexadecimal_doubles() {
        let check = |text: &str, want: Option<f64>| {
            assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), want.map(f64::to_bits), "{text:?}");
        };
        check("0x10", Some(16.0));
        check("-0X1.8p1", Some(-3.0));
        check("0x.8", Some(0.5));
        check("0x1p-1074", Some(5e-324));
        check("0x1.fffffffffffff8p0", Some(2.0)); // a tie goes to even
        check("0x1.fffffffffffff7p0", Some(1.9999999999999998));
        check("0x1.00000000000008p0", Some(1.0));
        check("0x1.0000000000000800000000000000001p0", Some(1.0000000000000002)); // sticky bit
        check("0x1.fffffffffffffp1023", Some(f64::MAX));
        check("0x0p99999999999999999999", Some(0.0));
        check("0x1p1024", None);
        check("0x1p-1076", None);
        for text in ["0x", "0x.", "0xg", "0x1p", "0x1p+", "0x1.2.3", "0x1 "] {
            check(text, None);
        }
    }

    #[test]
    fn memory_amounts() {
        let check =
            |text: &str, want: Result<u64, MemoryError>| assert_eq!(parse_memory(text), want, "{text:?}");
        check("0", Ok(0));
        check("100", Ok(100));
        check("7B", Ok(7));
        check("1k", Ok(1000));
        check("1kb", Ok(1024));
        check("2M", Ok(2_000_000));
        check("2Mb", Ok(2 << 20));
        check("3g", Ok(3_000_000_000));
        check("3GB", Ok(3 << 30));
        check("", Ok(0));
        check("kb", Ok(0));
        check("18446744073709551615", Ok(u64::MAX));
        check("18446744073709551616", Err(MemoryError::Overflow));
        check("18014398509481984kb", Err(MemoryError::Overflow));
        for text in ["-1", "1tb", "1 kb", "1.5gb", "1kbs", "x"] {
            check(text, Err(MemoryError::Syntax));
        }
    }

    #[test]
    fn numbers_as_c_prints_them() {
        let check = |number: f64, precision: usize, text: &str| assert_eq!(format_g(number, precision), text);
        check(1.0, 17, "1");
        check(1.5, 17, "1.5");
        check(0.1, 17, "0.10000000000000001");
        check(0.1, 14, "0.1");
        check(-0.0, 17, "-0");
        check(1e16, 17, "10000000000000000");
        check(1e17, 17, "1e+17");
        check(1e14, 14, "1e+14");
        check(1.25e-5, 17, "1.2500000000000001e-05");
        check(0.0001, 17, "0.0001");
        check(123456.7, 3, "1.23e+05");
        check(9.99, 1, "1e+01");
        check(f64::INFINITY, 17, "inf");
        check(123456789012345678.0, 17, "1.2345678901234568e+17");
    }
}
