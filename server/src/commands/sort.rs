//! SORT and SORT_RO.
//!
//! The options name patterns of other keys: what to sort by, and what to reply with instead of the element. Looking one
//! of these up may delete a key that has expired, and the sorted one may be the target, too. So the elements are
//! borrowed from a clone of the value, which shares what is big.

use super::{doc, integer};
use crate::context::{Caller, Cx};
use crate::events::Event;
use crate::server::{Key, Server};
use common::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Doc, Flags, Handler, KeySpec, Outcome,
    Unknown,
};
use common::number::parse_f64;
use common::resp::Reply;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use store::{DbIndex, Element, End, Expanded, List, ObjectView, Set, SortedSet, Value};

const SORTED: KeySpec = KeySpec::one(1, Access::Read);
const PATTERNS: KeySpec = KeySpec::unknown(Unknown::SortPatterns, Access::Read);
const TARGET: KeySpec = KeySpec::unknown(Unknown::SortStore, Access::Overwrite);

const fn entry(
    name: &'static str,
    flags: Flags,
    keys: &'static [KeySpec],
    doc: Doc,
    run: Handler<crate::server::Ochre>,
) -> Command<crate::server::Ochre> {
    Command {
        name,
        arity: Arity::AtLeast(2),
        flags: flags.and(Flags::MOVABLE_KEYS),
        acl: &[Acl::Set, Acl::SortedSet, Acl::List, Acl::Dangerous],
        keys,
        tips: &[],
        doc,
        subcommands: &[],
        run,
    }
}

/// The commands.
#[rustfmt::skip]
pub const COMMANDS: &[Command<crate::server::Ochre>] = &[
    entry("sort", Flags::WRITE.and(Flags::DENYOOM), &[SORTED, PATTERNS, TARGET],
        doc("generic", "1.0.0", "O(N+M*log(M)), N elements, of which M are returned", "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]", "Sorts the elements of a list, set or sorted set, or stores them in order."), |cx, args| sort(cx, args, true)),
    entry("sort_ro", Flags::READONLY, &[SORTED, PATTERNS],
        doc("generic", "7.0.0", "O(N+M*log(M)), N elements, of which M are returned", "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]", "Sorts the elements of a list, set or sorted set."), |cx, args| sort(cx, args, false)),
];

// --- options ---------------------------------------------------------------------------------------------------------

/// A pattern that makes a key, or a key and a hash's field, from an element.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    /// `#`: the element itself.
    Itself,
    /// Without a `*`: it leads nowhere.
    Nowhere,
    /// The element goes between two parts.
    Key { before: &'a [u8], after: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    /// Reads a pattern. As in Redis a zero byte ends the search for `*` and `->`, not the pattern.
    fn parse(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Self::Itself;
        }
        let searched = c_string(text);
        let Some(star) = searched.iter().position(|byte| *byte == b'*') else { return Self::Nowhere };
        let (before, after) = (&text[..star], &text[star + 1..]);
        let arrow = searched[star + 1..].windows(2).position(|pair| pair == b"->");
        match arrow {
            Some(at) if star + 1 + at + 2 < searched.len() => {
                Self::Key { before, after: &after[..at], field: Some(&after[at + 2..]) }
            }
            _ => Self::Key { before, after, field: None },
        }
    }
}

/// What C sees of a string: the bytes before the first zero.
fn c_string(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(text)
}

struct Options<'a> {
    descending: bool,
    alpha: bool,
    /// The order is the value's own.
    unsorted: bool,
    by: Option<Pattern<'a>>,
    get: Vec<Pattern<'a>>,
    offset: i64,
    count: i64,
    target: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: &mut Args<'a>, stores: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            descending: false,
            alpha: false,
            unsorted: false,
            by: None,
            get: Vec::new(),
            offset: 0,
            count: -1,
            target: None,
        };
        while args.left() > 0 {
            if args.take("ASC") {
                options.descending = false;
            } else if args.take("DESC") {
                options.descending = true;
            } else if args.take("ALPHA") {
                options.alpha = true;
            } else if args.left() > 2 && args.take("LIMIT") {
                options.offset = integer(args.next())?;
                options.count = integer(args.next())?;
            } else if stores && args.left() > 1 && args.take("STORE") {
                options.target = Some(args.next());
            } else if args.left() > 1 && args.take("BY") {
                let pattern = Pattern::parse(args.next());
                // Once a BY said that there is no order, a later one does not bring it back.
                options.unsorted |= !matches!(pattern, Pattern::Key { .. });
                options.by = Some(pattern);
            } else if args.left() > 1 && args.take("GET") {
                options.get.push(Pattern::parse(args.next()));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// The part of `len` elements that LIMIT takes.
    fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(len)
    }
}

// --- the command -----------------------------------------------------------------------------------------------------

