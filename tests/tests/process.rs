//! The process: how it starts, what it listens on, what it logs, how it ends.

use ochre_tests::{Server, Settings, binary, free_port, wait_until};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn ours() -> Command {
    Command::new(binary("ochre-server"))
}

/// Runs a program to its end.
fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().expect("it can be executed")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("kill can be executed").success());
}

/// The command line as the process list shows it, without the zeroes behind it.
fn title(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text(&line).trim_end_matches('\0').to_owned()
}

/// What a server says on a connection of its own.
fn ask(stream: impl Read + Write, request: &str) -> String {
    let mut stream = stream;
    stream.write_all(format!("{request}\r\n").as_bytes()).expect("it listens");
    let mut reply = [0; 512];
    let len = stream.read(&mut reply).expect("it answers");
    text(&reply[..len])
}

/// A daemon in a folder of its own, ended with the test.
struct Daemon {
    dir: tempfile::TempDir,
    pid: u32,
    port: u16,
}

impl Daemon {
    fn start(file: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        fs::write(dir.path().join("x.conf"), file).expect("a configuration file");
        let place = |name: &str| dir.path().join(name).display().to_string();
        let output = ours()
            .arg(place("x.conf"))
            .args(["--dir", &place(""), "--logfile", &place("log"), "--pidfile", &place("pid")])
            .args(["--port", &port.to_string()])
            .args(args)
            .output()
            .expect("it can be executed");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stdout) + &text(&output.stderr), "");
        wait_until("the daemon's pidfile", || {
            fs::read_to_string(place("pid")).is_ok_and(|pid| pid.ends_with('\n'))
        });
        let pid = fs::read_to_string(place("pid")).expect("a pidfile");
        let daemon = Daemon { pid: pid.trim().parse().expect("a process id"), port, dir };
        wait_until("the daemon listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        daemon
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if Path::new(&format!("/proc/{}", self.pid)).exists() {
            let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).status();
        }
    }
}

#[test]
fn debians_configuration_starts_it_unchanged() {
    // Where the package is not installed, or not readable, the parts of it that matter here.
    let file = fs::read_to_string("/etc/redis/redis.conf").unwrap_or_else(|_| {
        "bind 127.0.0.1 -::1\ntcp-backlog 511\ndaemonize yes\nalways-show-logo no\nset-proc-title yes\n\
         proc-title-template \"{title} {listen-addr} {server-mode}\"\noom-score-adj no\ndisable-thp yes\n\
         supervised auto\njemalloc-bg-thread yes\n"
            .to_owned()
    });
    let daemon = Daemon::start(&file, &[]);
    let stream = TcpStream::connect(("127.0.0.1", daemon.port)).expect("it listens");
    assert_eq!(ask(stream, "SET a b"), "+OK\r\n");
    let shown = title(daemon.pid);
    assert!(shown.ends_with(&format!("ochre-server 127.0.0.1:{}", daemon.port)), "{shown}");
    // A session of its own, so that the terminal's end is not its end: field 6 of the kernel's listing.
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid)).expect("it runs");
    assert_eq!(stat.split_whitespace().nth(5), Some(daemon.pid.to_string().as_str()));
    signal(daemon.pid, "TERM");
    wait_until("the daemon ends", || !Path::new(&format!("/proc/{}", daemon.pid)).exists());
    assert!(!daemon.dir.path().join("pid").exists() && daemon.dir.path().join("dump.rdb").exists());
    let log = daemon.log();
    for line in
        ["# Configuration loaded", "* Removing the pid file.", "# Redis is now ready to exit, bye bye..."]
    {
        assert!(log.contains(line), "no {line:?} in\n{log}");
    }
}

#[test]
fn a_moved_log_is_left_in_peace() {
    let daemon = Daemon::start("daemonize yes\nsave \"\"\nenable-debug-command yes", &[]);
    fs::rename(daemon.dir.path().join("log"), daemon.dir.path().join("old")).expect("a log");
    let stream = TcpStream::connect(("127.0.0.1", daemon.port)).expect("it listens");
    assert_eq!(ask(stream, "DEBUG LOG hello"), "+OK\r\n");
    assert!(daemon.log().contains("# DEBUG LOG: hello"));
}

