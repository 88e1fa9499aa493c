//! WebSocket after its opening handshake (RFC 6455, sections 5 to 8), for both sides: frames in, messages out.

mod decoder;
pub(crate) mod frame;
pub(crate) mod handshake;
mod text;

pub(crate) use decoder::{Accept, Decoder, Item, Side};
