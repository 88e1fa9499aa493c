//! The whole router but its sockets, under a random load from a seed, watched by an oracle.
//!
//! A [`Plan`] says everything about a run; the same plan gives the same run. [`run`] lets random clients do random things to
//! shards whose turns, lanes and octets come in random order, lets the world come to rest now and then and asks the
//! oracle whether every obligation has been met.

mod actor;
mod authentication;
mod oracle;
mod pool;
mod roles;
mod shrink;
mod watch;

use std::fmt;
use std::time::Duration;

use wampline_routing::uri::MatchPolicy;
use wampline_shard::{MetaApi, Now, Realm, RealmTemplate, RequestIds, ShutdownMode};

use crate::config;
use crate::world::{LaneBounds, World};
use actor::{Actor, TIMEOUT_MILLIS_MAX};
use oracle::Oracle;
use pool::Pool;
use roles::{AUTHORIZER_TIMEOUT, Model};

pub use shrink::shrink;
pub use watch::watch_panics;

/// Everything about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where all randomness comes from.
    pub seed: u64,
    /// How many shards.
    pub shards: u16,
    /// Batches that a lane holds.
    pub lane_batches: usize,
    /// Random steps, over all phases.
    pub steps: usize,
    /// How many clients.
    pub clients: usize,
    /// Which of them do nothing, as a bit mask.
    pub muted: u64,
}

/// What a run consisted of: evidence that it was not empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Sessions that got WELCOME.
    pub sessions: u64,
    /// EVENTs received.
    pub events: u64,
    /// EVENTs received that were retained.
    pub retained: u64,
    /// Events that the router published of its own accord.
    pub meta_events: u64,
    /// Testaments received.
    pub wills: u64,
    /// Calls answered.
    pub answers: u64,
    /// Questions that an authorizer was asked.
    pub questions: u64,
    /// Requests that were done because an authorizer permits them.
    pub permitted: u64,
    /// Requests that were refused for want of a permission.
    pub refused: u64,
    /// Of those, the ones whose authorizer had failed.
    pub unauthorized: u64,
    /// Calls that came to their callee by way of another one, which was about to begin or to end.
    pub crossings: u64,
    /// Chunks of calls received by their callees.
    pub chunks: u64,
    /// Calls to all callees whose answers came in a list.
    pub groups: u64,
    /// Invocations that say how long they may take.
    pub forwarded: u64,
    /// Calls that took too long.
    pub timeouts: u64,
    /// Subscriptions and registrations that were taken from their sessions.
    pub losses: u64,
    /// Connections cut by the router for a full outbox.
    pub cuts: u64,
    /// Times that a lane was full.
    pub lanes_full: u64,
    /// Realms made from a template.
    pub realms_made: u64,
    /// Clients that authenticated and got WELCOME.
    pub admitted: u64,
    /// Those that got ABORT.
    pub denied: u64,
}

/// What broke.
#[derive(Debug)]
pub struct Failure {
    /// The promise that was not kept, or what happened instead.
    pub what: String,
    /// What each client sent and received, in order, if it was asked for.
    pub log: Vec<String>,
}

impl Plan {
    /// The plan of a seed: shards, lanes and sizes follow from it.
    pub fn of_seed(seed: u64) -> Plan {
        Plan::with_shards(seed, [1, 2, 3, 8][(seed % 4) as usize])
    }

    /// The plan of a seed for this many shards.
    pub fn with_shards(seed: u64, shards: u16) -> Plan {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5EED);
        Plan {
            seed,
            shards,
            lane_batches: [1, 2, 64][random.usize(..3)],
            steps: 200 + random.usize(..400),
            clients: 2 + random.usize(..9),
            muted: 0,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, shards, lane_batches, steps, clients, muted } = self;
        write!(
            f,
            "--seed {seed} --shards {shards} --lane-batches {lane_batches} --steps {steps} --clients {clients} --muted {muted}"
        )
    }
}

impl Summary {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Summary) {
        self.sessions += other.sessions;
        self.events += other.events;
        self.retained += other.retained;
        self.meta_events += other.meta_events;
        self.wills += other.wills;
        self.answers += other.answers;
        self.questions += other.questions;
        self.permitted += other.permitted;
        self.refused += other.refused;
        self.unauthorized += other.unauthorized;
        self.crossings += other.crossings;
        self.chunks += other.chunks;
        self.groups += other.groups;
        self.forwarded += other.forwarded;
        self.timeouts += other.timeouts;
        self.losses += other.losses;
        self.cuts += other.cuts;
        self.lanes_full += other.lanes_full;
        self.realms_made += other.realms_made;
        self.admitted += other.admitted;
        self.denied += other.denied;
    }
}

