//! Sessions about which somebody outside is asked: a procedure or an HTTP hook, in the shapes that Crossbar's users know. Whoever
//! waits for them waits alone, and not for ever; what they refuse is released on a grid.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use wampline_auth::{
    DecoySecret, Grant, HookId, Method, PrincipalStore, Principals, ProcedureSource, RealmAuthentication,
    Source, Ticket,
};
use wampline_shard::Config;
use wampline_tests::stage::{play_with, stages};

/// `realm1` has tickets and WAMP-CRA: `joe` is known to the router, everybody else to this source.
fn outside(config: &mut Config, source: &Source) {
    let mut principals = Principals::default();
    let grant = Grant::role("user").unwrap();
    principals.add_ticket("joe", Ticket::raw("joe's secret").unwrap(), grant).unwrap();
    let mut realm = RealmAuthentication::new(DecoySecret::new([7; 32]));
    let store = Source::Principals(Arc::new(PrincipalStore::new(principals)));
    realm.add_source(Method::Ticket, store).unwrap();
    for method in [Method::Ticket, Method::WampCra] {
        realm.add_source(method, source.clone()).unwrap();
    }
    config.realms[0].authentication = Arc::new(realm);
}

/// The source is a procedure of `realm2`.
fn procedure(config: &mut Config) {
    let source = ProcedureSource { realm: Some("realm2".into()), procedure: "com.check".into() };
    outside(config, &Source::Procedure(Arc::new(source)));
}

/// The source is a hook.
fn hook(config: &mut Config) {
    outside(config, &Source::Http(HookId(3)));
}

