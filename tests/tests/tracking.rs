//! CLIENT TRACKING: who is told of which key, when, and in which form.

use ochre_tests::{Client, Server, Settings, check, wait_until};
use std::time::Duration;

fn each(test: impl Fn(&Server)) {
    for threads in ["1", "2"] {
        test(&Settings::new().set("io-threads", threads).start());
    }
}

/// A RESP3 client that is told of changes.
fn caching(server: &Server, options: &str) -> Client {
    let mut client = server.client();
    client.run("HELLO 3");
    assert_eq!(client.run(format!("CLIENT TRACKING ON {options}").trim_end()), "+OK\r\n");
    client
}

fn told(keys: &[&str]) -> String {
    let keys: String = keys.iter().map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
    let count = keys.matches('$').count();
    format!(">2\r\n$10\r\ninvalidate\r\n*{count}\r\n{keys}")
}

#[test]
fn options_are_checked() {
    each(|server| {
        let mut client = server.client();
        check(
            &mut client,
            &[
                ("CLIENT TRACKING", "-ERR wrong number of arguments for 'client|tracking' command"),
                ("CLIENT TRACKING maybe", "-ERR syntax error"),
                ("CLIENT TRACKING ON what", "-ERR syntax error"),
                ("CLIENT TRACKING ON REDIRECT", "-ERR syntax error"),
                ("CLIENT TRACKING ON REDIRECT x", "-ERR value is not an integer or out of range"),
                (
                    "CLIENT TRACKING ON REDIRECT 99999",
                    "-ERR The client ID you want redirect to does not exist",
                ),
                ("CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled"),
                ("CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST"),
                ("CLIENT TRACKING ON OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode"),
                (
                    "CLIENT CACHING YES",
                    "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
                ),
                ("CLIENT GETREDIR", ":-1"),
                ("CLIENT TRACKINGINFO", "*6 $5 flags *1 $3 off $8 redirect :-1 $8 prefixes *0"),
                (
                    "CLIENT TRACKING ON BCAST PREFIX ab PREFIX a",
                    "-ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.",
                ),
                ("CLIENT TRACKING ON BCAST PREFIX b PREFIX a", "+OK"),
                (
                    "CLIENT TRACKING ON BCAST PREFIX c PREFIX bb",
                    "-ERR Prefix 'bb' overlaps with an existing prefix 'b'. Prefixes for a single client must not overlap.",
                ),
                ("CLIENT TRACKING ON BCAST PREFIX c NOLOOP", "+OK"),
                (
                    "CLIENT TRACKINGINFO",
                    "*6 $5 flags *3 $2 on $5 bcast $6 noloop $8 redirect :0 $8 prefixes *3 $1 a $1 b $1 c",
                ),
                (
                    "CLIENT TRACKING ON",
                    "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
                ),
                (
                    "CLIENT CACHING YES",
                    "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
                ),
                (
                    "CLIENT CACHING NO",
                    "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
                ),
                ("CLIENT CACHING perhaps", "-ERR syntax error"),
                ("CLIENT TRACKING OFF", "+OK"),
                ("CLIENT TRACKING OFF", "+OK"),
                ("CLIENT TRACKING ON OPTIN", "+OK"),
                (
                    "CLIENT TRACKING ON OPTOUT",
                    "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
                ),
                ("CLIENT CACHING YES", "+OK"),
                (
                    "CLIENT TRACKINGINFO",
                    "*6 $5 flags *3 $2 on $5 optin $11 caching-yes $8 redirect :0 $8 prefixes *0",
                ),
                ("CLIENT GETREDIR", ":0"),
                ("RESET", "+RESET"),
                ("CLIENT GETREDIR", ":-1"),
            ],
        );
    });
}

#[test]
fn a_key_that_was_read_is_told_once() {
    each(|server| {
        let mut reader = caching(server, "");
        let mut writer = server.client();
        writer.run("MSET a 1 b 2 c 3");
        reader.run("MGET a b");
        assert_eq!(server.info("tracking_clients"), "1");
        assert_eq!(
            (server.info("tracking_total_keys"), server.info("tracking_total_items")),
            ("2".into(), "2".into())
        );
        let list = writer.run("CLIENT LIST").text();
        assert!(list.lines().any(|line| line.contains(" flags=t ") && line.contains(" redir=0 ")), "{list}");
        writer.run("INCR a");
        assert_eq!(reader.read(), told(&["a"]).as_str());
        writer.run("INCR a");
        writer.run("INCR c");
        writer.run("SELECT 5");
        writer.run("SET b other"); // names count, not databases
        assert_eq!(reader.read(), told(&["b"]).as_str());
        assert!(reader.is_silent(Duration::from_millis(50)));
        // Its own change as well, behind the reply.
        reader.run("GET a");
        assert_eq!(reader.run("SET a 9"), "+OK\r\n");
        assert_eq!(reader.read(), told(&["a"]).as_str());
        reader.run("CLIENT TRACKING OFF");
        assert_eq!(
            (server.info("tracking_clients"), server.info("tracking_total_keys")),
            ("0".into(), "0".into())
        );
    });
}

