//! What the main thread and the workers tell each other: the phase of the run, the measured window, who is
//! ready, what failed.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mio::Waker;

use crate::clock::Clock;

/// State shared by all threads of a run.
pub(crate) struct Control {
    pub(crate) clock: Clock,
    phase: AtomicU8,
    window_start: AtomicU64,
    window_end: AtomicU64,
    /// Workers whose sessions have joined and made their subscriptions and registrations.
    ready: AtomicU32,
    /// Workers that have nothing outstanding after the window.
    drained: AtomicU32,
    /// Joined sessions, for the progress line.
    pub(crate) joined: AtomicU64,
    /// Operations so far, for the progress line.
    pub(crate) operations: AtomicU64,
    stopped: AtomicBool,
    failure: Mutex<Option<String>>,
    wakers: OnceLock<Vec<Arc<Waker>>>,
}

/// What a run is doing. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Sessions join and prepare.
    Setup = 0,
    /// Load.
    Run = 1,
    /// Sessions leave.
    Leave = 2,
}

impl Control {
    /// A run that begins now.
    pub(crate) fn new() -> Control {
        Control {
            clock: Clock::start(),
            phase: AtomicU8::new(Phase::Setup as u8),
            window_start: AtomicU64::new(u64::MAX),
            window_end: AtomicU64::new(u64::MAX),
            ready: AtomicU32::new(0),
            drained: AtomicU32::new(0),
            joined: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
            wakers: OnceLock::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Setup,
            1 => Phase::Run,
            _ => Phase::Leave,
        }
    }

    /// Enters a phase and wakes all workers.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.wake_all();
    }

    /// Sets the measured window, in [`Clock`] time, before [`Phase::Run`] is entered.
    pub(crate) fn set_window(&self, start: u64, end: u64) {
        self.window_start.store(start, Ordering::Release);
        self.window_end.store(end, Ordering::Release);
    }

    /// Whether what happens at `now` is measured.
    pub(crate) fn in_window(&self, now: u64) -> bool {
        now >= self.window_start.load(Ordering::Relaxed) && now < self.window_end.load(Ordering::Relaxed)
    }

    /// Whether the window is over, so that no more load is made.
    pub(crate) fn is_past_window(&self, now: u64) -> bool {
        now >= self.window_end.load(Ordering::Relaxed)
    }

    /// A worker is ready; to be called once by each.
    pub(crate) fn add_ready(&self) {
        self.ready.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn ready(&self) -> u32 {
        self.ready.load(Ordering::Acquire)
    }

    /// A worker has nothing outstanding; to be called once by each.
    pub(crate) fn add_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn drained(&self) -> u32 {
        self.drained.load(Ordering::Acquire)
    }

    /// Ends the run with this reason; the first one counts.
    pub(crate) fn fail(&self, reason: String) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.stop();
    }

    /// Ends the run: workers drop what they have.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Why the run failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says how the workers are woken; to be called once, before they run.
    pub(crate) fn set_wakers(&self, wakers: Vec<Arc<Waker>>) {
        let _ = self.wakers.set(wakers);
    }

    /// Wakes one worker.
    pub(crate) fn wake(&self, worker: usize) {
        if let Some(waker) = self.wakers.get().and_then(|wakers| wakers.get(worker)) {
            // A worker that cannot be woken looks by itself soon.
            let _ = waker.wake();
        }
    }

    fn wake_all(&self) {
        for worker in 0..self.wakers.get().map_or(0, Vec::len) {
            self.wake(worker);
        }
    }
}
