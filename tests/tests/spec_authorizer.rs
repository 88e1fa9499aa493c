//! Authorizers: what they are asked, what waits meanwhile, what is kept of their answers (advanced profile, "Authorization").

use std::time::Duration;

use wampline_routing::authorization::{Action, Authorizer, CacheScope};
use wampline_routing::uri::MatchPolicy::{Exact, Prefix};
use wampline_shard::{Config, RequestIds};
use wampline_tests::roles::{asks, with_authorizer};
use wampline_tests::stage::play_with;

use Action::{Call, Register};

#[test]
fn an_authorizer_is_told_who_wants_what() {
    play_with(
        asks(),
        r#"
        g serves auth.ask as guard
        u joins as user
        u> [32, 1, {"match": "prefix"}, "com."]
        g< [68, 1, $g, {}, [{..., "realm": "realm1", "session": $session_u, "authid": $authid_u, "authrole": "user", "authmethod": $_, "authprovider": $_, "authextra": null, "transport": {...}}, "com.", "subscribe", {"match": "prefix"}]]
        g> [70, 1, {}, [true]]
        u< [33, 1, $_]
        u> [64, 2, {}, "com.p"]
        g< [68, 2, $g, {}, [{...}, "com.p", "register", {}]]
        g> [70, 2, {}, [{"allow": false}]]
        u< [8, 64, 2, {}, "wamp.error.not_authorized", ["the session may not register com.p"]]
        u> [48, 3, {"receive_progress": true}, "com.p"]
        g< [68, 3, $g, {}, [{...}, "com.p", "call", {"receive_progress": true}]]
        g> [70, 3, {}, [{"allow": true}]]
        u< [8, 48, 3, {}, "wamp.error.no_such_procedure", [$_]]
        u> [16, 4, {}, "com.t"]
        g< [68, 4, $g, {}, [{...}, "com.t", "publish", {}]]
        g> [70, 4, {}, [false]]
        counted publications_dropped 1
        u> [48, 5, {}, "wamp.session.count"]
        g< [68, 5, $g, {}, [{...}, "wamp.session.count", "call", {}]]
        g> [70, 5, {}, [true]]
        u< [50, 5, {}, [2]]
        u> [48, 6, {}, "wamp.session.kill", [$session_g]]
        u< [8, 48, 6, {}, "wamp.error.not_authorized", [$_]]
        counted questions 5
        "#,
    );
}

#[test]
fn an_authorizer_speaks_of_disclosure() {
    play_with(
        asks(),
        r#"
        g serves auth.ask as guard
        a> [32, 1, {}, "t"]
        a< [33, 1, $s]
        a> [64, 2, {}, "p"]
        a< [65, 2, $r]
        u joins as user
        u> [16, 1, {}, "t"]
        g< [68, 1, $g, {}, [{...}, "t", "publish", {}]]
        g> [70, 1, {}, [{"allow": true, "disclose": true}]]
        a< [36, $s, $_, {..., "publisher": $session_u}]
        u> [48, 2, {}, "p"]
        g< [68, 2, $g, {}, [{...}, "p", "call", {}]]
        g> [70, 2, {}, [{"allow": true, "disclose": true}]]
        a< [68, 1, $r, {..., "caller": $session_u}]
        a> [70, 1, {}]
        u< [50, 2, {}]
        u> [48, 3, {"disclose_me": true}, "p"]
        g< [68, 3, $g, {}, [{...}, "p", "call", {"disclose_me": true}]]
        g> [70, 3, {}, [{"allow": true, "disclose": false}]]
        u< [8, 48, 3, {}, "wamp.error.option_disallowed.disclose_me", [$_]]
        "#,
    );
}

