//! DEBUG CLIENT-EVICTION and REPLYBUFFER: what clients hold, and buffers that nobody needs.

use crate::context::Cx;
use crate::lifecycle::Trimming;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use std::fmt::Write;

/// Clients are shown in groups by the power of two that what they hold lies below: the first and the last of them. As in
/// Redis, which keeps its clients in such groups.
const SMALLEST: u32 = 15;
const LARGEST: u32 = 32;

/// How many clients hold about how much, of those that `maxmemory-clients` counts.
pub(super) fn eviction(cx: &mut Cx<'_>) -> CommandResult {
    let Some(held) = cx.server.held_by_clients() else {
        return Err("ERR maxmemory-clients is disabled.".into());
    };
    let mut groups = vec![(0, 0); (LARGEST - SMALLEST + 2) as usize];
    for bytes in held {
        let below = bytes.checked_ilog2().map_or(0, |log| log + 1).clamp(SMALLEST, LARGEST + 1);
        let (total, clients) = &mut groups[(below - SMALLEST) as usize];
        *total += bytes;
        *clients += 1;
    }
    let mut text = String::new();
    for (below, (total, clients)) in (SMALLEST..).zip(groups) {
        let from = if below == SMALLEST { 0 } else { 1_usize << (below - 1) };
        let to = match below > LARGEST {
            true => "+            ".to_owned(),
            false => format!(" - {:10}", (1_usize << below) - 1),
        };
        let _ = writeln!(text, "bucket {from:10}{to}: tot-mem: {total:10}, clients: {clients}");
    }
    cx.reply.verbatim(text.as_bytes());
    Ok(Outcome::Done)
}

/// Redis keeps a buffer per client and makes it smaller in time. Here connections share buffers, and those that nobody
/// needed for a while are freed: that is what can be switched off or made faster.
pub(super) fn reply_buffers(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (option, value) = (args.next().to_ascii_lowercase(), args.next());
    let trimming = &mut cx.server.lifecycle.trimming;
    match option.as_slice() {
        b"resizing" => trimming.is_on = parse_i64(value).is_some_and(|on| on != 0),
        b"peak-reset-time" => {
            trimming.every_ms = match value.to_ascii_lowercase().as_slice() {
                b"never" => None,
                b"reset" => Trimming::default().every_ms,
                ms => Some(parse_i64(ms).ok_or(CommandError::NotAnInteger)?),
            };
        }
        _ => {
            return Err(CommandError::quoting(
                "ERR unknown subcommand or wrong number of arguments for '",
                args.get(1),
                "'. Try DEBUG HELP.",
            ));
        }
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}
