//! One client that does random things.

mod guard;
mod removal;
mod stream;

use serde_json::{Value, json};
use wampline_wire::Serializer;

use super::oracle::{Oracle, SessionNo};
use super::pool::{self, Pattern, Pool};
use super::roles::GUARD;
use crate::peer::{Heard, LENGTH_MAX, Peer};
use crate::world::{End, LinkId, World};
use guard::open_questions;
use stream::Stream;

/// The longest that a client lets a call take, in milliseconds.
pub(super) const TIMEOUT_MILLIS_MAX: u8 = 8;

pub(super) struct Actor {
    number: usize,
    random: fastrand::Rng,
    /// Request ids must be sequential.
    is_strict: bool,
    pool: Pool,
    link: Option<LinkId>,
    peer: Peer,
    session: Option<SessionNo>,
    phase: Phase,
    last_request: u64,
    /// Calls of this session that may still be cancelled, newest last.
    called: Vec<u64>,
    /// Calls of this session that it is in the middle of.
    streams: Vec<Stream>,
    /// The router has closed the connection; whether the session was ending before that.
    closed: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection.
    Idle,
    /// A connection without a session.
    Connected,
    /// HELLO has been sent; a ticket is asked for.
    Joining,
    /// HELLO has been sent.
    InSession,
    /// The router has said GOODBYE; it closes.
    Dismissed,
    /// GOODBYE or a violation has been sent, or ABORT has come: nothing more will be sent.
    Silent,
}

impl Actor {
    pub(super) fn new(number: usize, seed: u64, is_strict: bool, pool: Pool) -> Actor {
        Actor {
            number,
            random: fastrand::Rng::with_seed(seed),
            is_strict,
            pool,
            link: None,
            peer: Peer::silent(),
            session: None,
            phase: Phase::Idle,
            last_request: 0,
            called: Vec::new(),
            streams: Vec::new(),
            closed: None,
        }
    }

    /// Does one random thing.
    pub(super) fn act(&mut self, world: &mut World, oracle: &mut Oracle) {
        match (self.phase, self.session) {
            (Phase::Idle, _) if self.random.bool() => self.connect(world),
            (Phase::Connected, _) => match self.random.u8(..20) {
                0 => self.disconnect(world, oracle),
                1..=12 => self.hello(oracle),
                _ => {}
            },
            (Phase::Joining, _) if self.random.u8(..60) == 0 => self.disconnect(world, oracle),
            (Phase::InSession, Some(session)) => self.act_in_session(session, world, oracle),
            (Phase::Dismissed, _) if self.random.u8(..60) == 0 => self.disconnect(world, oracle),
            (Phase::Silent, _) if self.random.u8(..60) == 0 => self.disconnect(world, oracle),
            _ => {}
        }
        if self.random.u8(..3) > 0 {
            self.flush(world);
        }
    }

    fn act_in_session(&mut self, session: SessionNo, world: &mut World, oracle: &mut Oracle) {
        if oracle.sessions[session].role == Some(GUARD) && self.random.u8(..4) > 0 {
            return self.guard(session, world, oracle);
        }
        if let Some(procedure) = oracle.contested(session)
            && self.random.u8(..3) == 0
        {
            return self.call_to(session, procedure, oracle);
        }
        if oracle.has_authorizer(session) && self.random.u8(..8) == 0 {
            return self.ask_the_same(session, oracle);
        }
        match self.random.u8(..100) {
            0..=11 => self.subscribe(session, oracle),
            12..=16 => self.unsubscribe(session, oracle),
            17..=44 => self.publish(session, oracle),
            46..=53 => self.register(session, oracle),
            54..=57 => self.unregister(session, oracle),
            58..=71 if self.stream(session, oracle) => {}
            58..=71 => self.call(session, oracle),
            72..=73 => self.call_meta(session, oracle),
            45 | 74 => self.meddle(session, oracle),
            75..=77 => self.cancel(session, oracle),
            78..=91 => self.answer_one(session, oracle),
            92..=93 => self.freeze(world),
            94..=95 => self.thaw(world),
            96..=97 => self.goodbye(session, oracle),
            98 => self.disconnect(world, oracle),
            _ => self.violate(session, oracle),
        }
    }

