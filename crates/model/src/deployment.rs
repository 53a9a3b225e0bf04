//! A deployment: replacing what an application runs, without dropping a request.
//!
//! ```text
//! Waiting > Resolving > Pulling > Creating > Starting > Checking > Switching > Draining > Done
//!    | \                 /  \_________\__________\__________\__________\___> Undoing > Failed
//!    |  Fetching > Building
//!    \___> Skipped
//! ```
//!
//! A ready image is resolved; a repository is fetched and built. Those three can fail or be cancelled like the rest.
//!
//! Two pure functions are the whole policy:
//!
//! - [`State::next`]: what an event does to a state, or why it is refused;
//! - [`State::work`]: what there is to do in a state.
//!
//! Work follows from the state alone, so a restarted server loads the state and carries on; every piece of
//! work must therefore be safe to do twice. Containers bear the deployment's id, so undoing needs no memory of
//! how far creating them got.
//!
//! Until `Switching` is over the old release serves and a failure is undone. After it, the deployment can
//! only go forward.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::failure::{Failure, FailureCode, Phase};
use crate::git::GitOrder;
use crate::id::{AppId, CompanyId, CredentialId, DeploymentId, ReleaseId};
use crate::image::Digest;

/// The act of making a release serve, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    pub id: DeploymentId,
    pub app: AppId,
    pub company: CompanyId,
    pub trigger: Trigger,
    /// Reference to roll out, as written. Of what is built: `localhost/NAME:COMMIT`, and empty until the commit is
    /// known. No registry has that, nor has it a name here; it is for people.
    pub reference: String,
    /// What is built; `None`: a ready image.
    pub git: Option<GitOrder>,
    /// The release, of this or another application, whose image is rolled out with the settings of this one.
    pub image_of: Option<ReleaseId>,
    /// Digest that the reference resolved to; `None` before that.
    pub digest: Option<Digest>,
    /// Which credential the registry is asked with; `None`: anonymously. It outlives the credential.
    pub credential: Option<CredentialId>,
    /// What is made to serve: known from the start when an old release comes back, else after resolving.
    pub release: Option<ReleaseId>,
    pub state: State,
    pub created_at: Timestamp,
    /// `None` while it waits.
    pub started_at: Option<Timestamp>,
    /// `None` until it is final.
    pub finished_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

/// What started a deployment; the words are those of API v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Trigger {
    ManualDeploy,
    RollbackDeployment,
    Restart,
    /// A push to the repository.
    AutoDeployOnPush,
    /// The secret address of the application.
    DeployHook,
    /// The image of another application.
    Promote,
}

impl Trigger {
    /// The word of API v3.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::ManualDeploy => "MANUAL_DEPLOY",
            Trigger::RollbackDeployment => "ROLLBACK_DEPLOYMENT",
            Trigger::Restart => "RESTART",
            Trigger::AutoDeployOnPush => "AUTO_DEPLOY_ON_PUSH",
            Trigger::DeployHook => "DEPLOY_HOOK",
            Trigger::Promote => "PROMOTE",
        }
    }
}

/// How far a deployment got. A state holds what the steps before it produced and the next ones need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// In the queue of its application.
    Waiting,
    Resolving,
    /// The commit is looked up and its files are fetched.
    Fetching,
    Building,
    Pulling,
    Creating,
    Starting,
    Checking,
    Switching,
    Draining {
        old: Option<DeploymentId>,
    },
    Done,
    Undoing {
        failure: Failure,
    },
    Failed {
        failure: Failure,
    },
    /// A newer one took its place in the queue, or it was cancelled there.
    Skipped,
}

/// What can happen to a deployment.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Its turn has come.
    Begun(Beginning),
    Resolved,
    Fetched,
    Built,
    Pulled,
    Created,
    Started,
    Healthy,
    Switched {
        old: Option<DeploymentId>,
    },
    Drained,
    StepFailed(Failure),
    CancelRequested,
    /// A newer deployment of the same application waits.
    Superseded,
    Undone,
}

/// What a deployment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// A reference that has to be resolved, or the image of another release.
    Image,
    /// A repository.
    Git,
    /// A release that is known already.
    Release,
}

impl Deployment {
    /// What it begins with.
    pub fn beginning(&self) -> Beginning {
        match (&self.release, &self.image_of, &self.git) {
            (Some(_), ..) => Beginning::Release,
            // It was built already; the commit is for people.
            (None, Some(_), _) | (None, None, None) => Beginning::Image,
            (None, None, Some(_)) => Beginning::Git,
        }
    }
}

