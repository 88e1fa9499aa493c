//! A session on the shard that owns it.
//!
//! ```text
//!  HELLO, admitted --> Joining --(home confirms, WELCOME)--> Open --(GOODBYE, ABORT, end of transport)--> Left
//!                                                   |                                            ^
//!                                                   +--(our GOODBYE)--> Closing --(any answer)---+
//! ```
//!
//! `Left` lasts until the home shard has released what the session owned; the slot is not used again before. What the
//! session owned here (memberships) is taken back in slices meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::frame::Invoke;
use ahash::{AHashMap, AHashSet};
use wampline_auth::OwnedDict;
use wampline_routing::authorization::RoleId;
use wampline_routing::feature::ClientFeatures;
use wampline_routing::meta::Testaments;
use wampline_routing::{Identity, Invocations, Member, RealmId, RequestSequence};
use wampline_wire::{RegistrationId, RequestId, SessionId, SubscriptionId};

use crate::asking::Asking;
use crate::holding::Holding;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) identity: Arc<Identity>,
    pub(crate) guard: u32,
    pub(crate) realm: RealmId,
    /// The slot of its connection; `None` once it has left.
    pub(crate) connection: Option<u32>,
    pub(crate) state: SessionState,
    pub(crate) features: ClientFeatures,
    /// What WELCOME is to say beside who the session is; gone with it.
    pub(crate) authextra: Option<Box<OwnedDict>>,
    pub(crate) requests: RequestSequence,
    /// Its role; `None`: it may do everything that the realm offers.
    pub(crate) role: Option<RoleId>,
    /// What it has asked for while an authorizer is asked about it.
    pub(crate) asking: Option<Box<Asking>>,
    /// Memberships, with the position in the member list.
    pub(crate) subscriptions: AHashMap<SubscriptionId, u32>,
    /// SUBSCRIBEs with options that matter when the answer comes.
    pub(crate) subscribing: Vec<Subscribing>,
    /// Its events, while it waits for retained ones.
    pub(crate) holding: Option<Box<Holding>>,
    /// The subscriptions in which it is a node of the ring.
    pub(crate) nodes: BTreeSet<SubscriptionId>,
    pub(crate) registrations: AHashMap<RegistrationId, Service>,
    /// Registrations that calls have come for before REGISTERED: those calls wait for it.
    pub(crate) awaited: Vec<RegistrationId>,
    /// Calls that wait for their answer, by CALL.Request, with their slot.
    pub(crate) calls: AHashMap<RequestId, u32>,
    pub(crate) invocations: Invocations,
    /// What it wants to have published when it ends.
    pub(crate) testaments: Option<Box<Testaments>>,
    /// How many services with a bound it has had.
    pub(crate) services: u32,
    /// Calls that have ended before their caller sent the last chunk: what else it sends of them is dropped.
    pub(crate) ended_inputs: Option<Box<AHashSet<RequestId>>>,
}

/// What a session serves one registration with.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// `None` where the callee takes any number of invocations at a time.
    pub(crate) bounded: Option<Box<Bounded>>,
}

/// A callee that takes only so many invocations at a time, and the calls that wait for it. None at all (`concurrency` 0): its
/// registration is awaited.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    /// Tells it from other services of the session.
    pub(crate) number: u32,
    pub(crate) concurrency: u32,
    pub(crate) active: u32,
    pub(crate) waiting: VecDeque<Waiting>,
    /// Octets of all that waits.
    pub(crate) octets: usize,
}

/// A call that waits for its callee, and what its caller has sent of it meanwhile.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Since when, in nanoseconds.
    pub(crate) since: u64,
    pub(crate) invoke: Invoke,
    pub(crate) more: Vec<Invoke>,
}

/// A SUBSCRIBE that has no answer yet, and what it asked for beside the subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscribing {
    pub(crate) request: RequestId,
    pub(crate) get_retained: bool,
    pub(crate) is_node: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// HELLO has come, the home shard has been asked.
    Joining,
    /// WELCOME is queued.
    Open,
    /// Our GOODBYE is queued; everything but GOODBYE and ABORT is ignored.
    Closing,
    /// It has ended. The slot of the connection that waits for our GOODBYE, if one does.
    Left { goodbye_to: Option<(u32, u32)> },
}

impl Session {
    pub(crate) fn id(&self) -> SessionId {
        self.identity.session
    }

    /// Whether the events for this member wait.
    pub(crate) fn is_holding(&self, member: &Member) -> bool {
        self.holding.is_some()
            && self.connection == Some(member.connection)
            && self.state == SessionState::Open
    }
}
