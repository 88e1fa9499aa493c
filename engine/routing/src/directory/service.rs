//! The meta procedures that run at the home: which call goes where, and reflection.

use std::collections::BTreeSet;
use std::sync::Arc;

use wampline_wire::{Dict, List, Payload, PayloadBuf, Serializer, SessionId, SubscriptionId, Value};

use super::sessions::bounded;
use super::{Answer, Directory};
use crate::error_uri;
use crate::history::HistoryQuery;
use crate::identity::Identity;
use crate::meta::{
    Arguments, Definition, Kind, MetaError, MetaEvent, MetaOutcome, MetaTopic, Owned, Procedure, encode,
    reflected_kind,
};
use crate::visibility::Visibility;

impl Directory {
    /// Runs a meta procedure for a session. The answer is in this serializer, which must be that of the arguments too unless
    /// there are none.
    pub fn meta_call(
        &mut self,
        caller: SessionId,
        procedure: Procedure,
        payload: Payload<'_>,
        serializer: Serializer,
        out: &mut Visibility,
    ) -> MetaOutcome {
        let arguments = Arguments::new(payload);
        let arguments = &arguments;
        use Procedure::*;
        let killing = match procedure {
            SessionKill => Some(self.kill_one(caller, arguments, out)),
            SessionKillByAuthid => Some(self.kill_by_authid(caller, arguments, serializer, out)),
            SessionKillByAuthrole => Some(self.kill_by_authrole(caller, arguments, serializer, out)),
            SessionKillAll => Some(self.kill_all(caller, arguments, serializer, out)),
            _ => None,
        };
        if let Some(killing) = killing {
            return killing.unwrap_or_else(|error| MetaOutcome::Now(Err(error)));
        }
        MetaOutcome::Now(match procedure {
            SessionCount => self.session_count(arguments, serializer),
            SessionList => self.session_list(arguments, serializer),
            SessionGet => arguments.session(0).and_then(|id| self.session_get(id, serializer)),
            SessionSelf => self.session_get(caller, serializer),
            SessionModifyDetails => self.session_modify(arguments, serializer),
            SubscriptionList => self.subscription_list(serializer),
            SubscriptionLookup => self.subscription_lookup(arguments, serializer),
            SubscriptionMatch => self.subscription_match(arguments, serializer),
            SubscriptionGet => self.subscription_get(arguments, serializer),
            SubscriptionListSubscribers => self.subscription_members(arguments, serializer),
            SubscriptionCountSubscribers => self.subscription_count(arguments, serializer),
            SubscriptionRemoveSubscriber => self.remove_subscriber(arguments, out),
            RegistrationList => self.registration_list(serializer),
            RegistrationLookup => self.registration_lookup(arguments, serializer),
            RegistrationMatch => self.registration_match(arguments, serializer),
            RegistrationGet => self.registration_get(arguments, serializer),
            RegistrationListCallees => self.registration_callees(arguments, serializer),
            RegistrationCountCallees => self.registration_count(arguments, serializer),
            RegistrationRemoveCallee => self.revoke_by_call(arguments, out),
            ReflectTopics => self.reflect_list(Kind::Topic, serializer),
            ReflectProcedures => self.reflect_list(Kind::Procedure, serializer),
            ReflectErrors => self.reflect_list(Kind::Error, serializer),
            ReflectTopic => self.reflect(arguments, Some(Kind::Topic), serializer),
            ReflectProcedure => self.reflect(arguments, Some(Kind::Procedure), serializer),
            ReflectError => self.reflect(arguments, Some(Kind::Error), serializer),
            Describe => reflected_kind(arguments).and_then(|kind| self.reflect(arguments, kind, serializer)),
            Define => self.define(payload, serializer),
            SessionKill | SessionKillByAuthid | SessionKillByAuthrole | SessionKillAll => {
                unreachable!("invariant: dealt with above")
            }
            AddTestament | FlushTestaments | SubscriptionGetEvents => Err(MetaError::new(
                error_uri::NO_SUCH_PROCEDURE,
                "testaments are kept where the session is, and histories beside the directory",
            )),
        })
    }

    /// Which subscription's history a call of `wamp.subscription.get_events` asks for, and what of it.
    ///
    /// # Errors
    /// For a subscription that is not there, and for arguments that are not what they must be.
    pub fn history_query(&self, payload: Payload<'_>) -> Result<(SubscriptionId, HistoryQuery), MetaError> {
        let subscription = Arguments::new(payload).subscription(0)?;
        self.subscription(subscription)?;
        let query = HistoryQuery::read(payload.kwargs());
        let query = query.map_err(|error| MetaError::new(error_uri::INVALID_ARGUMENT, error.to_string()))?;
        Ok((subscription, query))
    }

    /// Who a session is.
    pub fn identity(&self, id: SessionId) -> Option<&Arc<Identity>> {
        self.sessions.get(&id).map(|session| &session.identity)
    }

