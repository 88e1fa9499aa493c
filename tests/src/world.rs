//! N shards in one thread under a virtual clock, with the lanes between them and the connections of their clients.
//!
//! Owns what a driver owns: who runs when, when a batch or an octet arrives, how much a client's socket takes.
//! In an orderly turn everything that has been sent arrives; in a chaotic one a random part of it: per lane and per connection
//! in order, across them in any order. Everything random comes from one seed. Does not know WAMP.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use wampline_shard::{
    Action, Batch, Config, ConnKey, HookQuestion, Lanes, ListenerId, Now, Output, Peer, Shard, ShardId,
    Shared,
};

/// One lane: at most so many batches, of which the first `visible` have arrived.
#[derive(Debug, Default)]
struct Lane {
    batches: VecDeque<Batch>,
    visible: usize,
    /// Nothing more arrives.
    is_held: bool,
}

/// Bounds of every lane. An empty lane takes any batch.
#[derive(Clone, Copy, Debug)]
pub struct LaneBounds {
    /// Batches.
    pub batches: usize,
    /// Octets.
    pub octets: usize,
}

/// How the client's end of a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// End of stream, behind everything that was sent.
    Eof,
    /// Reset: what was not received is lost.
    Broken,
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    /// The shard that owns it.
    pub shard: usize,
    key: Option<ConnKey>,
    /// On its way to the router.
    inbound: VecDeque<u8>,
    /// In the client's hands and not read.
    outbound: Vec<u8>,
    sending: Option<Output>,
    is_paused: bool,
    end: Option<End>,
    end_delivered: bool,
    /// How many octets the client's socket still takes; `None` for all.
    pub credit: Option<usize>,
    /// The router has closed it; `true`: without flushing.
    pub closed: Option<bool>,
}

impl Link {
    /// What the shard is sending to the client and the client has not taken.
    pub fn sending(&self) -> Option<&Output> {
        self.sending.as_ref()
    }
}

/// Names a link.
pub type LinkId = usize;

/// The shards and everything between them.
#[derive(Debug)]
pub struct World {
    /// The shards, by id.
    pub shards: Vec<Shard>,
    /// What they share.
    pub shared: Arc<Shared>,
    /// All connections ever made.
    pub links: Vec<Link>,
    /// Where every choice comes from.
    pub random: fastrand::Rng,
    /// Virtual time in nanoseconds.
    pub now: u64,
    /// Questions to hooks that have no answer yet, with their shard.
    pub asked: Vec<(usize, HookQuestion)>,
    /// By source, then destination.
    lanes: Vec<Vec<Lane>>,
    bounds: LaneBounds,
    /// Links by shard and key.
    by_key: Vec<BTreeMap<(u32, u32), LinkId>>,
    /// Links of each shard that are open.
    open: Vec<Vec<LinkId>>,
    /// Shards that want another turn.
    wants_turn: Vec<bool>,
}

/// The source's end of all lanes of one shard.
struct LaneEnds<'a> {
    row: &'a mut [Lane],
    bounds: LaneBounds,
    refused: bool,
}

impl Lanes for LaneEnds<'_> {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        let lane = &mut self.row[to.0 as usize].batches;
        let octets: usize = lane.iter().map(Batch::octets).sum();
        let is_full = lane.len() >= self.bounds.batches || octets + batch.octets() > self.bounds.octets;
        if !lane.is_empty() && is_full {
            self.refused = true;
            return Err(batch);
        }
        lane.push_back(batch);
        Ok(())
    }
}

/// An orderly world that has not come to rest after so many rounds never will.
const ROUNDS_MAX: usize = 10_000;

/// Octets handed to a shard at once, as a driver's receive buffer.
const RECEIVE_BYTES: usize = 16 << 10;

/// How often that happens for one connection in an orderly turn.
const RECEIVES_PER_TURN: usize = 4;

impl World {
    /// Shards without connections.
    pub fn new(config: Config, shards: u16, bounds: LaneBounds, seed: u64) -> World {
        let mut random = fastrand::Rng::with_seed(seed);
        let shared = Shared::new(config, shards);
        let n = usize::from(shards);
        World {
            shards: (0..shards)
                .map(|id| Shard::new(ShardId(id), shared.clone(), random.u64(..), Now(0)))
                .collect(),
            shared,
            links: Vec::new(),
            random,
            now: 0,
            asked: Vec::new(),
            lanes: (0..n).map(|_| (0..n).map(|_| Lane::default()).collect()).collect(),
            bounds,
            by_key: vec![BTreeMap::new(); n],
            open: vec![Vec::new(); n],
            wants_turn: vec![false; n],
        }
    }

    /// A client connects to a listener of a shard.
    pub fn connect(&mut self, shard: usize, listener: u16) -> LinkId {
        self.connect_from(shard, listener, Some(IpAddr::from([127, 0, 0, 1])))
    }

