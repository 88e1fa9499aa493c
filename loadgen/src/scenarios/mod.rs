//! What the sessions do. Each scenario is a [`Workload`] for each thread and a function that leads the run
//! through its phases and makes the report.

mod churn;
mod closed_loop;
mod connect;
mod outstanding;
mod pubsub;
mod recent;
mod rpc;
mod sequence;
mod team;

pub(crate) use closed_loop::Measured;

use crate::cli::Scenario;
use crate::connection::Replies;
use crate::floor;
use crate::report::Report;
use crate::session::{Life, News};
use crate::worker::Links;

/// What one thread's sessions do. Slots are numbered from 0 in the order of opening, until one is free again.
pub(crate) trait Workload: Send + 'static {
    /// Whether another session is to be opened now. Saying so is a promise: [`Workload::opened`] follows.
    fn wants_session(&mut self) -> bool;

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

    /// Whether the worker's thread may end.
    fn is_finished(&self, links: &Links) -> bool;
}

/// Carries out what the command line asks for. An error means that there is nothing to report.
pub(crate) fn run(scenario: &Scenario) -> Result<Report, String> {
    match scenario {
        Scenario::Rpc(arguments) => rpc::run(arguments),
        Scenario::Pubsub(arguments) => pubsub::run(arguments),
        Scenario::Connect(arguments) => connect::run(arguments),
        Scenario::Churn(arguments) => churn::run(arguments),
        Scenario::Floor(arguments) => floor::run(arguments),
    }
}
