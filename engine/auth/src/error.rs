//! Why a configuration is refused.

use crate::Method;

/// Why an adder refuses what it is given. The text says what was expected, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name that must not be empty is.
    Empty {
        /// What is empty: `role`, `authid`, `ticket`.
        what: &'static str,
    },
    /// A text longer than it may be.
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The most octets that it may have.
        max: usize,
    },
    /// The principal is in the set already, for the same method.
    Duplicate {
        /// The method.
        method: Method,
        /// The authid, key or name that is there twice.
        name: Box<str>,
    },
    /// The method takes no sources of this kind.
    Source {
        /// The method.
        method: Method,
    },
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::Empty { what } => write!(f, "{what} must not be empty"),
            ConfigError::TooLong { what, max } => write!(f, "{what} is longer than {max} octets"),
            ConfigError::Duplicate { method, name } => {
                write!(f, "principal {name:?} is there twice for method {method}")
            }
            ConfigError::Source { method } => write!(f, "method {method} takes no sources of this kind"),
        }
    }
}

impl std::error::Error for ConfigError {}
