//! How a repository is reached: its address, and the login that was chosen for it.
//!
//! The chosen credential is used and no other; without one the repository is asked anonymously. A secret is unsealed
//! for the one question that needs it.

use build::Secret;
use build::git::{Access, Remote};
use model::git::Scheme;
use model::{
    CompanyId, Failure, FailureCode, GitCredential, GitCredentialId, GitLogin, GitUrl, Phase, Timestamp,
};
use store::StoreError;

use crate::platform::Platform;
use crate::steps::store_failure;

const PHASE: Phase = Phase::Checkout;

impl Platform {
    /// The repository at an address with the credential that was chosen for it; `None` means anonymously.
    pub(crate) async fn remote(
        &self,
        company: CompanyId,
        url: &GitUrl,
        credential: Option<GitCredentialId>,
    ) -> Result<Remote, Failure> {
        let url = url.clone();
        let Some(id) = credential else { return Ok(Remote { url, access: Access::Anonymous }) };
        let found = self.store().company(company).git_credential_with_secret(id).await;
        let (credential, secret) = found.map_err(gone)?;
        if !credential.fits(&url) {
            return Err(mismatch(&credential, &url));
        }
        let access = match credential.login {
            GitLogin::Token { username } => Access::Token { username, token: Secret::new(secret.expose()) },
            GitLogin::DeployKey { host_keys, .. } => {
                Access::Key { private_key: Secret::new(secret.expose()), host_keys }
            }
        };
        Ok(Remote { url, access })
    }

    /// Notes that a checkout used the credential.
    pub(crate) async fn note_git_use(&self, company: CompanyId, credential: Option<GitCredentialId>) {
        let Some(id) = credential else { return };
        if let Err(error) = self.store().company(company).git_credential_used(id, Timestamp::now()).await {
            tracing::warn!(credential = %id, %error, "its use cannot be noted");
        }
    }
}

/// An address that was stored, and checked before that.
pub(crate) fn address(url: &str) -> Result<GitUrl, Failure> {
    GitUrl::parse(url).map_err(|error| {
        let message = format!("{url:?} is no address of a repository: {error}.");
        Failure::new(
            PHASE,
            FailureCode::GitUrlInvalid,
            message,
            Some("Correct the application's repository."),
        )
    })
}

fn gone(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound => {
            let hint = "Choose another credential for the application, or none for a public repository.";
            let words = "The chosen Git credential is gone.";
            Failure::new(PHASE, FailureCode::GitUnauthorized, words, Some(hint))
        }
        other => store_failure(PHASE, &other),
    }
}

fn mismatch(credential: &GitCredential, url: &GitUrl) -> Failure {
    let way = |scheme: Scheme| match scheme {
        Scheme::Https => "https",
        Scheme::Http => "plain http",
        Scheme::Ssh => "ssh",
    };
    let own = match credential.login {
        GitLogin::Token { .. } => Scheme::Https,
        GitLogin::DeployKey { .. } => Scheme::Ssh,
    };
    let message = format!(
        "The Git credential {:?} is for {} over {}, and the repository is at {} over {}; a credential is sent nowhere \
         but to its own server.",
        credential.name,
        credential.host,
        way(own),
        url.host(),
        way(url.scheme()),
    );
    let hint = "Choose a credential of the repository's server, correct the address, or choose none for a public \
                repository.";
    Failure::new(PHASE, FailureCode::GitCredentialMismatch, message, Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_of_another_server_or_scheme_is_refused_by_name() {
        let credential = GitCredential {
            id: GitCredentialId::new(),
            company: CompanyId::new(),
            name: "team".into(),
            host: "git.example".into(),
            login: GitLogin::Token { username: "bot".into() },
            last_used_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let failure = |url: &str| {
            let url = GitUrl::parse(url).unwrap();
            assert!(!credential.fits(&url), "{url}");
            mismatch(&credential, &url).message
        };
        assert!(
            failure("https://other.example/shop").starts_with(
                "The Git credential \"team\" is for git.example over https, and the repository is at other.example"
            )
        );
        assert!(failure("ssh://git@git.example/shop").contains("is at git.example over ssh;"));
        assert!(failure("http://git.example/shop").contains("over plain http;"));
    }
}
