//! The configuration file as it is written: every table and key, with types that carry range and default.
//!
//! This is the one place where keys are declared: the reader, the JSON Schema (`wampline schema`) and the test that keeps
//! `docs/configuration.md` complete all follow from it. What the values mean together is [`super::build`]'s business.

pub(super) mod authentication;
pub(super) mod authorization;
mod limits;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use wampline_driver::DriverChoice;
use wampline_routing::Disclose;
use wampline_routing::uri::MatchPolicy;
use wampline_shard::{FeatureRules, MetaApi, RequestIds, ShutdownMode, UriRules};
use wampline_transports::server::SameSite;
use wampline_transports::tls::ClientCertificates;
use wampline_wire::Serializer;

use super::values::{Checked, Choice, Count, Flag, Named, OrOff, Pattern, Pin, Shards, Size, Span, Text};
use crate::logging::LogFormat;
pub(super) use limits::{Limits, RealmLimits};

/// The longest message that any listener accepts: lengths travel in 24 bits on RawSocket, and 2^24 itself is never sent.
pub(super) const MESSAGE_BYTES_MAX: u64 = (1 << 24) - 1;

/// The shortest limit that still lets a client with a long HELLO in.
pub(super) const MESSAGE_BYTES_MIN: u64 = 4 << 10;

const MS: u64 = 1_000;
const S: u64 = 1_000 * MS;
const H: u64 = 3_600 * S;
/// Slots are counted in 32 bits, and ids that routers draw one after the other stay below 2^32.
const COUNT_MAX: u64 = 1 << 31;

/// A Wampline configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "Wampline configuration")]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Raw {
    /// The process: shards, shutdown, log.
    pub router: Router,
    /// Every bound: of the process, and of realms that have none of their own.
    pub limits: Limits,
    /// Where and how clients connect. Without any there is one on 127.0.0.1:8080.
    #[schemars(with = "Vec<Listener>", length(min = 1))]
    pub listeners: Option<Spanned<Vec<Listener>>>,
    /// Programs outside that know principals.
    #[schemars(with = "Vec<authentication::Hook>")]
    pub hooks: Vec<Spanned<authentication::Hook>>,
    /// The realms that exist. Without any there is `realm1`.
    #[schemars(with = "Vec<Realm>", length(min = 1))]
    pub realms: Option<Spanned<Vec<Realm>>>,
}

/// The process: shards, shutdown, log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Router {
    /// What moves octets for the shards: `"auto"` takes io_uring where it can be used, epoll elsewhere.
    pub driver: Checked<Choice<DriverChoice>>,
    /// How many shards (threads that carry sessions); `"auto"`: one per core that the process may use.
    pub shards: Checked<Shards>,
    /// Whether each shard is pinned to a core; `"auto"`: pinned when `shards` is `"auto"`.
    pub pin: Checked<Pin>,
    /// How long an idle shard spins before it sleeps. Costs a core, saves the wake-up.
    pub spin: Checked<Span<0, { 100 * MS }, 0>>,
    /// What clients are told on SIGTERM, SIGINT and SIGHUP: GOODBYE, or a plain close after which they come back.
    pub shutdown: Checked<Choice<ShutdownMode>>,
    /// How long calls in flight and closing handshakes may take on shutdown.
    pub shutdown_grace: Checked<Span<0, { H }, { 3 * S }>>,
    /// What is logged and how.
    pub log: Log,
}

/// What is logged and how.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Log {
    /// A level, or a comma-separated list of a level and `target=level` pairs.
    pub level: Checked<crate::logging::LevelSetting>,
    /// One line of text or one JSON object per event.
    pub format: Checked<Choice<LogFormat>>,
}

