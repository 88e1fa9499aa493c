//! Scenario files: TOML in which each table `[scenario.NAME]` stands for one command line.
//!
//! `kind` is the subcommand, `about` says what the scenario is for, every other key is an option of that subcommand by its
//! name. The definitions are those of the command line, so that the two cannot differ; what is wrong is told with
//! line and column.

use std::collections::BTreeMap;
use std::ops::Range;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, CommandFactory, Parser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::{RunArguments, Scenario};
use crate::target;

/// A scenario of a file.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) scenario: Scenario,
}

/// Reads the file and applies what the command line replaces.
pub(crate) fn load(arguments: &RunArguments) -> Result<Vec<Named>, String> {
    let path = arguments.file.display();
    let text = std::fs::read_to_string(&arguments.file).map_err(|error| format!("{path}: {error}"))?;
    parse(&text, arguments).map_err(|problem| match problem.at {
        Some(at) => {
            let (line, column) = line_and_column(&text, at);
            format!("{path}:{line}:{column}: {}", problem.what)
        }
        None => problem.what,
    })
}

/// What is wrong, and where in the text, unless it came from the command line.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    at: Option<usize>,
    what: String,
}

/// One option: its value, `None` for a switch that is off, and where it stands.
#[derive(Clone, Debug)]
struct Setting {
    value: Option<String>,
    span: Option<Range<usize>>,
}

type Settings = BTreeMap<String, Setting>;

/// The scenarios as subcommands, without the options of the whole program.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    scenario: Scenario,
}

fn parse(text: &str, arguments: &RunArguments) -> Result<Vec<Named>, Problem> {
    let root = DeTable::parse(text)
        .map_err(|error| problem(error.span().unwrap_or_default(), error.message().to_owned()))?;
    let mut defaults = None;
    let mut tables = Vec::new();
    for (key, value) in root.get_ref() {
        match key.get_ref().as_ref() {
            "defaults" => defaults = Some(table(value, "defaults")?),
            "scenario" => tables.extend(table(value, "scenario")?.iter()),
            other => {
                let what = format!("unknown key `{other}`, expected [defaults] or [scenario.NAME]");
                return Err(problem(key.span(), what));
            }
        }
    }
    tables.sort_by_key(|(name, _)| name.span().start);
    let mut all = Vec::new();
    for (name, value) in tables {
        let body = table(value, name.get_ref())?;
        all.push(scenario(name, body, defaults, arguments)?);
    }
    if all.is_empty() {
        return Err(problem(0..0, "there is no scenario in it, expected [scenario.NAME]".to_owned()));
    }
    for wanted in &arguments.only {
        if !all.iter().any(|named| named.name == *wanted) {
            let names: Vec<&str> = all.iter().map(|named| named.name.as_str()).collect();
            let what = format!("--only {wanted}: no such scenario, there are {}", names.join(", "));
            return Err(Problem { at: None, what });
        }
    }
    all.retain(|named| arguments.only.is_empty() || arguments.only.contains(&named.name));
    Ok(all)
}

fn scenario(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    body: &DeTable<'_>,
    defaults: Option<&DeTable<'_>>,
    arguments: &RunArguments,
) -> Result<Named, Problem> {
    let text_of = |key: &str| match body.get(key) {
        None => Ok(None),
        Some(value) => match value.get_ref().as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(problem(value.span(), format!("`{key}` is a text"))),
        },
    };
    let kinds: Vec<String> =
        Line::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let expected = || format!("expected kind = {}", kinds.join(", "));
    let kind = text_of("kind")?.ok_or_else(|| problem(name.span(), format!("no kind, {}", expected())))?;
    if !kinds.contains(&kind) {
        let span = body.get("kind").map(Spanned::span).unwrap_or_default();
        return Err(problem(span, format!("unknown kind `{kind}`, {}", expected())));
    }
    let mut settings = Settings::new();
    if let Some(defaults) = defaults {
        read(defaults, &kind, &mut settings)?;
    }
    read(body, &kind, &mut settings)?;
    replace(&kind, &mut settings, arguments)?;
    let scenario = to_scenario(&kind, &settings, name.span())?;
    Ok(Named { name: name.get_ref().to_string(), about: text_of("about")?, scenario })
}

