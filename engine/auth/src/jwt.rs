//! Method `jwt`: signed tokens (RFC 7519) of issuers that the realm trusts.
//!
//! A key has one algorithm. A token is checked by a key only if its header names that very algorithm, so neither `none`
//! nor a public key taken for an HMAC secret can happen.

mod key;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use key::{JwtAlgorithm, JwtKey};

use crate::admission::{Grant, check_name};
use crate::authid::AUTHID_BYTES_MAX;
use crate::error::{ConfigError, check_range};
use crate::realm::{REALM_BYTES_MAX, ROLE_BYTES_MAX};

/// Octets of a token, at most.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Keys of one issuer, at most.
const KEYS_MAX: u64 = 64;
/// Seconds by which clocks may differ, at most.
const LEEWAY_SECONDS_MAX: u64 = 600;

/// An issuer of tokens: its keys, what its tokens must say, and what their claims stand for.
#[derive(Clone, Debug)]
pub struct JwtIssuer {
    keys: Vec<JwtKey>,
    issuer: Option<Box<str>>,
    audiences: Vec<Box<str>>,
    leeway_seconds: u64,
    may_lack_expiry: bool,
    authid: Claim,
    role: JwtRole,
    realm: Option<Claim>,
}

/// Which role a token gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRole(Role);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Fixed(Arc<str>),
    Claim { claim: Claim, allowed: Vec<Arc<str>> },
}

/// A claim by its name, or by a JSON pointer (RFC 6901), which begins with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim(Box<str>);

impl JwtRole {
    /// This role, whatever the token says.
    ///
    /// # Errors
    /// If it is empty or longer than 255 octets.
    pub fn fixed(role: impl Into<Arc<str>>) -> Result<JwtRole, ConfigError> {
        let role = role.into();
        check_name("role", &role, ROLE_BYTES_MAX)?;
        Ok(JwtRole(Role::Fixed(role)))
    }
    /// The role that a claim names, by its name or as a JSON pointer (`/realm_access/roles`): of those allowed the first
    /// that the claim, a text or a list of texts, has. A token that names none of them is refused.
    ///
    /// # Errors
    /// If the claim's name is empty, or no role is allowed, or one is empty or longer than 255 octets.
    pub fn claim(
        claim: &str,
        allowed: impl IntoIterator<Item = impl Into<Arc<str>>>,
    ) -> Result<JwtRole, ConfigError> {
        let allowed: Vec<Arc<str>> = allowed.into_iter().map(Into::into).collect();
        if allowed.is_empty() {
            return Err(ConfigError::Missing { what: "a role that the claim may name" });
        }
        for role in &allowed {
            check_name("role", role, ROLE_BYTES_MAX)?;
        }
        Ok(JwtRole(Role::Claim { claim: Claim::new(claim)?, allowed }))
    }
}

impl JwtIssuer {
    /// Tokens that one of these keys has signed. Until more is said they need `exp`, must not have `aud`, and `sub` is
    /// the authid.
    ///
    /// # Errors
    /// If there are no keys, or more than 64.
    pub fn new(keys: Vec<JwtKey>, role: JwtRole) -> Result<JwtIssuer, ConfigError> {
        if keys.is_empty() {
            return Err(ConfigError::Missing { what: "a key of the issuer" });
        }
        check_range("number of keys", keys.len() as u64, 1, KEYS_MAX)?;
        Ok(JwtIssuer {
            keys,
            issuer: None,
            audiences: Vec::new(),
            leeway_seconds: 0,
            may_lack_expiry: false,
            authid: Claim("sub".into()),
            role,
            realm: None,
        })
    }
    /// The token must have this `iss`.
    ///
    /// # Errors
    /// If it is empty.
    pub fn with_issuer(mut self, issuer: &str) -> Result<JwtIssuer, ConfigError> {
        check_name("issuer", issuer, TOKEN_BYTES_MAX)?;
        self.issuer = Some(issuer.into());
        Ok(self)
    }
    /// The token must have this `aud`, or one of the others given so.
    ///
    /// # Errors
    /// If it is empty.
    pub fn with_audience(mut self, audience: &str) -> Result<JwtIssuer, ConfigError> {
        check_name("audience", audience, TOKEN_BYTES_MAX)?;
        self.audiences.push(audience.into());
        Ok(self)
    }
    /// By how many seconds the issuer's clock may differ from ours.
    ///
    /// # Errors
    /// If it is more than 600.
    pub fn with_leeway(mut self, seconds: u64) -> Result<JwtIssuer, ConfigError> {
        check_range("leeway", seconds, 0, LEEWAY_SECONDS_MAX)?;
        self.leeway_seconds = seconds;
        Ok(self)
    }
    /// Tokens may lack `exp`: they admit for ever.
    #[must_use]
    pub fn without_expiry(mut self) -> JwtIssuer {
        self.may_lack_expiry = true;
        self
    }
    /// The claim that is the authid, by its name or as a JSON pointer; `sub` if this is not said.
    ///
    /// # Errors
    /// If the name is empty.
    pub fn with_authid_claim(mut self, claim: &str) -> Result<JwtIssuer, ConfigError> {
        self.authid = Claim::new(claim)?;
        Ok(self)
    }
    /// The claim that names the realm, by its name or as a JSON pointer: the session must have asked for that realm.
    ///
    /// # Errors
    /// If the name is empty.
    pub fn with_realm_claim(mut self, claim: &str) -> Result<JwtIssuer, ConfigError> {
        self.realm = Some(Claim::new(claim)?);
        Ok(self)
    }