#[test]
fn all_ways_of_changing_are_told() {
    each(|server| {
        let mut reader = caching(server, "NOLOOP");
        let mut writer = server.client();
        writer.run("CONFIG SET maxmemory-policy allkeys-random");
        let ways = [
            "SET k x",
            "DEL k",
            "UNLINK k",
            "EXPIRE k 100",
            "PEXPIRE k 5",
            "RENAME other k",
            "RENAME k other",
            "COPY other k REPLACE",
            "RPUSH k x",
            "MOVE k 3",
            "GETDEL k",
            "SORT other STORE k",
            "FLUSHALL",
            "FLUSHDB",
        ];
        for way in ways {
            writer.run("DEL k other");
            writer.run(if way.starts_with("RPUSH") { "RPUSH k v" } else { "SET k v" });
            writer.run(if way.starts_with("SORT") { "RPUSH other 1" } else { "SET other v" });
            while !reader.is_silent(Duration::from_millis(5)) {
                reader.read();
            }
            reader.run("EXISTS k");
            writer.run(way);
            let message = reader.read();
            if way.starts_with("FLUSH") {
                assert_eq!(message, ">2\r\n$10\r\ninvalidate\r\n_\r\n", "{way}");
            } else {
                assert_eq!(message, told(&["k"]).as_str(), "{way}");
            }
        }
        // By the clock.
        writer.run("SET k v PX 30");
        reader.run("EXISTS k");
        assert_eq!(reader.read(), told(&["k"]).as_str());
        // By scripts and transactions of others, while its own are not.
        writer.run("SET k v");
        reader.run("GET k");
        writer.call(&["EVAL", "return redis.call('incr','n') + redis.call('append','k','x')", "0"]);
        assert_eq!(reader.read(), told(&["k"]).as_str());
        reader.run("GET k");
        writer.send_raw(b"MULTI\r\nSET k 1\r\nSET k 2\r\nEXEC\r\n");
        assert_eq!(reader.read(), told(&["k"]).as_str());
        reader.run("GET k");
        reader.run("SET k 3");
        assert!(reader.is_silent(Duration::from_millis(50)));
        reader.run("FLUSHALL"); // NOLOOP does not hold this back
        assert_eq!(reader.read(), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    });
}

#[test]
fn own_changes_in_a_transaction_are_told_behind_its_reply() {
    each(|server| {
        let mut client = caching(server, "");
        client.run("GET k");
        client.send_raw(b"MULTI\r\nSET k 1\r\nGET k\r\nSET k 2\r\nEXEC\r\n");
        (0..4).for_each(|_| drop(client.read()));
        assert_eq!(client.read(), "*3\r\n+OK\r\n$1\r\n1\r\n+OK\r\n");
        assert_eq!(client.read(), told(&["k"]).as_str());
        assert_eq!(client.read(), told(&["k"]).as_str());
        client.run("GET k");
        assert_eq!(client.call(&["EVAL", "return redis.call('set','k','x')", "0"]), "+OK\r\n");
        assert_eq!(client.read(), told(&["k"]).as_str());
        // What scripts read for a client is remembered for it.
        client.call(&["EVAL", "return redis.call('get',KEYS[1])", "1", "k"]);
        server.client().run("SET k y");
        assert_eq!(client.read(), told(&["k"]).as_str());
    });
}

#[test]
fn caching_is_chosen_per_command_or_transaction() {
    each(|server| {
        let mut writer = server.client();
        let mut opt_in = caching(server, "OPTIN");
        opt_in.run("GET a");
        opt_in.run("CLIENT CACHING YES");
        opt_in.run("GET b");
        opt_in.run("GET c");
        opt_in.send_raw(b"CLIENT CACHING YES\r\nMULTI\r\nGET d\r\nGET e\r\nEXEC\r\nGET f\r\n");
        (0..6).for_each(|_| drop(opt_in.read()));
        let mut opt_out = caching(server, "OPTOUT");
        opt_out.run("GET a");
        opt_out.run("CLIENT CACHING NO");
        opt_out.run("GET b");
        opt_out.run("GET c");
        for key in ["a", "b", "c", "d", "e", "f"] {
            writer.run(&format!("SET {key} 1"));
        }
        for key in ["b", "d", "e"] {
            assert_eq!(opt_in.read(), told(&[key]).as_str());
        }
        for key in ["a", "c"] {
            assert_eq!(opt_out.read(), told(&[key]).as_str());
        }
        assert!(opt_in.is_silent(Duration::from_millis(50)) && opt_out.is_silent(Duration::from_millis(50)));
    });
}

#[test]
fn prefixes_are_told_once_per_turn() {
    each(|server| {
        let mut all = caching(server, "BCAST");
        let mut some = caching(server, "BCAST PREFIX ab PREFIX x NOLOOP");
        assert_eq!(server.info("tracking_total_prefixes"), "3");
        let mut writer = server.client();
        writer.call(&[
            "EVAL",
            "for _, k in ipairs{'y','abc','ab','abc'} do redis.call('set', k, 1) end",
            "0",
        ]);
        assert_eq!(all.read(), told(&["ab", "abc", "y"]).as_str());
        assert_eq!(some.read(), told(&["ab", "abc"]).as_str());
        some.run("SET abd 1");
        some.run("SET other 1");
        assert_eq!(all.read(), told(&["abd"]).as_str());
        assert_eq!(all.read(), told(&["other"]).as_str());
        writer.run("SET x 1");
        assert_eq!(some.read(), told(&["x"]).as_str());
        writer.run("FLUSHALL");
        assert_eq!(some.read(), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
        drop(some);
        wait_until("its prefixes are forgotten", || server.info("tracking_total_prefixes") == "1");
        let list = writer.run("CLIENT LIST").text();
        assert!(list.lines().any(|line| line.contains(" flags=tB ")), "{list}");
    });
}

#[test]
fn another_client_can_be_told() {
    each(|server| {
        let mut writer = server.client();
        let mut listener = server.client();
        let id = listener.run("CLIENT ID").text();
        listener.run("SUBSCRIBE __redis__:invalidate");
        let mut reader = server.client();
        reader.run(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        assert_eq!(reader.run("CLIENT GETREDIR"), format!(":{id}\r\n").as_str());
        reader.run("GET k");
        writer.run("SET k 1");
        let head = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
        assert_eq!(listener.read(), format!("{head}*1\r\n$1\r\nk\r\n").as_str());
        writer.run("FLUSHALL");
        assert_eq!(listener.read(), format!("{head}$-1\r\n").as_str());
        reader.run("HELLO 3");
        reader.run("GET k");
        drop(listener);
        wait_until("it is gone", || !writer.run("CLIENT LIST").text().contains(&format!("id={id} ")));
        writer.run("SET k 2");
        assert_eq!(reader.read(), format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n").as_str());
        let info = reader.run("CLIENT TRACKINGINFO").to_string();
        assert!(info.contains("broken_redirect"), "{info}");
        let list = writer.run("CLIENT LIST").text();
        assert!(list.lines().any(|line| line.contains(" flags=tR ")), "{list}");
        // Without RESP3 and without a listener nothing can be told.
        let mut deaf = server.client();
        deaf.run("CLIENT TRACKING ON");
        deaf.run("GET k");
        writer.run("SET k 3");
        assert_eq!(deaf.run("PING"), "+PONG\r\n");
    });
}

#[test]
fn the_table_is_limited() {
    each(|server| {
        let mut reader = caching(server, "");
        let mut admin = server.client();
        admin.run("CONFIG SET tracking-table-max-keys 10");
        for key in 0..50 {
            reader.send(&["GET", &format!("k{key}")]);
        }
        wait_until("it shrinks", || server.info("tracking_total_keys") == "10");
        let (mut messages, mut replies) = (0, 0);
        while !reader.is_silent(Duration::from_millis(50)) {
            match reader.read().to_string() {
                reply if reply == "_\r\n" => replies += 1,
                message => {
                    assert!(message.starts_with(">2\r\n$10\r\ninvalidate\r\n*1\r\n"), "{message}");
                    messages += 1;
                }
            }
        }
        assert_eq!((messages, replies), (40, 50));
    });
}
