//! Where fuzzing begins: the official vectors for the codecs, small inputs written by hand for the rest.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wampline_wire::Serializer;

use super::transcript::{REQUEST, frame};

/// The seeds of a target, in a fixed order; none for a name that is no target's.
///
/// # Panics
/// If the vectors are not where they belong.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "json" => vectors("json"),
        "msgpack" => vectors("msgpack"),
        "cbor" => vectors("cbor"),
        "transcode" => transcodings(),
        "http" => http(),
        "websocket" => websocket(),
        "rawsocket" => rawsocket(),
        "pattern" => patterns(),
        "tls" => tls(),
        "shard" => shard(),
        _ => Vec::new(),
    }
}

/// Every form of every sample in a serializer, and forms that the vectors do not have.
fn vectors(serializer: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")) {
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let vector: Value = serde_json::from_slice(&text).expect("vectors are JSON");
        for sample in vector["samples"].as_array().into_iter().flatten() {
            for form in sample["serializers"][serializer].as_array().into_iter().flatten() {
                found.extend(form["bytes_hex"].as_str().map(hex));
            }
            if serializer == "json" && sample["wmsg"].is_array() {
                found.push(sample["wmsg"].to_string().into_bytes());
            }
        }
    }
    let extra: &[&[u8]] = match serializer {
        "json" => &[
            br#" [ 70 , 1 , null , [ "\ud83d\ude00\u0000" , -1.5e-3 , 18446744073709551616 ] ] "#,
            br#"[48,1,{},"a.b",["\u0000AP8=",1e2,-0,"\"\\\/\b\f\n\r\t"],{"k":{"k":[[[]]]},"k":2}]"#,
        ],
        "msgpack" => &[
            b"\x94\x46\x01\x80\x98\xd4\x00\x00\xd6\xff\x00\x00\x00\x00\xd4\x2a\x01\xcb\x3f\xf8\0\0\0\0\0\0\xd9\x01a\x81\xd9\x01a\xc4\x01\0\xcd\0\x01",
            b"\x96\x30\x01\x80\xa3a.b\x93\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0\0\0\0\0\0\xca\x3f\0\0\0\x81\xa1k\xdd\0\0\0\0",
        ],
        _ => &[
            b"\x84\x18\x46\x01\xbf\x61a\xf7\xff\x87\xc0\x742013-03-22T20:04:00Z\xc1\x1a\x51\x4b\x67\xb0\xd9\xd9\xf7\x9f\x01\xff\x7f\x61a\xff\x5f\x41\x01\xff\xf9\x3e\0\xd8\x40\x41\0",
            b"\x86\x18\x30\x01\xa0\x63a.b\x83\xc2\x49\x01\0\0\0\0\0\0\0\0\xc3\x41\x05\x3b\xff\xff\xff\xff\xff\xff\xff\xff\xa1\x61k\xf9\x7c\0",
        ],
    };
    found.extend(extra.iter().map(|octets| octets.to_vec()));
    found
}

/// Every vector in every pair of serializers.
fn transcodings() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (from, name) in ["json", "msgpack", "cbor"].into_iter().enumerate() {
        assert_eq!(Serializer::ALL[from].subprotocol(), format!("wamp.2.{name}"));
        for octets in vectors(name) {
            found.extend((0..3).map(|to| [&[3 * from as u8 + to][..], &octets].concat()));
        }
    }
    found
}

fn http() -> Vec<Vec<u8>> {
    let request = |from: &str, to: &str| REQUEST.replace(from, to);
    let variants = [
        request("", ""),
        request("Upgrade: websocket", "upgrade: WebSocket"),
        request("Connection: Upgrade", "Connection: keep-alive, Upgrade\r\nOrigin: http://localhost:3000"),
        request("wamp.2.json", "a, wamp.2.cbor, wamp.2.msgpack"),
        request("/ws", "http://router.example:8080/ws?a=b#c"),
        request("\r\n", "\n"),
        request("GET", "POST"),
        request("1.1", "1.0"),
        request("router.example:8080", "[::1]:8080\r\nOrigin: https://[::1]"),
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\0\x01".to_owned(),
        "\x7F\u{1}\0\0".to_owned(),
    ];
    variants
        .iter()
        .flat_map(|text| [&[0, 16][..], &[9, 3]].map(|head| [head, text.as_bytes()].concat()))
        .collect()
}

