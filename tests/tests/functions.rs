//! Libraries of functions: replies beside those of redis-server, exchange with it, and functions that never end.

use ochre_tests::{Client, Reply, Server, Settings, wait_until};

/// What a function may do, tried as a function that writes, as one that does not, and while a library is loaded.
const BODIES: &[&str] = &[
    "return 'hello'",
    "return {KEYS, ARGV, #KEYS}",
    "return redis.call('set', KEYS[1], ARGV[1])",
    "return redis.call('get', KEYS[1])",
    "error('x')",
    "error({err = 'MY err'})",
    "return redis.pcall('foo')",
    "return redis.call('foo')",
    "a = 1",
    "return a",
    "return redis.x",
    "return redis.register_function",
    "return redis.breakpoint",
    "return redis.replicate_commands",
    "return redis.set_repl(redis.REPL_NONE)",
    "return redis.set_repl()",
    "return redis.set_repl(7)",
    "return redis.acl_check_cmd('set', 'a', 'b')",
    "return redis.acl_check_cmd('foo')",
    "return redis.acl_check_cmd()",
    "return redis.setresp(3)",
    "return _G.x",
    "redis.call = 1",
    "return getmetatable(_G)",
    "getmetatable(_G).__index = {}",
    "setmetatable(_G, {})",
    "rawset(_G, 'x', 1)",
    "return redis.REPL_ALL",
    "return redis.call('function', 'load', 'x')",
    "return redis.call('fcall', 'f', 0)",
    "return loadstring('return 5')()",
    "return loadstring('x = 5')()",
    "return loadstring(string.dump(function() return 1 end))()",
    "local a = {} for i = 1, 7999 do a[i] = 1 end return select('#', unpack(a))",
    "local a = {} for i = 1, 8000 do a[i] = 1 end return select('#', unpack(a))",
    "return select('#', unpack({}, 1, 7997))",
    "return select('#', unpack({}, 1, 7998))",
    "return {string.gfind('ab', 'a')()}",
    "return {1, nil, 2}",
    "return {double = 1.5}",
    "return {map = {a = 1}}",
];

/// What FUNCTION LOAD makes of whole texts.
const LIBRARIES: &[&str] = &[
    "",
    "x",
    "#!lua",
    "#!lua\n",
    "#!lua name=\n",
    "#!lua name=a b=c\n",
    "#!js name=a\n",
    "#! name=a\n",
    "#!lua name=a name=b\n",
    "#!lua name=\"foo\"\nreturn 1",
    "#!lua name='foo\nreturn",
    "#!LUA NAME=foo\nbad code",
    "#!lua name=foo \n\n\nerror('x')",
    "#!lua name=foo\nlocal x = nil\nx.y=1",
    "#!lua name=a.b\n",
    "#!lua name=foo\nx=1",
    "#!lua name=foo\nredis.call('x')",
    "#!lua name=foo\nredis.log(1)",
    "#!lua name=foo\nredis.x=1",
];

/// Arguments of `redis.register_function`.
const REGISTRATIONS: &[&str] = &[
    "",
    "1",
    "nil, nil",
    "'a', 'b'",
    "'a', function() end, 1",
    "{}",
    "{[{}] = 1}",
    "{function_name = 'a'}",
    "{callback = function() end}",
    "{function_name = {}, callback = function() end}",
    "{function_name = 'a', callback = 1}",
    "{function_name = 'a', callback = function() end, description = {}}",
    "{function_name = 'a', callback = function() end, description = 'd'}",
    "{function_name = 'b', callback = function() end, flags = 1}",
    "{function_name = 'b', callback = function() end, flags = {}}",
    "{function_name = 'b', callback = function() end, flags = {'x'}}",
    "{function_name = 'b', callback = function() end, flags = {{}}}",
    "{function_name = 'b', callback = function() end, flags = {'allow-oom', 'NO-WRITES', 'allow-stale'}}",
    "{function_name = 'b', callback = function() end, flags = {'no-cluster', 'allow-cross-slot-keys'}}",
    "{function_name = 'b', callback = function() end, foo = 1}",
    "'', function() end",
    "'a-b', function() end",
    "12, function() end",
    "{FUNCTION_NAME = 'q', Callback = function() end}",
];