/// What there is to do in a state.
#[derive(Debug, PartialEq)]
pub enum Work {
    /// Reference to digest, configuration and release.
    Resolve,
    /// Revision to commit, and its files.
    Fetch,
    /// Files to image, configuration and release.
    Build,
    /// Layers in place.
    Pull,
    Create,
    Start,
    /// Probe, and let one request through the ingress to each new container.
    AwaitHealth,
    /// Routes and state in one transaction, then publish the routes.
    SwitchTraffic,
    /// Finish old requests, stop the old containers.
    Drain(Option<DeploymentId>),
    DestroyContainers,
    Nothing,
}

/// Why a state does not accept an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It reports a step that is over: harmless, to be ignored.
    Late,
    /// It asks to cancel what already serves.
    AlreadySwitched,
    /// It asks to cancel what is over.
    Finished,
}

impl State {
    /// What an event does to a state, or why it is refused.
    pub fn next(self, event: Event) -> Result<State, Refused> {
        use {Event as E, State as S};
        Ok(match (self, event) {
            (S::Waiting, E::Begun(Beginning::Image)) => S::Resolving,
            (S::Waiting, E::Begun(Beginning::Git)) => S::Fetching,
            (S::Waiting, E::Begun(Beginning::Release)) => S::Pulling,
            (S::Waiting, E::CancelRequested | E::Superseded) => S::Skipped,
            (S::Resolving, E::Resolved) => S::Pulling,
            (S::Fetching, E::Fetched) => S::Building,
            (S::Building, E::Built) => S::Pulling,
            (S::Pulling, E::Pulled) => S::Creating,
            (S::Creating, E::Created) => S::Starting,
            (S::Starting, E::Started) => S::Checking,
            (S::Checking, E::Healthy) => S::Switching,
            (S::Switching, E::Switched { old }) => S::Draining { old },
            (S::Draining { .. }, E::Drained) => S::Done,
            (S::Undoing { failure }, E::Undone) => S::Failed { failure },

            (state, E::StepFailed(failure)) if state.is_reversible() => S::Undoing { failure },
            (state, E::CancelRequested) if state.is_reversible() => S::Undoing { failure: state.cancelled() },

            (S::Draining { .. }, E::CancelRequested) => return Err(Refused::AlreadySwitched),
            (S::Done | S::Failed { .. } | S::Skipped, E::CancelRequested) => return Err(Refused::Finished),
            _ => return Err(Refused::Late),
        })
    }

    /// What there is to do in a state.
    pub fn work(&self) -> Work {
        match self {
            State::Waiting => Work::Nothing,
            State::Resolving => Work::Resolve,
            State::Fetching => Work::Fetch,
            State::Building => Work::Build,
            State::Pulling => Work::Pull,
            State::Creating => Work::Create,
            State::Starting => Work::Start,
            State::Checking => Work::AwaitHealth,
            State::Switching => Work::SwitchTraffic,
            State::Draining { old } => Work::Drain(*old),
            State::Undoing { .. } => Work::DestroyContainers,
            State::Done | State::Failed { .. } | State::Skipped => Work::Nothing,
        }
    }

