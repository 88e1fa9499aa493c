//! Advanced profile, remote procedure calls: the sentences of the text that no scene of `spec_rpc.rs`, `spec_shared.rs` or
//! `spec_dealer.rs` shows. docs/conformance/rpc.md says which sentence is where.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use wampline_routing::RequestIds;
use wampline_shard::Config;
use wampline_tests::stage::{play, play_with, stages};

/// "Progressive Call Results": both may be empty, and none needs to come.
#[test]
fn progressive_and_final_results_may_be_empty_or_missing() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"receive_progress": true}, "com.procedure"]
        a< [68, 1, $r, {"receive_progress": true}]
        a> [70, 1, {"progress": true}, ["Y2010", 120]]
        b< [50, 1, {"progress": true}, ["Y2010", 120]]
        a> [70, 1, {}]
        b< [50, 1, {}]
        b> [48, 2, {"receive_progress": true}, "com.procedure"]
        a< [68, 2, $r, {"receive_progress": true}]
        a> [70, 2, {}, ["at once"]]
        b< [50, 2, {}, ["at once"]]
        b> [48, 3, {"receive_progress": false}, "com.procedure"]
        a< [68, 3, $r, {}]
        a> [70, 3, {"progress": false}, [1]]
        b< [50, 3, {}, [1]]
        "#,
    );
}

/// "Progressive Call Results": what is canceled yields in vain.
#[test]
fn progressive_results_after_the_call_was_canceled() {
    play(
        r#"
        a joins callee.progressive_call_results callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"receive_progress": true}, "com.procedure"]
        a< [68, 1, $r, {"receive_progress": true}]
        b> [49, 1, {"mode": "killnowait"}]
        a< [69, 1, {"mode": "killnowait"}]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        a> [70, 1, {"progress": true}, [1]]
        a> [8, 68, 1, {}, "wamp.error.canceled"]
        # With kill the callee may still say something on the way.
        b> [48, 2, {"receive_progress": true}, "com.procedure"]
        a< [68, 2, $r, {"receive_progress": true}]
        b> [49, 2, {"mode": "kill"}]
        a< [69, 2, {"mode": "kill"}]
        a> [70, 2, {"progress": true}, [2]]
        b< [50, 2, {"progress": true}, [2]]
        a> [8, 68, 2, {}, "wamp.error.canceled"]
        b< [8, 48, 2, {}, "wamp.error.canceled"]
        "#,
    );
}

/// "Progressive Call Invocations": a callee without Call Canceling counts as one that lacks the feature.
#[test]
fn chunks_need_a_callee_that_can_cancel() {
    play(
        r#"
        a joins callee.progressive_call_invocations
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true}, "com.procedure", [1]]
        b< [8, 48, 1, {}, "wamp.error.feature_not_supported", $_]
        b> [48, 1, {}, "com.procedure", [2]]
        counted chunks_dropped 1
        b> [48, 2, {}, "com.procedure", ["whole"]]
        a< [68, 1, $r, {}, ["whole"]]
        a> [70, 1, {}]
        b< [50, 2, {}]
        "#,
    );
}

/// "Progressive Call Invocations": `progress: false` ends the input as its absence does.
#[test]
fn the_last_chunk_may_say_so() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_cancelling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true}, [1]]
        b> [48, 1, {"progress": false}, "com.procedure", [2]]
        a< [68, 1, $r, {}, [2]]
        a> [70, 1, {}, [3]]
        b< [50, 1, {}, [3]]
        "#,
    );
}

/// "Progressive Call Invocations", "Caller Leaving" and "Callee Leaving".
#[test]
fn either_side_leaves_while_chunks_are_sent() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true}, [1]]
        b> [48, 1, {"progress": true}, "com.procedure", [2]]
        a< [68, 1, $r, {"progress": true}, [2]]
        b eof
        a< [69, 1, {"mode": "killnowait"}]
        c> [48, 1, {"progress": true}, "com.procedure", [1]]
        a< [68, 2, $r, {"progress": true}, [1]]
        a eof
        c< [8, 48, 1, {}, "wamp.error.canceled"]
        # The call was completed by that: what its caller still sends of it is discarded.
        c> [48, 1, {"progress": true}, "com.procedure", [2]]
        c> [48, 1, {}, "com.procedure", [3]]
        counted chunks_dropped 2
        "#,
    );
}

