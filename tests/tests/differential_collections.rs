//! Random sequences of the commands of one type of collection against Debian's redis-server, replies and keyspace events
//! compared byte by byte (in sorted order where that is each server's own), and at the end the data by its digest.
//!
//! The seed is printed; `OCHRE_TEST_SEED=n` repeats a run, `OCHRE_TEST_STEPS=n` makes it longer.

use ochre_tests::{Client, Events, Random, Reply, Settings, wait_until};

/// Commands per sequence in a normal run.
const STEPS: usize = 10_000;

const KEYS: &[&str] = &["a", "b", "c", "d", "string"];
const NUMBERS: &[&str] =
    &["0", "1", "2", "5", "-1", "-3", "100", "x", "", "9223372036854775807", "-9223372036854775808"];
const PATTERNS: &[&str] = &["*", "?", "1*", "[ab]*", "*x*", "nothing", "\\a"];

/// How the elements of a reply are put in order: not at all, one by one, or by twos.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Kept,
    Ones,
    Pairs,
    /// As pairs in RESP2, as arrays of two in RESP3.
    Entries,
    /// A cursor, then elements one by one.
    Scan(usize),
}

struct Family {
    templates: &'static [&'static [&'static str]],
    order: fn(&[String]) -> Order,
    /// Settings that both servers know, for each run.
    settings: &'static [&'static [(&'static str, &'static str)]],
}

fn element(r: &mut Random) -> String {
    match r.below(10) {
        0..4 => r.below(20).to_string(),
        4..7 => r.pick(&["a", "b", "c", "abc", "x1", "x2", "", "007", "-0"]).to_owned(),
        7 => (r.bits() as i64 >> r.below(60)).to_string(),
        8 => r.pick(&["9223372036854775807", "-9223372036854775808", "9223372036854775808", "-1"]).to_owned(),
        _ => "long".repeat(1 + r.below(100)),
    }
}

/// A score whose decimal digits are the same however many of them a server writes. No negative zero: whether it keeps
/// its sign hangs on when a set changed its form.
fn score(r: &mut Random) -> String {
    match r.below(10) {
        0..5 => r.below(6).to_string(),
        5..8 => format!("{}{}.{}", r.pick(&["", "-"]), r.below(50), r.pick(&["25", "5", "125"])),
        8 => r.pick(&["inf", "-inf", "+inf", "0", "1e3", "1000000000000"]).to_owned(),
        _ => r.pick(&["nan", "x", "", "1x"]).to_owned(),
    }
}

/// A longitude and a latitude: often close to, or the same as, others.
fn place(r: &mut Random) -> [String; 2] {
    const TOWNS: &[(f64, f64)] = &[
        (13.36, 38.11),
        (15.08, 37.5),
        (-73.98, 40.73),
        (179.9, -16.5),
        (-179.9, -16.7),
        (20.0, 79.5),
        (0.0, 0.0),
    ];
    let near = |r: &mut Random, at: f64| format!("{}", at + (r.below(2000) as f64 - 1000.0) / 10_000.0);
    let (longitude, latitude) = TOWNS[r.below(TOWNS.len())];
    match r.below(16) {
        0..8 => [near(r, longitude), near(r, latitude)],
        8..11 => [longitude.to_string(), latitude.to_string()],
        11..14 => [(r.below(360) as i64 - 180).to_string(), format!("{}.5", r.below(170) as i64 - 85)],
        14 => [
            r.pick(&["180", "-180"]).to_owned(),
            r.pick(&["85.05112878", "-85.05112878", "85", "0"]).to_owned(),
        ],
        _ => [
            r.pick(&["181", "x", "inf", "-180.5", "1"]).to_owned(),
            r.pick(&["86", "", "-inf", "1e300"]).to_owned(),
        ],
    }
}

/// What SORT takes for a number.
fn number(r: &mut Random) -> String {
    match r.below(8) {
        0..5 => (r.below(24) as i64 - 8).to_string(),
        5 => format!("{}.5", r.below(6)),
        6 => r.pick(&["", "-0", "+1", "1e2", "0x1f", " 4", "inf", "-inf", "007"]).to_owned(),
        _ => (r.bits() as i64 >> r.below(60)).to_string(),
    }
}

fn fill(word: &str, r: &mut Random) -> Vec<String> {
    let one = match word {
        "XY" => return place(r).to_vec(),
        "T*" => {
            return (0..1 + r.below(6))
                .flat_map(|_| place(r).into_iter().chain([element(r)]).collect::<Vec<_>>())
                .collect();
        }
        "R" => match r.below(8) {
            0 => r.pick(&["0", "-1", "x", "inf", "1e-9"]).to_owned(),
            1..4 => r.below(30).to_string(),
            4..6 => format!("{}.{}", r.below(300), r.below(100)),
            _ => r.below(20_000).to_string(),
        },
        "U" => r.pick(&["km", "km", "KM", "m", "ft", "mi", "mi", "x"]).to_owned(),
        "C" => (1 + r.below(12)).to_string(),
        "K" => r.pick(KEYS).to_owned(),
        "M" => element(r),
        "M*" => return (0..1 + r.below(12)).map(|_| element(r)).collect(),
        "F*" => return (0..2 * (1 + r.below(6))).map(|_| element(r)).collect(),
        "I" => number(r),
        "I*" => return (0..1 + r.below(8)).map(|_| number(r)).collect(),
        "COL" => r.pick(&["nl", "ns", "nz", "tl", "ts", "tz", "sl", "string", "missing"]).to_owned(),
        "W_" => format!("w_{}", number(r)),
        "H_" => format!("h_{}", number(r)),
        "N" => r.pick(NUMBERS).to_owned(),
        "G" => r.pick(PATTERNS).to_owned(),
        "S" => score(r),
        "W" => r.pick(&["1", "2", "3", "inf", "-inf", "x"]).to_owned(),
        "P*" => return (0..1 + r.below(8)).flat_map(|_| [score(r), element(r)]).collect(),
        "B" => format!("{}{}", r.pick(&["", "", "("]), score(r)),
        "L" if r.below(4) == 0 => r.pick(&["-", "+", "x", "", "(", "["]).to_owned(),
        "L" => format!("{}{}", r.pick(&["[", "("]), element(r)),
        "D" => format!("{}{}.{}", r.pick(&["", "-"]), r.below(1000), r.below(1000)),
        other => other.to_owned(),
    };
    vec![one]
}

