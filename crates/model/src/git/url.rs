//! Addresses of Git repositories. Only what is known to be harmless is accepted: git itself would also take
//! `ext::`, which runs programs, local paths, and words that begin with a dash.

use std::fmt;

/// Longest address, in bytes.
const LONGEST: usize = 2048;

/// How a repository is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Https,
    /// Only with servers that the administrator named.
    Http,
    Ssh,
}

impl Scheme {
    fn word(self) -> &'static str {
        match self {
            Scheme::Https => "https",
            Scheme::Http => "http",
            Scheme::Ssh => "ssh",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Https => 443,
            Scheme::Http => 80,
            Scheme::Ssh => 22,
        }
    }
}

/// A checked address. Its text ([`fmt::Display`]) is safe as an argument: it begins with its scheme, and holds no
/// white space, control character or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitUrl {
    scheme: Scheme,
    /// Account at an ssh server.
    user: Option<String>,
    host: String,
    path: String,
}

/// Why a text is no address of a repository. The words say what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitUrlError {
    #[error("an address of a repository cannot be empty")]
    Empty,
    #[error("an address of a repository has at most {LONGEST} characters")]
    TooLong,
    #[error("an address of a repository cannot hold {0:?}")]
    Character(char),
    #[error("{0:?} is no way to a repository; use https://HOST/PATH or ssh://git@HOST/PATH")]
    Scheme(String),
    #[error(
        "there is no login in the address of a repository, or everybody would see it; store it as a Git credential"
    )]
    Login,
    #[error("{0:?} is no host name")]
    Host(String),
    #[error("{0:?} is no port")]
    Port(String),
    #[error("{0:?} is no account at an ssh server")]
    User(String),
    #[error("the address names no repository: after the host comes its path")]
    Path,
}

impl GitUrl {
    /// Reads `https://HOST[:PORT]/PATH`, `http://...`, `ssh://[USER@]HOST[:PORT]/PATH` and `[USER@]HOST:PATH`
    /// (git-clone(1), "GIT URLS").
    pub fn parse(text: &str) -> Result<Self, GitUrlError> {
        if text.is_empty() {
            return Err(GitUrlError::Empty);
        }
        if text.len() > LONGEST {
            return Err(GitUrlError::TooLong);
        }
        let is_bad =
            |c: &char| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '\'' | '`' | '<' | '>' | '#' | '?');
        if let Some(bad) = text.chars().find(is_bad) {
            return Err(GitUrlError::Character(bad));
        }
        match text.split_once("://") {
            Some(("https", rest)) => web(Scheme::Https, rest),
            Some(("http", rest)) => web(Scheme::Http, rest),
            Some(("ssh", rest)) => {
                let (place, path) = rest.split_once('/').ok_or(GitUrlError::Path)?;
                ssh(place, path)
            }
            Some((other, _)) => Err(GitUrlError::Scheme(other.to_owned())),
            None => short(text),
        }
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The server, with its port unless it is the scheme's own.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Without the first slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Account at an ssh server.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Last part of the path without `.git`: what people call the repository.
    pub fn name(&self) -> &str {
        let last = self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.word())?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}/{}", self.host, self.path)
    }
}

fn web(scheme: Scheme, rest: &str) -> Result<GitUrl, GitUrlError> {
    let (place, path) = rest.split_once('/').ok_or(GitUrlError::Path)?;
    if place.contains('@') {
        return Err(GitUrlError::Login);
    }
    Ok(GitUrl { scheme, user: None, host: host(scheme, place)?, path: checked_path(path)? })
}

fn ssh(place: &str, path: &str) -> Result<GitUrl, GitUrlError> {
    let (user, place) = place.rsplit_once('@').unwrap_or(("git", place));
    let is_account = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if user.contains(':') {
        return Err(GitUrlError::Login);
    }
    if user.is_empty() || user.starts_with('-') || !user.chars().all(is_account) {
        return Err(GitUrlError::User(user.to_owned()));
    }
    let host = host(Scheme::Ssh, place)?;
    Ok(GitUrl { scheme: Scheme::Ssh, user: Some(user.to_owned()), host, path: checked_path(path)? })
}

