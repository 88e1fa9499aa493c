//! The arguments of a meta call, and what is wrong with them.

use std::borrow::Cow;

use smallvec::SmallVec;
use wampline_wire::{Dict, Payload, RegistrationId, SessionId, SubscriptionId, Value};

use crate::error_uri;
use crate::meta::Farewell;
use crate::uri::{MatchPolicy, UriRules};

/// Why a meta call fails: an error URI, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaError {
    /// ERROR.Error.
    pub uri: &'static str,
    /// For people.
    pub text: Cow<'static, str>,
}

impl MetaError {
    pub(crate) fn new(uri: &'static str, text: impl Into<Cow<'static, str>>) -> MetaError {
        MetaError { uri, text: text.into() }
    }

    pub(crate) fn invalid_argument(text: impl Into<Cow<'static, str>>) -> MetaError {
        MetaError::new(error_uri::INVALID_ARGUMENT, text)
    }

    pub(crate) fn no_such_session() -> MetaError {
        MetaError::new(error_uri::NO_SUCH_SESSION, "there is no (other) session with this id in the realm")
    }

    pub(crate) fn limit_exceeded(text: impl Into<Cow<'static, str>>) -> MetaError {
        MetaError::new(super::LIMIT_EXCEEDED, text)
    }
}

/// The most positional arguments that any meta procedure takes; more are not looked at.
const POSITIONAL_MAX: usize = 4;

/// The arguments of a meta call. A null is as good as absent.
pub(crate) struct Arguments<'a> {
    positional: SmallVec<[Value<'a>; POSITIONAL_MAX]>,
    keywords: Option<Dict<'a>>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(payload: Payload<'a>) -> Arguments<'a> {
        let positional = payload.args().map(|args| args.iter().take(POSITIONAL_MAX).collect());
        Arguments { positional: positional.unwrap_or_default(), keywords: payload.kwargs() }
    }

    /// A positional argument, counted from 0.
    pub(crate) fn get(&self, n: usize) -> Option<&Value<'a>> {
        self.positional.get(n).filter(|value| !matches!(value, Value::Null))
    }

    /// A keyword argument.
    pub(crate) fn keyword(&self, name: &str) -> Option<Value<'a>> {
        self.keywords?.get(name)
    }

    /// A positional argument that must be a string.
    pub(crate) fn text(&self, n: usize, name: &str) -> Result<&str, MetaError> {
        self.get(n).and_then(Value::as_str).ok_or_else(|| expected(n, name, "a string"))
    }

    pub(crate) fn session(&self, n: usize) -> Result<SessionId, MetaError> {
        self.id(n, "session", SessionId::new)
    }

    pub(crate) fn subscription(&self, n: usize) -> Result<SubscriptionId, MetaError> {
        self.id(n, "subscription", SubscriptionId::new)
    }

    pub(crate) fn registration(&self, n: usize) -> Result<RegistrationId, MetaError> {
        self.id(n, "registration", RegistrationId::new)
    }

    /// An optional list of roles.
    pub(crate) fn roles(&self, n: usize) -> Result<Option<Vec<String>>, MetaError> {
        let Some(value) = self.get(n) else { return Ok(None) };
        let roles = || {
            let roles = value.as_list()?.iter().take(ROLES_MAX + 1);
            let roles: Option<Vec<String>> = roles.map(|role| role.as_str().map(str::to_owned)).collect();
            roles.filter(|roles| roles.len() <= ROLES_MAX)
        };
        match roles() {
            Some(mut roles) => {
                roles.sort_unstable();
                roles.dedup();
                Ok(Some(roles))
            }
            None => Err(expected(n, "filter_authroles", "a list of at most 256 strings")),
        }
    }

    /// The `match` in an optional dict of options; absent means exact.
    pub(crate) fn policy(&self, n: usize) -> Result<MatchPolicy, MetaError> {
        let Some(value) = self.get(n) else { return Ok(MatchPolicy::Exact) };
        let options = value.as_dict().ok_or_else(|| expected(n, "options", "a dict"))?;
        match options.get("match") {
            None => Ok(MatchPolicy::Exact),
            Some(policy) => policy.as_str().and_then(MatchPolicy::parse).ok_or_else(|| {
                expected(n, "options", "a dict whose match is \"exact\", \"prefix\" or \"wildcard\"")
            }),
        }
    }

    /// What a killed session is to be told, from the keyword arguments.
    pub(crate) fn farewell(&self) -> Result<Farewell, MetaError> {
        let invalid = || {
            let text = "the keyword argument reason must be a valid URI that is not empty";
            MetaError::new(error_uri::INVALID_URI, text)
        };
        let reason = match self.keyword("reason") {
            None => error_uri::KILLED.into(),
            Some(value) => {
                let reason = value.as_str().ok_or_else(invalid)?;
                UriRules::Loose.check(reason).map_err(|_| invalid())?;
                reason.into()
            }
        };
        let message = match self.keyword("message") {
            None => None,
            Some(value) => {
                let text = "the keyword argument message must be a string";
                Some(value.as_str().ok_or_else(|| MetaError::invalid_argument(text))?.into())
            }
        };
        Ok(Farewell { reason, message })
    }

    /// Why something is revoked: the third argument or the keyword argument `reason`. A URI, as the catalog has it: deployed
    /// clients close on anything else.
    pub(crate) fn reason(&self) -> Result<Option<Box<str>>, MetaError> {
        let Some(value) = self.get(2).cloned().or_else(|| self.keyword("reason")) else { return Ok(None) };
        match value.as_str().filter(|reason| UriRules::Loose.check(reason).is_ok()) {
            Some(reason) => Ok(Some(reason.into())),
            None => Err(MetaError::new(error_uri::INVALID_URI, "the reason must be a valid URI")),
        }
    }

    fn id<T>(&self, n: usize, name: &str, make: impl Fn(u64) -> Option<T>) -> Result<T, MetaError> {
        let id = self.get(n).and_then(Value::as_u64).and_then(make);
        id.ok_or_else(|| expected(n, name, "an id, an integer from 1 to 2^53"))
    }
}

/// The most roles that a filter may name.
const ROLES_MAX: usize = 256;

/// What argument number `n`, counted from 0, must be.
pub(crate) fn expected(n: usize, name: &str, what: &str) -> MetaError {
    MetaError::invalid_argument(format!("argument {} ({name}) must be {what}", n + 1))
}
