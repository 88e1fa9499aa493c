//! What the sessions do. Each scenario is a [`Workload`] for each thread and a function that leads the run
//! through its phases and makes the report.

mod background;
mod churn;
mod connect;
mod course;
mod demand;
mod field;
mod limit;
mod load;
mod member;
mod outstanding;
mod pace;
mod pubsub;
mod recent;
mod rpc;
mod sequence;
mod team;

#[cfg(test)]
pub(crate) use course::OwnUse;
pub(crate) use course::{Interval, Measured};
pub(crate) use limit::find as find_limit;

use crate::cli::{ChurnKind, Scenario};
use crate::connection::{Opening, Replies};
use crate::report::Report;
use crate::session::{Life, News};
use crate::worker::Links;
use demand::Demand;

/// What one thread's sessions do. Slots are numbered from 0 in the order of opening, until one is free again.
pub(crate) trait Workload: Send + 'static {
    /// Whether another session is to be opened now, and how. [`Workload::opened`] follows, unless the run fails.
    fn wants_session(&mut self) -> Option<Opening>;

    /// A connection has been begun in this slot.
    fn opened(&mut self, at: usize);

    /// Something came for a joined session; `replies` answers at once.
    fn news(&mut self, at: usize, news: News<'_>, life: &mut Life, now: u64, replies: &mut Replies);

    /// Whether a message of a joined session, by its octets alone, is one that the workload knows: then it has dealt
    /// with it. For what comes to many sessions alike and need not be parsed each time.
    fn recognise(&mut self, _at: usize, _octets: &[u8], _now: u64) -> bool {
        false
    }

    /// A session has ended: in order (`Ok`), or not.
    fn ended(&mut self, at: usize, life: &Life, outcome: Result<(), String>, now: u64);

    /// Called once in each turn of the loop.
    fn turn(&mut self, links: &mut Links, now: u64);

    /// When the next turn is due, if nothing else happens before.
    fn next_due(&mut self) -> Option<u64> {
        None
    }

    /// Whether the worker's thread may end.
    fn is_finished(&self, links: &Links) -> bool;
}

/// Why there is nothing to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What was asked for makes no sense.
    Usage(String),
    /// The run could not be carried out.
    Run(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Run(reason)
    }
}

/// Carries out one scenario.
pub(crate) fn run(scenario: &Scenario) -> Result<Report, Failure> {
    match scenario {
        Scenario::Rpc(arguments) => load::run(&Demand::rpc(arguments)),
        Scenario::Pubsub(arguments) => load::run(&Demand::pubsub(arguments)),
        Scenario::Mixed(arguments) => load::run(&Demand::mixed(arguments)),
        Scenario::Connect(arguments) => connect::run(arguments),
        Scenario::Churn(arguments) if arguments.kind == ChurnKind::Sessions => churn::run(arguments),
        Scenario::Churn(arguments) => load::run(&Demand::churn(arguments)),
    }
}
