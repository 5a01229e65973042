//! All commands of a daemon, found by name.

use super::error::quoted;
use super::{Access, Args, Command, CommandError, Daemon, Find, Flags, KeyRef, Search};

/// Index of a command or subcommand in the table; per-command statistics are kept by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(u16);

impl CommandId {
    /// The index, below [`Table::len`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

struct Entry<D: Daemon> {
    command: &'static Command<D>,
    /// Lower-case name, `container|subcommand` for a subcommand.
    full_name: String,
    /// What requests call it: its name unless it was renamed. Empty when it can't be called.
    called: Box<[u8]>,
    /// Ids of the subcommands: a range of the entries.
    subcommands: std::ops::Range<u16>,
}

/// The command table: built once at the start, read by everyone.
pub struct Table<D: Daemon> {
    entries: Vec<Entry<D>>,
    /// Number of entries that are no subcommands; they come first.
    top: usize,
    /// Those of them that can be called.
    callable: Vec<CommandId>,
    /// Open-addressed: entry index + 1 by the hash of the name, 0 = free. A power of two, at most half full.
    slots: Vec<u16>,
}

impl<D: Daemon> Table<D> {
    /// Gathers the commands of all families. A container that an earlier family has already adds its subcommands to that.
    ///
    /// # Panics
    /// When two commands share a name: a mistake in the tables.
    pub fn new(families: &[&'static [Command<D>]]) -> Self {
        let mut entries: Vec<Entry<D>> = Vec::new();
        let mut more: Vec<(usize, &'static [Command<D>])> = Vec::new();
        for command in families.iter().flat_map(|family| family.iter()) {
            let known = entries.iter().position(|entry| entry.full_name == command.name);
            if let Some(container) = known.filter(|_| !command.subcommands.is_empty()) {
                more.push((container, command.subcommands));
                continue;
            }
            entries.push(Entry {
                command,
                full_name: command.name.to_owned(),
                called: command.name.as_bytes().into(),
                subcommands: 0..0,
            });
        }
        let top = entries.len();
        for parent in 0..top {
            let command = entries[parent].command;
            let start = entries.len() as u16;
            let added = more.iter().filter(|(container, _)| *container == parent).flat_map(|(_, subs)| *subs);
            for sub in command.subcommands.iter().chain(added) {
                let full_name = format!("{}|{}", command.name, sub.name);
                entries.push(Entry {
                    command: sub,
                    full_name,
                    called: sub.name.as_bytes().into(),
                    subcommands: 0..0,
                });
            }
            entries[parent].subcommands = start..entries.len() as u16;
        }
        let mut table = Self { slots: Vec::new(), entries, top, callable: Vec::new() };
        table.index();
        table
    }

    /// Has requests call a command by another name, or by none: `rename-command`. Statistics and documentation keep the
    /// old name.
    ///
    /// # Panics
    /// When there is no such command, or another has the new name: the configuration is checked before.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) {
        let id = self.find(from).expect("a command is renamed that there is");
        assert!(self.find(to).is_none() || self.find(to) == Some(id), "two commands have one name");
        self.entries[id.index()].called = to.into();
        self.index();
    }

    /// Makes the commands findable by what they are called.
    fn index(&mut self) {
        self.slots = vec![0; (self.top * 2).next_power_of_two()];
        self.callable.clear();
        for index in 0..self.top {
            let called = self.entries[index].called.clone();
            if called.is_empty() {
                continue;
            }
            let name = String::from_utf8_lossy(&called);
            let slot = self.probe(&called).expect_err(&format!("two commands are named {name}"));
            self.slots[slot] = index as u16 + 1;
            self.callable.push(CommandId(index as u16));
        }
    }

    /// Number of commands and subcommands.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no command.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The command called `name`, in any case.
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        self.probe(name).ok().map(CommandId)
    }

    /// The command or `container|subcommand` called `name`.
    pub fn find_full(&self, name: &[u8]) -> Option<CommandId> {
        match name.iter().position(|&b| b == b'|') {
            None => self.find(name),
            Some(at) => self.subcommand(self.find(&name[..at])?, &name[at + 1..]),
        }
    }

