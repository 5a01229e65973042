//! Keys that expire in the same second, among many that do not: until when are they gone, and how long did clients wait?
//!
//! The keys that expire are chosen at random, so that they lie all over the table, each with one of a thousand
//! milliseconds of one second.

use crate::client::{encode, mix};
use crate::memory::launch;
use crate::process::Server;
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result};
use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Millions of keys unless told otherwise; one in fifty of them expires.
const KEYS: f64 = 50.0;
/// The share of keys that expire.
const SHARE: u64 = 50;
/// All are gone so long after the second in which the last one expired began.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// The longest turn of the actor, microseconds.
const TURN_US: u64 = 2000;
/// Giving the expiries takes a second per million or so; they lie so far ahead, per million.
const AHEAD_PER_MILLION: Duration = Duration::from_secs(10);

/// Runs both servers. Returns whether every target was met.
pub fn run(options: &Options) -> Result<bool> {
    let millions = match options.keys.first() {
        Some(keys) => *keys,
        None if options.quick => KEYS / 10.0,
        None => KEYS,
    };
    let keys = (millions * 1e6) as u64;
    println!("{} keys, {} of them expire in one second; seed {}\n", keys, keys / SHARE, options.seed);
    let mut table = Table::new(&["server", "keys", "expiring", "gone after", "longest turn", "verdict"]);
    let mut good = true;
    for kind in [Kind::Ochre, Kind::Redis] {
        good &= measure(kind, keys, options, &mut table)?;
    }
    table.print();
    Ok(good)
}

fn unix_time() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// `count` different numbers below `keys`.
fn chosen(keys: u64, count: u64, seed: u64) -> Vec<u64> {
    let mut seen = HashSet::with_capacity(count as usize);
    (0..).map(|n| mix(seed ^ mix(n)) % keys).filter(|key| seen.insert(*key)).take(count as usize).collect()
}

fn measure(kind: Kind, keys: u64, options: &Options, table: &mut Table) -> Result<bool> {
    let server = launch(kind, options, &["--enable-debug-command", "yes"])?;
    let mut client = server.client()?;
    client.call(&[b"DEBUG", b"POPULATE", keys.to_string().as_bytes(), b"key", b"32"])?;
    let count = keys / SHARE;
    let expiring = chosen(keys, count, options.seed);
    let ahead = AHEAD_PER_MILLION.mul_f64((count as f64 / 1e6).max(0.5));
    let second = unix_time()? + ahead;
    let first_ms = second.as_secs() * 1000;
    client.load(count, |n, out| {
        let key = format!("key:{}", expiring[n as usize]);
        let at_ms = first_ms + mix(n) % 1000;
        encode(out, &[b"PEXPIREAT", key.as_bytes(), at_ms.to_string().as_bytes()]);
    })?;
    let begin = Duration::from_millis(first_ms);
    let left = begin.checked_sub(unix_time()?).ok_or("giving the expiries took too long for this machine")?;
    // The figure of the longest turn starts anew.
    client.call(&[b"CONFIG", b"RESETSTAT"])?;
    std::thread::sleep(left);
    let (started, waited_for) = (Instant::now(), keys - count);
    let mut longest_wait = Duration::ZERO;
    let gone_after = loop {
        let asked = Instant::now();
        let size = client.call(&[b"DBSIZE"])?.integer()?.cast_unsigned();
        longest_wait = longest_wait.max(asked.elapsed());
        if size <= waited_for {
            break started.elapsed();
        }
        if started.elapsed() > Duration::from_secs(120) {
            return Err(
                format!("{}: {} keys too many after two minutes", kind.name(), size - waited_for).into()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let turn_us = longest_turn(&server)?;
    let met = gone_after <= GONE_WITHIN && turn_us.is_none_or(|us| us <= TURN_US);
    table.row([
        kind.name().to_owned(),
        thousands(keys as f64),
        thousands(count as f64),
        format!("{:.2} s", gone_after.as_secs_f64()),
        match turn_us {
            Some(us) => format!("{us} us"),
            None => format!("(DBSIZE took {} us)", longest_wait.as_micros()),
        },
        match kind {
            Kind::Ochre if met => format!("PASS (<= {} s, <= {TURN_US} us)", GONE_WITHIN.as_secs()),
            Kind::Ochre => format!("FAIL (<= {} s, <= {TURN_US} us)", GONE_WITHIN.as_secs()),
            _ => "-".to_owned(),
        },
    ]);
    Ok(met || kind != Kind::Ochre)
}

fn longest_turn(server: &Server) -> Result<Option<u64>> {
    Ok(server.info("actor_longest_turn_usec")?.map(|text| text.parse()).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_chosen_once() {
        let keys = chosen(1000, 500, 7);
        assert_eq!(keys.len(), 500);
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 500);
        assert!(keys.iter().all(|key| *key < 1000));
    }
}
