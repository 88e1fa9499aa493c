//! The two types of certificates, as clients send them.

use wampline_wire::{Dict, Value};

use super::eip712::{Address, keccak, number, signer, typed_hash};
use crate::{PublicKey, hex};

/// Octets of `meta`, at most.
const META_BYTES_MAX: usize = 4096;

/// A certificate with its signature.
#[derive(Clone, Debug)]
pub(super) struct Signed<T> {
    pub(super) body: T,
    signature: [u8; 65],
}

/// `EIP712AuthorityCertificate`.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) chain_id: u64,
    pub(super) contract: Address,
    pub(super) valid_from: u64,
    pub(super) issuer: Address,
    pub(super) subject: Address,
    pub(super) realm: Address,
    pub(super) capabilities: u64,
    meta: Box<str>,
}

/// `EIP712DelegateCertificate`.
#[derive(Clone, Debug)]
pub(super) struct Delegate {
    pub(super) chain_id: u64,
    pub(super) contract: Address,
    pub(super) valid_from: u64,
    pub(super) delegate: Address,
    pub(super) key: PublicKey,
    booted_at: u64,
    meta: Box<str>,
}

/// What the two types have in common.
pub(super) trait Certificate: Sized {
    /// `primaryType`.
    const TYPE: &'static str;
    /// Reads `message`.
    fn read(message: &Dict<'_>) -> Option<Self>;
    /// What is signed.
    fn hash(&self) -> [u8; 32];
}

impl<T: Certificate> Signed<T> {
    /// Reads one entry of `authextra.certificates`: a list whose last two items are the certificate and its signature.
    pub(super) fn read(entry: &Value<'_>) -> Result<Signed<T>, &'static str> {
        const MALFORMED: &str = "an entry of authextra.certificates is not a certificate with its signature";
        let entry = entry.as_list().ok_or(MALFORMED)?;
        // Some clients put the certificate's hash before it, which is for nobody to trust.
        let items: Vec<Value<'_>> = entry.iter().take(4).collect();
        let ([certificate, signature] | [_, certificate, signature]) = items.as_slice() else {
            return Err(MALFORMED);
        };
        let certificate = certificate.as_dict().ok_or(MALFORMED)?;
        if certificate.get("primaryType").as_ref().and_then(Value::as_str) != Some(T::TYPE) {
            return Err("CCR-3: the first certificate must be a delegate's, all others an authority's");
        }
        let message = certificate.get("message").and_then(|message| message.as_dict());
        let body = message.as_ref().and_then(T::read).ok_or(MALFORMED)?;
        let signature = octets(signature).ok_or(MALFORMED)?;
        Ok(Signed { body, signature })
    }
    /// Whose signature it has.
    pub(super) fn signer(&self) -> Option<Address> {
        signer(&self.body.hash(), &self.signature)
    }
}

impl Certificate for Authority {
    const TYPE: &'static str = "EIP712AuthorityCertificate";

    fn read(message: &Dict<'_>) -> Option<Authority> {
        Some(Authority {
            chain_id: uint(message, "chainId")?,
            contract: address(message, "verifyingContract")?,
            valid_from: uint(message, "validFrom")?,
            issuer: address(message, "issuer")?,
            subject: address(message, "subject")?,
            realm: address(message, "realm")?,
            capabilities: uint(message, "capabilities")?,
            meta: meta(message)?,
        })
    }
    fn hash(&self) -> [u8; 32] {
        typed_hash(
            "EIP712AuthorityCertificate(uint256 chainId,address verifyingContract,uint256 validFrom,address issuer,\
             address subject,address realm,uint64 capabilities,string meta)",
            &[
                number(self.chain_id),
                self.contract.field(),
                number(self.valid_from),
                self.issuer.field(),
                self.subject.field(),
                self.realm.field(),
                number(self.capabilities),
                keccak(&[self.meta.as_bytes()]),
            ],
        )
    }
}

impl Certificate for Delegate {
    const TYPE: &'static str = "EIP712DelegateCertificate";

    fn read(message: &Dict<'_>) -> Option<Delegate> {
        Some(Delegate {
            chain_id: uint(message, "chainId")?,
            contract: address(message, "verifyingContract")?,
            valid_from: uint(message, "validFrom")?,
            delegate: address(message, "delegate")?,
            key: PublicKey(octets(&message.get("csPubKey")?)?),
            booted_at: uint(message, "bootedAt")?,
            meta: meta(message)?,
        })
    }
    fn hash(&self) -> [u8; 32] {
        typed_hash(
            "EIP712DelegateCertificate(uint256 chainId,address verifyingContract,uint256 validFrom,address delegate,\
             bytes32 csPubKey,uint64 bootedAt,string meta)",
            &[
                number(self.chain_id),
                self.contract.field(),
                number(self.valid_from),
                self.delegate.field(),
                self.key.0,
                number(self.booted_at),
                keccak(&[self.meta.as_bytes()]),
            ],
        )
    }
}

fn uint(message: &Dict<'_>, key: &str) -> Option<u64> {
    message.get(key)?.as_u64()
}

fn address(message: &Dict<'_>, key: &str) -> Option<Address> {
    Address::read(message.get(key)?.as_str()?).ok()
}

fn meta(message: &Dict<'_>) -> Option<Box<str>> {
    let meta = message.get("meta")?;
    meta.as_str().filter(|meta| meta.len() <= META_BYTES_MAX).map(Box::from)
}

/// Octets, or their hexadecimal digits with `0x` before them or without.
fn octets<const N: usize>(value: &Value<'_>) -> Option<[u8; N]> {
    match value {
        Value::Bytes(octets) => (&**octets).try_into().ok(),
        Value::Str(text) => hex::decode(text.strip_prefix("0x").unwrap_or(text)),
        _ => None,
    }
}
