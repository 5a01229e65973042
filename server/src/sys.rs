//! The one place of this crate with `unsafe`: what the safe interfaces of libraries can't express.

#![expect(
    unsafe_code,
    reason = "raising a Lua value needs Lua's C interface, purging the allocator its C interface"
)]

use mlua::{Function, Lua, ffi};
use std::ffi::{CString, c_int};
use std::ptr::null_mut;

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

/// Makes the allocator give the pages back that it keeps without need; false when it will not.
pub fn purge_memory() -> bool {
    /// `MALLCTL_ARENAS_ALL`
    const ALL_ARENAS: usize = 4096;
    let name = CString::new(format!("arena.{ALL_ARENAS}.purge")).expect("it holds no zero byte");
    // SAFETY: the name is a C string that outlives the call; this control reads and writes nothing, so all else is null.
    let failed = unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    failed == 0
}
