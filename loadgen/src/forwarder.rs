//! The bare forwarder that stands in for a router when the floor of a scenario is measured.
//!
//! After connecting a client sends one octet, its role, and the forwarder answers with the same octet when it has
//! registered it. From then on there are RawSocket frames only (a zero octet, three octets of length) with the very
//! messages that a router would be sent:
//!
//! - What a publisher sends goes to every subscriber unchanged, so PUBLISH stands for EVENT.
//! - What caller i sends (in the order of connection, from 0) goes to callee i modulo the number of callees,
//!   unchanged, so CALL stands for INVOCATION; what a callee sends goes to the caller that the last octet
//!   names, so YIELD stands for RESULT. A caller ends each frame with its number, and a callee copies it.
//!
//! There is no HELLO, SUBSCRIBE, REGISTER or GOODBYE.

use wampline_transports::client::{Client, Received, Transport};
use wampline_wire::Serializer;

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Publisher,
    Subscriber,
    Caller,
    Callee,
    /// What a bare forwarder does not know.
    Other,
}

/// The first octet of a connection, until it has been answered.
#[derive(Debug)]
pub(crate) struct Greeting {
    octet: u8,
    serializer: Serializer,
}

impl Greeting {
    /// Says who connects. The framing that is returned is ready once [`Greeting::receive`] has returned true.
    pub(crate) fn new(role: Role, serializer: Serializer, out: &mut Vec<u8>) -> (Greeting, Client) {
        let octet = match role {
            Role::Publisher => b'P',
            Role::Subscriber => b'S',
            Role::Caller => b'C',
            Role::Callee | Role::Other => b'E',
        };
        out.push(octet);
        // The frames are those of RawSocket, so its machine cuts them; its handshake is played to it below.
        let mut unsent = Vec::new();
        let client = Client::new(&Transport::RawSocket { length: LENGTH_MAX }, serializer, 0, &mut unsent);
        (Greeting { octet, serializer }, client)
    }

    /// Takes the answer off what came; returns whether it has come.
    pub(crate) fn receive(&self, octets: &mut &mut [u8], client: &mut Client) -> Result<bool, String> {
        let Some((&mut first, rest)) = std::mem::take(octets).split_first_mut() else { return Ok(false) };
        if first != self.octet {
            return Err(format!("the forwarder answered {first:#04x} to {:#04x}", self.octet));
        }
        *octets = rest;
        let mut reply = [0x7f, LENGTH_MAX << 4 | self.serializer.rawsocket_code(), 0, 0];
        let mut reply = reply.as_mut_slice();
        match client.receive(&mut reply, &mut Vec::new()) {
            Ok(Some(Received::Established)) => Ok(true),
            Ok(_) => Err("the RawSocket machine did not take a handshake of its own".to_owned()),
            Err(fault) => Err(fault.reason.to_owned()),
        }
    }
}

/// 2^24 octets.
const LENGTH_MAX: u8 = 15;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_answer_opens_the_framing() {
        let mut out = Vec::new();
        let (greeting, mut client) = Greeting::new(Role::Caller, Serializer::MsgPack, &mut out);
        assert_eq!(out, b"C");
        let mut nothing: [u8; 0] = [];
        assert_eq!(greeting.receive(&mut nothing.as_mut_slice(), &mut client), Ok(false));
        let mut came = *b"C\0\0\0\x01x";
        let mut rest = came.as_mut_slice();
        assert_eq!(greeting.receive(&mut rest, &mut client), Ok(true));
        assert_eq!(rest, b"\0\0\0\x01x");
        assert!(client.is_open());
    }

    #[test]
    fn another_answer_is_an_error() {
        let (greeting, mut client) = Greeting::new(Role::Publisher, Serializer::Json, &mut Vec::new());
        let mut came = *b"C";
        assert!(greeting.receive(&mut came.as_mut_slice(), &mut client).is_err());
    }
}
