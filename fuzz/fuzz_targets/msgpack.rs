//! The target `msgpack` of `tests/src/fuzz.rs` under libFuzzer.
#![no_main]

wampline_fuzz::run!("msgpack");
