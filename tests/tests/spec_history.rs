//! Advanced profile, "Event History": what the home shard keeps, whichever shard it is published on. (Filters, bounds and the
//! form of an answer are tested where they are made, in `wampline_routing::history`.)
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use wampline_routing::RealmId;
use wampline_routing::history::{HistoryQuery, HistoryReader, HistoryRule, HistoryRules};
use wampline_routing::uri::MatchPolicy;
use wampline_shard::Config;
use wampline_tests::stage::{Stage, stages};
use wampline_wire::{Serializer, SubscriptionId};

fn with_histories(config: &mut Config) {
    let mut rules = HistoryRules::default();
    for (policy, uri) in [(MatchPolicy::Exact, "com.log.auth"), (MatchPolicy::Prefix, "com.log")] {
        rules.add(HistoryRule { policy, uri: uri.into(), events_max: 3, octets_max: 1 << 20 }).unwrap();
    }
    config.realms[0].history = Arc::new(rules);
}

/// The first arguments of the events of a subscription, asked for with an authrole; `None` if it has no history.
fn events(stage: &Stage, subscription: u64, authrole: &str) -> Option<Vec<u64>> {
    let subscription = SubscriptionId::new(subscription).unwrap();
    let query = HistoryQuery::default();
    let reader = HistoryReader { authid: "somebody", authrole };
    // Shards that are not the home of the realm know of no history.
    let answer =
        stage.world.shards.iter().find_map(|shard| {
            shard.get_events(RealmId(0), subscription, &query, reader, Serializer::MsgPack)
        })?;
    let first = |event: wampline_wire::Value<'_>| {
        let args = event.as_dict().unwrap().get("args").unwrap();
        args.as_list().unwrap().iter().next().unwrap().as_u64().unwrap()
    };
    Some(answer.as_payload().args().unwrap().iter().map(first).collect())
}

#[test]
fn events_are_kept_whether_anybody_has_subscribed_or_not() {
    for mut stage in stages(with_histories) {
        stage.play(
            r#"
            p> [16, 1, {"acknowledge": true}, "com.log.auth", [1]]
            p< [17, 1, $_]
            p> [16, 2, {"acknowledge": true}, "com.log.basket", [2]]
            p< [17, 2, $_]
            q> [16, 1, {"acknowledge": true}, "com.log.basket", [3]]
            q< [17, 1, $_]
            q> [16, 2, {"acknowledge": true}, "com.other", [4]]
            q< [17, 2, $_]
            a> [32, 1, {}, "com.log.auth"]
            a< [33, 1, $auth]
            a> [32, 2, {"match": "prefix"}, "com.log"]
            a< [33, 2, $log]
            a> [32, 3, {}, "com.other"]
            a< [33, 3, $other]
            p> [16, 3, {"acknowledge": true}, "com.log.auth", [5]]
            p< [17, 3, $_]
            a< [36, $auth, $p, {}, [5]]
            a< [36, $log, $p, {"topic": "com.log.auth"}, [5]]
            "#,
        );
        let [auth, log, other] = ["$auth", "$log", "$other"].map(|name| stage.bound(name));
        assert_eq!(events(&stage, auth, "guest"), Some(vec![1, 5]));
        assert_eq!(events(&stage, log, "guest"), Some(vec![2, 3, 5]), "three at most, the newest");
        assert_eq!(events(&stage, other, "guest"), None);
        // Its history outlasts its members.
        stage.play("a> [34, 4, $auth]\n a< [35, 4]\n a> [32, 5, {}, \"com.log.auth\"]\n a< [33, 5, $auth]");
        assert_eq!(events(&stage, auth, "guest"), Some(vec![1, 5]));
        stage.finish();
    }
}

#[test]
fn lists_hold_for_the_one_who_asks_and_those_of_sessions_are_not_kept() {
    for mut stage in stages(with_histories) {
        stage.play(
            r#"
            a> [32, 1, {}, "com.log.auth"]
            a< [33, 1, $auth]
            p> [16, 1, {"eligible_authrole": ["admin"]}, "com.log.auth", [1]]
            p> [16, 2, {"exclude": [7]}, "com.log.auth", [2]]
            a< [36, $auth, $_, {}, [2]]
            p> [16, 3, {"retain": true, "acknowledge": true}, "com.log.auth", [3]]
            p< [17, 3, $_]
            a< [36, $auth, $_, {}, [3]]
            "#,
        );
        let auth = stage.bound("$auth");
        assert_eq!(events(&stage, auth, "admin"), Some(vec![1, 3]));
        assert_eq!(events(&stage, auth, "guest"), Some(vec![3]));
        stage.finish();
    }
}

#[test]
fn a_client_asks_for_the_events_of_its_subscription() {
    for mut stage in stages(with_histories) {
        stage.play(
            r#"
            p> [16, 1, {"acknowledge": true}, "com.log.auth", [1]]
            p< [17, 1, $first]
            p> [16, 2, {"acknowledge": true}, "com.log.auth", [2], {"k": "v"}]
            p< [17, 2, $second]
            a> [32, 1, {}, "com.log.auth"]
            a< [33, 1, $s]
            a> [32, 2, {}, "com.other"]
            a< [33, 2, $other]
            a> [48, 3, {}, "wamp.subscription.get_events", [$s]]
            a< [50, 3, {...}, [{..., "publication": $first, "args": [1]}, {..., "publication": $second, "args": [2], "kwargs": {"k": "v"}}]]
            a> [48, 4, {}, "wamp.subscription.get_events", [$s], {"limit": 1, "reverse": true}]
            a< [50, 4, {...}, [{..., "publication": $second, "args": [2]}]]
            a> [48, 5, {}, "wamp.subscription.get_events", [$other]]
            a< [50, 5, {}]
            a> [48, 6, {}, "wamp.subscription.get_events", [4711]]
            a< [8, 48, 6, {}, "wamp.error.no_such_subscription", $_]
            a> [48, 7, {}, "wamp.subscription.get_events", [$s], {"limit": "few"}]
            a< [8, 48, 7, {}, "wamp.error.invalid_argument", $_]
            "#,
        );
        stage.finish();
    }
}
