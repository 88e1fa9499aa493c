//! What a router is configured with, as the core needs it. Bounds of the process are in [`Limits`], those of a realm in
//! [`RealmLimits`], beside those that go with something else (what is retained, histories, listeners).

use std::sync::Arc;
use std::time::Duration;

use wampline_auth::RealmAuthentication;
use wampline_routing::authorization::Roles;
use wampline_routing::history::HistoryRules;
use wampline_routing::meta::MetaApi;
use wampline_routing::uri::{MatchPolicy, UriRules};
use wampline_routing::{Disclosure, RequestIds, RetainedLimits, TrustLevels};

use crate::authenticate::ANONYMOUS;
use crate::sources::SourceRules;
use crate::throttle::ThrottleRules;

/// The whole configuration of the engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// By [`crate::ListenerId`].
    pub listeners: Vec<Listener>,
    /// The realms that exist from the start.
    pub realms: Vec<Realm>,
    /// What realms are made like that do not, when somebody is admitted to them first.
    pub templates: Vec<RealmTemplate>,
    /// Bounds of the process.
    pub limits: Limits,
    /// WELCOME.Details.agent, for example `Wampline-0.1.0`.
    pub agent: String,
}

/// One listener, its address aside.
#[derive(Clone, Debug)]
pub struct Listener {
    /// What is answered and how much is accepted.
    pub transport: Arc<wampline_transports::server::Options>,
    /// TLS is terminated here.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What is authenticated over TLS here can be bound to the connection (RFC 9266), for which rustls keeps buffers.
    pub channel_binding: bool,
    /// WebSocket pings are sent when nothing was received for this long; `None` for never.
    pub ping_interval: Option<Duration>,
    /// How long a PONG (or any other octet) may take before the connection is taken for dead.
    pub ping_timeout: Duration,
    /// The most connections; `None` for no bound of its own.
    pub connections_max: Option<usize>,
}

/// One realm.
#[derive(Clone, Debug)]
pub struct Realm {
    /// Its URI.
    pub name: String,
    /// How URIs are checked.
    pub uri_rules: UriRules,
    /// How request ids are checked.
    pub request_ids: RequestIds,
    /// Whether what a client uses must have been announced by it.
    pub features: FeatureRules,
    /// Whether publishers and callers are disclosed.
    pub disclosure: Arc<Disclosure>,
    /// How far publishers and callers are trusted.
    pub trust_levels: Arc<TrustLevels>,
    /// What is retained at most.
    pub retained: RetainedLimits,
    /// Which subscriptions have a history.
    pub history: Arc<HistoryRules>,
    /// How long a call without a `timeout` of its own may take; `None` for any time.
    pub call_timeout: Option<Duration>,
    /// How long any call may take, whatever it asks for; `None` for any time.
    pub call_timeout_max: Option<Duration>,
    /// What of the meta API is on offer.
    pub meta: MetaApi,
    /// How its sessions prove who they are.
    pub authentication: Arc<RealmAuthentication>,
    /// Where they may come from.
    pub sources: Arc<SourceRules>,
    /// What sessions may do.
    pub roles: Arc<Roles>,
    /// Its bounds.
    pub limits: RealmLimits,
}

/// What realms are made like whose name matches a pattern. Of several that match, the one that a call would prefer is taken: an exact
/// one, then the longest prefix, then wildcards.
#[derive(Clone, Debug)]
pub struct RealmTemplate {
    /// How the pattern matches.
    pub policy: MatchPolicy,
    /// The settings; their `name` is the pattern.
    pub settings: Realm,
}

/// Whether a client may use what it has not announced in HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeatureRules {
    /// It may, where that harms nobody: many clients do.
    #[default]
    Lenient,
    /// It is a protocol violation where the specification says so.
    Strict,
}

