//! The simulation over a thousand seeds: every promise of the design, checked from outside.
//!
//! `cargo run -p wampline-tests --profile fast --bin sim -- --seeds 1000000` runs a million.

use wampline_tests::sim::{Plan, Summary, run, run_authentication, shrink, watch_panics};

/// Miri, which is a thousand times slower, runs one short plan.
const SEEDS: u64 = if cfg!(miri) { 1 } else { 250 };

/// Runs seeds with this many shards.
fn seeds(shards: u16, from: u64) {
    watch_panics();
    let mut total = Summary::default();
    for seed in from..from + SEEDS {
        let mut plan = Plan::with_shards(seed, shards);
        if cfg!(miri) {
            (plan.steps, plan.clients) = (60, 4);
        }
        match run(&plan, false) {
            Ok(summary) => total.add(&summary),
            Err(failure) => {
                let (smaller, again) = shrink(&plan);
                let again = again.unwrap_or(failure);
                let log = again.log.join("\n");
                panic!("{log}\n{plan}\nfails, and smaller:\n{smaller}\n{}", again.what);
            }
        }
    }
    // A simulation in which nothing happens proves nothing.
    if cfg!(miri) {
        return assert!(total.sessions > 2 && total.events > 0 && total.answers > 0, "{total:?}");
    }
    assert!(total.sessions > 2000 && total.events > 10_000 && total.answers > 5000, "{total:?}");
    assert!(total.meta_events > 2000 && total.wills > 20, "{total:?}");
    assert!(total.cuts > 0 && total.retained > 200, "{total:?}");
    assert!(total.chunks > 1000 && total.timeouts > 100 && total.losses > 100, "{total:?}");
    assert!(total.groups > 200 && total.forwarded > 200, "{total:?}");
    assert!(shards == 1 || total.lanes_full > 100, "{total:?}");
    assert!(total.realms_made > 200, "{total:?}");
}

#[test]
fn sessions_that_authenticate() {
    watch_panics();
    let mut total = Summary::default();
    for seed in 5000..5000 + 4 * SEEDS {
        let mut plan = Plan::of_seed(seed);
        if cfg!(miri) {
            (plan.steps, plan.clients) = (60, 4);
        }
        match run_authentication(&plan, false) {
            Ok(summary) => total.add(&summary),
            Err(failure) => {
                let log = run_authentication(&plan, true).err().map_or(Vec::new(), |failure| failure.log);
                panic!("{}\n{plan}\n{}", log.join("\n"), failure.what);
            }
        }
    }
    assert!(cfg!(miri) || (total.admitted > 3000 && total.denied > 3000), "{total:?}");
}

#[test]
fn one_shard() {
    seeds(1, 0);
}

#[test]
fn two_shards() {
    seeds(2, 1000);
}

#[test]
fn three_shards() {
    seeds(3, 2000);
}

#[test]
fn eight_shards() {
    seeds(8, 3000);
}

#[test]
fn a_plan_gives_the_same_run_again() {
    for seed in 0..8 {
        let plan = Plan::of_seed(seed);
        let show = || format!("{:?}", run(&plan, true).map_err(|failure| failure.what));
        assert_eq!(show(), show());
    }
}
