//! The server's side of a connection, from the first octet: RawSocket or HTTP is told apart, the handshake
//! answered, messages cut out of the stream.
//!
//! ```text
//!   Sniff -- 0x7F --> RawHandshake -- 4 octets --> RawSocket
//!         -- else --> HttpHead -- upgraded ------> WebSocket
//!                              -- cookie? --> Granted --> WebSocket
//!   any refusal, fault or closing handshake -----> Ended
//! ```
//!
//! TLS is not told apart here: it is a property of the listener and lies outside ([`crate::tls`]).

mod cookie;
mod origins;
mod upgrade;

use std::sync::Arc;

use wampline_wire::Serializer;

pub use self::cookie::{COOKIE_BYTES, Cookie, CookieError, CookieOptions, SameSite};
pub use self::origins::Origins;
use crate::http::{HeadCollector, Progress, Refusal};
use crate::rawsocket::{self, HANDSHAKE_BYTES};
use crate::websocket::{self, Accept, Side};
use crate::{Framing, MESSAGE_BYTES_MAX, split_front};

/// What a listener offers and how much it accepts.
#[derive(Clone, Debug)]
pub struct Options {
    /// RawSocket is answered.
    pub rawsocket: bool,
    /// WebSocket is answered.
    pub websocket: bool,
    /// The serializers on offer.
    pub serializers: Vec<Serializer>,
    /// Paths at which a WebSocket upgrade is accepted; anything else gets 404.
    pub paths: Vec<String>,
    /// Which web pages may connect.
    pub origins: Origins,
    /// Taken for a client that offers no subprotocol; `None` refuses it with 400.
    pub assume_subprotocol: Option<Serializer>,
    /// No WAMP: an upgrade needs no subprotocol and whole messages of either kind are handed over (conformance echo).
    pub echo: bool,
    /// A cookie that WebSocket clients are given and asked for.
    pub cookie: Option<CookieOptions>,
    /// The longest message accepted, in octets, at most 2^24-1 (more is taken for that, except in echo mode). Announced
    /// as 2^24 in the RawSocket handshake whatever it is, because some clients refuse anything else, and enforced here.
    pub message_bytes_max: usize,
}

/// What the peers have agreed on when the handshake is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// How messages to this peer are framed.
    pub framing: Framing,
    /// The serializer of this connection. In echo mode `Json` and of no consequence.
    pub serializer: Serializer,
    /// The longest message that the peer accepts, in octets: its RawSocket LENGTH, at most 2^24-1. In echo mode what this
    /// side accepts.
    pub peer_bytes_max: usize,
}

/// What came out of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A WebSocket is about to be granted where [`Options::cookie`] is set. `brought`: the cookie that the request came with, if it
    /// could be ours. [`Server::set_cookie`] now gives it another; without that the browser keeps the one that it has. The answer
    /// is written by the next [`Server::receive`], which takes no input.
    Cookie {
        /// Its value.
        brought: Option<&'a str>,
    },
    /// The handshake is over; its answer has been written.
    Established(Established),
    /// One whole message. For WebSocket the kind (text or binary) agreed with the serializer and text was
    /// valid UTF-8; in echo mode `text` tells which it was. For RawSocket `text` follows the serializer and nothing
    /// is known about UTF-8.
    Message {
        /// The message, unframed and unmasked.
        octets: &'a mut [u8],
        /// It came as text.
        text: bool,
    },
    /// The peer answered a ping (WebSocket only).
    Pong,
    /// The peer closes: its closing handshake has been answered, nothing more will come; flush, then close.
    Closed,
}

/// The peer broke the rules of the transport, or was refused. What it must be told has been written to
/// `control`; nothing more is read; flush, then close. For a WebSocket that includes the close frame, after which nothing
/// may be sent: a session's ABORT goes in front of what this call has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// For the log: what was wrong.
    pub reason: &'static str,
    /// The session (if there is one) should be told ABORT first, for the peer still reads WAMP.
    pub kind: FaultKind,
}

/// What kind of fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Refused or malformed before the handshake was over.
    Handshake,
    /// A frame that the transport's rules forbid.
    Protocol,
    /// A message longer than this side accepts.
    TooLong,
    /// Text that is not UTF-8.
    Utf8,
}

