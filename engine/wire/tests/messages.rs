//! Forms of messages: element counts, element types, ids, null and undefined, payloads.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Tree, encode};
use wampline_wire::{Message, MessageType, ParseErrorKind, Serializer};

/// Each message type with its smallest form, as JSON, and the most elements that it may have.
const FORMS: [(&str, usize); 27] = [
    (r#"[1,"realm1",{}]"#, 3),
    (r#"[2,9007199254740992,{}]"#, 3),
    (r#"[3,{},"wamp.error.no_such_realm"]"#, 5),
    (r#"[4,"ticket",{}]"#, 3),
    (r#"[5,"secret",{}]"#, 3),
    (r#"[6,{},"wamp.close.normal"]"#, 3),
    (r#"[8,48,7,{},"a.b"]"#, 7),
    (r#"[16,7,{},"a.b"]"#, 6),
    (r#"[17,7,8]"#, 3),
    (r#"[32,7,{},"a.b"]"#, 4),
    (r#"[33,7,8]"#, 3),
    (r#"[34,7,8]"#, 3),
    (r#"[35,7]"#, 2),
    (r#"[35,0,{}]"#, 3),
    (r#"[36,7,8,{}]"#, 6),
    (r#"[48,7,{},"a.b"]"#, 6),
    (r#"[49,7,{}]"#, 3),
    (r#"[50,7,{}]"#, 5),
    (r#"[64,7,{},"a.b"]"#, 4),
    (r#"[65,7,8]"#, 3),
    (r#"[66,7,8]"#, 3),
    (r#"[67,7]"#, 2),
    (r#"[67,0,{}]"#, 3),
    (r#"[68,7,8,{}]"#, 6),
    (r#"[69,7,{}]"#, 3),
    (r#"[70,7,{}]"#, 5),
    (r#"[337,7]"#, 2),
];

/// All of them, or enough for Miri.
fn forms() -> impl Iterator<Item = (&'static str, usize)> {
    FORMS.into_iter().step_by(if cfg!(miri) { 9 } else { 1 })
}

/// The elements of JSON text as a tree.
fn elements(json: &str) -> Vec<Tree> {
    match common::decode(json.as_bytes(), Serializer::Json) {
        Some(Tree::List(elements)) => elements,
        other => panic!("{other:?}"),
    }
}

/// Parses the elements in each serializer and gives the outcome, which must be the same in all.
fn outcome(elements: &[Tree]) -> Result<MessageType, ParseErrorKind> {
    let outcomes = Serializer::ALL.map(|serializer| {
        let octets = encode(&Tree::List(elements.to_vec()), serializer);
        Message::parse(serializer, &octets).map(|message| message.message_type()).map_err(|error| error.kind)
    });
    assert_eq!(outcomes[0], outcomes[1], "{elements:?}");
    assert_eq!(outcomes[0], outcomes[2], "{elements:?}");
    outcomes[0].clone()
}

#[test]
fn every_message_type_parses_in_its_smallest_form_and_is_written_the_same() {
    let mut seen = std::collections::HashSet::new();
    for (json, _) in FORMS {
        let tree = Tree::List(elements(json));
        for from in Serializer::ALL {
            let octets = encode(&tree, from);
            let message = Message::parse(from, &octets).unwrap_or_else(|e| panic!("{json}: {e}"));
            seen.insert(message.message_type());
            for to in Serializer::ALL {
                let mut written = Vec::new();
                message.encode(to, &mut written).unwrap();
                assert_eq!(common::decode(&written, to).unwrap(), tree, "{json}");
            }
        }
    }
    for message_type in MessageType::ALL {
        assert!(seen.contains(&message_type), "{message_type:?}");
        assert_eq!(MessageType::from_code(message_type as u64), Some(message_type));
    }
}

#[test]
fn too_few_and_too_many_elements_are_refused() {
    for (json, most) in forms() {
        let smallest = elements(json);
        for length in 1..smallest.len() {
            let mut short = smallest.clone();
            short.truncate(length);
            // Without its details a revocation is a reply to a request 0.
            let expected = match outcome(&short) {
                Err(kind @ ParseErrorKind::IdRange { element: 1 }) if length == 2 && most == 3 => kind,
                other => {
                    assert_eq!(other, Err(ParseErrorKind::ElementCount { found: length }), "{json}");
                    continue;
                }
            };
            assert_eq!(expected, ParseErrorKind::IdRange { element: 1 });
        }
        let mut long = smallest.clone();
        if long.len() < most {
            long.push(Tree::List(vec![]));
            assert!(outcome(&long).is_ok(), "{json}");
        }
        if long.len() < most {
            long.push(Tree::Dict(vec![]));
            assert!(outcome(&long).is_ok(), "{json}");
        }
        for extra in 1..4 {
            long.push(Tree::Dict(vec![]));
            let found = most + extra;
            assert_eq!(outcome(&long), Err(ParseErrorKind::ElementCount { found }), "{json}");
        }
    }
}

#[test]
fn elements_of_another_type_are_refused_at_their_place() {
    let others = [
        Tree::Bool(true),
        Tree::Float(0.5),
        Tree::Str("text".to_owned()),
        Tree::List(vec![]),
        Tree::Dict(vec![]),
    ];
    for (json, _) in forms() {
        let smallest = elements(json);
        for place in 0..smallest.len() {
            for other in &others {
                let same_type = std::mem::discriminant(other) == std::mem::discriminant(&smallest[place]);
                if same_type {
                    continue;
                }
                let mut wrong = smallest.clone();
                wrong[place] = other.clone();
                let refused = outcome(&wrong);
                assert!(
                    matches!(refused, Err(ParseErrorKind::WrongType { element, .. }) if element == place),
                    "{wrong:?}: {refused:?}"
                );
            }
        }
    }
}

#[test]
fn ids_lie_within_their_range_and_may_be_integral_floats() {
    let call = |id: Tree| {
        let mut elements = elements(r#"[48,7,{},"a.b"]"#);
        elements[1] = id;
        outcome(&elements)
    };
    let max = 1u64 << 53;
    for good in [
        Tree::Uint(1),
        Tree::Uint(max),
        Tree::Float(1.0),
        Tree::Float(4_294_967_296.0),
        Tree::Float(max as f64),
    ] {
        assert_eq!(call(good.clone()), Ok(MessageType::Call), "{good:?}");
    }
    let beyond = [
        Tree::Uint(0),
        Tree::Uint(max + 1),
        Tree::Uint(u64::MAX),
        Tree::Int(-1),
        Tree::Int(i64::MIN),
        Tree::Float(0.0),
        Tree::Float(-0.0),
        Tree::Float(-1.0),
        Tree::Float(max as f64 * 2.0),
        Tree::Float(1e300),
    ];
    for bad in beyond {
        assert_eq!(call(bad.clone()), Err(ParseErrorKind::IdRange { element: 1 }), "{bad:?}");
    }
    for other in [Tree::Float(1.5), Tree::Null, Tree::Str("1".to_owned())] {
        let refused = call(other.clone());
        assert!(
            matches!(refused, Err(ParseErrorKind::WrongType { element: 1, expected: "id" })),
            "{other:?}"
        );
    }
    for (json, good) in [("5.0", true), ("5e0", true), ("50e-1", true), ("5.5", false), ("1e400", false)] {
        let text = format!(r#"[48,{json},{{}},"a.b"]"#);
        assert_eq!(Message::parse(Serializer::Json, text.as_bytes()).is_ok(), good, "{json}");
    }
    // A half-precision 5.0, NaN, and an integer of 128 bits.
    for (id, good) in [("f94500", true), ("fa40a00000", true), ("f97e00", false), ("c24100", false)] {
        let octets = [&[0x84, 0x18, 48][..], &hex(id), &hex("a063612e62")].concat();
        assert_eq!(Message::parse(Serializer::Cbor, &octets).is_ok(), good, "{id}");
    }
    let huge = r#"[48,123456789012345678901234567890,{},"a.b"]"#;
    let refused = Message::parse(Serializer::Json, huge.as_bytes()).unwrap_err();
    assert_eq!((refused.offset, refused.kind), (4, ParseErrorKind::IdRange { element: 1 }));
}

#[test]
fn the_type_code_is_an_integer_that_the_specification_knows() {
    assert_eq!(outcome(&[Tree::Uint(7)]), Err(ParseErrorKind::UnknownType(7)));
    assert_eq!(outcome(&[Tree::Uint(256), Tree::Null]), Err(ParseErrorKind::UnknownType(256)));
    assert_eq!(outcome(&[Tree::Uint(u64::MAX)]), Err(ParseErrorKind::UnknownType(u64::MAX)));
    let not_an_integer = ParseErrorKind::WrongType { element: 0, expected: "integer" };
    for other in
        [Tree::Int(-1), Tree::Float(48.0), Tree::Null, Tree::Str("48".to_owned()), Tree::List(vec![])]
    {
        assert_eq!(outcome(&[other, Tree::Uint(1)]), Err(not_an_integer.clone()));
    }
    assert_eq!(outcome(&[]), Err(ParseErrorKind::NotAMessage));
    for (serializer, octets) in [
        (Serializer::Json, &b"{\"a\":1}"[..]),
        (Serializer::Json, b"48"),
        (Serializer::MsgPack, &[0x80]),
        (Serializer::MsgPack, &[0x01]),
        (Serializer::Cbor, &[0xa0]),
        (Serializer::Cbor, &[0x9f, 0xff]),
        (Serializer::Cbor, &[0xd9, 0xd9, 0xf7, 0x81, 0x01]),
    ] {
        assert_eq!(Message::parse(serializer, octets).unwrap_err().kind, ParseErrorKind::NotAMessage);
    }
}

#[test]
fn an_error_refers_to_a_request_that_has_errors() {
    for code in (0..80).step_by(if cfg!(miri) { 24 } else { 1 }) {
        let known = [16, 32, 34, 48, 64, 66, 68].contains(&code);
        let mut error = elements(r#"[8,48,7,{},"a.b"]"#);
        error[1] = Tree::Uint(code);
        let expected = if known { Ok(MessageType::Error) } else { Err(ParseErrorKind::RequestType(code)) };
        assert_eq!(outcome(&error), expected);
    }
}

#[test]
fn a_revocation_has_request_zero_and_details() {
    let json = r#"[35,0,{"subscription":1293722,"reason":"no longer authorized"}]"#;
    let Message::Unsubscribed { request: None, details: Some(details) } =
        Message::parse(Serializer::Json, json.as_bytes()).unwrap()
    else {
        panic!("another form");
    };
    assert_eq!(details.get("subscription").unwrap().as_u64(), Some(1_293_722));
    assert_eq!(outcome(&elements("[35,0]")), Err(ParseErrorKind::IdRange { element: 1 }));
    assert_eq!(outcome(&elements("[67,7,{}]")), Err(ParseErrorKind::ElementCount { found: 3 }));
    // Details that are missing from what we build are an empty dict.
    let mut written = Vec::new();
    Message::Unregistered { request: None, details: None }.encode(Serializer::Json, &mut written).unwrap();
    assert_eq!(written, b"[67,0,{}]");
}

/// The elements in MessagePack, with nulls of each kind in place of [`Tree::Null`].
fn nulls(elements: &[Tree]) -> Vec<(Serializer, Vec<u8>)> {
    let mut forms: Vec<(Serializer, Vec<u8>)> =
        Serializer::ALL.map(|s| (s, encode(&Tree::List(elements.to_vec()), s))).to_vec();
    let replaced = |octets: &[u8], null: u8, undefined: &[u8]| {
        octets.iter().flat_map(|o| if *o == null { undefined.to_vec() } else { vec![*o] }).collect()
    };
    forms.push((Serializer::MsgPack, replaced(&forms[1].1, 0xc0, &[0xd4, 0, 0])));
    forms.push((Serializer::Cbor, replaced(&forms[2].1, 0xf6, &[0xf7])));
    forms
}

#[test]
fn null_and_undefined_stand_for_what_is_empty_or_absent() {
    let elements =
        [Tree::Uint(16), Tree::Uint(1), Tree::Null, Tree::Str("a.b".to_owned()), Tree::Null, Tree::Null];
    for (serializer, octets) in nulls(&elements) {
        let message = Message::parse(serializer, &octets).unwrap();
        let Message::Publish { options, payload, .. } = &message else { panic!("{message:?}") };
        assert!(options.is_empty());
        assert!(payload.args().unwrap().is_empty());
        assert!(payload.kwargs().is_none());
        for to in Serializer::ALL {
            let mut written = Vec::new();
            message.encode(to, &mut written).unwrap();
            let expected = r#"[16,1,{},"a.b",[]]"#;
            assert_eq!(common::decode(&written, to), common::decode(expected.as_bytes(), Serializer::Json));
        }
    }
    for json in [r#"[1,"realm1",null]"#, r#"[5,"secret",null]"#, r#"[3,null,"a.b"]"#, r#"[35,0,null]"#] {
        assert!(outcome(&self::elements(json)).is_ok(), "{json}");
    }
    // But an id or a URI is not optional.
    for json in [r#"[1,null,{}]"#, r#"[32,null,{},"a.b"]"#, r#"[32,1,{},null]"#] {
        assert!(matches!(outcome(&self::elements(json)), Err(ParseErrorKind::WrongType { .. })), "{json}");
    }
}

#[test]
fn null_and_undefined_members_of_a_dict_are_absent() {
    let options = Tree::Dict(vec![
        ("acknowledge".to_owned(), Tree::Null),
        ("exclude_me".to_owned(), Tree::Bool(false)),
    ]);
    let elements = [Tree::Uint(16), Tree::Uint(1), options, Tree::Str("a.b".to_owned())];
    for (serializer, octets) in nulls(&elements) {
        let Message::Publish { options, .. } = Message::parse(serializer, &octets).unwrap() else { panic!() };
        assert!(options.get("acknowledge").is_none());
        assert_eq!(options.get("exclude_me").unwrap().as_bool(), Some(false));
        assert_eq!(options.iter().count(), 2);
    }
}

#[test]
fn undefined_in_a_payload_becomes_null_when_transcoded() {
    let elements = [
        Tree::Uint(70),
        Tree::Uint(1),
        Tree::Dict(vec![]),
        Tree::List(vec![Tree::Null, Tree::List(vec![Tree::Null])]),
    ];
    for (from, octets) in nulls(&elements) {
        let message = Message::parse(from, &octets).unwrap();
        for to in Serializer::ALL.into_iter().filter(|to| *to != from) {
            let mut written = Vec::new();
            message.encode(to, &mut written).unwrap();
            assert_eq!(written, encode(&Tree::List(elements.to_vec()), to));
        }
    }
}

#[test]
fn keyword_arguments_alone_follow_an_empty_list() {
    use wampline_wire::{Dict, PayloadBuf, RequestId, Value};
    for to in Serializer::ALL {
        for (args, kwargs, expected) in [
            (&[][..], &[][..], "[70,1,{}]"),
            (&[Value::Uint(1)], &[], "[70,1,{},[1]]"),
            (&[], &[("a", Value::Null)], r#"[70,1,{},[],{"a":null}]"#),
            (&[Value::Uint(1)], &[("a", Value::Bool(true))], r#"[70,1,{},[1],{"a":true}]"#),
        ] {
            let payload = PayloadBuf::from_values(to, args, kwargs).unwrap();
            let payload = payload.as_payload();
            let message =
                Message::Yield { request: RequestId::new(1).unwrap(), options: Dict::EMPTY, payload };
            let mut written = Vec::new();
            message.encode(to, &mut written).unwrap();
            assert_eq!(common::decode(&written, to), common::decode(expected.as_bytes(), Serializer::Json));
        }
    }
}

#[test]
fn octets_in_place_of_arguments_need_enc_algo() {
    let publish = |options: Tree, args: Tree, kwargs: Option<Tree>| {
        let mut elements = vec![Tree::Uint(16), Tree::Uint(1), options, Tree::Str("a.b".to_owned()), args];
        elements.extend(kwargs);
        elements
    };
    let announced = Tree::Dict(vec![("enc_algo".to_owned(), Tree::Str("cryptobox".to_owned()))]);
    let octets = Tree::Bytes(vec![0, 1, 2, 255]);
    let elements = publish(announced.clone(), octets.clone(), None);
    assert!(outcome(&elements).is_ok());
    assert!(outcome(&publish(announced.clone(), octets.clone(), Some(Tree::Null))).is_ok());
    assert!(outcome(&publish(announced.clone(), Tree::Str("text".to_owned()), None)).is_ok());
    let list_expected = Err(ParseErrorKind::WrongType { element: 4, expected: "list" });
    assert_eq!(outcome(&publish(Tree::Dict(vec![]), octets.clone(), None)), list_expected);
    assert_eq!(outcome(&publish(announced.clone(), Tree::Uint(1), None)), list_expected);
    assert_eq!(
        outcome(&publish(announced, octets, Some(Tree::Dict(vec![])))),
        Err(ParseErrorKind::WrongType { element: 5, expected: "dict" })
    );
    for from in Serializer::ALL {
        let sent = encode(&Tree::List(elements.clone()), from);
        let message = Message::parse(from, &sent).unwrap();
        let Message::Publish { payload, .. } = &message else { panic!() };
        assert!(payload.args().is_none());
        assert_eq!(payload.opaque().unwrap().as_ref(), [0, 1, 2, 255]);
        for to in Serializer::ALL {
            let mut written = Vec::new();
            message.encode(to, &mut written).unwrap();
            assert_eq!(common::decode(&written, to).unwrap(), Tree::List(elements.clone()));
            assert_eq!(payload.to_buf().transcode(to).unwrap().as_payload().opaque(), payload.opaque());
        }
    }
}

#[test]
fn of_equal_keys_the_last_counts() {
    let json = br#"[16,1,{"a":1,"b":2,"\u0061":3},"a.b"]"#;
    let Message::Publish { options, .. } = Message::parse(Serializer::Json, json).unwrap() else { panic!() };
    assert_eq!(options.get("a").unwrap().as_u64(), Some(3));
    assert_eq!(options.iter().count(), 3);
    let msgpack = hex("94100182a16101a161c0a3612e62");
    let Message::Publish { options, .. } = Message::parse(Serializer::MsgPack, &msgpack).unwrap() else {
        panic!()
    };
    assert!(options.get("a").is_none());
    // In chunks or not, it is the same key.
    let cbor = hex("841001a261610 17f6161ff02 63612e62".replace(' ', "").as_str());
    let Message::Publish { options, .. } = Message::parse(Serializer::Cbor, &cbor).unwrap() else { panic!() };
    assert_eq!(options.get("a").unwrap().as_u64(), Some(2));
}

#[test]
fn strings_without_escapes_are_borrowed() {
    for (json, borrowed) in [(r#"[64,1,{},"a.b"]"#, true), (r#"[64,1,{},"a\u002eb"]"#, false)] {
        let Message::Register { procedure, .. } = Message::parse(Serializer::Json, json.as_bytes()).unwrap()
        else {
            panic!()
        };
        assert_eq!(procedure, "a.b");
        assert_eq!(matches!(procedure, std::borrow::Cow::Borrowed(_)), borrowed);
    }
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}
