//! What is refused, where and why; and neighbours of it that are accepted.
#![allow(clippy::unwrap_used)]

mod common;

use wampline_wire::ParseErrorKind as K;
use wampline_wire::{Message, ParseErrorKind, Serializer};

/// Parses a `YIELD` with one argument, `argument` in text or hex, and gives the error's kind and its offset from
/// the start of the argument.
fn refused(serializer: Serializer, argument: &str) -> Option<(ParseErrorKind, isize)> {
    let (before, argument, after) = match serializer {
        Serializer::Json => (b"[70,1,{},[".to_vec(), argument.as_bytes().to_vec(), b"]]".to_vec()),
        Serializer::MsgPack => (hex("9446018091"), hex(argument), vec![]),
        Serializer::Cbor => (hex("84184601a081"), hex(argument), vec![]),
    };
    let octets = [&before[..], &argument, &after].concat();
    let error = Message::parse(serializer, &octets).err()?;
    assert!(error.offset <= octets.len(), "{error}");
    Some((error.kind, error.offset as isize - before.len() as isize))
}

fn accepted(serializer: Serializer, argument: &str) {
    assert_eq!(refused(serializer, argument), None, "{argument}");
}

fn check(serializer: Serializer, argument: &str, kind: ParseErrorKind, offset: isize) {
    match refused(serializer, argument) {
        None => panic!("accepted: {argument}"),
        Some((found, at)) => {
            // The words of a syntax error are for people.
            let same = matches!((&found, &kind), (K::Syntax(_), K::Syntax(_))) || found == kind;
            assert!(same && at == offset, "{argument}: {found:?} at {at}");
        }
    }
}

