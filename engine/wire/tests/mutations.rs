//! Every truncation and every change of one octet of valid messages: no panic, and what we still accept,
//! libraries that are not ours accept as well, before and after it has been written again.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Tree, decode, encode};
use wampline_wire::{Dict, List, Message, Payload, Serializer, Value};

fn seeds() -> Vec<(Serializer, Vec<u8>)> {
    let mixed = vec![
        Tree::Null,
        Tree::Bool(true),
        Tree::Uint(1),
        Tree::Uint(300),
        Tree::Int(-5),
        Tree::Float(2.5),
        Tree::Str("é\"\\\n".to_owned()),
        Tree::Bytes(vec![0, 255]),
        Tree::List(vec![Tree::List(vec![])]),
        Tree::Dict(vec![("k".to_owned(), Tree::Dict(vec![]))]),
    ];
    let options = Tree::Dict(vec![
        ("exclude".to_owned(), Tree::List(vec![Tree::Uint(1 << 40)])),
        ("retain".to_owned(), Tree::Bool(true)),
    ]);
    let publish = Tree::List(vec![
        Tree::Uint(16),
        Tree::Uint(239_714_735),
        options.clone(),
        Tree::Str("com.myapp.mytopic1".to_owned()),
        Tree::List(mixed),
        Tree::Dict(vec![("a".to_owned(), Tree::Null)]),
    ]);
    let error = Tree::List(vec![
        Tree::Uint(8),
        Tree::Uint(48),
        Tree::Float(7.0),
        options,
        Tree::Str("com.myapp.error".to_owned()),
    ]);
    let mut seeds: Vec<(Serializer, Vec<u8>)> = Serializer::ALL
        .into_iter()
        .flat_map(|s| [(s, encode(&publish, s)), (s, encode(&error, s))])
        .collect();
    // Forms that the libraries do not write.
    seeds.push((
        Serializer::Json,
        br#" [ 70 , 1 , null , [ "\ud83d\ude00\u0000" , -1.5e-3 , 18446744073709551616 ] ] "#.to_vec(),
    ));
    seeds.push((
        Serializer::MsgPack,
        hex("9446018098d40000d6ff00000000d42a01cb3ff8000000000000d9016181d90161c4010 0cd0001"),
    ));
    let date = "c074323031332d30332d32315432303a30343a30305a";
    seeds.push((Serializer::Cbor, hex(&format!("84184601bf6161f7ff8a{date}c24101c11a514b67b0d9d9f79f01ff7f6161ff5f4101fff93e00d8404100d82061613903e7"))));
    seeds
}

#[test]
fn truncations() {
    for (serializer, octets) in seeds() {
        judge(serializer, &octets);
        for length in 0..octets.len() {
            let cut = &octets[..length];
            let whole = String::from_utf8_lossy(&octets).trim_end().len();
            let is_whole_text = serializer == Serializer::Json && length >= whole;
            assert_eq!(Message::parse(serializer, cut).is_ok(), is_whole_text, "{cut:02x?}");
        }
    }
}

#[test]
fn changes_of_one_octet() {
    let mut accepted = 0;
    for (serializer, octets) in seeds() {
        for place in 0..octets.len() {
            let mut changed = octets.clone();
            for octet in 0..=255 {
                changed[place] = octet;
                accepted += usize::from(judge(serializer, &changed));
            }
        }
    }
    assert!(accepted > 1000, "only {accepted} were accepted");
}

#[test]
fn removals_and_insertions_of_one_octet() {
    for (serializer, octets) in seeds() {
        for place in 0..octets.len() {
            let mut removed = octets.clone();
            removed.remove(place);
            judge(serializer, &removed);
            for octet in [0, b'"', b'[', b'}', b',', 0x80, 0x9f, 0xc2, 0xff] {
                let mut inserted = octets.clone();
                inserted.insert(place, octet);
                judge(serializer, &inserted);
            }
        }
    }
}

/// Whether the octets are a message; if so, everything that may be done with it is done, and compared.
fn judge(serializer: Serializer, octets: &[u8]) -> bool {
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

fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.chars().filter(|c| *c != ' ').collect();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}
