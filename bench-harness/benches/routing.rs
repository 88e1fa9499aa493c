//! Matching: what a PUBLISH or CALL costs to find its subscriptions or its registration, and to be permitted; and what a change of the
//! directory costs each shard.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wampline_bench::hot::Shape;
use wampline_bench::permit::{By, Permits, Topic};
use wampline_routing::pattern::UriHasher;
use wampline_routing::uri::{MatchPolicy, UriRules};
use wampline_routing::{Delta, RealmId, Replica, ShardId};
use wampline_wire::SubscriptionId;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, check, matching, permit, apply);
criterion_main!(benches);

/// Entries of each kind.
const ENTRIES: [usize; 3] = [10, 1_000, 100_000];

fn check(criterion: &mut Criterion) {
    for rules in [UriRules::Loose, UriRules::Strict] {
        criterion.bench_function(&format!("check_uri/{rules:?}"), |bencher| {
            bencher.iter(|| rules.check(black_box("com.example.sensors.temperature.42")).is_ok());
        });
    }
}

/// One topic in a table with this many entries of each kind.
fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match");
    for shape in Shape::ALL {
        for entries in ENTRIES {
            let (table, topic) = shape.table(entries);
            group.bench_function(BenchmarkId::new(shape.name(), entries), |bencher| {
                bencher.iter(|| {
                    let mut found = 0;
                    table.for_each_match(black_box(&topic), |_, _| found += 1);
                    assert_eq!(found, shape.matches());
                });
            });
        }
    }
    group.finish();
}

/// Whether a session may publish, by a rule of a role with this many of each kind, or by what an authorizer has answered among as many
/// answers. `rules` is what they cost when they are looked up; the others are what a shard asks for each PUBLISH: `known` for one
/// topic over and over, `new` for so many topics in turn that none is remembered any more. The hash of the topic is a row of its own:
/// a PUBLISH needs it for matching anyway.
fn permit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("permit");
    for entries in ENTRIES {
        let mut permits = Permits::new(entries);
        for by in By::ALL {
            let topic = permits.topic(by);
            group.bench_function(BenchmarkId::new(format!("{}_rules", by.name()), entries), |bencher| {
                bencher.iter(|| permits.decide_cold(black_box(&topic)));
            });
            group.bench_function(BenchmarkId::new(format!("{}_known", by.name()), entries), |bencher| {
                bencher.iter(|| permits.decide(black_box(&topic)));
            });
        }
    }
    let mut permits = Permits::new(1_000);
    let topics: Vec<Topic> =
        (0..1 << 16).map(|n| Topic::new(format!("com.example.prefix.p{}.t{n}", n % 1_000))).collect();
    let mut next = topics.iter().cycle();
    group.bench_function("prefix_new/1000", |bencher| {
        bencher.iter(|| next.next().map(|topic| permits.decide(topic)));
    });
    let hasher = UriHasher::with_seed(1);
    group.bench_function("hash", |bencher| {
        bencher.iter(|| hasher.hash(black_box("com.example.prefix.p999.temperature")));
    });
    group.finish();
}

/// A subscription that comes and goes, in a replica with this many others.
fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply_two_changes");
    for policy in [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard] {
        for entries in ENTRIES {
            let mut replica = Replica::new(&ahash::RandomState::with_seed(1));
            for n in 0..entries {
                replica.apply(&change(policy, n, true));
            }
            let (come, go) = (change(policy, entries, true), change(policy, entries, false));
            group.bench_function(BenchmarkId::new(format!("{policy:?}"), entries), |bencher| {
                bencher.iter(|| {
                    replica.apply(black_box(&come));
                    replica.apply(black_box(&go));
                });
            });
        }
    }
    group.finish();
}

fn change(policy: MatchPolicy, n: usize, present: bool) -> Delta {
    let topic: Arc<str> = match policy {
        MatchPolicy::Wildcard => format!("com..s{n}.value").into(),
        _ => format!("com.example.s{n}.").into(),
    };
    let subscription = SubscriptionId::new(n as u64 + 1).expect("an id");
    Delta::Subscription { realm: RealmId(0), subscription, policy, topic, shard: ShardId(0), present }
}
