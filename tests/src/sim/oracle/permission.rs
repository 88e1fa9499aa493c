//! What sessions may do: nothing forbidden is done, and everything permitted is, unless its authorizer has failed.

use serde_json::Value;
use wampline_routing::authorization::Action;

use super::{Oracle, Pending, SessionNo, State, Step, Verdict, code};
use crate::sim::pool::{Pattern, Policy};
use crate::sim::roles::{AUTHORIZER, AUTHORIZER_TIMEOUT, Model, Permit};

/// A request that must be permitted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    permit: Permit,
    /// The authorizer may be asked before it is known.
    may_fail: bool,
    about: Vec<(Action, String)>,
    /// Those of them that the authorizer is asked about.
    asked: Vec<(Action, String)>,
    sent_at: Step,
    /// In nanoseconds.
    sent_on: u64,
}

/// A question to the authorizer that somebody has been invoked for.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) session: u64,
    pub(crate) role: String,
    pub(crate) action: Action,
    pub(crate) uri: String,
    pub(crate) is_answered: bool,
}

impl Oracle {
    /// The roles of the run.
    pub(crate) fn model(&self) -> Option<&Model> {
        self.model.as_deref()
    }

    /// A session of `realm1` joins in a role.
    pub(crate) fn joins_as(&mut self, session: SessionNo, role: &'static str) {
        self.sessions[session].role = self.model.is_some().then_some(role);
    }

    /// Whether the authorizer is asked about anybody in a session's realm.
    pub(crate) fn has_authorizer(&self, session: SessionNo) -> bool {
        self.sessions[session].role.is_some() && self.model().is_some_and(Model::has_authorizer)
    }

    /// Whether the authorizer is asked about a session: what it has sent may be dropped when it ends.
    pub(super) fn is_asked_about(&self, session: SessionNo) -> bool {
        let role = self.sessions[session].role;
        role.zip(self.model()).is_some_and(|(role, model)| model.asks(role))
    }

    /// Whether a session may do something.
    pub(super) fn permit(&self, session: SessionNo, action: Action, pattern: &Pattern) -> Permit {
        let entry = &self.sessions[session];
        match entry.role.zip(self.model()) {
            None => Permit::Yes,
            Some((role, model)) => model.permit(role, entry.id.unwrap_or_default(), action, pattern),
        }
    }

    pub(super) fn permit_uri(&self, session: SessionNo, action: Action, uri: &str) -> Permit {
        self.permit(session, action, &Pattern { policy: Policy::Exact, uri: uri.into() })
    }

    /// Takes note of what must be permitted for a request to be done.
    pub(super) fn wants(
        &mut self,
        session: SessionNo,
        kind: u64,
        request: u64,
        about: Vec<(Action, Pattern)>,
    ) {
        if self.sessions[session].role.is_none() {
            return;
        }
        let permits: Vec<Permit> =
            about.iter().map(|(action, pattern)| self.permit(session, *action, pattern)).collect();
        let is_asked = |permit: &Permit| matches!(permit, Permit::Asked(_));
        let may_fail = permits.iter().any(is_asked);
        let asked = about.iter().zip(&permits).filter(|(_, permit)| is_asked(permit));
        let asked = asked.map(|((action, pattern), _)| (*action, pattern.uri.clone())).collect();
        let permit = permits.into_iter().fold(Permit::Yes, Permit::and);
        let about = about.into_iter().map(|(action, pattern)| (action, pattern.uri)).collect();
        let wanted = Wanted { permit, may_fail, about, asked, sent_at: self.step, sent_on: self.now };
        self.sessions[session].wanted.insert((kind, request), wanted);
    }

    /// A request has been done.
    pub(super) fn judge_done(&mut self, session: SessionNo, kind: u64, request: u64) -> Verdict {
        let Some(wanted) = self.sessions[session].wanted.remove(&(kind, request)) else { return Ok(()) };
        self.summary.permitted += u64::from(wanted.permit == Permit::Asked(true));
        let (entry, is_by_role) = (&self.sessions[session], self.model().is_some_and(Model::is_by_role));
        for (action, uri) in &wanted.asked {
            let is_about = |about: &Question| {
                about.action == *action
                    && about.uri == *uri
                    && Some(&*about.role) == entry.role
                    && (is_by_role || Some(about.session) == entry.id)
            };
            let questions = self.sessions.iter().flat_map(|guard| guard.questions.values());
            if !questions.into_iter().any(is_about) {
                return Err(format!("nobody was asked whether it may {action:?} {uri}"));
            }
        }
        if wanted.permit.may() { Ok(()) } else { Err(format!("it is not permitted: {wanted:?}")) }
    }

