//! The reply writer: appends RESP to a client's output in the version that the client speaks.
//!
//! Small replies go into one byte vector; a large shared value is kept as a segment of its own, by reference, so
//! that a 100 MB string or one message to 10,000 subscribers is never copied per client.

use bytes::Bytes;

/// From this size on a shared value is sent by reference. Below it, copying is cheaper than one more segment in a
/// vectored write (and keeps a read of small values in one `write`).
const SHARE_FROM: usize = 16 * 1024;

/// Protocol version of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Resp {
    /// RESP2, the version of every new connection.
    #[default]
    V2,
    /// RESP3, chosen by `HELLO 3`.
    V3,
}

/// A stretch of output bytes.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Bytes of this client alone.
    Own(Vec<u8>),
    /// Bytes shared with the keyspace or with other clients.
    Shared(Bytes),
}

impl Segment {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A place in the output, to come back to: see [`Reply::mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    segments: usize,
    offset: usize,
}

/// Output in the making: finished segments, and the vector that grows.
#[derive(Debug, Default)]
pub struct Reply {
    segments: Vec<Segment>,
    tail: Vec<u8>,
    /// Bytes in `segments`.
    sealed: usize,
    /// The version replies are written in.
    pub resp: Resp,
}

impl Reply {
    /// An empty reply in `resp`.
    pub fn new(resp: Resp) -> Self {
        Self { resp, ..Self::default() }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.sealed + self.tail.len()
    }

    /// Bytes that the growing vector has room for.
    pub fn capacity(&self) -> usize {
        self.tail.capacity()
    }

    /// True when nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes everything written, leaving the writer empty. Most replies are the last vector alone.
    pub fn take(&mut self) -> (Vec<Segment>, Vec<u8>) {
        self.sealed = 0;
        (std::mem::take(&mut self.segments), std::mem::take(&mut self.tail))
    }

    /// Gives a used vector back, so that the next reply needs no allocation.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.tail.capacity() == 0 {
            buffer.clear();
            self.tail = buffer;
        }
    }

    /// Appends all that `other` holds.
    pub fn append(&mut self, other: &mut Self) {
        if other.segments.is_empty() {
            self.tail.extend_from_slice(&other.tail);
            other.tail.clear();
            return;
        }
        self.seal();
        self.sealed += other.len();
        self.segments.append(&mut other.segments);
        self.segments.push(Segment::Own(std::mem::take(&mut other.tail)));
        other.sealed = 0;
    }

    /// The place where the next byte goes.
    pub fn mark(&self) -> Mark {
        Mark { segments: self.segments.len(), offset: self.tail.len() }
    }

    /// Drops what was written since `mark`.
    pub fn truncate(&mut self, mark: Mark) {
        if mark.segments < self.segments.len() {
            // The marked vector was sealed as the segment at that index since.
            let mut rest = self.segments.drain(mark.segments..);
            let Some(Segment::Own(tail)) = rest.next() else {
                unreachable!("a mark points into an own segment")
            };
            drop(rest);
            self.tail = tail;
            self.sealed = self.segments.iter().map(|s| s.as_slice().len()).sum();
        }
        self.tail.truncate(mark.offset);
    }

    /// The bytes written since `mark`, when no segment was sealed since; replies of scripts are read back so.
    pub fn since(&self, mark: Mark) -> Vec<u8> {
        if mark.segments == self.segments.len() {
            return self.tail[mark.offset..].to_vec();
        }
        let mut out = self.segments[mark.segments].as_slice()[mark.offset..].to_vec();
        for segment in &self.segments[mark.segments + 1..] {
            out.extend_from_slice(segment.as_slice());
        }
        out.extend_from_slice(&self.tail);
        out
    }

    /// Appends bytes that are RESP already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends bytes that are RESP already and shared with other clients.
    pub fn raw_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_FROM {
            self.raw(bytes);
            return;
        }
        self.seal();
        self.sealed += bytes.len();
        self.segments.push(Segment::Shared(bytes.clone()));
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// `+text`; the text holds no line break.
    pub fn simple(&mut self, text: &str) {
        self.tail.push(b'+');
        self.raw(text.as_bytes());
        self.crlf();
    }

    /// A status of any bytes; line breaks become spaces.
    pub fn status(&mut self, text: &[u8]) {
        self.tail.push(b'+');
        self.tail.extend(text.iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.crlf();
    }

    /// A double; in RESP2 a bulk string. Written with the fewest digits that read back as the same number, at most 17.
    pub fn double(&mut self, value: f64) {
        self.double_spelled(&double_text(value));
    }

    /// A double as a bulk string in either version.
    pub fn bulk_double(&mut self, value: f64) {
        self.bulk(double_text(value).as_bytes());
    }

    /// A double that was computed with more digits than `f64` has, spelled out; in RESP2 a bulk string.
    pub fn double_spelled(&mut self, text: &str) {
        match self.resp {
            Resp::V2 => self.bulk(text.as_bytes()),
            Resp::V3 => {
                self.tail.push(b',');
                self.raw(text.as_bytes());
                self.crlf();
            }
        }
    }

    /// An integer of any size, given in digits; in RESP2 a bulk string. Scripts may give anything: ends of lines become
    /// spaces.
    pub fn big_number(&mut self, digits: &[u8]) {
        let line: Vec<u8> = digits.iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }).collect();
        match self.resp {
            Resp::V2 => self.bulk(&line),
            Resp::V3 => {
                self.tail.push(b'(');
                self.tail.extend(line);
                self.crlf();
            }
        }
    }

    /// Text with a format of three letters; in RESP2 a bulk string.
    pub fn verbatim_as(&mut self, format: &[u8], text: &[u8]) {
        match self.resp {
            Resp::V2 => self.bulk(text),
            Resp::V3 => {
                self.header(b'=', text.len() as i64 + 4);
                let mut letters = [b' '; 4];
                letters[3] = b':';
                for (to, from) in letters[..3].iter_mut().zip(format) {
                    *to = *from;
                }
                self.raw(&letters);
                self.raw(text);
                self.crlf();
            }
        }
    }

    /// `-text`, with the code in front. Line breaks become spaces, as in Redis.
    pub fn error(&mut self, text: &[u8]) {
        // As Redis does, line breaks at the end are cut off, others become spaces.
        let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
        self.tail.push(b'-');
        self.tail.extend(text[..end].iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.crlf();
    }

    /// `:value`
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A bulk string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.tail.reserve(bytes.len() + 16);
        self.header(b'$', bytes.len() as i64);
        self.raw(bytes);
        self.crlf();
    }

    /// A bulk string whose bytes are shared: sent by reference when it is large.
    pub fn bulk_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_FROM {
            self.bulk(bytes);
            return;
        }
        self.header(b'$', bytes.len() as i64);
        self.raw_shared(bytes);
        self.crlf();
    }

    /// A bulk string that `owner` shares: sent by reference when it is large.
    pub fn bulk_owner<T: AsRef<[u8]> + Clone + Send + 'static>(&mut self, owner: &T) {
        if owner.as_ref().len() < SHARE_FROM {
            self.bulk(owner.as_ref());
        } else {
            self.bulk_shared(&Bytes::from_owner(owner.clone()));
        }
    }

    /// A bulk string with the decimal digits of `value`.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut buffer = itoa::Buffer::new();
        self.bulk(buffer.format(value).as_bytes());
    }

    /// The absent value: `$-1` or `_`.
    pub fn null(&mut self) {
        self.raw(if self.resp == Resp::V3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// The absent array: `*-1` or `_`.
    pub fn null_array(&mut self) {
        self.raw(if self.resp == Resp::V3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Header of an array; `len` elements follow.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// Header of a map; `len` pairs follow (a flat array in RESP2).
    pub fn map(&mut self, len: usize) {
        match self.resp {
            Resp::V3 => self.header(b'%', len as i64),
            Resp::V2 => self.header(b'*', len as i64 * 2),
        }
    }

    /// An array of `len` pairs, each of which [`Self::pair`] begins; in RESP2 an array of twice as many elements.
    pub fn pairs(&mut self, len: usize) {
        self.array(if self.resp == Resp::V2 { len * 2 } else { len });
    }

    /// The two elements of a pair follow.
    pub fn pair(&mut self) {
        if self.resp == Resp::V3 {
            self.array(2);
        }
    }

    /// Begins a list of names with values: a map in RESP3, in RESP2 an array of pairs. [`Self::entry`] before each.
    pub fn entries(&mut self, len: usize) {
        match self.resp {
            Resp::V3 => self.map(len),
            Resp::V2 => self.array(len),
        }
    }

    /// Begins one of [`Self::entries`].
    pub fn entry(&mut self) {
        if self.resp == Resp::V2 {
            self.array(2);
        }
    }

    /// Header of a set; `len` elements follow (an array in RESP2).
    pub fn set(&mut self, len: usize) {
        self.header(if self.resp == Resp::V3 { b'~' } else { b'*' }, len as i64);
    }

    /// Header of an out-of-band message; `len` elements follow (an array in RESP2).
    pub fn push(&mut self, len: usize) {
        self.header(if self.resp == Resp::V3 { b'>' } else { b'*' }, len as i64);
    }

    /// A truth value; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match self.resp {
            Resp::V3 => self.raw(if value { b"#t\r\n" } else { b"#f\r\n" }),
            Resp::V2 => self.integer(i64::from(value)),
        }
    }

    /// Human-readable text: verbatim (`txt`) in RESP3, a bulk string in RESP2.
    pub fn verbatim(&mut self, text: &[u8]) {
        match self.resp {
            Resp::V2 => self.bulk(text),
            Resp::V3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.raw(b"txt:");
                self.raw(text);
                self.crlf();
            }
        }
    }

    /// Fills in the array header of a reply whose length was not known at `mark`: everything written since then is
    /// moved up behind it.
    pub fn array_at(&mut self, mark: Mark, len: usize) {
        self.insert_at(mark, |header| header.array(len));
    }

    /// As [`Self::array_at`], for a set.
    pub fn set_at(&mut self, mark: Mark, len: usize) {
        self.insert_at(mark, |header| header.set(len));
    }

    /// As [`Self::array_at`], for a map of `len` pairs.
    pub fn map_at(&mut self, mark: Mark, len: usize) {
        self.insert_at(mark, |header| header.map(len));
    }

    /// Puts what `write` writes at a mark, before everything written since then.
    pub fn insert_at(&mut self, mark: Mark, write: impl FnOnce(&mut Self)) {
        let mut header = Self::new(self.resp);
        write(&mut header);
        let at = mark.offset..mark.offset;
        match self.segments.get_mut(mark.segments) {
            None => drop(self.tail.splice(at, header.tail)),
            Some(Segment::Own(bytes)) => {
                self.sealed += header.tail.len();
                bytes.splice(at, header.tail);
            }
            Some(Segment::Shared(_)) => unreachable!("a mark points into an own segment"),
        }
    }

    fn seal(&mut self) {
        // Sealed even when empty: a mark taken now must keep pointing to an own segment.
        self.sealed += self.tail.len();
        self.segments.push(Segment::Own(std::mem::take(&mut self.tail)));
    }

    #[inline(always)]
    fn header(&mut self, kind: u8, value: i64) {
        // One or two digits are by far the most common: copies of a fixed size instead of formatting a number.
        match value {
            0..=9 => self.raw(&[kind, b'0' + value as u8, b'\r', b'\n']),
            10..=99 => self.raw(&[kind, b'0' + value as u8 / 10, b'0' + value as u8 % 10, b'\r', b'\n']),
            _ => self.long_header(kind, value),
        }
    }

    #[cold]
    fn long_header(&mut self, kind: u8, value: i64) {
        let mut buffer = itoa::Buffer::new();
        self.tail.push(kind);
        self.raw(buffer.format(value).as_bytes());
        self.crlf();
    }

    fn crlf(&mut self) {
        self.raw(b"\r\n");
    }
}

/// `inf`, `-inf`, `nan`, or C's `%.17g` cut to the fewest digits that read back as the same number.
fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').expect("that format has an exponent");
    let exponent: i32 = exponent.parse().expect("digits");
    if (-5..17).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut Reply), v2: &str, v3: &str) {
        for (resp, expected) in [(Resp::V2, v2), (Resp::V3, v3)] {
            let mut reply = Reply::new(resp);
            let mark = reply.mark();
            write(&mut reply);
            assert_eq!(reply.len(), expected.len());
            assert_eq!(String::from_utf8(reply.since(mark)).unwrap(), expected);
        }
    }

    #[test]
    fn each_kind_in_both_versions() {
        check(|r| r.ok(), "+OK\r\n", "+OK\r\n");
        check(|r| r.error(b"ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n");
        check(|r| r.integer(-12), ":-12\r\n", ":-12\r\n");
        check(|r| r.integer(999_999_999_999_999), ":999999999999999\r\n", ":999999999999999\r\n");
        check(|r| r.bulk(b"hello world"), "$11\r\nhello world\r\n", "$11\r\nhello world\r\n");
        check(|r| r.bulk_integer(7), "$1\r\n7\r\n", "$1\r\n7\r\n");
        check(|r| r.null(), "$-1\r\n", "_\r\n");
        check(|r| r.null_array(), "*-1\r\n", "_\r\n");
        check(|r| r.map(2), "*4\r\n", "%2\r\n");
        check(|r| r.set(2), "*2\r\n", "~2\r\n");
        check(|r| r.push(3), "*3\r\n", ">3\r\n");
        check(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        check(|r| r.verbatim(b"ab"), "$2\r\nab\r\n", "=6\r\ntxt:ab\r\n");
    }

    #[test]
    fn headers_come_late_and_marks_survive_shared_segments() {
        let big = Bytes::from(vec![b'x'; SHARE_FROM]);
        let mut reply = Reply::default();
        reply.ok();
        let mark = reply.mark();
        reply.bulk(b"a");
        reply.bulk_shared(&big);
        reply.bulk(b"z");
        reply.array_at(mark, 3);
        let expected = format!("*3\r\n$1\r\na\r\n${}\r\n{}\r\n$1\r\nz\r\n", big.len(), "x".repeat(big.len()));
        assert_eq!(String::from_utf8(reply.since(mark)).unwrap(), expected);
        assert_eq!(reply.len(), expected.len() + 5);
        reply.truncate(mark);
        assert_eq!(reply.len(), 5);
        let (segments, tail) = reply.take();
        assert!(segments.is_empty());
        assert_eq!(tail, b"+OK\r\n");
    }
}