/// Runs a plan. With `log` a failure comes with the log of all messages.
///
/// # Errors
/// The first promise that is not kept.
pub fn run(plan: &Plan, log: bool) -> Result<Summary, Box<Failure>> {
    let _watched = watch::running(plan);
    let mut simulation = Simulation::new(plan, log);
    if let Err(what) = simulation.run(plan) {
        return Err(Box::new(Failure { what, log: simulation.oracle.take_log() }));
    }
    let mut summary = simulation.summary();
    if plan.seed.is_multiple_of(AUTHENTICATION_EVERY) {
        summary.add(&run_authentication(plan, log)?);
    }
    Ok(summary)
}

/// Runs a plan's clients against authenticators alone.
///
/// # Errors
/// The first promise that is not kept.
pub fn run_authentication(plan: &Plan, log: bool) -> Result<Summary, Box<Failure>> {
    let _watched = watch::running(plan);
    authentication::run(plan, log)
}

/// Of so many seeds one has a run with clients that authenticate as well.
const AUTHENTICATION_EVERY: u64 = 3;

/// Phases of a run, each ending at rest.
const PHASES: usize = 2;

/// How long a shutdown may take.
const GRACE: Duration = Duration::from_secs(4);

/// The longest that the clock moves in one step, in nanoseconds: no deadline comes up by chance.
const TICK_NANOS_MAX: u64 = 200_000;

struct Simulation {
    world: World,
    actors: Vec<Actor>,
    oracle: Oracle,
    random: fastrand::Rng,
}

impl Simulation {
    fn new(plan: &Plan, log: bool) -> Simulation {
        let mut random = fastrand::Rng::with_seed(plan.seed);
        let mut config = config::config();
        let is_tight = random.u8(..4) == 0;
        if is_tight {
            config.limits.outbox_bytes_max = 1024 << random.u32(..5);
        }
        config.realms.iter_mut().for_each(|realm| realm.meta = MetaApi::Full);
        let is_strict = random.u8(..3) == 0;
        if is_strict {
            config.realms.iter_mut().for_each(|realm| realm.request_ids = RequestIds::Strict);
        }
        let mut span = || {
            let is_set = random.u8(..6) == 0;
            is_set.then(|| Duration::from_millis(random.u64(1..=u64::from(TIMEOUT_MILLIS_MAX))))
        };
        let (default, limit) = (span(), span());
        for realm in &mut config.realms {
            (realm.call_timeout, realm.call_timeout_max) = (default, limit);
        }
        let pool = Pool::new(&mut random);
        if pool.makes_realms {
            let settings = Realm { name: "realm".into(), ..config.realms[0].clone() };
            config.templates.push(RealmTemplate { policy: MatchPolicy::Prefix, settings });
            config.realms.clear();
        }
        let octets = if random.bool() { 4 << 20 } else { 2048 };
        let bounds = LaneBounds { batches: plan.lane_batches, octets };
        // Realms that are made would all have the roles of the one.
        let has_roles = random.u8(..2) == 0 && !pool.makes_realms;
        let model = has_roles.then(|| Model::new(&mut random, pool));
        if let Some(model) = &model {
            model.configure(&mut config);
        }
        let world = World::new(config, plan.shards, bounds, random.u64(..));
        let actors = (0..plan.clients).map(|n| Actor::new(n, random.u64(..), is_strict, pool)).collect();
        let mut oracle = Oracle::new(is_tight, model, log);
        oracle.limit_calls(default.map(nanos), limit.map(nanos));
        Simulation { world, actors, oracle, random }
    }

    fn run(&mut self, plan: &Plan) -> Result<(), String> {
        for _ in 0..PHASES {
            for _ in 0..plan.steps / PHASES {
                self.step(plan)?;
            }
            self.rest()?;
            self.oracle.check_at_rest()?;
        }
        match self.random.u8(..6) {
            0 => self.shut_down(plan, ShutdownMode::Goodbye),
            1 => self.shut_down(plan, ShutdownMode::Restart),
            _ => self.everybody_leaves(),
        }
    }

    fn step(&mut self, plan: &Plan) -> Result<(), String> {
        self.world.now += self.random.u64(..TICK_NANOS_MAX);
        self.oracle.now = self.world.now;
        let shard = self.random.usize(..self.world.shards.len());
        self.world.chaotic_turn(shard);
        self.note_closed();
        for _ in 0..2 {
            let n = self.random.usize(..self.actors.len());
            if plan.muted >> n & 1 == 0 {
                self.actors[n].hear(&mut self.world, &mut self.oracle)?;
                self.actors[n].act(&mut self.world, &mut self.oracle);
            }
        }
        Ok(())
    }

