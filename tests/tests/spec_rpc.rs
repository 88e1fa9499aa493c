//! Advanced profile, remote procedure calls: progress both ways, canceling, timeouts, identification, payload passthru.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use wampline_routing::uri::MatchPolicy;
use wampline_routing::{Disclose, Disclosure, DisclosureRule, TrustLevels, TrustRule};
use wampline_shard::{Config, FeatureRules};
use wampline_tests::stage::{play, play_with};

#[test]
fn progressive_call_results() {
    play(
        r#"
        a joins callee.progressive_call_results callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"receive_progress": true}, "com.procedure", ["in"]]
        a< [68, 1, $r, {"receive_progress": true}, ["in"]]
        a> [70, 1, {"progress": true}, [1]]
        b< [50, 1, {"progress": true}, [1]]
        a> [70, 1, {"progress": true}, [], {"k": "v"}]
        b< [50, 1, {"progress": true}, [], {"k": "v"}]
        a> [70, 1, {"progress": true}]
        b< [50, 1, {"progress": true}]
        a> [70, 1, {}, ["last"]]
        b< [50, 1, {}, ["last"]]
        a> [70, 1, {"progress": true}, ["late"]]
        counted answers_dropped 1
        "#,
    );
}

/// Deployed clients do not announce the feature and have it.
#[test]
fn progress_of_a_callee_that_has_announced_nothing() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"receive_progress": true}, "com.procedure"]
        a< [68, 1, $r, {"receive_progress": true}]
        a> [70, 1, {"progress": true}, [1]]
        b< [50, 1, {"progress": true}, [1]]
        a> [8, 68, 1, {}, "com.error", ["in the middle"]]
        b< [8, 48, 1, {}, "com.error", ["in the middle"]]
        "#,
    );
}

#[test]
fn a_callee_that_leaves_between_results() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"receive_progress": true}, "com.procedure"]
        a< [68, 1, $r, {"receive_progress": true}]
        a> [70, 1, {"progress": true}, [1]]
        b< [50, 1, {"progress": true}, [1]]
        a eof
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        "#,
    );
}

#[test]
fn a_caller_that_leaves_interrupts_who_can_be_interrupted() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.one"]
        a< [65, 1, $one]
        c> [64, 1, {}, "com.two"]
        c< [65, 1, $two]
        b> [48, 1, {"receive_progress": true}, "com.one"]
        b> [48, 2, {}, "com.two"]
        a< [68, 1, $one, {"receive_progress": true}]
        c< [68, 1, $two, {}]
        b eof
        a< [69, 1, {"mode": "killnowait"}]
        a> [70, 1, {"progress": true}, [1]]
        a> [8, 68, 1, {}, "wamp.error.canceled"]
        c> [70, 1, {}, [2]]
        counted protocol_violations 0
        "#,
    );
}

#[test]
fn cancel_skip() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        b> [49, 1, {"mode": "skip"}]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        a> [70, 1, {}, ["nobody waits"]]
        b> [49, 1, {"mode": "skip"}]
        b> [49, 77, {}]
        counted calls_canceled 1
        "#,
    );
}

#[test]
fn cancel_kill_waits_for_the_callee() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        b> [48, 2, {}, "com.procedure"]
        b> [48, 3, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        a< [68, 3, $r, {}]
        b> [49, 1, {"mode": "kill"}]
        a< [69, 1, {"mode": "kill"}]
        a> [8, 68, 1, {}, "wamp.error.cancelled", ["as asked"]]
        b< [8, 48, 1, {}, "wamp.error.canceled", ["as asked"]]
        # What was finished first counts.
        b> [49, 2, {"mode": "kill"}]
        a< [69, 2, {"mode": "kill"}]
        a> [70, 2, {}, ["done"]]
        b< [50, 2, {}, ["done"]]
        # A caller that will not wait any longer.
        b> [49, 3, {"mode": "kill"}]
        a< [69, 3, {"mode": "kill"}]
        b> [49, 3, {"mode": "killnowait"}]
        a< [69, 3, {"mode": "killnowait"}]
        b< [8, 48, 3, {}, "wamp.error.canceled"]
        a> [8, 68, 3, {}, "wamp.error.canceled"]
        "#,
    );
}

#[test]
fn cancel_without_a_mode_and_with_an_unknown_one() {
    play(
        r#"
        a joins callee.call_cancelling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        b> [48, 2, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        b> [49, 1, {}]
        a< [69, 1, {"mode": "killnowait"}]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        b> [49, 2, {"mode": "sometime"}]
        a< [69, 2, {"mode": "killnowait"}]
        b< [8, 48, 2, {}, "wamp.error.canceled"]
        "#,
    );
}

#[test]
fn a_callee_that_cannot_cancel_is_left_alone() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        b> [48, 2, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        b> [49, 1, {"mode": "kill"}]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        b> [49, 2, {"mode": "killnowait"}]
        b< [8, 48, 2, {}, "wamp.error.canceled"]
        a> [70, 1, {}]
        a> [70, 2, {}]
        "#,
    );
}

