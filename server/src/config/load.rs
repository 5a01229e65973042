//! The configuration at the start: defaults → file → `OCHRE_*` environment → command line, merged by figment.
//!
//! Every layer goes through the same line reader, so `include`, `dir` and quoting work everywhere, and every value is
//! checked against the table where it is read, so that an error names its line or variable. A layer is a figment
//! provider of typed values: a scalar is replaced by a later layer, while occurrences of a directive with a syntax of
//! its own (`save`, `client-output-buffer-limit`) add up in order, which is what `admerge` does with arrays.
//!
//! Two things that figment cannot carry: bytes that are not UTF-8 travel as one character each (U+0000 to U+00FF),
//! and order across different directives is lost, which no directive depends on.

use std::io::Read;
use std::path::PathBuf;

use common::config::source::os_message;
use common::config::syntax::{push_quoted, split_args};
use common::config::{FatalError, Line, Source};
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::command_line::Run;
use super::directive::{Directive, Honoured, Kind, Setting};
use super::{Config, is_sensitive, table};

/// Environment variables with this prefix are directives: `OCHRE_TLS_PORT` is `tls-port`.
const ENV_PREFIX: &str = "OCHRE_";

/// Except these, which tests use to talk to each other.
const ENV_TEST_PREFIX: &str = "OCHRE_TEST_";

/// What the server starts from.
#[derive(Debug)]
pub struct Startup {
    /// The configuration. Its `dir` is absolute; the process should move there before it opens any file.
    pub config: Config,
    /// The configuration file, absolute, for `INFO` and `CONFIG REWRITE`.
    pub file: Option<PathBuf>,
    /// For the log.
    pub warnings: Vec<String>,
}

/// One layer: typed values by canonical directive name.
struct Layer {
    name: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Loads everything; touches the file system and standard input, but neither the process's directory nor its log.
///
/// `env` is the process's environment; `stdin` is read only if the command line says so; `commands` tells whether there is
/// a command of a name.
pub fn load(
    run: &Run,
    commands: &dyn Fn(&[u8]) -> bool,
    env: impl IntoIterator<Item = (String, String)>,
    stdin: &mut dyn Read,
) -> Result<Startup, FatalError> {
    let here = std::env::current_dir().map_err(|error| whole(os_message(&error)))?;
    let mut layers = Layers {
        figment: Figment::from(defaults()),
        names: Names { commands, renamed: Vec::new() },
        base: here.clone(),
    };

    let mut lines_before = 0;
    match &run.file {
        Some(file) if file.extension().is_some_and(|ext| ext == "toml") => layers.add_toml(file)?,
        file => {
            let mut text = match file {
                Some(file) => layers.read_file(file)?,
                None => Vec::new(),
            };
            if run.stdin {
                stdin.read_to_end(&mut text).map_err(|error| whole(os_message(&error)))?;
            }
            lines_before = text.iter().filter(|&&b| b == b'\n').count();
            layers.add("configuration file", &text, 1)?;
        }
    }
    layers.add_environment(env)?;
    // Redis appends the options to the file's text behind a newline, and counts on.
    layers.add("command line", &run.options, lines_before + 2)?;

    let mut config = layers.finish()?;
    config.file = run.file.as_ref().map(|file| here.join(file));
    check_whole(&config)?;
    let warnings = config.warnings();
    Ok(Startup { file: config.file.clone(), config, warnings })
}

#[cold]
fn whole(reason: String) -> FatalError {
    FatalError::Whole { reason }
}

/// The layer below all others. Directives with a syntax of their own are left out: their first occurrence does not
/// add to the default, it replaces it.
fn defaults() -> Layer {
    let scalars = table::all().filter(|d| !matches!(d.kind, Kind::Special(_)));
    let values = scalars.map(|d| (d.name.to_owned(), to_value(d, &d.default()))).collect();
    Layer { name: "defaults".to_owned(), values }
}

/// What the commands are called, as `rename-command` lines change it.
struct Names<'c> {
    commands: &'c dyn Fn(&[u8]) -> bool,
    renamed: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Names<'_> {
    fn is_taken(&self, name: &[u8]) -> bool {
        // The last line that mentions a name decides.
        let mentioned = self.renamed.iter().rev().find_map(|(from, to)| {
            let is = |other: &[u8]| other.eq_ignore_ascii_case(name);
            if is(to) { Some(true) } else { is(from).then_some(false) }
        });
        mentioned.unwrap_or_else(|| (self.commands)(name))
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), String> {
        if from.is_empty() || !self.is_taken(from) {
            return Err("No such command in rename-command".to_owned());
        }
        // The old name is free by now.
        if !to.is_empty() && !to.eq_ignore_ascii_case(from) && self.is_taken(to) {
            return Err("Target command name already exists".to_owned());
        }
        self.renamed.push((from.to_vec(), to.to_vec()));
        Ok(())
    }
}

