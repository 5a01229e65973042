//! Functions for Lua that only its C interface can express. The fuzz target of the scripts' libraries is built with it.

use mlua::{Function, IntoLuaMulti, Lua, Table, ffi};
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
    // SAFETY: `resuming` leaves one value, the closure, as the declared result type says.
    let resumer = unsafe { lua.exec_raw(resume.clone(), resuming)? };
    // SAFETY: so does `wrapping`.
    let wrapper = unsafe { lua.exec_raw((create, resume), wrapping)? };
    Ok((resumer, wrapper))
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
        // SAFETY: the state is a live one.
        let hook = unsafe { ffi::lua_gethook(state) };
        // SAFETY: it keeps the hook that it has.
        unsafe { ffi::lua_sethook(state, hook, ffi::LUA_MASKCOUNT, 1) };
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

/// A C function with these upvalues, of which there are so many.
fn closure(
    lua: &Lua,
    upvalues: impl IntoLuaMulti,
    function: ffi::lua_CFunction,
    count: c_int,
) -> mlua::Result<Function> {
    let wrap = |state| {
        // SAFETY: `exec_raw` has pushed the upvalues and nothing else; the closure takes them.
        unsafe { ffi::lua_pushcclosure(state, function, count) }
    };
    // SAFETY: `wrap` leaves one value, the closure, as the declared result type says.
    unsafe { lua.exec_raw(upvalues, wrap) }
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
    closure(lua, function, raise, 1)
}

/// Wraps a C function that writes into its first argument, so that it refuses the keys of `locked`.
///
/// It runs in the wrapper's own frame: its errors name the function and the line as if there were no wrapper.
///
/// # Errors
/// When Lua has no memory.
pub fn guarded(lua: &Lua, (function, locked): (Function, Table)) -> mlua::Result<Function> {
    closure(lua, (function, locked), guard, 2)
}

/// Wraps a function, so that its first argument must be of the type of this name, or just be there: it is C's to complain,
/// as a Lua function would lose the caller's line.
///
/// # Errors
/// When Lua has no memory.
pub fn expecting(lua: &Lua, (function, name): (Function, String)) -> mlua::Result<Function> {
    let check = match name.as_str() {
        "function" => call_with_function,
        "string" => call_with_text,
        _ => call_with_any,
    };
    closure(lua, function, check, 1)
}

/// # Safety
/// As for [`call_upvalue`], as for the two that follow.
unsafe extern "C-unwind" fn call_with_function(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state.
    unsafe { ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION) };
    // SAFETY: as the caller promises.
    unsafe { call_upvalue(state) }
}

unsafe extern "C-unwind" fn call_with_text(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state; the length is not asked for.
    unsafe { ffi::luaL_checklstring(state, 1, std::ptr::null_mut()) };
    // SAFETY: as the caller promises.
    unsafe { call_upvalue(state) }
}

unsafe extern "C-unwind" fn call_with_any(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state.
    unsafe { ffi::luaL_checkany(state, 1) };
    // SAFETY: as the caller promises.
    unsafe { call_upvalue(state) }
}

/// Wraps a C function that reads its first argument without asking metatables, so that it reads what lies behind it when
/// that is a key of `locked`: the table that its metatable has as `__index`.
///
/// # Errors
/// When Lua has no memory.
pub fn seeing(lua: &Lua, (function, locked): (Function, Table)) -> mlua::Result<Function> {
    closure(lua, (function, locked), see, 2)
}

/// A `pairs` that goes by `see_next` where the table is a key of `locked`, by `next` otherwise.
///
/// # Errors
/// When Lua has no memory.
pub fn pairs(lua: &Lua, upvalues: (Function, Table, Function)) -> mlua::Result<Function> {
    closure(lua, upvalues, begin_pairs, 3)
}

/// Wraps a C function whose second argument is a pattern, so that it refuses one of more than `most` bytes.
///
/// # Errors
/// When Lua has no memory.
pub fn bounded(lua: &Lua, (function, most): (Function, f64)) -> mlua::Result<Function> {
    closure(lua, (function, most), bound, 2)
}