#[test]
fn the_title_follows_its_template() {
    let server = Settings::new().set("proc-title-template", "I am {port}").start();
    assert_eq!(title(server.pid()), format!("I am {}", server.port));
    let reply =
        server.client().call(&["CONFIG", "SET", "proc-title-template", "{config-file}on {listen-addr}"]);
    assert_eq!(reply, "+OK\r\n");
    assert_eq!(title(server.pid()), format!("on 127.0.0.1:{}", server.port));
    // The environment lay behind the arguments; it must have survived.
    let server = Settings::new().set("set-proc-title", "no").start();
    assert!(title(server.pid()).contains("--set-proc-title"));
}

#[test]
fn systemd_is_told() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut child = ours()
        .args([
            "--port",
            &free_port().to_string(),
            "--save",
            "",
            "--supervised",
            "systemd",
            "--daemonize",
            "yes",
        ])
        .current_dir(dir.path())
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .spawn()
        .expect("it can be executed");
    let receive = || {
        let mut message = [0; 200];
        let len = socket.recv(&mut message).expect("a message");
        text(&message[..len])
    };
    assert_eq!(receive(), "STATUS=Redis is loading...\n");
    assert_eq!(receive(), "STATUS=Ready to accept connections\nREADY=1\n");
    // Supervised, it stays in the foreground.
    assert!(child.try_wait().expect("our child").is_none());
    signal(child.id(), "TERM");
    assert_eq!(receive(), "STOPPING=1\n");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn modes_that_do_not_serve() {
    let ours = binary("ochre-server");
    for redis in [false, true] {
        let program = if redis { Path::new("redis-server") } else { ours.as_path() };
        let version = run(program, &["--version"]);
        assert!(text(&version.stdout).starts_with("Redis server v=7.0.15 sha="), "{version:?}");
        assert_eq!(run(program, &["-v"]).stdout, version.stdout);
        let help = run(program, &["--help"]);
        assert!(text(&help.stderr).starts_with("Usage: ") && help.status.code() == Some(1), "{help:?}");
        let usage = run(program, &["--test-memory"]);
        assert_eq!(usage.status.code(), Some(1));
        assert!(text(&usage.stderr).starts_with("Please specify the amount of memory to test in megabytes."));
        let checked = run(program, &["--check-system"]);
        assert!(text(&checked.stdout).starts_with("[slow-clocksource]..."), "{checked:?}");
        let absent = run(program, &["/no/such/file"]);
        let want = "# Fatal error, can't open config file '/no/such/file': No such file or directory\n";
        assert!(text(&absent.stdout).ends_with(want) && absent.status.code() == Some(1), "{absent:?}");
    }
    let tested = run(&ours, &["--test-memory", "1"]);
    assert!(tested.status.success() && text(&tested.stdout).contains("Your memory passed this test."));
}

#[test]
fn sentinel_mode_runs_the_other_binary() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let port = free_port();
    let path = dir.path().join("sentinel.conf");
    fs::write(&path, format!("port {port}\nbind 127.0.0.1\n")).expect("a configuration file");
    let mut child =
        ours().arg(&path).arg("--sentinel").stdout(Stdio::null()).spawn().expect("it can be executed");
    wait_until("the sentinel listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let program = fs::read_link(format!("/proc/{}/exe", child.id())).expect("it runs");
    child.kill().expect("our child");
    child.wait().expect("it ends");
    assert_eq!(program.file_name(), Some("ochre-sentinel".as_ref()));
}