struct Layers<'c> {
    figment: Figment,
    names: Names<'c>,
    /// The directory that relative paths start from, as `dir` has moved it so far.
    base: PathBuf,
}

impl Layers<'_> {
    fn read_file(&self, file: &std::path::Path) -> Result<Vec<u8>, FatalError> {
        use std::os::unix::ffi::OsStrExt;
        Source::new(self.base.clone(), &is_sensitive, &mut |_| Ok(())).load(file.as_os_str().as_bytes())
    }

    /// Adds a text in redis.conf syntax.
    fn add(&mut self, name: &str, text: &[u8], first_line: usize) -> Result<(), FatalError> {
        let mut values = Dict::new();
        let names = &mut self.names;
        let mut sink = |line: &Line| match line.args.as_slice() {
            [name, from, to] if name == b"rename-command" => names.rename(from, to),
            _ => read_directive(&mut values, line),
        };
        let mut source = Source::new(self.base.clone(), &is_sensitive, &mut sink);
        source.read_text(text, first_line)?;
        self.base = source.into_base();
        let figment = std::mem::take(&mut self.figment);
        self.figment = figment.admerge(Layer { name: name.to_owned(), values });
        Ok(())
    }

    fn add_environment(&mut self, env: impl IntoIterator<Item = (String, String)>) -> Result<(), FatalError> {
        let ours = env
            .into_iter()
            .filter(|(name, _)| name.starts_with(ENV_PREFIX) && !name.starts_with(ENV_TEST_PREFIX));
        let mut ours: Vec<_> = ours.collect();
        ours.sort(); // the environment has no order: make mistakes show up in a stable one
        for (name, value) in ours {
            let short = name[ENV_PREFIX.len()..].to_ascii_lowercase();
            let known = table::all().flat_map(|d| [Some(d.name), d.alias, d.also]).flatten();
            let directive = known.into_iter().find(|known| known.replace('-', "_") == short);
            let mut line = directive.unwrap_or(&short).as_bytes().to_vec();
            line.push(b' ');
            push_quoted(&mut line, value.as_bytes());
            self.add(&name, &line, 1)
                .map_err(|error| explain(error, |reason| format!("Environment variable {name}: {reason}")))?;
        }
        Ok(())
    }

    /// Adds a TOML file: keys are directives (`-` or `_`), values are yes/no or booleans, numbers, strings, or arrays
    /// of arguments; an array of arrays gives several occurrences.
    fn add_toml(&mut self, file: &std::path::Path) -> Result<(), FatalError> {
        let text = self.read_file(file)?;
        let place = |reason: String| whole(format!("{}: {reason}", file.display()));
        let text = String::from_utf8(text).map_err(|_| place("not UTF-8".to_owned()))?;
        // The error's own text repeats nothing of the file but the offending key and place.
        let mut data = Toml::string(&text).data().map_err(|error| place(error.to_string()))?;
        for (key, value) in data.remove(&Profile::Default).unwrap_or_default() {
            for line in toml_lines(&key.replace('_', "-"), &value).map_err(&place)? {
                self.add(&key, &line, 1).map_err(|error| {
                    explain(error, |reason| format!("{}: key '{key}': {reason}", file.display()))
                })?;
            }
        }
        Ok(())
    }

    /// Turns the merged layers into a configuration.
    fn finish(self) -> Result<Config, FatalError> {
        use std::os::unix::ffi::OsStringExt;
        let mut merged = Provider::data(&self.figment).map_err(|error| whole(error.to_string()))?;
        let values = merged.remove(&Profile::Default).unwrap_or_default();
        let mut config = Config::default();
        for (name, value) in &values {
            let (directive, _) = table::find(name.as_bytes()).expect("layers hold known directives only");
            install(&mut config, directive, value).map_err(|reason| whole(format!("'{name}': {reason}")))?;
        }
        config.renamed_commands = self.names.renamed;
        config.dir = self.base.into_os_string().into_vec().into();
        Ok(config)
    }
}

