//! Why something is permitted or denied, in words.

use std::fmt;

use super::{Action, RoleError, RoleId, Roles, Verdict};
use crate::disclosure::Disclose;
use crate::meta::{MetaApi, Procedure};
use crate::uri::MatchPolicy;

/// What decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The realm has no roles.
    NoRoles,
    /// The realm has roles, but not this one, and no default role.
    UnknownRole,
    /// This rule of the role.
    Rule {
        /// How it matches.
        policy: MatchPolicy,
        /// Its URI or pattern.
        uri: &'a str,
    },
    /// This rule denies some of what the pattern matches.
    Inside {
        /// How it matches.
        policy: MatchPolicy,
        /// Its URI or pattern.
        uri: &'a str,
    },
    /// No rule matches: the role's default permissions.
    Defaults,
    /// No rule matches: the role's authorizer.
    Authorizer {
        /// The procedure that is asked.
        procedure: &'a str,
    },
    /// No rule permits to register this procedure, which answers questions about sessions.
    Answers {
        /// It.
        procedure: &'a str,
    },
    /// The procedure changes what belongs to others, and this rule does not name it or the procedures of the router.
    TooBroad {
        /// How it matches.
        policy: MatchPolicy,
        /// Its URI or pattern.
        uri: &'a str,
    },
    /// The procedure changes what belongs to others, and no rule permits it by its URI.
    NotByUri,
    /// The realm offers no such procedure.
    NotOffered,
    /// The URI belongs to the router.
    Reserved,
}

/// What [`Roles::explain`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// The role that the authrole stands for; `None` where the realm has none for it.
    pub role: Option<&'a str>,
    /// What is decided.
    pub verdict: Verdict,
    /// By what.
    pub reason: Reason<'a>,
}

impl Roles {
    /// What sessions of this authrole may do, and what decides it, in a realm that offers this much of the meta API.
    ///
    /// # Errors
    /// If the URI or pattern breaks the realm's rules: such a request is refused before anything is decided.
    pub fn explain<'a>(
        &'a self,
        authrole: &str,
        action: Action,
        policy: MatchPolicy,
        uri: &'a str,
        meta: MetaApi,
    ) -> Result<Explanation<'a>, RoleError> {
        let policy = match action {
            Action::Call | Action::Publish => MatchPolicy::Exact,
            Action::Register | Action::Subscribe => policy,
        };
        let invalid = |error| RoleError::Uri { uri: uri.into(), error };
        self.uri_rules.check_pattern(uri, policy).map_err(invalid)?;
        let id = self.by_name.get(authrole).copied().or(self.default_role);
        let role = id.map(|id| self.name(id));
        let (verdict, reason) = self.judge(id, action, policy, uri, meta);
        Ok(Explanation { role, verdict, reason })
    }

    fn judge<'a>(
        &'a self,
        role: Option<RoleId>,
        action: Action,
        policy: MatchPolicy,
        uri: &'a str,
        meta: MetaApi,
    ) -> (Verdict, Reason<'a>) {
        let is_reserved = crate::uri::is_reserved(uri);
        if is_reserved && matches!(action, Action::Register | Action::Publish) {
            return (Verdict::Denied, Reason::Reserved);
        }
        let procedure = if is_reserved { Procedure::from_uri(uri) } else { None };
        if action == Action::Call && is_reserved && (procedure.is_none() || meta == MetaApi::Off) {
            return (Verdict::Denied, Reason::NotOffered);
        }
        let needs_rule = action == Action::Call && procedure.is_some_and(Procedure::is_destructive);
        if self.is_empty() {
            return match needs_rule && meta != MetaApi::Full {
                true => (Verdict::Denied, Reason::NotByUri),
                false => (Verdict::Allowed(None), Reason::NoRoles),
            };
        }
        match role {
            None => (Verdict::Denied, Reason::UnknownRole),
            Some(role) if needs_rule => self.role(role).judge_destructive(uri, meta == MetaApi::Full),
            Some(role) => self.judge_in_role(role, action, policy, uri),
        }
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Allowed(None) => "allowed",
            Verdict::Allowed(Some(Disclose::Always)) => "allowed, and disclosed",
            Verdict::Allowed(Some(Disclose::Never)) => "allowed, and not disclosed",
            Verdict::Allowed(Some(Disclose::OnRequest)) => "allowed, and disclosed on request",
            Verdict::Denied => "denied",
            Verdict::Ask => "up to the authorizer",
        })?;
        match (self.role, self.reason) {
            (Some(role), Reason::Rule { .. } | Reason::Inside { .. } | Reason::Defaults) => {
                write!(f, ": role {role:?}, {}", self.reason)
            }
            _ => write!(f, ": {}", self.reason),
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoRoles => f.write_str("the realm has no roles"),
            Reason::UnknownRole => f.write_str("the realm has no such role and no default role"),
            Reason::Rule { policy, uri } => write!(f, "the {} rule {uri:?} decides", policy.as_str()),
            Reason::Inside { policy, uri } => {
                write!(f, "the {} rule {uri:?} denies some of what the pattern matches", policy.as_str())
            }
            Reason::Defaults => f.write_str("no rule matches, so its default permissions decide"),
            Reason::Authorizer { procedure } => write!(f, "no rule matches, so {procedure:?} is asked"),
            Reason::Answers { procedure } => {
                write!(
                    f,
                    "{procedure:?} answers questions about sessions, and no rule permits to register it"
                )
            }
            Reason::TooBroad { policy, uri } => write!(
                f,
                "the procedure changes what belongs to others, and the {} rule {uri:?} does not begin with wamp",
                policy.as_str()
            ),
            Reason::NotByUri => {
                f.write_str("the procedure changes what belongs to others, and no rule permits it by its URI")
            }
            Reason::NotOffered => f.write_str("the realm offers no such procedure"),
            Reason::Reserved => f.write_str("URIs that begin with wamp. are the router's own"),
        }
    }
}
