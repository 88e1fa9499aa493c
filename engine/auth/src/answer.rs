//! Answers of sources outside, fully checked: the shape that Crossbar's users know, from a procedure and from a hook.
//!
//! An answer is a role, or a dict with `role` and what the method needs; `authid`, `realm` and `extra` may be chosen.
//! That a principal is not known is an empty answer, null, or the error `wamp.error.no_such_principal`: then the next
//! source is asked. Any other error of the source's own refuses the session. Whatever is not understood is a failure.

use std::borrow::Cow;

use wampline_wire::{Dict, Message, Payload, Serializer, Value};
use zeroize::Zeroizing;

use crate::admission::Grant;
use crate::error::ConfigError;
use crate::found::Credential;
use crate::question::is_shallow;
use crate::scram::{Dialect, Kdf, ScramRecord, ScramText};
use crate::wampcra::{CraSecret, Salting};
use crate::{Answer, Method, OwnedDict, PublicKey};

/// Octets of an `extra`, at most: it goes into WELCOME.
const EXTRA_BYTES_MAX: usize = 16 << 10;
/// How deep an `extra` may be nested.
const EXTRA_DEPTH_MAX: usize = 64;
/// Iterations of PBKDF2 that the router itself runs for an answer, at most: the shard waits for them. An answer with
/// more has the derived key.
const ITERATIONS_HERE_MAX: u64 = 10_000;
/// Keys of one principal, at most.
const KEYS_MAX: usize = 64;

/// What a source outside has said.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It knows the principal: what it must prove, and what it gets.
    Known(Box<(Credential, Grant)>),
    /// It does not know the principal.
    Unknown,
    /// It refuses.
    Denied,
    /// It could not say, or what it said is not understood: why, without secrets.
    Failed(Cow<'static, str>),
}

impl Verdict {
    /// Reads an answer about a principal of `method`.
    pub(crate) fn read(answer: &Answer<'_>, method: Method) -> Verdict {
        match answer {
            Answer::TimedOut => Verdict::Failed("no answer came in time".into()),
            Answer::Failed { error } => Verdict::of_error(error),
            Answer::Result(payload) => Verdict::of_payload(payload, method),
            Answer::HttpBody(body) => Verdict::of_json(body, method),
        }
    }

    fn of_error(error: &str) -> Verdict {
        match error {
            "wamp.error.no_such_principal" => Verdict::Unknown,
            "wamp.error.authentication_denied" | "wamp.error.not_authorized" => Verdict::Denied,
            // What client libraries make of any exception, by which many an authenticator refuses.
            "wamp.error.runtime_error" => Verdict::Denied,
            // What the router says of a call that did not come to an answer; all else is the source's own word.
            error if error.starts_with("wamp.") || error.starts_with("wampline.") => {
                Verdict::Failed(error.to_owned().into())
            }
            _ => Verdict::Denied,
        }
    }

    fn of_json(body: &[u8], method: Method) -> Verdict {
        // A body that holds no single value leaves no message of this form.
        let message = [b"[50,1,{},[", body, b"]]"].concat();
        let Ok(Message::Result { payload, .. }) = Message::parse(Serializer::Json, &message) else {
            let is_empty = body.iter().all(u8::is_ascii_whitespace);
            return if is_empty {
                Verdict::Unknown
            } else {
                Verdict::Failed("the body is not one JSON value".into())
            };
        };
        if payload.kwargs().is_some() || payload.args().is_none_or(|args| args.iter().count() > 1) {
            return Verdict::Failed("the body is not one JSON value".into());
        }
        Verdict::of_payload(&payload, method)
    }

