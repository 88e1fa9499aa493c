//! The router's answer to an upgrade request (RFC 6455, section 4.1).

use crate::http::{self, HEADERS_MAX};
use crate::websocket::handshake;

/// Whether the answer grants exactly what was asked for.
pub(super) fn judge(head: &[u8], key: &str, subprotocol: &str) -> Result<(), &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        _ => return Err("the answer is not an HTTP/1.1 response"),
    }
    let headers: &[httparse::Header<'_>] = response.headers;
    match response.code {
        Some(101) => {}
        Some(400) => return Err("refused with HTTP 400: subprotocol or request not accepted"),
        Some(401 | 403) => return Err("refused with HTTP 401 or 403: not allowed"),
        Some(404) => return Err("refused with HTTP 404: no WebSocket at this path"),
        Some(426) => return Err("refused with HTTP 426: another version is required"),
        Some(503) => return Err("refused with HTTP 503: no room for another connection"),
        Some(300..=399) => return Err("redirected, which is not followed"),
        _ => return Err("refused with an HTTP status other than 101"),
    }
    let names = |header, token: &[u8]| http::list(headers, header).any(|e| e.eq_ignore_ascii_case(token));
    if !names("Upgrade", b"websocket") || !names("Connection", b"upgrade") {
        return Err("the answer upgrades to something else");
    }
    if http::single(headers, "Sec-WebSocket-Accept") != Ok(Some(handshake::accept(key.as_bytes()).as_bytes()))
    {
        return Err("Sec-WebSocket-Accept does not answer the key");
    }
    if http::values(headers, "Sec-WebSocket-Extensions").next().is_some() {
        return Err("the answer names an extension that was not asked for");
    }
    if http::single(headers, "Sec-WebSocket-Protocol") != Ok(Some(subprotocol.as_bytes())) {
        return Err("the answer names another subprotocol, or none");
    }
    Ok(())
}
