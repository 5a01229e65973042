//! Keys whose time is up when a command overwrites them without a look: events, counts and what replicas get are as if they
//! had been deleted first.

use ochre_tests::{Client, Server, Settings, wait_until};
use std::io::Read;

/// What overwrites `k`, the events that follow, and what a replica gets.
const CASES: &[(&str, &str, &str)] = &[
    ("SET k new", "expired new set", "DEL k SET k new"),
    ("SET k new EX 1000", "expired new set expire", "DEL k SET k new PXAT"),
    ("MSET k a k b", "expired new set set", "DEL k MSET k a k b"),
    ("PSETEX k 1000000 new", "expired new set expire", "DEL k SET k new PXAT"),
    ("GETSET k new", "expired new set", "DEL k SET k new"),
    // Whoever stores an empty result does not ask whether the time is up.
    ("SUNIONSTORE k none", "del", "SUNIONSTORE k none"),
    ("BITOP AND k none", "del", "BITOP AND k none"),
    ("SORT none STORE k", "del", "SORT none STORE k"),
];

fn both() -> [Server; 2] {
    [Settings::new(), Settings::new().redis()].map(|settings| {
        let settings = settings.set("repl-diskless-sync", "no").set("lazyfree-lazy-expire", "no");
        let server = settings.set("notify-keyspace-events", "EAn").start();
        server.client().run("DEBUG SET-ACTIVE-EXPIRE 0");
        server
    })
}

fn leave_expired(client: &mut Client) {
    client.run("DEL k");
    assert_eq!(client.run("SET k old PXAT 1"), "+OK\r\n");
}

#[test]
fn events_and_counts() {
    for server in both() {
        let (mut client, mut listener) = (server.client(), server.client());
        for (line, events, _) in CASES {
            leave_expired(&mut client);
            client.run("CONFIG RESETSTAT");
            listener.run("PSUBSCRIBE __keyevent*");
            client.run(line);
            client.run("PUBLISH __keyevent@0__:end k");
            let mut seen = Vec::new();
            loop {
                let text = listener.read().to_string();
                match text.split("\r\n").nth(6).and_then(|channel| channel.rsplit(':').next()) {
                    Some("end") => break,
                    event => seen.push(event.unwrap_or_default().to_owned()),
                }
            }
            listener.run("PUNSUBSCRIBE __keyevent*");
            assert_eq!(seen.join(" "), *events, "{line}");
            let expired = if events.starts_with("expired") { "1" } else { "0" };
            assert_eq!(server.info("expired_keys"), expired, "{line}");
        }
    }
}

#[test]
fn replicas_delete_first() {
    for server in both() {
        let (mut client, replica) = (server.client(), &mut server.client());
        replica.send(&["SYNC"]);
        wait_until("the replica is online", || server.info("slave0").contains("state=online"));
        for (line, _, stream) in CASES {
            leave_expired(&mut client);
            client.run(line);
            client.run("SET end x");
            let got = until_end(replica);
            let (_, got) = got.rsplit_once("PXAT 1 ").expect("the key that expires came first");
            // A unit of several commands may be a transaction.
            let got = got.replace("MULTI ", "").replace("EXEC ", "");
            assert!(got.to_uppercase().starts_with(&stream.to_uppercase()), "{line}: {got}");
        }
    }
}

/// The words that a replica receives until the one that ends a case.
fn until_end(replica: &Client) -> String {
    let mut received = Vec::new();
    while !received.ends_with(b"$3\r\nend\r\n$1\r\nx\r\n") {
        let mut chunk = [0; 4096];
        let n = (&mut replica.socket()).read(&mut chunk).expect("the stream goes on");
        assert!(n > 0, "the server closed the connection");
        received.extend_from_slice(&chunk[..n]);
    }
    let text = String::from_utf8_lossy(&received).into_owned();
    text.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect::<Vec<_>>().join(" ")
}
