//! `struct`: values packed into bytes as a C compiler would lay them out, told by a format.
//!
//! ```text
//! >  <  big, little endian          ![n]  alignment          (space)  nothing
//! b B  h H  l L  T  i[n] I[n]       integers of 1, 2, 8, 8 and n (4) bytes
//! f  d  floats of 4 and 8 bytes     x  a zero byte
//! c[n]  n bytes (1); c0: packed whole, unpacked as many as the number before said       s  ends with a zero byte
//! ```

use super::{Arguments, Failure, MOST_BYTES, MOST_VALUES, Outcome, export, number, string};
use mlua::{Lua, MultiValue, Table, Value};

/// The largest integer, bytes.
const MAX_INT: usize = 32;
/// The strictest alignment that `!` alone stands for.
const MAX_ALIGN: usize = 8;

pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", export(lua, pack)?)?;
    table.raw_set("unpack", export(lua, unpack)?)?;
    table.raw_set("size", export(lua, size)?)?;
    Ok(table)
}

/// A format, as far as it was read.
struct Format<'f> {
    rest: &'f [u8],
    little: bool,
    align: usize,
}

impl<'f> Format<'f> {
    fn new(text: &'f [u8]) -> Self {
        // C's strings end there.
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Self { rest: &text[..end], little: cfg!(target_endian = "little"), align: 1 }
    }

