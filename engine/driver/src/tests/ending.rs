//! Connections and routers end without leaving anything behind, and without taking anything away.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::SockRef;
use wampline_shard::ShutdownMode;

use super::{
    Mode, PATIENCE, Setup, address, connect, eventually, in_own_process, is_own_process, own_process, pattern,
};
use crate::Driver;
use crate::router::Router;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn sockets(router: &Router) -> u64 {
    router.counters().iter().map(|one| one.sockets.load(Ordering::Relaxed)).sum()
}

fn the_last_octets_arrive_before_the_close_though_input_is_unread(driver: Driver) {
    let router = Setup { modes: vec![Mode::AnswerAndClose(150_000)], ..Setup::on(driver) }.start();
    for _ in 0..20 {
        let mut stream = connect(&router, 0);
        stream.write_all(b"go").unwrap();
        // More input, which the core ignores: a plain close would now answer with a reset.
        let _ = stream.write_all(&pattern(100_000, 1));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer == vec![7; 150_000]);
    }
}

fn a_peer_that_never_closes_is_given_a_second(driver: Driver) {
    let router = Setup { modes: vec![Mode::AnswerAndClose(10)], ..Setup::on(driver) }.start();
    let mut stream = connect(&router, 0);
    stream.write_all(b"go").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let start = Instant::now();
    // Once the socket is really closed, writing fails.
    eventually("the end", || stream.write_all(b"x").is_err());
    assert!(start.elapsed() > Duration::from_millis(500), "it lingered");
}

fn abort_resets(driver: Driver) {
    let router = Setup { modes: vec![Mode::Abort], ..Setup::on(driver) }.start();
    let mut stream = connect(&router, 0);
    stream.write_all(b"go").unwrap();
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn a_deadline_of_the_core_is_kept(driver: Driver) {
    let router = Setup { modes: vec![Mode::CloseAfter(150_000_000)], ..Setup::on(driver) }.start();
    let start = Instant::now();
    let mut streams: Vec<_> = (0..5).map(|_| connect(&router, 0)).collect();
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
    }
    assert!(start.elapsed() >= Duration::from_millis(140), "{:?}", start.elapsed());
}

fn ten_thousand_connections_leave_no_descriptor(driver: Driver) {
    if !in_own_process(driver, "ending", "ten_thousand_connections_leave_no_descriptor") {
        return;
    }
    let router = Setup { shards: 2, modes: vec![Mode::Echo, Mode::Abort], ..Setup::on(driver) }.start();
    drop(connect(&router, 0));
    // The router is up when it has taken one over: until then no socket is open either.
    eventually("the first end", || sockets(&router) == 1 && router.open_sockets() == 0);
    let before = open_descriptors();
    for round in 0..100 {
        let mut streams: Vec<_> =
            (0..100).map(|index| connect(&router, usize::from(index % 10 == 0))).collect();
        for (index, stream) in streams.iter_mut().enumerate() {
            // Some end silently, some reset, some half way through an echo, some after it.
            match (index + round) % 4 {
                0 => {}
                1 => SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap(),
                2 => stream.write_all(&pattern(5000, 1)).unwrap(),
                _ => {
                    let _ = stream.write_all(b"ping").and_then(|()| stream.read_exact(&mut [0; 4]));
                }
            }
        }
    }
    let lost =
        || -> u64 { router.counters().iter().map(|one| one.sockets_lost.load(Ordering::Relaxed)).sum() };
    eventually("the arrival of all", || sockets(&router) + lost() == 10_001);
    eventually("the end of all", || router.open_sockets() == 0);
    eventually("the return of all descriptors", || open_descriptors() <= before);
}

