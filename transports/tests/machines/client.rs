//! The client's side, against answers written by hand.

use wampline_transports::client::{Client, Received, Transport};
use wampline_transports::server::{Fault, FaultKind};
use wampline_wire::Serializer;

/// What came out of a stream, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Established,
    Message(Vec<u8>),
    Closed,
}

pub(crate) fn websocket() -> Transport {
    Transport::WebSocket { host: "router.example".to_owned(), path: "/ws".to_owned() }
}

/// Hands octets to a client until it has used them all up.
pub(crate) fn feed(client: &mut Client, octets: &[u8], out: &mut Vec<u8>) -> Result<Vec<Event>, Fault> {
    let mut buffer = octets.to_vec();
    let mut input = &mut buffer[..];
    let mut events = Vec::new();
    while let Some(received) = client.receive(&mut input, out)? {
        events.push(match received {
            Received::Established => Event::Established,
            Received::Message(octets) => Event::Message(octets.to_vec()),
            Received::Closed => Event::Closed,
        });
    }
    assert!(input.is_empty());
    Ok(events)
}

/// The same, octet by octet.
fn feed_slowly(client: &mut Client, octets: &[u8], out: &mut Vec<u8>) -> Result<Vec<Event>, Fault> {
    let mut events = Vec::new();
    for octet in octets.chunks(1) {
        events.extend(feed(client, octet, out)?);
    }
    Ok(events)
}

fn send(client: &mut Client, message: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let result: Result<(), ()> = client.send(&mut out, |out| {
        out.extend_from_slice(message);
        Ok(())
    });
    result.unwrap();
    assert_eq!(&out[..6], b"before");
    out.split_off(6)
}

/// Feeds an answer in both ways, and checks that both do the same.
fn answered(transport: &Transport, answer: &[u8]) -> Result<(Client, Vec<u8>), Fault> {
    let begin = || Client::new(transport, Serializer::MsgPack, 7, &mut Vec::new());
    let (mut fast, mut slow) = (begin(), begin());
    let (mut out, mut slow_out) = (Vec::new(), Vec::new());
    let result = feed(&mut fast, answer, &mut out);
    assert_eq!(feed_slowly(&mut slow, answer, &mut slow_out), result);
    assert_eq!(slow_out, out);
    let is_open = result.as_ref().is_ok_and(|events| !events.contains(&Event::Closed));
    assert_eq!((fast.is_open(), slow.is_open()), (is_open, is_open));
    result.map(|events| {
        assert_eq!(events[0], Event::Established);
        (fast, out)
    })
}

fn refused(transport: &Transport, answer: &[u8], reason: &'static str) {
    let fault = Fault { reason, kind: FaultKind::Handshake };
    assert_eq!(answered(transport, answer).map(|_| ()), Err(fault));
}

#[test]
fn rawsocket_handshake() {
    let mut out = Vec::new();
    Client::new(&Transport::RawSocket { length: 11 }, Serializer::Cbor, 1, &mut out);
    assert_eq!(out, b"\x7F\xB3\0\0");
    let raw = Transport::RawSocket { length: 15 };
    let (mut client, out) = answered(&raw, b"\x7F\x02\0\0\0\0\0\x01\xC0\x01\0\0\x02hi").unwrap();
    assert_eq!((client.peer_bytes_max(), &out[..]), (512, &b"\x02\0\0\x02hi"[..]));
    assert_eq!(send(&mut client, b"\x91\x01"), b"\0\0\0\x02\x91\x01");
    assert_eq!(send(&mut client, &[0; 513]), b"", "longer than the router accepts");
    assert_eq!(send(&mut client, &[0; 512]).len(), 516);
    for (answer, reason) in [
        (b"\x7F\x10\0\0", "the router does not offer this serializer"),
        (b"\x7F\x20\0\0", "the router does not accept this maximum message length"),
        (b"\x7F\x30\0\0", "the router refuses the use of reserved bits"),
        (b"\x7F\x40\0\0", "the router has too many connections"),
        (b"\x7F\x00\0\0", "refused with an unknown error"),
        (b"\x7F\xF1\0\0", "the router answered with another serializer"),
        (b"\x7F\xF2\0\x01", "the answer is not a RawSocket handshake"),
        (b"HTTP", "the answer is not a RawSocket handshake"),
    ] {
        refused(&raw, answer, reason);
    }
}

