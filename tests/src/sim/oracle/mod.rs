//! Watches what each client sent and received, and knows what the router has promised.
//!
//! The oracle never looks into the router. Its clock counts messages sent and received by clients, in the one order in
//! which the simulation lets them happen: if a client has *received* SUBSCRIBED at 7 and another *sends* PUBLISH at 9, the
//! event is owed. Publications and calls carry their number in their arguments, so that every message can be told from
//! every other.
//!
//! `broker.rs`, `retained.rs`, `dealer.rs` and `meta.rs` judge messages as they come; beside them are `chunks.rs` and `time.rs` (calls in chunks; their
//! timeouts), `removal.rs` and `takeover.rs` (what is taken away, and by force), and `details.rs` (what is written of sessions and URIs).
//! `group.rs` knows calls to all callees. `rest.rs` judges what has not come when nothing moves any more.

mod broker;
mod chunks;
mod dealer;
mod details;
mod group;
mod meta;
mod permission;
mod removal;
mod rest;
mod retained;
mod takeover;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Summary;
use super::pool::Pattern;
use super::roles::Model;
use broker::{Asked, Membership, Publication};
use chunks::Chunks;
use dealer::{Answer, Call, Invocation, Registration};
use details::Details;
use group::Groups;
use meta::{Ask, Will};
use permission::{Question, Wanted};
use removal::{Removals, Taken};
use takeover::Takeovers;
use time::Times;
use wampline_routing::authorization::Action;

/// Counts messages.
pub(crate) type Step = u64;

/// Names a session in the order of their HELLOs.
pub(crate) type SessionNo = usize;

pub(crate) type Verdict = Result<(), String>;

pub(crate) struct Oracle {
    pub(crate) sessions: Vec<Session>,
    pub(crate) summary: Summary,
    publications: Vec<Publication>,
    calls: Vec<Call>,
    chunks: Chunks,
    times: Times,
    groups: Groups,
    removals: Removals,
    takeovers: Takeovers,
    details: Details,
    step: Step,
    /// When the world was at rest: what has ended before that is known everywhere.
    last_rest: Step,
    session_ids: BTreeSet<u64>,
    publication_ids: BTreeMap<u64, usize>,
    /// Who holds or asks for which procedure, and since when.
    holds: Vec<Hold>,
    /// Outboxes are small: anybody may be cut.
    may_cut: bool,
    /// The router goes down; whether it says goodbye. From here on sessions end without having begun to.
    going_down: Option<bool>,
    log: Option<Vec<String>>,
    /// The roles of the run, if sessions have any.
    model: Option<Box<Model>>,
    /// When, and to what, an authorizer has given no answer that can be understood.
    failures: Vec<(Step, Action, String)>,
    /// Virtual time in nanoseconds.
    pub(crate) now: u64,
}

