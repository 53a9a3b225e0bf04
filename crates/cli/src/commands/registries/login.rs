//! What storing and changing a login have in common: its flags, the advice before, and the words after a refusal.

use client::{Client, Verify};
use wire::DockerRegistry;

use crate::failure::Failure;
use crate::output::Output;
use crate::quote;
use crate::registry::{Host, Registry};
use crate::token::Source;

/// How the token comes, and whether it is tried.
#[derive(clap::Args)]
pub struct Flags {
    /// Read the token from stdin instead of asking for it: all of it, without the line break at its end.
    #[arg(long)]
    pub token_stdin: bool,
    /// Save without trying the login first.
    #[arg(long)]
    pub no_verify: bool,
}

impl Flags {
    pub fn source(&self) -> Source {
        if self.token_stdin { Source::Stdin } else { Source::Terminal }
    }

    /// Whether the login is tried first. One without a host cannot be: which registry would be asked?
    pub fn verify(&self, has_host: bool) -> Verify {
        if self.no_verify || !has_host { Verify::Later } else { Verify::First }
    }
}

/// The host to store: the one given, else the registry's own.
pub fn host(registry: Registry, given: Option<&str>) -> Result<Option<String>, Failure> {
    let facts = registry.facts();
    match (given, facts.host) {
        (Some(host), _) => Ok(Some(host.to_owned())),
        (None, Host::Known(host)) => Ok(Some(host.to_owned())),
        (None, Host::FromImage) => Ok(None),
        (None, Host::Needed(form)) => Err(Failure::usage(format!("--registry {} needs a host", facts.word))
            .hint(format!("add --host {form}"))),
    }
}

/// Says on stderr which user name and token the registry takes, where that is known.
pub fn advise(registry: Registry, output: &Output) {
    if registry == Registry::Custom {
        return;
    }
    let facts = registry.facts();
    output.note(&format!("{} takes", facts.title));
    output.note(&format!("  user name: {}", facts.user));
    output.note(&format!("  token: {}", facts.token));
}

/// Which token the registry takes, in one line, where that is known.
pub fn takes(registry: Registry) -> Option<String> {
    let facts = registry.facts();
    (registry != Registry::Custom).then(|| format!("{} takes: {}", facts.title, facts.token))
}

/// Another credential of this name would make the name useless.
pub async fn free_name(client: &Client, name: &str) -> Result<(), Failure> {
    if client.registries().await?.iter().all(|credential| credential.name != name) {
        return Ok(());
    }
    Err(Failure::new(format!("there is a credential named {name} already")).hint(format!(
        "change it with `darsena registries update {}`, or choose another name",
        quote::word(name)
    )))
}

/// Why a login was not saved. The registry's own words come with the refusal.
pub fn not_saved(error: client::Error, registry: Registry) -> Failure {
    let code = error.refusal().and_then(|refusal| refusal.code.clone());
    let details = match code.as_deref() {
        Some(code @ ("credential_rejected" | "credential_scope_missing")) => {
            [Some(format!("cause: {code}")), takes(registry)].into_iter().flatten().collect()
        }
        Some(code)
            if code.starts_with("registry_") && code != "registry_host_required"
                || code == "rate_limited" =>
        {
            let way_out = "--no-verify saves without asking the registry";
            vec![format!("cause: {code}"), way_out.to_owned()]
        }
        _ => Vec::new(),
    };
    Failure::from(error).details(details)
}

/// Where a stored login is sent.
pub fn place(credential: &DockerRegistry) -> &str {
    let host = credential.details.as_ref().and_then(|details| details.host.as_deref());
    host.unwrap_or(Registry::of(credential).facts().title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_one_given_or_the_known_one() {
        let told = |registry, given| host(registry, given).map_err(|failure| failure.text());
        assert_eq!(told(Registry::Github, None), Ok(Some("ghcr.io".into())));
        assert_eq!(
            told(Registry::Gitlab, Some("registry.acme.it:5050")),
            Ok(Some("registry.acme.it:5050".into()))
        );
        assert_eq!(told(Registry::Ecr, None), Ok(None));
        for (registry, form) in [
            (Registry::Azure, "NAME.azurecr.io"),
            (Registry::GoogleArtifact, "LOCATION-docker.pkg.dev"),
            (Registry::Custom, "HOST[:PORT]"),
        ] {
            let words = told(registry, None).unwrap_err();
            assert!(words.contains(registry.facts().word) && words.contains(form), "{words}");
        }
    }
}
