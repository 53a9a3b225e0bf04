//! `darsena deploy`: from an image to a URL that answers.

use client::Client;
use serde_json::json;
use wire::*;

use super::outcome::{self, Deployed};
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
    /// Port that the application listens on; left out: the one it has, else the image's EXPOSE, else 8080.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Set an environment variable; may be repeated. Other users of this machine can see it in `ps`; for secrets
    /// there is `darsena env NAME set --stdin`.
    #[arg(long, short, value_name = "K=V")]
    env: Vec<String>,
    /// Path that has to answer with 2xx or 3xx before traffic is switched.
    #[arg(long, value_name = "PATH", value_parser = health_path)]
    health_path: Option<String>,
    /// Do not wait: print the deployment's id and the URL.
    #[arg(long)]
    no_wait: bool,
}

/// The URL is the last line of stdout; success means that it answers.
pub async fn run(client: &Client, args: &Args, output: &Output) -> Result<(), Failure> {
    let pairs = Pair::parse_all(args.env.iter().map(String::as_str))?;
    let credential = credential(client, args).await?;
    let application = application(client, args, credential.as_ref(), output).await?;
    set_process(client, &application.id, args).await?;
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
        image_policy: None,
        project_id: None,
        git_type: None,
        repo_url: None,
        default_branch: None,
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

/// Sends only what differs, so that a plain redeploy changes nothing.
async fn set_process(client: &Client, application: &str, args: &Args) -> Result<(), Failure> {
    if args.port.is_none() && args.health_path.is_none() {
        return Ok(());
    }
    let process = find::web_process(client, application)
        .await?
        .ok_or_else(|| Failure::new(format!("{} has no web process", args.name)))?;
    let change = UpdateProcess {
        port: args.port.filter(|port| process.port != Some(*port)).map(i64::from),
        readiness_probe: probe(args.health_path.as_deref(), process.readiness_probe.as_ref()).map(Some),
        ..Default::default()
    };
    if change != UpdateProcess::default() {
        client.update_process(application, &process.id, &change).await?;
    }
    Ok(())
}

/// The probe to set, when it is not that already. Timings that were set before stay.
fn probe(path: Option<&str>, current: Option<&Probe>) -> Option<Probe> {
    let path = path?;
    let current = current.cloned().unwrap_or_default();
    let get = HttpGetProbe { path: Some(path.to_owned()), ..current.http_get.clone().unwrap_or_default() };
    let wanted = Probe { http_get: Some(get), exec: None, tcp_socket: None, ..current.clone() };
    (wanted != current).then_some(wanted)
}

fn health_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("a path begins with /".to_owned());
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        Some(bad) => Err(format!("a path cannot hold {bad:?}")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_path_keeps_the_timings_and_is_sent_only_when_it_differs() {
        let set = probe(Some("/up"), None).unwrap();
        assert_eq!(set.http_get.as_ref().unwrap().path.as_deref(), Some("/up"));
        assert_eq!(probe(Some("/up"), Some(&set)), None);
        let timed = Probe {
            period_seconds: Some(9),
            tcp_socket: Some(TcpSocketProbe { host: None, port: 1 }),
            ..Probe::default()
        };
        let set = probe(Some("/up"), Some(&timed)).unwrap();
        assert_eq!((set.period_seconds, set.tcp_socket), (Some(9), None));
        assert_eq!(probe(None, Some(&timed)), None);
        assert!(health_path("up").is_err() && health_path("/a b").is_err() && health_path("/up?x=1").is_ok());
    }
}
