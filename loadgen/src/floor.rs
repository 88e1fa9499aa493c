//! What this machine's network stack costs, without WAMP and without a router: the yardstick of other figures.
//!
//! Two measurements on loopback TCP, both of a bare epoll loop: the processor time of one receive and one send
//! (an echo), and that of one send alone (a fan-out of single messages). Only the serving thread is counted.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::cli::FloorArguments;
use crate::procfs::{self, Process};
use crate::report::Report;
use crate::stats::Tally;
use crate::sys;

/// Measures the floor.
pub(crate) fn run(arguments: &FloorArguments) -> Result<Report, String> {
    let problem = |error: io::Error| format!("cannot measure the floor: {error}");
    sys::raise_descriptor_limit().map_err(problem)?;
    let echo = measure(arguments, Service::Echo).map_err(problem)?;
    let fan = measure(arguments, Service::Fan).map_err(problem)?;

    let mut report = Report::bare("floor", "echoes");
    report.setting("connections", arguments.connections);
    report.setting("in_flight", arguments.in_flight);
    report.setting("payload_bytes", arguments.payload);
    let mut tally = Tally::new();
    tally.operations = echo.messages;
    report.set_total(echo.seconds, &mut tally);
    report.figure("echo_server_cpu_us", echo.micros_per_message());
    report.figure("echo_server_cpu_percent", echo.processor_time.as_secs_f64() / echo.seconds * 100.0);
    report.figure("sends_per_second", fan.messages as f64 / fan.seconds);
    report.figure("send_cpu_us", fan.micros_per_message());
    Ok(report)
}

/// What the serving thread does.
#[derive(Clone, Copy, Debug)]
enum Service {
    /// Sends back what it receives.
    Echo,
    /// Sends one message to every connection, waits until the other side has them all, and begins again.
    Fan,
}

#[derive(Debug)]
struct Outcome {
    seconds: f64,
    messages: u64,
    processor_time: Duration,
}

impl Outcome {
    fn micros_per_message(&self) -> f64 {
        self.processor_time.as_secs_f64() * 1e6 / self.messages.max(1) as f64
    }
}

