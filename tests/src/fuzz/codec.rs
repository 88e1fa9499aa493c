//! One message in one serializer. What we accept another library reads too, before and after we have written it again.

use wampline_wire::{Message, Serializer};

use super::judge::judge;

pub(super) fn json(octets: &[u8]) {
    parse(Serializer::Json, octets);
}

pub(super) fn msgpack(octets: &[u8]) {
    parse(Serializer::MsgPack, octets);
}

pub(super) fn cbor(octets: &[u8]) {
    parse(Serializer::Cbor, octets);
}

fn parse(serializer: Serializer, octets: &[u8]) {
    judge(serializer, octets);
    if let Err(error) = Message::parse(serializer, octets) {
        assert!(error.offset <= octets.len(), "{error:?}");
        assert!(!error.to_string().is_empty());
    }
}
