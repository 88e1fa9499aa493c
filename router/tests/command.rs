//! The binary from outside: output, streams and exit codes.
#![allow(clippy::unwrap_used)]

mod support;

use support::{check, folder, wampline};

#[test]
fn version_and_help_go_to_standard_output() {
    let version = wampline(["--version"]);
    assert_eq!(
        (version.code, version.stdout),
        (Some(0), format!("wampline {}\n", env!("CARGO_PKG_VERSION")))
    );
    let help = wampline(["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for taught in
        ["wampline run --config wampline.toml", "Exit codes:", "testee", "127.0.0.1:8080", "--shards"]
    {
        assert!(help.stdout.contains(taught), "{taught}: {}", help.stdout);
    }
}

#[test]
fn wrong_flags_are_usage_errors() {
    for (line, part) in [
        (vec!["--nonsense"], "unexpected argument"),
        (vec!["run", "--shards", "none"], "--shards"),
        (vec!["--listen", "nowhere"], "is not an address"),
        (vec!["check"], "check --config FILE"),
        (vec!["dance"], "unrecognized subcommand"),
    ] {
        let ended = wampline(line.iter().copied());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""), "{line:?}");
        assert!(ended.stderr.contains(part), "{line:?}: {}", ended.stderr);
    }
}

#[test]
fn check_says_ok_in_one_line() {
    let folder = folder("check-ok");
    let ended = check(
        &folder,
        "[[listeners]]\nlisten = \"127.0.0.1:0\"\n[[realms]]\nname = \"a\"\n[[realms]]\nname = \"b\"",
    );
    let expected = format!("{}: OK: 1 listener, 2 realms\n", folder.join("wampline.toml").display());
    assert_eq!((ended.code, ended.stdout, ended.stderr.as_str()), (Some(0), expected, ""));
}

#[test]
fn check_and_run_report_everything_with_file_line_and_column() {
    let folder = folder("check-bad");
    let path = folder.join("wampline.toml").display().to_string();
    let text = "[router]\nshards = 0\n\n[[realms]]\nname = \"a\"\n[[realms]]\nname = \"a\"\n";
    let ended = check(&folder, text);
    let expected = format!(
        "{path}:2:10: 0 is out of range, expected an integer from 1 to 128, or \"auto\"\n\
         {path}:7:8: the realm \"a\" is there already, expected another name\n"
    );
    assert_eq!((ended.code, ended.stdout.as_str(), &ended.stderr), (Some(1), "", &expected));
    let run = wampline(["run", "--config", path.as_str()]);
    assert_eq!((run.code, run.stdout.as_str(), &run.stderr), (Some(1), "", &expected));
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_an_error() {
    let folder = folder("check-file");
    let missing = folder.join("none.toml").display().to_string();
    let ended = wampline(["check", "--config", missing.as_str()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with(&format!("{missing}: cannot be read: ")), "{}", ended.stderr);
    let binary = folder.join("binary.toml");
    std::fs::write(&binary, b"[router]\n\xff").unwrap();
    let ended = wampline(["check", "--config", binary.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the octet at offset 9 is not UTF-8"), "{}", ended.stderr);
}

#[test]
fn schema_is_json() {
    let ended = wampline(["schema"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(schema["title"], "Wampline configuration");
    assert_eq!(schema["properties"]["router"]["additionalProperties"], false);
}
