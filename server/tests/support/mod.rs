//! Servers and connections for tests that need whole processes: ours, and Debian's `redis-server` as the other side.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    Array(Option<Vec<Reply>>),
}

impl Reply {
    pub fn text(&self) -> String {
        match self {
            Reply::Simple(text) | Reply::Error(text) => text.clone(),
            Reply::Integer(n) => n.to_string(),
            Reply::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Bulk(None) | Reply::Array(None) => "nil".to_owned(),
            Reply::Array(Some(items)) => items.iter().map(Reply::text).collect::<Vec<_>>().join(" "),
        }
    }

    pub fn items(self) -> Vec<Reply> {
        match self {
            Reply::Array(Some(items)) => items,
            other => panic!("{other:?} is no array"),
        }
    }

    pub fn bytes(self) -> Vec<u8> {
        match self {
            Reply::Bulk(Some(bytes)) => bytes,
            other => panic!("{other:?} is no bulk string"),
        }
    }
}

/// A connection.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
        Client(BufReader::new(stream))
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("the server reads");
    }

    pub fn send(&mut self, words: &[&[u8]]) {
        let mut request = Vec::new();
        encode(&mut request, words);
        self.send_raw(&request);
    }

    pub fn call(&mut self, words: &[&[u8]]) -> Reply {
        self.send(words);
        self.read()
    }

    /// Runs a command whose words hold no space.
    pub fn run(&mut self, command: &str) -> Reply {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.call(&words)
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the server answers");
        assert!(line.ends_with('\n'), "the connection broke after '{line}'");
        line.trim_end().to_owned()
    }

    pub fn exact(&mut self, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        self.0.read_exact(&mut out).expect("the server answers");
        out
    }

    pub fn read(&mut self) -> Reply {
        let line = self.line();
        let (kind, rest) = line.split_at(1);
        let number = || rest.parse::<i64>().expect("a number follows");
        match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()),
            "$" if number() < 0 => Reply::Bulk(None),
            "$" => {
                let mut bytes = self.exact(number() as usize + 2);
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(Some(bytes))
            }
            "*" if number() < 0 => Reply::Array(None),
            "*" => Reply::Array(Some((0..number()).map(|_| self.read()).collect())),
            _ => panic!("'{line}' is no reply"),
        }
    }

    /// A field of INFO.
    pub fn info(&mut self, field: &str) -> String {
        self.find_info(field).unwrap_or_else(|| panic!("INFO has no {field}"))
    }

    fn find_info(&mut self, field: &str) -> Option<String> {
        let text = self.run("INFO everything").text();
        let prefix = format!("{field}:");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
    }

    /// Waits until a field of INFO is as wanted.
    pub fn wait_for(&mut self, field: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let value = self.find_info(field).unwrap_or_default();
            if wanted(&value) {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "{field} stays {value}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).as_bytes());
        out.extend(*word);
        out.extend(b"\r\n");
    }
}

/// A server process in a folder of its own, killed at the end.
pub struct Server {
    process: Child,
    pub port: u16,
    pub folder: PathBuf,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server at {}", self.port)
    }
}

/// Starts ours.
pub fn ochre(folder: &Path, options: &[&str]) -> Server {
    let debug = ["--enable-debug-command", "yes"];
    let options = [options, &debug].concat();
    start(env!("CARGO_BIN_EXE_ochre-server"), folder, &options).expect("it was just built")
}

/// Starts Redis; `None` with a note where it is not installed.
pub fn redis(folder: &Path, options: &[&str]) -> Option<Server> {
    let server = start("redis-server", folder, &[options, &["--enable-debug-command", "yes"]].concat());
    if server.is_none() {
        eprintln!("skipped: redis-server is not installed");
    }
    server
}

fn start(program: &str, folder: &Path, options: &[&str]) -> Option<Server> {
    std::fs::create_dir_all(folder).expect("folders can be made");
    let port =
        TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it has one").port();
    let log = std::fs::File::create(folder.join("log")).expect("files can be made");
    let process = Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .arg("--dir")
        .arg(folder)
        .args(options)
        .stdout(Stdio::from(log))
        .spawn()
        .ok()?;
    let server = Server { process, port, folder: folder.to_owned() };
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "{program} does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(server)
}

