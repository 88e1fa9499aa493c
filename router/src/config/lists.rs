//! Lists in the configuration: of names, of paths, of origins. Every element keeps its own place, so that a message
//! points at the element and not at the list.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use toml::{Spanned, Value};

use super::diagnostics::Diagnostics;
use super::values::{Choice, Named, Setting, Text, unexpected};

mod access;

pub(super) use access::{Allowed, Networks, SourceName, Sources};

/// What a list holds.
pub(super) trait Elements {
    /// One element.
    type Element: Setting<Out: PartialEq + Debug>;
    /// Whether the list may be empty.
    const MAY_BE_EMPTY: bool;
    /// What holds when the key is absent.
    fn default() -> Vec<<Self::Element as Setting>::Out>;
    /// The same for the schema.
    fn default_json() -> serde_json::Value;
}

type Out<K> = <<K as Elements>::Element as Setting>::Out;

/// A list as it stands in the file; absent, it is the default.
#[derive(Debug)]
pub(super) struct List<K: Elements> {
    span: Option<Range<usize>>,
    elements: Vec<(Range<usize>, Value)>,
    kind: PhantomData<K>,
}

impl<K: Elements> List<K> {
    /// The elements in their order. What is wrong with them goes to `found`.
    pub(super) fn get(self, found: &mut Diagnostics) -> Vec<Out<K>> {
        self.placed(found).into_iter().map(|(_, element)| element).collect()
    }

    /// The elements in their order, each with its place; those of the default have none.
    pub(super) fn placed(self, found: &mut Diagnostics) -> Vec<(Option<Range<usize>>, Out<K>)> {
        let Some(span) = self.span else {
            return K::default().into_iter().map(|element| (None, element)).collect();
        };
        if self.elements.is_empty() && !K::MAY_BE_EMPTY {
            found.add(Some(span), "the list is empty, expected at least one element (or no such key)");
        }
        let mut list: Vec<(Option<Range<usize>>, Out<K>)> = Vec::with_capacity(self.elements.len());
        for (span, value) in self.elements {
            match K::Element::read(&value) {
                Ok(element) if list.iter().any(|(_, other)| *other == element) => {
                    found.add(Some(span), format!("{value} is in the list twice, expected it once"));
                }
                Ok(element) => list.push((Some(span), element)),
                Err(message) => found.add(Some(span), message),
            }
        }
        list
    }

    /// Where the list stands; `None` when the default holds.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }
}

impl<K: Elements> Default for List<K> {
    fn default() -> List<K> {
        List { span: None, elements: Vec::new(), kind: PhantomData }
    }
}

impl<'de, K: Elements> Deserialize<'de> for List<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<K>, D::Error> {
        let list = Spanned::<Vec<Spanned<Value>>>::deserialize(deserializer)?;
        let span = Some(list.span());
        let elements =
            list.into_inner().into_iter().map(|value| (value.span(), value.into_inner())).collect();
        Ok(List { span, elements, kind: PhantomData })
    }
}

impl<K: Elements> JsonSchema for List<K> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "List".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut items = K::Element::schema();
        items.remove("default");
        let mut schema = json_schema!({
            "type": "array",
            "items": items,
            "uniqueItems": true,
            "minItems": usize::from(!K::MAY_BE_EMPTY),
        });
        // A default that could not be written says that absence has a meaning of its own.
        if K::MAY_BE_EMPTY || !K::default().is_empty() {
            schema.insert("default".into(), K::default_json());
        }
        schema
    }
}

/// Names of `T`; absent: every one.
#[derive(Debug)]
pub(super) struct Names<T>(PhantomData<T>);

impl<T: Named + Debug> Elements for Names<T> {
    type Element = Choice<T>;
    const MAY_BE_EMPTY: bool = false;

    fn default() -> Vec<T> {
        T::CHOICES.iter().map(|(_, choice)| *choice).collect()
    }
    fn default_json() -> serde_json::Value {
        T::CHOICES.iter().map(|(name, _)| *name).collect()
    }
}

/// Texts that are not empty; absent: none.
#[derive(Debug)]
pub(super) struct Texts;

