//! Images on disk: OCI layouts as folders and tars.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::{Built, Tar, digest};

impl Built {
    /// Every file of the layout: path and content.
    fn layout(&self, tag: &str) -> Vec<(String, Vec<u8>)> {
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.document.len(),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }]});
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.to_string().into_bytes()),
        ];
        let manifests = self.manifests.iter().map(|(_, document)| document);
        for blob in self.blobs.iter().chain(manifests).chain([&self.document]) {
            let name = format!("blobs/{}", digest(blob).replace(':', "/"));
            if !files.iter().any(|(known, _)| *known == name) {
                files.push((name, blob.clone()));
            }
        }
        files
    }

    /// Writes an OCI layout into a folder, which is made.
    pub fn write_layout(&self, folder: &Path, tag: &str) -> Result<()> {
        for (name, content) in self.layout(tag) {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a file has a folder"))?;
            fs::write(path, content)?;
        }
        Ok(())
    }

    /// Writes an OCI layout as a tar.
    pub fn write_archive(&self, file: &Path, tag: &str) -> Result<()> {
        let tar = self
            .layout(tag)
            .into_iter()
            .fold(Tar::new(), |tar, (name, content)| tar.file(&name, content, 0o644));
        Ok(fs::write(file, tar.finish())?)
    }
}
