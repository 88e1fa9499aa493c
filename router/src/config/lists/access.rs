//! Lists of who decides about clients, of where clients come from, and of what they may do.

use schemars::{Schema, json_schema};
use serde_json::json;
use toml::Value;
use wampline_routing::authorization::Action;

use super::Elements;
use crate::config::values::{Choice, Setting, unexpected};

/// Where principals come from. With `PRINCIPALS` they are those of the realm unless something else is said; without, only those
/// outside are asked, and nobody unless something is said.
#[derive(Debug)]
pub(in super::super) struct Sources<const PRINCIPALS: bool>;

/// A source of principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum SourceName {
    /// `principals`: those of the realm's configuration.
    Principals,
    /// `file:PATH`
    File(String),
    /// `procedure:URI`
    Procedure(String),
    /// `hook:NAME`
    Hook(String),
}

impl<const PRINCIPALS: bool> Elements for Sources<PRINCIPALS> {
    type Element = SourceName;
    const MAY_BE_EMPTY: bool = false;

    fn default() -> Vec<SourceName> {
        if PRINCIPALS { vec![SourceName::Principals] } else { Vec::new() }
    }
    fn default_json() -> serde_json::Value {
        if PRINCIPALS { json!(["principals"]) } else { json!([]) }
    }
}

impl Setting for SourceName {
    type Out = SourceName;

    fn read(value: &Value) -> Result<SourceName, String> {
        let source = value.as_str().and_then(|text| match text.split_once(':') {
            None => (text == "principals").then_some(SourceName::Principals),
            Some((_, "")) => None,
            Some(("file", path)) => Some(SourceName::File(path.into())),
            Some(("procedure", uri)) => Some(SourceName::Procedure(uri.into())),
            Some(("hook", name)) => Some(SourceName::Hook(name.into())),
            Some(_) => None,
        });
        source
            .ok_or_else(|| unexpected(value, r#""principals", "file:PATH", "procedure:URI" or "hook:NAME""#))
    }

    fn default() -> Option<SourceName> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^(principals|(file|procedure|hook):.+)$" })
    }
}

/// Networks; absent: no bound.
#[derive(Debug)]
pub(in super::super) struct Networks;

impl Elements for Networks {
    type Element = Network;
    const MAY_BE_EMPTY: bool = false;

    fn default() -> Vec<String> {
        Vec::new()
    }
    fn default_json() -> serde_json::Value {
        json!([])
    }
}

/// An address, a network in CIDR notation, or `unix`.
#[derive(Debug)]
pub(in super::super) struct Network;

impl Setting for Network {
    type Out = String;

    fn read(value: &Value) -> Result<String, String> {
        let form = r#"an address, a network such as "10.0.0.0/8", or "unix""#;
        let text = value.as_str().ok_or_else(|| unexpected(value, form))?;
        let sources = wampline_shard::Sources::new([text]);
        sources.map(|_| text.to_owned()).map_err(|error| format!("{error}, expected {form}"))
    }

    fn default() -> Option<String> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// Actions that are allowed; absent: none.
#[derive(Debug)]
pub(in super::super) struct Allowed;

impl Elements for Allowed {
    type Element = Choice<Action>;
    const MAY_BE_EMPTY: bool = true;

    fn default() -> Vec<Action> {
        Vec::new()
    }
    fn default_json() -> serde_json::Value {
        json!([])
    }
}
