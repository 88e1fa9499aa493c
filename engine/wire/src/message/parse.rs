//! From octets to a [`Message`]: which elements each message type has, checked in order.
//!
//! What an element looks like in octets is known to the three [`Elements`]; this file knows messages.

use std::borrow::Cow;

use crate::{
    Dict, ID_MAX, Message, MessageType, ParseError, ParseErrorKind, Payload, PublicationId, RegistrationId,
    RequestId, RequestType, Serializer, SessionId, SubscriptionId,
};

/// The elements of one message, read one after the other from its octets.
pub(crate) trait Elements<'a>: Sized {
    /// The serializer that the octets are written in.
    const SERIALIZER: Serializer;
    /// The empty list, for `Arguments` that are null.
    const EMPTY_LIST: &'static [u8];

    /// Enters the message's list.
    fn open(octets: &'a [u8]) -> Result<Self, ParseError>;
    /// Moves to the next element; false at the end of the list.
    fn next(&mut self) -> Result<bool, ParseError>;
    /// Offset of the element that comes next.
    fn offset(&self) -> usize;
    /// Reads a number; `None` and no movement if the element is something else.
    fn number(&mut self) -> Result<Option<ElementNumber>, ParseError>;
    /// Reads a string; `None` if the element is something else.
    fn string(&mut self) -> Result<Option<Cow<'a, str>>, ParseError>;
    /// Reads a dict, or null or undefined as an empty one; `None` if the element is something else.
    fn dict(&mut self) -> Result<Option<Dict<'a>>, ParseError>;
    /// Passes over any value and tells what it was.
    fn any(&mut self) -> Result<AnyElement<'a>, ParseError>;
    /// Whether everything passed so far is in a form that every decoder of this serializer reads.
    fn is_verbatim(&self) -> bool {
        true
    }
    /// Whether an extension type of an application's own has been passed.
    fn has_extensions(&self) -> bool {
        false
    }
    /// Leaves the list, after which no octet may follow.
    fn close(self) -> Result<(), ParseError>;
}

/// A number element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ElementNumber {
    Uint(u64),
    Float(f64),
    /// A negative integer or one beyond 64 bits.
    OutOfRange,
}

