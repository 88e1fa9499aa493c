//! Who receives a publication and what it learns of it: advanced profile, "Subscriber Black- and Whitelisting", "Publisher
//! Identification", "Publication Trust Levels" and "Payload Passthru Mode".
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::json;
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{Disclose, Disclosure, DisclosureRule, TrustLevels, TrustRule};
use wampline_shard::{Config, FeatureRules};
use wampline_tests::stage::{play, play_with, stages};

/// Three subscribers with the topic `com.topic`; their session ids are $a, $b and $c, their authids $ua, $ub and $uc.
const THREE: &str = r#"
    a connects
    a> [1, "realm1", {"roles": {"subscriber": {}, "publisher": {}}}]
    a< [2, $a, {..., "authid": $ua}]
    b connects
    b> [1, "realm1", {"roles": {"subscriber": {}, "publisher": {}}}]
    b< [2, $b, {..., "authid": $ub}]
    c connects
    c> [1, "realm1", {"roles": {"subscriber": {}, "publisher": {}}}]
    c< [2, $c, {..., "authid": $uc}]
    a> [32, 1, {}, "com.topic"]
    a< [33, 1, $s]
    b> [32, 1, {}, "com.topic"]
    b< [33, 1, $s]
    c> [32, 1, {}, "com.topic"]
    c< [33, 1, $s]
"#;

fn play_three(transcript: &str) {
    play(&format!("{THREE}{transcript}"));
}

#[test]
fn a_blacklist_of_sessions() {
    play_three(
        r#"
        p> [16, 1, {"exclude": [$a, $b, 12345]}, "com.topic", [1]]
        c< [36, $s, $_, {}, [1]]
        p> [16, 2, {"exclude": []}, "com.topic", [2]]
        a< [36, $s, $q, {}, [2]]
        b< [36, $s, $q, {}, [2]]
        c< [36, $s, $q, {}, [2]]
        # The publisher is excluded as ever.
        a> [16, 2, {"exclude": [$b]}, "com.topic", [3]]
        c< [36, $s, $_, {}, [3]]
        a> [16, 3, {"exclude": [$b], "exclude_me": false}, "com.topic", [4]]
        a< [36, $s, $_, {}, [4]]
        c< [36, $s, $_, {}, [4]]
        "#,
    );
}

#[test]
fn a_whitelist_of_sessions() {
    play_three(
        r#"
        p> [16, 1, {"eligible": [$a, $c]}, "com.topic", [1]]
        a< [36, $s, $p1, {}, [1]]
        c< [36, $s, $p1, {}, [1]]
        # Eligible and not excluded.
        p> [16, 2, {"eligible": [$a, $c], "exclude": [$a]}, "com.topic", [2]]
        c< [36, $s, $_, {}, [2]]
        # Present and empty: nobody. It is a publication all the same.
        p> [16, 3, {"eligible": [], "acknowledge": true}, "com.topic", [3]]
        p< [17, 3, $_]
        # Being eligible does not make a publisher a receiver.
        a> [16, 2, {"eligible": [$a], "acknowledge": true}, "com.topic", [4]]
        a< [17, 2, $_]
        # Null is absent.
        p> [16, 4, {"eligible": null, "exclude": [$b, $c]}, "com.topic", [5]]
        a< [36, $s, $_, {}, [5]]
        "#,
    );
}

#[test]
fn lists_of_authids_and_authroles() {
    play_three(
        r#"
        p> [16, 1, {"exclude_authid": [$ua, "somebody", $ub]}, "com.topic", [1]]
        c< [36, $s, $_, {}, [1]]
        p> [16, 2, {"eligible_authid": [$ub]}, "com.topic", [2]]
        b< [36, $s, $_, {}, [2]]
        p> [16, 3, {"eligible_authrole": ["anonymous", "admin"], "exclude": [$b]}, "com.topic", [3]]
        a< [36, $s, $q, {}, [3]]
        c< [36, $s, $q, {}, [3]]
        p> [16, 4, {"exclude_authrole": ["anonymous"], "acknowledge": true}, "com.topic", [4]]
        p< [17, 4, $_]
        p> [16, 5, {"eligible_authrole": ["admin"], "acknowledge": true}, "com.topic", [5]]
        p< [17, 5, $_]
        p> [16, 6, {"eligible_authid": [], "acknowledge": true}, "com.topic", [6]]
        p< [17, 6, $_]
        # All six at once: every one must agree.
        p> [16, 7, {"eligible": [$a, $b], "eligible_authid": [$ua, $ub], "eligible_authrole": ["anonymous"], "exclude": [$c], "exclude_authid": [$ub], "exclude_authrole": ["admin"]}, "com.topic", [7]]
        a< [36, $s, $_, {}, [7]]
        "#,
    );
}

