//! What a realm's configuration says of publishers and callers, by URI: whether their identity is disclosed (advanced
//! profile, "Publisher Identification" and "Caller Identification") and how far they are trusted ("Publication Trust
//! Levels" and "Call Trust Levels").
//!
//! Both are tables of rules for URI patterns. Of the rules that match, the one that a call would prefer speaks first
//! (exact, then the longest prefix, then wildcards); where it is silent about publishers (or callers), the next one speaks.

use crate::pattern::{PatternError, PatternTable};
use crate::uri::MatchPolicy;

/// Whether an identity is disclosed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disclose {
    /// If `disclose_me` asks for it.
    #[default]
    OnRequest,
    /// In any case.
    Always,
    /// Not at all; a request that asks for it is refused.
    Never,
}

/// A request asked for disclosure where that is not allowed: `wamp.error.option_disallowed.disclose_me`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisclosureRefused;

/// What a rule says about disclosure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisclosureRule {
    /// Of publishers; `None`: nothing.
    pub publisher: Option<Disclose>,
    /// Of callers; `None`: nothing.
    pub caller: Option<Disclose>,
}

/// The rules about disclosure of one realm. Without any it is up to the requests.
#[derive(Debug, Default)]
pub struct Disclosure {
    rules: PatternTable<DisclosureRule>,
}

/// What a rule says about trust. Higher is more; 0 is the lowest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustRule {
    /// The authrole that it is about; `None`: all.
    pub role: Option<Box<str>>,
    /// Of publishers; `None`: nothing.
    pub publisher: Option<u32>,
    /// Of callers; `None`: nothing.
    pub caller: Option<u32>,
}

/// The rules about trust of one realm. Without any no level is told.
#[derive(Debug, Default)]
pub struct TrustLevels {
    rules: PatternTable<Vec<TrustRule>>,
}

impl Disclose {
    /// Whether to disclose, given whether the request asks for it.
    ///
    /// # Errors
    /// If it asks and must not.
    pub fn decide(self, is_asked: bool) -> Result<bool, DisclosureRefused> {
        match self {
            Disclose::OnRequest => Ok(is_asked),
            Disclose::Always => Ok(true),
            Disclose::Never if is_asked => Err(DisclosureRefused),
            Disclose::Never => Ok(false),
        }
    }
}

impl Disclosure {
    /// Adds the rule of a pattern; gives back the one that the pattern had.
    ///
    /// # Errors
    /// As [`PatternTable::insert`].
    pub fn add(
        &mut self,
        policy: MatchPolicy,
        uri: &str,
        rule: DisclosureRule,
    ) -> Result<Option<DisclosureRule>, PatternError> {
        self.rules.insert(policy, uri, rule)
    }

    /// Whether publishers to this topic are disclosed.
    pub fn publisher(&self, topic: &str) -> Disclose {
        self.find(topic, |rule| rule.publisher)
    }

    /// Whether callers of this procedure are disclosed.
    pub fn caller(&self, procedure: &str) -> Disclose {
        self.find(procedure, |rule| rule.caller)
    }

    fn find(&self, uri: &str, says: impl Fn(&DisclosureRule) -> Option<Disclose>) -> Disclose {
        if self.rules.is_empty() {
            return Disclose::default();
        }
        self.rules.matches(uri).find_map(|(_, _, rule)| says(rule)).unwrap_or_default()
    }
}

impl TrustLevels {
    /// Adds a rule for a pattern. Of several rules of one pattern those for a role speak before the one for all.
    ///
    /// # Errors
    /// As [`PatternTable::insert`].
    pub fn add(&mut self, policy: MatchPolicy, uri: &str, rule: TrustRule) -> Result<(), PatternError> {
        match self.rules.get_mut(policy, uri) {
            Some(rules) => {
                rules.push(rule);
                rules.sort_by_key(|rule| rule.role.is_none());
            }
            None => {
                self.rules.insert(policy, uri, vec![rule])?;
            }
        }
        Ok(())
    }

    /// The level of a publication to this topic by a session with this role; `None`: none is told.
    pub fn publisher(&self, topic: &str, authrole: &str) -> Option<u32> {
        self.find(topic, authrole, |rule| rule.publisher)
    }

    /// The level of a call of this procedure by a session with this role; `None`: none is told.
    pub fn caller(&self, procedure: &str, authrole: &str) -> Option<u32> {
        self.find(procedure, authrole, |rule| rule.caller)
    }

    fn find(&self, uri: &str, authrole: &str, says: impl Fn(&TrustRule) -> Option<u32>) -> Option<u32> {
        if self.rules.is_empty() {
            return None;
        }
        let rules = self.rules.matches(uri).flat_map(|(_, _, rules)| rules);
        rules.filter(|rule| rule.role.as_deref().is_none_or(|role| role == authrole)).find_map(says)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use MatchPolicy::{Exact, Prefix, Wildcard};

    #[test]
    fn the_most_specific_rule_that_says_something_holds() {
        let mut rules = Disclosure::default();
        assert_eq!(rules.publisher("a.b"), Disclose::OnRequest);
        let rule = |publisher, caller| DisclosureRule { publisher, caller };
        rules.add(Prefix, "", rule(Some(Disclose::Never), Some(Disclose::Always))).unwrap();
        rules.add(Prefix, "com.", rule(Some(Disclose::Always), None)).unwrap();
        rules.add(Exact, "com.a", rule(None, Some(Disclose::Never))).unwrap();
        assert_eq!((rules.publisher("org.x"), rules.caller("org.x")), (Disclose::Never, Disclose::Always));
        assert_eq!((rules.publisher("com.x"), rules.caller("com.x")), (Disclose::Always, Disclose::Always));
        assert_eq!((rules.publisher("com.a"), rules.caller("com.a")), (Disclose::Always, Disclose::Never));
        assert_eq!(
            rules.add(Exact, "com.a", rule(None, None)).unwrap(),
            Some(rule(None, Some(Disclose::Never)))
        );
    }

    #[test]
    fn who_asks_in_vain_is_refused() {
        assert_eq!([true, false].map(|asks| Disclose::OnRequest.decide(asks)), [Ok(true), Ok(false)]);
        assert_eq!([true, false].map(|asks| Disclose::Always.decide(asks)), [Ok(true), Ok(true)]);
        assert_eq!(
            [true, false].map(|asks| Disclose::Never.decide(asks)),
            [Err(DisclosureRefused), Ok(false)]
        );
    }

    #[test]
    fn trust_depends_on_pattern_and_role() {
        let mut levels = TrustLevels::default();
        assert_eq!(levels.publisher("a", "admin"), None);
        let rule = |role: Option<&str>, publisher, caller| TrustRule {
            role: role.map(Into::into),
            publisher,
            caller,
        };
        levels.add(Wildcard, "com..x", rule(None, Some(1), None)).unwrap();
        levels.add(Wildcard, "com..x", rule(Some("admin"), Some(9), Some(8))).unwrap();
        levels.add(Exact, "com.a.x", rule(Some("admin"), None, Some(7))).unwrap();
        assert_eq!(levels.publisher("com.a.x", "admin"), Some(9));
        assert_eq!(levels.caller("com.a.x", "admin"), Some(7));
        assert_eq!(levels.caller("com.b.x", "admin"), Some(8));
        assert_eq!(levels.publisher("com.a.x", "guest"), Some(1));
        assert_eq!(levels.caller("com.a.x", "guest"), None);
        assert_eq!(levels.publisher("com.x", "admin"), None);
    }
}
