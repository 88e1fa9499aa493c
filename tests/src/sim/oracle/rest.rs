//! What must have happened when nothing moves any more.

use super::{Oracle, Pending, Session, SessionNo, State, Verdict};

impl Oracle {
    /// Every obligation has been met. All clients have read everything, callees have answered everything.
    pub(crate) fn check_at_rest(&mut self) -> Verdict {
        for (n, session) in self.sessions.iter().enumerate() {
            if session.state == State::Ended {
                continue;
            }
            if session.kill_sent && !session.is_killed && !session.goodbye_sent && !session.violated {
                continue; // Who asked for its end may have gone before that was heard.
            }
            if session.ending_at.is_some() {
                return Err(format!("at rest: the end of s{n} has not been answered"));
            }
            if session.state == State::Joining {
                return Err(format!("at rest: s{n} has neither WELCOME nor ABORT"));
            }
            if let Some((key, pending)) = session.pending.iter().next() {
                return Err(format!(
                    "at rest: s{n} waits for the answer to {key:?} {}",
                    self.describe(pending)
                ));
            }
            self.check_events(n, session)?;
            self.check_told(n, session)?;
            self.check_definitions(n, session)?;
            self.check_ends(n, session)?;
            self.check_wills(n, session)?;
        }
        self.check_removals()?;
        self.check_takeovers()?;
        self.release_holds();
        Ok(())
    }

    fn check_events(&self, n: SessionNo, session: &Session) -> Verdict {
        for (id, membership) in session.memberships.iter().filter(|(_, m)| m.ending_at.is_none()) {
            for (publisher, other) in self.sessions.iter().enumerate() {
                let seen = membership.seen.get(&publisher).copied().unwrap_or(0);
                let is_dealt_with = other.is_settled || other.ending_at.is_none();
                let lost = other.published[seen..].iter().find(|&&number| {
                    (is_dealt_with || self.publications[number].is_acknowledged)
                        && self.owes(n, membership, number)
                });
                if let Some(lost) = lost {
                    let text = format!("publication {lost} of s{publisher}");
                    return Err(format!("at rest: s{n} has not got {text} for its subscription {id}"));
                }
            }
            self.check_retained(n, session, membership)?;
        }
        Ok(())
    }

    fn describe(&self, pending: &Pending) -> String {
        match pending {
            Pending::Call(number) => {
                let callee = self.calls[*number].callee();
                format!("call {number}, invoked: {callee:?}")
            }
            other => format!("{other:?}"),
        }
    }

    /// At rest everything that ended sessions held has been released.
    fn release_holds(&mut self) {
        let step = self.step;
        self.last_rest = step;
        for hold in &mut self.holds {
            if self.sessions[hold.session].state == State::Ended {
                hold.until.get_or_insert(step);
            }
        }
    }
}
