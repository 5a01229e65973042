//! `config/ochre.conf`, written from the table, so that it cannot disagree with the server.
//!
//! Every directive that is not hidden appears with its documentation and its default, commented out. The few lines
//! that are not comments are what Redis's packages set: listen on this machine only.

use std::fmt::Write;

use common::config::syntax::push_quoted;

use super::directive::{Directive, Honoured};
use super::table;

/// Columns that the text is wrapped to.
const WIDTH: usize = 100;

/// Directives that the sample sets, since the server's own default is not what an installation wants.
const ACTIVE: &[(&str, &str)] = &[("bind", "127.0.0.1 -::1")];

const HEADER: &str = "\
# Configuration of ochre-server.
#
# One directive per line: its name, then its arguments, quoted if they hold blanks. This is the syntax of redis.conf, and
# a redis.conf works here as it is. Everything below shows the default; remove the '#' to change it.
#
# Amounts of memory: 1k = 1000, 1kb = 1024 bytes, likewise m, mb, g, gb, in any case.
#
# 'include <path>' reads another file at that place; wildcards are allowed. Later lines win, the environment
# (OCHRE_PORT=7777 for 'port 7777') wins over files, the command line (--port 7777) over everything.
#
# Written from the server's table of directives by `OCHRE_BLESS=1 cargo test -p ochre-server sample`.
";

/// The whole file.
pub fn render() -> String {
    let mut text = HEADER.to_owned();
    for section in table::SECTIONS {
        let _ = write!(text, "\n{}\n# {}\n{0}\n", "#".repeat(WIDTH), section.title);
        for directive in section.directives.iter().filter(|d| !d.hidden) {
            render_directive(&mut text, directive);
        }
    }
    text
}

fn render_directive(text: &mut String, directive: &Directive) {
    text.push('\n');
    for line in wrap(directive.doc) {
        let _ = writeln!(text, "# {line}");
    }
    for alias in [directive.alias, directive.also].into_iter().flatten() {
        let _ = writeln!(text, "# Also known as {alias}.");
    }
    match directive.honoured {
        Honoured::Yes => {}
        Honoured::NotYet => text.push_str("# Known, but not honoured yet.\n"),
        Honoured::Refused(reason) => {
            let _ = writeln!(text, "# Only the default is accepted: {reason}.");
        }
    }
    match ACTIVE.iter().find(|(name, _)| *name == directive.name) {
        Some((name, value)) => {
            let _ = writeln!(text, "{name} {value}");
        }
        None => {
            let _ = writeln!(text, "# {} {}", directive.name, default_text(directive));
        }
    }
}

fn default_text(directive: &Directive) -> String {
    let value = directive.print(&directive.default());
    let is_one_word = !directive.takes_many() && value.contains(&b' ');
    if !value.is_empty() && !is_one_word {
        return String::from_utf8_lossy(&value).into_owned();
    }
    let mut quoted = Vec::new();
    push_quoted(&mut quoted, &value);
    String::from_utf8_lossy(&quoted).into_owned()
}

fn wrap(doc: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in doc.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH - 2 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::command_line::Run;
    use crate::config::load::load;

    #[test]
    fn sample_file_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/ochre.conf");
        if std::env::var_os("OCHRE_BLESS").is_some() {
            std::fs::write(path, render()).unwrap();
        }
        let on_disk = std::fs::read_to_string(path).unwrap_or_default();
        assert!(on_disk == render(), "run with OCHRE_BLESS=1 to write {path} again");
    }

    #[test]
    fn sample_loads_with_and_without_comments() {
        let check = |text: String| {
            let run = Run { file: None, stdin: true, options: Vec::new() };
            let config = load(&run, &|_| false, [], &mut text.as_bytes()).unwrap().config;
            for (name, value) in config.get(&[b"*"]) {
                let default = Config::default().get(&[name.as_bytes()])[0].1.clone();
                let is_active = ACTIVE.iter().any(|(active, _)| *active == name) || name == "dir";
                assert!(value == default || is_active, "{name}");
            }
        };
        check(render());
        let settable = table::all().filter(|d| !matches!(d.name, "dir" | "replicaof"));
        check(settable.map(|d| format!("{} {}\n", d.name, default_text(d))).collect());
    }
}
