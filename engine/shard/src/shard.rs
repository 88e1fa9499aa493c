//! One shard: what it holds, and its turn.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::AHashMap;
use wampline_routing::authorization::{AnswerCache, DecisionMemo};
use wampline_routing::meta::UnixNanos;
use wampline_routing::{CallRef, Calls, Members, RealmId, Replica, SessionRef, ShardId, Stubs};
use wampline_wire::RegistrationId;

use crate::arena::{Arena, FORMS};
use crate::asking::Dispatch;
use crate::authorize::Authorizing;
use crate::config::{Config, Realm};
use crate::connection::{Connection, Deadlines, Link, NEVER, Parked, Tls};
use crate::counters::{Counters, add, set};
use crate::dealer::CallExtra;
use crate::frame::Frame;
use crate::home::Home;
use crate::lane::{Lane, LaneState};
use crate::leave::{Departure, Shutdown};
use crate::outbox::Outbox;
use crate::output::{Block, Recycled};
use crate::random::{Seed, Unguessable};
use crate::realms::Realms;
use crate::session::Session;
use crate::slots::Slots;
use crate::spare::SpareBuffers;
use crate::throttle::Throttle;
use crate::{Action, Batch, ConnKey, Lanes, ListenerId, Now, Output, Peer, ShutdownMode};
use wampline_transports::server::Server;
use wampline_transports::tls::ServerTls;

/// What the shards of a router share: the configuration and the counters.
#[derive(Debug)]
pub struct Shared {
    /// Fixed at start. Its realms and templates have moved to the table of realms.
    pub config: Config,
    pub(crate) realms: Realms,
    /// How many shards there are, at most [`wampline_routing::ShardSet::SHARDS_MAX`].
    pub shards: u16,
    /// One block per shard, written by its shard alone.
    pub counters: Box<[Counters]>,
    /// Connections open now, by listener, over all shards.
    pub(crate) listener_connections: Box<[AtomicUsize]>,
    /// What time it was on the wall when [`Now`] was 0.
    epoch: UnixNanos,
    /// Sources that have failed to authenticate.
    pub(crate) throttle: Throttle,
}

impl Shared {
    /// For a router of `shards` shards.
    pub fn new(mut config: Config, shards: u16) -> Arc<Shared> {
        let (realms, templates) = (std::mem::take(&mut config.realms), std::mem::take(&mut config.templates));
        let realms = Realms::new(realms, templates, config.limits.realms_max);
        let counters = (0..shards).map(|_| Counters::default()).collect();
        let listener_connections = config.listeners.iter().map(|_| AtomicUsize::new(0)).collect();
        let epoch = UnixNanos::default();
        let throttle = Throttle::new(ahash::RandomState::new());
        Arc::new(Shared { config, realms, shards, counters, listener_connections, epoch, throttle })
    }

    /// The same, where wall time is known: `epoch` is what it was when [`Now`] was 0. (Without it the clock of the wall begins
    /// in 1970. Only what people read depends on it; steps of the wall's clock while the router runs are not followed.)
    pub fn with_epoch(config: Config, shards: u16, epoch: UnixNanos) -> Arc<Shared> {
        let mut shared = Shared::new(config, shards);
        if let Some(shared) = Arc::get_mut(&mut shared) {
            shared.epoch = epoch;
        }
        shared
    }

    /// What time it is on the wall.
    pub(crate) fn wall_time(&self, now: Now) -> UnixNanos {
        UnixNanos(self.epoch.0.saturating_add(now.0))
    }

    /// The same in milliseconds.
    pub(crate) fn wall_millis(&self, now: Now) -> u64 {
        self.wall_time(now).0 / 1_000_000
    }

    /// How many realms have been made from templates.
    pub fn realms_made(&self) -> usize {
        self.realms.made_len()
    }

    /// The settings of a realm.
    pub(crate) fn realm(&self, realm: RealmId) -> &Realm {
        self.realms.get(realm)
    }

    /// The home shard of a realm: a hash of its name (FNV-1a, the same in every run).
    pub(crate) fn home(&self, realm: RealmId) -> ShardId {
        let name = self.realm(realm).name.as_bytes();
        let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
        ShardId((hash % u64::from(self.shards)) as u16)
    }
}

