//! What sessions may do: decided by the rules of their roles, by what authorizers have answered, and where neither knows, by
//! asking.
//!
//! A session's role is found when it joins. Without one it may do everything, and nothing of this is looked at. What authorizers
//! have answered is kept here, on each shard for its own sessions, for as long as the role's settings say. What rules have decided about
//! calls and publications is remembered (see [`wampline_routing::authorization::DecisionMemo`]), so that what is done over and over
//! costs two look-ups at most.
//!
//! A question is a call of the router's own (see `question.rs`). While it is under way the message that it is about waits, with
//! everything of its session that must not overtake it (see `asking.rs`); then the message is dealt with once more from the
//! beginning, and finds the answer. Where answers hold for whole roles, sessions that ask the same wait for one call. If it turns
//! out that its answer is for the one session alone, the others ask for themselves.
//!
//! Invariants: a question has a deadline; at most one is under way for a session; sessions whose role serves are never asked about;
//! an answer that was asked for before a purge is used once and not kept.

use std::time::Duration;

use ahash::AHashMap;
use smallvec::SmallVec;
use wampline_routing::authorization::{
    Action, Asked, AuthorizerAnswer, CachedAnswer, PURGE_PROCEDURE, PurgeFilter, Question, QuestionOwner,
    RoleId, Verdict, question_arguments,
};
use wampline_routing::pattern::UriHash;
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{Delta, Disclose, RealmId, SessionRef, error_uri};
use wampline_wire::{Dict, SessionId};

use crate::counters::add;
use crate::question::{Purpose, QuestionAnswer, QuestionId};
use crate::shard::Shard;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Flow {
    /// It has been dealt with.
    Done,
    /// It waits for an authorizer: nothing has been done. It must be kept, and dealt with again.
    Waits,
}

/// What a session may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// It may. What is said of disclosure, if anything.
    Granted(Option<Disclose>),
    /// It may not: an error and what is said beside it.
    Refused(&'static str, String),
    /// An authorizer is asked.
    Waits,
}

/// What is to be permitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) action: Action,
    pub(crate) policy: MatchPolicy,
    pub(crate) uri: &'a str,
    /// Of the message.
    pub(crate) options: Dict<'a>,
}

/// The questions to authorizers that are under way.
#[derive(Debug, Default)]
pub(crate) struct Authorizing {
    open: AHashMap<u64, Open>,
    /// Those whose answers may be for whole roles.
    shared: AHashMap<Owned, u64>,
    last: u64,
}

/// A question that is under way.
#[derive(Debug)]
struct Open {
    id: QuestionId,
    about: Owned,
    /// Whom the authorizer was told of, while that session waits.
    asker: Option<SessionRef>,
    /// Others who ask the same.
    others: SmallVec<[SessionRef; 1]>,
    /// How often the answers had been purged when it was asked.
    purges: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owned {
    realm: RealmId,
    role: RoleId,
    owner: QuestionOwner,
    action: Action,
    policy: MatchPolicy,
    uri: Box<str>,
}

impl<'a> Wanted<'a> {
    /// To do something to this very URI.
    pub(crate) fn exactly(action: Action, uri: &'a str, options: Dict<'a>) -> Wanted<'a> {
        Wanted { action, policy: MatchPolicy::Exact, uri, options }
    }
}

