//! Advanced profile, "Subscription Revocation" and "Sharded Subscription".
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::json;
use wampline_routing::RealmId;
use wampline_shard::Now;
use wampline_tests::stage::{Stage, play, stages};
use wampline_wire::{SessionId, SubscriptionId};

/// Revokes the subscription $s of a session on the home shard; whether the session had it.
fn revoke(stage: &mut Stage, session: &str, reason: Option<&str>) -> bool {
    let session = SessionId::new(stage.bound(session)).unwrap();
    let subscription = SubscriptionId::new(stage.bound("$s")).unwrap();
    let now = Now(stage.world.now);
    let shards = &mut stage.world.shards;
    // Every other shard knows nothing of it.
    shards.iter_mut().any(|shard| shard.revoke_subscription(now, RealmId(0), subscription, session, reason))
}

const SUBSCRIBED: &str = r#"
    a connects
    a> [1, "realm1", {"roles": {"subscriber": {"features": {"subscription_revocation": true}}}}]
    a< [2, $a, {...}]
    a> [32, 1, {}, "com.topic"]
    a< [33, 1, $s]
    b> [32, 1, {}, "com.topic"]
    b< [33, 1, $s]
"#;

#[test]
fn only_a_client_that_announced_it_is_told() {
    for mut stage in stages(|_| {}) {
        stage.play(SUBSCRIBED);
        assert!(revoke(&mut stage, "$a", Some("no longer authorized")));
        assert!(!revoke(&mut stage, "$a", None), "it has been revoked");
        stage.play(
            r#"
            a< [35, 0, {"subscription": $s, "reason": "no longer authorized"}]
            p> [16, 1, {}, "com.topic", [1]]
            b< [36, $s, $_, {}, [1]]
            "#,
        );
        assert!(revoke(&mut stage, "$session_b", None));
        stage.play(
            r#"
            p> [16, 2, {"acknowledge": true}, "com.topic", [2]]
            p< [17, 2, $_]
            # It can subscribe again; ids are not used again.
            a> [32, 2, {}, "com.topic"]
            a< [33, 2, $new]
            p> [16, 3, {}, "com.topic", [3]]
            a< [36, $new, $_, {}, [3]]
            "#,
        );
        stage.finish();
    }
}

#[test]
fn without_a_reason() {
    for mut stage in stages(|_| {}) {
        stage.play(SUBSCRIBED);
        assert!(revoke(&mut stage, "$a", None));
        stage.play("a< [35, 0, {\"subscription\": $s}]");
        stage.finish();
    }
}

#[test]
fn an_unsubscribe_that_crosses_it_succeeds_once() {
    for mut stage in stages(|_| {}) {
        stage.play(SUBSCRIBED);
        assert!(revoke(&mut stage, "$session_b", None));
        stage.play(
            r#"
            b> [34, 2, $s]
            b< [35, 2]
            b> [34, 3, $s]
            b< [8, 34, 3, {}, "wamp.error.no_such_subscription", $_]
            "#,
        );
        // On its way already when the revocation happens.
        let s = stage.bound("$s");
        stage.say("a", &json!([34, 2, s]));
        assert!(revoke(&mut stage, "$a", Some("x")));
        stage.play(
            r#"
            a< [35, 0, {"subscription": $s, "reason": "x"}]
            a< [35, 2]
            "#,
        );
        stage.finish();
    }
}

#[test]
fn a_revoked_membership_that_holds_its_events() {
    for mut stage in stages(|_| {}) {
        stage.play(SUBSCRIBED);
        stage.say(
            "p",
            &json!([16, 1, {"retain": true, "exclude": [stage.bound("$session_b")]}, "com.topic", [1]]),
        );
        stage.play("a< [36, $s, $_, {}, [1]]");
        stage.say("a", &json!([32, 2, {"get_retained": true}, "com.topic"]));
        stage.play("a< [33, 2, $s]\n a< [36, $s, $_, {\"retained\": true}, [1]]");
        assert!(revoke(&mut stage, "$a", None));
        stage.play("a< [35, 0, {\"subscription\": $s}]");
        stage.finish();
    }
}

#[test]
fn an_event_with_a_resource_key_goes_to_one_node_and_to_all_others() {
    for mut stage in stages(|_| {}) {
        for name in ["a", "b", "c", "d"] {
            stage.play(&format!(
                "{name}> [32, 1, {{\"nkey\": \"node_{name}\", \"match\": \"prefix\"}}, \"com.\"]\n {name}< [33, 1, $s]"
            ));
        }
        stage.play("plain> [32, 1, {\"match\": \"prefix\"}, \"com.\"]\n plain< [33, 1, $s]");
        let mut picked = BTreeMap::new();
        for n in 0..40 {
            let rkey = format!("sn{}", n % 20);
            stage.say("p", &json!([16, n + 1, {"rkey": rkey}, "com.sensor", [n]]));
            stage.play("plain< [36, $s, $_, {...}, $_]");
            let heard: Vec<&str> =
                ["a", "b", "c", "d"].into_iter().filter(|name| stage.hear(name).is_some()).collect();
            assert_eq!(heard.len(), 1, "one node of the ring: {heard:?}");
            assert_eq!(*picked.entry(rkey).or_insert(heard[0]), heard[0], "the same key, the same node");
        }
        let nodes: std::collections::BTreeSet<&&str> = picked.values().collect();
        assert!(nodes.len() >= 3, "{picked:?}");
        // Without a key everybody gets it.
        stage.play("p> [16, 100, {}, \"com.sensor\", []]");
        for name in ["a", "b", "c", "d", "plain"] {
            stage.play(&format!("{name}< [36, $s, $_, {{...}}, []]"));
        }
        // Whoever subscribes again without a key is no node any more; of the others only its share changes hands.
        stage.play("b> [32, 2, {\"match\": \"prefix\"}, \"com.\"]\n b< [33, 2, $s]");
        for (n, (rkey, before)) in picked.iter().enumerate() {
            stage.say("p", &json!([16, 200 + n, {"rkey": rkey}, "com.sensor", [n]]));
            stage.play("plain< [36, $s, $_, {...}, $_]\n b< [36, $s, $_, {...}, $_]");
            let heard: Vec<&str> =
                ["a", "c", "d"].into_iter().filter(|name| stage.hear(name).is_some()).collect();
            assert_eq!(heard.len(), 1);
            assert!(heard[0] == *before || *before == "b");
        }
        stage.finish();
    }
}

#[test]
fn keys_of_the_wrong_type() {
    play(
        r#"
        a> [32, 1, {"nkey": 7}, "com.topic"]
        a< [8, 32, 1, {}, "wamp.error.invalid_argument", $_]
        a> [32, 2, {"nkey": null}, "com.topic"]
        a< [33, 2, $s]
        b> [16, 1, {"rkey": 7, "acknowledge": true}, "com.topic"]
        b< [8, 16, 1, {}, "wamp.error.invalid_argument", $_]
        b> [16, 2, {"rkey": "no ring here"}, "com.topic"]
        a< [36, $s, $_, {}]
        "#,
    );
}
