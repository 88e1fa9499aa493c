//! How one realm authenticates.

use std::sync::{Arc, Mutex, PoisonError};

use crate::admission::{Grant, check_name};
use crate::authid::AUTHID_BYTES_MAX;
use crate::decoy::{Shapes, Unknown};
use crate::error::ConfigError;
use crate::found::{Credential, DYNAMIC, Found, STATIC};
use crate::jwt::{Bearer, JwtIssuer};
use crate::{
    CertificateMapping, ClientCertificate, CookieStore, DecoySecret, Method, Principals, RouterKey, Source,
    TrustRoot,
};

/// Octets of a role's name, at most.
pub(crate) const ROLE_BYTES_MAX: usize = 255;
/// Octets of a realm's name, at most.
pub(crate) const REALM_BYTES_MAX: usize = 255;

/// The methods of one realm, each with its ordered sources of principals. It does not change, but for the principals
/// in its [`crate::PrincipalStore`]s and the logins in its [`CookieStore`]; shared by all shards.
#[derive(Debug, Default)]
pub struct RealmAuthentication {
    anonymous: Option<AnonymousAccess>,
    sources: [Vec<Source>; Method::ALL.len()],
    mappings: Vec<CertificateMapping>,
    issuers: Vec<JwtIssuer>,
    trust_roots: Vec<TrustRoot>,
    cookies: Option<Arc<CookieStore>>,
    router_key: Option<RouterKey>,
    secret: Option<DecoySecret>,
    /// The shapes of principals that sources outside have answered with.
    seen: Mutex<Shapes>,
}

/// What an anonymous session gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonymousAccess {
    pub(crate) grant: Grant,
}

impl AnonymousAccess {
    /// Anonymous sessions have this role and a random authid.
    ///
    /// # Errors
    /// If the role is empty or longer than 255 octets.
    pub fn role(role: impl Into<Arc<str>>) -> Result<AnonymousAccess, ConfigError> {
        Ok(AnonymousAccess { grant: Grant::role(role)? })
    }
    /// All of them have this authid in place of a random one.
    ///
    /// # Errors
    /// If it is empty or longer than 255 octets.
    pub fn with_authid(self, authid: &str) -> Result<AnonymousAccess, ConfigError> {
        check_name("authid", authid, AUTHID_BYTES_MAX)?;
        Ok(AnonymousAccess { grant: self.grant.with_authid(authid)? })
    }
}

impl RealmAuthentication {
    /// A realm that admits nobody until methods are added. Decoys are derived from `secret`.
    pub fn new(secret: DecoySecret) -> RealmAuthentication {
        RealmAuthentication { secret: Some(secret), ..RealmAuthentication::default() }
    }
    /// A realm that admits anonymous sessions and nobody else: what a realm without configuration has.
    ///
    /// # Panics
    /// If the role is empty or longer than 255 octets.
    pub fn anonymous(role: impl Into<Arc<str>>) -> RealmAuthentication {
        let access = AnonymousAccess::role(role).expect("invariant: the role has a name");
        RealmAuthentication { anonymous: Some(access), ..RealmAuthentication::default() }
    }

    /// Admits anonymous sessions.
    ///
    /// # Errors
    /// If it does so already, or has a source that decides about them.
    pub fn allow_anonymous(&mut self, access: AnonymousAccess) -> Result<(), ConfigError> {
        if self.has(Method::Anonymous) {
            return Err(twice(Method::Anonymous));
        }
        self.anonymous = Some(access);
        Ok(())
    }
    /// Adds a source of principals to a method, after those that it has. Of `anonymous` a source outside decides alone;
    /// `cookie` and `jwt` have none.
    ///
    /// # Errors
    /// If the method takes no sources of this kind, or the realm was made without a secret for decoys.
    pub fn add_source(&mut self, method: Method, source: Source) -> Result<(), ConfigError> {
        let takes = match method {
            Method::Anonymous => source.is_outside(),
            Method::Cookie | Method::Jwt => false,
            _ => true,
        };
        if !takes {
            return Err(ConfigError::Source { method });
        }
        if self.secret.is_none() {
            return Err(ConfigError::Missing { what: "the secret for decoys" });
        }
        if method == Method::Anonymous && self.has(Method::Anonymous) {
            return Err(twice(method));
        }
        self.sources[method as usize].push(source);
        Ok(())
    }
    /// Admits every certificate that the listener trusts and no source knows, by a name in it (method `tls`).
    pub fn add_certificate_mapping(&mut self, mapping: CertificateMapping) {
        self.mappings.push(mapping);
    }
    /// Admits the tokens of an issuer (method `jwt`), after those of others.
    pub fn add_issuer(&mut self, issuer: JwtIssuer) {
        self.issuers.push(issuer);
    }
    /// Admits keys whose certificates lead to this root (method `cryptosign`).
    ///
    /// # Errors
    /// If there is one of that issuer.
    pub fn add_trust_root(&mut self, root: TrustRoot) -> Result<(), ConfigError> {
        if let Some(present) = self.trust_roots.iter().find(|present| present.issuer() == root.issuer()) {
            let name = present.issuer().to_string().into();
            return Err(ConfigError::Duplicate { method: Method::Cryptosign, name });
        }
        self.trust_roots.push(root);
        Ok(())
    }
    /// Remembers what other methods admit under the browser's cookie, and admits by it (method `cookie`).
    pub fn allow_cookies(&mut self, store: Arc<CookieStore>) {
        self.cookies = Some(store);
    }
    /// The key by which the router proves itself to clients that ask for it (method `cryptosign`).
    pub fn set_router_key(&mut self, key: RouterKey) {
        self.router_key = Some(key);
    }

