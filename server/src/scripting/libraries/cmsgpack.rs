//! `cmsgpack`: MessagePack (github.com/msgpack/msgpack/blob/master/spec.md, without extensions).
//!
//! Tables whose keys are 1 to n become arrays, others maps. Numbers without a fraction become integers.

use super::{Arguments, Failure, MOST_BYTES, MOST_VALUES, Outcome, export, string};
use mlua::{Lua, MultiValue, Table, Value};

/// A table inside this many others is packed as nil: what also ends one that holds itself.
const MOST_NESTED: usize = 16;
/// 2^63.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
/// Depth of what is unpacked.
const DEEPEST: usize = 1000;

pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", export(lua, pack)?)?;
    table.raw_set("unpack", export(lua, |lua, args| unpack(lua, args, 0, 0))?)?;
    let unpack_one = |lua: &Lua, args: &Arguments| unpack(lua, args, 1, args.integer_or(lua, 2, 0)?);
    table.raw_set("unpack_one", export(lua, unpack_one)?)?;
    let unpack_limit = |lua: &Lua, args: &Arguments| {
        let limit = args.integer(lua, 2)?;
        unpack(lua, args, limit, args.integer_or(lua, 3, 0)?)
    };
    table.raw_set("unpack_limit", export(lua, unpack_limit)?)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

// --- packing ---------------------------------------------------------------------------------------------------------

fn pack(lua: &Lua, args: &Arguments) -> Outcome {
    if args.count() == 0 {
        return Err(Failure::Argument(0, "MessagePack pack needs input.".to_owned()));
    }
    let mut out = Vec::new();
    for value in &args.0 {
        put(&mut out, value, 0)?;
    }
    string(lua, &out)
}

/// A head that says how long what follows is: in its own low bits, or in one, two or four bytes behind it.
fn put_len(out: &mut Vec<u8>, len: usize, short: (u8, usize), byte: Option<u8>, wide: [u8; 2]) {
    match (len, byte) {
        _ if len < short.1 => out.push(short.0 | len as u8),
        (..=0xff, Some(head)) => out.extend([head, len as u8]),
        (..=0xffff, _) => {
            out.push(wide[0]);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(wide[1]);
            out.extend((len as u32).to_be_bytes());
        }
    }
}

