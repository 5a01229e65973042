//! What a client reads when a command fails. `Display` is the wire text, code included, byte for byte Redis's.

use std::borrow::Cow;
use std::fmt;

/// The failure of a command. Common ones do not allocate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// Options don't fit together.
    Syntax,
    /// The key holds another type.
    WrongType,
    /// No integer, or out of the range of `i64`.
    NotAnInteger,
    /// No float.
    NotAFloat,
    /// A count, timeout or index out of its range.
    OutOfRange,
    /// The result would not fit `i64`.
    Overflow,
    /// DB index beyond `databases`, or none.
    BadDbIndex,
    /// Wrong number of words for this command (lower-case full name).
    Arity(Cow<'static, str>),
    /// The client has to authenticate first.
    NoAuth,
    /// Wrong user or password.
    WrongPass,
    /// `maxmemory` is reached and nothing can be evicted.
    OutOfMemory,
    /// Any other text, code included.
    Text(&'static str),
    /// A text that names something of the request, code included.
    Message(String),
    /// Bytes that are no UTF-8, code included: texts that quote the request, and errors of scripts.
    Raw(Vec<u8>),
}

impl CommandError {
    /// The text behind `-`.
    pub fn wire(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Raw(bytes) => Cow::Borrowed(bytes),
            Self::Arity(_) | Self::Message(_) => Cow::Owned(self.to_string().into_bytes()),
            fixed => Cow::Borrowed(fixed.fixed().as_bytes()),
        }
    }

    /// A text, code included, that quotes a word of the request. As Redis's formatted errors do, the quote ends at a
    /// zero byte and keeps all other bytes as they came.
    #[cold]
    pub fn quoting(before: &str, word: &[u8], after: &str) -> Self {
        Self::Raw([before.as_bytes(), quoted(word), after.as_bytes()].concat())
    }

    /// The code: the first word.
    pub fn code(&self) -> String {
        let wire = self.wire();
        // A script's error may be a single word: no code, then. Line ends become spaces in the reply.
        let code = wire.iter().position(|b| b" \r\n".contains(b)).map_or(&b"ERR"[..], |end| &wire[..end]);
        String::from_utf8_lossy(code).into_owned()
    }

    /// The refusal of a RESP2 client that listens to channels.
    #[cold]
    pub fn only_in_subscribed_mode(command: &str) -> Self {
        Self::Message(format!(
            "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        ))
    }

    fn fixed(&self) -> &'static str {
        match self {
            Self::Syntax => "ERR syntax error",
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::NotAFloat => "ERR value is not a valid float",
            Self::OutOfRange => "ERR value is out of range",
            Self::Overflow => "ERR increment or decrement would overflow",
            Self::BadDbIndex => "ERR DB index is out of range",
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::WrongPass => "WRONGPASS invalid username-password pair or user is disabled.",
            Self::Text(text) => text,
            Self::Arity(_) | Self::Message(_) | Self::Raw(_) => "",
        }
    }
}

/// The part of a word that an error text shows: see [`CommandError::quoting`].
pub fn quoted(word: &[u8]) -> &[u8] {
    memchr::memchr(0, word).map_or(word, |end| &word[..end])
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arity(name) => write!(f, "ERR wrong number of arguments for '{name}' command"),
            Self::Message(text) => f.write_str(text),
            Self::Raw(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            fixed => f.write_str(fixed.fixed()),
        }
    }
}

impl std::error::Error for CommandError {}

impl From<&'static str> for CommandError {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}
