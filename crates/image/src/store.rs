//! The image store: what callers do with images.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use model::image::{DiffId, Digest, Reference, RootFs};
use model::{CompanyId, Phase};

use crate::disk::{Folders, Locks, Owner, bringing};
use crate::export::Export;
use crate::layer::{self, Budget, Origin, Repository, Slots, Tools};
use crate::local::Layout;
use crate::registry::{Caller, Client, Fetched, What};
use crate::source::{self, Source};
use crate::sweep::{Sweep, Swept};
use crate::{Cause, Config, ImageError, LayerInfo, LayerState, Login, Progress, Resolved, Verdict};

/// Images of this machine and the way to more of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    folders: Folders,
    client: Client,
    /// One download of a layer for one owner.
    downloads: Locks<(Owner, DiffId)>,
    /// One at a time changes whether a layer is in place.
    places: Locks<DiffId>,
    slots: Slots,
}

impl ImageStore {
    /// Opens the store, makes its folders and removes what an interrupted pull left. One store at a time may be
    /// open on a folder.
    pub fn open(config: Config) -> Result<Self, ImageError> {
        let failed = |cause| ImageError::new("images", Phase::Pull, cause);
        let folders = Folders::open(&config.root).map_err(failed)?;
        let client = Client::new(&config).map_err(failed)?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                folders,
                client,
                downloads: Locks::default(),
                places: Locks::default(),
                slots: Slots::default(),
            }),
        })
    }

    /// Reference to manifest and configuration, verified and kept. Asks the registry every time, on behalf of
    /// `owner` and with the login it chose, except for an image loaded on this machine.
    pub async fn resolve(
        &self,
        reference: &Reference,
        login: Option<&Login>,
        owner: CompanyId,
    ) -> Result<Resolved, ImageError> {
        let caller = Caller { login, owner };
        let resolved = self.inner.resolve(reference, caller).await;
        resolved.map_err(|cause| ImageError::new(reference, Phase::Resolve, caller.withheld(cause)))
    }

    /// Brings the layers of a resolved manifest in place. Safe to repeat; no network at all when everything
    /// is here and `owner` downloaded it before. Dropped half-way, it leaves nothing behind.
    pub async fn fetch(
        &self,
        manifest: &Digest,
        reference: &Reference,
        login: Option<&Login>,
        owner: CompanyId,
        progress: &Progress,
    ) -> Result<RootFs, ImageError> {
        let caller = Caller { login, owner };
        let fetched = self.inner.fetch(manifest, reference, caller, progress).await;
        fetched.map_err(|cause| ImageError::new(reference, Phase::Pull, caller.withheld(cause)))
    }

    /// Tries a login at a registry (`host` as references write it), without pulling anything. The verdict is the
    /// registry's; an error means that it gave none: not reached, not trusted, too slow, rate limited.
    pub async fn verify(&self, host: &str, login: &Login, owner: CompanyId) -> Result<Verdict, ImageError> {
        let caller = Caller { login: Some(login), owner };
        let verdict = self.inner.client.verify(host, caller).await;
        verdict.map_err(|cause| ImageError::of_login(host, caller.withheld(cause)))
    }

    /// The root filesystem of a manifest, from disk only; `None` when a part of it is not here, or not for `owner`,
    /// who never had it. It waits for the disk.
    pub fn rootfs_for(&self, manifest: &Digest, owner: CompanyId) -> Result<Option<RootFs>, ImageError> {
        let rootfs = self.inner.rootfs_for(manifest, Owner::Company(owner));
        rootfs.map_err(|cause| ImageError::new(manifest, Phase::Pull, cause))
    }

    /// Loads an OCI layout (a tar or a folder) and names it `localhost/NAME:TAG`, its layers in place.
    pub async fn load(&self, oci_archive: &Path, name: &Reference) -> Result<Resolved, ImageError> {
        self.inner.load(oci_archive, name).await.map_err(|cause| ImageError::new(name, Phase::Pull, cause))
    }

    /// Writes a resolved image into an empty folder as an OCI layout with one manifest, its layers as they travel, each
    /// verified. They are downloaded each time, as `owner` and with this login, which proves that it may have them.
    /// What is written says the same as the registry's manifest and may have another digest. Dropped half-way, it
    /// leaves a folder without `index.json`.
    pub async fn export(
        &self,
        manifest: &Digest,
        reference: &Reference,
        login: Option<&Login>,
        owner: CompanyId,
        into: &Path,
    ) -> Result<(), ImageError> {
        let caller = Caller { login, owner };
        let exported = self.inner.export(manifest, reference, caller, into).await;
        exported.map_err(|cause| ImageError::new(reference, Phase::Pull, caller.withheld(cause)))
    }

    /// Takes the one image of an OCI layout, a folder that a build wrote and nobody needs to trust: its layers come in
    /// place, and nobody but `owner` may use them for it. `name` is for words. It gets no name, so its manifest belongs
    /// in what a sweep keeps; callers keep the sweep away until it is written down there.
    pub async fn take(
        &self,
        layout: &Path,
        name: &Reference,
        owner: CompanyId,
    ) -> Result<Resolved, ImageError> {
        let taken = self.inner.take(layout, Owner::Company(owner)).await;
        taken.map_err(|cause| ImageError::new(name, Phase::Build, cause))
    }

    /// Removes every layer and document that no manifest of `keep` and no loaded image needs. A layer
    /// that a pull puts in place right now stays; what it has finished goes, so manifests of deployments under way belong in
    /// `keep`. Nothing is removed while another process loads an image, nor when a document of a kept image is
    /// damaged, because then nobody knows which layers it needs. It waits for the disk, which may take long.
    pub fn sweep(&self, keep: &[Digest]) -> Result<Swept, ImageError> {
        let sweep = Sweep { folders: &self.inner.folders, places: &self.inner.places };
        sweep.run(keep).map_err(|cause| ImageError::new("images", Phase::Pull, cause))
    }

    /// Where layers are: the files of one are in `<layers_root>/<diff id hex>/fs`.
    pub fn layers_root(&self) -> PathBuf {
        self.inner.folders.layers()
    }
}

