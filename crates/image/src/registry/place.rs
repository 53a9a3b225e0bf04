//! Where an image is: registry, repository, and over which scheme.

use std::collections::HashSet;
use std::sync::Arc;

use model::image::Reference;
use url::Url;

/// Registries that the administrator named, as `host:port`. Plain http is for those of the first list, private
/// addresses are for both, and nobody else gets either.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    plain: Arc<HashSet<String>>,
    secure: Arc<HashSet<String>>,
}

impl Named {
    /// A name without a port has that of its scheme.
    pub fn new(insecure: &[String], private: &[String]) -> Self {
        let with_port = |hosts: &[String], port: &str| {
            let hosts = hosts.iter().map(|host| host.trim().to_ascii_lowercase());
            hosts.map(|host| if host.contains(':') { host } else { host + port }).collect()
        };
        Self { plain: Arc::new(with_port(insecure, ":80")), secure: Arc::new(with_port(private, ":443")) }
    }

    /// Whether an address, with its scheme, is one of theirs.
    pub fn allows(&self, url: &Url) -> bool {
        let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else {
            return false;
        };
        let key = format!("{host}:{port}");
        match url.scheme() {
            "http" => self.plain.contains(&key),
            "https" => self.secure.contains(&key),
            _ => false,
        }
    }
}

/// An image's place at its registry.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The registry as people write it: `docker.io`.
    pub registry: String,
    /// Empty when it is about the registry as a whole.
    pub repository: String,
    /// Where its API is: `https://registry-1.docker.io/`.
    base: Url,
}

impl Place {
    /// The place that a reference names. `None` when its host makes no address, which a parsed one always does.
    pub fn new(reference: &Reference, named: &Named) -> Option<Self> {
        Self::at(reference.host(), reference.repository(), named)
    }

    /// A registry as a whole. `None` when `host` is none.
    pub fn of_registry(host: &str, named: &Named) -> Option<Self> {
        // Read as a part of a reference, so that a registry has one name here and there.
        let reference = Reference::parse(&format!("{host}/any")).ok()?;
        let is_host = reference.repository() == "any" || reference.repository() == "library/any";
        if is_host { Self::at(reference.host(), "", named) } else { None }
    }

    fn at(registry: &str, repository: &str, named: &Named) -> Option<Self> {
        let host = match registry {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let http = Url::parse(&format!("http://{host}/")).ok()?;
        let https = Url::parse(&format!("https://{host}/")).ok()?;
        // Named in both lists, the safer one counts.
        let base = if named.allows(&http) && !named.allows(&https) { http } else { https };
        Some(Self { registry: registry.to_owned(), repository: repository.to_owned(), base })
    }

    /// `/v2/<repository>/<rest>`.
    pub fn url(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{rest}", self.repository));
        url
    }

    /// Where the registry's API is.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// `/v2/`, which says whether a login is good (distribution-spec, "Determining Support").
    pub fn version_url(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path("/v2/");
        url
    }
}

/// `host`, with its port when it is not that of the scheme.
pub(super) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_named_registries_only() {
        let named = Named::new(
            &["127.0.0.1:5000".to_owned(), "registry.lan".to_owned(), "both.lan:5000".to_owned()],
            &["both.lan:5000".to_owned(), "secure.lan".to_owned()],
        );
        let url =
            |text: &str| Place::new(&Reference::parse(text).unwrap(), &named).unwrap().url("manifests/1");
        assert_eq!(url("127.0.0.1:5000/a/b").as_str(), "http://127.0.0.1:5000/v2/a/b/manifests/1");
        assert_eq!(url("registry.lan/a").as_str(), "http://registry.lan/v2/a/manifests/1");
        assert_eq!(url("both.lan:5000/a").as_str(), "https://both.lan:5000/v2/a/manifests/1");
        assert_eq!(url("127.0.0.1:5001/a").as_str(), "https://127.0.0.1:5001/v2/a/manifests/1");
        assert_eq!(url("nginx").as_str(), "https://registry-1.docker.io/v2/library/nginx/manifests/1");
        assert_eq!(url("ghcr.io/o/a").as_str(), "https://ghcr.io/v2/o/a/manifests/1");
        assert!(named.allows(&Url::parse("https://secure.lan/x").unwrap()));
        assert!(!named.allows(&Url::parse("http://secure.lan/x").unwrap()));
        assert!(!named.allows(&Url::parse("https://registry.lan/x").unwrap()));
    }

    #[test]
    fn a_registry_is_named_as_in_a_reference() {
        let url = |host: &str| Some(Place::of_registry(host, &Named::default())?.version_url().to_string());
        assert_eq!(url("ghcr.io").as_deref(), Some("https://ghcr.io/v2/"));
        assert_eq!(url("10.0.0.5:5000").as_deref(), Some("https://10.0.0.5:5000/v2/"));
        for hub in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            assert_eq!(url(hub).as_deref(), Some("https://registry-1.docker.io/v2/"), "{hub}");
        }
        for none in ["", "owner", "ghcr.io/owner", "user@ghcr.io", "http://ghcr.io", "ghcr.io?x", "[::1]"] {
            assert_eq!(url(none), None, "{none}");
        }
    }
}