fn command(templates: &[&[&str]], r: &mut Random) -> Vec<String> {
    let template = templates[r.below(templates.len())];
    template.iter().flat_map(|word| fill(word, r)).collect()
}

/// The parts that the first `count` replies of `bytes` take, and what follows.
fn split(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut source = Client::over(std::io::Cursor::new(bytes.to_vec()));
    (0..count).map(|_| source.read().0).collect()
}

fn in_order(reply: &Reply, order: Order) -> Vec<u8> {
    let bytes = &reply.0;
    if order == Order::Kept || !matches!(bytes.first(), Some(b'*' | b'~' | b'%')) {
        return bytes.clone();
    }
    let head = bytes.iter().position(|b| *b == b'\n').expect("a line") + 1;
    let len: i64 = String::from_utf8_lossy(&bytes[1..head - 2]).parse().expect("a length");
    let len = len.max(0) as usize * if bytes[0] == b'%' { 2 } else { 1 };
    let mut parts = split(&bytes[head..], len);
    match order {
        Order::Scan(by) if len == 2 => {
            let inner = Reply(parts.pop().expect("the elements"));
            parts.push(in_order(&inner, if by == 2 { Order::Pairs } else { Order::Ones }));
        }
        Order::Pairs | Order::Entries
            if order == Order::Pairs || parts.first().is_some_and(|p| p[0] != b'*') =>
        {
            let mut pairs: Vec<Vec<u8>> = parts.chunks(2).map(<[_]>::concat).collect();
            pairs.sort();
            parts = pairs;
        }
        _ => parts.sort(),
    }
    [&bytes[..head], &parts.concat()].concat()
}

fn run(family: &Family, resp3: bool) {
    let (seed, steps) = (Random::seed(), std::env::var("OCHRE_TEST_STEPS"));
    let steps = steps.ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    println!("seed {seed}, {steps} steps, resp3 {resp3}");
    let mut r = Random::new(seed);
    for settings in family.settings {
        let settings = settings.iter().fold(Settings::new(), |all, (name, value)| all.set(name, value));
        // Without those of missing keys, which SORT meets in the order of a set.
        let settings = settings.set("notify-keyspace-events", "KEAn");
        let (ours, theirs) = (settings.start(), settings.clone().redis().start());
        let (mut our, mut their) = (ours.client(), theirs.client());
        let (mut our_events, mut their_events) = (Events::of(ours.port), Events::of(theirs.port));
        for client in [&mut our, &mut their] {
            if resp3 {
                client.run("HELLO 3");
            }
            client.run("SET string text");
        }
        let mut history: Vec<Vec<String>> = Vec::new();
        for step in 0..steps {
            let words = command(family.templates, &mut r);
            history.push(words.clone());
            let order = (family.order)(&words);
            let (a, b) = (our.call(&words), their.call(&words));
            let (our_news, their_news) = (our_events.take(), their_events.take());
            if in_order(&a, order) != in_order(&b, order) || our_news != their_news {
                let last: String =
                    history.iter().rev().take(40).rev().map(|w| format!("  {w:?}\n")).collect();
                panic!(
                    "seed {seed}, step {step}, after\n{last}ours:   {a:?} {our_news:?}\ntheirs: {b:?} {their_news:?}"
                );
            }
        }
        assert_eq!(our.run("DEBUG DIGEST"), their.run("DEBUG DIGEST"), "seed {seed}");
        exchange(&mut our, &mut their, seed);
        assert_eq!(our.run("DEBUG RELOAD").0, b"+OK\r\n");
        assert_eq!(our.run("DEBUG DIGEST"), their.run("DEBUG DIGEST"), "seed {seed}, after a reload");
    }
}

