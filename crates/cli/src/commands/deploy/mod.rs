//! `darsena deploy`: from an image or a repository to a URL that answers.

mod application;

use client::Client;
use serde_json::json;
use wire::*;

use super::outcome::{self, Deployed};
use super::settings::Settings;
use super::source::{self, Repository};
use super::variables::{self, Use};
use crate::failure::Failure;
use crate::output::Output;
use crate::pair::Pair;

/// Makes the application when there is none of that name; otherwise changes what is given and deploys it again.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the application: it is reached at NAME.DOMAIN, so a-z, 0-9 and - only.
    #[arg(value_parser = crate::name::parse)]
    name: String,
    /// Image to run, as nginx, ghcr.io/acme/shop:1.4 or 127.0.0.1:5000/web@sha256:...; left out: the one it has.
    #[arg(long, value_name = "REF", conflicts_with_all = ["git", "branch", "git_tag", "commit"])]
    image: Option<String>,
    /// Name or id of the registry credential to pull the image with, or the base images of a repository; left out: the
    /// one it has, or none.
    #[arg(long, value_name = "NAME", conflicts_with = "no_credential")]
    credential: Option<String>,
    /// Pull the image without a login.
    #[arg(long)]
    no_credential: bool,
    /// Set an environment variable; may be repeated. Other users of this machine can see it in `ps`; for secrets
    /// there is `darsena env NAME set --stdin`.
    #[arg(long, short, value_name = "K=V")]
    env: Vec<String>,
    /// Set a variable that only the build sees, as ARG and as a secret of that id; may be repeated. It can be seen in `ps`
    /// as well: for secrets there is `darsena env NAME set --stdin --build`.
    #[arg(long, value_name = "K=V")]
    build_env: Vec<String>,
    /// Do not wait: print the deployment's id and the URL.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    repository: Repository,
    #[command(flatten)]
    revision: Revision,
}

/// Which state of the repository. With --git a branch or tag is kept for the deployments to come; without, it is built
/// this once.
#[derive(clap::Args)]
#[command(next_help_heading = "Repository")]
struct Revision {
    /// Branch to build; left out: the one it has, else the repository's default branch.
    #[arg(long, value_name = "BRANCH", conflicts_with_all = ["git_tag", "commit"])]
    branch: Option<String>,
    /// Tag to build.
    #[arg(long, value_name = "TAG", conflicts_with = "commit")]
    git_tag: Option<String>,
    /// Commit to build, by its full id; only this once.
    #[arg(long, value_name = "ID", value_parser = source::commit)]
    commit: Option<String>,
}

impl Revision {
    /// Branch or tag; the API takes both by one name.
    fn named(&self) -> Option<&String> {
        self.branch.as_ref().or(self.git_tag.as_ref())
    }

    fn is_any(&self) -> bool {
        self.named().is_some() || self.commit.is_some()
    }
}

/// The URL is the last line of stdout; success means that it answers.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let pairs = Pair::parse_all(args.env.iter().map(String::as_str))?;
    let build_pairs = Pair::parse_all(args.build_env.iter().map(String::as_str))?;
    let application = application::wanted(client, args, output).await?;
    let serves = application.serving_deployment_id.is_some();
    args.settings.apply_with_a_deployment(client, &application.id, serves).await?;
    variables::set(client, &application.id, &pairs, Use::default()).await?;
    variables::set(client, &application.id, &build_pairs, Use::Build).await?;
    let deployment = client.trigger_deployment(&application.id, &trigger(args)).await?;
    if args.no_wait {
        return started(&application, &deployment, output);
    }
    outcome::wait(
        client,
        Deployed { application: &application.id, name: &application.name },
        deployment,
        output,
    )
    .await
}

/// A branch that was saved with the repository need not be named again.
fn trigger(args: &Args) -> TriggerDeployment {
    let once = args.revision.named().filter(|_| args.repository.git.is_none());
    TriggerDeployment {
        branch: once.cloned(),
        commit_sha: args.revision.commit.clone(),
        ..Default::default()
    }
}

fn started(application: &Application, deployment: &Deployment, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(&json!({"app": application, "deployment": deployment, "url": application.url}));
    }
    output.line(&deployment.id)?;
    match &application.url {
        Some(url) => output.line(url),
        None => Ok(()),
    }
}
