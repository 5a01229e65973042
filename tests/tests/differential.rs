//! Random command sequences against Debian's redis-server, replies and keyspace events compared byte by byte.
//!
//! The seed is printed; `OCHRE_TEST_SEED=n` repeats a run, `OCHRE_TEST_STEPS=n` makes it longer, `OCHRE_TEST_ALL=1` prints every
//! difference instead of stopping at the first.

#[path = "differential/admin.rs"]
mod admin;
#[path = "differential/groups.rs"]
mod groups;
#[path = "differential/libraries.rs"]
mod libraries;

use ochre_tests::{Client, Events, Reply, Settings};

/// Commands per sequence in a normal run.
const STEPS: usize = 20_000;

/// A small generator: reproducible, no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }
}

const KEYS: &[&str] = &["a", "b", "c", "d", "e", "list", "list2", "counter", "k:1", "k:2"];
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "10",
    "007",
    "+5",
    "-0",
    "3.5",
    "1e3",
    " 1",
    "abc",
    "hello world",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "\r\n",
    "nan",
    "inf",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "5",
    "-1",
    "-2",
    "-100",
    "100",
    "x",
    "",
    "9223372036854775807",
    "-9223372036854775808",
    "3.2",
];
const TIMES: &[&str] = &["1000000", "5000000", "0", "-5", "x", "9223372036854775807", "9223372036854774"];
/// Points in time: long ago, far away. Nothing expires while the test looks.
const MOMENTS: &[&str] = &["1000", "0", "-5", "x", "4000000000000", "5000000000000", "9223372036854775807"];
const PATTERNS: &[&str] = &["*", "?", "k:*", "[ab]", "[^a]", "list?", "nothing", "\\a"];

