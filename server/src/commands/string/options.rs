//! What SET, GETEX, MSETEX and INCREX let a client say: when to write, and how long the key shall live.

use super::string_bytes;
use crate::commands::integer;
use crate::context::Cx;
use common::command::{Args, CommandError};
use store::{Expire, Value};
use xxhash_rust::xxh3::xxh3_64;

/// Hexadecimal digits of a digest.
const DIGEST_LEN: usize = 16;

/// What must hold for a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    Always,
    /// NX
    IfMissing,
    /// XX
    IfExists,
    /// IFEQ and IFNE: the value is, or is not, these bytes.
    Value(&'a [u8], bool),
    /// IFDEQ and IFDNE: the value's digest is, or is not, this one.
    Digest(&'a [u8], bool),
}

impl<'a> Condition<'a> {
    /// Takes IFEQ and its like, with its word.
    pub(super) fn take(args: &mut Args<'a>) -> Option<Self> {
        if args.left() < 2 {
            None
        } else if args.take("IFEQ") {
            Some(Self::Value(args.next(), true))
        } else if args.take("IFNE") {
            Some(Self::Value(args.next(), false))
        } else if args.take("IFDEQ") {
            Some(Self::Digest(args.next(), true))
        } else if args.take("IFDNE") {
            Some(Self::Digest(args.next(), false))
        } else {
            None
        }
    }

    /// Whether it holds for a key with this value; a missing key differs from every value.
    pub(super) fn holds(self, value: Option<Value<'_>>) -> Result<bool, CommandError> {
        let mut buffer = itoa::Buffer::new();
        let (wanted, equal, is_digest) = match self {
            Self::Always => return Ok(true),
            Self::IfMissing => return Ok(value.is_none()),
            Self::IfExists => return Ok(value.is_some()),
            Self::Value(wanted, equal) => (wanted, equal, false),
            Self::Digest(wanted, equal) => (wanted, equal, true),
        };
        let Some(value) = value else { return Ok(!equal) };
        let bytes = string_bytes(value, &mut buffer)?;
        if !is_digest {
            return Ok((bytes == wanted) == equal);
        }
        if wanted.len() != DIGEST_LEN {
            return Err("ERR must be exactly 16 hexadecimal characters".into());
        }
        Ok(digest(bytes).as_bytes().eq_ignore_ascii_case(wanted) == equal)
    }

    /// Whether a value is compared, so that the key must hold a string.
    pub(super) fn compares(self) -> bool {
        matches!(self, Self::Value(..) | Self::Digest(..))
    }
}

/// The digest of a string: its XXH3 hash in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("{:0DIGEST_LEN$x}", xxh3_64(bytes))
}

/// What shall become of the key's expiry. The number is judged when all options were read, so that a syntax error
/// behind it is found first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ttl<'a> {
    Unsaid,
    /// KEEPTTL
    Keep,
    /// PERSIST
    Persist,
    /// EX, PX, EXAT, PXAT: the unit in milliseconds, whether it counts from 1970, and the number.
    Set(i64, bool, &'a [u8]),
}

impl<'a> Ttl<'a> {
    /// Takes EX, PX, EXAT or PXAT with its number. As in Redis a repeated word replaces its number; two different ones
    /// contradict each other.
    pub(super) fn take(&mut self, args: &mut Args<'a>) -> bool {
        const UNITS: [(&str, i64, bool); 4] =
            [("EX", 1000, false), ("PX", 1, false), ("EXAT", 1000, true), ("PXAT", 1, true)];
        if args.left() < 2 {
            return false;
        }
        let fits = |unit: i64, absolute: bool| match *self {
            Self::Unsaid => true,
            Self::Set(before, from_1970, _) => (before, from_1970) == (unit, absolute),
            Self::Keep | Self::Persist => false,
        };
        let found = UNITS.iter().find(|(name, unit, absolute)| fits(*unit, *absolute) && args.take(name));
        if let Some((_, unit, absolute)) = found {
            *self = Self::Set(*unit, *absolute, args.next());
        }
        found.is_some()
    }

