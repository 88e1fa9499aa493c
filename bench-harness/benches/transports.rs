//! The framing machines: what a server does with received octets, and what surrounds an outgoing message.

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wampline_bench::PAYLOAD_BYTES;
use wampline_bench::hot;
use wampline_bench::stage::Framed;
use wampline_transports::Framing;
use wampline_transports::client::Client;
use wampline_transports::server::{Received, Server};
use wampline_wire::Serializer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, receive, unmask, mask, frame);
criterion_main!(benches);

/// One receive of 64 KiB at most (one message, if that is longer), cut into its messages. WebSocket frames are
/// unmasked, those of JSON checked for UTF-8. Each time gets a copy of the octets, made outside the measurement, for
/// unmasking happens in place.
fn receive(criterion: &mut Criterion) {
    for framed in Framed::ALL {
        let name = framed.name();
        let mut group = criterion.benchmark_group(format!("receive_{name}"));
        for serializer in [Serializer::Json, Serializer::MsgPack] {
            for bytes in PAYLOAD_BYTES {
                let (mut server, octets, messages) = conversation(framed, serializer, bytes);
                group.throughput(Throughput::Elements(messages));
                group.bench_function(BenchmarkId::new(serializer.name(), bytes), |bencher| {
                    bencher.iter_batched_ref(
                        || octets.clone(),
                        |octets| assert_eq!(receive_all(&mut server, octets), messages),
                        BatchSize::SmallInput,
                    );
                });
            }
        }
        group.finish();
    }
}

/// Sizes from a key press to a picture, in octets.
const SIZES: [usize; 5] = [16, 125, 1024, 16 << 10, 256 << 10];

/// A received WebSocket frame of binary octets: unmasked in place, nothing checked. Unmasking twice is as good as once.
fn unmask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unmask");
    for bytes in SIZES {
        let (mut server, mut client) = hot::connected(Framed::WebSocket, Serializer::MsgPack);
        let octets = masked(&mut client, &vec![0x5a; bytes]);
        let (mut copy, mut control) = (octets.clone(), Vec::new());
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| {
                copy.copy_from_slice(&octets);
                let received = server.receive(&mut copy.as_mut_slice(), &mut control);
                assert!(matches!(black_box(received), Ok(Some(Received::Message { .. }))));
            });
        });
    }
    group.finish();
}

/// A frame as a WebSocket client sends it: copied and masked.
fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for bytes in SIZES {
        let (_, mut client) = hot::connected(Framed::WebSocket, Serializer::MsgPack);
        let (message, mut out) = (vec![0x5a; bytes], Vec::with_capacity(bytes + 64));
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| {
                out.clear();
                let Ok(()) = client.send::<Infallible>(&mut out, |out| {
                    out.extend_from_slice(black_box(&message));
                    Ok(())
                });
            });
        });
    }
    group.finish();
}

fn masked(client: &mut Client, message: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let Ok(()) = client.send::<Infallible>(&mut octets, |out| {
        out.extend_from_slice(message);
        Ok(())
    });
    octets
}

/// An outgoing message in its frame: the message itself is copied.
fn frame(criterion: &mut Criterion) {
    for (name, framing) in [("rawsocket", Framing::RawSocket), ("websocket", Framing::WebSocket)] {
        let mut group = criterion.benchmark_group(format!("frame_{name}"));
        for bytes in PAYLOAD_BYTES {
            let message = vec![b'x'; bytes];
            let mut out = Vec::with_capacity(bytes + 16);
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    framing.frame::<Infallible>(Serializer::MsgPack, &mut out, bytes, |out| {
                        out.extend_from_slice(black_box(&message));
                        Ok(())
                    })
                });
            });
        }
        group.finish();
    }
}

/// A server past its handshake, octets that a client sends it, and the number of messages in them.
fn conversation(framed: Framed, serializer: Serializer, bytes: usize) -> (Server, Vec<u8>, u64) {
    let (server, message) = hot::conversation(framed, serializer, bytes);
    let count = (64 * 1024 / message.len()).max(1);
    (server, message.repeat(count), count as u64)
}

/// Cuts all messages out of what was received; returns their number.
fn receive_all(server: &mut Server, octets: &mut [u8]) -> u64 {
    let mut control = Vec::new();
    let (mut at, mut messages) = (0, 0);
    loop {
        let mut rest = &mut octets[at..];
        let before = rest.len();
        let received = server.receive(&mut rest, &mut control).expect("good frames");
        at += before - rest.len();
        match received {
            Some(Received::Message { octets, .. }) => {
                black_box(octets);
                messages += 1;
            }
            _ => return messages,
        }
    }
}
