//! Hooks that shards ask, with real programs behind them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::echo::Mode;
use super::{PATIENCE, Setup, connect, eventually};
use crate::hooks::tests::Program;
use crate::{Driver, Hook, HookSettings};

on_both_drivers!(
    answers_come_back_to_the_shard_that_asked,
    only_who_waits_for_it_meets_a_hook_that_hangs,
    what_cannot_be_asked_is_told_at_once,
    a_router_ends_though_a_hook_hangs,
);

fn hook(program: &Program, waiting_max: usize) -> Hook {
    let settings = HookSettings {
        timeout: PATIENCE,
        connections_max: 1,
        waiting_max,
        ..HookSettings::new(program.url())
    };
    Hook::new(settings).unwrap()
}

fn said(stream: &mut TcpStream, length: usize) -> String {
    let mut octets = vec![0; length];
    stream.read_exact(&mut octets).unwrap();
    String::from_utf8(octets).unwrap()
}

fn answers_come_back_to_the_shard_that_asked(driver: Driver) {
    let program = Program::start();
    let hooks = vec![hook(&program, 100)];
    let router = Setup { shards: 2, modes: vec![Mode::Ask(0)], hooks, ..Setup::on(driver) }.start();
    let mut streams: Vec<TcpStream> = (0..20).map(|_| connect(&router, 0)).collect();
    for round in 0..5 {
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.write_all(format!("echo {round}-{n:02}").as_bytes()).unwrap();
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            assert_eq!(said(stream, 4), format!("{round}-{n:02}"));
        }
        // Shards that sleep are woken by an answer.
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked: u64 = router.counters().iter().map(|counters| counters.hook_questions.load(RELAXED)).sum();
    assert_eq!(asked, 100);
    assert!(
        router.counters().iter().all(|counters| counters.hook_questions.load(RELAXED) > 0),
        "on both shards"
    );
}

fn only_who_waits_for_it_meets_a_hook_that_hangs(driver: Driver) {
    let (dead, alive) = (Program::start(), Program::start());
    let hooks = vec![hook(&dead, 100), hook(&alive, 100)];
    let modes = vec![Mode::Ask(0), Mode::Ask(1), Mode::Echo];
    let router = Setup { modes, hooks, ..Setup::on(driver) }.start();
    let mut unlucky = connect(&router, 0);
    unlucky.write_all(b"hang").unwrap();
    eventually("the question", || dead.hanging() == 1);
    let (mut asking, mut plain) = (connect(&router, 1), connect(&router, 2));
    for _ in 0..20 {
        asking.write_all(b"echo fine").unwrap();
        plain.write_all(b"fine").unwrap();
        assert_eq!((said(&mut asking, 4), said(&mut plain, 4)), ("fine".to_owned(), "fine".to_owned()));
    }
    unlucky.set_nonblocking(true).unwrap();
    assert!(unlucky.read(&mut [0]).is_err(), "it waits still");
}

fn what_cannot_be_asked_is_told_at_once(driver: Driver) {
    let program = Program::start();
    let router = Setup {
        modes: vec![Mode::Ask(0), Mode::Ask(9)],
        hooks: vec![hook(&program, 0)],
        ..Setup::on(driver)
    }
    .start();
    for (listener, failure) in [(0, "Busy"), (1, "Unreachable")] {
        let mut stream = connect(&router, listener);
        stream.write_all(b"echo x").unwrap();
        assert_eq!(said(&mut stream, failure.len()), failure);
    }
    let failures: u64 = router.counters().iter().map(|counters| counters.hook_failures.load(RELAXED)).sum();
    assert_eq!(failures, 2);
}

fn a_router_ends_though_a_hook_hangs(driver: Driver) {
    let program = Program::start();
    let router =
        Setup { shards: 2, modes: vec![Mode::Ask(0)], hooks: vec![hook(&program, 9)], ..Setup::on(driver) }
            .start();
    let mut stream = connect(&router, 0);
    stream.write_all(b"hang").unwrap();
    eventually("the question", || program.hanging() == 1);
    stream.shutdown(Shutdown::Both).unwrap();
    router.shutdown(wampline_shard::ShutdownMode::Goodbye, Duration::from_millis(10));
    router.join();
    assert_eq!(program.hanging(), 1);
}

const RELAXED: std::sync::atomic::Ordering = std::sync::atomic::Ordering::Relaxed;
