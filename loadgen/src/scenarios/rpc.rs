//! Calls in a closed loop. Each callee registers a procedure of its own and echoes; each caller calls the
//! procedures in turn. Checked: every call has one answer, with the payload that was sent; every callee sees the
//! calls of one caller once and in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wampline_wire::{Dict, Message, Payload, RegistrationId, RequestId, RequestType, Serializer};

use super::Workload;
use super::closed_loop::{self, ClosedLoop};
use super::outstanding::{Answer, Outstanding};
use super::team::{run_id, share};
use crate::cli::RpcArguments;
use crate::connection::Replies;
use crate::control::{Control, Phase};
use crate::report::Report;
use crate::session::{Life, News, error_text};
use crate::stamp::{Stamp, Template};
use crate::stats::Tally;
use crate::worker::Links;

/// Measures calls.
pub(crate) fn run(arguments: &RpcArguments) -> Result<Report, String> {
    let control = Arc::new(Control::new());
    let threads = usize::from(arguments.common.threads);
    let run = run_id();
    let procedures: Arc<[String]> =
        (0..arguments.callees).map(|index| format!("loadgen.r{run:x}.procedure.n{index}")).collect();
    let workloads =
        (0..threads).map(|index| Rpc::new(arguments, &control, &procedures, threads, index)).collect();
    let sessions = u64::from(arguments.callers) + u64::from(arguments.callees);
    let closed =
        ClosedLoop { common: &arguments.common, window: &arguments.window, control: &control, sessions };
    let (workloads, measured) = closed_loop::run(&closed, workloads)?;

    let mut tally = Tally::new();
    for mut workload in workloads {
        workload.count_lost();
        tally.add(&workload.bench.tally);
    }
    let mut report = Report::new("rpc", "calls", &arguments.common);
    report.setting("callers", arguments.callers);
    report.setting("callees", arguments.callees);
    report.setting("in_flight", arguments.in_flight);
    report.setting("payload_bytes", arguments.payload);
    report.set_window(&arguments.window, &measured, &tally);
    Ok(report)
}

/// The callers and callees of one thread.
struct Rpc {
    bench: Bench,
    peers: Vec<Peer>,
    /// Peers that have no connection yet; the last one is next.
    waiting: Vec<Peer>,
    ready: usize,
    is_ready: bool,
    is_drained: bool,
    is_leaving: bool,
}

/// What all peers of a thread use.
struct Bench {
    control: Arc<Control>,
    serializer: Serializer,
    procedures: Arc<[String]>,
    template: Template,
    tally: Tally,
    in_flight: u32,
    /// Answers since the progress line was told.
    unreported: u64,
}

enum Peer {
    Callee(Callee),
    Caller(Caller),
}

struct Callee {
    index: u32,
    registration: Option<RegistrationId>,
    /// The sequence that each caller must exceed.
    next: Vec<u64>,
}

struct Caller {
    index: u32,
    outstanding: Outstanding,
}

impl Rpc {
    fn new(
        arguments: &RpcArguments,
        control: &Arc<Control>,
        procedures: &Arc<[String]>,
        threads: usize,
        thread: usize,
    ) -> Rpc {
        let mine =
            |total: u32| (0..share(total, threads, thread)).map(move |n| thread as u32 + n * threads as u32);
        let callers = mine(arguments.callers)
            .map(|index| Peer::Caller(Caller { index, outstanding: Outstanding::default() }));
        let callees = mine(arguments.callees).map(|index| {
            Peer::Callee(Callee { index, registration: None, next: vec![0; arguments.callers as usize] })
        });
        Rpc {
            bench: Bench {
                control: Arc::clone(control),
                serializer: arguments.common.serializer.serializer(),
                procedures: Arc::clone(procedures),
                template: Template::new(arguments.payload),
                tally: Tally::new(),
                in_flight: arguments.in_flight,
                unreported: 0,
            },
            peers: Vec::new(),
            waiting: callers.chain(callees).collect(),
            ready: 0,
            is_ready: false,
            is_drained: false,
            is_leaving: false,
        }
    }

    fn count_lost(&mut self) {
        for peer in &self.peers {
            if let Peer::Caller(caller) = peer {
                self.bench.tally.faults.lost += u64::from(caller.outstanding.open());
            }
        }
    }

    fn fill(&mut self, links: &mut Links, now: u64) {
        for (at, peer) in self.peers.iter_mut().enumerate() {
            let Peer::Caller(caller) = peer else { continue };
            while caller.outstanding.open() < self.bench.in_flight {
                let Some(session) = links.session(at) else { break };
                let request = session.life.next_request();
                caller.call(request, now, &mut self.bench, |message| links.send(at, message));
            }
        }
    }
}

impl Workload for Rpc {
    fn wants_session(&mut self) -> bool {
        !self.waiting.is_empty() && self.bench.control.phase() == Phase::Setup
    }

    fn opened(&mut self, at: usize) {
        debug_assert_eq!(at, self.peers.len(), "no slot is freed before the end");
        self.peers.extend(self.waiting.pop());
    }

