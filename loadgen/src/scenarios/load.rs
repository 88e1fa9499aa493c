//! Calls, events and churn of subscriptions and registrations, measured: the sessions of one thread and their way
//! through a run. What each kind of session does is its own file's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wampline_wire::Message;

use super::background::Holder;
use super::demand::Demand;
use super::field::Field;
use super::member::Member;
use super::pace::{BACKLOG_BYTES_MAX, Pace};
use super::pubsub::{Events, Publisher, Subscriber};
use super::recent::Recent;
use super::rpc::{Callee, Caller, Calls};
use super::team::{run_id, share};
use super::{Failure, Workload, course};
use crate::connection::{Opening, Replies};
use crate::control::{Control, Phase};
use crate::forwarder::Role;
use crate::options::dealt;
use crate::report::{Part, Report};
use crate::session::{Life, News, Session};
use crate::stamp::Template;
use crate::stats::Tally;
use crate::worker::Links;

/// Carries out a measured run.
pub(crate) fn run(demand: &Demand) -> Result<Report, Failure> {
    demand.check()?;
    let control = Arc::new(Control::new());
    let threads = usize::from(demand.common.threads);
    let prefix = format!("loadgen.r{:x}", run_id());
    let field = Arc::new(Field::new(demand, &prefix, threads));
    let procedures: Arc<[String]> =
        (0..demand.callees()).map(|index| format!("{prefix}.procedure.n{index}")).collect();
    let seats = Seats { demand, field: &field, threads };
    let workloads = (0..threads)
        .map(|worker| Load {
            bench: Bench::new(demand, worker, &prefix, &control, &field, &procedures),
            peers: Vec::new(),
            first_sender: seats.receivers(worker).len(),
            receivers: seats.receivers(worker),
            senders: seats.senders(worker),
            ready: 0,
            stages_told: 0,
            interval: 0,
            is_idle: false,
            is_drained: false,
            is_leaving: false,
        })
        .collect();
    let (workloads, measured) = course::run(demand, &control, workloads)?;

    let [mut calls, mut events, mut cycles] = [Tally::new(), Tally::new(), Tally::new()];
    for mut workload in workloads {
        workload.count_missing();
        calls.add(&workload.bench.calls.tally);
        events.add(&workload.bench.events.tally);
        cycles.add(&workload.bench.cycles);
    }
    let mut report = Report::new(demand.kind, demand.operation, &demand.common);
    demand.describe(&mut report);
    let mut total = calls.clone();
    total.add(&events);
    total.add(&cycles);
    report.set_measured(&measured, &mut total);
    if demand.events.is_some() {
        report.figure("publications_per_second", events.publications as f64 / measured.seconds);
    }
    if demand.calls.is_some() && demand.events.is_some() {
        report.parts = vec![
            Part::new("calls", measured.seconds, &mut calls),
            Part::new("events", measured.seconds, &mut events),
        ];
    }
    Ok(report)
}

/// The sessions of one thread.
struct Load {
    bench: Bench,
    /// By slot.
    peers: Vec<Peer>,
    /// Sessions that are to be opened first, in this order.
    receivers: VecDeque<(Opening, Peer)>,
    /// Those that are opened when all threads have opened the others.
    senders: VecDeque<(Opening, Peer)>,
    /// The slot of the first sender.
    first_sender: usize,
    /// Peers that are ready.
    ready: usize,
    stages_told: u32,
    /// The interval of the record that is being counted.
    interval: u64,
    is_idle: bool,
    is_drained: bool,
    is_leaving: bool,
}

/// What all sessions of a thread use.
pub(crate) struct Bench {
    pub(crate) control: Arc<Control>,
    pub(crate) worker: usize,
    /// What all URIs of the run begin with.
    pub(crate) prefix: String,
    /// The other side is a bare forwarder.
    pub(crate) is_floor: bool,
    pub(crate) template: Template,
    pub(crate) calls: Calls,
    pub(crate) events: Events,
    /// Subscriptions and registrations that came and went.
    pub(crate) cycles: Tally,
    /// Operations since the progress line was told.
    unreported: u64,
}

enum Peer {
    Callee(Callee),
    Subscriber(Subscriber),
    Holder(Holder),
    /// Joins and does nothing.
    Idle,
    Caller(Caller),
    Publisher(Publisher),
    Member(Member),
}

/// Which session sits in which thread: they are dealt in turn.
struct Seats<'a> {
    demand: &'a Demand,
    field: &'a Field,
    threads: usize,
}