#[test]
fn it_listens_where_it_is_told() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("s");
    let settings =
        Settings::new().set("unixsocket", &socket.display().to_string()).set("unixsocketperm", "700");
    for redis in [false, true] {
        let mut server = if redis { settings.clone().redis() } else { settings.clone() }.start();
        wait_until("the Unix socket", || socket.exists());
        let mode = fs::metadata(&socket).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(ask(UnixStream::connect(&socket).expect("it listens"), "PING"), "+PONG\r\n");
        let mut client = server.client();
        let set_bind =
            |client: &mut ochre_tests::Client, bind: &str| client.call(&["CONFIG", "SET", "bind", bind]);
        assert_eq!(set_bind(&mut client, "127.0.0.1 127.0.0.2 -203.0.113.7"), "+OK\r\n");
        wait_until("the second address", || TcpStream::connect(("127.0.0.2", server.port)).is_ok());
        let refused = "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified \
                       addresses.\r\n";
        assert_eq!(set_bind(&mut client, "127.0.0.1 203.0.113.7"), refused);
        assert_eq!(set_bind(&mut client, "127.0.0.1"), "+OK\r\n");
        wait_until("one address again", || TcpStream::connect(("127.0.0.2", server.port)).is_err());
        assert_eq!(server.client().run("PING"), "+PONG\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        stream.write_all(b"SHUTDOWN NOSAVE\r\n").expect("it listens");
        assert_eq!(server.wait(), Some(0));
        assert!(!socket.exists());
    }
}

#[test]
fn starts_that_fail() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let ours = binary("ochre-server");
    let programs = [ours.as_path(), Path::new("redis-server")];
    let check = |args: &[&str], want: &[&str]| {
        for program in programs {
            let output = run(program, args);
            let log = text(&output.stdout);
            assert_eq!(output.status.code(), Some(1), "{program:?} {args:?}\n{log}");
            assert!(want.iter().all(|line| log.contains(line)), "{program:?} {args:?}\n{log}");
        }
    };
    check(
        &["--port", &port, "--bind", "127.0.0.1", "--save", ""],
        &[
            &format!("# Warning: Could not create server TCP listening socket 127.0.0.1:{port}: "),
            "bind: Address already in use\n",
            &format!("# Failed listening on port {port} (TCP), aborting.\n"),
        ],
    );
    check(
        &["--port", "0", "--unixsocket", "/nosuch/socket", "--save", ""],
        &["# Failed opening Unix socket: bind: No such file or directory\n"],
    );
    check(&["--port", "0", "--save", ""], &["# Configured to not listen anywhere, exiting.\n"]);
}

#[test]
fn crashes_are_reported() {
    let crash = |command: &str, options: &[(&str, &str)]| {
        let settings =
            options.iter().fold(Settings::new(), |settings, (name, value)| settings.set(name, value));
        let mut server = settings.start();
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("it listens");
        let code = server.wait();
        (code, server.log())
    };
    let has = |log: &str, lines: &[&str]| {
        for line in lines {
            assert!(log.contains(line), "no {line:?} in\n{log}");
        }
    };
    let (code, log) = crash("DEBUG PANIC", &[]);
    assert_eq!(code, None);
    let head = "=== REDIS BUG REPORT START: Cut & paste starting from here ===\n";
    let end = "=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n";
    has(
        &log,
        &[
            head,
            "# Guru Meditation: called by DEBUG PANIC #",
            "------ STACK TRACE ------",
            "cmd=debug\n",
            end,
        ],
    );
    assert_eq!(log.matches(head).count(), 1, "{log}");
    let (code, log) = crash("DEBUG SEGFAULT", &[]);
    assert_eq!(code, None);
    has(
        &log,
        &[
            head,
            "crashed by signal: 11",
            "------ STACK TRACE ------",
            "redis_version:7.0.15\n",
            "cmd=debug\n",
            end,
        ],
    );
    let (code, log) = crash("DEBUG SEGFAULT", &[("crash-log-enabled", "no")]);
    assert!(code.is_none() && !log.contains(head), "{log}");
    let (code, log) = crash("DEBUG ASSERT", &[]);
    assert_eq!(code, None);
    has(&log, &[head, "called by DEBUG ASSERT", "cmd=debug\n", end]);
    let (_, log) = crash("DEBUG PANIC", &[("crash-log-enabled", "no")]);
    assert!(!log.contains(head) && log.contains("Guru Meditation"), "{log}");
    assert_eq!(crash("DEBUG PANIC", &[("use-exit-on-panic", "yes")]).0, Some(1));
}

