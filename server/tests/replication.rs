//! A real `redis-server` as our replica: it must hold just what we hold, whatever is written and however the link
//! fares. And the protocol of the feed itself, byte by byte. Skipped, with a note, where no `redis-server` is installed.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Client, Server, assert_equal, dataset, ochre, redis, write_randomly};

/// Time after which no key with a short expiry is left.
const SHORT_EXPIRIES: Duration = Duration::from_millis(500);

fn attach(master: &Server, folder: &std::path::Path) -> Option<Server> {
    redis(folder, &["--replicaof", &format!("127.0.0.1 {}", master.port)])
}

/// Waits until all replicas have everything.
fn settle(client: &mut Client, replicas: usize) {
    std::thread::sleep(SHORT_EXPIRIES);
    let begun = Instant::now();
    loop {
        // A write of this connection, so that WAIT waits for the end of the stream.
        client.run("SET marker 1");
        client.run("DEL marker");
        if client.run(&format!("WAIT {replicas} 2000")).text() == replicas.to_string() {
            return;
        }
        assert!(begun.elapsed() < support::PATIENCE, "the replicas don't follow");
    }
}

/// Random writes from three connections before, during and after the synchronization, with the link cut twice.
fn follow_under_load(options: &[&str], seed: u64) {
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let master = ochre(&folder.path().join("master"), options);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (master, stop) = (&master, &stop);
            scope
                .spawn(move || write_randomly(master, seed + writer, true, || !stop.load(Ordering::Relaxed)));
        }
        // Whatever fails, the writers must end.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut client = master.client();
            std::thread::sleep(Duration::from_millis(300));
            let replica = attach(&master, &folder.path().join("one"))?;
            client.wait_for("slave0", |line| line.contains("state=online"));
            std::thread::sleep(Duration::from_millis(500));
            for round in 1..=2 {
                assert_eq!(client.run("CLIENT KILL TYPE replica").text(), "1");
                client.wait_for("sync_partial_ok", |n| n == round.to_string());
                client.wait_for("slave0", |line| line.contains("state=online"));
                std::thread::sleep(Duration::from_millis(300));
            }
            let second = attach(&master, &folder.path().join("two"))?;
            client.wait_for("slave1", |line| line.contains("state=online"));
            std::thread::sleep(Duration::from_millis(300));
            Some((replica, second))
        }));
        stop.store(true, Ordering::Relaxed);
        let replicas = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let Some((first, second)) = replicas else { return };
        // The last of the random writes may have been a flush.
        let mut rounds = 0;
        write_randomly(&master, seed + 9, false, || {
            rounds += 1;
            rounds < 50
        });
        let mut client = master.client();
        settle(&mut client, 2);
        let ours = dataset(&master);
        assert!(ours.len() > 20, "only {} keys are left", ours.len());
        assert_equal(&ours, &dataset(&first), "first replica");
        assert_equal(&ours, &dataset(&second), "second replica");
        // More than two when a FLUSHALL gave up a snapshot on its way.
        assert!(client.info("sync_full").parse::<u32>().unwrap() >= 2);
        let offset = client.info("master_repl_offset");
        assert_eq!(first.client().info("master_repl_offset"), offset);
    });
}

/// Time is dear: the first synchronization does not wait for company, and the backlog outlasts a cut link.
const QUICK: [&str; 4] = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb"];

#[test]
fn a_redis_replica_stays_equal_over_a_streamed_snapshot() {
    follow_under_load(&QUICK, 11);
}

#[test]
fn a_redis_replica_stays_equal_over_a_snapshot_file() {
    follow_under_load(&[&QUICK[..], &["--repl-diskless-sync", "no"]].concat(), 22);
}

#[test]
fn a_redis_replica_stays_equal_with_io_threads() {
    follow_under_load(&[&QUICK[..], &["--io-threads", "2"]].concat(), 33);
    let file = ["--io-threads", "2", "--repl-diskless-sync", "no"];
    follow_under_load(&[&QUICK[..], &file].concat(), 44);
}

/// A replica that we play ourselves.
struct Played {
    client: Client,
    id: String,
    offset: i64,
}

fn full_sync(master: &Server, capa: &str) -> (Played, Vec<u8>) {
    let mut client = master.client();
    assert_eq!(client.run("REPLCONF listening-port 7777").text(), "OK");
    assert_eq!(client.run(&format!("REPLCONF {capa}capa psync2")).text(), "OK");
    client.send_raw(b"PSYNC ? -1\r\n");
    let line = skip_newlines(&mut client);
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words[0], words[1].len()), ("+FULLRESYNC", 40), "{line}");
    let (id, offset) = (words[1].to_owned(), words[2].parse().unwrap());
    let header = skip_newlines(&mut client);
    let snapshot = match header.strip_prefix("$EOF:") {
        None => {
            let len = header.strip_prefix('$').expect("a length").parse().unwrap();
            client.exact(len)
        }
        Some(mark) => {
            let mut bytes = client.exact(mark.len());
            while !bytes.ends_with(mark.as_bytes()) {
                bytes.extend(client.exact(1));
            }
            bytes.truncate(bytes.len() - mark.len());
            bytes
        }
    };
    (Played { client, id, offset }, snapshot)
}

