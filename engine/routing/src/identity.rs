//! Who a session is, as the router knows it.

use std::sync::Arc;

use wampline_wire::SessionId;

/// What WELCOME told a session about itself, and what others may learn of it ("Session Establishment", "Caller
/// Identification", "Publisher Identification"). It comes from the router alone, never from what a client says.
///
/// Shared by everything that speaks of the session: it does not change while the session lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub session: SessionId,
    /// `authid`, never empty.
    pub authid: Box<str>,
    /// `authrole`, never empty.
    pub authrole: Arc<str>,
    /// `authmethod`.
    pub authmethod: &'static str,
    /// `authprovider`.
    pub authprovider: &'static str,
}
