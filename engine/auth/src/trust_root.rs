//! Cryptosign: trust roots and chains of certificates ("Trustroots and Certificates").
//!
//! A client whose key the router does not know presents a chain: a delegate certificate for its key, then authority
//! certificates up to a root that the realm trusts. Certificates are typed data by EIP-712, signed with secp256k1; their
//! owners are known by their Ethereum addresses. Nothing here asks a blockchain: roots are standalone, and the block
//! number that `validFrom` is compared with comes from the configuration, if at all.

mod certificate;
mod eip712;

use wampline_wire::{Dict, List, Message, Serializer, Value};

pub use eip712::Address;

use self::certificate::{Authority, Delegate, Signed};
use crate::PublicKey;
use crate::admission::Grant;
use crate::error::ConfigError;

/// Certificates of a chain, at most.
const CHAIN_MAX: usize = 8;

/// A root of certificates that a realm trusts.
#[derive(Clone, Debug)]
pub struct TrustRoot {
    chain_id: u64,
    contract: Address,
    realm: Address,
    issuer: Address,
    block: Option<u64>,
    /// The authority certificates that a client need not bring, from the one that signs delegates to the root.
    chain: Vec<Signed<Authority>>,
    grant: Grant,
}

impl TrustRoot {
    /// The root certificate of `issuer` for the realm of this address, on the chain and by the contract that all
    /// certificates must name. A session that comes by it gets the grant; its authid is the delegate's address.
    pub fn new(chain_id: u64, contract: Address, realm: Address, issuer: Address, grant: Grant) -> TrustRoot {
        TrustRoot { chain_id, contract, realm, issuer, block: None, chain: Vec::new(), grant }
    }
    /// Certificates that become valid after this block are not valid yet.
    #[must_use]
    pub fn at_block(mut self, block: u64) -> TrustRoot {
        self.block = Some(block);
        self
    }
    /// The authority certificates, for clients that bring a delegate certificate alone: a JSON list of certificates
    /// with their signatures, in the form that clients send, the root last.
    ///
    /// # Errors
    /// If it is not that, or it does not lead to this root.
    pub fn with_chain(mut self, json: &str) -> Result<TrustRoot, ConfigError> {
        let refused = || ConfigError::Malformed {
            what: "certificates",
            expected: "a JSON list of authority certificates with their signatures, up to this trust root",
        };
        let message = format!("[50,1,{{}},[{json}]]");
        let Ok(Message::Result { payload, .. }) = Message::parse(Serializer::Json, message.as_bytes()) else {
            return Err(refused());
        };
        let list = payload.args().and_then(|args| args.iter().next()).and_then(|first| first.as_list());
        let items: Vec<Value<'_>> = list.ok_or_else(refused)?.iter().take(CHAIN_MAX + 1).collect();
        let chain = authorities(&items).map_err(|_| refused())?;
        self.check_authorities(&chain).and_then(|()| check_signatures(&chain)).map_err(|_| refused())?;
        self.chain = chain;
        Ok(self)
    }
    /// Whose root certificate it is.
    pub fn issuer(&self) -> Address {
        self.issuer
    }
    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Checks what HELLO brings against the rules of the specification (CCR-1 to CCR-12): the delegate's address.
    fn check(&self, certificates: &List<'_>, key: &PublicKey) -> Result<Address, &'static str> {
        let items: Vec<Value<'_>> = certificates.iter().take(CHAIN_MAX + 2).collect();
        let Some((first, rest)) = items.split_first() else { return Err("there are no certificates") };
        let delegate = Signed::<Delegate>::read(first)?;
        let brought = authorities(rest)?;
        let chain = if brought.is_empty() { &self.chain } else { &brought };
        self.check_authorities(chain)?;
        let Some(last) = chain.first() else { return Err("the chain has no authority certificate") };
        self.check_common(delegate.body.chain_id, delegate.body.contract, delegate.body.valid_from)?;
        if last.body.subject != delegate.body.delegate {
            return Err("CCR-8: the delegate is not the subject of the certificate above it");
        }
        if last.body.valid_from > delegate.body.valid_from {
            return Err("CCR-9: the delegate certificate is valid before the one above it");
        }
        if delegate.body.key != *key {
            return Err("the delegate certificate is for another key than authextra.pubkey");
        }
        if delegate.signer() != Some(delegate.body.delegate) {
            return Err("CCR-12: the delegate certificate is not signed by the delegate");
        }
        // Last, because it costs most. Configured ones have been checked.
        check_signatures(&brought)?;
        Ok(delegate.body.delegate)
    }

    /// Checks the authority certificates from the one that signs delegates to the root, but for their signatures.
    fn check_authorities(&self, chain: &[Signed<Authority>]) -> Result<(), &'static str> {
        let Some(root) = chain.last() else { return Err("the chain has no authority certificate") };
        if chain.len() > CHAIN_MAX {
            return Err("the chain is longer than 8 certificates");
        }
        if root.body.issuer != root.body.subject {
            return Err("CCR-4: the last certificate is not self-signed");
        }
        if root.body.issuer != self.issuer {
            return Err("the last certificate is not that of the trust root");
        }
        for certificate in chain {
            let body = &certificate.body;
            self.check_common(body.chain_id, body.contract, body.valid_from)?;
            if body.realm != self.realm {
                return Err("CCR-2: a certificate is for another realm");
            }
        }
        for pair in chain.windows(2) {
            let [below, above] = pair else { continue };
            if below.body.issuer != above.body.subject {
                return Err("CCR-5: a certificate's issuer is not the subject of the one above it");
            }
            if above.body.valid_from > below.body.valid_from {
                return Err("CCR-6: a certificate is valid before the one above it");
            }
            if below.body.capabilities & !above.body.capabilities != 0 {
                return Err("CCR-7: a certificate has capabilities that the one above it lacks");
            }
        }
        Ok(())
    }