fn a_reset_in_the_middle_of_a_send_ends_the_connection(driver: Driver) {
    let router = Setup { modes: vec![Mode::Pour(32 << 20)], ..Setup::on(driver) }.start();
    for _ in 0..10 {
        let mut stream = connect(&router, 0);
        stream.write_all(b"go").unwrap();
        stream.read_exact(&mut [0; 100_000]).unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    eventually("the end of all", || router.open_sockets() == 0);
}

fn connections_spread_evenly_even_in_bursts(driver: Driver) {
    let router = Setup { shards: 4, ..Setup::on(driver) }.start();
    let mut streams: Vec<_> = (0..100).map(|_| connect(&router, 0)).collect();
    eventually("taking over", || sockets(&router) == 100);
    let by_shard: Vec<u64> =
        router.counters().iter().map(|one| one.sockets.load(Ordering::Relaxed)).collect();
    assert_eq!(by_shard, [25, 25, 25, 25]);
    streams.truncate(50);
    eventually("the end of half", || router.open_sockets() == 50);
    streams.extend((0..50).map(|_| connect(&router, 0)));
    eventually("taking over again", || router.open_sockets() == 100);
    assert_eq!(router.open_sockets_by_shard(), [25, 25, 25, 25]);
}

fn a_listener_refuses_more_than_its_most(driver: Driver) {
    let router = Setup { connections_max: Some(3), shards: 2, ..Setup::on(driver) }.start();
    let kept: Vec<_> = (0..3).map(|_| connect(&router, 0)).collect();
    eventually("taking over", || sockets(&router) == 3);
    let mut refused = connect(&router, 0);
    let ended = refused.read(&mut [0; 1]);
    assert!(matches!(&ended, Ok(0)) || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(router.counters()[0].accepts_over_limit.load(Ordering::Relaxed), 1);
    drop(kept);
    eventually("room", || router.open_sockets() == 0);
    let mut welcome = connect(&router, 0);
    welcome.write_all(b"hi").unwrap();
    welcome.read_exact(&mut [0; 2]).unwrap();
}

fn shutdown_drains_closes_the_listeners_and_ends(driver: Driver) {
    let router = Setup { shards: 3, ..Setup::on(driver) }.start();
    let address = address(&router, 0);
    let mut streams: Vec<_> = (0..9).map(|_| connect(&router, 0)).collect();
    for stream in &mut streams {
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
    }
    router.shutdown(ShutdownMode::Goodbye, Duration::from_secs(30));
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "an orderly end of stream");
    }
    drop(streams);
    let start = Instant::now();
    router.join();
    assert!(start.elapsed() < Duration::from_secs(20), "well within the grace");
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

fn the_grace_ends_a_shutdown_that_does_not_drain(driver: Driver) {
    let router = Setup { shards: 2, modes: vec![Mode::Pour(32 << 20)], ..Setup::on(driver) }.start();
    let mut streams: Vec<_> = (0..4).map(|_| connect(&router, 0)).collect();
    for stream in &mut streams {
        stream.write_all(b"go").unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
    }
    let start = Instant::now();
    router.shutdown(ShutdownMode::Restart, Duration::from_millis(300));
    router.join();
    assert!(start.elapsed() >= Duration::from_millis(300));
    for mut stream in streams {
        assert!(stream.read_to_end(&mut Vec::new()).is_err(), "what did not drain is reset");
    }
}

fn dropping_a_router_ends_it_and_leaves_no_descriptor(driver: Driver) {
    if !in_own_process(driver, "ending", "dropping_a_router_ends_it_and_leaves_no_descriptor") {
        return;
    }
    let before = open_descriptors();
    for _ in 0..5 {
        let router = Setup { shards: 2, ..Setup::on(driver) }.start();
        let stream = connect(&router, 0);
        drop(router);
        drop(stream);
    }
    // glommio itself keeps one eventfd for each executor that has ended.
    eventually("the return of all descriptors", || open_descriptors() <= before + 10);
}

fn starting_is_fast(driver: Driver) {
    drop(Setup { shards: 2, ..Setup::on(driver) }.start());
    let fastest = (0..5).map(|_| {
        let start = Instant::now();
        let router = Setup { shards: 2, ..Setup::on(driver) }.start();
        let elapsed = start.elapsed();
        drop(connect(&router, 0));
        elapsed
    });
    let fastest = fastest.min().unwrap();
    println!("start with 2 shards: {fastest:?}");
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
}

fn accepting_survives_a_want_of_descriptors(driver: Driver) {
    if !in_own_process(driver, "ending", "accepting_survives_a_want_of_descriptors") {
        return;
    }
    let router = Setup { shards: 2, ..Setup::on(driver) }.start();
    let mut first = connect(&router, 0);
    first.write_all(b"one").unwrap();
    first.read_exact(&mut [0; 3]).unwrap();
    // Every descriptor but one, which the next client takes: none is left for the accept.
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    drop(hoard.pop());
    let mut second = connect(&router, 0);
    let starved = || router.counters()[0].accepts_starved.load(Ordering::Relaxed);
    eventually("the want", || starved() >= 3);
    let turns = router.counters()[0].turns.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(500));
    assert!(router.counters()[0].turns.load(Ordering::Relaxed) - turns < 50, "it does not spin meanwhile");
    first.write_all(b"two").unwrap();
    first.read_exact(&mut [0; 3]).unwrap();
    drop(hoard);
    second.write_all(b"three").unwrap();
    second.read_exact(&mut [0; 5]).unwrap();
}

fn a_panic_in_a_shard_ends_the_process(driver: Driver) {
    let name = "a_panic_in_a_shard_ends_the_process";
    if is_own_process() {
        let router = Setup { shards: 2, modes: vec![Mode::Panic], ..Setup::on(driver) }.start();
        let mut stream = connect(&router, 0);
        stream.write_all(b"go").unwrap();
        let _ = stream.read(&mut [0; 1]);
        std::thread::sleep(PATIENCE);
        std::process::exit(0);
    }
    let output = own_process(driver, "ending", name).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the router cannot go on: the test asked for it"), "{said}");
}

on_both_drivers! {
    the_last_octets_arrive_before_the_close_though_input_is_unread,
    a_peer_that_never_closes_is_given_a_second,
    abort_resets,
    a_deadline_of_the_core_is_kept,
    ten_thousand_connections_leave_no_descriptor,
    a_reset_in_the_middle_of_a_send_ends_the_connection,
    connections_spread_evenly_even_in_bursts,
    a_listener_refuses_more_than_its_most,
    shutdown_drains_closes_the_listeners_and_ends,
    the_grace_ends_a_shutdown_that_does_not_drain,
    dropping_a_router_ends_it_and_leaves_no_descriptor,
    starting_is_fast,
    accepting_survives_a_want_of_descriptors,
    a_panic_in_a_shard_ends_the_process,
}
