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
        let request = self.request();
        let choice = self.random.u8(..6);
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
            4 => json!([self.pool.uri(&mut self.random), {"tag": oracle.next_tag()}]),
            _ => json!([self.pool.uri(&mut self.random)]),
        };
        self.send(session, &json!([48, request, {}, procedure, arguments]), oracle);
    }
}
