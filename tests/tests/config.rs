//! Directives, compared with redis-server: every one of them through file, command line, environment and CONFIG SET.

use ochre_tests::{Server, Settings, binary};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A directive and the values to try, as they stand in a file.
struct Case {
    name: &'static str,
    samples: Vec<&'static str>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let text = include_str!("config/directives.txt");
    for section in text.split("\n[").skip(1) {
        let mut lines = section.lines().skip(1);
        let samples: Vec<&str> = lines.next().expect("samples").split(" | ").collect();
        let names = lines.flat_map(str::split_whitespace);
        cases.extend(names.map(|name| Case { name, samples: samples.clone() }));
    }
    cases
}

/// The value that a file's words stand for, as CONFIG SET takes it; `None` where that takes no such thing.
fn as_argument(sample: &str) -> Option<String> {
    match (sample.strip_prefix('"'), sample.contains(['\\', '\''])) {
        (_, true) => None,
        (Some(rest), _) => rest.strip_suffix('"').filter(|inner| !inner.contains('"')).map(str::to_owned),
        (None, _) => Some(sample.to_owned()),
    }
}

/// What a server says about a configuration that it does not start with.
fn complaint(program: &Path, args: &[&str], env: Option<(&str, &str)>, stdin: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .envs(env)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server can be executed");
    // It may have stopped reading because of its arguments.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    assert!(!output.status.success(), "{args:?} {stdin:?} is accepted");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Tries all cases, on both processors; each gives its disagreements.
fn try_all(cases: &[Case], tried: impl Fn(&Case) -> Vec<String> + Sync) {
    let half = cases.len() / 2;
    let run = |part: &[Case]| part.iter().flat_map(&tried).collect::<Vec<_>>();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let first = scope.spawn(|| run(&cases[..half]));
        let second = run(&cases[half..]);
        [first.join().expect("no panic"), second].concat()
    });
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

fn redis() -> &'static Path {
    Path::new("redis-server")
}

/// Values on which we differ on purpose, or that mean something else where Debian built its server; with the reason.
const START_EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("loglevel", "nothing", "newer servers have this level"),
    ("activedefrag", "yes", "Debian's Redis is built with an allocator that gives no hints"),
    ("activedefrag", "YES", "likewise"),
    ("maxmemory-clients", "18446744073709551615", "an overflow makes it 1 % in Redis"),
    ("maxmemory-clients", "99999999999999999999", "an overflow makes it 1 % in Redis"),
];

fn is_excepted(list: &[(&str, &str, &str)], name: &str, sample: &str) -> bool {
    list.iter().any(|(known, value, _)| *known == name && (*value == sample || *value == "*"))
}

#[test]
fn the_table_names_every_directive() {
    let server = Settings::new().redis().start();
    let reply = server.client().run("CONFIG GET *").to_string();
    let mut theirs: Vec<&str> =
        reply.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).step_by(2).collect();
    theirs.retain(|name| !name.is_empty());
    let cases = cases();
    let missing: Vec<&&str> =
        theirs.iter().filter(|name| !cases.iter().any(|case| case.name == **name)).collect();
    assert!(theirs.len() > 180 && missing.is_empty(), "{missing:?}");
}

/// A line behind the one in question that no server accepts: both stop there if they accept that one, so that
/// neither has to be started.
const STOP: &str = "stop here";

#[test]
fn files_are_read_like_redis_reads_them() {
    let ours = binary("ochre-server");
    try_all(&cases(), |case| {
        let samples = case.samples.iter().filter(|sample| !is_excepted(START_EXCEPTIONS, case.name, sample));
        let mut wrong = Vec::new();
        for sample in samples {
            let text = format!("{} {sample}\n{STOP}\n", case.name);
            let (our, their) =
                (complaint(&ours, &["-"], None, &text), complaint(redis(), &["-"], None, &text));
            if hidden(&our) != hidden(&their) {
                wrong.push(format!("{} {sample}\n   ours:   {our:?}\n   theirs: {their:?}", case.name));
            }
        }
        wrong
    });
}

/// Redis 7.0 lists fewer names where newer servers have more.
fn without_newer_choices(text: &str) -> String {
    [", nothing", ", volatile-lrm, allkeys-lrm"]
        .iter()
        .fold(text.to_owned(), |text, newer| text.replace(newer, ""))
}

