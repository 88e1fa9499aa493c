//! Where a shard's randomness comes from: one seed, given at its start.
//!
//! What nobody may guess (challenges, nonces, the authids of sessions that are nobody) comes from a cipher keyed with the
//! seed. What merely must differ or be spread (ids, the choice of a callee, hash tables) comes from a quick generator, whose
//! seed is drawn from the cipher: to see through it tells nothing of the rest.

use std::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// What a shard draws all its randomness from. In a router it must come from the system's source of random numbers.
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl From<[u8; 32]> for Seed {
    fn from(octets: [u8; 32]) -> Seed {
        Seed(octets)
    }
}

/// For runs that are to be repeated: everything drawn from such a seed can be guessed.
impl From<u64> for Seed {
    fn from(number: u64) -> Seed {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&number.to_le_bytes());
        Seed(octets)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// Random octets that nobody can guess who does not know the seed.
pub(crate) struct Unguessable(ChaCha20Rng);

impl Unguessable {
    pub(crate) fn new(seed: &Seed) -> Unguessable {
        Unguessable(ChaCha20Rng::from_seed(seed.0))
    }

    pub(crate) fn fill(&mut self, octets: &mut [u8]) {
        self.0.fill_bytes(octets);
    }

    /// A quick generator for what may be guessed.
    pub(crate) fn quick(&mut self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.0.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_octets_and_another_one_others() {
        let draw = |seed: u64| {
            let mut source = Unguessable::new(&seed.into());
            let mut octets = [0; 40];
            source.fill(&mut octets);
            (octets, source.quick().u64(..))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7).0, draw(8).0);
        assert_ne!(draw(7).1, draw(8).1);
    }
}
