//! Which login a pull uses, what its outcome says about the credential, and which credential would have helped.
//!
//! An application's own credential is used and no other; without one the pull is anonymous. A secret is unsealed
//! for the one request that needs it and goes no further than the image store.

use image::{ImageError, Login, Verdict};
use model::image::Reference;
use model::{CompanyId, Credential, CredentialId, CredentialStatus, Failure, FailureCode, Phase, Timestamp};
use store::StoreError;

use crate::error::DeployError;
use crate::platform::Platform;

/// A credential with its secret, for one pull.
pub(crate) struct Chosen {
    pub credential: Credential,
    pub login: Login,
}

/// What a registry answered to a login.
#[derive(Clone, Debug)]
pub struct LoginCheck {
    pub verdict: Verdict,
    pub at: Timestamp,
}

/// Why the chosen credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(
        "the credential {name:?} is for {own}, and the image is at {host}; a credential is sent to no host but its own"
    )]
    OtherHost { name: String, own: String, host: String },
    /// An Amazon ECR credential that names no registry has nobody to ask.
    #[error("the credential {name:?} names no registry host, so there is none to ask")]
    NoHost { name: String },
    #[error("the chosen credential is gone")]
    Gone,
    #[error(transparent)]
    Store(StoreError),
}

impl LoginError {
    /// The stable word for the cause.
    pub fn code(&self) -> FailureCode {
        match self {
            LoginError::OtherHost { .. } | LoginError::NoHost { .. } => FailureCode::CredentialHostMismatch,
            LoginError::Gone => FailureCode::CredentialRejected,
            LoginError::Store(_) => FailureCode::InternalError,
        }
    }

    /// What to do now.
    pub fn hint(&self) -> &'static str {
        match self {
            LoginError::OtherHost { .. } => {
                "Choose a credential of the image's registry, or none for a public image."
            }
            LoginError::NoHost { .. } => {
                "Give the credential a host, such as ACCOUNT.dkr.ecr.REGION.amazonaws.com."
            }
            LoginError::Gone => "Choose another credential for the application, or none for a public image.",
            LoginError::Store(_) => "Run `darsena doctor` on the server, then try again.",
        }
    }

    /// The failure of a deployment.
    pub(crate) fn failure(&self, phase: Phase) -> Failure {
        let mut message = self.to_string();
        message.replace_range(..1, "T");
        message.push('.');
        Failure::new(phase, self.code(), message, Some(self.hint()))
    }
}

impl Platform {
    /// The login for a reference with the credential that was chosen for it; `None` means anonymous.
    pub(crate) async fn login_for(
        &self,
        company: CompanyId,
        credential: Option<CredentialId>,
        reference: &Reference,
    ) -> Result<Option<Chosen>, LoginError> {
        let Some(id) = credential else { return Ok(None) };
        let found = self.store().company(company).credential_with_secret(id).await;
        let (credential, secret) = found.map_err(gone)?;
        if !credential.fits(reference.host()) {
            return Err(LoginError::OtherHost {
                own: credential.host.unwrap_or_else(|| "Amazon ECR".to_owned()),
                name: credential.name,
                host: reference.host().to_owned(),
            });
        }
        let login = Login::new(credential.username.as_str(), secret.expose());
        Ok(Some(Chosen { credential, login }))
    }

    /// Notes that a pull used the credential, and what the registry said of it, if it said anything.
    pub(crate) async fn note_use(&self, credential: &Credential, status: Option<CredentialStatus>) {
        let now = Timestamp::now();
        let company = self.store().company(credential.company);
        let mut noted = company.credential_used(credential.id, now).await;
        if let (Ok(()), Some(status)) = (&noted, status) {
            let checked = company.credential_checked(credential.id, status, now, credential.updated_at).await;
            noted = checked.map(drop);
        }
        if let Err(error) = noted {
            tracing::warn!(credential = %credential.id, %error, "its use cannot be noted");
        }
    }

