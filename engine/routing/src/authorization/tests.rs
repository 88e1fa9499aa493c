//! Rules, patterns, answers and their cache, by example and against naive models.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use wampline_wire::{Dict, PayloadBuf, Serializer, SessionId, Value};

use super::*;
use crate::key::RealmId;
use crate::pattern::{COMPONENTS_MAX, UriHash, UriHasher};
use Action::{Call, Publish, Register, Subscribe};
use MatchPolicy::{Exact, Prefix, Wildcard};

fn role_with(rules: &[(MatchPolicy, &str, &[Action])]) -> (Roles, RoleId) {
    let mut roles = Roles::default();
    let role = roles.add_role("r").unwrap();
    for (policy, uri, allow) in rules {
        roles.add_rule(role, *policy, uri, Rule::allowing(allow.iter().copied())).unwrap();
    }
    (roles, role)
}

fn authorizer(procedure: &str) -> Authorizer {
    Authorizer { procedure: procedure.into(), ..Authorizer::default() }
}

const ALLOWED: Verdict = Verdict::Allowed(None);

#[test]
fn without_roles_nothing_is_looked_up() {
    let roles = Roles::default();
    assert!(roles.is_empty() && roles.resolve("anyone").is_none());
}

#[test]
fn an_unknown_role_may_do_nothing_unless_there_is_a_default_one() {
    let (mut roles, role) = role_with(&[(Prefix, "", &[Call])]);
    let nobody = roles.resolve("stranger").unwrap();
    assert_eq!(roles.decide(nobody, Call, Exact, "a"), Verdict::Denied);
    assert_eq!(roles.resolve("r"), Some(role));
    roles.set_default_role("r").unwrap();
    assert_eq!(roles.resolve("stranger"), Some(role));
    let unknown = roles.set_default_role("x");
    assert_eq!(unknown, Err(RoleError::UnknownRole { role: "x".into() }));
}

#[test]
fn a_role_that_may_do_everything_costs_nothing() {
    let (mut roles, role) = role_with(&[]);
    assert_eq!(roles.resolve("r"), Some(role));
    roles.set_default_permissions(role, Rule::allowing(Action::ALL)).unwrap();
    assert_eq!(roles.resolve("r"), None);
    roles.add_rule(role, Exact, "a", Rule::default()).unwrap();
    assert_eq!(roles.resolve("r"), Some(role));
    assert_eq!(roles.decide(role, Call, Exact, "a"), Verdict::Denied);
    assert_eq!(roles.decide(role, Call, Exact, "b"), ALLOWED);
}

#[test]
fn the_most_specific_rule_decides_about_all_actions() {
    let (roles, role) = role_with(&[
        (Prefix, "", &[Call, Publish]),
        (Prefix, "com.", &[Publish]),
        (Wildcard, "com..x", &[Register]),
        (Wildcard, "..x", &[Subscribe]),
        (Exact, "com.a.x", &[Call]),
    ]);
    let may = |action, uri| roles.decide(role, action, Exact, uri) == ALLOWED;
    assert!(may(Call, "com.a.x") && !may(Publish, "com.a.x"));
    assert!(may(Publish, "com.b.x") && !may(Call, "com.b.x") && !may(Register, "com.b.x"));
    assert!(may(Call, "org.b.x") && !may(Subscribe, "org.b.x"));
}

#[test]
fn a_rule_speaks_of_disclosure() {
    let (mut roles, role) = role_with(&[]);
    let disclose = DisclosureRule { caller: Some(Disclose::Never), publisher: Some(Disclose::Always) };
    let rule = Rule { disclose, ..Rule::allowing(Action::ALL) };
    roles.add_rule(role, Prefix, "a.", rule.clone()).unwrap();
    let decide = |action| roles.decide(role, action, Exact, "a.b");
    assert_eq!(decide(Call), Verdict::Allowed(Some(Disclose::Never)));
    assert_eq!(decide(Publish), Verdict::Allowed(Some(Disclose::Always)));
    assert_eq!(decide(Subscribe), ALLOWED);
    let (mut roles, role) = role_with(&[]);
    roles.set_default_permissions(role, rule).unwrap();
    assert_eq!(roles.resolve("r"), Some(role), "what it says of disclosure is looked up");
}