impl Seats<'_> {
    fn mine(&self, worker: usize, total: u32) -> impl Iterator<Item = u32> + use<> {
        let threads = self.threads;
        (0..share(total, threads, worker)).map(move |n| worker as u32 + n * threads as u32)
    }

    fn opening(&self, role: Role) -> Opening {
        Opening { serializer: self.demand.common.serializer.serializer(), role }
    }

    fn receivers(&self, worker: usize) -> VecDeque<(Opening, Peer)> {
        let Seats { demand, field, .. } = self;
        let mut seats = VecDeque::new();
        let mut seat = |role, given: &[_], index: u32, peer| {
            let serializer = dealt(given, &demand.common, index as usize);
            seats.push_back((Opening { serializer, role }, peer));
            let idle = self.opening(Role::Other);
            seats.extend((0..demand.placement.idle_per_receiver).map(|_| (idle, Peer::Idle)));
        };
        if let Some(calls) = &demand.calls {
            for index in self.mine(worker, calls.who.callees) {
                let callee = Peer::Callee(Callee::new(index, calls.who.callers));
                seat(Role::Callee, &calls.who.callee_serializers, index, callee);
            }
        }
        if let Some(events) = &demand.events {
            for index in self.mine(worker, events.subscribers) {
                let subscriber = Peer::Subscriber(Subscriber::new(index, field));
                seat(Role::Subscriber, &events.who.subscriber_serializers, index, subscriber);
            }
        }
        let holders = demand.holders();
        seats.extend(self.mine(worker, holders).map(|index| {
            let holder = Holder::new(index, holders, demand.background());
            (self.opening(Role::Other), Peer::Holder(holder))
        }));
        let idle = self.mine(worker, demand.placement.idle_before_senders);
        seats.extend(idle.map(|_| (self.opening(Role::Other), Peer::Idle)));
        seats
    }

    fn senders(&self, worker: usize) -> VecDeque<(Opening, Peer)> {
        let demand = self.demand;
        let serializer = demand.common.serializer.serializer();
        let pace = |in_flight, sender| Pace::new(&demand.window, in_flight, demand.senders(), sender);
        let mut seats = VecDeque::new();
        if let Some(calls) = &demand.calls {
            seats.extend(self.mine(worker, calls.who.callers).map(|index| {
                let number = if demand.is_floor() { u8::try_from(index).ok() } else { None };
                let caller = Caller::new(index, serializer, number, pace(calls.in_flight, index));
                (self.opening(Role::Caller), Peer::Caller(caller))
            }));
        }
        if let Some(events) = &demand.events {
            seats.extend(self.mine(worker, events.who.publishers).map(|index| {
                let pace = pace(events.in_flight, demand.callers() + index);
                let publisher = Publisher::new(index as usize, serializer, pace);
                (self.opening(Role::Publisher), Peer::Publisher(publisher))
            }));
        }
        if let Some(members) = demand.members {
            seats.extend(self.mine(worker, members.count).map(|index| {
                let member = Member::new(index, members.kind, pace(members.in_flight, index));
                (self.opening(Role::Other), Peer::Member(member))
            }));
        }
        seats
    }
}

impl Bench {
    fn new(
        demand: &Demand,
        worker: usize,
        prefix: &str,
        control: &Arc<Control>,
        field: &Arc<Field>,
        procedures: &Arc<[String]>,
    ) -> Bench {
        let threads = usize::from(demand.common.threads);
        let mut own_receivers = vec![0; field.topics.len()];
        for subscriber in (worker as u32..demand.subscribers()).step_by(threads) {
            let topics = own_receivers.len();
            own_receivers[subscriber as usize % topics] += 1;
        }
        Bench {
            control: Arc::clone(control),
            worker,
            prefix: prefix.to_owned(),
            is_floor: demand.is_floor(),
            template: Template::new(demand.payload),
            calls: Calls { procedures: Arc::clone(procedures), tally: Tally::new() },
            events: Events {
                field: Arc::clone(field),
                tally: Tally::new(),
                recent: Recent::default(),
                own_receivers,
                received: 0,
                wake: vec![false; threads],
            },
            cycles: Tally::new(),
            unreported: 0,
        }
    }

    fn tell(&mut self) {
        for tally in [&mut self.calls.tally, &mut self.events.tally, &mut self.cycles] {
            tally.tell(&self.control);
        }
    }

    /// Counts an operation for the progress line, and shows in a long turn that the run goes on.
    pub(crate) fn count_operation(&mut self) {
        self.unreported += 1;
        if self.unreported >= UNREPORTED_MAX {
            self.control.operations.fetch_add(std::mem::take(&mut self.unreported), Ordering::Relaxed);
        }
    }

    fn report_and_wake(&mut self) {
        self.control.operations.fetch_add(std::mem::take(&mut self.unreported), Ordering::Relaxed);
        for (worker, wake) in self.events.wake.iter_mut().enumerate() {
            if std::mem::take(wake) && worker != self.worker {
                self.control.wake(worker);
            }
        }
    }
}

