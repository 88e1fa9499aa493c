//! Questions to sources outside: `(realm, authid, details)`, in the shape that dynamic authenticators of Crossbar know.

use wampline_wire::{Dict, EncodeError, Message, PayloadBuf, Serializer, SessionId, Value};

use crate::{ClientCertificate, Method, OwnedDict, Question, Source, Transport, hex};

/// Octets of an `authextra` that is handed on, at most.
const AUTHEXTRA_BYTES_MAX: usize = 16 << 10;
/// How deep an `authextra` that is handed on may be nested: it goes into a message deeper than it came.
const AUTHEXTRA_DEPTH_MAX: usize = 32;

/// What is said of a session that authenticates.
pub(crate) struct Asking<'a> {
    pub(crate) realm: &'a str,
    pub(crate) session: SessionId,
    pub(crate) authid: Option<&'a str>,
    pub(crate) method: Method,
    pub(crate) authextra: Option<&'a OwnedDict>,
    pub(crate) ticket: Option<&'a str>,
}

impl Asking<'_> {
    /// The question, put for this source; `None` if the source is the router itself.
    pub(crate) fn of(
        &self,
        source: &Source,
        transport: &Transport<'_>,
    ) -> Result<Option<Question>, EncodeError> {
        let transport = TransportEntries::new(transport);
        let transport = transport.pairs();
        let mut details = vec![
            ("session", Value::Uint(self.session.get())),
            ("authmethod", text(self.method.name())),
            ("transport", Value::Dict(Dict::pairs(&transport))),
        ];
        details.extend(self.authid.map(|authid| ("authid", text(authid))));
        details.extend(self.authextra.map(|extra| ("authextra", Value::Dict(extra.as_dict()))));
        details.extend(self.ticket.map(|ticket| ("ticket", text(ticket))));
        let details = Value::Dict(Dict::pairs(&details));
        let authid = self.authid.map_or(Value::Null, text);
        Ok(match source {
            Source::Principals(_) => None,
            Source::Procedure(source) => {
                let arguments = [text(self.realm), authid, details];
                Some(Question::Procedure {
                    realm: source.realm.clone(),
                    procedure: source.procedure.clone(),
                    arguments: PayloadBuf::from_values(Serializer::Cbor, &arguments, &[])?,
                })
            }
            Source::Http(hook) => {
                let body = [("realm", text(self.realm)), ("authid", authid), ("details", details)];
                Some(Question::Http { hook: *hook, body: json(&Dict::pairs(&body))? })
            }
        })
    }
}

/// A copy of an `authextra` that may be handed on.
pub(crate) fn handed_on(authextra: &Dict<'_>) -> Result<OwnedDict, &'static str> {
    let copy = OwnedDict::copy(authextra).map_err(|_| "authextra has values that cannot be handed on")?;
    if copy.len() > AUTHEXTRA_BYTES_MAX {
        return Err("authextra is longer than 16,384 octets");
    }
    if !is_shallow(&Value::Dict(copy.as_dict()), AUTHEXTRA_DEPTH_MAX) {
        return Err("authextra is nested deeper than 32");
    }
    Ok(copy)
}

/// Whether a value is nested no deeper than `depth`.
pub(crate) fn is_shallow(value: &Value<'_>, depth: usize) -> bool {
    match value {
        Value::List(items) => depth > 0 && items.iter().all(|item| is_shallow(&item, depth - 1)),
        Value::Dict(entries) => depth > 0 && entries.iter().all(|(_, item)| is_shallow(&item, depth - 1)),
        _ => true,
    }
}

/// A dict as JSON text.
fn json(dict: &Dict<'_>) -> Result<Vec<u8>, EncodeError> {
    const BEFORE: &[u8] = br#"[4,"","#;
    let mut octets = Vec::with_capacity(512);
    Message::Challenge { method: "".into(), extra: *dict }.encode(Serializer::Json, &mut octets)?;
    debug_assert!(octets.starts_with(BEFORE), "a message begins with its code and its strings");
    octets.drain(..BEFORE.len());
    octets.pop();
    Ok(octets)
}

fn text(text: &str) -> Value<'_> {
    Value::Str(text.into())
}

/// `details.transport`, with what it borrows.
struct TransportEntries<'a> {
    transport: &'a Transport<'a>,
    protocol: String,
    certificate: Vec<(&'static str, Value<'a>)>,
}

impl<'a> TransportEntries<'a> {
    fn new(transport: &'a Transport<'a>) -> TransportEntries<'a> {
        let protocol = format!("wamp.2.{}", transport.serializer);
        let certificate = transport.certificate.map_or_else(Vec::new, certificate);
        TransportEntries { transport, protocol, certificate }
    }
    fn pairs(&'a self) -> Vec<(&'static str, Value<'a>)> {
        let Transport { peer, address, kind, serializer, is_tls, .. } = *self.transport;
        let channel = match (peer, is_tls) {
            (_, true) => "tls",
            (Some(_), false) => "tcp",
            (None, false) => "unix",
        };
        let mut pairs = vec![
            ("type", text(kind)),
            ("protocol", text(&self.protocol)),
            ("peer", text(address)),
            ("is_secure", Value::Bool(is_tls)),
            ("channel_type", text(channel)),
            ("channel_framing", text(kind)),
            ("channel_serializer", text(serializer)),
        ];
        if !self.certificate.is_empty() {
            pairs.push(("client_cert", Value::Dict(Dict::pairs(&self.certificate))));
            pairs.push(("peer_cert", Value::Dict(Dict::pairs(&self.certificate))));
        }
        pairs
    }
}

