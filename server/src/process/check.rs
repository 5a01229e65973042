//! `--test-memory` and `--check-system`: what an operator asks before trusting a machine.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

/// Rounds of a memory test.
const ROUNDS: usize = 50;

/// Words that are compared between two looks at the clock.
const PIECE: usize = 1 << 16;

/// Fills so many megabytes with patterns and reads them back, again and again; the process's exit code.
pub fn memory(megabytes: usize) -> i32 {
    let words = megabytes.saturating_mul(1 << 20) / size_of::<u64>();
    let mut memory: Vec<u64> = Vec::new();
    if memory.try_reserve_exact(words).is_err() {
        say(&format!("Unable to allocate {megabytes} megabytes\n"));
        return 1;
    }
    memory.resize(words, 0);
    for round in 1..=ROUNDS {
        for (name, pattern) in PATTERNS {
            say(&format!("\rRound {round} of {ROUNDS}: {name:<14}"));
            if let Some(index) = first_fault(&mut memory, round as u64, *pattern) {
                say(&format!(
                    "\n*** MEMORY ERROR: a word at {:p} does not hold what was written.\n",
                    &memory[index]
                ));
                return 1;
            }
        }
    }
    say("\n\nYour memory passed this test.\nIf you are still in doubt use memtest86 or memtester.\n");
    0
}

/// What a word holds, by its place and the round.
type Pattern = fn(usize, u64) -> u64;

const PATTERNS: &[(&str, Pattern)] = &[
    ("addresses", |index, _| index as u64),
    ("random", |index, round| scramble(index as u64 ^ round << 48)),
    ("solid", |index, round| if (index as u64 + round).is_multiple_of(2) { 0 } else { u64::MAX }),
    ("checkerboard", |index, round| {
        if (index as u64 + round).is_multiple_of(2) { 0x5555_5555_5555_5555 } else { 0xAAAA_AAAA_AAAA_AAAA }
    }),
];

/// SplitMix64: every bit of the result depends on every bit of the seed.
fn scramble(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn first_fault(memory: &mut [u64], round: u64, pattern: Pattern) -> Option<usize> {
    for (index, word) in memory.iter_mut().enumerate() {
        *word = pattern(index, round);
    }
    // The compiler must not know that it reads what it has just written.
    let memory = black_box(memory);
    memory.chunks(PIECE).enumerate().find_map(|(piece, words)| {
        let start = piece * PIECE;
        words
            .iter()
            .enumerate()
            .find(|(at, word)| **word != pattern(start + at, round))
            .map(|(at, _)| start + at)
    })
}

/// One look; the error is the advice.
type Check = fn() -> Result<(), String>;

/// Looks at what slows servers down; the process's exit code. Overcommit of memory is not among it: nothing forks here.
pub fn system() -> i32 {
    let checks: [(&str, Check); 3] =
        [("slow-clocksource", clock_is_fast), ("xen-clocksource", clock_is_not_xen), ("THP", huge_pages)];
    let mut code = 0;
    for (name, check) in checks {
        say(&format!("[{name}]..."));
        match check() {
            Ok(()) => say("OK\n"),
            Err(warning) => {
                say(&format!("WARNING:\n{warning}\n"));
                code = 1;
            }
        }
    }
    code
}

/// Reading a fast clock needs no system call, so next to no time in the kernel.
fn clock_is_fast() -> Result<(), String> {
    let before = super::cpu_seconds();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(200) {}
    let after = super::cpu_seconds();
    let (user, system) = (after.0 - before.0, after.1 - before.1);
    if system <= (user + system) * 0.1 {
        return Ok(());
    }
    Err(format!(
        "Reading the clock costs {:.0} % of its time in the kernel. The current clock source is '{}'; 'tsc' is faster \
         where it is among those in /sys/devices/system/clocksource/clocksource0/available_clocksource.",
        system / (user + system) * 100.0,
        clock_source()
    ))
}

fn clock_source() -> String {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn clock_is_not_xen() -> Result<(), String> {
    match clock_source().as_str() {
        "xen" => {
            Err("The clock source is 'xen', which is slow. 'tsc' is faster where it is safe to use."
                .to_owned())
        }
        _ => Ok(()),
    }
}

fn huge_pages() -> Result<(), String> {
    match super::kernel::huge_pages_are_on() {
        true => Err("Transparent huge pages are used everywhere, which costs memory and latency. The server switches \
                     them off for itself unless 'disable-thp no' is configured."
            .to_owned()),
        false => Ok(()),
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    // Nobody reads: nothing to do about it.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_memory_has_no_faults() {
        let mut memory = vec![0; PIECE + 5];
        for (name, pattern) in PATTERNS {
            assert_eq!(first_fault(&mut memory, 3, *pattern), None, "{name}");
        }
    }
}
