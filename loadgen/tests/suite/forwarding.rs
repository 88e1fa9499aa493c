//! The load generator against a bare forwarder, with all of its verification.

use std::process::{Command, Output};

use crate::forwarder::{Forwarder, Misbehaviour};
use serde_json::Value;

const RPC: &[&str] =
    &["rpc", "--callers", "3", "--callees", "2", "--in-flight", "4", "--count", "100", "--warmup", "0.1"];
const PUBSUB: &[&str] = &[
    "pubsub",
    "--publishers",
    "2",
    "--subscribers",
    "3",
    "--in-flight",
    "4",
    "--count",
    "100",
    "--warmup",
    "0.1",
];

#[test]
fn calls_and_events_pass_over_tcp() {
    for scenario in [RPC, PUBSUB] {
        for more in [
            &[][..],
            &["--threads", "3"],
            &["--rate", "300"],
            &["--busy-poll"],
            &["--payload", "20000", "--payload-shape", "nested"],
            &["--serializer", "json", "--payload-shape", "binary"],
        ] {
            let forwarder = Forwarder::tcp(Misbehaviour::None);
            let report = report(generator(&forwarder, scenario, more), 0);
            assert_eq!(report["operations"], if scenario == RPC { 100 } else { 300 }, "{report}");
            assert_eq!(faults(&report), [0; 5], "{report}");
        }
    }
}

#[test]
fn calls_and_events_pass_over_a_unix_socket() {
    for (number, scenario) in [RPC, PUBSUB].into_iter().enumerate() {
        let name = format!("loadgen-forwarder-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let forwarder = Forwarder::unix(&path);
        let output = generator(&forwarder, scenario, &[]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(faults(&report(output, 0)), [0; 5]);
    }
}

#[test]
fn what_is_forwarded_wrongly_is_counted() {
    let check = |scenario, misbehaviour, expected: [u64; 5]| {
        let report = report(generator(&Forwarder::tcp(misbehaviour), scenario, &[]), 1);
        assert_eq!(faults(&report), expected, "{misbehaviour:?}: {report}");
    };
    // A publication is lost to three subscribers, or reaches them twice.
    check(RPC, Misbehaviour::Lose, [1, 0, 0, 0, 0]);
    check(PUBSUB, Misbehaviour::Lose, [3, 0, 0, 0, 0]);
    check(PUBSUB, Misbehaviour::Duplicate, [0, 3, 0, 0, 0]);
    check(PUBSUB, Misbehaviour::Alter, [3, 0, 0, 3, 0]);
    check(PUBSUB, Misbehaviour::Misdirect, [1, 0, 0, 0, 0]);
    // The tenth frame may be a call or an answer.
    for misbehaviour in [Misbehaviour::Duplicate, Misbehaviour::Alter] {
        let report = report(generator(&Forwarder::tcp(misbehaviour), RPC, &[]), 1);
        assert!(faults(&report).iter().sum::<u64>() > 0, "{misbehaviour:?}: {report}");
    }
}

#[test]
fn what_a_forwarder_cannot_do_is_not_asked_of_it() {
    for line in [
        "connect --sessions 1",
        "churn --sessions 1",
        "mixed",
        "pubsub --topics 2",
        "pubsub --acknowledge",
        "pubsub --background-exact 5",
        "pubsub --subscriber-serializers json,cbor",
        "rpc --callers 257",
        "rpc --callee-serializers json",
        "rpc --idle-before-senders 1",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wampline-loadgen"));
        let output = command.args(line.split(' ')).args(["--url", "floor://127.0.0.1:1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{line}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("a bare forwarder"), "{line}: {output:?}");
    }
}

/// Lost, duplicated, reordered, wrong, errors.
fn faults(report: &Value) -> [u64; 5] {
    ["lost", "duplicated", "reordered", "wrong", "errors"]
        .map(|name| report["faults"][name].as_u64().unwrap())
}

fn report(output: Output, code: i32) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status.code(), Some(code), "{report}");
    report
}

fn generator(forwarder: &Forwarder, scenario: &[&str], more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wampline-loadgen"))
        .args(scenario)
        .args(more)
        .args(["--url", &forwarder.url, "--timeout", "1", "--json"])
        .output()
        .unwrap()
}