/// Wraps `unpack`, so that it refuses ranges that with its arguments take more than `room` places: that of 5.1.5 takes
/// `unpack(t, 0, 2^31 - 1)` for a small one (CVE-2025-46817).
///
/// # Errors
/// When Lua has no memory.
pub fn unpack(lua: &Lua, (function, room): (Function, f64)) -> mlua::Result<Function> {
    closure(lua, (function, room), unpack_little, 2)
}

/// Calls the first upvalue with what lies behind the first argument.
///
/// # Safety
/// Called by Lua as a C function with the upvalues of [`seeing`]. It owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn see(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as the caller promises.
    let is_locked = unsafe { is_locked(state) };
    // SAFETY: where it is locked, the first argument is a table.
    if is_locked && unsafe { ffi::lua_getmetatable(state, 1) } != 0 {
        // SAFETY: the text ends with a zero byte; Lua copies it. There is room for 20 values.
        unsafe { ffi::lua_pushstring(state, c"__index".as_ptr()) };
        // SAFETY: the metatable lies below the key, which is replaced by its value.
        unsafe { ffi::lua_rawget_(state, -2) };
        // SAFETY: the metatable is below the value just read.
        unsafe { ffi::lua_remove(state, -2) };
        // SAFETY: the value is on top.
        if unsafe { ffi::lua_type(state, -1) } == ffi::LUA_TTABLE {
            // SAFETY: there is a first argument.
            unsafe { ffi::lua_replace(state, 1) };
        } else {
            // SAFETY: as above.
            unsafe { ffi::lua_pop(state, 1) };
        }
    }
    // SAFETY: the first upvalue is a C function of the standard library.
    unsafe { go_on(state) }
}

/// `pairs`.
///
/// # Safety
/// Called by Lua as a C function with the upvalues of [`pairs`]. It owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn begin_pairs(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state.
    unsafe { ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE) };
    // SAFETY: as the caller promises.
    let next = if unsafe { is_locked(state) } { 3 } else { 1 };
    // SAFETY: the upvalue exists; there is room for 20 values.
    unsafe { ffi::lua_pushvalue(state, ffi::lua_upvalueindex(next)) };
    // SAFETY: there is a first argument.
    unsafe { ffi::lua_pushvalue(state, 1) };
    // SAFETY: as above.
    unsafe { ffi::lua_pushnil(state) };
    3
}

/// # Safety
/// As for [`bounded`]'s result; it owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn bound(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state; an index without a value has a type of its own.
    if unsafe { ffi::lua_type(state, 2) } == ffi::LUA_TSTRING {
        // SAFETY: there is a string.
        let len = unsafe { ffi::lua_objlen(state, 2) };
        // SAFETY: the upvalue is a number.
        if len as f64 > unsafe { ffi::lua_tonumber(state, ffi::lua_upvalueindex(2)) } {
            // SAFETY: the text ends with a zero byte and asks for no more values.
            return unsafe { ffi::luaL_error(state, c"pattern too complex".as_ptr()) };
        }
    }
    // SAFETY: the first upvalue is a C function of the standard library.
    unsafe { go_on(state) }
}

/// # Safety
/// As for [`unpack`]'s result; it owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn unpack_little(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state; an index without a value has a type of its own.
    if unsafe { ffi::lua_type(state, 1) } == ffi::LUA_TTABLE {
        // SAFETY: there is a table.
        let len = unsafe { ffi::lua_objlen(state, 1) } as f64;
        // SAFETY: the state is valid.
        let first = unsafe { number_or(state, 2, 1.0) };
        // SAFETY: as above.
        let last = unsafe { number_or(state, 3, len) };
        // SAFETY: the upvalue is a number.
        let most = unsafe { ffi::lua_tonumber(state, ffi::lua_upvalueindex(2)) };
        // SAFETY: the state is valid.
        let room = most - f64::from(unsafe { ffi::lua_gettop(state) });
        // What is no number is the function's own to refuse.
        if let (Some(first), Some(last)) = (first, last) {
            let are_small = [first, last].iter().all(|number| (INT_MIN..-INT_MIN).contains(number));
            if !are_small || last - first >= room {
                // SAFETY: the text ends with a zero byte and asks for no more values.
                return unsafe { ffi::luaL_error(state, c"too many results to unpack".as_ptr()) };
            }
        }
    }
    // SAFETY: the first upvalue is a C function of the standard library.
    unsafe { go_on(state) }
}

