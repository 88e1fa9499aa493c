//! The target `shard` of `tests/src/fuzz.rs` under libFuzzer.
#![no_main]

wampline_fuzz::run!("shard");
