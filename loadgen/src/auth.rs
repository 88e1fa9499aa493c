//! Who the sessions say they are: HELLO and the answer to CHALLENGE.
//!
//! Anonymous is the only way so far. Another method is another variant: what it adds to HELLO goes into
//! [`Credentials::hello`], how it answers into [`Credentials::answer`], its options into [`crate::options::Common`].

use wampline_wire::{Dict, Message, Value};

/// What every session of a run joins with.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// Nothing.
    Anonymous,
}

impl Credentials {
    /// Hands HELLO to `send`.
    pub(crate) fn hello(&self, realm: &str, send: impl FnOnce(&Message<'_>)) {
        const ROLE: Value<'static> = Value::Dict(Dict::EMPTY);
        const ROLES: &[(&str, Value<'static>)] =
            &[("caller", ROLE), ("callee", ROLE), ("publisher", ROLE), ("subscriber", ROLE)];
        const DETAILS: &[(&str, Value<'static>)] = &[("roles", Value::Dict(Dict::pairs(ROLES)))];
        let Credentials::Anonymous = self;
        send(&Message::Hello { realm: realm.into(), details: Dict::pairs(DETAILS) });
    }

    /// The AUTHENTICATE that answers a CHALLENGE.
    ///
    /// # Errors
    /// If these credentials have no answer to that method.
    pub(crate) fn answer(&self, method: &str, _extra: &Dict<'_>) -> Result<Message<'static>, String> {
        let Credentials::Anonymous = self;
        Err(format!("the router asks for authentication by {method:?}; this generator joins anonymously"))
    }
}