/// Replaces the line number of a text that the operator never saw by something that they know.
fn explain(error: FatalError, words: impl Fn(&str) -> String) -> FatalError {
    match error {
        FatalError::Line { reason, .. } => whole(words(&reason)),
        other => other,
    }
}

/// The occurrences that a TOML value stands for, as lines.
fn toml_lines(name: &str, value: &Value) -> Result<Vec<Vec<u8>>, String> {
    let items = match value {
        Value::Array(_, items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let is_nested = items.iter().any(|item| matches!(item, Value::Array(..)));
    let occurrences: Vec<&[Value]> = match is_nested {
        true => items.iter().map(|item| item.as_array().unwrap_or(std::slice::from_ref(item))).collect(),
        false => vec![items],
    };
    let mut lines = Vec::new();
    for args in occurrences {
        let mut line = name.as_bytes().to_vec();
        for arg in args {
            line.push(b' ');
            push_quoted(
                &mut line,
                toml_scalar(arg).ok_or("tables and dates have no meaning here")?.as_bytes(),
            );
        }
        lines.push(line);
    }
    Ok(lines)
}

fn toml_scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, true) => Some("yes".to_owned()),
        Value::Bool(_, false) => Some("no".to_owned()),
        Value::Num(_, number) => match number.to_f64() {
            Some(float) => Some(float.to_string()),
            None => value.to_i128().map(|n| n.to_string()),
        },
        _ => None,
    }
}

/// Checks one line against the table and adds its value to a layer.
fn read_directive(values: &mut Dict, line: &Line) -> Result<(), String> {
    let (name, args) = line.args.split_first().expect("a line has a name");
    let Some((directive, _)) = table::find(name) else { return read_other(name, args) };
    if !directive.takes_many() && args.len() != 1 {
        return Err("wrong number of arguments".to_owned());
    }
    let split = match args {
        // `--save "900 1"`: a single argument stands for all of them, unless it is empty.
        [only] if directive.takes_many() && !only.is_empty() => {
            Some(split_args(only).ok_or("Unbalanced quotes in configuration line")?)
        }
        _ => None,
    };
    let setting = directive.parse(split.as_deref().unwrap_or(args))?;
    let value = to_value(directive, &setting);
    match (&setting, values.get_mut(directive.name)) {
        (Setting::Args(_), Some(Value::Array(_, occurrences))) => occurrences.push(value),
        (Setting::Args(_), _) => drop(values.insert(directive.name.to_owned(), Value::from(vec![value]))),
        _ => drop(values.insert(directive.name.to_owned(), value)),
    }
    Ok(())
}

/// Lines that are not values: most would open a door or lose something if they were ignored.
fn read_other(name: &[u8], args: &[Vec<u8>]) -> Result<(), String> {
    let refusal = match (name, args.len()) {
        (_, 1) if table::FORGOTTEN.iter().any(|known| known.as_bytes() == name) => return Ok(()),
        (b"sentinel", 0) => return Ok(()),
        (b"sentinel", _) => "sentinel directive while not in sentinel mode",
        (b"user", 1..) => {
            "access control lists are not supported yet, and ignoring users would open the server"
        }
        (b"loadmodule", 1..) => "modules are not supported yet",
        (_, 0) if name.contains(&b'.') => "Module config specified without value",
        _ if name.contains(&b'.') => "modules are not supported yet",
        _ => "Bad directive or wrong number of arguments",
    };
    Err(refusal.to_owned())
}

fn to_value(directive: &Directive, setting: &Setting) -> Value {
    match setting {
        Setting::Bool(value) => Value::from(*value),
        Setting::Number(value) => Value::from(*value),
        Setting::Choice(_) | Setting::Text(_) => Value::from(to_chars(&directive.print(setting))),
        Setting::Args(args) => Value::from(args.iter().map(|arg| to_chars(arg)).collect::<Vec<_>>()),
    }
}

