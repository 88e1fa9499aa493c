//! What every source file keeps to: size, nothing left open, unsafe code only where it belongs and with its argument.

use crate::assert_none;
use crate::repository::{File, files, rust_files};
use crate::source::{code_of, has_word};

const FILE_BYTES_MAX: usize = 1_000_000;
const RUST_LINES_MAX: usize = 600;

/// Longer Rust files, each with the reason why it is not split.
const LONG: &[(&str, &str)] = &[];

/// Files that exist for unsafe code, each with what for.
const UNSAFE: &[(&str, &str)] = &[
    ("bench-harness/src/floor/sys.rs", "system calls that no crate wraps"),
    ("bench-harness/src/floor/uring.rs", "submits to io_uring"),
    ("bench-harness/src/thread_time.rs", "a clock that no crate wraps"),
    ("bench-harness/tests/allocations/counting.rs", "an allocator that counts"),
    ("engine/driver/src/outgoing.rs", "the trait by which octets promise to stay in place"),
    ("engine/driver/src/sys.rs", "system calls that no crate wraps"),
    ("engine/driver/src/tests/runs.rs", "implements the driver's own unsafe trait"),
    ("engine/driver/src/uring/park.rs", "polls glommio's event source by hand"),
    ("engine/driver/src/uring/ring.rs", "submits to io_uring"),
    ("engine/driver/src/uring/ring/buffers.rs", "memory that the kernel writes to"),
    ("engine/wire/src/json/block.rs", "vector instructions"),
    ("loadgen/src/sys.rs", "system calls that no crate wraps"),
];

/// What may be left in no file: work that was not done. Put together here so that this file does not offend.
const LEFT_OPEN: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// The same, as comments put it.
const LEFT_OPEN_NOTES: &[&str] = &["FIXME", "XXX", "TODO", "HACK"];

#[test]
fn no_file_is_huge() {
    let huge = files().into_iter().filter(|file| file.octets.len() > FILE_BYTES_MAX);
    let offences = huge.map(|file| format!("{}: {} octets", file.path, file.octets.len())).collect();
    assert_none(&format!("files have at most {FILE_BYTES_MAX} octets"), offences);
}

#[test]
fn no_rust_file_is_long() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let lines = file.text().lines().count();
        let is_excepted = LONG.iter().any(|(path, _)| *path == file.path);
        if (lines > RUST_LINES_MAX) != is_excepted {
            offences.push(format!("{}: {lines} lines, excepted: {is_excepted}", file.path));
        }
    }
    offences.extend(missing(LONG));
    assert_none(&format!("Rust files have at most {RUST_LINES_MAX} lines"), offences);
}

#[test]
fn every_rust_file_says_what_it_is() {
    let silent = rust_files().into_iter().filter(|file| !file.text().trim_start().starts_with("//!"));
    assert_none("Rust files begin with their module's documentation", silent.map(|file| file.path).collect());
}

#[test]
fn nothing_is_left_open() {
    let mut offences = Vec::new();
    for file in rust_files() {
        for (number, line) in code_of(file.text()).lines().enumerate() {
            let found = LEFT_OPEN.iter().filter(|open| line.contains(*open));
            offences.extend(found.map(|open| format!("{}:{}: {open}", file.path, number + 1)));
        }
        for (number, line) in file.text().lines().enumerate().filter(|_| !is_of_this_test(&file)) {
            let found = LEFT_OPEN_NOTES.iter().filter(|note| has_word(line, note));
            offences.extend(found.map(|note| format!("{}:{}: {note}", file.path, number + 1)));
        }
    }
    assert_none("nothing is left open", offences);
}

#[test]
fn unsafe_code_is_where_it_belongs() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let is_unsafe = code_of(file.text()).lines().any(|line| has_word(line, "unsafe"));
        if is_unsafe != UNSAFE.iter().any(|(path, _)| *path == file.path) {
            offences.push(format!("{}: has unsafe code: {is_unsafe}", file.path));
        }
    }
    offences.extend(missing(UNSAFE));
    assert_none("unsafe code is in the files that exist for it, and nowhere else", offences);
}

