//! Questions that the router itself asks: of a procedure of some realm (an authenticator, an authorizer), and of hooks, which
//! are programs outside that the driver speaks HTTP with.
//!
//! A question to a procedure is a call like any other: an entry on this shard, routed over all shards, tried again with the next
//! callee, waiting where a callee takes only so many invocations. But it is nobody's: no session makes it, callees are told of
//! no caller, and it is in no count of calls. Its entry has no session, but [`NOBODY`], and says in its role what it is for.
//!
//! Invariants: each question has exactly one answer, which reaches [`Shard::question_answered`] by way of this shard's queue of
//! frames, never before [`Shard::ask`] has returned; none after it was withdrawn. Each has a deadline, and their number is bounded.

use std::time::Duration;

use wampline_routing::uri::is_reserved;
use wampline_routing::{Call, CallOptions, CallProgress, CancelMode, RealmId, SessionRef, Tried, error_uri};
use wampline_wire::{Payload, PayloadBuf, RequestId};

use crate::counters::add;
use crate::dealer::{CallExtra, LIMIT_EXCEEDED};
use crate::frame::Frame;
use crate::group::CallRole;
use crate::leave::count_dropped;
use crate::route::Route;
use crate::shard::Shard;
use crate::timeout::Timeout;
use crate::{Action, ConnKey, HookFailure, HookQuestion, Now};

/// Stands where a call has the slot of its caller's session, for calls of the router's own.
pub(crate) const NOBODY: u32 = u32::MAX;

/// What a call of the router's own is.
#[derive(Debug)]
pub(crate) struct Question {
    realm: RealmId,
    purpose: Purpose,
}

/// Who waits for the answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A connection whose client authenticates.
    Authentication { connection: ConnKey },
    /// Sessions that wait for an authorizer; the number of the question there.
    Authorization { number: u64 },
    #[cfg(test)]
    Test(u32),
}

/// Names a question of this shard while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuestionId {
    slot: u32,
    born: u32,
}

/// What became of a question to a procedure.
#[derive(Debug)]
pub(crate) enum QuestionAnswer {
    /// The callee's final YIELD.
    Result(PayloadBuf),
    /// An ERROR: of the callee, or of the router for it (it left, it is full, the router goes down).
    Failed {
        error: Box<str>,
    },
    TimedOut,
    /// Nobody has registered the procedure.
    NobodyThere,
}

impl QuestionAnswer {
    /// The callee's ERROR, or its shard's.
    pub(crate) fn failed(error: &str) -> QuestionAnswer {
        QuestionAnswer::Failed { error: error.into() }
    }

    /// What it means for a question that its call ends with an error of this shard's own.
    pub(crate) fn of_router(error: &str) -> QuestionAnswer {
        match error {
            error_uri::TIMEOUT => QuestionAnswer::TimedOut,
            error_uri::NO_SUCH_PROCEDURE => QuestionAnswer::NobodyThere,
            error => QuestionAnswer::failed(error),
        }
    }
}

impl Shard {
    /// Calls a procedure as the router itself: nobody's session, decided by no rules. The answer reaches `purpose` exactly once,
    /// not before this has returned, and within `timeout`.
    pub(crate) fn ask(
        &mut self,
        realm: RealmId,
        procedure: &str,
        arguments: Payload<'_>,
        timeout: Duration,
        purpose: Purpose,
    ) -> QuestionId {
        add(&self.counters().questions, 1);
        if let Some(refusal) = self.question_refusal(procedure) {
            self.tell(purpose, refusal);
            return QuestionId { slot: u32::MAX, born: 0 };
        }
        // Nobody is invoked yet; routing sets who is.
        let callee = SessionRef { shard: self.id, slot: u32::MAX, guard: 0 };
        let role = CallRole::Question(Question { realm, purpose });
        let timeout = Some(Timeout::starting(self.now, timeout));
        let extra = Some(Box::new(CallExtra { role, timeout, ..CallExtra::default() }));
        let request = RequestId::new(1).expect("invariant: in the range of ids");
        let progress = CallProgress::default();
        let call = self.calls.begin(Call { caller: NOBODY, request, callee, progress, extra });
        self.questions += 1;
        self.count_timed(call);
        let born = self.calls.born(call.slot).expect("invariant: it has just begun");
        let newest = self.realms[realm.index()].replica.newest_registration();
        let route = Route { procedure, tried: Tried::default(), newest, bound_to: None };
        self.route(call, route, &CallOptions::default(), arguments, None);
        QuestionId { slot: call.slot, born }
    }

