//! Commands that are newer than the redis-server that others are compared with: they do what their documentation says.

use ochre_tests::{Server, Settings, check};

#[test]
fn writes_that_compare() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            ("DIGEST k", "$-1"),
            ("SET k v IFEQ x", "$-1"),
            ("SET k v IFDEQ 0000000000000000", "$-1"),
            ("SET k v IFNE x", "+OK"),
            ("SET k w IFEQ x GET", "$1 v"),
            ("SET k w IFDEQ short", "-ERR must be exactly 16 hexadecimal characters"),
            ("SET k w IFEQ v EX 100", "+OK"),
            ("SET k x IFNE w GET", "$1 w"),
            ("SET k x IFEQ w KEEPTTL", "+OK"),
            ("TTL k", ":100"),
            ("SET k x IFEQ x NX", "-ERR syntax error"),
            ("SET k x IFEQ x IFNE y", "-ERR syntax error"),
            ("SET k x IFEQ", "-ERR syntax error"),
            ("DELEX k IFEQ", "-ERR wrong number of arguments for 'delex' command"),
            ("DELEX k LIKE x", "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"),
            ("DELEX k IFNE x", ":0"),
            ("DELEX k IFEQ x", ":1"),
            ("DELEX k IFNE x", ":0"),
            ("SET k 12", "+OK"),
            ("DELIFEQ k 1", ":0"),
            ("DELIFEQ k 12", ":1"),
            ("DELIFEQ k 12", ":0"),
            ("RPUSH l a", ":1"),
            ("DIGEST l", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SET l x IFEQ a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("DELEX l IFEQ a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("DELEX l", ":1"),
            // A value whose digest is known, zeros in front included.
            (
                "SET k v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd",
                "+OK",
            ),
            ("DIGEST k", "$16 00006c38adf31777"),
            ("DELEX k IFDNE 00006C38ADF31777", ":0"),
            ("DELEX k IFDEQ 00006C38ADF31777", ":1"),
        ],
    );
}

#[test]
fn several_strings_with_one_expiry() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            ("MSETEX 2 a 1 b 2 EX 100 NX", ":1"),
            ("TTL b", ":100"),
            ("MSETEX 2 a 1 c 2 NX", ":0"),
            ("MSETEX 2 a 1 c 2 XX", ":0"),
            ("EXISTS c", ":0"),
            ("MSETEX 2 a 3 b 4 XX KEEPTTL", ":1"),
            ("TTL a", ":100"),
            ("MSETEX 1 a 5", ":1"),
            ("TTL a", ":-1"),
            ("MGET a b", "*2 $1 5 $1 4"),
            ("MSETEX 0 a 1", "-ERR invalid numkeys value"),
            ("MSETEX x a 1", "-ERR invalid numkeys value"),
            ("MSETEX 2 a 1 b", "-ERR wrong number of key-value pairs"),
            ("MSETEX 1 a 1 NX XX", "-ERR syntax error"),
            ("MSETEX 1 a 1 GET", "-ERR syntax error"),
            ("MSETEX 1 a 1 EX 1 KEEPTTL", "-ERR syntax error"),
            ("MSETEX 1 a 1 EX 0", "-ERR invalid expire time in 'msetex' command"),
            ("COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 9", "*2 $1 a $1 b"),
        ],
    );
}

