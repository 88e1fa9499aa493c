//! Octets to borrowed WAMP messages and back: JSON, MessagePack and CBOR.
//!
//! No state, no clock, no I/O. A message is parsed from borrowed octets: its header elements are
//! located without decoding the payload, and the payload is kept as a raw span that has been
//! validated completely (UTF-8, nesting, numbers, lengths, keys). Encoding copies that span when
//! the receiver uses the same serializer and transcodes it without a tree when it does not.
//!
//! What is refused on the way in is what some client's decoder would fail on or be changed by, so that
//! octets of one client never break another: beyond each grammar that is nesting deeper than
//! [`DEPTH_MAX`], dict keys that are not strings, lone surrogates, JSON numbers that are not finite as
//! binary64 or longer than 1,024 octets, malformed timestamps, and tags and extension types that alter a
//! decoder's state or that decoders interpret in ways of their own. Valid CBOR that a deployed decoder
//! cannot read (strings in chunks, times in integers of eight octets) is rewritten instead of copied.
//!
//! What becomes of a value that the other serializer does not have:
//!
//! | from | to | becomes |
//! |---|---|---|
//! | octets | JSON | a string of U+0000 and base64 ("Binary support in JSON"), and back if it is valid base64 |
//! | integer beyond 64 bits | JSON, CBOR | itself (CBOR: tag 2 or 3; JSON: up to 308 digits); MessagePack: [`EncodeError`] |
//! | NaN, infinity | JSON | [`EncodeError`] |
//! | undefined (CBOR `f7`, MessagePack extension 0 with one octet 0) | any other | null |
//! | CBOR tags 0, 1, 32, 55799 | any other | their content |
//! | CBOR tags 64, 68 | any other | octets |
//! | other tags and extension types | any other | [`EncodeError`] |

mod bignum;
mod cbor;
mod dict;
mod error;
mod id;
mod json;
mod message;
mod msgpack;
mod nesting;
mod payload;
mod serializer;
mod utf8;
mod writer;

pub use dict::{Dict, List, Value};
pub use error::{EncodeError, ParseError, ParseErrorKind};
pub use id::{ID_MAX, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
pub use message::{Message, MessageType, RequestType};
pub use payload::{Payload, PayloadBuf};
pub use serializer::Serializer;

/// The deepest nesting of lists and dicts that a message may have, the message's own list included.
pub const DEPTH_MAX: usize = 128;