/// Runs a family's commands, and those of `newer`, with a redis-server as replica, from before its synchronization on,
/// and compares what both hold. Each change has to arrive as commands that it knows.
fn replicate(family: &Family, newer: &'static [&'static [&'static str]]) {
    let seed = Random::seed();
    println!("seed {seed}, {STEPS} steps");
    let mut r = Random::new(seed);
    for settings in family.settings {
        let settings = settings.iter().fold(Settings::new(), |all, (name, value)| all.set(name, value));
        let (ours, theirs) =
            (settings.clone().set("repl-diskless-sync-delay", "0").start(), settings.clone().redis().start());
        let (mut our, mut their) = (ours.client(), theirs.client());
        our.run("SET string text");
        for step in 0..STEPS / 2 {
            if step == STEPS / 10 {
                let port = our.socket().peer_addr().expect("connected").port();
                their.run(&format!("REPLICAOF 127.0.0.1 {port}"));
                wait_until("the replica follows", || theirs.info("master_link_status") == "up");
            }
            let templates = if r.below(8) == 0 && !newer.is_empty() { newer } else { family.templates };
            let words = command(templates, &mut r);
            our.call(&words);
            if step > STEPS / 10 && step % 500 == 0 {
                our.run("SET marker x");
                assert_eq!(our.run("WAIT 1 10000"), ":1\r\n");
                assert_eq!(our.run("DEBUG DIGEST"), their.run("DEBUG DIGEST"), "seed {seed}, step {step}");
            }
        }
    }
}

/// Holds what DUMP says of each key against the other server, and has each take what the other gave.
fn exchange(our: &mut Client, their: &mut Client, seed: u64) {
    let keys = our.run("KEYS *");
    let head = keys.0.iter().position(|b| *b == b'\n').expect("a line") + 1;
    let count = String::from_utf8_lossy(&keys.0[1..head - 2]).parse().expect("a length");
    for compression in ["yes", "no"] {
        for client in [&mut *our, &mut *their] {
            client.run(&format!("CONFIG SET rdbcompression {compression}"));
        }
        for key in split(&keys.0[head..], count) {
            let key = bulk(&key);
            // A digest tells whether a key expires, a payload does not.
            for client in [&mut *our, &mut *their] {
                client.call(&[&b"PERSIST"[..], &key]);
            }
            let (a, b) = (our.call(&[&b"DUMP"[..], &key[..]]), their.call(&[&b"DUMP"[..], &key[..]]));
            let encodings =
                [&mut *our, &mut *their].map(|c| c.call(&[&b"OBJECT"[..], b"ENCODING", &key[..]]));
            // The dictionaries' order is each server's own; a list in one listpack is no quicklist since 7.2. How well
            // something is compressed is no part of the format.
            let has_order = !encodings.iter().any(|name| name.text().contains("hashtable"));
            let same_form = encodings[0] == encodings[1] || encodings[1].text().contains("quicklist");
            // Distances as scores are written with as many digits as they need since 7.2, with 17 before.
            if compression == "no" && has_order && same_form && key != b"dist" {
                assert_eq!(a, b, "seed {seed}, {:?}", String::from_utf8_lossy(&key));
            }
            let digest = our.call(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key[..]]);
            for (client, payload) in [(&mut *our, &b), (&mut *their, &a)] {
                let payload = bulk(&payload.0);
                let taken = client.call(&[&b"RESTORE"[..], b"restored", b"0", &payload[..], b"REPLACE"]);
                assert_eq!(taken.0, b"+OK\r\n", "seed {seed}, {:?}", String::from_utf8_lossy(&key));
                assert_eq!(client.run("DEBUG DIGEST-VALUE restored"), digest, "seed {seed}");
            }
        }
    }
    for client in [our, their] {
        client.run("CONFIG SET rdbcompression yes");
        client.run("DEL restored");
    }
}

/// What a bulk string holds.
fn bulk(wire: &[u8]) -> Vec<u8> {
    let head = wire.iter().position(|b| *b == b'\n').expect("a line") + 1;
    wire[head..wire.len() - 2].to_vec()
}

const SETS: Family = Family {
    templates: &[
        &["SADD", "K", "M*"],
        &["SADD", "K", "M*"],
        &["SADD", "K", "M"],
        &["SREM", "K", "M*"],
        &["SREM", "K", "M"],
        &["SISMEMBER", "K", "M"],
        &["SMISMEMBER", "K", "M*"],
        &["SCARD", "K"],
        &["SMEMBERS", "K"],
        &["SMOVE", "K", "K", "M"],
        &["SMOVE", "K", "K", "M"],
        &["SINTER", "K"],
        &["SINTER", "K", "K"],
        &["SINTER", "K", "K", "K"],
        &["SUNION", "K", "K"],
        &["SUNION", "K", "K", "K"],
        &["SDIFF", "K", "K"],
        &["SDIFF", "K", "K", "K"],
        &["SDIFF", "K"],
        &["SINTERSTORE", "K", "K", "K"],
        &["SUNIONSTORE", "K", "K", "K"],
        &["SDIFFSTORE", "K", "K", "K"],
        &["SINTERSTORE", "string", "K"],
        &["SET", "string", "text"],
        &["SINTERCARD", "2", "K", "K"],
        &["SINTERCARD", "2", "K", "K", "LIMIT", "N"],
        &["SINTERCARD", "N", "K", "K"],
        &["SINTERCARD", "1", "K", "LIMIT"],
        &["SINTERCARD", "1", "K", "FOO", "1"],
        &["SINTERCARD", "1", "K", "LIMIT", "1", "LIMIT", "2"],
        &["SPOP", "K", "100000"],
        &["SPOP", "K", "0"],
        &["SPOP", "K", "x"],
        &["SPOP", "K", "-1"],
        &["SPOP", "K", "1", "1"],
        &["SPOP", "missing"],
        &["SPOP", "missing", "2"],
        &["SRANDMEMBER", "K", "100000"],
        &["SRANDMEMBER", "K", "0"],
        &["SRANDMEMBER", "missing"],
        &["SRANDMEMBER", "missing", "-5"],
        &["SRANDMEMBER", "K", "x"],
        &["SRANDMEMBER", "K", "-9223372036854775808"],
        &["SRANDMEMBER", "K", "1", "2"],
        &["SSCAN", "K", "0", "COUNT", "100000"],
        &["SSCAN", "K", "0", "MATCH", "G", "COUNT", "100000"],
        &["SSCAN", "K", "0", "COUNT", "N", "x"],
        &["SSCAN", "K", "0", "COUNT", "0"],
        &["SSCAN", "K", "x"],
        &["SSCAN", "missing", "0", "COUNT"],
        &["DEL", "K"],
        &["COPY", "K", "K"],
        &["COPY", "K", "K", "REPLACE"],
        &["RENAME", "K", "K"],
        &["TYPE", "K"],
        &["EXISTS", "K"],
        &["SCAN", "0", "TYPE", "set", "COUNT", "1000"],
        &["DEBUG", "DIGEST-VALUE", "K"],
        &["GET", "K"],
        &["LPUSH", "K", "M"],
        &["EXPIRE", "K", "100000"],
    ],
    order: |words| match words[0].as_str() {
        "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "SPOP" | "SRANDMEMBER" => Order::Ones,
        "SSCAN" | "SCAN" => Order::Scan(1),
        _ => Order::Kept,
    },
    settings: &[&[], &[("set-max-intset-entries", "3")], &[("set-max-intset-entries", "0")]],
};

