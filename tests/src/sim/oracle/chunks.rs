//! Calls in chunks: all of them come to one callee, in order, none after the last one or after the end, and no chunk of a
//! call that has ended is taken for a call.

use std::collections::BTreeMap;

use serde_json::Value;

use super::broker::padding_of;
use super::{Oracle, SessionNo, State, Verdict};

/// What was sent and received of calls in chunks.
#[derive(Default)]
pub(super) struct Chunks {
    /// Calls whose last chunk has not been sent, by session and request.
    open: BTreeMap<(SessionNo, u64), usize>,
    /// By call.
    sent: BTreeMap<usize, Sent>,
    /// By session and invocation.
    received: BTreeMap<(SessionNo, u64), Received>,
}

struct Sent {
    /// The padding of each chunk.
    paddings: Vec<usize>,
    is_ended: bool,
    /// The session and invocation that it went to last.
    to: Option<(SessionNo, u64)>,
}

struct Received {
    count: usize,
    is_interrupted: bool,
}

impl Oracle {
    /// CALL: a call, or another chunk of one.
    pub(super) fn call_or_chunk(&mut self, session: SessionNo, request: u64, message: &Value) {
        let has_more = message[2]["progress"] == true;
        if let Some(&number) = self.chunks.open.get(&(session, request)) {
            let sent = self.chunks.sent.get_mut(&number).expect("it was sent in chunks");
            sent.paddings.push(padding_of(&message[4]));
            sent.is_ended = !has_more;
            if !has_more {
                self.chunks.open.remove(&(session, request));
            }
            return;
        }
        let number = self.calls.len();
        self.begin_time(number, message);
        self.call(session, request, message);
        if has_more {
            self.chunks.open.insert((session, request), number);
            let sent = Sent { paddings: vec![padding_of(&message[4])], is_ended: false, to: None };
            self.chunks.sent.insert(number, sent);
        }
    }

    /// An invocation whose id is new must be of the first chunk.
    pub(super) fn first_chunk(
        &mut self,
        session: SessionNo,
        id: u64,
        call: usize,
        message: &Value,
    ) -> Verdict {
        let Some(sent) = self.chunks.sent.get_mut(&call) else {
            return match message[3]["progress"].is_null() {
                true => Ok(()),
                false => Err("the call has one chunk".into()),
            };
        };
        if !self.sessions[session].can_cancel {
            return Err("it has not announced that it takes chunks".into());
        }
        if message[4][2].as_u64() != Some(0) || message[3]["progress"] != true {
            return Err("it begins in the middle".into());
        }
        if let Some(before) = sent.to.replace((session, id))
            && self.chunks.received[&before].count > 1
        {
            return Err("another callee has got more than the first chunk".into());
        }
        self.chunks.received.insert((session, id), Received { count: 1, is_interrupted: false });
        self.summary.chunks += 1;
        Ok(())
    }

    /// An invocation whose id has been there before: the next chunk.
    pub(super) fn next_chunk(&mut self, session: SessionNo, id: u64, message: &Value) -> Verdict {
        let invocation = &self.sessions[session].invocations[&id];
        let received =
            self.chunks.received.get_mut(&(session, id)).ok_or("an invocation for the second time")?;
        if message[4][0].as_u64() != Some(invocation.call as u64) {
            return Err("a chunk of another call".into());
        }
        if message[2].as_u64() != Some(invocation.registration) {
            return Err("another registration".into());
        }
        let sent = &self.chunks.sent[&invocation.call];
        if message[4][2].as_u64() != Some(received.count as u64) {
            return Err(format!("chunk {} is due", received.count));
        }
        if sent.paddings.get(received.count) != Some(&padding_of(&message[4])) {
            return Err("the payload has changed".into());
        }
        if received.is_interrupted {
            return Err("after the end of the call".into());
        }
        received.count += 1;
        let is_last = sent.is_ended && received.count == sent.paddings.len();
        if (message[3]["progress"] == true) == is_last {
            return Err("it is wrong about whether more follows".into());
        }
        self.summary.chunks += 1;
        Ok(())
    }

    /// An invocation has been interrupted: unless its answer still counts, nothing more of it follows.
    pub(super) fn chunks_interrupted(&mut self, session: SessionNo, id: u64, mode: &Value) {
        if let Some(received) = self.chunks.received.get_mut(&(session, id)) {
            received.is_interrupted |= mode == "killnowait";
        }
    }

    /// Chunks beyond the first have been sent: the call stays with its callee.
    pub(super) fn is_continued(&self, call: usize) -> bool {
        self.chunks.sent.get(&call).is_some_and(|sent| sent.paddings.len() > 1)
    }

    /// Whether a callee may have been passed over for want of the feature that chunks need.
    pub(super) fn is_too_much(&self, number: usize) -> bool {
        let call = &self.calls[number];
        let realm = &self.sessions[call.caller].realm;
        self.chunks.sent.contains_key(&number)
            && self.holds.iter().any(|hold| {
                hold.realm == *realm
                    && hold.pattern.matches(&call.procedure)
                    && !self.sessions[hold.session].can_cancel
            })
    }

    /// The callee of an invocation waits for more chunks.
    pub(crate) fn is_midway(&self, session: SessionNo, id: u64) -> bool {
        let call = self.sessions[session].invocations[&id].call;
        let received = self.chunks.received.get(&(session, id));
        received.is_some_and(|received| {
            let sent = &self.chunks.sent[&call];
            !sent.is_ended || received.count < sent.paddings.len()
        })
    }

    /// Nothing is under way, and every client has read everything: no chunk of a call that waits has been lost.
    pub(crate) fn check_chunks(&self) -> Verdict {
        for (number, sent) in &self.chunks.sent {
            let Some((callee, id)) = sent.to else { continue };
            let (call, count) = (&self.calls[*number], self.chunks.received[&(callee, id)].count);
            let stays = |session: SessionNo| {
                self.sessions[session].state == State::Open && self.sessions[session].ending_at.is_none()
            };
            let waits = !call.is_over
                && !call.is_canceled
                && !self.may_have_timed_out(*number)
                && stays(call.caller)
                && stays(callee)
                && !self.sessions[callee].invocations[&id].is_answered;
            if waits && count < sent.paddings.len() {
                let all = sent.paddings.len();
                return Err(format!("at rest: s{callee} has got {count} of {all} chunks of call {number}"));
            }
        }
        Ok(())
    }
}
