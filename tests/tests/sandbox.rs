//! The traps of stock Lua 5.1, each sprung: a script gets an error, the server stays whole.

use ochre_tests::{Client, Server, Settings, wait_until};
use std::time::Duration;

/// Scripts that would crash a server with stock Lua or leave it changed, and what their reply must contain.
const TRAPS: &[(&str, &str)] = &[
    // Ranges that overflow what unpack counts with (CVE-2025-46817).
    ("return select('#', pcall(unpack, {1,2,3}, 0, 2147483647))", "2"),
    ("return {unpack({1,2,3}, 0, 2147483647)}", "too many results to unpack"),
    ("return {unpack({1,2,3}, -2147483648, 2147483647)}", "too many results to unpack"),
    ("return {unpack({}, 1, 1e308)}", "too many results to unpack"),
    ("return {unpack({}, 0/0, 1)}", "too many results to unpack"),
    ("return {unpack({}, -1e308, -1e308)}", "too many results to unpack"),
    ("return {unpack({}, 1, 8000)}", "too many results to unpack"),
    // Bytecode is trusted by the loader.
    ("return loadstring(string.dump(function() return 1 end))()", "attempt to call a nil value"),
    ("local _, e = loadstring('\\27Lua') return e", "bytecode is not loaded"),
    (
        "local parts = {string.char(27), 'Lua'} local _, e = load(function() return table.remove(parts, 1) end) return e",
        "bytecode is not loaded",
    ),
    // Numbers and lengths that C code once trusted.
    ("return struct.unpack('I2147483647', 'xx')", "ERR"),
    ("return struct.pack('>I33', 1)", "larger than limit"),
    ("return struct.unpack('s', 'no end')", "ERR"),
    ("return struct.unpack('i4', 'abcdefgh', 2^31 - 1)", "ERR"),
    ("return struct.unpack('i4', 'abcdefgh', -1)", "ERR"),
    ("return bit.tohex(65535, -2147483648)", "0000FFFF"),
    ("return cmsgpack.unpack(string.char(0xdb, 0xff, 0xff, 0xff, 0xff))", "ERR"),
    ("return cmsgpack.unpack_limit('abc', -1)", "ERR"),
    ("local a, b = {}, {} a[1] = b b[1] = a return #cmsgpack.pack(a) > 0 and 'packed' or ''", "packed"),
    ("local a = {} a[1] = a return cjson.encode(a)", "excessive nesting"),
    ("return cjson.decode(string.rep('[', 100000))", "ERR"),
    ("return cjson.decode(string.rep('{\"a\":', 2000))", "ERR"),
    ("local s = string.rep('x', 1e4) return string.format('%99999d', 1)", "invalid format"),
    ("return string.format('%s', string.rep('x', 600)):len()", "600"),
    ("return string.rep('x', -1)", ""),
    // The C stack and Lua's own.
    ("local s = string.rep('a?', 50000) .. string.rep('a', 5000) return s:find(s)", "pattern too complex"),
    ("local s = string.rep('(', 300) .. '1' .. string.rep(')', 300) return loadstring('return ' .. s)", ""),
    ("local _, e = loadstring(string.rep('do ', 1000) .. string.rep(' end', 1000)) return e", "too many"),
    ("local function f() return 1 + f() end return f()", "stack overflow"),
    ("local f f = function(...) return pcall(f, ...) end return tostring((f()))", ""),
    ("local t = {} for i = 1, 500 do t = {t} end return t", "reached lua stack limit"),
    ("local function f(n) return coroutine.wrap(function() return f(n + 1) end)() end return f(1)", "ERR"),
    ("return table.concat({}, 'x', 1, 2^31 - 1)", "ERR"),
    ("return table.getn(setmetatable({}, {__index = function() return 1 end}))", "0"),
    ("return tostring(string.gsub('hello', '', string.rep('x', 100))):len()", "605"),
    ("local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x", "stack overflow"),
    ("table.sort({3, 1, 2, 5, 4, 7, 6}, function() return true end)", "invalid order function"),
    ("return {xpcall(function() error('a') end, function() error('b') end)}", "error in error handling"),
    ("return {xpcall(error, function(e) return tostring(e) .. 'x', 2 end)}", "nilx"),
    ("xpcall(error)", "user_script:1: bad argument #2 to 'xpcall' (value expected)"),
    ("return pcall(rawset, redis, 'a', 1) and 1 or select(2, pcall(table.insert, redis, 1))", "readonly"),
    ("table.insert(nil, 1)", "user_script:1: bad argument #1 to 'insert' (table expected, got nil)"),
    // What other scripts use stays as it is.
    ("string.upper = nil", "Attempt to modify a readonly table"),
    ("redis.call = nil", "Attempt to modify a readonly table"),
    ("cjson.encode = print", "nonexistent global variable 'print'"),
    ("_G.x = 1", "Attempt to modify a readonly table"),
    ("rawset(_G, 'x', 1)", "Attempt to modify a readonly table"),
    ("rawset(redis, 'x', 1)", "Attempt to modify a readonly table"),
    ("setmetatable(_G, {__index = function() return 1 end})", "Attempt to modify a readonly table"),
    ("setmetatable(redis, nil)", "Attempt to modify a readonly table"),
    ("getmetatable('').__index = function() return 1 end", "Attempt to modify a readonly table"),
    ("getmetatable('').__index.upper = nil", "attempt to index field '__index'"),
    ("getmetatable(_G).__index = nil", "Attempt to modify a readonly table"),
    ("table.insert(string, 'x')", "Attempt to modify a readonly table"),
    ("table.insert(_G, 'x')", "Attempt to modify a readonly table"),
    ("local _, t = pairs(redis) t.x = 1", "Attempt to modify a readonly table"),
    (
        "for k, v in pairs(_G) do if type(v) == 'table' then v.x = 1 end end",
        "Attempt to modify a readonly table",
    ),
    ("table.sort(redis)", ""),
    // Ways out.
    ("return print", "nonexistent global variable 'print'"),
    ("return dofile('/etc/passwd')", "nonexistent global variable 'dofile'"),
    ("return loadfile('/etc/passwd')", "nonexistent global variable 'loadfile'"),
    ("return require('os')", "nonexistent global variable 'require'"),
    ("return module('x')", "nonexistent global variable 'module'"),
    ("return package.path", "nonexistent global variable 'package'"),
    ("return io.open('/etc/passwd')", "nonexistent global variable 'io'"),
    ("return debug.getinfo(1)", "nonexistent global variable 'debug'"),
    ("return os.execute('true')", "ERR"),
    ("return os.getenv('HOME')", "ERR"),
    ("return getfenv(0)", "nonexistent global variable 'getfenv'"),
    ("return setfenv(1, {})", "nonexistent global variable 'setfenv'"),
    ("return newproxy(true)", "nonexistent global variable 'newproxy'"),
    ("return host", "nonexistent global variable 'host'"),
    ("return loadstring('return host')()", "nonexistent global variable 'host'"),
    ("x = 1", "Attempt to modify a readonly table"),
    ("loadstring('x = 1')()", "Attempt to modify a readonly table"),
    ("coroutine.wrap(function() x = 1 end)()", "Attempt to modify a readonly table"),
];

