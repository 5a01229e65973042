//! Fields of hashes that expire, as Redis 7.4 and 8.0 document it. Debian's Redis 7.0 knows none of this.

use ochre_tests::{Client, Settings, check};
use std::time::Duration;

fn refused(client: &mut Client, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(client.run(line).text(), *expected, "{line}");
    }
}

/// The small form and the dictionary.
fn each_encoding(run: impl Fn(&mut Client)) {
    if std::env::var_os("OCHRE_TEST_SERVER").is_some() {
        return;
    }
    for entries in ["512", "0"] {
        let server = Settings::new().set("hash-max-listpack-entries", entries).start();
        run(&mut server.client());
    }
}

#[test]
fn expiries_are_set_read_and_removed() {
    each_encoding(|client| {
        check(
            client,
            &[
                ("HSET h a 1 b 2 c 3", ":3"),
                ("HTTL h FIELDS 2 a x", "*2 :-1 :-2"),
                ("HTTL none FIELDS 2 a x", "*2 :-2 :-2"),
                ("HEXPIRE none 10 FIELDS 1 a", "*1 :-2"),
                ("HEXPIRE h 100 FIELDS 3 a b x", "*3 :1 :1 :-2"),
                ("HTTL h FIELDS 2 a c", "*2 :100 :-1"),
                ("HEXPIREAT h 4000000000 FIELDS 1 a", "*1 :1"),
                ("HEXPIRETIME h FIELDS 1 a", "*1 :4000000000"),
                ("HPEXPIRETIME h FIELDS 2 a c", "*2 :4000000000000 :-1"),
                ("HPEXPIREAT h 4000000000001 NX FIELDS 2 a c", "*2 :0 :1"),
                ("HPEXPIREAT h 4000000000002 XX FIELDS 2 a x", "*2 :1 :-2"),
                ("HPEXPIREAT h 4000000000001 GT FIELDS 1 a", "*1 :0"),
                ("HPEXPIREAT h 4000000000009 GT FIELDS 1 a", "*1 :1"),
                ("HPEXPIREAT h 4000000000001 LT FIELDS 1 a", "*1 :1"),
                ("HPERSIST h FIELDS 3 a a x", "*3 :1 :1 :-2"),
                ("HPERSIST h FIELDS 1 a", "*1 :-1"),
                ("HPEXPIREAT h 4000000000001 GT FIELDS 1 a", "*1 :0"),
                ("HPEXPIREAT h 4000000000001 LT FIELDS 1 a", "*1 :1"),
                // A field that is set anew has no expiry; one that is counted up keeps it.
                ("HSET h a 5", ":0"),
                ("HTTL h FIELDS 1 a", "*1 :-1"),
                ("HEXPIRE h 100 FIELDS 1 a", "*1 :1"),
                ("HINCRBY h a 1", ":6"),
                ("HTTL h FIELDS 1 a", "*1 :100"),
                ("HEXPIRE h 0 FIELDS 1 b", "*1 :2"),
                ("HEXISTS h b", ":0"),
                ("HEXPIREAT h 1 FIELDS 2 a c", "*2 :2 :2"),
                ("EXISTS h", ":0"),
            ],
        );
        refused(
            client,
            &[
                (
                    "HEXPIRE h 10 FOO 1 a x",
                    "ERR Mandatory argument FIELDS is missing or not at the right position",
                ),
                ("HEXPIRE h 10 FIELDS 0 a", "ERR Parameter `numFields` should be greater than 0"),
                (
                    "HEXPIRE h 10 FIELDS 2 a",
                    "ERR The `numfields` parameter must match the number of arguments",
                ),
                ("HEXPIRE h x FIELDS 1 a", "ERR value is not an integer or out of range"),
                ("HEXPIRE h -1 FIELDS 1 a", "ERR invalid expire time, must be >= 0"),
                ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "ERR invalid expire time in 'hexpire' command"),
                ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "ERR invalid expire time in 'hpexpireat' command"),
            ],
        );
    });
}

