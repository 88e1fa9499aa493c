//! Does with octets everything that may be done with a message, and compares it with the judgement of other libraries.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use super::tree::decode;
use wampline_wire::{Dict, List, Message, Payload, Serializer, Value};

/// Whether the octets are a message; if so, everything that may be done with it is done, and compared.
pub fn judge(serializer: Serializer, octets: &[u8]) -> bool {
    let Ok(message) = Message::parse(serializer, octets) else { return false };
    assert!(decode(octets, serializer).is_some(), "only we accept {octets:02x?}");
    let _ = format!("{message:?}");
    read_all(&message);
    for to in Serializer::ALL {
        let mut written = Vec::new();
        if message.encode(to, &mut written).is_ok() {
            assert!(decode(&written, to).is_some(), "only we can read {written:02x?}");
            let again =
                Message::parse(to, &written).unwrap_or_else(|error| panic!("{error}: {written:02x?}"));
            let mut twice = Vec::new();
            again.encode(to, &mut twice).unwrap();
            assert_eq!(twice, written, "what is written once does not change");
        } else {
            assert!(written.is_empty());
        }
    }
    true
}

fn read_all(message: &Message<'_>) {
    match message {
        Message::Publish { options, payload, .. }
        | Message::Error { details: options, payload, .. }
        | Message::Yield { options, payload, .. } => {
            read_dict(options);
            read_payload(payload);
        }
        _ => {}
    }
}

fn read_payload(payload: &Payload<'_>) {
    payload.args().iter().for_each(read_list);
    payload.kwargs().iter().for_each(read_dict);
    assert_eq!(payload.opaque().is_some(), payload.args().is_none() && !payload.is_none());
    assert_eq!(payload.to_buf().as_payload().is_none(), payload.is_none());
}

fn read_list(list: &List<'_>) {
    assert_eq!(list.is_empty(), list.iter().next().is_none());
    list.iter().for_each(|value| read_value(&value));
}

fn read_dict(dict: &Dict<'_>) {
    assert_eq!(dict.is_empty(), dict.iter().next().is_none());
    for (key, value) in dict.iter() {
        read_value(&value);
        let last = dict.iter().filter(|(k, _)| *k == key).last().unwrap().1;
        assert_eq!(dict.get(&key).is_none(), matches!(last, Value::Null));
    }
}

fn read_value(value: &Value<'_>) {
    match value {
        Value::List(list) => read_list(list),
        Value::Dict(dict) => read_dict(dict),
        _ => {}
    }
}
