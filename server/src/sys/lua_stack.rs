//! Lua's stack, a step at a time: each function here is one call of its C interface.

use mlua::Lua;
use mlua::ffi;
use std::ffi::{CStr, c_int, c_void};

/// A state's stack, as the function sees it that Lua called, or its bottom.
///
/// What puts something on it *jumps* when there is no memory, and so does all that runs Lua: the frames up to the next
/// protected call are gone then, without their destructors. [`Self::new`] asks for what follows from that.
#[derive(Clone, Copy)]
pub(super) struct Stack(*mut ffi::lua_State);

impl Stack {
    /// # Safety
    /// The state lives for as long as this is used. What jumps is called by frames that own nothing, below a protected
    /// call; indexes are those of values that are there; nothing is pushed beyond 20 values or what [`Self::reserve`] has
    /// made room for.
    pub(super) unsafe fn new(state: *mut ffi::lua_State) -> Self {
        Self(state)
    }

    /// Number of values.
    pub(super) fn len(self) -> c_int {
        // SAFETY: see `new`, as for all that follows.
        unsafe { ffi::lua_gettop(self.0) }
    }

    /// Makes room for so many values more. Jumps.
    pub(super) fn reserve(self, room: c_int) {
        // SAFETY: the text ends with a zero byte.
        unsafe { ffi::luaL_checkstack(self.0, room, c"too many values".as_ptr()) };
    }

    /// Drops all values but the first `len`.
    pub(super) fn truncate(self, len: c_int) {
        // SAFETY: `len` is no more than there are.
        unsafe { ffi::lua_settop(self.0, len) };
    }

    /// Takes the last value off and keeps it in the registry; its number there. Jumps.
    pub(super) fn keep(self) -> c_int {
        // SAFETY: there is a value.
        unsafe { ffi::luaL_ref(self.0, ffi::LUA_REGISTRYINDEX) }
    }

    /// Pushes what the registry keeps under a number.
    pub(super) fn kept(self, number: c_int) {
        // SAFETY: any number will do.
        unsafe { ffi::lua_rawgeti_(self.0, ffi::LUA_REGISTRYINDEX, number) };
    }

    /// Pushes a copy of a value.
    pub(super) fn copy(self, at: c_int) {
        // SAFETY: the index is one of a value.
        unsafe { ffi::lua_pushvalue(self.0, at) };
    }

    /// Pushes nil.
    pub(super) fn nil(self) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.0) };
    }

    /// Pushes a boolean.
    pub(super) fn boolean(self, value: bool) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.0, c_int::from(value)) };
    }

    /// Pushes a number.
    pub(super) fn number(self, value: f64) {
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.0, value) };
    }

    /// Pushes an address.
    pub(super) fn address(self, value: *mut c_void) {
        // SAFETY: there is room; Lua does not look at what is there.
        unsafe { ffi::lua_pushlightuserdata(self.0, value) };
    }

    /// The address at an index; null for another value.
    pub(super) fn address_at(self, at: c_int) -> *mut c_void {
        // SAFETY: an index without a value gives null.
        unsafe { ffi::lua_touserdata(self.0, at) }
    }

    /// Pushes a string. Jumps.
    pub(super) fn text(self, bytes: &[u8]) {
        // SAFETY: there are so many bytes, which Lua copies.
        unsafe { ffi::lua_pushlstring_(self.0, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// Pushes a C function with the last `upvalues` values, which it takes. Jumps.
    pub(super) fn function(self, function: ffi::lua_CFunction, upvalues: c_int) {
        // SAFETY: there are so many values.
        unsafe { ffi::lua_pushcclosure(self.0, function, upvalues) };
    }

    /// Pushes a table with room for so many elements and fields. Jumps.
    pub(super) fn table(self, elements: c_int, fields: c_int) {
        // SAFETY: the numbers are no less than zero.
        unsafe { ffi::lua_createtable(self.0, elements.max(0), fields.max(0)) };
    }

    /// Pushes a list of strings. Jumps.
    pub(super) fn list(self, words: &[&[u8]]) {
        self.table(c_int::try_from(words.len()).unwrap_or(0), 0);
        for (index, word) in (1..).zip(words) {
            self.text(word);
            self.set_index(index);
        }
    }

    /// Takes key and value off, into the table at an index. Jumps.
    pub(super) fn set(self, table: c_int) {
        // SAFETY: there is a table at the index, and a key and a value on top.
        unsafe { ffi::lua_rawset(self.0, table) };
    }

    /// Takes a value off, as an element of the table below it. Jumps.
    pub(super) fn set_index(self, index: c_int) {
        // SAFETY: there is a table below the value.
        unsafe { ffi::lua_rawseti_(self.0, -2, index) };
    }

    /// Takes a value off, as a field of the table below it, which has no metatable. Jumps.
    pub(super) fn set_field(self, name: &CStr) {
        // SAFETY: there is a table below the value; the name ends with a zero byte.
        unsafe { ffi::lua_setfield(self.0, -2, name.as_ptr()) };
    }

    /// Calls a function with the last `arguments` values. Jumps.
    pub(super) fn call(self, arguments: c_int, results: c_int) {
        // SAFETY: the function lies below its arguments.
        unsafe { ffi::lua_call(self.0, arguments, results) };
    }

    /// The same; what is raised goes through the function at `handler` and becomes the result. True when nothing was.
    pub(super) fn call_protected(self, arguments: c_int, results: c_int, handler: c_int) -> bool {
        // SAFETY: as above, and there is a function at `handler`.
        unsafe { ffi::lua_pcall(self.0, arguments, results, handler) == ffi::LUA_OK }
    }

    /// Raises the last value. Jumps.
    pub(super) fn raise(self) -> ! {
        // SAFETY: there is a value.
        unsafe { ffi::lua_error(self.0) }
    }

    /// The value at an index, which stays there for `'l`; a table is told as [`Seen::Other`].
    pub(super) fn seen_plainly<'l>(self, at: c_int) -> Seen<'l> {
        // SAFETY: the index may be one without a value.
        match unsafe { ffi::lua_type(self.0, at) } {
            ffi::LUA_TNIL | ffi::LUA_TNONE => Seen::Nil,
            // SAFETY: it is a boolean.
            ffi::LUA_TBOOLEAN => Seen::Boolean(unsafe { ffi::lua_toboolean(self.0, at) } != 0),
            // SAFETY: it is a number.
            ffi::LUA_TNUMBER => Seen::Number(unsafe { ffi::lua_tonumber(self.0, at) }),
            ffi::LUA_TSTRING => {
                let mut len = 0;
                // SAFETY: it is a string, which needs no conversion.
                let bytes = unsafe { ffi::lua_tolstring(self.0, at, &raw mut len) };
                // SAFETY: Lua never moves or changes a string; it lives for as long as it is on the stack.
                Seen::Text(unsafe { std::slice::from_raw_parts(bytes.cast(), len) })
            }
            _ => Seen::Other,
        }
    }

    /// The value at an index from the bottom, which stays there for `'l`. What is read of a table takes three places for
    /// each table on the way, which must be reserved.
    pub(super) fn seen<'l>(self, at: c_int, fields: &'l Fields) -> Seen<'l> {
        // SAFETY: the index may be one without a value.
        if unsafe { ffi::lua_type(self.0, at) } == ffi::LUA_TTABLE {
            return Seen::Table(TableView { stack: self, at, fields });
        }
        self.seen_plainly(at)
    }
}

