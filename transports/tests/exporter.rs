//! The value to bind to, against an implementation that is not ours: Node.js, whose TLS is OpenSSL's. Where there is no Node.js
//! there is nothing to compare with, except under continuous integration, where it must be there.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, SupportedProtocolVersion};
use wampline_transports::tls::{ServerTls, TlsProgress};

/// Connects, says what it has derived, and waits for the end.
const CLIENT: &str = r#"
const tls = require("tls");
const [port, version] = process.argv.slice(1);
const options = { port, host: "127.0.0.1", rejectUnauthorized: false, minVersion: version, maxVersion: version };
const socket = tls.connect(options, () => {
    const context = Buffer.alloc(0);
    socket.write(socket.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", context).toString("hex"));
});
socket.on("data", () => socket.end());
socket.on("error", (error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn node_derives_the_same_value() {
    for (version, name) in [(&rustls::version::TLS13, "TLSv1.3"), (&rustls::version::TLS12, "TLSv1.2")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let Some(mut node) = node(listener.local_addr().unwrap().port(), name) else { return };
        let (stream, _) = listener.accept().unwrap();
        let (ours, theirs) = values(stream, version);
        let hex: String = ours.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, theirs, "{name}");
        assert!(node.wait().unwrap().success());
    }
}

fn node(port: u16, version: &str) -> Option<Child> {
    let started = Command::new("node")
        .args(["-e", CLIENT, &port.to_string(), version])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    match started {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var("CI").as_deref() != Ok("true") => {
            None
        }
        started => Some(started.unwrap()),
    }
}

/// What we derive, and what the client says.
fn values(mut stream: TcpStream, version: &'static SupportedProtocolVersion) -> ([u8; 32], String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.require_ems = true;
    let mut tls = ServerTls::with_exporter(Arc::new(config)).unwrap();
    // A guard against hanging.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut plain, mut input) = (Vec::new(), [0; 4096]);
    while plain.len() < 64 {
        let length = stream.read(&mut input).unwrap();
        assert!(length > 0, "the client has left, after {plain:?}");
        let mut out = Vec::new();
        tls.receive(&input[..length], &mut plain, &mut out).unwrap();
        stream.write_all(&out).unwrap();
    }
    assert_eq!(tls.progress(), TlsProgress::Open);
    let mut out = Vec::new();
    tls.seal(b"thanks", &mut out).unwrap();
    stream.write_all(&out).unwrap();
    (tls.exporter().unwrap(), String::from_utf8(plain).unwrap())
}
