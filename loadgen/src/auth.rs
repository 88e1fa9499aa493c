//! Who the sessions say they are: HELLO and the answer to CHALLENGE.
//!
//! Anonymous is the only way so far. Another method is another variant of [`Credentials`]: what it adds to HELLO goes into
//! [`Identity::hello`], how it answers into [`Identity::answer`], its options into [`crate::options::Common`].

use wampline_wire::{Dict, Message, Value};

/// Where and as whom every session of a run joins.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) realm: String,
    pub(crate) credentials: Credentials,
}

/// What sessions prove who they are with.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// Nothing.
    Anonymous,
}

impl Identity {
    /// Hands HELLO to `send`.
    pub(crate) fn hello(&self, send: impl FnOnce(&Message<'_>)) {
        const ROLE: Value<'static> = Value::Dict(Dict::EMPTY);
        const ROLES: &[(&str, Value<'static>)] =
            &[("caller", ROLE), ("callee", ROLE), ("publisher", ROLE), ("subscriber", ROLE)];
        const DETAILS: &[(&str, Value<'static>)] = &[("roles", Value::Dict(Dict::pairs(ROLES)))];
        let Credentials::Anonymous = self.credentials;
        send(&Message::Hello { realm: self.realm.as_str().into(), details: Dict::pairs(DETAILS) });
    }

    /// The AUTHENTICATE that answers a CHALLENGE.
    ///
    /// # Errors
    /// If these credentials have no answer to that method.
    pub(crate) fn answer(&self, method: &str, _extra: &Dict<'_>) -> Result<Message<'static>, String> {
        let Credentials::Anonymous = self.credentials;
        Err(format!("the router asks for authentication by {method:?}; this generator joins anonymously"))
    }
}