/// "Progressive Call Invocations", "Freezing of Options".
#[test]
fn options_are_those_of_the_first_chunk() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling callee.payload_passthru_mode
        b joins caller.progressive_call_invocations caller.payload_passthru_mode
        a> [64, 1, {"match": "prefix", "forward_timeout": true}, "com."]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true, "receive_progress": true, "timeout": 5000, "ppt_scheme": "mqtt", "ppt_keyid": "k"}, "com.procedure", [1]]
        a< [68, 1, $r, {"procedure": "com.procedure", "progress": true, "receive_progress": true, "timeout": 5000, "ppt_scheme": "mqtt", "ppt_keyid": "k"}, [1]]
        # Options of later chunks are ignored, whatever is in them.
        b> [48, 1, {"progress": true, "receive_progress": false, "timeout": "soon", "disclose_me": true, "ppt_keyid": "other", "runmode": "?", "x_own": 1}, "com.procedure", [2]]
        a< [68, 1, $r, {"procedure": "com.procedure", "progress": true, "receive_progress": true, "timeout": 5000, "ppt_scheme": "mqtt", "ppt_keyid": "k"}, [2]]
        a> [70, 1, {"progress": true}, ["so far"]]
        b< [50, 1, {"progress": true}, ["so far"]]
        b> [48, 1, {}, "com.procedure", [3]]
        a< [68, 1, $r, {"procedure": "com.procedure", "receive_progress": true, "timeout": 5000, "ppt_scheme": "mqtt", "ppt_keyid": "k"}, [3]]
        a> [70, 1, {}]
        b< [50, 1, {}]
        "#,
    );
}

/// "Progressive Call Invocations", "Verification of CALL Request IDs": the URI belongs to what tells a call.
#[test]
fn a_chunk_for_another_procedure_is_discarded() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {}, "com.one"]
        a< [65, 1, $one]
        a> [64, 2, {}, "com.two"]
        a< [65, 2, $two]
        b> [48, 1, {"progress": true}, "com.one", [1]]
        a< [68, 1, $one, {"progress": true}, [1]]
        b> [48, 1, {"progress": true}, "com.two", [2]]
        b> [48, 1, {"progress": true}, "com.one", [3]]
        a< [68, 1, $one, {"progress": true}, [3]]
        a> [70, 1, {}]
        b< [50, 1, {}]
        counted chunks_dropped 1
        "#,
    );
}

fn strict(config: &mut Config) {
    config.realms[0].request_ids = RequestIds::Strict;
}

/// "Progressive Call Invocations", "Verification of CALL Request IDs", with the ids in the order of the text.
#[test]
fn strict_ids_and_chunks() {
    play_with(
        strict,
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"progress": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true}, [1]]
        b> [48, 2, {}, "com.procedure", ["bar"]]
        a< [68, 2, $r, {}, ["bar"]]
        b> [48, 1, {"progress": true}, "com.procedure", [2]]
        a< [68, 1, $r, {"progress": true}, [2]]
        a> [70, 1, {}]
        b< [50, 1, {}]
        # Completed, and the caller did not know.
        b> [48, 1, {"progress": true}, "com.procedure", [3]]
        b> [48, 1, {}, "com.procedure", [4]]
        counted chunks_dropped 2
        a> [70, 2, {}]
        b< [50, 2, {}]
        b> [48, 3, {}, "com.nobody"]
        b< [8, 48, 3, {}, "wamp.error.no_such_procedure", $_]
        # A gap.
        b> [48, 5, {}, "com.procedure"]
        b< [3, {"message": $_}, "wamp.error.protocol_violation"]
        b closed 1002
        # An id of a call that is neither open nor was progressive.
        c> [48, 1, {}, "com.nobody"]
        c< [8, 48, 1, {}, "wamp.error.no_such_procedure", $_]
        c> [48, 1, {"progress": true}, "com.nobody"]
        c< [3, {"message": $_}, "wamp.error.protocol_violation"]
        c closed 1002
        "#,
    );
}

/// "Call Canceling": after killnowait the callee need not answer, and whatever it answers is ignored.
#[test]
fn answers_after_killnowait_are_ignored() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        b> [48, 2, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        b> [49, 1, {"mode": "killnowait"}]
        a< [69, 1, {"mode": "killnowait"}]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        b> [49, 2, {"mode": "killnowait"}]
        a< [69, 2, {"mode": "killnowait"}]
        b< [8, 48, 2, {}, "wamp.error.canceled"]
        a> [70, 1, {}, ["done all the same"]]
        a> [8, 68, 2, {}, "com.error"]
        counted answers_dropped 2
        counted protocol_violations 0
        "#,
    );
}

