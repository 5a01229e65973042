//! Time per request of the parser, beside the library that is its oracle in tests.

use std::hint::black_box;

use common::resp::{Limits, Parser, Requests, Status};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use redis_protocol::resp2::decode::decode_range;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LIMITS: Limits = Limits { authenticated: true, max_bulk: 512 << 20, max_requests: usize::MAX };

/// Requests in a pipeline, about what one read of a busy connection brings.
const PIPELINE: usize = 16;

fn multibulk(words: &[&[u8]]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        wire.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        wire.extend_from_slice(word);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// Parses all of `wire` in pieces of `step` bytes; the number of requests.
fn parse(wire: &mut [u8], step: usize, requests: &mut Requests) -> usize {
    let mut parser = Parser::default();
    requests.clear();
    let mut end = 0;
    while end < wire.len() {
        end = wire.len().min(end + step);
        let status = parser.parse(&mut wire[..end], &LIMITS, requests);
        assert_eq!(status, Status::NeedsBytes);
    }
    requests.len()
}

fn parser(c: &mut Criterion) {
    let get = multibulk(&[b"GET", b"key:000000000001"]);
    let set = multibulk(&[b"SET", b"key:000000000001", b"xxxxx"]);
    let pairs: Vec<Vec<u8>> = (0..100).map(|n| format!("key:{n:012}").into_bytes()).collect();
    let mut words: Vec<&[u8]> = vec![b"MSET"];
    words.extend(pairs.iter().map(Vec::as_slice));
    let long = vec![b'x'; 1 << 20];

    let mut group = c.benchmark_group("parser");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    let lines = [
        ("GET", get),
        ("SET", set),
        ("inline SET", b"SET key:000000000001 xxxxx\r\n".to_vec()),
        ("inline SET with quotes", b"SET \"key:000000000001\" \"xx\\x41xx\"\r\n".to_vec()),
    ];
    for (name, request) in lines {
        let fresh = request.repeat(PIPELINE);
        let (mut wire, mut requests) = (fresh.clone(), Requests::default());
        group.bench_function(format!("{name} ×{PIPELINE}"), |b| {
            // Unescaping writes into the buffer, so each round gets the bytes anew; the copy is a few nanoseconds.
            b.iter(|| {
                wire.copy_from_slice(&fresh);
                let all = wire.len();
                black_box(parse(black_box(&mut wire), all, &mut requests))
            });
        });
    }
    let set = multibulk(&[b"SET", b"key:000000000001", b"xxxxx"]).repeat(PIPELINE);
    group.bench_function(format!("SET ×{PIPELINE} by redis-protocol"), |b| {
        b.iter(|| {
            let (mut at, mut count) = (0, 0);
            while let Ok(Some((frame, used))) = decode_range(&black_box(&set)[at..]) {
                black_box(frame);
                at += used;
                count += 1;
            }
            count
        });
    });
    group.throughput(Throughput::Elements(1));
    let mut requests = Requests::default();
    let mut wire = multibulk(&words);
    group.bench_function("MSET of 50 pairs", |b| {
        b.iter(|| {
            let all = wire.len();
            parse(black_box(&mut wire), all, &mut requests)
        })
    });
    let mut wire = multibulk(&[b"SET", b"key", &long]);
    group.bench_function("SET of a megabyte in pieces of 16 KB", |b| {
        b.iter(|| parse(black_box(&mut wire), 16 << 10, &mut requests))
    });
    let mut wire = multibulk(&[b"SET", b"key:000000000001", b"xxxxx"]);
    group.bench_function("SET byte by byte", |b| b.iter(|| parse(black_box(&mut wire), 1, &mut requests)));
    group.finish();
}

criterion_group!(benches, parser);
criterion_main!(benches);
