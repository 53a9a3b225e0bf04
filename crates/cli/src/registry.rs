//! The registries that people know by name: what the API calls each, its host, and which user name and token it
//! takes. The long form is docs/registries.md.

use wire::{DockerRegistry, RegistryKind};

/// A word of `--registry`. Azure, Quay and Google Artifact Registry are this command's own: to the API they are
/// `custom` with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Registry {
    /// Docker Hub (docker.io). User: Docker ID or organization. Token: access token, Repo Read-only.
    #[value(name = "dockerhub", alias = "dockerHub")]
    DockerHub,
    /// GitHub Container Registry (ghcr.io). User: GitHub user. Token: classic personal access token, read:packages.
    Github,
    /// GitLab Container Registry (registry.gitlab.com). User and token: of a deploy token, read_registry.
    Gitlab,
    /// Google's old names (gcr.io). User: _json_key. Token: key file of a service account.
    Gcr,
    /// Amazon ECR (any account and region, or --host). User: AWS. Token: aws ecr get-login-password, for 12 hours.
    Ecr,
    /// DigitalOcean (registry.digitalocean.com). User: email address. Token: API token, registry:read.
    #[value(name = "digitalocean", alias = "digitalOcean")]
    DigitalOcean,
    /// Azure Container Registry (--host NAME.azurecr.io). User: name of the token. Token: its password.
    Azure,
    /// Quay (quay.io). User: NAMESPACE+ROBOT. Token: that of the robot account.
    Quay,
    /// Google Artifact Registry (--host LOCATION-docker.pkg.dev). User: _json_key. Token: key file of a service account.
    #[value(name = "google-artifact-registry")]
    GoogleArtifact,
    /// Any other (--host HOST[:PORT]).
    Custom,
}

/// What a person has to know to fill a credential in.
pub struct Facts {
    /// The word on the command line.
    pub word: &'static str,
    /// As its maker writes it.
    pub title: &'static str,
    pub kind: RegistryKind,
    pub host: Host,
    /// The user name, when it is the same for everybody.
    pub fixed_user: Option<&'static str>,
    /// Which user name to give.
    pub user: &'static str,
    /// Which token to make, with which scope, and where.
    pub token: &'static str,
}

/// Where the registry is when `--host` is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    Known(&'static str),
    /// One for each account: taken from the image when it is pulled.
    FromImage,
    /// `--host` has to be given, of this form.
    Needed(&'static str),
}

impl Registry {
    /// All that is known about it.
    pub fn facts(self) -> &'static Facts {
        match self {
            Registry::DockerHub => &DOCKER_HUB,
            Registry::Github => &GITHUB,
            Registry::Gitlab => &GITLAB,
            Registry::Gcr => &GCR,
            Registry::Ecr => &ECR,
            Registry::DigitalOcean => &DIGITAL_OCEAN,
            Registry::Azure => &AZURE,
            Registry::Quay => &QUAY,
            Registry::GoogleArtifact => &GOOGLE,
            Registry::Custom => &CUSTOM,
        }
    }

    /// The one that a stored credential is for.
    pub fn of(credential: &DockerRegistry) -> Self {
        let host =
            credential.details.as_ref().and_then(|details| details.host.as_deref()).unwrap_or_default();
        match credential.registry {
            RegistryKind::DockerHub => Registry::DockerHub,
            RegistryKind::Github => Registry::Github,
            RegistryKind::Gitlab => Registry::Gitlab,
            RegistryKind::Gcr => Registry::Gcr,
            RegistryKind::Ecr => Registry::Ecr,
            RegistryKind::DigitalOcean => Registry::DigitalOcean,
            RegistryKind::Custom if host == "quay.io" => Registry::Quay,
            RegistryKind::Custom if host.ends_with(".azurecr.io") => Registry::Azure,
            RegistryKind::Custom if host.ends_with("-docker.pkg.dev") => Registry::GoogleArtifact,
            RegistryKind::Custom => Registry::Custom,
        }
    }
}

const DOCKER_HUB: Facts = Facts {
    word: "dockerhub",
    title: "Docker Hub",
    kind: RegistryKind::DockerHub,
    host: Host::Known("docker.io"),
    fixed_user: None,
    user: "your Docker ID, or the organization for a token of an organization",
    token: "Account settings > Personal access tokens, permission Repo Read-only (Repo Public Read-only opens no \
            private repository)",
};

