//! One collection of each type with ten million elements: what is O(1) or O(log n) on paper must be short, and so must
//! the end of such a key, a copy of it, and everything that goes on while a snapshot holds it.
//!
//! Each row is a kind of request, sent one by one; the figure is the actor's longest turn meanwhile. A machine with other
//! work stretches some turns, so each row is run several times and the shortest of these longest turns is judged.

use crate::client::{Client, encode, mix};
use crate::memory::launch;
use crate::process::Server;
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result};
use std::time::{Duration, Instant};

/// Millions of elements unless told otherwise.
const ELEMENTS: f64 = 10.0;
/// The longest turn of the actor, microseconds.
const TURN_US: u64 = 1000;
/// What a copy may take, microseconds: it is what a snapshot does with the value.
const CLONE_US: f64 = 100.0;
/// Requests of one kind in a round.
const REQUESTS: u64 = 200;
/// Rounds, of which the best counts.
const ROUNDS: usize = 3;
/// Elements in one request while loading.
const BATCH: u64 = 100;
/// How long a snapshot may take here before the run is given up.
const SAVE_WITHIN: Duration = Duration::from_secs(300);

/// What is done with a type. In a command `N` stands for a number among the elements, `R` for a random one beyond them.
struct Kit {
    name: &'static str,
    /// The command that loads elements, and one element's words in it.
    load: &'static [&'static str],
    element: &'static [&'static str],
    /// Elements in one request, where it is not [`BATCH`].
    batch: u64,
    reads: &'static [&'static str],
    writes: &'static [&'static str],
}

const KITS: &[Kit] = &[
    Kit {
        name: "hash",
        load: &["HSET", "big"],
        element: &["field:N", "value:N"],
        batch: BATCH,
        reads: &[
            "HGET big field:N",
            "HMGET big field:N field:R",
            "HEXISTS big field:N",
            "HLEN big",
            "HSTRLEN big field:N",
            "HRANDFIELD big",
            "HRANDFIELD big 10 WITHVALUES",
            "HSCAN big N COUNT 10",
            "HTTL big FIELDS 1 field:N",
        ],
        writes: &[
            "HSET big field:N other:R",
            "HSET big new:R value",
            "HSETNX big new:R value",
            "HDEL big field:N",
            "HINCRBY big count:N 1",
            "HEXPIRE big 1000 FIELDS 1 field:N",
            "HPERSIST big FIELDS 1 field:N",
        ],
    },
    Kit {
        name: "set",
        load: &["SADD", "big"],
        element: &["member:N"],
        batch: BATCH,
        reads: &[
            "SISMEMBER big member:N",
            "SMISMEMBER big member:N member:R",
            "SCARD big",
            "SRANDMEMBER big",
            "SRANDMEMBER big 10",
            "SSCAN big N COUNT 10",
            "SINTERCARD 2 big small LIMIT 1",
            "SINTER big small",
        ],
        writes: &[
            "SADD big new:R",
            "SREM big member:N",
            "SPOP big",
            "SPOP big 10",
            "SMOVE big small member:N",
        ],
    },
    Kit {
        name: "zset",
        load: &["ZADD", "big"],
        element: &["N", "member:N"],
        batch: BATCH,
        reads: &[
            "ZSCORE big member:N",
            "ZMSCORE big member:N member:R",
            "ZCARD big",
            "ZRANK big member:N",
            "ZREVRANK big member:N WITHSCORE",
            "ZCOUNT big -inf N",
            "ZLEXCOUNT big - +",
            "ZRANGE big N N",
            "ZRANGE big N inf BYSCORE LIMIT 0 10",
            "ZRANGE big inf N BYSCORE REV LIMIT 0 10",
            "ZRANDMEMBER big 10 WITHSCORES",
            "ZSCAN big N COUNT 10",
        ],
        writes: &[
            "ZADD big R new:R",
            "ZADD big R member:N",
            "ZINCRBY big 5 member:N",
            "ZREM big member:N",
            "ZPOPMIN big",
            "ZPOPMAX big 10",
            "ZREMRANGEBYRANK big 0 10",
            "ZREMRANGEBYSCORE big -inf 20",
        ],
    },
    Kit {
        name: "list",
        load: &["RPUSH", "big"],
        element: &["element:N"],
        batch: BATCH,
        reads: &[
            "LLEN big",
            "LINDEX big N",
            "LRANGE big 0 99",
            "LRANGE big -100 -1",
            "LRANGE big N N",
            "LPOS big element:0",
        ],
        writes: &[
            "LPUSH big new:R",
            "RPUSH big new:R",
            "LPOP big",
            "RPOP big 10",
            "LSET big N other:R",
            "LMOVE big big LEFT RIGHT",
            "LTRIM big 1 -2",
        ],
    },
    Kit {
        name: "stream",
        load: &["XADD", "big"],
        element: &["1-N", "field", "value:N"],
        batch: 1,
        reads: &[
            "XLEN big",
            "XRANGE big 1-N + COUNT 10",
            "XREVRANGE big 1-N - COUNT 10",
            "XREAD COUNT 10 STREAMS big 1-N",
            "XINFO STREAM big",
            "XINFO GROUPS big",
            "XPENDING big group",
            "XPENDING big group - + 10",
        ],
        writes: &[
            "XADD big * field value:R",
            "XDEL big 1-N",
            "XTRIM big MINID ~ 1-1000",
            "XREADGROUP GROUP group alice COUNT 10 STREAMS big >",
            "XREADGROUP GROUP group bob COUNT 10 STREAMS big >",
            "XAUTOCLAIM big group bob 0 0 COUNT 10",
            "XACK big group 1-N",
        ],
    },
];

