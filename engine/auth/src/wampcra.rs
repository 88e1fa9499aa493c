//! WAMP-CRA ("Challenge Response Authentication"): the shared secret, the challenge and its signature.
//!
//! With salt the key of the signature is the base64 text of the PBKDF2 output, and the salt is used as the UTF-8 text
//! that it is: so did the first implementation, and so do all.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use wampline_wire::{SessionId, Value};
use zeroize::Zeroizing;

use crate::OwnedDict;
use crate::admission::check_name;
use crate::error::{ConfigError, check_range};
use crate::secret::{are_equal, hmac_sha256};

/// Octets of a salt, at least.
const SALT_BYTES_MIN: usize = 8;
/// Octets of a salt, at most.
const SALT_BYTES_MAX: usize = 255;
/// Octets of a secret or password, at most.
const SECRET_BYTES_MAX: usize = 4096;
/// Iterations of PBKDF2, at least: what the specification's example and every client's default have.
pub(crate) const ITERATIONS_MIN: u32 = 1000;
/// Iterations of PBKDF2, at most: what a client can bear.
pub(crate) const ITERATIONS_MAX: u32 = 10_000_000;
/// Octets of a derived key.
const KEY_BYTES: std::ops::RangeInclusive<u32> = 16..=64;

/// What a principal of `wampcra` shares with the router.
#[derive(Clone)]
pub struct CraSecret {
    /// The key of the signature.
    key: Zeroizing<Vec<u8>>,
    salting: Option<Salting>,
}

/// How a client derives the key from the password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Salting {
    salt: Box<str>,
    iterations: u32,
    key_bytes: u32,
}

impl Salting {
    /// PBKDF2-HMAC-SHA256 with this salt (used as the text that it is), so many iterations and so many octets of key.
    ///
    /// # Errors
    /// If the salt has fewer than 8 octets or more than 255, the iterations are not 1,000 to 10,000,000, or the key
    /// does not have 16 to 64 octets.
    pub fn new(salt: &str, iterations: u32, key_bytes: u32) -> Result<Salting, ConfigError> {
        if salt.len() < SALT_BYTES_MIN {
            return Err(ConfigError::WeakSalt { found: salt.len(), min: SALT_BYTES_MIN });
        }
        check_name("salt", salt, SALT_BYTES_MAX)?;
        check_range("iterations", iterations.into(), ITERATIONS_MIN.into(), ITERATIONS_MAX.into())?;
        check_range("keylen", key_bytes.into(), (*KEY_BYTES.start()).into(), (*KEY_BYTES.end()).into())?;
        Ok(Salting { salt: salt.into(), iterations, key_bytes })
    }
    /// The same with another salt: for decoys.
    pub(crate) fn with_salt(&self, salt: Box<str>) -> Salting {
        Salting { salt, ..*self }
    }
    /// The salt.
    pub fn salt(&self) -> &str {
        &self.salt
    }
    /// Iterations of PBKDF2.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }
    /// Octets of the derived key.
    pub fn key_bytes(&self) -> u32 {
        self.key_bytes
    }
    /// The key that a client derives from `password`, as base64 text.
    pub fn derive(&self, password: &str) -> Zeroizing<String> {
        let iterations = NonZeroU32::new(self.iterations).expect("invariant: checked by Salting::new");
        let mut key = Zeroizing::new(vec![0; self.key_bytes as usize]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            self.salt.as_bytes(),
            password.as_bytes(),
            &mut key,
        );
        Zeroizing::new(STANDARD.encode(&*key))
    }
}

impl CraSecret {
    /// Iterations of PBKDF2 when nothing else is said.
    pub const DEFAULT_ITERATIONS: u32 = 100_000;