#[test]
fn json_strings() {
    let syntax = || K::Syntax("");
    for good in [
        r#""""#,
        r#""\"\\\/\b\f\n\r\t\u0000\uD83D\uDE00""#,
        "\"\u{7f}é\u{2028}\u{10ffff}\"",
        r#""\u0000IQ==""#,
    ] {
        accepted(Serializer::Json, good);
    }
    check(Serializer::Json, "\"a\nb\"", syntax(), 2);
    check(Serializer::Json, "\"a\0b\"", syntax(), 2);
    check(Serializer::Json, r#""\x""#, syntax(), 2);
    // Readers take these for octets and fail.
    for no_base64 in
        [r#""\u0000!""#, r#""\u0000AA""#, r#""\u0000-_-_""#, r#""\u0000AB==""#, r#""\u0000 AA==""#]
    {
        check(Serializer::Json, no_base64, syntax(), 1);
    }
    check(Serializer::Json, r#""\u12g4""#, syntax(), 5);
    check(Serializer::Json, r#""ab\ud800""#, K::Utf8, 3);
    check(Serializer::Json, r#""\ud800\u0041""#, K::Utf8, 1);
    check(Serializer::Json, r#""\ud800xxxxxx""#, K::Utf8, 1);
    check(Serializer::Json, r#""\udc00\ud800""#, K::Utf8, 1);
    check(Serializer::Json, r#"{"\ud800":1}"#, K::Utf8, 2);
    // The rest of the message is inside the string.
    check(Serializer::Json, r#""abc"#, K::Truncated, 6);
}

#[test]
fn json_text_is_utf8() {
    for (octets, at) in
        [(&b"[70,1,{},[\"\xff\"]]"[..], 11), (b"\xef\xbb[70", 0), (b"[70,1,{},[\"\xed\xa0\x80\"]]", 11)]
    {
        let error = Message::parse(Serializer::Json, octets).unwrap_err();
        assert_eq!((error.kind, error.offset), (K::Utf8, at));
    }
    // A byte order mark is valid UTF-8, and not JSON.
    let error = Message::parse(Serializer::Json, "\u{feff}[70,1,{}]".as_bytes()).unwrap_err();
    assert_eq!((error.kind, error.offset), (K::NotAMessage, 0));
}

#[test]
fn json_numbers() {
    for good in
        ["0", "-0", "-0.0", "1e5", "1E+5", "1.25e-10", "123456789012345678901234567890", "1e308", "1e-400"]
    {
        accepted(Serializer::Json, good);
    }
    accepted(Serializer::Json, &"9".repeat(308));
    accepted(Serializer::Json, &format!("0.{}", "1".repeat(1022)));
    check(Serializer::Json, &"9".repeat(310), K::Number, 0);
    check(Serializer::Json, &"9".repeat(100_000), K::Number, 0);
    check(Serializer::Json, &format!("0.{}", "1".repeat(1023)), K::Number, 0);
    for infinite in ["1e400", "-1e400", "1e309", "1e99999999999999999999", "1.8e308"] {
        check(Serializer::Json, infinite, K::Number, 0);
    }
    for malformed in ["01", "-01", "00"] {
        check(Serializer::Json, malformed, K::Number, 0);
    }
    check(Serializer::Json, "-", K::Number, 1);
    check(Serializer::Json, "1.", K::Number, 2);
    check(Serializer::Json, "1e", K::Number, 2);
    check(Serializer::Json, "1e+", K::Number, 3);
    check(Serializer::Json, "-a", K::Number, 1);
    for other in ["+1", ".5", "NaN", "Infinity"] {
        check(Serializer::Json, other, K::Syntax(""), 0);
    }
    check(Serializer::Json, "-Infinity", K::Number, 1);
    check(Serializer::Json, "0x10", K::Syntax(""), 1);
    check(Serializer::Json, "nan", K::Syntax(""), 1);
}

#[test]
fn json_structure() {
    for good in
        ["[ ]", "{ }", " [ 1 , 2 ] ", r#"{ "a" : 1 , "b" : { } }"#, "true,false,null", r#"{"a":1,"a":2}"#]
    {
        accepted(Serializer::Json, good);
    }
    for (bad, at) in [
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        (r#"{"a" 1}"#, 5),
        (r#"{"a":}"#, 5),
        (r#"{"a":1,}"#, 7),
        ("[1}", 2),
        ("tru", 3),
        ("truE", 3),
        ("'a'", 0),
        ("/**/1", 0),
        ("\u{b}1", 0),
        ("\u{a0}1", 0),
        (r#"{"a":1]"#, 6),
    ] {
        check(Serializer::Json, bad, K::Syntax(""), at);
    }
    for key in ["{1:2}", "{null:1}", "{true:1}", "{[]:1}", "{{}:1}", "{-1:1}"] {
        check(Serializer::Json, key, K::Key, 1);
    }
    check(Serializer::Json, "{a:1}", K::Syntax(""), 1);
    for (octets, kind) in [
        (&b""[..], K::Truncated),
        (b"  ", K::Truncated),
        (b"[", K::Truncated),
        (b"[48", K::Truncated),
        (b"[6,{},\"a\"", K::Truncated),
        (b"[6,{},\"a\"]x", K::Trailing),
        (b"[6,{},\"a\"][", K::Trailing),
        (b"[6,{},\"a\"] \n", K::Trailing),
    ] {
        let found = Message::parse(Serializer::Json, octets);
        if octets.ends_with(b"\n") {
            assert!(found.is_ok(), "space may follow");
        } else {
            assert_eq!(found.unwrap_err().kind, kind);
        }
    }
}

#[test]
fn msgpack() {
    let m = Serializer::MsgPack;
    for good in [
        "c0",
        "c2",
        "cb7ff8000000000000",
        "ca7f800000",
        "a0",
        "d900",
        "da0001 61",
        "c400",
        "90",
        "80",
        "dc0000",
        "df00000000",
        // Integers in more octets than they need.
        "cf0000000000000001",
        "d300000000000000 01",
        // A timestamp of each length, undefined, an extension of the application's own.
        "d6ff00000000",
        "d7ff0000000000000000",
        "c70cff000000000000000000000000",
        "d7ffee6b27fc00000000",
        "d40000",
        "d42a01",
        "c7032a010203",
        "c8000 12a01",
        "c9000000012a01",
        "d82a00000000000000000000000000000000",
        "c7002a",
    ] {
        accepted(m, good);
    }
    check(m, "c1", K::Syntax(""), 0);
    check(m, "a1ff", K::Utf8, 1);
    check(m, "a2c328", K::Utf8, 1);
    check(m, "a3eda080", K::Utf8, 1);
    check(m, "81a1ff01", K::Utf8, 2);
    for key in ["810101", "81c001", "81c4016101", "819001", "8180c0", "81ca0000000001"] {
        check(m, key, K::Key, 1);
    }
    check(m, "91 82 a161 01 02 03", K::Key, 5);
    // Timestamps of other lengths, or with too many nanoseconds.
    for bad in [
        "d4ff00",
        "d5ff0000",
        "c700ff",
        "d7ffee6b280000000000",
        "c70cff3b9aca000000000000000000",
        "d8ff00000000000000000000000000000000",
    ] {
        check(m, bad, K::Extension, 0);
    }
    // Records, bundled strings, structured clones: state in one deployed decoder.
    for kind in ["72", "62", "65", "69", "70", "73", "78"] {
        check(m, &format!("d4{kind}40"), K::Extension, 0);
    }
    for truncated in [
        "a5616263",
        "c403 0102",
        "92 01",
        "81a161",
        "cd01",
        "d6ff0000",
        "dd00000002c0",
        "d9",
        "c9ffffffff2a00",
    ] {
        let digits = truncated.replace(' ', "");
        check(m, &digits, K::Truncated, digits.len() as isize / 2);
    }
    for claim in ["ddffffffff", "dfffffffff", "dcffff", "deffff", "dbffffffff", "c6ffffffff"] {
        check(m, claim, K::Truncated, claim.len() as isize / 2);
    }
    check(m, "c0c0", K::Trailing, 1);
}

#[test]
fn cbor_structure() {
    let c = Serializer::Cbor;
    for good in [
        "f6",
        "f7",
        "f4",
        "f97e00",
        "f90001",
        "fa7f800000",
        "fb7ff8000000000000",
        "1b0000000000000001",
        "3bffffffffffffffff",
        "60",
        "40",
        "80",
        "a0",
        "9fff",
        "bfff",
        "9f01ff",
        "bf616101ff",
        "9f9fffbfffff",
        "7fff",
        "5fff",
        "7f61616162ff",
        "5f4101420203ff",
        "7fff",
        "bf7f6161ff01ff",
    ] {
        accepted(c, good);
    }
    for reserved in ["1c", "1d", "1e", "3c", "5d", "7e", "9c", "bd", "dc", "fc", "fd", "fe", "1f", "3f", "df"]
    {
        check(c, reserved, K::Syntax(""), 0);
    }
    check(c, "ff", K::Syntax(""), 0);
    check(c, "8101ff", K::Trailing, 2);
    check(c, "81ff", K::Syntax(""), 1);
    check(c, "a1ffff", K::Syntax(""), 1);
    check(c, "a16161ff", K::Syntax(""), 3);
    check(c, "bf6161ff", K::Syntax(""), 3);
    check(c, "9f", K::Truncated, 1);
    check(c, "7f6161", K::Truncated, 3);
    // Chunks of another type, chunks in chunks, text that is not UTF-8 chunk by chunk.
    for (bad, at) in [("7f4161ff", 1), ("5f6161ff", 1), ("7f7f6161ffff", 1), ("5f01ff", 1)] {
        check(c, bad, K::Syntax(""), at);
    }
    check(c, "7f61c361a9ff", K::Utf8, 2);
    check(c, "61ff", K::Utf8, 1);
    check(c, "a161ff01", K::Utf8, 2);
    for key in ["a10101", "a1f601", "a1416101", "a18001", "bf01ff", "a1c0616101", "a1d9d9f7616101"] {
        check(c, key, K::Key, 1);
    }
    for simple in ["f800", "f814", "f818", "f81f"] {
        check(c, simple, K::Syntax(""), 0);
    }
    for unassigned in ["e0", "f3", "f820", "f8ff"] {
        check(c, unassigned, K::Extension, 0);
    }
    for claim in [
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "9affffffff",
        "7bffffffffffffffff",
        "5b7fffffffffffffff",
        "bb8000000000000000",
    ] {
        check(c, claim, K::Truncated, claim.len() as isize / 2);
    }
}

#[test]
fn cbor_tags() {
    let c = Serializer::Cbor;
    let text = |text: &str| {
        let length = format!("78{:02x}", text.len());
        text.bytes().fold(length, |hex, octet| hex + &format!("{octet:02x}"))
    };
    for good in [
        "2013-03-21T20:04:00Z",
        "2024-02-29T23:59:59.123456789+05:30",
        "0001-01-01T00:00:00-00:00",
        "9999-12-31T23:59:59Z",
    ] {
        accepted(c, &format!("c0{}", text(good)));
    }
    for bad in [
        "2013-03-21",
        "2013-03-21 20:04:00Z",
        "2013-03-21T20:04:00",
        "2013-03-21T20:04:00z",
        "2013-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2013-13-01T00:00:00Z",
        "2013-00-01T00:00:00Z",
        "2013-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2013-03-21T24:00:00Z",
        "2013-03-21T23:60:00Z",
        "2013-03-21T23:59:60Z",
        "2013-03-21T23:59:59.Z",
        "2013-03-21T23:59:59.1234567890Z",
        "2013-03-21T23:59:59+24:00",
        "2013-03-21T23:59:59+00:60",
        "2013-03-21T23:59:59+0000",
        "2013-04-31T00:00:00Z",
        "２013-04-30T00:00:00Z",
        "+013-04-30T00:00:00Z",
        "now",
        "",
    ] {
        check(c, &format!("c0{}", text(bad)), K::Extension, 1);
    }
    for good in [
        "c100",
        "c11a514b67b0",
        "c120",
        "c1fb41d452d9ec200000",
        "c1f90000",
        "c240",
        "c249010000000000000000",
        "c349010000000000000000",
        "d81840",
        "d8184401020304",
        "d82061 61",
        "d82550 00000000000000000000000000000000",
        "d9d9f7f6",
        "d9d9f78101",
        "d84043010203",
        "d8414401020304",
        "d8434801020304050607 08",
        "d853500000000000000000 0000000000000000",
        "d85640",
        "d9012d 01",
        "da00100000 01",
        "cb61 61",
    ] {
        accepted(c, &good.replace(' ', ""));
    }
    for bad in [
        "c001",
        "c040",
        "c07fff",
        "c1f6",
        "c16161",
        "c1f97e00",
        "c1f97c00",
        "c11b000000ffffffffff",
        "c13b000000ffffffffff",
        "c1fb7fefffffffffffff",
        "c26161",
        "c201",
        "c25fff",
        "d8186161",
        "d82041 00",
        "d82001",
        "d82543010203",
        "d84143010203",
        "d84243010203",
        "d8434401020304",
        "d853480102030405060708",
        "d84061 61",
        "d84080",
    ] {
        let digits = bad.replace(' ', "");
        let at = if digits.starts_with('c') { 1 } else { 2 };
        check(c, &digits, K::Extension, at);
    }
    check(c, &format!("c2590401{}", "01".repeat(1025)), K::Number, 1);
    accepted(c, &format!("c2590400{}", "01".repeat(1024)));
    for tag in [
        4u64,
        5,
        6,
        14,
        15,
        25,
        27,
        28,
        29,
        30,
        35,
        36,
        51,
        52,
        54,
        76,
        100,
        105,
        220,
        230,
        256,
        258,
        259,
        260,
        261,
        1004,
        28_000,
        30_000,
        43_000,
        57_337,
        57_343,
        57_400,
        1_811_940_352,
        2_000_000_000,
        0x5368_7264,
    ] {
        check(c, &format!("db{tag:016x}8101"), K::Extension, 0);
    }
    // Inside a list too.
    check(c, "8201d81c80", K::Extension, 2);
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: String = digits.chars().filter(|c| *c != ' ').collect();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}
