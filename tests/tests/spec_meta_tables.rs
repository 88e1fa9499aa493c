//! The subscription and registration meta APIs (advanced profile, "Subscriptions Meta API", "Registration Meta API",
//! "Subscription Revocation", "Registration Revocation").

use wampline_shard::{Config, MetaApi};
use wampline_tests::stage::{play, play_with, stages};

fn full(config: &mut Config) {
    config.realms.iter_mut().for_each(|realm| realm.meta = MetaApi::Full);
}

/// HELLO of a client that wants to be told of what is revoked.
const HELLO: &str = r#"[1, "realm1", {"roles": {"subscriber": {"features": {"subscription_revocation": true}}, "callee": {"features": {"registration_revocation": true}}, "publisher": {}, "caller": {}}}]"#;

#[test]
fn subscriptions_are_listed_found_and_described() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $exact]
        a> [32, 2, {"match": "prefix"}, "com."]
        a< [33, 2, $prefix]
        a> [32, 3, {"match": "wildcard"}, "com..x"]
        a< [33, 3, $wildcard]
        b> [48, 1, {}, "wamp.subscription.list"]
        b< [50, 1, {}, [{"exact": [$exact], "prefix": [$prefix], "wildcard": [$wildcard]}]]
        b> [48, 2, {}, "wamp.subscription.lookup", ["com.topic"]]
        b< [50, 2, {}, [$exact]]
        b> [48, 3, {}, "wamp.subscription.lookup", ["com.", {"match": "prefix"}]]
        b< [50, 3, {}, [$prefix]]
        b> [48, 4, {}, "wamp.subscription.lookup", ["com.topic", {"match": "prefix"}]]
        b< [50, 4, {}, [null]]
        b> [48, 5, {}, "wamp.subscription.match", ["com.topic"]]
        b< [50, 5, {}, [[$exact, $prefix]]]
        b> [48, 6, {}, "wamp.subscription.match", ["com.y.x"]]
        b< [50, 6, {}, [[$prefix, $wildcard]]]
        b> [48, 7, {}, "wamp.subscription.match", ["net.topic"]]
        b< [50, 7, {}, [null]]
        b> [48, 8, {}, "wamp.subscription.get", [$prefix]]
        b< [50, 8, {}, [{"id": $prefix, "created": $_, "uri": "com.", "match": "prefix"}]]
        b> [48, 9, {}, "wamp.subscription.get", [999]]
        b< [8, 48, 9, {}, "wamp.error.no_such_subscription", [$_]]
        b> [48, 10, {}, "wamp.subscription.lookup", ["com.topic", {"match": "fuzzy"}]]
        b< [8, 48, 10, {}, "wamp.error.invalid_argument", [$_]]
        b> [48, 11, {}, "wamp.subscription.match"]
        b< [8, 48, 11, {}, "wamp.error.invalid_argument", ["argument 1 (topic) must be a string"]]
        "#,
    );
}

#[test]
fn subscribers_are_listed_and_counted_under_both_spellings() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        a> [32, 2, {}, "com.topic"]
        a< [33, 2, $s]
        b> [48, 1, {}, "wamp.subscription.list_subscribers", [$s]]
        b< [50, 1, {}, [[$session_a]]]
        b> [32, 2, {}, "com.topic"]
        b< [33, 2, $s]
        b> [48, 3, {}, "wamp.subscription.count_subscribers", [$s]]
        b< [50, 3, {}, [2]]
        b> [48, 4, {}, "wamp.subscription.count_suscribers", [$s]]
        b< [50, 4, {}, [2]]
        a> [34, 3, $s]
        a< [35, 3]
        b> [48, 5, {}, "wamp.subscription.list_subscribers", [$s]]
        b< [50, 5, {}, [[$session_b]]]
        b> [48, 6, {}, "wamp.subscription.count_subscribers", [77]]
        b< [8, 48, 6, {}, "wamp.error.no_such_subscription", [$_]]
        b> [48, 7, {}, "wamp.subscription.list_subscribers", [77]]
        b< [8, 48, 7, {}, "wamp.error.no_such_subscription", [$_]]
        "#,
    );
}

