//! `cjson`: JSON (RFC 8259), with the liberties and the settings of the C library of that name.

use super::{Arguments, Failure, MOST_BYTES, Outcome, export, number, one, string, type_name};
use common::number::format_g;
use mlua::{Lua, LuaString, Table, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// Depth beyond which nothing goes, whatever the settings say: a level takes some of the stack.
const DEEPEST: usize = 2000;

/// What scripts can set.
#[derive(Clone, Copy)]
struct Settings {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth: i32,
    decode_depth: i32,
    precision: i32,
    keep_buffer: bool,
    encode_invalid: Invalid,
    decode_invalid: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: 1000,
            decode_depth: 1000,
            precision: 14,
            keep_buffer: true,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
        }
    }
}

/// How numbers are encoded that JSON has not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

type Shared = Rc<RefCell<Settings>>;

/// The library, with settings of its own.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let settings = Shared::default();
    let table = lua.create_table()?;
    let add = |name: &str, function: fn(&Lua, &Arguments, &Shared) -> Outcome| {
        let settings = settings.clone();
        table.raw_set(name, export(lua, move |lua, args| function(lua, args, &settings))?)
    };
    add("encode", |lua, args, settings| encode(lua, args, *settings.borrow()))?;
    add("decode", |lua, args, settings| decode(lua, args, *settings.borrow()))?;
    add("encode_sparse_array", |lua, args, settings| {
        at_most(args, 3)?;
        let mut settings = settings.borrow_mut();
        switch(args, 1, &mut settings.sparse_convert)?;
        integer(lua, args, 2, &mut settings.sparse_ratio, 0, i32::MAX)?;
        integer(lua, args, 3, &mut settings.sparse_safe, 0, i32::MAX)?;
        let numbers = [settings.sparse_ratio, settings.sparse_safe].map(|n| Value::Number(f64::from(n)));
        Ok([Value::Boolean(settings.sparse_convert)].into_iter().chain(numbers).collect())
    })?;
    add("encode_max_depth", |lua, args, settings| {
        at_most(args, 1)?;
        integer(lua, args, 1, &mut settings.borrow_mut().encode_depth, 1, i32::MAX)
    })?;
    add("decode_max_depth", |lua, args, settings| {
        at_most(args, 1)?;
        integer(lua, args, 1, &mut settings.borrow_mut().decode_depth, 1, i32::MAX)
    })?;
    add("encode_number_precision", |lua, args, settings| {
        at_most(args, 1)?;
        integer(lua, args, 1, &mut settings.borrow_mut().precision, 1, 14)
    })?;
    // Only says what it was told: there is no buffer to keep.
    add("encode_keep_buffer", |_, args, settings| {
        at_most(args, 1)?;
        switch(args, 1, &mut settings.borrow_mut().keep_buffer)
    })?;
    add("encode_invalid_numbers", |lua, args, settings| {
        at_most(args, 1)?;
        encode_invalid_numbers(lua, args, &mut settings.borrow_mut().encode_invalid)
    })?;
    add("decode_invalid_numbers", |_, args, settings| {
        at_most(args, 1)?;
        switch(args, 1, &mut settings.borrow_mut().decode_invalid)
    })?;
    add("new", |lua, _, _| one(Value::Table(library(lua)?)))?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

// --- settings --------------------------------------------------------------------------------------------------------

fn at_most(args: &Arguments, count: usize) -> Result<(), Failure> {
    if args.count() <= count {
        return Ok(());
    }
    Err(Failure::Argument(count + 1, "found too many arguments".to_owned()))
}

/// Takes a number between `min` and `max`, if one is given; what is set then.
fn integer(lua: &Lua, args: &Arguments, at: usize, setting: &mut i32, min: i32, max: i32) -> Outcome {
    if args.get(at).is_some_and(|value| !value.is_nil()) {
        let value = args.integer(lua, at)? as i32;
        if !(min..=max).contains(&value) {
            let text = format!("expected integer between {min} and {max}");
            return Err(Failure::Argument(1, text));
        }
        *setting = value;
    }
    number(f64::from(*setting))
}

