//! LATENCY and the statistics of commands beside Debian's redis-server: the same events and calls on both, replies compared
//! with durations left out.

use ochre_tests::{Client, Server, Settings};

fn both() -> [(Server, Client); 2] {
    [Settings::new(), Settings::new().redis()].map(|settings| {
        let server = settings.start();
        let client = server.client();
        (server, client)
    })
}

/// A text with every duration and time in it replaced: digits that a unit follows, or that make a number by themselves.
fn without_times(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
        let (number, after) = digits.split_at(end);
        shown.push_str(before);
        let is_time = ["ms", " ms", " sec", "s", "m"].iter().any(|unit| after.starts_with(unit));
        shown.push_str(if is_time { "N" } else { number });
        rest = after;
    }
    shown + rest
}

/// LATENCY DOCTOR without numbers that differ; events come in no order.
fn doctor(client: &mut Client) -> Vec<String> {
    let reply = client.run("LATENCY DOCTOR").to_string();
    let (_, text) = reply.split_once("\r\n").expect("a bulk string");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(without_times).collect();
    let is_event = |line: &String| line.contains("latency spikes (average");
    let first = lines.iter().position(is_event).unwrap_or(0);
    let events = lines.iter().filter(|line| is_event(line)).count();
    for line in &mut lines[first..first + events] {
        *line = line.split_once(". ").map_or_else(|| line.clone(), |(_, rest)| rest.to_owned());
    }
    lines[first..first + events].sort();
    lines
}

#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(servers: &mut [(Server, Client); 2], ask: impl Fn(&mut Client) -> T) {
    let [(_, our), (_, their)] = servers;
    let (ours, theirs) = (ask(our), ask(their));
    assert!(ours == theirs, "ours:   {ours:#?}\ntheirs: {theirs:#?}");
}

fn run(servers: &mut [(Server, Client); 2], lines: &[&str]) {
    for (_, client) in servers {
        lines.iter().for_each(|line| drop(client.run(line)));
    }
}

#[test]
fn the_doctor_says_what_redis_says() {
    let mut servers = both();
    same(&mut servers, doctor);
    run(&mut servers, &["CONFIG SET latency-monitor-threshold 20"]);
    same(&mut servers, doctor);
    run(&mut servers, &["DEBUG SLEEP 0.04"]);
    let settings = [
        "CONFIG SET slowlog-log-slower-than -1",
        "CONFIG SET slowlog-log-slower-than 20999",
        "CONFIG SET slowlog-log-slower-than 21000",
        "CONFIG SET slowlog-log-slower-than 0",
        "CONFIG SET slowlog-max-len 0",
        "CONFIG SET hz 100",
        "CONFIG SET latency-monitor-threshold 0",
        "CONFIG SET slowlog-log-slower-than 1000",
    ];
    for line in settings {
        run(&mut servers, &[line]);
        same(&mut servers, doctor);
    }
    // A command that is to be fast, and takes its time.
    run(&mut servers, &["LATENCY RESET", "CONFIG SET latency-monitor-threshold 1"]);
    let members: Vec<String> = (0..200_000).map(|n| format!("member:{n}")).collect();
    let sadd: Vec<&str> = ["SADD", "k"].into_iter().chain(members.iter().map(String::as_str)).collect();
    for (_, client) in &mut servers {
        client.call(&sadd);
    }
    same(&mut servers, doctor);
    run(&mut servers, &["DEBUG SLEEP 0.01"]);
    same(&mut servers, doctor);
}

/// Has both servers take their time together, second by second, and compares the graph after each.
fn draws_the_same(servers: &mut [(Server, Client); 2]) -> bool {
    run(servers, &["LATENCY RESET"]);
    // Heights in the middle between two characters.
    ["0.1", "0.425", "0.7", "0.23"].iter().all(|sleep| {
        // Both in the same second, which makes one sample.
        std::thread::sleep(std::time::Duration::from_millis(1000 - unix_ms() % 1000));
        std::thread::scope(|scope| {
            for (_, client) in &mut *servers {
                scope.spawn(|| client.run(&format!("DEBUG SLEEP {sleep}")));
            }
        });
        let [ours, theirs] = servers.each_mut().map(|(_, client)| client.run("LATENCY GRAPH command").text());
        without_times(&ours) == without_times(&theirs)
    })
}

