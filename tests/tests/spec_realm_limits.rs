//! Bounds of realms: two realms and one made from a template, beside each other, each with its own.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::sync::Arc;

use wampline_routing::authorization::{Action, Authorizer};
use wampline_routing::uri::MatchPolicy::{Exact, Prefix};
use wampline_shard::{Config, Realm, RealmLimits, RealmTemplate, Roles};
use wampline_tests::config::with_tickets;
use wampline_tests::roles::{permit_by_default, role};
use wampline_tests::stage::{play_with, stages};

/// The realms with the number that bounds each of them.
const REALMS: [(&str, usize); 3] = [("realm1", 1), ("realm2", 3), ("tenant.x", 2)];

/// Realms that are bounded as `limit` does with the number of each.
fn bounded(limit: impl Fn(&mut RealmLimits, usize)) -> impl Fn(&mut Config) {
    move |config| {
        let mut settings = Realm::new("tenant.");
        for (realm, (_, n)) in config.realms.iter_mut().chain([&mut settings]).zip(REALMS) {
            limit(&mut realm.limits, n);
        }
        config.templates = vec![RealmTemplate { policy: Prefix, settings }];
    }
}

/// Plays the same in every realm, all of it under way at a time; in `transcript` a number stands for the bound, and the names of
/// clients are followed by it.
fn play_in_each(limit: impl Fn(&mut RealmLimits, usize), transcript: impl Fn(usize) -> String) {
    let mut all = String::new();
    for (realm, n) in REALMS {
        for name in ["a", "b", "c"] {
            all += &enters(&format!("{name}{n}"), realm);
        }
    }
    for (_, n) in REALMS {
        all += &transcript(n);
    }
    play_with(bounded(limit), &all);
}

fn enters(name: &str, realm: &str) -> String {
    let roles = r#"{"caller": {"features": {"progressive_call_invocations": true, "call_canceling": true}}, "callee": {"features": {"progressive_call_invocations": true, "call_canceling": true}}, "publisher": {}, "subscriber": {}}"#;
    format!(
        "{name} connects\n{name}> [1, \"{realm}\", {{\"roles\": {roles}}}]\n{name}< [2, $_, {{..., \"realm\": \"{realm}\"}}]\n"
    )
}

/// One line for each number of a range.
fn lines(range: std::ops::RangeInclusive<usize>, line: impl Fn(usize) -> String) -> String {
    range.fold(String::new(), |mut all, k| {
        writeln!(all, "{}", line(k)).unwrap();
        all
    })
}

#[test]
fn sessions_are_counted_over_all_shards() {
    let mut all = String::new();
    for (realm, n) in REALMS {
        all += &lines(1..=n, |k| enters(&format!("s{n}_{k}"), realm));
        write!(
            all,
            "late{n} connects\nlate{n}> [1, \"{realm}\", {{\"roles\": {{\"caller\": {{}}}}}}]\nlate{n} closed 1013\n"
        )
        .unwrap();
        write!(all, "s{n}_1 eof\n{}", enters(&format!("next{n}"), realm)).unwrap();
    }
    play_with(bounded(|limits, n| limits.sessions_max = n), &all);
}

#[test]
fn subscriptions_of_a_session() {
    play_in_each(
        |limits, n| limits.subscriptions_per_session_max = n,
        |n| {
            let taken = lines(1..=n, |k| format!("a{n}> [32, {k}, {{}}, \"t{k}\"]\na{n}< [33, {k}, $_]"));
            let more = n + 1;
            format!(
                "{taken}a{n}> [32, {more}, {{}}, \"more\"]\n\
                 a{n}< [8, 32, {more}, {{}}, \"wampline.error.limit_exceeded\", $_]\n\
                 b{n}> [32, 1, {{}}, \"more\"]\nb{n}< [33, 1, $_]\n"
            )
        },
    );
}

#[test]
fn registrations_of_a_session() {
    play_in_each(
        |limits, n| limits.registrations_per_session_max = n,
        |n| {
            let taken = lines(1..=n, |k| format!("a{n}> [64, {k}, {{}}, \"p{k}\"]\na{n}< [65, {k}, $_]"));
            let more = n + 1;
            format!(
                "{taken}a{n}> [64, {more}, {{}}, \"more\"]\n\
                 a{n}< [8, 64, {more}, {{}}, \"wampline.error.limit_exceeded\", $_]\n\
                 b{n}> [64, 1, {{}}, \"more\"]\nb{n}< [65, 1, $_]\n"
            )
        },
    );
}

