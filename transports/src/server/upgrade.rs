//! The request for a WebSocket (RFC 6455, section 4.2): what it must say, and what it is answered.

use wampline_wire::Serializer;

use super::Options;
use crate::http::{self, HEADERS_MAX, Refusal};
use crate::websocket::handshake;

/// What a request that is granted has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) serializer: Serializer,
    /// The value of `Sec-WebSocket-Accept`.
    accept: String,
    /// The subprotocol is named in the answer, because the client offered it.
    is_named: bool,
}

impl Granted {
    /// Appends the response; `more` appends further headers, each from its CRLF on.
    pub(super) fn write(&self, out: &mut Vec<u8>, more: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(self.accept.as_bytes());
        if self.is_named {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(self.serializer.subprotocol().as_bytes());
        }
        more(out);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Judges a request by its head. Returns the listener's cookie too, if the request brings it.
pub(super) fn judge(head: &[u8], options: &Options) -> Result<(Granted, Option<Box<str>>), Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        Ok(_) => return Err(malformed()),
        Err(e) => return Err(unreadable(e)),
    }
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let headers: &[httparse::Header<'_>] = request.headers;
    check_request(method, target, request.version == Some(1), headers, options)?;
    let key = check_upgrade(headers)?;
    check_origin(headers, options)?;
    let (serializer, is_named) = subprotocol(headers, options)?;
    let cookie = options.cookie.as_ref().and_then(|cookie| cookie.find(headers));
    Ok((Granted { serializer, accept: handshake::accept(key), is_named }, cookie))
}

/// A head that no bound could hold.
pub(super) fn too_long() -> Refusal {
    Refusal::new(
        "431 Request Header Fields Too Large",
        "HTTP head is too long",
        "The head of a request may have 16384 octets and 100 headers at most.",
    )
}

/// A request that comes while there is no room.
pub(super) fn busy() -> Refusal {
    Refusal::new(
        "503 Service Unavailable",
        "refused for want of room",
        "This WAMP router has no room for another connection now. Try again later.",
    )
    .with_headers("Retry-After: 1\r\n")
}

/// What does not begin like a request.
pub(super) fn malformed() -> Refusal {
    Refusal::new(
        "400 Bad Request",
        "HTTP request is malformed",
        "This is not an HTTP/1.1 request. A WAMP client opens a WebSocket (subprotocol wamp.2.json and others) or, \
         where this listener offers it, a RawSocket connection.",
    )
}

fn unreadable(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => too_long(),
        httparse::Error::Version => version_not_supported(),
        _ => malformed(),
    }
}

fn version_not_supported() -> Refusal {
    Refusal::new(
        "505 HTTP Version Not Supported",
        "HTTP version is not 1.1",
        "A WebSocket is opened with HTTP/1.1.",
    )
}

fn bad_request(reason: &'static str, text: impl Into<String>) -> Refusal {
    Refusal::new("400 Bad Request", reason, text)
}

/// Method, version, path, host, body: everything that is not about WebSocket yet.
fn check_request(
    method: &str,
    target: &str,
    is_http_1_1: bool,
    headers: &[httparse::Header<'_>],
    options: &Options,
) -> Result<(), Refusal> {
    if method != "GET" {
        let text = "Only GET is answered here: it opens a WebSocket for WAMP.";
        let refusal = Refusal::new("405 Method Not Allowed", "HTTP method is not GET", text);
        return Err(refusal.with_headers("Allow: GET\r\n"));
    }
    if !is_http_1_1 {
        return Err(version_not_supported());
    }
    if !options.websocket {
        let text = "This listener of a WAMP router does not offer WebSocket; connect with RawSocket.";
        return Err(Refusal::new("404 Not Found", "WebSocket is not offered here", text));
    }
    let path = path_of(target);
    if !options.paths.iter().any(|offered| offered == path) {
        let text =
            format!("Nothing is here. A WebSocket for WAMP is opened at {}.", options.paths.join(" or "));
        return Err(Refusal::new("404 Not Found", "HTTP path is not one of a WebSocket", text));
    }
    if !matches!(http::single(headers, "Host"), Ok(Some(_))) {
        return Err(bad_request(
            "Host is missing or repeated",
            "A request names its host in one Host header.",
        ));
    }
    let has_body = http::values(headers, "Content-Length").any(|length| length != b"0")
        || http::values(headers, "Transfer-Encoding").next().is_some();
    if has_body {
        return Err(bad_request("request has a body", "A request that opens a WebSocket has no body."));
    }
    Ok(())
}

/// The path of a request target in origin or absolute form, without its query.
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |slash| &rest[slash..]),
        _ => target,
    };
    path.split('?').next().unwrap_or_default()
}

