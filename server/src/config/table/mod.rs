//! Every directive, once, by subject.

mod data;
mod general;
mod network;
mod persistence;
mod replication;
mod tls;

use common::config::value::{Range, Unit};

use super::directive::Directive;

/// A typed field of the configuration, for the table: `field!(port)` in an entry of the matching kind.
macro_rules! field {
    (bool $name:ident) => {
        Some(crate::config::directive::Field { get: |c| &c.$name, set: |c, value| c.$name = value })
    };
    (number $name:ident) => {
        Some(crate::config::directive::NumberField { get: |c| c.$name as i128, set: |c, v| c.$name = v as _ })
    };
    (text $name:ident) => {
        Some(crate::config::directive::Field { get: |c| c.$name.as_bytes(), set: |c, v| c.$name = v.into() })
    };
    (choice $name:ident: $type:ident) => {
        Some(crate::config::directive::ChoiceField {
            get: |c| c.$name as u32,
            set: |c, value| c.$name = crate::config::$type::from_choice(value),
        })
    };
}
use field;

/// A subject: its heading in the sample file and its directives.
pub struct Section {
    /// Heading.
    pub title: &'static str,
    /// Entries, in the sample file's order.
    pub directives: &'static [Directive],
}

/// All subjects in the sample file's order.
pub const SECTIONS: &[Section] = &[
    Section { title: "Network", directives: network::DIRECTIVES },
    Section { title: "TLS", directives: tls::DIRECTIVES },
    Section { title: "General", directives: general::DIRECTIVES },
    Section { title: "Snapshots", directives: persistence::SNAPSHOTS },
    Section { title: "Append-only file", directives: persistence::APPEND_ONLY },
    Section { title: "Replication", directives: replication::DIRECTIVES },
    Section { title: "Security", directives: general::SECURITY },
    Section { title: "Clients and limits", directives: network::LIMITS },
    Section { title: "Memory and eviction", directives: data::MEMORY },
    Section { title: "Expiry and lazy freeing", directives: data::FREEING },
    Section { title: "Encodings", directives: data::ENCODINGS },
    Section { title: "Observation", directives: data::OBSERVATION },
    Section { title: "Cluster", directives: replication::CLUSTER },
];

/// Every directive in the table's order.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    SECTIONS.iter().flat_map(|section| section.directives)
}

/// The directive of this name or alias, in any case, and which of the two it was.
pub fn find(name: &[u8]) -> Option<(&'static Directive, &'static str)> {
    all().find_map(|directive| {
        let names = [Some(directive.name), directive.alias, directive.also];
        let found = names.into_iter().flatten().find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some((directive, found))
    })
}

/// Directives of older versions that are accepted and mean nothing any more, with one argument.
pub const FORGOTTEN: &[&str] =
    &["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

const INT_MAX: i128 = i32::MAX as i128;
const LONG_MAX: i128 = i64::MAX as i128;

const fn plain(min: i128, max: i128) -> Range {
    Range { min, max, unit: Unit::Plain }
}

const fn memory(min: i128, max: i128) -> Range {
    Range { min, max, unit: Unit::Memory }
}
