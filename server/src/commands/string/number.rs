//! Counting: INCR and its kin.

use super::options::Ttl;
use super::{check_length, string_bytes};
use crate::commands::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::long_double::LongDouble;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::{Added, Expire, NewValue, Value};

/// Direction of a count, and whether the request names the distance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Up,
    Down,
    UpBy,
    DownBy,
}

pub(super) fn incr(cx: &mut Cx<'_>, args: &mut Args<'_>, step: Step) -> CommandResult {
    let key = cx.key(args.next());
    let by = match step {
        Step::Up => 1,
        Step::Down => -1,
        Step::UpBy => integer(args.next())?,
        Step::DownBy => {
            let by = integer(args.next())?;
            by.checked_neg().ok_or(CommandError::Text("ERR decrement would overflow"))?
        }
    };
    let at = cx.server.locate(cx.db, key);
    if let Some(at) = at {
        match cx.server.keyspace.db_mut(cx.db).add_int(at, by) {
            Added::Sum(sum) => return announce_sum(cx, key, sum),
            Added::Overflow => return Err(CommandError::Overflow),
            Added::NotInt => {} // a string that perhaps spells one
        }
    }
    let now = match at.map(|at| cx.server.keyspace.db(cx.db).entry_at(at).value()) {
        None => None,
        Some(Value::Int(value)) => Some(value),
        Some(Value::Object(_)) => return Err(CommandError::WrongType),
        Some(value) => {
            let bytes = string_bytes(value, &mut itoa::Buffer::new())?.to_vec();
            Some(parse_i64(&bytes).ok_or(CommandError::NotAnInteger)?)
        }
    };
    let sum = now.unwrap_or(0).checked_add(by).ok_or(CommandError::Overflow)?;
    let db = cx.server.keyspace.db_mut(cx.db);
    if let Some(at) = at {
        let garbage = db.entry_at_mut(at).set_int(sum);
        cx.server.discard(garbage);
    } else {
        db.set(key.hash, key.bytes, NewValue::Int(sum), Expire::None);
        cx.server.notify_new(cx.db, key.bytes);
    }
    announce_sum(cx, key, sum)
}

#[inline]
fn announce_sum(cx: &mut Cx<'_>, key: Key<'_>, sum: i64) -> CommandResult {
    cx.reply.integer(sum);
    // Redis names the event by the command's arithmetic, which always adds.
    cx.changed(key, Event::INCRBY);
    Ok(Outcome::Done)
}

pub(super) fn incrbyfloat(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let mut buffer = itoa::Buffer::new();
    let (now, existed) = match cx.server.find(cx.db, key) {
        None => (LongDouble::ZERO, false),
        Some(entry) => {
            let bytes = string_bytes(entry.value(), &mut buffer)?;
            (LongDouble::parse(bytes).ok_or(CommandError::NotAFloat)?, true)
        }
    };
    let by = LongDouble::parse(args.next()).ok_or(CommandError::NotAFloat)?;
    let sum = now + by;
    if !sum.is_finite() {
        return Err("ERR increment would produce NaN or Infinity".into());
    }
    let text = sum.to_string();
    check_length(cx, text.len() as u64)?;
    cx.server.keyspace.db_mut(cx.db).set(key.hash, key.bytes, NewValue::Bytes(text.as_bytes()), Expire::Keep);
    if !existed {
        cx.server.notify_new(cx.db, key.bytes);
    }
    cx.reply.bulk(text.as_bytes());
    cx.changed(key, Event::INCRBYFLOAT);
    // Floats don't travel: another machine might round otherwise.
    cx.propagate_as(&[b"SET", key.bytes, text.as_bytes(), b"KEEPTTL"]);
    Ok(Outcome::Done)
}

