//! What sessions may do by their roles and rules (advanced profile, "Authorization").

use std::sync::Arc;

use wampline_routing::authorization::{Action, Rule};
use wampline_routing::history::HistoryRule;
use wampline_routing::uri::MatchPolicy::{self, Exact, Prefix, Wildcard};
use wampline_routing::{Disclose, DisclosureRule};
use wampline_shard::{Config, MetaApi};
use wampline_tests::roles::{permit_by_default, role, with_authorizer, with_roles};
use wampline_tests::stage::play_with;

use Action::{Call, Publish, Register, Subscribe};

#[test]
fn rules_decide() {
    let configure = with_roles(|roles| {
        role(
            roles,
            "user",
            &[
                (Prefix, "com.", &[Subscribe, Call]),
                (Prefix, "com.own.", &Action::ALL),
                (Wildcard, "org..open", &[Publish]),
                (Exact, "com.secret", &[]),
            ],
        );
    });
    play_with(
        configure,
        r#"
        u joins as user
        a> [32, 1, {}, "com.x"]
        a< [33, 1, $x]
        u> [16, 1, {"acknowledge": true}, "com.x", ["no"]]
        u< [8, 16, 1, {}, "wamp.error.not_authorized", ["the session may not publish to com.x"]]
        u> [16, 2, {}, "com.x", ["no"]]
        counted publications_dropped 1
        u> [16, 3, {"acknowledge": true}, "com.own.x"]
        u< [17, 3, $_]
        u> [16, 4, {"acknowledge": true}, "org.a.open"]
        u< [17, 4, $_]
        u> [32, 5, {}, "com.x"]
        u< [33, 5, $x]
        u> [32, 6, {}, "com.secret"]
        u< [8, 32, 6, {}, "wamp.error.not_authorized", ["the session may not subscribe to com.secret"]]
        u> [64, 7, {}, "com.x"]
        u< [8, 64, 7, {}, "wamp.error.not_authorized", ["the session may not register com.x"]]
        u> [64, 8, {}, "com.own.x"]
        u< [65, 8, $r]
        u> [48, 9, {}, "org.x"]
        u< [8, 48, 9, {}, "wamp.error.not_authorized", ["the session may not call org.x"]]
        u> [48, 10, {}, "com.x"]
        u< [8, 48, 10, {}, "wamp.error.no_such_procedure", [$_]]
        u> [66, 11, $r]
        u< [67, 11]
        u> [34, 12, $x]
        u< [35, 12]
        counted not_authorized 5
        "#,
    );
}

#[test]
fn patterns_are_permitted_as_a_whole() {
    let configure = with_roles(|roles| {
        role(roles, "user", &[(Prefix, "com.", &[Subscribe, Register]), (Exact, "com.a.secret", &[])]);
    });
    play_with(
        configure,
        r#"
        u joins as user
        u> [32, 1, {"match": "prefix"}, "com.b."]
        u< [33, 1, $_]
        u> [32, 2, {"match": "prefix"}, "com."]
        u< [8, 32, 2, {}, "wamp.error.not_authorized", [$_]]
        u> [32, 3, {"match": "prefix"}, ""]
        u< [8, 32, 3, {}, "wamp.error.not_authorized", [$_]]
        u> [32, 4, {"match": "wildcard"}, "com..secret"]
        u< [8, 32, 4, {}, "wamp.error.not_authorized", [$_]]
        u> [32, 5, {"match": "wildcard"}, "com..open"]
        u< [33, 5, $_]
        u> [64, 6, {"match": "prefix"}, "com.a"]
        u< [8, 64, 6, {}, "wamp.error.not_authorized", [$_]]
        u> [64, 7, {"match": "prefix"}, "com.ab"]
        u< [65, 7, $_]
        "#,
    );
}

