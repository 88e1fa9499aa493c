//! Octets of one connection: RawSocket, the HTTP head, WebSocket frames.
//!
//! The first octet chooses options and the second the size of pieces. What follows is the stream, or what it is made of.

use wampline_transports::server::Options;

use super::input::Input;
use super::transcript::{self, REQUEST, frame};

/// Messages are refused beyond this many octets, so that the fuzzer gets there.
const MESSAGE_BYTES_MAX: usize = 2000;

/// Any first octets: what tells RawSocket from HTTP, and the head.
pub(super) fn http(octets: &[u8]) {
    let mut input = Input::new(octets);
    let (options, size) = settings(&mut input);
    judge(&options, input.rest(), size);
}

/// Frames after an upgrade: as they come, or made from their parts so that masks and lengths are right.
pub(super) fn websocket(octets: &[u8]) {
    let mut input = Input::new(octets);
    let (options, size) = settings(&mut input);
    let mut stream = REQUEST.as_bytes().to_vec();
    if input.octet().is_multiple_of(4) {
        stream.extend_from_slice(input.rest());
    }
    while !input.is_empty() {
        let first = input.octet();
        stream.extend_from_slice(&frame(first, &payload(&mut input)));
    }
    judge(&options, &stream, size);
}

/// A RawSocket handshake and frames: as they come, or made from their parts so that lengths are right.
pub(super) fn rawsocket(octets: &[u8]) {
    let mut input = Input::new(octets);
    let (options, size) = settings(&mut input);
    let is_raw = input.octet().is_multiple_of(4);
    let mut stream = vec![0x7F, 0xF0 | (1 + input.below(3) as u8), 0, 0];
    if is_raw {
        stream[1..].copy_from_slice(&[input.octet(), input.octet(), input.octet()]);
        stream.extend_from_slice(input.rest());
    }
    while !input.is_empty() {
        let kind = input.octet();
        let payload = payload(&mut input);
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        stream.push(kind);
        stream.extend_from_slice(&length);
        stream.extend_from_slice(&payload);
    }
    judge(&options, &stream, size);
}

/// Octets behind their number; instead of none very many, so that the fuzzer gets beyond every bound with a short input.
fn payload(input: &mut Input<'_>) -> Vec<u8> {
    match input.octet() {
        0 => b"x".repeat(16 * input.below(256)),
        length => input.take(usize::from(length) - 1).to_vec(),
    }
}

fn settings(input: &mut Input<'_>) -> (Options, usize) {
    let flags = input.octet();
    let options = Options {
        echo: flags & 1 != 0,
        rawsocket: flags & 2 == 0,
        websocket: flags & 4 == 0,
        assume_subprotocol: (flags & 8 != 0).then_some(wampline_wire::Serializer::Json),
        cookie: (flags & 16 != 0).then(transcript::cookie),
        message_bytes_max: MESSAGE_BYTES_MAX,
        ..transcript::options()
    };
    (options, 1 + input.below(64))
}

fn judge(options: &Options, stream: &[u8], size: usize) {
    if let Err(what) = transcript::judge(options, stream, size) {
        panic!("{what}");
    }
}
