//! How clients prove who they are, as it is written: the tables of methods, of principals and of hooks.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use wampline_auth::CertificateField;

use super::super::lists::{List, Networks, Sources, Texts};
use super::super::secret::{Extra, Secret};
use super::super::values::{Checked, Choice, Count, Flag, Named, Optional, Size, Span, Text};
use super::{COUNT_MAX, H, MS, S};

/// How clients prove who they are. Without this table they need not.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Authentication {
    /// Clients that prove nothing.
    #[serde(default)]
    #[schemars(with = "Anonymous")]
    pub anonymous: Option<Anonymous>,
    /// A secret that is sent.
    #[serde(default)]
    #[schemars(with = "Method")]
    pub ticket: Option<Method>,
    /// WAMP-CRA.
    #[serde(default)]
    #[schemars(with = "Method")]
    pub wampcra: Option<Method>,
    /// SCRAM as the specification has it.
    #[serde(default, rename = "wamp-scram")]
    #[schemars(with = "Method")]
    pub wamp_scram: Option<Method>,
    /// SCRAM as autobahn and Crossbar have it.
    #[serde(default)]
    #[schemars(with = "Method")]
    pub scram: Option<Method>,
    /// Cryptosign.
    #[serde(default)]
    #[schemars(with = "Cryptosign")]
    pub cryptosign: Option<Cryptosign>,
    /// The certificate that the client showed to TLS.
    #[serde(default)]
    #[schemars(with = "ByCertificate")]
    pub tls: Option<ByCertificate>,
    /// The cookie of a browser that another method has admitted before.
    #[serde(default)]
    #[schemars(with = "ByCookie")]
    pub cookie: Option<ByCookie>,
    /// Signed tokens.
    #[serde(default)]
    #[schemars(with = "ByToken")]
    pub jwt: Option<ByToken>,
    /// The realm in which procedures are called that know principals; the realm itself unless set.
    #[serde(default)]
    pub authenticator_realm: Checked<Text>,
}

/// Clients that prove nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Anonymous {
    /// Their role.
    #[serde(default)]
    pub role: Checked<Text>,
    /// The authid of all of them, in place of a random one.
    #[serde(default)]
    pub authid: Checked<Text>,
    /// A procedure or hook that decides about them.
    #[serde(default)]
    pub sources: List<Sources<false>>,
    /// Where they may come from.
    #[serde(default)]
    pub networks: List<Networks>,
}

/// A method whose principals come from sources.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Method {
    /// Where its principals come from, in this order.
    #[serde(default)]
    pub sources: List<Sources<true>>,
    /// Where clients may come from that use it.
    #[serde(default)]
    pub networks: List<Networks>,
}

/// Cryptosign.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Cryptosign {
    /// Where its principals come from, in this order.
    #[serde(default)]
    pub sources: List<Sources<true>>,
    /// Where clients may come from that use it.
    #[serde(default)]
    pub networks: List<Networks>,
    /// The private key by which the router proves itself.
    #[serde(default)]
    pub router_key: Checked<Secret>,
    /// Roots of certificates that admit keys that no source knows.
    #[serde(default)]
    pub trust_roots: Vec<TrustRoot>,
}

/// A root of certificates for cryptosign.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct TrustRoot {
    /// The chain that all certificates must name.
    pub chain_id: Checked<Count<1, { i64::MAX as u64 }, 1>>,
    /// The contract that all certificates must name.
    pub contract: Checked<Text>,
    /// The address of the realm.
    pub realm: Checked<Text>,
    /// Whose root certificate it is.
    pub issuer: Checked<Text>,
    /// The role of who comes by it.
    pub role: Checked<Text>,
    /// Certificates that begin after this block are not valid yet.
    #[serde(default)]
    pub block: Checked<Optional<Count<0, { i64::MAX as u64 }, 0>>>,
    /// JSON file with authority certificates that clients need not bring.
    #[serde(default)]
    pub certificates: Checked<Text>,
}

/// The certificate that the client showed to TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct ByCertificate {
    /// Where its principals come from, in this order.
    #[serde(default)]
    pub sources: List<Sources<true>>,
    /// Where clients may come from that use it.
    #[serde(default)]
    pub networks: List<Networks>,
    /// Admits every certificate that the listener trusts, by a name in it.
    #[serde(default)]
    pub mappings: Vec<Mapping>,
}