impl Elements for Texts {
    type Element = Text;
    const MAY_BE_EMPTY: bool = false;

    fn default() -> Vec<String> {
        Vec::new()
    }
    fn default_json() -> serde_json::Value {
        json!([])
    }
}

/// Paths of WebSocket upgrades.
#[derive(Debug)]
pub(super) struct PathList;

/// Paths at which a WebSocket upgrade is accepted by default.
const PATHS: [&str; 2] = ["/ws", "/"];

impl Elements for PathList {
    type Element = UpgradePath;
    const MAY_BE_EMPTY: bool = false;

    fn default() -> Vec<String> {
        PATHS.map(String::from).to_vec()
    }
    fn default_json() -> serde_json::Value {
        json!(PATHS)
    }
}

/// The path of a request target: begins with `/`, without query and fragment.
#[derive(Debug)]
pub(super) struct UpgradePath;

impl Setting for UpgradePath {
    type Out = String;

    fn read(value: &Value) -> Result<String, String> {
        let is_path = |text: &&str| {
            text.starts_with('/')
                && text.bytes().all(|octet| octet.is_ascii_graphic() && !b"?#".contains(&octet))
        };
        match value.as_str().filter(is_path) {
            Some(path) => Ok(path.into()),
            None => Err(unexpected(value, r#"a path such as "/ws", without spaces, query and fragment"#)),
        }
    }

    fn default() -> Option<String> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^/[!-~]*$" })
    }
}

/// Origins that are allowed besides same host and loopback.
#[derive(Debug)]
pub(super) struct OriginList;

impl Elements for OriginList {
    type Element = Origin;
    const MAY_BE_EMPTY: bool = true;

    fn default() -> Vec<String> {
        Vec::new()
    }
    fn default_json() -> serde_json::Value {
        json!([])
    }
}

/// `*`, `null`, `https://example.com`, `https://*.example.com:8443`; as browsers send it: in lower case, without the
/// port that the scheme implies.
#[derive(Debug)]
pub(super) struct Origin;

impl Setting for Origin {
    type Out = String;

    fn read(value: &Value) -> Result<String, String> {
        match value.as_str() {
            Some(text) if text == "*" || text == "null" || is_origin(text) => Ok(as_sent(text)),
            _ => Err(unexpected(
                value,
                r#"an origin such as "https://example.com", "https://*.example.com:8443", "null", or "*" for all"#,
            )),
        }
    }

    fn default() -> Option<String> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/\s]+)$" })
    }
}

fn as_sent(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    for (scheme, implied) in [("https://", ":443"), ("http://", ":80")] {
        if let Some(short) = origin.strip_suffix(implied).filter(|short| short.starts_with(scheme)) {
            return short.into();
        }
    }
    origin
}

/// Scheme and host (which may begin with `*.`), with an optional port; no path, not even `/`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+.-".contains(&octet));
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0));
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_ok = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let host = host.strip_prefix("*.").unwrap_or(host);
            !host.is_empty()
                && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
        }
    };
    scheme_ok && host_ok && port_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        for (origin, sent) in [
            ("https://Example.com:443", "https://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("https://example.com:80", "https://example.com:80"),
            ("http://example.com:443", "http://example.com:443"),
            ("http://example.com:8080", "http://example.com:8080"),
            ("app://x:80", "app://x:80"),
            ("http://[::1]:80", "http://[::1]"),
            ("*", "*"),
        ] {
            assert_eq!(as_sent(origin), sent);
        }
    }

    #[test]
    fn origins_have_a_scheme_and_a_host_and_nothing_more() {
        for origin in [
            "https://example.com",
            "http://localhost:8080",
            "https://*.example.com:8443",
            "http://[::1]:80",
            "http://[::1]",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for origin in [
            "",
            "example.com",
            "https://",
            "https://*",
            "https://example.com/",
            "https://a b",
            "https://a:0",
            "https://a:http",
            "https://a:99999",
            "https://user@a",
            "http://[::1",
            "1http://a",
            "https://a.*.b",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}
