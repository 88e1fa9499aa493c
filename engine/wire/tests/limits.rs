//! Bounds: nesting, declared lengths, and work that grows no faster than the octets.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use wampline_wire::{DEPTH_MAX, Message, ParseErrorKind, Serializer};

/// Long enough for a slow, busy machine and an unoptimised build; quadratic work takes minutes.
const GUARD: Duration = Duration::from_secs(30);

/// A `YIELD` whose argument list is the outermost of `lists` lists in each other, the message not counted.
fn nested(serializer: Serializer, lists: usize) -> Vec<u8> {
    let (head, open, close) = match serializer {
        Serializer::Json => (&b"[70,1,{},"[..], &b"["[..], &b"]"[..]),
        Serializer::MsgPack => (&[0x94, 70, 1, 0x80][..], &[0x91][..], &[][..]),
        Serializer::Cbor => (&[0x84, 0x18, 70, 1, 0xa0][..], &[0x81][..], &[][..]),
    };
    let mut octets = head.to_vec();
    octets.extend(open.repeat(lists - 1));
    // The innermost is empty.
    octets.extend_from_slice(match serializer {
        Serializer::Json => b"[]",
        Serializer::MsgPack => &[0x90],
        Serializer::Cbor => &[0x80],
    });
    octets.extend(close.repeat(lists - 1));
    octets.extend_from_slice(if serializer == Serializer::Json { b"]" } else { b"" });
    octets
}

#[test]
fn nesting_is_bounded_and_what_is_allowed_can_be_written() {
    for from in Serializer::ALL {
        let octets = nested(from, DEPTH_MAX - 1);
        let parsed = Message::parse(from, &octets).unwrap();
        for to in Serializer::ALL {
            let mut written = Vec::new();
            parsed.encode(to, &mut written).unwrap();
            assert_eq!(written, nested(to, DEPTH_MAX - 1));
            assert!(common::decode(&written, to).is_some());
        }
        let refused = Message::parse(from, &nested(from, DEPTH_MAX)).unwrap_err();
        assert_eq!(refused.kind, ParseErrorKind::Depth);
    }
}

#[test]
fn dicts_and_tags_count_as_nesting() {
    let json = |dicts: usize| {
        format!("[70,1,{{}},[],{}{}{}]", r#"{"a":"#.repeat(dicts), "0", "}".repeat(dicts)).into_bytes()
    };
    let msgpack =
        |dicts: usize| [&[0x95, 70, 1, 0x80, 0x90][..], &[0x81, 0xa1, b'a'].repeat(dicts), &[0]].concat();
    let cbor = |dicts: usize| {
        [&[0x85, 0x18, 70, 1, 0xa0, 0x80][..], &[0xbf, 0x61, b'a'].repeat(dicts), &[0], &[0xff].repeat(dicts)]
            .concat()
    };
    let tags = |tags: usize| {
        [&[0x84, 0x18, 70, 1, 0xa0, 0x81][..], &[0xd9, 0xd9, 0xf7].repeat(tags - 1), &[0]].concat()
    };
    type Form<'a> = (Serializer, &'a dyn Fn(usize) -> Vec<u8>);
    let forms: [Form<'_>; 4] = [
        (Serializer::Json, &json),
        (Serializer::MsgPack, &msgpack),
        (Serializer::Cbor, &cbor),
        (Serializer::Cbor, &tags),
    ];
    for (serializer, form) in forms {
        assert!(Message::parse(serializer, &form(DEPTH_MAX - 1)).is_ok());
        let refused = Message::parse(serializer, &form(DEPTH_MAX)).unwrap_err();
        assert_eq!(refused.kind, ParseErrorKind::Depth);
        // In options as well: the message is around them.
        let Message::Yield { .. } = Message::parse(serializer, &form(1)).unwrap() else { panic!() };
    }
}

