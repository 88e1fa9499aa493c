//! Both loops over a Unix socket: who gets what, in which order, messages that arrive in pieces, and long ones.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use super::*;

#[test]
fn messages_are_cut_at_their_ends() {
    let octets = [0, 0, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 0, 2, b'b'];
    assert_eq!(whole_messages(&octets), 9);
    assert_eq!(whole_messages(&octets[..4]), 0);
    assert_eq!(whole_messages(&[]), 0);
}

#[test]
fn addresses() {
    assert_eq!("unix:/x".parse(), Ok(Address::Unix(PathBuf::from("/x"))));
    assert!(matches!("127.0.0.1:80".parse(), Ok(Address::Tcp(_))));
    assert!("localhost".parse::<Address>().is_err() && "unix:".parse::<Address>().is_err());
}

#[test]
fn epoll_forwards() {
    forwards("epoll", epoll::run);
}

#[test]
fn uring_forwards() {
    // Where io_uring is denied there is no such forwarder.
    let mut builder: io_uring::Builder = io_uring::IoUring::builder();
    if builder.setup_single_issuer().setup_defer_taskrun().build(8).is_ok() {
        forwards("uring", uring::run);
    }
}

fn forwards(name: &str, run: fn(&Socket) -> io::Result<()>) {
    let path = std::env::temp_dir().join(format!("wampline-floor-{name}-{}", std::process::id()));
    let listener = Address::Unix(path.clone()).listen().unwrap();
    // Ends with the test's process.
    thread::spawn(move || run(&listener).unwrap());
    fans_out(&path);
    calls(&path);
    std::fs::remove_file(&path).unwrap();
}

fn fans_out(path: &Path) {
    let mut publisher = join(path, b'P');
    let mut subscribers: Vec<UnixStream> = (0..5).map(|_| join(path, b'S')).collect();
    let messages: Vec<Vec<u8>> =
        [0, 1, 64, 70_000, 3, 1_000_000].iter().map(|&length| message(&vec![length as u8; length])).collect();
    let all = messages.concat();
    let writer = thread::spawn(move || {
        // In pieces that tear headers and bodies.
        for piece in all.chunks(33_333) {
            publisher.write_all(piece).unwrap();
        }
        (publisher, all)
    });
    for subscriber in &mut subscribers {
        for expected in &messages {
            assert_eq!(&read_message(subscriber), expected);
        }
    }
    drop(subscribers.pop());
    let (mut publisher, _) = writer.join().unwrap();
    publisher.write_all(&message(b"after one has gone")).unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(read_message(subscriber), message(b"after one has gone"));
    }
}

fn calls(path: &Path) {
    let mut callees = [join(path, b'E'), join(path, b'E')];
    let mut callers: Vec<UnixStream> = (0..3).map(|_| join(path, b'C')).collect();
    for (number, caller) in callers.iter_mut().enumerate() {
        let long = vec![b'x'; 300_000];
        let calls = [message(&[b'a', number as u8]), message(&[&long[..], &[number as u8]].concat())];
        let together = calls.concat();
        let mut writing = caller.try_clone().unwrap();
        let writer = thread::spawn(move || writing.write_all(&together).unwrap());
        let callee = &mut callees[number % 2];
        for call in &calls {
            assert_eq!(&read_message(callee), call);
        }
        writer.join().unwrap();
        let answers = calls.concat();
        let mut writing = callee.try_clone().unwrap();
        let writer = thread::spawn(move || writing.write_all(&answers).unwrap());
        for call in &calls {
            assert_eq!(&read_message(caller), call);
        }
        writer.join().unwrap();
    }
    // To nobody, and to somebody behind it.
    callees[0].write_all(&[message(&[200]), message(&[]), message(&[b'z', 1])].concat()).unwrap();
    assert_eq!(read_message(&mut callers[1]), message(&[b'z', 1]));
}

fn join(path: &Path, role: u8) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(&[role]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [role]);
    stream
}

fn message(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

fn read_message(stream: &mut UnixStream) -> Vec<u8> {
    let mut octets = vec![0; HEADER_BYTES];
    stream.read_exact(&mut octets).unwrap();
    let length = message_bytes(&octets).unwrap();
    octets.resize(length, 0);
    stream.read_exact(&mut octets[HEADER_BYTES..]).unwrap();
    octets
}
