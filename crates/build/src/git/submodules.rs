//! Repositories in repositories (gitmodules(5)). Git's own command for them is a shell script that asks whatever
//! server a repository names; here each one passes the checks of any other remote, and none gets the login of another
//! server.

use std::collections::HashMap;

use model::GitUrl;

use super::error::Cause;
use super::{Access, Remote};

/// Most submodules of a checkout, those of submodules with them.
pub(super) const MOST: usize = 100;
/// How deep submodules may have submodules.
pub(super) const DEEPEST: usize = 5;

/// A submodule that is to be fetched.
#[derive(Clone, Debug)]
pub(super) struct Submodule {
    /// Relative to the files around it.
    pub path: String,
    pub commit: String,
    pub remote: Remote,
}

/// Puts together where the submodules of a commit are: `entries` are its paths with commits, `modules` is what git reads
/// in `.gitmodules`, `KEY<LF>VALUE<NUL>`. One without an address is left out, as git does.
pub(super) fn read(
    entries: &[(String, String)],
    modules: &[u8],
    parent: &Remote,
) -> Result<Vec<Submodule>, Cause> {
    let urls = urls(&String::from_utf8_lossy(modules));
    let mut submodules = Vec::new();
    for (path, commit) in entries {
        let Some(text) = urls.get(path) else { continue };
        let url = resolve(text, &parent.url).map_err(|cause| wrap(path, text, cause))?;
        let access = match url.host() == parent.url.host() && url.scheme() == parent.url.scheme() {
            true => parent.access.clone(),
            false => Access::Anonymous,
        };
        submodules.push(Submodule {
            path: path.clone(),
            commit: commit.clone(),
            remote: Remote { url, access },
        });
    }
    Ok(submodules)
}

/// Says of which submodule a failure is.
pub(super) fn wrap(path: &str, url: &str, cause: Cause) -> Cause {
    let line = super::clean::line;
    Cause::Submodule { path: line(path), url: line(url), cause: Box::new(cause) }
}

/// Path to address.
fn urls(text: &str) -> HashMap<String, String> {
    let mut paths: HashMap<&str, &str> = HashMap::new();
    let mut urls: HashMap<&str, &str> = HashMap::new();
    for (key, value) in text.split('\0').filter_map(|entry| entry.split_once('\n')) {
        let Some(key) = key.strip_prefix("submodule.") else { continue };
        if let Some(name) = key.strip_suffix(".path") {
            paths.insert(name, value);
        } else if let Some(name) = key.strip_suffix(".url") {
            urls.insert(name, value);
        }
    }
    let both =
        paths.into_iter().filter_map(|(name, path)| Some((path.to_owned(), (*urls.get(name)?).to_owned())));
    both.collect()
}

/// The address of a submodule. One that begins with `./` or `../` is relative to the repository around it.
fn resolve(text: &str, parent: &GitUrl) -> Result<GitUrl, Cause> {
    if !text.starts_with("./") && !text.starts_with("../") {
        return Ok(GitUrl::parse(text)?);
    }
    let mut parts: Vec<&str> = parent.path().trim_end_matches('/').split('/').collect();
    for part in text.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(Cause::Invalid("its address leads out of the server".to_owned()));
                }
            }
            part => parts.push(part),
        }
    }
    let whole = parent.to_string();
    let start = whole.strip_suffix(parent.path()).unwrap_or(&whole);
    Ok(GitUrl::parse(&format!("{start}{}", parts.join("/")))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn parent() -> Remote {
        let token = Access::Token { username: "bot".to_owned(), token: Secret::new("secret") };
        Remote { url: GitUrl::parse("https://git.example.com:8443/acme/shop.git").unwrap(), access: token }
    }

    fn read_one(url: &str) -> Result<Submodule, String> {
        let modules = format!("submodule.x.y.path\nlib/x\0submodule.x.y.url\n{url}\0core.editor\nid\0");
        let entries = [("lib/x".to_owned(), "aa".to_owned()), ("unknown".to_owned(), "bb".to_owned())];
        let mut found = read(&entries, modules.as_bytes(), &parent()).map_err(|cause| cause.to_string())?;
        assert_eq!(found.len(), 1, "{url}");
        Ok(found.remove(0))
    }

    #[test]
    fn only_the_same_server_gets_the_login() {
        for (url, whole, has_login) in [
            ("../lib.git", "https://git.example.com:8443/acme/lib.git", true),
            ("./sub", "https://git.example.com:8443/acme/shop.git/sub", true),
            ("../../other/lib", "https://git.example.com:8443/other/lib", true),
            ("https://git.example.com:8443/x/y", "https://git.example.com:8443/x/y", true),
            ("https://git.example.com/x/y", "https://git.example.com/x/y", false),
            ("http://git.example.com:8443/x/y", "http://git.example.com:8443/x/y", false),
            ("https://evil.example.com/x", "https://evil.example.com/x", false),
            ("git@git.example.com:x/y.git", "ssh://git@git.example.com/x/y.git", false),
        ] {
            let found = read_one(url).unwrap();
            assert_eq!(found.remote.url.to_string(), whole);
            assert_eq!(matches!(found.remote.access, Access::Token { .. }), has_login, "{url}");
        }
    }

    #[test]
    fn addresses_that_could_run_something_are_refused() {
        for url in [
            "ext::id",
            "file:///etc",
            "/srv/x",
            "-u./payload:x",
            "../../../../x",
            "https://u:p@example.com/x",
        ] {
            let error = read_one(url).unwrap_err();
            assert!(error.starts_with("the submodule lib/x, "), "{url}: {error}");
        }
    }
}
