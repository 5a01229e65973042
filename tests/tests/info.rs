//! INFO: Redis's fields in Redis's order, and figures that are true.

use ochre_tests::{Client, Server, Settings, check, wait_until};
use std::process::Command;

/// Fields of Redis that are missing here, with the reason.
const NOT_OURS: &[(&str, &str)] =
    &[("server atomicvar_api", "it says how Redis is compiled"), ("server gcc_version", "likewise")];

/// `section field`, in the order in which INFO prints them.
fn fields(server: &Server) -> Vec<String> {
    let mut client = server.client();
    client.run("SET k v");
    client.run("GET missing");
    let text = client.run("INFO everything").text();
    let mut section = String::new();
    let mut fields = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(title) => section = title.to_lowercase(),
            None => fields.extend(line.split_once(':').map(|(name, _)| format!("{section} {name}"))),
        }
    }
    fields
}

#[test]
fn every_field_of_redis_is_there_in_its_order() {
    let (ours, mut redis) = (fields(&Server::start()), fields(&Settings::new().redis().start()));
    redis.retain(|field| !NOT_OURS.iter().any(|(name, _)| name == field));
    let missing: Vec<&String> = redis.iter().filter(|field| !ours.contains(field)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    // Commands stand in the order of the table, which is each server's own.
    let is_fixed = |field: &&String| !field.starts_with("commandstats") && !field.starts_with("latencystats");
    let shared: Vec<&String> = ours.iter().filter(|field| redis.contains(field)).filter(is_fixed).collect();
    assert_eq!(shared, redis.iter().filter(is_fixed).collect::<Vec<_>>());
}

/// A field of a server's INFO as a number.
fn number(server: &Server, field: &str) -> f64 {
    let text = server.info(field);
    text.parse().unwrap_or_else(|_| panic!("{field}:{text}"))
}

#[test]
fn times_to_live_are_averaged() {
    let server = Server::start();
    let mut client = server.client();
    let average = |server: &Server| -> i64 {
        let line = server.info("db0");
        let field = line.split(',').find_map(|part| part.strip_prefix("avg_ttl="));
        field.expect("the field").parse().expect("a number")
    };
    client.run("SET forever v");
    assert_eq!(average(&server), 0);
    for key in 0..200 {
        client.run(&format!("SET key:{key} v PX {}", if key % 2 == 0 { 1_000_000 } else { 2_000_000 }));
    }
    wait_until("the average is known", || (1_200_000..1_800_000).contains(&average(&server)));
}

#[test]
fn blocked_readers_of_groups_hear_of_the_end_of_a_key() {
    let server = Server::start();
    let (mut list, mut stream, mut client) = (server.client(), server.client(), server.client());
    client.run("XGROUP CREATE s g $ MKSTREAM");
    list.send(&["BLPOP", "one", "two", "0"]);
    stream.send(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]);
    wait_until("both wait", || server.info("blocked_clients") == "2");
    assert_eq!(number(&server, "total_blocking_keys"), 3.0);
    assert_eq!(number(&server, "total_blocking_keys_on_nokey"), 1.0);
}

#[test]
fn time_is_told_to_the_microsecond() {
    let server = Server::start();
    server.client().run("DEBUG POPULATE 100000");
    let used = number(&server, "used_cpu_user") + number(&server, "used_cpu_sys");
    let by_actor = number(&server, "used_cpu_user_main_thread") + number(&server, "used_cpu_sys_main_thread");
    assert!(used > 0.0 && by_actor > 0.0 && by_actor <= used + 0.1, "{used} {by_actor}");
    assert!(number(&server, "eventloop_cycles") >= 2.0);
    // Commands that ran before are asked for first: each question is a command itself.
    let commands = number(&server, "eventloop_duration_cmd_sum");
    let turns = number(&server, "eventloop_duration_sum");
    assert!(commands > 0.0 && turns >= commands, "{turns} {commands}");
}

#[test]
fn listeners_are_named() {
    let server =
        Settings::new().set_words("bind", &["127.0.0.1", "-::1"]).set("unixsocket", "u.sock").start();
    let port = server.port;
    assert_eq!(server.info("listener0"), format!("name=tcp,bind=127.0.0.1,bind=-::1,port={port}"));
    assert_eq!(server.info("listener1"), "name=unix,bind=u.sock");
}

#[test]
fn a_terminal_that_goes_away_is_ignored() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let mut server = settings.start();
        let status = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status();
        assert!(status.expect("kill can be executed").success());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(server.client().run("PING"), "+PONG\r\n");
        assert!(server.is_running());
    }
}

#[test]
fn traffic_and_memory_are_counted() {
    for threads in ["1", "2"] {
        let server = Settings::new().set("io-threads", threads).start();
        let number = |field: &str| -> i64 { server.info(field).parse().expect("a number") };
        let mut client = server.client();
        let before =
            (number("total_net_input_bytes"), number("total_net_output_bytes"), number("used_memory"));
        let value = "v".repeat(1_000_000);
        assert_eq!(client.call(&["SET", "big", &value]), "+OK\r\n");
        assert_eq!(client.run("GET big").len(), 1_000_000);
        assert!(number("total_net_input_bytes") > before.0 + 1_000_000);
        assert!(number("total_net_output_bytes") > before.1 + 1_000_000);
        assert!(number("used_memory") > before.2 + 900_000);
        assert!(number("used_memory_dataset") > 900_000);
        assert!(number("used_memory_peak") >= number("used_memory_dataset"));
        client.run("CONFIG RESETSTAT");
        assert!(number("total_net_input_bytes") < 1_000);
    }
}

