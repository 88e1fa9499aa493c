//! The client's side: what a load generator or a test needs to reach any WAMP router.

mod response;

use wampline_wire::Serializer;

use crate::framing::append_body;
use crate::http::{HeadCollector, Progress};
use crate::random::Random;
use crate::rawsocket::{self, FRAME_HEADER_BYTES, FrameType, HANDSHAKE_BYTES};
use crate::server::{Fault, FaultKind};
use crate::websocket::{self, Accept, Side, frame, handshake};
use crate::{MESSAGE_BYTES_MAX, split_front};

/// Which transport to open.
#[derive(Clone, Debug)]
pub enum Transport {
    /// RawSocket; the router may send messages of at most 2^(9+n) octets.
    RawSocket {
        /// The LENGTH nibble.
        length: u8,
    },
    /// WebSocket at this host and path.
    WebSocket {
        /// The `Host` header.
        host: String,
        /// The request path.
        path: String,
    },
}

/// What came out of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// The handshake is over.
    Established,
    /// One whole message.
    Message(&'a mut [u8]),
    /// The router closes the transport. Its close frame has been answered; nothing more will come.
    Closed,
}

/// One connection's framing on the client's side.
#[derive(Debug)]
pub struct Client {
    serializer: Serializer,
    state: State,
    /// The longest message that the router accepts, in octets.
    peer_bytes_max: usize,
    /// Length of the last message sent, from which the length of the next header is guessed.
    last_bytes: usize,
}

#[derive(Debug)]
enum State {
    /// Within the answer to the RawSocket handshake, `have` octets of which have arrived.
    RawHandshake {
        length: u8,
        octets: [u8; HANDSHAKE_BYTES],
        have: usize,
    },
    /// Within the answer to the upgrade request.
    HttpHead {
        collector: HeadCollector,
        key: String,
        random: Random,
    },
    RawSocket(rawsocket::Decoder),
    WebSocket(websocket::Decoder),
    /// Refused or closed: what still arrives is dropped.
    Ended,
}

impl Client {
    /// Begins the handshake: what must be sent is appended to `out`. `seed` feeds the masking keys and the
    /// WebSocket nonce. A LENGTH above 15 counts as 15. Host and path are sent as they are: they must not hold
    /// white space or control characters.
    pub fn new(transport: &Transport, serializer: Serializer, seed: u64, out: &mut Vec<u8>) -> Client {
        let state = match transport {
            Transport::RawSocket { length } => {
                let length = (*length).min(15);
                out.extend_from_slice(&rawsocket::handshake(length, serializer.rawsocket_code()));
                State::RawHandshake { length, octets: [0; HANDSHAKE_BYTES], have: 0 }
            }
            Transport::WebSocket { host, path } => {
                let mut random = Random::new(seed);
                let key = handshake::key(random.nonce());
                let subprotocol = serializer.subprotocol();
                out.extend_from_slice(
                    format!(
                        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
                    )
                    .as_bytes(),
                );
                State::HttpHead { collector: HeadCollector::default(), key, random }
            }
        };
        Client { serializer, state, peer_bytes_max: MESSAGE_BYTES_MAX, last_bytes: 0 }
    }

