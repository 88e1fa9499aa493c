//! Basic profile, "Remote Procedure Calls"; advanced profile, "Pattern-based Registrations".
#![allow(clippy::unwrap_used)]

use serde_json::json;
use wampline_tests::stage::{play, play_with, stages};

#[test]
fn a_call_and_its_result() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a> [70, 1, {}]
        b< [50, 1, {}]
        b> [48, 2, {}, "com.procedure", [1, "two", {"three": 3}]]
        a< [68, 2, $r, {}, [1, "two", {"three": 3}]]
        a> [70, 2, {}, [[]]]
        b< [50, 2, {}, [[]]]
        b> [48, 3, {}, "com.procedure", [], {"key": "value"}]
        a< [68, 3, $r, {}, [], {"key": "value"}]
        a> [70, 3, {}, [], {"answer": null}]
        b< [50, 3, {}, [], {"answer": null}]
        "#,
    );
}

#[test]
fn errors_of_the_callee() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        b> [48, 2, {}, "com.procedure"]
        b> [48, 3, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        a< [68, 3, $r, {}]
        a> [8, 68, 1, {}, "com.error.one"]
        b< [8, 48, 1, {}, "com.error.one"]
        a> [8, 68, 2, {}, "com.error.two", ["text"], {"k": 1}]
        b< [8, 48, 2, {}, "com.error.two", ["text"], {"k": 1}]
        # An invalid URI costs nobody the session.
        a> [8, 68, 3, {}, "not a uri", ["text"]]
        b< [8, 48, 3, {}, "wamp.error.runtime_error", ["text"]]
        "#,
    );
}

#[test]
fn calls_may_be_answered_in_any_order() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure", ["one"]]
        b> [48, 2, {}, "com.procedure", ["two"]]
        c> [48, 1, {}, "com.procedure", ["three"]]
        a< [68, 1, $r, {}, ["one"]]
        a< [68, 2, $r, {}, ["two"]]
        a< [68, 3, $r, {}, ["three"]]
        a> [70, 3, {}, [3]]
        c< [50, 1, {}, [3]]
        a> [70, 2, {}, [2]]
        b< [50, 2, {}, [2]]
        a> [70, 1, {}, [1]]
        b< [50, 1, {}, [1]]
        "#,
    );
}

#[test]
fn a_second_answer_is_ignored() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a> [70, 1, {}, [1]]
        a> [70, 1, {}, [2]]
        a> [70, 1, {"progress": true}, [3]]
        a> [8, 68, 1, {}, "com.error"]
        b< [50, 1, {}, [1]]
        counted answers_dropped 3
        counted protocol_violations 0
        "#,
    );
}

#[test]
fn nobody_answers_for_another() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        c> [70, 1, {}, ["forged"]]
        c< [3, {"message": $_}, "wamp.error.protocol_violation"]
        c closed 1002
        d> [8, 68, 1, {}, "com.forged"]
        d< [3, {"message": $_}, "wamp.error.protocol_violation"]
        d closed 1002
        a> [70, 1, {}, ["true"]]
        b< [50, 1, {}, ["true"]]
        "#,
    );
}

/// No caller has asked for progress: what is yielded on the way is held back.
#[test]
fn progressive_results_that_nobody_asked_for() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a> [70, 1, {"progress": true}, [1]]
        a> [70, 1, {"progress": true}, [2]]
        a> [70, 1, {}, [3]]
        b< [50, 1, {}, [3]]
        "#,
    );
}

#[test]
fn no_such_procedure() {
    play(
        r#"
        a> [48, 1, {}, "com.nobody", [1]]
        a< [8, 48, 1, {}, "wamp.error.no_such_procedure", $_]
        b> [64, 1, {}, "com.procedure"]
        b< [65, 1, $r]
        b> [66, 2, $r]
        b< [67, 2]
        a> [48, 2, {}, "com.procedure"]
        a< [8, 48, 2, {}, "wamp.error.no_such_procedure", $_]
        "#,
    );
}

