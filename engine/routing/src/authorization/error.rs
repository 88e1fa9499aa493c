//! What is wrong with roles as they are configured.

use std::fmt;

use crate::pattern::PatternError;
use crate::uri::{MatchPolicy, UriError};

/// Why something cannot be added to [`super::Roles`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleError {
    /// A role without a name.
    EmptyName,
    /// There is a role of this name already.
    DuplicateRole {
        /// Its name.
        role: Box<str>,
    },
    /// There are 65,535 roles.
    TooManyRoles,
    /// There is no role of this name.
    UnknownRole {
        /// The name.
        role: Box<str>,
    },
    /// A URI or pattern breaks the realm's rules.
    Uri {
        /// It.
        uri: Box<str>,
        /// How.
        error: UriError,
    },
    /// A component of a URI is a star, which no matching policy knows.
    Starred {
        /// The URI.
        uri: Box<str>,
    },
    /// The role has a rule for this very pattern already.
    DuplicateRule {
        /// How it matches.
        policy: MatchPolicy,
        /// The pattern.
        uri: Box<str>,
    },
    /// Matching cannot bear the pattern.
    Pattern {
        /// It.
        uri: Box<str>,
        /// Why.
        error: PatternError,
    },
    /// Payloads are to be validated where no rule matches.
    Validation,
    /// The role has an authorizer already.
    DuplicateAuthorizer {
        /// The role.
        role: Box<str>,
    },
    /// An authorizer, or another procedure that answers questions, has a URI that belongs to the router.
    Reserved {
        /// The URI.
        uri: Box<str>,
    },
    /// An authorizer has no time to answer.
    NoTime {
        /// The authorizer.
        procedure: Box<str>,
    },
}

impl fmt::Display for RoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleError::EmptyName => f.write_str("a role needs a name"),
            RoleError::DuplicateRole { role } => write!(f, "there are two roles named {role:?}"),
            RoleError::TooManyRoles => f.write_str("a realm has at most 65535 roles"),
            RoleError::UnknownRole { role } => write!(f, "there is no role {role:?}"),
            RoleError::Uri { uri, error } => write!(f, "{uri:?}: {error}"),
            RoleError::Starred { uri } => write!(
                f,
                "{uri:?}: a star stands for nothing; use the match policy prefix with a URI that ends in a dot, or the policy \
                 wildcard with an empty component"
            ),
            RoleError::DuplicateRule { policy, uri } => {
                write!(f, "the role has two rules for {uri:?} with the match policy {}", policy.as_str())
            }
            RoleError::Pattern { uri, error } => write!(f, "{uri:?}: {error}"),
            RoleError::Validation => f.write_str(
                "payloads are validated where a rule matches; take one with an empty prefix for everything",
            ),
            RoleError::DuplicateAuthorizer { role } => write!(f, "the role {role:?} has two authorizers"),
            RoleError::Reserved { uri } => write!(
                f,
                "{uri:?} cannot answer questions: procedures that begin with wamp. are the router's own"
            ),
            RoleError::NoTime { procedure } => {
                write!(f, "the authorizer {procedure:?} has no time to answer")
            }
        }
    }
}

impl std::error::Error for RoleError {}
