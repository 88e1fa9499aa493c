//! The HTTP request that opens a WebSocket (RFC 6455, section 4.2).

use wampline_transports::Framing;
use wampline_transports::server::{Established, FaultKind, Options, Origins, Received};
use wampline_wire::Serializer;

use crate::transcript::{
    Event, KNOWN, RANDOM, REQUEST, Transcript, cookie, feed, options, run, serve, server,
};

/// The same request with one text replaced by another.
fn request(from: &str, to: &str) -> String {
    assert!(REQUEST.contains(from), "{from}");
    REQUEST.replace(from, to)
}

#[track_caller]
fn granted(options: &Options, request: &str, serializer: Serializer, subprotocol: Option<&str>) {
    let transcript = serve(options, request.as_bytes());
    let peer_bytes_max = if options.echo { options.message_bytes_max } else { (1 << 24) - 1 };
    let established = Established { framing: Framing::WebSocket, serializer, peer_bytes_max };
    assert_eq!(transcript.events, [Event::Established(established)], "{}", transcript.control_text());
    let named = subprotocol.map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    assert_eq!(
        transcript.control_text(),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{named}\r\n"
        )
    );
}

/// The request is refused by a complete response with this status and a text that contains `hint`.
#[track_caller]
fn refused(options: &Options, request: &str, status: &str, hint: &str) -> String {
    complete_refusal(&serve(options, request.as_bytes()), status, hint)
}

#[track_caller]
fn complete_refusal(transcript: &Transcript, status: &str, hint: &str) -> String {
    assert_eq!(transcript.events, [Event::Fault(FaultKind::Handshake)], "{}", transcript.control_text());
    let (head, body) = transcript.control_text().split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    assert!(head.ends_with("\r\nConnection: close"), "{head}");
    assert!(body.contains(hint), "{body}");
    head.to_owned()
}

#[test]
fn granted_as_the_rfc_shows() {
    granted(&options(), REQUEST, Serializer::Json, Some("wamp.2.json"));
}