const GITHUB: Facts = Facts {
    word: "github",
    title: "GitHub Container Registry",
    kind: RegistryKind::Github,
    host: Host::Known("ghcr.io"),
    fixed_user: None,
    user: "the GitHub user who made the token",
    token: "Settings > Developer settings > Personal access tokens > Tokens (classic), scope read:packages; \
            fine-grained tokens do not work",
};

const GITLAB: Facts = Facts {
    word: "gitlab",
    title: "GitLab Container Registry",
    kind: RegistryKind::Gitlab,
    host: Host::Known("registry.gitlab.com"),
    fixed_user: None,
    user: "the one beside the deploy token, as gitlab+deploy-token-1",
    token: "project or group: Settings > Repository > Deploy tokens, scope read_registry",
};

const GCR: Facts = Facts {
    word: "gcr",
    title: "Google (gcr.io)",
    kind: RegistryKind::Gcr,
    host: Host::Known("gcr.io"),
    fixed_user: None,
    user: "_json_key",
    token: GOOGLE_TOKEN,
};

const GOOGLE: Facts = Facts {
    word: "google-artifact-registry",
    title: "Google Artifact Registry",
    kind: RegistryKind::Custom,
    host: Host::Needed("LOCATION-docker.pkg.dev"),
    fixed_user: None,
    user: "_json_key",
    token: GOOGLE_TOKEN,
};

const GOOGLE_TOKEN: &str = "JSON key file of a service account with the role Artifact Registry Reader: \
                            --token-stdin < key.json";

const ECR: Facts = Facts {
    word: "ecr",
    title: "Amazon ECR",
    kind: RegistryKind::Ecr,
    host: Host::FromImage,
    fixed_user: Some("AWS"),
    user: "AWS",
    token: "what `aws ecr get-login-password --region REGION` prints; it lives 12 hours",
};

const DIGITAL_OCEAN: Facts = Facts {
    word: "digitalocean",
    title: "DigitalOcean",
    kind: RegistryKind::DigitalOcean,
    host: Host::Known("registry.digitalocean.com"),
    fixed_user: None,
    user: "the email address of the account",
    token: "API > Tokens, custom scope registry:read",
};

const AZURE: Facts = Facts {
    word: "azure",
    title: "Azure Container Registry",
    kind: RegistryKind::Custom,
    host: Host::Needed("NAME.azurecr.io"),
    fixed_user: None,
    user: "the token's name, or the client id of a service principal with the role AcrPull",
    token: "registry > Repository permissions > Tokens, scope map _repositories_pull, a generated password; or the \
            service principal's secret",
};

const QUAY: Facts = Facts {
    word: "quay",
    title: "Quay",
    kind: RegistryKind::Custom,
    host: Host::Known("quay.io"),
    fixed_user: None,
    user: "NAMESPACE+ROBOT of a robot account",
    token: "Robot Accounts > View credentials; the robot needs Read on the repositories",
};

const CUSTOM: Facts = Facts {
    word: "custom",
    title: "the registry",
    kind: RegistryKind::Custom,
    host: Host::Needed("HOST[:PORT]"),
    fixed_user: None,
    user: "the one that the registry knows",
    token: "a password or token that may pull",
};

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn stored(kind: RegistryKind, host: Option<&str>) -> DockerRegistry {
        let details = wire::DockerRegistryDetails { host: host.map(str::to_owned), ..Default::default() };
        DockerRegistry {
            id: "id".into(),
            company_id: "c".into(),
            name: "n".into(),
            registry: kind,
            username: "u".into(),
            details: Some(details),
            created_at: "t".into(),
            updated_at: "t".into(),
        }
    }

    #[test]
    fn a_stored_credential_is_known_again_by_kind_and_host() {
        for registry in Registry::value_variants() {
            let facts = registry.facts();
            let host = match facts.host {
                Host::Known(host) => Some(host.to_owned()),
                Host::FromImage => None,
                Host::Needed(form) => {
                    Some(form.replace("NAME", "acme").replace("LOCATION", "eu").replace("[:PORT]", ""))
                }
            };
            assert_eq!(Registry::of(&stored(facts.kind, host.as_deref())), *registry, "{}", facts.word);
        }
        for other in ["quay.io.evil.tld", "quay.io:444", "azurecr.io", "docker.pkg.dev"] {
            assert_eq!(Registry::of(&stored(RegistryKind::Custom, Some(other))), Registry::Custom, "{other}");
        }
    }

    #[test]
    fn the_word_of_a_registry_is_the_one_that_is_typed() {
        for registry in Registry::value_variants() {
            let typed = registry.to_possible_value().expect("none is hidden");
            assert_eq!(typed.get_name(), registry.facts().word);
        }
    }
}
