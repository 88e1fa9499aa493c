//! Ethereum addresses, and what EIP-712 makes of typed data: its hash and its signer.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

use crate::error::ConfigError;
use crate::hex;

/// An Ethereum address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address([u8; 20]);

impl Address {
    /// The address of `0x` and 40 hexadecimal digits. In digits of both cases the case must be that of EIP-55.
    ///
    /// # Errors
    /// If it is not that.
    pub fn from_text(text: &str) -> Result<Address, ConfigError> {
        let refused =
            ConfigError::Malformed { what: "address", expected: "0x and 40 hexadecimal digits (EIP-55)" };
        let address = Address::read(text).map_err(|()| refused.clone())?;
        let digits = text.trim_start_matches("0x");
        let is_of_one_case = digits == digits.to_lowercase() || digits == digits.to_uppercase();
        if is_of_one_case || address.to_string() == text { Ok(address) } else { Err(refused) }
    }
    /// The address, whatever the case of its digits.
    pub(super) fn read(text: &str) -> Result<Address, ()> {
        let digits = text.strip_prefix("0x").ok_or(())?;
        hex::decode(digits).map(Address).ok_or(())
    }
    /// The address of a public key.
    fn of(key: &VerifyingKey) -> Address {
        let point = key.to_sec1_point(false);
        let hash = keccak(&[&point.as_bytes()[1..]]);
        let mut address = [0; 20];
        address.copy_from_slice(&hash[12..]);
        Address(address)
    }
    /// As a field of 32 octets.
    pub(super) fn field(&self) -> [u8; 32] {
        let mut field = [0; 32];
        field[12..].copy_from_slice(&self.0);
        field
    }
}

impl std::fmt::Display for Address {
    /// With the case of EIP-55.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = hex::encode(&self.0);
        let hash = hex::encode(&keccak(&[digits.as_bytes()]));
        f.write_str("0x")?;
        for (digit, of_hash) in digits.chars().zip(hash.chars()) {
            let digit = if of_hash >= '8' { digit.to_ascii_uppercase() } else { digit };
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Keccak-256 of these parts, one after the other.
pub(super) fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// A number as a field of 32 octets.
pub(super) fn number(value: u64) -> [u8; 32] {
    let mut field = [0; 32];
    field[24..].copy_from_slice(&value.to_be_bytes());
    field
}

/// The hash to be signed of a struct of this type with these fields, in the domain of WAMP certificates.
pub(super) fn typed_hash(type_text: &str, fields: &[[u8; 32]]) -> [u8; 32] {
    let domain_type = keccak(&[b"EIP712Domain(string name,string version)"]);
    let domain = keccak(&[&domain_type, &keccak(&[b"WMP"]), &keccak(&[b"1"])]);
    let type_hash = keccak(&[type_text.as_bytes()]);
    let hash = keccak(&[&type_hash, fields.as_flattened()]);
    keccak(&[&[0x19, 0x01], &domain, &hash])
}

/// Whose signature of `hash` it is: r, s and the recovery id, 65 octets.
pub(super) fn signer(hash: &[u8; 32], signature: &[u8; 65]) -> Option<Address> {
    let (octets, recovery) = signature.split_at(64);
    let recovery = recovery.first()?;
    let recovery = RecoveryId::from_byte(recovery.checked_sub(27).unwrap_or(*recovery))?;
    let signature = Signature::from_slice(octets).ok()?;
    let key = VerifyingKey::recover_from_prehash(hash, &signature, recovery).ok()?;
    Some(Address::of(&key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The examples of EIP-55.
    #[test]
    fn addresses_are_written_as_eip_55_has_it() {
        for text in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert_eq!(Address::from_text(text).unwrap().to_string(), text);
        }
        for wrong in [
            "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
            "",
        ] {
            assert!(Address::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
