//! Files that are read again when they change, while the router runs: principals and keys.
//!
//! One thread looks at every file once a second. Looking costs one system call per file and works wherever files do: over NFS,
//! where a file is replaced by renaming another, where it lies behind symbolic links that are turned around (as with mounted secrets of
//! Kubernetes), and where a folder comes and goes. Notifications (inotify) are a second faster, and miss or multiply all of these.
//!
//! Invariants:
//! - A file counts as a whole. What is wrong with it is logged, with line and reason, and what was good before stays.
//! - A change counts once the file has been left alone for one look, so that a file that is being written is not taken for one
//!   that is complete.
//! - What was read is wiped from memory; nothing of a file's content is logged but what its reader says of it.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{error, info};
use wampline_auth::{PrincipalStore, Principals};
use zeroize::Zeroizing;

/// What events of this module are logged under.
const TARGET: &str = "wampline";

/// How often each file is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// A file is not read beyond this: some hundred thousand principals.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A file that is watched, and what is done with its text when it has changed.
#[derive(Clone)]
pub struct Watched {
    path: PathBuf,
    apply: Arc<Apply>,
    /// The content that was last read, whatever came of it; `None`: the file was not there.
    read: Option<Stamp>,
    /// What the last look saw.
    seen: Option<Stamp>,
}

