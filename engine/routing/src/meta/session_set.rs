//! A set of sessions that is small more often than not.

use ahash::{AHashSet, RandomState};
use smallvec::SmallVec;
use wampline_wire::SessionId;

/// Up to this many are searched one by one.
const FEW: usize = 16;

/// Sessions, in no particular order. Adding and removing cost the same whatever the size.
#[derive(Debug)]
pub(crate) enum SessionSet {
    /// At most [`FEW`].
    Few(SmallVec<[SessionId; 2]>),
    /// More; stays a table until it is empty, so that nothing is copied to and fro.
    Many(Box<AHashSet<SessionId>>),
}

impl SessionSet {
    pub(crate) fn new() -> SessionSet {
        SessionSet::Few(SmallVec::new())
    }

    /// Adds a session. Returns whether it was not there.
    pub(crate) fn insert(&mut self, session: SessionId, hasher: &RandomState) -> bool {
        match self {
            SessionSet::Few(few) if few.contains(&session) => false,
            SessionSet::Few(few) if few.len() < FEW => {
                few.push(session);
                true
            }
            SessionSet::Few(few) => {
                let mut many = AHashSet::with_capacity_and_hasher(2 * FEW, hasher.clone());
                many.extend(few.drain(..));
                many.insert(session);
                *self = SessionSet::Many(Box::new(many));
                true
            }
            SessionSet::Many(many) => many.insert(session),
        }
    }

    /// Removes a session. Returns whether it was there.
    pub(crate) fn remove(&mut self, session: SessionId) -> bool {
        match self {
            SessionSet::Few(few) => match few.iter().position(|known| *known == session) {
                Some(at) => {
                    few.swap_remove(at);
                    true
                }
                None => false,
            },
            SessionSet::Many(many) => {
                let was_there = many.remove(&session);
                if many.is_empty() {
                    *self = SessionSet::new();
                }
                was_there
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            SessionSet::Few(few) => few.len(),
            SessionSet::Many(many) => many.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = SessionId> + '_ {
        let (few, many) = match self {
            SessionSet::Few(few) => (Some(few.iter().copied()), None),
            SessionSet::Many(many) => (None, Some(many.iter().copied())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// In how many steps the set grows, and in how many it shrinks; fewer for Miri.
    const PHASE: usize = if cfg!(miri) { 32 } else { 60 };

    proptest::proptest! {
        #[test]
        fn behaves_as_a_set_across_its_two_forms(steps in proptest::collection::vec((1u64..40, 0u8..10), 0..5 * PHASE)) {
            let hasher = RandomState::with_seed(1);
            let mut set = SessionSet::new();
            let mut expected = std::collections::BTreeSet::new();
            for (n, (id, dice)) in steps.into_iter().enumerate() {
                let session = SessionId::new(id).unwrap();
                // Growing for a while, then shrinking.
                let grows = (dice < 8) == (n / PHASE).is_multiple_of(2);
                if grows {
                    assert_eq!(set.insert(session, &hasher), expected.insert(id));
                } else {
                    assert_eq!(set.remove(session), expected.remove(&id));
                }
                assert_eq!((set.len(), set.is_empty()), (expected.len(), expected.is_empty()));
                let mut found: Vec<u64> = set.iter().map(SessionId::get).collect();
                found.sort_unstable();
                assert!(found.iter().eq(expected.iter()));
            }
        }
    }
}