#[test]
fn rawsocket_messages_of_2_to_the_24() {
    let (mut client, _) = answered(&Transport::RawSocket { length: 15 }, b"\x7F\xF2\0\0").unwrap();
    let mut stream = b"\x08\0\0\0".to_vec();
    stream.extend_from_slice(&vec![b'a'; 1 << 24]);
    let events = feed(&mut client, &stream, &mut Vec::new()).unwrap();
    assert_eq!(events, [Event::Message(vec![b'a'; 1 << 24])]);
    let mut pong = Vec::new();
    stream[0] = 9;
    assert_eq!(feed(&mut client, &stream, &mut pong), Ok(vec![]));
    assert_eq!((pong.len(), &pong[..5]), (stream.len(), &b"\x0A\0\0\0a"[..]));
    let (mut client, _) = answered(&Transport::RawSocket { length: 14 }, b"\x7F\xF2\0\0").unwrap();
    let fault = feed(&mut client, b"\0\x80\0\x01", &mut Vec::new()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::TooLong);
}

/// The key in a request.
fn key(request: &[u8]) -> String {
    let text = std::str::from_utf8(request).unwrap();
    text.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned()
}

/// The answer that the client with seed 7 waits for. Its hash was made with `openssl sha1 -binary | base64`.
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: T5B3HFfbZ6RMjEfnk7aOz66U79I=\r\nSec-WebSocket-Protocol: wamp.2.msgpack\r\n\r\n";
const KEY_OF_SEED_7: &str = "Y8vh5FkyDdcETDzX9DxmHA==";

/// What the answer must say to the key.
const ACCEPT_OF_SEED_7: &str = "T5B3HFfbZ6RMjEfnk7aOz66U79I=";

#[test]
fn websocket_request() {
    let mut out = Vec::new();
    Client::new(&websocket(), Serializer::MsgPack, 7, &mut out);
    assert_eq!(key(&out), KEY_OF_SEED_7);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!(
            "GET /ws HTTP/1.1\r\nHost: router.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY_OF_SEED_7}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: wamp.2.msgpack\r\n\r\n"
        )
    );
}