#[test]
fn one_callee_per_procedure() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {}, "com.procedure"]
        b< [8, 64, 1, {}, "wamp.error.procedure_already_exists", $_]
        a> [64, 2, {}, "com.procedure"]
        a< [8, 64, 2, {}, "wamp.error.procedure_already_exists", $_]
        # With another policy it is another registration.
        b> [64, 2, {"match": "prefix"}, "com.procedure"]
        b< [65, 2, $prefix]
        a> [66, 3, $r]
        a< [67, 3]
        b> [64, 3, {}, "com.procedure"]
        b< [65, 3, $new]
        c> [48, 1, {}, "com.procedure"]
        b< [68, 1, $new, {}]
        b> [70, 1, {}]
        c< [50, 1, {}]
        "#,
    );
}

#[test]
fn no_such_registration() {
    play(
        r#"
        a> [66, 1, 12345]
        a< [8, 66, 1, {}, "wamp.error.no_such_registration", $_]
        b> [64, 1, {}, "com.procedure"]
        b< [65, 1, $r]
        # Somebody else's.
        a> [66, 2, $r]
        a< [8, 66, 2, {}, "wamp.error.no_such_registration", $_]
        b> [66, 2, $r]
        b> [66, 3, $r]
        b< [67, 2]
        b< [8, 66, 3, {}, "wamp.error.no_such_registration", $_]
        "#,
    );
}

#[test]
fn an_open_invocation_outlives_its_registration() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a> [66, 2, $r]
        a< [67, 2]
        a> [70, 1, {}, [1]]
        b< [50, 1, {}, [1]]
        "#,
    );
}

#[test]
fn patterns_by_precedence() {
    play(
        r#"
        a> [64, 1, {"match": "wildcard"}, "com..one.two"]
        a< [65, 1, $wildcard]
        a> [64, 2, {"match": "prefix"}, "com.x"]
        a< [65, 2, $short]
        a> [64, 3, {"match": "prefix"}, "com.x.one"]
        a< [65, 3, $long]
        a> [64, 4, {}, "com.x.one.two"]
        a< [65, 4, $exact]
        b> [48, 1, {}, "com.x.one.two"]
        a< [68, 1, $exact, {}]
        b> [48, 2, {}, "com.x.one.three"]
        a< [68, 2, $long, {"procedure": "com.x.one.three"}]
        b> [48, 3, {}, "com.xyz"]
        a< [68, 3, $short, {"procedure": "com.xyz"}]
        b> [48, 4, {}, "com.y.one.two"]
        a< [68, 4, $wildcard, {"procedure": "com.y.one.two"}]
        b> [48, 5, {}, "com.y.one"]
        b< [8, 48, 5, {}, "wamp.error.no_such_procedure", $_]
        a> [66, 5, $exact]
        a< [67, 5]
        b> [48, 6, {}, "com.x.one.two"]
        a< [68, 5, $long, {"procedure": "com.x.one.two"}]
        "#,
    );
}

