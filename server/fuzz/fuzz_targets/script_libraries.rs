//! Any bytes for the libraries that scripts find (cjson, cmsgpack, struct, bit) and for Lua's compiler: they come back
//! with a value or an error, and what one of them has read it writes again.
//!
//! The first byte chooses what is done with the rest.

#![no_main]
#![allow(dead_code)]

#[path = "../../src/sys"]
mod sys {
    pub mod lua;
}
#[path = "../../src/scripting"]
mod scripting {
    pub mod libraries;

    pub fn all(lua: &mlua::Lua) -> mlua::Result<mlua::Table> {
        libraries::all(lua)
    }
}

use libfuzzer_sys::fuzz_target;
use mlua::{Function, Lua, LuaOptions, StdLib};

/// Bytes that one input may make Lua hold.
const MEMORY: usize = 64 << 20;

/// What is done with a text, a second one, and a number. Each is run as a script of its own.
const SCRIPTS: &[&str] = &[
    "local ok, v = pcall(cjson.decode, a) if ok then local text = cjson.encode(v) cjson.encode(cjson.decode(text)) end",
    "cjson.decode_max_depth(n % 50 + 1) pcall(cjson.decode, a) cjson.decode_max_depth(1000)",
    "cjson.encode_sparse_array(n % 2 == 0, n % 7, n % 11) cjson.encode({[n] = a, [a] = n, [1] = b})",
    "cjson.encode_number_precision(n % 15 + 1) cjson.encode_keep_buffer(n % 2 == 0) cjson.encode({n / 3, -n, a})",
    "local v = {pcall(cmsgpack.unpack, a)} if v[1] then cmsgpack.unpack(cmsgpack.pack(unpack(v, 2))) end",
    "pcall(cmsgpack.unpack_one, a, n % (#a + 2)) pcall(cmsgpack.unpack_limit, a, n % 9, n % (#a + 2))",
    "assert(cmsgpack.unpack(cmsgpack.pack({a, n, {[a] = b}}))[1] == a)",
    "struct.unpack(a, b, n % 20)",
    "struct.pack(a, n, b, a, n, n, b)",
    "struct.size(a)",
    "string.format(a, n, b, n)",
    "bit.tohex(n, #a - #b) bit.lshift(n, #a) bit.bswap(n) bit.rol(#a, n)",
    "loadstring(a)",
    "tonumber(a) tonumber(a, n % 40)",
];

/// A machine with what scripts have, and the script that is chosen.
fn machine(choice: u8) -> mlua::Result<(Lua, Function)> {
    let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING, LuaOptions::new().catch_rust_panics(false))?;
    lua.set_memory_limit(MEMORY)?;
    for pair in scripting::all(&lua)?.pairs::<String, mlua::Table>() {
        let (name, library) = pair?;
        lua.globals().set(name, library)?;
    }
    // Bytecode never gets as far as the compiler.
    let text = format!("local a, b, n = ... if a:byte() == 27 then return end {}", SCRIPTS[usize::from(choice) % SCRIPTS.len()]);
    let script = lua.load(text).into_function()?;
    Ok((lua, script))
}

fuzz_target!(|data: &[u8]| {
    let [choice, cut, low, high, rest @ ..] = data else { return };
    let (lua, script) = machine(*choice).expect("memory for a small machine");
    let (a, b) = rest.split_at(usize::from(*cut).min(rest.len()));
    // Small and large, positive and negative, with and without a fraction.
    let n = f64::from(i16::from_le_bytes([*low, *high])) * if low & 1 == 0 { 1.0 } else { 1e12 + 0.5 };
    let words = (|| Ok::<_, mlua::Error>((lua.create_string(a)?, lua.create_string(b)?, n)))();
    let _ = script.call::<()>(words.expect("memory for the input"));
});
