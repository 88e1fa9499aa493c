//! What payloads must be like: the `validate` of a rule.
//!
//! A payload is looked at as JSON, `{"args": [...], "kwargs": {...}}` (each empty where the message has none), and judged by a JSON Schema.
//! What JSON has no form for is not valid: octets are strings there, as WAMP writes them, and what cannot be written is refused. So is
//! a dict that has a key twice: schema and receiver could each look at another of its values.
//!
//! A schema refers to nothing outside of itself: nothing is fetched, neither from the network nor from files. Its patterns are those
//! that can be matched in linear time. What it costs to judge a payload depends on the schema, which the configuration answers for.

use std::fmt;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use wampline_wire::{Payload, Serializer};

/// What is said about a payload is cut to so many octets.
const TEXT_BYTES_MAX: usize = 300;

/// What the payloads must be like of messages that a rule permits. Those without a schema may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// Of each CALL, also where it is one of several of a progressive call.
    pub call: Option<PayloadSchema>,
    /// Of each YIELD that answers such a call, progressive ones too.
    pub call_result: Option<PayloadSchema>,
    /// Of PUBLISH.
    pub event: Option<PayloadSchema>,
}

/// A JSON Schema for payloads.
#[derive(Clone)]
pub struct PayloadSchema(Arc<Compiled>);

struct Compiled {
    document: Value,
    validator: Validator,
}

impl PayloadSchema {
    /// Reads a schema, written in JSON, of any draft from 4 to 2020-12; the latter where it does not say.
    ///
    /// # Errors
    /// If it is no JSON, no schema, refers to another document, or has a pattern that takes backtracking.
    pub fn read(text: &str) -> Result<PayloadSchema, String> {
        let document: Unique = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let patterns = PatternOptions::regex();
        let built = jsonschema::options().offline().with_pattern_options(patterns).build(&document.0);
        let validator = built.map_err(|error| match error.instance_path().as_str() {
            "" => error.to_string(),
            path => format!("{error} at {path}"),
        })?;
        Ok(PayloadSchema(Arc::new(Compiled { document: document.0, validator })))
    }

    /// Judges a payload.
    ///
    /// # Errors
    /// What is wrong with it, without its values.
    pub fn check(&self, payload: Payload<'_>) -> Result<(), String> {
        let inexpressible = |_| String::from("it cannot be expressed in JSON");
        let json = payload.transcode(Serializer::Json).map_err(inexpressible)?;
        let (args, kwargs) = json.as_payload().spans();
        let args = read(args)?.unwrap_or_else(|| Value::Array(Vec::new()));
        if !args.is_array() {
            return Err("it is opaque".into());
        }
        let kwargs = read(kwargs)?.unwrap_or_else(|| Value::Object(Map::new()));
        let parts = [("args", args), ("kwargs", kwargs)];
        let whole = Value::Object(parts.map(|(key, value)| (key.to_owned(), value)).into_iter().collect());
        self.0.validator.validate(&whole).map_err(|error| {
            let mut text = format!("{} at {}", error.masked(), error.instance_path());
            let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or_default());
            text
        })
    }
}

impl PartialEq for PayloadSchema {
    fn eq(&self, other: &PayloadSchema) -> bool {
        self.0.document == other.0.document
    }
}

impl Eq for PayloadSchema {}

impl fmt::Debug for PayloadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadSchema({})", self.0.document)
    }
}

fn read(octets: Option<&[u8]>) -> Result<Option<Value>, String> {
    let parse = |octets| serde_json::from_slice::<Unique>(octets).map(|found| found.0);
    octets.map(parse).transpose().map_err(|error| {
        if error.to_string().starts_with(TWICE) { TWICE.into() } else { "it cannot be read as JSON".into() }
    })
}

/// What is said of a dict that has a key twice.
const TWICE: &str = "a dict has a key twice";

/// A value whose dicts have each key once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Unique(value)) = list.next_element()? {
            found.push(value);
        }
        Ok(Value::Array(found))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut dict: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some((key, Unique(value))) = dict.next_entry::<String, Unique>()? {
            if found.insert(key, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(found))
    }
}

