//! Payloads that rules want to be validated ([`Validation`]): looked at before anything is routed, on the shard of the session that
//! calls or publishes, and results on the caller's shard before it has them.
//!
//! Without such rules nothing here is looked at but a bit of the session's role. With them a PUBLISH of the role takes another look
//! at its rules and a CALL two (what is sent, what comes back), and what matches one with a schema takes transcoding, parsing and
//! judging it.
//!
//! Invariants: a payload that cannot be looked at (opaque, longer than may be, without a form in JSON) is refused like one that is not
//! valid; no way around: chunks of progressive calls, testaments and progressive results are judged too.

use std::sync::Arc;

use wampline_routing::authorization::{Action, PayloadSchema, Validation};
use wampline_routing::meta::Testaments;
use wampline_routing::{CallRef, CancelMode, PayloadAttributes, PublishOptions, RealmId, error_uri};
use wampline_wire::Payload;

use crate::counters::add;
use crate::frame::ReplyOutcome;
use crate::shard::Shard;

impl Shard {
    /// What is wrong with what a session calls or publishes, if a rule says what it must be like.
    pub(crate) fn invalid_payload(
        &self,
        session: u32,
        action: Action,
        uri: &str,
        is_opaque: bool,
        payload: Payload<'_>,
    ) -> Option<String> {
        let validation = self.validation(session, action, uri)?;
        let schema = if action == Action::Call { &validation.call } else { &validation.event };
        let why = self.judge(self.sessions[session].realm, schema.as_ref()?, is_opaque, payload).err()?;
        Some(format!("the payload is not valid for {uri}: {why}"))
    }

    /// What the results of a call must be like, if a rule says so.
    pub(crate) fn validation_of_results(&self, session: u32, procedure: &str) -> Option<Arc<Validation>> {
        let validation = self.validation(session, Action::Call, procedure)?;
        validation.call_result.is_some().then(|| validation.clone())
    }

    /// What is wrong with a testament that a session wants to add.
    pub(crate) fn invalid_testament(&self, session: u32, arguments: Payload<'_>) -> Option<String> {
        let entry = &self.sessions[session];
        let realm = self.shared.realm(entry.realm);
        if !realm.roles.validates(entry.role?, Action::Publish) {
            return None;
        }
        // What is wrong with the arguments is said when it is to be added.
        let testament = Testaments::read(arguments, realm.uri_rules).ok()?;
        let (options, _) = PublishOptions::read(&testament.options());
        let payload = testament.payload.as_payload();
        self.invalid_payload(session, Action::Publish, &testament.topic, is_opaque(&options), payload)
    }

    /// Judges an answer to a call. If it is not valid the call ends with an error, and the callee is interrupted if it goes on.
    /// Gives whether the answer may go on.
    pub(crate) fn admit_result(
        &mut self,
        call: CallRef,
        validation: &Validation,
        outcome: &ReplyOutcome,
        attributes: &PayloadAttributes<'_>,
        payload: Payload<'_>,
    ) -> bool {
        let (Some(schema), false) = (&validation.call_result, matches!(outcome, ReplyOutcome::Error(_)))
        else {
            return true;
        };
        let Some(entry) = self.calls.get(call) else { return true };
        let (callee, realm) = (entry.callee.shard, self.sessions[entry.caller].realm);
        let is_opaque = attributes.is_passthru() || attributes.is_transparent();
        let Err(why) = self.judge(realm, schema, is_opaque, payload) else { return true };
        if matches!(outcome, ReplyOutcome::Progress) {
            self.cancel_at(callee, call, CancelMode::KillNoWait);
        }
        let error = error_uri::INVALID_ARGUMENT;
        if self.is_member(call) {
            let plain = PayloadAttributes::default();
            self.member_answered(call, ReplyOutcome::Error(error.into()), &plain, Payload::NONE);
        } else {
            self.finish_call(call, error, &format!("the callee's result is not valid: {why}"));
        }
        false
    }

    fn validation(&self, session: u32, action: Action, uri: &str) -> Option<&Arc<Validation>> {
        let entry = &self.sessions[session];
        self.shared.realm(entry.realm).roles.validation(entry.role?, action, uri)
    }

    fn judge(
        &self,
        realm: RealmId,
        schema: &PayloadSchema,
        is_opaque: bool,
        payload: Payload<'_>,
    ) -> Result<(), String> {
        let most = self.shared.realm(realm).limits.validated_bytes_max;
        let judged = match payload.len() {
            _ if is_opaque => Err("it is opaque".into()),
            octets if octets > most => Err(format!("it has more than the {most} octets that are looked at")),
            _ => schema.check(payload),
        };
        if judged.is_err() {
            add(&self.counters().payloads_invalid, 1);
        }
        judged
    }
}

/// Whether the payload of a publication is for its receivers alone to read.
pub(crate) fn is_opaque(options: &PublishOptions) -> bool {
    let attributes = options.terms.as_ref().map(|terms| &terms.attributes);
    attributes.is_some_and(|attributes| attributes.is_passthru() || attributes.is_transparent())
}