    /// The subcommand `name` of `container`.
    pub fn subcommand(&self, container: CommandId, name: &[u8]) -> Option<CommandId> {
        let mut range = self.entries[container.index()].subcommands.clone();
        range
            .find(|&i| self.entries[usize::from(i)].command.name.as_bytes().eq_ignore_ascii_case(name))
            .map(CommandId)
    }

    /// Finds what a request asks for, subcommand included, and checks the number of its words.
    ///
    /// # Errors
    /// Redis's texts for an unknown command or subcommand and for a wrong number of arguments.
    pub fn resolve(&self, args: &Args<'_>) -> Result<CommandId, CommandError> {
        let id = self.named(args)?;
        if !self.command(id).arity.accepts(args.count()) {
            return Err(CommandError::Arity(self.full_name(id).to_owned().into()));
        }
        Ok(id)
    }

    /// As [`Self::resolve`], whatever the number of words.
    ///
    /// # Errors
    /// Redis's texts for an unknown command or subcommand.
    pub fn named(&self, args: &Args<'_>) -> Result<CommandId, CommandError> {
        let Some(id) = self.find(args.get(0)) else { return Err(unknown_command(args)) };
        if self.entries[id.index()].subcommands.is_empty() || args.count() < 2 {
            return Ok(id);
        }
        self.subcommand(id, args.get(1)).ok_or_else(|| unknown_subcommand(args))
    }

    /// The command that a hint names by index + 1; 0 names none.
    #[inline]
    pub fn by_hint(&self, command: u16) -> Option<CommandId> {
        command.checked_sub(1).map(CommandId)
    }

    /// Whether the command runs scripts, or queued ones that may (EXEC).
    pub fn is_special(&self, id: CommandId) -> bool {
        self.command(id).flags.any(Flags::SCRIPT_RUNNER.and(Flags::RUNS_QUEUED))
    }

    /// The entry behind an id.
    pub fn command(&self, id: CommandId) -> &'static Command<D> {
        self.entries[id.index()].command
    }

    /// Lower-case name, `container|subcommand` for a subcommand.
    pub fn full_name(&self, id: CommandId) -> &str {
        &self.entries[id.index()].full_name
    }

    /// Ids of the subcommands of `id`.
    pub fn subcommands(&self, id: CommandId) -> impl ExactSizeIterator<Item = CommandId> + use<D> {
        self.entries[id.index()].subcommands.clone().map(CommandId)
    }

