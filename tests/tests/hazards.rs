//! Races found on paper, each brought about on purpose: the shards take their turns in the order that hurts.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};
use wampline_shard::Config;
use wampline_tests::config;
use wampline_tests::peer::{Heard, LENGTH_MAX, Peer};
use wampline_tests::stage::{play, stages};
use wampline_tests::world::{End, LaneBounds, LinkId, World};
use wampline_wire::Serializer;

/// A world in which every turn is taken by hand.
struct Bench {
    world: World,
    peers: Vec<(Peer, LinkId)>,
}

impl Bench {
    fn new(shards: u16, lane_batches: usize, configure: impl Fn(&mut Config)) -> Bench {
        let mut config = config::config();
        configure(&mut config);
        let bounds = LaneBounds { batches: lane_batches, octets: 4 << 20 };
        Bench { world: World::new(config, shards, bounds, 7), peers: Vec::new() }
    }

    /// A client that has joined `realm1` on this shard.
    fn join(&mut self, shard: usize) -> usize {
        let client = self.connect(shard);
        self.send(
            client,
            json!([1, "realm1", {"roles": {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}}]),
        );
        self.settle();
        assert_eq!(self.hear(client)[0][0], 2);
        client
    }

    fn connect(&mut self, shard: usize) -> usize {
        let link = self.world.connect(shard, 0);
        self.peers.push((Peer::rawsocket(Serializer::Json, LENGTH_MAX), link));
        self.peers.len() - 1
    }

    fn send(&mut self, client: usize, message: Value) {
        let (peer, link) = &mut self.peers[client];
        peer.send(&message);
        self.world.send(*link, &peer.take_output());
    }

    /// All messages that have come.
    fn hear(&mut self, client: usize) -> Vec<Value> {
        let (peer, link) = &mut self.peers[client];
        let heard = peer.receive(&self.world.read(*link)).unwrap();
        heard
            .into_iter()
            .filter_map(|heard| if let Heard::Message(m) = heard { Some(m) } else { None })
            .collect()
    }

