//! BITFIELD: integers of 1 to 64 bits at any bit of a string.

use super::{bit_offset, change_bytes};
use crate::commands::integer;
use crate::commands::string::string_bytes;
use crate::context::Cx;
use crate::events::Event;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::resp::Reply;

/// An integer's form.
#[derive(Clone, Copy, Debug)]
struct Type {
    signed: bool,
    /// 1 to 64, unsigned ones up to 63: what a reply can hold.
    width: u8,
}

impl Type {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        const REFUSED: CommandError = CommandError::Text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (first, number) = word.split_first().ok_or(REFUSED)?;
        let signed = match first {
            b'i' => true,
            b'u' => false,
            _ => return Err(REFUSED),
        };
        let widest = if signed { 64 } else { 63 };
        let width = integer(number).ok().filter(|width| (1..=widest).contains(width)).ok_or(REFUSED)?;
        Ok(Self { signed, width: width as u8 })
    }

    fn least(self) -> i128 {
        if self.signed { -(1 << (self.width - 1)) } else { 0 }
    }

    fn most(self) -> i128 {
        if self.signed { (1 << (self.width - 1)) - 1 } else { (1 << self.width) - 1 }
    }

    /// The number that a signed field is compared with. Redis's distance to the largest one overflows for numbers near
    /// the least of all, so these count as too large: SAT gives the upper limit.
    fn as_redis_sees(self, value: i64) -> i128 {
        let value = i128::from(value);
        if self.width < 64 && self.most() - value > i128::from(i64::MAX) { value + (1 << 64) } else { value }
    }

    /// The lower bits of any number, as this type reads them.
    fn wrap(self, value: i128) -> i64 {
        let unused = 128 - u32::from(self.width);
        let raised = value << unused;
        if self.signed { (raised >> unused) as i64 } else { (raised.cast_unsigned() >> unused) as i64 }
    }

    /// The number at a bit; bytes behind the end count as zero.
    fn read(self, bytes: &[u8], offset: u64) -> i64 {
        let at = (offset >> 3) as usize;
        let window =
            (0..9).fold(0u128, |sum, n| sum << 8 | u128::from(bytes.get(at + n).copied().unwrap_or(0)));
        // The window's 72 bits begin with the byte that holds the first bit.
        let behind = 72 - (offset & 7) as u32 - u32::from(self.width);
        self.wrap((window >> behind).cast_signed())
    }

    /// Writes the lower bits of a number at a bit; all of them lie inside.
    fn write(self, bytes: &mut [u8], offset: u64, value: i64) {
        let at = (offset >> 3) as usize;
        let behind = 72 - (offset & 7) as u32 - u32::from(self.width);
        let ones = (1u128 << self.width) - 1;
        let (mask, bits) = (ones << behind, (i128::from(value).cast_unsigned() & ones) << behind);
        for (n, byte) in bytes[at..].iter_mut().take(9).enumerate() {
            let shift = 8 * (8 - n);
            *byte = *byte & !((mask >> shift) as u8) | (bits >> shift) as u8;
        }
    }
}

/// What happens to a number that does not fit.
#[derive(Clone, Copy, Debug)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match word.to_ascii_uppercase().as_slice() {
            b"WRAP" => Ok(Self::Wrap),
            b"SAT" => Ok(Self::Saturate),
            b"FAIL" => Ok(Self::Fail),
            _ => Err("ERR Invalid OVERFLOW type specified".into()),
        }
    }

    /// What is stored for `exact`; `None`: nothing.
    fn fit(self, exact: i128, form: Type) -> Option<i64> {
        if (form.least()..=form.most()).contains(&exact) {
            return Some(exact as i64);
        }
        match self {
            Self::Wrap => Some(form.wrap(exact)),
            Self::Saturate => Some(if exact > form.most() { form.most() } else { form.least() } as i64),
            Self::Fail => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64, Overflow),
    Increase(i64, Overflow),
}

#[derive(Clone, Copy, Debug)]
struct Step {
    form: Type,
    offset: u64,
    action: Action,
}

impl Step {
    /// The new number, if it is to be written.
    fn written(&self, old: i64) -> Option<i64> {
        match self.action {
            Action::Get => None,
            // A negative number counts as its unsigned bits where the field is unsigned.
            Action::Set(value, overflow) if !self.form.signed => {
                overflow.fit(i128::from(value.cast_unsigned()), self.form)
            }
            Action::Set(value, overflow) => overflow.fit(self.form.as_redis_sees(value), self.form),
            Action::Increase(by, overflow) => overflow.fit(i128::from(old) + i128::from(by), self.form),
        }
    }
}

