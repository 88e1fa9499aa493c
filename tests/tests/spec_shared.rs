//! Advanced profile, "Shared Registration", "Call Re-Routing", "Registration Revocation", and the options of deployed
//! routers beside them: `concurrency`, `force_reregister`, `least_pending`, `rkey`.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use wampline_tests::stage::{play, play_with, stages};

#[test]
fn round_robin_takes_turns_from_the_first() {
    play(
        r#"
        a> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        b< [65, 1, $r]
        c> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        c< [65, 1, $r]
        d> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        e> [48, 1, {}, "com.procedure"]
        b< [68, 1, $r, {}]
        d> [48, 2, {}, "com.procedure"]
        c< [68, 1, $r, {}]
        e> [48, 2, {}, "com.procedure"]
        a< [68, 2, $r, {}]
        # Who calls itself is no exception.
        a> [48, 1, {}, "com.procedure"]
        b< [68, 2, $r, {}]
        b> [70, 2, {}, ["b"]]
        a< [50, 1, {}, ["b"]]
        "#,
    );
}

#[test]
fn first_and_last_follow_who_is_there() {
    play(
        r#"
        a> [64, 1, {"invoke": "first"}, "com.first"]
        a< [65, 1, $f]
        b> [64, 1, {"invoke": "first"}, "com.first"]
        b< [65, 1, $f]
        a> [64, 2, {"invoke": "last"}, "com.last"]
        a< [65, 2, $l]
        b> [64, 2, {"invoke": "last"}, "com.last"]
        b< [65, 2, $l]
        c> [48, 1, {}, "com.first"]
        a< [68, 1, $f, {}]
        c> [48, 2, {}, "com.last"]
        b< [68, 1, $l, {}]
        b> [66, 3, $l]
        b< [67, 3]
        c> [48, 3, {}, "com.last"]
        a< [68, 2, $l, {}]
        a eof
        c< [8, 48, $_, {}, "wamp.error.canceled"]
        c< [8, 48, $_, {}, "wamp.error.canceled"]
        c> [48, 4, {}, "com.first"]
        b< [68, 2, $f, {}]
        c> [48, 5, {}, "com.last"]
        c< [8, 48, 5, {}, "wamp.error.no_such_procedure", $_]
        "#,
    );
}

#[test]
fn random_reaches_everybody() {
    for mut stage in stages(|_| {}) {
        for name in ["a", "b", "c"] {
            stage.say(name, &json!([64, 1, {"invoke": "random"}, "com.procedure"]));
            assert_eq!(stage.hear(name).unwrap()[0], 65);
        }
        let mut invoked = [0; 3];
        for request in 1..=90 {
            stage.say("d", &json!([48, request, {}, "com.procedure"]));
            for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
                if let Some(message) = stage.hear(name) {
                    invoked[n] += 1;
                    stage.say(name, &json!([70, message[1], {}]));
                }
            }
            assert_eq!(stage.hear("d").unwrap()[0], 50);
        }
        assert!(invoked.iter().all(|count| (10..=60).contains(count)), "{invoked:?}");
        stage.finish();
    }
}

#[test]
fn policies_do_not_mix() {
    play(
        r#"
        a> [64, 1, {"invoke": "roundrobin"}, "com.shared"]
        a< [65, 1, $s]
        b> [64, 1, {"invoke": "random"}, "com.shared"]
        b< [8, 64, 1, {}, "wamp.error.procedure_exists_with_different_invocation_policy", $_]
        b> [64, 2, {}, "com.shared"]
        b< [8, 64, 2, {}, "wamp.error.procedure_exists_with_different_invocation_policy", $_]
        a> [64, 2, {"invoke": "roundrobin"}, "com.shared"]
        a< [8, 64, 2, {}, "wamp.error.procedure_already_exists", $_]
        a> [64, 3, {"invoke": "single"}, "com.single"]
        a< [65, 3, $_]
        b> [64, 3, {"invoke": "roundrobin"}, "com.single"]
        b< [8, 64, 3, {}, "wamp.error.procedure_already_exists", $_]
        b> [64, 4, {"invoke": "whoever"}, "com.other"]
        b< [8, 64, 4, {}, "wamp.error.invalid_argument", $_]
        b> [64, 5, {"concurrency": "many"}, "com.other"]
        b< [8, 64, 5, {}, "wamp.error.invalid_argument", $_]
        "#,
    );
}