    /// Whether the realm has this method.
    pub fn has(&self, method: Method) -> bool {
        let has_source = !self.sources[method as usize].is_empty();
        match method {
            Method::Anonymous => self.anonymous.is_some() || has_source,
            Method::Cryptosign => has_source || !self.trust_roots.is_empty(),
            Method::Tls => has_source || !self.mappings.is_empty(),
            Method::Cookie => self.cookies.is_some(),
            Method::Jwt => !self.issuers.is_empty(),
            _ => has_source,
        }
    }
    /// The methods that the realm has.
    pub fn methods(&self) -> impl Iterator<Item = Method> + '_ {
        Method::ALL.into_iter().filter(|method| self.has(*method))
    }
    /// Where logins are remembered, if they are: a transport asks it whether a cookie that was brought is still good
    /// ([`CookieStore::knows`]).
    pub fn cookies(&self) -> Option<&Arc<CookieStore>> {
        self.cookies.as_ref()
    }

    pub(crate) fn anonymous_access(&self) -> Option<&AnonymousAccess> {
        self.anonymous.as_ref()
    }
    /// The sources of a method, in order.
    pub(crate) fn sources(&self, method: Method) -> &[Source] {
        &self.sources[method as usize]
    }
    pub(crate) fn router_key(&self) -> Option<&RouterKey> {
        self.router_key.as_ref()
    }
    pub(crate) fn trust_roots(&self) -> &[TrustRoot] {
        &self.trust_roots
    }
    /// Whether a method has a source outside: then what it says is released on the grid.
    pub(crate) fn is_on_grid(&self, method: Method) -> bool {
        self.sources(method).iter().any(Source::is_outside)
    }
    /// The provider that a challenge names, whoever turns out to know the principal.
    pub(crate) fn shown_provider(&self, method: Method) -> &'static str {
        if self.is_on_grid(method) { DYNAMIC } else { STATIC }
    }
    /// The principals of a method that the router knows itself, as they are now.
    pub(crate) fn principals(&self, method: Method) -> impl Iterator<Item = Arc<Principals>> + '_ {
        self.sources(method).iter().filter_map(|source| match source {
            Source::Principals(store) => Some(store.current()),
            _ => None,
        })
    }
    /// Whether the certificate stands for somebody, or a source outside may know.
    pub(crate) fn may_know(&self, certificate: &ClientCertificate) -> bool {
        self.is_on_grid(Method::Tls)
            || self.principals(Method::Tls).any(|principals| principals.certificate(certificate).is_some())
            || self.mapped(certificate).is_some()
    }
    /// Whom a certificate stands for by the names in it.
    pub(crate) fn mapped(&self, certificate: &ClientCertificate) -> Option<Found> {
        self.mappings.iter().find_map(|mapping| {
            Some(Found {
                authid: mapping.authid(certificate)?.into(),
                credential: Credential::Proved,
                grant: mapping.grant.clone(),
                provider: STATIC,
                is_listed: false,
            })
        })
    }
    /// Whom a token stands for.
    pub(crate) fn bearer(&self, token: &str, realm: &str, unix_millis: u64) -> Option<Bearer> {
        self.issuers.iter().find_map(|issuer| issuer.check(token, realm, unix_millis))
    }

    /// What to show of a principal that nobody may know.
    pub(crate) fn decoy<T>(
        &self,
        method: Method,
        realm: &str,
        authid: &str,
        make: impl FnOnce(&Unknown<'_>, &[&Shapes]) -> T,
    ) -> T {
        let secret = self.secret.as_ref().expect("invariant: add_source refuses a realm without secret");
        let principals: Vec<Arc<Principals>> = self.principals(method).collect();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shapes: Vec<&Shapes> =
            principals.iter().map(|principals| principals.shapes()).chain([&seen]).collect();
        make(&Unknown { secret, realm, authid }, &shapes)
    }
    /// Takes note of what a source outside has answered with, so that decoys look like it.
    pub(crate) fn note(&self, credential: &Credential, grant: &Grant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match credential {
            Credential::WampCra(secret) => seen.note_wampcra(&grant.role, secret),
            Credential::Scram(record) => seen.note_scram(record),
            _ => {}
        }
    }
}

fn twice(method: Method) -> ConfigError {
    ConfigError::Duplicate { method, name: method.name().into() }
}
