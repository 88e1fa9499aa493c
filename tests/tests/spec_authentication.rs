//! Advanced profile, "Authentication", in the life of a session: CHALLENGE and AUTHENTICATE, who waits how long, who may not
//! even try. (What each method proves is shown where the methods are.)
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use wampline_auth::{
    AnonymousAccess, DecoySecret, Grant, Method, OwnedDict, PrincipalStore, Principals, RealmAuthentication,
    Source, Ticket,
};
use wampline_routing::authorization::Roles;
use wampline_shard::{Config, SourceRules, Sources};
use wampline_tests::stage::{play_with, stages};
use wampline_wire::Value;

/// `realm1` has tickets: of `joe`, whose role is `user`, of `ann`, who gets an authextra, and of `eve`, who belongs to `realm2`.
/// `realm2` is anonymous.
fn tickets(config: &mut Config) {
    let mut principals = Principals::default();
    let role = |role: &str| Grant::role(role).unwrap();
    principals.add_ticket("joe", Ticket::raw("joe's secret").unwrap(), role("user")).unwrap();
    let inner = [("level", Value::Uint(3))];
    let extra = OwnedDict::new(&[("of", Value::Dict(wampline_wire::Dict::pairs(&inner)))]).unwrap();
    principals
        .add_ticket("ann", Ticket::raw("ann's secret").unwrap(), role("admin").with_extra(extra))
        .unwrap();
    let elsewhere = role("user").with_realm("realm2").unwrap();
    principals.add_ticket("eve", Ticket::raw("eve's secret").unwrap(), elsewhere).unwrap();
    let nowhere = role("user").with_realm("nowhere").unwrap();
    principals.add_ticket("ned", Ticket::raw("ned's secret").unwrap(), nowhere).unwrap();
    let mut realm = RealmAuthentication::new(DecoySecret::new([7; 32]));
    let store = Source::Principals(Arc::new(PrincipalStore::new(principals)));
    realm.add_source(Method::Ticket, store).unwrap();
    config.realms[0].authentication = Arc::new(realm);
}

/// The same, and anonymous sessions with the role `guest`.
fn tickets_and_guests(config: &mut Config) {
    tickets(config);
    let realm = Arc::get_mut(&mut config.realms[0].authentication).unwrap();
    realm.allow_anonymous(AnonymousAccess::role("guest").unwrap()).unwrap();
}

fn with_tickets(transcript: &str) {
    play_with(tickets, &written_out(transcript));
}

