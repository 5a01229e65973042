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
