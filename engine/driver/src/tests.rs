//! Both drivers over an echo core: real sockets, real rings, no engine.
#![allow(clippy::unwrap_used)]

/// Makes a test for each driver of each function that takes one.
macro_rules! on_both_drivers {
    ($($test:ident),+ $(,)?) => {
        mod uring {
            $(#[test]
            fn $test() {
                super::$test(crate::Driver::Uring);
            })+
        }
        mod epoll {
            $(#[test]
            fn $test() {
                super::$test(crate::Driver::Epoll);
            })+
        }
    };
}

mod echo;
mod edges;
mod ending;
mod hooks;
mod load;
mod runs;
mod transfer;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::lanes::LaneBounds;
use crate::router::{Plan, Router, Sizes, start_cores};
use crate::{Driver, DriverChoice, DriverConfig, Endpoint, Hook, StartError};
use echo::{Echo, EchoSetup, Mode};

/// A guard against hanging, generous because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test's router is like.
struct Setup {
    driver: Driver,
    shards: usize,
    /// One listener each.
    modes: Vec<Mode>,
    spin: Duration,
    lanes: LaneBounds,
    sizes: Sizes,
    connections_max: Option<usize>,
    hooks: Vec<Hook>,
}

impl Setup {
    fn on(driver: Driver) -> Setup {
        Setup {
            driver,
            shards: 1,
            modes: vec![Mode::Echo],
            spin: Duration::ZERO,
            lanes: LaneBounds::default(),
            sizes: Sizes::default(),
            connections_max: None,
            hooks: Vec::new(),
        }
    }

    fn start(self) -> Router {
        let endpoints = self.modes.iter().map(|_| Endpoint::Tcp("127.0.0.1:0".parse().unwrap())).collect();
        self.start_at(endpoints).unwrap()
    }

    fn start_at(self, endpoints: Vec<Endpoint>) -> Result<Router, StartError> {
        let driver = match self.driver {
            Driver::Uring => DriverChoice::Uring,
            Driver::Epoll => DriverChoice::Epoll,
        };
        let driver = DriverConfig {
            driver,
            shards: Some(self.shards),
            pin: true,
            spin: self.spin,
            endpoints,
            hooks: self.hooks,
        };
        let mut plan = Plan::new(&driver, vec![self.connections_max; self.modes.len()])?;
        plan.lanes = self.lanes;
        plan.sizes = self.sizes;
        let setup = EchoSetup { modes: self.modes, shards: self.shards as u16 };
        assert_eq!(plan.chosen.driver, self.driver);
        start_cores(&driver, plan, move |id, _seed, _now| Echo::new(id, setup.clone()))
    }
}

/// The address of a TCP listener.
fn address(router: &Router, listener: usize) -> SocketAddr {
    match &router.endpoints()[listener] {
        Endpoint::Tcp(address) => *address,
        Endpoint::Unix(_) => panic!("not a TCP listener"),
    }
}

fn connect(router: &Router, listener: usize) -> TcpStream {
    let stream = TcpStream::connect(address(router, listener)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until `condition` holds.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Octets that tell their place.
fn pattern(len: usize, seed: u64) -> Vec<u8> {
    (0..len as u64).map(|index| (index.wrapping_mul(0x9E37_79B9).wrapping_add(seed) >> 7) as u8).collect()
}

/// Set in a process that a test starts for itself.
const OWN_PROCESS: &str = "WAMPLINE_DRIVER_TEST_OWN_PROCESS";

fn is_own_process() -> bool {
    std::env::var_os(OWN_PROCESS).is_some()
}

/// The command that runs one test of a module in a process of its own.
fn own_process(driver: Driver, module: &str, test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("tests::{module}::{}::{test}", driver.name());
    command.args(["--exact", &test, "--nocapture"]).env(OWN_PROCESS, "1");
    command
}

/// For tests that count or exhaust what the whole process shares: runs the test again, in a process of its own. The test
/// returns at once if this gives false.
fn in_own_process(driver: Driver, module: &str, test: &str) -> bool {
    if is_own_process() {
        return true;
    }
    let output = own_process(driver, module, test).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// A fresh directory for one test.
pub(crate) fn scratch_directory(name: &str) -> PathBuf {
    let unique = getrandom::u64().unwrap();
    let path = std::env::temp_dir().join(format!("wampline-{name}-{unique:016x}"));
    std::fs::create_dir_all(&path).unwrap();
    path
}
