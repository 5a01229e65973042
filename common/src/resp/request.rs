//! The request parser: bytes of one connection to argument ranges.
//!
//! ```text
//! *2\r\n $3\r\n GET\r\n $1\r\n k\r\n   multibulk: an array of bulk strings
//! GET k\r\n                            inline: words, with the quoting rules of redis.conf
//! ```
//!
//! The parser is resumable: it remembers how far it came, so a request that arrives byte by byte is looked at once
//! per byte, never again from its start (but for one try to read a short one as a whole). It reads ahead of execution, hence it judges nothing that depends on the
//! session: a size that only an authenticated client may send makes it stop with [`Status::NeedsAuth`], and a
//! protocol error is handed over as data, to be answered in its turn.
//!
//! Leniencies are Redis's: the two bytes after a bulk and the byte after `\r` are skipped unseen. So is its oddity that a
//! zero byte hides the end of its line: the request never ends, until the line is too long.

use crate::number::parse_i64;
use std::fmt;

/// Longest line (inline request, or the header of an array or bulk) in bytes; Redis's `PROTO_INLINE_MAX_SIZE`.
const MAX_LINE: usize = 64 * 1024;
/// Most arguments that a client may send before it has authenticated.
const UNAUTHENTICATED_ARGS: i64 = 10;
/// Longest argument in bytes that a client may send before it has authenticated.
const UNAUTHENTICATED_BULK: i64 = 16 * 1024;
/// Ranges that room is kept for between requests: one with very many must not hold memory for good.
const KEPT_ARGS: usize = 8192;
/// Ranges reserved ahead for one request, whatever count its header claims.
const RESERVED_ARGS: usize = 64;

/// What ends a connection after the requests before it have been answered. `Display` is the text after `-ERR `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request without a newline within 64 KB.
    InlineTooBig,
    /// Quotes of an inline request don't close, or a word follows a closing quote at once.
    UnbalancedQuotes,
    /// The line of an array header has no end within 64 KB.
    MultibulkHeaderTooBig,
    /// The count of an array header is no integer or more than `i32::MAX`.
    InvalidMultibulkLength,
    /// More than 10 arguments before authentication.
    UnauthenticatedMultibulkLength,
    /// The line of a bulk header has no end within 64 KB.
    BulkHeaderTooBig,
    /// An argument starts with another byte than `$`.
    ExpectedBulk(u8),
    /// The length of a bulk is no integer, negative or above `proto-max-bulk-len`.
    InvalidBulkLength,
    /// More than 16 KB in one argument before authentication.
    UnauthenticatedBulkLength,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            Self::InlineTooBig => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::MultibulkHeaderTooBig => "too big mbulk count string",
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::BulkHeaderTooBig => "too big bulk count string",
            Self::ExpectedBulk(byte) => return write!(f, "expected '$', got '{}'", char::from(*byte)),
            Self::InvalidBulkLength => "invalid bulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
        })
    }
}

/// What the parser may accept now.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Whether the tighter limits of a client that still has to authenticate are off.
    pub authenticated: bool,
    /// `proto-max-bulk-len`, bytes.
    pub max_bulk: u64,
    /// Most requests to gather before handing them over.
    pub max_requests: usize,
}

/// Why [`Parser::parse`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All bytes are used up, or an unfinished request is left.
    NeedsBytes,
    /// `max_requests` were gathered; call again once they are handed over.
    Full,
    /// The next request is too big for a client that has not authenticated. Nothing of its judgement is consumed:
    /// call again after the requests gathered so far have been executed.
    NeedsAuth(ProtocolError),
    /// The stream is broken here; nothing after this point can be read.
    Broken(ProtocolError),
}

/// Complete requests as ranges over a read buffer.
#[derive(Debug, Default)]
pub struct Requests {
    /// Start and end of each argument, all requests in one row.
    args: Vec<(u32, u32)>,
    /// For each request the index in `args` behind its last argument.
    ends: Vec<u32>,
}

