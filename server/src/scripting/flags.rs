//! What a script or a function declares of itself.

use common::command::Flags;
use std::ops::BitOr;

/// A set of declarations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags(u8);

impl ScriptFlags {
    /// It writes nothing.
    pub const NO_WRITES: Self = Self(1);
    /// It may run when there is no memory.
    pub const ALLOW_OOM: Self = Self(2);
    /// It may run on a replica that has lost its master.
    pub const ALLOW_STALE: Self = Self(4);
    /// It must not run in cluster mode.
    pub const NO_CLUSTER: Self = Self(8);
    /// It may use keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(16);

    /// The names, in the order in which FUNCTION LIST shows them.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("no-writes", Self::NO_WRITES),
        ("allow-oom", Self::ALLOW_OOM),
        ("allow-stale", Self::ALLOW_STALE),
        ("no-cluster", Self::NO_CLUSTER),
        ("allow-cross-slot-keys", Self::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// The flag of a name, in upper or lower case.
    pub fn named(name: &[u8]) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        found.map(|(_, flag)| *flag)
    }

    /// Whether all of `flags` are there.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The names of the flags that are there.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, flag)| self.has(*flag)).map(|(name, _)| name)
    }

    /// It may need memory: one that writes nothing does not.
    pub fn needs_memory(self) -> bool {
        !self.has(Self::NO_WRITES) && !self.has(Self::ALLOW_OOM)
    }

    /// The flags of the command that runs a script which declares these: they say more than the command's own.
    pub fn of_command(self, command: Flags) -> Flags {
        let undeclared = Flags::STALE.and(Flags::DENYOOM).and(Flags::WRITE).and(Flags::MAY_REPLICATE);
        let mut flags = command.without(undeclared);
        if self.needs_memory() {
            flags = flags.and(Flags::DENYOOM);
        }
        if !self.has(Self::NO_WRITES) {
            flags = flags.and(Flags::WRITE);
        }
        if self.has(Self::ALLOW_STALE) {
            flags = flags.and(Flags::STALE);
        }
        flags
    }
}

impl BitOr for ScriptFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_shown_in_order() {
        let flags =
            ["ALLOW-OOM", "no-writes"].map(|name| ScriptFlags::named(name.as_bytes()).expect("known"));
        let flags = flags[0] | flags[1];
        assert_eq!(flags.names().collect::<Vec<_>>(), ["no-writes", "allow-oom"]);
        assert_eq!(ScriptFlags::named(b"no-write"), None);
    }

    #[test]
    fn declarations_replace_the_flags_of_the_command() {
        let command = Flags::NOSCRIPT.and(Flags::STALE).and(Flags::MAY_REPLICATE);
        let plain = ScriptFlags::default().of_command(command);
        assert!(plain.has(Flags::WRITE) && plain.has(Flags::DENYOOM) && plain.has(Flags::NOSCRIPT));
        assert!(!plain.any(Flags::STALE.and(Flags::MAY_REPLICATE)));
        let reads = (ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_STALE).of_command(command);
        assert!(reads.has(Flags::STALE) && !reads.any(Flags::WRITE.and(Flags::DENYOOM)));
    }
}