#[test]
fn who_cannot_be_asked_permits_nothing() {
    play_with(
        asks(),
        r#"
        u joins as user
        u> [32, 1, {}, "t"]
        u< [8, 32, 1, {}, "wamp.error.authorization_failed", ["whether the session may subscribe t is not known: there is no authorizer"]]
        g serves auth.ask as guard callee.call_canceling
        u> [32, 2, {}, "t"]
        g< [68, 1, $g, {}, [{...}, "t", "subscribe", {}]]
        g> [8, 68, 1, {}, "com.broken"]
        u< [8, 32, 2, {}, "wamp.error.authorization_failed", [$_]]
        u> [32, 3, {}, "t"]
        g< [68, 2, $g, {}, [{...}, "t", "subscribe", {}]]
        g> [70, 2, {}, ["yes"]]
        u< [8, 32, 3, {}, "wamp.error.authorization_failed", [$_]]
        u> [32, 4, {}, "t"]
        g< [68, 3, $g, {}, [{...}, "t", "subscribe", {}]]
        g> [70, 3, {}, [{"allow": true, "validate": {"event": "T"}}]]
        u< [8, 32, 4, {}, "wamp.error.authorization_failed", [$_]]
        u> [32, 5, {}, "t"]
        g< [68, 4, $g, {}, [{...}, "t", "subscribe", {}]]
        wait 4999ms
        wait 1ms
        u< [8, 32, 5, {}, "wamp.error.authorization_failed", ["whether the session may subscribe t is not known: the authorizer takes too long"]]
        g< [69, 4, {"mode": "killnowait"}]
        g> [70, 4, {}, [true]]
        u> [32, 6, {}, "t"]
        g< [68, 5, $g, {}, [{...}, "t", "subscribe", {}]]
        g breaks
        u< [8, 32, 6, {}, "wamp.error.authorization_failed", [$_]]
        u> [16, 7, {}, "t"]
        counted publications_dropped 1
        counted authorizations_failed 7
        "#,
    );
}

#[test]
fn answers_are_kept_if_they_say_so() {
    let short = |authorizer: &mut Authorizer| authorizer.denied_for = Duration::from_secs(2);
    play_with(
        with_authorizer(&[], short),
        r#"
        g serves auth.ask as guard
        u joins as user
        u> [16, 1, {"acknowledge": true}, "t"]
        g< [68, 1, $g, {}, [{...}, "t", "publish", {...}]]
        g> [70, 1, {}, [{"allow": true, "cache": true}]]
        u< [17, 1, $_]
        u> [16, 2, {"acknowledge": true}, "t"]
        u< [17, 2, $_]
        u> [32, 3, {}, "t"]
        g< [68, 2, $g, {}, [{...}, "t", "subscribe", {}]]
        g> [70, 2, {}, [{"allow": false, "cache": true}]]
        u< [8, 32, 3, {}, "wamp.error.not_authorized", [$_]]
        u> [32, 4, {}, "t"]
        u< [8, 32, 4, {}, "wamp.error.not_authorized", [$_]]
        wait 2s
        u> [32, 5, {}, "t"]
        g< [68, 3, $g, {}, [{...}, "t", "subscribe", {}]]
        g> [70, 3, {}, [{"allow": false}]]
        u< [8, 32, 5, {}, "wamp.error.not_authorized", [$_]]
        u> [32, 6, {}, "t"]
        g< [68, 4, $g, {}, [{...}, "t", "subscribe", {}]]
        g> [70, 4, {}, [{"allow": true}]]
        u< [33, 6, $_]
        u> [16, 7, {"acknowledge": true}, "t"]
        u< [17, 7, $_]
        v joins as user
        v> [16, 1, {"acknowledge": true}, "t"]
        g< [68, 5, $g, {}, [{..., "session": $session_v}, "t", "publish", {...}]]
        g> [70, 5, {}, [true]]
        u< [36, $_, $_, {}]
        v< [17, 1, $_]
        wait 300s
        u> [16, 8, {"acknowledge": true}, "t"]
        g< [68, 6, $g, {}, [{..., "session": $session_u}, "t", "publish", {...}]]
        g> [70, 6, {}, [true]]
        u< [17, 8, $_]
        "#,
    );
}

