//! Basic profile, "Session Establishment" and "Session Close", message by message; "Protocol Errors"; ids and URIs.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use wampline_shard::{RequestIds, UriRules};
use wampline_tests::stage::{play, play_with, stages};

const HELLO: &str =
    r#"[1, "realm1", {"roles": {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}}]"#;

/// Plays a transcript in which `HELLO` stands for an ordinary one.
fn with_hello(transcript: &str) {
    play(&transcript.replace("HELLO", HELLO));
}

#[test]
fn welcome_says_who_the_session_is() {
    with_hello(
        r#"
        a connects
        a> HELLO
        a< [2, $s, {..., "realm": "realm1", "authid": $_, "authrole": "anonymous", "authmethod": "anonymous", "authprovider": "static", "agent": "Wampline-test"}]
        "#,
    );
}

#[test]
fn welcome_has_roles_as_objects_of_booleans() {
    for mut stage in stages(|_| {}) {
        stage.play(&"a connects\n a> HELLO".replace("HELLO", HELLO));
        let welcome = stage.hear("a").unwrap();
        let id = welcome[1].as_u64().unwrap();
        assert!((1..=1 << 53).contains(&id));
        let details = welcome[2].as_object().unwrap();
        for key in ["realm", "authid", "authrole", "authmethod", "authprovider"] {
            assert!(!details[key].as_str().unwrap().is_empty(), "{key}");
        }
        let roles = details["roles"].as_object().unwrap();
        assert_eq!(roles.keys().collect::<Vec<_>>(), ["broker", "dealer"]);
        for role in roles.values() {
            let features = role["features"].as_object().unwrap();
            assert!(!features.is_empty() && features.values().all(Value::is_boolean), "{role}");
        }
        for feature in [
            "event_retention",
            "pattern_based_subscription",
            "payload_passthru_mode",
            "payload_transparency",
            "publication_trustlevels",
            "publisher_exclusion",
            "publisher_identification",
            "sharded_subscription",
            "shareded_subscriptions",
            "subscriber_blackwhite_listing",
            "subscription_revocation",
        ] {
            assert_eq!(roles["broker"]["features"][feature], json!(true));
        }
        assert_eq!(roles["dealer"]["features"]["pattern_based_registration"], json!(true));
        stage.finish();
    }
}

#[test]
fn session_ids_differ() {
    for mut stage in stages(|_| {}) {
        stage.play("a joins\nb joins\nc joins");
        let ids = [stage.bound("$session_a"), stage.bound("$session_b"), stage.bound("$session_c")];
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
        stage.finish();
    }
}

#[test]
fn the_first_request_may_come_with_hello() {
    with_hello(
        r#"
        a connects
        a> HELLO
        a> [32, 1, {}, "com.topic"]
        a> [16, 2, {"acknowledge": true, "exclude_me": false}, "com.topic", [1]]
        a< [2, $_, $_]
        a< [33, 1, $s]
        a< [36, $s, $p, {}, [1]]
        a< [17, 2, $p]
        "#,
    );
}

