//! WebSocket frames on the server's side (RFC 6455, sections 5 to 8).

use std::time::{Duration, Instant};

use wampline_transports::server::{FaultKind, Options};

use crate::transcript::{Event, REQUEST, Transcript, feed, frame, options, run, serve, server};

fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

fn after_upgrade(frames: &[Vec<u8>]) -> Vec<u8> {
    [REQUEST.as_bytes(), &frames.concat()].concat()
}

/// A server that takes messages of both kinds.
fn echo() -> Options {
    Options { echo: true, ..options() }
}

#[track_caller]
fn exchange(options: &Options, frames: &[Vec<u8>], events: &[Event], control: &[u8]) {
    let transcript = serve(options, &after_upgrade(frames)).after_handshake();
    assert_eq!(transcript.events, events, "{:?}", transcript.reason);
    assert_eq!(transcript.control, control, "{:?}", transcript.reason);
}

/// The frames end in a fault, and the peer is told this code.
#[track_caller]
fn fails(options: &Options, frames: &[Vec<u8>], kind: FaultKind, code: u16) {
    failed(&serve(options, &after_upgrade(frames)).after_handshake(), kind, code);
}

#[track_caller]
fn failed(transcript: &Transcript, kind: FaultKind, code: u16) {
    assert_eq!(transcript.events.last(), Some(&Event::Fault(kind)));
    let reason = transcript.reason.unwrap().as_bytes();
    let payload = [&code.to_be_bytes(), reason].concat();
    let close = [&[0x88, payload.len() as u8], &payload[..]].concat();
    assert!(transcript.control.ends_with(&close), "{:x?} for {code}", transcript.control);
    assert!(payload.len() <= 125);
}

fn text(text: &str) -> Event {
    Event::Text(text.as_bytes().to_vec())
}

#[test]
fn rfc_6455_section_5_7() {
    let masked_hello = b"\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58".to_vec();
    exchange(&options(), &[masked_hello], &[text("Hello")], b"");
    let masked_pong = b"\x8A\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58".to_vec();
    exchange(&options(), &[masked_pong], &[Event::Pong], b"");
    exchange(&options(), &[frame(0x01, b"Hel"), frame(0x80, b"lo")], &[text("Hello")], b"");
    exchange(&options(), &[frame(0x89, b"Hello")], &[], b"\x8A\x05Hello");
    let lengths = [0, 125, 126, 256, 65_535, 65_536];
    for length in lengths.into_iter().filter(|length| !cfg!(miri) || *length < 1000) {
        let payload = vec![7; length];
        let stream = after_upgrade(&[frame(0x82, &payload)]);
        let transcript = run(&echo(), stream.chunks(1000)).after_handshake();
        assert_eq!(transcript.events, [Event::Binary(payload)]);
    }
}

#[test]
fn control_frames_inside_a_fragmented_message() {
    exchange(
        &options(),
        &[
            frame(0x01, b"a"),
            frame(0x89, b"1"),
            frame(0x00, b""),
            frame(0x8A, b"2"),
            frame(0x00, b"bc"),
            frame(0x89, &[b'p'; 125]),
            frame(0x80, b""),
            frame(0x81, b""),
        ],
        &[Event::Pong, text("abc"), text("")],
        &[&b"\x8A\x011\x8A\x7D"[..], &[b'p'; 125]].concat(),
    );
}

#[test]
fn broken_rules_close_with_1002() {
    let cases: [&[Vec<u8>]; 14] = [
        &[b"\x81\x05Hello".to_vec()],
        &[frame(0xC1, b"a")],
        &[frame(0xA1, b"a")],
        &[frame(0x91, b"a")],
        &[frame(0x83, b"")],
        &[frame(0x8B, b"")],
        &[frame(0x09, b"")],
        &[frame(0x08, b"")],
        &[frame(0x89, &[b'p'; 126])],
        &[frame(0x80, b"a")],
        &[frame(0x00, b"a")],
        &[frame(0x01, b"a"), frame(0x81, b"b")],
        &[b"\x81\xFE\0\x7D\0\0\0\0".to_vec()],
        &[b"\x81\xFF\x80\0\0\0\0\0\0\0\0\0\0\0".to_vec()],
    ];
    for frames in cases.into_iter().step_by(if cfg!(miri) { 4 } else { 1 }) {
        fails(&options(), frames, FaultKind::Protocol, 1002);
    }
}

#[test]
fn nothing_comes_after_a_fault() {
    let frames = [frame(0x81, b"[1]"), frame(0x83, b""), frame(0x81, b"[2]"), frame(0x89, b"")];
    let transcript = serve(&options(), &after_upgrade(&frames)).after_handshake();
    assert_eq!(transcript.events, [text("[1]"), Event::Fault(FaultKind::Protocol)]);
    failed(&transcript, FaultKind::Protocol, 1002);
}