fn measure(arguments: &FloorArguments, service: Service) -> io::Result<Outcome> {
    let payload = arguments.payload as usize;
    let stop = Arc::new(AtomicBool::new(false));
    let octets = Arc::new(AtomicU64::new(0));
    let (served, used) = pairs(arguments.connections)?;
    let server = Loop::new(served, &stop)?;
    let mut user = Loop::new(used, &stop)?;
    let kick = vec![0; payload * arguments.in_flight as usize];
    let (tell, told) = mpsc::channel();
    let server = thread::Builder::new().name("floor-server".into()).spawn(move || {
        let _ = tell.send(procfs::own_thread());
        match service {
            Service::Echo => server.echo(&AtomicU64::new(0)),
            Service::Fan => server.fan(payload),
        }
    })?;
    let counted = Arc::clone(&octets);
    let user = thread::Builder::new().name("floor-user".into()).spawn(move || match service {
        Service::Echo => {
            user.send_to_all(&kick)?;
            user.echo(&counted)
        }
        Service::Fan => user.drain(payload, &counted),
    })?;
    let server_thread = told.recv().map_err(io::Error::other)??;
    let look = || -> io::Result<(Instant, u64, Duration)> {
        let times = Process::own().thread_times()?;
        let time = times.iter().find(|(thread, _)| *thread == server_thread).map(|(_, time)| *time);
        let time = time.ok_or_else(|| io::Error::other("the serving thread has ended"))?;
        Ok((Instant::now(), octets.load(Ordering::Relaxed), time))
    };
    thread::sleep(WARM_UP);
    let before = look();
    thread::sleep(arguments.duration);
    let after = look();
    stop.store(true, Ordering::Release);
    for thread in [server, user] {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    let (before, after) = (before?, after?);
    Ok(Outcome {
        seconds: (after.0 - before.0).as_secs_f64(),
        messages: (after.1 - before.1) / payload as u64,
        processor_time: after.2.saturating_sub(before.2),
    })
}

/// One side's connections and its epoll loop.
struct Loop {
    poll: Poll,
    pipes: Vec<Pipe>,
    stop: Arc<AtomicBool>,
}

struct Pipe {
    stream: TcpStream,
    /// What the socket has not taken yet.
    out: Vec<u8>,
}

impl Loop {
    fn new(streams: Vec<TcpStream>, stop: &Arc<AtomicBool>) -> io::Result<Loop> {
        let poll = Poll::new()?;
        let mut pipes = Vec::with_capacity(streams.len());
        for (index, mut stream) in streams.into_iter().enumerate() {
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            pipes.push(Pipe { stream, out: Vec::new() });
        }
        Ok(Loop { poll, pipes, stop: Arc::clone(stop) })
    }

    /// Sends back what comes, and counts it.
    fn echo(mut self, counted: &AtomicU64) -> io::Result<()> {
        self.turns(|pipes, index, octets| {
            counted.fetch_add(octets.len() as u64, Ordering::Relaxed);
            pipes[index].send(octets)
        })
    }

    /// Sends one message to everybody whenever an octet comes back.
    fn fan(mut self, payload: usize) -> io::Result<()> {
        let message = vec![0; payload];
        self.send_to_all(&message)?;
        self.turns(|pipes, _, _| pipes.iter_mut().try_for_each(|pipe| pipe.send(&message)))
    }

    /// Counts what comes and sends one octet back when everybody has got one message.
    fn drain(mut self, payload: usize, counted: &AtomicU64) -> io::Result<()> {
        let round = (self.pipes.len() * payload) as u64;
        let mut left = round;
        self.turns(|pipes, _, octets| {
            counted.fetch_add(octets.len() as u64, Ordering::Relaxed);
            left -= octets.len() as u64;
            if left == 0 {
                left = round;
                pipes[0].send(&[0])?;
            }
            Ok(())
        })
    }

    fn send_to_all(&mut self, octets: &[u8]) -> io::Result<()> {
        self.pipes.iter_mut().try_for_each(|pipe| pipe.send(octets))
    }

    /// Hands what comes to `take`, with the index of its connection, until the measurement is over.
    fn turns(&mut self, mut take: impl FnMut(&mut [Pipe], usize, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 256 * 1024];
        while !self.stop.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, Some(TURN_MAX)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            for event in &events {
                let index = event.token().0;
                if event.is_writable() {
                    self.pipes[index].flush()?;
                }
                // A short read has emptied the socket; what comes later is reported anew.
                let mut count = buffer.len();
                while event.is_readable() && count == buffer.len() {
                    count = match self.pipes[index].stream.read(&mut buffer) {
                        Ok(0) => return Ok(()),
                        Ok(count) => count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(_) if self.stop.load(Ordering::Acquire) => return Ok(()),
                        Err(error) => return Err(error),
                    };
                    take(&mut self.pipes, index, &buffer[..count])?;
                }
            }
        }
        Ok(())
    }
}

impl Pipe {
    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if !self.out.is_empty() {
            self.out.extend_from_slice(octets);
            return self.flush();
        }
        let written = written(self.stream.write(octets))?;
        self.out.extend_from_slice(&octets[written..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            let written = written(self.stream.write(&self.out))?;
            self.out.drain(..written);
        }
        Ok(())
    }
}

/// Nothing is written to a full socket, nor, at the end of the measurement, to one that the other side has closed.
fn written(outcome: io::Result<usize>) -> io::Result<usize> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, WouldBlock};
    match outcome {
        Err(error) if matches!(error.kind(), WouldBlock | BrokenPipe | ConnectionReset) => Ok(0),
        outcome => outcome,
    }
}

/// Connected pairs of non-blocking streams on loopback.
fn pairs(count: u32) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut pairs = (Vec::new(), Vec::new());
    for _ in 0..count {
        let used = std::net::TcpStream::connect(address)?;
        let (served, _) = listener.accept()?;
        for (stream, side) in [(served, &mut pairs.0), (used, &mut pairs.1)] {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            side.push(TcpStream::from_std(stream));
        }
    }
    Ok(pairs)
}

const WARM_UP: Duration = Duration::from_millis(300);
const TURN_MAX: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_services_move_messages() {
        let arguments = FloorArguments {
            connections: 3,
            in_flight: 2,
            payload: 100,
            duration: Duration::from_millis(100),
        };
        for service in [Service::Echo, Service::Fan] {
            let outcome = measure(&arguments, service).unwrap();
            assert!(outcome.messages > 10, "{service:?}: {outcome:?}");
        }
    }
}
