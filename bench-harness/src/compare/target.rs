//! Routers: how one is started, waited for, and stopped with all that it has started.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::LOOK;
use crate::procfs;

/// A router to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Unique in a comparison.
    pub name: String,
    /// For `sh -c`; empty where it runs already (then its processes are not known, and nothing is stopped).
    pub command: String,
    /// What it speaks.
    pub scheme: Scheme,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a router speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// WAMP: RawSocket, and WebSocket at `/ws`, on one port.
    Wamp,
    /// The protocol of [`crate::floor`].
    Floor,
    /// NATS's own protocol.
    Nats,
}

/// How long a router may take until it accepts connections.
const START: Duration = Duration::from_secs(120);

/// How long it may take to end before it is killed.
const STOP: Duration = Duration::from_secs(10);

impl FromStr for Target {
    type Err = String;

    /// `NAME=COMMAND,URL`: the URL begins with `rs://` (WAMP), `floor://` or `nats://`.
    fn from_str(text: &str) -> Result<Target, String> {
        let expected =
            || "expected NAME=COMMAND,URL with rs://IP:PORT, floor://IP:PORT or nats://IP:PORT".to_owned();
        let (name, rest) = text.split_once('=').ok_or_else(expected)?;
        let (command, url) = rest.rsplit_once(',').ok_or_else(expected)?;
        let (scheme, address) = url.split_once("://").ok_or_else(expected)?;
        let scheme = match scheme {
            "rs" => Scheme::Wamp,
            "floor" => Scheme::Floor,
            "nats" => Scheme::Nats,
            _ => return Err(expected()),
        };
        let address = address.parse().map_err(|_| expected())?;
        if name.is_empty() || command.is_empty() {
            return Err(expected());
        }
        Ok(Target { name: name.to_owned(), command: command.to_owned(), scheme, address })
    }
}

/// What the ready profiles need to know.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where the programs of this workspace lie.
    pub programs: PathBuf,
    /// The root of the repository.
    pub repository: PathBuf,
    /// Shards of Wampline.
    pub shards: u32,
    /// The first of the ports that profiles listen on.
    pub port: u16,
}

/// The names of the ready profiles.
pub const PROFILES: [&str; 7] =
    ["wampline", "wampline-uring", "wampline-epoll", "crossbar", "nats", "floor-epoll", "floor-uring"];

impl Target {
    /// A ready profile.
    pub fn profile(name: &str, places: &Places) -> Option<Target> {
        let offset = PROFILES.iter().position(|profile| *profile == name)?;
        let address = SocketAddr::from(([127, 0, 0, 1], places.port + offset as u16));
        let program = |name: &str| quoted(&places.programs.join(name));
        let shards = places.shards;
        let wampline = |driver: &str| {
            format!("exec {} run --listen {address} --shards {shards}{driver}", program("wampline"))
        };
        let floor = |io: &str| format!("exec {} --listen {address} --io {io}", program("wampline-floor"));
        let port = address.port();
        let (scheme, command) = match name {
            "wampline" => (Scheme::Wamp, wampline("")),
            "wampline-uring" => (Scheme::Wamp, wampline(" --driver uring")),
            "wampline-epoll" => (Scheme::Wamp, wampline(" --driver epoll")),
            "crossbar" => {
                let script = quoted(&places.repository.join("perf/crossbar.sh"));
                (Scheme::Wamp, format!("exec {script} {port}"))
            }
            "nats" => (Scheme::Nats, format!("exec nats-server --addr 127.0.0.1 --port {port}")),
            "floor-epoll" => (Scheme::Floor, floor("epoll")),
            _ => (Scheme::Floor, floor("uring")),
        };
        Some(Target { name: name.to_owned(), command, scheme, address })
    }
}

/// A router that runs. Stopped when dropped.
#[derive(Debug)]
pub struct Running {
    /// What it was started as.
    pub target: Target,
    child: Child,
}

impl Running {
    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not accept in time; when its address is taken.
    pub fn start(target: &Target, interrupted: &AtomicBool) -> Result<Running, String> {
        let name = &target.name;
        if accepts(target.address) {
            return Err(format!("{name}: somebody listens on {} already", target.address));
        }
        let child = Command::new("sh")
            .args(["-c", &target.command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What the keyboard says to this program is not for the router, which is stopped in order.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{name}: sh: {error}"))?;
        let mut running = Running { target: target.clone(), child };
        let deadline = Instant::now() + START;
        while !accepts(target.address) {
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(format!("{name}: `{}` ended: {status}", target.command));
            }
            if interrupted.load(Ordering::Relaxed) || Instant::now() > deadline {
                return Err(format!("{name}: does not accept connections on {}", target.address));
            }
            thread::sleep(LOOK);
        }
        Ok(running)
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        procfs::tree(self.child.id())
    }

    /// Whether its first process lives.
    pub fn is_alive(&self) -> bool {
        procfs::birth(self.child.id()).is_some()
    }

    fn stop(&mut self) {
        let processes: BTreeMap<u32, u64> =
            self.pids().into_iter().filter_map(|pid| Some((pid, procfs::birth(pid)?))).collect();
        // The first process tells the others; those that are left behind get it next.
        signal("TERM", &self.child.id().to_string());
        let alive = || -> Vec<u32> {
            let same = processes.iter().filter(|(pid, birth)| procfs::birth(**pid) == Some(**birth));
            same.map(|(pid, _)| *pid).collect()
        };
        for (after, name) in [(STOP / 2, "TERM"), (STOP / 2, "KILL")] {
            let deadline = Instant::now() + after;
            while !alive().is_empty() && Instant::now() < deadline {
                thread::sleep(LOOK);
            }
            signal(name, &alive().iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
        }
        // Who came into being meanwhile is in the group. Its number is not used again: its first process is not reaped yet.
        signal("KILL", &format!("-{}", self.child.id()));
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// Sends a signal to these processes, with the shell's own `kill`.
fn signal(name: &str, processes: &str) {
    if processes.is_empty() {
        return;
    }
    let command = format!("kill -{name} {processes}");
    // Who has ended meanwhile cannot be told.
    let _ = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