    /// Lets everything that is under way arrive, clients read and callees answer, until nothing happens any more.
    fn rest(&mut self) -> Result<(), String> {
        // Now and then time passes in which some calls take too long.
        let longest = if self.random.bool() { 4 } else { 2 * u64::from(TIMEOUT_MILLIS_MAX) };
        let pause = Duration::from_millis(self.random.u64(1..=longest));
        let mut time_has_passed = self.random.bool().then_some(false);
        loop {
            // Part of the way in disorder, so that orderly turns do not hide what disorder does.
            for _ in 0..self.random.usize(..4 * self.world.shards.len()) {
                let shard = self.random.usize(..self.world.shards.len());
                self.world.chaotic_turn(shard);
                self.note_closed();
            }
            for actor in &mut self.actors {
                actor.thaw(&mut self.world);
            }
            self.world.settle()?;
            self.note_closed();
            self.check_stubs()?;
            let mut moved = false;
            for actor in &mut self.actors {
                moved |= actor.hear(&mut self.world, &mut self.oracle)?;
            }
            if moved {
                continue; // Who has much to read is not listened to.
            }
            // What waits for a permission is not on its way yet, and its time has not begun.
            let is_known = !self.is_asking();
            if is_known {
                self.oracle.check_chunks()?;
            }
            if time_has_passed == Some(false) && is_known {
                self.oracle.pauses(nanos(pause));
                self.world.advance(pause)?;
                time_has_passed = Some(true);
                continue;
            }
            if time_has_passed.take() == Some(true) {
                self.oracle.check_timed(nanos(pause))?;
            }
            for actor in &mut self.actors {
                moved |= actor.finish_streams(&mut self.world, &mut self.oracle);
                moved |= actor.answer_all(&mut self.world, &mut self.oracle);
            }
            if !moved && !self.is_asking() {
                break;
            }
            if !moved {
                // Whoever does not answer at all is given up, and who cannot be asked because it waits for its caller.
                self.world.advance(AUTHORIZER_TIMEOUT)?;
                self.oracle.now = self.world.now;
                self.oracle.give_up_questions();
            }
        }
        for actor in &self.actors {
            actor.check_at_rest(&self.world)?;
        }
        Ok(())
    }

    /// Whether something waits for an authorizer, also for one that has not been invoked because it is busy.
    fn is_asking(&self) -> bool {
        self.oracle.has_questions() || self.residue("questions to authorizers: ") > 0
    }

    /// How much of something all shards have.
    fn residue(&self, what: &str) -> u64 {
        let lines = self.world.shards.iter().flat_map(|shard| shard.residue());
        lines.filter_map(|line| line.strip_prefix(what)?.parse::<u64>().ok()).sum()
    }

    /// What a callee's shard remembers of a call goes with the call, also when nobody answers it.
    fn check_stubs(&self) -> Result<(), String> {
        let count = |what: &str| self.residue(what);
        // (A call to all callees waits itself and for each of them.)
        let calls = count("calls: ") - count("calls to all callees: ");
        let stubs = count("stubs: ") + count("calls that wait for a callee: ");
        if calls != stubs {
            return Err(format!("at rest: {calls} calls wait, and {stubs} are remembered for their callees"));
        }
        Ok(())
    }

    fn everybody_leaves(&mut self) -> Result<(), String> {
        for actor in &mut self.actors {
            actor.depart(&mut self.world, &mut self.oracle);
        }
        self.rest()?;
        self.oracle.check_at_rest()?;
        for actor in &mut self.actors {
            actor.disconnect(&mut self.world, &mut self.oracle);
        }
        self.rest()?;
        self.check_nothing_left()
    }

    /// The router goes down in the middle of things, shard after shard.
    fn shut_down(&mut self, plan: &Plan, mode: ShutdownMode) -> Result<(), String> {
        for _ in 0..self.random.usize(..60) {
            self.step(plan)?;
        }
        self.oracle.going_down(mode == ShutdownMode::Goodbye);
        for shard in 0..self.world.shards.len() {
            self.world.shards[shard].shutdown(Now(self.world.now), mode, GRACE);
            for _ in 0..self.random.usize(..20) {
                self.step(plan)?;
            }
        }
        if self.random.bool() {
            self.rest()?;
        }
        // Until the time for calls is up; then until those are given up that do not close.
        for _ in 0..2 {
            self.world.advance(GRACE)?;
            self.rest()?;
        }
        self.check_nothing_left()?;
        match self.world.shards.iter().position(|shard| !shard.is_drained()) {
            Some(shard) => Err(format!("shard {shard} has been shut down and is not drained")),
            None => Ok(()),
        }
    }

    fn check_nothing_left(&mut self) -> Result<(), String> {
        // Peers that neither close nor read are given up after this.
        self.world.advance(Duration::from_secs(30))?;
        self.note_closed();
        for (id, shard) in self.world.shards.iter().enumerate() {
            let residue = shard.residue();
            if !residue.is_empty() {
                return Err(format!("residue on shard {id}: {residue:?}"));
            }
        }
        Ok(())
    }

    fn note_closed(&mut self) {
        self.oracle.set_time(self.world.now);
        for actor in &mut self.actors {
            actor.note_closed(&self.world, &mut self.oracle);
        }
    }

    fn summary(&self) -> Summary {
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        let counters = || self.world.shared.counters.iter();
        Summary {
            cuts: counters().map(|c| c.cut_outbox_full.load(relaxed)).sum(),
            lanes_full: counters().map(|c| c.lanes_full.load(relaxed)).sum(),
            realms_made: self.world.shared.realms_made() as u64,
            ..self.oracle.summary
        }
    }
}

fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}
