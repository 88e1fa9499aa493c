//! The tables against a naive twin, the examples of the specification, and what is left after removals.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::twin::{Twin, twin_matches};
use super::*;
use MatchPolicy::{Exact, Prefix, Wildcard};

fn found(table: &PatternTable<u32>, uri: &str) -> Vec<(MatchPolicy, String, u32)> {
    table.matches(uri).map(|(policy, pattern, &value)| (policy, pattern.to_owned(), value)).collect()
}

fn assert_empty(table: &PatternTable<u32>) {
    assert!(table.is_empty());
    assert_eq!(table.iter().count(), 0);
    assert_eq!((table.prefix.nodes(), table.wildcard.shapes()), (0, 0));
    assert_eq!((table.exact.capacity(), table.exact.len()), (0, 0));
}

fn table_of(patterns: &[(MatchPolicy, &str, u32)]) -> PatternTable<u32> {
    let mut table = PatternTable::new();
    for &(policy, uri, value) in patterns {
        assert_eq!(table.insert(policy, uri, value), Ok(None));
    }
    table
}

/// "Prefix Matching" and "Wildcard Matching" of both pages.
#[test]
fn examples_of_matching() {
    let table = table_of(&[
        (Prefix, "com.myapp.topic.emergency", 1),
        (Wildcard, "com.myapp..userevent", 2),
        (Prefix, "com.myapp.myobject1", 3),
        (Wildcard, "com.myapp..myprocedure1", 4),
    ]);
    for (uri, expected) in [
        ("com.myapp.topic.emergency.11", vec![1]),
        ("com.myapp.topic.emergency-low", vec![1]),
        ("com.myapp.topic.emergency.category.severe", vec![1]),
        ("com.myapp.topic.emergency", vec![1]),
        ("com.myapp.topic.emerge", vec![]),
        ("com.myapp.foo.userevent", vec![2]),
        ("com.myapp.bar.userevent", vec![2]),
        ("com.myapp.a12.userevent", vec![2]),
        ("com.myapp.foo.userevent.bar", vec![]),
        ("com.myapp.foo.user", vec![]),
        ("com.myapp2.foo.userevent", vec![]),
        ("com.myapp.myobject1.myprocedure1", vec![3, 4]),
        ("com.myapp.myobject1-mysubobject1", vec![3]),
        ("com.myapp.myobject1.mysubobject1.myprocedure1", vec![3]),
        ("com.myapp.myobject1", vec![3]),
        ("com.myapp.myobject2", vec![]),
        ("com.myapp.myobject", vec![]),
        ("com.myapp.myobject2.myprocedure1", vec![4]),
        ("com.myapp.myobject2.myprocedure2", vec![]),
        ("com.myapp2.myobject1.myprocedure1", vec![]),
    ] {
        let mut values = Vec::new();
        table.for_each_match(uri, |_, &value| values.push(value));
        assert_eq!(values, expected, "{uri}");
    }
}

/// "Calls matching multiple registrations". The fifth example contradicts the definition of a prefix, of which the
/// URI that it calls has one, `a1.b2.c3`; the definition holds, and without that prefix the example does.
#[test]
fn examples_of_precedence() {
    let mut table = table_of(&[
        (Exact, "a1.b2.c3.d4.e55", 1),
        (Prefix, "a1.b2.c3", 2),
        (Prefix, "a1.b2.c3.d4", 3),
        (Wildcard, "a1.b2..d4.e5", 4),
        (Wildcard, "a1.b2.c33..e5", 5),
        (Wildcard, "a1.b2..d4.e5..g7", 6),
        (Wildcard, "a1.b2..d4..f6.g7", 7),
    ]);
    let best = |table: &PatternTable<u32>, uri| table.best_match(uri).map(|(policy, &value)| (policy, value));
    for (uri, expected) in [
        ("a1.b2.c3.d4.e55", Some((Exact, 1))),
        ("a1.b2.c3.d98.e74", Some((Prefix, 2))),
        ("a1.b2.c3.d4.e325", Some((Prefix, 3))),
        ("a1.b2.c55.d4.e5", Some((Wildcard, 4))),
        ("a1.b2.c33.d4.e5", Some((Prefix, 2))),
        ("a1.b2.c88.d4.e5.f6.g7", Some((Wildcard, 6))),
        ("a2.b2.c2.d2.e2", None),
    ] {
        assert_eq!(best(&table, uri), expected, "{uri}");
    }
    assert_eq!(table.remove(Prefix, "a1.b2.c3"), Some(2));
    assert_eq!(best(&table, "a1.b2.c33.d4.e5"), Some((Wildcard, 5)));
    let values: Vec<u32> = table.matches("a1.b2.c88.d4.e5.f6.g7").map(|(_, _, &value)| value).collect();
    assert_eq!(values, [6, 7]);
    let table = table_of(&[(Wildcard, "a1...d4", 1), (Wildcard, "a1.b2..d4", 2)]);
    assert_eq!(best(&table, "a1.b2.c3.d4"), Some((Wildcard, 2)));
}