impl Requests {
    /// Number of complete requests.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when no request is complete.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The argument ranges of request `index`; never empty.
    pub fn get(&self, index: usize) -> &[(u32, u32)] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.args[start..self.ends[index] as usize]
    }

    /// Forgets the requests, keeps the allocation unless it is outsized.
    pub fn clear(&mut self) {
        if self.allocated() > KEPT_ARGS * 8 {
            *self = Self::default();
        }
        self.args.clear();
        self.ends.clear();
    }

    /// Bytes held, for the clients' memory figures.
    pub fn allocated(&self) -> usize {
        self.args.capacity() * 8 + self.ends.capacity() * 4
    }

    fn finish(&mut self) {
        self.ends.push(self.args.len() as u32);
    }
}

/// The state of one connection's request stream.
///
/// Offsets are `u32`: a read buffer holds at most 4 GB, which the connection enforces.
#[derive(Debug, Default)]
pub struct Parser {
    /// Next byte to look at.
    pos: usize,
    /// Where the unfinished request starts.
    start: usize,
    /// Bytes behind `pos` that are known to hold no line end, so that they are not searched again.
    searched: usize,
    /// Arguments of the unfinished request still to come; 0 between requests.
    missing: u32,
    /// Length of the bulk whose header has been read.
    bulk: Option<usize>,
    /// Arguments of the unfinished request so far, as ranges over the whole buffer.
    partial: Vec<(u32, u32)>,
}

impl Parser {
    /// Reads requests from `buf`, the same buffer as the last time plus new bytes, into `out`.
    ///
    /// Words in quotes are unescaped in place, which never makes them longer.
    pub fn parse(&mut self, buf: &mut [u8], limits: &Limits, out: &mut Requests) -> Status {
        loop {
            if out.len() >= limits.max_requests {
                return Status::Full;
            }
            let step = if self.missing > 0 {
                self.arguments(buf, limits, out)
            } else if self.pos >= buf.len() {
                return Status::NeedsBytes;
            } else if buf[self.pos] == b'*' {
                if self.whole(buf, out) { Ok(()) } else { self.header(buf, limits) }
            } else {
                self.inline(buf, out)
            };
            if let Err(status) = step {
                return status;
            }
        }
    }

    /// Where the unfinished request starts: the bytes from here on have to be kept.
    pub fn consumed(&self) -> usize {
        self.start
    }

    /// Tells the parser that the bytes before [`Self::consumed`] were cut off.
    pub fn rebase(&mut self) {
        let by = self.start;
        self.pos -= by;
        self.start = 0;
        for (start, end) in &mut self.partial {
            *start -= by as u32;
            *end -= by as u32;
        }
    }

    /// How many more bytes the bulk that is being read needs at least; 0 when that is unknown.
    pub fn missing_bytes(&self, buffered: usize) -> usize {
        self.bulk.map_or(0, |len| (self.pos + len + 2).saturating_sub(buffered))
    }

    /// Finds the `\r` of the line at `pos` whose next byte has arrived too.
    fn line(&mut self, buf: &[u8], too_big: ProtocolError) -> Result<usize, Status> {
        let from = self.pos + self.searched;
        let found = memchr::memchr2(b'\r', 0, &buf[from..]).map(|at| from + at);
        let end = found.filter(|at| buf[*at] == b'\r');
        match end {
            Some(at) if at + 1 < buf.len() => {
                self.searched = 0;
                Ok(at)
            }
            _ => {
                self.searched = found.unwrap_or(buf.len()) - self.pos;
                if end.is_none() && buf.len() - self.pos > MAX_LINE {
                    return Err(Status::Broken(too_big));
                }
                Err(Status::NeedsBytes)
            }
        }
    }

