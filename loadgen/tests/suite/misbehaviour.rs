//! The load generator against a router that misbehaves: every kind of fault must be seen and fail the run, and an
//! honest router must pass. The router here speaks JSON over RawSocket and shares no code with the generator.

use std::process::{Command, Output};

use crate::stub::{Misbehaviour, StubRouter};
use serde_json::Value;

#[test]
fn an_honest_router_passes() {
    for scenario in [RPC, PUBSUB, ACKNOWLEDGED, MIXED, OPEN_RPC, OPEN_PUBSUB, SUBSCRIPTIONS, REGISTRATIONS] {
        let (report, code) = run(scenario, Misbehaviour::None);
        assert_eq!(code, 0, "{report}");
        assert!(report["operations"].as_u64().unwrap() > 20, "{report}");
        assert_eq!(faults(&report), [0; 5], "{report}");
        assert!(report["latency_us"]["min"].as_f64().unwrap() > 0.0, "{report}");
    }
}

#[test]
fn a_lost_answer_is_counted() {
    check(RPC, Misbehaviour::LoseResult, [1, 0, 0, 0, 0]);
    check(PUBSUB, Misbehaviour::LoseEvent, [1, 0, 0, 0, 0]);
    check(ACKNOWLEDGED, Misbehaviour::LoseEvent, [1, 0, 0, 0, 0]);
    check(ACKNOWLEDGED, Misbehaviour::LosePublished, [1, 0, 0, 0, 0]);
    check(MIXED, Misbehaviour::LoseResult, [1, 0, 0, 0, 0]);
    check(MIXED, Misbehaviour::LoseEvent, [1, 0, 0, 0, 0]);
    check(OPEN_RPC, Misbehaviour::LoseResult, [1, 0, 0, 0, 0]);
    check(OPEN_PUBSUB, Misbehaviour::LoseEvent, [1, 0, 0, 0, 0]);
    check(SUBSCRIPTIONS, Misbehaviour::LoseUnsubscribed, [1, 0, 0, 0, 0]);
}

#[test]
fn a_duplicate_is_counted() {
    check(RPC, Misbehaviour::DuplicateResult, [0, 1, 0, 0, 0]);
    check(RPC, Misbehaviour::DuplicateInvocation, [0, 1, 0, 0, 0]);
    check(PUBSUB, Misbehaviour::DuplicateEvent, [0, 1, 0, 0, 0]);
    check(MIXED, Misbehaviour::DuplicateEvent, [0, 1, 0, 0, 0]);
    check(OPEN_RPC, Misbehaviour::DuplicateResult, [0, 1, 0, 0, 0]);
    check(SUBSCRIPTIONS, Misbehaviour::DuplicateSubscribed, [0, 1, 0, 0, 0]);
}

#[test]
fn a_changed_order_is_counted() {
    check(RPC, Misbehaviour::SwapInvocations, [0, 0, 1, 0, 0]);
    check(PUBSUB, Misbehaviour::SwapEvents, [0, 0, 1, 0, 0]);
    check(OPEN_PUBSUB, Misbehaviour::SwapEvents, [0, 0, 1, 0, 0]);
}

#[test]
fn a_wrong_payload_is_counted() {
    check(RPC, Misbehaviour::AlterResult, [0, 0, 0, 1, 0]);
    // What came is not what was to come, so that is missing as well.
    check(PUBSUB, Misbehaviour::AlterEvent, [1, 0, 0, 1, 0]);
}

#[test]
fn a_wrong_id_is_counted() {
    check(PUBSUB, Misbehaviour::ForeignSubscription, [1, 0, 0, 1, 0]);
    check(RPC, Misbehaviour::ForeignRequest, [1, 0, 0, 1, 0]);
}

#[test]
fn an_error_is_counted_and_told() {
    let report = check(RPC, Misbehaviour::ErrorInsteadOfResult, [0, 0, 0, 0, 1]);
    assert_eq!(report["faults"]["first_error"], "wamp.error.stub (on purpose)");
    let report = check(REGISTRATIONS, Misbehaviour::ErrorInsteadOfUnregistered, [0, 0, 0, 0, 1]);
    assert_eq!(report["faults"]["first_error"], "wamp.error.stub (on purpose)");
}

/// A fixed rate is a number of operations, whatever the machine is doing: those that are due within the window are
/// measured, early or late.
#[test]
fn a_rate_is_kept_to_the_operation() {
    let router = StubRouter::start(Misbehaviour::None);
    for (scenario, expected) in [
        (&["rpc", "--callers", "3", "--rate", "400", "--duration", "0.5", "--warmup", "0.1"][..], 200),
        (&["rpc", "--rate", "1000", "--threads", "2", "--duration", "0.5", "--warmup", "0"], 500),
        (&["rpc", "--rate", "300", "--count", "77", "--warmup", "0.1"], 77),
        (&["rpc", "--count", "777", "--warmup", "0.1"], 777),
        (&["pubsub", "--subscribers", "3", "--rate", "400", "--duration", "0.5", "--warmup", "0.1"], 600),
        (&["pubsub", "--subscribers", "2", "--publishers", "3", "--count", "50", "--warmup", "0.1"], 100),
        (&["churn", "--of", "subscriptions", "--rate", "400", "--duration", "0.5", "--warmup", "0"], 200),
        (&["churn", "--sessions", "30", "--warmup-sessions", "3", "--rate", "300"], 30),
        (&["connect", "--sessions", "30", "--hold", "0", "--rate", "300"], 30),
    ] {
        let output = generator(&router, scenario);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{report}");
        let operations = report["operations"].as_u64().unwrap();
        // Where a time cuts the sequence, rounding may move one operation of each sender over the edge.
        let slack = if scenario.contains(&"--duration") { 4 * 3 } else { 0 };
        assert!(operations.abs_diff(expected) <= slack, "{scenario:?}: {operations}, {report}");
    }
}

