//! Time per step on lists.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use store::{Element, End, List, ListLimit};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn len(element: Element<'_>) -> usize {
    element.as_bytes(&mut itoa::Buffer::new()).len()
}

fn filled(len: usize) -> List {
    let mut list = List::new();
    (0..len).for_each(|n| list.push(End::Tail, format!("element:{n:08}").as_bytes(), &ListLimit::default()));
    list
}

fn lists(c: &mut Criterion) {
    let limit = ListLimit::default();
    let mut group = c.benchmark_group("list");
    for (name, end) in [("head", End::Head), ("tail", End::Tail)] {
        group.bench_function(format!("push at the {name}"), |b| {
            let mut list = List::new();
            b.iter(|| list.push(end, black_box(b"element:00000000"), &limit));
        });
        group.bench_function(format!("pop at the {name}"), |b| {
            b.iter_batched_ref(
                || filled(1000),
                |list| list.pop(end, &limit, |e| black_box(e).to_vec()),
                BatchSize::LargeInput,
            );
        });
    }
    let queue = &mut filled(100_000);
    group.bench_function("push at the head, pop at the tail", |b| {
        b.iter(|| {
            queue.push(End::Head, black_box(b"element:00000000"), &limit);
            queue.pop(End::Tail, &limit, |e| {
                black_box(e);
            })
        });
    });
    let list = filled(1_000_000);
    group.bench_function("index in the middle of a million", |b| {
        b.iter(|| black_box(list.get(black_box(500_123), len)))
    });
    group.bench_function("clone of a million", |b| b.iter(|| black_box(list.clone())));
    group.throughput(Throughput::Elements(100));
    group.bench_function("range of 100", |b| {
        b.iter(|| {
            let (mut left, mut sum) = (100, 0);
            list.visit(black_box(500_000), End::Tail, |element| {
                sum += len(element);
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            sum
        });
    });
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