/// Takes over the keys of a table.
fn read(body: &DeTable<'_>, kind: &str, settings: &mut Settings) -> Result<(), Problem> {
    let switches = options(kind);
    for (key, value) in body {
        let name = key.get_ref().as_ref();
        if ["kind", "about"].contains(&name) {
            continue;
        }
        let Some(&is_switch) = switches.get(name) else {
            let known: Vec<&str> = switches.keys().map(String::as_str).collect();
            let what = format!("unknown key `{name}` for {kind}, expected one of {}", known.join(", "));
            return Err(problem(key.span(), what));
        };
        let text = match (is_switch, value.get_ref()) {
            (true, DeValue::Boolean(true)) => Some(String::new()),
            (true, DeValue::Boolean(false)) => None,
            (true, _) => return Err(problem(value.span(), format!("`{name}` is true or false"))),
            (false, DeValue::Array(items)) => {
                let items: Option<Vec<String>> = items.iter().map(|item| scalar(item.get_ref())).collect();
                let items = items.ok_or_else(|| {
                    problem(value.span(), format!("`{name}` is a list of texts or numbers"))
                })?;
                Some(items.join(","))
            }
            (false, other) => {
                Some(scalar(other).ok_or_else(|| {
                    problem(value.span(), format!("`{name}` is a text or a decimal number"))
                })?)
            }
        };
        settings.insert(name.to_owned(), Setting { value: text, span: Some(value.span()) });
    }
    Ok(())
}

/// The options of a subcommand, and whether each is a switch.
fn options(kind: &str) -> BTreeMap<String, bool> {
    let command = Line::command();
    let Some(command) = command.find_subcommand(kind) else { return BTreeMap::new() };
    command
        .get_arguments()
        .filter_map(|argument| {
            let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
            Some((argument.get_long()?.to_owned(), is_switch))
        })
        .filter(|(name, _)| name != "help")
        .collect()
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        _ => None,
    }
}

/// Applies what the command line replaces.
fn replace(kind: &str, settings: &mut Settings, arguments: &RunArguments) -> Result<(), Problem> {
    let known = options(kind);
    let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    let given = |value: String| Setting { value: Some(value), span: None };
    if let (Some(address), Some(url)) =
        (&arguments.address, settings.get("url").and_then(|it| it.value.clone()))
    {
        let url = target::with_address(&url, address).map_err(|what| Problem { at: None, what })?;
        settings.insert("url".to_owned(), given(url));
    }
    let has_time = !["count", "sessions"].iter().any(|name| settings.contains_key(*name));
    let replaced = [
        ("url", arguments.url.clone()),
        ("router-pid", arguments.router_pid.map(|pid| pid.to_string())),
        ("realm", arguments.realm.clone()),
        ("duration", arguments.duration.clone().filter(|_| has_time)),
        ("warmup", arguments.warmup.clone()),
        ("threads", arguments.threads.clone()),
        ("pin", arguments.pin.clone()),
        ("ca", arguments.ca.as_ref().map(text)),
        ("insecure", arguments.insecure.then(String::new)),
    ];
    for (name, value) in replaced {
        if let Some(value) = value.filter(|_| known.contains_key(name)) {
            settings.insert(name.to_owned(), given(value));
        }
    }
    if arguments.insecure {
        settings.remove("ca");
    } else if arguments.ca.is_some() {
        settings.remove("insecure");
    }
    Ok(())
}

fn to_scenario(kind: &str, settings: &Settings, table: Range<usize>) -> Result<Scenario, Problem> {
    let mut line = vec![kind.to_owned()];
    for (name, setting) in settings {
        match setting.value.as_deref() {
            None => {}
            Some("") if options(kind).get(name) == Some(&true) => line.push(format!("--{name}")),
            Some(value) => line.push(format!("--{name}={value}")),
        }
    }
    Line::try_parse_from(line).map(|line| line.scenario).map_err(|error| {
        let argument = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) => argument.clone(),
            Some(ContextValue::Strings(arguments)) => arguments.first().cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let name = argument.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
        let text = error.render().to_string();
        let first: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let what = first.join(" ").trim_start_matches("error: ").to_owned();
        let at = match settings.get(name) {
            Some(setting) => setting.span.as_ref().map(|span| span.start),
            None => Some(table.start),
        };
        Problem { at, what }
    })
}

fn table<'t, 'i>(value: &'t Spanned<DeValue<'i>>, name: &str) -> Result<&'t DeTable<'i>, Problem> {
    value.get_ref().as_table().ok_or_else(|| problem(value.span(), format!("`{name}` is a table")))
}

fn problem(span: Range<usize>, what: String) -> Problem {
    Problem { at: Some(span.start), what }
}

/// Both from 1; columns count characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cli::{Arguments, Command};
    use crate::options::{SerializerName, Shape};

    fn arguments(line: &str) -> RunArguments {
        let line = format!("x run file.toml {line}");
        match Arguments::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Run(arguments) => arguments,
            _ => panic!(),
        }
    }

    const GOOD: &str = r#"
