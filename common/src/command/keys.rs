//! Where a command's keys are: key specs as Redis 7 defines them, and their evaluation against a request.

use super::Args;
use crate::number::parse_i64;

/// What a command does with a key; the first word of each name is the wire flag `RW`, `RO`, `OW` or `RM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `RO access`: reads the value.
    Read,
    /// `RO`: reads metadata only.
    Meta,
    /// `RW access delete`: returns and removes parts of the value.
    RwDelete,
    /// `RW delete`: removes parts of the value.
    Delete,
    /// `RW insert`: adds to the value.
    RwInsert,
    /// `RW access update`: returns and changes the value.
    RwUpdate,
    /// `RW update`: changes the value.
    Update,
    /// `OW update`: overwrites the value.
    Overwrite,
    /// `OW insert`: writes the value only where there was none.
    Create,
    /// `RW access`: reads the value and may rewrite it to the same effect, as PFCOUNT.
    ReadWrite,
    /// `RW access insert`: adds to the value after a look at it, as PFMERGE.
    RwMerge,
    /// `RW delete update`: changes the value and removes parts.
    DeleteUpdate,
    /// `RW access update variable_flags`: only reads where all options do, as BITFIELD with nothing but GET.
    Bitfield,
    /// `RM delete`: removes the value.
    Remove,
    /// `RW access update variable_flags`: depends on options, as SET with GET.
    Variable,
    /// `RW delete variable_flags`: removes the value, and reads it before if there is a condition, as DELEX.
    VariableDelete,
    /// `RW access update`, keys of scripts: anything may happen.
    Script,
    /// `RO access` for the read-only forms of scripts.
    ScriptRead,
    /// `not_key`: a channel.
    NotKey,
}

impl Access {
    /// Wire names of the flags.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Read | Self::ScriptRead => &["RO", "access"],
            Self::Meta => &["RO"],
            Self::Delete => &["RW", "delete"],
            Self::RwDelete => &["RW", "access", "delete"],
            Self::RwInsert => &["RW", "insert"],
            Self::RwUpdate | Self::Script => &["RW", "access", "update"],
            Self::Update => &["RW", "update"],
            Self::Overwrite => &["OW", "update"],
            Self::Create => &["OW", "insert"],
            Self::Remove => &["RM", "delete"],
            Self::ReadWrite => &["RW", "access"],
            Self::RwMerge => &["RW", "access", "insert"],
            Self::DeleteUpdate => &["RW", "delete", "update"],
            Self::Variable | Self::Bitfield => &["RW", "access", "update", "variable_flags"],
            Self::VariableDelete => &["RW", "delete", "variable_flags"],
            Self::NotKey => &["not_key"],
        }
    }
}

/// Where the keys begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// At a word's index.
    Index(usize),
    /// Behind a keyword, searched from an index.
    Keyword(&'static str, usize),
    /// Where no rule can say: this tells why, and how the keys are found all the same.
    Unknown(Unknown),
}

/// Keys of which a client can't say where they are; goes with [`Find::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The keys that SORT makes from patterns and elements: they are no words of the request.
    SortPatterns,
    /// SORT's target: behind the last STORE that is no option's argument.
    SortStore,
}

impl Unknown {
    /// The note in `COMMAND INFO`.
    pub fn note(self) -> &'static str {
        match self {
            Self::SortPatterns => {
                "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort"
            }
            Self::SortStore => {
                "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array"
            }
        }
    }

    /// The index of the key, if it is in the request.
    fn find(self, args: &Args<'_>) -> Option<usize> {
        match self {
            Self::SortPatterns => None,
            Self::SortStore => sort_target(args),
        }
    }
}

/// Where SORT stores, as far as can be told without refusing what SORT would refuse.
fn sort_target(args: &Args<'_>) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while at < args.count() {
        let word = args.get(at);
        let is = |option: &[u8]| word.eq_ignore_ascii_case(option);
        if is(b"limit") {
            at += 2;
        } else if is(b"get") || is(b"by") {
            at += 1;
        } else if is(b"store") && at + 1 < args.count() {
            found = Some(at + 1);
        }
        at += 1;
    }
    found
}

/// How keys are found from where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Last key relative to the first (negative: from the end), step, limit (a fraction of the rest; 0 = none).
    Range(i64, usize, usize),
    /// Index of the count, of the first key, and step, relative to where keys begin.
    Count(usize, usize, usize),
    /// No rule says.
    Unknown,
}