    fn of_payload(payload: &Payload<'_>, method: Method) -> Verdict {
        let first = payload.args().and_then(|args| args.iter().next());
        let answer = match first {
            None | Some(Value::Null) => return Verdict::Unknown,
            Some(Value::Str(role)) => Answered { role: Some(role.into_owned()), ..Answered::default() },
            Some(Value::Dict(dict)) => match Answered::read(&dict) {
                Ok(answer) => answer,
                Err(NotUnderstood(why)) => return Verdict::Failed(why),
            },
            Some(_) => return Verdict::Failed("the answer is neither a role nor a dict".into()),
        };
        if let Some(error) = &answer.error {
            return Verdict::of_error(error);
        }
        match answer.grant().and_then(|grant| Ok((answer.credential(method)?, grant))) {
            Ok(known) => Verdict::Known(Box::new(known)),
            Err(NotUnderstood(why)) => Verdict::Failed(why),
        }
    }
}

/// An answer that is not of the shape expected: why.
struct NotUnderstood(Cow<'static, str>);

impl From<ConfigError> for NotUnderstood {
    fn from(error: ConfigError) -> NotUnderstood {
        NotUnderstood(error.to_string().into())
    }
}

impl From<&'static str> for NotUnderstood {
    fn from(why: &'static str) -> NotUnderstood {
        NotUnderstood(why.into())
    }
}

/// The entries of an answer that mean something.
#[derive(Default)]
struct Answered {
    error: Option<String>,
    role: Option<String>,
    authid: Option<String>,
    realm: Option<String>,
    extra: Option<OwnedDict>,
    secret: Option<Zeroizing<String>>,
    key: Option<Zeroizing<String>>,
    salt: Option<String>,
    iterations: Option<u64>,
    key_bytes: Option<u64>,
    kdf: Option<String>,
    memory_kib: Option<u64>,
    stored_key: Option<Zeroizing<String>>,
    server_key: Option<Zeroizing<String>>,
    keys: Vec<PublicKey>,
}

impl Answered {
    fn read(dict: &Dict<'_>) -> Result<Answered, NotUnderstood> {
        let mut answer = Answered::default();
        for (key, value) in dict.iter() {
            if matches!(value, Value::Null) {
                continue;
            }
            match &*key {
                "error" => answer.error = Some(text(&value)?),
                "role" => answer.role = Some(text(&value)?),
                "authid" => answer.authid = Some(text(&value)?),
                "realm" => answer.realm = Some(text(&value)?),
                "extra" => answer.extra = Some(extra(&value)?),
                "secret" => answer.secret = Some(Zeroizing::new(text(&value)?)),
                "key" => answer.key = Some(Zeroizing::new(text(&value)?)),
                "salt" => answer.salt = Some(text(&value)?),
                "iterations" => answer.iterations = Some(count(&value)?),
                "keylen" => answer.key_bytes = Some(count(&value)?),
                "kdf" => answer.kdf = Some(text(&value)?),
                "memory" => answer.memory_kib = Some(count(&value)?),
                "stored-key" | "stored_key" => answer.stored_key = Some(Zeroizing::new(text(&value)?)),
                "server-key" | "server_key" => answer.server_key = Some(Zeroizing::new(text(&value)?)),
                "pubkey" => answer.keys.push(PublicKey::from_hex(&text(&value)?)?),
                "authorized_keys" => {
                    for key in value.as_list().ok_or("authorized_keys is not a list")?.iter().take(KEYS_MAX) {
                        answer.keys.push(PublicKey::from_hex(&text(&key)?)?);
                    }
                }
                _ => {}
            }
        }
        Ok(answer)
    }

    fn grant(&self) -> Result<Grant, NotUnderstood> {
        let mut grant = Grant::role(self.role.as_deref().unwrap_or_default())?;
        if let Some(authid) = &self.authid {
            grant = grant.with_authid(authid)?;
        }
        if let Some(realm) = &self.realm {
            grant = grant.with_realm(realm)?;
        }
        if let Some(extra) = &self.extra {
            grant = grant.with_extra(extra.clone());
        }
        Ok(grant)
    }

    fn credential(&self, method: Method) -> Result<Credential, NotUnderstood> {
        Ok(match method {
            Method::WampCra => Credential::WampCra(self.wampcra()?),
            Method::WampScram => Credential::Scram(self.scram(Dialect::Specification)?),
            Method::Scram => Credential::Scram(self.scram(Dialect::Crossbar)?),
            Method::Cryptosign if self.keys.is_empty() => return Err("pubkey is missing".into()),
            Method::Cryptosign => Credential::Keys(self.keys.clone().into()),
            _ => Credential::Proved,
        })
    }