/// An address to listen on, and what is answered there.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Listener {
    /// `host:port`, `[::1]:port` or `unix:PATH`. Port 0 picks a free port.
    pub listen: Checked<Text>,
    /// What is answered; the client's first octet decides.
    #[serde(default)]
    pub protocols: Choices<Protocol>,
    /// The serializers on offer.
    #[serde(default)]
    pub serializers: Choices<Serializer>,
    /// Paths at which a WebSocket upgrade is accepted.
    #[serde(default)]
    pub paths: Paths,
    /// Which web pages may connect besides those of the same host and of loopback; `"*"` for all.
    #[serde(default)]
    pub origins: Origins,
    /// The subprotocol assumed for WebSocket clients that offer none; without it they are refused.
    #[serde(default)]
    pub assume_subprotocol: Checked<Choice<Subprotocol>>,
    /// TLS is terminated here.
    #[serde(default)]
    #[schemars(with = "Tls")]
    pub tls: Option<Tls>,
    /// A cookie that WebSocket clients are given.
    #[serde(default)]
    #[schemars(with = "Cookie")]
    pub cookie: Option<Cookie>,
    /// The longest message accepted here; `limits.message_bytes_max` unless set.
    #[serde(default)]
    pub message_bytes_max: Checked<Size<MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX, 0>>,
    /// A WebSocket ping is sent when nothing was received for this long.
    #[serde(default)]
    pub ping_interval: Checked<OrOff<Span<{ 100 * MS }, { 24 * H }, { 30 * S }>, true>>,
    /// How long the pong (or any other octet) may take before the connection is taken for dead.
    #[serde(default)]
    pub ping_timeout: Checked<Span<{ 100 * MS }, { H }, { 10 * S }>>,
    /// The most connections at a time.
    #[serde(default)]
    pub connections_max: Checked<OrOff<Count<1, COUNT_MAX, 1>, false>>,
}

/// A certificate and its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Tls {
    /// PEM file with the certificate chain, the server's own certificate first.
    pub certificate: Checked<Text>,
    /// PEM file with the unencrypted private key (PKCS#8, PKCS#1 or SEC1).
    pub key: Checked<Text>,
    /// The protocol versions on offer.
    #[serde(default)]
    pub versions: Choices<TlsVersion>,
    /// Whether clients are asked for a certificate.
    #[serde(default)]
    pub client_certificates: Checked<Choice<Asked>>,
    /// PEM file with the authorities that client certificates must lead to.
    #[serde(default)]
    pub client_authorities: Checked<Text>,
    /// Whether an authentication can be bound to its connection.
    #[serde(default)]
    pub channel_binding: Checked<Flag<false>>,
}

/// A cookie that browsers are given.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Cookie {
    /// Its name.
    pub name: Checked<Text>,
    /// How long browsers keep it.
    #[serde(default)]
    pub max_age: Checked<Span<{ S }, { 8760 * H }, { 24 * H }>>,
    /// With which requests browsers send it along.
    #[serde(default)]
    pub same_site: Checked<Choice<SameSite>>,
}

