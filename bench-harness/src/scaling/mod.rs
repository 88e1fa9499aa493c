//! What grows with the number of shards and of sessions: measured costs, and a model of a router that is larger than the
//! machine at hand.
//!
//! [`measure`] runs up to 64 pure shards in one thread, so that what all of them spend on one operation is its processor
//! time in that thread. [`model`] adds such costs up. Does not: measure sockets or wake-ups, which are arguments.

pub mod measure;
pub mod model;
