//! `darsena images`.

use std::path::PathBuf;

use client::Client;
use wire::*;

use crate::failure::Failure;
use crate::find;
use crate::local::Local;
use crate::output::Output;
use crate::size::bytes;

/// What to do with images.
#[derive(clap::Subcommand)]
pub enum Command {
    /// What a reference points to, asked of its registry.
    Inspect(Inspect),
    /// Put an image from a file into an installation on this machine; no registry is asked.
    Load(Load),
}

/// Which image to look into.
#[derive(clap::Args)]
pub struct Inspect {
    /// The image reference.
    #[arg(value_name = "REF")]
    image: String,
    /// Name or id of the registry credential to ask with; left out: without a login.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
}

/// Which file to load.
#[derive(clap::Args)]
pub struct Load {
    /// The installation's data folder.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/darsena")]
    data: PathBuf,
    /// An OCI archive (tar), or a folder in the OCI layout.
    #[arg(value_name = "FILE")]
    archive: PathBuf,
    /// The name to deploy it by, as localhost/hello:1.
    #[arg(value_name = "NAME")]
    image: String,
}

/// `images load`.
pub fn load(args: &Load, local: &dyn Local, output: &Output) -> Result<(), Failure> {
    let loaded = local.load_image(&args.data, &args.archive, &args.image)?;
    if output.json {
        return output.json(&loaded);
    }
    output.line(&format!("{} ({})", loaded.image, loaded.digest))
}

/// `images inspect`.
pub async fn inspect(client: &Client, args: &Inspect, output: &Output) -> Result<(), Failure> {
    let credential = match &args.credential {
        Some(text) => Some(find::credential(client, text).await?.id),
        None => None,
    };
    let request =
        InspectImage { docker_image: args.image.clone(), docker_registry_credential_id: credential };
    let image = client.inspect_image(&request).await?;
    if output.json {
        return output.json(&image);
    }
    output.record(&record(&image))?;
    output.line("")?;
    let rows = image.platforms.iter().map(|platform| {
        vec![
            name(platform),
            platform.digest.clone(),
            platform.size.map(bytes).unwrap_or_default(),
            if platform.is_supported { "yes" } else { "no" }.to_owned(),
        ]
    });
    output.table(&["PLATFORM", "MANIFEST", "SIZE", "RUNS HERE"], rows)
}

fn record(image: &ImageInspection) -> Vec<(&'static str, String)> {
    let list = |words: &Option<Vec<String>>| words.as_ref().map_or("-".to_owned(), |words| words.join(" "));
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let ports: Vec<_> =
        image.exposed_ports.iter().map(|port| format!("{}/{}", port.port, port.protocol)).collect();
    vec![
        ("image", image.reference.canonical.clone()),
        ("media type", image.media_type.clone()),
        ("platform", name(&image.platform)),
        ("size", bytes(image.size)),
        ("ports", dash(ports.join(", "))),
        ("entrypoint", list(&image.entrypoint)),
        ("cmd", list(&image.cmd)),
        ("user", image.user.clone().filter(|user| !user.is_empty()).unwrap_or_else(|| "root".to_owned())),
        ("variables", dash(image.env_names.join(", "))),
        ("licenses", dash(image.licenses.join(", "))),
        ("created", image.created.clone().unwrap_or_else(|| "-".to_owned())),
    ]
}

fn name(platform: &ImagePlatform) -> String {
    let variant = platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.architecture)
}
