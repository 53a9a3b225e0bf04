//! Where documents come from: a registry, a layout on disk, or what is kept already.

use std::io;

use model::image::{Digest, ImageConfig, Platform};

use crate::disk::{Folders, Owner};
use crate::local::Layout;
use crate::manifest::{Configuration, Document, Index, Manifest, read_config};
use crate::registry::{Caller, Client, Fetched, Place, What, digest_of};
use crate::{Cause, LayerInfo, PlatformEntry, Resolved};

/// Indexes in indexes that are followed.
const MAX_NESTING: usize = 3;

/// Where documents are read. Every one is verified against its digest, wherever it comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Registry {
        client: &'a Client,
        place: &'a Place,
        caller: Caller<'a>,
    },
    /// An OCI layout, read for somebody.
    Layout(&'a Layout, Owner),
    /// What the store keeps; nothing else is asked.
    Kept,
}

impl Source<'_> {
    /// For whom it is read.
    fn owner(&self) -> Owner {
        match self {
            Source::Registry { caller, .. } => Owner::Company(caller.owner),
            Source::Layout(_, owner) => *owner,
            Source::Kept => Owner::Everybody,
        }
    }

    /// A manifest or index by digest.
    async fn document(&self, digest: &Digest, folders: &Folders) -> Result<Fetched, Cause> {
        if let Some(bytes) = folders.read_own_blob(digest, self.owner()) {
            return Ok(Fetched::here(bytes, digest));
        }
        match self {
            Source::Registry { client, place, caller } => {
                client.manifest(place, What::Digest(digest), *caller).await
            }
            Source::Layout(..) | Source::Kept => Ok(Fetched::here(self.stored(digest)?, digest)),
        }
    }

    async fn config(&self, digest: &Digest, size: u64, folders: &Folders) -> Result<Fetched, Cause> {
        if let Some(bytes) = folders.read_own_blob(digest, self.owner()) {
            return Ok(Fetched::here(bytes, digest));
        }
        match self {
            Source::Registry { client, place, caller } => {
                client.small_blob(place, digest, size, *caller).await
            }
            Source::Layout(..) | Source::Kept => Ok(Fetched::here(self.stored(digest)?, digest)),
        }
    }

    /// Bytes of a layout, verified.
    pub fn stored(&self, digest: &Digest) -> Result<Vec<u8>, Cause> {
        let missing = || Cause::ManifestInvalid(format!("{digest} is missing"));
        let Source::Layout(layout, _) = self else { return Err(missing()) };
        let bytes = layout.read(digest).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(),
            _ => layout.unusable(digest, &error),
        })?;
        let actual = digest_of(&bytes);
        if actual != *digest {
            let (expected, actual) = (digest.to_string(), actual.to_string());
            return Err(Cause::DigestMismatch { what: "a document", expected, actual });
        }
        Ok(bytes)
    }
}

/// From the document a reference names to the image for this machine: follows indexes, reads the configuration,
/// checks that it is for this machine, and keeps every document on the way.
pub(crate) async fn resolve(source: Source<'_>, top: Fetched, folders: &Folders) -> Result<Resolved, Cause> {
    let digest = top.digest.clone();
    let mut platforms: Vec<PlatformEntry> = Vec::new();
    let mut documents = Vec::new();
    let mut current = top;
    let mut media_type = None;
    let mut with_login = current.with_login;
    let manifest = loop {
        let document = Document::parse(&current.bytes, current.content_type.as_deref())?;
        media_type.get_or_insert_with(|| document.media_type().to_owned());
        match document {
            Document::Manifest(manifest) => break manifest,
            Document::Index(_) if documents.len() >= MAX_NESTING => {
                return Err(Cause::ManifestInvalid("it is an index in an index in an index".to_owned()));
            }
            Document::Index(index) => {
                let next = choose(&index, &mut platforms)?;
                documents.push((current.digest, current.bytes));
                current = source.document(&next, folders).await?;
                with_login |= current.with_login;
            }
        }
    };
    let config = source.config(&manifest.config.digest, manifest.config.size, folders).await?;
    let configuration = read_config(&config.bytes, manifest.layers.len())?;
    if !configuration.platform.is_supported() {
        return Err(Cause::PlatformMissing(offered(&platforms, &configuration.platform)));
    }
    documents.push((config.digest, config.bytes));
    documents.push((current.digest.clone(), current.bytes));
    for (digest, bytes) in &documents {
        folders.write_blob(digest, bytes)?;
        folders.prove(digest.hex(), source.owner())?;
    }
    let media_type = media_type.unwrap_or_default();
    let resolved = describe(digest, media_type, current.digest, &manifest, configuration, platforms);
    Ok(Resolved { with_login: with_login || config.with_login, ..resolved })
}

