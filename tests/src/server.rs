//! Starting and stopping servers.

use crate::Client;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a server to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    args: Vec<String>,
    redis: bool,
    file: Option<String>,
    environment: Vec<(String, String)>,
}

impl Settings {
    /// Ours, with defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Debian's redis-server instead.
    #[must_use]
    pub fn redis(mut self) -> Self {
        self.redis = true;
        self
    }

    /// Another directive, as on the command line: `--name value …`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.args.push(format!("--{name}"));
        self.args.push(value.to_owned());
        self
    }

    /// A configuration file with this text, `server.conf` in its folder; what is set otherwise wins.
    #[must_use]
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Several words for one directive on the command line.
    #[must_use]
    pub fn set_words(mut self, name: &str, words: &[&str]) -> Self {
        self.args.push(format!("--{name}"));
        self.args.extend(words.iter().map(ToString::to_string));
        self
    }

    /// Starts it on a free port and waits until it answers.
    pub fn start(&self) -> Server {
        for _ in 0..5 {
            if let Some(server) = self.try_start() {
                return server;
            }
        }
        panic!("the server did not start: {self:?}");
    }

    fn try_start(&self) -> Option<Server> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let program = if self.redis { PathBuf::from("redis-server") } else { program() };
        let log = File::create(dir.path().join("log")).expect("a log file");
        let mut command = Command::new(program);
        if let Some(text) = &self.file {
            let path = dir.path().join("server.conf");
            std::fs::write(&path, text).expect("a configuration file");
            command.arg(path);
        }
        let child = command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--enable-debug-command",
                "yes",
            ])
            .arg("--dir")
            .arg(dir.path())
            .args(&self.args)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the server's binary can be executed; build it first");
        let mut server = Server { child, port, dir };
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if server.child.try_wait().expect("it is our child").is_some() {
                eprintln!("it ended:\n{}", server.log());
                return None;
            }
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

/// A running server, killed when dropped.
pub struct Server {
    child: Child,
    /// Its plain port.
    pub port: u16,
    dir: TempDir,
}

impl Server {
    /// Ours, with defaults.
    pub fn start() -> Self {
        Settings::new().start()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits for it to end by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not end");
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> String {
        let text = self.client().run("INFO everything").text();
        let prefix = format!("{field}:");
        text.lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .unwrap_or_else(|| panic!("INFO has no {field}"))
            .trim()
            .to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server on port {}\n{}", self.port, self.log());
        }
    }
}

fn program() -> PathBuf {
    match std::env::var_os("OCHRE_TEST_SERVER") {
        Some(path) => path.into(),
        None => binary("ochre-server"),
    }
}

/// A binary of this workspace, built beside the test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows itself");
    let folder = test.ancestors().nth(2).expect("tests live in target/PROFILE/deps");
    folder.join(name)
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    // Below the range of ports that the kernel gives to outgoing connections, so that no client takes it meanwhile.
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..2000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + ((std::process::id() as u16).wrapping_mul(37) % 200) * 100 + step % 100;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// Waits until something holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
