//! Valkey's words for tools that move data: CLIENT IMPORT-SOURCE with `import-mode`, and CLIENT CAPA.

use ochre_tests::{Client, Server, check, wait_until};
use std::time::Duration;

/// A server in import mode, a client that imports, and one that does not.
fn importing() -> (Server, Client, Client) {
    let server = Server::start();
    let (mut source, other) = (server.client(), server.client());
    check(&mut source, &[("CONFIG SET import-mode yes", "+OK"), ("CLIENT IMPORT-SOURCE ON", "+OK")]);
    (server, source, other)
}

/// Lets everything expire that was to live for a few milliseconds.
fn later() {
    std::thread::sleep(Duration::from_millis(30));
}

fn field(client: &mut Client, name: &str) -> Option<String> {
    let line = client.run("CLIENT INFO").text();
    let prefix = format!("{name}=");
    line.split(' ').find_map(|word| word.strip_prefix(&prefix)).map(str::to_owned)
}

#[test]
fn words_are_checked() {
    let server = Server::start();
    let mut client = server.client();
    check(
        &mut client,
        &[
            ("CONFIG GET import-mode", "*2 $11 import-mode $2 no"),
            ("CLIENT IMPORT-SOURCE ON", "-ERR Server is not in import mode"),
            ("CLIENT IMPORT-SOURCE x", "-ERR Server is not in import mode"),
            ("CONFIG SET import-mode yes", "+OK"),
            ("CLIENT IMPORT-SOURCE x", "-ERR syntax error"),
            ("CLIENT IMPORT-SOURCE", "-ERR wrong number of arguments for 'client|import-source' command"),
            ("CLIENT IMPORT-SOURCE on", "+OK"),
            ("CLIENT IMPORT-SOURCE oFF", "+OK"),
            ("CLIENT CAPA", "-ERR wrong number of arguments for 'client|capa' command"),
        ],
    );
}

#[test]
fn clients_show_what_they_said() {
    let (_server, mut source, mut other) = importing();
    assert_eq!(field(&mut other, "capa"), None);
    check(&mut other, &[("CLIENT CAPA what-may-come", "+OK")]);
    assert_eq!(field(&mut other, "capa"), None);
    check(&mut other, &[("CLIENT CAPA what-may-come Redirect again", "+OK"), ("CLIENT CAPA other", "+OK")]);
    assert_eq!(field(&mut other, "capa").as_deref(), Some("r"));
    assert!(other.run("CLIENT INFO").text().contains(" flags=N capa=r db=0 "));
    // On a server that is no replica it changes nothing.
    check(&mut other, &[("SET k v", "+OK"), ("GET k", "$1 v")]);
    assert_eq!(field(&mut source, "flags").as_deref(), Some("I"));
    assert_eq!(source.run("RESET"), "+RESET\r\n");
    assert_eq!(field(&mut source, "flags").as_deref(), Some("N"));
}

#[test]
fn the_source_sees_what_has_expired() {
    let (server, mut source, mut other) = importing();
    check(
        &mut source,
        &[
            ("SET n 1 PX 5", "+OK"),
            ("RPUSH l a", ":1"),
            ("PEXPIRE l 5", ":1"),
            ("HSET h f v", ":1"),
            ("HPEXPIRE h 5 FIELDS 1 f", "*1 :1"),
        ],
    );
    later();
    check(
        &mut other,
        &[
            ("GET n", "$-1"),
            ("TTL n", ":-2"),
            ("EXISTS n l", ":0"),
            ("LRANGE l 0 -1", "*0"),
            ("HGET h f", "$-1"),
            ("HTTL h FIELDS 1 f", "*1 :-2"),
            ("KEYS [nl]", "*0"),
            ("SCAN 0 MATCH [nl] COUNT 1000", "*2 $1 0 *0"),
            ("DBSIZE", ":3"),
        ],
    );
    check(
        &mut source,
        &[
            ("TTL n", ":0"),
            ("PTTL n", ":0"),
            ("GET n", "$1 1"),
            ("INCR n", ":2"),
            ("EXISTS n l", ":2"),
            ("RPUSH l b", ":2"),
            ("LRANGE l 0 -1", "*2 $1 a $1 b"),
            ("HGET h f", "$1 v"),
            ("HTTL h FIELDS 1 f", "*1 :0"),
            ("HINCRBY h n 1", ":1"),
            ("HLEN h", ":2"),
            ("KEYS n", "*1 $1 n"),
            ("SCAN 0 MATCH n COUNT 1000", "*2 $1 0 *1 $1 n"),
            ("MULTI", "+OK"),
            ("GET n", "+QUEUED"),
            ("EXEC", "*1 $1 2"),
        ],
    );
    assert_eq!(source.call(&["EVAL", "return redis.call('get', 'n')", "0"]), "$1\r\n2\r\n");
    // What the source did in between does not open the eyes of others.
    check(&mut other, &[("GET n", "$-1"), ("HGET h f", "$-1")]);
    check(&mut source, &[("PEXPIRE n 100000", ":1")]);
    check(&mut other, &[("GET n", "$1 2")]);
    assert_eq!(server.info("expired_keys"), "0");
}

