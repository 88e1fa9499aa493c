//! Who may join: the principals of the configuration, and files of them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wampline_auth::{
    CertificateTable, ConfigError, CraTable, Dialect, Grant, Method, PrincipalStore, Principals, PublicKey,
    ScramTable, SecretText, Ticket,
};

use super::diagnostics::Diagnostics;
use super::raw::authentication as raw;
use super::secret::Secret;
use super::values::Checked;
use crate::watch::{self, Watched};

/// Where something stands in the file.
type Place = Option<Range<usize>>;

/// The principals of a realm's configuration.
#[derive(Default)]
pub(super) struct Members {
    pub(super) principals: Principals,
    /// By which methods, and where that is said.
    pub(super) methods: Vec<(Place, Method)>,
    /// Their roles.
    pub(super) granted: Vec<(Place, String)>,
}

/// Reads the principals of a realm.
pub(super) fn read(
    list: Vec<toml::Spanned<raw::Principal>>,
    folder: &Path,
    found: &mut Diagnostics,
) -> Members {
    let mut members = Members::default();
    for principal in list {
        let place = Some(principal.span());
        Reader { folder, place, members: &mut members, found }.principal(principal.into_inner());
    }
    members
}

/// Reads one principal.
struct Reader<'a> {
    folder: &'a Path,
    /// Where it stands.
    place: Place,
    members: &'a mut Members,
    found: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn principal(mut self, table: raw::Principal) {
        let (authid_place, role_place) = (table.authid.span(), table.role.span());
        let (session_authid_place, realm_place) = (table.session_authid.span(), table.realm.span());
        let (authid, role) = (table.authid.take(self.found), table.role.take(self.found));
        let (session_authid, realm) = (table.session_authid.take(self.found), table.realm.take(self.found));
        let extra = table.extra.take(self.found);
        let (Some(authid), Some(role)) = (authid, role) else { return };
        self.members.granted.push((role_place.clone(), role.clone()));
        let grant = Grant::role(role.as_str())
            .and_then(|grant| match &session_authid {
                Some(authid) => grant.with_authid(authid),
                None => Ok(grant),
            })
            .and_then(|grant| match &realm {
                Some(realm) => grant.with_realm(realm),
                None => Ok(grant),
            });
        let grant = match grant {
            Ok(grant) => extra.into_iter().fold(grant, Grant::with_extra),
            Err(error) => {
                let places =
                    [("role", &role_place), ("authid", &session_authid_place), ("realm", &realm_place)];
                let place = place_of(&error, &places, &self.place);
                return self.found.add(place, error.to_string());
            }
        };
        let before = self.members.methods.len();
        self.ticket(&authid, &authid_place, table.ticket, table.ticket_sha256, &grant);
        if let Some(table) = table.wampcra {
            self.wampcra(&authid, &authid_place, table, &grant);
        }
        for (table, dialect) in [(table.wamp_scram, Dialect::Specification), (table.scram, Dialect::Crossbar)]
        {
            if let Some(table) = table {
                self.scram(&authid, &authid_place, table, dialect, &grant);
            }
        }
        self.cryptosign(&authid, &authid_place, table.cryptosign, &grant);
        if let Some(table) = table.tls {
            self.tls(&authid, &authid_place, table, &grant);
        }
        if self.members.methods.len() == before {
            let message = format!(
                "the principal {authid:?} can prove itself by nothing, expected ticket, wampcra, wamp-scram, scram, \
                 cryptosign or tls"
            );
            self.found.add(self.place, message);
        }
    }

    /// Takes note of a method, and adds what the principal proves itself by.
    fn add<T>(
        &mut self,
        method: Method,
        places: (&Place, &Place),
        secret: Option<T>,
        add: impl FnOnce(&mut Principals, T) -> Result<(), ConfigError>,
    ) {
        let (place, authid_place) = places;
        self.members.methods.push((place.clone(), method));
        let Some(secret) = secret else { return };
        if let Err(error) = add(&mut self.members.principals, secret) {
            self.found.add(authid_place.clone(), error.to_string());
        }
    }

    fn ticket(
        &mut self,
        authid: &str,
        authid_place: &Place,
        raw: Checked<Secret>,
        sha256: Checked<Secret>,
        grant: &Grant,
    ) {
        let (raw_place, sha256_place) = (raw.span(), sha256.span());
        if raw_place.is_some() && sha256_place.is_some() {
            let message = "there is a ticket already, expected either ticket or ticket_sha256";
            self.found.add(sha256_place.clone(), message);
        }
        let Some(place) = raw_place.clone().or(sha256_place.clone()) else { return };
        let place = Some(place);
        let (raw, sha256) = (self.secret(raw), self.secret(sha256));
        let ticket = raw.map(|raw| Ticket::raw(raw.expose()));
        let ticket = ticket.or_else(|| sha256.map(|digits| Ticket::sha256(digits.expose().trim())));
        let ticket = ticket.and_then(|ticket| self.right(ticket, place.clone()));
        self.add(Method::Ticket, (&place, authid_place), ticket, |principals, ticket| {
            principals.add_ticket(authid, ticket, grant.clone())
        });
    }

    fn wampcra(
        &mut self,
        authid: &str,
        authid_place: &Place,
        table: toml::Spanned<raw::WampCra>,
        grant: &Grant,
    ) {
        let place = Some(table.span());
        let table = table.into_inner();
        let (secret_place, password_place, key_place) =
            (table.secret.span(), table.password.span(), table.key.span());
        let (salt_place, iterations_place, keylen_place) =
            (table.salt.span(), table.iterations.span(), table.keylen.span());
        let iterations = table.iterations.get(self.found);
        let keylen = table.keylen.get(self.found);
        // A secret is used as it is: there is nothing to iterate.
        let is_derived = secret_place.is_none();
        let number = |number: usize, place: &Place| {
            (is_derived || place.is_some()).then(|| u32::try_from(number).unwrap_or(u32::MAX))
        };
        let wrong = self.found.count();
        let read = CraTable {
            secret: self.secret(table.secret),
            password: self.secret(table.password),
            key: self.secret(table.key),
            salt: table.salt.take(self.found),
            iterations: number(iterations, &iterations_place),
            keylen: number(keylen, &keylen_place),
        };
        let secret = if self.found.count() == wrong {
            read.secret().map_err(|error| {
                let places = [
                    ("secret", &secret_place),
                    ("password", &password_place),
                    ("key", &key_place),
                    ("salt", &salt_place),
                    ("iterations", &iterations_place),
                    ("keylen", &keylen_place),
                ];
                self.found.add(place_of(&error, &places, &place), error.to_string());
            })
        } else {
            Err(())
        };
        self.add(Method::WampCra, (&place, authid_place), secret.ok(), |principals, secret| {
            principals.add_wampcra(authid, secret, grant.clone())
        });
    }

    fn scram(
        &mut self,
        authid: &str,
        authid_place: &Place,
        table: toml::Spanned<raw::Scram>,
        dialect: Dialect,
        grant: &Grant,
    ) {
        let place = Some(table.span());
        let table = table.into_inner();
        let places = [
            ("key derivation function", table.kdf.span()),
            ("iterations", table.iterations.span()),
            ("memory", table.memory.span()),
            ("salt", table.salt.span()),
            ("stored_key", table.stored_key.span()),
            ("server_key", table.server_key.span()),
            ("password", table.password.span()),
        ];
        let number = |number: Option<usize>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let wrong = self.found.count();
        let read = ScramTable {
            kdf: table.kdf.take(self.found).unwrap_or_default(),
            iterations: number(table.iterations.take(self.found)).unwrap_or_default(),
            memory: number(table.memory.take(self.found)),
            salt: table.salt.take(self.found).unwrap_or_default(),
            stored_key: self.secret(table.stored_key),
            server_key: self.secret(table.server_key),
            password: self.secret(table.password),
        };
        let record = if self.found.count() == wrong {
            read.record(dialect).map_err(|error| {
                let places: Vec<(&str, &Place)> = places.iter().map(|(what, place)| (*what, place)).collect();
                self.found.add(place_of(&error, &places, &place), error.to_string());
            })
        } else {
            Err(())
        };
        let method = match dialect {
            Dialect::Specification => Method::WampScram,
            Dialect::Crossbar => Method::Scram,
        };
        self.add(method, (&place, authid_place), record.ok(), |principals, record| {
            principals.add_scram(authid, record, grant.clone())
        });
    }

    fn cryptosign(
        &mut self,
        authid: &str,
        authid_place: &Place,
        keys: super::lists::List<super::lists::Texts>,
        grant: &Grant,
    ) {
        let Some(place) = keys.span() else { return };
        let texts = keys.placed(self.found);
        let mut keys = Vec::new();
        for (place, text) in texts {
            keys.extend(self.right(PublicKey::from_hex(&text), place));
        }
        let keys = (!keys.is_empty()).then_some(keys);
        self.add(Method::Cryptosign, (&Some(place), authid_place), keys, |principals, keys| {
            principals.add_cryptosign(authid, &keys, grant.clone())
        });
    }

    fn tls(&mut self, authid: &str, authid_place: &Place, table: raw::Certificates, grant: &Grant) {
        let kinds: [(&str, super::lists::List<super::lists::Texts>); 7] = [
            ("sha256", table.sha256),
            ("subject", table.subject),
            ("common_name", table.common_name),
            ("dns", table.dns),
            ("email", table.email),
            ("uri", table.uri),
            ("ip", table.ip),
        ];
        for (kind, list) in kinds {
            for (place, text) in list.placed(self.found) {
                let name = match certificate_name(kind, text) {
                    Ok(name) => name,
                    Err(message) => {
                        self.members.methods.push((place.clone(), Method::Tls));
                        self.found.add(place, message);
                        continue;
                    }
                };
                self.add(Method::Tls, (&place, authid_place), Some(name), |principals, name| {
                    principals.add_certificate(authid, name, grant.clone())
                });
            }
        }
    }

    /// The secret, if there is one and it can be had.
    fn secret(&mut self, secret: Checked<Secret>) -> Option<SecretText> {
        let place = secret.span();
        let secret = secret.take(self.found)?.read(self.folder);
        secret
            .map(|secret| SecretText::new((*secret).clone()))
            .map_err(|message| self.found.add(place, message))
            .ok()
    }

    /// What is right; what is wrong is told.
    fn right<T>(&mut self, result: Result<T, ConfigError>, place: Place) -> Option<T> {
        result.map_err(|error| self.found.add(place, error.to_string())).ok()
    }
}