/// Runs every type. Returns whether every target was met.
pub fn run(options: &Options) -> Result<bool> {
    let millions = match options.keys.first() {
        Some(keys) => *keys,
        None if options.quick => ELEMENTS / 5.0,
        None => ELEMENTS,
    };
    let elements = (millions * 1e6) as u64;
    println!(
        "{} elements in each; the longest turn, the best of {ROUNDS} rounds\n",
        thousands(elements as f64)
    );
    let mut good = true;
    for kit in KITS.iter().filter(|kit| options.wants(kit.name)) {
        let mut bench = Bench {
            server: launch(Kind::Ochre, options, &["--appendonly", "no"])?,
            client: None,
            elements,
            seed: options.seed,
            table: Table::new(&["type", "requests", "longest turn", "verdict"]),
            kit,
            good: true,
        };
        bench.run()?;
        bench.table.print();
        println!();
        good &= bench.good;
    }
    Ok(good)
}

/// A word of a command with its number filled in. Names of commands and options end in capitals too.
fn filled(word: &str, among: u64, beyond: u64) -> String {
    match word.strip_suffix(['N', 'R']) {
        Some(head) if head.ends_with(char::is_uppercase) => word.to_owned(),
        Some(head) => format!("{head}{}", if word.ends_with('N') { among } else { beyond }),
        None => word.to_owned(),
    }
}

struct Bench<'a> {
    server: Server,
    client: Option<Client>,
    elements: u64,
    seed: u64,
    table: Table,
    kit: &'a Kit,
    good: bool,
}