#[test]
fn nobody_cancels_for_another() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        c> [49, 1, {"mode": "skip"}]
        a> [70, 1, {}, ["undisturbed"]]
        b< [50, 1, {}, ["undisturbed"]]
        "#,
    );
}

#[test]
fn a_call_takes_no_longer_than_it_may() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"timeout": 1000}, "com.procedure"]
        b> [48, 2, {"timeout": 0}, "com.procedure"]
        b> [48, 3, {"timeout": 3000.0}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        a< [68, 3, $r, {}]
        wait 900ms
        wait 200ms
        a< [69, 1, {"mode": "killnowait"}]
        b< [8, 48, 1, {}, "wamp.error.timeout", $_]
        a> [70, 3, {}, ["in time"]]
        b< [50, 3, {}, ["in time"]]
        wait 10s
        a> [70, 2, {}, ["whenever"]]
        b< [50, 2, {}, ["whenever"]]
        b> [48, 4, {"timeout": -1}, "com.procedure"]
        b< [8, 48, 4, {}, "wamp.error.invalid_argument", $_]
        b> [48, 5, {"timeout": "soon"}, "com.procedure"]
        b< [8, 48, 5, {}, "wamp.error.invalid_argument", $_]
        counted calls_timed_out 1
        "#,
    );
}

#[test]
fn every_progressive_result_gives_more_time() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"timeout": 1000, "receive_progress": true}, "com.procedure"]
        a< [68, 1, $r, {"receive_progress": true}]
        wait 800ms
        a> [70, 1, {"progress": true}, [1]]
        b< [50, 1, {"progress": true}, [1]]
        wait 800ms
        a> [70, 1, {"progress": true}, [2]]
        b< [50, 1, {"progress": true}, [2]]
        wait 1100ms
        b< [8, 48, 1, {}, "wamp.error.timeout", $_]
        a> [70, 1, {}, ["too late"]]
        "#,
    );
}

#[test]
fn a_callee_that_wants_the_timeout_has_it() {
    play(
        r#"
        a joins callee.call_timeout
        a> [64, 1, {"forward_timeout": true}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"timeout": 1000}, "com.procedure"]
        a< [68, 1, $r, {"timeout": 1000}]
        wait 5s
        a> [8, 68, 1, {}, "wamp.error.timeout", ["said the callee"]]
        b< [8, 48, 1, {}, "wamp.error.timeout", ["said the callee"]]
        b> [48, 2, {}, "com.procedure"]
        a< [68, 2, $r, {}]
        a> [70, 2, {}]
        b< [50, 2, {}]
        "#,
    );
}

#[test]
fn a_realm_bounds_the_time_of_every_call() {
    let configure = |config: &mut wampline_shard::Config| {
        config.realms[0].call_timeout = Some(Duration::from_secs(2));
        config.realms[0].call_timeout_max = Some(Duration::from_secs(4));
    };
    play_with(
        configure,
        r#"
        a> [64, 1, {"forward_timeout": true}, "com.forward"]
        a< [65, 1, $f]
        a> [64, 2, {}, "com.procedure"]
        a< [65, 2, $r]
        b> [48, 1, {}, "com.procedure"]
        b> [48, 2, {"timeout": 9000}, "com.procedure"]
        b> [48, 3, {"timeout": 3000}, "com.forward"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        a< [68, 3, $f, {"timeout": 3000}]
        wait 2100ms
        b< [8, 48, 1, {}, "wamp.error.timeout", $_]
        wait 1500ms
        wait 1s
        b< [8, 48, $second, {}, "wamp.error.timeout", $_]
        b< [8, 48, $third, {}, "wamp.error.timeout", $_]
        "#,
    );
}

#[test]
fn caller_identification() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        a> [64, 2, {"disclose_caller": true}, "com.curious"]
        a< [65, 2, $c]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        b> [48, 2, {"disclose_me": true}, "com.procedure"]
        a< [68, 2, $r, {"caller": $session_b, "caller_authid": $authid_b, "caller_authrole": "anonymous"}]
        b> [48, 3, {}, "com.curious"]
        a< [68, 3, $c, {"caller": $session_b, "caller_authid": $authid_b, "caller_authrole": "anonymous"}]
        "#,
    );
}

