//! `darsena git`.

use client::Client;
use wire::*;

use super::source::BuildWord;
use crate::commit;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// What to do with repositories.
#[derive(clap::Subcommand)]
pub enum Command {
    /// What a repository holds, and the Dockerfile that it would be built with. Nothing is built.
    Inspect(Inspect),
}

/// Which repository to look into.
#[derive(clap::Args)]
pub struct Inspect {
    /// Its address: https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH.
    #[arg(value_name = "URL")]
    url: String,
    /// Name or id of the Git credential to reach it with; left out: without a login.
    #[arg(long, value_name = "NAME")]
    git_credential: Option<String>,
    /// Branch or tag; left out: the repository's default branch.
    #[arg(long, value_name = "NAME", conflicts_with = "commit")]
    branch: Option<String>,
    /// Full id of a commit.
    #[arg(long, value_name = "ID", value_parser = super::source::commit)]
    commit: Option<String>,
    /// Folder of the repository to build.
    #[arg(long, value_name = "DIR")]
    path: Option<String>,
    /// Dockerfile, relative to that folder.
    #[arg(long = "dockerfile-path", value_name = "FILE")]
    dockerfile_path: Option<String>,
    /// Where the Dockerfile comes from; made: one is made even when the repository has one.
    #[arg(long, value_enum)]
    build_type: Option<BuildWord>,
    /// Print the Dockerfile and nothing else, to edit it and give it back with `deploy --dockerfile-text`.
    #[arg(long)]
    dockerfile: bool,
}

/// Runs one of them.
pub async fn run(client: &Client, command: &Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Inspect(args) => inspect(client, args, output).await,
    }
}

async fn inspect(client: &Client, args: &Inspect, output: &Output) -> Result<(), Failure> {
    let credential = match &args.git_credential {
        Some(text) => Some(find::git_credential(client, text).await?.id),
        None => None,
    };
    let request = InspectRepository {
        repo_url: args.url.clone(),
        git_credential_id: credential,
        branch: args.branch.clone(),
        commit_sha: args.commit.clone(),
        build_type: args.build_type.map(BuildWord::kind),
        build_path: args.path.clone(),
        dockerfile_path: args.dockerfile_path.clone(),
        docker_context: None,
    };
    let found = client.inspect_repository(&request).await?;
    if output.json {
        return output.json(&found);
    }
    if args.dockerfile {
        return text(&found.dockerfile, output);
    }
    output.record(&[
        ("repository", found.repo_url.clone()),
        ("default branch", found.default_branch.clone().unwrap_or_else(|| "-".to_owned())),
        ("branches", branches(&found)),
        ("commit", commit::words(&found.commit)),
        ("dockerfile", origin(&found.dockerfile)),
    ])?;
    output.line("")?;
    text(&found.dockerfile, output)
}

fn text(dockerfile: &Dockerfile, output: &Output) -> Result<(), Failure> {
    dockerfile.text.lines().try_for_each(|line| output.line(line))
}

fn branches(found: &RepositoryInspection) -> String {
    if found.branches.is_empty() { "-".to_owned() } else { found.branches.join(", ") }
}

/// Where a Dockerfile comes from, in words.
fn origin(dockerfile: &Dockerfile) -> String {
    let detail = dockerfile.detail.as_deref();
    match dockerfile.origin {
        DockerfileOrigin::Found => format!("found at {}", detail.unwrap_or("Dockerfile")),
        DockerfileOrigin::Made => match detail {
            Some(kind) => format!("made for {kind}"),
            None => "made".to_owned(),
        },
        DockerfileOrigin::Given => "given".to_owned(),
    }
}
