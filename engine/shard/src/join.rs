//! How a session begins: HELLO, the home shard's consent, WELCOME or ABORT.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::AHashMap;
use wampline_routing::feature::{self, ClientFeatures};
use wampline_routing::{Identity, Invocations, JoinRefusal, RealmId, RequestSequence, error_uri};
use wampline_wire::{Dict, ID_MAX, Message, Payload, SessionId, Value};

use crate::action::Unsent;
use crate::connection::{NEVER, Parked, reads_extensions};
use crate::counters::{add, set};
use crate::frame::{Frame, HomeRequest};
use crate::session::{Session, SessionState};
use crate::shard::Shard;

/// The role of every session until roles can be configured, and of anonymous ones after that.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// Octets of a WELCOME, about.
const WELCOME_BYTES: usize = 2048;

impl Shard {
    /// HELLO (basic profile, "Session Establishment").
    pub(crate) fn hello(&mut self, slot: u32, realm: &str, details: Dict<'_>) {
        if self.shutdown.is_some() {
            // A passing refusal is no ABORT: clients would not come back after one.
            return self.close_link(slot, Some(crate::leave::CLOSE_RESTART));
        }
        let realm = match self.admissible(realm, &details) {
            Ok(realm) => realm,
            Err(Refused { reason, text }) => {
                add(&self.counters().refused_sessions, 1);
                tracing::debug!(peer = %self.connections[slot].peer, realm, reason, text, "session refused");
                self.abort(slot, reason, &text);
                return self.close_link(slot, Some(crate::leave::CLOSE_NORMAL));
            }
        };
        let features = match ClientFeatures::from_hello(&details) {
            Ok(features) => features,
            Err(error) => return self.violation(slot, &error.to_string()),
        };
        // What HELLO says of an authid sets no identity: an anonymous session is nobody in particular.
        let identity = Identity {
            session: self.random_session_id(),
            authid: self.random_authid(),
            authrole: self.anonymous.clone(),
            authmethod: ANONYMOUS,
            authprovider: "static",
        };
        let hasher = self.hasher.clone();
        let (session, _) = self.sessions.insert(|_, guard| Session {
            identity: Arc::new(identity),
            guard,
            realm,
            connection: Some(slot),
            state: SessionState::Joining,
            features,
            requests: RequestSequence::default(),
            subscriptions: AHashMap::with_hasher(hasher.clone()),
            subscribing: Vec::new(),
            holding: None,
            nodes: BTreeSet::new(),
            registrations: AHashMap::with_hasher(hasher.clone()),
            awaited: Vec::new(),
            calls: AHashMap::with_hasher(hasher.clone()),
            invocations: Invocations::new(hasher),
            testaments: None,
            services: 0,
            ended_inputs: None,
        });
        let connection = &mut self.connections[slot];
        connection.session = Some(session);
        let agent = details.get("agent");
        connection.reads_extensions = reads_extensions(agent.as_ref().and_then(Value::as_str), features);
        connection.deadlines.hello = NEVER;
        self.park(slot, Parked::JOINING);
        let arrival = Box::new(self.arrival(slot, session));
        self.ask_home(session, HomeRequest::Join(arrival), Some(slot));
    }

    /// The home shard's answer to a join.
    pub(crate) fn joined(&mut self, session: u32, result: Result<(), JoinRefusal>) {
        let SessionState::Joining = self.sessions[session].state else { return };
        let slot = self.sessions[session].connection.expect("invariant: a joining session has a connection");
        match result {
            Ok(()) => self.welcome(session, slot),
            Err(JoinRefusal::IdTaken) => {
                let id = self.random_session_id();
                Arc::make_mut(&mut self.sessions[session].identity).session = id;
                let arrival = Box::new(self.arrival(slot, session));
                self.ask_home(session, HomeRequest::Join(arrival), None);
            }
            Err(JoinRefusal::Full) => {
                add(&self.counters().refused_sessions, 1);
                tracing::warn!(realm = self.realm_name(session), "realm is full, session refused");
                self.connections[slot].session = None;
                self.sessions.remove(session);
                self.close_link(slot, Some(crate::leave::CLOSE_TRY_AGAIN));
            }
        }
    }

    /// Asks the directory of a session's realm.
    pub(crate) fn ask_home(&mut self, session: u32, request: HomeRequest, from: Option<u32>) {
        let entry = &self.sessions[session];
        let (realm, id) = (entry.realm, entry.id());
        let home = self.shared.home(realm);
        let frame = Frame::Request { realm, session: id, from: self.session_ref(session), request };
        self.send(home, frame, from);
    }