/// What a certificate is known by.
fn certificate_name(kind: &str, text: String) -> Result<wampline_auth::CertificateName, String> {
    let mut table = CertificateTable::default();
    match kind {
        "sha256" => table.sha256.push(text),
        "subject" => table.subject.push(text),
        "common_name" => table.common_name.push(text),
        "dns" => table.dns.push(text),
        "email" => table.email.push(text),
        "uri" => table.uri.push(text),
        _ => {
            let address = text.parse();
            table.ip.push(address.map_err(|_| format!("{text:?} is no IP address, expected one"))?);
        }
    }
    let mut names = table.names().map_err(|error| error.to_string())?;
    names.pop().ok_or_else(|| "there is no name, expected one".into())
}

/// The place of what an error is about.
pub(super) fn place_of(error: &ConfigError, places: &[(&str, &Place)], whole: &Place) -> Place {
    let what = match error {
        ConfigError::Empty { what }
        | ConfigError::TooLong { what, .. }
        | ConfigError::Malformed { what, .. }
        | ConfigError::OutOfRange { what, .. } => what,
        ConfigError::WeakSalt { .. } => "salt",
        ConfigError::UnknownKdf { .. } => "key derivation function",
        ConfigError::Password => "password",
        _ => return whole.clone(),
    };
    let named = places.iter().find(|(name, _)| what.starts_with(name));
    named.and_then(|(_, place)| (*place).clone()).or_else(|| whole.clone())
}

