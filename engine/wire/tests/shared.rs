//! Long payloads that are sent from where they are kept: what comes before them and they themselves are the message.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Tree, decode, encode};
use wampline_wire::{Dict, Message, Payload, RequestId, Serializer};

/// An INVOCATION-like message: a RESULT with these payload elements, as a client would send it.
fn message(elements: &[Tree], serializer: Serializer) -> Vec<u8> {
    let mut all = vec![Tree::Uint(50), Tree::Uint(7), Tree::Dict(vec![])];
    all.extend_from_slice(elements);
    encode(&Tree::List(all), serializer)
}

fn result(payload: Payload<'_>) -> Message<'_> {
    Message::Result { request: RequestId::new(9).unwrap(), details: Dict::EMPTY, payload }
}

#[test]
fn both_parts_are_the_message() {
    let text = |length: usize| Tree::Str("x".repeat(length));
    let dict = |length| Tree::Dict(vec![("k".into(), text(length))]);
    let (list, none) = (|length| Tree::List(vec![text(length)]), Tree::List(vec![]));
    let forms =
        [vec![], vec![list(10)], vec![list(5000)], vec![none, dict(5000)], vec![list(5000), dict(5000)]];
    let mut shared = Vec::new();
    for serializer in Serializer::ALL {
        for (form, elements) in forms.iter().enumerate() {
            let octets = message(elements, serializer);
            let parsed = Message::parse(serializer, &octets).unwrap();
            assert!(parsed.payload().shared(serializer).is_none(), "it lies in somebody's buffer");
            let kept = parsed.payload().to_buf();
            let again = kept.as_payload().to_buf();
            assert_eq!((&kept, kept.len()), (&again, parsed.payload().len()));
            let mut whole = Vec::new();
            result(parsed.payload()).encode(serializer, &mut whole).unwrap();
            let mut copied = Vec::new();
            result(again.as_payload()).encode(serializer, &mut copied).unwrap();
            assert_eq!(copied, whole);
            for other in Serializer::ALL.into_iter().filter(|other| *other != serializer) {
                assert!(kept.as_payload().shared(other).is_none());
            }
            let Some(rest) = kept.as_payload().shared(serializer) else { continue };
            shared.push((serializer, form));
            let mut parts = b"before".to_vec();
            result(kept.as_payload()).encode_before_payload(serializer, &mut parts).unwrap();
            assert!(parts.len() < 100);
            parts.extend_from_slice(rest);
            assert_eq!(&parts[6..], whole, "{serializer:?} {form}");
            assert_eq!(decode(&parts[6..], serializer), decode(&whole, serializer));
        }
    }
    let (json, msgpack, cbor) = (Serializer::Json, Serializer::MsgPack, Serializer::Cbor);
    // Two elements of JSON have a comma between them that is not part of the payload.
    let expected = [(json, 2), (msgpack, 2), (msgpack, 3), (msgpack, 4), (cbor, 2), (cbor, 3), (cbor, 4)];
    assert_eq!(shared, expected);
}
