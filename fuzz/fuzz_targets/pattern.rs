//! The target `pattern` of `tests/src/fuzz.rs` under libFuzzer.
#![no_main]

wampline_fuzz::run!("pattern");
