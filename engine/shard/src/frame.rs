//! What crosses from shard to shard.
//!
//! Frames of one (source, destination) pair arrive in the order in which they were sent; frames of different pairs are not
//! ordered with each other. Dropping a frame is never right: each is an obligation, named with its variant.

use std::sync::Arc;

use smallvec::SmallVec;
use wampline_routing::authorization::PurgeFilter;
use wampline_routing::feature::ClientFeatures;
use wampline_routing::meta::{Arrival, Owned};
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{
    Answer, CallOptions, CallRef, CancelMode, Delta, DeltaNumber, Identity, PayloadAttributes, Publication,
    RealmId, RegisterOptions, SentTo, SessionRef, ShardId, Tried,
};
use wampline_wire::{PayloadBuf, RegistrationId, RequestId, SessionId, SubscriptionId};

use crate::meta::MetaCall;
use crate::question::{Purpose, QuestionAnswer};

/// What a lane counts for a frame beside its payload, in octets.
const FRAME_BYTES: usize = 128;

/// One obligation of another shard.
#[derive(Debug)]
pub(crate) enum Frame {
    /// To a realm's home: a session asks. Must be answered, unless the session leaves.
    Request { realm: RealmId, session: SessionId, from: SessionRef, request: HomeRequest },
    /// To a realm's home: changes up to this number have been applied.
    Applied { number: DeltaNumber },
    /// From a home: changes up to this number. Must be applied in order and acknowledged.
    Changes { number: DeltaNumber, changes: Arc<[Delta]> },
    /// From a home to the shard of a session that asked.
    Answer { to: SessionRef, answer: Answer },
    /// A publication, for the members of these subscriptions on the destination.
    Publication { publication: Arc<Publication>, subscriptions: Subscriptions },
    /// To a realm's home: a publication to be kept there. Must be acknowledged if the publisher asked for that.
    Keep(Box<Keep>),
    /// From a home: the retained events that a subscription begins with. Must be released to it, unless it has ended.
    Snapshot { to: SessionRef, snapshot: Box<Snapshot> },
    /// A call, for a callee on the destination. Must end in a final reply, come back, or be cancelled.
    Invoke(Box<Invoke>),
    /// From the callee's shard: the INVOCATION was never queued to the callee. Another one may be tried.
    Returned(Box<Invoke>, NotInvoked),
    /// From the callee's shard: an answer of the callee.
    Reply(Box<Reply>),
    /// To the callee's shard: the call is over (or, with `kill`, shall be).
    Cancel { call: CallRef, mode: CancelMode },
    /// From the callee's shard: INVOCATION is queued, to a callee that looks after the timeout itself. Must reach the call before
    /// the callee's answer.
    TimeoutForwarded { call: CallRef },
    /// To the callee's shard, from itself: a callee has answered, and calls wait for it.
    CalleeFree { callee: SessionRef, registration: RegistrationId },
    /// From this shard to itself: the answer to a question of the router's own. Must be told to whoever waits for it.
    Answered { purpose: Purpose, answer: Box<QuestionAnswer> },
}

/// What a session asks of its realm's directory.
#[derive(Debug)]
pub(crate) enum HomeRequest {
    Join(Box<Arrival>),
    /// The last frame of a session in its lane.
    Leave,
    Subscribe {
        request: RequestId,
        policy: MatchPolicy,
        topic: Box<str>,
        nkey: Option<Box<str>>,
    },
    /// Retained events for a subscription that has just begun.
    Retained {
        subscription: SubscriptionId,
        /// What the asking shard knows the question by.
        question: u64,
        identity: Arc<Identity>,
        features: ClientFeatures,
    },
    Unsubscribe {
        request: RequestId,
        subscription: SubscriptionId,
    },
    Register {
        request: RequestId,
        policy: MatchPolicy,
        procedure: Box<str>,
        options: RegisterOptions,
    },
    Unregister {
        request: RequestId,
        registration: RegistrationId,
    },
    /// A meta procedure is called.
    Call(Box<MetaCall>),
    /// What authorizers have answered is to be forgotten, everywhere.
    Forget(CallRef, Box<PurgeFilter>),
    /// The answer that came with this number has been queued.
    Confirmed(Owned, u64),
    /// The session is cut, for this reason.
    Cut(&'static str),
}

/// Subscriptions that a publication matches, and whether their events name the topic (pattern-based ones do).
pub(crate) type Subscriptions = SmallVec<[(SubscriptionId, bool); 2]>;

/// A publication that its realm's home keeps.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(crate) publication: Arc<Publication>,
    /// Where it is sent as an event.
    pub(crate) sent_to: SentTo,
    /// Who waits for PUBLISHED.
    pub(crate) acknowledge: Option<(SessionRef, RequestId)>,
}

