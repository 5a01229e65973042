//! Functions for Lua that only its C interface can express. The fuzz target of the scripts' libraries is built with it.

use mlua::{Function, Lua, Table, ffi};
use std::ffi::c_int;

/// Wraps a function that replies `(failed, value…)` into a C function that replies the values, or raises the one there is
/// when it failed.
///
/// The crate can raise strings only, and a Lua function in between would lose the caller's line: a tail call
/// (`return redis.call(…)`) to a Lua function replaces the caller's frame, one to a C function does not.
///
/// # Errors
/// When Lua has no memory.
pub fn raising(lua: &Lua, function: Function) -> mlua::Result<Function> {
    let wrap = |state| {
        // SAFETY: `exec_raw` has pushed the function and nothing else; the closure takes it as its upvalue.
        unsafe { ffi::lua_pushcclosure(state, raise, 1) }
    };
    // SAFETY: `wrap` leaves one value, the closure, as the declared result type says.
    unsafe { lua.exec_raw(function, wrap) }
}

/// Wraps a C function that writes into its first argument, so that it refuses the keys of `locked`.
///
/// It runs in the wrapper's own frame: its errors name the function and the line as if there were no wrapper.
///
/// # Errors
/// When Lua has no memory.
pub fn guarded(lua: &Lua, (function, locked): (Function, Table)) -> mlua::Result<Function> {
    let wrap = |state| {
        // SAFETY: `exec_raw` has pushed the function and the table and nothing else; they become the upvalues.
        unsafe { ffi::lua_pushcclosure(state, guard, 2) }
    };
    // SAFETY: `wrap` leaves one value, the closure, as the declared result type says.
    unsafe { lua.exec_raw((function, locked), wrap) }
}

/// Calls the C function that is the first upvalue, unless the first argument is a key of the second.
///
/// # Safety
/// Called by Lua as a C function with those two upvalues. It owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn guard(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state; an index without a value has a type of its own.
    if unsafe { ffi::lua_type(state, 1) } == ffi::LUA_TTABLE {
        // SAFETY: a C function may push at least 20 values; there is a value at this index.
        unsafe { ffi::lua_pushvalue(state, 1) };
        // SAFETY: the second upvalue is a table; the key on top is replaced by its value.
        unsafe { ffi::lua_rawget(state, ffi::lua_upvalueindex(2)) };
        // SAFETY: the value just read is on top.
        let is_locked = unsafe { ffi::lua_toboolean(state, -1) } != 0;
        // SAFETY: as above.
        unsafe { ffi::lua_pop(state, 1) };
        if is_locked {
            // SAFETY: the text ends with a zero byte; Lua copies it.
            unsafe { ffi::lua_pushstring(state, c"Attempt to modify a readonly table".as_ptr()) };
            // SAFETY: the value to raise is on top.
            unsafe { ffi::lua_error(state) };
        }
    }
    // SAFETY: the upvalue exists.
    let function = unsafe { ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1)) };
    match function {
        // SAFETY: it is a C function of the standard library, which uses no upvalues; the stack holds its arguments.
        Some(function) => unsafe { function(state) },
        None => 0,
    }
}

/// Calls the upvalue with all arguments.
///
/// # Safety
/// Called by Lua as a C function with one upvalue. It owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn raise(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state; the stack holds the arguments.
    let count = unsafe { ffi::lua_gettop(state) };
    // SAFETY: a C function may push at least 20 values; the upvalue exists.
    unsafe { ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1)) };
    // SAFETY: there is at least the value just pushed.
    unsafe { ffi::lua_insert(state, 1) };
    // SAFETY: the function lies below its `count` arguments.
    unsafe { ffi::lua_call(state, count, ffi::LUA_MULTRET) };
    // SAFETY: the stack holds the results and nothing else.
    let results = unsafe { ffi::lua_gettop(state) };
    // SAFETY: the first of them lies at the bottom; where there is none, that reads as false.
    let failed = unsafe { ffi::lua_toboolean(state, 1) };
    if failed != 0 {
        // SAFETY: the value to raise is on top.
        unsafe { ffi::lua_error(state) };
    }
    (results - 1).max(0)
}