fn skip_newlines(client: &mut Client) -> String {
    loop {
        let line = client.line();
        if !line.is_empty() {
            return line;
        }
    }
}

#[test]
fn the_feed_speaks_as_a_redis_master_does() {
    let folder = tempfile::tempdir().unwrap();
    let master =
        ochre(folder.path(), &["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600"]);
    let mut client = master.client();
    client.run("SET before 1");

    let (mut streamed, snapshot) = full_sync(&master, "capa eof ");
    assert!(snapshot.starts_with(b"REDIS0010") && snapshot.windows(6).any(|w| w == b"before"));
    client.wait_for("slave0", |line| line.contains("port=7777,state=online,offset=0"));
    client.run("SET a 1");
    assert_eq!(client.run("WAIT 1 50").text(), "0"); // it gets the stream once it has found the snapshot's end
    streamed.client.send_raw(b"REPLCONF ACK 0\r\n");
    for expected in ["SELECT 0", "SET a 1", "REPLCONF GETACK *"] {
        assert_eq!(streamed.client.read().text(), expected);
    }

    let (mut plain, snapshot) = full_sync(&master, "");
    assert!(snapshot.starts_with(b"REDIS0010"));
    assert_eq!(plain.id, streamed.id);
    client.run("SELECT 1");
    for command in ["MULTI", "INCR n", "INCR n", "EXEC"] {
        client.run(command);
    }
    for replica in [&mut streamed, &mut plain] {
        for expected in ["SELECT 1", "MULTI", "INCR n", "INCR n", "EXEC"] {
            assert_eq!(replica.client.read().text(), expected);
        }
    }

    // WAIT ends with the acknowledgement.
    let end: i64 = client.info("master_repl_offset").parse().unwrap();
    client.send(&[b"WAIT", b"1", b"10000"]);
    assert_eq!(streamed.client.read().text(), "REPLCONF GETACK *");
    streamed.client.send_raw(format!("REPLCONF ACK {end}\r\n").as_bytes());
    assert_eq!(client.read().text(), "1");
    assert_eq!(client.run("ROLE").items()[2].text(), format!("127.0.0.1 7777 {end} 127.0.0.1 7777 0"));

    // Partial resynchronization: the next byte wanted is counted from one.
    let mut again = master.client();
    again.run("REPLCONF capa psync2");
    again.send_raw(format!("PSYNC {} {}\r\n", plain.id, plain.offset + 1).as_bytes());
    assert_eq!(again.line(), format!("+CONTINUE {}", plain.id));
    for expected in ["SELECT 1", "MULTI", "INCR n", "INCR n", "EXEC", "REPLCONF GETACK *"] {
        assert_eq!(again.read().text(), expected);
    }
    let (id, wrong) = (&plain.id, "0".repeat(40));
    for wish in [format!("PSYNC {id} {}", end + 1000), format!("PSYNC {wrong} 1"), format!("PSYNC {id} 0")] {
        let mut stranger = master.client();
        stranger.send_raw(format!("{wish}\r\n").as_bytes());
        assert!(skip_newlines(&mut stranger).starts_with("+FULLRESYNC "));
    }
    assert_eq!(client.info("sync_partial_err"), "3");
    assert_eq!(client.info("sync_partial_ok"), "1");

    // A replica that wants no keys gets none, as `redis-cli --replica` asks for.
    let mut listener = master.client();
    assert_eq!(listener.run("REPLCONF capa eof").text(), "OK");
    assert_eq!(listener.call(&[b"REPLCONF", b"rdb-filter-only", b""]).text(), "OK");
    listener.send_raw(b"SYNC\r\n");
    let mark = skip_newlines(&mut listener);
    let mut snapshot = Vec::new();
    while !snapshot.ends_with(&mark.as_bytes()["$EOF:".len()..]) {
        snapshot.extend(listener.exact(1));
    }
    assert!(snapshot.starts_with(b"REDIS0010") && !snapshot.windows(6).any(|w| w == b"before"));
    listener.send_raw(b"REPLCONF ACK 0\r\n");
    client.run("SET seen 1");
    assert_eq!(listener.read().text(), "SELECT 1");
    assert_eq!(listener.read().text(), "SET seen 1");
    assert_eq!(plain.client.read().text(), "REPLCONF GETACK *");
    for replica in [&mut streamed, &mut plain] {
        assert_eq!(replica.client.read().text(), "SELECT 1");
        assert_eq!(replica.client.read().text(), "SET seen 1");
    }

    // What a replica may not do, and what it is never answered.
    assert!(streamed.client.run("GET a").text().starts_with("ERR Replica can't interact"));
    assert_eq!(client.run("REPLCONF ACK").text(), "ERR syntax error");
    assert_eq!(client.run("REPLCONF no such").text(), "ERR Unrecognized REPLCONF option: no");
    let mut hasty = master.client();
    hasty.send_raw(b"PING\r\nPSYNC ? -1\r\n");
    assert_eq!(hasty.line(), "+PONG");
    assert_eq!(hasty.line(), "-ERR SYNC and PSYNC are invalid with pending output");
}

