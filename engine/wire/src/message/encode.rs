//! From a [`Message`] to octets: its elements in order, each by the [`Writer`].

use crate::{Dict, EncodeError, Message, Payload, dict::ListRepr, writer, writer::Writer};

/// Appends the message in the form of `W`. With `BEFORE` it ends before the first octet of its payload.
pub(super) fn encode<W: Writer, const BEFORE: bool>(
    message: &Message<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let code = message.message_type() as u16;
    match message {
        Message::Publish { request, options, topic, payload } => {
            Elements::<W, BEFORE>::begin(out, code, 4, Some(payload))
                .id(request.get())
                .dict(options)?
                .string(topic)?
                .payload(payload)
        }
        Message::Event { subscription, publication, details, payload } => {
            Elements::<W, BEFORE>::begin(out, code, 4, Some(payload))
                .id(subscription.get())
                .id(publication.get())
                .dict(details)?
                .payload(payload)
        }
        Message::Call { request, options, procedure, payload } => {
            Elements::<W, BEFORE>::begin(out, code, 4, Some(payload))
                .id(request.get())
                .dict(options)?
                .string(procedure)?
                .payload(payload)
        }
        Message::Invocation { request, registration, details, payload } => {
            Elements::<W, BEFORE>::begin(out, code, 4, Some(payload))
                .id(request.get())
                .id(registration.get())
                .dict(details)?
                .payload(payload)
        }
        Message::Result { request, details: dict, payload }
        | Message::Yield { request, options: dict, payload } => {
            Elements::<W, BEFORE>::begin(out, code, 3, Some(payload))
                .id(request.get())
                .dict(dict)?
                .payload(payload)
        }
        Message::Error { request_type, request, details, error, payload } => {
            Elements::<W, BEFORE>::begin(out, code, 5, Some(payload))
                .id(*request_type as u64)
                .id(request.get())
                .dict(details)?
                .string(error)?
                .payload(payload)
        }
        Message::Abort { details, reason, payload } => {
            Elements::<W, BEFORE>::begin(out, code, 3, Some(payload))
                .dict(details)?
                .string(reason)?
                .payload(payload)
        }
        _ => encode_bare::<W>(message, code, out),
    }
}

/// The messages without a payload.
fn encode_bare<W: Writer>(message: &Message<'_>, code: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let begin = |out, count| Elements::<W, false>::begin(out, code, count, None);
    let elements = match message {
        Message::Hello { realm: text, details: dict }
        | Message::Challenge { method: text, extra: dict }
        | Message::Authenticate { signature: text, extra: dict } => begin(out, 3).string(text)?.dict(dict)?,
        Message::Welcome { session, details } => begin(out, 3).id(session.get()).dict(details)?,
        Message::Goodbye { details, reason } => begin(out, 3).dict(details)?.string(reason)?,
        Message::Published { request, publication } => begin(out, 3).id(request.get()).id(publication.get()),
        Message::Subscribe { request, options, topic: uri }
        | Message::Register { request, options, procedure: uri } => {
            begin(out, 4).id(request.get()).dict(options)?.string(uri)?
        }
        Message::Subscribed { request, subscription } | Message::Unsubscribe { request, subscription } => {
            begin(out, 3).id(request.get()).id(subscription.get())
        }
        Message::Registered { request, registration } | Message::Unregister { request, registration } => {
            begin(out, 3).id(request.get()).id(registration.get())
        }
        Message::Unsubscribed { request, details } | Message::Unregistered { request, details } => {
            match request {
                Some(request) => begin(out, 2).id(request.get()),
                None => begin(out, 3).id(0).dict(&details.unwrap_or(Dict::EMPTY))?,
            }
        }
        Message::EventReceived { publication } => begin(out, 2).id(publication.get()),
        Message::Cancel { request, options } | Message::Interrupt { request, options } => {
            begin(out, 3).id(request.get()).dict(options)?
        }
        Message::Publish { .. }
        | Message::Event { .. }
        | Message::Call { .. }
        | Message::Invocation { .. }
        | Message::Result { .. }
        | Message::Yield { .. }
        | Message::Error { .. }
        | Message::Abort { .. } => return encode::<W, false>(message, out),
    };
    elements.end()
}

/// A message being written.
struct Elements<'o, W, const BEFORE: bool> {
    out: &'o mut Vec<u8>,
    writer: std::marker::PhantomData<W>,
}

impl<'o, W: Writer, const BEFORE: bool> Elements<'o, W, BEFORE> {
    /// Begins a message of `count` elements, the type code included, and those of the payload.
    #[inline]
    fn begin(out: &'o mut Vec<u8>, code: u16, count: usize, payload: Option<&Payload<'_>>) -> Self {
        // The ids, the brackets and a few options; strings and spans reserve for themselves.
        out.reserve(96 + if BEFORE { 0 } else { payload.map_or(0, Payload::len) });
        W::begin_message(out, count + payload.map_or(0, elements), code);
        Elements { out, writer: std::marker::PhantomData }
    }

    #[inline]
    fn id(self, value: u64) -> Self {
        W::separator(self.out);
        W::uint(self.out, value);
        self
    }

    #[inline]
    fn string(self, text: &str) -> Result<Self, EncodeError> {
        W::separator(self.out);
        W::string(self.out, text.as_bytes())?;
        Ok(self)
    }

    #[inline]
    fn dict(self, dict: &Dict<'_>) -> Result<Self, EncodeError> {
        W::separator(self.out);
        writer::dict::<W>(self.out, dict.0)?;
        Ok(self)
    }

    /// The payload's elements and the end of the message.
    #[inline]
    fn payload(self, payload: &Payload<'_>) -> Result<(), EncodeError> {
        let Payload { serializer, args, kwargs, verbatim, .. } = *payload;
        match (args, kwargs) {
            (None, None) => return self.end(),
            (Some(args), _) => {
                W::separator(self.out);
                if BEFORE {
                    return Ok(());
                }
                writer::copy::<W>(serializer, args, verbatim, self.out)?;
            }
            (None, Some(_)) => {
                W::separator(self.out);
                writer::list::<W>(self.out, ListRepr::Items(&[]))?;
            }
        }
        if let Some(kwargs) = kwargs {
            W::separator(self.out);
            if BEFORE {
                return Ok(());
            }
            writer::copy::<W>(serializer, kwargs, verbatim, self.out)?;
        }
        self.end()
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        W::end_list(self.out);
        Ok(())
    }
}

/// How many elements a payload takes.
#[inline]
fn elements(payload: &Payload<'_>) -> usize {
    match payload {
        Payload { kwargs: Some(_), .. } => 2,
        Payload { args: Some(_), .. } => 1,
        _ => 0,
    }
}
