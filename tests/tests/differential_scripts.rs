//! Generated scripts against Debian's redis-server: calls on every type, the conversions of their replies and of what
//! scripts return, in RESP2 and RESP3; replies compared byte by byte, and at the end the data by its digest.
//!
//! The seed is printed; `OCHRE_TEST_SEED=n` repeats a run, `OCHRE_TEST_STEPS=n` makes it longer.

use ochre_tests::{Client, Random, Settings};

/// Scripts in a normal run, for each protocol.
const STEPS: usize = 20_000;

/// A value as an argument of a command, as Lua writes it.
fn argument(r: &mut Random) -> String {
    match r.below(14) {
        0..4 => r.below(12).to_string(),
        4..7 => format!("'{}'", r.pick(&["a", "b", "c", "v1", "long value with spaces", "", "007"])),
        7 => r.pick(&["3.7", "-0.5", "1e20", "1e100", "2^53", "-2^31", "0.1", "1/3"]).to_owned(),
        8 => r.pick(&["'\\0\\1\\255'", "'a\\r\\nb'", "'\\n'", "'\\195\\164'"]).to_owned(),
        9 => "ARGV[1]".to_owned(),
        10 => "ARGV[2]".to_owned(),
        11 => r.pick(&["'3.5'", "'-1'", "'inf'", "'9223372036854775807'", "'x'"]).to_owned(),
        12 => "r1".to_owned(),
        _ => r.pick(&["'(1'", "'[a'", "'-'", "'+'", "'0-1'", "true", "nil", "{}"]).to_owned(),
    }
}

/// The words of a command after `redis.call(`. Sets and maps have one element, as their order is each server's own.
fn command(r: &mut Random) -> String {
    const COMMANDS: &[&str] = &[
        "'set','s',?",
        "'get','s'",
        "'append','s',?",
        "'incrby','n',?",
        "'incrbyfloat','f',?",
        "'strlen','s'",
        "'getrange','s',?,?",
        "'setrange','s',3,?",
        "'mget','s','n','x'",
        "'mset','s',?,'n',7",
        "'set','s',?,'get'",
        "'set','s',?,'px',100000",
        "'pttl','x'",
        "'persist','s'",
        "'setbit','bits',?,1",
        "'bitcount','s'",
        "'getbit','bits',?",
        "'bitfield','bits','set','u8',0,?,'get','i4',?",
        "'lpush','l',?,?",
        "'rpush','l',?",
        "'lpop','l'",
        "'rpop','l',?",
        "'lrange','l',0,-1",
        "'lindex','l',?",
        "'linsert','l','before',?,?",
        "'lpos','l',?",
        "'lmove','l','l2','left','right'",
        "'lmpop',1,'l','left','count',2",
        "'lindex','l',0",
        "'llen','l'",
        "'hset','h','f',?",
        "'hget','h','f'",
        "'hget','h','none'",
        "'hgetall','h'",
        "'hincrby','h','f',?",
        "'hincrbyfloat','h','f',?",
        "'hmget','h','f','none'",
        "'hrandfield','h'",
        "'hrandfield','h',1,'withvalues'",
        "'sadd','st','only'",
        "'srem','st','only'",
        "'smembers','st'",
        "'sismember','st',?",
        "'smismember','st','only',?",
        "'spop','st'",
        "'sinter','st','st'",
        "'sunion','ints','ints'",
        "'sadd','ints',3",
        "'zadd','z',#,?",
        "'zadd','z',1.5,'m'",
        "'zadd','z','incr',2,'m'",
        "'zscore','z','m'",
        "'zmscore','z','m','none'",
        "'zrange','z',0,-1,'withscores'",
        "'zrangebyscore','z','-inf','+inf','withscores'",
        "'zrank','z',?",
        "'zincrby','z',#,'m'",
        "'zpopmin','z'",
        "'zpopmax','z',2",
        "'zrandmember','none',2,'withscores'",
        "'zcard','z'",
        "'zmpop',1,'z','max'",
        "'zdiff',1,'z','withscores'",
        "'geoadd','g',13.5,38.5,'here'",
        "'geodist','g','here','here'",
        "'geohash','g','here'",
        "'pfadd','hll',?",
        "'pfcount','hll'",
        "'xadd','xs','1-1','f',?",
        "'xadd','xs',?,'f','v'",
        "'xrange','xs','-','+'",
        "'xlen','xs'",
        "'xread','streams','xs',0",
        "'xinfo','groups','xs'",
        "'xdel','xs','1-1'",
        "'xtrim','xs','maxlen',2",
        "'type','s'",
        "'type','none'",
        "'exists','s','l','none'",
        "'del',?",
        "'rename','l2','l3'",
        "'copy','s','s2'",
        "'object','encoding','n'",
        "'expire','n',100",
        "'ttl','n'",
        "'sort','l','alpha'",
        "'sort','l'",
        "'dump','none'",
        "'ping'",
        "'ping',?",
        "'echo',?",
        "'select',?",
        "'time',1",
        "'nothing',?",
        "'get'",
        "?",
        "'GET',?,?",
        "'type',?",
        "'publish','c',?",
        "'keys','none*'",
        "'dbsize'",
        "'object','help'",
        "'multi'",
        "'eval','return 1',0",
        "'subscribe','c'",
        "'config','get','maxmemory-policy'",
        "'getex','s'",
        "'lcs','s','s2'",
        "'touch','s'",
        "'substr','s',0,2",
        "'getset','s',?",
        "'setnx','s',?",
        "'msetnx','s',1,'n',1",
        "'move','s2',1",
        "'debug','protocol',?",
    ];
    let words = r.pick(COMMANDS).to_owned();
    let mut text = String::new();
    for letter in words.chars() {
        match letter {
            '?' => text += &argument(r),
            // Doubles are written with as many digits as they need since 7.2, with 17 before: none where that matters.
            '#' => text += r.pick(&["1", "2.5", "-3", "'7.25'", "1e10", "'x'", "ARGV[2]"]),
            _ => text.push(letter),
        }
    }
    text
}