/// One shard's core. Not `Send`: build it on the thread that runs it.
///
/// A turn of the driver: [`Shard::batch`] for every batch waiting in the inbound lanes (all of them, before any
/// connection input), [`Shard::octets`] and [`Shard::sent`] for completions, [`Shard::expire`], then
/// [`Shard::end_turn`], then [`Shard::flush_lanes`], then [`Shard::action`] until it gives `None`.
pub struct Shard {
    pub(crate) id: ShardId,
    /// The time of the input that is being dealt with.
    pub(crate) now: Now,
    pub(crate) shared: Arc<Shared>,
    /// For what may be guessed.
    pub(crate) random: fastrand::Rng,
    /// For what nobody may guess.
    pub(crate) unguessable: Unguessable,
    pub(crate) connections: Slots<Connection>,
    pub(crate) sessions: Slots<Session>,
    pub(crate) realms: Vec<RealmState>,
    pub(crate) home: Home,
    pub(crate) calls: Calls<CallExtra>,
    pub(crate) stubs: Stubs,
    /// Calls that wait for a callee of this shard, by its session slot.
    pub(crate) waiting: AHashMap<CallRef, (u32, RegistrationId)>,
    /// When calls of this shard will have taken too long: time, slot, and what tells the call from others in that slot.
    pub(crate) call_timeouts: BinaryHeap<Reverse<(u64, u32, u32)>>,
    pub(crate) timed_calls: usize,
    /// Calls to all callees that wait.
    pub(crate) groups: usize,
    /// How many clients authenticate.
    pub(crate) authenticating: usize,
    /// Calls of the router's own.
    pub(crate) questions: usize,
    /// Questions to authorizers, and who waits for them.
    pub(crate) authorizing: Authorizing,
    /// What the rules of all realms have decided lately.
    pub(crate) decisions: DecisionMemo,
    /// Whether the message that is dealt with has waited.
    pub(crate) dispatch: Dispatch,
    /// Requests to hooks, by their id, with the connection that each is about.
    pub(crate) hook_questions: AHashMap<u64, ConnKey>,
    pub(crate) last_hook_question: u64,
    #[cfg(test)]
    pub(crate) test_answers: Vec<(u32, crate::question::QuestionAnswer)>,
    /// Octets of arguments kept for another callee.
    pub(crate) rerouting_octets: usize,
    pub(crate) arenas: [Arena; FORMS],
    /// Emptied buffers for outboxes to use again.
    pub(crate) spare: SpareBuffers,
    /// Blocks that everybody has sent, for arenas to use again.
    pub(crate) spare_blocks: Vec<Rc<Block>>,
    /// By destination; the own entry stays empty.
    pub(crate) lanes: Vec<Lane>,
    /// Emptied lists of frames for batches to use again.
    pub(crate) spare_batches: Vec<Vec<Frame>>,
    /// Connections that are parked because the lane to a destination is full.
    pub(crate) lane_waiters: Vec<Vec<ConnKey>>,
    /// Seeds the hash tables of sessions, so that a run can be repeated from its seed.
    pub(crate) hasher: ahash::RandomState,
    /// Frames from this shard to itself.
    pub(crate) inbox: VecDeque<Frame>,
    /// Changes applied since the last acknowledgement, by home.
    pub(crate) unacknowledged: Vec<u64>,
    /// How many publications of this shard's sessions were to be retained.
    pub(crate) retained_sent: u64,
    /// By shard: the number of the newest publication to be retained that has come from there.
    pub(crate) retained_seen: Vec<u64>,
    /// How many questions for retained events this shard has asked.
    pub(crate) last_question: u64,
    /// Connections whose parked input may go on.
    pub(crate) resumable: VecDeque<ConnKey>,
    /// Connections with something to send or to close.
    pub(crate) dirty: VecDeque<ConnKey>,
    pub(crate) actions: VecDeque<Action>,
    /// Connections whose TLS handshake waits for its turn.
    pub(crate) tls_waiting: VecDeque<ConnKey>,
    pub(crate) tls_budget: u32,
    /// Sessions that have left and still are in member lists.
    pub(crate) departures: VecDeque<Departure>,
    pub(crate) deadlines: BinaryHeap<Reverse<(u64, u32, u32)>>,
    pub(crate) shutdown: Option<Shutdown>,
    /// Members that publications of this turn have visited.
    pub(crate) visits: usize,
    /// Connections whose input goes on in the next turn.
    pub(crate) postponed: Vec<ConnKey>,
    /// Buffer for decrypted octets.
    pub(crate) plain: Vec<u8>,
}

/// What this shard knows of a realm as every shard does, and its own members.
#[derive(Debug)]
pub(crate) struct RealmState {
    pub(crate) replica: Replica,
    pub(crate) members: Members,
    /// What authorizers have answered.
    pub(crate) answers: AnswerCache,
}