    /// The next option and its size.
    fn next(&mut self) -> Result<Option<(u8, usize)>, Failure> {
        let Some((option, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > MAX_INT {
                    let text = format!("integral size {size} is larger than limit of {MAX_INT}");
                    return Err(Failure::Text(text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((*option, size)))
    }

    fn number(&mut self, default: usize) -> Result<usize, Failure> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = text
            .iter()
            .try_fold(0i32, |number, digit| number.checked_mul(10)?.checked_add(i32::from(digit - b'0')));
        let number = number.ok_or_else(|| Failure::Text("integral size overflow".to_owned()))?;
        Ok(number.unsigned_abs() as usize)
    }

    /// Bytes to leave out so that an element of this size is aligned.
    fn padding(&self, at: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align);
        size.wrapping_sub(at & size.wrapping_sub(1)) & size.wrapping_sub(1)
    }

    /// Obeys an option that stands for no element.
    fn control(&mut self, option: u8) -> Result<(), Failure> {
        match option {
            b' ' => {}
            b'>' => self.little = false,
            b'<' => self.little = true,
            b'!' => {
                let align = self.number(MAX_ALIGN)?;
                if !align.is_power_of_two() {
                    return Err(Failure::Text(format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            other => {
                let text = format!("invalid format option '{}'", char::from(other));
                return Err(Failure::Argument(1, text));
            }
        }
        Ok(())
    }

    /// Bytes in this order, from or to little endian.
    fn ordered(&self, bytes: &mut [u8]) {
        if !self.little {
            bytes.reverse();
        }
    }
}

fn pack(lua: &Lua, args: &Arguments) -> Outcome {
    let format = args.string(lua, 1)?;
    // The library marks the end of its arguments with a nil, and errors tell of that.
    let args = &Arguments(args.0.iter().cloned().chain([Value::Nil]).collect());
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut out = Vec::new();
    let mut at = 2;
    while let Some((option, size)) = format.next()? {
        out.resize(out.len() + format.padding(out.len(), option, size), 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = args.number(lua, at)?;
                at += 1;
                let value = unsigned(value);
                let mut bytes = [0; MAX_INT];
                bytes[..8].copy_from_slice(&value.to_le_bytes());
                format.ordered(&mut bytes[..size]);
                out.extend_from_slice(&bytes[..size]);
            }
            b'x' => out.push(0),
            b'f' | b'd' => {
                let value = args.number(lua, at)?;
                at += 1;
                let mut bytes = if option == b'f' {
                    (value as f32).to_le_bytes().to_vec()
                } else {
                    value.to_le_bytes().to_vec()
                };
                format.ordered(&mut bytes);
                out.extend(bytes);
            }
            b'c' | b's' => {
                let text = args.string(lua, at)?;
                at += 1;
                let text = text.as_bytes();
                let size = if size == 0 { text.len() } else { size };
                let text = text.get(..size);
                let text = text.ok_or_else(|| Failure::Argument(at, "string too short".to_owned()))?;
                out.extend_from_slice(text);
                if option == b's' {
                    out.push(0);
                }
            }
            other => format.control(other)?,
        }
        if out.len() > MOST_BYTES {
            return Err(Failure::Text("not enough memory".to_owned()));
        }
    }
    string(lua, &out)
}

/// A number as C's library converts it on this processor, also where C leaves that open.
fn unsigned(number: f64) -> u64 {
    /// 2^64.
    const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
    match number {
        _ if number.is_nan() => 1 << 63,
        _ if number >= TOO_LARGE => 0,
        _ if number < 0.0 => (number as i64).cast_unsigned(),
        _ => number as u64,
    }
}

fn unpack(lua: &Lua, args: &Arguments) -> Outcome {
    let format = args.string(lua, 1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let data = args.string(lua, 2)?;
    let data = data.as_bytes();
    let from = args.integer_or(lua, 3, 1)?;
    let too_short = || Failure::Argument(2, "data string too short".to_owned());
    // Below 1 it is a huge number in C, but for 0.
    if from == 0 {
        return Err(Failure::Argument(3, "offset must be 1 or greater".to_owned()));
    }
    let mut pos = from.cast_unsigned().wrapping_sub(1) as usize;
    let mut values = Vec::new();
    while let Some((option, size)) = format.next()? {
        pos = pos.checked_add(format.padding(pos, option, size)).ok_or_else(too_short)?;
        let rest = data.get(pos..).filter(|rest| size <= rest.len()).ok_or_else(too_short)?;
        if values.len() >= MOST_VALUES {
            return Err(Failure::Text("stack overflow (too many results)".to_owned()));
        }
        let mut taken = size;
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let mut bytes = [0; MAX_INT];
                let bytes = &mut bytes[..size];
                bytes.copy_from_slice(&rest[..size]);
                format.ordered(bytes);
                values.push(Value::Number(integer(bytes, option.is_ascii_lowercase())));
            }
            b'x' => {}
            b'f' => {
                let mut bytes = [rest[0], rest[1], rest[2], rest[3]];
                format.ordered(&mut bytes);
                values.push(Value::Number(f64::from(f32::from_le_bytes(bytes))));
            }
            b'd' => {
                let mut bytes: [u8; 8] = rest[..8].try_into().expect("eight bytes");
                format.ordered(&mut bytes);
                values.push(Value::Number(f64::from_le_bytes(bytes)));
            }
            b'c' => {
                if size == 0 {
                    // A string that spells a number will do.
                    let before = values.pop().unwrap_or(Value::Nil);
                    let before = lua.coerce_number(before)?;
                    let missing = || Failure::Text("format 'c0' needs a previous size".to_owned());
                    taken = unsigned(before.ok_or_else(missing)?) as usize;
                }
                let text = rest.get(..taken).ok_or_else(too_short)?;
                values.push(Value::String(lua.create_string(text)?));
            }
            b's' => {
                let end = rest.iter().position(|byte| *byte == 0);
                let end = end.ok_or_else(|| Failure::Text("unfinished string in data".to_owned()))?;
                values.push(Value::String(lua.create_string(&rest[..end])?));
                taken = end + 1;
            }
            other => format.control(other)?,
        }
        pos += taken;
    }
    values.push(Value::Number((pos + 1) as f64));
    Ok(MultiValue::from_iter(values))
}

/// An integer of little-endian bytes; C's library keeps the last eight that it saw.
fn integer(bytes: &[u8], is_signed: bool) -> f64 {
    let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if !is_signed {
        return value as f64;
    }
    // The shift wraps for sizes above eight bytes, as the processor's does.
    let mask = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    (if value & mask == 0 { value } else { value | mask }).cast_signed() as f64
}

fn size(lua: &Lua, args: &Arguments) -> Outcome {
    let format = args.string(lua, 1)?;
    let format = format.as_bytes();
    let mut format = Format::new(&format);
    let mut pos = 0usize;
    while let Some((option, size)) = format.next()? {
        pos = pos.saturating_add(format.padding(pos, option, size));
        if option == b's' {
            return Err(Failure::Argument(1, "option 's' has no fixed size".to_owned()));
        }
        if option == b'c' && size == 0 {
            return Err(Failure::Argument(1, "option 'c0' has no fixed size".to_owned()));
        }
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
        pos = pos.saturating_add(size);
    }
    number(pos as f64)
}