    /// Reads a request in one go that has arrived whole and holds few short arguments: what nearly all are. Any other is
    /// left, false, to the steps that can stop at every byte.
    fn whole(&mut self, buf: &[u8], out: &mut Requests) -> bool {
        let Some((count, end)) = short_count(buf, self.pos + 1) else { return false };
        if !(1..=UNAUTHENTICATED_ARGS).contains(&count) {
            return false;
        }
        let before = out.args.len();
        let mut pos = end + 2;
        for _ in 0..count {
            let header = short_count(buf, pos + 1).filter(|_| buf[pos] == b'$');
            let Some((len, end)) = header else { break };
            let start = end + 2;
            pos = start + len as usize + 2;
            if pos > buf.len() {
                break;
            }
            out.args.push((start as u32, (pos - 2) as u32));
        }
        if out.args.len() - before < count as usize {
            out.args.truncate(before);
            return false;
        }
        out.finish();
        (self.pos, self.start, self.searched) = (pos, pos, 0);
        true
    }

    fn header(&mut self, buf: &[u8], limits: &Limits) -> Result<(), Status> {
        let (count, end) = match short_count(buf, self.pos + 1) {
            Some(short) => {
                self.searched = 0;
                short
            }
            None => {
                let end = self.line(buf, ProtocolError::MultibulkHeaderTooBig)?;
                match parse_i64(&buf[self.pos + 1..end]) {
                    Some(count) if count <= i64::from(i32::MAX) => (count, end),
                    _ => return Err(Status::Broken(ProtocolError::InvalidMultibulkLength)),
                }
            }
        };
        if count > UNAUTHENTICATED_ARGS && !limits.authenticated {
            return Err(Status::NeedsAuth(ProtocolError::UnauthenticatedMultibulkLength));
        }
        self.pos = end + 2;
        if count <= 0 {
            self.start = self.pos; // an empty request is no request
            return Ok(());
        }
        self.missing = count as u32;
        self.partial.clear();
        self.partial.reserve(RESERVED_ARGS.min(count as usize));
        Ok(())
    }

    fn arguments(&mut self, buf: &[u8], limits: &Limits, out: &mut Requests) -> Result<(), Status> {
        while self.missing > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => self.bulk_header(buf, limits)?,
            };
            if buf.len() < self.pos + len + 2 {
                self.bulk = Some(len);
                return Err(Status::NeedsBytes);
            }
            self.bulk = None;
            self.partial.push((self.pos as u32, (self.pos + len) as u32));
            self.pos += len + 2;
            self.missing -= 1;
        }
        out.args.append(&mut self.partial);
        if self.partial.capacity() > KEPT_ARGS {
            self.partial = Vec::new();
        }
        out.finish();
        self.start = self.pos;
        Ok(())
    }

    fn bulk_header(&mut self, buf: &[u8], limits: &Limits) -> Result<usize, Status> {
        // `proto-max-bulk-len` is at least a megabyte, so a short length is within it.
        if buf.get(self.pos) == Some(&b'$')
            && let Some((len, end)) = short_count(buf, self.pos + 1)
        {
            self.searched = 0;
            self.pos = end + 2;
            return Ok(len as usize);
        }
        let end = self.line(buf, ProtocolError::BulkHeaderTooBig)?;
        if buf[self.pos] != b'$' {
            return Err(Status::Broken(ProtocolError::ExpectedBulk(buf[self.pos])));
        }
        let len = match parse_i64(&buf[self.pos + 1..end]) {
            Some(len) if len >= 0 && len as u64 <= limits.max_bulk => len,
            _ => return Err(Status::Broken(ProtocolError::InvalidBulkLength)),
        };
        if len > UNAUTHENTICATED_BULK && !limits.authenticated {
            return Err(Status::NeedsAuth(ProtocolError::UnauthenticatedBulkLength));
        }
        self.pos = end + 2;
        Ok(len as usize)
    }

    fn inline(&mut self, buf: &mut [u8], out: &mut Requests) -> Result<(), Status> {
        let from = self.pos + self.searched;
        let found = memchr::memchr2(b'\n', 0, &buf[from..]).map(|at| from + at);
        let Some(newline) = found.filter(|at| buf[*at] == b'\n') else {
            self.searched = found.unwrap_or(buf.len()) - self.pos;
            if buf.len() - self.pos > MAX_LINE {
                return Err(Status::Broken(ProtocolError::InlineTooBig));
            }
            return Err(Status::NeedsBytes);
        };
        let mut end = newline;
        if end > self.pos && buf[end - 1] == b'\r' {
            end -= 1;
        }
        let before = out.args.len();
        let split = split_inline(buf, self.pos, end, &mut out.args);
        self.searched = 0;
        self.pos = newline + 1;
        self.start = self.pos;
        if !split {
            out.args.truncate(before);
            return Err(Status::Broken(ProtocolError::UnbalancedQuotes));
        }
        if out.args.len() > before {
            out.finish();
        }
        Ok(())
    }
}

