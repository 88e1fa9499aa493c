//! Fan-out in a closed loop. Subscribers are dealt over the topics; each publisher publishes to the topics in
//! turn. Checked: every subscriber gets every publication of its topic, once, in each publisher's order, unaltered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use wampline_wire::{Dict, Message, RequestId, RequestType, Serializer, SubscriptionId, Value};

use super::Workload;
use super::closed_loop::{self, ClosedLoop};
use super::outstanding::{Answer, Outstanding};
use super::recent::Recent;
use super::sequence::Sequence;
use super::team::{run_id, share};
use crate::cli::PubsubArguments;
use crate::connection::Replies;
use crate::control::{Control, Phase};
use crate::report::Report;
use crate::session::{Life, News, error_text};
use crate::stamp::{Stamp, Template};
use crate::stats::Tally;
use crate::worker::Links;

/// Measures fan-out.
pub(crate) fn run(arguments: &PubsubArguments) -> Result<Report, String> {
    if arguments.topics > arguments.subscribers && !arguments.acknowledge {
        return Err(
            "a topic without subscriber needs --acknowledge: nothing else would end its publications".into(),
        );
    }
    let control = Arc::new(Control::new());
    let threads = usize::from(arguments.common.threads);
    let field = Arc::new(Field::new(arguments, threads));
    let workloads =
        (0..threads).map(|index| Pubsub::new(arguments, &control, &field, threads, index)).collect();
    let sessions = u64::from(arguments.publishers) + u64::from(arguments.subscribers);
    let closed =
        ClosedLoop { common: &arguments.common, window: &arguments.window, control: &control, sessions };
    let (workloads, measured) = closed_loop::run(&closed, workloads)?;

    let mut tally = Tally::new();
    for mut workload in workloads {
        workload.count_lost();
        tally.add(&workload.bench.tally);
    }
    let mut report = Report::new("pubsub", "events", &arguments.common);
    report.setting("publishers", arguments.publishers);
    report.setting("subscribers", arguments.subscribers);
    report.setting("topics", arguments.topics);
    report.setting("in_flight", arguments.in_flight);
    report.setting("payload_bytes", arguments.payload);
    report.setting("acknowledge", arguments.acknowledge);
    report.set_window(&arguments.window, &measured, &tally);
    report.figure(
        "publications_per_second",
        tally.publications as f64 / arguments.window.duration.as_secs_f64(),
    );
    Ok(report)
}

/// What all threads of the run see.
struct Field {
    topics: Box<[String]>,
    /// Subscribers of each topic, on all threads.
    receivers: Box<[u32]>,
    publishers: Box<[Loop]>,
    /// Publishers that may still publish.
    active: AtomicU32,
    /// A publication is done when it is acknowledged, not when it is delivered.
    acknowledge: bool,
}

/// One publisher's loop. Subscribers on any thread count down; the publisher's own thread counts up.
#[repr(align(128))]
struct Loop {
    /// The worker that the publisher belongs to.
    worker: usize,
    /// Deliveries that a publication still waits for, by sequence modulo the length, which is a power of two.
    waiting: Box<[AtomicU32]>,
    published: AtomicU64,
    done: AtomicU64,
}

/// The publishers and subscribers of one thread.
struct Pubsub {
    bench: Bench,
    peers: Vec<Peer>,
    /// Peers that have no connection yet; the last one is next.
    pending: Vec<Peer>,
    ready: usize,
    is_ready: bool,
    is_idle: bool,
    is_drained: bool,
    is_leaving: bool,
}

/// What all peers of a thread use.
struct Bench {
    control: Arc<Control>,
    field: Arc<Field>,
    worker: usize,
    template: Template,
    tally: Tally,
    recent: Recent,
    in_flight: u64,
    /// Subscribers of this thread, by topic.
    own_receivers: Vec<u32>,
    /// Events that came to this thread, once each.
    received: u64,
    reported: u64,
    /// Workers whose publishers may go on.
    wake: Vec<bool>,
}

enum Peer {
    Publisher(Publisher),
    Subscriber(Subscriber),
}

struct Publisher {
    index: usize,
    /// Publications that are not acknowledged yet; only with `--acknowledge`.
    outstanding: Outstanding,
}

