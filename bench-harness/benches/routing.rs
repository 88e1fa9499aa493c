//! Matching: what a PUBLISH or CALL costs to find its subscriptions or its registration, and to be permitted; and what a change of the
//! directory costs each shard.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wampline_bench::hot::Shape;
use wampline_routing::authorization::{
    Action, AnswerCache, Asked, Authorizer, CachedAnswer, DecisionMemo, RoleId, Roles, Rule, Verdict,
};
use wampline_routing::pattern::{UriHash, UriHasher};
use wampline_routing::uri::{MatchPolicy, UriRules};
use wampline_routing::{Delta, RealmId, Replica, ShardId};
use wampline_wire::{SessionId, SubscriptionId};

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
/// answers. `cold` is what the rules cost; the others are what a shard asks for each PUBLISH ([`DecisionMemo::decide`]), for one topic
/// over and over (`known`), for so many in turn that none is known any more (`new`), and for one topic that the authorizer has
/// answered about (`answered`). The hash of the topic is not part of it: matching needs it anyway.
fn permit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("permit");
    for entries in ENTRIES {
        let (roles, role) = roles(entries);
        let mut answers = answers(role, entries);
        let mut memo = DecisionMemo::default();
        let last = entries - 1;
        for (name, topic) in [
            ("exact", format!("com.example.exact.t{last}")),
            ("prefix", format!("com.example.prefix.p{last}.temperature")),
            ("wildcard", format!("com.example.wildcard.w{last}.temperature")),
        ] {
            group.bench_function(BenchmarkId::new(format!("{name}_cold"), entries), |bencher| {
                bencher.iter(|| {
                    let decided = roles.decide(role, Action::Publish, MatchPolicy::Exact, black_box(&topic));
                    assert_eq!(decided, Verdict::Allowed(None));
                });
            });
            let hash = hasher().hash(&topic);
            group.bench_function(BenchmarkId::new(format!("{name}_known"), entries), |bencher| {
                bencher.iter(|| {
                    let asked = black_box(asked(role, &topic, hash));
                    let decided = memo.decide(&roles, &mut answers, 1, &asked);
                    assert_eq!(decided, Verdict::Allowed(None));
                });
            });
        }
        let topic = format!("org.example.sensors.t{last}");
        let hash = hasher().hash(&topic);
        group.bench_function(BenchmarkId::new("answered", entries), |bencher| {
            bencher.iter(|| {
                let asked = black_box(asked(role, &topic, hash));
                let decided = memo.decide(&roles, &mut answers, 1, &asked);
                assert_eq!(decided, Verdict::Allowed(None));
            });
        });
    }
    group.bench_function("hash", |bencher| {
        let hasher = hasher();
        bencher.iter(|| hasher.hash(black_box("org.example.sensors.t999")));
    });
    let (roles, role) = roles(1_000);
    let mut answers = AnswerCache::new(0);
    let mut memo = DecisionMemo::default();
    let topics: Vec<(String, UriHash)> = (0..1 << 16)
        .map(|n| format!("com.example.prefix.p{}.t{n}", n % 1_000))
        .map(|topic| (hasher().hash(&topic), topic))
        .map(|(hash, topic)| (topic, hash))
        .collect();
    let mut next = topics.iter().cycle();
    group.bench_function("prefix_new/1000", |bencher| {
        bencher.iter(|| {
            let (topic, hash) = next.next().expect("a cycle");
            let decided = memo.decide(&roles, &mut answers, 1, &asked(role, topic, *hash));
            assert_eq!(decided, Verdict::Allowed(None));
        });
    });
    group.finish();
}

fn hasher() -> UriHasher {
    UriHasher::with_seed(1)
}

fn asked(role: RoleId, uri: &str, hash: UriHash) -> Asked<'_> {
    let session = SessionId::new(4_429_313_566_921_331).expect("an id");
    Asked { realm: RealmId(0), role, session, action: Action::Publish, uri, hash }
}

/// A role with this many rules of each policy, and an authorizer behind them.
fn roles(entries: usize) -> (Roles, RoleId) {
    let mut roles = Roles::default();
    let role = roles.add_role("user").expect("a new role");
    for n in 0..entries {
        for (policy, uri) in [
            (MatchPolicy::Exact, format!("com.example.exact.t{n}")),
            (MatchPolicy::Prefix, format!("com.example.prefix.p{n}.")),
            (MatchPolicy::Wildcard, format!("com.example..w{n}.")),
        ] {
            roles.add_rule(role, policy, &uri, Rule::allowing([Action::Publish])).expect("a good rule");
        }
    }
    let authorizer = Authorizer { procedure: "com.example.authorize".into(), ..Authorizer::default() };
    roles.set_authorizer(role, authorizer).expect("the first one");
    (roles, role)
}

fn answers(role: RoleId, entries: usize) -> AnswerCache {
    let mut answers = AnswerCache::new(2 * entries);
    let (roles, _) = roles(1);
    for n in 0..entries {
        let topic = format!("org.example.sensors.t{n}");
        let asked = asked(role, &topic, hasher().hash(&topic));
        let answer = CachedAnswer { allow: true, disclose: None };
        answers.put(u64::MAX, asked.hash, &asked.question(&roles), answer);
    }
    answers
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