[defaults]
url = "rs://127.0.0.1:8080"
warmup = 0.5

[scenario.second-by-name]
kind = "pubsub"
about = "why"
subscribers = 1_000
subscriber-serializers = ["json", "cbor"]
acknowledge = true

[scenario.first-by-name]
kind = "rpc"
payload-shape = "numbers"
busy-poll = false
rate = 100.5
url = "ws://h:1/x"
"#;

    #[test]
    fn a_scenario_is_a_command_line() {
        let all = parse(GOOD, &arguments("")).unwrap();
        assert_eq!(all[0].name, "second-by-name");
        assert_eq!(all[0].about.as_deref(), Some("why"));
        let Scenario::Pubsub(pubsub) = &all[0].scenario else { panic!() };
        assert_eq!(pubsub.common.url, "rs://127.0.0.1:8080");
        assert_eq!(pubsub.window.warmup.as_secs_f64(), 0.5);
        assert_eq!(pubsub.subscribers, 1000);
        assert_eq!(pubsub.events.subscriber_serializers, [SerializerName::Json, SerializerName::Cbor]);
        assert!(pubsub.events.acknowledge);
        let Scenario::Rpc(rpc) = &all[1].scenario else { panic!() };
        assert_eq!((rpc.window.rate, rpc.payload.payload_shape), (Some(100.5), Shape::Numbers));
        assert!(!rpc.common.busy_poll);
    }

    #[test]
    fn the_command_line_replaces() {
        let line = "--address [::1]:9 --router-pid 7 --duration 3 --only first-by-name --insecure";
        let all = parse(GOOD, &arguments(line)).unwrap();
        let [Named { scenario: Scenario::Rpc(rpc), .. }] = all.as_slice() else { panic!() };
        assert_eq!(rpc.common.url, "ws://[::1]:9/x");
        assert_eq!(rpc.common.router_pid, Some(7));
        assert_eq!(rpc.window.duration.unwrap().as_secs(), 3);
        assert!(rpc.common.insecure);
        let all = parse(GOOD, &arguments("--url unix:/x")).unwrap();
        let Scenario::Pubsub(pubsub) = &all[0].scenario else { panic!() };
        assert_eq!(pubsub.common.url, "unix:/x");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let check = |text: &str, place: (usize, usize), part: &str| {
            let problem = parse(text, &arguments("")).unwrap_err();
            assert!(problem.what.contains(part), "{} in {text}", problem.what);
            assert_eq!(line_and_column(text, problem.at.unwrap()), place, "{}", problem.what);
        };
        let url = "url = \"rs://h:1\"\n";
        let rpc = |line: &str| format!("[scenario.x]\nkind = \"rpc\"\n{url}{line}");
        check("", (1, 1), "no scenario");
        check("[scenario", (1, 10), "");
        check("[other]\n", (1, 2), "unknown key `other`");
        check("[scenario.x]\ncallers = 1\n", (1, 11), "no kind, expected kind = rpc, pubsub, mixed");
        check("[scenario.x]\nkind = \"rcp\"\n", (2, 8), "unknown kind `rcp`");
        check("[scenario]\nx = 1\n", (2, 5), "`x` is a table");
        check("[scenario.x]\nkind = \"rpc\"\n", (1, 11), "--url");
        check(&rpc("caller = 1"), (4, 1), "unknown key `caller` for rpc, expected one of");
        check(&rpc("json = true"), (4, 1), "unknown key `json`");
        check(&rpc("callers = 0"), (4, 11), "invalid value '0' for '--callers");
        check(&rpc("callers = 1979-05-27"), (4, 11), "text or a decimal number");
        check(&rpc("callers = 0x10"), (4, 11), "text or a decimal number");
        check(&rpc("busy-poll = 1"), (4, 13), "true or false");
        check(&rpc("serializer = \"xml\""), (4, 14), "[possible values: json, msgpack, cbor]");
        check(&rpc("count = 1\nduration = 1"), (4, 9), "cannot be used with");
    }

    #[test]
    fn a_wrong_replacement_is_told_without_a_place() {
        for line in ["--only third", "--duration x", "--address nonsense", "--pin x"] {
            let problem = parse(GOOD, &arguments(line)).unwrap_err();
            assert_eq!(problem.at, None, "{line}: {}", problem.what);
            assert!(problem.what.contains(line.split(' ').next().unwrap()), "{}", problem.what);
        }
    }
}
