//! What an authorizer is told, and what it answers.

use std::fmt;

use wampline_wire::{Dict, Payload, PayloadBuf, Serializer, Value};

use super::Action;
use crate::disclosure::Disclose;
use crate::identity::Identity;
use crate::meta::{Transport, session_details};

/// The arguments of a call of an authorizer: `session`, `uri`, `action`, `options`. They are written in JSON, which has nothing that
/// another client could not read; an option that it cannot express is left out.
pub fn question_arguments(
    realm: &str,
    identity: &Identity,
    transport: &Transport,
    action: Action,
    uri: &str,
    options: &Dict<'_>,
) -> PayloadBuf {
    let peer = transport.peer_text();
    let transport = transport.details(&peer);
    let mut session = vec![("realm", Value::Str(realm.into())), ("authextra", Value::Null)];
    session.extend(session_details(identity, &transport));
    let write = |options: Dict<'_>| {
        let arguments = [
            Value::Dict(Dict::pairs(&session)),
            Value::Str(uri.into()),
            Value::Str(action.as_str().into()),
            Value::Dict(options),
        ];
        PayloadBuf::from_values(Serializer::Json, &arguments, &[])
    };
    write(*options).unwrap_or_else(|_| {
        let is_expressible = |value: &Value<'_>| {
            PayloadBuf::from_values(Serializer::Json, std::slice::from_ref(value), &[]).is_ok()
        };
        let entries: Vec<_> = options.iter().filter(|(_, value)| is_expressible(value)).collect();
        let pairs: Vec<(&str, Value<'_>)> =
            entries.iter().map(|(key, value)| (&**key, value.clone())).collect();
        write(Dict::pairs(&pairs)).expect("invariant: every part can be expressed")
    })
}

/// An authorizer's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizerAnswer {
    /// Whether the request is permitted.
    pub allow: bool,
    /// What it says of the disclosure of the caller or publisher.
    pub disclose: Option<Disclose>,
    /// Whether the answer holds for the next such requests too: whatever their options are, and for the whole
    /// [`super::CacheScope`] that is configured.
    pub cache: bool,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// It is neither a boolean nor a dict.
    NotADecision,
    /// The dict does not say `allow`.
    NoAllow,
    /// The value of a key is not what it must be.
    Malformed(&'static str),
    /// It wants payloads to be validated, which rules alone can ask for.
    Validation,
    /// The dict has a key that means nothing.
    UnknownKey(Box<str>),
}

impl AuthorizerAnswer {
    /// Reads the result of a call: one positional argument, `true`, `false`, or a dict with `allow` and, if wanted, `disclose` (without
    /// it the realm's rules hold; `true` forces disclosure, `false` forbids it) and `cache` (without it `false`). A null counts as absent.
    ///
    /// # Errors
    /// If it is anything else: who cannot be understood has permitted nothing.
    pub fn read(payload: Payload<'_>) -> Result<AuthorizerAnswer, AnswerError> {
        let first = payload.args().and_then(|args| args.iter().next()).ok_or(AnswerError::NotADecision)?;
        let dict = match first {
            Value::Bool(allow) => return Ok(AuthorizerAnswer { allow, disclose: None, cache: false }),
            value => value.as_dict().ok_or(AnswerError::NotADecision)?,
        };
        let (mut allow, mut disclose, mut cache) = (None, None, None);
        for (key, value) in dict.iter() {
            let found = match &*key {
                "allow" => (&mut allow, "allow"),
                "disclose" => (&mut disclose, "disclose"),
                "cache" => (&mut cache, "cache"),
                "validate" => match value {
                    Value::Null => continue,
                    Value::Dict(dict) if dict.is_empty() => continue,
                    _ => return Err(AnswerError::Validation),
                },
                _ => return Err(AnswerError::UnknownKey(key.into())),
            };
            match value {
                Value::Null => {}
                Value::Bool(value) => *found.0 = Some(value),
                _ => return Err(AnswerError::Malformed(found.1)),
            }
        }
        Ok(AuthorizerAnswer {
            allow: allow.ok_or(AnswerError::NoAllow)?,
            disclose: disclose.map(|must| if must { Disclose::Always } else { Disclose::Never }),
            cache: cache.unwrap_or(false),
        })
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::NotADecision => f.write_str("the answer is neither a boolean nor a dict"),
            AnswerError::NoAllow => f.write_str("the answer does not say \"allow\""),
            AnswerError::Malformed(key) => write!(f, "{key:?} in the answer is not a boolean"),
            AnswerError::Validation => {
                f.write_str("the answer asks for validation, which only rules can ask for")
            }
            AnswerError::UnknownKey(key) => write!(f, "the answer has the unknown key {key:?}"),
        }
    }
}

impl std::error::Error for AnswerError {}
