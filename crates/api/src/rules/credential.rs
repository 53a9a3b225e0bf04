//! Registry credentials: what a request makes of one, which host one is for, and how one is shown.
//!
//! A stored secret leaves this machine for the registry that it was given for, and for no other: whoever changes the
//! registry, the host or the user name has to know the secret.

use model::image::Reference;
use model::{AppId, CompanyId, Credential, CredentialId, CredentialStatus, RegistryKind, Timestamp};
use wire::{
    CreateDockerRegistry, DockerRegistry, DockerRegistryDetails, DockerRegistryStatus, Secret,
    UpdateDockerRegistry,
};

use crate::check;
use crate::error::ApiError;

/// A host name of 253 characters, a colon and a port.
const LONGEST_HOST: usize = 259;
const LONGEST_SECRET: usize = 16_384;

/// A new credential and its secret, not yet checked at the registry.
pub fn new(company: CompanyId, input: CreateDockerRegistry) -> Result<(Credential, Secret), ApiError> {
    check::name("name", &input.name, 1, 255)?;
    check_username(&input.username)?;
    let registry = input.registry.map_or(RegistryKind::DockerHub, kind_of);
    let now = Timestamp::now();
    let credential = Credential {
        id: CredentialId::new(),
        company,
        name: input.name,
        registry,
        host: host_for(registry, input.host.as_deref())?,
        username: input.username,
        status: CredentialStatus::Unverified,
        last_verified_at: None,
        last_used_at: None,
        created_at: now,
        updated_at: now,
    };
    Ok((credential, usable_secret(input.secret)?))
}

/// The credential with a change made, and the new secret when there is one. What is sent again as it was is no change.
pub fn changed(
    known: &Credential,
    input: UpdateDockerRegistry,
) -> Result<(Credential, Option<Secret>), ApiError> {
    let mut credential = known.clone();
    if let Some(name) = input.name {
        check::name("name", &name, 1, 255)?;
        credential.name = name;
    }
    if let Some(username) = input.username {
        check_username(&username)?;
        credential.username = username;
    }
    if let Some(kind) = input.registry {
        credential.registry = kind_of(kind);
    }
    if input.host.is_some() || credential.registry != known.registry {
        credential.host = host_for(credential.registry, input.host.as_deref())?;
    }
    let secret = input.secret.map(usable_secret).transpose()?;
    let is_elsewhere = !is_same_account(&credential, known);
    if is_elsewhere && secret.is_none() {
        return Err(secret_needed(known));
    }
    if is_elsewhere || secret.is_some() {
        credential.status = CredentialStatus::Unverified;
        credential.last_verified_at = None;
    }
    credential.updated_at = Timestamp::now();
    Ok((credential, secret))
}

/// Whether a secret of the one is for the same account at the same registry as one of the other.
pub fn is_same_account(one: &Credential, other: &Credential) -> bool {
    let account =
        |credential: &Credential| (credential.registry, credential.host.clone(), credential.username.clone());
    account(one) == account(other)
}

/// Without the name of the new host or user: the words are for the person who knows the old ones.
fn secret_needed(known: &Credential) -> ApiError {
    let place = known.host.as_deref().unwrap_or("Amazon ECR");
    ApiError::invalid(
        "secret",
        format!(
            "it has to be given again when registry, host or username change, because the stored one is for {:?} \
             at {place} only",
            known.username
        ),
    )
}

/// What a Basic header can carry (RFC 7617, section 2).
pub fn check_username(text: &str) -> Result<(), ApiError> {
    check::name("username", text, 1, 255)?;
    if text.contains(':') {
        return Err(ApiError::invalid("username", "it cannot hold a colon"));
    }
    match text.trim() == text {
        true => Ok(()),
        false => Err(ApiError::invalid("username", "it begins or ends with a blank; leave it out")),
    }
}

/// The secret as it is kept. Exactly one line break at its end does not count, as `echo TOKEN` and files have it;
/// those inside do, because a Google key is a JSON text. No refusal shows any of it.
pub fn usable_secret(secret: Secret) -> Result<Secret, ApiError> {
    let text = secret.expose();
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    check::length("secret", line, 1, LONGEST_SECRET)?;
    check::no_nul("secret", line)?;
    if line.starts_with(['\n', '\r']) || line.ends_with(['\n', '\r']) {
        return Err(ApiError::invalid("secret", "it begins or ends with empty lines; leave them out"));
    }
    if is_placeholder(line) {
        let problem =
            "it is what programs show in place of a secret; leave the field out to keep the stored one";
        return Err(ApiError::invalid("secret", problem));
    }
    Ok(Secret::from(line))
}

/// Whether a form or a program has put this where the secret would stand.
fn is_placeholder(text: &str) -> bool {
    let is_mask = |c: char| matches!(c, '*' | '•' | '●' | '∙' | '·');
    let word = text.trim().to_lowercase();
    text.trim().chars().all(is_mask)
        || matches!(&*word, "[hidden]" | "[redacted]" | "<redacted>" | "(sensitive value)" | "(sensitive)")
}

/// The host of a credential of this kind, when `given` was asked for. `None` is every host of Amazon ECR.
fn host_for(registry: RegistryKind, given: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(text) = given else {
        return match (registry, registry.default_host()) {
            (RegistryKind::Ecr, _) => Ok(None),
            (_, Some(host)) => Ok(Some(host.to_owned())),
            (_, None) => Err(host_required()),
        };
    };
    let host = canonical_host(text)?;
    match is_of(registry, &host) {
        true => Ok(Some(host)),
        false => Err(ApiError::invalid(
            "host",
            format!("{host} is not a host of this registry; with registry custom it can be any"),
        )),
    }
}

