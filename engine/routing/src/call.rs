//! The caller's side of calls: every CALL that waits for its final answer, on the shard of its caller.
//!
//! ```text
//!                        answer (final), callee gone, undeliverable
//!   CALL --> Waiting -----------------------------------------------> ended, answered once
//!               |
//!               +---- caller gone ----------------------------------> ended, never answered
//! ```
//!
//! A call is an entry in a slab; its [`CallRef`] travels with the invocation and comes back with the answer. The guard in it
//! makes an answer to a call that has ended harmless: it is found to be nobody's and dropped.

use wampline_wire::RequestId;

use crate::key::{SessionRef, ShardId};

/// Names a call from anywhere in the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallRef {
    /// The shard of the caller.
    pub shard: ShardId,
    /// The call's slot there.
    pub slot: u32,
    /// Differs from use to use of the slot.
    pub guard: u32,
}

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The slot of the caller's session on this shard.
    pub caller: u32,
    /// CALL.Request.
    pub request: RequestId,
    /// Who was invoked.
    pub callee: SessionRef,
}

/// The calls that wait on one shard.
#[derive(Debug)]
pub struct Calls {
    shard: ShardId,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    guard: u32,
    call: Option<Call>,
}

impl Calls {
    /// No calls.
    pub fn new(shard: ShardId) -> Calls {
        Calls { shard, entries: Vec::new(), free: Vec::new() }
    }

    /// A CALL begins to wait.
    pub fn begin(&mut self, call: Call) -> CallRef {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { guard: 0, call: None });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[slot as usize];
        debug_assert!(entry.call.is_none());
        entry.call = Some(call);
        CallRef { shard: self.shard, slot, guard: entry.guard }
    }

    /// The call, if it still waits.
    pub fn get(&self, reference: CallRef) -> Option<&Call> {
        let entry = self.entries.get(reference.slot as usize)?;
        if entry.guard == reference.guard { entry.call.as_ref() } else { None }
    }

    /// Ends a call. `None` if it has ended already: whoever comes second changes nothing.
    pub fn end(&mut self, reference: CallRef) -> Option<Call> {
        let entry = self.entries.get_mut(reference.slot as usize)?;
        if entry.guard != reference.guard {
            return None;
        }
        let call = entry.call.take()?;
        entry.guard = entry.guard.wrapping_add(1);
        self.free.push(reference.slot);
        Some(call)
    }

    /// The reference of the call that uses `slot` now.
    pub fn reference(&self, slot: u32) -> Option<CallRef> {
        let entry = self.entries.get(slot as usize)?;
        entry.call.as_ref()?;
        Some(CallRef { shard: self.shard, slot, guard: entry.guard })
    }

    /// How many calls wait.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether no call waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn call(request: u64) -> Call {
        let callee = SessionRef { shard: ShardId(1), slot: 4, guard: 0 };
        Call { caller: 3, request: RequestId::new(request).unwrap(), callee }
    }

    #[test]
    fn a_call_ends_once() {
        let mut calls = Calls::new(ShardId(0));
        let first = calls.begin(call(1));
        assert_eq!(calls.get(first), Some(&call(1)));
        assert_eq!(calls.end(first), Some(call(1)));
        assert_eq!(calls.end(first), None);
        assert!(calls.is_empty());
    }

    #[test]
    fn an_answer_to_an_earlier_use_of_the_slot_is_nobodys() {
        let mut calls = Calls::new(ShardId(0));
        let first = calls.begin(call(1));
        calls.end(first);
        let second = calls.begin(call(2));
        assert_eq!(first.slot, second.slot);
        assert_eq!(calls.get(first), None);
        assert_eq!(calls.end(first), None);
        assert_eq!(calls.end(second), Some(call(2)));
        assert_eq!(calls.reference(second.slot), None);
    }
}
