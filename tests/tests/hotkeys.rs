//! HOTKEYS, as documented for Redis 8.6: which keys cost most.

use ochre_tests::{Client, Server, check, wait_until};
use std::collections::HashMap;
use std::time::Duration;

/// The reply of HOTKEYS GET as one line, numbers that differ from run to run left out.
fn shape(client: &mut Client) -> String {
    let reply = client.run("HOTKEYS GET").to_string();
    let shown = reply.trim_end().replace("\r\n", " ");
    let mut varies = false;
    let words = shown.split(' ').map(|word| {
        let hidden = varies && word.starts_with(':');
        varies = match word.as_bytes()[0] {
            b'$' => varies,
            _ => {
                word.ends_with("-us")
                    || word.ends_with("-ms")
                    || word.ends_with("-bytes")
                    || word.ends_with("-slots")
            }
        };
        if hidden { ":n" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The fields of HOTKEYS GET that are numbers, and the lists of keys under `list/key`.
fn fields(client: &mut Client) -> HashMap<String, i64> {
    let reply = client.run("HOTKEYS GET").to_string();
    let (mut fields, mut list, mut name) = (HashMap::new(), String::new(), String::new());
    for line in reply.split("\r\n") {
        match line.as_bytes().first() {
            Some(b':') => {
                let value = line[1..].parse().expect("a number");
                let name = if list.is_empty() { name.clone() } else { format!("{list}/{name}") };
                fields.insert(name, value);
            }
            Some(b'*') if name.starts_with("by-") => list = name.clone(),
            Some(b'$' | b'*' | b'%') | None => {}
            Some(_) => {
                name = line.to_owned();
                if name.starts_with("by-") {
                    list.clear();
                }
            }
        }
    }
    fields
}

#[test]
fn words_are_checked() {
    let server = Server::start();
    let mismatch = "-ERR METRICS count does not match number of metric types provided";
    check(
        &mut server.client(),
        &[
            ("HOTKEYS GET", "$-1"),
            ("HOTKEYS STOP", "$-1"),
            ("HOTKEYS RESET", "+OK"),
            ("HOTKEYS START", "-ERR METRICS parameter is required"),
            ("HOTKEYS START COUNT 3", "-ERR METRICS parameter is required"),
            ("HOTKEYS START METRICS", "-ERR METRICS count must be positive"),
            ("HOTKEYS START METRICS 0 CPU", "-ERR METRICS count must be positive"),
            ("HOTKEYS START METRICS CPU", "-ERR METRICS count must be positive"),
            ("HOTKEYS START METRICS 2 CPU", mismatch),
            ("HOTKEYS START METRICS 2 CPU COUNT 3", mismatch),
            ("HOTKEYS START METRICS 1 CPU NET", mismatch),
            ("HOTKEYS START METRICS 1 GPU", "-ERR METRICS no valid metrics passed. Supported: CPU|NET"),
            ("HOTKEYS START METRICS 2 CPU cpu", "-ERR METRICS names a metric twice"),
            ("HOTKEYS START METRICS 1 CPU COUNT 0", "-ERR COUNT must be between 1 and 64"),
            ("HOTKEYS START METRICS 1 CPU COUNT 65", "-ERR COUNT must be between 1 and 64"),
            ("HOTKEYS START METRICS 1 CPU COUNT", "-ERR syntax error"),
            ("HOTKEYS START METRICS 1 CPU DURATION 0", "-ERR DURATION must be between 1 and 1000000"),
            ("HOTKEYS START METRICS 1 CPU SAMPLE x", "-ERR SAMPLE ratio must be positive"),
            (
                "HOTKEYS START METRICS 1 CPU SLOTS 1 0",
                "-ERR SLOTS parameter cannot be used in non-cluster mode",
            ),
            ("HOTKEYS START METRICS 1 CPU what", "-ERR syntax error"),
            ("HOTKEYS GET x", "-ERR wrong number of arguments for 'hotkeys|get' command"),
            ("HOTKEYS WHAT", "-ERR unknown subcommand 'WHAT'. Try HOTKEYS HELP."),
            ("HOTKEYS GET", "$-1"),
            ("HOTKEYS START metrics 2 cpu what-may-come count 64 duration 1000000 sample 1", "+OK"),
            ("HOTKEYS START METRICS 1 CPU", "-ERR hotkey tracking session already in progress"),
            ("HOTKEYS RESET", "-ERR hotkey tracking session in progress, stop tracking first"),
            ("HOTKEYS STOP", "+OK"),
            ("HOTKEYS STOP", "$-1"),
            ("HOTKEYS RESET", "+OK"),
            ("HOTKEYS GET", "$-1"),
        ],
    );
}

#[test]
fn a_session_tells_what_was_asked_for() {
    let server = Server::start();
    let mut client = server.client();
    let head = "$15 tracking-active :1 $12 sample-ratio :1 $14 selected-slots *1 *2 :0 :16383 \
                $25 all-commands-all-slots-us :n $32 net-bytes-all-commands-all-slots :n \
                $29 collection-start-time-unix-ms :n $22 collection-duration-ms :n";
    let cpu = "$22 total-cpu-time-user-ms :n $21 total-cpu-time-sys-ms :n";
    check(&mut client, &[("HOTKEYS START METRICS 1 CPU", "+OK"), ("SET k v", "+OK")]);
    let expected = format!("*1 *20 {head} {cpu} $14 by-cpu-time-us *2 $1 k");
    let shown = shape(&mut client);
    assert_eq!(shown.rsplit_once(' ').map(|(start, _)| start), Some(&expected[..]), "{shown}");
    // "SET k v" takes 27 bytes, its reply 5.
    check(
        &mut client,
        &[("HOTKEYS STOP", "+OK"), ("HOTKEYS START METRICS 1 NET", "+OK"), ("SET k v", "+OK")],
    );
    assert_eq!(
        shape(&mut client),
        format!("*1 *18 {head} $15 total-net-bytes :n $12 by-net-bytes *2 $1 k :32")
    );
    check(&mut client, &[("HOTKEYS STOP", "+OK"), ("HOTKEYS START METRICS 2 NET CPU SAMPLE 1", "+OK")]);
    let shown = shape(&mut client);
    let lists = "$14 by-cpu-time-us *0 $12 by-net-bytes *0";
    assert_eq!(shown, format!("*1 *24 {head} {cpu} $15 total-net-bytes :n {lists}"));
    assert!(client.run("HELLO 3").0.starts_with(b"%"));
    assert_eq!(shape(&mut client), shown.replacen("*24", "%12", 1));
    client.run("HOTKEYS STOP");
    assert_eq!(shape(&mut client), shown.replacen("*24", "%12", 1).replacen(":1", ":0", 1));
    check(&mut client, &[("HOTKEYS RESET", "+OK"), ("HOTKEYS GET", "_")]);
}

#[test]
fn keys_are_told_by_their_cost() {
    let server = Server::start();
    let mut client = server.client();
    client.run("HOTKEYS START METRICS 2 CPU NET COUNT 3");
    let large = "x".repeat(6000);
    client.call(&["SET", "large", &large]);
    for n in 0..20 {
        client.run("INCR counter");
        client.run(&format!("SET once:{n} x"));
    }
    client.call(&["EVAL", "for n = 1, 30000 do redis.call('get', KEYS[1]) end", "1", "slow"]);
    check(
        &mut client,
        &[("MULTI", "+OK"), ("APPEND a 12345", "+QUEUED"), ("EXEC", "*1 :5"), ("PING", "+PONG")],
    );
    let fields = fields(&mut client);
    let keys = |list: &str| fields.keys().filter(|name| name.starts_with(list)).count();
    assert_eq!((keys("by-cpu-time-us/"), keys("by-net-bytes/")), (3, 3), "{fields:?}");
    let (slow_us, all_us) = (fields["by-cpu-time-us/slow"], fields["all-commands-all-slots-us"]);
    assert!(slow_us > all_us / 2 && slow_us <= all_us, "{fields:?}");
    // A request of 6033 bytes, a reply of 5.
    assert_eq!(fields["by-net-bytes/large"], 6038, "{fields:?}");
    assert!(fields["net-bytes-all-commands-all-slots"] > 6038, "{fields:?}");
    assert!(fields["total-net-bytes"] >= fields["net-bytes-all-commands-all-slots"], "{fields:?}");
}

#[test]
fn commands_share_their_cost_among_their_keys() {
    let server = Server::start();
    let mut client = server.client();
    client.run("HOTKEYS START METRICS 1 NET");
    client.run("MSET a 1 b 2"); // 42 bytes and 5
    let mut popper = server.client();
    popper.send(&["BLPOP", "list", "0"]); // 32 bytes
    wait_until("it waits", || server.info("blocked_clients") == "1");
    assert!(!fields(&mut client).contains_key("by-net-bytes/list"));
    client.run("RPUSH list v"); // 32 bytes and 4
    assert_eq!(popper.read(), "*2\r\n$4\r\nlist\r\n$1\r\nv\r\n"); // 21 bytes
    let fields = fields(&mut client);
    let of = |key: &str| fields[&format!("by-net-bytes/{key}")];
    assert_eq!((of("a"), of("b"), of("list")), (24, 24, 32 + 4 + 32 + 21), "{fields:?}");
}

#[test]
fn a_sample_is_enough_where_there_is_much() {
    let server = Server::start();
    let mut client = server.client();
    client.run("HOTKEYS START METRICS 1 NET SAMPLE 5");
    for _ in 0..2000 {
        client.run("GET k"); // 20 bytes and 5
    }
    let fields = fields(&mut client);
    assert_eq!((fields["sample-ratio"], fields["net-bytes-all-commands-all-slots"]), (5, 50_000));
    let sampled = fields["by-net-bytes/k"];
    assert!((5_000..15_000).contains(&sampled), "{sampled}");
}

#[test]
fn a_session_ends_by_itself() {
    let server = Server::start();
    let mut client = server.client();
    assert!(
        client.run("INFO").text().ends_with("# Hotkeys\r\n")
            || client.run("INFO hotkeys").text() == "# Hotkeys"
    );
    check(&mut client, &[("HOTKEYS START METRICS 1 CPU DURATION 1", "+OK"), ("SET k v", "+OK")]);
    assert_eq!(server.info("hotkeys-tracking-active"), "1");
    wait_until("it is over", || server.info("hotkeys-tracking-active") == "0");
    check(&mut client, &[("SET later v", "+OK"), ("HOTKEYS STOP", "$-1")]);
    std::thread::sleep(Duration::from_millis(20));
    let fields = fields(&mut client);
    assert_eq!((fields["tracking-active"], fields["collection-duration-ms"]), (0, 1000));
    assert!(
        fields.contains_key("by-cpu-time-us/k") && !fields.contains_key("by-cpu-time-us/later"),
        "{fields:?}"
    );
    // A new session begins with nothing.
    check(&mut client, &[("HOTKEYS START METRICS 1 NET", "+OK")]);
    let expected = "$12 by-net-bytes *0";
    assert!(shape(&mut client).ends_with(expected));
}