#[test]
fn a_purge_makes_answers_be_forgotten() {
    play_with(
        with_authorizer(&[(Exact, "wampline.authorizer.purge", &[Call])], |_| {}),
        r#"
        g serves auth.ask as guard
        a> [64, 1, {}, "wampline.authorizer.purge"]
        a< [8, 64, 1, {}, "wamp.error.invalid_uri", ["the procedure is the router's own"]]
        u joins as user
        v joins as user
        u> [16, 1, {"acknowledge": true}, "t"]
        g< [68, 1, $g, {}, [{..., "session": $session_u}, "t", "publish", {...}]]
        g> [70, 1, {}, [{"allow": true, "cache": true}]]
        u< [17, 1, $_]
        v> [16, 1, {"acknowledge": true}, "t"]
        g< [68, 2, $g, {}, [{..., "session": $session_v}, "t", "publish", {...}]]
        g> [70, 2, {}, [{"allow": true, "cache": true}]]
        v< [17, 1, $_]
        a> [48, 2, {}, "wampline.authorizer.purge", [], {"session": $session_u}]
        a< [50, 2, {}]
        v> [16, 2, {"acknowledge": true}, "t"]
        v< [17, 2, $_]
        u> [16, 2, {"acknowledge": true}, "t"]
        g< [68, 3, $g, {}, [{..., "session": $session_u}, "t", "publish", {...}]]
        u> [48, 3, {}, "wampline.authorizer.purge"]
        v> [48, 3, {}, "wampline.authorizer.purge"]
        v< [50, 3, {}]
        g> [70, 3, {}, [{"allow": true, "cache": true}]]
        u< [17, 2, $_]
        u< [50, 3, {}]
        u> [16, 4, {"acknowledge": true}, "t"]
        g< [68, 4, $g, {}, [{..., "session": $session_u}, "t", "publish", {...}]]
        g> [70, 4, {}, [false]]
        u< [8, 16, 4, {}, "wamp.error.not_authorized", [$_]]
        a> [48, 4, {}, "wampline.authorizer.purge", [], {"rolle": "user"}]
        a< [8, 48, 4, {}, "wamp.error.invalid_argument", ["there is no filter \"rolle\""]]
        g> [48, 4, {}, "wampline.authorizer.purge"]
        g< [8, 48, 4, {}, "wamp.error.not_authorized", [$_]]
        "#,
    );
    play_with(
        |_| {},
        r#"
        a> [48, 1, {}, "wampline.authorizer.purge"]
        a< [8, 48, 1, {}, "wamp.error.no_such_procedure", [$_]]
        a> [64, 2, {}, "wampline.authorizer.purge"]
        a< [65, 2, $_]
        "#,
    );
}

#[test]
fn an_answer_holds_no_longer_for_being_used() {
    let short = |authorizer: &mut Authorizer| {
        (authorizer.allowed_for, authorizer.denied_for) = (Duration::from_secs(2), Duration::from_secs(1));
    };
    play_with(
        with_authorizer(&[(Exact, "wampline.authorizer.purge", &[Call])], short),
        r#"
        g joins as guard
        g> [64, 1, {}, "auth.ask"]
        g< [65, 1, $g]
        u joins as user
        u> [16, 1, {"acknowledge": true}, "t"]
        g< [68, 1, $g, {}, [{...}, "t", "publish", {...}]]
        g> [70, 1, {}, [{"allow": true, "cache": true}]]
        u< [17, 1, $_]
        u> [16, 2, {"acknowledge": true}, "t"]
        u< [17, 2, $_]
        wait 1999ms
        u> [16, 3, {"acknowledge": true}, "t"]
        u< [17, 3, $_]
        wait 1ms
        u> [16, 4, {"acknowledge": true}, "t"]
        g< [68, 2, $g, {}, [{...}, "t", "publish", {...}]]
        g> [70, 2, {}, [{"allow": false, "cache": true}]]
        u< [8, 16, 4, {}, "wamp.error.not_authorized", [$_]]
        u> [16, 5, {"acknowledge": true}, "t"]
        u< [8, 16, 5, {}, "wamp.error.not_authorized", [$_]]
        wait 1s
        u> [16, 6, {"acknowledge": true}, "t"]
        g< [68, 3, $g, {}, [{...}, "t", "publish", {...}]]
        g> [70, 3, {}, [{"allow": true, "cache": true}]]
        u< [17, 6, $_]
        u> [16, 7, {"acknowledge": true}, "t"]
        u< [17, 7, $_]
        u> [48, 8, {}, "wampline.authorizer.purge"]
        u< [50, 8, {}]
        u> [16, 9, {"acknowledge": true}, "t"]
        g< [68, 4, $g, {}, [{...}, "t", "publish", {...}]]
        g> [70, 4, {}, [false]]
        u< [8, 16, 9, {}, "wamp.error.not_authorized", [$_]]
        u> [16, 10, {"acknowledge": true}, "t"]
        g< [68, 5, $g, {}, [{...}, "t", "publish", {...}]]
        g> [70, 5, {}, [true]]
        u< [17, 10, $_]
        "#,
    );
}