    /// `secret` alone; with `salt`, `iterations` and `keylen` also as password, or derived as `key`.
    fn wampcra(&self) -> Result<CraSecret, NotUnderstood> {
        let Some(salt) = &self.salt else {
            return Ok(CraSecret::unsalted(self.secret.as_deref().ok_or("secret is missing")?)?);
        };
        let iterations = self.iterations.unwrap_or(1000);
        let salting = Salting::new(salt, number(iterations)?, number(self.key_bytes.unwrap_or(32))?)?;
        match (&self.key, &self.secret) {
            (Some(key), _) => Ok(CraSecret::derived(key, salting)?),
            (None, Some(password)) if iterations <= ITERATIONS_HERE_MAX => {
                Ok(CraSecret::password(password, salting)?)
            }
            (None, Some(_)) => Err("more than 10000 iterations take the derived key, not the secret".into()),
            (None, None) => Err("key or secret is missing".into()),
        }
    }

    fn scram(&self, dialect: Dialect) -> Result<ScramRecord, NotUnderstood> {
        let (Some(salt), Some(stored_key), Some(server_key)) =
            (&self.salt, &self.stored_key, &self.server_key)
        else {
            return Err("salt, stored-key or server-key is missing".into());
        };
        let memory_kib = self.memory_kib.map(number).transpose()?;
        let text = ScramText {
            kdf: self.kdf.as_deref().unwrap_or(Kdf::DEFAULT.name(dialect)),
            iterations: number(self.iterations.ok_or("iterations is missing")?)?,
            memory_kib,
            salt,
            stored_key,
            server_key,
        };
        Ok(ScramRecord::from_text(dialect, &text)?)
    }
}

fn text(value: &Value<'_>) -> Result<String, NotUnderstood> {
    value.as_str().map(str::to_owned).ok_or_else(|| "an entry that is to be a string is none".into())
}

fn count(value: &Value<'_>) -> Result<u64, NotUnderstood> {
    value.as_u64().ok_or_else(|| "an entry that is to be a number is none".into())
}

fn number(value: u64) -> Result<u32, NotUnderstood> {
    u32::try_from(value).map_err(|_| "a number is beyond 32 bits".into())
}