/// Advanced profile, "Pattern-based Registrations", the example of "Conflicts". (Its call of `a1.b2.c33.d4.e5` goes to the
/// prefix `a1.b2.c3`, by the definition of prefix.)
#[test]
fn wildcards_by_precedence() {
    play(
        r#"
        a> [64, 1, {"match": "exact"}, "a1.b2.c3.d4.e55"]
        a< [65, 1, $exact]
        a> [64, 2, {"match": "prefix"}, "a1.b2.c3"]
        a< [65, 2, $prefix3]
        a> [64, 3, {"match": "prefix"}, "a1.b2.c3.d4"]
        a< [65, 3, $prefix4]
        a> [64, 4, {"match": "wildcard"}, "a1.b2..d4.e5"]
        a< [65, 4, $wildcard1]
        a> [64, 5, {"match": "wildcard"}, "a1.b2.c33..e5"]
        a< [65, 5, $wildcard2]
        a> [64, 6, {"match": "wildcard"}, "a1.b2..d4.e5..g7"]
        a< [65, 6, $wildcard3]
        a> [64, 7, {"match": "wildcard"}, "a1.b2..d4..f6.g7"]
        a< [65, 7, $wildcard4]
        b> [48, 1, {}, "a1.b2.c3.d4.e55"]
        a< [68, 1, $exact, {}]
        b> [48, 2, {}, "a1.b2.c3.d98.e74"]
        a< [68, 2, $prefix3, $_]
        b> [48, 3, {}, "a1.b2.c3.d4.e325"]
        a< [68, 3, $prefix4, $_]
        b> [48, 4, {}, "a1.b2.c55.d4.e5"]
        a< [68, 4, $wildcard1, $_]
        b> [48, 5, {}, "a1.b2.c33.d4.e5"]
        a< [68, 5, $prefix3, $_]
        b> [48, 6, {}, "a1.b2.c88.d4.e5.f6.g7"]
        a< [68, 6, $wildcard3, $_]
        b> [48, 7, {}, "a2.b2.c2.d2.e2"]
        b< [8, 48, 7, {}, "wamp.error.no_such_procedure", $_]
        "#,
    );
}

#[test]
fn a_session_may_call_itself() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a> [48, 2, {}, "com.procedure", [1]]
        a< [65, 1, $r]
        a< [68, 1, $r, {}, [1]]
        a> [70, 1, {}, [2]]
        a< [50, 2, {}, [2]]
        "#,
    );
}

#[test]
fn the_callee_leaves() {
    for how in [
        r#"a> [6, {}, "wamp.close.close_realm"]"#,
        r#"a> [3, {}, "wamp.error.x"]"#,
        "a eof",
        "a breaks",
        "a> [99]",
    ] {
        let rest = match how.as_bytes()[4] {
            b'6' => r#"a< [6, {}, "wamp.close.goodbye_and_out"]"#,
            b'3' => "a closed",
            b'9' => "a< [3, $_, $_]\na closed",
            _ => "",
        };
        play(&format!(
            r#"
            a> [64, 1, {{}}, "com.procedure"]
            a< [65, 1, $r]
            b> [48, 1, {{}}, "com.procedure"]
            a< [68, 1, $r, {{}}]
            {how}
            b< [8, 48, 1, {{}}, "wamp.error.canceled"]
            b> [48, 2, {{}}, "com.procedure"]
            b< [8, 48, 2, {{}}, "wamp.error.no_such_procedure", $_]
            b> [64, 3, {{}}, "com.procedure"]
            b< [65, 3, $_]
            {rest}
            "#
        ));
    }
}

#[test]
fn the_caller_leaves() {
    for how in [r#"b> [6, {}, "wamp.close.close_realm"]"#, "b eof", "b breaks"] {
        let rest = match how.as_bytes()[1] {
            b'>' => r#"b< [6, {}, "wamp.close.goodbye_and_out"]"#,
            _ => "",
        };
        play(&format!(
            r#"
            a> [64, 1, {{}}, "com.procedure"]
            a< [65, 1, $r]
            b> [48, 1, {{}}, "com.procedure", ["of b"]]
            a< [68, 1, $r, {{}}, ["of b"]]
            {how}
            {rest}
            # The answer is late and nobody's, also when somebody else has taken the place of b.
            c> [48, 1, {{}}, "com.procedure", ["of c"]]
            a< [68, 2, $r, {{}}, ["of c"]]
            a> [70, 1, {{}}, ["for b"]]
            counted answers_dropped 1
            a> [70, 2, {{}}, ["for c"]]
            c< [50, 1, {{}}, ["for c"]]
            "#
        ));
    }
}

#[test]
fn cancel_is_not_announced_and_harmless() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        b> [49, 7, {"mode": "kill"}]
        a> [70, 1, {}]
        b< [50, 1, {}]
        b> [49, 1, {}]
        "#,
    );
}