#[test]
fn pattern_based_subscriptions_are_restricted_too() {
    play_three(
        r#"
        a> [32, 2, {"match": "prefix"}, "com."]
        a< [33, 2, $prefix]
        p> [16, 1, {"eligible": [$a]}, "com.topic", [1]]
        a< [36, $s, $p1, {}, [1]]
        a< [36, $prefix, $p1, {"topic": "com.topic"}, [1]]
        "#,
    );
}

/// JavaScript encoders write integers above 2^32 as float64.
#[test]
fn ids_may_be_integral_floats() {
    for mut stage in stages(|_| {}) {
        stage.play(THREE);
        let (a, b) = (stage.bound("$a") as f64, stage.bound("$b") as f64);
        stage.say("p", &json!([16, 1, {"eligible": [a, b], "exclude": [b]}, "com.topic", [1]]));
        stage.play("a< [36, $s, $_, {}, [1]]");
        stage.finish();
    }
}

#[test]
fn lists_of_the_wrong_type_are_refused() {
    play_three(
        r#"
        p> [16, 1, {"exclude": 5, "acknowledge": true}, "com.topic"]
        p< [8, 16, 1, {}, "wamp.error.invalid_argument", ["the option exclude must be a list of session ids"]]
        p> [16, 2, {"eligible_authid": [7], "acknowledge": true}, "com.topic"]
        p< [8, 16, 2, {}, "wamp.error.invalid_argument", $_]
        p> [16, 3, {"eligible": ["7"], "acknowledge": true}, "com.topic"]
        p< [8, 16, 3, {}, "wamp.error.invalid_argument", $_]
        counted publications_dropped 0
        # Without acknowledge nobody is told, and nobody gets what was to be restricted.
        p> [16, 4, {"exclude_authrole": "anonymous"}, "com.topic"]
        p> [16, 5, {"exclude": [1.5]}, "com.topic"]
        counted publications_dropped 2
        "#,
    );
}

#[test]
fn a_long_list() {
    for mut stage in stages(|_| {}) {
        stage.play(THREE);
        let mut ids: Vec<u64> = (1..20_000).rev().collect();
        ids.push(stage.bound("$b"));
        stage.say("p", &json!([16, 1, {"exclude": ids}, "com.topic", [1]]));
        stage.play("a< [36, $s, $p, {}, [1]]\n c< [36, $s, $p, {}, [1]]");
        stage.finish();
    }
}

#[test]
fn a_publisher_is_disclosed_on_request() {
    play_three(
        r#"
        a> [32, 2, {"match": "prefix"}, "com."]
        a< [33, 2, $prefix]
        b> [16, 2, {"disclose_me": true, "eligible": [$a]}, "com.topic", [1]]
        a< [36, $s, $p, {"publisher": $b, "publisher_authid": $ub, "publisher_authrole": "anonymous"}, [1]]
        a< [36, $prefix, $p, {"topic": "com.topic", "publisher": $b, "publisher_authid": $ub, "publisher_authrole": "anonymous"}, [1]]
        b> [16, 3, {"disclose_me": false, "eligible": [$c]}, "com.topic", [2]]
        c< [36, $s, $_, {}, [2]]
        b> [16, 4, {"disclose_me": "yes", "eligible": [$c]}, "com.topic", [3]]
        c< [36, $s, $_, {}, [3]]
        "#,
    );
}

fn with_rules(config: &mut Config) {
    let mut disclosure = Disclosure::default();
    for (uri, publisher) in [
        ("com.secret.", Disclose::Never),
        ("com.open.", Disclose::Always),
        ("com.open.but.", Disclose::OnRequest),
    ] {
        let rule = DisclosureRule { publisher: Some(publisher), caller: None };
        disclosure.add(MatchPolicy::Prefix, uri, rule).unwrap();
    }
    let mut levels = TrustLevels::default();
    let rule = |role: &str, publisher| TrustRule {
        role: Some(role.into()),
        publisher: Some(publisher),
        caller: None,
    };
    levels.add(MatchPolicy::Wildcard, "com..level", rule("anonymous", 0)).unwrap();
    levels.add(MatchPolicy::Exact, "com.high.level", rule("anonymous", 7)).unwrap();
    levels.add(MatchPolicy::Exact, "com.other", rule("admin", 9)).unwrap();
    for realm in &mut config.realms {
        (realm.disclosure, realm.trust_levels) = (Arc::default(), Arc::default());
    }
    config.realms[0].disclosure = Arc::new(disclosure);
    config.realms[0].trust_levels = Arc::new(levels);
}

