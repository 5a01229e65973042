//! Tests of the table, of `CONFIG GET` and of `CONFIG SET`.

use super::*;

/// Names and defaults that Redis 7.0.15 shows.
const REDIS: &str = include_str!("testdata/redis-7.0.15.txt");

/// Directives that Redis 7.0 does not show, hidden ones apart.
const OURS: &[&str] = &[
    "snapshot-buffer-limit",
    "lua-enable-deprecated-api",
    "dir",
    "set-max-listpack-entries",
    "set-max-listpack-value",
    "log-format",
    "log-timestamp-format",
    "hide-user-data-from-log",
    "unixsocketgroup",
    "max-new-connections-per-cycle",
    "max-new-tls-connections-per-cycle",
    "commandlog-large-reply-max-len",
    "commandlog-large-request-max-len",
    "commandlog-reply-larger-than",
    "commandlog-request-larger-than",
    "import-mode",
    "stream-idmp-duration",
    "stream-idmp-maxsize",
];

fn shown(config: &Config, name: &str) -> Option<String> {
    config.get(&[name.as_bytes()]).first().map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

fn set(config: &mut Config, pairs: &[(&str, &str)], by: SetBy) -> Result<Change, String> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set(&pairs, by).map_err(|error| error.to_string())
}

#[test]
fn names_are_unique_lower_case_and_documented() {
    let mut names: Vec<&str> = table::all().flat_map(|d| [Some(d.name), d.alias, d.also]).flatten().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for directive in table::all() {
        assert_eq!(directive.name, directive.name.to_lowercase());
        assert!(directive.doc.len() > 9 && directive.doc.ends_with('.'), "{}", directive.name);
    }
}

#[test]
fn every_directive_of_redis_is_here_with_its_default() {
    let config = Config::default();
    for (name, value) in REDIS.lines().filter_map(|line| line.split_once('=')) {
        // What takes long to free is freed elsewhere unless someone wants it otherwise, as in Valkey 8.
        let value = if name.starts_with("lazyfree-") { "yes" } else { value };
        assert_eq!(shown(&config, name).as_deref(), Some(value), "{name}");
    }
    for (name, _) in config.get(&[b"*"]) {
        let known = REDIS.lines().any(|line| line.split_once('=').is_some_and(|(known, _)| known == name));
        assert!(known || OURS.contains(&name), "{name} is not a directive of Redis");
    }
}

#[test]
fn defaults_are_values_that_could_be_set() {
    for directive in table::all().filter(|d| !matches!(d.name, "dir" | "replicaof")) {
        let text = directive.print(&directive.default());
        let args = match directive.takes_many() {
            true => text.split(|&b| b == b' ').map(<[u8]>::to_vec).collect(),
            false => vec![text],
        };
        assert!(directive.parse(&args).is_ok(), "{}", directive.name);
    }
}

#[test]
fn fields_keep_the_ends_of_their_ranges() {
    for directive in table::all() {
        let Kind::Number { range, .. } = &directive.kind else { continue };
        for value in [range.min, range.max] {
            let mut config = Config::default();
            directive.store(&mut config, Setting::Number(value)).unwrap();
            let got = directive.current(&config);
            let clamped = matches!(directive.name, "hz" | "repl-backlog-size"); // by intention
            assert!(got == Setting::Number(value) || clamped, "{} {value}", directive.name);
        }
    }
}

#[test]
fn get_matches_names_and_patterns() {
    let config = Config::default();
    let check = |patterns: &[&str], want: &[&str]| {
        let patterns: Vec<&[u8]> = patterns.iter().map(|p| p.as_bytes()).collect();
        let names: Vec<&str> = config.get(&patterns).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, want, "{patterns:?}");
    };
    check(&["port"], &["port"]);
    check(&["PoRt"], &["PoRt"]);
    check(&["port", "PORT", "po?t"], &["port"]);
    check(&["slave-priority"], &["slave-priority"]);
    check(&["*-priority"], &["replica-priority", "slave-priority"]);
    check(&["nothing"], &[]);
    check(&["key-load-delay"], &["key-load-delay"]);
    check(&["key-load-dela?"], &[]);
    check(&["SAVE", "tls-po*"], &["SAVE", "tls-port"]);
}

