//! One layer, from where it comes to its place, in one stream: bytes are hashed as they arrive and go straight
//! to the unpack process. Nothing is kept of a try that failed.

use std::path::PathBuf;

use model::image::{DiffId, Digest};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;

use super::budget::Budget;
use super::pace::Pace;
use super::place::put_in_place;
use super::slots::Slots;
use super::unpacker::{Unpacker, discard};
use crate::disk::{Folders, LayerRecord, Locks, Owner, Scratch};
use crate::registry::{BlobError, Caller, Client, Place};
use crate::unpack::report::{Refusal, RefusalKind, Unpacked};
use crate::{Cause, Config, LayerInfo, LayerState, Progress};

/// Connections in a row that bring (almost) nothing before a layer is given up.
const MAX_IDLE_TRIES: u32 = 4;
/// What a connection must bring to count as a step forward, in bytes.
const STEP: u64 = 64 << 10;

/// Where layers come from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    Registry {
        client: &'a Client,
        place: &'a Place,
        caller: Caller<'a>,
    },
    /// Blobs of an OCI layout, by digest.
    Folder(&'a PathBuf),
}

impl Origin<'_> {
    /// For whom it is brought.
    pub fn owner(&self) -> Owner {
        match self {
            Origin::Registry { caller, .. } => Owner::Company(caller.owner),
            Origin::Folder(_) => Owner::Everybody,
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

/// Refuses what cannot be brought, before anything of it is: layers beyond the limit, or more than the disk has room
/// for. Unpacked they hardly ever take less.
pub(crate) fn check_sizes(tools: Tools<'_>, missing: &[&LayerInfo]) -> Result<(), Cause> {
    let limit = tools.config.limits.unpacked_bytes;
    if let Some(layer) = missing.iter().find(|layer| layer.size > limit) {
        let reason = format!("it has {} bytes; the limit is {limit}", layer.size);
        return Err(Cause::LayerInvalid { layer: layer.digest.clone(), reason });
    }
    match missing.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size)) {
        0 => Ok(()),
        bytes => tools.folders.has_room_for(bytes),
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
            stream_registry(tools, (client, place, caller), layer, &mut sink).await.map_err(Failed::Final)?;
        }
        Origin::Folder(blobs) => stream_file(&blobs.join(layer.digest.hex()), layer, &mut sink).await?,
    }
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

impl Sink<'_> {
    /// Takes the next bytes; more than the promised size is not taken. `false` when no more are wanted.
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

/// Streams from the registry, over as many connections as it takes.
async fn stream_registry(
    tools: Tools<'_>,
    (client, place, caller): (&Client, &Place, Caller<'_>),
    layer: &LayerInfo,
    sink: &mut Sink<'_>,
) -> Result<(), Cause> {
    let mut tries_left = MAX_IDLE_TRIES;
    let mut may_ask_range = true;
    loop {
        let before = sink.done;
        let from = if may_ask_range { sink.done } else { 0 };
        let reason = match client.blob(place, &layer.digest, from, layer.size, caller).await {
            Ok(mut stream) => {
                // Bytes that were taken already are the same again, or the digest will tell.
                let mut skip = sink.done - stream.offset;
                let mut pace = Pace::new(tools.config.timeouts.idle);
                loop {
                    let piece = match stream.next(&place.registry).await {
                        Ok(Some(piece)) => piece,
                        Ok(None) if sink.done >= layer.size => return Ok(()),
                        Ok(None) => break "it ended too early".to_owned(),
                        Err(reason) => break reason,
                    };
                    if !pace.keeps_up(piece.len()) {
                        break "it sent less than 1 KiB a second".to_owned();
                    }
                    let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                    skip -= skipped as u64;
                    if !sink.take(&piece[skipped..]).await {
                        return Ok(());
                    }
                }
            }
            Err(BlobError::Broken(reason)) => reason,
            Err(BlobError::WrongRange) if may_ask_range => {
                may_ask_range = false;
                "it answered with another range than the one asked for".to_owned()
            }
            Err(BlobError::WrongRange) => "it answered with a range nobody asked for".to_owned(),
            Err(BlobError::Missing) => return Err(Cause::LayerMissing { layer: layer.digest.clone() }),
            Err(BlobError::Final(cause)) => return Err(cause),
        };
        tries_left = if sink.done - before >= STEP { MAX_IDLE_TRIES } else { tries_left - 1 };
        if tries_left == 0 {
            return Err(Cause::ConnectionLost {
                registry: place.registry.clone(),
                layer: layer.digest.clone(),
                done: sink.done,
                total: layer.size,
                reason,
            });
        }
        tracing::debug!(layer = %layer.digest, at = sink.done, reason, "a connection broke and the layer is resumed");
        tokio::time::sleep(std::time::Duration::from_millis(200) * (MAX_IDLE_TRIES - tries_left)).await;
    }
}

/// Streams from a file.
async fn stream_file(path: &PathBuf, layer: &LayerInfo, sink: &mut Sink<'_>) -> Result<(), Failed> {
    let failed = |error: std::io::Error| {
        Failed::Final(match error.kind() {
            std::io::ErrorKind::NotFound => Cause::LayerMissing { layer: layer.digest.clone() },
            _ => Cause::storage("read", path, error),
        })
    };
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = file.read(&mut buffer).await.map_err(failed)?;
        if count == 0 || !sink.take(&buffer[..count]).await {
            return Ok(());
        }
    }
}
