//! The shard task: the one long-lived glommio task of an executor, which moves octets and batches for one core.
//!
//! A turn: other shards' batches (all that wait, before any octets of a connection), sockets handed over, completions,
//! deadlines, the end of the core's turn, the lanes, the core's actions (one send per dirty connection), one system call
//! for all of it, one wake per sleeping peer. Between turns it lets glommio's other tasks run: those that are ready every
//! eight turns, those that wait for something every millisecond or when glommio asks. Without work it spins for the
//! configured time and then waits, through glommio, for the eventfd that is both its ring's and the other shards' way to
//! wake it.
//!
//! Invariants: the core is touched by this task alone; every socket that was taken over is closed by this task; the task
//! ends only when its ring has nothing in flight.

mod accepting;
mod actions;
mod completions;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use wampline_shard::{Now, ShardId};

pub(crate) use accepting::Acceptor;

use crate::common::Common;
use crate::conns::Conns;
use crate::counters::DriverCounters;
use crate::park::Park;
use crate::ring::{Ring, RingSize, Token};
use crate::seam::{Core, Outbound, PeerSet};
use crate::sys;

/// Turns after which tasks that are ready get their chance.
const TURNS_IN_A_ROW: u32 = 8;
/// After this long glommio gets to handle its own events though the shard is busy.
const SLICE: Duration = Duration::from_millis(1);
/// Looks at the clock while spinning are this many looks at the flags apart.
const SPINS_PER_CLOCK: u32 = 64;

/// What a shard task is made from.
pub(crate) struct Parts<C: Core> {
    pub(crate) id: ShardId,
    pub(crate) core: C,
    pub(crate) common: Arc<Common<C::Batch>>,
    /// On shard 0.
    pub(crate) acceptor: Option<Acceptor>,
    pub(crate) spin: Duration,
    pub(crate) ring: RingSize,
}

/// See the module.
pub(crate) struct Task<C: Core> {
    id: usize,
    core: C,
    common: Arc<Common<C::Batch>>,
    ring: Ring<C::Output>,
    park: Park,
    conns: Conns,
    acceptor: Option<Acceptor>,
    /// Whom this turn has left something for.
    peers: PeerSet,
    /// Connections whose receive is to be started (again) in this turn.
    to_receive: Vec<Token>,
    /// Lingering connections by the time at which patience ends, which is the order in which they began.
    lingering: VecDeque<(Now, Token)>,
    spin: Duration,
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

impl<C: Core> Task<C> {
    /// Sets up the ring; on the executor that will run the task.
    pub(crate) fn new(parts: Parts<C>) -> io::Result<Task<C>> {
        let id = usize::from(parts.id.0);
        let eventfd = &parts.common.desks[id].eventfd;
        let ring = Ring::new(parts.ring, eventfd.fd().as_fd())?;
        let park = Park::new(eventfd)?;
        let shards = parts.common.desks.len();
        Ok(Task {
            id,
            core: parts.core,
            ring,
            park,
            conns: Conns::default(),
            acceptor: parts.acceptor,
            peers: PeerSet::new(shards),
            to_receive: Vec::new(),
            lingering: VecDeque::new(),
            spin: parts.spin,
            shutdown: Shutdown::No,
            common: parts.common,
        })
    }

    /// Runs until a shutdown has finished.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        self.start_accepting();
        let (mut in_a_row, mut slice_began) = (0, sys::now());
        loop {
            let now = sys::now();
            let busy = self.turn(now);
            if self.has_finished() {
                break;
            }
            in_a_row += 1;
            if now.0 - slice_began.0 >= SLICE.as_nanos() as u64 || glommio::executor().need_preempt() {
                (in_a_row, slice_began) = (0, now);
                self.park.pass().await;
            } else if in_a_row >= TURNS_IN_A_ROW {
                in_a_row = 0;
                glommio::executor().yield_now().await;
            }
            if !busy && !self.spin().await {
                self.sleep().await;
                slice_began = sys::now();
            }
        }
        self.end();
        self.park.close().await
    }

    /// One turn. Whether another should follow at once.
    fn turn(&mut self, now: Now) -> bool {
        DriverCounters::count(&self.counters().turns);
        self.follow_shutdown(now);
        self.drain_lanes(now);
        self.take_over_newcomers(now);
        self.handle_completions(now);
        self.expire(now);
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
        self.ring.submit();
        self.wake_peers();
        more || unblocked || self.has_work()
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

    fn has_work(&mut self) -> bool {
        self.ring.has_work() || self.common.mesh.bell(self.id).has_news()
    }

    /// When the next turn is due though nothing happens.
    fn next_deadline(&self) -> Option<Now> {
        let lingering = self.lingering.front().map(|(deadline, _)| *deadline);
        let accepting = self.acceptor.as_ref().and_then(Acceptor::retry_at);
        let shutdown = match self.shutdown {
            Shutdown::Begun => self.common.shutdown().map(|(_, deadline)| deadline),
            Shutdown::No | Shutdown::Forced => None,
        };
        [self.core.next_deadline(), lingering, accepting, shutdown].into_iter().flatten().min()
    }

    /// Looks for work for the configured time; whether there is some.
    async fn spin(&mut self) -> bool {
        if self.spin.is_zero() {
            return self.has_work();
        }
        let until = sys::now().0 + self.spin.as_nanos() as u64;
        let until = self.next_deadline().map_or(until, |deadline| until.min(deadline.0));
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if self.has_work() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if glommio::executor().need_preempt() {
                self.park.pass().await;
            }
            if sys::now().0 >= until {
                return self.has_work();
            }
        }
    }

    /// Waits until the ring or another shard has something, or a deadline passes.
    async fn sleep(&mut self) {
        if let Some(deadline) = self.next_deadline() {
            if deadline <= sys::now() {
                return;
            }
            self.ring.wake_at(deadline);
        }
        self.ring.listen_for_wakes(true);
        // The fence inside orders the look at the ring after both announcements: to the kernel, that it is to signal,
        // and to the other shards, that this one sleeps.
        if self.common.mesh.bell(self.id).lie_down() {
            if !self.ring.has_work() {
                DriverCounters::count(&self.counters().parks);
                self.park.rest().await;
            }
            self.common.mesh.bell(self.id).rise();
        }
        self.ring.listen_for_wakes(false);
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
    fn has_finished(&mut self) -> bool {
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

    /// Lets the ring come to rest.
    fn end(&mut self) {
        self.ring.cancel_timer();
        while self.ring.in_flight() > 0 {
            self.ring.wait();
            self.handle_completions(sys::now());
        }
        tracing::debug!(shard = self.id, "ended");
    }

    fn counters(&self) -> &DriverCounters {
        &self.common.counters[self.id]
    }
}
