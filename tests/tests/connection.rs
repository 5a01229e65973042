//! Connections: what CLIENT LIST says of them, bytes that are no text, and addresses to listen on.

use ochre_tests::{Server, Settings, wait_until};
use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// The fields of a line of CLIENT LIST.
fn fields(line: &str) -> HashMap<String, String> {
    let pairs = line.trim().split(' ').filter_map(|field| field.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn number(fields: &HashMap<String, String>, name: &str) -> u64 {
    fields[name].parse().unwrap_or_else(|_| panic!("{name}={}", fields[name]))
}

#[test]
fn client_info_counts_what_a_command_holds() {
    let server = Server::start();
    let mut client = server.client();
    let info = fields(&client.run("CLIENT INFO").text());
    // "*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n"
    assert_eq!((number(&info, "qbuf"), number(&info, "argv-mem")), (26, 10));
    assert!(number(&info, "qbuf-free") > 0, "{info:?}");
    assert_eq!((number(&info, "obl"), number(&info, "oll"), number(&info, "omem")), (0, 0, 0));
    assert!(number(&info, "tot-mem") > 26 + number(&info, "qbuf-free"));
    // A reply before it in the same pipeline has not left yet.
    client.send_raw(b"PING\r\nCLIENT INFO\r\n");
    assert_eq!(client.read(), "+PONG\r\n");
    let info = fields(&client.read().text());
    assert!(number(&info, "obl") == 7 && number(&info, "rbs") >= 7 && number(&info, "rbp") >= 7, "{info:?}");
    // Queued commands count until they ran.
    client.run("MULTI");
    client.run("SET key some-value");
    client.run("CLIENT INFO");
    let reply = client.run("EXEC").to_string();
    let info = fields(reply.rsplit("\r\n").nth(1).expect("the second reply"));
    assert!(info["multi"] == "2" && number(&info, "multi-mem") >= 16, "{info:?}");
    assert_eq!(fields(&client.run("CLIENT INFO").text())["multi-mem"], "0");
}

#[test]
fn client_list_counts_what_others_hold() {
    let server = Server::start();
    let mut watcher = server.client();
    let mut line = |name: &str| {
        let list = watcher.run("CLIENT LIST").text();
        fields(list.lines().find(|line| line.contains(&format!(" name={name} "))).expect("it is connected"))
    };
    // One that waits holds its command, and what it sent behind that.
    let mut waiting = server.client();
    waiting.run("CLIENT SETNAME waiting");
    waiting.send_raw(b"BLPOP nothing 0\r\nPING\r\nPING\r\n");
    wait_until("it waits", || line("waiting")["flags"] == "b");
    let waits = line("waiting");
    assert_eq!(number(&waits, "argv-mem"), 13, "{waits:?}");
    assert!(number(&waits, "qbuf") + number(&waits, "qbuf-free") >= 29, "{waits:?}");
    // One that does not read what it asked for has output that was not written.
    let mut deaf = server.client();
    deaf.run("CLIENT SETNAME deaf");
    deaf.call(&["SET", "big", &"x".repeat(4 << 20)]);
    deaf.send_raw(&b"GET big\r\n".repeat(8));
    wait_until("its output waits", || number(&line("deaf"), "omem") > 1 << 20);
    let holds = line("deaf");
    assert!(number(&holds, "oll") > 0 && number(&holds, "tot-mem") > 1 << 20, "{holds:?}");
    assert_eq!(holds["events"], "rw");
}

#[test]
fn errors_quote_bytes_as_they_came() {
    let server = Server::start();
    let mut client = server.client();
    let mut check = |words: &[&[u8]], error: &[u8]| {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        client.send_raw(&request);
        let reply = client.read();
        assert_eq!(reply.0.escape_ascii().to_string(), error.escape_ascii().to_string());
    };
    check(&[b"EXPIREAT", b"k", b"1", b"\xff"], b"-ERR Unsupported option \xff\r\n");
    check(&[b"EXPIRE", b"k", b"1", b"a\nb"], b"-ERR Unsupported option a b\r\n");
    check(&[b"\xc3", b"\xa9\x80"], b"-ERR unknown command '\xc3', with args beginning with: '\xa9\x80' \r\n");
    check(&[b"OBJECT", b"\xff", b"k"], b"-ERR unknown subcommand '\xff'. Try OBJECT HELP.\r\n");
    check(
        &[b"CONFIG", b"SET", b"\xffa", b"1"],
        b"-ERR Unknown option or number of arguments for CONFIG SET - '\xffa'\r\n",
    );
    check(&[b"CLIENT", b"KILL", b"TYPE", b"\xff"], b"-ERR Unknown client type '\xff'\r\n");
    check(&[b"CLIENT", b"KILL", b"USER", b"\xff"], b"-ERR No such user '\xff'\r\n");
    check(&[b"HELLO", b"3", b"\xff"], b"-ERR Syntax error in HELLO option '\xff'\r\n");
    check(&[b"DEBUG", b"ERROR", b"ERR \xff"], b"-ERR \xff\r\n");
    check(&[b"LATENCY", b"GRAPH", b"\xff"], b"-ERR No samples available for event '\xff'\r\n");
    // Where C would end a string.
    check(&[b"f\0oo", b"a\0b"], b"-ERR unknown command 'f', with args beginning with: 'a' \r\n");
    check(&[b"CLIENT", b"LI\0ST"], b"-ERR unknown subcommand 'LI'. Try CLIENT HELP.\r\n");
    check(
        &[b"CONFIG", b"SET", b"time\0out", b"1"],
        b"-ERR Unknown option or number of arguments for CONFIG SET - 'time'\r\n",
    );
}

#[test]
fn a_zero_byte_hides_the_end_of_its_line() {
    let server = Server::start();
    for line in ["PING a\0b\r\n", "\0\r\n", "*\0\r\n", "*1\r\n$4\0\r\nPING\r\n"] {
        let mut client = server.client();
        client.send_raw(line.as_bytes());
        client.send_raw(b"PING\r\n");
        assert!(client.is_silent(Duration::from_millis(50)), "{line:?}");
        client.send_raw(&b"PING\r\n".repeat(12_000));
        assert!(client.read().is_error("ERR Protocol error: too big "), "{line:?}");
    }
    assert_eq!(server.client().run("PING"), "+PONG\r\n");
}

#[test]
fn silence_within_a_transaction() {
    let server = Server::start();
    let check = |requests: &str, replies: &str| {
        let mut client = server.client();
        client.send_raw(requests.as_bytes());
        client.send_raw(b"CLIENT REPLY ON\r\nECHO end\r\n");
        let mut got = String::new();
        while !got.ends_with("$3\r\nend\r\n") {
            got.push_str(&client.read().to_string());
        }
        assert_eq!(got, format!("{replies}+OK\r\n$3\r\nend\r\n"), "{requests:?}");
    };
    check(
        "MULTI\r\nGET a\r\nCLIENT REPLY OFF\r\nEXEC\r\nPING\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n",
    );
    check("MULTI\r\nCLIENT REPLY OFF\r\nGET a\r\nEXEC\r\nPING\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n");
    check("CLIENT REPLY OFF\r\nMULTI\r\nGET a\r\nCLIENT REPLY ON\r\nGET b\r\nEXEC\r\n", "+OK\r\n$-1\r\n");
    check(
        "MULTI\r\nGET a\r\nCLIENT REPLY SKIP\r\nGET b\r\nEXEC\r\nPING\r\nGET c\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    );
    check("CLIENT REPLY OFF\r\nMULTI\r\nGET a\r\nEXEC\r\n", "");
    check("CLIENT REPLY SKIP\r\nMULTI\r\nGET a\r\nEXEC\r\n", "+QUEUED\r\n*1\r\n$-1\r\n");
}

#[test]
fn an_address_that_cannot_be_had_changes_nothing() {
    let server = Server::start();
    let mut client = server.client();
    // Somebody else's, at our port.
    let foreign = TcpListener::bind(("127.0.0.2", server.port)).expect("a loopback address");
    for bind in ["127.0.0.1 127.0.0.2", "127.0.0.2", "*", "192.0.2.1", "127.0.0.1 nowhere.invalid"] {
        let reply = client.call(&["CONFIG", "SET", "bind", bind]);
        let error = "-ERR CONFIG SET failed (possibly related to argument 'bind') - \
                     Failed to bind to specified addresses.\r\n";
        assert_eq!(reply, error, "{bind}");
        assert_eq!(server.client().run("PING"), "+PONG\r\n", "{bind}");
        assert!(client.run("CONFIG GET bind").to_string().contains("\r\n127.0.0.1\r\n"));
    }
    drop(foreign);
    // To all addresses and back, though each stands in the other's way.
    assert_eq!(client.call(&["CONFIG", "SET", "bind", "*"]), "+OK\r\n");
    assert!(TcpStream::connect(("127.0.0.2", server.port)).is_ok());
    assert_eq!(client.call(&["CONFIG", "SET", "bind", "127.0.0.1"]), "+OK\r\n");
    wait_until("nobody listens there", || TcpStream::connect(("127.0.0.2", server.port)).is_err());
    assert_eq!(server.client().run("PING"), "+PONG\r\n");
}

#[test]
fn a_port_that_is_taken_changes_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    for set in [
        vec!["CONFIG", "SET", "port", &port],
        vec!["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.3", "port", &port],
    ] {
        let reply = client.call(&set);
        assert!(reply.is_error("ERR CONFIG SET failed"), "{set:?}: {reply}");
        assert_eq!(server.client().run("PING"), "+PONG\r\n");
        assert!(TcpStream::connect(("127.0.0.3", server.port)).is_err());
    }
    drop(taken);
    assert_eq!(client.call(&["CONFIG", "SET", "port", &port]), "+OK\r\n");
    wait_until("it listens there", || {
        TcpStream::connect(("127.0.0.1", port.parse::<u16>().expect("a port"))).is_ok()
    });
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
}

#[test]
fn a_renamed_command_is_called_by_its_new_name_alone() {
    let server = Settings::new()
        .file("rename-command FLUSHALL \"\"\nrename-command flushdb wipe\nrename-command GET set2\nrename-command set2 get\n")
        .start();
    let mut client = server.client();
    assert!(client.run("FLUSHALL").is_error("ERR unknown command 'FLUSHALL'"));
    assert!(client.run("FLUSHDB").is_error("ERR unknown command 'FLUSHDB'"));
    client.run("SET a b");
    assert_eq!(client.run("WIPE"), "+OK\r\n");
    assert_eq!(client.run("GET a"), "$-1\r\n");
    assert_eq!(client.run("COMMAND INFO flushall"), "*1\r\n$-1\r\n");
    assert!(client.run("COMMAND INFO wipe").to_string().contains("flushdb"));
    assert!(client.run("INFO commandstats").text().contains("cmdstat_flushdb:calls=1"));
    let count = client.run("COMMAND COUNT").integer();
    assert!(!client.run("COMMAND LIST").to_string().contains("flushall"));
    assert!(client.run("COMMAND LIST").to_string().contains("\r\nconfig|set\r\n"));
    let plain = Server::start();
    assert_eq!(count + 1, plain.client().run("COMMAND COUNT").integer());
}

#[test]
fn client_list_shows_the_command_that_came_last() {
    let server = Server::start();
    let mut watcher = server.client();
    let mut shown = |lines: &[&str]| {
        let mut client = server.client();
        let id = client.run("CLIENT ID").integer();
        for line in lines {
            client.run(line);
        }
        fields(&watcher.run(&format!("CLIENT LIST ID {id}")).text())["cmd"].clone()
    };
    assert_eq!(shown(&["GET key", "NOSUCH"]), "NULL");
    assert_eq!(shown(&["GET"]), "get");
    assert_eq!(shown(&["CONFIG NOSUCH"]), "NULL");
    assert_eq!(shown(&["MULTI", "GET key"]), "get");
    assert_eq!(shown(&["MULTI", "GET"]), "get");
    assert_eq!(shown(&["MULTI", "GET key", "EXEC"]), "exec");
}

#[test]
fn watched_keys_are_a_client_s_memory() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    let id = client.run("CLIENT ID").integer();
    // Asked by another one, when its own requests have left no buffer behind.
    let mut memory = || number(&fields(&other.run(&format!("CLIENT LIST ID {id}")).text()), "tot-mem");
    wait_until("it rests", || memory() < 2000);
    let before = memory();
    client.run(&format!("WATCH {}", "k".repeat(1000)));
    wait_until("it watches and rests", || (before + 1000..before + 4000).contains(&memory()));
    client.run("UNWATCH");
    wait_until("it holds no more than before", || memory() == before);
}

#[test]
fn odd_ends_of_numbers_and_keys() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let mut client = server.client();
        // Keys that a command may do without are no mistake where they can't be found.
        assert_eq!(client.run("COMMAND GETKEYS EVAL x 5 a"), "*0\r\n");
        assert_eq!(client.run("COMMAND GETKEYS EVAL x 1 a"), "*1\r\n$1\r\na\r\n");
        let refused = "-ERR Invalid arguments specified for command\r\n";
        assert_eq!(client.run("COMMAND GETKEYS ZUNION 5 a"), refused);
        // The last moment there is, rounded to seconds.
        client.run("SET k v PXAT 9223372036854775807");
        assert_eq!(client.run("EXPIRETIME k"), ":9223372036854776\r\n");
        assert_eq!(client.run("PEXPIRETIME k"), ":9223372036854775807\r\n");
        assert_eq!(client.run("PEXPIREAT k 4000000000499"), ":1\r\n");
        assert_eq!(client.run("EXPIRETIME k"), ":4000000000\r\n");
        assert_eq!(client.run("PEXPIREAT k 4000000000500"), ":1\r\n");
        assert_eq!(client.run("EXPIRETIME k"), ":4000000001\r\n");
    }
}

