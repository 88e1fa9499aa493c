//! Every message of the basic and the advanced profile, in one form for both directions.

mod encode;
mod parse;

use std::borrow::Cow;

pub(crate) use parse::{AnyElement, ElementNumber, Elements};

use crate::{
    Dict, EncodeError, ParseError, Payload, PublicationId, RegistrationId, RequestId, Serializer, SessionId,
    SubscriptionId,
    cbor::{CborElements, CborWriter},
    json::{JsonElements, JsonWriter},
    msgpack::{MsgPackElements, MsgPackWriter},
};

/// The type codes of WAMP messages (basic profile, "Message Codes and Direction").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum MessageType {
    Hello = 1,
    Welcome = 2,
    Abort = 3,
    Challenge = 4,
    Authenticate = 5,
    Goodbye = 6,
    Error = 8,
    Publish = 16,
    Published = 17,
    Subscribe = 32,
    Subscribed = 33,
    Unsubscribe = 34,
    Unsubscribed = 35,
    Event = 36,
    Call = 48,
    Cancel = 49,
    Result = 50,
    Register = 64,
    Registered = 65,
    Unregister = 66,
    Unregistered = 67,
    Invocation = 68,
    Interrupt = 69,
    Yield = 70,
    EventReceived = 337,
}

/// The messages that an `ERROR` can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum RequestType {
    Publish = 16,
    Subscribe = 32,
    Unsubscribe = 34,
    Call = 48,
    Register = 64,
    Unregister = 66,
    Invocation = 68,
}

/// One WAMP message. Borrows from the octets that it was parsed from, or from what we encode.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The fields are the specification's message elements, by its names.
pub enum Message<'a> {
    Hello {
        realm: Cow<'a, str>,
        details: Dict<'a>,
    },
    Welcome {
        session: SessionId,
        details: Dict<'a>,
    },
    Abort {
        details: Dict<'a>,
        reason: Cow<'a, str>,
        payload: Payload<'a>,
    },
    Challenge {
        method: Cow<'a, str>,
        extra: Dict<'a>,
    },
    Authenticate {
        signature: Cow<'a, str>,
        extra: Dict<'a>,
    },
    Goodbye {
        details: Dict<'a>,
        reason: Cow<'a, str>,
    },
    Error {
        request_type: RequestType,
        request: RequestId,
        details: Dict<'a>,
        error: Cow<'a, str>,
        payload: Payload<'a>,
    },
    Publish {
        request: RequestId,
        options: Dict<'a>,
        topic: Cow<'a, str>,
        payload: Payload<'a>,
    },
    Published {
        request: RequestId,
        publication: PublicationId,
    },
    Subscribe {
        request: RequestId,
        options: Dict<'a>,
        topic: Cow<'a, str>,
    },
    Subscribed {
        request: RequestId,
        subscription: SubscriptionId,
    },
    Unsubscribe {
        request: RequestId,
        subscription: SubscriptionId,
    },
    /// `request` is `None` (0 on the wire) and `details` present when the router revoked the subscription.
    Unsubscribed {
        request: Option<RequestId>,
        details: Option<Dict<'a>>,
    },
    Event {
        subscription: SubscriptionId,
        publication: PublicationId,
        details: Dict<'a>,
        payload: Payload<'a>,
    },
    EventReceived {
        publication: PublicationId,
    },
    Call {
        request: RequestId,
        options: Dict<'a>,
        procedure: Cow<'a, str>,
        payload: Payload<'a>,
    },
    Cancel {
        request: RequestId,
        options: Dict<'a>,
    },
    Result {
        request: RequestId,
        details: Dict<'a>,
        payload: Payload<'a>,
    },
    Register {
        request: RequestId,
        options: Dict<'a>,
        procedure: Cow<'a, str>,
    },
    Registered {
        request: RequestId,
        registration: RegistrationId,
    },
    Unregister {
        request: RequestId,
        registration: RegistrationId,
    },
    /// `request` is `None` (0 on the wire) and `details` present when the router revoked the registration.
    Unregistered {
        request: Option<RequestId>,
        details: Option<Dict<'a>>,
    },
    Invocation {
        request: RequestId,
        registration: RegistrationId,
        details: Dict<'a>,
        payload: Payload<'a>,
    },
    Interrupt {
        request: RequestId,
        options: Dict<'a>,
    },
    Yield {
        request: RequestId,
        options: Dict<'a>,
        payload: Payload<'a>,
    },
}