impl Authorizing {
    pub(crate) fn with_hasher(hasher: ahash::RandomState) -> Authorizing {
        let open = AHashMap::with_hasher(hasher.clone());
        Authorizing { open, shared: AHashMap::with_hasher(hasher), last: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    fn take(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if self.shared.get(&open.about) == Some(&number) {
            self.shared.remove(&open.about);
        }
        Some(open)
    }
}

impl Shard {
    /// Whether a session may do something. Asks its authorizer, if nobody else knows.
    pub(crate) fn permission(&mut self, session: u32, wanted: Wanted<'_>) -> Permission {
        let entry = &self.sessions[session];
        let Some(role) = entry.role else { return Permission::Granted(None) };
        match (wanted.action, wanted.policy) {
            (Action::Call | Action::Publish, MatchPolicy::Exact) => {
                let hash = self.realms[entry.realm.index()].replica.hash(wanted.uri);
                self.permission_to_use(session, role, hash, wanted)
            }
            // Patterns, and what is seldom done twice.
            _ => self.permission_by_rules(session, role, wanted),
        }
    }

    /// The same about a call or a publication of a session with a role, where the hash of the URI is known.
    pub(crate) fn permission_to_use(
        &mut self,
        session: u32,
        role: RoleId,
        hash: UriHash,
        wanted: Wanted<'_>,
    ) -> Permission {
        let entry = &self.sessions[session];
        if entry.asking.is_some() {
            // It may have an answer of its own.
            return self.permission_by_rules(session, role, wanted);
        }
        let (realm, Wanted { action, uri, .. }) = (entry.realm, wanted);
        let asked = Asked { realm, role, session: entry.id(), action, uri, hash };
        let roles = &self.shared.realm(realm).roles;
        let answers = &mut self.realms[realm.index()].answers;
        match self.decisions.decide(roles, answers, self.now.0, &asked) {
            Verdict::Allowed(disclosure) => Permission::Granted(disclosure),
            Verdict::Denied => self.denied(wanted),
            Verdict::Ask => {
                let question = asked.question(roles);
                self.ask_authorizer(session, &question, wanted.options);
                Permission::Waits
            }
        }
    }

    fn permission_by_rules(&mut self, session: u32, role: RoleId, wanted: Wanted<'_>) -> Permission {
        let roles = &self.shared.realm(self.sessions[session].realm).roles;
        let verdict = roles.decide(role, wanted.action, wanted.policy, wanted.uri);
        self.permission_by(session, verdict, wanted)
    }

    /// What follows from what the rules say.
    pub(crate) fn permission_by(&mut self, session: u32, verdict: Verdict, wanted: Wanted<'_>) -> Permission {
        match (verdict, self.sessions[session].role) {
            (Verdict::Allowed(disclosure), _) => Permission::Granted(disclosure),
            (Verdict::Ask, Some(role)) => self.permission_by_answer(session, role, wanted),
            (Verdict::Denied | Verdict::Ask, _) => self.denied(wanted),
        }
    }

    fn permission_by_answer(&mut self, session: u32, role: RoleId, wanted: Wanted<'_>) -> Permission {
        let entry = &self.sessions[session];
        let (realm, id) = (entry.realm, entry.id());
        if let Some(answer) = entry.asking.as_ref().and_then(|asking| asking.answer_about(wanted.action)) {
            return match answer {
                Ok(answer) => self.answered_with(answer, wanted),
                Err(why) => self.failed(why, wanted),
            };
        }
        let roles = &self.shared.realm(realm).roles;
        let owner = roles.owner(role, id);
        let question =
            Question { role, owner, action: wanted.action, policy: wanted.policy, uri: wanted.uri };
        let state = &mut self.realms[realm.index()];
        let known = state.answers.get(self.now.0, state.replica.hash(wanted.uri), &question);
        match known {
            Some(answer) => self.answered_with(answer, wanted),
            None => {
                self.ask_authorizer(session, &question, wanted.options);
                Permission::Waits
            }
        }
    }

    fn answered_with(&self, answer: CachedAnswer, wanted: Wanted<'_>) -> Permission {
        if answer.allow { Permission::Granted(answer.disclose) } else { self.denied(wanted) }
    }

    fn denied(&self, Wanted { action, uri, .. }: Wanted<'_>) -> Permission {
        add(&self.counters().not_authorized, 1);
        let text = match action {
            Action::Call => format!("the session may not call {uri}"),
            Action::Register => format!("the session may not register {uri}"),
            Action::Publish => format!("the session may not publish to {uri}"),
            Action::Subscribe => format!("the session may not subscribe to {uri}"),
        };
        Permission::Refused(error_uri::NOT_AUTHORIZED, text)
    }

    fn failed(&self, why: &'static str, Wanted { action, uri, .. }: Wanted<'_>) -> Permission {
        add(&self.counters().authorizations_failed, 1);
        let text = format!("whether the session may {} {uri} is not known: {why}", action.as_str());
        Permission::Refused(error_uri::AUTHORIZATION_FAILED, text)
    }

    /// Asks a session's authorizer, or waits for the answer to another session that asks the same.
    fn ask_authorizer(&mut self, session: u32, question: &Question<'_>, options: Dict<'_>) {
        let shared = self.shared.clone();
        let realm = self.sessions[session].realm;
        let settings = shared.realm(realm);
        let authorizer = settings
            .roles
            .authorizer(question.role)
            .expect("invariant: who is asked about has an authorizer");
        let asker = self.session_ref(session);
        let Question { role, owner, action, policy, uri } = *question;
        let about = Owned { realm, role, owner, action, policy, uri: uri.into() };
        let asking = self.sessions[session].asking.get_or_insert_default();
        let is_alone = owner != QuestionOwner::Role || asking.is_alone();
        if let Some(&number) = self.authorizing.shared.get(&about).filter(|_| !is_alone)
            && let Some(open) = self.authorizing.open.get_mut(&number)
        {
            open.others.push(asker);
            return self.begin_asking(session, number);
        }
        self.authorizing.last += 1;
        let number = self.authorizing.last;
        let identity = self.sessions[session].identity.clone();
        let slot = self.sessions[session].connection.expect("invariant: who asks for something is connected");
        let transport = self.arrival(slot, session).transport;
        let arguments = question_arguments(&settings.name, &identity, &transport, action, uri, &options);
        let purpose = Purpose::Authorization { number };
        let procedure = &authorizer.procedure;
        let id = self.ask(realm, procedure, arguments.as_payload(), authorizer.timeout, purpose);
        if !is_alone {
            self.authorizing.shared.insert(about.clone(), number);
        }
        let purges = self.realms[realm.index()].answers.purges();
        let open = Open { id, about, asker: Some(asker), others: SmallVec::new(), purges };
        self.authorizing.open.insert(number, open);
        self.begin_asking(session, number);
    }

    /// An authorizer has answered, or will not.
    pub(crate) fn authorizer_answered(&mut self, number: u64, answer: &QuestionAnswer) {
        let Some(open) = self.authorizing.take(number) else { return };
        let read = understood(answer);
        if let Err(why) = read {
            let realm = &self.shared.realm(open.about.realm).name;
            tracing::warn!(%realm, uri = %open.about.uri, why, ?answer, "an authorizer has not answered");
        }
        self.keep_answer(&open, read.ok());
        let is_for_all = read.is_ok_and(|answer| answer.cache) || read.is_err();
        let read = read.map(|read| CachedAnswer { allow: read.allow, disclose: read.disclose });
        if let Some(asker) = open.asker {
            self.end_asking(asker, number, Some((open.about.action, read)));
        }
        for other in open.others {
            let answer = is_for_all.then_some((open.about.action, read));
            self.end_asking(other, number, answer);
        }
    }

    fn keep_answer(&mut self, open: &Open, answer: Option<AuthorizerAnswer>) {
        let Some(answer) = answer.filter(|answer| answer.cache) else { return };
        let Owned { realm, role, owner, action, policy, ref uri } = open.about;
        let state = &mut self.realms[realm.index()];
        let (answers, hash) = (&mut state.answers, state.replica.hash(uri));
        let roles = &self.shared.realm(realm).roles;
        let Some(authorizer) = roles.authorizer(role).filter(|_| answers.purges() == open.purges) else {
            return;
        };
        let span = if answer.allow { authorizer.allowed_for } else { authorizer.denied_for };
        if span > Duration::ZERO {
            let kept = CachedAnswer { allow: answer.allow, disclose: answer.disclose };
            answers.put(self.now.after(span), hash, &Question { role, owner, action, policy, uri }, kept);
        }
    }

    /// A session waits no more for the answer to a question.
    pub(crate) fn leave_question(&mut self, session: SessionRef, number: u64) {
        let Some(open) = self.authorizing.open.get_mut(&number) else { return };
        open.others.retain(|other| *other != session);
        open.asker = open.asker.filter(|asker| *asker != session);
        if open.asker.is_none()
            && open.others.is_empty()
            && let Some(open) = self.authorizing.take(number)
        {
            self.withdraw(open.id);
        }
    }

    /// A change of the directory has come.
    pub(crate) fn apply(&mut self, change: &Delta) {
        let realm = change.realm().index();
        if let Delta::Forget { filter, .. } = change {
            self.realms[realm].answers.purge(filter, &self.shared.realm(change.realm()).roles);
        }
        self.realms[realm].replica.apply(change);
    }

    /// Whether a procedure is the one that makes answers of authorizers be forgotten, in a realm that has any.
    pub(crate) fn is_purge(&self, realm: RealmId, procedure: &str) -> bool {
        self.shared.realm(realm).roles.has_authorizers() && procedure == PURGE_PROCEDURE
    }
}

impl crate::home::Home {
    /// Answers of authorizers are to be forgotten on every shard; then the caller has its answer.
    pub(crate) fn forget(
        &mut self,
        realm: RealmId,
        from: SessionRef,
        call: wampline_routing::CallRef,
        filter: PurgeFilter,
    ) {
        let need = self.visibility.change(Delta::Forget { realm, filter: filter.into() });
        self.visibility.answer(need, from, wampline_routing::Answer::Forgotten(call));
    }

    /// Whether a session could have subscribed to this: it may read its history. One that an authorizer would have to be asked
    /// about has asked already if it is subscribed.
    pub(crate) fn may_read(
        &mut self,
        realm: RealmId,
        reader: SessionId,
        subscription: wampline_wire::SubscriptionId,
    ) -> bool {
        let (roles, topic) = (self.roles[realm.index()].clone(), self.topic_of(realm, subscription));
        let (directory, _) = self.directory(realm);
        let Some((identity, (policy, topic))) = directory.identity(reader).zip(topic) else { return false };
        let Some(role) = roles.resolve(&identity.authrole) else { return true };
        match roles.decide(role, Action::Subscribe, policy, &topic) {
            Verdict::Allowed(_) => true,
            Verdict::Denied => false,
            Verdict::Ask => directory.is_subscribed(reader, subscription),
        }
    }
}

/// What an answer means. The error is said to who has asked for something.
fn understood(answer: &QuestionAnswer) -> Result<AuthorizerAnswer, &'static str> {
    match answer {
        QuestionAnswer::Result(payload) => AuthorizerAnswer::read(payload.as_payload())
            .map_err(|_| "the authorizer's answer is not understood"),
        QuestionAnswer::Failed { .. } => Err("the authorizer has failed"),
        QuestionAnswer::TimedOut => Err("the authorizer takes too long"),
        QuestionAnswer::NobodyThere => Err("there is no authorizer"),
    }
}