/// The index of the option that an argument names.
fn option(args: &Arguments, at: usize, options: &[&str]) -> Result<usize, Failure> {
    let Some(Value::String(text)) = args.get(at) else { return Err(args.mistyped(at, "string")) };
    let found = options.iter().position(|option| *option.as_bytes() == *text.as_bytes());
    found.ok_or_else(|| Failure::Argument(at, format!("invalid option '{}'", text.to_string_lossy())))
}

fn switch(args: &Arguments, at: usize, setting: &mut bool) -> Outcome {
    match args.get(at) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = *value,
        Some(_) => *setting = option(args, at, &["off", "on"])? == 1,
    }
    one(Value::Boolean(*setting))
}

fn encode_invalid_numbers(lua: &Lua, args: &Arguments, setting: &mut Invalid) -> Outcome {
    const WAYS: [Invalid; 3] = [Invalid::Refused, Invalid::Written, Invalid::Null];
    match args.get(1) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(value)) => *setting = WAYS[usize::from(*value)],
        Some(_) => *setting = WAYS[option(args, 1, &["off", "on", "null"])?],
    }
    match setting {
        Invalid::Null => string(lua, b"null"),
        other => one(Value::Boolean(*other == Invalid::Written)),
    }
}

fn only_argument(args: &Arguments) -> Result<(), Failure> {
    if args.count() == 1 { Ok(()) } else { Err(Failure::Argument(1, "expected 1 argument".to_owned())) }
}

// --- encoding --------------------------------------------------------------------------------------------------------

fn encode(lua: &Lua, args: &Arguments, settings: Settings) -> Outcome {
    only_argument(args)?;
    let mut out = Vec::new();
    put(&mut out, &args.0[0], &settings, 0)?;
    string(lua, &out)
}

fn refused(value: &Value, reason: &str) -> Failure {
    Failure::Text(format!("Cannot serialise {}: {reason}", type_name(value)))
}

fn put(out: &mut Vec<u8>, value: &Value, settings: &Settings, depth: usize) -> Result<(), Failure> {
    if out.len() > MOST_BYTES {
        return Err(Failure::Text("not enough memory".to_owned()));
    }
    match value {
        Value::String(text) => put_string(out, text),
        Value::Integer(_) | Value::Number(_) => put_number(out, value, settings)?,
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Table(table) => {
            let depth = depth + 1;
            if depth > settings.encode_depth as usize || depth > DEEPEST {
                return Err(Failure::Text(format!("Cannot serialise, excessive nesting ({depth})")));
            }
            match array_len(table, value, settings)? {
                Some(len) if len > 0 => put_array(out, table, len, settings, depth)?,
                _ => put_object(out, table, settings, depth)?,
            }
        }
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(address) if address.0.is_null() => out.extend_from_slice(b"null"),
        other => return Err(refused(other, "type not supported")),
    }
    Ok(())
}