#[test]
fn stalls_are_reported() {
    let server = Settings::new().start();
    let mut client = server.client();
    assert_eq!(client.run("CONFIG SET watchdog-period 300"), "+OK\r\n");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!server.log().contains("WATCHDOG"), "{}", server.log());
    assert_eq!(client.run("DEBUG SLEEP 0.8"), "+OK\r\n");
    wait_until("the watchdog barks", || server.log().contains("--- WATCHDOG TIMER EXPIRED ---"));
    signal(server.pid(), "ALRM");
    wait_until("a stack trace", || server.log().contains("Received SIGALRM"));
    assert_eq!(client.run("PING"), "+PONG\r\n");
}

#[test]
fn logs_for_machines() {
    let server =
        Settings::new().set("log-format", "json").set("log-timestamp-format", "milliseconds").start();
    let mut client = server.client();
    let last = |server: &Server| server.log().lines().last().unwrap_or_default().to_owned();
    assert_eq!(client.call(&["DEBUG", "LOG", "say \"hi\""]), "+OK\r\n");
    let line = last(&server);
    let end = ",\"level\":\"warning\",\"message\":\"DEBUG LOG: say \\\"hi\\\"\"}";
    let head = format!("{{\"pid\":{},\"role\":\"primary\",\"timestamp\":\"1", server.pid());
    assert!(line.starts_with(&head) && line.ends_with(end), "{line}");
    assert_eq!(client.run("CONFIG SET log-format logfmt"), "+OK\r\n");
    assert_eq!(client.run("DEBUG LOG hi"), "+OK\r\n");
    let line = last(&server);
    assert!(line.ends_with(" level=warning message=\"DEBUG LOG: hi\"") && line.starts_with("pid="), "{line}");
    assert_eq!(client.run("CONFIG SET loglevel nothing"), "+OK\r\n");
    assert_eq!(client.run("DEBUG LOG unheard"), "+OK\r\n");
    assert_eq!(last(&server), line);
}

/// A replica that reads all and acknowledges nothing.
fn mute_replica(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
    assert_eq!(ask(&stream, "REPLCONF capa eof capa psync2"), "+OK\r\n");
    stream.write_all(b"PSYNC ? -1\r\n").expect("it listens");
    let mut reader = stream.try_clone().expect("a second handle");
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let synced = || server.info("slave0").contains("state=online");
    wait_until("the replica is there", || server.info("connected_slaves") == "1");
    std::thread::sleep(Duration::from_millis(300));
    if !synced() {
        // A snapshot of unknown length ends with an acknowledgement.
        stream.write_all(b"REPLCONF ACK 0\r\n").expect("it listens");
    }
    wait_until("the replica is online", synced);
    stream
}