fn put(out: &mut Vec<u8>, value: &Value, level: usize) -> Result<(), Failure> {
    if out.len() > MOST_BYTES {
        return Err(Failure::Text("not enough memory".to_owned()));
    }
    match value {
        Value::String(text) => {
            let text = text.as_bytes();
            put_len(out, text.len(), (0xa0, 32), Some(0xd9), [0xda, 0xdb]);
            out.extend_from_slice(&text);
        }
        Value::Boolean(value) => out.push(0xc2 | u8::from(*value)),
        Value::Integer(number) => put_integer(out, *number),
        // 2^63 is no integer of 64 bits, though it would become the nearest one.
        Value::Number(number) if (*number as i64) as f64 == *number && *number < TOO_LARGE => {
            put_integer(out, *number as i64);
        }
        Value::Number(number) => put_float(out, *number),
        Value::Table(table) if level < MOST_NESTED => put_table(out, table, level)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

fn put_integer(out: &mut Vec<u8>, number: i64) {
    let bytes = number.to_be_bytes();
    let (head, len) = match number {
        -0x20..0x80 => (None, 1),
        0x80..0x100 => (Some(0xcc), 1),
        0x100..0x1_0000 => (Some(0xcd), 2),
        0x1_0000..0x1_0000_0000 => (Some(0xce), 4),
        0x1_0000_0000.. => (Some(0xcf), 8),
        -0x80..-0x20 => (Some(0xd0), 1),
        -0x8000..-0x80 => (Some(0xd1), 2),
        -0x8000_0000..-0x8000 => (Some(0xd2), 4),
        ..-0x8000_0000 => (Some(0xd3), 8),
    };
    out.extend(head);
    out.extend_from_slice(&bytes[8 - len..]);
}

fn put_float(out: &mut Vec<u8>, number: f64) {
    let short = number as f32;
    if f64::from(short) == number {
        out.push(0xca);
        out.extend(short.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend(number.to_be_bytes());
    }
}

fn put_table(out: &mut Vec<u8>, table: &Table, level: usize) -> Result<(), Failure> {
    let (mut count, mut greatest, mut is_array) = (0usize, 0.0f64, true);
    for pair in table.pairs::<Value, Value>() {
        count += 1;
        let key = match pair?.0 {
            Value::Integer(key) => key as f64,
            Value::Number(key) => key,
            _ => 0.0,
        };
        is_array &= key > 0.0 && f64::from(key as i32) == key;
        greatest = greatest.max(key);
    }
    if is_array && greatest == count as f64 {
        put_len(out, count, (0x90, 16), None, [0xdc, 0xdd]);
        for at in 1..=count {
            put(out, &table.raw_get(at)?, level + 1)?;
        }
        return Ok(());
    }
    put_len(out, count, (0x80, 16), None, [0xde, 0xdf]);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        put(out, &key, level + 1)?;
        put(out, &value, level + 1)?;
    }
    Ok(())
}

// --- unpacking -------------------------------------------------------------------------------------------------------

fn unpack(lua: &Lua, args: &Arguments, limit: i64, offset: i64) -> Outcome {
    let text = args.string(lua, 1)?;
    let text = text.as_bytes();
    let len = text.len();
    if offset < 0 || limit < 0 {
        // The library's own slip: it tells the length for the limit.
        let text = format!("Invalid request to unpack with offset of {} and limit of {len}.", offset as i32);
        return Err(Failure::Text(text));
    }
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| text.get(offset..)) else {
        let text = format!("Start offset {} greater than input length {len}.", offset as i32);
        return Err(Failure::Text(text));
    };
    let is_all = limit == 0 && offset == 0;
    let limit = if is_all { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut input = Input { rest };
    let mut values = Vec::new();
    while !input.rest.is_empty() && values.len() < limit {
        if values.len() >= MOST_VALUES {
            let text =
                "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
            return Err(Failure::Text(text.to_owned()));
        }
        values.push(input.value(lua, 0)?);
    }
    if !is_all {
        let next = if input.rest.is_empty() { -1.0 } else { (len - input.rest.len()) as f64 };
        values.insert(0, Value::Number(next));
    }
    Ok(MultiValue::from_iter(values))
}

struct Input<'i> {
    rest: &'i [u8],
}

impl<'i> Input<'i> {
    fn take(&mut self, count: usize) -> Result<&'i [u8], Failure> {
        let missing = || Failure::Text("Missing bytes in input.".to_owned());
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(missing)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of so many bytes.
    fn unsigned(&mut self, bytes: usize) -> Result<u64, Failure> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, bytes: usize) -> Result<i64, Failure> {
        let shift = 64 - 8 * bytes as u32;
        Ok((self.unsigned(bytes)? << shift).cast_signed() >> shift)
    }

    fn len(&mut self, bytes: usize) -> Result<usize, Failure> {
        Ok(self.unsigned(bytes)? as usize)
    }

    fn value(&mut self, lua: &Lua, level: usize) -> Result<Value, Failure> {
        let head = self.take(1)?[0];
        let value = match head {
            0x00..=0x7f => Value::Number(f64::from(head)),
            0xe0..=0xff => Value::Number(f64::from(head.cast_signed())),
            // The library pushes signed numbers.
            0xcc..=0xcf => Value::Number(self.unsigned(1 << (head - 0xcc))?.cast_signed() as f64),
            0xd0..=0xd3 => Value::Number(self.signed(1 << (head - 0xd0))? as f64),
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Boolean(head == 0xc3),
            0xca => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xa0..=0xbf => self.text(lua, usize::from(head & 0x1f))?,
            0xd9..=0xdb => {
                let len = self.len(1 << (head - 0xd9))?;
                self.text(lua, len)?
            }
            0x90..=0x9f => self.array(lua, usize::from(head & 0xf), level)?,
            0xdc | 0xdd => {
                let len = self.len(2 << (head - 0xdc))?;
                self.array(lua, len, level)?
            }
            0x80..=0x8f => self.map(lua, usize::from(head & 0xf), level)?,
            0xde | 0xdf => {
                let len = self.len(2 << (head - 0xde))?;
                self.map(lua, len, level)?
            }
            _ => return Err(Failure::Text("Bad data format in input.".to_owned())),
        };
        Ok(value)
    }

    fn text(&mut self, lua: &Lua, len: usize) -> Result<Value, Failure> {
        Ok(Value::String(lua.create_string(self.take(len)?)?))
    }

    fn deeper(level: usize) -> Result<usize, Failure> {
        if level < DEEPEST {
            return Ok(level + 1);
        }
        Err(Failure::Text("stack overflow (in function mp_decode_to_lua_array)".to_owned()))
    }

    /// Elements are read one by one: a length that is only claimed allocates nothing.
    fn array(&mut self, lua: &Lua, len: usize, level: usize) -> Result<Value, Failure> {
        let level = Self::deeper(level)?;
        let table = lua.create_table()?;
        for at in 1..=len {
            let value = self.value(lua, level)?;
            table.raw_set(at, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, lua: &Lua, len: usize, level: usize) -> Result<Value, Failure> {
        let level = Self::deeper(level)?;
        let table = lua.create_table()?;
        for _ in 0..len {
            let key = self.value(lua, level)?;
            let value = self.value(lua, level)?;
            match key {
                Value::Nil => return Err(Failure::Text("table index is nil".to_owned())),
                Value::Number(number) if number.is_nan() => {
                    return Err(Failure::Text("table index is NaN".to_owned()));
                }
                key => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }
}
