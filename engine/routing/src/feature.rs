//! Which features of the advanced profile the router announces, and which a client announced (advanced profile,
//! "Feature Announcement").
//!
//! Owns the one table from which `WELCOME.Details.roles` is built, [`ROUTER_FEATURES`], and the reading of
//! `HELLO.Details.roles`, [`ClientFeatures`]. What a feature does is in the modules that implement it.
//!
//! Invariant: a feature is announced if and only if its row says that it works, under every name that it goes by.

use std::fmt;
use std::sync::LazyLock;

use wampline_wire::{Dict, Value};

use crate::meta::MetaApi;

/// A role of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouterRole {
    /// Routes publications.
    Broker,
    /// Routes calls.
    Dealer,
}

/// A feature of the router in one of its roles: a row of [`ROUTER_FEATURES`].
#[derive(Clone, Copy, Debug)]
pub struct RouterFeature {
    /// The role that has it.
    pub role: RouterRole,
    /// Every name under which it is announced: more than one where clients look for different ones.
    pub names: &'static [&'static str],
    /// Also announced in the role itself, beside `features`, as the specification has it for reflection.
    pub beside_features: bool,
    /// Whether it works, and so is announced.
    pub works: bool,
}

/// Every feature that a broker or dealer may announce.
pub const ROUTER_FEATURES: &[RouterFeature] = {
    use RouterRole::{Broker, Dealer};
    &[
        row(Broker, &["acknowledge_event_received"], false),
        row(Broker, &["event_history"], true),
        row(Broker, &["event_retention"], true),
        row(Broker, &["pattern_based_subscription"], true),
        row(Broker, &["payload_passthru_mode"], true),
        row(Broker, &["payload_transparency"], true),
        row(Broker, &["publication_trustlevels"], true),
        row(Broker, &["publisher_exclusion"], true),
        row(Broker, &["publisher_identification"], true),
        RouterFeature { beside_features: true, ..row(Broker, &["reflection"], true) },
        row(Broker, &["session_meta_api"], true),
        row(Broker, &["sharded_subscription", "shareded_subscriptions"], true),
        row(Broker, &["subscriber_blackwhite_listing"], true),
        row(Broker, &["subscription_meta_api"], true),
        row(Broker, &["subscription_revocation"], true),
        row(Dealer, &["call_canceling", "call_cancelling"], true),
        row(Dealer, &["call_reroute"], true),
        row(Dealer, &["call_timeout"], true),
        row(Dealer, &["call_trustlevels"], true),
        row(Dealer, &["caller_identification"], true),
        row(Dealer, &["pattern_based_registration"], true),
        row(Dealer, &["payload_passthru_mode"], true),
        row(Dealer, &["payload_transparency"], true),
        row(Dealer, &["progressive_call_invocations"], true),
        row(Dealer, &["progressive_call_results"], true),
        RouterFeature { beside_features: true, ..row(Dealer, &["reflection"], true) },
        row(Dealer, &["registration_meta_api"], true),
        row(Dealer, &["registration_revocation"], true),
        row(Dealer, &["session_meta_api"], true),
        row(Dealer, &["sharded_registration"], true),
        row(Dealer, &["shared_registration"], true),
        row(Dealer, &["testament_meta_api"], true),
    ]
};

/// `WELCOME.Details.roles`: both roles, each with its `features`, a dict of `true` for every feature that works in a realm
/// with as much of the meta API as `meta` says.
pub fn welcome_roles(meta: MetaApi) -> Dict<'static> {
    Dict::pairs(if meta == MetaApi::Off { &WITHOUT_META } else { &WITH_META })
}

/// The features that are parts of the meta API.
fn is_meta(row: &RouterFeature) -> bool {
    const META: [&str; 5] = [
        "reflection",
        "session_meta_api",
        "subscription_meta_api",
        "registration_meta_api",
        "testament_meta_api",
    ];
    row.names.iter().any(|name| META.contains(name))
}

