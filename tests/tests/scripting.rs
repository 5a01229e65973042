//! Scripts: replies beside those of redis-server, and scripts that never end.

use ochre_tests::{Client, Server, Settings, wait_until};
use std::time::Duration;

/// Scripts without keys or arguments whose replies must be Redis's, byte for byte.
const SCRIPTS: &[&str] = &[
    "return 1",
    "return 3.99",
    "return -3.99",
    "return 'a\\r\\nb'",
    "return {ok='a\\r\\nb'}",
    "return true",
    "return false",
    "return nil",
    "return {1,2,{3,'x',false},3.9,nil,5}",
    "return {{{}}}",
    "return '\\0a'",
    "return {double=3.5}",
    "return {double=1e20}",
    "return {big_number='123'}",
    "return {big_number='123\\r\\n123'}",
    "return {verbatim_string={format='a\\r\\n',string='a\\r\\nb'}}",
    "return {verbatim_string={format='txt',string='abc'}}",
    "return {map={a=1}}",
    "return {set={x=true}}",
    "return {err='abc'}",
    "return {ok='fine'}",
    "return redis.error_reply('abc')",
    "return redis.error_reply('-ABC def')",
    "return redis.error_reply('-ABC')",
    "return redis.error_reply('ABC def')",
    "return redis.error_reply('')",
    "return redis.error_reply('-')",
    "return redis.error_reply('a b\\r\\n')",
    "return redis.error_reply(' a')",
    "return redis.error_reply('--A b')",
    "return redis.status_reply('ok x')",
    "return redis.status_reply(1)",
    "return redis.call('foo')",
    "return redis.call('get')",
    "return redis.pcall('foo').err",
    "return redis.pcall('incr','s')",
    "return redis.call('incr','s')",
    "return redis.call('set','s','v')",
    "return redis.call('get','s')",
    "return {redis.call('get','nosuch'), 1}",
    "return redis.call('lpush','l','a','b')",
    "return redis.call('lrange','l',0,-1)",
    "return redis.call('get',1.5)",
    "return redis.call()",
    "return redis.call({})",
    "return redis.call('subscribe','x')",
    "return redis.call('multi')",
    "return redis.call('ping')",
    "return type(redis.call('ping'))",
    "return string.find(nil,'x')",
    "return ('x'):find()",
    "return {pcall(string.find,nil,'x')}",
    "string.gsub('ping','%w+',redis.pcall)",
    "return unpack(nil)",
    "return {unpack({1,2,3},'x')}",
    "return {unpack({1,2,3},'2','3')}",
    "return type(rawget(redis,'call'))",
    "return type(rawget(_G,'KEYS'))",
    "return rawget(_G,'nope')",
    "for k,v in next,redis do if k=='call' then return v('ping') end end",
    "local t={} for k in pairs(redis) do t[#t+1]=k end table.sort(t) return t",
    "local t={} for k in pairs(string) do t[#t+1]=k end table.sort(t) return t",
    "local _,t=pairs(redis) t.x=1",
    "return redis.setresp('3')",
    "return redis.setresp(2.5)",
    "return redis.setresp({})",
    "return redis.log('2','y')",
    "return redis.log(9,'y')",
    "return redis.error_reply('x ')",
    "return redis.error_reply('\\r\\nx y\\r\\n')",
    "return redis.error_reply('\\nx')",
    "return redis.error_reply('a\\0 b')",
    "error({err=5.5})",
    "return {pcall(error,{err=7})}",
    "return loadstring()",
    "return loadstring({})",
    "return load('x')",
    "return load()",
    "return getmetatable()",
    "local f=coroutine.wrap(function() error('x') end) f()",
    "local f=coroutine.wrap(function() return 1 end) f() f()",
    "coroutine.wrap(1)",
    "local f=coroutine.wrap(function(...) local t={coroutine.yield(...)} return #t end) f(1,2,3) return f(4,5,6,7)",
    "local a,b=load(function() error('x') end) return type(a)",
    "#!lua flags=no-writes,\nreturn 1",
    "#!lua flags=NO-WRITES\nreturn 1",
    "#!lua 'flags=no-writes'\nreturn redis.call('set','s',1)",
    "#!lua \"flags=no-writes\nreturn 1",
    "#! lua\nreturn 1",
    "#!lua flags=\nreturn 1",
    "error('boom')",
    "error({err='X y'})",
    "return x",
    "x=1",
    "string.x=1",
    "redis.foo=1",
    "return rawset(redis,'a',1)",
    "foo bar",
    "if",
    "local x = nil; return x.y",
    "local ok, e = pcall(redis.call, 'foo'); return {type(e), e}",
    "return pcall(function() error('x') end)",
    "local a,b=pcall(function() error('x') end) return b",
    "return redis.sha1hex('abc')",
    "return redis.sha1hex()",
    "redis.log(1)",
    "redis.setresp(4)",
    "redis.setresp(3); return true",
    "redis.setresp(3); return redis.call('get','nosuch')",
    "return #ARGV",
    "return tostring(1e15)",
    "return string.format('%s %d %5.2f', 'x', 3, 2.5)",
    "return {unpack({1,2,3})}",
    "return ('abc'):upper()",
    "local s=0 for i,v in ipairs({1,2,3}) do s=s+v end return s",
    "return loadstring('return 42')()",
    "return select('#',1,2,3)",
    "return math.floor(3.7)",
    "local co = coroutine.wrap(function(a) coroutine.yield(a+1) end) return co(5)",
    "return setmetatable(_G,{})",
    "return getmetatable('')",
    "return tonumber('0x10')",
    "return table.concat({1,2},'-')",
    "#!lua flags=no-writes\nreturn redis.call('set','a',1)",
    "#!foo\nreturn 1",
    "return redis.call('publish','c','m')",
    "return redis.call('select',1)",
];