#[test]
fn an_invocation_too_long_for_the_callee() {
    let long = "x".repeat(5000);
    play(&format!(
        r#"
        a connects rawsocket length 3
        a> [1, "realm1", {{"roles": {{"callee": {{}}}}}}]
        a< $welcome
        a> [64, 1, {{}}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {{}}, "com.procedure", ["{long}"]]
        b< [8, 48, 1, {{}}, "wamp.error.payload_size_exceeded", $_]
        # The id of an invocation that was not sent is not used up.
        b> [48, 2, {{}}, "com.procedure", ["short"]]
        a< [68, 1, $r, {{}}, ["short"]]
        a> [70, 1, {{}}]
        b< [50, 2, {{}}]
        "#
    ));
}

#[test]
fn a_result_too_long_for_the_caller() {
    let long = "x".repeat(5000);
    play(&format!(
        r#"
        a> [64, 1, {{}}, "com.procedure"]
        a< [65, 1, $r]
        b connects rawsocket length 3
        b> [1, "realm1", {{"roles": {{"caller": {{}}}}}}]
        b< $welcome
        b> [48, 1, {{}}, "com.procedure"]
        b> [48, 2, {{}}, "com.procedure"]
        a< [68, 1, $r, {{}}]
        a< [68, 2, $r, {{}}]
        a> [70, 1, {{}}, ["{long}"]]
        b< [8, 48, 1, {{}}, "wamp.error.payload_size_exceeded", $_]
        a> [8, 68, 2, {{}}, "com.error", ["{long}"]]
        b< [8, 48, 2, {{}}, "wamp.error.payload_size_exceeded", $_]
        "#
    ));
}

/// NaN in MessagePack, for which JSON has no form.
const NAN: &str = "91cb7ff8000000000000";

#[test]
fn payload_that_the_other_serializer_cannot_express() {
    // [48, 1, {}, "p", [NaN]] and [70, 1, {}, [NaN]]
    let call = format!("95300180a170{NAN}");
    let answer = format!("94460180{NAN}");
    play(&format!(
        r#"
        j connects json
        j> [1, "realm1", {{"roles": {{"callee": {{}}, "caller": {{}}}}}}]
        j< [2, $_, $_]
        m connects msgpack
        m> [1, "realm1", {{"roles": {{"callee": {{}}, "caller": {{}}}}}}]
        m< [2, $_, $_]
        j> [64, 1, {{}}, "p"]
        j< [65, 1, $r]
        m message {call}
        m< [8, 48, 1, {{}}, "wamp.error.invalid_argument", $_]
        m> [64, 2, {{}}, "q"]
        m< [65, 2, $q]
        j> [48, 2, {{}}, "q"]
        m< [68, 1, $q, {{}}]
        m message {answer}
        j< [8, 48, 2, {{}}, "wamp.error.invalid_argument", $_]
        # The callee's ids go on without a gap.
        m> [48, 3, {{}}, "p", [1]]
        j< [68, 1, $r, {{}}, [1]]
        "#
    ));
}

