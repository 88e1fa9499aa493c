//! The files of the repository: those that git knows or would take; without git, all that lie in its folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold nothing of ours: what was built or installed.
const FOREIGN: [&str; 6] = ["target", "node_modules", "__pycache__", ".git", ".cache", ".venv"];

/// One file, with its path from the root of the repository.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) octets: Vec<u8>,
}

impl File {
    /// The content; files that are not UTF-8 have no text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.octets).unwrap_or_default()
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|it| it == extension)
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("invariant: the crate `tests` lies in the root").to_owned()
}

/// Every file of ours, in the order of their paths.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut paths = listed_by_git(&root).unwrap_or_else(|| {
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found
    });
    paths.sort();
    assert!(paths.len() > 100, "{} files found only", paths.len());
    let read = |path: String| {
        let octets = fs::read(root.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        File { path, octets }
    };
    paths.into_iter().map(read).collect()
}

/// Every Rust file of ours.
pub(crate) fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.has_extension("rs")).collect()
}

/// The file at `path`, which must be there.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// What git lists, less what was deleted; None where there is no git or no repository.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let listed = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let is_there = |path: &&str| !path.is_empty() && root.join(path).is_file();
    Some(listed.split('\0').filter(is_there).map(str::to_owned).collect())
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(|entry| entry.expect("a readable folder")) {
        let path = entry.path();
        let kind = entry.file_type().expect("a readable entry");
        let name = entry.file_name();
        if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) {
            walk(root, &path, found);
        } else if kind.is_file() {
            let relative = path.strip_prefix(root).expect("invariant: the walk stays below the root");
            found.push(relative.to_string_lossy().into_owned());
        }
    }
}

#[test]
fn walking_finds_what_git_lists() {
    let root = root();
    let mut walked = Vec::new();
    walk(&root, &root, &mut walked);
    let listed = listed_by_git(&root).unwrap_or_default();
    let unseen: Vec<String> = listed.into_iter().filter(|path| !walked.contains(path)).collect();
    crate::assert_none("the walk finds every file that git lists", unseen);
}
