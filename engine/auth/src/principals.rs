//! Principals that the router knows itself: those of the configuration, and those of a file.

mod table;

pub use table::{CertificateTable, CraTable, PrincipalFileError, PrincipalTable, ScramTable, SecretText};

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

use crate::admission::{Grant, check_name};
use crate::authid::AUTHID_BYTES_MAX;
use crate::decoy::Shapes;
use crate::error::ConfigError;
use crate::scram::Dialect;
use crate::{CertificateName, ClientCertificate, CraSecret, Method, PublicKey, ScramRecord, Ticket};

/// A set of principals, each with what it proves itself by. One authid may stand under several methods; under each it
/// has a grant of its own.
#[derive(Clone, Debug, Default)]
pub struct Principals {
    tickets: Table<Ticket>,
    wampcra: Table<CraSecret>,
    wamp_scram: Table<ScramRecord>,
    scram: Table<ScramRecord>,
    cryptosign: Table<Box<[PublicKey]>>,
    /// The authid of each key.
    keys: HashMap<PublicKey, Box<str>>,
    /// The authid and grant of each name in certificates.
    certificates: HashMap<CertificateName, (Box<str>, Grant)>,
    shapes: Shapes,
}

type Table<S> = HashMap<Box<str>, Principal<S>>;

/// What one principal proves itself by, and what it gets.
#[derive(Clone, Debug)]
pub(crate) struct Principal<S> {
    pub(crate) secret: S,
    pub(crate) grant: Grant,
}