/// `git@HOST:PATH`. A text with a slash before its first colon would be a local path to git, and `ext::...` a
/// program.
fn short(text: &str) -> Result<GitUrl, GitUrlError> {
    let Some((place, path)) = text.split_once(':') else { return Err(GitUrlError::Scheme(text.to_owned())) };
    if place.contains('/') || path.starts_with(':') || !place.contains('@') {
        return Err(GitUrlError::Scheme(place.to_owned()));
    }
    ssh(place, path.strip_prefix('/').unwrap_or(path))
}

/// Checks `HOST[:PORT]` and leaves the scheme's own port out.
fn host(scheme: Scheme, place: &str) -> Result<String, GitUrlError> {
    let bad = || GitUrlError::Host(place.to_owned());
    let (name, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']').ok_or_else(bad)?;
            inside.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            (format!("[{inside}]"), after.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((name, port)) => (name.to_ascii_lowercase(), Some(port)),
            None => (place.to_ascii_lowercase(), None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !name.starts_with('[') && (name.len() > 253 || !name.split('.').all(is_label)) {
        return Err(bad());
    }
    let Some(port) = port else { return Ok(name) };
    let number = match port.bytes().all(|byte| byte.is_ascii_digit()) {
        true => port.parse::<u16>().ok().filter(|number| *number > 0),
        false => None,
    };
    match number.ok_or_else(|| GitUrlError::Port(port.to_owned()))? {
        number if number == scheme.port() => Ok(name),
        number => Ok(format!("{name}:{number}")),
    }
}

fn checked_path(path: &str) -> Result<String, GitUrlError> {
    let path = path.trim_end_matches('/');
    match path.is_empty() || path.starts_with('-') || path.starts_with('/') {
        true => Err(GitUrlError::Path),
        false => Ok(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match GitUrl::parse(text) {
            Ok(url) => url.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn what_git_servers_offer_is_read() {
        check("https://github.com/acme/shop", "https://github.com/acme/shop");
        check("https://GitLab.com:443/acme/group/shop.git/", "https://gitlab.com/acme/group/shop.git");
        check("http://127.0.0.1:3000/acme/shop.git", "http://127.0.0.1:3000/acme/shop.git");
        check("git@github.com:acme/shop.git", "ssh://git@github.com/acme/shop.git");
        check("ssh://git.example.com:2222/acme/shop", "ssh://git@git.example.com:2222/acme/shop");
        check("ssh://deploy@[::1]:2222/srv/shop.git", "ssh://deploy@[::1]:2222/srv/shop.git");
        assert_eq!(GitUrl::parse("git@github.com:acme/shop.git").unwrap().name(), "shop");
    }

    #[test]
    fn what_could_run_something_or_shows_a_password_is_refused() {
        let no_way = |word: &str| {
            format!("{word:?} is no way to a repository; use https://HOST/PATH or ssh://git@HOST/PATH")
        };
        check("ext::sh -c id", "an address of a repository cannot hold ' '");
        check("ext::id", &no_way("ext"));
        check("file:///etc", &no_way("file"));
        check("git://example.com/x", &no_way("git"));
        check("/srv/shop.git", &no_way("/srv/shop.git"));
        check("../shop:x", &no_way("../shop"));
        check("--upload-pack=id", &no_way("--upload-pack=id"));
        check("-oProxyCommand=id@host:x", "\"-oProxyCommand=id\" is no account at an ssh server");
        check("git@-oProxyCommand=id:x", "\"-oProxyCommand=id\" is no host name");
        check("ssh://-oProxyCommand=id/x", "\"-oProxyCommand=id\" is no host name");
        check("git@example.com:-x", "the address names no repository: after the host comes its path");
        let login = "there is no login in the address of a repository, or everybody would see it; store it as a \
                     Git credential";
        check("https://user:secret@example.com/x", login);
        check("https://user@example.com/x", login);
        check("ssh://user:secret@example.com/x", login);
        check("https://example.com", "the address names no repository: after the host comes its path");
        check("https://example.com:0/x", "\"0\" is no port");
        check("https://exa_mple..com/x", "\"exa_mple..com\" is no host name");
        check("https://example.com/x\ny", "an address of a repository cannot hold '\\n'");
    }
}
