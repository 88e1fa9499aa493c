//! What the tests of the binary share.
#![allow(dead_code, reason = "not every test uses all of it")]

pub(crate) mod running;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder for one test, empty at its beginning.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The binary with these arguments, run to its end.
pub(crate) fn wampline<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    Ended::from(Command::new(env!("CARGO_BIN_EXE_wampline")).args(arguments).output().unwrap())
}

/// `wampline check` of a text that stands in `folder` as `wampline.toml`.
pub(crate) fn check(folder: &Path, text: &str) -> Ended {
    let path = folder.join("wampline.toml");
    std::fs::write(&path, text).unwrap();
    wampline(["check", "--config", path.to_str().unwrap()])
}

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