/// The same without any feature, for a peer whose transport cannot take the list.
pub fn bare_welcome_roles() -> Dict<'static> {
    const NONE: &[(&str, Value<'static>)] = &[("features", Value::Dict(Dict::EMPTY))];
    const ROLES: &[(&str, Value<'static>)] =
        &[("broker", Value::Dict(Dict::pairs(NONE))), ("dealer", Value::Dict(Dict::pairs(NONE)))];
    Dict::pairs(ROLES)
}

/// A role that a client can announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientRole {
    /// Publishes.
    Publisher,
    /// Subscribes.
    Subscriber,
    /// Calls.
    Caller,
    /// Registers.
    Callee,
}

/// A feature that a client can announce in a role. In which of its roles a feature means something is the
/// specification's matter: those of remote procedure calls are kept for callers and callees, those of
/// publish & subscribe for publishers and subscribers, and those of payloads for all four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "named as in the specification; see `ClientFeature::from_name`")]
pub enum ClientFeature {
    PayloadPassthruMode = ANY_ROLE,
    PayloadTransparency,

    CallCanceling = RPC_ROLES,
    CallReroute,
    CallTimeout,
    CallTrustlevels,
    CallerIdentification,
    PatternBasedRegistration,
    ProgressiveCallInvocations,
    ProgressiveCallResults,
    RegistrationRevocation,
    ShardedRegistration,
    SharedRegistration,

    AcknowledgeEventReceived = PUBSUB_ROLES,
    EventHistory,
    EventRetention,
    PatternBasedSubscription,
    PublicationTrustlevels,
    PublisherExclusion,
    PublisherIdentification,
    ShardedSubscription,
    SubscriberBlackwhiteListing,
    SubscriptionRevocation,
}

/// What a client announced in HELLO: its roles, and the features of each.
///
/// A bit per role and per feature of a role, so that the data plane asks without a look-up.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ClientFeatures(u64);

/// Why `HELLO.Details.roles` was refused. The session is aborted: without a role it could do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolesError {
    /// There are no `roles`.
    Missing,
    /// `roles` is not a dict.
    NotADict,
    /// None of the roles that a client can have is among `roles`.
    NoRole,
    /// The value of a role is not a dict.
    RoleNotADict(ClientRole),
}

impl ClientFeatures {
    /// Reads `HELLO.Details.roles` from these details.
    ///
    /// Roles that no client can have, and features that are unknown, that their role cannot have or that are not
    /// `true`, are ignored. A feature that goes by several names is announced by any of them.
    pub fn from_hello(details: &Dict<'_>) -> Result<ClientFeatures, RolesError> {
        let roles = details.get("roles").ok_or(RolesError::Missing)?;
        let roles = roles.as_dict().ok_or(RolesError::NotADict)?;
        let mut announced = ClientFeatures::default();
        for (name, value) in roles.iter() {
            let Some(role) = ClientRole::ALL.into_iter().find(|role| role.name() == name) else { continue };
            match value {
                // A null where a dict belongs is an empty dict, as for Options and Details.
                Value::Null => announced = announced.with_role(role),
                Value::Dict(details) => announced.add_role(role, &details),
                _ => return Err(RolesError::RoleNotADict(role)),
            }
        }
        if announced.0 == 0 { Err(RolesError::NoRole) } else { Ok(announced) }
    }

    /// Whether the client has this role.
    pub const fn has_role(self, role: ClientRole) -> bool {
        self.0 >> role.bit() & 1 == 1
    }

    /// Whether the client announced this feature in this role; never for a role that cannot have it.
    pub const fn has(self, role: ClientRole, feature: ClientFeature) -> bool {
        match feature.bit(role) {
            Some(bit) => self.0 >> bit & 1 == 1,
            None => false,
        }
    }

    /// These and a role without features.
    #[must_use]
    pub const fn with_role(self, role: ClientRole) -> ClientFeatures {
        ClientFeatures(self.0 | 1 << role.bit())
    }

    /// These and a feature, with its role. A feature that the role cannot have is left out.
    #[must_use]
    pub const fn with(self, role: ClientRole, feature: ClientFeature) -> ClientFeatures {
        match feature.bit(role) {
            Some(bit) => ClientFeatures(self.with_role(role).0 | 1 << bit),
            None => self.with_role(role),
        }
    }

    fn add_role(&mut self, role: ClientRole, details: &Dict<'_>) {
        *self = self.with_role(role);
        let Some(features) = details.get("features").and_then(|features| features.as_dict()) else { return };
        for (name, value) in features.iter() {
            if value.as_bool() == Some(true)
                && let Some(feature) = ClientFeature::from_name(&name)
            {
                *self = self.with(role, feature);
            }
        }
    }
}

impl ClientRole {
    /// Every role.
    pub const ALL: [ClientRole; 4] =
        [ClientRole::Publisher, ClientRole::Subscriber, ClientRole::Caller, ClientRole::Callee];

    /// Its name in `HELLO.Details.roles`.
    pub const fn name(self) -> &'static str {
        match self {
            ClientRole::Publisher => "publisher",
            ClientRole::Subscriber => "subscriber",
            ClientRole::Caller => "caller",
            ClientRole::Callee => "callee",
        }
    }

    const fn bit(self) -> u32 {
        self as u32
    }

    /// Whether the features of remote procedure calls are this role's.
    const fn is_rpc(self) -> bool {
        matches!(self, ClientRole::Caller | ClientRole::Callee)
    }
}