pub(crate) struct Session {
    realm: String,
    /// Its role, in a realm with roles.
    pub(crate) role: Option<&'static str>,
    /// What must be permitted for its requests to be done.
    wanted: BTreeMap<(u64, u64), Wanted>,
    /// What it has been asked as an authorizer.
    pub(crate) questions: BTreeMap<u64, Question>,
    /// Its id and authid, once it has been welcomed.
    pub(crate) identity: Option<(u64, String)>,
    /// When HELLO was sent.
    hello_at: Step,
    /// Its id, once it has heard it.
    pub(crate) id: Option<u64>,
    state: State,
    /// Its testaments, in the order in which it asked for them.
    pub(crate) wills: Vec<Will>,
    /// Somebody has asked for its end.
    kill_sent: bool,
    /// Its end has been reported to who asked for it.
    is_killed: bool,
    /// From here on nothing is owed to it: its client has begun to end it, or the router has cut it.
    pub(crate) ending_at: Option<Step>,
    /// It has announced that it can be interrupted.
    can_cancel: bool,
    /// It has announced that it can be told of what is taken from it: of subscriptions, of registrations.
    can_lose: (bool, bool),
    /// It has broken the protocol and must be told so.
    pub(crate) violated: bool,
    goodbye_sent: bool,
    /// Everything that it sent before its end has certainly been dealt with.
    is_settled: bool,
    pending: BTreeMap<(u64, u64), Pending>,
    pub(crate) memberships: BTreeMap<u64, Membership>,
    pub(crate) registrations: BTreeMap<u64, Registration>,
    pub(crate) invocations: BTreeMap<u64, Invocation>,
    last_invocation: u64,
    /// Publications sent, by number.
    published: Vec<usize>,
    /// The newest publication seen of each publisher.
    last_seen: BTreeMap<SessionNo, usize>,
    /// The newest call that invoked this session, of each caller.
    last_called: BTreeMap<SessionNo, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Joining,
    Open,
    Ended,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
enum Pending {
    Subscribe(Asked),
    Unsubscribe(u64, Step),
    Register(Pattern, usize, Step, Option<u64>),
    Unregister(u64),
    Publish(usize),
    Call(usize),
    /// Refused for its URI.
    Refused,
    /// A call of the router's own procedures.
    Meta(Ask),
}

/// A session holds, or asks for, a procedure.
struct Hold {
    session: SessionNo,
    realm: String,
    pattern: Pattern,
    /// How callees are picked.
    invoke: String,
    /// The callee looks after timeouts.
    forwards_timeout: bool,
    from: Step,
    until: Option<Step>,
}

mod code {
    pub(super) const CHALLENGE: u64 = 4;
    pub(super) const WELCOME: u64 = 2;
    pub(super) const ABORT: u64 = 3;
    pub(super) const GOODBYE: u64 = 6;
    pub(super) const ERROR: u64 = 8;
    pub(super) const PUBLISH: u64 = 16;
    pub(super) const PUBLISHED: u64 = 17;
    pub(super) const SUBSCRIBE: u64 = 32;
    pub(super) const SUBSCRIBED: u64 = 33;
    pub(super) const UNSUBSCRIBE: u64 = 34;
    pub(super) const UNSUBSCRIBED: u64 = 35;
    pub(super) const EVENT: u64 = 36;
    pub(super) const CALL: u64 = 48;
    pub(super) const CANCEL: u64 = 49;
    pub(super) const RESULT: u64 = 50;
    pub(super) const REGISTER: u64 = 64;
    pub(super) const REGISTERED: u64 = 65;
    pub(super) const UNREGISTER: u64 = 66;
    pub(super) const UNREGISTERED: u64 = 67;
    pub(super) const INVOCATION: u64 = 68;
    pub(super) const INTERRUPT: u64 = 69;
    pub(super) const YIELD: u64 = 70;
}

/// The largest id.
const ID_MAX: u64 = 1 << 53;

impl Oracle {
    pub(crate) fn new(may_cut: bool, model: Option<Model>, log: bool) -> Oracle {
        Oracle {
            sessions: Vec::new(),
            summary: Summary::default(),
            publications: Vec::new(),
            calls: Vec::new(),
            chunks: Chunks::default(),
            times: Times::default(),
            groups: Groups::default(),
            removals: Removals::default(),
            takeovers: Takeovers::default(),
            details: Details::default(),
            step: 0,
            last_rest: 0,
            session_ids: BTreeSet::new(),
            publication_ids: BTreeMap::new(),
            holds: Vec::new(),
            may_cut,
            going_down: None,
            log: log.then(Vec::new),
            model: model.map(Box::new),
            failures: Vec::new(),
            now: 0,
        }
    }

    pub(crate) fn take_log(&mut self) -> Vec<String> {
        self.log.take().unwrap_or_default()
    }

    /// Notes something for the reader of a failure.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let step = self.step;
        if let Some(log) = self.log.as_mut() {
            log.push(format!("{step:5} {}", text()));
        }
    }

    /// A client sends HELLO.
    pub(crate) fn hello(&mut self, realm: &str, can_cancel: bool, can_lose: (bool, bool)) -> SessionNo {
        self.step += 1;
        self.sessions.push(Session {
            realm: realm.into(),
            role: None,
            wanted: BTreeMap::new(),
            questions: BTreeMap::new(),
            identity: None,
            hello_at: self.step,
            id: None,
            state: State::Joining,
            wills: Vec::new(),
            kill_sent: false,
            is_killed: false,
            ending_at: None,
            can_cancel,
            can_lose,
            violated: false,
            goodbye_sent: false,
            is_settled: false,
            pending: BTreeMap::new(),
            memberships: BTreeMap::new(),
            registrations: BTreeMap::new(),
            invocations: BTreeMap::new(),
            last_invocation: 0,
            published: Vec::new(),
            last_seen: BTreeMap::new(),
            last_called: BTreeMap::new(),
        });
        let session = self.sessions.len() - 1;
        self.note(|| format!("s{session} > HELLO {realm}"));
        session
    }

