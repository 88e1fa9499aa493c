//! Which crate may know which, and what the pure ones do without.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::repository::{files, read, rust_files};
use crate::source::{code_of, has_word, without_tests};

/// The crates of the workspace: folder, name, and the crates of the workspace that it may depend on.
///
/// wire <- routing, auth, transports, all <- shard <- driver <- router. The load generator uses wire and the client side
/// of transports. Nothing depends on tests and bench-harness, which may use whatever is pure.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("engine/wire", "wampline-wire", &[]),
    ("engine/routing", "wampline-routing", &["wampline-wire"]),
    ("engine/auth", "wampline-auth", &["wampline-wire"]),
    ("transports", "wampline-transports", &["wampline-wire"]),
    (
        "engine/shard",
        "wampline-shard",
        &["wampline-wire", "wampline-routing", "wampline-auth", "wampline-transports"],
    ),
    (
        "engine/driver",
        "wampline-driver",
        &["wampline-wire", "wampline-auth", "wampline-transports", "wampline-shard"],
    ),
    (
        "router",
        "wampline",
        &[
            "wampline-wire",
            "wampline-routing",
            "wampline-auth",
            "wampline-transports",
            "wampline-shard",
            "wampline-driver",
        ],
    ),
    ("loadgen", "wampline-loadgen", &["wampline-wire", "wampline-transports"]),
    (
        "bench-harness",
        "wampline-bench",
        &["wampline-wire", "wampline-routing", "wampline-auth", "wampline-transports", "wampline-shard"],
    ),
    (
        "tests",
        "wampline-tests",
        &["wampline-wire", "wampline-routing", "wampline-auth", "wampline-transports", "wampline-shard"],
    ),
];

/// Crates without sockets, threads and clocks, whatever runs them.
const PURE: &[&str] = &["engine/wire", "engine/routing", "engine/auth", "transports", "engine/shard"];

/// Packages that bring sockets, threads, clocks or an executor.
const IMPURE_PACKAGES: &[&str] = &[
    "async-std",
    "crossbeam-channel",
    "futures",
    "glommio",
    "hyper",
    "io-uring",
    "libc",
    "mio",
    "nix",
    "polling",
    "rayon",
    "rustix",
    "signal-hook",
    "smol",
    "socket2",
    "tokio",
];

/// What pure code does not say.
const IMPURE_WORDS: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "SystemTime",
    "ThreadId",
    "glommio",
    "io_uring",
];
const IMPURE_PHRASES: &[&str] = &[
    "std::thread",
    "thread::spawn",
    "thread::sleep",
    "Instant::now",
    "std::fs",
    "std::process",
    "std::env",
    "std::os::fd",
    "std::os::unix",
    "use std::io::{stdin",
    "stdout()",
    "stderr()",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
];

#[test]
fn every_crate_has_its_place() {
    let found: BTreeSet<String> = files()
        .iter()
        .filter_map(|file| file.path.strip_suffix("/Cargo.toml").map(str::to_owned))
        .filter(|folder| !folder.contains("/fuzz") && folder != "fuzz")
        .collect();
    let known: BTreeSet<String> = CRATES.iter().map(|(folder, ..)| (*folder).to_owned()).collect();
    let strange = found.symmetric_difference(&known).cloned().collect();
    assert_none("the crates are those of the list in this test", strange);
}

#[test]
fn arrows_point_one_way() {
    let mut offences = Vec::new();
    for (folder, name, may_know) in CRATES {
        let manifest = read(&format!("{folder}/Cargo.toml"));
        if !manifest.contains(&format!("name = \"{name}\"\n")) {
            offences.push(format!("{folder} is not {name}"));
        }
        for (section, package) in dependencies(&manifest) {
            let is_ours = CRATES.iter().any(|(_, ours, _)| *ours == package);
            if is_ours && section != "dev-dependencies" && !may_know.contains(&package.as_str()) {
                offences.push(format!("{name} depends on {package}"));
            }
            if !is_ours
                && section != "dev-dependencies"
                && PURE.contains(folder)
                && IMPURE_PACKAGES.contains(&package.as_str())
            {
                offences.push(format!("{name}, which is pure, depends on {package}"));
            }
        }
    }
    assert_none(
        "dependencies go down, wire <- routing, auth, transports <- shard <- driver <- router",
        offences,
    );
}

#[test]
fn crates_share_versions_and_lints() {
    let mut offences = Vec::new();
    for (folder, ..) in CRATES {
        let manifest = read(&format!("{folder}/Cargo.toml"));
        if !manifest.contains("[lints]\nworkspace = true") {
            offences.push(format!("{folder} does not take the lints of the workspace"));
        }
        for line in
            manifest.lines().filter(|line| line.contains("version = \"") || line.contains("path = \"../"))
        {
            offences.push(format!("{folder}: {line}"));
        }
    }
    assert_none("versions and lints are those of the workspace", offences);
}

#[test]
fn pure_crates_have_no_sockets_threads_or_clocks() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let is_pure = PURE.iter().any(|folder| file.path.starts_with(&format!("{folder}/src/")));
        if !is_pure || is_test(&file.path) {
            continue;
        }
        let code = code_of(file.text());
        for (number, line) in without_tests(&code).lines().enumerate() {
            let words = IMPURE_WORDS.iter().filter(|word| has_word(line, word));
            let phrases = IMPURE_PHRASES.iter().filter(|phrase| line.contains(**phrase));
            offences.extend(words.chain(phrases).map(|what| format!("{}:{}: {what}", file.path, number + 1)));
        }
    }
    assert_none("nothing before the driver has sockets, threads, clocks or files", offences);
}

/// Files that only tests are built from.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("_tests.rs")
}

/// The dependencies in a manifest: section and package. Targets are not told apart.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut section = String::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').rsplit('.').next().unwrap_or_default().to_owned();
        } else if section.ends_with("dependencies")
            && let Some((package, _)) = line.split_once(['.', '=', ' '])
            && !package.starts_with('#')
        {
            found.push((section.clone(), package.to_owned()));
        }
    }
    found
}

#[test]
fn dependencies_are_found() {
    let manifest = "[dependencies]\na.workspace = true\nb = { workspace = true }\n\n# c\n[dev-dependencies]\nd.workspace = true\n[lints]\ne = 1\n";
    let expected = [("dependencies", "a"), ("dependencies", "b"), ("dev-dependencies", "d")];
    let found = dependencies(manifest);
    assert_eq!(found, expected.map(|(section, package)| (section.to_owned(), package.to_owned())));
}

#[test]
fn the_map_names_every_crate() {
    let map = read("ARCHITECTURE.md");
    let mut offences = Vec::new();
    for (folder, name, _) in CRATES {
        if !map.contains(&format!("`{folder}`")) || !map.contains(&format!("`{name}`")) {
            offences.push(format!("{folder} ({name})"));
        }
    }
    assert_none("ARCHITECTURE.md names every crate and its folder", offences);
}
