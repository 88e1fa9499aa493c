//! Why a configuration is refused.

use crate::Method;

/// Why an adder refuses what it is given. The text says what was expected, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A text that must not be empty is.
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
    /// A text that is not of the form that is expected.
    Malformed {
        /// What is malformed.
        what: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A number that is too low to be safe, or too high to be bearable.
    OutOfRange {
        /// What is out of range.
        what: &'static str,
        /// The number found.
        found: u64,
        /// The least that is accepted.
        min: u64,
        /// The most that is accepted.
        max: u64,
    },
    /// A salt that is too short.
    WeakSalt {
        /// Octets found.
        found: usize,
        /// Octets that it must have.
        min: usize,
    },
    /// A key derivation function that the method does not have.
    UnknownKdf {
        /// The name found.
        found: Box<str>,
        /// The names that there are.
        expected: &'static str,
    },
    /// A password that SASLprep (RFC 4013) forbids.
    Password,
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
    /// Something needed is absent.
    Missing {
        /// What is absent.
        what: &'static str,
    },
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::Empty { what } => write!(f, "{what} must not be empty"),
            ConfigError::TooLong { what, max } => write!(f, "{what} is longer than {max} octets"),
            ConfigError::Malformed { what, expected } => write!(f, "{what} must be {expected}"),
            ConfigError::OutOfRange { what, found, min, max } => {
                write!(f, "{what} is {found}: expected {min} to {max}")
            }
            ConfigError::WeakSalt { found, min } => {
                write!(
                    f,
                    "the salt has {found} octets: expected {min} at least, drawn at random for each principal"
                )
            }
            ConfigError::UnknownKdf { found, expected } => {
                write!(f, "unknown key derivation function {found:?}: expected {expected}")
            }
            ConfigError::Password => {
                write!(f, "the password has characters that SASLprep (RFC 4013) forbids, or is empty")
            }
            ConfigError::Duplicate { method, name } => {
                write!(f, "principal {name:?} is there twice for method {method}")
            }
            ConfigError::Source { method } => write!(f, "method {method} takes no sources of this kind"),
            ConfigError::Missing { what } => write!(f, "{what} is missing"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Checks that a number lies within bounds.
pub(crate) fn check_range(what: &'static str, found: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(ConfigError::OutOfRange { what, found, min, max }) }
}
