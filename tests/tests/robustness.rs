//! What must not hurt the server: garbage, floods, giants, slow readers.

use ochre_tests::{Server, Settings, wait_until};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

fn each(settings: impl Fn(Settings) -> Settings, test: impl Fn(&mut Server)) {
    for threads in ["1", "2"] {
        let mut server = settings(Settings::new().set("io-threads", threads)).start();
        test(&mut server);
        assert!(server.is_running());
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
}

#[test]
fn garbage_is_answered_and_others_are_served() {
    each(
        |s| s,
        |server| {
            let mut steady = server.client();
            let mut seed = 12345u64;
            for _ in 0..200 {
                let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
                let bytes: Vec<u8> = (0..2000)
                    .map(|_| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let byte = (seed >> 33) as u8;
                        if byte < 64 { b"*$\r\n0123456789"[usize::from(byte) % 14] } else { byte }
                    })
                    .collect();
                let _ = socket.write_all(&bytes);
            }
            assert_eq!(steady.run("PING"), "+PONG\r\n");
            wait_until("all are gone", || server.info("connected_clients").parse::<u32>().unwrap() <= 2);
        },
    );
}

#[test]
fn a_giant_before_authentication_is_refused_at_its_header() {
    each(
        |s| s.set("requirepass", "secret"),
        |server| {
            let mut giant = server.client();
            // Above proto-max-bulk-len the length itself is invalid, below it the client has to authenticate first.
            giant.send_raw(b"*2\r\n$4\r\nECHO\r\n$629145600\r\n");
            assert_eq!(giant.read(), "-ERR Protocol error: invalid bulk length\r\n");
            assert!(giant.is_closed());
            let mut giant = server.client();
            giant.send_raw(b"*2\r\n$4\r\nECHO\r\n$419430400\r\n");
            assert_eq!(giant.read(), "-ERR Protocol error: unauthenticated bulk length\r\n");
            assert!(giant.is_closed());
            let mut many = server.client();
            many.send_raw(b"*1000000\r\n");
            assert_eq!(many.read(), "-ERR Protocol error: unauthenticated multibulk length\r\n");
            // Authentication in the same pipeline opens the way.
            let mut good = server.client();
            let long = "x".repeat(20_000);
            good.send_raw(format!("AUTH secret\r\n*2\r\n$4\r\nECHO\r\n$20000\r\n{long}\r\n").as_bytes());
            assert_eq!(good.read(), "+OK\r\n");
            assert_eq!(good.read().text(), long);
            // A header alone allocates nothing to speak of.
            let mut used_memory = || -> u64 {
                let text = good.run("INFO memory").text();
                let field = text.lines().find_map(|line| line.strip_prefix("used_memory:"));
                field.and_then(|bytes| bytes.parse().ok()).expect("a number")
            };
            let before = used_memory();
            let mut announced = server.client();
            announced.send_raw(b"AUTH secret\r\n*2\r\n$4\r\nECHO\r\n$500000000\r\n");
            announced.read();
            std::thread::sleep(Duration::from_millis(50));
            let after = used_memory();
            assert!(after < before + (16 << 20), "{before} -> {after}");
        },
    );
}

#[test]
fn a_flood_past_maxclients_is_told_so() {
    each(
        |s| s.set("maxclients", "20"),
        |server| {
            let mut steady = server.client();
            steady.run("PING");
            let mut flood: Vec<_> = (0..60).map(|_| server.client()).collect();
            let refused = flood
                .iter_mut()
                .filter_map(|client| {
                    client.send_raw(b"PING\r\n");
                    client.try_read().ok()
                })
                .filter(|reply| reply.is_error("ERR max number of clients reached"))
                .count();
            assert!(refused >= 40, "{refused}");
            assert_eq!(steady.run("PING"), "+PONG\r\n");
            drop(flood);
            wait_until("places are free again", || server.client().try_ping());
        },
    );
}

trait Ping {
    fn try_ping(self) -> bool;
}

impl Ping for ochre_tests::Client {
    fn try_ping(mut self) -> bool {
        self.send_raw(b"PING\r\n");
        self.try_read().is_ok_and(|reply| reply == "+PONG\r\n")
    }
}

#[test]
fn a_slow_reader_is_cut_at_its_limit_and_costs_others_nothing() {
    each(
        |s| s.set("client-output-buffer-limit", "normal 50mb 0 0"),
        |server| {
            let mut writer = server.client();
            let megabyte = "x".repeat(1 << 20);
            writer.call(&["SET", "big", &megabyte]);
            let mut slow = server.client();
            slow.run("PING");
            for _ in 0..100 {
                slow.send(&["GET", "big"]);
            }
            wait_until("it is cut", || server.info("client_output_buffer_limit_disconnections") == "1");
            assert_eq!(writer.run("PING"), "+PONG\r\n");
        },
    );
}

#[test]
fn a_slow_reader_within_its_limit_gets_everything() {
    each(
        |s| s,
        |server| {
            let mut client = server.client();
            let hundred = "y".repeat(100 << 20);
            assert_eq!(client.call(&["SET", "huge", &hundred]), "+OK\r\n");
            let mut slow = server.client();
            slow.send(&["GET", "huge"]);
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(client.run("PING"), "+PONG\r\n");
            assert_eq!(slow.read().0.len(), hundred.len() + "$104857600\r\n".len() + 2);
            assert_eq!(slow.run("PING"), "+PONG\r\n");
        },
    );
}

