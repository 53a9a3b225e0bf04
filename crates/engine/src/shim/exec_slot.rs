//! One command beside the container's own at a time, from its beginning to its answer.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::exec::{Exec, Process, kill_strays};
use super::protocol::{Answer, Orders};
use crate::folders::RunFolder;

/// The place of the one command.
pub(super) struct ExecSlot {
    /// The container's first process, which is no command.
    init: Pid,
    exec: Option<Exec>,
    /// One that was killed and does not go.
    stuck: Option<Process>,
}

impl ExecSlot {
    pub fn new(init: Pid) -> Self {
        Self { init, exec: None, stuck: None }
    }

    pub fn current(&self) -> Option<&Exec> {
        self.exec.as_ref()
    }

    /// Gives an answer only when the command was not begun.
    pub fn begin(
        &mut self,
        run: &RunFolder,
        orders: &Orders,
        client: u64,
        args: &[String],
        limit: Duration,
    ) -> Result<(), Answer> {
        self.stuck.take_if(|process| process.collect_with_group().is_some());
        if self.exec.is_some() || self.stuck.is_some() {
            return Err(Answer::Busy);
        }
        let begun = Exec::begin(run, orders, client, args, limit);
        self.exec = Some(begun.map_err(|error| Answer::Failed(error.into()))?);
        Ok(())
    }

    /// Does what there is to do; gives the answer and who is waiting for it when that is all.
    pub fn go_on(
        &mut self,
        run: &RunFolder,
        orders: &Orders,
        has_output: bool,
        has_ended: bool,
    ) -> Option<(u64, Answer)> {
        let exec = self.exec.as_mut()?;
        if has_output {
            exec.pump();
        }
        let outcome = if has_ended { exec.advance(run, orders) } else { None };
        let client = exec.client;
        let is_late = exec.ends_at <= Instant::now();
        match outcome {
            Some(answer) => {
                self.exec = None;
                if matches!(answer, Answer::Failed(_)) {
                    kill_strays(orders, self.init);
                }
                Some((client, answer))
            }
            None if is_late => Some((client, Answer::TookTooLong { output_tail: self.kill(orders) })),
            None => None,
        }
    }

    /// Kills the command; gives its last words.
    pub fn kill(&mut self, orders: &Orders) -> String {
        let Some(exec) = self.exec.take() else { return String::new() };
        let (words, stuck) = exec.kill(orders, self.init);
        self.stuck = stuck;
        words
    }

    /// Kills the command that this client asked for.
    pub fn kill_of(&mut self, client: u64, orders: &Orders) {
        if self.exec.as_ref().is_some_and(|exec| exec.client == client) {
            self.kill(orders);
        }
    }

    /// Whether this child is collected here. While the runtime starts a command, any child but the container's first
    /// process may be that command: the runtime's threads end one by one, and what the last of them leaves falls to
    /// us a moment before the runtime itself counts as ended and names it.
    pub fn knows(&self, child: Pid) -> bool {
        let may_be_it = |exec: &Exec| exec.child() == child || (exec.is_starting() && child != self.init);
        self.exec.as_ref().is_some_and(may_be_it)
    }

    /// This child was collected.
    pub fn forget(&mut self, child: Pid) {
        self.stuck.take_if(|process| process.pid() == child);
    }
}