/// An element of any type, with its octets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnyElement<'a> {
    /// null or undefined.
    Null,
    List(&'a [u8]),
    Dict(&'a [u8]),
    /// A string or octets.
    Text(&'a [u8]),
    Other,
}

/// The key that permits one string or octets in the place of `Arguments`: payload transparency as
/// clients deployed it before the specification named it payload passthru mode.
const OPAQUE_KEY: &str = "enc_algo";

/// Parses one message.
pub(super) fn parse<'a, E: Elements<'a>>(octets: &'a [u8]) -> Result<Message<'a>, ParseError> {
    let mut parser = Parser { elements: E::open(octets)?, position: 0 };
    let (code, offset) = parser.integer()?;
    let Some(message_type) = MessageType::from_code(code) else {
        return Err(ParseError::new(offset, ParseErrorKind::UnknownType(code)));
    };
    let message = match message_type {
        MessageType::Publish | MessageType::Event => parser.publish_subscribe(message_type)?,
        MessageType::Call | MessageType::Result | MessageType::Invocation | MessageType::Yield => {
            parser.procedure_call(message_type)?
        }
        _ => parser.control(message_type)?,
    };
    parser.finish()?;
    Ok(message)
}

struct Parser<E> {
    elements: E,
    /// Position of the element that comes next.
    position: usize,
}

impl<'a, E: Elements<'a>> Parser<E> {
    /// The two messages that carry events.
    #[inline]
    fn publish_subscribe(&mut self, message_type: MessageType) -> Result<Message<'a>, ParseError> {
        if message_type == MessageType::Publish {
            let (request, options, topic) = (self.request()?, self.dict()?, self.string("uri")?);
            return Ok(Message::Publish { request, options, topic, payload: self.payload(&options)? });
        }
        let (subscription, publication, details) = (self.subscription()?, self.publication()?, self.dict()?);
        Ok(Message::Event { subscription, publication, details, payload: self.payload(&details)? })
    }

    /// The messages that carry a call, its result or its invocation.
    #[inline]
    fn procedure_call(&mut self, message_type: MessageType) -> Result<Message<'a>, ParseError> {
        let request = self.request()?;
        Ok(match message_type {
            MessageType::Call => {
                let (options, procedure) = (self.dict()?, self.string("uri")?);
                Message::Call { request, options, procedure, payload: self.payload(&options)? }
            }
            MessageType::Invocation => {
                let (registration, details) = (self.registration()?, self.dict()?);
                Message::Invocation { request, registration, details, payload: self.payload(&details)? }
            }
            MessageType::Result => {
                let details = self.dict()?;
                Message::Result { request, details, payload: self.payload(&details)? }
            }
            _ => {
                let options = self.dict()?;
                Message::Yield { request, options, payload: self.payload(&options)? }
            }
        })
    }

    /// All other messages.
    fn control(&mut self, message_type: MessageType) -> Result<Message<'a>, ParseError> {
        use MessageType as T;
        Ok(match message_type {
            T::Hello => Message::Hello { realm: self.string("uri")?, details: self.dict()? },
            T::Welcome => Message::Welcome { session: self.session()?, details: self.dict()? },
            T::Abort => {
                let (details, reason) = (self.dict()?, self.string("uri")?);
                Message::Abort { details, reason, payload: self.payload(&details)? }
            }
            T::Challenge => Message::Challenge { method: self.string("string")?, extra: self.dict()? },
            T::Authenticate => {
                Message::Authenticate { signature: self.string("string")?, extra: self.dict()? }
            }
            T::Goodbye => Message::Goodbye { details: self.dict()?, reason: self.string("uri")? },
            T::Error => {
                let (request_type, request) = (self.request_type()?, self.request()?);
                let (details, error) = (self.dict()?, self.string("uri")?);
                Message::Error { request_type, request, details, error, payload: self.payload(&details)? }
            }
            T::Published => Message::Published { request: self.request()?, publication: self.publication()? },
            T::Subscribe => Message::Subscribe {
                request: self.request()?,
                options: self.dict()?,
                topic: self.string("uri")?,
            },
            T::Subscribed => {
                Message::Subscribed { request: self.request()?, subscription: self.subscription()? }
            }
            T::Unsubscribe => {
                Message::Unsubscribe { request: self.request()?, subscription: self.subscription()? }
            }
            T::Unsubscribed => {
                let (request, details) = self.revocable()?;
                Message::Unsubscribed { request, details }
            }
            T::EventReceived => Message::EventReceived { publication: self.publication()? },
            T::Cancel => Message::Cancel { request: self.request()?, options: self.dict()? },
            T::Register => Message::Register {
                request: self.request()?,
                options: self.dict()?,
                procedure: self.string("uri")?,
            },
            T::Registered => {
                Message::Registered { request: self.request()?, registration: self.registration()? }
            }
            T::Unregister => {
                Message::Unregister { request: self.request()?, registration: self.registration()? }
            }
            T::Unregistered => {
                let (request, details) = self.revocable()?;
                Message::Unregistered { request, details }
            }
            T::Interrupt => Message::Interrupt { request: self.request()?, options: self.dict()? },
            T::Publish | T::Event => self.publish_subscribe(message_type)?,
            T::Call | T::Result | T::Invocation | T::Yield => self.procedure_call(message_type)?,
        })
    }

    fn session(&mut self) -> Result<SessionId, ParseError> {
        self.id(SessionId::new)
    }
    #[inline]
    fn request(&mut self) -> Result<RequestId, ParseError> {
        self.id(RequestId::new)
    }
    #[inline]
    fn publication(&mut self) -> Result<PublicationId, ParseError> {
        self.id(PublicationId::new)
    }
    #[inline]
    fn subscription(&mut self) -> Result<SubscriptionId, ParseError> {
        self.id(SubscriptionId::new)
    }
    #[inline]
    fn registration(&mut self) -> Result<RegistrationId, ParseError> {
        self.id(RegistrationId::new)
    }

    /// `Request` of UNSUBSCRIBED and UNREGISTERED: 0 and followed by details for a revocation (advanced
    /// profile, "Subscription Revocation", "Registration Revocation"), else a request and the last element.
    fn revocable(&mut self) -> Result<(Option<RequestId>, Option<Dict<'a>>), ParseError> {
        let position = self.position;
        let (value, offset) = self.id_value()?;
        if value != Some(0) {
            let request = value.and_then(RequestId::new);
            return match request {
                Some(_) => Ok((request, None)),
                None => Err(ParseError::new(offset, ParseErrorKind::IdRange { element: position })),
            };
        }
        if !self.elements.next()? {
            return Err(ParseError::new(offset, ParseErrorKind::IdRange { element: position }));
        }
        self.position += 1;
        Ok((None, Some(self.dict_here(position + 1)?)))
    }

    #[inline]
    fn id<T>(&mut self, new: impl Fn(u64) -> Option<T>) -> Result<T, ParseError> {
        let (value, offset) = self.id_value()?;
        match value.and_then(new) {
            Some(id) => Ok(id),
            None => Err(ParseError::new(offset, ParseErrorKind::IdRange { element: self.position - 1 })),
        }
    }

    /// A number that may be an id: an integer, or a float that is integral, as JavaScript encoders write
    /// integers above 2^32; and where it begins. `None` if it is one but cannot be within [1, 2^53].
    #[inline]
    fn id_value(&mut self) -> Result<(Option<u64>, usize), ParseError> {
        let element = self.enter()?;
        let offset = self.elements.offset();
        let value = match self.elements.number()? {
            Some(ElementNumber::Uint(value)) => Some(value),
            Some(ElementNumber::Float(value)) if value.fract() == 0.0 => {
                (value >= 0.0 && value <= ID_MAX as f64).then_some(value as u64)
            }
            Some(ElementNumber::OutOfRange) => None,
            Some(ElementNumber::Float(_)) | None => return Err(wrong_type_at(offset, element, "id")),
        };
        Ok((value, offset))
    }

    /// An integer, and where it begins.
    #[inline]
    fn integer(&mut self) -> Result<(u64, usize), ParseError> {
        let element = self.enter()?;
        let offset = self.elements.offset();
        match self.elements.number()? {
            Some(ElementNumber::Uint(value)) => Ok((value, offset)),
            _ => Err(wrong_type_at(offset, element, "integer")),
        }
    }

    fn request_type(&mut self) -> Result<RequestType, ParseError> {
        let (code, offset) = self.integer()?;
        RequestType::from_code(code).ok_or_else(|| ParseError::new(offset, ParseErrorKind::RequestType(code)))
    }

    #[inline]
    fn string(&mut self, expected: &'static str) -> Result<Cow<'a, str>, ParseError> {
        let element = self.enter()?;
        match self.elements.string()? {
            Some(text) => Ok(text),
            None => Err(self.wrong_type(element, expected)),
        }
    }

    #[inline]
    fn dict(&mut self) -> Result<Dict<'a>, ParseError> {
        let element = self.enter()?;
        self.dict_here(element)
    }

    #[inline]
    fn dict_here(&mut self, element: usize) -> Result<Dict<'a>, ParseError> {
        match self.elements.dict()? {
            Some(dict) => Ok(dict),
            None => Err(self.wrong_type(element, "dict")),
        }
    }

    /// `Arguments` and `ArgumentsKw`, both of which may be missing.
    #[inline]
    fn payload(&mut self, options: &Dict<'a>) -> Result<Payload<'a>, ParseError> {
        let mut payload = Payload { serializer: E::SERIALIZER, ..Payload::NONE };
        if !self.elements.next()? {
            return Ok(payload);
        }
        let element = self.position;
        self.position += 1;
        let offset = self.elements.offset();
        let mut opaque = false;
        payload.args = Some(match self.elements.any()? {
            AnyElement::List(octets) => octets,
            AnyElement::Null => E::EMPTY_LIST,
            AnyElement::Text(octets) if options.get(OPAQUE_KEY).is_some() => {
                opaque = true;
                octets
            }
            _ => return Err(wrong_type_at(offset, element, "list")),
        });
        if self.elements.next()? {
            self.position += 1;
            let offset = self.elements.offset();
            payload.kwargs = match self.elements.any()? {
                AnyElement::Null => None,
                AnyElement::Dict(octets) if !opaque => Some(octets),
                _ => return Err(wrong_type_at(offset, element + 1, "dict")),
            };
        }
        payload.verbatim = self.elements.is_verbatim();
        payload.extensions = self.elements.has_extensions();
        Ok(payload)
    }

    /// Moves to the next element, which the message must have; its position.
    #[inline]
    fn enter(&mut self) -> Result<usize, ParseError> {
        let element = self.position;
        if !self.elements.next()? {
            let kind = ParseErrorKind::ElementCount { found: element };
            return Err(ParseError::new(self.elements.offset(), kind));
        }
        self.position += 1;
        Ok(element)
    }

    /// The end of the message. Elements beyond those that the type has are counted, for the error.
    #[inline]
    fn finish(mut self) -> Result<(), ParseError> {
        if !self.elements.next()? {
            return self.elements.close();
        }
        let offset = self.elements.offset();
        let mut found = self.position + 1;
        self.elements.any()?;
        while self.elements.next()? {
            self.elements.any()?;
            found += 1;
        }
        self.elements.close()?;
        Err(ParseError::new(offset, ParseErrorKind::ElementCount { found }))
    }

    #[cold]
    fn wrong_type(&self, element: usize, expected: &'static str) -> ParseError {
        wrong_type_at(self.elements.offset(), element, expected)
    }
}

#[cold]
fn wrong_type_at(offset: usize, element: usize, expected: &'static str) -> ParseError {
    ParseError::new(offset, ParseErrorKind::WrongType { element, expected })
}
