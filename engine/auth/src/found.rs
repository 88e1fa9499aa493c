//! What a source says of a principal.

use crate::admission::Grant;
use crate::{CraSecret, PublicKey, ScramRecord, Ticket};

/// What a principal must prove that it has.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// Nothing: the source has seen the proof itself, or the transport has.
    Proved,
    /// A ticket.
    Ticket(Ticket),
    /// The key of a WAMP-CRA signature.
    WampCra(CraSecret),
    /// The password behind a record.
    Scram(ScramRecord),
    /// The private half of one of these keys.
    Keys(Box<[PublicKey]>),
}

/// A principal that a source knows.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) authid: Box<str>,
    pub(crate) credential: Credential,
    pub(crate) grant: Grant,
    /// `authprovider`.
    pub(crate) provider: &'static str,
    /// Whether it stands in the router's own principals, where it can be looked up again.
    pub(crate) is_listed: bool,
}

/// `authprovider` of principals that the router knows itself.
pub(crate) const STATIC: &str = "static";
/// `authprovider` of those that a dynamic authenticator knows.
pub(crate) const DYNAMIC: &str = "dynamic";
/// `authprovider` of those that an HTTP hook knows.
pub(crate) const HTTP: &str = "http";