/// The count of one or two digits that a header line usually has, read from `at`, and the place of its line end; `None`
/// for any other line, one that has not arrived whole among them.
#[inline]
fn short_count(buf: &[u8], at: usize) -> Option<(i64, usize)> {
    match *buf.get(at..at + 4)? {
        [a @ b'0'..=b'9', b'\r', _, _] => Some((i64::from(a - b'0'), at + 1)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _] => {
            Some((i64::from(a - b'0') * 10 + i64::from(b - b'0'), at + 2))
        }
        _ => None,
    }
}

/// Splits `buf[pos..end]` into words, unescaping quoted ones in place; false when quotes are unbalanced.
///
/// The rules are those of redis-cli and redis.conf: `"…"` with `\n \r \t \b \a \xHH` and `\c` for c itself, `'…'`
/// with `\'` only, and a closing quote must be followed by a space or the end.
fn split_inline(buf: &mut [u8], mut pos: usize, end: usize, out: &mut Vec<(u32, u32)>) -> bool {
    loop {
        while pos < end && is_space(buf[pos]) {
            pos += 1;
        }
        if pos >= end {
            return true;
        }
        let start = pos;
        let mut write = pos;
        loop {
            match buf.get(pos..end).and_then(|rest| rest.first().copied()) {
                None | Some(b' ' | b'\n' | b'\r' | b'\t') => break,
                Some(quote @ (b'"' | b'\'')) => {
                    let Some((next, written)) = unquote(buf, pos + 1, end, write, quote) else {
                        return false;
                    };
                    (pos, write) = (next, written);
                    if pos < end && !is_space(buf[pos]) {
                        return false;
                    }
                    break;
                }
                Some(byte) => {
                    buf[write] = byte;
                    write += 1;
                    pos += 1;
                }
            }
        }
        out.push((start as u32, write as u32));
    }
}

/// Copies a quoted stretch to `write`; the position behind its closing quote and the new write position.
fn unquote(
    buf: &mut [u8],
    mut pos: usize,
    end: usize,
    mut write: usize,
    quote: u8,
) -> Option<(usize, usize)> {
    loop {
        let byte = if pos < end { buf[pos] } else { return None };
        let (value, used) = match byte {
            b'\\' if quote == b'"' && pos + 1 < end => escape(&buf[pos..end]),
            b'\\' if quote == b'\'' && pos + 1 < end && buf[pos + 1] == b'\'' => (b'\'', 2),
            _ if byte == quote => return Some((pos + 1, write)),
            _ => (byte, 1),
        };
        buf[write] = value;
        write += 1;
        pos += used;
    }
}