/// Admits certificates by a name in them.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Mapping {
    /// What in the certificate is the authid.
    pub authid: Checked<Choice<CertificateField>>,
    /// The role.
    pub role: Checked<Text>,
}

/// The cookie of a browser that another method has admitted before.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct ByCookie {
    /// How many logins are remembered; beyond, the oldest is forgotten.
    #[serde(default)]
    pub logins_max: Checked<Count<1, 10_000_000, 100_000>>,
    /// How long a cookie admits after the login that it comes from.
    #[serde(default)]
    pub max_age: Checked<Span<{ S }, { 9600 * H }, { 24 * H }>>,
    /// Where clients may come from that use it.
    #[serde(default)]
    pub networks: List<Networks>,
}

/// Signed tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct ByToken {
    /// Who signs tokens.
    #[schemars(length(min = 1), with = "Vec<Issuer>")]
    pub issuers: Spanned<Vec<Spanned<Issuer>>>,
    /// Where clients may come from that use it.
    #[serde(default)]
    pub networks: List<Networks>,
}

/// Who signs tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Issuer {
    /// JSON file with the issuer's keys (JWKS).
    #[serde(default)]
    pub jwks: Checked<Text>,
    /// PEM file with the issuer's public key.
    #[serde(default)]
    pub public_key: Checked<Text>,
    /// The algorithm of `public_key`.
    #[serde(default)]
    pub algorithm: Checked<Choice<KeyAlgorithm>>,
    /// The secret that the issuer shares with the router (HS256).
    #[serde(default)]
    pub secret: Checked<Secret>,
    /// What `iss` must be.
    #[serde(default)]
    pub issuer: Checked<Text>,
    /// What `aud` must be or hold, one of these.
    #[serde(default)]
    pub audiences: List<Texts>,
    /// By how much the issuer's clock may differ.
    #[serde(default)]
    pub leeway: Checked<Span<0, { 600 * S }, 0>>,
    /// Whether tokens may lack `exp`.
    #[serde(default)]
    pub allow_no_expiry: Checked<Flag<false>>,
    /// The claim that is the authid.
    #[serde(default)]
    pub authid_claim: Checked<Text>,
    /// The claim that names the realm.
    #[serde(default)]
    pub realm_claim: Checked<Text>,
    /// The role of every token.
    #[serde(default)]
    pub role: Checked<Text>,
    /// The claim that names the role.
    #[serde(default)]
    pub role_claim: Checked<Text>,
    /// The roles that it may name.
    #[serde(default)]
    pub roles: List<Texts>,
}

/// Somebody who may join, with what they prove themselves by under each method.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Principal {
    /// Their name.
    pub authid: Checked<Text>,
    /// Their role.
    pub role: Checked<Text>,
    /// The authid of their sessions, in place of their name.
    #[serde(default)]
    pub session_authid: Checked<Text>,
    /// The realm that they join, whichever they ask for.
    #[serde(default)]
    pub realm: Checked<Text>,
    /// `authextra` of their WELCOME.
    #[serde(default)]
    pub extra: Checked<Extra>,
    /// Method `ticket`: the ticket.
    #[serde(default)]
    pub ticket: Checked<Secret>,
    /// Method `ticket`: the SHA-256 of the ticket.
    #[serde(default)]
    pub ticket_sha256: Checked<Secret>,
    /// Method `wampcra`: the secret or password.
    #[serde(default)]
    #[schemars(with = "WampCra")]
    pub wampcra: Option<Spanned<WampCra>>,
    /// Method `wamp-scram`: the record or password.
    #[serde(default, rename = "wamp-scram")]
    #[schemars(with = "Scram")]
    pub wamp_scram: Option<Spanned<Scram>>,
    /// Method `scram`: the record or password.
    #[serde(default)]
    #[schemars(with = "Scram")]
    pub scram: Option<Spanned<Scram>>,
    /// Method `cryptosign`: the public keys.
    #[serde(default)]
    pub cryptosign: List<Texts>,
    /// Method `tls`: what their certificates are known by.
    #[serde(default)]
    #[schemars(with = "Certificates")]
    pub tls: Option<Certificates>,
}