/// What a fresh server replies, and one that has been through something has to reply as well.
fn must_be_whole(client: &mut Client) {
    let script = "local t = {('a'):upper(), string.rep('x', 3), cjson.encode({1}), bit.band(7, 3), type(redis.call)} \
                  return t";
    let reply = client.call(&["EVAL", script, "0"]).to_string();
    assert!(reply.contains('A') && reply.contains("xxx") && reply.contains("[1]"), "{reply}");
    let unknown = client.call(&["EVAL", "return x", "0"]).to_string();
    assert!(unknown.contains("nonexistent global variable 'x'"), "{unknown}");
    assert_eq!(client.run("PING"), "+PONG\r\n");
}

#[test]
fn every_trap_ends_in_an_error_or_a_value() {
    let mut server = Server::start();
    let mut client = server.client();
    for (script, expected) in TRAPS {
        let reply = client.call(&["EVAL", script, "0"]).to_string();
        assert!(reply.contains(expected), "{script}\n{reply}");
        let library = format!("#!lua name=trap\nredis.register_function('trap', function() {script} end)");
        client.call(&["FUNCTION", "LOAD", "REPLACE", &library]);
        let reply = client.run("FCALL trap 0").to_string().replace("user_function:2", "user_script:1");
        assert!(reply.contains(expected), "in a function: {script}\n{reply}");
        must_be_whole(&mut client);
    }
    assert!(server.is_running());
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn what_may_end_either_way_ends() {
    let mut server = Server::start();
    let mut client = server.client();
    for script in [
        "return pcall(unpack,{1,2,3},0,2147483647)",
        "return string.find(string.rep('a',100000), string.rep('a?',50000))",
        "return string.find(string.rep('a',9000), string.rep('a?',4900))",
        "local s = string.rep('x', 2000000000) return #s",
        "local t = {} for i=1,1e9 do t[i] = string.rep(tostring(i), 100000) end",
        "local function f() return pcall(f) end return f()",
        "local t = {} t[1] = t return t",
        "return loadstring(string.char(27) .. 'Lua')",
        "return dofile('/etc/passwd')",
        "getmetatable('').__index = nil",
        "error({})",
    ] {
        client.send(&["EVAL", script, "0"]);
        client.try_read().unwrap_or_else(|error| panic!("{script}: {error}"));
    }
    assert_eq!(client.run("PING"), "+PONG\r\n");
    assert!(server.is_running());
}

#[test]
fn a_script_that_runs_away_is_killed_wherever_it_is() {
    let mut server = Settings::new().set("busy-reply-threshold", "20").start();
    for script in [
        "while true do end",
        "repeat until pcall(error) and false",
        "local function f() return f() end f()",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "for i = 1, 1e12 do coroutine.wrap(function() while true do end end)() end",
        "while true do coroutine.resume(coroutine.create(function() error('x') end)) end",
        "local function spin() while true do pcall(function() while true do end end) end end \
         while true do coroutine.resume(coroutine.create(spin)) end",
        "local function spin() while true do end end local function more(f) while true do pcall(coroutine.wrap(f)) end end \
         more(function() more(function() more(spin) end) end)",
        "table.sort({5, 4, 3, 2, 1}, function() while true do end end)",
        "string.gsub(string.rep('x', 100), '.', function() while true do end end)",
        "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
        "local t = setmetatable({}, {__tostring = function() while true do end end}) return tostring(t)",
        "load(function() while true do end end)",
        "while true do loadstring('return 1') end",
        "while true do redis.pcall('get', 'x') end",
        "while true do redis.pcall('nothing') end",
        "while true do cjson.decode('[1,2,3]') end",
        "while true do local s = string.rep('x', 1000000) end",
    ] {
        let (mut runner, mut other) = (server.client(), server.client());
        runner.send(&["EVAL", script, "0"]);
        wait_until("others hear of it", || other.run("GET x").is_error("BUSY"));
        assert_eq!(other.run("SCRIPT KILL"), "+OK\r\n", "{script}");
        let reply = runner.try_read().unwrap_or_else(|error| panic!("{script}: {error}"));
        assert!(reply.is_error("ERR Script killed by user with SCRIPT KILL"), "{script}: {reply}");
        must_be_whole(&mut runner);
    }
    assert!(server.is_running());
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn a_script_that_takes_all_memory_fails_and_gives_it_back() {
    let mut server = Server::start();
    let mut client = server.client();
    // To fill a gigabyte with small things takes ten seconds and more of processor time.
    client.socket().set_read_timeout(Some(Duration::from_secs(180))).expect("a socket takes it");
    for script in [
        "return #string.rep('x', 2^31 - 1)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = string.rep('x', 1000000) .. #t end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        "local t = {} while true do local ok = pcall(function() while true do t[#t + 1] = string.rep('x', 9e6) .. #t end end) \
         if not ok then error('full') end end",
    ] {
        let reply = client.call(&["EVAL", script, "0"]);
        let text = reply.to_string();
        assert!(
            reply.is_error("ERR") && (text.contains("not enough memory") || text.contains("full")),
            "{script}: {text}"
        );
        must_be_whole(&mut client);
    }
    client.run("SCRIPT FLUSH");
    must_be_whole(&mut client);
    let bytes: u64 = server.info("used_memory_lua").parse().expect("a number");
    assert!(bytes < 1 << 20, "{bytes} bytes are still held");
    assert!(server.is_running());
}

#[test]
fn what_is_deprecated_has_no_way_around_the_locks() {
    let server = Settings::new().set("lua-enable-deprecated-api", "yes").start();
    let mut client = server.client();
    for (script, expected) in [
        ("local f = function() return x end setfenv(f, {x = 'seen'}) return f()", "seen"),
        (
            "local e = {x = 'seen'} local f = setfenv(function() return getfenv(1) == e end, {getfenv = getfenv, e = e}) \
          return tostring(f())",
            "false",
        ),
        ("setfenv(1, {x = 'own'}) return x", "own"),
        ("return tostring(getfenv(0) == _G and getfenv(1) == _G and getfenv() == _G)", "true"),
        (
            "return tostring(getfenv(redis.call) == _G and getfenv(unpack) == _G and getfenv(pcall) == _G)",
            "true",
        ),
        ("getfenv(0).string = nil", "Attempt to modify a readonly table"),
        ("getfenv(unpack).raw_unpack = 1", "Attempt to modify a readonly table"),
        ("return getfenv(0).dofile", "nonexistent global variable 'dofile'"),
        (
            "for level = 1, 20 do local ok, e = pcall(getfenv, level) if not ok then break end \
          if e ~= _G then return 'a way out at ' .. level end end return 'none'",
            "none",
        ),
        ("setfenv(0, {})", "cannot change environment"),
        ("setfenv(unpack, {})", "cannot change environment"),
        ("setfenv(redis.call, {})", "cannot change environment"),
        ("setfenv(string.upper, {})", "cannot change environment"),
        (
            "local pcall, setfenv = pcall, setfenv for level = 2, 20 do pcall(setfenv, level, {}) end return 'on'",
            "on",
        ),
        ("local p = newproxy(true) getmetatable(p).__len = function() return 7 end return #p", "7"),
        (
            "local p = newproxy(true) local q = newproxy(p) getmetatable(p).__len = function() return 8 end return #q",
            "8",
        ),
        ("return tostring(getmetatable(newproxy()))", "nil"),
        ("newproxy({})", "boolean or proxy expected"),
        ("local m = getmetatable(newproxy(true)) m.__gc = error return tostring(m.__gc == error)", "true"),
        ("rawset(getmetatable(newproxy(true)), '__gc', error)", "Attempt to modify a readonly table"),
        ("setmetatable(getmetatable(newproxy(true)), nil)", "Attempt to modify a readonly table"),
        // A finalizer that ran would never come to its end.
        (
            "for i = 1, 1000 do getmetatable(newproxy(true)).__gc = function() while true do end end end \
          collectgarbage() collectgarbage() return 'on'",
            "on",
        ),
    ] {
        let reply = client.call(&["EVAL", script, "0"]).to_string();
        assert!(reply.contains(expected), "{script}\n{reply}");
        must_be_whole(&mut client);
    }
    client.run("SCRIPT FLUSH");
    must_be_whole(&mut client);
}

/// The crate between Lua and the server has room for no more than 8,000 values at a time; scripts may have more.
#[test]
fn nothing_is_lost_where_there_is_much() {
    let server = Server::start();
    let mut client = server.client();
    let fill = "local t = {} for i = 1, 7990 do t[i] = 'v' .. i end ";
    for call in ["call", "pcall"] {
        let pushed =
            client.call(&["EVAL", &format!("{fill} return redis.{call}('rpush', '{call}', unpack(t))"), "0"]);
        assert_eq!(pushed, ":7990\r\n");
    }
    client.run("HELLO 3");
    let map = "local m = {} for i = 1, 20000 do m['k' .. i] = 'v' .. i end return {map = m}";
    assert!(client.call(&["EVAL", map, "0"]).to_string().starts_with("%20000\r\n"));
    let set = "local m = {} for i = 1, 20000 do m['k' .. i] = true end return {set = m}";
    assert!(client.call(&["EVAL", set, "0"]).to_string().starts_with("~20000\r\n"));
    let hash = "redis.setresp(3) for i = 1, 20000 do redis.call('hset', 'h', i, 'v' .. i) end return redis.call('hgetall', 'h')";
    assert!(client.call(&["EVAL", hash, "0"]).to_string().starts_with("%20000\r\n"));
    for n in 0..10_000 {
        let sha = client.call(&["SCRIPT", "LOAD", &format!("return {n}")]).text();
        if n % 1_999 == 0 {
            assert_eq!(client.call(&["EVALSHA", &sha, "0"]), format!(":{n}\r\n").as_str());
        }
    }
    let functions: String =
        (0..9_000).map(|n| format!("redis.register_function('f{n}', function() return {n} end)\n")).collect();
    client.call(&["FUNCTION", "LOAD", &format!("#!lua name=many\n{functions}")]);
    assert_eq!(client.run("FCALL f8999 0"), ":8999\r\n");
    must_be_whole(&mut client);
}