    fn one(&mut self, client: usize) -> Value {
        let mut heard = self.hear(client);
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    fn turn(&mut self, shard: usize) {
        self.world.orderly_turn(shard);
    }

    fn settle(&mut self) {
        self.world.settle().unwrap();
    }

    /// Sends a request and gives the second element of its answer's rest.
    fn ask(&mut self, client: usize, message: Value) -> u64 {
        self.send(client, message);
        self.settle();
        self.one(client)[2].as_u64().unwrap()
    }

    /// Everybody leaves; nothing may be left.
    fn finish(mut self) {
        for (_, link) in &self.peers {
            self.world.links[*link].credit = None;
            self.world.end(*link, End::Eof);
        }
        self.world.advance(Duration::from_secs(60)).unwrap();
        for shard in &self.world.shards {
            assert_eq!(shard.residue(), Vec::<String>::new());
        }
    }
}

/// Which of two shards is the home of `realm1`: it alone answers a join in its first turn.
fn home() -> usize {
    (0..2)
        .find(|&shard| {
            let mut bench = Bench::new(2, 64, |_| {});
            let client = bench.connect(shard);
            bench.send(client, json!([1, "realm1", {"roles": {"caller": {}}}]));
            bench.turn(shard);
            bench.turn(shard);
            !bench.hear(client).is_empty()
        })
        .unwrap()
}

#[test]
fn an_unsubscribe_crosses_an_event() {
    let (home, away) = (home(), 1 - home());
    for (subscriber_at, publisher_at) in [(home, away), (away, home)] {
        let mut bench = Bench::new(2, 64, |_| {});
        let (subscriber, publisher) = (bench.join(subscriber_at), bench.join(publisher_at));
        let id = bench.ask(subscriber, json!([32, 1, {}, "com.topic"]));
        // The publication is on its way when UNSUBSCRIBE is answered, on whichever shard that is decided.
        bench.send(publisher, json!([16, 1, {}, "com.topic", [1]]));
        bench.turn(publisher_at);
        bench.send(subscriber, json!([34, 2, id]));
        bench.settle();
        let heard = bench.hear(subscriber);
        let position = heard.iter().position(|message| message[0] == 35).unwrap();
        assert_eq!(position, heard.len() - 1, "nothing after UNSUBSCRIBED: {heard:?}");
        bench.finish();
    }
}

#[test]
fn an_unregister_crosses_a_call() {
    let (home, away) = (home(), 1 - home());
    for (callee_at, caller_at) in [(home, away), (away, home)] {
        for unregister_first in [false, true] {
            let mut bench = Bench::new(2, 64, |_| {});
            let (callee, caller) = (bench.join(callee_at), bench.join(caller_at));
            let id = bench.ask(callee, json!([64, 1, {}, "com.procedure"]));
            bench.send(callee, json!([66, 2, id]));
            bench.send(caller, json!([48, 1, {}, "com.procedure"]));
            let order = if unregister_first { [callee_at, caller_at] } else { [caller_at, callee_at] };
            order.into_iter().for_each(|shard| bench.turn(shard));
            bench.settle();
            let heard = bench.hear(callee);
            assert_eq!(heard.last().unwrap()[0], 67, "nothing after UNREGISTERED: {heard:?}");
            if heard.len() == 2 {
                assert_eq!(heard[0][0], 68);
                bench.send(callee, json!([70, 1, {}]));
                bench.settle();
                assert_eq!(bench.one(caller), json!([50, 1, {}]));
            } else {
                assert_eq!(bench.one(caller)[4], "wamp.error.no_such_procedure");
            }
            bench.finish();
        }
    }
}

/// The second subscriber of a shard adds nothing that other shards must know, and yet waits until they know of the first.
#[test]
fn the_second_member_of_a_shard_waits_for_the_first_ones_change() {
    let (home, away) = (home(), 1 - home());
    let mut bench = Bench::new(2, 64, |_| {});
    let (first, second, publisher) = (bench.join(home), bench.join(home), bench.join(away));
    bench.send(first, json!([32, 1, {}, "com.topic"]));
    bench.turn(home);
    bench.send(second, json!([32, 1, {}, "com.topic"]));
    bench.turn(home);
    bench.turn(home);
    assert!(bench.hear(first).is_empty(), "the other shard has not heard of it");
    assert!(bench.hear(second).is_empty(), "the other shard has not heard of it");
    // What is published before that need not arrive.
    bench.turn(away);
    bench.turn(home);
    bench.turn(home);
    assert_eq!(bench.one(first)[0], 33);
    assert_eq!(bench.one(second)[0], 33);
    bench.send(publisher, json!([16, 1, {}, "com.topic", [1]]));
    bench.settle();
    assert_eq!(bench.one(first)[4], json!([1]));
    assert_eq!(bench.one(second)[4], json!([1]));
    bench.finish();
}

#[test]
fn a_caller_leaves_while_the_answer_is_in_flight_and_its_place_is_taken() {
    let mut bench = Bench::new(2, 64, |_| {});
    let (callee, caller) = (bench.join(0), bench.join(1));
    bench.ask(callee, json!([64, 1, {}, "com.procedure"]));
    bench.send(caller, json!([48, 1, {}, "com.procedure", ["old"]]));
    bench.settle();
    assert_eq!(bench.one(callee)[4], json!(["old"]));
    bench.send(callee, json!([70, 1, {}, ["old"]]));
    bench.turn(0);
    // The answer is in the lane. The caller leaves; another session takes its place and calls with the same id.
    bench.world.end(bench.peers[caller].1, End::Broken);
    bench.turn(1);
    let heir = bench.connect(1);
    bench.send(heir, json!([1, "realm1", {"roles": {"caller": {}}}]));
    bench.send(heir, json!([48, 1, {}, "com.procedure", ["new"]]));
    bench.settle();
    let heard = bench.hear(heir);
    assert_eq!(heard.len(), 1, "WELCOME alone: {heard:?}");
    assert_eq!(bench.one(callee)[4], json!(["new"]));
    bench.send(callee, json!([70, 2, {}, ["new"]]));
    bench.settle();
    assert_eq!(bench.one(heir), json!([50, 1, {}, ["new"]]));
    bench.finish();
}

#[test]
fn a_callee_leaves_with_invocations_in_flight() {
    for turns in 0..4 {
        let mut bench = Bench::new(2, 1, |_| {});
        let (callee, caller) = (bench.join(0), bench.join(1));
        bench.ask(callee, json!([64, 1, {}, "com.procedure"]));
        for n in 1..=50 {
            bench.send(caller, json!([48, n, {}, "com.procedure"]));
        }
        for n in 0..turns {
            bench.turn((n + 1) % 2);
        }
        bench.world.end(bench.peers[callee].1, End::Broken);
        bench.settle();
        let mut answered: Vec<u64> = Vec::new();
        for answer in bench.hear(caller) {
            let error = answer[4].as_str().unwrap();
            assert!(["wamp.error.canceled", "wamp.error.no_such_procedure"].contains(&error), "{answer}");
            answered.push(answer[2].as_u64().unwrap());
        }
        answered.sort_unstable();
        assert_eq!(answered, (1..=50).collect::<Vec<u64>>(), "each exactly once");
        bench.finish();
    }
}

/// Everybody on every shard floods everybody else through lanes that hold one batch.
#[test]
fn full_lanes_in_a_cycle_do_not_deadlock() {
    const SHARDS: usize = 4;
    const ROUNDS: u64 = 60;
    let mut bench = Bench::new(SHARDS as u16, 1, |_| {});
    let clients: Vec<usize> = (0..SHARDS).map(|shard| bench.join(shard)).collect();
    for &client in &clients {
        bench.ask(client, json!([32, 1, {}, "com.topic"]));
        bench.ask(client, json!([64, 2, {}, format!("com.procedure{client}")]));
    }
    let padding = "x".repeat(1000);
    for n in 0..ROUNDS {
        for &client in &clients {
            let next = format!("com.procedure{}", (client + 1) % SHARDS);
            bench.send(client, json!([16, 10 + 2 * n, {}, "com.topic", [client, n, padding]]));
            bench.send(client, json!([48, 11 + 2 * n, {}, next, [client, n, padding]]));
        }
        // Several turns of one shard before the next one drains its lanes.
        bench.turn(n as usize / 5 % SHARDS);
    }
    let mut seen = vec![vec![0; SHARDS]; SHARDS];
    let mut results = [0; SHARDS];
    loop {
        bench.settle();
        let mut moved = false;
        for &client in &clients {
            for message in bench.hear(client) {
                moved = true;
                match message[0].as_u64().unwrap() {
                    36 => {
                        let publisher = message[4][0].as_u64().unwrap() as usize;
                        assert_eq!(message[4][1], json!(seen[client][publisher]), "in order, without a gap");
                        seen[client][publisher] += 1;
                    }
                    68 => bench.send(client, json!([70, message[1], {}])),
                    50 => results[client] += 1,
                    _ => panic!("{message}"),
                }
            }
        }
        if !moved {
            break;
        }
    }
    for client in 0..SHARDS {
        assert_eq!(results[client], ROUNDS);
        assert!((0..SHARDS).all(|other| other == client || seen[client][other] == ROUNDS));
    }
    let full: u64 = bench
        .world
        .shared
        .counters
        .iter()
        .map(|c| c.lanes_full.load(std::sync::atomic::Ordering::Relaxed))
        .sum();
    assert!(full > 0, "the lanes were never full");
    bench.finish();
}

#[test]
fn a_session_leaves_while_it_joins() {
    let away = 1 - home();
    for end in [End::Eof, End::Broken] {
        for turns in 0..4 {
            let mut bench = Bench::new(2, 64, |_| {});
            let client = bench.connect(away);
            bench.send(client, json!([1, "realm1", {"roles": {"caller": {}}}]));
            bench.send(client, json!([64, 1, {}, "com.procedure"]));
            for n in 0..turns {
                bench.turn((away + n) % 2);
            }
            bench.world.end(bench.peers[client].1, end);
            bench.settle();
            let other = bench.join(away);
            bench.ask(other, json!([64, 1, {}, "com.procedure"]));
            bench.finish();
        }
    }
}

/// A session with very many subscriptions leaves in slices. Others are served in between, and a publication to a topic that
/// it has not been taken out of yet goes to the others alone.
#[test]
fn a_session_with_100000_subscriptions_leaves_in_slices() {
    const SUBSCRIPTIONS: u64 = 100_000;
    for shards in [1, 2] {
        let mut bench = Bench::new(shards, 64, |config| config.limits.outbox_bytes_max = 64 << 20);
        let far = usize::from(shards) - 1;
        let (many, listener, publisher) = (bench.join(0), bench.join(0), bench.join(far));
        for n in 1..=SUBSCRIPTIONS {
            bench.send(many, json!([32, n, {}, format!("com.topic{n}")]));
        }
        bench.settle();
        assert_eq!(bench.hear(many).len() as u64, SUBSCRIPTIONS);
        let topics = [1, SUBSCRIPTIONS / 2, SUBSCRIPTIONS];
        for (n, topic) in topics.iter().enumerate() {
            bench.ask(listener, json!([32, n + 1, {}, format!("com.topic{topic}")]));
        }
        bench.world.end(bench.peers[many].1, End::Broken);
        bench.turn(0);
        // Takes the place of the connection that is gone.
        let heir = bench.connect(0);
        bench.send(heir, json!([1, "realm1", {"roles": {"subscriber": {}}}]));
        let mut rounds = 0u64;
        while bench.world.shards[0].residue().iter().any(|line| line.starts_with("departures")) {
            rounds += 1;
            for topic in topics {
                bench.send(
                    publisher,
                    json!([16, rounds * 3 + topic, {}, format!("com.topic{topic}"), [rounds]]),
                );
            }
            (0..usize::from(shards)).for_each(|shard| bench.turn(shard));
        }
        assert!(rounds > 10, "it left in {rounds} slices");
        bench.settle();
        let heard = bench.hear(listener);
        assert_eq!(heard.len() as u64, rounds * 3, "every publication has reached the other member");
        assert_eq!(bench.one(heir)[0], 2, "WELCOME alone");
        for (n, event) in heard.iter().enumerate() {
            assert_eq!(event[4][0].as_u64().unwrap(), n as u64 / 3 + 1, "in order");
        }
        bench.finish();
    }
}

/// GOODBYE waits for the home shard at most a second; a later GOODBYE of another session on the same transport is not
/// answered by the release of the earlier one.
#[test]
fn a_late_release_answers_no_other_goodbye() {
    const SUBSCRIPTIONS: u64 = 20_000;
    let (home, away) = (home(), 1 - home());
    let mut bench = Bench::new(2, 64, |_| {});
    let (client, other) = (bench.join(away), bench.join(home));
    for n in 1..=SUBSCRIPTIONS {
        bench.send(client, json!([32, n, {}, format!("com.topic{n}")]));
    }
    bench.settle();
    assert_eq!(bench.hear(client).len() as u64, SUBSCRIPTIONS);
    bench.send(client, json!([6, {}, "wamp.close.close_realm"]));
    (0..30).for_each(|_| bench.turn(away));
    bench.world.now += 1_100_000_000;
    (0..2).for_each(|_| bench.turn(away));
    assert_eq!(bench.one(client)[0], 6, "answered although the home shard has not run");
    bench.send(client, json!([1, "realm1", {"roles": {"callee": {}}}]));
    bench.send(client, json!([64, 1, {}, "com.second"]));
    // The home shard still releases what the first session owned when the second one leaves.
    let mut heard = Vec::new();
    while heard.len() < 2 {
        (0..2).for_each(|shard| bench.turn(shard));
        heard.extend(bench.hear(client));
    }
    assert_eq!((&heard[0][0], &heard[1][0]), (&json!(2), &json!(65)));
    let is_releasing = |bench: &Bench| bench.world.shards[away].residue().contains(&"sessions: 2".to_owned());
    assert!(is_releasing(&bench), "{:?}", bench.world.shards[away].residue());
    bench.send(client, json!([6, {}, "wamp.close.close_realm"]));
    // Its Leave is held back in the lane: the home shard takes its turns without hearing of it.
    bench.world.hold(away, home, true);
    (0..100).for_each(|_| (0..2).for_each(|shard| bench.turn(shard)));
    assert!(bench.hear(client).is_empty(), "com.second is not free yet");
    bench.world.hold(away, home, false);
    bench.settle();
    assert_eq!(bench.one(client)[0], 6);
    bench.ask(other, json!([64, 1, {}, "com.second"]));
    bench.finish();
}

#[test]
fn pipelining_behaves_as_on_one_shard() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a> [48, 2, {}, "com.procedure", [1]]
        a> [32, 3, {}, "com.topic"]
        a> [16, 4, {"exclude_me": false}, "com.topic", [2]]
        a> [48, 5, {}, "com.nobody"]
        a< [65, 1, $r]
        a< [68, 1, $r, {}, [1]]
        a< [33, 3, $s]
        a< [36, $s, $_, {}, [2]]
        a< [8, 48, 5, {}, "wamp.error.no_such_procedure", $_]
        a> [70, 1, {}, [3]]
        a< [50, 2, {}, [3]]
        "#,
    );
}

