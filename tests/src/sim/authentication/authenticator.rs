//! One authenticator, which is slow, or fails, or leaves, or does what it is there for.

use serde_json::{Value, json};
use wampline_wire::Serializer;

use super::attempt::{AttemptNo, Decision};
use super::client::SECRET;
use super::{Ledger, Open, attempt_of};
use crate::peer::{Heard, LENGTH_MAX, Peer};
use crate::world::{self, LinkId, World};

/// What authenticators are asked by.
pub(super) const PROCEDURE: &str = "office.check";

pub(super) struct Authenticator {
    number: usize,
    random: fastrand::Rng,
    link: Option<LinkId>,
    peer: Peer,
    is_open: bool,
    /// Its registration, if it has one.
    registration: Option<u64>,
    requests: u64,
    /// What it has been asked and not answered, by INVOCATION.Request.
    open: Open,
    /// What it has answered.
    answered: Vec<AttemptNo>,
}

impl Authenticator {
    pub(super) fn new(number: usize, seed: u64) -> Authenticator {
        Authenticator {
            number,
            random: fastrand::Rng::with_seed(seed),
            link: None,
            peer: Peer::silent(),
            is_open: false,
            registration: None,
            requests: 0,
            open: Open::new(),
            answered: Vec::new(),
        }
    }

    /// Does one random thing.
    pub(super) fn act(&mut self, world: &mut World, ledger: &mut Ledger) {
        let Some(link) = self.link else { return self.connect(world) };
        match self.random.u8(..60) {
            0 => return self.disconnect(world, ledger),
            1 => {
                if let Some(registration) = self.registration.take() {
                    self.request(|request| json!([66, request, registration]));
                }
            }
            2..=20 if self.is_open && self.registration.is_none() => {
                let mut options = json!({"invoke": "roundrobin"});
                if self.random.u8(..3) == 0 {
                    options["concurrency"] = json!(self.random.u8(1..3));
                }
                self.request(|request| json!([64, request, options, PROCEDURE]));
            }
            21..=45 => self.answer_one(world.now, ledger),
            _ => {}
        }
        world.send(link, &self.peer.take_output());
    }

    /// Reads what has come. Returns whether anything has.
    pub(super) fn hear(&mut self, world: &mut World, ledger: &mut Ledger) -> Result<bool, String> {
        let Some(link) = self.link else { return Ok(false) };
        let mut any = false;
        for heard in self.peer.receive(&world.read(link))? {
            any = true;
            let Heard::Message(message) = heard else { continue };
            let number = self.number;
            ledger.note(world.now, || format!("authenticator {number} < {message}"));
            let verdict = self.message(&message, ledger);
            verdict.map_err(|what| format!("authenticator {number} has received {message}: {what}"))?;
        }
        if world.links[link].closed.is_some() {
            self.link = None;
        }
        Ok(any)
    }

    pub(super) fn disconnect(&mut self, world: &mut World, ledger: &mut Ledger) {
        let Some(link) = self.link.take() else { return };
        for attempt in self.answered.drain(..) {
            ledger.attempts[attempt].is_unsure = true;
        }
        let end = if self.random.bool() { world::End::Eof } else { world::End::Broken };
        world.end(link, end);
    }

    fn connect(&mut self, world: &mut World) {
        let shard = self.random.usize(..world.shards.len());
        self.peer = Peer::rawsocket(Serializer::ALL[self.random.usize(..3)], LENGTH_MAX);
        self.link = Some(world.connect(shard, 0));
        (self.is_open, self.registration, self.requests) = (false, None, 0);
        self.open.clear();
        let mut callee = json!({});
        if self.random.bool() {
            callee = json!({"features": {"call_canceling": true}});
        }
        self.peer.send(&json!([1, "realm2", {"roles": {"callee": callee}}]));
    }

    fn request(&mut self, message: impl FnOnce(u64) -> Value) {
        self.requests += 1;
        let message = message(self.requests);
        self.peer.send(&message);
    }

    fn message(&mut self, message: &Value, ledger: &mut Ledger) -> Result<(), String> {
        match message[0].as_u64() {
            Some(2) => self.is_open = true,
            Some(65) => self.registration = message[2].as_u64(),
            Some(67 | 6 | 8) => {}
            Some(69) => {
                self.open.remove(&message[1].as_u64().unwrap_or_default());
            }
            Some(68) => {
                let arguments = &message[4];
                let authid = arguments[1].as_str().ok_or("no authid")?;
                let attempt = attempt_of(authid).ok_or("nobody that authenticators know")?;
                if arguments[0] != "realm1"
                    || !message[3].as_object().is_none_or(|details| details.is_empty())
                {
                    return Err("another realm, or a caller".into());
                }
                let entry = &mut ledger.attempts[attempt];
                if super::text(&arguments[2], "authmethod") != entry.method {
                    return Err(format!("another method: {entry:?}"));
                }
                entry.asked()?;
                self.open.insert(message[1].as_u64().ok_or("no request")?, attempt);
            }
            _ => return Err("nothing that an authenticator waits for".into()),
        }
        Ok(())
    }

    fn answer_one(&mut self, now: u64, ledger: &mut Ledger) {
        let Some((request, number)) =
            self.random.choice(&self.open).map(|(request, number)| (*request, *number))
        else {
            return;
        };
        self.open.remove(&request);
        let attempt = &mut ledger.attempts[number];
        let accepted = match attempt.method {
            "ticket" => json!("guest"),
            _ => json!({"role": "guest", "secret": SECRET}),
        };
        let error = |error: &str| json!([8, 68, request, {}, error]);
        let (decision, message) = match self.random.u8(..12) {
            0 => (Some(Decision::Refuse), error("com.office.no")),
            1 => (Some(Decision::Refuse), json!([70, request, {}, [null]])),
            2 => (Some(Decision::Fail), json!([70, request, {}, [7]])),
            3 => (Some(Decision::Fail), error("wamp.error.runtime_error")),
            4 | 5 => (None, error("wamp.error.unavailable")),
            _ => (Some(Decision::Accept), json!([70, request, {}, [accepted]])),
        };
        self.answered.push(number);
        match decision {
            Some(decision) => attempt.decision = Some((decision, now)),
            None => attempt.passed_on += 1,
        }
        ledger.note(now, || format!("authenticator > {message} (d{number})"));
        self.peer.send(&message);
    }
}