#[test]
fn sets_in_resp2() {
    run(&SETS, false);
}

#[test]
fn sets_in_resp3() {
    run(&SETS, true);
}

#[test]
fn sets_on_a_replica() {
    replicate(&SETS, &[]);
}

// Encodings are not compared: since 7.2 a request with more fields than a listpack may hold makes a dictionary at once,
// even if some of them are the same.
const HASHES: Family = Family {
    templates: &[
        &["HSET", "K", "F*"],
        &["HSET", "K", "F*"],
        &["HSET", "K", "M", "M"],
        &["HSET", "K", "M", "M", "M"],
        &["HMSET", "K", "F*"],
        &["HMSET", "K", "M", "M", "M"],
        &["HSETNX", "K", "M", "M"],
        &["HGET", "K", "M"],
        &["HGET", "K", "M"],
        &["HMGET", "K", "M*"],
        &["HGETALL", "K"],
        &["HKEYS", "K"],
        &["HVALS", "K"],
        &["HLEN", "K"],
        &["HSTRLEN", "K", "M"],
        &["HEXISTS", "K", "M"],
        &["HDEL", "K", "M"],
        &["HDEL", "K", "M*"],
        &["HINCRBY", "K", "M", "N"],
        &["HINCRBY", "K", "counter", "N"],
        &["HINCRBYFLOAT", "K", "M", "D"],
        &["HINCRBYFLOAT", "K", "sum", "D"],
        &["HINCRBYFLOAT", "K", "M", "N"],
        &["HINCRBYFLOAT", "K", "M", "inf"],
        &["HRANDFIELD", "missing"],
        &["HRANDFIELD", "missing", "3"],
        &["HRANDFIELD", "missing", "-3", "WITHVALUES"],
        &["HRANDFIELD", "K", "0"],
        &["HRANDFIELD", "K", "100000"],
        &["HRANDFIELD", "K", "100000", "withvalues"],
        &["HRANDFIELD", "K", "x"],
        &["HRANDFIELD", "K", "5", "foo"],
        &["HRANDFIELD", "K", "5", "WITHVALUES", "x"],
        &["HRANDFIELD", "K", "-9223372036854775808"],
        &["HRANDFIELD", "K", "-9223372036854775807", "WITHVALUES"],
        &["HSCAN", "K", "0", "COUNT", "100000"],
        &["HSCAN", "K", "0", "MATCH", "G", "COUNT", "100000"],
        &["HSCAN", "K", "0", "COUNT", "N", "x"],
        &["HSCAN", "K", "x"],
        &["HSCAN", "missing", "0", "x"],
        &["DEL", "K"],
        &["COPY", "K", "K"],
        &["COPY", "K", "K", "REPLACE"],
        &["RENAME", "K", "K"],
        &["TYPE", "K"],
        &["SCAN", "0", "TYPE", "hash", "COUNT", "1000"],
        &["DEBUG", "DIGEST-VALUE", "K"],
        &["GET", "K"],
        &["SETNX", "K", "text"],
        &["SET", "string", "text"],
        &["EXPIRE", "K", "100000"],
    ],
    order: |words| match words[0].as_str() {
        "HGETALL" => Order::Pairs,
        "HKEYS" | "HVALS" => Order::Ones,
        "HRANDFIELD" if words.len() == 4 => Order::Entries,
        "HRANDFIELD" => Order::Ones,
        "SCAN" => Order::Scan(1),
        "HSCAN" => Order::Scan(2),
        _ => Order::Kept,
    },
    settings: &[
        &[],
        &[("hash-max-listpack-entries", "3")],
        &[("hash-max-listpack-value", "2")],
        &[("hash-max-ziplist-entries", "0"), ("set-max-intset-entries", "0")],
    ],
};

#[test]
fn hashes_in_resp2() {
    run(&HASHES, false);
}

#[test]
fn hashes_in_resp3() {
    run(&HASHES, true);
}

#[test]
fn hashes_on_a_replica() {
    replicate(&HASHES, &[]);
}

