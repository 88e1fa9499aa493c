//! Cryptosign ("Cryptosign-based Authentication"): ed25519 signatures of a challenge.
//!
//! A client answers with 96 octets, the signature and the message signed. The message must be the challenge of this
//! attempt, xored with the channel's binding where one is in use. Keys, signatures and messages are compared as octets.

#[cfg(test)]
mod vectors;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use wampline_wire::{Dict, Value};

use crate::error::ConfigError;
use crate::hex;
use crate::scram::TLS_EXPORTER;
use crate::secret::are_equal;
use crate::{OwnedDict, Transport};

/// An ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub(crate) [u8; 32]);

impl PublicKey {
    /// The key of 64 hexadecimal digits, of either case.
    ///
    /// # Errors
    /// If it is not that.
    pub fn from_hex(digits: &str) -> Result<PublicKey, ConfigError> {
        let expected = "64 hexadecimal digits, an ed25519 public key";
        hex::decode(digits).map(PublicKey).ok_or(ConfigError::Malformed { what: "key", expected })
    }
    /// The key in lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }
    /// Whether this key signed the message.
    pub(crate) fn verifies(&self, message: &[u8; 32], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// The ed25519 private key of the router, with which it answers the challenges of clients ("Router Authentication").
/// What it signs is 32 octets of the client's choice, so it must not serve anything else.
pub struct RouterKey(Ed25519KeyPair);

impl RouterKey {
    /// The key of this seed in 64 hexadecimal digits: what `wampline keygen` writes.
    ///
    /// # Errors
    /// If it is not that.
    pub fn from_hex(digits: &str) -> Result<RouterKey, ConfigError> {
        let refused = ConfigError::Malformed {
            what: "router key",
            expected: "64 hexadecimal digits, an ed25519 private key",
        };
        let seed = hex::decode::<32>(digits).map(zeroize::Zeroizing::new).ok_or(refused.clone())?;
        Ed25519KeyPair::from_seed_unchecked(&*seed).map(RouterKey).map_err(|_| refused)
    }
    /// Its public half.
    pub fn public_key(&self) -> PublicKey {
        let octets = self.0.public_key().as_ref();
        PublicKey(octets.try_into().expect("invariant: an ed25519 public key has 32 octets"))
    }
    /// Signature and message, in hexadecimal digits.
    pub(crate) fn sign(&self, message: &[u8; 32]) -> String {
        hex::encode(self.0.sign(message).as_ref()) + &hex::encode(message)
    }
}

impl std::fmt::Debug for RouterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouterKey({})", self.public_key().to_hex())
    }
}

/// What HELLO says for cryptosign.
pub(crate) struct CryptosignRequest {
    pub(crate) key: PublicKey,
    pub(crate) binding: Option<[u8; 32]>,
    /// What the router is to sign.
    pub(crate) challenge: Option<[u8; 32]>,
}

impl CryptosignRequest {
    /// Reads `authextra`; the channel binding has been looked at.
    pub(crate) fn read(
        authextra: Option<&Dict<'_>>,
        binding: Option<[u8; 32]>,
    ) -> Result<CryptosignRequest, &'static str> {
        let (mut key, mut challenge) = (None, None);
        for (name, value) in authextra.into_iter().flat_map(Dict::iter) {
            match (&*name, value) {
                ("pubkey", value) => key = value.as_str().and_then(hex::decode).map(PublicKey),
                ("challenge", Value::Null) => challenge = None,
                ("challenge", value) if value.as_str() == Some("") => challenge = None,
                ("challenge", value) => {
                    let octets = value.as_str().and_then(hex::decode::<32>);
                    challenge = Some(octets.ok_or("authextra.challenge must be 64 hexadecimal digits")?);
                }
                _ => {}
            }
        }
        let key = key.ok_or("authextra.pubkey must be an ed25519 public key in 64 hexadecimal digits")?;
        Ok(CryptosignRequest { key, binding, challenge })
    }
}

/// A challenge that waits for AUTHENTICATE.
pub(crate) struct SignedChallenge {
    challenge: [u8; 32],
    key: PublicKey,
    binding: Option<[u8; 32]>,
    router: Option<(PublicKey, String)>,
}