#[test]
fn a_million_opening_brackets_are_refused_at_once() {
    let start = Instant::now();
    let many = 1_000_000;
    let floods: [(Serializer, Vec<u8>); 7] = [
        (Serializer::Json, b"[".repeat(many)),
        (Serializer::Json, [b"[48,1,".to_vec(), br#"{"a":"#.repeat(many)].concat()),
        (Serializer::MsgPack, [vec![0x94, 48, 1], vec![0x91; many]].concat()),
        (Serializer::Cbor, [vec![0x84, 0x18, 48, 1], vec![0x81; many]].concat()),
        (Serializer::Cbor, [vec![0x84, 0x18, 48, 1], vec![0x9f; many]].concat()),
        (Serializer::Cbor, [vec![0x84, 0x18, 70, 1, 0xa0, 0x81], [0xd9, 0xd9, 0xf7].repeat(many)].concat()),
        (Serializer::MsgPack, [vec![0x94, 70, 1, 0x80], [0xdd, 0, 1, 0, 0].repeat(many)].concat()),
    ];
    for (serializer, octets) in &floods {
        for _ in 0..10 {
            assert!(Message::parse(*serializer, octets).is_err());
        }
    }
    assert!(start.elapsed() < GUARD);
}

#[test]
fn work_is_linear_in_the_octets() {
    let start = Instant::now();
    let many = 40_000;
    let json = |argument: String| format!("[70,1,{{}},[{argument}]]").into_bytes();
    let cbor = |argument: Vec<u8>| [vec![0x84, 0x18, 70, 1, 0xa0, 0x81], argument].concat();
    let big = "123456789012345678901234567890,".repeat(many) + "1";
    let shells: Vec<u8> = [vec![0x9f; 120], [0x9f, 0xff].repeat(many), vec![0xff; 120]].concat();
    let heavy: [(Serializer, Vec<u8>); 9] = [
        (Serializer::Json, json(format!("\"{}\"", r"\\".repeat(many)))),
        (Serializer::Json, json(format!("\"{}\"", r"\ud83d\ude00".repeat(many)))),
        (Serializer::Json, json(format!("{}{}{}", "[".repeat(120), big, "]".repeat(120)))),
        (Serializer::Json, json(" ".repeat(many * 8) + "1")),
        (Serializer::Json, json(format!("\"\\u0000{}\"", "AAAA".repeat(many)))),
        (Serializer::Cbor, cbor(shells)),
        (Serializer::Cbor, cbor([vec![0x7f], [0x61, b'a'].repeat(many), vec![0xff]].concat())),
        (Serializer::Cbor, cbor([vec![0x9f], [0x7f, 0x60, 0xff].repeat(many), vec![0xff]].concat())),
        (Serializer::Cbor, cbor([vec![0x9f], [0xc2, 0x40].repeat(many), vec![0xff]].concat())),
    ];
    for (from, octets) in &heavy {
        let message = Message::parse(*from, octets).unwrap();
        for to in Serializer::ALL {
            let mut written = Vec::new();
            let outcome = message.encode(to, &mut written);
            assert!(outcome.is_ok() || to == Serializer::MsgPack, "{outcome:?}");
        }
    }
    assert!(start.elapsed() < GUARD, "{:?}", start.elapsed());
}

#[test]
fn a_number_costs_no_more_than_its_octets() {
    let start = Instant::now();
    let digits = "9".repeat(4_000_000);
    for text in [
        format!("[70,1,{{}},[{digits}]]"),
        format!("[70,{digits},{{}}]"),
        format!("[70,1,{{}},[1e{digits}]]"),
    ] {
        assert!(Message::parse(Serializer::Json, text.as_bytes()).is_err());
    }
    let bignum =
        [&[0x84, 0x18, 70, 1, 0xa0, 0x81, 0xc2, 0x5a, 0, 0x10, 0, 0][..], &vec![1; 1 << 20]].concat();
    assert_eq!(Message::parse(Serializer::Cbor, &bignum).unwrap_err().kind, ParseErrorKind::Number);
    assert!(start.elapsed() < GUARD);
}
