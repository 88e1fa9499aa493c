//! Shards in one thread without sockets: octets in, octets counted out. What whole paths are measured on.
//!
//! Owns: the lanes between the shards and who runs when; clients with the framing of their side. Nothing here allocates
//! once its buffers have grown, so that what a path allocates is the router's. Every run is the same as the one
//! before: seeds are fixed, time stands still.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use wampline_shard::{
    Action, Batch, Config, ConnKey, Lanes, Limits, Listener, ListenerId, Now, Peer, Realm, RequestIds, Shard,
    ShardId, Shared, UriRules,
};
use wampline_transports::client::{Client, Received, Transport};
use wampline_transports::server::{Options, Origins};
use wampline_wire::{Dict, Message, MessageType, RequestId, Serializer, Value};

use crate::thread_time::thread_time;

/// The realm that everybody joins.
const REALM: &str = "realm1";

const NOW: Now = Now(1);

/// The shards and what is between them.
pub struct Stage {
    shards: Vec<Shard>,
    /// What waits for each shard, in the order in which it was sent.
    inbound: Vec<VecDeque<(ShardId, Batch)>>,
    /// Shards that have something to do, and whether one is among them.
    ready: VecDeque<usize>,
    is_ready: Vec<bool>,
    /// Shards that the shard whose turn it is has sent to.
    told: Vec<usize>,
    /// What goes to connections is kept for their clients.
    is_capturing: bool,
    captured: Vec<(usize, ConnKey, Vec<u8>)>,
    delivered: Delivered,
    /// Processor time of each shard's turns, where it is wanted.
    busy: Option<Vec<Duration>>,
    /// Octets on their way in: unmasking happens in place.
    received: Vec<u8>,
}

/// What has been handed to the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Sends.
    pub sends: u64,
    /// Octets in them.
    pub octets: u64,
}

/// A client of a stage: a session on one shard.
pub struct Visitor {
    shard: usize,
    key: ConnKey,
    client: Client,
    serializer: Serializer,
}

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// RawSocket.
    RawSocket,
    /// WebSocket.
    WebSocket,
}

impl Framed {
    /// Both.
    pub const ALL: [Framed; 2] = [Framed::RawSocket, Framed::WebSocket];

    /// As in the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            Framed::RawSocket => "rs",
            Framed::WebSocket => "ws",
        }
    }

    /// For a client.
    pub fn transport(self) -> Transport {
        match self {
            Framed::RawSocket => Transport::RawSocket { length: 15 },
            Framed::WebSocket => {
                Transport::WebSocket { host: "localhost".to_owned(), path: "/ws".to_owned() }
            }
        }
    }
}

impl Stage {
    /// Shards without connections.
    pub fn new(shards: u16) -> Stage {
        let shared = Shared::new(config(), shards);
        let count = usize::from(shards);
        Stage {
            shards: (0..shards)
                .map(|id| Shard::new(ShardId(id), shared.clone(), 1 + u64::from(id), NOW))
                .collect(),
            inbound: (0..count).map(|_| VecDeque::with_capacity(64)).collect(),
            ready: VecDeque::with_capacity(count),
            is_ready: vec![false; count],
            told: Vec::with_capacity(count),
            is_capturing: false,
            captured: Vec::new(),
            delivered: Delivered::default(),
            busy: None,
            received: Vec::new(),
        }
    }

    /// Begins to measure each shard's turns; gives what was measured since the last time.
    pub fn take_busy(&mut self) -> Vec<Duration> {
        self.busy.replace(vec![Duration::ZERO; self.shards.len()]).unwrap_or_default()
    }

    /// A client connects to a shard and joins.
    pub fn join(&mut self, shard: usize, framed: Framed, serializer: Serializer) -> Visitor {
        let mut visitor = self.open(shard, framed, serializer);
        let mut hello = Vec::new();
        visitor.write_hello(&mut hello);
        self.is_capturing = true;
        self.receive(&visitor, &hello);
        self.settle();
        assert_eq!(self.messages(&mut visitor), [MessageType::Welcome]);
        visitor
    }

