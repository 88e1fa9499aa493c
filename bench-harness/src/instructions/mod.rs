//! Instructions per operation, counted by valgrind's callgrind, and the budgets that they must keep.
//!
//! Owns: the child processes that are counted in, the reading of what callgrind writes, [`Budgets`] and their comparison.
//! Does not: know what an operation does ([`crate::hot`]).
//!
//! # What makes a count repeat
//! Every family of operations has a process of its own, with an empty environment and an address space that valgrind
//! lays out. Hash tables have fixed seeds. The C library's choices by size of the caches and by `rep movsb`, which
//! valgrind counts once per octet, are fixed by `TUNABLES`. Code that is chosen by processor features sees those of the
//! processor up to AVX2: valgrind presents no more. So a count holds on every x86-64 processor with AVX2 (2013 and later),
//! for the compiler and the C library that it was made with.

mod budgets;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

pub use budgets::{Budgets, Finding, Toolchain};

use crate::hot::{self, Action};

/// Times that count.
const TIMES: u32 = 8;

/// Times before that: buffers and tables grow.
const WARMUP_TIMES: u32 = 24;

/// What of the C library would depend on the machine.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000:\
                        glibc.cpu.x86_non_temporal_threshold=0x40000000";

/// Instructions per time of every operation whose name contains `filter`, by name, in the order of [`hot::all`].
///
/// `program` is a program of this crate that calls [`be_counted`] with its first argument; `folder` is empty and used
/// for callgrind's output.
///
/// # Errors
/// When valgrind cannot be run or says something unexpected, in words.
pub fn count(program: &Path, folder: &Path, filter: &str) -> Result<Vec<(String, f64)>, String> {
    let operations = hot::all();
    let mut families: Vec<String> = Vec::new();
    for operation in operations.iter().filter(|operation| operation.name.contains(filter)) {
        if families.last().is_none_or(|last| last != operation.family()) {
            families.push(operation.family().to_owned());
        }
    }
    families.sort();
    families.dedup();
    let (queue, done) = (Mutex::new(families), Mutex::new(Ok(Vec::new())));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(family) = queue.lock().expect("invariant: nobody panics here").pop() {
                    let counted = count_family(program, folder, &family);
                    let mut done = done.lock().expect("invariant: nobody panics here");
                    if let Ok(all) = &mut *done {
                        match counted {
                            Ok(counts) => all.extend(counts),
                            Err(error) => *done = Err(error),
                        }
                    }
                }
            });
        }
    });
    let mut counts = done.into_inner().expect("invariant: nobody panics here")?;
    counts.retain(|(name, _)| name.contains(filter));
    let place = |name: &str| operations.iter().position(|operation| operation.name == name);
    counts.sort_by_key(|(name, _)| place(name));
    Ok(counts)
}

/// In the child: runs the operations of a family, each within `counted_section`.
pub fn be_counted(family: &str) {
    for operation in hot::all().iter().filter(|operation| operation.family() == family) {
        let mut action = operation.prepare();
        (0..WARMUP_TIMES).for_each(|_| action());
        counted_section(&mut action);
    }
}

/// What is counted. Callgrind knows it by its name.
#[inline(never)]
fn counted_section(action: &mut Action) {
    for _ in 0..TIMES {
        action();
    }
}

fn count_family(program: &Path, folder: &Path, family: &str) -> Result<Vec<(String, f64)>, String> {
    let out = folder.join(family);
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args(["--collect-atstart=no", "--toggle-collect=*counted_section*"])
        .args([
            "--dump-after=wampline_bench::instructions::counted_section",
            "--compress-strings=yes",
            "--combine-dumps=no",
        ])
        .arg(program)
        .args(["be-counted", family])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", TUNABLES)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        return Err(format!("{family}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let names: Vec<String> =
        hot::all().into_iter().filter(|operation| operation.family() == family).map(|it| it.name).collect();
    let counts = names.into_iter().enumerate().map(|(index, name)| {
        // Callgrind numbers its dumps from 1.
        let path = folder.join(format!("{family}.{}", index + 1));
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{name}: {}: {error}", path.display()))?;
        let total = summary(&text).ok_or_else(|| format!("{name}: {} has no totals", path.display()))?;
        if total < u64::from(TIMES) {
            return Err(format!("{name}: nothing was counted"));
        }
        Ok((name, total as f64 / f64::from(TIMES)))
    });
    counts.collect()
}

/// The total of a dump of callgrind.
fn summary(text: &str) -> Option<u64> {
    let line = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).and_then(|rest| rest.trim().parse().ok())
    };
    line("summary:").or_else(|| line("totals:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found() {
        assert_eq!(summary("version: 1\nsummary: 1234\nfn=(1)\n"), Some(1234));
        assert_eq!(summary("totals: 77\n"), Some(77));
        assert_eq!(summary("fn=(1)\n"), None);
    }
}
