//! A session on the shard that owns it.
//!
//! ```text
//!  HELLO --> Joining --(home confirms, WELCOME)--> Open --(GOODBYE, ABORT, end of transport)--> Left
//!                                                   |                                            ^
//!                                                   +--(our GOODBYE)--> Closing --(any answer)---+
//! ```
//!
//! `Left` lasts until the home shard has released what the session owned; the slot is not used again before. What the
//! session owned here (memberships) is taken back in slices meanwhile.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use wampline_routing::feature::ClientFeatures;
use wampline_routing::meta::Testaments;
use wampline_routing::{Identity, Invocations, RealmId, RequestSequence};
use wampline_wire::{RegistrationId, RequestId, SessionId, SubscriptionId};

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) identity: Arc<Identity>,
    pub(crate) guard: u32,
    pub(crate) realm: RealmId,
    /// The slot of its connection; `None` once it has left.
    pub(crate) connection: Option<u32>,
    pub(crate) state: SessionState,
    pub(crate) features: ClientFeatures,
    pub(crate) requests: RequestSequence,
    /// Memberships, with the position in the member list.
    pub(crate) subscriptions: AHashMap<SubscriptionId, u32>,
    pub(crate) registrations: AHashSet<RegistrationId>,
    /// Calls that wait for their answer, by CALL.Request, with their slot.
    pub(crate) calls: AHashMap<RequestId, u32>,
    pub(crate) invocations: Invocations,
    /// What it wants to have published when it ends.
    pub(crate) testaments: Option<Box<Testaments>>,
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
}
