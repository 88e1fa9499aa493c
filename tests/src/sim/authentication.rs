//! Sessions that authenticate, in a run of their own: clients that prove who they are, or do not, or give up; authenticators that
//! are slow, that fail, and that vanish in the middle of a question.
//!
//! `realm1` admits `joe` by what the router knows, and everybody else by what `office.check` says, a procedure that
//! authenticators of `realm2` share. Two bystanders in `realm3` call each other all the while: nobody else's troubles may hold
//! them up. What clients are owed, `attempt.rs` knows.

mod attempt;
mod authenticator;
mod client;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wampline_auth::{
    CraSecret, DecoySecret, Grant, Method, PrincipalStore, Principals, ProcedureSource, RealmAuthentication,
    Source, Ticket,
};
use wampline_shard::{Config, Now, Realm, ShutdownMode};

use super::{Failure, Plan, Summary};
use crate::config;
use crate::peer::{Heard, LENGTH_MAX, Peer};
use crate::world::{LaneBounds, LinkId, World};
use attempt::{Attempt, AttemptNo};
use authenticator::Authenticator;
use client::Client;

/// From HELLO to the end of an attempt.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What is held is held for multiples of this.
const GRID: Duration = Duration::from_millis(100);

/// How long a peer may take to read its last message.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest that the clock moves in most steps, in nanoseconds.
const TICK_NANOS_MAX: u64 = 200_000;

/// What everybody shares.
struct Ledger {
    attempts: Vec<Attempt>,
    /// Clients are turned away without a word now and then: few may authenticate, or sources are blocked.
    may_turn_away: bool,
    is_going_down: bool,
    log: Option<Vec<String>>,
}

impl Ledger {
    fn note(&mut self, now: u64, text: impl FnOnce() -> String) {
        if let Some(log) = self.log.as_mut() {
            log.push(format!("{:9.3} ms {}", now as f64 / 1e6, text()));
        }
    }
}

struct Simulation {
    world: World,
    ledger: Ledger,
    clients: Vec<Client>,
    authenticators: Vec<Authenticator>,
    bystanders: Vec<Bystander>,
    random: fastrand::Rng,
}

/// Runs a plan's clients against authenticators.
pub(super) fn run(plan: &Plan, log: bool) -> Result<Summary, Box<Failure>> {
    let mut simulation = Simulation::new(plan, log);
    match simulation.run(plan) {
        Ok(()) => Ok(simulation.summary()),
        Err(what) => Err(Box::new(Failure {
            what: format!("authentication: {what}"),
            log: simulation.ledger.log.take().unwrap_or_default(),
        })),
    }
}

fn configuration(random: &mut fastrand::Rng) -> Config {
    let mut config = config::config();
    let user = || Grant::role("user").expect("a role");
    let mut principals = Principals::default();
    let ticket = Ticket::raw(client::SECRET).expect("a ticket");
    let added = principals.add_ticket("joe", ticket, user());
    added.expect("the first of its name");
    let secret = CraSecret::unsalted(client::SECRET).expect("a secret");
    principals.add_wampcra("joe", secret, user()).expect("the first of its name");
    let store = Arc::new(PrincipalStore::new(principals));
    let source = ProcedureSource { realm: Some("realm2".into()), procedure: authenticator::PROCEDURE.into() };
    let source = Arc::new(source);
    let mut realm = RealmAuthentication::new(DecoySecret::new([7; 32]));
    for method in [Method::Ticket, Method::WampCra] {
        for source in [Source::Principals(store.clone()), Source::Procedure(source.clone())] {
            realm.add_source(method, source).expect("the method takes such sources");
        }
    }
    config.realms[0].authentication = Arc::new(realm);
    config.realms.push(Realm::new("realm3"));
    config.limits.authentication_timeout = TIMEOUT;
    config.limits.authentication_grid = GRID;
    config.limits.throttle.failures_max = 0;
    // Steps in which the clock jumps must not end what is about to happen: a HELLO, or the reading of an ABORT.
    config.limits.close_timeout = PATIENCE;
    (config.limits.handshake_timeout, config.limits.rejoin_timeout) = (100 * PATIENCE, 100 * PATIENCE);
    match random.u8(..6) {
        0 => config.limits.authenticating_max = 1 + random.usize(..4),
        1 => config.limits.throttle.failures_max = 2,
        2 => config.limits.questions_per_shard_max = random.usize(..2),
        _ => {}
    }
    config
}

