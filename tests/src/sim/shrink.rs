//! Makes a failing plan smaller.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Failure, Plan, run};

/// The smallest plan found that still fails, with its failure and log. A plan that does not fail is given back as it is.
///
/// Fewer steps first, then fewer clients. A panic counts as a failure where panics unwind.
pub fn shrink(plan: &Plan) -> (Plan, Option<Box<Failure>>) {
    let mut best = plan.clone();
    let Some(mut failure) = fails(&best) else { return (best, None) };
    let mut attempt = |best: &mut Plan, candidate: Plan| {
        if let Some(found) = fails(&candidate) {
            *best = candidate;
            failure = found;
            return true;
        }
        false
    };
    for _ in 0..2 {
        let mut cut = best.steps / 2;
        while cut > 0 {
            let candidate = Plan { steps: best.steps.saturating_sub(cut), ..best.clone() };
            if !attempt(&mut best, candidate) {
                cut /= 2;
            }
        }
        for client in 0..best.clients {
            if best.muted >> client & 1 == 0 {
                let candidate = Plan { muted: best.muted | 1 << client, ..best.clone() };
                attempt(&mut best, candidate);
            }
        }
    }
    (best, Some(failure))
}

fn fails(plan: &Plan) -> Option<Box<Failure>> {
    match catch_unwind(AssertUnwindSafe(|| run(plan, true))) {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let what = format!("panic: {}", text.unwrap_or_default());
            Some(Box::new(Failure { what, log: Vec::new() }))
        }
    }
}
