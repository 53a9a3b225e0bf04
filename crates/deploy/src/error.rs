//! Why a request was not done, by what the caller can do about it.

use engine::EngineError;
use image::ImageError;
use ingress::IngressError;
use model::Failure;
use store::StoreError;

use crate::login::LoginError;

#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// No such record in this company.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It has to wait until the running deployment is over.
    #[error("a deployment of this application is under way")]
    InProgress,
    /// Nothing is left to cancel.
    #[error("this deployment is over")]
    Finished,
    /// It serves already and can only go forward.
    #[error("this deployment already serves; deploy or roll back to replace it")]
    AlreadyServing,
    /// Nothing to go back to.
    #[error("there is no successful deployment to go back to")]
    NoSuccess,
    /// What it is or where it stands does not allow it; what, and what to do instead.
    #[error("{0}")]
    Refused(String),
    /// The image cannot be used. The hint, when there is one, is better than the error's own.
    #[error("{error}")]
    Image { error: ImageError, hint: Option<String> },
    /// The chosen credential cannot be used.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The repository cannot be used.
    #[error("{}", .0.message)]
    Repository(Box<Failure>),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Ingress(#[from] IngressError),
}

impl From<Failure> for DeployError {
    fn from(failure: Failure) -> Self {
        DeployError::Repository(Box::new(failure))
    }
}
