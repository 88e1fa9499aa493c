//! The session meta API (advanced profile, "Session Meta API"), and what of it is our own.

use wampline_shard::{Config, MetaApi};
use wampline_tests::stage::{play, play_with};

fn full(config: &mut Config) {
    config.realms.iter_mut().for_each(|realm| realm.meta = MetaApi::Full);
}

fn off(config: &mut Config) {
    config.realms.iter_mut().for_each(|realm| realm.meta = MetaApi::Off);
}

const HELLO: &str =
    r#"[1, "realm1", {"roles": {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}}]"#;

#[test]
fn sessions_are_counted_and_listed() {
    play(
        r#"
        a joins
        b joins
        a> [48, 1, {}, "wamp.session.count"]
        a< [50, 1, {}, [2]]
        a> [48, 2, {}, "wamp.session.count", [["anonymous", "nobody", "anonymous"]]]
        a< [50, 2, {}, [2]]
        a> [48, 3, {}, "wamp.session.count", [["nobody"]]]
        a< [50, 3, {}, [0]]
        a> [48, 4, {}, "wamp.session.list", [["nobody"]]]
        a< [50, 4, {}, [[]]]
        a> [48, 5, {}, "wamp.session.count", [null]]
        a< [50, 5, {}, [2]]
        b> [6, {}, "wamp.close.close_realm"]
        b< [6, {}, "wamp.close.goodbye_and_out"]
        a> [48, 6, {}, "wamp.session.list", []]
        a< [50, 6, {}, [[$session_a]]]
        a> [48, 7, {}, "wamp.session.list", [["anonymous"]]]
        a< [50, 7, {}, [[$session_a]]]
        "#,
    );
}

#[test]
fn a_session_is_described() {
    play(
        r#"
        a joins
        b connects json websocket
        b> HELLO
        b< [2, $b, {..., "authid": $authid}]
        a> [48, 1, {}, "wamp.session.get", [$b]]
        a< [50, 1, {}, [{"session": $b, "authid": $authid, "authrole": "anonymous", "authmethod": "anonymous", "authprovider": "static", "transport": {"type": "websocket", "serializer": "json", "peer": $peer, "tls": false}}]]
        b> [48, 1, {}, "wamp.session.self"]
        b< [50, 1, {}, [{..., "session": $b, "authid": $authid}]]
        a> [48, 2, {}, "wamp.session.get", [1]]
        a< [8, 48, 2, {}, "wamp.error.no_such_session", [$_]]
        "#
        .replace("HELLO", HELLO)
        .as_str(),
    );
}

#[test]
fn wrong_arguments_are_answered_with_what_is_expected() {
    play_with(
        full,
        r#"
        a> [48, 1, {}, "wamp.session.get"]
        a< [8, 48, 1, {}, "wamp.error.invalid_argument", ["argument 1 (session) must be an id, an integer from 1 to 2^53"]]
        a> [48, 2, {}, "wamp.session.get", ["one"]]
        a< [8, 48, 2, {}, "wamp.error.invalid_argument", [$_]]
        a> [48, 3, {}, "wamp.session.get", [0]]
        a< [8, 48, 3, {}, "wamp.error.invalid_argument", [$_]]
        a> [48, 4, {}, "wamp.session.count", ["anonymous"]]
        a< [8, 48, 4, {}, "wamp.error.invalid_argument", ["argument 1 (filter_authroles) must be a list of at most 256 strings"]]
        a> [48, 5, {}, "wamp.session.list", [[1]]]
        a< [8, 48, 5, {}, "wamp.error.invalid_argument", [$_]]
        a> [48, 6, {}, "wamp.session.kill_by_authid", [7]]
        a< [8, 48, 6, {}, "wamp.error.invalid_argument", ["argument 1 (authid) must be a string"]]
        a> [48, 7, {}, "wamp.session.kill_all", [], {"message": 7}]
        a< [8, 48, 7, {}, "wamp.error.invalid_argument", [$_]]
        "#,
    );
}

