//! Principals that the router knows itself: those of the configuration, and those of a file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

use crate::admission::{Grant, check_name};
use crate::authid::AUTHID_BYTES_MAX;
use crate::error::ConfigError;
use crate::{Method, Ticket};

/// A set of principals, each with what it proves itself by.
#[derive(Clone, Debug, Default)]
pub struct Principals {
    tickets: HashMap<Box<str>, Principal<Ticket>>,
}

/// What one principal proves itself by, and what it gets.
#[derive(Clone, Debug)]
pub(crate) struct Principal<S> {
    pub(crate) secret: S,
    pub(crate) grant: Grant,
}

impl Principals {
    /// The principal `authid` with this ticket. The secret and its kind are plainly named by [`Ticket`].
    ///
    /// # Errors
    /// If there is a ticket of that principal, or its authid is empty or too long.
    pub fn add_ticket(&mut self, authid: &str, ticket: Ticket, grant: Grant) -> Result<(), ConfigError> {
        add(&mut self.tickets, Method::Ticket, authid, ticket, grant)
    }
    /// The principal `authid` with a ticket.
    pub(crate) fn ticket(&self, authid: &str) -> Option<&Principal<Ticket>> {
        self.tickets.get(authid)
    }
}

/// A set of principals that can be replaced as a whole while sessions authenticate: one configuration, one file.
#[derive(Debug, Default)]
pub struct PrincipalStore {
    current: RwLock<Arc<Principals>>,
}

impl PrincipalStore {
    /// A store that holds `principals`.
    pub fn new(principals: Principals) -> PrincipalStore {
        PrincipalStore { current: RwLock::new(Arc::new(principals)) }
    }
    /// Puts `principals` in the place of those before. An attempt that has its challenge goes on with what it read.
    pub fn replace(&self, principals: Principals) {
        let principals = Arc::new(principals);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = principals;
    }
    /// The principals as they are now.
    pub fn current(&self) -> Arc<Principals> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn add<S>(
    map: &mut HashMap<Box<str>, Principal<S>>,
    method: Method,
    authid: &str,
    secret: S,
    grant: Grant,
) -> Result<(), ConfigError> {
    check_name("authid", authid, AUTHID_BYTES_MAX)?;
    match map.entry(authid.into()) {
        Entry::Occupied(_) => Err(ConfigError::Duplicate { method, name: authid.into() }),
        Entry::Vacant(entry) => {
            entry.insert(Principal { secret, grant });
            Ok(())
        }
    }
}