fn extra(value: &Value<'_>) -> Result<OwnedDict, NotUnderstood> {
    let dict = value.as_dict().ok_or("extra is not a dict")?;
    let copy = OwnedDict::copy(&dict).map_err(|_| "extra has values that only its serializer knows")?;
    if copy.len() > EXTRA_BYTES_MAX || !is_shallow(&Value::Dict(copy.as_dict()), EXTRA_DEPTH_MAX) {
        return Err("extra is longer than 16384 octets, or nested deeper than 64".into());
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(method: Method, body: &str) -> Verdict {
        Verdict::read(&Answer::HttpBody(body.as_bytes()), method)
    }

    fn known(method: Method, body: &str) -> (Credential, Grant) {
        match of(method, body) {
            Verdict::Known(known) => *known,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_role_alone_will_do() {
        for body in
            [r#""operator""#, r#" {"role":"operator","session":5} "#, r#"{"role":"operator","realm":null}"#]
        {
            let (credential, grant) = known(Method::Ticket, body);
            assert!(matches!(credential, Credential::Proved));
            assert_eq!(grant, Grant::role("operator").unwrap());
        }
        let body = r#"{"role":"r","authid":"joe","realm":"realm2","extra":{"my":[1,2,3]}}"#;
        let (_, grant) = known(Method::Ticket, body);
        assert_eq!((grant.authid.as_deref(), grant.realm.as_deref()), (Some("joe"), Some("realm2")));
        assert!(grant.extra.unwrap().as_dict().get("my").is_some());
    }

    #[test]
    fn errors_mean_what_they_say() {
        let read = |error| Verdict::read(&Answer::Failed { error }, Method::Ticket);
        assert!(matches!(read("wamp.error.no_such_principal"), Verdict::Unknown));
        assert!(matches!(read("wamp.error.authentication_denied"), Verdict::Denied));
        assert!(matches!(read("com.example.invalid_ticket"), Verdict::Denied));
        assert!(matches!(read("wamp.error.runtime_error"), Verdict::Denied));
        assert!(matches!(read("wamp.error.no_such_procedure"), Verdict::Failed(_)));
        assert!(matches!(read("wampline.error.hook_failed"), Verdict::Failed(_)));
        assert!(matches!(Verdict::read(&Answer::TimedOut, Method::Ticket), Verdict::Failed(_)));
        assert!(matches!(
            of(Method::Ticket, r#"{"error":"wamp.error.no_such_principal"}"#),
            Verdict::Unknown
        ));
        assert!(matches!(of(Method::Ticket, r#"{"error":"com.example.no"}"#), Verdict::Denied));
        for empty in ["null", "", " \n"] {
            assert!(matches!(of(Method::Ticket, empty), Verdict::Unknown), "{empty:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_a_failure() {
        for body in [
            "{}",
            "[]",
            "5",
            "true",
            "nonsense",
            "{",
            r#""""#,
            r#"{"role":""}"#,
            r#"{"role":5}"#,
            r#"{"role":"r","authid":""}"#,
            r#"{"role":"r","realm":7}"#,
            r#"{"role":"r","extra":[]}"#,
            r#""r","s""#,
            r#"{"role":"r"}],{"a":1}"#,
            r#""r"],["s""#,
            r#""r"],{"k":["s""#,
        ] {
            assert!(matches!(of(Method::Ticket, body), Verdict::Failed(_)), "{body}");
        }
        let long = format!(r#"{{"role":"r","extra":{{"a":"{}"}}}}"#, "x".repeat(EXTRA_BYTES_MAX));
        assert!(matches!(of(Method::Ticket, &long), Verdict::Failed(_)));
        for method in [Method::WampCra, Method::WampScram, Method::Scram, Method::Cryptosign] {
            assert!(matches!(of(method, r#""role""#), Verdict::Failed(_)), "{method}");
        }
    }

    #[test]
    fn each_method_gets_what_it_needs() {
        let (credential, _) = known(Method::WampCra, r#"{"role":"r","secret":"x"}"#);
        assert!(matches!(credential, Credential::WampCra(secret) if secret.salting().is_none()));
        let salted = r#"{"role":"r","secret":"x","salt":"salt1234","iterations":1000,"keylen":32}"#;
        let (credential, _) = known(Method::WampCra, salted);
        assert!(matches!(credential, Credential::WampCra(secret) if secret.salting().is_some()));
        for wrong in [("salt1234", "salt"), ("1000", "10"), ("1000", "100000"), ("32", "1000000000000")] {
            let body = salted.replace(wrong.0, wrong.1);
            assert!(matches!(of(Method::WampCra, &body), Verdict::Failed(_)), "{body}");
        }
        let key = "aa".repeat(32);
        let (credential, _) = known(Method::Cryptosign, &format!(r#"{{"role":"r","pubkey":"{key}"}}"#));
        assert!(matches!(credential, Credential::Keys(keys) if keys.len() == 1));
        let body = format!(r#"{{"role":"r","authorized_keys":["{key}","{key}"]}}"#);
        assert!(matches!(known(Method::Cryptosign, &body).0, Credential::Keys(keys) if keys.len() == 2));
        let body = format!(
            r#"{{"role":"r","kdf":"argon2id-13","iterations":4096,"memory":512,"salt":"{}","stored-key":"{key}",
                "server-key":"{key}"}}"#,
            "0a".repeat(16)
        );
        let (credential, _) = known(Method::Scram, &body);
        assert!(matches!(credential, Credential::Scram(record) if record.salt() == [10; 16]));
        let body = body.replace("argon2id-13", "bcrypt");
        assert!(matches!(of(Method::Scram, &body), Verdict::Failed(_)));
    }
}
