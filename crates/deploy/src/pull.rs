//! Asking registries: every question of a deployment or an inspection goes through here, with the login that was
//! chosen for it and no other. Callers keep the sweep away until what they got is written down.

use std::path::Path;

use image::{ImageError, LayerState, Login, Progress, Resolved};
use model::image::{Digest, Reference, RootFs};
use model::{CompanyId, CredentialId, CredentialStatus, Failure, FailureCode, Phase, Release};

use crate::error::DeployError;
use crate::login::{Chosen, LoginError};
use crate::platform::Platform;

/// Why an image was not had.
pub(crate) enum PullError {
    Login(LoginError),
    /// The hint replaces the image's own when something better is known.
    Image {
        error: ImageError,
        hint: Option<String>,
    },
}

impl PullError {
    /// With the hint that the image store knows.
    pub(crate) fn plain(error: ImageError) -> Self {
        PullError::Image { error, hint: None }
    }

    pub(crate) fn failure(&self, phase: Phase) -> Failure {
        match self {
            PullError::Login(error) => error.failure(phase),
            PullError::Image { error, hint } => {
                let hint = hint.clone().or_else(|| error.hint());
                Failure::new(error.phase(), error.code(), sentence(&error.to_string()), hint.as_deref())
            }
        }
    }
}

impl From<PullError> for DeployError {
    fn from(error: PullError) -> Self {
        match error {
            PullError::Login(error) => DeployError::Login(error),
            PullError::Image { error, hint } => DeployError::Image { error, hint },
        }
    }
}

impl Platform {
    /// The image as its registry describes it.
    pub(crate) async fn resolve_image(
        &self,
        company: CompanyId,
        credential: Option<CredentialId>,
        reference: &Reference,
    ) -> Result<Resolved, PullError> {
        let chosen = self.login_for(company, credential, reference).await.map_err(PullError::Login)?;
        let resolved = self.images().resolve(reference, login(chosen.as_ref()), company).await;
        self.told(company, chosen.as_ref(), reference, resolved, |resolved| resolved.with_login).await
    }

    /// A resolved image in a folder, as an OCI layout.
    pub(crate) async fn export_image(
        &self,
        company: CompanyId,
        credential: Option<CredentialId>,
        reference: &Reference,
        manifest: &Digest,
        into: &Path,
    ) -> Result<(), PullError> {
        let chosen = self.login_for(company, credential, reference).await.map_err(PullError::Login)?;
        let exported = self.images().export(manifest, reference, login(chosen.as_ref()), company, into).await;
        // Whether the login was wanted is not known; resolving it said whether it is good.
        self.told(company, chosen.as_ref(), reference, exported, |()| false).await
    }

    /// A release's layers in place. Layers that are here need no login and ask no registry, so a credential that
    /// is gone is no reason to refuse an old release.
    pub(crate) async fn fetch_layers(
        &self,
        release: &Release,
        reference: &Reference,
        progress: &Progress,
    ) -> Result<RootFs, PullError> {
        let chosen = match self.login_for(release.company, release.credential, reference).await {
            Ok(chosen) => chosen,
            Err(error) => return self.layers_here(release, error).await,
        };
        let login = login(chosen.as_ref());
        let fetched =
            self.images().fetch(&release.manifest, reference, login, release.company, progress).await;
        if fetched.is_ok() && !progress.snapshot().iter().any(|layer| layer.state == LayerState::Done) {
            // Nobody was asked, so nothing was learnt about the credential.
            return fetched.map_err(PullError::plain);
        }
        // Whether the login was wanted for a layer is not known; resolving it said whether it is good.
        self.told(release.company, chosen.as_ref(), reference, fetched, |_| false).await
    }

    /// The release's layers without any registry, or else why there is no login for it.
    async fn layers_here(&self, release: &Release, error: LoginError) -> Result<RootFs, PullError> {
        self.rootfs(release).await?.ok_or(PullError::Login(error))
    }

    /// The release's root filesystem from what its company has proved to have; `None` when a part is not here.
    pub(crate) async fn rootfs(&self, release: &Release) -> Result<Option<RootFs>, PullError> {
        let (images, manifest, owner) = (self.images().clone(), release.manifest.clone(), release.company);
        // It reads the layers' folders, which may take a while.
        match tokio::task::spawn_blocking(move || images.rootfs_for(&manifest, owner)).await {
            Ok(rootfs) => rootfs.map_err(PullError::plain),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Learns from the outcome about the credential, and adds to a refusal what would help.
    async fn told<T>(
        &self,
        company: CompanyId,
        chosen: Option<&Chosen>,
        reference: &Reference,
        outcome: Result<T, ImageError>,
        login_accepted: impl FnOnce(&T) -> bool,
    ) -> Result<T, PullError> {
        if let Some(Chosen { credential, .. }) = chosen {
            let status = match &outcome {
                Ok(value) => login_accepted(value).then_some(CredentialStatus::Valid),
                // A network that is down says nothing about a login.
                Err(error) => {
                    (error.code() == FailureCode::CredentialRejected).then_some(CredentialStatus::Rejected)
                }
            };
            self.note_use(credential, status).await;
        }
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => {
                let hint = match chosen {
                    Some(_) => None,
                    None => self.suggestion(company, &error, reference).await,
                };
                Err(PullError::Image { error, hint })
            }
        }
    }
}

fn login(chosen: Option<&Chosen>) -> Option<&Login> {
    chosen.map(|chosen| &chosen.login)
}

/// Error texts are lower case without full stop; a failure's message is a sentence. A name at its beginning, such as
/// `https://git.example.com/acme/shop`, is not touched.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let word = text.split(' ').next().unwrap_or_default();
    match text.chars().next() {
        None => String::new(),
        Some(first) if word.chars().all(char::is_lowercase) => {
            format!("{}{}.", first.to_uppercase(), &text[first.len_utf8()..])
        }
        Some(_) => format!("{text}."),
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_name_at_the_beginning_stays_as_it_is() {
        for (text, expected) in [
            ("the registry refused", "The registry refused."),
            ("It is one.", "It is one."),
            ("https://git.example.com/acme/shop: no answer", "https://git.example.com/acme/shop: no answer."),
            ("ghcr.io/acme/shop has no tag 2", "ghcr.io/acme/shop has no tag 2."),
            ("", ""),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }
}
