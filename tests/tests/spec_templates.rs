//! Realms that are made from a template when somebody joins them first.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use wampline_auth::{
    DecoySecret, Grant, Method, PrincipalStore, Principals, RealmAuthentication, Source, Ticket,
};
use wampline_routing::history::{HistoryRule, HistoryRules};
use wampline_routing::uri::MatchPolicy;
use wampline_shard::{Config, MetaApi, Realm, RealmTemplate, UriRules};
use wampline_tests::stage::{Stage, play_with, stages};

/// Realms that begin with `tenant.`: strict URIs, a history of `kept`; and `lab.ANYTHING.test`, without meta API.
fn templates(config: &mut Config) {
    let mut history = HistoryRules::default();
    let rule =
        HistoryRule { policy: MatchPolicy::Exact, uri: "kept".into(), events_max: 10, octets_max: 1 << 20 };
    assert_eq!(history.add(rule), Ok(true));
    let tenant = Realm {
        uri_rules: UriRules::Strict,
        history: Arc::new(history),
        call_timeout: Some(Duration::from_secs(2)),
        ..Realm::new("tenant.")
    };
    let lab = Realm { meta: MetaApi::Off, ..Realm::new("lab..test") };
    config.templates = vec![
        RealmTemplate { policy: MatchPolicy::Prefix, settings: tenant },
        RealmTemplate { policy: MatchPolicy::Wildcard, settings: lab },
    ];
}

