//! Configurations for tests.

use std::sync::Arc;
use std::time::Duration;

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
        realms: vec![Realm::new("realm1"), Realm::new("realm2")],
        limits: Limits::default(),
        agent: "Wampline-test".into(),
    }
}
