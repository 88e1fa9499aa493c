//! Meta events: their topics, and what they say.

use std::sync::Arc;

use wampline_wire::{Dict, PayloadBuf, RegistrationId, Serializer, SessionId, SubscriptionId, Value};

use crate::identity::Identity;
use crate::meta::{Arrival, Transport, UnixNanos};
use crate::uri::MatchPolicy;

/// A topic to which the router itself publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "named as in the specification; see `MetaTopic::uri`")]
pub enum MetaTopic {
    SessionOnJoin,
    SessionOnLeave,
    /// Of our own: the router cuts a session that does not take what it is sent.
    SessionOnCut,
    SubscriptionOnCreate,
    SubscriptionOnSubscribe,
    SubscriptionOnUnsubscribe,
    SubscriptionOnDelete,
    RegistrationOnCreate,
    RegistrationOnRegister,
    RegistrationOnUnregister,
    RegistrationOnDelete,
    ReflectOnDefine,
    ReflectOnUndefine,
}

/// Something that has happened in a realm and that somebody wants to know.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are the arguments of the events, by the specification's names")]
pub enum MetaEvent {
    Joined(Arrival),
    Left(Arc<Identity>),
    Cut {
        identity: Arc<Identity>,
        reason: &'static str,
    },
    SubscriptionCreated {
        session: SessionId,
        subscription: SubscriptionId,
        created: Created,
    },
    Subscribed {
        session: SessionId,
        subscription: SubscriptionId,
    },
    Unsubscribed {
        session: SessionId,
        subscription: SubscriptionId,
    },
    SubscriptionDeleted {
        session: SessionId,
        subscription: SubscriptionId,
    },
    RegistrationCreated {
        session: SessionId,
        registration: RegistrationId,
        created: Created,
        invoke: &'static str,
    },
    Registered {
        session: SessionId,
        registration: RegistrationId,
    },
    Unregistered {
        session: SessionId,
        registration: RegistrationId,
    },
    RegistrationDeleted {
        session: SessionId,
        registration: RegistrationId,
    },
    Defined {
        uri: Box<str>,
        kind: &'static str,
        description: Arc<PayloadBuf>,
    },
    Undefined {
        uri: Box<str>,
        kind: &'static str,
    },
}

/// What the details of a subscription or registration say beside its id.
#[derive(Clone, Debug)]
pub struct Created {
    /// When.
    pub at: UnixNanos,
    /// Its URI or pattern.
    pub uri: Arc<str>,
    /// How it matches.
    pub policy: MatchPolicy,
}

impl MetaTopic {
    /// Every topic.
    pub const ALL: [MetaTopic; 13] = {
        use MetaTopic::*;
        [
            SessionOnJoin,
            SessionOnLeave,
            SessionOnCut,
            SubscriptionOnCreate,
            SubscriptionOnSubscribe,
            SubscriptionOnUnsubscribe,
            SubscriptionOnDelete,
            RegistrationOnCreate,
            RegistrationOnRegister,
            RegistrationOnUnregister,
            RegistrationOnDelete,
            ReflectOnDefine,
            ReflectOnUndefine,
        ]
    };

