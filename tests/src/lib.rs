//! What the tests of the whole need: shards under a virtual clock, clients that do not share the router's codec,
//! transcripts, and a simulation with an oracle.

pub mod codec;
pub mod config;
pub mod fuzz;
pub mod peer;
pub mod roles;
pub mod sim;
pub mod stage;
pub mod world;