impl Simulation {
    fn new(plan: &Plan, log: bool) -> Simulation {
        let mut random = fastrand::Rng::with_seed(plan.seed ^ 0xA07E);
        let config = configuration(&mut random);
        let limits = &config.limits;
        let may_turn_away = limits.authenticating_max < 100 || limits.throttle.failures_max > 0;
        let bounds = LaneBounds { batches: plan.lane_batches, octets: 4 << 20 };
        let world = World::new(config, plan.shards, bounds, random.u64(..));
        let clients = (0..plan.clients).map(|n| Client::new(n, random.u64(..))).collect();
        let count = 1 + random.usize(..3);
        let authenticators = (0..count).map(|n| Authenticator::new(n, random.u64(..))).collect();
        let ledger =
            Ledger { attempts: Vec::new(), may_turn_away, is_going_down: false, log: log.then(Vec::new) };
        Simulation { world, ledger, clients, authenticators, bystanders: Vec::new(), random }
    }

    fn run(&mut self, plan: &Plan) -> Result<(), String> {
        self.seat_bystanders()?;
        for phase in 0..4 {
            for _ in 0..plan.steps / 4 {
                self.step(plan)?;
            }
            self.rest()?;
            if phase % 2 == 1 {
                self.world.advance(TIMEOUT + GRID)?;
                self.rest()?;
                for attempt in &self.ledger.attempts {
                    attempt.check_after_all(self.world.now)?;
                }
            }
        }
        if self.random.u8(..4) == 0 {
            self.shut_down()?;
        }
        for client in &mut self.clients {
            client.disconnect(&mut self.world, &mut self.ledger);
        }
        for authenticator in &mut self.authenticators {
            authenticator.disconnect(&mut self.world, &mut self.ledger);
        }
        for bystander in &self.bystanders {
            self.world.end(bystander.link, crate::world::End::Broken);
        }
        self.world.advance(2 * PATIENCE)?;
        for (id, shard) in self.world.shards.iter().enumerate() {
            let residue = shard.residue();
            if !residue.is_empty() {
                return Err(format!("residue on shard {id}: {residue:?}"));
            }
        }
        Ok(())
    }

    fn step(&mut self, plan: &Plan) -> Result<(), String> {
        self.world.now += match self.random.u8(..60) {
            0 => self.random.u64(..TIMEOUT.as_nanos() as u64),
            1..=3 => self.random.u64(..2 * GRID.as_nanos() as u64),
            _ => self.random.u64(..TICK_NANOS_MAX),
        };
        let shard = self.random.usize(..self.world.shards.len());
        self.world.chaotic_turn(shard);
        let n = self.random.usize(..self.clients.len());
        if plan.muted >> n & 1 == 0 {
            self.clients[n].hear(&mut self.world, &mut self.ledger)?;
            self.clients[n].act(&mut self.world, &mut self.ledger);
        }
        let n = self.random.usize(..self.authenticators.len());
        self.authenticators[n].hear(&mut self.world, &mut self.ledger)?;
        self.authenticators[n].act(&mut self.world, &mut self.ledger);
        if self.random.u8(..8) == 0 {
            self.bystanders[0].call(&mut self.world);
        }
        self.bystanders_go_on().map(|_| ())
    }