#[test]
fn both_kinds_of_a_mixed_run_are_reported() {
    let (report, _) = run(MIXED, Misbehaviour::None);
    let parts = report["parts"].as_array().unwrap();
    let names: Vec<&str> = parts.iter().map(|part| part["operation"].as_str().unwrap()).collect();
    assert_eq!(names, ["calls", "events"]);
    let sum: u64 = parts.iter().map(|part| part["operations"].as_u64().unwrap()).sum();
    assert_eq!(report["operations"], sum);
    assert!(parts.iter().all(|part| part["latency_us"]["p50"].as_f64().unwrap() > 0.0), "{report}");
}

#[test]
fn background_subscriptions_are_made_and_stay_silent() {
    let router = StubRouter::start(Misbehaviour::None);
    let background = ["--background-exact", "300", "--background-prefix", "20", "--background-wildcard", "3"];
    let scenario: Vec<&str> = PUBSUB.iter().copied().chain(background).collect();
    let output = generator(&router, &scenario);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(router.subscriptions(), 300 + 20 + 3 + 1);
}

#[test]
fn an_abort_is_told() {
    let router = StubRouter::start(Misbehaviour::Abort);
    let output = generator(&router, RPC);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the router refused: wamp.error.no_such_realm (there is no such realm)"), "{told}");
}

#[test]
fn a_session_that_is_cut_is_told() {
    let router = StubRouter::start(Misbehaviour::CutSession);
    let output = generator(&router, RPC);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the router closed without GOODBYE"), "{told}");
}

#[test]
fn silence_ends_the_run() {
    let router = StubRouter::start(Misbehaviour::Silence);
    let output = generator(&router, RPC);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    // Which of the two watches strikes first is a matter of microseconds.
    let is_told = told.contains("no answer to HELLO within 1 s") || told.contains("then nothing for 1 s");
    assert!(is_told, "{told}");
}

#[test]
fn sessions_are_opened_and_closed() {
    let router = StubRouter::start(Misbehaviour::None);
    let pid = std::process::id().to_string();
    for scenario in [
        &["connect", "--sessions", "50", "--hold", "0.1", "--router-pid", &pid][..],
        &["churn", "--sessions", "100", "--warmup-sessions", "20"],
        &["churn", "--sessions", "100", "--warmup-sessions", "20", "--abrupt"],
    ] {
        let output = generator(&router, scenario);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{report}");
        let expected = if scenario[0] == "connect" { 50 } else { 100 };
        assert_eq!(report["operations"], expected, "{report}");
    }
}

const RPC: &[&str] = &["rpc", "--callers", "2", "--in-flight", "4", "--duration", "0.3", "--warmup", "0.1"];
const PUBSUB: &[&str] =
    &["pubsub", "--subscribers", "3", "--in-flight", "4", "--duration", "0.3", "--warmup", "0.1"];
const ACKNOWLEDGED: &[&str] = &[
    "pubsub",
    "--subscribers",
    "3",
    "--in-flight",
    "4",
    "--duration",
    "0.3",
    "--warmup",
    "0.1",
    "--acknowledge",
];

const MIXED: &[&str] = &[
    "mixed",
    "--callers",
    "2",
    "--subscribers",
    "3",
    "--in-flight",
    "4",
    "--duration",
    "0.3",
    "--warmup",
    "0.1",
];
const OPEN_RPC: &[&str] = &["rpc", "--callers", "1", "--rate", "500", "--duration", "0.3", "--warmup", "0.1"];
const OPEN_PUBSUB: &[&str] =
    &["pubsub", "--subscribers", "3", "--rate", "200", "--duration", "0.3", "--warmup", "0.1"];
const SUBSCRIPTIONS: &[&str] =
    &["churn", "--of", "subscriptions", "--members", "2", "--duration", "0.3", "--warmup", "0.1"];
const REGISTRATIONS: &[&str] =
    &["churn", "--of", "registrations", "--members", "2", "--duration", "0.3", "--warmup", "0.1"];

/// Lost, duplicated, reordered, wrong, errors.
fn faults(report: &Value) -> [u64; 5] {
    ["lost", "duplicated", "reordered", "wrong", "errors"]
        .map(|name| report["faults"][name].as_u64().unwrap())
}

fn check(scenario: &[&str], misbehaviour: Misbehaviour, expected: [u64; 5]) -> Value {
    let (report, code) = run(scenario, misbehaviour);
    assert_eq!(faults(&report), expected, "{misbehaviour:?}: {report}");
    assert_eq!(code, 1, "{misbehaviour:?}: {report}");
    report
}

fn run(scenario: &[&str], misbehaviour: Misbehaviour) -> (Value, i32) {
    let router = StubRouter::start(misbehaviour);
    let output = generator(&router, scenario);
    let told = String::from_utf8_lossy(&output.stderr);
    let report =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{misbehaviour:?}: {told}"));
    (report, output.status.code().unwrap())
}

fn generator(router: &StubRouter, scenario: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wampline-loadgen"))
        .args(scenario)
        .args(["--url", &router.url(), "--serializer", "json", "--timeout", "1", "--json"])
        .output()
        .unwrap()
}