/// One rule that finds keys.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Where keys begin.
    pub search: Search,
    /// How they are found from there.
    pub find: Find,
    /// What happens to them.
    pub access: Access,
}

impl KeySpec {
    /// One key at `index`.
    pub const fn one(index: usize, access: Access) -> Self {
        Self { search: Search::Index(index), find: Find::Range(0, 1, 0), access }
    }

    /// Keys from `index` to word `last` counted from the end (-1 is the last), every `step` words.
    pub const fn until(index: usize, last: i64, step: usize, access: Access) -> Self {
        Self { search: Search::Index(index), find: Find::Range(last, step, 0), access }
    }

    /// The key behind a keyword, which is searched from an index on.
    pub const fn behind(word: &'static str, from: usize, access: Access) -> Self {
        Self { search: Search::Keyword(word, from), find: Find::Range(0, 1, 0), access }
    }

    /// Keys that no rule finds.
    pub const fn unknown(why: Unknown, access: Access) -> Self {
        Self { search: Search::Unknown(why), find: Find::Unknown, access }
    }

    /// A count at `index`, behind it pairs of a key and a value.
    pub const fn counted_pairs(index: usize, access: Access) -> Self {
        Self { search: Search::Index(index), find: Find::Count(0, 1, 2), access }
    }

    /// A count at `index`, its keys behind it.
    pub const fn counted(index: usize, access: Access) -> Self {
        Self { search: Search::Index(index), find: Find::Count(0, 1, 1), access }
    }

    /// What this request does with the keys: SET reads the old value only with GET or to compare it.
    fn access_of(&self, args: &Args<'_>) -> Access {
        let reads = |word: &[u8]| {
            let options: [&[u8]; 5] = [b"get", b"ifeq", b"ifne", b"ifdeq", b"ifdne"];
            options.iter().any(|option| word.eq_ignore_ascii_case(option))
        };
        match self.access {
            Access::Variable if args.all().skip(3).any(reads) => Access::RwUpdate,
            Access::Variable => Access::Overwrite,
            Access::Bitfield if only_gets(args) => Access::Read,
            Access::Bitfield => Access::RwUpdate,
            Access::VariableDelete if args.count() > 2 => Access::RwDelete,
            Access::VariableDelete => Access::Remove,
            access => access,
        }
    }

    /// Appends the indexes of this rule's keys in `args`; false when the request does not fit the rule.
    pub fn find(&self, args: &Args<'_>, out: &mut Vec<KeyRef>) -> bool {
        let argc = args.count() as i64;
        let first = match self.search {
            Search::Index(index) => index as i64,
            Search::Unknown(which) => {
                out.extend(which.find(args).map(|index| KeyRef { index, access: self.access }));
                return true;
            }
            Search::Keyword(word, from) => {
                // The last word has nothing behind it and is taken for something else.
                let words = from..args.count().saturating_sub(1);
                let found = words.into_iter().find(|&i| args.get(i).eq_ignore_ascii_case(word.as_bytes()));
                match found {
                    Some(at) => at as i64 + 1,
                    None => return true, // the optional part is absent
                }
            }
        };
        let (first, last, step) = match self.find {
            Find::Unknown => return false,
            Find::Range(last, step, limit) => {
                let last = match (last, limit) {
                    (0.., _) => first + last,
                    (_, 0 | 1) => argc + last,
                    (_, limit) => first + (argc - first) / limit as i64 + last,
                };
                (first, last, step)
            }
            Find::Count(count_at, first_at, step) => {
                let at = first + count_at as i64;
                let Some(count) = (at < argc).then(|| parse_i64(args.get(at as usize))).flatten() else {
                    return false;
                };
                if count < 0 || count > argc {
                    return false;
                }
                let first = first + first_at as i64;
                (first, first + (count - 1) * step as i64, step)
            }
        };
        if last < first {
            return true;
        }
        if first < 1 || last >= argc {
            return false;
        }
        let keys = (first..=last).step_by(step.max(1));
        let access = self.access_of(args);
        out.extend(keys.map(|index| KeyRef { index: index as usize, access }));
        true
    }
}

