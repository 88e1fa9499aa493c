//! What a driver that is told of something once must not miss, and whom it must not forget over somebody else.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use super::{Mode, PATIENCE, Setup, connect, eventually, pattern, scratch_directory};
use crate::{Driver, Endpoint};

on_both_drivers! {
    octets_and_end_that_come_together_are_both_seen,
    what_stands_behind_an_urgent_octet_is_read,
    a_busy_connection_starves_nobody,
    a_reset_while_nothing_is_read_ends_the_connection,
    a_unix_socket_that_was_full_goes_on,
    a_connection_that_was_full_again_and_again_goes_on,
    a_connection_that_stops_and_starts_misses_nothing,
}

fn octets_and_end_that_come_together_are_both_seen(driver: Driver) {
    let router = Setup::on(driver).start();
    for round in 0..300 {
        let mut stream = connect(&router, 0);
        let octets = pattern(1 + round * 7, round as u64);
        stream.write_all(&octets).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == octets, "round {round}");
    }
}

fn what_stands_behind_an_urgent_octet_is_read(driver: Driver) {
    let router = Setup::on(driver).start();
    for round in 0..50 {
        let mut stream = connect(&router, 0);
        let (before, after) = (pattern(1000, round), pattern(3000, round + 1));
        stream.write_all(&before).unwrap();
        SockRef::from(&stream).send_out_of_band(b"!").unwrap();
        stream.write_all(&after).unwrap();
        // The urgent octet itself is not part of the stream.
        let mut back = vec![0; 4000];
        stream.read_exact(&mut back).unwrap();
        assert!(back == [before, after].concat(), "round {round}");
    }
}

fn a_busy_connection_starves_nobody(driver: Driver) {
    let router = Setup::on(driver).start();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut writer = connect(&router, 0);
            let mut reader = writer.try_clone().unwrap();
            let is_over = &is_over;
            scope.spawn(move || {
                let octets = pattern(1 << 20, 1);
                while !is_over.load(Ordering::Relaxed) {
                    writer.write_all(&octets).unwrap();
                }
                writer.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()).unwrap());
        }
        let mut quiet = connect(&router, 0);
        for round in 0..100 {
            quiet.write_all(&pattern(64, round)).unwrap();
            let mut back = vec![0; 64];
            quiet.read_exact(&mut back).unwrap();
            assert_eq!(back, pattern(64, round));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn a_reset_while_nothing_is_read_ends_the_connection(driver: Driver) {
    let router = Setup::on(driver).start();
    let mut stream = connect(&router, 0);
    // Nobody reads the echo: the core pauses, and what it sends finds no room.
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let octets = pattern(1 << 20, 2);
    while stream.write(&octets).is_ok() {}
    assert_eq!(router.open_sockets(), 1);
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    eventually("the end", || router.open_sockets() == 0);
}

fn a_unix_socket_that_was_full_goes_on(driver: Driver) {
    let directory = scratch_directory("full");
    let path = directory.join("socket");
    let router = Setup::on(driver).start_at(vec![Endpoint::Unix(path.clone())]).unwrap();
    let mut reader = UnixStream::connect(&path).unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = reader.try_clone().unwrap();
    let octets = pattern(3 << 20, 3);
    std::thread::scope(|scope| {
        let octets = &octets;
        scope.spawn(move || {
            writer.write_all(octets).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        // Long enough for both sides to be full.
        std::thread::sleep(Duration::from_millis(100));
        let mut back = Vec::new();
        reader.read_to_end(&mut back).unwrap();
        assert!(back == *octets);
    });
    drop(router);
    std::fs::remove_dir_all(directory).unwrap();
}

fn a_connection_that_was_full_again_and_again_goes_on(driver: Driver) {
    let amount = 3 << 20;
    let router = Setup { modes: vec![Mode::Pour(amount)], ..Setup::on(driver) }.start();
    let mut stream = connect(&router, 0);
    let mut octets = vec![0; amount];
    for _ in 0..5 {
        stream.write_all(b"more").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        stream.read_exact(&mut octets).unwrap();
        assert!(octets.iter().all(|octet| *octet == 5));
    }
}

fn a_connection_that_stops_and_starts_misses_nothing(driver: Driver) {
    let router = Setup { shards: 2, modes: vec![Mode::Relay], ..Setup::on(driver) }.start();
    let mut stream = connect(&router, 0);
    // More than the core takes before it pauses, less than what would block the writer.
    let octets = pattern(600_000, 4);
    let mut back = vec![0; octets.len()];
    for _ in 0..20 {
        let mut writer = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&octets).unwrap());
            stream.read_exact(&mut back).unwrap();
        });
        assert!(back == octets);
    }
}