fn put_string(out: &mut Vec<u8>, text: &LuaString) {
    out.push(b'"');
    for byte in text.as_bytes().iter() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 | 0x7f => out.extend(format!("\\u{byte:04x}").into_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

fn put_number(out: &mut Vec<u8>, value: &Value, settings: &Settings) -> Result<(), Failure> {
    let number = super::number_of(value).expect("the caller saw a number");
    if !number.is_finite() {
        match settings.encode_invalid {
            Invalid::Refused => return Err(refused(value, "must not be NaN or Inf")),
            Invalid::Written if number.is_nan() => out.extend_from_slice(b"nan"),
            Invalid::Written => out.extend_from_slice(format_g(number, 14).as_bytes()),
            Invalid::Null => out.extend_from_slice(b"null"),
        }
        return Ok(());
    }
    out.extend_from_slice(format_g(number, settings.precision as usize).as_bytes());
    Ok(())
}

/// The greatest index of a table that holds nothing but indexes, 0 for an empty one; `None` for an object.
fn array_len(table: &Table, value: &Value, settings: &Settings) -> Result<Option<usize>, Failure> {
    let (mut greatest, mut count) = (0i32, 0.0f64);
    for pair in table.pairs::<Value, Value>() {
        let key = super::number_of(&pair?.0).filter(|key| key.floor() == *key && *key >= 1.0);
        let Some(key) = key else { return Ok(None) };
        if key > f64::from(greatest) {
            // C keeps it in an int: what has no room there becomes the lowest one, and the table an object.
            greatest = if key <= f64::from(i32::MAX) { key as i32 } else { i32::MIN };
        }
        count += 1.0;
    }
    let is_sparse = settings.sparse_ratio > 0
        && f64::from(greatest) > count * f64::from(settings.sparse_ratio)
        && greatest > settings.sparse_safe;
    match is_sparse {
        true if settings.sparse_convert => Ok(None),
        true => Err(refused(value, "excessively sparse array")),
        false => Ok(usize::try_from(greatest).ok()),
    }
}

fn put_array(
    out: &mut Vec<u8>,
    table: &Table,
    len: usize,
    settings: &Settings,
    depth: usize,
) -> Result<(), Failure> {
    out.push(b'[');
    for at in 1..=len {
        if at > 1 {
            out.push(b',');
        }
        put(out, &table.raw_get(at)?, settings, depth)?;
    }
    out.push(b']');
    Ok(())
}

fn put_object(out: &mut Vec<u8>, table: &Table, settings: &Settings, depth: usize) -> Result<(), Failure> {
    out.push(b'{');
    for (at, pair) in table.pairs::<Value, Value>().enumerate() {
        let (key, value) = pair?;
        if at > 0 {
            out.push(b',');
        }
        match &key {
            Value::String(text) => put_string(out, text),
            Value::Integer(_) | Value::Number(_) => {
                out.push(b'"');
                put_number(out, &key, settings)?;
                out.push(b'"');
            }
            other => return Err(refused(other, "table key must be a number or string")),
        }
        out.push(b':');
        put(out, &value, settings, depth)?;
    }
    out.push(b'}');
    Ok(())
}

// --- decoding --------------------------------------------------------------------------------------------------------

fn decode(lua: &Lua, args: &Arguments, settings: Settings) -> Outcome {
    only_argument(args)?;
    let text = args.string(lua, 1)?;
    let text = text.as_bytes();
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(Failure::Text("JSON parser does not support UTF-16 or UTF-32".to_owned()));
    }
    let mut parser = Parser { lua, text: &text, at: 0, depth: 0, settings };
    let first = parser.next()?;
    let value = parser.value(first)?;
    let last = parser.next()?;
    if !matches!(last.what, What::End) {
        return Err(last.unexpected("the end"));
    }
    one(value)
}

/// What stands at a place, and where that is.
struct Token {
    what: What,
    at: usize,
}

enum What {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(LuaString),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    fn unexpected(&self, wanted: &str) -> Failure {
        let found = match self.what {
            What::ObjectBegin => "T_OBJ_BEGIN",
            What::ObjectEnd => "T_OBJ_END",
            What::ArrayBegin => "T_ARR_BEGIN",
            What::ArrayEnd => "T_ARR_END",
            What::String(_) => "T_STRING",
            What::Number(_) => "T_NUMBER",
            What::Boolean(_) => "T_BOOLEAN",
            What::Null => "T_NULL",
            What::Colon => "T_COLON",
            What::Comma => "T_COMMA",
            What::End => "T_END",
            What::Error(error) => error,
        };
        Failure::Text(format!("Expected {wanted} but found {found} at character {}", self.at + 1))
    }
}

struct Parser<'p> {
    lua: &'p Lua,
    text: &'p [u8],
    at: usize,
    depth: usize,
    settings: Settings,
}

