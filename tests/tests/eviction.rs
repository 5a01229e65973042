//! `maxmemory`: what goes, what is refused, and what clients and replicas hear of it. Where Redis decides by chance, its
//! rules are checked; where it doesn't, its replies.

use ochre_tests::{Client, Server, Settings, wait_until};

const VALUE: usize = 1000;
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

/// Sets the limit `room` bytes above what is used.
fn limit(server: &Server, client: &mut Client, room: i64) {
    let used: i64 = server.info("used_memory").parse().expect("a number");
    let limit = (used + room).to_string();
    assert_eq!(client.call(&["CONFIG", "SET", "maxmemory", &limit]), "+OK\r\n");
}

fn fill(client: &mut Client, prefix: &str, keys: usize, more: &[&str]) {
    let value = "v".repeat(VALUE);
    for index in 0..keys {
        let key = format!("{prefix}:{index}");
        let words = [&["SET", &key, &value], more].concat();
        assert_eq!(client.call(&words), "+OK\r\n", "{key}");
    }
}

fn count(client: &mut Client, prefix: &str, keys: usize) -> i64 {
    let names: Vec<String> = (0..keys).map(|index| format!("{prefix}:{index}")).collect();
    let words: Vec<&str> = std::iter::once("EXISTS").chain(names.iter().map(String::as_str)).collect();
    client.call(&words).integer()
}

#[test]
fn a_policy_keeps_to_the_limit_and_to_its_keys() {
    for policy in [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-lrm",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-lrm",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = Settings::new().set("maxmemory-policy", policy).start();
        let mut client = server.client();
        fill(&mut client, "permanent", 500, &[]);
        limit(&server, &mut client, 1_000_000);
        fill(&mut client, "volatile", 3000, &["EX", "10000"]);
        let used: i64 = server.info("used_memory").parse().expect("a number");
        let most: i64 = server.info("maxmemory").parse().expect("a number");
        assert!(used <= most + 100_000, "{policy}: {used} of {most}");
        assert!(server.info("evicted_keys").parse::<i64>().expect("a number") > 1000, "{policy}");
        let left = count(&mut client, "permanent", 500);
        assert_eq!(left == 500, policy.starts_with("volatile"), "{policy}: {left} permanent keys are left");
        assert_eq!(server.info("maxmemory_policy"), policy);
    }
}

#[test]
fn keys_that_are_read_stay() {
    for policy in ["allkeys-lfu", "volatile-ttl"] {
        // No decay: a new minute between reading and filling would take one off what was read.
        let settings = Settings::new().set("maxmemory-policy", policy).set("lfu-decay-time", "0");
        let server = settings.set("maxmemory-samples", "20").start();
        let mut client = server.client();
        fill(&mut client, "hot", 100, &["EX", "100000"]);
        for _ in 0..30 {
            for index in 0..100 {
                client.run(&format!("GET hot:{index}"));
            }
        }
        limit(&server, &mut client, 500_000);
        fill(&mut client, "cold", 2000, &["EX", "100"]);
        assert!(count(&mut client, "hot", 100) >= 98, "{policy}");
    }
}

