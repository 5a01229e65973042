//! Scripts and their calls on Lua's own interface: what every EVALSHA goes through, without the crate's handles and its
//! protected call for each string and table.
//!
//! An error of Lua is a jump to whoever protects, over all frames between. Hence the order here: first Rust does what it
//! has to and keeps nothing in its frames, then values are pushed, from bytes that somebody else owns.

use super::lua_stack::{Fields, Stack};
use common::number::{format_17g, parse_f64, parse_i64};
use mlua::ffi;
use mlua::{Function, Lua, RegistryKey, Table};
use std::cell::RefCell;
use std::ffi::{CStr, c_int};

pub use super::lua_stack::{Field, Seen, TableView};

/// Depth to which [`Ended::value`] may be followed: each table on the way takes three places of Lua's stack.
pub const MAX_DEPTH: usize = 200;

/// Places that reading a result of the greatest depth takes, and starting a script.
const ROOM: c_int = 3 * MAX_DEPTH as c_int + 40;

/// What `redis.call` leads to: gets the words of a command, and writes its reply in RESP.
pub type Calls = dyn Fn(&[&[u8]], &mut Vec<u8>);

/// What one machine's `redis.call` and `redis.pcall` share.
struct Calling {
    calls: Box<Calls>,
    /// The last reply. It stays here while it is being pushed: a frame that owned it might be jumped over.
    reply: RefCell<Vec<u8>>,
}

/// `redis.call`, which raises what fails, and `redis.pcall`, which gives it. What they need is never freed: a machine
/// lives as long as the process.
///
/// # Errors
/// When Lua has no memory.
pub fn callers(lua: &Lua, calls: Box<Calls>) -> mlua::Result<[Function; 2]> {
    let calling: &'static Calling = Box::leak(Box::new(Calling { calls, reply: RefCell::default() }));
    let caller = |function: ffi::lua_CFunction| {
        let wrap = |state| {
            // SAFETY: the state is the one that runs this, protected; nothing is owned here.
            let stack = unsafe { Stack::new(state) };
            stack.address((&raw const *calling).cast_mut().cast());
            stack.function(function, 1);
        };
        // SAFETY: `wrap` leaves one value, the closure, as the declared result type says.
        unsafe { lua.exec_raw((), wrap) }
    };
    Ok([caller(call)?, caller(call_protected)?])
}

/// The parts of a machine that running a script needs, by their numbers in Lua's registry.
struct Parts {
    /// Makes a table of what a script raised.
    explain: c_int,
    /// [`start`].
    start: c_int,
    /// The globals that scripts see.
    globals: c_int,
    /// The strings `KEYS` and `ARGV`.
    names: [c_int; 2],
}

/// Runs what a [`Lua`] has compiled.
pub struct Machine {
    /// Of `_lua`, whose bottom of the stack is used.
    state: *mut ffi::lua_State,
    /// Keeps the state.
    _lua: Lua,
    parts: Parts,
    fields: Fields,
}

/// A script or function to run.
pub struct Run<'r> {
    /// It, compiled.
    pub program: &'r RegistryKey,
    /// KEYS.
    pub keys: &'r [&'r [u8]],
    /// ARGV.
    pub args: &'r [&'r [u8]],
    /// They are two arguments, not two globals.
    pub are_passed: bool,
}

impl Machine {
    /// Gets ready to run what `lua` compiles. `explain` handles errors, `globals` is what scripts see.
    ///
    /// # Errors
    /// When Lua has no memory.
    pub fn new(lua: &Lua, explain: Function, globals: Table) -> mlua::Result<Self> {
        let names = [lua.create_string("KEYS")?, lua.create_string("ARGV")?];
        let mut parts = [0; 5];
        let mut state = std::ptr::null_mut();
        let [keys, argv] = names;
        let keep = |of| {
            state = of;
            // SAFETY: the state is the one that runs this, protected; nothing is owned here.
            let stack = unsafe { Stack::new(of) };
            stack.function(start, 0);
            parts.iter_mut().for_each(|part| *part = stack.keep());
        };
        // SAFETY: `keep` takes the four values given and the one it pushes off the stack and leaves none; jumped over, it
        // owns nothing.
        unsafe { lua.exec_raw::<()>((keys, argv, globals, explain), keep)? };
        let [start, explain, globals, argv, keys] = parts;
        let fields = Fields::new(lua)?;
        let parts = Parts { explain, start, globals, names: [keys, argv] };
        let machine = Self { state, _lua: lua.clone(), parts, fields };
        // Reading a result may not need memory, as nothing protects it: the room is taken once and for all. A machine that
        // is being made is far below its limit.
        machine.stack().reserve(ROOM);
        Ok(machine)
    }

