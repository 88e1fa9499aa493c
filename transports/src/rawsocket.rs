//! RawSocket (advanced profile, "RawSocket Transport"): its handshake in both directions, and its frames.

use crate::block::Block;
use crate::server::{Fault, FaultKind};
use crate::split_front;

/// The first octet of a RawSocket handshake, which no HTTP request can begin with.
pub const MAGIC: u8 = 0x7F;

/// The length of the handshake of either side, in octets.
pub const HANDSHAKE_BYTES: usize = 4;

/// The length of a frame's header, in octets.
pub const FRAME_HEADER_BYTES: usize = 4;

/// Why a router refuses a RawSocket handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The serializer is reserved or not on offer.
    SerializerUnsupported = 1,
    /// The maximum message length is not acceptable. Never sent by this router, which takes every length.
    LengthUnacceptable = 2,
    /// Reserved octets are not zero.
    ReservedBits = 3,
    /// There are too many connections.
    TooManyConnections = 4,
}

impl Refusal {
    /// What is sent in place of the handshake's answer.
    pub const fn reply(self) -> [u8; HANDSHAKE_BYTES] {
        [MAGIC, (self as u8) << 4, 0, 0]
    }

    /// What the upper four bits of a refusal's second octet mean.
    pub const fn from_code(code: u8) -> Option<Refusal> {
        Some(match code {
            1 => Refusal::SerializerUnsupported,
            2 => Refusal::LengthUnacceptable,
            3 => Refusal::ReservedBits,
            4 => Refusal::TooManyConnections,
            _ => return None,
        })
    }

    /// For the log of the side that was refused.
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::SerializerUnsupported => "the router does not offer this serializer",
            Refusal::LengthUnacceptable => "the router does not accept this maximum message length",
            Refusal::ReservedBits => "the router refuses the use of reserved bits",
            Refusal::TooManyConnections => "the router has too many connections",
        }
    }
}

/// The handshake that a side sends when it agrees.
pub(crate) fn handshake(length: u8, serializer_code: u8) -> [u8; HANDSHAKE_BYTES] {
    [MAGIC, (length & 0x0F) << 4 | serializer_code & 0x0F, 0, 0]
}

/// The longest message, in octets, that a LENGTH nibble stands for.
pub(crate) fn length_bytes(nibble: u8) -> usize {
    1 << (9 + u32::from(nibble & 0x0F))
}

/// A client's view of the router's handshake: the longest message that the router accepts, in octets.
pub(crate) fn judge_reply(reply: [u8; HANDSHAKE_BYTES], serializer_code: u8) -> Result<usize, &'static str> {
    let [magic, agreement, reserved @ ..] = reply;
    if magic != MAGIC || reserved != [0, 0] {
        return Err("the answer is not a RawSocket handshake");
    }
    match (agreement >> 4, agreement & 0x0F) {
        (code, 0) => Err(Refusal::from_code(code).map_or("refused with an unknown error", Refusal::reason)),
        (length, code) if code == serializer_code => Ok(length_bytes(length)),
        _ => Err("the router answered with another serializer"),
    }
}

/// The TTT bits of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameType {
    Message = 0,
    Ping = 1,
    Pong = 2,
}

/// The header of a frame of at most 2^24 octets.
pub(crate) fn frame_header(frame: FrameType, length: usize) -> [u8; FRAME_HEADER_BYTES] {
    let [extra, high, middle, low] = (length as u32).to_be_bytes();
    [extra << 3 | frame as u8, high, middle, low]
}

#[inline]
fn parse_header(header: [u8; FRAME_HEADER_BYTES]) -> Result<(FrameType, usize), &'static str> {
    let [first, high, middle, low] = header;
    if first & 0xF0 != 0 {
        return Err("reserved bits are set in a frame");
    }
    let frame = match first & 0x07 {
        0 => FrameType::Message,
        1 => FrameType::Ping,
        2 => FrameType::Pong,
        _ => return Err("reserved frame type"),
    };
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    match (first & 0x08 != 0, length) {
        (false, _) => Ok((frame, length)),
        (true, 0) => Ok((frame, 1 << 24)),
        (true, _) => Err("a frame's 25th length bit is set beside others"),
    }
}

/// What came out of the stream.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A whole message that lay in the input.
    InPlace(&'a mut [u8]),
    /// A whole message, to be fetched with [`Decoder::collected`].
    Collected,
}