/// `HELLO METHOD NAME` stands for a HELLO, `DENIED` and `FAILED` for refusals, `x checks` for an authenticator.
fn written_out(transcript: &str) -> String {
    let lines = transcript.lines().map(|line| match line.split_once("> HELLO ") {
        Some((start, words)) => {
            let (method, name) = words.trim().split_once(' ').unwrap();
            format!(r#"{start}> [1, "realm1", {{"roles": {{"caller": {{}}, "subscriber": {{}}}}, "authmethods": ["{method}"], "authid": "{name}"}}]"#)
        }
        None if line.trim().ends_with(" checks") => {
            let x = line.trim().split(' ').next().unwrap();
            format!("{x} serves com.check in realm2 shared callee.call_canceling")
        }
        None => line
            .replace("DENIED", r#"[3, {"message": "authentication failed: unknown principal or wrong credentials"}, "wamp.error.authentication_denied"]"#)
            .replace("FAILED", r#"[3, {"message": "authentication could not be carried out: try again later"}, "wamp.error.authentication_failed"]"#),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn with_procedure(transcript: &str) {
    play_with(procedure, &written_out(transcript));
}

#[test]
fn an_authenticator_says_who_a_session_is() {
    with_procedure(
        r#"
        x checks
        a connects
        a> HELLO ticket ann
        a< [4, "ticket", {}]
        a> [5, "a ticket", {}]
        x< [68, $i, $x, {}, ["realm1", "ann", {..., "authid": "ann", "authmethod": "ticket", "ticket": "a ticket", "session": $s, "transport": {..., "peer": $_}}]]
        a connected
        x> [70, $i, {}, [{"role": "admin", "authid": "Ann", "extra": {"level": 3}}]]
        a< [2, $s, {..., "realm": "realm1", "authid": "Ann", "authrole": "admin", "authmethod": "ticket", "authprovider": "dynamic", "authextra": {"level": 3}}]
        b connects
        b> HELLO ticket bob
        b< [4, "ticket", {}]
        b> [5, "another", {}]
        x< [68, $j, $x, {}, ["realm1", "bob", $_]]
        x> [70, $j, {}, ["guest"]]
        b< [2, $_, {..., "authid": "bob", "authrole": "guest"}]
        counted questions 2
        counted questions_unanswered 0
        "#,
    );
}

#[test]
fn what_an_authenticator_asks_of_its_callers_is_in_no_count() {
    with_procedure(
        r#"
        x checks
        a connects
        a> HELLO ticket ann
        a< [4, "ticket", {}]
        a> [5, "a ticket", {}]
        x< [68, $i, $_, {}, $_]
        y connects
        y> [1, "realm2", {"roles": {"caller": {}}}]
        y< [2, $_, $_]
        y> [48, 1, {}, "wamp.session.count"]
        y< [50, 1, {}, [2]]
        x> [70, $i, {}, ["guest"]]
        a< [2, $_, $_]
        a> [48, 1, {}, "wamp.session.count"]
        a< [50, 1, {}, [1]]
        "#,
    );
}

#[test]
fn what_is_refused_is_refused_on_the_grid() {
    for (answer, waits) in [
        (r#"x> [8, 68, $i, {}, "com.no"]"#, "DENIED"),
        (r#"x> [8, 68, $i, {}, "wamp.error.no_such_principal"]"#, "DENIED"),
        (r#"x> [8, 68, $i, {}, "wamp.error.authentication_denied"]"#, "DENIED"),
        (r#"x> [70, $i, {}]"#, "DENIED"),
        (r#"x> [70, $i, {}, [null]]"#, "DENIED"),
        (r#"x> [70, $i, {}, [7]]"#, "FAILED"),
        (r#"x> [70, $i, {}, [{"realm": "realm1"}]]"#, "FAILED"),
        (r#"x> [8, 68, $i, {}, "wamp.error.runtime_error"]"#, "DENIED"),
        ("x breaks", "FAILED"),
    ] {
        for (passes, left) in [("1ms", "99ms"), ("99ms", "1ms"), ("101ms", "99ms"), ("1999ms", "1ms")] {
            with_procedure(&format!(
                r#"
                x checks
                a connects
                a> HELLO ticket ann
                a< [4, "ticket", {{}}]
                wait 42ms
                a> [5, "a ticket", {{}}]
                x< [68, $i, $_, {{}}, $_]
                wait {passes}
                {answer}
                a connected
                wait {left}
                a< {waits}
                a closed
                "#
            ));
        }
    }
}

#[test]
fn whom_the_router_knows_is_refused_on_the_same_grid() {
    with_procedure(
        r#"
        a connects
        a> HELLO ticket joe
        a< [4, "ticket", {}]
        a> [5, "wrong", {}]
        wait 99ms
        a connected
        wait 1ms
        a< DENIED
        a closed
        b connects
        b> HELLO ticket joe
        b< [4, "ticket", {}]
        b> [5, "joe's secret", {}]
        b< [2, $_, {..., "authprovider": "static"}]
        counted questions 0
        "#,
    );
}

#[test]
fn a_challenge_that_was_asked_for_comes_on_the_grid() {
    for (answer, proof) in [
        (r#"x> [70, $i, {}, [{"secret": "s3cret", "role": "user"}]]"#, "right or wrong"),
        (r#"x> [8, 68, $i, {}, "com.no"]"#, "unknown"),
    ] {
        with_procedure(&format!(
            r#"
            x checks
            a connects
            a> HELLO wampcra ann
            x< [68, $i, $_, {{}}, ["realm1", "ann", {{..., "authmethod": "wampcra"}}]]
            wait 30ms
            {answer}
            wait 69ms
            a connected
            wait 1ms
            a< [4, "wampcra", {{..., "challenge": $_}}]
            wait 1s
            a> [5, "{proof}", {{}}]
            wait 99ms
            a connected
            wait 1ms
            a< DENIED
            a closed
            "#
        ));
    }
}

#[test]
fn nothing_may_be_said_while_others_are_asked() {
    for message in
        [r#"[5, "again", {}]"#, r#"[32, 1, {}, "com.topic"]"#, r#"[6, {}, "wamp.close.close_realm"]"#]
    {
        with_procedure(&format!(
            r#"
            x checks
            a connects
            a> HELLO ticket ann
            a< [4, "ticket", {{}}]
            a> [5, "a ticket", {{}}]
            x< [68, $i, $_, {{}}, $_]
            a> {message}
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed
            x< [69, $i, {{"mode": "killnowait"}}]
            x> [8, 68, $i, {{}}, "wamp.error.canceled"]
            b connects
            b> HELLO wampcra ann
            x< [68, $j, $_, {{}}, $_]
            b> [5, "before the challenge", {{}}]
            b< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            b closed
            x< [69, $j, {{"mode": "killnowait"}}]
            "#
        ));
    }
}

#[test]
fn who_gives_up_is_asked_about_no_more() {
    for end in ["a breaks", "a eof", "a> [3, {}, \"wamp.error.canceled\"]\na closed 1000"] {
        with_procedure(&format!(
            r#"
            x checks
            a connects
            a> HELLO ticket ann
            a< [4, "ticket", {{}}]
            a> [5, "a ticket", {{}}]
            x< [68, $i, $_, {{}}, $_]
            {end}
            x< [69, $i, {{"mode": "killnowait"}}]
            x> [70, $i, {{}}, ["guest"]]
            wait 10s
            "#
        ));
    }
}

#[test]
fn a_slow_authenticator_costs_only_the_session_that_waits() {
    with_procedure(
        r#"
        x checks
        a connects
        a> HELLO ticket ann
        a< [4, "ticket", {}]
        a> [5, "a ticket", {}]
        x< [68, $i, $_, {}, $_]
        b connects
        b> HELLO ticket joe
        b< [4, "ticket", {}]
        b> [5, "joe's secret", {}]
        b< [2, $_, $_]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $_]
        c connects
        c> HELLO ticket eve
        c< [4, "ticket", {}]
        c> [5, "hers", {}]
        x< [68, $j, $_, {}, $_]
        x> [70, $j, {}, ["guest"]]
        c< [2, $_, $_]
        wait 4999ms
        a connected
        wait 1ms
        x< [69, $i, {"mode": "killnowait"}]
        a< FAILED
        a closed
        x> [70, $i, {}, ["guest"]]
        "#,
    );
}

#[test]
fn an_authenticator_that_is_not_there_is_a_failure() {
    with_procedure(
        r#"
        a connects
        a> HELLO ticket ann
        a< [4, "ticket", {}]
        a> [5, "a ticket", {}]
        wait 100ms
        a< FAILED
        a closed
        b connects
        b> HELLO wampcra ann
        wait 100ms
        b< FAILED
        b closed
        counted questions_unanswered 2
        counted authentications_denied 0
        "#,
    );
}

#[test]
fn another_authenticator_takes_over() {
    with_procedure(
        r#"
        x checks
        y checks
        a connects
        a> HELLO ticket ann
        a< [4, "ticket", {}]
        a> [5, "a ticket", {}]
        x< [68, $i, $_, {}, $_]
        x> [8, 68, $i, {}, "wamp.error.unavailable"]
        y< [68, $j, $_, {}, ["realm1", "ann", $_]]
        y> [70, $j, {}, ["guest"]]
        a< [2, $_, {..., "authid": "ann"}]
        "#,
    );
}

#[test]
fn a_router_that_goes_down_asks_nobody() {
    with_procedure(
        r#"
        x checks
        a connects
        a> HELLO ticket ann
        a< [4, "ticket", {}]
        a> [5, "a ticket", {}]
        x< [68, $i, $_, {}, $_]
        shutdown goodbye 4s
        a closed 1001
        x< [69, $i, {"mode": "killnowait"}]
        x< [6, {"message": "the router is shutting down"}, "wamp.close.system_shutdown"]
        x> [6, {}, "wamp.close.goodbye_and_out"]
        x closed
        "#,
    );
}

#[test]
fn questions_have_a_bound() {
    for mut stage in stages(|config| {
        procedure(config);
        config.limits.questions_per_shard_max = 0;
    }) {
        stage.play(&written_out(
            r#"
            x checks
            a connects
            a> HELLO ticket ann
            a< [4, "ticket", {}]
            a> [5, "a ticket", {}]
            wait 100ms
            a< FAILED
            a closed
            "#,
        ));
        stage.finish();
    }
}

#[test]
fn a_hook_says_who_a_session_is() {
    play_with(
        hook,
        &written_out(
            r#"
            a connects
            a> HELLO ticket ann
            a< [4, "ticket", {}]
            a> [5, "a ticket", {}]
            hook asked {"realm": "realm1", "authid": "ann", "details": {..., "ticket": "a ticket"}}
            a connected
            hook answers {"role": "admin"}
            a< [2, $_, {..., "authid": "ann", "authrole": "admin", "authprovider": "http"}]
            "#,
        ),
    );
}

#[test]
fn a_hook_that_refuses_or_fails_does_so_on_the_grid() {
    for (answer, refusal) in [
        ("hook answers null", "DENIED"),
        (r#"hook answers {"error": "wamp.error.no_such_principal"}"#, "DENIED"),
        ("hook answers {", "FAILED"),
        ("hook is dead", "FAILED"),
        ("hook is slow", "FAILED"),
    ] {
        play_with(
            hook,
            &written_out(&format!(
                r#"
                a connects
                a> HELLO ticket ann
                a< [4, "ticket", {{}}]
                a> [5, "a ticket", {{}}]
                wait 20ms
                {answer}
                wait 79ms
                a connected
                wait 1ms
                a< {refusal}
                a closed
                "#
            )),
        );
    }
}

#[test]
fn an_answer_of_a_hook_that_comes_too_late_is_dropped() {
    play_with(
        hook,
        &written_out(
            r#"
            a connects
            a> HELLO ticket ann
            a< [4, "ticket", {}]
            a> [5, "a ticket", {}]
            wait 5s
            a< FAILED
            a closed
            hook answers {"role": "admin"}
            b connects
            b> HELLO ticket ann
            b< [4, "ticket", {}]
            b> [5, "a ticket", {}]
            b breaks
            hook answers {"role": "admin"}
            counted answers_dropped 2
            "#,
        ),
    );
}