#[test]
fn refusals_before_welcome() {
    let roles = r#"{"roles": {"caller": {}}}"#;
    for (hello, reason) in [
        (format!(r#"[1, "nowhere", {roles}]"#), "wamp.error.no_such_realm"),
        (format!(r#"[1, "realm1.", {roles}]"#), "wamp.error.invalid_uri"),
        (format!(r#"[1, "realm 1", {roles}]"#), "wamp.error.invalid_uri"),
        (format!(r#"[1, "", {roles}]"#), "wamp.error.invalid_uri"),
        (
            r#"[1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket", "wampcra"]}]"#.to_owned(),
            "wamp.error.no_matching_auth_method",
        ),
        (r#"[1, "realm1", {}]"#.to_owned(), "wamp.error.protocol_violation"),
        (r#"[1, "realm1", {"roles": {}}]"#.to_owned(), "wamp.error.protocol_violation"),
        (r#"[1, "realm1", {"roles": {"broker": {}}}]"#.to_owned(), "wamp.error.protocol_violation"),
        (r#"[1, "realm1", {"roles": 3}]"#.to_owned(), "wamp.error.protocol_violation"),
        (r#"[1, "realm1", {"roles": {"caller": true}}]"#.to_owned(), "wamp.error.protocol_violation"),
        (r#"[1, "realm1", null]"#.to_owned(), "wamp.error.protocol_violation"),
    ] {
        play(&format!(
            r#"
            a connects
            a> {hello}
            a< [3, {{"message": $_}}, "{reason}"]
            a closed
            "#
        ));
    }
}

#[test]
fn hellos_that_are_odd_and_welcome() {
    for details in [
        r#"{"roles": {"caller": {}}, "authmethods": []}"#,
        r#"{"roles": {"caller": {}}, "authmethods": null}"#,
        r#"{"roles": {"caller": {}}, "authmethods": ["wampcra", "anonymous"]}"#,
        r#"{"roles": {"caller": {}}, "authid": ""}"#,
        r#"{"roles": {"caller": null}}"#,
        r#"{"roles": {"caller": {"features": null}, "driver": {}}}"#,
        r#"{"roles": {"caller": {"features": {"call_canceling": null, "x": 1}}}, "authextra": {"a": null}}"#,
    ] {
        play(&format!(
            r#"
            a connects
            a> [1, "realm1", {details}]
            a< [2, $_, {{..., "authid": $_, "authrole": "anonymous"}}]
            "#
        ));
    }
}

#[test]
fn messages_before_a_session() {
    for message in [
        r#"[6, {}, "wamp.close.normal"]"#,
        r#"[8, 68, 1, {}, "com.error"]"#,
        r#"[33, 1, 1]"#,
        r#"[35, 1]"#,
        r#"[17, 1, 1]"#,
        r#"[50, 1, {}]"#,
        r#"[65, 1, 1]"#,
        r#"[67, 1]"#,
        r#"[68, 1, 1, {}]"#,
        r#"[70, 1, {}]"#,
        r#"[2, 1, {}]"#,
        r#"[16, 1, {}, "com.topic"]"#,
        r#"[5, "secret", {}]"#,
        r#"[99]"#,
        r#"[300]"#,
        r#"[]"#,
        r#"{}"#,
    ] {
        play(&format!(
            r#"
            a connects
            a> {message}
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed 1002
            counted protocol_violations 1
            "#
        ));
    }
}

/// Each violation costs the session and the connection; what the session held is gone, and nothing that came with
/// the violation in one write is dealt with.
#[test]
fn protocol_errors_in_a_session() {
    for message in [
        HELLO,
        r#"[2, 1, {}]"#,
        r#"[4, "ticket", {}]"#,
        r#"[5, "secret", {}]"#,
        r#"[17, 1, 1]"#,
        r#"[33, 1, 1]"#,
        r#"[35, 1]"#,
        r#"[36, 1, 1, {}]"#,
        r#"[50, 1, {}]"#,
        r#"[65, 1, 1]"#,
        r#"[67, 1]"#,
        r#"[68, 1, 1, {}]"#,
        r#"[69, 1, {}]"#,
        // ERROR with a request type that no callee can mean, and one that does not exist.
        r#"[8, 48, 1, {}, "com.error"]"#,
        r#"[8, 32, 1, {}, "com.error"]"#,
        r#"[8, 99, 1, {}, "com.error"]"#,
        // Answers to an invocation that was never sent.
        r#"[70, 1, {}]"#,
        r#"[8, 68, 1, {}, "com.error"]"#,
        // Not a message.
        r#"[]"#,
        r#"{"a": 1}"#,
        r#""text""#,
        r#"[99]"#,
        r#"[300, 1]"#,
        r#"["16", 9, {}, "com.topic"]"#,
        r#"[-16, 9, {}, "com.topic"]"#,
        // Wrong element counts, wrong types, ids out of range.
        r#"[16, 9, {}]"#,
        r#"[32, 9, {}, "com.topic", []]"#,
        r#"[16, 9, {}, "com.topic", [], {}, 1]"#,
        r#"[16, "9", {}, "com.topic"]"#,
        r#"[16, 9, [], "com.topic"]"#,
        r#"[16, 9, {}, 7]"#,
        r#"[16, 9, {}, "com.topic", {}]"#,
        r#"[16, 9, {}, "com.topic", [], []]"#,
        r#"[16, 0, {}, "com.topic"]"#,
        r#"[16, -1, {}, "com.topic"]"#,
        r#"[16, 9007199254740993, {}, "com.topic"]"#,
        r#"[34, 9, 0]"#,
    ] {
        play(&format!(
            r#"
            a> [32, 1, {{}}, "com.topic"]
            a< [33, 1, $s]
            a> [64, 2, {{}}, "com.procedure"]
            a< [65, 2, $r]
            a> {message}
            a> [16, 3, {{"acknowledge": true}}, "com.other"]
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed 1002
            b> [64, 1, {{}}, "com.procedure"]
            b< [65, 1, $_]
            b> [16, 2, {{"acknowledge": true}}, "com.topic"]
            b< [17, 2, $_]
            "#
        ));
    }
}

#[test]
fn octets_that_are_no_value() {
    for (serializer, octets) in [
        ("json", "5d"),
        ("json", "5b31362c"),
        ("json", "5bff5d"),
        ("msgpack", "c1"),
        ("msgpack", "91"),
        ("cbor", "ff"),
        ("cbor", "8210"),
    ] {
        play(&format!(
            r#"
            a connects {serializer} rawsocket
            a> {HELLO}
            a< [2, $_, $_]
            a message {octets}
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed
            "#
        ));
    }
}

#[test]
fn frames_that_rawsocket_does_not_have() {
    for octets in ["10000000", "03000000", "80000000", "08000001"] {
        play(&format!(
            r#"
            a connects rawsocket
            a> {HELLO}
            a< [2, $_, $_]
            a octets {octets}
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed
            "#
        ));
    }
}

#[test]
fn a_rawsocket_ping_is_answered_with_its_payload() {
    play("a connects rawsocket\na pings\na pong\na pings\na pong");
}

#[test]
fn goodbye_is_answered_and_the_transport_stays_open() {
    with_hello(
        r#"
        a joins
        a> [6, {}, "wamp.close.close_realm"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        wait 4s
        a> HELLO
        a< [2, $_, $_]
        a> [6, {"message": "bye"}, "any.reason.at_all"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        wait 6s
        a closed 1000
        "#,
    );
}

#[test]
fn goodbye_frees_what_the_session_held() {
    with_hello(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $_]
        a> [32, 2, {}, "com.topic"]
        a< [33, 2, $_]
        a> [6, {}, "wamp.close.close_realm"]
        a> HELLO
        a> [64, 1, {}, "com.procedure"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        a< [2, $_, $_]
        a< [65, 1, $_]
        b> [16, 1, {"acknowledge": true}, "com.topic"]
        b< [17, 1, $_]
        "#,
    );
}

#[test]
fn a_goodbye_between_two_sessions_is_ignored() {
    with_hello(
        r#"
        a joins
        a> [6, {}, "wamp.close.close_realm"]
        a> [6, {}, "wamp.close.goodbye_and_out"]
        a> [49, 1, {}]
        a> HELLO
        a< [6, {}, "wamp.close.goodbye_and_out"]
        a< [2, $_, $_]
        "#,
    );
}

#[test]
fn late_answers_for_an_earlier_session_are_ignored() {
    with_hello(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.procedure"]
        b> [48, 2, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        a< [68, 2, $r, {}]
        a> [6, {}, "wamp.close.close_realm"]
        a> [70, 1, {}, ["between the sessions"]]
        a> HELLO
        a> [70, 1, {}, ["in the second session"]]
        a> [8, 68, 2, {}, "com.error"]
        a> [64, 1, {}, "com.other"]
        b< [8, 48, $_, {}, "wamp.error.canceled"]
        b< [8, 48, $_, {}, "wamp.error.canceled"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        a< [2, $_, $_]
        a< [65, 1, $_]
        "#,
    );
}

#[test]
fn abort_from_the_client_ends_everything() {
    play(
        r#"
        a> [64, 1, {}, "com.procedure"]
        a< [65, 1, $_]
        a> [3, {}, "wamp.error.whatever"]
        a closed 1000
        b> [64, 1, {}, "com.procedure"]
        b< [65, 1, $_]
        "#,
    );
    play(
        r#"
        a connects
        a> [3, {}, "wamp.error.whatever"]
        a closed 1000
        "#,
    );
}

#[test]
fn lenient_request_ids() {
    play(
        r#"
        a> [32, 7, {}, "com.one"]
        a< [33, 7, $one]
        a> [32, 3, {}, "com.two"]
        a< [33, 3, $two]
        a> [32, 3, {}, "com.three"]
        a< [33, 3, $three]
        a> [64, 9007199254740992, {}, "com.procedure"]
        a< [65, 9007199254740992, $r]
        a> [48, 1, {}, "com.procedure"]
        a< [68, 1, $r, {}]
        # The same id for another type of request is another request.
        a> [16, 1, {"acknowledge": true}, "com.topic"]
        a< [17, 1, $_]
        a> [48, 1, {}, "com.procedure"]
        a< [3, {"message": "request id 1 is still in progress"}, "wamp.error.protocol_violation"]
        a closed 1002
        "#,
    );
}

#[test]
fn an_integral_float_is_an_id() {
    play(
        r#"
        a> [32, 4294967297.0, {}, "com.one"]
        a< [33, 4294967297, $one]
        "#,
    );
}

#[test]
fn strict_request_ids() {
    let strict = |config: &mut wampline_shard::Config| config.realms[0].request_ids = RequestIds::Strict;
    for wrong in [1, 3, 5, 100] {
        let transcript = format!(
            r#"
            a> [32, 1, {{}}, "com.one"]
            a> [16, 2, {{}}, "com.topic"]
            a> [48, 3, {{}}, "com.nobody"]
            a< [33, 1, $_]
            a< [8, 48, 3, {{}}, "wamp.error.no_such_procedure", $_]
            a> [32, {wrong}, {{}}, "com.two"]
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed 1002
            "#
        );
        play_with(strict, &transcript);
    }
    let held = r#"
        a> [32, 1, {}, "com.topic"]
        a> [16, 2, {"exclude_me": false}, "com.topic", [2]]
        a> [32, 3, {}, "com.other"]
        a> [16, 4, {"exclude_me": false}, "com.topic", [4]]
        a< [33, 1, $s]
        a< [36, $s, $_, {}, [2]]
        a< [33, 3, $_]
        a< [36, $s, $_, {}, [4]]
        "#;
    play_with(strict, held);
}

#[test]
fn null_stands_for_nothing() {
    play(
        r#"
        a> [32, 1, null, "com.topic"]
        a< [33, 1, $s]
        a> [32, 2, {"match": null}, "com.other"]
        a< [33, 2, $_]
        b> [16, 1, null, "com.topic", null, null]
        a< [36, $s, $_, {}, []]
        b> [16, 2, {"acknowledge": null, "exclude_me": null}, "com.topic", [null], {"k": null}]
        a< [36, $s, $_, {}, [null], {"k": null}]
        a> [64, 3, null, "com.procedure"]
        a< [65, 3, $r]
        b> [48, 3, null, "com.procedure", null, {"k": 1}]
        a< [68, 1, $r, {}, [], {"k": 1}]
        a> [70, 1, null, [1], null]
        b< [50, 3, {}, [1]]
        a> [6, null, "wamp.close.close_realm"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        "#,
    );
}

#[test]
fn loose_uris() {
    for (uri, is_valid) in [
        ("com.Müller-Söhne.x/y", true),
        ("com.😀", true),
        ("wampline.topic", true),
        ("", false),
        ("com..topic", false),
        (".com", false),
        ("com.", false),
        ("com. topic", false),
        ("com.#", false),
        ("com.\\u2003", false),
    ] {
        let answers = match is_valid {
            true => [r#"[33, 1, $_]"#, r#"[65, 2, $_]"#, r#"[17, 3, $_]"#, r#"[68, 1, $_, {}]"#],
            false => [
                r#"[8, 32, 1, {}, "wamp.error.invalid_uri", $_]"#,
                r#"[8, 64, 2, {}, "wamp.error.invalid_uri", $_]"#,
                r#"[8, 16, 3, {}, "wamp.error.invalid_uri", $_]"#,
                r#"[8, 48, 4, {}, "wamp.error.invalid_uri", $_]"#,
            ],
        };
        let [subscribed, registered, published, called] = answers;
        play(&format!(
            r#"
            a> [32, 1, {{}}, "{uri}"]
            a< {subscribed}
            a> [64, 2, {{}}, "{uri}"]
            a< {registered}
            a> [16, 3, {{"acknowledge": true}}, "{uri}"]
            a< {published}
            a> [48, 4, {{}}, "{uri}"]
            a< {called}
            "#
        ));
    }
}

#[test]
fn strict_uris() {
    play_with(
        |config| config.realms[0].uri_rules = UriRules::Strict,
        r#"
        a> [32, 1, {}, "com.myapp.topic_1"]
        a< [33, 1, $_]
        a> [32, 2, {}, "com.myApp"]
        a< [8, 32, 2, {}, "wamp.error.invalid_uri", $_]
        a> [64, 3, {}, "com.my-app"]
        a< [8, 64, 3, {}, "wamp.error.invalid_uri", $_]
        a> [48, 4, {}, "com.ü"]
        a< [8, 48, 4, {}, "wamp.error.invalid_uri", $_]
        a> [16, 5, {"acknowledge": true}, "com.A"]
        a< [8, 16, 5, {}, "wamp.error.invalid_uri", $_]
        "#,
    );
}

#[test]
fn what_begins_with_wamp_is_the_routers() {
    play(
        r#"
        a> [64, 1, {}, "wamp.session.count"]
        a< [8, 64, 1, {}, "wamp.error.invalid_uri", $_]
        a> [64, 2, {"match": "prefix"}, "wamp."]
        a< [8, 64, 2, {}, "wamp.error.invalid_uri", $_]
        a> [32, 3, {}, "wamp.session.on_join"]
        a< [33, 3, $_]
        a> [32, 4, {"match": "prefix"}, "wamp."]
        a< [33, 4, $all]
        a< [36, $all, $_, {"topic": "wamp.subscription.on_subscribe"}, [$session_a, $all]]
        b joins
        a< [36, $_, $_, {}, [{..., "session": $session_b}]]
        a< [36, $all, $_, {"topic": "wamp.session.on_join"}, [{..., "session": $session_b}]]
        b> [16, 1, {"acknowledge": true}, "wamp.session.on_join", [1]]
        b< [8, 16, 1, {}, "wamp.error.invalid_uri", $_]
        b> [16, 2, {}, "wamp.session.on_join", [1]]
        b> [16, 3, {"acknowledge": true}, "wamp", [1]]
        b< [8, 16, 3, {}, "wamp.error.invalid_uri", $_]
        counted publications_dropped 1
        "#,
    );
}

#[test]
fn realms_do_not_hear_of_each_other() {
    play(
        r#"
        a connects
        a> [1, "realm2", {"roles": {"subscriber": {}, "callee": {}}}]
        a< [2, $_, {..., "realm": "realm2"}]
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $_]
        a> [64, 2, {}, "com.procedure"]
        a< [65, 2, $_]
        b> [16, 1, {"acknowledge": true}, "com.topic"]
        b< [17, 1, $_]
        b> [48, 2, {}, "com.procedure"]
        b< [8, 48, 2, {}, "wamp.error.no_such_procedure", $_]
        b> [64, 3, {}, "com.procedure"]
        b< [65, 3, $_]
        "#,
    );
}