#[test]
fn an_authorizer_is_asked_where_no_rule_matches() {
    let (mut roles, role) = role_with(&[(Prefix, "a.", &[Publish])]);
    roles.set_default_permissions(role, Rule::allowing(Action::ALL)).unwrap();
    roles.set_authorizer(role, authorizer("auth.ask")).unwrap();
    assert_eq!(roles.decide(role, Publish, Exact, "a.b"), ALLOWED);
    assert_eq!(roles.decide(role, Call, Exact, "a.b"), Verdict::Denied);
    assert_eq!(roles.decide(role, Call, Exact, "b"), Verdict::Ask);
    assert_eq!(roles.decide(role, Subscribe, Prefix, ""), Verdict::Denied, "a rule inside denies");
    assert_eq!(roles.decide(role, Subscribe, Prefix, "b."), Verdict::Ask);
    assert_eq!(roles.authorizer(role).unwrap().procedure, "auth.ask".into());
    assert!(roles.has_authorizers());
}

#[test]
fn who_may_register_an_authorizer_is_decided_by_rules_alone() {
    let (mut roles, role) = role_with(&[(Exact, "auth.ask", &[Register])]);
    let user = roles.add_role("user").unwrap();
    for id in [role, user] {
        roles.set_authorizer(id, authorizer("auth.ask")).unwrap();
    }
    assert_eq!(roles.decide(role, Call, Exact, "b"), Verdict::Denied);
    assert!(roles.authorizer(role).is_none());
    assert_eq!(roles.decide(user, Call, Exact, "b"), Verdict::Ask);
    for (policy, uri) in [(Exact, "auth.ask"), (Prefix, "auth"), (Prefix, ""), (Wildcard, ".ask")] {
        assert_eq!(
            roles.decide(user, Register, policy, uri),
            Verdict::Denied,
            "{uri}: nobody may take its place"
        );
    }
    assert_eq!(roles.decide(user, Register, Exact, "auth.other"), Verdict::Ask);
    let free = roles.add_role("free").unwrap();
    roles.set_default_permissions(free, Rule::allowing(Action::ALL)).unwrap();
    let free = roles.resolve("free").unwrap();
    assert_eq!(roles.decide(free, Register, Exact, "auth.ask"), Verdict::Denied);
    assert_eq!(roles.decide(free, Register, Exact, "b"), ALLOWED);
    let why = roles.explain("free", Register, Prefix, "auth.", MetaApi::Read).unwrap().to_string();
    assert_eq!(
        why,
        "denied: \"auth.ask\" answers questions about sessions, and no rule permits to register it"
    );
    roles.add_rule(user, Prefix, "login.", Rule::allowing([Register])).unwrap();
    assert!(roles.authorizer(user).is_some());
    roles.add_answering_procedure("login.check").unwrap();
    assert!(roles.authorizer(user).is_none());
}

#[test]
fn destructive_procedures_need_a_rule_by_their_uri() {
    let kill = "wamp.session.kill";
    let decide = |roles: &Roles, meta| {
        let role = roles.resolve("r");
        (
            roles.decide_meta(role, meta, Procedure::SessionKill, kill),
            roles.decide_meta(role, meta, Procedure::SessionCount, "wamp.session.count"),
        )
    };
    use MetaApi::{Full, Read};
    use Verdict::Denied;
    let none = Roles::default();
    assert_eq!((decide(&none, Read), decide(&none, Full)), ((Denied, ALLOWED), (ALLOWED, ALLOWED)));
    let (broad, _) = role_with(&[(Prefix, "", &Action::ALL), (Wildcard, "..", &Action::ALL)]);
    assert_eq!((decide(&broad, Read), decide(&broad, Full)), ((Denied, ALLOWED), (Denied, ALLOWED)));
    for (policy, uri) in [(Exact, kill), (Prefix, "wamp.session."), (Prefix, "wamp"), (Wildcard, "wamp..")] {
        let (by_uri, _) = role_with(&[(policy, uri, &[Call])]);
        assert_eq!(decide(&by_uri, Read).0, ALLOWED, "{uri}");
    }
    let (denied, _) = role_with(&[(Prefix, "wamp.", &[Call]), (Exact, kill, &[])]);
    assert_eq!(decide(&denied, Full), (Denied, ALLOWED));
    let (mut roles, role) = role_with(&[]);
    assert_eq!(decide(&roles, Full), (Denied, Denied), "a role without permissions");
    let defaults = Rule { disclose: DisclosureRule::default(), ..Rule::allowing([Call]) };
    roles.set_default_permissions(role, defaults).unwrap();
    assert_eq!((decide(&roles, Full), decide(&roles, Read)), ((ALLOWED, ALLOWED), (Denied, ALLOWED)));
    roles.set_authorizer(role, authorizer("auth.ask")).unwrap();
    assert_eq!(decide(&roles, Full), (Denied, Verdict::Ask), "no authorizer permits it");
}

