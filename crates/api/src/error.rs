//! What a client is told when something is refused or fails: `{message, status, data: {code, message}}`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use model::FailureCode;
use serde_json::{Map, Value, json};
use store::StoreError;
use uuid::Uuid;

use crate::platform::{GitProblem, ImageProblem, PlatformError};

/// How long to wait for whoever holds the database, such as a backup.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// An answer that is not a success. It holds nothing that a client must not see.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Option<String>,
    extra: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with a stable code and one sentence for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, detail: None, extra: Map::new(), retry_after: None }
    }

    /// Adds the detail or the next step.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a sentence to the detail.
    pub fn and(mut self, sentence: &str) -> Self {
        self.detail = match self.detail.filter(|detail| !detail.is_empty()) {
            Some(detail) => Some(format!("{} {sentence}", self::sentence(&detail))),
            None => Some(sentence.to_owned()),
        };
        self
    }

    /// The same words under another code.
    pub fn with_code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    /// A rule of the resource is broken.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A field does not fit the schema.
    pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        let mut error = Self::bad_request("validation_failed", format!("The field {field} is not valid."));
        error.detail = Some(format!("{field}: {problem}"));
        error.extra.insert("field".into(), json!(field));
        error
    }

    /// No such record, or none that this key may see.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("No such {what}."))
    }

    /// The state of a record does not allow it.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// One text for every reason, so that a guesser learns nothing.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "An API key is needed.")
            .with_detail("The key in the Authorization header is missing, wrong, expired or switched off.")
    }

    pub fn forbidden(needed: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This API key may not do that.")
            .with_detail(format!("It needs {needed}."))
    }

    /// `of` ends the sentence "Too many requests".
    pub fn too_many_requests(of: &str, wait: Duration) -> Self {
        let message = format!("Too many requests {of}.");
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        error.retry_after = Some(wait);
        error
    }

    /// A fault of the server: the client gets an id, the log has the cause under it.
    pub fn internal(cause: &(dyn std::fmt::Display + Sync)) -> Self {
        let id = Uuid::new_v4();
        tracing::error!(%id, %cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on the server.")
            .with_detail(format!("The server's log has the cause under {id}."))
    }

    /// The server did not finish in the time that clients wait.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "The server did not answer in time.")
            .with_detail("Try again; what the request asked for may have happened.")
    }

    /// The image cannot be used. `image` is the reference that failed, `host` its registry.
    pub fn image(problem: &ImageProblem, image: &str, host: Option<&str>) -> Self {
        let mut error = Self::of_problem(problem);
        error.extra.insert("docker_image".into(), json!(image));
        if let Some(host) = host {
            error.extra.insert("registry_host".into(), json!(host));
        }
        error
    }

    /// The registry `host` was asked about a login only, no image.
    pub fn login(problem: &ImageProblem, host: Option<&str>) -> Self {
        let mut error = Self::of_problem(problem);
        if let Some(host) = host {
            error.extra.insert("registry_host".into(), json!(host));
        }
        error
    }

    fn of_problem(problem: &ImageProblem) -> Self {
        let mut error =
            Self::new(image_status(problem.code), problem.code.as_str(), sentence(&problem.message));
        error.detail = problem.hint.clone();
        error.retry_after = problem.retry_after;
        if problem.code == FailureCode::PlatformMissing {
            error.extra.insert("available_platforms".into(), json!(problem.platforms));
        }
        error
    }

    /// The repository at `repo_url` cannot be used.
    pub fn git(problem: &GitProblem, repo_url: &str) -> Self {
        let mut error = Self::from(PlatformError::Git(Box::new(problem.clone())));
        error.extra.insert("repo_url".into(), json!(repo_url));
        error
    }

    /// Applications use this credential.
    pub fn credential_in_use(code: &'static str, message: &str, users: Vec<wire::CredentialUser>) -> Self {
        let mut error = Self::conflict(code, message);
        error.extra.insert("applications".into(), json!(users));
        error
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// The table of `ImageErrorCode` in the API file. Codes that an inspection cannot have are faults of ours.
fn image_status(code: FailureCode) -> StatusCode {
    use FailureCode as C;
    match code {
        C::ImageReferenceInvalid => StatusCode::BAD_REQUEST,
        C::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        C::RegistryUnreachable | C::RegistryTlsInvalid | C::RegistryError => StatusCode::BAD_GATEWAY,
        C::RegistryTimeout => StatusCode::GATEWAY_TIMEOUT,
        C::CredentialHostMismatch
        | C::CredentialRejected
        | C::CredentialScopeMissing
        | C::RegistryUnauthorized
        | C::ImageAccessDenied
        | C::ImageNotFound
        | C::TagNotFound
        | C::DigestNotFound
        | C::ManifestInvalid
        | C::ManifestUnsupported
        | C::ConfigInvalid
        | C::PlatformMissing => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The table of `GitErrorCode` in the API file. Codes that looking at a repository cannot have are faults of ours.
fn git_status(code: FailureCode) -> StatusCode {
    use FailureCode as C;
    match code {
        C::GitUrlInvalid => StatusCode::BAD_REQUEST,
        C::GitUnreachable => StatusCode::BAD_GATEWAY,
        C::Timeout => StatusCode::GATEWAY_TIMEOUT,
        C::GitUnauthorized
        | C::GitCredentialMismatch
        | C::GitHostKeyChanged
        | C::RepositoryNotFound
        | C::RevisionNotFound
        | C::RepositoryTooLarge
        | C::RepositoryInvalid
        | C::DockerfileNotFound
        | C::DockerfileInvalid => StatusCode::UNPROCESSABLE_ENTITY,
        C::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<PlatformError> for ApiError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::NotFound(what) => Self::not_found(what),
            PlatformError::DeploymentInProgress => {
                Self::bad_request("deployment_in_progress", "A deployment of this application is under way.")
                    .with_detail("Wait until it is over, or cancel it.")
            }
            PlatformError::DeploymentFinished => {
                Self::conflict("deployment_finished", "This deployment is over; there is nothing to cancel.")
            }
            PlatformError::AlreadyServing => Self::conflict(
                "deployment_finished",
                "This deployment serves already and cannot be cancelled.",
            )
            .with_detail("Roll back to the deployment before it."),
            PlatformError::NoSuccessfulDeployment => Self::bad_request(
                "no_successful_deployment",
                "There is no successful deployment to go back to.",
            ),
            PlatformError::Refused(message) => Self::bad_request("refused", message),
            PlatformError::Image(problem) => Self::of_problem(&problem),
            PlatformError::Git(problem) => {
                let message = sentence(&problem.message);
                Self {
                    detail: problem.hint,
                    ..Self::new(git_status(problem.code), problem.code.as_str(), message)
                }
            }
            PlatformError::Store(error) => error.into(),
            PlatformError::Internal(cause) => Self::internal(&chain(cause.as_ref())),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found("record"),
            StoreError::NameTaken => Self::bad_request("name_taken", "This name is taken.")
                .with_detail("Choose another; names are unique on the whole installation."),
            StoreError::KeyTaken => {
                Self::bad_request("key_taken", "This application has a variable with this name already.")
                    .with_detail("Change that one instead.")
            }
            StoreError::DeploymentInProgress => PlatformError::DeploymentInProgress.into(),
            StoreError::RequestKeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was sent with another request before.",
            )
            .with_detail(
                "Nothing was done. Send a new key with each new request, and the same with its repetition.",
            ),
            StoreError::DiskFull => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "disk_full",
                "The disk of the server is full.",
            )
            .with_detail(
                "Nothing was changed. Make room and try again; what is there can be read and removed.",
            ),
            StoreError::Busy => {
                let message = "Another process holds the database of the server.";
                let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_busy", message)
                    .with_detail("Nothing was changed. Try again.");
                error.retry_after = Some(BUSY_WAIT);
                error
            }
            other => Self::internal(&chain(&other)),
        }
    }
}

/// An error with all its causes, for the log.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// An error text of the parts below, lower case without full stop, as a sentence for people. A name at its beginning,
/// such as `ghcr.io/acme/shop`, is not touched.
fn sentence(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let mut sentence = text.to_owned();
    if is_word {
        sentence[..1].make_ascii_uppercase();
    }
    if !text.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut data = self.extra;
        data.insert("code".into(), json!(self.code));
        if let Some(detail) = self.detail {
            data.insert("message".into(), json!(detail));
        }
        let body = json!({ "message": self.message, "status": self.status.as_u16(), "data": data });
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            // Rounded up, so that a client which obeys is not refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn an_error_text_becomes_a_sentence() {
        for (text, expected) in [
            ("resolving nginx failed: no such tag", "Resolving nginx failed: no such tag."),
            ("ghcr.io/acme/shop has no tag 2", "ghcr.io/acme/shop has no tag 2."),
            ("It is one already.", "It is one already."),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }
}