#[test]
fn one_uri_is_three_patterns() {
    let mut table = table_of(&[(Exact, "a.b", 1), (Prefix, "a.b", 2), (Wildcard, "a.b", 3)]);
    let all = [(Exact, "a.b".to_owned(), 1), (Prefix, "a.b".to_owned(), 2), (Wildcard, "a.b".to_owned(), 3)];
    assert_eq!(found(&table, "a.b"), all);
    *table.get_mut(Prefix, "a.b").unwrap() = 5;
    assert_eq!(table.insert(Wildcard, "a.b", 6), Ok(Some(3)));
    assert_eq!(table.remove(Exact, "a.b"), Some(1));
    assert_eq!(table.remove(Exact, "a.b"), None);
    assert_eq!(
        (table.get(Exact, "a.b"), table.get(Prefix, "a.b"), table.get(Wildcard, "a.b")),
        (None, Some(&5), Some(&6))
    );
    assert_eq!(table.len(), 2);
}

#[test]
fn the_empty_pattern() {
    let table = table_of(&[(Prefix, "", 1), (Wildcard, "", 2)]);
    assert_eq!(found(&table, "a"), [(Prefix, String::new(), 1), (Wildcard, String::new(), 2)]);
    assert_eq!(found(&table, "a.b"), [(Prefix, String::new(), 1)]);
}

/// A character beyond ASCII whose first octets are another's: a prefix is one of whole strings.
#[test]
fn prefixes_end_between_characters() {
    let mut table =
        table_of(&[(Prefix, "a.é", 1), (Prefix, "a.è", 2), (Prefix, "a.éa", 3), (Prefix, "a.", 4)]);
    assert_eq!(
        found(&table, "a.éab"),
        [(Prefix, "a.éa".into(), 3), (Prefix, "a.é".into(), 1), (Prefix, "a.".into(), 4)]
    );
    for uri in ["a.é", "a.", "a.éa", "a.è"] {
        assert!(table.remove(Prefix, uri).is_some());
    }
    assert_empty(&table);
}

#[test]
fn a_chain_of_every_prefix() {
    let uri = "a".repeat(if cfg!(miri) { 50 } else { 3000 });
    let mut table = PatternTable::new();
    for length in 0..=uri.len() {
        table.insert(Prefix, &uri[..length], length).unwrap();
    }
    let lengths: Vec<usize> = table.matches(&uri).map(|(_, _, &length)| length).collect();
    assert!(lengths.iter().copied().eq((0..=uri.len()).rev()));
    for length in 0..=uri.len() {
        assert_eq!(table.remove(Prefix, &uri[..length]), Some(length));
    }
    assert_eq!(table.prefix.nodes(), 0);
}

/// The pattern with the components of `literal` where `mask` has a bit, wildcards elsewhere.
fn masked(literal: &[&str], mask: usize) -> String {
    let components: Vec<&str> = literal
        .iter()
        .enumerate()
        .map(|(index, component)| if mask >> index & 1 == 1 { component } else { "" })
        .collect();
    components.join(".")
}

