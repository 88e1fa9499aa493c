//! Octets that nobody meant: whatever comes, there is no panic, no buffer that outlives its use, and the same transcript
//! however they are split.

use proptest::prelude::*;
use wampline_transports::client::{Client, Transport};
use wampline_transports::server::Options;
use wampline_wire::Serializer;

use crate::client::{feed as feed_client, websocket};
use crate::transcript::{Event, REQUEST, frame, judge, options, run};

/// A session in good order over RawSocket.
fn rawsocket_session() -> Vec<u8> {
    b"\x7F\xF2\0\0\0\0\0\x03abc\x01\0\0\x02hi\0\0\x01\x2C"
        .iter()
        .copied()
        .chain([b'x'; 300])
        .chain(*b"\x02\0\0\x01p\0\0\0\0")
        .collect()
}

/// A session in good order over WebSocket.
fn websocket_session() -> Vec<u8> {
    let frames = [
        frame(0x81, b"[1,\"realm1\",{}]"),
        frame(0x01, "κόσ".as_bytes()),
        frame(0x89, b"ping"),
        frame(0x80, "με".as_bytes()),
        frame(0x81, &[b'x'; 300]),
        frame(0x8A, b""),
        frame(0x88, b"\x03\xE8bye"),
    ];
    [REQUEST.as_bytes(), &frames.concat()].concat()
}

/// Pieces of frames that are nearly right, in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![8 => proptest::sample::select(&[0x01u8, 0x81, 0x02, 0x82, 0, 0x80, 0x88, 0x89, 0x8A][..]), 1 => any::<u8>()];
    let piece = (first, proptest::collection::vec(any::<u8>(), 0..140))
        .prop_map(|(first, payload)| frame(first, &payload));
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn judged(options: &Options, stream: &[u8], size: usize) -> Result<(), TestCaseError> {
    judge(options, stream, size).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 400 }))]

    #[test]
    fn junk(stream in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
        judged(&options(), &stream, size)?;
        for start in [&b"\x7F\xF1\0\0"[..], REQUEST.as_bytes(), b"GET /ws HTTP/1.1\r\n"] {
            let stream = [start, &stream].concat();
            judged(&options(), &stream, size)?;
        }
    }

    #[test]
    fn mutated(
        web in any::<bool>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0u8..4), 1..4),
        size in 1usize..50,
    ) {
        let mut stream = if web { websocket_session() } else { rawsocket_session() };
        for (at, octet, how) in changes {
            let at = at.index(stream.len());
            match how {
                0 => stream[at] = octet,
                1 => stream.insert(at, octet),
                2 => stream.truncate(at.max(1)),
                _ => {
                    stream.remove(at);
                }
            }
            if stream.is_empty() {
                return Ok(());
            }
        }
        judged(&options(), &stream, size)?;
    }

    #[test]
    fn frames_in_any_order(soup in soup(), size in 1usize..50, echo in any::<bool>()) {
        let options = Options { echo, ..options() };
        let stream = [REQUEST.as_bytes(), &soup].concat();
        judged(&options, &stream, size)?;
    }

    #[test]
    fn a_router_that_talks_junk(web in any::<bool>(), junk in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
        let transport = if web { websocket() } else { Transport::RawSocket { length: 0 } };
        let mut out = Vec::new();
        let mut client = Client::new(&transport, Serializer::Json, 1, &mut out);
        let start: &[u8] = if web { b"HTTP/1.1 101 X\r\n" } else { b"\x7F\xF1\0\0" };
        let stream = [start, &junk].concat();
        for piece in stream.chunks(size) {
            if feed_client(&mut client, piece, &mut out).is_err() {
                prop_assert!(!web || !client.is_open());
                break;
            }
        }
    }
}

#[test]
fn the_sessions_are_in_good_order() {
    let raw = run(&options(), [&rawsocket_session()[..]]);
    assert_eq!((raw.messages().len(), raw.reason), (3, None));
    let web = run(&options(), [&websocket_session()[..]]);
    assert_eq!((web.messages().len(), web.reason, web.events.last()), (3, None, Some(&Event::Closed)));
}