    /// Reads what has come and shows it to the oracle. Returns whether anything has.
    pub(super) fn hear(&mut self, world: &mut World, oracle: &mut Oracle) -> Result<bool, String> {
        let Some(link) = self.link else { return Ok(false) };
        let octets = world.read(link);
        let heard = self.peer.receive(&octets).map_err(|error| format!("client {}: {error}", self.number))?;
        for heard in heard {
            if let Heard::Message(message) = heard {
                self.message(&message, oracle)?;
            }
        }
        if let Some(was_ending) = self.closed.take() {
            if let Some(session) = self.session.take() {
                oracle.judge_close(session, was_ending)?;
                oracle.gone(session, "closed by the router");
            }
            self.reset();
            return Ok(true);
        }
        let answers = self.peer.has_output();
        self.flush(world);
        Ok(answers || !octets.is_empty())
    }

    fn message(&mut self, message: &Value, oracle: &mut Oracle) -> Result<(), String> {
        let Some(session) = self.session else {
            return Err(format!("client {} has no session and received {message}", self.number));
        };
        let is_over = oracle.received(session, message)?;
        if let Some(role) = oracle.sessions[session].role
            && self.phase == Phase::Joining
        {
            match message[0].as_u64() {
                Some(4) => self.peer.send(&json!([5, role, {}])),
                Some(2) => self.phase = Phase::InSession,
                _ => {}
            }
        }
        if is_over {
            self.session = None;
            self.phase = match (&message[0], message[2].as_str()) {
                (code, Some("wamp.close.system_shutdown")) if code == 6 => {
                    if self.random.bool() {
                        self.peer.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
                    }
                    Phase::Dismissed
                }
                (code, Some("wamp.close.killed")) if code == 6 => {
                    if self.random.bool() {
                        self.peer.send(&json!([6, {}, "wamp.close.goodbye_and_out"]));
                    }
                    Phase::Dismissed
                }
                (code, _) if code == 6 => Phase::Connected,
                _ => Phase::Silent,
            };
        }
        Ok(())
    }

    /// Takes note if the router has closed the connection.
    pub(super) fn note_closed(&mut self, world: &World, oracle: &mut Oracle) {
        let Some(link) = self.link else { return };
        if self.closed.is_none() && world.links[link].closed.is_some() {
            let ending = self.session.map(|session| oracle.sessions[session].ending_at.is_some());
            self.closed = Some(ending.unwrap_or(true));
            if let Some(session) = self.session {
                oracle.note(|| format!("s{session}: closed by the router"));
                oracle.ending(session);
            }
        }
    }

    /// Answers every invocation that is open. Returns whether there was one.
    pub(super) fn answer_all(&mut self, world: &mut World, oracle: &mut Oracle) -> bool {
        let mut any = false;
        if let (Phase::InSession, Some(session)) = (self.phase, self.session) {
            let open: Vec<u64> = open_invocations(oracle, session);
            any = !open.is_empty();
            for invocation in open {
                self.answer(session, invocation, oracle);
            }
            for question in open_questions(oracle, session) {
                // Now and then one has no answer.
                if self.random.u8(..20) > 0 {
                    self.answer_question(session, question, oracle);
                    any = true;
                }
            }
        }
        any |= self.link.is_some() && self.peer.has_output();
        self.flush(world);
        any
    }

    /// Nothing of this client may be stuck when nothing moves any more.
    pub(super) fn check_at_rest(&self, world: &World) -> Result<(), String> {
        let Some(link) = self.link else { return Ok(()) };
        if world.is_stuck(link) {
            let what = format!("the input of client {} is not taken: {:?}", self.number, world.links[link]);
            return Err(format!("at rest: {what}"));
        }
        if self.phase == Phase::Silent && self.session.is_none() {
            return Err(format!("at rest: client {} has been aborted and is still connected", self.number));
        }
        Ok(())
    }

    /// Leaves in good order, if that is still possible.
    pub(super) fn depart(&mut self, world: &mut World, oracle: &mut Oracle) {
        match (self.phase, self.session) {
            (Phase::InSession, Some(session)) if self.random.u8(..4) > 0 => self.goodbye(session, oracle),
            _ => self.disconnect(world, oracle),
        }
        self.flush(world);
    }

    /// Closes the connection, in one way or the other.
    pub(super) fn disconnect(&mut self, world: &mut World, oracle: &mut Oracle) {
        let Some(link) = self.link else { return };
        if self.random.bool() {
            let mut octets = self.peer.take_output();
            octets.truncate(self.random.usize(..=octets.len()));
            world.send(link, &octets);
        }
        world.end(link, if self.random.bool() { End::Eof } else { End::Broken });
        world.links[link].credit = None;
        if let Some(session) = self.session.take() {
            oracle.gone(session, "disconnects");
        }
        self.reset();
    }