type Apply = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// What tells one content of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watched {
    /// A file that was read at the start (see [`read`]). `apply` gets the whole text of each later content; what it finds wrong it
    /// says as `LINE:COLUMN: what`, or without a place.
    pub fn new(
        path: PathBuf,
        stamp: Stamp,
        apply: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Watched {
        Watched { path, apply: Arc::new(apply), read: Some(stamp), seen: Some(stamp) }
    }

    /// A file of principals, which replaces those of a store as a whole. `check` may refuse them, because of roles that do not exist
    /// for example.
    pub fn principals(
        path: PathBuf,
        stamp: Stamp,
        store: Arc<PrincipalStore>,
        check: impl Fn(&Principals) -> Result<(), String> + Send + Sync + 'static,
    ) -> Watched {
        Watched::new(path, stamp, move |text| {
            let principals = Principals::from_toml(text).map_err(|error| error.to_string())?;
            check(&principals)?;
            store.replace(principals);
            Ok(())
        })
    }

    /// Looks whether the file has changed, and reads it if it has.
    fn look(&mut self) {
        let now = std::fs::metadata(&self.path).ok().map(|found| Stamp::of(&found));
        let is_at_rest = now == self.seen;
        self.seen = now;
        if !is_at_rest || now == self.read {
            return;
        }
        let (path, before) = (self.path.display(), std::mem::replace(&mut self.read, now));
        let text = match self::read(&self.path) {
            // It has changed while it was read: the next look sees it.
            Ok((_, stamp)) if Some(stamp) != now => {
                self.read = before;
                return;
            }
            Ok((text, _)) => text,
            Err(why) => {
                error!(target: TARGET, file = %path, "the file cannot be read ({why}), what was read before stays");
                return;
            }
        };
        match (self.apply)(&text) {
            Ok(()) => info!(target: TARGET, file = %path, "the file has changed and was read"),
            Err(why) => error!(target: TARGET, "{path}:{why}; what was read before stays"),
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Stamp {
    fn of(found: &Metadata) -> Stamp {
        Stamp {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Reads a file that is to be watched from then on.
///
/// # Errors
/// It cannot be read, is no text, or is longer than 64 MiB.
pub fn read(path: &Path) -> Result<(Zeroizing<String>, Stamp), String> {
    let fail = |why: io::Error| why.to_string();
    let mut file = File::open(path).map_err(fail)?;
    let before = file.metadata().map_err(fail)?;
    if before.len() > FILE_BYTES_MAX {
        return Err(format!("it is longer than {FILE_BYTES_MAX} octets"));
    }
    // All of its room from the start: what a growing buffer leaves behind is not wiped.
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0) + 1));
    Read::by_ref(&mut file).take(before.len() + 1).read_to_end(&mut octets).map_err(fail)?;
    let after = file.metadata().map_err(fail)?;
    let text = match String::from_utf8(std::mem::take(&mut *octets)) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            return Err("it is no UTF-8 text".into());
        }
    };
    Ok((text, Stamp::of(&after)))
}

/// The thread that watches; it ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    over: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Watches files, until the watcher is dropped.
///
/// # Errors
/// The system gives no thread.
pub fn start(mut files: Vec<Watched>) -> io::Result<Watcher> {
    if files.is_empty() {
        return Ok(Watcher { over: None, thread: None });
    }
    let (over, is_over) = mpsc::channel();
    let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
        while is_over.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            files.iter_mut().for_each(Watched::look);
        }
    })?;
    Ok(Watcher { over: Some(over), thread: Some(thread) })
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.over = None;
        if let Some(thread) = self.thread.take() {
            // A reader that panicked has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    /// A fresh folder with one file that is watched, and what was made of it.
    struct Bench {
        folder: PathBuf,
        watched: Watched,
        applied: Arc<Mutex<Vec<String>>>,
    }

    impl Bench {
        fn new(name: &str, text: &str) -> Bench {
            let folder = std::env::temp_dir().join(format!("wampline-watch-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("file");
            std::fs::write(&path, text).unwrap();
            Bench::at(folder, path)
        }

        fn at(folder: PathBuf, path: PathBuf) -> Bench {
            let (_, stamp) = read(&path).unwrap();
            let applied: Arc<Mutex<Vec<String>>> = Arc::default();
            let taken = applied.clone();
            let apply = move |text: &str| {
                taken.lock().unwrap().push(text.to_owned());
                if text.contains("bad") { Err("1:1: it is bad".to_owned()) } else { Ok(()) }
            };
            Bench { watched: Watched::new(path, stamp, apply), folder, applied }
        }

        fn write(&self, text: &str) {
            std::fs::write(self.folder.join("file"), text).unwrap();
        }

        /// What has been applied since this was last asked.
        fn looks(&mut self, times: usize) -> Vec<String> {
            (0..times).for_each(|_| self.watched.look());
            std::mem::take(&mut *self.applied.lock().unwrap())
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let mut bench = Bench::new("same", "one");
        assert!(bench.looks(5).is_empty());
    }

    #[test]
    fn a_change_is_applied_once_and_when_the_file_is_at_rest() {
        let mut bench = Bench::new("change", "one");
        bench.write("two and");
        assert!(bench.looks(1).is_empty(), "it may be in the middle of being written");
        bench.write("two and more");
        assert!(bench.looks(1).is_empty());
        assert_eq!(bench.looks(5), ["two and more"]);
        bench.write("bad thing");
        assert_eq!(bench.looks(5), ["bad thing"], "it is not tried over and over");
        bench.write("three");
        assert_eq!(bench.looks(5), ["three"]);
    }

    #[test]
    fn a_file_that_is_replaced() {
        let mut bench = Bench::new("rename", "one");
        let other = bench.folder.join("other");
        std::fs::write(&other, "two").unwrap();
        std::fs::rename(&other, bench.folder.join("file")).unwrap();
        assert_eq!(bench.looks(3), ["two"]);
        std::fs::remove_file(bench.folder.join("file")).unwrap();
        assert!(bench.looks(3).is_empty(), "what was read before stays");
        bench.write("three");
        assert_eq!(bench.looks(3), ["three"]);
    }

    #[test]
    fn a_link_that_is_turned_around() {
        let bench = Bench::new("link", "unused");
        for (folder, text) in [("a", "one"), ("b", "two")] {
            std::fs::create_dir(bench.folder.join(folder)).unwrap();
            std::fs::write(bench.folder.join(folder).join("file"), text).unwrap();
        }
        let (link, path) = (bench.folder.join("now"), bench.folder.join("now/file"));
        std::os::unix::fs::symlink("a", &link).unwrap();
        let mut turning = Bench::at(bench.folder.clone(), path);
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("b", &link).unwrap();
        assert_eq!(turning.looks(3), ["two"]);
    }

    #[test]
    fn what_is_no_text_changes_nothing() {
        let mut bench = Bench::new("octets", "one");
        std::fs::write(bench.folder.join("file"), b"\xFF\xFE").unwrap();
        assert!(bench.looks(3).is_empty());
        assert_eq!(read(&bench.folder.join("file")).unwrap_err(), "it is no UTF-8 text");
        assert!(read(&bench.folder.join("none")).unwrap_err().contains("No such file"));
        assert!(read(&bench.folder).unwrap_err().contains("directory"));
    }

    #[test]
    fn principals_are_replaced_as_a_whole_or_not_at_all() {
        let principal = |authid: &str, role: &str| {
            format!("[[principal]]\nauthid = {authid:?}\nrole = {role:?}\nticket = \"secret of {authid}\"\n")
        };
        let bench = Bench::new("principals", &principal("joe", "user"));
        let path = bench.folder.join("file");
        let (text, stamp) = read(&path).unwrap();
        let store = Arc::new(PrincipalStore::new(Principals::from_toml(&text).unwrap()));
        let check = |principals: &Principals| match principals.roles().find(|role| *role != "user") {
            Some(role) => Err(format!(" there is no role {role:?}")),
            None => Ok(()),
        };
        let mut watched = Watched::principals(path, stamp, store.clone(), check);
        let mut after = |text: &str| {
            bench.write(text);
            (0..2).for_each(|_| watched.look());
            store.current().roles().count()
        };
        let two = principal("joe", "user") + &principal("ann", "user");
        assert_eq!(after(&two), 2);
        assert_eq!(after(&(two.clone() + "nonsense")), 2, "a broken file");
        assert_eq!(after(&(two.clone() + &principal("eve", "root"))), 2, "a role that there is not");
        assert_eq!(after(&(two.clone() + &principal("joe", "user"))), 2, "a principal twice");
        assert_eq!(after(&principal("ann", "user")), 1);
        assert_eq!(after(""), 0, "an empty file has no principals");
    }

    #[test]
    fn the_thread_looks_and_ends() {
        let bench = Bench::new("thread", "one");
        let watcher = start(vec![bench.watched.clone()]).unwrap();
        bench.write("two");
        let begun = Instant::now();
        while bench.applied.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it did not happen");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(watcher);
        assert_eq!(*bench.applied.lock().unwrap(), ["two"]);
        assert!(start(Vec::new()).unwrap().thread.is_none(), "nothing to watch");
    }
}
