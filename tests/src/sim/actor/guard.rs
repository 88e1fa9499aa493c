//! Answers for the authorizer, and requests that it is asked about.

use serde_json::json;

use super::{Actor, Oracle, SessionNo, World};
use crate::sim::roles::{AUTHORIZER, PURGE};

impl Actor {
    /// What who answers for the authorizer does.
    pub(super) fn guard(&mut self, session: SessionNo, world: &mut World, oracle: &mut Oracle) {
        match self.random.u8(..40) {
            0 => self.disconnect(world, oracle),
            1..=2 if oracle.has_authorizer(session) => self.purge(session, oracle),
            3..=30 => self.answer_one(session, oracle),
            _ if oracle.sessions[session].registrations.is_empty() => {
                let request = self.request();
                self.send(session, &json!([64, request, {"invoke": "roundrobin"}, AUTHORIZER]), oracle);
            }
            _ => {}
        }
    }

    pub(super) fn purge(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let filters = match self.random.u8(..3) {
            0 => json!({}),
            1 => json!({"authrole": "user"}),
            _ => json!({"uri": "a.", "match": "prefix"}),
        };
        let request = self.request();
        self.send(session, &json!([48, request, {}, PURGE, [], filters]), oracle);
    }

    /// Answers for the authorizer, mostly as it must.
    pub(super) fn answer_question(&mut self, session: SessionNo, id: u64, oracle: &mut Oracle) {
        let question = oracle.sessions[session].questions[&id].clone();
        let is_failing = self.random.u8(..20) == 0;
        oracle.answers_question(session, id, is_failing);
        let Some(model) = oracle.model() else { return };
        let (allow, cache) = model.answer(&question.role, question.session, question.action, &question.uri);
        let message = match (is_failing, self.random.u8(..3)) {
            (true, 0) => json!([8, 68, id, {}, "com.app.failed"]),
            (true, 1) => json!([70, id, {}, ["garbage"]]),
            (true, _) => json!([70, id, {}, [{"allow": allow, "what": true}]]),
            (false, 0) => json!([70, id, {}, [allow]]),
            (false, _) => json!([70, id, {}, [{"allow": allow, "cache": cache}]]),
        };
        self.send(session, &message, oracle);
    }

    /// A request that others make as well, so that what is known of one session is at hand when another one asks.
    pub(super) fn ask_the_same(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let (request, number) = (self.request(), oracle.next_numbers().0);
        let topic = if self.random.bool() { "a.b.c" } else { "a.b.d" };
        self.send(session, &json!([16, request, {"acknowledge": true}, topic, [number, ""]]), oracle);
    }
}

pub(super) fn open_questions(oracle: &Oracle, session: SessionNo) -> Vec<u64> {
    let questions = oracle.sessions[session].questions.iter();
    questions.filter(|(_, question)| !question.is_answered).map(|(id, _)| *id).collect()
}