#[test]
fn unknown_procedures_of_the_router_do_not_exist_and_no_pattern_takes_them() {
    play(
        r#"
        a> [64, 1, {"match": "prefix"}, ""]
        a< [65, 1, $_]
        a> [64, 2, {"match": "prefix"}, "wam"]
        a< [65, 2, $_]
        a> [64, 3, {"match": "wildcard"}, ".."]
        a< [65, 3, $_]
        b> [48, 1, {}, "wamp.session.no_such"]
        b< [8, 48, 1, {}, "wamp.error.no_such_procedure", [$_]]
        b> [48, 2, {}, "wamp"]
        b< [8, 48, 2, {}, "wamp.error.no_such_procedure", [$_]]
        b> [48, 3, {}, "wamp.session.count"]
        b< [50, 3, {}, [2]]
        b> [48, 4, {}, "wampum", [1]]
        a< [68, $i, $_, {"procedure": "wampum"}, [1]]
        a> [70, $i, {}]
        b< [50, 4, {}]
        "#,
    );
}

#[test]
fn a_realm_without_the_meta_api_has_none_of_it() {
    play_with(
        off,
        r#"
        a connects
        a> HELLO
        a< [2, $_, {..., "roles": {"broker": {"features": $broker}, "dealer": {"features": $dealer}}}]
        a> [32, 1, {"match": "prefix"}, "wamp."]
        a< [33, 1, $_]
        b joins
        a> [48, 1, {}, "wamp.session.count"]
        a< [8, 48, 1, {}, "wamp.error.no_such_procedure", [$_]]
        a> [48, 2, {}, "wamp.session.add_testament", ["com.topic", [], {}]]
        a< [8, 48, 2, {}, "wamp.error.no_such_procedure", [$_]]
        "#
        .replace("HELLO", HELLO)
        .as_str(),
    );
}

#[test]
fn both_roles_announce_the_session_meta_api() {
    for mut stage in wampline_tests::stage::stages(|_| {}) {
        stage.play(&"a connects\n a> HELLO".replace("HELLO", HELLO));
        let welcome = stage.hear("a").expect("WELCOME");
        let roles = &welcome[2]["roles"];
        for (role, feature) in [
            ("broker", "session_meta_api"),
            ("dealer", "session_meta_api"),
            ("broker", "subscription_meta_api"),
            ("broker", "subscription_revocation"),
            ("dealer", "registration_meta_api"),
            ("dealer", "registration_revocation"),
            ("dealer", "testament_meta_api"),
            ("broker", "reflection"),
            ("dealer", "reflection"),
        ] {
            assert_eq!(roles[role]["features"][feature], true, "{role} {feature}");
        }
        assert_eq!(roles["broker"]["reflection"], true);
        assert_eq!(roles["dealer"]["reflection"], true);
        stage.finish();
    }
}

#[test]
fn a_realm_without_the_meta_api_announces_none_of_it() {
    for mut stage in wampline_tests::stage::stages(off) {
        stage.play(&"a connects\n a> HELLO".replace("HELLO", HELLO));
        let welcome = stage.hear("a").expect("WELCOME");
        for role in ["broker", "dealer"] {
            let role = &welcome[2]["roles"][role];
            assert!(role["reflection"].is_null(), "{role}");
            let names: Vec<&String> = role["features"].as_object().expect("features").keys().collect();
            assert!(!names.is_empty(), "{role}");
            assert!(
                !names.iter().any(|name| name.contains("meta_api") || *name == "reflection"),
                "{names:?}"
            );
        }
        stage.finish();
    }
}

#[test]
fn joining_and_leaving_are_told() {
    play(
        r#"
        w> [32, 1, {}, "wamp.session.on_join"]
        w< [33, 1, $join]
        w> [32, 2, {}, "wamp.session.on_leave"]
        w< [33, 2, $leave]
        b connects cbor rawsocket
        b> HELLO
        b< [2, $b, {..., "authid": $authid}]
        w< [36, $join, $_, {}, [{"session": $b, "authid": $authid, "authrole": "anonymous", "authmethod": "anonymous", "authprovider": "static", "transport": {"type": "rawsocket", "serializer": "cbor", "peer": $_, "tls": false}}]]
        b> [6, {}, "wamp.close.close_realm"]
        b< [6, {}, "wamp.close.goodbye_and_out"]
        w< [36, $leave, $_, {}, [$b, $authid, "anonymous"]]
        b> HELLO
        b< [2, $again, {..., "authid": $other}]
        w< [36, $join, $_, {}, [{..., "session": $again}]]
        b breaks
        w< [36, $leave, $_, {}, [$again, $other, "anonymous"]]
        "#
        .replace("HELLO", HELLO)
        .as_str(),
    );
}

