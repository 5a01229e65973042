//! SAVE, BGSAVE, save points, loading. What a snapshot holds is judged by a real `redis-server` that loads it.

mod support;

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Client, Server, assert_equal, dataset, ochre, redis, write_randomly};

/// Time after which no key with a short expiry is left.
const SHORT_EXPIRIES: Duration = Duration::from_millis(500);

fn has_temporary_file(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("temp-"))
}

/// Random content, then enough keys that the writer falls behind the walk, and both behind the clients.
fn fill(server: &Server, client: &mut Client, seed: u64) {
    let mut rounds = 0;
    write_randomly(server, seed, false, || {
        rounds += 1;
        rounds < 100
    });
    client.run("SELECT 0");
    client.run("DEBUG POPULATE 30000 key 40");
    client.run("SELECT 5");
    client.run("DEBUG POPULATE 10000 key");
    std::thread::sleep(SHORT_EXPIRIES);
}

/// What BGSAVE writes while others write is what was there when it began.
fn save_under_writes(options: &[&str], seed: u64) {
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let server = ochre(folder.path(), options);
    let mut client = server.client();
    fill(&server, &mut client, seed);
    let before = dataset(&server);
    assert!(before.len() > 40_000);
    client.run("CONFIG SET rdb-key-save-delay -2");
    assert_eq!(client.run("BGSAVE").text(), "Background saving started");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 1..=2 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                write_randomly(server, seed + writer, false, || !stop.load(Ordering::Relaxed))
            });
        }
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(client.run("BGSAVE").text(), "ERR Background save already in progress");
        assert_eq!(client.run("SAVE").text(), "ERR Background save already in progress");
        assert_eq!(client.info("rdb_bgsave_in_progress"), "1");
        client.wait_for("rdb_bgsave_in_progress", |n| n == "0");
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok");
    assert_ne!(client.info("rdb_last_cow_size"), "0"); // writes overtook the walk
    assert!(!has_temporary_file(folder.path()));
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(folder.path().join("dump.rdb"), other.join("dump.rdb")).unwrap();
    if let Some(judge) = redis(&other, &[]) {
        judge.wait_for_log("Ready to accept connections");
        assert_equal(&before, &dataset(&judge), "loaded by Redis");
    }
    let ours =
        ochre(&other, &options.iter().chain(&["--dbfilename", "dump.rdb"]).copied().collect::<Vec<_>>());
    ours.wait_for_log("Ready to accept connections");
    assert_equal(&before, &dataset(&ours), "loaded again");
    assert_eq!(ours.client().info("rdb_last_load_keys_loaded"), before.len().to_string());
}

#[test]
fn bgsave_holds_the_dataset_of_its_start() {
    save_under_writes(&[], 1);
    save_under_writes(&["--io-threads", "2", "--rdbcompression", "no"], 2);
}

#[test]
fn a_flush_gives_a_running_save_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = ochre(folder.path(), &["--save", "10000 10000"]);
    let mut client = server.client();
    client.run("DEBUG POPULATE 1000");
    client.run("CONFIG SET rdb-key-save-delay 10000");
    client.run("BGSAVE");
    std::thread::sleep(Duration::from_millis(100));
    assert!(has_temporary_file(folder.path()));
    client.run("FLUSHALL");
    assert_eq!(client.info("rdb_bgsave_in_progress"), "0");
    // With save points the file must not bring back what was deleted.
    assert!(std::fs::metadata(folder.path().join("dump.rdb")).unwrap().len() < 200);
    std::thread::sleep(Duration::from_millis(200));
    assert!(!has_temporary_file(folder.path()));
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok");
}

#[test]
fn too_many_old_values_give_a_save_up_and_never_stop_clients() {
    let folder = tempfile::tempdir().unwrap();
    let server = ochre(folder.path(), &["--snapshot-buffer-limit", "100kb"]);
    let mut client = server.client();
    client.run("DEBUG POPULATE 60000 key 200");
    client.run("CONFIG SET rdb-key-save-delay 1000");
    client.run("BGSAVE");
    for n in 0..60_000 {
        assert_eq!(client.run(&format!("SET key:{n} changed")).text(), "OK");
        if n % 1000 == 0 && client.info("snapshots_given_up_for_memory") == "1" {
            break;
        }
    }
    assert_eq!(client.info("snapshots_given_up_for_memory"), "1");
    assert_eq!(client.info("rdb_bgsave_in_progress"), "0");
    // It is tried again by itself.
    client.run("CONFIG SET rdb-key-save-delay 0");
    client.wait_for("rdb_saves", |n| n == "1");
}