/// What INCREX counts with: integers or fractions.
trait Number: Copy + PartialOrd {
    const ZERO: Self;
    const EVENT: Event;
    /// The least and the most that the type holds.
    fn limits() -> (Self, Self);
    /// What an argument says.
    fn argument(word: &[u8]) -> Result<Self, CommandError>;
    /// What a stored string says.
    fn stored(value: Value<'_>) -> Result<Self, CommandError>;
    /// The sum, or the limit that it would exceed.
    fn plus(self, other: Self) -> Result<Self, Self>;
    /// The distance from `before` to here.
    fn since(self, before: Self) -> Result<Self, CommandError>;
    fn spelled(self) -> String;
    fn reply(self, reply: &mut common::resp::Reply);
    fn new_value(self, spelled: &str) -> NewValue<'_>;
}

impl Number for i64 {
    const ZERO: Self = 0;
    const EVENT: Event = Event::INCRBY;

    fn limits() -> (Self, Self) {
        (Self::MIN, Self::MAX)
    }

    fn argument(word: &[u8]) -> Result<Self, CommandError> {
        integer(word)
    }

    fn stored(value: Value<'_>) -> Result<Self, CommandError> {
        if let Value::Int(value) = value {
            return Ok(value);
        }
        integer(string_bytes(value, &mut itoa::Buffer::new())?)
    }

    fn plus(self, other: Self) -> Result<Self, Self> {
        self.checked_add(other).ok_or(if other > 0 { Self::MAX } else { Self::MIN })
    }

    fn since(self, before: Self) -> Result<Self, CommandError> {
        self.checked_sub(before).ok_or(CommandError::Overflow)
    }

    fn spelled(self) -> String {
        self.to_string()
    }

    fn reply(self, reply: &mut common::resp::Reply) {
        reply.integer(self);
    }

    fn new_value(self, _: &str) -> NewValue<'_> {
        NewValue::Int(self)
    }
}

const NOT_FINITE: &str = "ERR increment would produce NaN or Infinity";

impl Number for LongDouble {
    const ZERO: Self = Self::ZERO;
    const EVENT: Event = Event::INCRBYFLOAT;

    fn limits() -> (Self, Self) {
        Self::limits()
    }

    fn argument(word: &[u8]) -> Result<Self, CommandError> {
        let number = Self::parse(word).ok_or(CommandError::NotAFloat)?;
        if number.is_finite() { Ok(number) } else { Err(NOT_FINITE.into()) }
    }

    fn stored(value: Value<'_>) -> Result<Self, CommandError> {
        Self::argument(string_bytes(value, &mut itoa::Buffer::new())?)
    }

    fn plus(self, other: Self) -> Result<Self, Self> {
        let sum = self + other;
        let (least, most) = Self::limits();
        if sum.is_finite() { Ok(sum) } else { Err(if other > Self::ZERO { most } else { least }) }
    }

    fn since(self, before: Self) -> Result<Self, CommandError> {
        let distance = self - before;
        if distance.is_finite() { Ok(distance) } else { Err(NOT_FINITE.into()) }
    }

    fn spelled(self) -> String {
        self.to_string()
    }

    fn reply(self, reply: &mut common::resp::Reply) {
        reply.double_spelled(&self.to_string());
    }

    fn new_value(self, spelled: &str) -> NewValue<'_> {
        NewValue::Bytes(spelled.as_bytes())
    }
}

/// Words of INCREX. Numbers are read when it is known of which kind they are.
struct Increx<'a> {
    by: Option<&'a [u8]>,
    is_float: bool,
    least: Option<&'a [u8]>,
    most: Option<&'a [u8]>,
    saturate: bool,
    ttl: Ttl<'a>,
    only_without_ttl: bool,
}