    /// A client at an address connects to a listener of a shard; `None`: by a Unix domain socket.
    pub fn connect_from(&mut self, shard: usize, listener: u16, address: Option<IpAddr>) -> LinkId {
        let port = 1024 + (self.links.len() % 60_000) as u16;
        let peer = address.map_or(Peer::Unix, |address| Peer::Tcp(SocketAddr::new(address, port)));
        let key = self.shards[shard].accept(Now(self.now), ListenerId(listener), peer);
        let link = self.links.len();
        self.links.push(Link {
            shard,
            key: Some(key),
            inbound: VecDeque::new(),
            outbound: Vec::new(),
            sending: None,
            is_paused: false,
            end: None,
            end_delivered: false,
            credit: None,
            closed: None,
        });
        self.by_key[shard].insert((key.slot, key.guard), link);
        self.open[shard].push(link);
        self.wants_turn[shard] = true;
        link
    }

    /// The client sends octets.
    pub fn send(&mut self, link: LinkId, octets: &[u8]) {
        let link = &mut self.links[link];
        if link.end.is_none() && link.closed.is_none() {
            link.inbound.extend(octets);
        }
    }

    /// The client ends the connection.
    pub fn end(&mut self, link: LinkId, end: End) {
        let link = &mut self.links[link];
        if link.end != Some(End::Broken) {
            link.end = Some(end);
        }
        if end == End::Broken {
            link.inbound.clear();
        }
    }

    /// Holds back what goes through a lane, or lets it go.
    pub fn hold(&mut self, from: usize, to: usize, is_held: bool) {
        self.lanes[from][to].is_held = is_held;
    }

    /// What has arrived at the client.
    pub fn read(&mut self, link: LinkId) -> Vec<u8> {
        std::mem::take(&mut self.links[link].outbound)
    }

    /// Whether octets are on their way to the router and it does not take them.
    pub fn is_stuck(&self, link: LinkId) -> bool {
        let link = &self.links[link];
        link.closed.is_none() && !link.inbound.is_empty()
    }

    /// One turn of a shard, with all that has been sent to it.
    pub fn orderly_turn(&mut self, shard: usize) {
        for from in 0..self.lanes.len() {
            let lane = &mut self.lanes[from][shard];
            if !lane.is_held {
                lane.visible = lane.batches.len();
            }
        }
        self.drain(shard);
        for link in self.open[shard].clone() {
            for _ in 0..RECEIVES_PER_TURN {
                self.receive(link, RECEIVE_BYTES);
            }
            self.take(link, usize::MAX);
        }
        self.finish_turn(shard);
    }

    /// One turn of a shard, with a random part of what has been sent to it.
    pub fn chaotic_turn(&mut self, shard: usize) {
        for from in 0..self.lanes.len() {
            let lane = &mut self.lanes[from][shard];
            if lane.visible < lane.batches.len() && self.random.bool() {
                lane.visible += 1 + self.random.usize(..lane.batches.len() - lane.visible);
            }
        }
        self.drain(shard);
        for link in self.open[shard].clone() {
            if self.random.u8(..4) > 0 {
                let most = match self.random.u8(..8) {
                    0 => 1 + self.random.usize(..8),
                    1..=3 => 1 + self.random.usize(..200),
                    _ => RECEIVE_BYTES,
                };
                self.receive(link, most);
            }
            if self.random.u8(..4) > 0 {
                let most = if self.random.u8(..4) == 0 { 1 + self.random.usize(..64) } else { usize::MAX };
                self.take(link, most);
            }
        }
        self.finish_turn(shard);
    }