/// The byte that the escape at the start of `text` (a backslash and at least one more byte) stands for.
fn escape(text: &[u8]) -> (u8, usize) {
    if let [_, b'x', high, low, ..] = *text
        && let (Some(high), Some(low)) = (char::from(high).to_digit(16), char::from(low).to_digit(16))
    {
        return ((high * 16 + low) as u8, 4);
    }
    let byte = match text[1] {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    };
    (byte, 2)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redis_protocol::resp2::{decode::decode, types::OwnedFrame};

    const OPEN: Limits = Limits { authenticated: true, max_bulk: 512 << 20, max_requests: usize::MAX };

    fn requests(buf: &[u8], out: &Requests) -> Vec<Vec<String>> {
        let text = |&(start, end): &(u32, u32)| {
            String::from_utf8_lossy(&buf[start as usize..end as usize]).into_owned()
        };
        (0..out.len()).map(|i| out.get(i).iter().map(text).collect()).collect()
    }

    /// Parses `input` whole and in every two-part cut; all must agree.
    fn parse(input: &[u8], limits: Limits) -> (Vec<Vec<String>>, Status) {
        let run = |cuts: &[usize]| {
            let (mut parser, mut out, mut buf) = (Parser::default(), Requests::default(), Vec::new());
            let mut status = Status::NeedsBytes;
            let mut from = 0;
            for &to in cuts.iter().chain([&input.len()]) {
                buf.extend_from_slice(&input[from..to]);
                from = to;
                status = parser.parse(&mut buf, &limits, &mut out);
                if status != Status::NeedsBytes {
                    break;
                }
            }
            (requests(&buf, &out), status)
        };
        let whole = run(&[]);
        if input.len() < 300 {
            for cut in 0..input.len() {
                assert_eq!(run(&[cut]), whole, "cut at {cut} of {:?}", String::from_utf8_lossy(input));
            }
            assert_eq!(run(&(0..input.len()).collect::<Vec<_>>()), whole, "byte by byte");
        }
        whole
    }

    fn check(input: &[u8], expected: &[&[&str]]) {
        assert_eq!(
            parse(input, OPEN),
            (
                expected.iter().map(|r| r.iter().map(|s| s.to_string()).collect()).collect(),
                Status::NeedsBytes
            )
        );
    }

    fn broken(input: &[u8], text: &str) {
        let (_, status) = parse(input, OPEN);
        match status {
            Status::Broken(error) => assert_eq!(error.to_string(), format!("Protocol error: {text}")),
            other => panic!("{:?}: {other:?}", String::from_utf8_lossy(input)),
        }
    }

    #[test]
    fn multibulk_requests() {
        check(b"*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
        check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", &[&["GET", ""], &["PING"]]);
        check(b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
        check(b"*1\r\n$12\r\nhello\r\nworld\r\n", &[&["hello\r\nworld"]]);
        check(b"*1\rX$4\rXPINGXX*1\r\n$1\r\n", &[&["PING"]]);
    }

    #[test]
    fn inline_requests() {
        check(b"PING\r\n\r\n\n  SET  a\tb \n", &[&["PING"], &["SET", "a", "b"]]);
        check(b"SET \"a b\" 'c\\'d'\r\n", &[&["SET", "a b", "c'd"]]);
        check(b"x \"\\x41\\n\\\"\\q\\xZZ\" ''\n", &[&["x", "A\n\"qxZZ", ""]]);
        check(b"\"\\x00\" c\n", &[&["\0", "c"]]);
        check(b"ab\"cd\" e\n", &[&["abcd", "e"]]);
    }

    #[test]
    fn errors_as_redis_words_them() {
        broken(b"*abc\r\n", "invalid multibulk length");
        broken(b"*2147483648\r\n", "invalid multibulk length");
        broken(b"*\r\n", "invalid multibulk length");
        broken(b"*1\r\nfoo\r\n", "expected '$', got 'f'");
        broken(b"*1\r\n$-1\r\n", "invalid bulk length");
        broken(b"*1\r\n$2000000000\r\n", "invalid bulk length");
        broken(b"*1\r\n$x\r\n", "invalid bulk length");
        broken(b"set \"abc\r\n", "unbalanced quotes in request");
        broken(b"set \"abc\"d\r\n", "unbalanced quotes in request");
        broken(&vec![b'a'; MAX_LINE + 1], "too big inline request");
        // A zero byte hides the line's end.
        for line in ["PING a\0b\r\nPING\r\n", "\0\n", "*\0\r\n", "*1\r\n$4\0\r\nPING\r\n"] {
            check(line.as_bytes(), &[]);
        }
        broken(&[b"PING\0".as_slice(), &b"PING\n".repeat(MAX_LINE / 5)].concat(), "too big inline request");
        broken(&[b"*".as_slice(), &vec![b'1'; MAX_LINE + 1]].concat(), "too big mbulk count string");
        broken(&[b"*1\r\n$".as_slice(), &vec![b'1'; MAX_LINE + 1]].concat(), "too big bulk count string");
    }

    #[test]
    fn sizes_wait_for_authentication() {
        let closed = Limits { authenticated: false, ..OPEN };
        let eleven = b"*1\r\n$4\r\nPING\r\n*11\r\n";
        assert_eq!(
            parse(eleven, closed),
            (vec![vec!["PING".into()]], Status::NeedsAuth(ProtocolError::UnauthenticatedMultibulkLength))
        );
        let long = b"*2\r\n$4\r\nAUTH\r\n$16385\r\n";
        assert_eq!(parse(long, closed).1, Status::NeedsAuth(ProtocolError::UnauthenticatedBulkLength));
        assert_eq!(parse(long, OPEN).1, Status::NeedsBytes);
        // The same parser goes on once the session has authenticated.
        let (mut parser, mut out, mut buf) = (Parser::default(), Requests::default(), long.to_vec());
        assert!(matches!(parser.parse(&mut buf, &closed, &mut out), Status::NeedsAuth(_)));
        buf.extend_from_slice(&vec![b'x'; 16387]);
        assert_eq!(parser.parse(&mut buf, &OPEN, &mut out), Status::NeedsBytes);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_cut_buffer_is_rebased() {
        let (mut parser, mut out) = (Parser::default(), Requests::default());
        let mut buf = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhe".to_vec();
        assert_eq!(parser.parse(&mut buf, &OPEN, &mut out), Status::NeedsBytes);
        assert_eq!(parser.missing_bytes(buf.len()), 5);
        let mut rest = buf[parser.consumed()..].to_vec();
        parser.rebase();
        out.clear();
        rest.extend_from_slice(b"llo\r\n");
        assert_eq!(parser.parse(&mut rest, &OPEN, &mut out), Status::NeedsBytes);
        assert_eq!(requests(&rest, &out), [["ECHO", "hello"]]);
    }

    proptest! {
        /// What we accept as a multibulk request, `redis-protocol` reads as the same array.
        #[test]
        fn agrees_with_redis_protocol(commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..5), cut in any::<prop::sample::Index>()) {
            let mut wire = Vec::new();
            for command in &commands {
                wire.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
                for arg in command {
                    wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
                    wire.extend_from_slice(arg);
                    wire.extend_from_slice(b"\r\n");
                }
            }
            let (mut parser, mut out) = (Parser::default(), Requests::default());
            let cut = cut.index(wire.len());
            let mut buf = wire[..cut].to_vec();
            prop_assert_eq!(parser.parse(&mut buf, &OPEN, &mut out), Status::NeedsBytes);
            buf.extend_from_slice(&wire[cut..]);
            prop_assert_eq!(parser.parse(&mut buf, &OPEN, &mut out), Status::NeedsBytes);
            let mut rest = &wire[..];
            for i in 0..out.len() {
                let (frame, used) = decode(rest).unwrap().unwrap();
                rest = &rest[used..];
                let OwnedFrame::Array(items) = frame else { panic!("no array") };
                let theirs: Vec<Vec<u8>> = items.into_iter().map(|item| match item {
                    OwnedFrame::BulkString(bytes) => bytes,
                    other => panic!("{other:?}"),
                }).collect();
                let ours: Vec<Vec<u8>> = out.get(i).iter().map(|&(s, e)| buf[s as usize..e as usize].to_vec()).collect();
                prop_assert_eq!(ours, theirs);
            }
            prop_assert_eq!(out.len(), commands.len());
        }

        /// No bytes make the parser panic, and ranges stay within the buffer.
        #[test]
        fn survives_garbage(mut bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'"')], 0..200)) {
            let (mut parser, mut out) = (Parser::default(), Requests::default());
            parser.parse(&mut bytes, &Limits { max_bulk: 64, ..OPEN }, &mut out);
            for i in 0..out.len() {
                for &(start, end) in out.get(i) {
                    prop_assert!(start <= end && end as usize <= bytes.len());
                }
            }
        }
    }
}
