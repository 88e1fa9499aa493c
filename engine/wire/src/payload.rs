//! The application payload of a message: `Arguments` and `ArgumentsKw`, carried unparsed.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{
    Dict, EncodeError, List, Serializer, Value,
    cbor::{self, CborWriter},
    dict::{DictRepr, ListRepr},
    json::{self, JsonWriter},
    msgpack::{self, MsgPackWriter},
    writer::{self, Writer},
};

/// `Arguments` and `ArgumentsKw` as raw, completely validated spans of the sender's message.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    pub(crate) serializer: Serializer,
    /// The list, absent if the message has neither element. Never a null. With `enc_algo` in the options it
    /// may be one string or octets instead, see [`Payload::opaque`].
    pub(crate) args: Option<&'a [u8]>,
    /// The dict, absent if the message does not have it or has null there.
    pub(crate) kwargs: Option<&'a [u8]>,
    /// Whether the spans are in a form that every decoder of the serializer reads. CBOR strings in chunks are
    /// not, for one: they are valid, but a deployed JavaScript decoder refuses them. Such spans are rewritten.
    pub(crate) verbatim: bool,
    /// Whether there are extension types of an application's own in MessagePack: some clients break on any that they do not know.
    pub(crate) extensions: bool,
    /// Where the spans are kept, if they can be sent from there.
    pub(crate) shared: Option<&'a Arc<Vec<u8>>>,
}

/// A payload that owns its octets: what crosses to another shard or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadBuf {
    serializer: Serializer,
    octets: Octets,
    /// Where `args` ends in `octets`; `None` without args.
    args_end: Option<usize>,
    has_kwargs: bool,
    extensions: bool,
}

/// Payloads from this length on are kept so that they can be sent from where they are, in octets. Below that it is cheaper to
/// copy them than to hand the kernel another slice.
const SHARED_BYTES_MIN: usize = 4 << 10;

/// The spans of a payload, one behind the other.
#[derive(Clone, Debug)]
enum Octets {
    Owned(Vec<u8>),
    /// Followed by what ends a message, so that they are the end of one as they are.
    Shared(Arc<Vec<u8>>, Serializer),
}

impl<'a> Payload<'a> {
    /// No arguments at all.
    pub const NONE: Payload<'static> = Payload {
        serializer: Serializer::Json,
        args: None,
        kwargs: None,
        verbatim: true,
        extensions: false,
        shared: None,
    };

    /// The serializer that the spans are written in.
    pub fn serializer(&self) -> Serializer {
        self.serializer
    }
    /// Whether the message has neither `Arguments` nor `ArgumentsKw`.
    pub fn is_none(&self) -> bool {
        self.args.is_none() && self.kwargs.is_none()
    }
    /// Octets of both spans together.
    pub fn len(&self) -> usize {
        self.args.map_or(0, <[u8]>::len) + self.kwargs.map_or(0, <[u8]>::len)
    }
    /// Whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether there are extension types of an application's own in it, which only MessagePack has. Not every client reads those.
    pub fn has_extensions(&self) -> bool {
        self.extensions
    }
    /// Copies both spans into one right-sized block.
    pub fn to_buf(&self) -> PayloadBuf {
        if !self.verbatim
            && let Ok(normal) = transcode(self, self.serializer)
        {
            return normal;
        }
        PayloadBuf {
            serializer: self.serializer,
            octets: self.octets(),
            args_end: self.args.map(<[u8]>::len),
            has_kwargs: self.kwargs.is_some(),
            extensions: self.extensions,
        }
    }
    fn octets(&self) -> Octets {
        if let Some(shared) = self.shared {
            return Octets::Shared(shared.clone(), self.serializer);
        }
        let end = end_of_message(self.serializer);
        let mut octets = Vec::with_capacity(self.len() + end.len());
        octets.extend_from_slice(self.args.unwrap_or_default());
        octets.extend_from_slice(self.kwargs.unwrap_or_default());
        // Between two elements of a JSON message there is a comma.
        let is_one_piece =
            self.serializer != Serializer::Json || self.args.is_none() || self.kwargs.is_none();
        if octets.len() < SHARED_BYTES_MIN || !is_one_piece {
            return Octets::Owned(octets);
        }
        octets.extend_from_slice(end);
        Octets::Shared(Arc::new(octets), self.serializer)
    }
    /// The octets that end a message with this payload in this serializer, if they are at hand as such: then
    /// [`Message::encode_before_payload`](crate::Message::encode_before_payload) gives what comes before them, and nothing need
    /// be copied. Long payloads that come from a [`PayloadBuf`] can be sent so.
    pub fn shared(&self, serializer: Serializer) -> Option<&'a Arc<Vec<u8>>> {
        self.shared.filter(|_| serializer == self.serializer)
    }
    /// The payload written for another serializer (without a tree, and without a copy in between).
    ///
    /// # Errors
    /// If that serializer cannot express a value.
    pub fn transcode(&self, to: Serializer) -> Result<PayloadBuf, EncodeError> {
        if to == self.serializer { Ok(self.to_buf()) } else { transcode(self, to) }
    }
    /// The octets of `Arguments` and of `ArgumentsKw`, in [`Payload::serializer`].
    pub fn spans(&self) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        (self.args, self.kwargs)
    }
    /// The positional arguments, read lazily. `None` if there are none, and for a payload that is
    /// [opaque](Payload::opaque).
    pub fn args(&self) -> Option<List<'a>> {
        let octets = self.args?;
        let list = match self.serializer {
            Serializer::Json => octets.first() == Some(&b'['),
            Serializer::MsgPack => matches!(octets.first(), Some(0x90..=0x9f | 0xdc | 0xdd)),
            Serializer::Cbor => matches!(octets.first(), Some(0x80..=0x9f)),
        };
        list.then_some(List(ListRepr::Raw(self.serializer, octets)))
    }
    /// The keyword arguments, read lazily.
    pub fn kwargs(&self) -> Option<Dict<'a>> {
        self.kwargs.map(|octets| Dict(DictRepr::Raw(self.serializer, octets)))
    }
    /// The octets that stand in the place of `Arguments`, if they do: payload transparency as clients deployed
    /// it, announced by `enc_algo` in the options. It passes from serializer to serializer as octets.
    pub fn opaque(&self) -> Option<Cow<'a, [u8]>> {
        let octets = self.args?;
        match self.serializer {
            Serializer::Json => json::opaque(octets),
            Serializer::MsgPack => msgpack::opaque(octets),
            Serializer::Cbor => cbor::opaque(octets),
        }
    }
}