fn parse(cx: &Cx<'_>, args: &mut Args<'_>) -> Result<Vec<Step>, CommandError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    while args.left() > 0 {
        let word = args.next().to_ascii_uppercase();
        let needed = match word.as_slice() {
            b"GET" => 2,
            b"SET" | b"INCRBY" => 3,
            b"OVERFLOW" => 1,
            _ => return Err(CommandError::Syntax),
        };
        if args.left() < needed {
            return Err(CommandError::Syntax);
        }
        if word == b"OVERFLOW" {
            overflow = Overflow::parse(args.next())?;
            continue;
        }
        let form = Type::parse(args.next())?;
        let offset = bit_offset(cx, args.next(), Some(form.width))?;
        let action = match word.as_slice() {
            b"GET" => Action::Get,
            b"SET" => Action::Set(args.integer()?, overflow),
            _ => Action::Increase(args.integer()?, overflow),
        };
        steps.push(Step { form, offset, action });
    }
    Ok(steps)
}

/// Carries the steps out; replies one value each and gives the number of changes.
fn perform(reply: &mut Reply, steps: &[Step], bytes: &mut [u8]) -> u64 {
    let mut changes = 0;
    for step in steps {
        let old = step.form.read(bytes, step.offset);
        let new = step.written(old);
        match (step.action, new) {
            (Action::Get, _) => reply.integer(old),
            (_, None) => reply.null(),
            (Action::Set(..), Some(_)) => reply.integer(old),
            (Action::Increase(..), Some(new)) => reply.integer(new),
        }
        if let Some(new) = new {
            step.form.write(bytes, step.offset, new);
            changes += u64::from(new != old);
        }
    }
    changes
}

pub(super) fn bitfield(cx: &mut Cx<'_>, args: &mut Args<'_>, read_only: bool) -> CommandResult {
    let key = cx.key(args.next());
    let steps = parse(cx, args)?;
    let writes = steps.iter().filter(|step| !matches!(step.action, Action::Get));
    let last_written = writes.map(|step| step.offset + u64::from(step.form.width) - 1).max();
    let Some(last_written) = last_written else {
        let mut buffer = itoa::Buffer::new();
        let bytes = match cx.server.read(cx.db, key) {
            Some(entry) => string_bytes(entry.value(), &mut buffer)?,
            None => b"",
        };
        cx.reply.array(steps.len());
        steps.iter().for_each(|step| cx.reply.integer(step.form.read(bytes, step.offset)));
        return Ok(Outcome::Done);
    };
    if read_only {
        return Err("ERR BITFIELD_RO only supports the GET subcommand".into());
    }
    let empty = Reply::new(cx.reply.resp);
    let mut reply = std::mem::replace(&mut cx.reply, empty);
    reply.array(steps.len());
    let result =
        change_bytes(cx, key, (last_written >> 3) as usize + 1, |bytes| perform(&mut reply, &steps, bytes));
    cx.reply = reply;
    let (changes, grew) = result?;
    if changes > 0 || grew {
        cx.changed_by(changes.max(1), key, Event::SETBIT);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_width_are_read_as_written() {
        for signed in [false, true] {
            for width in 1..=if signed { 64 } else { 63 } {
                let form = Type { signed, width };
                for offset in 0..16 {
                    for value in [form.least(), form.most(), 0, 1 & form.most()] {
                        let mut bytes = vec![0b1010_0101; 10];
                        form.write(&mut bytes, offset, value as i64);
                        assert_eq!(i128::from(form.read(&bytes, offset)), value, "{form:?} at {offset}");
                        let end = offset + u64::from(width);
                        let one = Type { signed: false, width: 1 };
                        for bit in (0..offset).chain(end..80) {
                            let untouched = i64::from(0b1010_0101 >> (7 - bit % 8) & 1);
                            assert_eq!(one.read(&bytes, bit), untouched, "{form:?} at {offset}, bit {bit}");
                        }
                    }
                }
            }
        }
    }

    /// What is stored for a number that may not fit: wrapped, at the limit, or nothing.
    fn check(form: &str, exact: i128, expected: [Option<i64>; 3]) {
        let form = Type::parse(form.as_bytes()).expect("a type");
        let got = [Overflow::Wrap, Overflow::Saturate, Overflow::Fail].map(|how| how.fit(exact, form));
        assert_eq!(got, expected, "{form:?} {exact}");
    }

    #[test]
    fn numbers_that_do_not_fit() {
        check("u8", 255, [Some(255); 3]);
        check("u8", 257, [Some(1), Some(255), None]);
        check("u8", -1, [Some(255), Some(0), None]);
        check("i8", 128, [Some(-128), Some(127), None]);
        check("i8", -129, [Some(127), Some(-128), None]);
        check("i64", 1 << 63, [Some(i64::MIN), Some(i64::MAX), None]);
        check("u63", 1 << 63, [Some(0), Some(i64::MAX), None]);
        check("i1", 1, [Some(-1), Some(0), None]);
    }

    #[test]
    fn the_least_number_counts_as_too_large() {
        let step = |action| Step { form: Type { signed: true, width: 8 }, offset: 0, action };
        let written = |how| step(Action::Set(i64::MIN, how)).written(0);
        assert_eq!(written(Overflow::Saturate), Some(127));
        assert_eq!(written(Overflow::Wrap), Some(0));
    }

    #[test]
    fn widths_have_limits() {
        for word in ["", "i", "u0", "u64", "i65", "x8", "i-1", "I8"] {
            assert!(Type::parse(word.as_bytes()).is_err(), "{word}");
        }
    }
}
