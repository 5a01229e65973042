//! `bit`: operations on 32 bits, as in the library of LuaJIT's author. Results are signed.

use super::{Arguments, Failure, Outcome, export, number, string};
use mlua::{Lua, Table};

/// An argument's low 32 bits, rounded as adding 2^52 + 2^51 to a double rounds it.
fn bits(lua: &Lua, args: &Arguments, at: usize) -> Result<u32, Failure> {
    Ok((args.number(lua, at)? + 6_755_399_441_055_744.0).to_bits() as u32)
}

type Unary = fn(u32) -> u32;
type Binary = fn(u32, u32) -> u32;

fn signed(bits: u32) -> Outcome {
    number(f64::from(bits.cast_signed()))
}

pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let unary: [(&str, Unary); 3] = [("tobit", |b| b), ("bnot", |b| !b), ("bswap", u32::swap_bytes)];
    for (name, operation) in unary {
        table.raw_set(name, export(lua, move |lua, args| signed(operation(bits(lua, args, 1)?)))?)?;
    }
    let folds: [(&str, Binary); 3] = [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, operation) in folds {
        let fold = move |lua: &Lua, args: &Arguments| {
            let first = bits(lua, args, 1)?;
            // The last one is looked at first: errors name it.
            let all = (2..=args.count())
                .rev()
                .try_fold(first, |all, at| bits(lua, args, at).map(|more| operation(all, more)));
            signed(all?)
        };
        table.raw_set(name, export(lua, fold)?)?;
    }
    let shifts: [(&str, Binary); 5] = [
        ("lshift", |b, n| b << n),
        ("rshift", |b, n| b >> n),
        ("arshift", |b, n| (b.cast_signed() >> n).cast_unsigned()),
        ("rol", u32::rotate_left),
        ("ror", u32::rotate_right),
    ];
    for (name, operation) in shifts {
        let shift = move |lua: &Lua, args: &Arguments| {
            let value = bits(lua, args, 1)?;
            signed(operation(value, bits(lua, args, 2)? & 31))
        };
        table.raw_set(name, export(lua, shift)?)?;
    }
    table.raw_set("tohex", export(lua, to_hex)?)?;
    Ok(table)
}

/// So many of the lowest hexadecimal digits; in capital letters for a negative number of them.
fn to_hex(lua: &Lua, args: &Arguments) -> Outcome {
    let value = bits(lua, args, 1)?;
    let count = if args.count() < 2 { 8 } else { bits(lua, args, 2)?.cast_signed() };
    let digits = if count < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    string(lua, &digits.as_bytes()[8 - count.unsigned_abs().min(8) as usize..])
}
