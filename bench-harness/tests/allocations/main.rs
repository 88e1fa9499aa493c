//! What a message costs in allocations once a shard has its working memory, for every whole path.
//!
//! The figures that hold are in `bench-harness/allocations.toml`, per step of a path: zero is the aim. A path that
//! allocates more fails; one that allocates less is told of. With `WAMPLINE_RECORD=1` the figures are written anew; with
//! `WAMPLINE_ALLOCATION_SITES=NAME` the places are printed that allocate in the paths whose names begin so.

mod counting;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use wampline_bench::paths::{self, Path, Step};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Steps before one counts: buffers grow, hash tables too.
const WARMUP_STEPS: u64 = 60;

/// Steps that count. Tables that grow now and then must not show: more than this keeps them below a hundredth.
const STEPS: u64 = 100;

#[test]
fn paths_allocate_no_more_than_is_recorded() {
    let measured: BTreeMap<String, f64> = paths::all()
        .iter()
        // A thousand subscribers allocate as ten do, more slowly.
        .filter(|path| path.sends() < 100)
        .map(|path| (path.name.clone(), per_step(path)))
        .collect();
    if std::env::var_os("WAMPLINE_RECORD").is_some() {
        fs::write(file(), recorded_form(&measured)).expect("a writable file");
    }
    let text = fs::read_to_string(file()).expect("a readable file");
    let recorded: BTreeMap<String, f64> = toml::from_str(&text).expect("names and numbers");
    let mut worse = Vec::new();
    for (name, count) in &measured {
        match recorded.get(name) {
            Some(bound) if *count > bound + 0.01 => worse.push(format!("{name}: {count}, recorded {bound}")),
            Some(bound) if *count < bound - 0.01 => {
                println!("{name}: {count}, recorded {bound}: record the gain")
            }
            Some(_) => {}
            None => worse.push(format!("{name}: {count}, not recorded")),
        }
    }
    worse.extend(
        recorded.keys().filter(|name| !measured.contains_key(*name)).map(|name| format!("{name}: gone")),
    );
    assert!(worse.is_empty(), "allocations per step:\n  {}", worse.join("\n  "));
}

#[test]
fn an_allocation_is_counted() {
    let (count, _) = counting::during(|| std::hint::black_box(Vec::<u8>::with_capacity(10)));
    assert_eq!(count, 1);
    let mut grown = vec![0u8; 16];
    let (count, ()) = counting::during(|| grown.reserve(1000));
    assert_eq!(count, 1);
    let (count, _) = counting::during(|| std::hint::black_box(17));
    assert_eq!(count, 0);
}

/// Allocations per step, to two digits.
fn per_step(path: &Path) -> f64 {
    let mut step = path.prepare();
    run(&mut step, WARMUP_STEPS);
    let (count, ()) = counting::during(|| run(&mut step, STEPS));
    if let Ok(prefix) = std::env::var("WAMPLINE_ALLOCATION_SITES")
        && path.name.starts_with(&prefix)
    {
        println!("{}: {count} in {STEPS} steps", path.name);
        for (site, count) in counting::sites_during(|| run(&mut step, STEPS)) {
            println!("    {count:>6} {site}");
        }
    }
    (count as f64 / STEPS as f64 * 100.0).round() / 100.0
}

fn run(step: &mut Step, steps: u64) {
    for _ in 0..steps {
        step.run();
    }
}

fn recorded_form(measured: &BTreeMap<String, f64>) -> String {
    let mut text = "# Allocations per step of each whole path (bench-harness/src/paths.rs) in the steady state: what holds now.\n\
         # Written by: WAMPLINE_RECORD=1 cargo test -p wampline-bench --test allocations\n"
        .to_owned();
    for (name, count) in measured {
        let _ = writeln!(text, "\"{name}\" = {count:.2}");
    }
    text
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("allocations.toml")
}