    /// A secret that both sides use as it is.
    ///
    /// # Errors
    /// If it is empty or longer than 4,096 octets.
    pub fn unsalted(secret: &str) -> Result<CraSecret, ConfigError> {
        check_name("secret", secret, SECRET_BYTES_MAX)?;
        Ok(CraSecret { key: Zeroizing::new(secret.as_bytes().to_vec()), salting: None })
    }
    /// A password, from which both sides derive the key: here and now, which takes time in proportion to the
    /// iterations.
    ///
    /// # Errors
    /// If it is empty or longer than 4,096 octets.
    pub fn password(password: &str, salting: Salting) -> Result<CraSecret, ConfigError> {
        check_name("password", password, SECRET_BYTES_MAX)?;
        let key = Zeroizing::new(salting.derive(password).as_bytes().to_vec());
        Ok(CraSecret { key, salting: Some(salting) })
    }
    /// The key that was derived from a password before, as base64 text.
    ///
    /// # Errors
    /// If it is not the base64 text of as many octets as `salting` says.
    pub fn derived(key: &str, salting: Salting) -> Result<CraSecret, ConfigError> {
        let octets = STANDARD.decode(key).map(Zeroizing::new);
        if octets.is_ok_and(|octets| octets.len() == salting.key_bytes as usize) {
            Ok(CraSecret { key: Zeroizing::new(key.as_bytes().to_vec()), salting: Some(salting) })
        } else {
            Err(ConfigError::Malformed {
                what: "key",
                expected: "the base64 text of as many octets as keylen says",
            })
        }
    }
    /// A key that nobody has, with this salting: for decoys.
    pub(crate) fn decoy(key: [u8; 32], salting: Option<Salting>) -> CraSecret {
        CraSecret { key: Zeroizing::new(STANDARD.encode(key).into_bytes()), salting }
    }
    /// How clients derive the key, if they do.
    pub(crate) fn salting(&self) -> Option<&Salting> {
        self.salting.as_ref()
    }
    /// The signature of a challenge, as base64 text.
    pub(crate) fn sign(&self, challenge: &str) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(hmac_sha256(&self.key, challenge.as_bytes())))
    }
    /// Whether `signature` is that of the challenge, in constant time.
    pub(crate) fn verifies(&self, challenge: &str, signature: &str) -> bool {
        are_equal(self.sign(challenge).as_bytes(), signature.as_bytes())
    }
    /// `CHALLENGE.Extra`. Unsalted it has the challenge alone: clients take the mere presence of the others for salt.
    pub(crate) fn challenge_extra(&self, challenge: &str) -> OwnedDict {
        let mut pairs = vec![("challenge", Value::Str(challenge.into()))];
        if let Some(salting) = &self.salting {
            pairs.push(("salt", Value::Str((&*salting.salt).into())));
            pairs.push(("keylen", Value::Uint(salting.key_bytes.into())));
            pairs.push(("iterations", Value::Uint(salting.iterations.into())));
        }
        OwnedDict::of(&pairs)
    }
}

impl std::fmt::Debug for CraSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CraSecret(..)")
    }
}

/// What a challenge says.
pub(crate) struct Challenge<'a> {
    pub(crate) authid: &'a str,
    pub(crate) authrole: &'a str,
    pub(crate) authprovider: &'a str,
    pub(crate) session: SessionId,
    pub(crate) nonce: [u8; 24],
    pub(crate) unix_millis: u64,
}

impl Challenge<'_> {
    /// The challenge: a JSON object as text.
    pub(crate) fn text(&self) -> String {
        let object = serde_json::json!({
            "authid": self.authid,
            "authrole": self.authrole,
            "authmethod": "wampcra",
            "authprovider": self.authprovider,
            "nonce": STANDARD.encode(self.nonce),
            "timestamp": timestamp(self.unix_millis),
            "session": self.session.get(),
        });
        object.to_string()
    }
}

