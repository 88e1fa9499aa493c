//! The URI of a realm (basic profile, "URIs"): what the routing core thinks of it, in words for the configuration.

use wampline_routing::uri::{UriError, UriRules, is_reserved};

/// Checks a realm's URI by the core's own rules. The first component `wamp` is the protocol's own.
///
/// # Errors
/// What is wrong and what was expected.
pub(super) fn check_realm(name: &str, rules: UriRules) -> Result<(), String> {
    let why = match rules.check(name) {
        Ok(()) if !is_reserved(name) => return Ok(()),
        Ok(()) => "names that begin with \"wamp\" belong to the protocol, expected another".into(),
        Err(UriError::EmptyComponent { .. }) => {
            "a component is empty, expected names joined by single dots".into()
        }
        Err(UriError::Whitespace { .. }) => "it holds white space, expected none".into(),
        Err(UriError::NumberSign { .. }) => "it holds '#', expected none".into(),
        Err(UriError::NotStrict { at }) => {
            let culprit = name.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
            format!(
                "{culprit:?} is not allowed with strict rules, expected lower-case letters, digits and '_'"
            )
        }
    };
    Err(format!("{name:?} is not a realm URI: {why}"))
}