/// What replicas get of commands that Redis 7.0 does not know, or that mean another thing later.
#[test]
fn the_feed_says_it_in_words_of_redis_7_0() {
    let folder = tempfile::tempdir().unwrap();
    let master =
        ochre(folder.path(), &["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600"]);
    let mut client = master.client();
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    let (mut replica, _) = full_sync(&master, "");
    client.run("SET k v");
    assert_eq!(replica.client.read().text(), "SELECT 0");
    assert_eq!(replica.client.read().text(), "SET k v");
    let mut check = |command: &str, expected: &[&str]| {
        client.run(command);
        // Something that comes after it, to see where it ends.
        client.run("PUBLISH end x");
        for expected in expected.iter().chain(&["PUBLISH end x"]) {
            let got = replica.client.read().text();
            let fits = match expected.split_once('*') {
                None => got == *expected,
                Some((start, end)) => got.starts_with(start) && got.ends_with(end),
            };
            assert!(fits, "{command}: {got:?}, not {expected:?}");
        }
    };
    check("GETEX k", &[]);
    check("GETEX k EX 100", &["PEXPIREAT k *"]);
    check("GETEX k PERSIST", &["PERSIST k"]);
    check("GETEX k PERSIST", &[]);
    check("GETEX k EXAT 1", &["UNLINK k"]);
    check("SET k v IFEQ x", &[]);
    check("SET k v IFNE x", &["SET k v"]);
    check("SET k w IFEQ v KEEPTTL", &["SET k w KEEPTTL"]);
    check("SET k w IFEQ w EX 100", &["SET k w PXAT *"]);
    check("DELEX k IFEQ v", &[]);
    check("DELEX k IFEQ w", &["UNLINK k"]);
    check("MSETEX 2 a 1 b 2", &["MSET a 1 b 2"]);
    check("MSETEX 2 a 1 b 2 PX 90000", &["MULTI", "MSET a 1 b 2", "PEXPIREAT a *", "PEXPIREAT b *", "EXEC"]);
    check("MSETEX 1 a 3 KEEPTTL", &["SET a 3 KEEPTTL"]);
    check("MSETEX 1 a 3 NX", &[]);
    check("INCREX n", &["SET n 1"]);
    check(
        "EVAL redis.call('restore','r',90000,redis.call('dump','n'),'freq',3) 0",
        &["restore r *freq 3 ABSTTL"],
    );
    check("EVAL redis.call('restore','r',1,redis.call('dump','n'),'replace','absttl') 0", &["DEL r"]);
    check("EVAL redis.call('restore','r',0,redis.call('dump','n')) 0", &["restore r 0 *"]);
    check("RPUSH sorted 3 1 2", &["RPUSH sorted 3 1 2"]);
    check("SORT sorted", &[]);
    check("SORT sorted DESC STORE target", &["SORT sorted DESC STORE target"]);
    check("SORT nothing STORE target", &["SORT nothing STORE target"]);
    check("SORT nothing STORE target", &[]);
    check("DEL r sorted", &["DEL r sorted"]);
    check("INCREX n BYINT 9 UBOUND 5", &[]);
    check("INCREX n BYINT 9 UBOUND 5 SATURATE EX 9", &["SET n 5 PXAT *"]);
    check("INCREX n BYFLOAT 0.5 EX 99 ENX", &["SET n 5.5 PXAT *"]);
    check("INCREX n BYFLOAT 0.5 PERSIST", &["SET n 6"]);
    check("DELIFEQ n 6", &["UNLINK n"]);
    check("RENAME a c", &["RENAME a c"]);
    check("COPY c d", &["COPY c d"]);
    check("MOVE d 1", &["MOVE d 1"]);
    check("SADD s 1 2 3", &["SADD s 1 2 3"]);
    check("SADD s 1 2", &[]);
    check("SPOP s", &["SREM s *"]);
    check("SPOP s 9", &["UNLINK s"]);
    check("HSET h f 1 g 2 h 3 i 4", &["HSET h f 1 g 2 h 3 i 4"]);
    check("HINCRBYFLOAT h f 0.5", &["HSET h f 1.5"]);
    check("HEXPIRE h 100 FIELDS 2 f nothing", &["HPEXPIREAT h * FIELDS 1 f"]);
    check("HEXPIRE h 100 NX FIELDS 1 f", &[]);
    check("HINCRBYFLOAT h f 0.5", &["MULTI", "HSET h f 2", "HPEXPIREAT h * FIELDS 1 f", "EXEC"]);
    check("HSETEX h KEEPTTL FIELDS 1 f 7", &["MULTI", "HSET h f 7", "HPEXPIREAT h * FIELDS 1 f", "EXEC"]);
    check("HGETEX h PERSIST FIELDS 2 f g", &["HPERSIST h FIELDS 1 f"]);
    check("HGETEX h EX 100 FIELDS 2 g f", &["HPEXPIREAT h * FIELDS 2 g f"]);
    check("HPERSIST h FIELDS 1 g", &["HPERSIST h FIELDS 1 g"]);
    check("HSETEX h FNX FIELDS 1 f 8", &[]);
    check("HSETEX h EX 5 FIELDS 1 j 5", &["MULTI", "HSET h j 5", "HPEXPIREAT h * FIELDS 1 j", "EXEC"]);
    check("HEXPIREAT h 1 FIELDS 1 g", &["HDEL h g"]);
    check("HGETDEL h FIELDS 2 h x", &["HDEL h h"]);
    check("HPEXPIRE h 1 FIELDS 1 i", &["HPEXPIREAT h * FIELDS 1 i"]);
    std::thread::sleep(Duration::from_millis(5));
    check("HGET h i", &["HDEL h i"]);
    check("DEL h", &["DEL h"]);
    // Keys that a walk finds expired are changes of their own: no MULTI around them.
    check("SET e1 x PX 1", &["SET e1 x PXAT *"]);
    check("SET e2 x PX 1", &["SET e2 x PXAT *"]);
    check("SET f x PX 1", &["SET f x PXAT *"]);
    std::thread::sleep(Duration::from_millis(5));
    // A command that only reads is not propagated, also when it finds a key expired.
    check("GET f", &["UNLINK f"]);
    check("SCAN 0 COUNT 100", &["UNLINK e*", "UNLINK e*"]);
}

