//! One session that authenticates, from HELLO to an admission or a refusal.

use std::borrow::Cow;
use std::sync::Arc;

use wampline_wire::{Dict, List, SessionId};

use crate::admission::{NO_MATCHING_METHOD, REQUIRED};
use crate::authid::{self, AUTHID_BYTES_MAX};
use crate::{Answer, Method, OwnedDict, RealmAuthentication, Refusal, Source, Step, Ticket, Transport};

/// What an attempt takes from the world at each input.
pub struct Env<'a> {
    /// The time, in milliseconds since 1970-01-01 UTC.
    pub unix_millis: u64,
    /// Fills octets with randomness: cryptographically strong in a router, seeded in a simulation.
    pub random: &'a mut dyn FnMut(&mut [u8]),
}

/// What HELLO says that authentication needs.
#[derive(Clone, Copy, Debug)]
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

/// One session that authenticates. Small when there is nothing to wait for; wiped when dropped.
#[derive(Debug)]
pub struct Attempt {
    pending: Option<Box<Pending>>,
}

/// An attempt that waits: for AUTHENTICATE or for an answer.
#[derive(Debug)]
struct Pending {
    realm: Arc<RealmAuthentication>,
    authid: Box<str>,
    waits: Waits,
}

#[derive(Debug)]
enum Waits {
    /// For AUTHENTICATE with a ticket.
    Ticket,
}

impl Attempt {
    /// HELLO has come: chooses the method and takes its first step.
    pub fn begin(
        realm: &Arc<RealmAuthentication>,
        hello: &Hello<'_>,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> (Attempt, Step) {
        let _ = transport;
        let over = |step| (Attempt { pending: None }, step);
        let method = match choose(realm, hello) {
            Ok(method) => method,
            Err(refusal) => return over(Step::Refuse(refusal)),
        };
        if let (Method::Anonymous, Some(access)) = (method, realm.anonymous_access()) {
            let grant = access.grant.clone();
            let authid = match &grant.authid {
                Some(configured) => configured.clone(),
                None => authid::random(env),
            };
            return over(Step::Admit(grant.admit(authid, method, "static")));
        }
        let Some(authid) = authid::asked(hello.authid) else {
            return over(Step::Refuse(Refusal::malformed(format!("method {method} needs an authid"))));
        };
        if authid.len() > AUTHID_BYTES_MAX {
            let text = format!("authid is longer than {AUTHID_BYTES_MAX} octets");
            return over(Step::Refuse(Refusal::malformed(text)));
        }
        let pending = Pending { realm: realm.clone(), authid: authid.into(), waits: Waits::Ticket };
        let step = Step::Challenge { method: method.name(), extra: OwnedDict::empty(), on_grid: false };
        (Attempt { pending: Some(Box::new(pending)) }, step)
    }

    /// AUTHENTICATE has come. Whatever it says, the challenge is used up.
    pub fn authenticate(
        &mut self,
        signature: &str,
        extra: &Dict<'_>,
        transport: &Transport<'_>,
        env: &mut Env<'_>,
    ) -> Step {
        let _ = (extra, transport, env);
        let Some(pending) = self.pending.take() else { return Step::Refuse(Refusal::denied(false)) };
        match pending.waits {
            Waits::Ticket => pending.ticket(signature),
        }
    }

    /// The answer to [`Step::Ask`] has come.
    pub fn answered(&mut self, answer: Answer<'_>, transport: &Transport<'_>, env: &mut Env<'_>) -> Step {
        let _ = (answer, transport, env);
        self.pending = None;
        Step::Refuse(Refusal::denied(true))
    }
}

impl Pending {
    /// A ticket against the sources, in order.
    fn ticket(self, ticket: &str) -> Step {
        let method = Method::Ticket;
        let presented = Ticket::presented(ticket);
        // Compared with when nobody knows the principal: nothing has this digest.
        let nobody = Ticket::nobodys();
        for source in self.realm.sources(method) {
            let Source::Principals(store) = source else { continue };
            let principals = store.current();
            if let Some(principal) = principals.ticket(&self.authid) {
                if principal.secret.is(&presented) {
                    return Step::Admit(principal.grant.clone().admit(self.authid, method, "static"));
                }
                return Step::Refuse(Refusal::denied(self.realm.is_on_grid(method)));
            }
        }
        let _ = nobody.is(&presented);
        Step::Refuse(Refusal::denied(self.realm.is_on_grid(method)))
    }
}

/// The first method listed by the client that the realm has.
fn choose(realm: &RealmAuthentication, hello: &Hello<'_>) -> Result<Method, Refusal> {
    let listed = hello.authmethods.filter(|methods| !methods.is_empty());
    let Some(listed) = listed else {
        if realm.has(Method::Anonymous) {
            return Ok(Method::Anonymous);
        }
        let text = Cow::Borrowed("this realm has no anonymous sessions: HELLO must list authmethods");
        return Err(Refusal { reason: REQUIRED, text, on_grid: false });
    };
    let known =
        listed.iter().find_map(|name| Method::from_name(name.as_str()?).filter(|method| realm.has(*method)));
    known.ok_or_else(|| {
        let text = Cow::Borrowed("this realm has none of the listed authmethods");
        Refusal { reason: NO_MATCHING_METHOD, text, on_grid: false }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecoySecret, Grant, PrincipalStore, Principals};
    use wampline_wire::Value;

    fn realm() -> Arc<RealmAuthentication> {
        let mut principals = Principals::default();
        let grant = Grant::role("operator").unwrap();
        principals.add_ticket("joe", Ticket::raw("secret!!!").unwrap(), grant).unwrap();
        let mut realm = RealmAuthentication::new(DecoySecret::new([7; 32]));
        realm
            .add_source(Method::Ticket, Source::Principals(Arc::new(PrincipalStore::new(principals))))
            .unwrap();
        Arc::new(realm)
    }

    fn login(authid: &str, ticket: &str) -> Step {
        let methods = [Value::Str("ticket".into())];
        let hello = Hello {
            realm: "realm1",
            session: SessionId::new(1).unwrap(),
            authid: Some(authid),
            authmethods: Some(List::items(&methods)),
            authextra: None,
        };
        let transport = Transport::plain("websocket", "json");
        let mut random = |octets: &mut [u8]| octets.fill(9);
        let mut env = Env { unix_millis: 0, random: &mut random };
        let (mut attempt, step) = Attempt::begin(&realm(), &hello, &transport, &mut env);
        assert!(matches!(step, Step::Challenge { method: "ticket", .. }));
        let step = attempt.authenticate(ticket, &Dict::EMPTY, &transport, &mut env);
        let again = attempt.authenticate("secret!!!", &Dict::EMPTY, &transport, &mut env);
        assert!(matches!(again, Step::Refuse(_)));
        step
    }

    #[test]
    fn a_ticket_admits_its_principal_alone() {
        let Step::Admit(admission) = login("joe", "secret!!!") else { panic!("not admitted") };
        assert_eq!((&*admission.authid, &*admission.authrole), ("joe", "operator"));
        let (Step::Refuse(wrong), Step::Refuse(unknown)) = (login("joe", "secret"), login("jo", "secret!!!"))
        else {
            panic!("admitted")
        };
        assert_eq!(wrong, unknown);
    }
}
