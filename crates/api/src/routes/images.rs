//! Looking at an image without deploying it.

use model::image::Reference;
use model::{CompanyId, Credential, CredentialId, FailureCode};
use wire::{ExposedPort, ImageInspection, ImagePlatform, ImageReference, InspectImage};

use crate::call::{Answer, Call};
use crate::check;
use crate::error::ApiError;
use crate::platform::{ImageProblem, InspectedPlatform, Inspection, PlatformError};
use crate::routes::docker_registries;
use crate::state::ApiState;

pub async fn inspect(call: Call) -> Result<Answer, ApiError> {
    let (input, reference) = wanted(&call).map_err(|error| error.with_code("image_reference_invalid"))?;
    let credential = known_credential(&call, input.docker_registry_credential_id.as_deref()).await?;
    if let Some(credential) = &credential {
        refuse_misfit(credential, &reference)?;
    }
    let credential = credential.map(|credential| credential.id);
    let asked = call.state.platform.inspect(call.company(), &reference, credential);
    let result = tokio::time::timeout(call.state.registry_wait * 2, asked)
        .await
        .unwrap_or_else(|_| Err(too_slow(&reference)));
    let inspection = result.map_err(|error| explain(error, &reference))?;
    Answer::ok(&show(input.docker_image, &reference, inspection)?)
}

/// What to look at. The API file knows one code for a body without a usable reference.
fn wanted(call: &Call) -> Result<(InspectImage, Reference), ApiError> {
    let input: InspectImage = call.json()?;
    check::length("docker_image", &input.docker_image, 1, 512)?;
    let reference = check::reference(&input.docker_image)?;
    Ok((input, reference))
}

/// Refuses an image that certainly cannot run here. A registry that is away or refuses does not stop anything:
/// the deployment will say so.
pub async fn refuse_unusable(
    state: &ApiState,
    company: CompanyId,
    reference: &Reference,
    credential: Option<CredentialId>,
) -> Result<(), ApiError> {
    let asked = state.platform.inspect(company, reference, credential);
    match tokio::time::timeout(state.registry_wait, asked).await {
        Ok(Err(PlatformError::Image(problem))) if problem.code == FailureCode::PlatformMissing => {
            Err(explain(PlatformError::Image(problem), reference))
        }
        _ => Ok(()),
    }
}

fn explain(error: PlatformError, reference: &Reference) -> ApiError {
    match error {
        PlatformError::Image(problem) => {
            ApiError::image(&problem, &reference.to_string(), Some(reference.host()))
        }
        PlatformError::NotFound(_) => no_such_credential(),
        other => other.into(),
    }
}

/// Refuses a credential of another registry. It would not be sent to the image's one.
pub fn refuse_misfit(credential: &Credential, reference: &Reference) -> Result<(), ApiError> {
    if credential.fits(reference.host()) {
        return Ok(());
    }
    let own = credential.host.as_deref().unwrap_or("Amazon ECR");
    let problem = ImageProblem {
        code: FailureCode::CredentialHostMismatch,
        message: format!(
            "The credential {:?} is for {own}, the image is at {}.",
            credential.name,
            reference.host()
        ),
        hint: Some(format!("Pick a credential for {}, or none.", reference.host())),
        platforms: Vec::new(),
        retry_after: None,
    };
    Err(ApiError::image(&problem, &reference.to_string(), Some(reference.host())))
}

/// The credential that was asked for. An image is never looked at without it.
async fn known_credential(call: &Call, text: Option<&str>) -> Result<Option<Credential>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let id = text.parse().map_err(|_| no_such_credential())?;
    docker_registries::pickable(call, id).await?.ok_or_else(no_such_credential).map(Some)
}

fn no_such_credential() -> ApiError {
    ApiError::not_found("registry credential")
}

fn too_slow(reference: &Reference) -> PlatformError {
    PlatformError::Image(Box::new(ImageProblem {
        code: FailureCode::RegistryTimeout,
        message: format!("{} did not answer in time.", reference.host()),
        hint: Some("Try again, or check that this machine reaches the registry.".into()),
        platforms: Vec::new(),
        retry_after: None,
    }))
}

fn show(
    docker_image: String,
    reference: &Reference,
    inspection: Inspection,
) -> Result<ImageInspection, ApiError> {
    let config = inspection.config;
    let chosen = inspection
        .platforms
        .iter()
        .find(|platform| platform.manifest == inspection.manifest)
        .ok_or_else(|| ApiError::internal(&"an inspection whose manifest is none of its platforms"))?;
    let platform = ImagePlatform { size: Some(inspection.size), ..show_platform(chosen) };
    let tag = match (reference.tag(), reference.digest()) {
        (None, None) => Some("latest"),
        (tag, _) => tag,
    };
    let named = format!("{}/{}", reference.host(), reference.repository());
    let labelled = tag.map_or(named.clone(), |tag| format!("{named}:{tag}"));
    let words = |words: Vec<String>| Some(words).filter(|words| !words.is_empty());
    Ok(ImageInspection {
        docker_image,
        reference: ImageReference {
            canonical: format!("{labelled}@{}", inspection.digest),
            registry: reference.host().to_owned(),
            repository: reference.repository().to_owned(),
            tag: tag.map(str::to_owned),
            digest: inspection.digest.to_string(),
        },
        digest: inspection.digest.to_string(),
        media_type: inspection.media_type,
        platforms: inspection.platforms.iter().map(show_platform).collect(),
        platform,
        size: inspection.size,
        exposed_ports: config.exposed_ports.into_iter().filter_map(show_port).collect(),
        env_names: config.env.into_iter().map(|(name, _)| name).collect(),
        entrypoint: words(config.entrypoint),
        cmd: words(config.cmd),
        user: Some(config.user).filter(|user| !user.is_empty()),
        licenses: licenses(config.labels.get("org.opencontainers.image.licenses")),
        labels: config.labels,
        created: config.created.filter(|text| check::moment("created", text).is_ok()),
    })
}

fn show_platform(inspected: &InspectedPlatform) -> ImagePlatform {
    ImagePlatform {
        os: inspected.platform.os.clone(),
        architecture: inspected.platform.architecture.clone(),
        variant: inspected.platform.variant.clone(),
        digest: inspected.manifest.to_string(),
        size: inspected.size,
        is_supported: inspected.platform.is_supported(),
    }
}

fn show_port(port: model::image::ExposedPort) -> Option<ExposedPort> {
    let is_known = port.port > 0 && matches!(port.protocol.as_str(), "tcp" | "udp" | "sctp");
    is_known.then_some(ExposedPort { port: port.port, protocol: port.protocol })
}

/// Splits an SPDX expression at its operators.
fn licenses(expression: Option<&String>) -> Vec<String> {
    let is_operator = |word: &&str| matches!(*word, "AND" | "OR" | "WITH");
    let words = expression
        .map(String::as_str)
        .unwrap_or_default()
        .split(|c: char| c.is_whitespace() || "()".contains(c));
    words.filter(|word| !word.is_empty()).filter(|word| !is_operator(word)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn licenses_are_split_at_operators() {
        let expression = "Apache-2.0 WITH LLVM-exception OR (MIT AND BSD-2-Clause)".to_owned();
        assert_eq!(
            super::licenses(Some(&expression)),
            ["Apache-2.0", "LLVM-exception", "MIT", "BSD-2-Clause"]
        );
        assert!(super::licenses(None).is_empty());
    }
}
