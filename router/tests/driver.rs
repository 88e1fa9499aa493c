//! Which driver the binary takes, where io_uring can be used and where it cannot, and that it serves with it.
//!
//! io_uring is denied as in a container: by a seccomp filter, which a thread puts on itself and its child inherits.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use support::folder;

/// What happens to a process that tries to use io_uring.
#[derive(Clone, Copy, Debug)]
enum Uring {
    /// What the kernel has in mind.
    Untouched,
    /// It is told that it may not, as under a container's default profile.
    Denied,
    /// It is killed.
    Deadly,
    /// Descriptors are there for some rings, but not for those of 16 shards.
    Scarce,
}

/// A program to be run with these arguments, whose output is of interest.
fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn spawn(uring: Uring, arguments: &[&str]) -> Child {
    let binary = env!("CARGO_BIN_EXE_wampline");
    let mut router = command(binary, arguments);
    let action = match uring {
        Uring::Untouched => return router.spawn().unwrap(),
        Uring::Scarce => {
            let limited = ["-c", "ulimit -n 100; exec \"$0\" \"$@\"", binary];
            return command("sh", &[&limited[..], arguments].concat()).spawn().unwrap();
        }
        Uring::Denied => SeccompAction::Errno(libc::EPERM as u32),
        Uring::Deadly => SeccompAction::KillProcess,
    };
    let calls = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
    let rules: BTreeMap<i64, _> = calls.map(|call| (call, Vec::new())).into();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    let spawner = std::thread::spawn(move || {
        apply_filter(&filter).unwrap();
        router.spawn().unwrap()
    });
    spawner.join().unwrap()
}

/// A router that listens on a port of its own.
struct Serving {
    process: Child,
    log: BufReader<std::process::ChildStderr>,
    said: String,
    port: u16,
}

impl Serving {
    fn start(uring: Uring, arguments: &[&str]) -> Serving {
        let arguments = [arguments, &["--listen", "127.0.0.1:0"]].concat();
        let mut process = spawn(uring, &arguments);
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let (mut said, mut port) = (String::new(), None);
        while !said.contains(": ready ") {
            let before = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "{uring:?} {arguments:?}: it ended: {said}");
            if let Some((_, rest)) = said[before..].split_once("listening endpoint=127.0.0.1:") {
                port = rest.split_whitespace().next().map(|port| port.parse().unwrap());
            }
        }
        Serving { process, log, said, port: port.unwrap() }
    }

    /// What the log says about the driver, which it does once.
    fn driver(&self) -> &str {
        let lines: Vec<&str> = self.said.lines().filter(|line| line.contains("driver chosen")).collect();
        let [line] = lines[..] else { panic!("the choice is logged once: {}", self.said) };
        line
    }

    /// A session over RawSocket and JSON.
    fn greet(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let hello = br#"[1,"realm1",{"roles":{"caller":{}}}]"#;
        stream.write_all(&[0x7f, 0xf1, 0, 0, 0, 0, 0, hello.len() as u8]).unwrap();
        stream.write_all(hello).unwrap();
        let mut answer = [0; 11];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!((answer[0], &answer[8..]), (0x7f, &b"[2,"[..]), "WELCOME: {answer:?}");
    }

    /// Ends it in order.
    fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.log.read_to_string(&mut self.said).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "{}", self.said);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn refused(uring: Uring, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = spawn(uring, arguments).wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn auto_serves_with_io_uring_where_it_can_be_used() {
    let router = Serving::start(Uring::Untouched, &[]);
    assert!(router.driver().contains("driver=\"uring\""), "{}", router.driver());
    router.greet();
    router.stop();
}

#[test]
fn auto_serves_with_epoll_where_io_uring_is_denied() {
    let router = Serving::start(Uring::Denied, &[]);
    assert!(router.driver().contains("driver=\"epoll\""), "{}", router.driver());
    assert!(router.driver().contains("denied by a seccomp filter"), "{}", router.driver());
    router.greet();
    router.stop();
}

#[test]
fn auto_serves_with_epoll_where_the_rings_of_all_shards_cannot_be_had() {
    let router = Serving::start(Uring::Scarce, &["--shards", "16"]);
    assert!(router.driver().contains("driver=\"epoll\""), "{}", router.driver());
    assert!(router.driver().contains("the rings of a shard cannot be set up"), "{}", router.driver());
    router.greet();
    router.stop();
    let line = ["--driver", "uring", "--listen", "127.0.0.1:0", "--shards", "16"];
    let (code, said) = refused(Uring::Scarce, &line);
    assert!(code == Some(2) && said.contains("--driver epoll"), "{code:?}: {said}");
}

#[test]
fn uring_that_is_denied_is_exit_code_2_with_advice() {
    for subcommand in ["run", "testee"] {
        let line = [subcommand, "--driver", "uring", "--listen", "127.0.0.1:0"];
        let (code, said) = refused(Uring::Denied, &line);
        assert_eq!(code, Some(2), "{said}");
        for advice in ["denied by a seccomp filter", "io_uring_setup", "--driver epoll", "--driver auto"] {
            assert!(said.contains(advice), "{advice}: {said}");
        }
    }
}

#[test]
fn epoll_never_touches_io_uring() {
    let router = Serving::start(Uring::Deadly, &["run", "--driver", "epoll"]);
    assert!(router.driver().contains("driver=\"epoll\""), "{}", router.driver());
    router.greet();
    router.stop();
    // The rule is what it is said to be.
    let (code, said) = refused(Uring::Deadly, &["--driver", "auto", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, None, "killed by a signal: {said}");
}

#[test]
fn the_command_line_wins_over_the_file() {
    let path = folder("driver").join("wampline.toml");
    std::fs::write(&path, "[router]\ndriver = \"uring\"\n").unwrap();
    let path = path.to_str().unwrap();
    let (code, said) = refused(Uring::Denied, &["--config", path, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(2), "{said}");
    let router = Serving::start(Uring::Denied, &["--config", path, "--driver", "epoll"]);
    router.greet();
    router.stop();
}