/// Commands whose replies depend on order or chance are left out here and tested by themselves: SCAN, KEYS with
/// several hits, RANDOMKEY, TIME, CLIENT LIST; and OBJECT REFCOUNT, where Redis counts the words of queued commands.
fn command(r: &mut Random) -> Vec<String> {
    let template: &[&[&'static str]] = &[
        &["GET", "K"],
        &["GET", "K"],
        &["SET", "K", "V"],
        &["SET", "K", "V"],
        &["SET", "K", "V", "O"],
        &["SET", "K", "V", "O", "O"],
        &["SET", "K", "V", "E", "T"],
        &["SET", "K", "V", "F", "A"],
        &["SET", "K", "V", "F", "A", "O"],
        &["SET", "K", "V", "O", "E", "T"],
        &["SET", "K", "V", "E", "T", "O"],
        &["SET", "K", "V", "E"],
        &["SET", "K", "V", "E", "T", "E", "T"],
        &["SET", "K", "V", "O", "E", "T", "O"],
        &["SETNX", "K", "V"],
        &["SETEX", "K", "T", "V"],
        &["PSETEX", "K", "T", "V"],
        &["GETSET", "K", "V"],
        &["GETDEL", "K"],
        &["GETEX", "K"],
        &["GETEX", "K", "E", "T"],
        &["GETEX", "K", "F", "A"],
        &["GETEX", "K", "P"],
        &["GETEX", "K", "P", "E", "T"],
        &["GETEX", "K", "E", "T", "E", "T"],
        &["GETEX", "K", "E"],
        &["GETEX", "K", "O"],
        &["LCS", "K", "K"],
        &["LCS", "K", "K", "W"],
        &["LCS", "K", "K", "W", "W"],
        &["LCS", "K", "K", "W", "MINMATCHLEN", "N"],
        &["LCS", "K", "L", "IDX", "MINMATCHLEN", "N", "WITHMATCHLEN"],
        &["MGET", "K", "K", "K"],
        &["MSET", "K", "V", "K", "V"],
        &["MSET", "K", "V", "K"],
        &["MSETNX", "K", "V", "K", "V"],
        &["INCR", "K"],
        &["DECR", "K"],
        &["INCRBY", "K", "N"],
        &["DECRBY", "K", "N"],
        &["INCRBYFLOAT", "K", "V"],
        &["APPEND", "K", "V"],
        &["STRLEN", "K"],
        &["SETRANGE", "K", "N", "V"],
        &["GETRANGE", "K", "N", "N"],
        &["SUBSTR", "K", "N", "N"],
        &["DEL", "K"],
        &["DEL", "K", "K"],
        &["UNLINK", "K"],
        &["EXISTS", "K", "K", "K"],
        &["TYPE", "K"],
        &["TOUCH", "K"],
        &["EXPIRE", "K", "T"],
        &["EXPIRE", "K", "T", "Y"],
        &["PEXPIRE", "K", "T", "Y", "Y"],
        &["EXPIREAT", "K", "A"],
        &["PEXPIREAT", "K", "A", "X"],
        &["PERSIST", "K"],
        &["EXPIREAT", "K", "A", "X", "X"],
        &["PEXPIREAT", "K", "A", "X"],
        &["EXPIRE", "K", "A", "X"],
        &["EXPIRE", "K"],
        &["EXPIRE", "K", "T", "Y", "V"],
        &["PEXPIRETIME", "missing"],
        &["RENAME", "K", "K"],
        &["RENAME", "K", "L"],
        &["RENAME", "L", "L"],
        &["RENAMENX", "K", "K"],
        &["RENAMENX", "L", "L"],
        &["MOVE", "K", "D"],
        &["MOVE", "L", "D"],
        &["COPY", "K", "K"],
        &["COPY", "L", "L"],
        &["COPY", "L", "K", "C"],
        &["COPY", "K", "K", "C", "C"],
        &["COPY", "K", "K", "DB", "D"],
        &["COPY", "L", "L", "DB", "D", "C"],
        &["COPY", "K", "K", "C", "DB", "D"],
        &["TOUCH", "K", "K", "L"],
        &["OBJECT", "IDLETIME", "missing"],
        &["OBJECT", "FREQ", "missing"],
        &["OBJECT", "REFCOUNT", "missing"],
        &["OBJECT", "V", "K"],
        &["DEBUG", "DIGEST"],
        &["DEBUG", "DIGEST-VALUE", "K", "L", "K"],
        &[SCAN_ALL],
        &[SCAN_ALL, "MATCH", "G"],
        &[SCAN_ALL, "COUNT", "M", "MATCH", "G"],
        &[SCAN_ALL, "TYPE", "Q"],
        &[SCAN_ALL, "TYPE", "Q", "COUNT", "M"],
        &[SCAN_ALL, "MATCH", "G", "TYPE", "Q", "COUNT", "M"],
        &["SCAN", "0", "V"],
        &["SCAN", "0", "COUNT", "0"],
        &["SCAN", "0", "COUNT", "x"],
        &["SCAN", "0", "TYPE"],
        &["KEYS", "G"],
        &["EXPIRETIME", "K"],
        &["TTL", "missing"],
        &["PTTL", "missing"],
        &["DBSIZE"],
        &["KEYS", "nothing"],
        &["KEYS", "a"],
        &["SCAN", "0", "MATCH", "none", "COUNT", "1000"],
        &["SCAN", "N", "COUNT", "x"],
        &["SCAN", "x"],
        &["LPUSH", "L", "V"],
        &["LPUSH", "L", "V", "V", "V"],
        &["RPUSH", "L", "V"],
        &["RPUSH", "L", "V", "V"],
        &["LPUSHX", "L", "V"],
        &["RPUSHX", "L", "V", "V"],
        &["LPOP", "L"],
        &["RPOP", "L"],
        &["LPOP", "L", "N"],
        &["RPOP", "L", "N"],
        &["LPOP", "L", "1", "2"],
        &["LLEN", "L"],
        &["LRANGE", "L", "N", "N"],
        &["LRANGE", "L", "0", "-1"],
        &["BLPOP", "L", "K", "0.01"],
        &["BRPOP", "L", "x"],
        &["BLPOP", "L", "-1"],
        &["LPUSH", "K", "V"],
        &["LLEN", "K"],
        &["LRANGE", "K", "0", "-1"],
        &["GET", "L"],
        &["INCR", "L"],
        &["SELECT", "N"],
        &["SELECT", "1"],
        &["SELECT", "0"],
        &["SWAPDB", "0", "1"],
        &["SWAPDB", "N", "N"],
        &["FLUSHDB"],
        &["FLUSHALL", "ASYNC"],
        &["FLUSHDB", "x"],
        &["MULTI"],
        &["EXEC"],
        &["EXEC", "x"],
        &["CONFIG", "SET", "hz", "10", "timeout"],
        &["DISCARD"],
        &["WATCH", "K"],
        &["UNWATCH"],
        &["MULTI"],
        &["EXEC"],
        &["EXEC"],
        &["PING"],
        &["PING", "V"],
        &["PING", "V", "V"],
        &["ECHO", "V"],
        &["ECHO"],
        &["OBJECT", "FREQ", "K"],
        &["OBJECT", "ENCODING", "missing"],
        &["PUBLISH", "K", "V"],
        &["PUBSUB", "NUMPAT"],
        &["PUBSUB", "NUMSUB", "K"],
        &["PUBSUB", "CHANNELS", "G"],
        &["CLIENT", "GETNAME"],
        &["CLIENT", "SETNAME", "V"],
        &["CLIENT", "KILL", "V"],
        &["CLIENT", "KILL", "ID", "N"],
        &["CLIENT", "UNBLOCK", "99999"],
        &["CLIENT", "UNBLOCK", "N", "V"],
        &["CLIENT", "NO-EVICT", "V"],
        &["CLIENT", "REPLY", "V"],
        &["CLIENT"],
        &["CLIENT", "FOO"],
        &["OBJECT", "ENCODING"],
        &["CONFIG", "GET"],
        &["CONFIG", "FOO", "V"],
        &["NOSUCH", "V", "V"],
        &["", "V"],
        &["HELLO", "N"],
        &["AUTH", "V"],
        &["AUTH", "default", "V"],
        &["AUTH", "V", "V", "V"],
        &["COMMAND", "COUNT", "x"],
        &["COMMAND", "GETKEYS", "MSET", "K", "V", "K", "V"],
        &["COMMAND", "GETKEYSANDFLAGS", "SET", "K", "V"],
        &["COMMAND", "GETKEYSANDFLAGS", "SET", "K", "get"],
        &["COMMAND", "GETKEYSANDFLAGS", "COPY", "K", "K", "REPLACE"],
        &["COMMAND", "GETKEYSANDFLAGS", "RENAMENX", "K", "K"],
        &["COMMAND", "GETKEYSANDFLAGS", "LCS", "K", "K"],
        &["COMMAND", "INFO", "nosuch"],
        &["CLUSTER", "B"],
        &["CLUSTER", "B", "V"],
        &["CLUSTER"],
        &["READONLY"],
        &["READWRITE"],
        &["ASKING"],
        &["MODULE", "LIST"],
        &["MODULE", "LOAD", "V"],
        &["MODULE", "UNLOAD", "V"],
        &["MODULE", "V"],
        &["LATENCY", "LATEST"],
        &["LATENCY", "HISTORY", "V"],
        &["LATENCY", "GRAPH", "V"],
        &["LATENCY", "RESET", "V"],
        &["LATENCY", "HISTOGRAM", "V"],
        &["LATENCY", "V"],
        &["SLOWLOG", "LEN"],
        &["SLOWLOG", "GET", "N"],
        &["SLOWLOG", "RESET"],
        &["SLOWLOG", "GET", "1", "2"],
        &["SLOWLOG", "V"],
        &["MEMORY", "USAGE", "missing"],
        &["MEMORY", "USAGE", "missing", "SAMPLES", "N"],
        &["MEMORY", "USAGE", "missing", "V", "N"],
        &["MEMORY", "PURGE"],
        &["MEMORY", "DOCTOR"],
        &["MEMORY", "V"],
        &["LOLWUT", "VERSION", "x"],
        &["DEBUG", "ERROR", "foo bar"],
        &["DEBUG", "HTSTATS", "x"],
        &["DEBUG", "SLEEP", "0"],
        &["SHUTDOWN", "V"],
        &["SUBSCRIBE"],
    ];
    let words = template[r.below(template.len())];
    let fill = |word: &'static str, r: &mut Random| match word {
        "K" => r.pick(KEYS),
        "L" => r.pick(&["list", "list2", "l3"]),
        "V" => r.pick(VALUES),
        "N" => r.pick(NUMBERS),
        "T" => r.pick(TIMES),
        "A" => r.pick(MOMENTS),
        "F" => r.pick(&["EXAT", "PXAT", "exat"]),
        "G" => r.pick(PATTERNS),
        "O" => r.pick(&["NX", "XX", "GET", "KEEPTTL", "nx", "get", "foo"]),
        "E" => r.pick(&["EX", "PX", "px"]),
        "P" => r.pick(&["PERSIST", "persist", "KEEPTTL"]),
        "W" => r.pick(&["LEN", "IDX", "WITHMATCHLEN", "withmatchlen", "foo", "MINMATCHLEN"]),
        "D" => r.pick(&["0", "1", "1", "2", "-1", "16", "x", "99999999999"]),
        "C" => r.pick(&["REPLACE", "replace", "REPLACE", "DB", "foo"]),
        "M" => r.pick(&["1", "3", "1000"]),
        "Q" => r.pick(&["string", "list", "LIST", "nothing"]),
        "B" => r.pick(&["INFO", "nodes", "KEYSLOT", "SLOTS", "HELP", "RESET", "foo"]),
        // Two relative times are never compared: the servers' clocks are some microseconds apart.
        "Y" => r.pick(&["NX", "XX", "foo"]),
        "X" => r.pick(&["NX", "XX", "GT", "LT", "foo"]),
        other => other,
    };
    let mut filled: Vec<String> = words.iter().map(|word| fill(word, r).to_owned()).collect();
    if r.below(4) == 0 && filled[0] != SCAN_ALL {
        filled[0] = filled[0].to_lowercase();
    }
    filled
}

