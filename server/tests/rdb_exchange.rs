//! Snapshots exchanged with a real `redis-server`, both ways.
//!
//! Redis fills itself and saves; our loader reads the file and our writer writes what it saw; a second Redis loads that,
//! checking every packed node in depth, and must report the same digest. Skipped, with a note, where no
//! `redis-server` is installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ochre_server::persistence::rdb::{Info, Loader, RdbSink, RdbValue, Record, Writer};
use store::{Limits, List, NodeView, Typed};

/// How long a server may take to answer its first PING.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A `redis-server` in a folder of its own, killed at the end.
struct Redis {
    process: Child,
    connection: BufReader<TcpStream>,
}

impl Redis {
    fn start(dir: &Path, options: &[&str]) -> Option<Redis> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--enable-debug-command", "yes", "--sanitize-dump-payload", "yes"])
            .arg("--dir")
            .arg(dir)
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let begun = Instant::now();
        let connection = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(connection) => break BufReader::new(connection),
                Err(error) => assert!(begun.elapsed() < START_LIMIT, "redis-server does not start: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Some(Redis { process, connection })
    }

    /// Runs a command; gives the reply's first line or bulk string.
    fn run(&mut self, args: &[&[u8]]) -> String {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend(format!("${}\r\n", arg.len()).as_bytes());
            request.extend(*arg);
            request.extend(b"\r\n");
        }
        self.connection.get_mut().write_all(&request).unwrap();
        let mut line = String::new();
        self.connection.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        assert!(!line.starts_with('-'), "{line}");
        let Some(len) = line.strip_prefix('$').and_then(|len| len.parse::<usize>().ok()) else { return line };
        let mut bulk = vec![0; len + 2];
        self.connection.read_exact(&mut bulk).unwrap();
        String::from_utf8_lossy(&bulk[..len]).into_owned()
    }

    fn words(&mut self, command: &str) -> String {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.run(&args)
    }

    fn digest(&mut self) -> String {
        self.words("DEBUG DIGEST")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Keeps everything in order.
#[derive(Default)]
struct Kept {
    records: Vec<Record>,
    sizes: Vec<(usize, u64, u64)>,
}

impl RdbSink for Kept {
    fn resize_db(&mut self, db: usize, keys: u64, expires: u64) {
        self.sizes.push((db, keys, expires));
    }

    fn library(&mut self, _code: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn key(&mut self, record: Record) -> Result<(), String> {
        self.records.push(record);
        Ok(())
    }
}

fn fill(redis: &mut Redis) {
    let integers =
        [0, 12, 13, -1, 127, 128, -32768, 32768, i64::from(i32::MAX), 1 << 31, 1 << 40, i64::MIN, i64::MAX];
    for n in integers {
        redis.words(&format!("SET int:{n} {n}"));
        redis.words(&format!("RPUSH ints {n} {n} x{n}"));
    }
    redis.run(&[b"SET", b"empty", b""]);
    redis.run(&[b"SET", b"", b"empty key"]);
    redis.run(&[b"SET", b"007", b"007"]);
    redis.run(&[b"SET", b"long", &b"abcde".repeat(50_000)]);
    let every_byte: Vec<u8> = (0..=255).collect();
    redis.run(&[b"SET", &every_byte, &every_byte.repeat(3)]);
    redis.words("SET soon 1 PX 10000000");
    redis.words("SET at x PXAT 4102444800123");
    for n in 0..5000_i64 {
        redis.words(&format!("RPUSH big element-{n} {n} {}", n * 1_000_003));
        redis.words(&format!("SET key:{n} value:{n}"));
        redis.words(&format!("SADD members member-{n} {n}"));
        redis.words(&format!("HSET fields field-{n} {n} {n} value-{n}"));
        redis.words(&format!("SADD numbers:{} {}", n % 20, n * 1_000_003));
        redis.words(&format!("SADD few:{} member-{n}", n % 600));
        redis.words(&format!("HSET record:{} field-{n} value-{n} {n} 1", n % 600));
        redis.words(&format!("ZADD ranks {n}.{n} member-{n} -{n} {n}"));
        redis.words(&format!("ZADD rank:{} {n} member-{n} {n}e-300 {n}", n % 300));
        redis.words(&format!("GEOADD places {}.{n:04} {} place-{n}", n % 180, n % 85));
        redis.words(&format!("PFADD sparse-then-dense element-{n}"));
    }
    redis.words("ZADD edges -inf least inf greatest -0.0 zero 1e308 large 3 3");
    redis.words("PFADD sparse a b c");
    redis.words("SETBIT bits 70001 1");
    fill_streams(redis);
    redis.words("EXPIRE big 100000");
    redis.words("SELECT 9");
    redis.words("DEBUG QUICKLIST-PACKED-THRESHOLD 200B");
    redis.run(&[b"RPUSH", b"plain", b"a", &[b'p'; 500], b"b", &every_byte.repeat(4), b"12"]);
    redis.words("DEBUG QUICKLIST-PACKED-THRESHOLD 0");
    redis.words("RPUSH small only");
}

/// Streams of many nodes and of none, with deleted entries, groups, and entries pending for consumers.
fn fill_streams(redis: &mut Redis) {
    for n in 1..=1000 {
        redis.words(&format!("XADD events {}-{} field {n} other value-{n}", n / 7, 2 * n));
        redis.words(&format!("XADD events {}-{} kind-{} x", n / 7, 2 * n + 1, n % 3));
    }
    redis.words("XDEL events 10-140 10-141 142-2000");
    redis.words("XGROUP CREATE events readers 0");
    redis.words("XGROUP CREATE events later 100-0 ENTRIESREAD 50");
    redis.words("XGROUP CREATECONSUMER events readers idle");
    // Inside of a script, since replies of several lines are not read here.
    for (consumer, count) in [("alice", "40"), ("bob", "5"), ("alice", "1")] {
        let script = b"redis.call('XREADGROUP', 'GROUP', 'readers', ARGV[1], 'COUNT', ARGV[2], 'STREAMS', 'events', '>')";
        redis.run(&[b"EVAL", script, b"0", consumer.as_bytes(), count.as_bytes()]);
    }
    redis.words("XACK events readers 0-2 0-3");
    redis.words("XDEL events 0-4");
    redis.words("XADD emptied 5-5 f v");
    redis.words("XDEL emptied 5-5");
    redis.words("XGROUP CREATE only-a-group g $ MKSTREAM");
}

fn write_again(kept: &Kept, path: &Path, compression: bool, checksum: bool) {
    let mut writer = Writer::new(std::fs::File::create(path).unwrap(), compression, checksum);
    let info = Info {
        redis_version: "7.0.15",
        ctime: 0,
        used_memory: 0,
        replication: None,
        aof_base: false,
        has_expiring_fields: false,
        has_producers: false,
    };
    writer.header(&info).unwrap();
    for &(db, keys, expires) in &kept.sizes {
        writer.select_db(db).unwrap();
        writer.resize_db(keys, expires).unwrap();
        for record in kept.records.iter().filter(|record| record.db == db) {
            write_record(&mut writer, record);
        }
    }
    writer.finish().unwrap();
}

fn write_record(writer: &mut Writer<std::fs::File>, record: &Record) {
    let (key, expire, access) = (&record.key, record.expire_ms, record.access);
    match &record.value {
        RdbValue::String(text) => writer.string(key, expire, access, text).unwrap(),
        RdbValue::Object(object) => writer.object(key, expire, access, object).unwrap(),
    }
}

/// One exchange; the options choose what the first Redis writes.
fn exchange(options: &[&str], compression: bool, checksum: bool) {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut first) = Redis::start(folder.path(), &[&["--dbfilename", "theirs.rdb"], options].concat())
    else {
        eprintln!("skipped: redis-server is not installed");
        return;
    };
    fill(&mut first);
    let want = first.digest();
    first.words("SAVE");

    let path = folder.path().join("theirs.rdb");
    let mut kept = Kept::default();
    let file = std::fs::File::open(&path).unwrap();
    let summary = Loader::new(file, path.to_string_lossy(), true, Limits::default()).load(&mut kept).unwrap();
    assert_eq!(summary.keys, kept.sizes.iter().map(|(_, keys, _)| keys).sum::<u64>());
    let plain = kept.records.iter().filter(
        |record| matches!(&record.value, RdbValue::Object(object) if List::of(object).is_some_and(|list| list.nodes().any(|n| matches!(n, NodeView::Plain(_))))),
    );
    assert_eq!(plain.count(), 1);

    write_again(&kept, &folder.path().join("ours.rdb"), compression, checksum);
    let mut second = Redis::start(folder.path(), &["--dbfilename", "ours.rdb"]).unwrap();
    assert_eq!(second.digest(), want);
    // And once more through the second one's own writer and loader.
    second.words("DEBUG RELOAD");
    assert_eq!(second.digest(), want);
}

#[test]
fn redis_and_ochre_read_each_other() {
    exchange(&[], true, true);
    exchange(&["--rdbcompression", "no"], false, true);
    exchange(&["--rdbchecksum", "no", "--maxmemory-policy", "allkeys-lfu"], true, false);
    exchange(&["--maxmemory-policy", "allkeys-lru"], true, true);
}