impl<'a> Increx<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self {
            by: None,
            is_float: false,
            least: None,
            most: None,
            saturate: false,
            ttl: Ttl::Unsaid,
            only_without_ttl: false,
        };
        while args.left() > 0 {
            let has_word = args.left() > 1;
            if has_word && options.by.is_none() && args.take("BYINT") {
                options.by = Some(args.next());
            } else if has_word && options.by.is_none() && args.take("BYFLOAT") {
                (options.by, options.is_float) = (Some(args.next()), true);
            } else if has_word && options.least.is_none() && args.take("LBOUND") {
                options.least = Some(args.next());
            } else if has_word && options.most.is_none() && args.take("UBOUND") {
                options.most = Some(args.next());
            } else if args.take("SATURATE") {
                options.saturate = true;
            } else if args.take("ENX") {
                options.only_without_ttl = true;
            } else if !options.ttl.take_word(args, "PERSIST", Ttl::Persist) && !options.ttl.take(args) {
                return Err(CommandError::Syntax);
            }
        }
        match options.ttl {
            Ttl::Unsaid if options.only_without_ttl => Err("ERR ENX flag requires an expiration".into()),
            Ttl::Persist if options.only_without_ttl => Err(CommandError::Syntax),
            _ => Ok(options),
        }
    }
}

/// INCR with bounds and an expiry.
pub(super) fn increx(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let options = Increx::parse(args)?;
    if options.is_float { count::<LongDouble>(cx, key, &options) } else { count::<i64>(cx, key, &options) }
}

fn count<N: Number>(cx: &mut Cx<'_>, key: Key<'_>, options: &Increx<'_>) -> CommandResult {
    let by = N::argument(options.by.unwrap_or(b"1"))?;
    let (least, most) = N::limits();
    let least = options.least.map_or(Ok(least), N::argument)?;
    let most = options.most.map_or(Ok(most), N::argument)?;
    if least > most {
        return Err("ERR LBOUND can't be greater than UBOUND".into());
    }
    let wish = options.ttl.expire(cx, "increx")?;
    let found = cx.server.find(cx.db, key).map(|entry| (N::stored(entry.value()), entry.expire()));
    let (existed, had_expiry) = (found.is_some(), found.as_ref().and_then(|(_, expire)| *expire));
    let before = found.map_or(Ok(N::ZERO), |(value, _)| value)?;
    let (sum, fits) = match before.plus(by) {
        Ok(sum) => (sum, sum >= least && sum <= most),
        Err(limit) => (limit, false),
    };
    cx.reply.array(2);
    if !fits && !options.saturate {
        before.reply(&mut cx.reply);
        N::ZERO.reply(&mut cx.reply);
        return Ok(Outcome::Done);
    }
    let sum = if sum < least {
        least
    } else if sum > most {
        most
    } else {
        sum
    };
    let applied = if fits { by } else { sum.since(before)? };
    let spelled = sum.spelled();
    check_length(cx, spelled.len() as u64)?;
    let expire = match wish {
        Expire::At(_) if options.only_without_ttl && had_expiry.is_some() => Expire::Keep,
        Expire::None if options.ttl == Ttl::Unsaid => Expire::Keep,
        wish => wish,
    };
    let outcome = cx.server.keyspace.db_mut(cx.db).set(key.hash, key.bytes, sum.new_value(&spelled), expire);
    cx.server.discard(outcome.garbage);
    if !existed {
        cx.server.notify_new(cx.db, key.bytes);
    }
    cx.changed(key, N::EVENT);
    match expire {
        Expire::At(_) => cx.server.notify(cx.db, key.bytes, Event::EXPIRE),
        Expire::None if had_expiry.is_some() => cx.server.notify(cx.db, key.bytes, Event::PERSIST),
        _ => {}
    }
    if cx.is_propagating() {
        let at_ms = match expire {
            Expire::At(at_ms) => Some(at_ms),
            Expire::Keep => had_expiry,
            Expire::None => None,
        };
        let at_ms = at_ms.map(|at_ms| at_ms.to_string());
        let mut words: Vec<&[u8]> = vec![b"SET", key.bytes, spelled.as_bytes()];
        words.extend(at_ms.iter().flat_map(|at_ms| [b"PXAT", at_ms.as_bytes()]));
        cx.propagate_as(&words);
    }
    sum.reply(&mut cx.reply);
    applied.reply(&mut cx.reply);
    Ok(Outcome::Done)
}