fn sort(cx: &mut Cx<'_>, args: &mut Args<'_>, stores: bool) -> CommandResult {
    let key = cx.key(args.next());
    let mut options = Options::parse(args, stores)?;
    let object = match cx.server.read(cx.db, key).map(|entry| entry.value()) {
        None => Source::List(List::new().expanded()),
        Some(Value::Object(object)) => match object.view() {
            ObjectView::List(list) => Source::List(list.expanded()),
            ObjectView::Set(set) => Source::Set(set.clone()),
            ObjectView::SortedSet(set) => Source::SortedSet(set.clone()),
            ObjectView::Hash(_) | ObjectView::Stream(_) => return Err(CommandError::WrongType),
        },
        Some(_) => return Err(CommandError::WrongType),
    };
    let is_replicated = options.target.is_some() || cx.caller == Caller::Script;
    if options.unsorted && is_replicated && matches!(object, Source::Set(_)) {
        // A set's own order is this server's affair: what replicas or scripts see must not hang on it.
        (options.unsorted, options.alpha, options.by) = (false, true, None);
    }
    let range = options.range(object.len());
    let sorted = if options.unsorted {
        in_own_order(&object, &options, range)
    } else {
        let mut items = weighed(cx.server, cx.db, &object, &options)?;
        items.sort_by(|a, b| options.compare(a, b));
        items.drain(range).map(|item| item.element).collect()
    };
    match options.target {
        None => reply(cx, &sorted, &options.get),
        Some(target) => store(cx, target, &sorted, &options.get),
    }
    Ok(Outcome::Done)
}

/// What is sorted: a copy, as BY and GET may look at other keys meanwhile.
enum Source {
    List(Expanded),
    Set(Set),
    SortedSet(SortedSet),
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Source::List(list) => list.len(),
            Source::Set(set) => set.len(),
            Source::SortedSet(set) => set.len(),
        }
    }

    fn elements(&self) -> Box<dyn Iterator<Item = Element<'_>> + '_> {
        match self {
            Source::List(list) => Box::new(list.iter()),
            Source::Set(set) => Box::new(set.iter()),
            Source::SortedSet(set) => Box::new(set.iter(0, false).map(|(member, _)| member)),
        }
    }
}

/// The elements in `range` of the order that the value has, reads only these where it can be entered anywhere.
fn in_own_order<'a>(object: &'a Source, options: &Options<'_>, range: Range<usize>) -> Vec<Element<'a>> {
    let count = range.len();
    match (object, options.descending) {
        (Source::List(list), false) => list.iter_from(range.start).take(count).collect(),
        (Source::List(list), true) if count > 0 => {
            list.iter_back_from(list.len() - 1 - range.start).take(count).collect()
        }
        (Source::List(_), true) => Vec::new(),
        (Source::SortedSet(set), backwards) if count > 0 => {
            let rank = if backwards { set.len() - 1 - range.start } else { range.start };
            set.iter(rank, backwards).take(count).map(|(member, _)| member).collect()
        }
        _ => object.elements().skip(range.start).take(count).collect(),
    }
}

// --- order -----------------------------------------------------------------------------------------------------------

/// An element and what it is sorted by.
struct Item<'a> {
    element: Element<'a>,
    /// With ALPHA 0.
    score: f64,
    /// Without ALPHA `None`, as for an element that BY's pattern leads nowhere.
    text: Option<Cow<'a, [u8]>>,
}

fn text<'a>(element: &Element<'a>) -> Cow<'a, [u8]> {
    match *element {
        Element::Bytes(bytes) => Cow::Borrowed(bytes),
        Element::Int(n) => Cow::Owned(itoa::Buffer::new().format(n).as_bytes().to_vec()),
    }
}

fn weighed<'a>(
    server: &mut Server,
    db: DbIndex,
    object: &'a Source,
    options: &Options<'_>,
) -> Result<Vec<Item<'a>>, CommandError> {
    let mut items = Vec::with_capacity(object.len());
    let mut all_numbers = true;
    for element in object.elements() {
        let mut item = Item { element, score: 0.0, text: None };
        let weight = match options.by {
            None => Some(text(&element)),
            Some(pattern) => resolve(server, db, pattern, &element, |bytes| Cow::Owned(bytes.to_vec())),
        };
        match (weight, &element) {
            (weight, _) if options.alpha => item.text = weight,
            (None, _) => {}
            (Some(_), Element::Int(n)) if options.by.is_none() => item.score = *n as f64,
            (Some(weight), _) => match number(&weight) {
                // Zero has one sign only: else -0 would come before 0.
                Some(score) => item.score = score + 0.0,
                None => all_numbers = false,
            },
        }
        items.push(item);
    }
    // All are looked at, and the keys of a pattern looked up, before it is refused: as Redis counts them.
    if all_numbers { Ok(items) } else { Err("ERR One or more scores can't be converted into double".into()) }
}