#[test]
fn patterns_are_permitted_as_a_whole_or_not() {
    let (roles, role) = role_with(&[
        (Prefix, "com.", &[Subscribe]),
        (Exact, "com.secret.key", &[]),
        (Prefix, "com.hidden.", &[]),
        (Wildcard, "org..open", &[Subscribe]),
        (Wildcard, "org.closed.", &[]),
        (Exact, "net", &[Subscribe]),
    ]);
    let may = |policy, uri| roles.decide(role, Subscribe, policy, uri) == ALLOWED;
    for (policy, uri) in [
        (Prefix, "com.open."),
        (Prefix, "com.secret.keys"),
        (Wildcard, "com.open."),
        (Wildcard, "com.secret."),
        (Wildcard, "org.sea.open"),
        (Wildcard, "com.secret.lock"),
        (Exact, "com.a"),
    ] {
        // (One of all that com.secret. matches is denied.)
        assert_eq!(may(policy, uri), uri != "com.secret.", "{} {uri}", policy.as_str());
    }
    for (policy, uri) in [
        (Prefix, ""),
        (Prefix, "com"),
        (Prefix, "com."),
        (Prefix, "com.secret."),
        (Prefix, "com.hid"),
        (Prefix, "com.hidden.x"),
        (Prefix, "org."),
        (Prefix, "net"),
        (Wildcard, "org..open"),
        (Wildcard, "com..b"),
        (Wildcard, "com.."),
        (Wildcard, "com.hidden."),
        (Wildcard, ".a"),
    ] {
        assert!(!may(policy, uri), "{} {uri}", policy.as_str());
    }
}

#[test]
fn bad_input_is_refused() {
    let (mut roles, role) = role_with(&[(Prefix, "a.", &[])]);
    let mut add = |policy, uri: &str| roles.add_rule(role, policy, uri, Rule::default());
    assert!(matches!(add(Prefix, "a."), Err(RoleError::DuplicateRule { .. })));
    assert!(matches!(add(Exact, "a."), Err(RoleError::Uri { .. })));
    assert!(matches!(add(Exact, "a b"), Err(RoleError::Uri { .. })));
    assert!(matches!(add(Prefix, "a.*"), Err(RoleError::Starred { .. })));
    let many = ".".repeat(COMPONENTS_MAX);
    assert!(matches!(add(Wildcard, &many), Err(RoleError::Pattern { .. })));
    assert_eq!(roles.add_role(""), Err(RoleError::EmptyName));
    assert!(matches!(roles.add_role("r"), Err(RoleError::DuplicateRole { .. })));
    let timeless = Authorizer { timeout: Duration::ZERO, ..authorizer("x") };
    assert!(matches!(roles.set_authorizer(role, timeless), Err(RoleError::NoTime { .. })));
    assert!(matches!(roles.set_authorizer(role, authorizer("wamp.x")), Err(RoleError::Reserved { .. })));
    assert!(matches!(roles.set_authorizer(role, authorizer("x..y")), Err(RoleError::Uri { .. })));
    roles.set_authorizer(role, authorizer("x")).unwrap();
    assert!(matches!(
        roles.set_authorizer(role, authorizer("y")),
        Err(RoleError::DuplicateAuthorizer { .. })
    ));
    assert!(matches!(roles.add_answering_procedure("wamp"), Err(RoleError::Reserved { .. })));
    assert_eq!(roles.decide(role, Call, Exact, "v"), Verdict::Ask, "a refused rule leaves nothing behind");
}

