//! SCRAM ("Salted Challenge Response Authentication"; RFC 5802 and RFC 7677): the record of a principal.
//!
//! The router never derives a key from a password while a session waits: clients do. It keeps what the derivation gave,
//! the stored key and the server key, with which it can check a client and prove itself, but not pass for the client.
//!
//! There are two dialects. They derive different keys from the same password, so a record belongs to one of them.

mod exchange;

pub(crate) use exchange::{Exchange, ScramRequest, TLS_EXPORTER};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

use crate::error::{ConfigError, check_range};
use crate::hex;
use crate::secret::{hmac_sha256, sha256};

/// Octets of a salt, at least: 64 bits.
pub(crate) const SALT_BYTES_MIN: usize = 8;
/// Octets of a salt, at most.
const SALT_BYTES_MAX: usize = 64;
/// Iterations of PBKDF2, at least (RFC 7677, section 4).
const PBKDF2_ITERATIONS_MIN: u32 = 4096;
/// Iterations of PBKDF2, at most.
const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;
/// KiB that Argon2 takes, at least and at most.
const MEMORY_KIB_MIN: u32 = 64;
const MEMORY_KIB_MAX: u32 = 4 << 20;
/// Iterations of Argon2 times the KiB that each walks through: 16 MiB once, at least; 64 GiB, at most.
const ARGON2_WORK_MIN: u64 = 16 << 10;
const ARGON2_WORK_MAX: u64 = 64 << 20;

/// Which of the two ways to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Method `wamp-scram`: the specification's.
    Specification,
    /// Method `scram`: that of autobahn and Crossbar, which has Argon2 alone, no channel binding, and takes the base64
    /// text of its output for the key.
    Crossbar,
}

/// How a client derives the salted password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kdf {
    /// Argon2id, version 1.3, one lane, 32 octets.
    Argon2id13 {
        /// Passes over the memory.
        iterations: u32,
        /// Memory in KiB.
        memory_kib: u32,
    },
    /// PBKDF2-HMAC-SHA-256, 32 octets.
    Pbkdf2 {
        /// Iterations.
        iterations: u32,
    },
}

impl Kdf {
    /// What records are made with when nothing else is said: Argon2id with 19 MiB and 2 passes.
    pub const DEFAULT: Kdf = Kdf::Argon2id13 { iterations: 2, memory_kib: 19 << 10 };