    /// The bottom of Lua's stack.
    fn stack(&self) -> Stack {
        // SAFETY: `_lua` keeps the state. Outside of Lua's calls, what is done with this can't jump; there is room.
        unsafe { Stack::new(self.state) }
    }

    /// Runs a script to its end. What it returned or raised stays with Lua for as long as the result lives.
    pub fn run(&self, run: &Run<'_>) -> Ended<'_> {
        let stack = self.stack();
        let base = stack.len();
        let wish = Wish { parts: &self.parts, run };
        stack.kept(self.parts.explain);
        stack.kept(self.parts.start);
        stack.address((&raw const wish).cast_mut().cast());
        let is_fine = stack.call_protected(1, 1, base + 1);
        Ended { machine: self, base, is_fine }
    }
}

/// What [`start`] is told.
struct Wish<'r> {
    parts: &'r Parts,
    run: &'r Run<'r>,
}

/// Makes the lists of keys and arguments and runs the script with them.
///
/// # Safety
/// Called by Lua with the address of a [`Wish`]. It owns nothing that a jump out of it would leak.
unsafe extern "C-unwind" fn start(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives its state; the call is protected, and this frame owns nothing.
    let stack = unsafe { Stack::new(state) };
    // SAFETY: `Machine::run` passes a wish that lives until the call is over.
    let Wish { parts, run } = unsafe { &*stack.address_at(1).cast::<Wish<'_>>() };
    stack.truncate(0);
    stack.kept(run.program.id());
    stack.list(run.keys);
    stack.list(run.args);
    if run.are_passed {
        stack.call(2, 1);
        return 1;
    }
    stack.kept(parts.globals);
    for (name, list) in parts.names.into_iter().zip([2, 3]) {
        stack.kept(name);
        stack.copy(list);
        stack.set(4);
    }
    stack.truncate(1);
    stack.call(0, 1);
    1
}

/// How a script ended: the value on top of Lua's stack goes when this does.
pub struct Ended<'m> {
    machine: &'m Machine,
    base: c_int,
    /// It returned a value; otherwise it raised one.
    pub is_fine: bool,
}

impl Ended<'_> {
    /// What the script returned or raised.
    pub fn value(&self) -> Seen<'_> {
        self.machine.stack().seen(self.base + 2, &self.machine.fields)
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.machine.stack().truncate(self.base);
    }
}

/// `redis.call`.
///
/// # Safety
/// Called by Lua, with the address of a [`Calling`] as its upvalue.
unsafe extern "C-unwind" fn call(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua gives its state; a script's calls are protected, and this frame owns nothing.
    let stack = unsafe { Stack::new(state) };
    // SAFETY: as the caller promises.
    if unsafe { perform(stack) } {
        stack.raise();
    }
    1
}

/// `redis.pcall`.
///
/// # Safety
/// As for [`call`].
unsafe extern "C-unwind" fn call_protected(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as in `call`.
    let stack = unsafe { Stack::new(state) };
    // SAFETY: as the caller promises.
    unsafe { perform(stack) };
    1
}

/// Runs the command of the arguments and pushes its reply; true when that is an error.
///
/// # Safety
/// Only from [`call`] and [`call_protected`]. It owns nothing when it pushes.
unsafe fn perform(stack: Stack) -> bool {
    let calling = stack.address_at(ffi::lua_upvalueindex(1)).cast::<Calling>();
    // SAFETY: it is the address that `callers` gave, of what is never freed.
    let calling = unsafe { &*calling };
    let answered = answer(stack, calling);
    stack.truncate(0); // there may be so many arguments that nothing else has room
    if let Err(refused) = answered {
        marked(stack, c"err", refused.to_bytes());
        return true;
    }
    // SAFETY: nothing else runs until the reply is pushed, so that nobody changes it.
    let reply = unsafe { &*calling.reply.as_ptr() };
    if reply.is_empty() {
        stack.nil(); // as in Redis, of a command that answers nothing
        return false;
    }
    push(stack, reply, 0);
    let has_failed = reply.first() == Some(&b'-');
    if reply.capacity() > LARGE {
        calling.reply.take();
    }
    has_failed
}