    /// A request has been refused. Gives whether that was for want of a permission.
    pub(super) fn judge_refused(
        &mut self,
        session: SessionNo,
        (kind, request): (u64, u64),
        pending: &Pending,
        uri: &str,
    ) -> Result<bool, String> {
        let wanted = self.sessions[session].wanted.remove(&(kind, request));
        let is_about_permission =
            matches!(uri, "wamp.error.not_authorized" | "wamp.error.authorization_failed");
        let Some(wanted) = wanted else {
            return if is_about_permission { Err("everything is permitted".into()) } else { Ok(false) };
        };
        if !is_about_permission {
            // What is refused for another reason was permitted, or nobody has asked yet.
            let is_early = matches!(uri, "wamp.error.invalid_uri" | "wamp.error.canceled");
            return if wanted.permit.may() || is_early {
                Ok(false)
            } else {
                Err("it is not permitted".into())
            };
        }
        match pending {
            Pending::Register(_, hold, ..) => self.holds[*hold].until = Some(self.step),
            Pending::Call(number) => self.end_call(*number),
            _ => {}
        }
        self.summary.refused += 1;
        match (uri, wanted.permit) {
            ("wamp.error.not_authorized", Permit::No | Permit::Asked(false)) => Ok(true),
            ("wamp.error.authorization_failed", _)
                if wanted.may_fail && self.may_have_failed(session, &wanted) =>
            {
                self.summary.unauthorized += 1;
                Ok(true)
            }
            _ => Err(format!("it is permitted: {wanted:?}")),
        }
    }

    /// Whether the authorizer may have failed to answer since a request was sent.
    fn may_have_failed(&self, session: SessionNo, wanted: &Wanted) -> bool {
        let realm = &self.sessions[session].realm;
        let since = wanted.sent_at.min(self.last_rest);
        // It may have joined a question that somebody else has put before, and whose answer is on its way.
        let has_failed = self.failures.iter().any(|(at, action, uri)| {
            *at > since && wanted.about.iter().any(|about| about.0 == *action && about.1 == *uri)
        });
        let is_shaky = self.holds.iter().any(|hold| {
            let of = &self.sessions[hold.session];
            hold.realm == *realm
                && hold.pattern.matches(AUTHORIZER)
                && (hold.until.is_some_and(|until| until > since)
                    || of.ending_at.is_some_and(|end| end > since || of.state != State::Ended))
        });
        let mut serving = self.stable(realm, wanted.sent_at, session);
        let is_there = serving.any(|(_, registration)| registration.serves(AUTHORIZER));
        let took_too_long = self.now - wanted.sent_on >= AUTHORIZER_TIMEOUT.as_nanos() as u64;
        self.going_down.is_some() || has_failed || is_shaky || !is_there || took_too_long
    }

    /// Somebody is invoked to answer for the authorizer.
    pub(super) fn question(&mut self, session: SessionNo, message: &Value) -> Verdict {
        self.summary.questions += 1;
        let id = message[1].as_u64().ok_or("no request id")?;
        let entry = &mut self.sessions[session];
        if id != entry.last_invocation + 1 {
            return Err(format!("invocation id {} is due", entry.last_invocation + 1));
        }
        entry.last_invocation = id;
        let arguments = &message[4];
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("an argument is no string");
        let about = arguments[0]["session"].as_u64().ok_or("no session")?;
        let (role, uri) = (text(&arguments[0]["authrole"])?, text(&arguments[1])?);
        let action = Action::parse(&text(&arguments[2])?).ok_or("not an action")?;
        let policy = Policy::of_options(&arguments[3]);
        let question = Question { session: about, role, action, uri, is_answered: false };
        let asker =
            self.sessions.iter().position(|other| other.id == Some(about)).ok_or("nobody's session")?;
        if self.sessions[asker].role != Some(&question.role) || !self.is_asked_about(asker) {
            return Err("it should not be asked about".into());
        }
        let pattern = Pattern { policy, uri: question.uri.clone() };
        if !matches!(self.permit(asker, action, &pattern), Permit::Asked(_)) {
            return Err("the rules know the answer".into());
        }
        self.sessions[session].questions.insert(id, question);
        Ok(())
    }

    /// The question is answered; with `is_failing`, by nothing that could be understood.
    pub(crate) fn answers_question(&mut self, session: SessionNo, id: u64, is_failing: bool) {
        let step = self.step;
        if let Some(question) = self.sessions[session].questions.get_mut(&id)
            && !std::mem::replace(&mut question.is_answered, true)
            && is_failing
        {
            let failure = (step + 1, question.action, question.uri.clone());
            self.failures.push(failure);
        }
    }

    /// Which URIs a call of the router's own procedures is about.
    pub(super) fn wants_meta(&mut self, session: SessionNo, request: u64, message: &Value) {
        let exact =
            |uri: &Value| Pattern { policy: Policy::Exact, uri: uri.as_str().unwrap_or_default().into() };
        if message[3] == "wamp.no.such.procedure" {
            return;
        }
        let mut about = vec![(Action::Call, exact(&message[3]))];
        if message[3] == "wamp.session.add_testament" {
            about.push((Action::Publish, exact(&message[4][0])));
        }
        self.wants(session, code::CALL, request, about);
    }
}
