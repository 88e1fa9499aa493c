//! One session that authenticates, from HELLO to an admission or a refusal.
//!
//! ```text
//!  HELLO --> choose the method --+--> Admit ............... anonymous, cookie, a certificate, a token in HELLO
//!                                +--> Challenge ........... ticket, jwt
//!                                +--> the sources, in order --(all inside)--> Challenge
//!                                          |                                    |
//!                                         Ask --(answered)--> the next ones    AUTHENTICATE --> Admit or Refuse
//! ```
//!
//! Tickets are the exception in the order: the challenge says nothing, so the sources are gone through after AUTHENTICATE,
//! and a source outside sees the ticket. `pending.rs` is what waits, this file how it begins.

mod pending;

use std::borrow::Cow;
use std::sync::Arc;

use wampline_wire::{Dict, List, SessionId, Value};

use self::pending::{Next, Pending, Request, Waits, Who};
use crate::admission::{Admission, NO_MATCHING_METHOD};
use crate::authid::{self, AUTHID_BYTES_MAX};
use crate::cryptosign::{self, CryptosignRequest};
use crate::scram::ScramRequest;
use crate::{Answer, Method, OwnedDict, RealmAuthentication, Refusal, Step, Transport, question};

/// What an attempt takes from the world at each input.
pub struct Env<'a> {
    /// The time, in milliseconds since 1970-01-01 UTC.
    pub unix_millis: u64,
    /// Fills octets with randomness: cryptographically strong in a router, seeded in a simulation.
    pub random: &'a mut dyn FnMut(&mut [u8]),
}

impl Env<'_> {
    /// So many random octets.
    pub(crate) fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        (self.random)(&mut octets);
        octets
    }
}

/// What HELLO says that authentication needs. Formatting does not show `authextra`, which may hold a token.
#[derive(Clone, Copy)]
pub struct Hello<'a> {
    /// The realm that the session wants to join.
    pub realm: &'a str,
    /// The id that the session will have: part of a WAMP-CRA challenge.
    pub session: SessionId,
    /// `Details.authid`.
    pub authid: Option<&'a str>,
    /// `Details.authmethods`.
    pub authmethods: Option<List<'a>>,
    /// `Details.authextra`.
    pub authextra: Option<Dict<'a>>,
}

impl std::fmt::Debug for Hello<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hello { realm, session, authid, .. } = self;
        write!(f, "Hello({realm}, {session}, {authid:?})")
    }
}

/// One session that authenticates. A pointer's size; what it holds is wiped when it is dropped.
pub struct Attempt {
    pending: Option<Box<Pending>>,
}

impl Attempt {
    /// HELLO has come: chooses the method and takes its first step.
    pub fn begin(
        realm: &Arc<RealmAuthentication>,
        hello: &Hello<'_>,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> (Attempt, Step) {
        let hello = Hello { authid: authid::asked(hello.authid), ..*hello };
        let begun = Begin { realm, hello: &hello, transport }.begin(env);
        let (pending, step) = begun.unwrap_or_else(|refusal| (None, Step::Refuse(refusal)));
        (Attempt { pending }, step)
    }

    /// AUTHENTICATE has come. Whatever it says, the challenge is used up. Of `extra` only SCRAM takes notice.
    pub fn authenticate(
        &mut self,
        signature: &str,
        extra: &Dict<'_>,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> Step {
        let Some(pending) = self.pending.take() else { return Step::Refuse(Refusal::denied(false)) };
        self.next(pending.authenticate(signature, extra, transport, env))
    }

    /// The answer to [`Step::Ask`] has come.
    pub fn answered(&mut self, answer: Answer<'_>, transport: &Transport<'_>, env: &mut Env<'_>) -> Step {
        let Some(pending) = self.pending.take() else { return Step::Refuse(Refusal::failed()) };
        self.next(pending.answered(&answer, transport, env))
    }

    fn next(&mut self, (pending, step): Next) -> Step {
        self.pending = pending;
        step
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Attempt").field(&self.pending.as_ref().map(|pending| pending.method)).finish()
    }
}

/// The beginning of an attempt.
struct Begin<'a> {
    realm: &'a Arc<RealmAuthentication>,
    hello: &'a Hello<'a>,
    transport: &'a Transport<'a>,
}

