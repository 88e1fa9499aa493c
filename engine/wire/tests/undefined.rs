//! Undefined in a MessagePack payload (extension type 0 with one octet 0) goes on as nil: not every decoder knows it.
#![allow(clippy::unwrap_used)]

use wampline_wire::{Message, PublicationId, Serializer, SubscriptionId};

/// `[16, 1, {}, "t", [undefined, {"k": undefined}, extension 5 with 01 02]]`
const PUBLISH: &[u8] = &[
    0x95, 0x10, 0x01, 0x80, 0xa1, b't', 0x93, 0xd4, 0x00, 0x00, 0x81, 0xa1, b'k', 0xd4, 0x00, 0x00, 0xd5,
    0x05, 0x01, 0x02,
];

#[test]
fn undefined_becomes_nil_and_what_stands_beside_it_is_kept() {
    let Message::Publish { payload, .. } = Message::parse(Serializer::MsgPack, PUBLISH).unwrap() else {
        unreachable!()
    };
    let event = |payload| {
        let details = wampline_wire::Dict::EMPTY;
        let (subscription, publication) = (SubscriptionId::new(1).unwrap(), PublicationId::new(2).unwrap());
        let mut out = Vec::new();
        Message::Event { subscription, publication, details, payload }
            .encode(Serializer::MsgPack, &mut out)
            .unwrap();
        rmpv::decode::read_value(&mut &out[..]).unwrap()
    };
    let expected = rmpv::Value::Array(vec![
        rmpv::Value::Nil,
        rmpv::Value::Map(vec![("k".into(), rmpv::Value::Nil)]),
        rmpv::Value::Ext(5, vec![1, 2]),
    ]);
    assert_eq!(event(payload)[4], expected);
    assert_eq!(event(payload.to_buf().as_payload())[4], expected);
}

#[test]
fn a_payload_without_undefined_is_copied() {
    let octets = [0x95, 0x10, 0x01, 0x80, 0xa1, b't', 0x91, 0xd9, 0x01, b'x'];
    let Message::Publish { payload, .. } = Message::parse(Serializer::MsgPack, &octets).unwrap() else {
        unreachable!()
    };
    let mut out = Vec::new();
    let (subscription, publication) = (SubscriptionId::new(1).unwrap(), PublicationId::new(2).unwrap());
    let details = wampline_wire::Dict::EMPTY;
    Message::Event { subscription, publication, details, payload }
        .encode(Serializer::MsgPack, &mut out)
        .unwrap();
    assert!(out.ends_with(&[0x91, 0xd9, 0x01, b'x']), "a long form stays as it came");
}
