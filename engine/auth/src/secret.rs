//! Secrets: wiped when dropped, shown by nobody, compared in constant time.

use aws_lc_rs::{constant_time, digest, hmac};
use zeroize::Zeroizing;

use crate::admission::check_name;
use crate::error::ConfigError;

/// Octets of a ticket, at most.
const TICKET_BYTES_MAX: usize = 4096;

/// What decoys are derived from: 256 random bits that live as long as the process. Share one among all realms; what is
/// derived differs by realm and authid.
#[derive(Clone)]
pub struct DecoySecret(hmac::Key);

impl DecoySecret {
    /// The secret of these octets, which must be random.
    pub fn new(octets: [u8; 32]) -> DecoySecret {
        let octets = Zeroizing::new(octets);
        DecoySecret(hmac::Key::new(hmac::HMAC_SHA256, &*octets))
    }
    /// 32 octets for `purpose` and these names: the same each time, and unknown to whoever does not know the secret.
    pub(crate) fn derive(&self, purpose: &str, names: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(purpose.as_bytes()).chain(names.iter().copied()) {
            // With its length before it no part can pass for two.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        octets_of(context.sign().as_ref())
    }
}

impl std::fmt::Debug for DecoySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecoySecret(..)")
    }
}

/// A ticket as it is kept: its SHA-256. To guess a random ticket from that is hopeless; to guess a password is not, so
/// passwords belong to SCRAM.
#[derive(Clone)]
pub struct Ticket(Zeroizing<[u8; 32]>);

impl Ticket {
    /// The ticket itself.
    ///
    /// # Errors
    /// If it is empty or longer than 4,096 octets.
    pub fn raw(ticket: &str) -> Result<Ticket, ConfigError> {
        check_name("ticket", ticket, TICKET_BYTES_MAX)?;
        Ok(Ticket::presented(ticket))
    }
    /// The SHA-256 of the ticket, as 64 hexadecimal digits.
    ///
    /// # Errors
    /// If it is not that.
    pub fn sha256(digits: &str) -> Result<Ticket, ConfigError> {
        let digest = crate::hex::decode(digits);
        let expected = "64 hexadecimal digits, the SHA-256 of the ticket";
        digest
            .map(|digest| Ticket(Zeroizing::new(digest)))
            .ok_or(ConfigError::Malformed { what: "ticket_sha256", expected })
    }
    /// What a client presents, in the form that is kept.
    pub(crate) fn presented(ticket: &str) -> Ticket {
        Ticket(Zeroizing::new(sha256(ticket.as_bytes())))
    }
    /// What nobody's ticket has as its digest: compared with for unknown principals.
    pub(crate) fn nobodys() -> Ticket {
        Ticket(Zeroizing::new([0; 32]))
    }
    /// Whether both are the same, in constant time.
    pub(crate) fn is(&self, other: &Ticket) -> bool {
        are_equal(&*self.0, &*other.0)
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// Whether both are the same, in time that depends on their lengths alone.
pub(crate) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// SHA-256.
pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    octets_of(digest::digest(&digest::SHA256, octets).as_ref())
}

/// HMAC-SHA-256.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    octets_of(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

/// An output of SHA-256 as an array.
fn octets_of(digest: &[u8]) -> [u8; 32] {
    digest.try_into().expect("invariant: SHA-256 gives 32 octets")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nothing_is_shown() {
        let ticket = Ticket::raw("secret!!!").unwrap();
        assert_eq!(format!("{ticket:?}"), "Ticket(..)");
        assert_eq!(format!("{:?}", DecoySecret::new([1; 32])), "DecoySecret(..)");
    }

    #[test]
    fn a_ticket_is_known_by_its_digest() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let kept = Ticket::sha256(digits).unwrap();
        assert!(kept.is(&Ticket::raw("abc").unwrap()));
        assert!(!kept.is(&Ticket::raw("abd").unwrap()));
        assert!(Ticket::raw("").is_err());
        assert!(Ticket::sha256("abc").is_err());
    }

    #[test]
    fn what_is_derived_depends_on_every_part() {
        let secret = DecoySecret::new([1; 32]);
        let one = secret.derive("salt", &[b"realm1", b"joe"]);
        assert_eq!(one, secret.clone().derive("salt", &[b"realm1", b"joe"]));
        for other in [
            secret.derive("salt", &[b"realm1", b"jo"]),
            secret.derive("salt", &[b"realm1j", b"oe"]),
            secret.derive("key", &[b"realm1", b"joe"]),
            DecoySecret::new([2; 32]).derive("salt", &[b"realm1", b"joe"]),
        ] {
            assert_ne!(one, other);
        }
    }

    /// RFC 4231, test cases 1 to 4, 6 and 7.
    #[test]
    fn hmac_sha256_is_that_of_rfc_4231() {
        let check = |key: &[u8], message: &[u8], expected: &str| {
            assert_eq!(crate::hex::encode(&hmac_sha256(key, message)), expected);
        };
        check(&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
        let key: Vec<u8> = (1..=25).collect();
        check(&key, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
        check(
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to \
              be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        );
    }
}