#[test]
fn without_victims_what_needs_memory_is_refused() {
    let both = [Settings::new(), Settings::new().redis()];
    for settings in both {
        let server = settings.set("maxmemory-policy", "volatile-lru").start();
        let mut client = server.client();
        let mut multi = server.client();
        multi.run("MULTI");
        assert_eq!(multi.run("SET queued 1"), "+QUEUED\r\n");
        client.run("SET a 1");
        client.run("RPUSH l 1 2");
        assert_eq!(client.run("CONFIG SET maxmemory 1"), "+OK\r\n");
        assert_eq!(client.run("SET a 2"), OOM);
        assert_eq!(client.run("LPUSH l 0"), OOM);
        assert_eq!(client.run("GET a"), "$1\r\n1\r\n");
        assert_eq!(client.run("LPOP l"), "$1\r\n1\r\n");
        assert_eq!(
            multi.run("EXEC").to_string(),
            "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.\r\n"
        );
        client.run("MULTI");
        assert_eq!(client.run("GET a"), OOM, "queueing needs memory too");
        assert!(client.run("EXEC").is_error("EXECABORT"));
        client.run("MULTI");
        assert_eq!(client.run("DISCARD"), "+OK\r\n");
        let mut eval = |body: &str| client.call(&["EVAL", body, "0"]);
        assert!(eval("return redis.call('set','x',1)").to_string().starts_with("-OOM command not allowed"));
        assert_eq!(
            eval("redis.call('del','a') return redis.call('set','x',1)"),
            "+OK\r\n",
            "once begun, it ends"
        );
        assert_eq!(eval("#!lua\nreturn 1"), OOM);
        assert_eq!(eval("#!lua flags=no-writes\nreturn redis.call('get','x')"), "$1\r\n1\r\n");
        assert_eq!(eval("#!lua flags=allow-oom\nreturn redis.call('set','x',2)"), "+OK\r\n");
        assert_eq!(client.run("DEL l"), ":1\r\n");
        assert_eq!(client.run("CONFIG SET maxmemory 0"), "+OK\r\n");
        assert_eq!(client.run("SET a 2"), "+OK\r\n");
    }
}

#[test]
fn replicas_watchers_and_subscribers_hear_of_it() {
    let server =
        Settings::new().set("maxmemory-policy", "allkeys-random").set("notify-keyspace-events", "Ee").start();
    let (mut client, mut subscriber, mut watcher) = (server.client(), server.client(), server.client());
    fill(&mut client, "k", 50, &[]);
    subscriber.run("SUBSCRIBE __keyevent@0__:evicted");
    watcher.run("WATCH k:0");
    watcher.run("MULTI");
    watcher.run("PING");
    let mut feed = server.client();
    feed.send(&["SYNC"]);
    wait_until("the replica is fed", || server.info("connected_slaves") == "1");
    assert_eq!(client.run("CONFIG SET maxmemory 1"), "+OK\r\n");
    wait_until("everything is evicted", || client.run("DBSIZE") == ":0\r\n");
    assert!(subscriber.read().to_string().contains("__keyevent@0__:evicted"));
    assert_eq!(watcher.run("EXEC"), "*-1\r\n");
    assert_eq!(server.info("evicted_keys"), "50");
}

#[test]
fn a_lower_limit_takes_effect_between_turns() {
    let server = Settings::new().set("maxmemory-policy", "allkeys-lru").start();
    let mut client = server.client();
    client.run("DEBUG POPULATE 200000 k 100");
    let used: i64 = server.info("used_memory").parse().expect("a number");
    client.call(&["CONFIG", "SET", "maxmemory", &(used / 2).to_string()]);
    // Nobody sends a command meanwhile but one that reads a figure.
    wait_until("memory is within the limit", || {
        // The command that reads the figure needs buffers itself.
        server.info("used_memory").parse::<i64>().expect("a number") <= used / 2 + (16 << 10)
    });
    assert_eq!(server.info("current_eviction_exceeded_time"), "0");
}

#[test]
fn the_biggest_clients_go_when_all_hold_too_much() {
    let server = Settings::new().set("maxmemory-clients", "3mb").start();
    let (mut small, mut big, mut spared) = (server.client(), server.client(), server.client());
    assert_eq!(spared.run("CLIENT NO-EVICT on"), "+OK\r\n");
    // Announced and not finished: bytes that wait in the query buffer.
    let pending = |client: &mut Client, bytes: usize| {
        client.send_raw(format!("*2\r\n$4\r\nECHO\r\n${}\r\n", 16 << 20).as_bytes());
        client.send_raw(&vec![b'x'; bytes]);
    };
    pending(&mut spared, 8 << 20);
    pending(&mut big, 8 << 20);
    wait_until("the big one is cut off", || small.run("INFO stats").text().contains("evicted_clients:1\r\n"));
    assert!(big.is_closed());
    assert_eq!(small.run("PING"), "+PONG\r\n");
    spared.send_raw(&[b'x'; 8 << 20]);
    spared.send_raw(b"\r\n");
    assert_eq!(spared.read().len(), 16 << 20);
}

