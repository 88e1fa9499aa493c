//! The rules that URIs obey (basic profile, "URIs") and how patterns are matched against them (advanced
//! profile, "Pattern-based Subscription" and "Pattern-based Registrations").
//!
//! Owns the checks of URIs and patterns as they come in, and [`MatchPolicy`]. Every check is one pass over the
//! octets without allocation. There is no bound on the length of a URI besides that of its message: the cost of
//! checking, storing and matching a URI grows with its length alone.
//!
//! Does not decide who may use a URI: [`is_reserved`] only tells that its first component is `wamp`.

use std::fmt;

/// Which of the specification's two sets of rules holds (basic profile, "URIs").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UriRules {
    /// "Relaxed/Loose URIs": components contain neither whitespace nor `#` and are not empty.
    #[default]
    Loose,
    /// "Strict URIs": components consist of `0-9`, `a-z` and `_` and are not empty.
    Strict,
}

/// How the URI of a subscription or registration is compared with a topic or procedure: `Options.match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchPolicy {
    /// The URIs are equal; also what an absent option means.
    #[default]
    Exact,
    /// The pattern is a prefix of the URI, as strings: components play no part.
    Prefix,
    /// As many components in both; empty components of the pattern match any component.
    Wildcard,
}

/// Why a URI or pattern was refused. `at` is the offset in octets of what offends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// A component is empty where it must not be; `at` is where it would begin.
    EmptyComponent {
        /// Offset in octets.
        at: usize,
    },
    /// A whitespace character.
    Whitespace {
        /// Offset in octets.
        at: usize,
    },
    /// The character `#`, which is reserved for brokers and dealers.
    NumberSign {
        /// Offset in octets.
        at: usize,
    },
    /// A character other than `0-9`, `a-z`, `_` under [`UriRules::Strict`].
    NotStrict {
        /// Offset in octets.
        at: usize,
    },
}

impl UriRules {
    /// Checks a URI none of whose components may be empty: a realm, topic, procedure, error, or the URI of an
    /// exact subscription or registration.
    pub fn check(self, uri: &str) -> Result<(), UriError> {
        self.check_with(uri, EmptyComponents::Refused)
    }

    /// Checks the URI of a subscription or registration with this policy.
    ///
    /// A prefix may end in an empty component (`com.myapp.`), and may be empty as a whole; an empty component
    /// elsewhere could never match and is refused. A wildcard pattern may have empty components anywhere.
    pub fn check_pattern(self, uri: &str, policy: MatchPolicy) -> Result<(), UriError> {
        let empty = match policy {
            MatchPolicy::Exact => EmptyComponents::Refused,
            MatchPolicy::Prefix => EmptyComponents::Last,
            MatchPolicy::Wildcard => EmptyComponents::Anywhere,
        };
        self.check_with(uri, empty)
    }

    fn check_with(self, uri: &str, empty: EmptyComponents) -> Result<(), UriError> {
        let octets = uri.as_bytes();
        let mut component_start = 0;
        for (at, &octet) in octets.iter().enumerate() {
            match CLASS[octet as usize] {
                Class::Strict => {}
                Class::Dot if at == component_start && empty != EmptyComponents::Anywhere => {
                    return Err(UriError::EmptyComponent { at });
                }
                Class::Dot => component_start = at + 1,
                class => self.check_uncommon(uri, at, class)?,
            }
        }
        if component_start == octets.len() && empty == EmptyComponents::Refused {
            return Err(UriError::EmptyComponent { at: component_start });
        }
        Ok(())
    }

    /// What the octet at `at` means when it is neither a dot nor allowed by the strict rules.
    fn check_uncommon(self, uri: &str, at: usize, class: Class) -> Result<(), UriError> {
        match class {
            Class::Whitespace => Err(UriError::Whitespace { at }),
            Class::NumberSign => Err(UriError::NumberSign { at }),
            Class::Lead if starts_with_whitespace(&uri[at..]) => Err(UriError::Whitespace { at }),
            _ if self == UriRules::Strict => Err(UriError::NotStrict { at }),
            _ => Ok(()),
        }
    }
}

impl MatchPolicy {
    /// Every policy, in the order of precedence for calls.
    pub const ALL: [MatchPolicy; 3] = [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard];

    /// The policy that the string in `Options.match` names; `None` for a string that names none.
    pub fn parse(option: &str) -> Option<MatchPolicy> {
        MatchPolicy::ALL.into_iter().find(|policy| policy.as_str() == option)
    }

