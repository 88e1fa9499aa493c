//! The URIs that WAMP predefines for errors and for the reasons of GOODBYE and ABORT (basic profile, "Basic
//! Profile URIs"; advanced profile, "Advanced Profile URIs"), and those that deployed clients expect beside them.
//!
//! Where the specification spells a URI in two ways, the constant is what Wampline says, and a function next to
//! it accepts every spelling that comes in.

macro_rules! uris {
    ($($(#[$doc:meta])* $name:ident = $uri:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $uri;)*

        /// Every URI of this module.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

uris! {
    // Basic profile, "Interaction".

    /// A URI in a message breaks the rules of the realm.
    INVALID_URI = "wamp.error.invalid_uri";
    /// No procedure is registered that matches the called URI.
    NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure";
    /// The URI is registered already, and not for sharing.
    PROCEDURE_ALREADY_EXISTS = "wamp.error.procedure_already_exists";
    /// UNREGISTER for a registration that the session does not have.
    NO_SUCH_REGISTRATION = "wamp.error.no_such_registration";
    /// UNSUBSCRIBE for a subscription that the session does not have.
    NO_SUCH_SUBSCRIPTION = "wamp.error.no_such_subscription";
    /// Arguments of a call, or an option's value, are not acceptable; also payload that the receiver's serializer
    /// cannot express.
    INVALID_ARGUMENT = "wamp.error.invalid_argument";
    /// A call was cancelled, or its callee left. See [`is_canceled`] for the spellings.
    CANCELED = "wamp.error.canceled";
    /// A message is longer than its receiver's transport accepts.
    PAYLOAD_SIZE_EXCEEDED = "wamp.error.payload_size_exceeded";

    // Basic profile, "Session Close".

    /// The peer shuts down completely: reason of GOODBYE or ABORT.
    SYSTEM_SHUTDOWN = "wamp.close.system_shutdown";
    /// The peer wants to leave the realm: reason of GOODBYE.
    CLOSE_REALM = "wamp.close.close_realm";
    /// Acknowledges the end of a session: reason of the GOODBYE that answers one.
    GOODBYE_AND_OUT = "wamp.close.goodbye_and_out";
    /// The peer broke the protocol: reason of ABORT.
    PROTOCOL_VIOLATION = "wamp.error.protocol_violation";

    // Basic profile, "Authorization".

    /// The session may not do this.
    NOT_AUTHORIZED = "wamp.error.not_authorized";
    /// Whether the session may do this could not be found out: the authorization itself failed.
    AUTHORIZATION_FAILED = "wamp.error.authorization_failed";
    /// The realm does not exist and is not created on demand.
    NO_SUCH_REALM = "wamp.error.no_such_realm";
    /// The role a session was authenticated for does not exist.
    NO_SUCH_ROLE = "wamp.error.no_such_role";

    // Advanced profile, "Session Close" and "Session Meta API".

    /// The router ended the session: reason of GOODBYE or ABORT.
    KILLED = "wamp.close.killed";
    /// An ordinary end, for example the reason of GOODBYE when none was given to a meta procedure.
    CLOSE_NORMAL = "wamp.close.normal";
    /// No session with this id: answer of the session meta procedures.
    NO_SUCH_SESSION = "wamp.error.no_such_session";

    // Advanced profile, "Authentication".

    /// None of the offered authentication methods is accepted.
    NO_MATCHING_AUTH_METHOD = "wamp.error.no_matching_auth_method";
    /// The principal does not exist. Never sent to clients: see [`AUTHENTICATION_DENIED`].
    NO_SUCH_PRINCIPAL = "wamp.error.no_such_principal";
    /// The authentication is refused; an unknown principal and a wrong secret look the same.
    AUTHENTICATION_DENIED = "wamp.error.authentication_denied";
    /// The authentication itself failed.
    AUTHENTICATION_FAILED = "wamp.error.authentication_failed";
    /// Anonymous sessions are not admitted.
    AUTHENTICATION_REQUIRED = "wamp.error.authentication_required";

    // Advanced profile, "Authorization".

    /// The advanced profile's other name for [`NOT_AUTHORIZED`], which is the one in use.
    AUTHORIZATION_DENIED = "wamp.error.authorization_denied";
    /// The action needs an authorization that the principal does not have.
    AUTHORIZATION_REQUIRED = "wamp.error.authorization_required";

    // Advanced profile, "Remote Procedure Calls".

    /// A call's time is over.
    TIMEOUT = "wamp.error.timeout";
    /// An option is not allowed by the router.
    OPTION_NOT_ALLOWED = "wamp.error.option_not_allowed";
    /// The router does not disclose the identity of this caller or publisher.
    OPTION_DISALLOWED_DISCLOSE_ME = "wamp.error.option_disallowed.disclose_me";
    /// The router's network failed.
    NETWORK_FAILURE = "wamp.error.network_failure";
    /// A callee cannot take this call and asks for another callee.
    UNAVAILABLE = "wamp.error.unavailable";
    /// Every callee of the procedure answered [`UNAVAILABLE`].
    NO_AVAILABLE_CALLEE = "wamp.error.no_available_callee";
    /// The callee, or the caller, lacks a feature that the call needs.
    FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported";

    // Deployed beside the specification.

    /// A procedure is registered for sharing with another invocation policy.
    PROCEDURE_EXISTS_WITH_DIFFERENT_INVOCATION_POLICY =
        "wamp.error.procedure_exists_with_different_invocation_policy";
    /// A callee failed in a way that has no valid URI of its own.
    RUNTIME_ERROR = "wamp.error.runtime_error";
}

/// Whether an error URI says that a call was cancelled, in either spelling of the specification.
pub fn is_canceled(uri: &str) -> bool {
    matches!(uri, CANCELED | "wamp.error.cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::{UriRules, is_reserved};

    #[test]
    fn every_uri_is_strict_reserved_and_listed_once() {
        for (index, uri) in ALL.iter().enumerate() {
            assert_eq!(UriRules::Strict.check(uri), Ok(()), "{uri}");
            assert!(is_reserved(uri), "{uri}");
            assert!(uri.starts_with("wamp.error.") || uri.starts_with("wamp.close."), "{uri}");
            assert!(!ALL[..index].contains(uri), "{uri} twice");
        }
    }

    #[test]
    fn canceled_in_both_spellings() {
        assert!(is_canceled(CANCELED));
        assert!(is_canceled("wamp.error.cancelled"));
        assert!(!is_canceled(TIMEOUT));
    }
}
