//! Where principals come from, besides the router's own.

use std::sync::Arc;

use crate::PrincipalStore;

/// One of the ordered sources of principals of a method. The first that knows a principal decides about it.
#[derive(Clone, Debug)]
pub enum Source {
    /// Principals that the router knows itself: of the configuration or of a file.
    Principals(Arc<PrincipalStore>),
    /// A dynamic authenticator.
    Procedure(Arc<ProcedureSource>),
    /// An HTTP hook.
    Http(HookId),
}

impl Source {
    /// Whether somebody outside has to be asked.
    pub(crate) fn is_outside(&self) -> bool {
        !matches!(self, Source::Principals(_))
    }
}

/// A dynamic authenticator: a procedure that is called with `(realm, authid, details)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcedureSource {
    /// The realm in which it is called; `None` is the realm that the session wants to join.
    pub realm: Option<Box<str>>,
    /// Its URI.
    pub procedure: Box<str>,
}

/// Which HTTP hook: an index that the configuration hands out and the driver knows the URL of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookId(pub u32);