/// A message that waited for an answer goes before what arrives between the answer and its release.
#[test]
fn a_held_message_is_not_overtaken() {
    let away = 1 - home();
    let mut bench = Bench::new(2, 64, |_| {});
    let client = bench.join(away);
    bench.send(client, json!([32, 1, {}, "com.topic"]));
    bench.send(client, json!([16, 2, {"exclude_me": false}, "com.topic", [1]]));
    bench.turn(away);
    bench.turn(1 - away);
    bench.turn(away);
    bench.turn(1 - away);
    // The answer and the next message arrive in the same turn, the answer first.
    bench.send(client, json!([16, 3, {"exclude_me": false}, "com.topic", [2]]));
    bench.settle();
    let heard = bench.hear(client);
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert_eq!((&heard[1][4], &heard[2][4]), (&json!([1]), &json!([2])));
    bench.finish();
}

#[test]
fn more_requests_than_may_wait_are_all_answered() {
    for mut stage in stages(|_| {}) {
        for n in 1..=500u64 {
            stage.say("a", &json!([32, n, {}, format!("com.topic{n}")]));
        }
        stage.say("a", &json!([16, 501, {"exclude_me": false}, "com.topic500", []]));
        for n in 1..=500u64 {
            assert_eq!(stage.hear("a").unwrap()[1], n);
        }
        assert_eq!(stage.hear("a").unwrap()[0], 36);
        stage.finish();
    }
}

