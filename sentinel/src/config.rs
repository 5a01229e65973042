//! Directives of the sentinel, as far as it acts upon them.

use common::config::value::{Range, Unit, parse_bool};
use common::config::{FatalError, Line, Source};
use common::log::Threshold;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Port of a sentinel that names none.
const DEFAULT_PORT: u16 = 26379;

/// Directives in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub bind: Vec<String>,
    /// Plain port.
    pub port: u16,
    /// Password of the default user; empty = none.
    pub requirepass: Vec<u8>,
    /// Refuse clients from afar while nobody chose to let them in.
    pub protected_mode: bool,
    /// Clients at most.
    pub max_clients: u32,
    /// Level of the log.
    pub log_threshold: Threshold,
    /// Where the log goes; `None` = standard output.
    pub log_file: Option<PathBuf>,
    /// The configuration file, absolute.
    pub file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: vec!["*".to_owned(), "-::*".to_owned()],
            port: DEFAULT_PORT,
            requirepass: Vec::new(),
            protected_mode: false,
            max_clients: 10_000,
            log_threshold: Threshold::Notice,
            log_file: None,
            file: None,
        }
    }
}

impl Config {
    /// A sentinel keeps what it learns in its configuration file: without one that it can write to it must not start.
    ///
    /// # Errors
    /// What is wrong with the file, in Redis's words.
    pub fn check_file(&self) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err("Sentinel needs config file on disk to save state. Exiting...".to_owned());
        };
        rustix::fs::access(file, rustix::fs::Access::WRITE_OK).map_err(|error| {
            let reason = common::log::os_text(&error.into());
            format!("Sentinel config file {} is not writable: {reason}. Exiting...", file.display())
        })
    }
}

/// Reads the file that the first argument names, then the options behind it, which win.
///
/// # Errors
/// The line that can't be understood, in Redis's form.
pub fn load(args: &[Vec<u8>]) -> Result<Config, FatalError> {
    let mut config = Config::default();
    let (file, options) = match args.first() {
        Some(first) if !first.starts_with(b"-") => (Some(first), &args[1..]),
        _ => (None, args),
    };
    let base = std::env::current_dir().unwrap_or_default();
    config.file = file.map(|file| base.join(OsStr::from_bytes(file)));
    let is_secret = |name: &[u8]| name.eq_ignore_ascii_case(b"requirepass");
    let mut sink = |line: &Line| set(&mut config, &line.args);
    let mut source = Source::new(base, &is_secret, &mut sink);
    let mut lines_before = 0;
    if let Some(file) = file {
        let text = source.load(file)?;
        lines_before = text.iter().filter(|&&byte| byte == b'\n').count();
        source.read_text(&text, 1)?;
    }
    // Redis appends the options to the file's text behind a newline, and counts on.
    source.read_text(&lines(options), lines_before + 1)?;
    Ok(config)
}

/// `--port 26380 --loglevel verbose` as lines of a file. `--sentinel` may stand alone: it only says which program is meant.
fn lines(options: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    for option in options {
        match option.strip_prefix(b"--") {
            Some(name) => {
                text.push(b'\n');
                text.extend_from_slice(name);
            }
            None => {
                text.push(b' ');
                common::config::syntax::push_quoted(&mut text, option);
            }
        }
    }
    text
}

fn set(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    let name = String::from_utf8_lossy(&args[0]).to_lowercase();
    let values = &args[1..];
    if name == "sentinel" && values.is_empty() {
        return Ok(());
    }
    if name == "sentinel" {
        return Err("this build does not monitor masters yet".to_owned());
    }
    if name == "bind" {
        config.bind = values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        return Ok(());
    }
    let [value] = values else { return Err("Bad directive or wrong number of arguments".to_owned()) };
    let number = |min, max| Range { min, max, unit: Unit::Plain }.parse(value);
    match name.as_str() {
        "port" => config.port = number(0, 65_535)? as u16,
        "maxclients" => config.max_clients = number(1, i128::from(u32::MAX))? as u32,
        "requirepass" => config.requirepass = value.clone(),
        "protected-mode" => config.protected_mode = parse_bool(value)?,
        "logfile" => {
            config.log_file =
                (!value.is_empty()).then(|| PathBuf::from(String::from_utf8_lossy(value).into_owned()))
        }
        "loglevel" => config.log_threshold = threshold(value)?,
        "dir" => std::env::set_current_dir(String::from_utf8_lossy(value).as_ref())
            .map_err(|e| common::log::os_text(&e))?,
        // `no` is what it does anyway.
        "daemonize" if !parse_bool(value)? => {}
        "daemonize" => {
            return Err("this build does not daemonize yet: let the service manager do it".to_owned());
        }
        _ => return Err("Bad directive or wrong number of arguments".to_owned()),
    }
    Ok(())
}

fn threshold(value: &[u8]) -> Result<Threshold, String> {
    Ok(match value.to_ascii_lowercase().as_slice() {
        b"debug" => Threshold::Debug,
        b"verbose" => Threshold::Verbose,
        b"notice" => Threshold::Notice,
        b"warning" => Threshold::Warning,
        b"nothing" => Threshold::Nothing,
        _ => {
            return Err("argument(s) must be one of the following: debug, verbose, notice, warning, nothing"
                .to_owned());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_file() {
        let file = std::env::temp_dir().join(format!("ochre-sentinel-{}.conf", std::process::id()));
        std::fs::write(&file, "port 5000\nrequirepass \"a b\"\n").unwrap();
        let args: Vec<Vec<u8>> =
            [file.to_str().unwrap(), "--port", "5001"].map(|arg| arg.as_bytes().to_vec()).to_vec();
        let config = load(&args);
        std::fs::remove_file(&file).unwrap();
        let config = config.unwrap();
        assert_eq!((config.port, config.requirepass.as_slice()), (5001, &b"a b"[..]));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for line in ["--sentinel monitor m 127.0.0.1 6379 2", "--daemonize yes", "--nosuch 1", "--port x"] {
            let args: Vec<Vec<u8>> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
            assert!(load(&args).is_err(), "{line}");
        }
    }
}