impl ClientFeature {
    /// The feature that goes by this name in `HELLO.Details.roles.<role>.features`; `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<ClientFeature> {
        use ClientFeature::*;
        Some(match name {
            "payload_passthru_mode" => PayloadPassthruMode,
            "payload_transparency" => PayloadTransparency,
            "call_canceling" | "call_cancelling" => CallCanceling,
            "call_reroute" => CallReroute,
            "call_timeout" => CallTimeout,
            "call_trustlevels" => CallTrustlevels,
            "caller_identification" => CallerIdentification,
            "pattern_based_registration" => PatternBasedRegistration,
            "progressive_call_invocations" => ProgressiveCallInvocations,
            "progressive_call_results" => ProgressiveCallResults,
            "registration_revocation" => RegistrationRevocation,
            "sharded_registration" => ShardedRegistration,
            "shared_registration" => SharedRegistration,
            "acknowledge_event_received" => AcknowledgeEventReceived,
            "event_history" => EventHistory,
            "event_retention" => EventRetention,
            "pattern_based_subscription" => PatternBasedSubscription,
            "publication_trustlevels" => PublicationTrustlevels,
            "publisher_exclusion" => PublisherExclusion,
            "publisher_identification" => PublisherIdentification,
            "sharded_subscription" | "shareded_subscriptions" => ShardedSubscription,
            "subscriber_blackwhite_listing" => SubscriberBlackwhiteListing,
            "subscription_revocation" => SubscriptionRevocation,
            _ => return None,
        })
    }

    /// The bit of this feature in this role. After a bit per role there are [`ROLE_BITS`] for each role's features.
    const fn bit(self, role: ClientRole) -> Option<u32> {
        let number = self as u32;
        let slot = match (number, role.is_rpc()) {
            (number, _) if number < RPC_ROLES as u32 => number,
            (number, true) if number < PUBSUB_ROLES as u32 => number,
            (number, false) if number >= PUBSUB_ROLES as u32 => number - (PUBSUB_ROLES - RPC_ROLES) as u32,
            _ => return None,
        };
        assert!(slot < ROLE_BITS);
        Some(ClientRole::ALL.len() as u32 + role.bit() * ROLE_BITS + slot)
    }
}

impl fmt::Debug for ClientFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientFeatures({:#x})", self.0)
    }
}

impl fmt::Display for RolesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RolesError::Missing => f.write_str("HELLO.Details.roles is missing"),
            RolesError::NotADict => f.write_str("HELLO.Details.roles is not a dict"),
            RolesError::NoRole => {
                f.write_str("HELLO.Details.roles has none of publisher, subscriber, caller and callee")
            }
            RolesError::RoleNotADict(role) => {
                write!(f, "HELLO.Details.roles.{} is not a dict", role.name())
            }
        }
    }
}

impl std::error::Error for RolesError {}

/// Numbers of the features of payloads, which every role can have, begin here ...
const ANY_ROLE: u8 = 0;
/// ... those of remote procedure calls here ...
const RPC_ROLES: u8 = 2;
/// ... and those of publish & subscribe here, as far above as the number of bits that each role has left.
const PUBSUB_ROLES: u8 = ROLE_BITS as u8;
/// Bits for the features of one role: a quarter of what the bits for the roles leave of 64.
const ROLE_BITS: u32 = (u64::BITS - ClientRole::ALL.len() as u32) / ClientRole::ALL.len() as u32;

const fn row(role: RouterRole, names: &'static [&'static str], works: bool) -> RouterFeature {
    RouterFeature { role, names, beside_features: false, works }
}