impl Inner {
    async fn resolve(&self, reference: &Reference, caller: Caller<'_>) -> Result<Resolved, Cause> {
        if reference.is_local() {
            return self.resolve_local(reference).await;
        }
        let place = self.client.place(reference)?;
        let what = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => What::Digest(digest),
            (None, tag) => What::Tag(tag.unwrap_or("latest")),
        };
        self.client.prove_anew(&place, caller);
        let top = self.client.manifest(&place, what, caller).await?;
        let source = Source::Registry { client: &self.client, place: &place, caller };
        source::resolve(source, top, &self.folders).await
    }

    async fn resolve_local(&self, reference: &Reference) -> Result<Resolved, Cause> {
        let name = self.folders.local_name(reference).ok_or(Cause::NotLoaded)?;
        let bytes = self.folders.read_blob(&name.digest).ok_or(Cause::NotLoaded)?;
        let top =
            Fetched { bytes, digest: name.digest, content_type: Some(name.media_type), with_login: false };
        source::resolve(Source::Kept, top, &self.folders).await
    }

    async fn fetch(
        &self,
        manifest: &Digest,
        reference: &Reference,
        caller: Caller<'_>,
        progress: &Progress,
    ) -> Result<RootFs, Cause> {
        let is_local = reference.is_local();
        let owner = Owner::Company(caller.owner);
        let layers = match source::kept_for(owner, manifest, &self.folders)? {
            Some(layers) => layers,
            None if is_local => return Err(Cause::NotLoaded),
            None => self.fetch_documents(manifest, reference, caller).await?,
        };
        // Loading or building put the layers in place; there is nowhere else to get them from.
        if let Some(missing) = is_local.then(|| self.missing(&layers, owner)).flatten() {
            return Err(Cause::LayerNotHere(missing.diff_id.clone()));
        }
        let place = self.client.place(reference)?;
        let origin = Origin::Registry { client: &self.client, place: &place, caller };
        self.bring_all(origin, &layers, progress).await?;
        let folders = self.folders.clone();
        blocking(move || assemble(&folders, &layers)).await
    }

    /// The first layer that is not in place, or not for its owner. One that comes again is looked at once.
    fn missing<'a>(&self, layers: &'a [LayerInfo], owner: Owner) -> Option<&'a LayerInfo> {
        let mut known = HashSet::new();
        let mut distinct = layers.iter().filter(|layer| known.insert(&layer.diff_id));
        distinct.find(|layer| layer::here(&self.folders, &layer.diff_id, owner).is_none())
    }

    /// Gets a manifest and its configuration again, which are no longer kept, or not for this caller.
    async fn fetch_documents(
        &self,
        manifest: &Digest,
        reference: &Reference,
        caller: Caller<'_>,
    ) -> Result<Vec<LayerInfo>, Cause> {
        let place = self.client.place(reference)?;
        let top = self.client.manifest(&place, What::Digest(manifest), caller).await?;
        let source = Source::Registry { client: &self.client, place: &place, caller };
        Ok(source::resolve(source, top, &self.folders).await?.layers)
    }

    /// Brings layers in place, a few at a time, and one that the image names more than once only once. The first
    /// failure ends the others.
    async fn bring_all(
        &self,
        origin: Origin<'_>,
        layers: &[LayerInfo],
        progress: &Progress,
    ) -> Result<(), Cause> {
        progress.begin(layers.iter().map(|layer| (layer.digest.clone(), layer.size)));
        let budget = Budget::new(self.config.limits.unpacked_bytes);
        let tools = Tools {
            config: &self.config,
            budget: &budget,
            folders: &self.folders,
            downloads: &self.downloads,
            places: &self.places,
            slots: &self.slots,
        };
        let mut known = HashSet::new();
        let (first, again): (Vec<_>, Vec<_>) =
            layers.iter().enumerate().partition(|(_, layer)| known.insert(&layer.diff_id));
        let is_missing =
            |layer: &&LayerInfo| layer::here(&self.folders, &layer.diff_id, origin.owner()).is_none();
        let missing: Vec<_> = first.iter().map(|(_, layer)| *layer).filter(is_missing).collect();
        layer::check_sizes(self.config.limits.unpacked_bytes, self.folders.root(), &missing)?;
        // Boxed and listed, because the compiler cannot prove of the lazy chain that it may move between threads.
        let work: Vec<_> = first
            .into_iter()
            .map(|(index, layer)| layer::bring(tools, origin, layer, progress, index).boxed())
            .collect();
        stream::iter(work)
            .buffer_unordered(self.config.parallel_layers.max(1))
            .try_collect::<Vec<()>>()
            .await?;
        for (index, _) in again {
            progress.set_state(index, LayerState::Shared);
        }
        Ok(())
    }

    fn rootfs_for(&self, manifest: &Digest, owner: Owner) -> Result<Option<RootFs>, Cause> {
        let Some(layers) = source::kept_for(owner, manifest, &self.folders)? else { return Ok(None) };
        if self.missing(&layers, owner).is_some() {
            return Ok(None);
        }
        match assemble(&self.folders, &layers) {
            Ok(rootfs) => Ok(Some(rootfs)),
            Err(Cause::LayerNotHere(_)) => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    async fn load(&self, archive: &Path, name: &Reference) -> Result<Resolved, Cause> {
        if !name.is_local() {
            let reason = format!("it would be called {name}; a loaded image is called localhost/NAME:TAG");
            return Err(Cause::NotALayout { path: archive.to_owned(), reason });
        }
        let _bringing = bringing(self.folders.root())
            .map_err(|error| Cause::storage("lock", self.folders.root(), error))?;
        let (path, tag, folders) = (archive.to_owned(), name.tag().map(str::to_owned), self.folders.clone());
        let layout = blocking(move || Layout::open(&path, tag.as_deref(), &folders)).await?;
        let resolved = self.bring_layout(&layout, Owner::Everybody).await?;
        self.folders.set_local_name(name, &resolved.digest, &resolved.media_type)?;
        Ok(resolved)
    }

    async fn take(&self, layout: &Path, owner: Owner) -> Result<Resolved, Cause> {
        let _bringing = bringing(self.folders.root())
            .map_err(|error| Cause::storage("lock", self.folders.root(), error))?;
        let path = layout.to_owned();
        let layout = blocking(move || Layout::open_foreign(&path)).await?;
        self.bring_layout(&layout, owner).await
    }

    /// Brings the image of a layout in place: documents first, as from a registry.
    async fn bring_layout(&self, layout: &Layout, owner: Owner) -> Result<Resolved, Cause> {
        let source = Source::Layout(layout, owner);
        let top = Fetched::here(source.stored(&layout.digest)?, &layout.digest);
        let resolved = source::resolve(source, top, &self.folders).await?;
        self.bring_all(Origin::Layout(layout, owner), &resolved.layers, &Progress::new()).await?;
        Ok(resolved)
    }

    async fn export(
        &self,
        manifest: &Digest,
        reference: &Reference,
        caller: Caller<'_>,
        into: &Path,
    ) -> Result<(), Cause> {
        if reference.is_local() {
            return Err(Cause::LoadedOnly);
        }
        let owner = Owner::Company(caller.owner);
        if source::kept_for(owner, manifest, &self.folders)?.is_none() {
            self.fetch_documents(manifest, reference, caller).await?;
        }
        let documents = source::own_documents(owner, manifest, &self.folders)?;
        let (manifest, config) = documents
            .ok_or_else(|| Cause::ManifestInvalid(format!("{manifest} is no manifest of an image")))?;
        let place = self.client.place(reference)?;
        let idle = self.config.timeouts.idle;
        let export = Export {
            from: Repository { client: &self.client, place: &place, caller, idle },
            slots: &self.slots,
            limits: self.config.limits,
            parallel_layers: self.config.parallel_layers,
            into,
        };
        export.run(&manifest, &config).await
    }
}

/// Work that waits for the disk, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Cause> + Send + 'static,
) -> Result<T, Cause> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Cause::Unpack(error.to_string())))
}

fn assemble(folders: &Folders, layers: &[LayerInfo]) -> Result<RootFs, Cause> {
    let layers: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let dir_fixes = layer::dir_fixes(folders, &layers)?;
    Ok(RootFs { layers, dir_fixes })
}
