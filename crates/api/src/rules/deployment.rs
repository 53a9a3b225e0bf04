//! Deployments: what a request to deploy means, and how one is shown.

use model::deployment::State;
use model::git::{GitOrder, Revision};
use model::image::Digest;
use model::{Deployment, Failure, FailureCode, Source, Trigger};
use wire::{
    DeploymentFailure, DeploymentProgress, DeploymentStatus, DeploymentStep, DeploymentType,
    TriggerDeployment,
};

use crate::check;
use crate::error::ApiError;
use crate::image_text;
use crate::platform::{self, BuildStepState, LayerState, Progress};
use crate::rules::source;

/// The image or the revision that a request wants for this deployment; `None` of both is the application's own.
pub fn wanted(
    source: &Source,
    input: &TriggerDeployment,
) -> Result<(Option<String>, Option<Revision>), ApiError> {
    match source {
        Source::Image { reference, .. } => {
            if input.commit_sha.is_some() {
                let problem = "the application has a ready image; it is not built from a commit";
                return Err(ApiError::invalid("commit_sha", problem));
            }
            Ok((wanted_image(reference, input)?, None))
        }
        Source::Git(_) => Ok((None, wanted_revision(input)?)),
    }
}

/// The revision that a request wants to have built. A tag is one of the repository.
fn wanted_revision(input: &TriggerDeployment) -> Result<Option<Revision>, ApiError> {
    let of_images = [
        ("docker_image", input.docker_image.is_some()),
        ("docker_image_tag", input.docker_image_tag.is_some()),
        ("docker_image_digest", input.docker_image_digest.is_some()),
    ];
    if let Some((field, _)) = of_images.into_iter().find(|(_, is_there)| *is_there) {
        let problem = "the application is built from a repository; name a branch, a tag or a commit of that";
        return Err(ApiError::invalid(field, problem));
    }
    if input.branch.is_some() && input.tag.is_some() {
        return Err(ApiError::invalid("tag", "it cannot be given together with branch"));
    }
    let name = input.branch.as_deref().or(input.tag.as_deref());
    let revision = source::wanted_revision(name, input.commit_sha.as_deref())?;
    if revision.is_some() && input.is_restart == Some(true) {
        let problem =
            "a restart rolls the last success out again; leave branch, tag and commit out, or is_restart";
        return Err(ApiError::invalid("is_restart", problem));
    }
    Ok(revision)
}

/// The reference that a request wants for this deployment; `None` is the application's own.
fn wanted_image(own: &str, input: &TriggerDeployment) -> Result<Option<String>, ApiError> {
    let tag = input.docker_image_tag.as_deref().or(input.tag.as_deref());
    let digest = input.docker_image_digest.as_deref();
    if let Some(tag) = tag
        && !image_text::is_tag(tag)
    {
        return Err(ApiError::invalid("docker_image_tag", "it is not the tag of an image"));
    }
    if let Some(digest) = digest {
        Digest::parse(digest).map_err(|error| ApiError::invalid("docker_image_digest", error))?;
    }
    let image = match (&input.docker_image, tag.or(digest)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let problem = "it cannot be given together with docker_image_tag or docker_image_digest";
            return Err(ApiError::invalid("docker_image", problem));
        }
        (Some(image), None) => {
            check::length("docker_image", image, 1, 512)?;
            image.clone()
        }
        (None, Some(_)) => image_text::with(own, tag, digest),
    };
    if input.is_restart == Some(true) {
        // Whoever names an image must not be told of a success without it.
        let problem = "a restart rolls the last success out again; leave the image out, or is_restart";
        return Err(ApiError::invalid("is_restart", problem));
    }
    check::reference(&image)?;
    Ok(Some(image))
}

/// The record as the API gives it.
pub fn show(deployment: &Deployment, progress: Option<Progress>) -> wire::Deployment {
    let moment = |at: Option<model::Timestamp>| at.map(|at| at.to_string());
    let git = deployment.git.as_ref();
    let commit = git.and_then(|git| git.commit.as_ref());
    wire::Deployment {
        id: deployment.id.to_string(),
        app_id: Some(deployment.app.to_string()),
        status: Some(show_status(&deployment.state)),
        kind: Some(show_kind(deployment.trigger)),
        trigger: Some(deployment.trigger.as_str().to_owned()),
        steps: steps(deployment),
        // Of what is built there is none before the commit is known.
        docker_image_url: Some(deployment.reference.clone()).filter(|reference| !reference.is_empty()),
        docker_image_digest: deployment.digest.as_ref().map(|digest| digest.to_string()),
        docker_registry_credential_id: deployment.credential.map(|credential| credential.to_string()),
        failure: final_failure(&deployment.state).map(show_failure),
        git_type: git.and_then(|git| source::provider(&git.url)),
        repo_url: git.map(|git| git.url.clone()),
        branch: git.and_then(branch),
        commit_sha: git.and_then(commit_id),
        commit_message: commit.map(|commit| commit.message.clone()),
        author_login: commit.map(|commit| commit.author.clone()),
        author_img: None,
        started_at: moment(deployment.started_at),
        finished_at: moment(deployment.finished_at),
        created_at: deployment.created_at.to_string(),
        updated_at: deployment.updated_at.to_string(),
        progress: show_progress(&deployment.state, progress),
    }
}

