//! Random sequences of what operators and client libraries ask: the connection and server groups, and the options of other
//! groups that `differential.rs` does not send. A test looks into redis-server's COMMAND DOCS for words that nobody sends.

use super::groups::Group;
use ochre_tests::{Reply, Settings, wait_until};

const ADMIN: Group = Group {
    setup: &[],
    templates: &[
        &["CLIENT", "LIST", "TYPE", "T"],
        &["CLIENT", "LIST", "ID", "W"],
        &["CLIENT", "LIST", "ID"],
        &["CLIENT", "LIST", "W"],
        &["CLIENT", "INFO", "W"],
        &["CLIENT", "ID", "W"],
        &["CLIENT", "KILL", "F", "W"],
        &["CLIENT", "KILL", "F", "W", "F", "W"],
        &["CLIENT", "KILL", "TYPE", "T"],
        &["CLIENT", "KILL", "TYPE", "T", "SKIPME", "YES"],
        &["CLIENT", "KILL", "F"],
        &["CLIENT", "NO-EVICT", "Y"],
        &["CLIENT", "REPLY", "ON"],
        &["CLIENT", "REPLY", "W"],
        &["CLIENT", "KILL", "TYPE", "NORMAL", "ID", "99999"],
        &["CLIENT", "UNBLOCK", "99999", "E"],
        &["CLIENT", "SETNAME", "W"],
        &["CLIENT", "GETNAME"],
        &["CLIENT", "HELP", "W"],
        &["COMMAND", "LIST", "FILTERBY", "B", "W"],
        &["COMMAND", "LIST", "FILTERBY", "PATTERN", "xautoc*"],
        &["COMMAND", "LIST", "FILTERBY", "ACLCAT", "nosuch"],
        &["COMMAND", "LIST", "FILTERBY", "MODULE", "nosuch"],
        &["COMMAND", "LIST", "W"],
        &["COMMAND", "DOCS", "nosuch"],
        &["COMMAND", "INFO", "nosuch", "nosuch|x"],
        &["COMMAND", "GETKEYS", "SORT", "K", "STORE", "K"],
        &["COMMAND", "HELP", "W"],
        &["CONFIG", "RESETSTAT"],
        &["CONFIG", "RESETSTAT", "W"],
        &["CONFIG", "REWRITE"],
        &["CONFIG", "REWRITE", "W"],
        &["CONFIG", "HELP", "W"],
        &["CONFIG", "SET", "D", "V"],
        &["CONFIG", "SET", "D", "V", "D", "V"],
        &["CONFIG", "SET", "D", "V", "D", "V", "D"],
        &["CONFIG", "GET", "D"],
        &["CONFIG", "GET", "nosuch", "W"],
        &["FLUSHALL", "SYNC"],
        &["FLUSHALL", "ASYNC"],
        &["FLUSHDB", "SYNC"],
        &["FLUSHDB", "ASYNC"],
        &["FLUSHALL", "W"],
        &["SET", "K", "V"],
        &["SET", "K", "V"],
        &["GET", "K"],
        &["DBSIZE"],
        &["DBSIZE", "W"],
        &["TIME", "W"],
        &["LASTSAVE", "W"],
        &["SAVE"],
        &["SAVE", "W"],
        &["BGSAVE", "W"],
        &["BGSAVE", "SCHEDULE", "W"],
        &["ROLE"],
        &["ROLE", "W"],
        &["WAIT", "N", "1"],
        &["WAIT", "0", "N"],
        &["WAIT", "1", "1"],
        &["WAIT", "0"],
        &["REPLCONF", "W"],
        &["REPLCONF", "foo", "W"],
        &["SHUTDOWN", "ABORT"],
        &["SHUTDOWN", "S", "foo"],
        &["SHUTDOWN", "ABORT", "S"],
        &["SHUTDOWN", "SAVE", "NOSAVE"],
        &["LATENCY", "DOCTOR", "W"],
        &["LATENCY", "HELP", "W"],
        &["MEMORY", "DOCTOR", "W"],
        &["MEMORY", "HELP", "W"],
        &["MEMORY", "STATS", "W"],
        &["MEMORY", "MALLOC-STATS", "W"],
        &["MEMORY", "USAGE", "nosuch", "SAMPLES", "N"],
        &["MODULE", "HELP", "W"],
        &["MODULE", "LOADEX"],
        &["MODULE", "LOADEX", "W"],
        &["MODULE", "LOADEX", "W", "CONFIG", "a", "b", "ARGS", "c"],
        &["MODULE", "LOADEX", "W", "CONFIG", "a"],
        &["OBJECT", "HELP", "W"],
        &["SLOWLOG", "HELP", "W"],
        &["RESTORE", "K", "N", "W", "ABSTTL"],
        &["RESTORE", "K", "N", "W", "IDLETIME", "N"],
        &["RESTORE", "K", "N", "W", "FREQ", "N", "REPLACE"],
        &["RESTORE", "K", "N", "W", "ABSTTL", "IDLETIME", "N", "FREQ", "N"],
        &["DEBUG", "STRINGMATCH-LEN", "W"],
        &["DEBUG", "W"],
        &["DEBUG", "OBJECT", "nosuch"],
        &["DEBUG", "LEAK", "W"],
        &["DEBUG", "CHANGE-REPL-ID"],
        &["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "N"],
        &["LOLWUT", "VERSION", "x"],
        &["RESET", "W"],
        &["PSYNC", "W"],
        &["SYNC", "W"],
        &["HELLO", "W"],
        &["HELLO", "9"],
        &["HELLO", "2", "SETNAME"],
        &["HELLO", "2", "AUTH", "W"],
        &["HELLO", "2", "AUTH", "W", "W"],
        &["HELLO", "2", "SETNAME", "a b"],
    ],
    holes: &[
        ("K", &["a", "b"]),
        // Types of which there are no clients here.
        ("T", &["MASTER", "REPLICA", "slave", "pubsub", "foo"]),
        ("F", &["ID", "ADDR", "LADDR", "USER", "TYPE", "laddr", "SKIPME", "foo"]),
        ("W", &["99999", "x", "1.2.3.4:5", "master", "nobody", "", "-1", "99999999999999999999"]),
        ("Y", &["ON", "OFF", "on", "SKIP", "x"]),
        ("E", &["TIMEOUT", "ERROR", "error", "x"]),
        ("B", &["MODULE", "ACLCAT", "foo"]),
        (
            "D",
            &[
                "hz",
                "maxmemory-samples",
                "maxmemory-policy",
                "lfu-log-factor",
                "slowlog-max-len",
                "notify-keyspace-events",
                "client-query-buffer-limit",
                "nosuch",
                "databases",
                "save",
            ],
        ),
        ("V", &["10", "-1", "x", "", "allkeys-lru", "KEA", "1gb", "100", "3600 1", "1000000000000"]),
        ("N", &["0", "1", "-1", "x", "", "255", "256", "9223372036854775807"]),
        ("S", &["NOSAVE", "SAVE", "NOW", "FORCE", "foo", "now"]),
    ],
    at_end: &[&["GET", "K"]],
    keys: &["a", "b"],
    may_differ,
};

/// Replies that may differ, each with its reason.
fn may_differ(words: &[String], ours: &Reply, theirs: &Reply) -> bool {
    let is = |line: &[&str]| words.iter().zip(line).all(|(word, known)| word.eq_ignore_ascii_case(known));
    let both_are_errors = ours.is_error("ERR") && theirs.is_error("ERR");
    // Newer choices are listed.
    is(&["CONFIG", "SET"]) && both_are_errors && words.iter().any(|word| word == "maxmemory-policy")
        // Redis 7.0 adds the time of day to any timeout and may end up in the past.
        || is(&["WAIT"]) && ours.is_error("ERR timeout is out of range")
}

#[test]
fn administration() {
    ADMIN.compare(&Settings::new());
}

/// Every word that a container of templates sends, in capitals.
fn sent() -> Vec<String> {
    let sources = [
        include_str!("../differential.rs"),
        include_str!("groups.rs"),
        include_str!("admin.rs"),
        include_str!("../differential_collections.rs"),
    ];
    let templates = sources.iter().flat_map(|text| text.lines()).filter(|line| !line.contains("NOT_SENT"));
    templates.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_uppercase).collect()
}

