//! Stream commands that are newer than the redis-server that others are compared with, and waits.

use ochre_tests::{Client, Server, check, wait_until};

/// Five entries, a group that was given three of them and has acknowledged the first.
fn prepare(client: &mut Client) {
    client.run("DEL s");
    (1..=5).for_each(|n| drop(client.run(&format!("XADD s {n}-0 f v"))));
    client.run("XGROUP CREATE s g 0");
    client.run("XREADGROUP GROUP g c COUNT 3 STREAMS s >");
    client.run("XACK s g 1-0");
}

#[test]
fn deletions_regard_groups() {
    let server = Server::start();
    let mut client = server.client();
    prepare(&mut client);
    check(
        &mut client,
        &[
            ("XDELEX s ACKED IDS 4 1-0 2-0 5-0 9-0", "*4 :1 :2 :2 :-1"),
            ("XDELEX s IDS 1 2-0", "*1 :1"),
            ("XPENDING s g - + 9 d", "*0"),
            ("XACK s g 2-0", ":1"),
            ("XDELEX s DELREF IDS 1 3-0", "*1 :1"),
            ("XACK s g 3-0", ":0"),
            ("XLEN s", ":2"),
            ("XDELEX s IDS 2 4-0", "-ERR The `numids` parameter must match the number of arguments"),
            ("XDELEX s IDS 0", "-ERR wrong number of arguments for 'xdelex' command"),
            ("XDELEX none IDS 1 1-0", "*1 :-1"),
        ],
    );
    prepare(&mut client);
    client.run("XGROUP CREATE s h 0");
    check(
        &mut client,
        &[
            ("XACKDEL s g ACKED IDS 2 2-0 4-0", "*2 :2 :-1"),
            ("XACKDEL s g KEEPREF IDS 1 3-0", "*1 :1"),
            ("XRANGE s 3-0 3-0", "*0"),
            ("XTRIM s MAXLEN 0 ACKED", ":0"),
            ("XGROUP DESTROY s h", ":1"),
            ("XTRIM s MAXLEN 0 ACKED", ":2"),
            ("XADD s MAXLEN 1 DELREF 6-0 f v", "$3 6-0"),
            ("XLEN s", ":1"),
        ],
    );
}

#[test]
fn entries_are_given_back() {
    let server = Server::start();
    let mut client = server.client();
    prepare(&mut client);
    check(
        &mut client,
        &[
            ("XNACK s g FAIL IDS 2 2-0 9-0", ":1"),
            (
                "XINFO GROUPS s",
                "*1 *12 $4 name $1 g $9 consumers :1 $7 pending :2 $17 last-delivered-id $3 3-0 $12 entries-read :3 $3 lag :2",
            ),
            ("XAUTOCLAIM s g d 1000000 0 JUSTID", "*3 $3 0-0 *1 $3 2-0 *0"),
            ("XNACK s g LOUD IDS 1 2-0", "-ERR syntax error"),
            ("XNACK s none FAIL IDS 1 2-0", "-NOGROUP No such key 's' or consumer group 'none'"),
        ],
    );
}

#[test]
fn the_last_entry_has_a_name() {
    let server = Server::start();
    let mut client = server.client();
    check(
        &mut client,
        &[
            ("XREAD STREAMS s +", "*-1"),
            ("XADD s 1-0 f v", "$3 1-0"),
            ("XADD s 2-0 f w", "$3 2-0"),
            ("XREAD STREAMS s +", "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 w"),
        ],
    );
}

#[test]
fn readers_wait_for_what_comes_after_they_came() {
    let server = Server::start();
    let (mut reader, mut other, mut writer) = (server.client(), server.client(), server.client());
    writer.run("XADD s 1-0 f old");
    reader.send(&["XREAD", "BLOCK", "0", "STREAMS", "t", "s", "$", "$"]);
    other.send(&["XREAD", "BLOCK", "0", "STREAMS", "s", "5"]);
    wait_until("both wait", || server.info("blocked_clients") == "2");
    // A key that goes is no entry; what comes first may be below what somebody waits for.
    check(&mut writer, &[("DEL t", ":0"), ("XADD s 2-0 f new", "$3 2-0"), ("XDEL s 1-0", ":1")]);
    assert_eq!(
        reader.read(),
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$3\r\nnew\r\n"
    );
    assert_eq!(server.info("blocked_clients"), "1");
    writer.run("XADD s 6-0 f late");
    assert_eq!(
        other.read(),
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n6-0\r\n*2\r\n$1\r\nf\r\n$4\r\nlate\r\n"
    );
}