#[test]
fn what_must_not_overtake_waits_and_nobody_else_does() {
    let strict = |config: &mut Config| {
        asks()(config);
        config.realms[0].request_ids = RequestIds::Strict;
    };
    play_with(
        strict,
        r#"
        g serves auth.ask as guard
        a> [32, 1, {"match": "prefix"}, "t."]
        a< [33, 1, $s]
        u joins as user
        u> [32, 1, {}, "t.1"]
        u> [16, 2, {"exclude_me": false}, "t.1", [1]]
        u> [16, 3, {"acknowledge": true}, "t.2", [2]]
        u> [48, 4, {}, "wamp.session.count"]
        g< [68, 1, $g, {}, [{...}, "t.1", "subscribe", {}]]
        a> [16, 2, {"acknowledge": true}, "t.a"]
        a< [17, 2, $_]
        a> [16, 3, {"exclude_me": false}, "t.a", [0]]
        a< [36, $s, $_, {"topic": "t.a"}, [0]]
        g> [70, 1, {}, [true]]
        u< [33, 1, $t]
        g< [68, 2, $g, {}, [{...}, "t.1", "publish", {...}]]
        g> [70, 2, {}, [true]]
        a< [36, $s, $_, {"topic": "t.1"}, [1]]
        u< [36, $t, $_, {}, [1]]
        g< [68, 3, $g, {}, [{...}, "t.2", "publish", {...}]]
        g> [70, 3, {}, [true]]
        a< [36, $s, $_, {"topic": "t.2"}, [2]]
        u< [17, 3, $_]
        g< [68, 4, $g, {}, [{...}, "wamp.session.count", "call", {}]]
        g> [70, 4, {}, [false]]
        u< [8, 48, 4, {}, "wamp.error.not_authorized", [$_]]
        u> [16, 5, {"acknowledge": true}, "t.3"]
        g< [68, 5, $g, {}, [{...}, "t.3", "publish", {...}]]
        g> [70, 5, {}, [true]]
        a< [36, $s, $_, {"topic": "t.3"}]
        u< [17, 5, $_]
        "#,
    );
}

#[test]
fn answers_and_goodbye_do_not_wait() {
    let own = [(Prefix, "own.", &Action::ALL[..])];
    play_with(
        with_authorizer(&own, |_| {}),
        r#"
        g serves auth.ask as guard
        u joins as user
        u> [64, 1, {}, "own.a"]
        u< [65, 1, $a]
        u> [64, 2, {}, "own.b"]
        u< [65, 2, $b]
        a> [48, 1, {}, "own.a"]
        u< [68, 1, $a, {}]
        a> [48, 2, {}, "own.b"]
        u< [68, 2, $b, {}]
        u> [32, 3, {}, "t"]
        g< [68, 1, $g, {}, [{...}, "t", "subscribe", {}]]
        u> [16, 4, {}, "own.t"]
        u> [70, 1, {}, ["yielded"]]
        a< [50, 1, {}, ["yielded"]]
        u> [8, 68, 2, {}, "own.error"]
        a< [8, 48, 2, {}, "own.error"]
        u> [6, {}, "wamp.close.close_realm"]
        u< [6, {}, "wamp.close.goodbye_and_out"]
        g> [70, 1, {}, [true]]
        u> [1, "realm1", {"roles": {"caller": {}}}]
        u< [2, $_, {...}]
        u> [48, 1, {}, "own.a"]
        u< [8, 48, 1, {}, "wamp.error.no_such_procedure", [$_]]
        "#,
    );
}

