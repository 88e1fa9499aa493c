//! Publishers and subscribers. Subscribers are dealt over the topics; each publisher publishes to the topics in turn.
//! Checked: every subscriber gets every publication of its topic, once, in each publisher's order, unaltered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wampline_wire::{Dict, Message, RequestId, RequestType, Serializer, SubscriptionId, Value};

use super::field::Field;
use super::load::Bench;
use super::outstanding::{Answer, Outstanding};
use super::pace::Pace;
use super::recent::Recent;
use super::sequence::Sequence;
use crate::connection::Replies;
use crate::session::{Life, error_text};
use crate::stamp::Stamp;
use crate::stats::Tally;

/// What the publishers and subscribers of a thread use.
pub(crate) struct Events {
    pub(crate) field: Arc<Field>,
    pub(crate) tally: Tally,
    pub(crate) recent: Recent,
    /// Subscribers of this thread, by topic.
    pub(crate) own_receivers: Vec<u32>,
    /// Events that came to this thread, once each.
    pub(crate) received: u64,
    /// Workers whose publishers may go on.
    pub(crate) wake: Vec<bool>,
}

/// A session that publishes.
pub(crate) struct Publisher {
    pub(crate) index: usize,
    serializer: Serializer,
    pub(crate) pace: Pace,
    /// Publications that are not acknowledged yet; only with `--acknowledge`.
    pub(crate) outstanding: Outstanding,
}

/// A session that is subscribed to one topic.
pub(crate) struct Subscriber {
    pub(crate) index: u32,
    topic: usize,
    /// `None` also with a bare forwarder, which has no subscriptions.
    subscription: Option<SubscriptionId>,
    /// By publisher.
    sequences: Box<[Sequence]>,
}

impl Events {
    /// Whether all that was published has come, once publishers have ended.
    pub(crate) fn has_everything(&self) -> bool {
        self.field.active.load(Ordering::Acquire) == 0
            && self.received >= self.field.expected(&self.own_receivers)
            && self.field.is_done()
    }
}

impl Publisher {
    pub(crate) fn new(index: usize, serializer: Serializer, pace: Pace) -> Publisher {
        Publisher { index, serializer, pace, outstanding: Outstanding::default() }
    }

    /// Publishes if a publication is due; returns whether it did. The request id of publication n is n + 1, for publishers
    /// make no other requests.
    pub(crate) fn begin(
        &mut self,
        now: u64,
        bench: &mut Bench,
        request: impl FnOnce() -> RequestId,
        send: impl FnOnce(&Message<'_>),
    ) -> bool {
        const ACKNOWLEDGE: &[(&str, Value<'static>)] = &[("acknowledge", Value::Bool(true))];
        let Bench { control, template, events, .. } = bench;
        let field = &events.field;
        let own = &field.publishers[self.index];
        let Some(due) = self.pace.begin(now, control, |in_flight| own.is_free(u64::from(in_flight))) else {
            return false;
        };
        let sequence = own.published.load(Ordering::Relaxed);
        let topic = (sequence % field.topics.len() as u64) as usize;
        let stamp = Stamp { sender: self.index as u32, sequence, sent_at: due };
        let payload = template.stamped(self.serializer, stamp);
        let options = if field.acknowledge {
            self.outstanding.begin(due);
            Dict::pairs(ACKNOWLEDGE)
        } else {
            if field.awaits_delivery {
                own.await_deliveries(sequence, field.receivers[topic]);
            }
            Dict::EMPTY
        };
        let topic = field.topics[topic].as_str().into();
        // Before it is sent: a subscriber on another thread must not see what was never published.
        own.published.store(sequence + 1, Ordering::Release);
        send(&Message::Publish { request: request(), options, topic, payload: payload.as_payload() });
        if self.pace.is_open_loop() {
            events.tally.begin(due, now);
        }
        events.tally.publications += u64::from(control.in_window(due));
        true
    }

    /// Without `--acknowledge` nothing may come.
    pub(crate) fn message(&mut self, message: &Message<'_>, events: &mut Events) {
        let faults = &mut events.tally.faults;
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
                events.field.publishers[self.index].done.fetch_add(1, Ordering::AcqRel);
            }
            Answer::Again => faults.duplicated += 1,
            Answer::Unasked => faults.wrong += 1,
        }
    }
}

impl Subscriber {
    pub(crate) fn new(index: u32, field: &Field) -> Subscriber {
        let topics = field.topics.len();
        let topic = index as usize % topics;
        let sequences = field.publishers.iter().map(|_| Sequence::new(topic as u64, topics as u64)).collect();
        Subscriber { index, topic, subscription: None, sequences }
    }

    pub(crate) fn joined(&mut self, life: &mut Life, bench: &Bench, replies: &mut Replies) {
        let topic = bench.events.field.topics[self.topic].as_str().into();
        let request = life.next_request();
        replies.send(&Message::Subscribe { request, options: Dict::EMPTY, topic });
    }

    /// Returns whether this made the subscriber ready.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        octets: &[u8],
        now: u64,
        bench: &mut Bench,
    ) -> bool {
        match message {
            Message::Event { subscription, payload, .. } if !bench.is_floor => {
                let stamp = bench.template.read(payload);
                if let Some(stamp) = stamp {
                    bench.events.recent.keep(octets, Some(*subscription), stamp);
                }
                self.event(Some(*subscription), stamp, now, bench);
            }
            Message::Publish { payload, .. } if bench.is_floor => {
                let stamp = bench.template.read(payload);
                if let Some(stamp) = stamp {
                    bench.events.recent.keep(octets, None, stamp);
                }
                self.event(None, stamp, now, bench);
            }
            Message::Subscribed { subscription, .. } if self.subscription.is_none() && !bench.is_floor => {
                self.subscription = Some(*subscription);
                return true;
            }
            Message::Error { request_type: RequestType::Subscribe, error, payload, .. } => {
                bench.control.fail(format!("the router refused SUBSCRIBE: {}", error_text(error, payload)));
            }
            _ => bench.events.tally.faults.wrong += 1,
        }
        false
    }

    /// Whether these octets are an event that came before to another session; then it has been dealt with.
    pub(crate) fn recognise(&mut self, octets: &[u8], now: u64, bench: &mut Bench) -> bool {
        let Some((subscription, stamp)) = bench.events.recent.find(octets) else { return false };
        self.event(subscription, Some(stamp), now, bench);
        true
    }

    /// Counts as lost what has not come; to be called when all publishers have ended.
    pub(crate) fn count_lost(&self, events: &mut Events) {
        for (publisher, sequence) in events.field.publishers.iter().zip(&self.sequences) {
            sequence.finish(publisher.published.load(Ordering::Acquire), &mut events.tally.faults);
        }
    }

    fn event(
        &mut self,
        subscription: Option<SubscriptionId>,
        stamp: Option<Stamp>,
        now: u64,
        bench: &mut Bench,
    ) {
        let Bench { events, control, .. } = bench;
        let Events { field, tally, .. } = events;
        let stamp = stamp.filter(|_| self.subscription == subscription);
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
        events.received += 1;
        if control.is_measured(stamp.sent_at, now) {
            tally.record(stamp.sent_at, now);
        }
        if field.awaits_delivery && publisher.deliver(stamp.sequence) {
            events.wake[publisher.worker] = true;
        }
        bench.count_operation();
    }
}