    /// A client connects to a shard.
    pub fn open(&mut self, shard: usize, framed: Framed, serializer: Serializer) -> Visitor {
        let key = self.shards[shard].accept(NOW, ListenerId(0), Peer::Unix);
        let mut octets = Vec::new();
        let client = Client::new(&framed.transport(), serializer, 7, &mut octets);
        let mut visitor = Visitor { shard, key, client, serializer };
        self.is_capturing = true;
        self.receive(&visitor, &octets);
        self.settle();
        let answered = self.messages(&mut visitor);
        assert!(visitor.client.is_open() && answered.is_empty(), "a good handshake");
        visitor
    }

    /// A client subscribes.
    pub fn subscribe(&mut self, visitor: &mut Visitor, topic: &str, options: Dict<'_>) {
        let (request, topic) = (request(1), Cow::Borrowed(topic));
        let answers = self.ask(visitor, &Message::Subscribe { request, options, topic });
        assert_eq!(answers, [MessageType::Subscribed]);
    }

    /// A client registers a procedure.
    pub fn register(&mut self, visitor: &mut Visitor, procedure: &str) {
        let (request, options, procedure) = (request(1), Dict::EMPTY, Cow::Borrowed(procedure));
        let answers = self.ask(visitor, &Message::Register { request, options, procedure });
        assert_eq!(answers, [MessageType::Registered]);
    }

    /// Sends a message and gives the types of what comes back to the same client. For preparations.
    pub fn ask(&mut self, visitor: &mut Visitor, message: &Message<'_>) -> Vec<MessageType> {
        self.is_capturing = true;
        let mut octets = Vec::new();
        visitor.write(message, &mut octets);
        self.receive(visitor, &octets);
        self.settle();
        self.messages(visitor)
    }

    /// Hands octets of a client to its shard.
    pub fn receive(&mut self, visitor: &Visitor, octets: &[u8]) {
        self.received.clear();
        self.received.extend_from_slice(octets);
        self.shards[visitor.shard].octets(NOW, visitor.key, &mut self.received);
        self.wake(visitor.shard);
    }

    /// A client drops its connection.
    pub fn leave(&mut self, visitor: &Visitor) {
        self.shards[visitor.shard].read_ended(NOW, visitor.key, true);
        self.wake(visitor.shard);
    }

    /// Has each client do something, all of it in one turn of their shards, and drops what comes back.
    pub fn all_say(
        &mut self,
        visitors: &mut [Visitor],
        mut octets: impl FnMut(usize, &mut Visitor, &mut Vec<u8>),
    ) {
        let mut said = Vec::new();
        for (n, visitor) in visitors.iter_mut().enumerate() {
            said.clear();
            octets(n, visitor, &mut said);
            self.receive(visitor, &said);
        }
        self.settle();
    }

    /// Runs turns until nothing moves any more. Gives what was delivered meanwhile.
    pub fn settle(&mut self) -> Delivered {
        let before = self.delivered;
        while let Some(shard) = self.ready.pop_front() {
            self.is_ready[shard] = false;
            let before = self.busy.as_ref().map(|_| thread_time());
            if self.turn(shard) {
                self.wake(shard);
            }
            if let (Some(before), Some(busy)) = (before, &mut self.busy) {
                busy[shard] += thread_time().saturating_sub(before);
            }
        }
        Delivered {
            sends: self.delivered.sends - before.sends,
            octets: self.delivered.octets - before.octets,
        }
    }

    fn wake(&mut self, shard: usize) {
        if !std::mem::replace(&mut self.is_ready[shard], true) {
            self.ready.push_back(shard);
        }
    }

