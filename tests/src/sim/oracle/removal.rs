//! Subscriptions and registrations that are taken away: whoever loses one is told once, in its place among what it hears, and
//! nobody loses what nobody took.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Ask, Oracle, SessionNo, State, Step, Verdict, code};
use crate::sim::pool::Pattern;

/// What can be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Taken {
    Subscription,
    Registration,
}

/// Why somebody loses a registration to who registers it by force.
const REREGISTERED: &str = "wampline.revoked.registered_by_another_session";

/// What a session has, or had.
pub(super) type Item = (Taken, SessionNo, u64);

/// What has been taken away since the last rest.
#[derive(Default)]
pub(super) struct Removals {
    asked: Vec<Removal>,
    /// What sessions have been told that they have lost.
    lost: Vec<Item>,
    /// The same since the beginning: to give it up once more succeeds, once.
    to_give_up: Vec<Item>,
    /// What sessions that cannot be told may have lost, or not. It is never known again.
    unsure: BTreeSet<Item>,
    /// What such sessions have asked for again while it was being taken away.
    renewed: Vec<Item>,
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
        if !outcome && is_only && was_there && self.can_lose(target, taken) && self.going_down.is_none() {
            return Err(format!("s{target} had it and has it"));
        }
        Ok(())
    }

    /// UNSUBSCRIBED or UNREGISTERED that nobody asked for.
    pub(super) fn lost(&mut self, session: SessionNo, taken: Taken, message: &Value) -> Verdict {
        let name = if taken == Taken::Subscription { "subscription" } else { "registration" };
        let id = message[2][name].as_u64().ok_or("it does not say what is lost")?;
        if !self.can_lose(session, taken) {
            return Err("it has not announced that it can be told".into());
        }
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
            let item @ (taken, session, id) = removal.item;
            let of_item = |removal: &&Removal| removal.item == item;
            let asked = self.removals.asked.iter().filter(of_item);
            let successes = asked.filter(|removal| removal.outcome == Some(true)).count();
            let losses = self.removals.lost.iter().filter(|lost| **lost == item).count();
            let entry = &self.sessions[session];
            let stays = entry.state == State::Open && entry.ending_at.is_none();
            if stays && self.can_lose(session, taken) && losses < successes {
                return Err(format!("at rest: s{session} was not told that it has lost {id}"));
            }
        }
        self.resolve_untold();
        self.removals.asked.clear();
        self.removals.lost.clear();
        self.removals.renewed.clear();
        let unsure = &self.removals.unsure;
        let staying = self.sessions.iter_mut().enumerate().filter(|(_, session)| session.ending_at.is_none());
        for (n, session) in staying {
            for (id, membership) in &mut session.memberships {
                if !unsure.contains(&(Taken::Subscription, n, *id)) {
                    membership.ending_at = None;
                }
            }
            for (id, registration) in &mut session.registrations {
                if !unsure.contains(&(Taken::Registration, n, *id)) {
                    registration.ending_at = None;
                }
            }
        }
        Ok(())
    }

    /// Whether a session has announced that it can be told of such losses.
    pub(super) fn can_lose(&self, session: SessionNo, taken: Taken) -> bool {
        let (subscriptions, registrations) = self.sessions[session].can_lose;
        if taken == Taken::Subscription { subscriptions } else { registrations }
    }

    /// Whether a session that cannot be told may have lost this.
    pub(super) fn may_be_gone(&self, item: Item) -> bool {
        !self.can_lose(item.1, item.0)
            && (self.pending_removals(item) > 0 || self.removals.unsure.contains(&item))
    }

    /// SUBSCRIBED: what was lost without a word may begin again, and another id tells that it was lost.
    pub(super) fn subscribed_again(&mut self, session: SessionNo, id: u64, pattern: &Pattern) {
        let memberships = self.sessions[session].memberships.iter();
        let known = memberships.filter(|(_, known)| known.pattern == *pattern).map(|(known, _)| *known);
        for known in known.collect::<Vec<_>>() {
            let item = (Taken::Subscription, session, known);
            if !self.may_be_gone(item) {
                continue;
            }
            if known == id {
                self.removals.renewed.push(item);
            } else {
                self.sessions[session].memberships.remove(&known);
            }
        }
    }

    /// REGISTERED with an id that the session has: it was lost without a word before.
    pub(super) fn registered_again(&mut self, session: SessionNo, id: u64) {
        let item = (Taken::Registration, session, id);
        if self.may_be_gone(item) && self.lose_untold(item) {
            self.removals.unsure.remove(&item);
            self.removals.lost.push(item);
        }
    }

    /// At rest: what is known to have been taken from sessions that cannot be told is theirs no more. Where it is not known, because
    /// who took it has left, or because it was asked for again meanwhile, nothing is expected any more.
    fn resolve_untold(&mut self) {
        let asked = self.removals.asked.iter().map(|removal| removal.item);
        let items: BTreeSet<Item> = asked.filter(|item| !self.can_lose(item.1, item.0)).collect();
        for item in items {
            let removals = self.removals.asked.iter().filter(|removal| removal.item == item);
            let outcomes: Vec<_> = removals.clone().map(|removal| removal.outcome).collect();
            if outcomes.iter().all(|outcome| *outcome == Some(false)) {
                continue;
            }
            let first = removals.map(|removal| removal.at).min().unwrap_or_default();
            let (taken, session, id) = item;
            let entry = &self.sessions[session];
            let since = match taken {
                Taken::Subscription => entry.memberships.get(&id).map(|membership| membership.since),
                Taken::Registration => entry.registrations.get(&id).map(|registration| registration.since),
            };
            let is_same = since.is_some_and(|since| since < first)
                && !self.removals.renewed.contains(&item)
                && !self.removals.unsure.contains(&item);
            if is_same && outcomes.contains(&Some(true)) {
                self.lose_untold(item);
            } else {
                self.removals.unsure.insert(item);
            }
        }
    }

    /// A session that cannot be told has lost something. Returns whether it had it.
    pub(super) fn lose_untold(&mut self, (taken, session, id): Item) -> bool {
        self.summary.losses += 1;
        let step = self.step;
        let entry = &mut self.sessions[session];
        match taken {
            Taken::Subscription => entry.memberships.remove(&id).is_some(),
            Taken::Registration => entry.registrations.remove(&id).is_some_and(|registration| {
                self.holds[registration.hold].until.get_or_insert(step);
                true
            }),
        }
    }

    /// A session that cannot be told may have lost a registration.
    pub(super) fn is_unsure_of(&mut self, session: SessionNo, id: u64) {
        self.removals.unsure.insert((Taken::Registration, session, id));
        let step = self.step;
        if let Some(registration) = self.sessions[session].registrations.get_mut(&id) {
            registration.ending_at.get_or_insert(step);
        }
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
