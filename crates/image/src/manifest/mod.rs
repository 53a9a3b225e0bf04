//! Manifests, indexes and configurations as documents: what is accepted, and what they say.

mod config;
mod document;
mod json;
mod signal;

pub(crate) use config::{Configuration, read_config};
pub(crate) use document::{Descriptor, Document, Index, Manifest, OCI_MANIFEST, oci_layer_type};