impl Server {
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).expect("there is a log")
    }

    pub fn wait_for_log(&self, text: &str) {
        let begun = Instant::now();
        while !self.log().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "the log never says '{text}':\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its exit code once it has ended.
    pub fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Everything that a server holds: database and key to type, expiry and value.
pub type Dataset = BTreeMap<(usize, Vec<u8>), (String, i64, Vec<u8>)>;

/// Reads everything, key by key.
pub fn dataset(server: &Server) -> Dataset {
    let mut client = server.client();
    let mut all = Dataset::new();
    for db in 0..16 {
        client.run(&format!("SELECT {db}"));
        let keys: Vec<Vec<u8>> = client.run("KEYS *").items().into_iter().map(Reply::bytes).collect();
        for keys in keys.chunks(200) {
            let each = |client: &mut Client, words: &dyn Fn(&[u8], &mut Vec<u8>)| -> Vec<Reply> {
                let mut request = Vec::new();
                keys.iter().for_each(|key| words(key, &mut request));
                client.send_raw(&request);
                keys.iter().map(|_| client.read()).collect()
            };
            let kinds = each(&mut client, &|key, out| encode(out, &[b"TYPE", key]));
            let expires = each(&mut client, &|key, out| encode(out, &[b"PEXPIRETIME", key]));
            let strings = each(&mut client, &|key, out| encode(out, &[b"GET", key]));
            let lists = each(&mut client, &|key, out| encode(out, &[b"LRANGE", key, b"0", b"-1"]));
            // Sets and hashes are listed in each server's own order.
            let sums = each(&mut client, &|key, out| encode(out, &[b"DEBUG", b"DIGEST-VALUE", key]));
            for (at, key) in keys.iter().enumerate() {
                let kind = kinds[at].text();
                let Reply::Integer(expire) = expires[at] else { panic!("no time") };
                let value = match kind.as_str() {
                    "string" => &strings[at],
                    "list" => &lists[at],
                    "set" | "hash" => &sums[at],
                    "none" => continue, // it expired just now
                    other => panic!("a {other}?"),
                };
                all.insert((db, key.clone()), (kind, expire, format!("{value:?}").into_bytes()));
            }
        }
    }
    all
}

/// Fails with the first few differences.
pub fn assert_equal(ours: &Dataset, theirs: &Dataset, what: &str) {
    let text = |entry: Option<&(String, i64, Vec<u8>)>| match entry {
        None => "nothing".to_owned(),
        Some((kind, expire, value)) => {
            let value = String::from_utf8_lossy(value).chars().take(200).collect::<String>();
            format!("{kind} until {expire}: {value}")
        }
    };
    let mut differences = Vec::new();
    for key in ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key))) {
        if ours.get(key) != theirs.get(key) {
            let name = String::from_utf8_lossy(&key.1).into_owned();
            differences.push(format!(
                "db{} {name}: {} / {}",
                key.0,
                text(ours.get(key)),
                text(theirs.get(key))
            ));
        }
    }
    let shown = differences.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{what}: {} differences\n{shown}", differences.len());
}