/// A publisher that does not read its own events is stopped by its own outbox and by nobody else's.
#[test]
fn who_does_not_read_is_not_read() {
    let mut bench = Bench::new(1, 64, |config| config.limits.outbox_bytes_max = 1 << 20);
    let (lazy, other) = (bench.join(0), bench.join(0));
    bench.ask(lazy, json!([32, 1, {}, "com.topic"]));
    bench.ask(other, json!([32, 1, {}, "com.topic"]));
    let link = bench.peers[lazy].1;
    bench.world.links[link].credit = Some(0);
    let padding = "x".repeat(1000);
    const COUNT: u64 = 5000;
    for n in 0..COUNT {
        bench.send(lazy, json!([16, n + 10, {"exclude_me": false}, "com.topic", [n, padding]]));
    }
    bench.settle();
    let before = bench.hear(other).len() as u64;
    assert!(before > 100 && before < COUNT, "{before} were let through");
    assert_eq!(bench.world.links[link].closed, None);
    assert!(bench.world.is_stuck(link), "the rest waits outside");
    bench.world.links[link].credit = None;
    bench.settle();
    assert_eq!(bench.hear(lazy).len() as u64, COUNT);
    assert_eq!(before + bench.hear(other).len() as u64, COUNT);
    bench.finish();
}
