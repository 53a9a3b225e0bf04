//! An image as its registry gives it, written into a folder as an OCI layout (OCI image-spec, image-layout.md), for a
//! builder to build on. Nothing of it is unpacked and nothing of the layers is kept in the store.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use model::image::Digest;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;

use crate::disk::{Owner, has_room};
use crate::layer::{self, Repository, Slots, Taker};
use crate::manifest::{Manifest, OCI_MANIFEST, oci_layer_type, read_config};
use crate::registry::digest_of;
use crate::source;
use crate::{Cause, LayerInfo, Limits};

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The folder's own mode decides who may read what is in it.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Where an image comes from and goes to.
pub(crate) struct Export<'a> {
    pub from: Repository<'a>,
    pub slots: &'a Slots,
    pub limits: Limits,
    pub parallel_layers: usize,
    /// Empty.
    pub into: &'a Path,
}

impl Export<'_> {
    /// Writes the layout of a verified manifest. `index.json` comes last, so a layout that has one is whole.
    ///
    /// The manifest is made anew, of what was checked: another program reads other fields, and reads the same ones
    /// differently. An image with Docker's media types thus becomes one with OCI's.
    pub async fn run(&self, manifest: &Manifest, config: &[u8]) -> Result<(), Cause> {
        let layers = source::layers(manifest, &read_config(config, manifest.layers.len())?);
        let mut known = HashSet::new();
        let layers: Vec<&LayerInfo> = layers.iter().filter(|layer| known.insert(&layer.digest)).collect();
        layer::check_sizes(self.limits.unpacked_bytes, self.into, &layers)?;
        self.make_folders()?;
        // Boxed and listed, because the compiler cannot prove of the lazy chain that it may move between threads.
        let work: Vec<_> = layers.into_iter().map(|layer| self.bring(layer).boxed()).collect();
        stream::iter(work).buffer_unordered(self.parallel_layers.max(1)).try_collect::<Vec<()>>().await?;
        self.write_documents(manifest, config)
    }

    fn blobs(&self) -> PathBuf {
        self.into.join("blobs").join("sha256")
    }

    fn make_folders(&self) -> Result<(), Cause> {
        let blobs = self.blobs();
        let make = |folder: &Path| DirBuilder::new().mode(FOLDER_MODE).create(folder);
        let made = make(&self.into.join("blobs")).and_then(|()| make(&blobs));
        made.map_err(|error| Cause::storage("make", blobs, error))
    }

    /// Brings a layer as it travels. Bytes that are not those of its digest may have been changed on the way, so they
    /// are asked for once more.
    async fn bring(&self, layer: &LayerInfo) -> Result<(), Cause> {
        let _slot = self.slots.acquire(Owner::Company(self.from.caller.owner)).await;
        match self.bring_once(layer).await {
            Err(cause @ Cause::DigestMismatch { .. }) => {
                tracing::warn!(layer = %layer.digest, %cause, "a layer did not match its digest and is fetched again");
                self.bring_once(layer).await
            }
            other => other,
        }
    }

    async fn bring_once(&self, layer: &LayerInfo) -> Result<(), Cause> {
        has_room(self.into, layer.size)?;
        let place = self.blobs().join(layer.digest.hex());
        let part = Part(place.with_extension("part"));
        let failed = |error| Cause::storage("write", &place, error);
        let file = new_file(&part.0).map_err(failed)?;
        let mut blob = Blob {
            file: tokio::fs::File::from_std(file),
            hash: Sha256::new(),
            done: 0,
            size: layer.size,
            failure: None,
        };
        layer::stream_registry(self.from, layer, &mut blob).await?;
        if let Some(error) = blob.failure.take().or(blob.file.flush().await.err()) {
            return Err(failed(error));
        }
        blob.check(&layer.digest)?;
        fs::rename(&part.0, &place).map_err(failed)
    }

    fn write_documents(&self, manifest: &Manifest, config: &[u8]) -> Result<(), Cause> {
        let document = oci_manifest(manifest, config).to_string().into_bytes();
        let digest = digest_of(&document);
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": OCI_MANIFEST,
            "digest": digest.as_str(),
            "size": document.len(),
            "platform": {"os": "linux", "architecture": "amd64"},
        }]});
        let blobs = self.blobs();
        write(&blobs.join(manifest.config.digest.hex()), config)?;
        write(&blobs.join(digest.hex()), &document)?;
        write(&self.into.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        // Whole at once, also for who looks while it is written.
        let part = Part(self.into.join("index.json.part"));
        write(&part.0, index.to_string().as_bytes())?;
        let place = self.into.join("index.json");
        fs::rename(&part.0, &place).map_err(|error| Cause::storage("write", place, error))
    }
}

/// A file that is removed when it is dropped, unless it was renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A layer that is being written.
struct Blob {
    file: tokio::fs::File,
    hash: Sha256,
    done: u64,
    size: u64,
    failure: Option<io::Error>,
}

impl Taker for Blob {
    /// Takes the next bytes; more than the promised size is not taken.
    async fn take(&mut self, bytes: &[u8]) -> bool {
        self.hash.update(bytes);
        self.done += bytes.len() as u64;
        if self.done > self.size {
            return false;
        }
        self.failure = self.file.write_all(bytes).await.err();
        self.failure.is_none()
    }

    fn done(&self) -> u64 {
        self.done
    }
}

impl Blob {
    fn check(self, digest: &Digest) -> Result<(), Cause> {
        if self.done > self.size {
            return Err(Cause::DigestMismatch {
                what: "a layer's size",
                expected: format!("{} bytes", self.size),
                actual: "more".to_owned(),
            });
        }
        let actual = Digest::from_sha256(self.hash.finalize().into());
        match actual == *digest {
            true => Ok(()),
            false => Err(Cause::DigestMismatch {
                what: "a layer",
                expected: digest.to_string(),
                actual: actual.to_string(),
            }),
        }
    }
}

/// The same image in OCI's words.
fn oci_manifest(manifest: &Manifest, config: &[u8]) -> serde_json::Value {
    let layers: Vec<_> = manifest
        .layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": oci_layer_type(&layer.media_type),
                "digest": layer.digest.as_str(),
                "size": layer.size,
            })
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": OCI_CONFIG,
            "digest": manifest.config.digest.as_str(),
            "size": config.len(),
        },
        "layers": layers,
    })
}

/// A file that is not there yet, or is what a try before left.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

fn write(path: &Path, content: &[u8]) -> Result<(), Cause> {
    let written = new_file(path).and_then(|mut file| file.write_all(content));
    written.map_err(|error| Cause::storage("write", path, error))
}
