//! Where a token is asked for, and whether a login may go there.

use url::{Host, Url};

use super::clean;
use super::place::Named;

/// The address of a realm that the registry at `home` names. It is https at a name, or one that the administrator
/// named; the latter only for registries that are named too, so that nobody from outside leads in.
pub(super) fn realm_url(realm: &str, home: &Url, named: &Named) -> Result<Url, String> {
    let refused = |why: &str| format!("asks for a token at {}, {why}", clean(realm));
    let url = Url::parse(realm).map_err(|_| refused("which is no address"))?;
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() {
        return Err(refused("which is no address of a token server"));
    }
    if named.allows(&url) {
        return match named.allows(home) {
            true => Ok(url),
            false => Err(refused("where only the registries of this network may lead")),
        };
    }
    match (url.scheme(), url.host()) {
        ("https", Some(Host::Domain(name))) if name != "localhost" => Ok(url),
        ("https", _) => Err(refused("which is not a public host name")),
        _ => Err(refused("which is not https")),
    }
}

/// Whether a login for the registry may go to a realm: its own host and port, or over https the same host, or
/// one of the same registrable domain. Addresses have no domain, and neither have suffixes under which anybody
/// can register.
pub(super) fn may_receive_login(registry: &Url, realm: &Url) -> bool {
    if registry.origin() == realm.origin() {
        return true;
    }
    if realm.scheme() != "https" || registry.scheme() != "https" {
        return false;
    }
    registry.host_str() == realm.host_str()
        || domain(registry).is_some_and(|own| domain(realm).as_ref() == Some(&own))
}

/// The registrable domain of an address (publicsuffix.org).
fn domain(url: &Url) -> Option<String> {
    let Some(Host::Domain(name)) = url.host() else { return None };
    let name = name.trim_end_matches('.');
    let is_known = psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known());
    if is_known { psl::domain_str(name).map(str::to_owned) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_https_at_a_name_or_a_named_registry() {
        let named = Named::new(&["127.0.0.1:5000".to_owned()], &["10.0.0.2:5001".to_owned()]);
        let inside = Url::parse("http://127.0.0.1:5000/").unwrap();
        let outside = Url::parse("https://evil.example/").unwrap();
        for realm in
            ["https://auth.docker.io/token", "http://127.0.0.1:5000/token", "https://10.0.0.2:5001/token"]
        {
            assert!(realm_url(realm, &inside, &named).is_ok(), "{realm}");
        }
        assert!(realm_url("https://gitlab.com/jwt/auth", &outside, &named).is_ok());
        for named_one in ["http://127.0.0.1:5000/token", "https://10.0.0.2:5001/token"] {
            let error = realm_url(named_one, &outside, &named).unwrap_err();
            assert!(error.contains("of this network"), "{error}");
        }
        for realm in [
            "http://auth.example/token",
            "http://127.0.0.1:5001/token",
            "ftp://auth.example/token",
            "file:///etc/passwd",
            "https://127.0.0.1/token",
            "https://169.254.169.254/token",
            "https://[::1]/token",
            "https://0.0.0.0/token",
            "https://10.0.0.1/token",
            "http://10.0.0.2:5001/token",
            "https://127.0.0.1:5000/token",
            "https://169。254。169。254/token",
            "https://0x7f.1/token",
            "https://2130706433/token",
            "https://localhost/token",
            "https://user:pass@auth.example/token",
            "token",
            "",
        ] {
            assert!(realm_url(realm, &outside, &named).is_err(), "{realm}");
            assert!(realm_url(realm, &inside, &named).is_err(), "{realm}");
        }
    }

    #[test]
    fn a_login_stays_with_its_registrable_domain() {
        let may = |registry: &str, realm: &str| {
            may_receive_login(&Url::parse(registry).unwrap(), &Url::parse(realm).unwrap())
        };
        assert!(may("https://registry-1.docker.io/", "https://auth.docker.io/token"));
        assert!(may("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"));
        assert!(may("https://ghcr.io/", "https://ghcr.io/token"));
        assert!(may("http://127.0.0.1:5000/", "http://127.0.0.1:5000/token"));
        assert!(may("https://registry.lan/", "https://registry.lan:5001/token"));
        assert!(may("https://127.0.0.1:5000/", "https://127.0.0.1:5001/token"));

        assert!(!may("https://ghcr.io/", "https://ghcr.io.evil.example/token"));
        assert!(!may("https://ghcr.io/", "http://ghcr.io/token"));
        assert!(!may("https://evil.github.io/", "https://victim.github.io/token"));
        assert!(!may("https://a.co.uk/", "https://b.co.uk/token"));
        assert!(!may("https://10.0.0.1/", "https://11.0.0.1/token"));
        assert!(!may("https://registry.lan/", "https://auth.lan/token"));
        assert!(!may("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token"));
        assert!(!may("http://registry.example.com/", "https://auth.example.com/token"));
        assert!(!may("https://github.io/", "https://evil.github.io/token"));
    }
}
