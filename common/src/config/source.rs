//! A configuration text, line by line, as `redis-server` walks through it.
//!
//! Lines are handed over one at a time, in order, so that the first mistake is the one reported, with the number and
//! the text of its line. `include` is followed here; `dir` moves the base that later relative paths start from, since
//! Redis changes its working directory on the spot. The process's own directory is left alone: the daemon changes it
//! once, when everything has been read.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::syntax::split_args;
use crate::glob::glob_match;
use crate::version::REDIS_VERSION;

/// Files within files, at most: a file that includes itself must not run out of stack.
const INCLUDE_DEPTH_MAX: usize = 16;

/// One directive as it was written.
#[derive(Debug, Clone)]
pub struct Line {
    /// Counted from one within the text that holds it.
    pub number: usize,
    /// The line, trimmed, for messages.
    pub text: Vec<u8>,
    /// At least the directive's name, in lower case, then its arguments.
    pub args: Vec<Vec<u8>>,
}

/// Why a start must stop; `Display` gives the text for standard error, without a final newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FatalError {
    /// A line is wrong.
    Line {
        /// Counted from one.
        number: usize,
        /// The line as it was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The lines are fine one by one, but not the whole.
    Whole {
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read.
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        cause: String,
    },
}

impl fmt::Display for FatalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FatalError::Line { number, text, reason } => {
                writeln!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***")?;
                writeln!(f, "Reading the configuration file, at line {number}\n>>> '{text}'")?;
                write!(f, "{reason}")
            }
            FatalError::Whole { reason } => {
                write!(f, "\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n{reason}")
            }
            FatalError::Open { path, cause } => {
                write!(f, "Fatal error, can't open config file '{}': {cause}", path.display())
            }
        }
    }
}

impl std::error::Error for FatalError {}

/// What reading a text needs to know besides the text.
pub struct Source<'a> {
    /// Where relative paths start; absolute, moved by each `dir`.
    base: PathBuf,
    /// Receives each directive except `include`; an error is the reason why the line is refused.
    sink: &'a mut dyn FnMut(&Line) -> Result<(), String>,
    /// Whether a directive's values are secrets, so that messages must not repeat the line.
    is_secret: &'a dyn Fn(&[u8]) -> bool,
    depth: usize,
}

impl<'a> Source<'a> {
    /// A reader whose relative paths start at `base`.
    pub fn new(
        base: PathBuf,
        is_secret: &'a dyn Fn(&[u8]) -> bool,
        sink: &'a mut dyn FnMut(&Line) -> Result<(), String>,
    ) -> Self {
        Source { base, sink, is_secret, depth: 0 }
    }

    /// Reads a file, or every file that a name with wildcards stands for, as one text.
    pub fn read_path(&mut self, name: &[u8]) -> Result<(), FatalError> {
        let text = self.load(name)?;
        self.read_text(&text, 1)
    }

    /// The content of a file, or of every file that a name with wildcards stands for (none is fine, one after another
    /// in alphabetical order).
    pub fn load(&self, name: &[u8]) -> Result<Vec<u8>, FatalError> {
        let path = Path::new(OsStr::from_bytes(name));
        if !has_wildcard(name) {
            return read_file(&self.base.join(path));
        }
        let mut text = Vec::new();
        for path in expand_wildcards(&self.base, path) {
            text.extend(read_file(&path)?);
        }
        Ok(text)
    }

    /// Reads a text whose first line has the given number.
    pub fn read_text(&mut self, text: &[u8], first_line: usize) -> Result<(), FatalError> {
        for (index, raw) in text.split(|&b| b == b'\n').enumerate() {
            let number = first_line + index;
            let trimmed = trim_line(raw);
            if trimmed.is_empty() || trimmed[0] == b'#' {
                continue;
            }
            let Some(mut args) = split_args(trimmed) else {
                let reason = "Unbalanced quotes in configuration line".to_owned();
                return Err(self.refuse(number, trimmed, reason));
            };
            if args.is_empty() {
                continue;
            }
            args[0].make_ascii_lowercase();
            self.read_line(Line { number, text: trimmed.to_vec(), args })?;
        }
        Ok(())
    }

    fn read_line(&mut self, mut line: Line) -> Result<(), FatalError> {
        if line.args[0] == b"include" && line.args.len() == 2 {
            return self.include(&line);
        }
        if line.args[0] == b"dir" && line.args.len() == 2 {
            let moved = self.base.join(OsStr::from_bytes(&line.args[1]));
            // An empty path is none, though joining it gives the base.
            let found = if line.args[1].is_empty() { Err(absent()) } else { moved.canonicalize() };
            match found {
                Ok(path) if path.is_dir() => {
                    line.args[1] = path.as_os_str().as_bytes().to_vec();
                    self.base = path;
                }
                Ok(_) => return Err(self.refuse(line.number, &line.text, "Not a directory".to_owned())),
                Err(error) => return Err(self.refuse(line.number, &line.text, os_message(&error))),
            }
        }
        (self.sink)(&line).map_err(|reason| self.refuse(line.number, &line.text, reason))
    }

