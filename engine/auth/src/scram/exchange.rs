//! SCRAM: one exchange, from the client's nonce to the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wampline_wire::{Dict, Value};
use zeroize::Zeroizing;

use super::{Dialect, ScramRecord};
use crate::OwnedDict;
use crate::secret::{are_equal, hmac_sha256, sha256};

/// Octets of a nonce's text, at most.
const NONCE_BYTES_MAX: usize = 256;
/// The channel binding that there is.
pub(crate) const TLS_EXPORTER: &str = "tls-exporter";

/// What HELLO says for SCRAM.
pub(crate) struct ScramRequest {
    /// The client's nonce, in base64.
    pub(crate) nonce: Box<str>,
    /// The channel binding's data, if it wants one.
    pub(crate) binding: Option<[u8; 32]>,
}

impl ScramRequest {
    /// Reads `authextra.nonce`; the channel binding has been looked at.
    pub(crate) fn read(
        authextra: Option<&Dict<'_>>,
        binding: Option<[u8; 32]>,
    ) -> Result<ScramRequest, &'static str> {
        let nonce = authextra.and_then(|extra| extra.get("nonce"));
        let nonce = nonce.as_ref().and_then(Value::as_str).unwrap_or_default();
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || STANDARD.decode(nonce).is_err() {
            return Err("authextra.nonce must be a nonce in base64");
        }
        Ok(ScramRequest { nonce: nonce.into(), binding })
    }
}

/// An exchange that waits for AUTHENTICATE.
pub(crate) struct Exchange {
    record: ScramRecord,
    /// Of both nonces, in base64.
    nonce: String,
    client_first_bare: String,
    server_first: String,
    binding: Option<[u8; 32]>,
}

impl Exchange {
    /// Begins with what HELLO says and 16 random octets.
    pub(crate) fn begin(
        record: ScramRecord,
        request: &ScramRequest,
        authid: &str,
        random: [u8; 16],
    ) -> Exchange {
        let ours = match record.dialect {
            Dialect::Specification => STANDARD.encode(random),
            Dialect::Crossbar => String::new(),
        };
        let nonce = match record.dialect {
            Dialect::Specification => format!("{}{ours}", request.nonce),
            // One base64 text of the octets of both.
            Dialect::Crossbar => {
                let mut octets = STANDARD.decode(&*request.nonce).unwrap_or_default();
                octets.extend_from_slice(&random);
                STANDARD.encode(octets)
            }
        };
        let name = match record.dialect {
            Dialect::Specification => authid.replace('=', "=3D").replace(',', "=2C"),
            Dialect::Crossbar => stringprep::saslprep(authid).map_or_else(|_| authid.into(), Into::into),
        };
        let client_first_bare = format!("n={name},r={}", request.nonce);
        let server_first =
            format!("r={nonce},s={},i={}", STANDARD.encode(&record.salt), record.kdf.iterations());
        Exchange { record, nonce, client_first_bare, server_first, binding: request.binding }
    }

    /// `CHALLENGE.Extra`: exactly this, since one client refuses what it does not know.
    pub(crate) fn challenge_extra(&self) -> OwnedDict {
        let salt = STANDARD.encode(&self.record.salt);
        let kdf = self.record.kdf;
        let mut pairs = vec![
            ("nonce", Value::Str((&*self.nonce).into())),
            ("salt", Value::Str(salt.into())),
            ("kdf", Value::Str(kdf.name(self.record.dialect).into())),
            ("iterations", Value::Uint(kdf.iterations().into())),
        ];
        if let Some(memory) = kdf.memory_kib() {
            pairs.push(("memory", Value::Uint(memory.into())));
        }
        OwnedDict::of(&pairs)
    }