#[test]
fn progressive_call_invocations() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        b joins caller.progressive_call_invocations
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true, "disclose_me": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true, "caller": $session_b, "caller_authid": $_, "caller_authrole": $_}, [1]]
        b> [48, 2, {}, "com.procedure", ["another"]]
        a< [68, 2, $r, {}, ["another"]]
        # Options other than progress are those of the first chunk.
        b> [48, 1, {"progress": true, "receive_progress": true}, "com.procedure", [2]]
        a< [68, 1, $r, {"progress": true, "caller": $session_b, "caller_authid": $_, "caller_authrole": $_}, [2]]
        b> [48, 1, {}, "com.procedure", [3]]
        a< [68, 1, $r, {"caller": $session_b, "caller_authid": $_, "caller_authrole": $_}, [3]]
        a> [70, 1, {}, ["sum", 6]]
        b< [50, 1, {}, ["sum", 6]]
        a> [70, 2, {}]
        b< [50, 2, {}]
        "#,
    );
}

#[test]
fn progress_both_ways_and_an_end_before_the_last_chunk() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling callee.progressive_call_results
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true, "receive_progress": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true, "receive_progress": true}, [1]]
        a> [70, 1, {"progress": true}, ["one"]]
        b< [50, 1, {"progress": true}, ["one"]]
        b> [48, 1, {"progress": true}, "com.procedure", [2]]
        a< [68, 1, $r, {"progress": true, "receive_progress": true}, [2]]
        a> [8, 68, 1, {}, "com.enough"]
        b< [8, 48, 1, {}, "com.enough"]
        # The caller did not know: its chunks are dropped, the last one too, and none of them is a new call.
        b> [48, 1, {"progress": true}, "com.procedure", [3]]
        b> [48, 1, {}, "com.procedure", [4]]
        counted chunks_dropped 2
        # From then on the id is free again.
        b> [48, 1, {}, "com.procedure", ["new"]]
        a< [68, 2, $r, {}, ["new"]]
        a> [70, 2, {}]
        b< [50, 1, {}]
        "#,
    );
}

#[test]
fn chunks_of_calls_that_never_began() {
    play(
        r#"
        a> [64, 1, {}, "com.unable"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true}, "com.unable", [1]]
        b< [8, 48, 1, {}, "wamp.error.feature_not_supported", $_]
        b> [48, 1, {"progress": true}, "com.unable", [2]]
        b> [48, 1, {}, "com.unable", [3]]
        b> [48, 2, {"progress": true}, "com.nobody", [1]]
        b< [8, 48, 2, {}, "wamp.error.no_such_procedure", $_]
        b> [48, 2, {}, "com.nobody", [2]]
        b> [48, 3, {"progress": true, "timeout": "x"}, "com.unable", [1]]
        b< [8, 48, 3, {}, "wamp.error.invalid_argument", $_]
        b> [48, 3, {}, "com.unable", [2]]
        counted chunks_dropped 4
        "#,
    );
}

#[test]
fn a_chunk_of_a_call_that_is_not_open_is_a_violation() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        b> [48, 1, {"progress": true}, "com.procedure"]
        b< [3, {"message": $_}, "wamp.error.protocol_violation"]
        b closed 1002
        a< [69, 1, {"mode": "killnowait"}]
        c> [48, 1, {"progress": true}, "com.procedure"]
        a< [68, 2, $r, {"progress": true}]
        c> [48, 1, {}, "com.procedure"]
        a< [68, 2, $r, {}]
        c> [48, 1, {}, "com.procedure"]
        c< [3, {"message": $_}, "wamp.error.protocol_violation"]
        c closed 1002
        a< [69, 2, {"mode": "killnowait"}]
        "#,
    );
}

#[test]
fn a_canceled_progressive_call_swallows_its_chunks() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true}, [1]]
        b> [49, 1, {"mode": "killnowait"}]
        a< [69, 1, {"mode": "killnowait"}]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        b> [48, 1, {"progress": true}, "com.procedure", [2]]
        b> [48, 1, {}, "com.procedure", [3]]
        counted chunks_dropped 2
        "#,
    );
}

#[test]
fn inputs_that_never_end_are_bounded() {
    play_with(
        |config| config.realms[0].limits.inputs_per_session_max = 2,
        r#"
        b> [48, 1, {"progress": true}, "com.nobody"]
        b> [48, 2, {"progress": true}, "com.nobody"]
        b> [48, 3, {"progress": true}, "com.nobody"]
        b> [48, 4, {"progress": true}, "com.nobody"]
        b< [8, 48, 1, {}, "wamp.error.no_such_procedure", $_]
        b< [8, 48, 2, {}, "wamp.error.no_such_procedure", $_]
        b< [8, 48, 3, {}, "wampline.error.limit_exceeded", $_]
        b< [8, 48, 4, {}, "wampline.error.limit_exceeded", $_]
        b> [48, 5, {"progress": true}, "com.nobody"]
        b< [3, {"message": $_}, "wamp.error.protocol_violation"]
        b closed 1002
        "#,
    );
}

