//! What clients may do, as it is written: the tables of roles.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use wampline_routing::Disclose;
use wampline_routing::authorization::{Action, CacheScope};
use wampline_routing::uri::MatchPolicy;

use super::super::lists::{Allowed, List, Networks};
use super::super::values::{Checked, Choice, Flag, Named, OrOff, Pattern, Span, Text};
use super::{H, MS, S};

/// What sessions of this role may do.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Role {
    /// Its name, the authrole.
    pub name: Checked<Text>,
    /// Whether what no rule speaks of is allowed.
    #[serde(default)]
    pub allow_by_default: Checked<Flag<false>>,
    /// Where its sessions may come from.
    #[serde(default)]
    pub networks: List<Networks>,
    /// Its rules.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// The procedure that is asked where no rule speaks.
    #[serde(default)]
    #[schemars(with = "Authorizer")]
    pub authorizer: Option<Spanned<Authorizer>>,
}

/// What a role may do with some URIs.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Permission {
    /// The URI or pattern.
    pub uri: Checked<Pattern>,
    /// How it matches.
    #[serde(default, rename = "match")]
    pub policy: Checked<Choice<MatchPolicy>>,
    /// What is allowed; all else is denied.
    #[serde(default)]
    pub allow: List<Allowed>,
    /// Whether callers are disclosed.
    #[serde(default)]
    pub disclose_caller: Checked<Choice<Disclose>>,
    /// Whether publishers are disclosed.
    #[serde(default)]
    pub disclose_publisher: Checked<Choice<Disclose>>,
    /// Whether the decision may be kept.
    #[serde(default)]
    pub cache: Checked<Flag<true>>,
    /// What payloads must be like.
    #[serde(default)]
    #[schemars(with = "Validate")]
    pub validate: Option<Validate>,
}

/// What payloads must be like: files with JSON Schemas.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Validate {
    /// Of calls.
    #[serde(default)]
    pub call: Checked<Text>,
    /// Of their results.
    #[serde(default)]
    pub call_result: Checked<Text>,
    /// Of publications.
    #[serde(default)]
    pub event: Checked<Text>,
}

/// A procedure that is asked what sessions may do.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Authorizer {
    /// The procedure.
    pub procedure: Checked<Text>,
    /// How long an answer may take.
    #[serde(default)]
    pub timeout: Checked<Span<{ MS }, { 60 * S }, { 5 * S }>>,
    /// Whom an answer that may be kept is for.
    #[serde(default)]
    pub cache_for: Checked<Choice<CacheScope>>,
    /// For how long an answer that permits is kept.
    #[serde(default)]
    pub allowed_ttl: Checked<OrOff<Span<{ MS }, { 24 * H }, { 300 * S }>, true>>,
    /// For how long an answer that denies is kept.
    #[serde(default)]
    pub denied_ttl: Checked<OrOff<Span<{ MS }, { 24 * H }, { 30 * S }>, true>>,
}

impl Named for CacheScope {
    const CHOICES: &'static [(&'static str, CacheScope)] =
        &[("session", CacheScope::Session), ("role", CacheScope::Role)];
}

impl Named for Action {
    const CHOICES: &'static [(&'static str, Action)] = &[
        (Action::Call.as_str(), Action::Call),
        (Action::Register.as_str(), Action::Register),
        (Action::Publish.as_str(), Action::Publish),
        (Action::Subscribe.as_str(), Action::Subscribe),
    ];
}