/// What is bounded for the process, with its default: what costs memory before a realm is known, or is shared by all of them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accept to HELLO.
    pub handshake_timeout: Duration,
    /// A session whose peer takes nothing for this long while output waits is cut.
    pub write_stall_timeout: Duration,
    /// Octets queued for one connection, beside twice the longest message among them; a single message always fits an
    /// empty outbox.
    pub outbox_bytes_max: usize,
    /// How long the transport stays open for another HELLO after a session has ended.
    pub rejoin_timeout: Duration,
    /// How long the peer may take to close or to answer GOODBYE.
    pub close_timeout: Duration,
    /// Realms that are made from templates; with those of the configuration at most 65,536.
    pub realms_max: usize,
    /// Octets of arguments that a shard keeps so that a call can go to another callee; a call beyond stays where it is.
    pub rerouting_bytes_max: usize,
    /// Questions of the router's own (to authenticators, authorizers, hooks) that wait for their answer, per shard.
    pub questions_per_shard_max: usize,
    /// From HELLO to WELCOME or ABORT, where a client has something to prove.
    pub authentication_timeout: Duration,
    /// Clients that authenticate, over all shards; each has its share, and at least one.
    pub authenticating_max: usize,
    /// Where somebody outside is asked, refusals are released when a multiple of this has passed since the client's message,
    /// so that the time they take tells nothing; zero for at once.
    pub authentication_grid: Duration,
    /// Who has failed to authenticate too often.
    pub throttle: ThrottleRules,
}

/// What is bounded for each realm, with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealmLimits {
    /// Its sessions, over all shards.
    pub sessions_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session_max: usize,
    /// Registrations of one session.
    pub registrations_per_session_max: usize,
    /// Calls of one session that wait for their answer.
    pub calls_per_session_max: usize,
    /// Invocations of one callee that wait for their answer.
    pub invocations_per_session_max: usize,
    /// Testaments of one session.
    pub testaments_per_session_max: usize,
    /// Octets of their topics, arguments and options.
    pub testament_bytes_per_session_max: usize,
    /// Calls that wait for one callee of one registration, because it has as many invocations as its `concurrency` allows.
    pub calls_per_callee_queued_max: usize,
    /// Octets of such calls.
    pub calls_per_callee_queued_bytes_max: usize,
    /// Calls of one session whose input is open, or has not been known to end, while the call has ended.
    pub inputs_per_session_max: usize,
    /// Octets of the PUBLISH, CALL, SUBSCRIBE, REGISTER, UNSUBSCRIBE and UNREGISTER of one session that wait while its
    /// authorizer is asked about an earlier one, the last of them beside. At the bound the session is not read.
    pub requests_held_bytes_max: usize,
    /// Answers of authorizers that a shard keeps.
    pub authorizer_answers_max: usize,
    /// Octets of a payload that a rule wants to be validated. A longer one is refused.
    pub validated_bytes_max: usize,
}

impl Realm {
    /// A realm with the defaults for everything but its name: it admits anonymous sessions, with the role `anonymous`, from
    /// everywhere.
    pub fn new(name: &str) -> Realm {
        Realm {
            name: name.into(),
            uri_rules: UriRules::default(),
            request_ids: RequestIds::default(),
            features: FeatureRules::default(),
            disclosure: Arc::default(),
            trust_levels: Arc::default(),
            retained: RetainedLimits::default(),
            history: Arc::default(),
            call_timeout: None,
            call_timeout_max: None,
            meta: MetaApi::default(),
            authentication: Arc::new(RealmAuthentication::anonymous(ANONYMOUS)),
            sources: Arc::default(),
            roles: Arc::default(),
            limits: RealmLimits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            handshake_timeout: Duration::from_secs(5),
            write_stall_timeout: Duration::from_secs(10),
            outbox_bytes_max: 4 << 20,
            rejoin_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(2),
            realms_max: 1 << 10,
            rerouting_bytes_max: 32 << 20,
            questions_per_shard_max: 1 << 12,
            authentication_timeout: Duration::from_secs(5),
            authenticating_max: 1 << 12,
            authentication_grid: Duration::from_millis(100),
            throttle: ThrottleRules::default(),
        }
    }
}

impl Default for RealmLimits {
    fn default() -> RealmLimits {
        RealmLimits {
            sessions_max: 1 << 20,
            subscriptions_per_session_max: 1 << 20,
            registrations_per_session_max: 1 << 20,
            calls_per_session_max: 1 << 16,
            invocations_per_session_max: 1 << 20,
            testaments_per_session_max: 64,
            testament_bytes_per_session_max: 256 << 10,
            calls_per_callee_queued_max: 1 << 12,
            calls_per_callee_queued_bytes_max: 16 << 20,
            inputs_per_session_max: 1 << 12,
            requests_held_bytes_max: 64 << 10,
            authorizer_answers_max: 1 << 16,
            validated_bytes_max: 256 << 10,
        }
    }
}
