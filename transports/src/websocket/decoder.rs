//! Frames in, messages out, control frames answered (RFC 6455, sections 5.4, 5.5, 7 and 8).
//!
//! ```text
//!           header whole                        last octet of payload
//!   Header --------------> Payload(data) ----------------------------> Header   (a message if FIN)
//!          --------------> Payload(control) -------------------------> Header   (PING answered, PONG reported)
//!                                                  CLOSE answered ---> Ended
//!   any broken rule: CLOSE written ----------------------------------> Ended
//! ```
//!
//! A data frame that is a whole message and lies whole in the input, and a control frame that does, never become a
//! state of their own: they are dealt with where they lie.

use std::mem;

use super::frame::{self, CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Head, Opcode, code};
use super::text::{NotUtf8, Text};
use crate::block::Block;
use crate::mask;
use crate::random::Random;
use crate::server::{Fault, FaultKind};
use crate::split_front;

/// Which side of the connection this is: a client masks what it sends, a server does not.
#[derive(Debug)]
pub(crate) enum Side {
    Server,
    Client(Random),
}

/// Which kinds of message are agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    Text,
    Binary,
    Either,
}

/// What came out of the stream.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A whole message that lay in the input.
    InPlace { octets: &'a mut [u8], text: bool },
    /// A whole message, to be fetched with [`Decoder::collected`].
    Collected { text: bool },
    /// The peer's PONG.
    Pong,
    /// The peer's CLOSE; answered if it was not itself the answer.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Decoder {
    side: Side,
    accept: Accept,
    bytes_max: usize,
    state: State,
    /// The message whose frames are under way.
    message: Option<Message>,
    /// Payload of that message so far.
    block: Block,
    /// Payload of a control frame that did not lie whole in the input.
    control: Vec<u8>,
    close_sent: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between frames, or within a header of which `have` octets have arrived.
    Header { octets: [u8; HEADER_BYTES_MAX], have: u8 },
    /// Within the payload of a frame, `taken` octets of which have arrived.
    Payload { head: Head, taken: usize },
    /// Closed by either side.
    Ended,
}

const BETWEEN_FRAMES: State = State::Header { octets: [0; HEADER_BYTES_MAX], have: 0 };

#[derive(Clone, Copy, Debug)]
struct Message {
    is_text: bool,
    text: Text,
}

/// A rule that was broken, and the status code that says so.
#[derive(Debug)]
struct Violation {
    code: u16,
    kind: FaultKind,
    reason: &'static str,
}

impl Violation {
    const NOT_UTF8: Violation =
        Violation { code: code::INVALID_PAYLOAD, kind: FaultKind::Utf8, reason: "text is not UTF-8" };

    const TOO_LONG: Violation = Violation {
        code: code::TOO_BIG,
        kind: FaultKind::TooLong,
        reason: "message is longer than this side accepts",
    };

    fn protocol(reason: &'static str) -> Violation {
        Violation { code: code::PROTOCOL_ERROR, kind: FaultKind::Protocol, reason }
    }

    fn wrong_kind(reason: &'static str) -> Violation {
        Violation { code: code::UNSUPPORTED_DATA, kind: FaultKind::Protocol, reason }
    }
}

impl From<NotUtf8> for Violation {
    fn from(_: NotUtf8) -> Violation {
        Violation::NOT_UTF8
    }
}

impl Decoder {
    pub(crate) fn new(side: Side, accept: Accept, bytes_max: usize) -> Decoder {
        Decoder {
            side,
            accept,
            bytes_max,
            state: BETWEEN_FRAMES,
            message: None,
            block: Block::default(),
            control: Vec::new(),
            close_sent: false,
        }
    }

