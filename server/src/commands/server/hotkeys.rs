//! HOTKEYS: sessions that find out which keys cost most (see [`crate::hotkeys`]).

use super::{doc, sub};
use crate::context::Cx;
use crate::hotkeys::{Heaviest, Wish};
use crate::server::Ochre;
use common::command::{Args, Arity, Command, CommandError, CommandResult, Flags, Outcome, write_help};
use common::number::parse_i64;
use common::resp::Reply;

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);

/// Keys told when the client does not say, and at the most.
const COUNT: usize = 10;
const MOST: i64 = 64;
/// The longest session, seconds: Redis's limit.
const LONGEST_S: i64 = 1_000_000;
/// The last hash slot; without a cluster keys are in any.
const LAST_SLOT: i64 = 16_383;

/// Subcommands of HOTKEYS.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("get", Arity::Exactly(2), FLAGS, &[], doc("server", "8.6.0", "O(K), K keys told", "", "Tells which keys cost most."), get),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], doc("server", "8.6.1", "O(1)", "", "Lists the subcommands of HOTKEYS."), help),
    sub("reset", Arity::Exactly(2), FLAGS, &[], doc("server", "8.6.0", "O(1)", "", "Forgets a session that is over."), reset),
    sub("start", Arity::AtLeast(2), FLAGS, &[], doc("server", "8.6.0", "O(1)", "METRICS count [CPU] [NET] [COUNT k] [DURATION seconds] [SAMPLE ratio] [SLOTS count slot [slot ...]]", "Begins to look which keys cost most."), start),
    sub("stop", Arity::Exactly(2), FLAGS, &[], doc("server", "8.6.0", "O(1)", "", "Ends a session; what it found is kept."), stop),
];

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "START METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>]",
        "      [SAMPLE <ratio>] [SLOTS <count> <slot> [<slot> ...]]",
        "    Begin to track which keys take most processor time or traffic.",
        "STOP",
        "    Stop tracking. What was found is kept.",
        "GET",
        "    Return the hottest keys of the session that runs or was stopped.",
        "RESET",
        "    Forget a session that was stopped.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "HOTKEYS", LINES);
    Ok(Outcome::Done)
}

fn start(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let wish = parse(args)?;
    if !cx.server.start_hotkeys(wish) {
        return Err("ERR hotkey tracking session already in progress".into());
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn parse(args: &mut Args<'_>) -> Result<Wish, CommandError> {
    if !args.take("METRICS") {
        return Err("ERR METRICS parameter is required".into());
    }
    let (cpu, net) = metrics(args)?;
    let mut wish = Wish { cpu, net, count: COUNT, duration_s: 0, sample: 1 };
    while args.left() > 0 {
        if args.take("COUNT") {
            wish.count = number(args, 1..=MOST, "ERR COUNT must be between 1 and 64")? as usize;
        } else if args.take("DURATION") {
            wish.duration_s = number(args, 1..=LONGEST_S, "ERR DURATION must be between 1 and 1000000")?;
        } else if args.take("SAMPLE") {
            let most = i64::from(i32::MAX);
            wish.sample = number(args, 1..=most, "ERR SAMPLE ratio must be positive")? as u32;
        } else if args.take("SLOTS") {
            return Err("ERR SLOTS parameter cannot be used in non-cluster mode".into());
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(wish)
}

/// Reads `count [CPU] [NET]`. Metrics of later versions are left aside, as long as one of them is known.
fn metrics(args: &mut Args<'_>) -> Result<(bool, bool), CommandError> {
    let count = args.try_next().and_then(parse_i64).filter(|count| *count > 0);
    let count = count.ok_or(CommandError::Text("ERR METRICS count must be positive"))?;
    let (mut cpu, mut net) = (false, false);
    for _ in 0..count {
        let is_option = ["COUNT", "DURATION", "SAMPLE", "SLOTS"]
            .iter()
            .any(|word| args.peek().is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes())));
        let Some(word) = args.try_next().filter(|_| !is_option) else {
            return Err("ERR METRICS count does not match number of metric types provided".into());
        };
        let known = match word.to_ascii_uppercase().as_slice() {
            b"CPU" => &mut cpu,
            b"NET" => &mut net,
            _ => continue,
        };
        if std::mem::replace(known, true) {
            return Err("ERR METRICS names a metric twice".into());
        }
    }
    if args.peek().is_some_and(|next| next.eq_ignore_ascii_case(b"CPU") || next.eq_ignore_ascii_case(b"NET"))
    {
        return Err("ERR METRICS count does not match number of metric types provided".into());
    }
    if !cpu && !net {
        return Err("ERR METRICS no valid metrics passed. Supported: CPU|NET".into());
    }
    Ok((cpu, net))
}

fn number(
    args: &mut Args<'_>,
    within: std::ops::RangeInclusive<i64>,
    error: &'static str,
) -> Result<i64, CommandError> {
    parse_i64(args.expect_next()?).filter(|number| within.contains(number)).ok_or(error.into())
}

/// Nil when no session runs, as clients expect that stop before they begin.
fn stop(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    if cx.server.stop_hotkeys() {
        cx.reply.ok();
    } else {
        cx.reply.null();
    }
    Ok(Outcome::Done)
}

fn reset(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.server.end_overdue_hotkeys();
    if cx.server.hotkeys.is_active() {
        return Err("ERR hotkey tracking session in progress, stop tracking first".into());
    }
    cx.server.hotkeys.reset();
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// One map in an array: a proxy before several servers answers with one of each.
fn get(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.server.end_overdue_hotkeys();
    let (server, reply) = (&*cx.server, &mut cx.reply);
    let Some(session) = server.hotkeys.session() else {
        reply.null();
        return Ok(Outcome::Done);
    };
    let used = server.used_by_hotkeys();
    let wish = session.wish;
    reply.array(1);
    reply.map(7 + 3 * usize::from(wish.cpu) + 2 * usize::from(wish.net));
    field(reply, "tracking-active", i64::from(session.is_active()));
    field(reply, "sample-ratio", i64::from(wish.sample));
    reply.bulk(b"selected-slots");
    reply.array(1);
    reply.array(2);
    reply.integer(0);
    reply.integer(LAST_SLOT);
    field(reply, "all-commands-all-slots-us", (session.all.0 / 1000) as i64);
    field(reply, "net-bytes-all-commands-all-slots", session.all.1 as i64);
    field(reply, "collection-start-time-unix-ms", session.started_ms);
    field(reply, "collection-duration-ms", session.lasted_ms(server.time.now_ms()));
    if wish.cpu {
        field(reply, "total-cpu-time-user-ms", used.cpu_ms.0 as i64);
        field(reply, "total-cpu-time-sys-ms", used.cpu_ms.1 as i64);
    }
    if wish.net {
        field(reply, "total-net-bytes", used.net_bytes as i64);
    }
    list(reply, "by-cpu-time-us", session.by_cpu.as_ref(), 1000);
    list(reply, "by-net-bytes", session.by_net.as_ref(), 1);
    Ok(Outcome::Done)
}

fn field(reply: &mut Reply, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

/// Keys and their shares; a share below one `unit` is told as one, so that nobody takes it for none.
fn list(reply: &mut Reply, name: &str, keys: Option<&Heaviest>, unit: u64) {
    let Some(keys) = keys.map(Heaviest::list) else { return };
    reply.bulk(name.as_bytes());
    reply.array(2 * keys.len());
    for (key, weight) in keys {
        reply.bulk(key);
        reply.integer((weight / unit).max(1) as i64);
    }
}