#[test]
fn pipelines_cut_anywhere() {
    each(
        |s| s,
        |server| {
            let mut client = server.client();
            let mut wire = Vec::new();
            for n in 0..3000 {
                wire.extend_from_slice(format!("*3\r\n$3\r\nSET\r\n$6\r\nkey{:03}\r\n$5\r\n{n:05}\r\n*2\r\n$3\r\nGET\r\n$6\r\nkey{:03}\r\n", n % 1000, n % 1000).as_bytes());
            }
            for chunk in wire.chunks(777) {
                client.send_raw(chunk);
            }
            for n in 0..3000 {
                assert_eq!(client.read(), "+OK\r\n");
                assert_eq!(client.read().text(), format!("{n:05}"));
            }
        },
    );
}

#[test]
fn quit_and_protocol_errors_end_the_pipeline() {
    each(
        |s| s,
        |server| {
            let mut client = server.client();
            client.send_raw(b"SET a 1\r\nQUIT\r\nSET a 2\r\n");
            assert_eq!(client.read(), "+OK\r\n");
            assert_eq!(client.read(), "+OK\r\n");
            assert!(client.is_closed());
            let mut client = server.client();
            client.send_raw(b"SET b 1\r\n*1\r\nfoo\r\nSET b 2\r\n");
            assert_eq!(client.read(), "+OK\r\n");
            assert_eq!(client.read(), "-ERR Protocol error: expected '$', got 'f'\r\n");
            assert!(client.is_closed());
            assert_eq!(server.client().run("MGET a b"), "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
        },
    );
}

#[test]
fn a_half_closed_connection_still_gets_its_replies() {
    each(
        |s| s,
        |server| {
            let mut client = server.client();
            client.send_raw(b"SET a 1\r\nGET a\r\n");
            client.socket().shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(client.read(), "+OK\r\n");
            assert_eq!(client.read(), "$1\r\n1\r\n");
            assert!(client.is_closed());
        },
    );
}

#[test]
fn a_large_first_command_on_an_open_server() {
    each(
        |s| s,
        |server| {
            let long = "x".repeat(20_000);
            for _ in 0..50 {
                assert_eq!(server.client().call(&["ECHO", &long]).text(), long);
            }
        },
    );
}

/// A page can make a browser send this here; what follows the headers must not be executed.
#[test]
fn requests_of_another_protocol_end_the_connection() {
    each(
        |s| s,
        |server| {
            for head in ["POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: here\r\n"] {
                let mut browser = server.client();
                browser.send_raw(format!("{head}\r\nSET taken 1\r\n").as_bytes());
                while browser.try_read().is_ok() {}
                assert!(browser.is_closed());
            }
            assert_eq!(server.client().run("EXISTS taken"), ":0\r\n");
            assert!(server.log().contains("Possible SECURITY ATTACK detected."));
        },
    );
}

/// Each holds a file descriptor until it is given up.
#[test]
fn handshakes_that_nobody_goes_on_with_leave_room_for_others() {
    let certificates = tempfile::tempdir().expect("a temporary folder");
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../certs/make-certs.sh");
    let made =
        std::process::Command::new(script).arg(certificates.path()).output().expect("make-certs.sh runs");
    assert!(made.status.success());
    let path = |name: &str| certificates.path().join(name).display().to_string();
    each(
        |s| {
            s.set("tls-port", &ochre_tests::free_port().to_string())
                .set("tls-cert-file", &path("server.crt"))
                .set("tls-key-file", &path("server.key"))
                .set("tls-ca-cert-file", &path("ca.crt"))
                .set("maxclients", "20")
        },
        |server| {
            let tls_port = server.client().call(&["CONFIG", "GET", "tls-port"]).to_string();
            let digits = tls_port.trim_end().rsplit("\r\n").next().expect("a last line");
            let tls_port: u16 = digits.parse().expect("a port");
            let connect = || std::net::TcpStream::connect(("127.0.0.1", tls_port)).expect("it listens");
            let silent: Vec<_> = (0..60).map(|_| connect()).collect();
            wait_until("some are refused", || {
                server.info("rejected_connections").parse::<u32>().is_ok_and(|refused| refused >= 35)
            });
            assert_eq!(server.client().run("PING"), "+PONG\r\n");
            drop(silent);
        },
    );
}

#[test]
fn short_replies_are_below_any_limit() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.set("client-output-buffer-limit", "normal 1 1 1").start();
        let mut client = server.client();
        assert_eq!(client.run("PING"), "+PONG\r\n");
        assert_eq!(client.call(&["SET", "short", &"v".repeat(10_000)]), "+OK\r\n");
        assert_eq!(client.call(&["SET", "long", &"v".repeat(40_000)]), "+OK\r\n");
        assert_eq!(client.run("GET short").len(), 10_000);
        client.send(&["GET", "long"]);
        assert!(client.is_closed());
        wait_until("the log says why", || {
            server
                .log()
                .matches(" scheduled to be closed ASAP for overcoming of output buffer limits.")
                .count()
                == 1
        });
    }
}