impl RealmState {
    pub(crate) fn new(hasher: &ahash::RandomState, settings: &Realm) -> RealmState {
        RealmState {
            replica: Replica::new(hasher),
            members: Members::new(hasher.clone()),
            answers: AnswerCache::new(settings.limits.authorizer_answers_max),
        }
    }
}

/// How often a turn goes round between input that may go on and requests that it causes.
const ROUNDS_MAX: usize = 64;

impl Shard {
    /// A shard without connections. All its randomness comes from `seed`.
    pub fn new(id: ShardId, shared: Arc<Shared>, seed: impl Into<Seed>, now: Now) -> Shard {
        let shards = shared.shards;
        let mut unguessable = Unguessable::new(&seed.into());
        let mut random = unguessable.quick();
        let hasher =
            ahash::RandomState::with_seeds(random.u64(..), random.u64(..), random.u64(..), random.u64(..));
        Shard {
            id,
            now,
            random,
            unguessable,
            authenticating: 0,
            connections: Slots::new(),
            sessions: Slots::new(),
            realms: shared.realms.iter().map(|realm| RealmState::new(&hasher, realm)).collect(),
            home: Home::new(id, &shared, &hasher),
            calls: Calls::new(id),
            stubs: Stubs::new(shards),
            waiting: AHashMap::with_hasher(hasher.clone()),
            call_timeouts: BinaryHeap::new(),
            timed_calls: 0,
            groups: 0,
            questions: 0,
            authorizing: Authorizing::with_hasher(hasher.clone()),
            decisions: DecisionMemo::default(),
            dispatch: Dispatch::New,
            hook_questions: AHashMap::with_hasher(hasher.clone()),
            last_hook_question: 0,
            #[cfg(test)]
            test_answers: Vec::new(),
            rerouting_octets: 0,
            arenas: Default::default(),
            spare: SpareBuffers::default(),
            spare_blocks: Vec::new(),
            lanes: (0..shards).map(|_| Lane::default()).collect(),
            spare_batches: Vec::new(),
            lane_waiters: (0..shards).map(|_| Vec::new()).collect(),
            hasher,
            inbox: VecDeque::new(),
            unacknowledged: vec![0; shards as usize],
            retained_sent: 0,
            retained_seen: vec![0; shards as usize],
            last_question: 0,
            resumable: VecDeque::new(),
            dirty: VecDeque::new(),
            actions: VecDeque::new(),
            tls_waiting: VecDeque::new(),
            tls_budget: crate::input::TLS_STEPS_PER_TURN,
            departures: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            shutdown: None,
            visits: 0,
            postponed: Vec::new(),
            plain: Vec::new(),
            shared,
        }
    }

    /// A socket was accepted. The driver starts receiving.
    pub fn accept(&mut self, now: Now, listener: ListenerId, peer: Peer) -> ConnKey {
        self.now = now;
        let shared = self.shared.clone();
        let settings = &shared.config.listeners[listener.0 as usize];
        let machine = if settings.channel_binding { ServerTls::with_exporter } else { ServerTls::new };
        let tls = settings.tls.as_ref().map(|config| machine(config.clone()));
        let is_broken = matches!(tls, Some(Err(_)));
        let tls = tls
            .and_then(Result::ok)
            .map(|machine| Box::new(Tls { machine, raw: Vec::new(), waiting: Vec::new(), is_closed: false }));
        let open = shared.listener_connections[listener.0 as usize].fetch_add(1, Ordering::Relaxed);
        let is_refused = settings.connections_max.is_some_and(|most| open >= most);
        let hello_by = self.now.after(shared.config.limits.handshake_timeout);
        let (slot, guard) = self.connections.insert(|_, guard| Connection {
            guard,
            listener,
            session: None,
            form: crate::arena::Form(0),
            peer_bytes_max: 0,
            reads_extensions: true,
            link: Link::Opening,
            close_code: None,
            receiver: None,
            leaving: None,
            authentication: None,
            waits_for: Default::default(),
            is_dirty: false,
            is_paused: false,
            parked: Parked::default(),
            outbox: Outbox::default(),
            server: Some(Box::new(Server::new(settings.transport.clone()))),
            tls,
            cookie: None,
            held: None,
            stash: Vec::new(),
            peer,
            deadlines: Deadlines::hello_by(hello_by),
            past_invocations: 0,
            is_dismissed: false,
            had_session: false,
        });
        add(&self.counters().accepted, 1);
        set(&self.counters().connections, self.connections.len());
        self.arm(slot);
        if is_refused {
            add(&self.counters().refused_connections, 1);
            let connection = &mut self.connections[slot];
            if let Some(server) = connection.server.as_mut() {
                server.refuse_busy(&mut connection.outbox.control);
            }
        }
        if is_broken {
            self.cut(slot, crate::action::Cut::NoTls);
        }
        ConnKey { slot, guard }
    }

