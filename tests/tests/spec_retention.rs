//! Advanced profile, "Event Retention".
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use wampline_shard::{Config, RetainedLimits};
use wampline_tests::stage::{play, play_with, stages};

#[test]
fn a_subscriber_that_asks_gets_the_newest_retained_event() {
    play(
        r#"
        p> [16, 1, {"retain": true, "acknowledge": true}, "com.topic", [1]]
        p< [17, 1, $_]
        p> [16, 2, {"retain": true, "acknowledge": true}, "com.topic", [2], {"k": "v"}]
        p< [17, 2, $newest]
        # This one is not retained.
        p> [16, 3, {"acknowledge": true}, "com.topic", [3]]
        p< [17, 3, $_]
        a> [32, 1, {"get_retained": true}, "com.topic"]
        a< [33, 1, $s]
        a< [36, $s, $newest, {"retained": true}, [2], {"k": "v"}]
        # Who does not ask gets none.
        b> [32, 1, {"get_retained": false}, "com.topic"]
        b< [33, 1, $s]
        c> [32, 1, {}, "com.topic"]
        c< [33, 1, $s]
        # Live events are not marked.
        p> [16, 4, {"retain": true}, "com.topic", [4]]
        a< [36, $s, $p4, {}, [4]]
        b< [36, $s, $p4, {}, [4]]
        c< [36, $s, $p4, {}, [4]]
        d> [32, 1, {"get_retained": true}, "com.topic"]
        d< [33, 1, $s]
        d< [36, $s, $p4, {"retained": true}, [4]]
        "#,
    );
}

#[test]
fn nothing_is_retained_unless_asked_for() {
    play(
        r#"
        p> [16, 1, {"retain": false}, "com.topic", [1]]
        p> [16, 2, {"retain": "yes"}, "com.topic", [2]]
        p> [16, 3, {"acknowledge": true}, "com.topic", [3]]
        p< [17, 3, $_]
        a> [32, 1, {"get_retained": true}, "com.topic"]
        a< [33, 1, $_]
        a> [32, 2, {"get_retained": true}, "com.other"]
        a< [33, 2, $_]
        "#,
    );
}

#[test]
fn pattern_based_subscribers_get_those_of_every_matching_topic() {
    play(
        r#"
        p> [16, 1, {"retain": true}, "com.a.x", [1]]
        p> [16, 2, {"retain": true}, "com.b.x", [2]]
        p> [16, 3, {"retain": true}, "com.a.y", [3]]
        p> [16, 4, {"retain": true}, "org.a.x", [4]]
        p> [16, 5, {"retain": true, "acknowledge": true}, "com.a.x", [5]]
        p< [17, 5, $_]
        a> [32, 1, {"match": "prefix", "get_retained": true}, "com.a"]
        a< [33, 1, $prefix]
        a< [36, $prefix, $_, {"topic": "com.a.y", "retained": true}, [3]]
        a< [36, $prefix, $_, {"topic": "com.a.x", "retained": true}, [5]]
        b> [32, 1, {"match": "wildcard", "get_retained": true}, "com..x"]
        b< [33, 1, $wildcard]
        b< [36, $wildcard, $_, {"topic": "com.b.x", "retained": true}, [2]]
        b< [36, $wildcard, $_, {"topic": "com.a.x", "retained": true}, [5]]
        "#,
    );
}

#[test]
fn only_what_the_subscriber_would_have_received() {
    play(
        r#"
        a joins
        b joins
        p> [16, 1, {"retain": true}, "com.topic", ["for all"]]
        p> [16, 2, {"retain": true, "eligible": [$session_a]}, "com.topic", ["for a"]]
        p> [16, 3, {"retain": true, "acknowledge": true, "eligible_authrole": ["admin"]}, "com.topic", ["for admins"]]
        p< [17, 3, $_]
        a> [32, 1, {"get_retained": true}, "com.topic"]
        a< [33, 1, $s]
        a< [36, $s, $_, {"retained": true}, ["for a"]]
        b> [32, 1, {"get_retained": true}, "com.topic"]
        b< [33, 1, $s]
        b< [36, $s, $_, {"retained": true}, ["for all"]]
        # The publisher would not have received its own.
        p> [32, 4, {"get_retained": true}, "com.topic"]
        p< [33, 4, $s]
        p> [16, 5, {"retain": true, "exclude_me": false, "acknowledge": true}, "com.own", ["own"]]
        p< [17, 5, $_]
        p> [32, 6, {"get_retained": true}, "com.own"]
        p< [33, 6, $own]
        p< [36, $own, $_, {"retained": true}, ["own"]]
        "#,
    );
}

