//! What becomes of each value that not every serializer has; sizes at which forms change.
#![allow(clippy::unwrap_used)]

mod common;

use Serializer::{Cbor, Json, MsgPack};
use common::{Tree, call, decode, encode};
use wampline_wire::{EncodeError, Message, Serializer};

/// A `YIELD` with one argument, given as text or hex.
fn message(serializer: Serializer, argument: &str) -> Vec<u8> {
    match serializer {
        Json => format!("[70,1,{{}},[{argument}]]").into_bytes(),
        MsgPack => [hex("9446018091"), hex(argument)].concat(),
        Cbor => [hex("84184601a081"), hex(argument)].concat(),
    }
}

fn transcode(from: Serializer, argument: &str, to: Serializer) -> Result<Vec<u8>, EncodeError> {
    let octets = message(from, argument);
    let parsed = Message::parse(from, &octets).unwrap_or_else(|error| panic!("{argument}: {error}"));
    let mut written = b"kept".to_vec();
    let outcome = parsed.encode(to, &mut written);
    let Message::Yield { payload, .. } = &parsed else { panic!("another message") };
    let waited = payload.to_buf().transcode(to);
    assert_eq!(outcome.is_ok(), waited.is_ok());
    if outcome.is_err() {
        assert_eq!(written, b"kept", "what was there before stays, and nothing else");
    }
    outcome.map(|()| written.split_off(4))
}

fn becomes(from: Serializer, argument: &str, to: Serializer, expected: &str) {
    let written = transcode(from, argument, to).unwrap_or_else(|error| panic!("{argument}: {error}"));
    let expected = message(to, expected);
    assert_eq!(written, expected, "{argument}: {}", String::from_utf8_lossy(&written));
    // Another library reads it too, unless integers are beyond it.
    assert!(to == Json || decode(&written, to).is_some());
}

fn inexpressible(from: Serializer, argument: &str, to: Serializer) {
    assert!(transcode(from, argument, to).is_err(), "{argument}");
}

