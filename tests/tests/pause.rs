//! CLIENT PAUSE: who waits, who does not, and that data stands still.

use ochre_tests::{Server, Settings, check, wait_until};
use std::time::{Duration, Instant};

fn each(test: impl Fn(&Server)) {
    for threads in ["1", "2"] {
        test(&Settings::new().set("io-threads", threads).start());
    }
}

/// Waits until so many clients are blocked.
fn blocked(server: &Server, clients: &str) {
    wait_until("they wait", || server.info("blocked_clients") == clients);
}

#[test]
fn words_are_checked() {
    each(|server| {
        let wrong = "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.";
        check(
            &mut server.client(),
            &[
                ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
                ("CLIENT PAUSE 99999999999999999999", "-ERR timeout is not an integer or out of range"),
                ("CLIENT PAUSE -1", "-ERR timeout is negative"),
                ("CLIENT PAUSE 100 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
                ("CLIENT PAUSE 1 WRITE x", wrong),
                ("CLIENT UNPAUSE x", "-ERR wrong number of arguments for 'client|unpause' command"),
                ("CLIENT UNPAUSE", "+OK"),
                ("CLIENT PAUSE 0", "+OK"),
                ("PING", "+PONG"),
            ],
        );
    });
}

#[test]
fn what_may_reach_replicas_waits() {
    each(|server| {
        let mut admin = server.client();
        admin.run("PFADD hll a");
        let mut in_multi = server.client();
        in_multi.run("MULTI");
        in_multi.run("SET k v");
        let mut reads_in_multi = server.client();
        reads_in_multi.run("MULTI");
        reads_in_multi.run("GET k");
        admin.run("CLIENT PAUSE 60000 WRITE");
        for line in ["GET k", "PING", "SUBSCRIBE c", "EVAL_RO return{} 0"] {
            assert!(!server.client().run(line).0.is_empty());
        }
        assert_eq!(reads_in_multi.run("EXEC"), "*1\r\n$-1\r\n");
        assert_eq!(server.client().run("SET k"), "-ERR wrong number of arguments for 'set' command\r\n");
        for words in [["EVAL", "#!lua flags=no-writes\nreturn 1", "0"], ["EVAL_RO", "return 1", "0"]] {
            assert_eq!(server.client().call(&words), ":1\r\n");
        }
        let lines = ["SET k 2", "PFCOUNT hll", "PUBLISH c m", "SPUBLISH c m", "EVAL return{} 0", "DEL none"];
        let mut waiting: Vec<_> = lines.iter().map(|_| server.client()).collect();
        for (client, line) in waiting.iter_mut().zip(lines) {
            client.send_raw(format!("{line}\r\nPING\r\n").as_bytes());
        }
        in_multi.send(&["EXEC"]);
        let mut queues = server.client();
        queues.run("MULTI");
        queues.send(&["SET", "q", "1"]);
        blocked(server, "8");
        assert!(queues.is_silent(Duration::from_millis(50)));
        let list = admin.run("CLIENT LIST").text();
        assert!(list.lines().any(|line| line.contains("flags=b") && line.contains("cmd=pfcount")), "{list}");
        assert_eq!(admin.run("CLIENT UNPAUSE"), "+OK\r\n");
        let replies = ["+OK\r\n", ":1\r\n", ":0\r\n", ":0\r\n", "*0\r\n", ":0\r\n"];
        for (client, reply) in waiting.iter_mut().zip(replies) {
            assert_eq!(client.read(), reply);
            assert_eq!(client.read(), "+PONG\r\n");
        }
        assert_eq!(in_multi.read(), "*1\r\n+OK\r\n");
        assert_eq!(queues.read(), "+QUEUED\r\n");
        assert_eq!(queues.run("EXEC"), "*1\r\n+OK\r\n");
        assert_eq!(server.info("blocked_clients"), "0");
    });
}

#[test]
fn a_pause_ends_by_itself_and_the_longest_counts() {
    each(|server| {
        let mut client = server.client();
        let begun = Instant::now();
        assert_eq!(client.run("CLIENT PAUSE 300 WRITE"), "+OK\r\n");
        assert_eq!(client.run("CLIENT PAUSE 20 ALL"), "+OK\r\n");
        assert_eq!(client.run("PING"), "+PONG\r\n"); // the stricter counts as well
        let lasted = begun.elapsed();
        assert!(lasted >= Duration::from_millis(290) && lasted < Duration::from_secs(2), "{lasted:?}");
        assert_eq!(client.run("SET k v"), "+OK\r\n");
    });
}

#[test]
fn a_pause_begins_behind_the_transaction() {
    each(|server| {
        let mut client = server.client();
        let mut popper = server.client();
        popper.send(&["BLPOP", "l", "0"]);
        blocked(server, "1");
        for line in ["MULTI", "SET a 1", "CLIENT PAUSE 60000 WRITE", "SET b 1", "RPUSH l x"] {
            client.run(line);
        }
        assert_eq!(client.run("EXEC"), "*4\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n");
        assert_eq!(popper.read(), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
        let mut late = server.client();
        late.send(&["SET", "c", "1"]);
        blocked(server, "1");
        check(&mut client, &[("GET b", "$1 1"), ("GET c", "$-1"), ("CLIENT UNPAUSE", "+OK")]);
        assert_eq!(late.read(), "+OK\r\n");
    });
}

#[test]
fn nothing_expires_meanwhile() {
    each(|server| {
        let mut client = server.client();
        for line in ["MULTI", "SET e v PX 10", "SET f v PX 10", "CLIENT PAUSE 60000 WRITE"] {
            client.run(line);
        }
        client.run("EXEC");
        wait_until("it is past its time", || client.run("GET e") == "$-1\r\n");
        std::thread::sleep(Duration::from_millis(250)); // a round of the expire cycle
        check(
            &mut client,
            &[
                ("DBSIZE", ":2"),
                ("EXISTS e f", ":0"),
                ("TTL e", ":-2"),
                ("TYPE e", "+none"),
                ("KEYS *", "*0"),
                ("SCAN 0", "*2 $1 0 *0"),
                ("DBSIZE", ":2"),
            ],
        );
        assert_eq!(server.info("expired_keys"), "0");
        client.run("CLIENT UNPAUSE");
        wait_until("they expire", || client.run("DBSIZE") == ":0\r\n");
        assert_eq!(server.info("expired_keys"), "2");
    });
}

#[test]
fn blocked_clients_time_out_and_paused_ones_can_leave() {
    each(|server| {
        let mut client = server.client();
        let mut popper = server.client();
        popper.send(&["BLPOP", "l", "0.1"]);
        blocked(server, "1");
        client.run("CLIENT PAUSE 60000 WRITE");
        assert_eq!(popper.read(), "*-1\r\n");
        let mut leaving = server.client();
        leaving.send(&["SET", "k", "v"]);
        blocked(server, "1");
        drop(leaving);
        blocked(server, "0");
        client.run("CLIENT UNPAUSE");
        assert_eq!(client.run("GET k"), "$-1\r\n");
    });
}

#[test]
fn a_reply_that_is_not_wanted_does_not_come_after_a_wait() {
    each(|server| {
        let mut client = server.client();
        let mut skips = server.client();
        client.run("CLIENT PAUSE 60000 WRITE");
        skips.send_raw(b"CLIENT REPLY SKIP\r\nSET k v\r\nPING\r\n");
        blocked(server, "1");
        client.run("CLIENT UNPAUSE");
        assert_eq!(skips.read(), "+PONG\r\n");
        skips.send_raw(
            b"CLIENT REPLY SKIP\r\nBLPOP l 0\r\nECHO a\r\nCLIENT REPLY SKIP\r\nBLPOP l 0.05\r\nECHO b\r\n",
        );
        blocked(server, "1");
        client.run("RPUSH l x");
        assert_eq!(skips.read(), "$1\r\na\r\n");
        assert_eq!(skips.read(), "$1\r\nb\r\n");
    });
}