    /// Checks AUTHENTICATE: the server's signature if it proves the password. The work is the same whatever is wrong
    /// with it.
    pub(crate) fn finish(&self, signature: &str, extra: &Dict<'_>) -> Option<[u8; 32]> {
        let message = self.auth_message();
        let mut proof = [0; 32];
        let is_proof = STANDARD.decode_slice(signature, &mut proof).is_ok_and(|octets| octets == proof.len());
        let stored_key = &*self.record.stored_key;
        // With it one could pass for the client.
        let mut client_key = Zeroizing::new(hmac_sha256(stored_key, message.as_bytes()));
        for (octet, of_proof) in client_key.iter_mut().zip(proof) {
            *octet ^= of_proof;
        }
        let is_proved = are_equal(&sha256(&*client_key), stored_key);
        let verifier = hmac_sha256(&*self.record.server_key, message.as_bytes());
        (is_proof && is_proved && self.is_bound(extra)).then_some(verifier)
    }

    /// `WELCOME.Details.authextra`: the entry that proves the router to the client.
    pub(crate) fn verifier_entry(&self, verifier: [u8; 32]) -> (&'static str, String) {
        match self.record.dialect {
            Dialect::Specification => ("verifier", format!("v={}", STANDARD.encode(verifier))),
            Dialect::Crossbar => ("scram_server_signature", STANDARD.encode(verifier)),
        }
    }

