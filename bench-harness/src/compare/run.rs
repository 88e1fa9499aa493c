//! One run: a generator against one router, and what the router used meanwhile.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::scenario::Scenario;
use super::target::Running;
use super::{LOOK, Plan, Sample};
use crate::procfs::{self, Usage};

/// How much longer than its window a run may take: joins, what is outstanding.
const SLACK: Duration = Duration::from_secs(60);

/// The part of the window that is looked at, from its end backwards: neither its beginning nor its end is known exactly.
const LOOKED_AT: (f64, f64) = (0.85, 0.1);

/// What the router had used at some time.
struct Look {
    at: Instant,
    usage: Usage,
}

pub(super) fn run(plan: &Plan, scenario: &Scenario, router: &Running) -> Result<Sample, String> {
    if !router.is_alive() {
        return Err("the router has ended".to_owned());
    }
    let (program, arguments) = scenario.command(plan, &router.target, &router.pids());
    let mut child = Command::new(&program)
        .args(&arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let mut output = child.stdout.take().expect("invariant: piped");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let watched = watch(plan, router, &mut child);
    if watched.is_err() {
        // It may have ended meanwhile.
        let _ = child.kill();
    }
    let ended = child.wait().map_err(|error| error.to_string())?;
    let text = reader.join().map_err(|_| "unreadable".to_owned())?.map_err(|error| error.to_string())?;
    let looks = watched?;
    let report: Value = serde_json::from_str(text.trim())
        .map_err(|_| format!("{} {}: {ended}", program.display(), arguments.join(" ")))?;
    if report["passed"] != true {
        return Err(format!("failed: {} {}", report["faults"], report["failures"]));
    }
    sample(plan, &looks, report)
}

/// Looks at the router until the generator has ended. The last look is the last before that.
fn watch(plan: &Plan, router: &Running, child: &mut Child) -> Result<Vec<Look>, String> {
    let deadline = Instant::now() + Duration::from_secs_f64(plan.warmup + plan.duration) + SLACK;
    let mut looks = Vec::new();
    let pids = router.pids();
    loop {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Ok(looks);
        }
        let at = Instant::now();
        if at > deadline {
            return Err("the generator does not end".to_owned());
        }
        if plan.interrupted.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        looks.push(Look { at, usage: procfs::usage(&pids) });
        thread::sleep(LOOK);
    }
}

fn sample(plan: &Plan, looks: &[Look], report: Value) -> Result<Sample, String> {
    let figure = |value: &Value| value.as_f64();
    let rate = figure(&report["operations_per_second"]).ok_or("the report has no rate")?;
    let last = looks.last().ok_or("the run was too short")?.at;
    let before_end = |share: f64| last - Duration::from_secs_f64(plan.duration * share);
    let (from, to) = (before_end(LOOKED_AT.0), before_end(LOOKED_AT.1));
    let steady: Vec<&Look> = looks.iter().filter(|look| (from..=to).contains(&look.at)).collect();
    let (Some(first), Some(last)) = (steady.first(), steady.last()) else {
        return Err("the run was too short".to_owned());
    };
    let span = (last.at - first.at).as_secs_f64();
    let used = last.usage.processor_time.saturating_sub(first.usage.processor_time).as_secs_f64();
    if span <= 0.0 || rate <= 0.0 {
        return Err("the run was too short".to_owned());
    }
    let latency = &report["latency_us"];
    let exact = figure(&report["router_cpu_us_per_operation"]);
    Ok(Sample {
        cpu_us: exact.unwrap_or(used / span / rate * 1e6),
        rate,
        p50: figure(&latency["p50"]).unwrap_or(f64::NAN),
        p99: figure(&latency["p99"]).unwrap_or(f64::NAN),
        resident_kib: last.usage.resident_kib as f64,
        is_saturated: report["generator_saturated"] == true,
        report,
    })
}