#[test]
fn a_retained_event_keeps_its_details() {
    play(
        r#"
        p> [16, 1, {"retain": true, "disclose_me": true, "ppt_scheme": "mqtt", "acknowledge": true}, "com.topic", ["x"]]
        p< [17, 1, $_]
        a> [32, 1, {"get_retained": true}, "com.topic"]
        a< [33, 1, $s]
        a< [36, $s, $_, {"publisher": $session_p, "publisher_authid": $_, "publisher_authrole": "anonymous", "ppt_scheme": "mqtt", "retained": true}, ["x"]]
        "#,
    );
}

/// The publisher has left; its event stays.
#[test]
fn retained_events_outlive_their_publisher() {
    play(
        r#"
        p> [16, 1, {"retain": true}, "com.topic", [1]]
        p> [6, {}, "wamp.close.close_realm"]
        p< [6, {}, "wamp.close.goodbye_and_out"]
        a> [32, 1, {"get_retained": true}, "com.topic"]
        a< [33, 1, $s]
        a< [36, $s, $_, {"retained": true}, [1]]
        "#,
    );
}

#[test]
fn subscribing_again_and_asking_gives_it_again() {
    play(
        r#"
        p> [16, 1, {"retain": true, "acknowledge": true}, "com.topic", [1]]
        p< [17, 1, $_]
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        a> [32, 2, {"get_retained": true}, "com.topic"]
        a< [33, 2, $s]
        a< [36, $s, $_, {"retained": true}, [1]]
        a> [32, 3, {"get_retained": true}, "com.topic"]
        a< [33, 3, $s]
        a< [36, $s, $_, {"retained": true}, [1]]
        p> [16, 2, {}, "com.topic", [2]]
        a< [36, $s, $_, {}, [2]]
        a> [34, 4, $s]
        a< [35, 4]
        p> [16, 3, {"acknowledge": true}, "com.topic", [3]]
        p< [17, 3, $_]
        "#,
    );
}

#[test]
fn everything_in_one_write() {
    play(
        r#"
        a joins
        a> [16, 1, {"retain": true, "exclude_me": false}, "com.topic", [1]]
        a> [32, 2, {"get_retained": true}, "com.topic"]
        a> [16, 3, {"exclude_me": false}, "com.topic", [2]]
        a> [16, 4, {"exclude_me": false}, "com.topic", [3]]
        a< [33, 2, $s]
        a< [36, $s, $_, {"retained": true}, [1]]
        a< [36, $s, $_, {}, [2]]
        a< [36, $s, $_, {}, [3]]
        "#,
    );
}

#[test]
fn bounds_and_times_to_live() {
    let tight = |config: &mut Config| {
        config.realms[0].retained =
            RetainedLimits { events_max: 2, octets_max: 1 << 20, ttl: Some(Duration::from_secs(100)) };
    };
    play_with(
        tight,
        r#"
        p> [16, 1, {"retain": true}, "com.a", [1]]
        p> [16, 2, {"retain": true}, "com.b", [2]]
        p> [16, 3, {"retain": true, "retain_ttl": 5, "acknowledge": true}, "com.c", [3]]
        p< [17, 3, $_]
        counted retained_evicted 1
        a> [32, 1, {"match": "prefix", "get_retained": true}, "com."]
        a< [33, 1, $s]
        a< [36, $s, $_, {"topic": "com.b", "retained": true}, [2]]
        a< [36, $s, $_, {"topic": "com.c", "retained": true}, [3]]
        wait 6s
        b> [32, 1, {"match": "prefix", "get_retained": true}, "com."]
        b< [33, 1, $s]
        b< [36, $s, $_, {"topic": "com.b", "retained": true}, [2]]
        wait 100s
        c> [32, 1, {"match": "prefix", "get_retained": true}, "com."]
        c< [33, 1, $s]
        p> [16, 4, {"retain": true, "retain_ttl": "long", "acknowledge": true}, "com.c", [3]]
        p< [8, 16, 4, {}, "wamp.error.invalid_argument", $_]
        "#,
    );
}

/// A snapshot never costs a session its connection.
#[test]
fn what_is_too_much_for_an_outbox_is_left_out_from_the_oldest_on() {
    for mut stage in stages(|config| config.limits.outbox_bytes_max = 64 << 10) {
        for n in 0..10 {
            let text = "x".repeat(8 << 10);
            stage.play(&format!(r#"p> [16, {}, {{"retain": true}}, "com.n{n}", [{n}, "{text}"]]"#, n + 1));
        }
        stage.play("a> [32, 1, {\"match\": \"prefix\", \"get_retained\": true}, \"com.\"]\n a< [33, 1, $s]");
        let mut heard = Vec::new();
        while let Some(message) = stage.hear("a") {
            assert_eq!(message[3]["retained"], true);
            heard.push(message[4][0].as_u64().unwrap());
        }
        assert_eq!(heard, [7, 8, 9], "{:?}", stage.layout);
        stage.play("counted retained_omitted 7");
        stage.finish();
    }
}