    /// The string in `Options.match`, and in the details of subscriptions and registrations.
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchPolicy::Exact => "exact",
            MatchPolicy::Prefix => "prefix",
            MatchPolicy::Wildcard => "wildcard",
        }
    }

    /// Whether a URI is matched by a pattern with this policy. One pair is compared at a time; to find all
    /// patterns that match a URI there is [`crate::pattern::PatternTable`].
    pub fn matches(self, pattern: &str, uri: &str) -> bool {
        match self {
            MatchPolicy::Exact => pattern == uri,
            MatchPolicy::Prefix => uri.starts_with(pattern),
            MatchPolicy::Wildcard => matches_wildcard(pattern, uri),
        }
    }
}

/// Whether the first component of `uri` is `wamp`, which belongs to the router (basic profile, "Reserved URIs").
pub fn is_reserved(uri: &str) -> bool {
    uri.strip_prefix("wamp").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl UriError {
    /// Offset in octets of what offends.
    pub const fn at(self) -> usize {
        match self {
            UriError::EmptyComponent { at }
            | UriError::Whitespace { at }
            | UriError::NumberSign { at }
            | UriError::NotStrict { at } => at,
        }
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            UriError::EmptyComponent { .. } => "an empty component",
            UriError::Whitespace { .. } => "whitespace",
            UriError::NumberSign { .. } => "'#'",
            UriError::NotStrict { .. } => "a character other than 0-9, a-z and '_'",
        };
        write!(f, "invalid URI: {what} at octet {}", self.at())
    }
}

impl std::error::Error for UriError {}

/// Where empty components are allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EmptyComponents {
    Refused,
    Last,
    Anywhere,
}

/// What an octet means in a URI.
#[derive(Clone, Copy)]
enum Class {
    /// Allowed by the strict rules, and so by both.
    Strict,
    /// Separates components.
    Dot,
    /// ASCII whitespace, as `\s` of the specification's regular expressions: U+0009 to U+000D, U+001C to U+0020.
    Whitespace,
    /// `#`.
    NumberSign,
    /// First octet of a character beyond ASCII.
    Lead,
    /// Other ASCII, and the later octets of characters beyond ASCII: allowed by the loose rules.
    Loose,
}

const CLASS: [Class; 256] = {
    let mut table = [Class::Loose; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = match octet as u8 {
            b'0'..=b'9' | b'a'..=b'z' | b'_' => Class::Strict,
            b'.' => Class::Dot,
            0x09..=0x0d | 0x1c..=0x20 => Class::Whitespace,
            b'#' => Class::NumberSign,
            0xc0..=0xff => Class::Lead,
            _ => Class::Loose,
        };
        octet += 1;
    }
    table
};

/// `\s` of Python and Unicode's White_Space differ in U+001C to U+001F only, which are ASCII and not seen here.
fn starts_with_whitespace(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_whitespace)
}