#[test]
fn set_says_what_redis_says() {
    let check = |pairs: &[(&str, &str)], want: &str| {
        let got = set(&mut Config::default(), pairs, SetBy::default()).unwrap_err();
        assert_eq!(got, want, "{pairs:?}");
    };
    let failed = |name: &str, why: &str| {
        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    check(&[("x", "1")], "ERR Unknown option or number of arguments for CONFIG SET - 'x'");
    check(&[("x\r\ny", "1")], "ERR Unknown option or number of arguments for CONFIG SET - 'x  y'");
    check(&[("port", "x")], &failed("port", "argument couldn't be parsed into an integer"));
    check(&[("port", "65536")], &failed("port", "argument must be between 0 and 65535 inclusive"));
    check(&[("Databases", "2")], &failed("Databases", "can't set immutable config"));
    check(&[("dir", "/")], &failed("dir", "can't set protected config"));
    check(&[("hz", "1"), ("HZ", "2")], &failed("HZ", "duplicate parameter"));
    check(&[("hz", "1"), ("maxmemory", "x")], &failed("maxmemory", "argument must be a memory value"));
    check(&[("daemonize", "x")], &failed("daemonize", "can't set immutable config"));
    check(&[("rdbcompression", "x")], &failed("rdbcompression", "argument must be 'yes' or 'no'"));
    check(&[("save", "1")], &failed("save", "Invalid save parameters"));
    check(
        &[("loglevel", "loud")],
        &failed(
            "loglevel",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
    );
    check(
        &[("appendonly", "yes")],
        &failed("appendonly", "the append-only file is not supported yet, and ignoring it would lose data"),
    );
}

#[test]
fn set_changes_all_or_nothing() {
    let mut config = Config::default();
    set(&mut config, &[("port", "1"), ("hz", "x")], SetBy::default()).unwrap_err();
    assert_eq!((config.port, config.hz), (6379, 10));
    let change =
        set(&mut config, &[("port", "1"), ("maxclients", "10000"), ("hz", "20")], SetBy::default()).unwrap();
    assert_eq!(change.apply, [(Apply::Port, "port"), (Apply::Hz, "hz")]);
    assert_eq!((config.port, config.hz, change.previous.port), (1, 20, 6379));
}

#[test]
fn set_reads_several_arguments() {
    let check = |name: &str, value: &str, want: &str| {
        let mut config = Config::default();
        set(&mut config, &[(name, value)], SetBy::default()).unwrap();
        assert_eq!(shown(&config, name).as_deref(), Some(want), "{name} {value:?}");
    };
    check("save", "", "");
    check("save", "900 1 300 10", "900 1 300 10");
    check("bind", "127.0.0.1 ::1", "127.0.0.1 ::1");
    check("shutdown-on-sigint", "now save", "save now");
    check(
        "client-output-buffer-limit",
        "replica 1mb 2mb 3",
        "normal 0 0 0 slave 1048576 2097152 3 pubsub 33554432 8388608 60",
    );
    check("notify-keyspace-events", "KEA", "AKE");
    check("notify-keyspace-events", "Kxn", "xnK");
    check("notify-keyspace-events", "An", "A");
    check("latency-tracking-info-percentiles", "0 99.999 100.0", "0 99.999 100");
    check("maxmemory-clients", "5%", "5%");
    check("maxmemory", "1gb", "1073741824");
    check("oom-score-adj", "relative", "yes");
    check("lua-time-limit", "7", "7");
}

#[test]
fn who_and_when_matter() {
    let local = SetBy { is_local: true, is_loading: false };
    let mut config = Config { enable_protected_configs: Protection::Local, ..Config::default() };
    assert!(set(&mut config, &[("dbfilename", "x.rdb")], SetBy::default()).is_err());
    assert!(set(&mut config, &[("dbfilename", "x.rdb")], local).is_ok());
    let loading = SetBy { is_local: true, is_loading: true };
    let error = set(&mut config, &[("dir", "/")], loading).unwrap_err();
    assert_eq!(error, "LOADING Redis is loading the dataset in memory");
}

#[test]
fn secrets_are_hidden_and_unhonoured_values_noted() {
    let mut config = Config::default();
    let change = set(
        &mut config,
        &[("requirepass", "hush"), ("masterauth", "hush"), ("bind-source-addr", "::1")],
        SetBy::default(),
    );
    let change = change.unwrap();
    assert_eq!(change.warnings, ["masterauth", "bind-source-addr"]);
    assert_eq!(config.warnings().len(), 2);
    assert!(!format!("{config:?} {:?} {change:?}", config.requirepass).contains("hush"));
    assert!(is_sensitive(b"REQUIREPASS") && is_sensitive(b"masteruser") && !is_sensitive(b"port"));
}

#[test]
fn what_tls_does_not_heed_yet_is_noted() {
    let mut config = Config::default();
    let ignored = [
        ("tls-ciphers", "HIGH"),
        ("tls-ciphersuites", "TLS_AES_128_GCM_SHA256"),
        ("tls-prefer-server-ciphers", "yes"),
        ("tls-session-caching", "no"),
        ("tls-session-cache-size", "1"),
        ("tls-session-cache-timeout", "1"),
        ("tls-key-file-pass", "hush"),
    ];
    let change = set(&mut config, &ignored, SetBy::default()).unwrap();
    assert_eq!(change.warnings, ignored.map(|(name, _)| name));
    assert_eq!(config.warnings().len(), ignored.len());
}
