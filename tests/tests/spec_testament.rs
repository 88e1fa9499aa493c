//! Testaments (advanced profile, "Session Testament").

use wampline_tests::stage::{play, play_with};

#[test]
fn testaments_are_published_when_the_connection_is_lost() {
    play(
        r#"
        w> [32, 1, {}, "com.will"]
        w< [33, 1, $w]
        a> [48, 1, {}, "wamp.session.add_testament", ["com.will", ["first", 1], {"x": [2]}]]
        a< [50, 1, {}]
        a> [48, 2, {}, "wamp.session.add_testament", ["com.will", ["second"], {}], {"scope": "destroyed"}]
        a< [50, 2, {}]
        a> [48, 3, {}, "wamp.session.add_testament", ["com.will", ["third"], {}], {"scope": "detached"}]
        a< [50, 3, {}]
        a breaks
        w< [36, $w, $_, {}, ["third"]]
        w< [36, $w, $_, {}, ["first", 1], {"x": [2]}]
        w< [36, $w, $_, {}, ["second"]]
        "#,
    );
}

#[test]
fn testaments_are_published_after_goodbye_too_and_once() {
    play(
        r#"
        w> [32, 1, {}, "com.will"]
        w< [33, 1, $w]
        a> [48, 1, {}, "wamp.session.add_testament", ["com.will", [], {}]]
        a< [50, 1, {}]
        a> [6, {}, "wamp.close.close_realm"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        w< [36, $w, $_, {}]
        a> [1, "realm1", {"roles": {"caller": {}}}]
        a< [2, $_, {...}]
        a> [6, {}, "wamp.close.close_realm"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        "#,
    );
}

#[test]
fn testaments_are_the_last_publications() {
    play(
        r#"
        w> [32, 1, {}, "com.topic"]
        w< [33, 1, $w]
        a> [48, 1, {}, "wamp.session.add_testament", ["com.topic", ["last"], {}]]
        a> [16, 2, {}, "com.topic", [1]]
        a> [16, 3, {}, "com.topic", [2]]
        a> [6, {}, "wamp.close.close_realm"]
        a< [50, 1, {}]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        w< [36, $w, $_, {}, [1]]
        w< [36, $w, $_, {}, [2]]
        w< [36, $w, $_, {}, ["last"]]
        "#,
    );
}

#[test]
fn scopes_are_flushed_apart() {
    play(
        r#"
        w> [32, 1, {}, "com.will"]
        w< [33, 1, $w]
        a> [48, 1, {}, "wamp.session.add_testament", ["com.will", ["kept"], {}], {"scope": "detached"}]
        a< [50, 1, {}]
        a> [48, 2, {}, "wamp.session.add_testament", ["com.will", ["gone"], {}]]
        a< [50, 2, {}]
        a> [48, 3, {}, "wamp.session.flush_testaments"]
        a< [50, 3, {}]
        b> [48, 1, {}, "wamp.session.add_testament", ["com.will", ["gone"], {}], {"scope": "detached"}]
        b< [50, 1, {}]
        b> [48, 2, {}, "wamp.session.flush_testaments", [], {"scope": "detached"}]
        b< [50, 2, {}]
        b> [48, 3, {}, "wamp.session.flush_testaments", [], {"scope": "never"}]
        b< [8, 48, 3, {}, "wamp.error.invalid_argument", [$_]]
        b breaks
        a breaks
        w< [36, $w, $_, {}, ["kept"]]
        "#,
    );
}

#[test]
fn publish_options_hold_as_for_a_publication() {
    play(
        r#"
        w> [32, 1, {}, "com.will"]
        w< [33, 1, $s]
        x> [32, 1, {}, "com.will"]
        x< [33, 1, $s]
        a> [48, 1, {}, "wamp.session.add_testament", ["com.will", [1], {}], {"publish_options": {"exclude": [$session_x], "acknowledge": true}}]
        a< [50, 1, {}]
        a> [48, 2, {}, "wamp.session.add_testament", ["com.will", [2], {}], {"publish_options": {"eligible": [$session_x]}}]
        a< [50, 2, {}]
        a> [48, 3, {}, "wamp.session.add_testament", ["com.will", [3], {}], {"publish_options": {"eligible": "all"}}]
        a< [8, 48, 3, {}, "wamp.error.invalid_argument", [$_]]
        a eof
        a closed
        w< [36, $s, $_, {}, [1]]
        x< [36, $s, $_, {}, [2]]
        "#,
    );
}

#[test]
fn what_could_not_be_published_is_refused_when_it_is_added() {
    play(
        r#"
        a> [48, 1, {}, "wamp.session.add_testament", ["wamp.session.on_leave", [], {}]]
        a< [8, 48, 1, {}, "wamp.error.invalid_uri", [$_]]
        a> [48, 2, {}, "wamp.session.add_testament", ["com..x", [], {}]]
        a< [8, 48, 2, {}, "wamp.error.invalid_uri", [$_]]
        a> [48, 3, {}, "wamp.session.add_testament"]
        a< [8, 48, 3, {}, "wamp.error.invalid_argument", ["argument 1 (topic) must be a string"]]
        a> [48, 4, {}, "wamp.session.add_testament", ["com.will", "args", {}]]
        a< [8, 48, 4, {}, "wamp.error.invalid_argument", ["argument 2 (args) must be a list"]]
        a> [48, 5, {}, "wamp.session.add_testament", ["com.will", [], 7]]
        a< [8, 48, 5, {}, "wamp.error.invalid_argument", ["argument 3 (kwargs) must be a dict"]]
        a> [48, 6, {}, "wamp.session.add_testament", ["com.will", [], {}], {"scope": 1}]
        a< [8, 48, 6, {}, "wamp.error.invalid_argument", [$_]]
        "#,
    );
}

#[test]
fn testaments_of_a_session_are_bounded() {
    play_with(
        |config| {
            config.realms[0].limits.testaments_per_session_max = 1;
            config.realms[0].limits.testament_bytes_per_session_max = 100;
        },
        &r#"
        a> [48, 1, {}, "wamp.session.add_testament", ["com.will", ["LONG"], {}]]
        a< [8, 48, 1, {}, "wampline.error.limit_exceeded", [$_]]
        a> [48, 2, {}, "wamp.session.add_testament", ["com.will", [], {}]]
        a< [50, 2, {}]
        a> [48, 3, {}, "wamp.session.add_testament", ["com.will", [], {}]]
        a< [8, 48, 3, {}, "wampline.error.limit_exceeded", [$_]]
        a> [48, 4, {}, "wamp.session.flush_testaments"]
        a< [50, 4, {}]
        a> [48, 5, {}, "wamp.session.add_testament", ["com.will", [], {}]]
        a< [50, 5, {}]
        "#
        .replace("LONG", &"x".repeat(100)),
    );
}

#[test]
fn many_testaments_of_many_are_all_published() {
    play(
        &r#"
        w> [32, 1, {}, "com.will"]
        w< [33, 1, $w]
        a joins
        b joins
        ADD
        a breaks
        HEAR
        "#
        .replace(
            "ADD",
            &(1..=60)
                .map(|n| {
                    format!("a> [48, {n}, {{}}, \"wamp.session.add_testament\", [\"com.will\", [{n}], {{}}]]\na< [50, {n}, {{}}]\n")
                })
                .collect::<String>(),
        )
        .replace("HEAR", &(1..=60).map(|n| format!("w< [36, $w, $_, {{}}, [{n}]]\n")).collect::<String>()),
    );
}