/// Stands for a walk over all keys: SCAN until the cursor is 0 again, with options.
const SCAN_ALL: &str = "scan all";

fn is_walk(words: &[String]) -> bool {
    words[0] == SCAN_ALL || words[0].eq_ignore_ascii_case("KEYS")
}

/// What a server replies, in an order that both agree upon.
fn ask(client: &mut Client, words: &[String]) -> Reply {
    if words[0].eq_ignore_ascii_case("KEYS") {
        return sorted(&client.call(words));
    }
    if words[0] != SCAN_ALL {
        return client.call(words);
    }
    let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
    loop {
        let mut scan = vec!["SCAN".to_owned(), cursor];
        scan.extend_from_slice(&words[1..]);
        let reply = client.call(&scan);
        if !reply.0.starts_with(b"*2\r\n") {
            return reply; // queued, or refused
        }
        let mut parts = elements(&reply);
        let page = Reply(parts.pop().expect("the keys"));
        cursor = Reply(parts.pop().expect("the cursor")).text();
        keys.extend(elements(&page));
        if cursor == "0" {
            keys.sort();
            return Reply(keys.concat());
        }
    }
}

/// The elements of an array of bulk strings and arrays of such.
fn elements(reply: &Reply) -> Vec<Vec<u8>> {
    let header_end = reply.0.iter().position(|b| *b == b'\n').expect("an array") + 1;
    let mut source = Client::over(std::io::Cursor::new(reply.0[header_end..].to_vec()));
    (0..reply.len()).map(|_| source.read().0).collect()
}

