//! One client that wants to join, and does not always know how.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wampline_wire::Serializer;

use super::Ledger;
use super::attempt::{Attempt, AttemptNo, End};
use crate::peer::{Heard, LENGTH_MAX, Peer};
use crate::world::{self, LinkId, World};

/// What `joe` proves himself by, and everybody else too.
pub(super) const SECRET: &str = "0123456789abcdef";

pub(super) struct Client {
    number: usize,
    random: fastrand::Rng,
    link: Option<LinkId>,
    peer: Peer,
    attempt: Option<AttemptNo>,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection, or one without a session.
    Outside,
    /// HELLO has been sent.
    Waiting,
    /// CHALLENGE has come, with what is to be signed.
    Challenged(String),
    Inside,
    /// GOODBYE has been sent.
    Leaving,
    /// Nothing more will be said.
    Silent,
}

impl Client {
    pub(super) fn new(number: usize, seed: u64) -> Client {
        Client {
            number,
            random: fastrand::Rng::with_seed(seed),
            link: None,
            peer: Peer::silent(),
            attempt: None,
            phase: Phase::Outside,
        }
    }

    /// Does one random thing.
    pub(super) fn act(&mut self, world: &mut World, ledger: &mut Ledger) {
        let Some(link) = self.link else {
            if self.random.bool() {
                self.connect(world);
            }
            return;
        };
        match self.phase.clone() {
            Phase::Outside if self.random.bool() => self.hello(world, ledger),
            Phase::Waiting => match self.random.u8(..120) {
                0 => self.disconnect(world, ledger),
                1 => self.give_up(&json!([3, {}, "wamp.error.canceled"]), world, ledger),
                2 => self.give_up(&json!([32, 1, {}, "a.b"]), world, ledger),
                4..=6 => self.authenticate_twice(world, ledger),
                3 => self.give_up(&json!([1, "realm1", {"roles": {"caller": {}}}]), world, ledger),
                _ => {}
            },
            Phase::Challenged(challenge) => match self.random.u8(..40) {
                0 => self.disconnect(world, ledger),
                1 => self.give_up(&json!([3, {}, "wamp.error.cannot_authenticate"]), world, ledger),
                2 => self.give_up(&json!([6, {}, "wamp.close.close_realm"]), world, ledger),
                3..=20 => self.authenticate(&challenge, world, ledger),
                _ => {}
            },
            Phase::Inside => match self.random.u8(..20) {
                0 => self.disconnect(world, ledger),
                1..=3 => {
                    self.peer.send(&json!([6, {}, "wamp.close.close_realm"]));
                    self.phase = Phase::Leaving;
                }
                _ => {}
            },
            Phase::Silent if self.random.u8(..20) == 0 => self.disconnect(world, ledger),
            _ => {}
        }
        if self.link == Some(link) {
            world.send(link, &self.peer.take_output());
        }
    }

    /// Reads what has come. Returns whether anything has.
    pub(super) fn hear(&mut self, world: &mut World, ledger: &mut Ledger) -> Result<bool, String> {
        let Some(link) = self.link else { return Ok(false) };
        let heard = self.peer.receive(&world.read(link))?;
        let mut any = self.peer.has_output();
        world.send(link, &self.peer.take_output());
        for heard in heard {
            any = true;
            if let Heard::Message(message) = heard {
                let number = self.number;
                ledger.note(world.now, || format!("client {number} < {message}"));
                let verdict = self.message(&message, world.now, ledger);
                verdict.map_err(|what| format!("client {number} has received {message}: {what}"))?;
            }
        }
        if world.links[link].closed.is_some() {
            self.closed(world.now, ledger)?;
            any = true;
        }
        Ok(any)
    }

    pub(super) fn disconnect(&mut self, world: &mut World, ledger: &mut Ledger) {
        let Some(link) = self.link.take() else { return };
        let end = if self.random.bool() { world::End::Eof } else { world::End::Broken };
        world.end(link, end);
        let number = self.number;
        ledger.note(world.now, || format!("client {number} disconnects"));
        if let Some(attempt) = self.attempt.take() {
            ledger.attempts[attempt].is_given_up = true;
            ledger.attempts[attempt].must_end = false;
        }
        self.phase = Phase::Outside;
    }

    fn connect(&mut self, world: &mut World) {
        let shard = self.random.usize(..world.shards.len());
        let serializer = Serializer::ALL[self.random.usize(..3)];
        self.peer = match self.random.u8(..4) {
            0 => Peer::websocket(serializer, self.random.u64(..)),
            _ => Peer::rawsocket(serializer, LENGTH_MAX),
        };
        self.link = Some(world.connect(shard, 0));
        self.phase = Phase::Outside;
    }