    fn news(&mut self, at: usize, news: News<'_>, life: &mut Life, now: u64, replies: &mut Replies) {
        let bench = &mut self.bench;
        match (&mut self.peers[at], news) {
            (Peer::Callee(callee), News::Joined) => {
                bench.control.joined.fetch_add(1, Ordering::Relaxed);
                let procedure = bench.procedures[callee.index as usize].as_str().into();
                let request = life.next_request();
                replies.send(&Message::Register { request, options: Dict::EMPTY, procedure });
            }
            (Peer::Callee(callee), News::Message(message, _)) => {
                self.ready += callee.message(&message, bench, replies)
            }
            (Peer::Caller(_), News::Joined) => {
                bench.control.joined.fetch_add(1, Ordering::Relaxed);
                self.ready += 1;
            }
            (Peer::Caller(caller), News::Message(message, _)) => {
                if caller.message(&message, now, bench) && !bench.control.is_past_window(now) {
                    let request = life.next_request();
                    caller.call(request, now, bench, |message| replies.send(message));
                }
            }
        }
    }

    fn ended(&mut self, at: usize, _life: &Life, outcome: Result<(), String>, _now: u64) {
        let Err(reason) = outcome else { return };
        let who = match &self.peers[at] {
            Peer::Callee(callee) => format!("callee {}", callee.index),
            Peer::Caller(caller) => format!("caller {}", caller.index),
        };
        if self.is_leaving {
            self.bench.tally.faults.error(|| format!("{who}: {reason}"));
        } else {
            self.bench.control.fail(format!("{who}: {reason}"));
        }
    }

    fn turn(&mut self, links: &mut Links, now: u64) {
        let control = Arc::clone(&self.bench.control);
        if !self.is_ready && self.waiting.is_empty() && self.ready == self.peers.len() {
            self.is_ready = true;
            control.add_ready();
        }
        match control.phase() {
            Phase::Setup => {}
            Phase::Run if !control.is_past_window(now) => self.fill(links, now),
            Phase::Run => {
                let answered =
                    |peer: &Peer| !matches!(peer, Peer::Caller(caller) if caller.outstanding.open() > 0);
                if !self.is_drained && self.peers.iter().all(answered) {
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
        control.operations.fetch_add(std::mem::take(&mut self.bench.unreported), Ordering::Relaxed);
    }

    fn is_finished(&self, links: &Links) -> bool {
        self.is_leaving && links.is_empty()
    }
}

impl Callee {
    /// Returns 1 when this made the callee ready.
    fn message(&mut self, message: &Message<'_>, bench: &mut Bench, replies: &mut Replies) -> usize {
        match message {
            Message::Registered { registration, .. } if self.registration.is_none() => {
                self.registration = Some(*registration);
                return 1;
            }
            Message::Invocation { request, registration, payload, .. } => {
                self.check(*registration, payload, bench);
                replies.send(&Message::Yield { request: *request, options: Dict::EMPTY, payload: *payload });
            }
            Message::Error { request_type: RequestType::Register, error, payload, .. } => {
                bench.control.fail(format!("the router refused REGISTER: {}", error_text(error, payload)));
            }
            _ => bench.tally.faults.wrong += 1,
        }
        0
    }

    fn check(&mut self, registration: RegistrationId, payload: &Payload<'_>, bench: &mut Bench) {
        let faults = &mut bench.tally.faults;
        let stamp = bench.template.read(payload).filter(|_| self.registration == Some(registration));
        let Some((stamp, next)) =
            stamp.and_then(|stamp| Some((stamp, self.next.get_mut(stamp.sender as usize)?)))
        else {
            faults.wrong += 1;
            return;
        };
        if stamp.sequence >= *next {
            *next = stamp.sequence + 1;
        } else if stamp.sequence + 1 == *next {
            faults.duplicated += 1;
        } else {
            faults.reordered += 1;
        }
    }
}

impl Caller {
    /// Makes the next call. The request id of call n is n + 1, for callers make no other requests.
    fn call(&mut self, request: RequestId, now: u64, bench: &mut Bench, send: impl FnOnce(&Message<'_>)) {
        let sequence = self.outstanding.next();
        debug_assert_eq!(request.get(), sequence + 1);
        let callee = (sequence + u64::from(self.index)) % bench.procedures.len() as u64;
        let stamp = Stamp { sender: self.index, sequence, sent_at: now };
        let payload = bench.template.stamped(bench.serializer, stamp);
        let procedure = bench.procedures[callee as usize].as_str().into();
        send(&Message::Call { request, options: Dict::EMPTY, procedure, payload: payload.as_payload() });
        self.outstanding.begin(now);
    }

    /// Returns whether a call has ended.
    fn message(&mut self, message: &Message<'_>, now: u64, bench: &mut Bench) -> bool {
        let faults = &mut bench.tally.faults;
        let request = match message {
            Message::Result { request, .. }
            | Message::Error { request_type: RequestType::Call, request, .. } => request,
            _ => {
                faults.wrong += 1;
                return false;
            }
        };
        let sequence = request.get() - 1;
        let sent_at = match self.outstanding.answer(sequence) {
            Answer::First(sent_at) => sent_at,
            Answer::Again => {
                faults.duplicated += 1;
                return false;
            }
            Answer::Unasked => {
                faults.wrong += 1;
                return false;
            }
        };
        match message {
            Message::Result { payload, .. } => {
                let expected = Stamp { sender: self.index, sequence, sent_at };
                if bench.template.read(payload) != Some(expected) {
                    faults.wrong += 1;
                } else if bench.control.in_window(now) {
                    bench.tally.record(now - sent_at);
                }
                bench.unreported += 1;
            }
            Message::Error { error, payload, .. } => faults.error(|| error_text(error, payload)),
            _ => {}
        }
        true
    }
}
