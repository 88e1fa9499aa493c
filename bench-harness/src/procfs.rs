//! What Linux tells about a process and its descendants in `/proc`: processor time and resident memory.
//!
//! Processes come and go while one looks: what cannot be read counts as nothing.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// What a tree of processes has used so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user and kernel mode of the threads that live.
    pub processor_time: Duration,
    /// Resident memory in KiB; pages that several processes share count once per process.
    pub resident_kib: u64,
}

/// What the processes use together.
pub fn usage(pids: &[u32]) -> Usage {
    pids.iter().fold(Usage::default(), |sum, &pid| Usage {
        processor_time: sum.processor_time + processor_time(pid),
        resident_kib: sum.resident_kib + resident_kib(pid),
    })
}

/// The processor time of the threads of one process, in nanoseconds where the kernel counts them.
pub fn processor_time(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let times = tasks.flatten().map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(times.sum())
}

/// A process and all its descendants, as they are now.
pub fn tree(root: u32) -> Vec<u32> {
    let processes: Vec<(u32, u32)> = all().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            processes
                .iter()
                .filter(|(_, parent)| found.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// When a process began, in ticks since the machine did: tells whether a process id still names the same process. `None` for
/// one that has ended, reaped or not.
pub fn birth(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    (fields.first()? != "Z").then(|| fields.get(19)?.parse().ok()).flatten()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `stat` from the third (state) on. The second is the name in parentheses and may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

fn resident_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_has_its_descendants_until_they_end() {
        let mut child =
            Command::new("sh").args(["-c", "read -r line"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        assert!(tree(std::process::id()).contains(&pid));
        assert_eq!(tree(pid), [pid]);
        assert!(birth(pid).is_some());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(birth(pid), None);
        assert!(!tree(std::process::id()).contains(&pid));
    }

    #[test]
    fn this_process_uses_something() {
        let own = usage(&[std::process::id()]);
        assert!(own.resident_kib > 100, "{own:?}");
        assert_eq!(usage(&[u32::MAX]), Usage::default());
    }
}