    /// See [`crate::server::Server::receive`].
    #[inline]
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'a>>, Fault> {
        self.block.release();
        self.advance(input, out).map_err(|violation| {
            *input = &mut [];
            self.fail(&violation, out)
        })
    }

    /// The message that [`Item::Collected`] announced.
    pub(crate) fn collected(&mut self) -> &mut [u8] {
        self.block.lend()
    }

    pub(crate) fn is_mid_message(&self) -> bool {
        self.message.is_some()
            || match self.state {
                State::Header { have, .. } => have > 0,
                State::Payload { .. } => true,
                State::Ended => false,
            }
    }

    /// Whether nothing more is read.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.block.heap_bytes() + self.control.capacity()
    }

    /// Appends a PING, unless the connection is closing.
    pub(crate) fn put_ping(&mut self, out: &mut Vec<u8>) {
        if !self.close_sent {
            self.put_control(Opcode::Ping, &[], out);
        }
    }

    /// Appends a CLOSE, unless one was sent before. Returns whether the peer will answer it.
    pub(crate) fn put_close(&mut self, code: u16, reason: &str, out: &mut Vec<u8>) -> bool {
        if self.close_sent {
            return !matches!(self.state, State::Ended);
        }
        let mut payload = [0; CONTROL_BYTES_MAX];
        let reason = shortened(reason, CONTROL_BYTES_MAX - 2);
        payload[..2].copy_from_slice(&code.to_be_bytes());
        payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
        self.put_control(Opcode::Close, &payload[..2 + reason.len()], out);
        self.close_sent = true;
        true
    }

    /// Makes a frame of the message that reaches from `start + reserved` to the end of `out`.
    pub(crate) fn put_message(&mut self, out: &mut Vec<u8>, start: usize, reserved: usize, text: bool) {
        self.put_frame(Opcode::data(text), out, start, reserved);
    }

    fn put_control(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let reserved = frame::header_bytes(payload.len(), matches!(self.side, Side::Client(_)));
        out.resize(start + reserved, 0);
        out.extend_from_slice(payload);
        self.put_frame(opcode, out, start, reserved);
    }

    fn put_frame(&mut self, opcode: Opcode, out: &mut Vec<u8>, start: usize, reserved: usize) {
        let key = match &mut self.side {
            Side::Server => None,
            Side::Client(random) => Some(random.mask_key()),
        };
        let length = out.len() - start - reserved;
        frame::put_header(out, start, reserved, 0, opcode, key);
        if let Some(key) = key {
            let payload = out.len() - length;
            mask::apply(&mut out[payload..], key, 0);
        }
    }

    #[inline]
    fn advance<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'a>>, Violation> {
        loop {
            match &mut self.state {
                State::Header { .. } => {
                    let Some(head) = self.next_head(input)? else { return Ok(None) };
                    self.check(&head)?;
                    if let Some(item) = self.begin_frame(head, input, out)? {
                        return Ok(Some(item));
                    }
                }
                State::Payload { head, taken } => {
                    let (head, left) = (*head, head.length as usize - *taken);
                    if input.is_empty() && left > 0 {
                        return Ok(None);
                    }
                    let chunk = split_front(input, left);
                    mask::apply(chunk, head.key, *taken);
                    *taken += chunk.len();
                    let more = left - chunk.len();
                    self.take_payload(&head, chunk, more)?;
                    if more == 0
                        && let Some(item) = self.end_frame(&head, out)?
                    {
                        return Ok(Some(item));
                    }
                }
                State::Ended => {
                    *input = &mut [];
                    return Ok(None);
                }
            }
        }
    }

    /// Takes a header from the front of the input; `None`: its end has not arrived.
    #[inline]
    fn next_head(&mut self, input: &mut &mut [u8]) -> Result<Option<Head>, Violation> {
        let masked = matches!(self.side, Side::Server);
        let State::Header { octets, have } = &mut self.state else { return Ok(None) };
        if *have == 0
            && let Some((head, bytes)) = frame::parse(input, masked).map_err(Violation::protocol)?
        {
            split_front(input, bytes);
            return Ok(Some(head));
        }
        while !input.is_empty() {
            octets[usize::from(*have)] = split_front(input, 1)[0];
            *have += 1;
            let known = &octets[..usize::from(*have)];
            if let Some((head, _)) = frame::parse(known, masked).map_err(Violation::protocol)? {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// What a header breaks in its place: the order of fragments, the kind of message agreed on, its length.
    #[inline]
    fn check(&self, head: &Head) -> Result<(), Violation> {
        match (head.opcode, &self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, None) => return Err(Violation::protocol("continuation of no message")),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::protocol("new message inside a fragmented one"));
            }
            (Opcode::Text, None) if self.accept == Accept::Binary => {
                return Err(Violation::wrong_kind("text message, but the serializer is binary"));
            }
            (Opcode::Binary, None) if self.accept == Accept::Text => {
                return Err(Violation::wrong_kind("binary message, but the serializer is text"));
            }
            _ => {}
        }
        // No message grows past the limit, so this cannot wrap.
        if head.length > (self.bytes_max - self.block.len()) as u64 {
            return Err(Violation::TOO_LONG);
        }
        Ok(())
    }

    /// Deals with a frame that lies whole in the input, or begins to collect it.
    #[inline]
    fn begin_frame<'a>(
        &mut self,
        head: Head,
        input: &mut &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'a>>, Violation> {
        // A length that is checked against a limit fits.
        let length = head.length as usize;
        let is_whole = input.len() >= length;
        self.state = BETWEEN_FRAMES;
        if is_whole && head.opcode.is_control() {
            let payload = split_front(input, length);
            mask::apply(payload, head.key, 0);
            return self.control_frame(head.opcode, payload, out);
        }
        if is_whole && head.fin && head.opcode != Opcode::Continuation {
            let octets = split_front(input, length);
            let is_ascii = mask::apply(octets, head.key, 0);
            let text = head.opcode == Opcode::Text;
            if text && !is_ascii && simdutf8::basic::from_utf8(octets).is_err() {
                return Err(Violation::NOT_UTF8);
            }
            return Ok(Some(Item::InPlace { octets, text }));
        }
        if matches!(head.opcode, Opcode::Text | Opcode::Binary) {
            self.message = Some(Message { is_text: head.opcode == Opcode::Text, text: Text::default() });
        }
        self.state = State::Payload { head, taken: 0 };
        Ok(None)
    }

    /// Unmasked payload of the frame under way; `more` octets of it are still to come.
    fn take_payload(&mut self, head: &Head, chunk: &[u8], more: usize) -> Result<(), Violation> {
        if head.opcode.is_control() {
            self.control.extend_from_slice(chunk);
            return Ok(());
        }
        self.block.append(chunk, head.fin.then_some(more));
        if let Some(message) = &mut self.message
            && message.is_text
        {
            message.text.grown(self.block.octets())?;
        }
        Ok(())
    }

    fn end_frame(&mut self, head: &Head, out: &mut Vec<u8>) -> Result<Option<Item<'static>>, Violation> {
        self.state = BETWEEN_FRAMES;
        if head.opcode.is_control() {
            let payload = mem::take(&mut self.control);
            return self.control_frame(head.opcode, &payload, out);
        }
        let Some(message) = self.message.take_if(|_| head.fin) else { return Ok(None) };
        if message.is_text {
            message.text.ended(self.block.octets())?;
        }
        Ok(Some(Item::Collected { text: message.is_text }))
    }

    fn control_frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'static>>, Violation> {
        match opcode {
            Opcode::Ping if self.close_sent => Ok(None),
            Opcode::Ping => {
                self.put_control(Opcode::Pong, payload, out);
                Ok(None)
            }
            Opcode::Pong => Ok(Some(Item::Pong)),
            _ => {
                self.answer_close(payload, out)?;
                self.end();
                Ok(Some(Item::Closed))
            }
        }
    }

    /// Checks the peer's CLOSE (sections 5.5.1 and 7.4) and answers with the same code.
    fn answer_close(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        let echo = match payload {
            [] => &[],
            [_] => return Err(Violation::protocol("close frame with one octet of payload")),
            [high, low, reason @ ..] => {
                if !frame::is_sendable_code(u16::from_be_bytes([*high, *low])) {
                    return Err(Violation::protocol("close frame with a code that may not be sent"));
                }
                if simdutf8::basic::from_utf8(reason).is_err() {
                    return Err(Violation::NOT_UTF8);
                }
                &payload[..2]
            }
        };
        if !self.close_sent {
            self.put_control(Opcode::Close, echo, out);
            self.close_sent = true;
        }
        Ok(())
    }

    #[cold]
    fn fail(&mut self, violation: &Violation, out: &mut Vec<u8>) -> Fault {
        self.put_close(violation.code, violation.reason, out);
        self.end();
        Fault { reason: violation.reason, kind: violation.kind }
    }

    /// Nothing more is read; what was collected is dropped.
    fn end(&mut self) {
        self.state = State::Ended;
        self.message = None;
        self.block = Block::default();
        self.control = Vec::new();
    }
}

/// The longest front of a text, in whole characters, of at most `most` octets.
fn shortened(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
