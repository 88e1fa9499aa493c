//! RawSocket on the server's side (advanced profile, "RawSocket Transport").

use wampline_transports::Framing;
use wampline_transports::server::{Established, FaultKind, Options};
use wampline_wire::Serializer;

use crate::transcript::{Event, Transcript, feed, options, run, serve, server};

/// A client's handshake for MessagePack, followed by these octets.
fn after_handshake(stream: &[u8]) -> Vec<u8> {
    [b"\x7F\xF2\0\0", stream].concat()
}

fn refused(stream: &[u8], reply: &[u8], reason: &str) {
    let transcript = serve(&options(), stream);
    assert_eq!(transcript.events, [Event::Fault(FaultKind::Handshake)]);
    assert_eq!((&transcript.control[..], transcript.reason), (reply, Some(reason)));
}

#[test]
fn every_agreement() {
    for serializer in Serializer::ALL {
        for length in 0..16 {
            let request = [0x7F, length << 4 | serializer.rawsocket_code(), 0, 0];
            let transcript = serve(&options(), &request);
            let peer_bytes_max = (1usize << (9 + length)).min((1 << 24) - 1);
            let established = Established { framing: Framing::RawSocket, serializer, peer_bytes_max };
            assert_eq!(transcript.events, [Event::Established(established)]);
            assert_eq!(transcript.control, [0x7F, 0xF0 | serializer.rawsocket_code(), 0, 0]);
        }
    }
}

#[test]
fn refusals() {
    refused(b"\x7F\xF0\0\0", b"", "RawSocket handshake with serializer 0");
    for code in 4..16 {
        refused(&[0x7F, 0xF0 | code, 0, 0], b"\x7F\x10\0\0", "RawSocket serializer is not offered here");
    }
    refused(b"\x7F\xF1\x01\0", b"\x7F\x30\0\0", "RawSocket handshake with reserved bits");
    refused(b"\x7F\xF1\0\x80more", b"\x7F\x30\0\0", "RawSocket handshake with reserved bits");
    let json_only = Options { serializers: vec![Serializer::Json], ..options() };
    assert_eq!(serve(&json_only, b"\x7F\xF2\0\0").control, b"\x7F\x10\0\0");
    let off = Options { rawsocket: false, ..options() };
    let transcript = serve(&off, b"\x7F\xF1\0\0");
    assert_eq!(
        (&transcript.control[..], transcript.reason),
        (&b""[..], Some("RawSocket is not offered here"))
    );
}

#[test]
fn no_room() {
    let mut transcript = Transcript::default();
    let mut early = server(&options());
    early.refuse_busy(&mut transcript.control);
    assert_eq!(transcript.control, b"");
    feed(&mut early, b"\x7F", &mut transcript);
    assert_eq!(transcript.events, [Event::Fault(FaultKind::Handshake)]);
    assert_eq!(transcript.control, b"\x7F\x40\0\0");

    let mut transcript = Transcript::default();
    let mut late = server(&options());
    feed(&mut late, b"\x7F\xF1", &mut transcript);
    late.refuse_busy(&mut transcript.control);
    feed(&mut late, b"\0\0", &mut transcript);
    assert_eq!((&transcript.events[..], &transcript.control[..]), (&[][..], &b"\x7F\x40\0\0"[..]));
}

#[test]
fn messages() {
    let stream = after_handshake(b"\0\0\0\x01a\0\0\0\0\0\0\0\x03bcd");
    let transcript = serve(&options(), &stream).after_handshake();
    assert_eq!(transcript.messages(), [&b"a"[..], b"", b"bcd"]);
    assert_eq!(transcript.control, b"");
}

#[test]
fn text_follows_the_serializer() {
    let transcript = serve(&options(), b"\x7F\xF1\0\0\0\0\0\x02[]").after_handshake();
    assert_eq!(transcript.events, [Event::Text(b"[]".to_vec())]);
}

