//! A small blocking RESP2 client: single calls, and pipelines as fast as a socket takes them.

use crate::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Requests in flight when loading: deep enough that the network never idles, small enough to stay in socket buffers.
const LOAD_DEPTH: usize = 500;

/// How long one command may take: DEBUG POPULATE of 50 million keys takes two minutes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A reply, as far as these tools look at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// `+text`
    Status(String),
    /// `:number`
    Integer(i64),
    /// `$bytes`, None for nil.
    Bulk(Option<Vec<u8>>),
    /// `*items`; nil arrays come as empty ones.
    Array(Vec<Reply>),
}

impl Reply {
    /// The number of an integer reply.
    pub fn integer(self) -> Result<i64> {
        match self {
            Reply::Integer(number) => Ok(number),
            other => Err(format!("no number: {other}").into()),
        }
    }

    /// The text of a status or bulk reply, lossily; empty for others.
    pub fn text(self) -> String {
        match self {
            Reply::Status(text) => text,
            Reply::Bulk(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Status(text) => write!(f, "+{text}"),
            Reply::Integer(number) => write!(f, ":{number}"),
            Reply::Bulk(None) => write!(f, "(nil)"),
            Reply::Bulk(Some(bytes)) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Reply::Array(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(" "))
            }
        }
    }
}

/// One connection. Error replies are errors.
pub struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Client {
    /// Connects to 127.0.0.1.
    pub fn connect(port: u16) -> Result<Client> {
        let writer = TcpStream::connect(("127.0.0.1", port))?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { reader: BufReader::with_capacity(256 * 1024, writer.try_clone()?), writer })
    }

    /// One request, one reply.
    pub fn call(&mut self, words: &[&[u8]]) -> Result<Reply> {
        let mut request = Vec::new();
        encode(&mut request, words);
        self.send(&request)?;
        self.read()
    }

    /// Writes requests that are encoded already.
    pub fn send(&mut self, requests: &[u8]) -> Result<()> {
        Ok(self.writer.write_all(requests)?)
    }

    /// Reads one reply.
    pub fn read(&mut self) -> Result<Reply> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line)? == 0 {
            return Err("the server closed the connection".into());
        }
        let text = std::str::from_utf8(line.get(1..).unwrap_or_default())?.trim_end();
        match line[0] {
            b'+' => Ok(Reply::Status(text.to_owned())),
            b'-' => Err(format!("the server answered -{text}").into()),
            b':' => Ok(Reply::Integer(text.parse()?)),
            b'$' => self.bulk(text.parse()?),
            b'*' => {
                (0..text.parse::<i64>()?.max(0)).map(|_| self.read()).collect::<Result<_>>().map(Reply::Array)
            }
            other => Err(format!("the server sent a reply of type {:?}", char::from(other)).into()),
        }
    }

    fn bulk(&mut self, length: i64) -> Result<Reply> {
        let Ok(length) = usize::try_from(length) else { return Ok(Reply::Bulk(None)) };
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Reply::Bulk(Some(bytes)))
    }

    /// Sends `count` requests that `encode_one` appends, in pipelines of a fixed depth, and hands every reply over.
    pub fn pipeline(
        &mut self,
        count: u64,
        mut encode_one: impl FnMut(u64, &mut Vec<u8>),
        mut each: impl FnMut(u64, Reply) -> Result<()>,
    ) -> Result<()> {
        let mut requests = Vec::new();
        let mut done = 0;
        // Two batches are in flight: the next is encoded while the server works on the last.
        let mut waiting = 0;
        while done < count {
            let batch = (count - done - waiting).min(LOAD_DEPTH as u64);
            requests.clear();
            for at in 0..batch {
                encode_one(done + waiting + at, &mut requests);
            }
            self.send(&requests)?;
            for _ in 0..waiting {
                each(done, self.read()?)?;
                done += 1;
            }
            waiting = batch;
        }
        Ok(())
    }

    /// The same when only errors matter.
    pub fn load(&mut self, count: u64, encode_one: impl FnMut(u64, &mut Vec<u8>)) -> Result<()> {
        self.pipeline(count, encode_one, |_, _| Ok(()))
    }
}

/// Appends one request as an array of bulk strings.
pub fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// `key:` and twelve digits: the 16-byte keys of redis-benchmark.
pub fn key(number: u64) -> Vec<u8> {
    format!("key:{number:012}").into_bytes()
}

/// 32 bytes that do not compress and follow from `seed` alone.
pub fn value(seed: u64) -> Vec<u8> {
    format!("{:016x}{:016x}", mix(seed), mix(!seed)).into_bytes()
}

/// A well-mixed function of one number (SplitMix64's finaliser).
pub fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_the_sizes_that_the_tables_name() {
        for seed in [0, 1, 999_999, 16_000_000, u64::MAX] {
            assert_eq!(value(seed).len(), 32);
        }
        assert_eq!(key(16_000_000).len(), 16);
        assert_ne!(value(1), value(2));
    }

    #[test]
    fn requests_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        encode(&mut out, &[b"GET", b"a\r\nb"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }
}
