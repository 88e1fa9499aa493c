//! What a shard counts: all that is dropped, cut, refused or slowed, and what it holds.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One shard's counters, written by that shard alone. Monotonic, but for the gauges.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Gauge: connections open.
    pub connections: AtomicUsize,
    /// Gauge: sessions open.
    pub sessions: AtomicUsize,
    /// Gauge: calls that wait for their answer, on their caller's shard.
    pub calls_pending: AtomicUsize,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections refused because a bound was met.
    pub refused_connections: AtomicU64,
    /// Connections that ended in a transport fault or a failed handshake.
    pub transport_faults: AtomicU64,
    /// Connections that did not send HELLO in time.
    pub handshake_timeouts: AtomicU64,
    /// Sessions refused with ABORT before WELCOME.
    pub refused_sessions: AtomicU64,
    /// Gauge: clients that authenticate.
    pub authenticating: AtomicUsize,
    /// Attempts to authenticate that were denied.
    pub authentications_denied: AtomicU64,
    /// Clients that had not authenticated in time.
    pub authentications_timed_out: AtomicU64,
    /// Clients turned away because as many authenticate as may.
    pub refused_authenticating: AtomicU64,
    /// Clients turned away because their source has failed to authenticate too often.
    pub refused_blocked: AtomicU64,
    /// Times that a source was turned away from then on.
    pub sources_blocked: AtomicU64,
    /// Failures of sources that were not watched because as many were as may.
    pub sources_unwatched: AtomicU64,
    /// Sessions joined.
    pub joined: AtomicU64,
    /// Sessions aborted for a protocol violation.
    pub protocol_violations: AtomicU64,
    /// Connections cut because their outbox was full.
    pub cut_outbox_full: AtomicU64,
    /// Connections cut because they took nothing for too long.
    pub cut_stalled: AtomicU64,
    /// Connections cut because they did not answer a ping.
    pub cut_silent: AtomicU64,
    /// Connections cut because they did not answer GOODBYE, or take their last messages, in time.
    pub cut_unresponsive: AtomicU64,
    /// GOODBYEs answered before the home shard had released everything.
    pub goodbye_early: AtomicU64,
    /// Calls that killed sessions, answered before the home shard had released all of them.
    pub kills_early: AtomicU64,
    /// Publications accepted.
    pub publications: AtomicU64,
    /// Unacknowledged publications that were refused without an answer.
    pub publications_dropped: AtomicU64,
    /// EVENTs queued.
    pub events: AtomicU64,
    /// EVENTs not queued because they are longer than the receiver accepts.
    pub events_too_long: AtomicU64,
    /// EVENTs not queued because the receiver's serializer cannot express them.
    pub events_inexpressible: AtomicU64,
    /// Retained events that went because of a bound.
    pub retained_evicted: AtomicU64,
    /// Retained events that a subscriber did not get because there were more than it may have queued.
    pub retained_omitted: AtomicU64,
    /// Calls accepted.
    pub calls: AtomicU64,
    /// Calls answered with RESULT.
    pub results: AtomicU64,
    /// Calls answered with ERROR.
    pub call_errors: AtomicU64,
    /// Calls sent to another callee, because the one before was gone, full or unavailable.
    pub calls_rerouted: AtomicU64,
    /// Calls whose time was over.
    pub calls_timed_out: AtomicU64,
    /// Calls that their caller cancelled.
    pub calls_canceled: AtomicU64,
    /// Requests that were refused because the session's role does not permit them.
    pub not_authorized: AtomicU64,
    /// Requests that were refused because the authorizer gave no answer that could be understood.
    pub authorizations_failed: AtomicU64,
    /// Payloads of calls, results and publications that were refused because they are not as a rule wants them.
    pub payloads_invalid: AtomicU64,
    /// Questions that the router itself asked of procedures and hooks.
    pub questions: AtomicU64,
    /// Those that had no answer in time, or nobody to ask.
    pub questions_unanswered: AtomicU64,
    /// Calls that waited for a callee with as many invocations as it takes.
    pub calls_queued: AtomicU64,
    /// Chunks of calls that had ended.
    pub chunks_dropped: AtomicU64,
    /// Answers to calls that nobody waited for.
    pub answers_dropped: AtomicU64,
    /// Times that a lane to another shard was full.
    pub lanes_full: AtomicU64,
    /// Times that a connection was not read because a lane or its own outbox was full.
    pub parked: AtomicU64,
}

/// Adds to a counter. Each has one writer, so no locked instruction is needed.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// Sets a gauge.
pub(crate) fn set(gauge: &AtomicUsize, n: usize) {
    gauge.store(n, Ordering::Relaxed);
}