impl Principals {
    /// The principal `authid` of method `ticket`.
    ///
    /// # Errors
    /// If the principal has a ticket already, or its authid is empty or longer than 255 octets.
    pub fn add_ticket(&mut self, authid: &str, ticket: Ticket, grant: Grant) -> Result<(), ConfigError> {
        add(&mut self.tickets, Method::Ticket, authid, ticket, grant)
    }
    /// The principal `authid` of method `wampcra`.
    ///
    /// # Errors
    /// As [`Principals::add_ticket`].
    pub fn add_wampcra(&mut self, authid: &str, secret: CraSecret, grant: Grant) -> Result<(), ConfigError> {
        self.shapes.note_wampcra(&grant.role, &secret);
        add(&mut self.wampcra, Method::WampCra, authid, secret, grant)
    }
    /// The principal `authid` of method `wamp-scram` or `scram`, by the record's dialect.
    ///
    /// # Errors
    /// As [`Principals::add_ticket`]; for `wamp-scram` also if the authid is not as SASLprep leaves it: clients send that,
    /// so that nobody could join by the name.
    pub fn add_scram(&mut self, authid: &str, record: ScramRecord, grant: Grant) -> Result<(), ConfigError> {
        let is_normal = || stringprep::saslprep(authid).is_ok_and(|normal| normal == authid);
        if record.dialect() == Dialect::Specification && !is_normal() {
            let expected = "in the normal form of SASLprep (RFC 4013), which clients of wamp-scram send";
            return Err(ConfigError::Malformed { what: "authid", expected });
        }
        self.shapes.note_scram(&record);
        match record.dialect() {
            Dialect::Specification => add(&mut self.wamp_scram, Method::WampScram, authid, record, grant),
            Dialect::Crossbar => add(&mut self.scram, Method::Scram, authid, record, grant),
        }
    }
    /// The principal `authid` of method `cryptosign`, who may use any of these keys.
    ///
    /// # Errors
    /// As [`Principals::add_ticket`]; also if there is no key, or one of them is another principal's: a session may
    /// join by its key alone.
    pub fn add_cryptosign(
        &mut self,
        authid: &str,
        keys: &[PublicKey],
        grant: Grant,
    ) -> Result<(), ConfigError> {
        if keys.is_empty() {
            return Err(ConfigError::Missing { what: "key" });
        }
        let is_taken = |key: &&PublicKey| self.keys.get(key).is_some_and(|owner| &**owner != authid);
        if let Some(key) = keys.iter().find(is_taken) {
            return Err(ConfigError::Duplicate { method: Method::Cryptosign, name: key.to_hex().into() });
        }
        add(&mut self.cryptosign, Method::Cryptosign, authid, keys.into(), grant)?;
        self.keys.extend(keys.iter().map(|key| (*key, Box::from(authid))));
        Ok(())
    }
    /// The principal `authid` of method `tls`, whose certificate has this name. It may have several.
    ///
    /// # Errors
    /// If the authid is empty or longer than 255 octets, or the name is there already.
    pub fn add_certificate(
        &mut self,
        authid: &str,
        name: CertificateName,
        grant: Grant,
    ) -> Result<(), ConfigError> {
        check_name("authid", authid, AUTHID_BYTES_MAX)?;
        match self.certificates.entry(name) {
            Entry::Occupied(entry) => {
                Err(ConfigError::Duplicate { method: Method::Tls, name: entry.key().to_string().into() })
            }
            Entry::Vacant(entry) => {
                entry.insert((authid.into(), grant));
                Ok(())
            }
        }
    }
    /// The methods that there are principals of.
    pub fn methods(&self) -> impl Iterator<Item = Method> {
        let present = [
            (Method::Ticket, self.tickets.is_empty()),
            (Method::WampCra, self.wampcra.is_empty()),
            (Method::WampScram, self.wamp_scram.is_empty()),
            (Method::Scram, self.scram.is_empty()),
            (Method::Cryptosign, self.cryptosign.is_empty()),
            (Method::Tls, self.certificates.is_empty()),
        ];
        present.into_iter().filter(|(_, is_empty)| !is_empty).map(|(method, _)| method)
    }
    /// Every role that is granted, some more than once: for a check that they exist.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let tables = grants(&self.tickets)
            .chain(grants(&self.wampcra))
            .chain(grants(&self.wamp_scram))
            .chain(grants(&self.scram))
            .chain(grants(&self.cryptosign));
        tables.chain(self.certificates.values().map(|(_, grant)| grant)).map(|grant| &*grant.role)
    }

    pub(crate) fn ticket(&self, authid: &str) -> Option<&Principal<Ticket>> {
        self.tickets.get(authid)
    }
    pub(crate) fn wampcra(&self, authid: &str) -> Option<&Principal<CraSecret>> {
        self.wampcra.get(authid)
    }
    pub(crate) fn scram(&self, dialect: Dialect, authid: &str) -> Option<&Principal<ScramRecord>> {
        match dialect {
            Dialect::Specification => self.wamp_scram.get(authid),
            Dialect::Crossbar => self.scram.get(authid),
        }
    }
    pub(crate) fn cryptosign(&self, authid: &str) -> Option<&Principal<Box<[PublicKey]>>> {
        self.cryptosign.get(authid)
    }
    pub(crate) fn authid_of_key(&self, key: &PublicKey) -> Option<&str> {
        self.keys.get(key).map(|authid| &**authid)
    }
    pub(crate) fn certificate(&self, certificate: &ClientCertificate) -> Option<&(Box<str>, Grant)> {
        if self.certificates.is_empty() {
            return None;
        }
        CertificateName::all_of(certificate).find_map(|name| self.certificates.get(&name))
    }
    pub(crate) fn shapes(&self) -> &Shapes {
        &self.shapes
    }
    /// What the principal has now that a method admitted before; `None` if it is not there any more.
    pub(crate) fn grant(&self, method: Method, authid: &str) -> Option<&Grant> {
        match method {
            Method::Ticket => self.tickets.get(authid).map(|found| &found.grant),
            Method::WampCra => self.wampcra.get(authid).map(|found| &found.grant),
            Method::WampScram => self.wamp_scram.get(authid).map(|found| &found.grant),
            Method::Scram => self.scram.get(authid).map(|found| &found.grant),
            Method::Cryptosign => self.cryptosign.get(authid).map(|found| &found.grant),
            _ => None,
        }
    }
}

fn grants<S>(table: &Table<S>) -> impl Iterator<Item = &Grant> {
    table.values().map(|principal| &principal.grant)
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
    table: &mut Table<S>,
    method: Method,
    authid: &str,
    secret: S,
    grant: Grant,
) -> Result<(), ConfigError> {
    check_name("authid", authid, AUTHID_BYTES_MAX)?;
    match table.entry(authid.into()) {
        Entry::Occupied(_) => Err(ConfigError::Duplicate { method, name: authid.into() }),
        Entry::Vacant(entry) => {
            entry.insert(Principal { secret, grant });
            Ok(())
        }
    }
}