    /// One turn of a shard. Gives whether another one is wanted.
    fn turn(&mut self, shard: usize) -> bool {
        let core = &mut self.shards[shard];
        while let Some((from, batch)) = self.inbound[shard].pop_front() {
            core.batch(NOW, from, batch);
        }
        let mut wants = core.end_turn(NOW);
        let mut row = Row { from: ShardId(shard as u16), inbound: &mut self.inbound, told: &mut self.told };
        wants |= core.flush_lanes(&mut row);
        while let Some(action) = core.action(NOW) {
            let Action::Send(key, output) = action else { continue };
            self.delivered.sends += 1;
            self.delivered.octets += output.len() as u64;
            if self.is_capturing {
                self.captured.push((shard, key, output.slices().flatten().copied().collect()));
            }
            core.send_done(NOW, key, output);
        }
        while let Some(to) = self.told.pop() {
            self.wake(to);
        }
        wants
    }

    /// The messages that were kept for a client. Ends the keeping.
    fn messages(&mut self, visitor: &mut Visitor) -> Vec<MessageType> {
        self.is_capturing = false;
        let mut types = Vec::new();
        for (shard, key, mut octets) in std::mem::take(&mut self.captured) {
            if (shard, key) != (visitor.shard, visitor.key) {
                continue;
            }
            let mut rest = octets.as_mut_slice();
            while !rest.is_empty() {
                match visitor.client.receive(&mut rest, &mut Vec::new()).expect("good frames") {
                    Some(Received::Message(octets)) => {
                        let message = Message::parse(visitor.serializer, octets).expect("a good message");
                        types.push(message.message_type());
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        }
        types
    }
}

impl Visitor {
    /// Appends a message in its frame, masked where the transport demands it.
    pub fn write(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        self.client
            .send(out, |out| message.encode(self.serializer, out))
            .expect("every serializer expresses these messages");
        assert!(out.len() > before, "the transport is open");
    }

    /// Appends HELLO.
    pub fn write_hello(&mut self, out: &mut Vec<u8>) {
        let role = [("", Value::Dict(Dict::EMPTY)); 0];
        let roles = ["publisher", "subscriber", "caller", "callee"];
        let roles = roles.map(|name| (name, Value::Dict(Dict::pairs(&role))));
        let details = [("roles", Value::Dict(Dict::pairs(&roles)))];
        self.write(&Message::Hello { realm: Cow::Borrowed(REALM), details: Dict::pairs(&details) }, out);
    }

    /// The serializer of its session.
    pub fn serializer(&self) -> Serializer {
        self.serializer
    }
}

/// A request id.
pub fn request(id: u64) -> RequestId {
    RequestId::new(id).expect("invariant: ids are small and not 0")
}

/// The lanes of one source.
struct Row<'a> {
    from: ShardId,
    inbound: &'a mut [VecDeque<(ShardId, Batch)>],
    told: &'a mut Vec<usize>,
}

impl Lanes for Row<'_> {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        self.inbound[usize::from(to.0)].push_back((self.from, batch));
        self.told.push(usize::from(to.0));
        Ok(())
    }
}

fn config() -> Config {
    let transport = Arc::new(Options {
        rawsocket: true,
        websocket: true,
        serializers: Serializer::ALL.to_vec(),
        paths: vec!["/ws".to_owned()],
        origins: Origins::Any,
        assume_subprotocol: None,
        echo: false,
        cookie: None,
        message_bytes_max: (1 << 24) - 1,
    });
    let ping_timeout = Duration::from_secs(10);
    let listener = Listener {
        transport,
        tls: None,
        channel_binding: false,
        ping_interval: None,
        ping_timeout,
        connections_max: None,
    };
    let (uri_rules, request_ids) = (UriRules::Loose, RequestIds::Lenient);
    let realm = Realm { uri_rules, request_ids, ..Realm::new(REALM) };
    Config {
        listeners: vec![listener],
        templates: Vec::new(),
        realms: vec![realm],
        limits: Limits::default(),
        agent: "bench".into(),
    }
}