#[test]
fn websocket_answers() {
    answered(&websocket(), ANSWER.as_bytes()).unwrap();
    let other_case = ANSWER.replace("Upgrade: websocket", "UPGRADE: WebSocket").replace("Sec-", "sec-");
    answered(&websocket(), other_case.as_bytes()).unwrap();
    for (from, to, reason) in [
        ("101", "400", "refused with HTTP 400: subprotocol or request not accepted"),
        ("101", "403", "refused with HTTP 401 or 403: not allowed"),
        ("101", "404", "refused with HTTP 404: no WebSocket at this path"),
        ("101", "426", "refused with HTTP 426: another version is required"),
        ("101", "503", "refused with HTTP 503: no room for another connection"),
        ("101", "301", "redirected, which is not followed"),
        ("101", "200", "refused with an HTTP status other than 101"),
        ("HTTP/1.1", "SMTP/1.1", "the answer is not an HTTP/1.1 response"),
        ("Upgrade: websocket", "Upgrade: h2c", "the answer upgrades to something else"),
        ("Connection: Upgrade", "Connection: close", "the answer upgrades to something else"),
        (ACCEPT_OF_SEED_7, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Accept does not answer the key"),
        ("Sec-WebSocket-Accept", "X", "Sec-WebSocket-Accept does not answer the key"),
        ("msgpack", "json", "the answer names another subprotocol, or none"),
        ("Sec-WebSocket-Protocol", "X", "the answer names another subprotocol, or none"),
        (
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol",
            "the answer names an extension that was not asked for",
        ),
    ] {
        refused(&websocket(), ANSWER.replace(from, to).as_bytes(), reason);
    }
    if cfg!(miri) {
        return; // What follows is too long for it.
    }
    let endless = [b"HTTP/1.1 101 X\r\nX: ", &[b'a'; 20_000][..]].concat();
    refused(&websocket(), &endless, "the answer's HTTP head is too long");
}

#[test]
fn websocket_frames() {
    let stream =
        [ANSWER.as_bytes(), b"\x82\x01a", b"\x02\x01b\x89\x02hi\x80\x01c", b"\x8A\0", b"\x88\x02\x03\xE8"];
    let (mut client, out) = answered(&websocket(), &stream.concat()).unwrap();
    let unmasked = unmask(&out);
    assert_eq!(unmasked, [(0x8A, b"hi".to_vec()), (0x88, b"\x03\xE8".to_vec())]);
    let mut more = Vec::new();
    client.close(&mut more);
    client.ping(&mut more);
    assert_eq!((feed(&mut client, b"\x82\x01a", &mut more), &more[..]), (Ok(vec![]), &b""[..]));
}

#[test]
fn websocket_masks_every_frame_with_another_key() {
    let (mut client, _) = answered(&websocket(), ANSWER.as_bytes()).unwrap();
    let mut keys = std::collections::HashSet::new();
    let lengths = [0, 1, 125, 126, 127, 5, 126, 65_535, 65_536, 70_000];
    // The long ones are too much for Miri.
    let lengths = if cfg!(miri) { &lengths[..7] } else { &lengths };
    for &length in lengths {
        let message: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let frame = send(&mut client, &message);
        let start = frame.len() - length - 4;
        keys.insert(frame[start..start + 4].to_vec());
        assert_eq!(unmask(&frame), [(0x82, message)]);
    }
    assert_eq!(keys.len(), lengths.len());
    let mut out = Vec::new();
    client.close(&mut out);
    assert_eq!(unmask(&out), [(0x88, b"\x03\xE8".to_vec())]);
}

#[test]
fn faults_are_told() {
    for (frame, kind, code) in [
        (&b"\x82\x81\0\0\0\0a"[..], FaultKind::Protocol, 1002u16),
        (b"\x81\x01a", FaultKind::Protocol, 1003),
        (b"\x82\x7F\0\0\0\0\x01\0\0\0", FaultKind::TooLong, 1009),
    ] {
        let (mut client, _) = answered(&websocket(), ANSWER.as_bytes()).unwrap();
        let mut out = Vec::new();
        assert_eq!(feed(&mut client, frame, &mut out).unwrap_err().kind, kind);
        let told = unmask(&out);
        assert_eq!((told[0].0, &told[0].1[..2]), (0x88, &code.to_be_bytes()[..]));
    }
}

#[test]
fn nothing_is_sent_before_the_transport_is_open_or_when_a_message_fails() {
    let mut client = Client::new(&websocket(), Serializer::MsgPack, 7, &mut Vec::new());
    assert_eq!(send(&mut client, b"early"), b"");
    let (mut client, _) = answered(&websocket(), ANSWER.as_bytes()).unwrap();
    let mut out = b"before".to_vec();
    let result = client.send(&mut out, |out| {
        out.extend_from_slice(b"half");
        Err("cannot")
    });
    assert_eq!((result, &out[..]), (Err("cannot"), &b"before"[..]));
}

/// First octets and payloads of masked frames.
fn unmask(mut frames: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut unmasked = Vec::new();
    while let [first, second, rest @ ..] = frames {
        assert_eq!(second & 0x80, 0x80);
        let (length, rest) = match second & 0x7F {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (usize::from(short), rest),
        };
        let (key, rest) = rest.split_at(4);
        let payload = rest[..length].iter().zip(key.iter().cycle()).map(|(octet, k)| octet ^ k).collect();
        unmasked.push((*first, payload));
        frames = &rest[length..];
    }
    unmasked
}
