//! How a session begins: HELLO, who it is (`authenticate.rs`), the home shard's consent, WELCOME or ABORT.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::AHashMap;
use smallvec::SmallVec;
use wampline_auth::{Admission, Hello, Refusal};
use wampline_routing::feature::{self, ClientFeatures};
use wampline_routing::{Identity, Invocations, JoinRefusal, RequestSequence, error_uri};
use wampline_wire::{Dict, ID_MAX, Message, Payload, SessionId, Value};

use crate::action::Unsent;
use crate::authenticate::Joining;
use crate::connection::{NEVER, Parked, reads_extensions};
use crate::counters::{add, set};
use crate::frame::{Frame, HomeRequest};
use crate::realms::RealmsFull;
use crate::session::{Session, SessionState};
use crate::shard::Shard;

/// Octets of a WELCOME, about.
const WELCOME_BYTES: usize = 2048;

impl Shard {
    /// HELLO (basic profile, "Session Establishment").
    pub(crate) fn hello(&mut self, slot: u32, name: &str, details: Dict<'_>) {
        if self.shutdown.is_some() {
            // A passing refusal is no ABORT: clients would not come back after one.
            return self.close_link(slot, Some(crate::leave::CLOSE_RESTART));
        }
        let Some(realm) = self.destination(name) else {
            return self.no_such_realm(slot, name);
        };
        let features = match ClientFeatures::from_hello(&details) {
            Ok(features) => features,
            Err(error) => return self.violation(slot, &error.to_string()),
        };
        let (mut agent, mut authid, mut authmethods, mut authextra) = (None, None, None, None);
        for (key, value) in details.iter() {
            match &*key {
                "agent" => agent = Some(value),
                "authid" => authid = Some(value),
                "authmethods" => authmethods = value.as_list(),
                "authextra" => authextra = value.as_dict(),
                _ => {}
            }
        }
        let session = self.random_session_id();
        let reads_extensions = reads_extensions(agent.as_ref().and_then(Value::as_str), features);
        self.connections[slot].deadlines.hello = NEVER;
        let authid = authid.as_ref().and_then(Value::as_str);
        let hello = Hello { realm: name, session, authid, authmethods, authextra };
        self.authenticate(slot, Joining { realm, session, features, reads_extensions }, hello);
    }

    /// A client is who it says: it joins, if the realm's home consents. The error is a refusal after all.
    pub(crate) fn admitted(
        &mut self,
        slot: u32,
        joining: &Joining,
        admission: Admission,
    ) -> Result<(), Refusal> {
        let realm = match &admission.realm {
            None => joining.realm.clone(),
            Some(name) => self.destination(name).ok_or_else(|| {
                tracing::warn!(realm = %name, authid = %admission.authid, "a principal's realm does not exist");
                let text = Cow::Borrowed("the realm of this principal does not exist");
                Refusal { reason: error_uri::AUTHENTICATION_FAILED, text, on_grid: false }
            })?,
        };
        if self.settings(&realm).roles.is_unknown(&admission.authrole) {
            tracing::warn!(role = %admission.authrole, authid = %admission.authid, "a principal's role does not exist");
            let (reason, text) =
                (error_uri::NO_SUCH_ROLE, Cow::Borrowed("the role of this principal does not exist"));
            return Err(Refusal { reason, text, on_grid: false });
        }
        let (sources, peer) = (&self.settings(&realm).sources, &self.connections[slot].peer);
        if !sources.admits_role(&admission.authrole, peer)
            || (admission.realm.is_some() && !sources.admits(peer))
        {
            tracing::debug!(%peer, authid = %admission.authid, "a principal comes from where its role is not admitted");
            return Err(Refusal::denied(false));
        }
        let realm = self.enter(&realm).map_err(|RealmsFull| {
            let text = Cow::Borrowed("there is no such realm here, and no more can be made");
            Refusal { reason: error_uri::NO_SUCH_REALM, text, on_grid: false }
        })?;
        let Admission { authid, authrole, authmethod, authprovider, authextra, .. } = admission;
        let identity = Identity { session: joining.session, authid, authrole, authmethod, authprovider };
        let hasher = self.hasher.clone();
        let (session, _) = self.sessions.insert(|_, guard| Session {
            identity: Arc::new(identity),
            guard,
            realm,
            connection: Some(slot),
            state: SessionState::Joining,
            features: joining.features,
            authextra: authextra.map(Box::new),
            requests: RequestSequence::default(),
            subscriptions: AHashMap::with_hasher(hasher.clone()),
            subscribing: Vec::new(),
            holding: None,
            nodes: BTreeSet::new(),
            registrations: AHashMap::with_hasher(hasher.clone()),
            calls: AHashMap::with_hasher(hasher.clone()),
            invocations: Invocations::new(hasher),
            testaments: None,
            services: 0,
            ended_inputs: None,
            role: None,
            asking: None,
        });
        let connection = &mut self.connections[slot];
        connection.session = Some(session);
        connection.reads_extensions = joining.reads_extensions;
        self.park(slot, Parked::JOINING);
        let arrival = Box::new(self.arrival(slot, session));
        self.ask_home(session, HomeRequest::Join(arrival), Some(slot));
        Ok(())
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
        let (identity, authextra) = (entry.identity.clone(), entry.authextra.take());
        let id = identity.session;
        let settings = shared.realm(entry.realm);
        entry.role = settings.roles.resolve(&identity.authrole);
        let realm = settings.name.as_str();
        let text = |text| Value::Str(Cow::Borrowed(text));
        let mut sent = Err(Unsent::TooLong);
        // A peer that takes 512 octets at a time could not join at all otherwise.
        for roles in [feature::welcome_roles(settings.meta), feature::bare_welcome_roles()] {
            let authextra = authextra.as_ref().map(|extra| ("authextra", Value::Dict(extra.as_dict())));
            let mut details: SmallVec<[_; 8]> = SmallVec::from_iter([
                ("realm", text(realm)),
                ("authid", text(&identity.authid)),
                ("authrole", text(&identity.authrole)),
                ("authmethod", text(identity.authmethod)),
                ("authprovider", text(identity.authprovider)),
                ("agent", text(&shared.config.agent)),
                ("roles", Value::Dict(roles)),
            ]);
            details.extend(authextra);
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

    fn no_such_realm(&mut self, slot: u32, name: &str) {
        let (reason, text) = match wampline_routing::uri::UriRules::Loose.check(name) {
            Ok(()) => (error_uri::NO_SUCH_REALM, format!("there is no realm {name:?} here")),
            Err(error) => (error_uri::INVALID_URI, format!("realm {name:?}: {error}")),
        };
        add(&self.counters().refused_sessions, 1);
        tracing::debug!(peer = %self.connections[slot].peer, reason, text, "session refused");
        self.abort(slot, reason, &text);
        self.close_link(slot, Some(crate::leave::CLOSE_NORMAL));
    }

    fn realm_name(&self, session: u32) -> &str {
        &self.shared.realm(self.sessions[session].realm).name
    }

    fn random_session_id(&mut self) -> SessionId {
        SessionId::new(self.random.u64(1..=ID_MAX)).expect("invariant: drawn from the range of ids")
    }
}
