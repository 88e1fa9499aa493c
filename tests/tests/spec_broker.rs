//! Basic profile, "Publish and Subscribe"; advanced profile, "Pattern-based Subscription" and "Subscriber Exclusion".
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use wampline_tests::stage::{play, play_with, stages};

#[test]
fn an_event_goes_to_every_subscriber() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        c> [32, 1, {}, "com.other"]
        c< [33, 1, $other]
        p> [16, 1, {}, "com.topic"]
        a< [36, $s, $p1, {}]
        b< [36, $s, $p1, {}]
        p> [16, 2, {}, "com.topic", []]
        a< [36, $s, $p2, {}, []]
        b< [36, $s, $p2, {}, []]
        p> [16, 3, {}, "com.topic", ["Hello", -1, 1.5, true, null, {"a": [1]}]]
        a< [36, $s, $p3, {}, ["Hello", -1, 1.5, true, null, {"a": [1]}]]
        b< [36, $s, $p3, {}, ["Hello", -1, 1.5, true, null, {"a": [1]}]]
        p> [16, 4, {}, "com.topic", [], {"key": "value", "n": 9007199254740992}]
        a< [36, $s, $p4, {}, [], {"key": "value", "n": 9007199254740992}]
        b< [36, $s, $p4, {}, [], {"key": "value", "n": 9007199254740992}]
        "#,
    );
}

#[test]
fn only_acknowledged_publications_are_answered() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [16, 1, {"acknowledge": true}, "com.topic", [1]]
        b< [17, 1, $p]
        a< [36, $s, $p, {}, [1]]
        b> [16, 2, {"acknowledge": false}, "com.topic", [2]]
        b> [16, 3, {}, "com.topic", [3]]
        a< [36, $s, $_, {}, [2]]
        a< [36, $s, $_, {}, [3]]
        b> [16, 4, {"acknowledge": true}, "com.nobody"]
        b< [17, 4, $_]
        "#,
    );
}

#[test]
fn publication_ids_differ() {
    for mut stage in stages(|_| {}) {
        stage.play(
            r#"
            a> [16, 1, {"acknowledge": true}, "com.topic"]
            a< [17, 1, $p1]
            b> [16, 1, {"acknowledge": true}, "com.topic"]
            b< [17, 1, $p2]
            "#,
        );
        let (first, second) = (stage.bound("$p1"), stage.bound("$p2"));
        assert_ne!(first, second);
        assert!([first, second].iter().all(|id| (1..=1 << 53).contains(id)));
        stage.finish();
    }
}

#[test]
fn the_publisher_does_not_get_its_own_event_unless_it_asks_to() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        a> [16, 2, {}, "com.topic", [1]]
        b< [36, $s, $_, {}, [1]]
        a> [16, 3, {"exclude_me": true}, "com.topic", [2]]
        b< [36, $s, $_, {}, [2]]
        a> [16, 4, {"exclude_me": false}, "com.topic", [3]]
        a< [36, $s, $_, {}, [3]]
        b< [36, $s, $_, {}, [3]]
        "#,
    );
}

#[test]
fn subscribing_twice_gives_the_same_id_and_one_event() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        a> [32, 2, {}, "com.topic"]
        a< [33, 2, $s]
        b> [16, 1, {}, "com.topic"]
        a< [36, $s, $_, {}]
        a> [34, 3, $s]
        a< [35, 3]
        b> [16, 2, {"acknowledge": true}, "com.topic"]
        b< [17, 2, $_]
        "#,
    );
}

#[test]
fn unsubscribing_ends_events_for_that_session_alone() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        a> [34, 2, $s]
        a< [35, 2]
        p> [16, 1, {}, "com.topic"]
        b< [36, $s, $_, {}]
        b> [34, 2, $s]
        b< [35, 2]
        p> [16, 2, {"acknowledge": true}, "com.topic"]
        p< [17, 2, $_]
        # Ids are never used again.
        a> [32, 3, {}, "com.topic"]
        a< [33, 3, $new]
        a> [34, 4, $s]
        a< [8, 34, 4, {}, "wamp.error.no_such_subscription", $_]
        "#,
    );
}