#[test]
fn the_kind_of_message_is_agreed_on() {
    fails(&options(), &[frame(0x82, b"[]")], FaultKind::Protocol, 1003);
    fails(&options(), &[frame(0x02, b"[")], FaultKind::Protocol, 1003);
    for other in ["wamp.2.msgpack", "wamp.2.cbor"] {
        let request = REQUEST.replace("wamp.2.json", other);
        let text = [request.as_bytes(), &frame(0x81, b"[]")].concat();
        failed(&serve(&options(), &text).after_handshake(), FaultKind::Protocol, 1003);
        let binary = [request.as_bytes(), &frame(0x82, b"\x90")].concat();
        assert_eq!(serve(&options(), &binary).after_handshake().events, [Event::Binary(b"\x90".to_vec())]);
    }
    exchange(
        &echo(),
        &[frame(0x82, b"\xFF"), frame(0x81, b"a")],
        &[Event::Binary(b"\xFF".to_vec()), text("a")],
        b"",
    );
}

#[test]
fn text_must_be_utf8() {
    let text_of = |piece: &str| text(piece);
    exchange(&options(), &[frame(0x81, "κόσμε".as_bytes())], &[text_of("κόσμε")], b"");
    let (front, back) = "κόσμε".as_bytes().split_at(3);
    exchange(&options(), &[frame(0x01, front), frame(0x80, back)], &[text_of("κόσμε")], b"");
    fails(&options(), &[frame(0x81, b"\xCE")], FaultKind::Utf8, 1007);
    fails(&options(), &[frame(0x01, b"\xCE"), frame(0x80, b"")], FaultKind::Utf8, 1007);
    fails(&options(), &[frame(0x81, b"a\xED\xA0\x80b")], FaultKind::Utf8, 1007);
    exchange(&echo(), &[frame(0x82, b"\xED\xA0\x80")], &[Event::Binary(b"\xED\xA0\x80".to_vec())], b"");
}

#[test]
fn text_that_is_not_utf8_is_refused_before_its_frame_is_whole() {
    let bad = b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80edited";
    let whole = frame(0x81, bad);
    // The header has 6 octets, and octet 12 of the payload makes it impossible.
    for (end, refused) in [(6 + 12, false), (6 + 13, true)] {
        let stream = [REQUEST.as_bytes(), &whole[..end]].concat();
        assert_eq!(run(&options(), [&stream[..]]).reason.is_some(), refused);
    }
    let in_first_fragment = [REQUEST.as_bytes(), &frame(0x01, b"a\xFF")].concat();
    failed(&run(&options(), [&in_first_fragment[..]]).after_handshake(), FaultKind::Utf8, 1007);
}

#[test]
fn too_long_is_known_by_the_header() {
    let limited = Options { message_bytes_max: 70_000, ..options() };
    let header = |length: u64| [&b"\x81\xFF"[..], &length.to_be_bytes(), b"\0\0\0\0"].concat();
    for length in [70_001, 1 << 32, u64::MAX >> 1] {
        fails(&limited, &[header(length)], FaultKind::TooLong, 1009);
    }
    fails(
        &limited,
        &[frame(0x01, b"a"), frame(0x00, b"b"), {
            let mut rest = header(69_999);
            rest[0] = 0x80;
            rest
        }],
        FaultKind::TooLong,
        1009,
    );
    if cfg!(miri) {
        return; // What follows is too long for it.
    }
    let longest = [frame(0x01, &[b'a'; 35_000]), frame(0x80, &[b'b'; 35_000])];
    assert_eq!(run(&limited, [&after_upgrade(&longest)[..]]).messages()[0].len(), 70_000);
}

#[test]
fn the_limit_has_a_limit() {
    let limit = |message_bytes_max, echo| Options { message_bytes_max, echo, ..options() };
    let claim = |length: u64| [REQUEST.as_bytes(), b"\x81\xFF", &length.to_be_bytes(), b"\0\0\0\0"].concat();
    for (options, length, is_refused) in [
        (limit(usize::MAX, false), (1 << 24) - 1, false),
        (limit(usize::MAX, false), 1 << 24, true),
        (limit(1 << 24, true), 1 << 24, false),
        (limit(1 << 24, true), (1 << 24) + 1, true),
    ] {
        assert_eq!(run(&options, [&claim(length)[..]]).reason.is_some(), is_refused, "{length}");
    }
}

#[test]
fn memory_follows_what_was_received() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    const LENGTH: usize = if cfg!(miri) { 1 << 16 } else { 1 << 20 };
    let claim = [&b"\x81\xFF"[..], &(LENGTH as u64).to_be_bytes(), b"\0\0\0\0a"].concat();
    feed(&mut server, &after_upgrade(&[claim]), &mut transcript);
    assert!(server.is_mid_message());
    assert!(server.heap_bytes() <= 64, "{}", server.heap_bytes());
    feed(&mut server, &vec![b'a'; LENGTH - 1], &mut transcript);
    assert_eq!(transcript.messages()[0].len(), LENGTH);
    assert_eq!(server.heap_bytes(), 0);
}