#[test]
fn nobody_is_told_of_other_realms() {
    play(
        r#"
        w> [32, 1, {"match": "prefix"}, "wamp.session."]
        w< [33, 1, $_]
        b connects
        b> [1, "realm2", {"roles": {"caller": {}}}]
        b< [2, $_, {...}]
        b> [48, 1, {}, "wamp.session.count"]
        b< [50, 1, {}, [1]]
        w> [48, 1, {}, "wamp.session.count"]
        w< [50, 1, {}, [1]]
        "#,
    );
}

#[test]
fn destructive_procedures_need_a_permission() {
    for procedure in [
        "wamp.session.kill",
        "wamp.session.kill_by_authid",
        "wamp.session.kill_by_authrole",
        "wamp.session.kill_all",
        "wamp.session.modify_details",
        "wamp.subscription.remove_subscriber",
        "wamp.registration.remove_callee",
        "wamp.reflect.define",
    ] {
        play(
            &r#"
            a joins
            b> [48, 1, {}, "PROCEDURE", [$session_a, $session_a]]
            b< [8, 48, 1, {}, "wamp.error.not_authorized", [$_]]
            "#
            .replace("PROCEDURE", procedure),
        );
    }
}

#[test]
fn a_killed_session_is_told_why_and_its_killer_when_it_is_gone() {
    play_with(
        full,
        r#"
        a> [64, 1, {}, "com.add"]
        a< [65, 1, $r]
        b> [48, 1, {}, "wamp.session.kill", [$session_a], {"reason": "com.app.bye", "message": "go"}]
        a< [6, {"message": "go"}, "com.app.bye"]
        b< [50, 1, {}]
        b> [64, 2, {}, "com.add"]
        b< [65, 2, $_]
        b> [48, 2, {}, "wamp.session.get", [$session_a]]
        b< [8, 48, 2, {}, "wamp.error.no_such_session", [$_]]
        a> [16, 9, {"acknowledge": true}, "com.topic"]
        a> [48, 10, {}, "com.add"]
        a> [6, {}, "wamp.close.goodbye_and_out"]
        a closed 1001
        "#,
    );
}

#[test]
fn a_killed_session_that_does_not_answer_is_closed() {
    play_with(
        full,
        r#"
        a joins
        b> [48, 1, {}, "wamp.session.kill", [$session_a]]
        a< [6, {}, "wamp.close.killed"]
        b< [50, 1, {}]
        wait 3s
        a closed
        "#,
    );
}

#[test]
fn one_cannot_kill_oneself_or_nobody_or_with_a_bad_reason() {
    play_with(
        full,
        r#"
        a joins
        b joins
        b> [48, 1, {}, "wamp.session.kill", [$session_b]]
        b< [8, 48, 1, {}, "wamp.error.no_such_session", [$_]]
        b> [48, 2, {}, "wamp.session.kill", [1]]
        b< [8, 48, 2, {}, "wamp.error.no_such_session", [$_]]
        b> [48, 3, {}, "wamp.session.kill", [$session_a], {"reason": ""}]
        b< [8, 48, 3, {}, "wamp.error.invalid_uri", [$_]]
        b> [48, 4, {}, "wamp.session.kill_all", [], {"reason": "a..b"}]
        b< [8, 48, 4, {}, "wamp.error.invalid_uri", [$_]]
        b> [48, 5, {}, "wamp.session.kill_by_authrole", ["anonymous"], {"reason": 7}]
        b< [8, 48, 5, {}, "wamp.error.invalid_uri", [$_]]
        b> [48, 6, {}, "wamp.session.kill_by_authid", ["nobody"], {"reason": null}]
        b< [50, 6, {}, [[]]]
        a> [48, 1, {}, "wamp.session.count"]
        a< [50, 1, {}, [2]]
        "#,
    );
}