#[test]
fn save_points_and_failures() {
    let folder = tempfile::tempdir().unwrap();
    let server = ochre(folder.path(), &["--save", "1 2", "--enable-protected-configs", "yes"]);
    let mut client = server.client();
    client.run("SET a 1");
    client.run("SET b 1");
    assert_eq!(client.info("rdb_changes_since_last_save"), "2");
    client.wait_for("rdb_saves", |n| n == "1");
    assert_eq!(client.info("rdb_changes_since_last_save"), "0");
    assert!(server.log().contains("2 changes in 1 seconds. Saving..."));

    // A folder in the way of the file.
    std::fs::create_dir_all(folder.path().join("taken/full")).unwrap();
    client.run("CONFIG SET dbfilename taken");
    client.run("BGSAVE");
    client.wait_for("rdb_last_bgsave_status", |status| status == "err");
    assert!(client.run("SET c 1").text().starts_with("MISCONF "));
    assert_eq!(client.run("SAVE").text(), "ERR");
    assert!(!has_temporary_file(folder.path()));
    client.run("CONFIG SET dbfilename dump.rdb");
    client.run("BGSAVE");
    client.wait_for("rdb_last_bgsave_status", |status| status == "ok");
    assert_eq!(client.run("SET c 1").text(), "OK");

    for command in ["MULTI", "BGSAVE"] {
        client.run(command);
    }
    assert_eq!(client.run("EXEC").items()[0].text(), "Background saving scheduled");
    client.wait_for("rdb_saves", |n| n == "3");
    assert_eq!(client.run("BGSAVE NOW").text(), "ERR syntax error");
}

#[test]
fn data_survives_a_restart_and_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--save", "3600 1"];
    let mut server = ochre(folder.path(), &options);
    let mut client = server.client();
    fill(&server, &mut client, 3);
    client.run("SET gone 1 PX 3000");
    let before = dataset(&server);
    Command::new("kill").arg(server.pid().to_string()).status().unwrap();
    assert_eq!(server.wait(), Some(0));
    std::thread::sleep(Duration::from_millis(3100));

    // Loading takes a while: clients are told so meanwhile, and SHUTDOWN leaves the file alone.
    let path = folder.path().join("dump.rdb");
    let file = std::fs::read(&path).unwrap();
    let slow = ["--save", "3600 1", "--key-load-delay", "1000"];
    let mut server = ochre(folder.path(), &slow);
    let mut client = server.client();
    assert_eq!(client.run("GET a").text(), "LOADING Redis is loading the dataset in memory");
    assert_eq!(client.info("loading"), "1");
    assert_eq!(client.info("loading_total_bytes"), file.len().to_string());
    client.send(&[b"SHUTDOWN"]);
    assert_eq!(server.wait(), Some(0));
    assert_eq!(std::fs::read(&path).unwrap(), file);

    let server = ochre(folder.path(), &options);
    server.wait_for_log("DB loaded from disk");
    let mut expected = before;
    expected.retain(|(_, key), _| key != b"gone");
    assert_equal(&expected, &dataset(&server), "after a restart");
    assert_eq!(server.client().info("rdb_last_load_keys_expired"), "1");
    drop(server);

    let mut damaged = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    damaged.seek(SeekFrom::Start(file.len() as u64 / 2)).unwrap();
    damaged.write_all(&[0xf4; 20]).unwrap();
    let mut server = ochre(folder.path(), &options);
    assert_eq!(server.wait(), Some(1));
    let log = server.log();
    assert!(
        log.contains("Fatal error loading the DB: failed to load") && log.contains("dump.rdb, at byte"),
        "{log}"
    );
}

#[test]
fn debug_reload_saves_and_loads_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = ochre(folder.path(), &[]);
    let mut client = server.client();
    fill(&server, &mut client, 4);
    let before = dataset(&server);
    assert_eq!(client.run("DEBUG RELOAD").text(), "OK");
    assert_equal(&before, &dataset(&server), "after a reload");
    client.run("SET later 1");
    assert!(client.run("DEBUG RELOAD NOSAVE NOFLUSH").text().starts_with("ERR Error trying to load"));
    assert_eq!(client.run("DEBUG RELOAD NOSAVE NOFLUSH MERGE").text(), "OK");
    assert_eq!(client.run("GET later").text(), "1");
    assert_eq!(client.run("DEBUG RELOAD NOSAVE").text(), "OK");
    assert_equal(&before, &dataset(&server), "without what came later");
    let saved = client.run("LASTSAVE").text().parse::<i64>().unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(client.run("SAVE").text(), "OK");
    assert!(client.run("LASTSAVE").text().parse::<i64>().unwrap() > saved);
}

#[test]
fn a_flush_with_save_points_leaves_nothing_to_save() {
    let folder = tempfile::tempdir().unwrap();
    let server = ochre(folder.path(), &[]);
    let mut client = server.client();
    for (points, left) in [("", false), ("3600 1", true)] {
        client.call(&[b"CONFIG", b"SET", b"save", points.as_bytes()]);
        client.run("SET key value");
        client.run("FLUSHALL");
        assert_eq!(client.info("rdb_changes_since_last_save") == "0", left, "save {points:?}");
    }
}
