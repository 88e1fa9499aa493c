//! A whole router but its sockets: what hostile connections send, in what order the shards take their turns, and a healthy
//! subscriber, publisher, callee and caller beside them, to whom nothing may happen.
//!
//! The octets are instructions, see [`Stage::step`]. When they are over all hostile connections end, and nothing may be left of
//! them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wampline_auth::{Method, ProcedureSource, Source};
use wampline_shard::{Config, Listener, Output};
use wampline_wire::Serializer;

use super::input::Input;
use crate::config;
use crate::peer::{Heard, LENGTH_MAX, Peer};
use crate::world::{End, LaneBounds, LinkId, World};

const SHARDS: u16 = 2;
const STEPS_MAX: usize = 300;
const CONNECTIONS_MAX: usize = 8;

/// Output that may wait for one connection: the bound of the outbox and the longest messages beside it.
const OUTBOX_BYTES_MAX: usize = 128 << 10;
const MESSAGE_BYTES_MAX: usize = 8 << 10;

pub(super) fn run(octets: &[u8]) {
    let mut input = Input::new(octets);
    let flags = input.octet();
    let mut stage = Stage::new(flags);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        stage.step(&mut input);
    }
    stage.finish();
}

struct Stage {
    world: World,
    subscriber: (Peer, LinkId),
    callee: (Peer, LinkId),
    publisher: (Peer, LinkId),
    caller: (Peer, LinkId),
    /// Publications and calls of the probe so far.
    probes: u64,
    hostile: Vec<Hostile>,
}

struct Hostile {
    link: LinkId,
    peer: Peer,
    /// Everything it has sent was in good form, so that what it gets can be read.
    is_polite: bool,
}

impl Stage {
    fn new(flags: u8) -> Stage {
        let batches = [64, 1, 2, 8][usize::from(flags % 4)];
        let mut world =
            World::new(config(), SHARDS, LaneBounds { batches, octets: 1 << 20 }, u64::from(flags));
        let mut join = |shard, serializer| {
            let mut peer = Peer::rawsocket(serializer, LENGTH_MAX);
            let link = world.connect(shard, 0);
            peer.send(&json!([1, "realm1", {"roles": {"subscriber": {}, "publisher": {}, "callee": {}, "caller": {}}}]));
            world.send(link, &peer.take_output());
            (peer, link)
        };
        let mut stage = Stage {
            subscriber: join(0, Serializer::MsgPack),
            callee: join(1, Serializer::Cbor),
            publisher: join(1, Serializer::Json),
            caller: join(0, Serializer::Json),
            probes: 0,
            hostile: Vec::new(),
            world,
        };
        stage.settle();
        say(&mut stage.world, &mut stage.subscriber, &json!([32, 1, {}, "probe.topic"]));
        say(&mut stage.world, &mut stage.callee, &json!([64, 1, {}, "probe.procedure"]));
        stage.settle();
        for (client, answer) in [(&mut stage.subscriber, 33), (&mut stage.callee, 65)] {
            assert!(hear(&mut stage.world, client).iter().any(|message| message[0] == answer));
        }
        stage
    }

    /// One instruction.
    fn step(&mut self, input: &mut Input<'_>) {
        match input.octet() % 16 {
            0 => self.connect(input, false),
            1 => self.connect(input, true),
            2..=4 => {
                let Some(at) = self.choose(input) else { return };
                let octets = input.string();
                self.hostile[at].is_polite = false;
                self.world.send(self.hostile[at].link, octets);
            }
            5 | 7 => {
                let Some(at) = self.choose(input) else { return };
                let octets = input.string();
                self.say(at, octets);
            }
            6 | 8..=10 => {
                let Some(at) = self.choose(input) else { return };
                let message = template(input);
                let octets = crate::codec::encode(self.hostile[at].peer.serializer, &message);
                self.say(at, &octets);
            }
            11 => {
                let shard = input.below(usize::from(SHARDS));
                self.world.chaotic_turn(shard);
            }
            12 => {
                let Some(at) = self.choose(input) else { return };
                let end = if input.below(2) == 0 { End::Eof } else { End::Broken };
                self.world.end(self.hostile[at].link, end);
            }
            13 => {
                let Some(at) = self.choose(input) else { return };
                let credit = [Some(0), None, Some(100), Some(10_000)][input.below(4)];
                self.world.links[self.hostile[at].link].credit = credit;
            }
            14 => {
                let span = Duration::from_millis(50 * u64::from(input.octet()));
                self.world.advance(span).unwrap_or_else(|error| panic!("{error}"));
            }
            _ => self.probe(),
        }
        self.read_hostile();
    }

