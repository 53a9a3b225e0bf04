//! How a command ends when it does not succeed.

use std::io::ErrorKind;
use std::process::ExitCode;

use crate::LocalError;
use crate::output::Output;

/// Why a command ended early: words for people, and the exit code.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
    details: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    Usage,
    /// What is there to be said was said already.
    Quiet,
    /// Nobody reads the output any more, as in `darsena logs web | head`. Not an error.
    PipeClosed,
}

impl Failure {
    /// Exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into(), hint: None, details: Vec::new() }
    }

    /// Exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::new(message) }
    }

    /// Exit code 1, without another word.
    pub fn quiet() -> Self {
        Self { kind: Kind::Quiet, ..Self::new("") }
    }

    /// What to do now.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Lines that follow message and hint.
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// Message and hint, for a command that goes on.
    pub fn into_words(self) -> (String, Option<String>) {
        (self.message, self.hint)
    }

    /// Says it on stderr and gives the exit code.
    pub fn report(&self, output: &Output) -> ExitCode {
        match self.kind {
            Kind::PipeClosed => return ExitCode::SUCCESS,
            Kind::Quiet => return ExitCode::from(1),
            Kind::Failed | Kind::Usage => {}
        }
        output.labelled("error", &self.message);
        if let Some(hint) = &self.hint {
            output.labelled("hint", hint);
        }
        for line in &self.details {
            output.note(line);
        }
        ExitCode::from(if self.kind == Kind::Usage { 2 } else { 1 })
    }
}

#[cfg(test)]
impl Failure {
    /// Everything that would be printed.
    pub fn text(&self) -> String {
        [&[self.message.clone(), self.hint.clone().unwrap_or_default()], self.details.as_slice()]
            .concat()
            .join("\n")
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let failure = Self::new(error.to_string());
        let failure = match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        let platforms = error.refusal().map(|refusal| refusal.available_platforms.join(", "));
        let platforms = platforms.filter(|names| !names.is_empty());
        failure.details(platforms.map(|names| format!("the image has: {names}")))
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        Self { hint: error.hint, ..Self::new(error.message) }
    }
}

/// For writing to stdout.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self { kind: Kind::PipeClosed, ..Self::new("") },
            _ => Self::new(format!("the output cannot be written: {error}")),
        }
    }
}