    fn include(&mut self, line: &Line) -> Result<(), FatalError> {
        if self.depth == INCLUDE_DEPTH_MAX {
            return Err(self.refuse(line.number, &line.text, "Includes are nested too deeply".to_owned()));
        }
        self.depth += 1;
        let result = self.read_path(&line.args[1]);
        self.depth -= 1;
        result
    }

    #[cold]
    fn refuse(&self, number: usize, text: &[u8], reason: String) -> FatalError {
        let name = text.split(|&b| b.is_ascii_whitespace() || b == b'"').next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let text = match (self.is_secret)(&name.to_ascii_lowercase()) {
            true => format!("{} (redacted)", String::from_utf8_lossy(name)),
            false => text.into_owned(),
        };
        FatalError::Line { number, text, reason }
    }

    /// Where relative paths start now: the working directory that the daemon should take.
    pub fn into_base(self) -> PathBuf {
        self.base
    }
}

fn absent() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error())
}

fn trim_line(line: &[u8]) -> &[u8] {
    let is_edge = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().take_while(|b| is_edge(b)).count();
    let end = line.len() - line[start..].iter().rev().take_while(|b| is_edge(b)).count();
    &line[start..end]
}

fn read_file(path: &Path) -> Result<Vec<u8>, FatalError> {
    std::fs::read(path).map_err(|error| FatalError::Open { path: path.to_owned(), cause: os_message(&error) })
}

/// The operating system's words for an error, as C's `strerror` gives them.
pub fn os_message(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

fn has_wildcard(name: &[u8]) -> bool {
    name.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// The existing paths that a path with wildcards in any of its components stands for, in alphabetical order.
fn expand_wildcards(base: &Path, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![base.to_owned()]; // an absolute pattern begins with a root, which replaces the base
    for component in pattern.components() {
        let name = component.as_os_str().as_bytes();
        if !has_wildcard(name) {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        }
        found = found.iter().flat_map(|dir| matching_entries(dir, name)).collect();
    }
    found.retain(|path| path.exists());
    found
}

fn matching_entries(dir: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    // As in a shell, a wildcard does not reach hidden files.
    names.retain(|name| {
        let name = name.as_bytes();
        (name[0] != b'.' || pattern[0] == b'.') && glob_match(pattern, name, false)
    });
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `text` in `base`; gives each directive's arguments joined by `|`, or the error's text.
    fn read(base: &Path, text: &str) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        let mut sink = |line: &Line| {
            let args: Vec<_> = line.args.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect();
            seen.push(args.join("|"));
            if args[0] == "bad" { Err("not good".to_owned()) } else { Ok(()) }
        };
        let is_secret = |name: &[u8]| name == b"requirepass";
        Source::new(base.to_owned(), &is_secret, &mut sink)
            .read_text(text.as_bytes(), 1)
            .map_err(|e| e.to_string())?;
        Ok(seen)
    }

    /// A folder of its own for one test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ochre-source-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path.canonicalize().unwrap())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn comments_blanks_and_case() {
        let got = read(Path::new("/"), "# x\n\n  PORT 1\r\n\"\"\nsave \"\"").unwrap();
        assert_eq!(got, ["port|1", "", "save|"]);
    }

    #[test]
    fn mistakes_name_their_line() {
        let check = |text: &str, want: &str| assert_eq!(read(Path::new("/"), text).unwrap_err(), want);
        check(
            "a\n  bad thing \nb",
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 2\n>>> 'bad \
             thing'\nnot good",
        );
        check(
            "requirepass \"se",
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 1\n>>> \
             'requirepass (redacted)'\nUnbalanced quotes in configuration line",
        );
        check(
            "include /no/such/file",
            "Fatal error, can't open config file '/no/such/file': No such file or directory",
        );
    }

    #[test]
    fn includes_follow_dir_and_wildcards() {
        let folder = Folder::new("include");
        std::fs::create_dir(folder.0.join("sub")).unwrap();
        std::fs::write(folder.0.join("sub/b.conf"), "two 2").unwrap();
        std::fs::write(folder.0.join("sub/a.conf"), "one 1\n").unwrap();
        std::fs::write(folder.0.join("sub/.hidden.conf"), "bad").unwrap();
        let got =
            read(&folder.0, "include sub/*.conf\ninclude none/*.conf\ndir sub\ninclude b.conf").unwrap();
        assert_eq!(got, ["one|1", "two|2", &format!("dir|{}/sub", folder.0.display()), "two|2"]);
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        let folder = Folder::new("loop");
        std::fs::write(folder.0.join("x.conf"), "include x.conf").unwrap();
        assert!(read(&folder.0, "include x.conf").unwrap_err().contains("nested too deeply"));
    }
}
