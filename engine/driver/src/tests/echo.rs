//! A core that echoes, so that the driver can be tested without the engine.

use std::collections::{HashMap, VecDeque};

use slab::Slab;
use wampline_shard::{ConnKey, HookFailure, HookQuestion, ListenerId, Now, Peer, ShardId, ShutdownMode};

use super::runs::Runs;
use crate::outgoing::Outgoing;
use crate::seam::{Act, Core, Outbound};

/// Above this many queued octets a connection is not read.
const PAUSE_ABOVE: usize = 256 << 10;

/// What a listener's connections do with octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Send them back.
    Echo,
    /// Send them to the next shard, which sends them back here, and then to the peer.
    Relay,
    /// Answer the first ones with this many octets and close.
    AnswerAndClose(usize),
    /// Abort at the first ones.
    Abort,
    /// Panic at the first ones.
    Panic,
    /// Send this many octets in answer to the first ones and stay.
    Pour(usize),
    /// Post them to a hook and send back what it answers, or why it does not.
    Ask(u32),
    /// Close by itself this long after accepting (nanoseconds).
    CloseAfter(u64),
}

#[derive(Clone, Debug)]
pub(super) struct EchoSetup {
    /// By listener.
    pub(super) modes: Vec<Mode>,
    pub(super) shards: u16,
}

/// Relayed octets: there and back again.
#[derive(Debug)]
pub(super) struct Parcels(Vec<Parcel>);

#[derive(Debug)]
struct Parcel {
    origin: ShardId,
    key: ConnKey,
    octets: Vec<u8>,
}

#[derive(Debug)]
struct EchoConn {
    guard: u32,
    listener: ListenerId,
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    relayed: usize,
    sending: usize,
    paused: bool,
    ended: bool,
    closing: bool,
    closed_at: Option<Now>,
}

#[derive(Debug)]
pub(super) struct Echo {
    id: ShardId,
    setup: EchoSetup,
    conns: Slab<EchoConn>,
    guard: u32,
    dirty: Vec<ConnKey>,
    actions: VecDeque<Act<Runs>>,
    /// By destination: parcels that wait for the end of the turn or for room in the lane.
    outbound: Vec<VecDeque<Parcels>>,
    deadlines: VecDeque<(Now, ConnKey)>,
    /// Who waits for an answer; an answer comes once.
    asked: HashMap<u64, ConnKey>,
    last_question: u64,
    down: bool,
}

impl Echo {
    pub(super) fn new(id: ShardId, setup: EchoSetup) -> Echo {
        let outbound = (0..setup.shards).map(|_| VecDeque::new()).collect();
        Echo {
            id,
            setup,
            conns: Slab::new(),
            guard: 0,
            dirty: Vec::new(),
            actions: VecDeque::new(),
            outbound,
            deadlines: VecDeque::new(),
            asked: HashMap::new(),
            last_question: 0,
            down: false,
        }
    }

    fn conn(&mut self, key: ConnKey) -> Option<&mut EchoConn> {
        self.conns.get_mut(key.slot as usize).filter(|conn| conn.guard == key.guard)
    }

    fn queue(&mut self, key: ConnKey, octets: Vec<u8>) {
        let Some(conn) = self.conn(key) else { return };
        conn.queued += octets.len();
        conn.queue.push_back(octets);
        self.dirty.push(key);
    }

    fn close(&mut self, key: ConnKey, abort: bool) {
        if self.conn(key).is_some() {
            self.conns.remove(key.slot as usize);
            self.actions.push_back(Act::Close { key, abort });
        }
    }

    fn post(&mut self, to: ShardId, parcel: Parcel) {
        self.outbound[usize::from(to.0)].push_back(Parcels(vec![parcel]));
    }

    /// Sends, pauses, resumes or closes as the state of the connection asks for.
    fn settle(&mut self, key: ConnKey) {
        let down = self.down;
        let Some(conn) = self.conn(key) else { return };
        let held = conn.queued + conn.relayed;
        if held > PAUSE_ABOVE && !conn.paused {
            conn.paused = true;
            self.actions.push_back(Act::PauseRead(key));
        } else if held < PAUSE_ABOVE / 2 && conn.paused {
            conn.paused = false;
            self.actions.push_back(Act::ResumeRead(key));
        }
        let Some(conn) = self.conn(key) else { return };
        if conn.sending > 0 {
            return;
        }
        if conn.queue.is_empty() {
            if (conn.ended && conn.relayed == 0) || conn.closing || down {
                self.close(key, false);
            }
            return;
        }
        let runs = std::mem::take(&mut conn.queue);
        conn.sending = conn.queued;
        self.actions.push_back(Act::Send(key, Runs::new(runs)));
    }
}

impl Core for Echo {
    type Batch = Parcels;
    type Output = Runs;

    fn batch_octets(batch: &Parcels) -> usize {
        batch.0.iter().map(|parcel| parcel.octets.len()).sum()
    }