#[test]
fn calls_of_a_session() {
    play_in_each(
        |limits, n| limits.calls_per_session_max = n,
        |n| {
            let more = n + 1;
            let calls = lines(1..=more, |k| format!("b{n}> [48, {k}, {{}}, \"p\"]"));
            let invoked = lines(1..=n, |k| format!("a{n}< [68, {k}, $r{n}, {{}}]"));
            format!(
                "a{n}> [64, 1, {{}}, \"p\"]\na{n}< [65, 1, $r{n}]\n{calls}{invoked}\
                 b{n}< [8, 48, {more}, {{}}, \"wampline.error.limit_exceeded\", $_]\n\
                 c{n}> [48, 1, {{}}, \"p\"]\na{n}< [68, {more}, $r{n}, {{}}]\n\
                 a{n}> [70, {more}, {{}}]\nc{n}< [50, 1, {{}}]\n{}",
                lines(1..=n, |k| format!("a{n}> [70, {k}, {{}}]\nb{n}< [50, {k}, {{}}]"))
            )
        },
    );
}

#[test]
fn invocations_of_a_callee() {
    play_in_each(
        |limits, n| limits.invocations_per_session_max = n,
        |n| {
            let more = n + 1;
            let calls = lines(1..=more, |k| format!("b{n}> [48, {k}, {{}}, \"p\"]"));
            let invoked = lines(1..=n, |k| format!("a{n}< [68, {k}, $r{n}, {{}}]"));
            format!(
                "a{n}> [64, 1, {{}}, \"p\"]\na{n}< [65, 1, $r{n}]\n{calls}{invoked}\
                 b{n}< [8, 48, {more}, {{}}, \"wampline.error.limit_exceeded\", $_]\n{}",
                lines(1..=n, |k| format!("a{n}> [70, {k}, {{}}]\nb{n}< [50, {k}, {{}}]"))
            )
        },
    );
}

#[test]
fn calls_that_wait_for_a_callee() {
    play_in_each(
        |limits, n| limits.calls_per_callee_queued_max = n,
        |n| {
            // One is invoked, as many as may be wait, and one is too many.
            let more = n + 2;
            let calls = lines(1..=more, |k| format!("b{n}> [48, {k}, {{}}, \"p\", [{k}]]"));
            let answers = lines(1..=n + 1, |k| {
                format!("a{n}< [68, {k}, $r{n}, {{}}, [{k}]]\na{n}> [70, {k}, {{}}]\nb{n}< [50, {k}, {{}}]")
            });
            format!(
                "a{n}> [64, 1, {{\"concurrency\": 1}}, \"p\"]\na{n}< [65, 1, $r{n}]\n{calls}\
                 b{n}< [8, 48, {more}, {{}}, \"wamp.error.no_available_callee\", $_]\n{answers}"
            )
        },
    );
}

#[test]
fn octets_of_calls_that_wait_for_a_callee() {
    play_in_each(
        |limits, n| limits.calls_per_callee_queued_bytes_max = 100 * n,
        |n| {
            let (fits, exceeds) = ("x".repeat(80 * n), "x".repeat(120 * n));
            format!(
                "a{n}> [64, 1, {{\"concurrency\": 1}}, \"p\"]\na{n}< [65, 1, $r{n}]\n\
                 b{n}> [48, 1, {{}}, \"p\"]\na{n}< [68, 1, $r{n}, {{}}]\n\
                 b{n}> [48, 2, {{}}, \"p\", [\"{exceeds}\"]]\n\
                 b{n}< [8, 48, 2, {{}}, \"wamp.error.no_available_callee\", $_]\n\
                 b{n}> [48, 3, {{}}, \"p\", [\"{fits}\"]]\n\
                 a{n}> [70, 1, {{}}]\nb{n}< [50, 1, {{}}]\n\
                 a{n}< [68, 2, $r{n}, {{}}, [\"{fits}\"]]\n\
                 # The same holds for what is sent of a call while it waits.\n\
                 b{n}> [48, 4, {{\"progress\": true}}, \"p\"]\n\
                 b{n}> [48, 4, {{\"progress\": true}}, \"p\", [\"{exceeds}\"]]\n\
                 b{n}< [8, 48, 4, {{}}, \"wampline.error.limit_exceeded\"]\n\
                 a{n}> [70, 2, {{}}]\nb{n}< [50, 3, {{}}]\n"
            )
        },
    );
}

#[test]
fn inputs_that_never_end() {
    play_in_each(
        |limits, n| limits.inputs_per_session_max = n,
        |n| {
            let more = n + 1;
            let call = |k| format!("b{n}> [48, {k}, {{\"progress\": true}}, \"nobody\"]");
            let none =
                lines(1..=n, |k| format!("b{n}< [8, 48, {k}, {{}}, \"wamp.error.no_such_procedure\", $_]"));
            format!(
                "{}{none}b{n}< [8, 48, {more}, {{}}, \"wampline.error.limit_exceeded\", $_]\n",
                lines(1..=more, call)
            )
        },
    );
}

