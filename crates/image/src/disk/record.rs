//! What is known of a layer in place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use model::image::DiffId;
use serde::{Deserialize, Serialize};

use crate::unpack::report::PathBytes;

const NAME: &str = "layer.json";

/// Written before the layer is renamed into place, so a layer in place has one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub diff_id: DiffId,
    /// Length of the uncompressed tar.
    pub bytes: u64,
    pub entries: u64,
    /// Directories that the tar implies but does not hold.
    pub implied_dirs: Vec<PathBytes>,
}

impl LayerRecord {
    /// Reads the record in a layer's folder; `None` when there is none that can be read.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(NAME)).ok()?).ok()
    }

    /// Whether there is one that can be read, for whoever replaces a layer that has none: a disk that does not
    /// answer is an error, so that it does not cost a layer in use its place.
    pub fn is_in(folder: &Path, diff_id: &DiffId) -> io::Result<bool> {
        match fs::read(folder.join(NAME)) {
            Ok(text) => {
                Ok(serde_json::from_slice::<Self>(&text).is_ok_and(|record| record.diff_id == *diff_id))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the record and makes it last.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = File::create_new(folder.join(NAME))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()
    }
}
