//! What the documentation refers to is there: links, headings, commands, scripts.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::assert_none;
use crate::repository::{File, exists, files, read, root};

#[test]
fn links_resolve() {
    let mut offences = Vec::new();
    for file in markdown() {
        for link in links(file.text()) {
            let (target, heading) = link.split_once('#').unwrap_or((&link, ""));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = if target.is_empty() { file.path.clone() } else { beside(&file.path, target) };
            if !exists(&path) {
                offences.push(format!("{}: {link}", file.path));
            } else if !heading.is_empty() && !headings(&read(&path)).iter().any(|it| it == heading) {
                offences.push(format!("{}: {link}: no such heading", file.path));
            }
        }
    }
    assert_none("links lead somewhere", offences);
}

#[test]
fn commands_of_the_readme_exist() {
    let readme = read("README.md");
    let commands: Vec<&str> =
        fenced(&readme, "sh").flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut offences: Vec<String> = commands
        .iter()
        .filter(|command| !is_runnable(command))
        .map(|command| (*command).to_owned())
        .collect();
    for needed in ["cargo run", "tests/run"] {
        if !commands.iter().any(|command| command.starts_with(needed)) {
            offences.push(format!("no command begins with `{needed}`"));
        }
    }
    assert_none("the commands of README.md can be run", offences);
}

/// Whether what a command runs is part of the repository (a script, a package) or a well-known tool.
fn is_runnable(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let package = words.iter().position(|word| *word == "-p").and_then(|at| words.get(at + 1));
    let known = match words.first() {
        Some(program) if program.contains('/') => exists(program),
        Some(program) => ["cargo", "wampline", "wampline-loadgen", "git", "pip", "#", "cd"].contains(program),
        None => true,
    };
    let is_package = |name: &str| {
        files().iter().any(|file| {
            file.path.ends_with("Cargo.toml") && file.text().contains(&format!("name = \"{name}\"\n"))
        })
    };
    known && package.is_none_or(|name| is_package(name))
}

#[test]
fn paths_in_backquotes_exist() {
    // The map and the README name files as `folder/file`; what they name must be there.
    let mut offences = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md", "perf/README.md"] {
        let text = read(document);
        for name in text.split('`').skip(1).step_by(2) {
            let looks_like_path = name.contains('/')
                && Path::new(name).extension().is_some_and(|it| it == "rs" || it == "md" || it == "sh");
            if !looks_like_path
                || name.contains([' ', '*', ':', '<'])
                || exists(name)
                || exists(&beside(document, name))
            {
                continue;
            }
            // `routing/call.rs` stands for a file of a crate.
            let is_in_a_crate = name.split_once('/').is_some_and(|(krate, rest)| {
                exists(&format!("engine/{krate}/src/{rest}")) || exists(&format!("{krate}/src/{rest}"))
            });
            if !is_in_a_crate {
                offences.push(format!("{document}: {name}"));
            }
        }
    }
    assert_none("files that the documentation names exist", offences);
}

#[test]
fn tests_that_the_conformance_pages_name_exist() {
    let mut words: BTreeSet<String> = BTreeSet::new();
    for file in files().iter().filter(|file| file.has_extension("rs") || file.has_extension("py")) {
        let code = file.text();
        words.extend(
            code.split(|c: char| !is_of_a_name(c)).filter(|word| is_a_sentence(word)).map(Into::into),
        );
    }
    let mut offences = Vec::new();
    for document in markdown().iter().filter(|file| file.path.starts_with("docs/conformance")) {
        let text = document.text();
        let code =
            text.split('`').skip(1).step_by(2).filter(|code| !code.contains('.') && !code.contains('/'));
        let quoted = code.flat_map(|code| code.split(|c| !is_of_a_name(c)));
        let missing = quoted.filter(|name| is_a_sentence(name) && !words.contains(*name));
        offences.extend(missing.map(|name| format!("{}: {name}", document.path)));
    }
    assert_none("tests that the conformance pages name exist", offences);
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Names of tests are sentences.
fn is_a_sentence(word: &str) -> bool {
    word.matches('_').count() >= 2
}

#[test]
fn scripts_can_be_run() {
    let mut offences = Vec::new();
    for file in files().iter().filter(|file| file.octets.starts_with(b"#!/")) {
        let mode =
            root().join(&file.path).metadata().expect("a file that was just read").permissions().mode();
        if mode & 0o100 == 0 {
            offences.push(format!("{}: not executable", file.path));
        }
        if file.text().lines().next().is_some_and(|line| line.ends_with("sh"))
            && !file.text().contains("\nset -euo pipefail\n")
        {
            offences.push(format!("{}: no `set -euo pipefail`", file.path));
        }
    }
    for script in ["tests/run", ".ci/run", "tests/conformance/websocket/run"] {
        if !exists(script) {
            offences.push(format!("{script}: missing"));
        }
    }
    assert_none("scripts are executable and stop at the first error", offences);
}

fn markdown() -> Vec<File> {
    files().into_iter().filter(|file| file.has_extension("md")).collect()
}

/// The targets of inline links, outside code.
fn links(text: &str) -> Vec<String> {
    let mut is_fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_fenced ^= line.trim_start().starts_with("```");
        if is_fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.match_indices("](").filter_map(|(at, _)| prose[at + 2..].split_once(')'));
        found.extend(
            targets.map(|(target, _)| target.split_whitespace().next().unwrap_or_default().to_owned()),
        );
    }
    found
}

/// The headings of a document as the fragments of links name them.
fn headings(text: &str) -> Vec<String> {
    let titles =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    titles
        .map(|title| {
            let kept = title
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .collect::<String>();
            kept.replace(' ', "-")
        })
        .collect()
}

/// The contents of the code blocks of `language`.
fn fenced<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!("```{language}\n");
    text.match_indices(&opening)
        .map(move |(at, opening)| text[at + opening.len()..].split("```").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .into_iter()
}

/// The path of `target` as `document` names it, from the root.
fn beside(document: &str, target: &str) -> String {
    let folder = Path::new(document).parent().unwrap_or(Path::new(""));
    let mut parts: Vec<String> = Vec::new();
    for part in folder.join(target).components() {
        match part.as_os_str().to_string_lossy().as_ref() {
            ".." => drop(parts.pop()),
            "." => {}
            name => parts.push(name.to_owned()),
        }
    }
    parts.join("/")
}

#[test]
fn links_are_found_outside_code() {
    let text = "see [a](b.md#c) and `[d](e)`\n```\n[f](g)\n```\n[h](i \"title\")\n";
    assert_eq!(links(text), ["b.md#c", "i"]);
    assert_eq!(headings("# One Two\ntext\n## `x`: Y!\n"), ["one-two", "x-y"]);
    assert_eq!(beside("docs/a.md", "../README.md"), "README.md");
}