impl<'a> Message<'a> {
    /// Parses one message. The whole of `octets` is validated, the payload included, and is one message.
    ///
    /// # Errors
    /// For octets that are no message of the specification's types and forms, or that not every decoder of
    /// the serializer can be trusted with. Time is linear in the octets; a declared length allocates nothing.
    pub fn parse(serializer: Serializer, octets: &'a [u8]) -> Result<Message<'a>, ParseError> {
        match serializer {
            Serializer::Json => parse::parse::<JsonElements<'a>>(octets),
            Serializer::MsgPack => parse::parse::<MsgPackElements<'a>>(octets),
            Serializer::Cbor => parse::parse::<CborElements<'a>>(octets),
        }
    }

    /// Appends the message to `out`. On an error `out` is left as it was.
    ///
    /// # Errors
    /// If the serializer cannot express a value of the message.
    pub fn encode(&self, serializer: Serializer, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let encoded = match serializer {
            Serializer::Json => encode::encode::<JsonWriter, false>(self, out),
            Serializer::MsgPack => encode::encode::<MsgPackWriter, false>(self, out),
            Serializer::Cbor => encode::encode::<CborWriter, false>(self, out),
        };
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    /// Appends what comes before the payload, for a message whose payload is [shared](Payload::shared) in this serializer: those
    /// octets are the rest of it. On an error `out` is left as it was.
    ///
    /// # Errors
    /// If the serializer cannot express a value of the message.
    pub fn encode_before_payload(
        &self,
        serializer: Serializer,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let encoded = match serializer {
            Serializer::Json => encode::encode::<JsonWriter, true>(self, out),
            Serializer::MsgPack => encode::encode::<MsgPackWriter, true>(self, out),
            Serializer::Cbor => encode::encode::<CborWriter, true>(self, out),
        };
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    /// The payload of the message; none where the message type has none.
    pub fn payload(&self) -> Payload<'a> {
        match self {
            Message::Abort { payload, .. }
            | Message::Error { payload, .. }
            | Message::Publish { payload, .. }
            | Message::Event { payload, .. }
            | Message::Call { payload, .. }
            | Message::Result { payload, .. }
            | Message::Invocation { payload, .. }
            | Message::Yield { payload, .. } => *payload,
            _ => Payload::NONE,
        }
    }

    /// The type of the message.
    #[rustfmt::skip]
    pub fn message_type(&self) -> MessageType {
        match self {
            Message::Hello { .. } => MessageType::Hello,
            Message::Welcome { .. } => MessageType::Welcome,
            Message::Abort { .. } => MessageType::Abort,
            Message::Challenge { .. } => MessageType::Challenge,
            Message::Authenticate { .. } => MessageType::Authenticate,
            Message::Goodbye { .. } => MessageType::Goodbye,
            Message::Error { .. } => MessageType::Error,
            Message::Publish { .. } => MessageType::Publish,
            Message::Published { .. } => MessageType::Published,
            Message::Subscribe { .. } => MessageType::Subscribe,
            Message::Subscribed { .. } => MessageType::Subscribed,
            Message::Unsubscribe { .. } => MessageType::Unsubscribe,
            Message::Unsubscribed { .. } => MessageType::Unsubscribed,
            Message::Event { .. } => MessageType::Event,
            Message::EventReceived { .. } => MessageType::EventReceived,
            Message::Call { .. } => MessageType::Call,
            Message::Cancel { .. } => MessageType::Cancel,
            Message::Result { .. } => MessageType::Result,
            Message::Register { .. } => MessageType::Register,
            Message::Registered { .. } => MessageType::Registered,
            Message::Unregister { .. } => MessageType::Unregister,
            Message::Unregistered { .. } => MessageType::Unregistered,
            Message::Invocation { .. } => MessageType::Invocation,
            Message::Interrupt { .. } => MessageType::Interrupt,
            Message::Yield { .. } => MessageType::Yield,
        }
    }
}

impl MessageType {
    /// Every message type, by ascending code.
    pub const ALL: [MessageType; 25] = [
        MessageType::Hello,
        MessageType::Welcome,
        MessageType::Abort,
        MessageType::Challenge,
        MessageType::Authenticate,
        MessageType::Goodbye,
        MessageType::Error,
        MessageType::Publish,
        MessageType::Published,
        MessageType::Subscribe,
        MessageType::Subscribed,
        MessageType::Unsubscribe,
        MessageType::Unsubscribed,
        MessageType::Event,
        MessageType::Call,
        MessageType::Cancel,
        MessageType::Result,
        MessageType::Register,
        MessageType::Registered,
        MessageType::Unregister,
        MessageType::Unregistered,
        MessageType::Invocation,
        MessageType::Interrupt,
        MessageType::Yield,
        MessageType::EventReceived,
    ];

    /// The message type with this code.
    #[inline]
    pub fn from_code(code: u64) -> Option<MessageType> {
        Some(match code {
            1 => MessageType::Hello,
            2 => MessageType::Welcome,
            3 => MessageType::Abort,
            4 => MessageType::Challenge,
            5 => MessageType::Authenticate,
            6 => MessageType::Goodbye,
            8 => MessageType::Error,
            16 => MessageType::Publish,
            17 => MessageType::Published,
            32 => MessageType::Subscribe,
            33 => MessageType::Subscribed,
            34 => MessageType::Unsubscribe,
            35 => MessageType::Unsubscribed,
            36 => MessageType::Event,
            48 => MessageType::Call,
            49 => MessageType::Cancel,
            50 => MessageType::Result,
            64 => MessageType::Register,
            65 => MessageType::Registered,
            66 => MessageType::Unregister,
            67 => MessageType::Unregistered,
            68 => MessageType::Invocation,
            69 => MessageType::Interrupt,
            70 => MessageType::Yield,
            337 => MessageType::EventReceived,
            _ => return None,
        })
    }
}

impl RequestType {
    /// The request type with this code.
    pub fn from_code(code: u64) -> Option<RequestType> {
        Some(match code {
            16 => RequestType::Publish,
            32 => RequestType::Subscribe,
            34 => RequestType::Unsubscribe,
            48 => RequestType::Call,
            64 => RequestType::Register,
            66 => RequestType::Unregister,
            68 => RequestType::Invocation,
            _ => return None,
        })
    }
}