// (Miri takes minutes for one schema, and there is no unsafe code of ours in it.)
#[cfg(all(test, not(miri)))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use wampline_wire::{Dict, List, PayloadBuf, Value as Wamp};

    use super::*;

    fn schema(text: &str) -> PayloadSchema {
        PayloadSchema::read(text).unwrap()
    }

    fn check(schema: &PayloadSchema, args: &[Wamp<'_>], kwargs: &[(&str, Wamp<'_>)]) -> Result<(), String> {
        let results = [Serializer::Json, Serializer::MsgPack, Serializer::Cbor].map(|serializer| {
            schema.check(PayloadBuf::from_values(serializer, args, kwargs).unwrap().as_payload())
        });
        let [first, others @ ..] = results;
        assert!(others.iter().all(|other| *other == first), "{first:?} {others:?}");
        first
    }

    #[test]
    fn arguments_are_judged_in_every_serializer() {
        let sum = schema(
            r#"{"properties": {
                "args": {"prefixItems": [{"type": "integer"}, {"type": "integer"}], "minItems": 2, "items": false},
                "kwargs": {"properties": {"unit": {"enum": ["m", "km"]}}, "additionalProperties": false}}}"#,
        );
        let (one, text) = (Wamp::Uint(1), |text: &'static str| Wamp::Str(text.into()));
        assert_eq!(check(&sum, &[one.clone(), Wamp::Int(-1)], &[]), Ok(()));
        assert_eq!(check(&sum, &[one.clone(), one.clone()], &[("unit", text("km"))]), Ok(()));
        let wrong = check(&sum, &[one.clone(), text("secret")], &[]).unwrap_err();
        assert_eq!(wrong, "value is not of type \"integer\" at /args/1");
        assert!(check(&sum, std::slice::from_ref(&one), &[]).is_err());
        assert!(check(&sum, &[one.clone(), one.clone(), one.clone()], &[]).is_err());
        assert!(check(&sum, &[one.clone(), one.clone()], &[("unit", text("mile"))]).is_err());
        assert!(check(&sum, &[one.clone(), one], &[("more", Wamp::Null)]).is_err());
        assert_eq!(sum.check(Payload::NONE).unwrap_err(), "value has less than 2 items at /args");
    }

    #[test]
    fn nested_values_and_octets() {
        let nested =
            schema(r#"{"properties": {"args": {"items": {"properties": {"a": {"maxLength": 6}}}}}}"#);
        let dict = |octets: &'static [u8]| {
            check(&nested, &[Wamp::Dict(Dict::pairs(&[("a", Wamp::Bytes(octets.into()))]))], &[])
        };
        // A zero and base64.
        assert_eq!(dict(b"abc"), Ok(()));
        assert!(dict(b"abcdef").is_err());
        let deep = Payload::NONE;
        assert_eq!(schema("true").check(deep), Ok(()));
        assert!(schema("false").check(deep).is_err());
        let list = [Wamp::List(List::items(&[Wamp::Null]))];
        assert!(
            check(&schema(r#"{"properties": {"args": {"items": {"type": "null"}}}}"#), &list, &[]).is_err()
        );
    }

    #[test]
    fn what_is_said_is_short_and_shows_no_values() {
        let names = format!("[{}]", (0..100).map(|n| format!("\"name{n}\"")).collect::<Vec<_>>().join(","));
        let chosen = schema(&format!(r#"{{"properties": {{"args": {{"items": {{"enum": {names}}}}}}}}}"#));
        let text = check(&chosen, &[Wamp::Str("secret".into())], &[]).unwrap_err();
        assert!(text.len() <= TEXT_BYTES_MAX && !text.contains("secret"), "{text}");
    }

    #[test]
    fn a_key_that_is_there_twice() {
        assert_eq!(read(Some(br#"{"a": 1, "a": "x"}"#)), Err(TWICE.into()));
        assert_eq!(read(Some(br#"[{"b": {"a": 1, "a": 1}}]"#)), Err(TWICE.into()));
        assert!(PayloadSchema::read(r#"{"type": "object", "type": "array"}"#).is_err());
        assert!(read(Some(b"[1e999]")).is_err());
    }

    #[test]
    fn schemas_that_are_none() {
        for text in [
            "",
            "[]",
            r#"{"type": "numbr"}"#,
            r#"{"$ref": "https://example.com/other.json"}"#,
            r#"{"$ref": "file:///etc/hostname"}"#,
            r#"{"$ref": "other.json"}"#,
            r##"{"$ref": "#/$defs/missing"}"##,
            r#"{"pattern": "(?=a)b"}"#,
            r#"{"patternProperties": {"(a)\\1": {}}}"#,
            r#"{"$schema": "http://example.com/schema"}"#,
        ] {
            assert!(PayloadSchema::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_schema_that_goes_round_ends() {
        let round = r##"{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}},
            "properties": {"args": {"items": {"$ref": "#/$defs/a"}}}}"##;
        assert_eq!(check(&schema(round), &[Wamp::Null], &[]), Ok(()));
        let tree = r##"{"properties": {"args": {"$ref": "#/$defs/tree"}},
            "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}"##;
        let mut text = "[".repeat(100) + &"]".repeat(100);
        let judge = |text: &str| {
            let message = format!("[16, 1, {{}}, \"t\", {text}]");
            let parsed = wampline_wire::Message::parse(Serializer::Json, message.as_bytes()).unwrap();
            let wampline_wire::Message::Publish { payload, .. } = parsed else { panic!("no PUBLISH") };
            schema(tree).check(payload)
        };
        assert_eq!(judge(&text), Ok(()));
        text.insert(100, '1');
        assert!(judge(&text).is_err());
    }
}
