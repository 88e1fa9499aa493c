//! Hot functions and whole paths as one list of named operations, for whatever measures them.
//!
//! Everything is the same in every run: payloads, seeds of hash tables, masking keys.

use std::borrow::Cow;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use wampline_routing::pattern::{PatternTable, UriHasher};
use wampline_routing::uri::{MatchPolicy, UriRules};
use wampline_transports::Framing;
use wampline_transports::client::Client;
use wampline_transports::server::{Options, Origins, Received, Server};
use wampline_wire::{Dict, Message, PayloadBuf, PublicationId, RegistrationId, RequestId, Serializer};

use crate::permit::{By, Permits};
use crate::stage::{Framed, request};
use crate::{PAYLOAD_BYTES, TOPIC, encoded, event, paths, payload};

/// An operation, ready to be repeated.
pub type Action = Box<dyn FnMut()>;

/// Something that is measured.
pub struct Operation {
    /// Unique; the part before the first slash names its family.
    pub name: String,
    prepare: Box<dyn Fn() -> Action>,
}

impl Operation {
    fn new(name: String, prepare: impl Fn() -> Action + 'static) -> Operation {
        Operation { name, prepare: Box::new(prepare) }
    }

    /// Operations of one family may share what they leave behind in memory; those of different families do not.
    pub fn family(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Everything before the first time.
    pub fn prepare(&self) -> Action {
        (self.prepare)()
    }
}

/// Every operation.
pub fn all() -> Vec<Operation> {
    let mut operations = Vec::new();
    parse(&mut operations);
    encode(&mut operations);
    transcode(&mut operations);
    receive(&mut operations);
    frame(&mut operations);
    matching(&mut operations);
    permit(&mut operations);
    for path in paths::all() {
        let name = path.name.clone();
        operations.push(Operation::new(name, move || {
            let mut step = path.prepare();
            Box::new(move || {
                black_box(step.run());
            })
        }));
    }
    operations
}

/// Messages of every kind that a router receives often, by name.
pub const KINDS: [&str; 7] = ["publish", "publish_bare", "call", "yield", "subscribe", "register", "error"];

/// Calls `with` with a message of this kind.
///
/// # Panics
/// If there is no such kind.
pub fn with_kind<R>(kind: &str, payload: &PayloadBuf, with: impl FnOnce(&Message<'_>) -> R) -> R {
    let (request, options, payload) = (request(70_000), Dict::EMPTY, payload.as_payload());
    let topic = Cow::Borrowed(TOPIC);
    match kind {
        "publish" => crate::with_publish_of(payload, with),
        "publish_bare" => with(&Message::Publish { request, options, topic, payload }),
        "call" => with(&Message::Call { request, options, procedure: topic, payload }),
        "yield" => with(&Message::Yield { request, options, payload }),
        "subscribe" => with(&Message::Subscribe { request, options, topic }),
        "register" => with(&Message::Register { request, options, procedure: topic }),
        "error" => with(&Message::Error {
            request_type: wampline_wire::RequestType::Invocation,
            request,
            details: options,
            error: Cow::Borrowed("com.example.error.failed"),
            payload,
        }),
        _ => panic!("no such kind of message: {kind}"),
    }
}

/// The header scan with the complete validation of the payload.
fn parse(operations: &mut Vec<Operation>) {
    for kind in KINDS {
        for serializer in Serializer::ALL {
            for bytes in PAYLOAD_BYTES {
                if bytes > 1024 && kind != "publish" {
                    continue;
                }
                let name = format!("parse/{kind}/{}/{bytes}", serializer.name());
                operations.push(Operation::new(name, move || {
                    let octets =
                        with_kind(kind, &payload(serializer, bytes), |message| encoded(serializer, message));
                    Box::new(move || {
                        black_box(Message::parse(serializer, black_box(&octets)).expect("a message"));
                    })
                }));
            }
        }
    }
}

/// To a receiver with the sender's serializer.
fn encode(operations: &mut Vec<Operation>) {
    for kind in ["event", "invocation", "result", "published"] {
        for serializer in Serializer::ALL {
            for bytes in PAYLOAD_BYTES {
                if bytes > 1024 && kind != "event" {
                    continue;
                }
                let name = format!("encode/{kind}/{}/{bytes}", serializer.name());
                operations.push(Operation::new(name, move || encoding(kind, serializer, serializer, bytes)));
            }
        }
    }
}

/// To a receiver with another serializer.
fn transcode(operations: &mut Vec<Operation>) {
    for (from, to) in pairs() {
        for bytes in PAYLOAD_BYTES {
            let name = format!("transcode/{}_to_{}/{bytes}", from.name(), to.name());
            operations.push(Operation::new(name, move || encoding("event", from, to, bytes)));
        }
    }
}

/// Every ordered pair of different serializers.
pub fn pairs() -> impl Iterator<Item = (Serializer, Serializer)> {
    let all = Serializer::ALL;
    let pairs = all.into_iter().flat_map(move |from| all.into_iter().map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to)
}

fn encoding(kind: &'static str, from: Serializer, to: Serializer, bytes: usize) -> Action {
    let payload = payload(from, bytes);
    let mut out = Vec::with_capacity(4 * bytes + 1024);
    Box::new(move || {
        out.clear();
        black_box(answer(kind, &payload)).encode(to, &mut out).expect("expressible");
        black_box(&out);
    })
}

fn answer<'a>(kind: &str, payload: &'a PayloadBuf) -> Message<'a> {
    let request: RequestId = request(70_000);
    let publication = PublicationId::new(4_429_313_566_921_331).expect("an id");
    match kind {
        "event" => event(payload),
        "result" => crate::result(payload),
        "published" => Message::Published { request, publication },
        _ => Message::Invocation {
            request,
            registration: RegistrationId::new(5_512).expect("an id"),
            details: Dict::EMPTY,
            payload: payload.as_payload(),
        },
    }
}