impl Begin<'_> {
    fn begin(&self, env: &mut Env<'_>) -> Result<Next, Refusal> {
        match self.choose(env)? {
            Choice::Admit(admission) => Ok((None, Step::Admit(admission))),
            Choice::Method(Method::Anonymous) => self.anonymous(env),
            Choice::Method(Method::Jwt) => self.jwt(env),
            Choice::Method(Method::Tls) => {
                Ok(self.pending(Method::Tls)?.walk(Request::Nothing, self.transport, env))
            }
            Choice::Method(method) => self.challenged(method, env),
        }
    }

    /// The first method that the client lists and the realm has. Cookies and certificates that stand for nobody are
    /// passed over: there is nothing that their owner could prove.
    fn choose(&self, env: &Env<'_>) -> Result<Choice, Refusal> {
        let Some(listed) = self.hello.authmethods.filter(|listed| !listed.is_empty()) else {
            let is_free = self.realm.has(Method::Anonymous);
            return if is_free { Ok(Choice::Method(Method::Anonymous)) } else { Err(Refusal::required()) };
        };
        let mut is_passed_over = false;
        for name in listed.iter() {
            let Some(method) = name.as_str().and_then(Method::from_name) else { continue };
            if !self.realm.has(method) {
                continue;
            }
            let choice = match method {
                Method::Cookie => self.cookie(env).map(Choice::Admit),
                Method::Tls => {
                    let certificate = self.transport.certificate;
                    let is_of_use = certificate.is_some_and(|certificate| self.realm.may_know(certificate));
                    is_of_use.then_some(Choice::Method(method))
                }
                _ => Some(Choice::Method(method)),
            };
            match choice {
                Some(choice) => return Ok(choice),
                None => is_passed_over = true,
            }
        }
        if is_passed_over {
            return Err(Refusal::denied(false));
        }
        let text = Cow::Borrowed("this realm has none of the listed authmethods");
        Err(Refusal { reason: NO_MATCHING_METHOD, text, on_grid: false })
    }

    fn anonymous(&self, env: &mut Env<'_>) -> Result<Next, Refusal> {
        let Some(access) = self.realm.anonymous_access() else {
            let mut pending = self.pending(Method::Anonymous)?;
            // Nobody's name, whatever HELLO says.
            pending.who.authid = Some(authid::random(env));
            return Ok(pending.walk(Request::Nothing, self.transport, env));
        };
        let grant = &access.grant;
        let authid = grant.authid.clone().unwrap_or_else(|| authid::random(env));
        Ok((None, Step::Admit(grant.clone().admit(authid, Method::Anonymous, crate::found::STATIC))))
    }

    /// A login that is remembered, if it is good for this realm and, where HELLO names one, this authid.
    fn cookie(&self, env: &Env<'_>) -> Option<Box<Admission>> {
        let record = self.realm.cookies()?.find(self.transport.cookie?, env.unix_millis)?;
        let name = record.principal.as_ref().map(|(_, name)| &**name);
        let is_meant = self.hello.authid.is_none_or(|asked| *asked == *record.authid || Some(asked) == name);
        if *record.realm != *self.hello.realm || !is_meant {
            return None;
        }
        let (grant, authid) = match record.principal {
            None => (record.grant, record.authid),
            // It may be gone, or have another role.
            Some((method, name)) => {
                let mut sources = self.realm.principals(method);
                (sources.find_map(|principals| principals.grant(method, &name).cloned())?, name)
            }
        };
        Some(grant.admit(authid, Method::Cookie, record.provider))
    }

    /// A token may stand in HELLO already; if not it is asked for.
    fn jwt(&self, env: &mut Env<'_>) -> Result<Next, Refusal> {
        let mut pending = self.pending(Method::Jwt)?;
        let token = self.hello.authextra.and_then(|extra| extra.get("token"));
        if let Some(token) = token.as_ref().and_then(Value::as_str) {
            return Ok(pending.token(token, self.transport, env));
        }
        pending.waits = Waits::Token;
        Ok(pending.challenge(OwnedDict::empty()))
    }

    /// The methods of principals that prove something.
    fn challenged(&self, method: Method, env: &mut Env<'_>) -> Result<Next, Refusal> {
        if self.hello.authid.is_none() && method != Method::Cryptosign {
            return Err(Refusal::malformed(format!("method {method} needs an authid")));
        }
        let extra = self.hello.authextra.as_ref();
        let binding = || cryptosign::binding(extra, self.transport);
        let request = match method {
            Method::WampScram => Request::Scram(ScramRequest::read(extra, binding()?)?),
            Method::Scram => {
                if binding()?.is_some() {
                    return Err("method scram has no channel binding: use wamp-scram".into());
                }
                Request::Scram(ScramRequest::read(extra, None)?)
            }
            Method::Cryptosign => {
                let request = CryptosignRequest::read(extra, binding()?)?;
                let found = crate::trust_root::check(self.realm.trust_roots(), extra, &request.key);
                if let Some((root, delegate)) = found? {
                    return self.pending(method)?.delegate(root, delegate, &request, env);
                }
                Request::Cryptosign(Box::new(request))
            }
            _ => Request::Nothing,
        };
        let mut pending = self.pending(method)?;
        if method == Method::Ticket {
            pending.waits = Waits::Ticket;
            return Ok(pending.challenge(OwnedDict::empty()));
        }
        Ok(pending.walk(request, self.transport, env))
    }

    /// An attempt by `method`, with what has to be kept of HELLO.
    fn pending(&self, method: Method) -> Result<Box<Pending>, Refusal> {
        let Hello { realm, session, authid, authextra, .. } = *self.hello;
        if authid.is_some_and(|authid| authid.len() > AUTHID_BYTES_MAX) {
            return Err(Refusal::malformed(format!("authid is longer than {AUTHID_BYTES_MAX} octets")));
        }
        // Nobody inside reads it again.
        let authextra = authextra.filter(|_| self.realm.is_on_grid(method));
        let who = Who {
            realm: realm.into(),
            session,
            authid: authid.map(Box::from),
            authextra: authextra.as_ref().map(question::handed_on).transpose()?,
        };
        Ok(Box::new(Pending { realm: self.realm.clone(), method, who, waits: Waits::Nothing }))
    }
}

enum Choice {
    Method(Method),
    /// A cookie admits at once.
    Admit(Box<Admission>),
}

#[cfg(test)]
mod tests;
