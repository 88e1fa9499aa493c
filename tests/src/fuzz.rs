//! Targets for fuzzing: functions of any octets that panic when a promise is broken.
//!
//! One table, two drivers. The fuzzer of `fuzz/` (named command `tests/fuzz`) lets each target run for as long as it is given, led
//! by coverage. `tests/tests/fuzz.rs` lets each run a fixed number of times over mutations of the same seeds, from a fixed
//! seed, with any compiler.

mod codec;
mod input;
mod mutate;
mod pattern;
mod seeds;
mod shard;
mod stream;
mod tls;
mod transcode;

// What the crates' own tests judge by is what fuzzing judges by.
#[path = "../../engine/wire/tests/common/judge.rs"]
mod judge;
#[allow(dead_code, unreachable_pub, clippy::unwrap_used)]
#[path = "../../transports/tests/machines/transcript.rs"]
mod transcript;
#[path = "../../engine/wire/tests/common/tree.rs"]
mod tree;
#[allow(unreachable_pub)]
#[path = "../../engine/routing/src/pattern/twin.rs"]
mod twin;

use wampline_routing::uri::MatchPolicy;

pub use mutate::drive;
pub use seeds::seeds;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its file in `fuzz/fuzz_targets` and of its corpus.
    pub name: &'static str,
    /// Panics if something is wrong.
    pub run: fn(&[u8]),
    /// How often the test without a fuzzer runs it.
    pub runs: u32,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "json", run: codec::json, runs: 50_000 },
    Target { name: "msgpack", run: codec::msgpack, runs: 50_000 },
    Target { name: "cbor", run: codec::cbor, runs: 50_000 },
    Target { name: "transcode", run: transcode::run, runs: 50_000 },
    Target { name: "http", run: stream::http, runs: 10_000 },
    Target { name: "websocket", run: stream::websocket, runs: 10_000 },
    Target { name: "rawsocket", run: stream::rawsocket, runs: 20_000 },
    Target { name: "pattern", run: pattern::run, runs: 15_000 },
    Target { name: "tls", run: tls::run, runs: 500 },
    Target { name: "shard", run: shard::run, runs: 1_000 },
];

/// The target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
