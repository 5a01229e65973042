//! The floor: what a server on this kernel cannot do without.
//!
//! One thread, one epoll, one read and one write per readable socket. It finds the ends of complete requests (arrays
//! of bulk strings and inline lines, pipelined, cut anywhere) and answers each with `+OK`, whatever was asked. No
//! command, no table, no limits: the distance between it and a real server is the real server's own work.
//!
//! Deliberately absent: back-pressure. A reply that does not fit the socket is retried at once, which redis-benchmark
//! never causes because it reads what it asked for before it asks again.

use crate::Result;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Bytes read at once, as much as Redis reads.
const READ_BYTES: usize = 16 * 1024;

/// Sockets served per epoll_wait.
const EVENTS: usize = 1024;

const LISTENER: u64 = u64::MAX;
const REPLY: &[u8] = b"+OK\r\n";

struct Connection {
    socket: TcpStream,
    /// The start of a request whose end has not come yet; empty between requests.
    partial: Vec<u8>,
}

/// Serves 127.0.0.1:`port` until killed.
pub fn run(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;

    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS);
    let mut buffer = vec![0; READ_BYTES];
    let mut replies = Vec::new();
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                accept(&listener, &poll, &mut connections)?;
                continue;
            }
            let slot = &mut connections[key as usize];
            let open = slot.as_mut().is_some_and(|c| serve(c, &mut buffer, &mut replies).unwrap_or(false));
            if !open {
                *slot = None; // closing the socket takes it out of the epoll set
            }
        }
    }
}

/// Takes every waiting connection; slots of closed ones are used again.
fn accept(
    listener: &TcpListener,
    poll: &impl std::os::fd::AsFd,
    connections: &mut Vec<Option<Connection>>,
) -> Result<()> {
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let slot = connections.iter().position(Option::is_none).unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        epoll::add(poll, &socket, epoll::EventData::new_u64(slot as u64), epoll::EventFlags::IN)?;
        connections[slot] = Some(Connection { socket, partial: Vec::new() });
    }
}

/// One read and, if it completed requests, one write. False: the peer has gone or sent garbage.
fn serve(connection: &mut Connection, buffer: &mut [u8], replies: &mut Vec<u8>) -> std::io::Result<bool> {
    let read = match connection.socket.read(buffer) {
        Ok(0) => return Ok(false),
        Ok(read) => &buffer[..read],
        Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
        Err(e) => return Err(e),
    };
    let (requests, rest) = if connection.partial.is_empty() {
        let Some((requests, used)) = count_requests(read) else { return Ok(false) };
        (requests, read[used..].to_vec())
    } else {
        connection.partial.extend_from_slice(read);
        let Some((requests, used)) = count_requests(&connection.partial) else { return Ok(false) };
        (requests, connection.partial.split_off(used))
    };
    connection.partial = rest;
    replies.clear();
    for _ in 0..requests {
        replies.extend_from_slice(REPLY);
    }
    write_all(&mut connection.socket, replies)?;
    Ok(true)
}

fn write_all(socket: &mut TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// How many complete requests `bytes` starts with, and how many bytes they take. None: not the protocol.
fn count_requests(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut requests = 0;
    let mut used = 0;
    while let Some(length) = request_length(&bytes[used..])? {
        requests += 1;
        used += length;
    }
    Some((requests, used))
}

/// Length of the first request; `Some(None)` when its end is not there yet.
#[allow(clippy::option_option, reason = "three outcomes: garbage, incomplete, a length")]
fn request_length(bytes: &[u8]) -> Option<Option<usize>> {
    if bytes.first() != Some(&b'*') {
        return Some(bytes.iter().position(|&b| b == b'\n').map(|end| end + 1));
    }
    let Some((arguments, mut at)) = header(bytes)? else { return Some(None) };
    for _ in 0..arguments {
        let Some((length, header)) = header(&bytes[at..])? else { return Some(None) };
        at += header + length + 2;
        if at > bytes.len() {
            return Some(None);
        }
    }
    Some(Some(at))
}

/// The number behind a type byte, and the length of that line.
#[allow(clippy::option_option, reason = "three outcomes: garbage, incomplete, a number")]
fn header(bytes: &[u8]) -> Option<Option<(usize, usize)>> {
    let mut number = 0usize;
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            b'0'..=b'9' => number = number.checked_mul(10)?.checked_add(usize::from(byte - b'0'))?,
            b'\r' => return Some((at + 1 < bytes.len()).then_some((number, at + 2))),
            _ => return None,
        }
    }
    Some(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Option<(usize, usize)>) {
        assert_eq!(count_requests(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn counts_complete_requests_only() {
        check(b"", Some((0, 0)));
        check(b"PING\r\n", Some((1, 6)));
        check(b"PING\r\nPI", Some((1, 6)));
        check(b"*1\r\n$4\r\nPING\r\n", Some((1, 14)));
        check(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", Some((2, 28)));
        check(b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n", Some((1, 21)));
        check(b"*x\r\n", None);
    }

    #[test]
    fn waits_wherever_a_request_is_cut() {
        let request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\nv2\r\n";
        for cut in 0..request.len() {
            check(&request[..cut], Some((0, 0)));
        }
        check(request, Some((1, request.len())));
    }
}
