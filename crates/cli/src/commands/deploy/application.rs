//! The application as `darsena deploy` wants it: made when there is none, changed where it differs.

use client::Client;
use wire::*;

use super::Args;
use crate::commands::source::Wanted;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;

/// The application with the source and the credentials that were asked for. Everything that can be looked up is looked
/// up before anything is changed.
pub async fn wanted(client: &Client, args: &Args, output: &Output) -> Result<Application, Failure> {
    let credential = match &args.credential {
        Some(text) => Some(find::credential(client, text).await?),
        None => None,
    };
    let repository = args.repository.read(client).await?;
    match find::application(client, &args.name).await? {
        Some(known) => {
            let application = client.application(&known.id).await?;
            check_source(args, &application)?;
            changed(client, args, credential.as_ref(), &repository, application, output).await
        }
        None => create(client, args, credential.as_ref(), repository).await,
    }
}

/// An image stays an image, and a repository a repository.
fn check_source(args: &Args, application: &Application) -> Result<(), Failure> {
    let is_image = application.source == ApplicationSource::DockerImage;
    if !is_image && args.image.is_some() {
        return Err(Failure::new(format!("{} is not made from an image", args.name))
            .hint("choose another name for the application that runs this image"));
    }
    if is_image && args.repository.git.is_some() {
        return Err(Failure::new(format!("{} runs an image", args.name))
            .hint("choose another name for the application that is built from this repository"));
    }
    if is_image && (args.repository.is_any() || args.revision.is_any()) {
        return Err(Failure::usage(format!(
            "{} runs an image: there is nothing to check out or build",
            args.name
        )));
    }
    Ok(())
}

async fn changed(
    client: &Client,
    args: &Args,
    credential: Option<&DockerRegistry>,
    repository: &Wanted,
    application: Application,
    output: &Output,
) -> Result<Application, Failure> {
    let is_image = application.source == ApplicationSource::DockerImage;
    let branch = args.revision.named().filter(|_| args.repository.git.is_some());
    let change = UpdateApplication {
        docker_image: args.image.clone().filter(|image| application.docker_image.as_ref() != Some(image)),
        docker_registry_credential_id: other_credential(args, credential, &application),
        default_branch: branch.cloned().filter(|branch| application.default_branch.as_ref() != Some(branch)),
        ..if is_image { UpdateApplication::default() } else { repository.change(&application) }
    };
    if change == UpdateApplication::default() {
        return Ok(application);
    }
    let updated = client.update_application(&application.id, &change).await?;
    let pulled = if is_image { "the image is pulled" } else { "base images are pulled" };
    match (&change.docker_registry_credential_id, credential) {
        (None, _) => {}
        (Some(_), Some(chosen)) => {
            output.note(&format!("from this deployment on {pulled} with {}", chosen.name));
        }
        (Some(_), None) => output.note(&format!("from this deployment on {pulled} without a login")),
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
    repository: Wanted,
) -> Result<Application, Failure> {
    if args.image.is_none() && args.repository.git.is_none() {
        return Err(Failure::usage(format!(
            "there is no application named {} yet, so an image or a repository is needed",
            args.name
        ))
        .hint(format!("run `darsena deploy {0} --image REF` or `darsena deploy {0} --git URL`", args.name)));
    }
    if args.image.is_some() && args.repository.is_any() {
        return Err(Failure::usage(
            "an image is not built: the options of a repository do nothing with --image",
        ));
    }
    let cluster = client.clusters().await?.into_iter().find(|cluster| cluster.is_available);
    let cluster =
        cluster.ok_or_else(|| Failure::new("the server has no cluster that can run applications"))?;
    let mut request = CreateApplication {
        display_name: args.name.clone(),
        cluster_id: cluster.id,
        source: ApplicationSource::DockerImage,
        docker_image: args.image.clone(),
        docker_registry_credential_id: credential.map(|credential| credential.id.clone()),
        default_branch: args.revision.named().cloned(),
        ..Default::default()
    };
    if args.repository.git.is_some() {
        repository.fill(&mut request);
    }
    let application = client.create_application(&request).await?;
    if application.name == args.name {
        return Ok(application);
    }
    // The name is the contract: an application of another name would be made anew by every deploy.
    client.delete_application(&application.id).await?;
    Err(Failure::new(format!("the name {} is taken; the server offered {}", args.name, application.name))
        .hint("choose another name"))
}