    fn connect(&mut self, input: &mut Input<'_>, joins: bool) {
        if self.hostile.len() == CONNECTIONS_MAX {
            return;
        }
        let shard = input.below(usize::from(SHARDS));
        let kind = input.octet();
        let serializer = Serializer::ALL[usize::from(kind) % 3];
        let seed = u64::from(kind);
        let mut peer = match (joins, kind & 0x10) {
            (false, _) => Peer::silent(),
            (true, 0) => Peer::rawsocket(serializer, [LENGTH_MAX, 0][usize::from(kind >> 7)]),
            (true, _) => Peer::websocket(serializer, seed),
        };
        let link = self.world.connect(shard, u16::from(kind & 0x20 != 0));
        let mut is_polite = joins;
        if joins {
            let realm = if kind & 0x40 == 0 { "realm1" } else { "realm2" };
            let roles = json!({"subscriber": {}, "publisher": {}, "callee": {}, "caller": {}});
            self.world.send(link, &peer.take_output());
            self.settle();
            // A listener that is full refuses the handshake.
            is_polite = peer.receive(&self.world.read(link)).is_ok();
            let mut details = json!({"roles": roles});
            if kind & 0x48 == 0x48 {
                // To be admitted it must prove something; whoever serves `a.b` in `realm1` is asked about it.
                let method = ["ticket", "wampcra"][usize::from(kind & 1)];
                details["authmethods"] = json!([method, "other"]);
                details["authid"] = ["user", "somebody"][usize::from(kind >> 1 & 1)].into();
            }
            peer.send(&json!([1, realm, details]));
            self.world.send(link, &peer.take_output());
        }
        self.hostile.push(Hostile { link, peer, is_polite });
    }

    fn choose(&self, input: &mut Input<'_>) -> Option<usize> {
        let choice = input.octet();
        (!self.hostile.is_empty()).then(|| usize::from(choice) % self.hostile.len())
    }

    /// Sends octets as one message, in the framing of the connection.
    fn say(&mut self, at: usize, octets: &[u8]) {
        let Hostile { link, peer, .. } = &mut self.hostile[at];
        peer.send_octets(octets);
        self.world.send(*link, &peer.take_output());
    }

    /// What comes to hostile connections is in good form, as far as they can tell; and no more waits for them than may.
    fn read_hostile(&mut self) {
        for Hostile { link, peer, is_polite } in &mut self.hostile {
            let octets = self.world.read(*link);
            let waiting = self.world.links[*link].sending().map_or(0, Output::len);
            assert!(waiting <= OUTBOX_BYTES_MAX + 2 * MESSAGE_BYTES_MAX + 4096, "{waiting} octets wait");
            if *is_polite && peer.serializer == Serializer::Json {
                peer.receive(&octets).unwrap_or_else(|error| panic!("sent by the router: {error}"));
                self.world.send(*link, &peer.take_output());
            }
        }
    }

    fn settle(&mut self) {
        self.world.settle().unwrap_or_else(|error| panic!("{error}"));
    }

    /// A publication arrives and a call is answered, whatever the others do.
    fn probe(&mut self) {
        self.probes += 1;
        let number = self.probes;
        let token = json!(["probe", number]);
        let options = json!({"acknowledge": true});
        say(&mut self.world, &mut self.publisher, &json!([16, number, options, "probe.topic", token]));
        say(&mut self.world, &mut self.caller, &json!([48, number, {}, "probe.procedure", token]));
        let (mut event, mut published, mut result) = (0, 0, 0);
        // Others may call the procedure too, so that an answer can take a few rounds.
        for _ in 0..4 {
            if event >= 1 && published >= 1 && result >= 1 {
                break;
            }
            self.settle();
            for message in hear(&mut self.world, &mut self.callee) {
                if message[0] == 68 {
                    let args = message.get(4).cloned().unwrap_or_else(|| json!([]));
                    say(&mut self.world, &mut self.callee, &json!([70, message[1], {}, args]));
                }
            }
            let count = |messages: Vec<Value>, matches: &dyn Fn(&Value) -> bool| {
                messages.iter().filter(|message| matches(message)).count()
            };
            event += count(hear(&mut self.world, &mut self.subscriber), &|m| m[0] == 36 && m[4] == token);
            published += count(hear(&mut self.world, &mut self.publisher), &|m| m[0] == 17 && m[1] == number);
            result += count(hear(&mut self.world, &mut self.caller), &|m| {
                m[0] == 50 && m[1] == number && m[3] == token
            });
        }
        assert!(event >= 1, "the event of probe {number} did not arrive");
        assert_eq!((published, result), (1, 1), "PUBLISHED and RESULT of probe {number}");
    }

