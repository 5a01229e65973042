//! Bytes of a client in arbitrary cuts: the parser agrees with itself uncut, its ranges lie inside the buffer, and what
//! redis-protocol reads as an array of bulk strings it reads as the same words.
//!
//! The first byte chooses the limits and how the rest is cut, so that the fuzzer steers both. Without cargo-fuzz:
//! `RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
//! -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
//! -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions" cargo +nightly run --release --bin request --
//! corpus seeds/request`.
#![no_main]

use common::resp::{Limits, Parser, Requests, Status};
use libfuzzer_sys::fuzz_target;
use redis_protocol::resp2::{decode::decode_bytes, types::BytesFrame};

/// Redis's smallest proto-max-bulk-len is a megabyte; a smaller one here brings the limit within the fuzzer's reach.
const MAX_BULK: u64 = 100_000;

fuzz_target!(|data: &[u8]| {
    let Some((&how, input)) = data.split_first() else { return };
    let limits = Limits { authenticated: how & 1 != 0, max_bulk: MAX_BULK, max_requests: usize::MAX };
    let whole = run(input, &limits, input.len(), None);
    let step = usize::from(how >> 2) + 1;
    assert_eq!(run(input, &limits, step, None), whole, "in pieces of {step}");
    // A connection hands over what is complete and keeps the rest, at most two requests at a time here.
    assert_eq!(run(input, &limits, step, Some(2)), whole, "handed over, in pieces of {step}");
    if limits.authenticated {
        agrees_with_redis_protocol(input, &whole.0);
    }
});

/// Feeds `input` in pieces of `step` bytes: the words of all requests, and how the stream stands at the end. With
/// `hand_over` requests are taken out whenever so many are complete, and the buffer is cut behind them.
fn run(input: &[u8], limits: &Limits, step: usize, hand_over: Option<usize>) -> (Vec<Vec<Vec<u8>>>, Status) {
    let (mut parser, mut requests, mut buf, mut words) =
        (Parser::default(), Requests::default(), Vec::new(), Vec::new());
    let limits = Limits { max_requests: hand_over.unwrap_or(usize::MAX), ..*limits };
    let mut status = Status::NeedsBytes;
    'input: for piece in input.chunks(step.max(1)) {
        buf.extend_from_slice(piece);
        loop {
            status = parser.parse(&mut buf, &limits, &mut requests);
            assert!(parser.consumed() <= buf.len());
            if hand_over.is_some() {
                words.extend(taken(&buf, &requests));
                requests.clear();
                buf.drain(..parser.consumed());
                parser.rebase();
            }
            match status {
                Status::NeedsBytes => break,
                Status::Full => {}
                Status::NeedsAuth(_) | Status::Broken(_) => break 'input,
            }
        }
        if parser.missing_bytes(buf.len()) > 0 {
            // It asks for no more than the bulk and its end.
            assert!(parser.missing_bytes(buf.len()) as u64 <= MAX_BULK + 2);
        }
    }
    words.extend(taken(&buf, &requests));
    (words, status)
}

/// The words of complete requests; panics when a range leaves the buffer.
fn taken(buf: &[u8], requests: &Requests) -> Vec<Vec<Vec<u8>>> {
    let words = |index: usize| {
        let ranges = requests.get(index);
        assert!(!ranges.is_empty(), "a request has a name");
        ranges.iter().map(|&(start, end)| buf[start as usize..end as usize].to_vec()).collect()
    };
    (0..requests.len()).map(words).collect()
}

/// Whatever the other parser reads from the start on as arrays of bulk strings, ours has read too, word by word.
fn agrees_with_redis_protocol(input: &[u8], ours: &[Vec<Vec<u8>>]) {
    let mut rest = bytes::Bytes::copy_from_slice(input);
    let mut ours = ours.iter();
    // Its decoder recurses into nested arrays without a limit: so many at most.
    let nesting = input.iter().filter(|byte| **byte == b'*').count();
    while nesting < 500 && rest.first() == Some(&b'*') {
        let Ok(Some((BytesFrame::Array(elements), used))) = decode_bytes(&rest) else { return };
        let bulk = |element| match element {
            BytesFrame::BulkString(bytes) if bytes.len() as u64 <= MAX_BULK => Some(bytes.to_vec()),
            _ => None,
        };
        let Some(theirs) = elements.into_iter().map(bulk).collect::<Option<Vec<Vec<u8>>>>() else { return };
        // It also takes numbers that Redis refuses, as `*+1` and `*01`: only the plain form is compared.
        if encode(&theirs) != rest[..used] {
            return;
        }
        if !theirs.is_empty() {
            assert_eq!(ours.next(), Some(&theirs)); // an empty request is no request
        }
        rest = rest.slice(used..);
    }
}

fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        wire.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        wire.extend_from_slice(word);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}
