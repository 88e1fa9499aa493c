//! Rules of the house that no compiler keeps: sizes of files, where unsafe code and sockets may be, which crate may know
//! which, and that what the documentation says is there. Each test names every offence, not just the first.
//!
//! A rule that must be broken has a list of exceptions with reasons beside it; an exception that is not needed any more is
//! an offence too.

mod documents;
mod layers;
mod repository;
mod source;
mod sources;

/// Fails with all `offences`, one per line.
#[track_caller]
fn assert_none(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