impl SignedChallenge {
    /// The challenge of 32 random octets.
    pub(crate) fn begin(
        request: &CryptosignRequest,
        router: Option<&RouterKey>,
        random: [u8; 32],
    ) -> SignedChallenge {
        let router = router.zip(request.challenge).map(|(router, challenge)| {
            (router.public_key(), router.sign(&bound(challenge, request.binding)))
        });
        SignedChallenge { challenge: random, key: request.key, binding: request.binding, router }
    }
    /// `CHALLENGE.Extra`.
    pub(crate) fn challenge_extra(&self) -> OwnedDict {
        let challenge = hex::encode(&self.challenge);
        let mut pairs = vec![("challenge", Value::Str(challenge.into()))];
        if self.binding.is_some() {
            pairs.push(("channel_binding", Value::Str(TLS_EXPORTER.into())));
        }
        if let Some((key, signature)) = &self.router {
            pairs.push(("pubkey", Value::Str(key.to_hex().into())));
            pairs.push(("signature", Value::Str((&**signature).into())));
        }
        OwnedDict::of(&pairs)
    }
    /// Whether `AUTHENTICATE.Signature` is the client key's signature of this challenge.
    pub(crate) fn is_answered_by(&self, signature: &str) -> bool {
        let Some(octets) = hex::decode::<96>(signature) else { return false };
        let (signature, message) = octets.split_at(64);
        let expected = bound(self.challenge, self.binding);
        let signature = signature.try_into().expect("invariant: split there");
        // Over what is expected, so that the work does not depend on the message.
        self.key.verifies(&expected, signature) & are_equal(message, &expected)
    }
}

/// The channel binding that `authextra.channel_binding` asks for: its data, or why there is none.
pub(crate) fn binding(
    authextra: Option<&Dict<'_>>,
    transport: &Transport<'_>,
) -> Result<Option<[u8; 32]>, &'static str> {
    let name = authextra.and_then(|extra| extra.get("channel_binding"));
    let Some(name) = name else { return Ok(None) };
    match name.as_str() {
        Some(TLS_EXPORTER) if !transport.is_tls => {
            Err("channel binding tls-exporter is asked for, but the connection is not encrypted by TLS")
        }
        Some(TLS_EXPORTER) => transport
            .exporter
            .map(Some)
            .ok_or("channel binding tls-exporter is not available on this connection"),
        Some("tls-unique") => {
            Err("channel binding tls-unique is not available (TLS 1.3 does not have it): use tls-exporter")
        }
        _ => Err("authextra.channel_binding names no channel binding that is known here: use tls-exporter"),
    }
}

