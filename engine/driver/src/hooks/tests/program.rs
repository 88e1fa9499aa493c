//! A program to ask: an HTTP server as small as it can be, which does what the body of a request says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

/// A server on loopback, until it is dropped.
pub(crate) struct Program {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Requests that are answered never.
    hanging: AtomicUsize,
    is_over: AtomicBool,
}

impl Program {
    pub(crate) fn start() -> Program {
        Program::start_with("http", serve)
    }

    /// With TLS, for `localhost`. Returns the authority to trust too, in PEM.
    pub(crate) fn start_tls() -> (Program, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let program = Program::start_with("https", move |state, stream| {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            serve(state, rustls::StreamOwned::new(connection, stream));
        });
        (program, made.cert.pem())
    }

    fn start_with(
        scheme: &'static str,
        serve: impl Fn(&State, TcpStream) + Clone + Send + 'static,
    ) -> Program {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let program = Program { address: listener.local_addr().unwrap(), scheme, state: Arc::default() };
        let state = program.state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.is_over.load(Ordering::SeqCst) {
                    return;
                }
                state.connections.fetch_add(1, Ordering::SeqCst);
                let (state, serve) = (state.clone(), serve.clone());
                std::thread::spawn(move || serve(&state, stream.unwrap()));
            }
        });
        program
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}/hook?secret=1", self.scheme, self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn hanging(&self) -> usize {
        self.state.hanging.load(Ordering::SeqCst)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve<S: Read + Write>(state: &State, mut stream: S) {
    while let Some((head, body)) = request(&mut stream) {
        state.requests.fetch_add(1, Ordering::SeqCst);
        assert!(head.starts_with("POST /hook?secret=1 HTTP/1.1\r\n"), "{head}");
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        let authorization = lower.lines().find_map(|line| line.strip_prefix("authorization: "));
        let body =
            if body == "whose" { format!("echo {}", authorization.unwrap_or("nobody's")) } else { body };
        let keeps = answer(state, &mut stream, &body);
        if !keeps {
            return;
        }
    }
}

/// Answers as the body says; whether the connection goes on.
fn answer(state: &State, stream: &mut (impl Read + Write), body: &str) -> bool {
    let mut respond = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    let whole = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let (order, argument) = body.split_once(' ').unwrap_or((body, ""));
    match order {
        "echo" => respond(&whole("200 OK", argument)),
        "status" => respond(&whole(argument, "why")),
        "chunked" => {
            respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        }
        // Does not say that it closes.
        "leave" => {
            respond(&whole("200 OK", argument));
            false
        }
        "redirect" => respond("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
        "garbage" => {
            respond("\x01\x02 this is no HTTP\r\n\r\n");
            false
        }
        "short" => {
            respond("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
            false
        }
        "huge" => {
            respond(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", u64::MAX / 2));
            while respond(&"x".repeat(4096)) {}
            false
        }
        "endless-head" => {
            respond("HTTP/1.1 200 OK\r\n");
            while respond("X-Filler: some octets that go on and on\r\n") {}
            false
        }
        "drip" => {
            respond("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            while respond("x") {
                std::thread::sleep(Duration::from_millis(10));
            }
            false
        }
        "hang" => {
            state.hanging.fetch_add(1, Ordering::SeqCst);
            // Until the peer gives up.
            while stream.read(&mut [0; 64]).is_ok_and(|octets| octets > 0) {}
            false
        }
        other => panic!("no such order: {other}"),
    }
}

/// Head and body of the next request.
fn request(stream: &mut impl Read) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).ok()?;
        head.extend(octet);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}
