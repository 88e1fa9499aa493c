//! URIs and pattern tables against naive twins.
//!
//! The octets are instructions: store a pattern, remove one, look one up, match a URI, check a URI. URIs are either spelt from
//! a few components, so that they meet, or taken as they are.

use wampline_routing::pattern::PatternTable;
use wampline_routing::uri::{MatchPolicy, UriRules};

use super::input::Input;
use super::twin::{Twin, twin_matches};

/// Instructions that are followed; the twin costs their square.
const STEPS_MAX: usize = 100;

pub(super) fn run(octets: &[u8]) {
    let mut input = Input::new(octets);
    let (mut table, mut twin) = (PatternTable::new(), Twin::default());
    for step in 0..STEPS_MAX as u32 {
        if input.is_empty() {
            break;
        }
        let what = input.octet();
        let policy = MatchPolicy::ALL[usize::from(what >> 4) % 3];
        let uri = uri(&mut input);
        match what % 8 {
            0..=2 => {
                let admitted = table.admits(policy, &uri);
                let stored = table.insert(policy, &uri, step);
                assert_eq!(stored.map(|_| ()), admitted, "{uri}");
                if let Ok(previous) = stored {
                    assert_eq!(twin.insert(policy, &uri, step), previous, "{policy:?} {uri}");
                }
            }
            3 => assert_eq!(table.remove(policy, &uri), twin.remove(policy, &uri), "{policy:?} {uri}"),
            4 => check(policy, &uri),
            _ => {
                assert_eq!(table.get(policy, &uri).copied(), twin.get(policy, &uri));
                compare(&table, &twin, &uri);
            }
        }
        assert_eq!(table.len(), twin.0.len());
    }
    for (policy, uri, value) in std::mem::take(&mut twin.0) {
        assert_eq!(table.remove(policy, &uri), Some(value), "{policy:?} {uri}");
    }
    assert!(table.is_empty());
}

fn compare(table: &PatternTable<u32>, twin: &Twin, uri: &str) {
    let expected = twin.matches(uri);
    let found: Vec<(MatchPolicy, String, u32)> =
        table.matches(uri).map(|(policy, pattern, value)| (policy, pattern.to_owned(), *value)).collect();
    assert_eq!(found, expected, "{uri}");
    let mut visited = Vec::new();
    table.for_each_match(uri, |policy, value| visited.push((policy, *value)));
    assert_eq!(visited, expected.iter().map(|(policy, _, value)| (*policy, *value)).collect::<Vec<_>>());
    for (policy, pattern, _) in &twin.0 {
        assert_eq!(policy.matches(pattern, uri), twin_matches(*policy, pattern, uri), "{pattern} {uri}");
    }
}

/// The rules for URIs as the specification writes them down ("URIs", the two regular expressions, of which `\s` is that of
/// Python: Unicode's white space and U+001C to U+001F).
fn check(policy: MatchPolicy, uri: &str) {
    for (rules, is_allowed) in [
        (
            UriRules::Loose,
            (|c: char| !c.is_whitespace() && !matches!(c, '\u{1c}'..='\u{1f}' | '#')) as fn(char) -> bool,
        ),
        (UriRules::Strict, |c: char| matches!(c, '0'..='9' | 'a'..='z' | '_')),
    ] {
        let components: Vec<&str> = uri.split('.').collect();
        let is_clean = uri.chars().all(|c| c == '.' || is_allowed(c));
        let is_full = components.iter().all(|component| !component.is_empty());
        assert_eq!(rules.check(uri).is_ok(), is_clean && is_full, "{rules:?} {uri:?}");
        let may_be = match policy {
            MatchPolicy::Exact => is_full,
            MatchPolicy::Prefix => {
                components[..components.len() - 1].iter().all(|component| !component.is_empty())
            }
            MatchPolicy::Wildcard => true,
        };
        assert_eq!(
            rules.check_pattern(uri, policy).is_ok(),
            is_clean && may_be,
            "{rules:?} {policy:?} {uri:?}"
        );
    }
}

fn uri(input: &mut Input<'_>) -> String {
    const COMPONENTS: [&str; 8] = ["", "a", "b", "ab", "com", "", "c", "é"];
    let shape = input.octet();
    if shape >= 0xC0 {
        return String::from_utf8_lossy(input.string()).into_owned();
    }
    let count = match shape % 16 {
        15 => 60 + input.below(8),
        few => usize::from(few) % 6,
    };
    let components: Vec<&str> = (0..=count).map(|_| COMPONENTS[input.below(8)]).collect();
    components.join(".")
}