#[test]
fn replies_are_those_of_redis() {
    for resp in ["2", "3"] {
        let (ours, theirs) = (Server::start(), Settings::new().redis().start());
        let (mut our, mut their) = (ours.client(), theirs.client());
        our.call(&["HELLO", resp]);
        their.call(&["HELLO", resp]);
        for script in SCRIPTS {
            for command in ["EVAL", "EVAL_RO"] {
                let words = [command, script, "0"];
                assert_eq!(our.call(&words), their.call(&words), "RESP{resp} {command} {script}");
            }
        }
        for line in [
            "EVALSHA abc 0",
            "EVALSHA abc x",
            "EVALSHA abc -1",
            "EVALSHA 0123456789012345678901234567890123456789 x",
            "EVALSHA 0123456789012345678901234567890123456789 0",
            "EVAL x -1",
            "EVAL x 3 a",
            "EVAL x y",
            "SCRIPT EXISTS abc",
            "SCRIPT FLUSH foo",
            "SCRIPT KILL",
            "SCRIPT FLUSH",
            "DBSIZE",
        ] {
            assert_eq!(our.run(line), their.run(line), "{line}");
        }
        let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        for words in
            [&["SCRIPT", "LOAD", "return 1"][..], &["EVALSHA", sha, "0"], &["SCRIPT", "EXISTS", sha, "x"]]
        {
            assert_eq!(our.call(words), their.call(words), "{words:?}");
        }
    }
}

fn each(test: impl Fn(&mut Server)) {
    for threads in ["1", "2"] {
        let mut server = Settings::new().set("io-threads", threads).set("lua-time-limit", "30").start();
        test(&mut server);
    }
}

fn wait_for_busy(client: &mut Client) {
    wait_until("the script is busy", || client.run("GET a").is_error("BUSY"));
}

#[test]
fn a_script_that_never_ends_is_killed() {
    each(|server| {
        for script in [
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "local co=coroutine.wrap(function() while true do end end) co()",
            "while true do pcall(redis.call,'ping') end",
        ] {
            let (mut looping, mut other) = (server.client(), server.client());
            looping.send(&["EVAL", script, "0"]);
            wait_for_busy(&mut other);
            assert!(server.client().run("EVAL x 0").is_error("BUSY"));
            assert_eq!(other.run("SCRIPT KILL"), "+OK\r\n");
            assert!(looping.read().is_error("ERR Script killed by user with SCRIPT KILL"), "{script}");
            assert!(other.run("SCRIPT KILL").is_error("NOTBUSY"));
            assert_eq!(other.run("GET a"), "$-1\r\n");
            assert_eq!(looping.run("PING"), "+PONG\r\n");
        }
    });
}

#[test]
fn a_transaction_with_a_slow_script_is_killed_too() {
    each(|server| {
        let (mut looping, mut other) = (server.client(), server.client());
        looping.send_raw(b"MULTI\r\nEVAL \"while true do end\" 0\r\nEXEC\r\nPING\r\n");
        wait_for_busy(&mut other);
        other.run("SCRIPT KILL");
        for reply in ["+OK\r\n", "+QUEUED\r\n"] {
            assert_eq!(looping.read(), reply);
        }
        assert!(looping.read().to_string().starts_with("*1\r\n-ERR Script killed"));
        assert_eq!(looping.read(), "+PONG\r\n");
    });
}

#[test]
fn a_client_leaves_while_its_script_is_busy() {
    each(|server| {
        let mut other = server.client();
        let mut looping = server.client();
        looping.send(&["EVAL", "while true do end", "0"]);
        wait_for_busy(&mut other);
        drop(looping);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(other.run("SCRIPT KILL"), "+OK\r\n");
        wait_until("it is over", || other.run("GET a") == "$-1\r\n");
        wait_until("the client is gone", || server.info("connected_clients") == "2");
    });
}

#[test]
fn a_script_that_wrote_can_only_be_ended_with_the_server() {
    each(|server| {
        let (mut looping, mut other) = (server.client(), server.client());
        looping.send(&["EVAL", "redis.call('set','x',1) while true do end", "0"]);
        wait_for_busy(&mut other);
        assert!(other.run("SCRIPT KILL").is_error("UNKILLABLE"));
        assert!(other.run("SHUTDOWN").is_error("BUSY"));
        let address = other.socket().peer_addr().expect("it is connected");
        other.send(&["SHUTDOWN", "NOSAVE"]);
        // Who sees the connection end finds nobody to connect to.
        assert!(other.try_read().is_err());
        let refused = std::net::TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(server.wait(), Some(0));
    });
}
