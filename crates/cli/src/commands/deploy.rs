//! `darsena deploy`: from an image to a URL that answers.

use client::Client;
use serde_json::json;
use wire::*;

use super::outcome::{self, Deployed};
use super::settings::Settings;
use super::variables;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::pair::Pair;

/// Makes the application when there is none of that name; otherwise changes what is given and deploys it again.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the application: it is reached at NAME.DOMAIN, so a-z, 0-9 and - only.
    #[arg(value_parser = crate::name::parse)]
    name: String,
    /// Image to run, as nginx, ghcr.io/acme/shop:1.4 or 127.0.0.1:5000/web@sha256:...; left out: the one it has.
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Name or id of the registry credential to pull the image with; left out: the one it has, or none.
    #[arg(long, value_name = "NAME", conflicts_with = "no_credential")]
    credential: Option<String>,
    /// Pull the image without a login.
    #[arg(long)]
    no_credential: bool,
    /// Set an environment variable; may be repeated. Other users of this machine can see it in `ps`; for secrets
    /// there is `darsena env NAME set --stdin`.
    #[arg(long, short, value_name = "K=V")]
    env: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// Do not wait: print the deployment's id and the URL.
    #[arg(long)]
    no_wait: bool,
}

/// The URL is the last line of stdout; success means that it answers.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let pairs = Pair::parse_all(args.env.iter().map(String::as_str))?;
    let credential = credential(client, args).await?;
    let application = application(client, args, credential.as_ref(), output).await?;
    let serves = application.serving_deployment_id.is_some();
    args.settings.apply_with_a_deployment(client, &application.id, serves).await?;
    variables::set(client, &application.id, &pairs).await?;
    let deployment = client.trigger_deployment(&application.id, &TriggerDeployment::default()).await?;
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

/// The login that was asked for; looked up before anything is changed.
async fn credential(client: &Client, args: &Args) -> Result<Option<DockerRegistry>, Failure> {
    match &args.credential {
        Some(text) => find::credential(client, text).await.map(Some),
        None => Ok(None),
    }
}

/// The application with the image and the credential that were asked for.
async fn application(
    client: &Client,
    args: &Args,
    credential: Option<&DockerRegistry>,
    output: &Output,
) -> Result<Application, Failure> {
    let Some(known) = find::application(client, &args.name).await? else {
        return create(client, args, credential).await;
    };
    let application = client.application(&known.id).await?;
    if application.source != ApplicationSource::DockerImage {
        return Err(Failure::new(format!("{} is not made from an image", args.name))
            .hint("choose another name for the application that runs this image"));
    }
    let change = UpdateApplication {
        docker_image: args.image.clone().filter(|image| application.docker_image.as_ref() != Some(image)),
        docker_registry_credential_id: other_credential(args, credential, &application),
        ..Default::default()
    };
    if change == UpdateApplication::default() {
        return Ok(application);
    }
    let updated = client.update_application(&application.id, &change).await?;
    match (&change.docker_registry_credential_id, credential) {
        (None, _) => {}
        (Some(_), Some(chosen)) => {
            output.note(&format!("from this deployment on the image is pulled with {}", chosen.name));
        }
        (Some(_), None) => output.note("from this deployment on the image is pulled without a login"),
    }
    Ok(updated)
}

/// What to send about the credential: nothing when it is that one already.
fn other_credential(
    args: &Args,
    chosen: Option<&DockerRegistry>,
    application: &Application,
) -> Option<Option<String>> {
    let wanted = match chosen {
        Some(credential) => Some(credential.id.clone()),
        None if args.no_credential => None,
        None => return None,
    };
    (wanted != application.docker_registry_credential_id).then_some(wanted)
}

async fn create(
    client: &Client,
    args: &Args,
    credential: Option<&DockerRegistry>,
) -> Result<Application, Failure> {
    let Some(image) = &args.image else {
        return Err(Failure::usage(format!(
            "there is no application named {} yet, so an image is needed",
            args.name
        ))
        .hint(format!("run `darsena deploy {} --image REF`", args.name)));
    };
    let cluster = client.clusters().await?.into_iter().find(|cluster| cluster.is_available);
    let cluster =
        cluster.ok_or_else(|| Failure::new("the server has no cluster that can run applications"))?;
    let request = CreateApplication {
        display_name: args.name.clone(),
        cluster_id: cluster.id,
        source: ApplicationSource::DockerImage,
        docker_image: Some(image.clone()),
        docker_registry_credential_id: credential.map(|credential| credential.id.clone()),
        ..Default::default()
    };
    let application = client.create_application(&request).await?;
    if application.name == args.name {
        return Ok(application);
    }
    // The name is the contract: an application of another name would be made anew by every deploy.
    client.delete_application(&application.id).await?;
    Err(Failure::new(format!("the name {} is taken; the server offered {}", args.name, application.name))
        .hint("choose another name"))
}
