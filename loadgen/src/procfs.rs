//! What Linux tells about a process in `/proc`: processor time, memory, descriptors.

use std::fs;
use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::sys;

/// A process of which figures are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

/// What a process has used, as seen in two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessorTime {
    /// Of all threads, those that ended included, in ticks of 10 ms.
    all: Duration,
    /// Of the threads that live, finer.
    live: Duration,
}

impl ProcessorTime {
    /// What was used since an earlier look: the finer figure, unless threads have ended between.
    pub(crate) fn since(self, earlier: ProcessorTime) -> Duration {
        let all = self.all.saturating_sub(earlier.all);
        let live = self.live.saturating_sub(earlier.live);
        if all.abs_diff(live) <= TICKS_ERROR_MAX { live } else { all }
    }
}

/// Two looks, each of two figures in ticks.
const TICKS_ERROR_MAX: Duration = Duration::from_millis(40);

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Resident, in KiB (`VmRSS`).
    pub(crate) rss_kib: u64,
    /// Resident and not backed by a file, in KiB (`Anonymous` of `smaps_rollup`, else `RssAnon`).
    pub(crate) anonymous_kib: u64,
}

impl Process {
    /// The process with this id, which must exist and be readable.
    pub(crate) fn new(pid: u32) -> Result<Process, String> {
        let process = Process { pid };
        match process.processor_time() {
            Ok(_) => Ok(process),
            Err(error) => Err(format!("--router-pid {pid}: {error}")),
        }
    }

    /// This process.
    pub(crate) fn own() -> Process {
        Process { pid: std::process::id() }
    }

    /// Processor time in user and kernel mode of all threads so far.
    pub(crate) fn processor_time(self) -> io::Result<ProcessorTime> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let all = parse_stat(&text, sys::ticks_per_second()).ok_or_else(|| unexpected("stat"))?;
        Ok(ProcessorTime { all, live: self.thread_times()?.into_iter().map(|(_, time)| time).sum() })
    }

    /// Processor time of each live thread: in nanoseconds where the kernel tells, else in ticks.
    pub(crate) fn thread_times(self) -> io::Result<Vec<(u32, Duration)>> {
        let mut times = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let entry = entry?;
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let fine = fs::read_to_string(entry.path().join("schedstat"));
            if let Some(time) = fine.ok().as_deref().and_then(parse_schedstat) {
                times.push((thread, time));
                continue;
            }
            // The thread may have ended meanwhile.
            let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let time = parse_stat(&text, sys::ticks_per_second()).ok_or_else(|| unexpected("task/stat"))?;
            times.push((thread, time));
        }
        Ok(times)
    }

    /// Resident memory.
    pub(crate) fn memory(self) -> io::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let rss_kib = field(&status, "VmRSS:").ok_or_else(|| unexpected("status"))?;
        // Exact, where `status` may lag behind by some pages per thread; needs the right to trace the process.
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).unwrap_or_default();
        Ok(Memory {
            rss_kib: field(&rollup, "Rss:").unwrap_or(rss_kib),
            anonymous_kib: field(&rollup, "Anonymous:").or_else(|| field(&status, "RssAnon:")).unwrap_or(0),
        })
    }

    /// Open descriptors.
    pub(crate) fn descriptors(self) -> io::Result<u64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count() as u64)
    }
}

/// The id of the calling thread.
pub(crate) fn own_thread() -> io::Result<u32> {
    let link = fs::read_link("/proc/thread-self")?;
    link.file_name().and_then(|name| name.to_str()?.parse().ok()).ok_or_else(|| unexpected("thread-self"))
}

/// utime and stime, the 14th and 15th field. The second is the name in parentheses and may hold anything.
fn parse_stat(text: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let nanos = u128::from(user + system) * 1_000_000_000 / u128::from(ticks_per_second);
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// The first field: nanoseconds on a processor.
fn parse_schedstat(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The number in a line such as `VmRSS:     1234 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn unexpected(file: &str) -> io::Error {
    io::Error::other(format!("/proc/PID/{file} is not as expected"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn stat_with_a_strange_name() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(parse_stat(text, 100), Some(Duration::from_secs(2)));
        assert_eq!(parse_stat("42 (short) S 1", 100), None);
        assert_eq!(parse_stat("", 100), None);
    }

    #[test]
    fn the_finer_figure_counts_unless_threads_have_ended() {
        let time =
            |all, live| ProcessorTime { all: Duration::from_millis(all), live: Duration::from_micros(live) };
        assert_eq!(time(120, 117_300).since(time(100, 101_000)), Duration::from_micros(16_300));
        assert_eq!(time(5_000, 20_000).since(time(100, 101_000)), Duration::from_millis(4_900));
        assert_eq!(parse_schedstat("123456 7 8\n"), Some(Duration::from_nanos(123_456)));
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn fields_with_units() {
        let text = "Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 12 kB\n";
        assert_eq!(field(text, "VmRSS:"), Some(1234));
        assert_eq!(field(text, "RssAnon:"), Some(12));
        assert_eq!(field(text, "Rss:"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = Process::own();
        let before = own.processor_time().unwrap();
        let mut number = 1_u64;
        while own.processor_time().unwrap().since(before).is_zero() {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(own.memory().unwrap().rss_kib > 100);
        assert!(own.descriptors().unwrap() >= 3);
        assert!(!own.thread_times().unwrap().is_empty());
        assert!(Process::new(u32::MAX).unwrap_err().starts_with("--router-pid"));
    }
}