#[test]
fn a_role_that_is_not_there_may_not_even_join() {
    play_with(
        with_roles(|_| {}),
        r#"
        u connects
        u> [1, "realm1", {"roles": {"caller": {}}, "authid": "stranger", "authmethods": ["ticket"]}]
        u< [4, "ticket", {}]
        u> [5, "stranger", {}]
        u< [3, {"message": $_}, "wamp.error.no_such_role"]
        u closed
        "#,
    );
    let with_default = with_roles(|roles| {
        role(roles, "default", &[(Exact, "com.x", &[Subscribe])]);
        roles.set_default_role("default").expect("it is there");
    });
    play_with(
        with_default,
        r#"
        u joins as stranger
        u> [32, 1, {}, "com.x"]
        u< [33, 1, $_]
        u> [32, 2, {}, "com.y"]
        u< [8, 32, 2, {}, "wamp.error.not_authorized", [$_]]
        "#,
    );
}

#[test]
fn a_decision_is_remembered_for_its_role_action_and_uri_alone() {
    let configure = |config: &mut Config| {
        with_roles(|roles| {
            role(roles, "user", &[(Exact, "com.x", &[Publish, Subscribe])]);
            role(roles, "member", &[(Prefix, "com.", &[Call])]);
        })(config);
        config.realms[0].meta = MetaApi::Full;
    };
    play_with(
        configure,
        r#"
        u joins as user
        v joins as member
        u> [16, 1, {"acknowledge": true}, "com.x"]
        u< [17, 1, $_]
        v> [16, 1, {"acknowledge": true}, "com.x"]
        v< [8, 16, 1, {}, "wamp.error.not_authorized", [$_]]
        u> [48, 2, {}, "com.x"]
        u< [8, 48, 2, {}, "wamp.error.not_authorized", [$_]]
        v> [48, 2, {}, "com.x"]
        v< [8, 48, 2, {}, "wamp.error.no_such_procedure", [$_]]
        u> [16, 3, {"acknowledge": true}, "com.y"]
        u< [8, 16, 3, {}, "wamp.error.not_authorized", [$_]]
        u> [16, 4, {"acknowledge": true}, "com.x"]
        u< [17, 4, $_]
        v> [16, 3, {"acknowledge": true}, "com.x"]
        v< [8, 16, 3, {}, "wamp.error.not_authorized", [$_]]
        u> [32, 5, {}, "com.x"]
        u< [33, 5, $_]
        a> [48, 1, {}, "wamp.session.modify_details", [$session_u, {"authrole": "member"}]]
        a< [8, 48, 1, {}, "wamp.error.invalid_argument", [$_]]
        a> [48, 2, {}, "wamp.session.modify_details", [$session_u, {"nick": "member"}]]
        a< [50, 2, {}]
        u> [16, 6, {"acknowledge": true}, "com.x"]
        u< [17, 6, $_]
        u> [48, 7, {}, "com.x"]
        u< [8, 48, 7, {}, "wamp.error.not_authorized", [$_]]
        u> [6, {}, "wamp.close.close_realm"]
        u< [6, {}, "wamp.close.goodbye_and_out"]
        u> [1, "realm1", {"roles": {"caller": {}, "publisher": {}}, "authid": "member", "authmethods": ["ticket"]}]
        u< [4, "ticket", {}]
        u> [5, "member", {}]
        u< [2, $_, {..., "authrole": "member"}]
        u> [16, 1, {"acknowledge": true}, "com.x"]
        u< [8, 16, 1, {}, "wamp.error.not_authorized", [$_]]
        u> [48, 2, {}, "com.x"]
        u< [8, 48, 2, {}, "wamp.error.no_such_procedure", [$_]]
        "#,
    );
}

#[test]
fn what_a_rule_says_of_disclosure_is_remembered_too() {
    let configure = with_roles(|roles| {
        let user = role(roles, "user", &[]);
        let disclose = DisclosureRule { caller: None, publisher: Some(Disclose::Always) };
        let rule = Rule { disclose, ..Rule::allowing(Action::ALL) };
        roles.add_rule(user, Wildcard, "t..x", rule).expect("a good rule");
        role(roles, "member", &[(Prefix, "t.", &Action::ALL)]);
    });
    play_with(
        configure,
        r#"
        a> [32, 1, {}, "t.1.x"]
        a< [33, 1, $s]
        u joins as user
        v joins as member
        u> [16, 1, {}, "t.1.x"]
        a< [36, $s, $_, {..., "publisher": $session_u}]
        v> [16, 1, {}, "t.1.x"]
        a< [36, $s, $_, {}]
        u> [16, 2, {}, "t.1.x"]
        a< [36, $s, $_, {..., "publisher": $session_u}]
        v> [16, 2, {}, "t.1.x"]
        a< [36, $s, $_, {}]
        "#,
    );
}

