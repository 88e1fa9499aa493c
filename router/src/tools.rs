//! The tools beside the router: keys, records of passwords, and what a configuration permits.
//!
//! They open no socket and read nothing but what they are told to.

mod authz;
mod hash;
mod keygen;

pub use authz::AuthzCheckArguments;
pub(crate) use authz::{AUTHZ_HELP, authz_check};
pub use hash::HashArguments;
pub(crate) use hash::{HASH_HELP, hash};
pub use keygen::KeygenArguments;
pub(crate) use keygen::{KEYGEN_HELP, keygen};

/// Random octets that nobody can guess.
fn random(octets: &mut [u8]) {
    aws_lc_rs::rand::fill(octets).expect("invariant: the system has random numbers");
}
