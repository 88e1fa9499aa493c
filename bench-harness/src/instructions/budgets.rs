//! What operations may cost: a text file of names and instructions, and how a count is judged by it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

/// What a count depends on besides the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// As `rustc --version` puts it, without commit and date.
    pub rustc: String,
    /// As `valgrind --version` puts it.
    pub valgrind: String,
    /// As `ldd --version` puts it.
    pub libc: String,
}

/// Instructions per operation, and what they were counted with.
#[derive(Clone, Debug, PartialEq)]
pub struct Budgets {
    /// What they were counted with.
    pub toolchain: Toolchain,
    /// By name.
    pub instructions: BTreeMap<String, f64>,
}

/// What is to be said of an operation.
#[allow(missing_docs)] // Names, what was counted, what may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// More than the budget and its tolerance.
    Over { name: String, counted: f64, budget: f64 },
    /// Less than the budget less the tolerance: the gain is to be recorded.
    Under { name: String, counted: f64, budget: f64 },
    /// There is no budget.
    New { name: String, counted: f64 },
    /// There is a budget and no operation.
    Gone { name: String },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |counted: f64, budget: f64| (counted / budget - 1.0) * 100.0;
        match self {
            Finding::Over { name, counted, budget } => {
                write!(
                    f,
                    "over   {name}: {counted:.0}, budget {budget:.0} ({:+.1} %)",
                    percent(*counted, *budget)
                )
            }
            Finding::Under { name, counted, budget } => {
                write!(
                    f,
                    "under  {name}: {counted:.0}, budget {budget:.0} ({:+.1} %)",
                    percent(*counted, *budget)
                )
            }
            Finding::New { name, counted } => write!(f, "new    {name}: {counted:.0}, no budget"),
            Finding::Gone { name } => write!(f, "gone   {name}"),
        }
    }
}

impl Toolchain {
    /// What is here. `None` without valgrind.
    pub fn here() -> Option<Toolchain> {
        let valgrind = first_line("valgrind")?;
        let rustc = first_line("rustc").unwrap_or_default();
        let rustc = rustc.split(" (").next().unwrap_or_default().to_owned();
        let libc = first_line("ldd").unwrap_or_default();
        // What a distribution adds in parentheses changes with every repair.
        let libc = libc.rsplit(' ').next().unwrap_or_default().to_owned();
        Some(Toolchain { rustc, valgrind, libc })
    }
}

impl Budgets {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Budgets, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let toolchain = |key: &str| -> Result<String, String> {
            let value = table.get("toolchain").and_then(|it| it.get(key)).and_then(toml::Value::as_str);
            value.map(str::to_owned).ok_or_else(|| format!("toolchain.{key} is missing"))
        };
        let entries = table.get("instructions").and_then(toml::Value::as_table);
        let entries = entries.ok_or("the table [instructions] is missing")?;
        let number = |(name, value): (&String, &toml::Value)| {
            let value = value.as_integer().filter(|value| *value > 0);
            value
                .map(|value| (name.clone(), value as f64))
                .ok_or_else(|| format!("{name}: expected a number above 0"))
        };
        Ok(Budgets {
            toolchain: Toolchain {
                rustc: toolchain("rustc")?,
                valgrind: toolchain("valgrind")?,
                libc: toolchain("libc")?,
            },
            instructions: entries.iter().map(number).collect::<Result<_, String>>()?,
        })
    }

    /// As a file.
    pub fn to_text(&self) -> String {
        let Toolchain { rustc, valgrind, libc } = &self.toolchain;
        let mut text = format!(
            "# Instructions per operation (bench-harness/src/hot.rs), profile release.\n\
             # Checked by `perf/instructions.sh check`, written by `perf/instructions.sh record`.\n\n\
             [toolchain]\nrustc = \"{rustc}\"\nvalgrind = \"{valgrind}\"\nlibc = \"{libc}\"\n\n[instructions]\n"
        );
        for (name, count) in &self.instructions {
            let _ = writeln!(text, "\"{name}\" = {count:.0}");
        }
        text
    }

    /// Compares counts with the budgets; `tolerance` is a fraction. With `is_all`, budgets without a count are told of.
    pub fn judge(&self, counts: &[(String, f64)], tolerance: f64, is_all: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, counted) in counts {
            let (name, counted) = (name.clone(), *counted);
            match self.instructions.get(&name).copied() {
                None => findings.push(Finding::New { name, counted }),
                // One instruction is no regression, however short the operation.
                Some(budget) if counted > budget * (1.0 + tolerance) + 1.0 => {
                    findings.push(Finding::Over { name, counted, budget });
                }
                Some(budget) if counted < budget * (1.0 - tolerance) - 1.0 => {
                    findings.push(Finding::Under { name, counted, budget });
                }
                Some(_) => {}
            }
        }
        if is_all {
            let is_gone = |name: &&String| !counts.iter().any(|(counted, _)| counted == *name);
            findings
                .extend(self.instructions.keys().filter(is_gone).cloned().map(|name| Finding::Gone { name }));
        }
        findings
    }
}

fn first_line(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn budgets() -> Budgets {
        let toolchain =
            Toolchain { rustc: "rustc 1".into(), valgrind: "valgrind-3".into(), libc: "2".into() };
        let instructions = [("a", 1000.0), ("b", 1000.0), ("c", 10.0), ("d", 1000.0)];
        let instructions = instructions.map(|(name, count)| (name.to_owned(), count)).into();
        Budgets { toolchain, instructions }
    }

    #[test]
    fn a_file_says_what_was_recorded() {
        assert_eq!(Budgets::parse(&budgets().to_text()), Ok(budgets()));
        for bad in ["", "[instructions]\n\"a\" = 0\n", "x"] {
            assert!(Budgets::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_and_less_than_the_tolerance_are_told_of() {
        let counts = [("a", 1032.0), ("b", 968.0), ("c", 11.0), ("new", 5.0)];
        let counts = counts.map(|(name, count)| (name.to_owned(), count));
        let findings = budgets().judge(&counts, 0.03, true);
        let kinds: Vec<String> =
            findings.iter().map(|it| it.to_string().split_whitespace().take(2).collect::<String>()).collect();
        assert_eq!(kinds, ["overa:", "underb:", "newnew:", "goned"]);
        assert_eq!(budgets().judge(&counts[2..3], 0.03, false), []);
    }
}
