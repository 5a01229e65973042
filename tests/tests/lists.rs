//! List and bitmap commands: what is newer than the redis-server that others are compared with, waits, and what
//! replicas and listeners are told.

use ochre_tests::{Server, Settings, check, wait_until};

#[test]
fn several_elements_move() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            ("LMOVEM a b LEFT LEFT", "*-1"),
            ("RPUSH a 1 2 3 4 5 6 7 8", ":8"),
            ("LMOVEM a b LEFT RIGHT", "*1 $1 1"),
            ("LMOVEM a b LEFT LEFT COUNT 2 OBO", "*2 $1 3 $1 2"),
            ("LRANGE b 0 -1", "*3 $1 3 $1 2 $1 1"),
            ("LMOVEM a b LEFT LEFT COUNT 2 BULK", "*2 $1 4 $1 5"),
            ("LRANGE b 0 -1", "*5 $1 4 $1 5 $1 3 $1 2 $1 1"),
            ("LMOVEM a b RIGHT RIGHT EXACTLY 4 BULK", "*-1"),
            ("LMOVEM a b RIGHT RIGHT EXACTLY 3 BULK", "*3 $1 6 $1 7 $1 8"),
            ("EXISTS a", ":0"),
            ("LMOVEM b b LEFT RIGHT COUNT 2 OBO", "*2 $1 4 $1 5"),
            ("LRANGE b 0 -1", "*8 $1 3 $1 2 $1 1 $1 6 $1 7 $1 8 $1 4 $1 5"),
            ("LMOVEM b b LEFT LEFT COUNT 3 OBO", "*3 $1 1 $1 2 $1 3"),
            ("LMOVEM b b LEFT LEFT COUNT 3 BULK", "*3 $1 1 $1 2 $1 3"),
            ("LMOVEM b b LEFT UP", "-ERR syntax error"),
            ("LMOVEM b b LEFT LEFT COUNT 3", "-ERR syntax error"),
            ("LMOVEM b b LEFT LEFT COUNT 0 OBO", "-ERR count should be greater than 0"),
            ("SET s x", "+OK"),
            ("LMOVEM b s LEFT LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("BLMOVEM none b LEFT LEFT 0.01 EXACTLY 2 OBO", "*-1"),
        ],
    );
}

#[test]
fn a_move_waits_for_all_its_elements() {
    let server = Server::start();
    let (mut waiter, mut pusher) = (server.client(), server.client());
    waiter.send(&["BLMOVEM", "a", "b", "LEFT", "RIGHT", "0", "EXACTLY", "3", "BULK"]);
    wait_until("it waits", || server.info("blocked_clients") == "1");
    check(&mut pusher, &[("RPUSH a 1 2", ":2"), ("LLEN a", ":2"), ("RPUSH a 3", ":3"), ("EXISTS a", ":0")]);
    assert_eq!(waiter.read(), "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
}

#[test]
fn newer_operations_on_bits() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            ("SETBIT x 0 1", ":0"),
            ("SETBIT x 1 1", ":0"),
            ("SETBIT y 1 1", ":0"),
            ("SETBIT y 2 1", ":0"),
            ("SETBIT z 9 1", ":0"),
            ("BITOP DIFF d x y z", ":2"),
            ("BITFIELD d GET u16 0", "*1 :32768"),
            ("BITOP DIFF1 d x y z", ":2"),
            ("BITFIELD d GET u16 0", "*1 :8256"),
            ("BITOP ANDOR d x y z", ":2"),
            ("BITFIELD d GET u16 0", "*1 :16384"),
            ("BITOP ONE d x y z", ":2"),
            ("BITFIELD d GET u16 0", "*1 :41024"),
            ("BITOP DIFF d none y", ":1"),
            ("BITCOUNT d", ":0"),
            ("BITOP DIFF d x", "-ERR BITOP DIFF must be called with at least two source keys."),
            ("BITOP NOT d x y", "-ERR BITOP NOT must be called with a single source key."),
            ("BITCOUNT none 0 x", "-ERR value is not an integer or out of range"),
        ],
    );
}

