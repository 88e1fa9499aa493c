//! Every truncation and every change of one octet of valid messages: no panic, and what we still accept,
//! libraries that are not ours accept as well, before and after it has been written again.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Tree, encode, judge};
use wampline_wire::{Message, Serializer};

/// Miri, which is a thousand times slower, looks at one place in so many.
const STEP: usize = if cfg!(miri) { 61 } else { 1 };

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
        for length in (0..octets.len()).step_by(STEP) {
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
        for place in (0..octets.len()).step_by(STEP) {
            let mut changed = octets.clone();
            for octet in (0..=255).step_by(STEP) {
                changed[place] = octet;
                accepted += usize::from(judge(serializer, &changed));
            }
        }
    }
    assert!(accepted > 1000 / (STEP * STEP), "only {accepted} were accepted");
}

#[test]
fn removals_and_insertions_of_one_octet() {
    for (serializer, octets) in seeds() {
        for place in (0..octets.len()).step_by(STEP) {
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

fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.chars().filter(|c| *c != ' ').collect();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}