/// Whether a BITFIELD reads only: every operation behind the key is GET and its two words, OVERFLOW and its one aside.
fn only_gets(args: &Args<'_>) -> bool {
    let mut at = 2;
    while at < args.count() {
        let word = args.get(at);
        if word.eq_ignore_ascii_case(b"get") && at + 2 < args.count() {
            at += 3;
        } else if word.eq_ignore_ascii_case(b"overflow") && at + 1 < args.count() {
            at += 2;
        } else {
            return false;
        }
    }
    true
}

/// A key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Index of the word.
    pub index: usize,
    /// What the command does with it.
    pub access: Access,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: KeySpec, line: &str, expected: Option<&[usize]>) {
        let words: Vec<Vec<u8>> = line.split(' ').map(|w| w.as_bytes().to_vec()).collect();
        let mut keys = Vec::new();
        let fits = spec.find(&Args::of(&words), &mut keys);
        let indexes: Vec<usize> = keys.iter().map(|k| k.index).collect();
        assert_eq!(fits.then_some(&indexes[..]), expected, "{line}");
    }

    #[test]
    fn keys_are_found() {
        check(KeySpec::one(1, Access::Read), "GET k", Some(&[1]));
        check(KeySpec::until(1, -1, 1, Access::Read), "MGET a b c", Some(&[1, 2, 3]));
        check(KeySpec::until(1, -1, 2, Access::Overwrite), "MSET a 1 b 2", Some(&[1, 3]));
        check(KeySpec::until(1, -2, 1, Access::RwDelete), "BLPOP a b 0", Some(&[1, 2]));
        check(KeySpec::counted(2, Access::Script), "EVAL s 2 a b c", Some(&[3, 4]));
        check(KeySpec::counted(2, Access::Script), "EVAL s 0", Some(&[]));
        check(KeySpec::counted(2, Access::Script), "EVAL s 9 a", None);
        check(KeySpec::counted_pairs(1, Access::Overwrite), "MSETEX 2 a 1 b 2 EX 9", Some(&[2, 4]));
        check(KeySpec::counted_pairs(1, Access::Overwrite), "MSETEX 3 a 1 b 2", None);
        check(KeySpec::counted(2, Access::Script), "EVAL s x a", None);
        let store = KeySpec::unknown(Unknown::SortStore, Access::Overwrite);
        check(store, "SORT k", Some(&[]));
        check(store, "SORT k DESC store t", Some(&[4]));
        check(store, "SORT k GET store STORE t LIMIT store 1 STORE u", Some(&[10]));
        check(store, "SORT k STORE", Some(&[]));
        check(KeySpec::unknown(Unknown::SortPatterns, Access::Read), "SORT k BY w*", Some(&[]));
        let streams = KeySpec {
            search: Search::Keyword("STREAMS", 1),
            find: Find::Range(-1, 1, 2),
            access: Access::Read,
        };
        check(streams, "XREAD COUNT 1 STREAMS a b 0 0", Some(&[4, 5]));
        let target = KeySpec::behind("STORE", 6, Access::Overwrite);
        check(target, "GEORADIUS k 1 1 1 km ASC store t", Some(&[8]));
        check(target, "GEORADIUS k 1 1 1 km STORE", Some(&[]));
    }

    #[test]
    fn options_decide_what_happens_to_a_key() {
        let check = |access, line: &str, expected| {
            let words: Vec<Vec<u8>> = line.split(' ').map(|w| w.as_bytes().to_vec()).collect();
            assert_eq!(KeySpec::one(1, access).access_of(&Args::of(&words)), expected, "{line}");
        };
        check(Access::Variable, "SET k v EX 1", Access::Overwrite);
        check(Access::Variable, "SET k get", Access::Overwrite);
        check(Access::Variable, "SET k v GET", Access::RwUpdate);
        check(Access::Variable, "SET k v IFEQ x", Access::RwUpdate);
        check(Access::Bitfield, "BITFIELD k GET u8 0 overflow sat get i4 #2", Access::Read);
        check(Access::Bitfield, "BITFIELD k GET u8 0 SET u8 0 1", Access::RwUpdate);
        check(Access::Bitfield, "BITFIELD k GET u8", Access::RwUpdate);
        check(Access::VariableDelete, "DELEX k", Access::Remove);
        check(Access::VariableDelete, "DELEX k IFEQ v", Access::RwDelete);
    }
}
