//! DUMP and RESTORE, and what SORT does to others: waits and events.

use ochre_tests::{Client, Server, Settings, check, wait_until};

fn payload(client: &mut Client, key: &str) -> Vec<u8> {
    let wire = client.call(&["DUMP", key]).0;
    let head = wire.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    wire[head..wire.len() - 2].to_vec()
}

fn restore(client: &mut Client, key: &str, ttl: &str, payload: &[u8], options: &str) -> String {
    let mut words: Vec<&[u8]> = vec![b"RESTORE", key.as_bytes(), ttl.as_bytes(), payload];
    words.extend(options.split_whitespace().map(str::as_bytes));
    client.call(&words).to_string().trim_end().to_owned()
}

#[test]
fn restore_takes_what_dump_gives_and_says_what_is_wrong() {
    let server = Server::start();
    let client = &mut server.client();
    client.run("RPUSH list a b 1");
    let good = payload(client, "list");
    let mut case = |key: &str, ttl: &str, payload: &[u8], options: &str, expected: &str| {
        assert_eq!(restore(client, key, ttl, payload, options), expected, "{key} {ttl} {options}");
    };
    let bad_footer = "-ERR DUMP payload version or checksum are wrong";
    case("x", "0", b"foo", "", bad_footer);
    case("x", "0", b"", "", bad_footer);
    case("x", "0", &[&good[..], b"x"].concat(), "", bad_footer);
    case("x", "-1", &good, "", "-ERR Invalid TTL value, must be >= 0");
    case("x", "abc", &good, "", "-ERR value is not an integer or out of range");
    case("x", "0", &good, "foo", "-ERR syntax error");
    case("x", "0", &good, "idletime -1", "-ERR Invalid IDLETIME value, must be >= 0");
    case("x", "0", &good, "freq 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255");
    case("x", "0", &good, "freq -1", "-ERR Invalid FREQ value, must be >= 0 and <= 255");
    case("x", "0", &good, "freq x", "-ERR value is not an integer or out of range");
    case("x", "0", &good, "freq", "-ERR syntax error");
    case("x", "0", &good, "idletime 1 freq 1", "-ERR syntax error");
    case("x", "0", &good, "freq 1 idletime 1", "-ERR syntax error");
    case("x", "0", &good, "replace", "+OK");
    case("x", "0", &good, "", "-BUSYKEY Target key name already exists.");
    case("x", "abc", b"foo", "", "-BUSYKEY Target key name already exists.");
    case("y", "9223372036854775807", &good, "", "+OK");
    case("z", "1000", &good, "ABSTTL", "+OK");
    case("x", "1000", &good, "absttl REPLACE", "+OK");
    check(client, &[("EXISTS x y z", ":0"), ("DUMP x", "$-1")]);
    assert_eq!(restore(client, "x", "100000", &good, ""), "+OK");
    let ttl = client.run("PTTL x").integer();
    assert!((90_000..=100_000).contains(&ttl), "{ttl}");
    assert_eq!(restore(client, "x", "4000000000000", &good, "ABSTTL REPLACE"), "+OK");
    check(client, &[("PEXPIRETIME x", ":4000000000000"), ("LRANGE x 0 -1", "*3 $1 a $1 b $1 1")]);
}

#[test]
fn a_restored_stream_keeps_its_groups() {
    let server = Server::start();
    let client = &mut server.client();
    check(
        client,
        &[
            ("XADD s 1-1 a 1", "$3 1-1"),
            ("XADD s 2-1 a 2 b 3", "$3 2-1"),
            ("XADD s 3-1 a 2", "$3 3-1"),
            ("XGROUP CREATE s g 0", "+OK"),
            (
                "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
                "*1 *2 $1 s *2 *2 $3 1-1 *2 $1 a $1 1 *2 $3 2-1 *4 $1 a $1 2 $1 b $1 3",
            ),
            ("XDEL s 2-1", ":1"),
        ],
    );
    let dumped = payload(client, "s");
    assert_eq!(restore(client, "t", "0", &dumped, ""), "+OK");
    assert_eq!(payload(client, "t"), dumped);
    for question in ["XINFO STREAM", "XINFO GROUPS", "DEBUG DIGEST-VALUE", "TYPE"] {
        assert_eq!(client.run(&format!("{question} s")), client.run(&format!("{question} t")), "{question}");
    }
    assert_eq!(client.run("XPENDING s g"), client.run("XPENDING t g"));
}

#[test]
fn uses_elsewhere_are_known_here() {
    let server = Settings::new().set("maxmemory-policy", "allkeys-lru").start();
    let client = &mut server.client();
    client.run("SET foo bar");
    let dumped = payload(client, "foo");
    assert_eq!(restore(client, "a", "0", &dumped, "IDLETIME 1000"), "+OK");
    let idle = client.run("OBJECT IDLETIME a").integer();
    assert!((1000..1010).contains(&idle), "{idle}");
    client.run("CONFIG SET maxmemory-policy allkeys-lfu");
    assert_eq!(restore(client, "a", "0", &dumped, "FREQ 100 REPLACE"), "+OK");
    assert_eq!(client.run("OBJECT FREQ a").integer(), 100);
}

#[test]
fn clients_that_wait_get_what_is_restored_or_stored() {
    let server = Server::start();
    let (mut waiter, mut client) = (server.client(), server.client());
    check(&mut client, &[("RPUSH from 3 1 2", ":3")]);
    let dumped = payload(&mut client, "from");
    for how in ["RESTORE", "SORT"] {
        waiter.send(&["BLPOP", "to", "0"]);
        wait_until("it waits", || server.info("blocked_clients") == "1");
        let (reply, first) = match how {
            "RESTORE" => (restore(&mut client, "to", "0", &dumped, ""), "3"),
            _ => (client.run("SORT from STORE to").to_string(), "1"),
        };
        assert!(!reply.starts_with('-'), "{reply}");
        assert_eq!(waiter.read().0, format!("*2\r\n$2\r\nto\r\n$1\r\n{first}\r\n").as_bytes());
        client.run("DEL to");
    }
}

#[test]
fn events_tell_of_restored_and_stored_keys() {
    let server = Settings::new().set("notify-keyspace-events", "KEA").start();
    let (mut listener, mut client) = (server.client(), server.client());
    check(&mut client, &[("RPUSH from 3 1 2", ":3")]);
    let dumped = payload(&mut client, "from");
    listener.run("PSUBSCRIBE __keyevent*");
    restore(&mut client, "a", "0", &dumped, "");
    restore(&mut client, "a", "100000", &dumped, "REPLACE");
    restore(&mut client, "a", "1", &dumped, "ABSTTL REPLACE");
    restore(&mut client, "a", "1", &dumped, "ABSTTL REPLACE");
    client.run("SORT from STORE b");
    client.run("SORT none STORE b");
    client.run("SORT none STORE b");
    client.run("SET end x");
    let mut seen = Vec::new();
    loop {
        let text = listener.read().to_string();
        let words: Vec<&str> = text.split("\r\n").collect();
        if words[8] == "end" {
            break;
        }
        seen.push(format!("{} {}", words[6].rsplit(':').next().unwrap_or(""), words[8]));
    }
    assert_eq!(seen, ["restore a", "restore a", "del a", "sortstore b", "del b"]);
}
