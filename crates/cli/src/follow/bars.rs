//! The course of a deployment as bars, for a person who watches: the step that goes on at the bottom, above it a bar for
//! each layer, and while an image is built the instruction that runs with its last lines. What is over scrolls up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use wire::{BuildStep, BuildStepState, Deployment, DeploymentStatus, LayerProgress, LayerState};

use super::narrator::{outcome, short};
use crate::clean;
use crate::commit;

/// How many lines of the running instruction are shown.
const LAST_LINES: usize = 8;

/// The bars on stderr.
pub struct Bars {
    all: MultiProgress,
    step: ProgressBar,
    layers: BTreeMap<String, ProgressBar>,
    knows_commit: bool,
    /// The instruction that runs.
    running: Option<(u32, ProgressBar)>,
    /// Numbers of the instructions that scrolled up.
    told: BTreeSet<u32>,
    /// The line of the log with which each instruction begins.
    heads: BTreeSet<String>,
    last_lines: VecDeque<ProgressBar>,
}

impl Bars {
    /// Draws the step's line; the layers come when they are known.
    pub fn new() -> Self {
        let all = MultiProgress::new();
        let step = all.add(ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        step.enable_steady_tick(Duration::from_millis(100));
        Self {
            all,
            step,
            layers: BTreeMap::new(),
            knows_commit: false,
            running: None,
            told: BTreeSet::new(),
            heads: BTreeSet::new(),
            last_lines: VecDeque::new(),
        }
    }

    /// Brings the bars to the newest state; a final one leaves them standing.
    pub fn show(&mut self, deployment: &Deployment) {
        if let Some(commit) = commit::of(deployment).filter(|_| !self.knows_commit) {
            self.knows_commit = true;
            self.scroll(&format!("commit {}", commit::words(&commit)));
        }
        if let Some(progress) = &deployment.progress {
            self.build(&progress.build_steps, progress.step == "building");
            for layer in &progress.layers {
                self.layer(layer);
            }
            self.step.set_message(clean::line(&progress.step));
        }
        let Some(status) = deployment.status.filter(|status| status.is_final()) else { return };
        self.end_build();
        for bar in self.layers.values().filter(|bar| !bar.is_finished()) {
            // Between two looks a layer may have come to its end unseen.
            if status == DeploymentStatus::Success { bar.finish() } else { bar.abandon() }
        }
        self.step.set_style(style("{msg}"));
        self.step.finish_with_message(outcome(Some(status)));
    }

    /// New lines of the build, below its running instruction. Where another one begins, those of the one before go.
    pub fn show_lines(&mut self, lines: &[String]) {
        for line in lines {
            if self.heads.contains(line) {
                self.clear_lines();
                continue;
            }
            if self.last_lines.len() == LAST_LINES
                && let Some(oldest) = self.last_lines.pop_front()
            {
                self.all.remove(&oldest);
            }
            let bar = ProgressBar::new_spinner().with_style(style("    {wide_msg:.dim}"));
            let bar = self.all.insert_before(&self.step, bar);
            bar.set_message(clean::line(line));
            self.last_lines.push_back(bar);
        }
    }

    fn build(&mut self, steps: &[BuildStep], is_building: bool) {
        for step in steps {
            self.heads.insert(head(step));
            match step.state {
                BuildStepState::Running => self.run(step),
                _ if self.told.insert(step.number) => {
                    self.end_instruction();
                    self.scroll(&ended(step));
                }
                _ => {}
            }
        }
        if !is_building {
            self.end_build();
        }
    }

    fn run(&mut self, step: &BuildStep) {
        if self.running.as_ref().is_some_and(|(number, _)| *number == step.number) {
            return;
        }
        self.end_instruction();
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} {wide_msg} {elapsed}"));
        let bar = match self.last_lines.front() {
            Some(first) => self.all.insert_before(first, bar),
            None => self.all.insert_before(&self.step, bar),
        };
        bar.set_message(clean::line(&instruction(step)));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.running = Some((step.number, bar));
    }

    fn end_instruction(&mut self) {
        if let Some((_, bar)) = self.running.take() {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn end_build(&mut self) {
        self.end_instruction();
        self.clear_lines();
    }

    fn clear_lines(&mut self) {
        for bar in self.last_lines.drain(..) {
            self.all.remove(&bar);
        }
    }

    /// A line that stays, above all bars. That the terminal cannot be written to is no reason to stop.
    fn scroll(&self, line: &str) {
        let _ = self.all.println(clean::line(line));
    }

    fn layer(&mut self, layer: &LayerProgress) {
        let bar = self.layers.entry(layer.digest.clone()).or_insert_with(|| {
            let style = style("{prefix} {bar:30} {decimal_bytes:>10} / {decimal_total_bytes:<10} {msg}")
                .progress_chars("=> ");
            let bar = ProgressBar::new(layer.total).with_style(style);
            // Above the step, so that the newest word is always the last line.
            self.all.insert_before(&self.step, bar.with_prefix(clean::line(short(&layer.digest))))
        });
        if bar.is_finished() {
            return;
        }
        bar.set_length(layer.total);
        match layer.state {
            LayerState::Waiting | LayerState::Pulling => bar.set_position(layer.done),
            LayerState::Done => bar.finish(),
            LayerState::Shared => {
                bar.set_position(layer.total);
                bar.finish_with_message("was here already");
            }
        }
    }
}

/// `[3/7] RUN make`, with the name of its stage when that is no number.
fn instruction(step: &BuildStep) -> String {
    let is_named = step.stage.parse::<u32>().is_err();
    let stage = if is_named { format!("{} ", step.stage) } else { String::new() };
    format!("[{stage}{}/{}] {}", step.number, step.of, step.text)
}

/// How the log of a deployment tells that it begins.
fn head(step: &BuildStep) -> String {
    format!("Step {} of {} [{}] {}", step.number, step.of, step.stage, step.text)
}

/// An instruction that is over, and how long it took.
fn ended(step: &BuildStep) -> String {
    let how = match step.state {
        BuildStepState::Running => return instruction(step),
        BuildStepState::Cached => "cached".to_owned(),
        BuildStepState::Done => seconds(step).unwrap_or_default(),
        BuildStepState::Failed => format!("failed after {}", seconds(step).unwrap_or_default()),
    };
    format!("{}  {how}", instruction(step))
}

fn seconds(step: &BuildStep) -> Option<String> {
    let began: Timestamp = step.started_at.parse().ok()?;
    let ended: Timestamp = step.finished_at.as_ref()?.parse().ok()?;
    Some(format!("{:.1} s", ended.duration_since(began).as_secs_f64().max(0.0)))
}

/// The templates are constants of this file; one that indicatif could not read would only lose the looks.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_that_is_over_says_how_long_it_took() {
        let step = |stage: &str, state| BuildStep {
            number: 2,
            of: 7,
            stage: stage.into(),
            text: "RUN make".into(),
            state,
            started_at: "2026-01-01T00:00:00Z".into(),
            finished_at: Some("2026-01-01T00:00:03.25Z".into()),
        };
        for (stage, state, words) in [
            ("1", BuildStepState::Done, "[2/7] RUN make  3.2 s"),
            ("build", BuildStepState::Cached, "[build 2/7] RUN make  cached"),
            ("build", BuildStepState::Failed, "[build 2/7] RUN make  failed after 3.2 s"),
        ] {
            assert_eq!(ended(&step(stage, state)), words);
        }
    }
}
