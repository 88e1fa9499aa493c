//! Descriptions of topics, procedures and errors (advanced profile, "Interface Reflection").
//!
//! Beside what clients have defined the router knows its own: the meta procedures, the meta topics and the error URIs.

use std::collections::BTreeMap;
use std::sync::Arc;

use wampline_wire::{Payload, PayloadBuf, Serializer};

use crate::error_uri;
use crate::meta::arguments::{Arguments, MetaError, expected};
use crate::meta::{MetaTopic, Procedure};
use crate::uri::{UriRules, is_reserved};

/// What a URI names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Topic,
    Procedure,
    Error,
}

/// What has been defined in a realm.
#[derive(Debug)]
pub(crate) struct Reflection {
    defined: BTreeMap<(Kind, Box<str>), Arc<PayloadBuf>>,
    octets: usize,
    bytes_max: usize,
}

/// A definition, or the end of one.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) kind: Kind,
    pub(crate) uri: Box<str>,
    /// `None`: it is taken back.
    pub(crate) description: Option<Arc<PayloadBuf>>,
}

/// What an entry costs beside its octets, about.
const ENTRY_BYTES: usize = 128;

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Topic, Kind::Procedure, Kind::Error];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Topic => "topic",
            Kind::Procedure => "procedure",
            Kind::Error => "error",
        }
    }

    /// The router's own URIs of this kind.
    pub(crate) fn own(self) -> impl Iterator<Item = &'static str> {
        let topics = MetaTopic::ALL.iter().filter(move |_| self == Kind::Topic).map(|topic| topic.uri());
        let procedures = Procedure::ALL.iter().filter(move |_| self == Kind::Procedure).map(|(_, uri)| *uri);
        let errors = error_uri::ALL.iter().filter(move |_| self == Kind::Error).copied();
        topics.chain(procedures).chain(errors.filter(|uri| uri.starts_with("wamp.error.")))
    }
}

impl Reflection {
    pub(crate) fn new(bytes_max: usize) -> Reflection {
        Reflection { defined: BTreeMap::new(), octets: 0, bytes_max }
    }

    /// The URIs defined of one kind.
    pub(crate) fn uris(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.defined.keys().filter(move |(of, _)| *of == kind).map(|(_, uri)| &**uri)
    }

    pub(crate) fn len(&self) -> usize {
        self.defined.len()
    }

    /// The description of a URI as a value, in this serializer.
    pub(crate) fn description(&self, kind: Kind, uri: &str, serializer: Serializer) -> Option<PayloadBuf> {
        self.defined.get(&(kind, uri.into()))?.transcode(serializer).ok()
    }

    /// `wamp.reflect.define`: (uri, description or null), and the keyword argument `type`. Gives what has changed.
    pub(crate) fn define(
        &mut self,
        payload: Payload<'_>,
        serializer: Serializer,
    ) -> Result<Option<Definition>, MetaError> {
        let arguments = Arguments::new(payload);
        let (uri, kind) = (arguments.text(0, "uri")?, kind(&arguments)?);
        if UriRules::Loose.check(uri).is_err() || is_reserved(uri) {
            let text = format!("{uri:?} is not a URI that can be described");
            return Err(MetaError::new(error_uri::INVALID_URI, text));
        }
        let key = (kind.unwrap_or(Kind::Procedure), Box::<str>::from(uri));
        let Some(description) = arguments.get(1) else {
            let Some(gone) = self.defined.remove(&key) else { return Ok(None) };
            self.octets -= cost(uri, &gone);
            return Ok(Some(Definition { kind: key.0, uri: key.1, description: None }));
        };
        if description.as_dict().is_none() {
            return Err(expected(1, "description", "a dict, or null to take the description back"));
        }
        let description = PayloadBuf::from_values(serializer, std::slice::from_ref(description), &[])
            .map_err(|error| {
                MetaError::invalid_argument(format!("the description cannot be kept: {error}"))
            })?;
        let replaced = self.defined.get(&key).map_or(0, |known| cost(uri, known));
        let octets = self.octets - replaced + cost(uri, &description);
        if octets > self.bytes_max {
            let text = format!("all descriptions of the realm may have {} octets together", self.bytes_max);
            return Err(MetaError::limit_exceeded(text));
        }
        self.octets = octets;
        let description = Arc::new(description);
        self.defined.insert(key.clone(), description.clone());
        Ok(Some(Definition { kind: key.0, uri: key.1, description: Some(description) }))
    }
}