    /// Lets everything arrive while time stands still, and looks at what is owed.
    fn rest(&mut self) -> Result<(), String> {
        self.bystanders[0].call(&mut self.world);
        loop {
            self.world.settle()?;
            let mut moved = false;
            for client in &mut self.clients {
                moved |= client.hear(&mut self.world, &mut self.ledger)?;
            }
            for authenticator in &mut self.authenticators {
                moved |= authenticator.hear(&mut self.world, &mut self.ledger)?;
            }
            moved |= self.bystanders_go_on()?;
            if !moved {
                break;
            }
        }
        if self.bystanders[0].waits > 0 {
            return Err(format!("at rest: {} calls of a bystander wait", self.bystanders[0].waits));
        }
        for attempt in &self.ledger.attempts {
            attempt.check_at_rest(self.world.now)?;
        }
        Ok(())
    }

    fn shut_down(&mut self) -> Result<(), String> {
        self.ledger.is_going_down = true;
        let grace = Duration::from_secs(4);
        for shard in &mut self.world.shards {
            shard.shutdown(Now(self.world.now), ShutdownMode::Goodbye, grace);
        }
        for _ in 0..3 {
            self.world.advance(PATIENCE)?;
            for client in &mut self.clients {
                client.hear(&mut self.world, &mut self.ledger)?;
            }
        }
        match self.world.shards.iter().position(|shard| !shard.is_drained()) {
            Some(shard) => Err(format!("shard {shard} has been shut down and is not drained")),
            None => Ok(()),
        }
    }

    fn seat_bystanders(&mut self) -> Result<(), String> {
        for n in 0..2 {
            let shard = self.random.usize(..self.world.shards.len());
            let mut bystander = Bystander::new(&mut self.world, shard);
            if n == 1 {
                bystander.peer.send(&json!([64, 1, {}, "office.time"]));
            }
            self.bystanders.push(bystander);
        }
        for _ in 0..3 {
            self.bystanders_go_on()?;
            self.world.settle()?;
        }
        Ok(())
    }

    fn bystanders_go_on(&mut self) -> Result<bool, String> {
        let mut moved = false;
        for bystander in &mut self.bystanders {
            moved |= bystander.go_on(&mut self.world)?;
        }
        Ok(moved)
    }

    fn summary(&self) -> Summary {
        let count =
            |end| self.ledger.attempts.iter().filter(|attempt| attempt.end == Some(end)).count() as u64;
        Summary {
            admitted: count(attempt::End::Welcome),
            denied: count(attempt::End::Abort),
            ..Summary::default()
        }
    }
}

/// Somebody in another realm who calls, or is called.
struct Bystander {
    peer: Peer,
    link: LinkId,
    calls: u64,
    waits: u64,
}

impl Bystander {
    fn new(world: &mut World, shard: usize) -> Bystander {
        let mut peer = Peer::rawsocket(wampline_wire::Serializer::Json, LENGTH_MAX);
        peer.send(&json!([1, "realm3", {"roles": {"caller": {}, "callee": {}}}]));
        Bystander { peer, link: world.connect(shard, 0), calls: 0, waits: 0 }
    }

    fn call(&mut self, world: &mut World) {
        self.calls += 1;
        self.waits += 1;
        self.peer.send(&json!([48, self.calls, {}, "office.time"]));
        world.send(self.link, &self.peer.take_output());
    }

    /// Reads and answers. Returns whether anything has come.
    fn go_on(&mut self, world: &mut World) -> Result<bool, String> {
        let mut any = false;
        for heard in self.peer.receive(&world.read(self.link))? {
            any = true;
            let Heard::Message(message) = heard else { continue };
            match message[0].as_u64() {
                Some(2 | 65 | 6) => {}
                Some(68) => self.peer.send(&json!([70, message[1], {}])),
                Some(50) => self.waits -= 1,
                _ => return Err(format!("a bystander has received {message}")),
            }
        }
        world.send(self.link, &self.peer.take_output());
        Ok(any)
    }
}

/// The text of a field of a dict.
fn text<'a>(message: &'a Value, key: &str) -> &'a str {
    message[key].as_str().unwrap_or_default()
}

/// A text, or an empty one.
fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Attempts by the authid that they use, where that is theirs alone.
fn attempt_of(authid: &str) -> Option<AttemptNo> {
    authid.strip_prefix('d')?.parse().ok()
}

type Open = BTreeMap<u64, AttemptNo>;