/// Numbers from a seed, which a test prints.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A random command that changes strings, lists, expiries or databases.
pub fn random_write(random: &mut Random) -> Vec<Vec<u8>> {
    if random.below(3) == 0 {
        return random_collection_write(random);
    }
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is past 1970")
        .as_millis() as u64;
    let string = format!("s{}", random.below(400));
    let other = format!("s{}", random.below(400));
    let list = format!("l{}", random.below(60));
    let number = format!("n{}", random.below(50));
    // From compressible to big, so that lists have plain nodes and strings are shared.
    let len = [3, 3, 20, 100, 100, 1500, 20_000][random.below(7) as usize];
    let letter = char::from(b'a' + random.below(26) as u8);
    let value = format!("{}{}", letter.to_string().repeat(len), random.below(1000));
    let few = random.below(300).to_string();
    let later = (now_ms + 1_000_000 + random.below(1000)).to_string();
    let key = random.pick(&[&string, &list, &number]).to_owned();
    let command = match random.below(58) {
        0..=4 => format!("SET {string} {value}"),
        5 => format!("SET {string} {value} PX {}", random.below(300) + 1),
        6 => format!("SET {string} {value} EX 1000 GET"),
        7 => format!("SET {string} {value} KEEPTTL XX"),
        8 => format!("SET {string} {value} NX PXAT {later}"),
        9 => format!("SETEX {string} 100 {value}"),
        10 => format!("PSETEX {string} {} {value}", random.below(300) + 1),
        11 => format!("SETNX {string} {value}"),
        12 => format!("GETSET {string} {value}"),
        13 => format!("GETDEL {string}"),
        14 => format!("APPEND {string} {few}"),
        15 => format!("SETRANGE {string} {few} xyz"),
        16 => format!("INCR {number}"),
        17 => format!("DECRBY {number} {few}"),
        18 => format!("INCRBYFLOAT {number} 0.1"),
        19 => format!("MSET {string} {value} {other} {few}"),
        20 => format!("MSETNX {string} {value} {other} {few}"),
        21 => format!("DEL {key}"),
        22 => format!("UNLINK {string} {other} {list}"),
        23 => format!("EXPIRE {key} 500"),
        24 => format!("PEXPIRE {key} {few}"),
        25 => format!("PEXPIREAT {key} {later} GT"),
        26 => format!("EXPIRE {key} -1"),
        27 => format!("PERSIST {key}"),
        28..=30 => format!("RPUSH {list} {value} {few} {other}"),
        31..=32 => format!("LPUSH {list} {value}"),
        33 => format!("LPUSHX {list} {few}"),
        34 => format!("RPUSHX {list} {value}"),
        35 => format!("LPOP {list} {}", random.below(4)),
        36 => format!("RPOP {list}"),
        37 => format!("BLPOP {list} l1 0.01"),
        38 => format!("BRPOP l2 {list} 0.01"),
        39 => format!("GET {string}"),
        40 => format!("SELECT {}", random.below(3)),
        41 if random.below(20) == 0 => "SWAPDB 0 1".to_owned(),
        42 if random.below(40) == 0 => "FLUSHDB".to_owned(),
        43 if random.below(100) == 0 => "FLUSHALL".to_owned(),
        44 => format!("GETEX {string} PX {}", random.below(300) + 1),
        45 => format!("GETEX {string} PERSIST"),
        46 => format!("MSETEX 2 {string} {value} {other} {few} EX 500"),
        47 => format!("MSETEX 2 {string} {few} {other} {few} XX KEEPTTL"),
        48 => format!("SET {string} {value} IFNE {few} PX {}", random.below(300) + 1),
        49 => format!("SET {number} {few} IFEQ 7 GET"),
        50 => format!("DELEX {number} IFNE {few}"),
        51 => format!("INCREX {number} BYINT {few} UBOUND 2000 SATURATE EX 500 ENX"),
        52 => format!("INCREX {number} BYFLOAT 0.1 PERSIST"),
        53 => format!("RENAME {string} {other}"),
        54 => format!("RENAMENX {list} l{}", random.below(60)),
        55 => format!("COPY {list} l{} DB {} REPLACE", random.below(60), random.below(3)),
        56 => format!("COPY {string} {other} REPLACE"),
        57 => format!("MOVE {key} {}", random.below(3)),
        _ => format!("SET {number} {few}"),
    };
    command.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// A change of a set or a hash, small or beyond its limits, many of them by chance on the server's side.
fn random_collection_write(random: &mut Random) -> Vec<Vec<u8>> {
    let mut set = || format!("set{}", random.below(40));
    let (set, other, third) = (set(), set(), set());
    let (hash, another) = (format!("h{}", random.below(40)), format!("h{}", random.below(40)));
    let mut member = || match random.below(3) {
        0 => random.below(2000).to_string(),
        1 => format!("m{}", random.below(300)),
        _ => format!("m{}{}", "x".repeat(random.below(90) as usize), random.below(50)),
    };
    let (one, two) = (member(), member());
    let many: Vec<String> = (0..40).map(|_| member()).collect();
    let (many, count) = (many.join(" "), random.below(60));
    let command = match random.below(26) {
        0..=3 => format!("SADD {set} {many}"),
        4 => format!("SADD {set} {one} {two}"),
        5 => format!("SREM {set} {many}"),
        6 => format!("SPOP {set}"),
        7..=8 => format!("SPOP {set} {count}"),
        9 => format!("SPOP {set} 100000"),
        10 => format!("SMOVE {set} {other} {one}"),
        11 => format!("SINTERSTORE {set} {other} {third}"),
        12 => format!("SUNIONSTORE {set} {other} {third}"),
        13 => format!("SDIFFSTORE {set} {other} {third}"),
        14..=17 => format!("HSET {hash} {many}"),
        18 => format!("HMSET {hash} {one} {two}"),
        19 => format!("HSETNX {hash} {one} {two}"),
        20 => format!("HDEL {hash} {many}"),
        21 => format!("HINCRBY {hash} count {count}"),
        22 => format!("HINCRBYFLOAT {hash} sum 0.{count}"),
        23 => format!("COPY {hash} {another} REPLACE"),
        24 => format!("RENAME {set} {other}"),
        _ => format!("DEL {hash} {set}"),
    };
    command.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Sends random writes in pipelines, now and then as a transaction, until `more` says no; their number.
pub fn write_randomly(
    server: &Server,
    seed: u64,
    with_flushall: bool,
    mut more: impl FnMut() -> bool,
) -> u64 {
    let mut client = server.client();
    let mut random = Random(seed);
    let mut count = 0;
    while more() {
        let mut request = Vec::new();
        let mut replies = 0;
        for _ in 0..20 {
            let is_block = random.below(10) == 0;
            let mut commands: Vec<_> = (0..if is_block { 1 + random.below(4) } else { 1 })
                .map(|_| random_write(&mut random))
                .collect();
            if is_block {
                commands.insert(0, vec![b"MULTI".to_vec()]);
                commands.push(vec![b"EXEC".to_vec()]);
            }
            commands.retain(|words| with_flushall || words[0] != b"FLUSHALL");
            for words in &commands {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                encode(&mut request, &words);
            }
            replies += commands.len();
        }
        client.send_raw(&request);
        (0..replies).for_each(|_| drop(client.read()));
        count += replies as u64;
    }
    count
}
