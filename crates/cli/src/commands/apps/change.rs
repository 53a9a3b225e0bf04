//! `darsena apps update`.

use client::Client;
use wire::*;

use super::Name;
use crate::commands::settings::Settings;
use crate::commands::source::Repository;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// What is left out stays as it is. What changes counts from the next deployment, unless it says otherwise.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    repository: Repository,
    #[command(flatten)]
    pushes: Pushes,
}

/// Which branch, and what a push does.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Repository")]
struct Pushes {
    /// Branch, or tag, that is built when a deployment names none.
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Deploy when the branch is pushed to; counts at once. `darsena webhook enable` tells the Git server how.
    #[arg(long, conflicts_with = "no_auto_deploy")]
    auto_deploy: bool,
    /// Deploy on no push any more; counts at once.
    #[arg(long)]
    no_auto_deploy: bool,
    /// Only a push that changes one of these deploys, as src/**; may be repeated. Replaces what was set before.
    #[arg(long, value_name = "GLOB", conflicts_with_all = ["ignore_path", "any_path"])]
    only_path: Vec<String>,
    /// A push that changes nothing else than these does not deploy; may be repeated. Replaces what was set before.
    #[arg(long, value_name = "GLOB", conflicts_with = "any_path")]
    ignore_path: Vec<String>,
    /// Every push deploys again, whatever it changes.
    #[arg(long)]
    any_path: bool,
}

impl Pushes {
    /// Adds what differs from what the application has.
    fn add(&self, change: &mut UpdateApplication, has: &Application) {
        change.default_branch =
            self.branch.clone().filter(|branch| has.default_branch.as_ref() != Some(branch));
        let wanted = (self.auto_deploy || self.no_auto_deploy).then_some(self.auto_deploy);
        change.auto_deploy = wanted.filter(|wanted| *wanted != has.auto_deploy);
        if !self.only_path.is_empty() || !self.ignore_path.is_empty() || self.any_path {
            // The two exclude each other, so the one that is not wanted is emptied when it holds something.
            let differing = |wanted: &Vec<String>, has: &Vec<String>| (wanted != has).then(|| wanted.clone());
            change.allow_deploy_paths = differing(&self.only_path, &has.allow_deploy_paths);
            change.ignore_deploy_paths = differing(&self.ignore_path, &has.ignore_deploy_paths);
        }
    }
}

/// Sends what differs.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let is_source = args.repository.is_any() || args.pushes != Pushes::default();
    if !args.settings.is_any() && !is_source {
        return Err(Failure::usage("there is nothing to change").hint("see `darsena apps update --help`"));
    }
    let name = &args.name.name;
    let application = find::existing(client, name).await?;
    let source = match is_source {
        true => change_source(client, args, &application.id).await?,
        false => UpdateApplication::default(),
    };
    let process = args.settings.apply(client, &application.id).await?;
    if output.json {
        return match is_source {
            true => output.json(&client.application(&application.id).await?),
            false => output.json(&find::web_process(client, &application.id).await?),
        };
    }
    said(name, source, process, output)
}

async fn change_source(
    client: &Client,
    args: &Args,
    application: &str,
) -> Result<UpdateApplication, Failure> {
    let wanted = args.repository.read(client).await?;
    let has = client.application(application).await?;
    if has.source == ApplicationSource::DockerImage {
        return Err(Failure::usage(format!(
            "{} runs an image: there is nothing to check out or build",
            has.name
        )));
    }
    let mut change = wanted.change(&has);
    args.pushes.add(&mut change, &has);
    if change != UpdateApplication::default() {
        client.update_application(application, &change).await?;
    }
    Ok(change)
}

/// Says when what was changed counts.
fn said(
    name: &str,
    source: UpdateApplication,
    process: UpdateProcess,
    output: &Output,
) -> Result<(), Failure> {
    let on_push = UpdateApplication {
        auto_deploy: source.auto_deploy,
        allow_deploy_paths: source.allow_deploy_paths.clone(),
        ignore_deploy_paths: source.ignore_deploy_paths.clone(),
        ..Default::default()
    };
    let is_protocol = process.ingress_protocol.is_some();
    let is_push = on_push != UpdateApplication::default();
    let is_later =
        source != on_push || UpdateProcess { ingress_protocol: None, ..process } != UpdateProcess::default();
    if is_protocol {
        output.line(&format!("{name} is asked in the new protocol from now on"))?;
    }
    if is_push {
        output.line("saved; it counts from the next push")?;
    }
    match is_later {
        true => output.line(&format!("saved; it counts from the next deployment: darsena deploy {name}")),
        false if is_protocol || is_push => Ok(()),
        false => output.line("nothing changes: it is that way already"),
    }
}