    /// As [`crate::server::Server::receive`]; PING is answered into `out`.
    pub fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Received<'s>>, Fault> {
        if self.shake_hands(input)? {
            return Ok(Some(Received::Established));
        }
        match &mut self.state {
            State::RawSocket(decoder) => {
                let item = decoder.receive(input, out)?;
                Ok(item.map(|item| match item {
                    rawsocket::Item::InPlace(octets) => Received::Message(octets),
                    rawsocket::Item::Collected => Received::Message(decoder.collected()),
                }))
            }
            State::WebSocket(decoder) => {
                let item = loop {
                    // Nothing here pings, and an unasked-for PONG needs no answer (RFC 6455, section 5.5.3).
                    match decoder.receive(input, out)? {
                        Some(websocket::Item::Pong) => {}
                        item => break item,
                    }
                };
                Ok(item.map(|item| match item {
                    websocket::Item::InPlace { octets, .. } => Received::Message(octets),
                    websocket::Item::Collected { .. } => Received::Message(decoder.collected()),
                    websocket::Item::Closed | websocket::Item::Pong => Received::Closed,
                }))
            }
            _ => {
                *input = &mut [];
                Ok(None)
            }
        }
    }

    /// Whether the handshake is over and the transport has not been closed.
    pub fn is_open(&self) -> bool {
        match &self.state {
            State::RawSocket(decoder) => !decoder.is_ended(),
            State::WebSocket(decoder) => !decoder.is_ended(),
            _ => false,
        }
    }

    /// The longest message that the router accepts, in octets: its RawSocket LENGTH, at most 2^24-1.
    pub fn peer_bytes_max(&self) -> usize {
        self.peer_bytes_max
    }

    /// Appends one framed (and masked) message that `body` writes. When `body` fails, when the message is longer than
    /// [`Client::peer_bytes_max`], and while the transport is not open, `out` is left as it was.
    pub fn send<E>(
        &mut self,
        out: &mut Vec<u8>,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = out.len();
        let reserved = match self.state {
            State::WebSocket(_) => frame::header_bytes(self.last_bytes, true),
            _ => FRAME_HEADER_BYTES,
        };
        let length = append_body(out, reserved, body)?;
        if length > self.peer_bytes_max {
            out.truncate(start);
            return Ok(());
        }
        match &mut self.state {
            State::WebSocket(decoder) => {
                self.last_bytes = length;
                decoder.put_message(out, start, reserved, self.serializer.is_text());
            }
            State::RawSocket(_) => {
                let header = rawsocket::frame_header(FrameType::Message, length);
                out[start..start + reserved].copy_from_slice(&header);
            }
            _ => out.truncate(start),
        }
        Ok(())
    }

    /// Appends a PING: to be answered by a PONG, which is not reported.
    pub fn ping(&mut self, out: &mut Vec<u8>) {
        match &mut self.state {
            State::WebSocket(decoder) => decoder.put_ping(out),
            State::RawSocket(_) => out.extend_from_slice(&rawsocket::frame_header(FrameType::Ping, 0)),
            _ => {}
        }
    }

    /// Appends a close frame (WebSocket only).
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if let State::WebSocket(decoder) = &mut self.state {
            decoder.put_close(frame::code::NORMAL, "", out);
        }
    }

    /// Takes the handshake as far as the input reaches; returns whether this ended it.
    fn shake_hands(&mut self, input: &mut &mut [u8]) -> Result<bool, Fault> {
        let result = match &mut self.state {
            State::RawHandshake { length, octets, have } => {
                let chunk = split_front(input, HANDSHAKE_BYTES - *have);
                octets[*have..*have + chunk.len()].copy_from_slice(chunk);
                *have += chunk.len();
                if *have < HANDSHAKE_BYTES {
                    return Ok(false);
                }
                let bytes_max = rawsocket::length_bytes(*length);
                rawsocket::judge_reply(*octets, self.serializer.rawsocket_code()).map(|peer_bytes_max| {
                    self.peer_bytes_max = peer_bytes_max.min(MESSAGE_BYTES_MAX);
                    State::RawSocket(rawsocket::Decoder::new(bytes_max))
                })
            }
            State::HttpHead { collector, key, random } => match collector.look(input) {
                Progress::Partial => return Ok(false),
                Progress::TooLong => Err("the answer's HTTP head is too long"),
                Progress::EndsAt(end) => {
                    let head = collector.whole(split_front(input, end));
                    response::judge(head, key, self.serializer.subprotocol()).map(|()| {
                        let accept = if self.serializer.is_text() { Accept::Text } else { Accept::Binary };
                        let side = Side::Client(random.clone());
                        State::WebSocket(websocket::Decoder::new(side, accept, MESSAGE_BYTES_MAX))
                    })
                }
            },
            _ => return Ok(false),
        };
        match result {
            Ok(open) => {
                self.state = open;
                Ok(true)
            }
            Err(reason) => {
                self.state = State::Ended;
                *input = &mut [];
                Err(Fault { reason, kind: FaultKind::Handshake })
            }
        }
    }
}
