//! The URIs and patterns of the random load, few enough that clients meet, and a naive matcher for them.

use fastrand::Rng;

/// How a pattern is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Policy {
    Exact,
    Prefix,
    Wildcard,
}

/// A pattern with its policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    pub(crate) policy: Policy,
    pub(crate) uri: String,
}

pub(crate) const URIS: [&str; 6] = ["a.b.c", "a.b.d", "a.x.c", "b.b.c", "a.b", "a.bb.c"];
const PREFIXES: [&str; 5] = ["a", "a.b", "a.b.", "b.", ""];
const WILDCARDS: [&str; 6] = ["a..c", ".b.", "..c", "a.b.", "..", "a."];

/// A realm that there never is.
pub(crate) const UNKNOWN_REALM: &str = "nowhere";

/// Realms that there are where realms are made from a template, beside `realm1` and `realm2`.
const REALMS_MADE: [&str; 4] = ["realm.a", "realm.b", "realm.c", "realm"];

/// How many of the URIs and patterns a run uses: the fewer, the more its clients meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    most: usize,
    /// Realms are made from a template as clients join them.
    pub(crate) makes_realms: bool,
}

impl Pool {
    pub(crate) fn new(random: &mut Rng) -> Pool {
        Pool { most: [1, 2, URIS.len()][random.usize(..3)], makes_realms: random.bool() }
    }

    /// A realm to join; mostly the same one.
    pub(crate) fn realm(self, random: &mut Rng) -> &'static str {
        match random.u8(..50) {
            0 => UNKNOWN_REALM,
            1..=9 => "realm2",
            10..=14 if self.makes_realms => REALMS_MADE[random.usize(..REALMS_MADE.len())],
            _ => "realm1",
        }
    }

    /// A topic or procedure.
    pub(crate) fn uri(self, random: &mut Rng) -> &'static str {
        self.choose(&URIS, random)
    }

    /// A pattern to subscribe or register; mostly exact.
    pub(crate) fn pattern(self, random: &mut Rng) -> Pattern {
        let (policy, uri) = match random.u8(..6) {
            0 => (Policy::Prefix, self.choose(&PREFIXES, random)),
            1 => (Policy::Wildcard, self.choose(&WILDCARDS, random)),
            _ => (Policy::Exact, self.uri(random)),
        };
        Pattern { policy, uri: uri.into() }
    }

    fn choose(self, from: &[&'static str], random: &mut Rng) -> &'static str {
        from[random.usize(..self.most.min(from.len()))]
    }
}

/// A topic of the router's own, or several.
pub(crate) fn meta_pattern(random: &mut Rng) -> Pattern {
    let (policy, uri) = [
        (Policy::Exact, "wamp.session.on_join"),
        (Policy::Exact, "wamp.session.on_leave"),
        (Policy::Exact, "wamp.subscription.on_subscribe"),
        (Policy::Exact, "wamp.registration.on_register"),
        (Policy::Exact, "wamp.reflect.on_define"),
        (Policy::Exact, "wamp.reflect.on_undefine"),
        (Policy::Prefix, "wamp.reflect."),
        (Policy::Prefix, "wamp."),
        (Policy::Prefix, "wamp.subscription."),
        (Policy::Prefix, "wamp.registration"),
        (Policy::Wildcard, "wamp.."),
    ][random.usize(..11)];
    Pattern { policy, uri: uri.into() }
}

/// A URI that breaks the rules.
pub(crate) fn bad_uri(random: &mut Rng) -> &'static str {
    ["a..b", "a b", "", "a#", "wamp.x"][random.usize(..5)]
}

impl Policy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Exact => "exact",
            Policy::Prefix => "prefix",
            Policy::Wildcard => "wildcard",
        }
    }

    pub(crate) fn of_options(options: &serde_json::Value) -> Policy {
        match options["match"].as_str() {
            Some("prefix") => Policy::Prefix,
            Some("wildcard") => Policy::Wildcard,
            _ => Policy::Exact,
        }
    }
}

impl Pattern {
    pub(crate) fn matches(&self, uri: &str) -> bool {
        match self.policy {
            Policy::Exact => self.uri == uri,
            Policy::Prefix => uri.starts_with(&self.uri),
            Policy::Wildcard => {
                let (pattern, uri): (Vec<&str>, Vec<&str>) =
                    (self.uri.split('.').collect(), uri.split('.').collect());
                pattern.len() == uri.len()
                    && pattern
                        .iter()
                        .zip(&uri)
                        .all(|(pattern, component)| pattern.is_empty() || pattern == component)
            }
        }
    }

    /// Of two patterns that match a URI the one with the smaller rank takes the call.
    pub(crate) fn rank(&self) -> (Policy, Vec<i64>) {
        let parts = match self.policy {
            Policy::Exact => vec![],
            Policy::Prefix => vec![-(self.uri.len() as i64)],
            Policy::Wildcard => {
                let components: Vec<&str> = self.uri.split('.').collect();
                components
                    .split(|component| component.is_empty())
                    .map(|portion| -(portion.len() as i64))
                    .collect()
            }
        };
        (self.policy, parts)
    }
}
