//! The specification's identifiers as types of their own (basic profile, "IDs").

/// The largest identifier: 2^53.
pub const ID_MAX: u64 = 1 << 53;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The identifier with this value, if the value lies within [1, 2^53].
            pub const fn new(value: u64) -> Option<Self> {
                if value >= 1 && value <= ID_MAX { Some(Self(value)) } else { None }
            }

            /// The value, within [1, 2^53].
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The next identifier in session scope: one more, wrapping from 2^53 to 1.
            pub const fn next(self) -> Self {
                if self.0 == ID_MAX { Self(1) } else { Self(self.0 + 1) }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// Names a session; global scope, drawn at random.
    SessionId
}
id! {
    /// Names a publication; global scope, drawn at random.
    PublicationId
}
id! {
    /// Names a subscription; router scope.
    SubscriptionId
}
id! {
    /// Names a registration; router scope.
    RegistrationId
}
id! {
    /// Names a request; session scope, one sequence for each direction.
    RequestId
}