/// "Call Canceling": with kill, the end of the callee answers too.
#[test]
fn the_callee_leaves_before_it_answers_an_interrupt() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        b> [49, 1, {"mode": "kill"}]
        a< [69, 1, {"mode": "kill"}]
        a eof
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        "#,
    );
}

/// "Call Timeouts": as killnowait, or skip where the callee cannot cancel; what it answers then is ignored.
#[test]
fn a_timeout_leaves_alone_who_cannot_cancel() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"timeout": 1000}, "com.procedure"]
        b> [48, 2, {"timeout": null}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        wait 1100ms
        b< [8, 48, 1, {}, "wamp.error.timeout", $_]
        a> [70, 1, {}, ["late"]]
        counted answers_dropped 1
        wait 10s
        a> [70, 2, {}, ["whenever"]]
        b< [50, 2, {}, ["whenever"]]
        "#,
    );
}

/// "Call Timeouts": a caller may keep its own time and cancel.
#[test]
fn a_caller_cancels_a_call_that_has_a_timeout() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"timeout": 1000}, "com.procedure"]
        a< [68, 1, $r, {}]
        wait 500ms
        b> [49, 1, {"mode": "killnowait"}]
        a< [69, 1, {"mode": "killnowait"}]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        wait 2s
        counted calls_timed_out 0
        "#,
    );
}

/// "Call Re-Routing" by `random`: another one each time, nobody twice, and then the end.
#[test]
fn rerouting_by_random_asks_everybody_once() {
    for mut stage in stages(|_| {}) {
        let callees = ["a", "b", "c"];
        for name in callees {
            stage.say(name, &json!([64, 1, {"invoke": "random"}, "com.procedure"]));
            assert_eq!(stage.hear(name).unwrap()[0], 65);
        }
        for request in 1..=10 {
            stage.say("d", &json!([48, request, {}, "com.procedure", [request]]));
            let mut asked = Vec::new();
            while asked.len() < callees.len() {
                let heard: Vec<_> =
                    callees.iter().filter_map(|name| stage.hear(name).map(|heard| (*name, heard))).collect();
                assert_eq!(heard.len(), 1, "one callee at a time, after {asked:?}");
                let (name, invocation) = &heard[0];
                assert_eq!(invocation[4], json!([request]));
                asked.push(*name);
                stage.say(name, &json!([8, 68, invocation[1], {}, "wamp.error.unavailable"]));
            }
            asked.sort_unstable();
            assert_eq!(asked, callees);
            assert_eq!(stage.hear("d").unwrap()[4], "wamp.error.no_available_callee");
        }
        stage.finish();
    }
}

/// "Shared Registration": turns go on when a callee leaves, and the first one of an unshared procedure decides anew.
#[test]
fn the_list_of_callees_changes() {
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
        a> [70, 1, {}]
        d< [50, 1, {}]
        b> [66, 2, $r]
        b< [67, 2]
        d> [48, 2, {}, "com.procedure"]
        c< [68, 1, $r, {}]
        d> [48, 3, {}, "com.procedure"]
        a< [68, 2, $r, {}]
        a> [66, 2, $r]
        a< [67, 2]
        c> [66, 2, $r]
        c< [67, 2]
        b> [64, 3, {"invoke": "last"}, "com.procedure"]
        b< [65, 3, $s]
        a> [64, 3, {"invoke": "roundrobin"}, "com.procedure"]
        a< [8, 64, 3, {}, "wamp.error.procedure_exists_with_different_invocation_policy", $_]
        "#,
    );
}