/// One received message cut out of its frame, unmasked and checked; the copy of its octets is part of it.
fn receive(operations: &mut Vec<Operation>) {
    for framed in Framed::ALL {
        for serializer in [Serializer::Json, Serializer::MsgPack] {
            for bytes in PAYLOAD_BYTES {
                let name = format!("receive/{}/{}/{bytes}", framed.name(), serializer.name());
                operations.push(Operation::new(name, move || {
                    let (mut server, octets) = conversation(framed, serializer, bytes);
                    let (mut copy, mut control) = (octets.clone(), Vec::new());
                    Box::new(move || {
                        copy.copy_from_slice(&octets);
                        let received = server.receive(&mut copy.as_mut_slice(), &mut control);
                        assert!(matches!(black_box(received), Ok(Some(Received::Message { .. }))));
                    })
                }));
            }
        }
    }
}

/// A server past its handshake, and octets of one PUBLISH that a client sends it.
pub fn conversation(framed: Framed, serializer: Serializer, bytes: usize) -> (Server, Vec<u8>) {
    let (mut server, mut client) = connected(framed, serializer);
    let publish = with_kind("publish", &payload(serializer, bytes), |publish| encoded(serializer, publish));
    let mut octets = Vec::new();
    let Ok(()) = client.send::<Infallible>(&mut octets, |out| {
        out.extend_from_slice(&publish);
        Ok(())
    });
    // Grows what the server needs to grow.
    let (mut copy, mut control) = (octets.clone(), Vec::new());
    let received = server.receive(&mut copy.as_mut_slice(), &mut control);
    assert!(matches!(received, Ok(Some(Received::Message { .. }))), "a good message");
    (server, octets)
}

/// Both ends of a connection past their handshake.
pub fn connected(framed: Framed, serializer: Serializer) -> (Server, Client) {
    let mut server = Server::new(Arc::new(Options {
        rawsocket: true,
        websocket: true,
        serializers: Serializer::ALL.to_vec(),
        paths: vec!["/ws".to_owned()],
        origins: Origins::Any,
        assume_subprotocol: None,
        echo: false,
        cookie: None,
        message_bytes_max: (1 << 24) - 1,
    }));
    let mut handshake = Vec::new();
    let mut client = Client::new(&framed.transport(), serializer, 1, &mut handshake);
    let mut answer = Vec::new();
    let established = server.receive(&mut handshake.as_mut_slice(), &mut answer).expect("a good handshake");
    assert!(matches!(established, Some(Received::Established(_))), "{established:?}");
    client.receive(&mut answer.as_mut_slice(), &mut Vec::new()).expect("a good answer");
    (server, client)
}

/// An outgoing message in its frame; the message itself is copied.
fn frame(operations: &mut Vec<Operation>) {
    for (name, framing) in [("rs", Framing::RawSocket), ("ws", Framing::WebSocket)] {
        for bytes in PAYLOAD_BYTES {
            operations.push(Operation::new(format!("frame/{name}/{bytes}"), move || {
                let message = vec![b'x'; bytes];
                let mut out = Vec::with_capacity(bytes + 64);
                Box::new(move || {
                    out.clear();
                    let framed = framing.frame::<Infallible>(Serializer::MsgPack, &mut out, bytes, |out| {
                        out.extend_from_slice(black_box(&message));
                        Ok(())
                    });
                    assert!(black_box(framed).is_ok());
                })
            }));
        }
    }
}