/// A realm and its rules.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Realm {
    /// The realm's URI.
    pub name: Checked<Text>,
    /// How URIs are checked.
    #[serde(default)]
    pub uri_rules: Checked<Choice<UriRules>>,
    /// How request ids are checked.
    #[serde(default)]
    pub request_ids: Checked<Choice<RequestIds>>,
    /// What of the meta API is on offer: nothing, what reads, or everything.
    #[serde(default)]
    pub meta: Checked<Choice<MetaApi>>,
    /// How long a call that asks for no `timeout` may take.
    #[serde(default)]
    pub call_timeout: Checked<OrOff<Span<{ MS }, { 24 * H }, { 30 * S }>, false>>,
    /// How long any call may take, whatever it asks for.
    #[serde(default)]
    pub call_timeout_max: Checked<OrOff<Span<{ MS }, { 24 * H }, { 30 * S }>, false>>,
    /// Whether what a client uses must have been announced by it.
    #[serde(default)]
    pub features: Checked<Choice<FeatureRules>>,
    /// What is retained at most.
    #[serde(default)]
    pub retained: Retained,
    /// Whether publishers and callers are disclosed, by URI.
    #[serde(default)]
    pub disclose: Vec<Disclosure>,
    /// How far publishers and callers are trusted, by URI and role.
    #[serde(default)]
    pub trust_levels: Vec<TrustLevel>,
    /// Which subscriptions have a history of their events.
    #[serde(default)]
    pub history: Vec<History>,
    /// Whether this is one realm, or what realms are made like whose names match.
    #[serde(default, rename = "match")]
    pub policy: Checked<Choice<MatchPolicy>>,
    /// Where clients may come from.
    #[serde(default)]
    pub networks: super::lists::List<super::lists::Networks>,
    /// How clients prove who they are.
    #[serde(default)]
    #[schemars(with = "authentication::Authentication")]
    pub authentication: Option<Spanned<authentication::Authentication>>,
    /// Who may join.
    #[serde(default)]
    #[schemars(with = "Vec<authentication::Principal>")]
    pub principals: Vec<Spanned<authentication::Principal>>,
    /// What sessions may do, by role.
    #[serde(default)]
    pub roles: Vec<authorization::Role>,
    /// The role of sessions whose own is not among `roles`.
    #[serde(default)]
    pub default_role: Checked<Text>,
    /// Its bounds, where they are not those of `[limits]`.
    #[serde(default)]
    pub limits: RealmLimits,
}

/// What a realm retains at most.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct Retained {
    /// Retained events; the oldest goes first.
    pub events_max: Checked<Count<0, COUNT_MAX, 10_000>>,
    /// Octets of retained events.
    pub bytes_max: Checked<Size<0, { 64 << 30 }, { 64 << 20 }>>,
    /// How long an event is retained; a publication may ask for less.
    pub ttl: Checked<OrOff<Span<{ S }, { 8760 * H }, { H }>, false>>,
}

/// Whether publishers to, and callers of, a URI are disclosed.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Disclosure {
    /// The URI or pattern.
    pub uri: Checked<Pattern>,
    /// How it matches.
    #[serde(default, rename = "match")]
    pub policy: Checked<Choice<MatchPolicy>>,
    /// Whether publishers are disclosed; nothing: another rule may say.
    #[serde(default)]
    pub publisher: Checked<Choice<Disclose>>,
    /// Whether callers are disclosed; nothing: another rule may say.
    #[serde(default)]
    pub caller: Checked<Choice<Disclose>>,
}

/// How far publishers to, and callers of, a URI are trusted.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct TrustLevel {
    /// The URI or pattern.
    pub uri: Checked<Pattern>,
    /// How it matches.
    #[serde(default, rename = "match")]
    pub policy: Checked<Choice<MatchPolicy>>,
    /// The authrole that this is about; nothing: every one.
    #[serde(default)]
    pub role: Checked<Text>,
    /// The level of publications.
    #[serde(default)]
    pub publisher: Checked<OrOff<Count<0, COUNT_MAX, 0>, false>>,
    /// The level of calls.
    #[serde(default)]
    pub caller: Checked<OrOff<Count<0, COUNT_MAX, 0>, false>>,
}

/// A subscription that has a history.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct History {
    /// The topic or pattern of the subscription.
    pub uri: Checked<Pattern>,
    /// How it matches.
    #[serde(default, rename = "match")]
    pub policy: Checked<Choice<MatchPolicy>>,
    /// Events kept; the oldest goes first.
    #[serde(default)]
    pub events_max: Checked<Count<1, COUNT_MAX, 1_000>>,
    /// Octets kept.
    #[serde(default)]
    pub bytes_max: Checked<Size<{ 1 << 10 }, { 64 << 30 }, { 16 << 20 }>>,
}

