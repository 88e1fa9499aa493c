//! What surrounds an outgoing message.

use wampline_wire::Serializer;

use crate::websocket::frame::{self, Opcode};
use crate::{MESSAGE_BYTES_MAX, rawsocket};

/// How a message is framed on its way out of the router. Small, comparable: together with the serializer it
/// is the key under which a fan-out encodes an event once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Framing {
    /// Four octets: type and 24 bit length (advanced profile, "RawSocket Transport").
    RawSocket = 0,
    /// A server's unmasked, unfragmented frame (RFC 6455, section 5).
    WebSocket = 1,
}

impl Framing {
    /// Appends one framed message to `out`. `body` appends the message itself and nothing else.
    /// `estimate` is the expected length of the message in octets: when it predicts the length of the header
    /// right nothing is moved. Returns the length of the message (without header). When `body` fails `out` is
    /// left as it was.
    ///
    /// A message longer than [`MESSAGE_BYTES_MAX`] cannot be framed for RawSocket: its length is returned and `out` is
    /// left as it was. The caller compares the length with what the receiver accepts
    /// ([`peer_bytes_max`](crate::server::Established::peer_bytes_max)), which is never more.
    pub fn frame<E>(
        self,
        serializer: Serializer,
        out: &mut Vec<u8>,
        estimate: usize,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        self.frame_before(serializer, out, estimate, 0, body)
    }

    /// The same for a message of which the last `elsewhere` octets are not appended: they are to follow what is. `estimate` and
    /// the result count the whole message.
    #[inline]
    pub fn frame_before<E>(
        self,
        serializer: Serializer,
        out: &mut Vec<u8>,
        estimate: usize,
        elsewhere: usize,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let start = out.len();
        let reserved = match self {
            Framing::RawSocket => rawsocket::FRAME_HEADER_BYTES,
            Framing::WebSocket => frame::header_bytes(estimate, false),
        };
        let result = append_body(out, reserved, body)? + elsewhere;
        if self == Framing::RawSocket && result > MESSAGE_BYTES_MAX {
            out.truncate(start);
            return Ok(result);
        }
        match self {
            Framing::RawSocket => {
                let header = rawsocket::frame_header(rawsocket::FrameType::Message, result);
                out[start..start + reserved].copy_from_slice(&header);
            }
            Framing::WebSocket => {
                frame::put_header(out, start, reserved, elsewhere, Opcode::data(serializer.is_text()), None);
            }
        }
        Ok(result)
    }
}

/// Leaves room for a header of `reserved` octets at the end of `out` and lets `body` write behind it. Returns how
/// much it wrote; when it fails `out` is left as it was.
pub(crate) fn append_body<E>(
    out: &mut Vec<u8>,
    reserved: usize,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<usize, E> {
    let start = out.len();
    out.resize(start + reserved, 0);
    match body(out) {
        Ok(()) => Ok(out.len() - start - reserved),
        Err(e) => {
            out.truncate(start);
            Err(e)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Framing;
    use crate::MESSAGE_BYTES_MAX;
    use proptest::prelude::*;
    use wampline_wire::Serializer;

    fn framed(framing: Framing, serializer: Serializer, estimate: usize, body: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        let length = framing
            .frame(serializer, &mut out, estimate, |out| {
                out.extend_from_slice(body);
                Ok::<(), ()>(())
            })
            .unwrap();
        assert_eq!(length, body.len());
        assert_eq!(&out[..6], b"before");
        out.split_off(6)
    }

    #[test]
    fn rawsocket_header_is_type_and_length() {
        let out = framed(Framing::RawSocket, Serializer::Json, 0, b"[1]");
        assert_eq!(out, [0, 0, 0, 3, b'[', b'1', b']']);
        let out = framed(Framing::RawSocket, Serializer::Json, 0, &[9; 0x01_02_03]);
        assert_eq!(out[..4], [0, 1, 2, 3]);
    }

    #[test]
    fn websocket_header_has_the_shortest_length() {
        for (length, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xFF, 0xFF]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let body = vec![5; length];
            for estimate in [0, 125, 126, 65_535, 65_536, 1 << 20] {
                let out = framed(Framing::WebSocket, Serializer::MsgPack, estimate, &body);
                assert_eq!(&out[..header.len()], header);
                assert_eq!(&out[header.len()..], &body);
            }
        }
    }

    #[test]
    fn websocket_kind_follows_the_serializer() {
        assert_eq!(framed(Framing::WebSocket, Serializer::Json, 5, b"Hello"), b"\x81\x05Hello");
        assert_eq!(framed(Framing::WebSocket, Serializer::Cbor, 5, b"Hello"), b"\x82\x05Hello");
    }

    #[test]
    fn a_failed_body_leaves_nothing() {
        for framing in [Framing::RawSocket, Framing::WebSocket] {
            let mut out = b"before".to_vec();
            let result = framing.frame(Serializer::Json, &mut out, 200, |out| {
                out.extend_from_slice(b"half of a message");
                Err("cannot be expressed")
            });
            assert_eq!((result, &out[..]), (Err("cannot be expressed"), &b"before"[..]));
        }
    }

    #[test]
    fn a_message_too_long_to_frame_leaves_nothing() {
        for (framing, length, header) in [
            (Framing::RawSocket, MESSAGE_BYTES_MAX, Some(4)),
            (Framing::RawSocket, MESSAGE_BYTES_MAX + 1, None),
            (Framing::WebSocket, MESSAGE_BYTES_MAX + 1, Some(10)),
        ] {
            let mut out = b"before".to_vec();
            let result = framing.frame(Serializer::Json, &mut out, 0, |out| {
                out.extend_from_slice(&vec![b' '; length]);
                Ok::<(), ()>(())
            });
            assert_eq!(result, Ok(length));
            assert_eq!(out.len() - 6, header.map_or(0, |header| header + length));
        }
    }

    /// Beyond every length at which the header grows; not under Miri, for which that is too long.
    const LONG: usize = if cfg!(miri) { 300 } else { 70_000 };

    proptest! {
        #[test]
        fn the_estimate_never_shows(length in 0..LONG, estimate in 0..LONG) {
            let body: Vec<u8> = (0..length).map(|i| i as u8).collect();
            prop_assert_eq!(
                framed(Framing::WebSocket, Serializer::Json, estimate, &body),
                framed(Framing::WebSocket, Serializer::Json, length, &body)
            );
        }
    }
}