#[test]
fn payload_passthru() {
    play(
        r#"
        a joins callee.payload_passthru_mode
        b joins caller.payload_passthru_mode
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "aes256gcm", "ppt_keyid": "k"}, "com.procedure", ["sealed"]]
        a< [68, 1, $r, {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "aes256gcm", "ppt_keyid": "k"}, ["sealed"]]
        a> [70, 1, {"ppt_scheme": "x_own", "ppt_serializer": "native"}, ["sealed"]]
        b< [50, 1, {"ppt_scheme": "x_own", "ppt_serializer": "native"}, ["sealed"]]
        b> [48, 2, {"ppt_scheme": "mqtt"}, "com.procedure", ["sealed"]]
        a< [68, 2, $r, {"ppt_scheme": "mqtt"}, ["sealed"]]
        a> [8, 68, 2, {"ppt_scheme": "mqtt", "ppt_keyid": "e"}, "com.error", ["sealed"]]
        b< [8, 48, 2, {"ppt_scheme": "mqtt", "ppt_keyid": "e"}, "com.error", ["sealed"]]
        "#,
    );
}

#[test]
fn payload_passthru_needs_both_sides() {
    play(
        r#"
        a joins callee.payload_passthru_mode
        b joins caller.payload_passthru_mode
        a> [64, 1, {}, "com.able"]
        a< [65, 1, $able]
        d> [64, 1, {}, "com.unable"]
        d< [65, 1, $unable]
        b> [48, 1, {"ppt_scheme": "mqtt"}, "com.unable", ["sealed"]]
        b< [8, 48, 1, {}, "wamp.error.feature_not_supported", $_]
        # Without a scheme it is an ordinary call.
        b> [48, 2, {"ppt_serializer": "cbor"}, "com.unable"]
        d< [68, 1, $unable, {}]
        d> [70, 1, {}]
        b< [50, 2, {}]
        # A caller that cannot read the result hears so; the callee hears nothing.
        c> [48, 1, {}, "com.able"]
        a< [68, 1, $able, {}]
        a> [70, 1, {"ppt_scheme": "mqtt"}, ["sealed"]]
        c< [8, 48, 1, {}, "wamp.error.feature_not_supported", $_]
        "#,
    );
}

fn with_rules(config: &mut Config) {
    let mut disclosure = Disclosure::default();
    for (uri, caller) in [("com.secret.", Disclose::Never), ("com.open.", Disclose::Always)] {
        let rule = DisclosureRule { publisher: None, caller: Some(caller) };
        disclosure.add(MatchPolicy::Prefix, uri, rule).unwrap();
    }
    let mut levels = TrustLevels::default();
    let rule = TrustRule { role: Some("anonymous".into()), publisher: None, caller: Some(3) };
    levels.add(MatchPolicy::Prefix, "com.open.", rule).unwrap();
    config.realms[0].disclosure = Arc::new(disclosure);
    config.realms[0].trust_levels = Arc::new(levels);
}

#[test]
fn disclosure_and_trust_of_callers_by_policy() {
    play_with(
        with_rules,
        r#"
        a> [64, 1, {"match": "prefix", "disclose_caller": true}, "com."]
        a< [65, 1, $r]
        b> [48, 1, {"disclose_me": true}, "com.secret.x"]
        b< [8, 48, 1, {}, "wamp.error.option_disallowed.disclose_me", $_]
        b> [48, 2, {}, "com.secret.x"]
        a< [68, 1, $r, {"procedure": "com.secret.x"}]
        b> [48, 3, {}, "com.open.x"]
        a< [68, 2, $r, {"procedure": "com.open.x", "caller": $session_b, "caller_authid": $authid_b, "caller_authrole": "anonymous", "trustlevel": 3}]
        b> [48, 4, {"runmode": "all"}, "com.open.y"]
        a< [68, 3, $r, {"procedure": "com.open.y", "caller": $session_b, "caller_authid": $authid_b, "caller_authrole": "anonymous", "trustlevel": 3}]
        "#,
    );
}

#[test]
fn strict_features_end_who_has_not_announced_them() {
    play_with(
        |config| config.realms[0].features = FeatureRules::Strict,
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true}, "com.procedure"]
        b< [3, {"message": $_}, "wamp.error.protocol_violation"]
        b closed 1002
        c> [48, 1, {"ppt_scheme": "mqtt"}, "com.procedure"]
        c< [3, {"message": $_}, "wamp.error.protocol_violation"]
        c closed 1002
        d joins caller.progressive_call_invocations caller.payload_passthru_mode
        d> [48, 1, {"progress": true}, "com.procedure"]
        a< [68, 1, $r, {"progress": true}]
        a> [70, 1, {"ppt_scheme": "mqtt"}]
        a< [3, {"message": $_}, "wamp.error.protocol_violation"]
        a closed 1002
        d< [8, 48, 1, {}, "wamp.error.canceled"]
        "#,
    );
}