#[test]
fn no_such_subscription() {
    play(
        r#"
        a> [34, 1, 12345]
        a< [8, 34, 1, {}, "wamp.error.no_such_subscription", $_]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        # Somebody else's.
        a> [34, 2, $s]
        a< [8, 34, 2, {}, "wamp.error.no_such_subscription", $_]
        b> [34, 2, $s]
        b> [34, 3, $s]
        b< [35, 2]
        b< [8, 34, 3, {}, "wamp.error.no_such_subscription", $_]
        "#,
    );
}

#[test]
fn patterns() {
    play(
        r#"
        a> [32, 1, {"match": "exact"}, "com.app.topic"]
        a< [33, 1, $exact]
        a> [32, 2, {"match": "prefix"}, "com.app"]
        a< [33, 2, $prefix]
        a> [32, 3, {"match": "wildcard"}, "com..topic"]
        a< [33, 3, $wildcard]
        b> [16, 1, {}, "com.app.topic", [1]]
        a< [36, $exact, $p, {}, [1]]
        a< [36, $prefix, $p, {"topic": "com.app.topic"}, [1]]
        a< [36, $wildcard, $p, {"topic": "com.app.topic"}, [1]]
        b> [16, 2, {}, "com.application", [2]]
        a< [36, $prefix, $_, {"topic": "com.application"}, [2]]
        b> [16, 3, {}, "com.x.topic", [3]]
        a< [36, $wildcard, $_, {"topic": "com.x.topic"}, [3]]
        b> [16, 4, {"acknowledge": true}, "com.x.y.topic", [4]]
        b< [17, 4, $_]
        # The same URI with another policy is another subscription.
        a> [32, 4, {"match": "prefix"}, "com.app.topic"]
        a< [33, 4, $another]
        a> [34, 5, $prefix]
        a< [35, 5]
        b> [16, 5, {}, "com.app.topic", [5]]
        a< [36, $exact, $q, {}, [5]]
        a< [36, $another, $q, {"topic": "com.app.topic"}, [5]]
        a< [36, $wildcard, $q, {"topic": "com.app.topic"}, [5]]
        "#,
    );
}

#[test]
fn patterns_that_are_not() {
    play(
        r#"
        a> [32, 1, {"match": "fuzzy"}, "com.topic"]
        a< [8, 32, 1, {}, $_, $_]
        a> [32, 2, {"match": 7}, "com.topic"]
        a< [8, 32, 2, {}, $_, $_]
        a> [32, 3, {"match": "prefix"}, "com..x"]
        a< [8, 32, 3, {}, "wamp.error.invalid_uri", $_]
        a> [32, 4, {"match": "prefix"}, "com."]
        a< [33, 4, $_]
        a> [32, 5, {"match": "wildcard"}, "com..x y"]
        a< [8, 32, 5, {}, "wamp.error.invalid_uri", $_]
        a> [32, 6, {"match": "prefix"}, ""]
        a< [33, 6, $all]
        a< [36, $all, $_, {"topic": "wamp.subscription.on_subscribe"}, [$session_a, $all]]
        "#,
    );
}

#[test]
fn options_that_nobody_knows_are_ignored() {
    play(
        r#"
        a> [32, 1, {"x_custom": 1, "get_retained": true}, "com.topic"]
        a< [33, 1, $s]
        b> [16, 1, {"x_custom": [1], "retain": "no"}, "com.topic"]
        a< [36, $s, $_, {}]
        "#,
    );
}

#[test]
fn pipelined_subscribe_and_publish() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a> [16, 2, {"exclude_me": false, "acknowledge": true}, "com.topic", [1]]
        a> [34, 3, 999]
        a> [16, 4, {"exclude_me": false}, "com.topic", [2]]
        a< [33, 1, $s]
        a< [36, $s, $p, {}, [1]]
        a< [17, 2, $p]
        a< [8, 34, 3, {}, "wamp.error.no_such_subscription", $_]
        a< [36, $s, $_, {}, [2]]
        "#,
    );
}

