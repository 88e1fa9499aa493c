//! How one realm authenticates.

use std::sync::Arc;

use crate::admission::{Grant, check_name};
use crate::authid::AUTHID_BYTES_MAX;
use crate::error::ConfigError;
use crate::{DecoySecret, Method, Source};

/// Octets of a role's name, at most.
pub(crate) const ROLE_BYTES_MAX: usize = 255;
/// Octets of a realm's name, at most.
pub(crate) const REALM_BYTES_MAX: usize = 255;

/// The methods of one realm, each with its ordered sources of principals. It does not change, but for the principals
/// in its [`crate::PrincipalStore`]s; shared by all shards.
#[derive(Debug)]
pub struct RealmAuthentication {
    anonymous: Option<AnonymousAccess>,
    sources: [Vec<Source>; Method::ALL.len()],
    decoys: Option<DecoySecret>,
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
    /// If the role is empty or too long.
    pub fn role(role: impl Into<Arc<str>>) -> Result<AnonymousAccess, ConfigError> {
        Ok(AnonymousAccess { grant: Grant::role(role)? })
    }
    /// All of them have this authid in place of a random one.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn with_authid(self, authid: &str) -> Result<AnonymousAccess, ConfigError> {
        check_name("authid", authid, AUTHID_BYTES_MAX)?;
        Ok(AnonymousAccess { grant: self.grant.with_authid(authid)? })
    }
}

impl RealmAuthentication {
    /// A realm that admits nobody until methods are added. Decoys are derived from `secret`.
    pub fn new(secret: DecoySecret) -> RealmAuthentication {
        RealmAuthentication { anonymous: None, sources: Default::default(), decoys: Some(secret) }
    }
    /// A realm that admits anonymous sessions and nobody else: what a realm without configuration has.
    ///
    /// # Panics
    /// If the role is empty or longer than 255 octets.
    pub fn anonymous(role: impl Into<Arc<str>>) -> RealmAuthentication {
        let access = AnonymousAccess::role(role).expect("invariant: the role has a name");
        RealmAuthentication { anonymous: Some(access), sources: Default::default(), decoys: None }
    }
    /// Admits anonymous sessions.
    ///
    /// # Errors
    /// If it does so already.
    pub fn allow_anonymous(&mut self, access: AnonymousAccess) -> Result<(), ConfigError> {
        if self.anonymous.is_some() {
            return Err(ConfigError::Duplicate {
                method: Method::Anonymous,
                name: Method::Anonymous.name().into(),
            });
        }
        self.anonymous = Some(access);
        Ok(())
    }
    /// Adds a source of principals to a method, after those that it has.
    ///
    /// # Errors
    /// If the method takes no sources of this kind.
    pub fn add_source(&mut self, method: Method, source: Source) -> Result<(), ConfigError> {
        match method {
            Method::Ticket => {
                self.sources[method as usize].push(source);
                Ok(())
            }
            _ => Err(ConfigError::Source { method }),
        }
    }
    /// Whether the realm has this method.
    pub fn has(&self, method: Method) -> bool {
        match method {
            Method::Anonymous => self.anonymous.is_some(),
            _ => !self.sources[method as usize].is_empty(),
        }
    }
    /// The methods that the realm has.
    pub fn methods(&self) -> impl Iterator<Item = Method> + '_ {
        Method::ALL.into_iter().filter(|method| self.has(*method))
    }
    /// What anonymous sessions get.
    pub(crate) fn anonymous_access(&self) -> Option<&AnonymousAccess> {
        self.anonymous.as_ref()
    }
    /// The sources of a method, in order.
    pub(crate) fn sources(&self, method: Method) -> &[Source] {
        &self.sources[method as usize]
    }
    /// Whether a method has a source outside: what it refuses is released on the grid.
    pub(crate) fn is_on_grid(&self, method: Method) -> bool {
        self.sources(method).iter().any(Source::is_outside)
    }
}