/// `NAME enters REALM` stands for a client that connects and is welcomed to a realm.
fn written_out(transcript: &str) -> String {
    let lines = transcript.lines().map(|line| match line.split_once(" enters ") {
        Some((name, realm)) => {
            let roles = r#"{"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}"#;
            format!(
                "{name} connects\n{name}> [1, \"{realm}\", {{\"roles\": {roles}}}]\n\
                 {name}< [2, $_, {{..., \"realm\": \"{realm}\"}}]"
            )
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn play(transcript: &str) {
    play_with(templates, &written_out(transcript));
}

fn made(stage: &Stage) -> usize {
    stage.world.shared.realms_made()
}

#[test]
fn who_joins_first_makes_it_and_who_follows_meets_there() {
    play(
        r#"
        a enters tenant.one
        b enters tenant.one
        a> [32, 1, {}, "news"]
        a< [33, 1, $news]
        b> [16, 1, {"acknowledge": true}, "news", [1]]
        b< [17, 1, $_]
        a< [36, $news, $_, {}, [1]]
        b> [64, 1, {}, "add"]
        b< [65, 1, $add]
        a> [48, 1, {}, "add", [2]]
        b< [68, $i, $add, {}, [2]]
        b> [70, $i, {}, [3]]
        a< [50, 1, {}, [3]]
        a> [48, 2, {}, "wamp.session.count"]
        a< [50, 2, {}, [2]]
        "#,
    );
}

#[test]
fn realms_of_one_template_have_nothing_in_common() {
    play(
        r#"
        a enters tenant.one
        b enters tenant.two
        a> [32, 1, {}, "news"]
        a< [33, 1, $_]
        a> [64, 2, {}, "add"]
        a< [65, 2, $_]
        b> [16, 1, {"acknowledge": true}, "news", [1]]
        b< [17, 1, $_]
        b> [48, 2, {}, "add"]
        b< [8, 48, 2, {}, "wamp.error.no_such_procedure", ...]
        b> [48, 3, {}, "wamp.session.count"]
        b< [50, 3, {}, [1]]
        "#
        .replace(", ...]", ", [$_]]")
        .as_str(),
    );
}

#[test]
fn it_has_the_settings_of_its_template() {
    play(
        r#"
        a enters tenant.one
        a> [32, 1, {}, "No.Strict.URI"]
        a< [8, 32, 1, {}, "wamp.error.invalid_uri", [$_]]
        b enters lab.x.test
        b> [32, 1, {}, "No.Strict.URI"]
        b< [33, 1, $_]
        b> [48, 2, {}, "wamp.session.count"]
        b< [8, 48, 2, {}, "wamp.error.no_such_procedure", [$_]]
        c enters tenant.one
        c> [64, 1, {}, "slow"]
        c< [65, 1, $slow]
        a> [48, 2, {}, "slow"]
        c< [68, $_, $slow, {}]
        wait 3s
        a< [8, 48, 2, {}, "wamp.error.timeout", [$_]]
        "#,
    );
}

#[test]
fn its_history_begins_with_it() {
    play(
        r#"
        a enters tenant.one
        a> [16, 1, {"acknowledge": true}, "kept", ["first"]]
        a< [17, 1, $_]
        a> [32, 2, {}, "kept"]
        a< [33, 2, $kept]
        a> [48, 3, {}, "wamp.subscription.get_events", [$kept, {}]]
        a< [50, 3, {}, [{..., "args": ["first"]}]]
        "#,
    );
}

#[test]
fn a_realm_outlives_its_sessions() {
    for mut stage in stages(templates) {
        stage.play(&written_out("a enters tenant.one\na eof\nb enters tenant.one\nc enters realm1"));
        assert_eq!(made(&stage), 1);
        stage.finish();
    }
}

#[test]
fn names_that_match_no_template() {
    for (name, reason) in [
        ("tenant", "wamp.error.no_such_realm"),
        ("lab.x.y.test", "wamp.error.no_such_realm"),
        ("tenant.Upper", "wamp.error.no_such_realm"),
        ("tenant..x", "wamp.error.invalid_uri"),
    ] {
        for mut stage in stages(templates) {
            stage.play(&format!(
                "a connects\na> [1, \"{name}\", {{\"roles\": {{\"caller\": {{}}}}}}]\na< [3, {{...}}, \"{reason}\"]\n\
                 a closed"
            ));
            assert_eq!(made(&stage), 0);
            stage.finish();
        }
    }
}

#[test]
fn their_number_is_bounded() {
    let two = |config: &mut Config| {
        templates(config);
        config.limits.realms_max = 2;
    };
    for mut stage in stages(two) {
        stage.play(&written_out(
            r#"
            a enters tenant.one
            b enters tenant.two
            c connects
            c> [1, "tenant.three", {"roles": {"caller": {}}}]
            c< [3, {"message": "there is no such realm here, and no more can be made"}, "wamp.error.no_such_realm"]
            c closed
            d enters tenant.two
            e enters realm2
            "#,
        ));
        assert_eq!(made(&stage), 2);
        stage.finish();
    }
}

/// A template whose realms ask for a ticket, of `joe`.
fn with_tickets(config: &mut Config) {
    let mut principals = Principals::default();
    let role = || Grant::role("user").unwrap();
    principals.add_ticket("joe", Ticket::raw("secret").unwrap(), role()).unwrap();
    let elsewhere = role().with_realm("tenant.eve").unwrap();
    principals.add_ticket("eve", Ticket::raw("secret").unwrap(), elsewhere).unwrap();
    let mut authentication = RealmAuthentication::new(DecoySecret::new([7; 32]));
    let store = Source::Principals(Arc::new(PrincipalStore::new(principals)));
    authentication.add_source(Method::Ticket, store).unwrap();
    templates(config);
    config.templates[0].settings.authentication = Arc::new(authentication);
}

#[test]
fn nobody_makes_a_realm_who_is_not_admitted_to_it() {
    for mut stage in stages(with_tickets) {
        let hello = |name: &str| {
            format!(
                "{name}> [1, \"tenant.one\", {{\"roles\": {{\"caller\": {{}}}}, \"authmethods\": [\"ticket\"], \
                 \"authid\": \"{name}\"}}]"
            )
        };
        stage.play("mallory connects");
        stage.play(&hello("mallory"));
        stage.play("mallory< [4, \"ticket\", {}]");
        assert_eq!(made(&stage), 0);
        stage.play("mallory> [5, \"guess\", {}]\nmallory< [3, {...}, \"wamp.error.authentication_denied\"]\nmallory closed");
        assert_eq!(made(&stage), 0);
        stage.play("joe connects");
        stage.play(&hello("joe"));
        stage.play("joe< [4, \"ticket\", {}]\njoe> [5, \"secret\", {}]\njoe< [2, $_, {..., \"realm\": \"tenant.one\", \"authid\": \"joe\"}]");
        assert_eq!(made(&stage), 1);
        // Whose realm is another one makes that.
        stage.play("eve connects");
        stage.play(&hello("eve"));
        stage.play("eve< [4, \"ticket\", {}]\neve> [5, \"secret\", {}]\neve< [2, $_, {..., \"realm\": \"tenant.eve\"}]");
        assert_eq!(made(&stage), 2);
        stage.finish();
    }
}