const SORTED_SETS: Family = Family {
    templates: &[
        &["ZADD", "K", "P*"],
        &["ZADD", "K", "P*"],
        &["ZADD", "K", "P*"],
        &["ZADD", "K", "S", "M"],
        &["ZADD", "K", "NX", "P*"],
        &["ZADD", "K", "XX", "CH", "P*"],
        &["ZADD", "K", "GT", "P*"],
        &["ZADD", "K", "CH", "LT", "P*"],
        &["ZADD", "K", "XX", "GT", "CH", "P*"],
        &["ZADD", "K", "INCR", "S", "M"],
        &["ZADD", "K", "XX", "INCR", "S", "M"],
        &["ZADD", "K", "NX", "INCR", "S", "M"],
        &["ZADD", "K", "GT", "INCR", "S", "M"],
        &["ZADD", "K", "INCR", "P*"],
        &["ZADD", "K", "NX", "XX", "S", "M"],
        &["ZADD", "K", "NX", "GT", "S", "M"],
        &["ZADD", "K", "LT", "GT", "S", "M"],
        &["ZADD", "K", "CH", "S"],
        &["ZINCRBY", "K", "S", "M"],
        &["ZREM", "K", "M*"],
        &["ZCARD", "K"],
        &["ZSCORE", "K", "M"],
        &["ZMSCORE", "K", "M*"],
        &["ZRANK", "K", "M"],
        &["ZREVRANK", "K", "M"],
        &["ZCOUNT", "K", "B", "B"],
        &["ZLEXCOUNT", "lex", "L", "L"],
        &["ZRANGE", "K", "N", "N"],
        &["ZRANGE", "K", "0", "-1", "WITHSCORES"],
        &["ZRANGE", "K", "N", "N", "REV", "WITHSCORES"],
        &["ZRANGE", "K", "B", "B", "BYSCORE"],
        &["ZRANGE", "K", "B", "B", "BYSCORE", "REV", "WITHSCORES"],
        &["ZRANGE", "K", "B", "B", "BYSCORE", "LIMIT", "N", "N"],
        &["ZRANGE", "K", "B", "B", "BYSCORE", "BYLEX"],
        // Between strings the order means something only where all scores are equal.
        &["ZADD", "lex", "0", "M", "0", "M"],
        &["ZADD", "lex", "0", "M", "0", "M"],
        &["ZRANGE", "lex", "L", "L", "BYLEX"],
        &["ZRANGE", "lex", "L", "L", "BYLEX", "REV", "LIMIT", "N", "N"],
        &["ZRANGE", "lex", "L", "L", "BYLEX", "WITHSCORES"],
        &["ZRANGE", "K", "0", "-1", "LIMIT", "N", "N"],
        &["ZRANGE", "K", "0", "-1", "LIMIT", "1"],
        &["ZREVRANGE", "K", "N", "N"],
        &["ZREVRANGE", "K", "0", "-1", "WITHSCORES"],
        &["ZREVRANGE", "K", "0", "-1", "REV"],
        &["ZRANGEBYSCORE", "K", "B", "B"],
        &["ZRANGEBYSCORE", "K", "B", "B", "WITHSCORES", "LIMIT", "N", "N"],
        &["ZREVRANGEBYSCORE", "K", "B", "B"],
        &["ZREVRANGEBYSCORE", "K", "B", "B", "LIMIT", "N", "N", "WITHSCORES"],
        &["ZRANGEBYLEX", "lex", "L", "L"],
        &["ZRANGEBYLEX", "lex", "L", "L", "LIMIT", "N", "N"],
        &["ZRANGEBYLEX", "lex", "L", "L", "WITHSCORES"],
        &["ZREVRANGEBYLEX", "lex", "L", "L"],
        &["ZRANGESTORE", "K", "K", "N", "N"],
        &["ZRANGESTORE", "K", "K", "B", "B", "BYSCORE", "LIMIT", "N", "N"],
        &["ZRANGESTORE", "K", "lex", "L", "L", "BYLEX", "REV"],
        &["ZRANGESTORE", "K", "K", "0", "-1", "WITHSCORES"],
        &["ZREMRANGEBYRANK", "K", "N", "N"],
        &["ZREMRANGEBYSCORE", "K", "B", "B"],
        &["ZREMRANGEBYLEX", "lex", "L", "L"],
        &["ZPOPMIN", "K"],
        &["ZPOPMAX", "K"],
        &["ZPOPMIN", "K", "N"],
        &["ZPOPMAX", "K", "3"],
        &["ZPOPMAX", "K", "1", "2"],
        &["ZMPOP", "2", "K", "K", "MIN"],
        &["ZMPOP", "2", "K", "K", "MAX", "COUNT", "N"],
        &["ZMPOP", "N", "K", "K", "MAX"],
        &["ZMPOP", "1", "K", "MIN", "COUNT", "1", "COUNT", "2"],
        &["ZMPOP", "1", "K", "FOO"],
        &["BZPOPMIN", "K", "K", "0.01"],
        &["BZPOPMAX", "K", "K", "x"],
        &["BZMPOP", "0.01", "2", "K", "K", "MAX", "COUNT", "2"],
        &["BZMPOP", "x", "N", "K", "K", "MAX"],
        &["ZRANDMEMBER", "K", "100000"],
        &["ZRANDMEMBER", "K", "100000", "WITHSCORES"],
        &["ZRANDMEMBER", "K", "0"],
        &["ZRANDMEMBER", "missing"],
        &["ZRANDMEMBER", "missing", "-5", "WITHSCORES"],
        &["ZRANDMEMBER", "K", "1", "FOO"],
        &["ZRANDMEMBER", "K", "-9223372036854775807", "WITHSCORES"],
        &["ZSCAN", "K", "0", "COUNT", "100000"],
        &["ZSCAN", "K", "0", "MATCH", "G", "COUNT", "100000"],
        &["ZUNION", "2", "K", "K", "WITHSCORES"],
        &["ZUNION", "3", "K", "K", "K", "WEIGHTS", "W", "W", "W", "WITHSCORES"],
        &["ZUNION", "2", "K", "K", "AGGREGATE", "MIN"],
        &["ZINTER", "2", "K", "K", "WITHSCORES"],
        &["ZINTER", "2", "K", "K", "WEIGHTS", "2", "W", "AGGREGATE", "MAX", "WITHSCORES"],
        &["ZINTER", "2", "K", "K", "AGGREGATE", "FOO"],
        &["ZINTER", "2", "K", "K", "WEIGHTS", "2"],
        &["ZINTER", "N", "K", "K"],
        &["ZDIFF", "2", "K", "K", "WITHSCORES"],
        &["ZDIFF", "3", "K", "K", "K"],
        &["ZDIFF", "2", "K", "K", "WEIGHTS", "1", "2"],
        &["ZUNIONSTORE", "K", "2", "K", "K"],
        &["ZUNIONSTORE", "K", "2", "K", "K", "WEIGHTS", "2", "W"],
        &["ZINTERSTORE", "K", "2", "K", "K", "AGGREGATE", "MIN"],
        &["ZINTERSTORE", "K", "0", "K"],
        &["ZDIFFSTORE", "K", "2", "K", "K"],
        &["ZDIFFSTORE", "K", "2", "K", "K", "WITHSCORES"],
        &["ZINTERCARD", "2", "K", "K"],
        &["ZINTERCARD", "2", "K", "K", "LIMIT", "N"],
        &["SADD", "set", "M*"],
        &["ZUNIONSTORE", "K", "2", "K", "set", "WEIGHTS", "1", "2"],
        &["ZINTER", "2", "set", "K", "WITHSCORES"],
        &["ZDIFF", "2", "set", "K", "WITHSCORES"],
        &["DEL", "K"],
        &["COPY", "K", "K", "REPLACE"],
        &["RENAME", "K", "K"],
        &["TYPE", "K"],
        &["OBJECT", "ENCODING", "K"],
        &["SCAN", "0", "TYPE", "zset", "COUNT", "1000"],
        &["DEBUG", "DIGEST-VALUE", "K"],
        &["SET", "string", "text"],
        &["EXPIRE", "K", "100000"],
    ],
    order: |words| match words[0].as_str() {
        "ZRANDMEMBER" => Order::Ones,
        "SCAN" => Order::Scan(1),
        "ZSCAN" => Order::Scan(2),
        _ => Order::Kept,
    },
    settings: &[&[], &[("zset-max-listpack-entries", "0")], &[("zset-max-listpack-entries", "5")]],
};