/// Operations of a turn after which the progress line is told.
const UNREPORTED_MAX: u64 = 4096;

impl Load {
    /// Has every sender begin what is due.
    fn fill(&mut self, links: &mut Links, now: u64) {
        for (at, peer) in self.peers.iter_mut().enumerate().skip(self.first_sender) {
            while let Some(session) = links.session(at) {
                let is_blocked = session.connection.backlog() > BACKLOG_BYTES_MAX;
                if let Some(pace) = peer.pace() {
                    pace.set_blocked(is_blocked);
                }
                if is_blocked || !peer.begin(at, now, links, &mut self.bench) {
                    break;
                }
            }
        }
    }

    /// Counts what never came and what was never begun; to be called when all threads have ended.
    fn count_missing(&mut self) {
        let Bench { control, calls, events, cycles, .. } = &mut self.bench;
        for peer in &mut self.peers {
            match peer {
                Peer::Caller(caller) => {
                    calls.tally.faults.lost += u64::from(caller.outstanding.open());
                    caller.pace.count_unsent(control, &mut calls.tally);
                }
                Peer::Publisher(publisher) => {
                    events.tally.faults.lost += u64::from(publisher.outstanding.open());
                    publisher.pace.count_unsent(control, &mut events.tally);
                }
                Peer::Member(member) => {
                    cycles.faults.lost += member.open() as u64;
                    member.pace.count_unsent(control, cycles);
                }
                Peer::Subscriber(subscriber) => subscriber.count_lost(events),
                Peer::Callee(_) | Peer::Holder(_) | Peer::Idle => {}
            }
        }
    }

    /// Ends the publishers when nobody here begins anything any more, and then waits for what is outstanding.
    fn wind_down(&mut self, now: u64) {
        let control = &self.bench.control;
        if !self.is_idle {
            let is_over = |peer: &mut Peer| peer.pace().is_none_or(|pace| pace.is_over(now, control));
            if !self.peers[self.first_sender..].iter_mut().all(is_over) {
                return;
            }
            self.is_idle = true;
            let own = self.peers.iter().filter(|peer| matches!(peer, Peer::Publisher(_))).count();
            self.bench.events.field.active.fetch_sub(own as u32, Ordering::AcqRel);
        }
        let is_answered = |peer: &Peer| match peer {
            Peer::Caller(caller) => caller.outstanding.open() == 0,
            Peer::Publisher(publisher) => publisher.outstanding.open() == 0,
            Peer::Member(member) => member.open() == 0,
            _ => true,
        };
        if !self.is_drained
            && self.peers[self.first_sender..].iter().all(is_answered)
            && self.bench.events.has_everything()
        {
            self.is_drained = true;
            self.bench.tell();
            self.bench.control.add_drained();
        }
    }
}

impl Workload for Load {
    fn wants_session(&mut self) -> Option<Opening> {
        let control = &self.bench.control;
        if let Some((opening, _)) = self.receivers.front() {
            return (control.phase() == Phase::Receivers).then_some(*opening);
        }
        let (opening, peer) = self.senders.front()?;
        if control.phase() != Phase::Senders {
            return None;
        }
        // A bare forwarder numbers callers as they come, so they come one by one.
        if let Peer::Caller(caller) = peer
            && self.bench.is_floor
            && control.callers.load(Ordering::Acquire) != caller.index
        {
            return None;
        }
        Some(*opening)
    }

    fn opened(&mut self, at: usize) {
        debug_assert_eq!(at, self.peers.len(), "no slot is freed before the end");
        let next = self.receivers.pop_front().or_else(|| self.senders.pop_front());
        self.peers.extend(next.map(|(_, peer)| peer));
    }

    fn news(&mut self, at: usize, news: News<'_>, life: &mut Life, now: u64, replies: &mut Replies) {
        let bench = &mut self.bench;
        let is_ready = match news {
            News::Joined => {
                bench.control.joined.fetch_add(1, Ordering::Relaxed);
                self.peers[at].joined(life, bench, replies)
            }
            News::Message(message, octets) => {
                self.peers[at].message(&message, octets, life, now, bench, replies)
            }
        };
        self.ready += usize::from(is_ready);
    }

    fn recognise(&mut self, at: usize, octets: &[u8], now: u64) -> bool {
        let Peer::Subscriber(subscriber) = &mut self.peers[at] else { return false };
        subscriber.recognise(octets, now, &mut self.bench)
    }

    fn ended(&mut self, at: usize, _life: &Life, outcome: Result<(), String>, _now: u64) {
        let Err(reason) = outcome else { return };
        let who = self.peers[at].name();
        if self.is_leaving {
            self.bench.events.tally.faults.error(|| format!("{who}: {reason}"));
        } else {
            self.bench.control.fail(format!("{who}: {reason}"));
        }
    }

