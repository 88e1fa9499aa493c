//! REGISTER and UNREGISTER of sessions on this shard, the directory's answers, and what it takes away.

use wampline_routing::authorization::Action;
use wampline_routing::feature::{ClientFeature, ClientRole};
use wampline_routing::uri::is_reserved;
use wampline_routing::{Granted, Refusal, RegisterOptions, error_uri};
use wampline_wire::{Dict, Message, RegistrationId, RequestId, RequestType};

use crate::authorize::{Flow, Permission, Wanted};
use crate::frame::HomeRequest;
use crate::meta::revoked;
use crate::session::{Bounded, Service, SessionState};
use crate::shard::Shard;

/// Octets of a REGISTERED or UNREGISTERED, about.
const MESSAGE_BYTES: usize = 24;

impl Shard {
    /// REGISTER.
    pub(crate) fn register(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        procedure: &str,
    ) -> Flow {
        let realm = self.sessions[session].realm;
        let rules = self.shared.realm(realm).uri_rules;
        let checked = crate::broker::match_policy(&options).and_then(|policy| {
            rules.check_pattern(procedure, policy).map_err(|error| error.to_string())?;
            if self.is_purge(realm, procedure) {
                return Err("the procedure is the router's own".into());
            }
            if is_reserved(procedure) {
                return Err("procedures that begin with wamp. are the router's own".into());
            }
            Ok(policy)
        });
        let policy = match checked {
            Ok(policy) => policy,
            Err(text) => {
                self.error(slot, RequestType::Register, request, error_uri::INVALID_URI, &text);
                return Flow::Done;
            }
        };
        let sent = options;
        let options = match RegisterOptions::parse(&options) {
            Ok(options) => options,
            Err(error) => {
                let (uri, text) = (error_uri::INVALID_ARGUMENT, error.to_string());
                self.error(slot, RequestType::Register, request, uri, &text);
                return Flow::Done;
            }
        };
        let wanted = Wanted { action: Action::Register, policy, uri: procedure, options: sent };
        match self.permission(session, wanted) {
            Permission::Granted(_) => {}
            Permission::Refused(error, text) => {
                self.error(slot, RequestType::Register, request, error, &text);
                return Flow::Done;
            }
            Permission::Waits => return Flow::Waits,
        }
        self.sessions[session].requests.begin(RequestType::Register, request);
        let request = HomeRequest::Register { request, policy, procedure: procedure.into(), options };
        self.ask_home(session, request, Some(slot));
        Flow::Done
    }

    /// UNREGISTER.
    pub(crate) fn unregister(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        registration: RegistrationId,
    ) {
        self.sessions[session].requests.begin(RequestType::Unregister, request);
        self.ask_home(session, HomeRequest::Unregister { request, registration }, Some(slot));
    }

    /// The directory's answer to REGISTER: invocations are accepted from when REGISTERED is queued.
    pub(crate) fn registered(&mut self, session: u32, request: RequestId, result: Result<Granted, Refusal>) {
        let Some(slot) = self.answered(session, RequestType::Register, request) else { return };
        match result {
            Ok(Granted { registration, concurrency }) => {
                let entry = &mut self.sessions[session];
                let bounded = concurrency.map(|concurrency| {
                    entry.services = entry.services.wrapping_add(1);
                    Box::new(Bounded::new(entry.services, concurrency.get()))
                });
                entry.registrations.insert(registration, Service { bounded });
                let _ = self.post(slot, &Message::Registered { request, registration }, MESSAGE_BYTES);
            }
            Err(refusal) => self.refuse(slot, RequestType::Register, request, refusal),
        }
    }

    /// The directory's answer to UNREGISTER: no invocation follows UNREGISTERED.
    pub(crate) fn unregistered(
        &mut self,
        session: u32,
        request: RequestId,
        result: Result<RegistrationId, Refusal>,
    ) {
        let Some(slot) = self.answered(session, RequestType::Unregister, request) else { return };
        match result {
            Ok(registration) => {
                self.end_service(session, registration);
                let message = Message::Unregistered { request: Some(request), details: None };
                let _ = self.post(slot, &message, MESSAGE_BYTES);
            }
            Err(refusal) => self.refuse(slot, RequestType::Unregister, request, refusal),
        }
    }

    /// The directory has taken a registration away ("Registration Revocation").
    pub(crate) fn registration_revoked(
        &mut self,
        session: u32,
        registration: RegistrationId,
        reason: Option<&str>,
    ) {
        self.end_service(session, registration);
        let entry = &self.sessions[session];
        let (SessionState::Open, Some(slot)) = (entry.state, entry.connection) else { return };
        if !entry.features.has(ClientRole::Callee, ClientFeature::RegistrationRevocation) {
            return;
        }
        let details = revoked("registration", registration.get(), reason);
        let details = Some(Dict::pairs(&details));
        let estimate = MESSAGE_BYTES + reason.map_or(0, str::len);
        let _ = self.post(slot, &Message::Unregistered { request: None, details }, estimate);
    }
}

impl Bounded {
    fn new(number: u32, concurrency: u32) -> Bounded {
        Bounded { number, concurrency, active: 0, waiting: Default::default(), octets: 0 }
    }
}