#[test]
fn graphs_look_as_those_of_redis() {
    let mut servers = both();
    run(&mut servers, &["CONFIG SET latency-monitor-threshold 20"]);
    // A busy machine may let one of them sleep longer: then once more.
    let is_same = (0..3).any(|_| draws_the_same(&mut servers));
    assert!(
        is_same,
        "{:?}",
        servers.each_mut().map(|(_, client)| client.run("LATENCY GRAPH command").text())
    );
    let shape = |client: &mut Client, line: &str| {
        let reply = client.run(line).to_string();
        let is_number = |line: &&str| line.starts_with(':');
        reply.lines().filter(|line| !is_number(line)).collect::<Vec<_>>().join(" ")
    };
    for line in
        ["LATENCY LATEST", "LATENCY HISTORY command", "LATENCY HISTORY COMMAND", "LATENCY HISTORY none"]
    {
        same(&mut servers, |client| shape(client, line));
    }
    let lines = [
        "LATENCY GRAPH COMMAND",
        "LATENCY GRAPH none",
        "LATENCY GRAPH",
        "LATENCY HELP",
        "LATENCY RESET none",
        "LATENCY RESET none Command command",
        "LATENCY HISTORY command",
        "LATENCY LATEST",
        "LATENCY RESET",
        "LATENCY LATEST x",
        "LATENCY WHAT",
    ];
    for line in lines {
        same(&mut servers, |client| client.run(line).to_string());
    }
}

fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_millis() as u64
}

/// What commands are counted for, in all ways that they can end.
const CALLS: &[&str] = &[
    "SET k v",
    "GET k",
    "get k",
    "LPUSH k x",
    "LPUSH l x",
    "GET",
    "NOSUCH x",
    "CONFIG GET maxmemory",
    "CONFIG NOSUCH",
    "CONFIG GET",
    "CONFIG",
    "CLIENT LIST",
    "CLIENT SETNAME a b",
    "EVAL return(redis.call('get',KEYS[1])) 1 k",
    "EVAL return(redis.call('lpush',KEYS[1],1)) 1 k",
    "EVALSHA x 0",
    "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
    "MULTI",
    "SET k 1",
    "LPUSH k 1",
    "EXEC",
    "MULTI",
    "SET k",
    "SET k 2",
    "EXEC",
    "EXEC",
    "MULTI",
    "MULTI",
    "WATCH k",
    "DISCARD",
    "DISCARD",
    "BLPOP none 0.01",
    "BLPOP l 0.01",
    "RESTORE k 0 x",
    "AUTH x y z",
    "AUTH wrong",
    "HELLO 9",
    "SELECT 99",
    "XGROUP CREATE none g $",
    "XREADGROUP GROUP g c STREAMS none >",
    "XREADGROUP GROUP g c STREAMS none 0 1",
    "OBJECT ENCODING k",
    "OBJECT NOSUCH k",
    "DEBUG SLEEP 0.05",
    "DEBUG SLEEP 0.05",
    "DEBUG ERROR MYERR",
    "SUBSCRIBE c",
    "GET k",
    "UNSUBSCRIBE c",
    "CONFIG SET maxmemory 1",
    "SET k v",
    "CONFIG SET maxmemory 0",
    "SHUTDOWN x",
    "MONITOR x",
    "PING",
    "QUIT x y",
];

