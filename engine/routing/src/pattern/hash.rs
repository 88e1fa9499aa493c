//! Keyed hashes of URIs and of their components.

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;

/// Hashes URIs under a secret key, so that nobody can choose URIs that collide.
///
/// Tables that share a hasher share hashes: what several of them look up is hashed once.
#[derive(Clone, Debug)]
pub struct UriHasher(RandomState);

/// The hash of a whole URI by one [`UriHasher`] and its clones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UriHash(pub(crate) u64);

#[cfg(test)]
impl UriHash {
    /// Whatever hash a test needs.
    pub(crate) fn forced(hash: u64) -> UriHash {
        UriHash(hash)
    }
}

impl UriHasher {
    /// A hasher with a key drawn from the operating system's randomness.
    pub fn new() -> UriHasher {
        UriHasher(RandomState::new())
    }

    /// A hasher whose key follows from `seed`, which must be secret where clients are not trusted.
    pub fn with_seed(seed: u64) -> UriHasher {
        UriHasher(RandomState::with_seeds(seed, !seed, seed.rotate_left(32), 0x5741_4d50))
    }

    /// The hash of this URI.
    pub fn hash(&self, uri: &str) -> UriHash {
        let mut hasher = self.0.build_hasher();
        hasher.write(uri.as_bytes());
        UriHash(hasher.finish())
    }

    /// The hash of a component at a position.
    pub(super) fn component(&self, position: usize, component: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_usize(position);
        hasher.write(component);
        hasher.finish()
    }
}

impl Default for UriHasher {
    fn default() -> UriHasher {
        UriHasher::new()
    }
}