/// A value that a script may return, or keep.
fn value(r: &mut Random, depth: usize) -> String {
    match r.below(if depth > 2 { 12 } else { 22 }) {
        0..4 => r.pick(&["r1", "r2", "r3"]).to_owned(),
        4 => r.pick(&["nil", "true", "false"]).to_owned(),
        5 => r.pick(&["1", "-1", "3.99", "-3.99", "0.5", "2^53", "-2^62", "1e15", "123456789012"]).to_owned(),
        6 => r
            .pick(&["'text'", "''", "'a\\r\\nb'", "'\\0'", "'12'", "12 .. ''", "1.5 .. ''", "1e100 .. ''"])
            .to_owned(),
        7 => format!("type({})", value(r, depth + 1)),
        8 => format!(
            "tostring({})",
            r.pick(&["r1 == nil", "r1 == false", "type(r2) == 'table' and r2.err", "1/3", "2^63", "-0"])
        ),
        9 => r.pick(&["#KEYS", "#ARGV", "KEYS[1]", "ARGV[1]", "ARGV[3]", "KEYS[0]"]).to_owned(),
        10 => r
            .pick(&[
                "type(r1) == 'table' and #r1 or -1",
                "type(r1) == 'table' and (r1.ok or r1.err or r1.double or r1[1])",
                "type(r2) == 'table' and type(r2.map or r2.set or r2[2])",
                "tonumber(tostring(r1))",
                "redis.sha1hex(ARGV[1])",
                "bit.bor(1, 6)",
                "cjson.encode({1, 'x', true, cjson.null, 1.5})",
                "cjson.decode('{\"a\":[1,2,{\"b\":null}]}').a",
                "cmsgpack.unpack(cmsgpack.pack({1, 'two', 3.5, false}))",
                "struct.pack('>Hi4s', 1, -2, 'x')",
                "string.format('%d %s %.3f %q', 5, 'x', 1/3, 'a\\nb')",
                "{unpack({1, 2, 3}, 2)}",
            ])
            .to_owned(),
        11 => format!(
            "redis.{}({})",
            r.pick(&["status_reply", "error_reply"]),
            r.pick(&["'FINE x'", "'-C d'", "''", "'x'", "1", "r1"])
        ),
        12..17 => {
            let items: Vec<String> = (0..r.below(5)).map(|_| value(r, depth + 1)).collect();
            format!("{{{}}}", items.join(", "))
        }
        17 => {
            let field = r.pick(&["ok", "err", "big_number", "map", "set", "other"]).to_owned();
            format!("{{{field} = {}}}", value(r, depth + 1))
        }
        18 => format!("{{map = {{k = {}}}}}", value(r, depth + 1)),
        19 => r
            .pick(&[
                "{set = {m = true}}",
                "{double = -1.25}",
                "{double = 1e10}",
                "{big_number = '12345678901234567890'}",
            ])
            .to_owned(),
        20 => "{verbatim_string = {format = 'mkd', string = 'text'}}".to_owned(),
        _ => format!("({} or {})", value(r, depth + 1), value(r, depth + 1)),
    }
}

