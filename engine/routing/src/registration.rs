//! A registration as every shard knows it, and which of its callees takes a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use smallvec::SmallVec;
use wampline_wire::{RegistrationId, SessionId};

use crate::key::SessionRef;
use crate::options::InvocationPolicy;
use crate::uri::MatchPolicy;

/// What does not change while a registration lasts: one block for all shards.
#[derive(Debug)]
pub struct RegistrationInfo {
    /// Its id.
    pub id: RegistrationId,
    /// The first of those that took the procedure over from each other by force (`force_reregister`), up to this one: itself, if
    /// it has taken it from none. From that one's REGISTER on somebody serves the procedure, so a call that began later
    /// may come to this one, and who has to go to a callee of one of them may go to any.
    pub lineage: RegistrationId,
    /// How its procedure matches.
    pub policy: MatchPolicy,
    /// Its procedure or pattern.
    pub procedure: Box<str>,
    /// How a callee is picked.
    pub invoke: InvocationPolicy,
    /// Calls so far, for round robin: all shards draw from it, so that the turn is one turn for all of them.
    pub turns: AtomicU64,
}

/// A session that serves a registration.
#[derive(Clone, Debug)]
pub struct Callee {
    /// Its id.
    pub session: SessionId,
    /// Where it lives.
    pub at: SessionRef,
    /// Callers are made known to it.
    pub disclose_caller: bool,
    /// Timeouts of calls are its own matter.
    pub forward_timeout: bool,
    /// How many calls wait for its answer, over all shards, where the policy asks for that.
    pub load: Option<Arc<AtomicU32>>,
}

/// A registration as calling needs it.
#[derive(Clone, Debug)]
pub struct Procedure {
    /// What does not change.
    pub info: Arc<RegistrationInfo>,
    /// Who serves it, in the order of registration. Never empty.
    pub callees: SmallVec<[Callee; 1]>,
}

/// The callees that a call has been to in vain, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    attempts: SmallVec<[(RegistrationId, SessionId); 1]>,
    /// Those who have said themselves that they are not available.
    unavailable: SmallVec<[SessionId; 1]>,
}

impl Tried {
    /// How many attempts a call may take. Each is caused by a change that crosses it, or by a callee that has no room.
    pub const MAX: usize = 64;

    /// Takes note of an attempt that never reached its callee: by another registration the call may go there yet.
    pub fn push(&mut self, registration: RegistrationId, callee: SessionId) {
        self.attempts.push((registration, callee));
    }

    /// Takes note of a callee that has said that it is not available: the call does not come back to it, also if it takes the
    /// procedure over by force meanwhile.
    pub fn push_unavailable(&mut self, registration: RegistrationId, callee: SessionId) {
        self.push(registration, callee);
        self.unavailable.push(callee);
    }

    /// Whether this would be the first attempt.
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Whether no other attempt may follow.
    pub fn is_exhausted(&self) -> bool {
        self.attempts.len() >= Tried::MAX
    }

    /// Whether the call was there, and need not go there again.
    pub fn contains(&self, registration: RegistrationId, callee: SessionId) -> bool {
        self.attempts.contains(&(registration, callee)) || self.unavailable.contains(&callee)
    }
}

impl Procedure {
    /// Picks a callee that the call was not at yet, as the policy wants it: "Shared Registration", and "Call
    /// Re-Routing" after the first attempt. `rkey` goes before the policy: equal keys go to the same callee.
    /// `random` draws a number below its argument.
    pub fn pick(
        &self,
        tried: &Tried,
        rkey: Option<&str>,
        random: impl FnOnce(usize) -> usize,
    ) -> Option<&Callee> {
        let id = self.info.id;
        if let [only] = &self.callees[..] {
            return (!tried.contains(id, only.session)).then_some(only);
        }
        let mut left = self.callees.iter().filter(|callee| !tried.contains(id, callee.session));
        if let Some(rkey) = rkey {
            return left.max_by_key(|callee| weight(rkey, callee.session));
        }
        match self.info.invoke {
            InvocationPolicy::Single | InvocationPolicy::First => left.next(),
            InvocationPolicy::Last => left.next_back(),
            InvocationPolicy::Random => {
                let count = left.clone().count();
                if count == 0 { None } else { left.nth(random(count)) }
            }
            InvocationPolicy::RoundRobin => {
                let start = self.turn(tried);
                let (before, after) = self.callees.split_at(start);
                after.iter().chain(before).find(|callee| !tried.contains(id, callee.session))
            }
            InvocationPolicy::LeastPending => left.min_by_key(|callee| callee.pending()),
        }
    }