type Pairs = Vec<(&'static str, Value<'static>)>;

/// The roles as they are announced with the meta API, and without it.
macro_rules! roles {
    ($roles:ident, $which:expr) => {
        static $roles: LazyLock<Pairs> = LazyLock::new(|| {
            static BROKER_FEATURES: LazyLock<Pairs> = LazyLock::new(|| names(RouterRole::Broker, $which));
            static DEALER_FEATURES: LazyLock<Pairs> = LazyLock::new(|| names(RouterRole::Dealer, $which));
            static BROKER: LazyLock<Pairs> =
                LazyLock::new(|| role(RouterRole::Broker, &BROKER_FEATURES, $which));
            static DEALER: LazyLock<Pairs> =
                LazyLock::new(|| role(RouterRole::Dealer, &DEALER_FEATURES, $which));
            vec![("broker", Value::Dict(Dict::pairs(&BROKER))), ("dealer", Value::Dict(Dict::pairs(&DEALER)))]
        });
    };
}
roles!(WITH_META, |_| true);
roles!(WITHOUT_META, |row| !is_meta(row));

/// `true` for every name of the features that work.
fn names(role: RouterRole, which: impl Fn(&RouterFeature) -> bool) -> Pairs {
    let rows = ROUTER_FEATURES.iter().filter(|row| row.role == role && row.works && which(row));
    rows.flat_map(|row| row.names).map(|&name| (name, Value::Bool(true))).collect()
}