fn host_required() -> ApiError {
    ApiError::bad_request("registry_host_required", "A custom registry needs its host.")
        .with_detail("host: write it as in the image's name, for example registry.example.com:5000")
}

/// Whether a host belongs to a kind whose hosts are known. GitHub, GitLab and others can be run by anybody.
fn is_of(registry: RegistryKind, host: &str) -> bool {
    let ends = |endings: &[&str]| endings.iter().any(|ending| host.ends_with(ending));
    match registry {
        RegistryKind::DockerHub | RegistryKind::DigitalOcean => registry.default_host() == Some(host),
        RegistryKind::Gcr => host == "gcr.io" || ends(&[".gcr.io", "-docker.pkg.dev"]),
        RegistryKind::Ecr => {
            host == "public.ecr.aws" || ends(&[".amazonaws.com", ".amazonaws.com.cn", ".on.aws"])
        }
        RegistryKind::Github | RegistryKind::Gitlab | RegistryKind::Custom => true,
    }
}

/// The host as an image reference names it, so that both are compared as they are: lower case, one name for Docker
/// Hub, no port of https.
fn canonical_host(text: &str) -> Result<String, ApiError> {
    let wrong = |problem: String| ApiError::invalid("host", problem);
    check::length("host", text, 1, LONGEST_HOST)?;
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let code = u32::from(odd);
        return Err(wrong(format!(
            "it cannot hold the character U+{code:04X}; a name that only looks like a known one belongs to somebody else"
        )));
    }
    if text.contains('@') {
        return Err(wrong("it is the host alone; leave out what stands before the @".into()));
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let alone = rest.split('/').next().unwrap_or_default();
    if alone != text {
        let instead = named_host(alone).map(|host| format!("; write {host}")).unwrap_or_default();
        return Err(wrong(format!("it is the host alone, without https:// and without a path{instead}")));
    }
    named_host(text).map_err(wrong)
}

/// The canonical form of a host, or why an image's name cannot begin with it.
fn named_host(text: &str) -> Result<String, String> {
    const NO_HOST: &str = "it needs a dot or a port, as in registry.example.com or nas:5000; other names are not hosts in an image's name";
    let image = Reference::parse(&format!("{text}/of/image")).map_err(|error| error.to_string())?;
    if image.repository() != "of/image" {
        return Err(NO_HOST.into());
    }
    if image.is_local() {
        return Err("localhost without a port names images of this machine, which need no login".into());
    }
    Ok(image.host().strip_suffix(":443").unwrap_or(image.host()).to_owned())
}

/// The whole record, with the applications that the caller may see.
pub fn show(credential: &Credential, used_by: &[AppId]) -> DockerRegistry {
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let details = DockerRegistryDetails {
        host: credential.host.clone(),
        status: show_status(credential.status),
        last_verified_at: moment(credential.last_verified_at),
        last_used_at: moment(credential.last_used_at),
        used_by: used_by.iter().map(ToString::to_string).collect(),
    };
    DockerRegistry { username: credential.username.clone(), details: Some(details), ..show_name(credential) }
}

/// The record for someone who may see names only. The API file knows no record without a user name, so it is empty.
pub fn show_name(credential: &Credential) -> DockerRegistry {
    DockerRegistry {
        id: credential.id.to_string(),
        company_id: credential.company.to_string(),
        name: credential.name.clone(),
        registry: show_kind(credential.registry),
        username: String::new(),
        details: None,
        created_at: credential.created_at.to_string(),
        updated_at: credential.updated_at.to_string(),
    }
}

fn show_status(status: CredentialStatus) -> DockerRegistryStatus {
    match status {
        CredentialStatus::Unverified => DockerRegistryStatus::Unverified,
        CredentialStatus::Valid => DockerRegistryStatus::Valid,
        CredentialStatus::Rejected => DockerRegistryStatus::Rejected,
    }
}

fn show_kind(kind: RegistryKind) -> wire::RegistryKind {
    match kind {
        RegistryKind::DockerHub => wire::RegistryKind::DockerHub,
        RegistryKind::Gcr => wire::RegistryKind::Gcr,
        RegistryKind::Ecr => wire::RegistryKind::Ecr,
        RegistryKind::Github => wire::RegistryKind::Github,
        RegistryKind::Gitlab => wire::RegistryKind::Gitlab,
        RegistryKind::DigitalOcean => wire::RegistryKind::DigitalOcean,
        RegistryKind::Custom => wire::RegistryKind::Custom,
    }
}

fn kind_of(kind: wire::RegistryKind) -> RegistryKind {
    match kind {
        wire::RegistryKind::DockerHub => RegistryKind::DockerHub,
        wire::RegistryKind::Gcr => RegistryKind::Gcr,
        wire::RegistryKind::Ecr => RegistryKind::Ecr,
        wire::RegistryKind::Github => RegistryKind::Github,
        wire::RegistryKind::Gitlab => RegistryKind::Gitlab,
        wire::RegistryKind::DigitalOcean => RegistryKind::DigitalOcean,
        wire::RegistryKind::Custom => RegistryKind::Custom,
    }
}

#[cfg(test)]
mod tests;
