//! Limits of the system that are looked at before anything starts, so that the message says which and what to do.

use std::{fs, thread};

/// Open files that the process needs whatever it does, some room for connections among them.
const OPEN_FILES_BASE: u64 = 32;
/// Open files of each shard: its rings and wake-ups, and what its start needs for a moment.
const OPEN_FILES_PER_SHARD: u64 = 16;

/// Whether so many shards (by default one per core) can run with as many files as this process may open.
///
/// # Errors
/// What is wrong and what to do, in words.
pub(crate) fn check_open_files(shards: Option<usize>) -> Result<(), String> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let shards = shards.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    open_files_max(&limits).map_or(Ok(()), |limit| judge_open_files(limit, shards))
}

/// The hard limit, to which the driver raises the soft one; `None` for none.
fn open_files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn judge_open_files(limit: u64, shards: usize) -> Result<(), String> {
    let needed = OPEN_FILES_BASE + OPEN_FILES_PER_SHARD * shards as u64;
    if limit >= needed {
        return Ok(());
    }
    let shards = if shards == 1 { "1 shard needs".to_owned() } else { format!("{shards} shards need") };
    Err(format!(
        "the limit of open files is {limit}, {shards} at least {needed}, and every connection one more: raise it with \
         `ulimit -n 65536`, `LimitNOFILE=65536` in a systemd unit or `--ulimit nofile=65536` for a container"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_counts() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             95000                95000                processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(open_files_max(limits), Some(524_288));
        assert_eq!(open_files_max(&limits.replace("524288", "unlimited")), None);
        assert_eq!(open_files_max(""), None);
    }

    #[test]
    fn too_few_open_files_are_refused_with_advice() {
        assert_eq!(judge_open_files(48, 1), Ok(()));
        let refused = judge_open_files(63, 2).expect_err("too few");
        assert!(
            refused.contains("is 63, 2 shards need at least 64") && refused.contains("LimitNOFILE"),
            "{refused}"
        );
    }
}