/// What keyspace events tell of lines, one after the other.
fn events(lines: &[&str]) -> Vec<String> {
    let server = Settings::new().set("notify-keyspace-events", "KEA").start();
    let (mut listener, mut client) = (server.client(), server.client());
    listener.run("PSUBSCRIBE __keyevent*");
    lines.iter().for_each(|line| drop(client.run(line)));
    client.run("SET end x");
    let mut seen = Vec::new();
    loop {
        let text = listener.read().to_string();
        let words: Vec<&str> = text.split("\r\n").collect();
        let event = words[6].rsplit(':').next().unwrap_or("");
        if words[8] == "end" {
            return seen;
        }
        seen.push(format!("{event} {}", words[8]));
    }
}

#[test]
fn events_come_in_the_order_of_redis() {
    let check = |lines: &[&str], expected: &[&str]| assert_eq!(events(lines), expected, "{lines:?}");
    check(&["RPUSH a 1", "LMOVE a b LEFT RIGHT"], &["rpush a", "rpush b", "lpop a", "del a"]);
    check(&["RPUSH a 1", "RPOPLPUSH a a"], &["rpush a", "lpush a", "rpop a"]);
    check(&["RPUSH a 1", "LREM a 0 2", "LREM a 0 1"], &["rpush a", "lrem a", "del a"]);
    check(&["RPUSH a 1 2", "LTRIM a 0 5", "LTRIM a 5 0"], &["rpush a", "ltrim a", "ltrim a", "del a"]);
    check(&["RPUSH a 1", "LSET a 0 2", "LINSERT a AFTER 2 3"], &["rpush a", "lset a", "linsert a"]);
    check(&["RPUSH a 1 2", "LMPOP 2 z a RIGHT COUNT 5"], &["rpush a", "rpop a", "del a"]);
    check(&["SETBIT a 0 0", "SETBIT a 0 0", "SETBIT a 0 1"], &["setbit a", "setbit a"]);
    check(
        &["BITFIELD a SET u8 0 0 INCRBY u8 0 0", "BITOP OR b a", "BITOP OR b c"],
        &["setbit a", "set b", "del b"],
    );
    check(&["PFADD a 1", "PFADD a 1", "PFCOUNT a", "PFMERGE b a"], &["pfadd a", "pfadd b"]);
}

#[test]
fn compressed_nodes_are_smaller_and_read_the_same() {
    let server = Server::start();
    let client = &mut server.client();
    let fill = |client: &mut ochre_tests::Client, key: &str| {
        (0..5000).for_each(|n| client.send(&["RPUSH", key, &format!("an element with number {n}")]));
        (1..=5000).for_each(|n| assert_eq!(client.read().integer(), n));
        client.run(&format!("MEMORY USAGE {key}")).integer()
    };
    let plain = fill(client, "plain");
    check(client, &[("CONFIG SET list-compress-depth 1", "+OK")]);
    assert!(fill(client, "short") * 2 < plain);
    assert!(client.run("DEBUG OBJECT short").to_string().contains("ql_compressed:1"));
    let digest = |client: &mut ochre_tests::Client, key: &str| {
        client.run(&format!("DEBUG DIGEST-VALUE {key}")).to_string()
    };
    let before = digest(client, "plain");
    assert_eq!(digest(client, "short"), before);
    assert_eq!(client.run("LRANGE short 0 -1"), client.run("LRANGE plain 0 -1"));
    assert_eq!(client.run("SORT short ALPHA DESC"), client.run("SORT plain ALPHA DESC"));
    check(client, &[("LPOS short missing", "$-1"), ("DEBUG RELOAD", "+OK")]);
    assert_eq!(digest(client, "short"), before);
    // Loading compresses what the directive asks for, for the other list as well.
    assert!(client.run("MEMORY USAGE plain").integer() * 2 < plain);
}
