//! How the sessions of a realm prove who they are: from the tables of methods to [`RealmAuthentication`].
//!
//! Reads the files that the tables name. What a role may do is [`super::authorization`]'s business.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wampline_auth as auth;
use wampline_auth::{
    AnonymousAccess, CertificateMapping, ConfigError, CookieStore, DecoySecret, Grant, HookId, Method,
    PrincipalStore, ProcedureSource, RealmAuthentication, Source,
};
use wampline_shard::{SourceRules, Sources};

use super::diagnostics::Diagnostics;
use super::jwt;
use super::lists::{List, Networks, SourceName};
use super::principals::{self, PrincipalFile, place_of};
use super::raw::authentication as raw;
use super::secret::read_file;

/// Where something stands in the file.
type Place = Option<Range<usize>>;

/// The role of sessions that prove nothing, unless another is configured.
pub(super) const ANONYMOUS: &str = "anonymous";

/// A JSON file with certificates is not read beyond this.
const CERTIFICATES_BYTES_MAX: u64 = 1 << 20;

/// What the tables of one realm refer to.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// Relative paths begin here.
    pub(super) folder: &'a Path,
    /// The hooks by name.
    pub(super) hooks: &'a HashMap<String, HookId>,
    /// What decoys are made from.
    pub(super) decoys: &'a DecoySecret,
    /// Whether any listener gives cookies to browsers.
    pub(super) has_cookies: bool,
    /// Whether any listener asks clients for certificates.
    pub(super) has_certificates: bool,
}

/// What came of the tables of one realm.
pub(super) struct Built {
    pub(super) authentication: RealmAuthentication,
    /// Where clients may come from, by method.
    pub(super) sources: SourceRules,
    /// Procedures that know principals.
    pub(super) procedures: Vec<Answering>,
    /// Files of principals.
    pub(super) files: Vec<PrincipalFile>,
    /// Roles that are granted.
    pub(super) granted: Vec<(Place, String)>,
}

/// A procedure that answers questions about principals.
pub(super) struct Answering {
    /// Where it stands.
    pub(super) place: Place,
    /// The realm in which it is called; `None`: the one that it answers for.
    pub(super) realm: Option<String>,
    /// Its URI.
    pub(super) procedure: String,
}

/// Builds what a realm's tables say. Without the first of them sessions prove nothing.
pub(super) fn build(
    table: Option<toml::Spanned<raw::Authentication>>,
    list: Vec<toml::Spanned<raw::Principal>>,
    around: Surroundings<'_>,
    found: &mut Diagnostics,
) -> Built {
    let members = principals::read(list, around.folder, found);
    let Some(table) = table else {
        for (place, _) in &members.methods {
            found.add(place.clone(), "this realm has no methods, expected a table [realms.authentication]");
        }
        return Built {
            authentication: RealmAuthentication::anonymous(ANONYMOUS),
            sources: SourceRules::default(),
            procedures: Vec::new(),
            files: Vec::new(),
            granted: vec![(None, ANONYMOUS.into())],
        };
    };
    let place = Some(table.span());
    let granted = members.granted.clone();
    let has_principals_of = members.principals.methods().collect();
    let mut builder = Builder {
        around,
        place,
        authentication: RealmAuthentication::new(around.decoys.clone()),
        sources: SourceRules::default(),
        store: Arc::new(PrincipalStore::new(members.principals)),
        has_principals_of,
        asked_for_principals: Vec::new(),
        authenticator_realm: None,
        procedures: Vec::new(),
        files: Vec::new(),
        granted,
        found,
    };
    builder.table(table.into_inner());
    builder.finish(members.methods)
}

struct Builder<'a> {
    around: Surroundings<'a>,
    /// Where the table of methods stands.
    place: Place,
    authentication: RealmAuthentication,
    sources: SourceRules,
    /// The principals of the configuration.
    store: Arc<PrincipalStore>,
    has_principals_of: Vec<Method>,
    asked_for_principals: Vec<Method>,
    authenticator_realm: Option<(Place, String)>,
    procedures: Vec<Answering>,
    files: Vec<PrincipalFile>,
    granted: Vec<(Place, String)>,
    found: &'a mut Diagnostics,
}