    /// Whoever waits for an answer does so no more: none will come. The callee is interrupted, if it can be.
    pub(crate) fn withdraw(&mut self, question: QuestionId) {
        if self.calls.born(question.slot) != Some(question.born) {
            return; // It has ended; if its answer is still on its way, that is for the purpose to find out.
        }
        let Some(call) = self.calls.reference(question.slot) else { return };
        if let Some(ended) = self.end_call(call) {
            self.cancel_at(ended.callee.shard, call, CancelMode::KillNoWait);
        }
    }

    /// A question's call has ended.
    pub(crate) fn question_ended(&mut self, ended: Call<CallExtra>, answer: QuestionAnswer) {
        if let Some(CallRole::Question(question)) = ended.extra.map(|extra| extra.role) {
            self.tell(question.purpose, answer);
        }
    }

    /// The answer to a question, told to whoever waits for it.
    pub(crate) fn question_answered(&mut self, purpose: Purpose, answer: QuestionAnswer) {
        match purpose {
            Purpose::Authentication { connection } => self.authenticator_answered(connection, &answer),
            Purpose::Authorization { number } => self.authorizer_answered(number, &answer),
            #[cfg(test)]
            Purpose::Test(number) => self.test_answers.push((number, answer)),
        }
    }

    /// Asks a hook about a connection. The answer comes with the id that this gives; `None` if as many questions wait as may.
    pub(crate) fn ask_hook(&mut self, hook: u32, body: Vec<u8>, connection: ConnKey) -> Option<u64> {
        add(&self.counters().questions, 1);
        if self.questions_len() >= self.shared.config.limits.questions_per_shard_max {
            add(&self.counters().questions_unanswered, 1);
            return None;
        }
        self.last_hook_question += 1;
        let id = self.last_hook_question;
        self.hook_questions.insert(id, connection);
        self.actions.push_back(Action::Ask { question: HookQuestion { id, hook, body } });
        Some(id)
    }

    /// A hook has answered, with the body of its response, or will not. An answer that nobody waits for any more is dropped.
    pub fn hook_answered(&mut self, now: Now, id: u64, answer: Result<Vec<u8>, HookFailure>) {
        self.now = now;
        let Some(connection) = self.hook_questions.remove(&id) else { return count_dropped(self) };
        if answer.is_err() {
            add(&self.counters().questions_unanswered, 1);
        }
        self.authentication_hook_answered(connection, &answer);
    }

    /// Nobody waits for a hook's answer any more.
    pub(crate) fn withdraw_hook(&mut self, id: u64) {
        self.hook_questions.remove(&id);
    }

    /// Which realm a call is made in.
    pub(crate) fn realm_of_call(&self, call: &Call<CallExtra>) -> RealmId {
        match call.extra.as_ref().map(|extra| &extra.role) {
            Some(CallRole::Question(question)) => question.realm,
            _ => self.sessions[call.caller].realm,
        }
    }

    fn question_refusal(&self, procedure: &str) -> Option<QuestionAnswer> {
        if is_reserved(procedure) {
            return Some(QuestionAnswer::NobodyThere);
        }
        if self.shutdown.is_some() {
            return Some(QuestionAnswer::failed(error_uri::CANCELED));
        }
        let is_full = self.questions_len() >= self.shared.config.limits.questions_per_shard_max;
        is_full.then(|| QuestionAnswer::failed(LIMIT_EXCEEDED))
    }

    fn questions_len(&self) -> usize {
        self.questions + self.hook_questions.len()
    }

    fn tell(&mut self, purpose: Purpose, answer: QuestionAnswer) {
        if !matches!(answer, QuestionAnswer::Result(_)) {
            add(&self.counters().questions_unanswered, 1);
        }
        // By way of the queue: what waits for the answer must not go on in the middle of what ended the call.
        self.send(self.id, Frame::Answered { purpose, answer: Box::new(answer) }, None);
    }
}

#[cfg(test)]
mod tests;
