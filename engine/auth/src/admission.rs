//! How an attempt ends.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::ConfigError;
use crate::realm::ROLE_BYTES_MAX;
use crate::{Method, OwnedDict};

/// Who the session is: what WELCOME says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The realm that the session joins in place of the one it asked for.
    pub realm: Option<Box<str>>,
    /// `authid`, never empty.
    pub authid: Box<str>,
    /// `authrole`, never empty. Whether there is such a role is for the caller to see.
    pub authrole: Arc<str>,
    /// `authmethod`.
    pub authmethod: &'static str,
    /// `authprovider`: `static`, `dynamic`, `http`, or the method that a cookie stands for.
    pub authprovider: &'static str,
    /// `authextra`.
    pub authextra: Option<OwnedDict>,
}

/// Why a session is refused: what ABORT says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `Reason`, a URI.
    pub reason: &'static str,
    /// `Details.message`.
    pub text: Cow<'static, str>,
    /// Whether to release it on the fixed grid: the method has sources outside, and how long they took would tell
    /// what they know.
    pub on_grid: bool,
}

impl Refusal {
    /// Wrong secret, unknown principal, used challenge: they all look like this.
    pub fn denied(on_grid: bool) -> Refusal {
        Refusal { reason: DENIED, text: Cow::Borrowed(DENIED_TEXT), on_grid }
    }
    /// The client lists no method, and there are no anonymous sessions for it.
    pub fn required() -> Refusal {
        let text = Cow::Borrowed("this realm has no anonymous sessions: HELLO must list authmethods");
        Refusal { reason: REQUIRED, text, on_grid: false }
    }
    /// A source outside could not be asked, or its answer is not understood.
    pub(crate) fn failed() -> Refusal {
        let text = Cow::Borrowed("authentication could not be carried out: try again later");
        Refusal { reason: FAILED, text, on_grid: true }
    }
    /// Something that is wrong whoever asks: it may be named.
    pub(crate) fn malformed(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { reason: DENIED, text: text.into(), on_grid: false }
    }
}

impl From<&'static str> for Refusal {
    fn from(text: &'static str) -> Refusal {
        Refusal::malformed(text)
    }
}

/// Authentication is refused.
pub(crate) const DENIED: &str = "wamp.error.authentication_denied";
/// Authentication could not be carried out.
pub(crate) const FAILED: &str = "wamp.error.authentication_failed";
/// No method that the client lists is one of the realm's.
pub(crate) const NO_MATCHING_METHOD: &str = "wamp.error.no_matching_auth_method";
/// The client lists no method, and the realm has no anonymous sessions.
pub(crate) const REQUIRED: &str = "wamp.error.authentication_required";

const DENIED_TEXT: &str = "authentication failed: unknown principal or wrong credentials";

/// What a principal gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its role.
    pub(crate) role: Arc<str>,
    /// Its authid, where it is not the one that it proved.
    pub(crate) authid: Option<Box<str>>,
    /// The realm that it joins in place of the one it asked for.
    pub(crate) realm: Option<Box<str>>,
    /// `authextra` of its WELCOME.
    pub(crate) extra: Option<OwnedDict>,
}

impl Grant {
    /// The role, and nothing else out of the ordinary.
    ///
    /// # Errors
    /// If the role is empty or longer than 255 octets.
    pub fn role(role: impl Into<Arc<str>>) -> Result<Grant, ConfigError> {
        let role = role.into();
        check_name("role", &role, ROLE_BYTES_MAX)?;
        Ok(Grant { role, authid: None, realm: None, extra: None })
    }
    /// The session is to have this authid, whatever the principal's name is.
    ///
    /// # Errors
    /// If the authid is empty or longer than 255 octets.
    pub fn with_authid(mut self, authid: &str) -> Result<Grant, ConfigError> {
        check_name("authid", authid, crate::authid::AUTHID_BYTES_MAX)?;
        self.authid = Some(authid.into());
        Ok(self)
    }
    /// The session is to join this realm, whichever it asked for.
    ///
    /// # Errors
    /// If the realm is empty or longer than 255 octets.
    pub fn with_realm(mut self, realm: &str) -> Result<Grant, ConfigError> {
        check_name("realm", realm, crate::realm::REALM_BYTES_MAX)?;
        self.realm = Some(realm.into());
        Ok(self)
    }
    /// The session's WELCOME is to have this `authextra`.
    #[must_use]
    pub fn with_extra(mut self, extra: OwnedDict) -> Grant {
        self.extra = Some(extra);
        self
    }
    /// The admission of the principal `authid` by `method`.
    pub(crate) fn admit(self, authid: Box<str>, method: Method, provider: &'static str) -> Box<Admission> {
        Box::new(Admission {
            realm: self.realm,
            authid: self.authid.unwrap_or(authid),
            authrole: self.role,
            authmethod: method.name(),
            authprovider: provider,
            authextra: self.extra,
        })
    }
}

/// Checks a name of the configuration.
pub(crate) fn check_name(what: &'static str, name: &str, max: usize) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(ConfigError::Empty { what });
    }
    if name.len() > max {
        return Err(ConfigError::TooLong { what, max });
    }
    Ok(())
}
