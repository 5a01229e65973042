//! The one place of this crate with `unsafe`: what the safe interfaces of libraries can't express.

#![expect(unsafe_code, reason = "raising a Lua value needs Lua's C interface")]

use mlua::{Function, Lua, ffi};
use std::ffi::c_int;

/// Wraps a function that replies `(failed, value)` into a C function that replies `value`, or raises it when failed.
///
/// The crate can raise strings only, and a Lua function in between would lose the caller's line: a tail call
/// (`return redis.call(…)`) to a Lua function replaces the caller's frame, one to a C function does not.
///
/// # Errors
/// When Lua has no memory.
pub fn raising(lua: &Lua, function: Function) -> mlua::Result<Function> {
    let wrap = |state| {
        // SAFETY: `exec_raw` has pushed `function` and nothing else; the closure takes it as its one upvalue.
        unsafe { ffi::lua_pushcclosure(state, raise, 1) }
    };
    // SAFETY: `wrap` leaves one value, the closure, as the declared result type says.
    unsafe { lua.exec_raw(function, wrap) }
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
    unsafe { ffi::lua_call(state, count, 2) };
    // SAFETY: two results lie on top.
    let failed = unsafe { ffi::lua_toboolean(state, -2) };
    if failed != 0 {
        // SAFETY: the value to raise is on top.
        unsafe { ffi::lua_error(state) };
    }
    1
}
