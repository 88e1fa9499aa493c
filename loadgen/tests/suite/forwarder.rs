//! A small bare forwarder: a thread per connection, one lock. It breaks one rule, once, if it is told to.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// What goes wrong with the tenth frame that is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    None,
    Lose,
    Duplicate,
    /// An octet near the end of the payload is changed.
    Alter,
    /// It goes to somebody else.
    Misdirect,
}

/// A forwarder that runs until the process ends.
pub(crate) struct Forwarder {
    pub(crate) url: String,
}

trait Stream: Read + Write + Send {
    fn twin(&self) -> io::Result<Box<dyn Stream>>;
}

impl Stream for TcpStream {
    fn twin(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }
}

impl Stream for UnixStream {
    fn twin(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }
}

impl Forwarder {
    /// Listens on a port that the kernel picks.
    pub(crate) fn tcp(misbehaviour: Misbehaviour) -> Forwarder {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("floor://{}", listener.local_addr().unwrap());
        let hub = Hub::new(misbehaviour);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                hub.welcome(Box::new(stream));
            }
        });
        Forwarder { url }
    }

    /// Listens on a Unix domain socket.
    pub(crate) fn unix(path: &Path) -> Forwarder {
        let listener = UnixListener::bind(path).unwrap();
        let hub = Hub::new(Misbehaviour::None);
        thread::spawn(move || listener.incoming().for_each(|stream| hub.welcome(Box::new(stream.unwrap()))));
        Forwarder { url: format!("floor+unix:{}", path.display()) }
    }
}

struct Hub(Arc<Mutex<State>>);

struct State {
    misbehaviour: Misbehaviour,
    forwarded: u32,
    subscribers: Vec<Box<dyn Stream>>,
    callers: Vec<Box<dyn Stream>>,
    callees: Vec<Box<dyn Stream>>,
}

impl Hub {
    fn new(misbehaviour: Misbehaviour) -> Hub {
        let state = State {
            misbehaviour,
            forwarded: 0,
            subscribers: Vec::new(),
            callers: Vec::new(),
            callees: Vec::new(),
        };
        Hub(Arc::new(Mutex::new(state)))
    }

    fn welcome(&self, stream: Box<dyn Stream>) {
        let state = Arc::clone(&self.0);
        thread::spawn(move || {
            // Ends with an error when the client has closed.
            let _ = serve(stream, &state);
        });
    }
}

fn serve(mut stream: Box<dyn Stream>, state: &Mutex<State>) -> io::Result<()> {
    let mut role = [0];
    stream.read_exact(&mut role)?;
    let mut own = 0;
    {
        let mut state = state.lock().unwrap();
        match role[0] {
            b'S' => state.subscribers.push(stream.twin()?),
            b'E' => state.callees.push(stream.twin()?),
            b'C' => {
                own = state.callers.len();
                state.callers.push(stream.twin()?);
            }
            b'P' => {}
            other => panic!("no such role: {other}"),
        }
        stream.write_all(&role)?;
    }
    loop {
        let mut frame = vec![0; 4];
        stream.read_exact(&mut frame)?;
        assert_eq!(frame[0], 0, "a regular frame");
        let length = u32::from_be_bytes([0, frame[1], frame[2], frame[3]]) as usize;
        frame.resize(4 + length, 0);
        stream.read_exact(&mut frame[4..])?;
        state.lock().unwrap().forward(role[0], own, frame)?;
    }
}

impl State {
    fn forward(&mut self, role: u8, own: usize, mut frame: Vec<u8>) -> io::Result<()> {
        self.forwarded += 1;
        let misbehaviour = if self.forwarded == 10 { self.misbehaviour } else { Misbehaviour::None };
        let number = usize::from(*frame.last().unwrap());
        match misbehaviour {
            Misbehaviour::Lose => return Ok(()),
            Misbehaviour::Alter => {
                let at = frame.len() - 3;
                frame[at] ^= 1;
            }
            _ => {}
        }
        let times = if misbehaviour == Misbehaviour::Duplicate { 2 } else { 1 };
        let stray = usize::from(misbehaviour == Misbehaviour::Misdirect);
        for _ in 0..times {
            match role {
                b'P' => {
                    let skip = if misbehaviour == Misbehaviour::Misdirect { 1 } else { 0 };
                    self.subscribers.iter_mut().skip(skip).try_for_each(|to| to.write_all(&frame))?;
                }
                b'C' => {
                    assert_eq!(number, own, "a caller ends its frames with its number");
                    let callees = self.callees.len();
                    self.callees[own % callees].write_all(&frame)?;
                }
                _ => {
                    let callers = self.callers.len();
                    self.callers[(number + stray) % callers].write_all(&frame)?;
                }
            }
        }
        Ok(())
    }
}