#[test]
fn testaments_of_a_session() {
    let add = |name: &str, k: usize, text: &str| {
        format!("{name}> [48, {k}, {{}}, \"wamp.session.add_testament\", [\"will\", [\"{text}\"], {{}}]]\n")
    };
    play_in_each(
        |limits, n| limits.testaments_per_session_max = n,
        |n| {
            let (name, more) = (format!("a{n}"), n + 1);
            let added = lines(1..=n, |k| add(&name, k, "") + &format!("{name}< [50, {k}, {{}}]"));
            format!(
                "{added}{}{name}< [8, 48, {more}, {{}}, \"wampline.error.limit_exceeded\", $_]\n",
                add(&name, more, "")
            )
        },
    );
    play_in_each(
        |limits, n| limits.testament_bytes_per_session_max = 200 * n,
        |n| {
            let (name, fits, exceeds) = (format!("a{n}"), "x".repeat(100 * n), "x".repeat(200 * n));
            format!(
                "{}{name}< [8, 48, 1, {{}}, \"wampline.error.limit_exceeded\", $_]\n{}{name}< [50, 2, {{}}]\n",
                add(&name, 1, &exceeds),
                add(&name, 2, &fits)
            )
        },
    );
}

/// The role `user` asks `auth.ask`, which the role `guard` serves, in both realms.
fn ask_in_both(config: &mut Config) {
    for realm in &mut config.realms {
        let mut roles = Roles::default();
        let anonymous = roles.add_role("anonymous").unwrap();
        permit_by_default(&mut roles, anonymous);
        role(&mut roles, "guard", &[(Exact, "auth.ask", &[Action::Register])]);
        let user = role(&mut roles, "user", &[]);
        let authorizer = Authorizer { procedure: "auth.ask".into(), ..Authorizer::default() };
        roles.set_authorizer(user, authorizer).unwrap();
        realm.authentication = with_tickets(roles.names());
        realm.roles = Arc::new(roles);
    }
}

/// `NAME` joins a realm with the role `ROLE`, whose ticket is its name.
fn joins_as(name: &str, realm: &str, role: &str) -> String {
    format!(
        "{name} connects\n{name}> [1, \"{realm}\", {{\"roles\": {{\"caller\": {{}}, \"callee\": {{}}, \"publisher\": {{}}}}, \
         \"authmethods\": [\"ticket\"], \"authid\": \"{role}\"}}]\n\
         {name}< [4, \"ticket\", {{}}]\n{name}> [5, \"{role}\", {{}}]\n{name}< [2, $_, {{..., \"realm\": \"{realm}\"}}]\n"
    )
}

#[test]
fn octets_that_wait_for_an_authorizer() {
    let configure = |config: &mut Config| {
        ask_in_both(config);
        config.realms[0].limits.requests_held_bytes_max = 1 << 10;
        config.realms[1].limits.requests_held_bytes_max = 1 << 20;
    };
    let padding = "x".repeat(600);
    for mut stage in stages(configure) {
        for (n, realm) in ["realm1", "realm2"].into_iter().enumerate() {
            let (g, u) = (format!("g{n}"), format!("u{n}"));
            stage.play(&(joins_as(&g, realm, "guard") + &joins_as(&u, realm, "user")));
            stage.play(&format!("{g}> [64, 1, {{}}, \"auth.ask\"]\n{g}< [65, 1, $r{n}]"));
            for k in 1..=200 {
                stage.say(&u, &serde_json::json!([16, k, {}, "t", [padding]]));
            }
            stage.flush();
            let link = stage.link(&u);
            assert_eq!(stage.world.is_stuck(link), n == 0, "{realm}");
            stage.play(&format!("{g}< [68, 1, $r{n}, {{}}, [{{...}}, \"t\", \"publish\", {{}}]]"));
            // The answer holds for all that waits and comes.
            stage.play(&format!("{g}> [70, 1, {{}}, [{{\"allow\": true, \"cache\": true}}]]"));
            assert!(!stage.world.is_stuck(link), "{realm}");
        }
        stage.finish();
    }
}

#[test]
fn answers_of_authorizers() {
    let configure = |config: &mut Config| {
        ask_in_both(config);
        config.realms[0].limits.authorizer_answers_max = 1;
        config.realms[1].limits.authorizer_answers_max = 100;
    };
    for mut stage in stages(configure) {
        for (n, realm) in ["realm1", "realm2"].into_iter().enumerate() {
            let (g, u) = (format!("g{n}"), format!("u{n}"));
            stage.play(&(joins_as(&g, realm, "guard") + &joins_as(&u, realm, "user")));
            stage.play(&format!("{g}> [64, 1, {{}}, \"auth.ask\"]\n{g}< [65, 1, $r{n}]"));
            let mut asked = 0;
            for request in 1..=6 {
                // Three topics, twice.
                let topic = format!("t{}", request % 3);
                stage.play(&format!("{u}> [16, {request}, {{\"acknowledge\": true}}, \"{topic}\"]"));
                if let Some(question) = stage.hear(&g) {
                    asked += 1;
                    assert_eq!(question[4][1], topic);
                    stage.play(&format!("{g}> [70, {asked}, {{}}, [{{\"allow\": true, \"cache\": true}}]]"));
                }
                stage.play(&format!("{u}< [17, {request}, $_]"));
            }
            assert_eq!(asked, if n == 0 { 6 } else { 3 }, "{realm}");
        }
        stage.finish();
    }
}
