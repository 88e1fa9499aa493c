//! An attempt that waits: for AUTHENTICATE, or for a source outside.

use std::sync::Arc;

use wampline_wire::{Dict, SessionId, Value};
use zeroize::Zeroizing;

use super::Env;
use crate::answer::Verdict;
use crate::cookie::Login;
use crate::cryptosign::{CryptosignRequest, SignedChallenge};
use crate::found::{Credential, DYNAMIC, Found, HTTP, STATIC};
use crate::question::Asking;
use crate::scram::{Dialect, Exchange, ScramRequest};
use crate::trust_root::Address;
use crate::wampcra::{self, CraSecret};
use crate::{
    Answer, Method, OwnedDict, Principals, RealmAuthentication, Refusal, Source, Step, Ticket, Transport,
    TrustRoot,
};

/// What remains of an attempt after a step, and the step.
pub(super) type Next = (Option<Box<Pending>>, Step);

pub(super) struct Pending {
    pub(super) realm: Arc<RealmAuthentication>,
    pub(super) method: Method,
    pub(super) who: Who,
    pub(super) waits: Waits,
}

/// What HELLO has said of itself.
pub(super) struct Who {
    /// The realm that it asked for.
    pub(super) realm: Box<str>,
    pub(super) session: SessionId,
    pub(super) authid: Option<Box<str>>,
    /// Kept where a source outside is to see it.
    pub(super) authextra: Option<OwnedDict>,
}

/// What the client has to prove by.
pub(super) enum Request {
    /// Nothing of its own, or nothing yet.
    Nothing,
    Ticket(Zeroizing<String>),
    Scram(ScramRequest),
    Cryptosign(Box<CryptosignRequest>),
}

/// What is waited for.
pub(super) enum Waits {
    /// Nothing: a step is being taken.
    Nothing,
    /// The answer of the source at this position.
    Answer { position: usize, request: Request },
    /// AUTHENTICATE with a ticket.
    Ticket,
    /// AUTHENTICATE with a token.
    Token,
    /// AUTHENTICATE with the signature of this challenge, by a secret that may be a decoy.
    WampCra { secret: CraSecret, challenge: String, found: Option<Found> },
    /// AUTHENTICATE with a proof, of a record that may be a decoy.
    Scram { exchange: Box<Exchange>, found: Option<Found> },
    /// AUTHENTICATE with a signature, by a key that may be nobody's.
    Cryptosign { challenge: Box<SignedChallenge>, found: Option<Found> },
}

impl Pending {
    /// AUTHENTICATE.
    pub(super) fn authenticate(
        mut self: Box<Self>,
        signature: &str,
        extra: &Dict<'_>,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> Next {
        match std::mem::replace(&mut self.waits, Waits::Nothing) {
            Waits::Nothing | Waits::Answer { .. } => self.refuse(),
            Waits::Ticket => {
                let ticket = Zeroizing::new(signature.to_owned());
                self.walk(Request::Ticket(ticket), transport, env)
            }
            Waits::Token => self.token(signature, transport, env),
            Waits::WampCra { secret, challenge, found } => {
                let is_proved = secret.verifies(&challenge, signature);
                self.end(is_proved, found, None, transport, env)
            }
            Waits::Scram { exchange, found } => {
                let verifier = exchange.finish(signature, extra);
                let entry = verifier.map(|verifier| exchange.verifier_entry(verifier));
                self.end(entry.is_some(), found, entry, transport, env)
            }
            Waits::Cryptosign { challenge, found } => {
                let is_proved = challenge.is_answered_by(signature);
                self.end(is_proved, found, None, transport, env)
            }
        }
    }

