//! One layer, from where it comes to its place, in one stream: bytes are hashed as they arrive and go straight
//! to the unpack process. Nothing is kept of a try that failed.

use std::path::{Path, PathBuf};

use model::image::{DiffId, Digest};
use sha2::{Digest as _, Sha256};

use super::budget::Budget;
use super::place::put_in_place;
use super::slots::Slots;
use super::stream::{Repository, Taker, stream_layout, stream_registry};
use super::unpacker::{Unpacker, discard};
use crate::disk::{Folders, LayerRecord, Locks, Owner, Scratch, has_room};
use crate::local::Layout;
use crate::registry::{Caller, Client, Place};
use crate::unpack::report::{Refusal, RefusalKind, Unpacked};
use crate::{Cause, Config, LayerInfo, LayerState, Progress};

/// Where layers come from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    Registry {
        client: &'a Client,
        place: &'a Place,
        caller: Caller<'a>,
    },
    /// An OCI layout, read for somebody.
    Layout(&'a Layout, Owner),
}

impl Origin<'_> {
    /// For whom it is brought.
    pub fn owner(&self) -> Owner {
        match self {
            Origin::Registry { caller, .. } => Owner::Company(caller.owner),
            Origin::Layout(_, owner) => *owner,
        }
    }
}

/// What bringing a layer needs to know.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub config: &'a Config,
    /// Of the image that the layer is for.
    pub budget: &'a Budget,
    pub folders: &'a Folders,
    pub downloads: &'a Locks<(Owner, DiffId)>,
    pub places: &'a Locks<DiffId>,
    pub slots: &'a Slots,
}

/// Why a try ended.
enum Failed {
    Final(Cause),
    /// The bytes were not those of the digest; the connection may be to blame, once.
    Mismatch(Cause),
}

/// How far a layer got, for whoever watches.
struct Watched<'a> {
    progress: &'a Progress,
    index: usize,
}

/// Brings a layer in place, unless it is there and its owner has had it before. Two pulls of an owner that want it
/// at once share one download: the second waits for the first. What another owner has is brought again, to the
/// last byte, because nothing less proves that this one may have it; its files are then the same. No owner waits
/// for another one's download.
pub(crate) async fn bring(
    tools: Tools<'_>,
    origin: Origin<'_>,
    layer: &LayerInfo,
    progress: &Progress,
    index: usize,
) -> Result<(), Cause> {
    let owner = origin.owner();
    let here = || here(tools.folders, &layer.diff_id, owner);
    let shared = |record: LayerRecord| {
        progress.set_state(index, LayerState::Shared);
        tools.budget.take(record.bytes, layer)
    };
    if let Some(record) = here() {
        return shared(record);
    }
    let lock = tools.downloads.lock((owner, layer.diff_id.clone())).await;
    if let Some(record) = here() {
        return shared(record);
    }
    // Whoever has a slot has its lock already, so nobody waits for a lock with a slot in hand.
    let _slot = tools.slots.acquire(owner).await;
    progress.set_state(index, LayerState::Pulling);
    let watched = Watched { progress, index };
    let first = bring_once(tools, origin, layer, &watched).await;
    let result = match first {
        Err(Failed::Mismatch(cause)) => {
            tracing::warn!(layer = %layer.digest, %cause, "a layer did not match its digest and is fetched again");
            bring_once(tools, origin, layer, &watched).await
        }
        other => other,
    };
    let (unpacked, scratch) = result.map_err(|(Failed::Final(cause) | Failed::Mismatch(cause))| cause)?;
    if let Err(cause) = tools.budget.take(unpacked.bytes, layer) {
        discard(scratch).await;
        return Err(cause);
    }
    let (folders, places, diff_id) = (tools.folders.clone(), tools.places.clone(), layer.diff_id.clone());
    // The lock goes along: should nobody wait any more, the layer is still put in place by one only.
    let placed = tokio::task::spawn_blocking(move || {
        let _downloaded = lock;
        let _place = places.blocking_lock(diff_id.clone());
        put_in_place(&folders, &scratch, &diff_id, unpacked)?;
        folders.prove(diff_id.hex(), owner)
    });
    placed.await.unwrap_or_else(|error| Err(Cause::Unpack(error.to_string())))?;
    failpoint::reach("S7");
    progress.set_state(index, LayerState::Done);
    Ok(())
}

/// Refuses what cannot be brought, before anything of it is: layers beyond the limit of bytes, or more than the disk of
/// a folder has room for. Unpacked they hardly ever take less.
pub(crate) fn check_sizes(limit: u64, folder: &Path, missing: &[&LayerInfo]) -> Result<(), Cause> {
    if let Some(layer) = missing.iter().find(|layer| layer.size > limit) {
        let reason = format!("it has {} bytes; the limit is {limit}", layer.size);
        return Err(Cause::LayerInvalid { layer: layer.digest.clone(), reason });
    }
    match missing.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size)) {
        0 => Ok(()),
        bytes => has_room(folder, bytes),
    }
}