/// A reply of more bytes is not kept as room for the next.
const LARGE: usize = 64 << 10;

/// Words of a call that need no list of their own.
const FEW: usize = 8;

/// Has the command of the arguments run; its reply lies in `calling` then. Nothing in here jumps.
fn answer(stack: Stack, calling: &Calling) -> Result<(), &'static CStr> {
    let count = stack.len() as usize;
    if count == 0 {
        return Err(c"ERR Please specify at least one argument for this redis lib call");
    }
    let (mut few, mut many): ([&[u8]; FEW], Vec<&[u8]>) = ([b""; FEW], Vec::new());
    let words = if count <= FEW {
        &mut few[..count]
    } else {
        many.resize(count, b"");
        &mut many[..]
    };
    let mut numbers: Vec<(usize, String)> = Vec::new();
    for (at, word) in words.iter_mut().enumerate() {
        match stack.seen_plainly(at as c_int + 1) {
            Seen::Text(text) => *word = text,
            Seen::Number(number) => numbers.push((at, spelled(number))),
            _ => return Err(c"ERR Lua redis lib command arguments must be strings or integers"),
        }
    }
    for (at, text) in &numbers {
        words[*at] = text.as_bytes();
    }
    let mut reply = calling.reply.borrow_mut();
    (calling.calls)(words, &mut reply);
    Ok(())
}

/// A number as a word of a command: whole ones without an exponent, as Redis has it since 7.2.
fn spelled(number: f64) -> String {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let is_whole = number.trunc() == number && (-LIMIT..LIMIT).contains(&number);
    if is_whole { (number as i64).to_string() } else { format_17g(number) }
}

/// Places of the stack that pushing one reply takes besides those within it.
const PUSH_ROOM: c_int = 6;

/// Pushes the reply at `at` as scripts see it; gives where the next one begins.
fn push(stack: Stack, bytes: &[u8], mut at: usize) -> usize {
    while bytes[at] == b'|' {
        at = after(bytes, at); // scripts see no attributes, as in Redis
    }
    let (kind, line, next) = line(bytes, at);
    let count = || parse_i64(line).unwrap_or(0);
    let field = |name: &CStr| stack.set_field(name);
    stack.reserve(PUSH_ROOM);
    match kind {
        b'+' => marked(stack, c"ok", line),
        b'-' => {
            stack.table(0, 2);
            stack.text(line);
            field(c"err");
            stack.boolean(true);
            field(c"ignore_error_stats_update");
        }
        b':' => stack.number(count() as f64),
        b'_' => stack.nil(),
        b'#' => stack.boolean(line == b"t"),
        b'(' => marked(stack, c"big_number", line),
        b',' => {
            stack.table(0, 1);
            stack.number(parse_f64(line).unwrap_or(0.0));
            field(c"double");
        }
        b'$' | b'*' | b'=' if count() < 0 => stack.boolean(false),
        b'$' => {
            stack.text(&bytes[next..next + count() as usize]);
            return next + count() as usize + 2;
        }
        b'=' => {
            let text = &bytes[next..next + count() as usize];
            stack.table(0, 1);
            stack.table(0, 2);
            stack.text(&text[..3]);
            field(c"format");
            stack.text(&text[4..]);
            field(c"string");
            field(c"verbatim_string");
            return next + text.len() + 2;
        }
        b'%' => return push_map(stack, bytes, next, count()),
        b'~' => return push_set(stack, bytes, next, count()),
        _ => return push_list(stack, bytes, next, count()),
    }
    next
}

/// Pushes a table with a text in one field, which says what it is.
fn marked(stack: Stack, field: &CStr, text: &[u8]) {
    stack.table(0, 1);
    stack.text(text);
    stack.set_field(field);
}

