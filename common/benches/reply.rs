//! Time per reply of the writer, in both protocol versions where they differ.

use std::hint::black_box;

use bytes::Bytes;
use common::resp::{Reply, Resp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Replies written before they are taken, about what a pipelined batch makes.
const BATCH: usize = 16;

/// One kind of reply: name, version and what writes it.
type Case = (&'static str, Resp, fn(&mut Reply));

const CASES: &[Case] = &[
    ("ok", Resp::V2, |r| r.ok()),
    ("null", Resp::V2, |r| r.null()),
    ("null", Resp::V3, |r| r.null()),
    ("small integer", Resp::V2, |r| r.integer(black_box(7))),
    ("long integer", Resp::V2, |r| r.integer(black_box(-1_234_567_890_123))),
    ("double", Resp::V2, |r| r.double(black_box(3.25))),
    ("double", Resp::V3, |r| r.double(black_box(3.25))),
    ("bulk of 5 bytes", Resp::V2, |r| r.bulk(black_box(b"xxxxx"))),
    ("bulk of 1 KB", Resp::V2, |r| r.bulk(black_box(&[b'x'; 1024]))),
    ("bulk of an integer", Resp::V2, |r| r.bulk_integer(black_box(12_345_678))),
    ("map of 4", Resp::V2, map_of_four),
    ("map of 4", Resp::V3, map_of_four),
    ("array of 100 bulks", Resp::V2, |r| {
        r.array(100);
        (0..100).for_each(|_| r.bulk(black_box(b"element:00000000")));
    }),
];

fn map_of_four(reply: &mut Reply) {
    reply.map(4);
    for n in 0..4 {
        reply.bulk(black_box(b"field"));
        reply.integer(n);
    }
}

fn reply(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, resp, write) in CASES {
        group.bench_function(format!("{name} {resp:?} ×{BATCH}"), |b| {
            let mut reply = Reply::new(*resp);
            b.iter(|| {
                (0..BATCH).for_each(|_| write(&mut reply));
                // As a connection does: the vector goes out and comes back.
                let (_, tail) = reply.take();
                reply.recycle(black_box(tail));
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    let shared = Bytes::from(vec![b'x'; 1 << 20]);
    group.bench_function("a shared megabyte", |b| {
        b.iter(|| {
            let mut reply = Reply::new(Resp::V2);
            reply.bulk_shared(black_box(&shared));
            black_box(reply.take())
        });
    });
    group.finish();
}

criterion_group!(benches, reply);
criterion_main!(benches);