/// "Pattern-based Registrations": the examples of "Prefix Matching".
#[test]
fn prefixes_as_in_the_text() {
    play(
        r#"
        a> [64, 1, {"match": "prefix"}, "com.myapp.myobject1"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.myapp.myobject1.myprocedure1"]
        a< [68, 1, $r, {"procedure": "com.myapp.myobject1.myprocedure1"}]
        b> [48, 2, {}, "com.myapp.myobject1-mysubobject1"]
        a< [68, 2, $r, {"procedure": "com.myapp.myobject1-mysubobject1"}]
        b> [48, 3, {}, "com.myapp.myobject1.mysubobject1.myprocedure1"]
        a< [68, 3, $r, {"procedure": "com.myapp.myobject1.mysubobject1.myprocedure1"}]
        b> [48, 4, {}, "com.myapp.myobject1"]
        a< [68, 4, $r, {"procedure": "com.myapp.myobject1"}]
        b> [48, 5, {}, "com.myapp.myobject2"]
        b< [8, 48, 5, {}, "wamp.error.no_such_procedure", $_]
        b> [48, 6, {}, "com.myapp.myobject"]
        b< [8, 48, 6, {}, "wamp.error.no_such_procedure", $_]
        "#,
    );
}

/// "Pattern-based Registrations": the examples of "Wildcard Matching".
#[test]
fn wildcards_as_in_the_text() {
    play(
        r#"
        a> [64, 1, {"match": "wildcard"}, "com.myapp..myprocedure1"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.myapp.myobject1.myprocedure1"]
        a< [68, 1, $r, {"procedure": "com.myapp.myobject1.myprocedure1"}]
        b> [48, 2, {}, "com.myapp.myobject2.myprocedure1"]
        a< [68, 2, $r, {"procedure": "com.myapp.myobject2.myprocedure1"}]
        b> [48, 3, {}, "com.myapp.myobject1.myprocedure1.mysubprocedure1"]
        b< [8, 48, 3, {}, "wamp.error.no_such_procedure", $_]
        b> [48, 4, {}, "com.myapp.myobject1.myprocedure2"]
        b< [8, 48, 4, {}, "wamp.error.no_such_procedure", $_]
        b> [48, 5, {}, "com.myapp2.myobject1.myprocedure1"]
        b< [8, 48, 5, {}, "wamp.error.no_such_procedure", $_]
        "#,
    );
}

/// "Pattern-based Registrations": "No set semantics".
#[test]
fn a_pattern_is_given_up_as_a_whole() {
    play(
        r#"
        a> [64, 1, {"match": "prefix"}, "com.myapp"]
        a< [65, 1, $broad]
        a> [64, 2, {}, "com.myapp.one"]
        a< [65, 2, $one]
        a> [66, 3, $one]
        a< [67, 3]
        b> [48, 1, {}, "com.myapp.one"]
        a< [68, 1, $broad, {"procedure": "com.myapp.one"}]
        "#,
    );
}

/// "Payload Passthru Mode" together with progress in both directions.
#[test]
fn payload_passthru_in_pieces() {
    play(
        r#"
        a joins callee.payload_passthru_mode callee.progressive_call_invocations callee.call_canceling
        b joins caller.payload_passthru_mode caller.progressive_call_invocations
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"ppt_scheme": "wamp", "ppt_serializer": "flatbuffers", "progress": true, "receive_progress": true}, "com.procedure", ["one"]]
        a< [68, 1, $r, {"ppt_scheme": "wamp", "ppt_serializer": "flatbuffers", "progress": true, "receive_progress": true}, ["one"]]
        a> [70, 1, {"ppt_scheme": "wamp", "ppt_serializer": "flatbuffers", "ppt_cipher": "aes256gcm", "progress": true}, ["half"]]
        b< [50, 1, {"ppt_scheme": "wamp", "ppt_serializer": "flatbuffers", "ppt_cipher": "aes256gcm", "progress": true}, ["half"]]
        b> [48, 1, {"ppt_scheme": "wamp", "ppt_serializer": "flatbuffers"}, "com.procedure", ["two"]]
        a< [68, 1, $r, {"ppt_scheme": "wamp", "ppt_serializer": "flatbuffers", "receive_progress": true}, ["two"]]
        a> [70, 1, {}, ["in the clear"]]
        b< [50, 1, {}, ["in the clear"]]
        "#,
    );
}

/// "Payload Passthru Mode": values that the text does not name are the business of those who use them.
#[test]
fn the_router_does_not_judge_passthru_attributes() {
    play(
        r#"
        a joins callee.payload_passthru_mode
        b joins caller.payload_passthru_mode
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"ppt_scheme": "nobody knows", "ppt_serializer": "pickle", "ppt_cipher": "rot13", "ppt_keyid": ""}, "com.procedure", ["sealed"], {"beside": 1}]
        a< [68, 1, $r, {"ppt_scheme": "nobody knows", "ppt_serializer": "pickle", "ppt_cipher": "rot13", "ppt_keyid": ""}, ["sealed"], {"beside": 1}]
        a> [70, 1, {}]
        b< [50, 1, {}]
        # In use only if the scheme is there and not empty.
        b> [48, 2, {"ppt_scheme": "", "ppt_keyid": "k"}, "com.procedure"]
        a< [68, 2, $r, {}]
        a> [70, 2, {}]
        b< [50, 2, {}]
        "#,
    );
}

