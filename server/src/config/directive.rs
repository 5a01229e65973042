//! What a directive is: one entry of the table, and how a value gets from its text into [`Config`] and back.
//!
//! An entry is data. Defaults, the loader, `CONFIG GET` and `CONFIG SET`, the sample file and the check for what this
//! build honours all read it. A directive whose value some part of the server acts upon lives in a typed field of
//! [`Config`]; one that is only known (it parses, is kept and answered) has no field and lives in `Config::kept`.
//!
//! When a known directive becomes honoured: give `Config` a field, name it in the entry, drop a `refused` mark.

use common::config::value::{self, Choices, Range};

use super::Config;
use super::rewrite::Wanted;

/// What the server must do after `CONFIG SET` changed a value; it interprets these, the table only names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// The field is read where it is needed.
    Nothing,
    /// Listen on another port.
    Port,
    /// Listen on another TLS port.
    TlsPort,
    /// Listen on other addresses.
    Bind,
    /// Load certificates, keys and TLS options again.
    Tls,
    /// Check the limit of open files, resize what counts connections.
    MaxClients,
    /// Tell connection tasks the new limits of requests and idle time.
    ConnectionLimits,
    /// Look at every client's outbox again.
    OutputLimits,
    /// Filter the log at another level, write it in another form.
    LogLevel,
    /// Tell listeners how to treat new connections.
    Accepting,
    /// Show another title in the process list.
    ProcTitle,
    /// Tell the kernel another score.
    OomScore,
    /// Do something else at the next crash.
    Crash,
    /// Tick at another rate.
    Hz,
    /// Change the working directory.
    Dir,
    /// Give the default user another password.
    RequirePass,
    /// Resize the replication backlog.
    ReplBacklog,
    /// Count the replicas that are good enough for writes.
    GoodReplicas,
    /// Evict until the new limit holds.
    MaxMemory,
    /// Start or end the allocator's threads.
    AllocatorThreads,
}

/// Whether this build acts upon a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honoured {
    /// Yes.
    Yes,
    /// Kept and answered; a value other than the default is worth a warning.
    NotYet,
    /// Ignoring it would lose data or open a door, so a value other than the default is refused, with this reason.
    Refused(&'static str),
}

/// A typed field of [`Config`], as seen from the table.
pub struct Field<T: 'static + ?Sized, V = T> {
    /// Reads it.
    pub get: fn(&Config) -> &T,
    /// Writes it.
    pub set: fn(&mut Config, V),
}

/// A numeric field of whatever width, as seen from the table; the range makes sure that values fit.
pub struct NumberField {
    /// Reads it.
    pub get: fn(&Config) -> i128,
    /// Writes it.
    pub set: fn(&mut Config, i128),
}

/// A field that holds one of an enumeration's values, or its bits.
pub struct ChoiceField {
    /// Reads it.
    pub get: fn(&Config) -> u32,
    /// Writes it.
    pub set: fn(&mut Config, u32),
}

/// A directive with a syntax of its own.
pub struct Special {
    /// The default, as `CONFIG GET` shows it.
    pub default: &'static str,
    /// Whether several arguments are expected.
    pub many: bool,
    /// Checks the arguments and changes the fields, or changes nothing and says why.
    pub set: fn(&mut Config, &[Vec<u8>]) -> Result<(), String>,
    /// Prints the fields.
    pub get: fn(&Config) -> Vec<u8>,
    /// Called once before the first occurrence in files and on the command line, where occurrences add up.
    pub begin: fn(&mut Config),
    /// How it is written into a file.
    pub rewrite: Rewrite,
}

/// How `CONFIG REWRITE` writes a directive with a syntax of its own.
pub enum Rewrite {
    /// As it is shown.
    Plain,
    /// As one quoted argument.
    Quoted,
    /// As several lines, or none.
    Lines(fn(&Config) -> Vec<Wanted>),
}

/// The kind of a directive's value, with its default and its field.
pub enum Kind {
    /// `yes` or `no`.
    Bool {
        /// Default.
        default: bool,
        /// Where it lives.
        field: Option<Field<bool>>,
    },
    /// A number.
    Number {
        /// Default.
        default: i128,
        /// Unit and bounds.
        range: Range,
        /// Where it lives.
        field: Option<NumberField>,
    },
    /// One name out of a list, or several whose values are bits.
    Choice {
        /// Default.
        default: u32,
        /// Names and values.
        choices: Choices,
        /// Whether several names may be given.
        many: bool,
        /// Where it lives.
        field: Option<ChoiceField>,
    },
    /// Any bytes.
    Text {
        /// Default.
        default: &'static str,
        /// Refuses some texts, with the reason.
        check: fn(&[u8]) -> Result<(), &'static str>,
        /// Where it lives.
        field: Option<Field<[u8], Vec<u8>>>,
    },
    /// A syntax of its own.
    Special(Special),
}

