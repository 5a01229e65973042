//! The command line, by `redis-server`'s rules.
//!
//! ```text
//! ochre-server [FILE | -] [--directive value ...]... [-]
//! ```
//!
//! A first argument that does not begin with a dash is the configuration file; a single dash, first or last, means
//! that standard input is appended to it. Everything else is turned into lines that are read after both, so that a
//! mistake on the command line is reported like one in the file. A directive may come as one argument
//! (`"--save 900 1"`), and takes everything up to the next `--`; but directly after a name, `--x` is its value.

use std::path::PathBuf;

use common::config::syntax::{push_quoted, split_args};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print the version.
    Version,
    /// Print the usage.
    Help,
    /// Run as a sentinel: the sentinel's binary takes all arguments over.
    Sentinel,
    /// Run the server.
    Run(Run),
    /// Test so many megabytes of memory.
    TestMemory(usize),
    /// Say how to ask for that.
    TestMemoryUsage,
    /// Look at what slows servers down on this machine.
    CheckSystem,
}

/// Where the configuration of a server comes from, besides the environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The file, as it was written.
    pub file: Option<PathBuf>,
    /// Whether to read standard input too.
    pub stdin: bool,
    /// The remaining arguments as lines of a configuration file.
    pub options: Vec<u8>,
}

/// Reads the arguments behind the program's own name, which decides on sentinel mode too.
pub fn parse(program: &[u8], args: &[Vec<u8>]) -> Invocation {
    let program = program.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let is_called_so = |name: &[u8]| program.windows(name.len()).any(|part| part == name);
    let is_sentinel = is_called_so(b"redis-sentinel")
        || is_called_so(b"ochre-sentinel")
        || args.iter().any(|arg| arg == b"--sentinel");
    let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    // What is asked for first is answered for the sentinel, too.
    match words.as_slice() {
        [b"-v" | b"--version", ..] => Invocation::Version,
        [b"-h" | b"--help", ..] => Invocation::Help,
        [b"--test-memory", megabytes] => Invocation::TestMemory(leading_number(megabytes)),
        [b"--test-memory", ..] => Invocation::TestMemoryUsage,
        [b"--check-system", ..] => Invocation::CheckSystem,
        _ if is_sentinel => Invocation::Sentinel,
        _ => Invocation::Run(parse_run(args)),
    }
}

/// What C's `atoi` makes of a text: its leading digits.
fn leading_number(text: &[u8]) -> usize {
    let digits: String = text.iter().map(|&b| char::from(b)).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn parse_run(args: &[Vec<u8>]) -> Run {
    use std::os::unix::ffi::OsStringExt;
    let mut run = Run::default();
    let mut first = 0;
    if let Some(file) = args.first().filter(|arg| arg.first() != Some(&b'-')) {
        run.file = Some(std::ffi::OsString::from_vec(file.clone()).into());
        first = 1;
    }
    // Directly after a bare name the next argument is its value, even if it begins with dashes.
    let mut name_is_complete = true;
    for (index, arg) in args.iter().enumerate().skip(first) {
        let next = args.get(index + 1);
        if arg == b"-" && (index == 0 || next.is_none()) {
            run.stdin = true;
        } else if let Some(option) = arg.strip_prefix(b"--").filter(|_| name_is_complete) {
            if !run.options.is_empty() {
                run.options.push(b'\n');
            }
            run.options.extend(option);
            run.options.push(b' ');
            name_is_complete = split_args(arg).is_none_or(|words| words.len() != 1);
            // `--save` with nothing behind it is what scripts produce from an empty list.
            if !name_is_complete && arg.eq_ignore_ascii_case(b"--save") {
                let ends_here = next.is_none_or(|next| next.starts_with(b"--"));
                if ends_here {
                    run.options.extend(b"\"\"");
                    name_is_complete = true;
                }
            }
        } else {
            push_quoted(&mut run.options, arg);
            run.options.push(b' ');
            name_is_complete = true;
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &[&str]) -> Vec<Vec<u8>> {
        text.iter().map(|arg| arg.as_bytes().to_vec()).collect()
    }

    #[test]
    fn options_become_lines() {
        let check = |text: &[&str], file: Option<&str>, stdin, options: &str| {
            let want = Run { file: file.map(PathBuf::from), stdin, options: options.as_bytes().to_vec() };
            assert_eq!(parse(b"ochre-server", &args(text)), Invocation::Run(want), "{text:?}");
        };
        check(&[], None, false, "");
        check(&["/etc/x.conf"], Some("/etc/x.conf"), false, "");
        check(&["x.conf", "--port", "7777"], Some("x.conf"), false, "port \"7777\" ");
        check(&["--port", "7777", "--save", "900", "1"], None, false, "port \"7777\" \nsave \"900\" \"1\" ");
        check(&["--save", ""], None, false, "save \"\" ");
        check(&["--save"], None, false, "save \"\"");
        check(&["--save", "--port", "1"], None, false, "save \"\"\nport \"1\" ");
        check(&["--port 7", "--dir", "--x"], None, false, "port 7 \ndir \"--x\" ");
        check(&["-"], None, true, "");
        check(&["x", "--port", "1", "-"], Some("x"), true, "port \"1\" ");
        check(
            &["x", "-", "--port", "1"],
            Some("x"),
            false,
            "\"-\" port \"1\" ".replace(" port", " \nport").as_str(),
        );
    }

    #[test]
    fn other_modes() {
        let check = |program: &str, text: &[&str], want| {
            assert_eq!(parse(program.as_bytes(), &args(text)), want, "{program} {text:?}");
        };
        check("x/ochre-server", &["--version"], Invocation::Version);
        check("ochre-server", &["-h"], Invocation::Help);
        check("ochre-server", &["--test-memory", "64x"], Invocation::TestMemory(64));
        check("ochre-server", &["--test-memory"], Invocation::TestMemoryUsage);
        check("ochre-server", &["--check-system"], Invocation::CheckSystem);
        check("ochre-server", &["x.conf", "--sentinel"], Invocation::Sentinel);
        check("/usr/bin/redis-sentinel", &["x.conf"], Invocation::Sentinel);
        check("redis-sentinel-7", &[], Invocation::Sentinel);
        check("/x-sentinel/ochre-server", &["--sentinel"], Invocation::Sentinel);
        check("redis-sentinel", &["--version"], Invocation::Version);
    }
}