    /// For an image that an anonymous pull did not get: the credentials that fit its host. With a credential, and
    /// for every other cause, `None`.
    pub(crate) async fn suggestion(
        &self,
        company: CompanyId,
        error: &ImageError,
        reference: &Reference,
    ) -> Option<String> {
        use FailureCode::{ImageAccessDenied, ImageNotFound, RegistryUnauthorized};
        if reference.is_local()
            || !matches!(error.code(), RegistryUnauthorized | ImageAccessDenied | ImageNotFound)
        {
            return None;
        }
        let known = self.store().company(company).all_credentials().await.unwrap_or_default();
        let fitting: Vec<_> = known.iter().filter(|credential| credential.fits(reference.host())).collect();
        Some(suggestion_words(reference.host(), &fitting))
    }

    /// Tries a login that is not stored.
    pub async fn check_login(
        &self,
        company: CompanyId,
        host: &str,
        username: &str,
        secret: &str,
    ) -> Result<LoginCheck, DeployError> {
        let verdict =
            self.images().verify(host, &Login::new(username, secret), company).await.map_err(plain)?;
        Ok(LoginCheck { verdict, at: Timestamp::now() })
    }

    /// Tries a stored login and stores the result, unless the login changed meanwhile.
    pub async fn verify_credential(
        &self,
        company: CompanyId,
        id: CredentialId,
    ) -> Result<LoginCheck, DeployError> {
        let found = self.store().company(company).credential_with_secret(id).await;
        let (credential, secret) = found.map_err(|error| match error {
            StoreError::NotFound => DeployError::NotFound("registry credential"),
            other => DeployError::Store(other),
        })?;
        let Some(host) = &credential.host else {
            return Err(LoginError::NoHost { name: credential.name }.into());
        };
        let login = Login::new(credential.username.as_str(), secret.expose());
        let verdict = self.images().verify(host, &login, company).await.map_err(plain)?;
        let status = match &verdict {
            Verdict::Accepted => CredentialStatus::Valid,
            Verdict::Rejected { .. } | Verdict::ScopeMissing { .. } => CredentialStatus::Rejected,
        };
        let at = Timestamp::now();
        let checked =
            self.store().company(company).credential_checked(id, status, at, credential.updated_at).await;
        checked.map_err(DeployError::Store)?;
        Ok(LoginCheck { verdict, at })
    }
}

fn plain(error: ImageError) -> DeployError {
    DeployError::Image { error, hint: None }
}

fn gone(error: StoreError) -> LoginError {
    match error {
        StoreError::NotFound => LoginError::Gone,
        other => LoginError::Store(other),
    }
}

/// Names what would help: the credentials that fit, or that one can be made.
fn suggestion_words(host: &str, fitting: &[&Credential]) -> String {
    let names: Vec<_> = fitting.iter().map(|credential| format!("{:?}", credential.name)).collect();
    match names.as_slice() {
        [] => format!(
            "Check the spelling. If the image is private, create a credential for {host} (`darsena registries create`) \
             and choose it for the application."
        ),
        [one] => format!(
            "Check the spelling. If the image is private, choose the credential {one}, which is for {host}."
        ),
        several => format!(
            "Check the spelling. If the image is private, choose one of the credentials for {host}: {}.",
            several.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::RegistryKind;

    fn named(name: &str) -> Credential {
        Credential {
            id: CredentialId::new(),
            company: CompanyId::new(),
            name: name.into(),
            registry: RegistryKind::Github,
            host: Some("ghcr.io".into()),
            username: "bot".into(),
            status: CredentialStatus::Valid,
            last_verified_at: None,
            last_used_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_refused_anonymous_pull_is_told_what_would_help() {
        let (team, mine) = (named("team"), named("mine"));
        assert!(suggestion_words("ghcr.io", &[]).contains("create a credential for ghcr.io"));
        assert!(suggestion_words("ghcr.io", &[&team]).contains("choose the credential \"team\""));
        assert!(suggestion_words("ghcr.io", &[&team, &mine]).ends_with("ghcr.io: \"team\", \"mine\"."));
    }

    #[test]
    fn a_credential_of_another_host_is_refused_by_name() {
        let error =
            LoginError::OtherHost { name: "team".into(), own: "ghcr.io".into(), host: "docker.io".into() };
        let failure = error.failure(Phase::Resolve);
        assert_eq!(failure.code, FailureCode::CredentialHostMismatch);
        assert!(
            failure
                .message
                .starts_with("The credential \"team\" is for ghcr.io, and the image is at docker.io")
        );
    }
}