    fn check_common(&self, chain_id: u64, contract: Address, valid_from: u64) -> Result<(), &'static str> {
        if chain_id != self.chain_id || contract != self.contract {
            return Err("CCR-1: a certificate is for another chain or contract");
        }
        if self.block.is_some_and(|block| valid_from > block) {
            return Err("CCR-1: a certificate is not valid yet");
        }
        Ok(())
    }
}

/// The client that brings certificates for its key: its trust root and the delegate's address. `None` if it brings none.
///
/// # Errors
/// Which rule is broken.
pub(crate) fn check<'r>(
    roots: &'r [TrustRoot],
    authextra: Option<&Dict<'_>>,
    key: &PublicKey,
) -> Result<Option<(&'r TrustRoot, Address)>, &'static str> {
    if roots.is_empty() {
        return Ok(None);
    }
    let Some(certificates) = authextra.and_then(|extra| extra.get("certificates")) else { return Ok(None) };
    let certificates = certificates.as_list().ok_or("authextra.certificates must be a list")?;
    let named = authextra.and_then(|extra| extra.get("trustroot"));
    let named = named.as_ref().and_then(Value::as_str).and_then(|text| Address::read(text).ok());
    let named = named.ok_or("authextra.trustroot must be the address of the trust root")?;
    let root =
        roots.iter().find(|root| root.issuer == named).ok_or("the trust root is not one of this realm's")?;
    root.check(&certificates, key).map(|delegate| Some((root, delegate)))
}

fn check_signatures(chain: &[Signed<Authority>]) -> Result<(), &'static str> {
    let is_signed = |certificate: &Signed<Authority>| certificate.signer() == Some(certificate.body.issuer);
    if chain.iter().all(is_signed) {
        Ok(())
    } else {
        Err("CCR-10, CCR-11: a certificate is not signed by its issuer")
    }
}

fn authorities(items: &[Value<'_>]) -> Result<Vec<Signed<Authority>>, &'static str> {
    items.iter().map(Signed::<Authority>::read).collect()
}

#[cfg(test)]
mod tests;
