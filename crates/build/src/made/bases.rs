//! Where the images come from that made Dockerfiles stand on.

use model::image::{Reference, ReferenceError};

/// The registry of the base images. They are named as on Docker Hub: `node:24-slim`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    prefix: Option<String>,
}

/// Why a text is no place for base images.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasesError {
    #[error("{text:?} cannot stand before the names of base images: {why}; write HOST or HOST/PATH")]
    Invalid { text: String, why: String },
    #[error(
        "the place of base images is a registry and a path, without a tag or digest; write HOST or HOST/PATH"
    )]
    Tagged,
}

impl Bases {
    /// Takes the same names from another registry: `registry.example.com/mirror` makes of `node:24-slim`
    /// `registry.example.com/mirror/node:24-slim`.
    ///
    /// # Errors
    /// The text is no registry with an optional path.
    pub fn at(text: &str) -> Result<Self, BasesError> {
        let prefix = text.trim().trim_end_matches('/');
        let invalid =
            |error: ReferenceError| BasesError::Invalid { text: text.to_owned(), why: error.to_string() };
        let sample = Reference::parse(&format!("{prefix}/name")).map_err(invalid)?;
        if sample.to_string() != format!("{prefix}/name:latest") {
            return Err(BasesError::Tagged);
        }
        Ok(Self { prefix: Some(prefix.to_owned()) })
    }

    /// The whole name of an image, as `FROM` takes it.
    pub(super) fn image(&self, name: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}/{name}"),
            None => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_come_from_another_registry() {
        assert_eq!(Bases::default().image("node:24-slim"), "node:24-slim");
        assert_eq!(Bases::at("127.0.0.1:5000").unwrap().image("node:24-slim"), "127.0.0.1:5000/node:24-slim");
        assert_eq!(Bases::at("r.example/hub/").unwrap().image("caddy:2.10"), "r.example/hub/caddy:2.10");
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        for text in [
            "",
            "/",
            "a b",
            "r.example/UPPER",
            "https://r.example",
            "r.example\nRUN x",
            "mirror",
            "u:p@r.example/x",
        ] {
            assert!(Bases::at(text).is_err(), "{text:?}");
        }
    }
}
