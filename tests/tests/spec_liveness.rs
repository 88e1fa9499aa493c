//! What happens when nothing happens: handshakes, pings, stalls, farewells and shutdown, by the clock.

use std::time::Duration;

use wampline_tests::stage::{play, play_with, stages};

const HELLO: &str =
    r#"[1, "realm1", {"roles": {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}}]"#;

#[test]
fn a_connection_that_says_nothing_ends_after_the_handshake_timeout() {
    play(
        r#"
        a connects silent
        b connects silent
        # Half of a RawSocket handshake, and half of an HTTP head.
        b octets 7ff1
        c connects silent
        c octets 474554202f777320
        d connects
        e joins
        wait 4900ms
        counted handshake_timeouts 0
        wait 200ms
        a closed
        b closed
        c closed
        d closed
        counted handshake_timeouts 4
        "#,
    );
}

#[test]
fn a_trickle_of_octets_wins_no_time() {
    for mut stage in stages(|_| {}) {
        stage.play("a connects silent");
        for octet in ["7f", "f1", "00", "00", "00", "00"] {
            stage.play(&format!("a octets {octet}\nwait 900ms"));
        }
        stage.play("a closed");
        stage.finish();
    }
}

#[test]
fn websockets_are_pinged_and_those_that_are_silent_cut() {
    let configure = |config: &mut wampline_shard::Config| {
        config.listeners[0].ping_interval = Some(Duration::from_secs(30));
        config.listeners[0].ping_timeout = Duration::from_secs(10);
    };
    // A client that reads answers pings (the client machine does).
    play_with(
        configure,
        &format!(
            r#"
            a connects websocket
            a> {HELLO}
            a< [2, $_, $_]
            b connects rawsocket
            b> {HELLO}
            b< [2, $_, $_]
            wait 300s
            counted cut_silent 0
            "#
        ),
    );
    // One that is gone does not; its registration is free afterwards. (A write stall would take as long.)
    let unplugged = |config: &mut wampline_shard::Config| {
        configure(config);
        config.limits.write_stall_timeout = Duration::from_secs(1000);
    };
    play_with(
        unplugged,
        &format!(
            r#"
            a connects websocket
            a> {HELLO}
            a< [2, $_, $_]
            a> [64, 1, {{}}, "com.procedure"]
            a< [65, 1, $_]
            a freezes
            wait 39s
            counted cut_silent 0
            wait 2s
            counted cut_silent 1
            a closed
            b> [64, 1, {{}}, "com.procedure"]
            b< [65, 1, $_]
            "#
        ),
    );
}

#[test]
fn who_takes_nothing_is_cut() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        a freezes
        p> [16, 1, {}, "com.topic", [1]]
        b< [36, $s, $_, {}, [1]]
        wait 9s
        p> [16, 2, {}, "com.topic", [2]]
        b< [36, $s, $_, {}, [2]]
        counted cut_stalled 0
        wait 2s
        counted cut_stalled 1
        a closed
        "#,
    );
}

#[test]
fn who_takes_a_little_is_not_cut() {
    for mut stage in stages(|_| {}) {
        stage.play(
            r#"
            a> [32, 1, {}, "com.topic"]
            a< [33, 1, $s]
            a freezes
            p> [16, 1, {}, "com.topic", ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]]
            "#,
        );
        let link = stage.link("a");
        for _ in 0..5 {
            stage.pass(Duration::from_secs(9));
            stage.world.links[link].credit = Some(3);
        }
        stage.play("a thaws\na< [36, $s, $_, {}, $_]\ncounted cut_stalled 0");
        stage.finish();
    }
}

#[test]
fn a_farewell_that_nobody_reads_ends_with_the_close_timeout() {
    play(
        r#"
        a joins
        a freezes
        a> [99]
        wait 1900ms
        wait 200ms
        a closed
        "#,
    );
}

