//! What is wrong with a configuration, and where.
//!
//! Every finding names what was wrong and what was expected. One run collects as many as it can; they are rendered in
//! the order of the file as `file:line:column: message`, line and column counted from 1, columns in characters.

use std::fmt;
use std::ops::Range;

/// A configuration's text and the name that messages give it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file's name as the user gave it.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Diagnostic {
    /// Octets of the source that are to blame; `None` when the blame lies outside of it (the command line).
    span: Option<Range<usize>>,
    message: String,
}

/// The findings of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Diagnostics {
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a finding.
    pub(super) fn add(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        self.items.push(Diagnostic { span, message: message.into() });
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many findings there are.
    pub(super) fn count(&self) -> usize {
        self.items.len()
    }

    /// Renders the findings against the text that they are about.
    pub(super) fn into_report(mut self, source: &Source) -> Report {
        self.items.sort_by_key(|item| item.span.as_ref().map(|span| span.start));
        let lines = self.items.into_iter().map(|item| match item.span {
            Some(span) => {
                let (line, column) = position(&source.text, span.start);
                format!("{}:{line}:{column}: {}", source.name, item.message)
            }
            None => item.message,
        });
        Report { lines: lines.collect() }
    }
}

/// Findings ready to be shown: one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Never empty when it is an error.
    pub lines: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(line)?;
        }
        Ok(())
    }
}

/// Line and column of an offset, both from 1; an offset beyond the end is taken for the end.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|octet| *octet == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_in_characters() {
        let text = "ab\nçd\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 3), (2, 1));
        assert_eq!(position(text, 4), (2, 1), "inside a character");
        assert_eq!(position(text, 5), (2, 2));
        assert_eq!(position(text, 999), (3, 1));
    }

    #[test]
    fn findings_come_in_the_order_of_the_file() {
        let source = Source { name: "f".into(), text: "a\nb\n".into() };
        let mut found = Diagnostics::default();
        found.add(Some(2..3), "second");
        found.add(Some(0..1), "first");
        found.add(None, "elsewhere");
        assert_eq!(found.into_report(&source).to_string(), "elsewhere\nf:1:1: first\nf:2:1: second");
    }
}
