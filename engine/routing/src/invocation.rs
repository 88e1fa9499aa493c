//! The callee's side of calls: which invocation belongs to which call, on the shard of the callee.
//!
//! A stub ties an invocation id of one callee to the call that waits for its answer. It is found from both ends:
//! from the callee's session by invocation id when a YIELD or ERROR arrives ([`Invocations`]), and from the call
//! when the caller is gone ([`Stubs`], indexed by the caller's shard and the call's slot there).

use ahash::AHashMap;
use wampline_wire::{RegistrationId, RequestId};

use crate::call::CallRef;

/// The invocations of one callee that wait for their final answer.
#[derive(Debug)]
pub struct Invocations {
    /// INVOCATION.Request of the newest invocation, 0 before the first.
    last: u64,
    open: AHashMap<u64, OpenInvocation>,
}

/// An invocation that waits for its final answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenInvocation {
    /// The call that it serves.
    pub call: CallRef,
    /// The registration that it came by.
    pub registration: RegistrationId,
    /// Whether the caller takes progressive results.
    pub wants_results: bool,
    /// Which service of the callee it counts against, where that is bounded. (A session may give up a registration and serve it
    /// again while invocations of the time before are open.)
    pub counted_by: Option<u32>,
}

impl Invocations {
    /// No invocations yet.
    pub fn new(hasher: ahash::RandomState) -> Invocations {
        Invocations { last: 0, open: AHashMap::with_hasher(hasher) }
    }

    /// Takes all open invocations out. Their ids stay known as issued.
    pub fn take(&mut self) -> Vec<CallRef> {
        self.open.drain().map(|(_, open)| open.call).collect()
    }

    /// Draws the next INVOCATION.Request (session scope: 1, 2, 3 ...) for a call.
    pub fn begin(&mut self, invocation: OpenInvocation) -> RequestId {
        let mut id = RequestId::new(self.last).map_or(first_id(), RequestId::next);
        // After 2^53 invocations the ids wrap; one that still waits keeps its own.
        while self.open.contains_key(&id.get()) {
            id = id.next();
        }
        self.last = id.get();
        self.open.insert(id.get(), invocation);
        id
    }

    /// An open invocation.
    pub fn get(&self, id: RequestId) -> Option<OpenInvocation> {
        self.open.get(&id.get()).copied()
    }

    /// Ends an invocation; `None` if it was not open.
    pub fn end(&mut self, id: RequestId) -> Option<OpenInvocation> {
        self.open.remove(&id.get())
    }

    /// Takes back the newest invocation, which could not be sent: its id is drawn again, so that the callee sees no gap.
    pub fn withdraw(&mut self, id: RequestId) {
        debug_assert_eq!(id.get(), self.last, "only the newest invocation has not been sent");
        self.open.remove(&id.get());
        self.last = id.get() - 1;
    }

    /// Whether an invocation with this id was ever sent in this session. An answer to one that was not is a protocol
    /// violation, a late answer to one that was is ignored.
    pub fn was_issued(&self, id: RequestId) -> bool {
        id.get() <= self.last
    }

    /// The newest invocation id, 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// How many invocations are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

fn first_id() -> RequestId {
    RequestId::new(1).expect("invariant: 1 is an id")
}

/// The stubs of one shard, by the call that they belong to.
#[derive(Debug)]
pub struct Stubs {
    /// By the caller's shard, then by the call's slot there.
    by_call: Vec<Vec<Option<Stub>>>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Stub {
    guard: u32,
    /// The slot of the callee's session on this shard.
    callee: u32,
    invocation: RequestId,
}

impl Stubs {
    /// No stubs, for a router of this many shards.
    pub fn new(shards: u16) -> Stubs {
        Stubs { by_call: (0..shards).map(|_| Vec::new()).collect(), len: 0 }
    }

