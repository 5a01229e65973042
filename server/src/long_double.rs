//! The 80-bit floats that INCRBYFLOAT and HINCRBYFLOAT compute with.
//!
//! Redis adds in the x87 `long double` of its C compiler and prints with `%.17Lf`, zeros at the end cut off. Results
//! are stored, so they have to agree digit for digit; an `f64` would show 0.30000000000000004.

use rustc_apfloat::Float;
use rustc_apfloat::Round;
use rustc_apfloat::ieee::X87DoubleExtended;
use std::fmt;
use std::ops::{Add, Sub};

/// Decimals printed.
const DECIMALS: usize = 17;
/// 10^17.
const SCALE: u128 = 100_000_000_000_000_000;
/// Longest text that Redis reads as a long double, bytes.
const MAX_TEXT: usize = 5 * 1024;

/// An x87 extended-precision number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// 0
    pub const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Reads what C's `strtold` reads, whole, without leading space; no NaN, nothing out of range.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let lower = digits.to_ascii_lowercase();
        let value = if matches!(lower.as_str(), "inf" | "infinity") {
            X87DoubleExtended::INFINITY
        } else {
            if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                return None;
            }
            // C would stop before a lone `e` or `p`, and the rest would count as garbage.
            let is_hex = lower.starts_with("0x");
            let ends_well = |b: u8| b.is_ascii_digit() || b == b'.' || is_hex && b.is_ascii_hexdigit();
            if !lower.bytes().last().is_some_and(ends_well) {
                return None;
            }
            // A hexadecimal number may lack its exponent in C.
            let whole = if lower.starts_with("0x") && !lower.contains('p') { lower + "p0" } else { lower };
            let parsed = X87DoubleExtended::from_str_r(&whole, Round::NearestTiesToEven).ok()?;
            // What is too small for the type is out of range, unlike a zero, whatever its exponent.
            let mantissa = whole.strip_prefix("0x").unwrap_or(&whole);
            let mantissa = mantissa.split(if is_hex { 'p' } else { 'e' }).next().unwrap_or_default();
            let is_zero = mantissa.bytes().all(|b| matches!(b, b'0' | b'.'));
            if parsed.value.is_infinite() || parsed.value.is_zero() != is_zero {
                return None;
            }
            parsed.value
        };
        Some(Self(if negative { -value } else { value }))
    }

    /// The most negative and the largest finite number, C's `LDBL_MAX`.
    pub fn limits() -> (Self, Self) {
        let largest = X87DoubleExtended::largest();
        (Self(-largest), Self(largest))
    }

    /// Neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }
}

impl Add for LongDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self((self.0 + other.0).value)
    }
}

impl Sub for LongDouble {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self((self.0 - other.0).value)
    }
}

impl fmt::Display for LongDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.to_bits();
        let mantissa = bits as u64;
        // The value is mantissa × 2^exponent.
        let exponent = ((bits >> 64) as i32 & 0x7FFF).max(1) - 16383 - 63;
        let (mut whole, mut decimals) = (shift_left(mantissa, exponent.max(0) as u32), 0);
        if exponent < 0 {
            let shift = exponent.unsigned_abs();
            let integral = mantissa.checked_shr(shift).unwrap_or(0);
            let fraction = if shift < 64 { mantissa & ((1 << shift) - 1) } else { mantissa };
            decimals = round_shift(u128::from(fraction) * SCALE, shift);
            let carry = u64::from(decimals == SCALE);
            decimals %= SCALE;
            whole = (u128::from(integral) + u128::from(carry)).to_string();
        }
        let mut text = whole;
        if decimals > 0 {
            text = format!("{text}.{decimals:0DECIMALS$}").trim_end_matches('0').to_owned();
        }
        if self.0.is_negative() && text != "0" {
            f.write_str("-")?;
        }
        f.write_str(&text)
    }
}

/// `value / 2^shift`, rounded to the nearest integer, ties to even; `value` is below 2^121.
fn round_shift(value: u128, shift: u32) -> u128 {
    if shift > 122 {
        return 0;
    }
    let (quotient, rest, half) = (value >> shift, value & ((1 << shift) - 1), 1u128 << (shift - 1));
    quotient + u128::from(rest > half || rest == half && quotient & 1 == 1)
}

/// Decimal digits of `value × 2^shift`.
fn shift_left(value: u64, shift: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = vec![value % BASE, value / BASE % BASE, value / BASE / BASE];
    let mut left = shift;
    while left > 0 {
        let step = left.min(29);
        let mut carry = 0;
        for limb in &mut limbs {
            let product = (*limb << step) + carry;
            *limb = product % BASE;
            carry = product / BASE;
        }
        while carry > 0 {
            limbs.push(carry % BASE);
            carry /= BASE;
        }
        left -= step;
    }
    let digits: String = limbs.iter().rev().map(|limb| format!("{limb:09}")).collect();
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &str, b: &str, expected: &str) {
        let sum = LongDouble::parse(a.as_bytes()).unwrap() + LongDouble::parse(b.as_bytes()).unwrap();
        assert_eq!(sum.to_string(), expected, "{a} + {b}");
    }

    #[test]
    fn sums_as_redis_prints_them() {
        // Each line was recorded from redis-server 7.0.15.
        check("0.1", "0.2", "0.3");
        check("10.5", "0.1", "10.6");
        check("5.0e3", "2.0e2", "5200");
        check("3", "-3", "0");
        check("1.5", "-3", "-1.5");
        check("1", "0x10", "17");
        check("17179869184", "1.5", "17179869185.5");
        check("1e20", "1", "100000000000000000000");
        check("1e30", "0", "1000000000000000000024696061952");
        check("0.00000000000000001", "0", "0.00000000000000001");
        check("0.000000000000000001", "0", "0");
        check(".5", "1.", "1.5");
        check("3.0000000000000000001", "0", "3");
        check(".0e6", "0x0.0p7", "0");
        check("0e-7", "1", "1");
    }

    #[test]
    fn texts_that_are_no_number() {
        for text in ["", " 1", "1 ", "abc", "1a", "--1", "nan", "1e5000", "0x", "1e"] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(!LongDouble::parse(b"inf").unwrap().is_finite());
    }
}
