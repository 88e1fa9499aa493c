//! Fan-out through a NATS server in its own protocol, measured and verified as `wampline-loadgen pubsub` does it.
//!
//! One publisher keeps `in_flight` publications open; one is done when all subscribers have received it. Each
//! carries its sequence and the time in its payload. Single-threaded, one readiness loop.

mod peer;
mod report;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use crate::procfs::{self, Usage};
use peer::{Expected, Peer};
pub use report::{Faults, Report};

/// The smallest payload: sequence and time.
pub const PAYLOAD_BYTES_MIN: usize = 16;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the server is.
    pub server: SocketAddr,
    /// Connections that subscribe.
    pub subscribers: usize,
    /// Publications under way at a time.
    pub in_flight: usize,
    /// Octets of a payload, at least [`PAYLOAD_BYTES_MIN`].
    pub payload: usize,
    /// Load before the measured window.
    pub warmup: Duration,
    /// The measured window.
    pub duration: Duration,
    /// The server's process: its processor time and memory are reported.
    pub server_pid: Option<u32>,
    /// How long what is outstanding at the end may take.
    pub timeout: Duration,
}

/// What a run has counted.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) operations: u64,
    pub(crate) publications: u64,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) faults: Faults,
}

struct Run<'a> {
    plan: &'a Plan,
    start: Instant,
    expected: Expected,
    /// The publisher is the last.
    peers: Vec<Peer>,
    published: u64,
    /// The publication that `waiting` begins with.
    oldest: u64,
    /// Deliveries that each open publication waits for.
    waiting: VecDeque<usize>,
    tally: Tally,
    /// The measured window, in nanoseconds since `start`.
    window: (u64, u64),
}

/// Measures.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn run(plan: &Plan) -> io::Result<Report> {
    let expected = Expected::new(plan.payload);
    let mut peers = Vec::with_capacity(plan.subscribers + 1);
    for _ in 0..plan.subscribers {
        peers.push(Peer::connect(plan.server, Some(&expected), plan.timeout)?);
    }
    peers.push(Peer::connect(plan.server, None, plan.timeout)?);
    let latency =
        Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("invariant: the bounds are in order");
    let tally = Tally { operations: 0, publications: 0, latency, faults: Faults::default() };
    let from = nanos(plan.warmup);
    let run = Run {
        plan,
        start: Instant::now(),
        expected,
        peers,
        published: 0,
        oldest: 0,
        waiting: VecDeque::new(),
        tally,
        window: (from, from + nanos(plan.duration)),
    };
    run.measure()
}

impl Run<'_> {
    fn measure(mut self) -> io::Result<Report> {
        let mut poll = Poll::new()?;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut peer.stream, Token(index), interest)?;
        }
        let mut events = Events::with_capacity(4096);
        let mut before = None;
        loop {
            let now = self.now();
            if before.is_none() && now >= self.window.0 {
                before = Some(Used::so_far(self.plan));
            }
            if now >= self.window.1 {
                break;
            }
            self.publish(now)?;
            self.turn(&mut poll, &mut events)?;
        }
        let used = before.map(|before| Used::so_far(self.plan).since(&before)).unwrap_or_default();
        let deadline = self.now() + nanos(self.plan.timeout);
        while !self.waiting.is_empty() && self.now() < deadline {
            self.turn(&mut poll, &mut events)?;
        }
        self.tally.faults.lost = self.waiting.iter().map(|&waiting| waiting as u64).sum();
        Ok(Report::new(self.plan, self.tally, used))
    }

    fn turn(&mut self, poll: &mut Poll, events: &mut Events) -> io::Result<()> {
        match poll.poll(events, Some(Duration::from_millis(10))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in events.iter() {
            let index = event.token().0;
            if event.is_writable() {
                self.peers[index].flush()?;
            }
            if event.is_readable() {
                self.receive(index)?;
            }
        }
        Ok(())
    }

    fn publish(&mut self, now: u64) -> io::Result<()> {
        let publisher = self.peers.last_mut().expect("invariant: there is a publisher");
        let before = self.published;
        while self.waiting.len() < self.plan.in_flight {
            publisher.publish(&self.expected, self.published, now);
            self.published += 1;
            self.waiting.push_back(self.plan.subscribers);
        }
        if now >= self.window.0 {
            self.tally.publications += self.published - before;
        }
        publisher.flush()
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        loop {
            self.peers[index].fill()?;
            let is_full = self.peers[index].is_full();
            self.count(index)?;
            if !is_full {
                break;
            }
        }
        while self.waiting.front() == Some(&0) {
            self.waiting.pop_front();
            self.oldest += 1;
        }
        Ok(())
    }

    fn count(&mut self, index: usize) -> io::Result<()> {
        let now = self.now();
        let is_measured = (self.window.0..self.window.1).contains(&now);
        while let Some((sequence, sent)) = self.peers[index].next(&self.expected, &mut self.tally.faults)? {
            // What is no longer waited for was counted as a duplicate by its peer.
            let Some(place) = sequence.checked_sub(self.oldest) else { continue };
            let Some(waiting) = self.waiting.get_mut(place as usize) else {
                self.tally.faults.wrong += 1;
                continue;
            };
            *waiting = waiting.saturating_sub(1);
            if is_measured {
                self.tally.operations += 1;
                self.tally.latency.saturating_record(now.saturating_sub(sent));
            }
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }
}

/// What has been used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    pub(crate) own: Duration,
    pub(crate) server: Option<Usage>,
}

impl Used {
    fn so_far(plan: &Plan) -> Used {
        let own = procfs::processor_time(std::process::id());
        Used { own, server: plan.server_pid.map(|pid| procfs::usage(&[pid])) }
    }

    fn since(self, before: &Used) -> Used {
        let server = self.server.zip(before.server.as_ref()).map(|(after, before)| Usage {
            processor_time: after.processor_time.saturating_sub(before.processor_time),
            resident_kib: after.resident_kib,
        });
        Used { own: self.own.saturating_sub(before.own), server }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