#[test]
fn no_key_goes_for_what_clients_held() {
    // Above what all clients may hold comes room for the server and the keys; the clients alone break the limit.
    let server = Settings::new()
        .set("maxmemory", "11mb")
        .set("maxmemory-policy", "allkeys-lru")
        .set("maxmemory-clients", "3mb")
        .start();
    let mut client = server.client();
    assert_eq!(client.run("CLIENT NO-EVICT on"), "+OK\r\n");
    for index in 0..50 {
        client.run(&format!("SETRANGE k:{index} 100000 x"));
    }
    for round in 0..5 {
        let held: Vec<Client> = (0..30)
            .map(|_| {
                let mut held = server.client();
                held.send_raw(b"*250\r\n");
                let argument = format!("$1000\r\n{}\r\n", "x".repeat(1000)).repeat(249);
                // It may be cut off while it writes.
                let _ = held.try_send_raw(argument.as_bytes());
                held
            })
            .collect();
        wait_until("clients are cut off", || server.info("evicted_clients") != "0");
        assert_eq!(server.info("evicted_keys"), "0", "round {round}");
        drop(held);
    }
    assert_eq!(client.run("DBSIZE"), ":50\r\n");
}

#[test]
fn refused_and_unblocked_commands_are_counted_as_in_redis() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let (mut client, mut blocked) = (server.client(), server.client());
        client.run("SET k");
        client.run("MULTI");
        client.run("SET k");
        client.run("EXEC");
        blocked.run("CLIENT SETNAME waits");
        let id = blocked.run("CLIENT ID").integer();
        blocked.send(&["BLPOP", "list", "0"]);
        wait_until("it waits", || server.info("blocked_clients") == "1");
        client.run(&format!("CLIENT UNBLOCK {id} ERROR"));
        assert!(blocked.read().is_error("UNBLOCKED"));
        let stats = client.run("INFO commandstats errorstats").text();
        let line =
            |name: &str| stats.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        assert!(line("cmdstat_set:").ends_with("rejected_calls=2,failed_calls=0"), "{stats}");
        assert!(line("cmdstat_blpop:").ends_with("rejected_calls=0,failed_calls=1"), "{stats}");
        assert!(line("errorstat_UNBLOCKED:").ends_with("count=1"), "{stats}");
    }
}

#[test]
fn uses_are_counted_but_for_those_of_clients_that_don_t_touch() {
    // With a factor of zero every use counts.
    let server = Settings::new().set("maxmemory-policy", "allkeys-lfu").set("lfu-log-factor", "0").start();
    let mut client = server.client();
    let mut frequency = |line: &str| {
        client.run(line);
        client.run("OBJECT FREQ k").integer()
    };
    assert_eq!(frequency("SET k v"), 5, "as every new key");
    assert_eq!(frequency("GET k"), 6);
    assert_eq!(frequency("SET k w"), 7);
    assert_eq!(frequency("APPEND k x"), 8);
    assert_eq!(frequency("EXISTS k"), 8);
    assert_eq!(frequency("CLIENT NO-TOUCH on"), 8);
    assert_eq!(frequency("GET k"), 8);
    assert_eq!(frequency("TOUCH k"), 9);
    assert_eq!(frequency("CLIENT NO-TOUCH off"), 9);
    assert_eq!(frequency("GET k"), 10);
    assert!(client.run("OBJECT IDLETIME k").is_error("ERR An LFU maxmemory policy is selected"));
}
