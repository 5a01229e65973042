//! MONITOR: what is shown of commands, to whom, and what those who look on may do.

use ochre_tests::{Client, Server, Settings, wait_until};

fn each(test: impl Fn(&Server)) {
    for threads in ["1", "2"] {
        test(&Settings::new().set("io-threads", threads).start());
    }
}

fn monitor(server: &Server) -> Client {
    let mut monitor = server.client();
    assert_eq!(monitor.run("MONITOR"), "+OK\r\n");
    monitor
}

/// The next line that is shown, without time and address.
fn shown(monitor: &mut Client) -> String {
    let line = monitor.read().to_string();
    let line = line.strip_prefix('+').expect("a status").trim_end();
    let (time, rest) = line.split_once(' ').expect("a time");
    let (seconds, micros) = time.split_once('.').expect("a fraction");
    assert!(seconds.len() == 10 && micros.len() == 6, "{line}");
    let (from, words) = rest.split_once("] ").expect("where it came from");
    let (db, peer) = from.split_once(' ').expect("a database");
    if peer == "lua" {
        return format!("{db} lua] {words}");
    }
    assert!(peer.starts_with("127.0.0.1:"), "{line}");
    format!("{db}] {words}")
}

#[test]
fn commands_are_shown_as_they_came() {
    each(|server| {
        let mut monitor = monitor(server);
        let mut client = server.client();
        client.call(&[&b"sEt"[..], b"a\x00\n\"\\\xff", b"1"]);
        client.run("SELECT 3");
        client.run("GET");
        client.run("LPUSH k");
        client.run("NONE");
        client.run("INCRBY k x");
        client.run("CONFIG GET port"); // an operator's
        client.run("PING");
        let lines = [
            r#"[0] "sEt" "a\x00\n\"\\\xff" "1""#,
            r#"[3] "SELECT" "3""#,
            r#"[3] "INCRBY" "k" "x""#,
            r#"[3] "PING""#,
        ];
        for line in lines {
            assert_eq!(shown(&mut monitor), line);
        }
    });
}

#[test]
fn transactions_and_scripts_are_shown_with_what_they_run() {
    each(|server| {
        let mut monitor = monitor(server);
        let mut client = server.client();
        for line in ["MULTI", "SET k v", "EXEC"] {
            client.run(line);
        }
        client.call(&["EVAL", "redis.call('select', 2) redis.call('set',KEYS[1],ARGV[1])", "1", "a", "b c"]);
        client.send_raw(b"MULTI\r\nGET k\r\nDISCARD\r\nBLPOP l 0\r\n");
        wait_until("it waits", || server.info("blocked_clients") == "1");
        while shown(&mut monitor) != r#"[0] "BLPOP" "l" "0""# {}
        server.client().run("RPUSH l x");
        assert_eq!(shown(&mut monitor), r#"[0] "INFO" "everything""#);
        let rest: Vec<String> = std::iter::from_fn(|| Some(shown(&mut monitor)))
            .take_while(|line| !line.contains("RPUSH"))
            .collect();
        assert!(rest.iter().all(|line| line.contains("INFO")), "{rest:?}");
        client.run("PING");
    });
}

#[test]
fn the_order_of_a_transaction_and_a_script() {
    each(|server| {
        let mut monitor = monitor(server);
        let mut client = server.client();
        for line in ["MULTI", "SET k v", "EXEC"] {
            client.run(line);
        }
        client.call(&[
            "EVAL",
            "redis.call('select', 2) return redis.call('set',KEYS[1],ARGV[1])",
            "1",
            "a",
            "b c",
        ]);
        let lines = [
            r#"[0] "MULTI""#,
            r#"[0] "SET" "k" "v""#,
            r#"[0] "EXEC""#,
            r#"[0] "EVAL" "redis.call('select', 2) return redis.call('set',KEYS[1],ARGV[1])" "1" "a" "b c""#,
            r#"[2 lua] "select" "2""#,
            r#"[2 lua] "set" "a" "b c""#,
        ];
        for line in lines {
            assert_eq!(shown(&mut monitor), line);
        }
    });
}

#[test]
fn secrets_are_not_shown() {
    each(|server| {
        let mut monitor = monitor(server);
        let mut client = server.client();
        client.run("AUTH user secret");
        client.run("AUTH secret");
        client.run("HELLO 3 AUTH default secret SETNAME me");
        client.run("CONFIG SET requirepass secret");
        client.run("PING");
        let lines = [
            r#"[0] "AUTH" "(redacted)" "(redacted)""#,
            r#"[0] "AUTH" "(redacted)""#,
            r#"[0] "HELLO" "3" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me""#,
            r#"[0] "PING""#,
        ];
        for line in lines {
            assert_eq!(shown(&mut monitor), line);
        }
        client.run("CONFIG SET requirepass x");
    });
}

#[test]
fn who_looks_on_uses_no_keys_until_reset() {
    each(|server| {
        let mut looks_on = monitor(server);
        let list = server.client().run("CLIENT LIST TYPE normal").text();
        assert!(
            list.lines().any(|line| line.contains(" flags=O ") && line.contains("cmd=monitor")),
            "{list}"
        );
        assert_eq!(server.client().run("CLIENT LIST TYPE replica"), "$0\r\n\r\n");
        assert_eq!(server.info("connected_slaves"), "0");
        looks_on.send_raw(b"MONITOR\r\nGET k\r\nPUBLISH c m\r\nRESET\r\nPING\r\nGET k\r\n");
        let mut replies = Vec::new();
        while replies.last() != Some(&"$-1\r\n".to_owned()) {
            replies.push(looks_on.read().to_string());
        }
        replies.retain(|line| !line.contains('"'));
        let refused = "-ERR Replica can't interact with the keyspace\r\n";
        assert_eq!(replies, [refused, refused, "+RESET\r\n", "+PONG\r\n", "$-1\r\n"]);
        let mut client = server.client();
        client.send_raw(b"MULTI\r\nMONITOR\r\nEXEC\r\n");
        (0..2).for_each(|_| drop(client.read()));
        assert_eq!(client.read(), "*1\r\n-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n");
    });
}

#[test]
fn one_that_does_not_read_is_cut_off() {
    let server = Settings::new().set("client-output-buffer-limit", "normal 1mb 0 0").start();
    let _monitor = monitor(&server);
    let mut client = server.client();
    let big = "x".repeat(100_000);
    for _ in 0..200 {
        client.call(&["ECHO", &big]);
    }
    wait_until("it is gone", || !server.client().run("CLIENT LIST").text().contains("flags=O"));
    assert_eq!(client.run("PING"), "+PONG\r\n");
}
