//! What the tools make: records of passwords and keys, with randomness given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::cryptosign::{PublicKey, RouterKey};
use crate::error::ConfigError;
use crate::hex;
use crate::scram::{Dialect, Kdf, ScramRecord};
use crate::wampcra::{CraSecret, Salting};

/// Octets of a salt that is drawn: 128 bits.
const SALT_BYTES: usize = 16;

/// The record of a password for `wamp-scram` or `scram`, with a salt of 16 octets that are drawn.
///
/// # Errors
/// As [`ScramRecord::derive`].
pub fn hash_scram(
    dialect: Dialect,
    kdf: Kdf,
    password: &str,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<ScramRecord, ConfigError> {
    let mut salt = [0; SALT_BYTES];
    random(&mut salt);
    ScramRecord::derive(dialect, kdf, &salt, password)
}

/// The derived key of a password for `wampcra` as base64 text, and how it was derived, with a salt of 16 octets that are
/// drawn, in base64, and a key of 32 octets.
///
/// # Errors
/// If the password is empty or longer than 4,096 octets, or the iterations are not 1,000 to 10,000,000.
pub fn hash_wampcra(
    iterations: u32,
    password: &str,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<(Zeroizing<String>, Salting), ConfigError> {
    let mut salt = [0; SALT_BYTES];
    random(&mut salt);
    let salting = Salting::new(&STANDARD.encode(salt), iterations, 32)?;
    // Checks the password.
    CraSecret::unsalted(password)?;
    Ok((salting.derive(password), salting))
}

/// A new ed25519 key for `cryptosign`: the private one in 64 hexadecimal digits, as clients and [`RouterKey`] take it,
/// and the public one.
pub fn keygen(random: &mut dyn FnMut(&mut [u8])) -> (Zeroizing<String>, PublicKey) {
    let mut seed = Zeroizing::new([0; 32]);
    random(&mut *seed);
    let private = Zeroizing::new(hex::encode(&*seed));
    let key = RouterKey::from_hex(&private).expect("invariant: 32 octets are a seed");
    (private, key.public_key())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn count_up() -> impl FnMut(&mut [u8]) {
        |octets| octets.iter_mut().zip(1..).for_each(|(octet, number)| *octet = number)
    }

    #[test]
    fn records_are_of_the_password_and_the_salt_drawn() {
        let kdf = Kdf::Pbkdf2 { iterations: 4096 };
        let record = hash_scram(Dialect::Specification, kdf, "pencil", &mut count_up()).unwrap();
        let salt: Vec<u8> = (1..=16).collect();
        assert_eq!(record.salt(), salt);
        let again = ScramRecord::derive(Dialect::Specification, kdf, &salt, "pencil").unwrap();
        assert_eq!(record.stored_key_text(), again.stored_key_text());
        assert!(hash_scram(Dialect::Crossbar, kdf, "pencil", &mut count_up()).is_err());
        let (key, salting) = hash_wampcra(1000, "pencil", &mut count_up()).unwrap();
        assert_eq!(salting.salt(), "AQIDBAUGBwgJCgsMDQ4PEA==");
        assert!(CraSecret::derived(&key, salting).is_ok());
        assert!(hash_wampcra(999, "pencil", &mut count_up()).is_err());
        assert!(hash_wampcra(1000, "", &mut count_up()).is_err());
    }

    #[test]
    fn a_new_key_is_a_pair() {
        let (private, public) = keygen(&mut count_up());
        assert_eq!(RouterKey::from_hex(&private).unwrap().public_key(), public);
        let (other, _) = keygen(&mut |octets| octets.fill(7));
        assert_ne!(private, other);
    }
}