#[test]
fn validation_is_that_of_the_rule_that_decides() {
    let schema = |text| Some(PayloadSchema::read(text).unwrap());
    let of_call = Validation { call: schema("true"), ..Validation::default() };
    let of_event = Validation { event: schema("false"), ..Validation::default() };
    let validating =
        |of: &Validation| Rule { validate: Some(of.clone().into()), ..Rule::allowing(Action::ALL) };
    let (mut roles, role) = role_with(&[(Exact, "a.b", &[Call])]);
    assert_eq!(roles.validation(role, Call, "a.c"), None);
    roles.add_rule(role, Prefix, "a.", validating(&of_call)).unwrap();
    assert_eq!(roles.validation(role, Call, "a.c").map(|found| &**found), Some(&of_call));
    assert_eq!(roles.validation(role, Call, "a.b"), None, "a more specific rule says nothing");
    assert_eq!(roles.validation(role, Publish, "a.c"), None, "nothing is said of publications");
    roles.add_rule(role, Wildcard, ".news", validating(&of_event)).unwrap();
    assert_eq!(roles.validation(role, Publish, "x.news").map(|found| &**found), Some(&of_event));
    assert_eq!(roles.validation(role, Publish, "x"), None, "no rule matches");
    assert_eq!(roles.set_default_permissions(role, validating(&of_call)), Err(RoleError::Validation));
}

#[test]
fn an_explanation_names_what_decides() {
    let (mut roles, _) = role_with(&[(Prefix, "a.", &[Subscribe]), (Exact, "a.b", &[])]);
    let user = roles.add_role("user").unwrap();
    roles.set_authorizer(user, authorizer("auth.ask")).unwrap();
    let explain = |authrole, action, policy, uri| {
        roles.explain(authrole, action, policy, uri, MetaApi::Read).unwrap().to_string()
    };
    assert_eq!(explain("r", Subscribe, Exact, "a.c"), "allowed: role \"r\", the prefix rule \"a.\" decides");
    assert_eq!(explain("r", Subscribe, Exact, "a.b"), "denied: role \"r\", the exact rule \"a.b\" decides");
    assert_eq!(
        explain("r", Subscribe, Prefix, "a."),
        "denied: role \"r\", the exact rule \"a.b\" denies some of what the pattern matches"
    );
    assert_eq!(
        explain("r", Call, Exact, "b"),
        "denied: role \"r\", no rule matches, so its default permissions decide"
    );
    assert_eq!(
        explain("user", Call, Exact, "b"),
        "up to the authorizer: no rule matches, so \"auth.ask\" is asked"
    );
    assert_eq!(explain("nobody", Call, Exact, "b"), "denied: the realm has no such role and no default role");
    assert_eq!(
        explain("user", Register, Exact, "wamp.x"),
        "denied: URIs that begin with wamp. are the router's own"
    );
    assert_eq!(
        explain("user", Call, Exact, "wamp.session.kill"),
        "denied: the procedure changes what belongs to others, and no rule permits it by its URI"
    );
    assert_eq!(explain("user", Call, Exact, "wamp.x"), "denied: the realm offers no such procedure");
    let none = Roles::default();
    let killed = none.explain("r", Call, Exact, "wamp.session.kill", MetaApi::Full).unwrap();
    assert_eq!(killed.to_string(), "allowed: the realm has no roles");
    assert!(none.explain("r", Call, Exact, "a..b", MetaApi::Read).is_err());
}

