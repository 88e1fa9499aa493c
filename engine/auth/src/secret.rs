//! Secrets: wiped when dropped, shown by nobody, compared in constant time.

use aws_lc_rs::{constant_time, digest};
use zeroize::Zeroizing;

use crate::admission::check_name;
use crate::error::ConfigError;

/// Octets of a ticket, at most.
const TICKET_BYTES_MAX: usize = 4096;

/// What decoys are derived from: 256 random bits that live as long as the process. Share one among all realms; each
/// realm derives its own.
#[derive(Clone)]
pub struct DecoySecret(Zeroizing<[u8; 32]>);

impl DecoySecret {
    /// The secret of these octets, which must be random.
    pub fn new(octets: [u8; 32]) -> DecoySecret {
        DecoySecret(Zeroizing::new(octets))
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
        Ok(Ticket::digest_of(ticket))
    }
    /// The SHA-256 of the ticket.
    pub fn sha256(digest: [u8; 32]) -> Ticket {
        Ticket(Zeroizing::new(digest))
    }
    /// What a client presents, in the form that is kept.
    pub(crate) fn digest_of(ticket: &str) -> Ticket {
        let mut octets = Zeroizing::new([0; 32]);
        octets.copy_from_slice(digest::digest(&digest::SHA256, ticket.as_bytes()).as_ref());
        Ticket(octets)
    }
    /// Whether both are the same, in constant time.
    pub(crate) fn is(&self, other: &Ticket) -> bool {
        constant_time::verify_slices_are_equal(&*self.0, &*other.0).is_ok()
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(..)")
    }
}
