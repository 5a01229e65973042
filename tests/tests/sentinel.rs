//! The second daemon: the shared commands over the shared connection layer.

use ochre_tests::{Client, binary, free_port, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

struct Sentinel {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Sentinel {
    fn start(args: &[&str]) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().expect("a temporary folder"));
        let (file, log) = (dir.path().join("sentinel.conf"), dir.path().join("log"));
        std::fs::write(&file, "").expect("a configuration file");
        let child = Command::new(binary("ochre-sentinel"))
            .arg(file)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(args)
            .stdout(std::fs::File::create(log).expect("a log file"))
            .spawn()
            .expect("the sentinel's binary can be executed; build it first");
        wait_until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port, dir }
    }

    fn client(&self) -> Client {
        Client::connect(self.port)
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill can be executed").success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).expect("a log")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_shared_commands_answer() {
    let sentinel = Sentinel::start(&[]);
    let (mut a, mut b) = (sentinel.client(), sentinel.client());
    assert_eq!(a.run("PING"), "+PONG\r\n");
    assert!(a.run("HELLO 3").to_string().contains("$4\r\nmode\r\n$8\r\nsentinel\r\n"));
    assert!(a.run("CLIENT LIST").text().contains("cmd=client|list"));
    assert!(a.run("COMMAND COUNT").integer() > 10);
    assert!(a.run("INFO").text().contains("redis_mode:sentinel"));
    assert_eq!(a.run("SUBSCRIBE c"), ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    assert_eq!(b.run("PUBLISH c m"), ":1\r\n");
    assert_eq!(a.read(), ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    assert!(b.run("GET x").is_error("ERR unknown command 'GET'"));
    let id = a.run("CLIENT ID").text();
    assert_eq!(b.run(&format!("CLIENT KILL ID {id}")), ":1\r\n");
    assert!(a.is_closed());
}

#[test]
fn a_password_is_asked_for() {
    let sentinel = Sentinel::start(&["--requirepass", "secret"]);
    let mut client = sentinel.client();
    assert_eq!(client.run("INFO"), "-NOAUTH Authentication required.\r\n");
    assert!(client.run("AUTH wrong").is_error("WRONGPASS"));
    assert_eq!(client.run("AUTH default secret"), "+OK\r\n");
    assert_eq!(client.run("PING"), "+PONG\r\n");
}

#[test]
fn it_ends_when_told_to() {
    let mut sentinel = Sentinel::start(&[]);
    sentinel.client().send_raw(b"SHUTDOWN\r\n");
    assert_eq!(sentinel.child.wait().unwrap().code(), Some(0));
}

#[test]
fn signals_end_it_but_for_a_terminal_that_goes_away() {
    let mut sentinel = Sentinel::start(&[]);
    sentinel.signal("HUP");
    assert_eq!(sentinel.client().run("PING"), "+PONG\r\n");
    sentinel.signal("TERM");
    assert_eq!(sentinel.child.wait().unwrap().code(), Some(0));
    let log = sentinel.log();
    for line in [
        "# Received SIGTERM scheduling shutdown...\n",
        "# User requested shutdown...\n",
        "# Sentinel is now ready to exit, bye bye...\n",
    ] {
        assert!(log.contains(&format!("{}:X ", sentinel.child.id())) && log.contains(line), "{log}");
    }
}

/// What it logged, without process id and time.
fn messages(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.split_once(" # ")).map(|(_, message)| message.to_owned()).collect()
}

#[test]
fn it_needs_a_file_to_keep_what_it_learns_in() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Called by another name the server is a sentinel as well.
    let links =
        [("redis-server", "redis-sentinel"), ("ochre-server", "ochre-sentinel-1")].map(|(is, called)| {
            let link = dir.path().join(called);
            let program =
                if is == "redis-server" { PathBuf::from("/usr/bin/redis-server") } else { binary(is) };
            std::os::unix::fs::symlink(program, &link).expect("a link");
            link
        });
    let run = |program: &Path, args: &[&str]| {
        Command::new(program).args(args).stdin(Stdio::null()).output().expect("it can be executed")
    };
    let (server, sentinel, redis) =
        (binary("ochre-server"), binary("ochre-sentinel"), Path::new("redis-server"));
    let none = "Sentinel needs config file on disk to save state. Exiting...";
    let mode: &[&str] = &["--sentinel"];
    let cases: [(&Path, &[&str]); 8] = [
        (&server, mode),
        (&server, &["--port", "1", "--sentinel"]),
        (redis, mode),
        (redis, &["--port", "1", "--sentinel"]),
        (&sentinel, &[]),
        (&sentinel, &["--port", "1"]),
        (&links[0], &[]),
        (&links[1], &[]),
    ];
    for (program, args) in cases {
        let output = run(program, args);
        assert_eq!(output.status.code(), Some(1), "{program:?} {args:?}: {output:?}");
        assert_eq!(messages(&output).last().map(String::as_str), Some(none), "{program:?} {args:?}");
    }
    for program in [&server, redis] {
        let output = run(program, &["/no/such/file", "--sentinel"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let want = "Fatal error, can't open config file '/no/such/file': No such file or directory";
        assert_eq!(messages(&output).last().map(String::as_str), Some(want), "{program:?}");
        let version = run(program, &["--version", "--sentinel"]);
        assert!(
            String::from_utf8_lossy(&version.stdout).starts_with("Redis server v=7.0.15 "),
            "{version:?}"
        );
    }
}
