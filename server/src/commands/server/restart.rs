//! DEBUG RESTART and CRASH-AND-RECOVER: the same program once more, in the same process.

use crate::config::rewrite::{Extent, rewrite_file};
use crate::context::Cx;
use crate::process::restart;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use std::time::Duration;

/// Starts anew, after as many milliseconds as asked for; `gracefully` with configuration and data saved before.
pub(super) fn restart(cx: &mut Cx<'_>, args: &mut Args<'_>, gracefully: bool) -> CommandResult {
    let delay_ms = match args.try_next() {
        Some(word) => parse_i64(word).ok_or(CommandError::NotAnInteger)?.max(0).cast_unsigned(),
        None => 0,
    };
    let reason = prepare(cx, gracefully).err().unwrap_or_else(|| {
        std::thread::sleep(Duration::from_millis(delay_ms));
        let error = restart::execute(cx.server.lifecycle.executable.clone());
        crate::log::os_text(&error)
    });
    tracing::warn!("Can't restart: {reason}");
    if cx.server.lifecycle.shutdown.is_some() {
        // Everything is saved and put away: there is no way back.
        return Ok(Outcome::Done);
    }
    Err("ERR failed to restart the server. Check server logs.".into())
}

fn prepare(cx: &mut Cx<'_>, gracefully: bool) -> Result<(), String> {
    let program = &cx.server.lifecycle.executable;
    if restart::check(program).is_err() {
        return Err(format!("this process has no permissions to execute {}", program.display()));
    }
    if !gracefully {
        return Ok(());
    }
    if let Some(file) = &cx.server.lifecycle.config_file {
        rewrite_file(file, &cx.server.config, Extent::Changes).map_err(|error| {
            format!("configuration rewrite process failed: {}", crate::log::os_text(&error))
        })?;
    }
    if cx.server.prepare_restart() { Ok(()) } else { Err("error preparing for shutdown".to_owned()) }
}