/// A value that has been read and checked, on its way into [`Config`].
#[derive(Clone, PartialEq, Eq)]
pub enum Setting {
    /// For [`Kind::Bool`].
    Bool(bool),
    /// For [`Kind::Number`].
    Number(i128),
    /// For [`Kind::Choice`].
    Choice(u32),
    /// For [`Kind::Text`].
    Text(Vec<u8>),
    /// For [`Kind::Special`]: its arguments.
    Args(Vec<Vec<u8>>),
}

/// One entry of the table.
pub struct Directive {
    /// In lower case, as shown.
    pub name: &'static str,
    /// An older name that works as well.
    pub alias: Option<&'static str>,
    /// A name of newer servers that works too; patterns don't show it.
    pub also: Option<&'static str>,
    /// Kind, default and field.
    pub kind: Kind,
    /// Only settable before the start.
    pub immutable: bool,
    /// Only shown when asked for by its exact name.
    pub hidden: bool,
    /// A secret: kept out of logs, slow log and monitors.
    pub sensitive: bool,
    /// Settable at run time only as `enable-protected-configs` allows.
    pub protected: bool,
    /// Not settable while a dataset is being loaded.
    pub deny_loading: bool,
    /// Applied even when the value stays the same (files whose content may have changed).
    pub volatile: bool,
    /// What `CONFIG SET` must bring about.
    pub apply: Apply,
    /// Whether this build acts upon it.
    pub honoured: Honoured,
    /// For the sample file: what it does, units included, in our own words.
    pub doc: &'static str,
}

fn any_text(_: &[u8]) -> Result<(), &'static str> {
    Ok(())
}

impl Directive {
    const fn new(name: &'static str, kind: Kind, has_field: bool, doc: &'static str) -> Self {
        Directive {
            name,
            alias: None,
            also: None,
            kind,
            immutable: false,
            hidden: false,
            sensitive: false,
            protected: false,
            deny_loading: false,
            volatile: false,
            apply: Apply::Nothing,
            honoured: if has_field { Honoured::Yes } else { Honoured::NotYet },
            doc,
        }
    }

    /// A `yes` or `no` directive.
    pub const fn yes_no(
        name: &'static str,
        default: bool,
        field: Option<Field<bool>>,
        doc: &'static str,
    ) -> Self {
        let has_field = field.is_some();
        Self::new(name, Kind::Bool { default, field }, has_field, doc)
    }

    /// A numeric directive.
    pub const fn number(
        name: &'static str,
        default: i128,
        range: Range,
        field: Option<NumberField>,
        doc: &'static str,
    ) -> Self {
        let has_field = field.is_some();
        Self::new(name, Kind::Number { default, range, field }, has_field, doc)
    }

    /// A directive that takes one of several names.
    pub const fn choice(
        name: &'static str,
        default: u32,
        choices: Choices,
        field: Option<ChoiceField>,
        doc: &'static str,
    ) -> Self {
        let has_field = field.is_some();
        Self::new(name, Kind::Choice { default, choices, many: false, field }, has_field, doc)
    }

