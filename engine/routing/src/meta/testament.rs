//! What a session wants to have published when it ends (advanced profile, "Session Testament").

use wampline_wire::{Dict, Payload, PayloadBuf, Serializer, Value};

use crate::disclosure::Disclose;
use crate::error_uri;
use crate::meta::arguments::{Arguments, MetaError, expected};
use crate::publication::PublishOptions;
use crate::uri::{UriRules, is_reserved};

/// The testaments of one session, in two scopes. Sessions are not resumed here, so both are published when the session ends:
/// `detached` first, each scope in the order in which its testaments were added.
#[derive(Debug, Default)]
pub struct Testaments {
    detached: Vec<Testament>,
    destroyed: Vec<Testament>,
    octets: usize,
}

/// One publication to be.
#[derive(Debug)]
pub struct Testament {
    /// Where it is published.
    pub topic: Box<str>,
    /// Arguments and keyword arguments.
    pub payload: PayloadBuf,
    /// What the permission to publish it says of disclosure.
    pub disclosure: Option<Disclose>,
    options: PayloadBuf,
}

/// Bounds of the testaments of one session, both scopes together.
#[derive(Clone, Copy, Debug)]
pub struct TestamentLimits {
    /// How many.
    pub count_max: usize,
    /// Octets of their topics, payloads and options.
    pub bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Detached,
    Destroyed,
}

impl Testament {
    /// The publication's options, as a PUBLISH would have them. Never `acknowledge`.
    pub fn options(&self) -> Dict<'_> {
        self.options.as_payload().kwargs().unwrap_or(Dict::EMPTY)
    }

    fn octets(&self) -> usize {
        self.topic.len() + self.payload.len() + self.options.len()
    }
}

impl Testaments {
    /// The topic that a call of `wamp.session.add_testament` names, if it is one.
    pub fn topic(payload: Payload<'_>, rules: UriRules) -> Option<Box<str>> {
        let arguments = Arguments::new(payload);
        let topic = arguments.get(0)?.as_str()?;
        (rules.check(topic).is_ok() && !is_reserved(topic)).then(|| topic.into())
    }

    /// What a call of `wamp.session.add_testament` would add.
    ///
    /// # Errors
    /// As [`Testaments::add`], bounds aside.
    pub fn read(payload: Payload<'_>, rules: UriRules) -> Result<Testament, MetaError> {
        read(&Arguments::new(payload), payload.serializer(), rules)
    }

    /// `wamp.session.add_testament`, by a session that may publish to the topic.
    ///
    /// # Errors
    /// For wrong arguments, a topic that the session could not publish to, and at a bound.
    pub fn add(
        &mut self,
        payload: Payload<'_>,
        rules: UriRules,
        limits: TestamentLimits,
        disclosure: Option<Disclose>,
    ) -> Result<(), MetaError> {
        let arguments = Arguments::new(payload);
        let scope = scope(&arguments)?;
        let testament = Testament { disclosure, ..read(&arguments, payload.serializer(), rules)? };
        if self.len() >= limits.count_max {
            let text = format!("the session has {} testaments, as many as it may", limits.count_max);
            return Err(MetaError::limit_exceeded(text));
        }
        if self.octets + testament.octets() > limits.bytes_max {
            let text = format!("the session's testaments may have {} octets together", limits.bytes_max);
            return Err(MetaError::limit_exceeded(text));
        }
        self.octets += testament.octets();
        self.scope(scope).push(testament);
        Ok(())
    }

    /// `wamp.session.flush_testaments`.
    ///
    /// # Errors
    /// For a scope that does not exist.
    pub fn flush(&mut self, payload: Payload<'_>) -> Result<(), MetaError> {
        let scope = scope(&Arguments::new(payload))?;
        let removed = std::mem::take(self.scope(scope));
        self.octets -= removed.iter().map(Testament::octets).sum::<usize>();
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.detached.len() + self.destroyed.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in the order in which they are published.
    pub fn into_publications(self) -> std::vec::IntoIter<Testament> {
        let mut all = self.detached;
        all.extend(self.destroyed);
        all.into_iter()
    }

    fn scope(&mut self, scope: Scope) -> &mut Vec<Testament> {
        match scope {
            Scope::Detached => &mut self.detached,
            Scope::Destroyed => &mut self.destroyed,
        }
    }
}

/// The keyword argument `scope`.
fn scope(arguments: &Arguments<'_>) -> Result<Scope, MetaError> {
    match arguments.keyword("scope") {
        None => Ok(Scope::Destroyed),
        Some(value) => match value.as_str() {
            Some("detached") => Ok(Scope::Detached),
            Some("destroyed") => Ok(Scope::Destroyed),
            _ => Err(MetaError::invalid_argument("the scope must be \"detached\" or \"destroyed\"")),
        },
    }
}

fn read(arguments: &Arguments<'_>, serializer: Serializer, rules: UriRules) -> Result<Testament, MetaError> {
    let topic = arguments.text(0, "topic")?;
    let invalid = |text: String| MetaError::new(error_uri::INVALID_URI, text);
    rules.check(topic).map_err(|error| invalid(format!("topic {topic:?}: {error}")))?;
    if is_reserved(topic) {
        return Err(invalid("topics that begin with wamp. are the router's own".into()));
    }
    let args: Vec<Value<'_>> = match arguments.get(1) {
        None => Vec::new(),
        Some(value) => value.as_list().ok_or_else(|| expected(1, "args", "a list"))?.iter().collect(),
    };
    let kwargs = match arguments.get(2) {
        None => Dict::EMPTY,
        Some(value) => value.as_dict().ok_or_else(|| expected(2, "kwargs", "a dict"))?,
    };
    let options = match arguments.keyword("publish_options") {
        None => Dict::EMPTY,
        Some(value) => value.as_dict().ok_or_else(|| {
            MetaError::invalid_argument("the keyword argument publish_options must be a dict")
        })?,
    };
    PublishOptions::read(&options).1.map_err(|error| MetaError::invalid_argument(error.to_string()))?;
    Ok(Testament {
        topic: topic.into(),
        disclosure: None,
        payload: owned(serializer, &args, kwargs, |_| true)?,
        options: owned(serializer, &[], options, |key| key != "acknowledge")?,
    })
}