    fn hello(&mut self, world: &mut World, ledger: &mut Ledger) {
        let number = ledger.attempts.len();
        let is_static = self.random.u8(..3) == 0;
        let authid = if is_static { "joe".to_owned() } else { format!("d{number}") };
        let method = if self.random.bool() { "ticket" } else { "wampcra" };
        ledger.attempts.push(Attempt {
            method,
            is_static,
            is_right: self.random.u8(..3) > 0,
            authid: authid.clone(),
            hello_at: world.now,
            authenticated_at: None,
            is_challenged: false,
            decision: None,
            is_unsure: false,
            asked: 0,
            passed_on: 0,
            end: None,
            is_given_up: false,
            must_end: false,
        });
        self.attempt = Some(number);
        let (client, methods) = (self.number, json!(["no such method", method]));
        ledger.note(world.now, || format!("client {client} > HELLO {authid} {method}"));
        let details = json!({"roles": {"caller": {}}, "authid": authid, "authmethods": methods});
        self.peer.send(&json!([1, "realm1", details]));
        self.phase = Phase::Waiting;
    }

    fn authenticate(&mut self, challenge: &str, world: &World, ledger: &mut Ledger) {
        let Some(attempt) = self.attempt.map(|attempt| &mut ledger.attempts[attempt]) else { return };
        attempt.authenticated_at = Some(world.now);
        // Of tickets that the router does not know the authenticator thinks what it likes.
        let secret = if attempt.is_right || (attempt.method == "ticket" && !attempt.is_static) {
            SECRET
        } else {
            "fedcba9876543210"
        };
        let signature = match attempt.method {
            "ticket" => secret.to_owned(),
            _ => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                STANDARD.encode(hmac::sign(&key, challenge.as_bytes()))
            }
        };
        if attempt.method == "ticket" && !attempt.is_static {
            attempt.is_right = true;
        }
        let number = self.number;
        ledger.note(world.now, || format!("client {number} > AUTHENTICATE {signature}"));
        self.peer.send(&json!([5, signature, {}]));
        self.phase = Phase::Waiting;
    }

    /// AUTHENTICATE that nobody has asked for.
    fn authenticate_twice(&mut self, world: &World, ledger: &mut Ledger) {
        let Some(attempt) = self.attempt else { return };
        if ledger.attempts[attempt].authenticated_at.is_some() {
            self.give_up(&json!([5, SECRET, {}]), world, ledger);
            ledger.attempts[attempt].must_end = true;
        }
    }

    /// Says something after which nothing good can come.
    fn give_up(&mut self, message: &Value, world: &World, ledger: &mut Ledger) {
        let number = self.number;
        ledger.note(world.now, || format!("client {number} > {message}"));
        if let Some(attempt) = self.attempt {
            ledger.attempts[attempt].is_given_up = true;
        }
        self.peer.send(message);
        self.phase = Phase::Silent;
    }

    fn message(&mut self, message: &Value, now: u64, ledger: &mut Ledger) -> Result<(), String> {
        match (message[0].as_u64(), self.attempt.map(|attempt| &mut ledger.attempts[attempt])) {
            (Some(code), Some(attempt)) if attempt.is_given_up => {
                if code == 3 {
                    self.phase = Phase::Silent;
                    attempt.must_end = false;
                }
                Ok(())
            }
            (Some(4), Some(attempt)) => {
                if attempt.is_challenged || message[1] != attempt.method {
                    return Err(format!("not what it waits for: {attempt:?}"));
                }
                attempt.is_challenged = true;
                let challenge = super::text(&message[2], "challenge").to_owned();
                if self.phase == Phase::Waiting {
                    self.phase = Phase::Challenged(challenge);
                }
                Ok(())
            }
            (Some(2), Some(attempt)) => {
                if self.phase == Phase::Waiting {
                    self.phase = Phase::Inside;
                }
                attempt.welcome(&message[2])
            }
            (Some(3), Some(attempt)) => {
                self.phase = Phase::Silent;
                attempt.abort(super::text_of(&message[2]), now)
            }
            (Some(6), _) => {
                self.attempt = None;
                self.phase = if self.phase == Phase::Leaving { Phase::Outside } else { Phase::Silent };
                Ok(())
            }
            _ => Err("nothing that a client waits for".into()),
        }
    }

    /// The router has closed the connection, and everything has been read.
    fn closed(&mut self, now: u64, ledger: &mut Ledger) -> Result<(), String> {
        let number = self.number;
        ledger.note(now, || format!("client {number} closed"));
        self.link = None;
        let may_turn_away = ledger.may_turn_away || ledger.is_going_down;
        let phase = std::mem::replace(&mut self.phase, Phase::Outside);
        let Some(attempt) = self.attempt.take().map(|attempt| &mut ledger.attempts[attempt]) else {
            return Ok(());
        };
        attempt.must_end = false;
        let is_owed = attempt.end.is_none() && !attempt.is_given_up;
        if is_owed && !may_turn_away {
            return Err(format!("client {number} was closed without a word in {phase:?}: {attempt:?}"));
        }
        if is_owed { attempt.finish(End::Closed) } else { Ok(()) }
    }
}