/// The keyword argument `type`.
pub(crate) fn kind(arguments: &Arguments<'_>) -> Result<Option<Kind>, MetaError> {
    let Some(value) = arguments.keyword("type") else { return Ok(None) };
    let kind = Kind::ALL.into_iter().find(|kind| value.as_str() == Some(kind.name()));
    let text = "the keyword argument type must be \"topic\", \"procedure\" or \"error\"";
    kind.map(Some).ok_or_else(|| MetaError::invalid_argument(text))
}

fn cost(uri: &str, description: &PayloadBuf) -> usize {
    ENTRY_BYTES + uri.len() + description.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use wampline_wire::{Dict, Value};

    fn define(
        reflection: &mut Reflection,
        uri: &str,
        description: Value<'_>,
        kind: &str,
    ) -> Result<Option<Definition>, MetaError> {
        let (args, kwargs) = ([Value::Str(uri.into()), description], [("type", Value::Str(kind.into()))]);
        let payload = PayloadBuf::from_values(Serializer::Cbor, &args, &kwargs).unwrap();
        reflection.define(payload.as_payload(), Serializer::Cbor)
    }

    #[test]
    fn a_definition_is_replaced_and_taken_back() {
        let mut reflection = Reflection::new(400);
        let entries = [("doc", Value::Str("first".into()))];
        let some = || Value::Dict(Dict::pairs(&entries));
        for _ in 0..5 {
            let defined = define(&mut reflection, "com.a", some(), "topic").unwrap().unwrap();
            assert!(defined.description.is_some() && defined.kind == Kind::Topic);
        }
        let full = define(&mut reflection, "com.b", some(), "error")
            .and_then(|_| define(&mut reflection, "com.c", some(), "error"))
            .and_then(|_| define(&mut reflection, "com.d", some(), "error"));
        assert_eq!(full.map_err(|error| error.uri).err(), Some(super::super::LIMIT_EXCEEDED));
        let uris: Vec<_> = reflection.uris(Kind::Topic).collect();
        assert_eq!(uris, ["com.a"]);
        assert!(reflection.description(Kind::Topic, "com.a", Serializer::Json).is_some());
        assert!(reflection.description(Kind::Procedure, "com.a", Serializer::Json).is_none());
        for uri in ["com.a", "com.b", "com.c", "com.d"] {
            for kind in ["topic", "error"] {
                let gone = define(&mut reflection, uri, Value::Null, kind).unwrap();
                assert!(gone.is_none_or(|gone| gone.description.is_none()));
            }
        }
        assert_eq!((reflection.len(), reflection.octets), (0, 0));
    }

    #[test]
    fn the_routers_own_and_nonsense_are_refused() {
        let mut reflection = Reflection::new(1 << 20);
        let empty = || Value::Dict(Dict::EMPTY);
        let uri = |result: Result<Option<Definition>, MetaError>| result.map_err(|error| error.uri).err();
        let mut refused =
            |name: &str, description, kind: &str| uri(define(&mut reflection, name, description, kind));
        assert_eq!(refused("wamp.session.get", empty(), "procedure"), Some(error_uri::INVALID_URI));
        assert_eq!(refused("a..b", empty(), "procedure"), Some(error_uri::INVALID_URI));
        assert_eq!(refused("a.b", Value::Uint(1), "procedure"), Some(error_uri::INVALID_ARGUMENT));
        assert_eq!(refused("a.b", empty(), "thing"), Some(error_uri::INVALID_ARGUMENT));
        assert_eq!(reflection.len(), 0);
    }

    #[test]
    fn the_router_knows_its_own() {
        let own = |kind: Kind| kind.own().collect::<Vec<_>>();
        assert!(own(Kind::Topic).contains(&"wamp.session.on_join"));
        assert!(own(Kind::Procedure).contains(&"wamp.session.count"));
        assert!(own(Kind::Error).contains(&"wamp.error.no_such_session"));
        assert!(own(Kind::Error).iter().all(|uri| uri.starts_with("wamp.error.")));
    }
}
