//! Subscriptions that are there and match nothing that is published: what a router has to look past.
//!
//! Prefix and wildcard patterns agree with the topics of the run in all but their last component, so that they cannot be
//! ruled out early.

use wampline_wire::{Dict, Message, RequestType, Value};

use super::load::Bench;
use crate::connection::Replies;
use crate::session::{Life, error_text};

/// A session that holds a share of the background subscriptions.
#[derive(Debug)]
pub(crate) struct Holder {
    /// The number of the next subscription among all of them.
    next: u64,
    /// From one of this session's to the next: the number of holders.
    step: u64,
    /// How many exact, prefix and wildcard subscriptions all holders together make.
    counts: [u32; 3],
    open: u32,
}

impl Holder {
    /// Holder `index` of `holders`.
    pub(crate) fn new(index: u32, holders: u32, counts: [u32; 3]) -> Holder {
        Holder { next: u64::from(index), step: u64::from(holders.max(1)), counts, open: 0 }
    }

    /// Begins to subscribe. Returns whether everything is there already.
    pub(crate) fn joined(&mut self, life: &mut Life, bench: &Bench, replies: &mut Replies) -> bool {
        for _ in 0..OPEN_MAX {
            self.subscribe(life, bench, replies);
        }
        self.open == 0
    }

    /// Returns whether this made the session ready.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        life: &mut Life,
        bench: &mut Bench,
        replies: &mut Replies,
    ) -> bool {
        match message {
            Message::Subscribed { .. } if self.open > 0 => {
                self.open -= 1;
                bench.control.prepared.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.subscribe(life, bench, replies);
                self.open == 0
            }
            Message::Error { request_type: RequestType::Subscribe, error, payload, .. } => {
                let error = error_text(error, payload);
                bench.control.fail(format!("the router refused a background subscription: {error}"));
                false
            }
            _ => {
                bench.events.tally.faults.wrong += 1;
                false
            }
        }
    }

    fn subscribe(&mut self, life: &mut Life, bench: &Bench, replies: &mut Replies) {
        const PREFIX: &[(&str, Value<'static>)] = &[("match", text("prefix"))];
        const WILDCARD: &[(&str, Value<'static>)] = &[("match", text("wildcard"))];
        let [exact, prefix, wildcard] = self.counts.map(u64::from);
        let run = &bench.events.field.prefix;
        let number = self.next;
        let (options, topic) = if number < exact {
            (Dict::EMPTY, format!("{run}.background.n{number}"))
        } else if number < exact + prefix {
            (Dict::pairs(PREFIX), format!("{run}.topic.p{number}"))
        } else if number < exact + prefix + wildcard {
            (Dict::pairs(WILDCARD), format!("{run}..w{number}"))
        } else {
            return;
        };
        self.next += self.step;
        self.open += 1;
        replies.send(&Message::Subscribe { request: life.next_request(), options, topic: topic.into() });
    }
}

/// Requests that one session keeps open: few enough for any router's bounds.
const OPEN_MAX: u32 = 64;

const fn text(text: &'static str) -> Value<'static> {
    Value::Str(std::borrow::Cow::Borrowed(text))
}