fn matches_wildcard(pattern: &str, uri: &str) -> bool {
    let mut of_uri = uri.split('.');
    let all = pattern
        .split('.')
        .all(|component| of_uri.next().is_some_and(|concrete| component.is_empty() || component == concrete));
    all && of_uri.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// "Relaxed/Loose URIs" and "Strict URIs" word by word, without tables.
    fn naive(rules: UriRules, uri: &str, policy: MatchPolicy) -> bool {
        let components: Vec<&str> = uri.split('.').collect();
        let last = components.len() - 1;
        components.iter().enumerate().all(|(index, component)| {
            let empty_allowed = match policy {
                MatchPolicy::Exact => false,
                MatchPolicy::Prefix => index == last,
                MatchPolicy::Wildcard => true,
            };
            let allowed = |c: char| match rules {
                UriRules::Loose => !(c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c) || c == '#'),
                UriRules::Strict => c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_',
            };
            (empty_allowed || !component.is_empty()) && component.chars().all(allowed)
        })
    }

    #[test]
    fn loose_rules() {
        let check = |uri| UriRules::Loose.check(uri);
        assert_eq!(check("com.myapp.mytopic1"), Ok(()));
        assert_eq!(check("com.Müller-Söhne.\u{1f600}/x?y=1"), Ok(()));
        assert_eq!(check(""), Err(UriError::EmptyComponent { at: 0 }));
        assert_eq!(check("a."), Err(UriError::EmptyComponent { at: 2 }));
        assert_eq!(check(".a"), Err(UriError::EmptyComponent { at: 0 }));
        assert_eq!(check("a..b"), Err(UriError::EmptyComponent { at: 2 }));
        assert_eq!(check("a.b c"), Err(UriError::Whitespace { at: 3 }));
        assert_eq!(check("a.b\n"), Err(UriError::Whitespace { at: 3 }));
        assert_eq!(check("a.b#c"), Err(UriError::NumberSign { at: 3 }));
    }

    #[test]
    fn strict_rules() {
        let check = |uri| UriRules::Strict.check(uri);
        assert_eq!(check("com.my_app.topic1"), Ok(()));
        assert_eq!(check("com.myApp"), Err(UriError::NotStrict { at: 6 }));
        assert_eq!(check("com.my-app"), Err(UriError::NotStrict { at: 6 }));
        assert_eq!(check("com.ü"), Err(UriError::NotStrict { at: 4 }));
        assert_eq!(check("com.\u{3000}"), Err(UriError::Whitespace { at: 4 }));
        assert_eq!(check("com."), Err(UriError::EmptyComponent { at: 4 }));
    }

    /// Every character that Python's `\s` matches in a string.
    #[test]
    fn whitespace_is_what_the_regular_expressions_mean() {
        let ascii = ('\u{9}'..='\u{d}').chain('\u{1c}'..='\u{20}');
        let beyond =
            ['\u{85}', '\u{a0}', '\u{1680}', '\u{2028}', '\u{2029}', '\u{202f}', '\u{205f}', '\u{3000}'];
        let whitespace: Vec<char> = ascii.chain('\u{2000}'..='\u{200a}').chain(beyond).collect();
        let step = if cfg!(miri) { 16_411 } else { 1 };
        for c in (0..=0x10ffff).step_by(step).filter_map(char::from_u32) {
            let refused = UriRules::Loose.check(&format!("a{c}")) == Err(UriError::Whitespace { at: 1 });
            assert_eq!(refused, whitespace.contains(&c), "{:x}", c as u32);
        }
    }

    #[test]
    fn empty_components_of_patterns() {
        use MatchPolicy::{Exact, Prefix, Wildcard};
        let ok = |uri, policy| UriRules::Loose.check_pattern(uri, policy).is_ok();
        for (uri, exact, prefix, wildcard) in [
            ("com.myapp", true, true, true),
            ("com.myapp.", false, true, true),
            ("", false, true, true),
            ("com..userevent", false, false, true),
            (".com", false, false, true),
            ("...", false, false, true),
            ("com.my app", false, false, false),
        ] {
            assert_eq!(
                (ok(uri, Exact), ok(uri, Prefix), ok(uri, Wildcard)),
                (exact, prefix, wildcard),
                "{uri}"
            );
        }
    }

    #[test]
    fn reserved() {
        for (uri, expected) in [
            ("wamp", true),
            ("wamp.session.on_join", true),
            ("wamp.", true),
            ("wampline.topic", false),
            ("com.wamp", false),
            ("WAMP.x", false),
            ("", false),
        ] {
            assert_eq!(is_reserved(uri), expected, "{uri}");
        }
    }

    #[test]
    fn policies_are_parsed_by_name() {
        for policy in MatchPolicy::ALL {
            assert_eq!(MatchPolicy::parse(policy.as_str()), Some(policy));
        }
        assert_eq!(MatchPolicy::parse("Prefix"), None);
        assert_eq!(MatchPolicy::parse(""), None);
    }

    #[test]
    fn errors_say_where() {
        let error = UriRules::Loose.check("com..x").expect_err("an empty component");
        assert_eq!(error.to_string(), "invalid URI: an empty component at octet 4");
    }

    /// Characters that the rules tell apart.
    const STRIKING: [char; 12] = ['a', 'b', '.', 'Z', 'é', '_', '#', '\u{1c}', '\u{2003}', ' ', '0', '-'];

    proptest! {
        #[test]
        fn agrees_with_the_text(characters in prop::collection::vec(prop::sample::select(&STRIKING[..]), 0..=8)) {
            let uri = String::from_iter(characters);
            for rules in [UriRules::Loose, UriRules::Strict] {
                for policy in MatchPolicy::ALL {
                    prop_assert_eq!(rules.check_pattern(&uri, policy).is_ok(), naive(rules, &uri, policy));
                }
                prop_assert_eq!(rules.check(&uri).is_ok(), naive(rules, &uri, MatchPolicy::Exact));
            }
        }
    }
}
