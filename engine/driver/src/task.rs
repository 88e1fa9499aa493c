//! The shard task: the one loop of a shard's thread, which moves octets and batches for one core.
//!
//! A turn: other shards' batches (all that wait, before any octets of a connection), sockets handed over, answers of hooks,
//! completions, deadlines, the end of the core's turn, the lanes, the core's actions (one send per dirty connection), one wake per
//! sleeping peer. What happens between turns is the drivers' business (`uring`, `epoll`): whether to look for work for a
//! while, how to sleep and be woken.
//!
//! Invariants: the core is touched by this task alone; every socket that was taken over is closed by this task.

mod accepting;
mod actions;
mod completions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use wampline_shard::{Now, ShardId};

pub(crate) use accepting::Acceptor;

use crate::bell::Bell;
use crate::common::Common;
use crate::conns::Conns;
use crate::counters::DriverCounters;
use crate::hooks::Hooks;
use crate::port::Port;
use crate::seam::{Core, Outbound, PeerSet};
use crate::token::Token;

/// How often a turn ends again because what was through at once has left the core something to do.
const ROUNDS_MAX: usize = 2;

/// What a shard task is made from, whatever its port.
pub(crate) struct Parts<C: Core> {
    pub(crate) id: ShardId,
    pub(crate) core: C,
    pub(crate) common: Arc<Common<C::Batch>>,
    pub(crate) hooks: Arc<Hooks>,
    /// On shard 0.
    pub(crate) acceptor: Option<Acceptor>,
}

/// See the module.
pub(crate) struct Task<C: Core, P: Port<C::Output>> {
    id: usize,
    core: C,
    common: Arc<Common<C::Batch>>,
    hooks: Arc<Hooks>,
    pub(crate) port: P,
    conns: Conns<P::Link>,
    acceptor: Option<Acceptor>,
    /// Whom this turn has left something for.
    peers: PeerSet,
    /// Connections whose receive is to be started (again) in this turn.
    to_receive: Vec<Token>,
    /// Since the core last ended a turn it has heard more: a send has gone through at once, a hook cannot be asked.
    has_told: bool,
    /// Lingering connections by the time at which patience ends, which is the order in which they began.
    lingering: VecDeque<(Now, Token)>,
    shutdown: Shutdown,
}

/// How far this shard's shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    No,
    Begun,
    /// The grace is over: everything is aborted.
    Forced,
}

impl<C: Core, P: Port<C::Output>> Task<C, P> {
    /// On the thread that will run it.
    pub(crate) fn new(parts: Parts<C>, port: P) -> Task<C, P> {
        Task {
            id: usize::from(parts.id.0),
            core: parts.core,
            port,
            conns: Conns::default(),
            acceptor: parts.acceptor,
            peers: PeerSet::new(parts.common.desks.len()),
            to_receive: Vec::new(),
            has_told: false,
            lingering: VecDeque::new(),
            shutdown: Shutdown::No,
            common: parts.common,
            hooks: parts.hooks,
        }
    }

    /// One turn. Whether another should follow at once.
    pub(crate) fn turn(&mut self, now: Now) -> bool {
        DriverCounters::count(&self.counters().turns);
        self.follow_shutdown(now);
        self.drain_lanes(now);
        self.take_over_newcomers(now);
        self.take_answers(now);
        self.handle_completions(now);
        self.expire(now);
        let mut more = self.finish(now);
        for _ in 1..ROUNDS_MAX {
            if !self.has_told {
                break;
            }
            more = self.finish(now);
        }
        let more = more || self.has_told;
        self.port.end_turn();
        // After the sends: woken before them, peers find less at a time, and it costs more (measured).
        self.wake_peers();
        more || self.has_work()
    }

    /// Lets the core end its turn and does what it wants done. Whether another turn should follow at once.
    fn finish(&mut self, now: Now) -> bool {
        self.has_told = false;
        let more = self.core.end_turn(now);
        let mut lanes = Outbound {
            from: self.id,
            mesh: &self.common.mesh,
            counters: &self.common.counters[self.id],
            peers: &mut self.peers,
        };
        let unblocked = self.core.flush_lanes(&mut lanes);
        self.act(now);
        self.start_receiving();
        more || unblocked
    }

    fn drain_lanes(&mut self, now: Now) {
        let (core, peers) = (&mut self.core, &mut self.peers);
        self.common.mesh.drain(
            self.id,
            |from, batch| core.batch(now, ShardId(from as u16), batch),
            |refused| peers.insert(refused),
        );
    }

    fn expire(&mut self, now: Now) {
        if self.core.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.core.expire(now);
        }
        self.end_lingering(now);
        self.retry_accepting(now);
    }

    fn wake_peers(&mut self) {
        while let Some(peer) = self.peers.pop() {
            if self.common.wake(peer) {
                DriverCounters::count(&self.counters().wakes);
            }
        }
    }

    /// Whether a turn would find something to do.
    pub(crate) fn has_work(&mut self) -> bool {
        self.port.has_work() || self.bell().has_news()
    }

    /// When the next turn is due though nothing happens.
    pub(crate) fn next_deadline(&self) -> Option<Now> {
        let lingering = self.lingering.front().map(|(deadline, _)| *deadline);
        let accepting = self.acceptor.as_ref().and_then(Acceptor::retry_at);
        let shutdown = match self.shutdown {
            Shutdown::Begun => self.common.shutdown().map(|(_, deadline)| deadline),
            Shutdown::No | Shutdown::Forced => None,
        };
        [self.core.next_deadline(), lingering, accepting, shutdown].into_iter().flatten().min()
    }

    fn follow_shutdown(&mut self, now: Now) {
        let Some((mode, deadline)) = self.common.shutdown() else { return };
        if self.shutdown == Shutdown::No {
            self.shutdown = Shutdown::Begun;
            self.stop_accepting();
            let grace = Duration::from_nanos(deadline.0.saturating_sub(now.0));
            self.core.shutdown(now, mode, grace);
        }
        if self.shutdown == Shutdown::Begun && deadline <= now {
            self.shutdown = Shutdown::Forced;
            let tokens = self.conns.tokens();
            if !tokens.is_empty() {
                tracing::warn!(
                    shard = self.id,
                    connections = tokens.len(),
                    "the grace is over, connections are aborted"
                );
            }
            for token in tokens {
                self.abort(token);
            }
        }
    }

    /// Whether a shutdown has finished.
    pub(crate) fn has_finished(&mut self) -> bool {
        match self.shutdown {
            Shutdown::No => false,
            Shutdown::Begun => {
                let drained = self.core.is_drained() && self.conns.is_empty();
                self.common.report_drained(self.id, drained)
            }
            Shutdown::Forced => {
                self.common.report_drained(self.id, true);
                self.conns.is_empty()
            }
        }
    }

    /// This shard's index.
    pub(crate) fn id(&self) -> usize {
        self.id
    }

    /// Where others announce what they leave for this shard.
    pub(crate) fn bell(&self) -> &Bell {
        self.common.mesh.bell(self.id)
    }

    /// What this shard counts.
    pub(crate) fn counters(&self) -> &DriverCounters {
        &self.common.counters[self.id]
    }
}
