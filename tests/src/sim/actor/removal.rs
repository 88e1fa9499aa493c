//! Calls that take something from another session, or change what is told of it.

use serde_json::json;

use super::{Actor, Oracle, SessionNo};

impl Actor {
    /// Takes a subscription or registration from some session, describes one, or asks for its description.
    pub(super) fn meddle(&mut self, session: SessionNo, oracle: &mut Oracle) {
        // Often itself, so that much is written about few.
        let n = if self.random.bool() { session } else { self.random.usize(..oracle.sessions.len()) };
        let other = &oracle.sessions[n];
        let target = other.id.unwrap_or(1);
        let choice = self.random.u8(..8);
        if choice > 5 {
            return self.insist(session, choice == 6, oracle);
        }
        let request = self.request();
        let (procedure, owned) = match choice {
            0 => ("wamp.subscription.remove_subscriber", other.memberships.keys().copied().collect()),
            1 => ("wamp.registration.remove_callee", other.registrations.keys().copied().collect()),
            2 => ("wamp.session.modify_details", Vec::new()),
            3 => ("wamp.session.get", Vec::new()),
            4 => ("wamp.reflect.define", Vec::new()),
            _ => ("wamp.reflection.procedure.describe", Vec::new()),
        };
        let arguments = match choice {
            0 | 1 => {
                let id = self.random.choice(owned).unwrap_or(1 << 40);
                let reason = if self.random.bool() { json!("com.app.removed") } else { json!(null) };
                json!([id, target, reason])
            }
            2 => json!([target, {"tag": oracle.next_tag()}]),
            3 => json!([target]),
            4 if self.random.u8(..3) == 0 => json!([self.pool.uri(&mut self.random), null]),
            4 => json!([self.pool.uri(&mut self.random), {"tag": oracle.next_tag()}]),
            _ => json!([self.pool.uri(&mut self.random)]),
        };
        self.send(session, &json!([48, request, {}, procedure, arguments]), oracle);
    }

    /// Writes the same thing time and again, and looks at what has become of it.
    fn insist(&mut self, session: SessionNo, is_definition: bool, oracle: &mut Oracle) {
        let uri = self.pool.uri(&mut self.random);
        let own = oracle.sessions[session].id.unwrap_or(1);
        let (write, read, subject) = match is_definition {
            true => ("wamp.reflect.define", "wamp.reflection.procedure.describe", json!(uri)),
            false => ("wamp.session.modify_details", "wamp.session.get", json!(own)),
        };
        if is_definition && self.random.bool() {
            let topic = ["wamp.reflect.on_undefine", "wamp.reflect."][self.random.usize(..2)];
            let policy = if topic.ends_with('.') { "prefix" } else { "exact" };
            let request = self.request();
            self.send(session, &json!([32, request, {"match": policy}, topic]), oracle);
        }
        for _ in 0..self.random.usize(2..5) {
            let is_end = is_definition && self.random.bool();
            let value = if is_end { json!(null) } else { json!({"tag": oracle.next_tag()}) };
            let request = self.request();
            self.send(session, &json!([48, request, {}, write, [subject, value]]), oracle);
        }
        let request = self.request();
        self.send(session, &json!([48, request, {}, read, [subject]]), oracle);
    }
}