#[test]
fn pings_are_answered_and_pongs_skipped() {
    let stream = after_handshake(b"\x01\0\0\x05hello\x02\0\0\x03abc\x01\0\0\0\0\0\0\x01x");
    let transcript = serve(&options(), &stream).after_handshake();
    assert_eq!(transcript.control, b"\x02\0\0\x05hello\x02\0\0\0");
    assert_eq!(transcript.messages(), [b"x"]);
}

#[test]
fn forbidden_frames() {
    for (header, reason) in [
        (b"\x10\0\0\0", "reserved bits are set in a frame"),
        (b"\x80\0\0\0", "reserved bits are set in a frame"),
        (b"\x03\0\0\0", "reserved frame type"),
        (b"\x07\0\0\0", "reserved frame type"),
        (b"\x08\0\0\x01", "a frame's 25th length bit is set beside others"),
        (b"\x09\x80\0\0", "a frame's 25th length bit is set beside others"),
    ] {
        let stream = after_handshake(&[&b"\0\0\0\x01a"[..], header, b"\0\0\0\x01b"].concat());
        let transcript = serve(&options(), &stream).after_handshake();
        assert_eq!(transcript.events, [Event::Binary(b"a".to_vec()), Event::Fault(FaultKind::Protocol)]);
        assert_eq!((&transcript.control[..], transcript.reason), (&b""[..], Some(reason)));
    }
}

#[test]
fn too_long_is_known_by_the_header() {
    let limited = |message_bytes_max| Options { message_bytes_max, ..options() };
    for (bytes_max, header) in [
        (99, b"\0\0\0\x64"),
        (99, b"\x01\0\0\x64"),
        (99, b"\x02\0\0\x64"),
        ((1 << 24) - 2, b"\0\xFF\xFF\xFF"),
        ((1 << 24) - 1, b"\x08\0\0\0"),
        (usize::MAX, b"\x08\0\0\0"),
    ] {
        let transcript = serve(&limited(bytes_max), &after_handshake(header)).after_handshake();
        assert_eq!(transcript.events, [Event::Fault(FaultKind::TooLong)], "{header:x?} at {bytes_max}");
    }
    let transcript = run(&limited(100), [&after_handshake(b"\0\0\0\x64")[..], &[b'a'; 100]]);
    assert_eq!(transcript.after_handshake().messages(), [[b'a'; 100]]);
}

#[test]
fn memory_follows_what_was_received() {
    let mut server = server(&Options { message_bytes_max: (1 << 24) - 1, ..options() });
    let mut transcript = Transcript::default();
    feed(&mut server, &after_handshake(b"\0\xFF\xFF\xFFa"), &mut transcript);
    assert!(server.is_mid_message());
    assert!(server.heap_bytes() <= 64, "{}", server.heap_bytes());
    let mut received = 1;
    for _ in 0..200 {
        feed(&mut server, &[b'a'; 5000], &mut transcript);
        received += 5000;
        assert!(server.heap_bytes() <= 4 * received, "{} for {received}", server.heap_bytes());
    }
    feed(&mut server, &vec![b'a'; (1 << 24) - 1 - received], &mut transcript);
    assert_eq!(transcript.messages()[0].len(), (1 << 24) - 1);
    assert_eq!(server.heap_bytes(), 0);
}

#[test]
fn mid_message() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    let mut fed = |octets: &[u8]| {
        feed(&mut server, octets, &mut transcript);
        server.is_mid_message()
    };
    assert!(fed(b""), "the handshake is owed");
    assert!(fed(b"\x7F\xF1"));
    assert!(!fed(b"\0\0"));
    assert!(fed(b"\0\0"));
    assert!(fed(b"\0\x02a"));
    assert!(!fed(b"b"));
    assert!(!fed(b"\x50\0\0\0"));
}

#[test]
fn nothing_is_said_on_the_server_s_own_account() {
    let (mut server, mut transcript) = (server(&options()), Transcript::default());
    feed(&mut server, b"\x7F\xF1\0\0", &mut transcript);
    let mut control = Vec::new();
    server.ping(&mut control);
    assert!(!server.close(1001, "going away", &mut control));
    assert_eq!(control, b"");
}