#[test]
fn a_call_that_waits_can_be_cancelled() {
    play_with(
        with_authorizer(&[], |_| {}),
        r#"
        g serves auth.ask as guard callee.call_canceling
        u joins as user
        u> [48, 1, {}, "p"]
        g< [68, 1, $g, {}, [{...}, "p", "call", {}]]
        u> [49, 1, {}]
        u< [8, 48, 1, {}, "wamp.error.canceled"]
        g< [69, 1, {"mode": "killnowait"}]
        u> [16, 2, {}, "t"]
        u> [48, 3, {"progress": true}, "p", [1]]
        u> [48, 3, {"progress": true}, "p", [2]]
        u> [48, 4, {}, "q"]
        u> [49, 3, {}]
        g< [68, 2, $g, {}, [{...}, "t", "publish", {}]]
        g> [70, 2, {}, [true]]
        u< [8, 48, 3, {}, "wamp.error.canceled"]
        g< [68, 3, $g, {}, [{...}, "q", "call", {}]]
        g> [70, 3, {}, [false]]
        u< [8, 48, 4, {}, "wamp.error.not_authorized", [$_]]
        u> [48, 3, {}, "p", [3]]
        u> [49, 77, {}]
        counted chunks_dropped 2
        counted calls_canceled 2
        "#,
    );
}

#[test]
fn a_progressive_call_is_permitted_once() {
    play_with(
        asks(),
        r#"
        g serves auth.ask as guard
        a joins callee.progressive_call_invocations callee.call_canceling
        a> [64, 1, {}, "p"]
        a< [65, 1, $p]
        u joins as user
        u> [48, 1, {"progress": true}, "p", [1]]
        u> [48, 1, {"progress": true}, "p", [2]]
        g< [68, 1, $g, {}, [{...}, "p", "call", {...}]]
        g> [70, 1, {}, [true]]
        a< [68, 1, $p, {"progress": true}, [1]]
        a< [68, 1, $p, {"progress": true}, [2]]
        u> [48, 1, {}, "p", [3]]
        a< [68, 1, $p, {}, [3]]
        a> [70, 1, {}]
        u< [50, 1, {}]
        "#,
    );
}

#[test]
fn a_testament_is_asked_about_twice() {
    play_with(
        asks(),
        r#"
        g serves auth.ask as guard
        a> [32, 1, {}, "t"]
        a< [33, 1, $s]
        u joins as user
        u> [48, 1, {}, "wamp.session.add_testament", ["t", [1]]]
        g< [68, 1, $g, {}, [{...}, "wamp.session.add_testament", "call", {}]]
        g> [70, 1, {}, [true]]
        g< [68, 2, $g, {}, [{...}, "t", "publish", {}]]
        g> [70, 2, {}, [{"allow": true, "disclose": true}]]
        u< [50, 1, {}]
        u> [48, 2, {}, "wamp.session.add_testament", ["t", [2]]]
        g< [68, 3, $g, {}, [{...}, "wamp.session.add_testament", "call", {}]]
        g> [70, 3, {}, [true]]
        g< [68, 4, $g, {}, [{...}, "t", "publish", {}]]
        g> [70, 4, {}, [false]]
        u< [8, 48, 2, {}, "wamp.error.not_authorized", ["the session may not publish to t"]]
        u breaks
        a< [36, $s, $_, {..., "publisher": $session_u}, [1]]
        "#,
    );
}

