//! The load generator as a whole: against a router that misbehaves, against a bare forwarder, and from its command line.

#![allow(clippy::unwrap_used)]

mod command_line;
mod forwarder;
mod forwarding;
mod misbehaviour;
mod stub;