    /// The function of this name: `argon2id13` (in Crossbar's dialect `argon2id-13`, and only this one) or `pbkdf2`.
    ///
    /// # Errors
    /// If there is none of that name, the memory is missing, or a parameter is too low to be safe or too high to be
    /// bearable: PBKDF2 with 4,096 to 10,000,000 iterations; Argon2 with 64 KiB to 4 GiB and with 16 MiB to 64 GiB
    /// walked through in all passes together.
    pub fn named(
        name: &str,
        dialect: Dialect,
        iterations: u32,
        memory_kib: Option<u32>,
    ) -> Result<Kdf, ConfigError> {
        let kdf = match (name, dialect) {
            ("argon2id13" | "argon2id-13", _) => {
                let memory_kib = memory_kib.ok_or(ConfigError::Missing { what: "memory" })?;
                Kdf::Argon2id13 { iterations, memory_kib }
            }
            ("pbkdf2", Dialect::Specification) => Kdf::Pbkdf2 { iterations },
            _ => {
                let expected = match dialect {
                    Dialect::Specification => "argon2id13 or pbkdf2",
                    Dialect::Crossbar => "argon2id-13, the only one in this dialect",
                };
                return Err(ConfigError::UnknownKdf { found: name.into(), expected });
            }
        };
        kdf.check(dialect)?;
        Ok(kdf)
    }
    /// Refuses what is weak, unbearable, or not part of the dialect.
    fn check(self, dialect: Dialect) -> Result<(), ConfigError> {
        match self {
            Kdf::Pbkdf2 { .. } if dialect == Dialect::Crossbar => Err(ConfigError::UnknownKdf {
                found: "pbkdf2".into(),
                expected: "argon2id-13, the only one in this dialect",
            }),
            Kdf::Pbkdf2 { iterations } => check_range(
                "iterations",
                iterations.into(),
                PBKDF2_ITERATIONS_MIN.into(),
                PBKDF2_ITERATIONS_MAX.into(),
            ),
            Kdf::Argon2id13 { iterations, memory_kib } => {
                check_range("memory", memory_kib.into(), MEMORY_KIB_MIN.into(), MEMORY_KIB_MAX.into())?;
                let work = u64::from(iterations) * u64::from(memory_kib);
                check_range("iterations times memory", work, ARGON2_WORK_MIN, ARGON2_WORK_MAX)
            }
        }
    }
    /// The name in CHALLENGE.
    pub fn name(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Kdf::Argon2id13 { .. }, Dialect::Specification) => "argon2id13",
            (Kdf::Argon2id13 { .. }, Dialect::Crossbar) => "argon2id-13",
            (Kdf::Pbkdf2 { .. }, _) => "pbkdf2",
        }
    }
    /// The time cost.
    pub fn iterations(self) -> u32 {
        match self {
            Kdf::Argon2id13 { iterations, .. } | Kdf::Pbkdf2 { iterations } => iterations,
        }
    }
    /// The memory cost in KiB, where there is one.
    pub fn memory_kib(self) -> Option<u32> {
        match self {
            Kdf::Argon2id13 { memory_kib, .. } => Some(memory_kib),
            Kdf::Pbkdf2 { .. } => None,
        }
    }
    /// The output of the function, 32 octets.
    fn derive(self, password: &[u8], salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
        let mut key = Zeroizing::new([0; 32]);
        match self {
            Kdf::Argon2id13 { iterations, memory_kib } => {
                let params = Params::new(memory_kib, iterations, 1, Some(32));
                let function = params.map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
                function
                    .and_then(|function| function.hash_password_into(password, salt, &mut *key))
                    .map_err(|_| ConfigError::Malformed {
                        what: "iterations or memory",
                        expected: "what Argon2 can do",
                    })?;
            }
            Kdf::Pbkdf2 { iterations } => {
                let iterations = NonZeroU32::new(iterations).expect("invariant: checked by Kdf::check");
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut *key);
            }
        }
        Ok(key)
    }
}

/// What the router keeps of a principal of `wamp-scram` or `scram`.
#[derive(Clone)]
pub struct ScramRecord {
    dialect: Dialect,
    kdf: Kdf,
    salt: Box<[u8]>,
    stored_key: Zeroizing<[u8; 32]>,
    server_key: Zeroizing<[u8; 32]>,
}

/// A record as texts, the way that it stands in a configuration.
#[derive(Clone, Copy)]
pub struct ScramText<'a> {
    /// `argon2id13` or `pbkdf2`.
    pub kdf: &'a str,
    /// The time cost.
    pub iterations: u32,
    /// The memory cost in KiB, for Argon2.
    pub memory_kib: Option<u32>,
    /// The salt: base64 for `wamp-scram`, hexadecimal digits for `scram` (as autobahn writes it).
    pub salt: &'a str,
    /// 32 octets, as base64 or hexadecimal digits.
    pub stored_key: &'a str,
    /// 32 octets, as base64 or hexadecimal digits.
    pub server_key: &'a str,
}

