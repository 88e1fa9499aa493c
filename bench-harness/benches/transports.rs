//! The framing machines: what a server does with received octets, and what surrounds an outgoing message.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wampline_bench::{PAYLOAD_BYTES, encoded, payload, with_publish};
use wampline_transports::Framing;
use wampline_transports::client::{Client, Transport};
use wampline_transports::server::{Options, Origins, Received, Server};
use wampline_wire::Serializer;

criterion_group!(benches, receive, frame);
criterion_main!(benches);

/// One receive of 64 KiB at most (one message, if that is longer), cut into its messages. WebSocket frames are
/// unmasked, those of JSON checked for UTF-8. Each time gets a copy of the octets, made outside the measurement, for
/// unmasking happens in place.
fn receive(criterion: &mut Criterion) {
    let transports = [
        ("rawsocket", Transport::RawSocket { length: 15 }),
        ("websocket", Transport::WebSocket { host: "localhost".to_owned(), path: "/ws".to_owned() }),
    ];
    for (name, transport) in transports {
        let mut group = criterion.benchmark_group(format!("receive_{name}"));
        for serializer in [Serializer::Json, Serializer::MsgPack] {
            for bytes in PAYLOAD_BYTES {
                let (mut server, octets, messages) = conversation(&transport, serializer, bytes);
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
fn conversation(transport: &Transport, serializer: Serializer, bytes: usize) -> (Server, Vec<u8>, u64) {
    let mut server = Server::new(Arc::new(Options {
        rawsocket: true,
        websocket: true,
        serializers: Serializer::ALL.to_vec(),
        paths: vec!["/ws".to_owned()],
        origins: Origins::Any,
        assume_subprotocol: None,
        echo: false,
        message_bytes_max: (1 << 24) - 1,
    }));
    let mut handshake = Vec::new();
    let mut client = Client::new(transport, serializer, 1, &mut handshake);
    let mut answer = Vec::new();
    let established = server.receive(&mut handshake.as_mut_slice(), &mut answer).expect("a good handshake");
    assert!(matches!(established, Some(Received::Established(_))), "{established:?}");

    let publish = with_publish(&payload(serializer, bytes), |publish| encoded(serializer, publish));
    let count = (64 * 1024 / publish.len()).max(1);
    let mut octets = Vec::new();
    client.receive(&mut answer.as_mut_slice(), &mut octets).expect("a good answer");
    for _ in 0..count {
        let Ok(()) = client.send::<Infallible>(&mut octets, |out| {
            out.extend_from_slice(&publish);
            Ok(())
        });
    }
    (server, octets, count as u64)
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
