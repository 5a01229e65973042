//! Other people's clients against the server: redis-py, ioredis, node-redis, queues and limiters that live by scripts,
//! redis-cli at a terminal and redis-benchmark, each plain, over TLS, and over TLS with a certificate of its own.
//!
//! `make clients` fetches the libraries and `make test` says where they are; without them these tests fail, since
//! a suite that skips in silence proves nothing.

use ochre_tests::{Server, Settings, free_port};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Plain,
    /// TLS to a server that asks for no certificate.
    Tls,
    /// TLS to a server that takes nobody without a certificate.
    TlsWithCertificate,
}

const WAYS: [Way; 3] = [Way::Plain, Way::Tls, Way::TlsWithCertificate];

/// A server that is reached in one way, at its port.
struct Reached {
    server: Server,
    way: Way,
    port: String,
}

impl Reached {
    fn start(way: Way, io_threads: &str) -> Self {
        let settings = Settings::new().set("io-threads", io_threads);
        if way == Way::Plain {
            let server = settings.start();
            return Self { port: server.port.to_string(), server, way };
        }
        let port = free_port().to_string();
        let server = settings
            .set("tls-port", &port)
            .set("tls-cert-file", &certificate("server.crt"))
            .set("tls-key-file", &certificate("server.key"))
            .set("tls-ca-cert-file", &certificate("ca.crt"))
            .set("tls-auth-clients", if way == Way::Tls { "no" } else { "yes" })
            .start();
        Self { server, way, port }
    }

    /// CA, certificate and key as our scripts take them: `-` for none.
    fn certificates(&self) -> [String; 3] {
        match self.way {
            Way::Plain => ["-", "-", "-"].map(str::to_owned),
            Way::Tls => [certificate("ca.crt"), "-".to_owned(), "-".to_owned()],
            Way::TlsWithCertificate => ["ca.crt", "client.crt", "client.key"].map(certificate),
        }
    }

    /// Arguments for redis-cli and redis-benchmark.
    fn cli_args(&self) -> Vec<String> {
        let mut args = vec!["-p".to_owned(), self.port.clone()];
        if self.way != Way::Plain {
            args.push("--tls".to_owned());
        }
        for (name, path) in ["--cacert", "--cert", "--key"].into_iter().zip(self.certificates()) {
            if path != "-" {
                args.extend([name.to_owned(), path]);
            }
        }
        args
    }

    /// The server came through unharmed.
    fn must_be_well(mut self) {
        assert!(self.server.is_running());
        assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
    }
}

/// A certificate or key, made once per run.
fn certificate(name: &str) -> String {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../certs/make-certs.sh");
        let made = Command::new(script).arg(folder.path()).output().expect("make-certs.sh can be executed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder
    });
    folder.path().join(name).display().to_string()
}

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name).display().to_string()
}

/// What the Makefile tells by an environment variable.
fn from_make(variable: &str) -> String {
    let path = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `make clients`, then the tests by `make unit`")
    });
    assert!(Path::new(&path).exists(), "{variable} names {path}, which is not there: run `make clients`");
    path
}

/// Runs a client to its end, which has to be a good one.
fn succeeds(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?} cannot be executed: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// Runs one of our conversations in every way, and once for each of `protocols` (none: the client has but one). Its
/// arguments are `first`, the port, the protocol and the certificates.
fn converses(program: &str, first: &[&str], io_threads: [&str; 3], protocols: &[&str]) {
    let protocols: Vec<Option<&str>> =
        if protocols.is_empty() { vec![None] } else { protocols.iter().copied().map(Some).collect() };
    for (way, io_threads) in WAYS.into_iter().zip(io_threads) {
        for protocol in &protocols {
            let reached = Reached::start(way, io_threads);
            let said = succeeds(
                Command::new(program)
                    .args(first)
                    .arg(&reached.port)
                    .args(protocol)
                    .args(reached.certificates()),
            );
            assert_eq!(said.trim(), "all is well", "{way:?} RESP{protocol:?}");
            reached.must_be_well();
        }
    }
}

fn converses_in_python(name: &str, io_threads: [&str; 3], protocols: &[&str]) {
    converses(&from_make("OCHRE_TEST_PYTHON"), &[&script(name)], io_threads, protocols);
}