#[test]
fn unavailable_goes_to_the_next() {
    play(
        r#"
        a> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        b< [65, 1, $r]
        c> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        c< [65, 1, $r]
        d> [48, 1, {"disclose_me": true}, "com.procedure", ["kept"], {"k": 1}]
        a< [68, 1, $r, {"caller": $session_d, "caller_authid": $_, "caller_authrole": $_}, ["kept"], {"k": 1}]
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        b< [68, 1, $r, {"caller": $session_d, "caller_authid": $_, "caller_authrole": $_}, ["kept"], {"k": 1}]
        b> [8, 68, 1, {}, "wamp.error.unavailable"]
        c< [68, 1, $r, {"caller": $session_d, "caller_authid": $_, "caller_authrole": $_}, ["kept"], {"k": 1}]
        c> [70, 1, {}, ["done"]]
        d< [50, 1, {}, ["done"]]
        # A late answer of an attempt that is over changes nothing.
        a> [70, 1, {}, ["late"]]
        d> [48, 2, {}, "com.procedure"]
        b< [68, 2, $r, {}]
        b> [8, 68, 2, {}, "wamp.error.unavailable"]
        c< [68, 2, $r, {}]
        c> [8, 68, 2, {}, "wamp.error.unavailable"]
        a< [68, 2, $r, {}]
        a> [8, 68, 2, {}, "wamp.error.unavailable"]
        d< [8, 48, 2, {}, "wamp.error.no_available_callee", $_]
        counted calls_rerouted 4
        "#,
    );
}

#[test]
fn rerouting_by_first_last_and_single() {
    play(
        r#"
        a> [64, 1, {"invoke": "first"}, "com.first"]
        a< [65, 1, $f]
        b> [64, 1, {"invoke": "first"}, "com.first"]
        b< [65, 1, $f]
        a> [64, 2, {"invoke": "last"}, "com.last"]
        a< [65, 2, $l]
        b> [64, 2, {"invoke": "last"}, "com.last"]
        b< [65, 2, $l]
        a> [64, 3, {}, "com.single"]
        a< [65, 3, $s]
        c> [48, 1, {}, "com.first"]
        a< [68, 1, $f, {}]
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        b< [68, 1, $f, {}]
        b> [70, 1, {}, [1]]
        c< [50, 1, {}, [1]]
        c> [48, 2, {}, "com.last"]
        b< [68, 2, $l, {}]
        b> [8, 68, 2, {}, "wamp.error.unavailable"]
        a< [68, 2, $l, {}]
        a> [8, 68, 2, {}, "wamp.error.unavailable"]
        c< [8, 48, 2, {}, "wamp.error.no_available_callee", $_]
        c> [48, 3, {}, "com.single"]
        a< [68, 3, $s, {}]
        a> [8, 68, 3, {}, "wamp.error.unavailable"]
        c< [8, 48, 3, {}, "wamp.error.no_available_callee", $_]
        "#,
    );
}

#[test]
fn who_has_begun_to_answer_is_not_replaced() {
    play(
        r#"
        a> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {"receive_progress": true}, "com.procedure"]
        a< [68, 1, $r, {"receive_progress": true}]
        a> [70, 1, {"progress": true}, [1]]
        c< [50, 1, {"progress": true}, [1]]
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        c< [8, 48, 1, {}, "wamp.error.no_available_callee", $_]
        "#,
    );
}

#[test]
fn chunks_stay_with_their_callee() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        b joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {"progress": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true}, [1]]
        c> [48, 2, {"progress": true}, "com.procedure", ["x"]]
        b< [68, 1, $r, {"progress": true}, ["x"]]
        c> [48, 1, {"progress": true}, "com.procedure", [2]]
        a< [68, 1, $r, {"progress": true}, [2]]
        c> [48, 2, {}, "com.procedure", ["y"]]
        b< [68, 1, $r, {}, ["y"]]
        # The first chunk alone may still go elsewhere, later ones not.
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        c< [8, 48, 1, {}, "wamp.error.no_available_callee", $_]
        c> [48, 1, {}, "com.procedure", [3]]
        b> [70, 1, {}]
        c< [50, 2, {}]
        "#,
    );
}

