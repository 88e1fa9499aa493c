//! `wampline authz check`: what a configuration permits, and which rule decides.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use wampline_routing::authorization::{Action, Verdict};
use wampline_routing::pattern::PatternTable;
use wampline_routing::uri::MatchPolicy;
use wampline_shard::Realm;

use crate::config::{self, Named, Overrides, Settings};
use crate::{complain, exit, say};

pub(crate) const AUTHZ_HELP: &str = "\
Reads the configuration, asks nobody, and prints one line: allowed or denied, and the rule that decides. To subscribe and to register
take --match; of a pattern every URI that it can match must be permitted. A realm of a template is named as it would be joined.

Exit codes: 0 allowed, 4 denied, 3 the authorizer decides, 1 the configuration is not valid or has no such realm, 64 the command
line is not valid

Examples:
  wampline authz check --config wampline.toml --realm realm1 --role guest --action call --uri com.example.add
  wampline authz check --config wampline.toml --realm realm1 --role guest --action subscribe --match prefix --uri com.example.";

/// What `wampline authz check` is asked.
#[derive(Debug, Args)]
pub struct AuthzCheckArguments {
    /// Configuration file (TOML)
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The realm
    #[arg(long, value_name = "REALM")]
    realm: String,
    /// The authrole
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// What is to be done
    #[arg(long, value_name = "ACTION", value_parser = named::<Action>())]
    action: Action,
    /// The URI or pattern
    #[arg(long, value_name = "URI")]
    uri: String,
    /// How a pattern matches
    #[arg(long = "match", value_name = "POLICY", default_value = "exact", value_parser = named::<MatchPolicy>())]
    policy: MatchPolicy,
}

/// Takes the names that the configuration file takes.
fn named<T: Named + Send + Sync>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::CHOICES.iter().map(|(name, _)| *name)).map(|text| {
        let choice = T::CHOICES.iter().find(|(name, _)| *name == text);
        choice.expect("invariant: only these names are possible").1
    })
}

/// Tells what is decided, and why.
pub(crate) fn authz_check(arguments: &AuthzCheckArguments) -> ExitCode {
    let settings = match config::load(Some(&arguments.config), &Overrides::default()) {
        Ok(settings) => settings,
        Err(report) => return complain(&report),
    };
    let Some(realm) = realm(&settings, &arguments.realm) else {
        return complain(&format_args!(
            "{}: there is no realm {:?}",
            arguments.config.display(),
            arguments.realm
        ));
    };
    let AuthzCheckArguments { role, action, uri, policy, .. } = arguments;
    let explanation = match realm.roles.explain(role, *action, *policy, uri, realm.meta) {
        Ok(explanation) => explanation,
        Err(error) => return complain(&error),
    };
    let code = match explanation.verdict {
        Verdict::Allowed(_) => exit::OK,
        Verdict::Denied => exit::DENIED,
        Verdict::Ask => exit::UNDECIDED,
    };
    say(&explanation.to_string());
    code.into()
}

/// The settings of a realm, or of the template that it would be made from.
fn realm<'a>(settings: &'a Settings, name: &str) -> Option<&'a Realm> {
    if let Some(realm) = settings.engine.realms.iter().find(|realm| realm.name == name) {
        return Some(realm);
    }
    let mut templates = PatternTable::new();
    for template in &settings.engine.templates {
        // What cannot be matched has been refused with the configuration.
        let _ = templates.insert(template.policy, &template.settings.name, &template.settings);
    }
    templates.best_match(name).map(|(_, realm)| *realm)
}