    /// Reads again.
    pub(super) fn thaw(&mut self, world: &mut World) {
        if let Some(link) = self.link {
            world.links[link].credit = None;
        }
    }

    fn freeze(&mut self, world: &mut World) {
        if let Some(link) = self.link {
            world.links[link].credit = Some(self.random.usize(..40));
        }
    }

    fn connect(&mut self, world: &mut World) {
        let shard = self.random.usize(..world.shards.len());
        let serializer = Serializer::ALL[self.random.usize(..3)];
        self.peer = match self.random.u8(..4) {
            0 => Peer::websocket(serializer, self.random.u64(..)),
            _ => Peer::rawsocket(serializer, LENGTH_MAX),
        };
        self.link = Some(world.connect(shard, 0));
        self.phase = Phase::Connected;
        self.closed = None;
    }

    fn reset(&mut self) {
        self.link = None;
        self.closed = None;
        self.phase = Phase::Idle;
    }

    fn flush(&mut self, world: &mut World) {
        if let Some(link) = self.link
            && self.peer.has_output()
        {
            let octets = self.peer.take_output();
            world.send(link, &octets);
        }
    }

    fn hello(&mut self, oracle: &mut Oracle) {
        let realm = self.pool.realm(&mut self.random);
        let mut roles = json!({"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}});
        let can_cancel = self.random.u8(..4) > 0;
        let model = oracle.model().filter(|_| realm == "realm1");
        let role = model.map(|model| model.role(&mut self.random));
        // (Who answers for the authorizer must know whether it does.)
        let mut can_lose = || role == Some(GUARD) || self.random.u8(..4) > 0;
        let can_lose = (can_lose(), can_lose());
        roles["subscriber"]["features"] = json!({"subscription_revocation": can_lose.0});
        roles["callee"]["features"] = json!({
            "registration_revocation": can_lose.1,
            "call_canceling": can_cancel,
            "progressive_call_invocations": can_cancel,
        });
        let session = oracle.hello(realm, can_cancel, can_lose);
        self.session = Some(session);
        self.called.clear();
        self.streams.clear();
        self.phase = Phase::InSession;
        let mut details = json!({"roles": roles});
        if let Some(role) = role {
            oracle.joins_as(session, role);
            if role != "anonymous" {
                details["authid"] = json!(role);
                details["authmethods"] = json!(["ticket"]);
                self.phase = Phase::Joining;
            }
        }
        self.peer.send(&json!([1, realm, details]));
        self.last_request = 0;
    }

    fn send(&mut self, session: SessionNo, message: &Value, oracle: &mut Oracle) {
        oracle.sent(session, message);
        self.peer.send(message);
    }

    fn request(&mut self) -> u64 {
        if !self.is_strict && self.random.u8(..10) == 0 {
            return self.random.u64(1 << 20..=1 << 53);
        }
        self.last_request += 1;
        self.last_request
    }

    fn subscribe(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let pattern = match self.random.u8(..8) {
            0 => pool::meta_pattern(&mut self.random),
            _ => self.pool.pattern(&mut self.random),
        };
        let (request, Pattern { policy, uri }) = (self.request(), pattern);
        let uri = if self.random.u8(..30) == 0 { pool::bad_uri(&mut self.random) } else { &uri };
        let mut options = json!({"match": policy.name()});
        if self.random.u8(..3) == 0 {
            options["get_retained"] = json!(true);
        }
        if Oracle::is_node(session) {
            options["nkey"] = json!(format!("node{}", session % 5));
        }
        self.send(session, &json!([32, request, options, uri]), oracle);
    }

    fn register(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let (request, Pattern { policy, uri }) = (self.request(), self.pool.pattern(&mut self.random));
        let uri = if self.random.u8(..30) == 0 { pool::bad_uri(&mut self.random) } else { &uri };
        let mut options = json!({"match": policy.name()});
        // Few policies, so that callees meet; each pattern may be held by any of them.
        if let Some(invoke) =
            [None, Some("roundrobin"), Some("roundrobin"), Some("first")][self.random.usize(..4)]
        {
            options["invoke"] = json!(invoke);
        }
        if self.random.u8(..12) == 0 {
            options["force_reregister"] = json!(true);
        }
        if self.random.u8(..4) == 0 {
            options["concurrency"] = json!(self.random.u8(1..3));
        }
        if self.random.u8(..if options["concurrency"].is_null() { 4 } else { 2 }) == 0 {
            options["forward_timeout"] = json!(true);
        }
        self.send(session, &json!([64, request, options, uri]), oracle);
    }

    fn unsubscribe(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let known: Vec<u64> = oracle.sessions[session].memberships.keys().copied().collect();
        let id = self.random.choice(known).filter(|_| self.random.u8(..10) > 0).unwrap_or(1 << 40);
        let request = self.request();
        self.send(session, &json!([34, request, id]), oracle);
    }

    fn unregister(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let known: Vec<u64> = oracle.sessions[session].registrations.keys().copied().collect();
        let id = self.random.choice(known).filter(|_| self.random.u8(..10) > 0).unwrap_or(1 << 40);
        let request = self.request();
        self.send(session, &json!([66, request, id]), oracle);
    }

    fn publish(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let topic = if self.random.u8(..30) == 0 {
            pool::bad_uri(&mut self.random)
        } else {
            self.pool.uri(&mut self.random)
        };
        let mut options = json!({});
        if self.random.bool() {
            options["acknowledge"] = json!(self.random.u8(..4) > 0);
        }
        if self.random.bool() {
            options["exclude_me"] = json!(self.random.bool());
        }
        if self.random.u8(..4) == 0 {
            options["retain"] = json!(true);
        }
        if self.random.u8(..8) == 0 {
            options["rkey"] = json!(self.random.u8(..9).to_string());
        }
        if self.random.u8(..6) == 0 {
            self.restrict(&mut options, oracle);
        }
        let (request, number, padding) = (self.request(), oracle.next_numbers().0, self.padding());
        self.send(session, &json!([16, request, options, topic, [number, padding]]), oracle);
    }

    /// Adds a black- or whitelist.
    fn restrict(&mut self, options: &mut Value, oracle: &Oracle) {
        let known: Vec<_> = oracle.sessions.iter().filter_map(|session| session.identity.clone()).collect();
        let chosen: Vec<_> = known.into_iter().filter(|_| self.random.bool()).collect();
        match self.random.u8(..4) {
            0 => options["exclude"] = chosen.iter().map(|(id, _)| *id).collect(),
            1 => options["eligible"] = chosen.iter().map(|(id, _)| *id).collect(),
            2 => options["exclude_authid"] = chosen.iter().map(|(_, authid)| authid.clone()).collect(),
            _ => options["eligible_authid"] = chosen.iter().map(|(_, authid)| authid.clone()).collect(),
        }
    }

    /// Asks the router itself.
    fn call_meta(&mut self, session: SessionNo, oracle: &mut Oracle) {
        if oracle.has_authorizer(session) && self.random.u8(..20) == 0 {
            return self.purge(session, oracle);
        }
        let request = self.request();
        let other = self.random.usize(..oracle.sessions.len());
        let other = oracle.sessions[other].id.unwrap_or(1);
        let (procedure, arguments) = match self.random.u8(..16) {
            0 => ("wamp.session.kill", json!([other])),
            1..=4 => ("wamp.session.count", json!([])),
            5..=8 => ("wamp.session.self", json!([])),
            9 => ("wamp.session.get", json!([other])),
            10 => ("wamp.subscription.list", json!([])),
            11 => ("wamp.registration.list", json!([])),
            12 => ("wamp.subscription.match", json!([self.pool.uri(&mut self.random)])),
            13 => ("wamp.registration.match", json!([self.pool.uri(&mut self.random)])),
            14 => {
                let number = oracle.sessions[session].wills.len();
                let topic = self.pool.uri(&mut self.random);
                ("wamp.session.add_testament", json!([topic, ["will", session, number], {}]))
            }
            _ => ("wamp.no.such.procedure", json!([])),
        };

        self.send(session, &json!([48, request, {}, procedure, arguments]), oracle);
    }

    fn call(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let bad = self.random.u8(..30) == 0;
        let procedure = if bad { "a..b" } else { self.pool.uri(&mut self.random) };
        self.call_to(session, procedure, oracle);
    }

    fn call_to(&mut self, session: SessionNo, procedure: &str, oracle: &mut Oracle) {
        let (request, number, padding) = (self.request(), oracle.next_numbers().1, self.padding());
        let mut options =
            if self.random.u8(..3) == 0 { json!({"receive_progress": true}) } else { json!({}) };
        self.add_timeout(&mut options);
        if self.random.u8(..6) == 0 {
            options["runmode"] = json!("all");
        }
        self.called.push(request);
        self.send(session, &json!([48, request, options, procedure, [number, padding]]), oracle);
    }

    fn add_timeout(&mut self, options: &mut Value) {
        if self.random.u8(..5) == 0 {
            options["timeout"] = json!(self.random.u8(1..=3 * TIMEOUT_MILLIS_MAX));
        }
    }

    /// Cancels one of the last calls, whether it still waits or not.
    fn cancel(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let newest = self.called.len().saturating_sub(4);
        let Some(&request) = self.called.get(newest + self.random.usize(..4)) else { return };
        let mode = ["skip", "kill", "killnowait"][self.random.usize(..3)];
        self.send(session, &json!([49, request, {"mode": mode}]), oracle);
    }

    /// Answers some invocation; now and then one that has been answered before, which must be ignored.
    fn answer_one(&mut self, session: SessionNo, oracle: &mut Oracle) {
        if let Some(question) = self.random.choice(open_questions(oracle, session)) {
            return self.answer_question(session, question, oracle);
        }
        let mut candidates = open_invocations(oracle, session);
        if self.random.u8(..20) == 0 {
            candidates = oracle.sessions[session].invocations.keys().copied().collect();
        }
        if let Some(invocation) = self.random.choice(candidates) {
            if oracle.is_midway(session, invocation) && self.random.u8(..3) > 0 {
                return;
            }
            self.answer(session, invocation, oracle);
        }
    }

    fn answer(&mut self, session: SessionNo, invocation: u64, oracle: &mut Oracle) {
        let call = oracle.sessions[session].invocations[&invocation].call;
        let yielded = oracle.sessions[session].invocations[&invocation].yielded;
        let arguments = json!([call, self.padding(), session, yielded]);
        let message = match self.random.u8(..10) {
            0 => json!([8, 68, invocation, {}, "com.app.failed", arguments]),
            1..=2 => json!([8, 68, invocation, {}, "wamp.error.unavailable", arguments]),
            3..=4 => json!([70, invocation, {"progress": true}, arguments]),
            _ => json!([70, invocation, {}, arguments]),
        };
        self.send(session, &message, oracle);
        if message[4] == "wamp.error.unavailable" && self.random.u8(..3) == 0 {
            self.take_over(session, invocation, oracle);
        }
    }

    /// Registers by force what an invocation came by.
    fn take_over(&mut self, session: SessionNo, invocation: u64, oracle: &mut Oracle) {
        let Some(Pattern { policy, uri }) = oracle.pattern_served(session, invocation) else { return };
        let invoke = if self.random.bool() { "roundrobin" } else { "first" };
        let options = json!({"match": policy.name(), "invoke": invoke, "force_reregister": true});
        let request = self.request();
        self.send(session, &json!([64, request, options, uri]), oracle);
    }

    fn goodbye(&mut self, session: SessionNo, oracle: &mut Oracle) {
        self.send(session, &json!([6, {}, "wamp.close.close_realm"]), oracle);
        self.phase = Phase::Silent;
    }

    fn violate(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let messages = [
            json!([1, "realm1", {"roles": {"caller": {}}}]),
            json!([2, 1, {}]),
            json!([70, 1_000_000, {}]),
            json!([8, 68, 1_000_000, {}, "com.app.failed"]),
            json!([8, 48, 1, {}, "com.app.failed"]),
            json!([99]),
            json!([]),
            json!([32, 0, {}, "a.b"]),
            json!([16, 1, {}]),
            json!({"not": "a message"}),
        ];
        let choice = self.random.usize(..=messages.len());
        match messages.get(choice) {
            Some(message) => {
                oracle.violates(session, &message.to_string());
                self.peer.send(message);
            }
            None => {
                oracle.violates(session, "octets that are no value");
                let octets = match self.peer.serializer {
                    Serializer::Json => 0x5D,
                    Serializer::MsgPack => 0xC1,
                    Serializer::Cbor => 0xFF,
                };
                self.peer.send_octets(&[octets]);
            }
        }
        self.phase = Phase::Silent;
    }

    fn padding(&mut self) -> String {
        let length = match self.random.u8(..50) {
            0 => self.random.usize(..5000),
            1..=5 => self.random.usize(..600),
            _ => self.random.usize(..8),
        };
        "x".repeat(length)
    }
}

fn open_invocations(oracle: &Oracle, session: SessionNo) -> Vec<u64> {
    let invocations = oracle.sessions[session].invocations.iter();
    invocations.filter(|(_, invocation)| !invocation.is_answered).map(|(id, _)| *id).collect()
}