#[test]
fn equal_keys_go_to_one_callee() {
    for mut stage in stages(|_| {}) {
        for name in ["a", "b", "c"] {
            stage.say(name, &json!([64, 1, {"invoke": "roundrobin"}, "com.procedure"]));
            assert_eq!(stage.hear(name).unwrap()[0], 65);
        }
        let mut request = 0;
        let mut by_key = std::collections::BTreeMap::new();
        for round in 0..3 {
            for key in 0..20 {
                request += 1;
                let caller = if round == 1 { "e" } else { "d" };
                let options = if key % 2 == 0 {
                    json!({"rkey": key})
                } else {
                    json!({"rkey": key, "runmode": "partition"})
                };
                stage.say(caller, &json!([48, request, options, "com.procedure"]));
                for name in ["a", "b", "c"] {
                    if let Some(message) = stage.hear(name) {
                        assert_eq!(*by_key.entry(key).or_insert(name), name);
                        stage.say(name, &json!([70, message[1], {}]));
                    }
                }
                assert_eq!(stage.hear(caller).unwrap()[0], 50);
            }
        }
        let served: std::collections::BTreeSet<&str> = by_key.into_values().collect();
        assert_eq!(served.len(), 3);
        stage.say("d", &json!([48, 1000, {"runmode": "partition"}, "com.procedure"]));
        assert_eq!(stage.hear("d").unwrap()[4], "wamp.error.invalid_argument");
        stage.finish();
    }
}

#[test]
fn the_least_loaded_callee_goes_first() {
    play(
        r#"
        a> [64, 1, {"invoke": "least_pending"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "least_pending"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        c> [48, 2, {}, "com.procedure"]
        b< [68, 1, $r, {}]
        b> [70, 1, {}]
        c< [50, 2, {}]
        c> [48, 3, {}, "com.procedure"]
        b< [68, 2, $r, {}]
        a> [70, 1, {}]
        c< [50, 1, {}]
        c> [48, 4, {}, "com.procedure"]
        a< [68, 2, $r, {}]
        "#,
    );
}

#[test]
fn concurrency_lets_calls_wait() {
    play(
        r#"
        a> [64, 1, {"concurrency": 2}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure", [1]]
        c> [48, 1, {}, "com.procedure", [2]]
        b> [48, 2, {}, "com.procedure", [3]]
        b> [48, 3, {}, "com.procedure", [4]]
        a< [68, 1, $r, {}, [1]]
        a< [68, 2, $r, {}, [2]]
        a> [70, 2, {}]
        c< [50, 1, {}]
        a< [68, 3, $r, {}, [3]]
        # One that waits can be cancelled: it is never invoked.
        b> [49, 3, {"mode": "kill"}]
        b< [8, 48, 3, {}, "wamp.error.canceled"]
        a> [70, 1, {}]
        b< [50, 1, {}]
        a> [8, 68, 3, {}, "com.error"]
        b< [8, 48, 2, {}, "com.error"]
        counted calls_queued 2
        "#,
    );
}

#[test]
fn calls_that_wait_go_elsewhere_when_their_callee_leaves() {
    play(
        r#"
        a> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {}, "com.procedure", [1]]
        c> [48, 2, {}, "com.procedure", [2]]
        a< [68, 1, $r, {}, [1]]
        a eof
        c< [8, 48, 1, {}, "wamp.error.canceled"]
        b< [68, 1, $r, {}, [2]]
        c> [48, 3, {}, "com.procedure", [3]]
        b> [66, 2, $r]
        b< [67, 2]
        c< [8, 48, 3, {}, "wamp.error.no_such_procedure", $_]
        b> [70, 1, {}, ["still counts"]]
        c< [50, 2, {}, ["still counts"]]
        "#,
    );
}

#[test]
fn a_call_whose_payload_was_not_kept_goes_to_nobody_else() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        b joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        a< [65, 1, $r]
        # When this call is sent there is no other callee for whom its payload should be kept.
        d> [48, 1, {"progress": true}, "com.procedure", ["first"]]
        a< [68, 1, $r, {"progress": true}, ["first"]]
        b> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        b< [65, 1, $r]
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        d< [8, 48, 1, {}, "wamp.error.no_available_callee", $_]
        d> [48, 1, {}, "com.procedure", ["last"]]
        # With two of them it is kept.
        d> [48, 2, {"progress": true}, "com.procedure", ["first"]]
        a< [68, 2, $r, {"progress": true}, ["first"]]
        a> [8, 68, 2, {}, "wamp.error.unavailable"]
        b< [68, 1, $r, {"progress": true}, ["first"]]
        d> [48, 2, {}, "com.procedure", ["last"]]
        b< [68, 1, $r, {}, ["last"]]
        b> [70, 1, {}]
        d< [50, 2, {}]
        "#,
    );
}

