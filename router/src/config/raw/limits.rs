//! Bounds, as they are written: those of the process, and what a realm may have otherwise.

use schemars::JsonSchema;
use serde::Deserialize;
use wampline_shard as shard;

use super::super::diagnostics::Diagnostics;
use super::super::values::{Checked, Count, Optional, Size, Span};
use super::{COUNT_MAX, H, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, MS, S};

// What both tables have: the same range, and one default.
type Subscriptions = Count<1, COUNT_MAX, { 1 << 20 }>;
type Registrations = Count<1, COUNT_MAX, { 1 << 20 }>;
type Calls = Count<1, COUNT_MAX, { 1 << 16 }>;
type Invocations = Count<1, COUNT_MAX, { 1 << 20 }>;
type Testaments = Count<0, COUNT_MAX, 64>;
type TestamentBytes = Size<{ 1 << 10 }, { 4 << 30 }, { 256 << 10 }>;
type QueuedCalls = Count<0, COUNT_MAX, { 1 << 12 }>;
type QueuedBytes = Size<0, { 4 << 30 }, { 16 << 20 }>;
type Inputs = Count<1, COUNT_MAX, { 1 << 12 }>;
type HeldBytes = Size<{ 1 << 10 }, { 4 << 30 }, { 64 << 10 }>;
type AuthorizerAnswers = Count<1, COUNT_MAX, { 1 << 16 }>;
type ValidatedBytes = Size<{ 1 << 10 }, MESSAGE_BYTES_MAX, { 256 << 10 }>;
type Sessions = Count<1, COUNT_MAX, { 1 << 20 }>;

/// Every bound: of the process, and of realms that have none of their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(in super::super) struct Limits {
    /// The longest message accepted, unless the listener says otherwise.
    pub message_bytes_max: Checked<Size<MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX>>,
    /// Octets queued for one connection, beside twice the longest message among them, before it is cut.
    pub outbox_bytes_max: Checked<Size<{ 64 << 10 }, { 4 << 30 }, { 4 << 20 }>>,
    /// From accept to HELLO.
    pub handshake_timeout: Checked<Span<{ 100 * MS }, { H }, { 5 * S }>>,
    /// A session whose peer takes nothing for this long while output waits is cut.
    pub write_stall_timeout: Checked<Span<{ 100 * MS }, { H }, { 10 * S }>>,
    /// How long the transport stays open for another HELLO after a session has ended.
    pub rejoin_timeout: Checked<Span<{ 100 * MS }, { H }, { 5 * S }>>,
    /// How long a peer may take to close or to answer GOODBYE.
    pub close_timeout: Checked<Span<{ 100 * MS }, { H }, { 2 * S }>>,
    /// Subscriptions of one session.
    pub subscriptions_per_session_max: Checked<Subscriptions>,
    /// Registrations of one session.
    pub registrations_per_session_max: Checked<Registrations>,
    /// Calls of one session that wait for their answer.
    pub calls_per_session_max: Checked<Calls>,
    /// Invocations of one callee that wait for their answer.
    pub invocations_per_session_max: Checked<Invocations>,
    /// Sessions of one realm.
    pub sessions_per_realm_max: Checked<Sessions>,
    /// Testaments of one session.
    pub testaments_per_session_max: Checked<Testaments>,
    /// Octets of a session's testaments: topics, arguments and options.
    pub testament_bytes_per_session_max: Checked<TestamentBytes>,
    /// Calls that wait for one callee which has as many invocations as its `concurrency` allows.
    pub calls_per_callee_queued_max: Checked<QueuedCalls>,
    /// Octets of the arguments of such calls.
    pub calls_per_callee_queued_bytes_max: Checked<QueuedBytes>,
    /// Octets of arguments that each shard keeps so that a call can go to another callee.
    pub rerouting_bytes_max: Checked<Size<0, { 4 << 30 }, { 32 << 20 }>>,
    /// Progressive calls of one session that have ended before their last chunk came.
    pub inputs_per_session_max: Checked<Inputs>,
    /// Realms that are made from templates.
    pub realms_made_max: Checked<Count<0, 65_536, { 1 << 10 }>>,
    /// From HELLO to WELCOME or ABORT, where a client has something to prove.
    pub authentication_timeout: Checked<Span<{ 100 * MS }, { H }, { 5 * S }>>,
    /// Clients that authenticate at a time.
    pub authenticating_max: Checked<Count<1, COUNT_MAX, { 1 << 12 }>>,
    /// Where somebody outside is asked, answers to the client go out when a multiple of this has passed.
    pub authentication_grid: Checked<Span<0, { 5 * S }, { 100 * MS }>>,
    /// So many failures within `authentication_failures_window` block the source; 0: no bound.
    pub authentication_failures_max: Checked<Count<0, { u32::MAX as u64 }, 10>>,
    /// See `authentication_failures_max`.
    pub authentication_failures_window: Checked<Span<{ 10 * MS }, { H }, { S }>>,
    /// How long a source is turned away then.
    pub authentication_block: Checked<Span<{ 10 * MS }, { 24 * H }, { 10 * S }>>,
    /// Sources whose failures are counted at a time.
    pub authentication_sources_max: Checked<Count<1, COUNT_MAX, { 1 << 16 }>>,
    /// Questions to authenticators, authorizers and hooks that wait for an answer, per shard.
    pub questions_per_shard_max: Checked<Count<1, COUNT_MAX, { 1 << 12 }>>,
    /// Octets of the requests of one session that wait for an authorizer's answer.
    pub requests_held_bytes_max: Checked<HeldBytes>,
    /// Answers of authorizers that each shard keeps for each realm.
    pub authorizer_answers_max: Checked<AuthorizerAnswers>,
    /// Octets of a payload that a rule wants to be validated.
    pub validated_bytes_max: Checked<ValidatedBytes>,
}

