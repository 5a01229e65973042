//! Any lines as `CONFIG SET` and `CONFIG GET`: no panic, and what was set can be set again from what is shown.

#![no_main]
#![allow(dead_code, reason = "the loader and the sample file are not used here")]
#![allow(
    unfulfilled_lint_expectations,
    reason = "the server's crate asks for documentation, this one does not"
)]

#[path = "../../src/config/mod.rs"]
mod config;

/// What the module asks of the rest of the server.
mod process {
    pub fn umask() -> u32 {
        0o022
    }
}

use common::config::syntax::{push_quoted, split_args};
use config::{Config, SetBy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut config = Config::default();
    for line in data.split(|&b| b == b'\n') {
        let Some(words) = split_args(line) else { continue };
        let mut quoted = Vec::new();
        for word in &words {
            push_quoted(&mut quoted, word);
            quoted.push(b' ');
        }
        assert!(split_args(&quoted).as_ref() == Some(&words) || words.iter().any(|word| word.contains(&0)));
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let _ = config.get(&words);
        let pairs: Vec<(&[u8], &[u8])> =
            words.as_chunks::<2>().0.iter().map(|[name, value]| (*name, *value)).collect();
        match config.set(&pairs, SetBy::default()) {
            Ok(_) => {
                for (name, _) in pairs {
                    let shown = config.get(&[name]).remove(0).1;
                    config.set(&[(name, &shown)], SetBy::default()).expect("what is shown can be set");
                }
            }
            Err(error) => assert!(!error.to_string().contains(['\r', '\n'])),
        }
    }
});
