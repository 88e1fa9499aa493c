//! Costs in nanoseconds of processor time and in octets of resident memory.

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use wampline_routing::meta::{Arrival, Transport};
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{
    Delta, Directory, DirectoryLimits, Identity, RealmId, Replica, SessionRef, ShardId, SubscribeRequest,
    Visibility,
};
use wampline_wire::{Dict, Message, RequestId, Serializer, SessionId, SubscriptionId};

use crate::paths;
use crate::procfs;
use crate::stage::{Framed, Stage, Visitor, request};
use crate::thread_time::thread_time;

/// The fewest nanoseconds per operation of several attempts: what others do to the machine only adds.
fn fastest(attempts: u32, operations: u64, mut attempt: impl FnMut()) -> f64 {
    let time = |_| {
        let before = thread_time();
        attempt();
        thread_time().saturating_sub(before).as_nanos() as f64 / operations as f64
    };
    (0..attempts).map(time).fold(f64::INFINITY, f64::min)
}

/// What a session's coming and going costs with this many shards, in nanoseconds of turns.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// Shards.
    pub shards: u16,
    /// A session joins and drops its connection: all shards together.
    pub join: f64,
    /// A subscription of its own besides, which is two changes of the directory: what that adds on the home shard.
    pub change_home: f64,
    /// What it adds on each other shard, on average.
    pub change_other: f64,
}

/// Measures joins, and joins with a subscription, of `batch` sessions per turn, dealt over the shards.
pub fn churn(shards: u16, batch: usize) -> Churn {
    let mut stage = Stage::new(shards);
    let rounds = (1_500 / batch).max(10);
    let operations = (rounds * batch) as f64;
    let mut attempt = |subscribes: bool| -> Vec<f64> {
        stage.take_busy();
        (0..rounds).for_each(|_| come_and_go(&mut stage, shards, batch, subscribes));
        stage.take_busy().iter().map(|busy| busy.as_nanos() as f64 / operations).collect()
    };
    attempt(true);
    // By shard, the least of several attempts.
    let mut least = |subscribes| -> Vec<f64> {
        let attempts: Vec<Vec<f64>> = (0..5).map(|_| attempt(subscribes)).collect();
        let of = |shard: usize| attempts.iter().map(|attempt| attempt[shard]).fold(f64::INFINITY, f64::min);
        (0..usize::from(shards)).map(of).collect()
    };
    let (without, with) = (least(false), least(true));
    let added: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with - without).collect();
    // Nobody says which shard is home, but it works most.
    let change_home = added.iter().copied().fold(0.0, f64::max);
    let others = (added.len() - 1).max(1) as f64;
    let change_other = (added.iter().sum::<f64>() - change_home) / others;
    Churn { shards, join: without.iter().sum(), change_home, change_other }
}

fn come_and_go(stage: &mut Stage, shards: u16, batch: usize, subscribes: bool) {
    let open = |n: usize| stage.open(n % usize::from(shards), Framed::RawSocket, Serializer::MsgPack);
    let mut visitors: Vec<Visitor> = (0..batch).map(open).collect();
    stage.all_say(&mut visitors, |_, visitor, out| visitor.write_hello(out));
    if subscribes {
        stage.all_say(&mut visitors, |n, visitor, out| {
            let topic = Cow::Owned(format!("com.example.own.{n}"));
            visitor.write(&Message::Subscribe { request: request(1), options: Dict::EMPTY, topic }, out);
        });
    }
    visitors.iter().for_each(|visitor| stage.leave(visitor));
    stage.settle();
}

/// Nanoseconds per message of a whole path, by its name.
pub fn path(name: &str) -> Option<f64> {
    let path = paths::all().into_iter().find(|path| path.name == name)?;
    let mut step = path.prepare();
    let steps = 2_000 / path.batch;
    let mut run = |times| {
        for _ in 0..times {
            black_box(step.run());
        }
    };
    run(200);
    Some(fastest(9, steps * path.batch, || run(steps)))
}

/// What entries hold, in octets of resident memory each.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// A subscription in a replica, by exact topic, prefix and wildcard.
    pub topic: [f64; 3],
    /// A session in the home's directory.
    pub session: f64,
    /// A subscription with one owner in the home's directory.
    pub subscription: f64,
}

/// A kind of entry, and the URI of each.
type Shape = (MatchPolicy, fn(u64) -> String);

/// Measures what `entries` entries hold. URIs have 32 octets.
pub fn memory(entries: u64) -> Memory {
    let mut kept = Vec::new();
    let mut topic = [0.0; 3];
    let shapes: [Shape; 3] = [
        (MatchPolicy::Exact, |n| format!("com.example.sensors.s{n:07}.val")),
        (MatchPolicy::Prefix, |n| format!("com.example.sensors.s{n:07}.va.")),
        (MatchPolicy::Wildcard, |n| format!("com.example..s{n:07}.values.all")),
    ];
    for ((policy, uri), topic) in shapes.into_iter().zip(&mut topic) {
        let mut replica = empty_replica();
        *topic = per_entry(entries, |n| {
            let (realm, shard, present) = (RealmId(0), ShardId(0), true);
            let (subscription, topic) = (SubscriptionId::new(n + 1).expect("an id"), Arc::from(uri(n)));
            replica.apply(&Delta::Subscription { realm, subscription, policy, topic, shard, present });
        });
        kept.push(replica);
    }
    let limits = DirectoryLimits {
        sessions_max: usize::MAX,
        subscriptions_per_session_max: usize::MAX,
        registrations_per_session_max: usize::MAX,
    };
    let mut directory = Directory::new(RealmId(0), limits, &hasher());
    let mut visibility = Visibility::new(ShardId(0), 1);
    let role = Arc::from("anonymous");
    let session_octets = per_entry(entries, |n| {
        directory.join(arrival(n, &role), at(n), &mut visibility);
        if n % 64 == 0 {
            drop(visibility.take_answers());
        }
    });
    let subscription = per_entry(entries, |n| {
        let request = RequestId::new(1).expect("an id");
        let topic = shapes[0].1(n);
        let asked = SubscribeRequest { request, policy: MatchPolicy::Exact, topic: &topic, nkey: None };
        directory.subscribe(session(n), asked, &mut visibility);
        // Alone, every change is visible at once.
        drop(visibility.take_changes());
        drop(visibility.take_answers());
    });
    black_box((&kept, &directory));
    Memory { topic, session: session_octets, subscription }
}

fn per_entry(entries: u64, add: impl FnMut(u64)) -> f64 {
    let resident = || procfs::usage(&[std::process::id()]).resident_kib as f64 * 1024.0;
    let before = resident();
    (0..entries).for_each(add);
    (resident() - before) / entries as f64
}

fn empty_replica() -> Replica {
    Replica::new(&hasher())
}

fn hasher() -> ahash::RandomState {
    ahash::RandomState::with_seed(1)
}

fn session(n: u64) -> SessionId {
    SessionId::new(n + 1).expect("an id")
}

/// A session as it joins. Its identity is shared with its own shard, and counted here.
fn arrival(n: u64, role: &Arc<str>) -> Arrival {
    let identity = Identity {
        session: session(n),
        authid: format!("{n:024}").into(),
        authrole: role.clone(),
        authmethod: "anonymous",
        authprovider: "static",
    };
    let transport = Transport { kind: "rawsocket", serializer: "msgpack", tls: false, peer: None };
    Arrival { identity: Arc::new(identity), transport }
}

fn at(n: u64) -> SessionRef {
    SessionRef { shard: ShardId(0), slot: n as u32, guard: 0 }
}