#[test]
fn what_may_vary() {
    for (from, to) in [
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade"),
        ("GET /ws ", "GET /ws?token=a&b=/c "),
        ("GET /ws ", "GET /?x "),
        ("GET /ws ", "GET http://router.example:8080/ws "),
        ("GET /ws ", "GET ws://router.example "),
        ("Host: router.example:8080", "Content-Length: 0\r\nHost: router.example"),
        ("Sec-WebSocket-Key: dG", "SEC-WEBSOCKET-KEY:   dG"),
        ("Host:", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nHost:"),
        ("\r\n", "\n"),
    ] {
        granted(&options(), &request(from, to), Serializer::Json, Some("wamp.2.json"));
    }
}

#[test]
fn the_client_s_first_subprotocol_on_offer() {
    let no_json = Options { serializers: vec![Serializer::Cbor, Serializer::MsgPack], ..options() };
    for (offer, serializer) in [
        ("wamp.2.msgpack,wamp.2.cbor", Serializer::MsgPack),
        ("wamp.2.cbor, wamp.2.msgpack", Serializer::Cbor),
        ("wamp.2.json, wamp.2.msgpack", Serializer::MsgPack),
        ("chat, wamp.2.json.batched ,\twamp.2.cbor", Serializer::Cbor),
        ("wamp.2.json\r\nX: y\r\nsec-websocket-protocol: wamp.2.cbor,wamp.2.msgpack", Serializer::Cbor),
    ] {
        let request =
            request("Sec-WebSocket-Protocol: wamp.2.json", &format!("Sec-WebSocket-Protocol: {offer}"));
        granted(&no_json, &request, serializer, Some(serializer.subprotocol()));
    }
}

#[test]
fn no_subprotocol_in_common() {
    let offer = |offer| request("wamp.2.json", offer);
    refused(
        &options(),
        &offer("wamp.2.ubjson, chat"),
        "400 Bad Request",
        "wamp.2.json, wamp.2.msgpack, wamp.2.cbor",
    );
    refused(&options(), &offer("WAMP.2.JSON"), "400 Bad Request", "None of the subprotocols");
    let assume = Options { assume_subprotocol: Some(Serializer::Json), ..options() };
    refused(&assume, &offer("chat"), "400 Bad Request", "None of the subprotocols");
}

#[test]
fn no_subprotocol_at_all() {
    let none = request("Sec-WebSocket-Protocol: wamp.2.json\r\n", "");
    refused(&options(), &none, "400 Bad Request", "Sec-WebSocket-Protocol is missing");
    refused(&options(), &request("wamp.2.json", ""), "400 Bad Request", "Sec-WebSocket-Protocol is missing");
    let assume = Options { assume_subprotocol: Some(Serializer::MsgPack), ..options() };
    granted(&assume, &none, Serializer::MsgPack, None);
    granted(&assume, REQUEST, Serializer::Json, Some("wamp.2.json"));
    let echo = Options { echo: true, ..options() };
    granted(&echo, &none, Serializer::Json, None);
    granted(&echo, REQUEST, Serializer::Json, None);
}

#[test]
fn refusals() {
    for (from, to, status, hint) in [
        ("GET", "POST", "405 Method Not Allowed", "Only GET"),
        ("GET", "HEAD", "405 Method Not Allowed", "Only GET"),
        ("HTTP/1.1", "HTTP/1.0", "505 HTTP Version Not Supported", "HTTP/1.1"),
        ("HTTP/1.1", "HTTP/2.0", "505 HTTP Version Not Supported", "HTTP/1.1"),
        ("HTTP/1.1", "FTP", "505 HTTP Version Not Supported", "HTTP/1.1"),
        ("Host:", "Ho st:", "400 Bad Request", "not an HTTP/1.1 request"),
        ("GET /ws ", "GET /wss ", "404 Not Found", "/ws or /"),
        ("GET /ws ", "GET /ws/ ", "404 Not Found", "/ws or /"),
        ("GET /ws ", "GET /WS ", "404 Not Found", "/ws or /"),
        ("Host: router.example:8080\r\n", "", "400 Bad Request", "Host"),
        ("Host: router.example:8080\r\n", "Host: a\r\nHost: b\r\n", "400 Bad Request", "Host"),
        ("Host:", "Content-Length: 5\r\nHost:", "400 Bad Request", "no body"),
        ("Host:", "Transfer-Encoding: chunked\r\nHost:", "400 Bad Request", "no body"),
        ("Upgrade: websocket\r\n", "", "426 Upgrade Required", "WebSocket endpoint of a WAMP router"),
        ("Upgrade: websocket", "Upgrade: h2c", "426 Upgrade Required", "WebSocket endpoint of a WAMP router"),
        ("Connection: Upgrade", "Connection: keep-alive", "400 Bad Request", "Connection: Upgrade"),
        ("Version: 13", "Version: 8", "426 Upgrade Required", "version 13"),
        ("Sec-WebSocket-Version: 13\r\n", "", "426 Upgrade Required", "version 13"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "", "400 Bad Request", "16 octets"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", "400 Bad Request", "16 octets"),
        ("Host:", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nHost:", "400 Bad Request", "16 octets"),
    ] {
        refused(&options(), &request(from, to), status, hint);
    }
}

#[test]
fn refusals_say_in_headers_what_is_spoken() {
    let head = refused(&options(), &request("Version: 13", "Version: 99"), "426 Upgrade Required", "");
    assert!(head.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{head}");
    let head = refused(&options(), "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", "426 Upgrade Required", "");
    assert!(head.contains("\r\nUpgrade: websocket\r\n"), "{head}");
    let head = refused(&options(), "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed", "");
    assert!(head.contains("\r\nAllow: GET\r\n"), "{head}");
}

#[test]
fn websocket_is_not_offered() {
    let off = Options { websocket: false, ..options() };
    refused(&off, REQUEST, "404 Not Found", "RawSocket");
}

#[test]
fn web_pages_of_other_origins() {
    let from = |origin: &str| request("Host:", &format!("Origin: {origin}\r\nHost:"));
    let origins = |origins| Options { origins, ..options() };
    let own = origins(Origins::SameHostOrLoopback);
    granted(&own, &from("https://router.example"), Serializer::Json, Some("wamp.2.json"));
    granted(&own, &from("http://localhost:3000"), Serializer::Json, Some("wamp.2.json"));
    refused(&own, &from("https://evil.example"), "403 Forbidden", "`origins`");
    refused(&own, &from("http://localhost\r\nOrigin: http://localhost"), "403 Forbidden", "`origins`");
    let also = origins(Origins::Also(vec!["https://*.good.example".to_owned()]));
    granted(&also, &from("https://app.good.example"), Serializer::Json, Some("wamp.2.json"));
    refused(&also, &from("null"), "403 Forbidden", "`origins`");
    granted(&origins(Origins::Any), &from("https://evil.example"), Serializer::Json, Some("wamp.2.json"));
}

/// A listener with a cookie, and a request that brings these.
fn with_cookies(cookies: &str) -> (Options, String) {
    let options = Options { cookie: Some(cookie()), ..options() };
    (options, request("Host:", &format!("{cookies}Host:")))
}

#[test]
fn a_browser_without_our_cookie_is_given_one() {
    for cookies in ["", "Cookie: a=b\r\n", "Cookie: a=b; sid=stranger\r\n", "Cookie: sid=not ours\r\n"] {
        let (options, request) = with_cookies(cookies);
        let transcript = serve(&options, request.as_bytes());
        let brought = cookies.contains("stranger").then(|| "stranger".to_owned());
        assert_eq!(transcript.events[0], Event::Cookie(brought), "{cookies}");
        assert!(matches!(transcript.events[1..], [Event::Established(_)]));
        let head = transcript.control_text();
        let fresh = "A".repeat(43);
        let set = format!(
            "\r\nSet-Cookie: sid={fresh}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure\r\n\r\n"
        );
        assert!(head.starts_with("HTTP/1.1 101 ") && head.ends_with(&set), "{head}");
        let mut server = server(&options);
        feed(&mut server, request.as_bytes(), &mut Transcript::default());
        let cookie = server.take_cookie().unwrap();
        assert_eq!((&*cookie.value, cookie.is_fresh), (&*fresh, true));
        assert_eq!(server.take_cookie(), None, "once");
    }
}

#[test]
fn a_browser_with_our_cookie_keeps_it() {
    let (options, request) = with_cookies(&format!("Cookie: a=b; sid={KNOWN}\r\n"));
    let transcript = serve(&options, request.as_bytes());
    assert_eq!(transcript.events[0], Event::Cookie(Some(KNOWN.to_owned())));
    assert!(!transcript.control_text().contains("Cookie"), "{}", transcript.control_text());
    let mut server = server(&options);
    feed(&mut server, request.as_bytes(), &mut Transcript::default());
    let cookie = server.take_cookie().unwrap();
    assert_eq!((&*cookie.value, cookie.is_fresh), (KNOWN, false));
}

#[test]
fn cookies_are_for_browsers_that_are_let_in() {
    let (giving, request) = with_cookies("");
    let transcript = serve(&giving, request.replace("13", "12").as_bytes());
    complete_refusal(&transcript, "426 Upgrade Required", "");
    assert!(!transcript.control_text().contains("Cookie"));
    let raw = serve(&giving, b"\x7F\xF1\0\0");
    assert!(matches!(raw.events[..], [Event::Established(_)]));
    // Without such an option nobody looks for one, and nobody can set one.
    granted(&options(), &request, Serializer::Json, Some("wamp.2.json"));
    let mut plain = server(&options());
    plain.set_cookie(RANDOM);
    feed(&mut plain, request.as_bytes(), &mut Transcript::default());
    assert_eq!(plain.take_cookie(), None);
}

#[test]
fn no_room_after_the_cookie() {
    let (options, request) = with_cookies("");
    let (mut server, mut control) = (server(&options), Vec::new());
    let mut octets = request.into_bytes();
    let mut input = &mut octets[..];
    assert_eq!(server.receive(&mut input, &mut control), Ok(Some(Received::Cookie { brought: None })));
    assert!(server.is_mid_message() && control.is_empty());
    server.refuse_busy(&mut control);
    assert!(control.starts_with(b"HTTP/1.1 503 "));
    assert_eq!(server.receive(&mut input, &mut control), Ok(None));
}

#[test]
fn what_follows_the_head_is_not_lost() {
    let stream = [REQUEST.as_bytes(), b"\x81\x82\0\0\0\0[]", b"\x81\x83\0\0\0\0[1]"].concat();
    let transcript = serve(&options(), &stream).after_handshake();
    assert_eq!(transcript.messages(), [&b"[]"[..], b"[1]"]);
}

#[test]
fn a_head_is_bounded() {
    if cfg!(miri) {
        return; // Heads of such a size are too long for it.
    }
    let too_large = "431 Request Header Fields Too Large";
    let endless = [b"GET / HTTP/1.1\r\nX: ", &[b'a'; 20_000][..]].concat();
    for size in [1, 1000, 16_383, 16_384, 20_000] {
        complete_refusal(&run(&options(), endless.chunks(size)), too_large, "16384 octets");
    }
    let fill = 16_384 - REQUEST.len() - "X: \r\n".len();
    let longest = request("Host:", &format!("X: {}\r\nHost:", "a".repeat(fill)));
    assert_eq!(run(&options(), longest.as_bytes().chunks(999)).reason, None);
    let longer = request("Host:", &format!("X: {}\r\nHost:", "a".repeat(fill + 1)));
    complete_refusal(&run(&options(), longer.as_bytes().chunks(999)), too_large, "16384 octets");
    let headers = REQUEST.matches(": ").count();
    let many = |count| request("Host:", &format!("{}Host:", "X: y\r\n".repeat(count)));
    assert_eq!(run(&options(), [many(100 - headers).as_bytes()]).reason, None);
    complete_refusal(&run(&options(), [many(101 - headers).as_bytes()]), too_large, "100 headers");
}

#[test]
fn what_is_no_request_is_refused_by_its_first_octet() {
    for junk in [&b"\0"[..], b"\r\n\r\n", b" GET / HTTP/1.1", b"\xFF\xFF", b"{"] {
        complete_refusal(&serve(&options(), junk), "400 Bad Request", "not an HTTP/1.1 request");
    }
    let hello = serve(&options(), b"\x16\x03\x01\x02\0\x01");
    assert_eq!((&hello.control[..], hello.reason), (&b""[..], Some("TLS on a listener without TLS")));
}

#[test]
fn no_room() {
    for early in [true, false] {
        let (mut server, mut transcript) = (server(&options()), Transcript::default());
        if early {
            server.refuse_busy(&mut transcript.control);
            assert_eq!(transcript.control, b"");
            feed(&mut server, REQUEST.as_bytes(), &mut transcript);
            complete_refusal(&transcript, "503 Service Unavailable", "Try again later");
        } else {
            feed(&mut server, b"GET /ws", &mut transcript);
            server.refuse_busy(&mut transcript.control);
            feed(&mut server, b" HTTP/1.1\r\n\r\n", &mut transcript);
            assert_eq!(transcript.events, []);
            assert!(transcript.control.starts_with(b"HTTP/1.1 503 "));
        }
        assert!(!server.is_mid_message());
    }
}
