//! The message encodings: parse (header scan and complete validation), encode, transcode.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wampline_bench::hot::{KINDS, pairs, with_kind};
use wampline_bench::{PAYLOAD_BYTES, encoded, event, payload, result, with_publish};
use wampline_wire::{Message, Serializer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, parse, parse_publish, encode_event, encode_result, encode_across, transcode);
criterion_main!(benches);

/// Every kind of message that a router receives often: the header scan with a small payload.
fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for kind in KINDS {
        for serializer in Serializer::ALL {
            let octets = with_kind(kind, &payload(serializer, PAYLOAD_BYTES[0]), |message| {
                encoded(serializer, message)
            });
            group.bench_function(BenchmarkId::new(kind, serializer.name()), |bencher| {
                bencher.iter(|| {
                    Message::parse(serializer, black_box(&octets)).expect("a message").message_type()
                });
            });
        }
    }
    group.finish();
}

fn parse_publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse_publish");
    for serializer in Serializer::ALL {
        for bytes in PAYLOAD_BYTES {
            let octets = with_publish(&payload(serializer, bytes), |publish| encoded(serializer, publish));
            group.throughput(Throughput::Bytes(octets.len() as u64));
            group.bench_function(BenchmarkId::new(serializer.name(), bytes), |bencher| {
                bencher.iter(|| {
                    Message::parse(serializer, black_box(&octets)).expect("a message").message_type()
                });
            });
        }
    }
}

fn encode_event(criterion: &mut Criterion) {
    encode(criterion, "encode_event", event);
}

fn encode_result(criterion: &mut Criterion) {
    encode(criterion, "encode_result", result);
}

/// To a receiver with the sender's serializer: the payload is copied.
fn encode(
    criterion: &mut Criterion,
    name: &str,
    message: for<'a> fn(&'a wampline_wire::PayloadBuf) -> Message<'a>,
) {
    let mut group = criterion.benchmark_group(name);
    for serializer in Serializer::ALL {
        for bytes in PAYLOAD_BYTES {
            let payload = payload(serializer, bytes);
            let message = message(&payload);
            let mut out = encoded(serializer, &message);
            group.throughput(Throughput::Bytes(out.len() as u64));
            group.bench_function(BenchmarkId::new(serializer.name(), bytes), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    black_box(&message).encode(serializer, &mut out).expect("expressible");
                    out.len()
                });
            });
        }
    }
}

/// To a receiver with another serializer: the payload is transcoded into the message.
fn encode_across(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode_event_across");
    for (from, to) in pairs() {
        for bytes in PAYLOAD_BYTES {
            let payload = payload(from, bytes);
            let message = event(&payload);
            let mut out = encoded(to, &message);
            group.throughput(Throughput::Bytes(payload.len() as u64));
            group.bench_function(pair_id(from, to, bytes), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    black_box(&message).encode(to, &mut out).expect("expressible");
                    out.len()
                });
            });
        }
    }
}

fn transcode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transcode");
    for (from, to) in pairs() {
        for bytes in PAYLOAD_BYTES {
            let payload = payload(from, bytes);
            group.throughput(Throughput::Bytes(payload.len() as u64));
            group.bench_function(pair_id(from, to, bytes), |bencher| {
                bencher.iter(|| black_box(&payload).transcode(to).expect("expressible").len());
            });
        }
    }
}

fn pair_id(from: Serializer, to: Serializer, bytes: usize) -> BenchmarkId {
    BenchmarkId::new(format!("{}_to_{}", from.name(), to.name()), bytes)
}