    /// The shard of a session has queued the answer that this confirmation belongs to.
    pub fn confirmed(&mut self, id: SessionId, owned: Owned, number: u64) {
        if self.log.confirm(id, owned, number) {
            self.note_begun(id, owned);
        }
    }

    /// A session that is cut because it does not take what it is sent.
    pub fn note_cut(&mut self, id: SessionId, reason: &'static str) {
        if let Some(session) = self.sessions.get(&id) {
            let identity = &session.identity;
            self.log.note(MetaTopic::SessionOnCut, || MetaEvent::Cut { identity: identity.clone(), reason });
        }
    }

    /// What has happened and is to be published, in this order.
    pub fn take_events(&mut self) -> Vec<MetaEvent> {
        self.log.take()
    }

    /// Killed sessions that have been released since this was last asked.
    pub fn take_released(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.killed)
    }

    /// Takes note of the beginning of something. Gives the confirmation to ask for, if one is needed.
    pub(super) fn begin(&mut self, id: SessionId, owned: Owned) -> Option<Answer> {
        self.log.begin(id, owned).map(|number| Answer::Confirm(owned, number))
    }

    /// Takes note of an end; what has begun and is not confirmed has begun before.
    pub(super) fn end(&mut self, id: SessionId, owned: Owned) {
        if self.log.end(id, owned) {
            self.note_begun(id, owned);
        }
    }

    fn note_begun(&mut self, session: SessionId, owned: Owned) {
        let log = &mut self.log;
        match owned {
            Owned::Session => {
                if let Some(entry) = self.sessions.get(&session) {
                    log.note(MetaTopic::SessionOnJoin, || MetaEvent::Joined(entry.arrival()));
                }
            }
            Owned::Subscription(subscription) => {
                let event = || MetaEvent::Subscribed { session, subscription };
                log.note(MetaTopic::SubscriptionOnSubscribe, event);
            }
            Owned::Registration(registration) => {
                let event = || MetaEvent::Registered { session, registration };
                log.note(MetaTopic::RegistrationOnRegister, event);
            }
        }
    }

    /// The router's own, what has been defined, and what is subscribed to or registered as an exact URI.
    fn reflect_list(&self, kind: Kind, serializer: Serializer) -> Result<PayloadBuf, MetaError> {
        let live = match kind {
            Kind::Topic => self.subscriptions.len(),
            Kind::Procedure => self.registrations.len(),
            Kind::Error => 0,
        };
        bounded(live + self.reflection.len(), "URIs")?;
        let mut uris: BTreeSet<&str> = kind.own().collect();
        uris.extend(self.reflection.uris(kind));
        match kind {
            Kind::Topic => uris.extend(self.topics.exact_uris()),
            Kind::Procedure => uris.extend(self.procedures.exact_uris()),
            Kind::Error => {}
        }
        let uris: Vec<Value<'_>> = uris.into_iter().map(|uri| Value::Str(uri.into())).collect();
        encode(serializer, &[Value::List(List::items(&uris))])
    }

    /// What is known of a URI; null if nothing is.
    fn reflect(
        &self,
        arguments: &Arguments<'_>,
        kind: Option<Kind>,
        serializer: Serializer,
    ) -> Result<PayloadBuf, MetaError> {
        let uri = arguments.text(0, "uri")?;
        let kinds = Kind::ALL.into_iter().filter(|known| kind.is_none_or(|kind| kind == *known));
        for kind in kinds {
            let description = self.reflection.description(kind, uri, serializer);
            let live = match kind {
                Kind::Topic => self.topics.best_match(uri).map(|(_, id)| ("subscription", id.get())),
                Kind::Procedure => self.procedures.best_match(uri).map(|(_, id)| ("registration", id.get())),
                Kind::Error => None,
            };
            let is_own = kind.own().any(|own| own == uri);
            let live = live.filter(|_| kind == Kind::Topic || !crate::uri::is_reserved(uri));
            if description.is_none() && live.is_none() && !is_own {
                continue;
            }
            let described = description.as_ref().and_then(|buf| buf.as_payload().args()?.iter().next());
            let mut details = vec![
                ("uri", Value::Str(uri.into())),
                ("type", Value::Str(kind.name().into())),
                ("router", Value::Bool(is_own)),
                ("description", described.unwrap_or(Value::Null)),
            ];
            details.extend(live.map(|(what, id)| (what, Value::Uint(id))));
            return encode(serializer, &[Value::Dict(Dict::pairs(&details))]);
        }
        encode(serializer, &[Value::Null])
    }

    fn define(&mut self, payload: Payload<'_>, serializer: Serializer) -> Result<PayloadBuf, MetaError> {
        if let Some(Definition { kind, uri, description }) = self.reflection.define(payload, serializer)? {
            let kind = kind.name();
            match description {
                Some(description) => {
                    let event = || MetaEvent::Defined { uri, kind, description };
                    self.log.note(MetaTopic::ReflectOnDefine, event);
                }
                None => self.log.note(MetaTopic::ReflectOnUndefine, || MetaEvent::Undefined { uri, kind }),
            }
        }
        Ok(super::sessions::nothing())
    }
}
