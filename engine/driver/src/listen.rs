//! Listening sockets: binding, their options, the file of a Unix socket.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use wampline_shard::Peer;

use crate::{Endpoint, StartError};

/// How many connections may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// A silent peer is asked after this long, and then ...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// ... this often ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// ... this many times before it counts as dead.
const KEEPALIVE_PROBES: u32 = 3;
/// Sent octets that stay unacknowledged this long end the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// What the kernel queues for a peer beyond what is in flight. It bounds the kernel's share of a slow consumer's memory
/// without bounding the window of a fast one, which a fixed SO_SNDBUF would.
const NOT_SENT_MAX: u32 = 128 << 10;

/// A socket that listens, and the file that goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    endpoint: Endpoint,
    /// Removes the socket's file when the listener goes.
    _file: Option<SocketFile>,
}

impl Listener {
    /// Binds and listens.
    pub(crate) fn bind(endpoint: &Endpoint) -> Result<Listener, StartError> {
        match endpoint {
            Endpoint::Tcp(address) => {
                Listener::bind_tcp(*address).map_err(|error| explain_tcp(*address, &error))
            }
            Endpoint::Unix(path) => Listener::bind_unix(path),
        }
    }

    /// Where it listens, with the port that was picked.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Who is at the other end of an accepted socket. Fails if the peer has gone already.
    pub(crate) fn peer(&self, accepted: BorrowedFd<'_>) -> io::Result<Peer> {
        if matches!(self.endpoint, Endpoint::Unix(_)) {
            return Ok(Peer::Unix);
        }
        let address = SockRef::from(&accepted).peer_addr()?.as_socket();
        address.map(Peer::Tcp).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
    }

    fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // Accepted sockets inherit all of these, which saves six system calls for each of them.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_IDLE)
                .with_interval(KEEPALIVE_INTERVAL)
                .with_retries(KEEPALIVE_PROBES),
        )?;
        socket.set_keepalive(true)?;
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        socket.set_tcp_notsent_lowat(NOT_SENT_MAX)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(BACKLOG)?;
        let bound = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Listener { socket, endpoint: Endpoint::Tcp(bound), _file: None })
    }

    fn bind_unix(path: &Path) -> Result<Listener, StartError> {
        let failed = |error: io::Error| explain_unix(path, &error);
        let address = SockAddr::unix(path).map_err(failed)?;
        make_way(path, &address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        socket.bind(&address).map_err(failed)?;
        let file = SocketFile::new(path).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        Ok(Listener { socket, endpoint: Endpoint::Unix(path.to_owned()), _file: Some(file) })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The file of a Unix socket, removed when this goes unless something else has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<SocketFile> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket file could not be removed");
        }
    }
}

/// Removes a socket file that nobody listens on. A live one, or a file that is no socket, is an error.
fn make_way(path: &Path, address: &SockAddr) -> Result<(), StartError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    let shown = path.display();
    if !metadata.file_type().is_socket() {
        return Err(refuse(format!("cannot listen on unix:{shown}: the file exists and is not a socket")));
    }
    let attempt = Socket::new(Domain::UNIX, Type::STREAM, None).and_then(|socket| {
        // A full backlog would block otherwise; it counts as live.
        socket.set_nonblocking(true)?;
        socket.connect(address)
    });
    match attempt {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %shown, "a stale socket file is replaced");
            fs::remove_file(path).map_err(|error| explain_unix(path, &error))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(explain_unix(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(()) | Err(_) => Err(refuse(format!(
            "cannot listen on unix:{shown}: another process is listening there; stop it or choose another path"
        ))),
    }
}

fn explain_tcp(address: SocketAddr, error: &io::Error) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another process is using this address; stop it or choose another port",
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => return refuse(format!("cannot listen on {address}: {error}")),
    };
    refuse(format!("cannot listen on {address}: {advice}"))
}

fn explain_unix(path: &Path, error: &io::Error) -> StartError {
    let shown = path.display();
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied; the directory must be writable for this user",
        io::ErrorKind::NotFound => "the directory does not exist",
        io::ErrorKind::InvalidInput => "the path is too long for a socket (107 octets at most)",
        _ => return refuse(format!("cannot listen on unix:{shown}: {error}")),
    };
    refuse(format!("cannot listen on unix:{shown}: {advice}"))
}

fn refuse(message: String) -> StartError {
    StartError { message, uring: false }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn accepted_sockets_inherit_the_options() {
        let listener = Listener::bind(&Endpoint::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let Endpoint::Tcp(address) = listener.endpoint().clone() else { panic!("tcp") };
        assert_ne!(address.port(), 0);
        let client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.socket.accept().unwrap();
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), NOT_SENT_MAX);
        let peer = listener.peer(accepted.as_fd()).unwrap();
        assert_eq!(peer, Peer::Tcp(client.local_addr().unwrap()));
    }

    #[test]
    fn an_address_in_use_is_named() {
        let first = Listener::bind(&Endpoint::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let error = Listener::bind(first.endpoint()).unwrap_err();
        assert!(error.message.contains("another process is using this address"), "{error:?}");
        assert!(!error.uring);
        let error = Listener::bind(&Endpoint::Tcp("192.0.2.1:1".parse().unwrap())).unwrap_err();
        assert!(error.message.contains("192.0.2.1:1"), "{error:?}");
    }

    #[test]
    fn ipv6_is_dual_stack_where_there_is_ipv6() {
        let Ok(listener) = Listener::bind(&Endpoint::Tcp("[::]:0".parse().unwrap())) else { return };
        let Endpoint::Tcp(address) = listener.endpoint().clone() else { panic!("tcp") };
        std::net::TcpStream::connect(("127.0.0.1", address.port())).unwrap();
    }

    #[test]
    fn a_stale_socket_file_is_replaced_a_live_one_is_not() {
        let directory = crate::tests::scratch_directory("listen");
        let path = directory.join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind");
        let listener = Listener::bind(&Endpoint::Unix(path.clone())).unwrap();
        UnixStream::connect(&path).unwrap();
        let error = Listener::bind(&Endpoint::Unix(path.clone())).unwrap_err();
        assert!(error.message.contains("another process is listening"), "{error:?}");
        drop(listener);
        assert!(!path.exists(), "removed at the end");
        fs::write(&path, "precious").unwrap();
        let error = Listener::bind(&Endpoint::Unix(path.clone())).unwrap_err();
        assert!(error.message.contains("not a socket"), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let nowhere = directory.join("no/such/directory/s");
        let error = Listener::bind(&Endpoint::Unix(nowhere)).unwrap_err();
        assert!(error.message.contains("does not exist"), "{error:?}");
        let error = Listener::bind(&Endpoint::Unix(directory.join("x".repeat(200)))).unwrap_err();
        assert!(error.message.contains("too long"), "{error:?}");
        fs::remove_dir_all(directory).unwrap();
    }
}
