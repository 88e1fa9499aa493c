//! How a session proves who it is: the attempt to authenticate as a state machine, every method, and the principals.
//!
//! An [`Attempt`] begins with HELLO and ends with an [`Admission`] or a [`Refusal`]. In between it asks for CHALLENGE to
//! be sent, and has sources outside asked (a WAMP procedure, an HTTP hook). Time and randomness come with each input
//! ([`Env`]); there is no clock, no socket and no file here. How a realm authenticates is a [`RealmAuthentication`],
//! built by adders that refuse what is weak or wrong with a [`ConfigError`].
//!
//! What holds for every method:
//!
//! - An unknown principal gets the steps, the texts and the work of a known one with a wrong secret: decoys come from a
//!   secret of the process, the realm and the authid, so that they stay the same.
//! - What HELLO says of an authid selects the principal to prove, nothing else. An empty authid is absent.
//! - The method is the first of those listed by the client that the realm has. A principal of one method is unknown to
//!   all others.
//! - A challenge is drawn for one attempt and answered once.
//! - Secrets are compared in constant time, are wiped when dropped, and show nothing when formatted.

mod admission;
mod answer;
mod attempt;
mod authid;
mod cookie;
mod cryptosign;
mod decoy;
mod derive;
mod error;
mod found;
mod hex;
mod jwt;
mod method;
mod owned_dict;
mod principals;
mod question;
mod realm;
mod scram;
mod secret;
mod source;
mod step;
mod tls;
mod transport;
mod trust_root;
mod wampcra;

pub use admission::{Admission, Grant, Refusal};
pub use attempt::{Attempt, Env, Hello};
pub use cookie::CookieStore;
pub use cryptosign::{PublicKey, RouterKey};
pub use derive::{hash_scram, hash_wampcra, keygen};
pub use error::ConfigError;
pub use jwt::{JwtAlgorithm, JwtIssuer, JwtKey, JwtRole};
pub use method::Method;
pub use owned_dict::OwnedDict;
pub use principals::{
    CertificateTable, CraTable, PrincipalFileError, PrincipalStore, PrincipalTable, Principals, ScramTable,
    SecretText,
};
pub use realm::{AnonymousAccess, RealmAuthentication};
pub use scram::{Dialect, Kdf, ScramRecord, ScramText};
pub use secret::{DecoySecret, Ticket};
pub use source::{HookId, ProcedureSource, Source};
pub use step::{Answer, Question, Step};
pub use tls::{CertificateField, CertificateMapping, CertificateName};
pub use transport::{AlternativeName, ClientCertificate, Transport};
pub use trust_root::{Address, TrustRoot};
pub use wampcra::{CraSecret, Salting};