/// The rest, one after the other.
const LINES: &[&str] = &[
    "FUNCTION FLUSH",
    "FUNCTION LOAD \"#!lua name=l1\\nredis.register_function('f1', function() return 1 end)\"",
    "FUNCTION LOAD \"#!lua name=l1\\nredis.register_function('f1', function() return 1 end)\"",
    "FUNCTION LOAD \"#!lua name=l2\\nredis.register_function('F1', function() return 1 end)\"",
    "FUNCTION LOAD REPLACE REPLACE \"#!lua name=l1\\nredis.register_function('f3', function() return 3 end)\"",
    "FCALL f1 0",
    "FCALL F3 0",
    "FCALL f3 x",
    "FCALL f3 -1",
    "FCALL f3 5 a",
    "FCALL nosuch x",
    "FCALL f3",
    "FUNCTION LIST LIBRARYNAME L*",
    "FUNCTION LIST LIBRARYNAME x*",
    "FUNCTION LIST LIBRARYNAME",
    "FUNCTION LIST WITHCODE WITHCODE",
    "FUNCTION LIST LIBRARYNAME a LIBRARYNAME b",
    "FUNCTION LIST \"x\\r\\n+y\"",
    "FUNCTION LOAD a b",
    "FUNCTION LOAD REPLACE",
    "FUNCTION DELETE nosuch",
    "FUNCTION FLUSH x",
    "FUNCTION FLUSH SYNC x",
    "FUNCTION KILL",
    "FUNCTION STATS",
    "FUNCTION HELP",
    "FUNCTION RESTORE x",
    "FUNCTION RESTORE x y",
    "FUNCTION RESTORE x y z",
    "FUNCTION nosuch",
    "FUNCTION DUMP",
    "MULTI",
    "FCALL f3 0",
    "FUNCTION LOAD \"#!lua name=l2\\nredis.register_function('f2', function() return 2 end)\"",
    "EXEC",
    "DEBUG RELOAD",
    "FCALL f2 0",
    "DEBUG RELOAD NOFLUSH",
    "DEBUG RELOAD NOFLUSH MERGE",
    "FUNCTION STATS",
    "FLUSHALL",
    "FCALL f2 0",
    "CONFIG SET maxmemory 1",
    "FCALL f2 0",
    "FUNCTION LOAD x",
    "FUNCTION RESTORE x",
    "EVAL \"#!lua\\nreturn 1\" 0",
    "EVAL \"#!lua flags=no-writes\\nreturn 1\" 0",
    "MULTI",
    "EVAL \"#!lua flags=allow-oom\\nreturn 1\" 0",
    "EXEC",
    "CONFIG SET maxmemory 0",
    "CONFIG SET min-replicas-to-write 1",
    "FCALL f2 0",
    "FUNCTION DELETE l2",
    "EVAL \"return redis.call('set', 'a', 'b')\" 0",
    "EVAL \"#!lua\\nreturn 1\" 0",
    "EVAL \"#!lua flags=no-writes\\nreturn 1\" 0",
    "CONFIG SET min-replicas-to-write 0",
    "EVAL_RO \"#!lua\\nreturn 1\" 0",
    "SCRIPT DEBUG NO",
    "SCRIPT DEBUG x",
    "COMMAND GETKEYS FCALL f 2 a b c",
    "COMMAND GETKEYS FCALL_RO f 1 a",
    "FUNCTION FLUSH ASYNC",
    "FUNCTION LIST",
];

fn library(name: &str, body: &str) -> String {
    format!("#!lua name={name}\n{body}")
}

fn function(body: &str) -> String {
    library("test", &format!("redis.register_function('f', function(KEYS, ARGV) {body} end)"))
}

