//! The pure state machines of a realm: its directory on the home shard, the replica on every shard, memberships,
//! calls and invocations, and the rules for URIs, request ids and features. Inputs and time in, effects out: no sockets,
//! no threads, no clock, no octets of any transport.
//!
//! Which shard does what is the design's: one shard is a realm's home and the only writer of its [`Directory`];
//! every shard holds a [`Replica`] of what publishing and calling need; memberships, calls and invocations live on the
//! shard of the session that they belong to.

pub mod authorization;
pub mod error_uri;
pub mod feature;
pub mod history;
pub mod meta;
pub mod pattern;
pub mod uri;

mod attributes;
mod audience;
mod call;
mod directory;
mod disclosure;
mod identity;
mod invocation;
mod key;
mod member;
mod options;
mod publication;
mod registration;
mod replica;
mod request;
mod retained;
mod ring;
mod visibility;

pub use attributes::{PayloadAttributes, is_attribute};
pub use audience::{Audience, AudienceError};
pub use call::{Call, CallProgress, CallRef, Calls};
pub use directory::{Answer, Directory, DirectoryLimits, Granted, JoinRefusal, Refusal, SubscribeRequest};
pub use disclosure::{Disclose, Disclosure, DisclosureRefused, DisclosureRule, TrustLevels, TrustRule};
pub use identity::Identity;
pub use invocation::{Invocations, OpenInvocation, Stubs};
pub use key::{RealmId, SessionRef, ShardId, ShardSet};
pub use member::{Member, Members};
pub use options::{CallOptions, CancelMode, InvocationPolicy, OptionError, RegisterOptions, RunMode};
pub use publication::{Publication, PublishOptionError, PublishOptions, Retain, ShardBy, Terms};
pub use registration::{Callee, Procedure, RegistrationInfo, Tried};
pub use replica::{Delta, Replica, Topic};
pub use request::{RequestIdError, RequestIds, RequestSequence};
pub use retained::{PER_TOPIC_MAX, RetainedEvent, RetainedLimits, RetainedQuery, RetainedStore, SentTo};
pub use ring::Ring;
pub use visibility::{DeltaNumber, Visibility};