#[test]
fn fragments_are_bounded_in_octets_not_in_number() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    feed(&mut server, &after_upgrade(&[frame(0x01, b"[")]), &mut transcript);
    let empty = frame(0x00, b"").repeat(if cfg!(miri) { 300 } else { 400_000 });
    let start = Instant::now();
    empty.chunks(65_536).for_each(|piece| feed(&mut server, piece, &mut transcript));
    // A generous guard against anything quadratic; the figure itself is for a benchmark.
    assert!(start.elapsed() < Duration::from_secs(20));
    feed(&mut server, &frame(0x80, b"]"), &mut transcript);
    assert_eq!(transcript.messages(), [b"[]"]);
}

#[test]
fn closing_handshake_by_the_peer() {
    exchange(&options(), &[frame(0x88, b"")], &[Event::Closed], b"\x88\0");
    let codes =
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    for code in codes.into_iter().step_by(if cfg!(miri) { 8 } else { 1 }) {
        let answer = [&b"\x88\x02"[..], &u16::to_be_bytes(code)].concat();
        exchange(&options(), &[close(code, "bye ünd off")], &[Event::Closed], &answer);
    }
    exchange(
        &options(),
        &[close(1000, &"r".repeat(123)), frame(0x89, b"late")],
        &[Event::Closed],
        b"\x88\x02\x03\xE8",
    );
    exchange(&options(), &[frame(0x01, b"half"), close(1000, "")], &[Event::Closed], b"\x88\x02\x03\xE8");
}

#[test]
fn malformed_close_frames() {
    fails(&options(), &[frame(0x88, b"\x03")], FaultKind::Protocol, 1002);
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
    for code in codes.into_iter().step_by(if cfg!(miri) { 6 } else { 1 }) {
        fails(&options(), &[close(code, "")], FaultKind::Protocol, 1002);
    }
    fails(&options(), &[frame(0x88, b"\x03\xE8\xFF")], FaultKind::Utf8, 1007);
    fails(&options(), &[frame(0x88, &[b'c'; 126])], FaultKind::Protocol, 1002);
}

#[test]
fn closing_handshake_by_the_server() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    assert!(!server.close(1001, "too early", &mut transcript.control));
    assert_eq!(transcript.control, b"");
    feed(&mut server, REQUEST.as_bytes(), &mut transcript);
    let mut control = Vec::new();
    assert!(server.close(1001, "going away", &mut control));
    assert_eq!(control, b"\x88\x0C\x03\xE9going away");
    assert!(server.close(1001, "again", &mut control), "the answer is still due");
    server.ping(&mut control);
    assert_eq!(control.len(), 14, "nothing follows a close frame");
    transcript = Transcript::default();
    let under_way = [frame(0x81, b"[]"), frame(0x89, b"x"), close(1001, "")].concat();
    feed(&mut server, &under_way, &mut transcript);
    assert_eq!(transcript.events, [text("[]"), Event::Closed]);
    assert_eq!(transcript.control, b"", "an answer is not answered");
    assert!(!server.close(1000, "", &mut control));
    assert_eq!(control.len(), 14);
}

#[test]
fn a_fault_after_our_close_sends_no_second_one() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    feed(&mut server, REQUEST.as_bytes(), &mut transcript);
    server.close(1001, "", &mut Vec::new());
    transcript = Transcript::default();
    feed(&mut server, &frame(0x83, b""), &mut transcript);
    assert_eq!(transcript.events, [Event::Fault(FaultKind::Protocol)]);
    assert_eq!(transcript.control, b"");
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    feed(&mut server, REQUEST.as_bytes(), &mut transcript);
    let mut control = Vec::new();
    server.close(1011, &"é".repeat(100), &mut control);
    assert_eq!(control[..4], [0x88, 124, 0x03, 0xF3]);
    assert_eq!(std::str::from_utf8(&control[4..]), Ok(&*"é".repeat(61)));
}

#[test]
fn the_server_pings() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    let mut control = Vec::new();
    server.ping(&mut control);
    assert_eq!(control, b"", "not before the handshake");
    feed(&mut server, REQUEST.as_bytes(), &mut transcript);
    server.ping(&mut control);
    assert_eq!(control, b"\x89\0");
    transcript = Transcript::default();
    feed(&mut server, &frame(0x8A, b""), &mut transcript);
    assert_eq!(transcript.events, [Event::Pong]);
}

#[test]
fn mid_message() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    let mut fed = |octets: &[u8]| {
        feed(&mut server, octets, &mut transcript);
        server.is_mid_message()
    };
    assert!(fed(b"GET /ws"));
    assert!(!fed(&REQUEST.as_bytes()[7..]));
    assert!(fed(&frame(0x01, b"[")));
    assert!(fed(&frame(0x89, b"")));
    assert!(!fed(&frame(0x80, b"]")));
    assert!(fed(&frame(0x81, b"[]")[..1]));
    assert!(!fed(&frame(0x81, b"[]")[1..]));
    assert!(!fed(&close(1000, "")));
}

#[test]
fn no_room_after_all() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    feed(&mut server, REQUEST.as_bytes(), &mut transcript);
    let mut control = Vec::new();
    server.refuse_busy(&mut control);
    assert_eq!(control[2..4], 1013u16.to_be_bytes());
}