    /// Whose turn it is: the one after the last that was tried, or the next of all calls.
    fn turn(&self, tried: &Tried) -> usize {
        let last = tried.attempts.iter().rev().find(|(registration, _)| *registration == self.info.id);
        let after = last.and_then(|(_, session)| {
            self.callees.iter().position(|callee| callee.session == *session).map(|at| at + 1)
        });
        let turn = after.unwrap_or_else(|| self.info.turns.fetch_add(1, Ordering::Relaxed) as usize);
        turn % self.callees.len()
    }
}

impl Callee {
    fn pending(&self) -> u32 {
        self.load.as_ref().map_or(0, |load| load.load(Ordering::Relaxed))
    }
}

/// Rendezvous hashing: for one key every callee has a weight of its own, and the heaviest one there takes it. When one
/// leaves only its keys move. The same on every shard and in every run.
pub(crate) fn weight(key: &str, session: SessionId) -> u64 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut mixed = hash ^ session.get().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::ShardId;

    fn procedure(invoke: InvocationPolicy, callees: u64) -> Procedure {
        let info = RegistrationInfo {
            id: RegistrationId::new(7).unwrap(),
            lineage: RegistrationId::new(7).unwrap(),
            policy: MatchPolicy::Exact,
            procedure: "com.procedure".into(),
            invoke,
            turns: AtomicU64::new(0),
        };
        let callee = |n| Callee {
            session: SessionId::new(n).unwrap(),
            at: SessionRef { shard: ShardId(0), slot: n as u32, guard: 0 },
            disclose_caller: false,
            forward_timeout: false,
            load: Some(Arc::new(AtomicU32::new(0))),
        };
        Procedure { info: Arc::new(info), callees: (1..=callees).map(callee).collect() }
    }

    fn order(procedure: &Procedure) -> Vec<u64> {
        let mut tried = Tried::default();
        let mut order = Vec::new();
        while let Some(callee) = procedure.pick(&tried, None, |_| 0) {
            order.push(callee.session.get());
            tried.push(procedure.info.id, callee.session);
        }
        order
    }

    #[test]
    fn every_policy_goes_on_to_every_callee_once() {
        use InvocationPolicy::*;
        assert_eq!(order(&procedure(Single, 1)), [1]);
        assert_eq!(order(&procedure(First, 3)), [1, 2, 3]);
        assert_eq!(order(&procedure(Last, 3)), [3, 2, 1]);
        assert_eq!(order(&procedure(Random, 3)), [1, 2, 3]);
        let procedure = procedure(RoundRobin, 3);
        assert_eq!(order(&procedure), [1, 2, 3]);
        assert_eq!(order(&procedure), [2, 3, 1]);
        assert_eq!(order(&procedure), [3, 1, 2]);
        assert_eq!(order(&procedure), [1, 2, 3]);
    }

    #[test]
    fn the_least_loaded_goes_first() {
        let procedure = procedure(InvocationPolicy::LeastPending, 3);
        procedure.callees[0].load.as_ref().unwrap().store(2, Ordering::Relaxed);
        procedure.callees[1].load.as_ref().unwrap().store(1, Ordering::Relaxed);
        assert_eq!(order(&procedure), [3, 2, 1]);
    }

    #[test]
    fn random_draws_among_those_left() {
        let procedure = procedure(InvocationPolicy::Random, 4);
        let mut tried = Tried::default();
        tried.push(procedure.info.id, SessionId::new(2).unwrap());
        let picked = |n| {
            procedure.pick(&tried, None, |below| {
                assert_eq!(below, 3);
                n
            })
        };
        assert_eq!(picked(0).unwrap().session.get(), 1);
        assert_eq!(picked(1).unwrap().session.get(), 3);
        assert_eq!(picked(2).unwrap().session.get(), 4);
    }

    #[test]
    fn a_key_keeps_its_callee_while_that_is_there() {
        let all = procedure(InvocationPolicy::RoundRobin, 5);
        let none = Tried::default();
        let pick =
            |procedure: &Procedure, key: &str| procedure.pick(&none, Some(key), |_| 0).unwrap().session.get();
        let keys: Vec<String> = (0..500).map(|n| format!("sensor-{n}")).collect();
        let before: Vec<u64> = keys.iter().map(|key| pick(&all, key)).collect();
        for callee in 1..=5 {
            let share = before.iter().filter(|picked| **picked == callee).count();
            assert!((50..=150).contains(&share), "{callee} has {share} of 500 keys");
        }
        let mut fewer = all.clone();
        fewer.callees.remove(2);
        for (key, before) in keys.iter().zip(before) {
            let after = pick(&fewer, key);
            assert!(after == before || before == 3, "{key} moved from {before} to {after}");
        }
    }
}
