//! Manifests, indexes and configurations as documents.