/// A value of Lua's.
pub enum Seen<'l> {
    /// `nil`
    Nil,
    /// `true` or `false`
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(&'l [u8]),
    /// A table.
    Table(TableView<'l>),
    /// A function, a coroutine or something of the host's.
    Other,
}

/// A field that replies of scripts are told by.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// `err`
    Err,
    /// `ok`
    Ok,
    /// `double`
    Double,
    /// `map`
    Map,
    /// `set`
    Set,
    /// `big_number`
    BigNumber,
    /// `verbatim_string`
    Verbatim,
    /// `format`, in a verbatim string
    Format,
    /// `string`, in a verbatim string
    String,
    /// `ignore_error_stats_update`, in an error: statistics know it from the command that failed
    IsCounted,
    /// `source`, in an error: the chunk where it was raised
    Source,
    /// `line`, in an error
    Line,
}

/// The names of fields, kept by Lua: looking one up needs no memory.
pub struct Fields([c_int; Self::NAMES.len()]);

impl Fields {
    /// In the order of [`Field`].
    const NAMES: [&'static str; 12] = [
        "err",
        "ok",
        "double",
        "map",
        "set",
        "big_number",
        "verbatim_string",
        "format",
        "string",
        "ignore_error_stats_update",
        "source",
        "line",
    ];

    /// Has `lua` keep the names for good.
    ///
    /// # Errors
    /// When it has no memory.
    pub(super) fn new(lua: &Lua) -> mlua::Result<Self> {
        let mut numbers = [0; Self::NAMES.len()];
        for (number, name) in numbers.iter_mut().zip(Self::NAMES) {
            let keep = |state| {
                // SAFETY: the state is the one that runs this, protected; nothing is owned here.
                *number = unsafe { Stack::new(state) }.keep();
            };
            // SAFETY: `keep` takes the string off the stack and leaves nothing.
            unsafe { lua.exec_raw::<()>(name, keep)? };
        }
        Ok(Self(numbers))
    }
}

/// A table on the stack, to be read. Nothing of this needs memory, asks metatables or jumps.
pub struct TableView<'l> {
    stack: Stack,
    at: c_int,
    fields: &'l Fields,
}

impl TableView<'_> {
    /// Shows a field.
    pub fn field<R>(&self, field: Field, show: impl FnOnce(Seen<'_>) -> R) -> R {
        self.stack.kept(self.fields.0[field as usize]);
        // SAFETY: there is a table at the index, and a key on top, whose place the value takes.
        unsafe { ffi::lua_rawget_(self.stack.0, self.at) };
        self.show_last(show)
    }

    /// Shows an element; they are counted from 1.
    pub fn index<R>(&self, index: c_int, show: impl FnOnce(Seen<'_>) -> R) -> R {
        // SAFETY: there is a table at the index.
        unsafe { ffi::lua_rawgeti_(self.stack.0, self.at, index) };
        self.show_last(show)
    }

    fn show_last<R>(&self, show: impl FnOnce(Seen<'_>) -> R) -> R {
        let at = self.stack.len();
        let result = show(self.stack.seen(at, self.fields));
        self.stack.truncate(at - 1);
        result
    }

    /// Shows all keys with their values.
    pub fn each(&self, mut show: impl FnMut(Seen<'_>, Seen<'_>)) {
        let at = self.stack.len();
        self.stack.nil();
        // SAFETY: there is a table at the index, and a key of it on top, or nil to begin with. Nobody changes it meanwhile.
        while unsafe { ffi::lua_next(self.stack.0, self.at) } != 0 {
            show(self.stack.seen(at + 1, self.fields), self.stack.seen(at + 2, self.fields));
            self.stack.truncate(at + 1);
        }
        self.stack.truncate(at);
    }
}
