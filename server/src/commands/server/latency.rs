//! LATENCY: what the latency monitor sampled, and the histograms of commands.

use super::{doc, sub};
use crate::config::Config;
use crate::context::Cx;
use crate::server::Ochre;
use crate::stats::{Sample, Series};
use common::command::{
    Args, Arity, Command, CommandError, CommandId, CommandResult, Flags, Outcome, write_help,
};
use std::fmt::Write;

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// Width and height of a graph, characters.
const COLUMNS: usize = 80;
const ROWS: usize = 4;

/// Subcommands of LATENCY.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("doctor", Arity::Exactly(2), FLAGS, TIPS, doc("server", "2.8.13", "O(N), N samples or commands", "", "Reports on latency in words."), doctor),
    sub("graph", Arity::Exactly(3), FLAGS, TIPS, doc("server", "2.8.13", "O(N), N samples or commands", "event", "Draws the samples of an event."), graph),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], doc("server", "2.8.13", "O(N), N samples or commands", "", "Lists the subcommands of LATENCY."), help),
    sub("histogram", Arity::AtLeast(2), FLAGS, TIPS, doc("server", "7.0.0", "O(N), N samples or commands", "[command [command ...]]", "Tells how the durations of commands are distributed."), histogram),
    sub("history", Arity::Exactly(3), FLAGS, TIPS, doc("server", "2.8.13", "O(N), N samples or commands", "event", "Lists the samples of an event."), history),
    sub("latest", Arity::Exactly(2), FLAGS, TIPS, doc("server", "2.8.13", "O(N), N samples or commands", "", "Lists the latest sample of each event."), latest),
    sub("reset", Arity::AtLeast(2), FLAGS, &["request_policy:all_nodes", "response_policy:all_succeeded"], doc("server", "2.8.13", "O(N), N samples or commands", "[event [event ...]]", "Forgets samples."), reset),
];

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
        "    If no commands are specified then all histograms are replied.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "LATENCY", LINES);
    Ok(Outcome::Done)
}

fn latest(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let events = cx.server.slow.events();
    cx.reply.array(events.len());
    for (name, series) in events {
        let Some(Sample { at_s, latency_ms }) = series.latest() else {
            unreachable!("a series has a sample")
        };
        cx.reply.array(4);
        cx.reply.bulk(name.as_bytes());
        cx.reply.integer(at_s);
        cx.reply.integer(latency_ms as i64);
        cx.reply.integer(series.max_ms as i64);
    }
    Ok(Outcome::Done)
}

fn series<'s>(cx: &'s Cx<'_>, event: &[u8]) -> Option<&'s Series> {
    cx.server.slow.events().get(std::str::from_utf8(event).ok()?)
}

fn history(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let samples: Vec<Sample> =
        series(cx, args.get(2)).map_or_else(Vec::new, |series| series.samples().collect());
    cx.reply.array(samples.len());
    for Sample { at_s, latency_ms } in samples {
        cx.reply.array(2);
        cx.reply.integer(at_s);
        cx.reply.integer(latency_ms as i64);
    }
    Ok(Outcome::Done)
}

fn reset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let forgotten = if args.left() == 0 {
        cx.server.slow.reset_events()
    } else {
        args.rest().filter(|name| cx.server.slow.reset_event(name)).count()
    };
    cx.reply.integer(forgotten as i64);
    Ok(Outcome::Done)
}

fn graph(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let event = args.get(2);
    let now_s = cx.server.time.now_ms() / 1000;
    let Some(series) = series(cx, event) else {
        return Err(CommandError::quoting("ERR No samples available for event '", event, "'"));
    };
    let text = draw(&String::from_utf8_lossy(event), series, now_s);
    cx.reply.verbatim(text.as_bytes());
    Ok(Outcome::Done)
}

/// The samples as columns of different height, with their age below, written downwards. Lines are as long as there are
/// columns, blanks included, as Redis's are.
fn draw(event: &str, series: &Series, now_s: i64) -> String {
    let samples: Vec<Sample> = series.samples().collect();
    let values = || samples.iter().map(|sample| sample.latency_ms);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_ms);
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    for (number, part) in samples.chunks(COLUMNS).enumerate() {
        if number > 0 {
            text.push('\n');
        }
        draw_part(&mut text, part, (low, high), now_s);
    }
    text
}