/// A file of principals that was read, and is to be watched.
pub(super) struct PrincipalFile {
    path: PathBuf,
    stamp: watch::Stamp,
    store: Arc<PrincipalStore>,
}

impl PrincipalFile {
    /// Reads a file, and tells the roles in it.
    ///
    /// # Errors
    /// What is wrong with it, with line and column where there are some.
    pub(super) fn read(path: PathBuf) -> Result<(PrincipalFile, Vec<String>), String> {
        let (text, stamp) = watch::read(&path).map_err(|why| format!("{path:?} cannot be read: {why}"))?;
        let principals =
            Principals::from_toml(&text).map_err(|error| format!("{}:{error}", path.display()))?;
        let mut roles: Vec<String> = principals.roles().map(String::from).collect();
        roles.sort();
        roles.dedup();
        let store = Arc::new(PrincipalStore::new(principals));
        Ok((PrincipalFile { path, stamp, store }, roles))
    }
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
    /// What was read of it.
    pub(super) fn store(&self) -> &Arc<PrincipalStore> {
        &self.store
    }
    /// Has it read again when it changes. Its principals may have these roles alone, if any are given.
    pub(super) fn watched(self, roles: Option<Vec<String>>) -> Watched {
        Watched::principals(self.path, self.stamp, self.store, move |principals| {
            let is_known =
                |role: &&str| roles.as_ref().is_none_or(|known| known.iter().any(|one| one == role));
            match principals.roles().find(|role| !is_known(role)) {
                Some(role) => Err(format!(" there is no role {role:?}, expected one of the realm's")),
                None => Ok(()),
            }
        })
    }
}
