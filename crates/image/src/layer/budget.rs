//! What the layers of one image may hold in all.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Cause, LayerInfo};

/// Unpacked bytes, of every layer that is here or came.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    /// What a layer that begins now may hold. Others may be under way, so it is taken only when a layer is whole.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Takes what a layer holds; refused when all together hold more than the image may.
    pub fn take(&self, bytes: u64, layer: &LayerInfo) -> Result<(), Cause> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if used <= self.limit {
            return Ok(());
        }
        let reason =
            format!("with the image's other layers it holds {used} bytes; the limit is {}", self.limit);
        Err(Cause::LayerInvalid { layer: layer.digest.clone(), reason })
    }
}
