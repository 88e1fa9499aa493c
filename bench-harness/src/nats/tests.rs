//! Against a server of a few lines, honest and not.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;

const SUBSCRIBERS: usize = 3;

/// What the server does with publication number n: the octets that each subscriber gets.
type Delivery = fn(u64, &[u8]) -> Vec<u8>;

fn message(payload: &[u8]) -> Vec<u8> {
    [format!("MSG wampline.bench 1 {}\r\n", payload.len()).as_bytes(), payload, b"\r\n"].concat()
}

fn measure(deliver: Delivery) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    thread::spawn(move || serve(&listener, deliver));
    let plan = Plan {
        server,
        subscribers: SUBSCRIBERS,
        in_flight: 4,
        payload: 32,
        warmup: Duration::from_millis(10),
        duration: Duration::from_millis(500),
        server_pid: Some(std::process::id()),
        timeout: Duration::from_millis(300),
    };
    run(&plan).unwrap()
}

/// Subscribers come first, then the publisher.
fn serve(listener: &TcpListener, deliver: Delivery) {
    let mut subscribers: Vec<TcpStream> = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(greet(listener).into_inner());
    }
    let mut publisher = greet(listener);
    for n in 0.. {
        let mut line = String::new();
        if publisher.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let length: usize = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let mut payload = vec![0; length + 2];
        publisher.read_exact(&mut payload).unwrap();
        let octets = deliver(n, &payload[..length]);
        // The generator may have gone.
        subscribers.iter_mut().for_each(|subscriber| drop(subscriber.write_all(&octets)));
    }
}

fn greet(listener: &TcpListener) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    stream.get_mut().write_all(b"INFO {}\r\nPING\r\n").unwrap();
    let mut line = String::new();
    while line != "PING\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0);
    }
    stream.get_mut().write_all(b"PONG\r\n").unwrap();
    // The answer to our own PING.
    line.clear();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "PONG\r\n");
    stream
}

#[test]
fn an_honest_server_passes() {
    let report = measure(|_, payload| message(payload));
    assert!(report.passed(), "{}", report.to_json());
    let object = report.to_json();
    assert!(object["operations"].as_u64() > Some(0) && object["latency_us"]["p50"].as_f64() > Some(0.0));
    assert!(object["router_rss_kib"].as_u64() > Some(100));
}

#[test]
fn a_server_that_repeats_loses_or_alters_does_not() {
    let repeats = measure(|n, payload| message(payload).repeat(if n == 3 { 2 } else { 1 }));
    assert_eq!(repeats.to_json()["faults"]["duplicated"], SUBSCRIBERS);
    let loses = measure(|n, payload| if n == 3 { Vec::new() } else { message(payload) });
    assert_eq!(loses.to_json()["faults"]["lost"], SUBSCRIBERS);
    let alters = measure(|n, payload| {
        let mut payload = payload.to_vec();
        if n == 3 {
            payload[20] ^= 1;
        }
        message(&payload)
    });
    assert_eq!(alters.to_json()["faults"]["wrong"], SUBSCRIBERS);
    assert!(!repeats.passed() && !loses.passed() && !alters.passed());
}