/// A copy of values that came in this serializer.
fn owned(
    serializer: Serializer,
    args: &[Value<'_>],
    kwargs: Dict<'_>,
    keep: impl Fn(&str) -> bool,
) -> Result<PayloadBuf, MetaError> {
    let entries: Vec<_> = kwargs.iter().filter(|(key, _)| keep(key)).collect();
    let pairs: Vec<(&str, Value<'_>)> = entries.iter().map(|(key, value)| (&**key, value.clone())).collect();
    PayloadBuf::from_values(serializer, args, &pairs)
        .map_err(|error| MetaError::invalid_argument(format!("the arguments cannot be kept: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use wampline_wire::List;

    const LIMITS: TestamentLimits = TestamentLimits { count_max: 3, bytes_max: 100 };

    fn add(testaments: &mut Testaments, topic: &str, kwargs: &[(&str, Value<'_>)]) -> Result<(), MetaError> {
        let args = [Value::Str(topic.into()), Value::List(List::items(&[Value::Uint(7)])), Value::Null];
        let payload = PayloadBuf::from_values(Serializer::Json, &args, kwargs).unwrap();
        testaments.add(payload.as_payload(), UriRules::Loose, LIMITS, None)
    }

    fn scope(name: &str) -> [(&'static str, Value<'_>); 1] {
        [("scope", Value::Str(name.into()))]
    }

    #[test]
    fn scopes_are_published_one_after_the_other_and_flushed_apart() {
        let mut testaments = Testaments::default();
        add(&mut testaments, "a", &[]).unwrap();
        add(&mut testaments, "b", &scope("detached")).unwrap();
        add(&mut testaments, "c", &scope("destroyed")).unwrap();
        let flush = PayloadBuf::from_values(Serializer::Json, &[], &scope("detached")).unwrap();
        let flush = |testaments: &mut Testaments| testaments.flush(flush.as_payload());
        let mut other = Testaments::default();
        add(&mut other, "b", &scope("detached")).unwrap();
        flush(&mut other).unwrap();
        assert!(other.is_empty() && other.octets == 0);
        let topics: Vec<_> = testaments.into_publications().map(|testament| testament.topic).collect();
        assert_eq!(topics, ["b".into(), "a".into(), "c".into()] as [Box<str>; 3]);
    }

    #[test]
    fn bounds_hold_and_are_regained() {
        let mut testaments = Testaments::default();
        let uri = |error: MetaError| error.uri;
        let long = "x".repeat(LIMITS.bytes_max);
        assert_eq!(add(&mut testaments, &long, &[]).map_err(uri), Err(super::super::LIMIT_EXCEEDED));
        for _ in 0..LIMITS.count_max {
            add(&mut testaments, "a", &[]).unwrap();
        }
        assert_eq!(add(&mut testaments, "a", &[]).map_err(uri), Err(super::super::LIMIT_EXCEEDED));
        testaments.flush(Payload::NONE).unwrap();
        assert_eq!(add(&mut testaments, "a", &[]), Ok(()));
    }

    #[test]
    fn what_could_not_be_published_is_refused() {
        let mut testaments = Testaments::default();
        let uri = |error: MetaError| error.uri;
        for topic in ["wamp.x", "a..b", ""] {
            assert_eq!(add(&mut testaments, topic, &[]).map_err(uri), Err(error_uri::INVALID_URI), "{topic}");
        }
        for kwargs in [scope("forever"), [("publish_options", Value::Uint(1))]] {
            assert_eq!(add(&mut testaments, "a", &kwargs).map_err(uri), Err(error_uri::INVALID_ARGUMENT));
        }
        assert!(testaments.is_empty());
    }

    #[test]
    fn options_are_kept_but_for_acknowledge() {
        let mut testaments = Testaments::default();
        let options = [("acknowledge", Value::Bool(true)), ("exclude_me", Value::Bool(false))];
        add(&mut testaments, "a", &[("publish_options", Value::Dict(Dict::pairs(&options)))]).unwrap();
        let testament = testaments.into_publications().next().unwrap();
        assert!(testament.options().get("acknowledge").is_none());
        assert_eq!(testament.options().get("exclude_me").and_then(|value| value.as_bool()), Some(false));
        assert_eq!(testament.payload.as_payload().args().unwrap().iter().count(), 1);
    }
}
