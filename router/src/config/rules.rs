//! The rules of a realm that hold by URI: disclosure, trust levels, histories.

use std::ops::Range;
use std::sync::Arc;

use wampline_routing::history::{HistoryRule, HistoryRules};
use wampline_routing::pattern::PatternError;
use wampline_routing::uri::{MatchPolicy, UriRules};
use wampline_routing::{Disclosure, DisclosureRule, TrustLevels, TrustRule};

use super::diagnostics::Diagnostics;
use super::raw;
use super::values::{Checked, Choice, Pattern};

/// Who is disclosed.
pub(super) fn disclosure(
    rules: Vec<raw::Disclosure>,
    uris: UriRules,
    found: &mut Diagnostics,
) -> Arc<Disclosure> {
    let mut table = Disclosure::default();
    for rule in rules {
        let says = DisclosureRule { publisher: rule.publisher.take(found), caller: rule.caller.take(found) };
        let Some((place, policy, uri)) = pattern(rule.uri, rule.policy, uris, found) else { continue };
        match table.add(policy, &uri, says) {
            Ok(None) => {}
            Ok(Some(_)) => found.add(place, format!("there is a rule for {uri:?} already, expected one")),
            Err(error) => refuse(place, error, found),
        }
    }
    Arc::new(table)
}

/// Who is trusted how far.
pub(super) fn trust_levels(
    rules: Vec<raw::TrustLevel>,
    uris: UriRules,
    found: &mut Diagnostics,
) -> Arc<TrustLevels> {
    let mut table = TrustLevels::default();
    for rule in rules {
        let level = |level: Option<usize>| level.and_then(|level| u32::try_from(level).ok());
        let says = TrustRule {
            role: rule.role.take(found).map(Into::into),
            publisher: level(rule.publisher.get(found)),
            caller: level(rule.caller.get(found)),
        };
        let Some((place, policy, uri)) = pattern(rule.uri, rule.policy, uris, found) else { continue };
        if let Err(error) = table.add(policy, &uri, says) {
            refuse(place, error, found);
        }
    }
    Arc::new(table)
}

/// What has a history.
pub(super) fn history(
    rules: Vec<raw::History>,
    uris: UriRules,
    found: &mut Diagnostics,
) -> Arc<HistoryRules> {
    let mut table = HistoryRules::default();
    for rule in rules {
        let (events_max, octets_max) = (rule.events_max.get(found), rule.bytes_max.get(found));
        let Some((place, policy, uri)) = pattern(rule.uri, rule.policy, uris, found) else { continue };
        match table.add(HistoryRule { policy, uri: uri.as_str().into(), events_max, octets_max }) {
            Ok(true) => {}
            Ok(false) => found.add(place, format!("{uri:?} has a history already, expected one")),
            Err(error) => refuse(place, error, found),
        }
    }
    Arc::new(table)
}

/// Where a pattern stands, how it matches and what it is.
type Placed = (Option<Range<usize>>, MatchPolicy, String);

/// The pattern of a rule, checked as one of a SUBSCRIBE would be.
fn pattern(
    uri: Checked<Pattern>,
    policy: Checked<Choice<MatchPolicy>>,
    rules: UriRules,
    found: &mut Diagnostics,
) -> Option<Placed> {
    let (place, policy) = (uri.span(), policy.get(found));
    let uri = uri.take(found)?;
    match rules.check_pattern(&uri, policy) {
        Ok(()) => Some((place, policy, uri)),
        Err(error) => {
            found.add(place, format!("{uri:?} cannot be matched as {}: {error}", policy.as_str()));
            None
        }
    }
}

fn refuse(place: Option<Range<usize>>, error: PatternError, found: &mut Diagnostics) {
    found.add(place, error.to_string());
}