#[test]
fn large_requests_and_replies_are_logged() {
    let server = Server::start();
    let client = &mut server.client();
    check(
        client,
        &[
            (
                "CONFIG GET commandlog-*-larger-than",
                "*4 $30 commandlog-request-larger-than $7 1048576 $28 commandlog-reply-larger-than $7 1048576",
            ),
            ("COMMANDLOG LEN large-request", ":0"),
            ("CONFIG SET commandlog-request-larger-than 100 commandlog-reply-larger-than 60", "+OK"),
            (
                "COMMANDLOG LEN nosuch",
                "-ERR type should be one of the following: slow, large-request, large-reply",
            ),
            ("COMMANDLOG GET -2 slow", "-ERR count should be greater than or equal to -1"),
            ("COMMANDLOG GET 1", "-ERR wrong number of arguments for 'commandlog|get' command"),
            ("CLIENT SETNAME me", "+OK"),
        ],
    );
    let value = "v".repeat(80);
    check(client, &[(format!("SET k {value}").as_str(), "+OK"), ("STRLEN k", ":80")]);
    client.run("GET k");
    check(client, &[("COMMANDLOG LEN large-request", ":2"), ("COMMANDLOG LEN large-reply", ":2")]);
    // Each in its own log, the value being bytes: *3 $3 SET $1 k $80 … and $80 ….
    let entry = |client: &mut Client, kind: &str| client.run(&format!("COMMANDLOG GET 1 {kind}")).to_string();
    let reply = entry(client, "large-reply");
    let request = entry(client, "large-request");
    assert!(
        request.contains(":107\r\n*3\r\n$3\r\nSET\r\n") && request.ends_with("$2\r\nme\r\n"),
        "{request}"
    );
    assert!(reply.contains(":87\r\n*2\r\n$3\r\nGET\r\n"), "{reply}");
    check(
        client,
        &[
            ("COMMANDLOG RESET large-request", "+OK"),
            ("COMMANDLOG LEN large-request", ":0"),
            ("COMMANDLOG LEN slow", ":0"),
            ("CONFIG SET commandlog-reply-larger-than -1", "+OK"),
            ("CONFIG SET slowlog-log-slower-than 0", "+OK"),
            ("SLOWLOG RESET", "+OK"),
            ("COMMANDLOG LEN slow", ":1"),
        ],
    );
}

#[test]
fn keys_over_their_time_show_as_a_share() {
    let server = Server::start();
    let mut client = server.client();
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    assert_eq!(server.info("expired_stale_perc"), "0.00");
    for key in 0..1000 {
        client.run(&format!("SET key:{key} v PXAT {}", if key % 4 == 0 { 1 } else { 4_000_000_000_000_i64 }));
    }
    // A sample of 64 keys, again and again.
    let shares: Vec<f64> = (0..50).map(|_| number(&server, "expired_stale_perc")).collect();
    let average = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((15.0..35.0).contains(&average), "{shares:?}");
    client.run("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_until("they are gone", || server.info("expired_stale_perc") == "0.00");
    assert_eq!(client.run("DBSIZE"), ":750\r\n");
}

#[test]
fn large_buffers_are_remembered_for_a_while() {
    let server = Server::start();
    let mut client = server.client();
    let (input, output) = ("client_recent_max_input_buffer", "client_recent_max_output_buffer");
    assert!(number(&server, input) < 100_000.0 && number(&server, output) < 100_000.0);
    // A request that comes in two parts, and a reply that nobody reads.
    let mut slow = server.client();
    slow.send_raw(
        format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$3000000\r\n{}", "v".repeat(2_000_000)).as_bytes(),
    );
    wait_until("the first part counts", || number(&server, input) > 1_900_000.0);
    slow.send_raw(format!("{}\r\n", "v".repeat(1_000_000)).as_bytes());
    assert_eq!(slow.read(), "+OK\r\n");
    for _ in 0..10 {
        slow.send(&["GET", "big"]);
    }
    wait_until("replies wait", || number(&server, output) > 10_000_000.0);
    (0..10).for_each(|_| assert_eq!(slow.read().len(), 3_000_000));
    drop(slow);
    assert_eq!(client.run("PING"), "+PONG\r\n");
    assert!(number(&server, input) > 1_900_000.0 && number(&server, output) > 10_000_000.0);
    wait_until("both are forgotten", || {
        number(&server, input) < 100_000.0 && number(&server, output) < 100_000.0
    });
}

#[test]
fn what_a_thread_does_is_shown() {
    for (threads, first) in [("1", 1), ("2", 0)] {
        let server = Settings::new().set("io-threads", threads).start();
        let _client = server.client();
        wait_until("a thread has clients", || {
            // The one that asks, and the one above.
            !server.info(&format!("io_thread_{}", 1 - first)).starts_with("clients=0,")
        });
        if first == 0 {
            assert_eq!(server.info("io_thread_0"), "clients=0,reads=0,writes=0");
        }
        assert!(number(&server, "used_active_time_main_thread") > 0.0);
    }
}