    /// Runs orderly turns until nothing moves any more. Time stands still.
    ///
    /// # Errors
    /// If that never comes.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            for shard in 0..self.shards.len() {
                self.orderly_turn(shard);
            }
            if self.is_at_rest() {
                return Ok(());
            }
        }
        Err(format!("does not come to rest: {}", self.restlessness()))
    }

    /// What keeps the world from being at rest.
    fn restlessness(&self) -> String {
        let lanes: usize = self.lanes.iter().flatten().map(|lane| lane.batches.len()).sum();
        let links = self.open.iter().flatten().filter(|link| !self.rests(**link));
        let links: Vec<String> = links.map(|link| format!("{link}: {:?}", self.links[*link])).collect();
        let due = self.next_deadline().filter(|at| *at <= self.now);
        format!("{lanes} batches in lanes, due {due:?}, turns wanted {:?}, links {links:?}", self.wants_turn)
    }

    /// Lets time pass; deadlines come up when they are due.
    ///
    /// # Errors
    /// If the world does not come to rest at one of them.
    pub fn advance(&mut self, span: Duration) -> Result<(), String> {
        let until = self.now + span.as_nanos() as u64;
        self.settle()?;
        while let Some(next) = self.next_deadline().filter(|next| *next <= until) {
            self.now = next.max(self.now);
            self.settle()?;
        }
        self.now = until;
        self.settle()
    }

    /// The earliest deadline of any shard, in nanoseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.shards.iter().filter_map(Shard::next_deadline).map(|at| at.0).min()
    }

    /// Whether every batch and octet has arrived that can.
    pub fn is_at_rest(&self) -> bool {
        let lanes_empty = self.lanes.iter().flatten().all(|lane| lane.batches.is_empty());
        let due = self.next_deadline().is_some_and(|at| at <= self.now);
        lanes_empty
            && !due
            && !self.wants_turn.contains(&true)
            && self.open.iter().flatten().all(|link| self.rests(*link))
    }

    fn rests(&self, link: LinkId) -> bool {
        let link = &self.links[link];
        let nothing_comes = link.is_paused || link.inbound.is_empty();
        let end_is_known = match link.end {
            None => true,
            Some(End::Broken) => link.end_delivered,
            Some(End::Eof) => link.end_delivered || link.is_paused,
        };
        let nothing_goes = link.sending.is_none() || link.credit == Some(0);
        nothing_comes && end_is_known && nothing_goes
    }

    fn drain(&mut self, shard: usize) {
        let mut sources: Vec<usize> = (0..self.lanes.len()).filter(|from| *from != shard).collect();
        self.random.shuffle(&mut sources);
        for from in sources {
            for _ in 0..std::mem::take(&mut self.lanes[from][shard].visible) {
                let batch = self.lanes[from][shard].batches.pop_front();
                let batch = batch.expect("what is visible is there");
                self.shards[shard].batch(Now(self.now), ShardId(from as u16), batch);
            }
        }
    }

    /// Hands up to `most` octets of a link to its shard; after the last its end.
    fn receive(&mut self, id: LinkId, most: usize) {
        let link = &mut self.links[id];
        let Some(key) = link.key else { return };
        let now = Now(self.now);
        if link.end == Some(End::Broken) && !link.end_delivered {
            link.end_delivered = true;
            self.shards[link.shard].read_ended(now, key, true);
            return;
        }
        if link.is_paused {
            return;
        }
        if !link.inbound.is_empty() {
            let count = most.min(link.inbound.len());
            let mut octets: Vec<u8> = link.inbound.drain(..count).collect();
            self.shards[link.shard].octets(now, key, &mut octets);
            return;
        }
        if link.end == Some(End::Eof) && !link.end_delivered {
            link.end_delivered = true;
            self.shards[link.shard].read_ended(now, key, false);
        }
    }

    /// The client's socket takes up to `most` octets of what is under way.
    fn take(&mut self, id: LinkId, most: usize) {
        let link = &mut self.links[id];
        let (Some(key), Some(output)) = (link.key, link.sending.as_mut()) else { return };
        let most = most.min(link.credit.unwrap_or(usize::MAX));
        let mut taken = 0;
        for slice in output.slices() {
            let count = slice.len().min(most - taken);
            link.outbound.extend_from_slice(&slice[..count]);
            taken += count;
        }
        if taken == 0 {
            return;
        }
        if let Some(credit) = link.credit.as_mut() {
            *credit -= taken;
        }
        output.advance(taken);
        let shard = &mut self.shards[link.shard];
        if !output.is_empty() {
            shard.sent(Now(self.now), key, taken);
        } else if let Some(output) = link.sending.take() {
            shard.send_done(Now(self.now), key, output);
        }
    }

    fn finish_turn(&mut self, shard: usize) {
        let now = Now(self.now);
        let core = &mut self.shards[shard];
        if core.next_deadline().is_some_and(|at| at <= now) {
            core.expire(now);
        }
        let mut wants = core.end_turn(now);
        let mut ends = LaneEnds { row: &mut self.lanes[shard], bounds: self.bounds, refused: false };
        wants |= core.flush_lanes(&mut ends);
        wants |= ends.refused;
        while let Some(action) = self.shards[shard].action(now) {
            self.act(shard, action);
        }
        self.wants_turn[shard] = wants;
    }

    fn act(&mut self, shard: usize, action: Action) {
        let key = match &action {
            Action::Send(key, _) | Action::PauseRead(key) | Action::ResumeRead(key) => *key,
            Action::Close { key, .. } => *key,
            Action::Ask { question } => return self.asked.push((shard, question.clone())),
        };
        let id =
            *self.by_key[shard].get(&(key.slot, key.guard)).expect("actions name connections that are open");
        let link = &mut self.links[id];
        match action {
            Action::Send(_, output) => {
                assert!(link.sending.is_none(), "one output at a time");
                assert!(!output.is_empty(), "an output has something to send");
                link.sending = Some(output);
            }
            Action::PauseRead(_) => link.is_paused = true,
            Action::ResumeRead(_) => link.is_paused = false,
            Action::Ask { .. } => {}
            Action::Close { abort, .. } => {
                assert!(abort || link.sending.is_none(), "a close waits for what is under way");
                link.closed = Some(abort);
                link.key = None;
                link.sending = None;
                link.inbound.clear();
                self.by_key[shard].remove(&(key.slot, key.guard));
                self.open[shard].retain(|open| *open != id);
            }
        }
    }
}