#[test]
fn shutdown_waits_for_replicas() {
    let settings = Settings::new().set("repl-diskless-sync-delay", "0").set("shutdown-timeout", "2");
    for redis in [false, true] {
        let mut server = if redis { settings.clone().redis() } else { settings.clone() }.start();
        let _replica = mute_replica(&server);
        let mut client = server.client();
        assert_eq!(client.run("SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
        assert_eq!(client.run("SET a b"), "+OK\r\n");
        let mut asking = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        asking.write_all(b"SHUTDOWN\r\n").expect("it listens");
        wait_until("it waits", || server.log().contains("* Waiting for replicas before shutting down."));
        assert_eq!(client.run("SHUTDOWN ABORT"), "+OK\r\n");
        let mut reply = [0; 100];
        let len = asking.read(&mut reply).expect("an error");
        assert_eq!(text(&reply[..len]), "-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
        assert_eq!(ask(asking, "PING"), "+PONG\r\n");
        assert!(server.log().contains("* Shutdown manually aborted."));
        signal(server.pid(), "TERM");
        assert_eq!(server.wait(), Some(0));
        let log = server.log();
        assert!(log.contains("* 0 of 1 replicas are in sync when shutting down."), "{log}");
        assert!(log.contains("# Lagging replica 127.0.0.1:<unknown-replica-port> reported offset "), "{log}");
    }
}

#[test]
fn shutdown_does_as_it_is_told() {
    for redis in [false, true] {
        let start = |options: &[(&str, &str)]| {
            let settings = if redis { Settings::new().redis() } else { Settings::new() };
            options.iter().fold(settings, |settings, (name, value)| settings.set(name, value)).start()
        };
        for line in ["SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW", "SHUTDOWN later", "SHUTDOWN NOW ABORT"] {
            assert_eq!(start(&[]).client().run(line), "-ERR syntax error\r\n", "{line}");
        }
        let saved = |server: &Server| server.dir().join("dump.rdb").exists();
        let end = |mut server: Server, line: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
            stream.write_all(format!("{line}\r\n").as_bytes()).expect("it listens");
            assert_eq!(server.wait(), Some(0), "{line}");
            saved(&server)
        };
        assert!(end(start(&[]), "SHUTDOWN SAVE"));
        assert!(!end(start(&[]), "SHUTDOWN"));
        assert!(end(start(&[("save", "900 1")]), "SHUTDOWN NOW"));
        assert!(!end(start(&[("save", "900 1")]), "SHUTDOWN NOSAVE"));
        for (name, signal_name) in [("shutdown-on-sigterm", "TERM"), ("shutdown-on-sigint", "INT")] {
            for (flags, want) in [("save", true), ("nosave", false), ("default", false)] {
                let mut server = start(&[(name, flags)]);
                server.client().run("PING");
                signal(server.pid(), signal_name);
                assert_eq!(server.wait(), Some(0));
                assert_eq!(saved(&server), want, "{name} {flags}");
            }
        }
        // A snapshot that can't be written keeps it alive, unless forced.
        let mut server = start(&[]);
        // Redis listens before it looks for a snapshot to load; it must not find the folder.
        assert_eq!(server.client().run("PING"), "+PONG\r\n");
        fs::create_dir(server.dir().join("dump.rdb")).expect("a folder");
        let reply = server.client().run("SHUTDOWN SAVE");
        assert_eq!(reply, "-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
        assert!(server.is_running());
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        stream.write_all(b"SHUTDOWN SAVE FORCE\r\n").expect("it listens");
        assert_eq!(server.wait(), Some(0));
    }
}

#[test]
fn the_kernel_gets_its_score_back() {
    let server = Settings::new().start();
    let mut client = server.client();
    let path = format!("/proc/{}/oom_score_adj", server.pid());
    let score = || fs::read_to_string(&path).expect("it runs").trim().to_owned();
    // Twice: what was there before is looked at each time anew.
    for before in ["22", "33"] {
        fs::write(&path, before).expect("it may be raised");
        let base: i64 = before.parse().expect("a number");
        client.call(&["CONFIG", "SET", "oom-score-adj-values", "9 9 9", "oom-score-adj", "yes"]);
        assert_eq!(score(), (base + 9).to_string());
        client.call(&["CONFIG", "SET", "oom-score-adj", "absolute", "oom-score-adj-values", "50 9 9"]);
        assert_eq!(score(), "50");
        // Lower than it was: not everybody may.
        if client.call(&["CONFIG", "SET", "oom-score-adj", "no"]) == "+OK\r\n" {
            assert_eq!(score(), before);
        }
    }
}

#[test]
fn who_insists_on_the_end_gets_it_at_once() {
    for redis in [false, true] {
        let settings = if redis { Settings::new().redis() } else { Settings::new() };
        // A hundred keys take ten seconds to save.
        let settings = settings.set("save", "900 1").set("rdb-key-save-delay", "100000");
        let mut server = settings.start();
        server.client().run("DEBUG POPULATE 100");
        let temporary = server.dir().join(format!("temp-{}.rdb", server.pid()));
        signal(server.pid(), "INT");
        wait_until("the snapshot is being written", || temporary.exists());
        signal(server.pid(), "INT");
        assert_eq!(server.wait(), Some(1));
        assert!(!temporary.exists() && !server.dir().join("dump.rdb").exists());
        assert!(server.log().contains("You insist... exiting now."), "{}", server.log());
    }
}

#[test]
fn a_signal_waits_while_the_clock_stands_still() {
    for redis in [false, true] {
        let settings = if redis { Settings::new().redis() } else { Settings::new() };
        let mut server = settings.start();
        let mut client = server.client();
        assert_eq!(client.run("DEBUG PAUSE-CRON 1"), "+OK\r\n");
        signal(server.pid(), "TERM");
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert_eq!(client.run("SHUTDOWN ABORT"), "+OK\r\n");
        assert_eq!(client.run("SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
        assert_eq!(client.run("DEBUG PAUSE-CRON 0"), "+OK\r\n");
        assert_eq!(client.run("PING"), "+PONG\r\n");
        client.run("DEBUG PAUSE-CRON 1");
        signal(server.pid(), "TERM");
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert!(server.is_running());
        // The clock may strike before the reply leaves, in Redis too: time events come between a command and its reply.
        client.send(&["DEBUG", "PAUSE-CRON", "0"]);
        assert_eq!(server.wait(), Some(0));
    }
}

#[test]
fn a_snapshot_without_a_name_is_none() {
    for redis in [false, true] {
        let settings = if redis { Settings::new().redis() } else { Settings::new() };
        let server = settings.set("dbfilename", "").start();
        let mut client = server.client();
        client.run("SET a b");
        assert_eq!(client.run("SAVE"), "-ERR\r\n");
        assert_eq!(client.run("GET a"), "$1\r\nb\r\n");
        let left: Vec<_> = fs::read_dir(server.dir()).expect("a folder").flatten().collect();
        let left: Vec<_> = left.iter().map(|entry| entry.file_name()).filter(|name| name != "log").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_unix_socket_gets_its_group() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("s").display().to_string();
    // Our own group is the one that we may surely give it.
    let group = fs::metadata(dir.path()).expect("a folder").gid();
    let groups = fs::read_to_string("/etc/group").expect("groups");
    let named = groups.lines().find(|line| line.split(':').nth(2) == Some(&group.to_string()));
    let name = named.and_then(|line| line.split(':').next()).expect("our group has a name");
    let server = Settings::new().set("unixsocket", &socket).set("unixsocketgroup", name).start();
    wait_until("the socket is its group's", || fs::metadata(&socket).is_ok_and(|s| s.gid() == group));
    drop(server);
    let output = ours()
        .args(["--port", "0", "--unixsocket", &socket, "--unixsocketgroup", "no-such-group"])
        .output()
        .expect("it can be executed");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("there is no group 'no-such-group'"), "{output:?}");
}

#[test]
fn user_data_stays_out_of_the_log_unless_wanted() {
    for (hides, seen) in [("yes", false), ("no", true)] {
        let server = Settings::new().set("loglevel", "debug").set("hide-user-data-from-log", hides).start();
        let mut client = server.client();
        client.run("CLIENT SETNAME somebody");
        client.send_raw(b"*1\r\nsecret\r\n");
        assert!(client.read().is_error("ERR Protocol error"));
        let log = server.log();
        assert!(log.contains("expected '$', got 's' from client: id="), "{log}");
        assert_eq!(log.contains("somebody"), seen, "{log}");
        assert_eq!(log.contains("secret"), seen, "{log}");
    }
}

#[test]
fn talkative_logs_tell_of_clients() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.set("loglevel", "debug").start();
        let client = server.client();
        let address = client.socket().local_addr().expect("connected").to_string();
        wait_until("it came", || server.log().contains(&format!(" - Accepted {address}\n")));
        drop(client);
        let closed = format!(" addr={address} ");
        wait_until("it went", || {
            server
                .log()
                .lines()
                .any(|line| line.contains(" - Client closed connection id=") && line.contains(&closed))
        });
        wait_until("a census", || server.log().contains(" clients connected (0 replicas), "));
    }
}

#[test]
fn the_watchdog_is_wound_at_once() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let mut client = server.client();
        client.run("CONFIG SET watchdog-period 200");
        client.run("DEBUG SLEEP 0.6");
        assert!(server.log().contains("--- WATCHDOG TIMER EXPIRED ---"), "{}", server.log());
    }
}
