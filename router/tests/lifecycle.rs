//! The running router from outside: signals, limits of the system, addresses that are taken, a log that nobody reads.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use support::running::Running;
use support::{Ended, folder, wampline};

/// RawSocket with JSON and messages of up to 2^24 octets.
const HANDSHAKE: [u8; 4] = [0x7F, 0xF1, 0, 0];

fn shakes_hands(mut stream: impl Read + Write) -> bool {
    let mut answer = [0; 4];
    stream.write_all(&HANDSHAKE).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == HANDSHAKE
}

/// A session that reads nothing further and never says goodbye.
fn silent_session(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let hello = br#"[1,"realm1",{"roles":{"caller":{}}}]"#;
    stream.write_all(&HANDSHAKE).unwrap();
    stream.write_all(&[0, 0, 0, hello.len() as u8]).unwrap();
    stream.write_all(hello).unwrap();
    let mut welcome = [0; 4 + 4 + 3];
    stream.read_exact(&mut welcome).unwrap();
    assert_eq!(&welcome[8..], b"[2,");
    stream
}

#[test]
fn a_signal_that_comes_twice_at_once_counts_once() {
    let router = Running::start(["--listen", "127.0.0.1:0"]);
    let _session = silent_session(router.endpoint());
    router.signals(&["TERM", "TERM", "INT"]);
    let (code, log) = router.end();
    assert_eq!((code, log.contains("stopped")), (Some(0), true), "{log}");
}

#[test]
fn another_signal_ends_at_once() {
    let folder = folder("second-signal");
    let config = folder.join("wampline.toml");
    std::fs::write(&config, "[limits]\nclose_timeout = \"60s\"\n[router]\nshutdown_grace = \"60s\"\n")
        .unwrap();
    let mut router = Running::start(["run", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let _session = silent_session(router.endpoint());
    while router.is_alive() {
        router.signal("INT");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, log) = router.end();
    assert_eq!((code, log.contains("ending at once")), (Some(130), true), "{log}");
}

#[test]
fn a_hangup_shuts_down_in_order_unless_it_is_ignored() {
    let router = Running::start(["--listen", "127.0.0.1:0"]);
    router.signal("HUP");
    let (code, log) = router.end();
    assert_eq!((code, log.contains("signal=\"SIGHUP\"")), (Some(0), true), "{log}");

    let router = Running::start_in_shell("trap '' HUP", ["--listen", "127.0.0.1:0"]);
    router.signal("HUP");
    router.signal("TERM");
    let (code, log) = router.end();
    assert_eq!((code, log.contains("signal=\"SIGTERM\"")), (Some(0), true), "{log}");
}

#[test]
fn limits_of_the_system_are_explained() {
    for (limit, needed, code) in [
        ("ulimit -n 20", "raise it with `ulimit -n 65536`", 1),
        ("ulimit -n 8", "2 shards need at least 64", 1),
        ("ulimit -l 64", "`LimitMEMLOCK=8M` in a systemd unit", 2),
    ] {
        let script = format!("{limit}; exec \"$0\" --shards 2 --listen 127.0.0.1:0");
        let output =
            Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_wampline")]).output().unwrap();
        let ended = Ended::from(output);
        assert_eq!((ended.code, ended.stderr.contains(needed)), (Some(code), true), "{limit}: {ended:?}");
    }
}

#[test]
fn an_address_in_use_stays_with_its_owner() {
    let first = Running::start(["--listen", "127.0.0.1:0"]);
    let second = wampline(["--listen", first.endpoint()]);
    let explained = second.stderr.contains("another process is using this address");
    assert_eq!((second.code, explained), (Some(1), true), "{second:?}");
    assert!(shakes_hands(TcpStream::connect(first.endpoint()).unwrap()));
    first.signal("TERM");
    assert_eq!(first.end().0, Some(0));
}

#[test]
fn a_killed_router_leaves_nothing_in_the_way() {
    let path = folder("killed").join("router.sock");
    let endpoint = format!("unix:{}", path.display());
    let listen = ["--listen", endpoint.as_str()];
    let first = Running::start(listen);
    first.signal("KILL");
    assert_eq!(first.end().0, None, "killed");
    assert!(path.exists(), "left behind");

    let second = Running::start(listen);
    let third = wampline(listen);
    let explained = third.stderr.contains("another process is listening there");
    assert_eq!((third.code, explained), (Some(1), true), "{third:?}");
    assert!(shakes_hands(UnixStream::connect(&path).unwrap()), "the second is not disturbed");
    second.signal("TERM");
    assert_eq!(second.end().0, Some(0));
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn a_log_that_nobody_reads_is_no_reason_to_stop() {
    let mut router = Running::start(["--listen", "127.0.0.1:0", "--log-level", "debug"]);
    router.close_log();
    for _ in 0..3 {
        assert!(shakes_hands(TcpStream::connect(router.endpoint()).unwrap()));
    }
    router.signal("TERM");
    assert_eq!(router.end().0, Some(0));

    let path = folder("full-log").join("router.sock");
    let mut router = Command::new(env!("CARGO_BIN_EXE_wampline"))
        .args(["--listen", &format!("unix:{}", path.display())])
        .stderr(std::fs::File::create("/dev/full").unwrap())
        .spawn()
        .unwrap();
    while UnixStream::connect(&path).map_or(true, |stream| !shakes_hands(stream)) {
        assert!(router.try_wait().unwrap().is_none(), "it goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let stop = format!("kill -TERM {}", router.id());
    assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
    assert_eq!(router.wait().unwrap().code(), Some(0));
}
