//! Registrations: REGISTER, UNREGISTER, and what takes a registration away.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use wampline_wire::{RegistrationId, RequestId, SessionId};

use super::{Answer, Directory, Granted, Refusal, Registration};
use crate::key::RealmId;
use crate::meta::{Created, MetaEvent, MetaTopic, Owned};
use crate::options::{InvocationPolicy, RegisterOptions};
use crate::registration::{Callee, RegistrationInfo};
use crate::replica::Delta;
use crate::uri::MatchPolicy;
use crate::visibility::Visibility;

/// Why a callee loses a registration to another one that registers by force. A URI: deployed clients close on anything else.
pub(super) const REREGISTERED: &str = "wampline.revoked.registered_by_another_session";

impl Directory {
    /// REGISTER.
    pub fn register(
        &mut self,
        id: SessionId,
        request: RequestId,
        policy: MatchPolicy,
        procedure: &str,
        options: RegisterOptions,
        out: &mut Visibility,
    ) {
        let Some(at) = self.sessions.get(&id).map(|session| session.at) else { return };
        let known = self.procedures.get(policy, procedure).copied();
        if let Some(refusal) = self.registration_refusal(id, known, policy, procedure, options) {
            let session = self.sessions.get_mut(&id).expect("invariant: it has just been seen");
            session.answer(0, Answer::Registered(request, Err(refusal)), out);
            return;
        }
        let shared = known.filter(|_| !options.force_reregister);
        let lost = known.filter(|_| options.force_reregister);
        let (lineage, losers) = lost.map(|lost| self.take_over(lost, out)).unzip();
        let registration =
            shared.unwrap_or_else(|| self.add_registration(id, policy, procedure, options.invoke, lineage));
        let entry =
            self.registrations.get_mut(&registration).expect("invariant: procedures and registrations agree");
        let callee = Callee {
            session: id,
            at,
            disclose_caller: options.disclose_caller,
            forward_timeout: options.forward_timeout,
            load: (options.invoke == InvocationPolicy::LeastPending).then(Default::default),
        };
        let need = out.change(entry.delta(self.realm, &callee, true));
        entry.callees.push(callee);
        // They give back the calls that wait for them: every shard must know by then who takes those.
        if let Some(lost) = lost {
            for loser in losers.into_iter().flatten() {
                let session = self.sessions.get_mut(&loser).expect("invariant: who is to be told is there");
                session.answer(need, Answer::RegistrationRevoked(lost, Some(REREGISTERED.into())), out);
            }
        }
        let session = self.sessions.get_mut(&id).expect("invariant: it has just been seen");
        session.registrations.insert(registration);
        let granted = Granted { registration, concurrency: options.concurrency };
        session.answer(need, Answer::Registered(request, Ok(granted)), out);
        if let Some(confirm) = self.begin(id, Owned::Registration(registration)) {
            self.answer(id, confirm, out);
        }
    }

    fn registration_refusal(
        &self,
        id: SessionId,
        known: Option<RegistrationId>,
        policy: MatchPolicy,
        procedure: &str,
        options: RegisterOptions,
    ) -> Option<Refusal> {
        let session = self.sessions.get(&id)?;
        let entry = known.and_then(|known| self.registrations.get(&known));
        if let Some(entry) = entry.filter(|_| !options.force_reregister) {
            let invoke = entry.info.invoke;
            if invoke == InvocationPolicy::Single || entry.callees.iter().any(|callee| callee.session == id) {
                return Some(Refusal::ProcedureAlreadyExists);
            }
            if invoke != options.invoke {
                return Some(Refusal::DifferentInvocationPolicy);
            }
        }
        if session.registrations.len() >= self.limits.registrations_per_session_max {
            return Some(Refusal::LimitExceeded);
        }
        if known.is_some() {
            return None;
        }
        self.procedures.admits(policy, procedure).err().map(Refusal::Pattern)
    }

    fn add_registration(
        &mut self,
        session: SessionId,
        policy: MatchPolicy,
        procedure: &str,
        invoke: InvocationPolicy,
        lineage: Option<RegistrationId>,
    ) -> RegistrationId {
        self.last_registration += 1;
        let id =
            RegistrationId::new(self.last_registration).expect("invariant: fewer than 2^53 registrations");
        let procedure: Box<str> = procedure.into();
        self.procedures.insert(policy, &procedure, id).expect("invariant: the pattern is admitted");
        let (lineage, turns) = (lineage.unwrap_or(id), AtomicU64::new(0));
        let info = RegistrationInfo { id, lineage, policy, procedure, invoke, turns };
        let entry = Registration { info: Arc::new(info), callees: Vec::new(), created: self.now };
        self.log.note(MetaTopic::RegistrationOnCreate, || {
            let (created, invoke) = (entry.created(), entry.invocation_policy());
            MetaEvent::RegistrationCreated { session, registration: id, created, invoke }
        });
        self.registrations.insert(id, entry);
        id
    }