#[test]
fn replies_are_those_of_redis() {
    let texts: Vec<String> = BODIES
        .iter()
        .map(|body| library("loading", body))
        .chain(LIBRARIES.iter().map(|text| (*text).to_owned()))
        .chain(REGISTRATIONS.iter().map(|args| library("r", &format!("redis.register_function({args})"))))
        .collect();
    for resp in ["2", "3"] {
        let settings = Settings::new().set("enable-debug-command", "yes");
        let (ours, theirs) = (settings.start(), settings.redis().start());
        let (mut our, mut their) = (ours.client(), theirs.client());
        our.call(&["HELLO", resp]);
        their.call(&["HELLO", resp]);
        let mut same = |words: &[&str]| {
            assert_eq!(our.call(words), their.call(words), "RESP{resp} {words:?}");
        };
        for body in BODIES {
            let reads = format!(
                "redis.register_function{{function_name='f', callback=function(KEYS, ARGV) {body} end, flags={{'no-writes'}}}}"
            );
            for text in [function(body), library("test", &reads)] {
                same(&["FUNCTION", "LOAD", "REPLACE", &text]);
                same(&["FCALL", "f", "2", "k1", "k2", "a1", "a2"]);
                same(&["FCALL_RO", "f", "1", "k1"]);
            }
        }
        for text in &texts {
            same(&["FUNCTION", "LOAD", "REPLACE", text]);
            same(&["FUNCTION", "LIST", "LIBRARYNAME", "r", "WITHCODE"]);
        }
        for line in LINES {
            assert_eq!(inline(&mut our, line), inline(&mut their, line), "RESP{resp} {line}");
        }
    }
}

fn call(client: &mut Client, words: &[&str]) -> Reply {
    client.call(words)
}

/// Sends a line as it is, quotes included.
fn inline(client: &mut Client, line: &str) -> Reply {
    client.send_raw(format!("{line}\r\n").as_bytes());
    client.read()
}

#[test]
fn payloads_and_snapshots_are_exchanged_with_redis() {
    let text = library(
        "big",
        &format!("-- {}\nredis.register_function('f', function() return 7 end)", "x".repeat(500)),
    );
    for ours_first in [true, false] {
        let (ours, theirs) = (Server::start(), Settings::new().redis().start());
        let (from, to) = if ours_first { (&ours, &theirs) } else { (&theirs, &ours) };
        let (mut from_client, mut to_client) = (from.client(), to.client());
        assert_eq!(call(&mut from_client, &["FUNCTION", "LOAD", &text]), "$3\r\nbig\r\n");
        let dump = from_client.run("FUNCTION DUMP");
        let bytes = payload(&dump);
        assert_eq!(to_client.call(&[b"FUNCTION", &b"RESTORE"[..], bytes]), "+OK\r\n");
        assert_eq!(to_client.run("FCALL f 0"), ":7\r\n");
        assert_eq!(to_client.run("FUNCTION DUMP"), dump);
        assert_eq!(from_client.run("SAVE"), "+OK\r\n");
        let settings = if ours_first { Settings::new().redis() } else { Settings::new() };
        let next = settings.set("dir", &from.dir().to_string_lossy()).start();
        wait_until("the snapshot is loaded", || next.client().run("FCALL f 0") == ":7\r\n");
    }
}

/// The bytes of a bulk string.
fn payload(reply: &Reply) -> &[u8] {
    let start = reply.0.iter().position(|byte| *byte == b'\n').expect("a bulk string") + 1;
    &reply.0[start..reply.0.len() - 2]
}

#[test]
fn each_kill_ends_its_own_kind() {
    let server = Settings::new().set("busy-reply-threshold", "30").start();
    let (mut looping, mut other) = (server.client(), server.client());
    assert_eq!(call(&mut other, &["FUNCTION", "LOAD", &function("while true do end")]), "$4\r\ntest\r\n");
    let busy = |other: &mut Client| {
        wait_until("it is busy", || other.run("GET a").is_error("BUSY"));
        other.run("GET a").text()
    };
    looping.run("PING");
    looping.send(&["FCALL", "f", "1", "key"]);
    assert!(busy(&mut other).contains("FUNCTION KILL"));
    assert!(other.run("SCRIPT KILL").text().contains("FUNCTION KILL"));
    let stats = other.run("FUNCTION STATS").text();
    assert!(stats.contains("$1\r\nf\r\n") && stats.contains("*4\r\n$5\r\nFCALL\r\n$1\r\nf\r\n"), "{stats}");
    assert_eq!(other.run("FUNCTION KILL"), "+OK\r\n");
    assert!(looping.read().is_error("ERR Script killed by user with SCRIPT KILL"));

    looping.send(&["EVAL", "while true do end", "0"]);
    assert!(busy(&mut other).contains("SCRIPT KILL"));
    for command in ["FUNCTION KILL", "FUNCTION STATS"] {
        assert!(other.run(command).text().contains("You can only call SCRIPT KILL"));
    }
    assert_eq!(other.run("SCRIPT KILL"), "+OK\r\n");
    looping.read();
    assert_eq!(other.run("PING"), "+PONG\r\n");
    let log = server.log();
    assert!(log.contains("using the FUNCTION KILL command. Script name is: f."), "{log}");
}