#[test]
fn a_rule_forces_or_forbids_disclosure() {
    let configure = with_roles(|roles| {
        let user = role(roles, "user", &[]);
        for (uri, disclose) in [("shown.", Disclose::Always), ("hidden.", Disclose::Never)] {
            let disclose = DisclosureRule { caller: Some(disclose), publisher: Some(disclose) };
            let rule = Rule { disclose, ..Rule::allowing(Action::ALL) };
            roles.add_rule(user, Prefix, uri, rule).expect("a good rule");
        }
    });
    play_with(
        configure,
        r#"
        a> [32, 1, {"match": "wildcard"}, ".x"]
        a< [33, 1, $s]
        a> [64, 2, {"match": "wildcard"}, ".x"]
        a< [65, 2, $r]
        u joins as user
        u> [16, 1, {}, "shown.x"]
        a< [36, $s, $_, {..., "topic": "shown.x", "publisher": $session_u, "publisher_authrole": "user"}]
        u> [16, 2, {}, "hidden.x"]
        a< [36, $s, $_, {"topic": "hidden.x"}]
        u> [16, 3, {"disclose_me": true, "acknowledge": true}, "hidden.x"]
        u< [8, 16, 3, {}, "wamp.error.option_disallowed.disclose_me", [$_]]
        u> [48, 4, {}, "shown.x"]
        a< [68, 1, $r, {..., "procedure": "shown.x", "caller": $session_u}]
        a> [70, 1, {}]
        u< [50, 4, {}]
        u> [48, 5, {}, "hidden.x"]
        a< [68, 2, $r, {"procedure": "hidden.x"}]
        a> [70, 2, {}]
        u< [50, 5, {}]
        u> [48, 6, {"disclose_me": true}, "hidden.x"]
        u< [8, 48, 6, {}, "wamp.error.option_disallowed.disclose_me", [$_]]
        "#,
    );
}

/// Roles for who may end sessions: `admin` by rule, `broad` by a rule for everything, `plain` by default.
fn with_killers(meta: MetaApi) -> impl Fn(&mut Config) {
    let with_roles = with_roles(|roles| {
        role(roles, "admin", &[(Prefix, "wamp.session.", &[Call])]);
        role(roles, "broad", &[(Prefix, "", &Action::ALL)]);
        let plain = role(roles, "plain", &[]);
        permit_by_default(roles, plain);
    });
    move |config| {
        with_roles(config);
        config.realms[0].meta = meta;
    }
}

#[test]
fn destructive_procedures_need_a_rule_by_their_uri() {
    play_with(
        with_killers(MetaApi::Read),
        r#"
        a joins
        b joins as broad
        b> [48, 1, {}, "wamp.session.kill", [$session_a]]
        b< [8, 48, 1, {}, "wamp.error.not_authorized", [$_]]
        b> [48, 2, {}, "wamp.session.count"]
        b< [50, 2, {}, [2]]
        p joins as plain
        p> [48, 1, {}, "wamp.session.kill", [$session_a]]
        p< [8, 48, 1, {}, "wamp.error.not_authorized", [$_]]
        m joins as admin
        m> [48, 1, {}, "wamp.session.kill", [$session_a]]
        a< [6, {}, "wamp.close.killed"]
        a> [6, {}, "wamp.close.goodbye_and_out"]
        a closed
        m< [50, 1, {}]
        m> [48, 2, {}, "wamp.registration.remove_callee", [1, 1]]
        m< [8, 48, 2, {}, "wamp.error.not_authorized", [$_]]
        "#,
    );
    play_with(
        with_killers(MetaApi::Full),
        r#"
        b joins as broad
        p joins as plain
        b> [48, 1, {}, "wamp.session.kill", [$session_p]]
        b< [8, 48, 1, {}, "wamp.error.not_authorized", [$_]]
        p> [48, 1, {}, "wamp.session.kill", [$session_b]]
        b< [6, {}, "wamp.close.killed"]
        b> [6, {}, "wamp.close.goodbye_and_out"]
        b closed
        p< [50, 1, {}]
        "#,
    );
    play_with(
        with_killers(MetaApi::Off),
        r#"
        m joins as admin
        m> [48, 1, {}, "wamp.session.kill", [1]]
        m< [8, 48, 1, {}, "wamp.error.no_such_procedure", [$_]]
        "#,
    );
}

