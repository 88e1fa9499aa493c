//! The `wampline` binary. Everything is in the library of the same name.

use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wampline::main(Instant::now())
}