struct Subscriber {
    index: u32,
    topic: usize,
    subscription: Option<SubscriptionId>,
    /// By publisher.
    sequences: Box<[Sequence]>,
}

impl Field {
    fn new(arguments: &PubsubArguments, threads: usize) -> Field {
        let run = run_id();
        let topics = arguments.topics as usize;
        let slots = (arguments.in_flight as usize * 4).next_power_of_two();
        let publishers = (0..arguments.publishers as usize).map(|index| Loop {
            worker: index % threads,
            waiting: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            published: AtomicU64::new(0),
            done: AtomicU64::new(0),
        });
        Field {
            topics: (0..topics).map(|index| format!("loadgen.r{run:x}.topic.n{index}")).collect(),
            receivers: (0..topics).map(|topic| share(arguments.subscribers, topics, topic)).collect(),
            publishers: publishers.collect(),
            active: AtomicU32::new(arguments.publishers),
            acknowledge: arguments.acknowledge,
        }
    }

    /// How many of a publisher's first `published` publications went to this topic.
    fn published_to(&self, topic: usize, published: u64) -> u64 {
        published.saturating_sub(topic as u64).div_ceil(self.topics.len() as u64)
    }
}

impl Loop {
    fn slot(&self, sequence: u64) -> &AtomicU32 {
        &self.waiting[(sequence & (self.waiting.len() as u64 - 1)) as usize]
    }

    /// Whether another publication may be begun. Only the publisher's own thread asks.
    fn is_free(&self, in_flight: u64) -> bool {
        let published = self.published.load(Ordering::Relaxed);
        published - self.done.load(Ordering::Acquire) < in_flight
            && self.slot(published).load(Ordering::Acquire) == 0
    }

    /// Notes one delivery; returns whether it was the last that the publication waited for.
    fn deliver(&self, sequence: u64) -> bool {
        let last = self.slot(sequence).fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            self.done.fetch_add(1, Ordering::AcqRel);
        }
        last
    }
}

impl Pubsub {
    fn new(
        arguments: &PubsubArguments,
        control: &Arc<Control>,
        field: &Arc<Field>,
        threads: usize,
        thread: usize,
    ) -> Pubsub {
        let topics = field.topics.len();
        let mut own_receivers = vec![0; topics];
        let mut pending = Vec::new();
        pending.extend(
            (thread..field.publishers.len())
                .step_by(threads)
                .map(|index| Peer::Publisher(Publisher { index, outstanding: Outstanding::default() })),
        );
        for index in (thread as u32..arguments.subscribers).step_by(threads) {
            let topic = index as usize % topics;
            own_receivers[topic] += 1;
            let sequences =
                field.publishers.iter().map(|_| Sequence::new(topic as u64, topics as u64)).collect();
            pending.push(Peer::Subscriber(Subscriber { index, topic, subscription: None, sequences }));
        }
        Pubsub {
            bench: Bench {
                control: Arc::clone(control),
                field: Arc::clone(field),
                worker: thread,
                template: Template::new(arguments.payload),
                tally: Tally::new(),
                recent: Recent::default(),
                in_flight: u64::from(arguments.in_flight),
                own_receivers,
                received: 0,
                reported: 0,
                wake: vec![false; threads],
            },
            peers: Vec::new(),
            pending,
            ready: 0,
            is_ready: false,
            is_idle: false,
            is_drained: false,
            is_leaving: false,
        }
    }

    /// To be called when all publishers have ended.
    fn count_lost(&mut self) {
        let Bench { field, tally, .. } = &mut self.bench;
        for peer in &self.peers {
            match peer {
                Peer::Publisher(publisher) => tally.faults.lost += u64::from(publisher.outstanding.open()),
                Peer::Subscriber(subscriber) => {
                    for (publisher, sequence) in field.publishers.iter().zip(&subscriber.sequences) {
                        sequence.finish(publisher.published.load(Ordering::Acquire), &mut tally.faults);
                    }
                }
            }
        }
    }

    fn fill(&mut self, links: &mut Links, now: u64) {
        let serializer = links.serializer();
        for (at, peer) in self.peers.iter_mut().enumerate() {
            let Peer::Publisher(publisher) = peer else { continue };
            while self.bench.field.publishers[publisher.index].is_free(self.bench.in_flight) {
                let Some(session) = links.session(at) else { break };
                let request = session.life.next_request();
                publisher
                    .publish(request, now, serializer, &mut self.bench, |message| links.send(at, message));
            }
        }
    }

