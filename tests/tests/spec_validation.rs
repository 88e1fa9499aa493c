//! Payloads that rules want to be validated ("Authorization" has no such thing; other routers know it as `validate`).
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use wampline_routing::authorization::{Action, PayloadSchema, Rule, Validation};
use wampline_routing::uri::MatchPolicy::{Exact, Prefix};
use wampline_shard::{Config, Roles};
use wampline_tests::roles::with_roles;
use wampline_tests::stage::play_with;

/// Arguments: one integer.
const INTEGER: &str = r#"{"properties": {
    "args": {"items": {"type": "integer"}, "minItems": 1, "maxItems": 1},
    "kwargs": {"maxProperties": 0}}}"#;

/// The role `user` may do everything; to what begins with `int.` it sends one integer, and has one from there.
fn integers(config: &mut Config) {
    with_roles(|roles: &mut Roles| {
        let user = roles.add_role("user").unwrap();
        let schema = || Some(PayloadSchema::read(INTEGER).unwrap());
        let all = Validation { call: schema(), call_result: schema(), event: schema() };
        let rule = |validate| Rule { validate, ..Rule::allowing(Action::ALL) };
        roles.add_rule(user, Prefix, "int.", rule(Some(Arc::new(all)))).unwrap();
        roles.add_rule(user, Exact, "int.any", rule(None)).unwrap();
        let results = Validation { call_result: schema(), ..Validation::default() };
        roles.add_rule(user, Prefix, "result.", rule(Some(Arc::new(results)))).unwrap();
        roles.add_rule(user, Prefix, "", rule(None)).unwrap();
    })(config);
    config.realms[0].limits.validated_bytes_max = 1 << 10;
}

fn play(transcript: &str) {
    play_with(integers, transcript);
}

#[test]
fn publications() {
    play(
        r#"
        s> [32, 1, {"match": "prefix"}, "int."]
        s< [33, 1, $s]
        u joins as user
        u> [16, 1, {"acknowledge": true}, "int.topic", [1]]
        u< [17, 1, $_]
        s< [36, $s, $_, {..., "topic": "int.topic"}, [1]]
        u> [16, 2, {"acknowledge": true}, "int.topic", ["secret"]]
        u< [8, 16, 2, {}, "wamp.error.invalid_argument", ["the payload is not valid for int.topic: value is not of type \"integer\" at /args/0"]]
        u> [16, 3, {"acknowledge": true}, "int.topic"]
        u< [8, 16, 3, {}, "wamp.error.invalid_argument", [$_]]
        u> [16, 4, {"acknowledge": true}, "int.topic", [1], {"more": 1}]
        u< [8, 16, 4, {}, "wamp.error.invalid_argument", [$_]]
        u> [16, 5, {}, "int.topic", ["nobody hears of it"]]
        # Another rule decides about this topic, and others about other sessions.
        u> [16, 6, {}, "int.any", ["text"]]
        s< [36, $s, $_, {..., "topic": "int.any"}, ["text"]]
        a> [16, 1, {}, "int.topic", ["text"]]
        s< [36, $s, $_, {..., "topic": "int.topic"}, ["text"]]
        counted payloads_invalid 4
        counted publications_dropped 1
        "#,
    );
}

#[test]
fn calls() {
    play(
        r#"
        e> [64, 1, {}, "int.next"]
        e< [65, 1, $r]
        u joins as user
        u> [48, 1, {}, "int.next", [1]]
        e< [68, 1, $r, {}, [1]]
        e> [70, 1, {}, [2]]
        u< [50, 1, {}, [2]]
        u> [48, 2, {}, "int.next", [1.5]]
        u< [8, 48, 2, {}, "wamp.error.invalid_argument", ["the payload is not valid for int.next: value is not of type \"integer\" at /args/0"]]
        u> [48, 3, {}, "int.nobody", [1]]
        u< [8, 48, 3, {}, "wamp.error.no_such_procedure", $_]
        a> [48, 1, {}, "int.next", ["text"]]
        e< [68, 2, $r, {}, ["text"]]
        e> [70, 2, {}, ["text"]]
        a< [50, 1, {}, ["text"]]
        "#,
    );
}

#[test]
fn results() {
    play(
        r#"
        e> [64, 1, {}, "result.p"]
        e< [65, 1, $r]
        u joins as user
        u> [48, 1, {}, "result.p", ["anything"]]
        e< [68, 1, $r, {}, ["anything"]]
        e> [70, 1, {}, ["secret"]]
        u< [8, 48, 1, {}, "wamp.error.invalid_argument", ["the callee's result is not valid: value is not of type \"integer\" at /args/0"]]
        u> [48, 2, {}, "result.p"]
        e< [68, 2, $r, {}]
        e> [70, 2, {}]
        u< [8, 48, 2, {}, "wamp.error.invalid_argument", [$_]]
        u> [48, 3, {}, "result.p"]
        e< [68, 3, $r, {}]
        e> [8, 68, 3, {}, "com.error", ["text"]]
        u< [8, 48, 3, {}, "com.error", ["text"]]
        u> [48, 4, {}, "result.p"]
        e< [68, 4, $r, {}]
        e> [70, 4, {}, [7]]
        u< [50, 4, {}, [7]]
        "#,
    );
}

