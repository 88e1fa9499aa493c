//! What crosses from shard to shard.
//!
//! Frames of one (source, destination) pair arrive in the order in which they were sent; frames of different pairs are not
//! ordered with each other. Dropping a frame is never right: each is an obligation, named with its variant.

use std::sync::Arc;

use smallvec::SmallVec;
use wampline_routing::meta::{Arrival, Owned};
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{Answer, CallRef, Delta, DeltaNumber, Publication, RealmId, SessionRef};
use wampline_wire::{PayloadBuf, RegistrationId, RequestId, SessionId, SubscriptionId};

use crate::meta::MetaCall;

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
    /// A call, for a callee on the destination. Must come back as a reply, a refusal, or not at all after `CallerGone`.
    Invoke(Box<Invoke>),
    /// From the callee's shard: the final answer of a call.
    Reply(Box<Reply>),
    /// To the callee's shard: nobody waits for this call any more.
    CallerGone { call: CallRef },
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
    },
    Unsubscribe {
        request: RequestId,
        subscription: SubscriptionId,
    },
    Register {
        request: RequestId,
        policy: MatchPolicy,
        procedure: Box<str>,
    },
    Unregister {
        request: RequestId,
        registration: RegistrationId,
    },
    /// A meta procedure is called.
    Call(Box<MetaCall>),
    /// The answer that came with this number has been queued.
    Confirmed(Owned, u64),
    /// The session is cut, for this reason.
    Cut(&'static str),
}

/// Subscriptions that a publication matches, and whether their events name the topic (pattern-based ones do).
pub(crate) type Subscriptions = SmallVec<[(SubscriptionId, bool); 2]>;

/// A call on its way to its callee.
#[derive(Debug)]
pub(crate) struct Invoke {
    pub(crate) call: CallRef,
    pub(crate) callee: SessionRef,
    pub(crate) registration: RegistrationId,
    /// The procedure called, where the registration is pattern-based.
    pub(crate) procedure: Option<Box<str>>,
    pub(crate) payload: PayloadBuf,
}

/// The answer to a call on its way to its caller.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) call: CallRef,
    pub(crate) outcome: ReplyOutcome,
    pub(crate) payload: PayloadBuf,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum ReplyOutcome {
    /// The callee's final YIELD.
    Result,
    /// An ERROR, of the callee or of its shard.
    Error(Box<str>),
    /// The INVOCATION was never queued: the callee is gone, or does not serve the registration (any more, or yet).
    Undeliverable,
}

impl Frame {
    fn octets(&self) -> usize {
        FRAME_BYTES
            + match self {
                Frame::Publication { publication, .. } => publication.octets(),
                Frame::Invoke(invoke) => invoke.payload.len(),
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

    pub(crate) fn push(&mut self, frame: Frame) {
        self.octets += frame.octets();
        self.frames.push(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
