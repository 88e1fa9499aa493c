//! The program as a user meets it: help, wrong arguments, scenario files, and the files that it writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::stub::{Misbehaviour, StubRouter};
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::Value;

#[test]
fn help_teaches() {
    for (line, words) in [
        ("--help", &["Examples:", "Exit codes:", "find-limit", "run", "64"][..]),
        (
            "rpc --help",
            &["--callers", "--rate", "--payload-shape", "--busy-poll", "--router-pid", "floor://"],
        ),
        ("pubsub --help", &["--subscriber-serializers", "--background-wildcard", "--acknowledge"]),
        ("mixed --help", &["--callees", "--subscribers", "--publications-in-flight"]),
        ("churn --help", &["--of", "subscriptions", "--growth-max"]),
        ("connect --help", &["--hold"]),
        ("find-limit --help", &["--p99-max", "--rate-start"]),
        ("run --help", &["--only", "--address", "[scenario.NAME]"]),
    ] {
        let output = generator(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{line}");
        let help = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(help.contains(word), "{line}: no {word} in\n{help}");
        }
    }
}

#[test]
fn wrong_arguments_are_told_and_exit_with_64() {
    for (line, words) in [
        ("", "Usage"),
        ("rcp --url rs://h:1", "unrecognized subcommand 'rcp'"),
        ("rpc", "--url"),
        ("rpc --url http://h", "expected ws://"),
        ("rpc --url rs://h:1 --rate fast", "operations per second"),
        ("rpc --url rs://h:1 --payload 3", "sender, sequence and time"),
        ("rpc --url rs://h:1 --count 1 --duration 1", "cannot be used with"),
        ("rpc --url rs://h:1 --pin x", "expected cores"),
        ("rpc --url rs://h:1 --payload 16000000 --payload-shape binary", "exceeds a message"),
        ("rpc --url rss://127.0.0.1:1", "--ca"),
        ("connect --url rss://127.0.0.1:1 --ca /no/such/file", "--ca /no/such/file"),
        ("pubsub --url rs://h:1 --topics 5 --subscribers 2", "--acknowledge"),
        ("find-limit --p99-max 1 rpc --url rs://h:1 --rate 5", "chooses the rate itself"),
        ("find-limit --p99-max 1 --rate-start 5 --rate-max 4 rpc --url rs://h:1", "above --rate-max"),
        ("run no-such-file.toml", "no-such-file.toml"),
        ("rpc --url rs://127.0.0.1:1 --report /no/such/folder/x.html", "--report /no/such/folder/x.html"),
        ("rpc --url rs://127.0.0.1:1 --hdr-log /no/such/folder/x", "--hdr-log /no/such/folder/x"),
    ] {
        let output = generator(&line.split_whitespace().collect::<Vec<_>>());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{line}: {told}");
        assert!(told.contains(words), "{line}: no {words:?} in\n{told}");
    }
}

#[test]
fn nobody_there_exits_with_2() {
    let output = generator(&["rpc", "--url", "rs://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot reach rs://127.0.0.1:1"));
}

#[test]
fn every_scenario_of_the_repository_can_be_asked_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../perf/scenarios");
    let mut scenarios = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "toml") {
            continue;
        }
        let output = generator(&["run", path.to_str().unwrap(), "--list"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let list = String::from_utf8(output.stdout).unwrap();
        for line in list.lines() {
            assert!(line.split_whitespace().count() > 1, "{}: {line:?} does not say why", path.display());
            scenarios += 1;
        }
    }
    assert!(scenarios > 20, "{scenarios}");
}

#[test]
fn a_file_is_run_and_written_about() {
    let scratch = Scratch::new("run");
    let router = StubRouter::start(Misbehaviour::None);
    let file = scratch.write(
        "scenarios.toml",
        "[defaults]\nurl = \"rs://nowhere:1\"\nserializer = \"json\"\nwarmup = 0.1\ninterval = 0.1\n\n\
         [scenario.\"calls <&>\"]\nkind = \"rpc\"\ncount = 50\n\n\
         [scenario.fan]\nkind = \"pubsub\"\nsubscribers = 3\nrate = 200\nduration = 0.5\n",
    );
    let (page, log) = (scratch.0.join("page.html"), scratch.0.join("log.hlog"));
    let output = generator(&[
        "run",
        file.to_str().unwrap(),
        "--url",
        &router.url(),
        "--json",
        "--report",
        page.to_str().unwrap(),
        "--hdr-log",
        log.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let reports: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = reports.iter().map(|report| report["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["calls <&>", "fan"]);
    assert_eq!(reports[0]["operations"], 50);

    let page = fs::read_to_string(page).unwrap();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
    let headings = document.descendants().filter(|node| node.tag_name().name() == "h2");
    let headings: Vec<&str> = headings.map(|node| node.text().unwrap().trim()).collect();
    assert_eq!(headings, ["calls <&>", "fan"]);
    let lines = document.descendants().filter(|node| node.tag_name().name() == "polyline");
    assert!(lines.filter(|node| !node.attribute("points").unwrap().is_empty()).count() >= 2);

    let log = fs::read(log).unwrap();
    let mut tags = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            tags.push(interval.tag().unwrap().as_str().to_owned());
        }
    }
    assert!(tags.iter().filter(|tag| *tag == "fan").count() >= 5, "{tags:?}");
    assert!(tags.iter().any(|tag| tag == "calls_<&>"), "{tags:?}");
}

#[test]
fn the_worst_of_a_file_is_the_exit_code() {
    let scratch = Scratch::new("worst");
    let router = StubRouter::start(Misbehaviour::LoseResult);
    let file = scratch.write(
        "scenarios.toml",
        "[defaults]\nserializer = \"json\"\ncount = 20\ntimeout = 1\nwarmup = 0\nurl = \"rs://127.0.0.1:1\"\n\n\
         [scenario.faulty]\nkind = \"rpc\"\n\n[scenario.fine]\nkind = \"rpc\"\n",
    );
    let file = file.to_str().unwrap();
    let output = generator(&["run", file, "--url", &router.url()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("faulty: rpc") && text.contains("fine: rpc") && text.contains("lost 1"), "{text}");
    assert_eq!(generator(&["run", file]).status.code(), Some(2));
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_place() {
    let scratch = Scratch::new("wrong");
    let file = scratch.write("bad.toml", "[scenario.x]\nkind = \"rpc\"\nurl = \"rs://h:1\"\n  calers = 3\n");
    let output = generator(&["run", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("bad.toml:4:3: unknown key `calers` for rpc, expected one of"), "{told}");
}

#[test]
fn a_limit_is_found() {
    let router = StubRouter::start(Misbehaviour::None);
    let limit =
        ["find-limit", "--p99-max", "60000", "--rate-start", "50", "--rate-max", "200", "--factor", "4"];
    let scenario = ["rpc", "--serializer", "json", "--duration", "0.2", "--warmup", "0", "--url"];
    let url = router.url();
    let line: Vec<&str> = limit.into_iter().chain(scenario).chain([url.as_str(), "--json"]).collect();
    let output = generator(&line);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["limit"]["limit_per_second"], 200.0, "{report}");
    let rates: Vec<f64> = report["limit"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["rate"].as_f64().unwrap())
        .collect();
    assert_eq!(rates, [50.0, 200.0]);
}

fn generator(line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wampline-loadgen")).args(line).output().unwrap()
}

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("wampline-loadgen-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
