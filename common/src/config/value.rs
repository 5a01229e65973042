//! Kinds of directive values: how each is read, checked and printed, with Redis's error texts.
//!
//! The texts complete `CONFIG SET failed (possibly related to argument '...') - ` and the last line of a fatal
//! configuration error; clients and the upstream test-suite match them.

use crate::number::{MemoryError, parse_i64, parse_memory};

/// Reads `yes` or `no` in any case.
pub fn parse_bool(text: &[u8]) -> Result<bool, String> {
    if text.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if text.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".to_owned())
    }
}

/// `yes` or `no`.
pub fn print_bool(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// How the text of a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A canonical decimal integer; what it counts is the directive's business.
    Plain,
    /// Bytes, with `kb`, `mb` and the like; printed as plain bytes.
    Memory,
    /// Bytes, or a percentage, which is kept as a negative number.
    MemoryOrPercent,
    /// File permissions.
    Octal,
}

impl Unit {
    /// Whether it counts bytes.
    pub fn is_memory(self) -> bool {
        matches!(self, Unit::Memory | Unit::MemoryOrPercent)
    }
}

/// A number's unit and the values that it may take, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Smallest value; for a percentage, minus the largest.
    pub min: i128,
    /// Largest value.
    pub max: i128,
    /// How it is written.
    pub unit: Unit,
}

impl Range {
    /// Reads a number and checks that it lies within the range.
    pub fn parse(&self, text: &[u8]) -> Result<i128, String> {
        let value = self.parse_unit(text)?;
        self.check(value)?;
        Ok(value)
    }

    fn parse_unit(&self, text: &[u8]) -> Result<i128, String> {
        let (value, problem) = match self.unit {
            Unit::Plain => (parse_i64(text).map(i128::from), "argument couldn't be parsed into an integer"),
            Unit::Memory => (memory(text), "argument must be a memory value"),
            Unit::MemoryOrPercent => {
                (memory(text).or_else(|| percent(text)), "argument must be a memory or percent value")
            }
            Unit::Octal => (octal(text), "argument couldn't be parsed as an octal number"),
        };
        value.ok_or_else(|| problem.to_owned())
    }

    fn check(&self, value: i128) -> Result<(), String> {
        if self.unit == Unit::MemoryOrPercent && value < 0 {
            return match value >= self.min {
                true => Ok(()),
                false => Err(format!("percentage argument must be less or equal to {}", -self.min)),
            };
        }
        if (self.min..=self.max).contains(&value) {
            return Ok(());
        }
        Err(match self.unit {
            Unit::Octal => format!("argument must be between {:o} and {:o} inclusive", self.min, self.max),
            _ => format!("argument must be between {} and {} inclusive", self.min, self.max),
        })
    }

    /// The text that `CONFIG GET` shows for `value`.
    pub fn print(&self, value: i128) -> String {
        match self.unit {
            Unit::Octal => format!("{value:o}"),
            Unit::MemoryOrPercent if value < 0 => format!("{}%", -value),
            _ => value.to_string(),
        }
    }
}

fn memory(text: &[u8]) -> Option<i128> {
    match parse_memory(std::str::from_utf8(text).ok()?) {
        Ok(amount) => Some(i128::from(amount)),
        // Redis reads it as the largest amount there is, and then complains about the range.
        Err(MemoryError::Overflow) => Some(i128::from(u64::MAX)),
        Err(MemoryError::Syntax) => None,
    }
}

fn percent(text: &[u8]) -> Option<i128> {
    let share = parse_i64(text.strip_suffix(b"%")?)?;
    (share >= 0).then(|| -i128::from(share))
}

fn octal(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok().map(i128::from) }
}

/// Names of an enumeration with their values, in the order in which they are printed and listed in errors.
pub type Choices = &'static [(&'static str, u32)];

/// Reads one name, or with `many` any number of names whose values are bits.
pub fn parse_choice(choices: Choices, args: &[Vec<u8>], many: bool) -> Result<u32, String> {
    let fitting = !args.is_empty() && (many || args.len() == 1);
    let bits = args.iter().try_fold(0, |bits, arg| {
        let (_, value) = choices.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(arg))?;
        Some(bits | value)
    });
    bits.filter(|_| fitting).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("argument(s) must be one of the following: {}", names.join(", "))
    })
}

/// The name of `value`; with `many` the names of its bits, separated by spaces.
pub fn print_choice(choices: Choices, value: u32, many: bool) -> String {
    if let Some((name, _)) = choices.iter().find(|(_, v)| *v == value) {
        return (*name).to_owned();
    }
    let names = choices.iter().filter(|(_, v)| many && *v != 0 && value & v == *v);
    names.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_complaints() {
        let check = |min, max, unit, text: &str, want: Result<i128, &str>| {
            let got = Range { min, max, unit }.parse(text.as_bytes());
            assert_eq!(got, want.map_err(str::to_owned), "{text:?}");
        };
        check(0, 65535, Unit::Plain, "6379", Ok(6379));
        check(0, 65535, Unit::Plain, "65536", Err("argument must be between 0 and 65535 inclusive"));
        check(0, 65535, Unit::Plain, "1k", Err("argument couldn't be parsed into an integer"));
        check(1, 1 << 40, Unit::Memory, "1mb", Ok(1 << 20));
        check(1, 1 << 40, Unit::Memory, "1x", Err("argument must be a memory value"));
        check(-100, 1 << 40, Unit::MemoryOrPercent, "5%", Ok(-5));
        check(
            -100,
            1 << 40,
            Unit::MemoryOrPercent,
            "101%",
            Err("percentage argument must be less or equal to 100"),
        );
        check(-100, 9, Unit::MemoryOrPercent, "-5", Err("argument must be a memory or percent value"));
        check(0, 0o777, Unit::Octal, "700", Ok(0o700));
        check(0, 0o777, Unit::Octal, "1000", Err("argument must be between 0 and 777 inclusive"));
        check(0, 0o777, Unit::Octal, "9", Err("argument couldn't be parsed as an octal number"));
    }

    #[test]
    fn choices() {
        const SIGNAL: Choices = &[("default", 0), ("save", 2), ("nosave", 1), ("now", 4)];
        let check = |args: &[&str], many, want: Option<&str>| {
            let args: Vec<Vec<u8>> = args.iter().map(|a| a.as_bytes().to_vec()).collect();
            let got = parse_choice(SIGNAL, &args, many).ok().map(|bits| print_choice(SIGNAL, bits, many));
            assert_eq!(got.as_deref(), want, "{args:?}");
        };
        check(&["default"], false, Some("default"));
        check(&["NOW", "save"], true, Some("save now"));
        check(&["now", "save"], false, None);
        check(&[], true, None);
        check(&["x"], true, None);
        assert_eq!(
            parse_choice(SIGNAL, &[], true).unwrap_err(),
            "argument(s) must be one of the following: default, save, nosave, now"
        );
    }
}
