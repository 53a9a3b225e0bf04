//! Where an image is: registry, repository, and over which scheme.

use std::collections::HashSet;
use std::sync::Arc;

use model::image::Reference;
use url::Url;

/// Registries that the administrator named, as `host:port`. Plain http and private addresses are allowed for
/// them and for nobody else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    hosts: Arc<HashSet<String>>,
}

impl Named {
    /// A name without a port is that of plain http.
    pub fn new(hosts: &[String]) -> Self {
        let with_port = |host: &String| {
            let host = host.trim().to_ascii_lowercase();
            if host.contains(':') { host } else { format!("{host}:80") }
        };
        Self { hosts: Arc::new(hosts.iter().map(with_port).collect()) }
    }

    pub fn has(&self, url: &Url) -> bool {
        let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else {
            return false;
        };
        self.hosts.contains(&format!("{host}:{port}"))
    }
}

/// An image's place at its registry.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The registry as people write it: `docker.io`.
    pub registry: String,
    pub repository: String,
    /// Where its API is: `https://registry-1.docker.io/`.
    base: Url,
}

impl Place {
    /// The place that a reference names. `None` when its host makes no address, which a parsed one always does.
    pub fn new(reference: &Reference, named: &Named) -> Option<Self> {
        let host = match reference.host() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let http = Url::parse(&format!("http://{host}/")).ok()?;
        let base = if named.has(&http) { http } else { Url::parse(&format!("https://{host}/")).ok()? };
        Some(Self {
            registry: reference.host().to_owned(),
            repository: reference.repository().to_owned(),
            base,
        })
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_named_registries_only() {
        let named = Named::new(&["127.0.0.1:5000".to_owned(), "registry.lan".to_owned()]);
        let url =
            |text: &str| Place::new(&Reference::parse(text).unwrap(), &named).unwrap().url("manifests/1");
        assert_eq!(url("127.0.0.1:5000/a/b").as_str(), "http://127.0.0.1:5000/v2/a/b/manifests/1");
        assert_eq!(url("registry.lan/a").as_str(), "http://registry.lan/v2/a/manifests/1");
        assert_eq!(url("127.0.0.1:5001/a").as_str(), "https://127.0.0.1:5001/v2/a/manifests/1");
        assert_eq!(url("nginx").as_str(), "https://registry-1.docker.io/v2/library/nginx/manifests/1");
        assert_eq!(url("ghcr.io/o/a").as_str(), "https://ghcr.io/v2/o/a/manifests/1");
    }
}