fn sorted(reply: &Reply) -> Reply {
    if !reply.0.starts_with(b"*") {
        return reply.clone();
    }
    let mut all = elements(reply);
    all.sort();
    Reply(all.concat())
}

/// A reply without the client id of HELLO: the servers count their own helpers differently.
fn without_id(reply: &Reply) -> String {
    let text = reply.to_string();
    let Some(at) = text.find("$2\r\nid\r\n:") else { return text };
    let (before, after) = text.split_at(at + 9);
    format!("{before}{}", &after[after.find("\r\n").unwrap_or(0)..])
}

/// Digits of a Unix time in seconds.
const TIME_DIGITS: usize = 10;

/// Replies that may differ, each with its reason.
fn may_differ(words: &[String], ours: &str, theirs: &str) -> bool {
    let first = words[0].to_ascii_uppercase();
    // Redis 7.0 knows fewer options here; ours are those of 7.2 and later.
    let close = |a: &str, b: &str| {
        let number = |text: &str| text.trim_start_matches(':').trim_end().parse::<i64>();
        matches!((number(a), number(b)), (Ok(a), Ok(b)) if a.abs_diff(b) <= 1)
    };
    // The same for the replies of a transaction, of which only numbers as large as times may differ.
    let all_close = |a: &str, b: &str| {
        let is_time = |line: &str| line.starts_with(':') && line.trim_end().len() > TIME_DIGITS;
        let mut lines = a.lines().zip(b.lines());
        a.lines().count() == b.lines().count() && lines.all(|(a, b)| a == b || is_time(a) && close(a, b))
    };
    // The two servers read their clocks one after the other.
    first == "EXPIRETIME" && close(ours, theirs)
        || first == "EXEC" && all_close(ours, theirs)
        || first == "COMMAND" && ours.starts_with('*') && theirs.starts_with('*') && words[1] == "INFO"
        || first == "HELLO" && ours.len().abs_diff(theirs.len()) < 8 && ours.starts_with(&theirs[..1])
}

