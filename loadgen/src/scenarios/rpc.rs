//! Callers and callees. Each callee registers a procedure of its own and echoes; each caller calls the procedures in
//! turn. Checked: every call has one answer, with the payload that was sent; every callee sees the calls of one
//! caller once and in order.

use std::sync::Arc;

use wampline_wire::{Dict, Message, Payload, RegistrationId, RequestId, RequestType, Serializer};

use super::load::Bench;
use super::outstanding::{Answer, Outstanding};
use super::pace::Pace;
use crate::connection::Replies;
use crate::session::{Life, error_text};
use crate::stamp::Stamp;
use crate::stats::Tally;

/// What the callers and callees of a thread use.
pub(crate) struct Calls {
    pub(crate) procedures: Arc<[String]>,
    pub(crate) tally: Tally,
}

/// A session that is called.
pub(crate) struct Callee {
    pub(crate) index: u32,
    registration: Option<RegistrationId>,
    /// The sequence that each caller must exceed.
    next: Vec<u64>,
}

/// A session that calls.
pub(crate) struct Caller {
    pub(crate) index: u32,
    serializer: Serializer,
    /// What a bare forwarder knows it by.
    number: Option<u8>,
    pub(crate) pace: Pace,
    pub(crate) outstanding: Outstanding,
}

impl Callee {
    pub(crate) fn new(index: u32, callers: u32) -> Callee {
        Callee { index, registration: None, next: vec![0; callers as usize] }
    }

    pub(crate) fn joined(&mut self, life: &mut Life, bench: &Bench, replies: &mut Replies) {
        let procedure = bench.calls.procedures[self.index as usize].as_str().into();
        let request = life.next_request();
        replies.send(&Message::Register { request, options: Dict::EMPTY, procedure });
    }

    /// Returns whether this made the callee ready.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        octets: &[u8],
        bench: &mut Bench,
        replies: &mut Replies,
    ) -> bool {
        match message {
            Message::Registered { registration, .. } if self.registration.is_none() && !bench.is_floor => {
                self.registration = Some(*registration);
                return true;
            }
            Message::Invocation { request, registration, payload, .. } if !bench.is_floor => {
                self.check(Some(*registration), payload, bench);
                replies.send(&Message::Yield { request: *request, options: Dict::EMPTY, payload: *payload });
            }
            Message::Call { request, payload, .. } if bench.is_floor => {
                self.check(None, payload, bench);
                let answer = Message::Yield { request: *request, options: Dict::EMPTY, payload: *payload };
                replies.send_numbered(&answer, octets.last().copied());
            }
            Message::Error { request_type: RequestType::Register, error, payload, .. } => {
                bench.control.fail(format!("the router refused REGISTER: {}", error_text(error, payload)));
            }
            _ => bench.calls.tally.faults.wrong += 1,
        }
        false
    }

    fn check(&mut self, registration: Option<RegistrationId>, payload: &Payload<'_>, bench: &mut Bench) {
        let faults = &mut bench.calls.tally.faults;
        let stamp = bench.template.read(payload).filter(|_| self.registration == registration);
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
    pub(crate) fn new(index: u32, serializer: Serializer, number: Option<u8>, pace: Pace) -> Caller {
        Caller { index, serializer, number, pace, outstanding: Outstanding::default() }
    }

    /// Calls if a call is due; returns whether it did. The request id of call n is n + 1, for callers make no other
    /// requests.
    pub(crate) fn begin(
        &mut self,
        now: u64,
        bench: &mut Bench,
        request: impl FnOnce() -> RequestId,
        send: impl FnOnce(&Message<'_>, Option<u8>),
    ) -> bool {
        let Bench { control, template, calls, .. } = bench;
        let open = self.outstanding.open();
        let Some(due) = self.pace.begin(now, control, |in_flight| open < in_flight) else { return false };
        let (request, sequence) = (request(), self.outstanding.next());
        debug_assert_eq!(request.get(), sequence + 1);
        let callee = (sequence + u64::from(self.index)) % calls.procedures.len() as u64;
        let stamp = Stamp { sender: self.index, sequence, sent_at: due };
        let payload = template.stamped(self.serializer, stamp);
        let procedure = calls.procedures[callee as usize].as_str().into();
        let (options, payload) = (Dict::EMPTY, payload.as_payload());
        send(&Message::Call { request, options, procedure, payload }, self.number);
        self.outstanding.begin(due);
        if self.pace.is_open_loop() {
            calls.tally.begin(due, now);
        }
        true
    }

    /// Takes an answer, and in a closed loop calls again.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        life: &mut Life,
        now: u64,
        bench: &mut Bench,
        replies: &mut Replies,
    ) {
        if self.answer(message, now, bench) && !self.pace.is_open_loop() {
            let send = |message: &Message<'_>, number| replies.send_numbered(message, number);
            self.begin(now, bench, || life.next_request(), send);
        }
    }

    /// Returns whether a call has ended.
    fn answer(&mut self, message: &Message<'_>, now: u64, bench: &mut Bench) -> bool {
        let Calls { tally, .. } = &mut bench.calls;
        let request = match message {
            Message::Result { request, .. } if !bench.is_floor => request,
            Message::Yield { request, .. } if bench.is_floor => request,
            Message::Error { request_type: RequestType::Call, request, .. } => request,
            _ => {
                tally.faults.wrong += 1;
                return false;
            }
        };
        let sequence = request.get() - 1;
        let due = match self.outstanding.answer(sequence) {
            Answer::First(due) => due,
            Answer::Again => {
                tally.faults.duplicated += 1;
                return false;
            }
            Answer::Unasked => {
                tally.faults.wrong += 1;
                return false;
            }
        };
        match message {
            Message::Result { payload, .. } | Message::Yield { payload, .. } => {
                let expected = Stamp { sender: self.index, sequence, sent_at: due };
                if bench.template.read(payload) != Some(expected) {
                    tally.faults.wrong += 1;
                } else if bench.control.is_measured(due, now) {
                    tally.record(due, now);
                }
                bench.count_operation();
            }
            Message::Error { error, payload, .. } => tally.faults.error(|| error_text(error, payload)),
            _ => {}
        }
        true
    }
}
