//! `darsena registries create`.

use client::{Client, Verify};
use wire::*;

use super::login::{self, Flags};
use crate::failure::Failure;
use crate::host;
use crate::output::Output;
use crate::quote;
use crate::registry::Registry;
use crate::token;

/// Which login to store.
#[derive(clap::Args)]
pub struct Args {
    /// Name to know it by, as team or acme-ghcr.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Which registry.
    #[arg(long, value_name = "KIND", value_enum)]
    registry: Registry,
    /// Where it is, with a port when that is not 443; left out: the host above.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host::parse)]
    host: Option<String>,
    /// User name at the registry; it is no secret. Left out for ecr: AWS.
    #[arg(long, value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    username: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

/// Stores the login.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let host = login::host(args.registry, args.host.as_deref())?;
    let username = username(args)?;
    login::free_name(client, &args.name).await?;
    if !output.json {
        login::advise(args.registry, output);
    }
    let secret = token::read(args.flags.source(), &username)?;

    let verify = args.flags.verify(host.is_some());
    let registry = Some(args.registry.facts().kind);
    let body = CreateDockerRegistry { name: args.name.clone(), registry, username, secret, host };
    let created = client
        .create_registry(&body, verify)
        .await
        .map_err(|error| login::not_saved(error, args.registry))?;
    said(&created, verify, args, output)
}

fn username(args: &Args) -> Result<String, Failure> {
    let facts = args.registry.facts();
    let given = args.username.as_deref().or(facts.fixed_user);
    given.map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!("--registry {} needs a user name", facts.word))
            .hint(format!("add --username USER: {}", facts.user))
    })
}

fn said(created: &DockerRegistry, verify: Verify, args: &Args, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(created);
    }
    let (name, place) = (&created.name, login::place(created));
    if verify == Verify::First {
        output.line(&format!("{name} is stored: {place} accepts {}", created.username))?;
    } else {
        output.line(&format!("{name} is stored, unchecked"))?;
        output.note(&unchecked(name, args));
    }
    output.note(&format!("use it with `darsena deploy APP --image REF --credential {}`", quote::word(name)));
    Ok(())
}

fn unchecked(name: &str, args: &Args) -> String {
    if args.flags.no_verify {
        format!("`darsena registries verify {}` tries it", quote::word(name))
    } else {
        "without --host it is for the registries of every account and region; the first pull tries it"
            .to_owned()
    }
}