    /// Whether all that was published has come, once publishers have ended.
    fn has_everything(&self) -> bool {
        let Bench { field, own_receivers, received, .. } = &self.bench;
        if field.active.load(Ordering::Acquire) > 0 {
            return false;
        }
        let done = |publisher: &Loop| {
            publisher.done.load(Ordering::Acquire) == publisher.published.load(Ordering::Acquire)
        };
        let expected: u64 = field
            .publishers
            .iter()
            .map(|publisher| {
                let published = publisher.published.load(Ordering::Acquire);
                let to = |(topic, &receivers)| field.published_to(topic, published) * u64::from(receivers);
                own_receivers.iter().enumerate().map(to).sum::<u64>()
            })
            .sum();
        *received >= expected && field.publishers.iter().all(done)
    }
}

impl Workload for Pubsub {
    fn wants_session(&mut self) -> bool {
        !self.pending.is_empty() && self.bench.control.phase() == Phase::Setup
    }

    fn opened(&mut self, at: usize) {
        debug_assert_eq!(at, self.peers.len(), "no slot is freed before the end");
        self.peers.extend(self.pending.pop());
    }

    fn news(&mut self, at: usize, news: News<'_>, life: &mut Life, now: u64, replies: &mut Replies) {
        let bench = &mut self.bench;
        match (&mut self.peers[at], news) {
            (Peer::Subscriber(subscriber), News::Joined) => {
                bench.control.joined.fetch_add(1, Ordering::Relaxed);
                let topic = bench.field.topics[subscriber.topic].as_str().into();
                let request = life.next_request();
                replies.send(&Message::Subscribe { request, options: Dict::EMPTY, topic });
            }
            (Peer::Subscriber(subscriber), News::Message(message, octets)) => {
                self.ready += subscriber.message(&message, octets, now, bench);
            }
            (Peer::Publisher(_), News::Joined) => {
                bench.control.joined.fetch_add(1, Ordering::Relaxed);
                self.ready += 1;
            }
            (Peer::Publisher(publisher), News::Message(message, _)) => publisher.message(&message, bench),
        }
    }

    fn recognise(&mut self, at: usize, octets: &[u8], now: u64) -> bool {
        let Peer::Subscriber(subscriber) = &mut self.peers[at] else { return false };
        let Some((subscription, stamp)) = self.bench.recent.find(octets) else { return false };
        subscriber.event(subscription, Some(stamp), now, &mut self.bench);
        true
    }

    fn ended(&mut self, at: usize, _life: &Life, outcome: Result<(), String>, _now: u64) {
        let Err(reason) = outcome else { return };
        let who = match &self.peers[at] {
            Peer::Publisher(publisher) => format!("publisher {}", publisher.index),
            Peer::Subscriber(subscriber) => format!("subscriber {}", subscriber.index),
        };
        if self.is_leaving {
            self.bench.tally.faults.error(|| format!("{who}: {reason}"));
        } else {
            self.bench.control.fail(format!("{who}: {reason}"));
        }
    }

    fn turn(&mut self, links: &mut Links, now: u64) {
        let control = Arc::clone(&self.bench.control);
        if !self.is_ready && self.pending.is_empty() && self.ready == self.peers.len() {
            self.is_ready = true;
            control.add_ready();
        }
        match control.phase() {
            Phase::Setup => {}
            Phase::Run if !control.is_past_window(now) => self.fill(links, now),
            Phase::Run => {
                if !self.is_idle {
                    self.is_idle = true;
                    let own = self.peers.iter().filter(|peer| matches!(peer, Peer::Publisher(_))).count();
                    self.bench.field.active.fetch_sub(own as u32, Ordering::AcqRel);
                }
                if !self.is_drained && self.has_everything() {
                    self.is_drained = true;
                    control.add_drained();
                }
            }
            Phase::Leave if !self.is_leaving => {
                self.is_leaving = true;
                links.leave_all(now);
            }
            Phase::Leave => {}
        }
        self.bench.report_and_wake();
    }

    fn is_finished(&self, links: &Links) -> bool {
        self.is_leaving && links.is_empty()
    }
}