/// Passwords are left out of our messages, so the line is left out of both.
fn hidden(complaint: &str) -> String {
    let complaint = &without_newer_choices(complaint);
    let secret = ["requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"];
    let is_secret = |line: &&str| secret.iter().any(|name| line.starts_with(&format!(">>> '{name}")));
    complaint.lines().filter(|line| !is_secret(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn command_lines_are_read_like_redis_reads_them() {
    let ours = binary("ochre-server");
    try_all(&cases(), |case| {
        let mut wrong = Vec::new();
        let option = format!("--{}", case.name);
        // The values are read by the code that reads files; some of each kind will do.
        let samples = case.samples.iter().step_by(3);
        for sample in samples.filter(|sample| !is_excepted(START_EXCEPTIONS, case.name, sample)) {
            let words: Vec<&str> = match sample.strip_prefix('"') {
                Some(_) => vec![sample.trim_matches('"')],
                None => sample.split(' ').collect(),
            };
            let args = [&[option.as_str()], words.as_slice(), &["--stop", "here"]].concat();
            let (our, their) = (complaint(&ours, &args, None, ""), complaint(redis(), &args, None, ""));
            if hidden(&our) != hidden(&their) {
                wrong.push(format!("{args:?}\n   ours:   {our:?}\n   theirs: {their:?}"));
            }
        }
        wrong
    });
}

/// The variable of the environment that sets a directive.
fn variable(name: &str) -> String {
    format!("OCHRE_{}", name.to_uppercase().replace('-', "_"))
}

#[test]
fn the_environment_is_read_like_a_file() {
    let ours = binary("ochre-server");
    try_all(&cases(), |case| {
        let mut wrong = Vec::new();
        for sample in case.samples.iter().step_by(3) {
            let Some(value) = as_argument(sample) else { continue };
            let name = variable(case.name);
            let by_env = complaint(&ours, &["--stop", "here"], Some((&name, &value)), "");
            let by_file = complaint(&ours, &["-"], None, &format!("{} \"{value}\"\n{STOP}\n", case.name));
            let reason = |text: &str| text.lines().last().unwrap_or_default().to_owned();
            let prefix = format!("Environment variable {name}: ");
            let by_env = reason(&by_env);
            if by_env.strip_prefix(&prefix).unwrap_or(&by_env) != reason(&by_file) {
                wrong.push(format!("{name}={value}: {by_env:?}, in a file: {:?}", reason(&by_file)));
            }
        }
        wrong
    });
}

/// Values that CONFIG SET is not asked for, or whose replies differ on purpose.
const SET_EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("loglevel", "nothing", "newer servers have this level"),
    ("activedefrag", "yes", "Debian's Redis is built with an allocator that gives no hints"),
    ("activedefrag", "YES", "likewise"),
    ("maxclients", "*", "Redis searches for minutes for a limit of open files that it can get"),
    ("maxmemory-clients", "18446744073709551615", "an overflow makes it 1 % in Redis"),
    ("maxmemory-clients", "99999999999999999999", "an overflow makes it 1 % in Redis"),
    ("appendonly", "*", "there is no append-only file yet, and it must not be believed"),
    ("client-output-buffer-limit", "normal 1kb 2mb 3 pubsub 1 2 3", "the client that tests would be cut off"),
    ("port", "*", "what can be had differs between two servers on one machine"),
    ("tls-port", "*", "likewise"),
    ("bind", "*", "likewise; networking has tests of its own"),
    ("dir", "*", "it moves the servers out of their folders"),
];

#[test]
fn config_set_says_what_redis_says() {
    let settings = Settings::new().set("enable-protected-configs", "yes");
    let (ours, theirs) = (settings.clone().start(), settings.redis().start());
    let (mut our, mut their) = (ours.client(), theirs.client());
    let mut wrong = Vec::new();
    for case in cases() {
        let was = their.call(&["CONFIG", "GET", case.name]);
        let default = was.to_string().split("\r\n").nth(4).unwrap_or_default().to_owned();
        for sample in case.samples.iter().filter(|sample| !is_excepted(SET_EXCEPTIONS, case.name, sample)) {
            let Some(value) = as_argument(sample) else { continue };
            let mut check = |words: &[&str]| {
                let (a, b) = (our.call(words), their.call(words));
                if without_newer_choices(&a.to_string()) != without_newer_choices(&b.to_string()) {
                    wrong.push(format!("{words:?} after {value:?}\n   ours:   {a:?}\n   theirs: {b:?}"));
                }
            };
            check(&["CONFIG", "SET", case.name, &value]);
            check(&["CONFIG", "GET", case.name]);
        }
        for client in [&mut our, &mut their] {
            client.call(&["CONFIG", "SET", case.name, &default]);
        }
    }
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

/// Directives that a start is not tried with, or whose values differ; with the reason.
const SHOWN_EXCEPTIONS: &[(&str, &str)] = &[
    ("activedefrag", "Debian's Redis is built with an allocator that gives no hints"),
    ("aclfile", "there are no users yet: it is refused"),
    ("appendonly", "there is no append-only file yet: it is refused"),
    ("cluster-enabled", "there is no cluster yet: it is refused"),
    ("replicaof", "this server cannot be a replica yet: it is refused"),
    ("slaveof", "likewise"),
    ("daemonize", "the test watches its child"),
    ("supervised", "upstart's stops the process"),
    ("syslog-enabled", "tests keep to themselves"),
    ("pidfile", "a relative path to somewhere"),
    ("unixsocket", "likewise"),
    ("logfile", "the test reads the output"),
    ("requirepass", "the test has no password"),
    ("tls-port", "there is no certificate"),
    ("tls-replication", "likewise"),
    ("tls-cluster", "likewise"),
    ("io-threads", "as many as the machine allows"),
    ("maxclients", "what fits differs with the time of the test"),
    ("dbfilename", "an empty one is the folder itself, which nobody can load"),
    ("databases", "two billion of them need too much memory"),
    ("tcp-backlog", "it is capped by the kernel"),
    ("bind", "networking has tests of its own"),
    ("port", "each server has its own"),
    ("dir", "each server has its own"),
    ("socket-mark-id", "it takes privileges"),
    ("cluster-port", "it must not collide"),
    ("client-output-buffer-limit", "the test's own client would be cut off"),
    ("timeout", "likewise"),
    ("maxmemory-clients", "likewise"),
    ("repl-backlog-size", "Redis raises a small one only when it is set later"),
];

fn is_not_shown(name: &str) -> bool {
    SHOWN_EXCEPTIONS.iter().any(|(known, _)| *known == name)
}

/// All of CONFIG GET, sorted, as the server shows it.
fn all_values(server: &Server) -> Vec<(String, String)> {
    let text = server.client().run("CONFIG GET *").to_string();
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with(['$'])).skip(1).collect();
    let mut pairs: Vec<_> =
        lines.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    pairs.sort();
    pairs
}

#[test]
fn what_files_say_is_shown() {
    let cases: Vec<Case> = cases().into_iter().filter(|case| !is_not_shown(case.name)).collect();
    let is_good = |name: &str, sample: &str| {
        let text = format!("{name} {sample}\n{STOP}\n");
        complaint(redis(), &["-"], None, &text).contains(STOP) && !is_excepted(START_EXCEPTIONS, name, sample)
    };
    let good: Vec<(&str, Vec<&str>)> = cases
        .iter()
        .map(|case| {
            let samples = case.samples.iter().copied().step_by(2);
            (case.name, samples.filter(|sample| is_good(case.name, sample)).collect())
        })
        .collect();
    // Several values of each directive; one with few repeats them.
    for round in 0..4 {
        let mut text = String::new();
        for (name, samples) in good.iter().filter(|(_, samples)| !samples.is_empty()) {
            text.push_str(&format!("{name} {}\n", samples[round % samples.len()]));
        }
        let by_file = Settings::new().file(&text);
        let their = all_values(&by_file.clone().redis().start());
        let (mut by_line, mut by_env) = (Settings::new(), Settings::new());
        for (name, sample) in text.lines().filter_map(|line| line.split_once(' ')) {
            let Some(value) = as_argument(sample) else { continue };
            by_env = by_env.env(&variable(name), &value);
            by_line = match sample.starts_with('"') {
                true => by_line.set_words(name, &[&value]),
                false => by_line.set_words(name, &sample.split(' ').collect::<Vec<_>>()),
            };
        }
        // What cannot be said there was left out; the command line of all tests names some itself.
        let odd =
            text.lines().filter_map(|line| line.split_once(' ')).filter(|(_, v)| as_argument(v).is_none());
        let odd: Vec<&str> = odd.map(|(name, _)| name).chain(["enable-debug-command", "save"]).collect();
        for (way, settings) in [("file", by_file), ("command line", by_line), ("environment", by_env)] {
            let our = all_values(&settings.start());
            let wrong: Vec<String> = their
                .iter()
                .filter(|(name, _)| !is_not_shown(name) && (way == "file" || !odd.contains(&name.as_str())))
                .filter_map(|(name, value)| {
                    let shown = our.iter().find(|(known, _)| known == name).map(|(_, value)| value);
                    (shown != Some(value)).then(|| format!("{name}: ours {shown:?}, theirs {value:?}"))
                })
                .collect();
            assert!(wrong.is_empty(), "by {way}: {}\n--- of\n{text}", wrong.join("\n"));
        }
    }
}

/// A file, what is set, and what CONFIG REWRITE makes of it.
const REWRITES: &[(&str, &[&str])] = &[
    ("", &[]),
    ("# a comment\n\n\n\nsave 900 1\nsave 300 10\n  timeout   7\n# the end", &["CONFIG SET maxmemory 100mb"]),
    ("slave-priority 7\nhz 10\nhz 12\nhz 14", &["CONFIG SET hz 20", "CONFIG SET replica-priority 8"]),
    (
        "client-output-buffer-limit normal 0 0 0\nclient-output-buffer-limit pubsub 5 5 5",
        &["CONFIG SET client-output-buffer-limit replica\\ 1gb\\ 3kb\\ 9"],
    ),
    (
        "requirepass \"\"\nnotify-keyspace-events \"KEA\"\nloglevel 'notice'\nbad \"quote",
        &[
            "CONFIG SET masterauth a\"b",
            "CONFIG SET latency-tracking-info-percentiles 50",
            "CONFIG SET oom-score-adj-values 1\\ 2\\ 3",
        ],
    ),
    (
        "unknown-to-both 1",
        &[
            "CONFIG SET repl-backlog-size 3mb maxmemory-clients 5% shutdown-on-sigterm now\\ force",
            "CONFIG SET bind 127.0.0.1",
        ],
    ),
];

/// Words separated by blanks, with `\ ` for a blank within.
fn words(line: &str) -> Vec<String> {
    line.replace("\\ ", "\0").split(' ').map(|word| word.replace('\0', " ")).collect()
}

/// The lines up to the signature, and those behind it, sorted.
type Rewritten = (Vec<String>, Vec<String>);

fn rewritten(settings: &Settings, file: &str, sets: &[&str], is_redis: bool) -> Rewritten {
    // What neither server starts with is put into the file when it runs.
    let starts: String =
        file.lines().filter(|line| !line.starts_with(['b', 'u'])).map(|l| format!("{l}\n")).collect();
    let server = settings.clone().file(&starts).start();
    let path = server.dir().join("server.conf");
    std::fs::write(&path, file).expect("the file can be replaced");
    let mut client = server.client();
    for set in sets {
        assert_eq!(client.call(&words(set)), "+OK\r\n", "{set}");
    }
    assert_eq!(client.run("CONFIG REWRITE"), "+OK\r\n");
    let once = std::fs::read_to_string(&path).expect("the file is there");
    assert_eq!(client.run("CONFIG REWRITE"), "+OK\r\n");
    let twice = std::fs::read_to_string(&path).expect("the file is there");
    // Redis adds a blank line for each user.
    assert!(is_redis || twice == once, "rewriting again changes it:\n{once}\n---\n{twice}");
    let (kept, mut added) = match once.split_once("# Generated by CONFIG REWRITE\n") {
        Some((kept, added)) => (kept, added.lines().map(str::to_owned).collect::<Vec<_>>()),
        None => (once.as_str(), Vec::new()),
    };
    // The order of what is added is that of Redis's hash table; each server has its own port, folder and users, and
    // Redis writes the percentiles even if they are the default.
    let own = |line: &String| {
        ["port ", "dir ", "user ", "latency-tracking-info-percentiles 50 99 99.9"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    added.retain(|line| !own(line));
    added.sort();
    (kept.lines().map(str::to_owned).collect(), added)
}

#[test]
fn files_are_rewritten_like_redis_rewrites_them() {
    for (file, sets) in REWRITES {
        let settings = Settings::new().set("enable-protected-configs", "yes");
        let our = rewritten(&settings, file, sets, false);
        let their = rewritten(&settings.clone().redis(), file, sets, true);
        assert_eq!(our, their, "{file:?} {sets:?}");
    }
}

#[test]
fn a_rewritten_file_starts_the_same_server() {
    let server = Settings::new().file("hz 12\n").start();
    let mut client = server.client();
    for (name, value) in [("maxmemory", "123456789"), ("save", "5 6"), ("proc-title-template", "a {port}")] {
        assert_eq!(client.call(&["CONFIG", "SET", name, value]), "+OK\r\n");
    }
    assert_eq!(client.run("CONFIG REWRITE"), "+OK\r\n");
    let file = std::fs::read_to_string(server.dir().join("server.conf")).expect("the file is there");
    let before: Vec<_> = all_values(&server).into_iter().filter(|(name, _)| name != "save").collect();
    drop(client);
    drop(server);
    let text: String =
        file.lines().filter(|line| !line.starts_with("dir ")).map(|l| format!("{l}\n")).collect();
    let again = Settings::new().file(&text).start();
    let own = |(name, _): &(String, String)| !["port", "dir", "save"].contains(&name.as_str());
    let after: Vec<_> = all_values(&again).into_iter().filter(own).collect();
    assert_eq!(after, before.into_iter().filter(own).collect::<Vec<_>>());
}

#[test]
fn rewriting_needs_a_file() {
    for settings in [Settings::new(), Settings::new().redis()] {
        let server = settings.start();
        let reply = server.client().run("CONFIG REWRITE");
        assert_eq!(reply, "-ERR The server is running without a config file\r\n");
    }
}
