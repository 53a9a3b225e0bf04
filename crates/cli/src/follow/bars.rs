//! The course of a deployment as bars, for a person who watches: one for each layer, and the step below.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use wire::{Deployment, DeploymentStatus, LayerProgress, LayerState};

use super::narrator::{outcome, short};
use crate::clean;

/// The bars on stderr.
pub struct Bars {
    all: MultiProgress,
    step: ProgressBar,
    layers: BTreeMap<String, ProgressBar>,
}

impl Bars {
    /// Draws the step's line; the layers come when they are known.
    pub fn new() -> Self {
        let all = MultiProgress::new();
        let step = all.add(ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        step.enable_steady_tick(Duration::from_millis(100));
        Self { all, step, layers: BTreeMap::new() }
    }

    /// Brings the bars to the newest state; a final one leaves them standing.
    pub fn show(&mut self, deployment: &Deployment) {
        if let Some(progress) = &deployment.progress {
            for layer in &progress.layers {
                self.layer(layer);
            }
            self.step.set_message(clean::line(&progress.step));
        }
        let Some(status) = deployment.status.filter(|status| status.is_final()) else { return };
        for bar in self.layers.values().filter(|bar| !bar.is_finished()) {
            // Between two looks a layer may have come to its end unseen.
            if status == DeploymentStatus::Success { bar.finish() } else { bar.abandon() }
        }
        self.step.set_style(style("{msg}"));
        self.step.finish_with_message(outcome(Some(status)));
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

/// The templates are constants of this file; one that indicatif could not read would only lose the looks.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
