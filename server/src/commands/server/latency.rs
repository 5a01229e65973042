//! LATENCY: what the latency monitor sampled, and the histograms of commands.

use super::{doc, sub};
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

/// The latest samples as columns of different height, with their age below, written downwards.
fn draw(event: &str, series: &Series, now_s: i64) -> String {
    let samples: Vec<Sample> =
        series.samples().skip(series.samples().len().saturating_sub(COLUMNS)).collect();
    let values = || samples.iter().map(|sample| sample.latency_ms);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_ms);
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    // Three characters per row tell thirds of its height.
    const TIPS: [char; 3] = ['_', 'o', '#'];
    let height = |value: u64| {
        let steps = (ROWS * TIPS.len()) as u64;
        ((value - low) * steps / (high - low).max(1)).min(steps - 1) as usize
    };
    for row in (0..ROWS).rev() {
        let column = |value| match height(value).checked_sub(row * TIPS.len()) {
            None => ' ',
            Some(step) => TIPS.get(step).copied().unwrap_or('|'),
        };
        let line: String = values().map(column).collect();
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    let ages: Vec<String> = samples.iter().map(|sample| age(now_s - sample.at_s)).collect();
    for row in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        let line: String = ages.iter().map(|age| age.chars().nth(row).unwrap_or(' ')).collect();
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3600 => format!("{}m", seconds / 60),
        seconds @ ..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn doctor(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let slow = &cx.server.slow;
    let mut text = String::new();
    if !slow.monitors() {
        text.push_str(
            "Latency monitoring is disabled. Use \"CONFIG SET latency-monitor-threshold <milliseconds>\" to enable it.\n",
        );
    } else if slow.events().is_empty() {
        text.push_str(
            "Nothing took longer than the threshold of the latency monitor since it was enabled or reset.\n",
        );
    } else {
        text.push_str("These events took longer than the threshold of the latency monitor:\n\n");
    }
    for (number, (name, series)) in slow.events().iter().enumerate() {
        let count = series.samples().len() as u64;
        let total: u64 = series.samples().map(|sample| sample.latency_ms).sum();
        let first = series.samples().next().map_or(0, |sample| sample.at_s);
        let period = (cx.server.time.now_ms() / 1000 - first) as f64 / count.max(1) as f64;
        let _ = writeln!(
            text,
            "{}. {name}: {count} latency spikes (average {} ms, period {period:.2} sec). Worst all time event {} ms.",
            number + 1,
            total / count.max(1),
            series.max_ms,
        );
    }
    if slow.events().contains_key("command") {
        text.push_str(
            "\n- Slow commands: SLOWLOG GET lists them; prefer commands that touch few elements at a time.\n",
        );
    }
    if slow.events().contains_key("fast-command") {
        text.push_str(
            "\n- Commands that should be fast were not: the machine may be overloaded, swap, or be a busy virtual one.\n",
        );
    }
    cx.reply.verbatim(text.as_bytes());
    Ok(Outcome::Done)
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