/// The retained events of a subscription for one session, the oldest first.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) subscription: SubscriptionId,
    pub(crate) question: u64,
    /// Its events name the topic: it is pattern-based.
    pub(crate) names_topic: bool,
    pub(crate) events: Vec<SnapshotEvent>,
}

/// A retained event.
#[derive(Debug)]
pub(crate) struct SnapshotEvent {
    pub(crate) publication: Arc<Publication>,
    /// If it was also sent to this shard for this subscription: from which shard, and its number there.
    pub(crate) live: Option<(ShardId, u64)>,
}

/// A call on its way to its callee, with all that is needed to try another one.
#[derive(Clone, Debug)]
pub(crate) struct Invoke {
    pub(crate) head: InvokeHead,
    pub(crate) procedure: Box<str>,
    /// `None` for a plain call.
    pub(crate) options: Option<Box<CallOptions<'static>>>,
    pub(crate) tried: Tried,
    pub(crate) payload: PayloadBuf,
}

/// What is decided about an invocation when its callee is picked.
#[derive(Clone, Debug)]
pub(crate) struct InvokeHead {
    pub(crate) call: CallRef,
    pub(crate) callee: SessionRef,
    pub(crate) callee_session: SessionId,
    pub(crate) registration: RegistrationId,
    /// Its lineage.
    pub(crate) lineage: RegistrationId,
    /// The registration is pattern-based: the callee must be told the procedure.
    pub(crate) names_procedure: bool,
    /// The newest registration when the call began: later ones are not looked at, unless they took over from an earlier one.
    pub(crate) newest: u64,
    /// The lineage of the registration that it must be now, because its callees were full or unavailable.
    pub(crate) bound_to: Option<RegistrationId>,
    /// More of the call follows.
    pub(crate) progress: bool,
    /// This is not the first chunk of the call.
    pub(crate) is_continuation: bool,
    /// Milliseconds that are left, where timeouts are the callee's matter.
    pub(crate) timeout: Option<u64>,
    /// Who calls, where that is disclosed.
    pub(crate) caller: Option<Arc<Identity>>,
    /// How far the call is trusted, where the realm says so.
    pub(crate) trust_level: Option<u32>,
}

/// Why an INVOCATION was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotInvoked {
    /// The callee is gone, or does not serve the registration (any more, or yet).
    Undeliverable,
    /// The callee has as many invocations as it takes, and as many calls wait for it as may.
    Full,
    /// The callee cannot be sent it: the error of the call.
    Failed(&'static str),
}

/// An answer to a call on its way to its caller.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) call: CallRef,
    pub(crate) outcome: ReplyOutcome,
    pub(crate) attributes: PayloadAttributes<'static>,
    pub(crate) payload: PayloadBuf,
}

/// What a callee answers.
#[derive(Debug)]
pub(crate) enum ReplyOutcome {
    /// A progressive result: more follows.
    Progress,
    /// The final YIELD.
    Result,
    /// An ERROR, of the callee or of its shard.
    Error(Box<str>),
}

impl Frame {
    fn octets(&self) -> usize {
        FRAME_BYTES
            + match self {
                Frame::Publication { publication, .. } => publication.octets(),
                Frame::Keep(keep) => keep.publication.octets(),
                Frame::Snapshot { snapshot, .. } => {
                    snapshot.events.iter().map(|event| event.publication.octets()).sum()
                }
                Frame::Invoke(invoke) | Frame::Returned(invoke, _) => invoke.payload.len(),
                Frame::Reply(reply) => reply.payload.len(),
                Frame::Request { request: HomeRequest::Call(call), .. } => call.payload.len(),
                Frame::Changes { changes, .. } => changes.len() * FRAME_BYTES,
                _ => 0,
            }
    }
}

/// Frames for one other shard, handed over as a whole. Opaque to the driver.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) frames: Vec<Frame>,
    octets: usize,
}

impl Batch {
    /// Octets that count against a lane's bound.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// An empty batch that uses the memory of another one's frames.
    pub(crate) fn with_memory(frames: Vec<Frame>) -> Batch {
        debug_assert!(frames.is_empty());
        Batch { frames, octets: 0 }
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        self.octets += frame.octets();
        self.frames.push(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
