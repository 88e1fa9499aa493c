//! Configurations for tests.

use std::sync::Arc;
use std::time::Duration;

use wampline_auth::{
    AnonymousAccess, DecoySecret, Grant, Method, PrincipalStore, Principals, RealmAuthentication, Source,
    Ticket,
};
use wampline_shard::{Config, Limits, Listener, Realm};
use wampline_transports::server::{Options, Origins};
use wampline_wire::Serializer;

/// Two realms, `realm1` and `realm2`; one listener for everything; no pings.
pub fn config() -> Config {
    let transport = Options {
        rawsocket: true,
        websocket: true,
        serializers: Serializer::ALL.to_vec(),
        paths: vec!["/ws".into()],
        origins: Origins::Any,
        assume_subprotocol: None,
        echo: false,
        cookie: None,
        message_bytes_max: wampline_transports::MESSAGE_BYTES_MAX,
    };
    Config {
        listeners: vec![Listener {
            transport: Arc::new(transport),
            tls: None,
            channel_binding: false,
            ping_interval: None,
            ping_timeout: Duration::from_secs(10),
            connections_max: None,
        }],
        templates: Vec::new(),
        realms: vec![Realm::new("realm1"), Realm::new("realm2")],
        limits: Limits::default(),
        agent: "Wampline-test".into(),
    }
}

/// A realm's authentication: anonymous sessions, and for every role a principal with its name, whose ticket is its name too.
///
/// # Panics
/// If a role has a bad name, or is there twice.
pub fn with_tickets<'a>(roles: impl IntoIterator<Item = &'a str>) -> Arc<RealmAuthentication> {
    let mut principals = Principals::default();
    for role in roles {
        let (ticket, grant) = (Ticket::raw(role).expect("a ticket"), Grant::role(role).expect("a role"));
        principals.add_ticket(role, ticket, grant).expect("a new principal");
    }
    let mut realm = RealmAuthentication::new(DecoySecret::new([7; 32]));
    realm.allow_anonymous(AnonymousAccess::role("anonymous").expect("a role")).expect("nothing else does");
    let source = Source::Principals(Arc::new(PrincipalStore::new(principals)));
    realm.add_source(Method::Ticket, source).expect("tickets have sources");
    Arc::new(realm)
}