/// One connection's framing, from its first octet to its last.
#[derive(Debug)]
pub struct Server {
    options: Arc<Options>,
    state: State,
    established: Option<Established>,
    cookie: Option<Box<Cookie>>,
}

#[derive(Debug)]
enum State {
    /// Nothing has been received. `is_refused`: whatever comes will be told that there is no room.
    Sniff {
        is_refused: bool,
    },
    /// Within the RawSocket handshake, `have` octets of which have arrived.
    RawHandshake {
        octets: [u8; HANDSHAKE_BYTES],
        have: usize,
    },
    /// Within the head of an HTTP request.
    HttpHead(HeadCollector),
    /// The request is granted and not answered: the caller may still set a cookie.
    Granted(Box<upgrade::Granted>),
    RawSocket(rawsocket::Decoder),
    WebSocket(websocket::Decoder),
    /// Refused or closed: what still arrives is dropped.
    Ended,
}

impl Server {
    /// A connection that has sent nothing yet.
    pub fn new(options: Arc<Options>) -> Server {
        Server { options, state: State::Sniff { is_refused: false }, established: None, cookie: None }
    }

    /// Consumes octets from the front of `input` until something came out of the stream (then the rest stays in
    /// `input` and the caller calls again) or until none are left (`None`). Payload is unmasked in place; a message
    /// that lies in `input` whole is handed over from there, one that does not is collected in a block of its own,
    /// which grows with the octets received and not with the length claimed. What must go back to the peer at once
    /// (handshake answer, PONG, close frame) is appended to `control`; it is never longer than the input by more than
    /// one handshake answer or close frame.
    ///
    /// After [`Received::Closed`] and after a [`Fault`] whatever comes is dropped and the result is `None`. The block
    /// of a message is freed by the next call.
    pub fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        control: &mut Vec<u8>,
    ) -> Result<Option<Received<'s>>, Fault> {
        match self.state {
            State::RawSocket(ref mut decoder) => {
                let text = self.established.is_some_and(|e| e.serializer.is_text());
                let item = decoder.receive(input, control)?;
                Ok(item.map(|item| match item {
                    rawsocket::Item::InPlace(octets) => Received::Message { octets, text },
                    rawsocket::Item::Collected => Received::Message { octets: decoder.collected(), text },
                }))
            }
            State::WebSocket(ref mut decoder) => {
                let item = decoder.receive(input, control)?;
                Ok(item.map(|item| match item {
                    websocket::Item::InPlace { octets, text } => Received::Message { octets, text },
                    websocket::Item::Collected { text } => {
                        Received::Message { octets: decoder.collected(), text }
                    }
                    websocket::Item::Pong => Received::Pong,
                    websocket::Item::Closed => Received::Closed,
                }))
            }
            State::Ended => {
                *input = &mut [];
                Ok(None)
            }
            State::Granted(ref granted) => {
                let established = self.upgrade(&granted.clone(), control);
                Ok(Some(Received::Established(established)))
            }
            _ => match self.shake_hands(input, control)? {
                Some(established) => Ok(Some(Received::Established(established))),
                None if matches!(self.state, State::Granted(_)) => Ok(Some(Received::Cookie {
                    brought: self.cookie.as_deref().map(|cookie| &*cookie.value),
                })),
                None => Ok(None),
            },
        }
    }

    /// Gives the browser a new cookie, made of these random octets, in the answer that is due: only between
    /// [`Received::Cookie`] and the next [`Server::receive`], and of no effect at any other time.
    pub fn set_cookie(&mut self, random: [u8; COOKIE_BYTES]) {
        if let State::Granted(_) = self.state {
            self.cookie = Some(Box::new(Cookie::fresh(random)));
        }
    }

    /// The connection's cookie, once; `None` if it has none, and where the listener has none.
    pub fn take_cookie(&mut self) -> Option<Box<Cookie>> {
        self.cookie.take()
    }

    /// What was agreed on, once the handshake is over.
    pub fn established(&self) -> Option<Established> {
        self.established
    }

    /// Whether the connection is in the middle of a message or of its handshake, for which the peer has yet to send
    /// something. False once it has been refused or closed.
    pub fn is_mid_message(&self) -> bool {
        match &self.state {
            State::Sniff { .. } | State::RawHandshake { .. } | State::HttpHead(_) | State::Granted(_) => true,
            State::RawSocket(decoder) => decoder.is_mid_message(),
            State::WebSocket(decoder) => decoder.is_mid_message(),
            State::Ended => false,
        }
    }

    /// Appends a PING (WebSocket only; nothing for RawSocket).
    pub fn ping(&mut self, control: &mut Vec<u8>) {
        if let State::WebSocket(decoder) = &mut self.state {
            decoder.put_ping(control);
        }
    }

    /// Begins the closing handshake: appends a WebSocket close frame with `code` (nothing for RawSocket, nor when one
    /// was already sent). Returns whether the peer is expected to answer. A reason longer than 123 octets is cut.
    /// Messages that were under way are still handed over until [`Received::Closed`].
    pub fn close(&mut self, code: u16, reason: &str, control: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::WebSocket(decoder) => decoder.put_close(code, reason, control),
            _ => false,
        }
    }

    /// Refuses a connection for a passing reason (limits): RawSocket error 4, HTTP 503, or for a WebSocket that has
    /// just been established a close with 1013. If nothing has been received yet the answer is written, and a
    /// [`Fault`] returned, by the [`Server::receive`] that gets the first octet and so knows the transport; otherwise
    /// it is written now and nothing more is read.
    pub fn refuse_busy(&mut self, control: &mut Vec<u8>) {
        match &mut self.state {
            State::Sniff { is_refused } => {
                *is_refused = true;
                return;
            }
            State::RawHandshake { .. } => {
                control.extend_from_slice(&rawsocket::Refusal::TooManyConnections.reply());
            }
            State::HttpHead(_) | State::Granted(_) => upgrade::busy().write(control),
            State::WebSocket(decoder) => {
                let code = websocket::frame::code::TRY_AGAIN_LATER;
                decoder.put_close(code, "no room for another connection", control);
            }
            State::RawSocket(_) | State::Ended => {}
        }
        self.state = State::Ended;
    }

    /// Heap octets held for this connection.
    pub fn heap_bytes(&self) -> usize {
        match &self.state {
            State::HttpHead(collector) => collector.heap_bytes(),
            State::Granted(_) => size_of::<upgrade::Granted>(),
            State::RawSocket(decoder) => decoder.heap_bytes(),
            State::WebSocket(decoder) => decoder.heap_bytes(),
            State::Sniff { .. } | State::RawHandshake { .. } | State::Ended => 0,
        }
    }

    /// Takes the handshake as far as the input reaches. `None`: its end has not arrived, it came to nothing before, or it is granted
    /// and the caller is to be asked for a cookie.
    fn shake_hands(
        &mut self,
        input: &mut &mut [u8],
        control: &mut Vec<u8>,
    ) -> Result<Option<Established>, Fault> {
        let result = match &mut self.state {
            _ if input.is_empty() => return Ok(None),
            State::Sniff { is_refused } => {
                let is_refused = *is_refused;
                self.state = match input[0] {
                    rawsocket::MAGIC => State::RawHandshake { octets: [0; HANDSHAKE_BYTES], have: 0 },
                    _ => State::HttpHead(HeadCollector::default()),
                };
                match self.sniffed(is_refused, input[0], control) {
                    Ok(()) => return self.shake_hands(input, control),
                    Err(reason) => Err(reason),
                }
            }
            State::RawHandshake { octets, have } => {
                let chunk = split_front(input, HANDSHAKE_BYTES - *have);
                octets[*have..*have + chunk.len()].copy_from_slice(chunk);
                *have += chunk.len();
                if *have < HANDSHAKE_BYTES {
                    return Ok(None);
                }
                let octets = *octets;
                self.answer_rawsocket(octets, control)
            }
            State::HttpHead(collector) => match collector.look(input) {
                Progress::Partial => {
                    *input = &mut [];
                    return Ok(None);
                }
                Progress::TooLong => Err(refuse(&upgrade::too_long(), control)),
                Progress::EndsAt(end) => {
                    match upgrade::judge(collector.whole(split_front(input, end)), &self.options) {
                        Err(refusal) => Err(refuse(&refusal, control)),
                        Ok((granted, cookie)) if self.options.cookie.is_some() => {
                            self.cookie = cookie.map(|value| Box::new(Cookie { value, is_fresh: false }));
                            self.state = State::Granted(Box::new(granted));
                            return Ok(None);
                        }
                        Ok((granted, _)) => return Ok(Some(self.upgrade(&granted, control))),
                    }
                }
            },
            State::Granted(_) | State::RawSocket(_) | State::WebSocket(_) | State::Ended => return Ok(None),
        };
        match result {
            Ok(established) => {
                self.established = Some(established);
                Ok(Some(established))
            }
            Err(reason) => {
                self.state = State::Ended;
                *input = &mut [];
                Err(Fault { reason, kind: FaultKind::Handshake })
            }
        }
    }

    /// What the first octet alone decides.
    fn sniffed(&mut self, is_refused: bool, first: u8, control: &mut Vec<u8>) -> Result<(), &'static str> {
        /// The content type of a handshake record (RFC 8446, section 5.1).
        const TLS_HANDSHAKE: u8 = 22;
        let is_rawsocket = first == rawsocket::MAGIC;
        if is_refused {
            self.refuse_busy(control);
            return Err("refused for want of room");
        }
        if is_rawsocket && !self.options.rawsocket {
            return Err("RawSocket is not offered here");
        }
        if first == TLS_HANDSHAKE {
            return Err("TLS on a listener without TLS");
        }
        // A request begins with its method (RFC 9110, section 9.1), and no method begins with anything but a letter.
        if !is_rawsocket && !first.is_ascii_alphabetic() {
            return Err(refuse(&upgrade::malformed(), control));
        }
        Ok(())
    }

    fn answer_rawsocket(
        &mut self,
        octets: [u8; HANDSHAKE_BYTES],
        control: &mut Vec<u8>,
    ) -> Result<Established, &'static str> {
        /// LENGTH is answered with 2^24 whatever the limit is: some clients refuse a reply that is not their own request.
        const LENGTH: u8 = 0x0F;
        let [_, agreement, reserved @ ..] = octets;
        let (length, code) = (agreement >> 4, agreement & 0x0F);
        let mut refuse = |refusal: rawsocket::Refusal, reason| {
            control.extend_from_slice(&refusal.reply());
            Err(reason)
        };
        if code == 0 {
            return Err("RawSocket handshake with serializer 0");
        }
        if reserved != [0, 0] {
            return refuse(rawsocket::Refusal::ReservedBits, "RawSocket handshake with reserved bits");
        }
        let Some(serializer) =
            Serializer::from_rawsocket_code(code).filter(|s| self.options.serializers.contains(s))
        else {
            return refuse(
                rawsocket::Refusal::SerializerUnsupported,
                "RawSocket serializer is not offered here",
            );
        };
        control.extend_from_slice(&rawsocket::handshake(LENGTH, code));
        self.state = State::RawSocket(rawsocket::Decoder::new(self.bytes_max()));
        let peer_bytes_max = rawsocket::length_bytes(length).min(MESSAGE_BYTES_MAX);
        Ok(Established { framing: Framing::RawSocket, serializer, peer_bytes_max })
    }

    /// Answers a request that is granted.
    fn upgrade(&mut self, granted: &upgrade::Granted, control: &mut Vec<u8>) -> Established {
        granted.write(control, |out| match (&self.options.cookie, &self.cookie) {
            (Some(options), Some(cookie)) if cookie.is_fresh => options.write(&cookie.value, out),
            _ => {}
        });
        let serializer = granted.serializer;
        let accept = match serializer.is_text() {
            _ if self.options.echo => Accept::Either,
            true => Accept::Text,
            false => Accept::Binary,
        };
        self.state = State::WebSocket(websocket::Decoder::new(Side::Server, accept, self.bytes_max()));
        let peer_bytes_max = if self.options.echo { self.bytes_max() } else { MESSAGE_BYTES_MAX };
        let established = Established { framing: Framing::WebSocket, serializer, peer_bytes_max };
        self.established = Some(established);
        established
    }

    fn bytes_max(&self) -> usize {
        let bytes_max = self.options.message_bytes_max;
        if self.options.echo { bytes_max } else { bytes_max.min(MESSAGE_BYTES_MAX) }
    }
}

/// Appends the refusal; returns what the log says about it.
fn refuse(refusal: &Refusal, control: &mut Vec<u8>) -> &'static str {
    refusal.write(control);
    refusal.reason
}