/// `HELLO NAME` stands for a HELLO that asks for a ticket, `DENIED` for the refusal.
fn written_out(transcript: &str) -> String {
    let lines = transcript.lines().map(|line| match line.split_once("> HELLO ") {
        Some((start, name)) => {
            format!(r#"{start}> [1, "realm1", {{"roles": {{"caller": {{}}, "subscriber": {{}}}}, "authmethods": ["ticket"], "authid": "{name}"}}]"#)
        }
        None => line.replace(
            "DENIED",
            r#"[3, {"message": "authentication failed: unknown principal or wrong credentials"}, "wamp.error.authentication_denied"]"#,
        ),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_challenge_that_is_met_is_answered_with_welcome() {
    with_tickets(
        r#"
        a connects
        a> HELLO joe
        a< [4, "ticket", {}]
        wait 4s
        a> [5, "joe's secret", {}]
        a< [2, $s, {..., "realm": "realm1", "authid": "joe", "authrole": "user", "authmethod": "ticket", "authprovider": "static"}]
        wait 10s
        a> [48, 1, {}, "wamp.session.get", [$s]]
        a< [50, 1, {}, [{..., "session": $s, "authid": "joe", "authrole": "user", "authmethod": "ticket", "authprovider": "static"}]]
        a> [6, {}, "wamp.close.close_realm"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        a> HELLO ann
        a< [4, "ticket", {}]
        a> [5, "ann's secret", {"any": "thing"}]
        a< [2, $_, {..., "authid": "ann", "authrole": "admin", "authextra": {"of": {"level": 3}}}]
        "#,
    );
}

#[test]
fn a_challenge_that_is_not_met_is_answered_with_abort() {
    for (name, ticket) in [("joe", "wrong"), ("joe", ""), ("joe", "ann's secret"), ("nobody", "joe's secret")]
    {
        with_tickets(&format!(
            r#"
            a connects
            a> HELLO {name}
            a< [4, "ticket", {{}}]
            a> [5, "{ticket}", {{}}]
            a< DENIED
            a closed
            counted authentications_denied 1
            counted refused_sessions 1
            "#
        ));
    }
}

#[test]
fn a_principal_joins_the_realm_that_is_its_own() {
    with_tickets(
        r#"
        a connects
        a> HELLO eve
        a< [4, "ticket", {}]
        a> [5, "eve's secret", {}]
        a< [2, $_, {..., "realm": "realm2", "authid": "eve"}]
        b connects
        b> HELLO ned
        b< [4, "ticket", {}]
        b> [5, "ned's secret", {}]
        b< [3, {"message": "the realm of this principal does not exist"}, "wamp.error.authentication_failed"]
        b closed
        "#,
    );
}

#[test]
fn what_hello_may_ask_for() {
    let roles = r#""roles": {"caller": {}}"#;
    let none = r#"[3, {"message": "this realm has none of the listed authmethods"}, "wamp.error.no_matching_auth_method"]"#;
    let required = r#"[3, {"message": "this realm has no anonymous sessions: HELLO must list authmethods"}, "wamp.error.authentication_required"]"#;
    for (details, answer) in [
        (String::new(), required),
        (r#", "authmethods": []"#.into(), required),
        (r#", "authmethods": null, "authid": "joe""#.into(), required),
        (r#", "authmethods": ["anonymous"]"#.into(), none),
        (r#", "authmethods": ["wampcra", "no such method", 7, null]"#.into(), none),
        (
            r#", "authmethods": ["ticket"]"#.into(),
            r#"[3, {"message": $_}, "wamp.error.authentication_denied"]"#,
        ),
        (
            r#", "authmethods": ["ticket"], "authid": """#.into(),
            r#"[3, {"message": $_}, "wamp.error.authentication_denied"]"#,
        ),
        (
            format!(r#", "authmethods": ["ticket"], "authid": "{}""#, "x".repeat(256)),
            r#"[3, {"message": $_}, "wamp.error.authentication_denied"]"#,
        ),
    ] {
        with_tickets(&format!(
            r#"
            a connects
            a> [1, "realm1", {{{roles}{details}}}]
            a< {answer}
            a closed
            "#
        ));
    }
}

#[test]
fn the_client_chooses_among_the_methods_of_the_realm() {
    play_with(
        tickets_and_guests,
        r#"
        a connects
        a> [1, "realm1", {"roles": {"caller": {}}, "authid": "joe"}]
        a< [2, $_, {..., "authid": $guest, "authrole": "guest", "authmethod": "anonymous"}]
        b connects
        b> [1, "realm1", {"roles": {"caller": {}}, "authid": "joe", "authmethods": ["cryptosign", "ticket", "anonymous"]}]
        b< [4, "ticket", {}]
        b> [5, "joe's secret", {}]
        b< [2, $_, {..., "authid": "joe", "authrole": "user"}]
        c connects
        c> [1, "realm1", {"roles": {"caller": {}}, "authid": "joe", "authmethods": ["anonymous", "ticket"]}]
        c< [2, $_, {..., "authrole": "guest", "authmethod": "anonymous"}]
        "#,
    );
}

#[test]
fn whoever_authenticates_says_authenticate_once_and_nothing_else() {
    for message in [
        r#"[1, "realm1", {"roles": {"caller": {}}}]"#,
        r#"[4, "ticket", {}]"#,
        r#"[6, {}, "wamp.close.close_realm"]"#,
        r#"[32, 1, {}, "com.topic"]"#,
        r#"[16, 1, {}, "com.topic"]"#,
        r#"[70, 1, {}]"#,
        r#"[8, 68, 1, {}, "com.error"]"#,
        r#"[5, "joe's secret"]"#,
        r#"[5, 7, {}]"#,
        r#"[99]"#,
    ] {
        with_tickets(&format!(
            r#"
            a connects
            a> HELLO joe
            a< [4, "ticket", {{}}]
            a> {message}
            a< [3, {{"message": $_}}, "wamp.error.protocol_violation"]
            a closed
            counted protocol_violations 1
            "#
        ));
    }
    with_tickets(
        r#"
        a connects
        a> [5, "joe's secret", {}]
        a< [3, {"message": $_}, "wamp.error.protocol_violation"]
        a closed
        b connects
        b> HELLO joe
        b< [4, "ticket", {}]
        b> [5, "joe's secret", {}]
        b> [5, "joe's secret", {}]
        b< [2, $_, $_]
        b< [3, {"message": $_}, "wamp.error.protocol_violation"]
        b closed
        c connects
        c> HELLO joe
        c< [4, "ticket", {}]
        c> [5, "wrong", {}]
        c> [5, "joe's secret", {}]
        c< DENIED
        c closed
        "#,
    );
}

#[test]
fn messages_that_come_with_authenticate_wait_for_welcome() {
    with_tickets(
        r#"
        a connects
        a> HELLO joe
        a> [5, "joe's secret", {}]
        a> [32, 1, {}, "com.topic"]
        a< [4, "ticket", {}]
        a< [2, $_, $_]
        a< [33, 1, $_]
        "#,
    );
}

#[test]
fn a_client_may_give_up() {
    with_tickets(
        r#"
        a connects
        a> HELLO joe
        a< [4, "ticket", {}]
        a> [3, {}, "wamp.error.cannot_authenticate"]
        a closed 1000
        b connects
        b> HELLO joe
        b< [4, "ticket", {}]
        b eof
        c connects
        c> HELLO joe
        c< [4, "ticket", {}]
        c breaks
        counted protocol_violations 0
        counted authentications_denied 0
        "#,
    );
}

#[test]
fn whoever_does_not_answer_a_challenge_is_refused() {
    with_tickets(
        r#"
        a connects
        wait 3s
        a> HELLO joe
        a< [4, "ticket", {}]
        wait 4999ms
        a connected
        wait 1ms
        a< [3, {"message": "authentication took longer than it may"}, "wamp.error.authentication_failed"]
        a closed
        counted authentications_timed_out 1
        counted handshake_timeouts 0
        "#,
    );
}

#[test]
fn between_two_sessions_a_challenge_has_its_time_too() {
    with_tickets(
        r#"
        a connects
        a> HELLO joe
        a> [5, "joe's secret", {}]
        a< [4, "ticket", {}]
        a< [2, $_, $_]
        a> [6, {}, "wamp.close.close_realm"]
        a< [6, {}, "wamp.close.goodbye_and_out"]
        wait 4s
        a> HELLO joe
        a< [4, "ticket", {}]
        wait 4s
        a> [70, 1, {}]
        a< [3, {"message": $_}, "wamp.error.protocol_violation"]
        a closed
        "#,
    );
}

#[test]
fn a_router_that_goes_down_ends_attempts() {
    for mode in ["goodbye", "restart"] {
        let code = if mode == "goodbye" { 1001 } else { 1012 };
        with_tickets(&format!(
            r#"
            a connects
            a> HELLO joe
            a< [4, "ticket", {{}}]
            shutdown {mode} 4s
            a closed {code}
            "#
        ));
    }
}

#[test]
fn only_so_many_authenticate_at_a_time() {
    for stage in stages(|config| {
        tickets_and_guests(config);
        config.limits.authenticating_max = 2;
    }) {
        let mut stage = stage;
        // Of two each shard has one.
        let (last, others) =
            if stage.layout.shards == 1 { ("c", &["a", "b"][..]) } else { ("b", &["a"][..]) };
        let shards: Vec<usize> = (0..3).map(|n| stage.layout.shard_of(n)).collect();
        if stage.layout.shards == 2 && shards[0] != shards[1] {
            continue;
        }
        for name in others {
            stage.play(&written_out(&format!("{name} connects\n{name}> HELLO joe\n{name}< [4, $_, $_]")));
        }
        stage.play(&written_out(&format!(
            r#"
            {last} connects
            {last}> HELLO joe
            {last} closed 1013
            counted refused_authenticating 1
            x connects
            x> [1, "realm1", {{"roles": {{"caller": {{}}}}}}]
            x< [2, $_, {{..., "authrole": "guest"}}]
            a> [5, "joe's secret", {{}}]
            a< [2, $_, $_]
            y connects
            y> HELLO joe
            y< [4, $_, $_]
            "#
        )));
        stage.finish();
    }
}

#[test]
fn who_fails_too_often_is_turned_away_for_a_while() {
    for mut stage in stages(tickets_and_guests) {
        let failure = |n: usize, address: &str| {
            written_out(&format!(
                r#"
                f{n} connects from {address}
                f{n}> HELLO joe
                f{n}< [4, "ticket", {{}}]
                f{n}> [5, "wrong", {{}}]
                f{n}< DENIED
                f{n} closed
                "#
            ))
        };
        // One that is challenged before, and fails to be heard after.
        stage.play(&written_out("early connects from 192.0.2.1\n early> HELLO joe\n early< [4, $_, $_]"));
        for n in 0..9 {
            stage.play(&failure(n, "192.0.2.1"));
        }
        stage.play(&written_out(
            r#"
            good connects from 192.0.2.1
            good> HELLO joe
            good< [4, $_, $_]
            good> [5, "joe's secret", {}]
            good< [2, $_, $_]
            counted sources_blocked 0
            "#,
        ));
        stage.play(&failure(10, "192.0.2.1"));
        stage.play(&written_out(
            r#"
            counted sources_blocked 1
            early> [5, "joe's secret", {}]
            early closed 1013
            late connects from 192.0.2.1
            late> HELLO joe
            late closed 1013
            counted refused_blocked 2
            guest connects from 192.0.2.1
            guest> [1, "realm1", {"roles": {"caller": {}}}]
            guest< [2, $_, {..., "authrole": "guest"}]
            other connects from 192.0.2.2
            other> HELLO joe
            other< [4, $_, $_]
            other> [5, "joe's secret", {}]
            other< [2, $_, $_]
            wait 9999ms
            later connects from 192.0.2.1
            later> HELLO joe
            later closed 1013
            wait 1ms
            again connects from 192.0.2.1
            again> HELLO joe
            again< [4, $_, $_]
            "#,
        ));
        stage.finish();
    }
}

#[test]
fn failures_of_one_ipv6_network_are_those_of_one_source() {
    for mut stage in stages(tickets) {
        for n in 0..10 {
            stage.play(&written_out(&format!(
                "f{n} connects from 2001:db8::{n}\n f{n}> HELLO joe\n f{n}> [5, \"wrong\", {{}}]\n f{n}< [4, $_, $_]\n f{n}< DENIED\n f{n} closed"
            )));
        }
        stage.play(&written_out(
            r#"
            a connects from 2001:db8::ffff:1
            a> HELLO joe
            a closed 1013
            b connects from 2001:db8:0:1::1
            b> HELLO joe
            b< [4, $_, $_]
            "#,
        ));
        stage.finish();
    }
}

#[test]
fn sessions_come_from_where_they_may() {
    let list = |texts: &[&str]| Sources::new(texts.iter().copied()).unwrap();
    let hello = r#"[1, "realm1", {"roles": {"caller": {}}}]"#;
    let ticket = r#"[1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe"}]"#;
    let both = r#"[1, "realm1", {"roles": {"caller": {}}, "authmethods": ["anonymous", "ticket"], "authid": "joe"}]"#;
    let denied = r#"[3, {"message": "authentication failed: unknown principal or wrong credentials"}, "wamp.error.authentication_denied"]"#;
    let none = r#"[3, {"message": "this realm has none of the listed authmethods"}, "wamp.error.no_matching_auth_method"]"#;
    let required = r#"[3, {"message": "this realm has no anonymous sessions: HELLO must list authmethods"}, "wamp.error.authentication_required"]"#;
    let (guest, challenge) = (r#"[2, $_, {..., "authrole": "guest"}]"#, r#"[4, "ticket", {}]"#);
    let realm = || SourceRules::default().with_realm(list(&["192.0.2.0/24", "unix"]));
    let method = || SourceRules::default().with_method("anonymous", list(&["192.0.2.0/24", "unix"]));
    let tickets = || SourceRules::default().with_method("ticket", list(&["192.0.2.0/24"]));
    let role = || SourceRules::default().with_role("guest", list(&["192.0.2.0/24", "2001:db8::/32"]));
    let cases: [(&dyn Fn() -> SourceRules, &str, &str, &str); 16] = [
        (&realm, "192.0.2.1", hello, guest),
        (&realm, "unix", ticket, challenge),
        (&realm, "192.0.3.1", hello, denied),
        (&realm, "::1", ticket, denied),
        (&method, "192.0.2.1", hello, guest),
        (&method, "unix", both, guest),
        (&method, "192.0.3.1", hello, required),
        (&method, "192.0.3.1", both, challenge),
        (&method, "192.0.3.1", ticket, challenge),
        (&tickets, "192.0.3.1", ticket, none),
        (&tickets, "unix", ticket, none),
        (&tickets, "192.0.2.200", ticket, challenge),
        (&tickets, "192.0.3.1", both, guest),
        (&role, "2001:db8::1", hello, guest),
        (&role, "unix", hello, denied),
        (&role, "unix", ticket, challenge),
    ];
    for (rules, address, hello, answer) in cases {
        let end = if answer.starts_with("[3") { "a closed" } else { "a connected" };
        play_with(
            |config| {
                tickets_and_guests(config);
                config.realms[0].sources = Arc::new(rules());
            },
            &format!("a connects from {address}\n a> {hello}\n a< {answer}\n {end}"),
        );
    }
}

#[test]
fn a_role_that_is_not_admitted_from_here_looks_like_a_wrong_password() {
    for mut stage in stages(|config| {
        tickets(config);
        let near = Sources::new(["192.0.2.0/24"]).unwrap();
        let rules = SourceRules::default().with_role("user", near.clone());
        config.realms[0].sources = Arc::new(rules);
        config.realms[1].sources = Arc::new(SourceRules::default().with_realm(near));
    }) {
        for name in ["joe", "eve"] {
            stage.play(&written_out(&format!(
                r#"
                {name} connects from 198.51.100.1
                {name}> HELLO {name}
                {name}< [4, "ticket", {{}}]
                {name}> [5, "{name}'s secret", {{}}]
                {name}< DENIED
                {name} closed
                "#
            )));
        }
        stage.play(&written_out(
            r#"
            a connects from 192.0.2.77
            a> HELLO joe
            a< [4, "ticket", {}]
            a> [5, "joe's secret", {}]
            a< [2, $_, {..., "authid": "joe"}]
            b connects from 198.51.100.1
            b> HELLO ann
            b< [4, "ticket", {}]
            b> [5, "ann's secret", {}]
            b< [2, $_, {..., "authid": "ann"}]
            "#,
        ));
        stage.finish();
    }
}

#[test]
fn a_full_realm_refuses_whoever_has_authenticated() {
    play_with(
        |config| {
            tickets(config);
            config.realms[0].limits.sessions_max = 1;
        },
        &written_out(
            r#"
            a connects
            a> HELLO joe
            a< [4, "ticket", {}]
            b connects
            b> HELLO ann
            b< [4, "ticket", {}]
            a> [5, "joe's secret", {}]
            a< [2, $_, $_]
            b> [5, "ann's secret", {}]
            b closed 1013
            "#,
        ),
    );
}

#[test]
fn another_time_to_authenticate() {
    play_with(
        |config| {
            tickets(config);
            config.limits.authentication_timeout = Duration::from_secs(1);
        },
        &written_out(
            r#"
            a connects
            a> HELLO joe
            a< [4, "ticket", {}]
            wait 1s
            a< [3, {"message": $_}, "wamp.error.authentication_failed"]
            a closed
            "#,
        ),
    );
}

#[test]
fn a_role_that_does_not_exist_is_a_reason_to_refuse() {
    play_with(
        |config| {
            tickets(config);
            let mut roles = Roles::new(config.realms[0].uri_rules);
            roles.add_role("user").unwrap();
            config.realms[0].roles = Arc::new(roles);
        },
        &written_out(
            r#"
            a connects
            a> HELLO joe
            a< [4, "ticket", {}]
            a> [5, "joe's secret", {}]
            a< [2, $_, $_]
            b connects
            b> HELLO ann
            b< [4, "ticket", {}]
            b> [5, "ann's secret", {}]
            b< [3, {"message": "the role of this principal does not exist"}, "wamp.error.no_such_role"]
            b closed
            "#,
        ),
    );
}
