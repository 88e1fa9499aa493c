//! Subscriptions and registrations that are taken away: whoever loses one is told once, in its place among what it hears, and
//! nobody loses what nobody took.

use serde_json::Value;

use super::{Ask, Oracle, SessionNo, State, Step, Verdict, code};

/// What can be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Subscription,
    Registration,
}

/// Why somebody loses a registration to who registers it by force.
const REREGISTERED: &str = "wampline.revoked.registered_by_another_session";

/// What a session has, or had.
type Item = (Taken, SessionNo, u64);

/// What has been taken away since the last rest.
#[derive(Default)]
pub(super) struct Removals {
    asked: Vec<Removal>,
    /// What sessions have been told that they have lost.
    lost: Vec<Item>,
    /// The same since the beginning: to give it up once more succeeds, once.
    to_give_up: Vec<Item>,
}

struct Removal {
    item: Item,
    at: Step,
    /// Whether it has succeeded, once that is known.
    outcome: Option<bool>,
}

impl Oracle {
    /// A meta call that takes something away, if it is one.
    pub(super) fn removal(&mut self, caller: SessionNo, procedure: &str, message: &Value) -> Option<Ask> {
        let taken = match procedure {
            "wamp.subscription.remove_subscriber" => Taken::Subscription,
            "wamp.registration.remove_callee" => Taken::Registration,
            _ => return None,
        };
        let (id, target) = (message[4][0].as_u64()?, message[4][1].as_u64()?);
        let realm = &self.sessions[caller].realm;
        let target = self.session_of(target).filter(|target| self.sessions[*target].realm == *realm)?;
        let step = self.step;
        let ending_at = self.ending_of((taken, target, id));
        if let Some(ending_at) = ending_at {
            ending_at.get_or_insert(step);
        }
        if taken == Taken::Registration {
            self.service_ends(target, id);
        }
        self.removals.asked.push(Removal { item: (taken, target, id), at: step, outcome: None });
        Some(Ask::Removal(self.removals.asked.len() - 1, self.last_rest))
    }

    pub(super) fn removed(&mut self, number: usize, asked_in: Step, outcome: bool) -> Verdict {
        if asked_in != self.last_rest {
            return Err("at rest it had no answer".into());
        }
        let removal = &mut self.removals.asked[number];
        removal.outcome = Some(outcome);
        let (item @ (taken, target, id), at) = (removal.item, removal.at);
        let session = &self.sessions[target];
        let is_only = self.removals.asked.iter().filter(|other| other.item == item).count() == 1;
        let since = match taken {
            Taken::Subscription => session.memberships.get(&id).map(|membership| membership.since),
            Taken::Registration => {
                let here = session.registrations.get(&id);
                here.filter(|here| !self.is_taken_over(here.hold)).map(|here| here.since)
            }
        };
        let is_given_up = session.pending.keys().any(|(kind, _)| *kind == taken.request());
        let was_there = since.is_some_and(|since| since < at) && !is_given_up && session.ending_at.is_none();
        if !outcome && is_only && was_there && self.going_down.is_none() {
            return Err(format!("s{target} had it and has it"));
        }
        Ok(())
    }

    /// UNSUBSCRIBED or UNREGISTERED that nobody asked for.
    pub(super) fn lost(&mut self, session: SessionNo, taken: Taken, message: &Value) -> Verdict {
        let name = if taken == Taken::Subscription { "subscription" } else { "registration" };
        let id = message[2][name].as_u64().ok_or("it does not say what is lost")?;
        let item = (taken, session, id);
        if message[2]["reason"] == REREGISTERED {
            let hold = self.sessions[session].registrations.get(&id).map(|registration| registration.hold);
            if hold.is_none_or(|hold| !self.is_taken_over(hold)) {
                return Err("nobody has taken it over".into());
            }
        } else if self.pending_removals(item) == 0 {
            return Err("nobody has taken it away".into());
        } else {
            self.removals.lost.push(item);
        }
        self.removals.to_give_up.push(item);
        self.summary.losses += 1;
        let step = self.step;
        let entry = &mut self.sessions[session];
        let was_there = match taken {
            Taken::Subscription => entry.memberships.remove(&id).is_some(),
            Taken::Registration => match entry.registrations.remove(&id) {
                Some(registration) => {
                    self.holds[registration.hold].until = Some(step);
                    true
                }
                None => false,
            },
        };
        if was_there { Ok(()) } else { Err("it had no such thing".into()) }
    }

    /// Whether what a session gives up was taken away before, so that this succeeds, once.
    pub(super) fn was_lost(&mut self, taken: Taken, session: SessionNo, id: u64) -> bool {
        let items = &mut self.removals.to_give_up;
        let position = items.iter().position(|item| *item == (taken, session, id));
        position.is_some_and(|position| {
            items.swap_remove(position);
            true
        })
    }

    /// When something that begins now ends already, because somebody may be taking it away.
    pub(super) fn lost_already(&self, taken: Taken, session: SessionNo, id: u64) -> Option<Step> {
        (self.pending_removals((taken, session, id)) > 0).then_some(self.step)
    }

    /// At rest: everybody has been told of what is known to have been taken away. What has not been taken is there to stay.
    pub(super) fn check_removals(&mut self) -> Verdict {
        for removal in &self.removals.asked {
            let item @ (_, session, id) = removal.item;
            let of_item = |removal: &&Removal| removal.item == item;
            let asked = self.removals.asked.iter().filter(of_item);
            let successes = asked.filter(|removal| removal.outcome == Some(true)).count();
            let losses = self.removals.lost.iter().filter(|lost| **lost == item).count();
            let entry = &self.sessions[session];
            if entry.state == State::Open && entry.ending_at.is_none() && losses < successes {
                return Err(format!("at rest: s{session} was not told that it has lost {id}"));
            }
        }
        self.removals.asked.clear();
        self.removals.lost.clear();
        for session in self.sessions.iter_mut().filter(|session| session.ending_at.is_none()) {
            session.memberships.values_mut().for_each(|membership| membership.ending_at = None);
            session.registrations.values_mut().for_each(|registration| registration.ending_at = None);
        }
        Ok(())
    }

    /// How many removals of this may be under way.
    fn pending_removals(&self, item: Item) -> usize {
        let asked = self.removals.asked.iter();
        let asked = asked.filter(|removal| removal.item == item && removal.outcome != Some(false)).count();
        asked.saturating_sub(self.removals.lost.iter().filter(|lost| **lost == item).count())
    }

    fn ending_of(&mut self, (taken, session, id): Item) -> Option<&mut Option<Step>> {
        let entry = &mut self.sessions[session];
        match taken {
            Taken::Subscription => entry.memberships.get_mut(&id).map(|membership| &mut membership.ending_at),
            Taken::Registration => {
                entry.registrations.get_mut(&id).map(|registration| &mut registration.ending_at)
            }
        }
    }
}

impl Taken {
    /// The type of the request that gives it up.
    fn request(self) -> u64 {
        match self {
            Taken::Subscription => code::UNSUBSCRIBE,
            Taken::Registration => code::UNREGISTER,
        }
    }
}
