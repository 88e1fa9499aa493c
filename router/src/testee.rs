//! `wampline testee`: the router's listeners as WebSocket echo servers, for conformance suites.
//!
//! The octets take the same way as WAMP messages do (accept, TLS, framing, outbox, send); only what happens to a whole
//! message differs: it is sent back.

use std::sync::Arc;

use wampline_transports::server::Origins;

use crate::config::Settings;

/// The longest message that is echoed: conformance suites send 2^24 octets, one more than WAMP allows.
const MESSAGE_BYTES_MAX: usize = 1 << 24;

/// Turns every listener into an echo server: WebSocket alone, any path and origin, messages up to 16 MiB.
pub(crate) fn echoing(mut settings: Settings) -> Settings {
    for listener in &mut settings.engine.listeners {
        let transport = Arc::make_mut(&mut listener.transport);
        transport.echo = true;
        transport.websocket = true;
        transport.rawsocket = false;
        transport.origins = Origins::Any;
        transport.paths.push("/echo".into());
        transport.message_bytes_max = MESSAGE_BYTES_MAX;
        // Suites send cases that look like silence; only the peer ends a case.
        listener.ping_interval = None;
    }
    settings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Overrides, load};

    #[test]
    fn an_echoing_listener_takes_sixteen_mebibytes() {
        let settings = echoing(load(None, &Overrides::default()).unwrap());
        let transport = &settings.engine.listeners[0].transport;
        assert!(transport.echo && transport.websocket && !transport.rawsocket);
        assert_eq!(transport.message_bytes_max, 16 << 20);
    }
}