fn run(seed: u64, steps: usize, resp3: bool, settings: &Settings) {
    println!("seed {seed}, {steps} steps, resp3 {resp3}");
    // Without those of missing keys: what 7.0 publishes for SCAN of expired ones, later versions don't.
    let settings = settings.clone().set("notify-keyspace-events", "KEAn");
    let (ours, theirs) = (settings.start(), settings.redis().start());
    for server in [&ours, &theirs] {
        // The ids that CLIENT KILL names below are not those of clients that stay.
        (0..8).for_each(|_| drop(server.client()));
    }
    let (mut our, mut their) = (ours.client(), theirs.client());
    let (mut our_events, mut their_events) = (Events::of(ours.port), Events::of(theirs.port));
    if resp3 {
        our.run("HELLO 3");
        their.run("HELLO 3");
    }
    for client in [&mut our, &mut their] {
        // When a key past its time is found in the background is nobody's promise.
        client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    }
    let mut random = Random(seed | 1);
    let mut history: Vec<Vec<String>> = Vec::new();
    let mut in_transaction = false;
    for step in 0..steps {
        let words = command(&mut random);
        // The order of keys is each server's own, also within the reply of EXEC.
        if in_transaction && is_walk(&words) {
            continue;
        }
        match words[0].to_ascii_uppercase().as_str() {
            "MULTI" => in_transaction = true,
            "EXEC" | "DISCARD" => in_transaction = false,
            _ => {}
        }
        history.push(words.clone());
        let (a, b) = (ask(&mut our, &words), ask(&mut their, &words));
        let (mut our_news, mut their_news) = (our_events.take(), their_events.take());
        if is_walk(&words) {
            // Keys past their time are found in each server's own order.
            our_news.sort_unstable();
            their_news.sort_unstable();
        }
        let equal = (without_id(&a) == without_id(&b) || may_differ(&words, &a.to_string(), &b.to_string()))
            && our_news == their_news;
        if !equal && std::env::var_os("OCHRE_TEST_ALL").is_some() {
            println!("{words:?}\n   ours:   {a:?} {our_news:?}\n   theirs: {b:?} {their_news:?}");
        } else if !equal {
            let last = history.iter().rev().take(12).rev().map(|w| format!("  {w:?}\n")).collect::<String>();
            panic!(
                "seed {seed}, step {step}, after\n{last}ours:   {a:?} {our_news:?}\ntheirs: {b:?} {their_news:?}"
            );
        }
        if words[0].eq_ignore_ascii_case("CLIENT") && words.get(1).is_some_and(|w| w == "REPLY") {
            // Both took the same turn; make sure that both still talk.
            assert_eq!(our.run("CLIENT REPLY ON"), their.run("CLIENT REPLY ON"));
        }
    }
    compare_data(&mut our, &mut their);
}