    /// Its URI.
    pub const fn uri(self) -> &'static str {
        match self {
            MetaTopic::SessionOnJoin => "wamp.session.on_join",
            MetaTopic::SessionOnLeave => "wamp.session.on_leave",
            MetaTopic::SessionOnCut => "wamp.session.on_cut",
            MetaTopic::SubscriptionOnCreate => "wamp.subscription.on_create",
            MetaTopic::SubscriptionOnSubscribe => "wamp.subscription.on_subscribe",
            MetaTopic::SubscriptionOnUnsubscribe => "wamp.subscription.on_unsubscribe",
            MetaTopic::SubscriptionOnDelete => "wamp.subscription.on_delete",
            MetaTopic::RegistrationOnCreate => "wamp.registration.on_create",
            MetaTopic::RegistrationOnRegister => "wamp.registration.on_register",
            MetaTopic::RegistrationOnUnregister => "wamp.registration.on_unregister",
            MetaTopic::RegistrationOnDelete => "wamp.registration.on_delete",
            MetaTopic::ReflectOnDefine => "wamp.reflect.on_define",
            MetaTopic::ReflectOnUndefine => "wamp.reflect.on_undefine",
        }
    }

    /// One bit of its own.
    pub(crate) const fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl MetaEvent {
    /// Where it is published.
    pub const fn topic(&self) -> MetaTopic {
        match self {
            MetaEvent::Joined(_) => MetaTopic::SessionOnJoin,
            MetaEvent::Left(_) => MetaTopic::SessionOnLeave,
            MetaEvent::Cut { .. } => MetaTopic::SessionOnCut,
            MetaEvent::SubscriptionCreated { .. } => MetaTopic::SubscriptionOnCreate,
            MetaEvent::Subscribed { .. } => MetaTopic::SubscriptionOnSubscribe,
            MetaEvent::Unsubscribed { .. } => MetaTopic::SubscriptionOnUnsubscribe,
            MetaEvent::SubscriptionDeleted { .. } => MetaTopic::SubscriptionOnDelete,
            MetaEvent::RegistrationCreated { .. } => MetaTopic::RegistrationOnCreate,
            MetaEvent::Registered { .. } => MetaTopic::RegistrationOnRegister,
            MetaEvent::Unregistered { .. } => MetaTopic::RegistrationOnUnregister,
            MetaEvent::RegistrationDeleted { .. } => MetaTopic::RegistrationOnDelete,
            MetaEvent::Defined { .. } => MetaTopic::ReflectOnDefine,
            MetaEvent::Undefined { .. } => MetaTopic::ReflectOnUndefine,
        }
    }

    /// Its arguments, in MessagePack; `None` if a description has no form there.
    pub fn payload(&self) -> Option<PayloadBuf> {
        let encode = |values: &[Value<'_>]| PayloadBuf::from_values(Serializer::MsgPack, values, &[]).ok();
        let pair = |session: &SessionId, id: u64| encode(&[Value::Uint(session.get()), Value::Uint(id)]);
        match self {
            MetaEvent::Joined(Arrival { identity, transport }) => {
                let peer = transport.peer_text();
                let transport = transport.details(&peer);
                encode(&[Value::Dict(Dict::pairs(&session_details(identity, &transport)))])
            }
            MetaEvent::Left(identity) => encode(&[
                Value::Uint(identity.session.get()),
                text(&identity.authid),
                text(&identity.authrole),
            ]),
            MetaEvent::Cut { identity, reason } => encode(&[
                Value::Uint(identity.session.get()),
                text(reason),
                text(&identity.authid),
                text(&identity.authrole),
            ]),
            MetaEvent::SubscriptionCreated { session, subscription, created } => {
                let at = created.at.to_string();
                let details = created_details(subscription.get(), created, &at);
                encode(&[Value::Uint(session.get()), Value::Dict(Dict::pairs(&details))])
            }
            MetaEvent::RegistrationCreated { session, registration, created, invoke } => {
                let at = created.at.to_string();
                let mut details = created_details(registration.get(), created, &at).to_vec();
                details.push(("invoke", text(invoke)));
                encode(&[Value::Uint(session.get()), Value::Dict(Dict::pairs(&details))])
            }
            MetaEvent::Subscribed { session, subscription }
            | MetaEvent::Unsubscribed { session, subscription }
            | MetaEvent::SubscriptionDeleted { session, subscription } => pair(session, subscription.get()),
            MetaEvent::Registered { session, registration }
            | MetaEvent::Unregistered { session, registration }
            | MetaEvent::RegistrationDeleted { session, registration } => pair(session, registration.get()),
            MetaEvent::Defined { uri, kind, description } => {
                let description = description.transcode(Serializer::MsgPack).ok()?;
                let description = description.as_payload().args()?.iter().next()?;
                encode(&[text(uri), text(kind), description])
            }
            MetaEvent::Undefined { uri, kind } => encode(&[text(uri), text(kind)]),
        }
    }
}

impl Transport {
    /// The peer's address in words.
    pub(crate) fn peer_text(&self) -> String {
        self.peer.map_or_else(|| "unix".into(), |peer| peer.to_string())
    }

    pub(crate) fn details<'a>(&self, peer: &'a str) -> [(&'static str, Value<'a>); 4] {
        [
            ("type", text(self.kind)),
            ("serializer", text(self.serializer)),
            ("peer", text(peer)),
            ("tls", Value::Bool(self.tls)),
        ]
    }
}

/// The details of a session, as in `wamp.session.on_join` and `wamp.session.get`.
pub(crate) fn session_details<'a>(
    identity: &'a Identity,
    transport: &'a [(&'static str, Value<'a>)],
) -> [(&'a str, Value<'a>); 6] {
    [
        ("session", Value::Uint(identity.session.get())),
        ("authid", text(&identity.authid)),
        ("authrole", text(&identity.authrole)),
        ("authmethod", text(identity.authmethod)),
        ("authprovider", text(identity.authprovider)),
        ("transport", Value::Dict(Dict::pairs(transport))),
    ]
}

/// The details of a subscription or registration; a registration adds `invoke`.
pub(crate) fn created_details<'a>(
    id: u64,
    created: &'a Created,
    at: &'a str,
) -> [(&'static str, Value<'a>); 4] {
    [
        ("id", Value::Uint(id)),
        ("created", text(at)),
        ("uri", text(&created.uri)),
        ("match", text(created.policy.as_str())),
    ]
}

fn text(text: &str) -> Value<'_> {
    Value::Str(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::{UriRules, is_reserved};

    #[test]
    fn topics_are_reserved_and_have_a_bit_each() {
        let mut bits = 0u16;
        for topic in MetaTopic::ALL {
            assert!(is_reserved(topic.uri()) && UriRules::Strict.check(topic.uri()).is_ok());
            assert_eq!(bits & topic.bit(), 0);
            bits |= topic.bit();
        }
        assert_eq!(bits.count_ones() as usize, MetaTopic::ALL.len());
    }
}
