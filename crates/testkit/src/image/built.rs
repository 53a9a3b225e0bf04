//! Images and indexes: configuration, manifest, blobs.

use serde_json::{Value, json};

use super::{Layer, digest};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An image to be built: linux/amd64, OCI form, no layers.
#[derive(Clone, Debug)]
pub struct Image {
    layers: Vec<Layer>,
    os: String,
    architecture: String,
    process: Value,
    is_docker: bool,
}

/// An image, or an index with its images.
#[derive(Clone, Debug)]
pub struct Built {
    pub media_type: String,
    /// The manifest or index.
    pub document: Vec<u8>,
    pub digest: String,
    /// Manifests of an index, with their media types.
    pub manifests: Vec<(String, Vec<u8>)>,
    /// Configurations and layers.
    pub blobs: Vec<Vec<u8>>,
    /// What an index says the image is for.
    pub platform: (String, String),
}

/// An index to be built.
#[derive(Clone, Debug, Default)]
pub struct Index {
    entries: Vec<Built>,
}

impl Default for Image {
    fn default() -> Self {
        Self::new()
    }
}

impl Image {
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            process: json!({}),
            is_docker: false,
        }
    }

    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    #[must_use]
    pub fn platform(mut self, os: &str, architecture: &str) -> Self {
        (self.os, self.architecture) = (os.to_owned(), architecture.to_owned());
        self
    }

    /// Docker's media types in place of OCI's.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.is_docker = true;
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let entry = json!(format!("{name}={value}"));
        match self.process["Env"].as_array_mut() {
            Some(entries) => entries.push(entry),
            None => self.process["Env"] = json!([entry]),
        }
        self
    }

    #[must_use]
    pub fn entrypoint(self, arguments: &[&str]) -> Self {
        self.set("Entrypoint", json!(arguments))
    }

    #[must_use]
    pub fn cmd(self, arguments: &[&str]) -> Self {
        self.set("Cmd", json!(arguments))
    }

    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.set("User", json!(user))
    }

    #[must_use]
    pub fn working_dir(self, path: &str) -> Self {
        self.set("WorkingDir", json!(path))
    }

    #[must_use]
    pub fn stop_signal(self, signal: &str) -> Self {
        self.set("StopSignal", json!(signal))
    }

    #[must_use]
    pub fn expose(mut self, port: u16) -> Self {
        self.process["ExposedPorts"][format!("{port}/tcp")] = json!({});
        self
    }

    /// Any field of the configuration's `config`.
    #[must_use]
    pub fn set(mut self, field: &str, value: Value) -> Self {
        self.process[field] = value;
        self
    }

    pub fn build(self) -> Built {
        let diff_ids: Vec<&str> = self.layers.iter().map(|layer| &*layer.diff_id).collect();
        let config = json!({
            "architecture": self.architecture,
            "os": self.os,
            "created": "2024-01-02T03:04:05Z",
            "config": self.process,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        self.build_with_config(&config)
    }

    /// Builds around a configuration that need not fit the layers.
    pub fn build_with_config(self, config: &Value) -> Built {
        let config = config.to_string().into_bytes();
        let (media_type, config_type) = match self.is_docker {
            true => (DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json"),
            false => (OCI_MANIFEST, "application/vnd.oci.image.config.v1+json"),
        };
        let layer_type = |layer: &Layer| match self.is_docker {
            true => "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned(),
            false => layer.media_type.clone(),
        };
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| {
                json!({"mediaType": layer_type(layer), "digest": layer.digest, "size": layer.bytes.len()})
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": config_type, "digest": digest(&config), "size": config.len()},
            "layers": layers,
        });
        let mut blobs = vec![config];
        blobs.extend(self.layers.into_iter().map(|layer| layer.bytes));
        Built::new(media_type, manifest.to_string().into_bytes(), blobs, (self.os, self.architecture))
    }
}

impl Index {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn image(mut self, image: Built) -> Self {
        self.entries.push(image);
        self
    }

    pub fn build(self) -> Built {
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|image| {
                let (os, architecture) = &image.platform;
                json!({
                    "mediaType": image.media_type,
                    "digest": image.digest,
                    "size": image.document.len(),
                    "platform": {"os": os, "architecture": architecture},
                })
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
        let blobs = self.entries.iter().flat_map(|image| image.blobs.clone()).collect();
        let mut built = Built::new(OCI_INDEX, index.to_string().into_bytes(), blobs, Default::default());
        built.manifests = self.entries.into_iter().map(|image| (image.media_type, image.document)).collect();
        built
    }
}

impl Built {
    /// A document of any kind with its blobs.
    pub fn new(media_type: &str, document: Vec<u8>, blobs: Vec<Vec<u8>>, platform: (String, String)) -> Self {
        let digest = digest(&document);
        Self { media_type: media_type.to_owned(), document, digest, manifests: Vec::new(), blobs, platform }
    }
}