#[test]
fn progressive_results_are_judged_one_by_one() {
    play(
        r#"
        e joins callee.progressive_call_results callee.call_canceling
        e> [64, 1, {}, "result.p"]
        e< [65, 1, $r]
        u joins as user
        u> [48, 1, {"receive_progress": true}, "result.p"]
        e< [68, 1, $r, {"receive_progress": true}]
        e> [70, 1, {"progress": true}, [1]]
        u< [50, 1, {"progress": true}, [1]]
        e> [70, 1, {"progress": true}, ["text"]]
        u< [8, 48, 1, {}, "wamp.error.invalid_argument", [$_]]
        e< [69, 1, {...}]
        e> [70, 1, {}, [2]]
        "#,
    );
}

#[test]
fn chunks_of_a_progressive_call_are_judged_one_by_one() {
    play(
        r#"
        e joins callee.progressive_call_invocations callee.call_canceling
        e> [64, 1, {}, "int.sum"]
        e< [65, 1, $r]
        u joins as user
        u> [48, 1, {"progress": true}, "int.sum", [1]]
        e< [68, 1, $r, {"progress": true}, [1]]
        u> [48, 1, {"progress": true}, "int.sum", ["text"]]
        u< [8, 48, 1, {}, "wamp.error.invalid_argument", [$_]]
        e< [69, 1, {...}]
        e> [8, 68, 1, {}, "wamp.error.canceled"]
        # What else comes of it goes nowhere.
        u> [48, 1, {}, "int.sum", [3]]
        u> [48, 2, {}, "int.sum", [4]]
        e< [68, 2, $r, {}, [4]]
        e> [70, 2, {}, [4]]
        u< [50, 2, {}, [4]]
        "#,
    );
}

#[test]
fn answers_of_all_callees_are_judged_one_by_one() {
    play(
        r#"
        e> [64, 1, {"invoke": "roundrobin"}, "result.p"]
        e< [65, 1, $r]
        f> [64, 1, {"invoke": "roundrobin"}, "result.p"]
        f< [65, 1, $r]
        u joins as user
        u> [48, 1, {"runmode": "all"}, "result.p"]
        e< [68, 1, $r, {}]
        f< [68, 1, $r, {}]
        e> [70, 1, {}, [1]]
        f> [70, 1, {}, ["text"]]
        u< [50, 1, {}, [{"session": $session_e, "args": [1]}, {"session": $session_f, "error": "wamp.error.invalid_argument"}]]
        "#,
    );
}

#[test]
fn what_cannot_be_looked_at_is_refused() {
    play(
        &r#"
        u joins as user caller.payload_passthru_mode publisher.payload_passthru_mode
        u> [16, 1, {"acknowledge": true, "ppt_scheme": "x_own"}, "int.topic", [1]]
        u< [8, 16, 1, {}, "wamp.error.invalid_argument", ["the payload is not valid for int.topic: it is opaque"]]
        u> [48, 2, {"ppt_scheme": "x_own"}, "int.p", [1]]
        u< [8, 48, 2, {}, "wamp.error.invalid_argument", ["the payload is not valid for int.p: it is opaque"]]
        u> [48, 3, {}, "int.p", ["LONG"]]
        u< [8, 48, 3, {}, "wamp.error.invalid_argument", ["the payload is not valid for int.p: it has more than the 1024 octets that are looked at"]]
        # A procedure without rules takes both.
        u> [48, 4, {}, "other", ["LONG"]]
        u< [8, 48, 4, {}, "wamp.error.no_such_procedure", $_]
        "#
        .replace("LONG", &"x".repeat(1100)),
    );
}

#[test]
fn a_testament_is_judged_when_it_is_added() {
    play(
        r#"
        s> [32, 1, {}, "int.will"]
        s< [33, 1, $s]
        u joins as user
        u> [48, 1, {}, "wamp.session.add_testament", ["int.will", ["text"], {}]]
        u< [8, 48, 1, {}, "wamp.error.invalid_argument", [$_]]
        u> [48, 2, {}, "wamp.session.add_testament", ["int.will", [7], {}]]
        u< [50, 2, {}]
        u eof
        s< [36, $s, $_, {}, [7]]
        "#,
    );
}