    /// All commands that can be called and are no subcommands.
    pub fn top(&self) -> impl ExactSizeIterator<Item = CommandId> + '_ {
        self.callable.iter().copied()
    }

    /// All commands that can be called, each with its subcommands behind it.
    pub fn callable(&self) -> impl Iterator<Item = CommandId> + '_ {
        self.top().flat_map(|id| std::iter::once(id).chain(self.subcommands(id)))
    }

    /// All commands and subcommands.
    pub fn all(&self) -> impl ExactSizeIterator<Item = CommandId> + use<D> {
        (0..self.entries.len() as u16).map(CommandId)
    }

    /// The keys of a request for `id`; `None` when the request does not fit the key specs.
    pub fn keys(&self, id: CommandId, args: &Args<'_>) -> Option<Vec<KeyRef>> {
        let mut keys = Vec::new();
        let fits = self
            .command(id)
            .keys
            .iter()
            .filter(|s| s.access != Access::NotKey)
            .all(|s| s.find(args, &mut keys));
        fits.then_some(keys)
    }

    fn probe(&self, name: &[u8]) -> Result<u16, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = name_hash(name) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return Err(slot),
                found if self.entries[usize::from(found) - 1].called.eq_ignore_ascii_case(name) => {
                    return Ok(found - 1);
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

/// A cheap hash of a name in any case: names are ours, so nobody can choose colliding ones.
fn name_hash(name: &[u8]) -> u64 {
    let mut word = [0; 8];
    let head = name.len().min(8);
    word[..head].copy_from_slice(&name[..head]);
    let folded = u64::from_le_bytes(word) | 0x2020_2020_2020_2020;
    let last = u64::from(name.last().copied().unwrap_or(0) | 0x20);
    (folded ^ (last << 56) ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

/// Longest stretch of a request that an error quotes, in bytes.
const QUOTED: usize = 128;

#[cold]
fn unknown_command(args: &Args<'_>) -> CommandError {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend(quoted(args.get(0)).iter().take(QUOTED));
    text.extend_from_slice(b"', with args beginning with: ");
    let start = text.len();
    for arg in args.rest() {
        let used = text.len() - start;
        if used >= QUOTED {
            break;
        }
        text.push(b'\'');
        text.extend(quoted(arg).iter().take(QUOTED - used));
        text.extend_from_slice(b"' ");
    }
    CommandError::Raw(text)
}

#[cold]
fn unknown_subcommand(args: &Args<'_>) -> CommandError {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend(quoted(args.get(1)).iter().take(QUOTED));
    text.extend_from_slice(b"'. Try ");
    text.extend(args.get(0).to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    CommandError::Raw(text)
}

/// What is documented of every command of Redis that we have: `facts.txt`, of which each line is [`facts`] of one.
const FACTS: &str = include_str!("facts.txt");

/// What clients may rely on in an entry, in one line: name, since, group, arity, flags, categories, tips and, each in
/// its own brackets, key specs as where they begin, how they are found and what happens to them.
fn facts<D: Daemon>(table: &Table<D>, id: CommandId) -> String {
    let command = table.command(id);
    let mut flags: Vec<&str> = command.flags.names().collect();
    let mut categories: Vec<&str> = command.categories().map(super::Acl::name).collect();
    flags.sort_unstable();
    categories.sort_unstable();
    let keys = command.keys.iter().map(|spec| {
        let begin = match spec.search {
            Search::Index(index) => index.to_string(),
            Search::Keyword(word, from) => format!("{word} from {from}"),
            Search::Unknown(_) => "unknown".to_owned(),
        };
        let find = match spec.find {
            Find::Range(last, step, limit) => format!("range {last} {step} {limit}"),
            Find::Count(count, first, step) => format!("count {count} {first} {step}"),
            Find::Unknown => "unknown".to_owned(),
        };
        format!("[{begin}; {find}; {}]", spec.access.flags().join(" "))
    });
    format!(
        "{} | {} | {} | {} | {} | {} | {} | {}",
        table.full_name(id),
        command.doc.since,
        command.doc.group,
        command.arity.on_the_wire(),
        flags.join(" "),
        categories.join(" "),
        command.tips.join(" "),
        keys.collect::<String>(),
    )
}

/// Checks of a table that every daemon's tests run: it agrees with `facts.txt` and with itself.
///
/// # Panics
/// When an entry contradicts itself or what is documented, or is not documented at all.
pub fn check_table<D: Daemon>(table: &Table<D>) {
    let mut wrong = Vec::new();
    for id in table.all() {
        let ours = facts(table, id);
        let name = table.full_name(id);
        match FACTS.lines().find(|line| line.split(" | ").next() == Some(name)) {
            Some(documented) if documented.trim_end() == ours.trim_end() => {}
            Some(documented) => wrong.push(format!("ours       {ours}\ndocumented {documented}")),
            None => wrong.push(format!("no such command in facts.txt: {ours}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for id in table.all() {
        let (command, name) = (table.command(id), table.full_name(id));
        assert_eq!(command.name, command.name.to_ascii_lowercase(), "{name}: lower-case names");
        assert!(!command.doc.summary.is_empty() && !command.doc.since.is_empty(), "{name}: documented");
        assert!(!command.flags.has(Flags::WRITE.and(Flags::READONLY)), "{name}: writes or reads");
        if let super::Arity::Exactly(words) = command.arity {
            for key in command.keys {
                if let super::Search::Index(at) = key.search {
                    assert!(at < usize::from(words), "{name}: key within arity");
                }
            }
        }
    }
}
