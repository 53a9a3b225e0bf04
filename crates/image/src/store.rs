//! The image store: what callers do with images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::image::{Digest, Reference, RootFs};

use crate::{Config, ImageError, Login, Progress, Resolved};

/// Images of this machine and the way to more of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
}

/// What [`ImageStore::sweep`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub layers: usize,
    /// Manifests, indexes and configurations.
    pub documents: usize,
}

impl ImageStore {
    /// Opens the store, makes its folders and removes what an interrupted pull left.
    pub fn open(config: Config) -> Result<Self, ImageError> {
        Ok(Self { inner: Arc::new(Inner { config }) })
    }

    /// Reference to manifest and configuration, verified and kept. Asks the registry every time, except for
    /// an image loaded on this machine.
    pub async fn resolve(
        &self,
        reference: &Reference,
        login: Option<&Login>,
    ) -> Result<Resolved, ImageError> {
        let _ = (reference, login);
        unreachable!()
    }

    /// Brings the layers of a resolved manifest in place. Safe to repeat; no network at all when everything
    /// is here.
    pub async fn fetch(
        &self,
        manifest: &Digest,
        reference: &Reference,
        login: Option<&Login>,
        progress: &Progress,
    ) -> Result<RootFs, ImageError> {
        let _ = (manifest, reference, login, progress);
        unreachable!()
    }

    /// The root filesystem of a manifest whose layers are all here, from disk only.
    pub fn rootfs(&self, manifest: &Digest) -> Result<Option<RootFs>, ImageError> {
        let _ = manifest;
        Ok(None)
    }

    /// Loads an OCI layout (a tar or a folder) and names it `localhost/NAME:TAG`.
    pub async fn load(&self, oci_archive: &Path, name: &Reference) -> Result<Resolved, ImageError> {
        let _ = (oci_archive, name);
        unreachable!()
    }

    /// Removes every layer and document that no manifest of `keep` and no loaded image needs.
    pub fn sweep(&self, keep: &[Digest]) -> Result<Swept, ImageError> {
        let _ = keep;
        Ok(Swept::default())
    }

    /// Where layers are: the files of one are in `<layers_root>/<diff id hex>/fs`.
    pub fn layers_root(&self) -> PathBuf {
        self.inner.config.root.join("layers")
    }
}