#[test]
fn what_a_session_may_have_is_bounded() {
    play_with(
        |config| {
            config.realms[0].limits.registrations_per_session_max = 1;
            config.realms[0].limits.calls_per_session_max = 1;
        },
        r#"
        a> [64, 1, {}, "com.one"]
        a< [65, 1, $r]
        a> [64, 2, {}, "com.two"]
        a< [8, 64, 2, {}, $_, $_]
        b> [48, 1, {}, "com.one"]
        b> [48, 2, {}, "com.one"]
        a< [68, 1, $r, {}]
        b< [8, 48, 2, {}, $_, $_]
        a> [70, 1, {}]
        b< [50, 1, {}]
        b> [48, 3, {}, "com.one"]
        a< [68, 2, $r, {}]
        a> [66, 3, $r]
        a< [67, 3]
        a> [64, 4, {}, "com.two"]
        a< [65, 4, $_]
        "#,
    );
    play_with(
        |config| config.realms[0].limits.invocations_per_session_max = 1,
        r#"
        a> [64, 1, {}, "com.one"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.one"]
        b> [48, 2, {}, "com.one"]
        a< [68, 1, $r, {}]
        b< [8, 48, 2, {}, $error, $_]
        a> [70, 1, {}]
        b< [50, 1, {}]
        b> [48, 3, {}, "com.one"]
        a< [68, 2, $r, {}]
        "#,
    );
}

#[test]
fn calls_of_one_caller_come_in_order_over_all_procedures() {
    for mut stage in stages(|_| {}) {
        stage.play(
            r#"
            a> [64, 1, {}, "com.exact"]
            a< [65, 1, $_]
            a> [64, 2, {"match": "prefix"}, "com.prefix"]
            a< [65, 2, $_]
            "#,
        );
        for n in 1..=200u64 {
            let procedure = if n % 3 == 0 { "com.exact" } else { "com.prefix.x" };
            stage.say("b", &json!([48, n, {}, procedure, [n]]));
        }
        for n in 1..=200u64 {
            let invocation = stage.hear("a").unwrap();
            assert_eq!((&invocation[1], &invocation[4][0]), (&json!(n), &json!(n)));
            stage.say("a", &json!([70, n, {}, [n]]));
        }
        for n in 1..=200u64 {
            assert_eq!(stage.hear("b").unwrap(), json!([50, n, {}, [n]]));
        }
        stage.finish();
    }
}

#[test]
fn calls_that_wait_go_to_who_takes_the_procedure_over() {
    play(
        r#"
        a joins callee.registration_revocation
        a> [64, 1, {"concurrency": 1}, "com.procedure"]
        a< [65, 1, $old]
        c> [48, 1, {}, "com.procedure", [1]]
        c> [48, 2, {}, "com.procedure", [2]]
        c> [48, 3, {}, "com.procedure", [3]]
        a< [68, 1, $old, {}, [1]]
        # Twice: it took over from somebody who took over.
        b> [64, 1, {"force_reregister": true, "concurrency": 1}, "com.procedure"]
        b< [65, 1, $r]
        a< [67, 0, {"registration": $old, "reason": $_}]
        b< [68, 1, $r, {}, [2]]
        d> [64, 1, {"force_reregister": true}, "com.procedure"]
        d< [65, 1, $new]
        d< [68, 1, $new, {}, [3]]
        a> [70, 1, {}, ["a"]]
        c< [50, 1, {}, ["a"]]
        b> [70, 1, {}, ["b"]]
        c< [50, 2, {}, ["b"]]
        d> [70, 1, {}, ["d"]]
        c< [50, 3, {}, ["d"]]
        "#,
    );
}

#[test]
fn a_call_that_found_a_queue_full_goes_to_who_takes_the_procedure_over() {
    play_with(
        |config| config.realms[0].limits.calls_per_callee_queued_max = 1,
        r#"
        a> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"concurrency": 1, "invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        # One is invoked and one waits at each callee; the fourth waits where the first callee has sent it.
        c> [48, 1, {}, "com.procedure", [1]]
        c> [48, 2, {}, "com.procedure", [2]]
        c> [48, 3, {}, "com.procedure", [3]]
        c> [48, 4, {}, "com.procedure", [4]]
        a< [68, 1, $r, {}, [1]]
        b< [68, 1, $r, {}, [3]]
        # A registration of another session is none that took over.
        e> [64, 1, {"match": "prefix"}, "com."]
        e< [65, 1, $_]
        d> [64, 1, {"force_reregister": true}, "com.procedure"]
        d< [65, 1, $new]
        d< [68, 1, $new, {}, $first]
        d< [68, 2, $new, {}, $second]
        a eof
        c< [8, 48, 1, {}, "wamp.error.canceled"]
        b eof
        c< [8, 48, 3, {}, "wamp.error.canceled"]
        "#,
    );
}