#[test]
fn counting_within_bounds() {
    let server = Server::start();
    let mut client = server.client();
    check(
        &mut client,
        &[
            ("INCREX n", "*2 :1 :1"),
            ("INCREX n BYINT 5 UBOUND 6", "*2 :6 :5"),
            ("INCREX n UBOUND 6 EX 10", "*2 :6 :0"),
            ("TTL n", ":-1"),
            ("INCREX n BYINT 9 UBOUND 10 SATURATE EX 100", "*2 :10 :4"),
            ("INCREX n BYINT -20 LBOUND 0 SATURATE EX 500 ENX", "*2 :0 :-10"),
            ("TTL n", ":100"),
            ("INCREX n PERSIST", "*2 :1 :1"),
            ("TTL n", ":-1"),
            ("INCREX n BYINT 9223372036854775807", "*2 :1 :0"),
            ("INCREX n BYINT 9223372036854775807 SATURATE", "*2 :9223372036854775807 :9223372036854775806"),
            ("SET n -2", "+OK"),
            (
                "INCREX n BYINT 1 LBOUND 9223372036854775807 SATURATE",
                "-ERR increment or decrement would overflow",
            ),
            ("INCREX missing BYINT 5 UBOUND 1", "*2 :0 :0"),
            ("EXISTS missing", ":0"),
            ("SET n 1", "+OK"),
            ("INCREX n BYFLOAT 0.25", "*2 $4 1.25 $4 0.25"),
            ("INCREX n BYFLOAT 1 UBOUND 1.5", "*2 $4 1.25 $1 0"),
            ("INCREX n BYFLOAT 1 UBOUND 1.5 SATURATE", "*2 $3 1.5 $4 0.25"),
            ("INCREX n", "-ERR value is not an integer or out of range"),
            ("INCREX n BYFLOAT inf", "-ERR increment would produce NaN or Infinity"),
            ("INCREX n BYFLOAT x", "-ERR value is not a valid float"),
            ("INCREX n LBOUND 2 UBOUND 1", "-ERR LBOUND can't be greater than UBOUND"),
            ("INCREX n ENX", "-ERR ENX flag requires an expiration"),
            ("INCREX n PERSIST ENX", "-ERR syntax error"),
            ("INCREX n BYINT 1 BYFLOAT 1", "-ERR syntax error"),
            ("INCREX n BYINT", "-ERR syntax error"),
        ],
    );
    client.run("HELLO 3");
    check(&mut client, &[("INCREX n BYFLOAT 0.5", "*2 ,2 ,0.5")]);
}

#[test]
fn slow_commands_are_logged() {
    let server = Settings::new().set("slowlog-log-slower-than", "0").set("slowlog-max-len", "4").start();
    let mut client = server.client();
    ["SLOWLOG RESET", "CLIENT SETNAME me", "AUTH secret", "MULTI", "GET k", "EXEC"].iter().for_each(|line| {
        client.run(line);
    });
    let log = client.run("SLOWLOG GET").to_string();
    assert_eq!(client.run("SLOWLOG LEN"), ":4\r\n");
    for shown in ["$10\r\n(redacted)\r\n", "$3\r\nGET\r\n$1\r\nk\r\n", "$2\r\nme\r\n"] {
        assert!(log.contains(shown), "{shown:?} is missing in {log:?}");
    }
    assert!(!log.contains("EXEC") && !log.contains("secret"), "{log:?}");
    client.run("CONFIG SET slowlog-log-slower-than -1");
    client.run("SLOWLOG RESET");
    client.run("GET k");
    assert_eq!(client.run("SLOWLOG LEN"), ":0\r\n");
}

#[test]
fn slow_events_are_sampled() {
    let server = Settings::new().set("latency-monitor-threshold", "20").start();
    let mut client = server.client();
    assert_eq!(client.run("LATENCY LATEST"), "*0\r\n");
    client.run("DEBUG SLEEP 0.05");
    assert!(client.run("LATENCY LATEST").to_string().starts_with("*1\r\n*4\r\n$7\r\ncommand\r\n"));
    assert_eq!(client.run("LATENCY HISTORY command").len(), 1);
    assert!(client.run("LATENCY GRAPH command").text().starts_with("command - high "));
    assert!(client.run("LATENCY DOCTOR").text().contains("1. command: 1 latency spikes"));
    assert_eq!(client.run("LATENCY RESET nothing"), ":0\r\n");
    assert_eq!(client.run("LATENCY RESET command"), ":1\r\n");
    client.run("SET a 1");
    let histogram = client.run("LATENCY HISTOGRAM set nosuch").to_string();
    assert!(histogram.starts_with("*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:1\r\n"), "{histogram:?}");
}

#[test]
fn an_expiry_that_is_over_is_not_kept() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let mut client = server.client();
        client.run("DEBUG SET-ACTIVE-EXPIRE 0");
        assert_eq!(client.run("SET k old PXAT 1000"), "+OK\r\n");
        assert_eq!(client.run("SET k new KEEPTTL"), "+OK\r\n");
        assert_eq!(client.run("GET k"), "$3\r\nnew\r\n");
        assert_eq!(client.run("PTTL k"), ":-1\r\n");
    }
}

#[test]
fn strings_of_bits_and_registers_are_raw() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let mut client = server.client();
        for line in ["SETBIT a 1 1", "BITFIELD b SET u8 0 1", "BITOP NOT c a", "PFADD d x"] {
            client.run(line);
            let key = line.split(' ').find(|word| word.len() == 1).expect("each has a key");
            assert_eq!(client.run(&format!("OBJECT ENCODING {key}")), "$3\r\nraw\r\n", "{line}");
        }
    }
}
