//! Starting the program anew in the place of the process that runs.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The words that the process was started with, its own name first.
static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// Keeps the words that the process was started with: the title will be written over them. Relative paths must still mean
/// what they meant to the caller.
pub fn remember() {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    // The process moves into its folder; a configuration file must be found from there, too.
    if let Some(file) = words.get_mut(1).filter(|word| !word.as_encoded_bytes().starts_with(b"-"))
        && let Ok(path) = std::path::absolute(&*file)
    {
        *file = path.into_os_string();
    }
    let _ = WORDS.set(words);
}

/// Whether this process may execute the program.
///
/// # Errors
/// When it may not.
pub fn check(program: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(program, rustix::fs::Access::EXEC_OK)?)
}

/// Replaces the process by one that starts as this one did. All files and sockets close on the way. Returns if that fails.
pub fn execute(program: PathBuf) -> io::Error {
    let mut words = WORDS.get().cloned().unwrap_or_default().into_iter();
    let mut command = Command::new(program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).exec()
}
