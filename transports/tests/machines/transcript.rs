//! Runs a server over octets and writes down what came out.

use std::sync::Arc;
use std::time::Duration;

use wampline_transports::Framing;
use wampline_transports::server::{
    COOKIE_BYTES, CookieOptions, Established, Fault, FaultKind, Options, Origins, Received, SameSite, Server,
};
use wampline_wire::Serializer;

/// What came out of a stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// With what the request brought.
    Cookie(Option<String>),
    Established(Established),
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong,
    Closed,
    Fault(FaultKind),
}

/// Everything that a server did with a stream.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Transcript {
    pub(crate) events: Vec<Event>,
    /// What the peer was told.
    pub(crate) control: Vec<u8>,
    /// The reason of the fault, if there was one.
    pub(crate) reason: Option<&'static str>,
}

impl Transcript {
    /// The messages, whatever their kind.
    pub(crate) fn messages(&self) -> Vec<&[u8]> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Text(octets) | Event::Binary(octets) => Some(&octets[..]),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn control_text(&self) -> &str {
        std::str::from_utf8(&self.control).unwrap()
    }

    /// The transcript of what follows the handshake: without the event and the octets of the handshake.
    pub(crate) fn after_handshake(mut self) -> Transcript {
        if let Event::Cookie(_) = self.events[0] {
            self.events.remove(0);
        }
        assert!(matches!(self.events.remove(0), Event::Established(_)));
        let end = match self.control[0] {
            0x7F => 4,
            _ => self.control.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4,
        };
        self.control.drain(..end);
        self
    }
}

/// Everything on offer, with short limits.
pub(crate) fn options() -> Options {
    Options {
        rawsocket: true,
        websocket: true,
        serializers: Serializer::ALL.to_vec(),
        paths: vec!["/ws".to_owned(), "/".to_owned()],
        origins: Origins::SameHostOrLoopback,
        assume_subprotocol: None,
        echo: false,
        cookie: None,
        message_bytes_max: 1 << 20,
    }
}

/// A cookie for a listener to give.
pub(crate) fn cookie() -> CookieOptions {
    CookieOptions::new("sid", Duration::from_secs(3600), SameSite::Lax, true).unwrap()
}

pub(crate) fn server(options: &Options) -> Server {
    Server::new(Arc::new(options.clone()))
}

/// A cookie that is known; any other is answered with a new one.
pub(crate) const KNOWN: &str = "known";

/// What a new one is made of.
pub(crate) const RANDOM: [u8; COOKIE_BYTES] = [0; COOKIE_BYTES];

/// Hands octets to a server until it has used them all up.
pub(crate) fn feed(server: &mut Server, octets: &[u8], transcript: &mut Transcript) {
    let mut buffer = octets.to_vec();
    let mut input = &mut buffer[..];
    loop {
        let event = match server.receive(&mut input, &mut transcript.control) {
            Ok(None) => break,
            Ok(Some(Received::Cookie { brought })) => {
                let brought = brought.map(str::to_owned);
                if brought.as_deref() != Some(KNOWN) {
                    server.set_cookie(RANDOM);
                }
                Event::Cookie(brought)
            }
            Ok(Some(Received::Established(established))) => Event::Established(established),
            Ok(Some(Received::Message { octets, text: true })) => Event::Text(octets.to_vec()),
            Ok(Some(Received::Message { octets, text: false })) => Event::Binary(octets.to_vec()),
            Ok(Some(Received::Pong)) => Event::Pong,
            Ok(Some(Received::Closed)) => Event::Closed,
            Err(Fault { reason, kind }) => {
                transcript.reason = Some(reason);
                Event::Fault(kind)
            }
        };
        transcript.events.push(event);
    }
    assert!(input.is_empty(), "None means that the input is used up");
    assert!(server.is_mid_message() || server.heap_bytes() == 0, "a buffer is held between messages");
}

/// What a server does with a stream that arrives in these pieces.
pub(crate) fn run<'a>(options: &Options, pieces: impl IntoIterator<Item = &'a [u8]>) -> Transcript {
    let (mut server, mut transcript) = (server(options), Transcript::default());
    pieces.into_iter().for_each(|piece| feed(&mut server, piece, &mut transcript));
    transcript
}

/// What a server does with a stream, which must not depend on how it is split: whole, octet by octet, cut in two at
/// every place, and in pieces of every small size.
pub(crate) fn serve(options: &Options, stream: &[u8]) -> Transcript {
    let whole = run(options, [stream]);
    // Miri tries few of them.
    let (sizes, step) = if cfg!(miri) { (7..=7, 173) } else { (1..=17, 1) };
    for size in sizes {
        assert_eq!(run(options, stream.chunks(size)), whole, "in pieces of {size}");
    }
    for cut in (1..stream.len()).step_by(step) {
        let (front, back) = stream.split_at(cut);
        assert_eq!(run(options, [front, back]), whole, "cut at {cut}");
    }
    whole
}

/// Whether a stream is dealt with as any stream must be: the same way whole and in pieces of `size` octets, and with no more
/// said to the peer than it deserves.
pub(crate) fn judge(options: &Options, stream: &[u8], size: usize) -> Result<(), String> {
    let whole = run(options, [stream]);
    let split = run(options, stream.chunks(size));
    if split != whole {
        return Err(format!("{split:?} in pieces of {size}, whole {whole:?}"));
    }
    let is_websocket = whole.events.iter().any(
        |event| matches!(event, Event::Established(Established { framing, .. }) if *framing == Framing::WebSocket),
    );
    for event in &whole.events {
        match event {
            Event::Text(octets) | Event::Binary(octets) if octets.len() > options.message_bytes_max => {
                return Err(format!("a message of {} octets was accepted", octets.len()));
            }
            Event::Text(octets) if is_websocket && std::str::from_utf8(octets).is_err() => {
                return Err(format!("text that is not UTF-8 was accepted: {octets:02x?}"));
            }
            _ => {}
        }
    }
    let Transcript { events, control, .. } = whole;
    if control.len() > stream.len() + 600 {
        return Err(format!("{} octets said to {}", control.len(), stream.len()));
    }
    match events.iter().position(|event| matches!(event, Event::Fault(_) | Event::Closed)) {
        Some(at) if at + 1 < events.len() => Err(format!("something came after the end: {events:?}")),
        _ => Ok(()),
    }
}

/// The request of RFC 6455, section 1.3, for WAMP.
pub(crate) const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: router.example:8080\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n";

/// A frame as a client sends it: first octet and payload, masked with a key that shows mistakes.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            frame.push(0xFE);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0xFF);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = [0x37, 0xFA, 0x21, 0x3D];
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(octet, k)| octet ^ k));
    frame
}