#[test]
fn sessions_are_killed_by_authid() {
    play_with(
        full,
        r#"
        a joins
        b connects
        b> HELLO
        b< [2, $b, {..., "authid": $authid}]
        a> [48, 1, {}, "wamp.session.kill_by_authid", [$authid]]
        b< [6, {}, "wamp.close.killed"]
        a< [50, 1, {}, [[$b]]]
        b> [6, {}, "wamp.close.goodbye_and_out"]
        b closed
        "#
        .replace("HELLO", HELLO)
        .as_str(),
    );
}

#[test]
fn a_count_of_the_killed_comes_back_and_the_killer_stays() {
    for call in [r#""wamp.session.kill_all", []"#, r#""wamp.session.kill_by_authrole", ["anonymous"]"#] {
        play_with(
            full,
            &r#"
            a joins
            b joins
            c> [48, 1, {}, CALL, {"message": "closing time"}]
            a< [6, {"message": "closing time"}, "wamp.close.killed"]
            b< [6, {"message": "closing time"}, "wamp.close.killed"]
            c< [50, 1, {}, [2]]
            c> [48, 2, {}, "wamp.session.count"]
            c< [50, 2, {}, [1]]
            a> [6, {}, "wamp.close.goodbye_and_out"]
            b> [6, {}, "wamp.close.goodbye_and_out"]
            a closed
            b closed
            "#
            .replace("CALL", call),
        );
    }
}

#[test]
fn details_are_added_changed_and_taken_away() {
    play_with(
        full,
        r#"
        a joins
        b> [48, 1, {}, "wamp.session.modify_details", [$session_a, {"room": {"floor": 2}, "seat": 1}]]
        b< [50, 1, {}]
        a> [48, 1, {}, "wamp.session.self"]
        a< [50, 1, {}, [{..., "session": $session_a, "room": {"floor": 2}, "seat": 1}]]
        b> [48, 2, {}, "wamp.session.modify_details", [$session_a, {"room": null, "seat": "x"}]]
        b< [50, 2, {}]
        a> [48, 2, {}, "wamp.session.get", [$session_a]]
        a< [50, 2, {}, [{"session": $session_a, "authid": $_, "authrole": $_, "authmethod": $_, "authprovider": $_, "transport": $_, "seat": "x"}]]
        b> [48, 3, {}, "wamp.session.modify_details", [$session_a, {"authrole": "admin"}]]
        b< [8, 48, 3, {}, "wamp.error.invalid_argument", [$_]]
        b> [48, 4, {}, "wamp.session.modify_details", [1, {}]]
        b< [8, 48, 4, {}, "wamp.error.no_such_session", [$_]]
        b> [48, 5, {}, "wamp.session.modify_details", [$session_a, []]]
        b< [8, 48, 5, {}, "wamp.error.invalid_argument", [$_]]
        b> [48, 6, {}, "wamp.session.modify_details", [$session_a, {"long": "LONG"}]]
        b< [8, 48, 6, {}, "wampline.error.limit_exceeded", [$_]]
        "#
        .replace("LONG", &"x".repeat(5000))
        .as_str(),
    );
}

#[test]
fn a_slow_session_that_is_cut_is_told_of() {
    play_with(
        |config| config.limits.outbox_bytes_max = 2048,
        &r#"
        w> [32, 1, {}, "wamp.session.on_cut"]
        w< [33, 1, $cut]
        w> [32, 2, {}, "wamp.session.on_leave"]
        w< [33, 2, $leave]
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $_]
        a freezes
        PUBLISH
        w< [36, $cut, $_, {}, [$session_a, "outbox_full", $authid, "anonymous"]]
        w< [36, $leave, $_, {}, [$session_a, $authid, "anonymous"]]
        a closed
        "#
        .replace(
            "PUBLISH",
            &format!("b> [16, 1, {{}}, \"com.topic\", [\"{}\"]]\n", "x".repeat(500)).repeat(20),
        ),
    );
}