#[test]
fn a_full_queue_moves_on_to_the_next_callee() {
    play_with(
        |config| config.realms[0].limits.calls_per_callee_queued_max = 1,
        r#"
        a> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {}, "com.procedure", [1]]
        a< [68, 1, $r, {}, [1]]
        c> [48, 2, {}, "com.procedure", [2]]
        c> [48, 3, {}, "com.procedure", [3]]
        b< [68, 1, $r, {}, [3]]
        c> [48, 4, {}, "com.procedure", [4]]
        c> [48, 5, {}, "com.procedure", [5]]
        c< [8, 48, 5, {}, "wamp.error.no_available_callee", $_]
        a> [70, 1, {}]
        c< [50, 1, {}]
        a< [68, 2, $r, {}, [2]]
        b> [70, 1, {}]
        c< [50, 3, {}]
        b< [68, 2, $r, {}, [4]]
        "#,
    );
}

#[test]
fn a_progressive_call_that_waits_keeps_its_chunks() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {"concurrency": 1}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure", ["first"]]
        a< [68, 1, $r, {}, ["first"]]
        c> [48, 1, {"progress": true}, "com.procedure", [1]]
        c> [48, 1, {"progress": true}, "com.procedure", [2]]
        c> [48, 1, {}, "com.procedure", [3]]
        a> [70, 1, {}]
        b< [50, 1, {}]
        a< [68, 2, $r, {"progress": true}, [1]]
        a< [68, 2, $r, {"progress": true}, [2]]
        a< [68, 2, $r, {}, [3]]
        a> [70, 2, {}]
        c< [50, 1, {}]
        "#,
    );
}

#[test]
fn force_reregister_takes_the_procedure_over() {
    play(
        r#"
        a joins callee.registration_revocation
        a> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        a< [65, 1, $old]
        b> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        b< [65, 1, $old]
        c> [64, 1, {"force_reregister": true}, "com.procedure"]
        c< [65, 1, $new]
        a< [67, 0, {"registration": $old, "reason": $_}]
        d> [48, 1, {}, "com.procedure"]
        c< [68, 1, $new, {}]
        # UNREGISTER of what was taken away succeeds, once.
        b> [66, 2, $old]
        b< [67, 2]
        b> [66, 3, $old]
        b< [8, 66, 3, {}, "wamp.error.no_such_registration", $_]
        "#,
    );
}

#[test]
fn a_call_to_all_callees() {
    play(
        r#"
        a> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        b< [65, 1, $r]
        c> [64, 1, {"invoke": "roundrobin"}, "com.procedure"]
        c< [65, 1, $r]
        d> [48, 1, {"runmode": "all"}, "com.procedure", ["to all"]]
        a< [68, 1, $r, {}, ["to all"]]
        b< [68, 1, $r, {}, ["to all"]]
        c< [68, 1, $r, {}, ["to all"]]
        b> [70, 1, {}, [2], {"k": "v"}]
        a> [8, 68, 1, {}, "com.error", ["no"]]
        c eof
        d< [50, 1, {}, [{"session": $session_b, "args": [2], "kwargs": {"k": "v"}}, {"session": $session_a, "error": "com.error", "args": ["no"]}, {"session": $session_c, "error": "wamp.error.canceled"}]]
        d> [48, 2, {"runmode": "all"}, "com.nobody"]
        d< [8, 48, 2, {}, "wamp.error.no_such_procedure", $_]
        "#,
    );
}

