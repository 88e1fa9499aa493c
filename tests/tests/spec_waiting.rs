//! Calls that wait for their callee, or go on to the next one: their time, and who is asked (advanced profile, "Call Timeouts",
//! "Call Re-Routing").

use wampline_tests::stage::play;

#[test]
fn a_call_that_waits_for_its_callee_is_timed_by_the_router() {
    play(
        r#"
        a joins callee.call_timeout
        a> [64, 1, {"forward_timeout": true, "concurrency": 1}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure", ["first"]]
        a< [68, 1, $r, {}, ["first"]]
        b> [48, 2, {"timeout": 1000}, "com.procedure", ["second"]]
        b> [48, 3, {"timeout": 5000}, "com.procedure", ["third"]]
        wait 900ms
        wait 200ms
        b< [8, 48, 2, {}, "wamp.error.timeout", $_]
        a> [70, 1, {}]
        b< [50, 1, {}]
        # From here on it is the callee's matter, with what is left.
        a< [68, 2, $r, {"timeout": 3900}, ["third"]]
        wait 10s
        a> [8, 68, 2, {}, "wamp.error.timeout", ["said the callee"]]
        b< [8, 48, 3, {}, "wamp.error.timeout", ["said the callee"]]
        "#,
    );
}

#[test]
fn the_next_callee_has_the_time_that_is_left() {
    play(
        r#"
        a> [64, 1, {"invoke": "first", "forward_timeout": true}, "com.procedure"]
        a< [65, 1, $r]
        b> [64, 1, {"invoke": "first", "forward_timeout": true}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {"timeout": 1000}, "com.procedure"]
        a< [68, 1, $r, {"timeout": 1000}]
        wait 400ms
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        b< [68, 1, $r, {"timeout": 600}]
        wait 1s
        b> [70, 1, {}]
        c< [50, 1, {}]
        "#,
    );
}

#[test]
fn who_was_not_available_is_not_asked_again_under_another_registration() {
    play(
        r#"
        a> [64, 1, {"invoke": "first"}, "com.procedure"]
        a< [65, 1, $r]
        b joins callee.registration_revocation
        b> [64, 1, {"invoke": "first"}, "com.procedure"]
        b< [65, 1, $r]
        c> [48, 1, {}, "com.procedure", [1]]
        a< [68, 1, $r, {}, [1]]
        a> [8, 68, 1, {}, "wamp.error.unavailable"]
        b< [68, 1, $r, {}, [1]]
        # The call is with the second one when the first one takes the procedure over.
        a> [64, 2, {"invoke": "first", "force_reregister": true}, "com.procedure"]
        b< [67, 0, {"registration": $r, "reason": $_}]
        a< [65, 2, $new]
        b> [8, 68, 1, {}, "wamp.error.unavailable"]
        c< [8, 48, 1, {}, "wamp.error.no_available_callee", $_]
        # Other calls come to it.
        c> [48, 2, {}, "com.procedure", [2]]
        a< [68, 2, $new, {}, [2]]
        a> [70, 2, {}]
        c< [50, 2, {}]
        "#,
    );
}
