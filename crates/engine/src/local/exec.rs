//! A command inside a container, beside its own.

use std::time::{Duration, Instant};

use model::ContainerId;

use super::Local;
use super::finding::{Found, again, unexpected};
use crate::shim::protocol::{Answer, Ask, LONGEST_MS, milliseconds};
use crate::{EngineError, ExecOutcome, Refusal};

/// How much longer than the limit the supervisor may take to answer: it kills the command first.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause before another try while the supervisor is busy with a command that an earlier process of ours asked for.
const BUSY: Duration = Duration::from_millis(20);
/// Program and arguments together, in bytes.
const EXEC_MAX: usize = 32 << 10;

impl Local {
    /// See [`Engine::exec`](crate::Engine::exec).
    pub(super) async fn exec(
        &self,
        id: &ContainerId,
        args: &[String],
        limit: Duration,
    ) -> Result<ExecOutcome, EngineError> {
        check(args).map_err(EngineError::Refused)?;
        let _one_at_a_time = self.execs.lock(id).await;
        let limit = limit.min(Duration::from_millis(LONGEST_MS));
        let busy_until = Instant::now() + limit;
        let deadline = busy_until + PATIENCE;
        loop {
            let mut talk = match self.find(id).await? {
                Found::Alive(talk) => talk,
                Found::Ended(exit) => return Err(EngineError::Exited(exit)),
                Found::Nothing | Found::HalfMade => return Err(EngineError::Unknown(id.clone())),
                Found::Orphaned => {
                    self.end_orphan(id).await?;
                    continue;
                }
            };
            let ask = Ask::Exec { args: args.to_owned(), limit_ms: milliseconds(limit) };
            match talk.ask(&ask, limit.saturating_add(PATIENCE)).await? {
                Some(Answer::Executed { code, output_tail }) => return Ok(ExecOutcome { code, output_tail }),
                Some(Answer::TookTooLong { output_tail }) => {
                    return Err(EngineError::TookTooLong { limit, output_tail });
                }
                Some(Answer::Failed(trouble)) => return Err(trouble.into()),
                Some(Answer::Busy) if Instant::now() < busy_until => tokio::time::sleep(BUSY).await,
                Some(Answer::Busy) => {
                    let why = "an earlier command has not ended, although it was killed";
                    return Err(EngineError::host("running a command in the container", why));
                }
                Some(other) => return Err(unexpected(&other)),
                // The supervisor ends with its container.
                None => again(deadline).await?,
            }
        }
    }
}

fn check(args: &[String]) -> Result<(), Refusal> {
    let hint = "name a program of the image and its arguments";
    if args.first().is_none_or(|program| program.is_empty()) {
        return Err(Refusal::command("the command names no program", hint));
    }
    if args.iter().any(|arg| arg.contains('\0')) {
        return Err(Refusal::command("the command holds a NUL byte", hint));
    }
    if args.iter().map(|arg| arg.len() + 1).sum::<usize>() > EXEC_MAX {
        return Err(Refusal::command(
            "the command is longer than 32 KiB",
            "put it into a script of the image",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_no_program_can_be_run_with_is_refused() {
        let check = |args: &[&str]| check(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert!(check(&["true"]).is_ok());
        for args in [&[][..], &[""], &["a", "\0"], &["a", &"x".repeat(EXEC_MAX)]] {
            assert!(check(args).is_err());
        }
    }
}
