//! Where words go: findings to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::clean;
use crate::failure::Failure;

/// The two streams, and what is on their other ends.
pub struct Output {
    /// `--json`.
    pub json: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    may_colour: bool,
}

/// How the course of a deployment is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Bars that move, on stderr.
    Bars,
    /// One line a change, on stdout.
    Lines,
    /// Not at all.
    Silent,
}

impl Output {
    /// The streams of this process.
    pub fn new(json: bool) -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            json,
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            may_colour: !quiet,
        }
    }

    /// Bars where a person watches, plain lines where the output is kept or read by a program.
    pub fn course(&self) -> Course {
        match (self.json, self.stdout_is_terminal, self.stderr_is_terminal) {
            (true, _, true) | (false, true, true) => Course::Bars,
            (true, _, false) => Course::Silent,
            (false, _, _) => Course::Lines,
        }
    }

    /// One line of what was found.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(io::stdout().lock(), "{}", clean::line(text))?)
    }

    /// What was found, for a program.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        Ok(writeln!(io::stdout().lock(), "{}", clean::json(&text))?)
    }

    /// One finding of many, for a program: a line of JSON.
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        Ok(writeln!(io::stdout().lock(), "{}", clean::json(&text))?)
    }

    /// Rows under headings.
    pub fn table(
        &self,
        headings: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Result<(), Failure> {
        for line in table(headings, rows).lines() {
            self.line(line)?;
        }
        Ok(())
    }

    /// Names and values, one pair a line.
    pub fn record(&self, pairs: &[(&str, String)]) -> Result<(), Failure> {
        let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in pairs {
            self.line(&format!("{name:width$}  {value}"))?;
        }
        Ok(())
    }

    /// A remark for the person, on stderr. That nobody reads it is no reason to stop.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", clean::line(text));
    }

    /// `error: …`, `hint: …`, `warning: …` on stderr.
    pub fn labelled(&self, label: &str, text: &str) {
        let text = clean::line(text);
        let label = match label {
            "error" => self.coloured(label, "31", self.stderr_is_terminal),
            _ => self.coloured(label, "36", self.stderr_is_terminal),
        };
        let _ = writeln!(io::stderr().lock(), "{label}: {text}");
    }

    fn coloured(&self, text: &str, code: &str, is_terminal: bool) -> String {
        if is_terminal && self.may_colour { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| clean::line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_space() {
        let rows = vec![vec!["web".into(), "deployed\x1b[31m".into()], vec!["worker-1".into(), "".into()]];
        assert_eq!(table(&["NAME", "STATUS"], rows), "NAME      STATUS\nweb       deployed\nworker-1");
    }
}
