//! One run of redis-benchmark against one server, and what it and the kernel say about it.

use crate::Result;
use crate::process::Server;
use std::process::Command;
use std::time::Duration;

/// What redis-benchmark sends.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    /// One of its own tests, by the name that `-t` takes.
    Test(&'static str),
    /// A command of ours, in its syntax (`__rand_int__` is a random number).
    Command(&'static [&'static str]),
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What to send.
    pub traffic: Traffic,
    /// Requests in flight per connection.
    pub pipeline: u32,
    /// Requests in total.
    pub requests: u64,
    /// Connections.
    pub clients: u32,
    /// Bytes of the values that its own tests send.
    pub value_bytes: u32,
    /// Each `__rand_int__` is a number below this.
    pub random_below: u64,
    /// Core for redis-benchmark, None to let it roam.
    pub core: Option<usize>,
}

/// Keys, fields or members named by random numbers below this, unless the workload says otherwise.
pub const KEYS: u64 = 1_000_000;

/// Figures of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests per second.
    pub rps: f64,
    /// Median latency as redis-benchmark sees it, milliseconds (resolution 8 µs).
    pub p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub p99_ms: f64,
    /// 99.9th percentile: its first line at or above 99.9 %, milliseconds.
    pub p999_ms: f64,
    /// Processor time of the whole server process per request, user and system, microseconds.
    pub cpu_us: f64,
}

impl Load {
    /// Runs it. The server's processor time includes connecting and closing, which is the same for all.
    pub fn run(&self, server: &Server) -> Result<Figures> {
        let before = server.cpu()?;
        let output = self.command(server.port).output().map_err(|e| format!("redis-benchmark: {e}"))?;
        let cpu = server.cpu()? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("redis-benchmark failed on {}:\n{text}", server.kind.name()).into());
        }
        let mut figures =
            parse(&text).ok_or_else(|| format!("redis-benchmark printed no summary:\n{text}"))?;
        figures.cpu_us = micros(cpu) / self.requests as f64;
        Ok(figures)
    }

    fn command(&self, port: u16) -> Command {
        let mut words = vec!["setpriv".to_owned(), "--pdeathsig".to_owned(), "KILL".to_owned()];
        if let Some(core) = self.core {
            words.extend(["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        }
        words.push("redis-benchmark".to_owned());
        let numbers = [
            ("-p", u64::from(port)),
            ("-c", u64::from(self.clients)),
            ("-n", self.requests),
            ("-r", self.random_below),
            ("-d", u64::from(self.value_bytes)),
            ("-P", u64::from(self.pipeline)),
            ("--precision", 3),
        ];
        for (option, number) in numbers {
            words.extend([option.to_owned(), number.to_string()]);
        }
        match self.traffic {
            Traffic::Test(name) => words.extend(["-t".to_owned(), name.to_owned()]),
            Traffic::Command(command) => words.extend(command.iter().map(ToString::to_string)),
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}

/// Reads the human-readable report: its CSV form leaves out the 99.9th percentile.
fn parse(text: &str) -> Option<Figures> {
    let mut figures = Figures::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some((percentile, rest)) = line.split_once("% <= ") {
            let percentile: f64 = percentile.parse().ok()?;
            let latency: f64 = rest.split(' ').next()?.parse().ok()?;
            if percentile >= 99.9 && figures.p999_ms == 0.0 {
                figures.p999_ms = latency;
            }
        } else if let Some(rest) = line.strip_prefix("throughput summary: ") {
            figures.rps = rest.split(' ').next()?.parse().ok()?;
        } else if line.starts_with("latency summary") {
            lines.next()?; // column titles: avg min p50 p95 p99 max
            let numbers: Vec<f64> = lines.next()?.split_whitespace().filter_map(|n| n.parse().ok()).collect();
            figures.p50_ms = *numbers.get(2)?;
            figures.p99_ms = *numbers.get(4)?;
        }
    }
    (figures.rps > 0.0 && figures.p999_ms > 0.0).then_some(figures)
}

/// The median of each figure by itself.
pub fn medians(runs: &[Figures]) -> Figures {
    let median = |pick: fn(&Figures) -> f64| {
        let mut numbers: Vec<f64> = runs.iter().map(pick).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Figures {
        rps: median(|f| f.rps),
        p50_ms: median(|f| f.p50_ms),
        p99_ms: median(|f| f.p99_ms),
        p999_ms: median(|f| f.p999_ms),
        cpu_us: median(|f| f.cpu_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_report_of_redis_benchmark_7() {
        let text = "====== GET ======\n  100000 requests completed in 0.09 seconds\n\n\
            Latency by percentile distribution:\n0.000% <= 0.127 milliseconds (cumulative count 16)\n\
            99.805% <= 0.887 milliseconds (cumulative count 99808)\n\
            99.902% <= 0.919 milliseconds (cumulative count 99920)\n\
            100.000% <= 0.983 milliseconds (cumulative count 100000)\n\n\
            Cumulative distribution of latencies:\n0.000% <= 0.103 milliseconds (cumulative count 0)\n\
            100.000% <= 1.007 milliseconds (cumulative count 100000)\n\n\
            Summary:\n  throughput summary: 1111111.12 requests per second\n  latency summary (msec):\n\
                  avg       min       p50       p95       p99       max\n\
                0.380     0.120     0.367     0.463     0.615     0.983\n";
        let figures =
            Figures { rps: 1_111_111.12, p50_ms: 0.367, p99_ms: 0.615, p999_ms: 0.919, cpu_us: 0.0 };
        assert_eq!(parse(text), Some(figures));
        assert_eq!(parse("Could not connect to Redis"), None);
    }

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let run = |rps, cpu_us| Figures { rps, cpu_us, ..Figures::default() };
        let middle = medians(&[run(1.0, 9.0), run(3.0, 7.0), run(2.0, 8.0)]);
        assert_eq!(middle, run(2.0, 8.0));
    }
}