/// The headers that ask for the upgrade. Returns the key.
fn check_upgrade<'a>(headers: &'a [httparse::Header<'a>]) -> Result<&'a [u8], Refusal> {
    let names = |header, token: &[u8]| http::list(headers, header).any(|e| e.eq_ignore_ascii_case(token));
    if !names("Upgrade", b"websocket") {
        let text = "This is the WebSocket endpoint of a WAMP router. Connect with a WAMP client; a browser page \
                    opens it with new WebSocket(url, [\"wamp.2.json\"]).";
        let refusal = Refusal::new("426 Upgrade Required", "request asks for no WebSocket", text);
        return Err(refusal.with_headers("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"));
    }
    if !names("Connection", b"upgrade") {
        let text = "Connection: Upgrade is missing; a proxy in between may have removed it.";
        return Err(bad_request("Connection does not say upgrade", text));
    }
    if http::single(headers, "Sec-WebSocket-Version") != Ok(Some(b"13")) {
        let text = "Only version 13 of the WebSocket protocol (RFC 6455) is spoken here.";
        let refusal = Refusal::new("426 Upgrade Required", "WebSocket version is not 13", text);
        return Err(refusal.with_headers("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"));
    }
    match http::single(headers, "Sec-WebSocket-Key") {
        Ok(Some(key)) if handshake::is_key(key) => Ok(key),
        _ => Err(bad_request(
            "Sec-WebSocket-Key is missing or malformed",
            "One Sec-WebSocket-Key is needed, the base64 text of 16 octets.",
        )),
    }
}

fn check_origin(headers: &[httparse::Header<'_>], options: &Options) -> Result<(), Refusal> {
    let text_of = |value| std::str::from_utf8(value).ok();
    let origin = match http::single(headers, "Origin") {
        Ok(None) => return Ok(()),
        Ok(Some(origin)) => text_of(origin),
        Err(()) => None,
    };
    let host = http::single(headers, "Host").ok().flatten().and_then(text_of).unwrap_or_default();
    if origin.is_some_and(|origin| options.origins.admit(origin, host)) {
        return Ok(());
    }
    let text =
        "Pages of this Origin may not connect to this listener; its option `origins` names those that may.";
    Err(Refusal::new("403 Forbidden", "Origin is not admitted", text))
}

/// The client's first subprotocol that is on offer. Returns whether the client named it.
fn subprotocol(headers: &[httparse::Header<'_>], options: &Options) -> Result<(Serializer, bool), Refusal> {
    if options.echo {
        return Ok((Serializer::Json, false));
    }
    let mut asked = http::list(headers, "Sec-WebSocket-Protocol").peekable();
    let on_offer = || {
        let names: Vec<_> = options.serializers.iter().map(|s| s.subprotocol()).collect();
        names.join(", ")
    };
    if asked.peek().is_none() {
        return options.assume_subprotocol.map(|assumed| (assumed, false)).ok_or_else(|| {
            let text = format!(
                "Sec-WebSocket-Protocol is missing. Name one of {}. For clients that cannot, the listener has the \
                 option `assume_subprotocol`.",
                on_offer()
            );
            bad_request("no subprotocol was asked for", text)
        });
    }
    asked
        .filter_map(|name| Serializer::from_subprotocol(std::str::from_utf8(name).ok()?))
        .find(|serializer| options.serializers.contains(serializer))
        .map(|serializer| (serializer, true))
        .ok_or_else(|| {
            let text =
                format!("None of the subprotocols asked for is offered here. Name one of {}.", on_offer());
            bad_request("no subprotocol in common", text)
        })
}