#[test]
fn every_shape_of_eight_components_is_admitted() {
    let uri = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut table = PatternTable::new();
    for mask in 0..256 {
        assert_eq!(table.insert(Wildcard, &masked(&uri, mask), mask), Ok(None));
    }
    assert_eq!(table.matches(&uri.join(".")).count(), 256);
    assert_eq!(table.best_match(&uri.join(".")), Some((Wildcard, &255)));
    assert_eq!(table.best_match("a.b.c.d.e.f.g.x"), Some((Wildcard, &127)));
}

#[test]
fn shapes_are_bounded_and_come_free_again() {
    let uri = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut table = PatternTable::new();
    for mask in 0..256 {
        table.insert(Wildcard, &masked(&uri, mask), mask as u32).unwrap();
    }
    let refused = Err(PatternError::TooManyShapes { components: 9 });
    let another = masked(&uri, 256);
    assert_eq!(table.admits(Wildcard, &another), refused.map(|_: u32| ()));
    assert_eq!(table.insert(Wildcard, &another, 1), Err(PatternError::TooManyShapes { components: 9 }));
    assert_eq!((table.get(Wildcard, &another), table.len()), (None, 256));
    // Known shapes, other numbers of components and other policies are not concerned.
    assert_eq!(table.insert(Wildcard, "x........", 1), Ok(None));
    assert_eq!(table.insert(Wildcard, ".........j", 1), Ok(None));
    assert_eq!(table.insert(Exact, &another, 1), Ok(None));
    assert_eq!(table.remove(Wildcard, &masked(&uri, 7)), Some(7));
    assert_eq!(table.insert(Wildcard, &another, 1), Ok(None));
}

#[test]
fn wildcard_patterns_have_at_most_64_components() {
    let mut table = PatternTable::new();
    let most = ".".repeat(COMPONENTS_MAX - 1) + "a";
    assert_eq!(table.insert(Wildcard, &most, 1), Ok(None));
    let more = format!(".{most}");
    let refused = PatternError::TooManyComponents { components: COMPONENTS_MAX + 1 };
    assert_eq!(table.insert(Wildcard, &more, 2), Err(refused));
    assert_eq!(refused.to_string(), "a wildcard pattern has at most 64 components, this one 65");
    assert_eq!(table.get(Wildcard, &more), None);
    assert_eq!(table.get_mut(Wildcard, &more), None);
    assert_eq!(table.remove(Wildcard, &more), None);
    assert_eq!(found(&table, &("b.".repeat(COMPONENTS_MAX - 1) + "a")).len(), 1);
    assert_eq!(found(&table, &("b.".repeat(COMPONENTS_MAX) + "a")), []);
}

#[test]
fn matches_do_not_depend_on_the_hasher() {
    let patterns = [
        (Wildcard, "a..", 1),
        (Wildcard, ".b.", 2),
        (Wildcard, "..c", 3),
        (Prefix, "a.", 4),
        (Exact, "a.b.c", 5),
    ];
    let mut expected = None;
    for seed in 0..if cfg!(miri) { 2 } else { 32 } {
        let mut table = PatternTable::with_hasher(UriHasher::with_seed(seed));
        for (policy, uri, value) in patterns {
            table.insert(policy, uri, value).unwrap();
        }
        let hash = table.hasher().clone().hash("a.b.c");
        assert_eq!(table.get_exact(hash, "a.b.c"), Some(&5));
        let values: Vec<u32> = table.matches_hashed(hash, "a.b.c").map(|(_, _, &value)| value).collect();
        assert_eq!(*expected.get_or_insert(values.clone()), values);
    }
    assert_eq!(expected.unwrap(), [5, 4, 1, 2, 3]);
}