/// A reply without the lengths of its strings.
fn shown(client: &mut Client, line: &str) -> String {
    let reply = client.run(line).to_string();
    let words = reply.split_whitespace().filter(|word| !word.starts_with('$') || *word == "$-1");
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn readers_limit_what_they_get_of_all_streams() {
    let server = Server::start();
    let mut client = server.client();
    for stream in ["s1", "s2", "s3"] {
        (1..=3).for_each(|n| drop(client.run(&format!("XADD {stream} {n}-0 f {}", "v".repeat(20)))));
    }
    let v = "v".repeat(20);
    let entries = |ids: &[u32]| {
        let all: Vec<String> = ids.iter().map(|id| format!("*2 {id}-0 *2 f {v}")).collect();
        format!("*{} {}", ids.len(), all.join(" "))
    };
    let line = "XREAD COUNT 2 MAXCOUNT 3 STREAMS s1 s2 s3 0 0 0";
    assert_eq!(shown(&mut client, line), format!("*2 *2 s1 {} *2 s2 {}", entries(&[1, 2]), entries(&[1])));
    let line = "XREAD MAXCOUNT 3 STREAMS s1 s2 s3 0 0 0";
    assert_eq!(shown(&mut client, line), format!("*1 *2 s1 {}", entries(&[1, 2, 3])));
    // An entry takes some sixty bytes on the wire.
    let line = "XREAD MAXSIZE 150 STREAMS s1 s2 s3 0 0 0";
    assert_eq!(shown(&mut client, line), format!("*1 *2 s1 {}", entries(&[1, 2])));
    let line = "XREAD MAXSIZE 1 STREAMS s2 s3 0 0";
    assert_eq!(shown(&mut client, line), format!("*1 *2 s2 {}", entries(&[1])));
    assert_eq!(shown(&mut client, "XREAD MAXSIZE 1 STREAMS s2 s3 9 9"), "*-1");
    assert_eq!(
        shown(&mut client, "XREAD MAXCOUNT 0 STREAMS s1 0"),
        "-ERR MAXCOUNT must be a positive integer"
    );
    assert_eq!(
        shown(&mut client, "XREAD MAXSIZE -1 STREAMS s1 0"),
        "-ERR MAXSIZE must be a positive integer"
    );
    assert!(client.run("XREAD COUNT 3 MAXCOUNT 2 STREAMS s1 0").is_error("ERR"));

    // Only what was replied is pending.
    for stream in ["s1", "s2"] {
        client.run(&format!("XGROUP CREATE {stream} g 0"));
    }
    let line = "XREADGROUP GROUP g c MAXCOUNT 4 STREAMS s1 s2 > >";
    let expected = format!("*2 *2 s1 {} *2 s2 {}", entries(&[1, 2, 3]), entries(&[1]));
    assert_eq!(shown(&mut client, line), expected);
    assert_eq!(shown(&mut client, "XPENDING s2 g - + 9 c").matches("-0").count(), 1);
    let line = "XREADGROUP GROUP g c MAXCOUNT 2 STREAMS s1 s2 1-0 0";
    assert_eq!(shown(&mut client, line), format!("*1 *2 s1 {}", entries(&[2, 3])));
    let line = "XREADGROUP GROUP g c MAXSIZE 10 STREAMS s1 s2 9 0";
    assert_eq!(shown(&mut client, line), format!("*2 *2 s1 *0 *2 s2 {}", entries(&[1])));
}

#[test]
fn idle_entries_are_claimed_by_reading() {
    let server = Server::start();
    let mut client = server.client();
    prepare(&mut client);
    // Pending are 2-0, idle for longest, and 3-0; 4-0 and 5-0 are new.
    client.run("XCLAIM s g c 0 2-0 IDLE 90000 RETRYCOUNT 4 JUSTID");
    client.run("XCLAIM s g c 0 3-0 IDLE 50000 JUSTID");
    let reply = shown(&mut client, "XREADGROUP GROUP g d COUNT 3 CLAIM 40000 NOACK STREAMS s >");
    let words: Vec<&str> = reply.split(' ').filter(|word| !word.starts_with('*')).collect();
    assert_eq!((words.len(), words[1], words[6], words[11]), (16, "2-0", "3-0", "4-0"), "{reply}");
    let idle = |word: &str| word.parse::<u64>().expect("a number") / 1000;
    assert_eq!((idle(words[4]), words[5], idle(words[9]), words[10]), (90, "4", 50, "1"), "{reply}");
    assert_eq!((words[14], words[15]), ("0", "0"));
    // What was claimed is pending with the new consumer, delivered once more, whatever NOACK says.
    let pending = shown(&mut client, "XPENDING s g - + 9 d");
    assert_eq!((pending.matches("-0").count(), pending.ends_with(":2")), (2, true), "{pending}");
    assert_eq!(
        shown(&mut client, "XREADGROUP GROUP g d CLAIM 40000 COUNT 1 STREAMS s 2-0"),
        "*1 *2 s *1 *2 3-0 *2 f v"
    );
    assert!(client.run("XREAD CLAIM 1 STREAMS s 0").is_error("ERR"));
    assert!(client.run("XREADGROUP GROUP g d CLAIM -1 STREAMS s >").is_error("ERR"));
    // Deleted ones are pending no longer.
    client.run("XREADGROUP GROUP g d STREAMS s >");
    client.run("XDEL s 2-0 3-0 5-0");
    assert_eq!(shown(&mut client, "XREADGROUP GROUP g d CLAIM 0 STREAMS s >"), "*-1");
    assert_eq!(shown(&mut client, "XPENDING s g - + 9"), "*0");
}

#[test]
fn a_waiting_reader_claims_what_becomes_idle() {
    let server = Server::start();
    let (mut client, mut reader, mut other) = (server.client(), server.client(), server.client());
    prepare(&mut client);
    client.run("XREADGROUP GROUP g c NOACK STREAMS s >");
    client.run("XACK s g 2-0 3-0");
    reader.send(&["XREADGROUP", "GROUP", "g", "d", "BLOCK", "0", "CLAIM", "200", "STREAMS", "s", ">"]);
    wait_until("the reader waits", || server.info("blocked_clients") == "1");
    // Becomes pending only while the reader waits: it learns of that as well.
    client.run("MULTI");
    client.run("XADD s 9-0 f v");
    client.run("XREADGROUP GROUP g c STREAMS s >");
    client.run("EXEC");
    let reply = reader.read().to_string();
    assert!(reply.contains("9-0"), "{reply}");
    // A wait still ends by its time.
    other.send(&["XREADGROUP", "GROUP", "g", "e", "BLOCK", "50", "CLAIM", "100000", "STREAMS", "s", ">"]);
    assert_eq!(other.read(), "*-1\r\n");
}

#[test]
fn entries_that_are_sent_twice_are_added_once() {
    let server = Server::start();
    let mut client = server.client();
    let first = client.run("XADD s IDMP p 1 * f v");
    assert_eq!(client.run("XADD s IDMP p 1 * f other"), first);
    let auto = client.run("XADD s NOMKSTREAM IDMPAUTO p MAXLEN 100 * f v");
    assert!(auto != first && client.run("XADD s idmpauto p * f v") == auto);
    // Another name, producer or content is another entry.
    for line in [
        "XADD s IDMP p 2 * f v",
        "XADD s IDMP q 1 * f v",
        "XADD s IDMPAUTO q * f v",
        "XADD s IDMPAUTO p * fv x",
    ] {
        let reply = client.run(line);
        assert!(reply != first && reply != auto, "{line}");
    }
    assert_eq!(client.run("XLEN s"), ":6\r\n");
    let info = shown(&mut client, "XINFO STREAM s");
    let tracked = "idmp-duration :100 idmp-maxsize :100 pids-tracked :2 iids-tracked :6 iids-added :6 iids-duplicates :2";
    assert!(info.starts_with("*32 length :6 ") && info.contains(tracked), "{info}");
    // An entry may be gone; its name is still known. A file keeps that.
    client.run("XTRIM s MAXLEN 0");
    assert_eq!(client.run("DEBUG RELOAD"), "+OK\r\n");
    assert_eq!(client.run("XADD s IDMP p 1 * f v"), first);
    client.run("COPY s t");
    assert_eq!(client.run("XADD t IDMPAUTO p * f v"), auto);
    assert_eq!(client.run("XADD none NOMKSTREAM IDMP p 1 * f v"), "$-1\r\n");
}

#[test]
fn what_is_remembered_of_producers_has_limits() {
    let server = Server::start();
    let mut client = server.client();
    client.run("XADD s * f v");
    assert!(!client.run("XINFO STREAM s").to_string().contains("idmp"));
    assert_eq!(client.run("XCFGSET s IDMP-DURATION 1 IDMP-MAXSIZE 2"), "+OK\r\n");
    let first = client.run("XADD s IDMP p 1 * f v");
    client.run("XADD s IDMP p 2 * f v");
    client.run("XADD s IDMP p 3 * f v");
    assert!(client.run("XADD s IDMP p 1 * f v") != first, "the oldest of three goes when two are kept");
    let third = client.run("XADD s IDMP p 3 * f v");
    assert_eq!(client.run("XCFGSET s IDMP-MAXSIZE 2"), "+OK\r\n");
    assert_eq!(client.run("XADD s IDMP p 3 * f v"), third);
    wait_until("a second has passed", || shown(&mut client, "XINFO STREAM s").contains("pids-tracked :0"));
    assert!(client.run("XADD s IDMP p 3 * f v") != third);
    client.run("XCFGSET s IDMP-DURATION 100");
    assert!(
        shown(&mut client, "XINFO STREAM s FULL")
            .contains("idmp-duration :100 idmp-maxsize :2 pids-tracked :0")
    );
    for (line, error) in [
        ("XADD s IDMP p * f v", "-ERR Invalid stream ID specified as stream command argument"),
        ("XCFGSET none IDMP-DURATION 1", "-ERR no such key"),
        ("XCFGSET s", "-ERR syntax error"),
        ("XCFGSET s IDMP-DURATION", "-ERR syntax error"),
        ("XCFGSET s IDMP-DURATION 0", "-ERR invalid duration"),
        ("XCFGSET s IDMP-DURATION 86401", "-ERR invalid duration"),
        ("XCFGSET s IDMP-MAXSIZE 10001", "-ERR invalid maxsize"),
        ("XIDMPRECORD none p 1 5-0", "-ERR no such key"),
    ] {
        assert_eq!(shown(&mut client, line), error, "{line}");
    }
    for line in ["XADD s IDMP p 1 9-9 f v", "XADD s IDMP p 1 IDMPAUTO p * f v", "XIDMPRECORD s p 1 9-9"] {
        assert!(client.run(line).is_error("ERR"), "{line}");
    }
    for words in
        [["XADD", "s", "IDMP", "", "1", "*", "f", "v"], ["XADD", "s", "IDMP", "p", "", "*", "f", "v"]]
    {
        assert!(client.call(&words).is_error("ERR"), "{words:?}");
    }
}

#[test]
fn names_of_entries_can_be_recorded() {
    let server = Server::start();
    let mut client = server.client();
    client.run("XADD s 5-0 f v");
    client.run("XADD s 6-0 f v");
    assert_eq!(client.run("XIDMPRECORD s p 1 5-0"), "+OK\r\n");
    assert_eq!(client.run("XIDMPRECORD s p 1 5-0"), "+OK\r\n");
    assert!(client.run("XIDMPRECORD s p 1 6-0").is_error("ERR"));
    assert_eq!(shown(&mut client, "XADD s IDMP p 1 * f v"), "5-0");
    assert_eq!(client.run("XLEN s"), ":2\r\n");
}

/// XSETID may go back behind an entry that was deleted, whose place in its node comes before those added then.
#[test]
fn entries_behind_deleted_ones_are_found() {
    let server = Server::start();
    let client = &mut server.client();
    check(
        client,
        &[
            ("XADD s 5-0 f a", "$3 5-0"),
            ("XADD s 9-0 f b", "$3 9-0"),
            ("XDEL s 9-0", ":1"),
            ("XSETID s 5-0", "+OK"),
            ("XADD s 6-0 f c", "$3 6-0"),
            ("XRANGE s - 7", "*2 *2 $3 5-0 *2 $1 f $1 a *2 $3 6-0 *2 $1 f $1 c"),
            ("XREVRANGE s 7 6", "*1 *2 $3 6-0 *2 $1 f $1 c"),
            ("XDEL s 6-0", ":1"),
            ("XRANGE s - +", "*1 *2 $3 5-0 *2 $1 f $1 a"),
        ],
    );
}