    /// Takes a registration away from all of its callees. Gives the lineage of who takes its place, and which sessions must be
    /// told ("Registration Revocation"): the others have left, and are only not released yet.
    fn take_over(
        &mut self,
        registration: RegistrationId,
        out: &mut Visibility,
    ) -> (RegistrationId, Vec<SessionId>) {
        let entry = &self.registrations[&registration];
        let lineage = entry.info.lineage;
        let mut callees: Vec<SessionId> = entry.callees.iter().map(|callee| callee.session).collect();
        callees.retain(|callee| {
            let is_there = self.take_away(registration, *callee, out);
            if !is_there {
                self.remove_callee(registration, *callee, out);
            }
            is_there
        });
        (lineage, callees)
    }

    /// Takes a registration away from one of its callees, and tells it. Returns whether it had it.
    pub fn revoke_callee(
        &mut self,
        registration: RegistrationId,
        callee: SessionId,
        reason: Option<Box<str>>,
        out: &mut Visibility,
    ) -> bool {
        let is_lost = self.take_away(registration, callee, out);
        if is_lost {
            self.answer(callee, Answer::RegistrationRevoked(registration, reason), out);
        }
        is_lost
    }

    fn take_away(&mut self, registration: RegistrationId, callee: SessionId, out: &mut Visibility) -> bool {
        let Some(session) = self.sessions.get_mut(&callee) else { return false };
        if !session.registrations.remove(&registration) {
            return false;
        }
        session.extra.get_or_insert_default().revoked_registrations.push(registration.get());
        self.remove_callee(registration, callee, out);
        true
    }

    /// UNREGISTER.
    pub fn unregister(
        &mut self,
        id: SessionId,
        request: RequestId,
        registration: RegistrationId,
        out: &mut Visibility,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let had = session.registrations.remove(&registration);
        let had_lost =
            !had && session.was_revoked(registration.get(), |extra| &mut extra.revoked_registrations);
        let result = if had || had_lost { Ok(registration) } else { Err(Refusal::NoSuchRegistration) };
        session.answer(0, Answer::Unregistered(request, result), out);
        if had {
            self.remove_callee(registration, id, out);
        }
    }

    /// A session that has left gives up a registration, if it was not taken from it.
    pub(super) fn release_callee(
        &mut self,
        registration: RegistrationId,
        session: SessionId,
        out: &mut Visibility,
    ) {
        let entry = self.registrations.get(&registration);
        if entry.is_some_and(|entry| entry.callees.iter().any(|callee| callee.session == session)) {
            self.remove_callee(registration, session, out);
        }
    }

    fn remove_callee(&mut self, registration: RegistrationId, session: SessionId, out: &mut Visibility) {
        self.end(session, Owned::Registration(registration));
        let event = || MetaEvent::Unregistered { session, registration };
        self.log.note(MetaTopic::RegistrationOnUnregister, event);
        let entry =
            self.registrations.get_mut(&registration).expect("invariant: a callee's registration exists");
        let position = entry.callees.iter().position(|known| known.session == session);
        let callee = entry.callees.remove(position.expect("invariant: a callee serves its registration"));
        out.change(entry.delta(self.realm, &callee, false));
        if entry.callees.is_empty() {
            self.procedures.remove(entry.info.policy, &entry.info.procedure);
            self.registrations.remove(&registration);
            let event = || MetaEvent::RegistrationDeleted { session, registration };
            self.log.note(MetaTopic::RegistrationOnDelete, event);
        }
    }
}

impl Registration {
    /// How a callee is chosen: `invoke` in its details.
    pub(super) fn invocation_policy(&self) -> &'static str {
        self.info.invoke.name()
    }

    pub(super) fn created(&self) -> Created {
        Created { at: self.created, uri: (*self.info.procedure).into(), policy: self.info.policy }
    }

    pub(super) fn delta(&self, realm: RealmId, callee: &Callee, present: bool) -> Delta {
        Delta::Callee { realm, registration: self.info.clone(), callee: callee.clone(), present }
    }
}
