//! XADD, XTRIM and XSETID.

use super::delete::References;
use super::producer::{self, Origin};
use super::{id_or_pattern, strict_id, write_id};
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::stream::{Stream, StreamId, Trim};

/// Bytes of fields and values that one entry may have in all.
const LARGEST_ENTRY: usize = 1 << 30;

/// Trimming as asked for.
#[derive(Clone, Copy, Debug)]
struct Trimming {
    trim: Trim,
    approximate: bool,
    /// Entries to delete at most; 0 for all.
    most: u64,
    /// Index of the threshold's word.
    at: usize,
    /// Index of the word LIMIT.
    limit_at: Option<usize>,
}

const NEEDS_APPROXIMATION: CommandError =
    CommandError::Text("ERR syntax error, LIMIT cannot be used without the special ~ option");

/// What comes before the ID of XADD, or behind the key of XTRIM.
#[derive(Debug)]
struct Options {
    create: bool,
    references: References,
    /// Whether a word says so, even the default's: Redis 7.0 knows none of these words.
    says_references: bool,
    trimming: Option<Trimming>,
    /// Who sends the entry, to notice when it comes twice.
    origin: Option<Origin>,
    /// The ID given and whether its second part is; `None` for `*` and in XTRIM.
    id: Option<(StreamId, bool)>,
    /// Index of the ID's word.
    id_at: usize,
}

impl Options {
    fn parse(cx: &Cx<'_>, args: &mut Args<'_>, adds: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            create: true,
            references: References::Keep,
            says_references: false,
            trimming: None,
            origin: None,
            id: None,
            id_at: 0,
        };
        let (mut limit, mut limit_at) = (None, None);
        while let Some(word) = args.peek() {
            let at = args.count() - args.left();
            let more = args.left() > 1;
            if adds && word == b"*" {
                options.id_at = at;
                args.next();
                break;
            }
            if more && (args.take("MAXLEN") || args.take("MINID")) {
                let by_len = word.eq_ignore_ascii_case(b"MAXLEN");
                if options.trimming.is_some() {
                    return Err(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
                            .into(),
                    );
                }
                options.trimming = Some(Trimming::parse(args, by_len)?);
            } else if more && args.take("LIMIT") {
                let count = args.integer()?;
                limit = Some(u64::try_from(count).map_err(|_| "ERR The LIMIT argument must be >= 0.")?);
                limit_at = Some(at);
            } else if adds && args.take("NOMKSTREAM") {
                options.create = false;
            } else if let Some(references) = References::take(args) {
                options.references = references;
                options.says_references = true;
            } else if let Some(origin) = if adds { Origin::take(args) } else { None } {
                if options.origin.replace(origin).is_some() {
                    return Err(CommandError::Syntax);
                }
            } else if adds {
                options.id_at = at;
                options.id = Some(id_or_pattern(args.next(), 0)?);
                break;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        options.limit(cx, limit, limit_at, adds)?;
        Ok(options)
    }

    fn limit(
        &mut self,
        cx: &Cx<'_>,
        limit: Option<u64>,
        limit_at: Option<usize>,
        adds: bool,
    ) -> Result<(), CommandError> {
        let Some(trimming) = &mut self.trimming else {
            if limit.is_some_and(|limit| limit > 0) {
                return Err(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy".into()
                );
            }
            return match limit {
                _ if !adds => Err("ERR syntax error, XTRIM must be called with a trimming strategy".into()),
                Some(_) => Err(NEEDS_APPROXIMATION),
                None => Ok(()),
            };
        };
        trimming.limit_at = limit_at;
        trimming.most = match limit {
            Some(_) if !trimming.approximate => return Err(NEEDS_APPROXIMATION),
            Some(limit) => limit,
            // Without a limit nobody should wait for long.
            None if trimming.approximate => {
                match cx.server.config.stream_node_max_entries.saturating_mul(100) {
                    0 => 10_000,
                    most => most.min(1_000_000),
                }
            }
            None => 0,
        };
        Ok(())
    }
}

impl Trimming {
    /// What follows MAXLEN or MINID.
    fn parse(args: &mut Args<'_>, by_len: bool) -> Result<Self, CommandError> {
        let approximate = args.left() > 1 && args.take("~");
        if !approximate && args.left() > 1 {
            args.take("=");
        }
        let at = args.count() - args.left();
        let word = args.expect_next()?;
        let trim = if by_len {
            let len = crate::commands::integer(word)?;
            Trim::MaxLen(u64::try_from(len).map_err(|_| "ERR The MAXLEN argument must be >= 0.")?)
        } else {
            Trim::MinId(strict_id(word, 0)?)
        };
        Ok(Self { trim, approximate, most: 0, at, limit_at: None })
    }

