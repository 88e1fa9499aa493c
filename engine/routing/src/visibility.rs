//! When a change of the directory is visible everywhere, and the answers that wait for it.
//!
//! The home shard numbers its changes and sends them to every shard; shards acknowledge cumulatively. An answer
//! (SUBSCRIBED, REGISTERED ...) that depends on a change is held back until every shard has applied it. So,
//! once SUBSCRIBED or REGISTERED has been sent, a publish or call that any session anywhere starts later finds it.

use std::collections::BTreeMap;

use crate::directory::Answer;
use crate::key::{SessionRef, ShardId};
use crate::replica::Delta;

/// The number of a change; 0 stands for "before the first".
pub type DeltaNumber = u64;

/// The home shard's ledger of changes, acknowledgements and waiting answers.
#[derive(Debug)]
pub struct Visibility {
    home: ShardId,
    last: DeltaNumber,
    unsent: Vec<Delta>,
    applied: Box<[DeltaNumber]>,
    /// By the change that the answer waits for; within one change in the order of the requests.
    waiting: BTreeMap<DeltaNumber, Vec<(SessionRef, Answer)>>,
    ready: Vec<(SessionRef, Answer)>,
}

impl Visibility {
    /// No changes yet, in a router of this many shards.
    pub fn new(home: ShardId, shards: u16) -> Visibility {
        Visibility {
            home,
            last: 0,
            unsent: Vec::new(),
            applied: vec![0; shards as usize].into(),
            waiting: BTreeMap::new(),
            ready: Vec::new(),
        }
    }

    /// Takes note of a change; gives its number. The home shard applies it to its own replica before it sends
    /// any answer (see [`Visibility::take_changes`]), so it counts as applied there.
    pub fn change(&mut self, delta: Delta) -> DeltaNumber {
        self.last += 1;
        self.applied[self.home.index()] = self.last;
        self.unsent.push(delta);
        self.last
    }

    /// Sends an answer as soon as the change `need` is visible everywhere.
    pub fn answer(&mut self, need: DeltaNumber, to: SessionRef, answer: Answer) {
        if need <= self.applied_everywhere() {
            self.ready.push((to, answer));
        } else {
            self.waiting.entry(need).or_default().push((to, answer));
        }
    }

    /// A shard has applied all changes up to this one.
    pub fn acknowledge(&mut self, shard: ShardId, number: DeltaNumber) {
        let applied = &mut self.applied[shard.index()];
        *applied = number.max(*applied);
        let everywhere = self.applied_everywhere();
        while let Some(entry) = self.waiting.first_entry()
            && *entry.key() <= everywhere
        {
            self.ready.extend(entry.remove());
        }
    }

    /// The changes that have not been sent to the shards yet, with the number of the newest.
    pub fn take_changes(&mut self) -> Option<(DeltaNumber, Vec<Delta>)> {
        if self.unsent.is_empty() { None } else { Some((self.last, std::mem::take(&mut self.unsent))) }
    }

    /// The answers that may be sent now. Call after [`Visibility::take_changes`].
    pub fn take_answers(&mut self) -> Vec<(SessionRef, Answer)> {
        debug_assert!(self.unsent.is_empty(), "changes go out before the answers that depend on them");
        std::mem::take(&mut self.ready)
    }

    /// Whether there are neither changes nor answers to be sent.
    pub fn is_settled(&self) -> bool {
        self.unsent.is_empty() && self.ready.is_empty()
    }

    /// Whether answers wait.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn applied_everywhere(&self) -> DeltaNumber {
        self.applied.iter().copied().min().unwrap_or(self.last)
    }
}