    fn turn(&mut self, links: &mut Links, now: u64) {
        let control = Arc::clone(&self.bench.control);
        let phase = control.phase();
        let is_complete = self.receivers.is_empty() && self.ready == self.peers.len();
        match phase {
            Phase::Receivers if self.stages_told == 0 && is_complete => {
                self.stages_told = 1;
                control.add_ready();
            }
            Phase::Senders if self.stages_told == 1 && is_complete && self.senders.is_empty() => {
                self.stages_told = 2;
                control.add_ready();
            }
            Phase::Receivers | Phase::Senders => {}
            Phase::Run => {
                let interval = control.interval(now);
                if interval != self.interval {
                    self.interval = interval;
                    self.bench.tell();
                }
                self.fill(links, now);
                self.wind_down(now);
            }
            Phase::Leave if !self.is_leaving => {
                self.is_leaving = true;
                links.leave_all(now);
            }
            Phase::Leave => {}
        }
        self.bench.report_and_wake();
    }

    fn next_due(&mut self) -> Option<u64> {
        if self.bench.control.phase() != Phase::Run {
            return None;
        }
        let control = &self.bench.control;
        self.peers[self.first_sender..].iter_mut().filter_map(|peer| peer.pace()?.next_due(control)).min()
    }

    fn is_finished(&self, links: &Links) -> bool {
        self.is_leaving && links.is_empty()
    }
}

impl Peer {
    /// The pace of a sender.
    fn pace(&mut self) -> Option<&mut Pace> {
        match self {
            Peer::Caller(caller) => Some(&mut caller.pace),
            Peer::Publisher(publisher) => Some(&mut publisher.pace),
            Peer::Member(member) => Some(&mut member.pace),
            Peer::Callee(_) | Peer::Subscriber(_) | Peer::Holder(_) | Peer::Idle => None,
        }
    }

    /// Has a sender begin one operation if one is due; returns whether it did.
    fn begin(&mut self, at: usize, now: u64, links: &mut Links, bench: &mut Bench) -> bool {
        let Some(Session { connection, life, .. }) = links.session(at) else { return false };
        let mut send = |message: &Message<'_>, number| connection.send(message, number);
        let has_begun = match self {
            Peer::Caller(caller) => caller.begin(now, bench, || life.next_request(), send),
            Peer::Publisher(publisher) => {
                publisher.begin(now, bench, || life.next_request(), |message| send(message, None))
            }
            Peer::Member(member) => member.begin(now, life, bench, |message| send(message, None)),
            _ => false,
        };
        if has_begun {
            links.touch(at);
        }
        has_begun
    }

    /// The session has joined; returns whether it is ready.
    fn joined(&mut self, life: &mut Life, bench: &mut Bench, replies: &mut Replies) -> bool {
        match self {
            Peer::Callee(callee) if !bench.is_floor => {
                callee.joined(life, bench, replies);
                false
            }
            Peer::Subscriber(subscriber) if !bench.is_floor => {
                subscriber.joined(life, bench, replies);
                false
            }
            Peer::Holder(holder) => holder.joined(life, bench, replies),
            Peer::Caller(_) if bench.is_floor => {
                bench.control.callers.fetch_add(1, Ordering::AcqRel);
                bench.control.wake_all();
                true
            }
            _ => true,
        }
    }

    /// A message has come; returns whether it made the session ready.
    fn message(
        &mut self,
        message: &Message<'_>,
        octets: &[u8],
        life: &mut Life,
        now: u64,
        bench: &mut Bench,
        replies: &mut Replies,
    ) -> bool {
        match self {
            Peer::Callee(callee) => return callee.message(message, octets, bench, replies),
            Peer::Subscriber(subscriber) => return subscriber.message(message, octets, now, bench),
            Peer::Holder(holder) => return holder.message(message, life, bench, replies),
            Peer::Idle => bench.cycles.faults.wrong += 1,
            Peer::Caller(caller) => caller.message(message, life, now, bench, replies),
            Peer::Publisher(publisher) => publisher.message(message, &mut bench.events),
            Peer::Member(member) => member.message(message, life, now, bench, replies),
        }
        false
    }

    fn name(&self) -> String {
        match self {
            Peer::Callee(callee) => format!("callee {}", callee.index),
            Peer::Subscriber(subscriber) => format!("subscriber {}", subscriber.index),
            Peer::Holder(_) => "a session with background subscriptions".to_owned(),
            Peer::Idle => "an idle session".to_owned(),
            Peer::Caller(caller) => format!("caller {}", caller.index),
            Peer::Publisher(publisher) => format!("publisher {}", publisher.index),
            Peer::Member(member) => format!("member {}", member.index),
        }
    }
}
