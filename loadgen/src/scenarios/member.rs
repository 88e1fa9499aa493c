//! Sessions that stay and subscribe and unsubscribe, or register and unregister, over and over. Checked: every
//! request has one answer, of the right kind.

use std::collections::HashMap;

use wampline_wire::{Dict, Message, RegistrationId, RequestId, RequestType, SubscriptionId};

use super::load::Bench;
use super::pace::Pace;
use crate::cli::ChurnKind;
use crate::connection::Replies;
use crate::session::{Life, error_text};

/// One such session.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) index: u32,
    kind: ChurnKind,
    pub(crate) pace: Pace,
    /// Requests without an answer, each with when its cycle was due and whether it is the second of the cycle.
    open: HashMap<RequestId, (u64, bool)>,
    /// Cycles begun; part of the URI, so that no two share one.
    begun: u64,
}

impl Member {
    pub(crate) fn new(index: u32, kind: ChurnKind, pace: Pace) -> Member {
        Member { index, kind, pace, open: HashMap::new(), begun: 0 }
    }

    /// Requests without an answer.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Begins a cycle if one is due.
    pub(crate) fn begin(
        &mut self,
        now: u64,
        life: &mut Life,
        bench: &mut Bench,
        send: impl FnOnce(&Message<'_>),
    ) -> bool {
        let open = self.open.len();
        let Some(due) = self.pace.begin(now, &bench.control, |in_flight| open < in_flight as usize) else {
            return false;
        };
        if self.pace.is_open_loop() {
            bench.cycles.begin(due, now);
        }
        let uri = format!("{}.member.m{}.n{}", bench.prefix, self.index, self.begun).into();
        self.begun += 1;
        let request = life.next_request();
        self.open.insert(request, (due, false));
        let options = Dict::EMPTY;
        send(&match self.kind {
            ChurnKind::Registrations => Message::Register { request, options, procedure: uri },
            _ => Message::Subscribe { request, options, topic: uri },
        });
        true
    }

    /// Takes an answer.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        life: &mut Life,
        now: u64,
        bench: &mut Bench,
        replies: &mut Replies,
    ) {
        match (self.kind, message) {
            (ChurnKind::Registrations, Message::Registered { request, registration }) => {
                self.second(*request, Made::Registration(*registration), life, bench, replies);
            }
            (ChurnKind::Registrations, Message::Unregistered { request: Some(request), .. }) => {
                self.done(*request, life, now, bench, replies);
            }
            (ChurnKind::Subscriptions, Message::Subscribed { request, subscription }) => {
                self.second(*request, Made::Subscription(*subscription), life, bench, replies);
            }
            (ChurnKind::Subscriptions, Message::Unsubscribed { request: Some(request), .. }) => {
                self.done(*request, life, now, bench, replies);
            }
            (_, Message::Error { request_type, request, error, payload, .. })
                if *request_type != RequestType::Invocation && self.open.remove(request).is_some() =>
            {
                bench.cycles.faults.error(|| error_text(error, payload));
            }
            _ => bench.cycles.faults.wrong += 1,
        }
    }

    /// The first request of a cycle has been answered.
    fn second(
        &mut self,
        request: RequestId,
        made: Made,
        life: &mut Life,
        bench: &mut Bench,
        replies: &mut Replies,
    ) {
        let Some(due) = self.answered(request, false, life, bench) else { return };
        let request = life.next_request();
        self.open.insert(request, (due, true));
        replies.send(&match made {
            Made::Subscription(subscription) => Message::Unsubscribe { request, subscription },
            Made::Registration(registration) => Message::Unregister { request, registration },
        });
    }

    /// The second request of a cycle has been answered.
    fn done(
        &mut self,
        request: RequestId,
        life: &mut Life,
        now: u64,
        bench: &mut Bench,
        replies: &mut Replies,
    ) {
        let Some(due) = self.answered(request, true, life, bench) else { return };
        if bench.control.is_measured(due, now) {
            bench.cycles.record(due, now);
        }
        bench.count_operation();
        if !self.pace.is_open_loop() {
            self.begin(now, life, bench, |message| replies.send(message));
        }
    }

    fn answered(
        &mut self,
        request: RequestId,
        is_second: bool,
        life: &Life,
        bench: &mut Bench,
    ) -> Option<u64> {
        match self.open.remove(&request) {
            Some((due, second)) if second == is_second => Some(due),
            Some(_) => {
                bench.cycles.faults.wrong += 1;
                None
            }
            None => {
                let faults = &mut bench.cycles.faults;
                *(if life.has_used(request) { &mut faults.duplicated } else { &mut faults.wrong }) += 1;
                None
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Made {
    Subscription(SubscriptionId),
    Registration(RegistrationId),
}