impl Parser<'_> {
    /// The byte so far ahead; zero behind the end, and one in the text ends it as well.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Result<Token, Failure> {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let single = match self.peek(0) {
            b'{' => What::ObjectBegin,
            b'}' => What::ObjectEnd,
            b'[' => What::ArrayBegin,
            b']' => What::ArrayEnd,
            b':' => What::Colon,
            b',' => What::Comma,
            0 => return Ok(Token { what: What::End, at }),
            b'"' => return self.string(),
            _ => return Ok(self.word(at)),
        };
        self.at += 1;
        Ok(Token { what: single, at })
    }

    /// A number, true, false or null.
    fn word(&mut self, at: usize) -> Token {
        let rest = &self.text[at..];
        let is_number = matches!(rest[0], b'-' | b'0'..=b'9');
        let words =
            [(&b"true"[..], What::Boolean(true)), (b"false", What::Boolean(false)), (b"null", What::Null)];
        if !is_number && let Some((word, what)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) {
            self.at += word.len();
            return Token { what, at };
        }
        let is_odd = is_odd_number(rest);
        let error = if is_number && is_odd && !self.settings.decode_invalid {
            "invalid number"
        } else if is_number
            || is_odd && self.settings.decode_invalid && matches!(rest[0], b'+' | b'i' | b'I' | b'n' | b'N')
        {
            match strtod(rest) {
                Some((number, len)) => {
                    self.at += len;
                    return Token { what: What::Number(number), at };
                }
                None => "invalid number",
            }
        } else {
            "invalid token"
        };
        Token { what: What::Error(error), at }
    }

    fn string(&mut self) -> Result<Token, Failure> {
        let start = self.at;
        self.at += 1;
        let mut out = Vec::new();
        let error = loop {
            match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    let text = self.lua.create_string(&out)?;
                    return Ok(Token { what: What::String(text), at: start });
                }
                0 => break "unexpected end of string",
                b'\\' => {
                    let plain = match self.peek(1) {
                        b'b' => 8,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 12,
                        b'r' => b'\r',
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'u' => match self.unicode() {
                            Some(letter) => {
                                letter.encode(&mut out);
                                continue;
                            }
                            None => break "invalid unicode escape code",
                        },
                        _ => break "invalid escape code",
                    };
                    out.push(plain);
                    self.at += 2;
                }
                byte => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        };
        Ok(Token { what: What::Error(error), at: self.at })
    }

    /// The four digits of an escape that begins so far ahead.
    fn hex(&self, ahead: usize) -> Option<u32> {
        (2..6).try_fold(0, |number, at| {
            char::from(self.peek(ahead + at)).to_digit(16).map(|digit| number << 4 | digit)
        })
    }

    /// Passes one escape, or two that make up one letter.
    fn unicode(&mut self) -> Option<Letter> {
        let first = self.hex(0)?;
        if first & 0xf800 != 0xd800 {
            self.at += 6;
            return Some(Letter(first));
        }
        let is_pair = first & 0x400 == 0 && self.peek(6) == b'\\' && self.peek(7) == b'u';
        let second = self.hex(6).filter(|second| is_pair && second & 0xfc00 == 0xdc00)?;
        self.at += 12;
        Some(Letter(((first & 0x3ff) << 10 | second & 0x3ff) + 0x1_0000))
    }

    fn value(&mut self, token: Token) -> Result<Value, Failure> {
        match token.what {
            What::String(text) => Ok(Value::String(text)),
            What::Number(number) => Ok(Value::Number(number)),
            What::Boolean(value) => Ok(Value::Boolean(value)),
            What::Null => Ok(Value::NULL),
            What::ObjectBegin => self.object(),
            What::ArrayBegin => self.array(),
            _ => Err(token.unexpected("value")),
        }
    }

    fn descend(&mut self) -> Result<(), Failure> {
        self.depth += 1;
        if self.depth <= self.settings.decode_depth as usize && self.depth <= DEEPEST {
            return Ok(());
        }
        let (depth, at) = (self.depth, self.at);
        Err(Failure::Text(format!("Found too many nested data structures ({depth}) at character {at}")))
    }

    fn object(&mut self) -> Result<Value, Failure> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.next()?;
        if !matches!(token.what, What::ObjectEnd) {
            loop {
                let What::String(key) = token.what else { return Err(token.unexpected("object key string")) };
                let colon = self.next()?;
                if !matches!(colon.what, What::Colon) {
                    return Err(colon.unexpected("colon"));
                }
                let first = self.next()?;
                let value = self.value(first)?;
                table.raw_set(key, value)?;
                let end = self.next()?;
                match end.what {
                    What::ObjectEnd => break,
                    What::Comma => token = self.next()?,
                    _ => return Err(end.unexpected("comma or object end")),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> Result<Value, Failure> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.next()?;
        if !matches!(token.what, What::ArrayEnd) {
            for at in 1.. {
                let value = self.value(token)?;
                table.raw_set(at, value)?;
                let end = self.next()?;
                match end.what {
                    What::ArrayEnd => break,
                    What::Comma => token = self.next()?,
                    _ => return Err(end.unexpected("comma or array end")),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }
}

/// A code point; half a pair that stands alone is none, and never gets here.
struct Letter(u32);

impl Letter {
    fn encode(&self, out: &mut Vec<u8>) {
        let letter = char::from_u32(self.0).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Whether C reads a number here that JSON has not: with a plus, leading zeros, hexadecimal, infinite, none.
fn is_odd_number(text: &[u8]) -> bool {
    let at = |index: usize| text.get(index).copied().unwrap_or(0);
    if at(0) == b'+' {
        return true;
    }
    let rest = &text[usize::from(at(0) == b'-')..];
    let starts = |word: &[u8]| rest.get(..3).is_some_and(|three| three.eq_ignore_ascii_case(word));
    match rest.first() {
        Some(b'0') => rest.get(1).is_some_and(|second| second | 0x20 == b'x' || second.is_ascii_digit()),
        Some(..=b'9') | None => false,
        _ => starts(b"inf") || starts(b"nan"),
    }
}

/// As C's `strtod` reads a number at the start of a text, in the C locale; with its length.
fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let rest = &text[sign..];
    let is = |word: &[u8]| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let (number, len) = if is(b"infinity") {
        (f64::INFINITY, 8)
    } else if is(b"inf") {
        (f64::INFINITY, 3)
    } else if is(b"nan") {
        (f64::NAN, 3)
    } else if is(b"0x") && hexadecimal(&rest[2..]).is_some() {
        let (number, len) = hexadecimal(&rest[2..])?;
        (number, len + 2)
    } else {
        decimal(rest)?
    };
    Some((if text[0] == b'-' { -number } else { number }, sign + len))
}

fn digits(text: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

/// The length of an exponent, its letter included; 0 when there is none.
fn exponent_len(text: &[u8], letter: u8) -> usize {
    if text.first().is_none_or(|first| first | 0x20 != letter) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    match digits(&text[1 + sign..], u8::is_ascii_digit) {
        0 => 0,
        count => 1 + sign + count,
    }
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_digit);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(&text[len + 1..], u8::is_ascii_digit);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    len += exponent_len(&text[len..], b'e');
    let number = std::str::from_utf8(&text[..len]).ok()?.parse().ok()?;
    Some((number, len))
}

/// Behind `0x`.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_hexdigit);
    let mut len = whole;
    let mut fraction: &[u8] = &[];
    if text.get(len) == Some(&b'.') {
        fraction = &text[len + 1..len + 1 + digits(&text[len + 1..], u8::is_ascii_hexdigit)];
        len += 1 + fraction.len();
    }
    if whole + fraction.len() == 0 {
        return None;
    }
    let add =
        |number: f64, digit: &u8| number * 16.0 + f64::from(char::from(*digit).to_digit(16).unwrap_or(0));
    let mantissa = text[..whole].iter().chain(fraction).fold(0.0, add);
    let exponent = exponent_len(&text[len..], b'p');
    let power =
        std::str::from_utf8(&text[len..len + exponent]).ok()?.get(1..).and_then(|text| text.parse().ok());
    let power: i32 = power.unwrap_or(0);
    let number = mantissa * 2f64.powi(power.saturating_sub(4 * fraction.len() as i32));
    Some((number, len + exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        let check = |text: &str, expected: Option<(f64, usize)>| {
            assert_eq!(strtod(text.as_bytes()), expected, "{text}")
        };
        check("12,", Some((12.0, 2)));
        check("-0.5e2x", Some((-50.0, 6)));
        check("1e", Some((1.0, 1)));
        check("1.", Some((1.0, 2)));
        check(".5", Some((0.5, 2)));
        check("-", None);
        check("0x10", Some((16.0, 4)));
        check("0x1.8p1", Some((3.0, 7)));
        check("0xg", Some((0.0, 1)));
        check("+7", Some((7.0, 2)));
        check("-Infinity", Some((f64::NEG_INFINITY, 9)));
        assert!(strtod(b"nan").is_some_and(|(number, len)| number.is_nan() && len == 3));
    }
}
