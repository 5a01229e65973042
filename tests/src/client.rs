//! A client that speaks RESP over anything that reads and writes, and keeps replies byte for byte.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for a reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reply as it came over the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply(pub Vec<u8>);

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl PartialEq<&str> for Reply {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl Reply {
    /// The payload of a bulk string, status, error or number, without its frame.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0).into_owned();
        match text.as_bytes().first() {
            Some(b'$' | b'=') => text
                .split_once("\r\n")
                .map_or(String::new(), |(_, rest)| rest.trim_end_matches("\r\n").to_owned()),
            _ => text.trim_start_matches(['+', '-', ':', ',', '(']).trim_end_matches("\r\n").to_owned(),
        }
    }

    /// Whether it is an error that starts with `code`.
    pub fn is_error(&self, code: &str) -> bool {
        self.0.starts_with(format!("-{code}").as_bytes())
    }

    /// The number of an integer reply.
    pub fn integer(&self) -> i64 {
        assert_eq!(self.0.first(), Some(&b':'), "no integer: {self:?}");
        self.text().parse().expect("digits")
    }

    /// Number of elements of an array, set, map or push.
    pub fn len(&self) -> usize {
        let line = self.0.split(|b| *b == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(&line[1..]).parse().expect("an aggregate")
    }

    /// An aggregate without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A connection.
pub struct Client<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    at: usize,
}

impl Client<TcpStream> {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("TCP");
        stream.set_read_timeout(Some(PATIENCE)).expect("TCP");
        Self::over(stream)
    }

    /// Whether the server closes the connection, after any bytes that still come.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether nothing comes for a while.
    pub fn is_silent(&mut self, wait: Duration) -> bool {
        if self.at < self.buffer.len() {
            return false;
        }
        self.stream.set_read_timeout(Some(wait)).expect("TCP");
        let mut byte = [0];
        let silent = match self.stream.read(&mut byte) {
            Ok(n) => {
                self.buffer.extend_from_slice(&byte[..n]);
                false
            }
            Err(_) => true,
        };
        self.stream.set_read_timeout(Some(PATIENCE)).expect("TCP");
        silent
    }
}

impl<S: Read + Write> Client<S> {
    /// A client over a stream.
    pub fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), at: 0 }
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).expect("the server reads");
    }

    /// Sends bytes to a server that may have closed the connection.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends a command without waiting.
    pub fn send<A: AsRef<[u8]>>(&mut self, words: &[A]) {
        self.send_raw(&encode(words));
    }

    /// Sends a command and reads its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Reply {
        self.send(words);
        self.read()
    }

    /// Sends a line of plain words and reads the reply.
    pub fn run(&mut self, line: &str) -> Reply {
        let words: Vec<&str> = line.split(' ').collect();
        self.call(&words)
    }

    /// Reads one reply or push.
    pub fn read(&mut self) -> Reply {
        self.try_read().unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// Reads one reply or push.
    ///
    /// # Errors
    /// When the connection ends or nothing comes.
    pub fn try_read(&mut self) -> io::Result<Reply> {
        let start = self.at;
        let result = self.value();
        if let Err(error) = result {
            self.at = start;
            return Err(error);
        }
        let reply = Reply(self.buffer[start..self.at].to_vec());
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        Ok(reply)
    }

    fn value(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let kind = line[0];
        let rest = String::from_utf8_lossy(&line[1..]).into_owned();
        let count = || rest.parse::<i64>().map_err(|_| io::Error::other(format!("no length: {rest:?}")));
        match kind {
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' => Ok(()),
            b'$' | b'=' | b'!' => {
                let len = count()?;
                if len >= 0 { self.skip(len as usize + 2) } else { Ok(()) }
            }
            b'*' | b'~' | b'>' => (0..count()?).try_for_each(|_| self.value()),
            b'%' => (0..count()? * 2).try_for_each(|_| self.value()),
            b'|' => {
                (0..count()? * 2).try_for_each(|_| self.value())?;
                self.value()
            }
            other => Err(io::Error::other(format!("no reply starts with {:?}", char::from(other)))),
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut from = self.at;
        loop {
            if let Some(end) = self.buffer[from..].windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[self.at..from + end].to_vec();
                self.at = from + end + 2;
                return if line.is_empty() { Err(io::Error::other("an empty line")) } else { Ok(line) };
            }
            from = self.buffer.len().saturating_sub(1).max(self.at);
            self.fill()?;
        }
    }

    fn skip(&mut self, bytes: usize) -> io::Result<()> {
        while self.buffer.len() - self.at < bytes {
            self.fill()?;
        }
        self.at += bytes;
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; 64 * 1024];
        let n = self.stream.read(&mut chunk)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(())
    }
}

/// A command as an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(words: &[A]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        wire.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        wire.extend_from_slice(word);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// Runs lines one after the other; each is followed by its reply, lines of which are joined by spaces.
pub fn check(client: &mut Client, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        let reply = client.run(line).to_string();
        let shown = reply.trim_end().replace("\r\n", " ");
        assert_eq!(shown, *expected, "{line}");
    }
}