/// What the certificates of a principal are known by: any of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Certificates {
    /// SHA-256 fingerprints.
    #[serde(default)]
    pub sha256: List<Texts>,
    /// Whole subjects.
    #[serde(default)]
    pub subject: List<Texts>,
    /// Common names.
    #[serde(default)]
    pub common_name: List<Texts>,
    /// DNS names.
    #[serde(default)]
    pub dns: List<Texts>,
    /// Mail addresses.
    #[serde(default)]
    pub email: List<Texts>,
    /// URIs.
    #[serde(default)]
    pub uri: List<Texts>,
    /// IP addresses.
    #[serde(default)]
    pub ip: List<Texts>,
}

/// What a principal of `wampcra` shares with the router.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct WampCra {
    /// What both sides use as it is.
    #[serde(default)]
    pub secret: Checked<Secret>,
    /// What both sides derive a key from.
    #[serde(default)]
    pub password: Checked<Secret>,
    /// The key that was derived from a password.
    #[serde(default)]
    pub key: Checked<Secret>,
    /// The salt, used as the text that it is.
    #[serde(default)]
    pub salt: Checked<Text>,
    /// Iterations of PBKDF2.
    #[serde(default)]
    pub iterations: Checked<Count<1_000, 10_000_000, 100_000>>,
    /// Octets of the key.
    #[serde(default)]
    pub keylen: Checked<Count<16, 64, 32>>,
}

/// What the router knows of a principal of `wamp-scram` or `scram`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Scram {
    /// What the record is derived from at the start.
    #[serde(default)]
    pub password: Checked<Secret>,
    /// The key derivation function.
    pub kdf: Checked<Text>,
    /// Its iterations.
    pub iterations: Checked<Optional<Count<1, 10_000_000, 1>>>,
    /// Its memory in KiB.
    #[serde(default)]
    pub memory: Checked<Optional<Count<64, { 4 << 20 }, 64>>>,
    /// The salt.
    pub salt: Checked<Text>,
    /// What checks the client.
    #[serde(default)]
    pub stored_key: Checked<Secret>,
    /// What proves the router.
    #[serde(default)]
    pub server_key: Checked<Secret>,
}

/// A program outside that knows principals.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in super::super) struct Hook {
    /// What sources call it by.
    pub name: Checked<Text>,
    /// Where questions are posted.
    pub url: Checked<Secret>,
    /// PEM file with the authorities that its certificate must lead to.
    #[serde(default)]
    pub authorities: Checked<Text>,
    /// What the router proves itself by to the program.
    #[serde(default)]
    pub token: Checked<Secret>,
    /// How long finding and connecting may take.
    #[serde(default)]
    pub connect_timeout: Checked<Span<{ 10 * MS }, { 60 * S }, { 2 * S }>>,
    /// How long a question may take.
    #[serde(default)]
    pub timeout: Checked<Span<{ 10 * MS }, { 60 * S }, { 5 * S }>>,
    /// Connections at a time.
    #[serde(default)]
    pub connections_max: Checked<Count<1, 256, 4>>,
    /// Questions that may wait for a connection.
    #[serde(default)]
    pub waiting_max: Checked<Count<1, COUNT_MAX, 1_024>>,
    /// Octets of an answer.
    #[serde(default)]
    pub answer_bytes_max: Checked<Size<{ 1 << 10 }, { 1 << 20 }, { 64 << 10 }>>,
}

/// The algorithm of a public key of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct KeyAlgorithm(pub wampline_auth::JwtAlgorithm);

impl Named for KeyAlgorithm {
    const CHOICES: &'static [(&'static str, KeyAlgorithm)] = &[
        ("RS256", KeyAlgorithm(wampline_auth::JwtAlgorithm::Rs256)),
        ("ES256", KeyAlgorithm(wampline_auth::JwtAlgorithm::Es256)),
        ("EdDSA", KeyAlgorithm(wampline_auth::JwtAlgorithm::EdDsa)),
    ];
    const DEFAULT: bool = false;
}

impl Named for CertificateField {
    const CHOICES: &'static [(&'static str, CertificateField)] = &[
        ("common_name", CertificateField::CommonName),
        ("dns", CertificateField::Dns),
        ("email", CertificateField::Email),
        ("uri", CertificateField::Uri),
    ];
    const DEFAULT: bool = false;
}