    /// The word for people and for the database.
    pub fn name(&self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Resolving => "resolving",
            State::Fetching => "fetching",
            State::Building => "building",
            State::Pulling => "pulling",
            State::Creating => "creating",
            State::Starting => "starting",
            State::Checking => "checking",
            State::Switching => "switching",
            State::Draining { .. } => "draining",
            State::Done => "done",
            State::Undoing { .. } => "undoing",
            State::Failed { .. } => "failed",
            State::Skipped => "skipped",
        }
    }

    /// `DeploymentStatus` of API v3. A deployment that drains already serves, yet it is not over.
    pub fn status(&self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Done => "success",
            State::Failed { failure } if failure.code == FailureCode::Cancelled => "cancelled",
            State::Failed { .. } => "failed",
            State::Skipped => "skipped",
            _ => "inProgress",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_final(&self) -> bool {
        matches!(self, State::Done | State::Failed { .. } | State::Skipped)
    }

    /// Why it failed, or is about to have failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            State::Undoing { failure } | State::Failed { failure } => Some(failure),
            _ => None,
        }
    }

    /// The part of the deployment that this state belongs to, for the failure it may bring.
    pub fn phase(&self) -> Phase {
        match self {
            State::Waiting | State::Resolving => Phase::Resolve,
            State::Fetching => Phase::Checkout,
            State::Building => Phase::Build,
            State::Pulling => Phase::Pull,
            State::Creating | State::Starting => Phase::Start,
            State::Checking => Phase::Health,
            State::Undoing { failure } | State::Failed { failure } => failure.during,
            State::Switching | State::Draining { .. } | State::Done | State::Skipped => Phase::Route,
        }
    }

    fn is_reversible(&self) -> bool {
        use State::*;
        match self {
            Resolving | Fetching | Building | Pulling | Creating | Starting | Checking | Switching => true,
            Waiting | Draining { .. } | Done | Undoing { .. } | Failed { .. } | Skipped => false,
        }
    }

    fn cancelled(&self) -> Failure {
        let message = format!("The deployment was cancelled while it was {}.", self.name());
        Failure::new(self.phase(), FailureCode::Cancelled, message, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure::new(Phase::Pull, FailureCode::DiskFull, "No space left on the disk.", None)
    }

    fn all_states() -> Vec<State> {
        vec![
            State::Waiting,
            State::Resolving,
            State::Fetching,
            State::Building,
            State::Pulling,
            State::Creating,
            State::Starting,
            State::Checking,
            State::Switching,
            State::Draining { old: None },
            State::Done,
            State::Undoing { failure: failure() },
            State::Failed { failure: failure() },
            State::Skipped,
        ]
    }

    fn all_events() -> Vec<(&'static str, Event)> {
        vec![
            ("begun", Event::Begun(Beginning::Image)),
            ("begun git", Event::Begun(Beginning::Git)),
            ("begun*", Event::Begun(Beginning::Release)),
            ("resolved", Event::Resolved),
            ("fetched", Event::Fetched),
            ("built", Event::Built),
            ("pulled", Event::Pulled),
            ("created", Event::Created),
            ("started", Event::Started),
            ("healthy", Event::Healthy),
            ("switched", Event::Switched { old: None }),
            ("drained", Event::Drained),
            ("failed", Event::StepFailed(failure())),
            ("cancel", Event::CancelRequested),
            ("newer", Event::Superseded),
            ("undone", Event::Undone),
        ]
    }

    /// The whole policy as one table, to read and to review.
    const TABLE: &str = "
          begun     begun git begun*    resolved  fetched   built     pulled    created   started   healthy   switched  drained   failed    cancel    newer     undone
waiting   resolving fetching  pulling   .         .         .         .         .         .         .         .         .         .         skipped   skipped   .
resolving .         .         .         pulling   .         .         .         .         .         .         .         .         undoing   undoing   .         .
fetching  .         .         .         .         building  .         .         .         .         .         .         .         undoing   undoing   .         .
building  .         .         .         .         .         pulling   .         .         .         .         .         .         undoing   undoing   .         .
pulling   .         .         .         .         .         .         creating  .         .         .         .         .         undoing   undoing   .         .
creating  .         .         .         .         .         .         .         starting  .         .         .         .         undoing   undoing   .         .
starting  .         .         .         .         .         .         .         .         checking  .         .         .         undoing   undoing   .         .
checking  .         .         .         .         .         .         .         .         .         switching .         .         undoing   undoing   .         .
switching .         .         .         .         .         .         .         .         .         .         draining  .         undoing   undoing   .         .
draining  .         .         .         .         .         .         .         .         .         .         .         done      .         refused   .         .
done      .         .         .         .         .         .         .         .         .         .         .         .         .         over      .         .
undoing   .         .         .         .         .         .         .         .         .         .         .         .         .         .         .         failed
failed    .         .         .         .         .         .         .         .         .         .         .         .         .         over      .         .
skipped   .         .         .         .         .         .         .         .         .         .         .         .         .         over      .         .
";

    #[test]
    fn every_state_against_every_event() {
        let mut table = String::from("\n          ");
        for (name, _) in all_events() {
            table += &format!("{name:<10}");
        }
        table = table.trim_end().to_owned() + "\n";
        for state in all_states() {
            let mut row = format!("{:<10}", state.name());
            for (_, event) in all_events() {
                let cell = match state.clone().next(event) {
                    Ok(next) => next.name(),
                    Err(Refused::Late) => ".",
                    Err(Refused::AlreadySwitched) => "refused",
                    Err(Refused::Finished) => "over",
                };
                row += &format!("{cell:<10}");
            }
            table += row.trim_end();
            table += "\n";
        }
        assert_eq!(table, TABLE, "the policy changed:\n{table}");
    }

    #[test]
    fn a_failed_step_is_undone_and_keeps_its_cause() {
        let undoing = State::Pulling.next(Event::StepFailed(failure())).unwrap();
        assert_eq!(undoing.work(), Work::DestroyContainers);
        assert_eq!(undoing.next(Event::Undone), Ok(State::Failed { failure: failure() }));
    }

    #[test]
    fn a_cancelled_deployment_says_so_and_where_it_was() {
        let failed = State::Creating.next(Event::CancelRequested).unwrap().next(Event::Undone).unwrap();
        assert_eq!(failed.status(), "cancelled");
        assert_eq!(failed.phase(), Phase::Start);
    }
}
