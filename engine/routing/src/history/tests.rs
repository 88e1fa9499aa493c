//! Histories by themselves: rules, bounds, every filter, answers.
#![allow(clippy::unwrap_used)]

use wampline_wire::{Dict, List, PayloadBuf, PublicationId, Serializer, Value};

use super::*;
use crate::key::RealmId;
use crate::publication::PublishOptions;

/// Five minutes after the epoch, in nanoseconds, and a millisecond.
const START: u64 = 300_000_000_000;
const MILLI: u64 = 1_000_000;

fn text(text: &str) -> Value<'_> {
    Value::Str(text.into())
}

fn subscription(n: u64) -> SubscriptionId {
    SubscriptionId::new(n).unwrap()
}

/// Event n, n milliseconds and 0.9 after the start.
fn event(n: u64, topic: &str, options: &[(&str, Value<'_>)]) -> HistoryEvent {
    let (options, read) = PublishOptions::read(&Dict::pairs(options));
    read.unwrap();
    let publication = Publication {
        realm: RealmId(0),
        id: PublicationId::new(1000 - n).unwrap(),
        topic: topic.into(),
        payload: PayloadBuf::from_values(Serializer::MsgPack, &[Value::Uint(n)], &[]).unwrap(),
        terms: options.terms.map(|terms| Arc::new(*terms)),
    };
    HistoryEvent { publication: Arc::new(publication), unix_nanos: START + n * MILLI + 900_000 }
}

fn rule(events_max: usize, octets_max: usize) -> HistoryRule {
    HistoryRule { policy: MatchPolicy::Prefix, uri: "com.".into(), events_max, octets_max }
}

/// Events 1 to 6, the even ones to another topic.
fn six() -> MemoryHistory {
    let mut store = MemoryHistory::default();
    store.open(subscription(1), &rule(100, 1 << 20));
    for n in 1..=6 {
        store.append(subscription(1), event(n, if n % 2 == 0 { "com.even" } else { "com.odd" }, &[]));
    }
    store
}

fn ask_as(store: &MemoryHistory, authid: &str, authrole: &str, filters: &[(&str, Value<'_>)]) -> Vec<u64> {
    let query = HistoryQuery::read(Some(Dict::pairs(filters))).unwrap();
    let found = store.query(subscription(1), &query, HistoryReader { authid, authrole }).unwrap();
    found.iter().map(|event| 1000 - event.publication.id.get()).collect()
}

fn ask(store: &MemoryHistory, filters: &[(&str, Value<'_>)]) -> Vec<u64> {
    ask_as(store, "somebody", "guest", filters)
}

#[test]
fn order_and_limit() {
    let store = six();
    assert_eq!(ask(&store, &[]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(ask(&store, &[("reverse", Value::Bool(true))]), [6, 5, 4, 3, 2, 1]);
    assert_eq!(ask(&store, &[("limit", Value::Uint(2))]), [1, 2]);
    assert_eq!(ask(&store, &[("limit", Value::Uint(2)), ("reverse", Value::Bool(true))]), [6, 5]);
    assert_eq!(ask(&store, &[("topic", text("com.even")), ("limit", Value::Float(2.0))]), [2, 4]);
    assert_eq!(ask(&store, &[("topic", Value::Null), ("unknown", Value::Uint(7))]).len(), 6);
}

#[test]
fn filters_by_time() {
    let store = six();
    let third = "1970-01-01T00:05:00.003Z";
    assert_eq!(ask(&store, &[("from_time", text(third))]), [3, 4, 5, 6]);
    assert_eq!(ask(&store, &[("after_time", text(third))]), [4, 5, 6]);
    assert_eq!(ask(&store, &[("before_time", text(third))]), [1, 2]);
    assert_eq!(ask(&store, &[("until_time", text(third))]), [1, 2, 3]);
    assert_eq!(ask(&store, &[("until_time", text("1970-01-01T02:05:00.003+02:00"))]), [1, 2, 3]);
    let both = [("from_time", text(third)), ("before_time", text("1970-01-01T00:05:00.005Z"))];
    assert_eq!(ask(&store, &both), [3, 4]);
}

#[test]
fn filters_by_publication() {
    let store = six();
    let id = |n: u64| Value::Uint(1000 - n);
    assert_eq!(ask(&store, &[("from_publication", id(3))]), [3, 4, 5, 6]);
    assert_eq!(ask(&store, &[("after_publication", id(3))]), [4, 5, 6]);
    assert_eq!(ask(&store, &[("before_publication", id(3))]), [1, 2]);
    assert_eq!(ask(&store, &[("until_publication", id(3))]), [1, 2, 3]);
    assert_eq!(ask(&store, &[("after_publication", id(2)), ("until_publication", id(4))]), [3, 4]);
    assert_eq!(ask(&store, &[("after_publication", id(4)), ("before_publication", id(2))]), [0; 0]);
    // The next page backwards.
    let page = [("before_publication", id(3)), ("reverse", Value::Bool(true)), ("limit", Value::Uint(1))];
    assert_eq!(ask(&store, &page), [2]);
    assert_eq!(ask(&store, &[("after_publication", id(77))]), [0; 0]);
}

#[test]
fn filters_of_the_wrong_type() {
    for (argument, value) in [
        ("reverse", Value::Uint(1)),
        ("limit", Value::Uint(0)),
        ("limit", Value::Int(-1)),
        ("limit", Value::Float(1.5)),
        ("topic", Value::Uint(1)),
        ("from_time", text("yesterday")),
        ("after_time", Value::Uint(5)),
        ("before_time", text("1970-01-01")),
        ("until_time", text("")),
        ("from_publication", Value::Uint(0)),
        ("after_publication", text("7")),
        ("before_publication", Value::Float(0.5)),
        ("until_publication", Value::Bool(true)),
    ] {
        let error = HistoryQuery::read(Some(Dict::pairs(&[(argument, value)]))).unwrap_err();
        assert_eq!(error.argument, argument);
    }
    assert_eq!(HistoryQuery::read(None), Ok(HistoryQuery::default()));
    let text = QueryError { argument: "limit", expected: "a positive integer" }.to_string();
    assert_eq!(text, "limit must be a positive integer");
}

#[test]
fn who_asks_gets_what_it_could_have_received() {
    let mut store = six();
    let (admins, ids) = ([text("admin")], [Value::Uint(7)]);
    let roles = [("eligible_authrole", Value::List(List::items(&admins)))];
    store.append(subscription(1), event(7, "com.odd", &roles));
    let users = [("exclude_authid", Value::List(List::items(&admins)))];
    store.append(subscription(1), event(8, "com.odd", &users));
    // Lists of session ids: not kept.
    for option in ["exclude", "eligible"] {
        store.append(subscription(1), event(9, "com.odd", &[(option, Value::List(List::items(&ids)))]));
    }
    assert_eq!(ask_as(&store, "admin", "admin", &[]), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ask_as(&store, "somebody", "guest", &[]), [1, 2, 3, 4, 5, 6, 8]);
}

#[test]
fn bounds_are_kept() {
    let mut store = MemoryHistory::default();
    store.open(subscription(1), &rule(3, 1 << 20));
    (1..=5).for_each(|n| store.append(subscription(1), event(n, "com.x", &[])));
    assert_eq!(ask(&store, &[]), [3, 4, 5]);
    let one = event(1, "com.x", &[]).octets();
    let mut store = MemoryHistory::default();
    store.open(subscription(1), &rule(100, 2 * one));
    (1..=5).for_each(|n| store.append(subscription(1), event(n, "com.x", &[])));
    assert_eq!(ask(&store, &[]), [4, 5]);
    let query = HistoryQuery::default();
    let reader = HistoryReader { authid: "a", authrole: "b" };
    assert!(store.query(subscription(2), &query, reader).is_none(), "it has no history");
}

#[test]
fn one_subscription_per_rule() {
    let mut rules = HistoryRules::default();
    assert!(!rules.covers("com.x"));
    assert_eq!(rules.add(rule(1, 1)), Ok(true));
    assert_eq!(rules.add(rule(2, 2)), Ok(false));
    let exact = HistoryRule { policy: MatchPolicy::Exact, uri: "com.x".into(), events_max: 1, octets_max: 1 };
    assert_eq!(rules.add(exact), Ok(true));
    assert!(rules.covers("com.x") && rules.covers("com.y") && !rules.covers("org.x"));
    let mut matching: Vec<usize> = rules.matching("com.x").collect();
    matching.sort_unstable();
    assert_eq!(matching, [0, 1]);
    assert_eq!(rules.rules().len(), 2);
}

fn as_json(events: &[HistoryEvent], serializer: Serializer) -> String {
    let answer = answer(serializer, subscription(5), true, events).transcode(Serializer::Json).unwrap();
    let message = wampline_wire::Message::Result {
        request: wampline_wire::RequestId::new(1).unwrap(),
        details: Dict::EMPTY,
        payload: answer.as_payload(),
    };
    let mut out = Vec::new();
    message.encode(Serializer::Json, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_answer_is_the_list_of_events() {
    for serializer in Serializer::ALL {
        assert_eq!(as_json(&[], serializer), "[50,1,{},[]]");
        let events = [event(1, "com.x", &[("ppt_scheme", text("mqtt"))]), event(2, "com.y", &[])];
        let expected = concat!(
            r#"[50,1,{},[{"timestamp":"1970-01-01T00:05:00.001Z","subscription":5,"publication":999,"#,
            r#""details":{"topic":"com.x","ppt_scheme":"mqtt"},"args":[1]},"#,
            r#"{"timestamp":"1970-01-01T00:05:00.002Z","subscription":5,"publication":998,"#,
            r#""details":{"topic":"com.y"},"args":[2]}]]"#,
        );
        assert_eq!(as_json(&events, serializer), expected);
    }
}

#[cfg(not(miri))] // For its size.
#[test]
fn a_long_answer_says_that_there_is_more() {
    let long = "x".repeat(ANSWER_OCTETS_MAX / 2);
    let events: Vec<HistoryEvent> = (1..=3).map(|n| event(n, &long, &[])).collect();
    let json = as_json(&events, Serializer::Cbor);
    assert!(json.ends_with(r#"],{"truncated":true}]"#));
    assert_eq!(json.matches("timestamp").count(), 1);
}

#[test]
fn an_event_that_cannot_be_expressed_is_left_out() {
    let mut nan = event(2, "com.x", &[]);
    let publication = Publication {
        realm: RealmId(0),
        id: PublicationId::new(5).unwrap(),
        topic: "com.x".into(),
        payload: PayloadBuf::from_values(Serializer::MsgPack, &[Value::Float(f64::NAN)], &[]).unwrap(),
        terms: None,
    };
    nan.publication = Arc::new(publication);
    let json = as_json(&[event(1, "com.x", &[]), nan], Serializer::Json);
    assert_eq!(json.matches("timestamp").count(), 1, "{json}");
}