/// Puts one merged value into the configuration.
fn install(config: &mut Config, directive: &Directive, value: &Value) -> Result<(), String> {
    let foreign = || "a value of another kind".to_owned();
    if let Kind::Special(special) = &directive.kind {
        (special.begin)(config);
        for occurrence in value.as_array().ok_or_else(foreign)? {
            let args = occurrence.as_array().ok_or_else(foreign)?;
            let args: Option<Vec<_>> = args.iter().map(|arg| arg.as_str().map(from_chars)).collect();
            (special.set)(config, &args.ok_or_else(foreign)?)?;
        }
        return Ok(());
    }
    let setting = match &directive.kind {
        Kind::Bool { .. } => value.to_bool().map(Setting::Bool),
        Kind::Number { .. } => value.to_i128().map(Setting::Number),
        Kind::Text { .. } => value.as_str().map(|text| Setting::Text(from_chars(text))),
        Kind::Choice { choices, many, .. } => match value.as_str() {
            Some(names) => {
                let names: Vec<Vec<u8>> = names.split(' ').map(|name| name.as_bytes().to_vec()).collect();
                Some(Setting::Choice(common::config::value::parse_choice(choices, &names, *many)?))
            }
            None => None,
        },
        Kind::Special(_) => None,
    };
    directive.store(config, setting.ok_or_else(foreign)?)
}

