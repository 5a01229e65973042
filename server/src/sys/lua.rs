//! Functions for Lua that only its C interface can express. The fuzz target of the scripts' libraries is built with it.

use mlua::{Function, Lua, Table, ffi};
use std::cell::Cell;
use std::ffi::c_int;

thread_local! {
    /// What runs is to end: see [`set_ending`].
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
}

/// Has every coroutine that is resumed on this thread, and whoever resumes one, look at the hook at each instruction.
///
/// Each coroutine counts for itself and a new one as its maker does: without this, a script that makes one after the other
/// would have the time of a whole count in each of them, and go on for hours after it was killed.
pub fn set_ending(is_ending: bool) {
    IS_ENDING.set(is_ending);
}

/// `coroutine.resume` and `coroutine.wrap` that heed [`set_ending`], from Lua's `coroutine.create` and
/// `coroutine.resume`.
///
/// # Errors
/// When Lua has no memory.
pub fn resumers(lua: &Lua, (create, resume): (Function, Function)) -> mlua::Result<(Function, Function)> {
    let resuming = |state| {
        // SAFETY: `exec_raw` has pushed the function and nothing else; it becomes the upvalue.
        unsafe { ffi::lua_pushcclosure(state, resume_hastily, 1) }
    };
    let wrapping = |state| {
        // SAFETY: `exec_raw` has pushed the two functions and nothing else; they become the upvalues.
        unsafe { ffi::lua_pushcclosure(state, wrap, 2) }
    };
    // SAFETY: each leaves one value, the closure, as the declared result type says.
    unsafe { Ok((lua.exec_raw(resume.clone(), resuming)?, lua.exec_raw((create, resume), wrapping)?)) }
}

/// Resumes the coroutine that is the first argument.
///
/// # Safety
/// Called by Lua as a C function with `coroutine.resume` as its first upvalue. It owns nothing that a jump out of it would
/// leak.
unsafe extern "C-unwind" fn resume_hastily(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { resume(state, ffi::lua_upvalueindex(1)) }
}

/// Runs the `coroutine.resume` at an index with the arguments of the C function that runs; gives its number of results.
///
/// # Safety
/// From a C function whose frame and callers own nothing, with a function of the standard library at the index.
unsafe fn resume(state: *mut ffi::lua_State, function: c_int) -> c_int {
    // SAFETY: another value than a coroutine gives null.
    let coroutine = unsafe { ffi::lua_tothread(state, 1) };
    if !coroutine.is_null() {
        // SAFETY: it is a coroutine.
        unsafe { hasten(coroutine) };
    }
    // SAFETY: as the caller promises; the stack holds its arguments.
    let results = match unsafe { ffi::lua_tocfunction(state, function) } {
        // SAFETY: `coroutine.resume` uses no upvalues.
        Some(resume) => unsafe { resume(state) },
        None => 0,
    };
    // SAFETY: Lua gave this state.
    unsafe { hasten(state) };
    results
}

/// # Safety
/// The state is a live one.
unsafe fn hasten(state: *mut ffi::lua_State) {
    if IS_ENDING.get() {
        // SAFETY: it keeps the hook that it has.
        unsafe { ffi::lua_sethook(state, ffi::lua_gethook(state), ffi::LUA_MASKCOUNT, 1) };
    }
}

/// `coroutine.wrap`.
///
/// # Safety
/// Called by Lua as a C function with `coroutine.create` and `coroutine.resume` as upvalues. It owns nothing that a jump
/// out of it would leak.
unsafe extern "C-unwind" fn wrap(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalue exists.
    let results = match unsafe { ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1)) } {
        // SAFETY: `coroutine.create` uses no upvalues; it runs in this frame, so that its errors name `wrap`.
        Some(create) => unsafe { create(state) },
        None => return 0,
    };
    // SAFETY: a C function may push at least 20 values; the upvalue exists.
    unsafe { ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2)) };
    // SAFETY: the coroutine and the function are on top, and become upvalues.
    unsafe { ffi::lua_pushcclosure(state, resume_wrapped, 2) };
    results
}

/// Resumes the coroutine that is the first upvalue; what it raises goes on, with the place of the call before a text.
///
/// # Safety
/// As for [`resume_hastily`], which is the second upvalue here.
unsafe extern "C-unwind" fn resume_wrapped(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a C function may push at least 20 values; the upvalue exists.
    unsafe { ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1)) };
    // SAFETY: there is at least the value just pushed.
    unsafe { ffi::lua_insert(state, 1) };
    // SAFETY: as the caller promises; the stack holds the coroutine and its arguments.
    let results = unsafe { resume(state, ffi::lua_upvalueindex(2)) };
    // SAFETY: the results are the last values.
    if unsafe { ffi::lua_toboolean(state, -results) } != 0 {
        return results - 1;
    }
    // SAFETY: there are two results, `false` and what was raised.
    if unsafe { ffi::lua_type(state, -1) } == ffi::LUA_TSTRING {
        // SAFETY: there is room for 20 values.
        unsafe { ffi::luaL_where(state, 1) };
        // SAFETY: the place goes below what was raised.
        unsafe { ffi::lua_insert(state, -2) };
        // SAFETY: both are strings.
        unsafe { ffi::lua_concat(state, 2) };
    }
    // SAFETY: the value to raise is on top.
    unsafe { ffi::lua_error(state) }
}

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
