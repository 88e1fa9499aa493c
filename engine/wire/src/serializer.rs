//! The serializers that a session can be bound to.

/// How the messages of a session are turned into octets (basic profile, "Serializers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Serializer {
    /// RFC 8259 text, binary values by the convention of "Binary support in JSON".
    Json = 0,
    /// MessagePack version 5.
    MsgPack = 1,
    /// RFC 8949.
    Cbor = 2,
}

impl Serializer {
    /// Every serializer, in the order of their discriminants.
    pub const ALL: [Serializer; 3] = [Serializer::Json, Serializer::MsgPack, Serializer::Cbor];

    /// The WebSocket subprotocol identifier (basic profile, "WebSocket Transport").
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Serializer::Json => "wamp.2.json",
            Serializer::MsgPack => "wamp.2.msgpack",
            Serializer::Cbor => "wamp.2.cbor",
        }
    }

    /// The serializer that a WebSocket subprotocol identifier names.
    pub fn from_subprotocol(name: &str) -> Option<Serializer> {
        Serializer::ALL.into_iter().find(|s| s.subprotocol() == name)
    }

    /// The `SERIALIZER` nibble of the RawSocket handshake (advanced profile, "RawSocket Transport").
    pub const fn rawsocket_code(self) -> u8 {
        self as u8 + 1
    }

    /// The serializer that a RawSocket `SERIALIZER` nibble names.
    pub fn from_rawsocket_code(code: u8) -> Option<Serializer> {
        Serializer::ALL.into_iter().find(|s| s.rawsocket_code() == code)
    }

    /// The name used in configuration and logs: `json`, `msgpack`, `cbor`.
    pub const fn name(self) -> &'static str {
        match self {
            Serializer::Json => "json",
            Serializer::MsgPack => "msgpack",
            Serializer::Cbor => "cbor",
        }
    }

    /// Whether messages are text (a WebSocket text message) rather than octets.
    pub const fn is_text(self) -> bool {
        matches!(self, Serializer::Json)
    }
}
