//! From the words of `deploy` to those of the API.

use api::platform as wanted;
use deploy::DeployError;
use model::{Failure, FailureCode};

/// Steps and layers as they go on.
pub fn progress(steps: Vec<deploy::BuildStep>, layers: Vec<image::LayerProgress>) -> wanted::Progress {
    let layers = layers.into_iter().map(|layer| wanted::LayerProgress {
        digest: layer.digest,
        done: layer.done_bytes,
        total: layer.total_bytes,
        state: match layer.state {
            image::LayerState::Waiting => wanted::LayerState::Waiting,
            image::LayerState::Pulling => wanted::LayerState::Pulling,
            image::LayerState::Done => wanted::LayerState::Done,
            image::LayerState::Shared => wanted::LayerState::Shared,
        },
    });
    wanted::Progress { steps: steps.into_iter().map(step).collect(), layers: layers.collect() }
}

fn step(step: deploy::BuildStep) -> wanted::BuildStep {
    let deploy::BuildStep { number, of, stage, text, state, started_at, finished_at } = step;
    let state = match state {
        deploy::StepState::Running => wanted::BuildStepState::Running,
        deploy::StepState::Done => wanted::BuildStepState::Done,
        deploy::StepState::Cached => wanted::BuildStepState::Cached,
        deploy::StepState::Failed => wanted::BuildStepState::Failed,
    };
    wanted::BuildStep { number, of, stage, text, state, started_at, finished_at }
}

/// A repository that was looked at.
pub fn repository(found: deploy::Repository) -> wanted::Repository {
    let deploy::Repository { default_branch, branches, commit, dockerfile } = found;
    let build::Dockerfile { text, origin } = dockerfile;
    let (origin, detail) = match origin {
        build::Origin::Found(path) => (wanted::DockerfileOrigin::Found, Some(path)),
        build::Origin::Made(kind) => (wanted::DockerfileOrigin::Made, Some(kind)),
        build::Origin::Given => (wanted::DockerfileOrigin::Given, None),
    };
    let dockerfile = wanted::Dockerfile { text, origin, detail };
    wanted::Repository { default_branch, branches, commit, dockerfile }
}

/// The container with this number, as people count.
pub fn instance((instance, condition): (u16, deploy::Condition)) -> wanted::InstanceCondition {
    let deploy::Condition { phase, restarts, last_end, last_end_at } = condition;
    let (state, next_start_at) = match phase {
        deploy::Running::Starting => ("starting", None),
        deploy::Running::Running => ("running", None),
        deploy::Running::NotReady => ("not_ready", None),
        deploy::Running::BackingOff { until } => ("backing_off", Some(until)),
    };
    let is_ready = phase == deploy::Running::Running;
    wanted::InstanceCondition { instance, state, is_ready, restarts, last_end, last_end_at, next_start_at }
}

/// Why it was not done, as the API has it.
pub fn error(error: DeployError) -> wanted::PlatformError {
    use wanted::PlatformError as P;
    match error {
        DeployError::NotFound(what) => P::NotFound(what),
        DeployError::InProgress => P::DeploymentInProgress,
        DeployError::Finished => P::DeploymentFinished,
        DeployError::AlreadyServing => P::AlreadyServing,
        DeployError::NoSuccess => P::NoSuccessfulDeployment,
        DeployError::Refused(words) => P::Refused(words),
        DeployError::Login(error) if error.code() != FailureCode::InternalError => {
            P::Image(Box::new(wanted::ImageProblem {
                code: error.code(),
                message: error.to_string(),
                hint: Some(error.hint().to_owned()),
                platforms: Vec::new(),
                retry_after: None,
            }))
        }
        DeployError::Image { error, hint } => P::Image(Box::new(wanted::ImageProblem {
            code: error.code(),
            message: error.to_string(),
            hint: hint.or_else(|| error.hint()),
            platforms: error.platforms().iter().map(ToString::to_string).collect(),
            retry_after: error.retry_after(),
        })),
        DeployError::Repository(failure) if failure.code != FailureCode::InternalError => {
            let Failure { code, message, hint, .. } = *failure;
            P::Git(Box::new(wanted::GitProblem { code, message, hint }))
        }
        DeployError::Store(error) => P::Store(error),
        other => P::Internal(Box::new(other)),
    }
}

/// What a registry answered.
pub fn login_check(check: deploy::LoginCheck) -> wanted::LoginCheck {
    use wanted::LoginVerdict as V;
    let deploy::LoginCheck { verdict, at } = check;
    let verdict = match verdict {
        image::Verdict::Accepted => V::Accepted,
        image::Verdict::Rejected { words } => V::Rejected {
            code: FailureCode::CredentialRejected,
            message: words,
            hint: Some(
                "Check the user name, and make a new token: it may have expired or been revoked.".to_owned(),
            ),
        },
        image::Verdict::ScopeMissing { words } => V::Rejected {
            code: FailureCode::CredentialScopeMissing,
            message: words,
            hint: Some(
                "Make a token with the right to read packages or to pull; see docs/registries.md.".to_owned(),
            ),
        },
    };
    wanted::LoginCheck { verdict, at }
}