#[test]
fn registrations_are_listed_found_and_described() {
    play(
        r#"
        a> [64, 1, {}, "com.add"]
        a< [65, 1, $exact]
        a> [64, 2, {"match": "prefix"}, ""]
        a< [65, 2, $prefix]
        a> [64, 3, {"match": "wildcard"}, "com..x"]
        a< [65, 3, $wildcard]
        b> [48, 1, {}, "wamp.registration.list"]
        b< [50, 1, {}, [{"exact": [$exact], "prefix": [$prefix], "wildcard": [$wildcard]}]]
        b> [48, 2, {}, "wamp.registration.lookup", ["com.add"]]
        b< [50, 2, {}, [$exact]]
        b> [48, 3, {}, "wamp.registration.lookup", ["com.add", {"match": "wildcard"}]]
        b< [50, 3, {}, [null]]
        b> [48, 4, {}, "wamp.registration.match", ["com.add"]]
        b< [50, 4, {}, [$exact]]
        b> [48, 5, {}, "wamp.registration.match", ["net.other"]]
        b< [50, 5, {}, [$prefix]]
        b> [48, 6, {}, "wamp.registration.match", ["wamp.session.count"]]
        b< [50, 6, {}, [null]]
        b> [48, 7, {}, "wamp.registration.get", [$wildcard]]
        b< [50, 7, {}, [{"id": $wildcard, "created": $_, "uri": "com..x", "match": "wildcard", "invoke": "single"}]]
        b> [48, 8, {}, "wamp.registration.list_callees", [$exact]]
        b< [50, 8, {}, [[$session_a]]]
        b> [48, 9, {}, "wamp.registration.count_callees", [$exact]]
        b< [50, 9, {}, [1]]
        b> [48, 10, {}, "wamp.registration.get", [99]]
        b< [8, 48, 10, {}, "wamp.error.no_such_registration", [$_]]
        b> [48, 11, {}, "wamp.registration.list_callees", [99]]
        b< [8, 48, 11, {}, "wamp.error.no_such_registration", [$_]]
        b> [48, 12, {}, "wamp.registration.count_callees", [99]]
        b< [8, 48, 12, {}, "wamp.error.no_such_registration", [$_]]
        b> [48, 13, {}, "wamp.registration.get", [[]]]
        b< [8, 48, 13, {}, "wamp.error.invalid_argument", [$_]]
        "#,
    );
}

#[test]
fn times_of_creation_are_iso_8601() {
    for mut stage in stages(|_| {}) {
        stage.play("a> [64, 1, {}, \"com.add\"]\na< [65, 1, $r]\nwait 1500ms");
        stage.play("a> [32, 2, {}, \"com.topic\"]\na< [33, 2, $s]");
        stage.play("b> [48, 1, {}, \"wamp.registration.get\", [$r]]\nb< [50, 1, {}, [{..., \"created\": \"1970-01-01T00:00:00.000Z\"}]]");
        stage.play("b> [48, 2, {}, \"wamp.subscription.get\", [$s]]\nb< [50, 2, {}, [{..., \"created\": \"1970-01-01T00:00:01.500Z\"}]]");
        stage.finish();
    }
}

#[test]
fn the_life_of_a_subscription_is_told_in_order() {
    play(
        r#"
        w> [32, 1, {"match": "prefix"}, "wamp.subscription."]
        w< [33, 1, $w]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_subscribe"}, [$session_w, $w]]
        a> [32, 1, {"match": "prefix"}, "com."]
        a< [33, 1, $s]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_create"}, [$session_a, {"id": $s, "created": $_, "uri": "com.", "match": "prefix"}]]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_subscribe"}, [$session_a, $s]]
        a> [32, 2, {"match": "prefix"}, "com."]
        a< [33, 2, $s]
        b> [32, 1, {"match": "prefix"}, "com."]
        b< [33, 1, $s]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_subscribe"}, [$session_b, $s]]
        a> [34, 3, $s]
        a< [35, 3]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_unsubscribe"}, [$session_a, $s]]
        b> [6, {}, "wamp.close.close_realm"]
        b< [6, {}, "wamp.close.goodbye_and_out"]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_unsubscribe"}, [$session_b, $s]]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_delete"}, [$session_b, $s]]
        "#,
    );
}

