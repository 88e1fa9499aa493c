//! The names of the meta procedures.

macro_rules! procedures {
    ($($(#[$doc:meta])* $name:ident = $first:literal $(| $other:literal)*, $changes:literal;)*) => {
        /// A procedure that the router itself provides.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Procedure {
            $($(#[$doc])* $name,)*
        }

        impl Procedure {
            /// Every procedure with its name; those with two names have the usual one here.
            pub const ALL: &[(Procedure, &str)] = &[$((Procedure::$name, $first)),*];

            /// The procedure of this URI.
            pub fn from_uri(uri: &str) -> Option<Procedure> {
                match uri {
                    $($first $(| $other)* => Some(Procedure::$name),)*
                    _ => None,
                }
            }

            /// Whether it changes what others own: it needs [`crate::meta::MetaApi::Full`].
            pub const fn is_destructive(self) -> bool {
                match self {
                    $(Procedure::$name => $changes,)*
                }
            }
        }
    };
}

procedures! {
    /// How many sessions there are.
    SessionCount = "wamp.session.count", false;
    /// Their ids.
    SessionList = "wamp.session.list", false;
    /// The details of one.
    SessionGet = "wamp.session.get", false;
    /// The details of the caller's own.
    SessionSelf = "wamp.session.self", false;
    /// Ends one.
    SessionKill = "wamp.session.kill", true;
    /// Ends those of one `authid`.
    SessionKillByAuthid = "wamp.session.kill_by_authid", true;
    /// Ends those of one `authrole`.
    SessionKillByAuthrole = "wamp.session.kill_by_authrole", true;
    /// Ends all but the caller's own.
    SessionKillAll = "wamp.session.kill_all", true;
    /// Adds to the details of one.
    SessionModifyDetails = "wamp.session.modify_details", true;
    /// Adds a testament to the caller's session.
    AddTestament = "wamp.session.add_testament", false;
    /// Removes the testaments of the caller's session.
    FlushTestaments = "wamp.session.flush_testaments", false;
    /// The ids of all subscriptions, by policy.
    SubscriptionList = "wamp.subscription.list", false;
    /// The subscription of this very topic.
    SubscriptionLookup = "wamp.subscription.lookup", false;
    /// The subscriptions that a publication would match.
    SubscriptionMatch = "wamp.subscription.match", false;
    /// The details of one.
    SubscriptionGet = "wamp.subscription.get", false;
    /// Who is subscribed.
    SubscriptionListSubscribers = "wamp.subscription.list_subscribers", false;
    /// How many are; also under the name that one router shipped.
    SubscriptionCountSubscribers = "wamp.subscription.count_subscribers" | "wamp.subscription.count_suscribers", false;
    /// Revokes one session's subscription.
    SubscriptionRemoveSubscriber = "wamp.subscription.remove_subscriber", true;
    /// What has been published to one that has a history.
    SubscriptionGetEvents = "wamp.subscription.get_events", false;
    /// The ids of all registrations, by policy.
    RegistrationList = "wamp.registration.list", false;
    /// The registration of this very procedure.
    RegistrationLookup = "wamp.registration.lookup", false;
    /// The registration that would serve a call.
    RegistrationMatch = "wamp.registration.match", false;
    /// The details of one.
    RegistrationGet = "wamp.registration.get", false;
    /// Who serves it.
    RegistrationListCallees = "wamp.registration.list_callees", false;
    /// How many do.
    RegistrationCountCallees = "wamp.registration.count_callees", false;
    /// Revokes one session's registration.
    RegistrationRemoveCallee = "wamp.registration.remove_callee", true;
    /// The topics that are known.
    ReflectTopics = "wamp.reflection.topic.list", false;
    /// The procedures that are known.
    ReflectProcedures = "wamp.reflection.procedure.list", false;
    /// The errors that are known.
    ReflectErrors = "wamp.reflection.error.list", false;
    /// What is known of a topic.
    ReflectTopic = "wamp.reflection.topic.describe", false;
    /// What is known of a procedure.
    ReflectProcedure = "wamp.reflection.procedure.describe", false;
    /// What is known of an error.
    ReflectError = "wamp.reflection.error.describe", false;
    /// What is known of a URI, whatever it names.
    Describe = "wamp.reflect.describe", false;
    /// Describes a URI, or takes its description back.
    Define = "wamp.reflect.define", true;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::uri::{UriRules, is_reserved};

    #[test]
    fn every_name_is_reserved_strict_and_finds_its_procedure() {
        for &(procedure, uri) in Procedure::ALL {
            assert!(is_reserved(uri) && UriRules::Strict.check(uri).is_ok(), "{uri}");
            assert_eq!(Procedure::from_uri(uri), Some(procedure));
        }
        let misspelt = Procedure::from_uri("wamp.subscription.count_suscribers");
        assert_eq!(misspelt, Some(Procedure::SubscriptionCountSubscribers));
        for unknown in ["wamp", "wamp.session", "wamp.session.kill.", "wamp.session.on_join", ""] {
            assert_eq!(Procedure::from_uri(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_changes_others_needs_the_permission() {
        let destructive = Procedure::ALL.iter().filter(|(procedure, _)| procedure.is_destructive());
        let names: Vec<&str> = destructive.map(|(_, uri)| *uri).collect();
        let expected = [
            "wamp.session.kill",
            "wamp.session.kill_by_authid",
            "wamp.session.kill_by_authrole",
            "wamp.session.kill_all",
            "wamp.session.modify_details",
            "wamp.subscription.remove_subscriber",
            "wamp.registration.remove_callee",
            "wamp.reflect.define",
        ];
        assert_eq!(names, expected);
    }
}