/// The message to be signed: the challenge, xored with the channel's binding.
fn bound(mut challenge: [u8; 32], binding: Option<[u8; 32]>) -> [u8; 32] {
    if let Some(binding) = binding {
        challenge.iter_mut().zip(binding).for_each(|(octet, other)| *octet ^= other);
    }
    challenge
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_specifications_vectors() {
        for (channel, private, challenge, answer) in super::vectors::VECTORS {
            let key = RouterKey::from_hex(private).unwrap();
            let binding = channel.and_then(hex::decode::<32>);
            let challenge = hex::decode::<32>(challenge).unwrap();
            assert_eq!(key.sign(&bound(challenge, binding)), answer);
            let request = CryptosignRequest { key: key.public_key(), binding, challenge: None };
            let waiting = SignedChallenge::begin(&request, None, challenge);
            assert!(waiting.is_answered_by(answer));
            assert!(waiting.is_answered_by(&answer.to_uppercase()));
            for wrong in [&answer[..128], &answer[1..], "", "zz"] {
                assert!(!waiting.is_answered_by(wrong));
            }
            for position in 0..192 {
                let mut altered = answer.as_bytes().to_vec();
                altered[position] = if altered[position] == b'0' { b'1' } else { b'0' };
                assert!(!waiting.is_answered_by(std::str::from_utf8(&altered).unwrap()), "{position}");
            }
            let fresh = SignedChallenge::begin(&request, None, [1; 32]);
            assert!(!fresh.is_answered_by(answer));
        }
    }

    /// The specification's first example of a complete exchange, both sides.
    #[test]
    fn the_specifications_example_of_an_exchange() {
        let client = PublicKey::from_hex("545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122");
        let request = CryptosignRequest { key: client.unwrap(), binding: None, challenge: None };
        let challenge = "0e9192bc08512c8198da159c1ae600ba91729215f35d56102ee318558e773537";
        let waiting = SignedChallenge::begin(&request, None, hex::decode(challenge).unwrap());
        assert!(waiting.is_answered_by(
            "a3a178fe792ed772a8fc092f8341e455de96670c8901264a7c312dbf940d5743626fe9fbc29b23dcd2169b308eca309d\
             e85a89ccd296b24835de3d95b16b77030e9192bc08512c8198da159c1ae600ba91729215f35d56102ee318558e773537"
        ));
        let router = PublicKey::from_hex("4a3838f6fe75251e613329d53fc69b262d5eac97fb1d73bebbaed4015b53c862");
        let answer = hex::decode::<96>(
            "fd5128d2d207ba58a9d1d6f41b72c747964ad9d1294077b3b1eee6130b05843ab12c53c7f2519f73d4feb82db19d8ca0\
             fc26b62bde6518e79a882f5795bc9f00bbae60ea44cdd7b20dc7010a618b0f0803fab25a817520b4b7f057299b524deb",
        )
        .unwrap();
        let (signature, message) = answer.split_at(64);
        assert!(router.unwrap().verifies(message.try_into().unwrap(), signature.try_into().unwrap()));
    }

    /// RFC 8032, section 7.1, tests 1 to 3: private key, public key, message, signature.
    #[test]
    fn ed25519_is_that_of_rfc_8032() {
        let vectors = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                 d25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                 387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659\
                 4a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (private, public, message, signature) in vectors {
            let key = RouterKey::from_hex(private).unwrap();
            assert_eq!(key.public_key().to_hex(), public);
            let message = hex::decode_up_to(message, 8).unwrap();
            assert_eq!(hex::encode(key.0.sign(&message).as_ref()), signature);
        }
    }

    #[test]
    fn a_channel_is_bound_by_its_exporter_alone() {
        let plain = Transport::plain("rawsocket", "cbor");
        let tls = Transport { is_tls: true, exporter: Some([4; 32]), ..plain };
        let ask = |name: &str, transport: &Transport<'_>| {
            let pairs = [("channel_binding", Value::Str(name.into()))];
            binding(Some(&Dict::pairs(&pairs)), transport)
        };
        assert_eq!(binding(None, &tls), Ok(None));
        assert_eq!(binding(Some(&Dict::pairs(&[("channel_binding", Value::Null)])), &tls), Ok(None));
        assert_eq!(ask("tls-exporter", &tls), Ok(Some([4; 32])));
        assert!(ask("tls-exporter", &plain).unwrap_err().contains("not encrypted"));
        assert!(ask("tls-exporter", &Transport { exporter: None, ..tls }).is_err());
        assert!(ask("tls-unique", &tls).unwrap_err().contains("tls-exporter"));
        assert!(ask("", &tls).is_err());
        assert!(binding(Some(&Dict::pairs(&[("channel_binding", Value::Uint(1))])), &tls).is_err());
    }

    #[test]
    fn a_router_signs_what_the_client_asks_bound_to_the_channel() {
        let router =
            RouterKey::from_hex("4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510").unwrap();
        let key = router.public_key();
        let request = CryptosignRequest { key, binding: Some([1; 32]), challenge: Some([6; 32]) };
        let extra = SignedChallenge::begin(&request, Some(&router), [2; 32]).challenge_extra();
        let text = |name: &str| extra.as_dict().get(name).unwrap().as_str().unwrap().to_owned();
        assert_eq!(text("challenge"), "02".repeat(32));
        assert_eq!(text("channel_binding"), "tls-exporter");
        assert_eq!(text("pubkey"), key.to_hex());
        assert!(text("signature").ends_with(&"07".repeat(32)));
        let silent = SignedChallenge::begin(&request, None, [2; 32]).challenge_extra();
        assert_eq!(silent.as_dict().iter().count(), 2);
        assert!(!format!("{router:?}").contains("4d57d97a"));
    }
}