#[test]
fn the_life_of_a_registration_is_told_in_order() {
    play(
        r#"
        w> [32, 1, {"match": "wildcard"}, "wamp.registration."]
        w< [33, 1, $w]
        a> [64, 1, {}, "com.add"]
        a< [65, 1, $r]
        w< [36, $w, $_, {"topic": "wamp.registration.on_create"}, [$session_a, {"id": $r, "created": $_, "uri": "com.add", "match": "exact", "invoke": "single"}]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_register"}, [$session_a, $r]]
        b> [64, 1, {}, "com.add"]
        b< [8, 64, 1, {}, "wamp.error.procedure_already_exists", [$_]]
        a> [66, 2, $r]
        a< [67, 2]
        w< [36, $w, $_, {"topic": "wamp.registration.on_unregister"}, [$session_a, $r]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_delete"}, [$session_a, $r]]
        b> [64, 2, {}, "com.add"]
        b< [65, 2, $q]
        w< [36, $w, $_, {"topic": "wamp.registration.on_create"}, [$session_b, {..., "id": $q}]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_register"}, [$session_b, $q]]
        b breaks
        w< [36, $w, $_, {"topic": "wamp.registration.on_unregister"}, [$session_b, $q]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_delete"}, [$session_b, $q]]
        "#,
    );
}

#[test]
fn a_shared_registration_is_created_once_and_deleted_with_its_last_callee() {
    play(
        r#"
        w> [32, 1, {"match": "prefix"}, "wamp.registration."]
        w< [33, 1, $w]
        a> [64, 1, {"invoke": "roundrobin"}, "com.add"]
        a< [65, 1, $r]
        w< [36, $w, $_, {"topic": "wamp.registration.on_create"}, [$session_a, {..., "id": $r, "invoke": "roundrobin"}]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_register"}, [$session_a, $r]]
        b> [64, 1, {"invoke": "roundrobin"}, "com.add"]
        b< [65, 1, $r]
        w< [36, $w, $_, {"topic": "wamp.registration.on_register"}, [$session_b, $r]]
        w> [48, 2, {}, "wamp.registration.list_callees", [$r]]
        w< [50, 2, {}, [[$session_a, $session_b]]]
        w> [48, 3, {}, "wamp.registration.count_callees", [$r]]
        w< [50, 3, {}, [2]]
        a> [66, 2, $r]
        a< [67, 2]
        w< [36, $w, $_, {"topic": "wamp.registration.on_unregister"}, [$session_a, $r]]
        b> [66, 2, $r]
        b< [67, 2]
        w< [36, $w, $_, {"topic": "wamp.registration.on_unregister"}, [$session_b, $r]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_delete"}, [$session_b, $r]]
        "#,
    );
}

#[test]
fn a_registration_taken_by_force_is_told_of_in_order() {
    play(
        r#"
        w> [32, 1, {"match": "prefix"}, "wamp.registration."]
        w< [33, 1, $w]
        a> [64, 1, {}, "com.add"]
        a< [65, 1, $r]
        w< [36, $w, $_, {"topic": "wamp.registration.on_create"}, [$session_a, {..., "id": $r}]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_register"}, [$session_a, $r]]
        b> [64, 1, {"force_reregister": true}, "com.add"]
        b< [65, 1, $q]
        w< [36, $w, $_, {"topic": "wamp.registration.on_unregister"}, [$session_a, $r]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_delete"}, [$session_a, $r]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_create"}, [$session_b, {..., "id": $q}]]
        w< [36, $w, $_, {"topic": "wamp.registration.on_register"}, [$session_b, $q]]
        "#,
    );
}

#[test]
fn meta_topics_cannot_be_forged() {
    play(
        r#"
        w> [32, 1, {}, "wamp.session.on_join"]
        w< [33, 1, $_]
        a joins
        w< [36, $_, $_, {}, [{..., "session": $session_a}]]
        a> [16, 1, {"acknowledge": true}, "wamp.session.on_join", [{"session": 1}]]
        a< [8, 16, 1, {}, "wamp.error.invalid_uri", [$_]]
        a> [16, 2, {}, "wamp.session.on_join", [{"session": 1}]]
        a> [64, 3, {}, "wamp.session.count"]
        a< [8, 64, 3, {}, "wamp.error.invalid_uri", [$_]]
        "#,
    );
}

#[test]
fn a_subscription_is_revoked_and_its_subscriber_told() {
    play_with(
        full,
        r#"
        a connects
        a> HELLO
        a< [2, $a, {...}]
        w> [32, 1, {"match": "prefix"}, "wamp.subscription."]
        w< [33, 1, $w]
        w< [36, $w, $_, {...}, [$session_w, $w]]
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        w< [36, $w, $_, {...}, [$a, {...}]]
        w< [36, $w, $_, {...}, [$a, $s]]
        b> [48, 1, {}, "wamp.subscription.remove_subscriber", [$s, $a], {"reason": "com.app.expired"}]
        a< [35, 0, {"subscription": $s, "reason": "com.app.expired"}]
        b< [50, 1, {}]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_unsubscribe"}, [$a, $s]]
        w< [36, $w, $_, {"topic": "wamp.subscription.on_delete"}, [$a, $s]]
        b> [16, 2, {"acknowledge": true}, "com.topic"]
        b< [17, 2, $_]
        a> [34, 2, $s]
        a< [35, 2]
        a> [34, 3, $s]
        a< [8, 34, 3, {}, "wamp.error.no_such_subscription", [$_]]
        b> [48, 3, {}, "wamp.subscription.remove_subscriber", [$s, $a]]
        b< [8, 48, 3, {}, "wamp.error.no_such_subscription", [$_]]
        b> [48, 4, {}, "wamp.subscription.remove_subscriber", [$w, $a]]
        b< [8, 48, 4, {}, "wamp.error.no_such_session", [$_]]
        b> [48, 6, {}, "wamp.subscription.remove_subscriber", [$w, $session_w, "because it is so"]]
        b< [8, 48, 6, {}, "wamp.error.invalid_uri", [$_]]
        b> [48, 5, {}, "wamp.subscription.remove_subscriber", [$w]]
        b< [8, 48, 5, {}, "wamp.error.invalid_argument", [$_]]
        "#
        .replace("HELLO", HELLO)
        .as_str(),
    );
}

#[test]
fn who_did_not_announce_revocation_is_not_told_and_may_subscribe_again() {
    play_with(
        full,
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        b> [48, 2, {}, "wamp.subscription.remove_subscriber", [$s, $session_a]]
        b< [50, 2, {}]
        p> [16, 1, {}, "com.topic", [1]]
        b< [36, $s, $_, {}, [1]]
        a> [32, 2, {}, "com.topic"]
        a< [33, 2, $s]
        p> [16, 2, {}, "com.topic", [2]]
        a< [36, $s, $p, {}, [2]]
        b< [36, $s, $p, {}, [2]]
        "#,
    );
}

#[test]
fn a_registration_is_revoked_and_its_callee_told() {
    play_with(
        full,
        r#"
        a connects
        a> HELLO
        a< [2, $a, {...}]
        a> [64, 1, {}, "com.add"]
        a< [65, 1, $r]
        b> [48, 1, {}, "com.add"]
        a< [68, $i, $r, {}]
        b> [48, 2, {}, "wamp.registration.remove_callee", [$r, $a, "com.app.moved"]]
        a< [67, 0, {"registration": $r, "reason": "com.app.moved"}]
        b< [50, 2, {}]
        a> [70, $i, {}, [5]]
        b< [50, 1, {}, [5]]
        b> [48, 3, {}, "com.add"]
        b< [8, 48, 3, {}, "wamp.error.no_such_procedure", [$_]]
        a> [66, 2, $r]
        a< [67, 2]
        a> [66, 3, $r]
        a< [8, 66, 3, {}, "wamp.error.no_such_registration", [$_]]
        b> [48, 4, {}, "wamp.registration.remove_callee", [$r, $a]]
        b< [8, 48, 4, {}, "wamp.error.no_such_registration", [$_]]
        b> [64, 5, {}, "com.add"]
        b< [65, 5, $q]
        b> [48, 6, {}, "wamp.registration.remove_callee", [$q, $a]]
        b< [8, 48, 6, {}, "wamp.error.no_such_session", [$_]]
        "#
        .replace("HELLO", HELLO)
        .as_str(),
    );
}

#[test]
fn a_request_that_crosses_its_revocation_succeeds() {
    play_with(
        full,
        r#"
        a connects
        a> HELLO
        a< [2, $a, {...}]
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        a> [64, 2, {}, "com.add"]
        a< [65, 2, $r]
        a> [48, 3, {}, "wamp.subscription.remove_subscriber", [$s, $a]]
        a> [48, 4, {}, "wamp.registration.remove_callee", [$r, $a]]
        a> [34, 5, $s]
        a> [66, 6, $r]
        a< [35, 0, {"subscription": $s}]
        a< [67, 0, {"registration": $r}]
        a< [35, 5]
        a< [67, 6]
        a< [50, 3, {}]
        a< [50, 4, {}]
        "#
        .replace("HELLO", HELLO)
        .as_str(),
    );
}
