//! Filters of CLIENT LIST and CLIENT KILL beyond those of Redis 7, as in Valkey 9. `differential_clients.rs` compares those
//! of Redis.

use ochre_tests::{Client, Server, check};
use std::time::Duration;

/// Clients with different traits, by name.
struct Crowd {
    server: Server,
    admin: Client,
    clients: Vec<(&'static str, Client)>,
}

impl Crowd {
    fn new() -> Self {
        let server = Server::start();
        let mut admin = server.client();
        admin.run("CLIENT SETNAME admin");
        let traits: &[(&str, &[&str])] = &[
            ("plain", &[]),
            ("library", &["CLIENT SETINFO LIB-NAME lettuce", "CLIENT SETINFO LIB-VER 6.1"]),
            ("elsewhere", &["SELECT 3"]),
            ("redirects", &["CLIENT CAPA redirect"]),
            ("protected", &["CLIENT NO-EVICT on", "CLIENT NO-TOUCH on"]),
            ("listens", &["SUBSCRIBE c"]),
        ];
        let clients = traits.iter().map(|(name, lines)| {
            let mut client = server.client();
            client.run(&format!("CLIENT SETNAME {name}"));
            lines.iter().for_each(|line| drop(client.run(line)));
            (*name, client)
        });
        let clients = clients.collect();
        Self { server, admin, clients }
    }

    /// Names of the clients that a filter picks.
    fn list(&mut self, filter: &str) -> Vec<String> {
        let text = self.admin.run(&format!("CLIENT LIST {filter}")).text();
        let name =
            |line: &str| line.split(' ').find_map(|word| word.strip_prefix("name=")).map(str::to_owned);
        text.lines().filter_map(name).collect()
    }
}

#[test]
fn each_filter_picks_its_own() {
    let mut crowd = Crowd::new();
    let everyone = ["admin", "plain", "library", "elsewhere", "redirects", "protected", "listens"];
    let port = crowd.server.port;
    let address = |client: &Client| client.socket().local_addr().expect("a socket").to_string();
    let plain = address(&crowd.clients[0].1);
    let cases: &[(&str, &[&str])] = &[
        ("NAME plain", &["plain"]),
        (
            "NOT-NAME plain NOT-NAME admin",
            &everyone.iter().copied().filter(|name| *name != "admin").collect::<Vec<_>>(),
        ),
        ("LIB-NAME lettuce", &["library"]),
        ("lib-name lettuce lib-ver 6.1", &["library"]),
        ("LIB-NAME lettuce LIB-VER 6.2", &[]),
        ("DB 3", &["elsewhere"]),
        ("NOT-DB 0", &["elsewhere"]),
        ("CAPA r", &["redirects"]),
        ("FLAGS eT", &["protected"]),
        ("FLAGS P", &["listens"]),
        ("FLAGS Pe", &[]),
        ("TYPE pubsub", &["listens"]),
        ("NOT-TYPE normal", &["listens"]),
        ("TYPE normal NOT-FLAGS N", &["protected"]),
        (&format!("ADDR {plain}"), &["plain"]),
        (&format!("NOT-LADDR 127.0.0.1:{port}"), &[]),
        ("IP 127.0.0.1 NAME plain", &["plain"]),
        ("NOT-IP 127.0.0.1", &[]),
        ("SKIPME yes NAME admin", &[]),
        ("SKIPME no NAME admin", &["admin"]),
        ("USER default NAME plain", &["plain"]),
        ("NOT-USER default", &[]),
        ("MAXAGE 1000", &[]),
        ("IDLE 1000", &[]),
        ("NAME nobody", &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(crowd.list(filter), *expected, "{filter}");
    }
    let ids: Vec<String> =
        crowd.clients.iter_mut().take(3).map(|(_, client)| client.run("CLIENT ID").text()).collect();
    assert_eq!(crowd.list(&format!("ID {}", ids.join(" "))), ["plain", "library", "elsewhere"]);
    assert_eq!(crowd.list(&format!("ID {} NAME plain", ids.join(" "))), ["plain"]);
    assert_eq!(crowd.list(&format!("ID {} ID {} DB 0", ids[0], ids[2])), ["plain"]);
    assert_eq!(
        crowd.list(&format!("NOT-ID {} SKIPME yes TYPE normal", ids.join(" "))),
        ["redirects", "protected"]
    );
}

#[test]
fn clients_that_rest_are_found() {
    let mut crowd = Crowd::new();
    std::thread::sleep(Duration::from_millis(2100));
    crowd.clients[0].1.run("PING");
    assert_eq!(crowd.list("IDLE 2 TYPE normal").len(), 4);
    assert_eq!(crowd.list("MAXAGE 2").len(), 7);
    crowd.admin.run("CLIENT KILL IDLE 2 TYPE normal");
    assert_eq!(crowd.list("SKIPME no"), ["admin", "plain", "listens"]);
}

#[test]
fn those_are_killed_who_are_meant() {
    let mut crowd = Crowd::new();
    let library = crowd.clients[1].1.run("CLIENT ID").text();
    let elsewhere = crowd.clients[2].1.run("CLIENT ID").text();
    check(
        &mut crowd.admin,
        &[
            ("CLIENT KILL LIB-NAME nothing", ":0"),
            ("CLIENT KILL CAPA r", ":1"),
            (&format!("CLIENT KILL ID {library} {elsewhere}"), ":2"),
            ("CLIENT KILL NOT-NAME plain TYPE normal", ":1"),
            ("CLIENT KILL DB 0 SKIPME no FLAGS P", ":1"),
        ],
    );
    assert_eq!(crowd.list("SKIPME no"), ["admin", "plain"]);
    for (name, client) in &mut crowd.clients {
        let is_there = *name == "plain";
        assert_eq!(client.run_or_end("PING"), is_there, "{name}");
    }
}

/// Whether a command is still answered.
trait RunOrEnd {
    fn run_or_end(&mut self, line: &str) -> bool;
}

impl RunOrEnd for Client {
    fn run_or_end(&mut self, line: &str) -> bool {
        let sent = self.try_send_raw(format!("{line}\r\n").as_bytes());
        sent.and_then(|()| self.try_read()).is_ok()
    }
}

#[test]
fn words_are_checked() {
    let server = Server::start();
    check(
        &mut server.client(),
        &[
            ("CLIENT LIST IDLE x", "-ERR idle is not an integer or out of range"),
            ("CLIENT LIST IDLE 0", "-ERR idle should be greater than 0"),
            ("CLIENT LIST MAXAGE -1", "-ERR maxage should be greater than 0"),
            ("CLIENT LIST FLAGS ?", "-ERR Unknown flags found in the provided filter: ?"),
            ("CLIENT LIST CAPA x", "-ERR Unknown capa found in the provided filter: x"),
            ("CLIENT LIST DB x", "-ERR DB is not an integer or out of range"),
            ("CLIENT LIST NOT-MAXAGE 1", "-ERR syntax error"),
            ("CLIENT LIST NOT-SKIPME yes", "-ERR syntax error"),
            ("CLIENT LIST NAME", "-ERR syntax error"),
            ("CLIENT LIST ID 1 x", "-ERR Invalid client ID"),
            ("CLIENT LIST USER nosuch", "-ERR No such user 'nosuch'"),
            ("CLIENT KILL ID 1 x", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL NOT-ID 0", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL NOT-TYPE x", "-ERR Unknown client type 'x'"),
        ],
    );
}