    /// The answer of a source outside.
    pub(super) fn answered(
        mut self: Box<Self>,
        answer: &Answer<'_>,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> Next {
        let Waits::Answer { position, request } = std::mem::replace(&mut self.waits, Waits::Nothing) else {
            return (None, Step::Refuse(Refusal::failed()));
        };
        match Verdict::read(answer, self.method) {
            Verdict::Failed(why) => self.failed(&why),
            // It knows the principal, so nobody else is asked, and what follows is what follows for an unknown one.
            Verdict::Denied => self.decide(None, request, transport, env),
            Verdict::Unknown => self.walk_from(position + 1, request, transport, env),
            Verdict::Known(known) => {
                let (credential, grant) = *known;
                self.realm.note(&credential, &grant);
                let provider = match self.realm.sources(self.method).get(position) {
                    Some(Source::Http(_)) => HTTP,
                    _ => DYNAMIC,
                };
                let Some(authid) = self.outside_authid(&grant.authid, &request) else {
                    return self.failed("it has given no authid, and the client none");
                };
                let found = Found { authid, credential, grant, provider, is_listed: false };
                self.decide(Some(found), request, transport, env)
            }
        }
    }

    /// The sources in order, from the first.
    pub(super) fn walk(
        self: Box<Self>,
        request: Request,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> Next {
        self.walk_from(0, request, transport, env)
    }

    /// The sources in order: the first that knows the principal decides, and one outside is asked.
    fn walk_from(
        mut self: Box<Self>,
        first: usize,
        request: Request,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> Next {
        let realm = self.realm.clone();
        for (position, source) in realm.sources(self.method).iter().enumerate().skip(first) {
            if let Source::Principals(store) = source {
                if let Some(found) = self.find(&store.current(), &request, transport) {
                    return self.decide(Some(found), request, transport, env);
                }
                continue;
            }
            let asking = Asking {
                realm: &self.who.realm,
                session: self.who.session,
                authid: self.who.authid.as_deref(),
                method: self.method,
                authextra: self.who.authextra.as_ref(),
                ticket: if let Request::Ticket(ticket) = &request { Some(ticket) } else { None },
            };
            match asking.of(source, transport) {
                Ok(Some(question)) => {
                    self.waits = Waits::Answer { position, request };
                    return (Some(self), Step::Ask(question));
                }
                Ok(None) => {}
                Err(_) => {
                    let refusal = Refusal::malformed("authextra has values that cannot be handed on");
                    return (None, Step::Refuse(refusal));
                }
            }
        }
        let mapped = transport.certificate.filter(|_| self.method == Method::Tls);
        let mapped = mapped.and_then(|certificate| realm.mapped(certificate));
        self.decide(mapped, request, transport, env)
    }

    /// The principal among those that the router knows itself.
    fn find(&self, principals: &Principals, request: &Request, transport: &Transport<'_>) -> Option<Found> {
        let asked = self.who.authid.as_deref();
        let found = |authid: &str, credential, grant: &crate::Grant| Found {
            authid: authid.into(),
            credential,
            grant: grant.clone(),
            provider: STATIC,
            is_listed: true,
        };
        match (self.method, request) {
            (Method::Ticket, _) => {
                let principal = principals.ticket(asked?)?;
                Some(found(asked?, Credential::Ticket(principal.secret.clone()), &principal.grant))
            }
            (Method::WampCra, _) => {
                let principal = principals.wampcra(asked?)?;
                Some(found(asked?, Credential::WampCra(principal.secret.clone()), &principal.grant))
            }
            (Method::WampScram | Method::Scram, _) => {
                let principal = principals.scram(dialect(self.method), asked?)?;
                Some(found(asked?, Credential::Scram(principal.secret.clone()), &principal.grant))
            }
            (Method::Cryptosign, Request::Cryptosign(request)) => {
                let authid = asked.or_else(|| principals.authid_of_key(&request.key))?;
                let principal = principals.cryptosign(authid)?;
                Some(found(authid, Credential::Keys(principal.secret.clone()), &principal.grant))
            }
            (Method::Tls, _) => {
                let (authid, grant) = principals.certificate(transport.certificate?)?;
                Some(Found { is_listed: false, ..found(authid, Credential::Proved, grant) })
            }
            _ => None,
        }
    }

    /// All sources have had their say: the next step for a principal that is known, or for one that is not.
    fn decide(
        self: Box<Self>,
        found: Option<Found>,
        request: Request,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> Next {
        match request {
            Request::Ticket(ticket) => {
                let presented = Ticket::presented(&ticket);
                let (kept, is_proved) = match found.as_ref().map(|found| &found.credential) {
                    Some(Credential::Ticket(kept)) => (kept.clone(), false),
                    Some(Credential::Proved) => (Ticket::nobodys(), true),
                    _ => (Ticket::nobodys(), false),
                };
                let is_the_same = kept.is(&presented);
                self.end(is_the_same | is_proved, found, None, transport, env)
            }
            Request::Scram(request) => self.challenge_scram(found, &request, env),
            Request::Cryptosign(request) => self.challenge_cryptosign(found, &request, env),
            Request::Nothing if self.method == Method::WampCra => self.challenge_wampcra(found, env),
            Request::Nothing => {
                // Who has a certificate may name itself, but only so.
                let asked = self.who.authid.as_deref().filter(|_| self.method == Method::Tls);
                let found = found.filter(|found| asked.is_none_or(|asked| *asked == *found.authid));
                self.end(true, found, None, transport, env)
            }
        }
    }

    fn challenge_wampcra(mut self: Box<Self>, found: Option<Found>, env: &mut Env<'_>) -> Next {
        let authid = self.who.authid.as_deref().unwrap_or_default();
        let (decoy, role) =
            self.realm.decoy(self.method, &self.who.realm, authid, |unknown, known| unknown.wampcra(known));
        let (secret, role, found) = match found {
            Some(Found { credential: Credential::WampCra(ref secret), ref grant, .. }) => {
                (secret.clone(), grant.role.clone(), found)
            }
            _ => (decoy, role, None),
        };
        let challenge = wampcra::Challenge {
            authid,
            authrole: &role,
            authprovider: self.realm.shown_provider(self.method),
            session: self.who.session,
            nonce: env.octets(),
            unix_millis: env.unix_millis,
        };
        let challenge = challenge.text();
        let extra = secret.challenge_extra(&challenge);
        self.waits = Waits::WampCra { secret, challenge, found };
        self.challenge(extra)
    }

    fn challenge_scram(
        mut self: Box<Self>,
        found: Option<Found>,
        request: &ScramRequest,
        env: &mut Env<'_>,
    ) -> Next {
        let authid = self.who.authid.as_deref().unwrap_or_default();
        let dialect = dialect(self.method);
        let decoy = self
            .realm
            .decoy(self.method, &self.who.realm, authid, |unknown, known| unknown.scram(dialect, known));
        let (record, found) = match found {
            Some(Found { credential: Credential::Scram(ref record), .. }) => (record.clone(), found),
            _ => (decoy, None),
        };
        let exchange = Box::new(Exchange::begin(record, request, authid, env.octets()));
        let extra = exchange.challenge_extra();
        self.waits = Waits::Scram { exchange, found };
        self.challenge(extra)
    }

    fn challenge_cryptosign(
        mut self: Box<Self>,
        found: Option<Found>,
        request: &CryptosignRequest,
        env: &mut Env<'_>,
    ) -> Next {
        let is_its_key = |credential: &Credential| match credential {
            Credential::Keys(keys) => keys.contains(&request.key),
            Credential::Proved => true,
            _ => false,
        };
        let found = found.filter(|found| is_its_key(&found.credential));
        let challenge = Box::new(SignedChallenge::begin(request, self.realm.router_key(), env.octets()));
        let extra = challenge.challenge_extra();
        self.waits = Waits::Cryptosign { challenge, found };
        self.challenge(extra)
    }

    /// A key whose certificates lead to a trust root.
    pub(super) fn delegate(
        self: Box<Self>,
        root: &TrustRoot,
        delegate: Address,
        request: &CryptosignRequest,
        env: &mut Env<'_>,
    ) -> Result<Next, Refusal> {
        let authid = delegate.to_string();
        if self.who.authid.as_ref().is_some_and(|asked| !asked.eq_ignore_ascii_case(&authid)) {
            return Err(Refusal::malformed("authid is not the delegate's address"));
        }
        let (credential, grant) = (Credential::Proved, root.grant().clone());
        let found = Found { authid: authid.into(), credential, grant, provider: STATIC, is_listed: false };
        Ok(self.challenge_cryptosign(Some(found), request, env))
    }

    /// A token.
    pub(super) fn token(self: Box<Self>, token: &str, transport: &Transport<'_>, env: &mut Env<'_>) -> Next {
        let bearer = self.realm.bearer(token, &self.who.realm, env.unix_millis);
        let bearer =
            bearer.filter(|bearer| self.who.authid.as_ref().is_none_or(|asked| *asked == bearer.authid));
        let Some(bearer) = bearer else { return self.refuse() };
        let (authid, grant) = (bearer.authid, bearer.grant);
        let found =
            Found { authid, credential: Credential::Proved, grant, provider: STATIC, is_listed: false };
        self.admit(found, None, bearer.until, transport, env)
    }

    /// Sends CHALLENGE.
    pub(super) fn challenge(self: Box<Self>, extra: OwnedDict) -> Next {
        let is_after_sources = !matches!(self.waits, Waits::Ticket | Waits::Token);
        let on_grid = is_after_sources && self.realm.is_on_grid(self.method);
        let method = self.method.name();
        (Some(self), Step::Challenge { method, extra, on_grid })
    }

    /// The proof is right or wrong, by somebody who is known or not.
    fn end(
        self: Box<Self>,
        is_proved: bool,
        found: Option<Found>,
        entry: Option<(&'static str, String)>,
        transport: &Transport<'_>,
        env: &Env<'_>,
    ) -> Next {
        match found {
            Some(found) if is_proved => self.admit(found, entry, None, transport, env),
            _ => self.refuse(),
        }
    }

    fn admit(
        &self,
        found: Found,
        entry: Option<(&'static str, String)>,
        until: Option<u64>,
        transport: &Transport<'_>,
        env: &Env<'_>,
    ) -> Next {
        let Found { authid: name, grant, provider, is_listed, .. } = found;
        self.remember(
            &Login {
                realm: &self.who.realm,
                authid: grant.authid.as_ref().unwrap_or(&name),
                grant: &grant,
                provider,
                principal: is_listed.then_some((self.method, &*name)),
                until,
            },
            transport,
            env,
        );
        let mut admission = grant.admit(name, self.method, provider);
        if let Some((key, text)) = entry {
            let extra = admission.authextra.take().unwrap_or_else(OwnedDict::empty);
            admission.authextra = Some(extra.with(key, Value::Str(text.into())));
        }
        (None, Step::Admit(admission))
    }

    /// Remembers a login under the browser's cookie: one that the router has just issued, or that stands for the same login
    /// already. Under a cookie of somebody else nothing is remembered: who has planted it in the browser would be let in by it.
    fn remember(&self, login: &Login<'_>, transport: &Transport<'_>, env: &Env<'_>) {
        let Some(store) = self.realm.cookies().filter(|_| self.method != Method::Anonymous) else { return };
        let is_its_own = |cookie: &&str| {
            let known = store.find(cookie, env.unix_millis);
            known.is_some_and(|known| *known.realm == *login.realm && *known.authid == *login.authid)
        };
        if let Some(cookie) = transport.issued_cookie.or(transport.cookie.filter(is_its_own)) {
            store.remember(cookie, login, env.unix_millis);
        }
    }

    /// A source outside was of no use.
    fn failed(&self, why: &str) -> Next {
        let (realm, method, authid) = (&*self.who.realm, self.method.name(), self.who.authid.as_deref());
        tracing::warn!(realm, method, authid, why, "a source of principals has not answered as it should");
        (None, Step::Refuse(Refusal::failed()))
    }

    fn refuse(&self) -> Next {
        (None, Step::Refuse(Refusal::denied(self.realm.is_on_grid(self.method))))
    }

    /// The name of a principal that a source outside knows: the one that it gives, the one asked for, or that of its
    /// key or certificate.
    fn outside_authid(&self, given: &Option<Box<str>>, request: &Request) -> Option<Box<str>> {
        let key = |request: &Request| match request {
            Request::Cryptosign(request) => Some(request.key.to_hex().into()),
            _ => None,
        };
        given.clone().or_else(|| self.who.authid.clone()).or_else(|| key(request))
    }
}

/// The dialect of a method.
fn dialect(method: Method) -> Dialect {
    if method == Method::Scram { Dialect::Crossbar } else { Dialect::Specification }
}
