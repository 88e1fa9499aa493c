//! Pure framing machines over octets, for servers and clients: RawSocket, WebSocket, the HTTP head that
//! precedes it, and TLS. No sockets, no clocks, no threads: octets in, octets and messages out.
//!
//! Invariants of every machine here:
//! - Octets may arrive split anywhere; what comes out does not depend on where.
//! - A declared length costs nothing: memory follows the octets received, and a length beyond the bound is refused
//!   as soon as it is known.
//! - Between messages a connection holds no buffer.
//! - Bad input ends in a [`server::Fault`] (or [`tls::TlsFault`]), never in a panic.

mod block;
pub mod client;
mod framing;
mod http;
mod mask;
mod random;
pub mod rawsocket;
pub mod server;
pub mod tls;
mod websocket;

pub use framing::Framing;

/// The longest message that any transport here sends or accepts from a client, in octets: one less than the longest
/// that the RawSocket LENGTH nibble can express, because some peers take 2^24 for 0.
pub const MESSAGE_BYTES_MAX: usize = (1 << 24) - 1;

/// Takes at most `most` octets from the front of the input.
#[inline]
pub(crate) fn split_front<'a>(input: &mut &'a mut [u8], most: usize) -> &'a mut [u8] {
    let whole = std::mem::take(input);
    let (front, rest) = whole.split_at_mut(most.min(whole.len()));
    *input = rest;
    front
}
