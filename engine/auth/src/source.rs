//! Where principals come from, besides the router's own.

use std::sync::Arc;

use crate::PrincipalStore;

/// One of the ordered sources of principals of a method. The first that knows a principal decides about it.
///
/// # What a source outside is asked
///
/// A procedure is called with `(realm, authid, details)`, a hook gets a JSON object with these three entries. `authid` is null
/// where the client gives none; an anonymous session has a random one. `details` has `session`, `authmethod`,
/// `authid`, `authextra` (of HELLO, at most 16 KiB), `transport` (`type`, `protocol`, `peer`, `is_secure`, `channel_type`,
/// `channel_framing`, `channel_serializer`, and with a certificate `client_cert`) and, for method `ticket`, `ticket`. What is
/// not there is left out.
///
/// # What it answers
///
/// The role as a string; or a dict with `role`, with `authid`, `realm` and `extra` where it chooses them, and with what the
/// method needs:
///
/// | method | entries |
/// |---|---|
/// | `anonymous`, `ticket`, `tls` | none: the source has decided itself |
/// | `wampcra` | `secret`; with `salt`, `iterations` (1,000 unless given) and `keylen` (32) the password as `secret`, or the derived `key` in base64, which more than 10,000 iterations take |
/// | `wamp-scram` | `kdf`, `iterations`, `memory`, `salt` in base64, `stored-key`, `server-key` |
/// | `scram` | the same, `salt` in hexadecimal digits |
/// | `cryptosign` | `pubkey`, or `authorized_keys`, a list |
///
/// Null, nothing, or the error `wamp.error.no_such_principal` (of a hook as `{"error": ...}`) says that the source does not know
/// the principal; then the next one is asked. Any other error of its own, `wamp.error.authentication_denied` and
/// `wamp.error.runtime_error` refuse the session, as a wrong secret does. Whatever else it is (no such procedure, no answer
/// in time, an answer that is not understood) ends in `wamp.error.authentication_failed` and is logged.
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