/// The manifest or index to go on with.
fn choose(index: &Index, platforms: &mut Vec<PlatformEntry>) -> Result<Digest, Cause> {
    platforms
        .extend(index.platforms().into_iter().map(|(platform, digest)| PlatformEntry { platform, digest }));
    match index.choose() {
        Some(entry) => Ok(entry.digest.clone()),
        None => Err(Cause::PlatformMissing(platforms.iter().map(|entry| entry.platform.clone()).collect())),
    }
}

/// What to say there is: the configuration contradicts an index that claims this machine's platform.
fn offered(platforms: &[PlatformEntry], own: &Platform) -> Vec<Platform> {
    let others =
        platforms.iter().map(|entry| entry.platform.clone()).filter(|platform| !platform.is_supported());
    let mut all: Vec<Platform> = std::iter::once(own.clone()).chain(others).collect();
    all.dedup();
    all
}

fn describe(
    digest: Digest,
    media_type: String,
    manifest_digest: Digest,
    manifest: &Manifest,
    configuration: Configuration,
    platforms: Vec<PlatformEntry>,
) -> Resolved {
    let own =
        || vec![PlatformEntry { platform: configuration.platform.clone(), digest: manifest_digest.clone() }];
    let platforms = if platforms.is_empty() { own() } else { platforms };
    Resolved {
        platforms,
        layers: layers(manifest, &configuration),
        size: manifest.layers.iter().fold(manifest.config.size, |sum, layer| sum.saturating_add(layer.size)),
        config: configuration.image,
        platform: configuration.platform,
        manifest: manifest_digest,
        media_type,
        digest,
        with_login: false,
    }
}

/// The layers of a manifest, with what its configuration says of them.
pub(crate) fn layers(manifest: &Manifest, configuration: &Configuration) -> Vec<LayerInfo> {
    let pairs = manifest.layers.iter().zip(&configuration.diff_ids);
    pairs
        .map(|(layer, diff_id)| LayerInfo {
            digest: layer.digest.clone(),
            size: layer.size,
            media_type: layer.media_type.clone(),
            diff_id: diff_id.clone(),
        })
        .collect()
}

/// A manifest and its configuration's bytes, when both are kept and the owner may use them.
pub(crate) fn own_documents(
    owner: Owner,
    manifest: &Digest,
    folders: &Folders,
) -> Result<Option<(Manifest, Vec<u8>)>, Cause> {
    let Some(bytes) = folders.read_own_blob(manifest, owner) else { return Ok(None) };
    let Document::Manifest(parsed) = Document::parse(&bytes, None)? else { return Ok(None) };
    let config = folders.read_own_blob(&parsed.config.digest, owner);
    Ok(config.map(|config| (parsed, config)))
}

/// As [`kept`], but only with documents that the owner may use.
pub(crate) fn kept_for(
    owner: Owner,
    manifest: &Digest,
    folders: &Folders,
) -> Result<Option<Vec<LayerInfo>>, Cause> {
    if !folders.is_proven(manifest.hex(), owner) {
        return Ok(None);
    }
    let Some(bytes) = folders.read_blob(manifest) else { return Ok(None) };
    let Document::Manifest(parsed) = Document::parse(&bytes, None)? else { return Ok(None) };
    match folders.is_proven(parsed.config.digest.hex(), owner) {
        true => Ok(kept(manifest, folders)?.map(|(layers, _)| layers)),
        false => Ok(None),
    }
}

/// A manifest that is kept with its configuration; `None` when either is not here.
pub(crate) fn kept(
    manifest: &Digest,
    folders: &Folders,
) -> Result<Option<(Vec<LayerInfo>, ImageConfig)>, Cause> {
    let Some(bytes) = folders.read_blob(manifest) else { return Ok(None) };
    let Document::Manifest(parsed) = Document::parse(&bytes, None)? else { return Ok(None) };
    let Some(config) = folders.read_blob(&parsed.config.digest) else { return Ok(None) };
    let configuration = read_config(&config, parsed.layers.len())?;
    Ok(Some((layers(&parsed, &configuration), configuration.image)))
}
