//! What reaches beyond the loopback interface and the server's own folder: clients from afar, and the system's logger.
//!
//! Each test runs once more in namespaces of its own, so that nothing leaves it. The kernel must let the caller make some.

use ochre_tests::{Client, Settings, wait_until};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Set in the process that runs one test within namespaces.
const INSIDE: &str = "TEST_RUNS_INSIDE";

/// Whether this is the process within; if not, runs the test of this name there.
fn is_inside(kind: &str, test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("the path of this test");
    let run = Command::new("timeout")
        .args(["--kill-after=1", "120", "unshare", "--map-root-user", kind])
        .arg(program)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .expect("unshare is installed");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    false
}

fn succeeds(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("it is installed");
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

/// An address that is none of the loopback interface's, though it stays within the machine.
const AFAR: &str = "192.0.2.7";

#[test]
fn strangers_are_told_why_they_are_sent_away() {
    if !is_inside("--net", "strangers_are_told_why_they_are_sent_away") {
        return;
    }
    succeeds("ip", &["link", "set", "lo", "up"]);
    succeeds("ip", &["address", "add", &format!("{AFAR}/32"), "dev", "lo"]);
    let from_afar = |port: u16| {
        let stream = TcpStream::connect((AFAR, port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("TCP");
        let mut client = Client::over(stream);
        // It may be gone by now.
        let _ = client.try_send_raw(b"PING\r\n");
        client.try_read().map_or_else(|error| error.to_string(), |reply| reply.to_string())
    };
    let [ours, theirs] = [Settings::new(), Settings::new().redis()].map(|settings| {
        let settings = settings.set_words("bind", &["127.0.0.1", AFAR]);
        let mut said = Vec::new();
        let server = settings.start();
        wait_until("it answers", || server.client().run("PING") == "+PONG\r\n");
        said.push(from_afar(server.port));
        assert_eq!(server.info("rejected_connections"), "1");
        assert_eq!(server.client().run("CONFIG SET protected-mode no"), "+OK\r\n");
        said.push(from_afar(server.port));
        let server = settings.clone().set("requirepass", "secret").start();
        said.push(from_afar(server.port));
        let server = settings.set("maxclients", "1").start();
        let mut only = server.client();
        // Until the connection that looked whether it listens has gone.
        while only.try_send_raw(b"PING\r\n").is_err()
            || only.try_read().is_ok_and(|reply| reply != "+PONG\r\n")
        {
            only = server.client();
        }
        said.push(from_afar(server.port));
        said
    });
    assert!(ours[0].starts_with("-DENIED Redis is running in protected mode because protected"), "{ours:?}");
    let rest =
        ["+PONG\r\n", "-NOAUTH Authentication required.\r\n", "-ERR max number of clients reached\r\n"];
    assert_eq!(ours[1..], rest);
    assert_eq!(ours, theirs);
}

/// What a logger hears until a line ends so, or for ten seconds.
fn heard(logger: &UnixDatagram, end: &str) -> Vec<String> {
    let (started, mut lines) = (Instant::now(), Vec::<String>::new());
    while started.elapsed() < Duration::from_secs(10) && !lines.last().is_some_and(|line| line.ends_with(end))
    {
        let mut line = [0; 2000];
        if let Ok(len) = logger.recv(&mut line) {
            lines.push(String::from_utf8_lossy(&line[..len]).into_owned());
        }
    }
    lines
}

#[test]
fn the_system_s_logger_hears_the_server() {
    if !is_inside("--mount", "the_system_s_logger_hears_the_server") {
        return;
    }
    // A /dev of our own, with what a program needs, and a logger.
    let dev = tempfile::tempdir().expect("a temporary folder");
    for name in ["null", "urandom"] {
        let (device, place) = (format!("/dev/{name}"), dev.path().join(name));
        std::fs::write(&place, "").expect("a file");
        succeeds("mount", &["--bind", &device, &place.display().to_string()]);
    }
    let logger = UnixDatagram::bind(dev.path().join("log")).expect("a socket");
    logger.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    succeeds("mount", &["--rbind", &dev.path().display().to_string(), "/dev"]);
    assert!(Path::new("/dev/log").exists());
    for settings in [Settings::new(), Settings::new().redis()] {
        let settings = settings.set("unixsocket", "s").set("syslog-enabled", "yes");
        let mut server = settings.set("syslog-ident", "my server").set("syslog-facility", "local3").start();
        wait_until("it answers", || server.client().run("PING") == "+PONG\r\n");
        // A socket holds few lines that nobody has read.
        while logger.recv(&mut [0; 2000]).is_ok() {}
        server.client().send_raw(b"SHUTDOWN\r\n");
        let lines = heard(&logger, "bye bye...");
        assert_eq!(server.wait(), Some(0));
        // Facility local3 is 19, of eight levels each; a notice is the fifth of them, a warning the fourth.
        for (priority, end) in [(19 * 8 + 5, "Removing the unix socket file."), (19 * 8 + 4, "bye bye...")] {
            let line = lines.iter().find(|line| line.ends_with(end));
            let line = line.unwrap_or_else(|| panic!("{end}: {lines:?}"));
            let (head, rest) = line.split_once('>').expect("a priority");
            assert_eq!(head, format!("<{priority}"), "{line}");
            // "Nov  3 12:34:56 my server[77]: …", as in the log itself.
            let message = rest[15..].strip_prefix(&format!(" my server[{}]: ", server.pid()));
            let message = message.unwrap_or_else(|| panic!("{line}"));
            assert!(server.log().contains(&format!("{message}\n")), "{message}");
        }
    }
}