    /// A directive that takes any number of names.
    pub const fn flags(
        name: &'static str,
        default: u32,
        choices: Choices,
        field: ChoiceField,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Kind::Choice { default, choices, many: true, field: Some(field) }, true, doc)
    }

    /// A directive that takes any text.
    pub const fn text(
        name: &'static str,
        default: &'static str,
        field: Option<Field<[u8], Vec<u8>>>,
        doc: &'static str,
    ) -> Self {
        let has_field = field.is_some();
        Self::new(name, Kind::Text { default, check: any_text, field }, has_field, doc)
    }

    /// A directive with a syntax of its own.
    pub const fn special(name: &'static str, special: Special, doc: &'static str) -> Self {
        Self::new(name, Kind::Special(special), true, doc)
    }

    /// See [`Directive::also`].
    pub const fn also(mut self, name: &'static str) -> Self {
        self.also = Some(name);
        self
    }

    /// Adds an older name.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Refuses some texts.
    pub const fn checked(mut self, refuse: fn(&[u8]) -> Result<(), &'static str>) -> Self {
        if let Kind::Text { check, .. } = &mut self.kind {
            *check = refuse;
        }
        self
    }

    /// See [`Directive::immutable`].
    pub const fn immutable(mut self) -> Self {
        self.immutable = true;
        self
    }

    /// See [`Directive::hidden`].
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// See [`Directive::sensitive`].
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// See [`Directive::protected`].
    pub const fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    /// See [`Directive::deny_loading`].
    pub const fn deny_loading(mut self) -> Self {
        self.deny_loading = true;
        self
    }

    /// See [`Directive::volatile`].
    pub const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Names what `CONFIG SET` must bring about.
    pub const fn apply(mut self, apply: Apply) -> Self {
        self.apply = apply;
        self
    }

    /// Marks a directive that may only keep its default in this build, and why.
    pub const fn refused(mut self, reason: &'static str) -> Self {
        self.honoured = Honoured::Refused(reason);
        self
    }

    /// Marks a directive with a syntax of its own that is only known.
    pub const fn not_yet(mut self) -> Self {
        self.honoured = Honoured::NotYet;
        self
    }

    /// Marks a directive of older configurations that asks for nothing which is not so anyway: no warning.
    pub const fn accepted(mut self) -> Self {
        self.honoured = Honoured::Yes;
        self
    }

    /// Whether several arguments are expected, so that one argument is split at spaces.
    pub fn takes_many(&self) -> bool {
        match &self.kind {
            Kind::Choice { many, .. } => *many,
            Kind::Special(special) => special.many,
            _ => false,
        }
    }

    /// Reads and checks the arguments of one occurrence; the error is what Redis would say.
    pub fn parse(&self, args: &[Vec<u8>]) -> Result<Setting, String> {
        let one = || match args {
            [arg] => Ok(arg.as_slice()),
            _ => Err("wrong number of arguments".to_owned()),
        };
        match &self.kind {
            Kind::Bool { .. } => value::parse_bool(one()?).map(Setting::Bool),
            Kind::Number { range, .. } => range.parse(one()?).map(Setting::Number),
            Kind::Choice { choices, many, .. } => {
                let bits = value::parse_choice(choices, args, *many)?;
                if *many {
                    signal_flags_agree(bits)?
                }
                Ok(Setting::Choice(bits))
            }
            Kind::Text { check, .. } => {
                // Redis keeps these as C strings, but secrets with their length.
                let text = one()?;
                let end = if self.sensitive { None } else { text.iter().position(|&b| b == 0) };
                let text = &text[..end.unwrap_or(text.len())];
                check(text)?;
                Ok(Setting::Text(text.to_vec()))
            }
            Kind::Special(special) => {
                (special.set)(&mut Config::default(), args)?;
                Ok(Setting::Args(args.to_vec()))
            }
        }
    }

    /// Puts a value that [`Directive::parse`] gave into its place.
    pub fn store(&self, config: &mut Config, setting: Setting) -> Result<(), String> {
        match (&self.kind, setting) {
            (Kind::Bool { field: Some(field), .. }, Setting::Bool(value)) => (field.set)(config, value),
            (Kind::Number { field: Some(field), .. }, Setting::Number(value)) => (field.set)(config, value),
            (Kind::Choice { field: Some(field), .. }, Setting::Choice(value)) => (field.set)(config, value),
            (Kind::Text { field: Some(field), .. }, Setting::Text(value)) => (field.set)(config, value),
            (Kind::Special(special), Setting::Args(args)) => return (special.set)(config, &args),
            (_, setting) if setting == self.default() => {
                config.kept.remove(self.name);
            }
            (_, setting) => {
                config.kept.insert(self.name, setting);
            }
        }
        Ok(())
    }

    /// The current value; for a directive with a syntax of its own its printed form.
    pub fn current(&self, config: &Config) -> Setting {
        match &self.kind {
            Kind::Bool { field: Some(field), .. } => Setting::Bool(*(field.get)(config)),
            Kind::Number { field: Some(field), .. } => Setting::Number((field.get)(config)),
            Kind::Choice { field: Some(field), .. } => Setting::Choice((field.get)(config)),
            Kind::Text { field: Some(field), .. } => Setting::Text((field.get)(config).to_vec()),
            Kind::Special(special) => Setting::Args(vec![(special.get)(config)]),
            _ => config.kept.get(self.name).cloned().unwrap_or_else(|| self.default()),
        }
    }

    /// The default value, in the shape of [`Directive::current`].
    pub fn default(&self) -> Setting {
        match &self.kind {
            Kind::Bool { default, .. } => Setting::Bool(*default),
            Kind::Number { default, .. } => Setting::Number(*default),
            Kind::Choice { default, .. } => Setting::Choice(*default),
            Kind::Text { default, .. } => Setting::Text(default.as_bytes().to_vec()),
            Kind::Special(special) => Setting::Args(vec![special.default.as_bytes().to_vec()]),
        }
    }

    /// The text that `CONFIG GET` shows for a value.
    pub fn print(&self, setting: &Setting) -> Vec<u8> {
        match (&self.kind, setting) {
            (_, Setting::Bool(value)) => value::print_bool(*value).into(),
            (Kind::Number { range, .. }, Setting::Number(value)) => range.print(*value).into_bytes(),
            (Kind::Choice { choices, many, .. }, Setting::Choice(value)) => {
                value::print_choice(choices, *value, *many).into_bytes()
            }
            (_, Setting::Text(text)) => text.clone(),
            (_, Setting::Args(args)) => args.join(&b' '),
            (_, Setting::Number(_) | Setting::Choice(_)) => {
                unreachable!("{}: a value of another kind", self.name)
            }
        }
    }
}

/// The only directives with flags are about signals: saving and not saving exclude each other.
fn signal_flags_agree(bits: u32) -> Result<(), String> {
    use super::ShutdownFlags;
    match ShutdownFlags(bits).save() && ShutdownFlags(bits).nosave() {
        true => Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned()),
        false => Ok(()),
    }
}
