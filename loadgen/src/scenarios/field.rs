//! What the threads of a run share about publications: topics, and, for each publisher, what it has published and what
//! of that is done.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::demand::Demand;
use super::team::share;

/// All topics and publishers.
pub(crate) struct Field {
    /// What all URIs of the run begin with.
    pub(crate) prefix: String,
    pub(crate) topics: Box<[String]>,
    /// Subscribers of each topic, on all threads.
    pub(crate) receivers: Box<[u32]>,
    pub(crate) publishers: Box<[Progress]>,
    /// Publishers that may still publish.
    pub(crate) active: AtomicU32,
    /// Each publication is acknowledged.
    pub(crate) acknowledge: bool,
    /// Publishers wait until a publication has been delivered everywhere.
    pub(crate) awaits_delivery: bool,
}

/// One publisher's publications. Subscribers on any thread count down; the publisher's own thread counts up.
#[repr(align(128))]
pub(crate) struct Progress {
    /// The worker that the publisher belongs to.
    pub(crate) worker: usize,
    /// Deliveries that a publication still waits for, by sequence modulo the length, which is a power of two.
    waiting: Box<[AtomicU32]>,
    pub(crate) published: AtomicU64,
    pub(crate) done: AtomicU64,
}

impl Field {
    /// Nothing published yet; without events in the demand, nobody who could.
    pub(crate) fn new(demand: &Demand, prefix: &str, threads: usize) -> Field {
        let (topics, in_flight, acknowledge) = demand.events.as_ref().map_or((0, 0, false), |events| {
            (events.who.topics as usize, events.in_flight as usize, events.who.acknowledge)
        });
        let awaits_delivery = !acknowledge && demand.window.rate.is_none();
        let slots = if awaits_delivery { (in_flight * 4).next_power_of_two() } else { 1 };
        let publishers = (0..demand.publishers() as usize).map(|index| Progress {
            worker: index % threads,
            waiting: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            published: AtomicU64::new(0),
            done: AtomicU64::new(0),
        });
        Field {
            prefix: prefix.to_owned(),
            topics: (0..topics).map(|index| format!("{prefix}.topic.n{index}")).collect(),
            receivers: (0..topics).map(|topic| share(demand.subscribers(), topics, topic)).collect(),
            publishers: publishers.collect(),
            active: AtomicU32::new(demand.publishers()),
            acknowledge,
            awaits_delivery,
        }
    }

    /// How many of a publisher's first `published` publications went to this topic.
    pub(crate) fn published_to(&self, topic: usize, published: u64) -> u64 {
        published.saturating_sub(topic as u64).div_ceil(self.topics.len() as u64)
    }

    /// How many events all publications bring to so many receivers of each topic.
    pub(crate) fn expected(&self, receivers: &[u32]) -> u64 {
        let of = |publisher: &Progress| {
            let published = publisher.published.load(Ordering::Acquire);
            let to = |(topic, &receivers)| self.published_to(topic, published) * u64::from(receivers);
            receivers.iter().enumerate().map(to).sum::<u64>()
        };
        self.publishers.iter().map(of).sum()
    }

    /// Whether every publication that publishers wait for is done.
    pub(crate) fn is_done(&self) -> bool {
        let is_done = |publisher: &Progress| {
            publisher.done.load(Ordering::Acquire) == publisher.published.load(Ordering::Acquire)
        };
        !(self.acknowledge || self.awaits_delivery) || self.publishers.iter().all(is_done)
    }
}

impl Progress {
    fn slot(&self, sequence: u64) -> &AtomicU32 {
        &self.waiting[(sequence & (self.waiting.len() as u64 - 1)) as usize]
    }

    /// Whether another publication may be begun in a closed loop. Only the publisher's own thread asks.
    pub(crate) fn is_free(&self, in_flight: u64) -> bool {
        let published = self.published.load(Ordering::Relaxed);
        published - self.done.load(Ordering::Acquire) < in_flight
            && self.slot(published).load(Ordering::Acquire) == 0
    }

    /// Notes that a publication waits for so many deliveries.
    pub(crate) fn await_deliveries(&self, sequence: u64, receivers: u32) {
        self.slot(sequence).store(receivers, Ordering::Release);
    }

    /// Notes one delivery; returns whether it was the last that the publication waited for.
    pub(crate) fn deliver(&self, sequence: u64) -> bool {
        let last = self.slot(sequence).fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            self.done.fetch_add(1, Ordering::AcqRel);
        }
        last
    }
}