/// Commands of these groups that no sequence sends, with the reason.
const NOT_SENT: &[(&str, &str)] = &[
    ("acl", "work to come"),
    ("bgrewriteaof", "work to come"),
    ("client|caching", "work to come"),
    ("client|getredir", "work to come"),
    ("client|pause", "work to come"),
    ("client|tracking", "work to come"),
    ("client|trackinginfo", "work to come"),
    ("client|unpause", "work to come"),
    ("failover", "work to come"),
    ("migrate", "work to come"),
    ("monitor", "work to come"),
    ("replicaof", "work to come"),
    ("slaveof", "work to come"),
    ("quit", "it ends the connection; clients' tests send it"),
    ("restore-asking", "only nodes of a cluster send it"),
];

#[test]
fn every_option_is_sent() {
    let server = Settings::new().redis().start();
    wait_until("it answers", || server.client().run("PING") == "+PONG\r\n");
    let mut client = server.client();
    let sent = sent();
    let listed = client.run("COMMAND LIST").to_string();
    let mut missing = Vec::new();
    for name in listed.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with(['*', '$'])) {
        let docs = client.call(&["COMMAND", "DOCS", name]).to_string();
        let lines: Vec<&str> = docs.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).collect();
        let behind = |what: &str| -> Vec<String> {
            lines.windows(2).filter(|pair| pair[0] == what).map(|pair| pair[1].to_owned()).collect()
        };
        let group = behind("group").pop().unwrap_or_default();
        let container = name.split('|').next().unwrap_or_default();
        let is_named = NOT_SENT.iter().any(|(known, _)| *known == name || *known == container);
        if is_named || !["connection", "generic", "string", "server"].contains(&group.as_str()) {
            continue;
        }
        // What is said of a container holds the words of all its subcommands, which come by themselves.
        let is_container = listed.contains(&format!("\r\n{name}|"));
        let options = if is_container { Vec::new() } else { behind("token") };
        let words = name.split('|').map(str::to_uppercase).chain(options);
        missing.extend(
            words
                .filter(|word| !word.is_empty() && !sent.contains(&word.to_uppercase()))
                .map(|word| format!("{name}: {word}")),
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