/// Memory follows the patterns stored down as well as up.
#[test]
fn memory_is_given_back() {
    // Fewer for Miri.
    let most = if cfg!(miri) { 130 } else { 10_000 };
    let mut table = PatternTable::new();
    for n in 0..most {
        table.insert(Exact, &format!("com.topic.{n}"), n).unwrap();
        table.insert(Wildcard, &format!("com..{n}"), n).unwrap();
    }
    for n in 100..most {
        assert_eq!(table.remove(Exact, &format!("com.topic.{n}")), Some(n));
        assert_eq!(table.remove(Wildcard, &format!("com..{n}")), Some(n));
    }
    assert!(table.exact.capacity() <= 1000, "{}", table.exact.capacity());
    for n in 0..100 {
        assert_eq!(found(&table, &format!("com.topic.{n}")).len(), 2);
        assert_eq!(table.remove(Exact, &format!("com.topic.{n}")), Some(n));
        assert_eq!(table.remove(Wildcard, &format!("com..{n}")), Some(n));
    }
    assert_empty(&table);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(MatchPolicy, String, u32),
    Remove(MatchPolicy, String),
    Change(MatchPolicy, String, u32),
    Match(String),
}

fn step() -> impl Strategy<Value = Step> {
    let policy = || prop::sample::select(&MatchPolicy::ALL[..]);
    // Components from a small alphabet (two letters that share their first octet among them), often empty.
    let component = || prop::sample::select(&["", "a", "b", "é", "è", "ab", "aé"][..]);
    let uri = || prop::collection::vec(component(), 1..=5).prop_map(|components| components.join("."));
    prop_oneof![
        4 => (policy(), uri(), any::<u32>()).prop_map(|(policy, uri, value)| Step::Insert(policy, uri, value)),
        2 => (policy(), uri()).prop_map(|(policy, uri)| Step::Remove(policy, uri)),
        1 => (policy(), uri(), any::<u32>()).prop_map(|(policy, uri, value)| Step::Change(policy, uri, value)),
        4 => uri().prop_map(Step::Match),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 256 }, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_its_twin(steps in prop::collection::vec(step(), 0..if cfg!(miri) { 25 } else { 120 })) {
        let (mut table, mut twin) = (PatternTable::new(), Twin::default());
        for step in steps {
            match step {
                Step::Insert(policy, uri, value) => {
                    prop_assert_eq!(table.insert(policy, &uri, value), Ok(twin.insert(policy, &uri, value)));
                }
                Step::Remove(policy, uri) => {
                    prop_assert_eq!(table.remove(policy, &uri), twin.remove(policy, &uri));
                }
                Step::Change(policy, uri, value) => {
                    prop_assert_eq!(table.get(policy, &uri).copied(), twin.get(policy, &uri));
                    if let Some(held) = table.get_mut(policy, &uri) {
                        *held = value;
                        twin.insert(policy, &uri, value);
                    }
                }
                Step::Match(uri) => {
                    let expected = twin.matches(&uri);
                    prop_assert_eq!(found(&table, &uri), expected.clone());
                    let best = table.best_match(&uri).map(|(policy, &value)| (policy, value));
                    prop_assert_eq!(best, expected.first().map(|&(policy, _, value)| (policy, value)));
                    let mut visited = Vec::new();
                    table.for_each_match(&uri, |policy, &value| visited.push((policy, value)));
                    let expected: Vec<_> = expected.iter().map(|&(policy, _, value)| (policy, value)).collect();
                    prop_assert_eq!(visited, expected);
                    for policy in MatchPolicy::ALL {
                        for (pattern_policy, pattern, _) in &twin.0 {
                            if *pattern_policy == policy {
                                prop_assert_eq!(policy.matches(pattern, &uri), twin_matches(policy, pattern, &uri));
                            }
                        }
                    }
                }
            }
            prop_assert_eq!(table.len(), twin.0.len());
            table.prefix.assert_invariants();
        }
        let mut listed: Vec<_> = table.iter().map(|(policy, uri, &value)| (policy, uri.to_owned(), value)).collect();
        listed.sort();
        twin.0.sort();
        prop_assert_eq!(&listed, &twin.0);
        for (policy, uri, value) in listed {
            prop_assert_eq!(table.remove(policy, &uri), Some(value));
        }
        assert_empty(&table);
    }
}
