//! Blocked clients: order, pipelines, pushes, kills, disconnects; at one I/O thread and at two.

use ochre_tests::{Client, Server, Settings, wait_until};
use std::time::Duration;

fn each(test: impl Fn(&Server)) {
    for threads in ["1", "2"] {
        let server = Settings::new().set("io-threads", threads).start();
        test(&server);
        // Whatever happened, it still serves.
        assert_eq!(server.client().run("PING"), "+PONG\r\n", "io-threads {threads}");
    }
}

fn blocked(server: &Server) -> String {
    server.info("blocked_clients")
}

fn wait_for_blocked(server: &Server, count: &str) {
    wait_until("clients block", || blocked(server) == count);
}

#[test]
fn a_pipeline_goes_on_behind_a_blocking_pop() {
    each(|server| {
        let (mut waiter, mut pusher) = (server.client(), server.client());
        waiter.send_raw(b"SET before 1\r\nBLPOP q 0\r\nGET before\r\nSET after 2\r\n");
        assert_eq!(waiter.read(), "+OK\r\n");
        wait_for_blocked(server, "1");
        assert_eq!(pusher.run("GET after"), "$-1\r\n");
        // More requests arrive while it waits.
        waiter.send_raw(b"GET after\r\n");
        assert!(waiter.is_silent(Duration::from_millis(50)));
        assert_eq!(pusher.run("RPUSH q x"), ":1\r\n");
        for reply in ["*2\r\n$1\r\nq\r\n$1\r\nx\r\n", "$1\r\n1\r\n", "+OK\r\n", "$1\r\n2\r\n"] {
            assert_eq!(waiter.read(), reply);
        }
        assert_eq!(blocked(server), "0");
    });
}