/// The time in the form of ISO 8601, to the millisecond.
fn timestamp(unix_millis: u64) -> String {
    let nanoseconds = i128::from(unix_millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = time.to_hms();
    let (year, month, day) = time.to_calendar_date();
    let month = u8::from(month);
    let millisecond = time.millisecond();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn salting(salt: &str, iterations: u32, key_bytes: u32) -> Salting {
        Salting { salt: salt.into(), iterations, key_bytes }
    }

    /// PBKDF2-HMAC-SHA-256: RFC 7914, section 11, and the inputs of RFC 6070 with this hash.
    #[test]
    fn pbkdf2_is_that_of_rfc_7914_and_rfc_6070() {
        let check = |password: &str, salt: &str, iterations: u32, expected: &str| {
            let key = salting(salt, iterations, expected.len() as u32 / 2).derive(password);
            assert_eq!(crate::hex::encode(&STANDARD.decode(&*key).unwrap()), expected);
        };
        check(
            "passwd",
            "salt",
            1,
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
        );
        check("password", "salt", 1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
        check("password", "salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43");
        check("password", "salt", 4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a");
        check(
            "passwordPASSWORDpassword",
            "saltSALTsaltSALTsaltSALTsaltSALTsalt",
            4096,
            "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1c635518c7dac47e9",
        );
    }

    /// What autobahn-python's tests expect of a derived key and of a signature.
    #[test]
    fn keys_and_signatures_are_those_of_autobahn() {
        let key = salting("salt123", 1000, 32).derive("L3L1YUE8Txlw");
        assert_eq!(&*key, "qzcdsr9uu/L5hnss3kjNTRe490ETgA70ZBaB5rvnJ5Y=");
        let secret = CraSecret::unsalted("L3L1YUE8Txlw").unwrap();
        assert!(secret.verifies("[1, 2, 3]", "1njQtmmeYO41N5EWEzD2kAjjEKRZ5kPZt/TzpYXOzR0="));
        assert!(!secret.verifies("[1, 2, 4]", "1njQtmmeYO41N5EWEzD2kAjjEKRZ5kPZt/TzpYXOzR0="));
        assert!(!secret.verifies("[1, 2, 3]", "1njQtmmeYO41N5EWEzD2kAjjEKRZ5kPZt/TzpYXOzR0"));
    }

    /// The specification's example of a salted exchange. It does not say the secret; `secret1` gives its signature.
    #[test]
    fn the_specifications_example() {
        let challenge = "{\"nonce\": \"LHRTC9zeOIrt_9U3\", \"authprovider\": \"userdb\", \"authid\": \"peter\", \
                         \"timestamp\": \"2014-06-22T16:36:25.448Z\", \"authrole\": \"user\", \
                         \"authmethod\": \"wampcra\", \"session\": 3251278072152162}";
        let secret = CraSecret::password("secret1", salting("salt123", 1000, 32)).unwrap();
        assert!(secret.verifies(challenge, "gir1mSx+deCDUV7wRM5SGIn/+R/ClqLZuH4m7FJeBVI="));
        let extra = secret.challenge_extra(challenge);
        let number = |key| extra.as_dict().get(key).and_then(|value| value.as_u64());
        assert_eq!((number("keylen"), number("iterations")), (Some(32), Some(1000)));
        assert_eq!(extra.as_dict().get("salt").unwrap().as_str(), Some("salt123"));
        // Unsalted there is nothing beside the challenge.
        let unsalted = CraSecret::unsalted("secret1").unwrap().challenge_extra(challenge);
        assert_eq!(unsalted.as_dict().iter().count(), 1);
    }

    #[test]
    fn a_derived_key_stands_for_its_password() {
        let salting = Salting::new("n2T8gkTh", 1000, 20).unwrap();
        let key = salting.derive("pencil");
        let derived = CraSecret::derived(&key, salting.clone()).unwrap();
        let password = CraSecret::password("pencil", salting.clone()).unwrap();
        assert_eq!(*derived.sign("x"), *password.sign("x"));
        let unlike = Salting { key_bytes: 21, ..salting };
        assert!(matches!(CraSecret::derived(&key, unlike), Err(ConfigError::Malformed { what: "key", .. })));
    }

    #[test]
    fn weak_salting_is_refused() {
        assert_eq!(Salting::new("salt123", 1000, 32), Err(ConfigError::WeakSalt { found: 7, min: 8 }));
        let range = |what, found, min, max| Err(ConfigError::OutOfRange { what, found, min, max });
        assert_eq!(Salting::new("salt1234", 999, 32), range("iterations", 999, 1000, 10_000_000));
        assert_eq!(
            Salting::new("salt1234", 10_000_001, 32),
            range("iterations", 10_000_001, 1000, 10_000_000)
        );
        assert_eq!(Salting::new("salt1234", 1000, 15), range("keylen", 15, 16, 64));
        assert!(CraSecret::unsalted("").is_err());
    }

    #[test]
    fn a_challenge_is_a_json_object() {
        let challenge = Challenge {
            authid: "pe\"ter",
            authrole: "user",
            authprovider: "static",
            session: SessionId::new(3_251_278_072_152_162).unwrap(),
            nonce: [0; 24],
            unix_millis: 1_403_454_985_448,
        };
        let read: serde_json::Value = serde_json::from_str(&challenge.text()).unwrap();
        assert_eq!(read["authid"], "pe\"ter");
        assert_eq!(read["timestamp"], "2014-06-22T16:36:25.448Z");
        assert_eq!(read["session"], 3_251_278_072_152_162_u64);
        assert_eq!(read["nonce"], "A".repeat(32));
        assert_eq!(timestamp(u64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