impl ScramRecord {
    /// The record that these texts say.
    ///
    /// # Errors
    /// If a text is malformed, the function is unknown or weak, or the salt has fewer than 8 octets.
    pub fn from_text(dialect: Dialect, text: &ScramText<'_>) -> Result<ScramRecord, ConfigError> {
        let kdf = Kdf::named(text.kdf, dialect, text.iterations, text.memory_kib)?;
        let salt = salt_octets(dialect, text.salt)?;
        let stored_key = key_octets("stored_key", text.stored_key)?;
        let server_key = key_octets("server_key", text.server_key)?;
        ScramRecord::new(dialect, kdf, &salt, *stored_key, *server_key)
    }
    /// The record of these parts.
    ///
    /// # Errors
    /// If the function is weak or not part of the dialect, or the salt does not have 8 to 64 octets.
    pub fn new(
        dialect: Dialect,
        kdf: Kdf,
        salt: &[u8],
        stored_key: [u8; 32],
        server_key: [u8; 32],
    ) -> Result<ScramRecord, ConfigError> {
        kdf.check(dialect)?;
        check_salt(salt)?;
        Ok(ScramRecord::from_keys(dialect, kdf, salt, Zeroizing::new(stored_key), Zeroizing::new(server_key)))
    }
    /// The record of a password, derived here and now: that is meant to take long.
    ///
    /// # Errors
    /// As [`ScramRecord::new`]; in the specification's dialect also if SASLprep forbids the password.
    pub fn derive(
        dialect: Dialect,
        kdf: Kdf,
        salt: &[u8],
        password: &str,
    ) -> Result<ScramRecord, ConfigError> {
        kdf.check(dialect)?;
        check_salt(salt)?;
        ScramRecord::derive_unchecked(dialect, kdf, salt, password)
    }
    /// [`ScramRecord::derive`] without looking at what is weak: published vectors are.
    pub(crate) fn derive_unchecked(
        dialect: Dialect,
        kdf: Kdf,
        salt: &[u8],
        password: &str,
    ) -> Result<ScramRecord, ConfigError> {
        let salted_password = match dialect {
            Dialect::Specification => {
                let password = stringprep::saslprep(password).map_err(|_| ConfigError::Password)?;
                let password = Zeroizing::new(password.into_owned());
                if password.is_empty() {
                    return Err(ConfigError::Password);
                }
                Zeroizing::new(kdf.derive(password.as_bytes(), salt)?.to_vec())
            }
            Dialect::Crossbar => {
                if password.is_empty() {
                    return Err(ConfigError::Password);
                }
                let key = kdf.derive(password.as_bytes(), salt)?;
                Zeroizing::new(STANDARD_NO_PAD.encode(*key).into_bytes())
            }
        };
        let client_key = Zeroizing::new(hmac_sha256(&salted_password, b"Client Key"));
        let stored_key = Zeroizing::new(sha256(&*client_key));
        let server_key = Zeroizing::new(hmac_sha256(&salted_password, b"Server Key"));
        Ok(ScramRecord::from_keys(dialect, kdf, salt, stored_key, server_key))
    }
    /// The parts as they are: for decoys, whose shape comes from records that were checked.
    pub(crate) fn from_keys(
        dialect: Dialect,
        kdf: Kdf,
        salt: &[u8],
        stored_key: Zeroizing<[u8; 32]>,
        server_key: Zeroizing<[u8; 32]>,
    ) -> ScramRecord {
        ScramRecord { dialect, kdf, salt: salt.into(), stored_key, server_key }
    }
    /// Which dialect the keys belong to.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }
    /// How the salted password is derived.
    pub fn kdf(&self) -> Kdf {
        self.kdf
    }
    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }
    /// The salt as text: base64 for `wamp-scram`, hexadecimal digits for `scram`.
    pub fn salt_text(&self) -> String {
        match self.dialect {
            Dialect::Specification => STANDARD.encode(&self.salt),
            Dialect::Crossbar => hex::encode(&self.salt),
        }
    }
    /// The stored key as text, in the form of [`ScramRecord::salt_text`]. Whoever knows it can guess passwords.
    pub fn stored_key_text(&self) -> Zeroizing<String> {
        self.key_text(&self.stored_key)
    }
    /// The server key as text, in the form of [`ScramRecord::salt_text`]. Whoever knows it can pass for the router.
    pub fn server_key_text(&self) -> Zeroizing<String> {
        self.key_text(&self.server_key)
    }
    fn key_text(&self, key: &[u8; 32]) -> Zeroizing<String> {
        Zeroizing::new(match self.dialect {
            Dialect::Specification => STANDARD.encode(key),
            Dialect::Crossbar => hex::encode(key),
        })
    }
    #[cfg(test)]
    pub(crate) fn stored_key(&self) -> &[u8; 32] {
        &self.stored_key
    }
    #[cfg(test)]
    pub(crate) fn server_key(&self) -> &[u8; 32] {
        &self.server_key
    }
}

