//! `wampline-floor`: the forwarder without WAMP, the yardstick for a router. See `wampline_bench::floor`.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use wampline_bench::floor::{Address, epoll, uring};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Forwards the same octets between the same sockets as a router would, without WAMP, on one thread.
///
/// A client sends one octet: P (publisher), S (subscriber), C (caller), E (callee), and gets it back. Then messages with a
/// RawSocket header: from P to every S; from caller number i to callee number i modulo their number; from E to the
/// caller whose number is the message's last octet.
#[derive(Debug, Parser)]
#[command(name = "wampline-floor", version)]
struct Arguments {
    /// Where to listen: IP:PORT or unix:PATH
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    listen: Address,
    /// How to wait, receive and send
    #[arg(long, value_enum, default_value_t = Io::Epoll)]
    io: Io,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Io {
    /// One system call per wait, receive and send
    Epoll,
    /// io_uring: one system call per turn
    Uring,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = match arguments.io {
        Io::Epoll => epoll::run,
        Io::Uring => uring::run,
    };
    match arguments.listen.listen().and_then(|listener| run(&listener)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wampline-floor: {:?}: {error}", arguments.listen);
            ExitCode::from(2)
        }
    }
}