impl PayloadBuf {
    /// Encodes values as a payload: for tests, clients and the router's own messages.
    ///
    /// # Errors
    /// If the serializer cannot express a value.
    pub fn from_values(
        serializer: Serializer,
        args: &[Value<'_>],
        kwargs: &[(&str, Value<'_>)],
    ) -> Result<PayloadBuf, EncodeError> {
        match serializer {
            Serializer::Json => from_values::<JsonWriter>(args, kwargs),
            Serializer::MsgPack => from_values::<MsgPackWriter>(args, kwargs),
            Serializer::Cbor => from_values::<CborWriter>(args, kwargs),
        }
    }
    /// The payload in borrowed form.
    pub fn as_payload(&self) -> Payload<'_> {
        let (args, kwargs) = self.octets.as_slice().split_at(self.args_end.unwrap_or(0));
        Payload {
            serializer: self.serializer,
            args: self.args_end.map(|_| args),
            kwargs: self.has_kwargs.then_some(kwargs),
            verbatim: true,
            extensions: self.extensions,
            shared: match &self.octets {
                Octets::Owned(_) => None,
                Octets::Shared(octets, _) => Some(octets),
            },
        }
    }
    /// The same payload written for another serializer (without a tree).
    ///
    /// # Errors
    /// If that serializer cannot express a value.
    pub fn transcode(&self, to: Serializer) -> Result<PayloadBuf, EncodeError> {
        if to == self.serializer { Ok(self.clone()) } else { transcode(&self.as_payload(), to) }
    }
    /// Octets held.
    pub fn len(&self) -> usize {
        self.octets.as_slice().len()
    }
    /// Whether no octets are held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Octets {
    fn as_slice(&self) -> &[u8] {
        match self {
            Octets::Owned(octets) => octets,
            Octets::Shared(octets, serializer) => &octets[..octets.len() - end_of_message(*serializer).len()],
        }
    }
}

impl PartialEq for Octets {
    fn eq(&self, other: &Octets) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Octets {}

/// What a message ends with, behind its payload.
fn end_of_message(serializer: Serializer) -> &'static [u8] {
    if serializer == Serializer::Json { b"]" } else { b"" }
}

/// The payload of these values: without kwargs and args none at all, without kwargs args alone.
fn from_values<W: Writer>(
    args: &[Value<'_>],
    kwargs: &[(&str, Value<'_>)],
) -> Result<PayloadBuf, EncodeError> {
    let mut octets = Vec::new();
    let mut args_end = None;
    if !args.is_empty() {
        writer::list::<W>(&mut octets, ListRepr::Items(args))?;
        args_end = Some(octets.len());
    }
    if !kwargs.is_empty() {
        writer::dict::<W>(&mut octets, DictRepr::Pairs(kwargs))?;
    }
    Ok(PayloadBuf {
        serializer: W::SERIALIZER,
        octets: Octets::Owned(octets),
        args_end,
        has_kwargs: !kwargs.is_empty(),
        extensions: false,
    })
}

fn transcode(payload: &Payload<'_>, to: Serializer) -> Result<PayloadBuf, EncodeError> {
    let write = match to {
        Serializer::Json => writer::transcode::<JsonWriter>,
        Serializer::MsgPack => writer::transcode::<MsgPackWriter>,
        Serializer::Cbor => writer::transcode::<CborWriter>,
    };
    let mut octets = Vec::with_capacity(payload.len());
    if let Some(args) = payload.args {
        write(payload.serializer, args, &mut octets)?;
    }
    let args_end = payload.args.map(|_| octets.len());
    if let Some(kwargs) = payload.kwargs {
        write(payload.serializer, kwargs, &mut octets)?;
    }
    Ok(PayloadBuf {
        serializer: to,
        octets: Octets::Owned(octets),
        args_end,
        has_kwargs: payload.kwargs.is_some(),
        extensions: payload.extensions && to == Serializer::MsgPack,
    })
}
