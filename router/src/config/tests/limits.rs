//! Bounds of the process and of realms.

use super::*;

#[test]
fn limits_of_authentication_arrive() {
    let engine = valid(
        r#"
        [limits]
        realms_made_max = 1
        authentication_timeout = "2s"
        authenticating_max = 3
        authentication_grid = "4ms"
        authentication_failures_max = 5
        authentication_failures_window = "6s"
        authentication_block = "7s"
        authentication_sources_max = 8
        questions_per_shard_max = 9
        requests_held_bytes_max = "10KiB"
        authorizer_answers_max = 11
        validated_bytes_max = "12KiB"
        "#,
    )
    .engine;
    let (limits, realm) = (engine.limits, engine.realms[0].limits);
    let seconds = Duration::from_secs;
    assert_eq!(
        (limits.realms_max, limits.authentication_timeout, limits.authenticating_max),
        (1, seconds(2), 3)
    );
    assert_eq!(limits.authentication_grid, Duration::from_millis(4));
    let throttle = &limits.throttle;
    assert_eq!((throttle.failures_max, throttle.window), (5, seconds(6)));
    assert_eq!((throttle.block, throttle.sources_max), (seconds(7), 8));
    assert_eq!((limits.questions_per_shard_max, realm.requests_held_bytes_max), (9, 10 << 10));
    assert_eq!((realm.authorizer_answers_max, realm.validated_bytes_max), (11, 12 << 10));
}

#[test]
fn a_realm_has_bounds_of_its_own_and_else_those_of_every_realm() {
    let engine = valid(
        r#"
        [limits]
        sessions_per_realm_max = 100
        calls_per_session_max = 7
        testaments_per_session_max = 3
        [[realms]]
        name = "small"
        [realms.limits]
        sessions_max = 1
        subscriptions_per_session_max = 2
        registrations_per_session_max = 3
        calls_per_session_max = 4
        invocations_per_session_max = 5
        testaments_per_session_max = 0
        testament_bytes_per_session_max = "6KiB"
        calls_per_callee_queued_max = 0
        calls_per_callee_queued_bytes_max = "7KiB"
        inputs_per_session_max = 8
        requests_held_bytes_max = "9KiB"
        authorizer_answers_max = 10
        validated_bytes_max = "11KiB"
        [[realms]]
        name = "large"
        limits = { calls_per_session_max = 1000 }
        [[realms]]
        name = "tenant."
        match = "prefix"
        limits = { sessions_max = 20 }
        "#,
    )
    .engine;
    let small = RealmLimits {
        sessions_max: 1,
        subscriptions_per_session_max: 2,
        registrations_per_session_max: 3,
        calls_per_session_max: 4,
        invocations_per_session_max: 5,
        testaments_per_session_max: 0,
        testament_bytes_per_session_max: 6 << 10,
        calls_per_callee_queued_max: 0,
        calls_per_callee_queued_bytes_max: 7 << 10,
        inputs_per_session_max: 8,
        requests_held_bytes_max: 9 << 10,
        authorizer_answers_max: 10,
        validated_bytes_max: 11 << 10,
    };
    let every = RealmLimits {
        sessions_max: 100,
        calls_per_session_max: 7,
        testaments_per_session_max: 3,
        ..RealmLimits::default()
    };
    assert_eq!(engine.realms[0].limits, small);
    assert_eq!(engine.realms[1].limits, RealmLimits { calls_per_session_max: 1000, ..every });
    assert_eq!(engine.templates[0].settings.limits, RealmLimits { sessions_max: 20, ..every });
}

#[test]
fn bounds_of_realms_are_checked() {
    check(
        r#"[[realms]]
name = "a"
[realms.limits]
sessions_max = 0
calls_per_session_max = "many"
testament_bytes_per_session_max = "1B"
"#,
        &[
            "w.toml:4:16: 0 is out of range, expected an integer from 1 to 2147483648",
            "w.toml:5:25: \"many\" is not valid here, expected an integer from 1 to 2147483648",
            "w.toml:6:35: \"1B\" is out of range, expected a size from 1KiB to 4GiB",
        ],
    );
    let report = with("[[realms]]\nname = \"a\"\nlimits = { outbox_bytes_max = 1 }", &Overrides::default());
    let line = report.unwrap_err().to_string();
    assert!(
        line.starts_with("w.toml:3:12: unknown field `outbox_bytes_max`, expected one of `sessions_max`, "),
        "{line}"
    );
}