#[test]
fn disclosure_by_policy() {
    play_with(
        with_rules,
        r#"
        a> [32, 1, {"match": "prefix"}, "com."]
        a< [33, 1, $s]
        p> [16, 1, {"disclose_me": true, "acknowledge": true}, "com.secret.x"]
        p< [8, 16, 1, {}, "wamp.error.option_disallowed.disclose_me", $_]
        p> [16, 2, {"disclose_me": true}, "com.secret.x"]
        counted publications_dropped 1
        p> [16, 3, {}, "com.secret.x"]
        a< [36, $s, $_, {"topic": "com.secret.x"}]
        p> [16, 4, {}, "com.open.x"]
        a< [36, $s, $_, {"topic": "com.open.x", "publisher": $session_p, "publisher_authid": $u, "publisher_authrole": "anonymous"}]
        p> [16, 5, {"disclose_me": false}, "com.open.x"]
        a< [36, $s, $_, {"topic": "com.open.x", "publisher": $session_p, "publisher_authid": $u, "publisher_authrole": "anonymous"}]
        p> [16, 6, {}, "com.open.but.x"]
        a< [36, $s, $_, {"topic": "com.open.but.x"}]
        "#,
    );
}

#[test]
fn trust_levels() {
    play_with(
        with_rules,
        r#"
        a> [32, 1, {"match": "wildcard"}, "com..level"]
        a< [33, 1, $s]
        a> [32, 2, {}, "com.other"]
        a< [33, 2, $other]
        p> [16, 1, {}, "com.low.level"]
        a< [36, $s, $_, {"topic": "com.low.level", "trustlevel": 0}]
        p> [16, 2, {}, "com.high.level"]
        a< [36, $s, $_, {"topic": "com.high.level", "trustlevel": 7}]
        p> [16, 3, {}, "com.other"]
        a< [36, $other, $_, {}]
        "#,
    );
}

#[test]
fn passthru_attributes_are_forwarded_to_everybody() {
    play(
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        p> [16, 1, {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305", "ppt_keyid": "key", "x": 1}, "com.topic", ["payload"]]
        a< [36, $s, $p, {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305", "ppt_keyid": "key"}, ["payload"]]
        b< [36, $s, $p, {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305", "ppt_keyid": "key"}, ["payload"]]
        p> [16, 2, {"ppt_scheme": "x_own", "eligible": [$session_a]}, "com.topic", ["payload"]]
        a< [36, $s, $_, {"ppt_scheme": "x_own"}, ["payload"]]
        # Without a scheme it is not in use.
        p> [16, 3, {"ppt_cipher": "aes256gcm", "ppt_scheme": "", "eligible": [$session_a]}, "com.topic", ["payload"]]
        a< [36, $s, $_, {}, ["payload"]]
        "#,
    );
}

#[test]
fn strict_features_make_unannounced_passthru_a_violation() {
    let strict = |config: &mut Config| config.realms[0].features = FeatureRules::Strict;
    play_with(
        strict,
        r#"
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        p connects
        p> [1, "realm1", {"roles": {"publisher": {"features": {"payload_passthru_mode": true}}}}]
        p< [2, $_, {...}]
        p> [16, 1, {"ppt_scheme": "mqtt"}, "com.topic", ["payload"]]
        a< [36, $s, $_, {"ppt_scheme": "mqtt"}, ["payload"]]
        q connects
        q> [1, "realm1", {"roles": {"publisher": {}, "subscriber": {"features": {"payload_passthru_mode": true}}}}]
        q< [2, $_, {...}]
        q> [16, 1, {"ppt_scheme": "mqtt"}, "com.topic", ["payload"]]
        q< [3, $_, "wamp.error.protocol_violation"]
        q closed 1002
        "#,
    );
}

#[test]
fn transparent_payloads_go_to_those_that_understand_them() {
    play(
        r#"
        a connects
        a> [1, "realm1", {"roles": {"subscriber": {"features": {"payload_transparency": true}}}}]
        a< [2, $_, {...}]
        a> [32, 1, {}, "com.topic"]
        a< [33, 1, $s]
        b> [32, 1, {}, "com.topic"]
        b< [33, 1, $s]
        p> [16, 1, {"enc_algo": "cryptobox", "enc_key": "k", "enc_serializer": "json", "acknowledge": true}, "com.topic", ["payload"]]
        p< [17, 1, $_]
        a< [36, $s, $_, {"enc_algo": "cryptobox", "enc_key": "k", "enc_serializer": "json"}, ["payload"]]
        "#,
    );
}