/// The whole data set, key by key.
fn compare_data(our: &mut Client, their: &mut Client) {
    for client in [&mut *our, &mut *their] {
        client.run("DISCARD");
    }
    for db in 0..2 {
        for client in [&mut *our, &mut *their] {
            client.run(&format!("SELECT {db}"));
        }
        assert_eq!(our.run("DBSIZE"), their.run("DBSIZE"));
        assert_eq!(our.run("DEBUG DIGEST"), their.run("DEBUG DIGEST"));
        for key in KEYS.iter().chain(&["l3"]) {
            for command in ["TYPE", "GET"] {
                assert_eq!(our.call(&[command, key]), their.call(&[command, key]), "{command} {key}");
            }
            assert_eq!(our.call(&["LRANGE", key, "0", "-1"]), their.call(&["LRANGE", key, "0", "-1"]));
        }
    }
}

fn steps() -> usize {
    std::env::var("OCHRE_TEST_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS)
}

fn seed() -> u64 {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos()
            as u64;
    std::env::var("OCHRE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(now)
}

/// A decimal that somebody might add: digits before and behind the point, exponents, signs, and what is no number.
fn fraction(r: &mut Random) -> String {
    let digits = |r: &mut Random, most: usize| -> String {
        (0..r.below(most)).map(|_| char::from(b'0' + r.below(10) as u8)).collect()
    };
    let sign = r.pick(&["", "", "-", "+"]);
    let (whole, part) = (digits(r, 22), digits(r, 22));
    match r.below(12) {
        0 => format!("{sign}{whole}"),
        1 => format!("{sign}{whole}.{part}e{}", r.below(40)),
        2 => format!("{sign}{whole}.{part}E-{}", r.below(40)),
        3 => format!("{sign}0.{}{part}", "0".repeat(r.below(18))),
        4 => format!("{sign}0x{:x}.{:x}p{}", r.next() >> 40, r.next() >> 44, r.below(60)),
        5 => r
            .pick(&["inf", "-inf", "nan", "", " 1", "1 ", "1e", "0x", ".", "1e4932", "-1e4932", "1e-4950"])
            .to_owned(),
        6 => format!("{}", f64::from_bits(r.next())),
        7 => format!("{sign}{}", r.below(100)),
        _ => format!("{sign}{}.{}", digits(r, 6), digits(r, 8)),
    }
}

#[test]
fn sums_of_fractions() {
    let (seed, steps) = (seed(), steps());
    println!("seed {seed}, {steps} steps");
    let (ours, theirs) = (Settings::new().start(), Settings::new().redis().start());
    let (mut our, mut their) = (ours.client(), theirs.client());
    let mut r = Random(seed | 1);
    for step in 0..steps {
        // Now and then a new start, so that sums don't drown everything in one huge number.
        let words = match r.below(3) {
            0 => vec!["SET".to_owned(), "k".to_owned(), fraction(&mut r)],
            _ => vec!["INCRBYFLOAT".to_owned(), "k".to_owned(), fraction(&mut r)],
        };
        let (a, b) = (our.call(&words), their.call(&words));
        assert_eq!(a, b, "seed {seed}, step {step}: {words:?} on {:?}", their.run("GET k"));
    }
}

/// How often keys were found or not, which clients see in INFO: by command.
#[test]
fn hits_and_misses() {
    let (ours, theirs) = (Settings::new().start(), Settings::new().redis().start());
    let (mut our, mut their) = (ours.client(), theirs.client());
    let lines = [
        "GET k",
        "GET no",
        "SET k v GET",
        "SET k v XX",
        "SET no v NX GET",
        "SETNX k v",
        "GETSET k v",
        "GETEX k",
        "GETEX no",
        "GETEX k EX 100",
        "GETDEL k",
        "GETDEL no",
        "MGET k no l",
        "STRLEN k",
        "GETRANGE k 0 1",
        "SETRANGE k 0 x",
        "APPEND k v",
        "INCR n",
        "INCRBYFLOAT n 1",
        "LCS k no",
        "LCS k l",
        "EXISTS k no",
        "TYPE k",
        "TYPE no",
        "TOUCH k no",
        "OBJECT ENCODING k",
        "OBJECT FREQ no",
        "OBJECT IDLETIME no",
        "TTL k",
        "TTL no",
        "EXPIRETIME k",
        "PERSIST k",
        "EXPIRE k 100",
        "RENAME k m",
        "RENAME no k",
        "COPY k m",
        "COPY no m",
        "MOVE k 1",
        "LLEN l",
        "LRANGE no 0 -1",
        "LPUSH l 1",
        "LPOP no",
        "BLPOP no l 0.01",
        "RANDOMKEY",
        "KEYS *",
        "SCAN 0",
        "DEBUG DIGEST-VALUE k no",
        "MEMORY USAGE k",
        "MEMORY USAGE no",
        "MSETNX k 1 b 2",
        "DEL no",
        "WATCH k",
    ];
    let mut before = None;
    for line in lines {
        for client in [&mut our, &mut their] {
            ["FLUSHALL", "SET k v", "RPUSH l 1 2"].iter().for_each(|prepare| drop(client.run(prepare)));
            client.run(line);
        }
        let counts =
            |server: &ochre_tests::Server| (server.info("keyspace_hits"), server.info("keyspace_misses"));
        let now = (counts(&ours), counts(&theirs));
        assert_eq!(now.0, now.1, "{line}; before: {before:?}");
        before = Some(now);
    }
}

/// What statistics make of scripts that fail, or whose commands do.
#[test]
fn failures_of_scripts() {
    let (ours, theirs) = (Settings::new().start(), Settings::new().redis().start());
    let (mut our, mut their) = (ours.client(), theirs.client());
    let scripts = [
        "return {err='MYERR x'}",
        "return redis.error_reply('MYERR x')",
        "return {1, {err='MYERR x'}}",
        "return redis.call('lpush', 'k', 'x')",
        "return redis.pcall('lpush', 'k', 'x')",
        "redis.pcall('lpush', 'k', 'x') return 1",
        "error(redis.pcall('lpush', 'k', 'x'))",
        "return redis.call('nosuch')",
        "return redis.call('get')",
        "redis.pcall('get') return 1",
        "return redis.call('subscribe', 'x')",
        "return redis.pcall('eval', 'return 1', 0)",
        "return redis.call()",
        "error('boom')",
        "error({err='MYERR x'})",
        "return nosuch",
        "this is no script",
    ];
    for script in scripts {
        for command in ["EVAL", "EVAL_RO"] {
            for client in [&mut our, &mut their] {
                ["SET k v", "CONFIG RESETSTAT"].iter().for_each(|prepare| drop(client.run(prepare)));
                client.call(&[command, script, "0"]);
            }
            let counts = |client: &mut Client| {
                let info = client.run("INFO everything").to_string();
                let told = |line: &&str| {
                    ["errorstat_", "total_error_replies", "cmdstat_"]
                        .iter()
                        .any(|start| line.starts_with(start))
                };
                let without_times = |line: &str| {
                    let words = line.trim_end().split(',').filter(|word| !word.starts_with("usec"));
                    words.collect::<Vec<_>>().join(",")
                };
                let mut lines: Vec<String> = info.lines().filter(told).map(without_times).collect();
                lines.sort();
                lines
            };
            assert_eq!(counts(&mut our), counts(&mut their), "{command} {script}");
        }
    }
}

#[test]
fn replies_in_resp2() {
    run(seed(), steps(), false, &Settings::new());
}

#[test]
fn replies_in_resp3() {
    run(seed(), steps(), true, &Settings::new());
}

#[test]
fn replies_with_small_listpacks() {
    run(seed(), steps(), false, &Settings::new().set("list-max-listpack-size", "2"));
}