#[test]
fn testaments_are_authorized_when_they_are_added() {
    let configure = with_roles(|roles| {
        let rules: [(MatchPolicy, &str, &[Action]); 2] =
            [(Prefix, "wamp.", &[Call]), (Prefix, "com.", &[Publish])];
        role(roles, "user", &rules);
    });
    play_with(
        configure,
        r#"
        a> [32, 1, {"match": "wildcard"}, ".gone"]
        a< [33, 1, $s]
        u joins as user
        u> [48, 1, {}, "wamp.session.add_testament", ["org.gone", ["no"], {}]]
        u< [8, 48, 1, {}, "wamp.error.not_authorized", ["the session may not publish to org.gone"]]
        u> [48, 2, {}, "wamp.session.add_testament", ["com.gone", ["yes"], {}]]
        u< [50, 2, {}]
        u> [48, 3, {}, "wamp.session.add_testament", ["a..b"]]
        u< [8, 48, 3, {}, "wamp.error.invalid_uri", [$_]]
        u breaks
        a< [36, $s, $_, {"topic": "com.gone"}, ["yes"]]
        "#,
    );
}

#[test]
fn history_is_for_those_who_could_have_subscribed() {
    let with_roles = with_authorizer(
        &[(Prefix, "wamp.", &[Call]), (Exact, "com.closed", &[]), (Exact, "com.open", &[Subscribe])],
        |_| {},
    );
    let configure = move |config: &mut Config| {
        with_roles(config);
        let history = Arc::get_mut(&mut config.realms[0].history).expect("nobody shares it");
        for uri in ["com.closed", "com.open", "com.asked"] {
            let rule = HistoryRule { policy: Exact, uri: uri.into(), events_max: 9, octets_max: 1 << 16 };
            assert_eq!(history.add(rule), Ok(true));
        }
    };
    play_with(
        configure,
        r#"
        g joins as guard
        g> [64, 1, {}, "auth.ask"]
        g< [65, 1, $g]
        u joins as user
        u> [48, 1, {}, "wamp.subscription.lookup", ["com.closed"]]
        u< [50, 1, {}, [$closed]]
        u> [48, 2, {}, "wamp.subscription.get_events", [$closed]]
        u< [8, 48, 2, {}, "wamp.error.not_authorized", [$_]]
        u> [48, 3, {}, "wamp.subscription.lookup", ["com.open"]]
        u< [50, 3, {}, [$open]]
        u> [48, 4, {}, "wamp.subscription.get_events", [$open]]
        u< [50, 4, {}, []]
        u> [48, 5, {}, "wamp.subscription.lookup", ["com.asked"]]
        u< [50, 5, {}, [$asked]]
        u> [48, 6, {}, "wamp.subscription.get_events", [$asked]]
        u< [8, 48, 6, {}, "wamp.error.not_authorized", [$_]]
        u> [32, 7, {}, "com.asked"]
        g< [68, 1, $g, {}, [{...}, "com.asked", "subscribe", {}]]
        g> [70, 1, {}, [true]]
        u< [33, 7, $asked]
        u> [48, 8, {}, "wamp.subscription.get_events", [$asked]]
        u< [50, 8, {}, []]
        a> [48, 1, {}, "wamp.subscription.get_events", [$closed]]
        a< [50, 1, {}, []]
        "#,
    );
}