#[test]
fn documentation_says_which_key_spec_finds_an_argument_and_what_is_obsolete() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let mut client = server.client();
        let mut indexes = |command: &str| {
            let docs = client.run(&format!("COMMAND DOCS {command}")).to_string();
            let numbers = docs.split("key_spec_index\r\n:").skip(1);
            numbers.map(|rest| rest[..1].parse().expect("an index")).collect::<Vec<u32>>()
        };
        assert_eq!(indexes("mset"), [0]);
        assert_eq!(indexes("lcs"), [0, 0]);
        assert_eq!(indexes("copy"), [0, 1]);
        assert_eq!(indexes("blmove"), [0, 1]);
        assert_eq!(indexes("bitop"), [0, 1]);
        assert_eq!(indexes("pfmerge"), [0, 1]);
        assert_eq!(indexes("zunionstore"), [0, 1]);
        assert_eq!(indexes("sort"), [0, 1, 1, 2]);
        assert_eq!(indexes("georadius"), [0, 1, 2]);
        let obsolete = client.run("COMMAND DOCS getset").to_string();
        for part in
            ["doc_flags\r\n*1\r\n+deprecated\r\n", "deprecated_since\r\n$5\r\n6.2.0\r\n", "replaced_by"]
        {
            assert!(obsolete.contains(part), "{part:?} in {obsolete}");
        }
        // Channels of shards are where keys would be: that is how old clients of a cluster find the node.
        assert!(client.run("COMMAND INFO ssubscribe").to_string().contains("\r\n:1\r\n:-1\r\n:1\r\n"));
    }
}

#[test]
fn a_client_that_wants_no_replies_gets_no_protocol_error() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let mut client = server.client();
        client.send_raw(b"PING\r\nCLIENT REPLY SKIP\r\n*x\r\n");
        assert_eq!(client.read(), "+PONG\r\n");
        assert!(client.try_read().is_err(), "the connection ends with nothing more");
    }
}
