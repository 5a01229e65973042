//! `activedefrag`: pages that deletions left half empty are given back, and nothing else changes.

use ochre_tests::{Client, Server, Settings, wait_until};

/// Keys of all types, of which three in four go.
fn fill_and_thin_out(client: &mut Client, keys: usize) {
    let mut requests = Vec::new();
    for index in 0..keys {
        let key = format!("k:{index}");
        let long = "v".repeat(1 + index * 7 % 2000);
        let request: Vec<&str> = match index % 7 {
            0 => vec!["SET", &key, &long],
            1 => vec!["HSET", &key, "field", &long[..long.len().min(200)], "other", "value"],
            2 => vec!["SADD", &key, "1", "member", &long[..long.len().min(50)]],
            3 => vec!["ZADD", &key, "1", "one", "2", "two", "3", &long[..long.len().min(50)]],
            4 => vec!["RPUSH", &key, "a", "b", &long],
            5 => vec!["XADD", &key, "1-1", "field", &long[..long.len().min(300)]],
            _ => vec!["SADD", &key, "1", "2", "30000", "400000"],
        };
        requests.push(request.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        requests.push(vec!["HSET".into(), "hash".into(), format!("field:{index}"), "v".repeat(index % 90)]);
        requests.push(vec![
            "ZADD".into(),
            "sorted".into(),
            (index % 1000).to_string(),
            format!("member:{index}"),
        ]);
        requests.push(vec!["RPUSH".into(), "list".into(), "e".repeat(index % 90)]);
    }
    for index in (0..keys).filter(|index| index % 4 != 0) {
        requests.push(vec!["DEL".into(), format!("k:{index}")]);
        requests.push(vec!["HDEL".into(), "hash".into(), format!("field:{index}")]);
        requests.push(vec!["ZREM".into(), "sorted".into(), format!("member:{index}")]);
    }
    for part in requests.chunks(500) {
        part.iter().for_each(|request| client.send(request));
        part.iter().for_each(|_| drop(client.read()));
    }
}

fn figure(server: &Server, name: &str) -> u64 {
    server.info(name).parse().expect("a number")
}

#[test]
fn half_empty_pages_are_given_back() {
    let server = Settings::new()
        .set("active-defrag-ignore-bytes", "100kb")
        .set("active-defrag-threshold-lower", "10")
        .set("active-defrag-max-scan-fields", "100")
        .set("active-defrag-cycle-max", "75")
        .start();
    let mut client = server.client();
    fill_and_thin_out(&mut client, 30_000);
    let digest = client.run("DEBUG DIGEST").to_string();
    let free = figure(&server, "allocator_frag_bytes");
    assert!(free > 5 << 20, "{free} bytes are free in pages that are in use");
    assert_eq!(server.info("active_defrag_running"), "0");

    assert_eq!(client.run("CONFIG SET activedefrag yes"), "+OK\r\n");
    wait_until("it has begun", || figure(&server, "active_defrag_hits") > 0);
    wait_until("it is through", || server.info("active_defrag_running") == "0");
    let left = figure(&server, "allocator_frag_bytes");
    assert!(left < free / 3, "{left} of {free} bytes are free still");
    assert_eq!(client.run("DEBUG DIGEST").to_string(), digest);
    for figure_name in ["active_defrag_misses", "active_defrag_key_hits", "total_active_defrag_time"] {
        assert!(figure(&server, figure_name) > 0, "{figure_name}");
    }
    // A snapshot of what was moved is whole, too.
    assert_eq!(client.run("DEBUG RELOAD"), "+OK\r\n");
    assert_eq!(client.run("DEBUG DIGEST").to_string(), digest);
    client.run("CONFIG RESETSTAT");
    assert_eq!(server.info("active_defrag_hits"), "0");
}

#[test]
fn writes_and_snapshots_go_on_meanwhile() {
    let server = Settings::new()
        .set("activedefrag", "yes")
        .set("active-defrag-ignore-bytes", "1")
        .set("active-defrag-threshold-lower", "0")
        .set("active-defrag-cycle-min", "90")
        .set("active-defrag-cycle-max", "90")
        .set("active-defrag-max-scan-fields", "10")
        .start();
    let mut client = server.client();
    for _ in 0..3 {
        fill_and_thin_out(&mut client, 5_000);
        assert!(client.run("BGSAVE").to_string().starts_with("+Background saving"));
        fill_and_thin_out(&mut client, 5_000);
        wait_until("the snapshot is written", || server.info("rdb_bgsave_in_progress") == "0");
        assert_eq!(server.info("rdb_last_bgsave_status"), "ok");
    }
    wait_until("something was moved", || figure(&server, "active_defrag_hits") > 0);
    let digest = client.run("DEBUG DIGEST").to_string();
    assert_eq!(client.run("DEBUG RELOAD"), "+OK\r\n");
    assert_eq!(client.run("DEBUG DIGEST").to_string(), digest);
    assert_eq!(client.run("CONFIG SET activedefrag no"), "+OK\r\n");
    wait_until("it has stopped", || server.info("active_defrag_running") == "0");
}