/// A number as C's `strtod` takes it, to the end of the string: space may come before it, and nothing at all is 0.
fn number(text: &[u8]) -> Option<f64> {
    let text = c_string(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    parse_f64(&text[text.iter().take_while(|byte| blank(byte)).count()..])
}

impl Options<'_> {
    fn compare(&self, a: &Item<'_>, b: &Item<'_>) -> Ordering {
        let order = if !self.alpha {
            // Equal numbers are put in the order of the bytes, so that a set's hidden order does not show.
            a.score.total_cmp(&b.score).then_with(|| text(&a.element).cmp(&text(&b.element)))
        } else {
            match (&a.text, &b.text) {
                // What is stored is compared as bytes; what a client reads as C compares strings.
                (Some(a), Some(b)) if self.target.is_none() => c_string(a).cmp(c_string(b)),
                (a, b) => a.cmp(b),
            }
        };
        if self.descending { order.reverse() } else { order }
    }
}

// --- patterns --------------------------------------------------------------------------------------------------------

/// Shows `use_it` what a pattern leads to from an element, if that is anything.
fn resolve<R>(
    server: &mut Server,
    db: DbIndex,
    pattern: Pattern<'_>,
    element: &Element<'_>,
    use_it: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    let mut buffer = itoa::Buffer::new();
    let Pattern::Key { before, after, field } = pattern else {
        return matches!(pattern, Pattern::Itself).then(|| use_it(element.as_bytes(&mut buffer)));
    };
    let name = [before, element.as_bytes(&mut buffer), after].concat();
    let key = Key::new(&name, server.keyspace.hash(&name));
    let Some(field) = field else {
        return match server.read(db, key)?.value() {
            Value::Int(n) => Some(use_it(itoa::Buffer::new().format(n).as_bytes())),
            Value::Bytes(bytes) => Some(use_it(bytes)),
            Value::Shared(bytes) => Some(use_it(bytes)),
            Value::Object(_) => None,
        };
    };
    let due_ms = server.time.due_ms();
    let hash = server.read_hash(db, key).ok()??;
    hash.get(field, due_ms).map(|value| use_it(value.as_bytes(&mut itoa::Buffer::new())))
}

fn reply(cx: &mut Cx<'_>, sorted: &[Element<'_>], get: &[Pattern<'_>]) {
    let out: &mut Reply = &mut cx.reply;
    out.array(sorted.len() * get.len().max(1));
    for element in sorted {
        if get.is_empty() {
            super::write_element(out, element);
        }
        for pattern in get {
            if resolve(cx.server, cx.db, *pattern, element, |bytes| out.bulk(bytes)).is_none() {
                out.null();
            }
        }
    }
}

fn store(cx: &mut Cx<'_>, target: &[u8], sorted: &[Element<'_>], get: &[Pattern<'_>]) {
    let limit = cx.server.limits().list;
    let mut list = List::new();
    let mut buffer = itoa::Buffer::new();
    for element in sorted {
        if get.is_empty() {
            list.push(End::Tail, element.as_bytes(&mut buffer), &limit);
        }
        for pattern in get {
            let push = |bytes: &[u8]| list.push(End::Tail, bytes, &limit);
            if resolve(cx.server, cx.db, *pattern, element, push).is_none() {
                list.push(End::Tail, b"", &limit);
            }
        }
    }
    let target = cx.key(target);
    let len = list.len();
    if len == 0 {
        let lazily = cx.server.config.lazyfree_lazy_server_del;
        cx.delete_target(target, lazily);
    } else {
        cx.server.store_object(cx.db, target, list.into());
        cx.changed_by(len as u64, target, Event::SORTSTORE);
    }
    cx.reply.integer(len as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        let check = |text: &str, expected: Option<(&str, &str, Option<&str>)>| {
            let found = match Pattern::parse(text.as_bytes()) {
                Pattern::Key { before, after, field } => Some((before, after, field)),
                Pattern::Itself | Pattern::Nowhere => None,
            };
            let expected = expected.map(|(before, after, field)| {
                (before.as_bytes(), after.as_bytes(), field.map(str::as_bytes))
            });
            assert_eq!(found, expected, "{text}");
        };
        check("#", None);
        check("nosort", None);
        check("", None);
        check("*", Some(("", "", None)));
        check("w:*:x", Some(("w:", ":x", None)));
        check("a**b", Some(("a", "*b", None)));
        check("w:*->f", Some(("w:", "", Some("f"))));
        check("w:*x->f->g", Some(("w:", "x", Some("f->g"))));
        check("w:*->", Some(("w:", "->", None)));
        check("a->b*c", Some(("a->b", "c", None)));
        check("a\0*", None);
        check("a*\0->f", Some(("a", "\0->f", None)));
    }

    #[test]
    fn numbers_are_those_of_strtod() {
        let check =
            |text: &str, expected: Option<f64>| assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        check("", Some(0.0));
        check(" 12", Some(12.0));
        check("\t\x0b-1.5e3", Some(-1500.0));
        check("0x10", Some(16.0));
        check("inf", Some(f64::INFINITY));
        check("1\0x", Some(1.0));
        check("12 ", None);
        check(" ", None);
        check("nan", None);
        check("1e999", None);
        check("a", None);
    }
}