/// The entries of a certificate: of several names of a kind the first.
fn certificate(certificate: &ClientCertificate) -> Vec<(&'static str, Value<'_>)> {
    use crate::AlternativeName as Name;
    let mut pairs = vec![
        ("sha256", Value::Str(hex::encode(&certificate.sha256).into())),
        ("subject", text(&certificate.subject)),
    ];
    pairs.extend(certificate.common_names.first().map(|name| ("cn", text(name))));
    for name in &certificate.alternative_names {
        let (key, value) = match name {
            Name::Dns(name) => ("dns", text(name)),
            Name::Email(address) => ("email", text(address)),
            Name::Uri(uri) => ("uri", text(uri)),
            Name::Ip(address) => ("ip", Value::Str(address.to_string().into())),
        };
        if !pairs.iter().any(|(present, _)| *present == key) {
            pairs.push((key, value));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{AlternativeName, HookId, ProcedureSource};
    use std::sync::Arc;

    #[test]
    fn questions_have_the_shape_that_authenticators_know() {
        let certificate = ClientCertificate {
            sha256: [0xab; 32],
            subject: "CN=gate".into(),
            common_names: ["gate".into()].into(),
            alternative_names: [AlternativeName::Dns("a.example".into()), AlternativeName::Dns("b".into())]
                .into(),
        };
        let transport = Transport {
            address: "127.0.0.1:4711",
            is_tls: true,
            certificate: Some(&certificate),
            ..Transport::plain("websocket", "json")
        };
        let extra = OwnedDict::of(&[("device", Value::Str("x\"y".into()))]);
        let asking = Asking {
            realm: "realm1",
            session: SessionId::new(5).unwrap(),
            authid: Some("joe"),
            method: Method::Ticket,
            authextra: Some(&extra),
            ticket: Some("secret!!!"),
        };
        let Some(Question::Http { hook: HookId(7), body }) =
            asking.of(&Source::Http(HookId(7)), &transport).unwrap()
        else {
            panic!("no question for a hook");
        };
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let certificate = serde_json::json!({
            "sha256": "ab".repeat(32), "subject": "CN=gate", "cn": "gate", "dns": "a.example",
        });
        let details = serde_json::json!({
            "session": 5,
            "authmethod": "ticket",
            "authid": "joe",
            "authextra": { "device": "x\"y" },
            "ticket": "secret!!!",
            "transport": {
                "type": "websocket", "protocol": "wamp.2.json", "peer": "127.0.0.1:4711", "is_secure": true,
                "channel_type": "tls", "channel_framing": "websocket", "channel_serializer": "json",
                "client_cert": certificate, "peer_cert": certificate,
            },
        });
        assert_eq!(body, serde_json::json!({ "realm": "realm1", "authid": "joe", "details": details }));

        let source = ProcedureSource { realm: None, procedure: "com.example.authenticate".into() };
        let source = Source::Procedure(Arc::new(source));
        let asking = Asking { authid: None, ticket: None, authextra: None, ..asking };
        let Some(Question::Procedure { realm: None, procedure, arguments }) =
            asking.of(&source, &transport).unwrap()
        else {
            panic!("no question for a procedure");
        };
        assert_eq!(&*procedure, "com.example.authenticate");
        let arguments = arguments.as_payload().args().unwrap();
        let arguments: Vec<Value<'_>> = arguments.iter().collect();
        assert_eq!((arguments.len(), arguments[0].as_str()), (3, Some("realm1")));
        assert!(matches!(arguments[1], Value::Null));
        let details = arguments[2].as_dict().unwrap();
        assert!(details.get("authid").is_none() && details.get("ticket").is_none());
        assert!(details.get("transport").is_some());
    }

    #[test]
    fn an_authextra_is_bounded() {
        let long = "x".repeat(AUTHEXTRA_BYTES_MAX);
        assert!(handed_on(&Dict::pairs(&[("a", Value::Str(long.into()))])).is_err());
        let nested = format!("[4,\"\",{{\"a\":{}{}}}]", "[".repeat(32), "]".repeat(32));
        let Ok(Message::Challenge { extra, .. }) = Message::parse(Serializer::Json, nested.as_bytes()) else {
            panic!("not a message");
        };
        assert!(handed_on(&extra).is_err());
        let nested = nested.replacen("[[", "[", 1).replacen("]]", "]", 1);
        let Ok(Message::Challenge { extra, .. }) = Message::parse(Serializer::Json, nested.as_bytes()) else {
            panic!("not a message");
        };
        assert!(handed_on(&extra).is_ok());
    }
}