fn push_list(stack: Stack, bytes: &[u8], mut at: usize, count: i64) -> usize {
    stack.table(count as c_int, 0);
    for index in 1..=count as c_int {
        at = push(stack, bytes, at);
        stack.set_index(index);
    }
    at
}

fn push_map(stack: Stack, bytes: &[u8], mut at: usize, count: i64) -> usize {
    stack.table(0, 1);
    stack.table(0, count as c_int);
    for _ in 0..count {
        at = push(stack, bytes, at);
        at = push(stack, bytes, at);
        stack.set(-3);
    }
    stack.set_field(c"map");
    at
}

fn push_set(stack: Stack, bytes: &[u8], mut at: usize, count: i64) -> usize {
    stack.table(0, 1);
    stack.table(0, count as c_int);
    for _ in 0..count {
        at = push(stack, bytes, at);
        stack.boolean(true);
        stack.set(-3);
    }
    stack.set_field(c"set");
    at
}

/// Kind and rest of the line at `at`, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> (u8, &[u8], usize) {
    let end = at + memchr::memchr(b'\r', &bytes[at..]).unwrap_or(bytes.len() - at);
    (bytes[at], &bytes[at + 1..end], end + 2)
}

/// Where the reply behind the one at `at` begins. An attribute goes without what it belongs to.
fn after(bytes: &[u8], at: usize) -> usize {
    let (kind, line, mut next) = line(bytes, at);
    let count = parse_i64(line).unwrap_or(0).max(-1);
    let inner = match kind {
        b'$' | b'=' if count >= 0 => return next + count as usize + 2,
        b'*' | b'~' | b'>' => count,
        b'%' | b'|' => 2 * count,
        _ => 0,
    };
    for _ in 0..inner {
        next = after(bytes, next);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlua::StdLib;
    use std::rc::Rc;

    /// A machine whose commands reply what `reply` makes of their words.
    fn machine(reply: impl Fn(&[&[u8]]) -> Vec<u8> + 'static) -> (Lua, Machine) {
        let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE, mlua::LuaOptions::new()).expect("Lua");
        let explain = lua.load("return ...").into_function().expect("a function");
        let calls = Box::new(move |words: &[&[u8]], out: &mut Vec<u8>| *out = reply(words));
        for (name, function) in ["call", "pcall"].into_iter().zip(callers(&lua, calls).expect("memory")) {
            lua.globals().raw_set(name, function).expect("memory");
        }
        let machine = Machine::new(&lua, explain, lua.globals()).expect("memory");
        (lua, machine)
    }

    fn run(lua: &Lua, machine: &Machine, script: &str, args: &[&[u8]]) -> String {
        let function = lua.load(script).set_name("=test").into_function().expect(script);
        let program = lua.create_registry_value(function).expect("memory");
        let ended = machine.run(&Run { program: &program, keys: &[b"k"], args, are_passed: false });
        let text = match ended.value() {
            Seen::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Seen::Number(number) => number.to_string(),
            Seen::Boolean(value) => value.to_string(),
            Seen::Nil => "nil".to_owned(),
            Seen::Table(table) => table.field(Field::Err, |seen| match seen {
                Seen::Text(text) => String::from_utf8_lossy(text).into_owned(),
                _ => "table".to_owned(),
            }),
            Seen::Other => "other".to_owned(),
        };
        format!("{}{text}", if ended.is_fine { "" } else { "raised " })
    }

    #[test]
    fn scripts_get_their_lists_and_give_a_value() {
        let (lua, machine) = machine(|_| Vec::new());
        let check = |script: &str, expected: &str| {
            assert_eq!(run(&lua, &machine, script, &[b"a", b"b"]), expected, "{script}");
        };
        check("return KEYS[1] .. ARGV[1] .. ARGV[2] .. #ARGV", "kab2");
        check("return 12", "12");
        check("return nil", "nil");
        check("return 1 == 1", "true");
        check("return {err = 'text'}", "text");
        check("return function() end", "other");
        check("return 1, 2", "1");
        check("return", "nil");
        check("error('text', 0)", "raised text");
        check("error({err = 'text'})", "raised text");
        assert_eq!(machine.stack().len(), 0);
    }

    #[test]
    fn commands_get_words_and_scripts_their_replies() {
        let (lua, machine) = machine(|words| match words {
            [b"echo", reply] => reply.to_vec(),
            words => {
                let joined = words.join(&b','); // a list of one byte strings would do as well
                [b"+", &joined[..], b"\r\n"].concat()
            }
        });
        let check = |script: &str, expected: &str| {
            assert_eq!(run(&lua, &machine, script, &[]), expected, "{script}");
        };
        check(
            "return call('a', 1, 2.5, -0.0, 1e15, 'b', 7, 8, 9, 10).ok",
            "a,1,2.5,0,1000000000000000,b,7,8,9,10",
        );
        check("return call()", "raised ERR Please specify at least one argument for this redis lib call");
        check("return pcall('a', {}).err", "ERR Lua redis lib command arguments must be strings or integers");
        check("return call('echo', ':12\\r\\n')", "12");
        check("return call('echo', '$3\\r\\na\\r\\n\\r\\n')", "a\r\n");
        check("return call('echo', '$-1\\r\\n')", "false");
        check("return call('echo', '*-1\\r\\n')", "false");
        check("return call('echo', '_\\r\\n')", "nil");
        check("return call('echo', '#t\\r\\n')", "true");
        check("return call('echo', '-ERR no\\r\\n')", "raised ERR no");
        check("return pcall('echo', '-ERR no\\r\\n').err", "ERR no");
        check("return call('echo', ',2.5\\r\\n').double", "2.5");
        check("return call('echo', '(123\\r\\n').big_number", "123");
        check("return call('echo', '=5\\r\\ntxt:x\\r\\n').verbatim_string.string", "x");
        check(
            "local t = call('echo', '*3\\r\\n:1\\r\\n*1\\r\\n$1\\r\\nx\\r\\n:3\\r\\n') return t[1] .. t[2][1] .. t[3]",
            "1x3",
        );
        check("return call('echo', '%1\\r\\n+a\\r\\n:5\\r\\n').map", "table");
        check("local t = call('echo', '%1\\r\\n$1\\r\\na\\r\\n:5\\r\\n').map return t.a", "5");
        check(
            "local t = call('echo', '~2\\r\\n$1\\r\\na\\r\\n:5\\r\\n').set return tostring(t.a) .. tostring(t[5])",
            "truetrue",
        );
        check("return call('echo', '|1\\r\\n+k\\r\\n*2\\r\\n:1\\r\\n$1\\r\\nx\\r\\n:9\\r\\n')", "9");
        // A nil among the keys of a map is Lua's error, raised in the middle of a reply.
        check(
            "return (pcall == nil) or call('echo', '%1\\r\\n_\\r\\n:5\\r\\n')",
            "raised table index is nil",
        );
        check("return call('a', unpack({'b', 'c'})).ok", "a,b,c");
        check("return call('echo', '')", "nil");
        assert_eq!(machine.stack().len(), 0);
    }

    #[test]
    fn tables_are_read_by_field_index_and_pair() {
        let (lua, machine) = machine(|_| Vec::new());
        let script = "return {10, 'x', {20}, ok = 'yes', n = {a = 1}}";
        let program =
            lua.create_registry_value(lua.load(script).into_function().expect("Lua")).expect("memory");
        let ended = machine.run(&Run { program: &program, keys: &[], args: &[], are_passed: true });
        let Seen::Table(table) = ended.value() else { panic!("a table") };
        assert!(table.field(Field::Ok, |seen| matches!(seen, Seen::Text(b"yes"))));
        assert!(table.field(Field::Err, |seen| matches!(seen, Seen::Nil)));
        assert!(table.index(1, |seen| matches!(seen, Seen::Number(10.0))));
        assert!(table.index(3, |seen| match seen {
            Seen::Table(inner) => inner.index(1, |seen| matches!(seen, Seen::Number(20.0))),
            _ => false,
        }));
        let count = Rc::new(std::cell::Cell::new(0));
        table.each(|_, _| count.set(count.get() + 1));
        assert_eq!(count.get(), 5);
        drop(ended);
        assert_eq!(machine.stack().len(), 0);
    }
}