    /// Remembers which invocation belongs to a call.
    pub fn insert(&mut self, call: CallRef, callee: u32, invocation: RequestId) {
        let row = &mut self.by_call[call.shard.index()];
        let slot = call.slot as usize;
        if row.len() <= slot {
            row.resize(slot + 1, None);
        }
        // A slot is used again only after its call has ended, and what ended it may still be on its way here: the
        // newer call takes over, the older one's end finds another guard.
        if row[slot].replace(Stub { guard: call.guard, callee, invocation }).is_none() {
            self.len += 1;
        }
    }

    /// The callee's session slot and the invocation of a call, if it is known.
    pub fn get(&self, call: CallRef) -> Option<(u32, RequestId)> {
        let entry = self.by_call[call.shard.index()].get(call.slot as usize)?;
        let stub = (*entry).filter(|stub| stub.guard == call.guard)?;
        Some((stub.callee, stub.invocation))
    }

    /// Forgets a call. Gives the callee's session slot and the invocation, if it was known.
    pub fn remove(&mut self, call: CallRef) -> Option<(u32, RequestId)> {
        let entry = self.by_call[call.shard.index()].get_mut(call.slot as usize)?;
        let stub = (*entry).filter(|stub| stub.guard == call.guard)?;
        *entry = None;
        self.len -= 1;
        Some((stub.callee, stub.invocation))
    }

    /// How many calls are remembered.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::ShardId;

    fn call(shard: u16, slot: u32, guard: u32) -> CallRef {
        CallRef { shard: ShardId(shard), slot, guard }
    }

    fn open(slot: u32) -> OpenInvocation {
        let registration = RegistrationId::new(1).unwrap();
        OpenInvocation { call: call(0, slot, 0), registration, wants_results: false, counted_by: None }
    }

    #[test]
    fn invocation_ids_are_sequential_from_one() {
        let mut invocations = Invocations::new(ahash::RandomState::with_seed(1));
        let ids: Vec<u64> = (0..3).map(|n| invocations.begin(open(n)).get()).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(invocations.end(RequestId::new(2).unwrap()), Some(open(1)));
        assert_eq!(invocations.begin(open(9)).get(), 4);
    }

    #[test]
    fn a_late_answer_differs_from_one_never_asked_for() {
        let mut invocations = Invocations::new(ahash::RandomState::with_seed(1));
        let id = invocations.begin(open(0));
        invocations.end(id);
        assert!(invocations.was_issued(id));
        assert!(!invocations.was_issued(id.next()));
        assert_eq!(invocations.end(id), None);
    }

    #[test]
    fn an_id_that_was_not_sent_is_drawn_again() {
        let mut invocations = Invocations::new(ahash::RandomState::with_seed(1));
        let first = invocations.begin(open(0));
        let second = invocations.begin(open(1));
        invocations.withdraw(second);
        assert!(!invocations.was_issued(second));
        assert_eq!(invocations.get(second), None);
        assert_eq!(invocations.begin(open(2)), second);
        assert_eq!(invocations.get(first), Some(open(0)));
    }

    #[test]
    fn ids_wrap_around_what_is_open() {
        let mut invocations = Invocations::new(ahash::RandomState::with_seed(1));
        invocations.last = wampline_wire::ID_MAX - 1;
        invocations.open.insert(1, open(0));
        assert_eq!(invocations.begin(open(1)).get(), wampline_wire::ID_MAX);
        assert_eq!(invocations.begin(open(2)).get(), 2);
    }

    #[test]
    fn the_end_of_an_older_call_leaves_the_newer_one_alone() {
        let mut stubs = Stubs::new(2);
        let id = RequestId::new(1).unwrap();
        stubs.insert(call(1, 5, 0), 7, id);
        stubs.insert(call(1, 5, 1), 8, id.next());
        assert_eq!(stubs.remove(call(1, 5, 0)), None);
        assert_eq!(stubs.remove(call(1, 5, 1)), Some((8, id.next())));
        assert!(stubs.is_empty());
    }
}