    /// Nothing more will be received: end of stream, or an error of the socket (then `broken`: sending is futile too).
    pub fn read_ended(&mut self, now: Now, key: ConnKey, broken: bool) {
        self.now = now;
        if !self.is_live(key) {
            return;
        }
        self.leave_connection(key.slot);
        if broken {
            self.connections[key.slot].link = Link::Cut;
            self.mark_dirty(key.slot);
        } else {
            self.close_link(key.slot, None);
        }
    }

    /// The kernel has taken `octets` more of the connection's output, and not yet all of it.
    pub fn sent(&mut self, now: Now, key: ConnKey, octets: usize) {
        self.now = now;
        if !self.is_live(key) {
            return;
        }
        let stall_by = self.now.after(self.shared.config.limits.write_stall_timeout);
        let connection = &mut self.connections[key.slot];
        connection.outbox.sent(octets);
        connection.deadlines.stall = if connection.outbox.in_flight() > 0 { stall_by } else { NEVER };
        self.relieve(key.slot);
    }

    /// All of an output has been taken, also what [`Shard::sent`] was not told of; its memory may be used again.
    pub fn send_done(&mut self, now: Now, key: ConnKey, output: Output) {
        self.now = now;
        self.recycle(output);
        if !self.is_live(key) {
            return;
        }
        let connection = &mut self.connections[key.slot];
        connection.outbox.sent_all();
        connection.deadlines.stall = NEVER;
        if connection.has_more_to_do() {
            self.mark_dirty(key.slot);
        }
        self.relieve(key.slot);
    }

    /// Reads on from a connection that was not read because too much waited for it, once little does.
    #[inline]
    fn relieve(&mut self, slot: u32) {
        let connection = &self.connections[slot];
        if connection.parked.has(Parked::OUTBOX)
            && connection.outbox.len() <= self.shared.config.limits.outbox_bytes_max / 4
        {
            self.unpark(slot, Parked::OUTBOX);
        }
    }

    /// Keeps the memory of an output that nobody needs any more.
    pub(crate) fn recycle(&mut self, output: Output) {
        for recycled in output.recycle() {
            match recycled {
                Recycled::Buffer(buffer) => self.spare.give(buffer),
                Recycled::Block(block) if self.spare_blocks.len() < SPARE_BLOCKS_MAX => {
                    self.spare_blocks.push(block);
                }
                Recycled::Block(_) => {}
            }
        }
    }

    /// A batch came out of the lane from `from`.
    pub fn batch(&mut self, now: Now, from: ShardId, batch: Batch) {
        self.now = now;
        self.learn_realms();
        let mut frames = batch.frames;
        for frame in frames.drain(..) {
            self.frame(from, frame);
        }
        if self.spare_batches.len() < self.lanes.len() && frames.capacity() <= SPARE_BATCH_FRAMES_MAX {
            self.spare_batches.push(frames);
        }
    }

    /// Ends a turn: work in slices, acknowledgements. Returns whether another turn should follow without parking.
    pub fn end_turn(&mut self, now: Now) -> bool {
        self.now = now;
        self.tls_turn();
        for _ in 0..ROUNDS_MAX {
            self.settle();
            self.depart();
            if self.resumable.is_empty() {
                break;
            }
            for _ in 0..self.resumable.len() {
                let Some(key) = self.resumable.pop_front() else { break };
                if self.is_live(key) {
                    self.resume(key.slot);
                }
            }
        }
        self.settle();
        self.shutdown_turn();
        self.acknowledge();
        for arena in &mut self.arenas {
            arena.restock(&mut self.spare_blocks);
            arena.seal();
        }
        self.visits = 0;
        for key in std::mem::take(&mut self.postponed) {
            if self.is_live(key) {
                self.unpark(key.slot, Parked::TURN);
            }
        }
        set(&self.counters().calls_pending, self.calls.len() - self.questions);
        !self.inbox.is_empty()
            || !self.resumable.is_empty()
            || !self.departures.is_empty()
            || !self.tls_waiting.is_empty()
            || self.home.is_releasing()
    }

