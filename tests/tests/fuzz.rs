//! Every fuzzing target for a fixed number of runs over mutations of its seeds: always the same ones, unless
//! `WAMPLINE_FUZZ_SEED` is a number that chooses others. For longer: `tests/fuzz`.

use wampline_tests::fuzz::{TARGETS, drive, target};

/// From which the mutations follow.
const SEED: u64 = 0x57A3_0001;

#[track_caller]
fn run(name: &str) {
    let target = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    let chosen = std::env::var("WAMPLINE_FUZZ_SEED").ok();
    drive(target, chosen.map_or(SEED, |seed| seed.parse().expect("WAMPLINE_FUZZ_SEED is a number")));
}

/// One test for each target, named as it is, so that they run beside each other.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn every_target_has_its_test() {
            let named: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(named, [$(stringify!($name)),*]);
        }
    };
}

targets!(json msgpack cbor transcode http websocket rawsocket pattern tls shard);
