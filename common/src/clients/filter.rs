//! Which clients CLIENT LIST and CLIENT KILL mean: by the filters of Redis and those that Valkey 9 adds.
//!
//! A client is meant that every filter picks. A name with NOT- in front picks the others.

use super::registry::{Client, ClientClass, Extension, Slot};
use crate::command::{Args, CommandError};
use crate::context::Context;
use crate::number::parse_i64;
use std::mem::discriminant;

/// What one filter asks for.
#[derive(Debug)]
enum Term<'a> {
    /// One of these ids.
    Ids(Vec<i64>),
    Class(ClientClass),
    /// A user that exists, which is the one of those who are in.
    User,
    Address(&'a [u8]),
    Local(&'a [u8]),
    /// The address without the port.
    Ip(&'a [u8]),
    Name(&'a [u8]),
    LibName(&'a [u8]),
    LibVersion(&'a [u8]),
    Db(u32),
    /// All of these letters, as CLIENT LIST shows them.
    Flags(&'a [u8]),
    Capabilities(&'a [u8]),
    /// At least so many seconds since it connected, or since its last command.
    Age(i64),
    Idle(i64),
}

/// Letters that the `flags` field may show.
const FLAGS: &[u8] = b"AbBcdeIMNOPrRStTuUx";
/// Letters that the `capa` field may show.
const CAPABILITIES: &[u8] = b"r";

/// Filters as they came.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    /// What is asked for, and whether those are meant who are otherwise.
    terms: Vec<(Term<'a>, bool)>,
    /// Whether the client that asks is left out, when it said so.
    pub(super) skip_me: Option<bool>,
}

impl<'a> Filter<'a> {
    /// All clients at an address: CLIENT KILL as it was first.
    pub(super) fn by_address(address: &'a [u8]) -> Self {
        Self { terms: vec![(Term::Address(address), false)], skip_me: None }
    }

    /// Reads filters to the end of the words. `bad_id` is what the command says of an id that is none; only one that is
    /// to be killed must be positive.
    pub(super) fn parse<C: Context>(
        cx: &C,
        args: &mut Args<'a>,
        bad_id: &'static str,
        positive: bool,
    ) -> Result<Self, CommandError> {
        let mut filter = Self::default();
        while let Some(option) = args.try_next() {
            let option = option.to_ascii_lowercase();
            if option == b"skipme" {
                filter.skip_me = Some(match args.expect_next()?.to_ascii_lowercase().as_slice() {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(CommandError::Syntax),
                });
                continue;
            }
            let (name, negated) = match option.strip_prefix(b"not-") {
                Some(name) => (name, true),
                None => (&option[..], false),
            };
            let term = match name {
                b"id" => Term::Ids(ids(args, bad_id, positive)?),
                b"maxage" if !negated => Term::Age(seconds(args, AGE)?),
                b"idle" if !negated => Term::Idle(seconds(args, IDLE)?),
                _ => term(cx, name, args)?,
            };
            filter.add(term, negated);
        }
        Ok(filter)
    }

    /// Ids add up; of any other filter that is named twice the last counts.
    fn add(&mut self, term: Term<'a>, negated: bool) {
        let same = self
            .terms
            .iter_mut()
            .find(|(other, not)| *not == negated && discriminant(other) == discriminant(&term));
        match (same, term) {
            (Some((Term::Ids(ids), _)), Term::Ids(more)) => ids.extend(more),
            (Some((other, _)), term) => *other = term,
            (None, term) => self.terms.push((term, negated)),
        }
    }

    /// Whether a client is meant; `asks` is the one that asks.
    pub(super) fn picks<X: Extension>(&self, client: &Client<X>, asks: Slot, now_ms: i64) -> bool {
        (self.skip_me != Some(true) || client.slot != asks)
            && self.terms.iter().all(|(term, negated)| term.holds(client, now_ms) != *negated)
    }
}

impl Term<'_> {
    fn holds<X: Extension>(&self, client: &Client<X>, now_ms: i64) -> bool {
        let library = || client.library.as_deref().map_or((&b""[..], &b""[..]), |(lib, ver)| (lib, ver));
        let has_all = |shown: &str, letters: &[u8]| letters.iter().all(|one| shown.as_bytes().contains(one));
        match self {
            Self::Ids(ids) => ids.contains(&client.id.cast_signed()),
            Self::Class(class) => client.class() == *class,
            Self::User => client.authenticated,
            Self::Address(address) => client.address().as_bytes() == *address,
            Self::Local(address) => client.local_address().as_bytes() == *address,
            Self::Ip(ip) => {
                let address = client.address();
                address.rsplit_once(':').map_or(address, |(ip, _)| ip).as_bytes() == *ip
            }
            Self::Name(name) => client.name == *name,
            Self::LibName(name) => library().0 == *name,
            Self::LibVersion(version) => library().1 == *version,
            Self::Db(db) => client.db == *db,
            Self::Flags(letters) => has_all(&client.flags(), letters),
            Self::Capabilities(letters) => has_all(client.ext.capabilities(), letters),
            Self::Age(age_s) => (now_ms - client.created_ms) / 1000 >= *age_s,
            Self::Idle(idle_s) => (now_ms - client.active_ms) / 1000 >= *idle_s,
        }
    }
}

fn term<'a, C: Context>(cx: &C, name: &[u8], args: &mut Args<'a>) -> Result<Term<'a>, CommandError> {
    let value = |args: &mut Args<'a>| args.expect_next();
    Ok(match name {
        b"type" => Term::Class(class_named(value(args)?)?),
        b"user" => {
            let user = value(args)?;
            if !cx.user_exists(user) {
                return Err(CommandError::quoting("ERR No such user '", user, "'"));
            }
            Term::User
        }
        b"addr" => Term::Address(value(args)?),
        b"laddr" => Term::Local(value(args)?),
        b"ip" => Term::Ip(value(args)?),
        b"name" => Term::Name(value(args)?),
        b"lib-name" => Term::LibName(value(args)?),
        b"lib-ver" => Term::LibVersion(value(args)?),
        b"db" => {
            let db = parse_i64(value(args)?).and_then(|db| u32::try_from(db).ok());
            Term::Db(db.ok_or(CommandError::Text("ERR DB is not an integer or out of range"))?)
        }
        b"flags" => {
            Term::Flags(letters(value(args)?, FLAGS, "ERR Unknown flags found in the provided filter: ")?)
        }
        b"capa" => {
            let unknown = "ERR Unknown capa found in the provided filter: ";
            Term::Capabilities(letters(value(args)?, CAPABILITIES, unknown)?)
        }
        _ => return Err(CommandError::Syntax),
    })
}

fn letters<'a>(word: &'a [u8], known: &[u8], unknown: &'static str) -> Result<&'a [u8], CommandError> {
    if word.iter().all(|letter| known.contains(letter)) {
        Ok(word)
    } else {
        Err(CommandError::quoting(unknown, word, ""))
    }
}

/// What is said of a number of seconds that is none, and of one that is not positive.
type Complaints = (&'static str, &'static str);

const AGE: Complaints =
    ("ERR maxage is not an integer or out of range", "ERR maxage should be greater than 0");
const IDLE: Complaints = ("ERR idle is not an integer or out of range", "ERR idle should be greater than 0");

fn seconds(args: &mut Args<'_>, (no_number, too_small): Complaints) -> Result<i64, CommandError> {
    let seconds = parse_i64(args.expect_next()?).ok_or(CommandError::Text(no_number))?;
    if seconds > 0 { Ok(seconds) } else { Err(too_small.into()) }
}

/// One id or several, up to the next word that is no number.
fn ids(args: &mut Args<'_>, bad_id: &'static str, positive: bool) -> Result<Vec<i64>, CommandError> {
    let mut ids = Vec::new();
    let first = args.expect_next()?;
    let mut take = |word: &[u8]| {
        let id = parse_i64(word).filter(|id| *id > 0 || !positive).ok_or(CommandError::Text(bad_id))?;
        ids.push(id);
        Ok::<(), CommandError>(())
    };
    take(first)?;
    while let Some(word) = args.peek() {
        // A filter has a name; what has none is meant as an id.
        if word.first().is_some_and(u8::is_ascii_alphabetic) && word.len() > 1 {
            break;
        }
        take(args.next())?;
    }
    Ok(ids)
}

/// The class of clients that a word names.
fn class_named(name: &[u8]) -> Result<ClientClass, CommandError> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientClass::Normal),
        b"master" | b"primary" => Ok(ClientClass::Master),
        b"slave" | b"replica" => Ok(ClientClass::Replica),
        b"pubsub" => Ok(ClientClass::PubSub),
        _ => Err(CommandError::quoting("ERR Unknown client type '", name, "'")),
    }
}
