//! Octets arrive, whole and in order, however they are cut and whoever is slow.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Mode, Setup, connect, eventually, pattern, scratch_directory};
use crate::epoll::PollSize;
use crate::lanes::LaneBounds;
use crate::router::{Router, Sizes};
use crate::uring::RingSize;
use crate::{Driver, Endpoint};

fn round_trip(stream: &mut (impl Read + Write), octets: &[u8]) {
    stream.write_all(octets).unwrap();
    let mut back = vec![0; octets.len()];
    stream.read_exact(&mut back).unwrap();
    assert!(back == octets, "what came back is what went out");
}

fn small_messages_come_back(driver: Driver) {
    let router = Setup::on(driver).start();
    let mut stream = connect(&router, 0);
    for size in [1, 2, 64, 1000, 16 << 10, 16_385, 100_000] {
        round_trip(&mut stream, &pattern(size, size as u64));
    }
}

fn single_octets_come_back(driver: Driver) {
    let router = Setup { spin: Duration::from_micros(50), ..Setup::on(driver) }.start();
    let mut stream = connect(&router, 0);
    for octet in pattern(300, 9) {
        round_trip(&mut stream, &[octet]);
    }
}

fn many_connections_interleave(driver: Driver) {
    let router = Setup { shards: 2, ..Setup::on(driver) }.start();
    let mut streams: Vec<_> = (0..200).map(|_| connect(&router, 0)).collect();
    for round in 0..5 {
        for (index, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&pattern(700, (round * 1000 + index) as u64)).unwrap();
        }
        for (index, stream) in streams.iter_mut().enumerate() {
            let mut back = vec![0; 700];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, pattern(700, (round * 1000 + index) as u64));
        }
    }
}

/// Sends `octets` while reading them back in slow, small steps.
fn slow_transfer(router: &Router, listener: usize, octets: &[u8]) {
    let mut reader = connect(router, listener);
    let mut writer = reader.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(octets).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        let mut step = vec![0; 50_000];
        loop {
            let read = reader.read(&mut step).unwrap();
            if read == 0 {
                break;
            }
            back.extend_from_slice(&step[..read]);
            std::thread::sleep(Duration::from_micros(200));
        }
        assert_eq!(back.len(), octets.len());
        assert!(back == octets);
    });
}

fn ten_megabytes_through_a_slow_reader(driver: Driver) {
    let router = Setup::on(driver).start();
    slow_transfer(&router, 0, &pattern(10 << 20, 3));
}

fn buffers_that_run_out_lose_nothing(driver: Driver) {
    let sizes = Sizes {
        ring: RingSize { submissions: 8, completions: 16, buffers: 2, buffer_octets: 512 },
        poll: PollSize { events: 2, buffer_octets: 512, turn_octets: 1024 },
    };
    let router = Setup { sizes, ..Setup::on(driver) }.start();
    let octets = pattern(300_000, 4);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| slow_transfer(&router, 0, &octets));
        }
    });
    // epoll has one buffer, which is free whenever it is to be filled.
    let short = router.counters()[0].receive_buffers_short.load(Ordering::Relaxed);
    assert_eq!(short > 0, driver == Driver::Uring, "the shortage was real");
}

fn a_paused_connection_resumes_and_is_not_read_meanwhile(driver: Driver) {
    let router = Setup::on(driver).start();
    let mut stream = connect(&router, 0);
    let octets = pattern(64 << 20, 5);
    // Nobody reads the echo, so the core pauses and the writer must block long before the end.
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut written = 0;
    while let Ok(more) = stream.write(&octets[written..]) {
        written += more;
        assert!(written < octets.len(), "back pressure never came");
    }
    let mut back = vec![0; written];
    stream.read_exact(&mut back).unwrap();
    assert!(back == octets[..written]);
    stream.set_write_timeout(None).unwrap();
    round_trip(&mut stream, b"and on it goes");
}

fn a_half_closed_connection_gets_its_answer(driver: Driver) {
    let router = Setup::on(driver).start();
    let mut stream = connect(&router, 0);
    let octets = pattern(200_000, 6);
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&octets).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == octets);
    });
}

fn shards_relay_through_lanes_of_capacity_one(driver: Driver) {
    let lanes = LaneBounds { batches: 1, octets: 1000 };
    let router = Setup { shards: 3, modes: vec![Mode::Relay], lanes, ..Setup::on(driver) }.start();
    let octets = pattern(2 << 20, 7);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| slow_transfer(&router, 0, &octets));
        }
    });
    let refusals: u64 =
        router.counters().iter().map(|counters| counters.lane_refusals.load(Ordering::Relaxed)).sum();
    assert!(refusals > 0, "the lanes were full now and then");
}

fn a_parked_shard_is_woken_by_another(driver: Driver) {
    let router = Setup { shards: 2, modes: vec![Mode::Relay], ..Setup::on(driver) }.start();
    let mut streams = [connect(&router, 0), connect(&router, 0)];
    for round in 0..50 {
        for stream in &mut streams {
            round_trip(stream, &pattern(100, round));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let wakes: u64 = router.counters().iter().map(|counters| counters.wakes.load(Ordering::Relaxed)).sum();
    assert!(wakes > 0);
}

fn unix_sockets_work_alike(driver: Driver) {
    let directory = scratch_directory("unix");
    let path = directory.join("socket");
    let router = Setup::on(driver).start_at(vec![Endpoint::Unix(path.clone())]).unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    for size in [1, 5000, 60_000] {
        round_trip(&mut stream, &pattern(size, 8));
    }
    drop(router);
    assert!(!path.exists(), "the socket file is removed at the end");
    std::fs::remove_dir_all(directory).unwrap();
}

fn an_idle_router_does_not_turn(driver: Driver) {
    let router = Setup { shards: 2, ..Setup::on(driver) }.start();
    let _streams: Vec<_> = (0..10).map(|_| connect(&router, 0)).collect();
    let turns = || -> u64 { router.counters().iter().map(|one| one.turns.load(Ordering::Relaxed)).sum() };
    eventually("rest", || {
        let before = turns();
        std::thread::sleep(Duration::from_millis(200));
        turns() == before
    });
}

on_both_drivers! {
    small_messages_come_back,
    single_octets_come_back,
    many_connections_interleave,
    ten_megabytes_through_a_slow_reader,
    buffers_that_run_out_lose_nothing,
    a_paused_connection_resumes_and_is_not_read_meanwhile,
    a_half_closed_connection_gets_its_answer,
    shards_relay_through_lanes_of_capacity_one,
    a_parked_shard_is_woken_by_another,
    unix_sockets_work_alike,
    an_idle_router_does_not_turn,
}