fn converses_in_node(name: &str, io_threads: [&str; 3], protocols: &[&str]) {
    let modules = from_make("OCHRE_TEST_NODE_MODULES");
    converses("node", &[&script(name), &modules], io_threads, protocols);
}

#[test]
fn redis_py_is_at_home() {
    converses_in_python("conversation.py", ["1", "2", "3"], &["2", "3"]);
}

#[test]
fn ioredis_is_at_home() {
    converses_in_node("conversation.mjs", ["2", "1", "3"], &[]);
}

#[test]
fn node_redis_is_at_home() {
    converses_in_node("node-redis.mjs", ["1", "2", "3"], &["2", "3"]);
}

/// The scripts of redis-py's Lock, Celery and RQ.
#[test]
fn queues_of_python_run_their_scripts() {
    converses_in_python("queues.py", ["1", "2", "3"], &[]);
}

/// The scripts of BullMQ, rate-limiter-flexible, Bottleneck and ioredis's `defineCommand`.
#[test]
fn queues_of_node_run_their_scripts() {
    converses_in_node("queues.mjs", ["1", "2", "3"], &[]);
}

#[test]
fn redis_cli_talks_at_a_terminal() {
    for way in WAYS {
        let reached = Reached::start(way, "1");
        let said = succeeds(Command::new("python3").arg(script("terminal.py")).args(reached.cli_args()));
        assert_eq!(said.trim(), "all is well", "{way:?}");
        reached.must_be_well();
    }
}

#[test]
fn redis_benchmark_runs_without_an_error() {
    // What redis-benchmark calls the tests, and how many lines of figures it prints for them.
    let tests = "ping,set,get,incr,lpush,rpush,lpop,rpop,mset,lrange";
    let lines = 15;
    for (way, io_threads) in WAYS.into_iter().zip(["1", "1", "2"]) {
        let reached = Reached::start(way, io_threads);
        for pipeline in ["1", "16"] {
            let said = succeeds(
                Command::new("redis-benchmark")
                    .args(["-t", tests, "-n", "2000", "-q", "-P", pipeline])
                    .args(reached.cli_args()),
            );
            // Progress is printed over itself, with carriage returns.
            let figures = said.lines().filter(|line| line.contains("requests per second")).count();
            assert_eq!(figures, lines, "{way:?}: {said}");
            assert!(!said.to_ascii_lowercase().contains("error"), "{way:?}: {said}");
        }
        let stats = reached.server.client().run("INFO errorstats").text();
        assert!(!stats.contains("errorstat_"), "{way:?}: {stats}");
        reached.must_be_well();
    }
}

#[test]
fn a_long_first_request_is_no_stranger_s() {
    // It once arrived before the connection knew that no password is asked for, and was taken for a stranger's.
    for io_threads in ["1", "2"] {
        let reached = Reached::start(Way::Plain, io_threads);
        let words: Vec<String> =
            std::iter::once("MSET".to_owned()).chain((0..40).map(|i| i.to_string())).collect();
        for _ in 0..200 {
            assert_eq!(reached.server.client().call(&words), "+OK\r\n");
        }
        reached.must_be_well();
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    let reached = Reached::start(Way::TlsWithCertificate, "1");
    let ca = certificate("ca.crt");
    let output = Command::new("redis-cli")
        .args(["-p", &reached.port, "--tls", "--cacert", &ca, "PING"])
        .output()
        .expect("redis-cli can be executed");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("PONG"), "{output:?}");
    // Nor does a certificate help that nobody known has signed.
    let stranger = tempfile::tempdir().expect("a temporary folder");
    let made = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../certs/make-certs.sh"))
        .arg(stranger.path())
        .output()
        .expect("make-certs.sh can be executed");
    assert!(made.status.success());
    let output = Command::new("redis-cli")
        .args(["-p", &reached.port, "--tls", "--cacert", &ca, "--cert"])
        .arg(stranger.path().join("client.crt"))
        .arg("--key")
        .arg(stranger.path().join("client.key"))
        .arg("PING")
        .output()
        .expect("redis-cli can be executed");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("PONG"), "{output:?}");
    assert_eq!(reached.server.client().run("PING"), "+PONG\r\n");
    reached.must_be_well();
}