    /// Whether `AUTHENTICATE.Extra` repeats the nonce, and the channel binding with this channel's data.
    fn is_bound(&self, extra: &Dict<'_>) -> bool {
        if self.record.dialect == Dialect::Crossbar {
            return true;
        }
        let text = |key| match extra.get(key) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text)),
            Some(_) => Err(()),
        };
        let (Ok(Some(nonce)), Ok(name), Ok(data)) =
            (text("nonce"), text("channel_binding"), text("cbind_data"))
        else {
            return false;
        };
        let is_bound = match (self.binding, name, data) {
            (None, None, None) => true,
            (Some(binding), Some(name), Some(data)) => {
                let data = STANDARD.decode(&*data).unwrap_or_default();
                name == TLS_EXPORTER && are_equal(&data, &binding)
            }
            _ => false,
        };
        nonce == *self.nonce && is_bound
    }

    fn auth_message(&self) -> String {
        let channel = match (self.record.dialect, self.binding) {
            (Dialect::Crossbar, _) => String::new(),
            (Dialect::Specification, None) => STANDARD.encode("n,,"),
            (Dialect::Specification, Some(binding)) => {
                STANDARD.encode([b"p=tls-exporter,,".as_slice(), &binding].concat())
            }
        };
        format!("{},{},c={channel},r={}", self.client_first_bare, self.server_first, self.nonce)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::scram::Kdf;

    /// An exchange whose nonces are given.
    fn exchange(record: ScramRecord, authid: &str, client_nonce: &str, nonce: &str) -> Exchange {
        let request = ScramRequest { nonce: client_nonce.into(), binding: None };
        let mut exchange = Exchange::begin(record, &request, authid, [0; 16]);
        exchange.server_first = exchange.server_first.replace(&exchange.nonce, nonce);
        exchange.nonce = nonce.into();
        exchange
    }

    fn answer(nonce: &str) -> [(&'static str, Value<'_>); 1] {
        [("nonce", Value::Str(nonce.into()))]
    }

    /// RFC 7677, section 3: user `user`, password `pencil`.
    #[test]
    fn the_example_of_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let kdf = Kdf::Pbkdf2 { iterations: 4096 };
        let record = ScramRecord::derive(Dialect::Specification, kdf, &salt, "pencil").unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let exchange = exchange(record, "user", "rOprNGfwEbeRWgbNEkqO", nonce);
        assert_eq!(
            exchange.auth_message(),
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,\
             r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        );
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let verifier = exchange.finish(proof, &Dict::pairs(&answer(nonce))).unwrap();
        let (key, text) = exchange.verifier_entry(verifier);
        assert_eq!((key, &*text), ("verifier", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert_eq!(exchange.finish(proof, &Dict::pairs(&answer("rOprNGfwEbeRWgbNEkqO"))), None);
        assert_eq!(exchange.finish(proof, &Dict::EMPTY), None);
        assert_eq!(exchange.finish(&proof[1..], &Dict::pairs(&answer(nonce))), None);
        assert_eq!(exchange.finish("", &Dict::pairs(&answer(nonce))), None);
    }

    /// The signature that autobahn-python's own test expects of its client.
    #[test]
    fn the_dialect_is_that_of_autobahns_client() {
        let salt = STANDARD.decode("31323334353637383930616263646566").unwrap();
        let kdf = Kdf::Argon2id13 { iterations: 32, memory_kib: 512 };
        let record = ScramRecord::derive_unchecked(Dialect::Crossbar, kdf, &salt, "p4ssw0rd").unwrap();
        let exchange = exchange(
            record,
            "username",
            "31323334353637383930616263646566",
            "1234567890abcdeffedcba0987654321",
        );
        // Its proof; that test also takes the proof for the server's signature, which it then does not accept.
        let verifier = exchange.finish("f5r3loERzGVSuimE+lvO0bWna2zyswBo0HrZkaaEy38=", &Dict::EMPTY).unwrap();
        assert_eq!(exchange.verifier_entry(verifier).0, "scram_server_signature");
    }

    /// A client of the specification's dialect.
    fn prove(exchange: &Exchange, kdf: Kdf, password: &str) -> String {
        let salted = kdf.derive(password.as_bytes(), &exchange.record.salt).unwrap();
        let mut client_key = hmac_sha256(&*salted, b"Client Key");
        let signature = hmac_sha256(&sha256(&client_key), exchange.auth_message().as_bytes());
        client_key.iter_mut().zip(signature).for_each(|(octet, other)| *octet ^= other);
        STANDARD.encode(client_key)
    }

    #[test]
    fn a_binding_binds() {
        let kdf = Kdf::Pbkdf2 { iterations: 4096 };
        let record = ScramRecord::derive(Dialect::Specification, kdf, &[3; 16], "pencil").unwrap();
        let request = ScramRequest { nonce: "AAAA".into(), binding: Some([8; 32]) };
        let exchange = Exchange::begin(record, &request, "a,b=c", [1; 16]);
        assert!(exchange.client_first_bare.starts_with("n=a=2Cb=3Dc,r=AAAA"));
        let proof = prove(&exchange, kdf, "pencil");
        let data = STANDARD.encode([8; 32]);
        let say = |name: Option<&str>, data: Option<&str>| {
            let mut pairs = vec![("nonce", Value::Str((&*exchange.nonce).into()))];
            pairs.extend(name.map(|name| ("channel_binding", Value::Str(name.into()))));
            pairs.extend(data.map(|data| ("cbind_data", Value::Str(data.into()))));
            exchange.finish(&proof, &Dict::pairs(&pairs)).is_some()
        };
        assert!(say(Some("tls-exporter"), Some(&data)));
        assert!(!say(Some("tls-exporter"), Some(&STANDARD.encode([9; 32]))));
        assert!(!say(Some("tls-exporter"), None));
        assert!(!say(Some("tls-unique"), Some(&data)));
        assert!(!say(None, Some(&data)));
        assert!(!say(None, None));
    }

    #[test]
    fn nonces_must_be_base64() {
        let read =
            |nonce: Value<'_>| ScramRequest::read(Some(&Dict::pairs(&[("nonce", nonce)])), None).is_ok();
        assert!(read(Value::Str("egVDf3DMJh0=".into())));
        for wrong in ["", "a,b", "egVDf3DMJh0", "egVDf3DMJh0=\n"] {
            assert!(!read(Value::Str(wrong.into())), "{wrong:?}");
        }
        assert!(!read(Value::Uint(1)));
        assert!(!read(Value::Str("A".repeat(260).into())));
        assert!(ScramRequest::read(None, None).is_err());
    }
}
