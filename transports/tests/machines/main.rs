//! The framing machines from outside: octets in, transcript out, and the same transcript however the octets are split.
#![allow(clippy::unwrap_used)]

mod client;
mod hostile;
mod rawsocket;
mod round_trip;
mod transcript;
mod upgrade;
mod websocket;