#[test]
fn octets_are_strings_of_nul_and_base64_in_json() {
    for (json, msgpack, cbor) in [
        (r#""\u0000""#, "c400", "40"),
        (r#""\u0000AA==""#, "c40100", "4100"),
        (r#""\u0000+/+/""#, "c403fbffbf", "43fbffbf"),
    ] {
        becomes(Json, json, MsgPack, msgpack);
        becomes(Json, json, Cbor, cbor);
        becomes(MsgPack, msgpack, Json, json);
        becomes(Cbor, cbor, Json, json);
        becomes(MsgPack, msgpack, Cbor, cbor);
        becomes(Cbor, cbor, MsgPack, msgpack);
    }
    // Text that begins with U+0000 cannot be told from octets in JSON.
    for msgpack in ["a3004141", "a5002d5f2d5f", "a50041423d3d", "a6002041413d3d"] {
        inexpressible(MsgPack, msgpack, Json);
    }
    for (json, msgpack) in [(r#""AA==""#, "a441413d3d"), (r#""a\u0000AA==""#, "a6610041413d3d")] {
        becomes(Json, json, MsgPack, msgpack);
        becomes(MsgPack, msgpack, Json, json);
    }
    // A key is never octets.
    becomes(Json, r#"{"\u0000AA==":1}"#, MsgPack, "81a50041413d3d01");
}

#[test]
fn integers_beyond_64_bits() {
    for (json, cbor) in [
        ("18446744073709551616", "c249010000000000000000"),
        ("-18446744073709551617", "c349010000000000000000"),
        ("-18446744073709551616", "3bffffffffffffffff"),
        ("-9223372036854775809", "3b8000000000000000"),
        ("340282366920938463463374607431768211455", "c250ffffffffffffffffffffffffffffffff"),
    ] {
        becomes(Json, json, Cbor, cbor);
        becomes(Cbor, cbor, Json, json);
        inexpressible(Json, json, MsgPack);
        inexpressible(Cbor, cbor, MsgPack);
    }
    // Tagged integers that fit are integers.
    becomes(Cbor, "c240", MsgPack, "00");
    becomes(Cbor, "c24a00000000000000000001", Json, "1");
    becomes(Cbor, "c248ffffffffffffffff", MsgPack, "cfffffffffffffffff");
    becomes(Cbor, "c3487fffffffffffffff", MsgPack, "d38000000000000000");
    becomes(Cbor, "c340", Json, "-1");
    inexpressible(Cbor, "c3488000000000000000", MsgPack);
    // The neighbours of 64 bits stay integers, and go through values next to one that does not fit.
    becomes(
        Json,
        "[18446744073709551615,-9223372036854775808]",
        MsgPack,
        "92cfffffffffffffffffd38000000000000000",
    );
    becomes(
        Json,
        r#"{"a":[1,{"b":"\u00e9\u0000"},[]],"c":18446744073709551616,"d":-1.5,"e":{}}"#,
        Cbor,
        "a4616183 01 a1616263c3a900 80 6163 c249010000000000000000 6164 fbbff8000000000000 6165a0",
    );
    // Nothing that JSON readers take for infinite.
    inexpressible(Cbor, &format!("c25880{}", "ff".repeat(128)), Json);
    inexpressible(Cbor, &format!("c2590400{}", "ff".repeat(1024)), Json);
    let nines = "9".repeat(308);
    let cbor = transcode(Json, &nines, Cbor).unwrap();
    let parsed = Message::parse(Cbor, &cbor).unwrap();
    let mut back = Vec::new();
    parsed.encode(Json, &mut back).unwrap();
    assert_eq!(back, message(Json, &nines));
}

#[test]
fn floats_stay_floats() {
    for (json, msgpack) in [
        ("1.0", "cb3ff0000000000000"),
        ("-0.0", "cb8000000000000000"),
        ("1e16", "cb4341c37937e08000"),
        ("1e300", "cb7e37e43c8800759c"),
        ("5e-324", "cb0000000000000001"),
        ("0.1", "cb3fb999999999999a"),
        ("2.5", "cb4004000000000000"),
    ] {
        becomes(Json, json, MsgPack, msgpack);
        becomes(MsgPack, msgpack, Json, json);
    }
    becomes(Json, "1E2", MsgPack, "cb4059000000000000");
    becomes(Json, "-0", MsgPack, "00");
    // Narrow floats keep their value, and their width where there is one.
    becomes(MsgPack, "ca3dcccccd", Cbor, "fa3dcccccd");
    becomes(Cbor, "fa3dcccccd", MsgPack, "ca3dcccccd");
    becomes(Cbor, "f93e00", MsgPack, "ca3fc00000");
    becomes(Cbor, "f90001", Json, "5.960464477539063e-8");
    becomes(MsgPack, "ca3dcccccd", Json, "0.10000000149011612");
    for (msgpack, cbor) in [("cb7ff0000000000000", "fb7ff0000000000000"), ("ca7f800000", "fa7f800000")] {
        becomes(MsgPack, msgpack, Cbor, cbor);
        becomes(Cbor, cbor, MsgPack, msgpack);
        inexpressible(MsgPack, msgpack, Json);
        inexpressible(Cbor, cbor, Json);
    }
    inexpressible(MsgPack, "cb7ff8000000000000", Json);
    inexpressible(Cbor, "f97e00", Json);
    becomes(Cbor, "f97e00", MsgPack, "ca7fc00000");
}

#[test]
fn extension_types_and_tags() {
    for extension in ["d42a01", "d6ff00000000", "c7032a010203"] {
        inexpressible(MsgPack, extension, Json);
        inexpressible(MsgPack, extension, Cbor);
        becomes(MsgPack, extension, MsgPack, extension);
    }
    for to in [Json, Cbor] {
        let null = if to == Json { "null" } else { "f6" };
        becomes(MsgPack, "d40000", to, null);
    }
    becomes(Cbor, "f7", MsgPack, "c0");
    let date = "c074323031332d30332d32315432303a30343a30305a";
    becomes(Cbor, date, Json, r#""2013-03-21T20:04:00Z""#);
    becomes(Cbor, "c11a514b67b0", MsgPack, "ce514b67b0");
    // A deployed decoder fails on a time in an integer of eight octets.
    becomes(Cbor, "c11b00000000514b67b0", Cbor, "c11a514b67b0");
    becomes(Cbor, "c11b0000003afff2a37f", Cbor, "c1fb424d7ff951bf8000");
    becomes(Cbor, "c13b0000000e7790457f", Cbor, "c1fbc22cef208b000000");
    becomes(Cbor, "c11b0000003afff2a37f", MsgPack, "cf0000003afff2a37f");
    becomes(Cbor, "d820616 1", Json, r#""a""#);
    becomes(Cbor, "d9d9f7820102", MsgPack, "920102");
    becomes(Cbor, "d84043010203", MsgPack, "c403010203");
    becomes(Cbor, "d84443010203", Json, r#""\u0000AQID""#);
    for tagged in [
        "d8184101",
        "d82550 00000000000000000000000000000000",
        "d84642 0102 0000",
        "d9012d01",
        "da0010000080",
    ] {
        let tagged = tagged.replace("d84642 0102 0000", "d84644 01020000");
        inexpressible(Cbor, &tagged, Json);
        inexpressible(Cbor, &tagged, MsgPack);
        becomes(Cbor, &tagged, Cbor, &tagged);
    }
}

#[test]
fn cbor_without_counts_is_counted() {
    let open = "9f 01 9f 02 ff bf 6161 9f ff 6162 bf 6163 03 ff ff 82 9f 04 05 ff 80 ff";
    becomes(Cbor, open, Json, r#"[1,[2],{"a":[],"b":{"c":3}},[[4,5],[]]]"#);
    becomes(Cbor, open, MsgPack, "94 01 91 02 82 a161 90 a162 81 a163 03 92 92 04 05 90");
    // Between CBOR sessions that alone is no reason to rewrite.
    becomes(Cbor, open, Cbor, open);
    // Strings in chunks are put together, because a deployed decoder refuses them, and then all is counted.
    let chunks = "9f 7f 6161 60 6162 ff 5f 4101 ff bf 7f 6163 ff f7 ff c1 01 d9012d 9f ff ff";
    let chunks = chunks.replace("c1 01", "c1 00");
    becomes(Cbor, &chunks, Cbor, "85 626162 4101 a1 6163 f6 c1 00 d9012d 80");
}

#[test]
fn forms_change_at_their_sizes() {
    let sizes = [0, 15, 16, 23, 24, 31, 32, 33, 255, 256, 257, 65_535, 65_536];
    // The long ones are too much for Miri, and most of the others take the same paths.
    let sizes = if cfg!(miri) { &[0, 16, 33][..] } else { &sizes };
    for &size in sizes {
        let trees = [
            Tree::Str("é".repeat(size / 2) + &"x".repeat(size % 2)),
            Tree::Bytes(vec![0xa5; size]),
            Tree::List(vec![Tree::Uint(7); size]),
            Tree::Dict((0..size).map(|n| (format!("{n:06}"), Tree::Null)).collect()),
        ];
        for tree in trees {
            let tree = call(vec![tree], vec![]);
            for from in Serializer::ALL {
                let octets = encode(&tree, from);
                let parsed = Message::parse(from, &octets).unwrap();
                for to in Serializer::ALL {
                    let mut written = Vec::new();
                    parsed.encode(to, &mut written).unwrap();
                    // The libraries write smallest forms, as we do.
                    assert!(written == encode(&tree, to), "{size} from {} to {}", from.name(), to.name());
                }
            }
        }
    }
}

#[test]
fn integers_take_their_smallest_form() {
    let edges = [
        0u64,
        23,
        24,
        31,
        32,
        127,
        128,
        255,
        256,
        32_767,
        32_768,
        65_535,
        65_536,
        1 << 31,
        u64::from(u32::MAX),
    ];
    let wide = [1 << 32, i64::MAX as u64, 1 << 63, u64::MAX];
    for magnitude in edges.into_iter().chain(wide).step_by(if cfg!(miri) { 5 } else { 1 }) {
        let mut trees = vec![Tree::Uint(magnitude)];
        if let Ok(n) = i64::try_from(magnitude) {
            trees.push(Tree::Int(-1 - n));
        }
        for tree in trees {
            let tree = call(vec![tree], vec![]);
            for from in Serializer::ALL {
                let octets = encode(&tree, from);
                let parsed = Message::parse(from, &octets).unwrap();
                for to in Serializer::ALL {
                    let mut written = Vec::new();
                    parsed.encode(to, &mut written).unwrap();
                    assert_eq!(written, encode(&tree, to), "{tree:?}");
                }
            }
        }
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.chars().filter(|c| *c != ' ').collect();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}
