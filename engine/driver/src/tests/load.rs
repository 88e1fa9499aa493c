//! What an echo and an idle connection cost. Run for figures with
//! `WAMPLINE_MEASURE=1 cargo test --release -p wampline-driver load -- --nocapture --test-threads 1`;
//! otherwise a short run that only has to be correct.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::{Setup, address, eventually, is_own_process, own_process};
use crate::Driver;
use crate::router::Router;

const SIZE: usize = 64;
/// Tells the client process what to do: address, connections, messages under way on each, messages in all.
const ORDERS: &str = "WAMPLINE_DRIVER_TEST_ORDERS";

fn measuring() -> bool {
    std::env::var_os("WAMPLINE_MEASURE").is_some()
}

/// CPU time of this process, user and system, its threads that have ended included (other tests run in it too).
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Anonymous resident memory of this process in octets.
fn anonymous_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() * 1024
}

struct Client {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Client {
    /// Starts the client process, on the last CPU if `taskset` can be had, and waits until it has connected.
    fn start(router: &Router, test: &str, conns: usize, depth: usize, messages: usize) -> Client {
        let test = own_process(router.driver(), "load", test);
        let mut command = Command::new("taskset");
        let cpus = crate::sys::allowed_cpus();
        command.args(["-c", &cpus.last().unwrap().to_string()]).arg(test.get_program()).args(test.get_args());
        command.envs(test.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env(ORDERS, format!("{} {conns} {depth} {messages}", address(router, 0)));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut client = Client { process, output };
        client.wait_for("connected");
        client
    }

    fn wait_for(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the client ended before `{word}`");
            if line.contains(word) {
                return line;
            }
        }
    }

    fn go(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn end(mut self) {
        self.go();
        self.wait_for("passed");
        assert!(self.process.wait().unwrap().success());
    }
}

/// The client process: connects, says so, waits for a line, echoes, says so, waits for a line.
fn be_the_client() {
    let orders = std::env::var(ORDERS).unwrap();
    let mut orders = orders.split(' ');
    let address: SocketAddr = orders.next().unwrap().parse().unwrap();
    let [conns, depth, messages] = [(); 3].map(|()| orders.next().unwrap().parse::<usize>().unwrap());
    let streams: Vec<_> = (0..conns).map(|_| TcpStream::connect(address).unwrap()).collect();
    println!("connected");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let start = Instant::now();
    let (got, streams) = exchange(streams, depth, messages);
    println!("done {got} {}", start.elapsed().as_nanos());
    std::io::stdin().read_line(&mut line).unwrap();
    drop(streams);
}

/// Keeps `depth` messages under way on each connection until `messages` have come back.
fn exchange(streams: Vec<TcpStream>, depth: usize, messages: usize) -> (usize, Vec<mio::net::TcpStream>) {
    let mut poll = Poll::new().unwrap();
    let mut streams: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            mio::net::TcpStream::from_std(stream)
        })
        .collect();
    for (index, stream) in streams.iter_mut().enumerate() {
        poll.registry().register(stream, Token(index), Interest::READABLE).unwrap();
        if messages > 0 {
            stream.write_all(&vec![b'm'; SIZE * depth]).unwrap();
        }
    }
    let (mut events, mut got, mut buffer) = (Events::with_capacity(1024), 0, vec![0; 64 << 10]);
    while got < messages * SIZE {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            let stream = &mut streams[event.token().0];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => panic!("the router has closed the connection"),
                    Ok(read) => {
                        got += read;
                        stream.write_all(&buffer[..read]).unwrap();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    (got / SIZE, streams)
}

fn echo(driver: Driver, name: &str, spin: Duration, conns: usize, depth: usize, messages: usize) {
    let router = Setup { spin, ..Setup::on(driver) }.start();
    let mut client = Client::start(&router, "load_echo", conns, depth, messages);
    let counters = &router.counters()[0];
    let [turns, completions] =
        [&counters.turns, &counters.completions].map(|one| one.load(Ordering::Relaxed));
    let before = cpu_time();
    client.go();
    let report = client.wait_for("done ");
    let cpu = cpu_time() - before;
    let mut fields = report.split_whitespace().skip_while(|word| *word != "done").skip(1);
    let [got, elapsed] = [(); 2].map(|()| fields.next().unwrap().parse::<u64>().unwrap());
    assert!(got >= messages as u64);
    let turns = counters.turns.load(Ordering::Relaxed) - turns;
    let completions = counters.completions.load(Ordering::Relaxed) - completions;
    println!(
        "{} echo {name}: {conns} x {depth}: {:.0} messages/s, {:.2} us CPU each, {:.1} completions a turn, {} parks",
        driver.name(),
        got as f64 / (elapsed as f64 / 1e9),
        cpu.as_secs_f64() * 1e6 / got as f64,
        completions as f64 / turns as f64,
        counters.parks.load(Ordering::Relaxed),
    );
    client.end();
}

fn load_echo(driver: Driver) {
    if is_own_process() {
        return be_the_client();
    }
    if !measuring() {
        return echo(driver, "short", Duration::ZERO, 16, 1, 2000);
    }
    let spin = Duration::from_micros(50);
    for round in 0..3 {
        println!("round {round}");
        echo(driver, "parking", Duration::ZERO, 64, 1, 400_000);
        echo(driver, "spinning", spin, 64, 1, 400_000);
        echo(driver, "spinning", spin, 64, 16, 4_000_000);
        echo(driver, "spinning", spin, 1000, 1, 400_000);
        echo(driver, "spinning", spin, 1, 1, 50_000);
        echo(driver, "parking", Duration::ZERO, 1, 1, 50_000);
    }
}

fn load_idle(driver: Driver) {
    if is_own_process() {
        return be_the_client();
    }
    let conns = if measuring() { 10_000 } else { 200 };
    let router = Setup::on(driver).start();
    let warm = TcpStream::connect(address(&router, 0)).unwrap();
    eventually("warming up", || router.open_sockets() == 1);
    let before = anonymous_memory();
    let mut client = Client::start(&router, "load_idle", conns, 1, 0);
    eventually("taking over", || router.open_sockets() == conns + 1);
    let grown = anonymous_memory().saturating_sub(before);
    println!(
        "{} idle: {} octets of user-space memory per connection at {conns}",
        driver.name(),
        grown / conns
    );
    client.go();
    client.wait_for("done");
    client.end();
    drop(warm);
    eventually("the end of all", || router.open_sockets() == 0);
}

on_both_drivers! {
    load_echo,
    load_idle,
}
