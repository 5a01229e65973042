//! `used_memory` is true: it goes back when data goes, also where another thread frees it.

use ochre_tests::{Client, Server, Settings, wait_until};

/// What may stay behind for good, bytes: buffers of the connection, of the log and of threads that started meanwhile.
const LEFTOVER: i64 = 200_000;

fn used(server: &Server) -> i64 {
    server.info("used_memory").parse().expect("a number")
}

/// Fills a database with values of each type, small and big.
fn fill(client: &mut Client) {
    client.run("DEBUG POPULATE 50000 small 40");
    client.call(&["SET", "string", &"v".repeat(8_000_000)]);
    for chunk in 0..40 {
        let words: Vec<String> = (0..1000).map(|n| format!("{chunk}:{n}:some more bytes")).collect();
        let with = |command: &str, key: &str, each: &dyn Fn(&String) -> Vec<String>| {
            let mut line = vec![command.to_owned(), key.to_owned()];
            line.extend(words.iter().flat_map(each));
            line
        };
        let score = |word: &String| vec![word.len().to_string(), word.clone()];
        let both = |word: &String| vec![word.clone(), word.clone()];
        let lines = [
            with("RPUSH", "list", &|word| vec![word.clone()]),
            with("SADD", "set", &|word| vec![word.clone()]),
            with("HSET", "hash", &both),
            with("ZADD", "sorted", &score),
            [&["XADD", "stream", "*"].map(str::to_owned)[..], &with("", "", &both)[2..]].concat(),
        ];
        lines.iter().for_each(|line| assert!(!client.call(line).is_error(""), "{:?}", &line[..2]));
    }
}

#[test]
fn memory_comes_back() {
    for lazy in ["yes", "no"] {
        let names = ["expire", "eviction", "server-del", "user-del", "user-flush"];
        let settings = names
            .iter()
            .fold(Settings::new(), |settings, name| settings.set(&format!("lazyfree-lazy-{name}"), lazy));
        let server = settings.start();
        let mut client = server.client();
        // The first round pays for what is made once: the thread that frees, pools, the largest buffers.
        for round in 0..2 {
            let before = used(&server);
            for (name, end) in [
                ("FLUSHALL", &["FLUSHALL"][..]),
                ("FLUSHALL ASYNC", &["FLUSHALL ASYNC"]),
                ("FLUSHDB SYNC", &["FLUSHDB SYNC"]),
                ("deletion", &["DEL string list set hash sorted stream", "FLUSHDB"]),
                ("UNLINK", &["UNLINK string list set hash sorted stream", "FLUSHDB"]),
                (
                    "expiry",
                    &["PEXPIRE string 1", "PEXPIRE list 1", "PEXPIRE hash 1", "PEXPIRE set 1", "FLUSHDB"],
                ),
            ] {
                fill(&mut client);
                assert!(used(&server) > before + 15_000_000, "{}", used(&server));
                end.iter().for_each(|line| assert!(!client.run(line).is_error(""), "{line}"));
                let is_back =
                    || server.info("lazyfree_pending_objects") == "0" && used(&server) < before + LEFTOVER;
                if round == 0 {
                    wait_until("all is freed", || server.info("lazyfree_pending_objects") == "0");
                } else {
                    wait_until(&format!("memory comes back after {name}, lazily: {lazy}"), is_back);
                }
            }
            assert_eq!(client.run("DBSIZE"), ":0\r\n");
        }
    }
}

#[test]
fn big_values_give_their_memory_back_one_by_one() {
    let server = Server::start();
    let mut client = server.client();
    fill(&mut client);
    wait_until("nothing is freed any more", || server.info("lazyfree_pending_objects") == "0");
    for key in ["string", "list", "set", "hash", "sorted", "stream"] {
        let (before, usage) = (used(&server), client.run(&format!("MEMORY USAGE {key} SAMPLES 0")).integer());
        assert!(usage > 500_000, "{key}: {usage}");
        assert_eq!(client.run(&format!("DEL {key}")), ":1\r\n");
        // What MEMORY USAGE tells is an estimate where elements are many.
        wait_until(&format!("{key} is freed"), || before - used(&server) > usage / 10 * 8);
    }
}