/// Bounds of one realm. Without a key what `[limits]` says holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(in super::super) struct RealmLimits {
    /// Its sessions.
    pub sessions_max: Checked<Optional<Sessions>>,
    /// Subscriptions of one session.
    pub subscriptions_per_session_max: Checked<Optional<Subscriptions>>,
    /// Registrations of one session.
    pub registrations_per_session_max: Checked<Optional<Registrations>>,
    /// Calls of one session that wait for their answer.
    pub calls_per_session_max: Checked<Optional<Calls>>,
    /// Invocations of one callee that wait for their answer.
    pub invocations_per_session_max: Checked<Optional<Invocations>>,
    /// Testaments of one session.
    pub testaments_per_session_max: Checked<Optional<Testaments>>,
    /// Octets of a session's testaments: topics, arguments and options.
    pub testament_bytes_per_session_max: Checked<Optional<TestamentBytes>>,
    /// Calls that wait for one callee which has as many invocations as its `concurrency` allows.
    pub calls_per_callee_queued_max: Checked<Optional<QueuedCalls>>,
    /// Octets of the arguments of such calls.
    pub calls_per_callee_queued_bytes_max: Checked<Optional<QueuedBytes>>,
    /// Progressive calls of one session that have ended before their last chunk came.
    pub inputs_per_session_max: Checked<Optional<Inputs>>,
    /// Octets of the requests of one session that wait for an authorizer's answer.
    pub requests_held_bytes_max: Checked<Optional<HeldBytes>>,
    /// Answers of authorizers that each shard keeps.
    pub authorizer_answers_max: Checked<Optional<AuthorizerAnswers>>,
    /// Octets of a payload that a rule wants to be validated.
    pub validated_bytes_max: Checked<Optional<ValidatedBytes>>,
}

impl RealmLimits {
    /// The bounds of the realm: its own, and where it has none those that hold for `every` realm.
    pub(in super::super) fn of_realm(
        self,
        every: &shard::RealmLimits,
        found: &mut Diagnostics,
    ) -> shard::RealmLimits {
        shard::RealmLimits {
            sessions_max: self.sessions_max.take(found).unwrap_or(every.sessions_max),
            subscriptions_per_session_max: self
                .subscriptions_per_session_max
                .take(found)
                .unwrap_or(every.subscriptions_per_session_max),
            registrations_per_session_max: self
                .registrations_per_session_max
                .take(found)
                .unwrap_or(every.registrations_per_session_max),
            calls_per_session_max: self
                .calls_per_session_max
                .take(found)
                .unwrap_or(every.calls_per_session_max),
            invocations_per_session_max: self
                .invocations_per_session_max
                .take(found)
                .unwrap_or(every.invocations_per_session_max),
            testaments_per_session_max: self
                .testaments_per_session_max
                .take(found)
                .unwrap_or(every.testaments_per_session_max),
            testament_bytes_per_session_max: self
                .testament_bytes_per_session_max
                .take(found)
                .unwrap_or(every.testament_bytes_per_session_max),
            calls_per_callee_queued_max: self
                .calls_per_callee_queued_max
                .take(found)
                .unwrap_or(every.calls_per_callee_queued_max),
            calls_per_callee_queued_bytes_max: self
                .calls_per_callee_queued_bytes_max
                .take(found)
                .unwrap_or(every.calls_per_callee_queued_bytes_max),
            inputs_per_session_max: self
                .inputs_per_session_max
                .take(found)
                .unwrap_or(every.inputs_per_session_max),
            requests_held_bytes_max: self
                .requests_held_bytes_max
                .take(found)
                .unwrap_or(every.requests_held_bytes_max),
            authorizer_answers_max: self
                .authorizer_answers_max
                .take(found)
                .unwrap_or(every.authorizer_answers_max),
            validated_bytes_max: self.validated_bytes_max.take(found).unwrap_or(every.validated_bytes_max),
        }
    }
}
