//! MONITOR: clients that are shown every command.
//!
//! A command is shown when it is over, so that EXEC follows what it ran; a script is shown before its commands. A line is
//! written once, however many look on. Whoever looks on can't use keys any more, as in Redis.

use crate::context::{Caller, Cx};
use crate::server::Server;
use crate::stats::secrets;
use bytes::Bytes;
use common::clients::Slot;
use common::command::{Args, Command, CommandResult, Flags, Outcome};
use std::io::Write;

/// Who looks on, in the order in which they came.
#[derive(Debug, Default)]
pub struct Monitors(Vec<Slot>);

impl Monitors {
    /// Whether nobody looks on.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// MONITOR itself.
pub fn monitor(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    if cx.caller != Caller::Client {
        return Err("ERR MONITOR isn't allowed for DENY BLOCKING client".into());
    }
    let slot = cx.slot;
    let session = cx.session();
    if session.replica.is_some() || session.is_monitor {
        return Ok(Outcome::Done); // whose replies would get lost among the lines
    }
    session.is_monitor = true;
    cx.server.monitors.0.push(slot);
    cx.server.follow_observers();
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// Shows a command that a client, EXEC or a script ran.
pub fn show<D: common::command::Daemon>(cx: &mut Cx<'_>, command: &Command<D>, args: &Args<'_>) {
    if !command.flags.any(Flags::SKIP_MONITOR.and(Flags::ADMIN)) {
        show_always(cx, args);
    }
}

/// Shows what [`show`] leaves out because it is shown elsewhere: scripts, by their commands.
pub fn show_always(cx: &mut Cx<'_>, args: &Args<'_>) {
    if cx.server.monitors.is_empty() {
        return;
    }
    let mut line = Vec::with_capacity(64 + args.bytes());
    let now_us = cx.server.time.now_us();
    let _ = write!(line, "+{}.{:06} [{} ", now_us / 1_000_000, now_us % 1_000_000, cx.db.0);
    let client = cx.server.clients.get(cx.slot);
    if cx.caller == Caller::Script {
        line.extend_from_slice(b"lua");
    } else if client.and_then(|client| client.link()).is_some_and(|link| link.is_unix()) {
        let path = client.map_or("", |client| client.address());
        line.extend_from_slice(b"unix:");
        line.extend_from_slice(path.strip_suffix(":0").unwrap_or(path).as_bytes());
    } else {
        line.extend_from_slice(client.map_or("", |client| client.address()).as_bytes());
    }
    line.push(b']');
    let is_secret = secrets(args);
    for (index, word) in args.all().enumerate() {
        line.extend_from_slice(b" \"");
        quote(&mut line, if is_secret(index) { b"(redacted)" } else { word });
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    let line = Bytes::from(line);
    for &slot in &cx.server.monitors.0 {
        cx.server.clients.push(slot, &line);
    }
}

/// A word as Redis spells it between quotes.
fn quote(line: &mut Vec<u8>, word: &[u8]) {
    for &byte in word {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

impl Server {
    /// Lets a client look on no more.
    pub fn end_monitoring(&mut self, slot: Slot) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        if std::mem::take(&mut client.ext.is_monitor) {
            self.monitors.0.retain(|monitor| *monitor != slot);
            self.follow_observers();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        let mut line = Vec::new();
        quote(&mut line, b"a b\\\"\n\r\t\x07\x08\x00\x7f\xff~");
        assert_eq!(line, br#"a b\\\"\n\r\t\a\b\x00\x7f\xff~"#);
    }
}
