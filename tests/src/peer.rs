//! A client's end of one connection: values to octets and octets to values.
//!
//! RawSocket is framed here by hand (advanced profile, "RawSocket Transport"); WebSocket by the client machine of
//! `wampline_transports`, because masking and fragments need one.

use serde_json::Value;
use wampline_transports::client::{Client, Received, Transport};
use wampline_wire::Serializer;

use crate::codec;

/// What a client hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The transport is open.
    Open,
    /// One message.
    Message(Value),
    /// The router answers a ping.
    Pong(Vec<u8>),
    /// The router ends the transport (a WebSocket close frame, with its code).
    Closed(Option<u16>),
}

/// One client's framing and serializer.
#[derive(Debug)]
pub struct Peer {
    /// How messages are written.
    pub serializer: Serializer,
    framing: Framing,
    /// Octets for the router.
    out: Vec<u8>,
    /// Messages that wait for the transport to open.
    early: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Framing {
    RawSocket { input: Vec<u8>, is_open: bool },
    WebSocket { client: Box<Client>, is_open: bool, frames: CloseCode },
}

/// LENGTH for messages of up to 2^24 octets.
pub const LENGTH_MAX: u8 = 15;

impl Peer {
    /// RawSocket; the router may send messages of up to 2^(9+length) octets.
    pub fn rawsocket(serializer: Serializer, length: u8) -> Peer {
        let code = match serializer {
            Serializer::Json => 1,
            Serializer::MsgPack => 2,
            Serializer::Cbor => 3,
        };
        let framing = Framing::RawSocket { input: Vec::new(), is_open: false };
        Peer { serializer, framing, out: vec![0x7F, length << 4 | code, 0, 0], early: Vec::new() }
    }

    /// WebSocket at `/ws`.
    pub fn websocket(serializer: Serializer, seed: u64) -> Peer {
        let transport = Transport::WebSocket { host: "localhost".into(), path: "/ws".into() };
        let mut out = Vec::new();
        let client = Box::new(Client::new(&transport, serializer, seed, &mut out));
        let framing = Framing::WebSocket { client, is_open: false, frames: CloseCode::default() };
        Peer { serializer, framing, out, early: Vec::new() }
    }

    /// A peer that has no handshake of its own: what it sends is up to [`Peer::send_raw`].
    pub fn silent() -> Peer {
        let mut peer = Peer::rawsocket(Serializer::Json, LENGTH_MAX);
        peer.out.clear();
        peer
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        let octets = codec::encode(self.serializer, message);
        self.send_octets(&octets);
    }

    /// Sends octets as one message.
    pub fn send_octets(&mut self, octets: &[u8]) {
        match &mut self.framing {
            Framing::RawSocket { .. } => {
                let [extra, header @ ..] = (octets.len() as u32).to_be_bytes();
                assert_eq!(extra, 0, "a message fits 24 bits of length");
                self.out.push(0);
                self.out.extend_from_slice(&header);
                self.out.extend_from_slice(octets);
            }
            Framing::WebSocket { client, is_open: true, .. } => {
                let body = |out: &mut Vec<u8>| {
                    out.extend_from_slice(octets);
                    Ok::<(), ()>(())
                };
                client.send(&mut self.out, body).expect("writing octets cannot fail");
            }
            Framing::WebSocket { .. } => self.early.push(octets.to_vec()),
        }
    }

    /// Sends octets past all framing.
    pub fn send_raw(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Pings the router: RawSocket with this payload, WebSocket with one of its own.
    pub fn ping(&mut self, payload: &[u8]) {
        match &mut self.framing {
            Framing::RawSocket { .. } => {
                self.out.extend_from_slice(&[1, 0, 0, payload.len() as u8]);
                self.out.extend_from_slice(payload);
            }
            Framing::WebSocket { client, .. } => client.ping(&mut self.out),
        }
    }

    /// What is to be sent to the router.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Whether something is to be sent.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether this is a RawSocket.
    pub fn is_rawsocket(&self) -> bool {
        matches!(self.framing, Framing::RawSocket { .. })
    }

    /// Takes what the router has sent.
    ///
    /// # Errors
    /// If it breaks the rules of the transport or of the serializer.
    pub fn receive(&mut self, octets: &[u8]) -> Result<Vec<Heard>, String> {
        match &mut self.framing {
            Framing::RawSocket { input, is_open } => {
                input.extend_from_slice(octets);
                let mut heard = Vec::new();
                let used = read_rawsocket(self.serializer, input, is_open, &mut heard)?;
                input.drain(..used);
                Ok(heard)
            }
            Framing::WebSocket { .. } => self.receive_websocket(octets),
        }
    }

    fn receive_websocket(&mut self, octets: &[u8]) -> Result<Vec<Heard>, String> {
        let Framing::WebSocket { client, is_open, frames } = &mut self.framing else { return Ok(Vec::new()) };
        let mut octets = octets.to_vec();
        if *is_open {
            frames.look(&octets);
        }
        let mut input = &mut octets[..];
        let mut heard = Vec::new();
        loop {
            let before = input.len();
            match client.receive(&mut input, &mut self.out) {
                Ok(Some(Received::Established)) => {
                    *is_open = true;
                    frames.look(input);
                    heard.push(Heard::Open);
                }
                Ok(Some(Received::Message(message))) => {
                    heard.push(Heard::Message(codec::decode(self.serializer, message)?));
                }
                Ok(Some(Received::Closed)) => heard.push(Heard::Closed(frames.code)),
                Ok(None) => break,
                Err(fault) => return Err(format!("{} ({before} octets left)", fault.reason)),
            }
        }
        if *is_open {
            for message in std::mem::take(&mut self.early) {
                self.send_octets(&message);
            }
        }
        Ok(heard)
    }
}

/// Reads the router's RawSocket handshake and frames; gives how many octets were used up.
fn read_rawsocket(
    serializer: Serializer,
    input: &[u8],
    is_open: &mut bool,
    heard: &mut Vec<Heard>,
) -> Result<usize, String> {
    let mut at = 0;
    while let Some(header) = input.get(at..at + 4) {
        if !*is_open {
            if header[0] != 0x7F || header[2..] != [0, 0] || header[1] & 0x0F == 0 {
                return Err(format!("handshake refused: {header:02x?}"));
            }
            *is_open = true;
            at += 4;
            heard.push(Heard::Open);
            continue;
        }
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let Some(payload) = input.get(at + 4..at + 4 + length) else { break };
        at += 4 + length;
        match header[0] {
            0 => heard.push(Heard::Message(codec::decode(serializer, payload)?)),
            2 => heard.push(Heard::Pong(payload.to_vec())),
            other => return Err(format!("a RawSocket frame of type {other} from the router")),
        }
    }
    Ok(at)
}

/// Follows a server's unmasked frames for the code of the close frame, which the client machine does not give.
#[derive(Debug, Default)]
struct CloseCode {
    pending: Vec<u8>,
    code: Option<u16>,
}

impl CloseCode {
    fn look(&mut self, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
        let mut at = 0;
        while let Some((opcode, start, length)) = frame(&self.pending[at..]) {
            let Some(payload) = self.pending.get(at + start..at + start + length) else { break };
            if opcode == 8 && length >= 2 {
                self.code = Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
            at += start + length;
        }
        self.pending.drain(..at);
    }
}

/// Opcode, where the payload begins and its length.
fn frame(octets: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*octets.first()?, *octets.get(1)?);
    let (start, length) = match second & 0x7F {
        126 => (4, u64::from(u16::from_be_bytes(octets.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(octets.get(2..10)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    Some((first & 0x0F, start, length as usize))
}