    /// Queues ABORT.
    pub(crate) fn abort(&mut self, slot: u32, reason: &str, text: &str) {
        let connection = &self.connections[slot];
        if connection.link != crate::connection::Link::Open || connection.is_dismissed {
            return;
        }
        let session = self.connections[slot].session.and_then(|session| self.sessions.get(session));
        if session.is_some_and(|session| session.state == SessionState::Closing) {
            // Nothing follows our GOODBYE.
            return;
        }
        let details = [("message", Value::Str(Cow::Borrowed(text)))];
        let message =
            Message::Abort { details: Dict::pairs(&details), reason: reason.into(), payload: Payload::NONE };
        // If it cannot be queued the peer learns nothing but the end of the connection, which follows.
        let _ = self.post(slot, &message, 64 + text.len());
    }

    fn welcome(&mut self, session: u32, slot: u32) {
        let shared = self.shared.clone();
        let entry = &mut self.sessions[session];
        entry.state = SessionState::Open;
        let identity = entry.identity.clone();
        let id = identity.session;
        let settings = &shared.config.realms[entry.realm.index()];
        let realm = settings.name.as_str();
        let text = |text| Value::Str(Cow::Borrowed(text));
        let mut sent = Err(Unsent::TooLong);
        // A peer that takes 512 octets at a time could not join at all otherwise.
        for roles in [feature::welcome_roles(settings.meta), feature::bare_welcome_roles()] {
            let details = [
                ("realm", text(realm)),
                ("authid", text(&identity.authid)),
                ("authrole", text(&identity.authrole)),
                ("authmethod", text(identity.authmethod)),
                ("authprovider", text(identity.authprovider)),
                ("agent", text(&shared.config.agent)),
                ("roles", Value::Dict(roles)),
            ];
            let message = Message::Welcome { session: id, details: Dict::pairs(&details) };
            sent = self.post(slot, &message, WELCOME_BYTES);
            if sent != Err(Unsent::TooLong) {
                break;
            }
        }
        if sent.is_err() {
            return self.close_link_of(session);
        }
        let features = self.sessions[session].features;
        tracing::debug!(session = id.get(), realm, peer = %self.connections[slot].peer, ?features, "session joined");
        self.connections[slot].had_session = true;
        self.connections[slot].receiver = Some(session);
        add(&self.counters().joined, 1);
        set(&self.counters().sessions, self.sessions.len());
        self.unpark(slot, Parked::JOINING);
    }

    fn close_link_of(&mut self, session: u32) {
        if let Some(slot) = self.sessions.get(session).and_then(|entry| entry.connection) {
            self.close_link(slot, Some(crate::leave::CLOSE_TRY_AGAIN));
        }
    }

    fn admissible(&self, realm: &str, details: &Dict<'_>) -> Result<RealmId, Refused> {
        let known = self.shared.config.realms.iter().position(|entry| entry.name == realm);
        let Some(known) = known else {
            return Err(match wampline_routing::uri::UriRules::Loose.check(realm) {
                Ok(()) => Refused::new(error_uri::NO_SUCH_REALM, format!("there is no realm {realm:?} here")),
                Err(error) => Refused::new(error_uri::INVALID_URI, format!("realm {realm:?}: {error}")),
            });
        };
        let methods = details.get("authmethods").and_then(|value| value.as_list());
        let offered = methods.is_none_or(|methods| {
            let mut names = methods.iter().peekable();
            names.peek().is_none() || names.any(|name| name.as_str() == Some(ANONYMOUS))
        });
        if !offered {
            let text = "this realm admits anonymous sessions only".to_owned();
            return Err(Refused::new(error_uri::NO_MATCHING_AUTH_METHOD, text));
        }
        Ok(RealmId(known as u16))
    }

    fn realm_name(&self, session: u32) -> &str {
        &self.shared.config.realms[self.sessions[session].realm.index()].name
    }

    fn random_session_id(&mut self) -> SessionId {
        SessionId::new(self.random.u64(1..=ID_MAX)).expect("invariant: drawn from the range of ids")
    }

    fn random_authid(&mut self) -> Box<str> {
        (0..5).map(|_| format!("{:04X}", self.random.u16(..))).collect::<Vec<_>>().join("-").into()
    }
}

/// Why a HELLO is answered with ABORT.
struct Refused {
    reason: &'static str,
    text: String,
}

impl Refused {
    fn new(reason: &'static str, text: String) -> Refused {
        Refused { reason, text }
    }
}
