//! Whether this kernel lets us do what this driver is built on, found out before anything is started, with a message
//! that says what to do where it does not.

use std::fs;
use std::io;

use io_uring::{IoUring, Probe, opcode};

use super::ring;
use crate::StartError;
use crate::sys::{self, Resource};

/// glommio refuses to start an executor below this.
const LOCKED_MEMORY_MIN: u64 = 512 << 10;

/// Raises the limit of locked memory, then tries everything once.
pub(crate) fn check() -> Result<(), StartError> {
    let locked = sys::raise_limit(Resource::LockedMemory);
    tracing::debug!(locked_memory = locked, kernel = %sys::kernel_release(), "limits");
    check_locked_memory(locked)?;
    // On a thread of its own: the kernel winds a ring down with task work, which would interrupt a system call of the
    // thread that asked for the ring some time later.
    let tried = std::thread::spawn(try_everything).join();
    tried.unwrap_or_else(|_| Err(refuse("io_uring cannot be tried".to_owned())))
}

fn try_everything() -> Result<(), StartError> {
    let ring = ring::setup(8, 16).map_err(|error| refuse(explain_setup(&error, &Surroundings::read())))?;
    check_features(&ring)?;
    ring::try_buffers(ring).map_err(|error| {
        refuse(format!("io_uring cannot register receive buffers ({error}); Linux 6.1 or newer is needed"))
    })
}

fn check_locked_memory(limit: u64) -> Result<(), StartError> {
    if limit >= LOCKED_MEMORY_MIN {
        return Ok(());
    }
    Err(refuse(format!(
        "the limit of locked memory is {limit} octets, io_uring needs at least {LOCKED_MEMORY_MIN}: raise it with \
         `ulimit -l 8192`, `LimitMEMLOCK=8M` in a systemd unit or `--ulimit memlock=8388608` for a container"
    )))
}

fn check_features(ring: &IoUring) -> Result<(), StartError> {
    let mut probe = Probe::new();
    let probed = ring.submitter().register_probe(&mut probe);
    probed.map_err(|error| refuse(format!("io_uring cannot be probed: {error}")))?;
    let needed = [
        ("accept", opcode::AcceptMulti::CODE),
        ("receive", opcode::RecvMulti::CODE),
        ("send", opcode::Send::CODE),
        ("vectored send", opcode::SendMsg::CODE),
        ("cancel", opcode::AsyncCancel2::CODE),
        ("poll", opcode::PollAdd::CODE),
        // Came with Linux 6.0, like multishot receive, which cannot be asked for.
        ("zero-copy send", opcode::SendZc::CODE),
    ];
    let missing: Vec<&str> =
        needed.iter().filter(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| *name).collect();
    let params = ring.params();
    if missing.is_empty()
        && params.is_feature_nodrop()
        && params.is_feature_submit_stable()
        && params.is_feature_ext_arg()
    {
        return Ok(());
    }
    let kernel = sys::kernel_release();
    Err(refuse(format!(
        "this kernel's io_uring lacks what is needed ({}): it is Linux {kernel}, 6.1 or newer is needed",
        if missing.is_empty() {
            "stable submissions or bounded waits".to_owned()
        } else {
            missing.join(", ")
        }
    )))
}

/// What helps to tell why a ring could not be made.
#[derive(Debug)]
struct Surroundings {
    kernel: String,
    /// `kernel.io_uring_disabled`: 0 for everyone, 1 for privileged processes, 2 for nobody.
    disabled: Option<u8>,
    /// Whether a seccomp filter is in force, as it is in most containers.
    filtered: bool,
}

impl Surroundings {
    fn read() -> Surroundings {
        let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        Surroundings {
            kernel: sys::kernel_release(),
            disabled: disabled.and_then(|text| text.trim().parse().ok()),
            filtered: seccomp.is_some_and(|mode| mode.trim() == "2"),
        }
    }
}

fn explain_setup(error: &io::Error, around: &Surroundings) -> String {
    let kernel = &around.kernel;
    match error.raw_os_error() {
        Some(libc::EPERM) if around.disabled.is_some_and(|level| level > 0) => format!(
            "io_uring is switched off by the kernel setting io_uring_disabled={}: set it to 0 with \
             `sysctl -w kernel.io_uring_disabled=0`",
            around.disabled.unwrap_or_default()
        ),
        Some(libc::EPERM | libc::ENOSYS | libc::EACCES) if around.filtered => format!(
            "io_uring is denied by a seccomp filter ({error}), as in a container with the default profile: start the \
             container with a profile that allows io_uring_setup, io_uring_enter and io_uring_register, for example \
             `--security-opt seccomp=unconfined`"
        ),
        Some(libc::ENOSYS) => {
            format!("Linux {kernel} does not offer io_uring; Linux 6.1 or newer with io_uring is needed")
        }
        Some(libc::EPERM | libc::EACCES) => format!(
            "io_uring is denied ({error}), probably by a security module or a sandbox: allow the system calls \
             io_uring_setup, io_uring_enter and io_uring_register"
        ),
        Some(libc::EINVAL) => format!(
            "Linux {kernel} is too old: its io_uring lacks deferred task work; Linux 6.1 or newer is needed"
        ),
        Some(libc::ENOMEM) => "io_uring may not lock enough memory: raise the limit with `ulimit -l 8192`, \
                               `LimitMEMLOCK=8M` in a systemd unit or `--ulimit memlock=8388608` for a container"
            .to_owned(),
        Some(libc::EMFILE | libc::ENFILE) => {
            format!("io_uring cannot be set up, too few open files are allowed ({error}): raise `ulimit -n`")
        }
        _ => format!("io_uring cannot be set up on Linux {kernel}: {error}"),
    }
}

fn refuse(message: String) -> StartError {
    StartError { message, uring: true }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn explained(errno: i32, disabled: Option<u8>, filtered: bool) -> String {
        let around = Surroundings { kernel: "5.15.0".to_owned(), disabled, filtered };
        explain_setup(&io::Error::from_raw_os_error(errno), &around)
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        assert!(explained(libc::EPERM, Some(2), false).contains("sysctl -w kernel.io_uring_disabled=0"));
        assert!(explained(libc::EPERM, Some(0), true).contains("--security-opt seccomp=unconfined"));
        assert!(explained(libc::ENOSYS, None, true).contains("--security-opt seccomp=unconfined"));
        assert!(explained(libc::ENOSYS, None, false).contains("does not offer io_uring"));
        assert!(explained(libc::EPERM, None, false).contains("security module"));
        assert!(explained(libc::EINVAL, None, false).contains("Linux 5.15.0 is too old"));
        assert!(explained(libc::ENOMEM, None, false).contains("ulimit -l"));
        assert!(explained(libc::EMFILE, None, false).contains("ulimit -n"));
    }

    #[test]
    fn too_little_locked_memory_is_refused_with_advice() {
        let error = check_locked_memory(64 << 10).unwrap_err();
        assert!(error.uring);
        assert!(
            error.message.contains("65536 octets") && error.message.contains("LimitMEMLOCK"),
            "{error:?}"
        );
        check_locked_memory(u64::MAX).unwrap();
    }

    #[test]
    fn this_kernel_is_good_enough_for_the_other_tests() {
        check().unwrap();
    }
}