fn draw_part(text: &mut String, samples: &[Sample], (low, high): (u64, u64), now_s: i64) {
    // Three characters per row tell thirds of its height.
    const TIPS: [char; 3] = ['_', 'o', '#'];
    let height = |value: u64| {
        let steps = (ROWS * TIPS.len()) as u64;
        ((value - low) * steps / (high - low).max(1)).min(steps - 1) as usize
    };
    for row in (0..ROWS).rev() {
        let column = |sample: &Sample| match height(sample.latency_ms).checked_sub(row * TIPS.len()) {
            None => ' ',
            Some(step) => TIPS.get(step).copied().unwrap_or('|'),
        };
        text.extend(samples.iter().map(column).chain(['\n']));
    }
    text.extend(samples.iter().map(|_| ' ').chain(['\n']));
    let ages: Vec<String> = samples.iter().map(|sample| age(now_s - sample.at_s)).collect();
    for row in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        text.extend(ages.iter().map(|age| age.chars().nth(row).unwrap_or(' ')).chain(['\n']));
    }
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3600 => format!("{}m", seconds / 60),
        seconds @ ..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// What Redis advises, word for word, for the events that happen here: none forks, and there is no append-only file.
mod advice {
    pub(super) const NEVER_ENABLED: &str = "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it. If we weren't in a deep space mission I'd suggest to take a look at https://redis.io/topics/latency-monitor.\n";
    pub(super) const NOTHING_SEEN: &str = "Dave, no latency spike was observed during the lifetime of this Redis instance, not in the slightest bit. I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n";
    pub(super) const HEAD: &str = "Dave, I have observed latency spikes in this Redis instance. You don't mind talking about it, do you Dave?\n\n";
    pub(super) const NONE: &str = "\nWhile there are latency events logged, I'm not able to suggest any easy fix. Please use the Redis community to get some help, providing this report in your help request.\n";
    pub(super) const SOME: &str = "\nI have a few advices for you:\n\n";
    pub(super) const INSPECT_SLOWLOG: &str = "- Check your Slow Log to understand what are the commands you are running which are too slow to execute. Please check https://redis.io/commands/slowlog for more information.\n";
    pub(super) const SCHEDULER: &str = "- The system is slow to execute Redis code paths not containing system calls. This usually means the system does not provide Redis CPU time to run for long periods. You should try to:\n  1) Lower the system load.\n  2) Use a computer / VM just for Redis if you are running other software in the same system.\n  3) Check if you have a \"noisy neighbour\" problem.\n  4) Check with 'redis-cli --intrinsic-latency 100' what is the intrinsic latency in your system.\n  5) Check if the problem is allocator-related by recompiling Redis with MALLOC=libc, if you are using Jemalloc. However this may create fragmentation problems.\n";
    pub(super) const HZ: &str = "- In order to make the Redis keys expiring process more incremental, try to set the 'hz' configuration parameter to 100 using 'CONFIG SET hz 100'.\n";
    pub(super) const LARGE_OBJECTS: &str = "- Deleting, expiring or evicting (because of maxmemory policy) large objects is a blocking operation. If you have very large objects that are often deleted, expired, or evicted, try to fragment those objects into multiple smaller objects.\n";
    pub(super) const MASS_EVICTION: &str = "- Sudden changes to the 'maxmemory' setting via 'CONFIG SET', or allocation of large objects via sets or sorted sets intersections, STORE option of SORT, Redis Cluster large keys migrations (RESTORE command), may create sudden memory pressure forcing the server to block trying to evict keys. \n";
    pub(super) const HUGE_PAGES: &str = "- I detected a non zero amount of anonymous huge pages used by your process. This creates very serious latency events in different conditions, especially when Redis is persisting on disk. To disable THP support use the command 'echo never > /sys/kernel/mm/transparent_hugepage/enabled', make sure to also add it into /etc/rc.local so that the command will be executed again after a reboot. Note that even if you have already disabled THP, you still need to restart the Redis process to get rid of the huge pages already created.\n";

    pub(super) fn enable_slowlog(threshold_us: u64) -> String {
        format!(
            "- There are latency issues with potentially slow commands you are using. Try to enable the Slow Log Redis feature using the command 'CONFIG SET slowlog-log-slower-than {threshold_us}'. If the Slow log is disabled Redis is not able to log slow commands execution for you.\n"
        )
    }

    pub(super) fn tune_slowlog(threshold_us: u64) -> String {
        format!(
            "- Your current Slow Log configuration only logs events that are slower than your configured latency monitor threshold. Please use 'CONFIG SET slowlog-log-slower-than {threshold_us}'.\n"
        )
    }
}