    /// The router begins to go down.
    pub(crate) fn going_down(&mut self, says_goodbye: bool) {
        self.note(|| "the router goes down".into());
        self.going_down = Some(says_goodbye);
    }

    /// Whether an authorizer has been asked and has not answered.
    pub(crate) fn has_questions(&self) -> bool {
        let open = |session: &Session| session.questions.values().any(|question| !question.is_answered);
        // Who is to be killed by somebody whose call has not come may be asked all the same.
        self.sessions.iter().any(|session| session.state != State::Ended && open(session))
    }

    /// Questions that nobody answers have come to nothing.
    pub(crate) fn give_up_questions(&mut self) {
        let questions = self.sessions.iter_mut().flat_map(|session| session.questions.values_mut());
        questions.for_each(|question| question.is_answered = true);
    }

    /// The numbers that the next publication and the next call will have.
    pub(crate) fn next_numbers(&self) -> (usize, usize) {
        (self.publications.len(), self.calls.len())
    }

    /// A client sends a message in a session.
    pub(crate) fn sent(&mut self, session: SessionNo, message: &Value) {
        self.step += 1;
        self.note(|| format!("s{session} > {}", short(message)));
        let request = message[1].as_u64().unwrap_or_default();
        match message[0].as_u64() {
            Some(code::PUBLISH) => self.publish(session, request, message),
            Some(code::SUBSCRIBE) => self.subscribe(session, request, message),
            Some(code::UNSUBSCRIBE) => self.unsubscribe(session, request, message),
            Some(code::REGISTER) => self.register(session, request, message),
            Some(code::UNREGISTER) => self.unregister(session, request, message),
            Some(code::CALL) if message[3].as_str().is_some_and(|uri| uri.starts_with("wamp")) => {
                self.wants_meta(session, request, message);
                let pending = self.meta_call(session, message);
                self.sessions[session].pending.insert((code::CALL, request), pending);
            }
            Some(code::CALL) => self.call_or_chunk(session, request, message),
            Some(code::CANCEL) => self.cancel(session, request),
            Some(code::YIELD) if message[2]["progress"] == true => self.progressed(session, request),
            Some(code::YIELD) => self.answered(session, request, Answer::Result),
            Some(code::ERROR) => {
                let is_unavailable = message[4] == "wamp.error.unavailable";
                let answer = if is_unavailable { Answer::Unavailable } else { Answer::Error };
                self.answered(session, message[2].as_u64().unwrap_or_default(), answer);
            }
            Some(code::GOODBYE) => {
                self.sessions[session].goodbye_sent = true;
                self.ending(session);
            }
            _ => {}
        }
    }

    /// A client breaks the protocol: ABORT must follow.
    pub(crate) fn violates(&mut self, session: SessionNo, how: &str) {
        self.step += 1;
        self.note(|| format!("s{session} > violation: {how}"));
        self.sessions[session].violated = true;
        self.ending(session);
    }

    /// The client is gone, or the router has closed the connection.
    pub(crate) fn ending(&mut self, session: SessionNo) {
        self.step += 1;
        let step = self.step;
        self.sessions[session].ending_at.get_or_insert(step);
        self.services_end(session);
    }

    /// The connection is gone: nothing more comes.
    pub(crate) fn gone(&mut self, session: SessionNo, how: &str) {
        self.ending(session);
        self.note(|| format!("s{session} gone: {how}"));
        self.sessions[session].state = State::Ended;
    }

    /// The router has closed the connection of a session, which has read everything and was not told that it is over.
    /// `was_ending`: its client had begun to end it before.
    pub(crate) fn judge_close(&mut self, session: SessionNo, was_ending: bool) -> Verdict {
        if self.may_cut || self.going_down.is_some() {
            return Ok(());
        }
        if self.sessions[session].violated {
            return Err(format!("s{session} has violated the protocol and was not told by ABORT"));
        }
        if !was_ending {
            return Err(format!("s{session} was cut although nothing is wrong with it"));
        }
        Ok(())
    }

