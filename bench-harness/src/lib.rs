//! What the benches share: messages of known size and shape, in every serializer; and the forwarder without WAMP that a
//! router is compared with.
//!
//! One bench target per crate (`benches/wire.rs`, `benches/transports.rs`, ...), one function per hot function.
//! Times inform; they never gate (see `perf/README.md`).

pub mod compare;
pub mod floor;
pub mod hot;
pub mod instructions;
pub mod nats;
pub mod paths;
pub mod permit;
pub mod procfs;
pub mod scaling;
pub mod stage;
pub mod thread_time;

use std::borrow::Cow;

use wampline_wire::{
    Dict, List, Message, Payload, PayloadBuf, PublicationId, RequestId, Serializer, SubscriptionId, Value,
};

/// The sizes of payload that are measured, in octets: what fits a cache line or two, and what does not.
pub const PAYLOAD_BYTES: [usize; 2] = [64, 16 * 1024];

/// The topic of every publication.
pub const TOPIC: &str = "com.example.sensors.temperature";

/// A payload of about `bytes` octets (in JSON) with everything that occurs in practice: texts with and without
/// escapes and beyond ASCII, integers, floating point numbers, booleans, nesting. The same in all serializers.
pub fn payload(serializer: Serializer, bytes: usize) -> PayloadBuf {
    let record = [
        ("id", Value::Uint(481_516)),
        ("name", Value::Str(Cow::Borrowed("Außenfühler \"Nord\""))),
        ("value", Value::Float(21.375)),
        ("ok", Value::Bool(true)),
    ];
    let count = (bytes / RECORD_BYTES).max(1);
    let records = vec![Value::Dict(Dict::pairs(&record)); count];
    PayloadBuf::from_values(serializer, &[Value::List(List::items(&records))], &[])
        .expect("every serializer expresses these values")
}

/// Calls `with` with a PUBLISH of this payload.
pub fn with_publish<R>(payload: &PayloadBuf, with: impl FnOnce(&Message<'_>) -> R) -> R {
    with_publish_of(payload.as_payload(), with)
}

pub(crate) fn with_publish_of<R>(payload: Payload<'_>, with: impl FnOnce(&Message<'_>) -> R) -> R {
    let options = [("acknowledge", Value::Bool(true)), ("exclude_me", Value::Bool(false))];
    with(&Message::Publish {
        request: RequestId::new(70_000).expect("an id"),
        options: Dict::pairs(&options),
        topic: Cow::Borrowed(TOPIC),
        payload,
    })
}

/// The EVENT that a subscriber gets with this payload.
pub fn event(payload: &PayloadBuf) -> Message<'_> {
    Message::Event {
        subscription: SubscriptionId::new(5_512).expect("an id"),
        publication: PublicationId::new(4_429_313_566_921_331).expect("an id"),
        details: Dict::EMPTY,
        payload: payload.as_payload(),
    }
}

/// The RESULT that a caller gets with this payload.
pub fn result(payload: &PayloadBuf) -> Message<'_> {
    Message::Result {
        request: RequestId::new(70_000).expect("an id"),
        details: Dict::EMPTY,
        payload: payload.as_payload(),
    }
}

/// A message in octets.
pub fn encoded(serializer: Serializer, message: &Message<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    message.encode(serializer, &mut octets).expect("every serializer expresses these messages");
    octets
}

/// One record of [`payload`] in JSON.
const RECORD_BYTES: usize = 66;
