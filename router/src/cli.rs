//! The command line: what is accepted, and what the help teaches.
//!
//! Flags of `run` may stand before or after the subcommand, so that `wampline --shards 2` and `wampline run --shards 2`
//! are the same; where both are given, what stands later wins.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use wampline_driver::DriverChoice;

use crate::config::{Address, Named, Overrides, SHARDS_MAX};
use crate::logging::{LogFilter, LogFormat};
use crate::tools::{AUTHZ_HELP, AuthzCheckArguments, HASH_HELP, HashArguments, KEYGEN_HELP, KeygenArguments};

/// What the process is asked to do.
#[derive(Debug)]
pub enum Invocation {
    /// Be a router.
    Run(ServeArguments),
    /// Check a configuration file.
    Check(PathBuf),
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Make a key pair.
    Keygen(KeygenArguments),
    /// Make records of a password.
    Hash(HashArguments),
    /// Explain what a role may do.
    AuthzCheck(AuthzCheckArguments),
    /// Be a WebSocket echo server.
    Testee(ServeArguments),
}

/// How to serve.
#[derive(Debug)]
pub struct ServeArguments {
    /// The configuration file; the built-in configuration without one.
    pub config: Option<PathBuf>,
    /// What the command line overrides.
    pub overrides: Overrides,
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// What is wrong with it; also help and version, which are to be printed.
pub fn parse(arguments: impl IntoIterator<Item: Into<OsString> + Clone>) -> Result<Invocation, clap::Error> {
    let Cli { flags, command } = Cli::try_parse_from(arguments)?;
    match command {
        None => Ok(Invocation::Run(flags.into_arguments())),
        Some(Command::Run(own)) => Ok(Invocation::Run(flags.under(own).into_arguments())),
        Some(Command::Testee(own)) => Ok(Invocation::Testee(flags.under(own).into_arguments())),
        Some(Command::Check { config }) => {
            flags.only_config("check")?;
            config.or(flags.config).map(Invocation::Check).ok_or_else(|| {
                usage(
                    ErrorKind::MissingRequiredArgument,
                    "'check' needs the file to check: wampline check --config FILE",
                )
            })
        }
        Some(Command::Keygen(arguments)) => flags.none("keygen").map(|()| Invocation::Keygen(arguments)),
        Some(Command::Hash(arguments)) => flags.none("hash").map(|()| Invocation::Hash(arguments)),
        Some(Command::Authz { command: AuthzCommand::Check(arguments) }) => {
            flags.none("authz").map(|()| Invocation::AuthzCheck(arguments))
        }
        Some(Command::Schema) if flags.config.is_some() => Err(not_for("--config", "schema")),
        Some(Command::Schema) => flags.only_config("schema").map(|()| Invocation::Schema),
    }
}

#[derive(Debug, Parser)]
#[command(
    name = "wampline",
    version,
    about = "A WAMP router",
    long_about = "A WAMP router: publish and subscribe, and routed remote procedure calls, over WebSocket and RawSocket.\n\n\
                  Without a subcommand it runs: realm \"realm1\", anonymous, on 127.0.0.1:8080, WebSocket at /ws and \
                  RawSocket on the same port.",
    after_help = AFTER_HELP,
)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the router (the same as no subcommand)
    #[command(after_help = RUN_HELP)]
    Run(Flags),
    /// Check a configuration file and report everything that is wrong with it
    #[command(after_help = CHECK_HELP)]
    Check {
        /// The file to check
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the JSON Schema of the configuration file
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Make a key pair for cryptosign: the private key into a file, the public key to standard output
    #[command(after_help = KEYGEN_HELP)]
    Keygen(KeygenArguments),
    /// Make of a password on standard input what a configuration holds in its place
    #[command(after_help = HASH_HELP)]
    Hash(HashArguments),
    /// Ask what a configuration permits
    Authz {
        #[command(subcommand)]
        command: AuthzCommand,
    },
    /// Run a WebSocket echo server over the router's own transport code, for conformance suites
    #[command(after_help = TESTEE_HELP)]
    Testee(Flags),
}

#[derive(Debug, Subcommand)]
enum AuthzCommand {
    /// Tell whether sessions of a role may do something, and which rule decides
    #[command(after_help = AUTHZ_HELP)]
    Check(AuthzCheckArguments),
}

#[derive(Debug, Args)]
struct Flags {
    /// Configuration file (TOML); the built-in configuration without one
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on instead of the configured one (may be repeated)
    #[arg(short, long, value_name = "ADDRESS", help = LISTEN_HELP, long_help = LISTEN_LONG_HELP)]
    listen: Vec<Address>,
    /// What moves octets for the shards [default: auto]
    #[arg(long, value_name = "DRIVER", value_parser = driver_parser(), help = DRIVER_HELP, long_help = DRIVER_LONG_HELP)]
    driver: Option<DriverChoice>,
    /// Number of shards, the threads that carry sessions [default: one per core]
    #[arg(short, long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=SHARDS_MAX))]
    shards: Option<usize>,
    /// Form of the log on standard error [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: off, error, warn, info, debug, trace, or a list such as info,wampline_shard=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogFilter>,
}