#[test]
fn events_of_one_publisher_come_in_order_over_all_topics() {
    for mut stage in stages(|_| {}) {
        stage.play(
            r#"
            a> [32, 1, {"match": "prefix"}, "com."]
            a< [33, 1, $s]
            "#,
        );
        for n in 1..=200u64 {
            let topic = format!("com.topic{}", n % 7);
            stage.say("p", &serde_json::json!([16, n, {}, topic, [n]]));
        }
        for n in 1..=200u64 {
            assert_eq!(stage.hear("a").unwrap()[4][0], n);
        }
        stage.finish();
    }
}

#[test]
fn an_event_too_long_for_a_receiver_is_dropped_for_it_alone() {
    let long = "x".repeat(6000);
    play(&format!(
        r#"
        a connects rawsocket length 3
        a> [1, "realm1", {{"roles": {{"subscriber": {{}}}}}}]
        a< $welcome
        a> [32, 1, {{}}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {{}}, "com.topic"]
        b< [33, 1, $s]
        p> [16, 1, {{"acknowledge": true}}, "com.topic", ["{long}"]]
        p< [17, 1, $p]
        b< [36, $s, $p, {{}}, ["{long}"]]
        counted events_too_long 1
        p> [16, 2, {{}}, "com.topic", ["short"]]
        a< [36, $s, $q, {{}}, ["short"]]
        b< [36, $s, $q, {{}}, ["short"]]
        counted events_too_long 1
        "#
    ));
}

/// `[16, 1, {"acknowledge": true}, "t", [NaN]]` in MessagePack.
const NAN: &str = "95 10 01 81 ab 61636b6e6f776c65646765 c3 a1 74 91 cb 7ff8000000000000";

#[test]
fn an_event_that_a_serializer_cannot_express_is_dropped_for_it_alone() {
    let octets: String = NAN.split_whitespace().collect();
    play(&format!(
        r#"
        a connects json
        a> [1, "realm1", {{"roles": {{"subscriber": {{}}}}}}]
        a< [2, $_, $_]
        a> [32, 1, {{}}, "t"]
        a< [33, 1, $s]
        b connects cbor
        b> [1, "realm1", {{"roles": {{"subscriber": {{}}}}}}]
        b< [2, $_, $_]
        b> [32, 1, {{}}, "t"]
        b< [33, 1, $s]
        c connects msgpack
        c> [1, "realm1", {{"roles": {{"publisher": {{}}}}}}]
        c< [2, $_, $_]
        c message {octets}
        c< [17, 1, $p]
        b< [36, $s, $p, {{}}, ["$NaN"]]
        counted events_inexpressible 1
        "#
    ));
}

#[test]
fn a_slow_consumer_is_cut_and_the_others_get_everything() {
    for mut stage in stages(|config| config.limits.outbox_bytes_max = 64 << 10) {
        stage.play(
            r#"
            slow> [32, 1, {}, "com.topic"]
            slow< [33, 1, $s]
            a> [32, 1, {}, "com.topic"]
            a< [33, 1, $s]
            slow freezes
            "#,
        );
        let padding = "x".repeat(1000);
        for n in 1..=200u64 {
            stage.say("p", &serde_json::json!([16, n, {}, "com.topic", [n, padding]]));
            stage.flush();
        }
        for n in 1..=200u64 {
            assert_eq!(stage.hear("a").unwrap()[4][0], n);
        }
        stage.play("counted cut_outbox_full 1\nslow closed");
        stage.finish();
    }
}

#[test]
fn a_burst_in_one_write_cuts_nobody_who_reads() {
    for mut stage in stages(|_| {}) {
        stage.play(
            r#"
            a> [32, 1, {}, "com.topic"]
            a< [33, 1, $s]
            "#,
        );
        let padding = "x".repeat(1000);
        for n in 1..=1000u64 {
            stage.say("p", &serde_json::json!([16, n, {}, "com.topic", [n, padding]]));
        }
        for n in 1..=1000u64 {
            assert_eq!(stage.hear("a").unwrap()[4][0], n);
        }
        stage.play("counted cut_outbox_full 0");
        stage.finish();
    }
}