fn to_chars(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn from_chars(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

/// What no single line can tell.
fn check_whole(config: &Config) -> Result<(), FatalError> {
    for directive in table::all() {
        let Honoured::Refused(reason) = directive.honoured else { continue };
        let current = directive.current(config);
        if current != directive.default() {
            let value = String::from_utf8_lossy(&directive.print(&current)).into_owned();
            return Err(whole(format!("'{} {value}' is refused: {reason}.", directive.name)));
        }
    }
    if !config.log_file.is_empty() {
        let path = config.dir.as_path().join(config.log_file.as_path());
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| whole(format!("Can't open the log file: {}", os_message(&error))))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ochre-load-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path.canonicalize().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn start(
        file: Option<PathBuf>,
        stdin: &str,
        env: &[(&str, &str)],
        options: &str,
    ) -> Result<Startup, String> {
        let run = Run { file, stdin: !stdin.is_empty(), options: options.as_bytes().to_vec() };
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        load(&run, &|name| name == b"flushall" || name == b"get", env, &mut stdin.as_bytes())
            .map_err(|error| error.to_string())
    }

    fn shown(config: &Config, name: &str) -> String {
        String::from_utf8_lossy(&config.get(&[name.as_bytes()])[0].1).into_owned()
    }

    #[test]
    fn later_layers_win() {
        let folder = Folder::new("layers");
        let file = folder.write("x.conf", "port 1000\nmaxclients 7\nhz 20\nslave-priority 9");
        let env = [("OCHRE_MAXCLIENTS", "8"), ("OCHRE_HZ", "30"), ("OCHRE_TEST_X", "?"), ("HOME", "/")];
        let got = start(Some(file.clone()), "", &env, "hz \"40\" \nreplica-priority \"3\"").unwrap();
        assert_eq!((got.config.port, got.config.max_clients, got.config.hz), (1000, 8, 40));
        assert_eq!(shown(&got.config, "slave-priority"), "3");
        assert_eq!(got.file, Some(file));
        assert_eq!(got.warnings.len(), 1, "{:?}", got.warnings);
    }

    #[test]
    fn save_lines_add_up() {
        let check = |stdin: &str, options: &str, want: &str| {
            let got = start(None, stdin, &[], options).unwrap();
            assert_eq!(shown(&got.config, "save"), want, "{stdin:?} {options:?}");
        };
        check("", "", "3600 1 300 100 60 10000");
        check("save 900 1\nsave 300 10", "", "900 1 300 10");
        check("save 900 1", "save \"60\" \"5\"", "900 1 60 5");
        check("save 900 1", "save \"\"", "");
        check("save 900 1", "save \"\"\nsave \"60 5 30 6\"", "60 5 30 6");
        check("save", "", "");
    }

    #[test]
    fn output_limits_add_up() {
        let stdin = "client-output-buffer-limit normal 1kb 2kb 3\nclient-output-buffer-limit replica 0 0 0";
        let got = start(None, stdin, &[], "").unwrap();
        let want = "normal 1024 2048 3 slave 0 0 0 pubsub 33554432 8388608 60";
        assert_eq!(shown(&got.config, "client-output-buffer-limit"), want);
    }

    #[test]
    fn every_byte_of_a_password_survives() {
        let got = start(None, "requirepass \"\\xff\\x00\\xc3\\xa9 x\"", &[], "").unwrap();
        assert_eq!(got.config.requirepass.as_bytes(), b"\xff\x00\xc3\xa9 x");
    }

    #[test]
    fn dir_is_absolute_and_moves_what_follows() {
        let folder = Folder::new("dir");
        folder.write("more.conf", "port 1234");
        let text = format!("dir {}\ninclude more.conf\nlogfile my.log", folder.0.display());
        let got = start(None, &text, &[], "").unwrap();
        assert_eq!((got.config.port, got.config.dir.as_path()), (1234, folder.0.as_path()));
        assert!(folder.0.join("my.log").exists());
    }

    #[test]
    fn toml_files() {
        let folder = Folder::new("toml");
        let text = "port = 7000\ndaemonize = true\nmaxmemory = \"1gb\"\nbind = [\"127.0.0.1\", \"-::1\"]\n\
                    save = [[900, 1], [300, 10]]\ntls_port = 7001\nlatency-tracking-info-percentiles = [50, 99.9]\n";
        let got = start(Some(folder.write("x.toml", text)), "", &[], "").unwrap();
        assert_eq!((got.config.port, got.config.tls_port, got.config.daemonize), (7000, 7001, true));
        assert_eq!(shown(&got.config, "save"), "900 1 300 10");
        assert_eq!(shown(&got.config, "bind"), "127.0.0.1 -::1");
        assert_eq!(shown(&got.config, "maxmemory"), "1073741824");
        assert_eq!(shown(&got.config, "latency-tracking-info-percentiles"), "50 99.9");
        let path = folder.write("y.toml", "port = \"x\"");
        let error = start(Some(path), "", &[], "").unwrap_err();
        assert!(
            error.ends_with("y.toml: key 'port': argument couldn't be parsed into an integer"),
            "{error}"
        );
    }

    #[test]
    fn mistakes_stop_the_start() {
        let check = |stdin: &str, options: &str, want: &str| {
            let head = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n";
            let got = start(None, stdin, &[], options).unwrap_err();
            assert_eq!(got.strip_prefix(head), Some(want), "{stdin:?} {options:?}");
        };
        let at = |line, text: &str, why: &str| {
            format!("Reading the configuration file, at line {line}\n>>> '{text}'\n{why}")
        };
        let bad = "Bad directive or wrong number of arguments";
        check("port 1\nfoo bar\n", "", &at(2, "foo bar", bad));
        check("", "foo \"bar\" ", &at(2, "foo \"bar\"", bad));
        check("a 1", "", &at(1, "a 1", bad));
        check("port 1\n", "port \"x\" ", &at(3, "port \"x\"", "argument couldn't be parsed into an integer"));
        check("port 1 2", "", &at(1, "port 1 2", "wrong number of arguments"));
        check("save 1", "", &at(1, "save 1", "Invalid save parameters"));
        check("dir /none", "", &at(1, "dir /none", "No such file or directory"));
        check("sentinel x", "", &at(1, "sentinel x", "sentinel directive while not in sentinel mode"));
        check("logfile /none/x", "", "Can't open the log file: No such file or directory");
        check("slaveof a 1", "", "'replicaof a 1' is refused: this server cannot be a replica yet.");
        let error = start(None, "", &[("OCHRE_PROT", "1")], "").unwrap_err();
        assert!(
            error.ends_with("\nEnvironment variable OCHRE_PROT: Bad directive or wrong number of arguments")
        );
    }

    #[test]
    fn what_would_open_a_door_is_refused() {
        for line in ["appendonly yes", "user x on", "aclfile /x", "cluster-enabled yes"] {
            assert!(start(None, line, &[], "").is_err(), "{line}");
        }
        for line in ["appendonly no", "aclfile \"\"", "lua-replicate-commands yes", "replicaof no one"] {
            assert!(start(None, line, &[], "").is_ok(), "{line}");
        }
    }

    #[test]
    fn secrets_stay_out_of_messages() {
        for (stdin, options) in
            [("requirepass a b", ""), ("", "masterauth \"hush\" \"b\""), ("requirepass \"hush", "")]
        {
            let error = start(None, stdin, &[], options).unwrap_err();
            assert!(error.contains("(redacted)") && !error.contains("hush"), "{error}");
        }
    }
}
