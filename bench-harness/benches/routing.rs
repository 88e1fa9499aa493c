//! Matching: what a PUBLISH or CALL costs to find its subscriptions or its registration.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wampline_routing::pattern::PatternTable;
use wampline_routing::uri::{MatchPolicy, UriRules};

criterion_group!(benches, check, matching);
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

/// One topic that matches one entry, in a table with this many exact ones, alone and beside as many patterns.
fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match");
    for entries in ENTRIES {
        let topic = format!("com.example.s{}.value", entries / 2);
        let mut table = PatternTable::new();
        for n in 0..entries {
            insert(&mut table, MatchPolicy::Exact, &format!("com.example.s{n}.value"), n);
        }
        group.bench_function(BenchmarkId::new("exact", entries), |bencher| {
            bencher.iter(|| count(&table, black_box(&topic)));
        });
        for n in 0..entries {
            insert(&mut table, MatchPolicy::Prefix, &format!("com.other.s{n}."), n);
            insert(&mut table, MatchPolicy::Wildcard, &format!("com..s{n}.status"), n);
        }
        group.bench_function(BenchmarkId::new("beside_patterns", entries), |bencher| {
            bencher.iter(|| count(&table, black_box(&topic)));
        });
    }
    group.finish();
}

fn insert(table: &mut PatternTable<usize>, policy: MatchPolicy, uri: &str, value: usize) {
    table.insert(policy, uri, value).expect("the table admits these shapes");
}

fn count(table: &PatternTable<usize>, topic: &str) -> usize {
    let mut found = 0;
    table.for_each_match(topic, |_, _| found += 1);
    assert_eq!(found, 1);
    found
}