fn doctor(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let events = cx.server.slow.events();
    let mut text = String::new();
    if events.is_empty() && !cx.server.slow.monitors() {
        text.push_str(advice::NEVER_ENABLED);
        cx.reply.verbatim(text.as_bytes());
        return Ok(Outcome::Done);
    }
    let now_s = cx.server.time.now_ms() / 1000;
    for (index, (name, series)) in events.iter().enumerate() {
        if index == 0 {
            text.push_str(advice::HEAD);
        }
        describe(&mut text, index + 1, name, series, now_s);
    }
    let has = |event: &str| events.contains_key(event);
    let uses_huge_pages = crate::process::huge_page_bytes() > 0;
    let is_advised = uses_huge_pages
        || ["command", "fast-command", "expire-cycle", "eviction-del", "eviction-cycle"].into_iter().any(has);
    match (events.is_empty(), is_advised) {
        (true, false) => text.push_str(advice::NOTHING_SEEN),
        (false, false) => text.push_str(advice::NONE),
        (_, true) => {
            text.push_str(advice::SOME);
            advise(&mut text, &cx.server.config, has, uses_huge_pages);
        }
    }
    cx.reply.verbatim(text.as_bytes());
    Ok(Outcome::Done)
}

/// A line on an event.
fn describe(text: &mut String, number: usize, name: &str, series: &Series, now_s: i64) {
    let count = series.samples().len() as u64;
    let mean = |total: u64| total / count.max(1);
    let average = mean(series.samples().map(|sample| sample.latency_ms).sum());
    let deviation = mean(series.samples().map(|sample| sample.latency_ms.abs_diff(average)).sum());
    let first_s = series.samples().next().map_or(now_s, |sample| sample.at_s);
    let period_s = (now_s - first_s).max(1) as f64 / count.max(1) as f64;
    let _ = writeln!(
        text,
        "{number}. {name}: {count} latency spikes (average {average}ms, mean deviation {deviation}ms, period {period_s:.2} sec). Worst all time event {}ms.",
        series.max_ms,
    );
}

/// What to do about the events that were seen, in Redis's order.
fn advise(text: &mut String, config: &Config, has: impl Fn(&str) -> bool, uses_huge_pages: bool) {
    let threshold_ms = config.latency_monitor_threshold;
    let log_us = config.slowlog_log_slower_than;
    if has("command") {
        if log_us < 0 {
            text.push_str(&advice::enable_slowlog(threshold_ms.wrapping_mul(1000)));
        } else if log_us / 1000 > threshold_ms.cast_signed() {
            text.push_str(&advice::tune_slowlog(threshold_ms.wrapping_mul(1000)));
        }
        text.push_str(advice::INSPECT_SLOWLOG);
    }
    let advices = [
        (has("fast-command"), advice::SCHEDULER),
        (has("expire-cycle") && config.hz < 100, advice::HZ),
        (has("command") || has("expire-cycle") || has("eviction-del"), advice::LARGE_OBJECTS),
        (has("eviction-cycle"), advice::MASS_EVICTION),
        (uses_huge_pages, advice::HUGE_PAGES),
    ];
    advices.iter().filter(|(holds, _)| *holds).for_each(|(_, words)| text.push_str(words));
}

fn histogram(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let table = cx.server.table;
    let wanted: Vec<CommandId> = if args.left() == 0 {
        table.all().collect()
    } else {
        args.rest().flat_map(|name| with_subcommands(cx, name)).collect()
    };
    let latency = |id: &CommandId| &cx.server.stats.commands[id.index()].latency;
    let wanted: Vec<CommandId> = wanted.into_iter().filter(|id| latency(id).count() > 0).collect();
    cx.reply.map(wanted.len());
    for id in &wanted {
        let bounds = latency(id).cumulative();
        cx.reply.bulk(table.full_name(*id).as_bytes());
        cx.reply.map(2);
        cx.reply.bulk(b"calls");
        cx.reply.integer(latency(id).count() as i64);
        cx.reply.bulk(b"histogram_usec");
        cx.reply.map(bounds.len());
        for (bound_us, count) in bounds {
            cx.reply.integer(bound_us as i64);
            cx.reply.integer(count as i64);
        }
    }
    Ok(Outcome::Done)
}

/// The command of a name, and its subcommands.
fn with_subcommands(cx: &Cx<'_>, name: &[u8]) -> Vec<CommandId> {
    let table = cx.server.table;
    let Some(id) = table.find_full(name) else { return Vec::new() };
    let container = format!("{}|", table.full_name(id));
    let parts = table.all().filter(|part| table.full_name(*part).starts_with(&container));
    std::iter::once(id).chain(parts).collect()
}