#[test]
fn answers_are_read_as_they_are_meant() {
    let read = |value: Value<'_>| {
        let payload = PayloadBuf::from_values(Serializer::Json, &[value], &[]).unwrap();
        AuthorizerAnswer::read(payload.as_payload())
    };
    let dict = |pairs: &[(&str, Value<'_>)]| read(Value::Dict(Dict::pairs(pairs)));
    let yes = AuthorizerAnswer { allow: true, disclose: None, cache: false };
    assert_eq!(read(Value::Bool(true)), Ok(yes));
    assert_eq!(read(Value::Bool(false)), Ok(AuthorizerAnswer { allow: false, ..yes }));
    let full = [("allow", Value::Bool(true)), ("disclose", Value::Bool(true)), ("cache", Value::Bool(true))];
    let disclose = Some(Disclose::Always);
    assert_eq!(dict(&full), Ok(AuthorizerAnswer { allow: true, disclose, cache: true }));
    let no = [("allow", Value::Bool(true)), ("disclose", Value::Bool(false)), ("validate", Value::Null)];
    assert_eq!(dict(&no), Ok(AuthorizerAnswer { disclose: Some(Disclose::Never), ..yes }));
    assert_eq!(dict(&[("cache", Value::Bool(true))]), Err(AnswerError::NoAllow));
    assert_eq!(dict(&[("allow", Value::Uint(1))]), Err(AnswerError::Malformed("allow")));
    assert_eq!(dict(&[("alow", Value::Bool(true))]), Err(AnswerError::UnknownKey("alow".into())));
    let validate = [("event", Value::Str("t".into()))];
    let validate = [("allow", Value::Bool(true)), ("validate", Value::Dict(Dict::pairs(&validate)))];
    assert_eq!(dict(&validate), Err(AnswerError::Validation));
    assert_eq!(read(Value::Uint(1)), Err(AnswerError::NotADecision));
    assert_eq!(AuthorizerAnswer::read(wampline_wire::Payload::NONE), Err(AnswerError::NotADecision));
}

fn question(uri: &str, session: u64) -> Question<'_> {
    let owner = SessionId::new(session).map_or(QuestionOwner::Role, QuestionOwner::Session);
    Question { role: RoleId(1), owner, action: Publish, policy: Exact, uri }
}

const YES: CachedAnswer = CachedAnswer { allow: true, disclose: None };

fn hash(uri: &str) -> UriHash {
    UriHasher::with_seed(7).hash(uri)
}

fn get(cache: &mut AnswerCache, now: u64, question: &Question<'_>) -> Option<CachedAnswer> {
    cache.get(now, hash(question.uri), question)
}

fn put(cache: &mut AnswerCache, until: u64, question: &Question<'_>, answer: CachedAnswer) {
    cache.put(until, hash(question.uri), question, answer);
}

#[test]
fn answers_hold_for_their_time_and_their_question() {
    let mut cache = AnswerCache::new(10);
    assert_eq!(get(&mut cache, 0, &question("a", 1)), None);
    put(&mut cache, 5, &question("a", 1), YES);
    assert_eq!(get(&mut cache, 4, &question("a", 1)), Some(YES));
    assert_eq!(get(&mut cache, 5, &question("a", 1)), None);
    for other in [
        question("b", 1),
        question("a", 2),
        question("a", 0),
        Question { action: Call, ..question("a", 1) },
        Question { policy: Prefix, ..question("a", 1) },
        Question { role: RoleId(2), ..question("a", 1) },
    ] {
        assert_eq!(get(&mut cache, 4, &other), None, "{other:?}");
    }
    let no = CachedAnswer { allow: false, ..YES };
    put(&mut cache, 9, &question("a", 1), no);
    assert_eq!((get(&mut cache, 4, &question("a", 1)), cache.len()), (Some(no), 1));
}

#[test]
fn what_is_used_stays_and_the_bound_holds() {
    let mut cache = AnswerCache::new(10);
    for n in 0..1000 {
        put(&mut cache, 9, &question(&n.to_string(), 0), YES);
        assert!(cache.len() <= 10);
        assert_eq!(get(&mut cache, 1, &question("0", 0)), Some(YES), "{n}");
    }
    assert_eq!(get(&mut cache, 1, &question("999", 0)), Some(YES));
    assert_eq!(get(&mut cache, 1, &question("900", 0)), None);
    put(&mut cache, 9, &question(&"x".repeat(300), 0), YES);
    assert_eq!(get(&mut cache, 1, &question(&"x".repeat(300), 0)), None);
    let mut nothing = AnswerCache::new(0);
    put(&mut nothing, 9, &question("a", 0), YES);
    assert!(nothing.is_empty());
}

