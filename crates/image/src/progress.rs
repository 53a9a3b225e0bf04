//! How far a pull got, readable while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use model::image::Digest;

/// Shared by the pull that writes and everybody who looks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    layers: Arc<Mutex<Vec<LayerProgress>>>,
}

/// One layer of the image, bottom layer first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    /// The compressed layer, as the manifest names it.
    pub digest: Digest,
    /// Compressed bytes received and unpacked.
    pub done_bytes: u64,
    /// Compressed bytes in all.
    pub total_bytes: u64,
    pub state: LayerState,
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerState {
    Waiting,
    Pulling,
    /// Fetched by this pull.
    Done,
    /// It was here already, or another pull brings it.
    Shared,
}

impl Progress {
    pub fn new() -> Self {
        Self::default()
    }

    /// Every layer as it stands now; empty before the manifest is known.
    pub fn snapshot(&self) -> Vec<LayerProgress> {
        self.lock().clone()
    }

    pub(crate) fn begin(&self, layers: impl Iterator<Item = (Digest, u64)>) {
        *self.lock() = layers
            .map(|(digest, total_bytes)| LayerProgress {
                digest,
                done_bytes: 0,
                total_bytes,
                state: LayerState::Waiting,
            })
            .collect();
    }

    /// Notes the state of the layer at `index`; a finished layer has all its bytes.
    pub(crate) fn set_state(&self, index: usize, state: LayerState) {
        if let Some(layer) = self.lock().get_mut(index) {
            layer.state = state;
            if matches!(state, LayerState::Done | LayerState::Shared) {
                layer.done_bytes = layer.total_bytes;
            }
        }
    }

    pub(crate) fn set_done_bytes(&self, index: usize, done_bytes: u64) {
        if let Some(layer) = self.lock().get_mut(index) {
            layer.done_bytes = done_bytes;
        }
    }

    /// The list is replaced whole or changed in one field, so a poisoned lock still holds a sound one.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<LayerProgress>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