#[test]
fn unsafe_code_has_its_argument() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let code = code_of(file.text());
        let lines: Vec<(&str, &str)> = file.text().lines().zip(code.lines()).collect();
        for (number, (_, line)) in lines.iter().enumerate() {
            if demands_argument(line) && !has_argument(&lines[..=number]) {
                offences.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    assert_none(
        "unsafe code has a comment `SAFETY:` (blocks, impls) or a section `# Safety` (functions, traits)",
        offences,
    );
}

/// Whether unsafe code begins on this line of code. The types of unsafe functions are no unsafe code.
fn demands_argument(line: &str) -> bool {
    has_word(line, "unsafe") && !line.contains("unsafe fn(") && !line.contains("unsafe extern \"C\" fn(")
}

/// Whether the last of `lines` (text and code), or the comments and attributes right before it or before the statement that
/// it belongs to, hold the argument.
fn has_argument(lines: &[(&str, &str)]) -> bool {
    let argues = |text: &str| text.contains("SAFETY:") || text.contains("# Safety");
    let (last, before) = lines.split_last().expect("invariant: a line is looked at");
    let mut inside_statement = true;
    for (text, code) in std::iter::once(last).chain(before.iter().rev()) {
        if argues(text) {
            return true;
        }
        let code = code.trim();
        let is_note =
            code.is_empty() && !text.trim().is_empty() || code.starts_with("#[") || code.starts_with("#!");
        if std::ptr::eq(*text, last.0) || is_note {
            continue;
        }
        // Above the first line of the statement only notes count.
        inside_statement &= !code.is_empty() && !code.ends_with([';', '{', '}', ',']);
        if !inside_statement {
            return false;
        }
    }
    false
}

#[test]
fn lock_files_name_no_host() {
    // Cargo's own index is named in every lock file of cargo; what a mirror would write is not.
    let hosts = [
        "registry.npmjs.org",
        "npmmirror",
        "pythonhosted.org",
        "static.crates.io",
        "index.crates.io",
        "pypi.org",
    ];
    let mut offences = Vec::new();
    for file in files().iter().filter(|file| !is_of_this_test(file)) {
        let found = hosts.iter().filter(|host| file.text().contains(**host));
        offences.extend(found.map(|host| format!("{}: {host}", file.path)));
        if file.path.ends_with("package-lock.json") && file.text().contains("\"resolved\"") {
            offences.push(format!("{}: says where packages were fetched from", file.path));
        }
        if file.path.ends_with(".npmrc") && file.text().contains("registry=") {
            offences.push(format!("{}: names a registry", file.path));
        }
        if file.path.ends_with("requirements.txt") && file.text().contains("-index") {
            offences.push(format!("{}: names an index", file.path));
        }
    }
    assert_none("packages come from wherever the user's tools fetch them", offences);
}

#[test]
fn no_path_of_one_machine() {
    let roots = ["/root/", "/home/", "/work/", "/Users/"];
    let mut offences = Vec::new();
    for file in files().iter().filter(|file| !is_of_this_test(file)) {
        for (number, line) in file.text().lines().enumerate() {
            let is_absolute =
                |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~}/*".contains(c));
            let found = roots.iter().filter(|root| line.match_indices(**root).any(|(at, _)| is_absolute(at)));
            offences.extend(found.map(|root| format!("{}:{}: {root}", file.path, number + 1)));
        }
    }
    assert_none("paths are relative to the repository", offences);
}

/// This test names what it forbids.
fn is_of_this_test(file: &File) -> bool {
    file.path.starts_with("tests/tests/tidy/")
}

/// Exceptions for files that are not there.
fn missing(exceptions: &[(&str, &str)]) -> Vec<String> {
    let gone = exceptions.iter().filter(|(path, _)| !crate::repository::exists(path));
    gone.map(|(path, _)| format!("{path}: excepted, but not there")).collect()
}