/// What a PUBLISH or CALL costs to find its subscriptions or its registration.
fn matching(operations: &mut Vec<Operation>) {
    for rules in [UriRules::Loose, UriRules::Strict] {
        let name = format!("match/check_uri/{rules:?}").to_lowercase();
        operations.push(Operation::new(name, move || {
            Box::new(move || {
                assert!(rules.check(black_box("com.example.sensors.temperature.42")).is_ok());
            })
        }));
    }
    for shape in Shape::ALL {
        for entries in [10, 1_000] {
            let name = format!("match/{}/{entries}", shape.name());
            operations.push(Operation::new(name, move || {
                let (table, topic) = shape.table(entries);
                Box::new(move || {
                    let mut found = 0;
                    table.for_each_match(black_box(&topic), |_, _| found += 1);
                    assert_eq!(found, shape.matches());
                })
            }));
        }
    }
}

/// What a PUBLISH or CALL of a session with a role costs to be permitted, among so many rules of each kind and as many answers, where
/// what decides is known. (Rules have hash tables with keys of their own: what it costs to look them up differs from run to run.)
fn permit(operations: &mut Vec<Operation>) {
    const ENTRIES: usize = 1_000;
    for by in By::ALL {
        operations.push(Operation::new(format!("permit/{}_known/{ENTRIES}", by.name()), move || {
            let mut permits = Permits::new(ENTRIES);
            let topic = permits.topic(by);
            Box::new(move || {
                black_box(permits.decide(black_box(&topic)));
            })
        }));
    }
}

/// What a pattern table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Exact entries, one of which matches.
    Exact,
    /// Exact entries, one of which matches, beside as many prefixes and as many wildcards, none of which does.
    BesidePatterns,
    /// Prefixes, one of which matches.
    Prefix,
    /// Wildcards, one of which matches.
    Wildcard,
    /// One exact entry, three prefixes and a wildcard that all match, beside many of each that do not.
    All,
    /// Entries of all kinds, none of which matches.
    None,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 6] =
        [Shape::Exact, Shape::BesidePatterns, Shape::Prefix, Shape::Wildcard, Shape::All, Shape::None];

    /// As in the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Exact => "exact",
            Shape::BesidePatterns => "exact_beside_patterns",
            Shape::Prefix => "prefix",
            Shape::Wildcard => "wildcard",
            Shape::All => "all_kinds",
            Shape::None => "none",
        }
    }

    /// Entries that match.
    pub fn matches(self) -> usize {
        match self {
            Shape::None => 0,
            Shape::All => 5,
            _ => 1,
        }
    }

    /// A table with this many entries of each kind that it has, and the topic to look up.
    pub fn table(self, entries: usize) -> (PatternTable<usize>, String) {
        let mut table = PatternTable::with_hasher(UriHasher::with_seed(1));
        let mut insert = |policy, uri: &str| {
            table.insert(policy, uri, 0).expect("the table admits these shapes");
        };
        let has = |shapes: &[Shape]| shapes.contains(&self);
        for n in 0..entries {
            if !has(&[Shape::Prefix, Shape::Wildcard]) {
                insert(MatchPolicy::Exact, &format!("com.example.s{n}.value"));
            }
            if !has(&[Shape::Exact, Shape::Wildcard]) {
                insert(MatchPolicy::Prefix, &format!("com.other.s{n}."));
            }
            if !has(&[Shape::Exact, Shape::Prefix]) {
                insert(MatchPolicy::Wildcard, &format!("com..s{n}.status"));
            }
        }
        let middle = entries / 2;
        let exact = format!("com.example.s{middle}.value");
        if self == Shape::All {
            for prefix in ["com.", "com.example.", "com.example.s"] {
                insert(MatchPolicy::Prefix, prefix);
            }
            insert(MatchPolicy::Wildcard, &format!("com..s{middle}."));
        }
        let topic = match self {
            Shape::Prefix => format!("com.other.s{middle}.status.deep"),
            Shape::Wildcard => format!("com.example.s{middle}.status"),
            Shape::None => format!("com.example.s{middle}.nothing"),
            _ => exact,
        };
        (table, topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_can_be_repeated() {
        let operations = all();
        let mut names: Vec<&str> = operations.iter().map(|operation| operation.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), operations.len(), "names are unique");
        for operation in &operations {
            let mut action = operation.prepare();
            action();
            action();
        }
    }
}