#[test]
fn shutdown_says_goodbye() {
    play(
        r#"
        a joins
        b joins
        c connects
        shutdown goodbye 4s
        a< [6, {"message": "the router is shutting down"}, "wamp.close.system_shutdown"]
        b< [6, {"message": "the router is shutting down"}, "wamp.close.system_shutdown"]
        c closed
        a> [6, {}, "wamp.close.goodbye_and_out"]
        a closed
        # One that does not answer.
        wait 3s
        b closed
        "#,
    );
}

#[test]
fn shutdown_for_a_restart_says_nothing() {
    play(
        r#"
        a joins
        b connects
        shutdown restart 4s
        a closed 1012
        b closed 1012
        "#,
    );
}

#[test]
fn calls_in_flight_are_answered_before_the_end() {
    for (mode, end) in [("goodbye", "< [6, $_, \"wamp.close.system_shutdown\"]"), ("restart", " closed 1012")]
    {
        // The callee answers in time.
        let farewell = |name: &str| format!("{name}{end}");
        play(&format!(
            r#"
            a> [64, 1, {{}}, "com.procedure"]
            a< [65, 1, $r]
            b> [48, 1, {{}}, "com.procedure"]
            a< [68, 1, $r, {{}}]
            shutdown {mode} 4s
            wait 1s
            a> [70, 1, {{}}, ["in time"]]
            b< [50, 1, {{}}, ["in time"]]
            {}
            {}
            "#,
            farewell("a"),
            farewell("b")
        ));
        // It does not.
        play(&format!(
            r#"
            a> [64, 1, {{}}, "com.procedure"]
            a< [65, 1, $r]
            b> [48, 1, {{}}, "com.procedure"]
            a< [68, 1, $r, {{}}]
            shutdown {mode} 4s
            b> [48, 2, {{}}, "com.procedure"]
            b< [8, 48, 2, {{}}, "wamp.error.canceled", $_]
            wait 2100ms
            b< [8, 48, 1, {{}}, "wamp.error.canceled"]
            {}
            {}
            "#,
            farewell("a"),
            farewell("b")
        ));
    }
}

#[test]
fn nobody_joins_a_router_that_goes_down() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        shutdown goodbye 4s
        c connects silent
        c closed
        a> [70, 1, {}]
        b< [50, 1, {}]
        a< [6, $_, $_]
        b< [6, $_, $_]
        wait 3s
        a closed
        b closed
        "#,
    );
}

#[test]
fn a_goodbye_during_shutdown_is_answered() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        shutdown goodbye 4s
        a> [6, {}, "wamp.close.close_realm"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        b< [8, 48, 1, {}, "wamp.error.canceled"]
        b< [6, $_, "wamp.close.system_shutdown"]
        a closed
        wait 3s
        b closed
        "#,
    );
}

/// Nothing follows our GOODBYE, not even ABORT for what arrives after it.
#[test]
fn a_violation_after_our_goodbye_is_not_answered() {
    play(
        r#"
        a joins
        shutdown goodbye 4s
        a> [99]
        a< [6, $_, "wamp.close.system_shutdown"]
        a closed
        "#,
    );
}

/// The answers that a shutdown owes a session may be what fills its outbox.
#[test]
fn a_shutdown_cuts_a_caller_whose_outbox_is_full() {
    for mut stage in stages(|config| config.limits.outbox_bytes_max = 1000) {
        stage.play("a> [64, 1, {}, \"com.procedure\"]\na< [65, 1, $r]\nb joins");
        for n in 1..=100u64 {
            stage.say("b", &serde_json::json!([48, n, {}, "com.procedure"]));
            stage.flush();
        }
        while stage.hear("a").is_some() {}
        stage.play("b freezes\nshutdown goodbye 4s\nwait 2100ms\ncounted cut_outbox_full 1\nb closed");
        stage.play("a< [6, $_, \"wamp.close.system_shutdown\"]\nwait 3s\na closed");
        stage.finish();
    }
}
