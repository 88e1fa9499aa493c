//! What is printed at the end, with the names that `wampline-loadgen` gives them.

use serde_json::{Value, json};

use super::{Plan, Tally, Used};

/// What must not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries that came again, or too late.
    pub duplicated: u64,
    /// Deliveries that a later one of the same publisher overtook.
    pub reordered: u64,
    /// Octets that are not what was published.
    pub wrong: u64,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    tally: Tally,
    used: Used,
}

impl Report {
    pub(super) fn new(plan: &Plan, tally: Tally, used: Used) -> Report {
        Report { plan: plan.clone(), tally, used }
    }

    /// Whether everything was delivered, once, in order, and something was.
    pub fn passed(&self) -> bool {
        self.tally.faults == Faults::default() && self.tally.operations > 0
    }

    /// As one object.
    pub fn to_json(&self) -> Value {
        let Tally { operations, publications, latency, faults } = &self.tally;
        let seconds = self.plan.duration.as_secs_f64();
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        let own = self.used.own.as_secs_f64();
        let server = self.used.server.as_ref();
        let server_time = server.map(|usage| usage.processor_time.as_secs_f64());
        let share = own / seconds * 100.0;
        json!({
            "scenario": "pubsub",
            "operation": "events",
            "settings": {
                "url": format!("nats://{}", self.plan.server),
                "publishers": 1,
                "subscribers": self.plan.subscribers,
                "topics": 1,
                "in_flight": self.plan.in_flight,
                "payload_bytes": self.plan.payload,
                "warmup_seconds": self.plan.warmup.as_secs_f64(),
            },
            "seconds": seconds,
            "operations": operations,
            "operations_per_second": *operations as f64 / seconds,
            "latency_us": {
                "min": latency.min() as f64 / 1e3, "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99.9": at(0.999),
                "max": latency.max() as f64 / 1e3,
            },
            "router_cpu_us_per_operation": server_time.map(|time| time * 1e6 / (*operations).max(1) as f64),
            "router_cpu_percent": server_time.map(|time| time / seconds * 100.0),
            "router_rss_kib": server.map(|usage| usage.resident_kib),
            "generator_cpu_us_per_operation": own * 1e6 / (*operations).max(1) as f64,
            "generator_cpu_percent": share,
            "generator_busiest_thread_percent": share,
            "generator_saturated": share >= SATURATED_PERCENT,
            "figures": { "publications_per_second": *publications as f64 / seconds },
            "faults": {
                "lost": faults.lost, "duplicated": faults.duplicated, "reordered": faults.reordered,
                "wrong": faults.wrong, "errors": 0,
            },
            "passed": self.passed(),
        })
    }
}

/// Above this the generator has hardly waited for the server.
const SATURATED_PERCENT: f64 = 90.0;