/// "Payload Passthru Mode": a callee that has not announced it is only held to it where a realm is strict.
#[test]
fn an_unannounced_passthru_result_passes() {
    play(
        r#"
        b joins caller.payload_passthru_mode
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a> [70, 1, {"ppt_scheme": "mqtt"}, ["sealed"]]
        b< [50, 1, {"ppt_scheme": "mqtt"}, ["sealed"]]
        "#,
    );
}

/// "Registration Revocation" by a callee that takes over: who has not announced the feature is not told.
#[test]
fn only_who_announced_revocation_is_told_of_a_takeover() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $old]
        c> [48, 1, {}, "com.procedure"]
        a< [68, 1, $old, {}]
        b> [64, 1, {"force_reregister": true}, "com.procedure"]
        b< [65, 1, $new]
        # An invocation that is open goes on.
        a> [70, 1, {}, ["of the old one"]]
        c< [50, 1, {}, ["of the old one"]]
        c> [48, 2, {}, "com.procedure"]
        b< [68, 1, $new, {}]
        "#,
    );
}

/// "Call Timeouts" counts results that go to the caller: what is held back gives no more time. And who waits after `kill` waits no longer.
#[test]
fn times_that_end_all_the_same() {
    play(
        r#"
        a joins callee.call_canceling
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {"timeout": 1000}, "com.procedure"]
        a< [68, 1, $r, {}]
        wait 800ms
        a> [70, 1, {"progress": true}, [1]]
        wait 300ms
        a< [69, 1, {"mode": "killnowait"}]
        b< [8, 48, 1, {}, "wamp.error.timeout", $_]
        b> [48, 2, {"timeout": 1000}, "com.procedure"]
        a< [68, 2, $r, {}]
        b> [49, 2, {"mode": "kill"}]
        a< [69, 2, {"mode": "kill"}]
        wait 1100ms
        a< [69, 2, {"mode": "killnowait"}]
        b< [8, 48, 2, {}, "wamp.error.timeout", $_]
        a> [8, 68, 2, {}, "wamp.error.canceled"]
        "#,
    );
}

/// "Call Re-Routing" of a progressive call whose first chunk alone was sent.
#[test]
fn a_first_chunk_may_be_rerouted() {
    play(
        r#"
        a joins callee.progressive_call_invocations callee.call_canceling
        b joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {"invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {"progress": true, "receive_progress": true}, "com.procedure", [1]]
        a< [68, 1, $r, {"progress": true, "receive_progress": true}, [1]]
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        b< [68, 1, $r, {"progress": true, "receive_progress": true}, [1]]
        c> [48, 1, {}, "com.procedure", [2]]
        b< [68, 1, $r, {"receive_progress": true}, [2]]
        b> [70, 1, {}]
        c< [50, 1, {}]
        "#,
    );
}

/// "Payload Passthru Mode": an ERROR goes to every caller, because its URI says what went wrong.
#[test]
fn an_error_with_passthru_goes_to_who_cannot_read_it() {
    play(
        r#"
        a joins callee.payload_passthru_mode
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a> [8, 68, 1, {"ppt_scheme": "mqtt"}, "com.error", ["sealed"]]
        b< [8, 48, 1, {"ppt_scheme": "mqtt"}, "com.error", ["sealed"]]
        "#,
    );
}

/// The older payload transparency, which the text has no more: towards those that announced it.
#[test]
fn transparent_payloads_of_calls() {
    play(
        r#"
        a joins callee.payload_transparency
        b joins caller.payload_transparency
        a> [64, 1, {}, "com.able"]
        a< [65, 1, $r]
        b> [64, 1, {}, "com.unable"]
        b< [65, 1, $_]
        b> [48, 2, {"enc_algo": "cryptobox", "enc_key": "k", "enc_serializer": "json"}, "com.able", ["sealed"]]
        a< [68, 1, $r, {"enc_algo": "cryptobox", "enc_key": "k", "enc_serializer": "json"}, ["sealed"]]
        a> [70, 1, {"enc_algo": "cryptobox"}, ["sealed"]]
        b< [50, 2, {"enc_algo": "cryptobox"}, ["sealed"]]
        b> [48, 3, {"enc_algo": "cryptobox"}, "com.unable", ["sealed"]]
        b< [8, 48, 3, {}, "wamp.error.feature_not_supported", $_]
        c> [48, 1, {}, "com.able"]
        a< [68, 2, $r, {}]
        a> [70, 2, {"enc_algo": "cryptobox"}, ["sealed"]]
        c< [8, 48, 1, {}, "wamp.error.feature_not_supported", $_]
        "#,
    );
}
