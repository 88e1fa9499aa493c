//! What the driver drops, refuses and runs short of, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// One block per shard, written by its shard alone. Monotonic.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct DriverCounters {
    /// Sockets taken over by this shard.
    pub sockets: AtomicU64,
    /// Sockets closed at once because their listener had its most connections (shard 0 only).
    pub accepts_over_limit: AtomicU64,
    /// Times that accepting failed, mostly for want of descriptors, and was put off (shard 0 only).
    pub accepts_starved: AtomicU64,
    /// Sockets that were gone before the shard could take them over, or that came during a shutdown.
    pub sockets_lost: AtomicU64,
    /// Times that a receive ended because every receive buffer was taken; it is started again in the same turn (never with
    /// epoll, which has one that is free whenever it is to be filled).
    pub receive_buffers_short: AtomicU64,
    /// Batches that a full lane gave back.
    pub lane_refusals: AtomicU64,
    /// Questions that this shard has put to hooks.
    pub hook_questions: AtomicU64,
    /// Those of them that had no answer, for whatever reason.
    pub hook_failures: AtomicU64,
    /// Sleeping shards woken by this one.
    pub wakes: AtomicU64,
    /// Times that this shard went to sleep.
    pub parks: AtomicU64,
    /// Turns of this shard.
    pub turns: AtomicU64,
    /// Completions handled by this shard.
    pub completions: AtomicU64,
}

impl DriverCounters {
    /// Adds one. A plain load and store: only the shard itself writes.
    pub(crate) fn count(counter: &AtomicU64) {
        DriverCounters::add(counter, 1);
    }

    /// Adds `more`.
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }
}