impl Bench<'_> {
    fn run(&mut self) -> Result<()> {
        self.client = Some(self.server.client()?);
        self.load()?;
        for command in self.kit.reads.iter().chain(self.kit.writes) {
            self.repeated(command, |bench| (0..REQUESTS).try_for_each(|n| bench.send(command, n)))?;
        }
        self.whole_key()?;
        self.snapshot()?;
        self.last_holder()
    }

    fn client(&mut self) -> Result<&mut Client> {
        self.client.as_mut().ok_or_else(|| "no connection".into())
    }

    fn call(&mut self, line: &str) -> Result<()> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.client()?.call(&words).map(drop)
    }

    fn load(&mut self) -> Result<()> {
        let (kit, elements) = (self.kit, self.elements);
        self.client()?.load(elements / kit.batch, |request, out| {
            let mut words: Vec<String> = kit.load.iter().map(|word| (*word).to_owned()).collect();
            for n in request * kit.batch..(request + 1) * kit.batch {
                words.extend(kit.element.iter().map(|word| word.replace('N', &n.to_string())));
            }
            encode(out, &words.iter().map(String::as_bytes).collect::<Vec<_>>());
        })?;
        match kit.name {
            "stream" => self.call("XGROUP CREATE big group 0"),
            "set" => self.call("SADD small member:1 member:2 member:3 other"),
            _ => Ok(()),
        }
    }

    /// One request, its numbers chosen anew.
    fn send(&mut self, command: &str, n: u64) -> Result<()> {
        self.seed = mix(self.seed ^ n);
        // The last tenth is left to what takes elements away, lest an index lie beyond the end.
        let (among, beyond) = (self.seed % (self.elements / 10 * 9), mix(self.seed) >> 12);
        let line: Vec<String> = command.split(' ').map(|word| filled(word, among, beyond)).collect();
        self.call(&line.join(" "))
    }

    /// What is done with a key whatever is in it. A copy shares its nodes, so the key itself goes last.
    fn whole_key(&mut self) -> Result<()> {
        let write = self.kit.writes[0];
        self.step("COPY big copy REPLACE", |bench| {
            (0..20).try_for_each(|_| bench.call("COPY big copy REPLACE"))
        })?;
        self.copies()?;
        self.repeated("COPY, then writes", |bench| {
            bench.call("COPY big copy REPLACE")?;
            (0..REQUESTS).try_for_each(|n| bench.send(write, n))
        })?;
        // Now most of the copy's nodes are shared and some are its own.
        for (name, end) in [
            ("DEL copy", "DEL copy"),
            ("UNLINK copy", "UNLINK copy"),
            ("SET copy text", "SET copy text"),
            ("RENAME text copy", "RENAME text copy"),
            ("PEXPIRE copy 20", "PEXPIRE copy 20"),
        ] {
            self.repeated(name, |bench| {
                bench.call("SET text x")?;
                bench.call("COPY big copy REPLACE")?;
                (0..REQUESTS).try_for_each(|n| bench.send(write, n))?;
                bench.call("CONFIG RESETSTAT")?;
                bench.call(end)?;
                std::thread::sleep(Duration::from_millis(60));
                bench.call("EXISTS copy")
            })?;
        }
        self.repeated("RENAME big other, and back", |bench| {
            bench.call("RENAME big other")?;
            bench.call("RENAME other big")
        })?;
        for line in ["TYPE big", "OBJECT ENCODING big", "EXPIRE big 100000", "PERSIST big", "TOUCH big"] {
            self.repeated(line, |bench| bench.call(line))?;
        }
        self.repeated("MOVE big 1, and back", |bench| {
            for line in ["MOVE big 1", "SELECT 1", "MOVE big 0", "SELECT 0"] {
                bench.call(line)?;
            }
            Ok(())
        })
    }

    /// What a copy takes, from the server's own count.
    fn copies(&mut self) -> Result<()> {
        let text = self.server.info("cmdstat_copy")?.unwrap_or_default();
        let usec = text.split(',').find_map(|part| part.strip_prefix("usec_per_call="));
        let usec: f64 = usec.ok_or("no statistics of COPY")?.parse()?;
        let met = usec <= CLONE_US;
        self.row("one COPY, on average", &format!("{usec:.1} us"), met, &format!("<= {CLONE_US} us"));
        Ok(())
    }

    /// BGSAVE with writes until it is done.
    fn snapshot(&mut self) -> Result<()> {
        let writes = self.kit.writes;
        self.repeated("BGSAVE and writes", |bench| {
            bench.call("BGSAVE")?;
            let begun = Instant::now();
            let mut n = 0;
            while bench.server.info("rdb_bgsave_in_progress")?.as_deref() == Some("1") {
                if begun.elapsed() > SAVE_WITHIN {
                    return Err("the snapshot takes too long".into());
                }
                for command in writes {
                    n += 1;
                    bench.send(command, n)?;
                }
            }
            Ok(())
        })
    }

    /// The end of a key that shares nothing, so that all of it has to be freed. Each needs the elements anew: another round
    /// only when the target was missed.
    fn last_holder(&mut self) -> Result<()> {
        for end in ["DEL big", "UNLINK big", "SET big text", "PEXPIRE big 20"] {
            let mut best = u64::MAX;
            for _ in 0..ROUNDS {
                self.call("DEL big")?;
                self.load()?;
                best = best.min(self.longest(&mut |bench| {
                    bench.call(end)?;
                    std::thread::sleep(Duration::from_millis(200));
                    bench.call("EXISTS big")
                })?);
                if best <= TURN_US {
                    break;
                }
            }
            self.judge(&format!("{end}, shared by nobody"), best);
        }
        Ok(())
    }

    /// The shortest of several rounds' longest turns.
    fn repeated(&mut self, name: &str, mut round: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let mut best = u64::MAX;
        for _ in 0..ROUNDS {
            best = best.min(self.longest(&mut round)?);
        }
        self.judge(name, best);
        Ok(())
    }

    /// What can be done only once.
    fn step(&mut self, name: &str, mut round: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let longest = self.longest(&mut round)?;
        self.judge(name, longest);
        Ok(())
    }

    fn longest(&mut self, round: &mut impl FnMut(&mut Self) -> Result<()>) -> Result<u64> {
        self.call("CONFIG RESETSTAT")?;
        round(self)?;
        let text = self.server.info("actor_longest_turn_usec")?.ok_or("no figure of the longest turn")?;
        Ok(text.parse()?)
    }

    fn judge(&mut self, name: &str, turn_us: u64) {
        self.row(name, &format!("{turn_us} us"), turn_us <= TURN_US, &format!("<= {TURN_US} us"));
    }

    fn row(&mut self, name: &str, figure: &str, met: bool, target: &str) {
        self.good &= met;
        let verdict = if met { "PASS" } else { "FAIL" };
        self.table.row([
            self.kit.name.to_owned(),
            name.to_owned(),
            figure.to_owned(),
            format!("{verdict} ({target})"),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_filled_in() {
        for (word, expected) in
            [("N", "7"), ("1-N", "1-7"), ("new:R", "new:9"), ("HLEN", "HLEN"), ("big", "big")]
        {
            assert_eq!(filled(word, 7, 9), expected);
        }
    }
}
