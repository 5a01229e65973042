//! DEBUG, compared with redis-server.

use ochre_tests::{Client, Server, Settings, wait_until};

/// Subcommands of redis-server that are missing here, with the reason.
const NOT_OURS: &[(&str, &str)] = &[
    ("AOF-FLUSH-SLEEP", "there is no append-only file yet"),
    ("LOADAOF", "likewise"),
    ("DROP-CLUSTER-PACKET-FILTER", "there is no cluster yet"),
    ("CLUSTERLINK", "likewise"),
];

/// The first words of the lines of DEBUG HELP that name a subcommand.
fn subcommands(server: &Server) -> Vec<String> {
    let text = server.client().run("DEBUG HELP").to_string();
    let lines = text.split("\r\n").skip(1).filter_map(|line| line.strip_prefix('+'));
    let names = lines.skip(1).filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn every_subcommand_of_redis_is_there() {
    let (ours, theirs) = (subcommands(&Server::start()), subcommands(&Settings::new().redis().start()));
    assert!(theirs.len() > 30, "{theirs:?}");
    let is_missing =
        |name: &&String| !ours.contains(name) && !NOT_OURS.iter().any(|(known, _)| known == name);
    let missing: Vec<&String> = theirs.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn words_that_make_no_sense_are_refused_alike() {
    let mut clients =
        [Settings::new(), Settings::new().redis()].map(|settings| settings.start()).map(|server| {
            let client = server.client();
            (server, client)
        });
    let lines = [
        "DEBUG RESTART x",
        "DEBUG CRASH-AND-RECOVER x",
        "DEBUG CLIENT-EVICTION",
        "DEBUG CLIENT-EVICTION x",
        "DEBUG REPLYBUFFER",
        "DEBUG REPLYBUFFER x",
        "DEBUG REPLYBUFFER RESIZING 0",
        "DEBUG REPLYBUFFER RESIZING 1",
        "DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER",
        "DEBUG REPLYBUFFER PEAK-RESET-TIME RESET",
        "DEBUG REPLYBUFFER PEAK-RESET-TIME 100",
        "DEBUG REPLYBUFFER PEAK-RESET-TIME x",
        "DEBUG REPLYBUFFER x y",
        "DEBUG SLEEP 0",
        "DEBUG HTSTATS 99",
        "DEBUG HTSTATS x full",
        "DEBUG SDSLEN none",
        "DEBUG LISTPACK none",
        "DEBUG QUICKLIST none",
        "DEBUG OBJECT none",
        "DEBUG OBJECT",
        "DEBUG POPULATE x",
        "DEBUG POPULATE -1",
        "DEBUG PROTOCOL x",
        "DEBUG RELOAD x",
        "DEBUG SET-ACTIVE-EXPIRE",
        "DEBUG SET-DISABLE-DENY-SCRIPTS 0",
        "DEBUG PAUSE-CRON 0",
        "DEBUG STRINGMATCH-LEN a b",
        "DEBUG MALLCTL",
        "DEBUG LOG",
        "DEBUG nosuch",
    ];
    for line in lines {
        let [ours, theirs] = clients.each_mut().map(|(_, client)| client.run(line));
        assert_eq!(ours, theirs, "{line}");
    }
}

#[test]
fn clients_are_grouped_by_what_they_hold() {
    let servers = [Settings::new(), Settings::new().redis()]
        .map(|settings| settings.set("maxmemory-clients", "100mb").start());
    let [ours, theirs] = servers.each_ref().map(|server| {
        let mut big = server.client();
        assert_eq!(big.run("MULTI"), "+OK\r\n");
        assert_eq!(big.call(&["SET", "k", &"v".repeat(200_000)]), "+QUEUED\r\n");
        let text = server.client().run("DEBUG CLIENT-EVICTION").text();
        let (mut bounds, mut is_seen) = (Vec::new(), false);
        for line in text.lines() {
            let (group, counts) = line.split_once(": tot-mem: ").expect("a group");
            let (bytes, clients) = counts.split_once(", clients: ").expect("a count");
            assert_eq!(bytes.trim_start() == "0", clients == "0", "{line}");
            // The one that waits holds its command once here, with its buffer as well there.
            let bytes: usize = bytes.trim_start().parse().expect("a number");
            is_seen |= (200_000..500_000).contains(&bytes) && clients == "1";
            bounds.push(group.to_owned());
        }
        // Redis looks at what a client holds some time later.
        assert!(is_seen || server.port == servers[1].port, "{text}");
        bounds
    });
    assert_eq!(ours.len(), 19);
    assert_eq!(ours, theirs);
}

#[test]
fn it_starts_anew_in_its_place() {
    let server = Settings::new().file("maxmemory 100mb\nsave 900 1\n").start();
    let mut client = server.client();
    let run_id = server.info("run_id");
    assert_eq!(client.run("SET kept v"), "+OK\r\n");
    assert_eq!(client.call(&["CONFIG", "SET", "maxmemory", "200mb", "save", "900 2"]), "+OK\r\n");
    client.send(&["DEBUG", "RESTART"]);
    assert!(client.is_closed());
    let is_back = |before: &str| {
        // A connection made to the process before still waits to be reset.
        let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", server.port)) else { return false };
        let mut client = Client::over(stream);
        let sent = client.try_send_raw(b"PING\r\n");
        let is_up = sent.is_ok() && client.try_read().is_ok_and(|reply| reply == "+PONG\r\n");
        is_up && server.info("run_id") != before
    };
    wait_until("it is back", || is_back(&run_id));
    let mut client = server.client();
    assert_eq!(client.run("GET kept"), "$1\r\nv\r\n");
    assert_eq!(server.info("process_id"), server.pid().to_string());
    let file = std::fs::read_to_string(server.dir().join("server.conf")).expect("its file");
    assert!(file.contains("maxmemory 200mb"), "{file}");
    // A crash takes nothing along.
    assert_eq!(client.run("SET lost v"), "+OK\r\n");
    let run_id = server.info("run_id");
    client.send(&["DEBUG", "CRASH-AND-RECOVER", "20"]);
    assert!(client.is_closed());
    wait_until("it is back again", || is_back(&run_id));
    assert_eq!(server.client().run("EXISTS lost kept"), ":1\r\n");
}