    /// Whom a token stands for, if it is good.
    pub(crate) fn check(&self, token: &str, realm: &str, unix_millis: u64) -> Option<Bearer> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header = object(header)?;
        // An extension that must be understood is not.
        if header.contains_key("crit") {
            return None;
        }
        let algorithm = JwtAlgorithm::from_name(header.get("alg")?.as_str()?)?;
        let id = header.get("kid").and_then(Value::as_str);
        let candidates = self.keys.iter().filter(|key| key.may_check(algorithm, id));
        candidates.into_iter().find(|key| key.verifies(message, signature))?;
        let claims = object(payload)?;
        let until = self.valid_until(&claims, unix_millis)?;
        self.bearer(&claims, realm, until)
    }

    /// Until when the token is valid, in milliseconds, if it is now.
    fn valid_until(&self, claims: &Map<String, Value>, unix_millis: u64) -> Option<Option<u64>> {
        let leeway = self.leeway_seconds as f64;
        let now = unix_millis as f64 / 1000.0;
        // A number of seconds, with a fraction or not (RFC 7519, section 2, NumericDate).
        let seconds = |name| claims.get(name).map(Value::as_f64);
        let until = match seconds("exp") {
            None => self.may_lack_expiry.then_some(None)?,
            Some(expiry) => {
                let end = expiry? + leeway;
                // Not-a-number is neither before nor after.
                (now < end).then_some(Some((end * 1000.0) as u64))?
            }
        };
        if let Some(begin) = seconds("nbf") {
            (begin? <= now + leeway).then_some(())?;
        }
        if let Some(issuer) = &self.issuer {
            (claims.get("iss")?.as_str()? == &**issuer).then_some(())?;
        }
        let is_ours = |audience: &Value| {
            audience.as_str().is_some_and(|audience| self.audiences.iter().any(|ours| **ours == *audience))
        };
        let is_for_us = match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
            Some(audience) => is_ours(audience),
        };
        is_for_us.then_some(until)
    }

    fn bearer(&self, claims: &Map<String, Value>, realm: &str, until: Option<u64>) -> Option<Bearer> {
        let authid = self.authid.of(claims)?.as_str()?;
        if authid.is_empty() || authid.len() > AUTHID_BYTES_MAX {
            return None;
        }
        if let Some(claim) = &self.realm {
            let named = claim.of(claims)?.as_str()?;
            (named.len() <= REALM_BYTES_MAX && named == realm).then_some(())?;
        }
        let role = match &self.role.0 {
            Role::Fixed(role) => role.clone(),
            Role::Claim { claim, allowed } => {
                let named = claim.of(claims)?;
                let names = |role: &str| match named {
                    Value::Array(names) => names.iter().any(|name| name.as_str() == Some(role)),
                    name => name.as_str() == Some(role),
                };
                allowed.iter().find(|role| names(role))?.clone()
            }
        };
        Some(Bearer { authid: authid.into(), grant: Grant::role(role).ok()?, until })
    }
}

/// Whom a token stands for.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) authid: Box<str>,
    pub(crate) grant: Grant,
    /// Until when, in milliseconds.
    pub(crate) until: Option<u64>,
}

impl Claim {
    fn new(name: &str) -> Result<Claim, ConfigError> {
        check_name("claim", name, 255)?;
        Ok(Claim(name.into()))
    }
    fn of<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let Some(path) = self.0.strip_prefix('/') else { return claims.get(&*self.0) };
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
        rest.map_or(Some(value), |rest| value.pointer(&format!("/{rest}")))
    }
}

/// The JSON object in a part of a token.
fn object(part: &str) -> Option<Map<String, Value>> {
    let octets = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&octets).ok()
}

#[cfg(test)]
mod pems;
#[cfg(test)]
mod tests;