#[test]
fn first_come_first_served_and_each_element_once() {
    each(|server| {
        let mut waiters: Vec<Client> = Vec::new();
        for number in 1..=3 {
            let mut waiter = server.client();
            waiter.send(&["BLPOP", "other", "q", "0"]);
            wait_for_blocked(server, &number.to_string());
            waiters.push(waiter);
        }
        let mut pusher = server.client();
        assert_eq!(pusher.run("RPUSH q 1 2"), ":2\r\n");
        assert_eq!(waiters[0].read(), "*2\r\n$1\r\nq\r\n$1\r\n1\r\n");
        assert_eq!(waiters[1].read(), "*2\r\n$1\r\nq\r\n$1\r\n2\r\n");
        assert_eq!(pusher.run("EXISTS q"), ":0\r\n");
        assert_eq!(blocked(server), "1");
        // In a transaction the waiter is served after EXEC, with what is left then.
        pusher.send_raw(b"MULTI\r\nRPUSH q a\r\nLPOP q\r\nRPUSH q b\r\nEXEC\r\n");
        for _ in 0..4 {
            pusher.read();
        }
        assert_eq!(pusher.read(), "*3\r\n:1\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(waiters[2].read(), "*2\r\n$1\r\nq\r\n$1\r\nb\r\n");
    });
}

#[test]
fn those_whom_one_push_serves_go_on_in_order() {
    each(|server| {
        let mut waiters: Vec<Client> = (0..200).map(|_| server.client()).collect();
        for (number, waiter) in waiters.iter_mut().enumerate() {
            waiter.send_raw(format!("BLPOP q 0\r\nRPUSH order {number}\r\n").as_bytes());
            wait_for_blocked(server, &(number + 1).to_string());
        }
        let elements: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        let mut pusher = server.client();
        pusher.run(&format!("RPUSH q {}", elements.join(" ")));
        for (element, waiter) in elements.iter().zip(&mut waiters) {
            let reply = format!("*2\r\n$1\r\nq\r\n${}\r\n{element}\r\n", element.len());
            assert_eq!(waiter.read(), reply.as_str());
        }
        let expected: String =
            elements.iter().map(|number| format!("${}\r\n{number}\r\n", number.len())).collect();
        assert_eq!(pusher.run("LRANGE order 0 -1"), format!("*200\r\n{expected}").as_str());
    });
}

#[test]
fn a_wait_ends_in_time() {
    each(|server| {
        let mut waiter = server.client();
        assert_eq!(waiter.run("BLPOP q 0.05"), "*-1\r\n");
        assert_eq!(waiter.run("PING"), "+PONG\r\n");
        waiter.run("HELLO 3");
        assert_eq!(waiter.run("BRPOP q r 0.05"), "_\r\n");
        assert_eq!(waiter.run("BLPOP q -1"), "-ERR timeout is negative\r\n");
        assert_eq!(waiter.run("BLPOP q inf"), "-ERR timeout is out of range\r\n");
    });
}

#[test]
fn the_wrong_type_does_not_wake() {
    each(|server| {
        let (mut waiter, mut other) = (server.client(), server.client());
        waiter.send(&["BLPOP", "q", "0"]);
        wait_for_blocked(server, "1");
        other.run("SET q string");
        assert!(waiter.is_silent(Duration::from_millis(50)));
        other.run("DEL q");
        other.run("RPUSH q x");
        assert_eq!(waiter.read(), "*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    });
}

#[test]
fn swapdb_wakes_those_who_wait() {
    each(|server| {
        let (mut waiter, mut other) = (server.client(), server.client());
        waiter.send(&["BLPOP", "q", "0"]);
        wait_for_blocked(server, "1");
        other.run("SELECT 1");
        other.run("RPUSH q x");
        other.run("SWAPDB 0 1");
        assert_eq!(waiter.read(), "*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    });
}

#[test]
fn client_unblock() {
    each(|server| {
        let (mut waiter, mut other) = (server.client(), server.client());
        let id = waiter.run("CLIENT ID").text();
        assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}")), ":0\r\n");
        for (reason, reply) in [
            ("", "*-1\r\n"),
            (" TIMEOUT", "*-1\r\n"),
            (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
        ] {
            waiter.send(&["BLPOP", "q", "0"]);
            wait_for_blocked(server, "1");
            assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}{reason}")), ":1\r\n");
            assert_eq!(waiter.read(), reply);
        }
    });
}

#[test]
fn a_blocked_client_is_killed() {
    each(|server| {
        let (mut waiter, mut other) = (server.client(), server.client());
        let id = waiter.run("CLIENT ID").text();
        waiter.send_raw(b"BLPOP q 0\r\nSET after 1\r\n");
        wait_for_blocked(server, "1");
        assert_eq!(other.run(&format!("CLIENT KILL ID {id}")), ":1\r\n");
        assert!(waiter.is_closed());
        assert_eq!(blocked(server), "0");
        assert_eq!(other.run("RPUSH q x"), ":1\r\n");
        assert_eq!(other.run("LLEN q"), ":1\r\n");
        assert_eq!(other.run("EXISTS after"), ":0\r\n");
    });
}

#[test]
fn a_disconnect_while_blocked_is_seen() {
    each(|server| {
        let mut waiter = server.client();
        waiter.send(&["BLPOP", "q", "0"]);
        wait_for_blocked(server, "1");
        drop(waiter);
        wait_for_blocked(server, "0");
        let mut other = server.client();
        other.run("RPUSH q x");
        assert_eq!(other.run("LLEN q"), ":1\r\n");
    });
}

#[test]
fn those_who_leave_before_they_are_let_in_do_not_wait() {
    each(|server| {
        let mut sleeper = server.client();
        sleeper.send(&["DEBUG", "SLEEP", "0.3"]);
        std::thread::sleep(Duration::from_millis(100));
        for _ in 0..20 {
            server.client().send(&["BZPOPMIN", "q", "0"]); // the connection ends with the line
        }
        std::thread::sleep(Duration::from_millis(300));
        wait_until("nobody is left", || server.info("connected_clients") == "2" && blocked(server) == "0");
    });
}

#[test]
fn watch_and_blocking_pops_leave_nothing_behind() {
    each(|server| {
        for round in 0..20 {
            let mut a = server.client();
            a.run("WATCH k1 k2");
            a.send(&["BLPOP", "q", "0"]);
            wait_for_blocked(server, "1");
            if round % 2 == 0 {
                server.client().run("RPUSH q x");
                a.read();
            }
            drop(a);
            wait_for_blocked(server, "0");
        }
        wait_until("watches are gone", || server.info("total_watched_keys") == "0");
        assert_eq!(server.info("total_blocking_keys"), "0");
    });
}