#[test]
fn subscriptions_of_a_session_are_bounded() {
    play_with(
        |config| config.realms[0].limits.subscriptions_per_session_max = 2,
        r#"
        a> [32, 1, {}, "com.one"]
        a< [33, 1, $one]
        a> [32, 2, {}, "com.two"]
        a< [33, 2, $_]
        a> [32, 3, {}, "com.three"]
        a< [8, 32, 3, {}, $_, $_]
        a> [32, 4, {}, "com.one"]
        a< [33, 4, $one]
        a> [34, 5, $one]
        a< [35, 5]
        a> [32, 6, {}, "com.three"]
        a< [33, 6, $_]
        "#,
    );
}

#[test]
fn a_message_longer_than_the_router_accepts_ends_the_connection() {
    let configure = |config: &mut wampline_shard::Config| {
        let mut transport = (*config.listeners[0].transport).clone();
        transport.message_bytes_max = 1000;
        config.listeners[0].transport = Arc::new(transport);
    };
    let long = "x".repeat(2000);
    play_with(
        configure,
        &format!(
            r#"
            a connects rawsocket
            a> [1, "realm1", {{"roles": {{"publisher": {{}}}}}}]
            a< [2, $_, $_]
            a> [16, 1, {{}}, "com.topic", ["{long}"]]
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed
            b connects websocket
            b> [1, "realm1", {{"roles": {{"publisher": {{}}}}}}]
            b< [2, $_, $_]
            b> [16, 1, {{}}, "com.topic", ["{long}"]]
            b closed 1009
            "#
        ),
    );
}

/// Wampy.js and the JavaScript Autobahn end when they meet an extension type of MessagePack that they do not know.
#[test]
fn clients_that_break_on_unknown_extension_types_are_spared_them() {
    use wampline_tests::stage::stages;
    let shared = serde_json::json!({
        "caller": {}, "publisher": {}, "subscriber": {},
        "callee": {"features": {
            "progressive_call_results": true, "registration_revocation": true, "shared_registration": true,
        }},
    });
    for mut stage in stages(|_| {}) {
        stage.play("a connects msgpack\nb connects msgpack\nc connects msgpack\nd connects msgpack");
        stage.say("a", &serde_json::json!([1, "realm1", {"roles": shared}]));
        stage.say(
            "b",
            &serde_json::json!([1, "realm1", {"roles": {"subscriber": {}}, "agent": "Wampy.js 8.0.2"}]),
        );
        stage.say("c", &serde_json::json!([1, "realm1", {"roles": {"subscriber": {}}, "agent": "other"}]));
        stage.say("d", &serde_json::json!([1, "realm1", {"roles": {"publisher": {}, "caller": {}}}]));
        stage.play(
            r#"
            a< [2, $_, {...}]
            b< [2, $_, {...}]
            c< [2, $_, {...}]
            d< [2, $_, {...}]
            a> [32, 1, {}, "com.topic"]
            a< [33, 1, $s]
            b> [32, 1, {}, "com.topic"]
            b< [33, 1, $s]
            c> [32, 1, {}, "com.topic"]
            c< [33, 1, $s]
            a> [64, 2, {}, "com.procedure"]
            a< [65, 2, $r]
            # [16, 1, {}, "com.topic", [extension type 5 with one octet]], then an ordinary event.
            d message 95100180a9636f6d2e746f70696391d40500
            c< [36, $s, $_, {}, [$_]]
            d> [16, 2, {}, "com.topic", ["sound"]]
            a< [36, $s, $_, {}, ["sound"]]
            b< [36, $s, $_, {}, ["sound"]]
            c< [36, $s, $_, {}, ["sound"]]
            # [48, 3, {}, "com.procedure", [the same]]
            d message 95300380ad636f6d2e70726f63656475726591d40500
            d< [8, 48, 3, {}, "wamp.error.invalid_argument", $_]
            counted events_inexpressible 2
            "#,
        );
        stage.finish();
    }
}