#[test]
fn sessions_of_a_role_share_a_question() {
    let by_role = |authorizer: &mut Authorizer| authorizer.scope = CacheScope::Role;
    // (Sessions of different shards ask for themselves.)
    let configure = with_authorizer(&[], by_role);
    for mut stage in wampline_tests::stage::stages(configure) {
        let is_together = stage.layout.shard_of(1) == stage.layout.shard_of(2);
        if !is_together {
            continue;
        }
        stage.play(
            r#"
            g serves auth.ask as guard
            u joins as user
            v joins as user
            u> [16, 1, {"acknowledge": true}, "t"]
            v> [16, 1, {"acknowledge": true}, "t"]
            g< [68, 1, $g, {}, [{...}, "t", "publish", {...}]]
            g> [70, 1, {}, [{"allow": true, "cache": true}]]
            u< [17, 1, $_]
            v< [17, 1, $_]
            v> [16, 2, {"acknowledge": true}, "t"]
            v< [17, 2, $_]
            u> [32, 2, {}, "t"]
            v> [32, 3, {}, "t"]
            g< [68, 2, $g, {}, [{..., "session": $first}, "t", "subscribe", {}]]
            g> [70, 2, {}, [{"allow": false}]]
            g< [68, 3, $g, {}, [{..., "session": $second}, "t", "subscribe", {}]]
            g> [70, 3, {}, [{"allow": false}]]
            u< [8, 32, 2, {}, "wamp.error.not_authorized", [$_]]
            v< [8, 32, 3, {}, "wamp.error.not_authorized", [$_]]
            u> [48, 3, {}, "t"]
            v> [48, 4, {}, "t"]
            g< [68, 4, $g, {}, [{...}, "t", "call", {}]]
            u breaks
            g> [70, 4, {}, [{"allow": false, "cache": true}]]
            v< [8, 48, 4, {}, "wamp.error.not_authorized", [$_]]
            "#,
        );
        assert_ne!(stage.bound("$first"), stage.bound("$second"));
        stage.finish();
    }
}

#[test]
fn who_serves_is_never_asked_about() {
    let configure = with_authorizer(&[(Exact, "auth.ask", &[Register]), (Prefix, "own.", &[Call])], |_| {});
    play_with(
        configure,
        r#"
        u joins as user
        u> [64, 1, {}, "auth.ask"]
        u< [65, 1, $_]
        u> [48, 2, {}, "own.x"]
        u< [8, 48, 2, {}, "wamp.error.no_such_procedure", [$_]]
        u> [48, 3, {}, "x"]
        u< [8, 48, 3, {}, "wamp.error.not_authorized", [$_]]
        counted questions 0
        "#,
    );
}

#[test]
fn an_authorizer_may_call_who_it_is_asked_about() {
    let own = [(Prefix, "own.", &Action::ALL[..])];
    play_with(
        with_authorizer(&own, |_| {}),
        r#"
        g serves auth.ask as guard
        a> [64, 1, {}, "guard.back"]
        a< [65, 1, $back]
        u joins as user
        u> [64, 1, {}, "own.reason"]
        u< [65, 1, $own]
        u> [16, 2, {"acknowledge": true}, "t"]
        u> [16, 3, {"acknowledge": true}, "own.t"]
        g< [68, 1, $g, {}, [{...}, "t", "publish", {...}]]
        g> [48, 2, {}, "guard.back"]
        a< [68, 1, $back, {}]
        a> [48, 2, {}, "own.reason"]
        u< [68, 1, $own, {}]
        u> [70, 1, {}, ["because"]]
        a< [50, 2, {}, ["because"]]
        a> [70, 1, {}]
        g< [50, 2, {}]
        g> [70, 1, {}, [true]]
        u< [17, 2, $_]
        u< [17, 3, $_]
        "#,
    );
}

#[test]
fn what_waits_is_bounded() {
    let configure = |config: &mut Config| {
        asks()(config);
        config.realms[0].limits.requests_held_bytes_max = 1000;
    };
    let padding = "x".repeat(600);
    for mut stage in wampline_tests::stage::stages(configure) {
        stage.play(
            r#"
            g serves auth.ask as guard
            a> [32, 1, {}, "t"]
            a< [33, 1, $s]
            u joins as user
            "#,
        );
        for n in 0..200 {
            stage.say("u", &serde_json::json!([16, n + 1, {}, "t", [n, padding]]));
        }
        stage.flush();
        let link = stage.link("u");
        for n in 0..200 {
            assert!(n > 10 || stage.world.is_stuck(link), "it is not read");
            stage.play(&format!(
                r#"
                g< [68, {0}, $g, {{}}, [{{...}}, "t", "publish", {{}}]]
                g> [70, {0}, {{}}, [true]]
                a< [36, $s, $_, {{}}, [{n}, $_]]
                "#,
                n + 1
            ));
        }
        stage.finish();
    }
}
