//! The seam between the driver and what it drives: [`Core`], which `wampline_shard::Shard` implements by delegation and
//! the tests implement with an echo. Static dispatch throughout.

use std::time::Duration;

use wampline_shard::{
    Action, Batch, ConnKey, HookFailure, HookQuestion, Lanes, ListenerId, Now, Output, Peer, Shard, ShardId,
    ShutdownMode,
};

use crate::counters::DriverCounters;
use crate::lanes::Mesh;
use crate::outgoing::Outgoing;

/// One shard's core, as the driver sees it. The methods are those of [`Shard`]; see there for their contract.
pub(crate) trait Core: 'static {
    /// What goes to other shards.
    type Batch: Send + 'static;
    /// What goes to sockets.
    type Output: Outgoing;

    fn batch_octets(batch: &Self::Batch) -> usize;

    fn accept(&mut self, now: Now, listener: ListenerId, peer: Peer) -> ConnKey;
    fn octets(&mut self, now: Now, key: ConnKey, octets: &mut [u8]);
    fn read_ended(&mut self, now: Now, key: ConnKey, broken: bool);
    fn sent(&mut self, now: Now, key: ConnKey, octets: usize);
    fn send_done(&mut self, now: Now, key: ConnKey, output: Self::Output);
    fn batch(&mut self, now: Now, from: ShardId, batch: Self::Batch);
    fn hook_answered(&mut self, now: Now, id: u64, answer: Result<Vec<u8>, HookFailure>);
    fn next_deadline(&self) -> Option<Now>;
    fn expire(&mut self, now: Now);
    fn end_turn(&mut self, now: Now) -> bool;
    fn flush_lanes(&mut self, lanes: &mut Outbound<'_, Self>) -> bool;
    fn action(&mut self, now: Now) -> Option<Act<Self::Output>>;
    fn shutdown(&mut self, now: Now, mode: ShutdownMode, grace: Duration);
    fn is_drained(&self) -> bool;
}

/// [`Action`] over any core's output.
#[derive(Debug)]
pub(crate) enum Act<O> {
    Send(ConnKey, O),
    PauseRead(ConnKey),
    ResumeRead(ConnKey),
    Close { key: ConnKey, abort: bool },
    Ask(HookQuestion),
}

/// The lanes that lead away from one shard, during [`Core::flush_lanes`].
pub(crate) struct Outbound<'a, C: Core + ?Sized> {
    pub(crate) from: usize,
    pub(crate) mesh: &'a Mesh<C::Batch>,
    pub(crate) counters: &'a DriverCounters,
    /// Whom this turn has left something for.
    pub(crate) peers: &'a mut PeerSet,
}

impl<C: Core + ?Sized> Outbound<'_, C> {
    pub(crate) fn offer(&mut self, to: ShardId, batch: C::Batch) -> Result<(), C::Batch> {
        let to = usize::from(to.0);
        let octets = C::batch_octets(&batch);
        match self.mesh.offer(self.from, to, batch, octets) {
            Ok(()) => {
                self.peers.insert(to);
                Ok(())
            }
            Err(batch) => {
                DriverCounters::count(&self.counters.lane_refusals);
                Err(batch)
            }
        }
    }
}

impl Lanes for Outbound<'_, Shard> {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        self.offer(to, batch)
    }
}

/// A set of shards that is filled and emptied once per turn.
#[derive(Debug)]
pub(crate) struct PeerSet {
    members: Vec<u16>,
    is_member: Box<[bool]>,
}

impl PeerSet {
    pub(crate) fn new(shards: usize) -> PeerSet {
        PeerSet { members: Vec::with_capacity(shards), is_member: vec![false; shards].into() }
    }

    pub(crate) fn insert(&mut self, shard: usize) {
        if !std::mem::replace(&mut self.is_member[shard], true) {
            self.members.push(shard as u16);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<usize> {
        let shard = usize::from(self.members.pop()?);
        self.is_member[shard] = false;
        Some(shard)
    }
}

impl Core for Shard {
    type Batch = Batch;
    type Output = Output;

    fn batch_octets(batch: &Batch) -> usize {
        batch.octets()
    }
    fn accept(&mut self, now: Now, listener: ListenerId, peer: Peer) -> ConnKey {
        Shard::accept(self, now, listener, peer)
    }
    fn octets(&mut self, now: Now, key: ConnKey, octets: &mut [u8]) {
        Shard::octets(self, now, key, octets);
    }
    fn read_ended(&mut self, now: Now, key: ConnKey, broken: bool) {
        Shard::read_ended(self, now, key, broken);
    }
    fn sent(&mut self, now: Now, key: ConnKey, octets: usize) {
        Shard::sent(self, now, key, octets);
    }
    fn send_done(&mut self, now: Now, key: ConnKey, output: Output) {
        Shard::send_done(self, now, key, output);
    }
    fn batch(&mut self, now: Now, from: ShardId, batch: Batch) {
        Shard::batch(self, now, from, batch);
    }
    fn hook_answered(&mut self, now: Now, id: u64, answer: Result<Vec<u8>, HookFailure>) {
        Shard::hook_answered(self, now, id, answer);
    }
    fn next_deadline(&self) -> Option<Now> {
        Shard::next_deadline(self)
    }
    fn expire(&mut self, now: Now) {
        Shard::expire(self, now);
    }
    fn end_turn(&mut self, now: Now) -> bool {
        Shard::end_turn(self, now)
    }
    fn flush_lanes(&mut self, lanes: &mut Outbound<'_, Shard>) -> bool {
        Shard::flush_lanes(self, lanes)
    }
    fn action(&mut self, now: Now) -> Option<Act<Output>> {
        Some(match Shard::action(self, now)? {
            Action::Send(key, output) => Act::Send(key, output),
            Action::PauseRead(key) => Act::PauseRead(key),
            Action::ResumeRead(key) => Act::ResumeRead(key),
            Action::Close { key, abort } => Act::Close { key, abort },
            Action::Ask { question } => Act::Ask(question),
        })
    }
    fn shutdown(&mut self, now: Now, mode: ShutdownMode, grace: Duration) {
        Shard::shutdown(self, now, mode, grace);
    }
    fn is_drained(&self) -> bool {
        Shard::is_drained(self)
    }
}