fn show_kind(trigger: Trigger) -> DeploymentType {
    match trigger {
        Trigger::AutoDeployOnPush => DeploymentType::Automatic,
        Trigger::ManualDeploy
        | Trigger::RollbackDeployment
        | Trigger::Restart
        | Trigger::DeployHook
        | Trigger::Promote => DeploymentType::Manual,
    }
}

/// What it takes. An image that is there, from a build or a promotion, is only rolled out.
fn steps(deployment: &Deployment) -> Vec<DeploymentStep> {
    let is_built = match deployment.trigger {
        Trigger::RollbackDeployment | Trigger::Restart | Trigger::Promote => false,
        Trigger::ManualDeploy | Trigger::AutoDeployOnPush | Trigger::DeployHook => deployment.git.is_some(),
    };
    match is_built {
        true => vec![DeploymentStep::Checkout, DeploymentStep::Build, DeploymentStep::Rollout],
        false => vec![DeploymentStep::Rollout],
    }
}

/// The branch or tag that led to the commit, or is to lead to it.
fn branch(order: &GitOrder) -> Option<String> {
    let found = order.commit.as_ref().and_then(|commit| commit.branch.clone());
    found.or_else(|| match &order.revision {
        Revision::Default => None,
        Revision::Named(name) => Some(name.clone()),
        Revision::Commit { branch, .. } => branch.clone(),
    })
}

fn commit_id(order: &GitOrder) -> Option<String> {
    match (&order.commit, &order.revision) {
        (Some(commit), _) => Some(commit.id.clone()),
        (None, Revision::Commit { id, .. }) => Some(id.clone()),
        (None, Revision::Default | Revision::Named(_)) => None,
    }
}

fn show_status(state: &State) -> DeploymentStatus {
    match state {
        State::Waiting => DeploymentStatus::Waiting,
        State::Done => DeploymentStatus::Success,
        State::Failed { failure } if failure.code == FailureCode::Cancelled => DeploymentStatus::Cancelled,
        State::Failed { .. } => DeploymentStatus::Failed,
        State::Skipped => DeploymentStatus::Skipped,
        _ => DeploymentStatus::InProgress,
    }
}

/// While it is being undone the deployment is still in progress and has no failure yet.
fn final_failure(state: &State) -> Option<&Failure> {
    match state {
        State::Failed { failure } => Some(failure),
        _ => None,
    }
}

fn show_failure(failure: &Failure) -> DeploymentFailure {
    DeploymentFailure {
        during: failure.during.as_str().to_owned(),
        code: failure.code.as_str().to_owned(),
        message: failure.message.clone(),
        hint: failure.hint.clone(),
        exit_code: failure.exit_code,
        log_tail: failure.log_tail.clone(),
    }
}

fn show_progress(state: &State, progress: Option<Progress>) -> Option<DeploymentProgress> {
    if state.is_final() || *state == State::Waiting {
        return None;
    }
    let Progress { steps, layers } = progress.unwrap_or_default();
    Some(DeploymentProgress {
        step: state.name().to_owned(),
        layers: layers.into_iter().map(show_layer).collect(),
        build_steps: steps.into_iter().map(show_build_step).collect(),
    })
}

fn show_layer(layer: platform::LayerProgress) -> wire::LayerProgress {
    wire::LayerProgress {
        digest: layer.digest.to_string(),
        done: layer.done,
        total: layer.total,
        state: match layer.state {
            LayerState::Waiting => wire::LayerState::Waiting,
            LayerState::Pulling => wire::LayerState::Pulling,
            LayerState::Done => wire::LayerState::Done,
            LayerState::Shared => wire::LayerState::Shared,
        },
    }
}

fn show_build_step(step: platform::BuildStep) -> wire::BuildStep {
    wire::BuildStep {
        number: step.number,
        of: step.of,
        stage: step.stage,
        text: step.text,
        state: match step.state {
            BuildStepState::Running => wire::BuildStepState::Running,
            BuildStepState::Done => wire::BuildStepState::Done,
            BuildStepState::Cached => wire::BuildStepState::Cached,
            BuildStepState::Failed => wire::BuildStepState::Failed,
        },
        started_at: step.started_at.to_string(),
        finished_at: step.finished_at.map(|at| at.to_string()),
    }
}
