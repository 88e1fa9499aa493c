//! How many shards there should be, and on which CPUs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sys;

/// How many shards to run by default: the CPUs that this process may use, at most as many as the control group's quota
/// pays for, and at least one.
pub(crate) fn default_shards() -> usize {
    let allowed = sys::allowed_cpus().len();
    let quota = read_quota(Path::new("/sys/fs/cgroup"), Path::new("/proc/self/cgroup"));
    bounded(allowed, quota)
}

/// The CPU of each of `shards` shards: the allowed ones in order, round robin. Empty if they are unknown.
pub(crate) fn placement(shards: usize) -> Vec<usize> {
    let allowed = sys::allowed_cpus();
    if allowed.is_empty() {
        return Vec::new();
    }
    (0..shards).map(|shard| allowed[shard % allowed.len()]).collect()
}

fn bounded(allowed: usize, quota: Option<usize>) -> usize {
    allowed.min(quota.unwrap_or(usize::MAX)).max(1)
}

/// The quota of this process's control group in whole CPUs, rounded up: the least over the group and its ancestors.
fn read_quota(mount: &Path, membership: &Path) -> Option<usize> {
    let membership = fs::read_to_string(membership).unwrap_or_default();
    let unified = quota_along(mount.to_owned(), &group_path(&membership, ""), |group| {
        parse_v2(&fs::read_to_string(group.join("cpu.max")).ok()?)
    });
    let legacy = ["cpu", "cpu,cpuacct"].into_iter().filter_map(|controller| {
        quota_along(mount.join(controller), &group_path(&membership, "cpu"), |group| {
            let quota = fs::read_to_string(group.join("cpu.cfs_quota_us")).ok()?;
            let period = fs::read_to_string(group.join("cpu.cfs_period_us")).ok()?;
            parse_v1(&quota, &period)
        })
    });
    unified.into_iter().chain(legacy).min()
}

/// The least quota from the root of the hierarchy down to `group`. In a container the path often names a group that is
/// not visible; then only the root is, and it is the container's own.
fn quota_along(root: PathBuf, group: &str, read: impl Fn(&Path) -> Option<usize>) -> Option<usize> {
    let mut least = read(&root);
    let mut path = root;
    for component in group.split('/').filter(|component| !component.is_empty() && *component != "..") {
        path.push(component);
        least = least.into_iter().chain(read(&path)).min();
    }
    least
}

/// The path in `/proc/self/cgroup` (`id:controllers:path`) for a controller; the empty name means version 2.
fn group_path(membership: &str, controller: &str) -> String {
    let mut lines = membership.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    lines
        .find(|(controllers, _)| controllers.split(',').any(|name| name == controller))
        .map(|(_, path)| path.to_owned())
        .unwrap_or_default()
}

fn parse_v2(text: &str) -> Option<usize> {
    let mut fields = text.split_whitespace();
    let quota = fields.next()?.parse::<u64>().ok()?;
    whole_cpus(quota, fields.next()?.parse().ok()?)
}

fn parse_v1(quota: &str, period: &str) -> Option<usize> {
    whole_cpus(quota.trim().parse::<u64>().ok()?, period.trim().parse().ok()?)
}

fn whole_cpus(quota: u64, period: u64) -> Option<usize> {
    (period > 0).then(|| quota.div_ceil(period) as usize)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quotas_are_rounded_up_and_max_is_none() {
        assert_eq!(parse_v2("150000 100000\n"), Some(2));
        assert_eq!(parse_v2("50000 100000\n"), Some(1));
        assert_eq!(parse_v2("max 100000\n"), None);
        assert_eq!(parse_v1("-1\n", "100000\n"), None);
        assert_eq!(parse_v1("400000\n", "100000\n"), Some(4));
        assert_eq!(bounded(8, Some(2)), 2);
        assert_eq!(bounded(8, None), 8);
        assert_eq!(bounded(0, Some(0)), 1);
    }

    #[test]
    fn the_least_quota_of_all_ancestors_counts() {
        let root = crate::tests::scratch_directory("cgroup");
        let group = root.join("a/b");
        fs::create_dir_all(&group).unwrap();
        fs::write(root.join("a/cpu.max"), "300000 100000").unwrap();
        fs::write(group.join("cpu.max"), "max 100000").unwrap();
        let membership = root.join("membership");
        fs::write(&membership, "0::/a/b\n").unwrap();
        assert_eq!(read_quota(&root, &membership), Some(3));
        fs::write(&membership, "4:cpu,cpuacct:/c\n0::/\n").unwrap();
        assert_eq!(read_quota(&root, &membership), None);
        let legacy = root.join("cpu,cpuacct/c");
        fs::create_dir_all(&legacy).unwrap();
        fs::write(legacy.join("cpu.cfs_quota_us"), "100000").unwrap();
        fs::write(legacy.join("cpu.cfs_period_us"), "100000").unwrap();
        assert_eq!(read_quota(&root, &membership), Some(1));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn placement_goes_round() {
        let allowed = sys::allowed_cpus();
        let placed = placement(allowed.len() + 1);
        assert_eq!(placed[..allowed.len()], allowed);
        assert_eq!(placed[allowed.len()], allowed[0]);
    }
}
