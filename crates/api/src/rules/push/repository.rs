//! Whether two addresses lead to the same repository. A Git server names several of its own, an application has one of
//! them, perhaps with another scheme, port or ending.

/// Whether one of the addresses is that of the repository.
pub fn is_one_of(url: &str, addresses: &[String]) -> bool {
    place(url).is_some_and(|own| addresses.iter().any(|address| place(address).as_ref() == Some(&own)))
}

/// Host and path: without scheme, account, port and `.git`, in lower case.
fn place(address: &str) -> Option<(String, String)> {
    let (host, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => address.split_once(':')?,
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let is_one = !host.is_empty() && !path.is_empty();
    is_one.then(|| (host.to_ascii_lowercase(), path.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_repository_are_the_same() {
        let own = "https://git.example.com/acme/shop";
        for address in [
            own,
            "https://Git.Example.com:8443/Acme/Shop.git",
            "git@git.example.com:acme/shop.git",
            "ssh://git@git.example.com:2222/acme/shop.git",
            "http://git.example.com/acme/shop/",
        ] {
            assert!(is_one_of(own, &[address.to_owned()]), "{address}");
            assert!(is_one_of(address, &[own.to_owned()]), "{address}");
        }
        for address in [
            "",
            "https://git.example.com",
            "https://git.example.com/acme/shop2",
            "https://git.example.com/eve/shop",
            "https://git.example.com.evil.example/acme/shop",
            "https://git.example.com@evil.example/acme/shop",
            "acme/shop",
        ] {
            assert!(!is_one_of(own, &[address.to_owned()]), "{address}");
        }
        assert!(!is_one_of("", &[String::new()]), "nothing is not the same as nothing");
    }
}
