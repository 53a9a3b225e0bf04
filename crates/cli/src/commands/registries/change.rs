//! `darsena registries update`.

use client::{Client, Verify};
use wire::*;

use super::login::{self, Flags};
use crate::failure::Failure;
use crate::find;
use crate::host;
use crate::output::Output;
use crate::registry::Registry;
use crate::token;

/// What to change.
#[derive(clap::Args)]
pub struct Args {
    /// Name or id of the credential.
    #[arg(value_name = "NAME")]
    credential: String,
    /// New name.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Another user name at the registry.
    #[arg(long, value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: Option<String>,
    /// Another host, with a port when that is not 443.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host::parse)]
    host: Option<String>,
    /// Another registry; its own host comes with it.
    #[arg(long, value_name = "KIND", value_enum)]
    registry: Option<Registry>,
    /// Ask for a new token. --token-stdin means it too.
    #[arg(long)]
    new_token: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Sends only what differs.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    if !args.names_a_change() {
        return Err(Failure::usage("nothing to change is named")
            .hint("give --new-token, --name, --username, --host or --registry"));
    }
    let moved = args.registry.map(|registry| login::host(registry, args.host.as_deref())).transpose()?;
    let credential = find::credential(client, &args.credential).await?;
    let mut body = differing(args, &credential, moved);
    if let Some(name) = &body.name {
        login::free_name(client, name).await?;
    }
    let is_login_other = body.registry.is_some() || body.host.is_some() || body.username.is_some();
    let takes_token = args.new_token || args.flags.token_stdin || is_login_other;
    let registry = args.registry.unwrap_or_else(|| Registry::of(&credential));
    if takes_token {
        if !output.json {
            login::advise(registry, output);
        }
        let username = body.username.as_ref().unwrap_or(&credential.username);
        body.secret = Some(token::read(args.flags.source(), username)?);
    }
    if body == UpdateDockerRegistry::default() {
        return said(&credential, false, output);
    }
    // A new name alone is no reason to ask the registry.
    let verify = if takes_token { args.flags.verify(has_host(&body, &credential)) } else { Verify::Later };
    let updated = client
        .update_registry(&credential.id, &body, verify)
        .await
        .map_err(|error| login::not_saved(error, registry))?;
    said(&updated, takes_token, output)
}

impl Args {
    fn names_a_change(&self) -> bool {
        let is_login = self.username.is_some() || self.host.is_some() || self.registry.is_some();
        is_login || self.name.is_some() || self.new_token || self.flags.token_stdin
    }
}

/// `moved`: the host that comes with `--registry`.
fn differing(
    args: &Args,
    credential: &DockerRegistry,
    moved: Option<Option<String>>,
) -> UpdateDockerRegistry {
    let kind =
        args.registry.map(|registry| registry.facts().kind).filter(|kind| *kind != credential.registry);
    let host = match &moved {
        // The same registry without a host keeps the one it has.
        Some(_) if args.registry == Some(Registry::of(credential)) => args.host.clone(),
        Some(host) => host.clone(),
        None => args.host.clone(),
    };
    UpdateDockerRegistry {
        name: args.name.clone().filter(|name| *name != credential.name),
        registry: kind,
        username: args.username.clone().filter(|username| *username != credential.username),
        secret: None,
        host: host.filter(|host| Some(host) != known_host(credential)),
    }
}

fn known_host(credential: &DockerRegistry) -> Option<&String> {
    credential.details.as_ref().and_then(|details| details.host.as_ref())
}

/// Whether the changed credential is for one host; only `ecr` may have none.
fn has_host(body: &UpdateDockerRegistry, credential: &DockerRegistry) -> bool {
    match body.registry {
        Some(RegistryKind::Ecr) => body.host.is_some(),
        Some(_) => true,
        None => body.host.is_some() || known_host(credential).is_some(),
    }
}

fn said(credential: &DockerRegistry, is_login_new: bool, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(credential);
    }
    let name = &credential.name;
    if !is_login_new {
        return output.line(&format!("{name} is up to date"));
    }
    let status = credential.details.as_ref().map(|details| details.status).unwrap_or_default();
    match status {
        DockerRegistryStatus::Valid => {
            output.line(&format!(
                "{name} is changed: {} accepts {}",
                login::place(credential),
                credential.username
            ))?;
        }
        DockerRegistryStatus::Unverified | DockerRegistryStatus::Rejected => {
            output.line(&format!("{name} is changed, unchecked"))?;
        }
    }
    output.note("it counts from the next pull; applications keep running");
    Ok(())
}
