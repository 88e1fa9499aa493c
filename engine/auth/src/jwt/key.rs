//! Keys that check tokens.

use aws_lc_rs::signature::{self, ParsedPublicKey};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

use crate::error::ConfigError;

/// Octets of an HMAC secret, at least (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// Octets of an RSA modulus: 2,048 to 8,192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// The algorithm of this name in a header (`HS256`, `RS256`, `ES256`, `EdDSA`).
    pub fn from_name(name: &str) -> Option<JwtAlgorithm> {
        Some(match name {
            "HS256" => JwtAlgorithm::Hs256,
            "RS256" => JwtAlgorithm::Rs256,
            "ES256" => JwtAlgorithm::Es256,
            "EdDSA" => JwtAlgorithm::EdDsa,
            _ => return None,
        })
    }
    fn algorithm(self) -> Algorithm {
        match self {
            JwtAlgorithm::Hs256 => Algorithm::HS256,
            JwtAlgorithm::Rs256 => Algorithm::RS256,
            JwtAlgorithm::Es256 => Algorithm::ES256,
            JwtAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// A key, with the one algorithm that it is for.
#[derive(Clone)]
pub struct JwtKey {
    id: Option<Box<str>>,
    algorithm: JwtAlgorithm,
    key: DecodingKey,
}

impl JwtKey {
    /// The secret that an issuer shares with the router.
    ///
    /// # Errors
    /// If it has fewer than 32 octets.
    pub fn hs256(secret: &[u8]) -> Result<JwtKey, ConfigError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ConfigError::Malformed {
                what: "HS256 secret",
                expected: "32 octets or more, drawn at random",
            });
        }
        Ok(JwtKey { id: None, algorithm: JwtAlgorithm::Hs256, key: DecodingKey::from_secret(secret) })
    }
    /// A public key in PEM (`PUBLIC KEY`, for RSA also `RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// If it is not a public key for the algorithm, an RSA key does not have 2,048 to 8,192 bits, or the algorithm is
    /// [`JwtAlgorithm::Hs256`], whose secret is no PEM.
    pub fn from_pem(algorithm: JwtAlgorithm, pem: &[u8]) -> Result<JwtKey, ConfigError> {
        let key = match algorithm {
            JwtAlgorithm::Hs256 => return Err(unreadable(algorithm)),
            JwtAlgorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
            JwtAlgorithm::Es256 => DecodingKey::from_ec_pem(pem),
            JwtAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        };
        JwtKey::checked(None, algorithm, key)
    }
    /// An Ed25519 public key of 32 octets.
    ///
    /// # Errors
    /// If it is not one.
    pub fn ed25519(octets: &[u8]) -> Result<JwtKey, ConfigError> {
        JwtKey::checked(None, JwtAlgorithm::EdDsa, Ok(DecodingKey::from_ed_der(octets)))
    }
    /// The keys of a JWKS document (RFC 7517) that are for signatures by a known algorithm; others are passed over.
    ///
    /// # Errors
    /// If it is not such a document, a key that counts is not what it says, or none counts.
    pub fn from_jwks(document: &[u8]) -> Result<Vec<JwtKey>, ConfigError> {
        let malformed =
            ConfigError::Malformed { what: "JWKS document", expected: "a JSON object with keys (RFC 7517)" };
        let set: JwkSet = serde_json::from_slice(document).map_err(|_| malformed)?;
        let mut keys = Vec::new();
        for jwk in &set.keys {
            let Some(algorithm) = algorithm_of(jwk) else { continue };
            let id = jwk.common.key_id.as_deref().map(Box::from);
            keys.push(JwtKey::checked(id, algorithm, DecodingKey::from_jwk(jwk))?);
        }
        if keys.is_empty() {
            return Err(ConfigError::Missing {
                what: "a key for signatures by HS256, RS256, ES256 or EdDSA in the JWKS document",
            });
        }
        Ok(keys)
    }
    /// The key has this `kid`: tokens that name another are not checked by it.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> JwtKey {
        self.id = Some(id.into());
        self
    }

    /// Whether a token with this header may be checked by this key.
    pub(super) fn may_check(&self, algorithm: JwtAlgorithm, id: Option<&str>) -> bool {
        let is_meant = match (id, &self.id) {
            (Some(id), Some(ours)) => id == &**ours,
            _ => true,
        };
        self.algorithm == algorithm && is_meant
    }
    /// Whether this key has signed the message, the header and payload of a token.
    pub(super) fn verifies(&self, message: &str, signature: &str) -> bool {
        let algorithm = self.algorithm.algorithm();
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, algorithm).unwrap_or(false)
    }

    fn checked(
        id: Option<Box<str>>,
        algorithm: JwtAlgorithm,
        key: jsonwebtoken::errors::Result<DecodingKey>,
    ) -> Result<JwtKey, ConfigError> {
        let key = key.map_err(|_| unreadable(algorithm))?;
        let is_good = match (algorithm, key.kind()) {
            (JwtAlgorithm::Hs256, DecodingKeyKind::SecretOrDer(secret)) => secret.len() >= SECRET_BYTES_MIN,
            (JwtAlgorithm::Rs256, DecodingKeyKind::SecretOrDer(der)) => {
                ParsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, der).is_ok()
                    && MODULUS_BYTES.contains(&der.len().saturating_sub(10))
            }
            (JwtAlgorithm::Rs256, DecodingKeyKind::RsaModulusExponent { n, .. }) => {
                MODULUS_BYTES.contains(&n.len())
            }
            (JwtAlgorithm::Es256, DecodingKeyKind::SecretOrDer(point)) => {
                ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).is_ok()
            }
            (JwtAlgorithm::EdDsa, DecodingKeyKind::SecretOrDer(octets)) => {
                octets.len() == 32 && ParsedPublicKey::new(&signature::ED25519, octets).is_ok()
            }
            _ => false,
        };
        if is_good { Ok(JwtKey { id, algorithm, key }) } else { Err(unreadable(algorithm)) }
    }
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JwtKey({:?}, {:?})", self.algorithm, self.id)
    }
}

/// The algorithm that a key is for, if it is one for signatures that is known here.
fn algorithm_of(jwk: &Jwk) -> Option<JwtAlgorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let named = jwk.common.key_algorithm.as_ref();
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (JwtAlgorithm::Rs256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(parameters) if parameters.curve == EllipticCurve::P256 => {
            (JwtAlgorithm::Es256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => {
            (JwtAlgorithm::EdDsa, KeyAlgorithm::EdDSA)
        }
        // A secret that does not say what it is for may be for anything.
        AlgorithmParameters::OctetKey(_) if named.is_some() => (JwtAlgorithm::Hs256, KeyAlgorithm::HS256),
        _ => return None,
    };
    named.is_none_or(|named| *named == name).then_some(algorithm)
}

fn unreadable(algorithm: JwtAlgorithm) -> ConfigError {
    let (what, expected) = match algorithm {
        JwtAlgorithm::Hs256 => ("HS256 key", "a secret of 32 octets or more"),
        JwtAlgorithm::Rs256 => ("RS256 key", "an RSA public key of 2,048 to 8,192 bits"),
        JwtAlgorithm::Es256 => ("ES256 key", "a public key on the curve P-256"),
        JwtAlgorithm::EdDsa => ("EdDSA key", "an Ed25519 public key"),
    };
    ConfigError::Malformed { what, expected }
}