impl Builder<'_> {
    fn table(&mut self, table: raw::Authentication) {
        let place = table.authenticator_realm.span();
        let realm = table.authenticator_realm.take(self.found);
        self.authenticator_realm = realm.map(|realm| (place, realm));
        let plain = [
            (Method::Ticket, table.ticket),
            (Method::WampCra, table.wampcra),
            (Method::WampScram, table.wamp_scram),
            (Method::Scram, table.scram),
        ];
        for (method, table) in plain {
            if let Some(table) = table {
                self.networks(method, table.networks);
                self.sources(method, table.sources);
            }
        }
        if let Some(table) = table.anonymous {
            self.anonymous(table);
        }
        if let Some(table) = table.cryptosign {
            self.cryptosign(table);
        }
        if let Some(table) = table.tls {
            self.tls(table);
        }
        if let Some(table) = table.cookie {
            self.cookie(table);
        }
        if let Some(table) = table.jwt {
            self.jwt(table);
        }
    }

    fn anonymous(&mut self, table: raw::Anonymous) {
        self.networks(Method::Anonymous, table.networks);
        let (role_place, authid_place, sources_place) =
            (table.role.span(), table.authid.span(), table.sources.span());
        let (role, authid) = (table.role.take(self.found), table.authid.take(self.found));
        let says_who = role.is_some() || authid.is_some();
        if sources_place.is_some() {
            if says_who {
                let message = "a procedure or hook decides about role and authid, expected it or them";
                self.found.add(sources_place, message);
            }
            self.sources(Method::Anonymous, table.sources);
            return;
        }
        let role = role.unwrap_or_else(|| ANONYMOUS.into());
        let access = AnonymousAccess::role(role.as_str()).and_then(|access| match &authid {
            Some(authid) => access.with_authid(authid),
            None => Ok(access),
        });
        if let Err(error) = access.and_then(|access| self.authentication.allow_anonymous(access)) {
            let places = [("role", &role_place), ("authid", &authid_place)];
            self.found.add(place_of(&error, &places, &self.place), error.to_string());
        }
        self.granted.push((role_place.or(self.place.clone()), role));
    }

    fn cryptosign(&mut self, table: raw::Cryptosign) {
        self.networks(Method::Cryptosign, table.networks);
        // With roots alone nobody need be known.
        if table.trust_roots.is_empty() || table.sources.span().is_some() {
            self.sources(Method::Cryptosign, table.sources);
        }
        let place = table.router_key.span();
        if let Some(secret) = table.router_key.take(self.found) {
            let key = secret.read(self.around.folder).and_then(|digits| {
                auth::RouterKey::from_hex(digits.trim()).map_err(|error| error.to_string())
            });
            match key {
                Ok(key) => self.authentication.set_router_key(key),
                Err(message) => self.found.add(place, message),
            }
        }
        for root in table.trust_roots {
            self.trust_root(root);
        }
    }

    fn trust_root(&mut self, root: raw::TrustRoot) {
        let issuer_place = root.issuer.span();
        let certificates_place = root.certificates.span();
        let mut address = |text: super::values::Checked<super::values::Text>| {
            let place = text.span();
            let text = text.take(self.found)?;
            let address = auth::Address::from_text(&text);
            address.map_err(|error| self.found.add(place, error.to_string())).ok()
        };
        let addresses = (address(root.contract), address(root.realm), address(root.issuer));
        let grant = self.grant(root.role);
        let chain_id = root.chain_id.get(self.found) as u64;
        let block = root.block.take(self.found);
        let certificates = root.certificates.take(self.found);
        let ((Some(contract), Some(realm), Some(issuer)), Some(grant)) = (addresses, grant) else { return };
        let mut trusted = auth::TrustRoot::new(chain_id, contract, realm, issuer, grant);
        if let Some(block) = block {
            trusted = trusted.at_block(block as u64);
        }
        if let Some(path) = certificates {
            let json = read_text(&self.around.folder.join(path), CERTIFICATES_BYTES_MAX);
            match json.and_then(|json| trusted.with_chain(&json).map_err(|error| error.to_string())) {
                Ok(with_chain) => trusted = with_chain,
                Err(message) => return self.found.add(certificates_place, message),
            }
        }
        let added = self.authentication.add_trust_root(trusted);
        self.complain(added, issuer_place);
    }

    fn tls(&mut self, table: raw::ByCertificate) {
        if !self.around.has_certificates {
            let message = "no listener asks clients for certificates, expected client_certificates in a table [listeners.tls] (or no method tls)";
            self.found.add(self.place.clone(), message);
        }
        self.networks(Method::Tls, table.networks);
        if table.mappings.is_empty() || table.sources.span().is_some() {
            self.sources(Method::Tls, table.sources);
        }
        for mapping in table.mappings {
            let field = mapping.authid.take(self.found);
            let grant = self.grant(mapping.role);
            if let (Some(field), Some(grant)) = (field, grant) {
                self.authentication.add_certificate_mapping(CertificateMapping { field, grant });
            }
        }
    }

    fn cookie(&mut self, table: raw::ByCookie) {
        self.networks(Method::Cookie, table.networks);
        let max_age: Duration = table.max_age.get(self.found);
        let store = CookieStore::new(table.logins_max.get(self.found), max_age.as_secs());
        match store {
            Ok(store) => self.authentication.allow_cookies(Arc::new(store)),
            Err(error) => self.found.add(self.place.clone(), error.to_string()),
        }
        if !self.around.has_cookies {
            let message = "no listener gives cookies to browsers, expected a table [listeners.cookie] (or no method cookie)";
            self.found.add(self.place.clone(), message);
        }
    }

    fn jwt(&mut self, table: raw::ByToken) {
        self.networks(Method::Jwt, table.networks);
        let span = table.issuers.span();
        let issuers = table.issuers.into_inner();
        if issuers.is_empty() {
            self.found.add(Some(span), "the list is empty, expected at least one issuer");
        }
        for issuer in issuers {
            if let Some(issuer) = jwt::issuer(issuer, self.around.folder, &mut self.granted, self.found) {
                self.authentication.add_issuer(issuer);
            }
        }
    }

    /// Where clients of a method may come from.
    fn networks(&mut self, method: Method, list: List<Networks>) {
        if let Some(sources) = networks(list, self.found) {
            self.sources = std::mem::take(&mut self.sources).with_method(method.name(), sources);
        }
    }

    /// Where principals of a method come from.
    fn sources(&mut self, method: Method, list: List<impl super::lists::Elements<Element = SourceName>>) {
        for (place, source) in list.placed(self.found) {
            let place = place.or_else(|| self.place.clone());
            if let Some(source) = self.source(method, &place, source) {
                let added = self.authentication.add_source(method, source);
                self.complain(added, place);
            }
        }
    }

    fn source(&mut self, method: Method, place: &Place, source: SourceName) -> Option<Source> {
        match source {
            SourceName::Principals => {
                if !self.has_principals_of.contains(&method) {
                    let message = format!(
                        "no principal of this realm can join by {method}, expected one in [[realms.principals]] or other sources"
                    );
                    self.found.add(place.clone(), message);
                }
                self.asked_for_principals.push(method);
                Some(Source::Principals(Arc::clone(&self.store)))
            }
            SourceName::File(path) => {
                self.file(place, &self.around.folder.join(path)).map(Source::Principals)
            }
            SourceName::Procedure(procedure) => {
                let realm = self.authenticator_realm.as_ref().map(|(_, realm)| realm.clone());
                let source = ProcedureSource {
                    realm: realm.as_deref().map(Box::from),
                    procedure: procedure.as_str().into(),
                };
                self.procedures.push(Answering { place: place.clone(), realm, procedure });
                Some(Source::Procedure(Arc::new(source)))
            }
            SourceName::Hook(name) => match self.around.hooks.get(&name) {
                Some(id) => Some(Source::Http(*id)),
                None => {
                    let message = format!("there is no hook {name:?}, expected one of [[hooks]]");
                    self.found.add(place.clone(), message);
                    None
                }
            },
        }
    }

    /// The principals of a file; several methods share them.
    fn file(&mut self, place: &Place, path: &Path) -> Option<Arc<PrincipalStore>> {
        if let Some(file) = self.files.iter().find(|file| file.path() == path) {
            return Some(Arc::clone(file.store()));
        }
        match PrincipalFile::read(PathBuf::from(path)) {
            Ok((file, roles)) => {
                self.granted.extend(roles.into_iter().map(|role| (place.clone(), role)));
                let store = Arc::clone(file.store());
                self.files.push(file);
                Some(store)
            }
            Err(message) => {
                self.found.add(place.clone(), message);
                None
            }
        }
    }

    /// A role that is granted.
    fn grant(&mut self, role: super::values::Checked<super::values::Text>) -> Option<Grant> {
        let place = role.span();
        let role = role.take(self.found)?;
        let grant = Grant::role(role.as_str());
        self.granted.push((place.clone(), role));
        grant.map_err(|error| self.found.add(place, error.to_string())).ok()
    }

    fn complain(&mut self, result: Result<(), ConfigError>, place: Place) {
        if let Err(error) = result {
            self.found.add(place, error.to_string());
        }
    }

    fn finish(self, of_principals: Vec<(Place, Method)>) -> Built {
        if self.authentication.methods().next().is_none() && self.found.is_empty() {
            self.found.add(self.place, "there is no method, expected at least one (or no such table)");
        }
        for (place, method) in of_principals {
            if !self.asked_for_principals.contains(&method) {
                let message = format!(
                    "nobody can join by {method} here, expected a table [realms.authentication.{method}] whose sources hold \"principals\""
                );
                self.found.add(place, message);
            }
        }
        Built {
            authentication: self.authentication,
            sources: self.sources,
            procedures: self.procedures,
            files: self.files,
            granted: self.granted,
        }
    }
}

/// A list of networks, unless it is absent.
pub(super) fn networks(list: List<Networks>, found: &mut Diagnostics) -> Option<Sources> {
    list.span()?;
    let texts = list.get(found);
    // What is wrong with an element has been told.
    Sources::new(texts.iter().map(String::as_str)).ok()
}

/// The text of a file.
fn read_text(path: &Path, max: u64) -> Result<String, String> {
    let octets = read_file(path, max)?;
    String::from_utf8(octets).map_err(|_| format!("{path:?} is not UTF-8"))
}