/// A layer that is in place, if its owner may use it.
pub(crate) fn here(folders: &Folders, diff_id: &DiffId, owner: Owner) -> Option<LayerRecord> {
    folders.is_proven(diff_id.hex(), owner).then(|| folders.layer_record(diff_id)).flatten()
}

async fn bring_once(
    tools: Tools<'_>,
    origin: Origin<'_>,
    layer: &LayerInfo,
    watched: &Watched<'_>,
) -> Result<(Unpacked, Scratch), Failed> {
    tools.folders.has_room_for(layer.size).map_err(Failed::Final)?;
    let scratch = tools.folders.scratch().map_err(Failed::Final)?;
    let mut sink = Sink {
        unpacker: Unpacker::start(tools.config, scratch, tools.budget.left()).map_err(Failed::Final)?,
        refusal: None,
        hash: Sha256::new(),
        done: 0,
        size: layer.size,
        watched,
    };
    match origin {
        Origin::Registry { client, place, caller } => {
            let idle = tools.config.timeouts.idle;
            stream_registry(Repository { client, place, caller, idle }, layer, &mut sink).await
        }
        Origin::Layout(layout, _) => stream_layout(layout, layer, &mut sink).await,
    }
    .map_err(Failed::Final)?;
    sink.finish(layer, tools.folders.tmp()).await
}

/// Where the bytes of a layer go.
struct Sink<'a> {
    unpacker: Unpacker,
    /// Why the process ended before its input did.
    refusal: Option<Refusal>,
    hash: Sha256,
    done: u64,
    size: u64,
    watched: &'a Watched<'a>,
}

impl Taker for Sink<'_> {
    /// Takes the next bytes; more than the promised size is not taken.
    ///
    /// Bytes that cannot be unpacked may have been changed on the way, so the rest is still hashed: a wrong
    /// digest is the better answer, and another try may help then.
    async fn take(&mut self, bytes: &[u8]) -> bool {
        self.hash.update(bytes);
        self.done += bytes.len() as u64;
        if self.done > self.size {
            return false;
        }
        if self.refusal.is_none() && !self.unpacker.feed(bytes).await {
            let early = || Refusal { kind: RefusalKind::Internal, reason: "it stopped reading".to_owned() };
            self.refusal = Some(self.unpacker.finish().await.err().unwrap_or_else(early));
        }
        self.watched.progress.set_done_bytes(self.watched.index, self.done);
        if self.done >= self.size / 2 {
            failpoint::reach("S4");
        }
        self.refusal.as_ref().is_none_or(|refusal| refusal.kind == RefusalKind::Invalid)
    }

    fn done(&self) -> u64 {
        self.done
    }
}

impl Sink<'_> {
    /// Ends the stream and compares: size and digest of what came, then the digest of what came out of it.
    async fn finish(mut self, layer: &LayerInfo, folder: PathBuf) -> Result<(Unpacked, Scratch), Failed> {
        if let Some(refusal) = self.refusal.as_ref().filter(|refusal| refusal.kind != RefusalKind::Invalid) {
            return Err(Failed::Final(refused(refusal, layer, folder)));
        }
        if self.done > self.size {
            return Err(Failed::Mismatch(Cause::DigestMismatch {
                what: "a layer's size",
                expected: format!("{} bytes", self.size),
                actual: "more".to_owned(),
            }));
        }
        let actual = Digest::from_sha256(self.hash.finalize().into());
        if actual != layer.digest {
            return Err(Failed::Mismatch(Cause::DigestMismatch {
                what: "a layer",
                expected: layer.digest.to_string(),
                actual: actual.to_string(),
            }));
        }
        let unpacked = match self.refusal {
            None => self.unpacker.finish().await,
            Some(refusal) => Err(refusal),
        };
        let (unpacked, scratch) =
            unpacked.map_err(|refusal| Failed::Final(refused(&refusal, layer, folder)))?;
        if unpacked.diff_id != layer.diff_id.as_str() {
            discard(scratch).await;
            return Err(Failed::Final(Cause::DigestMismatch {
                what: "a layer's content",
                expected: layer.diff_id.to_string(),
                actual: unpacked.diff_id,
            }));
        }
        Ok((unpacked, scratch))
    }
}

/// What the unpack process said, as a cause.
fn refused(refusal: &Refusal, layer: &LayerInfo, folder: PathBuf) -> Cause {
    let reason = refusal.reason.clone();
    match refusal.kind {
        RefusalKind::Invalid => Cause::LayerInvalid { layer: layer.digest.clone(), reason },
        RefusalKind::DiskFull => Cause::DiskFull { folder, why: reason },
        RefusalKind::Internal => Cause::Unpack(reason),
    }
}
