//! What the meta API tells of subscriptions and registrations and does to them (advanced profile, "Subscriptions Meta API",
//! "Registration Meta API", "Subscription Revocation", "Registration Revocation").

use wampline_wire::{Dict, List, PayloadBuf, RegistrationId, Serializer, SessionId, SubscriptionId, Value};

use super::sessions::{bounded, ids, nothing};
use super::{Directory, Registration, Subscription};
use crate::error_uri;
use crate::meta::{Arguments, MetaError, created_details, encode};
use crate::uri::{MatchPolicy, is_reserved};
use crate::visibility::Visibility;

type Answered = Result<PayloadBuf, MetaError>;

impl Directory {
    pub(super) fn subscription_list(&self, serializer: Serializer) -> Answered {
        bounded(self.subscriptions.len(), "subscriptions")?;
        let entries = self.subscriptions.iter();
        by_policy(serializer, entries.map(|(id, entry)| (entry.created.policy, id.get())))
    }

    pub(super) fn subscription_lookup(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let (topic, policy) = (arguments.text(0, "topic")?, arguments.policy(1)?);
        id_or_null(serializer, self.topics.get(policy, topic).map(|id| id.get()))
    }

    pub(super) fn subscription_match(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let topic = arguments.text(0, "topic")?;
        let matching: Vec<u64> = self.topics.matches(topic).map(|(_, _, id)| id.get()).collect();
        if matching.is_empty() {
            return encode(serializer, &[Value::Null]);
        }
        ids(serializer, matching.into_iter())
    }

    pub(super) fn subscription_get(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let id = arguments.subscription(0)?;
        let created = &self.subscription(id)?.created;
        let at = created.at.to_string();
        encode(serializer, &[Value::Dict(Dict::pairs(&created_details(id.get(), created, &at)))])
    }

    pub(super) fn subscription_members(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let members = &self.subscription(arguments.subscription(0)?)?.members;
        bounded(members.len(), "subscribers")?;
        ids(serializer, members.iter().map(SessionId::get))
    }

    pub(super) fn subscription_count(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let members = &self.subscription(arguments.subscription(0)?)?.members;
        encode(serializer, &[Value::Uint(members.len() as u64)])
    }

    /// `wamp.subscription.remove_subscriber`: (subscription, session, reason).
    pub(super) fn remove_subscriber(&mut self, arguments: &Arguments<'_>, out: &mut Visibility) -> Answered {
        let (id, session) = (arguments.subscription(0)?, arguments.session(1)?);
        let reason = arguments.reason()?;
        self.subscription(id)?;
        if !self.revoke(id, session, reason, out) {
            return Err(MetaError::new(error_uri::NO_SUCH_SESSION, "this session is not subscribed"));
        }
        Ok(nothing())
    }

    pub(super) fn registration_list(&self, serializer: Serializer) -> Answered {
        bounded(self.registrations.len(), "registrations")?;
        let entries = self.registrations.iter();
        by_policy(serializer, entries.map(|(id, entry)| (entry.info.policy, id.get())))
    }

    pub(super) fn registration_lookup(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let (procedure, policy) = (arguments.text(0, "procedure")?, arguments.policy(1)?);
        id_or_null(serializer, self.procedures.get(policy, procedure).map(|id| id.get()))
    }

    /// The router's own procedures are served by no registration, whatever patterns there are.
    pub(super) fn registration_match(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let procedure = arguments.text(0, "procedure")?;
        let best = (!is_reserved(procedure)).then(|| self.procedures.best_match(procedure)).flatten();
        id_or_null(serializer, best.map(|(_, id)| id.get()))
    }

    pub(super) fn registration_get(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let id = arguments.registration(0)?;
        let entry = self.registration(id)?;
        let created = entry.created();
        let at = created.at.to_string();
        let mut details = created_details(id.get(), &created, &at).to_vec();
        details.push(("invoke", Value::Str(entry.invocation_policy().into())));
        encode(serializer, &[Value::Dict(Dict::pairs(&details))])
    }

    pub(super) fn registration_callees(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let callees = &self.registration(arguments.registration(0)?)?.callees;
        bounded(callees.len(), "callees")?;
        ids(serializer, callees.iter().map(|callee| callee.session.get()))
    }

    pub(super) fn registration_count(&self, arguments: &Arguments<'_>, serializer: Serializer) -> Answered {
        let callees = &self.registration(arguments.registration(0)?)?.callees;
        encode(serializer, &[Value::Uint(callees.len() as u64)])
    }

    /// `wamp.registration.remove_callee`: (registration, session, reason).
    pub(super) fn revoke_by_call(&mut self, arguments: &Arguments<'_>, out: &mut Visibility) -> Answered {
        let (id, session) = (arguments.registration(0)?, arguments.session(1)?);
        let reason = arguments.reason()?;
        self.registration(id)?;
        if !self.revoke_callee(id, session, reason, out) {
            let text = "this session does not serve the registration";
            return Err(MetaError::new(error_uri::NO_SUCH_SESSION, text));
        }
        Ok(nothing())
    }

    pub(super) fn subscription(&self, id: SubscriptionId) -> Result<&Subscription, MetaError> {
        let text = "there is no subscription with this id";
        self.subscriptions.get(&id).ok_or_else(|| MetaError::new(error_uri::NO_SUCH_SUBSCRIPTION, text))
    }

    fn registration(&self, id: RegistrationId) -> Result<&Registration, MetaError> {
        let text = "there is no registration with this id";
        self.registrations.get(&id).ok_or_else(|| MetaError::new(error_uri::NO_SUCH_REGISTRATION, text))
    }
}

fn id_or_null(serializer: Serializer, id: Option<u64>) -> Answered {
    encode(serializer, &[id.map_or(Value::Null, Value::Uint)])
}

/// One argument: a dict with a list of ids for each policy.
fn by_policy(serializer: Serializer, entries: impl Iterator<Item = (MatchPolicy, u64)>) -> Answered {
    let mut lists: [Vec<Value<'_>>; MatchPolicy::ALL.len()] = Default::default();
    for (policy, id) in entries {
        lists[policy as usize].push(Value::Uint(id));
    }
    let pairs =
        MatchPolicy::ALL.map(|policy| (policy.as_str(), Value::List(List::items(&lists[policy as usize]))));
    encode(serializer, &[Value::Dict(Dict::pairs(&pairs))])
}
