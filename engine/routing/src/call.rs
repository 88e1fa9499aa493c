//! The caller's side of calls: every CALL that waits for its final answer, on the shard of its caller.
//!
//! ```text
//!                      +--- returned undelivered, callee full or unavailable: the next callee ---+
//!                      v                                                                         |
//!   CALL ---------> Waiting ---------------------------------------------------------------------+
//!   (more chunks)     | ^ |
//!        +------------+ | +---- progressive result: the time begins anew ----> Waiting
//!        |              |
//!        |              +----- CANCEL kill: the callee is interrupted, its answer still counts
//!        |
//!        +--> ended, answered once:  RESULT or ERROR of the callee; its end; nobody there (any more);
//!        |                           CANCEL skip, killnowait; time is up
//!        +--> ended, never answered: caller gone
//! ```
//!
//! A call is an entry in a slab; its [`CallRef`] travels with the invocation and comes back with the answer. The guard in it
//! makes an answer to a call that has ended, or to an earlier attempt of it, harmless: it is found to be nobody's and dropped.

use wampline_wire::RequestId;

use crate::key::{SessionRef, ShardId};

/// Names a call from anywhere in the router, and one attempt of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallRef {
    /// The shard of the caller.
    pub shard: ShardId,
    /// The call's slot there.
    pub slot: u32,
    /// Differs from use to use of the slot, and from attempt to attempt.
    pub guard: u32,
}

/// A call that waits for its answer. `T` is what its shard remembers of calls that are out of the ordinary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<T> {
    /// The slot of the caller's session on this shard.
    pub caller: u32,
    /// CALL.Request.
    pub request: RequestId,
    /// Who was invoked last.
    pub callee: SessionRef,
    /// What has happened so far.
    pub progress: CallProgress,
    /// What else must be known of it.
    pub extra: Option<Box<T>>,
}

/// What has happened to a call so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallProgress(u8);

impl CallProgress {
    /// The caller takes progressive results.
    pub const WANTS_RESULTS: CallProgress = CallProgress(1);
    /// The caller may send more of the call.
    pub const INPUT_OPEN: CallProgress = CallProgress(2);
    /// More than the first chunk was sent: another callee would miss it.
    pub const CONTINUED: CallProgress = CallProgress(4);
    /// The callee was interrupted, and its answer is waited for.
    pub const KILLED: CallProgress = CallProgress(8);

    /// Whether this has happened.
    pub fn has(self, what: CallProgress) -> bool {
        self.0 & what.0 != 0
    }

    /// This happens.
    pub fn set(&mut self, what: CallProgress) {
        self.0 |= what.0;
    }

    /// This is over.
    pub fn clear(&mut self, what: CallProgress) {
        self.0 &= !what.0;
    }
}

/// The calls that wait on one shard.
#[derive(Debug)]
pub struct Calls<T> {
    shard: ShardId,
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    guard: u32,
    /// The guard of the call's first attempt.
    born: u32,
    call: Option<Call<T>>,
}

impl<T> Calls<T> {
    /// No calls.
    pub fn new(shard: ShardId) -> Calls<T> {
        Calls { shard, entries: Vec::new(), free: Vec::new() }
    }

    /// A CALL begins to wait.
    pub fn begin(&mut self, call: Call<T>) -> CallRef {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { guard: 0, born: 0, call: None });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[slot as usize];
        debug_assert!(entry.call.is_none());
        entry.call = Some(call);
        entry.born = entry.guard;
        CallRef { shard: self.shard, slot, guard: entry.guard }
    }

    /// The call, if it still waits for this attempt.
    pub fn get(&self, reference: CallRef) -> Option<&Call<T>> {
        let entry = self.entries.get(reference.slot as usize)?;
        if entry.guard == reference.guard { entry.call.as_ref() } else { None }
    }

    /// The call, if it still waits for this attempt.
    pub fn get_mut(&mut self, reference: CallRef) -> Option<&mut Call<T>> {
        let entry = self.entries.get_mut(reference.slot as usize)?;
        if entry.guard == reference.guard { entry.call.as_mut() } else { None }
    }

    /// Begins another attempt: answers to the attempts before are nobody's from now on. `None` if the call has ended.
    pub fn attempt(&mut self, reference: CallRef) -> Option<CallRef> {
        self.get(reference)?;
        let entry = &mut self.entries[reference.slot as usize];
        entry.guard = entry.guard.wrapping_add(1);
        Some(CallRef { guard: entry.guard, ..reference })
    }

    /// Ends a call. `None` if it has ended already, or waits for a later attempt: whoever comes second changes nothing.
    pub fn end(&mut self, reference: CallRef) -> Option<Call<T>> {
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

    /// What tells the call that uses `slot` now from those before, whatever its attempt.
    pub fn born(&self, slot: u32) -> Option<u32> {
        let entry = self.entries.get(slot as usize)?;
        entry.call.as_ref().map(|_| entry.born)
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

    fn call(request: u64) -> Call<()> {
        let callee = SessionRef { shard: ShardId(1), slot: 4, guard: 0 };
        let request = RequestId::new(request).unwrap();
        Call { caller: 3, request, callee, progress: CallProgress::default(), extra: None }
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

    #[test]
    fn an_answer_to_an_earlier_attempt_is_nobodys() {
        let mut calls = Calls::new(ShardId(0));
        let first = calls.begin(call(1));
        let born = calls.born(first.slot);
        let second = calls.attempt(first).unwrap();
        assert_eq!(calls.attempt(first), None);
        assert_eq!(calls.end(first), None);
        assert_eq!(calls.reference(first.slot), Some(second));
        assert_eq!(calls.born(first.slot), born);
        assert_eq!(calls.end(second), Some(call(1)));
        let third = calls.begin(call(2));
        assert_ne!(calls.born(third.slot), born);
    }
}
