//! Request ids as clients send them (basic profile, "IDs" and "Protocol Errors").

use smallvec::SmallVec;
use wampline_wire::{ID_MAX, RequestId, RequestType};

/// How request ids are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RequestIds {
    /// Any id in [1, 2^53] that is not in progress for the same message type: what deployed clients need.
    #[default]
    Lenient,
    /// 1, 2, 3 and so on over all requests of the session, as the text has it.
    Strict,
}

/// Why a request id is a protocol violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestIdError {
    /// A request of the same type with the same id has not been answered yet.
    InProgress(RequestId),
    /// Strict mode: not the next id.
    NotSequential {
        /// The id that was due.
        expected: RequestId,
        /// The id that came.
        found: RequestId,
    },
}

impl std::fmt::Display for RequestIdError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RequestIdError::InProgress(id) => write!(f, "request id {id} is still in progress"),
            RequestIdError::NotSequential { expected, found } => {
                write!(f, "request id {found} is not sequential, {expected} is due")
            }
        }
    }
}

/// One session's requests: the sequence, and which SUBSCRIBE, UNSUBSCRIBE, REGISTER and UNREGISTER wait for
/// their answer. (CALLs in progress are known to [`crate::Calls`]; a PUBLISH is never in progress.)
#[derive(Debug, Default)]
pub struct RequestSequence {
    last: u64,
    pending: SmallVec<[(RequestType, RequestId); 1]>,
}

impl RequestSequence {
    /// Takes note of a request that arrives. `in_progress` tells whether the same id is in progress as a CALL.
    pub fn arrived(
        &mut self,
        mode: RequestIds,
        id: RequestId,
        in_progress: bool,
    ) -> Result<(), RequestIdError> {
        if mode == RequestIds::Strict {
            let expected = if self.last == ID_MAX { 1 } else { self.last + 1 };
            if id.get() != expected {
                let expected = RequestId::new(expected).expect("invariant: within [1, 2^53] by construction");
                return Err(RequestIdError::NotSequential { expected, found: id });
            }
            self.last = expected;
        }
        if in_progress { Err(RequestIdError::InProgress(id)) } else { Ok(()) }
    }

    /// Whether a request of this type and id waits for its answer.
    pub fn is_pending(&self, kind: RequestType, id: RequestId) -> bool {
        self.pending.contains(&(kind, id))
    }

    /// Whether any request waits: then a later PUBLISH or CALL waits too.
    pub fn any_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether any request of this type waits.
    pub fn any_pending_of(&self, kind: RequestType) -> bool {
        self.pending.iter().any(|(pending, _)| *pending == kind)
    }

    /// How many requests wait.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// A request now waits for its answer.
    pub fn begin(&mut self, kind: RequestType, id: RequestId) {
        self.pending.push((kind, id));
    }

    /// The request has been answered.
    pub fn finish(&mut self, kind: RequestType, id: RequestId) {
        if let Some(at) = self.pending.iter().position(|&entry| entry == (kind, id)) {
            self.pending.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(value: u64) -> RequestId {
        RequestId::new(value).unwrap()
    }

    #[test]
    fn strict_mode_wants_every_id_in_turn() {
        let mut sequence = RequestSequence::default();
        for n in 1..=3 {
            assert_eq!(sequence.arrived(RequestIds::Strict, id(n), false), Ok(()));
        }
        for found in [3, 5, 1] {
            assert_eq!(
                sequence.arrived(RequestIds::Strict, id(found), false),
                Err(RequestIdError::NotSequential { expected: id(4), found: id(found) })
            );
        }
        assert_eq!(sequence.arrived(RequestIds::Strict, id(4), false), Ok(()));
    }

    #[test]
    fn strict_mode_wraps_after_the_largest_id() {
        let mut sequence = RequestSequence { last: ID_MAX - 1, ..Default::default() };
        assert_eq!(sequence.arrived(RequestIds::Strict, id(ID_MAX), false), Ok(()));
        assert_eq!(sequence.arrived(RequestIds::Strict, id(1), false), Ok(()));
    }

    #[test]
    fn lenient_mode_refuses_only_what_is_in_progress() {
        let mut sequence = RequestSequence::default();
        for n in [7, 3, ID_MAX, 3] {
            assert_eq!(sequence.arrived(RequestIds::Lenient, id(n), false), Ok(()));
        }
        assert_eq!(
            sequence.arrived(RequestIds::Lenient, id(9), true),
            Err(RequestIdError::InProgress(id(9)))
        );
    }

    #[test]
    fn ids_are_in_progress_per_message_type() {
        let mut sequence = RequestSequence::default();
        sequence.begin(RequestType::Subscribe, id(5));
        assert!(sequence.is_pending(RequestType::Subscribe, id(5)));
        assert!(!sequence.is_pending(RequestType::Register, id(5)));
        assert!(sequence.any_pending());
        sequence.finish(RequestType::Subscribe, id(5));
        assert!(!sequence.any_pending());
    }
}
