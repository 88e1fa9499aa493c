//! What an attempt wants done next, and what comes back.

use wampline_wire::{Payload, PayloadBuf};

use crate::{Admission, HookId, OwnedDict, Refusal};

/// What an attempt wants done.
#[derive(Debug)]
pub enum Step {
    /// Send CHALLENGE and wait for AUTHENTICATE ([`crate::Attempt::authenticate`]).
    Challenge {
        /// `AuthMethod`.
        method: &'static str,
        /// `Extra`.
        extra: OwnedDict,
        /// Whether to release it on the fixed grid: when its making may have involved a source outside, how long
        /// that took would tell who answers for the principal.
        on_grid: bool,
    },
    /// Put the question to a source outside and come back with [`crate::Attempt::answered`]. One at a time.
    Ask(Question),
    /// The session is admitted.
    Admit(Box<Admission>),
    /// The session is refused: send ABORT.
    Refuse(Refusal),
}

/// A question to a source outside. It may hold a ticket, so formatting shows where it goes and nothing else.
pub enum Question {
    /// Call a procedure, as the router itself.
    Procedure {
        /// The realm of the procedure; `None` is the realm that the session wants to join.
        realm: Option<Box<str>>,
        /// Its URI.
        procedure: Box<str>,
        /// `(realm, authid, details)`.
        arguments: PayloadBuf,
    },
    /// POST this JSON text to an HTTP hook.
    Http {
        /// Which of the configured hooks.
        hook: HookId,
        /// An object of `realm`, `authid` and `details`.
        body: Vec<u8>,
    },
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Question::Procedure { procedure, .. } => write!(f, "Procedure({procedure})"),
            Question::Http { hook, .. } => write!(f, "Http({})", hook.0),
        }
    }
}

/// The answer to a [`Question`]. It may hold secrets, which formatting does not show.
#[derive(Clone, Copy)]
pub enum Answer<'a> {
    /// The procedure's RESULT.
    Result(Payload<'a>),
    /// The body of the hook's successful (2xx) answer.
    HttpBody(&'a [u8]),
    /// The procedure's ERROR, by its URI; or the hook could not be asked or answered with another status.
    Failed {
        /// A URI.
        error: &'a str,
    },
    /// Nothing came in time.
    TimedOut,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Result(_) => f.write_str("Result(..)"),
            Answer::HttpBody(_) => f.write_str("HttpBody(..)"),
            Answer::Failed { error } => write!(f, "Failed({error})"),
            Answer::TimedOut => f.write_str("TimedOut"),
        }
    }
}
