//! Clients that serve one procedure from the start: authenticators, authorizers.

use serde_json::json;

use super::Stage;

impl Stage {
    /// Joins a client and registers a procedure; `$NAME` is then bound to the registration. `words`: `[in REALM] [as AUTHROLE]
    /// [shared] [ROLE.FEATURE...]`.
    pub(super) fn serve(&mut self, name: &str, procedure: &str, words: &[&str]) {
        let (realm, words) = match words {
            ["in", realm, words @ ..] => (*realm, words),
            words => ("realm1", words),
        };
        let (role, words) = match words {
            ["as", role, words @ ..] => (Some(*role), words),
            words => (None, words),
        };
        let (options, features) = match words {
            ["shared", features @ ..] => (json!({"invoke": "first"}), features),
            features => (json!({}), features),
        };
        self.appear_as(name, realm, role, features);
        self.client(name).peer.send(&json!([64, 1, options, procedure]));
        match self.hear(name) {
            Some(message) if message[0] == 65 => {
                self.bound.insert(format!("${name}"), message[2].clone());
            }
            other => self.fail(&format!("{name} cannot serve {procedure}: {other:?}")),
        }
    }
}
