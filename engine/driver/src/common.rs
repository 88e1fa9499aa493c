//! What the shards of one router share: lanes, bells, newcomers, the way down.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_queue::SegQueue;
use crossbeam_utils::CachePadded;
use wampline_shard::{ListenerId, Now, Peer, ShutdownMode};

use crate::counters::DriverCounters;
use crate::hooks::{Deliver, HookAnswer};
use crate::lanes::{LaneBounds, Mesh};
use crate::sys::{self, EventFd};

/// A socket on its way to its shard.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) socket: OwnedFd,
    pub(crate) listener: ListenerId,
    pub(crate) peer: Peer,
}

/// One shard's place at which others leave things.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Signalled by whoever finds the shard asleep; polled by its ring or its epoll instance.
    pub(crate) eventfd: EventFd,
    /// Sockets to take over.
    pub(crate) newcomers: SegQueue<Newcomer>,
    /// What hooks have answered; bounded by the questions that may wait for them.
    pub(crate) answers: SegQueue<HookAnswer>,
    /// Sockets that this shard has or will have taken over. Counted when a socket is handed over, so that a burst is
    /// spread before the first of it has arrived.
    pub(crate) load: CachePadded<AtomicUsize>,
    /// During a shutdown: the shard has nothing left to do.
    drained: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Common<B> {
    pub(crate) mesh: Mesh<B>,
    pub(crate) desks: Box<[Desk]>,
    /// By shard.
    pub(crate) counters: Box<[DriverCounters]>,
    /// By listener: its connections on all shards.
    pub(crate) listener_loads: Box<[CachePadded<AtomicUsize>]>,
    way_down: WayDown,
}

impl<B> Common<B> {
    /// For `shards` shards; fails if descriptors run out.
    pub(crate) fn new(shards: usize, listeners: usize, bounds: LaneBounds) -> std::io::Result<Common<B>> {
        let desk = |_| {
            Ok(Desk {
                eventfd: EventFd::new()?,
                newcomers: SegQueue::new(),
                answers: SegQueue::new(),
                load: CachePadded::default(),
                drained: AtomicBool::new(false),
            })
        };
        Ok(Common {
            mesh: Mesh::new(shards, bounds),
            desks: (0..shards).map(desk).collect::<std::io::Result<_>>()?,
            counters: (0..shards).map(|_| DriverCounters::default()).collect(),
            listener_loads: (0..listeners).map(|_| CachePadded::default()).collect(),
            way_down: WayDown::default(),
        })
    }

    /// Wakes a shard if it sleeps. Whether a system call was needed.
    pub(crate) fn wake(&self, shard: usize) -> bool {
        let must = self.mesh.bell(shard).must_wake();
        if must {
            self.desks[shard].eventfd.signal();
        }
        must
    }

    /// Begins a shutdown, or shortens the grace of the one that has begun.
    pub(crate) fn shut_down(&self, mode: ShutdownMode, grace: Duration) {
        self.way_down.begin(mode, grace);
        self.call_everyone();
    }

    /// The shutdown that has begun: its mode and when it has to be over.
    pub(crate) fn shutdown(&self) -> Option<(ShutdownMode, Now)> {
        self.way_down.state()
    }

    /// During a shutdown: notes whether a shard has nothing left to do and tells whether that holds for all.
    pub(crate) fn report_drained(&self, shard: usize, drained: bool) -> bool {
        let was = self.desks[shard].drained.swap(drained, Ordering::SeqCst);
        let all = drained && self.desks.iter().all(|desk| desk.drained.load(Ordering::SeqCst));
        if all && !was {
            self.call_everyone();
        }
        all
    }

    fn call_everyone(&self) {
        for shard in 0..self.desks.len() {
            self.mesh.bell(shard).announce();
            self.wake(shard);
        }
    }
}

impl<B: Send> Deliver for Common<B> {
    fn deliver(&self, shard: usize, answer: HookAnswer) {
        self.desks[shard].answers.push(answer);
        self.mesh.bell(shard).announce();
        self.wake(shard);
    }
}

/// How and until when the router goes down.
#[derive(Debug)]
struct WayDown {
    /// 0 while it runs, 1 for GOODBYE, 2 for a restart.
    mode: AtomicU8,
    deadline: AtomicU64,
}

impl Default for WayDown {
    fn default() -> WayDown {
        WayDown { mode: AtomicU8::new(0), deadline: AtomicU64::new(u64::MAX) }
    }
}

impl WayDown {
    fn begin(&self, mode: ShutdownMode, grace: Duration) {
        let grace = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        self.deadline.fetch_min(sys::now().0.saturating_add(grace), Ordering::SeqCst);
        let mode = match mode {
            ShutdownMode::Goodbye => 1,
            ShutdownMode::Restart => 2,
        };
        // The first mode stands: sessions have been told already.
        let _ = self.mode.compare_exchange(0, mode, Ordering::SeqCst, Ordering::SeqCst);
    }

    fn state(&self) -> Option<(ShutdownMode, Now)> {
        let mode = match self.mode.load(Ordering::Acquire) {
            0 => return None,
            1 => ShutdownMode::Goodbye,
            _ => ShutdownMode::Restart,
        };
        Some((mode, Now(self.deadline.load(Ordering::Acquire))))
    }
}