#[test]
fn a_write_of_another_client_takes_the_place_of_what_has_expired() {
    let (server, mut source, mut other) = importing();
    check(&mut source, &[("SET n 7 PX 5", "+OK"), ("SET m 7 PX 5", "+OK")]);
    later();
    check(&mut other, &[("INCR n", ":1"), ("SET m x KEEPTTL", "+OK"), ("TTL m", ":-1")]);
    check(&mut source, &[("GET n", "$1 1"), ("TTL n", ":-1"), ("GET m", "$1 x")]);
    assert_eq!(server.info("expired_keys"), "2");
}

#[test]
fn a_time_that_has_passed_deletes_nothing() {
    let (_server, mut source, mut other) = importing();
    check(
        &mut other,
        &[
            ("MSET a 1 b 2 c 3 d 4", "+OK"),
            ("EXPIREAT a 1", ":1"),
            ("EXPIREAT b -10000", ":1"),
            ("GETEX c PXAT 5", "$1 3"),
            ("HSET h f v g w", ":2"),
            ("HPEXPIREAT h 5 FIELDS 1 f", "*1 :1"),
            ("GET a", "$-1"),
            ("HGET h f", "$-1"),
            ("DBSIZE", ":5"),
        ],
    );
    check(
        &mut source,
        &[
            ("MGET a b c d", "*4 $1 1 $1 2 $1 3 $1 4"),
            ("PEXPIRETIME a", ":1000"),
            ("PEXPIRETIME b", ":0"),
            ("HGET h f", "$1 v"),
        ],
    );
    let dump = source.call(&["DUMP", "d"]);
    let payload = &dump.0[dump.0.iter().position(|byte| *byte == b'\n').unwrap() + 1..dump.0.len() - 2];
    assert_eq!(source.call(&[b"RESTORE", &b"e"[..], b"5", payload, b"ABSTTL"]), "+OK\r\n");
    check(&mut source, &[("GET e", "$1 4")]);
    check(&mut other, &[("GET e", "$-1")]);
}

#[test]
fn all_expires_when_the_import_is_over() {
    let (_server, mut source, mut other) = importing();
    check(
        &mut source,
        &[
            ("SET n 1 PX 5", "+OK"),
            ("SET old x", "+OK"),
            ("EXPIREAT old -1", ":1"),
            ("HSET h f v", ":1"),
            ("HPEXPIRE h 5 FIELDS 1 f", "*1 :1"),
        ],
    );
    later();
    check(&mut source, &[("GET n", "$1 1"), ("CONFIG SET import-mode no", "+OK"), ("GET n", "$-1")]);
    wait_until("all is gone", || other.run("DBSIZE") == ":0\r\n");
    // The client is still what it said; it matters again with the next import.
    assert_eq!(field(&mut source, "flags").as_deref(), Some("I"));
    check(&mut source, &[("CLIENT IMPORT-SOURCE OFF", "-ERR Server is not in import mode")]);
}

#[test]
fn watches_of_the_source_hold_while_keys_expire() {
    let (_server, mut source, mut other) = importing();
    check(&mut source, &[("SET n 1 PX 5", "+OK"), ("WATCH n", "+OK"), ("MULTI", "+OK")]);
    check(&mut other, &[("SET m 1 PX 5", "+OK"), ("WATCH m", "+OK"), ("MULTI", "+OK")]);
    later();
    check(&mut source, &[("GET n", "+QUEUED"), ("EXEC", "*1 $1 1")]);
    check(&mut other, &[("GET m", "+QUEUED"), ("EXEC", "*-1")]);
}

#[test]
fn nothing_is_evicted_meanwhile() {
    let (server, mut source, mut other) = importing();
    let value = "x".repeat(10_000);
    for n in 0..100 {
        source.call(&["SET", &format!("key:{n}"), &value]);
    }
    check(
        &mut other,
        &[
            ("CONFIG SET maxmemory-policy allkeys-random", "+OK"),
            ("CONFIG SET maxmemory 1", "+OK"),
            ("SET more x", "+OK"),
            ("DBSIZE", ":101"),
        ],
    );
    assert_eq!(server.info("evicted_keys"), "0");
    check(&mut other, &[("CONFIG SET import-mode no", "+OK")]);
    wait_until("keys are evicted", || other.run("DBSIZE") == ":0\r\n");
}