/// A list of names of `T`, each at most once; absent: all of them.
pub(super) type Choices<T> = super::lists::List<super::lists::Names<T>>;
/// A list of paths.
pub(super) type Paths = super::lists::List<super::lists::PathList>;
/// A list of origins.
pub(super) type Origins = super::lists::List<super::lists::OriginList>;

/// What a listener can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// WebSocket (advanced profile, "WebSocket Transport").
    WebSocket,
    /// RawSocket (advanced profile, "RawSocket Transport").
    RawSocket,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked(pub Option<ClientCertificates>);

/// A serializer under its WebSocket subprotocol identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subprotocol(pub Serializer);

impl Named for Protocol {
    const CHOICES: &'static [(&'static str, Protocol)] =
        &[("websocket", Protocol::WebSocket), ("rawsocket", Protocol::RawSocket)];
}

impl Named for Serializer {
    const CHOICES: &'static [(&'static str, Serializer)] = &[
        (Serializer::Json.name(), Serializer::Json),
        (Serializer::MsgPack.name(), Serializer::MsgPack),
        (Serializer::Cbor.name(), Serializer::Cbor),
    ];
}

impl Named for Subprotocol {
    const CHOICES: &'static [(&'static str, Subprotocol)] = &[
        (Serializer::Json.subprotocol(), Subprotocol(Serializer::Json)),
        (Serializer::MsgPack.subprotocol(), Subprotocol(Serializer::MsgPack)),
        (Serializer::Cbor.subprotocol(), Subprotocol(Serializer::Cbor)),
    ];
    const DEFAULT: bool = false;
}

impl Named for TlsVersion {
    const CHOICES: &'static [(&'static str, TlsVersion)] =
        &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
}

impl Named for Asked {
    const CHOICES: &'static [(&'static str, Asked)] = &[
        ("off", Asked(None)),
        ("optional", Asked(Some(ClientCertificates::Optional))),
        ("required", Asked(Some(ClientCertificates::Required))),
    ];
}

impl Named for SameSite {
    const CHOICES: &'static [(&'static str, SameSite)] =
        &[("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];
}

impl Named for ShutdownMode {
    const CHOICES: &'static [(&'static str, ShutdownMode)] =
        &[("goodbye", ShutdownMode::Goodbye), ("restart", ShutdownMode::Restart)];
}

impl Named for DriverChoice {
    const CHOICES: &'static [(&'static str, DriverChoice)] =
        &[("auto", DriverChoice::Auto), ("uring", DriverChoice::Uring), ("epoll", DriverChoice::Epoll)];
}

impl Named for UriRules {
    const CHOICES: &'static [(&'static str, UriRules)] =
        &[("loose", UriRules::Loose), ("strict", UriRules::Strict)];
}

impl Named for MetaApi {
    const CHOICES: &'static [(&'static str, MetaApi)] =
        &[("read", MetaApi::Read), ("full", MetaApi::Full), ("off", MetaApi::Off)];
}

impl Named for RequestIds {
    const CHOICES: &'static [(&'static str, RequestIds)] =
        &[("lenient", RequestIds::Lenient), ("strict", RequestIds::Strict)];
}

impl Named for FeatureRules {
    const CHOICES: &'static [(&'static str, FeatureRules)] =
        &[("lenient", FeatureRules::Lenient), ("strict", FeatureRules::Strict)];
}

impl Named for MatchPolicy {
    const CHOICES: &'static [(&'static str, MatchPolicy)] = &[
        (MatchPolicy::Exact.as_str(), MatchPolicy::Exact),
        (MatchPolicy::Prefix.as_str(), MatchPolicy::Prefix),
        (MatchPolicy::Wildcard.as_str(), MatchPolicy::Wildcard),
    ];
}

impl Named for Disclose {
    const CHOICES: &'static [(&'static str, Disclose)] =
        &[("on_request", Disclose::OnRequest), ("always", Disclose::Always), ("never", Disclose::Never)];
    const DEFAULT: bool = false;
}