impl std::fmt::Debug for ScramRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramRecord(..)")
    }
}

/// Checks the length of a salt.
fn check_salt(salt: &[u8]) -> Result<(), ConfigError> {
    if salt.len() < SALT_BYTES_MIN {
        return Err(ConfigError::WeakSalt { found: salt.len(), min: SALT_BYTES_MIN });
    }
    if salt.len() > SALT_BYTES_MAX {
        return Err(ConfigError::TooLong { what: "salt", max: SALT_BYTES_MAX });
    }
    Ok(())
}

/// A salt as text of the dialect.
pub(crate) fn salt_octets(dialect: Dialect, text: &str) -> Result<Vec<u8>, ConfigError> {
    match dialect {
        Dialect::Specification => STANDARD
            .decode(text)
            .map_err(|_| ConfigError::Malformed { what: "salt", expected: "base64 text, padded" }),
        Dialect::Crossbar => hex::decode_up_to(text, SALT_BYTES_MAX)
            .ok_or(ConfigError::Malformed { what: "salt", expected: "hexadecimal digits" }),
    }
}

/// 32 octets of text, in either form: their lengths differ.
fn key_octets(what: &'static str, text: &str) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let decoded = hex::decode::<32>(text).or_else(|| {
        let octets = Zeroizing::new(STANDARD.decode(text).ok()?);
        octets.as_slice().try_into().ok()
    });
    let expected = "32 octets, as base64 text or 64 hexadecimal digits";
    decoded.map(Zeroizing::new).ok_or(ConfigError::Malformed { what, expected })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn argon2(iterations: u32, memory_kib: u32) -> Kdf {
        Kdf::Argon2id13 { iterations, memory_kib }
    }

    /// What autobahn-python's tests expect of `derive_scram_credential`.
    #[test]
    fn records_of_the_dialect_are_those_of_autobahn() {
        let check = |salt: &str, server_key: &str, stored_key: &str| {
            let octets = hex::decode::<16>(salt).unwrap();
            let record =
                ScramRecord::derive(Dialect::Crossbar, argon2(4096, 512), &octets, "secret123").unwrap();
            assert_eq!(*record.server_key_text(), server_key);
            assert_eq!(*record.stored_key_text(), stored_key);
            assert_eq!(record.salt_text(), salt);
        };
        check(
            "ae1f0d2f422757809077785e660b62c6",
            "0d8e7e9222a7c0e54c9e979aa342115699ff5696c45dc379b5ee241338a5861d",
            "5f19358ff6f38e267b6ef1ea1d862514ec4e8745a84682259fd3894be09febb5",
        );
    }

    /// The reference program of Argon2, as quoted in autobahn-python's tests: `-id -t 32 -m 9 -p 1 -l 32`.
    #[test]
    fn argon2id_is_that_of_its_reference() {
        let key = argon2(32, 512).derive(b"p4ssw0rd", b"1234567890abcdef").unwrap();
        assert_eq!(hex::encode(&*key), "ee4a8acf9d5958354fb79a95ae20692d05e42591ba49fae85eb6700e8b0ed293");
    }

    /// RFC 9106, section 5.3: with a secret and associated data, which SCRAM does not use, and four lanes.
    #[test]
    fn argon2id_is_that_of_rfc_9106() {
        let data = argon2::AssociatedData::new(&[4; 12]).unwrap();
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(data)
            .output_len(32)
            .build()
            .unwrap();
        let function = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = [0; 32];
        function.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
        assert_eq!(hex::encode(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    /// RFC 7677, section 3: the keys behind the example's proof are checked in `exchange.rs`; here the salted password.
    #[test]
    fn pbkdf2_records_have_the_salted_password_of_autobahns_test() {
        let key = Kdf::Pbkdf2 { iterations: 8 }.derive(b"p4ssw0rd", b"1234567890abcdef").unwrap();
        assert_eq!(hex::encode(&*key), "f6991a28c75f43751e0d75499fd7b8649f659118ddc1d61cee5883af547d15f5");
    }

    #[test]
    fn passwords_are_normalised_in_the_specifications_dialect_alone() {
        let kdf = Kdf::Pbkdf2 { iterations: 4096 };
        let derive = |dialect, kdf, password| ScramRecord::derive(dialect, kdf, &[5; 16], password);
        let ours = |password| *derive(Dialect::Specification, kdf, password).unwrap().stored_key();
        // RFC 4013, section 3: a soft hyphen maps to nothing, a feminine ordinal to the letter.
        assert_eq!(ours("I\u{ad}X"), ours("IX"));
        assert_eq!(ours("\u{aa}"), ours("a"));
        assert_ne!(ours("user"), ours("USER"));
        for forbidden in ["\u{7}", "\u{627}1", "", "\u{ad}"] {
            let refused = derive(Dialect::Specification, kdf, forbidden);
            assert_eq!(refused.err(), Some(ConfigError::Password), "{forbidden:?}");
        }
        let theirs = |password| *derive(Dialect::Crossbar, argon2(256, 64), password).unwrap().stored_key();
        assert_ne!(theirs("I\u{ad}X"), theirs("IX"));
    }

    #[test]
    fn weak_and_unknown_functions_are_refused() {
        let named = |name, dialect, iterations, memory| Kdf::named(name, dialect, iterations, memory);
        use Dialect::{Crossbar, Specification};
        assert_eq!(named("pbkdf2", Specification, 4096, None), Ok(Kdf::Pbkdf2 { iterations: 4096 }));
        assert!(named("pbkdf2", Specification, 4095, None).is_err());
        assert!(matches!(named("pbkdf2", Crossbar, 4096, None), Err(ConfigError::UnknownKdf { .. })));
        assert!(matches!(named("bcrypt", Specification, 10, None), Err(ConfigError::UnknownKdf { .. })));
        let missing = Err(ConfigError::Missing { what: "memory" });
        assert_eq!(named("argon2id13", Specification, 4096, None), missing);
        assert_eq!(named("argon2id-13", Crossbar, 4096, Some(512)), Ok(argon2(4096, 512)));
        assert!(named("argon2id13", Specification, 0, Some(65536)).is_err());
        assert!(named("argon2id13", Specification, 1, Some(8 << 10)).is_err());
        assert!(named("argon2id13", Specification, u32::MAX, Some(u32::MAX)).is_err());
        assert!(named("argon2id13", Specification, 4096, Some(8)).is_err());
        assert_eq!(Kdf::DEFAULT.check(Specification), Ok(()));
    }

    #[test]
    fn texts_come_back() {
        let record =
            ScramRecord::derive(Dialect::Specification, Kdf::Pbkdf2 { iterations: 5000 }, &[1; 16], "x")
                .unwrap();
        let (salt, stored, server) = (record.salt_text(), record.stored_key_text(), record.server_key_text());
        let text = ScramText {
            kdf: record.kdf().name(Dialect::Specification),
            iterations: record.kdf().iterations(),
            memory_kib: record.kdf().memory_kib(),
            salt: &salt,
            stored_key: &stored,
            server_key: &server,
        };
        let read = ScramRecord::from_text(Dialect::Specification, &text).unwrap();
        assert_eq!((read.kdf(), read.salt()), (record.kdf(), record.salt()));
        assert_eq!((read.stored_key(), read.server_key()), (record.stored_key(), record.server_key()));
        let refused =
            |text: ScramText<'_>| ScramRecord::from_text(Dialect::Specification, &text).unwrap_err();
        assert_eq!(
            refused(ScramText { salt: "c2FsdA==", ..text }),
            ConfigError::WeakSalt { found: 4, min: 8 }
        );
        assert!(matches!(
            refused(ScramText { salt: "%", ..text }),
            ConfigError::Malformed { what: "salt", .. }
        ));
        assert!(matches!(
            refused(ScramText { server_key: "AAAA", ..text }),
            ConfigError::Malformed { what: "server_key", .. }
        ));
        assert_eq!(format!("{record:?}"), "ScramRecord(..)");
    }
}
