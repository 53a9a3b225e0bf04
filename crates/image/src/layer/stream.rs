//! The bytes of a layer on their way, in their order, from a registry or a layout to whoever takes them.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::pace::Pace;
use crate::local::Layout;
use crate::registry::{BlobError, Caller, Client, Place};
use crate::{Cause, LayerInfo};

/// Connections in a row that bring (almost) nothing before a layer is given up.
const MAX_IDLE_TRIES: u32 = 4;
/// What a connection must bring to count as a step forward, in bytes.
const STEP: u64 = 64 << 10;

/// Takes bytes.
pub(crate) trait Taker: Send {
    /// Takes the next bytes. `false` when no more are wanted.
    fn take(&mut self, bytes: &[u8]) -> impl Future<Output = bool> + Send;

    /// How many were taken.
    fn done(&self) -> u64;
}

/// A registry's repository, asked for somebody.
#[derive(Clone, Copy)]
pub(crate) struct Repository<'a> {
    pub client: &'a Client,
    pub place: &'a Place,
    pub caller: Caller<'a>,
    /// Between two pieces of a layer.
    pub idle: Duration,
}

/// Streams from the registry, over as many connections as it takes.
pub(crate) async fn stream_registry(
    from: Repository<'_>,
    layer: &LayerInfo,
    taker: &mut impl Taker,
) -> Result<(), Cause> {
    let Repository { client, place, caller, idle } = from;
    let mut tries_left = MAX_IDLE_TRIES;
    let mut may_ask_range = true;
    loop {
        let before = taker.done();
        let from = if may_ask_range { before } else { 0 };
        let reason = match client.blob(place, &layer.digest, from, layer.size, caller).await {
            Ok(mut stream) => {
                // Bytes that were taken already are the same again, or the digest will tell.
                let mut skip = before - stream.offset;
                let mut pace = Pace::new(idle);
                loop {
                    let piece = match stream.next(&place.registry).await {
                        Ok(Some(piece)) => piece,
                        Ok(None) if taker.done() >= layer.size => return Ok(()),
                        Ok(None) => break "it ended too early".to_owned(),
                        Err(reason) => break reason,
                    };
                    if !pace.keeps_up(piece.len()) {
                        break "it sent less than 1 KiB a second".to_owned();
                    }
                    let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                    skip -= skipped as u64;
                    if !taker.take(&piece[skipped..]).await {
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
        tries_left = if taker.done() - before >= STEP { MAX_IDLE_TRIES } else { tries_left - 1 };
        if tries_left == 0 {
            return Err(Cause::ConnectionLost {
                registry: place.registry.clone(),
                layer: layer.digest.clone(),
                done: taker.done(),
                total: layer.size,
                reason,
            });
        }
        tracing::debug!(layer = %layer.digest, at = taker.done(), reason, "a connection broke and the layer is resumed");
        tokio::time::sleep(Duration::from_millis(200) * (MAX_IDLE_TRIES - tries_left)).await;
    }
}

/// Streams from a layout's file.
pub(super) async fn stream_layout(
    layout: &Layout,
    layer: &LayerInfo,
    taker: &mut impl Taker,
) -> Result<(), Cause> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Cause::LayerMissing { layer: layer.digest.clone() },
        _ => layout.unusable(&layer.digest, &error),
    };
    let mut file = tokio::fs::File::from_std(layout.open_blob(&layer.digest).map_err(failed)?);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = file.read(&mut buffer).await.map_err(failed)?;
        if count == 0 || !taker.take(&buffer[..count]).await {
            return Ok(());
        }
    }
}