    /// Everybody leaves; nothing is left.
    fn finish(mut self) {
        self.probe();
        self.read_hostile();
        for hostile in &self.hostile {
            self.world.links[hostile.link].credit = None;
            self.world.end(hostile.link, End::Eof);
        }
        self.world.advance(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{error}"));
        self.probe();
        for (_, link) in [&self.subscriber, &self.callee, &self.publisher, &self.caller] {
            self.world.end(*link, End::Eof);
        }
        self.world.advance(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{error}"));
        for shard in &self.world.shards {
            assert!(shard.residue().is_empty(), "{:?}", shard.residue());
        }
    }
}

/// Listener 1 pings its connections and takes clients without a subprotocol.
fn config() -> Config {
    let mut config = config::config();
    let mut transport = (*config.listeners[0].transport).clone();
    transport.message_bytes_max = MESSAGE_BYTES_MAX;
    config.listeners[0].transport = transport.clone().into();
    transport.assume_subprotocol = Some(Serializer::Json);
    config.listeners.push(Listener {
        transport: transport.into(),
        tls: None,
        channel_binding: false,
        ping_interval: Some(Duration::from_secs(1)),
        ping_timeout: Duration::from_secs(2),
        connections_max: Some(3),
    });
    let mut realm = Arc::into_inner(config::with_tickets(["user"])).expect("nobody else has it");
    let source = ProcedureSource { realm: Some("realm1".into()), procedure: "a.b".into() };
    let source = Source::Procedure(Arc::new(source));
    for method in [Method::Ticket, Method::WampCra] {
        realm.add_source(method, source.clone()).expect("the method takes such sources");
    }
    config.realms[1].authentication = Arc::new(realm);
    config.limits.outbox_bytes_max = OUTBOX_BYTES_MAX;
    for realm in &mut config.realms {
        realm.limits.subscriptions_per_session_max = 8;
        realm.limits.registrations_per_session_max = 8;
        realm.limits.calls_per_session_max = 8;
        // All hostile connections together do not keep the callee of the probe from being called.
        realm.limits.invocations_per_session_max = 8 * CONNECTIONS_MAX + 1;
    }
    config
}

fn say(world: &mut World, (peer, link): &mut (Peer, LinkId), message: &Value) {
    peer.send(message);
    world.send(*link, &peer.take_output());
}

fn hear(world: &mut World, (peer, link): &mut (Peer, LinkId)) -> Vec<Value> {
    let heard = peer.receive(&world.read(*link)).unwrap_or_else(|error| panic!("{error}"));
    assert!(world.links[*link].closed.is_none(), "a healthy client was cut off");
    heard
        .into_iter()
        .filter_map(|heard| if let Heard::Message(message) = heard { Some(message) } else { None })
        .collect()
}

/// A message that is nearly right: which one, with which number, about which URI.
fn template(input: &mut Input<'_>) -> Value {
    const URIS: [&str; 8] =
        ["a.b", "probe.topic", "probe.procedure", "probe.", "a..b", "", "wamp.x", "a.b.c"];
    const POLICIES: [&str; 4] = ["exact", "prefix", "wildcard", "other"];
    const INVOKE: [&str; 6] = ["single", "first", "last", "roundrobin", "random", "other"];
    const MODES: [&str; 4] = ["skip", "kill", "killnowait", "other"];
    let (which, choice) = (input.octet(), input.octet());
    let number = u64::from(choice & 0x0F);
    let uri = URIS[usize::from(choice >> 4) % 8];
    let options = match which >> 5 {
        0..=1 => json!({}),
        2 => json!({"mode": MODES[usize::from(choice) % 4]}),
        3 => json!({"progress": true, "receive_progress": true, "disclose_me": true, "timeout": 20}),
        4 => json!({"acknowledge": true, "exclude_me": false}),
        5 => {
            json!({"match": POLICIES[usize::from(choice) % 4], "invoke": INVOKE[usize::from(choice >> 2) % 6]})
        }
        6 => json!({"x": "y".repeat(50 * usize::from(choice))}),
        _ => json!({"match": 7, "acknowledge": "x", "exclude": [0], "timeout": -1}),
    };
    // Long ones, but not for the probe, whose outbox is as short as all others.
    let length = if uri.starts_with("probe") { 8 } else { usize::from(choice) * usize::from(choice) / 8 };
    let args = json!(["z".repeat(length)]);
    match which % 20 {
        0 => json!([1, "realm1", {"roles": {"publisher": {}}}]),
        1 => json!([6, options, "wamp.close.normal"]),
        2 => json!([3, options, uri]),
        3 | 4 => json!([16, number, options, uri, args]),
        5 | 6 => json!([32, number, options, uri]),
        7 => json!([34, number, number]),
        8 | 9 => json!([48, number, options, uri, args]),
        10 | 11 => json!([64, number, options, uri]),
        12 => json!([66, number, number]),
        13 | 14 => json!([70, number, options, args]),
        15 => json!([8, 68, number, options, uri, args]),
        16 => json!([49, number, options]),
        17 => json!([5, uri, options]),
        18 => json!([50, number, options]),
        _ => json!([which, number, options, uri]),
    }
}