    fn accept(&mut self, now: Now, listener: ListenerId, _peer: Peer) -> ConnKey {
        self.guard += 1;
        let guard = self.guard;
        let mut conn = EchoConn {
            guard,
            listener,
            queue: VecDeque::new(),
            queued: 0,
            relayed: 0,
            sending: 0,
            paused: false,
            ended: false,
            closing: false,
            closed_at: None,
        };
        let mode = self.setup.modes[usize::from(listener.0)];
        if let Mode::CloseAfter(delay) = mode {
            conn.closed_at = Some(Now(now.0 + delay));
        }
        let closed_at = conn.closed_at;
        let key = ConnKey { slot: self.conns.insert(conn) as u32, guard };
        self.deadlines.extend(closed_at.map(|at| (at, key)));
        key
    }

    fn octets(&mut self, _now: Now, key: ConnKey, octets: &mut [u8]) {
        let id = self.id;
        let next = ShardId((self.id.0 + 1) % self.setup.shards);
        let modes = self.setup.modes.clone();
        let Some(conn) = self.conn(key) else { return };
        match modes[usize::from(conn.listener.0)] {
            Mode::Echo | Mode::CloseAfter(_) => self.queue(key, octets.to_vec()),
            Mode::Relay if next == id => self.queue(key, octets.to_vec()),
            Mode::Relay => {
                conn.relayed += octets.len();
                self.dirty.push(key);
                self.post(next, Parcel { origin: id, key, octets: octets.to_vec() });
            }
            Mode::AnswerAndClose(len) if !conn.closing => {
                conn.closing = true;
                self.queue(key, vec![7; len]);
            }
            Mode::AnswerAndClose(_) => {}
            Mode::Abort => self.close(key, true),
            Mode::Panic => panic!("the test asked for it"),
            Mode::Ask(hook) => {
                self.last_question += 1;
                self.asked.insert(self.last_question, key);
                let body = octets.to_vec();
                self.actions.push_back(Act::Ask(HookQuestion { id: self.last_question, hook, body }));
            }
            Mode::Pour(len) => {
                for _ in 0..len.div_ceil(10_000) {
                    self.queue(key, vec![5; 10_000]);
                }
            }
        }
    }

    fn read_ended(&mut self, _now: Now, key: ConnKey, broken: bool) {
        let Some(conn) = self.conn(key) else { return };
        conn.ended = true;
        if broken {
            self.close(key, true);
        } else {
            self.dirty.push(key);
        }
    }

    fn sent(&mut self, _now: Now, key: ConnKey, octets: usize) {
        if let Some(conn) = self.conn(key) {
            conn.sending -= octets;
            conn.queued -= octets;
        }
    }

    fn send_done(&mut self, _now: Now, key: ConnKey, output: Runs) {
        assert!(output.is_empty());
        if let Some(conn) = self.conn(key) {
            conn.queued -= std::mem::take(&mut conn.sending);
            self.dirty.push(key);
        }
    }

    fn batch(&mut self, _now: Now, from: ShardId, batch: Parcels) {
        for parcel in batch.0 {
            if parcel.origin == self.id {
                let len = parcel.octets.len();
                if let Some(conn) = self.conn(parcel.key) {
                    conn.relayed -= len;
                    self.queue(parcel.key, parcel.octets);
                }
            } else {
                assert_eq!(from, parcel.origin);
                self.post(parcel.origin, parcel);
            }
        }
    }

    fn hook_answered(&mut self, _now: Now, id: u64, answer: Result<Vec<u8>, HookFailure>) {
        let key = self.asked.remove(&id).expect("an answer to each question, and one");
        self.queue(key, answer.unwrap_or_else(|failure| format!("{failure:?}").into()));
    }

    fn next_deadline(&self) -> Option<Now> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    fn expire(&mut self, now: Now) {
        while let Some(&(at, key)) = self.deadlines.front()
            && at <= now
        {
            self.deadlines.pop_front();
            self.close(key, false);
        }
    }

    fn end_turn(&mut self, _now: Now) -> bool {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            self.settle(key);
        }
        self.dirty = dirty;
        false
    }

    fn flush_lanes(&mut self, lanes: &mut Outbound<'_, Echo>) -> bool {
        for (to, queue) in self.outbound.iter_mut().enumerate() {
            while let Some(parcels) = queue.pop_front() {
                if let Err(parcels) = lanes.offer(ShardId(to as u16), parcels) {
                    queue.push_front(parcels);
                    break;
                }
            }
        }
        false
    }

    fn action(&mut self, _now: Now) -> Option<Act<Runs>> {
        self.actions.pop_front()
    }

    fn shutdown(&mut self, _now: Now, _mode: ShutdownMode, _grace: std::time::Duration) {
        self.down = true;
        let keys = self.conns.iter().map(|(slot, conn)| ConnKey { slot: slot as u32, guard: conn.guard });
        self.dirty.extend(keys);
    }

    fn is_drained(&self) -> bool {
        self.conns.is_empty() && self.outbound.iter().all(VecDeque::is_empty)
    }
}
