//! What is told of a build while it goes on: its steps with their times, and lines that wait to be written to the
//! deployment's log.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use build::News;
use model::Timestamp;

/// Lines that may wait to be written. Of a build that prints faster than that the latest are kept: why it fails comes
/// last.
const MOST_WAITING: usize = 2000;
/// A step that took less goes by without a word of it, in seconds.
const WORTH_TELLING: f64 = 1.0;
/// Steps that are shown. A Dockerfile has hardly more.
const MOST_STEPS: usize = 1000;

/// A step of a Dockerfile, as it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildStep {
    /// From 1, over all stages.
    pub number: u32,
    pub of: u32,
    /// Name of its stage, or the stage's number from 1.
    pub stage: String,
    /// The instruction, as written.
    pub text: String,
    pub state: StepState,
    pub started_at: Timestamp,
    /// `None` while it runs.
    pub finished_at: Option<Timestamp>,
}

/// How a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    Running,
    Done,
    /// Its result was there from an earlier build.
    Cached,
    Failed,
}

/// A line for the deployment's log: moment, severity, text.
pub type LogLine = (Timestamp, &'static str, String);

/// The account of one build.
#[derive(Debug, Default)]
pub struct Ledger {
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    steps: Vec<BuildStep>,
    waiting: VecDeque<LogLine>,
    /// Lines that were left out since the last writing.
    left_out: usize,
    /// Whether lines were left out since the step that goes on began.
    has_gap: bool,
}

impl Ledger {
    /// Takes down what was told.
    pub fn told(&self, news: News, at: Timestamp) {
        let mut account = self.account();
        match news {
            News::Step { number, of, stage, text } => {
                account.end_step(StepState::Done, at);
                account.write(at, "INFO", format!("Step {number} of {of} [{stage}] {text}"));
                account.has_gap = false;
                if account.steps.len() < MOST_STEPS {
                    let (state, started_at) = (StepState::Running, at);
                    account.steps.push(BuildStep {
                        number,
                        of,
                        stage,
                        text,
                        state,
                        started_at,
                        finished_at: None,
                    });
                }
            }
            News::Cached => {
                if let Some(step) = account.steps.last_mut() {
                    step.state = StepState::Cached;
                }
                account.write(at, "INFO", "Taken from the cache".to_owned());
            }
            News::Line { text, is_error } => {
                account.write(at, if is_error { "ERROR" } else { "INFO" }, text);
            }
            News::LeftOut { lines } => {
                account.has_gap = true;
                account.write(
                    at,
                    "WARN",
                    format!("({lines} more lines are left out: the build prints too much)"),
                );
            }
        }
    }

    /// Takes down the last lines of the step that failed, where lines of it were left out.
    pub fn fill_gap(&self, tail: &[String], at: Timestamp) {
        let mut account = self.account();
        if account.has_gap {
            for line in tail {
                account.write(at, "ERROR", format!("| {line}"));
            }
        }
    }

    /// The build is over, and with it its last step.
    pub fn ended(&self, well: bool, at: Timestamp) {
        self.account().end_step(if well { StepState::Done } else { StepState::Failed }, at);
    }

    /// The build was stopped from outside, unless it was over. Its last step did not come to its end.
    pub fn stopped(&self, at: Timestamp) {
        let mut account = self.account();
        if let Some((number, seconds)) = account.close_step(StepState::Failed, at) {
            account.write(at, "WARN", format!("Step {number} was stopped after {seconds:.1} s"));
        }
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<BuildStep> {
        self.account().steps.clone()
    }

    /// The lines that came since the last call, for writing.
    pub fn take_lines(&self) -> Vec<LogLine> {
        let mut account = self.account();
        let left_out = std::mem::take(&mut account.left_out);
        let mut lines = std::mem::take(&mut account.waiting);
        if left_out > 0 {
            let at = lines.front().map_or_else(Timestamp::now, |(at, ..)| *at);
            lines.push_front((at, "WARN", format!("({left_out} lines came too fast and are left out)")));
        }
        lines.into()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn write(&mut self, at: Timestamp, severity: &'static str, text: String) {
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_front();
            self.left_out += 1;
            self.has_gap = true;
        }
        self.waiting.push_back((at, severity, text));
    }

    /// Ends the step that runs, or that came from the cache, and says how long one took that took long or failed.
    fn end_step(&mut self, state: StepState, at: Timestamp) {
        let Some((number, seconds)) = self.close_step(state, at) else { return };
        match state {
            StepState::Failed => {
                self.write(at, "ERROR", format!("Step {number} failed after {seconds:.1} s"));
            }
            _ if seconds >= WORTH_TELLING => {
                self.write(at, "INFO", format!("Step {number} took {seconds:.1} s"));
            }
            _ => {}
        }
    }

    /// Ends the step that goes on. If it ran itself, gives its number and the seconds that it ran.
    fn close_step(&mut self, state: StepState, at: Timestamp) -> Option<(u32, f64)> {
        let step = self.steps.last_mut().filter(|step| step.finished_at.is_none())?;
        step.finished_at = Some(at);
        if step.state != StepState::Running {
            return None;
        }
        step.state = state;
        Some((step.number, at.duration_since(step.started_at).as_secs_f64().max(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("a small number")
    }

    fn step(number: u32) -> News {
        News::Step { number, of: 3, stage: "build".into(), text: format!("RUN make {number}") }
    }

    #[test]
    fn a_step_ends_where_the_next_begins() {
        let ledger = Ledger::default();
        ledger.told(step(1), at(0));
        ledger.told(News::Cached, at(10));
        ledger.told(step(2), at(20));
        ledger.told(News::Line { text: "hello".into(), is_error: false }, at(500));
        ledger.told(News::Line { text: "oh".into(), is_error: true }, at(900));
        ledger.told(step(3), at(3_220));
        ledger.ended(false, at(4_220));

        let steps: Vec<_> =
            ledger.steps().into_iter().map(|step| (step.number, step.state, step.finished_at)).collect();
        let expected = [
            (1, StepState::Cached, Some(at(20))),
            (2, StepState::Done, Some(at(3_220))),
            (3, StepState::Failed, Some(at(4_220))),
        ];
        assert_eq!(steps, expected);

        let lines: Vec<_> =
            ledger.take_lines().into_iter().map(|(_, severity, text)| format!("{severity} {text}")).collect();
        let expected = [
            "INFO Step 1 of 3 [build] RUN make 1",
            "INFO Taken from the cache",
            "INFO Step 2 of 3 [build] RUN make 2",
            "INFO hello",
            "ERROR oh",
            "INFO Step 2 took 3.2 s",
            "INFO Step 3 of 3 [build] RUN make 3",
            "ERROR Step 3 failed after 1.0 s",
        ];
        assert_eq!(lines, expected);
        assert!(ledger.take_lines().is_empty(), "each line is written once");
    }

    #[test]
    fn a_step_that_was_stopped_did_not_fail_by_itself() {
        let ledger = Ledger::default();
        ledger.told(step(1), at(0));
        ledger.stopped(at(1_500));
        ledger.stopped(at(9_000));
        assert_eq!(ledger.steps()[0].finished_at, Some(at(1_500)));
        let lines = ledger.take_lines();
        assert_eq!((lines.len(), &*lines[1].2), (2, "Step 1 was stopped after 1.5 s"));

        ledger.told(step(2), at(10_000));
        ledger.ended(false, at(11_000));
        ledger.stopped(at(12_000));
        assert_eq!(ledger.take_lines().last().unwrap().2, "Step 2 failed after 1.0 s");
    }

    #[test]
    fn a_flood_of_lines_is_told_of_with_a_gap() {
        let ledger = Ledger::default();
        for number in 1..=MOST_WAITING + 7 {
            ledger.told(News::Line { text: format!("line {number}"), is_error: false }, at(1));
        }
        let lines = ledger.take_lines();
        assert_eq!(lines.len(), MOST_WAITING + 1);
        assert_eq!(lines[0].2, "(7 lines came too fast and are left out)");
        assert_eq!((&*lines[1].2, &*lines[MOST_WAITING].2), ("line 8", "line 2007"), "the latest are kept");
        ledger.told(News::Line { text: "y".into(), is_error: false }, at(2));
        assert_eq!(ledger.take_lines().len(), 1);
    }

    #[test]
    fn the_last_lines_of_a_failure_are_in_the_log_once() {
        let tail = ["cannot find it".to_owned()];
        let written = |tell: &dyn Fn(&Ledger)| {
            let ledger = Ledger::default();
            ledger.told(step(1), at(0));
            tell(&ledger);
            ledger.fill_gap(&tail, at(1));
            ledger.ended(false, at(1));
            let lines = ledger.take_lines().into_iter();
            lines.map(|(_, severity, text)| format!("{severity} {text}")).collect::<Vec<_>>()
        };
        let line = || News::Line { text: "cannot find it".into(), is_error: true };
        let flood = |ledger: &Ledger| (0..=MOST_WAITING).for_each(|_| ledger.told(line(), at(1)));

        assert!(
            !written(&|ledger| ledger.told(line(), at(1))).contains(&"ERROR | cannot find it".to_owned())
        );
        let after_a_gap = written(&|ledger| ledger.told(News::LeftOut { lines: 3 }, at(1)));
        let expected = [
            "INFO Step 1 of 3 [build] RUN make 1",
            "WARN (3 more lines are left out: the build prints too much)",
            "ERROR | cannot find it",
            "ERROR Step 1 failed after 0.0 s",
        ];
        assert_eq!(after_a_gap, expected);
        assert!(written(&flood).contains(&"ERROR | cannot find it".to_owned()));
        let gap_of_another_step = written(&|ledger| {
            flood(ledger);
            ledger.told(step(2), at(1));
        });
        assert!(!gap_of_another_step.contains(&"ERROR | cannot find it".to_owned()));
    }
}