#[test]
fn sorted_sets_in_resp2() {
    run(&SORTED_SETS, false);
}

#[test]
fn sorted_sets_in_resp3() {
    run(&SORTED_SETS, true);
}

#[test]
fn sorted_sets_on_a_replica() {
    replicate(
        &SORTED_SETS,
        &[
            &["ZUNIONSTORE", "K", "2", "K", "K", "AGGREGATE", "COUNT"],
            &["ZINTERSTORE", "K", "2", "K", "K", "WEIGHTS", "2", "3", "AGGREGATE", "COUNT"],
            &["ZPOPMIN", "K", "C"],
        ],
    );
}

const GEO: Family = Family {
    templates: &[
        &["GEOADD", "K", "T*"],
        &["GEOADD", "K", "T*"],
        &["GEOADD", "K", "T*"],
        &["GEOADD", "K", "T*"],
        &["GEOADD", "K", "XY", "M"],
        &["GEOADD", "K", "XY", "M"],
        &["GEOADD", "K", "NX", "T*"],
        &["GEOADD", "K", "xx", "CH", "T*"],
        &["GEOADD", "K", "CH", "T*"],
        &["GEOADD", "K", "NX", "XX", "T*"],
        &["GEOADD", "K", "NX", "CH", "CH"],
        &["GEOADD", "K", "XY", "M", "M"],
        // Members that nobody gave a place have one.
        &["ZADD", "K", "S", "M"],
        &["ZADD", "K", "P*"],
        &["ZREM", "K", "M*"],
        &["ZRANGE", "K", "0", "-1", "WITHSCORES"],
        &["GEODIST", "K", "M", "M"],
        &["GEODIST", "K", "M", "M", "U"],
        &["GEODIST", "K", "M", "M", "km", "x"],
        &["GEOHASH", "K", "M*"],
        &["GEOHASH", "K"],
        &["GEOPOS", "K", "M*"],
        &["GEOPOS", "K"],
        &["GEOSEARCH", "K", "FROMLONLAT", "XY", "BYRADIUS", "R", "U"],
        &[
            "GEOSEARCH",
            "K",
            "FROMLONLAT",
            "XY",
            "BYRADIUS",
            "R",
            "U",
            "ASC",
            "WITHDIST",
            "WITHCOORD",
            "WITHHASH",
        ],
        &["GEOSEARCH", "K", "FROMLONLAT", "XY", "BYBOX", "R", "R", "U", "WITHHASH"],
        &["GEOSEARCH", "K", "FROMLONLAT", "XY", "BYBOX", "R", "R", "U", "DESC", "WITHDIST"],
        &["GEOSEARCH", "K", "FROMLONLAT", "XY", "BYRADIUS", "R", "km", "COUNT", "C"],
        &["GEOSEARCH", "K", "FROMLONLAT", "XY", "BYRADIUS", "15000", "km", "COUNT", "C", "DESC", "WITHDIST"],
        &["GEOSEARCH", "K", "BYRADIUS", "20000", "km", "FROMLONLAT", "XY", "COUNT", "C", "WITHDIST"],
        &["GEOSEARCH", "K", "BYRADIUS", "20000", "km", "FROMLONLAT", "XY", "COUNT", "C", "ANY"],
        &[
            "GEOSEARCH",
            "K",
            "BYRADIUS",
            "200",
            "km",
            "FROMLONLAT",
            "XY",
            "COUNT",
            "C",
            "ANY",
            "ASC",
            "WITHDIST",
        ],
        &["GEOSEARCH", "K", "BYBOX", "40000", "30000", "km", "FROMLONLAT", "XY"],
        &["GEOSEARCH", "K", "FROMMEMBER", "M", "BYRADIUS", "R", "U", "ASC"],
        &["GEOSEARCH", "K", "FROMMEMBER", "M", "BYBOX", "R", "R", "U", "WITHCOORD"],
        &["GEOSEARCH", "K", "FROMMEMBER", "M", "BYBOX", "R", "R", "U", "FROMLONLAT", "XY"],
        &["GEOSEARCH", "K", "FROMMEMBER", "M", "FROMMEMBER", "M", "BYRADIUS", "R", "U", "BYRADIUS", "R", "U"],
        &["GEOSEARCH", "K", "BYRADIUS", "R", "U", "BYBOX", "R", "R", "U", "FROMLONLAT", "XY"],
        &["GEOSEARCH", "K", "FROMLONLAT", "XY", "ASC", "ASC", "DESC"],
        &["geosearch", "K", "BYRADIUS", "R", "U", "ASC", "ASC"],
        &["GEOSEARCH", "K", "BYRADIUS", "R", "U", "FROMLONLAT", "XY", "ANY"],
        &["GEOSEARCH", "K", "BYRADIUS", "R", "U", "FROMLONLAT", "XY", "COUNT", "N"],
        &["GEOSEARCH", "K", "BYRADIUS", "R", "U", "FROMLONLAT", "XY", "COUNT"],
        &["GEOSEARCH", "K", "BYRADIUS", "R", "U", "FROMLONLAT", "XY", "STOREDIST"],
        &["GEOSEARCH", "K", "FROMLONLAT", "XY", "BYBOX", "R", "R"],
        &["GEOSEARCHSTORE", "K", "K", "FROMLONLAT", "XY", "BYRADIUS", "R", "U"],
        &["GEOSEARCHSTORE", "K", "K", "FROMLONLAT", "XY", "BYBOX", "R", "R", "U", "COUNT", "C"],
        &["GEOSEARCHSTORE", "K", "K", "FROMMEMBER", "M", "BYRADIUS", "20000", "km", "COUNT", "C", "ANY"],
        &["GEOSEARCHSTORE", "dist", "K", "FROMMEMBER", "M", "BYRADIUS", "R", "U", "STOREDIST"],
        &["GEOSEARCHSTORE", "K", "K", "FROMMEMBER", "M", "BYRADIUS", "R", "U", "WITHDIST"],
        &["GEOSEARCHSTORE", "K", "K", "FROMMEMBER", "M", "BYRADIUS", "R", "U", "STORE", "a"],
        &["ZCARD", "dist"],
        &["GEORADIUS", "K", "XY", "R", "U"],
        &["GEORADIUS", "K", "XY", "20000", "km", "WITHDIST", "WITHHASH", "COUNT", "C"],
        &["GEORADIUS", "K", "XY", "R", "U", "DESC", "WITHCOORD"],
        &["GEORADIUS", "K", "XY", "R", "U", "STORE", "K"],
        &["GEORADIUS", "K", "XY", "R", "U", "STOREDIST", "dist"],
        &["GEORADIUS", "K", "XY", "R", "U", "STORE"],
        &["GEORADIUS", "K", "XY", "R", "U", "STORE", "K", "WITHDIST"],
        &["GEORADIUS_RO", "K", "XY", "R", "U", "COUNT", "C", "ANY"],
        &["GEORADIUS_RO", "K", "XY", "R", "U", "STORE", "K"],
        &["GEORADIUSBYMEMBER", "K", "M", "R", "U", "ASC", "WITHDIST"],
        &["GEORADIUSBYMEMBER", "K", "M", "R", "U", "STORE", "K", "STOREDIST", "dist"],
        &["GEORADIUSBYMEMBER", "missing", "M", "x", "x", "STORE", "K"],
        &["GEORADIUSBYMEMBER_RO", "K", "M", "R", "U"],
        &["GEORADIUSBYMEMBER_RO", "missing", "M", "R", "U", "FROMLONLAT"],
        &["COMMAND", "GETKEYSANDFLAGS", "GEORADIUS", "K", "XY", "R", "U", "STORE", "K"],
        &["COMMAND", "GETKEYS", "GEORADIUSBYMEMBER", "K", "M", "R", "U", "storedist", "K", "ASC"],
        &["COMMAND", "GETKEYS", "GEORADIUSBYMEMBER", "K", "M", "R", "U", "ASC", "STORE"],
        &["DEL", "K"],
        &["OBJECT", "ENCODING", "K"],
        &["SET", "string", "text"],
    ],
    order: |_| Order::Kept,
    settings: &[&[], &[("zset-max-listpack-entries", "0")]],
};