impl Bench {
    fn report_and_wake(&mut self) {
        let new = self.received - self.reported;
        self.reported = self.received;
        self.control.operations.fetch_add(new, Ordering::Relaxed);
        for (worker, wake) in self.wake.iter_mut().enumerate() {
            if std::mem::take(wake) && worker != self.worker {
                self.control.wake(worker);
            }
        }
    }
}

impl Publisher {
    /// Publishes once more. The request id of publication n is n + 1, for publishers make no other requests.
    fn publish(
        &mut self,
        request: RequestId,
        now: u64,
        serializer: Serializer,
        bench: &mut Bench,
        send: impl FnOnce(&Message<'_>),
    ) {
        const ACKNOWLEDGE: &[(&str, Value<'static>)] = &[("acknowledge", Value::Bool(true))];
        let Bench { field, template, .. } = bench;
        let own = &field.publishers[self.index];
        let sequence = own.published.load(Ordering::Relaxed);
        let topic = (sequence % field.topics.len() as u64) as usize;
        let payload =
            template.stamped(serializer, Stamp { sender: self.index as u32, sequence, sent_at: now });
        let options = if field.acknowledge {
            self.outstanding.begin(now);
            Dict::pairs(ACKNOWLEDGE)
        } else {
            own.slot(sequence).store(field.receivers[topic], Ordering::Release);
            Dict::EMPTY
        };
        let topic = field.topics[topic].as_str().into();
        send(&Message::Publish { request, options, topic, payload: payload.as_payload() });
        own.published.store(sequence + 1, Ordering::Release);
        bench.tally.publications += u64::from(bench.control.in_window(now));
    }

    /// Without `--acknowledge` nothing may come.
    fn message(&mut self, message: &Message<'_>, bench: &mut Bench) {
        let faults = &mut bench.tally.faults;
        let request = match message {
            Message::Published { request, .. } => request,
            Message::Error { request_type: RequestType::Publish, request, error, payload, .. } => {
                faults.error(|| error_text(error, payload));
                request
            }
            _ => {
                faults.wrong += 1;
                return;
            }
        };
        match self.outstanding.answer(request.get() - 1) {
            Answer::First(_) => {
                bench.field.publishers[self.index].done.fetch_add(1, Ordering::AcqRel);
            }
            Answer::Again => faults.duplicated += 1,
            Answer::Unasked => faults.wrong += 1,
        }
    }
}

impl Subscriber {
    /// Returns 1 when this made the subscriber ready.
    fn message(&mut self, message: &Message<'_>, octets: &[u8], now: u64, bench: &mut Bench) -> usize {
        match message {
            Message::Event { subscription, payload, .. } => {
                let stamp = bench.template.read(payload);
                if let Some(stamp) = stamp {
                    bench.recent.keep(octets, *subscription, stamp);
                }
                self.event(*subscription, stamp, now, bench);
            }
            Message::Subscribed { subscription, .. } if self.subscription.is_none() => {
                self.subscription = Some(*subscription);
                return 1;
            }
            Message::Error { request_type: RequestType::Subscribe, error, payload, .. } => {
                bench.control.fail(format!("the router refused SUBSCRIBE: {}", error_text(error, payload)));
            }
            _ => bench.tally.faults.wrong += 1,
        }
        0
    }

    fn event(&mut self, subscription: SubscriptionId, stamp: Option<Stamp>, now: u64, bench: &mut Bench) {
        let Bench { field, tally, .. } = bench;
        let stamp = stamp.filter(|_| self.subscription == Some(subscription));
        let sender = stamp.map_or(usize::MAX, |stamp| stamp.sender as usize);
        let (Some(stamp), Some(publisher), Some(sequence)) =
            (stamp, field.publishers.get(sender), self.sequences.get_mut(sender))
        else {
            tally.faults.wrong += 1;
            return;
        };
        if stamp.sequence >= publisher.published.load(Ordering::Acquire) {
            tally.faults.wrong += 1;
            return;
        }
        if !sequence.accept(stamp.sequence, &mut tally.faults) {
            return;
        }
        bench.received += 1;
        if bench.control.in_window(now) {
            tally.record(now.saturating_sub(stamp.sent_at));
        }
        if !field.acknowledge && publisher.deliver(stamp.sequence) {
            bench.wake[publisher.worker] = true;
        }
    }
}