fn websocket() -> Vec<Vec<u8>> {
    let text = "κόσμε".as_bytes();
    let frames = [
        frame(0x81, b"[1,\"realm1\",{}]"),
        frame(0x01, &text[..3]),
        frame(0x89, b"ping"),
        frame(0x80, &text[3..]),
    ];
    let raw = [&[0, 7, 0][..], &frames.concat(), &frame(0x88, b"\x03\xE8bye")].concat();
    let long = [&[0, 40, 4][..], &frame(0x81, &[b'x'; 300])].concat();
    let parts = b"\0\x05\x01\x81\x06hello\x01\x03\xce\xba\x89\x05ping\x80\x03\xe1\xbd\x81\0\x30\x8a\x01\x88\x06\x03\xe8bye".to_vec();
    let echo = b"\x01\x10\x01\x82\x04\0\xff\x80\x02\x03abc\0\0\x20\x80\0\x20\x88\x03\x03\xe9".to_vec();
    vec![raw, long, parts, echo]
}

fn rawsocket() -> Vec<Vec<u8>> {
    vec![
        b"\0\x07\0\xF1\0\0\0\0\0\x03abc\x01\0\0\x02hi\x02\0\0\x01p\0\0\0\0".to_vec(),
        b"\0\x20\0\xF2\0\x01".to_vec(),
        b"\0\x03\0\x03\0\0\0\x01\0\0x".to_vec(),
        b"\0\x05\x01\0\0\x06[1,2]\x01\x03hi\x02\x01\0\x01".to_vec(),
        b"\0\x09\x01\x02\0\x04\x93\x01\x02\x03\x01\x02x\xF0\x02y".to_vec(),
        b"\0\x20\x01\0\0\0\x70\x01\0\x10\0\0\x80\0\x02x".to_vec(),
    ]
}

fn patterns() -> Vec<Vec<u8>> {
    vec![
        b"\0\x02\x01\x02\x03\x10\x01\x01\x02\x20\x02\x01\0\x03\x05\x02\x01\x02\x03\x03\x02\x01\x02\x03\x05\x02\x01\x02\x03".to_vec(),
        b"\x04\xC0\x05a.b.c\x14\xC0\x04com.\x24\xC0\x05a..b.\x04\xC0\x03a#b\x04\xC0\x03A b".to_vec(),
        b"\x20\x0F\0\0\x01\x02\x03\x04\x05\x06\x07\x25\x03\x01\x02\x03\x04".to_vec(),
        b"\x10\xC0\x03com\x10\xC0\x07com.exa\x10\xC0\x00\x05\xC0\x0bcom.example\x13\xC0\x07com.exa\x05\xC0\x07com.exa".to_vec(),
    ]
}

fn tls() -> Vec<Vec<u8>> {
    // Of a ClientHello only the beginning: the rest is for the fuzzer to find, or comes from a real client below.
    let hello = b"\0\x10\x16\x03\x01\0\x2f\x01\0\0\x2b\x03\x03________________________________\0\0\x02\x13\x01\x01\0\0\0";
    vec![
        hello.to_vec(),
        b"\0\x01\x15\x03\x03\0\x02\x02\x28".to_vec(),
        b"\0\x01\x17\x03\x03\0\x01x".to_vec(),
        b"\x01\xff".to_vec(),
        b"\x01\x03\x01\0\x20\x03\x55".to_vec(),
        b"\x01\x40\0\x01\0\x90\x01\x01\0\x10\x02\x01\0\x05\0".to_vec(),
        b"\x01\x10\0\0\0\0\0\0\0\x01\0\x09\x03\x42\x01\0\x10\x02".to_vec(),
    ]
}

fn shard() -> Vec<Vec<u8>> {
    let mut publish = b"\0\x01\0\x01\x01\x03\x01\x06\0\x00\x02\x06\x01\x01\x03\x0F".to_vec();
    publish.extend_from_slice(b"\x07\0\x12[16,1,{},\"a.b\",[1]]\x0B\0\x0B\x01\x0F");
    let raw = b"\x01\0\0\x02\0\x20\x7F\xF1\0\0\0\0\0\x14[1,\"realm1\",{\"roles\"\x0B\0\x0C\0\0\x0E\xFF\x0F"
        .to_vec();
    let templates: Vec<u8> = (0..32).flat_map(|which| [6, which % 2, which, 1 + which % 3]).collect();
    let busy = [
        b"\x02\x01\0\0\x01\x04\x01".as_slice(),
        &templates,
        b"\x0F\x0D\0\x01",
        &templates,
        b"\x0D\0\0\x0C\x01\x01\x0F",
    ]
    .concat();
    let frozen =
        [b"\x01\x01\x01\x02\x01\x03\x00\x0D\x01\x00".as_slice(), &templates, b"\x0E\x40\x0F"].concat();
    vec![publish, raw, busy, frozen]
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(octet).collect()
}