    /// The words of the command as replicas get them: what was trimmed approximately, they trim exactly.
    fn exact_words<'w>(&self, args: &Args<'w>, threshold: &'w [u8]) -> Vec<&'w [u8]> {
        let mut words: Vec<&[u8]> = args.all().collect();
        (words[self.at - 1], words[self.at]) = (b"=", threshold);
        if let Some(at) = self.limit_at {
            words.drain(at..at + 2);
        }
        words
    }

    /// Up to where a stream has been trimmed.
    fn reached(&self, stream: &Stream) -> String {
        match self.trim {
            Trim::MaxLen(_) => stream.len().to_string(),
            Trim::MinId(_) if stream.is_empty() => StreamId::MAX.to_string(),
            Trim::MinId(_) => stream.facts().first_id.to_string(),
        }
    }
}

/// The ID of the entry to be added.
fn new_id(id: Option<(StreamId, bool)>, last: StreamId, now_ms: i64) -> Result<StreamId, CommandError> {
    const TOO_SMALL: CommandError = CommandError::Text(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    );
    if last == StreamId::MAX {
        return Err("ERR The stream has exhausted the last possible ID, unable to add more items".into());
    }
    let id = match id {
        Some((id, true)) => id,
        Some((id, false)) if id.ms == last.ms => {
            StreamId::new(id.ms, last.seq.checked_add(1).ok_or(TOO_SMALL)?)
        }
        Some((id, false)) => id,
        None => {
            let now = StreamId::new(now_ms.max(0).cast_unsigned(), 0);
            if now.ms > last.ms { now } else { last.next().ok_or(TOO_SMALL)? }
        }
    };
    if id > last { Ok(id) } else { Err(TOO_SMALL) }
}

pub(super) fn xadd(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let options = Options::parse(cx, args, true)?;
    if args.left() < 2 || !args.left().is_multiple_of(2) {
        return Err(CommandError::Arity("xadd".into()));
    }
    if options.id == Some((StreamId::MIN, true)) {
        return Err("ERR The ID specified in XADD must be greater than 0-0".into());
    }
    let words: Vec<&[u8]> = args.rest().collect();
    let sent = options.origin.map(|origin| origin.resolve(args, &words)).transpose()?;
    if sent.is_some() && options.id.is_some() {
        return Err("ERR IDMP and IDMPAUTO go with the ID * only".into());
    }
    let pairs: Vec<(&[u8], &[u8])> =
        words.as_chunks::<2>().0.iter().map(|[field, value]| (*field, *value)).collect();
    if words.iter().map(|word| word.len()).sum::<usize>() > LARGEST_ENTRY {
        return Err("ERR Elements are too large to be stored".into());
    }
    if let Some(sent) = &sent
        && let Some(id) = producer::find(cx, key, sent)?
    {
        write_id(&mut cx.reply, id);
        return Ok(Outcome::Done);
    }
    let (limits, now_ms) = (cx.server.limits().stream, cx.server.time.now_ms());
    let stream: &mut Stream = if options.create {
        cx.server.edit_or_create(cx.db, key)?
    } else if let Some(stream) = cx.server.edit(cx.db, key)? {
        stream
    } else {
        cx.reply.null();
        return Ok(Outcome::Done);
    };
    let id = new_id(options.id, stream.facts().last_id, now_ms)?;
    stream.append(id, &pairs, &limits);
    write_id(&mut cx.reply, id);
    if let Some(sent) = &sent {
        producer::record(cx, key, sent, id);
    }
    cx.changed(key, Event::XADD);
    let trimmed = options.trimming.map(|trimming| trim(cx, key, trimming, options.references));
    if let Some(trimmed) = &trimmed
        && trimmed.deleted > 0
    {
        cx.server.notify(cx.db, key.bytes, Event::XTRIM);
    }
    if cx.is_propagating() {
        propagate_added(cx, args, &options, id, trimmed);
    }
    Ok(Outcome::Done)
}

fn propagate_added(
    cx: &mut Cx<'_>,
    args: &Args<'_>,
    options: &Options,
    id: StreamId,
    trimmed: Option<Trimmed>,
) {
    let id = id.to_string();
    let mut words: Vec<&[u8]> = args.all().collect();
    words[options.id_at] = id.as_bytes();
    let trimmed = trimmed.unwrap_or_default();
    // The part between key and ID is written anew where it is more than Redis 7.0 knows, or not exact.
    let is_plain = options.origin.is_none() && options.trimming.is_none_or(|trimming| !trimming.approximate);
    if !is_plain || options.says_references {
        let mut rest = words.split_off(options.id_at);
        words.truncate(2);
        if !options.create {
            words.push(b"NOMKSTREAM");
        }
        if let Some(trimming) = options.trimming
            && options.references != References::Acked
        {
            let strategy: &[u8] = if matches!(trimming.trim, Trim::MaxLen(_)) { b"MAXLEN" } else { b"MINID" };
            words.extend([strategy, b"=", trimmed.reached.as_bytes()]);
        }
        words.append(&mut rest);
    }
    cx.propagate_as(&words);
    let key = cx.key(args.get(1));
    super::delete::propagate(cx, key, &trimmed.removed);
}

/// What trimming did.
#[derive(Default)]
struct Trimmed {
    deleted: u64,
    /// Up to where, as a word.
    reached: String,
    /// What replicas have to be told besides the trimming.
    removed: super::delete::Removed,
}

/// Trims a stream that is there.
fn trim(cx: &mut Cx<'_>, key: Key<'_>, trimming: Trimming, references: References) -> Trimmed {
    let stream = super::stream_mut(cx, key);
    let Trimming { trim, approximate, most, .. } = trimming;
    let (deleted, removed) = match references {
        References::Keep => (stream.trim(trim, approximate, most), Default::default()),
        References::Delete => super::delete::trim_with_references(stream, trim, approximate, most),
        References::Acked => super::delete::trim_acknowledged(stream, trim, most),
    };
    Trimmed { deleted, reached: trimming.reached(stream), removed }
}

pub(super) fn xtrim(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let Options { trimming, references, says_references, .. } = Options::parse(cx, args, false)?;
    let trimming = trimming.ok_or(CommandError::Syntax)?;
    if cx.server.find_typed::<Stream>(cx.db, key)?.is_none() {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    }
    let trimmed = trim(cx, key, trimming, references);
    cx.reply.integer(trimmed.deleted as i64);
    if trimmed.deleted == 0 {
        return Ok(Outcome::Done);
    }
    cx.changed_by(trimmed.deleted, key, Event::XTRIM);
    if cx.is_propagating() {
        let strategy: &[u8] = if matches!(trimming.trim, Trim::MaxLen(_)) { b"MAXLEN" } else { b"MINID" };
        match references {
            // Only the entries that are gone are told.
            References::Acked => {}
            References::Keep | References::Delete if says_references => {
                cx.propagate_as(&[b"XTRIM", key.bytes, strategy, b"=", trimmed.reached.as_bytes()]);
            }
            References::Keep | References::Delete if trimming.approximate => {
                let words = trimming.exact_words(args, trimmed.reached.as_bytes());
                cx.propagate_as(&words);
            }
            References::Keep | References::Delete => {}
        }
        super::delete::propagate(cx, key, &trimmed.removed);
    }
    Ok(Outcome::Done)
}

pub(super) fn xsetid(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let id = strict_id(args.next(), 0)?;
    let (mut added, mut max_deleted) = (None, None);
    while args.left() > 0 {
        if args.left() > 1 && args.take("ENTRIESADDED") {
            let count = args.integer()?;
            added = Some(u64::try_from(count).map_err(|_| "ERR entries_added must be positive")?);
        } else if args.left() > 1 && args.take("MAXDELETEDID") {
            let deleted = strict_id(args.next(), 0)?;
            if id < deleted {
                return Err(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id".into(),
                );
            }
            max_deleted = Some(deleted).filter(|id| *id != StreamId::MIN);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let Some(stream) = cx.server.edit::<Stream>(cx.db, key)? else { return Err("ERR no such key".into()) };
    if stream.last_entry_id().is_some_and(|last| id < last) {
        return Err("ERR The ID specified in XSETID is smaller than the target stream top item".into());
    }
    if added.is_some_and(|added| !stream.is_empty() && (stream.len() as u64) > added) {
        return Err(
            "ERR The entries_added specified in XSETID is smaller than the target stream length".into()
        );
    }
    stream.set_facts(id, added, max_deleted);
    cx.reply.ok();
    super::note(cx, key, Some(Event::XSETID));
    Ok(Outcome::Done)
}
