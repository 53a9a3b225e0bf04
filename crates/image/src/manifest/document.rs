//! What a registry serves under `/manifests/`: a manifest or an index (OCI image-spec manifest.md and
//! image-index.md, Docker's "Image Manifest V2, Schema 2").

use model::image::{Digest, Platform};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json;
use crate::Cause;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// The compression that a layer's media type names is only a hint; the bytes are looked at.
const LAYER_TYPES: [&str; 8] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// The OCI type of a layer that [`LAYER_TYPES`] has.
pub(crate) fn oci_layer_type(media_type: &str) -> &str {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => {
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        }
        oci => oci,
    }
}

/// Overlay mounts end there (Linux, `OVL_MAX_STACK`).
const MAX_LAYERS: usize = 500;
/// Largest configuration that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// What the document is.
#[derive(Debug)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// One image for one platform.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub media_type: String,
    pub config: Descriptor,
    /// Bottom layer first; at least one.
    pub layers: Vec<ManifestLayer>,
}

#[derive(Debug)]
pub(crate) struct ManifestLayer {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
}

/// Images for several platforms.
#[derive(Debug)]
pub(crate) struct Index {
    pub media_type: String,
    pub entries: Vec<Descriptor>,
}

/// A reference to another document (OCI image-spec, descriptor.md). Its `data` and `urls` are never used.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    pub platform: Option<DescribedPlatform>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DescribedPlatform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    pub variant: Option<String>,
}

/// Both forms at once, so that a document that tries to be both is seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<Box<RawValue>>,
}

impl Document {
    /// Reads a document that came with this Content-Type. The two must not name different types; a registry
    /// that sends a general type leaves it to the document.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, Cause> {
        let raw: Raw = json::parse(bytes).map_err(Cause::ManifestInvalid)?;
        if raw.schema_version == Some(1) || raw.fs_layers.is_some() {
            return Err(Cause::ManifestUnsupported("Docker schema 1 is not supported".to_owned()));
        }
        if raw.schema_version != Some(2) {
            return Err(invalid("its schemaVersion is not 2"));
        }
        let content_type = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        let named = raw.media_type.clone().filter(|text| !text.is_empty());
        let media_type = match (named, content_type.filter(|text| !is_general(text))) {
            (Some(named), Some(sent)) if named != sent => {
                return Err(invalid("its mediaType is not the Content-Type it was sent with"));
            }
            (Some(one), _) => one,
            (None, Some(one)) => one.to_owned(),
            (None, None) if raw.manifests.is_some() => OCI_INDEX.to_owned(),
            (None, None) => OCI_MANIFEST.to_owned(),
        };
        match &*media_type {
            OCI_MANIFEST | DOCKER_MANIFEST => raw.into_manifest(media_type).map(Document::Manifest),
            OCI_INDEX | DOCKER_LIST => raw.into_index(media_type).map(Document::Index),
            other => Err(Cause::ManifestUnsupported(format!(
                "documents of type {} are not container images",
                crate::registry::clean(other)
            ))),
        }
    }

    pub fn media_type(&self) -> &str {
        match self {
            Document::Manifest(manifest) => &manifest.media_type,
            Document::Index(index) => &index.media_type,
        }
    }
}

impl Raw {
    fn into_manifest(self, media_type: String) -> Result<Manifest, Cause> {
        if self.manifests.is_some() {
            return Err(invalid("it is a manifest and an index at once"));
        }
        let config = self.config.ok_or_else(|| invalid("it names no configuration"))?;
        let is_artifact = self.artifact_type.as_deref().is_some_and(|kind| !kind.is_empty());
        if !CONFIG_TYPES.contains(&&*config.media_type) || is_artifact {
            let kind = self.artifact_type.filter(|kind| !kind.is_empty()).unwrap_or(config.media_type);
            return Err(Cause::ManifestUnsupported(format!(
                "it is not a container image but {}",
                crate::registry::clean(&kind)
            )));
        }
        if config.size > MAX_CONFIG_BYTES {
            return Err(Cause::ConfigInvalid(format!("it is larger than {MAX_CONFIG_BYTES} bytes")));
        }
        let layers = self.layers.unwrap_or_default();
        match layers.len() {
            0 => return Err(invalid("it has no layers, so there is nothing to run")),
            1..=MAX_LAYERS => {}
            many => return Err(invalid(&format!("it has {many} layers; the limit is {MAX_LAYERS}"))),
        }
        let layers = layers.into_iter().map(Descriptor::into_layer).collect::<Result<_, _>>()?;
        Ok(Manifest { media_type, config, layers })
    }

    fn into_index(self, media_type: String) -> Result<Index, Cause> {
        if self.layers.is_some() || self.config.is_some() {
            return Err(invalid("it is a manifest and an index at once"));
        }
        let entries = self.manifests.ok_or_else(|| invalid("it is an index without manifests"))?;
        Ok(Index { media_type, entries })
    }
}

impl Descriptor {
    fn into_layer(self) -> Result<ManifestLayer, Cause> {
        if !LAYER_TYPES.contains(&&*self.media_type) {
            return Err(Cause::ManifestUnsupported(format!(
                "layers of type {} are not supported",
                crate::registry::clean(&self.media_type)
            )));
        }
        if i64::try_from(self.size).is_err() {
            return Err(invalid("a layer's size is too large"));
        }
        Ok(ManifestLayer { digest: self.digest, size: self.size, media_type: self.media_type })
    }

    fn is_index(&self) -> bool {
        matches!(&*self.media_type, OCI_INDEX | DOCKER_LIST)
    }

    fn platform(&self) -> Option<Platform> {
        let platform = self.platform.clone()?;
        let clean = |text: &str| crate::registry::clean(text).chars().take(40).collect::<String>();
        Some(Platform {
            os: clean(&platform.os),
            architecture: clean(&platform.architecture),
            variant: platform.variant.as_deref().map(clean).filter(|variant| !variant.is_empty()),
        })
    }

    /// Provenance and the like, which builders put beside the images with a platform that is none.
    fn is_attestation(&self) -> bool {
        self.annotations.contains_key("vnd.docker.reference.type")
            || self.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown")
    }
}

impl Index {
    /// The entry to take: the first for this machine (without a variant, or `v1`), else the first image whose
    /// platform only its configuration tells, else the first index.
    pub fn choose(&self) -> Option<&Descriptor> {
        let images = || self.entries.iter().filter(|entry| !entry.is_index() && !entry.is_attestation());
        images()
            .find(|entry| entry.platform().is_some_and(|platform| platform.is_supported()))
            .or_else(|| images().find(|entry| entry.platform.is_none()))
            .or_else(|| self.entries.iter().find(|entry| entry.is_index()))
    }

    /// Every platform that is named, with its manifest.
    pub fn platforms(&self) -> Vec<(Platform, Digest)> {
        self.entries
            .iter()
            .filter(|entry| !entry.is_attestation())
            .filter_map(|entry| Some((entry.platform()?, entry.digest.clone())))
            .collect()
    }
}

/// Types that say nothing about what the bytes are.
fn is_general(content_type: &str) -> bool {
    matches!(
        content_type,
        "" | "application/json" | "application/octet-stream" | "text/plain" | "binary/octet-stream"
    )
}

fn invalid(reason: &str) -> Cause {
    Cause::ManifestInvalid(reason.to_owned())
}

/// Go programs write `null` for a map or list that is empty.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
