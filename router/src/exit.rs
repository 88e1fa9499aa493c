//! Exit codes. They are part of the interface: scripts and service managers decide by them.

/// Done, or shut down in order.
pub const OK: u8 = 0;
/// The configuration is not valid, or the router could not start (an address is taken, a limit of the system).
pub const FAILED: u8 = 1;
/// io_uring was asked for and is missing or denied.
pub const NO_URING: u8 = 2;
/// `authz check`: not the configuration decides, but an authorizer.
pub const UNDECIDED: u8 = 3;
/// `authz check`: denied.
pub const DENIED: u8 = 4;
/// The command line is not valid.
pub const USAGE: u8 = 64;

/// A second signal ended the process before an orderly shutdown was over: 129 for SIGHUP, 130 for SIGINT, 143 for
/// SIGTERM.
pub const fn signalled(signal: i32) -> i32 {
    128 + signal
}