#[test]
fn geo_in_resp2() {
    run(&GEO, false);
}

#[test]
fn geo_in_resp3() {
    run(&GEO, true);
}

#[test]
fn geo_on_a_replica() {
    replicate(
        &GEO,
        &[
            &["GEOSEARCHSTORE", "K", "K", "BYPOLYGON", "3", "XY", "XY", "XY"],
            &["GEOSEARCHSTORE", "K", "K", "BYPOLYGON", "4", "XY", "XY", "XY", "XY", "COUNT", "C"],
            &["GEOSEARCHSTORE", "dist", "K", "BYPOLYGON", "5", "XY", "XY", "XY", "XY", "XY", "STOREDIST"],
        ],
    );
}

// Where several elements have the same weight as text, or a set shows its own order, replies are compared without order.
// Encodings of sorted sets are not compared: SORT makes a dictionary of one in Redis.
const SORT: Family = Family {
    templates: &[
        &["RPUSH", "nl", "I*"],
        &["SADD", "ns", "I*"],
        &["ZADD", "nz", "S", "I"],
        &["RPUSH", "tl", "M*"],
        &["SADD", "ts", "M*"],
        &["ZADD", "tz", "S", "M"],
        &["LPOP", "COL", "N"],
        &["SPOP", "ns", "100000"],
        &["ZREMRANGEBYRANK", "nz", "0", "3"],
        &["DEL", "COL"],
        &["SET", "W_", "I"],
        &["SET", "W_", "M"],
        &["DEL", "W_"],
        &["HSET", "H_", "f", "I"],
        &["HSET", "H_", "f", "M"],
        &["SORT", "COL"],
        &["SORT", "COL", "ASC", "DESC"],
        &["SORT", "COL", "alpha"],
        &["SORT", "COL", "ALPHA", "DESC", "LIMIT", "N", "N"],
        &["SORT", "COL", "LIMIT", "N", "N"],
        &["SORT", "COL", "LIMIT", "1"],
        &["SORT", "COL", "FOO"],
        &["SORT", "COL", "STORE"],
        &["SORT", "COL", "GET"],
        &["SORT", "COL", "BY", "w_*"],
        &["SORT", "COL", "BY", "w_*", "LIMIT", "N", "N", "GET", "#", "GET", "w_*", "GET", "h_*->f"],
        &["SORT", "COL", "BY", "h_*->f", "DESC"],
        &["SORT", "COL", "BY", "w_*", "ALPHA"],
        &["SORT", "COL", "BY", "h_*->f", "ALPHA", "DESC"],
        &["SORT", "nl", "BY", "nosort", "LIMIT", "N", "N"],
        &["SORT", "nl", "BY", "nosort", "DESC", "LIMIT", "N", "N", "GET", "w_*"],
        &["SORT", "nz", "BY", "nosort"],
        &["SORT", "nz", "BY", "nosort", "DESC", "LIMIT", "N", "N"],
        &["SORT", "ns", "BY", "nosort"],
        &["SORT", "COL", "BY", "nosort", "BY", "w_*"],
        &[
            "SORT", "COL", "ALPHA", "GET", "h_*->", "GET", "nothing", "GET", "h_*->g", "GET", "w_*->f",
            "GET", "h_*",
        ],
        &["SORT", "COL", "ALPHA", "STORE", "sl"],
        &["SORT", "COL", "STORE", "sl", "DESC"],
        &["SORT", "COL", "BY", "w_*", "LIMIT", "N", "N", "STORE", "sl", "GET", "#", "GET", "w_*"],
        &["SORT", "COL", "BY", "nosort", "STORE", "sl"],
        &["SORT", "COL", "STORE", "nl", "STORE", "sl"],
        &["SORT", "sl", "ALPHA", "STORE", "sl"],
        &["LRANGE", "sl", "0", "-1"],
        &["SORT_RO", "COL"],
        &["SORT_RO", "COL", "ALPHA", "LIMIT", "N", "N"],
        &["SORT_RO", "COL", "STORE", "sl"],
        &["COMMAND", "GETKEYS", "SORT", "COL", "GET", "STORE", "STORE", "a", "store", "b"],
        &["COMMAND", "GETKEYSANDFLAGS", "SORT", "COL", "BY", "x*", "STORE", "b"],
        &["COMMAND", "GETKEYS", "SORT_RO", "COL", "STORE", "b"],
        &["EVAL", "return redis.call('sort', KEYS[1], 'by', 'nosort', 'get', '#')", "1", "COL"],
        &["EXISTS", "sl"],
        &["TYPE", "sl"],
        &["DEBUG", "DIGEST-VALUE", "sl"],
        &["SET", "string", "text"],
    ],
    order: |words| {
        let has = |word: &str| words.iter().any(|w| w.eq_ignore_ascii_case(word));
        let weighed_text = has("by") && has("alpha");
        let own_order = words.get(1).is_some_and(|key| key.ends_with('s')) && has("nosort");
        if words[0] == "SPOP" || words[0] == "SORT" && (weighed_text || own_order) {
            Order::Ones
        } else {
            Order::Kept
        }
    },
    // Not list-max-listpack-size: Redis 7.0 fills what SORT stores as if it had its default.
    settings: &[&[], &[("set-max-intset-entries", "0"), ("zset-max-listpack-entries", "3")]],
};

#[test]
fn sorting_in_resp2() {
    run(&SORT, false);
}

#[test]
fn sorting_in_resp3() {
    run(&SORT, true);
}