    /// A client receives a message in a session. Returns whether the session is over.
    pub(crate) fn received(&mut self, session: SessionNo, message: &Value) -> Result<bool, String> {
        self.step += 1;
        self.note(|| format!("s{session} < {}", short(message)));
        let verdict = self.judge(session, message);
        verdict.map_err(|what| format!("s{session} received {}: {what}", short(message)))?;
        Ok(self.sessions[session].state == State::Ended)
    }

    fn judge(&mut self, session: SessionNo, message: &Value) -> Verdict {
        let number = message[0].as_u64().ok_or("a message without a type")?;
        let state = self.sessions[session].state;
        let request = message[1].as_u64();
        match (number, state) {
            (code::CHALLENGE, State::Joining) if self.sessions[session].role.is_some() => Ok(()),
            (code::WELCOME, State::Joining) => self.welcome(session, message),
            (code::ABORT, State::Joining | State::Open) => self.abort(session, message),
            (_, State::Joining) => Err("before WELCOME".into()),
            (_, State::Ended) => Err("after the end of the session".into()),
            (code::GOODBYE, State::Open) => self.goodbye(session, message),
            (code::EVENT, State::Open) => self.event(session, message),
            (code::INVOCATION, State::Open) if message[4][0].is_object() => self.question(session, message),
            (code::INVOCATION, State::Open) => self.invocation(session, message),
            (code::ERROR, State::Open) => {
                let (kind, request) =
                    (request.ok_or("no request type")?, message[2].as_u64().ok_or("no request")?);
                let pending = self.finish(session, kind, request)?;
                let uri = message[4].as_str().ok_or("no error URI")?;
                if self.judge_refused(session, (kind, request), &pending, uri)? {
                    return Ok(());
                }
                self.error(session, pending, message)
            }
            (code::PUBLISHED, _) => {
                let pending = self.done(session, code::PUBLISH, request)?;
                self.published(session, pending, message)
            }
            (code::SUBSCRIBED, _) => {
                let pending = self.done(session, code::SUBSCRIBE, request)?;
                self.subscribed(session, pending, message)
            }
            (code::UNSUBSCRIBED, State::Open) if request == Some(0) => {
                self.lost(session, Taken::Subscription, message)
            }
            (code::UNREGISTERED, State::Open) if request == Some(0) => {
                self.lost(session, Taken::Registration, message)
            }
            (code::UNSUBSCRIBED, _) => {
                let pending = self.finish(session, code::UNSUBSCRIBE, request.ok_or("no request")?)?;
                self.unsubscribed(session, pending)
            }
            (code::REGISTERED, _) => {
                let pending = self.done(session, code::REGISTER, request)?;
                self.registered(session, pending, message)
            }
            (code::UNREGISTERED, _) => {
                let pending = self.finish(session, code::UNREGISTER, request.ok_or("no request")?)?;
                self.unregistered(session, pending)
            }
            (code::INTERRUPT, State::Open) => self.interrupt(session, message),
            (code::RESULT, _) if message[2]["progress"] == true => {
                let request = request.ok_or("no request")?;
                let Some(Pending::Call(call)) = self.sessions[session].pending.get(&(code::CALL, request))
                else {
                    return Err("progress of nothing, or after the end".into());
                };
                let call = *call;
                if self.groups.has(call) {
                    self.group_progress(call, message)
                } else {
                    self.progress(call, message)
                }
            }
            (code::RESULT, _) => {
                let pending = self.done(session, code::CALL, request)?;
                match pending {
                    Pending::Meta(ask) => self.meta_result(session, ask, message),
                    pending => self.result(session, pending, message),
                }
            }
            _ => Err("not expected from a router".into()),
        }
    }

    /// Takes out what an answer belongs to: there must be something, and so never two answers.
    fn finish(&mut self, session: SessionNo, kind: u64, request: u64) -> Result<Pending, String> {
        let pending = self.sessions[session].pending.remove(&(kind, request));
        pending.ok_or_else(|| "an answer to nothing, or a second one".into())
    }