#[test]
fn fields_are_read_set_and_deleted_with_expiry() {
    each_encoding(|client| {
        check(
            client,
            &[
                ("HSETEX h EX 100 FIELDS 2 a 1 b 2", ":1"),
                ("HTTL h FIELDS 2 a b", "*2 :100 :100"),
                ("HSETEX h FNX FIELDS 2 b 3 c 3", ":0"),
                ("HSETEX h FXX FIELDS 2 b 3 c 3", ":0"),
                ("HSETEX h FXX KEEPTTL FIELDS 1 b 3", ":1"),
                ("HTTL h FIELDS 1 b", "*1 :100"),
                ("HSETEX h FIELDS 1 b 4", ":1"),
                ("HTTL h FIELDS 1 b", "*1 :-1"),
                ("HGETEX h FIELDS 2 a x", "*2 $1 1 $-1"),
                ("HGETEX h EX 50 FIELDS 2 a b", "*2 $1 1 $1 4"),
                ("HTTL h FIELDS 2 a b", "*2 :50 :50"),
                ("HGETEX h PERSIST FIELDS 1 a", "*1 $1 1"),
                ("HTTL h FIELDS 1 a", "*1 :-1"),
                ("HGETEX h PXAT 4000000000000 FIELDS 1 a", "*1 $1 1"),
                ("HPEXPIRETIME h FIELDS 1 a", "*1 :4000000000000"),
                ("HGETDEL h FIELDS 3 a a x", "*3 $1 1 $-1 $-1"),
                ("HGETDEL none FIELDS 1 a", "*1 $-1"),
                ("HGETDEL h FIELDS 1 b", "*1 $1 4"),
                ("EXISTS h", ":0"),
                ("HSETEX h EXAT 1 FIELDS 1 a 1", ":1"),
                ("EXISTS h", ":0"),
            ],
        );
        refused(
            client,
            &[
                (
                    "HSETEX h EX 1 PX 1 FIELDS 1 a 1",
                    "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                ),
                (
                    "HGETEX h EX 1 PERSIST FIELDS 1 a",
                    "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified",
                ),
                ("HSETEX h FNX FXX FIELDS 1 a 1", "ERR Only one of FXX or FNX arguments can be specified"),
            ],
        );
    });
}

#[test]
fn fields_whose_time_is_up_are_gone() {
    each_encoding(|client| {
        client.run("CONFIG SET notify-keyspace-events AKE");
        client.run("DEBUG SET-ACTIVE-EXPIRE 0");
        check(client, &[("HSET h a 1 b 2 c 3", ":3"), ("HPEXPIRE h 1 FIELDS 2 a b", "*2 :1 :1")]);
        std::thread::sleep(Duration::from_millis(5));
        check(
            client,
            &[
                ("HMGET h a b c", "*3 $-1 $-1 $1 3"),
                ("HGETALL h", "*2 $1 c $1 3"),
                ("HKEYS h", "*1 $1 c"),
                ("HRANDFIELD h", "$1 c"),
                ("HSCAN h 0", "*2 $1 0 *2 $1 c $1 3"),
                ("HSCAN h 0 NOVALUES", "*2 $1 0 *1 $1 c"),
                ("HEXISTS h a", ":0"),
                ("HDEL h a", ":0"),
                ("HSETNX h b 9", ":1"),
                ("HTTL h FIELDS 1 b", "*1 :-1"),
            ],
        );
        client.run("DEBUG SET-ACTIVE-EXPIRE 1");
        check(client, &[("HPEXPIRE h 1 FIELDS 2 b c", "*2 :1 :1")]);
        let gone = || client.run("EXISTS h").integer() == 0;
        ochre_tests::wait_until("the clock deletes the fields and the hash", gone);
    });
}

#[test]
fn expiries_survive_snapshots_and_copies() {
    each_encoding(|client| {
        check(
            client,
            &[
                ("HSET h a 1 b 2", ":2"),
                ("HPEXPIREAT h 4000000000000 FIELDS 1 a", "*1 :1"),
                ("COPY h copy", ":1"),
                ("RENAME h other", "+OK"),
            ],
        );
        let before = client.run("DEBUG DIGEST").text();
        check(
            client,
            &[
                ("DEBUG RELOAD", "+OK"),
                ("HPEXPIRETIME copy FIELDS 2 a b", "*2 :4000000000000 :-1"),
                ("HPEXPIRETIME other FIELDS 2 a b", "*2 :4000000000000 :-1"),
            ],
        );
        assert_eq!(client.run("DEBUG DIGEST").text(), before);
        // What expires is still found after a rename.
        check(client, &[("HPEXPIRE other 30 FIELDS 2 a b", "*2 :1 :1"), ("RENAME other last", "+OK")]);
        let gone = || client.run("EXISTS last").integer() == 0;
        ochre_tests::wait_until("the clock deletes the fields and the hash", gone);
    });
}

#[test]
fn fieldsets_belong_to_a_connection() {
    if std::env::var_os("OCHRE_TEST_SERVER").is_some() {
        return;
    }
    let server = Settings::new().start();
    let (mut one, mut other) = (server.client(), server.client());
    check(
        &mut one,
        &[
            ("HIMPORT PREPARE u name age", "+OK"),
            ("HIMPORT SET user:1 u alice 30", "+OK"),
            ("HGET user:1 age", "$2 30"),
            ("SET user:2 text", "+OK"),
            ("HIMPORT SET user:2 u bob 25", "+OK"),
            ("HGETALL user:2", "*4 $4 name $3 bob $3 age $2 25"),
            ("HIMPORT PREPARE v x", "+OK"),
            ("HIMPORT DISCARD none", ":0"),
            ("HIMPORT DISCARD v", ":1"),
            ("HIMPORT PREPARE v x", "+OK"),
            ("HIMPORT DISCARDALL", ":2"),
        ],
    );
    assert!(one.run("HIMPORT SET user:1 u a b").is_error("ERR"));
    assert!(one.run("HIMPORT PREPARE u a a").is_error("ERR"));
    check(&mut one, &[("HIMPORT PREPARE u a b", "+OK")]);
    assert!(one.run("HIMPORT SET user:1 u a").is_error("ERR"));
    assert!(other.run("HIMPORT SET user:1 u a b").is_error("ERR"));
    one.run("RESET");
    assert!(one.run("HIMPORT SET user:1 u a b").is_error("ERR"));
}
