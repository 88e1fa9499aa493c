//! One connection in NATS's client protocol: as much of it as fan-out needs.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;

use super::report::Faults;

const SUBJECT: &str = "wampline.bench";

/// Octets of one receive, about.
const RECEIVE_BYTES: usize = 64 << 10;

/// A message as it is published and as it must arrive.
pub(super) struct Expected {
    publish: Vec<u8>,
    /// Up to the payload.
    header: Vec<u8>,
    /// Sequence, time, padding, line end.
    payload: usize,
}

impl Expected {
    pub(super) fn new(payload: usize) -> Expected {
        Expected {
            publish: format!("PUB {SUBJECT} {payload}\r\n").into_bytes(),
            header: format!("MSG {SUBJECT} 1 {payload}\r\n").into_bytes(),
            payload,
        }
    }
}

/// What pads payloads.
const PADDING: u8 = b'.';

/// One connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    buffer: Box<[u8]>,
    /// What was received and not dealt with lies from here ...
    at: usize,
    /// ... to here.
    end: usize,
    out: Vec<u8>,
    /// The sequence that comes next.
    next: u64,
}

impl Peer {
    /// Connects and, given what to expect, subscribes; returns when the server has answered.
    pub(super) fn connect(
        server: SocketAddr,
        subscribe: Option<&Expected>,
        timeout: Duration,
    ) -> io::Result<Peer> {
        let mut stream = std::net::TcpStream::connect_timeout(&server, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        let subscription = subscribe.map_or(String::new(), |_| format!("SUB {SUBJECT} 1\r\n"));
        let hello = r#"CONNECT {"verbose":false,"pedantic":false,"lang":"rust","version":"0","protocol":0}"#;
        stream.write_all(format!("{hello}\r\n{subscription}PING\r\n").as_bytes())?;
        let mut line = Vec::new();
        loop {
            let mut octet = [0];
            stream.read_exact(&mut octet)?;
            line.push(octet[0]);
            if octet[0] != b'\n' {
                continue;
            }
            match line.as_slice() {
                b"PONG\r\n" => break,
                b"PING\r\n" => stream.write_all(b"PONG\r\n")?,
                other if other.starts_with(b"-ERR") => return Err(refused(other)),
                _ => {}
            }
            line.clear();
        }
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        let message_bytes = subscribe.map_or(0, |expected| expected.header.len() + expected.payload + 2);
        let buffer = vec![0; RECEIVE_BYTES + message_bytes].into_boxed_slice();
        Ok(Peer { stream, buffer, at: 0, end: 0, out: Vec::new(), next: 0 })
    }

    pub(super) fn publish(&mut self, expected: &Expected, sequence: u64, now: u64) {
        self.out.extend_from_slice(&expected.publish);
        let end = self.out.len() + expected.payload;
        self.out.extend_from_slice(&sequence.to_le_bytes());
        self.out.extend_from_slice(&now.to_le_bytes());
        self.out.resize(end, PADDING);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Sends what the kernel takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(taken) => drop(self.out.drain(..taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives what is there and fits.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(taken) => self.end += taken,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether there may be more than was received: readiness is told once.
    pub(super) fn is_full(&self) -> bool {
        self.end == self.buffer.len()
    }

    /// The next publication of what was received that is new: its sequence and when it was sent.
    pub(super) fn next(
        &mut self,
        expected: &Expected,
        faults: &mut Faults,
    ) -> io::Result<Option<(u64, u64)>> {
        loop {
            let rest = &self.buffer[self.at..self.end];
            if !rest.starts_with(&expected.header) {
                let Some(length) = rest.iter().position(|&octet| octet == b'\n') else { return Ok(None) };
                let line = rest[..=length].to_vec();
                self.at += line.len();
                self.control(&line, faults)?;
                continue;
            }
            let body = &rest[expected.header.len()..];
            let Some(body) = body.get(..expected.payload + 2) else { return Ok(None) };
            self.at += expected.header.len() + body.len();
            let word = |at: usize| body[at..at + 8].try_into().map_or(u64::MAX, u64::from_le_bytes);
            let (sequence, sent) = (word(0), word(8));
            let (padding, end) = body[16..].split_at(expected.payload - 16);
            if end != b"\r\n" || padding.iter().any(|&octet| octet != PADDING) {
                faults.wrong += 1;
            } else if sequence < self.next {
                faults.duplicated += 1;
            } else {
                faults.reordered += sequence - self.next;
                self.next = sequence + 1;
                return Ok(Some((sequence, sent)));
            }
        }
    }

    /// A line that is no publication.
    fn control(&mut self, line: &[u8], faults: &mut Faults) -> io::Result<()> {
        match line {
            b"PING\r\n" => {
                self.out.extend_from_slice(b"PONG\r\n");
                self.flush()?;
            }
            b"PONG\r\n" | b"+OK\r\n" => {}
            line if line.starts_with(b"INFO ") => {}
            line if line.starts_with(b"-ERR") => return Err(refused(line)),
            _ => faults.wrong += 1,
        }
        Ok(())
    }
}

fn refused(line: &[u8]) -> io::Error {
    io::Error::other(format!("the server says {}", String::from_utf8_lossy(line).trim()))
}