fn role(
    role: RouterRole,
    features: &'static [(&'static str, Value<'static>)],
    which: impl Fn(&RouterFeature) -> bool,
) -> Pairs {
    let mut pairs = vec![("features", Value::Dict(Dict::pairs(features)))];
    pairs.extend(names(role, |row| row.beside_features && which(row)));
    pairs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const EMPTY: Value<'_> = Value::Dict(Dict::EMPTY);

    fn roles(roles: &[(&str, Value<'_>)]) -> Result<ClientFeatures, RolesError> {
        ClientFeatures::from_hello(&Dict::pairs(&[("roles", Value::Dict(Dict::pairs(roles)))]))
    }

    fn role_with(role: &str, features: &[(&str, Value<'_>)]) -> ClientFeatures {
        roles(&[(role, Value::Dict(Dict::pairs(&[("features", Value::Dict(Dict::pairs(features)))])))])
            .unwrap()
    }

    #[test]
    fn welcome_announces_what_works_and_nothing_else() {
        let roles = welcome_roles(MetaApi::Read);
        let names: Vec<String> = roles.iter().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names, ["broker", "dealer"]);
        for (role, name) in [(RouterRole::Broker, "broker"), (RouterRole::Dealer, "dealer")] {
            let role_dict = roles.get(name).unwrap().as_dict().unwrap();
            let features = role_dict.get("features").unwrap().as_dict().unwrap();
            let mut expected = 0;
            for row in ROUTER_FEATURES.iter().filter(|row| row.role == role) {
                for name in row.names {
                    let announced = features.get(name).map(|value| value.as_bool());
                    assert_eq!(announced, row.works.then_some(Some(true)), "{name}");
                    let beside = role_dict.get(name).map(|value| value.as_bool());
                    assert_eq!(beside, (row.works && row.beside_features).then_some(Some(true)), "{name}");
                    expected += usize::from(row.works);
                }
            }
            assert_eq!(features.iter().count(), expected);
        }
    }

    #[test]
    fn rows_are_distinct() {
        let names = |row: &RouterFeature| {
            row.names.iter().map(|&name| (row.role == RouterRole::Broker, name)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = ROUTER_FEATURES.iter().flat_map(names).collect();
        let rows = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), rows);
    }

    /// The clients' example in "Cryptosign Authentication", and its spelling with an extra feature per role.
    #[test]
    fn reads_what_a_client_announces() {
        let yes = Value::Bool(true);
        let features = role_with(
            "callee",
            &[
                ("call_canceling", yes.clone()),
                ("pattern_based_registration", yes.clone()),
                ("shared_registration", Value::Bool(false)),
                ("progressive_call_results", Value::Uint(1)),
                ("registration_revocation", Value::Null),
                ("publisher_exclusion", yes.clone()),
                ("payload_passthru_mode", yes.clone()),
                ("something_new", yes),
            ],
        );
        use ClientFeature::*;
        let callee = ClientRole::Callee;
        let expected = ClientFeatures::default()
            .with(callee, CallCanceling)
            .with(callee, PatternBasedRegistration)
            .with(callee, PayloadPassthruMode);
        assert_eq!(features, expected);
        assert!(features.has_role(callee) && !features.has_role(ClientRole::Caller));
        assert!(features.has(callee, CallCanceling) && !features.has(ClientRole::Caller, CallCanceling));
        assert!(!features.has(callee, SharedRegistration) && !features.has(callee, PublisherExclusion));
    }

    #[test]
    fn either_spelling_announces() {
        let (yes, no) = (Value::Bool(true), Value::Bool(false));
        for (role, one, other, feature) in [
            (ClientRole::Callee, "call_canceling", "call_cancelling", ClientFeature::CallCanceling),
            (
                ClientRole::Subscriber,
                "sharded_subscription",
                "shareded_subscriptions",
                ClientFeature::ShardedSubscription,
            ),
        ] {
            let has = |pairs: &[(&str, Value<'_>)]| role_with(role.name(), pairs).has(role, feature);
            assert!(has(&[(one, yes.clone())]));
            assert!(has(&[(other, yes.clone())]));
            assert!(has(&[(one, yes.clone()), (other, no.clone())]));
            assert!(!has(&[(one, no.clone()), (other, no.clone())]));
        }
    }

    #[test]
    fn roles_without_features() {
        let all: Vec<_> = ClientRole::ALL.iter().map(|role| (role.name(), EMPTY)).collect();
        let announced = roles(&all).unwrap();
        assert!(ClientRole::ALL.iter().all(|&role| announced.has_role(role)));
        assert_eq!(
            announced,
            ClientRole::ALL.iter().fold(ClientFeatures::default(), |all, &role| all.with_role(role))
        );
        // Features that are no dict are as good as none.
        let odd = Dict::pairs(&[("features", Value::Uint(1))]);
        let expected = ClientFeatures::default().with_role(ClientRole::Caller);
        assert_eq!(roles(&[("caller", Value::Dict(odd))]), Ok(expected));
    }

    #[test]
    fn roles_that_are_refused() {
        let hello = |details: &[(&str, Value<'_>)]| ClientFeatures::from_hello(&Dict::pairs(details));
        assert_eq!(hello(&[]), Err(RolesError::Missing));
        assert_eq!(hello(&[("roles", Value::Null)]), Err(RolesError::Missing));
        assert_eq!(hello(&[("roles", Value::Uint(1))]), Err(RolesError::NotADict));
        assert_eq!(roles(&[]), Err(RolesError::NoRole));
        assert_eq!(roles(&[("broker", EMPTY)]), Err(RolesError::NoRole));
        assert_eq!(roles(&[("caller", Value::Null)]), roles(&[("caller", EMPTY)]));
        let refused = RolesError::RoleNotADict(ClientRole::Callee);
        assert_eq!(roles(&[("caller", EMPTY), ("callee", Value::Bool(true))]), Err(refused));
        assert_eq!(refused.to_string(), "HELLO.Details.roles.callee is not a dict");
    }

    /// Every name that a client can send sets one bit of its own in every role that can have it.
    #[test]
    fn bits_are_distinct() {
        let names = ROUTER_FEATURES.iter().flat_map(|row| row.names).chain(&["payload_transparency"]);
        let mut features: Vec<ClientFeature> = Vec::new();
        for feature in names.filter_map(|name| ClientFeature::from_name(name)) {
            if !features.contains(&feature) {
                features.push(feature);
            }
        }
        assert_eq!(features.len(), 23);
        let mut bits: Vec<u32> = ClientRole::ALL.iter().map(|role| role.bit()).collect();
        for role in ClientRole::ALL {
            bits.extend(features.iter().filter_map(|feature| feature.bit(role)));
        }
        // Four roles; 2 features of payloads and 11 of calls or 10 of publications in each of two roles.
        assert_eq!(bits.len(), 4 + 2 * (2 + 11) + 2 * (2 + 10));
        assert!(bits.iter().all(|&bit| bit < u64::BITS));
        let distinct = bits.iter().fold(0u64, |all, bit| all | 1 << bit);
        assert_eq!(distinct.count_ones() as usize, bits.len());
    }
}