fn script(r: &mut Random) -> String {
    let mut text =
        r.pick(&["", "", "", "", "#!lua\n", "#!lua flags=allow-oom\n", "#!lua flags=no-writes\n"]).to_owned();
    if r.below(3) == 0 {
        text += &format!("redis.setresp({}) ", r.pick(&["2", "3", "3", "3"]));
    }
    text += "local r1, r2, r3 ";
    for _ in 0..1 + r.below(4) {
        let (target, command) = (r.pick(&["r1", "r2", "r3"]).to_owned(), command(r));
        text += &match r.below(10) {
            0 => format!("{target} = redis.call({command}) "),
            1 => format!("{target} = select(2, pcall(redis.call, {command})) "),
            2 => format!("for i = 1, 3 do {target} = redis.pcall({command}) end "),
            _ => format!("{target} = redis.pcall({command}) "),
        };
    }
    text += &match r.below(12) {
        0 => format!("return redis.call({})", command(r)),
        1 => format!("return redis.pcall({})", command(r)),
        // A table without an error in it ends redis-server 7.0.
        2 => format!(
            "error({})",
            r.pick(&["'text'", "{err = 'CODE text'}", "'a\\r\\nb'", "12", "true", "nil", "{err = ''}"])
        ),
        _ => format!("return {}", value(r, 0)),
    };
    text
}

fn compare(resp: &str) {
    let seed = Random::seed();
    let steps = std::env::var("OCHRE_TEST_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    println!("OCHRE_TEST_SEED={seed} RESP{resp}, {steps} scripts");
    let settings = Settings::new().set("enable-debug-command", "yes");
    let (ours, theirs) = (settings.start(), settings.redis().start());
    let (mut our, mut their) = (ours.client(), theirs.client());
    our.call(&["HELLO", resp]);
    their.call(&["HELLO", resp]);
    let mut r = Random::new(seed);
    for step in 0..steps {
        let script = script(&mut r);
        let command = if r.below(6) == 0 { "EVAL_RO" } else { "EVAL" };
        let words =
            [command, &script, "2", "s", "l", r.pick(&["arg", "5", "", "-7"]), r.pick(&["b", "2.5", "1"])];
        let reply = |client: &mut Client| {
            client.send(&words);
            client.try_read().unwrap_or_else(|error| panic!("OCHRE_TEST_SEED={seed}: {error}: {words:?}"))
        };
        let (one, other) = (reply(&mut our), reply(&mut their));
        assert_eq!(one, other, "OCHRE_TEST_SEED={seed}, RESP{resp}, script {step}: {words:?}");
        if step % 500 == 499 {
            for line in ["DEBUG DIGEST", "DBSIZE"] {
                assert_eq!(
                    our.run(line),
                    their.run(line),
                    "OCHRE_TEST_SEED={seed}, RESP{resp}, {line} after {step}"
                );
            }
        }
    }
    let errors = |server: &ochre_tests::Server| server.client().run("INFO errorstats").text();
    assert_eq!(errors(&ours), errors(&theirs), "OCHRE_TEST_SEED={seed}, RESP{resp}");
}

#[test]
fn scripts_reply_as_in_redis_in_resp2() {
    compare("2");
}

#[test]
fn scripts_reply_as_in_redis_in_resp3() {
    compare("3");
}
