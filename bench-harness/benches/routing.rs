//! Matching: what a PUBLISH or CALL costs to find its subscriptions or its registration; and what a change of the directory
//! costs each shard.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wampline_bench::hot::Shape;
use wampline_routing::uri::{MatchPolicy, UriRules};
use wampline_routing::{Delta, RealmId, Replica, ShardId};
use wampline_wire::SubscriptionId;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, check, matching, apply);
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
