//! The course of a deployment as plain lines: one a change, for files and pipes.

use std::collections::BTreeSet;

use wire::{Deployment, DeploymentStatus, LayerProgress, LayerState};

use crate::commit;
use crate::size::bytes;

/// Remembers what was told, so that a change is told once.
#[derive(Default)]
pub struct Narrator {
    step: String,
    commit: bool,
    counted: bool,
    told: BTreeSet<String>,
}

impl Narrator {
    /// What is new since the last call.
    pub fn lines(&mut self, deployment: &Deployment) -> Vec<String> {
        let mut lines = Vec::new();
        let (step, layers) = match &deployment.progress {
            Some(progress) => (progress.step.as_str(), progress.layers.as_slice()),
            None => (outcome(deployment.status), [].as_slice()),
        };
        if let Some(commit) = commit::of(deployment).filter(|_| !self.commit) {
            self.commit = true;
            lines.push(format!("commit {}", commit::words(&commit)));
        }
        // A layer may have come to its end while the step moved on: tell it first.
        if !self.counted && !layers.is_empty() {
            self.counted = true;
            let total = layers.iter().map(|layer| layer.total).sum();
            lines.push(format!("image has {}, {}", counted(layers.len()), bytes(total)));
        }
        for layer in layers {
            let Some(what) = ended(layer) else { continue };
            if self.told.insert(layer.digest.clone()) {
                lines.push(format!("layer {} {what}, {}", short(&layer.digest), bytes(layer.total)));
            }
        }
        if !step.is_empty() && step != self.step {
            self.step = step.to_owned();
            lines.push(step.to_owned());
        }
        lines
    }
}

/// The word for a deployment that tells no step.
pub fn outcome(status: Option<DeploymentStatus>) -> &'static str {
    match status {
        Some(DeploymentStatus::Waiting) => "waiting",
        Some(DeploymentStatus::InProgress) | None => "",
        Some(DeploymentStatus::Success) => "deployed",
        Some(DeploymentStatus::Failed) => "failed",
        Some(DeploymentStatus::Cancelled) => "cancelled",
        Some(DeploymentStatus::Skipped) => "skipped",
    }
}

/// The first digits of a digest, enough to tell layers apart.
pub fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

fn ended(layer: &LayerProgress) -> Option<&'static str> {
    match layer.state {
        LayerState::Waiting | LayerState::Pulling => None,
        LayerState::Done => Some("pulled"),
        LayerState::Shared => Some("was here already"),
    }
}

fn counted(layers: usize) -> String {
    if layers == 1 { "1 layer".to_owned() } else { format!("{layers} layers") }
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A deployment as the server would tell it.
    pub fn told(status: &str, progress: serde_json::Value) -> Deployment {
        serde_json::from_value(json!({
            "id": "d", "app_id": "a", "status": status, "type": "manual", "trigger": "MANUAL_DEPLOY",
            "steps": ["rollout"], "docker_image_url": "x", "git_type": null, "repo_url": null, "branch": null,
            "commit_sha": null, "commit_message": null, "author_login": null, "author_img": null,
            "started_at": null, "finished_at": null, "created_at": "t", "updated_at": "t", "progress": progress
        }))
        .unwrap()
    }

    fn layer(n: u8, done: u64, state: &str) -> serde_json::Value {
        json!({"digest": format!("sha256:{n:064x}"), "done": done, "total": 2_000_000, "state": state})
    }

    #[test]
    fn every_change_is_one_line() {
        let course = [
            told("waiting", json!(null)),
            told("waiting", json!(null)),
            told("inProgress", json!(null)),
            told("inProgress", json!({"step": "resolving", "layers": []})),
            told(
                "inProgress",
                json!({"step": "pulling", "layers": [layer(1, 0, "shared"), layer(2, 0, "waiting")]}),
            ),
            told(
                "inProgress",
                json!({"step": "pulling", "layers": [layer(1, 0, "shared"), layer(2, 9, "pulling")]}),
            ),
            told(
                "inProgress",
                json!({"step": "starting", "layers": [layer(1, 0, "shared"), layer(2, 9, "done")]}),
            ),
            told("inProgress", json!({"step": "checking"})),
            told("success", json!(null)),
        ];
        let mut narrator = Narrator::default();
        let lines: Vec<String> = course.iter().flat_map(|deployment| narrator.lines(deployment)).collect();
        assert_eq!(
            lines,
            [
                "waiting",
                "resolving",
                "image has 2 layers, 4.0 MB",
                "layer 000000000000 was here already, 2.0 MB",
                "pulling",
                "layer 000000000000 pulled, 2.0 MB",
                "starting",
                "checking",
                "deployed"
            ]
        );
    }

    #[test]
    fn the_commit_is_told_once_it_is_known() {
        let mut narrator = Narrator::default();
        assert_eq!(narrator.lines(&told("inProgress", json!({"step": "fetching"}))), ["fetching"]);
        let mut building = told("inProgress", json!({"step": "building"}));
        building.commit_sha = Some("0123456789abcdef".into());
        building.branch = Some("main".into());
        building.commit_message = Some("Add the menu\n\nAt last.".into());
        building.author_login = Some("Ada".into());
        let lines = narrator.lines(&building);
        assert_eq!(lines, ["commit 0123456789ab on main  Add the menu (Ada)", "building"]);
        assert!(narrator.lines(&building).is_empty());
    }

    #[test]
    fn a_digest_is_cut_whatever_it_is() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("odd"), "odd");
        assert_eq!(short("sha256:ééééééé"), "éééééé");
    }
}
