//! `darsena promote`: the very image of one application for another, without a new build.

use client::Client;
use wire::PromoteApplication;

use super::outcome::{self, Deployed};
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// Deploys what serves in one application to another one, which keeps its own variables, port and size.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the application whose image it is, as shop-staging.
    from: String,
    /// Name of the application that gets it, as shop.
    to: String,
    /// Do not wait: print the new deployment's id.
    #[arg(long)]
    no_wait: bool,
}

/// Waits as `deploy` does.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    if args.from == args.to {
        return Err(Failure::usage(format!("{} cannot be promoted to itself", args.from)));
    }
    let from = find::existing(client, &args.from).await?;
    let to = find::existing(client, &args.to).await?;
    let body = PromoteApplication { target_app_id: to.id.clone() };
    let deployment = client.promote_application(&from.id, &body).await?;
    if args.no_wait {
        return if output.json { output.json(&deployment) } else { output.line(&deployment.id) };
    }
    outcome::wait(client, Deployed { application: &to.id, name: &args.to }, deployment, output).await
}