    /// Takes a word that stands alone, KEEPTTL or PERSIST.
    pub(super) fn take_word(&mut self, args: &mut Args<'a>, name: &str, meaning: Self) -> bool {
        let takes = (*self == Self::Unsaid || *self == meaning) && args.take(name);
        if takes {
            *self = meaning;
        }
        takes
    }

    /// What it means for a key that is written now.
    pub(super) fn expire(self, cx: &Cx<'_>, command: &str) -> Result<Expire, CommandError> {
        Ok(match self {
            Self::Unsaid | Self::Persist => Expire::None,
            Self::Keep => Expire::Keep,
            Self::Set(unit_ms, absolute, word) => Expire::At(expiry(cx, word, unit_ms, absolute, command)?),
        })
    }
}

/// When something expires, Unix ms.
pub(super) fn expiry(
    cx: &Cx<'_>,
    word: &[u8],
    unit_ms: i64,
    absolute: bool,
    command: &str,
) -> Result<i64, CommandError> {
    let invalid = || CommandError::Message(format!("ERR invalid expire time in '{command}' command"));
    let number = integer(word)?;
    if number <= 0 {
        return Err(invalid());
    }
    let ms = number.checked_mul(unit_ms).ok_or_else(invalid)?;
    if absolute { Ok(ms) } else { ms.checked_add(cx.server.time.now_ms()).ok_or_else(invalid) }
}

/// Options behind what is written, of SET and MSETEX.
pub(super) struct WriteOptions<'a> {
    pub(super) condition: Condition<'a>,
    pub(super) get: bool,
    pub(super) ttl: Ttl<'a>,
}

impl<'a> WriteOptions<'a> {
    /// Reads all words left; `of_set` allows what only SET knows.
    pub(super) fn parse(args: &mut Args<'a>, of_set: bool) -> Result<Self, CommandError> {
        let mut options = Self { condition: Condition::Always, get: false, ttl: Ttl::Unsaid };
        while args.left() > 0 {
            let condition = options.condition;
            let free = condition == Condition::Always;
            if (free || condition == Condition::IfMissing) && args.take("NX") {
                options.condition = Condition::IfMissing;
            } else if (free || condition == Condition::IfExists) && args.take("XX") {
                options.condition = Condition::IfExists;
            } else if of_set && args.take("GET") {
                options.get = true;
            } else if options.ttl.take_word(args, "KEEPTTL", Ttl::Keep) || options.ttl.take(args) {
            } else if of_set
                && free
                && let Some(condition) = Condition::take(args)
            {
                options.condition = condition;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_documentation() {
        assert_eq!(digest(b"Hello world"), "b6acb9d84a38ff74");
        // A hash with zeros in front keeps them.
        let text =
            b"v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd";
        assert_eq!(digest(text), "00006c38adf31777");
    }

    #[test]
    fn conditions_hold_for_values() {
        let value = |text: &'static [u8]| Some(Value::Bytes(text));
        let check = |condition: Condition<'_>, value: Option<Value<'_>>, expected: bool| {
            assert_eq!(condition.holds(value), Ok(expected));
        };
        check(Condition::IfMissing, None, true);
        check(Condition::IfExists, None, false);
        check(Condition::Value(b"a", true), value(b"a"), true);
        check(Condition::Value(b"a", true), None, false);
        check(Condition::Value(b"a", false), None, true);
        check(Condition::Value(b"12", true), Some(Value::Int(12)), true);
        check(Condition::Digest(b"B6ACB9D84A38FF74", true), value(b"Hello world"), true);
        check(Condition::Digest(b"b6acb9d84a38ff74", false), value(b"Hello world"), false);
        check(Condition::Digest(b"b6acb9d84a38ff75", false), value(b"Hello world"), true);
        assert!(Condition::Digest(b"b6ac", true).holds(value(b"x")).is_err());
    }
}
