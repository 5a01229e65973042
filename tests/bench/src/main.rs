//! Side-by-side measurements of our release build, Debian's redis-server and a floor.
//!
//! ```text
//! ochre-bench speed [NAME…]     requests per second, latency, processor time per request
//! ochre-bench memory [NAME…]    bytes per key, element of a collection and idle connection
//! ochre-bench snapshot          BGSAVE under writes: exact file, longest turn, extra memory
//! ochre-bench expiry            keys that expire in the same second: until when they are gone, the longest turn
//! ochre-bench fragmentation     how dense memory stays through deletions and other sizes
//! ochre-bench hitrate [POLICY…]  how often a cache at half the data has what is asked for
//! ochre-bench instructions      instructions per request under callgrind
//! ochre-bench floor --port N    the floor itself
//! ```
//!
//! Exit code 1 when a target is missed (`--report-only`: 0), 2 when something could not be measured.
//! Errors are boxed: nobody but the person at the terminal reads them.

mod client;
mod datasets;
mod expiry;
mod floor;
mod fragmentation;
mod hitrate;
mod idle;
mod instructions;
mod load;
mod memory;
mod process;
mod snapshot;
mod speed;
mod table;
mod workloads;

use process::Kind;
use std::path::PathBuf;
use std::process::ExitCode;

/// Any error, with a message for the terminal.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

const USAGE: &str = "\
usage: ochre-bench speed|memory|snapshot|expiry|fragmentation|hitrate|instructions [NAME...] [options]
       ochre-bench floor --port N

  NAME                 only rows whose name contains it; =NAME: only the row of that name
  --ochre PATH         our server (default: ochre-server beside this program)
  --redis PATH         the server to compare with (default /usr/bin/redis-server)
  --ochre-args 'A B'   more arguments for ours
  --report-only        exit code 0 even when a target is missed
  --quick              a sixth of the requests, one round, a fifth of the elements: for a look, not for a verdict
 speed
  --requests N         per run, instead of each row's own number
  --io-threads N       only the comparison with N I/O threads (1: only the pinned one)
 memory
  --keys A,B,...       millions of strings to measure at (default 8,10,12,16; --quick 1,2)
  --redis-keys A,...   the same for Redis (default 1)
  --connections N      idle ones (default 10000)
 snapshot
  --keys N             millions (default 5)
  --rate N             writes per second (default 20000)
  --seed N             of keys and operations
 expiry
  --keys N             millions (default 50; one in fifty expires)
 fragmentation
  --keys N             millions (default 2)
 hitrate
  --keys N             millions (default 0.5)";

/// The command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Rows to run; empty means all.
    pub filters: Vec<String>,
    /// Our server.
    pub ochre: PathBuf,
    /// The server to compare with.
    pub redis: PathBuf,
    /// More arguments for ours, separated by blanks.
    pub ochre_args: String,
    /// Never fail on a missed target.
    pub report_only: bool,
    /// A short form of everything.
    pub quick: bool,
    /// Requests per run of redis-benchmark.
    pub requests: Option<u64>,
    /// Only the table with so many I/O threads.
    pub io_threads: Option<u32>,
    /// Millions of keys.
    pub keys: Vec<f64>,
    /// Millions of keys in Redis.
    pub redis_keys: Vec<f64>,
    /// Idle connections.
    pub connections: usize,
    /// Writes per second.
    pub rate: u64,
    /// Seed of random choices, printed.
    pub seed: u64,
    /// Port of the floor.
    pub port: u16,
}

impl Options {
    fn parse(words: &[String]) -> Result<Options> {
        let ours = std::env::current_exe()?.with_file_name("ochre-server");
        let mut options = Options {
            filters: Vec::new(),
            ochre: ours,
            redis: "/usr/bin/redis-server".into(),
            ochre_args: String::new(),
            report_only: false,
            quick: false,
            requests: None,
            io_threads: None,
            keys: Vec::new(),
            redis_keys: vec![1.0],
            connections: 10_000,
            rate: 20_000,
            seed: 1,
            port: 0,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut argument = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--report-only" => options.report_only = true,
                "--quick" => options.quick = true,
                "--ochre" => options.ochre = argument()?.into(),
                "--redis" => options.redis = argument()?.into(),
                "--ochre-args" => options.ochre_args.clone_from(argument()?),
                "--requests" => options.requests = Some(argument()?.parse()?),
                "--io-threads" => options.io_threads = Some(argument()?.parse()?),
                "--keys" => options.keys = millions(argument()?)?,
                "--redis-keys" => options.redis_keys = millions(argument()?)?,
                "--connections" => options.connections = argument()?.parse()?,
                "--rate" => options.rate = argument()?.parse()?,
                "--seed" => options.seed = argument()?.parse()?,
                "--port" => options.port = argument()?.parse()?,
                option if option.starts_with('-') => return Err(format!("unknown option {option}").into()),
                name => options.filters.push(name.to_owned()),
            }
        }
        Ok(options)
    }

    /// `--ochre-args` as words.
    pub fn extra_args(&self) -> Vec<String> {
        self.ochre_args.split_whitespace().map(str::to_owned).collect()
    }

    /// Should a row of this name run?
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty()
            || self.filters.iter().any(|f| match f.strip_prefix('=') {
                Some(whole) => name == whole,
                None => name.contains(f.as_str()),
            })
    }
}

fn millions(list: &str) -> Result<Vec<f64>> {
    Ok(list.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?)
}

fn run(words: &[String]) -> Result<bool> {
    let (command, rest) = words.split_first().ok_or(USAGE)?;
    let options = Options::parse(rest).map_err(|e| format!("{e}\n\n{USAGE}"))?;
    if command != "floor" {
        process::remove_leftovers()?;
    }
    match command.as_str() {
        "speed" => speed::run(&options),
        "memory" => memory::run(&options),
        "snapshot" => snapshot::run(&options),
        "expiry" => expiry::run(&options),
        "fragmentation" => fragmentation::run(&options),
        "hitrate" => hitrate::run(&options),
        "instructions" => instructions::run(&options).map(|()| true),
        "floor" => floor::run(options.port).map(|()| true),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        other => Err(format!("unknown command {other}\n\n{USAGE}").into()),
    }
    .map(|good| {
        if !good {
            println!("some targets are missed");
        }
        good || options.report_only
    })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("ochre-bench: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_and_names_mix() -> Result<()> {
        let options = parsed("get --quick --requests 100 set --keys 0.5,2 =incr-p1")?;
        assert_eq!(options.filters, ["get", "set", "=incr-p1"]);
        assert!(options.quick && options.wants("get-p16") && !options.wants("incr"));
        assert!(options.wants("incr-p1") && !options.wants("incr-p16"));
        assert_eq!((options.requests, &options.keys[..]), (Some(100), &[0.5, 2.0][..]));
        Ok(())
    }

    #[test]
    fn mistakes_are_named() {
        for line in ["--nonsense", "--requests", "--requests many"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