/// Frames in, messages out; PING is answered, PONG is skipped.
#[derive(Debug)]
pub(crate) struct Decoder {
    bytes_max: usize,
    state: State,
    /// Payload so far of a message or PING that did not lie whole in the input.
    block: Block,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between frames, or within a header of which `have` octets have arrived.
    Header { octets: [u8; FRAME_HEADER_BYTES], have: u8 },
    /// Within a payload of which `left` octets are still to come.
    Payload { frame: FrameType, left: usize },
    /// A rule was broken.
    Ended,
}

const BETWEEN_FRAMES: State = State::Header { octets: [0; FRAME_HEADER_BYTES], have: 0 };

impl Decoder {
    pub(crate) fn new(bytes_max: usize) -> Decoder {
        Decoder { bytes_max, state: BETWEEN_FRAMES, block: Block::default() }
    }

    /// See [`crate::server::Server::receive`].
    #[inline]
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'a>>, Fault> {
        self.block.release();
        self.advance(input, out).inspect_err(|_| {
            self.state = State::Ended;
            self.block = Block::default();
            *input = &mut [];
        })
    }

    /// The message that [`Item::Collected`] announced.
    pub(crate) fn collected(&mut self) -> &mut [u8] {
        self.block.lend()
    }

    pub(crate) fn is_mid_message(&self) -> bool {
        match self.state {
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
        self.block.heap_bytes()
    }

    #[inline]
    fn advance<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'a>>, Fault> {
        loop {
            match &mut self.state {
                State::Header { octets, have } => {
                    let Some(header) = take_header(octets, have, input) else { return Ok(None) };
                    if let Some(item) = self.begin_frame(header, input, out)? {
                        return Ok(Some(item));
                    }
                }
                State::Payload { frame, left } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let frame = *frame;
                    let chunk = split_front(input, *left);
                    *left -= chunk.len();
                    let more = *left;
                    if frame != FrameType::Pong {
                        self.block.append(chunk, Some(more));
                    }
                    if more > 0 {
                        return Ok(None);
                    }
                    self.state = BETWEEN_FRAMES;
                    match frame {
                        FrameType::Message => return Ok(Some(Item::Collected)),
                        FrameType::Ping => put_pong(&self.block.take(), out),
                        FrameType::Pong => {}
                    }
                }
                State::Ended => {
                    *input = &mut [];
                    return Ok(None);
                }
            }
        }
    }

    /// Deals with a frame that lies whole in the input, or begins to collect it.
    #[inline]
    fn begin_frame<'a>(
        &mut self,
        header: [u8; FRAME_HEADER_BYTES],
        input: &mut &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Item<'a>>, Fault> {
        let protocol = |reason| Fault { reason, kind: FaultKind::Protocol };
        let (frame, length) = parse_header(header).map_err(protocol)?;
        if length > self.bytes_max {
            let reason = "message is longer than this side accepts";
            return Err(Fault { reason, kind: FaultKind::TooLong });
        }
        if input.len() < length {
            self.state = State::Payload { frame, left: length };
            return Ok(None);
        }
        self.state = BETWEEN_FRAMES;
        let payload = split_front(input, length);
        match frame {
            FrameType::Message => return Ok(Some(Item::InPlace(payload))),
            FrameType::Ping => put_pong(payload, out),
            FrameType::Pong => {}
        }
        Ok(None)
    }
}

/// Takes a header from the front of the input; `None`: its end has not arrived.
#[inline]
fn take_header(
    octets: &mut [u8; FRAME_HEADER_BYTES],
    have: &mut u8,
    input: &mut &mut [u8],
) -> Option<[u8; FRAME_HEADER_BYTES]> {
    let chunk = split_front(input, FRAME_HEADER_BYTES - usize::from(*have));
    if let Ok(header) = <[u8; FRAME_HEADER_BYTES]>::try_from(&*chunk) {
        return Some(header);
    }
    let start = usize::from(*have);
    octets[start..start + chunk.len()].copy_from_slice(chunk);
    *have += chunk.len() as u8;
    (usize::from(*have) == FRAME_HEADER_BYTES).then_some(*octets)
}

fn put_pong(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&frame_header(FrameType::Pong, payload.len()));
    out.extend_from_slice(payload);
}