impl Flags {
    /// These flags, where `later` does not say otherwise.
    fn under(self, later: Flags) -> Flags {
        Flags {
            config: later.config.or(self.config),
            listen: if later.listen.is_empty() { self.listen } else { later.listen },
            driver: later.driver.or(self.driver),
            shards: later.shards.or(self.shards),
            log_format: later.log_format.or(self.log_format),
            log_level: later.log_level.or(self.log_level),
        }
    }

    fn into_arguments(self) -> ServeArguments {
        ServeArguments {
            config: self.config,
            overrides: Overrides {
                driver: self.driver,
                shards: self.shards,
                listen: self.listen,
                log_filter: self.log_level,
                log_format: self.log_format,
            },
        }
    }

    /// Refuses flags before a subcommand that has its own.
    fn none(&self, subcommand: &str) -> Result<(), clap::Error> {
        if self.config.is_some() {
            return Err(not_for("--config", subcommand));
        }
        self.only_config(subcommand)
    }

    /// Refuses flags that a subcommand that serves nothing would ignore.
    fn only_config(&self, subcommand: &str) -> Result<(), clap::Error> {
        let given = [
            ("--listen", !self.listen.is_empty()),
            ("--driver", self.driver.is_some()),
            ("--shards", self.shards.is_some()),
            ("--log-format", self.log_format.is_some()),
            ("--log-level", self.log_level.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(not_for(flag, subcommand)),
            None => Ok(()),
        }
    }
}

/// Takes the names that the configuration file takes.
fn driver_parser() -> impl TypedValueParser<Value = DriverChoice> {
    PossibleValuesParser::new(DriverChoice::CHOICES.iter().map(|(name, _)| *name)).map(|text| {
        let choice = DriverChoice::CHOICES.iter().find(|(name, _)| *name == text);
        choice.expect("invariant: only these names are possible").1
    })
}

fn not_for(flag: &str, subcommand: &str) -> clap::Error {
    usage(ErrorKind::ArgumentConflict, &format!("'{flag}' has no meaning for '{subcommand}'"))
}

fn usage(kind: ErrorKind, message: &str) -> clap::Error {
    Cli::command().error(kind, message)
}

const LISTEN_HELP: &str = "Address to listen on instead of the configured one: HOST:PORT, [::1]:PORT or unix:PATH; port 0 picks a free port";

const LISTEN_LONG_HELP: &str = "\
Address to listen on instead of the configured one: HOST:PORT, [::1]:PORT or unix:PATH; port 0 picks a free port

May be repeated: the n-th address replaces that of the n-th configured listener, further ones get the settings of the
last, and listeners left over are not opened.";

const DRIVER_HELP: &str = "What moves octets for the shards [default: auto]";

const DRIVER_LONG_HELP: &str = "\
What moves octets for the shards [default: auto]

auto takes io_uring where the kernel offers all that is needed and allows it, epoll elsewhere, and logs which and why; uring
ends with exit code 2 where it is refused; epoll never touches io_uring.";

const AFTER_HELP: &str = "\
Examples:
  wampline                                   serve realm1 on 127.0.0.1:8080
  wampline --listen 0.0.0.0:9000 --shards 2  on every interface, two shards
  wampline --listen unix:/run/wampline.sock  on a Unix socket
  wampline --driver epoll                    without io_uring
  wampline run --config wampline.toml        with a configuration file
  wampline check --config wampline.toml      what is wrong with it, with line and column
  wampline keygen joe.key                    a key pair for cryptosign
  wampline hash < password                   records of a password, for the configuration
  wampline authz check --config wampline.toml --realm realm1 --role guest --action call --uri com.example.add

Signals:
  SIGTERM, SIGINT, SIGHUP   say goodbye to every client and exit; a second one exits at once

Exit codes:
  0              shut down in order, or nothing to complain about
  1              the configuration is not valid, or the router could not start
  2              --driver uring was asked for, and io_uring is not available
  64             the command line is not valid
  129, 130, 143  ended at once by a second SIGHUP, SIGINT or SIGTERM";

const RUN_HELP: &str = "\
Examples:
  wampline run
  wampline run --config wampline.toml
  wampline run --listen [::1]:8080 --listen unix:/run/wampline.sock
  wampline run --log-format json --log-level info,wampline_shard=debug

The log says where it listens, ports that were picked included:
  ... INFO wampline: listening endpoint=127.0.0.1:8080 protocols=websocket,rawsocket tls=false";

const CHECK_HELP: &str = "\
Reports every error as FILE:LINE:COLUMN: what is wrong, what was expected. Reads the certificates and keys that the file
names; binds no address.

Exit codes: 0 the file is valid, 1 it is not, 64 the command line is not valid

Example:
  wampline check --config wampline.toml";

const SCHEMA_HELP: &str = "\
Example:
  wampline schema > wampline.schema.json     for editors that complete and check TOML";

const TESTEE_HELP: &str = "\
Sends back every WebSocket message, text or binary, up to 16 MiB, on any path and without a subprotocol. With --config,
every listener of the file (TLS included) becomes an echo server.

Example:
  wampline testee --listen 127.0.0.1:9001";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(line: &str) -> Result<Invocation, clap::Error> {
        super::parse(std::iter::once("wampline").chain(line.split_whitespace()))
    }

    fn run(line: &str) -> ServeArguments {
        match parse(line) {
            Ok(Invocation::Run(arguments)) => arguments,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_subcommand_is_run_and_flags_stand_on_either_side() {
        for line in ["", "run"] {
            let arguments = run(line);
            assert!(arguments.config.is_none() && arguments.overrides.listen.is_empty(), "{line:?}");
            assert!(arguments.overrides.shards.is_none(), "{line:?}");
            assert!(arguments.overrides.driver.is_none(), "{line:?}");
        }
        let flags = "--config f.toml --listen [::1]:80 --listen unix:/a --driver uring --shards 2 --log-format json \
                     --log-level debug";
        for line in [flags.to_owned(), format!("run {flags}"), format!("{flags} run")] {
            let arguments = run(&line);
            assert_eq!(arguments.config, Some("f.toml".into()), "{line}");
            let overrides = arguments.overrides;
            assert_eq!(overrides.listen, ["[::1]:80".parse().unwrap(), "unix:/a".parse().unwrap()], "{line}");
            assert_eq!((overrides.shards, overrides.log_format), (Some(2), Some(LogFormat::Json)), "{line}");
            assert_eq!(overrides.log_filter, Some("debug".parse().unwrap()), "{line}");
            assert_eq!(overrides.driver, Some(DriverChoice::Uring), "{line}");
        }
    }

    #[test]
    fn what_stands_later_wins() {
        let arguments = run(
            "--listen unix:/a --driver uring --shards 1 --log-level off run --listen unix:/b --driver epoll --shards 2",
        );
        assert_eq!(arguments.overrides.listen, ["unix:/b".parse().unwrap()]);
        assert_eq!(arguments.overrides.shards, Some(2));
        assert_eq!(arguments.overrides.driver, Some(DriverChoice::Epoll));
        assert_eq!(arguments.overrides.log_filter, Some("off".parse().unwrap()));
    }

    #[test]
    fn the_other_subcommands() {
        assert!(matches!(parse("check --config a"), Ok(Invocation::Check(path)) if path.as_os_str() == "a"));
        assert!(matches!(parse("-c a check"), Ok(Invocation::Check(path)) if path.as_os_str() == "a"));
        assert!(matches!(parse("schema"), Ok(Invocation::Schema)));
        assert!(matches!(
            parse("testee --listen 127.0.0.1:9001"),
            Ok(Invocation::Testee(arguments)) if arguments.overrides.listen.len() == 1
        ));
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        for (line, part) in [
            ("check", "check --config FILE"),
            ("--shards 2 check --config a", "'--shards' has no meaning for 'check'"),
            ("--config a schema", "'--config' has no meaning for 'schema'"),
            ("--listen unix:/a schema", "'--listen' has no meaning for 'schema'"),
            ("--shards 0", "1..=128"),
            ("--shards 129", "1..=128"),
            ("--shards two", "invalid"),
            ("--listen 8080", "is not an address"),
            ("--driver kqueue", "[possible values: auto, uring, epoll]"),
            ("--driver epoll schema", "'--driver' has no meaning for 'schema'"),
            ("--log-format yaml", "[possible values: text, json]"),
            ("--log-level loud", "is not a log level"),
            ("--config a keygen f", "'--config' has no meaning for 'keygen'"),
            ("hash --method ticket", "[possible values: wampcra, wamp-scram, scram]"),
            ("authz check --config a --role b --action call", "--realm"),
            ("authz check --config a --realm r --role b --action fly --uri x", "[possible values: call,"),
            ("serve", "unrecognized subcommand"),
            ("--verbose", "unexpected argument"),
            ("run --config", "a value is required"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.use_stderr(), "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn help_and_version() {
        for (line, part) in [
            ("--help", "wampline check --config wampline.toml"),
            ("--help", "io_uring is not available"),
            ("--help", "[possible values: auto, uring, epoll]"),
            ("run --help", "endpoint=127.0.0.1:8080"),
            ("testee --help", "echo"),
            ("keygen --help", "mode 0600"),
            ("hash --help", "wampline hash < password"),
            ("authz check --help", "the authorizer decides"),
            ("--version", env!("CARGO_PKG_VERSION")),
        ] {
            let shown = parse(line).unwrap_err();
            assert!(!shown.use_stderr() && shown.to_string().contains(part), "{line}: {shown}");
        }
    }
}
