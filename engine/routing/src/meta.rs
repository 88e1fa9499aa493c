//! The meta API: what clients may ask the router about a realm, and what it tells them of its own accord (advanced
//! profile, "Session Meta API", "Registration Meta API", "Subscriptions Meta API", "Session Testament", "Interface
//! Reflection").
//!
//! Owns the names ([`Procedure`], [`MetaTopic`]), the form of arguments and events, a session's testaments and a realm's
//! descriptions. What is known about sessions, subscriptions and registrations is the [`crate::Directory`]'s, which answers
//! the calls and takes note of the events.
//!
//! Invariants: an event is built only if somebody subscribes to it; a call changes nothing unless all of its arguments are
//! right; every store is bounded.

mod arguments;
mod event;
mod log;
mod procedure;
mod reflection;
mod session_set;
mod testament;
mod time;

pub(crate) use arguments::Arguments;
pub use arguments::MetaError;
pub use event::{Created, MetaEvent, MetaTopic};
pub(crate) use event::{created_details, session_details};
pub(crate) use log::Log;
pub use log::Owned;
pub use procedure::Procedure;
pub(crate) use reflection::{Definition, Kind, Reflection, kind as reflected_kind};
pub(crate) use session_set::SessionSet;
pub use testament::{Testament, TestamentLimits, Testaments};
pub use time::UnixNanos;

use std::sync::Arc;

use wampline_wire::{PayloadBuf, Serializer, SessionId, Value};

use crate::identity::Identity;

/// The most ids or URIs in one answer: some two milliseconds of work, a megabyte of answer. What is longer is refused with the
/// number that there are, so that no list is taken for complete that is not.
pub const LIST_MAX: usize = 1 << 17;

/// A bound is met. The specification has no URI for it.
const LIMIT_EXCEEDED: &str = "wampline.error.limit_exceeded";

/// The descriptions of one realm, in octets.
pub(crate) const DESCRIPTIONS_BYTES_MAX: usize = 4 << 20;

/// The details of one session that [`Procedure::SessionModifyDetails`] may add, in octets as encoded.
pub const DETAILS_BYTES_MAX: usize = 4 << 10;

/// What a realm offers of the meta API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetaApi {
    /// Nothing: no procedures, no events, no announcement.
    Off,
    /// Procedures that read, events, and what concerns the calling session alone.
    #[default]
    Read,
    /// Everything: also ending sessions, changing their details, revoking subscriptions and registrations, and
    /// describing URIs.
    Full,
}

/// How a session is connected: what `transport` tells in the details of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// `websocket` or `rawsocket`.
    pub kind: &'static str,
    /// The serializer.
    pub serializer: &'static str,
    /// Whether the router terminates TLS for it.
    pub tls: bool,
    /// The peer's address; `None` for a Unix domain socket.
    pub peer: Option<std::net::SocketAddr>,
}

/// A session as it joins.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// How it is connected.
    pub transport: Transport,
}

/// What a killed session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// GOODBYE.Reason.
    pub reason: Box<str>,
    /// GOODBYE.Details.message.
    pub message: Option<Box<str>>,
}

/// What came of a meta call.
#[derive(Debug)]
pub enum MetaOutcome {
    /// The answer, at once.
    Now(Result<PayloadBuf, MetaError>),
    /// The answer, once these sessions have been released.
    AfterRelease {
        /// Who has been told to go.
        sessions: Vec<SessionId>,
        /// The answer.
        result: PayloadBuf,
    },
}

/// Encodes what the router itself says. Only a value that came from a client can be inexpressible.
pub(crate) fn encode(serializer: Serializer, values: &[Value<'_>]) -> Result<PayloadBuf, MetaError> {
    PayloadBuf::from_values(serializer, values, &[])
        .map_err(|_| MetaError::invalid_argument("the answer cannot be expressed in the caller's serializer"))
}
