//! One attempt to find out how a container is: over the network, or by a command inside of it.

use std::net::SocketAddr;
use std::time::Duration;

use engine::{EngineError, ExecOutcome};
use model::{ContainerId, Probe, ProbeKind};

use crate::explain;
use crate::platform::Platform;

/// How much of a command's output goes into a message, in characters.
const OUTPUT_SHOWN: usize = 200;

/// Why an attempt was no success, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unwell {
    /// The application answered badly, or not at all.
    Seen(String),
    /// It could not be asked, for want of something that is not the application's.
    Unknown(String),
}

impl Unwell {
    pub(crate) fn words(self) -> String {
        match self {
            Unwell::Seen(words) | Unwell::Unknown(words) => words,
        }
    }
}

impl Platform {
    /// Asks once. What was wrong is told in words.
    pub(crate) async fn probe(
        &self,
        id: &ContainerId,
        address: SocketAddr,
        probe: &Probe,
    ) -> Result<(), Unwell> {
        match &probe.kind {
            ProbeKind::Tcp | ProbeKind::Http { .. } => {
                ingress::probe_once(address, probe).await.map_err(|failure| Unwell::Seen(failure.to_string()))
            }
            ProbeKind::Exec { command } => {
                let limit = Duration::from_millis(probe.timeout_ms);
                command_verdict(command, self.engine().exec(id, command, limit).await)
            }
        }
    }
}

/// Exit code 0 is good, everything else is not.
fn command_verdict(command: &[String], outcome: Result<ExecOutcome, EngineError>) -> Result<(), Unwell> {
    let name = command.first().map_or("", String::as_str);
    match outcome {
        Ok(ExecOutcome { code: 0, .. }) => Ok(()),
        Ok(ExecOutcome { code, output_tail }) => {
            let ended = explain::exit_words(code);
            match output_tail.lines().map(str::trim).rfind(|line| !line.is_empty()) {
                Some(line) => {
                    let line: String = line.chars().take(OUTPUT_SHOWN).collect();
                    Err(Unwell::Seen(format!("the command {name} ended with {ended}: {line}")))
                }
                None => Err(Unwell::Seen(format!("the command {name} ended with {ended}"))),
            }
        }
        Err(error @ (EngineError::Refused(_) | EngineError::TookTooLong { .. } | EngineError::Exited(_))) => {
            Err(Unwell::Seen(format!("the command {name} could not be run: {error}")))
        }
        Err(error) => Err(Unwell::Unknown(format!("the command {name} was not run: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_says_why_it_is_not_content() {
        let verdict = |code, output: &str| {
            let outcome = ExecOutcome { code, output_tail: output.into() };
            command_verdict(&["/bin/check".to_owned(), "--now".to_owned()], Ok(outcome))
        };
        assert_eq!(verdict(0, "fine"), Ok(()));
        assert_eq!(verdict(3, ""), Err(Unwell::Seen("the command /bin/check ended with code 3".to_owned())));
        let words = verdict(137, "trying\nno database\n\n").unwrap_err().words();
        assert_eq!(words, "the command /bin/check ended with signal 9 (code 137): no database");
        assert!(verdict(1, &"x".repeat(5000)).unwrap_err().words().len() < 300);

        let outcome = Err(EngineError::Host { doing: "asking its supervisor".into(), why: "silence".into() });
        assert!(matches!(command_verdict(&["/bin/check".to_owned()], outcome), Err(Unwell::Unknown(_))));
    }
}