/// The smallest of C's `int`.
const INT_MIN: f64 = -2_147_483_648.0;

/// An argument that may be left out; `None` when it is something else than a number.
///
/// # Safety
/// The state is a live one.
unsafe fn number_or(state: *mut ffi::lua_State, at: c_int, default: f64) -> Option<f64> {
    // SAFETY: an index without a value has a type of its own.
    if unsafe { ffi::lua_type(state, at) } <= ffi::LUA_TNIL {
        return Some(default);
    }
    // SAFETY: there is a value.
    let is_number = unsafe { ffi::lua_isnumber(state, at) } != 0;
    // SAFETY: as above; a string is read without a change.
    is_number.then(|| unsafe { ffi::lua_tonumber(state, at) })
}

/// Whether the first argument is a key of the second upvalue.
///
/// # Safety
/// From a C function with a table as its second upvalue.
unsafe fn is_locked(state: *mut ffi::lua_State) -> bool {
    // SAFETY: Lua gives a valid state; an index without a value has a type of its own.
    if unsafe { ffi::lua_type(state, 1) } != ffi::LUA_TTABLE {
        return false;
    }
    // SAFETY: a C function may push at least 20 values; there is a value at this index.
    unsafe { ffi::lua_pushvalue(state, 1) };
    // SAFETY: the second upvalue is a table; the key on top is replaced by its value.
    unsafe { ffi::lua_rawget_(state, ffi::lua_upvalueindex(2)) };
    // SAFETY: the value just read is on top.
    let is_locked = unsafe { ffi::lua_toboolean(state, -1) } != 0;
    // SAFETY: as above.
    unsafe { ffi::lua_pop(state, 1) };
    is_locked
}

/// Calls the C function that is the first upvalue in the frame of the one that runs.
///
/// # Safety
/// From a C function that owns nothing, with one of the standard library as its first upvalue.
unsafe fn go_on(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalue exists.
    match unsafe { ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1)) } {
        // SAFETY: functions of the standard library that are wrapped here use no upvalues; the stack holds the arguments.
        Some(function) => unsafe { function(state) },
        None => 0,
    }
}

/// Calls the C function that is the first upvalue, unless the first argument is a key of the second.
///
/// # Safety
/// Called by Lua as a C function with those two upvalues. It owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn guard(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as the caller promises.
    if unsafe { is_locked(state) } {
        // SAFETY: the text ends with a zero byte; Lua copies it.
        unsafe { ffi::lua_pushstring(state, c"Attempt to modify a readonly table".as_ptr()) };
        // SAFETY: the value to raise is on top.
        unsafe { ffi::lua_error(state) };
    }
    // SAFETY: the first upvalue is a C function of the standard library.
    unsafe { go_on(state) }
}

/// Calls the upvalue with all arguments; gives its number of results.
///
/// # Safety
/// From a C function with one upvalue, called by Lua. It owns nothing that a jump out of it would leak.
unsafe fn call_upvalue(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives a valid state; the stack holds the arguments.
    let count = unsafe { ffi::lua_gettop(state) };
    // SAFETY: a C function may push at least 20 values; the upvalue exists.
    unsafe { ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1)) };
    // SAFETY: there is at least the value just pushed.
    unsafe { ffi::lua_insert(state, 1) };
    // SAFETY: the function lies below its `count` arguments.
    unsafe { ffi::lua_call(state, count, ffi::LUA_MULTRET) };
    // SAFETY: the stack holds the results and nothing else.
    unsafe { ffi::lua_gettop(state) }
}

/// Calls the upvalue with all arguments; raises its second result where the first is true.
///
/// # Safety
/// Called by Lua as a C function with one upvalue. It owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn raise(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as the caller promises.
    let results = unsafe { call_upvalue(state) };
    // SAFETY: the first of them lies at the bottom; where there is none, that reads as false.
    let failed = unsafe { ffi::lua_toboolean(state, 1) };
    if failed != 0 {
        // SAFETY: the value to raise is on top.
        unsafe { ffi::lua_error(state) };
    }
    (results - 1).max(0)
}