    /// Offers what this turn has for other shards to their lanes. Returns whether another turn should follow without parking,
    /// because a lane that was full is clear again.
    pub fn flush_lanes(&mut self, lanes: &mut dyn Lanes) -> bool {
        for n in 0..self.lanes.len() {
            let state = self.lanes[n].flush(ShardId(n as u16), lanes, &mut self.spare_batches);
            if state == LaneState::Full {
                add(&self.counters().lanes_full, 1);
                for slot in self.lanes[n].take_contributors() {
                    self.park_for_lane(n, slot);
                }
            } else {
                self.lanes[n].forget_contributors();
                for key in std::mem::take(&mut self.lane_waiters[n]) {
                    self.unpark_from_lane(ShardId(n as u16), key);
                }
            }
        }
        !self.resumable.is_empty()
    }

    /// Begins an orderly shutdown of this shard's sessions. Calls in flight have half of `grace` to be answered.
    pub fn shutdown(&mut self, now: Now, mode: ShutdownMode, grace: std::time::Duration) {
        self.now = now;
        self.shutdown.get_or_insert(Shutdown::new(self.now, mode, grace));
    }

    /// Whether a shutdown has finished: no connection is left and nothing waits for another shard.
    pub fn is_drained(&self) -> bool {
        self.connections.len() == 0 && self.inbox.is_empty() && self.lanes.iter().all(Lane::is_clear)
    }

    /// This shard's counters.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters[self.id.index()]
    }

    /// What is left when all sessions have gone, for tests: must be empty.
    pub fn residue(&self) -> Vec<String> {
        let mut residue = Vec::new();
        let mut note = |what: &str, n: usize| {
            if n > 0 {
                residue.push(format!("{what}: {n}"));
            }
        };
        note("connections", self.connections.len());
        note("sessions", self.sessions.len());
        note("calls", self.calls.len());
        note("calls to all callees", self.groups);
        note("stubs", self.stubs.len());
        note("calls that wait for a callee", self.waiting.len());
        note("timed calls", self.timed_calls);
        note("questions", self.questions);
        note("questions to authorizers", self.authorizing.len());
        note("clients that authenticate", self.authenticating);
        note("questions to hooks", self.hook_questions.len());
        note("octets kept for another callee", self.rerouting_octets);
        note("departures", self.departures.len());
        for realm in &self.realms {
            let (topics, procedures) = realm.replica.len();
            note("replica topics", topics);
            note("replica procedures", procedures);
            note("replica rings", realm.replica.rings_len());
            note("members", usize::from(!realm.members.is_empty()));
        }
        residue.extend(self.home.residue());
        residue
    }

    pub(crate) fn is_live(&self, key: ConnKey) -> bool {
        self.connections.is_live(key.slot, key.guard)
    }

    pub(crate) fn key(&self, slot: u32) -> ConnKey {
        ConnKey { slot, guard: self.connections[slot].guard }
    }

    pub(crate) fn session_ref(&self, slot: u32) -> SessionRef {
        SessionRef { shard: self.id, slot, guard: self.sessions[slot].guard }
    }

    pub(crate) fn mark_dirty(&mut self, slot: u32) {
        let connection = &mut self.connections[slot];
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push_back(ConnKey { slot, guard: connection.guard });
        }
    }

    /// Sends a frame to a shard, this one included. `from` is the connection whose message caused it.
    pub(crate) fn send(&mut self, to: ShardId, frame: Frame, from: Option<u32>) {
        if to == self.id {
            self.inbox.push_back(frame);
        } else {
            self.lanes[to.index()].push(frame, from);
        }
    }

    fn park_for_lane(&mut self, lane: usize, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let to = ShardId(lane as u16);
        if connection.is_ending() || connection.waits_for.contains(to) {
            return;
        }
        connection.waits_for.insert(to);
        self.lane_waiters[lane].push(ConnKey { slot, guard: connection.guard });
        if !self.connections[slot].parked.has(Parked::LANE) {
            self.park(slot, Parked::LANE);
            add(&self.counters().parked, 1);
        }
    }

    fn unpark_from_lane(&mut self, lane: ShardId, key: ConnKey) {
        if self.is_live(key) {
            let waits_for = &mut self.connections[key.slot].waits_for;
            waits_for.remove(lane);
            if waits_for.is_empty() {
                self.unpark(key.slot, Parked::LANE);
            }
        }
    }
}

/// The longest list of frames that is kept for batches.
const SPARE_BATCH_FRAMES_MAX: usize = 4096;

/// How many blocks are kept for arenas: a shard fills a few per turn.
const SPARE_BLOCKS_MAX: usize = 16;

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("id", &self.id)
            .field("connections", &self.connections.len())
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}