    /// The same for what has been done: that must have been permitted.
    fn done(&mut self, session: SessionNo, kind: u64, request: Option<u64>) -> Result<Pending, String> {
        let request = request.ok_or("no request")?;
        let pending = self.finish(session, kind, request)?;
        self.judge_done(session, kind, request)?;
        Ok(pending)
    }

    fn welcome(&mut self, session: SessionNo, message: &Value) -> Verdict {
        let id =
            message[1].as_u64().filter(|id| (1..=ID_MAX).contains(id)).ok_or("session id out of range")?;
        if !self.session_ids.insert(id) {
            return Err("a session id for the second time".into());
        }
        if message[2]["realm"].as_str() != Some(&self.sessions[session].realm) {
            return Err("another realm".into());
        }
        let authid = message[2]["authid"].as_str().ok_or("no authid")?;
        self.sessions[session].identity = Some((id, authid.into()));
        self.sessions[session].state = State::Open;
        self.sessions[session].id = Some(id);
        self.summary.sessions += 1;
        Ok(())
    }

    fn abort(&mut self, session: SessionNo, message: &Value) -> Verdict {
        let is_asked_about = self.is_asked_about(session);
        let entry = &mut self.sessions[session];
        let is_unknown_realm = entry.realm == super::pool::UNKNOWN_REALM;
        let expected =
            if is_unknown_realm { "wamp.error.no_such_realm" } else { "wamp.error.protocol_violation" };
        if !is_unknown_realm && !entry.violated {
            return Err("although it has done nothing".into());
        }
        if message[2].as_str() != Some(expected) {
            return Err(format!("{expected} is due"));
        }
        entry.state = State::Ended;
        entry.is_settled = !is_asked_about;
        self.ending(session);
        Ok(())
    }

    fn goodbye(&mut self, session: SessionNo, message: &Value) -> Verdict {
        let is_asked_about = self.is_asked_about(session);
        if self.going_down == Some(true) && message[2].as_str() == Some("wamp.close.system_shutdown") {
            self.sessions[session].state = State::Ended;
            self.ending(session);
            return Ok(());
        }
        let entry = &mut self.sessions[session];
        if entry.kill_sent && message[2].as_str() == Some("wamp.close.killed") {
            entry.state = State::Ended;
            self.ending(session);
            return Ok(());
        }
        if !entry.goodbye_sent {
            return Err("unasked for".into());
        }
        if message[2].as_str() != Some("wamp.close.goodbye_and_out") {
            return Err("wamp.close.goodbye_and_out is due".into());
        }
        entry.state = State::Ended;
        // GOODBYE does not wait for an authorizer; what waits for one is dropped.
        entry.is_settled = !is_asked_about;
        let step = self.step;
        self.holds.iter_mut().filter(|hold| hold.session == session).for_each(|hold| {
            hold.until.get_or_insert(step);
        });
        Ok(())
    }

    fn error(&mut self, session: SessionNo, pending: Pending, message: &Value) -> Verdict {
        let uri = message[4].as_str().ok_or("no error URI")?;
        match pending {
            Pending::Refused if uri == "wamp.error.invalid_uri" => Ok(()),
            Pending::Unsubscribe(id, _) if uri == "wamp.error.no_such_subscription" => {
                match self.sessions[session].memberships.contains_key(&id) {
                    true => Err("although it is subscribed".into()),
                    false => Ok(()),
                }
            }
            Pending::Unregister(id) if uri == "wamp.error.no_such_registration" => {
                match self.sessions[session].registrations.contains_key(&id) {
                    true => Err("although it is registered".into()),
                    false => Ok(()),
                }
            }
            Pending::Register(_, hold, ..) => self.registration_refused(hold, uri),
            Pending::Call(call) => self.call_failed(session, call, uri, message),
            Pending::Meta(ask) => self.meta_error(ask, uri),
            other => Err(format!("not an error that {other:?} can have")),
        }
    }
}

/// A message without its padding.
fn short(message: &Value) -> String {
    let mut text = message.to_string();
    if let Some((at, _)) = text.char_indices().nth(160) {
        text.truncate(at);
        text.push_str("...");
    }
    text
}