#[test]
fn a_library_that_takes_too_long_is_not_loaded() {
    let mut server = Server::start();
    let mut client = server.client();
    assert_eq!(call(&mut client, &["FUNCTION", "LOAD", &function("return 1")]), "$4\r\ntest\r\n");
    let endless = "redis.register_function('g', function() end) while true do end";
    let reply = call(&mut client, &["FUNCTION", "LOAD", "REPLACE", &library("test", endless)]);
    assert_eq!(reply, "-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n");
    assert_eq!(client.run("FCALL f 0"), ":1\r\n");
    assert!(client.run("FCALL g 0").is_error("ERR Function not found"));
    assert_eq!(call(&mut client, &["EVAL", "return 2", "0"]), ":2\r\n");
    assert_eq!(
        (server.info("number_of_functions"), server.info("number_of_libraries")),
        ("1".into(), "1".into())
    );
    assert!(server.is_running());
}

#[test]
fn a_library_that_cannot_be_loaded_stops_the_start() {
    // One that Redis loads, since it gives up the name only there.
    let text = library("l", "redis.register_function('f', function() end) redis.nosuch()");
    let header = b"REDIS0010\xf5";
    let length = u8::try_from(text.len()).expect("short");
    assert!(length >= 64, "a length of two bytes");
    let file = [&header[..], &[0x40, length], text.as_bytes(), &[0xff], &[0; 8]].concat();
    let settings = Settings::new();
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("dump.rdb"), file).expect("it can be written");
    let mut server = settings.set("dir", &dir.path().to_string_lossy()).start();
    assert_eq!(server.wait(), Some(1));
    let log = server.log();
    assert!(log.contains("a library of functions can't be loaded: Error registering functions"), "{log}");
    assert!(log.contains("nonexistent global variable 'nosuch'"), "{log}");
}

#[test]
fn scripts_that_came_by_eval_make_room_for_others() {
    let server = Server::start();
    let mut client = server.client();
    let kept = call(&mut client, &["SCRIPT", "LOAD", "return 'kept'"]);
    let kept = kept.text();
    for n in 0..=500 {
        assert_eq!(call(&mut client, &["EVAL", &format!("return {n}"), "0"]), format!(":{n}\r\n").as_str());
    }
    // `return 0`
    let first = "06d3d9b2060dd51343d5f19f0e531f15c507e3d1";
    assert_eq!(client.run(&format!("SCRIPT EXISTS {first} {kept}")), "*2\r\n:0\r\n:1\r\n");
    assert_eq!(
        (server.info("evicted_scripts"), server.info("number_of_cached_scripts")),
        ("1".into(), "501".into())
    );
    assert_eq!(client.run(&format!("SCRIPT SHOW {kept}")), "$13\r\nreturn 'kept'\r\n");
    assert!(client.run(&format!("SCRIPT SHOW {first}")).is_error("NOSCRIPT"));
    assert_eq!(client.run(&format!("EVALSHA {kept} 0")), "$4\r\nkept\r\n");
}

#[test]
fn replicas_that_ask_for_functions_only_get_them() {
    let server = Server::start();
    let mut client = server.client();
    client.run("SET key value");
    call(&mut client, &["FUNCTION", "LOAD", &function("return 1")]);
    for (filter, has_library) in [("functions", true), ("", false)] {
        let mut replica = server.client();
        replica.run("REPLCONF rdb-only 1 capa eof");
        assert_eq!(call(&mut replica, &["REPLCONF", "rdb-filter-only", filter]), "+OK\r\n");
        replica.send(&["SYNC"]);
        let mut seen = Vec::new();
        wait_until("the server has sent the snapshot and closed", || {
            use std::io::Read;
            let mut bytes = [0; 4096];
            let mut socket = replica.socket();
            let count = socket.read(&mut bytes).expect("the server sends");
            seen.extend_from_slice(&bytes[..count]);
            count == 0
        });
        let text = String::from_utf8_lossy(&seen);
        assert_eq!(
            (text.contains("register_function"), text.contains("value")),
            (has_library, false),
            "{text}"
        );
    }
}
