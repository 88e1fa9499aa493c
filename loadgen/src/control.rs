//! What the main thread and the workers tell each other: the phase of the run, the measured window, who is
//! ready, what was counted since the main thread last looked, what failed.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hdrhistogram::Histogram;
use mio::Waker;

use crate::clock::Clock;
use crate::stats::new_histogram;

/// State shared by all threads of a run.
pub(crate) struct Control {
    pub(crate) clock: Clock,
    phase: AtomicU8,
    load_start: AtomicU64,
    window_start: AtomicU64,
    window_end: AtomicU64,
    give_up_at: AtomicU64,
    /// Operations belong to the window by the time at which they were due, not by that at which they ended.
    by_due_time: AtomicBool,
    interval: AtomicU64,
    /// Stages of preparation that workers have finished: sessions joined, subscriptions and registrations made.
    ready: AtomicU32,
    /// Workers that have nothing outstanding after the window.
    drained: AtomicU32,
    /// When the last measured operation ended.
    last_end: AtomicU64,
    /// Joined sessions, for the progress line.
    pub(crate) joined: AtomicU64,
    /// Subscriptions that were made before the run, for the progress line.
    pub(crate) prepared: AtomicU64,
    /// Callers that a bare forwarder has registered, in order.
    pub(crate) callers: AtomicU32,
    /// Operations so far, for the progress line.
    pub(crate) operations: AtomicU64,
    /// Faults so far, for the progress line.
    pub(crate) faults: AtomicU64,
    /// Latencies of measured operations since the main thread last took them.
    recent: Mutex<Histogram<u64>>,
    stopped: AtomicBool,
    failure: Mutex<Option<String>>,
    wakers: OnceLock<Vec<Arc<Waker>>>,
    /// Nanoseconds that each busy-polling worker has not spent on looking in vain.
    worked: OnceLock<Box<[AtomicU64]>>,
}

/// What a run is doing. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Sessions that receive join and prepare.
    Receivers = 0,
    /// Sessions that send join.
    Senders = 1,
    /// Load.
    Run = 2,
    /// Sessions leave.
    Leave = 3,
}

/// When what is measured, in [`Clock`] time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    /// Load begins.
    pub(crate) load_start: u64,
    pub(crate) window_start: u64,
    /// `u64::MAX` if a number of operations is measured.
    pub(crate) window_end: u64,
    /// What an open loop has not begun by then it never does.
    pub(crate) give_up_at: u64,
    pub(crate) by_due_time: bool,
    /// Nanoseconds of one interval of the record.
    pub(crate) interval: u64,
}

impl Control {
    /// A run that begins now.
    pub(crate) fn new() -> Control {
        Control {
            clock: Clock::start(),
            phase: AtomicU8::new(Phase::Receivers as u8),
            load_start: AtomicU64::new(u64::MAX),
            window_start: AtomicU64::new(u64::MAX),
            window_end: AtomicU64::new(u64::MAX),
            give_up_at: AtomicU64::new(u64::MAX),
            by_due_time: AtomicBool::new(false),
            interval: AtomicU64::new(u64::MAX),
            ready: AtomicU32::new(0),
            drained: AtomicU32::new(0),
            last_end: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            prepared: AtomicU64::new(0),
            callers: AtomicU32::new(0),
            operations: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            recent: Mutex::new(new_histogram()),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
            wakers: OnceLock::new(),
            worked: OnceLock::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Receivers,
            1 => Phase::Senders,
            2 => Phase::Run,
            _ => Phase::Leave,
        }
    }

    /// Enters a phase and wakes all workers.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.wake_all();
    }

    /// Sets what is measured, before [`Phase::Run`] is entered.
    pub(crate) fn set_course(&self, course: Course) {
        self.load_start.store(course.load_start, Ordering::Release);
        self.window_start.store(course.window_start, Ordering::Release);
        self.window_end.store(course.window_end, Ordering::Release);
        self.give_up_at.store(course.give_up_at, Ordering::Release);
        self.by_due_time.store(course.by_due_time, Ordering::Release);
        self.interval.store(course.interval.max(1), Ordering::Release);
    }

    /// When load begins.
    pub(crate) fn load_start(&self) -> u64 {
        self.load_start.load(Ordering::Relaxed)
    }

    /// When the measured window begins.
    pub(crate) fn window_start(&self) -> u64 {
        self.window_start.load(Ordering::Relaxed)
    }

    /// When the measured window ends; `u64::MAX` if a number of operations is measured.
    pub(crate) fn window_end(&self) -> u64 {
        self.window_end.load(Ordering::Relaxed)
    }

    /// Whether `now` lies in the window.
    pub(crate) fn in_window(&self, now: u64) -> bool {
        now >= self.window_start() && now < self.window_end()
    }

    /// Whether an operation that was due at `due` and has ended at `now` is measured.
    pub(crate) fn is_measured(&self, due: u64, now: u64) -> bool {
        self.in_window(if self.by_due_time.load(Ordering::Relaxed) { due } else { now })
    }

    /// Whether the window is over, so that no more load is made.
    pub(crate) fn is_past_window(&self, now: u64) -> bool {
        now >= self.window_end()
    }

    /// Whether an open loop that is behind has been so for too long.
    pub(crate) fn has_given_up(&self, now: u64) -> bool {
        now >= self.give_up_at.load(Ordering::Relaxed)
    }

    /// The number of the record's interval in which `now` lies; 0 before the window.
    pub(crate) fn interval(&self, now: u64) -> u64 {
        now.saturating_sub(self.window_start()) / self.interval.load(Ordering::Relaxed)
    }

    /// Adds latencies of measured operations and the end of the last.
    pub(crate) fn add_recent(&self, latencies: &Histogram<u64>, last_end: u64) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.add(latencies).expect("all histograms have the same bounds");
        self.last_end.fetch_max(last_end, Ordering::AcqRel);
    }

    /// Takes what was added since the last time.
    pub(crate) fn take_recent(&self) -> Histogram<u64> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *recent, new_histogram())
    }

    /// When the last measured operation ended; 0 if none has.
    pub(crate) fn last_end(&self) -> u64 {
        self.last_end.load(Ordering::Acquire)
    }

    /// A worker has finished a stage of preparation; to be called once by each for each stage.
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
        let _ = self.worked.set(wakers.iter().map(|_| AtomicU64::new(0)).collect());
        let _ = self.wakers.set(wakers);
    }

    /// Wakes one worker.
    pub(crate) fn wake(&self, worker: usize) {
        if let Some(waker) = self.wakers.get().and_then(|wakers| wakers.get(worker)) {
            // A worker that cannot be woken looks by itself soon.
            let _ = waker.wake();
        }
    }

    pub(crate) fn wake_all(&self) {
        for worker in 0..self.wakers.get().map_or(0, Vec::len) {
            self.wake(worker);
        }
    }

    /// How long a busy-polling worker has worked so far, in nanoseconds.
    pub(crate) fn set_worked(&self, worker: usize, nanos: u64) {
        if let Some(worked) = self.worked.get().and_then(|worked| worked.get(worker)) {
            worked.store(nanos, Ordering::Relaxed);
        }
    }

    /// How long each worker has worked, if it polls busily.
    pub(crate) fn worked(&self) -> Vec<u64> {
        self.worked
            .get()
            .map_or_else(Vec::new, |all| all.iter().map(|worked| worked.load(Ordering::Relaxed)).collect())
    }
}
