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

    /// Writes the record and makes it last.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = File::create_new(folder.join(NAME))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()
    }
}
