//! Procedures that are registered by force: who had them loses them, and there is no moment at which nobody serves them.

use std::collections::BTreeMap;

use super::removal::Taken;
use super::{Hold, Oracle, Pending, SessionNo, State, Step, Verdict};
use crate::sim::pool::{Pattern, URIS};

#[derive(Default)]
pub(super) struct Takeovers {
    /// What has been registered by force since the last rest.
    forces: Vec<Force>,
    /// Since when a procedure of a realm is served without a gap, whoever serves it.
    served: BTreeMap<(String, Pattern), Step>,
    /// What somebody has just taken, or tries to take, in which realm; for this long.
    contested: Option<(String, &'static str, Step)>,
}

/// For how many messages what was taken is worth calling.
const CONTESTED_STEPS: Step = 60;

struct Force {
    hold: usize,
    /// When REGISTERED was received.
    until: Option<Step>,
    is_refused: bool,
}

impl Oracle {
    /// REGISTER by force: everybody else loses the procedure.
    pub(super) fn takes_over(&mut self, session: SessionNo, hold: usize) {
        let step = self.step;
        self.takeovers.forces.push(Force { hold, until: None, is_refused: false });
        let (realm, pattern) = self.served_by(hold);
        if let Some(uri) = URIS.iter().find(|uri| pattern.matches(uri)) {
            self.takeovers.contested = Some((realm.clone(), uri, step + CONTESTED_STEPS));
        }
        let others =
            self.sessions.iter_mut().enumerate().filter(|(n, other)| *n != session && other.realm == realm);
        for registration in others.flat_map(|(_, other)| other.registrations.values_mut()) {
            if registration.pattern == pattern {
                registration.ending_at.get_or_insert(step);
            }
        }
        let own = self.sessions[session].registrations.values_mut();
        own.filter(|own| own.pattern == pattern).for_each(|own| {
            own.ending_at.get_or_insert(step);
        });
    }

    /// A procedure of a session's realm that changes hands: calls find it served all the while.
    pub(crate) fn contested(&self, session: SessionNo) -> Option<&'static str> {
        let (realm, uri, until) = self.takeovers.contested.as_ref()?;
        (*realm == self.sessions[session].realm && self.step < *until).then_some(*uri)
    }

    /// Whether what was asked for with a REGISTER may be taken over, or have been, by another one.
    pub(super) fn is_taken_over(&self, hold: usize) -> bool {
        let asked = &self.holds[hold];
        self.takeovers.forces.iter().any(|force| {
            let other = &self.holds[force.hold];
            force.hold != hold
                && !force.is_refused
                && (&other.realm, &other.pattern) == (&asked.realm, &asked.pattern)
                && force.until.is_none_or(|until| asked.from < until)
        })
    }

    pub(super) fn force_refused(&mut self, hold: usize) {
        let forces = self.takeovers.forces.iter_mut();
        forces.filter(|force| force.hold == hold).for_each(|force| force.is_refused = true);
        let served = self.served_by(hold);
        self.takeovers.served.remove(&served);
    }

    /// REGISTERED. `is_ending`: it may have been taken away already.
    pub(super) fn service_begins(&mut self, hold: usize, is_ending: bool) {
        let step = self.step;
        let forces = self.takeovers.forces.iter_mut();
        forces.filter(|force| force.hold == hold).for_each(|force| force.until = Some(step));
        if !is_ending && self.sessions[self.holds[hold].session].ending_at.is_none() {
            let served = self.served_by(hold);
            self.takeovers.served.entry(served).or_insert(step);
        }
    }

    /// A session begins to lose a registration otherwise than by force.
    pub(super) fn service_ends(&mut self, session: SessionNo, id: u64) {
        if let Some(registration) = self.sessions[session].registrations.get(&id) {
            let served = self.served_by(registration.hold);
            self.takeovers.served.remove(&served);
        } else {
            // It may be one that it has not heard of yet.
            let realm = self.sessions[session].realm.clone();
            self.takeovers.served.retain(|(other, _), _| *other != realm);
        }
    }

    /// A session begins to end, and with it what it serves and will serve.
    pub(super) fn services_end(&mut self, session: SessionNo) {
        let entry = &self.sessions[session];
        let asked = entry.pending.values().filter_map(|pending| match pending {
            Pending::Register(pattern, ..) => Some(pattern),
            _ => None,
        });
        let patterns = entry.registrations.values().map(|registration| &registration.pattern).chain(asked);
        for pattern in patterns {
            self.takeovers.served.remove(&(entry.realm.clone(), pattern.clone()));
        }
    }

    /// A call was told that there is no procedure: none that matches was served all the time.
    pub(super) fn judge_gap(&self, number: usize) -> Verdict {
        let call = &self.calls[number];
        let realm = &self.sessions[call.caller].realm;
        let mut served = self.takeovers.served.iter().filter(|((other, pattern), since)| {
            other == realm && pattern.matches(&call.procedure) && **since < call.sent_at
        });
        match served.next() {
            Some(((_, pattern), _)) if self.going_down.is_none() => {
                Err(format!("{pattern:?} is served by one or the other all the time"))
            }
            _ => Ok(()),
        }
    }

    /// At rest: nobody has what was taken over before.
    pub(super) fn check_takeovers(&mut self) -> Verdict {
        for force in std::mem::take(&mut self.takeovers.forces) {
            if force.is_refused {
                continue;
            }
            self.resolve_untold_takeover(&force);
            let Hold { session, realm, pattern, from, .. } = &self.holds[force.hold];
            if force.until.is_none() {
                continue;
            }
            let open = self.sessions.iter().enumerate().filter(|(n, other)| {
                n != session
                    && other.realm == *realm
                    && other.state == State::Open
                    && other.ending_at.is_none()
                    && self.can_lose(*n, Taken::Registration)
            });
            for (n, other) in open {
                let mut registrations = other.registrations.values();
                if registrations.any(|other| other.pattern == *pattern && other.since < *from) {
                    return Err(format!(
                        "at rest: s{n} was not told that s{session} has taken {pattern:?} over"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What was taken over from sessions that cannot be told.
    fn resolve_untold_takeover(&mut self, force: &Force) {
        let Hold { realm, pattern, from, .. } = &self.holds[force.hold];
        let (mut lost, mut unsure) = (Vec::new(), Vec::new());
        for (n, other) in self.sessions.iter().enumerate() {
            if other.realm != *realm || self.can_lose(n, Taken::Registration) {
                continue;
            }
            for (id, registration) in &other.registrations {
                if registration.pattern != *pattern || registration.hold == force.hold {
                    continue;
                }
                let asked_at = self.holds[registration.hold].from;
                if force.until.is_some() && registration.since < *from {
                    lost.push((Taken::Registration, n, *id));
                } else if force.until.is_none_or(|until| asked_at < until) {
                    unsure.push((n, *id));
                }
            }
        }
        for item in lost {
            self.lose_untold(item);
        }
        for (n, id) in unsure {
            self.is_unsure_of(n, id);
        }
    }

    fn served_by(&self, hold: usize) -> (String, Pattern) {
        (self.holds[hold].realm.clone(), self.holds[hold].pattern.clone())
    }
}
