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

/// The realm that everybody joins.
const REALM: &str = "realm1";

const NOW: Now = Now(1);

/// The shards and what is between them.
pub struct Stage {
    shards: Vec<Shard>,
    /// By source times the number of shards plus destination.
    lanes: Vec<VecDeque<Batch>>,
    /// What goes to connections is kept for their clients.
    is_capturing: bool,
    captured: Vec<(usize, ConnKey, Vec<u8>)>,
    delivered: Delivered,
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
            lanes: (0..count * count).map(|_| VecDeque::with_capacity(64)).collect(),
            is_capturing: false,
            captured: Vec::new(),
            delivered: Delivered::default(),
            received: Vec::new(),
        }
    }

    /// A client connects to a shard and joins.
    pub fn join(&mut self, shard: usize, framed: Framed, serializer: Serializer) -> Visitor {
        let key = self.shards[shard].accept(NOW, ListenerId(0), Peer::Unix);
        let mut octets = Vec::new();
        let client = Client::new(&framed.transport(), serializer, 7, &mut octets);
        let mut visitor = Visitor { shard, key, client, serializer };
        self.is_capturing = true;
        self.receive(&visitor, &octets);
        self.settle();
        let answered = self.messages(&mut visitor);
        assert!(visitor.client.is_open() && answered.is_empty(), "a good handshake");
        let role = [("", Value::Dict(Dict::EMPTY)); 0];
        let roles = ["publisher", "subscriber", "caller", "callee"]
            .map(|name| (name, Value::Dict(Dict::pairs(&role))));
        let details = [("roles", Value::Dict(Dict::pairs(&roles)))];
        let hello = Message::Hello { realm: Cow::Borrowed(REALM), details: Dict::pairs(&details) };
        let answers = self.ask(&mut visitor, &hello);
        assert_eq!(answers, [MessageType::Welcome]);
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
    }

    /// Runs turns until nothing moves any more. Gives what was delivered meanwhile.
    pub fn settle(&mut self) -> Delivered {
        let before = self.delivered;
        let mut is_moving = true;
        while is_moving {
            is_moving = false;
            for shard in 0..self.shards.len() {
                is_moving |= self.turn(shard);
            }
            is_moving |= self.lanes.iter().any(|lane| !lane.is_empty());
        }
        Delivered {
            sends: self.delivered.sends - before.sends,
            octets: self.delivered.octets - before.octets,
        }
    }

    /// One turn of a shard. Gives whether another one is wanted.
    fn turn(&mut self, shard: usize) -> bool {
        let count = self.shards.len();
        let core = &mut self.shards[shard];
        for from in 0..count {
            while let Some(batch) = self.lanes[from * count + shard].pop_front() {
                core.batch(NOW, ShardId(from as u16), batch);
            }
        }
        let mut wants = core.end_turn(NOW);
        wants |= core.flush_lanes(&mut Row(&mut self.lanes[shard * count..][..count]));
        while let Some(action) = core.action(NOW) {
            let Action::Send(key, output) = action else { continue };
            self.delivered.sends += 1;
            self.delivered.octets += output.len() as u64;
            if self.is_capturing {
                self.captured.push((shard, key, output.slices().flatten().copied().collect()));
            }
            core.sent(NOW, key, output.len());
            core.send_done(NOW, key, output);
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
struct Row<'a>(&'a mut [VecDeque<Batch>]);

impl Lanes for Row<'_> {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        self.0[usize::from(to.0)].push_back(batch);
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
        message_bytes_max: (1 << 24) - 1,
    });
    let ping_timeout = Duration::from_secs(10);
    let listener =
        Listener { transport, tls: None, ping_interval: None, ping_timeout, connections_max: None };
    let (uri_rules, request_ids) = (UriRules::Loose, RequestIds::Lenient);
    let realm = Realm { name: REALM.into(), uri_rules, request_ids };
    Config {
        listeners: vec![listener],
        realms: vec![realm],
        limits: Limits::default(),
        agent: "bench".into(),
    }
}