#[test]
fn a_purge_forgets_what_it_names() {
    let (roles, _) = role_with(&[]);
    let filter = |kwargs: &[(&str, Value<'_>)]| {
        let payload = PayloadBuf::from_values(Serializer::Cbor, &[], kwargs).unwrap();
        PurgeFilter::read(payload.as_payload())
    };
    let left = |kwargs: &[(&str, Value<'_>)]| {
        let mut cache = AnswerCache::new(100);
        let uris = ["a.b", "a.c", "b"];
        uris.iter().for_each(|uri| put(&mut cache, 9, &question(uri, 1), YES));
        put(&mut cache, 9, &question("a.b", 0), YES);
        put(&mut cache, 9, &Question { action: Call, ..question("a.b", 1) }, YES);
        put(&mut cache, 9, &Question { role: RoleId(0), ..question("a.b", 1) }, YES);
        cache.purge(&filter(kwargs).unwrap(), &roles);
        assert_eq!(cache.purges(), 1);
        cache.len()
    };
    let text = |text: &'static str| Value::Str(text.into());
    assert_eq!(left(&[]), 0);
    assert_eq!(left(&[("authrole", text("r"))]), 1);
    assert_eq!(left(&[("authrole", text("x"))]), 6);
    assert_eq!(left(&[("session", Value::Uint(1))]), 1);
    assert_eq!(left(&[("action", text("call"))]), 5);
    assert_eq!(left(&[("uri", text("a.b"))]), 2);
    assert_eq!(left(&[("uri", text("a.")), ("match", text("prefix"))]), 1);
    assert_eq!(left(&[("uri", text("a.")), ("match", text("prefix")), ("action", text("call"))]), 5);
    for (key, value) in [
        ("role", text("r")),
        ("session", text("r")),
        ("session", Value::Uint(0)),
        ("action", text("shout")),
        ("match", text("prefix")),
        ("uri", Value::Uint(1)),
    ] {
        assert!(filter(&[(key, value)]).is_err(), "{key}");
    }
    let positional = PayloadBuf::from_values(Serializer::Json, &[Value::Str("r".into())], &[]).unwrap();
    assert!(PurgeFilter::read(positional.as_payload()).is_err());
}

/// The rules of a role, in a list.
#[derive(Debug)]
struct Twin {
    rules: Vec<(MatchPolicy, String, Actions)>,
    otherwise: Actions,
}

impl Twin {
    /// Whether the rule comes before another one that has a URI in common with it, by the words of the specification.
    fn rank(policy: MatchPolicy, uri: &str) -> (MatchPolicy, usize, Vec<usize>) {
        let most = |n: usize| usize::MAX - n;
        match policy {
            Exact => (policy, 0, vec![]),
            Prefix => (policy, most(uri.len()), vec![]),
            Wildcard => {
                let components: Vec<&str> = uri.split('.').collect();
                (policy, 0, components.split(|c| c.is_empty()).map(|portion| most(portion.len())).collect())
            }
        }
    }

    fn may(&self, action: Action, uri: &str) -> bool {
        let matching = self.rules.iter().filter(|(policy, pattern, _)| policy.matches(pattern, uri));
        let best = matching.min_by_key(|(policy, pattern, _)| Twin::rank(*policy, pattern));
        best.map_or(self.otherwise, |(_, _, allow)| *allow).contains(action)
    }

    /// The definition of the module's documentation, with sets of URIs in place of patterns.
    fn may_all(&self, action: Action, matched: &[&String]) -> bool {
        let rank = |rule: &&(MatchPolicy, String, Actions)| Twin::rank(rule.0, &rule.1);
        let covers = |rule: &&(MatchPolicy, String, Actions)| {
            rule.0 != Exact && matched.iter().all(|uri| rule.0.matches(&rule.1, uri))
        };
        let governing = self.rules.iter().filter(covers).min_by_key(rank);
        let permits = governing.map_or(self.otherwise, |(_, _, allow)| *allow).contains(action);
        let goes_before = |rule: &(MatchPolicy, String, Actions)| {
            governing.is_none_or(|governing| rank(&rule) < rank(&governing))
        };
        let denies = |rule: &(MatchPolicy, String, Actions)| {
            !rule.2.contains(action) && matched.iter().any(|uri| rule.0.matches(&rule.1, uri))
        };
        permits && !self.rules.iter().any(|rule| goes_before(rule) && denies(rule))
    }
}

/// Every URI of one to four of these components: enough for what patterns of two or three can tell apart.
fn universe() -> Vec<String> {
    let components = ["a", "b", "ab", "ba", "c"];
    let mut all: Vec<String> = components.iter().map(|c| c.to_string()).collect();
    let mut newest = all.clone();
    for _ in 0..3 {
        newest = newest.iter().flat_map(|uri| components.iter().map(move |c| format!("{uri}.{c}"))).collect();
        all.extend(newest.iter().cloned());
    }
    all
}

fn pattern() -> impl Strategy<Value = (MatchPolicy, String)> {
    let component = prop::sample::select(&["a", "b", "ab", ""][..]);
    let components = prop::collection::vec(component, 1..=3);
    (prop::sample::select(&MatchPolicy::ALL[..]), components).prop_filter_map(
        "valid",
        |(policy, components)| {
            let uri = components.join(".");
            UriRules::Loose.check_pattern(&uri, policy).is_ok().then_some((policy, uri))
        },
    )
}

fn actions() -> impl Strategy<Value = Actions> {
    prop::sample::subsequence(&Action::ALL[..], 0..=4).prop_map(Actions::from_iter)
}

fn twins() -> impl Strategy<Value = (Roles, RoleId, Twin)> {
    (prop::collection::vec((pattern(), actions()), 0..8), actions()).prop_map(|(rules, otherwise)| {
        let mut roles = Roles::default();
        let role = roles.add_role("r").unwrap();
        let default = Rule { allow: otherwise, ..Rule::default() };
        roles.set_default_permissions(role, default).unwrap();
        let mut twin = Twin { rules: Vec::new(), otherwise };
        for ((policy, uri), allow) in rules {
            if roles.add_rule(role, policy, &uri, Rule { allow, ..Rule::default() }).is_ok() {
                twin.rules.push((policy, uri, allow));
            }
        }
        (roles, role, twin)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 256 }))]

    #[test]
    fn uris_are_decided_as_by_a_list_of_rules((roles, role, twin) in twins()) {
        // (Of a few hashes, so that URIs take each other's place.)
        let (mut memo, mut answers) = (DecisionMemo::default(), AnswerCache::new(0));
        let mut n = 0;
        for uri in universe().iter().take(if cfg!(miri) { 20 } else { 200 }) {
            for action in [Action::ALL, Action::ALL].concat() {
                let may = roles.decide(role, action, Exact, uri) == ALLOWED;
                prop_assert_eq!(may, twin.may(action, uri), "{} {:?}", uri, action);
                n += 1;
                let (session, realm) = (SessionId::new(1).unwrap(), RealmId(0));
                let asked = Asked { realm, role, session, action, uri, hash: UriHash::forced(n / 5) };
                prop_assert_eq!(may, memo.decide(&roles, &mut answers, 0, &asked) == ALLOWED, "{:?}", asked);
            }
        }
    }

    /// Also: whatever is permitted as a whole is permitted in every part.
    #[test]
    fn patterns_are_decided_by_what_they_match((roles, role, twin) in twins(), (policy, asked) in pattern()) {
        let universe = universe();
        let matched: Vec<&String> = universe.iter().filter(|uri| policy.matches(&asked, uri)).collect();
        let is_one_uri = policy == Exact || (policy == Wildcard && !asked.split('.').any(str::is_empty));
        for action in [Register, Subscribe] {
            let may = roles.decide(role, action, policy, &asked) == ALLOWED;
            prop_assert!(!may || matched.iter().all(|uri| twin.may(action, uri)), "{} {:?}", asked, action);
            let expected =
                if is_one_uri { twin.may(action, &asked) } else { twin.may_all(action, &matched) };
            prop_assert_eq!(may, expected, "{} {:?} {:?}", asked, policy, action);
        }
    }

    #[test]
    fn patterns_meet_if_a_uri_lies_in_both((a, of_a) in pattern(), (b, of_b) in pattern()) {
        let in_both = universe().iter().any(|uri| a.matches(&of_a, uri) && b.matches(&of_b, uri));
        prop_assert_eq!(cover::meet(a, &of_a, b, &of_b), in_both, "{} {}", of_a, of_b);
        prop_assert_eq!(cover::meet(b, &of_b, a, &of_a), in_both, "{} {}", of_a, of_b);
    }
}