#[test]
fn a_replica_that_does_not_read_costs_no_copies_and_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--repl-diskless-sync-delay", "0", "--client-output-buffer-limit", "replica 20mb 0 0"];
    let master = ochre(folder.path(), &options);
    let mut client = master.client();
    let mut replicas: Vec<Played> = (0..8).map(|_| full_sync(&master, "capa eof ").0).collect();
    for replica in &mut replicas {
        replica.client.send_raw(b"REPLCONF ACK 0\r\n");
    }
    client.wait_for("slave7", |line| line.contains("state=online"));
    let before: u64 = client.info("used_memory").parse().unwrap();
    let value = vec![b'x'; 1 << 20];
    for n in 0..12 {
        client.call(&[b"SET", b"key", &value]);
        if n == 11 {
            assert_eq!(client.info("connected_slaves"), "8");
        }
    }
    let held = client.info("used_memory").parse::<u64>().unwrap() - before;
    assert!(held < 40 << 20, "eight replicas that lag by 12 MB hold {held} bytes");
    for _ in 0..30 {
        client.call(&[b"SET", b"key", &value]);
    }
    client.wait_for("connected_slaves", |n| n == "0");
    assert_eq!(client.info("client_output_buffer_limit_disconnections"), "8");
}

#[test]
fn writes_wait_for_good_replicas_and_the_backlog_ends() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        ["--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1", "--repl-backlog-ttl", "1"];
    let master = ochre(folder.path(), &options);
    let mut client = master.client();
    let id = client.info("master_replid");
    assert!(client.run("SET a 1").text().starts_with("NOREPLICAS"));
    let (mut replica, _) = full_sync(&master, "capa eof ");
    replica.client.send_raw(b"REPLCONF ACK 0\r\n");
    client.wait_for("slave0", |line| line.contains("state=online"));
    assert_eq!(client.run("SET a 1").text(), "OK");
    assert_ne!(client.info("master_replid"), id);
    let id = client.info("master_replid");
    drop(replica);
    client.wait_for("connected_slaves", |n| n == "0");
    client.wait_for("repl_backlog_active", |active| active == "0");
    assert_ne!(client.info("master_replid"), id);
}