#[test]
fn a_call_to_all_callees_with_progress() {
    play(
        r#"
        a> [64, 1, {"invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        d> [48, 1, {"runmode": "all", "receive_progress": true}, "com.procedure"]
        a< [68, 1, $r, {"receive_progress": true}]
        b< [68, 1, $r, {"receive_progress": true}]
        a> [70, 1, {"progress": true}, ["half"]]
        d< [50, 1, {"progress": true}, [{"session": $session_a, "args": ["half"]}]]
        b> [70, 1, {}, ["b"]]
        d< [50, 1, {"progress": true}, [{"session": $session_b, "args": ["b"]}]]
        a> [70, 1, {}, ["a"]]
        d< [50, 1, {"progress": true}, [{"session": $session_a, "args": ["a"]}]]
        d< [50, 1, {}, [{"session": $session_b, "args": ["b"]}, {"session": $session_a, "args": ["a"]}]]
        "#,
    );
}

#[test]
fn a_call_to_all_callees_ends_for_all() {
    play(
        r#"
        a joins callee.call_canceling
        b joins callee.call_canceling
        a> [64, 1, {"invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "first", "concurrency": 1}, "com.procedure"]
        b< [65, 1, $r]
        # Time is up.
        d> [48, 1, {"runmode": "all", "timeout": 1000}, "com.procedure"]
        a< [68, 1, $r, {}]
        b< [68, 1, $r, {}]
        a> [70, 1, {}]
        wait 1100ms
        b< [69, 1, {"mode": "killnowait"}]
        d< [8, 48, 1, {}, "wamp.error.timeout", $_]
        # The caller cancels.
        d> [48, 2, {"runmode": "all"}, "com.procedure"]
        a< [68, 2, $r, {}]
        b< [68, 2, $r, {}]
        d> [49, 2, {"mode": "kill"}]
        a< [69, 2, {"mode": "kill"}]
        b< [69, 2, {"mode": "kill"}]
        a> [8, 68, 2, {}, "wamp.error.canceled"]
        b> [70, 2, {}, ["done"]]
        d< [50, 2, {}, [{"session": $session_a, "error": "wamp.error.canceled"}, {"session": $session_b, "args": ["done"]}]]
        # The caller leaves.
        d> [48, 3, {"runmode": "all"}, "com.procedure"]
        a< [68, 3, $r, {}]
        b< [68, 3, $r, {}]
        d eof
        a< [69, 3, {"mode": "killnowait"}]
        b< [69, 3, {"mode": "killnowait"}]
        "#,
    );
}

#[test]
fn a_registration_given_up_and_taken_again_counts_anew() {
    play(
        r#"
        a> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {}, "com.procedure", [1]]
        a< [68, 1, $r, {}, [1]]
        a> [66, 2, $r]
        a< [67, 2]
        b> [66, 2, $r]
        a> [64, 3, {"concurrency": 1}, "com.procedure"]
        b< [67, 2]
        a< [65, 3, $s]
        c> [48, 2, {}, "com.procedure", [2]]
        c> [48, 3, {}, "com.procedure", [3]]
        a< [68, 2, $s, {}, [2]]
        a> [70, 1, {}]
        c< [50, 1, {}]
        a> [70, 2, {}]
        c< [50, 2, {}]
        a< [68, 3, $s, {}, [3]]
        "#,
    );
}

#[test]
fn a_timeout_that_was_forwarded_is_the_dealers_again_after_routing_again() {
    play(
        r#"
        a> [64, 1, {"invoke": "first", "forward_timeout": true}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {"timeout": 1000}, "com.procedure"]
        a< [68, 1, $r, {"timeout": 1000}]
        wait 500ms
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        b< [68, 1, $r, {}]
        wait 400ms
        wait 200ms
        c< [8, 48, 1, {}, "wamp.error.timeout", $_]
        b> [70, 1, {}]
        "#,
    );
}