/// The lines of a section of INFO, in order, with what is measured left out.
fn section(client: &mut Client, name: &str) -> Vec<String> {
    let info = client.run(&format!("INFO {name}")).text();
    let without_durations = |line: &str| {
        let words = line.trim_end().split(',').map(|word| match word.split_once('=') {
            Some((what @ ("usec" | "usec_per_call"), _)) => what.to_owned(),
            Some((what, _)) if name == "latencystats" => what.to_owned(),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(",")
    };
    let mut lines: Vec<String> = info.lines().map(without_durations).collect();
    lines.sort();
    lines
}

/// Commands and how often they were called, as LATENCY HISTOGRAM tells; in RESP2.
fn histogram(client: &mut Client, line: &str) -> Vec<String> {
    let reply = client.run(line).to_string();
    let lines: Vec<&str> = reply.lines().collect();
    let calls = lines.iter().enumerate().filter(|(_, line)| **line == "calls");
    let mut told: Vec<String> =
        calls.map(|(at, _)| format!("{} {} {}", lines[at - 3], lines[at + 1], lines[at + 3])).collect();
    told.sort();
    told
}

fn play(servers: &mut [(Server, Client); 2]) {
    for line in CALLS {
        let [(_, our), (_, their)] = servers;
        assert_eq!(our.run(line).0.first(), their.run(line).0.first(), "{line}");
    }
}

#[test]
fn statistics_count_what_redis_counts() {
    let mut servers = both();
    run(
        &mut servers,
        &["CONFIG RESETSTAT", "CONFIG SET latency-tracking-info-percentiles \"0 50 99.9 100\""],
    );
    for (_, client) in &mut servers {
        client.call(&["CONFIG", "SET", "latency-tracking-info-percentiles", "0 50 99.9 100"]);
    }
    play(&mut servers);
    let [ours, theirs] = servers;
    // The last of the calls ended the connection.
    let mut servers = [ours, theirs].map(|(server, _)| {
        let client = server.client();
        (server, client)
    });
    for name in ["commandstats", "errorstats", "latencystats"] {
        same(&mut servers, |client| section(client, name));
    }
    let lines = [
        "LATENCY HISTOGRAM",
        "LATENCY HISTOGRAM GET set nosuch",
        "LATENCY HISTOGRAM config",
        "LATENCY HISTOGRAM config|get",
        "LATENCY HISTOGRAM get get",
        "LATENCY HISTOGRAM nosuch",
        "LATENCY HISTOGRAM debug",
    ];
    for line in lines {
        same(&mut servers, |client| histogram(client, line));
    }
    for resp in ["HELLO 2", "HELLO 3"] {
        run(&mut servers, &[resp]);
        measure(&mut servers, |client| client.run("LATENCY HISTOGRAM debug").to_string());
    }
    measure(&mut servers, |client| {
        let info = client.run("INFO latencystats").text();
        let line = info.lines().find(|line| line.starts_with("latency_percentiles_usec_debug:"));
        let values = line.expect("DEBUG was called").trim().split(',').map(|word| {
            let usec: f64 = word.split_once('=').expect("a value").1.parse().expect("a number");
            (usec / 20_000.0).floor() as i64
        });
        values.collect::<Vec<_>>()
    });
}

/// Has both servers sleep, and compares what they measured. A busy machine may let one sleep longer: then once more.
fn measure<T: PartialEq + std::fmt::Debug>(
    servers: &mut [(Server, Client); 2],
    ask: impl Fn(&mut Client) -> T,
) {
    for _ in 0..10 {
        run(servers, &["CONFIG RESETSTAT", "DEBUG SLEEP 0.07", "DEBUG SLEEP 0.145"]);
        let [(_, our), (_, their)] = servers;
        if ask(our) == ask(their) {
            return;
        }
    }
    same(servers, ask);
}

#[test]
fn latencies_are_not_kept_where_nobody_wants_them() {
    let mut servers = both();
    run(&mut servers, &["GET k", "CONFIG SET latency-tracking no", "GET k", "STRLEN k"]);
    same(&mut servers, |client| section(client, "latencystats"));
    same(&mut servers, |client| histogram(client, "LATENCY HISTOGRAM get strlen"));
    run(&mut servers, &["CONFIG SET latency-tracking yes", "GET k"]);
    same(&mut servers, |client| section(client, "latencystats"));
    same(&mut servers, |client| histogram(client, "LATENCY HISTOGRAM get strlen"));
    run(&mut servers, &["CONFIG RESETSTAT"]);
    same(&mut servers, |client| histogram(client, "LATENCY HISTOGRAM"));
    same(&mut servers, |client| section(client, "latencystats"));
}
